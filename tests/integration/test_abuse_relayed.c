/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relayed connections as an attacker sees them: from the guest's host, which holds one end of a pair; from a peer, which may be silent, slow,
 * or talk nonsense; and from a neighbour. The relay is the real one.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/certificates.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"
#include "tests/support/tls_peer.h"

#define TENANT                                                                                                         \
        "[Tenant]\nName=%s\nUser=%u\nExplainDenials=yes\n%s[Protocol "                                                 \
        "web]\nFamily=ip\nDataPath=relay\n%s" SCENE_LOOPBACK

#define SLOW_LINKS 32
#define HALF_OPEN 1000

/* What the relay may keep for a link that nobody reads from, in both directions, and what its process may grow by for another reason. */
#define SLOW_LINK_KIB (2 * 128)
#define SLOW_SLACK_KIB 16384

struct world {
        struct certificates certificates;
        struct daemon daemon;
        struct wire_session session; /* of "acme" */
        struct wire_session other;   /* of "other" */
};

static void write_tenant(const struct world *world, const char *name, const char *limits, const char *keys) {
        char file[64];

        (void)snprintf(file, sizeof(file), "%s.conf", name);
        daemon_write_policy_file(&world->daemon, file, TENANT, name, (unsigned)getuid(), limits, keys);
}

/** @param limits  lines of [Tenant] of "acme" @param keys  lines of its protocol; "other" has the same without the limits */
static void world_start(struct world *world, const char *limits, const char *keys) {
        daemon_init(&world->daemon);
        write_tenant(world, "acme", limits, keys);
        write_tenant(world, "other", "", keys);
        daemon_start(&world->daemon, NULL);
        wire_session_open(world->daemon.socket_path, "acme", &world->session);
        wire_session_open(world->daemon.socket_path, "other", &world->other);
}

static void world_end(struct world *world) {
        wire_session_close(&world->session);
        wire_session_close(&world->other);
        daemon_stop(&world->daemon);
        daemon_deinit(&world->daemon);
}

/* With an authority, and a certificate for 127.0.0.1, "good", and one for a name, "named". */
static void tls_world_start(struct world *world, const char *limits, const char *keys) {
        const struct certificate good = {
                .name = "good",
                .issuer = "root",
                .template = "ip_address = 127.0.0.1\ntls_www_server\nsigning_key\n",
        };
        char trust[CERTIFICATES_PATH_MAX], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];
        char text[1024];

        certificates_init(&world->certificates);
        certificates_make_authority(&world->certificates, "root", NULL);
        certificates_make(&world->certificates, &good);
        certificates_make_server(&world->certificates, "named", "root", "www.example");
        ck_assert_int_lt(snprintf(text, sizeof(text), "TLS=both\nTLSTrust=%s\nTLSCertificate=%s %s\n%s",
                                  certificates_path(&world->certificates, "root.pem", trust),
                                  certificates_path(&world->certificates, "good.chain", chain),
                                  certificates_path(&world->certificates, "good.key", key), keys),
                         (int)sizeof(text));
        world_start(world, limits, text);
}

static void tls_world_end(struct world *world) {
        world_end(world);
        certificates_deinit(&world->certificates);
}

static long resident_kib(pid_t pid) {
        NB_CLEANUP_FREE char *text = NULL;
        const char *line;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        text = daemon_read(path);
        line = strstr(text, "VmRSS:");
        ck_assert_ptr_nonnull(line);
        return strtol(line + strlen("VmRSS:"), NULL, 10);
}

/* @param ret_error  0: a clean end */
static void read_to_the_end(int fd, int *ret_error, size_t *ret_length) {
        char buffer[4096];
        ssize_t n;

        *ret_length = 0;
        do {
                ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
                n = read(fd, buffer, sizeof(buffer));
                *ret_length += n > 0 ? (size_t)n : 0;
        } while (n > 0);
        *ret_error = n < 0 ? errno : 0;
}

/* ---- the end of a pair ---- */

/* Nothing makes anything else of it, and it says nothing of who is behind it (abuse cases 1, 3, 4). */
START_TEST(abuse_1_3_4_a_relayed_stream_stays_with_its_peer) {
        struct peer peer = peer_listen("127.0.0.1", 8), elsewhere = peer_listen("127.0.0.1", 8);
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
        struct ucred credentials;
        socklen_t length = sizeof(credentials);
        struct world world;
        struct wire control;
        int fd, other_fd;

        world_start(&world, "", "");
        control = wire_open_control(&world.session.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        other_fd = peer_accept(&peer);
        address.sin_port = htons(peer_port(elsewhere.text));
        ck_assert_int_eq(connect(fd, &nowhere, sizeof(nowhere)), -1);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), -1);
        ck_assert_int_eq(listen(fd, 1), -1);
        ck_assert_int_eq(sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address)), -1);
        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length), 0);
        ck_assert_int_eq(credentials.pid, world.daemon.pid);
        peer_exchange(fd, other_fd);
        peer_expect_nothing(elsewhere.fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        peer_close(&peer);
        peer_close(&elsewhere);
        world_end(&world);
}
END_TEST

