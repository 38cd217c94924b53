/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload takes from who holds it, by netbroker-helper; and that nobody can have it destroy what is not theirs.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/destroy_message.h"
#include "tests/support/fake_dns.h"
#include "tests/support/kernel.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

/* Another user, who is nobody in particular. */
#define STRANGER 65534

struct helper {
        struct process process;
        char folder[32];
        char path[64];
};

/* The folder is there before the helper, so that a daemon can be told the path. */
static void helper_init(struct helper *helper) {
        (void)snprintf(helper->folder, sizeof(helper->folder), "/tmp/netbroker-helper-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(helper->folder));
        (void)snprintf(helper->path, sizeof(helper->path), "%s/helper.sock", helper->folder);
        helper->process = (struct process){ .pid = -1, .out = -1 };
}

static int try_helper(const char *path) {
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        ck_assert_int_ge(fd, 0);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : nb_steal_fd(&fd);
}

static void helper_start(struct helper *helper) {
        const char *program = getenv("NETBROKER_HELPER");
        uint64_t start_ms = harness_now_ms();
        int fd;

        ck_assert_msg(program != NULL, "NETBROKER_HELPER is not set: it names the program to test");
        PROCESS_START(&helper->process, program, "--socket", helper->path);
        while ((fd = try_helper(helper->path)) < 0)
                harness_wait_a_moment(start_ms, "netbroker-helper");
        (void)nb_fd_close(fd);
}

static void helper_stop(struct helper *helper) {
        if (helper->process.pid >= 0)
                (void)process_stop(&helper->process);
        process_deinit(&helper->process);
        (void)unlink(helper->path);
        (void)rmdir(helper->folder);
}

static void write_policy(const struct daemon *daemon, const char *keys, const char *rules) {
        daemon_write_policy(daemon,
                            "[Tenant]\nName=acme\nUser=%u\n%s[Protocol web]\nFamily=ip\nDataPath=direct\n"
                            "SocketTypes=stream dgram\n%s",
                            (unsigned)getuid(), keys, rules);
}

struct stage {
        struct helper helper;
        struct daemon daemon;
        struct wire_session session;
        struct wire *web;
};

static void stage_start(struct stage *stage, const char *keys, bool with_helper) {
        const char *const arguments[] = { "--helper", stage->helper.path, NULL };
        const struct daemon_options options = { .arguments = arguments };

        helper_init(&stage->helper);
        if (with_helper)
                helper_start(&stage->helper);
        daemon_init(&stage->daemon);
        write_policy(&stage->daemon, keys, SCENE_LOOPBACK);
        daemon_start(&stage->daemon, &options);
        wire_session_open(stage->daemon.socket_path, "acme", &stage->session);
        stage->web = &stage->session.protocols[0];
}

static void stage_end(struct stage *stage) {
        wire_session_close(&stage->session);
        daemon_stop(&stage->daemon);
        daemon_deinit(&stage->daemon);
        helper_stop(&stage->helper);
}

/* Loads a policy that grants nothing of what the test does. */
static void take_all_away(struct stage *stage, const char *keys) {
        write_policy(&stage->daemon, keys, "Connect=127.0.0.1:1\n");
        daemon_reload(&stage->daemon);
}

static int connect_one(struct stage *stage, struct wire *control, const char *address) {
        int fd = -1;

        *control = wire_open_control(stage->web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(control, address, &fd), 0);
        return fd;
}

/* Waits until a read fails. @return the errno */
static int wait_for_failure(int fd) {
        char byte;

        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0;
}

/* ---- what is taken away ---- */

/*
 * The holder and its accomplice have the same socket, in processes of their own; both lose it. The error of a socket is told once: the other is at
 * its end.
 */
static void hold_until_it_fails(int fd, int ready_fd) {
        int error = write(ready_fd, "r", 1) == 1 ? wait_for_failure(fd) : EIO;

        _exit(error == ECONNABORTED || error == 0 ? 0 : 1);
}

START_TEST(dead_in_the_hands_of_holder_and_accomplice) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        int fd, peer_fd, ready_fds[2];
        struct stage stage;
        struct wire control;
        pid_t holders[2];
        char byte;

        stage_start(&stage, "", true);
        fd = connect_one(&stage, &control, peer.text);
        peer_fd = peer_accept(&peer);
        ck_assert_int_eq(pipe2(ready_fds, O_CLOEXEC), 0);
        for (int i = 0; i < 2; ++i) {
                holders[i] = fork();
                ck_assert_int_ge(holders[i], 0);
                if (holders[i] == 0)
                        hold_until_it_fails(fd, ready_fds[1]);
                ck_assert_int_eq(read(ready_fds[0], &byte, 1), 1);
        }
        (void)nb_fd_close(fd);
        ck_assert_uint_eq(kernel_count_sockets(IPPROTO_TCP, peer.address.port), 1);
        take_all_away(&stage, "");
        ck_assert_int_eq(wait_for_failure(peer_fd), ECONNRESET);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(harness_wait_exit(holders[i]), 0);
        kernel_wait_sockets(IPPROTO_TCP, peer.address.port, 0);
        daemon_expect_log(&stage.daemon, "1 connections that the policy no longer grants are shut down");
        (void)nb_fd_close(ready_fds[0]);
        (void)nb_fd_close(ready_fds[1]);
        (void)nb_fd_close(peer_fd);
        (void)wire_close(&control);
        peer_close(&peer);
        stage_end(&stage);
}
END_TEST

