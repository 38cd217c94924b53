/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nb_lockdown() and the rest of the machine: other processes, system calls, terminals, and what a process does to itself.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "netbroker/lockdown.h"
#include "tests/support/runner.h"
#include "tests/unit/walled.h"

/* Without a terminal it is no more than ENOTTY. */
static int push_input(struct walled *walled) {
        return walled_result(ioctl(walled->tcp, TIOCSTI, "x"));
}

static int execute(struct walled *walled) {
        pid_t child = fork();
        int status;

        (void)walled;
        REQUIRE(child >= 0);
        if (child == 0) {
                execl("/bin/true", "true", (char *)NULL);
                _exit(errno);
        }
        REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int trace(struct walled *walled) {
        (void)walled;
        return walled_result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_process(struct walled *walled) {
        char from = 'x', to = 0;
        struct iovec local = { &to, 1 }, remote = { &from, 1 };

        (void)walled;
        return walled_result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

static int write_process(struct walled *walled) {
        char from = 'x', to = 0;
        struct iovec local = { &from, 1 }, remote = { &to, 1 };

        (void)walled;
        return walled_result(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

static void open_process(struct walled *walled) {
        walled->pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        REQUIRE(walled->pidfd >= 0);
}

static int take_descriptor(struct walled *walled) {
        return walled_result(syscall(SYS_pidfd_getfd, walled->pidfd, walled->tcp, 0));
}

static int unshare_files(struct walled *walled) {
        (void)walled;
        return walled_result(unshare(CLONE_FILES));
}

/* With garbage beside the flag. A user namespace needs no privilege. */
static int clone_namespace(struct walled *walled) {
        long r = syscall(SYS_clone, (1L << 40) | CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

        (void)walled;
        if (r == 0)
                _exit(0);
        return walled_result(r);
}

static int clone_by_structure(struct walled *walled) {
        struct clone_args arguments = { .exit_signal = SIGCHLD };
        long r = syscall(SYS_clone3, &arguments, sizeof(arguments));

        (void)walled;
        if (r == 0)
                _exit(0);
        return walled_result(r);
}

static int ask_keyring(struct walled *walled) {
        (void)walled;
        return walled_result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1));
}

static int signal_parent(struct walled *walled) {
        (void)walled;
        return walled_result(kill(getppid(), 0));
}

/* ---- other processes ---- */

/* Not a child of the walls: forked before, and so outside of Landlock's domain. */
static void fork_neighbour(struct walled *walled) {
        int ends[2];
        char byte;

        REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
        walled->neighbour = fork();
        REQUIRE(walled->neighbour >= 0);
        if (walled->neighbour > 0) {
                close(ends[0]);
                return; /* the other end closes when this process ends */
        }
        close(ends[1]);
        _exit((int)read(ends[0], &byte, 1));
}

static int signal_neighbour(struct walled *walled) {
        return walled_result(kill(walled->neighbour, 0));
}

static int signal_neighbours_thread(struct walled *walled) {
        return walled_result(syscall(SYS_tgkill, walled->neighbour, walled->neighbour, 0));
}

static int signal_thread_id(struct walled *walled) {
        return walled_result(syscall(SYS_tkill, walled->neighbour, 0));
}

static int signal_group(struct walled *walled) {
        (void)walled;
        return walled_result(kill(0, 0));
}

static int signal_by_pidfd(struct walled *walled) {
        return walled_result(syscall(SYS_pidfd_send_signal, walled->pidfd, 0, NULL, 0));
}

static int limit_neighbour(struct walled *walled) {
        struct rlimit limit = { 3, 3 };

        return walled_result(prlimit(walled->neighbour, RLIMIT_NOFILE, &limit, NULL));
}

static int slow_neighbour(struct walled *walled) {
        return walled_result(setpriority(PRIO_PROCESS, (id_t)walled->neighbour, 19));
}

static int schedule_neighbour(struct walled *walled) {
        struct sched_param parameters = { 0 };

        return walled_result(sched_setscheduler(walled->neighbour, SCHED_BATCH, &parameters));
}

static int pin_neighbour(struct walled *walled) {
        cpu_set_t processors;

        REQUIRE(sched_getaffinity(0, sizeof(processors), &processors) == 0);
        return walled_result(sched_setaffinity(walled->neighbour, sizeof(processors), &processors));
}

static int own_by_neighbour(struct walled *walled) {
        return walled_result(fcntl(walled->tcp, F_SETOWN, walled->neighbour));
}

static int own_by_ioctl(struct walled *walled) {
        return walled_result(ioctl(walled->tcp, FIOSETOWN, &walled->neighbour));
}

static int choose_signal(struct walled *walled) {
        return walled_result(fcntl(walled->tcp, F_SETSIG, SIGKILL));
}

/* ---- terminals ---- */

static int set_line_discipline(struct walled *walled) {
        return walled_result(ioctl(walled->tcp, TIOCSETD, &(int){ 0 }));
}

static int take_console(struct walled *walled) {
        return walled_result(ioctl(walled->tcp, TIOCCONS));
}

/* ---- calls of another ABI ---- */

#ifdef __x86_64__
/* The x32 ABI's getpid: ENOSYS on kernels that are built without it. */
static int call_x32(struct walled *walled) {
        (void)walled;
        (void)syscall(0x40000000 | SYS_getpid);
        return WORKED;
}

/* i386's getpid. */
static int call_i386(struct walled *walled) {
        long r;

        (void)walled;
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
        return r > 0 ? WORKED : ENOSYS;
}
#endif

static const struct escape escapes[] = {
        { "TIOCSTI", NULL, push_input, ENOTTY, EPERM },
        { "execute a program", NULL, execute, WORKED, EPERM },
        { "ptrace", NULL, trace, WORKED, EPERM },
        { "process_vm_readv", NULL, read_process, WORKED, EPERM },
        { "process_vm_writev", NULL, write_process, WORKED, EPERM },
        { "pidfd_getfd", open_process, take_descriptor, WORKED, EPERM },
        { "unshare", NULL, unshare_files, WORKED, EPERM },
        { "clone3", NULL, clone_by_structure, WORKED, ENOSYS },
        { "clone CLONE_NEWUSER", NULL, clone_namespace, WORKED, EPERM },
        { "keyctl", NULL, ask_keyring, WORKED, EPERM },
        { "kill", fork_neighbour, signal_neighbour, WORKED, EPERM },
        { "tgkill", fork_neighbour, signal_neighbours_thread, WORKED, EPERM },
        { "tkill", fork_neighbour, signal_thread_id, WORKED, EPERM },
        { "kill the group", NULL, signal_group, WORKED, EPERM },
        { "pidfd_send_signal", open_process, signal_by_pidfd, WORKED, EPERM },
        { "prlimit", fork_neighbour, limit_neighbour, WORKED, EPERM },
        { "setpriority", fork_neighbour, slow_neighbour, WORKED, EPERM },
        { "sched_setscheduler", fork_neighbour, schedule_neighbour, WORKED, EPERM },
        { "sched_setaffinity", fork_neighbour, pin_neighbour, WORKED, EPERM },
        { "F_SETOWN", fork_neighbour, own_by_neighbour, WORKED, EPERM },
        { "FIOSETOWN", fork_neighbour, own_by_ioctl, WORKED, EPERM },
        { "F_SETSIG", NULL, choose_signal, WORKED, EPERM },
        { "TIOCSETD", NULL, set_line_discipline, ENOTTY, EPERM },
        { "TIOCCONS", NULL, take_console, ENOTTY, EPERM },
#ifdef __x86_64__
        { "x32", NULL, call_x32, WORKED, KILLED_BY_SIGSYS },
        { "i386", NULL, call_i386, WORKED, KILLED_BY_SIGSYS },
#endif
};

START_TEST(escape_works_without_the_walls_and_not_behind_them) {
        walled_check_escape(&escapes[_i]);
}
END_TEST

/*
 * Calls that are refused whatever their arguments are. They are made with nothing but -1: before, the kernel has something
 * to say against that, but not EPERM, or does not know the call. Those that want a privilege first are not here.
 */
static const struct {
        const char *name;
        long number;
} calls[] = {
#ifdef SYS_chmod
        { "chmod", SYS_chmod },
        { "chown", SYS_chown },
        { "lchown", SYS_lchown },
        { "inotify_init", SYS_inotify_init },
#endif
        { "fchmod", SYS_fchmod },
        { "fchmodat", SYS_fchmodat },
        { "fchmodat2", 452 },
        { "fchown", SYS_fchown },
        { "fchownat", SYS_fchownat },
        { "setxattr", SYS_setxattr },
        { "lsetxattr", SYS_lsetxattr },
        { "fsetxattr", SYS_fsetxattr },
        { "setxattrat", 463 },
        { "removexattr", SYS_removexattr },
        { "lremovexattr", SYS_lremovexattr },
        { "fremovexattr", SYS_fremovexattr },
        { "removexattrat", 466 },
        { "file_setattr", 469 },
        { "inotify_init1", SYS_inotify_init1 },
        { "inotify_add_watch", SYS_inotify_add_watch },
        { "fanotify_mark", SYS_fanotify_mark },
        { "truncate", SYS_truncate },
        { "process_mrelease", 448 },
        { "pidfd_open", SYS_pidfd_open },
        { "pidfd_send_signal", SYS_pidfd_send_signal },
        { "rt_sigqueueinfo", SYS_rt_sigqueueinfo },
        { "rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo },
        { "setpriority", SYS_setpriority },
        { "ioprio_set", SYS_ioprio_set },
        { "sched_setscheduler", SYS_sched_setscheduler },
        { "sched_setattr", SYS_sched_setattr },
        { "sched_setparam", SYS_sched_setparam },
        { "migrate_pages", SYS_migrate_pages },
        { "move_pages", SYS_move_pages },
        { "shmget", SYS_shmget },
        { "shmat", SYS_shmat },
        { "shmctl", SYS_shmctl },
        { "semget", SYS_semget },
        { "semop", SYS_semop },
        { "semtimedop", SYS_semtimedop },
        { "semctl", SYS_semctl },
        { "msgget", SYS_msgget },
        { "msgsnd", SYS_msgsnd },
        { "msgrcv", SYS_msgrcv },
        { "msgctl", SYS_msgctl },
        { "mq_open", SYS_mq_open },
        { "mq_unlink", SYS_mq_unlink },
        { "mq_timedsend", SYS_mq_timedsend },
        { "mq_timedreceive", SYS_mq_timedreceive },
        { "mq_notify", SYS_mq_notify },
        { "mq_getsetattr", SYS_mq_getsetattr },
        { "execve", SYS_execve },
        { "execveat", SYS_execveat },
        { "personality", SYS_personality },
        { "open_tree", SYS_open_tree },
        { "open_tree_attr", 467 },
        { "settimeofday", SYS_settimeofday },
        { "clock_settime", SYS_clock_settime },
        { "clock_adjtime", SYS_clock_adjtime },
        { "adjtimex", SYS_adjtimex },
        { "sendmsg", SYS_sendmsg },
        { "sendmmsg", SYS_sendmmsg },
};

static bool is_refused(long number) {
        return syscall(number, -1L, -1L, -1L, -1L, -1L, -1L) < 0 && errno == EPERM;
}

static int count_refused(struct walled *walled) {
        int n = 0;

        (void)walled;
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i)
                n += is_refused(calls[i].number);
        return n;
}

static int count_not_refused(struct walled *walled) {
        int n = 0;

        (void)walled;
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
                if (is_refused(calls[i].number))
                        continue;
                fprintf(stderr, "%s is not refused\n", calls[i].name);
                n++;
        }
        return n;
}

START_TEST(calls_are_refused_whatever_they_say) {
        ck_assert_int_eq(walled_run(NULL, count_refused, false), 0);
        ck_assert_int_eq(walled_run(NULL, count_not_refused, true), 0);
}
END_TEST

/* ---- calls that are not known yet ---- */

static const int later_calls[] = { 471, 500, 1023, 1024, 0x3fffffff };

/* Plays a kernel that knows them. */
static void invent_calls(struct walled *walled) {
        (void)walled;
        walled_fail_calls(later_calls, sizeof(later_calls) / sizeof(later_calls[0]), EDOM);
}

static int call_later_calls(struct walled *walled) {
        int first = 0;

        (void)walled;
        for (size_t i = 0; i < sizeof(later_calls) / sizeof(later_calls[0]); ++i) {
                int error = walled_result(syscall(later_calls[i]));

                REQUIRE(first == 0 || error == first);
                first = error;
        }
        return first;
}

START_TEST(calls_of_later_kernels_do_not_exist) {
        ck_assert_int_eq(walled_run(invent_calls, call_later_calls, false), EDOM);
        ck_assert_int_eq(walled_run(invent_calls, call_later_calls, true), ENOSYS);
}
END_TEST

/* What the walls are made of depends on the kernel: this one needs Landlock's ABI 6. */
static int signal_parent_if_scoped(struct walled *walled) {
        int walls = walled_lock_down(walled);

        REQUIRE(walls > 0);
        return walls & NB_WALL_SCOPES ? signal_parent(walled) : EPERM;
}

START_TEST(signals_stay_inside) {
        ck_assert_int_eq(walled_run(NULL, signal_parent, false), WORKED);
        ck_assert_int_eq(walled_run(NULL, signal_parent_if_scoped, false), EPERM);
}
END_TEST

/* ---- what goes on working ---- */

static void *do_nothing(void *data) {
        return data;
}

static int run_code(void) {
#ifdef __x86_64__
        static const uint8_t code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 }; /* return 42 */
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int (*function)(void);

        MUST(page != MAP_FAILED);
        memcpy(page, code, sizeof(code));
        MUST(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
        memcpy(&function, &page, sizeof(function));
        MUST(function() == 42);
#endif
        return 0;
}

static void ignore_signal(int signal) {
        (void)signal;
}

static void *signal_itself(void *data) {
        bool *worked = data;

        *worked = raise(SIGUSR1) == 0 && pthread_kill(pthread_self(), SIGUSR1) == 0 && kill(getpid(), SIGUSR1) == 0;
        return NULL;
}

static int use_signals(void) {
        struct sigaction action = { .sa_handler = ignore_signal };
        bool in_thread = false, here = false;
        pthread_t thread;

        MUST(sigaction(SIGUSR1, &action, NULL) == 0);
        MUST(pthread_create(&thread, NULL, signal_itself, &in_thread) == 0 && pthread_join(thread, NULL) == 0);
        (void)signal_itself(&here);
        MUST(in_thread && here);
        MUST(syscall(SYS_tkill, getpid(), SIGUSR1) == 0);
        return 0;
}

static int use_process(void) {
        struct timespec time;
        struct rlimit limit;
        cpu_set_t processors;
        pthread_t thread;
        pid_t child;
        int status;
        char byte;

        MUST(pthread_create(&thread, NULL, do_nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
        MUST(clock_gettime(CLOCK_MONOTONIC, &time) == 0 && clock_gettime(CLOCK_REALTIME, &time) == 0);
        MUST(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = 1 }, NULL) == 0);
        MUST(getrandom(&byte, 1, 0) == 1);
        MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0);
        MUST(sched_getaffinity(0, sizeof(processors), &processors) == 0);
        MUST(sched_setaffinity(0, sizeof(processors), &processors) == 0);
        child = fork();
        MUST(child >= 0);
        if (child == 0)
                _exit(7);
        MUST(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
        return run_code();
}

static int use_all(struct walled *walled) {
        (void)walled;
        return use_process() || use_signals();
}

START_TEST(what_a_host_needs_goes_on_working) {
        ck_assert_int_eq(walled_run(NULL, use_all, false), 0);
        ck_assert_int_eq(walled_run(NULL, use_all, true), 0);
}
END_TEST

static void *abort_here(void *data) {
        (void)data;
        abort();
}

static int abort_in_thread(struct walled *walled) {
        struct sigaction action = { .sa_handler = SIG_DFL };
        pthread_t thread;

        (void)walled;
        REQUIRE(sigaction(SIGABRT, &action, NULL) == 0);
        REQUIRE(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 }) == 0);
        REQUIRE(pthread_create(&thread, NULL, abort_here, NULL) == 0);
        (void)pthread_join(thread, NULL);
        return WORKED;
}

START_TEST(abort_in_a_thread_ends_the_process) {
        ck_assert_int_eq(walled_run(NULL, abort_in_thread, false), KILLED_BY_SIGABRT);
        ck_assert_int_eq(walled_run(NULL, abort_in_thread, true), KILLED_BY_SIGABRT);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lockdown_processes");
        TCase *tcase = tcase_create("processes");

        tcase_add_loop_test(tcase, escape_works_without_the_walls_and_not_behind_them, 0,
                            (int)(sizeof(escapes) / sizeof(escapes[0])));
        tcase_add_test(tcase, calls_are_refused_whatever_they_say);
        tcase_add_test(tcase, calls_of_later_kernels_do_not_exist);
        tcase_add_test(tcase, signals_stay_inside);
        tcase_add_test(tcase, what_a_host_needs_goes_on_working);
        tcase_add_test(tcase, abort_in_a_thread_ends_the_process);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
