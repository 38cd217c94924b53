/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages that ask proxies and read or write PROXY headers, with the other end in the test's hands: what they send, what they make of
 * answers that come as a whole or byte by byte, and that they take nothing that is not theirs.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "relay/context.h"
#include "relay/link.h"
#include "relay/proxy/proxy.h"
#include "relay/relay.h"
#include "relay/stage.h"
#include "relay/transport.h"
#include "tests/support/runner.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(text) (text), sizeof(text) - 1

#define CONNECT NB__RELAY__HOP_KIND__HOP_KIND_CONNECT
#define SOCKS5 NB__RELAY__HOP_KIND__HOP_KIND_SOCKS5

#define CAUSE(name) NB__RELAY__CAUSE__CAUSE_##name

/* A link that has nothing but a transport towards the peer, and whom it reports to. */
struct world {
        struct relay relay;
        struct link link;
        struct stage *stage;
        int fd;         /* the peer's end */
        int channel_fd; /* the broker's end */
        struct context_password password;
        struct context context;
};

static void start(struct world *world, struct stage *stage) {
        int fds[2], channel[2];

        ck_assert_ptr_nonnull(stage);
        world->stage = stage;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, channel), 0);
        world->fd = fds[0];
        world->channel_fd = channel[0];
        world->relay.channel_fd = channel[1];
        world->link.relay = &world->relay;
        world->link.peer = transport_new_socket(fds[1], false);
        ck_assert_ptr_nonnull(world->link.peer);
        nb_list_init(&world->link.stages);
        nb_list_init(&world->relay.outbox.frames);
}

/* One that asks a proxy. @param user  NULL: without a password */
static void start_proxy(struct world *world, Nb__Relay__HopKind kind, const char *target, const char *user,
                        const char *password) {
        Nb__Relay__Hop hop = NB__RELAY__HOP__INIT;

        *world = (struct world){ 0 };
        hop.kind = kind;
        hop.target = (char *)target;
        if (user) {
                memcpy(world->password.user, user, strlen(user));
                memcpy(world->password.password, password, strlen(password));
        }
        world->context.n_refs = 1;
        world->context.password = &world->password;
        start(world, proxy_stage_new(&hop, user ? &world->context : NULL));
        ck_assert_uint_eq(world->context.n_refs, user ? 2 : 1);
}

static int run(struct world *world) {
        return world->stage->ops->run(world->stage, &world->link);
}

static void end(struct world *world) {
        world->stage->ops->free(world->stage);
        ck_assert_uint_le(world->context.n_refs, 1);
        world->link.peer = transport_free(world->link.peer);
        (void)nb_fd_close(world->fd);
        (void)nb_fd_close(world->channel_fd);
        (void)nb_fd_close(world->relay.channel_fd);
}

