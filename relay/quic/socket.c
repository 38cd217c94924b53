/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/socket.h"

#include <errno.h>
#include <netinet/udp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "relay/calls.h"
#include "relay/quic/incoming.h"
#include "relay/quic/outgoing.h"
#include "relay/quic/quic.h"
#include "relay/relay.h"

/* What the kernel may hold for us in each direction, as far as its own limit lets: some milliseconds of a fast network, while others have their turn. */
#define KERNEL_BUFFER (4 * 1024 * 1024)

struct quic_socket {
        struct relay *relay; /* borrowed */
        struct watch watch;
        const struct quic_socket_ops *ops;
        void *owner;
        int fd; /* owned */
        union quic_address local;
        union quic_address remote;
        struct quic_way way;
        struct quic_outgoing *kept;  /* owned: what the kernel did not take; NULL: nothing */
        struct nb_list waiters;      /* for room */
        struct nb_list in_batchless; /* of `quic.batchless` */
};

void *quic_socket_owner(const struct quic_socket *socket) {
        return socket->owner;
}

const union quic_address *quic_socket_local(const struct quic_socket *socket) {
        return &socket->local;
}

const union quic_address *quic_socket_remote(const struct quic_socket *socket) {
        return &socket->remote;
}

/* ---- receiving ---- */

static void packet_came(void *data, const struct quic_packet *packet) {
        struct quic_socket *socket = data;

        socket->ops->packet(socket, packet);
}

/* Reads until there is nothing more, or others are to have their turn. */
static void receive(struct quic_socket *socket) {
        struct quic_incoming *in = socket->relay->quic->in;
        size_t n_packets = 0;
        int n;

        do {
                n = quic_incoming_read(in, socket->fd, &socket->local);
                if (n > 0)
                        n_packets += quic_incoming_each(in, packet_came, socket);
        } while (n == QUIC_INCOMING_MESSAGES && n_packets < QUIC_BATCH_PACKETS);
        /* A router that has no way for a packet of that size says so to who is connected, whatever is asked for with IP_MTU_DISCOVER: probes get lost, and no more. */
        if (n < 0 && n != -EAGAIN && n != -EMSGSIZE)
                socket->ops->failed(socket, -n);
        if (socket->ops->batch_end)
                socket->ops->batch_end(socket);
}

/* ---- sending ---- */

/* Sends it, and tells what the kernel says of the socket. @return 0 or -EAGAIN */
static int send_batch(struct quic_socket *socket, struct quic_outgoing *out) {
        int r = quic_outgoing_send(out, &socket->way);
        int error = socket->way.error;

        socket->way.error = 0;
        if (error != 0)
                socket->ops->failed(socket, error);
        return r;
}

/* One batch is enough for all who send in turns; a second is made while the first waits for the kernel. */
static void give_back(struct quic *quic, struct quic_outgoing *out) {
        if (!out)
                return;
        if (quic->out)
                free(out);
        else
                quic->out = out;
        /* They are told by the kernel, in a turn of their own: whoever gives something back may be in the middle of anything. */
        nb_list_foreach_safe(element, &quic->batchless) {
                struct quic_socket *socket = nb_container_of(element, struct quic_socket, in_batchless);

                nb_list_remove(element);
                (void)watch_change(&socket->watch, EPOLLIN | EPOLLOUT);
        }
}

void quic_socket_flush(struct quic_socket *socket) {
        struct quic *quic = socket->relay->quic;

        if (quic->out_user != socket)
                return;
        quic->out_user = NULL;
        if (send_batch(socket, quic->out) == 0)
                return;
        socket->kept = nb_steal_ptr(quic->out);
        (void)watch_change(&socket->watch, EPOLLIN | EPOLLOUT);
}

/* @return whether the batch is this socket's to write into */
static bool take_batch(struct quic_socket *socket) {
        struct quic *quic = socket->relay->quic;

        if (quic->out_user && quic->out_user != socket)
                quic_socket_flush(quic->out_user);
        if (!quic->out)
                quic->out = quic_outgoing_new();
        if (!quic->out) {
                /* There is no memory for a second one; the first comes back from the socket that keeps it. */
                if (nb_list_is_empty(&socket->in_batchless))
                        nb_list_append(&quic->batchless, &socket->in_batchless);
                return false;
        }
        quic->out_user = socket;
        return true;
}

uint8_t *quic_socket_room(struct quic_socket *socket) {
        uint8_t *room;

        if (socket->kept || !take_batch(socket))
                return NULL;
        room = quic_outgoing_room(socket->relay->quic->out);
        if (room)
                return room;
        quic_socket_flush(socket);
        if (socket->kept || !take_batch(socket))
                return NULL;
        return quic_outgoing_room(socket->relay->quic->out);
}

void quic_socket_add(struct quic_socket *socket, size_t length, const struct quic_path *path, uint8_t ecn, bool alone) {
        quic_outgoing_add(socket->relay->quic->out, &socket->way, length, path, ecn, alone);
}

void quic_socket_wait(struct quic_socket *socket, struct nb_list *waiter) {
        if (nb_list_is_empty(waiter))
                nb_list_append(&socket->waiters, waiter);
}

struct nb_list *quic_socket_next_waiter(struct quic_socket *socket) {
        struct nb_list *waiter = socket->waiters.next;

        if (nb_list_is_empty(&socket->waiters))
                return NULL;
        nb_list_remove(waiter);
        return waiter;
}

/* @return whether nothing is kept any more */
static bool send_kept(struct quic_socket *socket) {
        if (socket->kept && send_batch(socket, socket->kept) < 0)
                return false;
        give_back(socket->relay->quic, nb_steal_ptr(socket->kept));
        (void)watch_change(&socket->watch, EPOLLIN);
        return true;
}