START_TEST(the_holder_is_told) {
        struct peer peer = peer_listen("127.0.0.1", 8), kept = peer_listen("127.0.0.1", 8);
        struct wire control, other;
        char rules[96];
        struct stage stage;
        int fd, kept_fd, kept_peer;

        stage_start(&stage, "", true);
        fd = connect_one(&stage, &control, peer.text);
        kept_fd = connect_one(&stage, &other, kept.text);
        kept_peer = peer_accept(&kept);
        (void)snprintf(rules, sizeof(rules), "Connect=127.0.0.1:%u\n", kept.address.port);
        write_policy(&stage.daemon, "", rules);
        daemon_reload(&stage.daemon);
        ck_assert_int_eq(wait_for_failure(fd), ECONNABORTED);
        /* What is still granted lives. */
        peer_exchange(kept_fd, kept_peer);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(kept_fd);
        (void)nb_fd_close(kept_peer);
        (void)wire_close(&control);
        (void)wire_close(&other);
        peer_close(&peer);
        peer_close(&kept);
        stage_end(&stage);
}
END_TEST

START_TEST(an_accepted_peer_is_denied) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire listening;
        struct stage stage;
        int fd, peer_fd, other_fd, other_peer;

        stage_start(&stage, "", true);
        listening = wire_open_control(stage.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, address), 0);
        peer_fd = peer_connect_from("127.0.0.2", address);
        fd = wire_receive_accepted(&listening, 1);
        other_peer = peer_connect(address);
        other_fd = wire_receive_accepted(&listening, 2);
        write_policy(&stage.daemon, "", SCENE_LOOPBACK "Deny=127.0.0.2/32:*\n");
        daemon_reload(&stage.daemon);
        ck_assert_int_eq(wait_for_failure(fd), ECONNABORTED);
        ck_assert_int_eq(wait_for_failure(peer_fd), ECONNRESET);
        peer_exchange(other_fd, other_peer);
        /* The listener goes, and with it what it has accepted. */
        take_all_away(&stage, "");
        ck_assert_int_eq(wait_for_failure(other_fd), ECONNABORTED);
        wire_expect_end(&listening);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);
        (void)nb_fd_close(other_fd);
        (void)nb_fd_close(other_peer);
        (void)wire_close(&listening);
        stage_end(&stage);
}
END_TEST

