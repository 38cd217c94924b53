/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session is opened, by a descriptor and by a path, against a broker that does one step of a script in each wait.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/frame.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"
#include "tests/unit/stepped_broker.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ---- session ---- */

static int check_hello(void) {
        const Nb__Request *request = asked(broker.session, NB__REQUEST__BODY_HELLO);

        ck_assert_uint_eq(request->serial, 1);
        ck_assert_uint_eq(request->hello->oldest_version, 1);
        ck_assert_uint_eq(request->hello->newest_version, 1);
        ck_assert_str_eq(request->hello->tenant, "acme");
        ck_assert_str_eq(request->hello->label, "host 7");
        ck_assert_uint_eq(request->hello->token.len, 0);
        return say_welcome();
}

START_TEST(session_opens) {
        struct nb_session_options ours = options();
        uint64_t base, inheriting;

        welcome.n_protocols = welcome.n_fds = 2;
        ours.tenant = "acme";
        ours.label = "host 7";
        SCRIPT(check_hello);
        ck_assert_int_eq(nb_session_open(&ours, &session), 0);
        ck_assert_str_eq(nb_session_tenant(session), "acme");
        ck_assert_uint_eq(nb_session_n_protocols(session), 2);
        ck_assert_str_eq(nb_protocol_name(nb_session_protocol(session, 0)), "web");
        ck_assert_ptr_null(nb_session_protocol(session, 2));
        ck_assert_ptr_eq(nb_session_find_protocol(session, "db"), nb_session_protocol(session, 1));
        ck_assert_ptr_null(nb_session_find_protocol(session, "nothing"));
        ck_assert_str_eq(nb_session_last_denial(session), "");
        nb_protocol_rights(nb_session_find_protocol(session, "db"), &base, &inheriting);
        ck_assert_uint_eq(base, 11);
        ck_assert_uint_eq(inheriting, 21);
}
END_TEST

START_TEST(session_has_no_protocol_or_as_many_as_fit) {
        welcome.n_protocols = welcome.n_fds = _i == 0 ? 0 : NB_CHANNEL_FDS_MAX;
        have_session();
        ck_assert_uint_eq(nb_session_n_protocols(session), welcome.n_protocols);
}
END_TEST

static char long_name[NB_NAME_LENGTH_MAX + 2];

static const struct welcome bad_welcomes[] = {
        { 1, "acme", "db", 2, 1 }, { 1, "acme", "db", 1, 2 },      { 1, "acme", "db", 0, 1 },
        { 1, "acme", "db", 1, 0 }, { 0, "acme", "db", 2, 2 },      { 2, "acme", "db", 2, 2 },
        { 1, "acme", "", 2, 2 },   { 1, "acme", long_name, 2, 2 }, { 1, long_name, "db", 2, 2 },
};

START_TEST(welcome_is_checked) {
        memset(long_name, 'n', sizeof(long_name) - 1);
        welcome = bad_welcomes[_i];
        SCRIPT(greet);
        ck_assert_int_eq(open_session(), -EPROTO);
        ck_assert_ptr_null(session);
}
END_TEST

static int refuse_hello(void) {
        on_hello();
        say_refused(broker.session, NB_WASI_EPROTONOSUPPORT, "", 0);
        return 1;
}

/* As a broker does that has no room: it never reads Hello. */
static int refuse_unread(void) {
        say_refused(broker.session, NB_WASI_EMFILE, "", 0);
        broker.session = nb_fd_close(broker.session);
        return 1;
}

static int refuse_and_close(void) {
        refuse_hello();
        broker.session = nb_fd_close(broker.session);
        return 1;
}

START_TEST(session_is_refused) {
        SCRIPT(refuse_hello);
        ck_assert_int_eq(open_session(), -EPROTONOSUPPORT);
        SCRIPT(refuse_and_close);
        ck_assert_int_eq(open_session(), -EPROTONOSUPPORT);
        SCRIPT(refuse_unread);
        ck_assert_int_eq(open_session(), -EMFILE);
}
END_TEST

