/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol_restrict with a real broker: less trusted code that holds a narrower protocol, in this process or in another one, can do what is granted and nothing
 * more, and whatever it does ends nothing of who has given it.
 *
 * The other process here is one of libnetbroker's own protocols without a session (nb_session_new()), a child, or netbroker-run.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/wasi.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

#define ALL UINT64_MAX
#define RUN_MS 20000
#define RULES_MAX 256

static struct restart_scene world;
static struct nb_session *session; /* who gives */
static struct nb_protocol *web;
static struct nb_session *other; /* who is given; no broker knows of it */
static struct peer granted, denied;

static struct nb_session *open_session(void) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        struct nb_session *opened;

        options.socket_path = world.scene.daemon.socket_path;
        ck_assert_int_eq(nb_session_open(&options, &opened), 0);
        return opened;
}

static void start(void) {
        restart_start(&world, SCENE_LOOPBACK);
        session = open_session();
        web = nb_session_find_protocol(session, "web");
        ck_assert_int_eq(nb_session_new(NULL, &other), 0);
        granted = peer_listen("127.0.0.1", 16);
        denied = peer_listen("127.0.0.1", 16);
}

/* What was charged is uncharged, or the daemon's end says so. */
static void end(void) {
        nb_session_free(other);
        nb_session_free(session);
        peer_close(&granted);
        peer_close(&denied);
        restart_end(&world);
}

/* ---- what a holder can do ---- */

static int open_at(struct nb_protocol *protocol, const char *address, uint64_t rights, struct nb_control **ret) {
        return nb_open(protocol, address, strlen(address), NB_SOCKET_STREAM, rights, NB_RIGHTS_STREAM, 0, ret);
}

static int try_connect(struct nb_protocol *protocol, const char *address) {
        struct nb_connection *connection;
        struct nb_control *control;
        int r = open_at(protocol, "0.0.0.0:0", NB_RIGHTS_CONTROL, &control);

        if (r < 0)
                return r;
        r = nb_connect(control, address, strlen(address), &connection);
        if (r == 0)
                nb_connection_free(connection);
        nb_control_free(control);
        return r;
}

static int try_listen(struct nb_protocol *protocol, const char *address) {
        struct nb_control *control;
        int r = open_at(protocol, address, NB_RIGHTS_CONTROL, &control);

        if (r < 0)
                return r;
        r = nb_listen(control, 4);
        nb_control_free(control);
        return r;
}

static struct nb_protocol *narrow(struct nb_protocol *protocol, const char *rules) {
        struct nb_protocol *narrower;

        ck_assert_int_eq(nb_protocol_restrict(protocol, rules, rules ? strlen(rules) : 0, ALL, ALL, &narrower), 0);
        return narrower;
}

/* To connect to the one peer. */
static struct nb_protocol *narrow_to_granted(struct nb_protocol *protocol) {
        char rules[RULES_MAX];

        (void)snprintf(rules, sizeof(rules), "Connect=%s", granted.text);
        return narrow(protocol, rules);
}

/* Hands a protocol over. @return as the other has it */
static struct nb_protocol *hand_over(struct nb_protocol *protocol, const char *name) {
        struct nb_protocol *imported;
        int fd;

        ck_assert_int_eq(nb_protocol_export(protocol, &fd), 0);
        ck_assert_int_eq(nb_protocol_import(other, fd, name, &imported), 0);
        return imported;
}

static void expect_narrow(struct nb_protocol *protocol) {
        ck_assert_int_eq(try_connect(protocol, granted.text), 0);
        ck_assert_int_eq(try_connect(protocol, denied.text), -EACCES);
        ck_assert_int_eq(try_listen(protocol, "127.0.0.1:0"), -EACCES);
        ck_assert_int_eq(try_listen(protocol, "0.0.0.0:0"), -EACCES);
}

static void expect_all(struct nb_protocol *protocol) {
        ck_assert_int_eq(try_connect(protocol, granted.text), 0);
        ck_assert_int_eq(try_connect(protocol, denied.text), 0);
        ck_assert_int_eq(try_listen(protocol, "127.0.0.1:0"), 0);
}

