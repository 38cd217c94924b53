/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real netbrokerd, started for one test.
 *
 * A daemon lives in a temporary folder of its own, with its policy, socket, audit file and what it said. It says when it is
 * ready (sd_notify), so nobody guesses; it is ended by SIGTERM and must end with status 0, which under sanitizers means
 * that it leaked nothing and touched nothing wrong. Waiting is always for an event, with a deadline after which the test fails.
 * If a test fails in between, check(3) kills what is left of the test's process group.
 *
 * All functions fail the test (ck_abort) instead of returning errors, unless they say otherwise.
 */
#ifndef NB_TESTS_SUPPORT_HARNESS_H
#define NB_TESTS_SUPPORT_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/** How long anything may take that takes a moment; generous, for sanitizers on a busy machine. */
#define HARNESS_DEADLINE_MS 20000

/** A test program's name for a file in the daemon's folder. */
#define HARNESS_PATH_MAX 96

struct daemon {
        char folder[32];
        char socket_path[HARNESS_PATH_MAX];
        char policy_path[HARNESS_PATH_MAX]; /* a folder: each tenant has a file */
        char audit_path[HARNESS_PATH_MAX];
        char stderr_path[HARNESS_PATH_MAX];
        int notify_fd; /* the other end of NOTIFY_SOCKET */
        pid_t pid;     /* -1: not running */
        int pidfd;     /* readable when it has ended */
};

/** How to start it; all zero is the usual way. */
struct daemon_options {
        const char *const *arguments; /* more arguments, up to a NULL; may be NULL */
        rlim_t max_fds;               /* RLIMIT_NOFILE, soft and hard; 0: as it is here */
        const char *user;             /* --user */
        int session_fd;               /* > 0: serve this descriptor by --session-fd 3, and make no socket; borrowed */
        int activation_fd;            /* > 0: serve this listening socket by LISTEN_FDS, and make no socket; borrowed */
        bool no_info;                 /* do not log and audit what was allowed */
        const char *audit;            /* --audit; NULL: the file that daemon_expect_audit() reads */
};

/** Makes the folder and starts nothing. */
void daemon_init(struct daemon *daemon);

/** Writes the policy of a test that has one tenant: the file acme.conf, whole. "%" is printf's. */
void daemon_write_policy(const struct daemon *daemon, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Writes a file of the policy, whole. @param name  with ".conf" */
void daemon_write_policy_file(const struct daemon *daemon, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/** Removes a file of the policy. */
void daemon_remove_policy(const struct daemon *daemon, const char *name);

/** Starts netbrokerd (environment NETBROKERD) and waits until it serves. @param options  NULL: the usual way */
void daemon_start(struct daemon *daemon, const struct daemon_options *options);

/** The same where it may end instead. @param ret_status  its wait status, where it has ended @return whether it is ready */
bool daemon_try_start(struct daemon *daemon, const struct daemon_options *options, int *ret_status);

/** Sends SIGTERM, waits, and checks that it ended with status 0. */
void daemon_stop(struct daemon *daemon);

/** Kills it (SIGKILL) and waits until it is gone. */
void daemon_kill(struct daemon *daemon);

/** Waits for the daemon to end by itself, with status 0. */
void daemon_expect_end(struct daemon *daemon);

/** Removes the folder; the daemon must have ended. */
void daemon_deinit(struct daemon *daemon);

/** Sends SIGHUP and waits until it was handled. */
void daemon_reload(struct daemon *daemon);

/** Runs netbrokerd to its end. @return its exit status. @param ret_output  what it wrote, owned by the caller; may be NULL */
int daemon_run_once(const struct daemon *daemon, const char *const *arguments, char **ret_output);

/** @return how many descriptors the daemon has open at the moment. */
unsigned daemon_count_fds(const struct daemon *daemon);

/**
 * Waits until the daemon and its children have nothing to do: what it only holds until it has handed it on is not counted, so this is
 * what to compare with later.
 * @return how many descriptors the daemon has open then
 */
unsigned daemon_count_fds_at_rest(const struct daemon *daemon);

/**
 * The children of a process, as they stand in /proc/PID/task/PID/children: the daemon's are its relays.
 * @return how many are in `ret`; `max` at most
 */
size_t harness_children(pid_t pid, pid_t *ret, size_t max);

/** The child of a process that has one, and only one. */
pid_t harness_only_child(pid_t pid);

/** @return the lowest number that is no descriptor of the daemon's at the moment. */
unsigned daemon_lowest_free_fd(const struct daemon *daemon);

/** Waits until the daemon has that many descriptors open. */
void daemon_wait_fds(const struct daemon *daemon, unsigned expected);

/**
 * Has the daemon's channels take descriptors, as on a kernel that cannot refuse them (before Linux 6.16): those that it has accepted or
 * made by now.
 */
void daemon_let_descriptors_in(const struct daemon *daemon);

/** @return whether this kernel can refuse descriptors, so that nobody can send any to the daemon. */
bool harness_refuses_descriptors(void);

/** @return the processor time that the daemon has used, in ms. */
uint64_t daemon_cpu_ms(const struct daemon *daemon);

/** @return a file of the daemon, as text, owned by the caller. */
char *daemon_read(const char *path);

/** @return how many lines of the audit file have all of the texts, up to a NULL. */
unsigned daemon_count_audit(const struct daemon *daemon, const char *const *texts);

/** Fails unless the audit file has, or soon gets, a line with all these texts. */
#define daemon_expect_audit(daemon, ...) daemon_expect_audit_((daemon), (const char *const[]){ __VA_ARGS__, NULL })
void daemon_expect_audit_(const struct daemon *daemon, const char *const *texts);

/** Fails unless the log has, or soon gets, this text. */
void daemon_expect_log(const struct daemon *daemon, const char *text);

/** How often a part stands in a text. */
unsigned harness_count_text(const char *text, const char *part);

/** Waits for a child. @return its exit status; a signal fails the test */
int harness_wait_exit(pid_t pid);

/** Milliseconds of a clock that only goes on. */
uint64_t harness_now_ms(void);

/**
 * For loops that wait for what cannot be polled: lets a moment pass, and fails the test after the deadline.
 * @param start_ms  when the waiting began
 */
void harness_wait_a_moment(uint64_t start_ms, const char *what);

/** Waits until `fd` has one of `events`. @return those it has; 0 after `timeout_ms` */
short harness_poll(int fd, short events, int timeout_ms);

/**
 * Runs `function` in a process of another user, in which failures are reported as usual; needs root.
 * @param uid  also used as group
 */
void harness_run_as(uid_t uid, void (*function)(void *data), void *data);

#endif
