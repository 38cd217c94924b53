/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions: the input is the lines of a protocol and questions for it, such as
 *
 *     Connect=10.0.0.0/8:443 *.example.com:443
 *     Deny=10.1.0.0/16:*
 *     connect 10.1.2.3:443
 *     connect api.example.com:443
 *     resolved 8.8.8.8 api.example.com:443
 *
 * The last asks whether an address that the name has may be dialled. A line with a `=` that is no line of a policy is left out, and so is a
 * question that is none.
 *
 * Of every verdict: who explains it says the same. What is allowed has the rule that grants it, of the right kind; a Deny rule for just that
 * takes it away; the order of the lines changes nothing; without rules that grant nothing is granted; what is refused has a reason, and the
 * remedy, where there is one, is a line that allows it. And of every address and name: the rules that match are those that a naive walk finds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/explain.h"
#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/naive.h"

const char fuzz_target[] = "decide";

#define LINES_MAX 16
#define QUESTIONS_MAX 16
#define LINE_LENGTH_MAX 512
#define HEAD "[Tenant]\nName=acme\n[Protocol web]\nDataPath=direct\n"
#define HEAD_LINES 4

/** The lines of a protocol behind HEAD. */
struct lines {
        char text[LINES_MAX + 1][LINE_LENGTH_MAX];
        size_t n;
};

struct question {
        struct policy_question question;
        bool resolved; /* it is about one address of its name: */
        struct nb_ip ip;
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

static const struct policy_protocol *protocol_of(const struct policy *policy) {
        return &policy->tenants[0].protocols[0];
}

static struct policy_verdict decide(const struct policy_protocol *protocol, const struct question *question) {
        const struct policy_question *q = &question->question;
        struct nb_address address = { .ip = question->ip, .port = q->name.port };
        struct policy_verdict verdict;

        if (question->resolved)
                policy_decide_resolved(protocol, &q->name, &address, &verdict);
        else if (q->named)
                policy_decide_name(protocol, &q->name, &verdict);
        else
                policy_decide(protocol, q->verb, &q->address, &verdict);
        return verdict;
}

/** Decides, and has it explained. */
static struct policy_verdict ask(const struct policy *policy, const struct question *question) {
        struct policy_verdict verdict = decide(protocol_of(policy), question);
        struct policy_explanation explanation;
        NB_CLEANUP_FREE char *text = NULL;

