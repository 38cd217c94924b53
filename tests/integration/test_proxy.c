/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proxies on the way, and PROXY headers, by the real daemon and its relay: what a proxy is asked for, what its answers come to, who is
 * connected to and who never is. The proxies are the test itself; those that others wrote are tests/integration/test_proxy_peers.c's.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/fake_dns.h"
#include "tests/support/fake_proxy.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(text) (text), sizeof(text) - 1

#define TEXT_MAX 512

/* Each of these tests is done with both kinds of proxy, on both data paths. */
#define N_WAYS 4
#define KIND(i) ((i) % 2 == 0 ? FAKE_PROXY_CONNECT : FAKE_PROXY_SOCKS5)
#define DATA_PATH(i) ((i) / 2 == 0 ? "direct" : "relay")

/* A daemon, a proxy, and the destination, at which nobody must arrive who did not come by the proxy: which connects to nothing. */
struct world {
        struct scene scene;
        struct fake_dns *dns; /* NULL: none */
        struct fake_proxy proxy;
        struct peer destination;
        struct wire control;
        bool is_direct;
        char password_path[HARNESS_PATH_MAX];
};

/* A file in the daemon's folder. */
static void write_password(struct world *world, const char *text) {
        FILE *file;

        (void)snprintf(world->password_path, sizeof(world->password_path), "%s/password", world->scene.daemon.folder);
        file = fopen(world->password_path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fprintf(file, "%s", text), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(world->password_path, 0600), 0);
}

/* Before world_start(), which needs the addresses of what is made here. */
static void world_prepare(struct world *world) {
        *world = (struct world){ 0 };
        fake_proxy_start(&world->proxy);
        world->destination = peer_listen("127.0.0.1", 8);
        daemon_init(&world->scene.daemon);
}

/* @param rules  of the protocol "web", in printf's form */
__attribute__((format(printf, 3, 4))) static void world_start(struct world *world, const char *data_path,
                                                              const char *rules, ...) {
        struct scene *scene = &world->scene;
        char text[2048], resolvers[128] = "";
        va_list list;

        va_start(list, rules);
        ck_assert_int_lt(vsnprintf(text, sizeof(text), rules, list), (int)sizeof(text));
        va_end(list);
        if (world->dns)
                (void)snprintf(resolvers, sizeof(resolvers), "Resolvers=%s\n", fake_dns_address(world->dns));
        daemon_write_policy(&scene->daemon,
                            "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\n%s"
                            "[Protocol web]\nFamily=ip\nDataPath=%s\n%s",
                            (unsigned)getuid(), resolvers, data_path, text);
        world->is_direct = strcmp(data_path, "direct") == 0;
        daemon_start(&scene->daemon, NULL);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
        wire_settle(scene->web);
        world->control = wire_open_control(scene->web, "[::]:0");
}

/* The usual rules: everything on loopback, by the proxy. */
static void world_start_by(struct world *world, int way, const char *more) {
        char url[96];

        world_start(world, DATA_PATH(way), "Connect=127.0.0.0/8:*\nConnect=[::1]:*\nProxy=%s\n%s",
                    fake_proxy_url(&world->proxy, KIND(way), url), more);
}

/* Nobody has been at the destination. */
static void world_end(struct world *world) {
        peer_expect_nothing(world->destination.fd);
        (void)wire_close(&world->control);
        wire_session_close(&world->scene.session);
        fake_proxy_stop(&world->proxy);
        peer_close(&world->destination);
        daemon_stop(&world->scene.daemon);
        if (world->dns)
                world->dns = fake_dns_stop(world->dns);
        if (world->password_path[0] != '\0')
                (void)unlink(world->password_path);
        daemon_deinit(&world->scene.daemon);
}

/* With DataPath=direct the relay has stepped out: the guest has the socket itself. With DataPath=relay it never does. */
static void expect_kind(int fd, bool is_socket_itself) {
        int domain = -1;
        socklen_t length = sizeof(domain);

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length), 0);
        ck_assert_int_eq(domain != AF_UNIX, is_socket_itself);
        ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

/* Takes the answer to a connect that works, and sends bytes both ways between the guest and whoever has the proxy's connection. */
static void expect_connected(struct world *world) {
        int fd = -1;

        ck_assert_uint_eq(wire_receive_connected(&world->control, &fd), 0);
        expect_kind(fd, world->is_direct);
        peer_exchange(fd, world->proxy.fd);
        (void)nb_fd_close(fd);
        peer_expect_end(world->proxy.fd);
        fake_proxy_hang_up(&world->proxy);
}

static void expect_failed(struct world *world, uint32_t error) {
        int fd = -1;
        uint32_t got = wire_receive_connected(&world->control, &fd);

        ck_assert_msg(got == error, "errno %u instead of %u", got, error);
        ck_assert_int_eq(fd, -1);
}

/* ---- the way ---- */

