/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/grants.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/index.h"
#include "policy/preopen.h"
#include "policy/rule.h"
#include "policy/unix_pattern.h"
#include "policy/verdict.h"

/* ---- collecting ---- */

int grants_defer(struct parser *p, const char *value) {
        struct parser_section *section = p->section;
        struct parser_deferred *deferred = parser_grow(section->deferred, section->n_deferred, sizeof(*deferred));

        (void)value; /* it is in the line */
        if (!deferred)
                return -ENOMEM;
        section->deferred = deferred;
        deferred[section->n_deferred++] = (struct parser_deferred){ .place = p->place, .key = p->key };
        return 0;
}

int grants_defer_address(struct parser *p, const char *value) {
        enum parser_key other =
                p->key == PARSER_KEY_PREOPEN_LISTEN ? PARSER_KEY_PREOPEN_CONNECT : PARSER_KEY_PREOPEN_LISTEN;

        if (parser_is_set(p, other))
                return policy_complain(&p->complaint, 0,
                                       "a preopened socket listens or connects: write another section for the other");
        return grants_defer(p, value);
}

/* ---- one rule ---- */

static struct policy_rule *add_rule(struct parser *p) {
        struct policy_protocol *protocol = p->protocol;
        struct policy_rule *rules = parser_grow(protocol->rules, protocol->n_rules, sizeof(*rules));

        if (!rules)
                return NULL;
        protocol->rules = rules;
        rules[protocol->n_rules] = (struct policy_rule){ .file = p->place.source->name, .line = p->place.line.number };
        return &rules[protocol->n_rules++];
}

/** Why something never matches, and what a protocol would need for it. @return -EINVAL. */
static int complain_about_family(struct parser *p, const char *what, const char *hint) {
        return policy_complain(&p->complaint, 0, "%s never matches: [%s %s] has %s%s", what,
                               policy_section_word(p->protocol), p->protocol->name, policy_family_text(p->protocol),
                               p->preopen ? "" : hint);
}

/** Whether it was meant as an address, though it may have mistakes. */
static bool looks_like_ip(const char *word) {
        struct nb_ip ip;

        return word[0] == '[' || nb_ip_parse(word, strcspn(word, "/:"), &ip) == 0;
}

/** An address of the one family where there is only the other. @param what  "rule" or "range" */
static int check_family(struct parser *p, sa_family_t family, const char *what) {
        char text[PARSER_QUOTE_MAX];

        if (policy_family_includes(p->protocol->family, family))
                return 0;
        snprintf(text, sizeof(text), "an %s %s", family == AF_INET ? "IPv4" : "IPv6", what);
        return complain_about_family(p, text, "");
}

/** Fills in what the rule's text says. */
static int parse_ip_rule(struct parser *p, struct policy_rule *rule, const char *word) {
        int r;

        if (policy_unix_pattern_is_meant(word))
                return complain_about_family(p, "a rule for Unix sockets",
                                             "; it goes into a protocol of its own, with Family=unix");
        r = policy_rule_parse(rule->kind, word, strlen(word), rule, &p->complaint);
        if (r == 0 && rule->target == POLICY_TARGET_NAME && p->preopen) /* peers are judged by their addresses alone */
                return complain_about_family(p, "a rule for names", "");
        if (r < 0 || rule->target != POLICY_TARGET_PREFIX)
                return r;
        return check_family(p, rule->prefix.ip.family, "rule");
}

static int parse_unix_rule(struct parser *p, struct policy_rule *rule, const char *word) {
        int r;

        if (looks_like_ip(word))
                return complain_about_family(p, "an IP rule",
                                             "; it goes into a protocol of Family=ip, and what stands here is a path "
                                             "like /run/app/*.sock or an abstract name like @app");
        r = policy_unix_pattern_check(word, strlen(word), &p->complaint);
        rule->target = POLICY_TARGET_UNIX;
        if (r == 0)
                rule->pattern = policy_unix_pattern_of(strchr(rule->text, '=') + 1);
        return r;
}

static int take_rule(struct parser *p, enum policy_rule_kind kind, const char *word) {
        struct policy_rule *rule = add_rule(p); /* a wrong one goes with the policy */

        if (!rule)
                return -ENOMEM;
        rule->kind = kind;
        if (asprintf(&rule->text, "%s=%s", policy_rule_kind_name(kind), word) < 0) {
                rule->text = NULL;
                return -ENOMEM;
        }
        return p->protocol->family == POLICY_FAMILY_UNIX ? parse_unix_rule(p, rule, word)
                                                         : parse_ip_rule(p, rule, word);
}

static int take_connect(struct parser *p, const char *word) {
        return take_rule(p, POLICY_RULE_CONNECT, word);
}

static int take_listen(struct parser *p, const char *word) {
        return take_rule(p, POLICY_RULE_LISTEN, word);
}

static int take_deny(struct parser *p, const char *word) {
        return take_rule(p, POLICY_RULE_DENY, word);
}

/* ---- the address of a preopened socket ---- */

static enum policy_family family_of(const struct nb_socket_address *address) {
        if (address->family == AF_UNIX)
                return POLICY_FAMILY_UNIX;
        return address->family == AF_INET ? POLICY_FAMILY_IPV4 : POLICY_FAMILY_IPV6;
}

