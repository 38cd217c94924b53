/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter of system calls for this process and all that it starts, made of lists (confine/calls.h).
 *
 * libseccomp makes it, the kernel gets it only if confine/filter_check.h finds in it what the lists say, and nothing else. Where there is no memory that library does not
 * always say so: it may also crash, or compute for ever. Either ends the process, here, where it has served nobody yet.
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
 * Sets no_new_privs. To be called while the process has one thread; ITIMER_VIRTUAL is its own meanwhile, and SIGVTALRM is to end the process.
 * @return 0; -EBADMSG: what was made is not what the lists say; -ENOMEM, -EMFILE; -ENOSYS or -EOPNOTSUPP where the kernel has no filters; -EPERM, -EACCES where it is not permitted
 */
int confine_filter_load(const struct confine_list *const *lists, size_t n, enum confine_otherwise otherwise);

#endif
