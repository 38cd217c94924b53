/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/section.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/keys.h"
#include "policy/preopen.h"
#include "policy/suggest.h"
#include "policy/value.h"
#include "policy/verdict.h"

#define CONNECT_TIMEOUT_DEFAULT_MS 30000

static const char *const section_words[] = { "Tenant", "Protocol", "Preopen" };

/* ---- the end of a section ---- */

/** What a mode needs to be of any use. */
static bool listens_on_path(const struct policy_protocol *protocol) {
        if (protocol->family != POLICY_FAMILY_UNIX)
                return false;
        for (size_t i = 0; i < protocol->n_rules; ++i)
                if (protocol->rules[i].kind == POLICY_RULE_LISTEN && !protocol->rules[i].pattern.abstract)
                        return true;
        return false;
}

/** What protocols and preopened sockets have in common. */
static int finish_grants(struct parser *p) {
        struct policy_protocol *protocol = p->protocol;

        if (protocol->data_path == POLICY_DATA_PATH_UNSET)
                return parser_fail_whole(
                        p, protocol->line, "DataPath=direct",
                        "[%s %s] needs DataPath=: the program that runs the guest gets the sockets themselves, "
                        "which it must be locked down for (netbroker.conf(5))",
                        policy_section_word(protocol), protocol->name);
        if (protocol->socket_types == 0)
                protocol->socket_types = POLICY_SOCKET_STREAM;
        if (protocol->family == POLICY_FAMILY_UNIX && (protocol->socket_types & POLICY_SOCKET_DGRAM))
                return parser_fail_value(
                        p, p->set_in[PARSER_KEY_SOCKET_TYPES],
                        "datagrams between Unix sockets come with the relay, which this version does not "
                        "have: write stream");
        if (p->set_in[PARSER_KEY_SOCKET_MODE] > 0 && !listens_on_path(protocol))
                return parser_fail_value(
                        p, p->set_in[PARSER_KEY_SOCKET_MODE],
                        "SocketMode= is for the sockets that a guest binds to paths, and [%s %s] has no "
                        "Listen= for a path",
                        policy_section_word(protocol), protocol->name);
        return 0;
}

static int finish_protocol(struct parser *p) {
        if (p->set_in[PARSER_KEY_FAMILY] == 0)
                return parser_fail_whole(p, p->protocol->line, "Family=ip",
                                         "[Protocol %s] needs Family=: ip, ipv4, ipv6 or unix", p->protocol->name);
        return finish_grants(p);
}

static int finish_preopen_type(struct parser *p) {
        unsigned line = p->set_in[PARSER_KEY_SOCKET_TYPES];

        if (p->protocol->socket_types == (POLICY_SOCKET_STREAM | POLICY_SOCKET_DGRAM))
                return parser_fail_value(p, line, "a preopened socket has one type: stream or dgram");
        p->preopen->type = (enum policy_socket_type)p->protocol->socket_types;
        if (p->preopen->type == POLICY_SOCKET_DGRAM && p->preopen->verb == POLICY_LISTEN)
                return parser_fail_value(
                        p, line,
                        "datagram sockets only connect: servers of datagrams come with the relay, which this "
                        "version does not have");
        return 0;
}

/** A Deny rule beside it could forbid it, and some IPv6 addresses take more than one rule. */
static int check_preopen_is_granted(struct parser *p) {
        unsigned line =
                p->set_in[p->preopen->verb == POLICY_LISTEN ? PARSER_KEY_PREOPEN_LISTEN : PARSER_KEY_PREOPEN_CONNECT];
        struct policy_verdict verdict;

        policy_decide(p->protocol, p->preopen->verb, &p->preopen->address, &verdict);
        return verdict.allowed ? 0 : parser_fail_value(p, line, "this socket is never granted: %s", verdict.reason);
}

static int check_preopen_collisions(struct parser *p) {
        const struct policy_tenant *tenant = p->tenant;

        if (p->preopen->verb != POLICY_LISTEN)
                return 0;
        for (const struct policy_preopen *other = tenant->preopens; other < p->preopen; ++other)
                if (other->verb == POLICY_LISTEN && policy_preopen_collides(&other->address, &p->preopen->address))
                        return parser_fail_value(p, p->set_in[PARSER_KEY_PREOPEN_LISTEN],
                                                 "[Preopen %s], in line %u, listens there already",
                                                 other->protocol.name, other->protocol.line);
        return 0;
}

