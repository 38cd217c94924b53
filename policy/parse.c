/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file becomes one tenant.
 *
 * inih asks for lines, one at a time. The reader judges each raw line first (policy/lines.h) and takes section headers itself
 * (policy/section.h), for inih would cut their names; assignments go to inih, which hands back key and value at once
 * (policy/keys.h). So while a handler runs, `parser.line` is the line that it came from, and columns and corrections are about
 * what stands in the file. The first error ends it: the reader says that there are no more lines.
 */
#include <errno.h>
#include <ini.h>
#include <string.h>

#include "policy/keys.h"
#include "policy/parser.h"
#include "policy/section.h"

/* A file of this size holds some ten thousands of rules. */
#define POLICY_FILE_MAX (1024u * 1024)

/** The tenant of this file and the file's name, so that what is made points into the policy from the beginning. */
static int add_tenant(struct policy *policy, const char *file, struct policy_tenant **ret, const char **ret_file) {
        char **files = parser_grow(policy->files, policy->n_files, sizeof(*files));
        struct policy_tenant *tenants;

        if (!files)
                return -ENOMEM;
        policy->files = files;
        files[policy->n_files] = strdup(file);
        if (!files[policy->n_files])
                return -ENOMEM;
        ++policy->n_files;

        tenants = parser_grow(policy->tenants, policy->n_tenants, sizeof(*tenants));
        if (!tenants)
                return -ENOMEM;
        policy->tenants = tenants;
        *ret_file = files[policy->n_files - 1];
        tenants[policy->n_tenants] = (struct policy_tenant){ .file = *ret_file };
        *ret = &tenants[policy->n_tenants++];
        return 0;
}

/* ---- inih ---- */

/** Gives inih an assignment as it stands, or an empty line for what has been dealt with. */
static char *give_line(struct parser *p, enum policy_line_kind kind, char *buffer, size_t size) {
        size_t length = kind == POLICY_LINE_ASSIGNMENT ? p->line.length : 0;

        if (length + 2 > size) { /* this inih has a smaller buffer than ours was built for */
                parser_fail_at(p, 0, "the line is longer than %zu bytes; write several", size - 2);
                return NULL;
        }
        memcpy(buffer, p->line.text, length);
        buffer[length] = '\n';
        buffer[length + 1] = '\0';
        return buffer;
}

/** inih's reader, like fgets(): the next line, or NULL at the end and after an error. */
static char *read_line(char *buffer, int size, void *data) {
        struct parser *p = data;
        enum policy_line_kind kind;

        if (p->result < 0 || size < 2 || !policy_line_next(p->text, p->length, &p->line))
                return NULL;
        if (policy_line_classify(&p->line, &kind, &p->complaint) < 0) {
                parser_fail(p, &p->line, &p->complaint);
                return NULL;
        }
        if (kind == POLICY_LINE_SECTION && section_enter(p) < 0)
                return NULL;
        return give_line(p, kind, buffer, (size_t)size);
}

/** inih's handler. @return nonzero on success. */
static int handle(void *data, const char *section, const char *name, const char *value) {
        struct parser *p = data;

        (void)section; /* read_line() keeps it, uncut */
        if (p->result < 0)
                return 0;
        if (p->section == PARSER_NONE) {
                parser_fail_at(p, 0, "a file begins with a section: [Tenant], [Protocol NAME] or [Preopen NAME]");
                return 0;
        }
        return keys_assign(p, name, value) == 0;
}

/** What can be said only when the whole file was read. */
static int finish_file(struct parser *p) {
        int r = section_finish(p);

        if (r < 0)
                return r;
        if (p->tenant->line == 0)
                return parser_fail_whole(p, 0, "[Tenant]", "no [Tenant] section: whose policy is this?");
        return 0;
}

int policy_add_file(struct policy *policy, const char *file, const char *text, size_t length,
                    const struct policy_defaults *defaults, struct policy_error *error) {
        struct parser p = {
                .policy = policy,
                .defaults = defaults,
                .caller_file = file,
                .text = text,
                .length = length,
                .error = error,
        };
        int r;

        if (length > POLICY_FILE_MAX)
                return parser_fail_whole(&p, 0, "", "the file is larger than %u bytes", POLICY_FILE_MAX);
        r = add_tenant(policy, file, &p.tenant, &p.file);
        if (r < 0)
                return r;

        r = ini_parse_stream(read_line, &p, handle, &p);
        if (p.result < 0)
                return p.result;
        if (r < 0) /* inih's buffer, where it is on the heap */
                return -ENOMEM;
        if (r > 0)
                return parser_fail_whole(&p, (unsigned)r, "", "this line cannot be read");
        return finish_file(&p);
}
