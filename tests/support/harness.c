/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/harness.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ARGUMENTS_MAX 32

/* More than any test has relays. */
#define CHILDREN_MAX 1024

/* Linux 6.16; see base/channel.h. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* systemd's first descriptor (SD_LISTEN_FDS_START), which an inherited session gets too. */
#define FIRST_FD 3

uint64_t harness_now_ms(void) {
        struct timespec now;

        ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void harness_wait_a_moment(uint64_t start_ms, const char *what) {
        ck_assert_msg(harness_now_ms() - start_ms < HARNESS_DEADLINE_MS, "waited in vain for %s", what);
        (void)poll(NULL, 0, 1);
}

short harness_poll(int fd, short events, int timeout_ms) {
        struct pollfd pollfd = { .fd = fd, .events = events };
        int n;

        do
                n = poll(&pollfd, 1, timeout_ms);
        while (n < 0 && errno == EINTR);
        ck_assert_int_ge(n, 0);
        return n > 0 ? pollfd.revents : 0;
}

/* ---- files ---- */

static void set_path(const struct daemon *daemon, char path[static HARNESS_PATH_MAX], const char *name) {
        ck_assert_int_lt(snprintf(path, HARNESS_PATH_MAX, "%s/%s", daemon->folder, name), HARNESS_PATH_MAX);
}

void daemon_init(struct daemon *daemon) {
        *daemon = (struct daemon){ .folder = "/tmp/netbroker-test-XXXXXX", .notify_fd = -1, .pid = -1, .pidfd = -1 };
        ck_assert_ptr_nonnull(mkdtemp(daemon->folder));
        /* Other users reach the socket in it. */
        ck_assert_int_eq(chmod(daemon->folder, 0755), 0);
        set_path(daemon, daemon->socket_path, "session.sock");
        set_path(daemon, daemon->policy_path, "policy");
        set_path(daemon, daemon->audit_path, "audit");
        set_path(daemon, daemon->stderr_path, "stderr");
        ck_assert_int_eq(mkdir(daemon->policy_path, 0755), 0);
}

static void policy_file(const struct daemon *daemon, char path[static HARNESS_PATH_MAX], const char *name) {
        ck_assert_int_lt(snprintf(path, HARNESS_PATH_MAX, "%s/policy/%s", daemon->folder, name), HARNESS_PATH_MAX);
}

__attribute__((format(printf, 3, 0))) static void write_policy_file(const struct daemon *daemon, const char *name,
                                                                    const char *format, va_list arguments) {
        char path[HARNESS_PATH_MAX];
        FILE *file;

        policy_file(daemon, path, name);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_gt(vfprintf(file, format, arguments), 0);
        ck_assert_int_eq(fclose(file), 0);
}

void daemon_write_policy(const struct daemon *daemon, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        write_policy_file(daemon, "acme.conf", format, arguments);
        va_end(arguments);
}

void daemon_write_policy_file(const struct daemon *daemon, const char *name, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        write_policy_file(daemon, name, format, arguments);
        va_end(arguments);
}

void daemon_remove_policy(const struct daemon *daemon, const char *name) {
        char path[HARNESS_PATH_MAX];

        policy_file(daemon, path, name);
        ck_assert_int_eq(unlink(path), 0);
}

char *daemon_read(const char *path) {
        FILE *file = fopen(path, "re");
        char *text = NULL;
        size_t length = 0, size = 0;

        while (file) {
                if (size - length < 4096) {
                        size += 65536;
                        text = realloc(text, size);
                        ck_assert_ptr_nonnull(text);
                }
                size_t n = fread(text + length, 1, size - length - 1, file);
                if (n == 0)
                        break;
                length += n;
        }
        if (file)
                ck_assert_int_eq(fclose(file), 0);
        if (!text)
                return strdup("");
        text[length] = '\0';
        return text;
}

static void remove_folder(const char *path) {
        char inner[HARNESS_PATH_MAX + 256];
        DIR *folder = opendir(path);
        const struct dirent *entry;

        while (folder && (entry = readdir(folder))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                (void)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
                if (unlink(inner) < 0)
                        (void)rmdir(inner);
        }
        if (folder)
                (void)closedir(folder);
        (void)rmdir(path);
}

void daemon_deinit(struct daemon *daemon) {
        ck_assert_int_eq(daemon->pid, -1);
        remove_folder(daemon->policy_path);
        remove_folder(daemon->folder);
        daemon->notify_fd = nb_fd_close(daemon->notify_fd);
}

/* ---- starting ---- */

/* The kernel chooses an abstract name, which every user can reach and nobody has to remove. */
static int new_notify_socket(char *name, size_t size) {
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        socklen_t length = sizeof(sa);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa_family_t)), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_uint_lt(length - sizeof(sa_family_t), size);
        (void)snprintf(name, size, "@%.*s", (int)(length - sizeof(sa_family_t) - 1), sa.sun_path + 1);
        return fd;
}