static int finish_preopen(struct parser *p) {
        int r;

        if (p->preopen->address.family == AF_UNSPEC)
                return parser_fail_whole(p, p->protocol->line, "Listen=127.0.0.1:8080",
                                         "[Preopen %s] needs Listen= or Connect=, with one address", p->protocol->name);
        if (p->preopen->verb == POLICY_LISTEN && p->set_in[PARSER_KEY_CONNECT_TIMEOUT] > 0)
                return parser_fail_value(p, p->set_in[PARSER_KEY_CONNECT_TIMEOUT],
                                         "ConnectTimeout= is for Connect=, and [Preopen %s] listens",
                                         p->protocol->name);
        if (p->set_in[PARSER_KEY_NONBLOCK] == 0)
                p->preopen->nonblock = p->preopen->verb == POLICY_LISTEN;
        r = finish_grants(p);
        if (r == 0)
                r = finish_preopen_type(p);
        if (r == 0)
                r = check_preopen_is_granted(p);
        return r < 0 ? r : check_preopen_collisions(p);
}

int section_finish(struct parser *p) {
        if (p->section == PARSER_PROTOCOL)
                return finish_protocol(p);
        if (p->section == PARSER_PREOPEN)
                return finish_preopen(p);
        if (p->section == PARSER_TENANT && !p->tenant->name)
                return parser_fail_whole(p, p->tenant->line, "Name=acme", "[Tenant] needs Name=");
        return 0;
}

/* ---- the beginning of a section ---- */

/** What a section begins with. */
static struct policy_protocol new_protocol(const struct parser *p) {
        return (struct policy_protocol){
                .data_path = p->defaults->data_path,
                .connect_timeout_ms = CONNECT_TIMEOUT_DEFAULT_MS,
                .socket_mode = POLICY_SOCKET_MODE_DEFAULT,
                .file = p->file,
                .line = p->line.number,
        };
}

static struct policy_protocol *add_protocol(struct parser *p) {
        struct policy_tenant *tenant = p->tenant;
        struct policy_protocol *protocols = parser_grow(tenant->protocols, tenant->n_protocols, sizeof(*protocols));

        if (!protocols)
                return NULL;
        tenant->protocols = protocols;
        protocols[tenant->n_protocols] = new_protocol(p);
        return &protocols[tenant->n_protocols++];
}

static struct policy_preopen *add_preopen(struct parser *p) {
        struct policy_tenant *tenant = p->tenant;
        struct policy_preopen *preopens = parser_grow(tenant->preopens, tenant->n_preopens, sizeof(*preopens));

        if (!preopens)
                return NULL;
        tenant->preopens = preopens;
        preopens[tenant->n_preopens] = (struct policy_preopen){ .protocol = new_protocol(p) };
        preopens[tenant->n_preopens].protocol.preopen = true;
        return &preopens[tenant->n_preopens++];
}

static int enter_tenant(struct parser *p) {
        if (p->tenant->line > 0)
                return parser_fail_at(p, 0, "a second [Tenant], after line %u: a file holds one tenant",
                                      p->tenant->line);
        p->tenant->line = p->line.number;
        p->section = PARSER_TENANT;
        return 0;
}

/** Whether a protocol or preopened socket may have this name, which stands `from` bytes into the current line. */
static int check_new_name(struct parser *p, const char *name, size_t from) {
        const struct policy_protocol *other = policy_find_protocol(p->tenant, name);
        struct policy_complaint complaint;

        if (name[0] == '\0')
                return parser_fail_at(
                        p, from, "the section has no name; the guest finds it by that: [Protocol web], [Preopen http]");
        if (policy_name_check(name, &complaint) < 0)
                return parser_fail_part(p, &complaint, from, from + strlen(name));
        if (other)
                return parser_fail_at(p, from, "[%s %s] stands already in line %u", policy_section_word(other), name,
                                      other->line);
        if (p->tenant->n_protocols + p->tenant->n_preopens == POLICY_PROTOCOLS_MAX)
                return parser_fail_at(p, 0, "a tenant has at most %d protocols and preopened sockets",
                                      POLICY_PROTOCOLS_MAX);
        return 0;
}

/**
 * The value that a key gets further down in the section that begins in the current line. What a rule can be depends on the
 * family, which may stand behind it.
 * @return whether there is one.
 */
