/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/section.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/grants.h"
#include "policy/preopen.h"
#include "policy/proxy_keys.h"
#include "policy/quic_keys.h"
#include "policy/suggest.h"
#include "policy/tenant_keys.h"
#include "policy/tls_keys.h"
#include "policy/value.h"
#include "policy/verdict.h"

static const char *const section_words[] = { "Tenant", "Protocol", "Preopen", "Defaults" };

/** The name of a protocol or preopened socket. @return NULL for another section. */
static const char *section_name(const struct parser *p, const struct parser_section *section) {
        if (section->kind == PARSER_PROTOCOL)
                return p->tenant->protocols[section->index].name;
        if (section->kind == PARSER_PREOPEN)
                return p->tenant->preopens[section->index].protocol.name;
        return NULL;
}

/* ---- the end of a section ---- */

/** Times of what the section has not. */
static int check_timeouts(struct parser *p) {
        const struct policy_protocol *protocol = p->protocol;
        bool listens = policy_has_rule(protocol, POLICY_RULE_LISTEN);

        if (protocol->family == POLICY_FAMILY_QUIC)
                return 0; /* connections of both roles have both */
        if (parser_is_set(p, PARSER_KEY_HANDSHAKE_TIMEOUT) && !policy_has_handshake(protocol, POLICY_ACCEPT))
                return parser_fail_value(p, PARSER_KEY_HANDSHAKE_TIMEOUT,
                                         "HandshakeTimeout= is for TLS=server and AcceptProxyHeader=, and [%s %s] has "
                                         "neither",
                                         policy_section_word(protocol), protocol->name);
        if (parser_is_set(p, PARSER_KEY_IDLE_TIMEOUT) && (!listens || !(protocol->socket_types & POLICY_SOCKET_DGRAM)))
                return parser_fail_value(p, PARSER_KEY_IDLE_TIMEOUT,
                                         "IdleTimeout= is for servers of datagrams: it takes Listen= and "
                                         "SocketTypes=dgram");
        return 0;
}

/** What protocols and preopened sockets have in common. */
static int finish_grants(struct parser *p) {
        struct policy_protocol *protocol = p->protocol;
        int r = quic_keys_finish(p);

        if (r < 0)
                return r;
        if (protocol->socket_types == 0)
                protocol->socket_types = POLICY_SOCKET_STREAM;
        if (protocol->family == POLICY_FAMILY_UNIX && (protocol->socket_types & POLICY_SOCKET_DGRAM) &&
            protocol->data_path == POLICY_DATA_PATH_DIRECT)
                return parser_fail_value(p, PARSER_KEY_SOCKET_TYPES,
                                         "datagrams between Unix sockets go through the relay, for such a socket sends "
                                         "to every other: write DataPath=relay, or leave it out");
        if (parser_is_set(p, PARSER_KEY_SOCKET_MODE) && !policy_listens_on_path(protocol))
                return parser_fail_value(
                        p, PARSER_KEY_SOCKET_MODE,
                        "SocketMode= is for the sockets that a guest binds to paths, and [%s %s] has no "
                        "Listen= for a path",
                        policy_section_word(protocol), protocol->name);
        r = tls_keys_finish(p);
        if (r == 0)
                r = proxy_keys_finish(p);
        return r < 0 ? r : check_timeouts(p);
}

static int finish_protocol(struct parser *p) {
        int r;

        if (!parser_is_set(p, PARSER_KEY_FAMILY))
                return parser_fail_whole(p, &p->section->header, "Family=ip",
                                         "[Protocol %s] needs Family=: ip, ipv4, ipv6, unix or quic",
                                         p->protocol->name);
        if (parser_is_set(p, PARSER_KEY_ADDRESSES) && p->protocol->family == POLICY_FAMILY_UNIX)
                return parser_fail_value(p, PARSER_KEY_ADDRESSES,
                                         "Addresses= says what names of hosts may resolve to, and [Protocol %s] has "
                                         "Family=unix",
                                         p->protocol->name);
        r = grants_take(p);
        return r < 0 ? r : finish_grants(p);
}

