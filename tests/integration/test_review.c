/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was found by reading the code as someone who means it harm: each test was a mistake once.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define PROCESS_TIMEOUT_MS 10000

/* A connection that report mode has let pass is not one that a reload takes: the mode is the same for names and for addresses. */
START_TEST(report_mode_keeps_what_it_has_let_pass) {
        static const char *const hosts[] = { "127.0.0.1", "localhost" };
        struct peer peer = peer_listen("127.0.0.1", 8);
        NB_CLEANUP_FREE char *said = NULL;
        struct wire_session session;
        struct daemon daemon;
        struct wire control;
        char address[64];
        int fd, other_fd;

        daemon_init(&daemon);
        daemon_write_policy(&daemon,
                            "[Tenant]\nName=acme\nUser=%u\nMode=report\n[Protocol web]\nFamily=ipv4\nDataPath=direct\n",
                            (unsigned)getuid());
        daemon_start(&daemon, NULL);
        wire_session_open(daemon.socket_path, "", &session);
        control = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        snprintf(address, sizeof(address), "%s:%u", hosts[_i], peer.address.port);
        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), 0);
        other_fd = peer_accept(&peer);
        daemon_reload(&daemon);
        peer_exchange(fd, other_fd);
        said = daemon_read(daemon.stderr_path);
        ck_assert_msg(!strstr(said, "no longer grants"), "%s", said);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        wire_session_close(&session);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
        peer_close(&peer);
}
END_TEST

/* To connect to a file that is no socket is refused as to a socket that nobody serves: a slip on the command line must not remove it. */
START_TEST(a_file_in_the_helpers_place_stays) {
        char path[] = "/tmp/nb-review-XXXXXX";
        const char *program = getenv("NETBROKER_HELPER");
        int fd = mkostemp(path, O_CLOEXEC);
        struct stat st;
        PROCESS helper;

        ck_assert_int_ge(fd, 0);
        ck_assert_msg(program != NULL, "NETBROKER_HELPER is not set: it names the program to test");
        PROCESS_START(&helper, program, "--socket", path);
        ck_assert_int_ne(process_finish(&helper, PROCESS_TIMEOUT_MS), 0);
        ck_assert_int_eq(lstat(path, &st), 0);
        ck_assert(S_ISREG(st.st_mode));
        ck_assert_int_eq(unlink(path), 0);
        (void)nb_fd_close(fd);
}
END_TEST

static Suite *review_suite(void) {
        Suite *suite = suite_create("review");
        TCase *tcase = tcase_create("review");

        suite_add_tcase(suite, tcase);
        tcase_add_loop_test(tcase, report_mode_keeps_what_it_has_let_pass, 0, 2);
        tcase_add_test(tcase, a_file_in_the_helpers_place_stays);
        return suite;
}

int main(void) {
        return run_suite(review_suite());
}
