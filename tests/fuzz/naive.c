/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/naive.h"

#include <string.h>

#include "policy/group.h"
#include "policy/match.h"
#include "tests/fuzz/fuzz.h"

static const enum policy_rule_kind kinds[] = { POLICY_RULE_CONNECT, POLICY_RULE_LISTEN, POLICY_RULE_DENY };

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool same_bits(const struct nb_ip *a, const struct nb_ip *b, unsigned n) {
        if (a->family != b->family)
                return false;
        for (unsigned i = 0; i < n; ++i)
                if (((a->bytes[i / 8] ^ b->bytes[i / 8]) >> (7 - i % 8)) & 1)
                        return false;
        return true;
}

/** Holds the address, and lies in `within`, if that is given. */
static bool prefix_holds(const struct nb_prefix *prefix, const struct nb_ip *ip, const struct nb_prefix *within) {
        if (!same_bits(&prefix->ip, ip, prefix->length))
                return false;
        return !within || (prefix->length >= within->length && same_bits(&prefix->ip, &within->ip, within->length));
}

static bool group_holds(enum policy_group group, const struct nb_ip *ip, const struct nb_prefix *within) {
        const struct nb_prefix *prefixes;
        size_t n = policy_group_prefixes(group, &prefixes);

        if (group == POLICY_GROUP_PUBLIC)
                return !within && policy_group_contains(group, ip);
        for (size_t i = 0; i < n; ++i)
                if (prefix_holds(&prefixes[i], ip, within))
                        return true;
        return false;
}

/** Whether a rule is of that kind and for this port. */
static bool is_asked(const struct policy_rule *rule, enum policy_rule_kind kind, uint16_t port) {
        return rule->kind == kind && rule->ports.first <= port && port <= rule->ports.last;
}

static const struct policy_rule *naive_match(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                             const struct nb_address *address, const struct nb_prefix *within) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (!is_asked(rule, kind, address->port))
                        continue;
                if (rule->target == POLICY_TARGET_PREFIX && prefix_holds(&rule->prefix, &address->ip, within))
                        return rule;
                if (rule->target == POLICY_TARGET_GROUP && group_holds(rule->group, &address->ip, within))
                        return rule;
        }
        return NULL;
}

static bool is_prefix(const struct nb_prefix *a, const struct nb_prefix *b) {
        return a->length == b->length && same_bits(&a->ip, &b->ip, a->length);
}

static bool group_is(enum policy_group group, const struct nb_prefix *prefix) {
        const struct nb_prefix *prefixes;
        size_t n = policy_group_prefixes(group, &prefixes);

        for (size_t i = 0; i < n; ++i)
                if (is_prefix(&prefixes[i], prefix))
                        return true;
        return false;
}

static const struct policy_rule *naive_match_exactly(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                                     const struct nb_prefix *prefix, uint16_t port) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (!is_asked(rule, kind, port))
                        continue;
                if (rule->target == POLICY_TARGET_PREFIX && is_prefix(&rule->prefix, prefix))
                        return rule;
                if (rule->target == POLICY_TARGET_GROUP && group_is(rule->group, prefix))
                        return rule;
        }
        return NULL;
}

static const struct policy_rule *naive_match_family(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                                    sa_family_t family, uint16_t port) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (!is_asked(rule, kind, port))
                        continue;
                if (rule->target == POLICY_TARGET_GROUP ||
                    (rule->target == POLICY_TARGET_PREFIX && rule->prefix.ip.family == family))
                        return rule;
        }
        return NULL;
}

static const struct policy_range *naive_match_range(const struct policy_protocol *protocol, const struct nb_ip *ip,
                                                    const struct nb_prefix *within) {
        for (size_t i = 0; i < protocol->n_addresses; ++i) {
                const struct policy_range *range = &protocol->addresses[i];

                if (range->target == POLICY_TARGET_PREFIX ? prefix_holds(&range->prefix, ip, within)
                                                          : group_holds(range->group, ip, within))
                        return range;
        }
        return NULL;
}