static int finish_preopen_type(struct parser *p) {
        if (p->protocol->socket_types == (POLICY_SOCKET_STREAM | POLICY_SOCKET_DGRAM))
                return parser_fail_value(p, PARSER_KEY_SOCKET_TYPES,
                                         "a preopened socket has one type: stream or dgram");
        p->preopen->type = (enum policy_socket_type)p->protocol->socket_types;
        if (p->preopen->type == POLICY_SOCKET_DGRAM && p->preopen->verb == POLICY_LISTEN)
                return parser_fail_value(
                        p, PARSER_KEY_SOCKET_TYPES,
                        "a preopened socket of datagrams connects: for a server of datagrams write a [Protocol NAME]");
        return 0;
}

/** A Deny rule beside it could forbid it, and some IPv6 addresses take more than one rule. */
static int check_preopen_is_granted(struct parser *p) {
        bool listens = p->preopen->verb == POLICY_LISTEN;
        struct policy_verdict verdict;

        policy_decide(p->protocol, p->preopen->verb, &p->preopen->address, &verdict);
        if (verdict.allowed)
                return 0;
        return parser_fail_value(p, listens ? PARSER_KEY_PREOPEN_LISTEN : PARSER_KEY_PREOPEN_CONNECT,
                                 "this socket is never granted: %s", verdict.reason);
}

/** Whether an earlier section is a listener where the current one is to listen. */
static bool collides(const struct parser *p, const struct parser_section *other) {
        const struct policy_preopen *preopen;

        if (other->kind != PARSER_PREOPEN)
                return false;
        preopen = &p->tenant->preopens[other->index];
        return preopen->verb == POLICY_LISTEN && policy_preopen_collides(&preopen->address, &p->preopen->address);
}

static int check_preopen_collisions(struct parser *p) {
        const struct parser_place *place = &p->section->set_in[PARSER_KEY_PREOPEN_LISTEN];

        if (p->preopen->verb != POLICY_LISTEN)
                return 0;
        for (const struct parser_section *other = p->sections; other < p->section; ++other)
                if (collides(p, other))
                        return parser_fail_value(p, PARSER_KEY_PREOPEN_LISTEN,
                                                 "[Preopen %s], in %s, listens there already", section_name(p, other),
                                                 parser_place_text(place, &other->header).text);
        return 0;
}

static int finish_preopen(struct parser *p) {
        int r;

        if (!parser_is_set(p, PARSER_KEY_PREOPEN_LISTEN) && !parser_is_set(p, PARSER_KEY_PREOPEN_CONNECT))
                return parser_fail_whole(p, &p->section->header, "Listen=127.0.0.1:8080",
                                         "[Preopen %s] needs Listen= or Connect=, with one address", p->protocol->name);
        r = grants_take(p);
        if (r < 0)
                return r;
        if (p->preopen->verb == POLICY_LISTEN && parser_is_set(p, PARSER_KEY_CONNECT_TIMEOUT))
                return parser_fail_value(p, PARSER_KEY_CONNECT_TIMEOUT,
                                         "ConnectTimeout= is for Connect=, and [Preopen %s] listens",
                                         p->protocol->name);
        if (!parser_is_set(p, PARSER_KEY_NONBLOCK))
                p->preopen->nonblock = p->preopen->verb == POLICY_LISTEN;
        r = finish_grants(p);
        if (r == 0)
                r = finish_preopen_type(p);
        if (r == 0)
                r = check_preopen_is_granted(p);
        return r < 0 ? r : check_preopen_collisions(p);
}

/** A key about the tenant's socket, without that socket. */
static int check_socket_keys(struct parser *p) {
        static const enum parser_key keys[] = { PARSER_KEY_SOCKET_USER, PARSER_KEY_SOCKET_GROUP,
                                                PARSER_KEY_SESSION_SOCKET_MODE };

        if (parser_is_set(p, PARSER_KEY_SOCKET))
                return 0;
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); ++i)
                if (parser_is_set(p, keys[i]))
                        return parser_fail_value(p, keys[i],
                                                 "this is about the tenant's own socket, and [Tenant] has no Socket=");
        return 0;
}

