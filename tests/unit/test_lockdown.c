/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nb_lockdown(): each escape is tried twice, in a child of its own on real sockets: without the walls, where
 * it must work (or the test could not fail), and behind them.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/lockdown.h"

/* What a child tells by its exit status: an errno, or one of these. */
#define WORKED 0
#define SETUP_FAILED 250
#define KILLED_BY_SIGSYS 251

/* What a broker would have handed out, and what the network around it looks like. */
struct fixture {
        int listener;     /* stays behind, in the broker */
        int tcp;          /* connected to `listener` */
        int peer;         /* its other end */
        int tcp6;         /* like tcp, over IPv6 */
        int udp;          /* connected to `udp_peer` */
        int udp_peer;     /* bound */
        int udp_stranger; /* bound, and connected to by nobody */
        struct sockaddr_in listener_address;
        struct sockaddr_in stranger_address;
        char root[64];     /* of the folders below */
        char readable[80]; /* granted for reading: holds `file` */
        char writable[80]; /* granted for writing */
        char hidden[80];   /* not granted: holds `file` */
};

#define REQUIRE(condition)                                                                                             \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno));                   \
                        _exit(SETUP_FAILED);                                                                           \
                }                                                                                                      \
        } while (0)

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

static void make_sockets(struct fixture *fixture) {
        struct sockaddr_in udp_address;

        fixture->listener = bound_socket(SOCK_STREAM, &fixture->listener_address);
        REQUIRE(listen(fixture->listener, 8) == 0);
        fixture->tcp = connected_socket(SOCK_STREAM, &fixture->listener_address);
        fixture->peer = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
        REQUIRE(fixture->peer >= 0);
        fixture->tcp6 = connected_socket6();
        fixture->udp_peer = bound_socket(SOCK_DGRAM, &udp_address);
        fixture->udp = connected_socket(SOCK_DGRAM, &udp_address);
        fixture->udp_stranger = bound_socket(SOCK_DGRAM, &fixture->stranger_address);
}

static void make_folder(const struct fixture *fixture, const char *name, char *ret, size_t size) {
        char path[128];
        int fd;

        REQUIRE((size_t)snprintf(ret, size, "%s/%s", fixture->root, name) < size);
        REQUIRE(mkdir(ret, 0700) == 0);
        (void)snprintf(path, sizeof(path), "%s/file", ret);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        REQUIRE(fd >= 0 && write(fd, "text", 4) == 4);
        close(fd);
}

static void make_folders(struct fixture *fixture) {
        make_folder(fixture, "readable", fixture->readable, sizeof(fixture->readable));
        make_folder(fixture, "writable", fixture->writable, sizeof(fixture->writable));
        make_folder(fixture, "hidden", fixture->hidden, sizeof(fixture->hidden));
}

static int lock_down(const struct fixture *fixture) {
        struct nb_lockdown_directory directories[] = {
                { .path = fixture->readable, .access = NB_LOCKDOWN_READ },
                { .path = NULL, .access = NB_LOCKDOWN_READ_WRITE },
        };
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;
        int fd NB_CLEANUP_FD = open(fixture->writable, O_PATH | O_DIRECTORY | O_CLOEXEC);

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
                ck_assert_int_eq(WTERMSIG(status), SIGSYS);
                return KILLED_BY_SIGSYS;
        }
        return WEXITSTATUS(status);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw) {
        (void)status;
        (void)type;
        (void)ftw;
        return remove(path);
}

/* Runs `attempt` in a child, behind the walls or not. Returns what it returns: 0 or an errno. */
static int run(void (*prepare)(struct fixture *), int (*attempt)(struct fixture *), bool locked) {
        struct fixture fixture = { .root = "/tmp/test-lockdown-XXXXXX" };
        pid_t child;
        int result;

        ck_assert_ptr_nonnull(mkdtemp(fixture.root));
        child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
                make_sockets(&fixture);
                make_folders(&fixture);
                if (prepare)
                        prepare(&fixture);
                if (locked) {
                        int walls = lock_down(&fixture);

                        if (walls < 0 || !(walls & NB_WALL_SECCOMP) || !(walls & NB_WALL_FILES)) {
                                fprintf(stderr, "nb_lockdown: %d\n", walls);
                                _exit(SETUP_FAILED);
                        }
                }
                _exit(attempt(&fixture));
        }
        result = wait_for(child);
        ck_assert_int_eq(nftw(fixture.root, remove_entry, 4, FTW_DEPTH | FTW_PHYS), 0);
        return result;
}