static bool has_argument(const struct daemon_options *options, const char *argument) {
        for (size_t i = 0; options->arguments && options->arguments[i]; ++i) {
                if (strcmp(options->arguments[i], argument) == 0)
                        return true;
        }
        return false;
}

static size_t make_arguments(const struct daemon *daemon, const struct daemon_options *options, const char **argv) {
        size_t n = 0;

        argv[n++] = getenv("NETBROKERD");
        argv[n++] = "--policy";
        argv[n++] = daemon->policy_path;
        argv[n++] = "--audit";
        argv[n++] = options->audit ? options->audit : daemon->audit_path;
        if (!options->no_info) {
                argv[n++] = "--log-level";
                argv[n++] = "info";
        }
        if (options->session_fd > 0) {
                argv[n++] = "--session-fd";
                argv[n++] = "3";
        } else if (options->activation_fd <= 0) {
                argv[n++] = "--socket";
                argv[n++] = daemon->socket_path;
        }
        if (getenv("NETBROKER_RELAY") && !has_argument(options, "--relay-program")) {
                argv[n++] = "--relay-program";
                argv[n++] = getenv("NETBROKER_RELAY");
        }
        if (options->user) {
                argv[n++] = "--user";
                argv[n++] = options->user;
        }
        for (size_t i = 0; options->arguments && options->arguments[i] && n < ARGUMENTS_MAX; ++i)
                argv[n++] = options->arguments[i];
        argv[n] = NULL;
        return n;
}

/* In the child; exits instead of failing the test, which is the parent's to do. */
static void child_set_environment(const struct daemon_options *options, const char *notify) {
        char pid[16];

        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
        if (notify && setenv("NOTIFY_SOCKET", notify, 1) < 0)
                _exit(126);
        if (options->activation_fd > 0 && (setenv("LISTEN_PID", pid, 1) < 0 || setenv("LISTEN_FDS", "1", 1) < 0))
                _exit(126);
}

static void child_set_fds(const struct daemon_options *options, const char *output_path) {
        int given = options->session_fd > 0 ? options->session_fd : options->activation_fd;
        int output = open(output_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

        if (output < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
                _exit(126);
        /* dup2() to itself would leave CLOEXEC set. */
        if (given == FIRST_FD && fcntl(given, F_SETFD, 0) < 0)
                _exit(126);
        if (given > 0 && given != FIRST_FD && dup2(given, FIRST_FD) < 0)
                _exit(126);
}

static pid_t spawn(const struct daemon_options *options, const char *const *argv, const char *output_path,
                   const char *notify) {
        struct rlimit limit = { .rlim_cur = options->max_fds, .rlim_max = options->max_fds };
        pid_t pid;

        ck_assert_msg(argv[0] != NULL, "NETBROKERD is not set: it names the program to test");
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid > 0)
                return pid;
        (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L);
        child_set_environment(options, notify);
        child_set_fds(options, output_path);
        if (options->max_fds > 0 && setrlimit(RLIMIT_NOFILE, &limit) < 0)
                _exit(126);
        (void)execv(argv[0], (char *const *)argv);
        _exit(127);
}

static void show_output(const struct daemon *daemon) {
        NB_CLEANUP_FREE char *text = daemon_read(daemon->stderr_path);

        fprintf(stderr, "---- netbrokerd said:\n%s----\n", text);
}

/* Returns whether the daemon wrote `text` to its notify socket before it ended. */
static bool wait_notification(const struct daemon *daemon, const char *expected) {
        struct pollfd fds[] = {
                { .fd = daemon->notify_fd, .events = POLLIN },
                { .fd = daemon->pidfd, .events = POLLIN },
        };
        char text[256];
        ssize_t n;

        for (;;) {
                ck_assert_int_gt(poll(fds, 2, HARNESS_DEADLINE_MS), 0);
                if (!(fds[0].revents & POLLIN))
                        return false;
                n = recv(daemon->notify_fd, text, sizeof(text) - 1, 0);
                ck_assert_int_gt(n, 0);
                text[n] = '\0';
                if (strstr(text, expected))
                        return true;
        }
}

static int wait_status(struct daemon *daemon) {
        int status = 0;

        if (harness_poll(daemon->pidfd, POLLIN, HARNESS_DEADLINE_MS) == 0) {
                show_output(daemon);
                ck_abort_msg("netbrokerd does not end");
        }
        ck_assert_int_eq(waitpid(daemon->pid, &status, 0), daemon->pid);
        daemon->pid = -1;
        daemon->pidfd = nb_fd_close(daemon->pidfd);
        return status;
}

bool daemon_try_start(struct daemon *daemon, const struct daemon_options *options, int *ret_status) {
        const struct daemon_options usual = { 0 };
        const char *argv[ARGUMENTS_MAX + 1];
        char notify[64];

        options = options ? options : &usual;
        (void)make_arguments(daemon, options, argv);
        daemon->notify_fd = nb_fd_close(daemon->notify_fd);
        daemon->notify_fd = new_notify_socket(notify, sizeof(notify));
        daemon->pid = spawn(options, argv, daemon->stderr_path, notify);
        daemon->pidfd = pidfd_open(daemon->pid, 0);
        ck_assert_int_ge(daemon->pidfd, 0);
        if (wait_notification(daemon, "READY=1"))
                return true;
        *ret_status = wait_status(daemon);
        return false;
}

void daemon_start(struct daemon *daemon, const struct daemon_options *options) {
        int status;

        if (daemon_try_start(daemon, options, &status))
                return;
        show_output(daemon);
        ck_abort_msg("netbrokerd ended before it was ready, with wait status 0x%x", (unsigned)status);
}

void daemon_expect_end(struct daemon *daemon) {
        int status = wait_status(daemon);

        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                show_output(daemon);
                ck_abort_msg("netbrokerd ended with wait status 0x%x", (unsigned)status);
        }
}

