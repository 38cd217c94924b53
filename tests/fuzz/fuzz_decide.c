/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions: the input is the lines of a protocol and questions for it, such as
 *
 *     Connect=10.0.0.0/8:443
 *     Deny=10.1.0.0/16:*
 *     connect 10.1.2.3:443
 *
 * A line with a `=` that is no line of a policy is left out, and so is a question that is none.
 *
 * Of every verdict: what is allowed has the rule that grants it, of the right kind; a Deny rule for just that takes it away;
 * the order of the lines changes nothing; without rules that grant nothing is granted; what is refused has a reason, and the remedy, where
 * there is one, is a line that allows it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"
#include "policy/rule.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "decide";

#define LINES_MAX 16
#define QUESTIONS_MAX 16
#define LINE_LENGTH_MAX 256
#define HEAD "[Tenant]\nName=acme\n[Protocol web]\nDataPath=direct\n"
#define HEAD_LINES 4

/** The lines of a protocol behind HEAD. */
struct lines {
        char text[LINES_MAX + 1][LINE_LENGTH_MAX];
        size_t n;
};

struct question {
        enum policy_verb verb;
        struct nb_socket_address address;
        char text[LINE_LENGTH_MAX]; /* as it stood */
};

struct input {
        struct lines lines;
        struct question questions[QUESTIONS_MAX];
        size_t n_questions;
};

/* ---- policies ---- */

/** @return 0 and the policy, owned by the caller; or the number of the line that is wrong, from 1, or -1 where it is none of them */
static int try_policy(const struct lines *lines, struct policy **ret) {
        const struct policy_defaults defaults = { 0 };
        char text[sizeof(HEAD) + (LINES_MAX + 1) * (LINE_LENGTH_MAX + 1)];
        struct policy *policy = policy_new();
        size_t used = (size_t)snprintf(text, sizeof(text), "%s", HEAD);
        struct policy_error error;

        for (size_t i = 0; i < lines->n; ++i)
                used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", lines->text[i]);
        FUZZ_CHECK(policy, "no memory");
        if (policy_add_file(policy, "acme.conf", text, used, &defaults, &error) == 0) {
                *ret = policy;
                return 0;
        }
        policy_free(policy);
        return error.line > HEAD_LINES ? (int)error.line - HEAD_LINES : -1;
}

static void remove_line(struct lines *lines, size_t index) {
        memmove(lines->text[index], lines->text[index + 1], (lines->n - index - 1) * sizeof(lines->text[0]));
        --lines->n;
}

/** Leaves out what is no line of a policy. @return owned by the caller, or NULL where what is left is no policy as a whole */
static struct policy *policy_of_lines(struct lines *lines) {
        struct policy *policy = NULL;
        int wrong;

        while ((wrong = try_policy(lines, &policy)) > 0 && (size_t)wrong <= lines->n)
                remove_line(lines, (size_t)wrong - 1);
        return policy;
}

static struct policy_verdict ask(const struct policy *policy, const struct question *question) {
        struct policy_verdict verdict;

        policy_decide(&policy->tenants[0].protocols[0], question->verb, &question->address, &verdict);
        return verdict;
}

/** What the same question is answered with under other lines; `fallback` where they are no policy. */
static bool allows(const struct lines *lines, const struct question *question, bool fallback) {
        struct policy_verdict verdict;
        struct policy *policy;

        if (try_policy(lines, &policy) != 0)
                return fallback;
        verdict = ask(policy, question);
        policy_free(policy);
        return verdict.allowed;
}

/* ---- what must hold ---- */

/** Adds a line behind the others: there is room for one more than the input may have. */
static void add_line(struct lines *lines, const char *line) {
        snprintf(lines->text[lines->n++], sizeof(lines->text[0]), "%s", line);
}

static void check_order(const struct lines *lines, const struct question *question, bool allowed) {
        struct lines reversed = { .n = lines->n };

        for (size_t i = 0; i < lines->n; ++i)
                memcpy(reversed.text[i], lines->text[lines->n - 1 - i], sizeof(reversed.text[i]));
        FUZZ_CHECK(allows(&reversed, question, allowed) == allowed, "the order matters for %s", question->text);
}

