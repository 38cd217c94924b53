/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command watch: records of the audit as they happen, a line each.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "ctl/client.h"
#include "ctl/command.h"

static const char *text_of(const json_t *record, const char *key) {
        const char *text = json_string_value(json_object_get(record, key));

        return text ? text : "-";
}

/* What was asked for, as it was judged. */
static const char *target_of(const json_t *record) {
        const char *const keys[] = { "name", "address", "asked" };

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); ++i) {
                if (json_object_get(record, keys[i]))
                        return text_of(record, keys[i]);
        }
        return "-";
}

/* The rule, or the words of a refusal. */
static const char *why(const json_t *record) {
        return json_object_get(record, "reason") ? text_of(record, "reason") : text_of(record, "rule");
}

static void print_text(const char *before, const char *text, int width) {
        char shown[1024];

        printf("%s%-*s", before, width, nb_escape(text, strlen(text), shown, sizeof(shown)));
}

static void print_record(const json_t *record) {
        const char *time = text_of(record, "time"), *clock = strchr(time, 'T');

        print_text("", clock ? clock + 1 : time, 13);
        print_text(" ", text_of(record, "verdict"), 8);
        print_text(" ", text_of(record, "tenant"), 8);
        print_text(" ", text_of(record, "protocol"), 6);
        print_text(" ", text_of(record, "verb"), 7);
        print_text(" ", target_of(record), 0);
        if (json_object_get(record, "resolved"))
                print_text(" => ", text_of(record, "resolved"), 0);
        print_text("  ", why(record), 0);
        putchar('\n');
}

static void print_json(const json_t *record) {
        NB_CLEANUP_FREE char *text = json_dumps(record, JSON_COMPACT | JSON_ENSURE_ASCII);

        puts(text ? text : "null");
}

static int take_record(void *data, const json_t *record) {
        const struct ctl *ctl = data;
        const json_t *lost = json_object_get(record, "lost");

        if (json_object_get(record, "watching") && !ctl->options->json)
                return CTL_OK;
        if (ctl->options->json)
                print_json(record);
        else if (lost)
                printf("-- %lld records lost: they were not read in time\n", (long long)json_integer_value(lost));
        else
                print_record(record);
        /* Who reads is waiting for each line; one that has gone away ends this. */
        return fflush(stdout) == 0 ? CTL_OK : CTL_NO;
}

int ctl_watch(const struct ctl *ctl) {
        const struct options *options = ctl->options;
        json_t *request =
                json_pack("{s:s, s:s*, s:s*, s:s*, s:s*}", "verb", "watch", "tenant", options->tenant, "verdict",
                          options->verdict, "operation", options->verb, "protocol", options->protocol);

        return client_ask(options->admin_socket, request, take_record, (void *)ctl);
}
