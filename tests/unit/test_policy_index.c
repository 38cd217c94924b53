/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees beside a walk through the rules in the order of the file, which is what they stand for: random policies, and the
 * rule that is found must be the same one. Then what is printed must be read as the same, and what explains must say what decides.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/explain.h"
#include "policy/group.h"
#include "policy/index.h"
#include "policy/label_tree.h"
#include "policy/match.h"
#include "policy/port_map.h"
#include "policy/radix.h"
#include "policy/rule.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_text.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define POLICIES 300
#define RULES_MAX 60
#define QUESTIONS 300

/* ---- random rules and questions ---- */

static const char *const kinds[] = { "Connect", "Connect", "Listen", "Deny" };
static const char *const groups[] = { "any", "public", "private", "local" };
static const char *const ports[] = { "*", "80", "443", "80-443", "1-65535", "81-442", "100-200", "150-300", "65535" };
static const uint16_t port_numbers[] = { 0, 1, 80, 81, 99, 100, 150, 200, 201, 300, 301, 442, 443, 444, 65534, 65535 };
static const char *const labels[] = { "a", "b", "c", "ab", "a-b", "xn--bcher-kva" };

/** A prefix whose bits are those of few bases, so that prefixes nest and addresses meet them. */
static struct nb_prefix random_prefix(uint64_t *state) {
        static const struct nb_ip bases[] = {
                { AF_INET, { 10, 1, 2, 3 } },
                { AF_INET, { 93, 184, 216, 34 } },
                { AF_INET, { 127, 0, 0, 1 } },
                { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } },
                { AF_INET6, { 0x2a, 0x00, 0x14, 0x50, 0, 1, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 7 } },
                { AF_INET6, { 0xfd, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } },
        };
        struct nb_prefix prefix = { .ip = PICK(state, bases) };
        unsigned bits = prefix.ip.family == AF_INET ? 32 : 128;

        prefix.length = (uint8_t)(next_random(state) % (bits + 1));
        if (next_random(state) % 2) /* part from the others somewhere */
                prefix.ip.bytes[next_random(state) % (bits / 8)] ^= (uint8_t)(1u << next_random(state) % 8);
        for (unsigned i = prefix.length; i < 128; ++i)
                prefix.ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
        return prefix;
}

static struct nb_ip random_ip(uint64_t *state) {
        struct nb_prefix prefix = random_prefix(state);
        unsigned bits = prefix.ip.family == AF_INET ? 32 : 128;

        for (unsigned i = prefix.length; i < bits; ++i)
                if (next_random(state) % 8 == 0)
                        prefix.ip.bytes[i / 8] |= (uint8_t)(0x80u >> (i % 8));
        return prefix.ip;
}

static void random_name(uint64_t *state, char *buffer, size_t size) {
        size_t n = 1 + next_random(state) % 4;

        buffer[0] = '\0';
        for (size_t i = 0; i < n; ++i) {
                size_t used = strlen(buffer);

                snprintf(buffer + used, size - used, "%s%s", i > 0 ? "." : "", PICK(state, labels));
        }
}

/** @param kind  NULL: a word of Addresses= */
static void random_target(uint64_t *state, const char *kind, char *buffer, size_t size) {
        struct nb_prefix prefix = random_prefix(state);
        char text[POLICY_RANGE_TEXT_MAX], name[64];
        unsigned which = next_random(state) % 10;

        if (which == 0) {
                snprintf(buffer, size, "%s", PICK(state, groups));
        } else if (which < 5 && kind && strcmp(kind, "Listen") != 0) {
                random_name(state, name, sizeof(name));
                snprintf(buffer, size, "%s%s", next_random(state) % 3 == 0 ? "*." : "", name);
        } else {
                snprintf(buffer, size, "%s", policy_prefix_format(&prefix, text));
        }
}