static void send_bytes(const struct world *world, const char *bytes, size_t length) {
        ck_assert_int_eq(send(world->fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* What the stage has sent, all of it. */
static void expect_sent(const struct world *world, const char *bytes, size_t length) {
        char buffer[4096];

        ck_assert_int_eq(recv(world->fd, buffer, sizeof(buffer), 0), (ssize_t)length);
        ck_assert_mem_eq(buffer, bytes, length);
}

static void expect_nothing_sent(const struct world *world) {
        char byte;

        ck_assert_int_eq(recv(world->fd, &byte, 1, 0), -1);
        ck_assert_int_eq(errno, EAGAIN);
}

/* What the link would read next. */
static void expect_left(const struct world *world, const char *bytes, size_t length) {
        struct transport *peer = world->link.peer;
        char buffer[64];

        ck_assert_int_eq(peer->ops->read(peer, buffer, sizeof(buffer)), (ssize_t)length);
        ck_assert_mem_eq(buffer, bytes, length);
}

static void expect_failed(const struct world *world, int r, Nb__Relay__Cause cause, const char *reason) {
        ck_assert_int_eq(r, -ECONNABORTED);
        ck_assert_msg(world->link.cause == cause, "cause %d: %s", world->link.cause, world->link.reason);
        ck_assert_msg(strstr(world->link.reason, reason), "\"%s\" is not in: %s", reason, world->link.reason);
}

/* Gives the stage bytes one by one, and lets it look at each, until it has had enough. @return its last return */
static int drip(struct world *world, const char *bytes, size_t length) {
        int r = -EAGAIN;

        for (size_t i = 0; r == -EAGAIN && i < length; ++i) {
                send_bytes(world, bytes + i, 1);
                r = run(world);
        }
        return r;
}

/* ---- CONNECT ---- */

#define REQUEST "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n"
#define ESTABLISHED "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"

START_TEST(connect_asks_and_goes_on) {
        struct world world;

        start_proxy(&world, CONNECT, "192.0.2.1:443", NULL, NULL);
        ck_assert_int_eq(run(&world), -EAGAIN);
        expect_sent(&world, TEXT(REQUEST "\r\n"));
        ck_assert_int_eq(run(&world), -EAGAIN);
        expect_nothing_sent(&world);
        ck_assert_int_eq(drip(&world, TEXT(ESTABLISHED)), 0);
        /* Nothing of ours is in between: the socket could go to the guest. */
        ck_assert_ptr_null(world.link.peer->below);
        send_bytes(&world, TEXT("behind"));
        expect_left(&world, TEXT("behind"));
        end(&world);
}
END_TEST

START_TEST(connect_with_a_password) {
        struct world world;

        start_proxy(&world, CONNECT, "192.0.2.1:443", "Aladdin", "open-sesame");
        ck_assert_int_eq(run(&world), -EAGAIN);
        expect_sent(&world, TEXT(REQUEST "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuLXNlc2FtZQ==\r\n\r\n"));
        send_bytes(&world, TEXT(ESTABLISHED));
        ck_assert_int_eq(run(&world), 0);
        end(&world);
}
END_TEST

START_TEST(abuse_39_what_is_behind_the_answer_is_kept) {
        struct world world;

        start_proxy(&world, CONNECT, "192.0.2.1:443", NULL, NULL);
        ck_assert_int_eq(run(&world), -EAGAIN);
        send_bytes(&world, TEXT(ESTABLISHED "SSH-2.0-x\r\n"));
        ck_assert_int_eq(run(&world), 0);
        expect_left(&world, TEXT("SSH-2.0-x\r\n"));
        send_bytes(&world, TEXT("more"));
        expect_left(&world, TEXT("more"));
        end(&world);
}
END_TEST

static const struct {
        const char *bytes;
        Nb__Relay__Cause cause;
        const char *reason;
} bad_answers[] = {
        { "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\n\r\n", CAUSE(PROXY_REFUSED), "302 Found" },
        { "HTTP/1.1 403 \x1b[31mno\r\n\r\n", CAUSE(PROXY_PROTOCOL), "control character" },
        { "HTTP/1.1 403 \xff\xfe\r\n\r\n", CAUSE(PROXY_REFUSED), "403 \\xff\\xfe" },
        { "HTTP/1.1 407 Log in\r\n\r\n", CAUSE(PROXY_PASSWORD), "wants a user and password: 407 Log in" },
        { "HTTP/1.0 500 Unable to connect\r\n\r\n", CAUSE(PROXY_UNREACHABLE), "192.0.2.1:443" },
        { "HTTP/1.1 502 x\r\n\r\n", CAUSE(PROXY_UNREACHABLE), "502 x" },
        { "HTTP/1.1 503 x\r\n\r\n", CAUSE(PROXY_UNREACHABLE), "503 x" },
        { "HTTP/1.1 504 x\r\n\r\n", CAUSE(PROXY_UNREACHABLE), "504 x" },
        { "\x05", CAUSE(PROXY_PROTOCOL), "does not begin with HTTP" },
        { "HTTP/1.1 200 OK\n", CAUSE(PROXY_PROTOCOL), "control character" },
        { "HTTP/1.1 200 OK\r\nA: b\r\n ", CAUSE(PROXY_PROTOCOL), "continued" },
};

START_TEST(abuse_39_answers_to_connect) {
        struct world world;
        const char *bytes = bad_answers[_i].bytes;

        for (int dripping = 0; dripping < 2; ++dripping) {
                int r;

                start_proxy(&world, CONNECT, "192.0.2.1:443", NULL, NULL);
                ck_assert_int_eq(run(&world), -EAGAIN);
                if (dripping) {
                        r = drip(&world, bytes, strlen(bytes));
                } else {
                        send_bytes(&world, bytes, strlen(bytes));
                        r = run(&world);
                }
                expect_failed(&world, r, bad_answers[_i].cause, bad_answers[_i].reason);
                end(&world);
        }
}
END_TEST

/* Sends a piece as long as the stage asks for more. @return how many bytes it took */
static size_t flood(struct world *world, const char *start_with, const char *piece) {
        size_t total = strlen(start_with);
        int r;

        ck_assert_int_eq(run(world), -EAGAIN);
        send_bytes(world, start_with, total);
        while ((r = run(world)) == -EAGAIN) {
                ck_assert_uint_lt(total, 65536);
                send_bytes(world, piece, strlen(piece));
                total += strlen(piece);
        }
        ck_assert_int_eq(world->link.cause, CAUSE(PROXY_PROTOCOL));
        return total;
}

START_TEST(abuse_39_floods) {
        static const char *const floods[][2] = {
                { "HTTP/1.1 200 OK\r\n", "Set-Cookie: a\r\n" },
                { "HTTP/1.1 200 OK\r\nA: ", "0123456789" },
                { "HTTP/1.1 200 ", "0123456789" },
                { "", "HTTP/1.1 102 Processing\r\n\r\n" },
                { "", "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" },
        };
        struct world world;

        start_proxy(&world, CONNECT, "192.0.2.1:443", NULL, NULL);
        ck_assert_uint_le(flood(&world, floods[_i][0], floods[_i][1]), 16384 + 64);
        end(&world);
}
END_TEST

START_TEST(abuse_39_a_proxy_that_closes) {
        static const Nb__Relay__HopKind kinds[] = { CONNECT, SOCKS5 };
        static const char *const starts[] = { "HTTP/1.1 200 OK\r\n", "\x05" };
        struct world world;

        for (int with_start = 0; with_start < 2; ++with_start) {
                start_proxy(&world, kinds[_i], "192.0.2.1:443", NULL, NULL);
                ck_assert_int_eq(run(&world), -EAGAIN);
                if (with_start)
                        send_bytes(&world, starts[_i], strlen(starts[_i]));
                ck_assert_int_eq(shutdown(world.fd, SHUT_WR), 0);
                expect_failed(&world, run(&world), CAUSE(PROXY_CLOSED), "closed the connection");
                end(&world);
        }
}
END_TEST

/* What it has not read makes its close a reset. */
START_TEST(abuse_39_a_proxy_that_resets) {
        static const Nb__Relay__HopKind kinds[] = { CONNECT, SOCKS5 };
        struct world world;

        start_proxy(&world, kinds[_i], "192.0.2.1:443", NULL, NULL);
        ck_assert_int_eq(run(&world), -EAGAIN);
        world.fd = nb_fd_close(world.fd);
        expect_failed(&world, run(&world), CAUSE(PROXY_CLOSED), "192.0.2.1:443");
        end(&world);
}
END_TEST

/* ---- before anything is sent ---- */

START_TEST(abuse_36_37_a_target_that_cannot_be_asked_for) {
        static const Nb__Relay__HopKind kinds[] = { CONNECT, SOCKS5 };
        static const char *const targets[] = { "a.example\r\nX: y:443", "a b:443", "a.example:0", "", "127.1:80" };
        Nb__Relay__Hop hop = NB__RELAY__HOP__INIT;
        char longest[400] = { 0 };

        hop.kind = kinds[_i];
        for (size_t i = 0; i < COUNT(targets); ++i) {
                hop.target = (char *)targets[i];
                ck_assert_ptr_null(proxy_stage_new(&hop, NULL));
                ck_assert_int_eq(errno, EINVAL);
        }
        memset(longest, 'a', 256);
        memcpy(longest + 256, ":443", 4);
        hop.target = longest;
        ck_assert_ptr_null(proxy_stage_new(&hop, NULL));
        ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(a_proxy_of_no_kind) {
        Nb__Relay__Hop hop = NB__RELAY__HOP__INIT;

        hop.target = (char *)"192.0.2.1:443";
        ck_assert_ptr_null(proxy_stage_new(&hop, NULL));
        ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(abuse_36_a_password_that_cannot_be_sent) {
        struct world world;

        start_proxy(&world, CONNECT, "192.0.2.1:443", "ada", "love\r\nX: y");
        expect_failed(&world, run(&world), CAUSE(PROXY_PASSWORD), "nothing was sent");
        expect_nothing_sent(&world);
        end(&world);
        start_proxy(&world, SOCKS5, "192.0.2.1:443", "a da", "lovelace");
        ck_assert_int_eq(run(&world), -EAGAIN);
        expect_sent(&world, TEXT("\x05\x02\x00\x02"));
        send_bytes(&world, TEXT("\x05\x02"));
        expect_failed(&world, run(&world), CAUSE(PROXY_PASSWORD), "no password was sent");
        expect_nothing_sent(&world);
        end(&world);
}
END_TEST

/* ---- SOCKS5 ---- */

#define SOCKS_REQUEST "\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb"
#define SOCKS_REPLY "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"

START_TEST(socks5_asks_and_reads_no_further) {
        struct world world;

        start_proxy(&world, SOCKS5, "192.0.2.1:443", NULL, NULL);
        ck_assert_int_eq(run(&world), -EAGAIN);
        expect_sent(&world, TEXT("\x05\x01\x00"));
        ck_assert_int_eq(drip(&world, TEXT("\x05\x00")), -EAGAIN);
        expect_sent(&world, TEXT(SOCKS_REQUEST));
        send_bytes(&world, TEXT(SOCKS_REPLY "behind"));
        ck_assert_int_eq(run(&world), 0);
        ck_assert_ptr_null(world.link.peer->below);
        expect_left(&world, TEXT("behind"));
        end(&world);
}
END_TEST

START_TEST(socks5_with_a_password) {
        struct world world;

        start_proxy(&world, SOCKS5, "a.example:443", "ada", "lovelace");
        ck_assert_int_eq(run(&world), -EAGAIN);
        expect_sent(&world, TEXT("\x05\x02\x00\x02"));
        ck_assert_int_eq(drip(&world, TEXT("\x05\x02")), -EAGAIN);
        expect_sent(&world, TEXT("\x01\x03"
                                 "ada\x08lovelace"));
        ck_assert_int_eq(drip(&world, TEXT("\x01\x00")), -EAGAIN);
        expect_sent(&world, TEXT("\x05\x01\x00\x03\x09"
                                 "a.example\x01\xbb"));
        ck_assert_int_eq(drip(&world, TEXT(SOCKS_REPLY)), 0);
        end(&world);
}
END_TEST

/* All of it at once, before it was asked for. */
START_TEST(socks5_that_answers_early) {
        struct world world;

        start_proxy(&world, SOCKS5, "192.0.2.1:443", NULL, NULL);
        send_bytes(&world, TEXT("\x05\x00" SOCKS_REPLY "x"));
        ck_assert_int_eq(run(&world), 0);
        expect_left(&world, TEXT("x"));
        end(&world);
}
END_TEST

static const struct {
        const char *bytes;
        size_t length;
        bool has_password;
        Nb__Relay__Cause cause;
        const char *reason;
} bad_socks[] = {
        { TEXT("\x04\x00"), false, CAUSE(PROXY_PROTOCOL), "method" },
        { TEXT("HT"), false, CAUSE(PROXY_PROTOCOL), "method" },
        { TEXT("\x05\x02"), false, CAUSE(PROXY_PROTOCOL), "method" },
        { TEXT("\x05\x01"), true, CAUSE(PROXY_PROTOCOL), "method" },
        { TEXT("\x05\xff"), false, CAUSE(PROXY_PASSWORD), "wants a user and a password" },
        { TEXT("\x05\xff"), true, CAUSE(PROXY_PASSWORD), "takes neither" },
        { TEXT("\x05\x02\x01\x01"), true, CAUSE(PROXY_PASSWORD), "does not take the user" },
        { TEXT("\x05\x02\x05\x00"), true, CAUSE(PROXY_PROTOCOL), "login" },
        { TEXT("\x05\x00\x04\x5a"), false, CAUSE(PROXY_PROTOCOL), "reply" },
        { TEXT("\x05\x00\x05\x00\x01\x01\x7f"), false, CAUSE(PROXY_PROTOCOL), "reply" },
        { TEXT("\x05\x00\x05\x00\x00\x02\x7f"), false, CAUSE(PROXY_PROTOCOL), "reply" },
        { TEXT("\x05\x00\x05\x01"), false, CAUSE(PROXY_UNREACHABLE), "general failure (1)" },
        { TEXT("\x05\x00\x05\x02"), false, CAUSE(PROXY_REFUSED), "its rules do not allow it (2)" },
        { TEXT("\x05\x00\x05\x03"), false, CAUSE(PROXY_UNREACHABLE), "network unreachable (3)" },
        { TEXT("\x05\x00\x05\x04"), false, CAUSE(PROXY_UNREACHABLE), "host unreachable (4)" },
        { TEXT("\x05\x00\x05\x05"), false, CAUSE(PROXY_REFUSED), "connection refused (5)" },
        { TEXT("\x05\x00\x05\x08"), false, CAUSE(PROXY_REFUSED), "type of address (8)" },
        { TEXT("\x05\x00\x05\x63"), false, CAUSE(PROXY_PROTOCOL), "a code that RFC 1928 does not have (99)" },
};

START_TEST(abuse_39_answers_of_socks5) {
        struct world world;

        for (int dripping = 0; dripping < 2; ++dripping) {
                int r;

                start_proxy(&world, SOCKS5, "192.0.2.1:443", bad_socks[_i].has_password ? "ada" : NULL, "lovelace");
                ck_assert_int_eq(run(&world), -EAGAIN);
                if (dripping) {
                        r = drip(&world, bad_socks[_i].bytes, bad_socks[_i].length);
                } else {
                        send_bytes(&world, bad_socks[_i].bytes, bad_socks[_i].length);
                        r = run(&world);
                }
                expect_failed(&world, r, bad_socks[_i].cause, bad_socks[_i].reason);
                end(&world);
        }
}
END_TEST

/* ---- PROXY headers ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* What the broker is told. */
static void expect_announced(struct world *world, const char *source, const char *destination) {
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        Nb__Relay__Report *report;
        struct nb_frame_arena *arena = calloc(1, sizeof(*arena));
        ssize_t n = recv(world->channel_fd, frame, sizeof(frame), 0);

        ck_assert_ptr_nonnull(arena);
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(nb_relay_report_decode(arena, frame, (size_t)n, &report), 0);
        ck_assert_int_eq(report->body_case, NB__RELAY__REPORT__BODY_ANNOUNCED);
        ck_assert_str_eq(report->announced->source, source);
        ck_assert_str_eq(report->announced->destination, destination);
        free(arena);
}

static const struct {
        const char *bytes;
        size_t length;
        const char *source;
        const char *destination;
} headers[] = {
        { TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4096 443\r\n"), "192.0.2.1:4096", "198.51.100.2:443" },
        { TEXT("PROXY TCP6 ::ffff:192.0.2.1 ::1 4096 443\r\n"), "[::ffff:192.0.2.1]:4096", "[::1]:443" },
        { TEXT("PROXY UNKNOWN\r\n"), "", "" },
        { TEXT(SIGNATURE "\x21\x11\x00\x10\xc0\x00\x02\x01\xc6\x33\x64\x02\x10\x00\x01\xbb\x04\x00\x01\x00"),
          "192.0.2.1:4096", "198.51.100.2:443" },
        { TEXT(SIGNATURE "\x20\x00\x00\x00"), "", "" },
};

START_TEST(a_header_is_announced_and_nothing_behind_it_read) {
        struct world world;

        for (int dripping = 0; dripping < 2; ++dripping) {
                world = (struct world){ 0 };
                start(&world, header_stage_new_reader());
                ck_assert_int_eq(run(&world), -EAGAIN);
                if (dripping) {
                        ck_assert_int_eq(drip(&world, headers[_i].bytes, headers[_i].length), -EAGAIN);
                } else {
                        send_bytes(&world, headers[_i].bytes, headers[_i].length);
                        ck_assert_int_eq(run(&world), -EAGAIN);
                }
                expect_announced(&world, headers[_i].source, headers[_i].destination);
                ck_assert_int_eq(world.link.state, LINK_ANNOUNCED);
                send_bytes(&world, TEXT("GET /"));
                ck_assert_int_eq(run(&world), -EAGAIN);
                expect_left(&world, TEXT("GET /"));
                expect_nothing_sent(&world);
                end(&world);
        }
}
END_TEST

START_TEST(the_longest_header) {
        char bytes[4096] = { 0 };
        struct world world = { 0 };

        memcpy(bytes, SIGNATURE "\x21\x11\x0f\xf0\xc0\x00\x02\x01\xc6\x33\x64\x02\x10\x00\x01\xbb\x04\x0f\xe1", 31);
        start(&world, header_stage_new_reader());
        send_bytes(&world, bytes, 2000);
        ck_assert_int_eq(run(&world), -EAGAIN);
        send_bytes(&world, bytes + 2000, sizeof(bytes) - 2000);
        ck_assert_int_eq(run(&world), -EAGAIN);
        expect_announced(&world, "192.0.2.1:4096", "198.51.100.2:443");
        end(&world);
}
END_TEST

static const struct {
        const char *bytes;
        size_t length;
        const char *reason;
} bad_headers[] = {
        { TEXT("GET / HTTP/1.1\r\n"), "neither version" },
        { TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04"), "neither version" },
        { TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4096 65536\r\n"), "a port that is none" },
        { TEXT("PROXY UNKNOWN x\n\r\n"), "no text" },
        { TEXT(SIGNATURE "\x21\x11\xff\xff"), "longer than 4 KiB" },
        { TEXT(SIGNATURE "\x31\x11\x00\x0c"), "no version" },
};

START_TEST(a_header_that_is_none) {
        struct world world = { 0 };

        start(&world, header_stage_new_reader());
        send_bytes(&world, bad_headers[_i].bytes, bad_headers[_i].length);
        expect_failed(&world, run(&world), CAUSE(HEADER), bad_headers[_i].reason);
        end(&world);
}
END_TEST

START_TEST(a_header_that_does_not_end) {
        struct world world = { 0 };

        start(&world, header_stage_new_reader());
        send_bytes(&world, TEXT("PROXY TCP4 192."));
        ck_assert_int_eq(run(&world), -EAGAIN);
        ck_assert_int_eq(shutdown(world.fd, SHUT_WR), 0);
        expect_failed(&world, run(&world), CAUSE(HEADER), "before its PROXY header was whole");
        end(&world);
}
END_TEST

static const struct {
        Nb__Relay__ProxyHeader version;
        const char *source;
        const char *destination;
        const char *bytes;
        size_t length;
} written[] = {
        { NB__RELAY__PROXY_HEADER__PROXY_HEADER_V1, "192.0.2.1:4096", "198.51.100.2:443",
          TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4096 443\r\n") },
        { NB__RELAY__PROXY_HEADER__PROXY_HEADER_V2, "192.0.2.1:4096", "198.51.100.2:443",
          TEXT(SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x10\x00\x01\xbb") },
        { NB__RELAY__PROXY_HEADER__PROXY_HEADER_V1, "[2001:db8::1]:4096", "[::1]:443",
          TEXT("PROXY TCP6 2001:db8::1 ::1 4096 443\r\n") },
        { NB__RELAY__PROXY_HEADER__PROXY_HEADER_V1, "192.0.2.1:4096", "", TEXT("PROXY UNKNOWN\r\n") },
        { NB__RELAY__PROXY_HEADER__PROXY_HEADER_V1, "192.0.2.1:4096", "[::1]:443", TEXT("PROXY UNKNOWN\r\n") },
        { NB__RELAY__PROXY_HEADER__PROXY_HEADER_V2, "", "", TEXT(SIGNATURE "\x21\x00\x00\x00") },
};

START_TEST(a_header_is_written) {
        struct world world = { 0 };

        start(&world, header_stage_new_writer(written[_i].version, written[_i].source, written[_i].destination));
        ck_assert_int_eq(run(&world), 0);
        expect_sent(&world, written[_i].bytes, written[_i].length);
        end(&world);
}
END_TEST

START_TEST(a_header_that_cannot_be_written) {
        ck_assert_ptr_null(header_stage_new_writer(NB__RELAY__PROXY_HEADER__PROXY_HEADER_V2, "a\r\n:1", "192.0.2.1:1"));
        ck_assert_int_eq(errno, EINVAL);
}
END_TEST

static void add_headers(TCase *tcase) {
        tcase_add_loop_test(tcase, a_header_is_announced_and_nothing_behind_it_read, 0, COUNT(headers));
        tcase_add_test(tcase, the_longest_header);
        tcase_add_loop_test(tcase, a_header_that_is_none, 0, COUNT(bad_headers));
        tcase_add_test(tcase, a_header_that_does_not_end);
        tcase_add_loop_test(tcase, a_header_is_written, 0, COUNT(written));
        tcase_add_test(tcase, a_header_that_cannot_be_written);
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("relay_proxy");
        TCase *tcase = tcase_create("relay_proxy");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, connect_asks_and_goes_on);
        tcase_add_test(tcase, connect_with_a_password);
        tcase_add_test(tcase, abuse_39_what_is_behind_the_answer_is_kept);
        tcase_add_loop_test(tcase, abuse_39_answers_to_connect, 0, COUNT(bad_answers));
        tcase_add_loop_test(tcase, abuse_39_floods, 0, 5);
        tcase_add_loop_test(tcase, abuse_39_a_proxy_that_closes, 0, 2);
        tcase_add_loop_test(tcase, abuse_39_a_proxy_that_resets, 0, 2);
        tcase_add_loop_test(tcase, abuse_36_37_a_target_that_cannot_be_asked_for, 0, 2);
        tcase_add_test(tcase, a_proxy_of_no_kind);
        tcase_add_test(tcase, abuse_36_a_password_that_cannot_be_sent);
        tcase_add_test(tcase, socks5_asks_and_reads_no_further);
        tcase_add_test(tcase, socks5_with_a_password);
        tcase_add_test(tcase, socks5_that_answers_early);
        tcase_add_loop_test(tcase, abuse_39_answers_of_socks5, 0, COUNT(bad_socks));
        add_headers(tcase);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
