/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/grant_keys.h"

#include "policy/value.h"
#include "policy/words.h"

int grant_set_family(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, policy_words_family, &word, &p->complaint);

        if (r == 0)
                p->protocol->family = (enum policy_family)word;
        return r;
}

int grant_set_data_path(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, policy_words_data_path, &word, &p->complaint);

        if (r == 0)
                p->protocol->data_path = (enum policy_data_path)word;
        return r;
}

static int take_socket_type(struct parser *p, const char *word) {
        int type, r = policy_word_parse(word, policy_words_socket_type, &type, &p->complaint);

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

int grant_set_handshake_timeout(struct parser *p, const char *value) {
        return policy_timeout_parse(value, &p->protocol->handshake_timeout_ms, &p->complaint);
}

int grant_set_idle_timeout(struct parser *p, const char *value) {
        return policy_timeout_parse(value, &p->protocol->idle_timeout_ms, &p->complaint);
}

int grant_set_nonblock(struct parser *p, const char *value) {
        return policy_yes_no_parse(value, &p->preopen->nonblock, &p->complaint);
}