/** A line that may be no rule: then it is left out. */
static void add_random_line(uint64_t *state, char *text, size_t size) {
        const char *kind = next_random(state) % 8 > 0 ? PICK(state, kinds) : NULL;
        enum policy_rule_kind rule_kind = POLICY_RULE_CONNECT;
        struct policy_rule rule = { .target = POLICY_TARGET_PREFIX };
        struct policy_complaint ignored;
        struct policy_range range;
        char target[128], line[256];
        size_t used = strlen(text);

        random_target(state, kind, target, sizeof(target));
        if (!kind) {
                if (policy_range_parse(target, strlen(target), &range, &ignored) == 0)
                        snprintf(text + used, size - used, "Addresses=%s\n", target);
                return;
        }
        if (strcmp(kind, "Connect") != 0)
                rule_kind = strcmp(kind, "Deny") == 0 ? POLICY_RULE_DENY : POLICY_RULE_LISTEN;
        snprintf(line, sizeof(line), "%s:%s", target, PICK(state, ports));
        if (policy_rule_parse(rule_kind, line, strlen(line), &rule, &ignored) < 0)
                return;
        if (rule.target == POLICY_TARGET_NAME)
                free(rule.name.text);
        snprintf(text + used, size - used, "%s=%s\n", kind, line);
}

static struct policy *random_policy(uint64_t *state) {
        char text[16384] = POLICY_HEAD;
        size_t n = next_random(state) % (RULES_MAX + 1);

        for (size_t i = 0; i < n; ++i)
                add_random_line(state, text, sizeof(text));
        return policy_of(text);
}

/* ---- the walk ---- */

static bool walk_prefix(const struct nb_prefix *prefix, const struct nb_ip *ip, const struct nb_prefix *within) {
        return nb_prefix_contains(prefix, ip) && (!within || nb_prefix_covers(within, prefix));
}

static bool walk_target(enum policy_target target, const struct nb_prefix *prefix, enum policy_group group,
                        const struct nb_ip *ip, const struct nb_prefix *within) {
        const struct nb_prefix *prefixes;
        size_t n;

        if (target == POLICY_TARGET_PREFIX)
                return walk_prefix(prefix, ip, within);
        if (target != POLICY_TARGET_GROUP)
                return false;
        if (group == POLICY_GROUP_PUBLIC)
                return !within && policy_group_contains(group, ip);
        n = policy_group_prefixes(group, &prefixes);
        for (size_t i = 0; i < n; ++i)
                if (walk_prefix(&prefixes[i], ip, within))
                        return true;
        return false;
}

static bool is_candidate(const struct policy_rule *rule, enum policy_rule_kind kind, uint16_t port) {
        return rule->kind == kind && port >= rule->ports.first && port <= rule->ports.last;
}

static const struct policy_rule *walk(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                      const struct nb_ip *ip, uint16_t port, const struct nb_prefix *within) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (is_candidate(rule, kind, port) && walk_target(rule->target, &rule->prefix, rule->group, ip, within))
                        return rule;
        }
        return NULL;
}

static const struct policy_rule *walk_exactly(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                              const struct nb_prefix *prefix, uint16_t port) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];
                const struct nb_prefix *prefixes = &rule->prefix;
                size_t n = rule->target == POLICY_TARGET_PREFIX;

                if (rule->target == POLICY_TARGET_GROUP)
                        n = policy_group_prefixes(rule->group, &prefixes);
                for (size_t j = 0; j < n && is_candidate(rule, kind, port); ++j)
                        if (prefixes[j].length == prefix->length && nb_ip_equal(&prefixes[j].ip, &prefix->ip))
                                return rule;
        }
        return NULL;
}

static const struct policy_rule *walk_family(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                             sa_family_t family, uint16_t port) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (is_candidate(rule, kind, port) &&
                    (rule->target == POLICY_TARGET_GROUP ||
                     (rule->target == POLICY_TARGET_PREFIX && rule->prefix.ip.family == family)))
                        return rule;
        }
        return NULL;
}

