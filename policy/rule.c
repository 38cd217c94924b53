/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/group.h"
#include "policy/guard.h"
#include "policy/rule_parser.h"
#include "policy/text.h"

/* A correction may need correcting itself: the host bits first, then the missing port, then its range. */
#define CORRECTION_ROUNDS 4

/* The longest text that is looked at: what is longer is no rule. */
#define TEXT_MAX (2 * POLICY_HOST_NAME_MAX)

static bool is_digits(const char *text, size_t length) {
        return length > 0 && strspn(text, "0123456789") >= length;
}

const char *policy_rule_kind_name(enum policy_rule_kind kind) {
        switch (kind) {
        case POLICY_RULE_CONNECT:
                return "Connect";
        case POLICY_RULE_LISTEN:
                return "Listen";
        default:
                return "Deny";
        }
}

/** The port that a correction shows where none was written. */
static const char *example_port(enum policy_rule_kind kind) {
        switch (kind) {
        case POLICY_RULE_CONNECT:
                return ":443";
        case POLICY_RULE_LISTEN:
                return ":8080";
        default:
                return ":*";
        }
}

/* ---- the ports ---- */

static int complain_about_port(struct rule_parser *p, size_t from, size_t to) {
        struct rule_quote q = rule_quote(p, from, to);

        if (from == to)
                return policy_complain(p->complaint, from, "a port is missing");
        if (strcasecmp(q.text, "any") == 0 || strcasecmp(q.text, "all") == 0) {
                policy_complain(p->complaint, from, "any port is written \"*\"");
                rule_correct(p, from, to, "*");
                return -EINVAL;
        }
        return policy_complain(p->complaint, from,
                               "\"%s\" is not a port: a number from 1 to 65535, a range like 5432-5433, or \"*\"",
                               q.text);
}

static int parse_port(struct rule_parser *p, size_t from, size_t to, uint16_t *ret) {
        uint16_t port;

        if (nb_port_parse(p->text + from, to - from, &port) < 0)
                return complain_about_port(p, from, to);
        if (port == 0) {
                policy_complain(p->complaint, from, "port 0 is no port; \"*\" also grants one that the kernel chooses");
                if (p->kind != POLICY_RULE_CONNECT)
                        rule_correct(p, p->ports_from, p->length, "*");
                return -EINVAL;
        }
        *ret = port;
        return 0;
}

static int parse_range(struct rule_parser *p, size_t dash, struct nb_port_range *ret) {
        struct nb_port_range range;
        char swapped[16];
        int r = parse_port(p, p->ports_from, dash, &range.first);

        if (r == 0)
                r = parse_port(p, dash + 1, p->length, &range.last);
        if (r < 0)
                return r;
        if (range.first > range.last) {
                policy_complain(p->complaint, p->ports_from, "the range runs backwards");
                snprintf(swapped, sizeof(swapped), "%u-%u", range.last, range.first);
                rule_correct(p, p->ports_from, p->length, swapped);
                return -EINVAL;
        }
        *ret = range;
        return 0;
}

static int parse_ports(struct rule_parser *p, struct nb_port_range *ret) {
        const char *text = p->text + p->ports_from;
        size_t length = p->length - p->ports_from;
        const char *dash = memchr(text, '-', length);
        size_t at = dash ? (size_t)(dash - p->text) : 0;
        uint16_t port;
        int r;

        if (p->ports_from == 0 || length == 0) {
                policy_complain(p->complaint, p->length, "the port is missing; \":*\" says any port");
                rule_correct(p, p->ports_from ? p->ports_from - 1 : p->length, p->length, example_port(p->kind));
                return -EINVAL;
        }
        if (length == 1 && text[0] == '*') {
                *ret = (struct nb_port_range){ 0, UINT16_MAX };
                return 0;
        }
        if (dash && is_digits(text, at - p->ports_from))
                return parse_range(p, at, ret);

        r = parse_port(p, p->ports_from, p->length, &port);
        if (r == 0)
                *ret = (struct nb_port_range){ port, port };
        return r;
}

/** A word of `Addresses=` has none: the rule that grants the name says which. */
static int check_no_ports(struct rule_parser *p) {
        if (p->ports_from == 0)
                return 0;
        policy_complain(p->complaint, p->ports_from - 1,
                        "no port stands here: Addresses= says which addresses, and the name's rule which ports");
        return rule_correct(p, p->ports_from - 1, p->length, "");
}

/* ---- what cannot work ---- */

/** Who connects to 0.0.0.0 or :: reaches loopback, and is judged by the rule for that. */
static int check_unspecified(struct rule_parser *p, const struct nb_prefix *prefix) {
        struct nb_prefix loopback = *prefix;
        char text[POLICY_RANGE_TEXT_MAX];

        if (!nb_ip_is_unspecified(&prefix->ip) || prefix->length < (prefix->ip.family == AF_INET ? 32 : 128))
                return 0;
        nb_ip_set_loopback(&loopback.ip);
        policy_prefix_format(&loopback, text);
        policy_complain(p->complaint, p->host_from, "to connect there is to connect to loopback, and is granted as %s",
                        text);
        return rule_correct(p, 0, rule_target_end(p), text);
}

