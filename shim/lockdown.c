/* SPDX-License-Identifier: Apache-2.0 */
#include "netbroker/lockdown.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/options.h"

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Landlock ---- */

/* The kernel's interface up to ABI 6, which the headers of older distributions do not have. The numbers are fixed. */
#define FS_REFER (UINT64_C(1) << 13)     /* ABI 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define FS_ABI_1 ((UINT64_C(1) << 13) - 1)
#define NET_BIND_TCP (UINT64_C(1) << 0)               /* ABI 4 */
#define NET_CONNECT_TCP (UINT64_C(1) << 1)            /* ABI 4 */
#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0) /* ABI 6 */
#define SCOPE_SIGNAL (UINT64_C(1) << 1)               /* ABI 6 */

/* struct landlock_ruleset_attr as of ABI 6. A kernel that knows less of it takes the rest when it is zero. */
struct ruleset {
        uint64_t handled_access_fs;
        uint64_t handled_access_net;
        uint64_t scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_READ_WRITE                                                                                                  \
        (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |    \
         LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | FS_REFER |          \
         FS_TRUNCATE)

/* All that this kernel can restrict is restricted; what is not granted below a directory is refused. */
static int describe_ruleset(int abi, struct ruleset *ret) {
        int walls = NB_WALL_FILES;

        *ret = (struct ruleset){ .handled_access_fs = FS_ABI_1 };
        if (abi >= 2)
                ret->handled_access_fs |= FS_REFER;
        if (abi >= 3)
                ret->handled_access_fs |= FS_TRUNCATE;
        if (abi >= 5)
                ret->handled_access_fs |= FS_IOCTL_DEV;
        if (abi >= 4) {
                ret->handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP;
                walls |= NB_WALL_TCP;
        }
        if (abi >= 6) {
                ret->scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
                walls |= NB_WALL_SCOPES;
        }
        return walls;
}

static int grant_fd(int ruleset_fd, const struct ruleset *ruleset, int fd, enum nb_lockdown_access access) {
        uint64_t wanted = access == NB_LOCKDOWN_READ_WRITE ? FS_READ_WRITE : FS_READ;
        struct landlock_path_beneath_attr rule = {
                .allowed_access = wanted & ruleset->handled_access_fs,
                .parent_fd = fd,
        };

        if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
                return -errno;
        return 0;
}

static int grant_directory(int ruleset_fd, const struct ruleset *ruleset,
                           const struct nb_lockdown_directory *directory) {
        int fd NB_CLEANUP_FD = -1;

        if (!directory->path)
                return grant_fd(ruleset_fd, ruleset, directory->fd, directory->access);
        fd = open(directory->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return grant_fd(ruleset_fd, ruleset, fd, directory->access);
}

/* 0 or a negative errno: the kernel has none. */
static int landlock_abi(void) {
        int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

        return abi < 0 ? -errno : abi;
}

/* Returns the walls that stand then. */
static int restrict_self(const struct nb_lockdown_options *options, int abi) {
        struct ruleset ruleset;
        int ruleset_fd NB_CLEANUP_FD = -1;
        int walls;

        if (abi < 0)
                return abi;
        walls = describe_ruleset(abi, &ruleset);
        ruleset_fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
        if (ruleset_fd < 0)
                return -errno;
        if (fcntl(ruleset_fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        for (size_t i = 0; i < options->n_directories; ++i) {
                int r = grant_directory(ruleset_fd, &ruleset, &options->directories[i]);

                if (r < 0)
                        return r;
        }
        return syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0 ? -errno : walls;
}

/* ---- seccomp ---- */

/*
 * The kernel reads an int argument from the low half of a register, the filter sees all of it. So what is refused for a
 * value is compared under a mask of the low half: garbage above it must not hide the value.
 */
#define LOW UINT32_MAX
#define IOCTL_NAME 0xffffu /* of a request: its type and number, without the size and direction above */

/*
 * From number 424 on, a system call has the same number on nearly all architectures, and headers of a distribution are
 * older than the kernels that it runs on. libseccomp leaves out, without a word, the names that the headers lack; so
 * later calls are here by number.
 */
#if SYS_landlock_restrict_self != 446
#error "On this architecture the numbers of system calls after landlock_restrict_self are not the ones below."
#endif
#define CALL_PROCESS_MRELEASE 448
#define CALL_FCHMODAT2 452
#define CALL_STATMOUNT 457
#define CALL_LISTMOUNT 458
#define CALL_LSM_SET_SELF_ATTR 460
#define CALL_SETXATTRAT 463
#define CALL_REMOVEXATTRAT 466
#define CALL_OPEN_TREE_ATTR 467
#define CALL_FILE_SETATTR 469
#define CALL_LISTNS 470
#define CALL_NEWEST_JUDGED 470 /* what comes after it is ENOSYS: nobody has looked at it */

/* Refused whatever the arguments are. Names that this architecture does not have are skipped by libseccomp. */
static const int refused_calls[] = {
        /* Sockets are made, bound and connected in the broker. */
        SCMP_SYS(socket),
        SCMP_SYS(connect),
        SCMP_SYS(bind),
        SCMP_SYS(listen),
        SCMP_SYS(socketcall),
        /* The addresses, flags and descriptors of their messages are in memory. send, sendto and write do for a stream. */
        SCMP_SYS(sendmsg),
        SCMP_SYS(sendmmsg),
        /* io_uring does all of this behind seccomp's back. */
        SCMP_SYS(io_uring_setup),
        SCMP_SYS(io_uring_enter),
        SCMP_SYS(io_uring_register),
        /* What files are besides their content: Landlock does not look at it, neither by path nor by descriptor. */
        SCMP_SYS(chmod),
        SCMP_SYS(fchmod),
        SCMP_SYS(fchmodat),
        CALL_FCHMODAT2,
        SCMP_SYS(chown),
        SCMP_SYS(chown32),
        SCMP_SYS(lchown),
        SCMP_SYS(lchown32),
        SCMP_SYS(fchown),
        SCMP_SYS(fchown32),
        SCMP_SYS(fchownat),
        SCMP_SYS(setxattr),
        SCMP_SYS(lsetxattr),
        SCMP_SYS(fsetxattr),
        CALL_SETXATTRAT,
        SCMP_SYS(removexattr),
        SCMP_SYS(lremovexattr),
        SCMP_SYS(fremovexattr),
        CALL_REMOVEXATTRAT,
        CALL_FILE_SETATTR,
        /* Nor at who watches them. */
        SCMP_SYS(inotify_init),
        SCMP_SYS(inotify_init1),
        SCMP_SYS(inotify_add_watch),
        SCMP_SYS(fanotify_init),
        SCMP_SYS(fanotify_mark),
        /* Nor, before its ABI 3, at this. ftruncate needs a descriptor that can write. */
        SCMP_SYS(truncate),
        SCMP_SYS(truncate64),
        /* Other processes; signals and the rest that a process does to itself are below. */
        SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_readv),
        SCMP_SYS(process_vm_writev),
        SCMP_SYS(process_madvise),
        CALL_PROCESS_MRELEASE,
        SCMP_SYS(pidfd_open),
        SCMP_SYS(pidfd_getfd),
        SCMP_SYS(pidfd_send_signal),
        SCMP_SYS(rt_sigqueueinfo),
        SCMP_SYS(rt_tgsigqueueinfo),
        SCMP_SYS(kcmp),
        SCMP_SYS(perf_event_open),
        SCMP_SYS(setpriority),
        SCMP_SYS(ioprio_set),
        SCMP_SYS(sched_setscheduler),
        SCMP_SYS(sched_setattr),
        SCMP_SYS(sched_setparam),
        SCMP_SYS(migrate_pages),
        SCMP_SYS(move_pages),
        /* What processes share by a key or a name of its own kind. shmdt stays, for what was attached before. */
        SCMP_SYS(ipc),
        SCMP_SYS(shmget),
        SCMP_SYS(shmat),
        SCMP_SYS(shmctl),
        SCMP_SYS(semget),
        SCMP_SYS(semop),
        SCMP_SYS(semtimedop),
        SCMP_SYS(semtimedop_time64),
        SCMP_SYS(semctl),
        SCMP_SYS(msgget),
        SCMP_SYS(msgsnd),
        SCMP_SYS(msgrcv),
        SCMP_SYS(msgctl),
        SCMP_SYS(mq_open),
        SCMP_SYS(mq_unlink),
        SCMP_SYS(mq_timedsend),
        SCMP_SYS(mq_timedsend_time64),
        SCMP_SYS(mq_timedreceive),
        SCMP_SYS(mq_timedreceive_time64),
        SCMP_SYS(mq_notify),
        SCMP_SYS(mq_getsetattr),
        /* Programs: a process that is locked down runs no other. */
        SCMP_SYS(execve),
        SCMP_SYS(execveat),
        SCMP_SYS(uselib),
        SCMP_SYS(personality),
        /* Namespaces and mounts. */
        SCMP_SYS(unshare),
        SCMP_SYS(setns),
        CALL_LISTNS,
        SCMP_SYS(mount),
        SCMP_SYS(umount),
        SCMP_SYS(umount2),
        SCMP_SYS(pivot_root),
        SCMP_SYS(chroot),
        SCMP_SYS(open_tree),
        CALL_OPEN_TREE_ATTR,
        SCMP_SYS(move_mount),
        SCMP_SYS(fsopen),
        SCMP_SYS(fsconfig),
        SCMP_SYS(fsmount),
        SCMP_SYS(fspick),
        SCMP_SYS(mount_setattr),
        CALL_STATMOUNT,
        CALL_LISTMOUNT,
        SCMP_SYS(open_by_handle_at),
        SCMP_SYS(quotactl),
        SCMP_SYS(quotactl_fd),
        SCMP_SYS(swapon),
        SCMP_SYS(swapoff),
        SCMP_SYS(acct),
        /* The machine. */
        SCMP_SYS(sethostname),
        SCMP_SYS(setdomainname),
        SCMP_SYS(settimeofday),
        SCMP_SYS(stime),
        SCMP_SYS(clock_settime),
        SCMP_SYS(clock_settime64),
        SCMP_SYS(clock_adjtime),
        SCMP_SYS(clock_adjtime64),
        SCMP_SYS(adjtimex),
        SCMP_SYS(vhangup),
        SCMP_SYS(reboot),
        /* The kernel. */
        SCMP_SYS(bpf),
        SCMP_SYS(userfaultfd),
        SCMP_SYS(keyctl),
        SCMP_SYS(add_key),
        SCMP_SYS(request_key),
        SCMP_SYS(init_module),
        SCMP_SYS(finit_module),
        SCMP_SYS(delete_module),
        SCMP_SYS(create_module),
        SCMP_SYS(kexec_load),
        SCMP_SYS(kexec_file_load),
        SCMP_SYS(iopl),
        SCMP_SYS(ioperm),
        SCMP_SYS(modify_ldt),
        SCMP_SYS(syslog),
        SCMP_SYS(_sysctl),
        SCMP_SYS(nfsservctl),
        CALL_LSM_SET_SELF_ATTR,
};

/* Refused for some values of one argument. */
static const struct {
        int call;
        struct scmp_arg_cmp argument;
} refused_arguments[] = {
        /* Any address at all. */
        { SCMP_SYS(sendto), { 4, SCMP_CMP_NE, 0, 0 } },
        /* Connects while it sends. */
        { SCMP_SYS(sendto), { 3, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN } },
        /* Only Unix pairs, and of those only stream (1) and seqpacket (5): an end of another kind can send to any
         * name. The bits of the type below its flags are x0x1 for these two. */
        { SCMP_SYS(socketpair), { 0, SCMP_CMP_NE, AF_UNIX, 0 } },
        { SCMP_SYS(socketpair), { 1, SCMP_CMP_MASKED_EQ, 0x1, 0x0 } },
        { SCMP_SYS(socketpair), { 1, SCMP_CMP_MASKED_EQ, 0x2, 0x2 } },
        { SCMP_SYS(socketpair), { 1, SCMP_CMP_MASKED_EQ, 0x8, 0x8 } },
        /* Sockets, network interfaces and protocols (type 0x89), wireless extensions (0x8b). Above the type a request
         * may have a size and a direction. */
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, 0xff00, 0x8900 } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, 0xff00, 0x8b00 } },
        /* Input for the terminal's next reader, the console's output, another line discipline. */
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, LOW, TIOCSTI } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, LOW, TIOCCONS } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, LOW, TIOCSETD } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, LOW, 0x541c /* TIOCLINUX */ } },
        /* A file's flags, project, encryption and verity, for which a descriptor that only reads is enough. */
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, IOCTL_NAME, IOCTL_NAME &FS_IOC_SETFLAGS } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, IOCTL_NAME, IOCTL_NAME &FS_IOC_FSSETXATTR } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, IOCTL_NAME, 0x6613 /* FS_IOC_SET_ENCRYPTION_POLICY */ } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, IOCTL_NAME, 0x6685 /* FS_IOC_ENABLE_VERITY */ } },
        /* Signals to others, sent by a descriptor that becomes ready. */
        { SCMP_SYS(fcntl), { 1, SCMP_CMP_MASKED_EQ, LOW, F_SETOWN } },
        { SCMP_SYS(fcntl), { 1, SCMP_CMP_MASKED_EQ, LOW, F_SETOWN_EX } },
        { SCMP_SYS(fcntl), { 1, SCMP_CMP_MASKED_EQ, LOW, F_SETSIG } },
        { SCMP_SYS(fcntl64), { 1, SCMP_CMP_MASKED_EQ, LOW, F_SETOWN } },
        { SCMP_SYS(fcntl64), { 1, SCMP_CMP_MASKED_EQ, LOW, F_SETOWN_EX } },
        { SCMP_SYS(fcntl64), { 1, SCMP_CMP_MASKED_EQ, LOW, F_SETSIG } },
        /* Limits and processors of others: 0 is the caller. */
        { SCMP_SYS(prlimit64), { 0, SCMP_CMP_NE, 0, 0 } },
        { SCMP_SYS(sched_setaffinity), { 0, SCMP_CMP_NE, 0, 0 } },
        /* Namespaces; clone3, whose flags are in memory, is ENOSYS. */
        { SCMP_SYS(clone), { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWNS, CLONE_NEWNS } },
        { SCMP_SYS(clone), { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWCGROUP, CLONE_NEWCGROUP } },
        { SCMP_SYS(clone), { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWUTS, CLONE_NEWUTS } },
        { SCMP_SYS(clone), { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWIPC, CLONE_NEWIPC } },
        { SCMP_SYS(clone), { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER } },
        { SCMP_SYS(clone), { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWPID, CLONE_NEWPID } },
        { SCMP_SYS(clone), { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWNET, CLONE_NEWNET } },
};

