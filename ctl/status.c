/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command status: how netbrokerd is.
 */
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "ctl/command.h"
#include "ctl/list.h"
#include "ctl/merge.h"

static void print_line(const char *title, const char *text) {
        char shown[1024];

        printf("%-12s %s\n", title, nb_escape(text, strlen(text), shown, sizeof(shown)));
}

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "-";
}

static long long number_of(const json_t *object, const char *key) {
        return (long long)json_integer_value(json_object_get(object, key));
}

static void print_uptime(const json_t *status) {
        long long seconds = number_of(status, "uptime_s");
        char text[128];

        (void)snprintf(text, sizeof(text), "%lld d %02lld:%02lld:%02lld, since %s", seconds / 86400,
                       seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, text_of(status, "started"));
        print_line("up:", text);
}

static void print_policy(const json_t *policy) {
        const json_t *error = json_object_get(policy, "last_error");
        char text[512];

        (void)snprintf(text, sizeof(text), "%s, tenants: %lld, loaded %s", text_of(policy, "path"),
                       number_of(policy, "tenants"), text_of(policy, "loaded"));
        print_line("policy:", text);
        if (!json_is_object(error))
                return;
        (void)snprintf(text, sizeof(text),
                       "a reload at %s failed; this policy stays in force:", text_of(error, "time"));
        print_line("error:", text);
        /* netbrokerd has made it printable; its lines are kept. */
        printf("%s\n", text_of(error, "message"));
}

static void print_walls(const json_t *walls) {
        char text[128];

        (void)snprintf(text, sizeof(text), "system calls: %s, files: %s, tracing: %s%s",
                       json_is_true(json_object_get(walls, "system_calls")) ? "yes" : "no",
                       json_is_true(json_object_get(walls, "files")) ? "yes" : "no",
                       json_is_true(json_object_get(walls, "hidden")) ? "yes" : "no",
                       json_is_true(json_object_get(walls, "starts_programs")) ? "; it starts relays itself" : "");
        print_line("walls:", text);
}

static void print_keeper(const json_t *keeper) {
        char text[128];

        if (json_is_object(keeper))
                (void)snprintf(text, sizeof(text), "%s, entries: %lld, unsent: %lld, refused: %lld",
                               text_of(keeper, "state"), number_of(keeper, "kept"), number_of(keeper, "unsent"),
                               number_of(keeper, "refused"));
        print_line("keeper:", json_is_object(keeper) ? text : "-");
}

static void print_restored(const json_t *restored) {
        char text[256];

        if (!json_is_object(restored))
                return;
        (void)snprintf(text, sizeof(text),
                       "sessions: %lld, controls: %lld, relays: %lld, connections: %lld, dropped: %lld",
                       number_of(restored, "sessions"), number_of(restored, "controls"), number_of(restored, "relays"),
                       number_of(restored, "connections"), number_of(restored, "dropped"));
        print_line("taken back:", text);
}

static void print_audit(const json_t *audit) {
        printf("%-12s records: %lld, left out: %lld, lost: %lld\n", "audit:", number_of(audit, "written"),
               number_of(audit, "suppressed"), number_of(audit, "lost"));
}

static void print_counts(json_t *counts) {
        for (void *i = json_object_iter(counts); i; i = json_object_iter_next(counts, i)) {
                char title[64];

                (void)snprintf(title, sizeof(title), "%.48s:", json_object_iter_key(i));
                printf("%-12s %lld\n", title, (long long)json_integer_value(json_object_iter_value(i)));
        }
}

static void print_relays(const json_t *relays) {
        printf("%-12s running: %lld, links: %lld, crashes: %lld\n", "relays:", number_of(relays, "running"),
               number_of(relays, "links"), number_of(relays, "crashes"));
}

static void print_seal(const json_t *seal) {
        if (json_is_true(json_object_get(seal, "proven")))
                print_line("seal:", "proven");
        else
                print_line("seal:", text_of(seal, "why_not"));
}