START_TEST(a_datagram_socket_loses_its_peer) {
        struct peer peer = peer_udp("127.0.0.1");
        struct stage stage;
        struct wire control;
        int fd = -1;

        stage_start(&stage, "", true);
        ck_assert_uint_eq(wire_open_dgram(stage.web, "0.0.0.0:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        ck_assert_uint_eq(kernel_count_sockets(IPPROTO_UDP, peer.address.port), 1);
        take_all_away(&stage, "");
        kernel_wait_sockets(IPPROTO_UDP, peer.address.port, 0);
        ck_assert_int_eq(wait_for_failure(fd), ECONNABORTED);
        ck_assert_int_eq((int)send(fd, "x", 1, MSG_NOSIGNAL), -1);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        stage_end(&stage);
}
END_TEST

START_TEST(a_tenant_that_is_gone_has_nothing) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct stage stage;
        struct wire control;
        int fd;

        stage_start(&stage, "Existing=keep\n", true);
        fd = connect_one(&stage, &control, peer.text);
        daemon_write_policy_file(&stage.daemon, "other.conf", "[Tenant]\nName=other\nUser=%u\n", (unsigned)getuid());
        daemon_remove_policy(&stage.daemon, "acme.conf");
        daemon_reload(&stage.daemon);
        ck_assert_int_eq(wait_for_failure(fd), ECONNABORTED);
        wire_expect_end(&stage.session.channel);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        stage_end(&stage);
}
END_TEST

/* A holder that is not locked down can connect its socket again: it is destroyed again. */
START_TEST(what_comes_back_to_life_dies_again) {
        struct peer peer = peer_listen("127.0.0.1", 8), other = peer_listen("127.0.0.1", 8);
        struct sockaddr_storage sa;
        socklen_t length = nb_address_to_sockaddr(&other.address, &sa);
        struct stage stage;
        struct wire control;
        int fd;

        stage_start(&stage, "", true);
        fd = connect_one(&stage, &control, peer.text);
        kernel_disconnect(fd);
        take_all_away(&stage, "");
        (void)connect(fd, (struct sockaddr *)&sa, length);
        ck_assert_int_eq(wait_for_failure(fd), ECONNABORTED);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        peer_close(&other);
        stage_end(&stage);
}
END_TEST

/* ---- names ---- */

static void write_names(const struct stage *stage, const struct fake_dns *dns, const char *rules) {
        char keys[96];

        (void)snprintf(keys, sizeof(keys), "Resolvers=%s\n", fake_dns_address(dns));
        write_policy(&stage->daemon, keys, rules);
}

#define BY_NAME "Connect=one.test:*\nConnect=two.test:*\n"

/* Each takes from `two.test` what `one.test` keeps; no rule ever grants an address. */
static const char *const lost_by_name[] = {
        "Connect=one.test:*\nAddresses=local\n",
        BY_NAME "Addresses=local\nDeny=two.test:*\n",
        BY_NAME "Addresses=127.0.0.1/32\n",
        BY_NAME "Addresses=local\nDeny=127.0.0.2/32:*\n",
};

static int connect_by_name(struct stage *stage, struct wire *control, const char *name, uint16_t port) {
        char text[64];

        (void)snprintf(text, sizeof(text), "%s:%u", name, port);
        return connect_one(stage, control, text);
}

/* A connection by name is judged by its name, and by the address that it had. */
START_TEST(what_a_name_has_led_to) {
        static const struct fake_dns_name zone[] = {
                { .name = "one.test", .ipv4 = "127.0.0.1" },
                { .name = "two.test", .ipv4 = "127.0.0.2" },
        };
        struct peer peer = peer_listen("0.0.0.0", 8);
        struct fake_dns *dns = fake_dns_start(zone, 2);
        int one, one_peer, two;
        struct wire first, second;
        struct stage stage;

        stage_start(&stage, "", true);
        write_names(&stage, dns, BY_NAME "Addresses=local\n");
        daemon_reload(&stage.daemon);
        one = connect_by_name(&stage, &first, "one.test", peer.address.port);
        one_peer = peer_accept(&peer);
        two = connect_by_name(&stage, &second, "two.test", peer.address.port);
        write_names(&stage, dns, lost_by_name[_i]);
        daemon_reload(&stage.daemon);
        ck_assert_int_eq(wait_for_failure(two), ECONNABORTED);
        peer_exchange(one, one_peer);
        (void)nb_fd_close(one);
        (void)nb_fd_close(one_peer);
        (void)nb_fd_close(two);
        (void)wire_close(&first);
        (void)wire_close(&second);
        dns = fake_dns_stop(dns);
        peer_close(&peer);
        stage_end(&stage);
}
END_TEST

/* ---- what is not ---- */

START_TEST(what_is_kept) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire control, listening, bound;
        int fd, other_fd, peer_fd;
        struct stage stage;

        stage_start(&stage, "Existing=keep\n", true);
        fd = connect_one(&stage, &control, peer.text);
        other_fd = peer_accept(&peer);
        listening = wire_open_control(stage.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, address), 0);
        bound = wire_open_control(stage.web, "127.0.0.1:0");
        take_all_away(&stage, "Existing=keep\n");
        peer_exchange(fd, other_fd);
        wire_expect_silence(&bound);
        /* The listener still listens; nothing new is connected. */
        peer_fd = peer_connect(address);
        (void)nb_fd_close(wire_receive_accepted(&listening, 1));
        (void)nb_fd_close(peer_fd);
        (void)nb_fd_close(fd);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), NB_WASI_EACCES);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        (void)wire_close(&listening);
        (void)wire_close(&bound);
        peer_close(&peer);
        stage_end(&stage);
}
END_TEST