static void check_deny_wins(const struct lines *lines, const struct question *question) {
        char address[NB_SOCKET_ADDRESS_TEXT_MAX], line[LINE_LENGTH_MAX];
        struct lines with_deny = *lines;

        nb_socket_address_format(&question->address, address);
        if (strpbrk(address, " \t")) /* would be two rules */
                return;
        snprintf(line, sizeof(line), "Deny=%s", address);
        add_line(&with_deny, line);
        FUZZ_CHECK(!allows(&with_deny, question, false), "%s does not keep from %s", line, question->text);
}

static void check_nothing_without_grant(const struct lines *lines, const struct question *question) {
        struct lines denials = { 0 };

        for (size_t i = 0; i < lines->n; ++i)
                if (strncmp(lines->text[i], "Connect", 7) != 0 && strncmp(lines->text[i], "Listen", 6) != 0)
                        memcpy(denials.text[denials.n++], lines->text[i], sizeof(denials.text[0]));
        if (question->verb != POLICY_ACCEPT)
                FUZZ_CHECK(!allows(&denials, question, false), "granted by nothing: %s", question->text);
}

static void check_remedy(const struct lines *lines, const struct question *question,
                         const struct policy_verdict *verdict) {
        struct lines with_remedy = *lines;

        add_line(&with_remedy, verdict->remedy);
        FUZZ_CHECK(allows(&with_remedy, question, false), "\"%s\" does not allow %s: %s", verdict->remedy,
                   question->text, verdict->reason);
}

static void check_grant(const struct policy *policy, const struct question *question,
                        const struct policy_verdict *verdict) {
        const struct policy_protocol *protocol = &policy->tenants[0].protocols[0];
        enum policy_rule_kind kind = question->verb == POLICY_CONNECT ? POLICY_RULE_CONNECT : POLICY_RULE_LISTEN;

        FUZZ_CHECK(verdict->reason[0] == '\0' && verdict->remedy[0] == '\0', "%s", verdict->reason);
        if (question->verb == POLICY_ACCEPT)
                return;
        FUZZ_CHECK(verdict->rule >= protocol->rules && verdict->rule < protocol->rules + protocol->n_rules, "%s",
                   question->text);
        FUZZ_CHECK(verdict->rule->kind == kind, "%s grants %s", verdict->rule->text, question->text);
}

static void check_question(const struct lines *lines, const struct policy *policy, const struct question *question) {
        struct policy_verdict verdict = ask(policy, question);

        check_order(lines, question, verdict.allowed);
        check_nothing_without_grant(lines, question);
        if (verdict.allowed) {
                check_grant(policy, question, &verdict);
                check_deny_wins(lines, question);
                return;
        }
        FUZZ_CHECK(verdict.reason[0] != '\0', "no reason: %s", question->text);
        if (verdict.remedy[0] != '\0')
                check_remedy(lines, question, &verdict);
}

/* ---- the input ---- */

static bool take_question(const char *line, struct question *ret) {
        static const char *const verbs[] = { "connect ", "listen ", "accept " };

        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); ++i) {
                size_t length = strlen(verbs[i]);

                if (strncmp(line, verbs[i], length) != 0)
                        continue;
                ret->verb = (enum policy_verb)i;
                snprintf(ret->text, sizeof(ret->text), "%s", line);
                return nb_socket_address_parse(line + length, strlen(line + length), &ret->address) == 0;
        }
        return false;
}

static void take_line(struct input *input, const struct fuzz_line *line) {
        char text[LINE_LENGTH_MAX];

        if (line->length >= sizeof(text) || memchr(line->text, '\0', line->length))
                return;
        memcpy(text, line->text, line->length);
        text[line->length] = '\0';
        if (strchr(text, '=')) {
                if (input->lines.n < LINES_MAX)
                        memcpy(input->lines.text[input->lines.n++], text, line->length + 1);
                return;
        }
        if (input->n_questions < QUESTIONS_MAX && take_question(text, &input->questions[input->n_questions]))
                ++input->n_questions;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE struct input *input = calloc(1, sizeof(*input));
        const char *rest = (const char *)data;
        struct fuzz_line line;
        struct policy *policy;

        FUZZ_CHECK(input, "no memory");
        while (fuzz_next_line(&rest, &size, &line))
                take_line(input, &line);
        policy = policy_of_lines(&input->lines);
        if (!policy)
                return 0;
        for (size_t i = 0; i < input->n_questions; ++i)
                check_question(&input->lines, policy, &input->questions[i]);
        policy_free(policy);
        return 0;
}