/*
 * Opening for truncation with an access mode that does not write: before its ABI 3 Landlock lets that through. Mode 3,
 * which opens for neither, truncates as well.
 */
static const struct {
        int call;
        unsigned flags_argument;
} opening_calls[] = {
        { SCMP_SYS(open), 1 },
        { SCMP_SYS(openat), 2 },
};
static const unsigned modes_without_writing[] = { O_RDONLY, O_ACCMODE };

/* Those that take the process they are for. With its own id a process signals itself, its threads too. */
static const int signalling_calls[] = {
        SCMP_SYS(kill), SCMP_SYS(tgkill),
        SCMP_SYS(tkill), /* takes a thread's id: only the first thread's can be told from another process's */
};

/*
 * The options of a stream that can be set; all others, and all other levels, are refused. SO_LINGER is not among them: with it, who
 * closes the socket last waits in the kernel, and the time is in memory. A filter that lets through by default can only say what is
 * refused, so each number between these is a comparison of its own.
 */
static const unsigned socket_options[] = {
        SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO,
};
static const unsigned tcp_options[] = {
        TCP_NODELAY, TCP_CORK,     TCP_KEEPIDLE,     TCP_KEEPINTVL,
        TCP_KEEPCNT, TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT,
};
static const struct {
        unsigned level;
        const unsigned *options;
        size_t n_options;
} option_levels[] = {
        { SOL_SOCKET, socket_options, N_ELEMENTS(socket_options) },
        { IPPROTO_TCP, tcp_options, N_ELEMENTS(tcp_options) },
};