/* A control that was kept does not bind again what is no longer granted. */
START_TEST(what_is_kept_binds_nothing_new) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct stage stage;
        struct wire control;
        int fd = -1;

        stage_start(&stage, "Existing=keep\n", true);
        control = wire_open_control(stage.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        write_policy(&stage.daemon, "Existing=keep\n", "Connect=127.0.0.1:*\n");
        daemon_reload(&stage.daemon);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), NB_WASI_EACCES);
        (void)wire_close(&control);
        peer_close(&peer);
        stage_end(&stage);
}
END_TEST

/* The helper may come later, and go in between. */
START_TEST(the_helper_comes_late) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        int fd, other_fd;
        struct stage stage;
        struct wire control, other;

        stage_start(&stage, "", false);
        /* Said at the start, and not when something is to be revoked. */
        daemon_expect_log(&stage.daemon, "cannot be asked");
        fd = connect_one(&stage, &control, peer.text);
        other_fd = peer_accept(&peer);
        take_all_away(&stage, "");
        peer_exchange(fd, other_fd);
        helper_start(&stage.helper);
        ck_assert_int_eq(wait_for_failure(fd), ECONNABORTED);
        daemon_expect_log(&stage.daemon, "is there again");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);

        (void)process_stop(&stage.helper.process);
        write_policy(&stage.daemon, "", SCENE_LOOPBACK);
        daemon_reload(&stage.daemon);
        fd = connect_one(&stage, &other, peer.text);
        take_all_away(&stage, "");
        process_deinit(&stage.helper.process);
        helper_start(&stage.helper);
        ck_assert_int_eq(wait_for_failure(fd), ECONNABORTED);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        (void)wire_close(&other);
        peer_close(&peer);
        stage_end(&stage);
}
END_TEST

/* ---- the helper by itself ---- */

