/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/group.h"
#include "policy/host_name.h"
#include "policy/rule.h"
#include "policy/rule_parser.h"

struct rule_quote rule_quote(const struct rule_parser *p, size_t from, size_t to) {
        struct rule_quote q;

        policy_printable(p->text + from, to - from, q.text, sizeof(q.text));
        return q;
}

int rule_correct(struct rule_parser *p, size_t from, size_t to, const char *replacement) {
        policy_complaint_splice(p->complaint, p->text, p->length, from, to, replacement);
        return -EINVAL;
}

/** The host's text. */
static const char *host(const struct rule_parser *p) {
        return p->text + p->host_from;
}

static size_t host_length(const struct rule_parser *p) {
        return p->host_to - p->host_from;
}

size_t rule_target_end(const struct rule_parser *p) {
        return p->bits_from > 0 ? p->bits_to : p->host_to + p->brackets;
}

/* ---- the pieces ---- */

/** `[ADDRESS]`, and what follows it. */
static int split_brackets(struct rule_parser *p) {
        const char *end = memchr(p->text, ']', p->length);
        size_t next;

        p->brackets = true;
        if (!end)
                return policy_complain(p->complaint, 0, "the bracket is never closed");

        p->host_from = 1;
        p->host_to = (size_t)(end - p->text);
        next = p->host_to + 1;
        if (next < p->length && p->text[next] != '/' && p->text[next] != ':')
                return policy_complain(p->complaint, next, "behind the bracket a \"/\" or a \":\" is expected");
        return 0;
}

/** IPv6 without brackets: the same colon would separate groups and the port. */
static int complain_about_bare_ipv6(struct rule_parser *p) {
        const char *slash = memchr(p->text, '/', p->length);
        size_t end = slash ? (size_t)(slash - p->text) : p->length;
        const char *colon = memrchr(p->text, ':', end);
        char replacement[RULE_QUOTE_MAX + 16];
        struct nb_ip ip;

        policy_complain(p->complaint, 0, "an IPv6 address is written in brackets");
        if (!slash && !p->range && colon && nb_ip_parse(p->text, (size_t)(colon - p->text), &ip) == 0)
                end = (size_t)(colon - p->text); /* ::1:80: the last group was meant as a port */
        else if (nb_ip_parse(p->text, end, &ip) < 0)
                return -EINVAL;

        snprintf(replacement, sizeof(replacement), "[%.*s]", (int)end, p->text);
        return rule_correct(p, 0, end, replacement);
}

static bool looks_like_bare_ipv6(const struct rule_parser *p) {
        const char *colon = memchr(p->text, ':', p->length);
        struct nb_ip ip;

        if (!colon || !memchr(colon + 1, ':', p->length - (size_t)(colon + 1 - p->text)))
                return false;
        if (nb_ip_parse(p->text, p->host_to, &ip) == 0) /* 192.0.2.1:80:90, or 192.0.2.0/24:80:90 */
                return false;
        return strspn(p->text, "0123456789abcdefABCDEF:./%*-") >= p->length;
}

/** `https://example.com/`: what is copied from a browser. */
static int complain_about_scheme(struct rule_parser *p) {
        size_t from = p->host_to + strlen("://");
        size_t to = from + strcspn(p->text + from, "/");
        char replacement[sizeof(p->complaint->correct)];

        policy_complain(p->complaint, 0, "a rule is no URL: it names a host and its port");
        snprintf(replacement, sizeof(replacement), "%.*s", (int)(to - from), p->text + from);
        return rule_correct(p, 0, p->length, replacement);
}