/** By its own socket a session is one tenant's, and no other's. */
static int claim_socket(struct parser *p) {
        const struct policy_tenant *other;
        const char *path = p->tenant->socket.path;
        size_t index;

        if (!path)
                return 0;
        if (policy_table_find(&p->policy->sockets, path, &index)) {
                other = &p->policy->tenants[index];
                return parser_fail_value(p, PARSER_KEY_SOCKET, "tenant %s has this socket already, at %s", other->name,
                                         policy_place(other->socket.file, other->socket.line).text);
        }
        if (policy_table_add(&p->policy->sockets, path, (size_t)(p->tenant - p->policy->tenants)) < 0)
                return parser_fail_memory(p);
        return 0;
}

static int finish_tenant(struct parser *p) {
        int r;

        if (!p->tenant->name)
                return parser_fail_whole(p, &p->section->header, "Name=acme", "[Tenant] needs Name=");
        r = check_socket_keys(p);
        if (r == 0)
                r = tenant_check_tokens(p);
        return r < 0 ? r : claim_socket(p);
}

int section_finish(struct parser *p, struct parser_section *section) {
        parser_select(p, section);
        switch (section->kind) {
        case PARSER_PROTOCOL:
                return finish_protocol(p);
        case PARSER_PREOPEN:
                return finish_preopen(p);
        case PARSER_TENANT:
                return finish_tenant(p);
        default:
                return 0;
        }
}

/* ---- the beginning of a section ---- */

/** Adds the section whose header is the current line, and makes it the current one. */
static int add_section(struct parser *p, enum parser_section_kind kind, size_t index) {
        struct parser_section *sections = parser_grow(p->sections, p->n_sections, sizeof(*sections));

        if (!sections)
                return parser_fail_memory(p);
        p->sections = sections;
        sections[p->n_sections] = (struct parser_section){
                .kind = kind,
                .index = index,
                .fragment = p->place.source->fragment,
                .header = p->place,
        };
        parser_select(p, &sections[p->n_sections++]);
        return 0;
}

/** Goes on with a section that a drop-in names again. */
static int continue_section(struct parser *p, struct parser_section *section) {
        section->fragment = p->place.source->fragment;
        parser_select(p, section);
        return 0;
}

/** The section of a kind that has no name. @return NULL if there is none yet. */
static struct parser_section *find_section(const struct parser *p, enum parser_section_kind kind) {
        for (size_t i = 0; i < p->n_sections; ++i)
                if (p->sections[i].kind == kind)
                        return &p->sections[i];
        return NULL;
}

static struct parser_section *find_named_section(const struct parser *p, const char *name) {
        for (size_t i = 0; i < p->n_sections; ++i) {
                const char *other = section_name(p, &p->sections[i]);

                if (other && strcmp(other, name) == 0)
                        return &p->sections[i];
        }
        return NULL;
}

/** [Tenant] or [Defaults]. */
static int enter_unnamed(struct parser *p, enum parser_section_kind kind) {
        struct parser_section *section = find_section(p, kind);
        const char *word = kind == PARSER_TENANT ? "Tenant" : "Defaults";

        if (section && section->fragment == p->place.source->fragment)
                return parser_fail_at(p, 0, "a second [%s], after %s: a file holds one%s", word,
                                      parser_place_text(&p->place, &section->header).text,
                                      kind == PARSER_TENANT ? " tenant" : "");
        if (section)
                return continue_section(p, section);
        if (kind == PARSER_TENANT) {
                p->tenant->file = p->place.source->name;
                p->tenant->line = p->place.line.number;
        }
        return add_section(p, kind, 0);
}

/** What a section begins with. @param name  owned from here on */
static struct policy_protocol new_protocol(const struct parser *p, char *name) {
        const struct policy_defaults *defaults = &p->loader->defaults;

