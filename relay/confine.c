/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/confine.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sanitized.h"
#include "confine/capabilities.h"
#include "confine/filter.h"
#include "confine/landlock.h"

/* Everything that the kernel can refuse, and not one rule that allows it again. That there is no Landlock confine_close() tells the operator. */
static int restrict_files(void) {
        const struct confine_refused all = { .fs = CONFINE_FS_ALL,
                                             .net = CONFINE_NET_ALL,
                                             .scopes = CONFINE_SCOPES_ALL };

        return confine_landlock(&all, NULL, 0);
}

static void tell_missing(struct confine_result *ret) {
        const char *missing = confine_landlock_missing();

        if (missing)
                ret->missing[ret->n_missing++] = missing;
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

int confine_begin(int keep_fd) {
        int r;

        if (close_range((unsigned)keep_fd + 1, ~0U, 0) < 0)
                return -errno;
        (void)signal(SIGPIPE, SIG_IGN);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 || prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0)
                return -errno;
        r = confine_drop_capabilities(CONFINE_KEEP_NONE);
        if (r == 0)
                r = limit_process();
        return r < 0 ? r : restrict_files();
}

/* ---- memory ---- */

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
        if (memory_max == 0 || NB_SANITIZED)
                return 0;
        return set_limit(RLIMIT_AS, (rlim_t)memory_max);
}

/* Only where no later allocation could fail by it. @return whether keys stay out of the swap */
static bool lock_memory(uint64_t memory_max) {
        struct rlimit limit;

        if (NB_SANITIZED || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
                return false;
        if (limit.rlim_cur != RLIM_INFINITY && (memory_max == 0 || limit.rlim_cur < memory_max))
                return false;
        return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

int confine_close(uint64_t memory_max, struct confine_result *ret) {
        int r;

        tell_missing(ret);
        reserve_stack();
        r = limit_memory(memory_max);
        if (r < 0)
                return r;
        ret->locked_memory = lock_memory(memory_max);
        return confine_filter_load(confine_lists, n_confine_lists, CONFINE_KILLS);
}
