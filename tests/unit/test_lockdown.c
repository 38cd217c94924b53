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
#include <linux/fs.h>
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
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/lockdown.h"

/* What a child tells by its exit status: an errno, or one of these. */
#define WORKED 0
#define SETUP_FAILED 250
#define KILLED_BY_SIGSYS 251
#define KILLED_BY_SIGABRT 252

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
        int pidfd;         /* of the process itself, if it is prepared */
        pid_t neighbour;   /* a child that lives until its end of a pipe is closed, if it is prepared */
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

static void open_process(struct fixture *fixture) {
        fixture->pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        REQUIRE(fixture->pidfd >= 0);
}

static int take_descriptor(struct fixture *fixture) {
        return result(syscall(SYS_pidfd_getfd, fixture->pidfd, fixture->tcp, 0));
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

/* ---- files beyond their content ---- */

static const char *hidden_file(const struct fixture *fixture, char ret[static 128]) {
        (void)snprintf(ret, 128, "%s/file", fixture->hidden);
        return ret;
}

static int change_mode(struct fixture *fixture) {
        char path[128];

        return result(chmod(hidden_file(fixture, path), 0755));
}

static int change_mode_at(struct fixture *fixture) {
        char path[128];

        return result(fchmodat(AT_FDCWD, hidden_file(fixture, path), 0755, 0));
}

/* What is only read can be changed by its descriptor. */
static int change_mode_of_descriptor(struct fixture *fixture) {
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/file", fixture->readable);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        REQUIRE(fd >= 0);
        return result(fchmod(fd, 0));
}

static int change_owner(struct fixture *fixture) {
        char path[128];

        return result(chown(hidden_file(fixture, path), getuid(), getgid()));
}

static int change_owner_at(struct fixture *fixture) {
        char path[128];

        return result(fchownat(AT_FDCWD, hidden_file(fixture, path), getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
}

/* On a socket it is no more than ENOTTY. */
static int change_flags(struct fixture *fixture) {
        return result(ioctl(fixture->tcp, FS_IOC_SETFLAGS, &(int){ 0 }));
}

static int truncate_elsewhere(struct fixture *fixture) {
        char path[128];

        return result(truncate(hidden_file(fixture, path), 0));
}

/* ---- other processes ---- */

/* Not a child of the walls: forked before, and so outside of Landlock's domain. */
static void fork_neighbour(struct fixture *fixture) {
        int ends[2];
        char byte;

        REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
        fixture->neighbour = fork();
        REQUIRE(fixture->neighbour >= 0);
        if (fixture->neighbour > 0) {
                close(ends[0]);
                return; /* the other end closes when this process ends */
        }
        close(ends[1]);
        _exit((int)read(ends[0], &byte, 1));
}

static int signal_neighbour(struct fixture *fixture) {
        return result(kill(fixture->neighbour, 0));
}

static int signal_neighbours_thread(struct fixture *fixture) {
        return result(syscall(SYS_tgkill, fixture->neighbour, fixture->neighbour, 0));
}

static int signal_thread_id(struct fixture *fixture) {
        return result(syscall(SYS_tkill, fixture->neighbour, 0));
}

static int signal_group(struct fixture *fixture) {
        (void)fixture;
        return result(kill(0, 0));
}

static int signal_by_pidfd(struct fixture *fixture) {
        return result(syscall(SYS_pidfd_send_signal, fixture->pidfd, 0, NULL, 0));
}

static int limit_neighbour(struct fixture *fixture) {
        struct rlimit limit = { 3, 3 };

        return result(prlimit(fixture->neighbour, RLIMIT_NOFILE, &limit, NULL));
}

static int slow_neighbour(struct fixture *fixture) {
        return result(setpriority(PRIO_PROCESS, (id_t)fixture->neighbour, 19));
}

static int schedule_neighbour(struct fixture *fixture) {
        struct sched_param parameters = { 0 };

        return result(sched_setscheduler(fixture->neighbour, SCHED_BATCH, &parameters));
}

static int pin_neighbour(struct fixture *fixture) {
        cpu_set_t processors;

        REQUIRE(sched_getaffinity(0, sizeof(processors), &processors) == 0);
        return result(sched_setaffinity(fixture->neighbour, sizeof(processors), &processors));
}

static int own_by_neighbour(struct fixture *fixture) {
        return result(fcntl(fixture->tcp, F_SETOWN, fixture->neighbour));
}

static int own_by_ioctl(struct fixture *fixture) {
        return result(ioctl(fixture->tcp, FIOSETOWN, &fixture->neighbour));
}

static int choose_signal(struct fixture *fixture) {
        return result(fcntl(fixture->tcp, F_SETSIG, SIGKILL));
}

/* ---- more of ioctl ---- */

/* SIOCGSTAMP_NEW, which has a size and a direction. There is no stamp to get. */
static int get_stamp(struct fixture *fixture) {
        char stamp[16];

        return result(ioctl(fixture->udp, _IOC(_IOC_READ, 0x89, 0x06, sizeof(stamp)), stamp));
}

static int set_line_discipline(struct fixture *fixture) {
        return result(ioctl(fixture->tcp, TIOCSETD, &(int){ 0 }));
}

static int take_console(struct fixture *fixture) {
        return result(ioctl(fixture->tcp, TIOCCONS));
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
        { "execute a program", NULL, execute, WORKED, EPERM },
        { "ptrace", NULL, trace, WORKED, EPERM },
        { "process_vm_readv", NULL, read_process, WORKED, EPERM },
        { "process_vm_writev", NULL, write_process, WORKED, EPERM },
        { "pidfd_getfd", open_process, take_descriptor, WORKED, EPERM },
        { "unshare", NULL, unshare_files, WORKED, EPERM },
        { "clone3", NULL, clone_by_structure, WORKED, ENOSYS },
        { "clone CLONE_NEWUSER", NULL, clone_namespace, WORKED, EPERM },
        { "keyctl", NULL, ask_keyring, WORKED, EPERM },
        { "chmod", NULL, change_mode, WORKED, EPERM },
        { "fchmodat", NULL, change_mode_at, WORKED, EPERM },
        { "fchmod of what is readable", NULL, change_mode_of_descriptor, WORKED, EPERM },
        { "chown", NULL, change_owner, WORKED, EPERM },
        { "fchownat", NULL, change_owner_at, WORKED, EPERM },
        { "FS_IOC_SETFLAGS", NULL, change_flags, ENOTTY, EPERM },
        { "truncate", NULL, truncate_elsewhere, WORKED, EPERM },
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
        { "SIOCGSTAMP_NEW", NULL, get_stamp, ENOENT, EPERM },
        { "TIOCSETD", NULL, set_line_discipline, ENOTTY, EPERM },
        { "TIOCCONS", NULL, take_console, ENOTTY, EPERM },
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
};

static bool is_refused(long number) {
        return syscall(number, -1L, -1L, -1L, -1L, -1L, -1L) < 0 && errno == EPERM;
}

static int count_refused(struct fixture *fixture) {
        int n = 0;

        (void)fixture;
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i)
                n += is_refused(calls[i].number);
        return n;
}

static int count_not_refused(struct fixture *fixture) {
        int n = 0;

        (void)fixture;
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
                if (is_refused(calls[i].number))
                        continue;
                fprintf(stderr, "%s is not refused\n", calls[i].name);
                n++;
        }
        return n;
}

START_TEST(calls_are_refused_whatever_they_say) {
        ck_assert_int_eq(run(NULL, count_refused, false), 0);
        ck_assert_int_eq(run(NULL, count_not_refused, true), 0);
}
END_TEST

/* ---- calls that are not known yet ---- */

static void fail_calls(const int *numbers, size_t n_numbers, int error) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

        REQUIRE(filter);
        for (size_t i = 0; i < n_numbers; ++i)
                REQUIRE(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), numbers[i], 0) == 0);
        REQUIRE(seccomp_load(filter) == 0);
        seccomp_release(filter);
}

