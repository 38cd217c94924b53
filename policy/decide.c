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
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/decide_unix.h"
#include "policy/guard.h"
#include "policy/match.h"
#include "policy/policy.h"
#include "policy/rule.h"
#include "policy/verdict.h"

/** What is being judged, and where the answer goes. */
struct question {
        const struct policy_protocol *protocol;
        enum policy_verb verb;
        struct nb_ip forms[2]; /* as it stands; as the IPv4 address in it */
        size_t n_forms;        /* n_used_forms() says how many count beyond Deny rules */
        uint16_t port;
        const struct nb_address *asked; /* as it was given, for reasons */
        struct policy_verdict *verdict;
};

/** @return true: the question is answered. */
__attribute__((format(printf, 3, 4))) static bool refuse(struct question *q, const struct policy_rule *rule,
                                                         const char *format, ...) {
        char asked[NB_ADDRESS_TEXT_MAX];
        va_list arguments;

        va_start(arguments, format);
        policy_verdict_refuse(q->verdict, q->verb, nb_address_format(q->asked, asked), rule, format, arguments);
        va_end(arguments);
        return true;
}

/* ---- the remedy ---- */

/** How many of the forms are used: a bind is to the address as it stands, and a peer's address is a fact, not a choice. */
static size_t n_used_forms(const struct question *q) {
        return q->verb == POLICY_CONNECT ? q->n_forms : 1;
}

/** The last of the forms that are used, which the grant must be for. */
static const struct nb_ip *last_form(const struct question *q) {
        return &q->forms[n_used_forms(q) - 1];
}

/** The narrowest guarded range around this form that no rule names; NULL where each is named. */
static const struct policy_guard *find_unnamed(const struct question *q, const struct nb_ip *form) {
        const struct policy_guard *guard = NULL, *unnamed = NULL;

        while ((guard = policy_guard_next(form, guard))) {
                struct nb_prefix scope = policy_guard_scope(guard, form);

                if (policy_match(q->protocol, POLICY_RULE_CONNECT, form, q->port, &scope))
                        continue;
                if (!unnamed || guard->range.length > unnamed->range.length)
                        unnamed = guard;
        }
        return unnamed;
}

/** Whether a form that is used still wants a rule: every guarded one to be named, the last one also to be granted. */
static bool lacks_rule(const struct question *q, const struct nb_ip *form) {
        if (q->verb == POLICY_LISTEN)
                return true;
        if (find_unnamed(q, form))
                return true;
        return form == last_form(q) && !policy_match(q->protocol, POLICY_RULE_CONNECT, form, q->port, NULL);
}

/** The line that would allow what no Deny rule forbids: a rule for each form that lacks one, for rules may share a line. */
static void set_remedy(struct question *q) {
        char *remedy = q->verdict->remedy;
        size_t size = sizeof(q->verdict->remedy);
        const char *separator = "=";
        char rule[POLICY_RULE_TEXT_MAX];
        size_t used;

        if (q->protocol->preopen) /* its one address stands for its one rule */
                return;
        snprintf(remedy, size, "%s", policy_rule_kind_name(policy_grant_kind(q->verb)));
        for (const struct nb_ip *form = q->forms; form <= last_form(q); ++form) {
                if (!lacks_rule(q, form))
                        continue;
                used = strlen(remedy);
                snprintf(remedy + used, size - used, "%s%s", separator, policy_rule_format(form, q->port, rule));
                separator = " ";
        }
}

/* ---- the steps: each returns whether it answered the question ---- */

static bool refuse_impossible(struct question *q) {
        if (q->verb == POLICY_CONNECT && q->port == 0)
                return refuse(q, NULL, "nothing listens on port 0");

        for (size_t i = 0; i < n_used_forms(q); ++i) {
                const struct nb_ip *form = &q->forms[i];

                if (policy_family_includes(q->protocol->family, form->family))
                        continue;
                return refuse(q, NULL, "%s has %s, and this is %s%s", policy_section(q->protocol).text,
                              policy_family_text(q->protocol), i > 0 ? "judged as " : "",
                              form->family == AF_INET ? "IPv4" : "IPv6");
        }
        return false;
}

