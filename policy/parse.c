/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tenant's files become one tenant.
 *
 * inih asks for lines, one at a time. The reader judges each raw line first (policy/lines.h) and takes section headers itself
 * (policy/section.h), for inih would cut their names; assignments go to inih, which hands back key and value at once
 * (policy/keys.h). So while a handler runs, `parser.place` is the line that it came from, and columns and corrections are about
 * what stands in the file. An Include= is read by an inih of its own, inside the handler of its line. The first error ends it: the
 * reader says that there are no more lines.
 */
#include <errno.h>
#include <ini.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "policy/keys.h"
#include "policy/limit.h"
#include "policy/parser.h"
#include "policy/section.h"

/* ---- inih ---- */

/** Gives inih an assignment as it stands, or an empty line for what has been dealt with. */
static char *give_line(struct parser *p, enum policy_line_kind kind, char *buffer, size_t size) {
        size_t length = kind == POLICY_LINE_ASSIGNMENT ? p->place.line.length : 0;

        if (length + 2 > size) { /* this inih has a smaller buffer than ours was built for */
                parser_fail_at(p, 0, "the line is longer than %zu bytes; write several", size - 2);
                return NULL;
        }
        memcpy(buffer, p->place.line.text, length);
        buffer[length] = '\n';
        buffer[length + 1] = '\0';
        return buffer;
}

/** A header begins a section; in an included file there is none to begin. */
static int enter_section(struct parser *p) {
        if (p->place.source->from)
                return parser_fail_at(p, 0,
                                      "an included file has no sections: its lines belong to the section that "
                                      "includes it");
        return section_enter(p);
}

/** inih's reader, like fgets(): the next line, or NULL at the end and after an error. */
static char *read_line(char *buffer, int size, void *data) {
        struct parser *p = data;
        const struct parser_source *source = p->place.source;
        enum policy_line_kind kind;

        if (p->result < 0 || size < 2 || !policy_line_next(source->text, source->length, &p->place.line))
                return NULL;
        if (policy_line_classify(&p->place.line, &kind, &p->complaint) < 0) {
                parser_fail(p, &p->place, &p->complaint);
                return NULL;
        }
        if (kind == POLICY_LINE_SECTION && enter_section(p) < 0)
                return NULL;
        return give_line(p, kind, buffer, (size_t)size);
}

/** inih's handler. @return nonzero on success. */
static int handle(void *data, const char *section, const char *name, const char *value) {
        struct parser *p = data;

        (void)section; /* read_line() keeps it, uncut */
        if (p->result < 0)
                return 0;
        if (!p->section) {
                parser_fail_at(p, 0, "a file begins with a section: %s",
                               p->policy ? "[Tenant], [Protocol NAME] or [Preopen NAME]" : "[Defaults]");
                return 0;
        }
        return keys_assign(p, name, value) == 0;
}

/** Reads one file from its first line to its last; the place where the parser was is taken up again. */
static int read_source(struct parser *p, const struct parser_source *source) {
        struct parser_place before = p->place;
        int r;

        p->place = (struct parser_place){ .source = source };
        r = ini_parse_stream(read_line, p, handle, p);
        if (p->result < 0)
                return p->result;
        if (r < 0) /* inih's buffer, where it is on the heap */
                return parser_fail_memory(p);
        if (r > 0)
                return parser_fail_at(p, 0, "this line cannot be read");
        p->place = before;
        return 0;
}

/* ---- files ---- */

/** The policy's own copy of a file's name, which rules and sections point to. */
static const char *keep_name(struct policy *policy, const char *name) {
        char **files = parser_grow(policy->files, policy->n_files, sizeof(*files));

        if (!files)
                return NULL;
        policy->files = files;
        files[policy->n_files] = strdup(name);
        return files[policy->n_files] ? files[policy->n_files++] : NULL;
}

/**
 * Adds a file to those that are read; there must be room.
 * @return owned by the parser, or NULL without memory
 */
static struct parser_source *add_source(struct parser *p, const char *name, const char *text, size_t length) {
        struct parser_source *source = &p->sources[p->n_sources];
        const char *kept = p->policy ? keep_name(p->policy, name) : name;