        return (struct policy_protocol){
                .name = name,
                .data_path = defaults->data_path,
                .handshake_timeout_ms = POLICY_HANDSHAKE_TIMEOUT_DEFAULT_MS,
                .idle_timeout_ms = POLICY_IDLE_TIMEOUT_DEFAULT_MS,
                .connect_timeout_ms = defaults->connect_timeout_ms > 0 ? defaults->connect_timeout_ms
                                                                       : POLICY_CONNECT_TIMEOUT_DEFAULT_MS,
                .socket_mode = POLICY_SOCKET_MODE_DEFAULT,
                .quic = {
                        .max_streams = POLICY_QUIC_STREAMS_DEFAULT,
                        .stream_window = POLICY_QUIC_STREAM_WINDOW_DEFAULT,
                        .connection_window = POLICY_QUIC_CONNECTION_WINDOW_DEFAULT,
                },
                .file = p->place.source->name,
                .line = p->place.line.number,
        };
}

/** @param name  owned from here on, also on failure */
static int add_protocol(struct parser *p, char *name) {
        struct policy_tenant *tenant = p->tenant;
        struct policy_protocol *protocols = parser_grow(tenant->protocols, tenant->n_protocols, sizeof(*protocols));

        if (!protocols) {
                free(name);
                return parser_fail_memory(p);
        }
        tenant->protocols = protocols;
        protocols[tenant->n_protocols] = new_protocol(p, name);
        return add_section(p, PARSER_PROTOCOL, tenant->n_protocols++);
}

/** @param name  owned from here on, also on failure */
static int add_preopen(struct parser *p, char *name) {
        struct policy_tenant *tenant = p->tenant;
        struct policy_preopen *preopens = parser_grow(tenant->preopens, tenant->n_preopens, sizeof(*preopens));

        if (!preopens) {
                free(name);
                return parser_fail_memory(p);
        }
        tenant->preopens = preopens;
        preopens[tenant->n_preopens] = (struct policy_preopen){ .protocol = new_protocol(p, name) };
        preopens[tenant->n_preopens].protocol.preopen = true;
        return add_section(p, PARSER_PREOPEN, tenant->n_preopens++);
}

/** Whether a protocol or preopened socket can have this name, which stands `from` bytes into the current line. */
static int check_section_name(struct parser *p, const char *name, size_t from) {
        struct policy_complaint complaint;

        if (name[0] == '\0')
                return parser_fail_at(
                        p, from, "the section has no name; the guest finds it by that: [Protocol web], [Preopen http]");
        if (policy_name_check(name, &complaint) < 0)
                return parser_fail_part(p, &complaint, from, from + strlen(name));
        return 0;
}

/** [Protocol NAME] or [Preopen NAME]. @param name  in the current line, `from` bytes into it; copied */
static int enter_named(struct parser *p, enum parser_section_kind kind, const char *name, size_t from) {
        struct parser_section *section;
        char *copy;
        int r = check_section_name(p, name, from);

        if (r < 0)
                return r;
        section = find_named_section(p, name);
        if (section && (section->fragment == p->place.source->fragment || section->kind != kind))
                return parser_fail_at(p, from, "[%s %s] stands already in %s",
                                      section->kind == PARSER_PROTOCOL ? "Protocol" : "Preopen", name,
                                      parser_place_text(&p->place, &section->header).text);
        if (section)
                return continue_section(p, section);
        if (p->tenant->n_protocols + p->tenant->n_preopens == POLICY_PROTOCOLS_MAX)
                return parser_fail_at(p, 0, "a tenant has at most %d protocols and preopened sockets",
                                      POLICY_PROTOCOLS_MAX);
        copy = strdup(name);
        if (!copy)
                return parser_fail_memory(p);
        return kind == PARSER_PROTOCOL ? add_protocol(p, copy) : add_preopen(p, copy);
}