static int result(long r) {
        return r < 0 ? errno : WORKED;
}

/* ---- what a hostile holder prepares before it is locked down, so that one step is left to try ---- */

static void disconnect(struct fixture *fixture) {
        struct sockaddr nobody = { .sa_family = AF_UNSPEC };

        REQUIRE(connect(fixture->tcp, &nobody, sizeof(nobody)) == 0);
}

/* ---- escapes ---- */

static int connect_unspec(struct fixture *fixture) {
        struct sockaddr nobody = { .sa_family = AF_UNSPEC };

        return result(connect(fixture->tcp, &nobody, sizeof(nobody)));
}

static int reconnect(struct fixture *fixture) {
        return result(connect(fixture->tcp, (struct sockaddr *)&fixture->listener_address,
                              sizeof(fixture->listener_address)));
}

static int reconnect_udp(struct fixture *fixture) {
        return result(connect(fixture->udp, (struct sockaddr *)&fixture->stranger_address,
                              sizeof(fixture->stranger_address)));
}

static int bind_again(struct fixture *fixture) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        return result(bind(fixture->tcp, (struct sockaddr *)&address, sizeof(address)));
}

static int listen_implicitly(struct fixture *fixture) {
        return result(listen(fixture->tcp, 1));
}

static int sendto_stranger(struct fixture *fixture) {
        return result(sendto(fixture->udp, "x", 1, 0, (struct sockaddr *)&fixture->stranger_address,
                             sizeof(fixture->stranger_address)));
}

static int sendmmsg_stranger(struct fixture *fixture) {
        struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
        struct mmsghdr message = { .msg_hdr = { .msg_name = &fixture->stranger_address,
                                                .msg_namelen = sizeof(fixture->stranger_address),
                                                .msg_iov = &iov,
                                                .msg_iovlen = 1 } };

        return result(sendmmsg(fixture->udp, &message, 1, 0));
}

static int sendto_fastopen(struct fixture *fixture) {
        return result(sendto(fixture->tcp, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&fixture->listener_address,
                             sizeof(fixture->listener_address)));
}

static int sendmsg_fastopen(struct fixture *fixture) {
        struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
        struct msghdr message = { .msg_name = &fixture->listener_address,
                                  .msg_namelen = sizeof(fixture->listener_address),
                                  .msg_iov = &iov,
                                  .msg_iovlen = 1 };

        return result(sendmsg(fixture->tcp, &message, MSG_FASTOPEN));
}

static int new_tcp_socket(struct fixture *fixture) {
        (void)fixture;
        return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int new_unix_socket(struct fixture *fixture) {
        (void)fixture;
        return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int datagram_pair(struct fixture *fixture) {
        int pair[2];

        (void)fixture;
        return result(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
}

/* For Unix sockets SOCK_RAW is SOCK_DGRAM. */
static int raw_pair(struct fixture *fixture) {
        int pair[2];

        (void)fixture;
        return result(socketpair(AF_UNIX, SOCK_RAW, 0, pair));
}

/* The kernel reads the low half only. */
static int datagram_pair_with_garbage(struct fixture *fixture) {
        int pair[2];

        (void)fixture;
        return result(syscall(SYS_socketpair, (long)AF_UNIX, (1L << 32) | SOCK_DGRAM, 0L, pair));
}

static int uring(struct fixture *fixture) {
        struct io_uring_params parameters = { 0 };

        (void)fixture;
        return result(syscall(SYS_io_uring_setup, 1, &parameters));
}

static int bind_to_device(struct fixture *fixture) {
        return result(setsockopt(fixture->tcp, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
}

static int bind_to_device_with_garbage(struct fixture *fixture) {
        return result(syscall(SYS_setsockopt, (long)fixture->tcp, (1L << 32) | SOL_SOCKET, (1L << 32) | SO_BINDTODEVICE,
                              "lo", 2L));
}

static int routing_header(struct fixture *fixture) {
        return result(setsockopt(fixture->tcp6, IPPROTO_IPV6, IPV6_RTHDR, NULL, 0));
}

static int reuse_port(struct fixture *fixture) {
        return result(setsockopt(fixture->tcp, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)));
}

static int free_bind(struct fixture *fixture) {
        return result(setsockopt(fixture->tcp, IPPROTO_IP, IP_FREEBIND, &(int){ 1 }, sizeof(int)));
}

static int fastopen_connect(struct fixture *fixture) {
        return result(setsockopt(fixture->tcp, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){ 1 }, sizeof(int)));
}

static int list_interfaces(struct fixture *fixture) {
        struct ifconf interfaces = { 0 };

        return result(ioctl(fixture->tcp, SIOCGIFCONF, &interfaces));
}

static int list_interfaces_with_garbage(struct fixture *fixture) {
        struct ifconf interfaces = { 0 };

        return result(syscall(SYS_ioctl, (long)fixture->tcp, (1L << 32) | SIOCGIFCONF, &interfaces));
}

/* Without a terminal it is no more than ENOTTY. */
static int push_input(struct fixture *fixture) {
        return result(ioctl(fixture->tcp, TIOCSTI, "x"));
}

static int open_elsewhere(struct fixture *fixture) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/file", fixture->hidden);
        return result(openat(AT_FDCWD, path, O_RDONLY));
}

static int open_by_dots(struct fixture *fixture) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/../hidden/file", fixture->readable);
        return result(openat(AT_FDCWD, path, O_RDONLY));
}

static int open_by_symlink(struct fixture *fixture) {
        char target[128], path[128];

        (void)snprintf(target, sizeof(target), "%s/file", fixture->hidden);
        (void)snprintf(path, sizeof(path), "%s/link", fixture->writable);
        REQUIRE(symlink(target, path) == 0);
        return result(open(path, O_RDONLY));
}

static int write_to_readable(struct fixture *fixture) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/file", fixture->readable);
        return result(open(path, O_WRONLY));
}