static bool walk_pattern(const struct policy_name_pattern *pattern, const char *name) {
        size_t length = strlen(name), tail = strlen(pattern->text);

        if (!pattern->below)
                return strcmp(pattern->text, name) == 0;
        return length > tail + 1 && name[length - tail - 1] == '.' && strcmp(name + length - tail, pattern->text) == 0;
}

static const struct policy_rule *walk_host(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                           const struct policy_host_name *name) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (is_candidate(rule, kind, name->port) && rule->target == POLICY_TARGET_NAME &&
                    walk_pattern(&rule->name, name->text))
                        return rule;
        }
        return NULL;
}

static const struct policy_rule *walk_below(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                            const struct policy_host_name *name) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (is_candidate(rule, kind, name->port) && rule->target == POLICY_TARGET_NAME && rule->name.below &&
                    strcmp(rule->name.text, name->text) == 0)
                        return rule;
        }
        return NULL;
}

static const struct policy_range *walk_range(const struct policy_protocol *protocol, const struct nb_ip *ip,
                                             const struct nb_prefix *within) {
        for (size_t i = 0; i < protocol->n_addresses; ++i) {
                const struct policy_range *range = &protocol->addresses[i];

                if (walk_target(range->target, &range->prefix, range->group, ip, within))
                        return range;
        }
        return NULL;
}

/* ---- the trees beside it ---- */

static void expect_addresses(const struct policy_protocol *protocol, uint64_t *state) {
        enum policy_rule_kind kind = (enum policy_rule_kind)(next_random(state) % POLICY_N_RULE_KINDS);
        struct nb_ip ip = random_ip(state);
        struct nb_prefix within = { .ip = ip }, exactly = random_prefix(state);
        uint16_t port = PICK(state, port_numbers);

        within.length = (uint8_t)(1 + next_random(state) % (ip.family == AF_INET ? 32 : 128));
        for (unsigned i = within.length; i < 128; ++i)
                within.ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
        ck_assert_ptr_eq(policy_match(protocol, kind, &ip, port, NULL), walk(protocol, kind, &ip, port, NULL));
        ck_assert_ptr_eq(policy_match(protocol, kind, &ip, port, &within), walk(protocol, kind, &ip, port, &within));
        ck_assert_ptr_eq(policy_match_exactly(protocol, kind, &exactly, port),
                         walk_exactly(protocol, kind, &exactly, port));
        ck_assert_ptr_eq(policy_match_family(protocol, kind, ip.family, port),
                         walk_family(protocol, kind, ip.family, port));
        if (protocol->n_addresses == 0)
                return;
        ck_assert_ptr_eq(policy_match_range(protocol, &ip, NULL), walk_range(protocol, &ip, NULL));
        ck_assert_ptr_eq(policy_match_range(protocol, &ip, &within), walk_range(protocol, &ip, &within));
}

static void expect_names(const struct policy_protocol *protocol, uint64_t *state) {
        static const enum policy_rule_kind name_kinds[] = { POLICY_RULE_CONNECT, POLICY_RULE_DENY };
        enum policy_rule_kind kind = PICK(state, name_kinds);
        struct policy_host_name name = { .port = PICK(state, port_numbers) };

        random_name(state, name.text, sizeof(name.text));
        ck_assert_ptr_eq(policy_match_host(protocol, kind, &name), walk_host(protocol, kind, &name));
        ck_assert_ptr_eq(policy_match_below(protocol, kind, &name), walk_below(protocol, kind, &name));
}

START_TEST(abuse_16_21_the_trees_find_what_a_walk_finds) {
        uint64_t state = 0xa4093822299f31d0 + (uint64_t)_i;

        for (unsigned i = 0; i < POLICIES / 4; ++i) {
                struct policy *policy = random_policy(&state);

                for (unsigned j = 0; j < QUESTIONS; ++j) {
                        expect_addresses(&policy->tenants[0].protocols[0], &state);
                        expect_names(&policy->tenants[0].protocols[0], &state);
                }
                policy_free(policy);
        }
}
END_TEST

/* ---- what explains says what decides ---- */