/* Refused before Hello is even sent. */
START_TEST(session_is_refused_at_once) {
        struct nb_session_options ours = options();

        refuse_unread();
        SCRIPT(wake_for_nothing);
        ck_assert_int_eq(nb_session_open(&ours, &session), -EMFILE);
}
END_TEST

START_TEST(session_meets_faults) {
        meet_fault(_i, &broker.session, NB__REQUEST__BODY_HELLO, open_session, false);
}
END_TEST

static int resume_session(void) {
        on_hello();
        say_resumed(broker.session);
        return 1;
}

static int greet_again(void) {
        const Nb__Request *request = asked(broker.session, NB__REQUEST__BODY_HELLO);

        ck_assert_uint_eq(request->serial, broker.resumed + 1);
        return say_welcome();
}

START_TEST(session_says_hello_again_after_resumed) {
        SCRIPT(resume_session, wake_for_nothing, resume_session, greet_again);
        ck_assert_int_eq(open_session(), 0);
}
END_TEST

START_TEST(session_open_is_interrupted) {
        SCRIPT(interrupt);
        ck_assert_int_eq(open_session(), -EINTR);
}
END_TEST

START_TEST(session_options_are_checked) {
        char text[NB_LABEL_LENGTH_MAX + 2] = { 0 };
        struct nb_session_options ours = NB_SESSION_OPTIONS_INIT;
        struct {
                struct nb_session_options options;
                uint64_t newer;
        } larger = { NB_SESSION_OPTIONS_INIT, 1 };
        int pair[2];

        ours.size--;
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);
        larger.options.size = sizeof(larger);
        ck_assert_int_eq(nb_session_open(&larger.options, &session), -EINVAL);

        ours = options();
        memset(text, 't', NB_NAME_LENGTH_MAX + 1);
        ours.tenant = text;
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);
        ours = options();
        memset(text, 't', NB_LABEL_LENGTH_MAX + 1);
        ours.label = text;
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);
        ours = options();
        ours.label = "\xff";
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        nb_fd_close(pair[1]);
        ours = options();
        nb_fd_close(ours.session_fd);
        ours.session_fd = pair[0];
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);
        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        nb_fd_close(pair[1]);
        ours.session_fd = pair[0];
        ck_assert_int_eq(nb_session_open(&ours, &session), -ENOTSOCK);
        /* Empty texts are as good as none. */
        ours = options();
        ours.tenant = ours.label = "";
        SCRIPT(greet);
        ck_assert_int_eq(nb_session_open(&ours, &session), 0);
}
END_TEST

START_TEST(given_channel_becomes_close_on_exec) {
        struct nb_session_options ours = options();
        int fd = ours.session_fd;

        ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
        SCRIPT(greet);
        ck_assert_int_eq(nb_session_open(&ours, &session), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

/* ---- the socket's path ---- */

static char folder[] = "/tmp/test-client-XXXXXX";
static char path[64];
static int listener;

static void have_path(int backlog) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/socket", folder);
        memcpy(address.sun_path, path, strlen(path) + 1);
        listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(listener, 0);
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
        if (backlog >= 0)
                ck_assert_int_eq(listen(listener, backlog), 0);
}

static void forget_path(void) {
        nb_fd_close(listener);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(folder), 0);
}

static int open_path(const char *where) {
        struct nb_session_options ours = NB_SESSION_OPTIONS_INIT;

        ours.socket_path = where;
        ours.wait = fake_wait;
        ours.wait_data = &broker;
        return nb_session_open(&ours, &session);
}

static int accept_and_greet(void) {
        nb_fd_close(broker.session);
        broker.session = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(broker.session, 0);
        return greet();
}

START_TEST(session_opens_by_path) {
        have_path(1);
        SCRIPT(accept_and_greet);
        ck_assert_int_eq(open_path(path), 0);
        forget_path();
}
END_TEST

