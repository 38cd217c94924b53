/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/destroyer.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/sock_diag.h"

/* The kernel takes all ones for "any socket with these addresses" (INET_DIAG_NOCOOKIE), and 0 is no socket's. */
static bool is_cookie(uint64_t cookie) {
        return cookie != 0 && cookie != UINT64_MAX;
}

static struct nb_address address_of(uint16_t family, const uint8_t bytes[static 16], uint16_t port) {
        struct nb_address address = { .ip = { .family = family }, .port = port };

        memcpy(address.ip.bytes, bytes, family == AF_INET ? 4 : 16);
        return address;
}

static int check(const struct nb_destroy_request *request) {
        if (request->family != AF_INET && request->family != AF_INET6)
                return -EINVAL;
        if (request->protocol != IPPROTO_TCP && request->protocol != IPPROTO_UDP)
                return -EINVAL;
        return is_cookie(request->cookie) && request->zero == 0 ? 0 : -EINVAL;
}

int destroyer_run(int diag_fd, uid_t uid, const struct nb_destroy_request *request) {
        struct nb_sock_diag_id id = {
                .protocol = (uint8_t)request->protocol,
                .local = address_of(request->family, request->local, request->local_port),
                .peer = address_of(request->family, request->peer, request->peer_port),
                .cookie = request->cookie,
        };
        struct nb_sock_diag_socket found;
        int r = check(request);

        if (r == 0)
                r = nb_sock_diag_find(diag_fd, &id, &found);
        if (r < 0)
                return r;
        /* What is left after the end (TIME_WAIT) is in nobody's hands. */
        if (found.time_wait || found.id.cookie != request->cookie)
                return -ENOENT;
        if (found.uid != uid)
                return -EPERM;
        return nb_sock_diag_destroy(diag_fd, &id);
}
