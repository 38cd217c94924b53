/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* ---- Landlock: everything that the kernel can refuse, and not one rule that allows it again ---- */

/* The kernel's interface up to ABI 6, which the headers of older distributions do not have. The numbers are fixed. */
#define FS_ABI_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_ALL (UINT64_C(3))
#define SCOPES_ALL (UINT64_C(3))

struct ruleset {
        uint64_t handled_access_fs;
        uint64_t handled_access_net;
        uint64_t scoped;
};

static int landlock_abi(void) {
        return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static int restrict_files(void) {
        struct ruleset ruleset = { .handled_access_fs = FS_ABI_1 };
        NB_CLEANUP_FD int fd = -1;
        int abi = landlock_abi();

        if (abi < 1)
                return 0; /* told to the operator by confine_close() */
        if (abi >= 2)
                ruleset.handled_access_fs |= FS_REFER;
        if (abi >= 3)
                ruleset.handled_access_fs |= FS_TRUNCATE;
        if (abi >= 4)
                ruleset.handled_access_net = NET_ALL;
        if (abi >= 5)
                ruleset.handled_access_fs |= FS_IOCTL_DEV;
        if (abi >= 6)
                ruleset.scoped = SCOPES_ALL;
        fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
        if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
                return -errno;
        return 0;
}

static void tell_missing(struct confine_result *ret) {
        int abi = landlock_abi();

        if (abi < 1)
                ret->missing[ret->n_missing++] =
                        "Landlock: the kernel has none, or it is not among its security modules";
        else if (abi < 4)
                ret->missing[ret->n_missing++] = "Landlock's rules for TCP (Linux 6.7)";
        else if (abi < 6)
                ret->missing[ret->n_missing++] = "Landlock's scopes of signals and abstract sockets (Linux 6.12)";
}

/* ---- limits ---- */

static int set_limit(__rlimit_resource_t resource, rlim_t value) {
        struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

        return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/* As many descriptors as may be had: each link takes two. */
static void raise_descriptors(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Standard error may be a file, where somebody looks for our messages; nothing else can be written to. */
static bool logs_to_file(void) {
        struct stat status;

        return fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode);
}

static int limit_process(void) {
        int r = set_limit(RLIMIT_CORE, 0);

        if (r == 0)
                r = set_limit(RLIMIT_NPROC, 0);
        if (r == 0 && !logs_to_file())
                r = set_limit(RLIMIT_FSIZE, 0);
        raise_descriptors();
        return r;
}

static int drop_capabilities(void) {
        capng_clear(CAPNG_SELECT_BOTH);
        /* The bounding set can be cleared with CAP_SETPCAP only; without it, no new privileges does the same. */
        if (capng_apply(CAPNG_SELECT_BOTH) < 0 && capng_apply(CAPNG_SELECT_CAPS) < 0)
                return -EPERM;
        return 0;
}

int confine_begin(int keep_fd) {
        int r;

        if (close_range((unsigned)keep_fd + 1, ~0U, 0) < 0)
                return -errno;
        (void)signal(SIGPIPE, SIG_IGN);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 || prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0)
                return -errno;
        r = drop_capabilities();
        if (r == 0)
                r = limit_process();
        return r < 0 ? r : restrict_files();
}

/* ---- memory ---- */

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SHADOW_MEMORY true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SHADOW_MEMORY true
#endif
#endif
#ifndef HAS_SHADOW_MEMORY
#define HAS_SHADOW_MEMORY false
#endif

/* Deeper than anything here goes. */
#define STACK_RESERVED ((size_t)512 * 1024)

/* The stack grows as it is used, and where the limit does not let it the process dies. So it grows now: what it has once it keeps. */
static __attribute__((noinline)) void reserve_stack(void) {
        volatile uint8_t room[STACK_RESERVED];

        for (size_t i = 0; i < sizeof(room); i += 4096)
                room[i] = 0;
}

static int limit_memory(uint64_t memory_max) {
        /* AddressSanitizer has terabytes of addresses for its own use. */
        if (memory_max == 0 || HAS_SHADOW_MEMORY)
                return 0;
        return set_limit(RLIMIT_AS, (rlim_t)memory_max);
}

/* Only where no later allocation could fail by it. @return whether keys stay out of the swap */
static bool lock_memory(uint64_t memory_max) {
        struct rlimit limit;

        if (HAS_SHADOW_MEMORY || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
                return false;
        if (limit.rlim_cur != RLIM_INFINITY && (memory_max == 0 || limit.rlim_cur < memory_max))
                return false;
        return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

/* ---- system calls ---- */

static int allow(scmp_filter_ctx filter, const struct confine_call *call) {
        struct scmp_arg_cmp where[CONFINE_WHERE_MAX];

        for (unsigned i = 0; i < call->n_where; ++i)
                where[i] = (struct scmp_arg_cmp){ call->where[i].argument, SCMP_CMP_MASKED_EQ, UINT32_MAX,
                                                  call->where[i].value };
        return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call->number, call->n_where, where);
}

static int allow_list(scmp_filter_ctx filter, const struct confine_list *list) {
        for (size_t i = 0; i < list->n_calls; ++i) {
                int r = allow(filter, &list->calls[i]);

                if (r < 0 && r != -EEXIST)
                        return r;
        }
        return 0;
}

/* An assertion that fails sends a signal to this process. To no other: the broker may be of the same user, and not every kernel scopes signals. */
static int allow_abort(scmp_filter_ctx filter) {
        struct scmp_arg_cmp self = { 0, SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)getpid() };

        return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self);
}

static int fill_filter(scmp_filter_ctx filter) {
        int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);

        if (r == 0)
                r = allow_abort(filter);
        for (size_t i = 0; r == 0 && i < n_confine_lists; ++i)
                r = allow_list(filter, confine_lists[i]);
        return r < 0 ? r : seccomp_load(filter);
}

static int restrict_calls(void) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        int r;

        if (!filter)
                return -ENOMEM;
        r = fill_filter(filter);
        seccomp_release(filter);
        return r;
}

int confine_close(uint64_t memory_max, struct confine_result *ret) {
        int r;

        tell_missing(ret);
        reserve_stack();
        r = limit_memory(memory_max);
        if (r < 0)
                return r;
        ret->locked_memory = lock_memory(memory_max);
        return restrict_calls();
}
