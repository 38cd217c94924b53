/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/grant_keys.h"

#include "policy/value.h"

static const struct policy_word families[] = {
        { .text = "ip", .value = POLICY_FAMILY_IP },
        { .text = "ipv4", .value = POLICY_FAMILY_IPV4 },
        { .text = "ipv6", .value = POLICY_FAMILY_IPV6 },
        { .text = "unix", .value = POLICY_FAMILY_UNIX },
        { .text = "quic", .not_yet = "is not enforced by this version, so it is refused" },
        { 0 },
};

static const struct policy_word data_paths[] = {
        { .text = "direct", .value = POLICY_DATA_PATH_DIRECT },
        { .text = "auto", .not_yet = "comes with a later version, which proves the seal; this one has only direct" },
        { .text = "relay", .not_yet = "comes with a later version, which has a relay; this one has only direct" },
        { 0 },
};

static const struct policy_word socket_types[] = {
        { .text = "stream", .value = POLICY_SOCKET_STREAM },
        { .text = "dgram", .value = POLICY_SOCKET_DGRAM },
        { 0 },
};

int grant_set_family(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, families, &word, &p->complaint);

        if (r == 0)
                p->protocol->family = (enum policy_family)word;
        return r;
}

int grant_set_data_path(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, data_paths, &word, &p->complaint);

        if (r == 0)
                p->protocol->data_path = (enum policy_data_path)word;
        return r;
}

static int take_socket_type(struct parser *p, const char *word) {
        int type, r = policy_word_parse(word, socket_types, &type, &p->complaint);

        if (r == 0)
                p->protocol->socket_types |= (unsigned)type;
        return r;
}

int grant_set_socket_types(struct parser *p, const char *value) {
        p->protocol->socket_types = 0;
        return parser_each_word(p, value, take_socket_type);
}

int grant_set_socket_mode(struct parser *p, const char *value) {
        return policy_mode_parse(value, &p->protocol->socket_mode, &p->complaint);
}

int grant_set_connect_timeout(struct parser *p, const char *value) {
        return policy_timeout_parse(value, &p->protocol->connect_timeout_ms, &p->complaint);
}

int grant_set_nonblock(struct parser *p, const char *value) {
        return policy_yes_no_parse(value, &p->preopen->nonblock, &p->complaint);
}
