/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/list.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "ctl/ask.h"

#define INDENTED (JSON_INDENT(2) | JSON_ENSURE_ASCII)

struct listing {
        bool json;
        size_t n;
        struct table table;
};

static int take_line(void *data, const json_t *line) {
        struct listing *listing = data;
        NB_CLEANUP_FREE char *text = NULL;

        if (!listing->json && table_add(&listing->table, line) < 0) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        if (listing->json) {
                text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
                printf("%s\n  %s", listing->n > 0 ? "," : "", text ? text : "null");
        }
        listing->n++;
        return CTL_OK;
}

int list_ask(const struct ctl *ctl, json_t *request, const struct table_column *columns, size_t n_columns) {
        struct listing listing = { .json = ctl->options->json };
        int status;

        table_init(&listing.table, columns, n_columns);
        if (listing.json)
                printf("[");
        status = ask_broker(ctl->options->admin_socket, request, take_line, &listing);
        if (listing.json)
                printf("%s]\n", listing.n > 0 ? "\n" : "");
        else if (status == CTL_OK || listing.n > 0)
                (void)table_print(&listing.table, stdout);
        table_deinit(&listing.table);
        return status;
}

static int keep_line(void *data, const json_t *line) {
        json_t *lines = data;

        return json_array_append(lines, (json_t *)line) == 0 ? CTL_OK : CTL_NO;
}

int list_collect(const struct ctl *ctl, json_t *request, json_t **ret) {
        json_t *lines = json_array();
        int status;

        if (!lines) {
                json_decref(request);
                ctl_complain("out of memory");
                return CTL_NO;
        }
        status = ask_broker(ctl->options->admin_socket, request, keep_line, lines);
        if (json_array_size(lines) == 0) {
                json_decref(lines);
                if (status == CTL_OK)
                        ctl_complain("netbrokerd has answered nothing");
                return status == CTL_OK ? CTL_UNREACHABLE : status;
        }
        *ret = lines;
        return status;
}

int list_ask_one(const struct ctl *ctl, json_t *request, json_t **ret) {
        json_t *lines = NULL;
        int status = list_collect(ctl, request, &lines);

        if (status == CTL_OK)
                *ret = json_incref(json_array_get(lines, json_array_size(lines) - 1));
        json_decref(lines);
        return status;
}

void list_print_json(const json_t *object) {
        NB_CLEANUP_FREE char *text = json_dumps(object, INDENTED);

        puts(text ? text : "null");
}

void list_print_text(const char *text) {
        char shown[1024];

        puts(text ? nb_escape(text, strlen(text), shown, sizeof(shown)) : "-");
}
