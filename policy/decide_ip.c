/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses. One question, in this order: can it be at all (port, family), does a Deny rule forbid it, does the guard want a
 * rule that names it, does a rule grant it. Deny comes first, so that no order of rules in the file can weaken it.
 *
 * An address has up to two forms: as it stands with IPv4-mapped ones undone, and as the IPv4 address that it carries for a
 * translator or a tunnel. Deny rules must let both pass, whatever is asked. The rest is for the forms that are used: to
 * connect, the guard must let both pass and the grant is for the last one, which is where the bytes go; to listen, all is
 * for the first one, which is what the socket is bound to. A bind is never translated.
 *
 * To connect to an unspecified form is to connect to loopback: Deny rules must let both pass, and loopback is what is granted.
 *
 * An address that a name has is judged in the same way as one to connect to, but for what grants: the words of `Addresses=` in the place
 * of Connect rules. So a name grant is never an address grant, and the other way round.
 */
#include <stdarg.h>
#include <string.h>

#include "policy/decide.h"
#include "policy/guard.h"
#include "policy/match.h"
#include "policy/rule.h"
#include "policy/text.h"
#include "policy/verdict.h"

/** What is being judged, and where the answer goes. */
struct question {
        const struct policy_protocol *protocol;
        enum policy_verb verb;
        const struct policy_host_name *name; /* that has the address; NULL: it was asked for itself */
        struct nb_ip forms[2];               /* as it stands; as the IPv4 address in it */
        size_t n_forms;                      /* n_used_forms() says how many count beyond Deny rules */
        uint16_t port;
        const struct nb_address *asked; /* as it was given, for reasons */
        struct policy_verdict *verdict;
        struct policy_trace *trace;
};

/** What grants a form, or names it: at most one of them is not NULL. */
struct cover {
        const struct policy_rule *rule;
        const struct policy_range *range;
};

static bool is_covered(const struct cover *cover) {
        return cover->rule || cover->range;
}

/** The first that covers a form. @param within  as of policy_match() */
static struct cover find_cover(const struct question *q, const struct nb_ip *form, const struct nb_prefix *within) {
        struct cover cover = { NULL, NULL };

        if (q->name)
                cover.range = policy_match_range(q->protocol, form, within);
        else
                cover.rule = policy_match(q->protocol, policy_grant_kind(q->verb), form, q->port, within);
        return cover;
}

/** How many of the forms are used: a bind is to the address as it stands, and a peer's address is a fact, not a choice. */
static size_t n_used_forms(const struct question *q) {
        return q->verb == POLICY_CONNECT ? q->n_forms : 1;
}

/** The last of the forms that are used, which the grant must be for. */
static const struct nb_ip *last_form(const struct question *q) {
        return &q->forms[n_used_forms(q) - 1];
}

/* ---- what is said ---- */

static void note(struct question *q, enum policy_check check, bool passed, const struct nb_ip *form,
                 const struct cover *cover, const struct policy_guard *guard) {
        struct policy_step step = { .layer = POLICY_LAYER_ADDRESS, .check = check, .passed = passed, .guard = guard };

        if (!q->trace)
                return;
        if (form) {
                step.form_family = form->family;
                step.form = *form;
        }
        if (cover) {
                step.rule = cover->rule;
                step.range = cover->range;
        }
        policy_trace_step(q->trace, &step);
}

/** @return true: the question is answered. */
__attribute__((format(printf, 3, 4))) static bool refuse(struct question *q, const struct policy_rule *rule,
                                                         const char *format, ...) {
        struct policy_asked asked = policy_asked_address(q->name, q->asked);
        va_list arguments;

        va_start(arguments, format);
        policy_verdict_refuse(q->verdict, q->verb, asked.text, rule, format, arguments);
        va_end(arguments);
        return true;
}

/** No rule could allow what has been refused. @return true. */
static bool for_good(struct question *q) {
        q->verdict->impossible = true;
        return true;
}

