/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/poll.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <wasi/api.h>

#include "guest/posix/connect.h"
#include "guest/posix/host.h"
#include "guest/posix/server.h"
#include "guest/posix/table.h"

/* Sets of up to this many entries need no memory but the stack's. */
#define SMALL 8

/* The most entries: each may be two of the host's 65,536 subscriptions, and one is the clock. */
#define ENTRIES_MAX 32767

/* One round: what is waited for, and room for what comes. */
struct round {
        struct pollfd *fds; /* the program's, borrowed */
        size_t n_fds;
        bool *muted; /* by entry: what fired without a meaning is left out */
        __wasi_subscription_t *subscriptions;
        __wasi_event_t *events;
        size_t n_subscriptions;
        size_t capacity;  /* of both, at least two an entry and one */
        bool has_servers; /* of datagrams */
        bool ready;       /* an entry has revents without waiting */
};

static void subscribe(struct round *round, size_t index, __wasi_eventtype_t type) {
        nb_posix_subscribe_fd(&round->subscriptions[round->n_subscriptions++], round->fds[index].fd, type, index);
}

static void subscribe_as_asked(struct round *round, size_t index) {
        short asked = round->fds[index].events;

        if (asked & POLLOUT)
                subscribe(round, index, __WASI_EVENTTYPE_FD_WRITE);
        if ((asked & POLLIN) || (!(asked & POLLOUT) && !round->muted[index]))
                subscribe(round, index, __WASI_EVENTTYPE_FD_READ);
}

/* What a socket is ready for that has no connection. Where one has failed, there is an end to read until connect() has told of it. */
static short unconnected(const struct nb_posix_socket *socket, short asked) {
        short ready = asked & POLLOUT;

        if (socket->type != SOCK_STREAM && !socket->error)
                return ready;
        if (socket->unreported)
                ready |= asked & POLLIN;
        return (short)(POLLHUP | ready | (socket->error ? POLLERR : 0));
}

/* A server can always be written to. Of those that wait for the same there is room for one subscription each, and one for the clock. */
static void plan_server(struct round *round, size_t index, struct nb_posix_server *server) {
        size_t room = round->capacity - round->n_subscriptions - 2 * (round->n_fds - index - 1) - 1;
        struct pollfd *entry = &round->fds[index];

        entry->revents = entry->events & POLLOUT;
        if ((entry->events & POLLIN) && nb_posix_server_is_readable(entry->fd, server))
                entry->revents |= POLLIN;
        else if (entry->events & POLLIN)
                round->n_subscriptions += nb_posix_server_subscribe(server, entry->fd, index, room,
                                                                    round->subscriptions + round->n_subscriptions);
        round->ready |= entry->revents != 0;
}

/* What has come to servers is known when it is looked at. */
static void settle_servers(struct round *round) {
        for (size_t i = 0; i < round->n_fds; ++i) {
                struct pollfd *entry = &round->fds[i];
                struct nb_posix_socket *socket = entry->fd >= 0 ? nb_posix_peek(entry->fd) : NULL;

                if (socket && socket->server && (entry->events & POLLIN) &&
                    nb_posix_server_is_readable(entry->fd, socket->server))
                        entry->revents |= POLLIN;
        }
}

static void plan(struct round *round, size_t index) {
        struct pollfd *entry = &round->fds[index];
        struct nb_posix_socket *socket = nb_posix_peek(entry->fd);

        entry->revents = 0;
        if (entry->fd < 0)
                return;
        if (socket && socket->state != NB_POSIX_CONNECTED)
                socket = nb_posix_find(entry->fd);
        if (!socket || socket->state == NB_POSIX_CONNECTED) {
                subscribe_as_asked(round, index);
        } else if (socket->state == NB_POSIX_CONNECTING) {
                subscribe(round, index, __WASI_EVENTTYPE_FD_WRITE);
        } else if (socket->server) {
                plan_server(round, index, socket->server);
        } else if (socket->state == NB_POSIX_LISTENING) {
                if (entry->events & POLLIN)
                        subscribe(round, index, __WASI_EVENTTYPE_FD_READ);
        } else {
                entry->revents = unconnected(socket, entry->events);
                round->ready |= entry->revents != 0;
        }
}

/* Whether that direction of a stream is at its end. */
static bool has_hung_up(int fd, __wasi_eventtype_t type) {
        bool hung_up = false;

        return nb_posix_wait(fd, type, 0, &hung_up) == 0 && hung_up;
}

/* As of a pipe that nobody reads from, it is an error that one direction alone can not be written to. */
static short revents_of_hang_up(int fd, bool readable) {
        if (has_hung_up(fd, readable ? __WASI_EVENTTYPE_FD_WRITE : __WASI_EVENTTYPE_FD_READ))
                return POLLHUP;
        return readable ? 0 : POLLERR;
}

/* The result of a connection under way, if it is there. Success alone is no event, unless the program waits for it. */
static void settle_connection(struct pollfd *entry, struct nb_posix_socket *socket) {
        if (socket->state == NB_POSIX_CONNECTING)
                (void)nb_posix_connect_take(entry->fd, socket);
        if (socket->state == NB_POSIX_NEW)
                entry->revents = unconnected(socket, entry->events);
        else if (socket->state == NB_POSIX_CONNECTED)
                entry->revents |= entry->events & POLLOUT;
}

static short revents_of_error(__wasi_errno_t error) {
        return error == EBADF || error == ENOTSUP ? POLLNVAL : POLLERR;
}