static const int later_calls[] = { 471, 500, 1023, 1024, 0x3fffffff };

/* Plays a kernel that knows them. */
static void invent_calls(struct fixture *fixture) {
        (void)fixture;
        fail_calls(later_calls, sizeof(later_calls) / sizeof(later_calls[0]), EDOM);
}

static int call_later_calls(struct fixture *fixture) {
        int first = 0;

        (void)fixture;
        for (size_t i = 0; i < sizeof(later_calls) / sizeof(later_calls[0]); ++i) {
                int error = result(syscall(later_calls[i]));

                REQUIRE(first == 0 || error == first);
                first = error;
        }
        return first;
}

START_TEST(calls_of_later_kernels_do_not_exist) {
        ck_assert_int_eq(run(invent_calls, call_later_calls, false), EDOM);
        ck_assert_int_eq(run(invent_calls, call_later_calls, true), ENOSYS);
}
END_TEST

/* ---- an older kernel ---- */

#ifdef __x86_64__
static void answer_abi(int signal, siginfo_t *info, void *data) {
        ucontext_t *context = data;

        (void)signal;
        (void)info;
        context->uc_mcontext.gregs[REG_RAX] = 2;
}

/* Plays a kernel whose Landlock does not know truncation: its ABI, which is asked for by a flag, is 2. */
static void age_landlock(struct fixture *fixture) {
        struct sigaction action = { .sa_sigaction = answer_abi, .sa_flags = SA_SIGINFO };
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

        (void)fixture;
        REQUIRE(filter && sigaction(SIGSYS, &action, NULL) == 0);
        REQUIRE(seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(landlock_create_ruleset), 1,
                                 SCMP_A2(SCMP_CMP_EQ, 1, 0)) == 0);
        REQUIRE(seccomp_load(filter) == 0);
        seccomp_release(filter);
}

