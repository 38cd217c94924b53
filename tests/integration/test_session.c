/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: who may open one, as which tenant, and what it is told.
 *
 * Not tested here: that a session which says nothing is ended after ten seconds, for the test would take as long.
 */
#include <check.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

/* Another user than ours, whom every Debian has. */
static uid_t other_user(void) {
        const struct passwd *passwd = getpwnam("nobody");

        ck_assert_ptr_nonnull(passwd);
        return passwd->pw_uid;
}

#define PROTOCOL "[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:*\n"

#define ACME "[Tenant]\nName=acme\nUser=%u\n" PROTOCOL "[Protocol db]\nFamily=ipv4\nDataPath=direct\n"
#define ZETA "[Tenant]\nName=zeta\nUser=%u\n" PROTOCOL

static uint32_t try_hello(const struct daemon *daemon, const char *tenant) {
        struct wire wire = wire_connect(daemon->socket_path);
        struct wire_session session;
        uint32_t error = wire_hello(&wire, tenant, &session);

        if (error == 0) {
                wire_session_close(&session);
                return 0;
        }
        wire_expect_end(&wire);
        (void)wire_close(&wire);
        return error;
}

static void start(struct daemon *daemon, uid_t first, uid_t second) {
        daemon_init(daemon);
        daemon_write_policy(daemon, ACME, (unsigned)first);
        daemon_write_policy_file(daemon, "zeta.conf", ZETA, (unsigned)second);
        daemon_start(daemon, NULL);
}

static void stop(struct daemon *daemon) {
        daemon_stop(daemon);
        daemon_deinit(daemon);
}

START_TEST(welcome_names_the_tenant_and_its_protocols) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        const Nb__Welcome *welcome;
        struct daemon daemon;
        struct wire wire;

        start(&daemon, getuid(), getuid() + 1);
        wire = wire_connect(daemon.socket_path);
        wire_send_hello(&wire, "");
        ck_assert(wire_receive(&wire, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_WELCOME);
        welcome = reply->reply->welcome;
        ck_assert_uint_eq(welcome->version, 1);
        ck_assert_str_eq(welcome->tenant, "acme");
        ck_assert_uint_eq(welcome->n_protocols, 2);
        ck_assert_uint_eq(reply->fds.n, 2);
        ck_assert_str_eq(welcome->protocols[0]->name, "web");
        ck_assert_str_eq(welcome->protocols[1]->name, "db");
        ck_assert_uint_eq(welcome->protocols[0]->rights_base, NB_RIGHTS_PROTOCOL);
        ck_assert_uint_eq(welcome->protocols[0]->rights_inheriting, NB_RIGHTS_NETWORK);
        nb_channel_fds_close(&reply->fds);
        (void)wire_close(&wire);
        daemon_expect_audit(&daemon, "\"verb\":\"hello\"", "\"verdict\":\"allowed\"", "\"tenant\":\"acme\"",
                            "\"label\":\"a test\"");
        stop(&daemon);
}
END_TEST

START_TEST(hello_selects_among_those_that_fit) {
        struct daemon daemon;

        start(&daemon, getuid(), getuid());
        ck_assert_uint_eq(try_hello(&daemon, "acme"), 0);
        ck_assert_uint_eq(try_hello(&daemon, "zeta"), 0);
        ck_assert_uint_eq(try_hello(&daemon, ""), NB_WASI_EACCES);
        daemon_expect_audit(&daemon, "\"verb\":\"hello\"", "\"verdict\":\"denied\"", "several tenants");
        ck_assert_uint_eq(try_hello(&daemon, "acm"), NB_WASI_EACCES);
        ck_assert_uint_eq(try_hello(&daemon, "ACME"), NB_WASI_EACCES);
        daemon_expect_audit(&daemon, "\"verb\":\"hello\"", "\"asked\":\"ACME\"", "\"verdict\":\"denied\"",
                            "no tenant of that name");
        stop(&daemon);
}
END_TEST

START_TEST(hello_does_not_reach_a_tenant_that_does_not_fit) {
        struct daemon daemon;

        start(&daemon, getuid(), getuid() + 1);
        ck_assert_uint_eq(try_hello(&daemon, ""), 0);
        ck_assert_uint_eq(try_hello(&daemon, "zeta"), NB_WASI_EACCES);
        stop(&daemon);
}
END_TEST

static void expect_refused(void *data) {
        ck_assert_uint_eq(try_hello(data, ""), NB_WASI_EACCES);
        ck_assert_uint_eq(try_hello(data, "acme"), NB_WASI_EACCES);
}

