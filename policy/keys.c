/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "policy/preopen.h"
#include "policy/rule.h"
#include "policy/suggest.h"
#include "policy/unix_pattern.h"
#include "policy/value.h"
#include "policy/verdict.h"

/* How much of a file's name a message quotes. */
#define FILE_TEXT_MAX 160

/** A key of the file. `set` returns 0, -ENOMEM, or -EINVAL with a complaint about the value. */
struct key {
        const char *name;
        unsigned sections; /* enum parser_section */
        bool repeatable;
        int (*set)(struct parser *p, const char *value);
};

/** What the file may hold one day: refused by name, so that nobody believes it to be in force. */
struct later_key {
        const char *name;
        const char *what;
};

static const struct policy_word yes_no[] = {
        { .text = "yes", .value = true },
        { .text = "no", .value = false },
        { 0 },
};

#define NOT_YET "is not enforced by this version, so it is refused"

static const struct policy_word families[] = {
        { .text = "ip", .value = POLICY_FAMILY_IP },     { .text = "ipv4", .value = POLICY_FAMILY_IPV4 },
        { .text = "ipv6", .value = POLICY_FAMILY_IPV6 }, { .text = "unix", .value = POLICY_FAMILY_UNIX },
        { .text = "quic", .not_yet = NOT_YET },          { 0 },
};

static const struct policy_word data_paths[] = {
        { .text = "direct", .value = POLICY_DATA_PATH_DIRECT },
        { .text = "auto", .not_yet = "comes with a later version, which proves the seal; this one has only direct" },
        { .text = "relay", .not_yet = "comes with a later version, which has a relay; this one has only direct" },
        { 0 },
};

static const struct policy_word socket_types[] = {
        { .text = "stream", .value = POLICY_SOCKET_STREAM },
        { .text = "dgram", .value = POLICY_SOCKET_DGRAM },
        { 0 },
};

static const struct later_key later_keys[] = {
        { "Addresses", "groups of addresses that a name may resolve to" },
        { "ConnectRate", "a quota" },
        { "Existing", "what a reload does to open connections" },
        { "Group", "a group's sessions" },
        { "Include", "other files" },
        { "MaxConnections", "a quota" },
        { "MaxSessions", "a quota" },
        { "Mode", "report mode" },
        { "Proxy", "a proxy" },
        { "RequireSeal", "the seal" },
        { "Socket", "a socket for each tenant" },
        { "TLS", "TLS by the broker" },
        { "Unit", "a unit's sessions" },
};

/* ---- growing ---- */

static struct policy_rule *add_rule(struct parser *p) {
        struct policy_protocol *protocol = p->protocol;
        struct policy_rule *rules = parser_grow(protocol->rules, protocol->n_rules, sizeof(*rules));

        if (!rules)
                return NULL;
        protocol->rules = rules;
        rules[protocol->n_rules] = (struct policy_rule){ .file = p->file, .line = p->line.number };
        return &rules[protocol->n_rules++];
}

static struct policy_principal *add_principal(struct parser *p, enum policy_principal_kind kind) {
        struct policy_tenant *tenant = p->tenant;
        struct policy_principal *principals =
                parser_grow(tenant->principals, tenant->n_principals, sizeof(*principals));

        if (!principals)
                return NULL;
        tenant->principals = principals;
        principals[tenant->n_principals] = (struct policy_principal){
                .kind = kind,
                .file = p->file,
                .line = p->line.number,
                .column = (unsigned)policy_line_value_offset(&p->line) + 1,
        };
        return &principals[tenant->n_principals++];
}

/* ---- values ---- */

/** The next word of a value, which words are separated in by blanks, NUL-terminated. @return false at the end. */
static bool next_word(const char *value, size_t *from, size_t *to, char word[static POLICY_LINE_MAX + 1]) {
        *from = *to + strspn(value + *to, " \t");
        *to = *from + strcspn(value + *from, " \t");
        if (*to == *from || *to - *from > POLICY_LINE_MAX)
                return false;
        memcpy(word, value + *from, *to - *from);
        word[*to - *from] = '\0';
        return true;
}

