/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit and report mode: what a record says, where it goes, what a flood or a reader that is stuck makes of it, and what Mode=report lets
 * pass.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/audit_sink.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* Nothing is granted. */
#define NO_RULES ""

/* More denials than the audit takes at once. */
#define FLOOD 400

/* One that its tenant's rules do not have. */
#define DENIED "127.0.0.1:9"

static void expect_denied(struct wire *control, const char *address) {
        int fd;

        ck_assert_uint_eq(wire_connect_to(control, address, &fd), NB_WASI_EACCES);
}

static void expect_connected(struct wire *control, const char *address) {
        int fd;

        ck_assert_uint_eq(wire_connect_to(control, address, &fd), 0);
        (void)nb_fd_close(fd);
}

/* ---- what a record says ---- */

START_TEST(a_record_has_the_type_of_the_socket) {
        struct wire stream, dgram;
        struct scene scene;

        scene_start(&scene, NULL, "SocketTypes=stream dgram\n");
        stream = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_open_dgram(scene.web, "0.0.0.0:0", &dgram, NULL), 0);
        expect_denied(&stream, DENIED);
        expect_denied(&dgram, DENIED);
        daemon_expect_audit(&scene.daemon, "\"type\":\"stream\"", "\"verdict\":\"denied\"", DENIED);
        daemon_expect_audit(&scene.daemon, "\"type\":\"dgram\"", "\"verdict\":\"denied\"", DENIED);
        (void)wire_close(&stream);
        (void)wire_close(&dgram);
        scene_end(&scene);
}
END_TEST

START_TEST(allowed_decisions_have_an_option) {
        const char *const arguments[] = { "--audit-allowed", NULL };
        const struct daemon_options quiet = { .no_info = true };
        const struct daemon_options asked = { .no_info = true, .arguments = arguments };
        struct peer peer = peer_listen("127.0.0.1", 8);
        const char *const allowed[] = { "\"verb\":\"connect\"", "\"verdict\":\"allowed\"", NULL };
        struct wire control;
        struct scene scene;

        scene_start(&scene, &quiet, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_connected(&control, peer.text);
        (void)wire_close(&control);
        ck_assert_uint_eq(daemon_count_audit(&scene.daemon, allowed), 0);
        scene_end(&scene);

        scene_start(&scene, &asked, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_connected(&control, peer.text);
        (void)wire_close(&control);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"allowed\"", peer.text);
        scene_end(&scene);
        peer_close(&peer);
}
END_TEST

/* ---- report mode ---- */

#define REPORT_TENANT                                                                                                  \
        "[Tenant]\nName=acme\nUser=%u\nMode=report\n"                                                                  \
        "[Protocol web]\nFamily=ip\nDataPath=direct\nListen=127.0.0.1:1\n%s"

/* A scene whose tenant is in report mode. */
static void report_start(struct scene *scene, const struct daemon_options *options, const char *rules) {
        daemon_init(&scene->daemon);
        daemon_write_policy(&scene->daemon, REPORT_TENANT, (unsigned)getuid(), rules);
        daemon_start(&scene->daemon, options);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
}

static void report_end(struct scene *scene) {
        wire_session_close(&scene->session);
        daemon_stop(&scene->daemon);
        daemon_deinit(&scene->daemon);
}

START_TEST(report_mode_lets_pass_and_says_so) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct wire control;
        struct scene scene;

        report_start(&scene, NULL, "Deny=127.0.0.1:*\n");
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_connected(&control, peer.text);
        daemon_expect_audit(&scene.daemon, "\"verdict\":\"reported\"", "\"rule\":\"Deny=127.0.0.1:*\"", peer.text);
        (void)wire_close(&control);
        peer_close(&peer);
        report_end(&scene);
}
END_TEST

START_TEST(report_mode_tells_what_would_allow_it) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct wire control;
        struct scene scene;

        report_start(&scene, NULL, NO_RULES);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_connected(&control, peer.text);
        daemon_expect_audit(&scene.daemon, "\"verdict\":\"reported\"", "\"remedy\":\"Connect=127.0.0.1:", peer.text);
        (void)wire_close(&control);
        peer_close(&peer);
        report_end(&scene);
}
END_TEST

/* A bind and what comes in by it; and a reload judges what is there by the same mode. */
START_TEST(report_mode_lets_listen_and_accept) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire control;
        struct scene scene;
        int fd, peer_fd;

        report_start(&scene, NULL, "Deny=127.0.0.0/8:*\n");
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        daemon_reload(&scene.daemon);
        peer_fd = peer_connect(address);
        fd = wire_receive_accepted(&control, 1);
        peer_exchange(fd, peer_fd);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"listen\"", "\"verdict\":\"reported\"");
        daemon_expect_audit(&scene.daemon, "\"verb\":\"accept\"", "\"verdict\":\"reported\"");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);
        (void)wire_close(&control);
        report_end(&scene);
}
END_TEST