static void expect_zeta_only(void *data) {
        ck_assert_uint_eq(try_hello(data, ""), 0);
        ck_assert_uint_eq(try_hello(data, "zeta"), 0);
        ck_assert_uint_eq(try_hello(data, "acme"), NB_WASI_EACCES);
}

/* The kernel's word for who it is, from the time of connect() (abuse case 10). */
START_TEST(a_tenant_is_for_its_user) {
        struct daemon daemon;

        start(&daemon, getuid(), getuid());
        harness_run_as(other_user(), expect_refused, &daemon);
        daemon_expect_audit(&daemon, "\"verb\":\"hello\"", "\"verdict\":\"denied\"", "no tenant admits this process");
        stop(&daemon);

        start(&daemon, getuid(), other_user());
        harness_run_as(other_user(), expect_zeta_only, &daemon);
        stop(&daemon);
}
END_TEST

struct passed {
        const struct daemon *daemon;
        int pair[2];
};

static void pass_session(void *data) {
        const struct passed *passed = data;
        struct wire wire = wire_connect(passed->daemon->socket_path);

        ck_assert_int_eq(nb_channel_send(passed->pair[1], "x", 1, &wire.fd, 1), 0);
}

/* Who connected counts, not who speaks. */
START_TEST(abuse_10_a_connection_keeps_its_user_when_it_is_passed_on) {
        uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
        struct passed passed;
        struct nb_channel_fds fds;
        struct wire_session session;
        struct daemon daemon;

        start(&daemon, getuid(), getuid() + 1);
        passed.daemon = &daemon;
        ck_assert_int_eq(nb_channel_pair(passed.pair), 0);
        harness_run_as(other_user(), pass_session, &passed);
        ck_assert_int_eq(nb_channel_receive(passed.pair[0], buffer, &fds), 1);
        ck_assert_uint_eq(fds.n, 1);
        ck_assert_uint_eq(wire_hello(&(struct wire){ .fd = fds.fds[0] }, "", &session), NB_WASI_EACCES);
        nb_channel_fds_close(&fds);
        (void)nb_fd_close(passed.pair[0]);
        (void)nb_fd_close(passed.pair[1]);
        stop(&daemon);
}
END_TEST

/* After --user nothing needs what was given up. */
START_TEST(the_broker_serves_as_another_user) {
        struct daemon_options options = { .user = "nobody" };
        struct scene scene;
        struct wire control;

        scene_start(&scene, &options, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        (void)wire_close(&control);
        daemon_reload(&scene.daemon);
        daemon_expect_log(&scene.daemon, "reloaded");
        scene_end(&scene);
}
END_TEST

/* ---- Hello itself ---- */

struct hello_case {
        uint32_t oldest, newest;
        const char *token;
        size_t tenant_length, label_length;
        uint32_t error; /* 0: welcome; NB_WASI_EPROTO here: dropped */
};

static const struct hello_case hellos[] = {
        { .oldest = 1, .newest = 1, .error = 0 },
        { .oldest = 0, .newest = 7, .error = 0 },
        { .oldest = 2, .newest = 7, .error = NB_WASI_EPROTONOSUPPORT },
        { .oldest = 0, .newest = 0, .error = NB_WASI_EPROTONOSUPPORT },
        { .oldest = 7, .newest = 0, .error = NB_WASI_EPROTONOSUPPORT },
        { .oldest = 1, .newest = UINT32_MAX, .error = 0 },
        { .oldest = 1, .newest = 1, .token = "t", .error = NB_WASI_EACCES },
        { .oldest = 1, .newest = 1, .tenant_length = NB_NAME_LENGTH_MAX, .error = NB_WASI_EACCES },
        { .oldest = 1, .newest = 1, .tenant_length = NB_NAME_LENGTH_MAX + 1, .error = NB_WASI_EPROTO },
        { .oldest = 1, .newest = 1, .label_length = NB_LABEL_LENGTH_MAX, .error = 0 },
        { .oldest = 1, .newest = 1, .label_length = NB_LABEL_LENGTH_MAX + 1, .error = NB_WASI_EPROTO },
};

static void send_hello_case(const struct wire *wire, const struct hello_case *c) {
        char tenant[NB_NAME_LENGTH_MAX + 2] = "", label[NB_LABEL_LENGTH_MAX + 2] = "";
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Hello hello = NB__HELLO__INIT;

        memset(tenant, 'x', c->tenant_length);
        memset(label, 'x', c->label_length);
        hello.oldest_version = c->oldest;
        hello.newest_version = c->newest;
        hello.tenant = tenant;
        hello.label = label;
        if (c->token)
                hello.token = (ProtobufCBinaryData){ .data = (uint8_t *)c->token, .len = strlen(c->token) };
        request.body_case = NB__REQUEST__BODY_HELLO;
        request.hello = &hello;
        request.serial = 1;
        wire_send(wire, &request);
}

START_TEST(hello) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        const struct hello_case *c = &hellos[_i];
        struct scene scene;
        struct wire wire;
        bool answered;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        wire = wire_connect(scene.daemon.socket_path);
        send_hello_case(&wire, c);
        answered = wire_receive(&wire, reply);
        ck_assert_int_eq(answered, c->error != NB_WASI_EPROTO);
        if (answered && c->error == 0) {
                ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_WELCOME);
                nb_channel_fds_close(&reply->fds);
        } else if (answered) {
                ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_REFUSED);
                ck_assert_uint_eq(reply->reply->refused->error, c->error);
                /* Who has no tenant is told nothing. */
                ck_assert_str_eq(reply->reply->refused->reason, "");
                wire_expect_end(&wire);
                daemon_expect_audit(&scene.daemon, "\"verb\":\"hello\"", "\"verdict\":\"denied\"");
        } else {
                daemon_expect_audit(&scene.daemon, "\"verb\":\"protocol-error\"", "\"verdict\":\"dropped\"");
        }
        (void)wire_close(&wire);
        scene_end(&scene);
}
END_TEST

