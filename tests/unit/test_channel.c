/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"

/* The kernel's SCM_MAX_FD. */
#define KERNEL_FDS_MAX 253

static uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
static int pair[2];
static int before;

static void setup(void) {
        before = count_fds();
        ck_assert_int_eq(nb_channel_pair(pair), 0);
}

/* Whatever the test did, it holds as many descriptors as before. */
static void teardown(void) {
        nb_fd_close(pair[0]);
        nb_fd_close(pair[1]);
        ck_assert_int_eq(count_fds(), before);
}

/* Sends what nb_channel_send() refuses to send. `with_credentials`: in front of the descriptors. */
static int send_raw(int fd, const void *message, size_t length, size_t n_fds, bool with_credentials) {
        union {
                char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * KERNEL_FDS_MAX)];
                struct cmsghdr alignment;
        } control;
        struct iovec iov = { (void *)message, length };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes };
        struct ucred credentials = { .pid = getpid(), .uid = getuid(), .gid = getgid() };
        struct cmsghdr *cmsg;
        int fds[KERNEL_FDS_MAX];

        memset(&control, 0, sizeof(control));
        for (size_t i = 0; i < n_fds; ++i)
                fds[i] = fd;
        header.msg_controllen = (with_credentials ? CMSG_SPACE(sizeof(credentials)) : 0) +
                                (n_fds > 0 ? CMSG_SPACE(sizeof(int) * n_fds) : 0);
        cmsg = CMSG_FIRSTHDR(&header);
        if (with_credentials) {
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_CREDENTIALS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(credentials));
                memcpy(CMSG_DATA(cmsg), &credentials, sizeof(credentials));
                cmsg = CMSG_NXTHDR(&header, cmsg);
        }
        if (n_fds > 0) {
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
        }
        return sendmsg(fd, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive(struct nb_channel_fds *fds) {
        return nb_channel_receive(pair[1], buffer, fds);
}

START_TEST(message_and_descriptors_arrive_together) {
        struct nb_channel_fds fds;
        int passed[NB_CHANNEL_FDS_MAX];

        for (size_t i = 0; i < NB_CHANNEL_FDS_MAX; ++i)
                passed[i] = pair[0];
        for (size_t n = 0; n <= NB_CHANNEL_FDS_MAX; ++n) {
                ck_assert_int_eq(nb_channel_send(pair[0], "abc", 3, passed, n), 0);
                ck_assert_int_eq(receive(&fds), 3);
                ck_assert_mem_eq(buffer, "abc", 3);
                ck_assert_uint_eq(fds.n, n);
                for (size_t i = 0; i < n; ++i)
                        ck_assert_int_eq(fcntl(fds.fds[i], F_GETFD), FD_CLOEXEC);
                nb_channel_fds_close(&fds);
                ck_assert_uint_eq(fds.n, 0);
        }
}
END_TEST

START_TEST(pair_is_close_on_exec_and_does_not_block) {
        struct nb_channel_fds fds;

        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(fcntl(pair[i], F_GETFD), FD_CLOEXEC);
                ck_assert_int_ne(fcntl(pair[i], F_GETFL) & O_NONBLOCK, 0);
        }
        ck_assert_int_eq(receive(&fds), -EAGAIN);
        ck_assert_uint_eq(fds.n, 0);
}
END_TEST

START_TEST(limits_of_sending) {
        int fds[NB_CHANNEL_FDS_MAX + 1];

        for (size_t i = 0; i < NB_CHANNEL_FDS_MAX + 1; ++i)
                fds[i] = pair[0];
        ck_assert_int_eq(nb_channel_send(pair[0], "", 0, NULL, 0), -EMSGSIZE);
        ck_assert_int_eq(nb_channel_send(pair[0], buffer, NB_CHANNEL_MESSAGE_MAX + 1, NULL, 0), -EMSGSIZE);
        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, fds, NB_CHANNEL_FDS_MAX + 1), -EMSGSIZE);
        ck_assert_int_eq(nb_channel_send(pair[0], buffer, NB_CHANNEL_MESSAGE_MAX, NULL, 0), 0);
        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, (int[]){ -1 }, 1), -EBADF);
        ck_assert_int_eq(nb_channel_send(-1, "x", 1, NULL, 0), -EBADF);
}
END_TEST