START_TEST(abuse_38_the_proxy_is_asked_for_the_address) {
        struct world world;

        world_prepare(&world);
        world_start_by(&world, _i, "");
        for (int i = 0; i < 2; ++i) {
                wire_send_connect(&world.control, world.destination.text);
                fake_proxy_accept(&world.proxy);
                fake_proxy_expect_request(&world.proxy, KIND(_i), world.destination.text, false);
                fake_proxy_agree(&world.proxy, KIND(_i));
                expect_connected(&world);
        }
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"connect\"", world.destination.text,
                            "\"verdict\":\"allowed\"");
        world_end(&world);
}
END_TEST

START_TEST(an_ipv6_address_by_an_ipv4_proxy) {
        struct world world;

        world_prepare(&world);
        world_start_by(&world, _i, "");
        wire_send_connect(&world.control, "[::1]:443");
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, KIND(_i), "[::1]:443", false);
        fake_proxy_agree(&world.proxy, KIND(_i));
        expect_connected(&world);
        world_end(&world);
}
END_TEST

/* What was judged as IPv4 is what the proxy is asked for; and no spelling of what is refused gets to it. */
START_TEST(abuse_12_13_an_address_has_one_spelling_for_a_proxy) {
        static const char *const refused[] = { "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80",
                                               "[2002:a9fe:a9fe::1]:80", "[::ffff:127.0.0.9]:80" };
        struct world world;

        world_prepare(&world);
        world_start_by(&world, _i, "Connect=any:*\nDeny=127.0.0.9:*\n");
        wire_send_connect(&world.control, "[::ffff:127.0.0.1]:443");
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, KIND(_i), "127.0.0.1:443", false);
        fake_proxy_agree(&world.proxy, KIND(_i));
        expect_connected(&world);
        for (size_t i = 0; i < COUNT(refused); ++i) {
                wire_send_connect(&world.control, refused[i]);
                expect_failed(&world, NB_WASI_EACCES);
        }
        fake_proxy_expect_nobody(&world.proxy);
        world_end(&world);
}
END_TEST

START_TEST(a_preopened_connection_by_a_proxy) {
        struct wire *control;
        struct world world;
        char url[96];
        int fd = -1;

        world_prepare(&world);
        world_start(&world, "direct", "[Preopen db]\nDataPath=%s\nConnect=%s\nProxy=%s\n", DATA_PATH(_i),
                    world.destination.text, fake_proxy_url(&world.proxy, KIND(_i), url));
        control = &world.scene.session.preopens[0].control;
        wire_send_connect(control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, KIND(_i), world.destination.text, false);
        fake_proxy_agree(&world.proxy, KIND(_i));
        ck_assert_uint_eq(wire_receive_connected(control, &fd), 0);
        peer_exchange(fd, world.proxy.fd);
        (void)nb_fd_close(fd);
        (void)wire_close(control);
        world_end(&world);
}
END_TEST

/* What the peer says first comes with the proxy's answer. */
START_TEST(abuse_39_bytes_behind_the_answer_are_the_guests) {
        struct world world;
        char bytes[16];
        int fd = -1;

        world_prepare(&world);
        world_start_by(&world, _i, "");
        wire_send_connect(&world.control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, KIND(_i), world.destination.text, false);
        if (KIND(_i) == FAKE_PROXY_CONNECT)
                fake_proxy_send(&world.proxy, TEXT("HTTP/1.1 200 OK\r\n\r\nhello"));
        else
                fake_proxy_send(&world.proxy, TEXT("\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50hello"));
        ck_assert_uint_eq(wire_receive_connected(&world.control, &fd), 0);
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(fd, bytes, sizeof(bytes), 0), 5);
        /* What was read too far keeps the relay in; SOCKS5 says how long its answers are. */
        expect_kind(fd, world.is_direct && KIND(_i) == FAKE_PROXY_SOCKS5);
        ck_assert_mem_eq(bytes, "hello", 5);
        peer_exchange(fd, world.proxy.fd);
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

START_TEST(a_proxy_with_a_password) {
        struct world world;
        char more[TEXT_MAX];

        world_prepare(&world);
        write_password(&world, FAKE_PROXY_PASSWORD "\n");
        (void)snprintf(more, sizeof(more), "ProxyPassword=%s\n", world.password_path);
        world_start_by(&world, _i, more);
        wire_send_connect(&world.control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, KIND(_i), world.destination.text, true);
        fake_proxy_agree(&world.proxy, KIND(_i));
        expect_connected(&world);
        world_end(&world);
}
END_TEST

/* What would end a line, or could be read as two words, is no policy's: the daemon does not start. */
START_TEST(abuse_36_a_password_that_cannot_be_sent) {
        static const char *const texts[] = { "ada:love\rlace\n", "ada:lovelace\nX: y\n", "ada:love lace\n",
                                             "a da:love\n",      ":lovelace\n",          "ada:\n",
                                             "lovelace\n" };
        NB_CLEANUP_FREE char *output = NULL;
        struct world world;
        char url[96];
        const char *const arguments[] = {
                "--relay-program", getenv("NETBROKER_RELAY"),      "--policy", world.scene.daemon.policy_path,
                "--socket",        world.scene.daemon.socket_path, NULL
        };

        world_prepare(&world);
        write_password(&world, texts[_i]);
        daemon_write_policy(&world.scene.daemon,
                            "[Tenant]\nName=acme\nUser=%u\n"
                            "[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.0/8:*\nProxy=%s\n"
                            "ProxyPassword=%s\n",
                            (unsigned)getuid(), fake_proxy_url(&world.proxy, FAKE_PROXY_CONNECT, url),
                            world.password_path);
        ck_assert_int_ne(daemon_run_once(&world.scene.daemon, arguments, &output), 0);
        ck_assert_msg(strstr(output, "acme.conf:9:") && strstr(output, world.password_path) &&
                              strstr(output, "write `user:password` in one line"),
                      "%s", output);
        (void)unlink(world.password_path);
        fake_proxy_stop(&world.proxy);
        peer_close(&world.destination);
        daemon_deinit(&world.scene.daemon);
}
END_TEST