static struct nb_destroy_request request_for(int fd, uint16_t protocol) {
        struct nb_destroy_request request = {
                .version = NB_DESTROY_VERSION, .family = AF_INET, .protocol = protocol, .serial = 1
        };
        struct sockaddr_in local, peer;
        socklen_t length = sizeof(local);

        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&local, &length), 0);
        length = sizeof(peer);
        ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&peer, &length), 0);
        length = sizeof(request.cookie);
        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &request.cookie, &length), 0);
        memcpy(request.local, &local.sin_addr, 4);
        memcpy(request.peer, &peer.sin_addr, 4);
        request.local_port = ntohs(local.sin_port);
        request.peer_port = ntohs(peer.sin_port);
        return request;
}

/* @return the answer's error; INT_MIN when the helper has closed */
static int ask(int helper_fd, const void *request, size_t length) {
        struct nb_destroy_answer answer;

        if (send(helper_fd, request, length, MSG_NOSIGNAL) < 0 || recv(helper_fd, &answer, sizeof(answer), 0) <= 0)
                return -ECONNRESET;
        ck_assert_uint_eq(answer.version, NB_DESTROY_VERSION);
        return answer.error;
}

struct theft {
        const struct helper *helper;
        struct nb_destroy_request request;
        struct peer *peer;
        int error;
};

/* As the stranger: asks for a socket of root's. */
static void steal(void *data) {
        const struct theft *theft = data;
        NB_CLEANUP_FD int fd = try_helper(theft->helper->path);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ask(fd, &theft->request, sizeof(theft->request)), -EPERM);
}

START_TEST(a_stranger_cannot_destroy) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct helper helper;
        struct theft theft = { .helper = &helper };
        int fd = peer_connect(peer.text), other_fd = peer_accept(&peer);

        helper_init(&helper);
        helper_start(&helper);
        ck_assert_int_eq(chmod(helper.folder, 0755), 0);
        ck_assert_int_eq(chmod(helper.path, 0666), 0);
        theft.request = request_for(fd, IPPROTO_TCP);
        harness_run_as(STRANGER, steal, &theft);
        peer_exchange(fd, other_fd);
        process_expect(&helper.process, "another user's socket", HARNESS_DEADLINE_MS);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        peer_close(&peer);
        helper_stop(&helper);
}
END_TEST

/* As the stranger: makes a connection, and lets its parent ask for it, who is root and has not made it. */
static void be_asked_for(void *data) {
        struct theft *theft = data;
        NB_CLEANUP_FD int fd = peer_connect(theft->peer->text), other_fd = -1, helper_fd = theft->error;
        struct nb_destroy_request request;

        ck_assert_int_ge(fd, 0);
        other_fd = peer_accept(theft->peer);
        request = request_for(fd, IPPROTO_TCP);
        /* The descriptor was connected by root: that is who asks. */
        ck_assert_int_eq(ask(helper_fd, &request, sizeof(request)), -EPERM);
        peer_exchange(fd, other_fd);
}

START_TEST(root_cannot_destroy_a_strangers) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct helper helper;
        struct theft theft = { .helper = &helper, .peer = &peer };

        helper_init(&helper);
        helper_start(&helper);
        theft.error = try_helper(helper.path);
        ck_assert_int_ge(theft.error, 0);
        harness_run_as(STRANGER, be_asked_for, &theft);
        (void)nb_fd_close(theft.error);
        peer_close(&peer);
        helper_stop(&helper);
}
END_TEST