static void expect_same(const struct policy_verdict *a, const struct policy_verdict *b) {
        ck_assert_int_eq(a->allowed, b->allowed);
        ck_assert_int_eq(a->impossible, b->impossible);
        ck_assert_ptr_eq(a->rule, b->rule);
        ck_assert_str_eq(a->reason, b->reason);
        ck_assert_str_eq(a->remedy, b->remedy);
}

/** Only the last step refuses, and it does so where the verdict does. */
static void expect_steps(const struct policy_explanation *explanation) {
        size_t n = explanation->trace.n_steps;
        char text[POLICY_STEP_TEXT_MAX];

        for (size_t i = 0; i < n; ++i) {
                const struct policy_step *step = &explanation->trace.steps[i];

                ck_assert_int_eq(step->passed, i + 1 < n || explanation->verdict.allowed);
                policy_step_format(explanation, step, text, sizeof(text));
                ck_assert_uint_gt(strlen(text), 10);
                for (const char *c = text; *c; ++c)
                        ck_assert(*c >= ' ' && *c <= '~');
        }
        if (!explanation->verdict.allowed)
                ck_assert_uint_gt(n, 0);
}

static void expect_explained(const struct policy *policy, const struct policy_question *question,
                             const struct nb_ip *resolved) {
        const struct policy_tenant *tenant = &policy->tenants[0];
        const struct policy_protocol *protocol = &tenant->protocols[0];
        struct policy_explanation explanation;
        struct policy_verdict verdict;
        struct nb_address address;

        policy_explain(tenant, protocol, question, resolved, &explanation);
        if (resolved) {
                address = (struct nb_address){ .ip = *resolved, .port = question->name.port };
                policy_decide_resolved(protocol, &question->name, &address, &verdict);
        } else if (question->named) {
                policy_decide_name(protocol, &question->name, &verdict);
        } else {
                policy_decide(protocol, question->verb, &question->address, &verdict);
        }
        expect_same(&explanation.verdict, &verdict);
        expect_steps(&explanation);
}

START_TEST(explain_says_what_decides) {
        uint64_t state = 0x082efa98ec4e6c89;

        for (unsigned i = 0; i < POLICIES; ++i) {
                struct policy *policy = random_policy(&state);

                for (unsigned j = 0; j < QUESTIONS / 10; ++j) {
                        struct policy_question question = { .verb = (enum policy_verb)(next_random(&state) % 3) };
                        struct nb_address address = { .ip = random_ip(&state), .port = PICK(&state, port_numbers) };

                        question.address = nb_socket_address_of_ip(&address);
                        expect_explained(policy, &question, NULL);
                        question = (struct policy_question){ .named = true, .name.port = 443 };
                        random_name(&state, question.name.text, sizeof(question.name.text));
                        expect_explained(policy, &question, NULL);
                        expect_explained(policy, &question, &address.ip);
                }
                policy_free(policy);
        }
}
END_TEST

/* ---- what is printed is read as the same ---- */

static void expect_rule_round_trip(const struct policy_rule *rule) {
        struct policy_rule again = { .target = POLICY_TARGET_PREFIX };
        char text[POLICY_RULE_TEXT_MAX], text_again[POLICY_RULE_TEXT_MAX];
        struct policy_complaint complaint;

        policy_rule_format(rule, text);
        ck_assert_msg(policy_rule_parse(rule->kind, text, strlen(text), &again, &complaint) == 0, "%s: %s", text,
                      complaint.message);
        ck_assert_int_eq(again.target, rule->target);
        ck_assert_uint_eq(again.ports.first, rule->ports.first);
        ck_assert_uint_eq(again.ports.last, rule->ports.last);
        ck_assert_str_eq(policy_rule_format(&again, text_again), text);
        if (rule->target == POLICY_TARGET_NAME) {
                ck_assert_str_eq(again.name.text, rule->name.text);
                ck_assert_int_eq(again.name.below, rule->name.below);
                free(again.name.text);
        } else if (rule->target == POLICY_TARGET_PREFIX) {
                ck_assert_uint_eq(again.prefix.length, rule->prefix.length);
                ck_assert(nb_ip_equal(&again.prefix.ip, &rule->prefix.ip));
        } else {
                ck_assert_int_eq(again.group, rule->group);
        }
}

