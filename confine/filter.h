/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter of system calls for this process and all that it starts, made of lists (confine/calls.h).
 */
#ifndef NB_CONFINE_FILTER_H
#define NB_CONFINE_FILTER_H

#include "confine/calls.h"

/** What comes of a call that is on no list. */
enum confine_otherwise {
        CONFINE_KILLS,   /* the process ends with SIGSYS */
        CONFINE_REFUSES, /* the call fails with EPERM, and the kernel writes a line to its log (auditd, or dmesg) */
};

/**
 * Loads the filter; it cannot be taken back. Beside what is on the lists the process may send itself a signal, as a failed assertion does, and no other.
 * @param lists  `n` of them; borrowed
 * @return 0 or -errno; without no_new_privs, or CAP_SYS_ADMIN, -EACCES
 */
int confine_filter_load(const struct confine_list *const *lists, size_t n, enum confine_otherwise otherwise);

#endif