/** Finds the pieces, without a look at what is in them. */
static int split(struct rule_parser *p) {
        size_t next;

        if (p->text[0] == '[') {
                int r = split_brackets(p);

                if (r < 0)
                        return r;
                next = p->host_to + 1;
        } else {
                p->host_to = strcspn(p->text, "/:");
                if (strncmp(p->text + p->host_to, "://", strlen("://")) == 0)
                        return complain_about_scheme(p);
                if (looks_like_bare_ipv6(p))
                        return complain_about_bare_ipv6(p);
                next = p->host_to;
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

/* ---- addresses ---- */

static int complain_about_brackets(struct rule_parser *p) {
        const char *ip_text = host(p);
        size_t length = host_length(p);
        const char *slash = memchr(ip_text, '/', length);
        struct rule_quote q = rule_quote(p, p->host_from, p->host_to);
        char replacement[RULE_QUOTE_MAX + 16];
        struct nb_ip ip;

        if (nb_ip_parse(ip_text, length, &ip) == 0) {
                policy_complain(p->complaint, 0, "only IPv6 addresses are written in brackets");
                return rule_correct(p, 0, p->host_to + 1, q.text);
        }
        if (slash && nb_ip_parse(ip_text, (size_t)(slash - ip_text), &ip) == 0) {
                policy_complain(p->complaint, (size_t)(slash - p->text), "the prefix length stands behind the bracket");
                snprintf(replacement, sizeof(replacement), "[%.*s]%.*s", (int)(slash - ip_text), ip_text,
                         (int)(length - (size_t)(slash - ip_text)), slash);
                return rule_correct(p, 0, p->host_to + 1, replacement);
        }
        if (memchr(ip_text, '%', length))
                return policy_complain(p->complaint, p->host_from, "\"%s\": a rule names no interface", q.text);
        return policy_complain(p->complaint, p->host_from, "\"%s\" is not an IPv6 address", q.text);
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
                                       rule_quote(p, p->bits_from, p->bits_to).text, most);
        *ret = (uint8_t)bits;
        return 0;
}

static void clear_host_bits(struct nb_prefix *prefix) {
        for (unsigned i = prefix->length; i < 128; ++i)
                prefix->ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
}

/** Such an address is judged as the IPv4 address in it, so a rule for the IPv6 form never matches. */
static int check_mapped(struct rule_parser *p, const struct nb_prefix *prefix) {
        struct nb_prefix ipv4 = *prefix;
        char text[POLICY_RANGE_TEXT_MAX];

        nb_ip_unmap(&ipv4.ip);
        if (nb_ip_equal(&ipv4.ip, &prefix->ip))
                return 0;

        policy_complain(p->complaint, 0, "an IPv4-mapped address is judged as IPv4, and is written so%s",
                        p->bits_from > 0 ? "; a prefix length behind it has no meaning" : "");
        if (prefix->length < 96)
                return -EINVAL;
        ipv4.length = (uint8_t)(prefix->length - 96);
        clear_host_bits(&ipv4);
        return rule_correct(p, 0, rule_target_end(p), policy_prefix_format(&ipv4, text));
}

static int check_host_bits(struct rule_parser *p, const struct nb_prefix *prefix) {
        struct nb_prefix network = *prefix;
        char text[POLICY_RANGE_TEXT_MAX];

        if (!nb_prefix_has_host_bits(prefix))
                return 0;

        clear_host_bits(&network);
        policy_prefix_format(&network, text);
        policy_complain(p->complaint, p->host_from, "bits are set behind the first %u: the network is %s",
                        prefix->length, text);
        return rule_correct(p, 0, rule_target_end(p), text);
}

static int parse_prefix(struct rule_parser *p, const struct nb_ip *ip, struct nb_prefix *ret) {
        struct nb_prefix prefix = { .ip = *ip };
        int r = parse_length(p, ip, &prefix.length);

        if (r == 0)
                r = check_mapped(p, &prefix);
        if (r == 0)
                r = check_host_bits(p, &prefix);
        if (r == 0)
                *ret = prefix;
        return r;
}

/* ---- words ---- */

/** Digits and dots, and what inet_aton(3) takes besides. */
static bool looks_like_ipv4(const struct rule_parser *p) {
        size_t length = host_length(p);

        return length > 0 && host(p)[0] >= '0' && host(p)[0] <= '9' &&
               strspn(host(p), "0123456789abcdefABCDEFxX.") >= length;
}

/** A group in other letters, or what other programs call one. @return NULL where it is none */
static const char *group_meant(const struct rule_parser *p) {
        struct rule_quote word = rule_quote(p, p->host_from, p->host_to);

        if (strcmp(word.text, "*") == 0 || strcasecmp(word.text, "all") == 0)
                return policy_group_name(POLICY_GROUP_ANY);
        for (size_t i = 0; i < POLICY_N_GROUPS; ++i)
                if (strcasecmp(word.text, policy_group_name((enum policy_group)i)) == 0)
                        return policy_group_name((enum policy_group)i);
        return NULL;
}

static int complain_about_group(struct rule_parser *p, const char *meant) {
        policy_complain(p->complaint, p->host_from,
                        "\"%s\" is written \"%s\": groups are any, public, private and local",
                        rule_quote(p, p->host_from, p->host_to).text, meant);
        return rule_correct(p, p->host_from, p->host_to, meant);
}

static int check_no_length(struct rule_parser *p, const char *what) {
        if (p->bits_from == 0)
                return 0;
        policy_complain(p->complaint, p->bits_from - 1, "%s has no prefix length", what);
        return rule_correct(p, p->bits_from - 1, p->bits_to, "");
}

/** A star that does not stand in front, for a whole label. */
static int complain_about_star(struct rule_parser *p, size_t star) {
        const char *last = memrchr(host(p), '*', host_length(p));
        size_t behind = (size_t)(last + 1 - p->text);
        char replacement[sizeof(p->complaint->correct)];

        policy_complain(p->complaint, star,
                        "a \"*\" stands in front of a name only, with a dot behind it, for one label or more");
        while (behind < p->host_to && (p->text[behind] == '.' || p->text[behind] == '-'))
                ++behind;
        if (behind == p->host_to)
                return -EINVAL;
        snprintf(replacement, sizeof(replacement), "*.%.*s", (int)(p->host_to - behind), p->text + behind);
        return rule_correct(p, p->host_from, p->host_to, replacement);
}

/** Where a name that begins at `from` is wrong, in the words of policy/host_name.h or in those of addresses. */
static int complain_about_name(struct rule_parser *p, size_t from) {
        if (looks_like_ipv4(p))
                return policy_complain(p->complaint, p->host_from,
                                       "\"%s\" is not an IPv4 address: four decimal numbers up to 255, without leading "
                                       "zeros",
                                       rule_quote(p, p->host_from, p->host_to).text);
        policy_complaint_widen(p->complaint, p->text, p->length, from, p->host_to);
        return -EINVAL;
}

static int parse_name(struct rule_parser *p, struct rule_target *ret) {
        size_t from = p->host_from;
        const char *star;
        int r;

        ret->below = host_length(p) >= 2 && memcmp(host(p), "*.", 2) == 0;
        if (ret->below)
                from += 2;
        star = memchr(p->text + from, '*', p->host_to - from);
        if (star)
                return complain_about_star(p, (size_t)(star - p->text));
        if (!ret->below && host(p)[0] == '.') { /* as proxies write it */
                policy_complain(p->complaint, from, "every name below another is written with \"*.\" in front");
                return rule_correct(p, from, from, "*");
        }
        r = check_no_length(p, "a name");
        if (r < 0)
                return r;
        r = policy_host_name_read(p->text + from, p->host_to - from, ret->name, p->complaint);
        return r < 0 ? complain_about_name(p, from) : 0;
}

static int check_name_is_meant(struct rule_parser *p) {
        if (p->range)
                return policy_complain(
                        p->complaint, 0,
                        "\"%s\" is a name: Addresses= says which addresses names may have, with prefixes "
                        "and groups",
                        rule_quote(p, p->host_from, p->host_to).text);
        if (p->kind == POLICY_RULE_LISTEN)
                return policy_complain(p->complaint, 0,
                                       "\"%s\" is a name, and to listen takes an address of this machine",
                                       rule_quote(p, p->host_from, p->host_to).text);
        return 0;
}

static int parse_word(struct rule_parser *p, struct rule_target *ret) {
        const char *meant;
        int r;

        if (host_length(p) == 0)
                return policy_complain(p->complaint, 0, "the address is missing");
        if (policy_group_parse(host(p), host_length(p), &ret->group) == 0) {
                ret->target = POLICY_TARGET_GROUP;
                return check_no_length(p, "a group");
        }
        meant = group_meant(p);
        if (meant)
                return complain_about_group(p, meant);
        ret->target = POLICY_TARGET_NAME;
        r = parse_name(p, ret);
        return r < 0 ? r : check_name_is_meant(p);
}

int rule_target_parse(struct rule_parser *p, struct rule_target *ret) {
        struct nb_ip ip;
        int r = split(p);

        if (r < 0)
                return r;
        r = nb_ip_parse(host(p), host_length(p), &ip);
        if (p->brackets && (r < 0 || ip.family != AF_INET6))
                return complain_about_brackets(p);
        if (r < 0)
                return parse_word(p, ret);
        ret->target = POLICY_TARGET_PREFIX;
        return parse_prefix(p, &ip, &ret->prefix);
}