static void expect_range_round_trip(const struct policy_range *range) {
        char text[POLICY_RANGE_TEXT_MAX], text_again[POLICY_RANGE_TEXT_MAX];
        struct policy_complaint complaint;
        struct policy_range again;

        policy_range_format(range, text);
        ck_assert_int_eq(policy_range_parse(text, strlen(text), &again, &complaint), 0);
        ck_assert_int_eq(again.target, range->target);
        ck_assert_str_eq(policy_range_format(&again, text_again), text);
}

START_TEST(rules_are_read_as_they_are_printed) {
        uint64_t state = 0x452821e638d01377;

        for (unsigned i = 0; i < POLICIES; ++i) {
                struct policy *policy = random_policy(&state);
                const struct policy_protocol *protocol = &policy->tenants[0].protocols[0];

                for (size_t j = 0; j < protocol->n_rules; ++j)
                        expect_rule_round_trip(&protocol->rules[j]);
                for (size_t j = 0; j < protocol->n_addresses; ++j)
                        expect_range_round_trip(&protocol->addresses[j]);
                policy_free(policy);
        }
}
END_TEST

START_TEST(a_host_that_is_named_like_a_group) {
        struct policy *policy = policy_of(POLICY_HEAD "Connect=public.:443 *.public:80\n");
        const struct policy_protocol *protocol = &policy->tenants[0].protocols[0];
        struct policy_host_name name = { .port = 443, .text = "public" };
        struct policy_verdict verdict;

        ck_assert_int_eq(protocol->rules[0].target, POLICY_TARGET_NAME);
        expect_rule_round_trip(&protocol->rules[0]);
        expect_rule_round_trip(&protocol->rules[1]);
        policy_decide_name(protocol, &name, &verdict);
        ck_assert(verdict.allowed);
        name = (struct policy_host_name){ .port = 443, .text = "local" };
        policy_decide_name(protocol, &name, &verdict);
        ck_assert_str_eq(verdict.remedy, "Connect=local.:443");
        policy_free(policy);
}
END_TEST

/* ---- the trees by themselves ---- */

START_TEST(ports_of_one_place) {
        struct port_entry entries[] = {
                { 1, 7, { 0, 65535 } }, { 1, 3, { 100, 200 } },     { 1, 5, { 150, 300 } },
                { 1, 9, { 10, 20 } },   { 1, 2, { 200, 200 } },     { 1, 4, { 65535, 65535 } },
                { 3, 1, { 80, 80 } },   { 3, 0, { 65535, 65535 } }, { 3, 6, { 0, 0 } },
        };
        static const struct {
                uint32_t place;
                uint16_t port;
                uint32_t rule;
        } found[] = {
                { 0, 80, PORT_MAP_NONE },
                { 1, 0, 7 },
                { 1, 15, 7 },
                { 1, 99, 7 },
                { 1, 100, 3 },
                { 1, 199, 3 },
                { 1, 200, 2 },
                { 1, 201, 5 },
                { 1, 300, 5 },
                { 1, 301, 7 },
                { 1, 65534, 7 },
                { 1, 65535, 4 },
                { 2, 80, PORT_MAP_NONE },
                { 3, 80, 1 },
                { 3, 79, PORT_MAP_NONE },
                { 3, 81, PORT_MAP_NONE },
                { 3, 65535, 0 },
                { 3, 0, 6 },
        };
        struct port_map map;

        ck_assert_int_eq(port_map_init(entries, ELEMENTS(entries), 4, &map), 0);
        for (size_t i = 0; i < ELEMENTS(found); ++i)
                ck_assert_uint_eq(port_map_find(&map, found[i].place, found[i].port), found[i].rule);
        port_map_deinit(&map);
        port_map_deinit(&map);
}
END_TEST