/* ---- who does not read ---- */

/* Writes until nothing more is taken for a moment. */
static void fill(int fd) {
        const char zeros[16384] = { 0 };

        while (harness_poll(fd, POLLOUT, 50) & POLLOUT) {
                ssize_t n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL);

                ck_assert(n > 0 || errno == EAGAIN);
        }
}

/* Both sides write and neither reads: the relay keeps little, and goes on for others. */
START_TEST(abuse_45_who_does_not_read_costs_little) {
        struct peer peer = peer_listen("127.0.0.1", 2 * SLOW_LINKS);
        int fds[SLOW_LINKS], other_fds[SLOW_LINKS], fd, other_fd;
        struct world world;
        struct wire control;
        long before;

        world_start(&world, "", "");
        control = wire_open_control(&world.session.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        other_fd = peer_accept(&peer);
        peer_exchange(fd, other_fd);
        before = resident_kib(harness_only_child(world.daemon.pid));
        for (size_t i = 0; i < SLOW_LINKS; ++i) {
                ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fds[i]), 0);
                other_fds[i] = peer_accept(&peer);
                fill(fds[i]);
                fill(other_fds[i]);
        }
        ck_assert_int_lt(resident_kib(harness_only_child(world.daemon.pid)) - before,
                         SLOW_LINKS * SLOW_LINK_KIB + SLOW_SLACK_KIB);
        peer_exchange(fd, other_fd);
        for (size_t i = 0; i < SLOW_LINKS; ++i) {
                (void)nb_fd_close(fds[i]);
                (void)nb_fd_close(other_fds[i]);
        }
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

/* ---- handshakes ---- */

/* A client that nobody here wrote says a word to the guest's listener. */
static void expect_served(struct wire *control, const char *address, uint64_t number) {
        PROCESS process;
        int fd;

        PROCESS_START(&process, "openssl", "s_client", "-connect", address, "-ign_eof", "-quiet");
        fd = wire_receive_accepted(control, number);
        ck_assert_int_eq(write(fd, "served\n", 7), 7);
        process_expect(&process, "served", HARNESS_DEADLINE_MS);
        (void)nb_fd_close(fd);
        (void)process_finish(&process, HARNESS_DEADLINE_MS);
}

START_TEST(abuse_44_half_open_handshakes_keep_nobody_out) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        int fds[HALF_OPEN];
        struct world world;
        struct wire control;

        tls_world_start(&world, "", "HandshakeTimeout=10min\n");
        ck_assert_uint_eq(wire_open(&world.session.protocols[0], "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 1, address), 0);
        for (size_t i = 0; i < HALF_OPEN; ++i) {
                fds[i] = peer_connect(address);
                ck_assert_int_ge(fds[i], 0);
                if (i % 2 == 0)
                        ck_assert_int_eq(send(fds[i], "\x16\x03\x01\x01\x00\x01", 6, MSG_NOSIGNAL), 6);
        }
        expect_served(&control, address, 1);
        for (size_t i = 0; i < HALF_OPEN; ++i)
                (void)nb_fd_close(fds[i]);
        (void)wire_close(&control);
        tls_world_end(&world);
}
END_TEST

/* One tenant has all the handshakes that it may have under way: another tenant's go on. */
START_TEST(abuse_45_handshakes_of_one_tenant) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], other_address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire control, other_control;
        struct world world;
        int fds[64];

        tls_world_start(&world, "MaxHandshakes=8\n", "HandshakeTimeout=10min\n");
        ck_assert_uint_eq(wire_open(&world.session.protocols[0], "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 8, address), 0);
        ck_assert_uint_eq(wire_open(&world.other.protocols[0], "127.0.0.1:0", &other_control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&other_control, 8, other_address), 0);
        for (size_t i = 0; i < 64; ++i)
                fds[i] = peer_connect(address);
        expect_served(&other_control, other_address, 1);
        wire_expect_silence(&control);
        for (size_t i = 0; i < 64; ++i)
                (void)nb_fd_close(fds[i]);
        expect_served(&control, address, 1);
        (void)wire_close(&control);
        (void)wire_close(&other_control);
        tls_world_end(&world);
}
END_TEST

static const struct {
        const char *bytes;
        size_t length;
} nonsense[] = {
        { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27 },
        { "\x16\x03\x01\xff\xff", 5 },
        { "\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00", 10 },
        { "\x15\x03\x03\x00\x02\x02\x28", 7 },
        { "\x17\x03\x03\x00\x03xyz", 8 },
        { "\x14\x03\x03\x00\x01\x01", 6 },
        { "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80", 14 },
        { "\x00\x00\x00\x00\x00\x00\x00\x00", 8 },
};

/* What is no TLS is cut off and never shown, and the relay lives. */
START_TEST(abuse_41_nonsense_instead_of_a_handshake) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;
        size_t length;
        pid_t relay;
        int error;

        tls_world_start(&world, "", "");
        ck_assert_uint_eq(wire_open(&world.session.protocols[0], "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 8, address), 0);
        expect_served(&control, address, 1);
        relay = harness_only_child(world.daemon.pid);
        for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); ++i) {
                int fd = peer_connect(address);

                ck_assert_int_eq(send(fd, nonsense[i].bytes, nonsense[i].length, MSG_NOSIGNAL),
                                 (ssize_t)nonsense[i].length);
                ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
                /* An alert may come before the end. */
                read_to_the_end(fd, &error, &length);
                ck_assert_uint_lt(length, 64);
                (void)nb_fd_close(fd);
        }
        wire_expect_silence(&control);
        expect_served(&control, address, 2);
        ck_assert_int_eq(harness_only_child(world.daemon.pid), relay);
        daemon_expect_audit(&world.daemon, "\"verb\":\"accept\"", "\"verdict\":\"denied\"", "\"reason\"");
        (void)wire_close(&control);
        tls_world_end(&world);
}
END_TEST

