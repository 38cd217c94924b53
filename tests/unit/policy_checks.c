/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/policy_checks.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/index.h"
#include "tests/support/random.h"

/* How many damaged files the parser is given. */
#define DAMAGED_FILES 20000

/* ---- errors ---- */

/* @param ret  gets the error */
static void refuse(const char *text, size_t length, const struct bad_text *bad, struct policy_error *ret) {
        const char *correct = bad->correct ? bad->correct : "";
        struct policy *policy = policy_new();
        char message[2048];

        ck_assert_msg(policy_add_text(policy, "acme.conf", text, length, POLICY_DATA_PATH_AUTO, ret) == -EINVAL,
                      "\"%s\"", text);
        policy_free(policy);
        policy_error_format(ret, message, sizeof(message));
        ck_assert_msg(ret->line == bad->line && ret->column == bad->column, "not at %u:%u: %s", bad->line, bad->column,
                      message);
        ck_assert_msg(strstr(ret->message, bad->message), "\"%s\" is not in: %s", bad->message, message);
        ck_assert_msg(strcmp(ret->correct, correct) == 0, "not \"%s\": %s", correct, message);
        for (const char *c = message; *c; ++c)
                ck_assert_msg(*c == '\n' || (*c >= ' ' && *c <= '~'), "unprintable: %s", message);
}

void expect_error(const char *text, size_t length, const struct bad_text *bad) {
        struct policy_error error;

        refuse(text, length, bad, &error);
}

void expect_bad_text(const struct bad_text *bad) {
        expect_error(bad->text, strlen(bad->text), bad);
}

static unsigned count_lines(const char *text) {
        unsigned n = 0;

        for (; *text; ++text)
                n += *text == '\n';
        return n;
}

void expect_bad_value(const char *head, const char *key, const struct bad_text *bad, const char *tail) {
        struct bad_text expected = *bad;
        struct policy_error error;
        char text[512], correct[256];

        expected.line = count_lines(head) + 1;
        expected.column += (unsigned)strlen(key) + 1;
        if (bad->correct) {
                snprintf(correct, sizeof(correct), "%s=%s", key, bad->correct);
                expected.correct = correct;
        }
        snprintf(text, sizeof(text), "%s%s=%s\n%s", head, key, bad->text, tail);
        refuse(text, strlen(text), &expected, &error);
        if (!bad->correct)
                return;

        snprintf(text, sizeof(text), "%s%s\n%s", head, error.correct, tail);
        policy_free(policy_of(text));
}

/* What an editor or a slip of the finger would write, or any byte at all. */
static char random_byte(uint64_t *state) {
        if (next_random(state) % 2)
                return (char)next_random(state);
        return "[]:/-=*;# \t\n0919.,@?\xc3"[next_random(state) % 21];
}

static void expect_policy_or_error(const char *text, size_t length) {
        struct policy *policy = policy_new();
        struct policy_error error;
        char message[2048];

        if (policy_add_text(policy, "f", text, length, POLICY_DATA_PATH_AUTO, &error) < 0) {
                policy_error_format(&error, message, sizeof(message));
                ck_assert_ptr_nonnull(strstr(message, " error: "));
                ck_assert(error.line > 0 || error.column == 0);
        }
        policy_free(policy);
}

void expect_damage_is_told(const char *whole_file, uint64_t seed) {
        size_t length = strlen(whole_file);
        NB_CLEANUP_FREE char *text = malloc(length + 1);
        uint64_t state = seed;

        ck_assert_ptr_nonnull(text);
        for (size_t i = 0; i <= length; ++i)
                expect_policy_or_error(whole_file, i);
        for (size_t i = length + 1; i < DAMAGED_FILES; ++i) {
                memcpy(text, whole_file, length + 1);
                for (size_t j = 0; j < 1 + i % 3; ++j)
                        text[next_random(&state) % length] = random_byte(&state);
                expect_policy_or_error(text, length);
        }
}

/* ---- decisions ---- */

/* What a verdict says: the reason of a refusal, or the rule of a grant, which needs no words of its own. */
static void verdict_text(const struct policy_verdict *verdict, char *text, size_t size) {
        if (!verdict->allowed)
                snprintf(text, size, "%s", verdict->reason);
        else if (verdict->rule)
                snprintf(text, size, "granted by %s (%s:%u)", verdict->rule->text, verdict->rule->file,
                         verdict->rule->line);
        else
                snprintf(text, size, "no Deny rule matches");
}