static int open_with(const char *folder, int flags) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/file", folder);
        return result(openat(AT_FDCWD, path, flags | O_CLOEXEC));
}

static int truncate_by_reading(struct fixture *fixture) {
        return open_with(fixture->readable, O_RDONLY | O_TRUNC);
}

static int truncate_by_neither(struct fixture *fixture) {
        return open_with(fixture->readable, O_ACCMODE | O_TRUNC);
}

static int open_by_structure(struct fixture *fixture) {
        struct {
                uint64_t flags, mode, resolve;
        } how = { O_RDONLY | O_TRUNC, 0, 0 };

        return result(syscall(SYS_openat2, AT_FDCWD, fixture->readable, &how, sizeof(how)));
}

static int truncate_by_writing(struct fixture *fixture) {
        REQUIRE(open_with(fixture->readable, O_RDONLY) == WORKED);
        return open_with(fixture->writable, O_WRONLY | O_TRUNC);
}

START_TEST(an_older_kernel_truncates_nothing_that_is_read) {
        ck_assert_int_eq(run(age_landlock, truncate_by_reading, false), WORKED);
        ck_assert_int_eq(run(age_landlock, truncate_by_reading, true), EPERM);
        ck_assert_int_eq(run(age_landlock, truncate_by_neither, false), WORKED);
        ck_assert_int_eq(run(age_landlock, truncate_by_neither, true), EPERM);
        ck_assert_int_eq(run(age_landlock, open_by_structure, false), EISDIR);
        ck_assert_int_eq(run(age_landlock, open_by_structure, true), ENOSYS);
        ck_assert_int_eq(run(age_landlock, truncate_by_writing, true), WORKED);
        ck_assert_int_eq(run(NULL, truncate_by_reading, true), EACCES);
        ck_assert_int_eq(run(NULL, truncate_by_neither, true), EACCES);
}
END_TEST
#endif

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

static int socket_in_early_thread(struct fixture *fixture, void (*lock)(struct fixture *)) {
        struct early_thread thread = { .result = -1 };
        pthread_t id;

        REQUIRE(pipe2(thread.go, O_CLOEXEC) == 0);
        REQUIRE(pthread_create(&id, NULL, try_socket, &thread) == 0);
        lock(fixture);
        REQUIRE(write(thread.go[1], "x", 1) == 1);
        REQUIRE(pthread_join(id, NULL) == 0);
        return thread.result;
}