START_TEST(largest_message_arrives_whole) {
        static uint8_t message[NB_CHANNEL_MESSAGE_MAX];
        struct nb_channel_fds fds;

        memset(message, 'm', sizeof(message));
        ck_assert_int_eq(nb_channel_send(pair[0], message, sizeof(message), NULL, 0), 0);
        ck_assert_int_eq(receive(&fds), NB_CHANNEL_MESSAGE_MAX);
        ck_assert_mem_eq(buffer, message, sizeof(message));
}
END_TEST

START_TEST(longer_message_is_refused_with_its_descriptors) {
        static uint8_t message[NB_CHANNEL_MESSAGE_MAX + 1];
        struct nb_channel_fds fds;

        ck_assert_int_eq(send_raw(pair[0], message, sizeof(message), 3, false), 0);
        ck_assert_int_eq(receive(&fds), -EBADMSG);
        ck_assert_uint_eq(fds.n, 0);
        ck_assert_int_eq(receive(&fds), -EAGAIN);
}
END_TEST

START_TEST(full_channel_is_again_and_a_closed_one_broken) {
        int r;

        do
                r = nb_channel_send(pair[0], buffer, 1024, NULL, 0);
        while (r == 0);
        ck_assert_int_eq(r, -EAGAIN);
        pair[1] = nb_fd_close(pair[1]);
        /* What was not read is reported once. */
        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, NULL, 0), -ECONNRESET);
        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, NULL, 0), -EPIPE);
}
END_TEST

START_TEST(end_of_the_channel_comes_after_what_was_sent) {
        struct nb_channel_fds fds;

        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, NULL, 0), 0);
        pair[0] = nb_fd_close(pair[0]);
        ck_assert_int_eq(receive(&fds), 1);
        ck_assert_int_eq(receive(&fds), 0);
}
END_TEST

START_TEST(empty_message_ends_the_channel_and_never_leaks) {
        struct nb_channel_fds fds;

        ck_assert_int_eq(send_raw(pair[0], "", 0, 0, false), 0);
        ck_assert_int_eq(receive(&fds), 0);
        ck_assert_int_eq(send_raw(pair[0], "", 0, 2, false), 0);
        ck_assert_int_eq(receive(&fds), -EBADMSG);
        ck_assert_uint_eq(fds.n, 0);
}
END_TEST

/* Up to the limit the channel hands them over, and the reader of the frame closes them; more are refused here. */
static const size_t unsolicited[] = { 1, 16, 64, 65, 71, 72, 73, KERNEL_FDS_MAX };

START_TEST(abuse_5_unsolicited_descriptors_are_all_closed) {
        size_t n = unsolicited[_i];
        struct nb_channel_fds fds;

        ck_assert_int_eq(send_raw(pair[0], "x", 1, n, false), 0);
        if (n <= NB_CHANNEL_FDS_MAX) {
                ck_assert_int_eq(receive(&fds), 1);
                ck_assert_uint_eq(fds.n, n);
                nb_channel_fds_close(&fds);
        } else {
                ck_assert_int_eq(receive(&fds), -EBADMSG);
        }
        ck_assert_uint_eq(fds.n, 0);
        ck_assert_int_eq(receive(&fds), -EAGAIN);
}
END_TEST

/* The other end can read as before, and what has no descriptors arrives. */
START_TEST(abuse_5_a_new_kernel_refuses_descriptors) {
        struct nb_channel_fds fds;
        int value;
        socklen_t size = sizeof(value);
        const int so_passrights = 83;

        nb_channel_refuse_fds(pair[1]);
        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, NULL, 0), 0);
        ck_assert_int_eq(receive(&fds), 1);
        /* An older kernel has nothing to test. */
        if (getsockopt(pair[1], SOL_SOCKET, so_passrights, &value, &size) < 0)
                return;
        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, &pair[0], 1), -EPERM);
        ck_assert_int_eq(receive(&fds), -EAGAIN);
        ck_assert_int_eq(nb_channel_send(pair[1], "x", 1, &pair[1], 1), 0);
}
END_TEST