/** The narrowest guarded range around this form that nothing names; NULL where each is named. */
static const struct policy_guard *find_unnamed(const struct question *q, const struct nb_ip *form) {
        const struct policy_guard *guard = NULL, *unnamed = NULL;

        while ((guard = policy_guard_next(form, guard))) {
                struct nb_prefix scope = policy_guard_scope(guard, form);
                struct cover cover = find_cover(q, form, &scope);

                if (is_covered(&cover))
                        continue;
                if (!unnamed || guard->range.length > unnamed->range.length)
                        unnamed = guard;
        }
        return unnamed;
}

/** Whether a form that is used still wants a rule: every guarded one to be named, the last one also to be granted. */
static bool lacks_cover(const struct question *q, const struct nb_ip *form) {
        struct cover cover;

        if (find_unnamed(q, form))
                return true;
        cover = find_cover(q, form, NULL);
        return form == last_form(q) && !is_covered(&cover);
}

/** What would cover one form: a rule, or a word of `Addresses=`. @return `buffer` */
static const char *format_cover(const struct question *q, const struct nb_ip *form,
                                char buffer[static POLICY_RULE_TEXT_MAX]) {
        struct policy_rule rule = policy_rule_for_address(policy_grant_kind(q->verb), form, q->port);

        return q->name ? policy_prefix_format(&rule.prefix, buffer) : policy_rule_format(&rule, buffer);
}

/** The line that would allow what no Deny rule forbids: a rule for each form that lacks one, for rules may share a line. */
static void set_remedy(struct question *q) {
        struct policy_text remedy = policy_text_begin(q->verdict->remedy, sizeof(q->verdict->remedy));
        const char *separator = "=";
        char cover[POLICY_RULE_TEXT_MAX];

        if (q->protocol->preopen) { /* its one address stands for its one rule */
                q->verdict->impossible = true;
                return;
        }
        policy_text_add(&remedy, q->name ? "Addresses" : policy_rule_kind_name(policy_grant_kind(q->verb)));
        if (q->name && q->protocol->n_addresses == 0) { /* what is written takes the place of the default */
                policy_text_add(&remedy, "=public");
                separator = " ";
        }
        for (const struct nb_ip *form = q->forms; form <= last_form(q); ++form) {
                if (n_used_forms(q) > 1 && !lacks_cover(q, form)) /* of one form it is known */
                        continue;
                policy_text_add(&remedy, separator);
                policy_text_add(&remedy, format_cover(q, form, cover));
                separator = " ";
        }
}

/* ---- the steps: each returns whether it answered the question ---- */

static bool refuse_impossible(struct question *q) {
        if (q->verb == POLICY_CONNECT && q->port == 0) {
                note(q, POLICY_CHECK_POSSIBLE, false, NULL, NULL, NULL);
                refuse(q, NULL, "nothing listens on port 0");
                return for_good(q);
        }
        for (size_t i = 0; i < n_used_forms(q); ++i) {
                const struct nb_ip *form = &q->forms[i];

                if (policy_family_includes(q->protocol->family, form->family))
                        continue;
                note(q, POLICY_CHECK_POSSIBLE, false, form, NULL, NULL);
                refuse(q, NULL, "%s has %s, and this is %s%s", policy_section(q->protocol).text,
                       policy_family_text(q->protocol), i > 0 ? "judged as " : "",
                       form->family == AF_INET ? "IPv4" : "IPv6");
                return for_good(q);
        }
        return false;
}

static bool refuse_if_denied(struct question *q, const struct nb_ip *form) {
        struct cover deny = { .rule = policy_match(q->protocol, POLICY_RULE_DENY, form, q->port, NULL) };

        note(q, POLICY_CHECK_DENY, !deny.rule, form, &deny, NULL);
        if (!deny.rule)
                return false;
        return refuse(q, deny.rule, "forbidden by %s (%s)", policy_rule_shown(deny.rule).text,
                      policy_place(deny.rule->file, deny.rule->line).text);
}

/** Where Linux connects to when it is told to connect to 0.0.0.0 or ::. */
static struct nb_ip reached_form(const struct nb_ip *form) {
        struct nb_ip reached = *form;

        if (nb_ip_is_unspecified(form))
                nb_ip_set_loopback(&reached);
        return reached;
}

/** What is denied on loopback is denied as the unspecified address. */
static bool refuse_if_loopback_denied(struct question *q, const struct nb_ip *form) {
        struct nb_ip reached = reached_form(form);

        return q->verb == POLICY_CONNECT && nb_ip_is_unspecified(form) && refuse_if_denied(q, &reached);
}

