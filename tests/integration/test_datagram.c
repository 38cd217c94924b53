/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams, for clients: what a session gets, what it never sees, and what it is refused.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define BOTH_TYPES "SocketTypes=stream dgram\n"

static const char *const loopbacks[] = { "127.0.0.1", "::1" };

static const char *any_of(const char *ip) {
        return strchr(ip, ':') ? "[::]:0" : "0.0.0.0:0";
}

static const char *bound_of(const char *ip) {
        return strchr(ip, ':') ? "[::1]:0" : "127.0.0.1:0";
}

static struct wire open_dgram(struct wire *protocol, const char *address, char ret_address[NB_ADDRESS_LENGTH_MAX + 1]) {
        struct wire control = { .fd = -1 };
        uint32_t error = wire_open_dgram(protocol, address, &control, ret_address);

        ck_assert_msg(error == 0, "open %s: errno %u", address, error);
        return control;
}

static int connect_dgram(struct wire *control, const struct peer *peer) {
        int fd = -1;

        ck_assert_uint_eq(wire_connect_to(control, peer->text, &fd), 0);
        return fd;
}

static void send_text(int fd, const char *text) {
        ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static int option_of(int fd, int option) {
        socklen_t length = sizeof(int);
        int value = -1;

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, option, &value, &length), 0);
        return value;
}

START_TEST(a_datagram_socket_works_and_the_broker_is_out_of_it) {
        struct peer peer = peer_udp(loopbacks[_i]);
        char from[NB_ADDRESS_TEXT_MAX], to[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        control = open_dgram(scene.web, any_of(loopbacks[_i]), NULL);
        ck_assert_uint_eq(wire_connect_named(&control, peer.text, &fd, to, local), 0);
        ck_assert_str_eq(to, peer.text);
        ck_assert_str_eq(local, "");
        ck_assert_int_eq(option_of(fd, SO_TYPE), SOCK_DGRAM);
        ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        /* Borders are kept, also of the empty one. */
        send_text(fd, "one");
        send_text(fd, "");
        send_text(fd, "three");
        peer_udp_expect(peer.fd, "one", from);
        peer_udp_expect(peer.fd, "", NULL);
        peer_udp_expect(peer.fd, "three", NULL);
        peer_udp_send(&peer, from, "answer");
        peer_udp_expect(fd, "answer", NULL);
        /* The control is all that is left of it there. */
        daemon_wait_fds(&scene.daemon, scene.baseline + 1);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"allowed\"", peer.text);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* As large as one can be, so that on most networks it would come in fragments. */
START_TEST(a_large_datagram) {
        struct peer peer = peer_udp(loopbacks[_i]);
        char from[NB_ADDRESS_TEXT_MAX];
        enum { size = 60000 };
        NB_CLEANUP_FREE char *sent = malloc(size), *received = malloc(size + 1);
        struct nb_address address;
        struct sockaddr_storage sa;
        struct scene scene;
        struct wire control;
        socklen_t length;
        int fd;

        ck_assert_ptr_nonnull(sent);
        ck_assert_ptr_nonnull(received);
        memset(sent, 'x', size);
        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        control = open_dgram(scene.web, any_of(loopbacks[_i]), NULL);
        fd = connect_dgram(&control, &peer);
        send_text(fd, "hello");
        peer_udp_expect(peer.fd, "hello", from);
        ck_assert_int_eq(nb_address_parse(from, strlen(from), &address), 0);
        length = nb_address_to_sockaddr(&address, &sa);
        ck_assert_int_eq(sendto(peer.fd, sent, size, 0, (struct sockaddr *)&sa, length), (ssize_t)size);
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(fd, received, size + 1, 0), (ssize_t)size);
        ck_assert_int_eq(memcmp(sent, received, size), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* Between the bind and the connect the port is anyone's to send to; after it, only the peer's. */
START_TEST(a_strangers_datagram_is_never_seen) {
        struct peer peer = peer_udp(loopbacks[_i]), stranger = peer_udp(loopbacks[_i]);
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        control = open_dgram(scene.web, bound_of(loopbacks[_i]), address);
        for (int i = 0; i < 100; ++i)
                peer_udp_send(&stranger, address, "stranger");
        /* Not even the peer's counts before it is one. */
        peer_udp_send(&peer, address, "early");
        fd = connect_dgram(&control, &peer);
        peer_udp_send(&stranger, address, "stranger");
        peer_expect_nothing(fd);
        peer_udp_send(&peer, address, "peer");
        peer_udp_expect(fd, "peer", NULL);
        peer_expect_nothing(fd);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&stranger);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* A socket that differs from the peer's in its port, or for the third way in nothing but its address. */
static struct peer elsewhere(const struct peer *peer, int way) {
        struct peer other = { .fd = -1, .address = peer->address };
        struct sockaddr_storage sa;
        socklen_t length;

        if (way < 2)
                return peer_udp(loopbacks[way]);
        other.address.ip.bytes[3]++;
        other.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        length = nb_address_to_sockaddr(&other.address, &sa);
        ck_assert_int_eq(bind(other.fd, (struct sockaddr *)&sa, length), 0);
        return other;
}

/*
 * What a descriptor is worth to a holder that is not locked down (abuse cases 1 and 2): it can be connected elsewhere, which is why
 * DataPath=direct is the operator's word, but nothing comes back from there, and no call undoes that.
 */
START_TEST(abuse_2_nothing_comes_from_elsewhere) {
        struct peer peer = peer_udp(loopbacks[_i % 2]), other = elsewhere(&peer, _i);
        const struct sockaddr none = { .sa_family = AF_UNSPEC };
        struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, 0xffff);
        const struct sock_fprog all = { .len = 1, .filter = &pass };
        char from[NB_ADDRESS_TEXT_MAX];
        struct sockaddr_storage sa;
        socklen_t length;
        struct scene scene;
        struct wire control;
        int fd, zero = 0;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        control = open_dgram(scene.web, any_of(loopbacks[_i % 2]), NULL);
        fd = connect_dgram(&control, &peer);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero)), -1);
        ck_assert_int_eq(errno, EPERM);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof(all)), -1);
        ck_assert_int_eq(errno, EPERM);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &zero, sizeof(zero)), -1);
        ck_assert_int_eq(errno, EPERM);

        ck_assert_int_eq(connect(fd, &none, sizeof(none)), 0);
        length = nb_address_to_sockaddr(&other.address, &sa);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, length), 0);
        send_text(fd, "out");
        peer_udp_expect(other.fd, "out", from);
        peer_udp_send(&other, from, "in");
        peer_expect_nothing(fd);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&other);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* The peer's port is closed, and its kernel says so: the filter lets the errors of the network through. */