/* Landlock stands around this thread only, so that none of its walls is told of. */
static void lock_down_what_can_be(struct fixture *fixture) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;
        char path[128];

        options.flags = NB_LOCKDOWN_BEST_EFFORT;
        REQUIRE(nb_lockdown(&options) == NB_WALL_SECCOMP);
        (void)snprintf(path, sizeof(path), "%s/file", fixture->hidden);
        REQUIRE(open(path, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
}

/* Nothing has been done when it is refused, and the next call, alone, goes through. */
static void be_busy(struct fixture *fixture) {
        REQUIRE(lock_down(fixture) == -EBUSY);
        REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
        REQUIRE(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
}

static int lock_down_beside_thread(struct fixture *fixture) {
        return socket_in_early_thread(fixture, lock_down_what_can_be);
}

static int be_busy_beside_thread(struct fixture *fixture) {
        int error = socket_in_early_thread(fixture, be_busy);

        return error == WORKED && lock_down(fixture) < 0 ? SETUP_FAILED : error;
}

START_TEST(threads_that_exist_are_an_error_unless_best_effort) {
        ck_assert_int_eq(run(NULL, be_busy_beside_thread, false), WORKED);
        ck_assert_int_eq(run(NULL, lock_down_beside_thread, false), EPERM);
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
        struct stat status;
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
        MUST(rename(path, other) == 0);
        fd = open(other, O_WRONLY | O_TRUNC | O_CLOEXEC);
        MUST(fd >= 0 && futimens(fd, NULL) == 0 && fstat(fd, &status) == 0 && status.st_size == 0 && close(fd) == 0);
        MUST(unlink(other) == 0);
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

static int use_all(struct fixture *fixture) {
        int fd;

        if (set_options(fixture) || pass_descriptors(fixture) || use_files(fixture) || use_process() || use_signals())
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

static void *abort_here(void *data) {
        (void)data;
        abort();
}

static int abort_in_thread(struct fixture *fixture) {
        struct sigaction action = { .sa_handler = SIG_DFL };
        pthread_t thread;

        (void)fixture;
        REQUIRE(sigaction(SIGABRT, &action, NULL) == 0);
        REQUIRE(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 }) == 0);
        REQUIRE(pthread_create(&thread, NULL, abort_here, NULL) == 0);
        (void)pthread_join(thread, NULL);
        return WORKED;
}

START_TEST(abort_in_a_thread_ends_the_process) {
        ck_assert_int_eq(run(NULL, abort_in_thread, false), KILLED_BY_SIGABRT);
        ck_assert_int_eq(run(NULL, abort_in_thread, true), KILLED_BY_SIGABRT);
}
END_TEST

/* The header says that these are not covered: who needs them is WASI. */
static int touch_elsewhere(struct fixture *fixture) {
        struct stat status;
        char path[128];

        (void)hidden_file(fixture, path);
        REQUIRE(stat(path, &status) == 0 && access(path, R_OK) == 0);
        return result(utimensat(AT_FDCWD, path, NULL, 0));
}

START_TEST(times_and_status_are_the_hole_that_is_documented) {
        ck_assert_int_eq(run(NULL, touch_elsewhere, true), WORKED);
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

/* Plays a machine where /proc is not mounted, as far as nb_lockdown() looks there. */
static void hide_proc(struct fixture *fixture) {
        static const int calls_of_stat[] = { SCMP_SYS(stat), SCMP_SYS(newfstatat), SCMP_SYS(statx) };

        (void)fixture;
        fail_calls(calls_of_stat, sizeof(calls_of_stat) / sizeof(calls_of_stat[0]), ENOENT);
}

/* And a container that does not let one ask in the other way. */
static void hide_threads(struct fixture *fixture) {
        hide_proc(fixture);
        fail_calls((const int[]){ SCMP_SYS(unshare) }, 1, EPERM);
}

static void *wait_for_end(void *data) {
        char byte;

        (void)!read(*(int *)data, &byte, 1);
        return NULL;
}

static int strict_beside_thread(struct fixture *fixture) {
        pthread_t thread;
        int ends[2];

        (void)fixture;
        REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
        REQUIRE(pthread_create(&thread, NULL, wait_for_end, &ends[0]) == 0);
        return with_options(NULL); /* the thread ends with the process */
}

START_TEST(threads_are_counted_without_proc) {
        ck_assert_int_eq(run(hide_proc, strict, false), WORKED);
        ck_assert_int_eq(run(hide_proc, strict_beside_thread, false), EBUSY);
        ck_assert_int_eq(run(hide_threads, strict, false), EBUSY);
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
        tcase_add_test(tcase, calls_are_refused_whatever_they_say);
        tcase_add_test(tcase, calls_of_later_kernels_do_not_exist);
#ifdef __x86_64__
        tcase_add_test(tcase, an_older_kernel_truncates_nothing_that_is_read);
#endif
        tcase_add_test(tcase, threads_that_exist_are_an_error_unless_best_effort);
        tcase_add_test(tcase, what_a_host_needs_goes_on_working);
        tcase_add_test(tcase, abort_in_a_thread_ends_the_process);
        tcase_add_test(tcase, times_and_status_are_the_hole_that_is_documented);
        tcase_add_test(tcase, sendmsg_with_an_address_is_the_hole_that_is_documented);
        tcase_add_loop_test(tcase, options_are_checked, 0, (int)(sizeof(results) / sizeof(results[0])));
        tcase_add_test(tcase, a_kernel_without_landlock_is_an_error_unless_best_effort);
        tcase_add_test(tcase, threads_are_counted_without_proc);
        tcase_add_test(tcase, no_descriptor_is_left_open);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
