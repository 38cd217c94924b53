/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/exchange.h"

#include <errno.h>

#include "relay/link.h"

int exchange_send(struct link *link, const void *bytes, size_t length, size_t *sent) {
        struct transport *peer = link->peer;

        while (*sent < length) {
                ssize_t n = peer->ops->write(peer, (const uint8_t *)bytes + *sent, length - *sent);

                if (n < 0)
                        return (int)n;
                *sent += (size_t)n;
        }
        return 0;
}

int exchange_receive(struct link *link, uint8_t *buffer, size_t wanted, size_t *have) {
        struct transport *peer = link->peer;

        while (*have < wanted) {
                ssize_t n = peer->ops->read(peer, buffer + *have, wanted - *have);

                if (n <= 0)
                        return n < 0 ? (int)n : -ENODATA;
                *have += (size_t)n;
        }
        return 0;
}

int exchange_fail(struct link *link, const char *stage, const char *target, int error) {
        if (error == -ENODATA || error == -ECONNRESET || error == -EPIPE)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_PROXY_CLOSED,
                                 "the proxy closed the connection while it was asked for %s (%s)", target, stage);
        return link_fail_io(link, stage, error);
}
