/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/security.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

Nb__Security *security_view(struct security_view *view, const Nb__Relay__Security *from) {
        if (!from)
                return NULL;
        nb__security__init(&view->message);
        view->message.version = from->version;
        view->message.cipher = from->cipher;
        view->message.alpn = from->alpn;
        view->message.resumed = from->resumed;
        view->message.peer_names = from->peer_names;
        view->message.n_peer_names = from->n_peer_names;
        return &view->message;
}

Nb__Relay__Security *security_copy(const Nb__Relay__Security *from) {
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        size_t length;

        if (!from)
                return NULL;
        length = nb__relay__security__get_packed_size(from);
        bytes = malloc(length + 1);
        if (!bytes)
                return NULL;
        (void)nb__relay__security__pack(from, bytes);
        return nb__relay__security__unpack(NULL, length, bytes);
}

Nb__Relay__Security *security_free(Nb__Relay__Security *security) {
        if (security)
                nb__relay__security__free_unpacked(security, NULL);
        return NULL;
}

static bool is_short(const char *text) {
        return strnlen(text, NB_SECURITY_TEXT_MAX + 1) <= NB_SECURITY_TEXT_MAX;
}

bool security_is_sane(const Nb__Relay__Security *security) {
        if (security->version[0] == '\0' || security->n_peer_names > NB_SECURITY_NAMES_MAX ||
            !is_short(security->version) || !is_short(security->cipher) || !is_short(security->alpn) ||
            !is_short(security->server_name))
                return false;
        for (size_t i = 0; i < security->n_peer_names; ++i) {
                if (!is_short(security->peer_names[i]))
                        return false;
        }
        return true;
}