/* Two proxies, of which the first is asked for the second. The test is both, on one connection. */
START_TEST(a_chain_of_two) {
        struct fake_proxy second;
        struct world world;
        enum fake_proxy_kind kinds[] = { _i % 2 ? FAKE_PROXY_SOCKS5 : FAKE_PROXY_CONNECT,
                                         _i / 2 % 2 ? FAKE_PROXY_SOCKS5 : FAKE_PROXY_CONNECT };
        char first_url[96], second_url[96];

        world_prepare(&world);
        fake_proxy_start(&second);
        world_start(&world, _i / 4 ? "relay" : "direct", "Connect=127.0.0.0/8:*\nProxy=%s %s\n",
                    fake_proxy_url(&world.proxy, kinds[0], first_url), fake_proxy_url(&second, kinds[1], second_url));
        wire_send_connect(&world.control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, kinds[0], second.peer.text, false);
        fake_proxy_agree(&world.proxy, kinds[0]);
        fake_proxy_expect_request(&world.proxy, kinds[1], world.destination.text, false);
        fake_proxy_agree(&world.proxy, kinds[1]);
        expect_connected(&world);
        fake_proxy_expect_nobody(&second);
        fake_proxy_stop(&second);
        world_end(&world);
}
END_TEST

/* ---- names ---- */

static const struct fake_dns_name zone[] = {
        { .name = "api.example.com", .ipv4 = "127.0.0.1", .ttl = 60 },
        { .name = "metadata.example.com", .ipv4 = "169.254.169.254", .ttl = 60 },
        { .name = "mapped.example.com", .ipv6 = "::ffff:169.254.169.254", .ttl = 60 },
        { .name = "denied.example.com", .ipv4 = "127.0.0.9", .ttl = 60 },
        { .name = "proxy.internal", .ipv4 = "127.0.0.1", .ttl = 60 },
        { .name = "second.internal", .ipv4 = "192.0.2.7", .ttl = 60 },
        { .name = "silent.internal", .ways = FAKE_DNS_SILENT },
};

#define NAME_RULES "Connect=*.example.com:*\nAddresses=local\nDeny=127.0.0.9:*\nDeny=refused.example.com:*\n"

static void start_with_names(struct world *world, int way, const char *more) {
        char url[96];

        world_prepare(world);
        world->dns = fake_dns_start(zone, COUNT(zone));
        world_start(world, DATA_PATH(way), NAME_RULES "Proxy=%s\n%s", fake_proxy_url(&world->proxy, KIND(way), url),
                    more);
}

START_TEST(abuse_38_the_proxy_gets_the_judged_address) {
        struct world world;
        char name[64];

        start_with_names(&world, _i, "");
        (void)snprintf(name, sizeof(name), "api.example.com:%u", world.destination.address.port);
        wire_send_connect(&world.control, name);
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, KIND(_i), world.destination.text, false);
        fake_proxy_agree(&world.proxy, KIND(_i));
        expect_connected(&world);
        world_end(&world);
}
END_TEST

START_TEST(abuse_38_the_proxy_gets_the_name_where_the_policy_says_so) {
        struct world world;

        start_with_names(&world, _i, "ProxyResolve=yes\n");
        wire_send_connect(&world.control, "API.Example.COM.:443");
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, KIND(_i), "api.example.com:443", false);
        fake_proxy_agree(&world.proxy, KIND(_i));
        expect_connected(&world);
        ck_assert_uint_eq(fake_dns_count(world.dns, NULL), 0);
        world_end(&world);
}
END_TEST

static const char *const refused_targets[] = {
        "metadata.example.com:80", "mapped.example.com:80", "denied.example.com:80", "refused.example.com:80",
        "169.254.169.254:80",      "127.0.0.9:80",          "other.example:80",
};

/* Without TLS and with it. */
START_TEST(abuse_23_what_is_refused_is_refused_through_a_proxy) {
        struct world world;

        start_with_names(&world, _i % N_WAYS, _i / N_WAYS == 0 ? "" : "TLS=client\n");
        for (size_t i = 0; i < COUNT(refused_targets); ++i) {
                wire_send_connect(&world.control, refused_targets[i]);
                expect_failed(&world, NB_WASI_EACCES);
        }
        fake_proxy_expect_nobody(&world.proxy);
        world_end(&world);
}
END_TEST

