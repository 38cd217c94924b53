/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How netbrokerd starts and ends: its command line, its policy, and where its sessions come from.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/source.h"
#include "tests/support/harness.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

#define POLICY                                                                                                         \
        "[Tenant]\n"                                                                                                   \
        "Name=acme\n"                                                                                                  \
        "User=%u\n"                                                                                                    \
        "[Protocol web]\n"                                                                                             \
        "Family=ip\n"                                                                                                  \
        "DataPath=direct\n"                                                                                            \
        "Connect=127.0.0.1:*\n"

static void init(struct daemon *daemon) {
        daemon_init(daemon);
        daemon_write_policy(daemon, POLICY, (unsigned)getuid());
}

/* ---- the command line ---- */

static void expect_output(const char *const *arguments, int status, const char *text) {
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        daemon_init(&daemon);
        ck_assert_int_eq(daemon_run_once(&daemon, arguments, &output), status);
        ck_assert_msg(strstr(output, text), "no '%s' in: %s", text, output);
        daemon_deinit(&daemon);
}

START_TEST(help_and_version) {
        expect_output((const char *[]){ "--help", NULL }, 0, "--socket PATH");
        expect_output((const char *[]){ "--version", NULL }, 0, "netbrokerd ");
}
END_TEST

static const struct {
        const char *arguments[4];
        const char *message;
} wrong[] = {
        { { "--polcy", "x" }, "--polcy" },        { { "--socket" }, "--socket PATH" },
        { { "--session-fd", "2" }, "from 3 up" }, { { "--session-fd", "x" }, "from 3 up" },
        { { "--log-level", "loud" }, "debug" },   { { "--data-path", "none" }, "direct" },
        { { "--check", "--check" }, "twice" },    { { "operand" }, "too many" },
        { { "--as-shard=1" }, "--shards N" },
};

START_TEST(a_wrong_command_line_is_ex_usage) {
        expect_output(wrong[_i].arguments, EX_USAGE, wrong[_i].message);
}
END_TEST

/* Where the machine has a policy at the default place, that is what is checked, and nothing is missing. */
START_TEST(nobody_says_where_the_policy_is) {
        if (access(POLICY_SOURCE_DEFAULT, F_OK) < 0)
                expect_output((const char *[]){ "--check", NULL }, EX_CONFIG, "--policy FILE|DIR");
}
END_TEST