/* What no rule could allow is refused in any mode. */
START_TEST(report_mode_refuses_what_is_impossible) {
        struct wire control;
        struct scene scene;

        report_start(&scene, NULL, "Connect=any:*\nConnect=local:*\n");
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_denied(&control, "224.0.0.1:80");
        expect_denied(&control, "127.0.0.1:0");
        (void)wire_close(&control);
        report_end(&scene);
}
END_TEST

/* The mode is one tenant's, and a reload takes it back. */
START_TEST(enforcing_again_takes_it_back) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct wire control;
        struct scene scene;

        report_start(&scene, NULL, NO_RULES);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_connected(&control, peer.text);
        scene_write_policy(&scene, NO_RULES);
        daemon_reload(&scene.daemon);
        expect_denied(&control, peer.text);
        (void)wire_close(&control);
        peer_close(&peer);
        report_end(&scene);
}
END_TEST

/* ---- floods ---- */

/* Names that would break a line, colour a terminal, or end a JSON string. */
static const char *const hostile_names[] = {
        "evil\nname.example:443",         "{\"verdict\":\"allowed\"}\n:443", "\x1b[2J\x1b[31mred.example:443",
        "back\\slash\"quote.example:443", "caf\xc3\xa9.example:443",
};

static uint64_t sum_of(const char *text, const char *member) {
        uint64_t sum = 0;

        for (const char *at = strstr(text, member); at; at = strstr(at + 1, member))
                sum += strtoull(at + strlen(member), NULL, 10);
        return sum;
}

static size_t count_lines(const char *text) {
        size_t n = 0;

        for (; *text; ++text)
                n += *text == '\n';
        return n;
}

static bool is_plain(const char *text) {
        for (; *text; ++text) {
                if (*text != '\n' && (*text < ' ' || *text > '~'))
                        return false;
        }
        return true;
}

static void flood(struct wire *control, unsigned n) {
        for (unsigned i = 0; i < n; ++i) {
                int fd;

                ck_assert_uint_ne(wire_connect_to(control, hostile_names[i % ELEMENTS(hostile_names)], &fd), 0);
        }
}

/* A flood of denials with newlines and escapes in names: escaped, rate-limited, counted, also when silence follows it (abuse case 46). */
START_TEST(abuse_46_a_flood_is_escaped_limited_and_counted) {
        const struct daemon_options options = { .no_info = true };
        NB_CLEANUP_FREE char *text = NULL;
        struct wire control;
        struct scene scene;
        size_t n_lines;

        scene_start(&scene, &options, NO_RULES);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        flood(&control, FLOOD);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"audit\"", "\"verdict\":\"suppressed\"", "\"tenant\":\"acme\"");
        (void)wire_close(&control);
        scene_expect_baseline(&scene);
        wire_session_close(&scene.session);
        daemon_stop(&scene.daemon);

        text = daemon_read(scene.daemon.audit_path);
        ck_assert(is_plain(text));
        n_lines = count_lines(text);
        ck_assert_uint_lt(n_lines, FLOOD);
        ck_assert_uint_ge(n_lines, 100);
        /* Nothing is missing: what was written, without the records of counts, and what was left out are all that there was. */
        ck_assert_uint_ge(n_lines + sum_of(text, "\"suppressed\":"), FLOOD);
        daemon_deinit(&scene.daemon);
}
END_TEST

/* One tenant's flood hides no other's denial. */
START_TEST(abuse_46_a_flood_hides_nobody_else) {
        struct wire_session other;
        struct wire control, theirs;
        struct scene scene;

        daemon_init(&scene.daemon);
        scene_write_policy(&scene, NO_RULES);
        daemon_write_policy_file(&scene.daemon, "other.conf",
                                 "[Tenant]\nName=other\nUser=%u\n[Protocol p]\nFamily=ip\nDataPath=direct\n",
                                 (unsigned)getuid());
        daemon_start(&scene.daemon, NULL);
        wire_session_open(scene.daemon.socket_path, "acme", &scene.session);
        wire_session_open(scene.daemon.socket_path, "other", &other);
        control = wire_open_control(&scene.session.protocols[0], "0.0.0.0:0");
        theirs = wire_open_control(&other.protocols[0], "0.0.0.0:0");
        flood(&control, FLOOD);
        expect_denied(&theirs, DENIED);
        daemon_expect_audit(&scene.daemon, "\"tenant\":\"other\"", "\"verdict\":\"denied\"", DENIED);
        (void)wire_close(&control);
        (void)wire_close(&theirs);
        wire_session_close(&other);
        report_end(&scene);
}
END_TEST