/* What a name leads to is the proxy's to say then; names and addresses that are not granted are refused all the same. */
START_TEST(abuse_23_what_is_refused_stays_so_where_the_proxy_resolves) {
        struct world world;

        start_with_names(&world, _i, "ProxyResolve=yes\n");
        for (size_t i = 3; i < COUNT(refused_targets); ++i) {
                wire_send_connect(&world.control, refused_targets[i]);
                expect_failed(&world, NB_WASI_EACCES);
        }
        fake_proxy_expect_nobody(&world.proxy);
        ck_assert_uint_eq(fake_dns_count(world.dns, NULL), 0);
        world_end(&world);
}
END_TEST

/* ---- proxies that fail ---- */

/* Proxies need no grant, and are looked up by the broker: the first is dialled, and is asked for the second one's address. */
START_TEST(proxies_that_have_names) {
        enum fake_proxy_kind kind = KIND(_i);
        const char *scheme = kind == FAKE_PROXY_SOCKS5 ? "socks5" : "http";
        struct world world;

        world_prepare(&world);
        world.dns = fake_dns_start(zone, COUNT(zone));
        world_start(&world, DATA_PATH(_i),
                    "Connect=198.51.100.1:443\nProxy=%s://proxy.internal:%u %s://second.internal:81\n", scheme,
                    world.proxy.peer.address.port, scheme);
        wire_send_connect(&world.control, "198.51.100.1:443");
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, kind, "192.0.2.7:81", false);
        fake_proxy_agree(&world.proxy, kind);
        fake_proxy_expect_request(&world.proxy, kind, "198.51.100.1:443", false);
        fake_proxy_agree(&world.proxy, kind);
        expect_connected(&world);
        /* What is a proxy is not granted for that. */
        wire_send_connect(&world.control, "proxy.internal:80");
        expect_failed(&world, NB_WASI_EACCES);
        world_end(&world);
}
END_TEST

START_TEST(abuse_40_a_proxy_without_an_address) {
        static const char *const names[] = { "nobody.internal", "silent.internal" };
        static const uint32_t errors[] = { NB_WASI_EHOSTUNREACH, NB_WASI_ETIMEDOUT };
        struct world world;

        world_prepare(&world);
        world.dns = fake_dns_start(zone, COUNT(zone));
        world_start(&world, "direct", "Connect=127.0.0.0/8:*\nProxy=http://%s:80\nConnectTimeout=500ms\n", names[_i]);
        wire_send_connect(&world.control, world.destination.text);
        expect_failed(&world, errors[_i]);
        world_end(&world);
}
END_TEST

START_TEST(abuse_40_a_proxy_that_is_down) {
        struct world world;

        world_prepare(&world);
        world_start_by(&world, _i, "");
        peer_close(&world.proxy.peer);
        wire_send_connect(&world.control, world.destination.text);
        expect_failed(&world, NB_WASI_ECONNREFUSED);
        wire_settle(world.scene.web);
        peer_expect_nothing(world.destination.fd);
        world.proxy.peer = peer_listen("127.0.0.1", 1);
        world_end(&world);
}
END_TEST

START_TEST(abuse_40_a_proxy_that_goes_down_in_between) {
        struct world world;

        world_prepare(&world);
        world_start_by(&world, _i, "");
        wire_send_connect(&world.control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        fake_proxy_hang_up(&world.proxy);
        expect_failed(&world, NB_WASI_ECONNRESET);
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"connect\"", "the proxy closed the connection");
        fake_proxy_expect_nobody(&world.proxy);
        world_end(&world);
}
END_TEST

