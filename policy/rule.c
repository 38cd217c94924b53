/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/guard.h"
#include "policy/rule.h"

/* A correction may need correcting itself: the host bits first, then the missing port, then its range. */
#define CORRECTION_ROUNDS 4

/* How much of a wrong word a message quotes. */
#define QUOTE_MAX 64

/** A rule's text while it is taken apart. Offsets are into `text`. */
struct rule_parser {
        enum policy_rule_kind kind;
        const char *text;
        size_t length;
        bool brackets;
        size_t ip_from, ip_to;     /* without the brackets */
        size_t bits_from, bits_to; /* behind the slash; 0 where there is none */
        size_t ports_from;         /* behind the colon; 0 where there is none */
        struct policy_complaint *complaint;
};

/** A piece of the rule's text for a message. */
struct quote {
        char text[QUOTE_MAX];
};

static struct quote quote(const struct rule_parser *p, size_t from, size_t to) {
        struct quote q;

        policy_printable(p->text + from, to - from, q.text, sizeof(q.text));
        return q;
}

static bool is_digits(const char *text, size_t length) {
        return length > 0 && strspn(text, "0123456789") >= length;
}

static void correct(struct rule_parser *p, size_t from, size_t to, const char *replacement) {
        policy_complaint_splice(p->complaint, p->text, p->length, from, to, replacement);
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

/* ---- the pieces ---- */

/** `[ADDRESS]`, and what follows it. */
static int split_brackets(struct rule_parser *p) {
        const char *end = memchr(p->text, ']', p->length);
        size_t next;

        p->brackets = true;
        if (!end)
                return policy_complain(p->complaint, 0, "the bracket is never closed");

        p->ip_from = 1;
        p->ip_to = (size_t)(end - p->text);
        next = p->ip_to + 1;
        if (next < p->length && p->text[next] != '/' && p->text[next] != ':')
                return policy_complain(p->complaint, next, "behind the bracket a \"/\" or a \":\" is expected");
        return 0;
}

/** IPv6 without brackets: the same colon would separate groups and the port. */
static int complain_about_bare_ipv6(struct rule_parser *p) {
        const char *slash = memchr(p->text, '/', p->length);
        size_t end = slash ? (size_t)(slash - p->text) : p->length;
        const char *colon = memrchr(p->text, ':', end);
        char replacement[QUOTE_MAX + 16];
        struct nb_ip ip;

        policy_complain(p->complaint, 0, "an IPv6 address is written in brackets");
        if (!slash && colon && nb_ip_parse(p->text, (size_t)(colon - p->text), &ip) == 0)
                end = (size_t)(colon - p->text); /* ::1:80: the last group was meant as a port */
        else if (nb_ip_parse(p->text, end, &ip) < 0)
                return -EINVAL;

        snprintf(replacement, sizeof(replacement), "[%.*s]", (int)end, p->text);
        correct(p, 0, end, replacement);
        return -EINVAL;
}

static bool looks_like_bare_ipv6(const struct rule_parser *p) {
        const char *colon = memchr(p->text, ':', p->length);
        struct nb_ip ip;

        if (!colon || !memchr(colon + 1, ':', p->length - (size_t)(colon + 1 - p->text)))
                return false;
        if (nb_ip_parse(p->text, p->ip_to, &ip) == 0) /* 192.0.2.1:80:90, or 192.0.2.0/24:80:90 */
                return false;
        return strspn(p->text, "0123456789abcdefABCDEF:./%*-") >= p->length;
}

/** Finds the pieces, without a look at what is in them. */
static int split(struct rule_parser *p) {
        size_t next;

        if (p->text[0] == '[') {
                int r = split_brackets(p);

                if (r < 0)
                        return r;
                next = p->ip_to + 1;
        } else {
                p->ip_to = strcspn(p->text, "/:");
                if (looks_like_bare_ipv6(p))
                        return complain_about_bare_ipv6(p);
                next = p->ip_to;
        }
        if (next < p->length && p->text[next] == '/') {
                p->bits_from = next + 1;
                p->bits_to = p->bits_from + strcspn(p->text + p->bits_from, ":");
                next = p->bits_to;
        }
        if (next < p->length)
                p->ports_from = next + 1;
        return 0;
}

/* ---- the address ---- */

static int complain_about_brackets(struct rule_parser *p) {
        const char *ip_text = p->text + p->ip_from;
        size_t length = p->ip_to - p->ip_from;
        const char *slash = memchr(ip_text, '/', length);
        struct quote q = quote(p, p->ip_from, p->ip_to);
        char replacement[QUOTE_MAX + 16];
        struct nb_ip ip;

        if (nb_ip_parse(ip_text, length, &ip) == 0) {
                policy_complain(p->complaint, 0, "only IPv6 addresses are written in brackets");
                correct(p, 0, p->ip_to + 1, q.text);
                return -EINVAL;
        }
        if (slash && nb_ip_parse(ip_text, (size_t)(slash - ip_text), &ip) == 0) {
                policy_complain(p->complaint, (size_t)(slash - p->text), "the prefix length stands behind the bracket");
                snprintf(replacement, sizeof(replacement), "[%.*s]%.*s", (int)(slash - ip_text), ip_text,
                         (int)(length - (size_t)(slash - ip_text)), slash);
                correct(p, 0, p->ip_to + 1, replacement);
                return -EINVAL;
        }
        if (memchr(ip_text, '%', length))
                return policy_complain(p->complaint, p->ip_from, "\"%s\": a rule names no interface", q.text);
        return policy_complain(p->complaint, p->ip_from, "\"%s\" is not an IPv6 address", q.text);
}

static int complain_about_word(struct rule_parser *p) {
        struct quote q = quote(p, p->ip_from, p->ip_to);
        const char *word = q.text;

        if (word[0] == '\0')
                return policy_complain(p->complaint, 0, "the address is missing");
        if (strcmp(word, "*") == 0 || strcasecmp(word, "any") == 0 || strcasecmp(word, "all") == 0) {
                policy_complain(p->complaint, 0,
                                "every address is written 0.0.0.0/0 for IPv4 and [::]/0 for IPv6, not \"%s\"", word);
                correct(p, 0, p->ip_to, "0.0.0.0/0");
                return -EINVAL;
        }
        if (strcasecmp(word, "public") == 0 || strcasecmp(word, "private") == 0)
                return policy_complain(
                        p->complaint, 0,
                        "groups of addresses such as \"%s\" are not enforced by this version, so they are "
                        "refused; write addresses or prefixes",
                        word);
        if (strspn(word, "0123456789abcdefABCDEFxX.") == strlen(word) && word[0] >= '0' && word[0] <= '9')
                return policy_complain(p->complaint, 0,
                                       "\"%s\" is not an IPv4 address: four decimal numbers up to 255, without leading "
                                       "zeros",
                                       word);
        return policy_complain(
                p->complaint, 0,
                "\"%s\" is not an address, and names are not enforced by this version, so they are refused", word);
}

static int parse_ip(struct rule_parser *p, struct nb_ip *ret) {
        struct nb_ip ip;
        int r = nb_ip_parse(p->text + p->ip_from, p->ip_to - p->ip_from, &ip);

        if (p->brackets && (r < 0 || ip.family != AF_INET6))
                return complain_about_brackets(p);
        if (r < 0)
                return complain_about_word(p);
        *ret = ip;
        return 0;
}

static int parse_length(struct rule_parser *p, const struct nb_ip *ip, uint8_t *ret) {
        uint8_t most = ip->family == AF_INET ? 32 : 128;
        const char *text = p->text + p->bits_from;
        size_t length = p->bits_to - p->bits_from;
        uint16_t bits;

        if (p->bits_from == 0) {
                *ret = most;
                return 0;
        }
        if (nb_port_parse(text, length, &bits) < 0 || bits > most)
                return policy_complain(p->complaint, p->bits_from,
                                       "\"%s\" is not a prefix length: a number from 0 to %u, without leading zeros",
                                       quote(p, p->bits_from, p->bits_to).text, most);
        *ret = (uint8_t)bits;
        return 0;
}

/** `192.0.2.0/24`, or `[2001:db8::]/32`; without a length where it is the address alone. */
static const char *format_prefix(const struct nb_prefix *prefix, char buffer[static POLICY_RULE_TEXT_MAX]) {
        bool ipv6 = prefix->ip.family == AF_INET6;
        char ip[NB_ADDRESS_TEXT_MAX];

        nb_ip_format(&prefix->ip, ip);
        if (prefix->length == (ipv6 ? 128 : 32))
                snprintf(buffer, POLICY_RULE_TEXT_MAX, ipv6 ? "[%s]" : "%s", ip);
        else
                snprintf(buffer, POLICY_RULE_TEXT_MAX, ipv6 ? "[%s]/%u" : "%s/%u", ip, prefix->length);
        return buffer;
}

/** Where the address and its prefix length end. */
static size_t prefix_end(const struct rule_parser *p) {
        return p->bits_from > 0 ? p->bits_to : p->ip_to + p->brackets;
}

static void clear_host_bits(struct nb_prefix *prefix) {
        for (unsigned i = prefix->length; i < 128; ++i)
                prefix->ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
}

/** Such an address is judged as the IPv4 address in it, so a rule for the IPv6 form never matches. */
static int check_mapped(struct rule_parser *p, const struct nb_prefix *prefix) {
        struct nb_prefix ipv4 = *prefix;
        char text[POLICY_RULE_TEXT_MAX];

        nb_ip_unmap(&ipv4.ip);
        if (nb_ip_equal(&ipv4.ip, &prefix->ip))
                return 0;

        policy_complain(p->complaint, 0, "an IPv4-mapped address is judged as IPv4, and is written so%s",
                        p->bits_from > 0 ? "; a prefix length behind it has no meaning" : "");
        if (prefix->length < 96)
                return -EINVAL;
        ipv4.length = (uint8_t)(prefix->length - 96);
        clear_host_bits(&ipv4);
        correct(p, 0, prefix_end(p), format_prefix(&ipv4, text));
        return -EINVAL;
}

static int check_host_bits(struct rule_parser *p, const struct nb_prefix *prefix) {
        struct nb_prefix network = *prefix;
        char text[POLICY_RULE_TEXT_MAX];

        if (!nb_prefix_has_host_bits(prefix))
                return 0;

        clear_host_bits(&network);
        format_prefix(&network, text);
        policy_complain(p->complaint, p->ip_from, "bits are set behind the first %u: the network is %s", prefix->length,
                        text);
        correct(p, 0, prefix_end(p), text);
        return -EINVAL;
}

static int parse_prefix(struct rule_parser *p, struct nb_prefix *ret) {
        struct nb_prefix prefix = { 0 };
        int r = parse_ip(p, &prefix.ip);

        if (r == 0)
                r = parse_length(p, &prefix.ip, &prefix.length);
        if (r == 0)
                r = check_mapped(p, &prefix);
        if (r == 0)
                r = check_host_bits(p, &prefix);
        if (r == 0)
                *ret = prefix;
        return r;
}

/* ---- the ports ---- */

static int complain_about_port(struct rule_parser *p, size_t from, size_t to) {
        struct quote q = quote(p, from, to);

        if (from == to)
                return policy_complain(p->complaint, from, "a port is missing");
        if (strcasecmp(q.text, "any") == 0 || strcasecmp(q.text, "all") == 0) {
                policy_complain(p->complaint, from, "any port is written \"*\"");
                correct(p, from, to, "*");
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
                        correct(p, p->ports_from, p->length, "*");
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
                correct(p, p->ports_from, p->length, swapped);
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
                correct(p, p->ports_from ? p->ports_from - 1 : p->length, p->length, example_port(p->kind));
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

/* ---- what cannot work ---- */

/** Who connects to 0.0.0.0 or :: reaches loopback, and is judged by the rule for that. */
static int check_unspecified(struct rule_parser *p, const struct nb_prefix *prefix) {
        struct nb_prefix loopback = *prefix;
        char text[POLICY_RULE_TEXT_MAX];

        if (!nb_ip_is_unspecified(&prefix->ip) || prefix->length < (prefix->ip.family == AF_INET ? 32 : 128))
                return 0;
        nb_ip_set_loopback(&loopback.ip);
        format_prefix(&loopback, text);
        policy_complain(p->complaint, p->ip_from, "to connect there is to connect to loopback, and is granted as %s",
                        text);
        correct(p, 0, prefix_end(p), text);
        return -EINVAL;
}

/**
 * A Connect rule of which every address is judged as the IPv4 address inside never grants anything (policy_decide()). A
 * wider one does, for the addresses beside them.
 */
static int check_embedded(struct rule_parser *p, const struct nb_prefix *prefix) {
        struct nb_prefix ipv4 = { .length = 32 };
        char text[POLICY_RULE_TEXT_MAX];

        if (!nb_prefix_embeds_ipv4(prefix))
                return 0;
        if (policy_guard_next(&prefix->ip, NULL)) /* it needs both: the rule that names it and the IPv4 grant */
                return 0;

        policy_complain(p->complaint, 0,
                        "such an address carries an IPv4 address and is granted by the rule for that, in a protocol of "
                        "Family=ip");
        if (prefix->length == 128 && nb_ip_embedded_ipv4(&prefix->ip, &ipv4.ip))
                correct(p, 0, prefix_end(p), format_prefix(&ipv4, text));
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

static int check_grant(struct rule_parser *p, const struct nb_prefix *prefix) {
        const struct policy_guard *guard = policy_guard_no_grant(prefix);
        int r;

        if (p->kind == POLICY_RULE_DENY)
                return 0;
        if (guard)
                return policy_complain(p->complaint, p->ip_from, "no rule grants a %s address (%s)", guard->what,
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

/* ---- the whole ---- */

static int parse_once(enum policy_rule_kind kind, const char *text, size_t length, struct nb_prefix *ret_prefix,
                      struct nb_port_range *ret_ports, struct policy_complaint *ret_complaint) {
        struct rule_parser p = { .kind = kind, .text = text, .length = length, .complaint = ret_complaint };
        struct nb_prefix prefix;
        struct nb_port_range ports;
        int r = split(&p);

        if (r == 0)
                r = parse_prefix(&p, &prefix);
        if (r == 0)
                r = parse_ports(&p, &ports);
        if (r == 0)
                r = check_grant(&p, &prefix);
        if (r < 0)
                return r;

        *ret_prefix = prefix;
        *ret_ports = ports;
        return 0;
}

/** Corrects a correction until it is a rule, and drops it where that leads nowhere. */
static void settle_correction(enum policy_rule_kind kind, struct policy_complaint *complaint) {
        struct policy_complaint next;
        struct nb_prefix prefix;
        struct nb_port_range ports;

        for (unsigned i = 0; i < CORRECTION_ROUNDS && complaint->correct[0] != '\0'; ++i) {
                size_t length = strlen(complaint->correct);

                if (parse_once(kind, complaint->correct, length, &prefix, &ports, &next) == 0)
                        return;
                memcpy(complaint->correct, next.correct, sizeof(complaint->correct));
        }
        complaint->correct[0] = '\0';
}

int policy_rule_parse(enum policy_rule_kind kind, const char *text, size_t length, struct nb_prefix *ret_prefix,
                      struct nb_port_range *ret_ports, struct policy_complaint *ret_complaint) {
        char copy[sizeof(ret_complaint->correct)]; /* ends in NUL, which the search for delimiters wants */
        int r;

        if (length >= sizeof(copy) || memchr(text, '\0', length))
                return policy_complain(ret_complaint, 0, "this is not a rule");
        memcpy(copy, text, length);
        copy[length] = '\0';

        r = parse_once(kind, copy, length, ret_prefix, ret_ports, ret_complaint);
        if (r < 0)
                settle_correction(kind, ret_complaint);
        return r;
}

const char *policy_rule_format(const struct nb_ip *ip, uint16_t port, char buffer[static POLICY_RULE_TEXT_MAX]) {
        struct nb_prefix prefix = { .ip = *ip, .length = ip->family == AF_INET ? 32 : 128 };
        char text[POLICY_RULE_TEXT_MAX];

        format_prefix(&prefix, text);
        if (port == 0)
                snprintf(buffer, POLICY_RULE_TEXT_MAX, "%.70s:*", text);
        else
                snprintf(buffer, POLICY_RULE_TEXT_MAX, "%.70s:%u", text, port);
        return buffer;
}
