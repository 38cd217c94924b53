/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/seen_list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/ask.h"

void seen_list_deinit(struct seen_list *list) {
        free(list->frame);
        json_decref(list->entries);
        json_decref(list->index);
        *list = (struct seen_list){ .frame = NULL };
}

/* ---- from netbrokerd ---- */

static int take_line(void *data, const json_t *line) {
        struct seen_list *list = data;
        const char *frame = json_string_value(json_object_get(line, "frame"));

        if (frame)
                list->frame = strdup(frame);
        else if (json_object_get(line, "left_out"))
                list->n_left_out = (long long)json_integer_value(json_object_get(line, "left_out"));
        else if (json_array_append(list->entries, (json_t *)line) < 0)
                return CTL_NO;
        return CTL_OK;
}

int seen_list_ask(struct seen_list *list, const struct ctl *ctl, const char *tenant) {
        *list = (struct seen_list){ .entries = json_array() };
        return ask_broker(ctl->options->admin_socket, json_pack("{s:s, s:s}", "verb", "suggest", "tenant", tenant),
                          take_line, list);
}

/* ---- from an audit file ---- */

static const char *text_of(const json_t *record, const char *key) {
        return json_string_value(json_object_get(record, key));
}

/* As seen_note() of the broker is told it: an address that a name led to stands behind the name. */
static bool target_of(const json_t *record, char *buffer, size_t size) {
        const char *name = text_of(record, "name"), *address = text_of(record, "address");
        const char *resolved = text_of(record, "resolved");
        const char *target = name ? name : address;
        int n;

        if (!target || !*target)
                return false;
        n = resolved ? snprintf(buffer, size, "%s => %s", target, resolved) : snprintf(buffer, size, "%s", target);
        return n > 0 && (size_t)n < size;
}

static void add(json_t *entry, const char *key, long long n) {
        (void)json_object_set_new(entry, key, json_integer(json_integer_value(json_object_get(entry, key)) + n));
}

static json_t *find_or_make(struct seen_list *list, const char *protocol, const char *operation, const char *target) {
        char key[512];
        json_t *entry;

        (void)snprintf(key, sizeof(key), "%s %s %s", protocol, operation, target);
        entry = json_object_get(list->index, key);
        if (entry || json_array_size(list->entries) >= SEEN_LIST_MAX)
                return entry;
        entry = json_pack("{s:s, s:s, s:s, s:i, s:i}", "protocol", protocol, "operation", operation, "target", target,
                          "n", 0, "denied", 0);
        (void)json_object_set(list->index, key, entry);
        (void)json_array_append_new(list->entries, entry);
        return entry;
}

/* What netbrokerd writes is. Others may write to the same log, and what is suggested is made of lines. */
static bool is_printable(const char *text) {
        while (*text >= ' ' && *text <= '~')
                ++text;
        return *text == '\0';
}

static void take_record(struct seen_list *list, const json_t *record, const char *tenant) {
        const char *operation = text_of(record, "verb"), *protocol = text_of(record, "protocol");
        const char *its = text_of(record, "tenant"), *verdict = text_of(record, "verdict");
        bool is_allowed;
        char target[400];
        json_t *entry;

        if (!its || strcmp(its, tenant) != 0 || !protocol || !operation || !verdict ||
            (strcmp(operation, "connect") != 0 && strcmp(operation, "listen") != 0) ||
            !target_of(record, target, sizeof(target)) || !is_printable(protocol) || !is_printable(target))
                return;
        is_allowed = strcmp(verdict, "allowed") == 0;
        /* What a name leads to is of interest only where it is refused. */
        if (is_allowed && text_of(record, "resolved"))
                return;
        entry = find_or_make(list, protocol, operation, target);
        if (!entry) {
                list->n_left_out++;
                return;
        }
        add(entry, "n", 1);
        add(entry, "denied", is_allowed ? 0 : 1);
        if (text_of(record, "type"))
                (void)json_object_set(entry, "type", json_object_get(record, "type"));
}

static void close_file(FILE **file) {
        if (*file)
                (void)fclose(*file);
}

/* In a log that is kept in a file, records stand behind the log's own words. */
static const char *record_in(const char *line) {
        return strchr(line, '{');
}

int seen_list_read(struct seen_list *list, const char *path, const char *tenant) {
        NB_CLEANUP(close_file) FILE *file = fopen(path, "re");
        NB_CLEANUP_FREE char *line = NULL;
        size_t allocated = 0, n_records = 0;

        *list = (struct seen_list){ .entries = json_array(), .index = json_object() };
        if (!file) {
                ctl_complain("cannot read the audit file %s: %s", path, strerror(errno));
                return CTL_BAD;
        }
        while (getline(&line, &allocated, file) >= 0) {
                const char *text = record_in(line);
                json_t *record = text ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;

                n_records += record != NULL;
                if (record)
                        take_record(list, record, tenant);
                json_decref(record);
        }
        if (n_records > 0)
                return CTL_OK;
        ctl_complain("%s has no audit record; it is what `netbrokerd --audit %s` writes", path, path);
        return CTL_BAD;
}