static void settle(struct round *round, const __wasi_event_t *event) {
        size_t index = (uint32_t)event->userdata;
        struct pollfd *entry = &round->fds[index];
        struct nb_posix_socket *socket = nb_posix_peek(entry->fd);
        bool hung_up = event->fd_readwrite.flags & __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP;
        bool readable = event->type == __WASI_EVENTTYPE_FD_READ;

        if (socket && socket->server) {
                nb_posix_server_note(socket->server, event);
                return;
        }
        if (event->error) {
                entry->revents |= revents_of_error(event->error);
                return;
        }
        if (socket && (socket->state == NB_POSIX_CONNECTING || socket->state == NB_POSIX_NEW)) {
                settle_connection(entry, socket);
                return;
        }
        if (hung_up)
                entry->revents |= revents_of_hang_up(entry->fd, readable);
        entry->revents |= entry->events & (readable ? POLLIN : POLLOUT);
        if (readable && !entry->revents)
                round->muted[index] = true;
}

/* Waits once, for at most `timeout_ns`. */
static int wait_once(struct round *round, int64_t timeout_ns) {
        __wasi_size_t n = 0;
        __wasi_errno_t error;

        if (round->ready)
                timeout_ns = 0;
        /* Without anything to wait for, WASI wants a clock, though one that never rings. */
        if (timeout_ns != NB_POSIX_FOREVER || round->n_subscriptions == 0)
                nb_posix_subscribe_clock(&round->subscriptions[round->n_subscriptions++], timeout_ns, 0);
        error = __wasi_poll_oneoff(round->subscriptions, round->events, round->n_subscriptions, &n);
        if (error)
                return error;
        for (__wasi_size_t i = 0; i < n; ++i) {
                if (round->events[i].type != __WASI_EVENTTYPE_CLOCK)
                        settle(round, &round->events[i]);
        }
        if (round->has_servers)
                settle_servers(round);
        return 0;
}

static int count_ready(const struct round *round) {
        int n = 0;

        for (size_t i = 0; i < round->n_fds; ++i)
                n += round->fds[i].revents != 0;
        return n;
}

static int poll_in(struct round *round, int64_t timeout_ns) {
        int64_t deadline = nb_posix_deadline(timeout_ns);
        int64_t left = timeout_ns;
        int error;
        int n;

        for (;;) {
                round->n_subscriptions = 0;
                round->ready = false;
                for (size_t i = 0; i < round->n_fds; ++i)
                        plan(round, i);
                error = wait_once(round, left);
                if (error)
                        return nb_posix_fail(error);
                n = count_ready(round);
                if (n > 0 || left == 0)
                        return n;
                left = nb_posix_time_left(deadline);
        }
}

static int poll_small(struct pollfd *fds, size_t n_fds, int64_t timeout_ns) {
        __wasi_subscription_t subscriptions[2 * SMALL + 1];
        __wasi_event_t events[2 * SMALL + 1];
        bool muted[SMALL] = { false };
        struct round round = {
                .fds = fds,
                .n_fds = n_fds,
                .muted = muted,
                .subscriptions = subscriptions,
                .events = events,
                .capacity = 2 * SMALL + 1,
        };

        return poll_in(&round, timeout_ns);
}

/* @param n_peers  subscriptions of servers, beyond two for each entry */
static int poll_large(struct pollfd *fds, size_t n_fds, size_t n_peers, int64_t timeout_ns) {
        struct round round = {
                .fds = fds,
                .n_fds = n_fds,
                .capacity = 2 * n_fds + 1 + n_peers,
                .has_servers = n_peers > 0,
        };
        int r;

        round.muted = calloc(n_fds, sizeof(*round.muted));
        round.subscriptions = malloc(round.capacity * sizeof(*round.subscriptions));
        round.events = malloc(round.capacity * sizeof(*round.events));
        if (round.muted && round.subscriptions && round.events)
                r = poll_in(&round, timeout_ns);
        else
                r = nb_posix_fail(ENOMEM);
        free(round.muted);
        free(round.subscriptions);
        free(round.events);
        return r;
}

/* Bound datagram sockets become servers by being polled. @return how many subscriptions all servers take */
static size_t count_peers(const struct pollfd *fds, size_t n_fds) {
        size_t n = 0;

        for (size_t i = 0; i < n_fds; ++i) {
                struct nb_posix_socket *socket = fds[i].fd >= 0 ? nb_posix_peek(fds[i].fd) : NULL;

                if (!socket || socket->type != SOCK_DGRAM || !(fds[i].events & POLLIN))
                        continue;
                socket = nb_posix_find(fds[i].fd);
                if (socket && nb_posix_serve(fds[i].fd, socket) == 0)
                        n += nb_posix_server_size(socket->server);
        }
        return n;
}

int nb_posix_poll(struct pollfd *fds, size_t n_fds, int64_t timeout_ns) {
        size_t n_peers;

        if (n_fds > ENTRIES_MAX)
                return nb_posix_fail(EINVAL);
        n_peers = count_peers(fds, n_fds);
        return n_fds <= SMALL && n_peers == 0 ? poll_small(fds, n_fds, timeout_ns)
                                              : poll_large(fds, n_fds, n_peers, timeout_ns);
}

int poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms) {
        return nb_posix_poll(fds, n_fds, timeout_ms < 0 ? NB_POSIX_FOREVER : timeout_ms * NB_POSIX_NS_PER_MS);
}

/* There are no signals that the mask could hold back. */
int ppoll(struct pollfd *fds, nfds_t n_fds, const struct timespec *timeout, const sigset_t *mask) {
        int64_t ns;

        (void)mask;
        if (!timeout)
                return nb_posix_poll(fds, n_fds, NB_POSIX_FOREVER);
        if (nb_posix_timeout(timeout->tv_sec, timeout->tv_nsec, &ns))
                return nb_posix_fail(EINVAL);
        return nb_posix_poll(fds, n_fds, ns);
}