/** Calls `take` for each word of a value. */
static int each_word(struct parser *p, const char *value, int (*take)(struct parser *p, const char *word)) {
        size_t length = strlen(value), from, to = 0;
        struct policy_complaint complaint;
        char word[POLICY_LINE_MAX + 1];
        int r;

        while (next_word(value, &from, &to, word)) {
                r = take(p, word);
                if (r == -EINVAL)
                        break;
                if (r < 0)
                        return r;
        }
        if (from == to)
                return 0;

        /* A corrected line must be right as a whole: no correction where a later word is wrong as well. What is taken meanwhile
         * goes with the policy, which is thrown away. */
        complaint = p->complaint;
        policy_complaint_widen(&complaint, value, length, from, to);
        while (next_word(value, &from, &to, word))
                if (take(p, word) < 0)
                        complaint.correct[0] = '\0';
        p->complaint = complaint;
        return -EINVAL;
}

static int set_tenant_name(struct parser *p, const char *value) {
        const struct policy_tenant *other = policy_find_tenant(p->policy, value);
        char file[FILE_TEXT_MAX];
        int r = policy_name_check(value, &p->complaint);

        if (r < 0)
                return r;
        if (other) {
                nb_escape(other->file, strlen(other->file), file, sizeof(file));
                return policy_complain(&p->complaint, 0, "tenant %s is already defined at %s:%u", value, file,
                                       other->line);
        }
        p->tenant->name = strdup(value);
        return p->tenant->name ? 0 : -ENOMEM;
}

static int set_user(struct parser *p, const char *value) {
        struct policy_principal *user;
        int r = policy_user_check(value, &p->complaint);

        if (r < 0)
                return r;
        user = add_principal(p, POLICY_PRINCIPAL_USER);
        if (!user)
                return -ENOMEM;
        user->text = strdup(value);
        return user->text ? 0 : -ENOMEM;
}

static int set_explain_denials(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, yes_no, &word, &p->complaint);

        if (r == 0)
                p->tenant->explain_denials = word;
        return r;
}

int keys_parse_family(const char *text, enum policy_family *ret, struct policy_complaint *ret_complaint) {
        int word, r = policy_word_parse(text, families, &word, ret_complaint);

        if (r == 0)
                *ret = (enum policy_family)word;
        return r;
}

static int set_family(struct parser *p, const char *value) {
        return keys_parse_family(value, &p->protocol->family, &p->complaint);
}

static int set_data_path(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, data_paths, &word, &p->complaint);

        if (r == 0)
                p->protocol->data_path = (enum policy_data_path)word;
        return r;
}

static int take_socket_type(struct parser *p, const char *word) {
        int type, r = policy_word_parse(word, socket_types, &type, &p->complaint);

        if (r == 0)
                p->protocol->socket_types |= (unsigned)type;
        return r;
}

static int set_socket_types(struct parser *p, const char *value) {
        return each_word(p, value, take_socket_type);
}

static int set_connect_timeout(struct parser *p, const char *value) {
        return policy_timeout_parse(value, &p->protocol->connect_timeout_ms, &p->complaint);
}

static int set_socket_mode(struct parser *p, const char *value) {
        return policy_mode_parse(value, &p->protocol->socket_mode, &p->complaint);
}

static int set_nonblock(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, yes_no, &word, &p->complaint);

        if (r == 0)
                p->preopen->nonblock = word;
        return r;
}

/* ---- rules ---- */

/** Why a rule never matches, and what a protocol would need for it. @return -EINVAL. */
static int complain_about_family(struct parser *p, const char *rule, const char *hint) {
        return policy_complain(&p->complaint, 0, "%s never matches: [%s %s] has %s%s", rule,
                               policy_section_word(p->protocol), p->protocol->name, policy_family_text(p->protocol),
                               p->preopen ? "" : hint);
}