static int fail_unknown_section(struct parser *p, const char *word) {
        struct policy_complaint complaint;
        const char *best = NULL;
        char quote[PARSER_QUOTE_MAX];
        size_t distance = 0;

        for (size_t i = 0; i < sizeof(section_words) / sizeof(section_words[0]); ++i)
                best = policy_suggest(word, strlen(word), section_words[i], best, &distance);
        policy_printable(word, strlen(word), quote, sizeof(quote));
        policy_complain(&complaint, 1,
                        "there is no section \"%s\"; there are [Tenant], [Protocol NAME] and [Preopen NAME]", quote);
        if (best)
                policy_complaint_splice(&complaint, p->place.line.text, p->place.line.length, 1, 1 + strlen(word),
                                        best);
        return parser_fail(p, &p->place, &complaint);
}

/** Defaults hold for all tenants, and a tenant's file for one. */
static int check_kind_of_file(struct parser *p, enum parser_section_kind kind) {
        if (kind == PARSER_DEFAULTS && p->policy)
                return parser_fail_at(p, 0,
                                      "[Defaults] stands in a file of its own, for all tenants: netbrokerd --defaults "
                                      "FILE");
        if (kind != PARSER_DEFAULTS && !p->policy)
                return parser_fail_at(p, 0, "a file of defaults has one section, [Defaults]");
        return 0;
}

static enum parser_section_kind kind_of(const char *word) {
        if (strcmp(word, "Tenant") == 0)
                return PARSER_TENANT;
        if (strcmp(word, "Protocol") == 0)
                return PARSER_PROTOCOL;
        if (strcmp(word, "Preopen") == 0)
                return PARSER_PREOPEN;
        return strcmp(word, "Defaults") == 0 ? PARSER_DEFAULTS : PARSER_NONE;
}

/** `[WORD]` or `[WORD NAME]`, with nothing behind. */
static int split_header(struct parser *p, char word[static POLICY_LINE_MAX + 1], char name[static POLICY_LINE_MAX + 1],
                        size_t *ret_name_offset) {
        const char *text = p->place.line.text;
        const char *close = memchr(text, ']', p->place.line.length);
        struct policy_complaint complaint;
        size_t end = close ? (size_t)(close - text) : 0;
        size_t word_to = 1, from;

        if (!close) {
                policy_complain(&complaint, p->place.line.length, "the bracket is never closed");
                policy_complaint_splice(&complaint, text, p->place.line.length, p->place.line.length,
                                        p->place.line.length, "]");
                return parser_fail(p, &p->place, &complaint);
        }
        for (size_t i = end + 1; i < p->place.line.length; ++i) {
                if (policy_is_blank(text[i]))
                        continue;
                policy_complain(&complaint, i, "nothing stands behind the bracket");
                policy_complaint_splice(&complaint, text, p->place.line.length, end + 1, p->place.line.length, "");
                return parser_fail(p, &p->place, &complaint);
        }

        while (word_to < end && !policy_is_blank(text[word_to]))
                ++word_to;
        from = word_to;
        while (from < end && policy_is_blank(text[from]))
                ++from;
        while (end > from && policy_is_blank(text[end - 1]))
                --end;
        memcpy(word, text + 1, word_to - 1);
        word[word_to - 1] = '\0';
        memcpy(name, text + from, end - from);
        name[end - from] = '\0';
        *ret_name_offset = from;
        return 0;
}

int section_enter(struct parser *p) {
        char word[POLICY_LINE_MAX + 1], name[POLICY_LINE_MAX + 1];
        enum parser_section_kind kind;
        size_t name_offset = 0;
        int r = split_header(p, word, name, &name_offset);

        if (r < 0)
                return r;
        kind = kind_of(word);
        if (kind == PARSER_NONE)
                return fail_unknown_section(p, word);
        r = check_kind_of_file(p, kind);
        if (r < 0)
                return r;
        if (kind & PARSER_GRANTING)
                return enter_named(p, kind, name, name_offset);
        if (name[0] != '\0')
                return parser_fail_at(p, name_offset, "[%s] takes no name here%s", word,
                                      kind == PARSER_TENANT ? "; write Name= below it" : "");
        return enter_unnamed(p, kind);
}
