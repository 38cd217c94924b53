/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/wall_clock.h"
#include "loop/deadline.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/tenant.h"

/* A person reads refusals; a hundred at once show a pattern, and ten a second its course. */
#define BURST 100
#define PER_SECOND 10

/* When a count is told that no record has told. */
#define TAIL_MS 1000

/* How often the log is told of a sink that takes nothing. */
#define COMPLAIN_AGAIN_MS 60000

#define TEXT_MAX 1024

void audit_init(struct audit *audit, const struct nb_log *log, struct audit_sink *sink, uv_loop_t *loop) {
        *audit = (struct audit){ .log = log, .sink = sink, .loop = loop };
        audit_rate_init(&audit->rate, audit, NULL);
        audit_rate_init(&audit->admin, audit, NULL);
}

void audit_deinit(struct audit *audit) {
        audit_rate_deinit(&audit->rate);
        audit_rate_deinit(&audit->admin);
        audit->sink = audit_sink_free(audit->sink);
}

void audit_reopen(struct audit *audit) {
        int r = audit_sink_reopen(audit->sink);

        if (r < 0)
                nb_log(audit->log, NB_LOG_ERROR, "cannot open %s again for the audit: %s; the file before stays in use",
                       audit_sink_name(audit->sink), strerror(-r));
}

/* What is not UTF-8, such as a word of a request that was cut in the middle of a character, is escaped: it must not cost the whole member. */
static void set_text(json_t *object, const char *key, const char *text) {
        char escaped[TEXT_MAX];
        json_t *string;

        if (!text || !*text)
                return;
        string = json_string(text);
        if (!string)
                string = json_string(nb_escape(text, strlen(text), escaped, sizeof(escaped)));
        (void)json_object_set_new(object, key, string);
}

static void set_time(json_t *object) {
        char text[NB_WALL_CLOCK_TEXT_MAX];

        set_text(object, "time", nb_wall_clock_format(nb_wall_clock_ms(), text));
}

static void set_session(json_t *object, const struct session *session) {
        char token[SESSION_TOKEN_TEXT_MAX];

        if (!session)
                return;
        if (session->tenant)
                set_text(object, "tenant", session->tenant->name);
        (void)json_object_set_new(object, "session", json_integer((json_int_t)session->id));
        set_text(object, "label", session->label);
        if (!session->token)
                return;
        set_text(object, "token", session_token_text(session->token, token));
        set_text(object, "token_label", session_token_label(session->token));
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
        char asked[TEXT_MAX];
        json_t *object = json_object();

        if (!object)
                return NULL;
        set_time(object);
        set_text(object, "tenant", record->tenant);
        set_session(object, record->session);
        set_text(object, "protocol", record->protocol);
        set_text(object, "type", record->type);
        set_text(object, "transport", record->transport);
        if (record->n_restrictions > 0)
                (void)json_object_set_new(object, "restricted", json_integer((json_int_t)record->n_restrictions));
        set_text(object, "verb", record->verb);
        if (record->asked)
                set_text(object, "asked", nb_escape(record->asked, record->asked_length, asked, sizeof(asked)));
        set_text(object, "name", record->name);
        set_text(object, "address", record->address);
        set_text(object, "resolved", record->resolved);
        set_text(object, "via", record->via);
        set_text(object, "verdict", record->verdict);
        set_rule(object, record->rule);
        set_text(object, "reason", record->reason);
        set_text(object, "remedy", record->remedy);
        if (suppressed > 0)
                (void)json_object_set_new(object, "suppressed", json_integer((json_int_t)suppressed));
        return object;
}

bool audit_wants_allowed(const struct audit *audit) {
        return audit->tap || audit->allowed || audit->log->level >= NB_LOG_INFO;
}

/* ---- what was lost ---- */

static void lose(struct audit *audit, int error) {
        audit->n_lost++;
        if (uv_now(audit->loop) < audit->complain_ms)
                return;
        nb_log(audit->log, NB_LOG_WARNING, "audit records are being lost, %" PRIu64 " so far: cannot write to %s: %s",
               audit->n_lost, audit_sink_name(audit->sink), strerror(error));
        audit->complain_ms = uv_now(audit->loop) + COMPLAIN_AGAIN_MS;
}

static void set_count(json_t *object, const char *key, uint64_t n) {
        if (n > 0)
                (void)json_object_set_new(object, key, json_integer((json_int_t)n));
}