static const struct {
        enum fake_proxy_kind kind;
        const char *bytes;
        size_t length;
        uint32_t error;
        const char *reason;
} answers[] = {
        { FAKE_PROXY_CONNECT, TEXT("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"), NB_WASI_ECONNREFUSED,
          "302 Found" },
        { FAKE_PROXY_CONNECT, TEXT("HTTP/1.1 403 Forbidden\r\n\r\n"), NB_WASI_ECONNREFUSED, "403 Forbidden" },
        { FAKE_PROXY_CONNECT, TEXT("HTTP/1.1 407 Log in\r\n\r\n"), NB_WASI_EACCES, "wants a user and password" },
        { FAKE_PROXY_CONNECT, TEXT("HTTP/1.1 502 Bad\r\n\r\n"), NB_WASI_EHOSTUNREACH, "502 Bad" },
        { FAKE_PROXY_CONNECT, TEXT("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), NB_WASI_EPROTO, "continued" },
        { FAKE_PROXY_CONNECT, TEXT("SSH-2.0-x\r\n"), NB_WASI_EPROTO, "does not begin with HTTP" },
        { FAKE_PROXY_SOCKS5, TEXT("\x04\x5a"), NB_WASI_EPROTO, "does not speak SOCKS5" },
        { FAKE_PROXY_SOCKS5, TEXT("\x05\xff"), NB_WASI_EACCES, "wants a user and a password" },
        { FAKE_PROXY_SOCKS5, TEXT("\x05\x02\x01\x00"), NB_WASI_EPROTO, "does not speak SOCKS5" },
        { FAKE_PROXY_SOCKS5, TEXT("\x05\x00\x05\x02"), NB_WASI_ECONNREFUSED, "its rules do not allow it" },
        { FAKE_PROXY_SOCKS5, TEXT("\x05\x00\x05\x03"), NB_WASI_EHOSTUNREACH, "network unreachable" },
        { FAKE_PROXY_SOCKS5, TEXT("\x05\x00\x05\x05"), NB_WASI_ECONNREFUSED, "connection refused" },
};

START_TEST(abuse_39_what_answers_come_to) {
        struct world world;

        world_prepare(&world);
        world_start_by(&world, answers[_i].kind == FAKE_PROXY_SOCKS5, "");
        wire_send_connect(&world.control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        fake_proxy_send(&world.proxy, answers[_i].bytes, answers[_i].length);
        expect_failed(&world, answers[_i].error);
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"connect\"", answers[_i].reason);
        fake_proxy_hang_up(&world.proxy);
        fake_proxy_expect_nobody(&world.proxy);
        world_end(&world);
}
END_TEST

static void connect_and_fail(struct world *world, size_t answer) {
        wire_send_connect(&world->control, world->destination.text);
        fake_proxy_accept(&world->proxy);
        fake_proxy_send(&world->proxy, answers[answer].bytes, answers[answer].length);
        expect_failed(world, answers[answer].error);
        fake_proxy_hang_up(&world->proxy);
}

START_TEST(nothing_is_left_of_connects_that_fail) {
        struct daemon relay;
        struct world world;
        unsigned baseline, relay_baseline;

        world_prepare(&world);
        world_start_by(&world, _i, "");
        for (size_t i = 0; i < COUNT(answers); ++i)
                if (answers[i].kind == KIND(_i))
                        connect_and_fail(&world, i);
        wire_settle(world.scene.web);
        baseline = daemon_count_fds_at_rest(&world.scene.daemon);
        relay = (struct daemon){ .pid = harness_only_child(world.scene.daemon.pid) };
        relay_baseline = daemon_count_fds_at_rest(&relay);
        for (size_t i = 0; i < 10 * COUNT(answers); ++i)
                if (answers[i % COUNT(answers)].kind == KIND(_i))
                        connect_and_fail(&world, i % COUNT(answers));
        daemon_wait_fds(&world.scene.daemon, baseline);
        daemon_wait_fds(&relay, relay_baseline);
        world_end(&world);
}
END_TEST

/* A byte whenever nothing has happened for a moment: it is never silent, and never done. */
START_TEST(abuse_39_one_byte_at_a_time_does_not_move_the_deadline) {
        struct world world;
        uint64_t start;

        world_prepare(&world);
        world_start_by(&world, _i, "ConnectTimeout=500ms\n");
        start = harness_now_ms();
        wire_send_connect(&world.control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        if (KIND(_i) == FAKE_PROXY_CONNECT)
                fake_proxy_send(&world.proxy, TEXT("HTTP/1.1 200 OK\r\nA: "));
        else
                fake_proxy_send(&world.proxy, TEXT("\x05\x00\x05\x00\x00\x03\xff"));
        while (harness_poll(world.control.fd, POLLIN, 20) == 0) {
                (void)send(world.proxy.fd, "x", 1, MSG_NOSIGNAL);
                ck_assert_uint_lt(harness_now_ms() - start, HARNESS_DEADLINE_MS);
        }
        expect_failed(&world, NB_WASI_ETIMEDOUT);
        ck_assert_uint_ge(harness_now_ms() - start, 450);
        fake_proxy_hang_up(&world.proxy);
        world_end(&world);
}
END_TEST

START_TEST(abuse_39_a_flood_is_cut_off) {
        static const char *const pieces[] = { "A: b\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "0123456789abcdef" };
        size_t sent = 0;
        struct world world;

        world_prepare(&world);
        world_start_by(&world, 0, "");
        wire_send_connect(&world.control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        if (_i != 1)
                fake_proxy_send(&world.proxy, TEXT("HTTP/1.1 200 OK\r\n"));
        while (harness_poll(world.control.fd, POLLIN, 0) == 0) {
                ssize_t n = send(world.proxy.fd, pieces[_i], strlen(pieces[_i]), MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0)
                        break;
                sent += (size_t)n;
        }
        expect_failed(&world, NB_WASI_EPROTO);
        ck_assert_uint_lt(sent, 64 * 1024 * 1024);
        fake_proxy_hang_up(&world.proxy);
        world_end(&world);
}
END_TEST

/* ---- PROXY headers that come ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_ADDRESSES "\xc0\x00\x02\x01\x7f\x00\x00\x01\x10\x00\x01\xbb"

/* A listening guest, on a port of the kernel's choice. */
static void start_listening(struct world *world, const char *data_path, const char *rules,
                            char address[NB_ADDRESS_LENGTH_MAX + 1]) {
        world_prepare(world);
        world_start(world, data_path, "Listen=127.0.0.1:*\n%s", rules);
        (void)wire_close(&world->control);
        world->control = wire_open_control(world->scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&world->control, 8, address), 0);
}

/* Connects from an address of loopback and sends bytes. @return owned by the caller */
static int connect_and_send(const char *from, const char *address, const char *bytes, size_t length) {
        int fd = peer_connect_from(from, address);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
        return fd;
}

/* Takes the next connection, whose peer must be this, and reads from it. */
static void expect_accepted(struct world *world, uint64_t number, const char *peer, const char *bytes) {
        char peer_text[NB_ADDRESS_LENGTH_MAX + 1], local_text[NB_ADDRESS_LENGTH_MAX + 1], buffer[256];
        int fd = wire_receive_accepted_named(&world->control, number, peer_text, local_text);

        ck_assert_msg(strncmp(peer_text, peer, strlen(peer)) == 0, "it came from %s", peer_text);
        expect_kind(fd, world->is_direct);
        for (size_t have = 0; have < strlen(bytes);) {
                ssize_t n;

                ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
                n = recv(fd, buffer + have, sizeof(buffer) - have, 0);
                ck_assert_int_gt(n, 0);
                ck_assert_mem_eq(buffer + have, bytes + have, (size_t)n);
                have += (size_t)n;
        }
        (void)nb_fd_close(fd);
}

static const struct {
        const char *bytes;
        size_t length;
        const char *peer;
} announced[] = {
        { TEXT("PROXY TCP4 192.0.2.1 127.0.0.1 4096 443\r\nhello"), "192.0.2.1:4096" },
        { TEXT("PROXY TCP6 2001:db8::1 ::1 4096 443\r\nhello"), "[2001:db8::1]:4096" },
        { TEXT("PROXY UNKNOWN\r\nhello"), "127.0.0.2:" },
        { TEXT(SIGNATURE "\x21\x11\x00\x0c" V2_ADDRESSES "hello"), "192.0.2.1:4096" },
        { TEXT(SIGNATURE "\x20\x00\x00\x00hello"), "127.0.0.2:" },
};

START_TEST(a_header_says_who_the_peer_is) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        int fd;

        start_listening(&world, DATA_PATH(_i), "AcceptProxyHeader=127.0.0.2/32\n", address);
        for (size_t i = 0; i < COUNT(announced); ++i) {
                fd = connect_and_send("127.0.0.2", address, announced[i].bytes, announced[i].length);
                expect_accepted(&world, i + 1, announced[i].peer, "hello");
                (void)nb_fd_close(fd);
        }
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"accept\"", "\"192.0.2.1:4096\"",
                            "\"via\":\"127.0.0.2:", "\"verdict\":\"allowed\"");
        world_end(&world);
}
END_TEST

/* Byte by byte, and from a peer that sends it with what follows: nothing is lost or read twice. */
START_TEST(a_header_in_pieces) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        int fd;

        start_listening(&world, DATA_PATH(_i), "AcceptProxyHeader=127.0.0.2/32\n", address);
        fd = connect_and_send("127.0.0.2", address, announced[0].bytes, 1);
        for (size_t i = 1; i < announced[0].length; ++i) {
                wire_settle(world.scene.web);
                ck_assert_int_eq(send(fd, announced[0].bytes + i, 1, MSG_NOSIGNAL), 1);
        }
        expect_accepted(&world, 1, announced[0].peer, "hello");
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

START_TEST(a_header_of_a_stranger_is_data) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        int fd;

        start_listening(&world, DATA_PATH(_i), "AcceptProxyHeader=127.0.0.2/32\n", address);
        fd = connect_and_send("127.0.0.3", address, TEXT("PROXY TCP4 192.0.2.1 127.0.0.1 4096 443\r\n"));
        expect_accepted(&world, 1, "127.0.0.3:", "PROXY TCP4 192.0.2.1 127.0.0.1 4096 443\r\n");
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

static const struct {
        const char *bytes;
        size_t length;
} denied[] = {
        { TEXT("PROXY TCP4 192.0.2.1 127.0.0.1 4096 443\r\n") },
        { TEXT("PROXY TCP6 ::ffff:192.0.2.1 ::1 4096 443\r\n") },
        { TEXT("PROXY TCP6 64:ff9b::c000:201 ::1 4096 443\r\n") },
        { TEXT("PROXY TCP6 2002:c000:201::1 ::1 4096 443\r\n") },
        { TEXT(SIGNATURE "\x21\x11\x00\x0c" V2_ADDRESSES) },
        { TEXT(SIGNATURE "\x21\x21\x00\x24\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01\x00\x00\x00"
                         "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x10\x00\x01\xbb") },
};

START_TEST(abuse_12_13_an_announced_address_is_judged_in_any_spelling) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        int fd;

        start_listening(&world, DATA_PATH(_i), "AcceptProxyHeader=127.0.0.2/32\nDeny=192.0.2.0/24:*\n", address);
        for (size_t i = 0; i < COUNT(denied); ++i) {
                fd = connect_and_send("127.0.0.2", address, denied[i].bytes, denied[i].length);
                peer_expect_end(fd);
                (void)nb_fd_close(fd);
        }
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"accept\"", "\"192.0.2.1:4096\"",
                            "\"via\":\"127.0.0.2:", "\"verdict\":\"denied\"", "Deny=192.0.2.0/24:*");
        /* The first that the guest sees is one that is not denied. */
        fd = connect_and_send("127.0.0.2", address, TEXT("PROXY TCP4 198.51.100.1 127.0.0.1 4096 443\r\nhello"));
        expect_accepted(&world, 1, "198.51.100.1:4096", "hello");
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

START_TEST(a_listed_source_must_send_a_header) {
        static const char *const starts[] = { "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                              "PROXY TCP4 1.2.3.4 nonsense 1 2\r\n",
                                              "PROXY TCP4 192.0.2.1 127.0.0.1 4096 70000\r\n" };
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        int fd;

        start_listening(&world, DATA_PATH(_i), "AcceptProxyHeader=127.0.0.2/32\n", address);
        for (size_t i = 0; i < COUNT(starts); ++i) {
                fd = connect_and_send("127.0.0.2", address, starts[i], strlen(starts[i]));
                peer_expect_end(fd);
                (void)nb_fd_close(fd);
        }
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"accept\"", "127.0.0.2:", "no PROXY header");
        fd = connect_and_send("127.0.0.2", address, announced[0].bytes, announced[0].length);
        expect_accepted(&world, 1, announced[0].peer, "hello");
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

/* Good ones are served meanwhile. */
START_TEST(abuse_44_a_header_that_never_ends) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        int silent, slow, fd;
        struct world world;

        start_listening(&world, DATA_PATH(_i), "AcceptProxyHeader=127.0.0.2/32\nHandshakeTimeout=500ms\n", address);
        silent = peer_connect_from("127.0.0.2", address);
        slow = connect_and_send("127.0.0.2", address, TEXT("PROXY TCP4 "));
        fd = connect_and_send("127.0.0.2", address, announced[0].bytes, announced[0].length);
        expect_accepted(&world, 1, announced[0].peer, "hello");
        (void)nb_fd_close(fd);
        peer_expect_end(silent);
        peer_expect_end(slow);
        (void)nb_fd_close(silent);
        (void)nb_fd_close(slow);
        world_end(&world);
}
END_TEST