static int take_address(struct parser *p, const char *value) {
        enum policy_verb verb = p->key == PARSER_KEY_PREOPEN_LISTEN ? POLICY_LISTEN : POLICY_CONNECT;
        int r = policy_preopen_parse(policy_grant_kind(verb), value, &p->preopen->address, &p->complaint);

        if (r < 0)
                return r;
        p->preopen->verb = verb;
        p->protocol->family = family_of(&p->preopen->address);
        return 0;
}

/* ---- taking ---- */

/** The value of the current line: what stands behind the `=`, without the blanks around it. */
static void copy_value(const struct policy_line *line, char value[static POLICY_LINE_MAX + 1]) {
        size_t from = policy_line_value_offset(line), to = line->length;

        while (to > from && policy_is_blank(line->text[to - 1]))
                --to;
        memcpy(value, line->text + from, to - from);
        value[to - from] = '\0';
}

/** Calls `take` for the value of a line. */
static int take_line(struct parser *p, const struct parser_deferred *deferred,
                     int (*take)(struct parser *p, const char *value)) {
        size_t offset = policy_line_value_offset(&deferred->place.line);
        char value[POLICY_LINE_MAX + 1];
        int r;

        p->place = deferred->place;
        p->key = deferred->key;
        copy_value(&p->place.line, value);
        r = take(p, value);
        if (r == -ENOMEM)
                return parser_fail_memory(p);
        return r < 0 ? parser_fail_part(p, &p->complaint, offset, offset + strlen(value)) : 0;
}

/** One word of what a granted name may resolve to. */
static int take_range(struct parser *p, const char *word) {
        struct policy_protocol *protocol = p->protocol;
        struct policy_range *ranges = parser_grow(protocol->addresses, protocol->n_addresses, sizeof(*ranges));
        struct policy_range *range;
        int r;

        if (!ranges)
                return -ENOMEM;
        protocol->addresses = ranges;
        range = &ranges[protocol->n_addresses++]; /* a wrong one goes with the policy */
        *range = (struct policy_range){ .file = p->place.source->name, .line = p->place.line.number };
        range->text = strdup(word);
        if (!range->text)
                return -ENOMEM;
        r = policy_range_parse(word, strlen(word), range, &p->complaint);
        if (r < 0 || range->target != POLICY_TARGET_PREFIX)
                return r;
        return check_family(p, range->prefix.ip.family, "range");
}

/** One word of who must send a PROXY header. */
static int take_header_source(struct parser *p, const char *word) {
        struct policy_protocol *protocol = p->protocol;
        struct policy_range range = { 0 };
        struct nb_prefix *sources;
        int r;

        if (protocol->n_header_sources == POLICY_HEADER_SOURCES_MAX)
                return policy_complain(&p->complaint, 0, "a section has at most %d of them", POLICY_HEADER_SOURCES_MAX);
        r = policy_range_parse(word, strlen(word), &range, &p->complaint);
        if (r == 0 && range.target == POLICY_TARGET_GROUP)
                r = policy_complain(&p->complaint, 0,
                                    "whoever is listed here says who it is: list addresses and prefixes, not a group");
        if (r == 0)
                r = check_family(p, range.prefix.ip.family, "prefix");
        if (r < 0)
                return r;
        sources = parser_grow(protocol->header_sources, protocol->n_header_sources, sizeof(*sources));
        if (!sources)
                return -ENOMEM;
        protocol->header_sources = sources;
        sources[protocol->n_header_sources++] = range.prefix;
        return 0;
}

static int take_value(struct parser *p, const char *value) {
        switch (p->key) {
        case PARSER_KEY_CONNECT:
                return parser_each_word(p, value, take_connect);
        case PARSER_KEY_LISTEN:
                return parser_each_word(p, value, take_listen);
        case PARSER_KEY_PREOPEN_CONNECT: /* one address, which is its own grant */
                return take_connect(p, value);
        case PARSER_KEY_PREOPEN_LISTEN:
                return take_listen(p, value);
        case PARSER_KEY_ADDRESSES:
                return parser_each_word(p, value, take_range);
        case PARSER_KEY_ACCEPT_PROXY_HEADER:
                return parser_each_word(p, value, take_header_source);
        default:
                return parser_each_word(p, value, take_deny);
        }
}

/** Whether a line is the one address of a preopened socket. */
static bool is_address(const struct parser *p, const struct parser_deferred *deferred) {
        return p->preopen &&
               (deferred->key == PARSER_KEY_PREOPEN_LISTEN || deferred->key == PARSER_KEY_PREOPEN_CONNECT);
}

/** Whether a later fragment has another address in the place of this one. */
static bool is_overridden(const struct parser *p, const struct parser_deferred *deferred) {
        const struct parser_place *last = &p->section->set_in[deferred->key];

        return is_address(p, deferred) && last->line.text != deferred->place.line.text;
}

int grants_take(struct parser *p) {
        const struct parser_section *section = p->section;

        for (size_t i = 0; i < section->n_deferred; ++i) {
                const struct parser_deferred *deferred = &section->deferred[i];
                int r = 0;

                if (is_address(p, deferred) && !is_overridden(p, deferred))
                        r = take_line(p, deferred, take_address);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < section->n_deferred; ++i) {
                int r = is_overridden(p, &section->deferred[i]) ? 0 : take_line(p, &section->deferred[i], take_value);

                if (r < 0)
                        return r;
        }
        return policy_index_build(p->protocol) < 0 ? parser_fail_memory(p) : 0;
}
