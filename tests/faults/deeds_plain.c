/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deeds over plain sockets: sessions, tokens, TCP, UDP, Unix sockets, names, relayed or not.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/narrowing.h"
#include "tests/faults/world.h"
#include "token/block.h"

#define RESEND_MS 20

#define LIMIT_MS 250

static int accept_stream(struct nb_protocol *protocol, struct waiter *waiter) {
        CLEANUP(control) struct nb_control *control = NULL;
        int r = open_control(protocol, "127.0.0.1:0", NB_SOCKET_STREAM, &control);

        if (r < 0)
                return r;
        r = nb_listen(control, 8);
        if (r < 0)
                return r;
        for (int i = 0; i < 2; ++i) {
                NB_CLEANUP_FD int peer = peer_connect(nb_control_address(control));

                if (peer < 0)
                        return -ECONNABORTED; /* it has ended meanwhile */
                r = accept_one(control, waiter, peer);
                if (r != -ECONNABORTED && r != -ECONNRESET)
                        return r;
        }
        return r;
}

static int use_unix(struct nb_protocol *protocol, struct waiter *waiter) {
        CLEANUP(control) struct nb_control *listener = NULL;
        NB_CLEANUP_FD int peer = -1;
        char name[64];
        int r;

        (void)snprintf(name, sizeof(name), "@nb-faults-%d", (int)getpid());
        r = open_control(protocol, name, NB_SOCKET_STREAM, &listener);
        if (r < 0)
                return r;
        r = nb_listen(listener, 8);
        if (r < 0)
                return r;
        peer = peer_unix_connect(NULL, name);
        return peer < 0 ? -ECONNABORTED : accept_one(listener, waiter, peer);
}