/* Without room for descriptors none gets a number here, and what a socket was told to bring with each message is taken back. */
START_TEST(abuse_5_bytes_alone) {
        size_t n_fds = _i % 2 ? 64 : 1;
        char byte;
        int pipe_fds[2];

        if (_i >= 2) /* who made the socket wanted to know the sender */
                ck_assert_int_eq(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)), 0);
        nb_channel_expect_bytes(pair[1]);
        ck_assert_int_eq(nb_channel_receive_bytes(pair[1], buffer), -EAGAIN);
        ck_assert_int_eq(nb_channel_send(pair[0], "xy", 2, NULL, 0), 0);
        ck_assert_int_eq(nb_channel_receive_bytes(pair[1], buffer), 2);
        ck_assert_int_eq(send_raw(pair[0], "x", 1, n_fds, _i >= 2), 0);
        ck_assert_int_eq(nb_channel_receive_bytes(pair[1], buffer), -EBADMSG);

        ck_assert_int_eq(pipe(pipe_fds), 0);
        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, &pipe_fds[1], 1), 0);
        nb_fd_close(pipe_fds[1]);
        ck_assert_int_eq(nb_channel_receive_bytes(pair[1], buffer), -EBADMSG);
        ck_assert_int_eq(read(pipe_fds[0], &byte, 1), 0); /* nobody has its other end any more */
        nb_fd_close(pipe_fds[0]);
        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, NULL, 0), 0);
        ck_assert_int_eq(nb_channel_receive_bytes(pair[1], buffer), 1);
}
END_TEST

/* A socket that lingers for so many seconds. @param ret_peer  one that does not read */
static int lingering_socket(int seconds, int *ret_peer) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);
        struct linger linger = { .l_onoff = 1, .l_linger = seconds };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_eq(listen(listener, 1), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, length), 0);
        *ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        while (send(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
                ;
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        close(listener);
        return fd;
}

static const int lingering_seconds[] = { 3600, INT_MAX, -1 };

/* If somebody did, this would take an hour, or for ever; the descriptor that was sent is the last one. */
START_TEST(abuse_5_nobody_waits_for_a_descriptor_that_lingers) {
        struct nb_channel_fds fds;
        int peer;
        int fd = lingering_socket(lingering_seconds[_i], &peer);

        ck_assert_int_eq(nb_channel_send(pair[0], "x", 1, &fd, 1), 0);
        ck_assert_int_eq(close(fd), 0);
        ck_assert_int_eq(receive(&fds), 1);
        nb_channel_fds_close(&fds);
        close(peer);
}
END_TEST

/* The holder wants a reset, and closes before us: it is still that. */
START_TEST(who_closes_last_resets_what_is_to_be_reset) {
        int peer, error;
        int fd = lingering_socket(0, &peer);
        int copy = dup(fd);
        socklen_t length = sizeof(error);

        ck_assert_int_eq(close(fd), 0);
        ck_assert_int_eq(nb_channel_fd_close(copy), -1);
        ck_assert_int_eq(getsockopt(peer, SOL_SOCKET, SO_ERROR, &error, &length), 0);
        ck_assert_int_eq(error, ECONNRESET);
        close(peer);
}
END_TEST

/* In a child, whose table has room for `free_slots` more descriptors; `n` are sent. */
static int receive_at_limit(size_t n, unsigned free_slots) {
        struct nb_channel_fds fds = { .n = 99 };
        struct rlimit limit;
        int highest = dup(pair[0]), r;

        if (highest < 0)
                return 100;
        close(highest);
        limit.rlim_cur = limit.rlim_max = (rlim_t)highest + free_slots;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 101;
        if (send_raw(pair[0], "x", 1, n, false) < 0)
                return 102;
        r = receive(&fds);
        if (fds.n != 0)
                return 103;
        /* Nothing stays behind: the next descriptor gets the same number. */
        if (free_slots > 0 && dup(pair[0]) != highest)
                return 104;
        return -r;
}

START_TEST(abuse_6_a_full_table_is_an_error_and_no_stale_number) {
        static const struct {
                size_t n;
                unsigned free_slots;
                int expected;
        } cases[] = {
                { 1, 0, EMFILE },   { 16, 0, EMFILE },  { 16, 7, EMFILE },
                { 64, 63, EMFILE }, { 253, 0, EMFILE }, { 253, 100, EBADMSG },
        };
        pid_t child = fork();
        int status;

        ck_assert_int_ge(child, 0);
        if (child == 0)
                _exit(receive_at_limit(cases[_i].n, cases[_i].free_slots));
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), cases[_i].expected);
}
END_TEST