START_TEST(nothing_at_all) {
        struct label_walk walk = label_walk_begin("a.b");
        struct nb_ip ip = { AF_INET, { 192, 0, 2, 1 } };
        struct radix_walk radix_walk;
        struct label_tree names;
        struct port_map map;
        struct radix tree;

        ck_assert_int_eq(port_map_init(NULL, 0, 1, &map), 0);
        ck_assert_uint_eq(port_map_find(&map, 0, 80), PORT_MAP_NONE);
        port_map_deinit(&map);

        ck_assert_int_eq(radix_init(0, &tree), 0);
        radix_walk = radix_walk_begin(&tree, &ip);
        ck_assert(!radix_walk_next(&tree, &radix_walk));
        radix_deinit(&tree);

        ck_assert_int_eq(label_tree_init(NULL, 0, NULL, &names), 0);
        ck_assert(!label_walk_next(&names, &walk));
        label_tree_deinit(&names);
        ck_assert_ptr_null(policy_index_free(NULL));
}
END_TEST

START_TEST(every_bit_of_an_address_may_part_two) {
        struct nb_prefix alone = { { AF_INET6, { 0x20, 0x01 } }, 128 };
        struct radix_walk walk;
        struct radix tree;
        uint32_t node;

        ck_assert_int_eq(radix_init(129, &tree), 0);
        for (unsigned i = 0; i <= 128; ++i) {
                struct nb_prefix prefix = alone;

                if (i < 128)
                        prefix.ip.bytes[i / 8] ^= (uint8_t)(0x80u >> (i % 8));
                node = radix_add(&tree, &prefix);
                ck_assert_uint_eq(radix_add(&tree, &prefix), node);
        }
        for (unsigned i = 0; i <= 128; ++i) {
                struct nb_ip ip = alone.ip;

                if (i < 128)
                        ip.bytes[i / 8] ^= (uint8_t)(0x80u >> (i % 8));
                walk = radix_walk_begin(&tree, &ip);
                ck_assert(radix_walk_next(&tree, &walk));
                ck_assert_uint_eq(walk.length, 128);
                ck_assert(!radix_walk_next(&tree, &walk));
        }
        radix_deinit(&tree);
}
END_TEST

/* The whole must stay usable at the size that an operator may write. */
START_TEST(a_hundred_thousand_rules) {
        size_t size = 4 * 1024 * 1024, used;
        char *text = malloc(size);
        struct policy *policy;

        ck_assert_ptr_nonnull(text);
        used = (size_t)snprintf(text, size, "%s", POLICY_HEAD);
        for (unsigned i = 0; i < 50000; ++i)
                used += (size_t)snprintf(text + used, size - used, "Connect=20.%u.%u.%u:%u h%u.z%u.example:443\n",
                                         i / 65536, i / 256 % 256, i % 256, 1 + i % 65535, i, i % 100);
        policy = policy_of(text);
        ck_assert_uint_eq(policy->tenants[0].protocols[0].n_rules, 100000);
        ck_assert(decide(policy, POLICY_CONNECT, "20.0.1.2:259").allowed);
        ck_assert(!decide(policy, POLICY_CONNECT, "20.0.1.2:260").allowed);
        policy_free(policy);
        free(text);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("policy, index");
        TCase *property = tcase_create("properties"), *trees = tcase_create("trees");

        tcase_add_loop_test(property, abuse_16_21_the_trees_find_what_a_walk_finds, 0, 4);
        tcase_add_test(property, explain_says_what_decides);
        tcase_add_test(property, rules_are_read_as_they_are_printed);
        tcase_add_test(property, a_host_that_is_named_like_a_group);
        tcase_set_timeout(property, 60);
        tcase_add_test(trees, ports_of_one_place);
        tcase_add_test(trees, nothing_at_all);
        tcase_add_test(trees, every_bit_of_an_address_may_part_two);
        tcase_add_test(trees, a_hundred_thousand_rules);
        suite_add_tcase(suite, property);
        suite_add_tcase(suite, trees);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
