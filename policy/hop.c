/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/hop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/guard.h"
#include "policy/lines.h"
#include "policy/words.h"

#define BEHIND_SCHEME "://"

/* How much of what is wrong a message quotes. */
#define QUOTE_MAX 64

/** A URL in its pieces, as offsets into its text. */
struct url {
        const char *text;
        size_t length;
        size_t scheme_to;
        size_t from, to;  /* the authority */
        size_t host_to;   /* which begins at `from` */
        size_t port_from; /* 0: there is none */
        struct policy_complaint *complaint;
};

/* ---- the pieces ---- */

static int parse_scheme(struct url *url, enum policy_hop_kind *ret) {
        const char *behind = strstr(url->text, BEHIND_SCHEME);
        char scheme[POLICY_LINE_MAX + 1];
        int word, r;

        if (!behind)
                return policy_complain(url->complaint, 0,
                                       "a proxy is written with how it is spoken to: http://HOST:PORT, "
                                       "https://HOST:PORT or socks5://HOST:PORT");
        url->scheme_to = (size_t)(behind - url->text);
        if (url->scheme_to >= sizeof(scheme))
                return policy_complain(url->complaint, 0, "the scheme is too long");
        memcpy(scheme, url->text, url->scheme_to);
        scheme[url->scheme_to] = '\0';
        if (strpbrk(scheme, ":@")) /* a password, perhaps, which no message repeats */
                return policy_complain(url->complaint, 0, "a proxy's URL begins with http://, https:// or socks5://");
        r = policy_word_parse(scheme, policy_words_hop, &word, url->complaint);
        if (r < 0) {
                policy_complaint_widen(url->complaint, url->text, url->length, 0, url->scheme_to);
                return r;
        }
        *ret = (enum policy_hop_kind)word;
        return 0;
}

/** A user and password, which may hold what ends an authority, and what stands behind the port. */
static int check_rest(struct url *url) {
        const char *at = strrchr(url->text + url->from, '@');

        if (at) {
                policy_complain(url->complaint, url->from,
                                "no user and no password stand in a policy: ProxyPassword= names the file that has "
                                "them");
                policy_complaint_splice(url->complaint, url->text, url->length, url->from, (size_t)(at + 1 - url->text),
                                        "");
                return -EINVAL;
        }
        if (url->to == url->length)
                return 0;
        policy_complain(url->complaint, url->to, "nothing stands behind the port of a proxy");
        policy_complaint_splice(url->complaint, url->text, url->length, url->to, url->length, "");
        return -EINVAL;
}

static int complain_about_bare_ipv6(struct url *url) {
        return policy_complain(url->complaint, url->from, "an IPv6 address is written in brackets: [2001:db8::1]:1080");
}

static int split_host(struct url *url) {
        const char *authority = url->text + url->from;
        size_t length = url->to - url->from;
        const char *colon = memrchr(authority, ':', length), *close = memrchr(authority, ']', length);

        if (close && colon && colon < close)
                colon = NULL;
        if (!colon)
                return policy_complain(url->complaint, url->to, "the proxy's port is missing: %.*s%s:PORT",
                                       (int)url->scheme_to, url->text, BEHIND_SCHEME "HOST");
        url->host_to = (size_t)(colon - url->text);
        url->port_from = url->host_to + 1;
        if (authority[0] != '[' && memchr(authority, ':', url->host_to - url->from))
                return complain_about_bare_ipv6(url);
        if (url->host_to == url->from)
                return policy_complain(url->complaint, url->from, "the proxy's host is missing");
        return 0;
}

/* ---- what they say ---- */

static int parse_port(struct url *url, uint16_t *ret) {
        size_t length = url->to - url->port_from;
        char quote[QUOTE_MAX];

        if (nb_port_parse(url->text + url->port_from, length, ret) == 0 && *ret > 0)
                return 0;
        policy_printable(url->text + url->port_from, length, quote, sizeof(quote));
        return policy_complain(url->complaint, url->port_from, "\"%s\" is not a port: a number from 1 to 65535", quote);
}

/** Whether an address can be one proxy's. */
static int check_ip(struct url *url, const struct nb_ip *ip) {
        struct nb_prefix single = { .ip = *ip, .length = ip->family == AF_INET ? 32 : 128 };
        struct nb_ip ipv4 = *ip;
        char text[NB_ADDRESS_TEXT_MAX];

        nb_ip_unmap(&ipv4);
        if (!nb_ip_equal(&ipv4, ip)) {
                policy_complain(url->complaint, url->from, "an IPv4-mapped address is written as IPv4");
                policy_complaint_splice(url->complaint, url->text, url->length, url->from, url->host_to,
                                        nb_ip_format(&ipv4, text));
                return -EINVAL;
        }
        if (nb_ip_is_unspecified(ip) || policy_guard_no_grant(&single))
                return policy_complain(url->complaint, url->from, "this is not the address of one proxy");
        return 0;
}

static int parse_brackets(struct url *url, struct nb_ip *ret) {
        const char *host = url->text + url->from;
        size_t length = url->host_to - url->from;

        if (length > 2 && host[length - 1] == ']' && nb_ip_parse(host + 1, length - 2, ret) == 0 &&
            ret->family == AF_INET6)
                return 0;
        return policy_complain(url->complaint, url->from, "only an IPv6 address stands in brackets, and this is none");
}

static int parse_name(struct url *url, char ret[static POLICY_HOST_NAME_MAX + 1]) {
        int r = policy_host_name_read(url->text + url->from, url->host_to - url->from, ret, url->complaint);

        if (r < 0)
                policy_complaint_widen(url->complaint, url->text, url->length, url->from, url->host_to);
        return r;
}

/** An address or a name. */
static int parse_host(struct url *url, struct policy_hop *hop) {
        const char *host = url->text + url->from;
        int r = 0;

        if (host[0] == '[')
                r = parse_brackets(url, &hop->address.ip);
        else
                hop->is_name = nb_ip_parse(host, url->host_to - url->from, &hop->address.ip) < 0;
        if (r < 0)
                return r;
        return hop->is_name ? parse_name(url, hop->name.text) : check_ip(url, &hop->address.ip);
}

int policy_hop_parse(const char *text, struct policy_hop *ret, struct policy_complaint *ret_complaint) {
        struct url url = { .text = text, .length = strlen(text), .complaint = ret_complaint };
        struct policy_hop hop = { 0 };
        uint16_t port = 0;
        int r = parse_scheme(&url, &hop.kind);

        if (r < 0)
                return r;
        url.from = url.scheme_to + strlen(BEHIND_SCHEME);
        url.to = url.from + strcspn(text + url.from, "/?#");
        r = check_rest(&url);
        if (r == 0)
                r = split_host(&url);
        if (r == 0)
                r = parse_host(&url, &hop);
        if (r == 0)
                r = parse_port(&url, &port);
        if (r < 0)
                return r;
        ret->kind = hop.kind;
        ret->is_name = hop.is_name;
        ret->name = hop.name;
        ret->address = hop.address;
        *(hop.is_name ? &ret->name.port : &ret->address.port) = port;
        return 0;
}