START_TEST(nobody_there) {
        struct peer peer = peer_udp(loopbacks[_i]);
        struct scene scene;
        struct wire control;
        char byte;
        int fd;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        control = open_dgram(scene.web, any_of(loopbacks[_i]), NULL);
        peer_close(&peer);
        fd = connect_dgram(&control, &peer);
        send_text(fd, "hello");
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
        ck_assert_int_eq(errno, ECONNREFUSED);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

START_TEST(connections_one_after_the_other) {
        struct peer peers[16];
        struct scene scene;
        struct wire control;
        int fds[16];

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        /* An IPv6 one reaches both families, as for streams. */
        control = open_dgram(scene.web, "[::]:0", NULL);
        for (int i = 0; i < 16; ++i) {
                peers[i] = peer_udp(loopbacks[i % 2]);
                fds[i] = connect_dgram(&control, &peers[i]);
        }
        daemon_wait_fds(&scene.daemon, scene.baseline + 1);
        for (int i = 0; i < 16; ++i) {
                send_text(fds[i], "hello");
                peer_udp_expect(peers[i].fd, "hello", NULL);
                (void)nb_fd_close(fds[i]);
                peer_close(&peers[i]);
        }
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

START_TEST(a_bound_one_sends_from_its_port) {
        struct peer peer = peer_udp("127.0.0.1");
        char address[NB_ADDRESS_LENGTH_MAX + 1], from[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        int fd, second;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        control = open_dgram(scene.web, "127.0.0.1:0", address);
        fd = connect_dgram(&control, &peer);
        send_text(fd, "hello");
        peer_udp_expect(peer.fd, "hello", from);
        ck_assert_str_eq(from, address);
        /* The port is that socket's as long as it lives. */
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &second), NB_WASI_EADDRINUSE);
        (void)nb_fd_close(fd);
        fd = connect_dgram(&control, &peer);
        send_text(fd, "again");
        peer_udp_expect(peer.fd, "again", from);
        ck_assert_str_eq(from, address);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* Nobody gets a share of a port: not another control, not another tenant, not a stranger who asks for it (abuse case 4). */
START_TEST(abuse_4_a_port_has_one_tenant) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], wildcard[NB_ADDRESS_TEXT_MAX];
        struct nb_address bound;
        struct sockaddr_storage sa;
        struct wire_session session;
        struct wire control, none;
        struct scene scene;
        socklen_t length;
        int fd, one = 1;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK "Listen=0.0.0.0:*\n");
        daemon_write_policy_file(
                &scene.daemon, "other.conf",
                "[Tenant]\nName=other\nUser=%u\n[Protocol web]\nFamily=ip\nDataPath=direct\n" BOTH_TYPES
                "Listen=127.0.0.1:*\nListen=0.0.0.0:*\n",
                (unsigned)getuid());
        daemon_reload(&scene.daemon);
        wire_session_open(scene.daemon.socket_path, "other", &session);

        control = open_dgram(scene.web, "127.0.0.1:0", address);
        ck_assert_uint_eq(wire_open_dgram(scene.web, address, &none, NULL), NB_WASI_EADDRINUSE);
        ck_assert_uint_eq(wire_open_dgram(&session.protocols[0], address, &none, NULL), NB_WASI_EADDRINUSE);
        (void)snprintf(wildcard, sizeof(wildcard), "0.0.0.0:%u", peer_port(address));
        ck_assert_uint_eq(wire_open_dgram(&session.protocols[0], wildcard, &none, NULL), NB_WASI_EADDRINUSE);

        ck_assert_int_eq(nb_address_parse(address, strlen(address), &bound), 0);
        length = nb_address_to_sockaddr(&bound, &sa);
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, length), -1);
        ck_assert_int_eq(errno, EADDRINUSE);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        wire_session_close(&session);
        /* The other tenant's shelf (broker/connection_files.h) and its two sets of watches (broker/throttle.h). */
        scene.baseline += 3;
        scene_end(&scene);
}
END_TEST

