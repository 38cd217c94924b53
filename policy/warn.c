/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/warn.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/group.h"
#include "policy/limit.h"
#include "policy/match.h"
#include "policy/verdict.h"
#include "policy/words.h"

/* How many pairs of a grant and a Deny rule are compared in all: some hundredths of a second. */
#define PAIRS_MAX 10000000

/* Of RelayMemory= a relay keeps this part for what QUIC's streams have in its buffers. */
#define QUIC_MEMORY_SHARE 4

/* The longest warning: two rules and two places. */
#define TEXT_MAX 640

struct look {
        policy_warn_function warn;
        void *data;
        size_t pairs_left;
        bool denies_groups;                 /* the protocol that is looked at has Deny rules for groups */
        const struct policy_tenant *tenant; /* that is looked at */
};

__attribute__((format(printf, 4, 5))) static void say(struct look *look, const char *file, unsigned line,
                                                      const char *format, ...) {
        char text[TEXT_MAX], what[TEXT_MAX - POLICY_FILE_SHOWN_MAX - 32];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(what, sizeof(what), format, arguments);
        va_end(arguments);
        (void)snprintf(text, sizeof(text), "%s: warning: %s", policy_place(file, line).text, what);
        look->warn(look->data, text);
}

/* ---- what a Deny rule covers ---- */

/** Whether every address of a prefix is in a group. */
static bool group_covers(enum policy_group group, const struct nb_prefix *prefix) {
        const struct nb_prefix *prefixes = NULL;
        size_t n = policy_group_prefixes(group, &prefixes);

        for (size_t i = 0; i < n; ++i)
                if (nb_prefix_covers(&prefixes[i], prefix))
                        return true;
        return false;
}

/** Whether every name of `inner` is one of `outer`. */
static bool name_covers(const struct policy_name_pattern *outer, const struct policy_name_pattern *inner) {
        size_t outer_length = strlen(outer->text), inner_length = strlen(inner->text);

        if (!outer->below)
                return !inner->below && strcmp(outer->text, inner->text) == 0;
        if (inner->below && strcmp(outer->text, inner->text) == 0)
                return true;
        return inner_length > outer_length + 1 && inner->text[inner_length - outer_length - 1] == '.' &&
               strcmp(inner->text + inner_length - outer_length, outer->text) == 0;
}

static bool target_covers(const struct policy_rule *deny, const struct policy_rule *grant) {
        if (deny->target == POLICY_TARGET_GROUP && deny->group == POLICY_GROUP_ANY)
                return true;
        if (deny->target == POLICY_TARGET_GROUP && grant->target == POLICY_TARGET_PREFIX)
                return group_covers(deny->group, &grant->prefix);
        if (deny->target != grant->target)
                return false;
        switch (deny->target) {
        case POLICY_TARGET_PREFIX:
                return nb_prefix_covers(&deny->prefix, &grant->prefix);
        case POLICY_TARGET_GROUP:
                return deny->group == grant->group;
        case POLICY_TARGET_NAME:
                return name_covers(&deny->name, &grant->name);
        default:
                return false;
        }
}

static bool covers(const struct policy_rule *deny, const struct policy_rule *grant) {
        if (deny->target == POLICY_TARGET_UNIX)
                return deny->pattern.abstract == grant->pattern.abstract &&
                       strcmp(deny->pattern.text, grant->pattern.text) == 0;
        return deny->ports.first <= grant->ports.first && deny->ports.last >= grant->ports.last &&
               target_covers(deny, grant);
}

/** Whether there are Deny rules. @param groups  for groups */
static bool has_deny(const struct policy_protocol *protocol, bool groups) {
        for (size_t i = 0; i < protocol->n_rules; ++i)
                if (protocol->rules[i].kind == POLICY_RULE_DENY &&
                    (!groups || protocol->rules[i].target == POLICY_TARGET_GROUP))
                        return true;
        return false;
}

/** Whether a Deny rule matches what the grant begins with, as one that covers it must. The index says so at once. */
static bool may_be_covered(const struct look *look, const struct policy_protocol *protocol,
                           const struct policy_rule *grant) {
        struct policy_host_name name = { .port = grant->ports.first };

        if (grant->target == POLICY_TARGET_PREFIX)
                return policy_match(protocol, POLICY_RULE_DENY, &grant->prefix.ip, grant->ports.first, NULL);
        if (grant->target != POLICY_TARGET_NAME || grant->name.below || look->denies_groups)
                return true;
        snprintf(name.text, sizeof(name.text), "%s", grant->name.text);
        return policy_match_host(protocol, POLICY_RULE_DENY, &name);
}