void expect_verdict(const struct policy_verdict *verdict, bool allowed, const char *text, const char *remedy) {
        char said[1024];

        ck_assert_msg(verdict->allowed == allowed, "%s", verdict->reason);
        verdict_text(verdict, said, sizeof(said));
        ck_assert_msg(strstr(said, text), "\"%s\" is not in: %s", text, said);
        ck_assert_str_eq(verdict->remedy, remedy ? remedy : "");
}

void expect_decision(const char *head, const struct decision *decision) {
        struct policy_verdict verdict;
        struct policy *policy;
        char text[512];

        snprintf(text, sizeof(text), "%s%s\n", head, decision->rules);
        policy = policy_of(text);
        verdict = decide(policy, decision->verb, decision->address);
        expect_verdict(&verdict, decision->allowed, decision->text, decision->remedy);
        policy_free(policy);
}

/* ---- properties ---- */

struct question {
        struct nb_socket_address address;
        enum policy_verb verb;
};

static struct policy_verdict ask(const struct policy_protocol *protocol, const struct question *question) {
        struct policy_verdict verdict;

        policy_decide(protocol, question->verb, &question->address, &verdict);
        return verdict;
}

static void reverse_rules(struct policy_protocol *protocol) {
        for (size_t i = 0; i < protocol->n_rules / 2; ++i) {
                struct policy_rule rule = protocol->rules[i];

                protocol->rules[i] = protocol->rules[protocol->n_rules - 1 - i];
                protocol->rules[protocol->n_rules - 1 - i] = rule;
        }
        ck_assert_int_eq(policy_index_build(protocol), 0);
}

static void expect_any_order(struct policy_protocol *protocol, const struct question *question, bool allowed) {
        struct policy_verdict reversed;

        reverse_rules(protocol);
        reversed = ask(protocol, question);
        reverse_rules(protocol);
        ck_assert_msg(reversed.allowed == allowed, "the order matters: %s", reversed.reason);
}

/* With the remedy's line the same question is answered with yes. */
static void expect_remedy(const char *text, const struct question *question, const struct policy_verdict *verdict) {
        struct policy_verdict again;
        struct policy *policy;
        char longer[2048];

        snprintf(longer, sizeof(longer), "%s%s\n", text, verdict->remedy);
        policy = policy_of(longer);
        again = ask(&policy->tenants[0].protocols[0], question);
        ck_assert_msg(again.allowed, "%s: %s, but then %s, in\n%s", verdict->reason, verdict->remedy, again.reason,
                      longer);
        policy_free(policy);
}

static struct policy_verdict expect_oracle(const struct policy_property *property, struct policy_protocol *protocol,
                                           const struct question *question, const char *text) {
        struct policy_verdict verdict = ask(protocol, question);
        char address[NB_SOCKET_ADDRESS_TEXT_MAX];

        ck_assert_msg(verdict.allowed == property->oracle(protocol, question->verb, &question->address),
                      "%s: %s, in\n%s", nb_socket_address_format(&question->address, address), verdict.reason, text);
        expect_any_order(protocol, question, verdict.allowed);
        ck_assert_int_eq(verdict.reason[0] == '\0', verdict.allowed);
        ck_assert(!verdict.allowed || verdict.remedy[0] == '\0');
        return verdict;
}

/* What came of the questions so far. */
struct tally {
        unsigned allowed, remedies;
};

static void expect_answers(const struct policy_property *property, uint64_t *state, const char *text,
                           struct tally *tally) {
        struct policy *policy = policy_of(text);

        for (unsigned i = 0; i < property->questions; ++i) {
                struct question question = { .address = property->pick(state) };
                struct policy_verdict verdict;

                question.verb = (enum policy_verb)(next_random(state) % 3);
                verdict = expect_oracle(property, &policy->tenants[0].protocols[0], &question, text);
                tally->allowed += verdict.allowed;
                if (verdict.remedy[0] == '\0' || next_random(state) % property->remedy_in != 0)
                        continue;
                expect_remedy(text, &question, &verdict);
                ++tally->remedies;
        }
        policy_free(policy);
}

void expect_property(const struct policy_property *property) {
        uint64_t state = property->seed;
        struct tally tally = { 0 };
        char text[1024];

        for (unsigned i = 0; i < property->policies; ++i) {
                property->write(&state, text, sizeof(text));
                expect_answers(property, &state, text, &tally);
        }
        ck_assert_uint_gt(tally.allowed, property->policies);
        ck_assert_uint_gt(tally.remedies, property->policies);
}