/* The same of one that is made for this. */
static void expect_narrow_once(struct nb_protocol *consumed) {
        expect_narrow(consumed);
        nb_protocol_unref(consumed);
}

/* Hands over what is made for this. */
static struct nb_protocol *hand_over_once(struct nb_protocol *consumed, const char *name) {
        struct nb_protocol *imported = hand_over(consumed, name);

        nb_protocol_unref(consumed);
        return imported;
}

/* ---- rules and rights ---- */

START_TEST(abuse_34_a_narrower_protocol_is_never_widened) {
        struct nb_protocol *narrower = narrow_to_granted(web), *again;

        expect_narrow(narrower);
        daemon_expect_audit(&world.scene.daemon, "\"restricted\":1", "\"verdict\":\"denied\"", denied.text);
        again = narrow(narrower, "Connect=127.0.0.1:* [::1]:*\nListen=127.0.0.1:*");
        expect_narrow(again);
        nb_protocol_unref(narrower);
        narrower = narrow(again, NULL);
        expect_narrow(narrower);
        nb_protocol_unref(again);
        expect_narrow(hand_over(narrower, "given"));
        nb_protocol_unref(narrower);
        expect_all(web);
}
END_TEST

START_TEST(a_handed_over_protocol_is_what_it_was) {
        struct nb_protocol *imported = hand_over(web, NULL);
        uint64_t base, inheriting;

        ck_assert_str_eq(nb_protocol_name(imported), "web");
        ck_assert_str_eq(nb_session_tenant(other), "acme");
        nb_protocol_rights(imported, &base, &inheriting);
        ck_assert_uint_eq(base, NB_RIGHTS_PROTOCOL);
        ck_assert_uint_eq(inheriting, NB_RIGHTS_NETWORK);
        expect_all(imported);
        expect_narrow_once(narrow_to_granted(imported));
        ck_assert_ptr_eq(nb_session_find_protocol(other, "web"), imported);
}
END_TEST

/* Whoever has a channel without the library asks for what it likes. */
START_TEST(rights_are_the_brokers_to_enforce) {
        struct nb_protocol *deaf, *shut;
        struct nb_control *control;

        ck_assert_int_eq(nb_protocol_restrict(web, NULL, 0, ALL, ~(uint64_t)NB_RIGHT_SOCK_LISTEN, &deaf), 0);
        deaf = hand_over_once(deaf, "deaf");
        ck_assert_int_eq(open_at(deaf, "127.0.0.1:0", NB_RIGHTS_CONTROL, &control), -NB_ENOTCAPABLE);
        ck_assert_int_eq(nb_protocol_restrict(web, NULL, 0, 0, ALL, &shut), 0);
        shut = hand_over_once(shut, "shut");
        ck_assert_int_eq(open_at(shut, "0.0.0.0:0", NB_RIGHT_SOCK_CONNECT, &control), -NB_ENOTCAPABLE);
        ck_assert_int_eq(nb_protocol_restrict(shut, NULL, 0, ALL, ALL, &shut), 0);
        ck_assert_int_eq(open_at(shut, "0.0.0.0:0", NB_RIGHT_SOCK_CONNECT, &control), -NB_ENOTCAPABLE);
        nb_protocol_unref(shut);
}
END_TEST

START_TEST(peers_that_rules_deny_are_never_seen) {
        struct nb_protocol *narrower = narrow(web, "Listen=127.0.0.1:*\nDeny=127.0.0.2:*");
        struct nb_connection *connection;
        struct nb_control *control;
        int fd;

        ck_assert_int_eq(open_at(narrower, "127.0.0.1:0", NB_RIGHTS_CONTROL, &control), 0);
        ck_assert_int_eq(nb_listen(control, 4), 0);
        fd = peer_connect_from("127.0.0.2", nb_control_address(control));
        peer_expect_end(fd);
        nb_fd_close(fd);
        fd = peer_connect_from("127.0.0.3", nb_control_address(control));
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert_int_eq(strncmp(nb_connection_peer(connection), "127.0.0.3:", 10), 0);
        nb_connection_free(connection);
        nb_control_free(control);
        nb_fd_close(fd);
        nb_protocol_unref(narrower);
}
END_TEST