/* A listener of both families tells of IPv4 peers as of IPv6 ones. */
START_TEST(a_header_by_ipv4_at_a_listener_for_both) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], ipv4[NB_ADDRESS_TEXT_MAX];
        struct world world;
        int fd;

        world_prepare(&world);
        world_start(&world, DATA_PATH(_i), "Listen=[::]:*\nListen=0.0.0.0:*\nAcceptProxyHeader=127.0.0.2/32\n");
        (void)wire_close(&world.control);
        ck_assert_uint_eq(wire_open(world.scene.web, "[::]:0", &world.control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&world.control, 8, address), 0);
        (void)snprintf(ipv4, sizeof(ipv4), "127.0.0.1:%u", peer_port(address));
        fd = connect_and_send("127.0.0.2", ipv4, announced[0].bytes, announced[0].length);
        expect_accepted(&world, 1, announced[0].peer, "hello");
        (void)nb_fd_close(fd);
        fd = connect_and_send("127.0.0.3", ipv4, TEXT("PROXY TCP4 192.0.2.1 127.0.0.1 4096 443\r\n"));
        expect_accepted(&world, 2, "127.0.0.3:", "PROXY TCP4 192.0.2.1 127.0.0.1 4096 443\r\n");
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

/* What is not judged yet, or waits for its header, is nobody whom the guest could see. */
START_TEST(headers_that_come_in_another_order_than_their_senders) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        int fds[4];

        start_listening(&world, DATA_PATH(_i), "AcceptProxyHeader=127.0.0.2/32\n", address);
        for (size_t i = 0; i < COUNT(fds); ++i) {
                fds[i] = peer_connect_from("127.0.0.2", address);
                ck_assert_int_ge(fds[i], 0);
        }
        wire_settle(world.scene.web);
        wire_expect_silence(&world.control);
        for (size_t i = COUNT(fds); i-- > 0;) {
                char header[64], peer[64];
                int length = snprintf(header, sizeof(header), "PROXY TCP4 192.0.2.%zu 127.0.0.1 4096 443\r\n", i + 1);

                ck_assert_int_eq(send(fds[i], header, (size_t)length, MSG_NOSIGNAL), length);
                (void)snprintf(peer, sizeof(peer), "192.0.2.%zu:4096", i + 1);
                expect_accepted(&world, COUNT(fds) - i, peer, "");
        }
        for (size_t i = 0; i < COUNT(fds); ++i)
                (void)nb_fd_close(fds[i]);
        world_end(&world);
}
END_TEST