        if (!kept)
                return NULL;
        *source = (struct parser_source){ .name = kept, .text = text, .length = length };
        ++p->n_sources;
        p->bytes += length;
        return source;
}

static int complain_about_file(struct parser *p, const char *name, int error) {
        char file[PARSER_QUOTE_MAX];

        nb_escape(name, strlen(name), file, sizeof(file));
        if (error == -ESPIPE)
                return policy_complain(&p->complaint, 0, "cannot read %s: not a regular file", file);
        if (error == -EFBIG)
                return policy_complain(&p->complaint, 0, "cannot read %s: a tenant's files have at most %u bytes", file,
                                       POLICY_TEXT_MAX);
        return policy_complain(&p->complaint, 0, "cannot read %s: %s", file, strerror(-error));
}

/** Whether one more file may be included from the current line. */
static int check_include(struct parser *p) {
        const struct parser_source *source = p->place.source;
        unsigned depth = 0;

        if (!p->loader->include)
                return policy_complain(&p->complaint, 0, "no other files can be read here");
        for (; source->from; source = source->from)
                ++depth;
        if (depth == POLICY_INCLUDE_DEPTH_MAX)
                return policy_complain(&p->complaint, 0, "files include each other at most %d deep",
                                       POLICY_INCLUDE_DEPTH_MAX);
        if (p->n_sources == POLICY_FILES_MAX)
                return policy_complain(&p->complaint, 0, "a tenant has at most %d files, with all that they include",
                                       POLICY_FILES_MAX);
        return 0;
}

/** Whether a file is already being read, by the name that the reader gave it. */
static int check_cycle(struct parser *p, const char *name) {
        for (const struct parser_source *source = p->place.source; source; source = source->from)
                if (strcmp(source->name, name) == 0)
                        return policy_complain(&p->complaint, 0, "the file includes itself");
        return 0;
}

int parser_include(struct parser *p, const char *value) {
        NB_CLEANUP_FREE char *name = NULL, *text = NULL;
        struct parser_source *source;
        size_t length = 0;
        int r = check_include(p);

        if (r < 0)
                return r;
        r = p->loader->include(p->loader->include_data, p->place.source->name, value, &name, &text, &length);
        if (r == -ENOMEM)
                return r;
        if (r == 0)
                r = check_cycle(p, name);
        else
                r = complain_about_file(p, value, r);
        if (r < 0)
                return r;
        if (length > POLICY_TEXT_MAX - p->bytes)
                return complain_about_file(p, value, -EFBIG);

        source = add_source(p, name, text, length);
        if (!source)
                return -ENOMEM;
        source->from = p->place.source;
        source->fragment = source->from->fragment;
        source->owned_name = nb_steal_ptr(name);
        source->owned_text = nb_steal_ptr(text);
        return read_source(p, source);
}

static void free_parser(struct parser *p) {
        for (size_t i = 0; i < p->n_sources; ++i) {
                free(p->sources[i].owned_name);
                free(p->sources[i].owned_text);
        }
        for (size_t i = 0; i < p->n_sections; ++i)
                free(p->sections[i].deferred);
        free(p->sections);
}

/** Reads a fragment, which begins in no section. */
static int read_fragment(struct parser *p, const struct policy_fragment *fragment) {
        unsigned number = p->place.source ? p->place.source->fragment + 1 : 1;
        bool fits = fragment->length <= POLICY_TEXT_MAX - p->bytes;
        struct parser_source *source;

        if (p->n_sources == POLICY_FILES_MAX)
                return parser_fail_whole(p, NULL, "", "a tenant has at most %d files, with all that they include",
                                         POLICY_FILES_MAX);
        source = add_source(p, fragment->file, fragment->text, fits ? fragment->length : 0);
        if (!source)
                return parser_fail_memory(p);
        source->fragment = number;
        p->place = (struct parser_place){ .source = source };
        p->section = NULL;
        if (!fits)
                return parser_fail_whole(p, &p->place, "",
                                         "the file is larger than %u bytes, together with the tenant's others",
                                         POLICY_TEXT_MAX);
        return read_source(p, source);
}

/* ---- a tenant ---- */