/** @return the first Deny rule that leaves nothing of a grant, or NULL. */
static const struct policy_rule *find_cover(struct look *look, const struct policy_protocol *protocol,
                                            const struct policy_rule *grant) {
        if (!may_be_covered(look, protocol, grant))
                return NULL;
        for (size_t i = 0; i < protocol->n_rules && look->pairs_left > 0; ++i, --look->pairs_left) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind == POLICY_RULE_DENY && covers(rule, grant))
                        return rule;
        }
        return NULL;
}

/* ---- what is looked at ---- */

static void look_at_grants(struct look *look, const struct policy_protocol *protocol) {
        if (!has_deny(protocol, false))
                return;
        look->denies_groups = has_deny(protocol, true);
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *grant = &protocol->rules[i], *cover;

                if (grant->kind == POLICY_RULE_DENY)
                        continue;
                cover = find_cover(look, protocol, grant);
                if (cover)
                        say(look, grant->file, grant->line, "%s grants nothing: %s (%s) covers it",
                            policy_rule_shown(grant).text, policy_rule_shown(cover).text,
                            policy_place(cover->file, cover->line).text);
        }
}

/** @return the first rule of that kind for a name, or NULL. */
static const struct policy_rule *find_name(const struct policy_protocol *protocol, enum policy_rule_kind kind) {
        for (size_t i = 0; i < protocol->n_rules; ++i)
                if (protocol->rules[i].kind == kind && protocol->rules[i].target == POLICY_TARGET_NAME)
                        return &protocol->rules[i];
        return NULL;
}

/** What is said about names, where no name is granted: it may be meant for the addresses that they have. */
static void look_at_names(struct look *look, const struct policy_protocol *protocol) {
        const struct policy_rule *deny = find_name(protocol, POLICY_RULE_DENY);

        if (find_name(protocol, POLICY_RULE_CONNECT))
                return;
        if (deny)
                say(look, deny->file, deny->line,
                    "%s refuses nothing: no Connect= of [Protocol %s] grants a name, and who asks for an address is "
                    "judged "
                    "by rules for addresses",
                    policy_rule_shown(deny).text, protocol->name);
        if (protocol->n_addresses > 0)
                say(look, protocol->addresses[0].file, protocol->addresses[0].line,
                    "Addresses= says what names may resolve to, and no Connect= of [Protocol %s] grants a name",
                    protocol->name);
}

/* ---- what comes before the bytes ---- */

static void look_at_tls(struct look *look, const struct policy_protocol *protocol) {
        const struct policy_tls *tls = protocol->tls;

        if (!tls || protocol->family == POLICY_FAMILY_QUIC)
                return;
        if ((tls->roles & POLICY_TLS_CLIENT) && !policy_has_rule(protocol, POLICY_RULE_CONNECT))
                say(look, tls->file, tls->line, "TLS=%s says how connects are made, and [Protocol %s] has no Connect=",
                    policy_word(policy_words_tls, (int)tls->roles), protocol->name);
        if ((tls->roles & POLICY_TLS_SERVER) && !policy_has_rule(protocol, POLICY_RULE_LISTEN))
                say(look, tls->file, tls->line, "TLS=%s is for who is accepted, and [Protocol %s] has no Listen=",
                    policy_word(policy_words_tls, (int)tls->roles), protocol->name);
}

/** @return the first Deny rule for addresses, or NULL. */
static const struct policy_rule *find_address_deny(const struct policy_protocol *protocol) {
        for (size_t i = 0; i < protocol->n_rules; ++i)
                if (protocol->rules[i].kind == POLICY_RULE_DENY && protocol->rules[i].target != POLICY_TARGET_NAME)
                        return &protocol->rules[i];
        return NULL;
}

/** What is not enforced for names that a proxy resolves. */
static void look_at_resolving(struct look *look, const struct policy_protocol *protocol) {
        const struct policy_rule *deny = find_address_deny(protocol);

        if (!protocol->proxy.resolves || !find_name(protocol, POLICY_RULE_CONNECT))
                return;
        if (protocol->n_addresses > 0)
                say(look, protocol->addresses[0].file, protocol->addresses[0].line,
                    "Addresses= is not enforced in [Protocol %s]: with ProxyResolve=yes nobody but the proxy knows "
                    "what a name resolves to",
                    protocol->name);
        if (deny)
                say(look, deny->file, deny->line,
                    "%s does not hold for names in [Protocol %s]: with ProxyResolve=yes nobody but the proxy knows "
                    "what a name resolves to",
                    policy_rule_shown(deny).text, protocol->name);
}