START_TEST(what_are_no_rules_is_said) {
        struct nb_protocol *narrower;
        static const char bad[] = "Connect=127.0.0.1:80\nListen=nowhere";

        ck_assert_int_eq(nb_protocol_restrict(web, bad, strlen(bad), ALL, ALL, &narrower), -EINVAL);
        ck_assert_ptr_nonnull(strstr(nb_session_last_denial(session), "Listen=nowhere"));
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"restrict\"", "\"verdict\":\"denied\"");
        ck_assert_int_eq(nb_protocol_restrict(web, "Listen", 6, ALL, ALL, &narrower), -EINVAL);
        ck_assert_ptr_nonnull(strstr(nb_session_last_denial(session), "line 1"));
        expect_all(web);
}
END_TEST

/* ---- limits ---- */

START_TEST(narrowing_has_an_end) {
        struct nb_protocol *protocol = nb_protocol_ref(web), *narrower;
        int r, n = 0;

        while ((r = nb_protocol_restrict(protocol, "Connect=127.0.0.1:*", 19, ALL, ALL, &narrower)) == 0) {
                nb_protocol_unref(protocol);
                protocol = narrower;
                ck_assert_int_lt(++n, 1000);
        }
        ck_assert_int_eq(r, -EINVAL);
        ck_assert_int_ge(n, 8);
        ck_assert_int_eq(try_connect(protocol, granted.text), 0);
        nb_protocol_unref(protocol);
}
END_TEST

START_TEST(narrower_protocols_count_as_controls) {
        struct nb_protocol *narrower[5];

        daemon_write_policy(&world.scene.daemon,
                            "[Tenant]\nName=acme\nUser=%u\nMaxControls=4\n[Protocol "
                            "web]\nFamily=ip\nDataPath=direct\n" SCENE_LOOPBACK,
                            (unsigned)getuid());
        daemon_reload(&world.scene.daemon);
        for (int i = 0; i < 4; ++i)
                narrower[i] = narrow_to_granted(web);
        ck_assert_int_eq(nb_protocol_restrict(web, "", 0, ALL, ALL, &narrower[4]), -EMFILE);
        ck_assert_int_eq(try_connect(web, granted.text), -EMFILE);
        for (int i = 0; i < 4; ++i)
                nb_protocol_unref(narrower[i]);
        for (uint64_t since = harness_now_ms(); try_connect(web, granted.text) == -EMFILE;)
                harness_wait_a_moment(since, "the broker to close what nobody has any more");
}
END_TEST

/* ---- who is dropped ---- */

START_TEST(a_violation_ends_the_delegation_and_no_more) {
        struct nb_protocol *first = hand_over(web, "first"), *narrower = narrow_to_granted(first), *second;
        struct nb_control *control;
        int fd, exported;

        second = hand_over(web, "second");
        ck_assert_int_eq(open_at(first, "127.0.0.1:0", NB_RIGHTS_CONTROL, &control), 0);
        ck_assert_int_eq(nb_listen(control, 4), 0);

        /* Whoever has got `first` has its own idea of the protocol. */
        ck_assert_int_eq(nb_protocol_export(first, &exported), 0);
        ck_assert_int_eq(send(exported, "garbage", 7, MSG_NOSIGNAL), 7);
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"protocol-error\"", "whoever has a protocol of pid");
        peer_expect_pipe_end(exported);
        nb_fd_close(exported);
        ck_assert_int_eq(try_connect(first, granted.text), 0);
        fd = peer_connect(nb_control_address(control));
        ck_assert_int_ge(fd, 0);
        nb_fd_close(fd);

        ck_assert_int_eq(try_connect(second, granted.text), 0);
        expect_narrow(narrower);
        expect_all(web);
        nb_control_free(control);
        nb_protocol_unref(narrower);
}
END_TEST