/* ---- PROXY headers that go ---- */

/* The address that a connected socket has here. */
static const char *local_of_peer(int fd, char buffer[static NB_ADDRESS_TEXT_MAX]) {
        struct sockaddr_storage sa;
        struct nb_address address;
        socklen_t length = sizeof(sa);

        ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &address), 0);
        return nb_address_format(&address, buffer);
}

static size_t expected_header(int version, const char *source, const char *destination, char buffer[static 128]) {
        uint16_t ports[] = { peer_port(source), peer_port(destination) };

        if (version == 1)
                return (size_t)snprintf(buffer, 128, "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\n", ports[0], ports[1]);
        memcpy(buffer, SIGNATURE "\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01", 24);
        for (size_t i = 0; i < 2; ++i) {
                buffer[24 + 2 * i] = (char)(ports[i] >> 8);
                buffer[25 + 2 * i] = (char)(ports[i] & 0xff);
        }
        return 28;
}

START_TEST(a_header_is_sent_in_front) {
        char header[128], source[NB_ADDRESS_TEXT_MAX];
        struct world world;
        int version = _i % 2 + 1;
        int fd = -1, other_fd;

        world_prepare(&world);
        world_start(&world, _i / 2 ? "relay" : "direct", "Connect=127.0.0.0/8:*\nSendProxyHeader=v%d\n", version);
        wire_send_connect(&world.control, world.destination.text);
        other_fd = peer_accept(&world.destination);
        world.proxy.fd = other_fd;
        fake_proxy_expect(&world.proxy, header,
                          expected_header(version, local_of_peer(other_fd, source), world.destination.text, header));
        ck_assert_uint_eq(wire_receive_connected(&world.control, &fd), 0);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

/* It is for the destination, so it comes behind what the proxy is asked. */
START_TEST(a_header_is_sent_through_a_proxy) {
        char header[128], source[NB_ADDRESS_TEXT_MAX];
        struct world world;

        world_prepare(&world);
        world_start_by(&world, _i, "SendProxyHeader=v1\n");
        wire_send_connect(&world.control, world.destination.text);
        fake_proxy_accept(&world.proxy);
        fake_proxy_expect_request(&world.proxy, KIND(_i), world.destination.text, false);
        fake_proxy_agree(&world.proxy, KIND(_i));
        fake_proxy_expect(&world.proxy, header,
                          expected_header(1, local_of_peer(world.proxy.fd, source), world.destination.text, header));
        expect_connected(&world);
        world_end(&world);
}
END_TEST

static void add_headers(TCase *tcase) {
        /* Of the data paths only: 0 is direct, 2 is relay. */
        for (int way = 0; way < N_WAYS; way += 2) {
                tcase_add_loop_test(tcase, a_header_says_who_the_peer_is, way, way + 1);
                tcase_add_loop_test(tcase, a_header_in_pieces, way, way + 1);
                tcase_add_loop_test(tcase, a_header_of_a_stranger_is_data, way, way + 1);
                tcase_add_loop_test(tcase, abuse_12_13_an_announced_address_is_judged_in_any_spelling, way, way + 1);
                tcase_add_loop_test(tcase, a_listed_source_must_send_a_header, way, way + 1);
                tcase_add_loop_test(tcase, abuse_44_a_header_that_never_ends, way, way + 1);
                tcase_add_loop_test(tcase, a_header_by_ipv4_at_a_listener_for_both, way, way + 1);
                tcase_add_loop_test(tcase, headers_that_come_in_another_order_than_their_senders, way, way + 1);
        }
        tcase_add_loop_test(tcase, a_header_is_sent_in_front, 0, 4);
        tcase_add_loop_test(tcase, a_header_is_sent_through_a_proxy, 0, N_WAYS);
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("proxy");
        TCase *tcase = tcase_create("proxy");

        suite_add_tcase(suite, tcase);
        tcase_add_loop_test(tcase, abuse_38_the_proxy_is_asked_for_the_address, 0, N_WAYS);
        tcase_add_loop_test(tcase, an_ipv6_address_by_an_ipv4_proxy, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_12_13_an_address_has_one_spelling_for_a_proxy, 0, N_WAYS);
        tcase_add_loop_test(tcase, a_preopened_connection_by_a_proxy, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_39_bytes_behind_the_answer_are_the_guests, 0, N_WAYS);
        tcase_add_loop_test(tcase, a_proxy_with_a_password, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_36_a_password_that_cannot_be_sent, 0, 7);
        tcase_add_loop_test(tcase, a_chain_of_two, 0, 8);
        tcase_add_loop_test(tcase, abuse_38_the_proxy_gets_the_judged_address, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_38_the_proxy_gets_the_name_where_the_policy_says_so, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_23_what_is_refused_is_refused_through_a_proxy, 0, 2 * N_WAYS);
        tcase_add_loop_test(tcase, abuse_23_what_is_refused_stays_so_where_the_proxy_resolves, 0, N_WAYS);
        tcase_add_loop_test(tcase, proxies_that_have_names, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_40_a_proxy_without_an_address, 0, 2);
        tcase_add_loop_test(tcase, abuse_40_a_proxy_that_is_down, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_40_a_proxy_that_goes_down_in_between, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_39_what_answers_come_to, 0, COUNT(answers));
        tcase_add_loop_test(tcase, nothing_is_left_of_connects_that_fail, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_39_one_byte_at_a_time_does_not_move_the_deadline, 0, N_WAYS);
        tcase_add_loop_test(tcase, abuse_39_a_flood_is_cut_off, 0, 3);
        add_headers(tcase);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