/** Labels from the end, one by one. */
static bool name_holds(const struct policy_name_pattern *pattern, const char *name) {
        const char *rest = name;

        if (!pattern->below)
                return strcmp(name, pattern->text) == 0;
        while ((rest = strchr(rest, '.'))) {
                ++rest;
                if (strcmp(rest, pattern->text) == 0)
                        return true;
        }
        return false;
}

static const struct policy_rule *naive_match_host(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                                  const struct policy_host_name *name) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (is_asked(rule, kind, name->port) && rule->target == POLICY_TARGET_NAME &&
                    name_holds(&rule->name, name->text))
                        return rule;
        }
        return NULL;
}

/* ---- comparing ---- */

static const char *shown(const struct policy_rule *rule) {
        return rule ? rule->text : "none";
}

static void check_rules(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                        const struct nb_address *address, const struct nb_prefix *within, const char *text) {
        const struct policy_rule *found = policy_match(protocol, kind, &address->ip, address->port, within);
        const struct policy_rule *expected = naive_match(protocol, kind, address, within);

        FUZZ_CHECK(found == expected, "%s within /%d: %s, not %s", text, within ? within->length : -1, shown(found),
                   shown(expected));
        if (!within)
                return;
        found = policy_match_exactly(protocol, kind, within, address->port);
        expected = naive_match_exactly(protocol, kind, within, address->port);
        FUZZ_CHECK(found == expected, "%s exactly /%u: %s, not %s", text, within->length, shown(found),
                   shown(expected));
}

static void check_range(const struct policy_protocol *protocol, const struct nb_ip *ip, const struct nb_prefix *within,
                        const char *text) {
        const struct policy_range *found = policy_match_range(protocol, ip, within);

        if (protocol->n_addresses > 0)
                FUZZ_CHECK(found == naive_match_range(protocol, ip, within), "Addresses= and %s", text);
        else
                FUZZ_CHECK((found != NULL) == group_holds(POLICY_GROUP_PUBLIC, ip, within), "the default and %s", text);
}

static void check_family(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                         const struct nb_address *address, const char *text) {
        const struct policy_rule *found = policy_match_family(protocol, kind, address->ip.family, address->port);
        const struct policy_rule *expected = naive_match_family(protocol, kind, address->ip.family, address->port);

        FUZZ_CHECK(found == expected, "the family of %s: %s, not %s", text, shown(found), shown(expected));
}

static struct nb_prefix prefix_around(const struct nb_ip *ip, uint8_t length) {
        struct nb_prefix prefix = { .ip = *ip, .length = length };

        for (unsigned i = length; i < 8 * sizeof(prefix.ip.bytes); ++i)
                prefix.ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
        return prefix;
}

void naive_check_address(const struct policy_protocol *protocol, const struct nb_address *address, const char *text) {
        uint8_t longest = address->ip.family == AF_INET ? 32 : 128;

        for (size_t i = 0; i < N_KINDS; ++i) {
                check_rules(protocol, kinds[i], address, NULL, text);
                check_family(protocol, kinds[i], address, text);
        }
        check_range(protocol, &address->ip, NULL, text);
        for (uint8_t length = 0; length <= longest; ++length) {
                struct nb_prefix within = prefix_around(&address->ip, length);

                for (size_t i = 0; i < N_KINDS; ++i)
                        check_rules(protocol, kinds[i], address, &within, text);
                check_range(protocol, &address->ip, &within, text);
        }
}

void naive_check_name(const struct policy_protocol *protocol, const struct policy_host_name *name) {
        for (size_t i = 0; i < N_KINDS; ++i) {
                const struct policy_rule *found = policy_match_host(protocol, kinds[i], name);
                const struct policy_rule *expected = naive_match_host(protocol, kinds[i], name);

                FUZZ_CHECK(found == expected, "%s:%u: %s, not %s", name->text, name->port, shown(found),
                           shown(expected));
        }
}