START_TEST(one_cookie_is_no_others) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        int fd = peer_connect(peer.text), other_fd = peer_accept(&peer), helper_fd;
        struct nb_destroy_request request = request_for(fd, IPPROTO_TCP);
        uint64_t cookie = request.cookie;
        struct helper helper;

        helper_init(&helper);
        helper_start(&helper);
        helper_fd = try_helper(helper.path);
        request.cookie = cookie + 1;
        ck_assert_int_eq(ask(helper_fd, &request, sizeof(request)), -ENOENT);
        /* What the kernel takes for any socket with these addresses. */
        request.cookie = UINT64_MAX;
        ck_assert_int_eq(ask(helper_fd, &request, sizeof(request)), -EINVAL);
        request.cookie = 0;
        ck_assert_int_eq(ask(helper_fd, &request, sizeof(request)), -EINVAL);
        peer_exchange(fd, other_fd);
        request.cookie = cookie;
        ck_assert_int_eq(ask(helper_fd, &request, sizeof(request)), 0);
        ck_assert_int_eq(wait_for_failure(fd), ECONNABORTED);
        ck_assert_int_eq(ask(helper_fd, &request, sizeof(request)), -ENOENT);
        (void)nb_fd_close(helper_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        peer_close(&peer);
        helper_stop(&helper);
}
END_TEST

/* A message that is no request ends its connection, and nobody else's. */
START_TEST(what_is_no_request) {
        struct nb_destroy_request wrong[] = {
                { .version = NB_DESTROY_VERSION + 1, .family = AF_INET, .protocol = IPPROTO_TCP, .cookie = 1 },
                { .version = NB_DESTROY_VERSION, .family = AF_UNIX, .protocol = IPPROTO_TCP, .cookie = 1 },
                { .version = NB_DESTROY_VERSION, .family = AF_INET, .protocol = IPPROTO_SCTP, .cookie = 1 },
                { .version = NB_DESTROY_VERSION, .family = AF_INET, .protocol = IPPROTO_TCP, .cookie = 1, .zero = 1 },
        };
        struct nb_destroy_request right = {
                .version = NB_DESTROY_VERSION, .family = AF_INET, .protocol = IPPROTO_TCP, .cookie = 1
        };
        uint8_t bytes[sizeof(right) + 1] = { NB_DESTROY_VERSION };
        struct helper helper;
        int other, fd;

        helper_init(&helper);
        helper_start(&helper);
        other = try_helper(helper.path);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
                fd = try_helper(helper.path);
                ck_assert_int_eq(ask(fd, &wrong[i], sizeof(wrong[i])), i == 0 ? -ECONNRESET : -EINVAL);
                (void)nb_fd_close(fd);
        }
        for (size_t length = 0; length <= sizeof(bytes); ++length) {
                if (length == sizeof(right))
                        continue;
                fd = try_helper(helper.path);
                ck_assert_int_eq(ask(fd, bytes, length), -ECONNRESET);
                (void)nb_fd_close(fd);
        }
        ck_assert_int_eq(ask(other, &right, sizeof(right)), -ENOENT);
        (void)nb_fd_close(other);
        helper_stop(&helper);
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, dead_in_the_hands_of_holder_and_accomplice);
        tcase_add_test(tcase, the_holder_is_told);
        tcase_add_test(tcase, an_accepted_peer_is_denied);
        tcase_add_test(tcase, a_datagram_socket_loses_its_peer);
        tcase_add_test(tcase, a_tenant_that_is_gone_has_nothing);
        tcase_add_test(tcase, what_comes_back_to_life_dies_again);
        tcase_add_loop_test(tcase, what_a_name_has_led_to, 0, sizeof(lost_by_name) / sizeof(lost_by_name[0]));
        tcase_add_test(tcase, what_is_kept);
        tcase_add_test(tcase, what_is_kept_binds_nothing_new);
        tcase_add_test(tcase, the_helper_comes_late);
        tcase_add_test(tcase, a_stranger_cannot_destroy);
        tcase_add_test(tcase, root_cannot_destroy_a_strangers);
        tcase_add_test(tcase, one_cookie_is_no_others);
        tcase_add_test(tcase, what_is_no_request);
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("revoke");
        TCase *tcase = tcase_create("revoke");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        if (getuid() == 0 && kernel_destroys_sockets())
                add_tests(tcase);
        else
                fprintf(stderr, "not tested: destroying sockets: that needs root with CAP_NET_ADMIN\n");
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