#define REFUSE SCMP_ACT_ERRNO(EPERM)

/* Refuses setsockopt for what `value` says, at one level or (NULL) at all. */
static int refuse_value(scmp_filter_ctx filter, const struct scmp_arg_cmp *level, struct scmp_arg_cmp value) {
        struct scmp_arg_cmp rule[2] = { value };

        if (!level)
                return seccomp_rule_add_array(filter, REFUSE, SCMP_SYS(setsockopt), 1, rule);
        rule[1] = *level;
        return seccomp_rule_add_array(filter, REFUSE, SCMP_SYS(setsockopt), 2, rule);
}

static bool contains(const unsigned *values, size_t n_values, unsigned value) {
        for (size_t i = 0; i < n_values; ++i) {
                if (values[i] == value)
                        return true;
        }
        return false;
}

/* Refuses every value of setsockopt's argument number `argument` but those of `allowed`. */
static int refuse_others(scmp_filter_ctx filter, const struct scmp_arg_cmp *level, unsigned argument,
                         const unsigned *allowed, size_t n_allowed) {
        unsigned value = 0;
        size_t n_passed = 0;

        for (; n_passed < n_allowed; ++value) {
                int r = 0;

                if (contains(allowed, n_allowed, value))
                        n_passed++;
                else
                        r = refuse_value(filter, level, (struct scmp_arg_cmp){ argument, SCMP_CMP_EQ, value, 0 });
                if (r < 0)
                        return r;
        }
        return refuse_value(filter, level, (struct scmp_arg_cmp){ argument, SCMP_CMP_GE, value, 0 });
}