/** Whether it was meant as an address, though it may have mistakes. */
static bool looks_like_ip(const char *word) {
        struct nb_ip ip;

        return word[0] == '[' || nb_ip_parse(word, strcspn(word, "/:"), &ip) == 0;
}

/** Fills in what the rule's text says. */
static int parse_ip_rule(struct parser *p, struct policy_rule *rule, const char *word) {
        int r;

        if (policy_unix_pattern_is_meant(word))
                return complain_about_family(p, "a rule for Unix sockets",
                                             "; it goes into a protocol of its own, with Family=unix");
        r = policy_rule_parse(rule->kind, word, strlen(word), rule, &p->complaint);
        if (r < 0 || rule->target != POLICY_TARGET_PREFIX)
                return r;
        if (!policy_family_includes(p->protocol->family, rule->prefix.ip.family))
                return complain_about_family(p, rule->prefix.ip.family == AF_INET ? "an IPv4 rule" : "an IPv6 rule",
                                             "");
        return 0;
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

static int set_connect(struct parser *p, const char *value) {
        return each_word(p, value, take_connect);
}

static int set_listen(struct parser *p, const char *value) {
        return each_word(p, value, take_listen);
}

static int set_deny(struct parser *p, const char *value) {
        return each_word(p, value, take_deny);
}

/* ---- the address of a preopened socket ---- */

enum policy_family keys_family_of(const struct nb_socket_address *address) {
        if (address->family == AF_UNIX)
                return POLICY_FAMILY_UNIX;
        return address->family == AF_INET ? POLICY_FAMILY_IPV4 : POLICY_FAMILY_IPV6;
}

/** Its one address is its one grant. */
static int set_preopen_address(struct parser *p, enum policy_verb verb, const char *value) {
        enum policy_rule_kind kind = policy_grant_kind(verb);
        int r;

        if (p->preopen->address.family != AF_UNSPEC)
                return policy_complain(&p->complaint, 0,
                                       "a preopened socket listens or connects: write another section for the other");
        r = policy_preopen_parse(kind, value, &p->preopen->address, &p->complaint);
        if (r < 0)
                return r;
        p->preopen->verb = verb;
        p->protocol->family = keys_family_of(&p->preopen->address);
        return take_rule(p, kind, value);
}

static int set_preopen_connect(struct parser *p, const char *value) {
        return set_preopen_address(p, POLICY_CONNECT, value);
}

static int set_preopen_listen(struct parser *p, const char *value) {
        return set_preopen_address(p, POLICY_LISTEN, value);
}

/* ---- keys ---- */

static const struct key keys[PARSER_N_KEYS] = {
        [PARSER_KEY_NAME] = { "Name", PARSER_TENANT, false, set_tenant_name },
        [PARSER_KEY_USER] = { "User", PARSER_TENANT, true, set_user },
        [PARSER_KEY_EXPLAIN_DENIALS] = { "ExplainDenials", PARSER_TENANT, false, set_explain_denials },
        [PARSER_KEY_FAMILY] = { "Family", PARSER_PROTOCOL, false, set_family },
        [PARSER_KEY_DATA_PATH] = { "DataPath", PARSER_GRANTING, false, set_data_path },
        [PARSER_KEY_SOCKET_TYPES] = { "SocketTypes", PARSER_GRANTING, false, set_socket_types },
        [PARSER_KEY_SOCKET_MODE] = { "SocketMode", PARSER_GRANTING, false, set_socket_mode },
        [PARSER_KEY_CONNECT_TIMEOUT] = { "ConnectTimeout", PARSER_GRANTING, false, set_connect_timeout },
        [PARSER_KEY_NONBLOCK] = { "Nonblock", PARSER_PREOPEN, false, set_nonblock },
        [PARSER_KEY_CONNECT] = { "Connect", PARSER_PROTOCOL, true, set_connect },
        [PARSER_KEY_LISTEN] = { "Listen", PARSER_PROTOCOL, true, set_listen },
        [PARSER_KEY_DENY] = { "Deny", PARSER_GRANTING, true, set_deny },
        [PARSER_KEY_PREOPEN_CONNECT] = { "Connect", PARSER_PREOPEN, false, set_preopen_connect },
        [PARSER_KEY_PREOPEN_LISTEN] = { "Listen", PARSER_PREOPEN, false, set_preopen_listen },
};

static int fail_unknown_key(struct parser *p, const char *name) {
        size_t length = strlen(name), distance = 0;
        struct policy_complaint complaint;
        const char *best = NULL;
        char quote[PARSER_QUOTE_MAX];

        for (size_t i = 0; i < sizeof(later_keys) / sizeof(later_keys[0]); ++i)
                if (strcasecmp(name, later_keys[i].name) == 0)
                        return parser_fail_at(p, 0, "%s= (%s) " NOT_YET, later_keys[i].name, later_keys[i].what);

        for (size_t i = 0; i < PARSER_N_KEYS; ++i)
                best = policy_suggest(name, length, keys[i].name, best, &distance);
        policy_printable(name, length, quote, sizeof(quote));
        if (!best)
                return parser_fail_at(p, 0, "there is no key %s=; netbroker.conf(5) lists them", quote);

        policy_complain(&complaint, 0, "there is no key %s=; did you mean %s=?", quote, best);
        policy_complaint_splice(&complaint, p->line.text, p->line.length, 0, length, best);
        return parser_fail(p, &p->line, &complaint);
}

/** The key of that name in a section. @return NULL if there is none. */
static const struct key *find_key(const char *name, enum parser_section section) {
        for (size_t i = 0; i < PARSER_N_KEYS; ++i)
                if ((keys[i].sections & section) && strcmp(name, keys[i].name) == 0)
                        return &keys[i];
        return NULL;
}

static const char *sections_text(unsigned sections) {
        switch (sections) {
        case PARSER_TENANT:
                return "[Tenant]";
        case PARSER_PROTOCOL:
                return "[Protocol NAME]";
        case PARSER_PREOPEN:
                return "[Preopen NAME]";
        default:
                return "[Protocol NAME] or [Preopen NAME]";
        }
}

static int fail_misplaced_key(struct parser *p, const char *name) {
        unsigned sections = 0;

        for (size_t i = 0; i < PARSER_N_KEYS; ++i)
                if (strcmp(name, keys[i].name) == 0)
                        sections |= keys[i].sections;
        if (sections == 0)
                return fail_unknown_key(p, name);
        if (strcmp(name, keys[PARSER_KEY_FAMILY].name) == 0 && p->section == PARSER_PREOPEN)
                return parser_fail_at(p, 0, "a preopened socket has no Family=: its address tells it");
        return parser_fail_at(p, 0, "%s= belongs in a %s section", name, sections_text(sections));
}

int keys_assign(struct parser *p, const char *name, const char *value) {
        const struct key *key = find_key(name, p->section);
        size_t offset = policy_line_value_offset(&p->line);
        unsigned *set_in;
        int r;

        if (!key)
                return fail_misplaced_key(p, name);
        set_in = &p->set_in[key - keys];
        if (*set_in > 0 && !key->repeatable)
                return parser_fail_at(p, 0, "%s= is set already, in line %u", key->name, *set_in);
        if (value[0] == '\0')
                return parser_fail_at(p, offset, "%s= has no value", key->name);

        r = key->set(p, value);
        if (r == -ENOMEM)
                return parser_fail_memory(p);
        if (r < 0)
                return parser_fail_part(p, &p->complaint, offset, offset + strlen(value));
        *set_in = p->line.number;
        return 0;
}