START_TEST(abuse_7_credentials_in_front_hide_no_descriptor) {
        static const size_t counts[] = { 0, 1, 64, 65, KERNEL_FDS_MAX };
        size_t n = counts[_i];
        struct nb_channel_fds fds;

        ck_assert_int_eq(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)), 0);
        ck_assert_int_eq(send_raw(pair[0], "x", 1, n, true), 0);
        if (n > NB_CHANNEL_FDS_MAX) {
                ck_assert_int_eq(receive(&fds), -EBADMSG);
                return;
        }
        ck_assert_int_eq(receive(&fds), 1);
        ck_assert_uint_eq(fds.n, n);
        nb_channel_fds_close(&fds);
}
END_TEST

/* An option of Linux 6.5 makes the kernel add a descriptor of the sender's process. */
START_TEST(abuse_5_a_pidfd_is_closed_too) {
        const int so_passpidfd = 76;
        struct nb_channel_fds fds;

        /* An older kernel has nothing to test. */
        if (setsockopt(pair[1], SOL_SOCKET, so_passpidfd, &(int){ 1 }, sizeof(int)) < 0)
                return;
        ck_assert_int_eq(send_raw(pair[0], "x", 1, 2, false), 0);
        ck_assert_int_eq(receive(&fds), -EBADMSG);
        ck_assert_uint_eq(fds.n, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("channel");
        TCase *tcase = tcase_create("channel");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, message_and_descriptors_arrive_together);
        tcase_add_test(tcase, pair_is_close_on_exec_and_does_not_block);
        tcase_add_test(tcase, limits_of_sending);
        tcase_add_test(tcase, largest_message_arrives_whole);
        tcase_add_test(tcase, longer_message_is_refused_with_its_descriptors);
        tcase_add_test(tcase, full_channel_is_again_and_a_closed_one_broken);
        tcase_add_test(tcase, end_of_the_channel_comes_after_what_was_sent);
        tcase_add_test(tcase, empty_message_ends_the_channel_and_never_leaks);
        tcase_add_loop_test(tcase, abuse_5_unsolicited_descriptors_are_all_closed, 0,
                            (int)(sizeof(unsolicited) / sizeof(unsolicited[0])));
        tcase_add_loop_test(tcase, abuse_6_a_full_table_is_an_error_and_no_stale_number, 0, 6);
        tcase_add_loop_test(tcase, abuse_7_credentials_in_front_hide_no_descriptor, 0, 5);
        tcase_add_test(tcase, abuse_5_a_pidfd_is_closed_too);
        tcase_add_test(tcase, abuse_5_a_new_kernel_refuses_descriptors);
        tcase_add_loop_test(tcase, abuse_5_bytes_alone, 0, 4);
        tcase_add_loop_test(tcase, abuse_5_nobody_waits_for_a_descriptor_that_lingers, 0, 3);
        tcase_add_test(tcase, who_closes_last_resets_what_is_to_be_reset);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
