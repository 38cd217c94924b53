/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <wasi/networking.h>

#include "guest/posix/host.h"
#include "guest/posix/peer.h"

#define CAPACITY_MIN 16

/* Peers that may wait for the host; those of datagrams do not wait there. */
#define BACKLOG 16

struct peer {
        int fd;
        bool ready; /* there may be something to read */
        struct sockaddr_storage address;
        socklen_t length;
};

struct nb_posix_server {
        struct peer *peers;
        size_t n;
        size_t capacity;
        size_t n_ready;
        size_t next; /* who is looked at first */
        size_t last; /* whose datagram was received last; SIZE_MAX: nobody's, or of one that is gone */
        bool knocks; /* somebody new may be there */
};

int nb_posix_serve(int fd, struct nb_posix_socket *socket) {
        struct nb_posix_server *server;
        int error;

        if (socket->server)
                return 0;
        if (socket->type != SOCK_DGRAM || socket->state != NB_POSIX_NEW || !socket->bound || socket->error)
                return ENOTCONN;
        server = calloc(1, sizeof(*server));
        if (!server)
                return ENOMEM;
        error = __wasi_networking_listen(fd, BACKLOG);
        if (error) {
                free(server);
                return error;
        }
        server->last = SIZE_MAX;
        socket->server = server;
        nb_posix_set_state(socket, NB_POSIX_LISTENING);
        return 0;
}

void nb_posix_server_free(struct nb_posix_server *server) {
        if (!server)
                return;
        for (size_t i = 0; i < server->n; ++i)
                (void)__wasi_fd_close(server->peers[i].fd);
        free(server->peers);
        free(server);
}

/* ---- peers ---- */

static bool reserve(struct nb_posix_server *server) {
        size_t capacity = server->capacity ? 2 * server->capacity : CAPACITY_MIN;
        struct peer *peers;

        if (server->n < server->capacity)
                return true;
        peers = realloc(server->peers, capacity * sizeof(*peers));
        if (!peers)
                return false;
        server->peers = peers;
        server->capacity = capacity;
        return true;
}

static void set_ready(struct nb_posix_server *server, struct peer *peer, bool ready) {
        if (peer->ready == ready)
                return;
        peer->ready = ready;
        if (ready)
                server->n_ready++;
        else
                server->n_ready--;
}

/* The host has given it up; it is a new one when it sends again. The last one takes its place. */
static void drop(struct nb_posix_server *server, size_t i) {
        set_ready(server, &server->peers[i], false);
        (void)__wasi_fd_close(server->peers[i].fd);
        server->n--;
        if (server->last == i)
                server->last = SIZE_MAX;
        else if (server->last == server->n)
                server->last = i;
        server->peers[i] = server->peers[server->n];
}

/* Its stream begins with what it has sent. */
static void add(struct nb_posix_server *server, int fd) {
        struct peer *peer = &server->peers[server->n++];

        *peer = (struct peer){ .fd = fd, .length = sizeof(peer->address) };
        nb_posix_peer_store(fd, (struct sockaddr *)&peer->address, &peer->length);
        set_ready(server, peer, true);
}

/* Takes all that are there. One that there is no memory or number for is left to the host. */
static void take_new(int fd, struct nb_posix_server *server) {
        struct nb_posix_description control;
        __wasi_fd_t accepted;

        server->knocks = false;
        if (nb_posix_describe(fd, &control) || (!control.nonblock && nb_posix_set_nonblock(fd, true)))
                return;
        while (reserve(server) && __wasi_sock_accept(fd, __WASI_FDFLAGS_NONBLOCK, &accepted) == 0) {
                nb_posix_forget((int)accepted);
                add(server, (int)accepted);
        }
        if (!control.nonblock)
                (void)nb_posix_set_nonblock(fd, false);
}

static bool is_same(const struct peer *peer, const struct sockaddr *address, socklen_t length) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&peer->address;
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer->address;
        const struct sockaddr_in *other_in = (const struct sockaddr_in *)address;
        const struct sockaddr_in6 *other_in6 = (const struct sockaddr_in6 *)address;

        if (peer->length == 0 || length < sizeof(address->sa_family) || peer->address.ss_family != address->sa_family)
                return false;
        if (address->sa_family == AF_INET)
                return length >= sizeof(*in) && in->sin_port == other_in->sin_port &&
                       in->sin_addr.s_addr == other_in->sin_addr.s_addr;
        if (address->sa_family == AF_INET6)
                return length >= sizeof(*in6) && in6->sin6_port == other_in6->sin6_port &&
                       memcmp(&in6->sin6_addr, &other_in6->sin6_addr, sizeof(in6->sin6_addr)) == 0;
        return length == peer->length && memcmp(&peer->address, address, length) == 0;
}

int nb_posix_server_find(const struct nb_posix_server *server, const struct sockaddr *address, socklen_t length) {
        /* Most answers are to who was heard last; and one that has asked two of our addresses is two peers. */
        if (server->last < server->n && is_same(&server->peers[server->last], address, length))
                return server->peers[server->last].fd;
        for (size_t i = 0; i < server->n; ++i) {
                if (is_same(&server->peers[i], address, length))
                        return server->peers[i].fd;
        }
        return -1;
}

