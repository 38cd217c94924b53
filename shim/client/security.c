/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/security.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"

/* The object, then the pointers to the names, then the texts. */
struct holder {
        struct nb_security public;
        const char *peer_names[];
};

static bool fits(const char *text) {
        return strlen(text) <= NB_SECURITY_TEXT_MAX;
}

static bool is_valid(const Nb__Security *told) {
        if (told->version[0] == '\0' || told->n_peer_names > NB_SECURITY_NAMES_MAX)
                return false;
        for (size_t i = 0; i < told->n_peer_names; ++i) {
                if (!fits(told->peer_names[i]))
                        return false;
        }
        return fits(told->version) && fits(told->cipher) && fits(told->alpn);
}

static size_t size_of_texts(const Nb__Security *told) {
        size_t size = strlen(told->version) + 1 + strlen(told->cipher) + 1 + strlen(told->alpn) + 1;

        for (size_t i = 0; i < told->n_peer_names; ++i)
                size += strlen(told->peer_names[i]) + 1;
        return size;
}

/* Copies a text to `*at`, which moves behind it. */
static const char *put(char **at, const char *text) {
        size_t size = strlen(text) + 1;
        const char *copy = memcpy(*at, text, size);

        *at += size;
        return copy;
}

int nb_security_new(const Nb__Security *told, struct nb_security **ret) {
        struct holder *holder;
        char *at;

        if (!is_valid(told))
                return -EPROTO;
        holder = malloc(sizeof(*holder) + told->n_peer_names * sizeof(holder->peer_names[0]) + size_of_texts(told));
        if (!holder)
                return -ENOMEM;
        at = (char *)&holder->peer_names[told->n_peer_names];
        holder->public = (struct nb_security){
                .version = put(&at, told->version),
                .cipher = put(&at, told->cipher),
                .alpn = put(&at, told->alpn),
                .resumed = told->resumed,
                .n_peer_names = told->n_peer_names,
                .peer_names = holder->peer_names,
        };
        for (size_t i = 0; i < told->n_peer_names; ++i)
                holder->peer_names[i] = put(&at, told->peer_names[i]);
        *ret = &holder->public;
        return 0;
}

struct nb_security *nb_security_free(struct nb_security *security) {
        free(security); /* the first member of its holder */
        return NULL;
}
