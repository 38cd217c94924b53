/* SPDX-License-Identifier: Apache-2.0 */
#include "base/probe_scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"

#define BACKLOG 32

/* How often another port is looked for, where somebody else was faster. */
#define BIND_TRIES 16

/*
 * How long is listened for an answer to a knock, in milliseconds. Loopback delivers before connect(2) returns, or, on a machine that is busy, in the order
 * in which it was sent: so the knock at our own door, which is the last, tells most of it.
 */
#define KNOCK_MS 30

union address {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
};

/* What is handed to the probe, by its place in the families' order. */
struct kind {
        enum nb_probe_socket socket;
        int type;
        bool bound;
        bool accepted; /* the other end is the one that is handed out */
};

static const struct kind kinds[NB_PROBE_FAMILIES][5] = {
        [NB_PROBE_IPV4] = {
                { NB_PROBE_TCP4, SOCK_STREAM, false, false },
                { NB_PROBE_TCP4_ACCEPTED, SOCK_STREAM, false, true },
                { NB_PROBE_TCP4_BOUND, SOCK_STREAM, true, false },
                { NB_PROBE_UDP4, SOCK_DGRAM, false, false },
                { NB_PROBE_UDP4_BOUND, SOCK_DGRAM, true, false },
        },
        [NB_PROBE_IPV6] = {
                { NB_PROBE_TCP6, SOCK_STREAM, false, false },
                { NB_PROBE_TCP6_ACCEPTED, SOCK_STREAM, false, true },
                { NB_PROBE_TCP6_BOUND, SOCK_STREAM, true, false },
                { NB_PROBE_UDP6, SOCK_DGRAM, false, false },
                { NB_PROBE_UDP6_BOUND, SOCK_DGRAM, true, false },
        },
};

#define KINDS_PER_FAMILY (sizeof(kinds[0]) / sizeof(kinds[0][0]))

/* ---- waiting --------------------------------------------------------------------------------------------------- */