socklen_t nb_posix_server_source(const struct nb_posix_server *server, struct sockaddr_storage *ret) {
        if (server->last >= server->n)
                return 0;
        *ret = server->peers[server->last].address;
        return server->peers[server->last].length;
}

/* ---- receiving ---- */

static int receive_from(struct nb_posix_server *server, size_t i, const struct iovec *parts, size_t n_parts, int flags,
                        size_t *ret_size, bool *ret_truncated) {
        __wasi_roflags_t roflags = 0;
        int error = __wasi_sock_recv(server->peers[i].fd, (const __wasi_iovec_t *)parts, n_parts,
                                     flags & MSG_PEEK ? __WASI_RIFLAGS_RECV_PEEK : 0, ret_size, &roflags);

        if (error)
                return error;
        *ret_truncated = roflags & __WASI_ROFLAGS_RECV_DATA_TRUNCATED;
        server->next = flags & MSG_PEEK ? i : i + 1;
        return 0;
}

/* The next of those that may have something, beginning where the last call ended. @return SIZE_MAX: nobody */
static size_t find_ready(const struct nb_posix_server *server) {
        for (size_t i = 0; server->n_ready > 0 && i < server->n; ++i) {
                size_t at = (server->next + i) % server->n;

                if (server->peers[at].ready)
                        return at;
        }
        return SIZE_MAX;
}

/* Receives what is there by now. @param ret_at  of whom @return EAGAIN: nothing */
static int receive_at_once(int fd, struct nb_posix_server *server, const struct iovec *parts, size_t n_parts, int flags,
                           size_t *ret_at, size_t *ret_size, bool *ret_truncated) {
        size_t at;

        if (server->knocks)
                take_new(fd, server);
        while ((at = find_ready(server)) != SIZE_MAX) {
                int error = receive_from(server, at, parts, n_parts, flags, ret_size, ret_truncated);

                *ret_at = at;
                if (error == 0 || error == EFAULT || error == EINVAL)
                        return error;
                if (error == EAGAIN)
                        set_ready(server, &server->peers[at], false);
                else
                        drop(server, at);
        }
        return EAGAIN;
}

/* Waits until somebody may have something. @return EAGAIN when the time is over */
static int wait_for_some(int fd, struct nb_posix_server *server, int64_t timeout_ns) {
        size_t n = nb_posix_server_size(server);
        __wasi_subscription_t *subscriptions = malloc((n + 1) * sizeof(*subscriptions));
        __wasi_event_t *events = malloc((n + 1) * sizeof(*events));
        __wasi_size_t n_events = 0;
        int error = ENOMEM;

        if (subscriptions && events) {
                (void)nb_posix_server_subscribe(server, fd, 0, n, subscriptions);
                if (timeout_ns != NB_POSIX_FOREVER)
                        nb_posix_subscribe_clock(&subscriptions[n++], timeout_ns, 0);
                error = __wasi_poll_oneoff(subscriptions, events, n, &n_events);
        }
        for (size_t i = 0; !error && i < n_events; ++i) {
                if (events[i].type == __WASI_EVENTTYPE_FD_READ)
                        nb_posix_server_note(server, &events[i]);
        }
        free(subscriptions);
        free(events);
        if (error)
                return error;
        return server->knocks || server->n_ready > 0 ? 0 : EAGAIN;
}

int nb_posix_server_receive(int fd, struct nb_posix_server *server, const struct iovec *parts, size_t n_parts,
                            int flags, int64_t timeout_ns, size_t *ret_size, bool *ret_truncated) {
        int64_t deadline = nb_posix_deadline(timeout_ns);

        for (;;) {
                size_t at;
                int error = receive_at_once(fd, server, parts, n_parts, flags, &at, ret_size, ret_truncated);

                if (error == 0)
                        server->last = at;
                if (error != EAGAIN)
                        return error;
                error = wait_for_some(fd, server, nb_posix_time_left(deadline));
                if (error)
                        return error;
        }
}

/* ---- waiting ---- */

size_t nb_posix_server_size(const struct nb_posix_server *server) {
        return 1 + server->n;
}

size_t nb_posix_server_subscribe(const struct nb_posix_server *server, int fd, uint64_t userdata, size_t room,
                                 __wasi_subscription_t *ret) {
        size_t n = nb_posix_server_size(server) < room ? nb_posix_server_size(server) : room;

        nb_posix_subscribe_fd(&ret[0], fd, __WASI_EVENTTYPE_FD_READ, userdata);
        for (size_t i = 1; i < n; ++i)
                nb_posix_subscribe_fd(&ret[i], server->peers[i - 1].fd, __WASI_EVENTTYPE_FD_READ,
                                      userdata | (uint64_t)i << 32);
        return n;
}

void nb_posix_server_note(struct nb_posix_server *server, const __wasi_event_t *event) {
        size_t i = (size_t)(event->userdata >> 32);

        if (i == 0)
                server->knocks = true;
        else if (i <= server->n)
                set_ready(server, &server->peers[i - 1], true);
}

bool nb_posix_server_is_readable(int fd, struct nb_posix_server *server) {
        size_t at, size;
        bool truncated;
        char byte;
        const struct iovec part = { .iov_base = &byte, .iov_len = sizeof(byte) };

        return receive_at_once(fd, server, &part, 1, MSG_PEEK, &at, &size, &truncated) == 0;
}
