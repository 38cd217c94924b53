/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files: the input is one, or several, of which each begins with a line "=== NAME":
 *
 *     (what stands before the first such line)   the tenant's own file
 *     === defaults                               a file with a [Defaults] section
 *     === +NAME                                  a drop-in
 *     === NAME                                   what Include=NAME reads
 *
 * They become a policy, or an error that can be shown: printable, with its place in one of the files; and where a line is suggested instead, that
 * line does not have the same mistake. What is printed of a policy is a policy of which the same is printed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "policy";

#define FILES_MAX 8
#define NAME_LENGTH_MAX 31
#define HEADER "=== "

struct file {
        char name[NAME_LENGTH_MAX + 1];
        const char *text; /* borrowed from the input */
        size_t length;
};

struct files {
        struct file files[FILES_MAX]; /* the tenant's own first */
        size_t n;
};

/* ---- reading the input ---- */

static bool is_header(const struct fuzz_line *line) {
        size_t length = strlen(HEADER);

        return line->length > length && line->length <= length + NAME_LENGTH_MAX &&
               memcmp(line->text, HEADER, length) == 0 && !memchr(line->text, '\0', line->length);
}

static void split(const char *text, size_t length, struct files *ret) {
        struct file *file = &ret->files[0];
        struct fuzz_line line;

        *ret = (struct files){ .files = { { .name = "acme.conf", .text = text } }, .n = 1 };
        while (fuzz_next_line(&text, &length, &line)) {
                if (ret->n == FILES_MAX || !is_header(&line)) {
                        file->length = (size_t)(text - file->text);
                        continue;
                }
                file = &ret->files[ret->n++];
                memcpy(file->name, line.text + strlen(HEADER), line.length - strlen(HEADER));
                file->text = text;
        }
}

/** Behind the tenant's own. @return NULL if there is none */
static const struct file *find_file(const struct files *files, const char *name) {
        for (size_t i = 1; i < files->n; ++i)
                if (strcmp(files->files[i].name, name) == 0)
                        return &files->files[i];
        return NULL;
}

static int include(void *data, const char *from, const char *path, char **ret_file, char **ret_text,
                   size_t *ret_length) {
        const struct file *file = find_file(data, path);

        FUZZ_CHECK(from, "included from nowhere: %s", path);
        if (!file)
                return -ENOENT;
        *ret_file = strdup(path);
        *ret_text = fuzz_text((const uint8_t *)file->text, file->length);
        *ret_length = file->length;
        FUZZ_CHECK(*ret_file, "no memory");
        return 0;
}

static struct policy_fragment fragment_of(const struct file *file) {
        return (struct policy_fragment){ .file = file->name, .text = file->text, .length = file->length };
}

static int parse_defaults(const struct files *files, struct policy_loader *loader, struct policy_error *error) {
        const struct file *file = find_file(files, "defaults");
        struct policy_fragment fragment;

        if (!file)
                return 0;
        fragment = fragment_of(file);
        return policy_parse_defaults(&fragment, loader, &loader->defaults, error);
}

/** @return 0 and the policy, owned by the caller; or -EINVAL */
static int parse(struct files *files, struct policy_error *error, struct policy **ret) {
        struct policy_loader loader = { .include = include, .include_data = files };
        struct policy_fragment fragments[FILES_MAX] = { fragment_of(&files->files[0]) };
        struct policy *policy;
        size_t n = 1;
        int r = parse_defaults(files, &loader, error);

        if (r == 0) {
                policy = policy_new();
                FUZZ_CHECK(policy, "no memory");
                for (size_t i = 1; i < files->n; ++i)
                        if (files->files[i].name[0] == '+')
                                fragments[n++] = fragment_of(&files->files[i]);
                r = policy_add_tenant(policy, fragments, n, &loader, error);
                *ret = r < 0 ? policy_free(policy) : policy;
        }
        FUZZ_CHECK(r == 0 || r == -EINVAL, "%d", r);
        return r;
}

/* ---- errors ---- */

static void check_can_be_shown(const struct policy_error *error) {
        char message[2048];

        policy_error_format(error, message, sizeof(message));
        FUZZ_CHECK(strstr(message, " error: "), "%s", message);
        for (const char *c = message; *c; ++c)
                FUZZ_CHECK(*c == '\n' || (*c >= ' ' && *c <= '~'), "byte %02x in: %s", (unsigned char)*c, message);
        FUZZ_CHECK(error->line > 0 || error->column == 0, "%s", message);
}

/** Puts the suggested line in the place of the wrong one, and looks at what is said then. */
static void check_correction(const struct policy_error *error, const struct file *file) {
        NB_CLEANUP_FREE char *corrected = malloc(file->length + sizeof(error->correct) + 1);
        const char *rest = file->text;
        size_t rest_length = file->length, used;
        struct fuzz_line line = { 0 };
        struct policy_error next;
        struct policy *policy = NULL;
        struct files files;

        FUZZ_CHECK(corrected, "no memory");
        for (unsigned i = 0; i < error->line; ++i)
                FUZZ_CHECK(fuzz_next_line(&rest, &rest_length, &line), "there is no line %u", error->line);
        used = (size_t)(line.text - file->text);
        memcpy(corrected, file->text, used);
        used += (size_t)snprintf(corrected + used, sizeof(error->correct) + 1, "%s\n", error->correct);
        memcpy(corrected + used, rest, rest_length);
        split(corrected, used + rest_length, &files);
        if (parse(&files, &next, &policy) < 0)
                FUZZ_CHECK(next.line != error->line || strcmp(next.message, error->message) != 0,
                           "\"%s\" is suggested, and then: %s", error->correct, next.message);
        policy_free(policy);
}

static void check_error(const struct policy_error *error, const struct files *files) {
        check_can_be_shown(error);
        if (files->n > 1 || error->correct[0] == '\0' ||
            error->column == 0) /* without a column it is a line to be added */
                return;
        check_correction(error, &files->files[0]);
}

/* ---- printing ---- */

/** @return owned by the caller */
static char *print(const struct policy *policy) {
        char *text;

        FUZZ_CHECK(policy->n_tenants == 1, "%zu tenants", policy->n_tenants);
        text = policy_format_tenant(&policy->tenants[0]);
        FUZZ_CHECK(text, "no memory");
        return text;
}

static void check_printed(const struct policy *policy) {
        NB_CLEANUP_FREE char *text = print(policy), *again = NULL;
        struct policy *printed = NULL;
        struct policy_error error;
        struct files files = { .n = 1 };

        files.files[0] = (struct file){ .name = "printed", .text = text, .length = strlen(text) };
        FUZZ_CHECK(parse(&files, &error, &printed) == 0, "line %u: %s: %s, in\n%s", error.line, error.source,
                   error.message, text);
        again = print(printed);
        policy_free(printed);
        FUZZ_CHECK(strcmp(text, again) == 0, "\n%s\nbecomes\n%s", text, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE char *text = fuzz_text(data, size);
        struct policy *policy = NULL;
        struct policy_error error;
        struct files files;

        split(text, size, &files);
        if (parse(&files, &error, &policy) == 0)
                check_printed(policy);
        else
                check_error(&error, &files);
        policy_free(policy);
        return 0;
}
