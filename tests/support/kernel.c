/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/kernel.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/sock_diag.h"
#include "tests/support/harness.h"

struct count {
        uint16_t peer_port;
        unsigned n;
};

static void on_socket(void *data, const struct nb_sock_diag_socket *found) {
        struct count *count = data;

        if (!found->time_wait && found->id.peer.port == count->peer_port)
                count->n++;
}

static void count_family(int fd, sa_family_t family, uint8_t protocol, struct count *count) {
        const struct nb_sock_diag_query query = { .family = family,
                                                  .protocol = protocol,
                                                  .states = NB_SOCK_DIAG_ANY_STATE };
        int r;

        ck_assert_int_eq(nb_sock_diag_ask_dump(fd, &query), 0);
        do
                r = nb_sock_diag_read_dump(fd, &query, on_socket, count);
        while (r == 0);
        ck_assert_int_eq(r, 1);
}

unsigned kernel_count_sockets(uint8_t protocol, uint16_t peer_port) {
        NB_CLEANUP_FD int fd = nb_sock_diag_open();
        struct count count = { .peer_port = peer_port };

        ck_assert_int_ge(fd, 0);
        count_family(fd, AF_INET, protocol, &count);
        count_family(fd, AF_INET6, protocol, &count);
        return count.n;
}

void kernel_wait_sockets(uint8_t protocol, uint16_t peer_port, unsigned expected) {
        uint64_t start = harness_now_ms();

        while (kernel_count_sockets(protocol, peer_port) != expected)
                harness_wait_a_moment(start, "the kernel's list of sockets");
}

void kernel_disconnect(int fd) {
        const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

        ck_assert_int_eq(connect(fd, &nobody, sizeof(nobody)), 0);
}

/* One of the kernel's list of netlink sockets. */
struct netlink_socket {
        unsigned groups, drops;
};

/* The first netlink socket of a process has its pid for a port; 4 is NETLINK_SOCK_DIAG. */
static struct netlink_socket find_events(pid_t pid) {
        FILE *file = fopen("/proc/net/netlink", "re");
        struct netlink_socket found = { 0 }, each;
        unsigned protocol;
        char line[256];
        int port;

        ck_assert_ptr_nonnull(file);
        while (fgets(line, sizeof(line), file)) {
                if (sscanf(line, "%*s %u %d %x %*s %*s %*s %*s %u", &protocol, &port, &each.groups, &each.drops) == 4 &&
                    protocol == 4 && port == (int)pid)
                        found = each;
        }
        (void)fclose(file);
        return found;
}

unsigned kernel_count_dropped_events(pid_t pid) {
        return find_events(pid).drops;
}

bool kernel_tells_of_sockets(pid_t pid) {
        return find_events(pid).groups != 0;
}

void kernel_wait_tells_of_sockets(pid_t pid, bool expected) {
        uint64_t start = harness_now_ms();

        while (kernel_tells_of_sockets(pid) != expected)
                harness_wait_a_moment(start, "another state of the events of sockets");
}

bool kernel_destroys_sockets(void) {
        NB_CLEANUP_FD int fd = nb_sock_diag_open();
        const struct nb_sock_diag_id nothing = {
                .protocol = IPPROTO_TCP, .local.ip.family = AF_INET, .peer.ip.family = AF_INET, .cookie = 1
        };

        return fd >= 0 && nb_sock_diag_destroy(fd, &nothing) == -ENOENT;
}