static int finish_tenant(struct parser *p) {
        int r;

        if (p->tenant->line == 0)
                return parser_fail_whole(p, NULL, "[Tenant]", "no [Tenant] section: whose policy is this?");
        for (size_t i = 0; i < p->n_sections; ++i) {
                r = section_finish(p, &p->sections[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/** What a tenant is before its files have said anything. */
static struct policy_tenant initial_tenant(const struct policy_defaults *defaults) {
        struct policy_tenant tenant = {
                .explain_denials = defaults->explain_denials,
                .existing = defaults->existing,
                .n_resolvers = defaults->n_resolvers,
                .tokens = defaults->tokens,
                .n_relays = 1,
                .socket = { .uid = POLICY_NOBODY, .gid = POLICY_NOBODY, .mode = POLICY_SESSION_SOCKET_MODE_DEFAULT },
        };

        memcpy(tenant.resolvers, defaults->resolvers, sizeof(tenant.resolvers));
        for (int limit = 0; limit < POLICY_N_LIMITS; ++limit) {
                if (defaults->limits[limit] > 0)
                        tenant.limits[limit] = defaults->limits[limit];
                else if (defaults->unlimited)
                        tenant.limits[limit] = POLICY_UNLIMITED;
                else
                        tenant.limits[limit] = policy_limit_kind((enum policy_limit)limit)->initial;
        }
        return tenant;
}

static struct policy_tenant *add_tenant(struct policy *policy, const struct policy_defaults *defaults) {
        struct policy_tenant *tenants = parser_grow(policy->tenants, policy->n_tenants, sizeof(*tenants));

        if (!tenants)
                return NULL;
        policy->tenants = tenants;
        tenants[policy->n_tenants] = initial_tenant(defaults);
        return &tenants[policy->n_tenants++];
}

static int parse_tenant(struct parser *p, const struct policy_fragment *fragments, size_t n_fragments) {
        int r;

        p->tenant = add_tenant(p->policy, &p->loader->defaults);
        if (!p->tenant)
                return -ENOMEM;
        for (size_t i = 0; i < n_fragments; ++i) {
                r = read_fragment(p, &fragments[i]);
                if (r < 0)
                        return r;
        }
        return finish_tenant(p);
}

int policy_add_tenant(struct policy *policy, const struct policy_fragment *fragments, size_t n_fragments,
                      const struct policy_loader *loader, struct policy_error *error) {
        NB_CLEANUP(free_parser)
        struct parser p = { .policy = policy, .loader = loader, .error = error };

        return parse_tenant(&p, fragments, n_fragments);
}

int policy_add_file(struct policy *policy, const char *file, const char *text, size_t length,
                    const struct policy_defaults *defaults, struct policy_error *error) {
        const struct policy_fragment fragment = { .file = file, .text = text, .length = length };
        const struct policy_loader loader = { .defaults = *defaults };

        return policy_add_tenant(policy, &fragment, 1, &loader, error);
}

/* ---- defaults ---- */

int policy_parse_defaults(const struct policy_fragment *fragment, const struct policy_loader *loader,
                          struct policy_defaults *ret, struct policy_error *error) {
        struct policy_tenant tenant = initial_tenant(&loader->defaults);
        struct policy_protocol protocol = { .data_path = loader->defaults.data_path,
                                            .connect_timeout_ms = loader->defaults.connect_timeout_ms };
        NB_CLEANUP(free_parser)
        struct parser p = { .loader = loader,
                            .tenant = &tenant,
                            .protocol = &protocol,
                            .require_seal = loader->defaults.require_seal,
                            .error = error };
        int r;

        r = read_fragment(&p, fragment);
        if (r < 0)
                return r;
        if (p.n_sections == 0)
                return parser_fail_whole(&p, NULL, "[Defaults]", "no [Defaults] section");

        *ret = (struct policy_defaults){
                .data_path = protocol.data_path,
                .require_seal = p.require_seal,
                .unlimited = loader->defaults.unlimited,
                .explain_denials = tenant.explain_denials,
                .existing = tenant.existing,
                .connect_timeout_ms = protocol.connect_timeout_ms,
                .n_resolvers = tenant.n_resolvers,
                .tokens = tenant.tokens,
        };
        memcpy(ret->limits, tenant.limits, sizeof(ret->limits));
        memcpy(ret->resolvers, tenant.resolvers, sizeof(ret->resolvers));
        return 0;
}
