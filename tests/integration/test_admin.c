/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's socket, by hand: framing, limits, and clients that do what netbrokerctl never would.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/admin.h"
#include "broker/admin_client.h"
#include "tests/support/operator.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define END "{\"end\":true}"
#define STATUS "{\"verb\":\"status\"}"

static void expect_line(int fd, const char *part) {
        NB_CLEANUP_FREE char *line = operator_receive(fd);

        ck_assert_ptr_nonnull(line);
        operator_expect(line, part);
}

static void expect_answer(int fd, const char *request, const char *last) {
        NB_CLEANUP_FREE char *line = operator_ask(fd, request);

        ck_assert_ptr_nonnull(line);
        operator_expect(line, last);
}

static void expect_closed(int fd) {
        char byte;

        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
}

START_TEST(requests_are_answered_in_their_order) {
        const char requests[] = "{\"verb\":\"log-level\"}\n{\"verb\":\"nothing\"}\n" STATUS "\n";
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;

        operator_start(&world, SCENE_LOOPBACK, false);
        fd = operator_connect(&world);
        operator_send(fd, requests, strlen(requests));
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        expect_line(fd, "{\"level\":\"info\"}");
        expect_line(fd, END);
        expect_line(fd, "\"errno\":\"ENOSYS\"");
        expect_line(fd, "\"version\":");
        expect_line(fd, END);
        expect_closed(fd);
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

START_TEST(a_request_may_come_in_pieces) {
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;

        operator_start(&world, SCENE_LOOPBACK, false);
        fd = operator_connect(&world);
        for (const char *c = STATUS "\n"; *c; ++c)
                operator_send(fd, c, 1);
        expect_line(fd, "\"version\":");
        expect_line(fd, END);
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

static const struct {
        const char *request;
        const char *error;
} bad_requests[] = {
        { "", "not JSON" },
        { "status", "not JSON" },
        { "{\"verb\":\"status\"", "not JSON" },
        { "{\"verb\":\"status\"} {}", "inside" },
        { "{\"verb\":\"status\"}x", "not JSON" },
        { "{\"verb\":\"status\",\"verb\":\"reload\"}", "not JSON" },
        { "{\"verb\":\"sta\\u0000tus\"}", "not JSON" },
        { "{\"verb\":\"sta\xff\"}", "not JSON" },
        { "[\"status\"]", "a \\\"verb\\\"" },
        { "{}", "a \\\"verb\\\"" },
        { "{\"verb\":1}", "a \\\"verb\\\"" },
        { "{\"verb\":{\"verb\":\"status\"}}", "inside" },
        { "{\"verb\":\"status\",\"x\":[]}", "inside" },
        { "{\"verb\":\"status\",\"x\":1}", "not a request of this verb" },
        { "{\"verb\":\"Status\"}", "no such verb" },
        { "{\"verb\":\"connections\",\"session\":\"1\"}", "not a request of this verb" },
        { "{\"verb\":\"connections\",\"session\":-1}", "counts from 1" },
        { "{\"verb\":\"sessions\",\"tenant\":\"nobody\"}", "no tenant 'nobody'" },
        { "{\"verb\":\"sessions\",\"tenant\":\"\\u001b[31m\"}", "no tenant '\\\\x1b[31m'" },
        { "{\"verb\":\"quota\",\"tenant\":\"nobody\"}", "no tenant" },
        { "{\"verb\":\"dump\",\"tenant\":\"nobody\"}", "no tenant" },
        { "{\"verb\":\"suggest\"}", "not a request of this verb" },
        { "{\"verb\":\"suggest\",\"tenant\":\"nobody\"}", "no tenant" },
        { "{\"verb\":\"log-level\",\"level\":\"loud\"}", "a level is" },
        { "{\"verb\":\"log-level\",\"level\":null}", "not a request of this verb" },
        { "{\"verb\":\"reload\",\"now\":true}", "not a request of this verb" },
        { "{\"verb\":\"revoke\",\"kind\":\"session\"}", "what is revoked" },
        { "{\"verb\":\"revoke\",\"kind\":\"session\",\"id\":0}", "what is revoked" },
        { "{\"verb\":\"revoke\",\"kind\":\"session\",\"id\":99}", "no session 99" },
        { "{\"verb\":\"revoke\",\"kind\":\"session\",\"id\":99999999999999999999}", "not JSON" },
        { "{\"verb\":\"revoke\",\"kind\":\"connection\",\"id\":99}", "no connection 99" },
        { "{\"verb\":\"revoke\",\"kind\":\"protocol\",\"tenant\":\"acme\"}", "what is revoked" },
        { "{\"verb\":\"revoke\",\"kind\":\"protocol\",\"tenant\":\"acme\",\"protocol\":\"x\"}", "no protocol 'x'" },
        { "{\"verb\":\"explain\",\"tenant\":\"acme\",\"protocol\":\"web\",\"operation\":\"connect\"}",
          "not a request" },
        { "{\"verb\":\"explain\",\"tenant\":\"x\",\"protocol\":\"web\",\"operation\":\"connect\",\"target\":\"@a\"}",
          "no tenant" },
        { "{\"verb\":\"explain\",\"tenant\":\"acme\",\"protocol\":\"x\",\"operation\":\"connect\",\"target\":\"@a\"}",
          "no protocol" },
        { "{\"verb\":\"explain\",\"tenant\":\"acme\",\"protocol\":\"web\",\"operation\":\"send\",\"target\":\"@a\"}",
          "an operation is" },
        { "{\"verb\":\"explain\",\"tenant\":\"acme\",\"protocol\":\"web\",\"operation\":\"connect\",\"target\":\"1.1."
          "1\"}",
          "\"errno\":\"EINVAL\"" },
        { "{\"verb\":\"explain\",\"tenant\":\"acme\",\"protocol\":\"web\",\"operation\":\"connect\",\"target\":"
          "\"127.0.0.1:1\",\"address\":\"127.0.0.1\"}",
          "that a name is to have" },
        { "{\"verb\":\"watch\",\"verdict\":1}", "not a request of this verb" },
        { "{\"verb\":\"metrics\",\"x\":1}", "not a request of this verb" },
        { "{\"verb\":\"drain\",\"wait\":true}", "draining was ended" },
        { "{\"verb\":\"drain\",\"tenant\":\"acme\",\"wait\":true}", "draining was ended" },
};

/* Each has its error, and the client goes on. */
START_TEST(bad_requests_are_refused_with_reasons) {
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;

        operator_start(&world, SCENE_LOOPBACK, false);
        fd = operator_connect(&world);
        for (size_t i = 0; i < ELEMENTS(bad_requests); ++i) {
                expect_answer(fd, bad_requests[i].request, "{\"error\":");
                expect_answer(fd, bad_requests[i].request, bad_requests[i].error);
        }
        expect_answer(fd, STATUS, END);
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

/* The parser of JSON recurses: it must not be made to. */
START_TEST(a_request_that_is_nested_deeply_is_refused) {
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;
        const size_t length = ADMIN_REQUEST_MAX - 1;
        NB_CLEANUP_FREE char *request = calloc(1, length + 1);

        operator_start(&world, SCENE_LOOPBACK, false);
        fd = operator_connect(&world);
        memset(request, '[', length);
        expect_answer(fd, request, "without others inside");
        expect_answer(fd, STATUS, END);
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

START_TEST(a_request_that_is_too_long_ends_the_client) {
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;
        const size_t length = ADMIN_REQUEST_MAX + 1;
        NB_CLEANUP_FREE char *request = calloc(1, length + 1);

        operator_start(&world, SCENE_LOOPBACK, false);
        fd = operator_connect(&world);
        memset(request, ' ', length);
        operator_send(fd, request, length);
        expect_line(fd, "\"errno\":\"EMSGSIZE\"");
        expect_closed(fd);
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

START_TEST(there_are_at_most_sixteen_clients) {
        struct operator_scene world;
        int fds[ADMIN_CLIENTS_MAX], late;

        operator_start(&world, SCENE_LOOPBACK, false);
        for (size_t i = 0; i < ELEMENTS(fds); ++i) {
                fds[i] = operator_connect(&world);
                expect_answer(fds[i], STATUS, END);
        }
        late = operator_connect(&world);
        expect_line(late, "\"errno\":\"EUSERS\"");
        expect_closed(late);
        (void)nb_fd_close(late);
        /* One goes, another comes. */
        (void)nb_fd_close(fds[0]);
        daemon_wait_fds(&world.scene.daemon, world.scene.baseline + ADMIN_CLIENTS_MAX - 1);
        fds[0] = operator_connect(&world);
        expect_answer(fds[0], STATUS, END);
        nb_fds_close(fds, ELEMENTS(fds));
        operator_end(&world);
}
END_TEST

static const char *const interrupted[] = {
        "{\"verb\":\"stat",
        "{\"verb\":\"metrics\"}\n{\"verb\":\"metrics\"}\n{\"verb\":\"metrics\"}\n{\"verb\":\"metrics\"}\n",
        "{\"verb\":\"watch\"}\n",
        "{\"verb\":\"watch\"}\n{\"verb\":\"status\"}\n",
        "{\"verb\":\"explain\",\"tenant\":\"acme\",\"protocol\":\"web\",\"operation\":\"connect\",\"target\":\"a.test:"
        "1\","
        "\"resolve\":true}\n",
};

START_TEST(a_client_may_go_at_any_time) {
        struct operator_scene world;

        operator_start(&world, SCENE_LOOPBACK "Connect=a.test:1\n", false);
        for (int i = 0; i < 20; ++i) {
                NB_CLEANUP_FD int fd = operator_connect(&world);

                operator_send(fd, interrupted[_i], strlen(interrupted[_i]));
        }
        scene_expect_baseline(&world.scene);
        operator_end(&world);
}
END_TEST

static void cannot_connect(void *data) {
        const struct operator_scene *world = data;
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(sa.sun_path, world->admin_socket, strlen(world->admin_socket));
        ck_assert_int_eq(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), -1);
        ck_assert_int_eq(errno, EACCES);
        (void)nb_fd_close(fd);
}

START_TEST(nobody_else_can_ask) {
        struct operator_scene world;
        struct stat st;

        operator_start(&world, SCENE_LOOPBACK, false);
        ck_assert_int_eq(stat(world.admin_socket, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        harness_run_as(12345, cannot_connect, &world);
        operator_end(&world);
}
END_TEST

START_TEST(every_request_is_in_the_audit) {
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;
        char who[64];

        operator_start(&world, SCENE_LOOPBACK, true);
        fd = operator_connect(&world);
        (void)snprintf(who, sizeof(who), "asked by pid %d of user %u", (int)getpid(), (unsigned)getuid());
        expect_answer(fd, STATUS, END);
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"admin\"", "status", who, "\"verdict\":\"done\"");
        expect_answer(fd, "{\"verb\":\"revoke\",\"kind\":\"session\",\"id\":77}", "no session 77");
        daemon_expect_audit(&world.scene.daemon, "\"verb\":\"admin\"", "revoke", who, "no session 77",
                            "\"verdict\":\"refused\"");
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

/* Words of a request, cut in the middle of a character: who has asked stands in the record nevertheless. */
START_TEST(no_request_hides_who_has_asked) {
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;
        char who[64];

        operator_start(&world, SCENE_LOOPBACK, true);
        fd = operator_connect(&world);
        (void)snprintf(who, sizeof(who), "asked by pid %d of user %u", (int)getpid(), (unsigned)getuid());
        for (int shift = 0; shift < 3; ++shift) {
                char key[256], request[320], asked[sizeof(key) + 16];
                size_t length = (size_t)snprintf(key, sizeof(key), "k%.*s", shift, "xx");

                (void)snprintf(asked, sizeof(asked), "\"%s\\\\xe2", key);
                for (int i = 0; i < 70; ++i)
                        length += (size_t)snprintf(key + length, sizeof(key) - length, "%s", "\xe2\x82\xac");
                (void)snprintf(request, sizeof(request), "{\"verb\":\"status\",\"%s\":1}", key);
                expect_answer(fd, request, "not a request of this verb");
                daemon_expect_audit(&world.scene.daemon, "\"verb\":\"admin\"", asked, who, "\"verdict\":\"refused\"");
        }
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

/* ---- long answers, slow readers ---- */

/* More than one slice, told once each and in order, while the reader takes its time and sessions come and go. */
START_TEST(a_long_answer_does_not_hold_up_anyone) {
        enum { N = 400 };
        NB_CLEANUP_FREE struct wire_session *sessions = calloc(N, sizeof(*sessions));
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;
        long long last = 0, n = 0;

        operator_start(&world, SCENE_LOOPBACK, false);
        for (int i = 0; i < N; ++i)
                wire_session_open(world.scene.daemon.socket_path, "acme", &sessions[i]);
        fd = operator_connect(&world);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
        operator_send(fd, "{\"verb\":\"sessions\"}\n", 20);
        expect_line(fd, "\"session\":1,");
        for (int i = 0; i < N; i += 2)
                wire_session_close(&sessions[i]);
        wire_settle(world.scene.web);
        for (;;) {
                NB_CLEANUP_FREE char *line = operator_receive(fd);
                long long id = 0;

                ck_assert_ptr_nonnull(line);
                if (strcmp(line, END) == 0)
                        break;
                ck_assert_int_eq(sscanf(line, "{\"session\":%lld,", &id), 1);
                ck_assert_int_gt(id, last);
                last = id;
                n++;
        }
        ck_assert_int_ge(n, N / 2);
        for (int i = 1; i < N; i += 2)
                wire_session_close(&sessions[i]);
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

/* What a watcher does not read is lost to it and to nobody else. */
START_TEST(a_watcher_that_does_not_read_loses_records) {
        struct operator_scene world;
        NB_CLEANUP_FD int fd = -1;
        struct wire control;
        long long lost = 0;

        operator_start(&world, "Connect=127.0.0.1:1\n", true);
        fd = operator_connect(&world);
        operator_send(fd, "{\"verb\":\"watch\"}\n", 17);
        expect_line(fd, "{\"watching\":true}");
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        for (int i = 0; i < 4000; ++i) {
                int stream;

                ck_assert_uint_eq(wire_connect_to(&control, "192.0.2.1:1", &stream), NB_WASI_EACCES);
        }
        /* Once it reads there is room, and then the next record tells. */
        while (lost == 0) {
                NB_CLEANUP_FREE char *line = operator_receive(fd);
                int stream;

                ck_assert_ptr_nonnull(line);
                (void)sscanf(line, "{\"lost\":%lld}", &lost);
                if (harness_poll(fd, POLLIN, 0) == 0 && lost == 0)
                        ck_assert_uint_eq(wire_connect_to(&control, "192.0.2.1:1", &stream), NB_WASI_EACCES);
        }
        ck_assert_int_gt(lost, 0);
        (void)wire_close(&control);
        fd = nb_fd_close(fd);
        operator_end(&world);
}
END_TEST

/* ---- the socket ---- */

START_TEST(a_tenant_cannot_reach_it) {
        char rules[256], *reason = NULL;
        struct operator_scene world = { .folder = "" };
        struct wire control;

        operator_start(&world, SCENE_LOOPBACK, false);
        (void)snprintf(rules, sizeof(rules),
                       "[Protocol files]\nFamily=unix\nDataPath=direct\nConnect=%s\nConnect=%s/*\n", world.admin_socket,
                       world.folder);
        scene_write_policy(&world.scene, rules);
        daemon_reload(&world.scene.daemon);
        wire_session_close(&world.scene.session);
        wire_session_open(world.scene.daemon.socket_path, "acme", &world.scene.session);
        world.scene.web = &world.scene.session.protocols[1];
        control = wire_open_control(world.scene.web, "");
        ck_assert_uint_eq(wire_connect_refused(&control, world.admin_socket, &reason), NB_WASI_EACCES);
        free(reason);
        (void)wire_close(&control);
        operator_end_changed(&world);
}
END_TEST

/* As systemd does it: the name says what the socket is for. */
START_TEST(systemd_gives_it_by_its_name) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        struct operator_scene world = { .folder = "/tmp/netbroker-operator-XXXXXX" };
        struct daemon *daemon = &world.scene.daemon;
        const char *arguments[] = { "--socket", daemon->socket_path, NULL };
        NB_CLEANUP_FD int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = -1;
        const struct daemon_options options = { .arguments = arguments, .activation_fd = listener };

        ck_assert_ptr_nonnull(mkdtemp(world.folder));
        (void)snprintf(world.admin_socket, sizeof(world.admin_socket), "%s/s", world.folder);
        memcpy(sa.sun_path, world.admin_socket, strlen(world.admin_socket));
        ck_assert_int_eq(bind(listener, (const struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(listener, 8), 0);
        ck_assert_int_eq(setenv("LISTEN_FDNAMES", "admin", 1), 0);
        daemon_init(daemon);
        daemon_write_policy(daemon, SCENE_TENANT SCENE_LOOPBACK, (unsigned)getuid());
        daemon_start(daemon, &options);
        fd = operator_connect(&world);
        expect_answer(fd, STATUS, END);
        daemon_stop(daemon);
        daemon_deinit(daemon);
        /* It is not the broker's to remove. */
        ck_assert_int_eq(unlink(world.admin_socket), 0);
        ck_assert_int_eq(rmdir(world.folder), 0);
}
END_TEST

/* ---- proto/ADMIN.md ---- */

/* Every verb of the page is one, and of the page's request for it nothing is unknown. */
START_TEST(the_page_names_the_verbs) {
        char path[512], request[256], verb[64], line[4096];
        struct operator_scene world;
        FILE *page;
        int n = 0;

        operator_start(&world, SCENE_LOOPBACK, false);
        (void)snprintf(path, sizeof(path), "%s/proto/ADMIN.md", getenv("SRCDIR"));
        page = fopen(path, "re");
        ck_assert_ptr_nonnull(page);
        while (fgets(line, sizeof(line), page)) {
                NB_CLEANUP_FD int fd = -1;
                NB_CLEANUP_FREE char *answer = NULL;

                if (sscanf(line, "| `%63[a-z-]` |", verb) != 1)
                        continue;
                fd = operator_connect(&world);
                (void)snprintf(request, sizeof(request), "{\"verb\":\"%s\",\"nothing\":1}", verb);
                answer = operator_ask(fd, request);
                operator_expect(answer, "not a request of this verb");
                n++;
        }
        (void)fclose(page);
        ck_assert_int_eq(n, 16);
        operator_end(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("admin");
        TCase *tcase = tcase_create("admin");

        tcase_add_test(tcase, requests_are_answered_in_their_order);
        tcase_add_test(tcase, a_request_may_come_in_pieces);
        tcase_add_test(tcase, bad_requests_are_refused_with_reasons);
        tcase_add_test(tcase, a_request_that_is_nested_deeply_is_refused);
        tcase_add_test(tcase, a_request_that_is_too_long_ends_the_client);
        tcase_add_test(tcase, there_are_at_most_sixteen_clients);
        tcase_add_loop_test(tcase, a_client_may_go_at_any_time, 0, ELEMENTS(interrupted));
        tcase_add_test(tcase, nobody_else_can_ask);
        tcase_add_test(tcase, every_request_is_in_the_audit);
        tcase_add_test(tcase, no_request_hides_who_has_asked);
        tcase_add_test(tcase, a_long_answer_does_not_hold_up_anyone);
        tcase_add_test(tcase, a_watcher_that_does_not_read_loses_records);
        tcase_add_test(tcase, a_tenant_cannot_reach_it);
        tcase_add_test(tcase, systemd_gives_it_by_its_name);
        tcase_add_test(tcase, the_page_names_the_verbs);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