int64_t nb_probe_now(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* As poll(2) takes it. */
static int left_until(int64_t deadline) {
        int64_t left = deadline - nb_probe_now();

        if (left <= 0)
                return 0;
        return left > INT_MAX ? INT_MAX : (int)left;
}

int nb_probe_wait(int fd, short events, int64_t deadline) {
        for (;;) {
                struct pollfd one = { .fd = fd, .events = events };
                int n = poll(&one, 1, left_until(deadline));

                if (n > 0)
                        return 0;
                if (n == 0)
                        return -ETIMEDOUT;
                if (errno != EINTR)
                        return -errno;
        }
}

/* ---- making ---------------------------------------------------------------------------------------------------- */

static socklen_t loopback(enum nb_probe_family family, uint16_t port, union address *ret) {
        memset(ret, 0, sizeof(*ret));
        if (family == NB_PROBE_IPV4) {
                ret->v4.sin_family = AF_INET;
                ret->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                ret->v4.sin_port = htons(port);
                return sizeof(ret->v4);
        }
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
        ret->v6.sin6_port = htons(port);
        return sizeof(ret->v6);
}

static int make_socket(enum nb_probe_family family, int type) {
        int fd = socket(family == NB_PROBE_IPV4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd < 0 ? -errno : fd;
}

static int bind_loopback(int fd, enum nb_probe_family family, uint16_t port) {
        union address address;
        socklen_t length = loopback(family, port, &address);

        return bind(fd, &address.sa, length) < 0 ? -errno : 0;
}

static int connect_loopback(int fd, enum nb_probe_family family, uint16_t port) {
        union address address;
        socklen_t length = loopback(family, port, &address);

        return connect(fd, &address.sa, length) < 0 && errno != EINPROGRESS ? -errno : 0;
}

static int own_port(int fd, uint16_t *ret) {
        union address address;
        socklen_t length = sizeof(address);

        if (getsockname(fd, &address.sa, &length) < 0)
                return -errno;
        *ret = ntohs(address.sa.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
        return 0;
}

/* A port that nobody has, for now. */
static int find_port(enum nb_probe_family family, int type, uint16_t *ret) {
        NB_CLEANUP_FD int fd = make_socket(family, type);
        int r = fd < 0 ? fd : bind_loopback(fd, family, 0);

        return r < 0 ? r : own_port(fd, ret);
}

/* To a port by its number: one that the kernel has chosen is given back by a disconnect. */
static int bind_port(int fd, enum nb_probe_family family, int type) {
        int r = -EADDRINUSE;

        for (unsigned i = 0; i < BIND_TRIES && r == -EADDRINUSE; ++i) {
                uint16_t port;

                r = find_port(family, type, &port);
                if (r == 0)
                        r = bind_loopback(fd, family, port);
        }
        return r;
}

/* Connects and takes the other end. */
static int make_stream(struct nb_probe_scene *scene, enum nb_probe_family family, bool bound, int64_t deadline,
                       int *ret_client, int *ret_accepted) {
        NB_CLEANUP_FD int client = make_socket(family, SOCK_STREAM);
        int accepted, r = client < 0 ? client : 0;

        if (r == 0 && bound)
                r = bind_port(client, family, SOCK_STREAM);
        if (r == 0)
                r = connect_loopback(client, family, scene->tcp_ports[family]);
        if (r == 0)
                r = nb_probe_wait(scene->listeners[family], POLLIN, deadline);
        if (r < 0)
                return r;
        accepted = accept4(scene->listeners[family], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (accepted < 0)
                return -errno;
        *ret_accepted = accepted;
        *ret_client = nb_steal_fd(&client);
        return 0;
}

static int make_datagram(const struct nb_probe_scene *scene, enum nb_probe_family family, bool bound, int *ret) {
        NB_CLEANUP_FD int fd = make_socket(family, SOCK_DGRAM);
        int r = fd < 0 ? fd : 0;

        if (r == 0 && bound)
                r = bind_port(fd, family, SOCK_DGRAM);
        if (r == 0)
                r = connect_loopback(fd, family, scene->udp_ports[family]);
        if (r < 0)
                return r;
        *ret = nb_steal_fd(&fd);
        return 0;
}

static int make_kind(struct nb_probe_scene *scene, enum nb_probe_family family, const struct kind *kind,
                     int64_t deadline) {
        int *one = &scene->sockets[kind->socket], *other = &scene->peers[kind->socket];

        if (kind->type == SOCK_DGRAM)
                return make_datagram(scene, family, kind->bound, one);
        return make_stream(scene, family, kind->bound, deadline, kind->accepted ? other : one,
                           kind->accepted ? one : other);
}

/* What the sockets are connected with, and what a socket that escaped could reach. */
static int make_doors(struct nb_probe_scene *scene, enum nb_probe_family family) {
        NB_CLEANUP_FD int listener = make_socket(family, SOCK_STREAM);
        NB_CLEANUP_FD int receiver = make_socket(family, SOCK_DGRAM);
        int r = listener < 0 ? listener : receiver < 0 ? receiver : 0;

        if (r == 0)
                r = bind_loopback(listener, family, 0);
        if (r == 0)
                r = bind_loopback(receiver, family, 0);
        if (r == 0 && listen(listener, BACKLOG) < 0)
                r = -errno;
        if (r == 0)
                r = own_port(listener, &scene->tcp_ports[family]);
        if (r == 0)
                r = own_port(receiver, &scene->udp_ports[family]);
        if (r < 0)
                return r;
        scene->listeners[family] = nb_steal_fd(&listener);
        scene->receivers[family] = nb_steal_fd(&receiver);
        return 0;
}

static int make_family(struct nb_probe_scene *scene, enum nb_probe_family family, int64_t deadline) {
        int r = make_doors(scene, family);

        if (family == NB_PROBE_IPV6 && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL))
                return 0;
        for (size_t i = 0; i < KINDS_PER_FAMILY && r == 0; ++i)
                r = make_kind(scene, family, &kinds[family][i], deadline);
        return r;
}

int nb_probe_scene_init(struct nb_probe_scene *ret, int64_t deadline) {
        int r;

        memset(ret, 0, sizeof(*ret));
        for (size_t i = 0; i < NB_PROBE_SOCKETS; ++i)
                ret->sockets[i] = ret->peers[i] = -1;
        for (size_t i = 0; i < NB_PROBE_FAMILIES; ++i)
                ret->listeners[i] = ret->receivers[i] = -1;
        r = make_family(ret, NB_PROBE_IPV4, deadline);
        return r < 0 ? r : make_family(ret, NB_PROBE_IPV6, deadline);
}

static void close_all(int *fds, size_t n) {
        for (size_t i = 0; i < n; ++i)
                fds[i] = nb_fd_close(fds[i]);
}

void nb_probe_scene_give_up(struct nb_probe_scene *scene) {
        close_all(scene->sockets, NB_PROBE_SOCKETS);
}

void nb_probe_scene_deinit(struct nb_probe_scene *scene) {
        close_all(scene->sockets, NB_PROBE_SOCKETS);
        close_all(scene->peers, NB_PROBE_SOCKETS);
        close_all(scene->listeners, NB_PROBE_FAMILIES);
        close_all(scene->receivers, NB_PROBE_FAMILIES);
}

/* ---- knocking -------------------------------------------------------------------------------------------------- */

/* The last is at our own listener. */
#define KNOCKS_MAX (NB_PROBE_SOCKETS + 1)
#define OWN_KNOCK NB_PROBE_SOCKETS

struct knocks {
        struct pollfd fds[KNOCKS_MAX]; /* owned; -1: none, or answered */
        uint32_t answered;             /* 1 << OWN_KNOCK for our own */
};

static void knock_tcp(struct knocks *knocks, size_t place, enum nb_probe_family family, uint16_t port) {
        NB_CLEANUP_FD int fd = make_socket(family, SOCK_STREAM);

        /* Refused at once, too, is nobody there. */
        if (fd < 0 || connect_loopback(fd, family, port) < 0)
                return;
        knocks->fds[place].events = POLLOUT;
        knocks->fds[place].fd = nb_steal_fd(&fd);
}

static void knock_udp(const struct nb_probe_scene *scene, enum nb_probe_family family, uint16_t port) {
        union address address;
        socklen_t length = loopback(family, port, &address);

        (void)sendto(scene->receivers[family], "?", 1, MSG_DONTWAIT | MSG_NOSIGNAL, &address.sa, length);
}

static void knock_at_all(const struct nb_probe_scene *scene, const uint16_t *ports, struct knocks *knocks) {
        for (size_t family = 0; family < NB_PROBE_FAMILIES; ++family) {
                for (size_t i = 0; i < KINDS_PER_FAMILY && scene->listeners[family] >= 0; ++i) {
                        const struct kind *kind = &kinds[family][i];

                        if (ports[kind->socket] == 0)
                                continue;
                        if (kind->type == SOCK_STREAM)
                                knock_tcp(knocks, kind->socket, (enum nb_probe_family)family, ports[kind->socket]);
                        else
                                knock_udp(scene, (enum nb_probe_family)family, ports[kind->socket]);
                }
        }
        knock_tcp(knocks, OWN_KNOCK, NB_PROBE_IPV4, scene->tcp_ports[NB_PROBE_IPV4]);
}

/* Whoever answers is noted; a refusal is no answer. */
static void note_answers(struct knocks *knocks) {
        for (size_t i = 0; i < KNOCKS_MAX; ++i) {
                socklen_t length = sizeof(int);
                int error = 0;

                if (knocks->fds[i].fd < 0 || !knocks->fds[i].revents)
                        continue;
                if (getsockopt(knocks->fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0)
                        knocks->answered |= 1U << i;
                knocks->fds[i].fd = nb_fd_close(knocks->fds[i].fd);
        }
}

static int await_answers(struct knocks *knocks, int64_t deadline) {
        int64_t end = nb_probe_now() + KNOCK_MS;

        for (;;) {
                bool is_own_answered = knocks->answered & 1U << OWN_KNOCK;
                int n = poll(knocks->fds, KNOCKS_MAX, left_until(is_own_answered ? end : deadline));

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        note_answers(knocks);
                if (n == 0)
                        return is_own_answered ? 0 : -ETIMEDOUT;
                if (knocks->fds[OWN_KNOCK].fd < 0 && !(knocks->answered & 1U << OWN_KNOCK))
                        return -EIO;
        }
}

int nb_probe_scene_knock(const struct nb_probe_scene *scene, const uint16_t ports[static NB_PROBE_SOCKETS],
                         int64_t deadline, uint32_t *ret_answered) {
        struct knocks knocks = { .answered = 0 };
        int r;

        for (size_t i = 0; i < KNOCKS_MAX; ++i)
                knocks.fds[i].fd = -1;
        knock_at_all(scene, ports, &knocks);
        r = await_answers(&knocks, deadline);
        for (size_t i = 0; i < KNOCKS_MAX; ++i)
                (void)nb_fd_close(knocks.fds[i].fd);
        if (r < 0)
                return r;
        *ret_answered = knocks.answered & ((1U << NB_PROBE_SOCKETS) - 1);
        return 0;
}
