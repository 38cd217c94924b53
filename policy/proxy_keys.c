/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/proxy_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/hop.h"
#include "policy/keys.h"
#include "policy/path.h"
#include "policy/verdict.h"
#include "policy/words.h"

/* Stands for a proxy that wants no password. */
#define NO_PASSWORD "-"

static int take_hop(struct parser *p, const char *word) {
        struct policy_proxy *proxy = &p->protocol->proxy;
        struct policy_hop *hop;
        int r;

        if (proxy->n_hops == POLICY_HOPS_MAX)
                return policy_complain(&p->complaint, 0, "a way leads through at most %d proxies", POLICY_HOPS_MAX);
        hop = &proxy->hops[proxy->n_hops];
        r = policy_hop_parse(word, hop, &p->complaint);
        if (r < 0)
                return r;
        free(hop->text);
        hop->text = strdup(word);
        hop->at = parser_position(p);
        if (!hop->text)
                return -ENOMEM;
        ++proxy->n_hops;
        return 0;
}

int proxy_set_hops(struct parser *p, const char *value) {
        p->protocol->proxy.n_hops = 0;
        return parser_each_word(p, value, take_hop);
}

static int take_password(struct parser *p, const char *word) {
        struct policy_proxy *proxy = &p->protocol->proxy;
        struct policy_path *path;

        if (proxy->n_passwords == POLICY_HOPS_MAX)
                return policy_complain(&p->complaint, 0, "a way leads through at most %d proxies", POLICY_HOPS_MAX);
        path = &proxy->hops[proxy->n_passwords++].password;
        if (strcmp(word, NO_PASSWORD) != 0)
                return policy_path_set(p, path, word);
        policy_path_clear(path);
        return 0;
}

int proxy_set_passwords(struct parser *p, const char *value) {
        struct policy_proxy *proxy = &p->protocol->proxy;

        for (size_t i = 0; i < POLICY_HOPS_MAX; ++i)
                policy_path_clear(&proxy->hops[i].password);
        proxy->n_passwords = 0;
        return parser_each_word(p, value, take_password);
}

int proxy_set_resolve(struct parser *p, const char *value) {
        return policy_yes_no_parse(value, &p->protocol->proxy.resolves, &p->complaint);
}

int proxy_set_trust(struct parser *p, const char *value) {
        struct policy_path *trust = &p->protocol->proxy.trust;

        if (strcmp(value, "system") == 0) {
                policy_path_clear(trust);
                return 0;
        }
        if (value[strcspn(value, " \t")] != '\0')
                return policy_complain(&p->complaint, strcspn(value, " \t"),
                                       "this is one file, and its path has no blanks");
        return policy_path_set(p, trust, value);
}

int proxy_set_send_header(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, policy_words_proxy_header, &word, &p->complaint);

        if (r == 0)
                p->protocol->send_header = (enum policy_proxy_header)word;
        return r;
}

/* ---- the section as a whole ---- */

/** A key about proxies where there is none. */
static int check_is_on(struct parser *p) {
        for (int key = PARSER_KEY_PROXY_PASSWORD; key <= PARSER_KEY_PROXY_TRUST; ++key)
                if (parser_is_set(p, (enum parser_key)key))
                        return parser_fail_value(p, (enum parser_key)key,
                                                 "%s= is about proxies, and [%s %s] has no Proxy=",
                                                 keys_name((enum parser_key)key), policy_section_word(p->protocol),
                                                 p->protocol->name);
        return 0;
}

static bool has_https(const struct policy_proxy *proxy) {
        for (size_t i = 0; i < proxy->n_hops; ++i)
                if (proxy->hops[i].kind == POLICY_HOP_HTTPS)
                        return true;
        return false;
}

static int check_hops(struct parser *p) {
        const struct policy_proxy *proxy = &p->protocol->proxy;

        if (proxy->n_hops == 0)
                return check_is_on(p);
        if (proxy->n_passwords > proxy->n_hops)
                return parser_fail_value(p, PARSER_KEY_PROXY_PASSWORD,
                                         "ProxyPassword= has a file for each proxy of Proxy=, in the same order, and "
                                         "there is one proxy only");
        if (parser_is_set(p, PARSER_KEY_PROXY_TRUST) && !has_https(proxy))
                return parser_fail_value(p, PARSER_KEY_PROXY_TRUST,
                                         "ProxyTrust= says whom https:// proxies are certified by, and Proxy= has "
                                         "none of those");
        if (p->preopen && proxy->resolves)
                return parser_fail_value(p, PARSER_KEY_PROXY_RESOLVE,
                                         "ProxyResolve= is about names, and a preopened socket has an address");
        return 0;
}

/** What only TCP has, where the section has something else. */
static int check_tcp(struct parser *p, enum parser_key key) {
        const struct policy_protocol *protocol = p->protocol;

        if (!parser_is_set(p, key))
                return 0;
        if (protocol->family == POLICY_FAMILY_UNIX || protocol->family == POLICY_FAMILY_QUIC)
                return parser_fail_value(p, key, "%s= is for TCP, and [%s %s] has %s", keys_name(key),
                                         policy_section_word(protocol), protocol->name, policy_family_text(protocol));
        if (protocol->socket_types & POLICY_SOCKET_DGRAM)
                return parser_fail_value(p, key,
                                         "%s= is for streams, and [%s %s] has datagrams in SocketTypes=: write a "
                                         "section of its own for them",
                                         keys_name(key), policy_section_word(protocol), protocol->name);
        return 0;
}

/** What belongs to the other verb than the one that a preopened socket is for. */
static int check_preopen(struct parser *p, enum parser_key key, enum policy_verb verb) {
        if (!p->preopen || !parser_is_set(p, key) || p->preopen->verb == verb)
                return 0;
        return parser_fail_value(p, key, "%s= is for %s=, and [Preopen %s] %s", keys_name(key),
                                 verb == POLICY_LISTEN ? "Listen" : "Connect", p->protocol->name,
                                 verb == POLICY_LISTEN ? "connects" : "listens");
}

int proxy_keys_finish(struct parser *p) {
        static const struct {
                enum parser_key key;
                enum policy_verb verb;
        } keys[] = {
                { PARSER_KEY_PROXY, POLICY_CONNECT },
                { PARSER_KEY_SEND_PROXY_HEADER, POLICY_CONNECT },
                { PARSER_KEY_ACCEPT_PROXY_HEADER, POLICY_LISTEN },
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(keys) / sizeof(keys[0]); ++i) {
                r = check_tcp(p, keys[i].key);
                if (r == 0)
                        r = check_preopen(p, keys[i].key, keys[i].verb);
        }
        if (r < 0)
                return r;
        if (p->protocol->n_header_sources > 0 && !policy_has_rule(p->protocol, POLICY_RULE_LISTEN))
                return parser_fail_value(p, PARSER_KEY_ACCEPT_PROXY_HEADER,
                                         "AcceptProxyHeader= is about peers of a listener, and [Protocol %s] has no "
                                         "Listen=",
                                         p->protocol->name);
        return check_hops(p);
}