/* A label and a tenant's name are a stranger's text in the operator's file (abuse case 46). */
START_TEST(abuse_46_texts_are_escaped_in_the_audit) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Hello message = NB__HELLO__INIT;
        struct scene scene;
        struct wire wire;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        wire = wire_connect(scene.daemon.socket_path);
        message.oldest_version = message.newest_version = 1;
        message.tenant = (char *)"a\n{\"verdict\":\"allowed\"}\x1b[31m";
        request.body_case = NB__REQUEST__BODY_HELLO;
        request.hello = &message;
        request.serial = 1;
        wire_send(&wire, &request);
        wire_expect_end(&wire);
        (void)wire_close(&wire);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"hello\"",
                            "\"asked\":\"a\\\\x0a{\\\"verdict\\\":\\\"allowed\\\"}\\\\x1b[31m\"");
        scene_end(&scene);
}
END_TEST

START_TEST(protocols_outlive_the_session_channel) {
        struct scene scene;
        struct wire_session session;
        struct wire control;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        wire_session_open(scene.daemon.socket_path, "", &session);
        (void)wire_close(&session.channel);
        control = wire_open_control(&session.protocols[0], "127.0.0.1:0");
        wire_session_close(&session);
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* Standard streams that are closed at start must not become anyone's socket. */
START_TEST(closed_standard_streams) {
        struct scene scene;
        char script[256], path[HARNESS_PATH_MAX];
        const char *real = getenv("NETBROKERD");
        FILE *file;

        daemon_init(&scene.daemon);
        (void)snprintf(path, sizeof(path), "%s/closed", scene.daemon.folder);
        (void)snprintf(script, sizeof(script), "#!/bin/sh\nexec '%s' \"$@\" <&- >&- 2>&-\n", real);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(script, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(path, 0755), 0);
        ck_assert_int_eq(setenv("NETBROKERD", path, 1), 0);

        daemon_write_policy(&scene.daemon, SCENE_TENANT SCENE_LOOPBACK, (unsigned)getuid());
        daemon_start(&scene.daemon, NULL);
        ck_assert_uint_eq(try_hello(&scene.daemon, "no-such-tenant"), NB_WASI_EACCES);
        ck_assert_uint_eq(try_hello(&scene.daemon, "acme"), 0);
        stop(&scene.daemon);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("session");
        TCase *tcase = tcase_create("session");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, welcome_names_the_tenant_and_its_protocols);
        tcase_add_test(tcase, hello_selects_among_those_that_fit);
        tcase_add_test(tcase, hello_does_not_reach_a_tenant_that_does_not_fit);
        if (getuid() == 0) {
                tcase_add_test(tcase, a_tenant_is_for_its_user);
                tcase_add_test(tcase, abuse_10_a_connection_keeps_its_user_when_it_is_passed_on);
                tcase_add_test(tcase, the_broker_serves_as_another_user);
        } else {
                fprintf(stderr, "not tested: tenants by user, and --user: that needs root\n");
        }
        tcase_add_loop_test(tcase, hello, 0, sizeof(hellos) / sizeof(hellos[0]));
        tcase_add_test(tcase, abuse_46_texts_are_escaped_in_the_audit);
        tcase_add_test(tcase, protocols_outlive_the_session_channel);
        tcase_add_test(tcase, closed_standard_streams);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