void daemon_stop(struct daemon *daemon) {
        ck_assert_int_eq(kill(daemon->pid, SIGTERM), 0);
        daemon_expect_end(daemon);
}

void daemon_kill(struct daemon *daemon) {
        ck_assert_int_eq(kill(daemon->pid, SIGKILL), 0);
        (void)wait_status(daemon);
}

void daemon_reload(struct daemon *daemon) {
        ck_assert_int_eq(kill(daemon->pid, SIGHUP), 0);
        ck_assert_msg(wait_notification(daemon, "RELOADING=1"), "netbrokerd ended");
        ck_assert_msg(wait_notification(daemon, "READY=1"), "netbrokerd ended");
}

int daemon_run_once(const struct daemon *daemon, const char *const *arguments, char **ret_output) {
        const struct daemon_options options = { 0 };
        const char *argv[ARGUMENTS_MAX + 1] = { getenv("NETBROKERD") };
        char output_path[HARNESS_PATH_MAX];
        pid_t pid;
        int status;

        for (size_t i = 0; arguments[i] && i + 1 < ARGUMENTS_MAX; ++i)
                argv[i + 1] = arguments[i];
        set_path(daemon, output_path, "output");
        (void)unlink(output_path);
        pid = spawn(&options, argv, output_path, NULL);
        status = harness_wait_exit(pid);
        if (ret_output)
                *ret_output = daemon_read(output_path);
        return status;
}

/* ---- looking at it ---- */

unsigned daemon_count_fds(const struct daemon *daemon) {
        char path[64];
        unsigned n = 0;
        DIR *folder;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon->pid);
        folder = opendir(path);
        ck_assert_ptr_nonnull(folder);
        while (readdir(folder))
                ++n;
        (void)closedir(folder);
        return n - 2;
}

size_t harness_children(pid_t pid, pid_t *ret, size_t max) {
        NB_CLEANUP_FREE char *text = NULL;
        char path[64], *rest = NULL;
        size_t n = 0;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
        text = daemon_read(path);
        for (char *word = strtok_r(text, " \n", &rest); word && n < max; word = strtok_r(NULL, " \n", &rest))
                ret[n++] = (pid_t)strtol(word, NULL, 10);
        return n;
}

pid_t harness_only_child(pid_t pid) {
        pid_t children[2];

        ck_assert_uint_eq(harness_children(pid, children, 2), 1);
        return children[0];
}

/* Adds how often a process has given a processor up. @return whether it sleeps now, or is gone */
static bool sleeps(pid_t pid, uint64_t *switches) {
        NB_CLEANUP_FREE char *text = NULL;
        const char *line;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        text = daemon_read(path);
        line = strstr(text, "\nvoluntary_ctxt_switches:");
        if (!line)
                return true;
        *switches += strtoull(strchr(line, ':') + 1, NULL, 10);
        return strstr(text, "\nState:\tS") != NULL;
}