static int make_unix_socket_file(struct fixture *fixture) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/socket", fixture->writable);
        return result(mknod(path, S_IFSOCK | 0600, 0));
}

static int execute(struct fixture *fixture) {
        pid_t child = fork();
        int status;

        (void)fixture;
        REQUIRE(child >= 0);
        if (child == 0) {
                execl("/bin/true", "true", (char *)NULL);
                _exit(errno);
        }
        REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int trace(struct fixture *fixture) {
        (void)fixture;
        return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_process(struct fixture *fixture) {
        char from = 'x', to = 0;
        struct iovec local = { &to, 1 }, remote = { &from, 1 };

        (void)fixture;
        return result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

static int write_process(struct fixture *fixture) {
        char from = 'x', to = 0;
        struct iovec local = { &from, 1 }, remote = { &to, 1 };

        (void)fixture;
        return result(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

static int take_descriptor(struct fixture *fixture) {
        int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

        REQUIRE(pidfd >= 0);
        return result(syscall(SYS_pidfd_getfd, pidfd, fixture->tcp, 0));
}

static int unshare_files(struct fixture *fixture) {
        (void)fixture;
        return result(unshare(CLONE_FILES));
}

/* With garbage beside the flag. A user namespace needs no privilege. */
static int clone_namespace(struct fixture *fixture) {
        long r = syscall(SYS_clone, (1L << 40) | CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

        (void)fixture;
        if (r == 0)
                _exit(0);
        return result(r);
}

static int clone_by_structure(struct fixture *fixture) {
        struct clone_args arguments = { .exit_signal = SIGCHLD };
        long r = syscall(SYS_clone3, &arguments, sizeof(arguments));

        (void)fixture;
        if (r == 0)
                _exit(0);
        return result(r);
}

static int ask_keyring(struct fixture *fixture) {
        (void)fixture;
        return result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1));
}

static int signal_parent(struct fixture *fixture) {
        (void)fixture;
        return result(kill(getppid(), 0));
}

#ifdef __x86_64__
/* The x32 ABI's getpid: ENOSYS on kernels that are built without it. */
static int call_x32(struct fixture *fixture) {
        (void)fixture;
        (void)syscall(0x40000000 | SYS_getpid);
        return WORKED;
}

/* i386's getpid. */
static int call_i386(struct fixture *fixture) {
        long r;

        (void)fixture;
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
        return r > 0 ? WORKED : ENOSYS;
}
#endif

static const struct escape {
        const char *name;
        void (*prepare)(struct fixture *);
        int (*attempt)(struct fixture *);
        int before;
        int after;
} escapes[] = {
        { "abuse 1: connect(AF_UNSPEC)", NULL, connect_unspec, WORKED, EPERM },
        { "abuse 1: connect elsewhere", disconnect, reconnect, WORKED, EPERM },
        { "abuse 2: connect a UDP socket elsewhere", NULL, reconnect_udp, WORKED, EPERM },
        { "abuse 2: sendto", NULL, sendto_stranger, WORKED, EPERM },
        { "abuse 2: sendmmsg", NULL, sendmmsg_stranger, WORKED, EPERM },
        { "abuse 3: bind", disconnect, bind_again, WORKED, EPERM },
        { "abuse 3: listen without bind", disconnect, listen_implicitly, WORKED, EPERM },
        { "sendto MSG_FASTOPEN", disconnect, sendto_fastopen, WORKED, EPERM },
        { "sendmsg MSG_FASTOPEN", disconnect, sendmsg_fastopen, WORKED, EPERM },
        { "socket AF_INET", NULL, new_tcp_socket, WORKED, EPERM },
        { "socket AF_UNIX", NULL, new_unix_socket, WORKED, EPERM },
        { "socketpair SOCK_DGRAM", NULL, datagram_pair, WORKED, EPERM },
        { "socketpair SOCK_RAW", NULL, raw_pair, WORKED, EPERM },
        { "socketpair, garbage above the type", NULL, datagram_pair_with_garbage, WORKED, EPERM },
        { "io_uring_setup", NULL, uring, WORKED, EPERM },
        { "SO_BINDTODEVICE", NULL, bind_to_device, WORKED, EPERM },
        { "SO_BINDTODEVICE, garbage above", NULL, bind_to_device_with_garbage, WORKED, EPERM },
        { "IPV6_RTHDR", NULL, routing_header, WORKED, EPERM },
        { "SO_REUSEPORT", NULL, reuse_port, WORKED, EPERM },
        { "IP_FREEBIND", NULL, free_bind, WORKED, EPERM },
        { "TCP_FASTOPEN_CONNECT", disconnect, fastopen_connect, WORKED, EPERM },
        { "SIOCGIFCONF", NULL, list_interfaces, WORKED, EPERM },
        { "SIOCGIFCONF, garbage above", NULL, list_interfaces_with_garbage, WORKED, EPERM },
        { "TIOCSTI", NULL, push_input, ENOTTY, EPERM },
        { "open outside", NULL, open_elsewhere, WORKED, EACCES },
        { "open by ..", NULL, open_by_dots, WORKED, EACCES },
        { "open by a symlink", NULL, open_by_symlink, WORKED, EACCES },
        { "write where reading is granted", NULL, write_to_readable, WORKED, EACCES },
        { "make a socket's file", NULL, make_unix_socket_file, WORKED, EACCES },
        { "execute a program", NULL, execute, WORKED, EACCES },
        { "ptrace", NULL, trace, WORKED, EPERM },
        { "process_vm_readv", NULL, read_process, WORKED, EPERM },
        { "process_vm_writev", NULL, write_process, WORKED, EPERM },
        { "pidfd_getfd", NULL, take_descriptor, WORKED, EPERM },
        { "unshare", NULL, unshare_files, WORKED, EPERM },
        { "clone3", NULL, clone_by_structure, WORKED, ENOSYS },
        { "clone CLONE_NEWUSER", NULL, clone_namespace, WORKED, EPERM },
        { "keyctl", NULL, ask_keyring, WORKED, EPERM },
#ifdef __x86_64__
        { "x32", NULL, call_x32, WORKED, KILLED_BY_SIGSYS },
        { "i386", NULL, call_i386, WORKED, KILLED_BY_SIGSYS },
#endif
};

START_TEST(escape_works_without_the_walls_and_not_behind_them) {
        const struct escape *escape = &escapes[_i];

        ck_assert_msg(run(escape->prepare, escape->attempt, false) == escape->before, "%s: not as expected before",
                      escape->name);
        ck_assert_msg(run(escape->prepare, escape->attempt, true) == escape->after, "%s: not as expected after",
                      escape->name);
}
END_TEST

/* What the walls are made of depends on the kernel: this one needs Landlock's ABI 6. */
static int signal_parent_if_scoped(struct fixture *fixture) {
        int walls = lock_down(fixture);

        REQUIRE(walls > 0);
        return walls & NB_WALL_SCOPES ? signal_parent(fixture) : EPERM;
}

START_TEST(signals_stay_inside) {
        ck_assert_int_eq(run(NULL, signal_parent, false), WORKED);
        ck_assert_int_eq(run(NULL, signal_parent_if_scoped, false), EPERM);
}
END_TEST

/* ---- threads ---- */

struct early_thread {
        int go[2];
        int result;
};

static void *try_socket(void *data) {
        struct early_thread *thread = data;
        char byte;

        REQUIRE(read(thread->go[0], &byte, 1) == 1);
        thread->result = result(socket(AF_INET, SOCK_STREAM, 0));
        return NULL;
}

static int socket_in_early_thread(struct fixture *fixture) {
        struct early_thread thread = { .result = -1 };
        pthread_t id;

        REQUIRE(pipe2(thread.go, O_CLOEXEC) == 0);
        REQUIRE(pthread_create(&id, NULL, try_socket, &thread) == 0);
        REQUIRE(lock_down(fixture) > 0);
        REQUIRE(write(thread.go[1], "x", 1) == 1);
        REQUIRE(pthread_join(id, NULL) == 0);
        return thread.result;
}

START_TEST(threads_that_exist_are_locked_down) {
        ck_assert_int_eq(run(NULL, socket_in_early_thread, false), EPERM);
}
END_TEST

/* ---- what goes on working ---- */

#define MUST(condition)                                                                                                \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno));                   \
                        return 1;                                                                                      \
                }                                                                                                      \
        } while (0)

static int move_bytes(struct fixture *fixture) {
        char buffer[16];
        struct iovec iov = { buffer, sizeof(buffer) };
        struct iovec out = { (char[]){ "abc" }, 3 };
        struct msghdr in_message = { .msg_iov = &iov, .msg_iovlen = 1 };
        struct msghdr out_message = { .msg_iov = &out, .msg_iovlen = 1 };
        struct pollfd ready = { .fd = fixture->peer, .events = POLLIN };
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN };

        MUST(send(fixture->tcp, "a", 1, MSG_NOSIGNAL) == 1);
        MUST(poll(&ready, 1, -1) == 1);
        MUST(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fixture->peer, &event) == 0);
        MUST(epoll_wait(epoll, &event, 1, -1) == 1);
        MUST(recv(fixture->peer, buffer, sizeof(buffer), 0) == 1);
        MUST(write(fixture->tcp, "b", 1) == 1 && read(fixture->peer, buffer, sizeof(buffer)) == 1);
        MUST(writev(fixture->tcp, &out, 1) == 3 && readv(fixture->peer, &iov, 1) == 3);
        MUST(sendmsg(fixture->tcp, &out_message, MSG_NOSIGNAL) == 3 && recvmsg(fixture->peer, &in_message, 0) == 3);
        MUST(send(fixture->udp, "d", 1, 0) == 1 && recv(fixture->udp_peer, buffer, sizeof(buffer), 0) == 1);
        MUST(fcntl(fixture->tcp, F_SETFL, O_NONBLOCK) == 0);
        MUST(ioctl(fixture->tcp, FIONREAD, &(int){ 0 }) == 0);
        MUST(shutdown(fixture->tcp, SHUT_WR) == 0 && recv(fixture->peer, buffer, sizeof(buffer), 0) == 0);
        MUST(close(fixture->tcp) == 0 && close(epoll) == 0);
        return 0;
}

