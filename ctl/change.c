/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that change something in a running netbrokerd: reload, revoke, drain, undrain, log-level.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "ctl/command.h"
#include "ctl/list.h"
#include "ctl/merge.h"
#include "ctl/number.h"

/* ---- log-level ---- */

static const char *level_of(const json_t *line) {
        return json_string_value(json_object_get(line, "level"));
}

static bool have_one_level(const json_t *lines) {
        for (size_t i = 1; i < json_array_size(lines); ++i) {
                if (!json_equal(json_object_get(json_array_get(lines, i), "level"),
                                json_object_get(json_array_get(lines, 0), "level")))
                        return false;
        }
        return true;
}

/* A shard that was started again logs as netbrokerd was told at its start. */
static void print_levels(const json_t *lines) {
        char shown[64];

        if (have_one_level(lines)) {
                list_print_text(level_of(json_array_get(lines, 0)));
                return;
        }
        for (size_t i = 0; i < json_array_size(lines); ++i) {
                const json_t *line = json_array_get(lines, i);
                const char *level = level_of(line) ? level_of(line) : "-";

                if (i == 0)
                        printf("front: ");
                else
                        printf("shard %lld: ", (long long)json_integer_value(json_object_get(line, "shard")));
                puts(nb_escape(level, strlen(level), shown, sizeof(shown)));
        }
}

/* The first one's, with those of shards behind it if there are. */
static void print_levels_json(json_t *lines) {
        json_t *first = json_incref(json_array_get(lines, 0));

        (void)json_array_remove(lines, 0);
        if (json_array_size(lines) > 0)
                (void)json_object_set(first, "shards", lines);
        list_print_json(first);
        json_decref(first);
}

int ctl_log_level(const struct ctl *ctl) {
        const char *level = ctl->n_operands == 1 ? ctl->operands[0] : NULL;
        json_t *lines = NULL;
        int status = list_collect(ctl, json_pack("{s:s, s:s*}", "verb", "log-level", "level", level), &lines);

        if (!lines)
                return status;
        if (ctl->options->json)
                print_levels_json(lines);
        else
                print_levels(lines);
        json_decref(lines);
        return status;
}

/* ---- reload ---- */

int ctl_reload(const struct ctl *ctl) {
        json_t *answer = NULL;
        char shown[1024];
        const char *path;
        int r = list_ask_one(ctl, json_pack("{s:s}", "verb", "reload"), &answer);

        if (r != CTL_OK)
                return r;
        path = json_string_value(json_object_get(answer, "path"));
        if (ctl->options->json)
                list_print_json(answer);
        else
                printf("reloaded %s, tenants: %lld\n", path ? nb_escape(path, strlen(path), shown, sizeof(shown)) : "-",
                       (long long)json_integer_value(json_object_get(answer, "tenants")));
        json_decref(answer);
        return CTL_OK;
}

/* ---- revoke ---- */

static int revoke_request(const struct ctl *ctl, json_t **ret) {
        const char *kind = ctl->operands[0];
        bool is_protocol = strcmp(kind, "protocol") == 0;
        uint64_t id;

        if (!is_protocol && strcmp(kind, "session") != 0 && strcmp(kind, "connection") != 0)
                return ctl_misused(ctl, "'%s' cannot be revoked: a session, a connection or a protocol can", kind);
        if (ctl->n_operands != (is_protocol ? 3 : 2))
                return ctl_misused(ctl, "usage: netbrokerctl revoke session ID | connection ID | protocol TENANT NAME");
        if (is_protocol) {
                *ret = json_pack("{s:s, s:s, s:s, s:s}", "verb", "revoke", "kind", kind, "tenant", ctl->operands[1],
                                 "protocol", ctl->operands[2]);
                return CTL_OK;
        }
        if (number_parse(ctl->operands[1], &id) < 0)
                return ctl_misused(ctl, "'%s' is no number of a %s", ctl->operands[1], kind);
        *ret = json_pack("{s:s, s:s, s:I}", "verb", "revoke", "kind", kind, "id", (json_int_t)id);
        return CTL_OK;
}

