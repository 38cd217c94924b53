/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/words.h"

#include "policy/policy.h"

const struct policy_word policy_words_family[] = {
        { .text = "ip", .value = POLICY_FAMILY_IP },     { .text = "ipv4", .value = POLICY_FAMILY_IPV4 },
        { .text = "ipv6", .value = POLICY_FAMILY_IPV6 }, { .text = "unix", .value = POLICY_FAMILY_UNIX },
        { .text = "quic", .value = POLICY_FAMILY_QUIC }, { 0 },
};

const struct policy_word policy_words_data_path[] = {
        { .text = "auto", .value = POLICY_DATA_PATH_AUTO },
        { .text = "direct", .value = POLICY_DATA_PATH_DIRECT },
        { .text = "relay", .value = POLICY_DATA_PATH_RELAY },
        { 0 },
};

const struct policy_word policy_words_socket_type[] = {
        { .text = "stream", .value = POLICY_SOCKET_STREAM },
        { .text = "dgram", .value = POLICY_SOCKET_DGRAM },
        { 0 },
};

const struct policy_word policy_words_mode[] = {
        { .text = "enforce", .value = POLICY_MODE_ENFORCE },
        { .text = "report", .value = POLICY_MODE_REPORT },
        { 0 },
};

const struct policy_word policy_words_existing[] = {
        { .text = "close", .value = POLICY_EXISTING_CLOSE },
        { .text = "keep", .value = POLICY_EXISTING_KEEP },
        { 0 },
};

const struct policy_word policy_words_yes_no[] = {
        { .text = "yes", .value = true },
        { .text = "no", .value = false },
        { 0 },
};

const struct policy_word policy_words_tls[] = {
        { .text = "client", .value = POLICY_TLS_CLIENT },
        { .text = "server", .value = POLICY_TLS_SERVER },
        { .text = "both", .value = POLICY_TLS_CLIENT | POLICY_TLS_SERVER },
        { 0 },
};

const struct policy_word policy_words_tls_version[] = {
        { .text = "1.2", .value = POLICY_TLS_1_2 },
        { .text = "1.3", .value = POLICY_TLS_1_3 },
        { .text = "1.0", .not_yet = "is broken (RFC 8996): write 1.2, 1.3 or both", .value = -1 },
        { .text = "1.1", .not_yet = "is broken (RFC 8996): write 1.2, 1.3 or both", .value = -1 },
        { 0 },
};

const struct policy_word policy_words_client_auth[] = {
        { .text = "none", .value = POLICY_CLIENT_AUTH_NONE },
        { .text = "request", .value = POLICY_CLIENT_AUTH_REQUEST },
        { .text = "require", .value = POLICY_CLIENT_AUTH_REQUIRE },
        { 0 },
};

const struct policy_word policy_words_hop[] = {
        { .text = "http", .value = POLICY_HOP_HTTP },
        { .text = "https", .value = POLICY_HOP_HTTPS },
        { .text = "socks5", .value = POLICY_HOP_SOCKS5 },
        { .text = "socks5h", .not_yet = "is written socks5, with ProxyResolve=yes", .value = -1 },
        { 0 },
};

const struct policy_word policy_words_proxy_header[] = {
        { .text = "v1", .value = POLICY_PROXY_HEADER_V1 },
        { .text = "v2", .value = POLICY_PROXY_HEADER_V2 },
        { 0 },
};

const struct policy_word policy_words_retry[] = {
        { .text = "auto", .value = false },
        { .text = "always", .value = true },
        { 0 },
};

const char *policy_word(const struct policy_word *words, int value) {
        while (words->text && words->value != value)
                ++words;
        return words->text;
}