/* ---- servers ---- */

static void port_text(uint16_t port, char *text, size_t size) {
        (void)snprintf(text, size, "127.0.0.1:%u", (unsigned)port);
}

/* By the broker's whole way: refused for the guest, and why is in the record. */
START_TEST(abuse_41_a_certificate_of_another_name) {
        char address[NB_ADDRESS_TEXT_MAX];
        struct world world;
        struct wire control;
        PROCESS server;
        int fd;

        tls_world_start(&world, "", "");
        port_text(tls_peer_openssl(&server, &world.certificates, "named", NULL), address, sizeof(address));
        control = wire_open_control(&world.session.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "\"verb\":\"connect\"", "\"verdict\":\"denied\"", "127.0.0.1",
                            "certificate");
        (void)wire_close(&control);
        (void)process_stop(&server);
        tls_world_end(&world);
}
END_TEST

/* A page with its end, and a server that is killed: only the former is whole (abuse case 42). */
START_TEST(abuse_42_a_truncation_is_a_reset_for_the_guest) {
        const char request[] = "GET / HTTP/1.0\r\n\r\n";
        char address[NB_ADDRESS_TEXT_MAX];
        struct world world;
        struct wire control;
        size_t length;
        PROCESS server;
        int fd, error;

        tls_world_start(&world, "", "");
        port_text(tls_peer_openssl(&server, &world.certificates, "good", NULL), address, sizeof(address));
        control = wire_open_control(&world.session.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), 0);
        ck_assert_int_eq(write(fd, request, sizeof(request) - 1), (ssize_t)(sizeof(request) - 1));
        read_to_the_end(fd, &error, &length);
        ck_assert_int_eq(error, 0);
        ck_assert_uint_gt(length, 0);
        (void)nb_fd_close(fd);

        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), 0);
        ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
        read_to_the_end(fd, &error, &length);
        ck_assert_int_eq(error, ECONNRESET);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        (void)process_finish(&server, HARNESS_DEADLINE_MS);
        tls_world_end(&world);
}
END_TEST

/* ---- a reload in between ---- */

/* What was dialled to be TLS does not become a plain stream because the operator took the protocol away meanwhile. */
START_TEST(abuse_41_what_was_to_be_tls_stays_so) {
        struct peer full = peer_listen("127.0.0.1", 1);
        int fds[16], fd;
        struct world world;
        struct wire control;
        size_t n_full;

        tls_world_start(&world, "Existing=keep\n", "");
        n_full = peer_fill_backlog(&full, fds, 16);
        control = wire_open_control(&world.session.protocols[0], "0.0.0.0:0");
        wire_send_connect(&control, full.text);
        wire_settle(&world.session.protocols[0]);
        daemon_write_policy_file(&world.daemon, "acme.conf",
                                 "[Tenant]\nName=acme\nUser=%u\nExisting=keep\n[Protocol another]\nFamily=ip\n"
                                 "DataPath=direct\nConnect=192.0.2.1:1\n",
                                 (unsigned)getuid());
        daemon_reload(&world.daemon);
        for (size_t i = 0; i < n_full; ++i)
                (void)nb_fd_close(fds[i]);
        (void)nb_fd_close(peer_accept(&full));
        (void)nb_fd_close(peer_accept(&full));
        ck_assert_uint_ne(wire_receive_connected(&control, &fd), 0);
        (void)wire_close(&control);
        peer_close(&full);
        tls_world_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("abuse_relayed");
        TCase *guests = tcase_create("guests"), *peers = tcase_create("peers");

        tcase_add_test(guests, abuse_1_3_4_a_relayed_stream_stays_with_its_peer);
        tcase_add_test(guests, abuse_45_who_does_not_read_costs_little);
        suite_add_tcase(suite, guests);
        tcase_add_test(peers, abuse_44_half_open_handshakes_keep_nobody_out);
        tcase_add_test(peers, abuse_45_handshakes_of_one_tenant);
        tcase_add_test(peers, abuse_41_nonsense_instead_of_a_handshake);
        tcase_add_test(peers, abuse_41_a_certificate_of_another_name);
        tcase_add_test(peers, abuse_42_a_truncation_is_a_reset_for_the_guest);
        tcase_add_test(peers, abuse_41_what_was_to_be_tls_stays_so);
        suite_add_tcase(suite, peers);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
