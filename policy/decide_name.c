/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names. One question, in this order: can it be at all (family), does a Deny rule for names forbid it, does a Connect rule name it.
 *
 * A yes lets the name be asked of DNS, and grants none of the addresses that it has: those are policy/decide_ip.c's. So what a name leads
 * to, also one label alone or `localhost`, is judged like any other address.
 */
#include <stdarg.h>
#include <string.h>

#include "policy/decide.h"
#include "policy/lines.h"
#include "policy/match.h"
#include "policy/rule.h"
#include "policy/text.h"
#include "policy/verdict.h"

/** What is being judged, and where the answer goes. */
struct question {
        const struct policy_protocol *protocol;
        const struct policy_host_name *name;
        struct policy_verdict *verdict;
        struct policy_trace *trace;
};

static void note(struct question *q, enum policy_check check, bool passed, const struct policy_rule *rule) {
        struct policy_step step = { .layer = POLICY_LAYER_NAME, .check = check, .passed = passed, .rule = rule };

        policy_trace_step(q->trace, &step);
}

/** @return true: the question is answered. */
__attribute__((format(printf, 3, 4))) static bool refuse(struct question *q, const struct policy_rule *rule,
                                                         const char *format, ...) {
        struct policy_asked asked = policy_asked_name(q->name);
        va_list arguments;

        va_start(arguments, format);
        policy_verdict_refuse(q->verdict, POLICY_CONNECT, asked.text, rule, format, arguments);
        va_end(arguments);
        return true;
}

/** A rule for this name and port alone; its text is borrowed from the question. */
static struct policy_rule rule_for_name(const struct question *q) {
        return (struct policy_rule){
                .kind = POLICY_RULE_CONNECT,
                .target = POLICY_TARGET_NAME,
                .ports = { q->name->port, q->name->port },
                .name = { .text = (char *)q->name->text },
        };
}

static void set_remedy(struct question *q) {
        const struct policy_rule rule = rule_for_name(q);
        struct policy_text remedy = policy_text_begin(q->verdict->remedy, sizeof(q->verdict->remedy));
        char text[POLICY_RULE_TEXT_MAX];

        policy_rule_format(&rule, text);
        if (strlen("Connect=") + strlen(text) > POLICY_LINE_MAX) /* no line of a file holds it */
                return;
        policy_text_add(&remedy, "Connect=");
        policy_text_add(&remedy, text);
}

/* ---- the steps: each returns whether it answered the question ---- */

static bool refuse_impossible(struct question *q) {
        if (q->protocol->family == POLICY_FAMILY_UNIX)
                refuse(q, NULL, "%s has %s, and this is the name of a host", policy_section(q->protocol).text,
                       policy_family_text(q->protocol));
        else if (q->protocol->preopen)
                refuse(q, NULL, "%s has one address, and this is a name", policy_section(q->protocol).text);
        else
                return false;
        note(q, POLICY_CHECK_POSSIBLE, false, NULL);
        q->verdict->impossible = true;
        return true;
}

static bool refuse_denied(struct question *q) {
        const struct policy_rule *rule = policy_match_host(q->protocol, POLICY_RULE_DENY, q->name);

        note(q, POLICY_CHECK_DENY, !rule, rule);
        if (!rule)
                return false;
        return refuse(q, rule, "forbidden by %s (%s)", policy_rule_shown(rule).text,
                      policy_place(rule->file, rule->line).text);
}

/** Who grants what is below a name often means the name as well. */
static void refuse_no_rule(struct question *q) {
        const struct policy_rule *below = policy_match_below(q->protocol, POLICY_RULE_CONNECT, q->name);

        if (below)
                refuse(q, NULL, "no Connect= rule in %s names it, and %s (%s) is for the names below it only",
                       policy_section(q->protocol).text, policy_rule_shown(below).text,
                       policy_place(below->file, below->line).text);
        else
                refuse(q, NULL, "no Connect= rule in %s names it", policy_section(q->protocol).text);
        set_remedy(q);
}

void policy_decide_host(const struct policy_protocol *protocol, const struct policy_host_name *name,
                        struct policy_verdict *ret, struct policy_trace *trace) {
        struct question q = { .protocol = protocol, .name = name, .verdict = ret, .trace = trace };
        const struct policy_rule *rule;

        if (refuse_impossible(&q) || refuse_denied(&q))
                return;
        rule = policy_match_host(protocol, POLICY_RULE_CONNECT, name);
        note(&q, POLICY_CHECK_GRANT, rule != NULL, rule);
        if (rule) {
                policy_verdict_allow(ret, rule);
                return;
        }
        refuse_no_rule(&q);
}