static void look_at_proxy(struct look *look, const struct policy_protocol *protocol) {
        const struct policy_hop *hop = &protocol->proxy.hops[0];
        bool connects = policy_has_rule(protocol, POLICY_RULE_CONNECT);

        if (protocol->proxy.n_hops > 0 && !connects)
                say(look, hop->at.file, hop->at.line,
                    "Proxy= says how connects are made, and [Protocol %s] has no Connect=", protocol->name);
        if (protocol->send_header != POLICY_PROXY_HEADER_NONE && !connects)
                say(look, protocol->file, protocol->line,
                    "SendProxyHeader= says how connects are made, and [Protocol %s] has no Connect=", protocol->name);
        look_at_resolving(look, protocol);
}

/* ---- QUIC ---- */

/**
 * What one peer may have in the relay's buffers, where the guest does not read, beside what the relay holds of all: beyond a quarter of its
 * memory it gives no more credit, to nobody.
 */
static void look_at_memory(struct look *look, const struct policy_protocol *protocol) {
        uint64_t memory = look->tenant->limits[POLICY_LIMIT_RELAY_MEMORY];
        uint64_t most = 2 * protocol->quic.max_streams * protocol->quic.stream_window;
        char most_text[POLICY_LIMIT_TEXT_MAX], window[POLICY_LIMIT_TEXT_MAX], memory_text[POLICY_LIMIT_TEXT_MAX];

        if (memory == POLICY_UNLIMITED || most <= memory / QUIC_MEMORY_SHARE)
                return;
        say(look, protocol->file, protocol->line,
            "one connection of [Protocol %s] can hold up all of a relay's, while its guest does not read: 2 kinds of "
            "streams x MaxStreams=%" PRIu32
            " x StreamWindow=%s is %s, and a relay keeps a quarter of RelayMemory=%s for that",
            protocol->name, protocol->quic.max_streams,
            policy_number_format(POLICY_UNIT_BYTES, protocol->quic.stream_window, window),
            policy_number_format(POLICY_UNIT_BYTES, most, most_text),
            policy_limit_format(POLICY_LIMIT_RELAY_MEMORY, memory, memory_text));
}

static void look_at_quic(struct look *look, const struct policy_protocol *protocol) {
        const struct policy_quic *quic = &protocol->quic;
        char stream[POLICY_LIMIT_TEXT_MAX], connection[POLICY_LIMIT_TEXT_MAX];

        if (protocol->family != POLICY_FAMILY_QUIC)
                return;
        if (protocol->socket_types & POLICY_SOCKET_STREAM)
                look_at_memory(look, protocol);
        if (quic->stream_window > quic->connection_window)
                say(look, protocol->file, protocol->line,
                    "no stream of [Protocol %s] ever has its StreamWindow=%s, for all of a connection have "
                    "ConnectionWindow=%s together",
                    protocol->name, policy_number_format(POLICY_UNIT_BYTES, quic->stream_window, stream),
                    policy_number_format(POLICY_UNIT_BYTES, quic->connection_window, connection));
        if (quic->always_retry && !policy_has_rule(protocol, POLICY_RULE_LISTEN))
                say(look, protocol->file, protocol->line,
                    "Retry= is about clients of a server, and [Protocol %s] has no Listen=", protocol->name);
}

static void look_at_protocol(struct look *look, const struct policy_protocol *protocol) {
        look_at_grants(look, protocol);
        look_at_names(look, protocol);
        look_at_tls(look, protocol);
        look_at_proxy(look, protocol);
        look_at_quic(look, protocol);
}

void policy_warn(const struct policy *policy, bool private, policy_warn_function warn, void *data) {
        struct look look = { .warn = warn, .data = data, .pairs_left = PAIRS_MAX };

        for (size_t t = 0; t < policy->n_tenants; ++t) {
                const struct policy_tenant *tenant = &policy->tenants[t];

                look.tenant = tenant;
                if (!private && tenant->n_principals == 0 && !tenant->socket.path)
                        say(&look, tenant->file, tenant->line,
                            "nobody can open a session as tenant %s: it has no User=, Group=, Unit= or Socket=",
                            tenant->name);
                for (size_t i = 0; i < tenant->n_protocols; ++i)
                        look_at_protocol(&look, &tenant->protocols[i]);
        }
}