START_TEST(path_errors) {
        char long_path[128];

        memset(long_path, 'p', sizeof(long_path) - 1);
        long_path[sizeof(long_path) - 1] = '\0';
        ck_assert_int_eq(open_path(long_path), -ENAMETOOLONG);
        long_path[108] = '\0';
        ck_assert_int_eq(open_path(long_path), -ENAMETOOLONG);
        long_path[107] = '\0';
        ck_assert_int_eq(open_path(long_path), -ENOENT);
        have_path(-1);
        ck_assert_int_eq(open_path(path), -ECONNREFUSED);
        forget_path();
}
END_TEST

/* A backlog of 0 has room for one. */
static int fill_backlog(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        memcpy(address.sun_path, path, strlen(path) + 1);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

static int make_room(void) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        nb_fd_close(fd);
        return 0;
}

START_TEST(full_backlog_is_waited_for) {
        int other;

        have_path(0);
        other = fill_backlog();
        SCRIPT(wake_for_nothing, wake_for_nothing, make_room, accept_and_greet);
        ck_assert_int_eq(open_path(path), 0);
        ck_assert_uint_eq(broker.n_pauses, 3);
        ck_assert_int_eq(broker.pauses[0], 1000000);
        ck_assert_int_eq(broker.pauses[2], 4000000);
        nb_fd_close(other);
        forget_path();
}
END_TEST

static int fake_pause(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        (void)fds;
        ck_assert_uint_eq(n_fds, 0);
        *(int64_t *)data += timeout_ns;
        return 0;
}

START_TEST(full_backlog_is_given_up) {
        struct nb_session_options ours = NB_SESSION_OPTIONS_INIT;
        int64_t waited = 0;
        int other;

        have_path(0);
        other = fill_backlog();
        ours.socket_path = path;
        ours.wait = fake_pause;
        ours.wait_data = &waited;
        ck_assert_int_eq(nb_session_open(&ours, &session), -ETIMEDOUT);
        ck_assert_int_ge(waited, INT64_C(10000000000));
        ck_assert_int_lt(waited, INT64_C(10200000000));
        SCRIPT(wake_for_nothing, interrupt);
        ck_assert_int_eq(open_path(path), -EINTR);
        nb_fd_close(other);
        forget_path();
}
END_TEST

/* ---- the wait function that comes with the library ---- */

static void *greet_from_a_thread(void *data) {
        struct pollfd ready = { .fd = broker.session, .events = POLLIN };

        (void)data;
        ck_assert_int_eq(poll(&ready, 1, -1), 1);
        (void)greet();
        return NULL;
}

START_TEST(library_waits_by_itself) {
        struct nb_session_options ours = options();
        pthread_t thread;

        ours.wait = NULL;
        ck_assert_int_eq(pthread_create(&thread, NULL, greet_from_a_thread, NULL), 0);
        ck_assert_int_eq(nb_session_open(&ours, &session), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void add_session_tests(TCase *tcase) {
        tcase_add_test(tcase, session_opens);
        tcase_add_loop_test(tcase, session_has_no_protocol_or_as_many_as_fit, 0, 2);
        tcase_add_loop_test(tcase, welcome_is_checked, 0, COUNT(bad_welcomes));
        tcase_add_test(tcase, session_is_refused);
        tcase_add_test(tcase, session_is_refused_at_once);
        tcase_add_loop_test(tcase, session_meets_faults, 0, N_FAULTS);
        tcase_add_test(tcase, session_says_hello_again_after_resumed);
        tcase_add_test(tcase, session_open_is_interrupted);
        tcase_add_test(tcase, session_options_are_checked);
        tcase_add_test(tcase, given_channel_becomes_close_on_exec);
        tcase_add_test(tcase, session_opens_by_path);
        tcase_add_test(tcase, path_errors);
        tcase_add_test(tcase, full_backlog_is_waited_for);
        tcase_add_test(tcase, full_backlog_is_given_up);
        tcase_add_test(tcase, library_waits_by_itself);
}

int main(void) {
        Suite *suite = suite_create("client_session");

        suite_add_tcase(suite, stepped_case("session", add_session_tests));
        return run_suite(suite);
}
