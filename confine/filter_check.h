/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a filter is what the lists say, asked of the filter itself.
 *
 * The library that makes filters of rules (libseccomp) does not look at all of its allocations: where there is no memory for one it may make a filter that lacks rules, and
 * say that all is well. Such a filter refuses what the process needs, and nobody has said that it could not let through more. So what it has made is not trusted, but run
 * here as the kernel would run it (BPF, as in seccomp(2)), over each number of a call. Where no list names arguments it may not look at any; where one does, those are tried,
 * and with them all that differ in one bit.
 */
#ifndef NB_CONFINE_FILTER_CHECK_H
#define NB_CONFINE_FILTER_CHECK_H

#include <linux/filter.h>
#include <stdbool.h>

#include "confine/calls.h"

/** What a filter is to be. */
struct confine_rules {
        const struct confine_list *const *lists; /* `n` of them; borrowed */
        size_t n;
        uint32_t arch;      /* AUDIT_ARCH_...: the one whose calls are listed */
        uint32_t otherwise; /* SECCOMP_RET_...: what comes of a call that is on no list */
};

/** Whether the lists let that call through. @param args  six, of which only the lower halves count */
bool confine_rules_allow(const struct confine_rules *rules, int number, const uint64_t *args);

/**
 * @param filter  `n` instructions; borrowed, and of any origin
 * @return 0; -EBADMSG: it lets through what it should not or refuses what it should let through, or is no program that ends
 */
int confine_filter_check(const struct sock_filter *filter, size_t n, const struct confine_rules *rules);

#endif