/* Holding the descriptor is the authority. */
START_TEST(it_outlives_the_session_that_gave_it) {
        struct nb_protocol *narrower = narrow_to_granted(web), *imported = hand_over(narrower, "given");

        nb_protocol_unref(narrower);
        session = nb_session_free(session);
        expect_narrow(imported);
        expect_narrow_once(narrow(imported, NULL));
}
END_TEST

START_TEST(a_reload_ends_it_as_the_session_s) {
        struct nb_protocol *imported = hand_over(web, "given");
        struct nb_control *control;

        ck_assert_int_eq(open_at(imported, "0.0.0.0:0", NB_RIGHTS_CONTROL, &control), 0);
        scene_write_policy(&world.scene, "Connect=[::1]:*\n");
        daemon_reload(&world.scene.daemon);
        ck_assert_int_eq(try_connect(imported, granted.text), -EACCES);
        nb_control_free(control);
        daemon_write_policy(&world.scene.daemon, SCENE_TENANT "Connect=[::1]:*\n", (unsigned)getuid() + 1);
        daemon_reload(&world.scene.daemon);
        ck_assert_int_eq(try_connect(imported, granted.text), -EPIPE);
        scene_write_policy(&world.scene, SCENE_LOOPBACK);
        daemon_reload(&world.scene.daemon);
        wire_session_close(&world.scene.session);
        wire_session_open(world.scene.daemon.socket_path, "", &world.scene.session);
}
END_TEST

/* ---- over a restart ---- */

START_TEST(it_comes_back_as_narrow) {
        struct nb_protocol *narrower = narrow_to_granted(web), *imported = hand_over(narrower, "given");
        struct nb_protocol *listens = hand_over_once(narrow(web, "Listen=127.0.0.1:*\nDeny=127.0.0.2:*"), "listens");
        struct nb_connection *connection;
        struct nb_control *control;
        int fd, denied_fd;

        ck_assert_int_eq(open_at(listens, "127.0.0.1:0", NB_RIGHTS_CONTROL, &control), 0);
        ck_assert_int_eq(nb_listen(control, 4), 0);
        restart_one(&world, _i == 1);
        expect_narrow(narrower);
        expect_narrow(imported);
        expect_narrow_once(narrow(imported, "Connect=127.0.0.1:*"));
        expect_all(web);
        denied_fd = peer_connect_from("127.0.0.2", nb_control_address(control));
        fd = peer_connect_from("127.0.0.1", nb_control_address(control));
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert_int_eq(strncmp(nb_connection_peer(connection), "127.0.0.1:", 10), 0);
        peer_expect_end(denied_fd);
        nb_connection_free(connection);
        nb_control_free(control);
        nb_fd_close(denied_fd);
        nb_fd_close(fd);
        restart_one(&world, _i == 0);
        expect_narrow(imported);
        nb_protocol_unref(narrower);
}
END_TEST

/* Of who misused it before the restart nothing was kept but that it is another's. */
START_TEST(it_comes_back_as_a_delegation) {
        int fd;

        ck_assert_int_eq(nb_protocol_export(web, &fd), 0);
        restart_one(&world, true);
        ck_assert_int_eq(send(fd, "garbage", 7, MSG_NOSIGNAL), 7);
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"protocol-error\"", "whoever has a protocol of pid");
        expect_all(web);
        nb_fd_close(fd);
}
END_TEST

/* ---- another process ---- */

/* What the child finds, as its status: which of the checks was not as it should be. */
static int be_another_process(int fd) {
        struct nb_protocol *protocol;
        struct nb_session *none;

        if (nb_session_new(NULL, &none) < 0 || nb_protocol_import(none, fd, "given", &protocol) < 0)
                return 1;
        if (try_connect(protocol, granted.text) != 0)
                return 2;
        if (try_connect(protocol, denied.text) != -EACCES)
                return 3;
        if (try_listen(protocol, "127.0.0.1:0") != -EACCES)
                return 4;
        return 0;
}