static int refuse_options(scmp_filter_ctx filter) {
        unsigned levels[N_ELEMENTS(option_levels)];
        int r;

        for (size_t i = 0; i < N_ELEMENTS(option_levels); ++i) {
                struct scmp_arg_cmp level = { 1, SCMP_CMP_EQ, option_levels[i].level, 0 };

                levels[i] = option_levels[i].level;
                r = refuse_others(filter, &level, 2, option_levels[i].options, option_levels[i].n_options);
                if (r < 0)
                        return r;
        }
        return refuse_others(filter, NULL, 1, levels, N_ELEMENTS(levels));
}

static int refuse_signals(scmp_filter_ctx filter) {
        struct scmp_arg_cmp others = { 0, SCMP_CMP_NE, (scmp_datum_t)getpid(), 0 };

        for (size_t i = 0; i < N_ELEMENTS(signalling_calls); ++i) {
                int r = seccomp_rule_add_array(filter, REFUSE, signalling_calls[i], 1, &others);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int refuse_truncation(scmp_filter_ctx filter, int call, unsigned flags_argument) {
        for (size_t i = 0; i < N_ELEMENTS(modes_without_writing); ++i) {
                struct scmp_arg_cmp flags = { flags_argument, SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE,
                                              O_TRUNC | modes_without_writing[i] };
                int r = seccomp_rule_add_array(filter, REFUSE, call, 1, &flags);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Does what Landlock does itself from its ABI 3 on. openat2 has its flags in memory; who uses it goes on with openat. */
static int refuse_truncation_by_opening(scmp_filter_ctx filter) {
        for (size_t i = 0; i < N_ELEMENTS(opening_calls); ++i) {
                int r = refuse_truncation(filter, opening_calls[i].call, opening_calls[i].flags_argument);

                if (r < 0)
                        return r;
        }
        return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0, NULL);
}

static int refuse_calls(scmp_filter_ctx filter) {
        for (size_t i = 0; i < N_ELEMENTS(refused_calls); ++i) {
                int r = seccomp_rule_add_array(filter, REFUSE, refused_calls[i], 0, NULL);

                if (r < 0)
                        return r;
        }
        return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
}

static int refuse_arguments(scmp_filter_ctx filter) {
        for (size_t i = 0; i < N_ELEMENTS(refused_arguments); ++i) {
                int r = seccomp_rule_add_array(filter, REFUSE, refused_arguments[i].call, 1,
                                               &refused_arguments[i].argument);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_rules(scmp_filter_ctx filter, int abi) {
        int r = refuse_calls(filter);

        if (r == 0)
                r = refuse_arguments(filter);
        if (r == 0)
                r = refuse_signals(filter);
        if (r == 0 && abi < 3)
                r = refuse_truncation_by_opening(filter);
        return r < 0 ? r : refuse_options(filter);
}

static int set_attributes(scmp_filter_ctx filter) {
        int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

        if (r == 0)
                r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
        if (r == 0)
                r = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
        /* A binary tree: reads and writes should not walk past all of the above. */
        if (r == 0)
                r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        return r;
}

static int filter_known_calls(int abi) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        int r;

        if (!filter)
                return -ENOMEM;
        r = set_attributes(filter);
        if (r == 0)
                r = add_rules(filter, abi);
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        return r;
}

/*
 * A later kernel has calls that no list of today can name. libseccomp compares numbers for equality only, so that this
 * filter is a second one, by hand. It need not look at the architecture: the first filter kills what is foreign, and of
 * two filters the harsher answer counts.
 */
static int filter_later_calls(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, CALL_NEWEST_JUDGED, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = N_ELEMENTS(code), .filter = code };
        long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);

        if (r > 0)
                return -ESRCH; /* the thread that could not be reached: what libseccomp makes of it too */
        return r < 0 ? -errno : 0;
}

static int filter_calls(int abi) {
        int r = filter_known_calls(abi);

        return r < 0 ? r : filter_later_calls();
}

/* ---- both ---- */

static bool options_are_valid(const struct nb_lockdown_options *options) {
        if (!nb_options_fit(options, options->size, sizeof(*options)) || (options->flags & ~NB_LOCKDOWN_BEST_EFFORT) ||
            (options->n_directories > 0 && !options->directories))
                return false;
        for (size_t i = 0; i < options->n_directories; ++i) {
                enum nb_lockdown_access access = options->directories[i].access;

                if (access != NB_LOCKDOWN_READ && access != NB_LOCKDOWN_READ_WRITE)
                        return false;
        }
        return true;
}

static bool is_missing(int error) {
        return error == -ENOSYS || error == -EOPNOTSUPP;
}

/*
 * The links of /proc/self/task are two and one for each thread; status is all that Landlock lets one see of it, when this
 * is not the first lockdown. Without /proc the kernel is asked in another way: to leave a group of threads of one is
 * nothing to do. Who cannot tell says no.
 */
static bool is_single_threaded(void) {
        struct stat status;

        if (stat("/proc/self/task", &status) == 0)
                return status.st_nlink == 3;
        return unshare(CLONE_THREAD) == 0;
}

int nb_lockdown(const struct nb_lockdown_options *options) {
        const struct nb_lockdown_options defaults = NB_LOCKDOWN_OPTIONS_INIT;
        bool best_effort, is_single;
        int abi, walls, r;

        if (!options)
                options = &defaults;
        if (!options_are_valid(options))
                return -EINVAL;
        best_effort = options->flags & NB_LOCKDOWN_BEST_EFFORT;
        is_single = is_single_threaded();
        if (!is_single && !best_effort)
                return -EBUSY;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        abi = landlock_abi();
        walls = restrict_self(options, abi);
        if (walls < 0) {
                if (!best_effort || !is_missing(walls))
                        return walls;
                walls = 0;
        }
        if (!is_single)
                walls = 0; /* they stand around this thread, and another is outside */
        /* Last, for it refuses nothing that came before, but should see nothing that comes after. */
        r = filter_calls(abi);
        if (r < 0)
                return best_effort && is_missing(r) ? walls : r;
        return walls | NB_WALL_SECCOMP;
}