/**
 * A grant of which every address is judged as the IPv4 address inside never grants anything (policy_decide()). A
 * wider one does, for the addresses beside them.
 */
static int check_embedded(struct rule_parser *p, const struct nb_prefix *prefix) {
        struct nb_prefix ipv4 = { .length = 32 };
        char text[POLICY_RANGE_TEXT_MAX];

        if (!nb_prefix_embeds_ipv4(prefix))
                return 0;
        if (policy_guard_next(&prefix->ip, NULL)) /* it needs both: what names it, and what grants the IPv4 address */
                return 0;

        policy_complain(p->complaint, 0,
                        "such an address carries an IPv4 address and is granted by the %s for that, in a protocol of "
                        "Family=ip",
                        p->range ? "word" : "rule");
        if (prefix->length == 128 && nb_ip_embedded_ipv4(&prefix->ip, &ipv4.ip))
                rule_correct(p, 0, rule_target_end(p), policy_prefix_format(&ipv4, text));
        return -EINVAL;
}

/** Where a translator puts the IPv4 address is known only inside one /96 (policy/guard.c). */
static int check_naming(struct rule_parser *p, const struct nb_prefix *prefix) {
        const struct policy_guard *guard = policy_guard_next(&prefix->ip, NULL);

        for (; guard; guard = policy_guard_next(&prefix->ip, guard)) {
                if (!nb_prefix_covers(&guard->range, prefix) || prefix->length >= guard->naming_length)
                        continue;
                return policy_complain(p->complaint, p->bits_from,
                                       "in %s (%s) a rule grants at most one /%u, for the address inside is not known "
                                       "otherwise",
                                       guard->what, guard->source, guard->naming_length);
        }
        return 0;
}

static int check_prefix(struct rule_parser *p, const struct nb_prefix *prefix) {
        const struct policy_guard *guard = policy_guard_no_grant(prefix);
        int r;

        if (guard)
                return policy_complain(p->complaint, p->host_from, "no rule grants a %s address (%s)", guard->what,
                                       guard->source);
        if (p->kind == POLICY_RULE_LISTEN) /* judged as it stands, and not guarded */
                return 0;
        r = check_unspecified(p, prefix);
        if (r == 0)
                r = check_embedded(p, prefix);
        if (r == 0)
                r = check_naming(p, prefix);
        return r;
}

/** A machine's own addresses may be of either group; which, no rule that listens should depend on. */
static int check_group(struct rule_parser *p, enum policy_group group) {
        if (p->kind != POLICY_RULE_LISTEN || group == POLICY_GROUP_ANY || group == POLICY_GROUP_LOCAL)
                return 0;
        policy_complain(p->complaint, p->host_from,
                        "\"%s\" is a group of peers; to listen, write an address or prefix of this machine, any, or "
                        "local",
                        policy_group_name(group));
        return -EINVAL;
}

static int check_grant(struct rule_parser *p, const struct rule_target *target) {
        if (p->kind == POLICY_RULE_DENY)
                return 0;
        if (target->target == POLICY_TARGET_GROUP)
                return check_group(p, target->group);
        return target->target == POLICY_TARGET_PREFIX ? check_prefix(p, &target->prefix) : 0;
}

/* ---- the whole ---- */

static int parse_once(struct rule_parser *p, struct rule_target *ret_target, struct nb_port_range *ret_ports) {
        int r = rule_target_parse(p, ret_target);

        if (r == 0)
                r = p->range ? check_no_ports(p) : parse_ports(p, ret_ports);
        if (r == 0)
                r = check_grant(p, ret_target);
        return r;
}

/** Corrects a correction until it is right, and drops it where that leads nowhere. */
static void settle_correction(const struct rule_parser *wrong) {
        struct policy_complaint *complaint = wrong->complaint, next;
        struct rule_target target;
        struct nb_port_range ports;

        for (unsigned i = 0; i < CORRECTION_ROUNDS && complaint->correct[0] != '\0'; ++i) {
                struct rule_parser p = {
                        .kind = wrong->kind,
                        .range = wrong->range,
                        .text = complaint->correct,
                        .length = strlen(complaint->correct),
                        .complaint = &next,
                };

                if (parse_once(&p, &target, &ports) == 0)
                        return;
                memcpy(complaint->correct, next.correct, sizeof(complaint->correct));
        }
        complaint->correct[0] = '\0';
}