static void print_texts(const char *title, const json_t *array) {
        for (size_t i = 0; i < json_array_size(array); ++i) {
                const char *text = json_string_value(json_array_get(array, i));

                print_line(title, text ? text : "-");
        }
}

static void print_shard(const json_t *shard) {
        const json_t *status = json_object_get(shard, "status"), *counts = json_object_get(status, "counts");
        char title[32], text[256];
        int n;

        (void)snprintf(title, sizeof(title), "shard %lld:", number_of(shard, "shard"));
        n = snprintf(text, sizeof(text), "%.32s, pid %lld, starts: %lld", text_of(shard, "state"),
                     number_of(shard, "pid"), number_of(shard, "starts"));
        if (!json_is_object(status))
                (void)snprintf(text + n, sizeof(text) - (size_t)n, "; it has not answered");
        else
                (void)snprintf(text + n, sizeof(text) - (size_t)n,
                               ", tenants: %lld, sessions: %lld, listeners: %lld, connections: %lld",
                               number_of(json_object_get(status, "policy"), "tenants"), number_of(counts, "sessions"),
                               number_of(counts, "listeners"), number_of(counts, "connections"));
        print_line(title, text);
}

static void print_shards(const json_t *shards) {
        for (size_t i = 0; i < json_array_size(shards); ++i)
                print_shard(json_array_get(shards, i));
}

static void print_one(const json_t *status) {
        char text[128];

        (void)snprintf(text, sizeof(text), "%s, pid %lld", text_of(status, "version"), number_of(status, "pid"));
        print_line("netbrokerd:", text);
        print_uptime(status);
        print_policy(json_object_get(status, "policy"));
        print_line("log level:", text_of(status, "log_level"));
        print_line("helper:", text_of(status, "helper"));
        print_seal(json_object_get(status, "seal"));
        print_walls(json_object_get(status, "walls"));
        print_keeper(json_object_get(status, "keeper"));
        print_restored(json_object_get(status, "restored"));
        print_audit(json_object_get(status, "audit"));
        printf("%-12s %lld\n", "resolvers:", number_of(status, "resolvers"));
        print_relays(json_object_get(status, "relays"));
        print_counts(json_object_get(status, "counts"));
        print_shards(json_object_get(status, "shards"));
        print_texts("warning:", json_object_get(status, "warnings"));
}

/* ---- of several processes ---- */

/* What is one process's, such as its age, stands with the front and in a shard's own status. */
static const char *const merged_members[] = {
        "helper",    "walls",  "keeper", "restored", "drain",         "audit",
        "resolvers", "relays", "counts", "warnings", "admin_clients", NULL,
};

/* @param lines  the first is the front's @return what shard `number` has said, borrowed; NULL: nothing */
static json_t *find_answer(const json_t *lines, json_int_t number) {
        for (size_t i = 1; i < json_array_size(lines); ++i) {
                json_t *line = json_array_get(lines, i);

                if (json_integer_value(json_object_get(line, "shard")) == number)
                        return line;
        }
        return NULL;
}

/* One status of all, with that of each shard under "shards", and null for one that has not answered. @return owned by the caller */
static json_t *put_together(const json_t *lines) {
        json_t *all = json_deep_copy(json_array_get(lines, 0)), *shards = json_object_get(all, "shards");

        for (size_t i = 0; i < json_array_size(shards); ++i) {
                json_t *shard = json_array_get(shards, i);
                json_t *answer = find_answer(lines, json_integer_value(json_object_get(shard, "shard")));

                (void)json_object_set_new(shard, "status", answer ? json_incref(answer) : json_null());
                if (answer)
                        merge_into(all, answer, merged_members);
        }
        return all;
}

/* ---- the command ---- */

int ctl_status_run(const struct ctl *ctl) {
        json_t *lines = NULL, *all;
        int status = list_collect(ctl, json_pack("{s:s}", "verb", "status"), &lines);

        if (!lines)
                return status;
        all = put_together(lines);
        if (ctl->options->json)
                list_print_json(all);
        else
                print_one(all);
        json_decref(all);
        json_decref(lines);
        return status;
}