static int set_options(struct fixture *fixture) {
        static const struct {
                int level;
                int name;
        } allowed[] = {
                { SOL_SOCKET, SO_SNDBUF },          { SOL_SOCKET, SO_RCVBUF },     { SOL_SOCKET, SO_KEEPALIVE },
                { SOL_SOCKET, SO_OOBINLINE },       { SOL_SOCKET, SO_RCVLOWAT },   { IPPROTO_TCP, TCP_NODELAY },
                { IPPROTO_TCP, TCP_CORK },          { IPPROTO_TCP, TCP_KEEPIDLE }, { IPPROTO_TCP, TCP_KEEPINTVL },
                { IPPROTO_TCP, TCP_KEEPCNT },       { IPPROTO_TCP, TCP_QUICKACK }, { IPPROTO_TCP, TCP_USER_TIMEOUT },
                { IPPROTO_TCP, TCP_NOTSENT_LOWAT },
        };
        struct linger linger = { 0 };
        struct timeval timeout = { .tv_sec = 1 };
        socklen_t length = sizeof(int);

        for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); ++i)
                MUST(setsockopt(fixture->tcp, allowed[i].level, allowed[i].name, &(int){ 1 }, sizeof(int)) == 0);
        MUST(setsockopt(fixture->tcp, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
        MUST(setsockopt(fixture->tcp, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
        MUST(setsockopt(fixture->tcp, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0);
        MUST(getsockopt(fixture->tcp, SOL_SOCKET, SO_ERROR, &(int){ 0 }, &length) == 0);
        return 0;
}

static int pass_descriptors(struct fixture *fixture) {
        static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

        for (size_t i = 0; i < 2; ++i) {
                union {
                        char bytes[CMSG_SPACE(sizeof(int))];
                        struct cmsghdr alignment;
                } control = { .bytes = { 0 } };
                char byte = 'x';
                struct iovec iov = { &byte, 1 };
                struct msghdr message = { .msg_iov = &iov,
                                          .msg_iovlen = 1,
                                          .msg_control = control.bytes,
                                          .msg_controllen = sizeof(control.bytes) };
                struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
                int pair[2];

                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(cmsg), &fixture->peer, sizeof(int));
                MUST(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
                MUST(sendmsg(pair[0], &message, MSG_NOSIGNAL) == 1);
                MUST(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) == 1 && !(message.msg_flags & MSG_CTRUNC));
        }
        return 0;
}

static int use_files(struct fixture *fixture) {
        char path[128], other[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/file", fixture->readable);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        MUST(fd >= 0 && read(fd, other, sizeof(other)) == 4);
        close(fd);
        fd = open(fixture->readable, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        MUST(fd >= 0);
        close(fd);
        (void)snprintf(path, sizeof(path), "%s/new", fixture->writable);
        (void)snprintf(other, sizeof(other), "%s/folder", fixture->writable);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        MUST(fd >= 0 && write(fd, "text", 4) == 4 && ftruncate(fd, 2) == 0 && close(fd) == 0);
        MUST(mkdir(other, 0700) == 0 && rmdir(other) == 0);
        MUST(rename(path, other) == 0 && truncate(other, 0) == 0 && unlink(other) == 0);
        return 0;
}

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

static int use_process(void) {
        struct timespec time;
        pthread_t thread;
        pid_t child;
        int status;
        char byte;

        MUST(pthread_create(&thread, NULL, do_nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
        MUST(clock_gettime(CLOCK_MONOTONIC, &time) == 0 && clock_gettime(CLOCK_REALTIME, &time) == 0);
        MUST(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = 1 }, NULL) == 0);
        MUST(getrandom(&byte, 1, 0) == 1);
        child = fork();
        MUST(child >= 0);
        if (child == 0)
                _exit(7);
        MUST(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
        return run_code();
}

static int use_all(struct fixture *fixture) {
        int fd;

        if (set_options(fixture) || pass_descriptors(fixture) || use_files(fixture) || use_process())
                return 1;
        MUST(fcntl(fixture->listener, F_SETFL, O_NONBLOCK) == 0);
        fd = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
        MUST(fd < 0 && errno == EAGAIN);
        return move_bytes(fixture);
}

START_TEST(what_a_host_needs_goes_on_working) {
        ck_assert_int_eq(run(NULL, use_all, false), 0);
        ck_assert_int_eq(run(NULL, use_all, true), 0);
}
END_TEST

/* sealing.md says so: the address of sendmsg is in memory. If a kernel ever stops it, the documentation must change. */
static int sendmsg_stranger(struct fixture *fixture) {
        struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
        struct msghdr message = { .msg_name = &fixture->stranger_address,
                                  .msg_namelen = sizeof(fixture->stranger_address),
                                  .msg_iov = &iov,
                                  .msg_iovlen = 1 };

        return result(sendmsg(fixture->udp, &message, 0));
}

START_TEST(sendmsg_with_an_address_is_the_hole_that_is_documented) {
        ck_assert_int_eq(run(NULL, sendmsg_stranger, true), WORKED);
}
END_TEST

/* ---- options and results ---- */

static int with_options(const struct nb_lockdown_options *options) {
        int walls = nb_lockdown(options);

        return walls < 0 ? -walls : 0;
}

static int with_directory(struct nb_lockdown_directory directory) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        options.directories = &directory;
        options.n_directories = 1;
        return with_options(&options);
}

static int bad_size(struct fixture *fixture) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        (void)fixture;
        options.size--;
        return with_options(&options);
}

static int newer_options(struct fixture *fixture) {
        struct {
                struct nb_lockdown_options options;
                uint64_t field;
        } newer = { NB_LOCKDOWN_OPTIONS_INIT, 1 };

        (void)fixture;
        newer.options.size = sizeof(newer);
        if (with_options(&newer.options) != EINVAL)
                return 1;
        newer.field = 0;
        return with_options(&newer.options);
}

static int bad_flags(struct fixture *fixture) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        (void)fixture;
        options.flags = 0x80;
        return with_options(&options);
}

static int bad_array(struct fixture *fixture) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        (void)fixture;
        options.n_directories = 1;
        return with_options(&options);
}

static int bad_access(struct fixture *fixture) {
        return with_directory((struct nb_lockdown_directory){ .path = fixture->readable });
}

static int no_directory(struct fixture *fixture) {
        (void)fixture;
        return with_directory((struct nb_lockdown_directory){ .path = "/nonexistent", .access = NB_LOCKDOWN_READ });
}

static int no_descriptor(struct fixture *fixture) {
        (void)fixture;
        return with_directory((struct nb_lockdown_directory){ .fd = -1, .access = NB_LOCKDOWN_READ });
}

static int file_as_directory(struct fixture *fixture) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/file", fixture->readable);
        return with_directory((struct nb_lockdown_directory){ .path = path, .access = NB_LOCKDOWN_READ });
}

static int twice(struct fixture *fixture) {
        (void)fixture;
        return with_options(NULL) ? 1 : with_options(NULL);
}

static const struct {
        int (*attempt)(struct fixture *);
        int expected;
} results[] = {
        { bad_size, EINVAL },     { newer_options, 0 },           { bad_flags, EINVAL },
        { bad_array, EINVAL },    { bad_access, EINVAL },         { no_directory, ENOENT },
        { no_descriptor, EBADF }, { file_as_directory, ENOTDIR }, { twice, 0 },
};

START_TEST(options_are_checked) {
        ck_assert_int_eq(run(NULL, results[_i].attempt, false), results[_i].expected);
}
END_TEST

/* Plays a kernel without Landlock. */
static void hide_landlock(struct fixture *fixture) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

        (void)fixture;
        REQUIRE(filter);
        REQUIRE(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(landlock_create_ruleset), 0) == 0);
        REQUIRE(seccomp_load(filter) == 0);
        seccomp_release(filter);
}

