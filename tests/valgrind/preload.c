/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library that is preloaded (ld.so(8)) into our programs under valgrind, and does nothing in place of what would hold valgrind, too: filters of system calls, and
 * limits of memory and of files' sizes. Each of these walls has tests that do not run under valgrind. And it has openat2(2), which valgrind has not, made of openat(2).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* What a function stands in front of. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* ---- libseccomp: a filter of nothing ---- */

EXPORT scmp_filter_ctx seccomp_init(uint32_t otherwise) {
        (void)otherwise;
        return malloc(1);
}

EXPORT void seccomp_release(scmp_filter_ctx filter) {
        free(filter);
}

EXPORT int seccomp_attr_set(scmp_filter_ctx filter, enum scmp_filter_attr attribute, uint32_t value) {
        (void)filter;
        (void)attribute;
        (void)value;
        return 0;
}

EXPORT int seccomp_rule_add_array(scmp_filter_ctx filter, uint32_t action, int number, unsigned n,
                                  const struct scmp_arg_cmp *where) {
        (void)filter;
        (void)action;
        (void)number;
        (void)n;
        (void)where;
        return 0;
}

EXPORT int seccomp_load(const scmp_filter_ctx filter) {
        (void)filter;
        return 0;
}

/* ---- the C library ---- */

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
        return resource == RLIMIT_AS || resource == RLIMIT_FSIZE ? 0 : NEXT(setrlimit)(resource, limit);
}

/* A link is refused at the end of the path only: what it is in its middle is not for valgrind to say. */
static long open_as(int folder_fd, const char *path, const struct open_how *how) {
        return openat(folder_fd, path, (int)how->flags | O_NOFOLLOW, (mode_t)how->mode);
}

/* Valgrind answers ENOSYS to Landlock's calls with many words, for each. */
EXPORT long syscall(long number, ...) {
        long a[6];
        va_list arguments;

        va_start(arguments, number);
        for (int i = 0; i < 6; ++i)
                a[i] = va_arg(arguments, long);
        va_end(arguments);
        if (number == SYS_openat2)
                return open_as((int)a[0], (const char *)a[1], (const struct open_how *)a[2]);
        if (number != SYS_landlock_create_ruleset)
                return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        errno = ENOSYS;
        return -1;
}