        policy_explain(&policy->tenants[0], protocol_of(policy), &question->question,
                       question->resolved ? &question->ip : NULL, &explanation);
        FUZZ_CHECK(explanation.verdict.allowed == verdict.allowed && explanation.verdict.rule == verdict.rule &&
                           strcmp(explanation.verdict.reason, verdict.reason) == 0 &&
                           strcmp(explanation.verdict.remedy, verdict.remedy) == 0,
                   "%s is explained as something else: %s; %s", question->text, verdict.reason,
                   explanation.verdict.reason);
        FUZZ_CHECK(explanation.trace.n_steps > 0 && explanation.trace.n_steps <= POLICY_STEPS_MAX, "%zu steps",
                   explanation.trace.n_steps);
        text = policy_explanation_format(&explanation);
        FUZZ_CHECK(text, "no memory");
        for (const char *c = text; *c; ++c)
                FUZZ_CHECK(*c == '\n' || (*c >= ' ' && *c <= '~'), "byte %02x in: %s", (unsigned char)*c, text);
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

/** What a Deny rule says for just that. @return false where no rule can */
static bool format_asked(const struct question *question, char *buffer, size_t size) {
        const struct policy_question *q = &question->question;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct nb_address address = { .ip = question->ip, .port = q->name.port };

        if (question->resolved)
                snprintf(buffer, size, "%s", nb_address_format(&address, text));
        else if (q->named)
                snprintf(buffer, size, "%s:%u", q->name.text, q->name.port);
        else
                snprintf(buffer, size, "%s", nb_socket_address_format(&q->address, text));
        return !strpbrk(buffer, " \t"); /* which would be two rules */
}

static void check_deny_wins(const struct lines *lines, const struct question *question) {
        char asked[POLICY_HOST_NAME_MAX + sizeof(":65535")], line[LINE_LENGTH_MAX];
        struct lines with_deny = *lines;

        if (!format_asked(question, asked, sizeof(asked)))
                return;
        snprintf(line, sizeof(line), "Deny=%s", asked);
        add_line(&with_deny, line);
        FUZZ_CHECK(!allows(&with_deny, question, false), "%s does not keep from %s", line, question->text);
}

/** A name that leads to an address has been granted before. */
static void check_nothing_without_grant(const struct lines *lines, const struct question *question) {
        struct lines denials = { 0 };

        if (question->question.verb == POLICY_ACCEPT || question->resolved)
                return;
        for (size_t i = 0; i < lines->n; ++i)
                if (strncmp(lines->text[i], "Connect", 7) != 0 && strncmp(lines->text[i], "Listen", 6) != 0)
                        memcpy(denials.text[denials.n++], lines->text[i], sizeof(denials.text[0]));
        FUZZ_CHECK(!allows(&denials, question, false), "granted by nothing: %s", question->text);
}

static void check_remedy(const struct lines *lines, const struct question *question,
                         const struct policy_verdict *verdict) {
        struct lines with_remedy = *lines;

        add_line(&with_remedy, verdict->remedy);
        FUZZ_CHECK(allows(&with_remedy, question, false), "\"%s\" does not allow %s: %s", verdict->remedy,
                   question->text, verdict->reason);
}

static void check_grant(const struct policy_protocol *protocol, const struct question *question,
                        const struct policy_verdict *verdict) {
        enum policy_verb verb = question->question.verb;
        enum policy_rule_kind kind = verb == POLICY_CONNECT ? POLICY_RULE_CONNECT : POLICY_RULE_LISTEN;

        FUZZ_CHECK(verdict->reason[0] == '\0' && verdict->remedy[0] == '\0', "%s", verdict->reason);
        if (verb == POLICY_ACCEPT)
                return;
        FUZZ_CHECK(verdict->rule >= protocol->rules && verdict->rule < protocol->rules + protocol->n_rules, "%s",
                   question->text);
        FUZZ_CHECK(verdict->rule->kind == kind, "%s grants %s", verdict->rule->text, question->text);
        if (question->question.named)
                FUZZ_CHECK(verdict->rule->target == POLICY_TARGET_NAME, "%s grants %s", verdict->rule->text,
                           question->text);
        else
                FUZZ_CHECK(verdict->rule->target != POLICY_TARGET_NAME, "%s grants %s", verdict->rule->text,
                           question->text);
}

static void check_matches(const struct policy_protocol *protocol, const struct question *question) {
        const struct policy_question *q = &question->question;
        struct nb_address resolved = { .ip = question->ip, .port = q->name.port };

        if (q->named)
                naive_check_name(protocol, &q->name);
        if (question->resolved)
                naive_check_address(protocol, &resolved, question->text);
        else if (!q->named && q->address.family != AF_UNIX)
                naive_check_address(protocol, &q->address.ip, question->text);
}

/** An address is asked about only when its name has been granted. */
static bool is_due(const struct policy_protocol *protocol, const struct question *question) {
        struct policy_verdict verdict;

        if (!question->resolved)
                return true;
        policy_decide_name(protocol, &question->question.name, &verdict);
        return verdict.allowed;
}

static void check_question(const struct lines *lines, const struct policy *policy, const struct question *question) {
        struct policy_verdict verdict;

        if (protocol_of(policy)->family != POLICY_FAMILY_UNIX)
                check_matches(protocol_of(policy), question);
        if (!is_due(protocol_of(policy), question))
                return;
        verdict = ask(policy, question);
        check_order(lines, question, verdict.allowed);
        check_nothing_without_grant(lines, question);
        if (verdict.allowed) {
                check_grant(protocol_of(policy), question, &verdict);
                check_deny_wins(lines, question);
                return;
        }
        FUZZ_CHECK(verdict.reason[0] != '\0', "no reason: %s", question->text);
        if (verdict.remedy[0] != '\0')
                check_remedy(lines, question, &verdict);
}

/* ---- the input ---- */

/** "connect", "listen" or "accept" and what is asked, or "resolved", an address and a name with its port. */
static bool take_question(char *line, struct question *ret) {
        char *what = strchr(line, ' '), *name;
        struct policy_complaint ignored;
        enum policy_verb verb = POLICY_CONNECT;

        if (!what)
                return false;
        snprintf(ret->text, sizeof(ret->text), "%s", line);
        *what++ = '\0';
        ret->resolved = strcmp(line, "resolved") == 0;
        if (!ret->resolved)
                return policy_verb_parse(line, &verb) == 0 &&
                       policy_question_parse(verb, what, &ret->question, &ignored) == 0;
        name = strchr(what, ' ');
        if (!name || nb_ip_parse(what, (size_t)(name - what), &ret->ip) < 0)
                return false;
        return policy_question_parse(verb, name + 1, &ret->question, &ignored) == 0 && ret->question.named;
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
