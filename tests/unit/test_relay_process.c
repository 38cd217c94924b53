/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program netbroker-relay as a process: its walls, as the kernel shows them and from inside, its work behind them, and what ends it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "proto/relay_frame.h"
#include "relay/confine.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/unit/socket_pairs.h"

#define CHANNEL_FD 3

/* AddressSanitizer has terabytes of addresses for its own use, and no limit is set. */
#if defined(__SANITIZE_ADDRESS__)
#define LIMITS_MEMORY 0
#elif defined(__has_feature)
#define LIMITS_MEMORY !__has_feature(address_sanitizer)
#else
#define LIMITS_MEMORY 1
#endif

/* ---- the program ---- */

struct program {
        pid_t pid;
        int channel;
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

static void start(struct program *program) {
        const char *path = getenv("NETBROKER_RELAY");
        int channel[2];

        ck_assert_msg(path, "NETBROKER_RELAY must name the program");
        ck_assert_int_eq(nb_channel_pair(channel), 0);
        program->channel = channel[0];
        program->pid = fork();
        ck_assert_int_ge(program->pid, 0);
        if (program->pid == 0) {
                if (dup2(channel[1], CHANNEL_FD) == CHANNEL_FD)
                        (void)execl(path, path, (char *)NULL);
                _exit(127);
        }
        ck_assert_int_eq(close(channel[1]), 0);
}

/* @return as waitpid() tells it */
static int finish(struct program *program) {
        int status;

        ck_assert_int_eq(close(program->channel), 0);
        ck_assert_int_eq(waitpid(program->pid, &status, 0), program->pid);
        return status;
}

static void order(struct program *program, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        ck_assert_int_eq(nb_relay_order_send(program->channel, order, fds, n_fds), 0);
}

static const Nb__Relay__Report *expect(struct program *program, Nb__Relay__Report__BodyCase kind) {
        struct pollfd ready = { .fd = program->channel, .events = POLLIN };
        Nb__Relay__Report *report;
        int length;

        ck_assert_int_eq(poll(&ready, 1, 20000), 1);
        length = nb_channel_receive_bytes(program->channel, program->frame);
        ck_assert_int_gt(length, 0);
        ck_assert_int_eq(nb_relay_report_decode(&program->arena, program->frame, (size_t)length, &report), 0);
        ck_assert_int_eq(report->body_case, kind);
        return report;
}

static void set_up(struct program *program, int probe_fd) {
        Nb__Relay__Setup setup = NB__RELAY__SETUP__INIT;
        Nb__Relay__Order message = NB__RELAY__ORDER__INIT;

        setup.version = NB_RELAY_VERSION;
        setup.tenant = (char *)"test";
        setup.links_max = 16;
        setup.memory_max = UINT64_C(256) << 20;
        setup.log_level = 5;
        message.body_case = NB__RELAY__ORDER__BODY_SETUP;
        message.setup = &setup;
        order(program, &message, &probe_fd, probe_fd >= 0);
}

static void begin(struct program *program, uint64_t id, int ret[static 2]) {
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        Nb__Relay__Order message = NB__RELAY__ORDER__INIT;
        int peers[2], pair[2], fds[2];

        tcp_pair(peers);
        ck_assert_int_eq(fcntl(peers[1], F_SETFL, O_RDWR | O_NONBLOCK), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        ck_assert_int_eq(send(pair[1], "", 1, 0), 1);
        fds[0] = peers[1];
        fds[1] = pair[0];
        begin.link = id;
        begin.role = NB__RELAY__ROLE__ROLE_CLIENT;
        message.body_case = NB__RELAY__ORDER__BODY_BEGIN;
        message.begin = &begin;
        order(program, &message, fds, 2);
        nb_fds_close(fds, 2);
        ret[0] = peers[0];
        ret[1] = pair[1];
        ck_assert_int_eq(fcntl(ret[0], F_SETFL, O_RDWR), 0);
        ck_assert_int_eq(fcntl(ret[1], F_SETFL, O_RDWR), 0);
}

/* What /proc says of it. @return whether the line is there */
static bool has_line(pid_t pid, const char *file, const char *line) {
        char path[64], text[8192];
        size_t length;
        FILE *status;

        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
        status = fopen(path, "re");
        ck_assert_ptr_nonnull(status);
        length = fread(text, 1, sizeof(text) - 1, status);
        text[length] = '\0';
        ck_assert_int_eq(fclose(status), 0);
        return strstr(text, line) != NULL;
}

START_TEST(its_walls_stand) {
        struct program program;
        struct rlimit limit;

        start(&program);
        set_up(&program, -1);
        ck_assert_uint_eq(expect(&program, NB__RELAY__REPORT__BODY_STARTED)->started->version, NB_RELAY_VERSION);
        ck_assert(has_line(program.pid, "status", "\nSeccomp:\t2\n"));
        ck_assert(has_line(program.pid, "status", "\nNoNewPrivs:\t1\n"));
        ck_assert(has_line(program.pid, "status", "\nCapPrm:\t0000000000000000\n"));
        ck_assert(has_line(program.pid, "status", "\nCapEff:\t0000000000000000\n"));
        ck_assert_int_eq(prlimit(program.pid, RLIMIT_CORE, NULL, &limit), 0);
        ck_assert_uint_eq(limit.rlim_max, 0);
        ck_assert_int_eq(prlimit(program.pid, RLIMIT_NPROC, NULL, &limit), 0);
        ck_assert_uint_eq(limit.rlim_max, 0);
#if LIMITS_MEMORY
        ck_assert_int_eq(prlimit(program.pid, RLIMIT_AS, NULL, &limit), 0);
        ck_assert_uint_eq(limit.rlim_max, UINT64_C(256) << 20);
#endif
        ck_assert_int_eq(finish(&program), W_EXITCODE(EX_OK, 0));
}
END_TEST

START_TEST(it_works_behind_them) {
        static const char large[1024 * 1024];
        int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ends[2];
        struct program program;
        char buffer[65536];
        pid_t writer;

        start(&program);
        set_up(&program, probe);
        (void)expect(&program, NB__RELAY__REPORT__BODY_STARTED);
        begin(&program, 1, ends);
        (void)expect(&program, NB__RELAY__REPORT__BODY_READY);
        ck_assert_int_eq(send(ends[1], "a request", 9, 0), 9);
        ck_assert_int_eq(recv(ends[0], buffer, sizeof(buffer), 0), 9);
        for (int way = 0; way < 2; ++way) {
                size_t left = sizeof(large);

                writer = fork();
                if (writer == 0)
                        _exit(send(ends[way], large, sizeof(large), 0) != (ssize_t)sizeof(large));
                while (left > 0) {
                        ssize_t n = recv(ends[1 - way], buffer, sizeof(buffer), 0);

                        ck_assert_int_gt(n, 0);
                        left -= (size_t)n;
                }
                ck_assert_int_eq(waitpid(writer, NULL, 0), writer);
        }
        ck_assert_int_eq(close(ends[1]), 0);
        (void)expect(&program, NB__RELAY__REPORT__BODY_ENDED);
        ck_assert_int_eq(finish(&program), W_EXITCODE(EX_OK, 0));
        ck_assert_int_eq(close(ends[0]), 0);
        ck_assert_int_eq(close(probe), 0);
}
END_TEST

/* Whatever ends it, the guest does not take it for an end of its peer's. */
START_TEST(when_it_is_killed_guests_are_reset) {
        struct program program;
        int ends[2];
        char byte;

        start(&program);
        set_up(&program, -1);
        (void)expect(&program, NB__RELAY__REPORT__BODY_STARTED);
        begin(&program, 1, ends);
        (void)expect(&program, NB__RELAY__REPORT__BODY_READY);
        ck_assert_int_eq(send(ends[1], "x", 1, 0), 1);
        ck_assert_int_eq(recv(ends[0], &byte, 1, 0), 1);
        ck_assert_int_eq(send(ends[0], "y", 1, 0), 1);
        ck_assert_int_eq(recv(ends[1], &byte, 1, MSG_PEEK), 1);
        ck_assert_int_eq(kill(program.pid, SIGKILL), 0);
        ck_assert_int_eq(finish(&program), SIGKILL);
        ck_assert_int_eq(recv(ends[1], &byte, 1, 0), 1);
        ck_assert_int_eq(recv(ends[1], &byte, 1, 0), -1);
        ck_assert_int_eq(errno, ECONNRESET);
        nb_fds_close(ends, 2);
}
END_TEST

/* ---- from inside ---- */

static long attempt(int number) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(1) };