/** @param ret_ports  NULL: it is a word of `Addresses=` */
static int parse(enum policy_rule_kind kind, const char *text, size_t length, struct rule_target *ret_target,
                 struct nb_port_range *ret_ports, struct policy_complaint *ret_complaint) {
        char copy[TEXT_MAX + 1]; /* ends in NUL, which the search for delimiters wants */
        struct rule_parser p = {
                .kind = kind, .range = !ret_ports, .text = copy, .length = length, .complaint = ret_complaint
        };
        int r;

        if (length > TEXT_MAX || memchr(text, '\0', length))
                return policy_complain(ret_complaint, 0, "this is not a rule");
        memcpy(copy, text, length);
        copy[length] = '\0';

        r = parse_once(&p, ret_target, ret_ports);
        if (r < 0)
                settle_correction(&p);
        return r;
}

int policy_rule_parse(enum policy_rule_kind kind, const char *text, size_t length, struct policy_rule *ret,
                      struct policy_complaint *ret_complaint) {
        struct rule_target target;
        struct nb_port_range ports;
        char *name = NULL;
        int r = parse(kind, text, length, &target, &ports, ret_complaint);

        if (r < 0)
                return r;
        if (target.target == POLICY_TARGET_NAME) {
                name = strdup(target.name);
                if (!name)
                        return -ENOMEM;
        }

        ret->kind = kind;
        ret->target = target.target;
        ret->ports = ports;
        if (target.target == POLICY_TARGET_PREFIX)
                ret->prefix = target.prefix;
        else if (target.target == POLICY_TARGET_GROUP)
                ret->group = target.group;
        else
                ret->name = (struct policy_name_pattern){ .below = target.below, .text = name };
        return 0;
}

int policy_range_parse(const char *text, size_t length, struct policy_range *ret,
                       struct policy_complaint *ret_complaint) {
        struct rule_target target;
        int r = parse(POLICY_RULE_CONNECT, text, length, &target, NULL, ret_complaint);

        if (r < 0)
                return r;
        ret->target = target.target;
        if (target.target == POLICY_TARGET_PREFIX)
                ret->prefix = target.prefix;
        else
                ret->group = target.group;
        return 0;
}

/* ---- printing ---- */

static void add_prefix(struct policy_text *text, const struct nb_prefix *prefix) {
        bool ipv6 = prefix->ip.family == AF_INET6;
        char ip[NB_ADDRESS_TEXT_MAX];

        if (ipv6)
                policy_text_add(text, "[");
        policy_text_add(text, nb_ip_format(&prefix->ip, ip));
        if (ipv6)
                policy_text_add(text, "]");
        if (prefix->length == (ipv6 ? 128 : 32))
                return;
        policy_text_add(text, "/");
        policy_text_add_number(text, prefix->length);
}

static void add_name(struct policy_text *text, const struct policy_name_pattern *name) {
        enum policy_group ignored;

        if (name->below)
                policy_text_add(text, "*.");
        policy_text_add(text, name->text);
        if (!name->below && policy_group_parse(name->text, strlen(name->text), &ignored) == 0)
                policy_text_add(text, ".");
}

static void add_ports(struct policy_text *text, const struct nb_port_range *ports) {
        policy_text_add(text, ":");
        if (ports->first == 0) {
                policy_text_add(text, "*");
                return;
        }
        policy_text_add_number(text, ports->first);
        if (ports->first == ports->last)
                return;
        policy_text_add(text, "-");
        policy_text_add_number(text, ports->last);
}

const char *policy_prefix_format(const struct nb_prefix *prefix, char buffer[static POLICY_RANGE_TEXT_MAX]) {
        struct policy_text text = policy_text_begin(buffer, POLICY_RANGE_TEXT_MAX);

        add_prefix(&text, prefix);
        return buffer;
}

const char *policy_range_format(const struct policy_range *range, char buffer[static POLICY_RANGE_TEXT_MAX]) {
        struct policy_text text = policy_text_begin(buffer, POLICY_RANGE_TEXT_MAX);

        if (range->target == POLICY_TARGET_PREFIX)
                add_prefix(&text, &range->prefix);
        else
                policy_text_add(&text, policy_group_name(range->group));
        return buffer;
}

const char *policy_rule_format(const struct policy_rule *rule, char buffer[static POLICY_RULE_TEXT_MAX]) {
        struct policy_text text = policy_text_begin(buffer, POLICY_RULE_TEXT_MAX);

        if (rule->target == POLICY_TARGET_PREFIX)
                add_prefix(&text, &rule->prefix);
        else if (rule->target == POLICY_TARGET_GROUP)
                policy_text_add(&text, policy_group_name(rule->group));
        else
                add_name(&text, &rule->name);
        add_ports(&text, &rule->ports);
        return buffer;
}

struct policy_rule policy_rule_for_address(enum policy_rule_kind kind, const struct nb_ip *ip, uint16_t port) {
        return (struct policy_rule){
                .kind = kind,
                .target = POLICY_TARGET_PREFIX,
                .prefix = { .ip = *ip, .length = ip->family == AF_INET ? 32 : 128 },
                .ports = { port, port > 0 ? port : UINT16_MAX },
        };
}