START_TEST(another_process_can_do_what_is_granted_and_nothing_more) {
        struct nb_protocol *narrower = narrow_to_granted(web);
        int fd, status;
        pid_t pid;

        ck_assert_int_eq(nb_protocol_export(narrower, &fd), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                _exit(be_another_process(fd));
        nb_fd_close(fd);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        nb_protocol_unref(narrower);
}
END_TEST

static const char *environment(const char *name) {
        const char *value = getenv(name);

        ck_assert_msg(value != NULL, "%s is not set", name);
        return value;
}

/* Runs a guest that connects, with a protocol that it inherits. @return its exit code: an errno of WASI */
static int run_guest(int fd, const char *address) {
        char module[256], argument[32];
        struct process process;
        int status;

        (void)snprintf(module, sizeof(module), "%s/connect.wasm", environment("GUESTS_DIR"));
        (void)snprintf(argument, sizeof(argument), "web=%d", fd);
        ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
        PROCESS_START(&process, environment("NETBROKER_RUN"), "--weak-lockdown", "--protocol-fd", argument, module,
                      address);
        nb_fd_close(fd);
        status = process_finish(&process, RUN_MS);
        process_deinit(&process);
        return status;
}

START_TEST(a_guest_has_one_delegated_protocol_and_nothing_else) {
        struct nb_protocol *narrower = narrow_to_granted(web);
        const char *const addresses[] = { granted.text, denied.text };
        const int codes[] = { NB_WASI_SUCCESS, NB_WASI_EACCES };

        process_expect_no_leak_check();
        for (int i = 0; i < 2; ++i) {
                int fd;

                ck_assert_int_eq(nb_protocol_export(narrower, &fd), 0);
                ck_assert_int_eq(run_guest(fd, addresses[i]), codes[i]);
        }
        nb_protocol_unref(narrower);
}
END_TEST

/* ---- what is no protocol ---- */

START_TEST(what_is_handed_over_must_be_a_protocol) {
        struct nb_protocol *imported;
        int pair[2], fd;

        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        ck_assert_int_eq(nb_protocol_import(other, pair[0], "pipe", &imported), -ENOTSOCK);
        nb_fd_close(pair[0]);
        nb_fd_close(pair[1]);
        ck_assert_int_eq(nb_protocol_export(web, &fd), 0);
        ck_assert_int_eq(nb_protocol_import(other, fd, "a=b", &imported), -EINVAL);
        ck_assert_int_eq(nb_protocol_import(other, fd, "first", &imported), 0);
        ck_assert_int_eq(nb_protocol_export(web, &fd), 0);
        ck_assert_int_eq(nb_protocol_import(other, fd, "first", &imported), -EINVAL);
        nb_fd_close(fd);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, end);
        suite_add_tcase(suite, tcase);
        return tcase;
}

static Suite *restrict_suite(void) {
        Suite *suite = suite_create("restrict");
        TCase *rules = add_case(suite, "rules", start);
        TCase *ends = add_case(suite, "ends", start);
        TCase *restarts = add_case(suite, "restarts", start);
        TCase *processes = add_case(suite, "processes", start);

        tcase_add_test(rules, abuse_34_a_narrower_protocol_is_never_widened);
        tcase_add_test(rules, a_handed_over_protocol_is_what_it_was);
        tcase_add_test(rules, rights_are_the_brokers_to_enforce);
        tcase_add_test(rules, peers_that_rules_deny_are_never_seen);
        tcase_add_test(rules, what_are_no_rules_is_said);
        tcase_add_test(rules, narrowing_has_an_end);
        tcase_add_test(rules, narrower_protocols_count_as_controls);
        tcase_add_test(ends, a_violation_ends_the_delegation_and_no_more);
        tcase_add_test(ends, it_outlives_the_session_that_gave_it);
        tcase_add_test(ends, a_reload_ends_it_as_the_session_s);
        tcase_add_loop_test(restarts, it_comes_back_as_narrow, 0, 2);
        tcase_add_test(restarts, it_comes_back_as_a_delegation);
        tcase_add_test(processes, another_process_can_do_what_is_granted_and_nothing_more);
        tcase_add_test(processes, a_guest_has_one_delegated_protocol_and_nothing_else);
        tcase_add_test(processes, what_is_handed_over_must_be_a_protocol);
        return suite;
}

int main(void) {
        return run_suite(restrict_suite());
}
