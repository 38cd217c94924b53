/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "tests/faults/world.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define RIGHTS (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM)

/* ---- waiting, with an end ---- */

/* How long a limit stays when nothing comes. */
static int patience(const struct lowered *lowered) {
        return lowered && lowered->pid != 0 ? 250 : HARNESS_DEADLINE_MS;
}

/* A wait that takes too long is a hang, which is what no failure may lead to. The peer's end is one of -ECONNABORTED. */
static int wait_for(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        const struct waiter *waiter = data;
        struct pollfd all[8];
        int n;

        if (n_fds >= N(all))
                return -EINVAL;
        if (n_fds > 0)
                memcpy(all, fds, n_fds * sizeof(*fds));
        all[n_fds] = (struct pollfd){ .fd = waiter->peer, .events = POLLIN };
        n = poll(all, n_fds + 1, timeout_ns >= 0 ? (int)(timeout_ns / 1000000) : patience(waiter->world->lowered));
        if (n == 0 && timeout_ns < 0 && patience(waiter->world->lowered) != HARNESS_DEADLINE_MS) {
                lift(waiter->world->lowered);
                n = poll(all, n_fds + 1, HARNESS_DEADLINE_MS);
        }
        if (n < 0)
                return -errno;
        if (n == 0 && timeout_ns < 0)
                world_hangs(waiter->world, "a request is not answered");
        for (nfds_t i = 0; i < n_fds; ++i)
                fds[i].revents = all[i].revents;
        if (all[n_fds].revents == 0)
                return n;
        return n > 1 ? n - 1 : -ECONNABORTED;
}

void wait_readable(const struct world *world, int fd) {
        if (harness_poll(fd, POLLIN, patience(world->lowered)) != 0)
                return;
        lift(world->lowered);
        if (harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) == 0)
                world_hangs(world, "nothing comes, and no end");
}

int expect_word(const struct world *world, int from, int to) {
        struct pollfd fds[] = { { .fd = to, .events = POLLIN }, { .fd = from != to ? from : -1, .events = POLLIN } };
        char text[4];
        ssize_t n;

        if (poll(fds, N(fds), HARNESS_DEADLINE_MS) == 0)
                world_hangs(world, "nothing comes, and no end");
        n = fds[0].revents != 0 ? recv(to, text, sizeof(text), 0) : 0;
        return n == 4 && memcmp(text, "word", 4) == 0 ? 0 : -ECONNRESET;
}

static int say_word(const struct world *world, int from, int to) {
        if (send(from, "word", 4, MSG_NOSIGNAL) != 4)
                return -ECONNRESET;
        return expect_word(world, from, to);
}

int exchange(const struct world *world, int one, int other) {
        int r = say_word(world, one, other);

        return r < 0 ? r : say_word(world, other, one);
}

/* ---- what is done ---- */

void free_session(struct nb_session **session) {
        *session = nb_session_free(*session);
}

void free_control(struct nb_control **control) {
        *control = nb_control_free(*control);
}

void free_connection(struct nb_connection **connection) {
        *connection = nb_connection_free(*connection);
}

void free_dialled(struct dialled *dialled) {
        dialled->stream.fd = nb_fd_close(dialled->stream.fd);
        free_connection(&dialled->connection);
        free_control(&dialled->control);
}

int open_session(const struct world *world, struct waiter *waiter, const char *token, struct nb_session **ret) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        waiter->world = world;
        options.socket_path = world->daemon.socket_path;
        options.wait = wait_for;
        options.wait_data = waiter;
        options.outage_ms = -1;
        options.token = token;
        return nb_session_open(&options, ret);
}

int open_control(struct nb_protocol *protocol, const char *address, enum nb_socket_type type, struct nb_control **ret) {
        return nb_open(protocol, address, strlen(address), type, NB_RIGHTS_CONTROL, RIGHTS, 0, ret);
}

void forget_strangers(const struct world *world) {
        while (harness_poll(world->peer.fd, POLLIN, 0) != 0)
                (void)close(peer_accept(&world->peer));
}

int take_stream(struct nb_connection *connection, struct nb_stream *ret) {
        return nb_stream_create(connection, 0, ret);
}

int dial(struct nb_protocol *protocol, const char *from, enum nb_socket_type type, const char *address,
         struct dialled *ret) {
        int r = open_control(protocol, from, type, &ret->control);

        if (r == 0)
                r = nb_connect(ret->control, address, strlen(address), &ret->connection);
        return r < 0 ? r : take_stream(ret->connection, &ret->stream);
}

int connect_stream(const struct world *world, struct nb_protocol *protocol, const char *address) {
        NB_CLEANUP_FD int other = -1;
        CLEANUP(dialled) struct dialled dialled = DIALLED_INIT;
        int r;

        forget_strangers(world);
        r = dial(protocol, "0.0.0.0:0", NB_SOCKET_STREAM, address, &dialled);
        if (r < 0)
                return r;
        other = peer_accept(&world->peer);
        return exchange(world, dialled.stream.fd, other);
}

int accept_one(struct nb_control *control, struct waiter *waiter, int peer) {
        CLEANUP(connection) struct nb_connection *connection = NULL;
        struct nb_stream stream;
        int r;

        waiter->peer = peer;
        r = nb_accept(control, &connection);
        waiter->peer = -1;
        if (r < 0)
                return r;
        r = take_stream(connection, &stream);
        if (r < 0)
                return r;
        r = exchange(waiter->world, stream.fd, peer);
        (void)close(stream.fd);
        return r;
}