START_TEST(nothing_to_serve) {
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        init(&daemon);
        ck_assert_int_eq(daemon_run_once(&daemon, (const char *[]){ "--policy", daemon.policy_path, NULL }, &output),
                         EX_UNAVAILABLE);
        ck_assert_ptr_nonnull(strstr(output, "nothing to serve"));
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(an_audit_file_that_cannot_be_made) {
        struct daemon daemon;

        init(&daemon);
        ck_assert_int_eq(daemon_run_once(&daemon,
                                         (const char *[]){ "--policy", daemon.policy_path, "--socket",
                                                           daemon.socket_path, "--audit", "/nonexistent/audit", NULL },
                                         NULL),
                         EX_CANTCREAT);
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(a_user_that_is_none) {
        struct daemon daemon;

        init(&daemon);
        ck_assert_int_eq(daemon_run_once(&daemon,
                                         (const char *[]){ "--policy", daemon.policy_path, "--socket",
                                                           daemon.socket_path, "--user", "no-such-user", NULL },
                                         NULL),
                         EX_NOPERM);
        ck_assert_int_lt(access(daemon.socket_path, F_OK), 0);
        daemon_deinit(&daemon);
}
END_TEST

static const struct {
        const char *path, *why;
} no_programs[] = {
        { "/nonexistent/netbroker-relay", "No such file" },
        { "/etc", "Permission denied" },
        { "/etc/passwd", "Permission denied" },
};

START_TEST(a_program_for_relays_that_is_none) {
        const char *path = no_programs[_i].path;
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        init(&daemon);
        ck_assert_int_eq(daemon_run_once(&daemon,
                                         (const char *[]){ "--policy", daemon.policy_path, "--socket",
                                                           daemon.socket_path, "--relay-program", path, NULL },
                                         &output),
                         EX_UNAVAILABLE);
        ck_assert_msg(strstr(output, path) && strstr(output, no_programs[_i].why), "%s", output);
        ck_assert_int_lt(access(daemon.socket_path, F_OK), 0);
        daemon_deinit(&daemon);
}
END_TEST

/* ---- --check ---- */

static int check_policy(const struct daemon *daemon, char **ret_output) {
        return daemon_run_once(daemon, (const char *[]){ "--check", "--policy", daemon->policy_path, NULL },
                               ret_output);
}

START_TEST(a_good_policy_is_valid) {
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        init(&daemon);
        ck_assert_int_eq(check_policy(&daemon, &output), 0);
        ck_assert_ptr_nonnull(strstr(output, "is valid, with 1 tenant"));
        daemon_deinit(&daemon);
}
END_TEST

/* Abuse case 20 among them; the parser's own test knows all forms. */
static const struct {
        const char *policy;
        const char *message;
} bad[] = {
        { "[Tenant]\nName=acme\nUser=0\nUsr=0\n", "acme.conf:4:" },
        { "[Tenant]\nName=acme\nUser=no-such-user\n[Protocol web]\nFamily=ip\nDataPath=direct\n",
          "acme.conf:3:6: error: there is no user 'no-such-user'" },
        { "[Tenant]\nName=acme\nUser=4294967295\n[Protocol web]\nFamily=ip\nDataPath=direct\n", "acme.conf:3:6:" },
        { "[Tenant]\nName=acme\nUser=0\n[Protocol web]\nFamily=ip\nDataPath=none\n", "acme.conf:6:10:" },
        { "[Tenant]\nName=acme\nUser=0\n[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=10.0.0.0/8x:1\n",
          "acme.conf:7:" },
        { "[Tenant]\nName=acme\nUser=0\n[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=10.0.0.1/8:1\n",
          "Connect=10.0.0.0/8:1" },
        { "[Tenant]\nName=acme\nUser=0\n[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=10.0.0.0/33:1\n",
          "acme.conf:7:" },
};

START_TEST(a_bad_policy_is_ex_config) {
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        daemon_init(&daemon);
        daemon_write_policy(&daemon, "%s", bad[_i].policy);
        ck_assert_int_eq(check_policy(&daemon, &output), EX_CONFIG);
        ck_assert_msg(strstr(output, bad[_i].message), "no '%s' in: %s", bad[_i].message, output);
        daemon_deinit(&daemon);
}
END_TEST

static int check_path(const struct daemon *daemon, const char *path, char **ret_output) {
        return daemon_run_once(daemon, (const char *[]){ "--check", "--policy", path, NULL }, ret_output);
}

START_TEST(what_is_no_policy_file_is_ex_config) {
        NB_CLEANUP_FREE char *missing = NULL, *fifo = NULL;
        char path[HARNESS_PATH_MAX + 8];
        struct daemon daemon;

        daemon_init(&daemon);
        (void)snprintf(path, sizeof(path), "%s/a.conf", daemon.policy_path);
        ck_assert_int_eq(check_path(&daemon, path, &missing), EX_CONFIG);
        ck_assert_ptr_nonnull(strstr(missing, "No such file"));
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ck_assert_int_eq(check_path(&daemon, path, &fifo), EX_CONFIG);
        ck_assert_ptr_nonnull(strstr(fifo, "not a regular file"));
        /* Also where it was found in a folder. */
        ck_assert_int_eq(check_policy(&daemon, NULL), EX_CONFIG);
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(a_file_is_a_policy) {
        char path[HARNESS_PATH_MAX + 16];
        struct daemon daemon;

        init(&daemon);
        (void)snprintf(path, sizeof(path), "%s/acme.conf", daemon.policy_path);
        ck_assert_int_eq(check_path(&daemon, path, NULL), 0);
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(a_folder_is_one_policy) {
        NB_CLEANUP_FREE char *good = NULL, *refused = NULL;
        char orphan[HARNESS_PATH_MAX + 16];
        struct daemon daemon;

        init(&daemon);
        daemon_write_policy_file(&daemon, "second.conf", "[Tenant]\nName=second\nUser=1\n");
        daemon_write_policy_file(&daemon, "not-read.txt", "this is not read\n");
        daemon_write_policy_file(&daemon, ".hidden.conf", "this is not read\n");
        ck_assert_int_eq(check_policy(&daemon, &good), 0);
        ck_assert_ptr_nonnull(strstr(good, "2 tenants"));

        (void)snprintf(orphan, sizeof(orphan), "%s/third.conf.d", daemon.policy_path);
        ck_assert_int_eq(mkdir(orphan, 0700), 0);
        ck_assert_int_eq(check_policy(&daemon, &refused), EX_CONFIG);
        ck_assert_ptr_nonnull(strstr(refused, "drop-ins of a tenant that is not there"));
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(a_file_of_defaults) {
        NB_CLEANUP_FREE char *good = NULL;
        char defaults[HARNESS_PATH_MAX + 16];
        struct daemon daemon;

        init(&daemon);
        daemon_write_policy_file(&daemon, "second.conf", "[Tenant]\nName=second\nUser=1\n[Protocol web]\nFamily=ip\n");
        daemon_write_policy_file(&daemon, "defaults", "[Defaults]\nDataPath=direct\nMaxSessions=2\n");
        (void)snprintf(defaults, sizeof(defaults), "%s/defaults", daemon.policy_path);
        ck_assert_int_eq(daemon_run_once(&daemon,
                                         (const char *[]){ "--check", "--policy", daemon.policy_path, "--defaults",
                                                           defaults, NULL },
                                         &good),
                         0);
        ck_assert_ptr_nonnull(strstr(good, "2 tenants"));
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(what_is_suspicious_is_said) {
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        init(&daemon);
        daemon_write_policy_file(&daemon, "second.conf", "[Tenant]\nName=second\n");
        ck_assert_int_eq(check_policy(&daemon, &output), 0);
        ck_assert_ptr_nonnull(strstr(output, "second.conf:1: warning: nobody can open a session as tenant second"));
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(two_files_cannot_hold_one_tenant) {
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        init(&daemon);
        daemon_write_policy_file(&daemon, "second.conf", POLICY, 1u);
        ck_assert_int_eq(check_policy(&daemon, &output), EX_CONFIG);
        ck_assert_ptr_nonnull(strstr(output, "second.conf:2:"));
        daemon_deinit(&daemon);
}
END_TEST

/* ---- the socket's path ---- */

static void expect_served(const struct daemon *daemon) {
        struct wire_session session;

        wire_session_open(daemon->socket_path, "", &session);
        ck_assert_uint_eq(session.n_protocols, 1);
        wire_session_close(&session);
}

START_TEST(the_path_is_removed_at_the_end) {
        struct daemon daemon;

        init(&daemon);
        daemon_start(&daemon, NULL);
        expect_served(&daemon);
        daemon_stop(&daemon);
        ck_assert_int_lt(access(daemon.socket_path, F_OK), 0);
        daemon_deinit(&daemon);
}
END_TEST

static int bind_path(const char *path, int type) {
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        struct sockaddr_un sa = { .sun_family = AF_UNIX };

        ck_assert_int_ge(fd, 0);
        memcpy(sa.sun_path, path, strlen(path));
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        return fd;
}

START_TEST(a_stale_socket_is_replaced) {
        struct daemon daemon;

        init(&daemon);
        (void)nb_fd_close(bind_path(daemon.socket_path, SOCK_SEQPACKET));
        daemon_start(&daemon, NULL);
        expect_served(&daemon);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
}
END_TEST

static void expect_unavailable(const struct daemon *daemon) {
        NB_CLEANUP_FREE char *output = NULL;

        ck_assert_int_eq(daemon_run_once(daemon,
                                         (const char *[]){ "--policy", daemon->policy_path, "--socket",
                                                           daemon->socket_path, NULL },
                                         &output),
                         EX_UNAVAILABLE);
        ck_assert_ptr_nonnull(strstr(output, "another"));
}

START_TEST(a_live_socket_is_not_replaced) {
        struct daemon daemon;

        init(&daemon);
        daemon_start(&daemon, NULL);
        expect_unavailable(&daemon);
        expect_served(&daemon);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(a_live_socket_of_another_kind_is_not_replaced) {
        struct daemon daemon;
        int fd;

        init(&daemon);
        fd = bind_path(daemon.socket_path, SOCK_STREAM);
        ck_assert_int_eq(listen(fd, 1), 0);
        expect_unavailable(&daemon);
        ck_assert_int_eq(access(daemon.socket_path, F_OK), 0);
        (void)nb_fd_close(fd);
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(another_file_is_not_replaced) {
        struct daemon daemon;
        struct stat st;
        int fd;

        init(&daemon);
        fd = open(daemon.socket_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_eq(write(fd, "data", 4), 4);
        (void)nb_fd_close(fd);
        expect_unavailable(&daemon);
        ck_assert_int_eq(stat(daemon.socket_path, &st), 0);
        ck_assert_int_eq(st.st_size, 4);
        daemon_deinit(&daemon);
}
END_TEST

static void expect_no_socket(const char *path, const char *why) {
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;

        init(&daemon);
        ck_assert_int_eq(daemon_run_once(&daemon,
                                         (const char *[]){ "--policy", daemon.policy_path, "--socket", path, NULL },
                                         &output),
                         EX_UNAVAILABLE);
        ck_assert_msg(strstr(output, why), "no '%s' in: %s", why, output);
        daemon_deinit(&daemon);
}

START_TEST(a_path_that_is_too_long) {
        char path[128];

        memset(path, 'x', sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        expect_no_socket(path, "107 bytes at most");
}
END_TEST

START_TEST(a_path_in_no_folder) {
        expect_no_socket("/nonexistent/session.sock", "its folder is not there");
}
END_TEST

/* ---- descriptors that are given ---- */

START_TEST(systemds_socket_is_served) {
        struct daemon_options options = { 0 };
        struct daemon daemon;
        struct stat st;

        init(&daemon);
        options.activation_fd = bind_path(daemon.socket_path, SOCK_SEQPACKET);
        ck_assert_int_eq(listen(options.activation_fd, 8), 0);
        daemon_start(&daemon, &options);
        expect_served(&daemon);
        daemon_stop(&daemon);
        /* It is not ours to remove. */
        ck_assert_int_eq(stat(daemon.socket_path, &st), 0);
        (void)nb_fd_close(options.activation_fd);
        daemon_deinit(&daemon);
}
END_TEST

/* What was given must be a listening SEQPACKET socket: nothing else is served by accident. */
static void expect_refused_fd(int fd, const char *option, const char *number, bool activation) {
        struct daemon daemon;
        pid_t pid;

        init(&daemon);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                char own[16];

                (void)snprintf(own, sizeof(own), "%d", (int)getpid());
                if (dup2(fd, 3) < 0 || (fd == 3 && fcntl(3, F_SETFD, 0) < 0) ||
                    (activation && (setenv("LISTEN_PID", own, 1) < 0 || setenv("LISTEN_FDS", "1", 1) < 0)))
                        _exit(126);
                (void)execl(getenv("NETBROKERD"), "netbrokerd", "--policy", daemon.policy_path, option, number, NULL);
                _exit(127);
        }
        daemon.pid = pid;
        ck_assert_int_eq(harness_wait_exit(pid), EX_UNAVAILABLE);
        daemon.pid = -1;
        daemon_deinit(&daemon);
        (void)nb_fd_close(fd);
}

START_TEST(other_descriptors_are_refused) {
        int pair[2];

        expect_refused_fd(socket(AF_UNIX, SOCK_SEQPACKET, 0), "--log-level", "notice", true);
        expect_refused_fd(socket(AF_INET, SOCK_STREAM, 0), "--log-level", "notice", true);
        expect_refused_fd(socket(AF_INET, SOCK_STREAM, 0), "--session-fd", "3", false);
        expect_refused_fd(open("/dev/null", O_RDWR), "--session-fd", "3", false);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        (void)nb_fd_close(pair[1]);
        expect_refused_fd(pair[0], "--session-fd", "3", false);
}
END_TEST

/* An inherited session is any tenant's, whoever holds it; the broker ends with the last of its objects. */
START_TEST(the_broker_ends_with_an_inherited_session) {
        struct daemon_options options = { 0 };
        struct wire_session session;
        struct daemon daemon;
        struct wire control;
        struct peer peer;
        int pair[2], fd;

        daemon_init(&daemon);
        daemon_write_policy(&daemon, POLICY, (unsigned)getuid() + 1);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        options.session_fd = pair[0];
        daemon_start(&daemon, &options);
        (void)nb_fd_close(pair[0]);

        ck_assert_uint_eq(wire_hello(&(struct wire){ .fd = pair[1] }, "acme", &session), 0);
        control = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        wire_session_close(&session);
        peer = peer_listen("127.0.0.1", 8);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)wire_close(&control);
        daemon_expect_end(&daemon);

        /* The stream is the session's own. */
        int other_fd = peer_accept(&peer);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(other_fd);
        (void)nb_fd_close(fd);
        peer_close(&peer);
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(the_broker_ends_with_an_inherited_session_that_is_closed_at_once) {
        struct daemon_options options = { 0 };
        struct daemon daemon;
        int pair[2];

        init(&daemon);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        options.session_fd = pair[0];
        daemon_start(&daemon, &options);
        (void)nb_fd_close(pair[0]);
        (void)nb_fd_close(pair[1]);
        daemon_expect_end(&daemon);
        daemon_deinit(&daemon);
}
END_TEST

/* Whoever started the broker may have kept its end: closing ours does not end that socket. */
START_TEST(a_kept_duplicate_of_an_inherited_session_does_no_harm) {
        struct daemon_options options = { 0 };
        struct wire_session session;
        struct daemon daemon;
        struct wire control;
        int pair[2];

        init(&daemon);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        options.session_fd = pair[0];
        daemon_start(&daemon, &options);
        ck_assert_uint_eq(wire_hello(&(struct wire){ .fd = pair[1] }, "", &session), 0);
        control = wire_open_control(&session.protocols[0], "0.0.0.0:0");

        /* The session's channel ends for the broker by an empty message, and is still open. */
        ck_assert_int_eq(wire_send_bytes(&session.channel, "", 0, NULL, 0), 0);
        wire_settle(&session.protocols[0]);
        for (int i = 0; i < 16; ++i) {
                (void)wire_send_bytes(&session.channel, "hostile", 7, NULL, 0);
                wire_settle(&session.protocols[0]);
        }
        wire_session_close(&session);
        (void)wire_close(&control);
        daemon_expect_end(&daemon);
        (void)nb_fd_close(pair[0]);
        daemon_deinit(&daemon);
}
END_TEST

/* Open objects of every kind do not hold up the end. */
START_TEST(sigterm_ends_with_everything_open) {
        struct wire_session session;
        struct wire half_open, idle, listening;
        struct daemon daemon;

        daemon_init(&daemon);
        daemon_write_policy(&daemon, POLICY "Listen=127.0.0.1:*\n", (unsigned)getuid());
        daemon_start(&daemon, NULL);
        wire_session_open(daemon.socket_path, "", &session);
        half_open = wire_connect(daemon.socket_path);
        idle = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        listening = wire_open_control(&session.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, NULL), 0);
        daemon_stop(&daemon);
        wire_expect_end(&session.channel);
        wire_expect_end(&half_open);
        wire_expect_end(&idle);
        wire_expect_end(&listening);
        daemon_deinit(&daemon);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("start");
        TCase *tcase = tcase_create("start");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, help_and_version);
        tcase_add_loop_test(tcase, a_wrong_command_line_is_ex_usage, 0, sizeof(wrong) / sizeof(wrong[0]));
        tcase_add_test(tcase, nobody_says_where_the_policy_is);
        tcase_add_test(tcase, nothing_to_serve);
        tcase_add_test(tcase, an_audit_file_that_cannot_be_made);
        tcase_add_test(tcase, a_user_that_is_none);
        tcase_add_loop_test(tcase, a_program_for_relays_that_is_none, 0, sizeof(no_programs) / sizeof(no_programs[0]));
        tcase_add_test(tcase, a_good_policy_is_valid);
        tcase_add_loop_test(tcase, a_bad_policy_is_ex_config, 0, sizeof(bad) / sizeof(bad[0]));
        tcase_add_test(tcase, what_is_no_policy_file_is_ex_config);
        tcase_add_test(tcase, a_file_is_a_policy);
        tcase_add_test(tcase, a_folder_is_one_policy);
        tcase_add_test(tcase, a_file_of_defaults);
        tcase_add_test(tcase, what_is_suspicious_is_said);
        tcase_add_test(tcase, two_files_cannot_hold_one_tenant);
        tcase_add_test(tcase, the_path_is_removed_at_the_end);
        tcase_add_test(tcase, a_stale_socket_is_replaced);
        tcase_add_test(tcase, a_live_socket_is_not_replaced);
        tcase_add_test(tcase, a_live_socket_of_another_kind_is_not_replaced);
        tcase_add_test(tcase, another_file_is_not_replaced);
        tcase_add_test(tcase, a_path_that_is_too_long);
        tcase_add_test(tcase, a_path_in_no_folder);
        tcase_add_test(tcase, systemds_socket_is_served);
        tcase_add_test(tcase, other_descriptors_are_refused);
        tcase_add_test(tcase, the_broker_ends_with_an_inherited_session);
        tcase_add_test(tcase, the_broker_ends_with_an_inherited_session_that_is_closed_at_once);
        tcase_add_test(tcase, a_kept_duplicate_of_an_inherited_session_does_no_harm);
        tcase_add_test(tcase, sigterm_ends_with_everything_open);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
