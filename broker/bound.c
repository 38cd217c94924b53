/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/bound.h"

#include <errno.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/decision.h"
#include "broker/socket.h"
#include "broker/tenant.h"

/* An IPv6 wildcard serves IPv4 too only where the policy grants both wildcards. */
static bool wants_dual_stack(const struct asker *asker, const struct nb_address *address) {
        const struct nb_socket_address ipv4 = {
                .family = AF_INET,
                .ip = { .ip = { .family = AF_INET }, .port = address->port },
        };
        struct policy_verdict verdict;

        if (address->ip.family != AF_INET6 || !nb_ip_is_unspecified(&address->ip) ||
            !family_fits(asker->grant, AF_INET))
                return false;
        decide_again(asker, POLICY_LISTEN, &ipv4, &verdict);
        return verdict.allowed;
}

/* What was judged may have left the port open; what the kernel chose may be one that a Deny rule names. */
static bool is_granted(const struct asker *asker, const struct nb_socket_address *address) {
        struct policy_verdict verdict;

        decide_again(asker, POLICY_LISTEN, address, &verdict);
        return verdict.allowed;
}

static int new_ip(const struct asker *asker, enum policy_socket_type type, struct nb_socket_address *address) {
        NB_CLEANUP_FD int fd = socket_new(address->family, type);
        struct nb_socket_address bound = *address;
        int r;

        if (fd < 0)
                return fd;
        r = socket_bind_ip(fd, type, &bound.ip, wants_dual_stack(asker, &address->ip));
        if (r < 0)
                return r;
        if (!is_granted(asker, &bound))
                return -EACCES;
        *address = bound;
        return nb_steal_fd(&fd);
}

static int new_unix(const struct grant *grant, enum policy_socket_type type, const struct nb_unix_name *name,
                    struct unix_file **ret_file) {
        NB_CLEANUP_FD int fd = socket_new(AF_UNIX, type);
        int r;

        if (fd < 0)
                return fd;
        r = socket_bind_unix(fd, name, (mode_t)grant->policy->socket_mode, ret_file);
        return r < 0 ? r : nb_steal_fd(&fd);
}

static int new_one(const struct asker *asker, enum policy_socket_type type, struct nb_socket_address *address,
                   struct unix_file **ret_file) {
        int fd;

        if (address->family == AF_UNIX)
                return new_unix(asker->grant, type, &address->un, ret_file);
        fd = new_ip(asker, type, address);
        if (fd >= 0)
                *ret_file = NULL;
        return fd;
}

/* How often an address that is in use is asked for again, if the keeper may be about to close the socket that has it. */
#define TRIES 5

int bound_new(const struct asker *asker, enum policy_socket_type type, struct nb_socket_address *address,
              struct unix_file **ret_file) {
        int fd;

        if (!asker->grant->policy)
                return -EACCES;
        fd = new_one(asker, type, address, ret_file);
        for (int i = 0; i < TRIES && fd == -EADDRINUSE; ++i) {
                if (!keep_settle(asker->grant->tenant->broker->keep))
                        break;
                fd = new_one(asker, type, address, ret_file);
        }
        return fd;
}