/* ---- where it goes ---- */

START_TEST(a_file_is_reopened_when_it_was_rotated) {
        char rotated[HARNESS_PATH_MAX + 4];
        struct wire control;
        struct scene scene;
        struct stat st;
        uint64_t start;

        scene_start(&scene, NULL, NO_RULES);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_denied(&control, "127.0.0.1:1");
        daemon_expect_audit(&scene.daemon, "127.0.0.1:1\"");
        (void)snprintf(rotated, sizeof(rotated), "%s.1", scene.daemon.audit_path);
        ck_assert_int_eq(rename(scene.daemon.audit_path, rotated), 0);
        expect_denied(&control, "127.0.0.1:2");
        ck_assert_int_eq(stat(scene.daemon.audit_path, &st), -1);
        ck_assert_int_eq(kill(scene.daemon.pid, SIGUSR1), 0);
        start = harness_now_ms();
        while (stat(scene.daemon.audit_path, &st) < 0)
                harness_wait_a_moment(start, "the audit file to be made again");
        expect_denied(&control, "127.0.0.1:3");
        daemon_expect_audit(&scene.daemon, "127.0.0.1:3\"");
        ck_assert_int_eq(unlink(rotated), 0);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* A pipe whose reader does not read stops nobody; what was lost is told when it reads again. */
START_TEST(a_stuck_reader_is_not_waited_for) {
        char path[64] = "/tmp/nb-audit-XXXXXX";
        const char *const arguments[] = { "--audit-allowed", NULL };
        const struct daemon_options options = { .arguments = arguments, .audit = path, .no_info = true };
        struct wire control;
        struct scene scene;
        char buffer[65536];
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(path));
        (void)strncat(path, "/pipe", sizeof(path) - strlen(path) - 1);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_ge(fcntl(fd, F_SETPIPE_SZ, 4096), 4096);

        scene_start(&scene, &options, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        for (int i = 0; i < 200; ++i) {
                struct wire listening = wire_open_control(scene.web, "127.0.0.1:0");

                (void)wire_close(&listening);
        }
        daemon_expect_log(&scene.daemon, "audit records are being lost");
        ck_assert_int_gt(read(fd, buffer, sizeof(buffer)), 0);
        expect_denied(&control, "192.0.2.1:1");
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        memset(buffer, 0, sizeof(buffer));
        ck_assert_int_gt(read(fd, buffer, sizeof(buffer) - 1), 0);
        ck_assert_ptr_nonnull(strstr(buffer, "\"lost\":"));
        (void)wire_close(&control);
        scene_end(&scene);
        (void)nb_fd_close(fd);
        ck_assert_int_eq(unlink(path), 0);
        *strrchr(path, '/') = '\0';
        ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(a_full_disk_is_told_and_survived) {
        const struct daemon_options options = { .audit = "/dev/full" };
        struct wire control;
        struct scene scene;

        scene_start(&scene, &options, NO_RULES);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_denied(&control, DENIED);
        daemon_expect_log(&scene.daemon, "No space left on device");
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

START_TEST(an_audit_that_cannot_be_opened_is_an_error) {
        const char *const arguments[] = { "--audit",  "/nonexistent/audit", "--policy", NULL,
                                          "--socket", "/tmp/none",          NULL };
        const char *argv[8];
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        daemon_init(&daemon);
        daemon_write_policy(&daemon, SCENE_TENANT, (unsigned)getuid());
        memcpy(argv, arguments, sizeof(arguments));
        argv[3] = daemon.policy_path;
        ck_assert_int_eq(daemon_run_once(&daemon, argv, &output), 73);
        ck_assert_ptr_nonnull(strstr(output, "/nonexistent/audit"));
        daemon_deinit(&daemon);
}
END_TEST

/* ---- the journal, and what else is no file ---- */

/* As journald: a datagram socket at a path of the test's own. */
static int journal_listen(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_uint_lt(strlen(path), sizeof(sa.sun_path));
        memcpy(sa.sun_path, path, strlen(path));
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        return fd;
}

static void expect_datagram(int fd, const char *const *texts) {
        char buffer[8192];
        ssize_t n = recv(fd, buffer, sizeof(buffer) - 1, 0);

        ck_assert_int_gt(n, 0);
        buffer[n] = '\0';
        for (; *texts; ++texts)
                ck_assert_msg(strstr(buffer, *texts), "no %s in %s", *texts, buffer);
}

START_TEST(the_journal_gets_a_field_for_each_member) {
        const char *const fields[] = { "MESSAGE={\"tenant\":\"acme\",\"session\":7,\"asked\":\"a\\\\x0ab\"}\n",
                                       "PRIORITY=5\n",
                                       "SYSLOG_IDENTIFIER=netbrokerd\n",
                                       "NETBROKER_TENANT=acme\n",
                                       "NETBROKER_SESSION=7\n",
                                       "NETBROKER_ASKED=a\\x0ab\n",
                                       "NETBROKER_LABEL=two\\x0alines\n",
                                       NULL };
        const char line[] = "{\"tenant\":\"acme\",\"session\":7,\"asked\":\"a\\\\x0ab\"}";
        json_t *record = json_pack("{s:s, s:i, s:s, s:s}", "tenant", "acme", "session", 7, "asked", "a\\x0ab", "label",
                                   "two\nlines");
        struct audit_sink *sink = NULL;
        struct daemon daemon;
        char path[HARNESS_PATH_MAX];
        int fd, again;

        daemon_init(&daemon);
        (void)snprintf(path, sizeof(path), "%.60s/journal", daemon.folder);
        ck_assert_int_eq(audit_sink_open_journal(path, &sink), -ENOENT);
        fd = journal_listen(path);
        ck_assert_int_eq(audit_sink_open_journal(path, &sink), 0);
        ck_assert_int_eq(audit_sink_write(sink, NB_LOG_NOTICE, record, line), 0);
        expect_datagram(fd, fields);
        /* It is not waited for, and one that was started anew is found. */
        while (audit_sink_write(sink, NB_LOG_NOTICE, record, line) == 0)
                ;
        ck_assert_int_eq(audit_sink_write(sink, NB_LOG_NOTICE, record, line), -EAGAIN);
        (void)nb_fd_close(fd);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(audit_sink_write(sink, NB_LOG_NOTICE, record, line), -ENOTCONN);
        again = journal_listen(path);
        ck_assert_int_eq(audit_sink_write(sink, NB_LOG_NOTICE, record, line), 0);
        expect_datagram(again, fields);
        (void)nb_fd_close(again);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_ptr_null(audit_sink_free(sink));
        json_decref(record);
        daemon_deinit(&daemon);
}
END_TEST

/* A line that did not fit is ended before the next one. */
START_TEST(a_torn_line_does_not_spoil_the_next) {
        char long_line[8192], buffer[32768];
        struct audit_sink *sink;
        int pair[2];
        ssize_t n;

        memset(long_line, 'x', sizeof(long_line) - 1);
        long_line[sizeof(long_line) - 1] = '\0';
        ck_assert_int_eq(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
        ck_assert_int_ge(fcntl(pair[1], F_SETPIPE_SZ, 4096), 4096);
        sink = audit_sink_new_fd(pair[1]);
        ck_assert_ptr_nonnull(sink);
        ck_assert_int_eq(audit_sink_write(sink, NB_LOG_NOTICE, NULL, long_line), -EAGAIN);
        n = read(pair[0], buffer, sizeof(buffer));
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(audit_sink_write(sink, NB_LOG_NOTICE, NULL, "{}"), 0);
        n = read(pair[0], buffer, sizeof(buffer));
        ck_assert_int_eq(n, 4);
        ck_assert_mem_eq(buffer, "\n{}\n", 4);
        ck_assert_ptr_null(audit_sink_free(sink));
        (void)nb_fd_close(pair[0]);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("audit");
        TCase *tcase = tcase_create("audit");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_record_has_the_type_of_the_socket);
        tcase_add_test(tcase, allowed_decisions_have_an_option);
        tcase_add_test(tcase, report_mode_lets_pass_and_says_so);
        tcase_add_test(tcase, report_mode_tells_what_would_allow_it);
        tcase_add_test(tcase, report_mode_lets_listen_and_accept);
        tcase_add_test(tcase, report_mode_refuses_what_is_impossible);
        tcase_add_test(tcase, enforcing_again_takes_it_back);
        tcase_add_test(tcase, abuse_46_a_flood_is_escaped_limited_and_counted);
        tcase_add_test(tcase, abuse_46_a_flood_hides_nobody_else);
        tcase_add_test(tcase, a_file_is_reopened_when_it_was_rotated);
        tcase_add_test(tcase, a_stuck_reader_is_not_waited_for);
        tcase_add_test(tcase, a_full_disk_is_told_and_survived);
        tcase_add_test(tcase, an_audit_that_cannot_be_opened_is_an_error);
        tcase_add_test(tcase, the_journal_gets_a_field_for_each_member);
        tcase_add_test(tcase, a_torn_line_does_not_spoil_the_next);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