static void socket_ready(struct watch *watch, uint32_t events) {
        struct quic_socket *socket = nb_container_of(watch, struct quic_socket, watch);

        if ((events & EPOLLOUT) && send_kept(socket)) {
                /* It may be gone afterwards; what there is to read is told again. */
                socket->ops->writable(socket);
                return;
        }
        receive(socket);
}

/* ---- its life ---- */

static int set(int fd, int level, int name, int value) {
        return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static bool is_wildcard(const union quic_address *address) {
        if (address->any.sa_family == AF_INET)
                return address->in.sin_addr.s_addr == htonl(INADDR_ANY);
        return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
}

static int learn_addresses(struct quic_socket *socket) {
        socklen_t length = sizeof(socket->local);

        if (getsockname(socket->fd, &socket->local.any, &length) < 0)
                return -errno;
        if (socket->local.any.sa_family != AF_INET && socket->local.any.sa_family != AF_INET6)
                return -EAFNOSUPPORT;
        length = sizeof(socket->remote);
        if (getpeername(socket->fd, &socket->remote.any, &length) == 0)
                return 0;
        if (errno != ENOTCONN)
                return -errno;
        socket->remote = (union quic_address){ .any.sa_family = AF_UNSPEC };
        return 0;
}

/* What a kernel lacks of these costs speed, or what a router says, but nothing that is promised. */
static void set_wishes(int fd, bool is_in) {
        (void)set(fd, IPPROTO_UDP, UDP_GRO, 1);
        (void)set(fd, SOL_SOCKET, SO_RCVBUF, KERNEL_BUFFER);
        (void)set(fd, SOL_SOCKET, SO_SNDBUF, KERNEL_BUFFER);
        /* Of a socket of IPv6 as well, which may serve IPv4 too. */
        (void)set(fd, IPPROTO_IP, IP_RECVTOS, 1);
        (void)set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
        if (is_in)
                return;
        (void)set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        (void)set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

static int prepare(struct quic_socket *socket) {
        bool is_in;
        int r = learn_addresses(socket);

        if (r < 0)
                return r;
        is_in = socket->local.any.sa_family == AF_INET;
        socket->way = (struct quic_way){
                .fd = socket->fd,
                .has_segments = true,
                .names_local = is_wildcard(&socket->local),
                .is_connected = socket->remote.any.sa_family != AF_UNSPEC,
        };
        set_wishes(socket->fd, is_in);
        if (!socket->way.names_local)
                return 0;
        return is_in ? set(socket->fd, IPPROTO_IP, IP_PKTINFO, 1) : set(socket->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

int quic_socket_new(struct relay *relay, int fd, const struct quic_socket_ops *ops, void *owner,
                    struct quic_socket **ret) {
        NB_CLEANUP_FREE struct quic_socket *socket = calloc(1, sizeof(*socket));
        int r;

        if (!socket)
                return -ENOMEM;
        socket->relay = relay;
        socket->ops = ops;
        socket->owner = owner;
        socket->fd = fd;
        nb_list_init(&socket->waiters);
        nb_list_init(&socket->in_batchless);
        r = prepare(socket);
        if (r < 0)
                return r;
        r = watch_start(&socket->watch, &relay->watches, fd, EPOLLIN, socket_ready);
        if (r < 0)
                return r;
        relay->n_descriptors++;
        *ret = nb_steal_ptr(socket);
        return 0;
}

/* The last that was written, a close of a connection perhaps, has one chance; its owner is told nothing any more. */
static void drop_batch(struct quic_socket *socket) {
        struct quic *quic = socket->relay->quic;

        if (quic->out_user != socket)
                return;
        quic->out_user = NULL;
        (void)quic_outgoing_send(quic->out, &socket->way);
        quic_outgoing_clear(quic->out);
}

struct quic_socket *quic_socket_free(struct quic_socket *socket) {
        if (!socket)
                return NULL;
        drop_batch(socket);
        while (quic_socket_next_waiter(socket))
                ;
        watch_end(&socket->watch);
        nb_list_remove(&socket->in_batchless);
        if (socket->kept)
                quic_outgoing_clear(socket->kept);
        give_back(socket->relay->quic, nb_steal_ptr(socket->kept));
        socket->fd = nb_fd_close(socket->fd);
        socket->relay->n_descriptors--;
        free(socket);
        return NULL;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(recvmmsg, "packets, many at once (incoming.c)"),
        CONFINE_CALL(sendmmsg, "packets, many at once (outgoing.c)"),
        CONFINE_CALL(getsockname, "where a socket of QUIC is bound"),
        CONFINE_CALL(getpeername, "whom a socket of QUIC is connected to"),
        CONFINE_OPTION(IPPROTO_UDP, UDP_GRO, "packets that the kernel puts together"),
        CONFINE_OPTION(SOL_SOCKET, SO_RCVBUF, "room for packets while others have their turn"),
        CONFINE_OPTION(SOL_SOCKET, SO_SNDBUF, "room for packets of one turn"),
        CONFINE_OPTION(IPPROTO_IP, IP_PKTINFO, "which of our addresses a packet was sent to"),
        CONFINE_OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO, "which of our addresses a packet was sent to"),
        CONFINE_OPTION(IPPROTO_IP, IP_RECVTOS, "congestion that routers mark"),
        CONFINE_OPTION(IPPROTO_IPV6, IPV6_RECVTCLASS, "congestion that routers mark"),
        CONFINE_OPTION(IPPROTO_IP, IP_MTU_DISCOVER, "packets are not cut, so that the path's MTU is found"),
        CONFINE_OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER, "packets are not cut, so that the path's MTU is found"),
};
const struct confine_list quic_calls = CONFINE_LIST(calls);