static bool refuse_denied(struct question *q) {
        for (size_t i = 0; i < q->n_forms; ++i)
                if (refuse_if_denied(q, &q->forms[i]) || refuse_if_loopback_denied(q, &q->forms[i]))
                        return true;
        return false;
}

static void refuse_not_covered(struct question *q) {
        const char *inside = n_used_forms(q) > 1 ? " the IPv4 address inside" : " it";

        if (q->protocol->n_addresses > 0)
                refuse(q, NULL, "no word of Addresses= in %s covers%s", policy_section(q->protocol).text, inside);
        else
                refuse(q, NULL, "%s has no Addresses=, so names lead to public addresses only",
                       policy_section(q->protocol).text);
}

static bool refuse_no_rule(struct question *q) {
        note(q, POLICY_CHECK_GRANT, false, last_form(q), NULL, NULL);
        if (q->name)
                refuse_not_covered(q);
        else
                refuse(q, NULL, "no %s= rule in %s matches%s", policy_rule_kind_name(policy_grant_kind(q->verb)),
                       policy_section(q->protocol).text, n_used_forms(q) > 1 ? " the IPv4 address inside" : "");
        set_remedy(q);
        return true;
}

static void allow(struct question *q, const struct cover *cover) {
        note(q, POLICY_CHECK_GRANT, true, last_form(q), cover, NULL);
        policy_verdict_allow(q->verdict,
                             q->name ? policy_match_host(q->protocol, POLICY_RULE_CONNECT, q->name) : cover->rule);
}

/**
 * To bind 0.0.0.0 or :: is to bind every local address, those included that nobody thought of. So it takes a rule for exactly
 * that, or one for all addresses from which no Deny rule takes any away.
 */
static void decide_wildcard(struct question *q) {
        struct nb_prefix exact = { .ip = *last_form(q), .length = last_form(q)->family == AF_INET ? 32 : 128 };
        struct nb_prefix every = { .ip = *last_form(q), .length = 0 };
        struct cover grant = { .rule = policy_match_exactly(q->protocol, POLICY_RULE_LISTEN, &exact, q->port) };
        struct cover deny = {
                .rule = policy_match_family(q->protocol, POLICY_RULE_DENY, every.ip.family, q->port),
        };

        if (!grant.rule && !deny.rule)
                grant.rule = policy_match_exactly(q->protocol, POLICY_RULE_LISTEN, &every, q->port);
        if (grant.rule) {
                allow(q, &grant);
                return;
        }
        if (!deny.rule || !policy_match_exactly(q->protocol, POLICY_RULE_LISTEN, &every, q->port)) {
                refuse_no_rule(q);
                return;
        }
        note(q, POLICY_CHECK_GRANT, false, last_form(q), &deny, NULL);
        refuse(q, NULL,
               "that is every local address, and %s (%s) takes some away; only a rule for exactly this address "
               "grants it",
               policy_rule_shown(deny.rule).text, policy_place(deny.rule->file, deny.rule->line).text);
        set_remedy(q);
}

static bool refuse_no_grant(struct question *q) {
        for (const struct nb_ip *form = q->forms; form <= last_form(q); ++form) {
                const struct policy_guard *guard = NULL;

                while ((guard = policy_guard_next(form, guard))) {
                        if (!guard->no_grant)
                                continue;
                        note(q, POLICY_CHECK_POSSIBLE, false, form, NULL, guard);
                        refuse(q, NULL, "no rule grants a %s address (%s)", guard->what, guard->source);
                        return for_good(q);
                }
        }
        return false;
}