static int strict(struct fixture *fixture) {
        (void)fixture;
        return with_options(NULL);
}

static int best_effort(struct fixture *fixture) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        (void)fixture;
        options.flags = NB_LOCKDOWN_BEST_EFFORT;
        if (nb_lockdown(&options) != NB_WALL_SECCOMP)
                return 1;
        return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 1;
}

START_TEST(a_kernel_without_landlock_is_an_error_unless_best_effort) {
        ck_assert_int_eq(run(hide_landlock, strict, false), EOPNOTSUPP);
        ck_assert_int_eq(run(hide_landlock, best_effort, false), EPERM);
}
END_TEST

static int count_fds(void) {
        int n = 0;

        for (int fd = 0; fd < 1024; ++fd)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static int leak(struct fixture *fixture) {
        int before = count_fds();

        return lock_down(fixture) > 0 && count_fds() == before ? 0 : 1;
}

START_TEST(no_descriptor_is_left_open) {
        ck_assert_int_eq(run(NULL, leak, false), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lockdown");
        TCase *tcase = tcase_create("lockdown");
        SRunner *runner;
        int failed;

        tcase_set_timeout(tcase, 30);
        tcase_add_loop_test(tcase, escape_works_without_the_walls_and_not_behind_them, 0,
                            (int)(sizeof(escapes) / sizeof(escapes[0])));
        tcase_add_test(tcase, signals_stay_inside);
        tcase_add_test(tcase, threads_that_exist_are_locked_down);
        tcase_add_test(tcase, what_a_host_needs_goes_on_working);
        tcase_add_test(tcase, sendmsg_with_an_address_is_the_hole_that_is_documented);
        tcase_add_loop_test(tcase, options_are_checked, 0, (int)(sizeof(results) / sizeof(results[0])));
        tcase_add_test(tcase, a_kernel_without_landlock_is_an_error_unless_best_effort);
        tcase_add_test(tcase, no_descriptor_is_left_open);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
