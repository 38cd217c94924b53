/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of Unix sockets. One question, in this order: can it be at all (family, a name), does a Deny rule forbid it, does a
 * rule grant it. There is no guard: a star does not cross a slash, so no rule is wider than its author sees.
 *
 * A peer chooses its own name, which proves nothing: a Deny rule can refuse it, no rule relies on it.
 */
#include "policy/decide.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "policy/match.h"
#include "policy/rule.h"
#include "policy/unix_pattern.h"
#include "policy/verdict.h"

/* How much of a name a reason shows: all of it, unless most of it has to be escaped. */
#define NAME_SHOWN_MAX 160

/** What is being judged, and where the answer goes. */
struct question {
        const struct policy_protocol *protocol;
        enum policy_verb verb;
        const struct nb_unix_name *name;
        struct policy_verdict *verdict;
        struct policy_trace *trace;
};

static void note(struct question *q, enum policy_check check, bool passed, const struct policy_rule *rule) {
        struct policy_step step = { .layer = POLICY_LAYER_ADDRESS, .check = check, .passed = passed, .rule = rule };

        policy_trace_step(q->trace, &step);
}

/** The name as rules have it. @return `buffer`. */
static const char *name_text(const struct nb_unix_name *name, char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]) {
        const struct nb_socket_address address = { .family = AF_UNIX, .un = *name };

        return nb_socket_address_format(&address, buffer);
}

/** @return true: the question is answered. */
__attribute__((format(printf, 3, 4))) static bool refuse(struct question *q, const struct policy_rule *rule,
                                                         const char *format, ...) {
        char text[NB_SOCKET_ADDRESS_TEXT_MAX], shown[NAME_SHOWN_MAX] = "a Unix socket without a name";
        va_list arguments;

        if (q->name->length > 0) {
                name_text(q->name, text);
                nb_escape(text, strlen(text), shown, sizeof(shown));
        }
        va_start(arguments, format);
        policy_verdict_refuse(q->verdict, q->verb, shown, rule, format, arguments);
        va_end(arguments);
        return true;
}

/* ---- the steps: each returns whether it answered the question ---- */

static bool refuse_impossible(struct question *q) {
        if (q->protocol->family != POLICY_FAMILY_UNIX)
                refuse(q, NULL, "%s has %s, and this is a Unix socket", policy_section(q->protocol).text,
                       policy_family_text(q->protocol));
        else if (q->verb != POLICY_ACCEPT && q->name->length == 0)
                refuse(q, NULL, "only a name can be granted");
        else
                return false;
        note(q, POLICY_CHECK_POSSIBLE, false, NULL);
        q->verdict->impossible = true;
        return true;
}

static bool refuse_denied(struct question *q) {
        const struct policy_rule *rule = policy_match_unix(q->protocol, POLICY_RULE_DENY, q->name);

        note(q, POLICY_CHECK_DENY, !rule, rule);
        if (!rule)
                return false;
        return refuse(q, rule, "forbidden by %s (%s)", policy_rule_shown(rule).text,
                      policy_place(rule->file, rule->line).text);
}

/** Whether a rule can hold this name and no other: without blanks, wildcards and what rules refuse. */
static bool can_be_written(const char *text) {
        struct policy_complaint ignored;

        return strpbrk(text, " \t*") == NULL && policy_unix_pattern_check(text, strlen(text), &ignored) == 0;
}

static void refuse_no_rule(struct question *q) {
        const char *kind = policy_rule_kind_name(policy_grant_kind(q->verb));
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];
        bool written = can_be_written(name_text(q->name, text));

        refuse(q, NULL, "no %s= rule in %s matches%s", kind, policy_section(q->protocol).text,
               written ? "" : ", and only a \"*\" could, for the name holds what rules do not");
        q->verdict->impossible = q->protocol->preopen; /* whose one address stands for its one rule */
        if (written && !q->protocol->preopen)
                snprintf(q->verdict->remedy, sizeof(q->verdict->remedy), "%s=%s", kind, text);
}

void policy_decide_unix(const struct policy_protocol *protocol, enum policy_verb verb, const struct nb_unix_name *name,
                        struct policy_verdict *ret, struct policy_trace *trace) {
        struct question q = { .protocol = protocol, .verb = verb, .name = name, .verdict = ret, .trace = trace };
        const struct policy_rule *rule;

        if (refuse_impossible(&q) || refuse_denied(&q))
                return;
        if (verb == POLICY_ACCEPT) {
                policy_verdict_allow(ret, NULL);
                return;
        }
        rule = policy_match_unix(protocol, policy_grant_kind(verb), name);
        note(&q, POLICY_CHECK_GRANT, rule != NULL, rule);
        if (rule)
                policy_verdict_allow(ret, rule);
        else
                refuse_no_rule(&q);
}