/** Nothing names a guarded range around a form; what covers the form is too wide. */
static bool refuse_unnamed(struct question *q, const struct nb_ip *form, const struct policy_guard *guard) {
        struct cover wide = find_cover(q, form, NULL);
        char range[POLICY_RANGE_TEXT_MAX], word[POLICY_RANGE_TEXT_MAX];

        note(q, POLICY_CHECK_GUARD, false, form, &wide, guard);
        policy_guard_range_format(guard, range);
        if (wide.rule)
                refuse(q, NULL, "%s is %s (%s); a rule must name it, and %s (%s) is wider", range, guard->what,
                       guard->source, policy_rule_shown(wide.rule).text,
                       policy_place(wide.rule->file, wide.rule->line).text);
        else if (wide.range)
                refuse(q, NULL, "%s is %s (%s); Addresses= must name it, and its \"%s\" (%s) is wider", range,
                       guard->what, guard->source, policy_range_format(wide.range, word),
                       policy_place(wide.range->file, wide.range->line).text);
        else if (q->name)
                refuse(q, NULL, "%s is %s (%s), which no word of Addresses= in %s names", range, guard->what,
                       guard->source, policy_section(q->protocol).text);
        else
                refuse(q, NULL, "no Connect= rule in %s matches, and %s is %s (%s)", policy_section(q->protocol).text,
                       range, guard->what, guard->source);
        set_remedy(q);
        return true;
}

/** For who asks why: each guarded range around a form, with what names it. */
static void note_named(struct question *q, const struct nb_ip *form) {
        const struct policy_guard *guard = NULL;

        while (q->trace && (guard = policy_guard_next(form, guard))) {
                struct nb_prefix scope = policy_guard_scope(guard, form);
                struct cover cover = find_cover(q, form, &scope);

                note(q, POLICY_CHECK_GUARD, true, form, &cover, guard);
        }
}

/**
 * The guard is for Connect: what is behind a guarded address belongs to others. A local address to listen on is the
 * broker's own, and a Listen rule that covers it means it.
 */
static bool refuse_guarded(struct question *q) {
        if (q->verb != POLICY_CONNECT)
                return false;
        for (const struct nb_ip *form = q->forms; form <= last_form(q); ++form) {
                const struct policy_guard *guard = find_unnamed(q, form);

                if (guard)
                        return refuse_unnamed(q, form, guard);
                note_named(q, form);
        }
        return false;
}

/** What decided: inside a guarded range that is what names it, though a wider rule may stand before it. */
static struct cover find_grant(const struct question *q) {
        const struct nb_ip *form = last_form(q);
        const struct policy_guard *guard = NULL;
        struct cover cover = { NULL, NULL };

        while (q->verb == POLICY_CONNECT && !is_covered(&cover) && (guard = policy_guard_next(form, guard))) {
                struct nb_prefix scope = policy_guard_scope(guard, form);

                cover = find_cover(q, form, &scope);
        }
        return is_covered(&cover) ? cover : find_cover(q, form, NULL);
}

static void decide_grant(struct question *q) {
        struct cover grant = find_grant(q);

        if (is_covered(&grant))
                allow(q, &grant);
        else
                refuse_no_rule(q);
}

static void note_forms(struct question *q) {
        if (!q->trace)
                return;
        memcpy(q->trace->forms, q->forms, sizeof(q->forms));
        q->trace->n_forms = q->n_forms;
}

void policy_decide_ip(const struct policy_protocol *protocol, enum policy_verb verb,
                      const struct policy_host_name *name, const struct nb_address *address, struct policy_verdict *ret,
                      struct policy_trace *trace) {
        struct question q = {
                .protocol = protocol,
                .verb = verb,
                .name = name,
                .forms = { address->ip },
                .n_forms = 1,
                .port = address->port,
                .asked = address,
                .verdict = ret,
                .trace = trace,
        };

        nb_ip_unmap(&q.forms[0]);
        if (nb_ip_embedded_ipv4(&q.forms[0], &q.forms[1]))
                ++q.n_forms;
        note_forms(&q);

        if (refuse_impossible(&q) || refuse_denied(&q))
                return;
        if (verb == POLICY_ACCEPT) {
                policy_verdict_allow(ret, NULL);
                return;
        }
        for (size_t i = 0; verb == POLICY_CONNECT && i < q.n_forms; ++i)
                q.forms[i] = reached_form(&q.forms[i]);
        if (refuse_no_grant(&q) || refuse_guarded(&q))
                return;
        if (verb == POLICY_LISTEN && nb_ip_is_unspecified(last_form(&q)))
                decide_wildcard(&q);
        else
                decide_grant(&q);
}