static bool look_ahead(const struct parser *p, const char *name, char value[static POLICY_LINE_MAX + 1]) {
        struct policy_line line = p->line;
        size_t name_length = strlen(name);

        while (policy_line_next(p->text, p->length, &line) && (line.length == 0 || line.text[0] != '[')) {
                size_t from = policy_line_value_offset(&line), to = line.length, behind = name_length;

                if (line.length < name_length || memcmp(line.text, name, name_length) != 0)
                        continue;
                while (behind < line.length && policy_is_blank(line.text[behind]))
                        ++behind;
                if (behind == line.length || line.text[behind] != '=')
                        continue;
                while (to > from && policy_is_blank(line.text[to - 1]))
                        --to;
                if (to - from > POLICY_LINE_MAX)
                        return false;
                memcpy(value, line.text + from, to - from);
                value[to - from] = '\0';
                return true;
        }
        return false;
}

/** Learns the family of the rules in this section. A wrong value is complained about where it stands. */
static void look_ahead_for_family(struct parser *p) {
        char value[POLICY_LINE_MAX + 1];
        struct policy_complaint ignored;

        if (look_ahead(p, "Family", value))
                (void)keys_parse_family(value, &p->protocol->family, &ignored);
}

static void look_ahead_for_address(struct parser *p) {
        struct nb_socket_address address;
        char value[POLICY_LINE_MAX + 1];

        if (!look_ahead(p, "Listen", value) && !look_ahead(p, "Connect", value))
                return;
        if (nb_socket_address_parse(value, strlen(value), &address) == 0)
                p->protocol->family = keys_family_of(&address);
}

/** @param name  in the current line, `from` bytes into it; copied */
static int enter_protocol(struct parser *p, const char *name, size_t from) {
        int r = check_new_name(p, name, from);

        if (r < 0)
                return r;
        p->protocol = add_protocol(p);
        if (!p->protocol)
                return parser_fail_memory(p);
        p->protocol->name = strdup(name);
        if (!p->protocol->name)
                return parser_fail_memory(p);
        p->section = PARSER_PROTOCOL;
        look_ahead_for_family(p);
        return 0;
}

static int enter_preopen(struct parser *p, const char *name, size_t from) {
        int r = check_new_name(p, name, from);

        if (r < 0)
                return r;
        p->preopen = add_preopen(p);
        if (!p->preopen)
                return parser_fail_memory(p);
        p->protocol = &p->preopen->protocol;
        p->protocol->name = strdup(name);
        if (!p->protocol->name)
                return parser_fail_memory(p);
        p->section = PARSER_PREOPEN;
        look_ahead_for_address(p);
        return 0;
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
                policy_complaint_splice(&complaint, p->line.text, p->line.length, 1, 1 + strlen(word), best);
        return parser_fail(p, &p->line, &complaint);
}

/** `[WORD]` or `[WORD NAME]`, with nothing behind. */
static int split_header(struct parser *p, char word[static POLICY_LINE_MAX + 1], char name[static POLICY_LINE_MAX + 1],
                        size_t *ret_name_offset) {
        const char *text = p->line.text;
        const char *close = memchr(text, ']', p->line.length);
        struct policy_complaint complaint;
        size_t end = close ? (size_t)(close - text) : 0;
        size_t word_to = 1, from;

        if (!close) {
                policy_complain(&complaint, p->line.length, "the bracket is never closed");
                policy_complaint_splice(&complaint, text, p->line.length, p->line.length, p->line.length, "]");
                return parser_fail(p, &p->line, &complaint);
        }
        for (size_t i = end + 1; i < p->line.length; ++i) {
                if (policy_is_blank(text[i]))
                        continue;
                policy_complain(&complaint, i, "nothing stands behind the bracket");
                policy_complaint_splice(&complaint, text, p->line.length, end + 1, p->line.length, "");
                return parser_fail(p, &p->line, &complaint);
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
        size_t name_offset = 0;
        int r = section_finish(p);

        if (r == 0)
                r = split_header(p, word, name, &name_offset);
        if (r < 0)
                return r;

        p->section = PARSER_NONE;
        p->protocol = NULL;
        p->preopen = NULL;
        memset(p->set_in, 0, sizeof(p->set_in));
        if (strcmp(word, "Protocol") == 0)
                return enter_protocol(p, name, name_offset);
        if (strcmp(word, "Preopen") == 0)
                return enter_preopen(p, name, name_offset);
        if (strcmp(word, "Tenant") != 0)
                return fail_unknown_section(p, word);
        if (name[0] != '\0')
                return parser_fail_at(p, name_offset, "[Tenant] takes no name here; write Name= below it");
        return enter_tenant(p);
}
