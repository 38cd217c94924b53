/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/walled.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/lockdown.h"

static int bound_socket(int type, struct sockaddr_in *ret_address) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        REQUIRE(fd >= 0);
        REQUIRE(bind(fd, (struct sockaddr *)&address, length) == 0);
        REQUIRE(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
        *ret_address = address;
        return fd;
}

static int connected_socket(int type, const struct sockaddr_in *address) {
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        REQUIRE(fd >= 0);
        REQUIRE(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0);
        return fd;
}

/* Nothing is ever accepted from it: an IPv6 socket with a connection is all that is wanted. */
static int connected_socket6(void) {
        struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        socklen_t length = sizeof(address);
        int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        REQUIRE(listener >= 0 && fd >= 0);
        REQUIRE(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
        REQUIRE(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
        REQUIRE(connect(fd, (struct sockaddr *)&address, length) == 0);
        return fd;
}

static void make_sockets(struct walled *walled) {
        struct sockaddr_in udp_address;

        walled->listener = bound_socket(SOCK_STREAM, &walled->listener_address);
        REQUIRE(listen(walled->listener, 8) == 0);
        walled->tcp = connected_socket(SOCK_STREAM, &walled->listener_address);
        walled->peer = accept4(walled->listener, NULL, NULL, SOCK_CLOEXEC);
        REQUIRE(walled->peer >= 0);
        walled->tcp6 = connected_socket6();
        walled->udp_peer = bound_socket(SOCK_DGRAM, &udp_address);
        walled->udp = connected_socket(SOCK_DGRAM, &udp_address);
        walled->udp_stranger = bound_socket(SOCK_DGRAM, &walled->stranger_address);
}

static void make_folder(const struct walled *walled, const char *name, char *ret, size_t size) {
        char path[128];
        int fd;

        REQUIRE((size_t)snprintf(ret, size, "%s/%s", walled->root, name) < size);
        REQUIRE(mkdir(ret, 0700) == 0);
        (void)snprintf(path, sizeof(path), "%s/file", ret);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        REQUIRE(fd >= 0 && write(fd, "text", 4) == 4);
        close(fd);
}

static void make_folders(struct walled *walled) {
        make_folder(walled, "readable", walled->readable, sizeof(walled->readable));
        make_folder(walled, "writable", walled->writable, sizeof(walled->writable));
        make_folder(walled, "hidden", walled->hidden, sizeof(walled->hidden));
}

int walled_lock_down(const struct walled *walled) {
        struct nb_lockdown_directory directories[] = {
                { .path = walled->readable, .access = NB_LOCKDOWN_READ },
                { .path = NULL, .access = NB_LOCKDOWN_READ_WRITE },
        };
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;
        int fd NB_CLEANUP_FD = open(walled->writable, O_PATH | O_DIRECTORY | O_CLOEXEC);

        REQUIRE(fd >= 0);
        directories[1].fd = fd;
        options.directories = directories;
        options.n_directories = 2;
        return nb_lockdown(&options);
}

/* ---- children ---- */

static int wait_for(pid_t child) {
        int status;

        ck_assert_int_eq(waitpid(child, &status, 0), child);
        if (WIFSIGNALED(status)) {
                ck_assert(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGABRT);
                return WTERMSIG(status) == SIGSYS ? KILLED_BY_SIGSYS : KILLED_BY_SIGABRT;
        }
        return WEXITSTATUS(status);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw) {
        (void)status;
        (void)type;
        (void)ftw;
        return remove(path);
}

int walled_run(void (*prepare)(struct walled *), int (*attempt)(struct walled *), bool locked) {
        struct walled walled = { .root = "/tmp/test-lockdown-XXXXXX" };
        pid_t child;
        int result;

        ck_assert_ptr_nonnull(mkdtemp(walled.root));
        child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
                make_sockets(&walled);
                make_folders(&walled);
                if (prepare)
                        prepare(&walled);
                if (locked) {
                        int walls = walled_lock_down(&walled);

                        if (walls < 0 || !(walls & NB_WALL_SECCOMP) || !(walls & NB_WALL_FILES)) {
                                fprintf(stderr, "nb_lockdown: %d\n", walls);
                                _exit(SETUP_FAILED);
                        }
                }
                _exit(attempt(&walled));
        }
        result = wait_for(child);
        ck_assert_int_eq(nftw(walled.root, remove_entry, 4, FTW_DEPTH | FTW_PHYS), 0);
        return result;
}

int walled_result(long r) {
        return r < 0 ? errno : WORKED;
}

const char *walled_hidden_file(const struct walled *walled, char ret[static 128]) {
        (void)snprintf(ret, 128, "%s/file", walled->hidden);
        return ret;
}

void walled_fail_calls(const int *numbers, size_t n_numbers, int error) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

        REQUIRE(filter);
        for (size_t i = 0; i < n_numbers; ++i)
                REQUIRE(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), numbers[i], 0) == 0);
        REQUIRE(seccomp_load(filter) == 0);
        seccomp_release(filter);
}

void walled_check_escape(const struct escape *escape) {
        ck_assert_msg(walled_run(escape->prepare, escape->attempt, false) == escape->before,
                      "%s: not as expected before", escape->name);
        ck_assert_msg(walled_run(escape->prepare, escape->attempt, true) == escape->after, "%s: not as expected after",
                      escape->name);
}