        switch (number) {
        case SYS_socket:
                return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
        case SYS_connect:
        case SYS_bind:
                return syscall(number, 0, &address, sizeof(address));
        case SYS_socketpair: /* whose ends reach whatever they name */
                return syscall(SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, (int[2]){ 0 });
        case SYS_openat:
                return syscall(SYS_openat, AT_FDCWD, "/etc/hostname", O_RDONLY);
        case SYS_execve:
                return syscall(SYS_execve, "/bin/true", (char *[]){ NULL }, (char *[]){ NULL });
        case SYS_fcntl:
                return syscall(SYS_fcntl, 0, F_DUPFD, 10);
        case SYS_ioctl:
                return syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
        case SYS_setsockopt:
                return syscall(SYS_setsockopt, 0, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
        case SYS_tgkill: /* the broker */
                return syscall(SYS_tgkill, getppid(), getppid(), 0);
        default:
                return syscall(number, 0, 0, 0, 0, 0, 0);
        }
}

static const int forbidden[] = {
        SYS_socket,         SYS_socketpair,
        SYS_connect,        SYS_bind,
        SYS_listen,         SYS_accept4,
        SYS_openat,         SYS_openat2,
        SYS_execve,         SYS_execveat,
        SYS_clone,          SYS_clone3,
        SYS_ptrace,         SYS_process_vm_readv,
        SYS_io_uring_setup, SYS_bpf,
        SYS_userfaultfd,    SYS_kill,
        SYS_prctl,          SYS_unshare,
        SYS_setns,          SYS_mount,
        SYS_pidfd_getfd,    SYS_memfd_create,
        SYS_fcntl,          SYS_ioctl,
        SYS_setsockopt,     SYS_prlimit64,
        SYS_keyctl,         SYS_perf_event_open,
        SYS_setuid,         SYS_unlinkat,
        SYS_readlinkat,     SYS_tgkill,
};

START_TEST(nothing_else_can_be_called) {
        int number = forbidden[_i], status;
        pid_t pid = fork();

        if (pid == 0) {
                struct confine_result walls = { 0 };

                if (confine_begin(STDERR_FILENO) < 0 || confine_close(0, &walls) < 0)
                        _exit(100);
                (void)attempt(number);
                _exit(101);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
                ck_abort_msg("call %d: ended with status %#x", number, (unsigned)status);
}
END_TEST

START_TEST(an_assertion_that_fails_is_told_as_one) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                struct confine_result walls = { 0 };

                if (confine_begin(STDERR_FILENO) < 0 || confine_close(0, &walls) < 0)
                        _exit(100);
                abort();
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

/* The second wall, for what the first would have missed. */
START_TEST(files_are_closed_without_the_filter) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                if (confine_begin(STDERR_FILENO) < 0)
                        _exit(100);
                if (open("/etc/hostname", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
                        _exit(101);
                if (fcntl(CHANNEL_FD, F_GETFD) >= 0)
                        _exit(102);
                _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("relay_process");
        TCase *program = tcase_create("program");

        tcase_add_test(program, its_walls_stand);
        tcase_add_test(program, it_works_behind_them);
        tcase_add_test(program, when_it_is_killed_guests_are_reset);
        suite_add_tcase(suite, program);

        TCase *walls = tcase_create("walls");

        tcase_add_loop_test(walls, nothing_else_can_be_called, 0, (int)(sizeof(forbidden) / sizeof(forbidden[0])));
        tcase_add_test(walls, an_assertion_that_fails_is_told_as_one);
        tcase_add_test(walls, files_are_closed_without_the_filter);
        suite_add_tcase(suite, walls);
        process_expect_no_leak_check();
        return run_suite(suite);
}
