/* SPDX-License-Identifier: Apache-2.0 */
#include "netbroker/lockdown.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

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

/* Returns the walls that stand then. */
static int restrict_self(const struct nb_lockdown_options *options) {
        struct ruleset ruleset;
        int ruleset_fd NB_CLEANUP_FD = -1;
        int abi, walls;

        abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        if (abi < 0)
                return -errno;
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

/* Refused whatever the arguments are. Numbers that this architecture does not have are skipped by libseccomp. */
static const int refused_calls[] = {
        /* Sockets are made, bound and connected in the broker. */
        SCMP_SYS(socket),
        SCMP_SYS(connect),
        SCMP_SYS(bind),
        SCMP_SYS(listen),
        SCMP_SYS(socketcall),
        SCMP_SYS(sendmmsg), /* the addresses and flags of its messages are in memory */
        /* io_uring does all of this behind seccomp's back. */
        SCMP_SYS(io_uring_setup),
        SCMP_SYS(io_uring_enter),
        SCMP_SYS(io_uring_register),
        /* Other processes. */
        SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_readv),
        SCMP_SYS(process_vm_writev),
        SCMP_SYS(process_madvise),
        SCMP_SYS(pidfd_getfd),
        SCMP_SYS(kcmp),
        SCMP_SYS(perf_event_open),
        /* Namespaces and mounts. */
        SCMP_SYS(unshare),
        SCMP_SYS(setns),
        SCMP_SYS(mount),
        SCMP_SYS(umount),
        SCMP_SYS(umount2),
        SCMP_SYS(pivot_root),
        SCMP_SYS(chroot),
        SCMP_SYS(open_tree),
        SCMP_SYS(move_mount),
        SCMP_SYS(fsopen),
        SCMP_SYS(fsconfig),
        SCMP_SYS(fsmount),
        SCMP_SYS(fspick),
        SCMP_SYS(mount_setattr),
        SCMP_SYS(open_by_handle_at),
        SCMP_SYS(fanotify_init),
        SCMP_SYS(quotactl),
        SCMP_SYS(quotactl_fd),
        SCMP_SYS(swapon),
        SCMP_SYS(swapoff),
        SCMP_SYS(acct),
        /* The kernel. */
        SCMP_SYS(bpf),
        SCMP_SYS(userfaultfd),
        SCMP_SYS(keyctl),
        SCMP_SYS(add_key),
        SCMP_SYS(request_key),
        SCMP_SYS(init_module),
        SCMP_SYS(finit_module),
        SCMP_SYS(delete_module),
        SCMP_SYS(kexec_load),
        SCMP_SYS(kexec_file_load),
        SCMP_SYS(reboot),
        SCMP_SYS(iopl),
        SCMP_SYS(ioperm),
        SCMP_SYS(modify_ldt),
        SCMP_SYS(syslog),
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
        { SCMP_SYS(sendmsg), { 2, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN } },
        /* Only Unix pairs, and of those only stream (1) and seqpacket (5): an end of another kind can send to any
         * name. The bits of the type below its flags are x0x1 for these two. */
        { SCMP_SYS(socketpair), { 0, SCMP_CMP_NE, AF_UNIX, 0 } },
        { SCMP_SYS(socketpair), { 1, SCMP_CMP_MASKED_EQ, 0x1, 0x0 } },
        { SCMP_SYS(socketpair), { 1, SCMP_CMP_MASKED_EQ, 0x2, 0x2 } },
        { SCMP_SYS(socketpair), { 1, SCMP_CMP_MASKED_EQ, 0x8, 0x8 } },
        /* Sockets, network interfaces and protocols (0x89..), wireless extensions (0x8b..). */
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, LOW & ~0xffu, 0x8900 } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, LOW & ~0xffu, 0x8b00 } },
        /* Input for the terminal's next reader. */
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, LOW, TIOCSTI } },
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_MASKED_EQ, LOW, 0x541c /* TIOCLINUX */ } },
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
 * The options of a stream that can be set; all others, and all other levels, are refused. A filter that lets through
 * by default can only say what is refused, so each number between these is a comparison of its own.
 */
static const unsigned socket_options[] = {
        SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE, SO_LINGER, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO,
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

static int add_rules(scmp_filter_ctx filter) {
        int r;

        for (size_t i = 0; i < N_ELEMENTS(refused_calls); ++i) {
                r = seccomp_rule_add_array(filter, REFUSE, refused_calls[i], 0, NULL);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < N_ELEMENTS(refused_arguments); ++i) {
                r = seccomp_rule_add_array(filter, REFUSE, refused_arguments[i].call, 1,
                                           &refused_arguments[i].argument);
                if (r < 0)
                        return r;
        }
        r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
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

static int filter_calls(void) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        int r;

        if (!filter)
                return -ENOMEM;
        r = set_attributes(filter);
        if (r == 0)
                r = add_rules(filter);
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        return r;
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

int nb_lockdown(const struct nb_lockdown_options *options) {
        const struct nb_lockdown_options defaults = NB_LOCKDOWN_OPTIONS_INIT;
        bool best_effort;
        int walls, r;

        if (!options)
                options = &defaults;
        if (!options_are_valid(options))
                return -EINVAL;
        best_effort = options->flags & NB_LOCKDOWN_BEST_EFFORT;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        walls = restrict_self(options);
        if (walls < 0) {
                if (!best_effort || !is_missing(walls))
                        return walls;
                walls = 0;
        }
        /* Last, for it refuses nothing that came before, but should see nothing that comes after. */
        r = filter_calls();
        if (r < 0)
                return best_effort && is_missing(r) ? walls : r;
        return walls | NB_WALL_SECCOMP;
}