START_TEST(the_options_of_a_bound_one) {
        struct peer peer = peer_udp("127.0.0.1");
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        control = open_dgram(scene.web, "127.0.0.1:0", NULL);
        fd = connect_dgram(&control, &peer);
        ck_assert_int_eq(option_of(fd, SO_REUSEADDR), 0);
        ck_assert_int_eq(option_of(fd, SO_REUSEPORT), 0);
        ck_assert_int_eq(option_of(fd, SO_BROADCAST), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* ---- refused ---- */

/* One row an address that a rule for everything does not name. */
static const struct {
        const char *address;
        uint32_t error;
} refusals[] = {
        { "224.0.0.1:53", NB_WASI_EACCES },
        { "239.255.255.250:1900", NB_WASI_EACCES },
        { "255.255.255.255:67", NB_WASI_EACCES },
        { "[ff02::1]:53", NB_WASI_EACCES },
        { "[ff0e::1]:53", NB_WASI_EACCES },
        { "[::ffff:224.0.0.1]:53", NB_WASI_EACCES },
        { "169.254.169.254:53", NB_WASI_EACCES },
        { "[64:ff9b::a9fe:a9fe]:53", NB_WASI_EACCES },
        { "127.0.0.1:53", NB_WASI_EACCES },
        { "0.0.0.0:53", NB_WASI_EACCES },
        { "198.51.100.9:53", NB_WASI_EACCES }, /* a Deny rule */
        { "198.51.100.1:0", NB_WASI_EACCES },
        { "redis.example:53", NB_WASI_EACCES },
        { "127.1:53", NB_WASI_EINVAL },
        { "", NB_WASI_EINVAL },
        { "/run/dns.sock", NB_WASI_EAFNOSUPPORT },
};

START_TEST(refused_with_a_record) {
        NB_CLEANUP_FREE char *reason = NULL;
        struct scene scene;
        struct wire control;

        scene_start(&scene, NULL, BOTH_TYPES "Connect=0.0.0.0/0:*\nConnect=[::]/0:*\nDeny=198.51.100.9/32:*\n");
        control = open_dgram(scene.web, "[::]:0", NULL);
        ck_assert_uint_eq(wire_connect_refused(&control, refusals[_i].address, &reason), refusals[_i].error);
        ck_assert_str_ne(reason, "");
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"denied\"", "\"reason\":\"");
        daemon_wait_fds(&scene.daemon, scene.baseline + 1);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* A server is the relay's, and needs a grant. Where one of both is missing the control is still a client. The program goes when the daemon has started. */
START_TEST(no_servers_without_a_relay) {
        char program[64];
        const char *const arguments[] = { "--relay-program", program, NULL };
        const struct daemon_options options = { .arguments = arguments };
        struct peer peer = peer_udp("127.0.0.1");
        struct scene scene;
        struct wire control;
        int fd;

        (void)snprintf(program, sizeof(program), "/tmp/nb-test-relay-%d", (int)getpid());
        ck_assert_int_eq(symlink(getenv("NETBROKER_RELAY"), program), 0);
        scene_start(&scene, &options, BOTH_TYPES SCENE_LOOPBACK);
        ck_assert_int_eq(unlink(program), 0);
        control = open_dgram(scene.web, _i ? "127.0.0.1:0" : "0.0.0.0:0", NULL);
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), _i ? NB_WASI_ENOTSUP : NB_WASI_EACCES);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"listen\"", "\"verdict\":\"denied\"",
                            _i ? "netbroker-relay" : "0.0.0.0:0");
        fd = connect_dgram(&control, &peer);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(only_the_types_of_the_policy) {
        struct scene scene;
        struct wire none, control;

        scene_start(&scene, NULL,
                    SCENE_LOOPBACK
                    "[Protocol dns]\nFamily=ip\nDataPath=direct\nSocketTypes=dgram\nConnect=127.0.0.1:*\n");
        ck_assert_uint_eq(wire_open_dgram(scene.web, "0.0.0.0:0", &none, NULL), NB_WASI_ENOTSUP);
        ck_assert_uint_eq(wire_open(&scene.session.protocols[1], "0.0.0.0:0", &none, NULL), NB_WASI_ENOTSUP);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"open\"", "\"protocol\":\"web\"", "SocketTypes=");
        daemon_expect_audit(&scene.daemon, "\"verb\":\"open\"", "\"protocol\":\"dns\"", "SocketTypes=");
        control = open_dgram(&scene.session.protocols[1], "0.0.0.0:0", NULL);
        (void)wire_close(&control);
        /* A bind takes a Listen rule, whatever it is for. */
        ck_assert_uint_eq(wire_open_dgram(&scene.session.protocols[1], "127.0.0.1:0", &none, NULL), NB_WASI_EACCES);
        scene_end(&scene);
}
END_TEST