static void print_revoked(const char *kind, const json_t *answer) {
        long long sessions = (long long)json_integer_value(json_object_get(answer, "sessions"));
        long long connections = (long long)json_integer_value(json_object_get(answer, "connections"));
        long long kept = (long long)json_integer_value(json_object_get(answer, "kept"));

        printf("revoked the %s; sessions concerned: %lld, connections shut down: %lld\n", kind, sessions, connections);
        if (kept > 0)
                printf("connections that live on, for nothing can shut them down from outside: %lld\n", kept);
}

int ctl_revoke(const struct ctl *ctl) {
        json_t *request = NULL, *answer = NULL;
        int r = revoke_request(ctl, &request);

        if (r != CTL_OK)
                return r;
        r = list_ask_one(ctl, request, &answer);
        if (r != CTL_OK)
                return r;
        if (ctl->options->json)
                list_print_json(answer);
        else
                print_revoked(ctl->operands[0], answer);
        json_decref(answer);
        return CTL_OK;
}

/* ---- drain ---- */

static void print_drain(const struct ctl *ctl, const json_t *answer, bool on) {
        const char *tenant = ctl->options->tenant;
        long long sessions = (long long)json_integer_value(json_object_get(answer, "sessions"));
        long long listeners = (long long)json_integer_value(json_object_get(answer, "listeners"));
        long long connections = (long long)json_integer_value(json_object_get(answer, "connections"));
        char shown[512];

        printf("%s: new sessions are %s\n",
               tenant ? nb_escape(tenant, strlen(tenant), shown, sizeof(shown)) : "all tenants",
               on ? "refused" : "admitted");
        if (!on && tenant && json_is_true(json_object_get(answer, "all")))
                printf("but those of all tenants are refused still: netbrokerctl undrain\n");
        if (on)
                printf("left: sessions %lld, listeners %lld, connections %lld\n", sessions, listeners, connections);
}

/*
 * One answer of all: what is left is the sum of what shards have left.
 *
 * @param how  consumed; what is to be done, beside the tenant
 * @return enum ctl_status
 */
static int ask_drain(const struct ctl *ctl, json_t *how, json_t **ret) {
        static const char *const members[] = { "all", "tenants", "sessions", "listeners", "connections", NULL };
        json_t *lines = NULL;
        json_t *request = json_pack("{s:s, s:s*}", "verb", "drain", "tenant", ctl->options->tenant);
        int status;

        if (json_object_update_new(request, how) < 0) {
                json_decref(request);
                request = NULL;
        }
        status = list_collect(ctl, request, &lines);

        if (!lines)
                return status;
        *ret = json_incref(json_array_get(lines, 0));
        for (size_t i = 1; i < json_array_size(lines); ++i)
                merge_into(*ret, json_array_get(lines, i), members);
        json_decref(lines);
        return status;
}

/*
 * Shards are waited for one after the other, so all are drained first. Who waits says nothing of draining again: it may have been ended
 * meanwhile.
 */
static int change_drain(const struct ctl *ctl, bool on) {
        json_t *answer = NULL;
        int status = ask_drain(ctl, json_pack("{s:b}", "on", (int)on), &answer);

        if (status == CTL_OK && on && ctl->options->wait) {
                json_decref(answer);
                answer = NULL;
                status = ask_drain(ctl, json_pack("{s:b}", "wait", 1), &answer);
        }
        if (!answer)
                return status;
        if (ctl->options->json)
                list_print_json(answer);
        else
                print_drain(ctl, answer, on);
        json_decref(answer);
        return status;
}

int ctl_drain(const struct ctl *ctl) {
        return change_drain(ctl, true);
}

int ctl_undrain(const struct ctl *ctl) {
        return change_drain(ctl, false);
}