static bool all_sleep(const struct daemon *daemon, uint64_t *ret_switches) {
        pid_t children[CHILDREN_MAX];
        size_t n = harness_children(daemon->pid, children, CHILDREN_MAX);
        bool asleep;

        ck_assert_uint_lt(n, CHILDREN_MAX);
        *ret_switches = 0;
        asleep = sleeps(daemon->pid, ret_switches);
        for (size_t i = 0; i < n; ++i)
                asleep &= sleeps(children[i], ret_switches);
        return asleep;
}

/* Whoever is sent something is awake at once, so when all sleep twice and none was awake in between, nothing is on its way. */
unsigned daemon_count_fds_at_rest(const struct daemon *daemon) {
        uint64_t start = harness_now_ms(), before, after;
        unsigned n;

        for (;; harness_wait_a_moment(start, "netbrokerd to have nothing to do")) {
                if (!all_sleep(daemon, &before))
                        continue;
                (void)poll(NULL, 0, 2);
                n = daemon_count_fds(daemon);
                if (all_sleep(daemon, &after) && before == after)
                        return n;
        }
}

unsigned daemon_lowest_free_fd(const struct daemon *daemon) {
        char path[64];

        for (unsigned fd = 0;; ++fd) {
                (void)snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)daemon->pid, fd);
                if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        return fd;
        }
}

void daemon_wait_fds(const struct daemon *daemon, unsigned expected) {
        uint64_t start = harness_now_ms();
        char what[128];
        unsigned n;

        while ((n = daemon_count_fds(daemon)) != expected) {
                (void)snprintf(what, sizeof(what), "netbrokerd to have %u descriptors; it has %u", expected, n);
                harness_wait_a_moment(start, what);
        }
}

void daemon_let_descriptors_in(const struct daemon *daemon) {
        char path[64];
        DIR *folder;
        const struct dirent *entry;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon->pid);
        folder = opendir(path);
        ck_assert_ptr_nonnull(folder);
        while ((entry = readdir(folder))) {
                NB_CLEANUP_FD int fd = -1;

                if (entry->d_name[0] == '.')
                        continue;
                fd = pidfd_getfd(daemon->pidfd, (int)strtol(entry->d_name, NULL, 10), 0);
                if (fd < 0 && errno == EBADF)
                        continue; /* the daemon has closed it since the folder was read */
                ck_assert_int_ge(fd, 0);
                /* Other files, and an older kernel's sockets, do not know the option. */
                (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){ 1 }, sizeof(int));
        }
        (void)closedir(folder);
}

bool harness_refuses_descriptors(void) {
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof(int);
        int value;

        return getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &value, &size) == 0;
}

uint64_t daemon_cpu_ms(const struct daemon *daemon) {
        unsigned long user = 0, system = 0;
        NB_CLEANUP_FREE char *text = NULL;
        const char *behind_name;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)daemon->pid);
        text = daemon_read(path);
        behind_name = strrchr(text, ')');
        ck_assert_ptr_nonnull(behind_name);
        /* proc(5): utime and stime are fields 14 and 15; the name is field 2. */
        ck_assert_int_eq(sscanf(behind_name, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
                         2);
        return (uint64_t)(user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static bool has_all(const char *line, const char *const *texts) {
        for (size_t i = 0; texts[i]; ++i) {
                if (!strstr(line, texts[i]))
                        return false;
        }
        return true;
}

unsigned daemon_count_audit(const struct daemon *daemon, const char *const *texts) {
        NB_CLEANUP_FREE char *text = daemon_read(daemon->audit_path);
        char *rest = NULL;
        unsigned n = 0;

        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                n += has_all(line, texts);
        return n;
}

void daemon_expect_audit_(const struct daemon *daemon, const char *const *texts) {
        uint64_t start = harness_now_ms();

        while (daemon_count_audit(daemon, texts) == 0)
                harness_wait_a_moment(start, texts[0]);
}

void daemon_expect_log(const struct daemon *daemon, const char *expected) {
        uint64_t start = harness_now_ms();

        for (;;) {
                NB_CLEANUP_FREE char *text = daemon_read(daemon->stderr_path);

                if (strstr(text, expected))
                        return;
                harness_wait_a_moment(start, expected);
        }
}

unsigned harness_count_text(const char *text, const char *part) {
        unsigned n = 0;

        for (const char *p = text; (p = strstr(p, part)); p += strlen(part))
                n++;
        return n;
}

int harness_wait_exit(pid_t pid) {
        int status = 0;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(WIFEXITED(status), "process %d ended with wait status 0x%x", (int)pid, (unsigned)status);
        return WEXITSTATUS(status);
}

void harness_run_as(uid_t uid, void (*function)(void *data), void *data) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
                        _exit(126);
                function(data);
                _exit(0);
        }
        ck_assert_msg(harness_wait_exit(pid) == 0, "the process of user %u failed", (unsigned)uid);
}