static bool refuse_if_denied(struct question *q, const struct nb_ip *form) {
        const struct policy_rule *rule = policy_match(q->protocol, POLICY_RULE_DENY, form, q->port, NULL);

        if (!rule)
                return false;
        return refuse(q, rule, "forbidden by %s (%s)", policy_rule_shown(rule).text,
                      policy_place(rule->file, rule->line).text);
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

static bool refuse_no_rule(struct question *q) {
        refuse(q, NULL, "no %s= rule in %s matches%s", policy_rule_kind_name(policy_grant_kind(q->verb)),
               policy_section(q->protocol).text, n_used_forms(q) > 1 ? " the IPv4 address inside" : "");
        set_remedy(q);
        return true;
}

/**
 * To bind 0.0.0.0 or :: is to bind every local address, those included that nobody thought of. So it takes a rule for exactly
 * that, or one for all addresses from which no Deny rule takes any away.
 */
static void decide_wildcard(struct question *q) {
        struct nb_prefix exact = { .ip = *last_form(q), .length = last_form(q)->family == AF_INET ? 32 : 128 };
        struct nb_prefix every = { .ip = *last_form(q), .length = 0 };
        const struct policy_rule *rule = policy_match_exactly(q->protocol, POLICY_RULE_LISTEN, &exact, q->port);
        const struct policy_rule *deny = policy_match_family(q->protocol, POLICY_RULE_DENY, every.ip.family, q->port);

        if (!rule && !deny)
                rule = policy_match_exactly(q->protocol, POLICY_RULE_LISTEN, &every, q->port);
        if (rule) {
                policy_verdict_allow(q->verdict, rule);
                return;
        }
        if (!deny || !policy_match_exactly(q->protocol, POLICY_RULE_LISTEN, &every, q->port)) {
                refuse_no_rule(q);
                return;
        }
        refuse(q, NULL,
               "that is every local address, and %s (%s) takes some away; only a rule for exactly this address "
               "grants it",
               policy_rule_shown(deny).text, policy_place(deny->file, deny->line).text);
        set_remedy(q);
}

static bool refuse_no_grant(struct question *q) {
        for (size_t i = 0; i < n_used_forms(q); ++i) {
                struct nb_prefix alone = { .ip = q->forms[i], .length = q->forms[i].family == AF_INET ? 32 : 128 };
                const struct policy_guard *guard = policy_guard_no_grant(&alone);

                if (guard)
                        return refuse(q, NULL, "no rule grants a %s address (%s)", guard->what, guard->source);
        }
        return false;
}

/** A range for messages: `127.0.0.0/8`, or the address alone. */
struct range_text {
        char text[NB_ADDRESS_TEXT_MAX + 4];
};

static struct range_text range_text(const struct nb_prefix *range) {
        char ip[NB_ADDRESS_TEXT_MAX];
        struct range_text r;

        nb_ip_format(&range->ip, ip);
        if (range->length == (range->ip.family == AF_INET ? 32 : 128))
                snprintf(r.text, sizeof(r.text), "%s", ip);
        else
                snprintf(r.text, sizeof(r.text), "%s/%u", ip, range->length);
        return r;
}

static bool refuse_unnamed(struct question *q, const struct nb_ip *form, const struct policy_guard *guard) {
        const struct policy_rule *wide = policy_match(q->protocol, POLICY_RULE_CONNECT, form, q->port, NULL);

        if (wide)
                refuse(q, NULL, "%s is %s (%s); a rule must name it, and %s (%s) is wider",
                       range_text(&guard->range).text, guard->what, guard->source, policy_rule_shown(wide).text,
                       policy_place(wide->file, wide->line).text);
        else
                refuse(q, NULL, "no Connect= rule in %s matches, and %s is %s (%s)", policy_section(q->protocol).text,
                       range_text(&guard->range).text, guard->what, guard->source);
        set_remedy(q);
        return true;
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
        }
        return false;
}

/** The rule that decided: inside a guarded range that is the one that names it, though a wider one may stand before it. */
static const struct policy_rule *find_grant(const struct question *q) {
        const struct nb_ip *form = last_form(q);
        const struct policy_guard *guard = NULL;
        const struct policy_rule *rule = NULL;

        while (q->verb == POLICY_CONNECT && !rule && (guard = policy_guard_next(form, guard))) {
                struct nb_prefix scope = policy_guard_scope(guard, form);

                rule = policy_match(q->protocol, POLICY_RULE_CONNECT, form, q->port, &scope);
        }
        return rule ? rule : policy_match(q->protocol, policy_grant_kind(q->verb), form, q->port, NULL);
}

static void decide_grant(struct question *q) {
        const struct policy_rule *rule = find_grant(q);

        if (rule)
                policy_verdict_allow(q->verdict, rule);
        else
                refuse_no_rule(q);
}

static void decide_ip(const struct policy_protocol *protocol, enum policy_verb verb, const struct nb_address *address,
                      struct policy_verdict *ret) {
        struct question q = {
                .protocol = protocol,
                .verb = verb,
                .forms = { address->ip },
                .n_forms = 1,
                .port = address->port,
                .asked = address,
                .verdict = ret,
        };

        nb_ip_unmap(&q.forms[0]);
        if (nb_ip_embedded_ipv4(&q.forms[0], &q.forms[1]))
                ++q.n_forms;

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

void policy_decide(const struct policy_protocol *protocol, enum policy_verb verb,
                   const struct nb_socket_address *address, struct policy_verdict *ret) {
        if (address->family == AF_UNIX)
                policy_decide_unix(protocol, verb, &address->un, ret);
        else
                decide_ip(protocol, verb, &address->ip, ret);
}
