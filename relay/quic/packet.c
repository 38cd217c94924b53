/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/packet.h"

#include <string.h>

#include "base/address.h"

bool quic_address_equal(const union quic_address *a, const union quic_address *b) {
        if (a->any.sa_family != b->any.sa_family)
                return false;
        if (a->any.sa_family == AF_INET)
                return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
        return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
}

ngtcp2_path quic_path_for_library(const struct quic_path *path) {
        /* It is told an address that it does not change. */
        return (ngtcp2_path){
                .local = { .addr = (ngtcp2_sockaddr *)&path->local.any, .addrlen = quic_address_size(&path->local) },
                .remote = { .addr = (ngtcp2_sockaddr *)&path->remote.any, .addrlen = quic_address_size(&path->remote) },
        };
}

const char *quic_address_format(const union quic_address *address, char text[static QUIC_ADDRESS_TEXT_MAX]) {
        _Static_assert(QUIC_ADDRESS_TEXT_MAX >= NB_ADDRESS_TEXT_MAX, "there is room for any address");
        struct nb_address parsed;

        text[0] = '\0';
        if (nb_address_from_sockaddr(&address->any, quic_address_size(address), &parsed) < 0)
                return text;
        nb_ip_unmap(&parsed.ip);
        return nb_address_format(&parsed, text);
}