/* @param object  consumed; NULL: there was no memory for it @return whether it was written */
static bool write_object(struct audit *audit, enum nb_log_level level, json_t *object) {
        NB_CLEANUP_FREE char *line = NULL;
        int r = -ENOMEM;

        if (object)
                set_count(object, "lost", audit->n_lost - audit->n_lost_told);
        line = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
        if (line)
                r = audit_sink_write(audit->sink, level, object, line);
        json_decref(object);
        if (r < 0) {
                lose(audit, -r);
                return false;
        }
        audit->n_lost_told = audit->n_lost;
        audit->n_written++;
        return true;
}

/* ---- what is left out ---- */

void audit_rate_init(struct audit_rate *rate, struct audit *audit, const char *tenant) {
        *rate = (struct audit_rate){ .audit = audit, .tenant = tenant };
        rate_init(&rate->denied, PER_SECOND, BURST, 0);
        rate_init(&rate->dropped, PER_SECOND, BURST, 0);
}

static json_t *count_to_json(const struct audit_rate *rate) {
        json_t *object = json_object();

        if (!object)
                return NULL;
        set_time(object);
        set_text(object, "tenant", rate->tenant);
        set_text(object, "verb", "audit");
        set_text(object, "verdict", "suppressed");
        set_count(object, "suppressed", rate->suppressed);
        set_text(object, "reason", "there were more records than the audit takes of one tenant");
        return object;
}

static void write_count(struct audit_rate *rate) {
        if (audit_sink_wants(rate->audit->sink, NB_LOG_NOTICE) &&
            write_object(rate->audit, NB_LOG_NOTICE, count_to_json(rate)))
                rate->suppressed = 0;
}

static void wait_for_tail(struct audit_rate *rate);

static void tail(void *data) {
        struct audit_rate *rate = data;

        rate->tail = deadline_free(rate->tail);
        if (rate->suppressed > 0 && rate_take(&rate->denied, uv_now(rate->audit->loop)))
                write_count(rate);
        if (rate->suppressed > 0)
                wait_for_tail(rate);
}

/* Without memory for the timer the count waits for the tenant's next record. */
static void wait_for_tail(struct audit_rate *rate) {
        if (!rate->tail)
                rate->tail = deadline_new(rate->audit->loop, TAIL_MS, tail, rate);
}

static void leave_out(struct audit_rate *rate) {
        rate->suppressed++;
        rate->audit->n_suppressed++;
        wait_for_tail(rate);
}

void audit_rate_deinit(struct audit_rate *rate) {
        if (!rate->audit)
                return;
        rate->tail = deadline_free(rate->tail);
        if (rate->suppressed > 0)
                write_count(rate);
        rate->audit = NULL;
}

/* ---- the record ---- */

static struct audit_rate *rate_of(struct audit *audit, const struct audit_record *record) {
        bool has_tenant = record->session && record->session->tenant;

        if (!record->session && strcmp(record->verb, "admin") == 0)
                return &audit->admin;
        return has_tenant ? &record->session->tenant->audit_rate : &audit->rate;
}

/* Whether the tenant may have one more of these. Who wants to see what is allowed wants to see all. */
static bool take_token(struct audit_rate *rate, const struct audit_record *record, uint64_t now_ms) {
        if (strcmp(record->verdict, "allowed") == 0)
                return true;
        return rate_take(strcmp(record->verdict, "dropped") == 0 ? &rate->dropped : &rate->denied, now_ms);
}

void audit_write(struct audit *audit, uint64_t now_ms, const struct audit_record *record) {
        bool allowed = strcmp(record->verdict, "allowed") == 0;
        enum nb_log_level level = allowed && !audit->allowed ? NB_LOG_INFO : NB_LOG_NOTICE;
        struct audit_rate *rate = rate_of(audit, record);

        if (audit->tap)
                audit->tap(audit->tap_data, record);
        /* The log's level is for what is allowed wherever that goes; a sink of its own gets every refusal, however quiet the log is. */
        if ((allowed && audit->log->level < level) || !audit_sink_wants(audit->sink, level))
                return;
        if (!take_token(rate, record, now_ms)) {
                leave_out(rate);
                return;
        }
        if (write_object(audit, level, audit_record_to_json(record, rate->suppressed)))
                rate->suppressed = 0;
}