/* Datagrams can be lost: they are sent until one comes. @return 0; -ECONNRESET at the end */
static int say_datagrams(const struct world *world, int from, int to) {
        uint64_t start_ms = harness_now_ms();
        short events;
        char text[8];

        do {
                (void)send(from, "word", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
                events = harness_poll(to, POLLIN, RESEND_MS);
                if (harness_now_ms() - start_ms > HARNESS_DEADLINE_MS)
                        world_hangs(world, "no datagram comes, and no end");
                if (harness_poll(from, POLLRDHUP, 0) & (POLLHUP | POLLRDHUP))
                        return -ECONNRESET;
        } while (events == 0);
        if (recv(to, text, sizeof(text), MSG_DONTWAIT) != 4 || memcmp(text, "word", 4) != 0)
                return -ECONNRESET;
        return 0;
}

/* Words to a peer. Those that were sent once more go with its socket, or are known by their text. */
static int connect_datagrams(const struct world *world, struct nb_protocol *protocol, const char *from,
                             const char *address, int peer) {
        CLEANUP(dialled) struct dialled dialled = DIALLED_INIT;
        int r = dial(protocol, from, NB_SOCKET_DGRAM, address, &dialled);

        return r < 0 ? r : say_datagrams(world, dialled.stream.fd, peer);
}

/* The peer says a word until the listener has somebody, or has ended. A daemon without descriptors gets some back after a while. */
static int accept_datagrams(const struct world *world, struct nb_control *listener, int peer,
                            struct nb_connection **ret) {
        uint64_t start_ms = harness_now_ms();
        int r;

        nb_control_set_flags(listener, NB_NONBLOCK);
        do {
                short events;
                int fd = nb_control_poll_fd(listener, &events);

                if (harness_now_ms() - start_ms > HARNESS_DEADLINE_MS)
                        world_hangs(world, "no peer comes, and no end");
                if (harness_now_ms() - start_ms > LIMIT_MS)
                        lift(world->lowered);
                (void)send(peer, "word", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
                (void)harness_poll(fd, events, RESEND_MS);
                r = nb_accept(listener, ret);
        } while (r == -EAGAIN);
        return r;
}

static int serve_datagrams(const struct world *world, struct nb_protocol *protocol) {
        CLEANUP(control) struct nb_control *listener = NULL;
        CLEANUP(connection) struct nb_connection *connection = NULL;
        NB_CLEANUP_FD int peer = -1;
        struct nb_address address;
        struct sockaddr_storage sa;
        struct nb_stream stream;
        const char *text;
        int r = open_control(protocol, "127.0.0.1:0", NB_SOCKET_DGRAM, &listener);

        if (r < 0)
                return r;
        r = nb_listen(listener, 8);
        if (r < 0)
                return r;
        text = nb_control_address(listener);
        ck_assert_int_eq(nb_address_parse(text, strlen(text), &address), 0);
        peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(peer, 0);
        ck_assert_int_eq(connect(peer, (struct sockaddr *)&sa, nb_address_to_sockaddr(&address, &sa)), 0);
        r = accept_datagrams(world, listener, peer, &connection);
        if (r < 0)
                return r;
        r = take_stream(connection, &stream);
        if (r < 0)
                return r;
        r = say_datagrams(world, stream.fd, peer);
        (void)close(stream.fd);
        return r;
}

int do_session(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        struct nb_protocol *direct, *narrow = NULL;
        uint64_t base, inheriting;
        int r = open_session(world, &waiter, NULL, &session);

        if (r < 0)
                return r;
        direct = nb_session_find_protocol(session, "direct");
        nb_protocol_rights(direct, &base, &inheriting);
        r = nb_protocol_restrict(direct, "Connect=127.0.0.1:*\n", 20, base, inheriting, &narrow);
        if (r < 0)
                return r;
        r = connect_stream(world, narrow, world->peer.text);
        (void)nb_protocol_unref(narrow);
        return r;
}

/* A stream there, and one that comes, by a protocol. */
static int talk_both_ways(const struct world *world, const char *name) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        struct nb_protocol *protocol;
        int r = open_session(world, &waiter, NULL, &session);

        if (r < 0)
                return r;
        protocol = nb_session_find_protocol(session, name);
        r = connect_stream(world, protocol, world->peer.text);
        return r < 0 ? r : accept_stream(protocol, &waiter);
}

int do_direct(const struct world *world) {
        return talk_both_ways(world, "direct");
}

int do_relayed(const struct world *world) {
        return talk_both_ways(world, "relayed");
}

int do_unix(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        int r = open_session(world, &waiter, NULL, &session);

        return r < 0 ? r : use_unix(nb_session_find_protocol(session, "local"), &waiter);
}

int do_name(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        char name[64];
        int r = open_session(world, &waiter, NULL, &session);

        if (r < 0)
                return r;
        /* Asked anew each time. */
        (void)snprintf(name, sizeof(name), "fresh.example.com:%u", peer_port(world->peer.text));
        return connect_stream(world, nb_session_find_protocol(session, "direct"), name);
}

int do_datagrams(const struct world *world) {
        static const char *const names[] = { "direct", "relayed" };
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        int r = open_session(world, &waiter, NULL, &session);

        for (size_t i = 0; r == 0 && i < 2; ++i) {
                struct peer peer = peer_udp("127.0.0.1");

                r = connect_datagrams(world, nb_session_find_protocol(session, names[i]), "0.0.0.0:0", peer.text,
                                      peer.fd);
                peer_close(&peer);
        }
        return r < 0 ? r : serve_datagrams(world, nb_session_find_protocol(session, "relayed"));
}

int do_unix_datagrams(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        NB_CLEANUP_FD int peer = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        struct waiter waiter = { -1, NULL };
        char name[64];
        int n = snprintf(name, sizeof(name), "@nb-faults-peer-%d", (int)getpid()), r;

        ck_assert_int_ge(peer, 0);
        memcpy(sa.sun_path + 1, name + 1, (size_t)n - 1);
        ck_assert_int_eq(bind(peer, (struct sockaddr *)&sa,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
                         0);
        r = open_session(world, &waiter, NULL, &session);
        return r < 0 ? r : connect_datagrams(world, nb_session_find_protocol(session, "messages"), "", name, peer);
}

/* A token of one block, for one protocol. */
static void make_token(const struct world *world, char ret[static TOKEN_TEXT_MAX]) {
        const char *names[] = { "direct" };
        uint8_t id[NARROWING_ID_SIZE] = { 7 };
        Nb__Token__Texts protocols = NB__TOKEN__TEXTS__INIT;
        Nb__Token__Block block = NB__TOKEN__BLOCK__INIT;
        struct token_bytes bytes, token;

        protocols.items = (char **)names;
        protocols.n_items = 1;
        block.id = (ProtobufCBinaryData){ sizeof(id), id };
        block.label = (char *)"a sweep's";
        block.protocols = &protocols;
        ck_assert_int_eq(token_block_encode(&block, &bytes), 0);
        ck_assert_int_eq(token_new(&world->issuer, &bytes, &token), 0);
        (void)token_format(token.bytes, token.length, ret);
        free(bytes.bytes);
        free(token.bytes);
}

int do_token(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        char token[TOKEN_TEXT_MAX];
        int r;

        make_token(world, token);
        r = open_session(world, &waiter, token, &session);
        if (r < 0)
                return r;
        ck_assert_uint_eq(nb_session_n_protocols(session), 1);
        return connect_stream(world, nb_session_protocol(session, 0), world->peer.text);
}