START_TEST(a_reload_takes_a_bound_one) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control, open;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        control = open_dgram(scene.web, "127.0.0.1:0", address);
        open = open_dgram(scene.web, "0.0.0.0:0", NULL);
        scene_write_policy(&scene, BOTH_TYPES "Connect=127.0.0.1:*\n");
        daemon_reload(&scene.daemon);
        wire_expect_end(&control);
        (void)wire_close(&control);
        (void)wire_close(&open);
        scene_end(&scene);
}
END_TEST

/* An open one binds nothing that could be judged, and is of no use any more. */
START_TEST(a_reload_takes_the_type) {
        struct scene scene;
        struct wire open, stream;

        scene_start(&scene, NULL, BOTH_TYPES SCENE_LOOPBACK);
        open = open_dgram(scene.web, "0.0.0.0:0", NULL);
        stream = wire_open_control(scene.web, "0.0.0.0:0");
        scene_write_policy(&scene, SCENE_LOOPBACK);
        daemon_reload(&scene.daemon);
        wire_expect_end(&open);
        wire_expect_silence(&stream);
        (void)wire_close(&open);
        (void)wire_close(&stream);
        scene_end(&scene);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("datagram");
        TCase *tcase = tcase_create("datagram");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, a_datagram_socket_works_and_the_broker_is_out_of_it, 0, 2);
        tcase_add_loop_test(tcase, a_large_datagram, 0, 2);
        tcase_add_loop_test(tcase, a_strangers_datagram_is_never_seen, 0, 2);
        tcase_add_loop_test(tcase, abuse_2_nothing_comes_from_elsewhere, 0, 3);
        tcase_add_loop_test(tcase, nobody_there, 0, 2);
        tcase_add_test(tcase, connections_one_after_the_other);
        tcase_add_test(tcase, a_bound_one_sends_from_its_port);
        tcase_add_test(tcase, abuse_4_a_port_has_one_tenant);
        tcase_add_test(tcase, the_options_of_a_bound_one);
        tcase_add_loop_test(tcase, refused_with_a_record, 0, sizeof(refusals) / sizeof(refusals[0]));
        tcase_add_loop_test(tcase, no_servers_without_a_relay, 0, 2);
        tcase_add_test(tcase, only_the_types_of_the_policy);
        tcase_add_test(tcase, a_reload_takes_a_bound_one);
        tcase_add_test(tcase, a_reload_takes_the_type);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
