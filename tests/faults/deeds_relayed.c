/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deeds of which relays do more than to carry bytes: TLS, QUIC, a proxy. Both ends of TLS and QUIC are guests of the same tenant.
 */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/faults/world.h"

/* No address of anybody's: the proxy plays it. */
#define BEHIND_PROXY "192.0.2.7:7"

/* A listener on loopback, and who connects to it. */
struct pair {
        struct nb_session *session;
        struct waiter waiter; /* of the session */
        struct nb_control *listener, *client;
        struct nb_connection *connection; /* the client's */
        struct nb_stream stream;          /* the same */
};

static void free_pair(struct pair *pair) {
        (void)nb_fd_close(pair->stream.fd);
        (void)nb_connection_free(pair->connection);
        (void)nb_control_free(pair->client);
        (void)nb_control_free(pair->listener);
        (void)nb_session_free(pair->session);
}

/* Up to the client's stream. */
static int connect_pair(const struct world *world, struct pair *pair, const char *server, const char *client) {
        const char *address;
        int r = open_session(world, &pair->waiter, NULL, &pair->session);

        if (r < 0)
                return r;
        r = open_control(nb_session_find_protocol(pair->session, server), "127.0.0.1:0", NB_SOCKET_STREAM,
                         &pair->listener);
        if (r < 0)
                return r;
        r = nb_listen(pair->listener, 8);
        if (r < 0)
                return r;
        r = open_control(nb_session_find_protocol(pair->session, client), "0.0.0.0:0", NB_SOCKET_STREAM, &pair->client);
        if (r < 0)
                return r;
        address = nb_control_address(pair->listener);
        r = nb_connect(pair->client, address, strlen(address), &pair->connection);
        return r < 0 ? r : nb_stream_create(pair->connection, 0, &pair->stream);
}

#define PAIR_INIT                                                                                                      \
        {                                                                                                              \
                .waiter = { -1, NULL }, .stream = {.fd = -1 }                                                          \
        }

int do_tls(const struct world *world) {
        CLEANUP(pair) struct pair pair = PAIR_INIT;
        int r = connect_pair(world, &pair, "served", "tls");

        return r < 0 ? r : accept_one(pair.listener, &pair.waiter, pair.stream.fd);
}

/* A stream of the peer's, which has said a word, and another one of ours beside it. */
static int exchange_streams(struct pair *pair, struct nb_connection *served) {
        NB_CLEANUP_FD int second = -1, first = -1;
        struct nb_stream stream;
        int r = nb_stream_accept(served, 0, &stream);

        if (r < 0)
                return r;
        first = stream.fd;
        r = expect_word(pair->waiter.world, pair->stream.fd, first);
        if (r < 0)
                return r;
        r = exchange(pair->waiter.world, pair->stream.fd, first);
        if (r < 0)
                return r;
        r = nb_stream_create(served, 0, &stream);
        if (r < 0)
                return r;
        second = stream.fd;
        if (send(second, "word", 4, MSG_NOSIGNAL) != 4)
                return -ECONNRESET;
        /* A stream that cannot be taken is reset. */
        pair->waiter.peer = second;
        r = nb_stream_accept(pair->connection, 0, &stream);
        if (r < 0)
                return r;
        r = exchange(pair->waiter.world, pair->stream.fd, first);
        (void)close(stream.fd);
        return r;
}

int do_quic(const struct world *world) {
        CLEANUP(connection) struct nb_connection *served = NULL;
        CLEANUP(pair) struct pair pair = PAIR_INIT;
        int r = connect_pair(world, &pair, "quic", "quic");

        if (r < 0)
                return r;
        /* A stream begins with its first byte. */
        if (send(pair.stream.fd, "word", 4, MSG_NOSIGNAL) != 4)
                return -ECONNRESET;
        pair.waiter.peer = pair.stream.fd;
        r = nb_accept(pair.listener, &served);
        return r < 0 ? r : exchange_streams(&pair, served);
}

int do_proxy(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        CLEANUP(dialled) struct dialled dialled = DIALLED_INIT;
        struct waiter waiter = { -1, NULL };
        int r = open_session(world, &waiter, NULL, &session);

        if (r < 0)
                return r;
        r = dial(nb_session_find_protocol(session, "proxied"), "0.0.0.0:0", NB_SOCKET_STREAM, BEHIND_PROXY, &dialled);
        return r < 0 ? r : exchange(world, dialled.stream.fd, dialled.stream.fd);
}
