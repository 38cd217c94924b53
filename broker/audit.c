/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/audit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "broker/session.h"
#include "broker/tenant.h"

/* A person reads refusals; a hundred at once show a pattern, and ten a second its course. */
#define BURST 100.0
#define PER_SECOND 10.0

#define ASKED_TEXT_MAX 1024

void audit_init(struct audit *audit, const struct nb_log *log, int fd) {
        *audit = (struct audit){ .log = log, .fd = fd };
        audit_rate_init(&audit->rate);
}

void audit_deinit(struct audit *audit) {
        audit->fd = nb_fd_close(audit->fd);
}

void audit_rate_init(struct audit_rate *rate) {
        *rate = (struct audit_rate){ .denied.tokens = BURST, .dropped.tokens = BURST };
}

static bool take_token(struct audit_bucket *bucket, uint64_t now_ms) {
        uint64_t elapsed = now_ms > bucket->refilled_ms ? now_ms - bucket->refilled_ms : 0;

        bucket->tokens += (double)elapsed / 1000.0 * PER_SECOND;
        if (bucket->tokens > BURST)
                bucket->tokens = BURST;
        bucket->refilled_ms = now_ms;
        if (bucket->tokens < 1.0)
                return false;
        bucket->tokens -= 1.0;
        return true;
}

static void set_text(json_t *object, const char *key, const char *text) {
        if (text && *text)
                (void)json_object_set_new(object, key, json_string(text));
}

/* The time in RFC 3339's form, in UTC, with milliseconds. */
static void set_time(json_t *object) {
        struct timespec now;
        struct tm tm;
        char date[32], text[48];

        (void)clock_gettime(CLOCK_REALTIME, &now);
        (void)gmtime_r(&now.tv_sec, &tm);
        (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(text, sizeof(text), "%s.%03ldZ", date, now.tv_nsec / 1000000);
        set_text(object, "time", text);
}

static void set_session(json_t *object, const struct session *session) {
        if (!session)
                return;
        if (session->tenant)
                set_text(object, "tenant", session->tenant->name);
        (void)json_object_set_new(object, "session", json_integer((json_int_t)session->id));
        set_text(object, "label", session->label);
}

static void set_rule(json_t *object, const struct policy_rule *rule) {
        char place[512];

        if (!rule)
                return;
        (void)snprintf(place, sizeof(place), "%s:%u", rule->file, rule->line);
        set_text(object, "rule", rule->text);
        set_text(object, "at", place);
}

json_t *audit_record_to_json(const struct audit_record *record, uint64_t suppressed) {
        char asked[ASKED_TEXT_MAX];
        json_t *object = json_object();

        if (!object)
                return NULL;
        set_time(object);
        set_session(object, record->session);
        set_text(object, "protocol", record->protocol);
        set_text(object, "type", record->type);
        set_text(object, "verb", record->verb);
        if (record->asked)
                set_text(object, "asked", nb_escape(record->asked, record->asked_length, asked, sizeof(asked)));
        set_text(object, "name", record->name);
        set_text(object, "address", record->address);
        set_text(object, "resolved", record->resolved);
        set_text(object, "verdict", record->verdict);
        set_rule(object, record->rule);
        set_text(object, "reason", record->reason);
        set_text(object, "remedy", record->remedy);
        if (suppressed > 0)
                (void)json_object_set_new(object, "suppressed", json_integer((json_int_t)suppressed));
        return object;
}

/* One write a record, so that lines of several writers do not mix. A full disk must not stop the broker. */
static void write_to_file(struct audit *audit, const char *line) {
        struct iovec iov[] = {
                { .iov_base = (void *)line, .iov_len = strlen(line) },
                { .iov_base = (void *)"\n", .iov_len = 1 },
        };

        if (writev(audit->fd, iov, 2) < 0)
                nb_log(audit->log, NB_LOG_WARNING, "cannot write an audit record: %s", strerror(errno));
}

bool audit_wants_allowed(const struct audit *audit) {
        return audit->tap || audit->log->level >= NB_LOG_INFO;
}

void audit_write(struct audit *audit, uint64_t now_ms, const struct audit_record *record) {
        bool allowed = strcmp(record->verdict, "allowed") == 0, dropped = strcmp(record->verdict, "dropped") == 0;
        enum nb_log_level level = allowed ? NB_LOG_INFO : NB_LOG_NOTICE;
        bool has_tenant = record->session && record->session->tenant;
        struct audit_rate *rate = has_tenant ? &record->session->tenant->audit_rate : &audit->rate;
        NB_CLEANUP_FREE char *line = NULL;
        json_t *object;

        if (audit->tap)
                audit->tap(audit->tap_data, record);
        /* A file of its own gets every refusal: a quiet log is no reason to miss one. */
        if (audit->log->level < level && (allowed || audit->fd < 0))
                return;
        if (!allowed && !take_token(dropped ? &rate->dropped : &rate->denied, now_ms)) {
                rate->suppressed++;
                audit->n_dropped++;
                return;
        }

        object = audit_record_to_json(record, rate->suppressed);
        line = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
        json_decref(object);
        if (!line) {
                rate->suppressed++;
                audit->n_dropped++;
                return;
        }
        rate->suppressed = 0;
        if (audit->fd >= 0)
                write_to_file(audit, line);
        else
                nb_log_verbatim(audit->log, level, "audit: ", line);
}
