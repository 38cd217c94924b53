/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock (landlock(7)): what of files, and from Linux 6.7 on of TCP, a process and all that it starts may do no more.
 *
 * The kernel's interface is used up to ABI 6, which the headers of older distributions do not have; the numbers are fixed.
 */
#ifndef NB_CONFINE_LANDLOCK_H
#define NB_CONFINE_LANDLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CONFINE_FS_EXECUTE (UINT64_C(1) << 0)
#define CONFINE_FS_WRITE_FILE (UINT64_C(1) << 1)
#define CONFINE_FS_READ_FILE (UINT64_C(1) << 2)
#define CONFINE_FS_READ_DIR (UINT64_C(1) << 3)
#define CONFINE_FS_REMOVE_DIR (UINT64_C(1) << 4)
#define CONFINE_FS_REMOVE_FILE (UINT64_C(1) << 5)
#define CONFINE_FS_MAKE_CHAR (UINT64_C(1) << 6)
#define CONFINE_FS_MAKE_DIR (UINT64_C(1) << 7)
#define CONFINE_FS_MAKE_REG (UINT64_C(1) << 8)
#define CONFINE_FS_MAKE_SOCK (UINT64_C(1) << 9)
#define CONFINE_FS_MAKE_FIFO (UINT64_C(1) << 10)
#define CONFINE_FS_MAKE_BLOCK (UINT64_C(1) << 11)
#define CONFINE_FS_MAKE_SYM (UINT64_C(1) << 12)
#define CONFINE_FS_REFER (UINT64_C(1) << 13)
#define CONFINE_FS_TRUNCATE (UINT64_C(1) << 14)
#define CONFINE_FS_IOCTL_DEV (UINT64_C(1) << 15)
#define CONFINE_FS_ALL ((UINT64_C(1) << 16) - 1)
#define CONFINE_NET_ALL (UINT64_C(3))
#define CONFINE_SCOPES_ALL (UINT64_C(3))

/** What is refused but where a path allows it; what the kernel does not know is left out. */
struct confine_refused {
        uint64_t fs;
        uint64_t net;
        uint64_t scopes; /* of signals and abstract sockets */
};

/** A file, or a folder with all below it, and what is allowed there. */
struct confine_path {
        const char *path; /* NULL, or one that is not there: nothing is allowed by it */
        uint64_t fs;
};

/** @return the kernel's ABI, from 1 up; less: it has none */
int confine_landlock_abi(void);

/** What this kernel's Landlock lacks, in words for the operator; NULL: nothing that is used. */
const char *confine_landlock_missing(void);

/**
 * Confines this process, with no_new_privs; it cannot be taken back. Does nothing where the kernel has no Landlock.
 * @param paths  `n` of them
 * @return 0 or -errno
 */
int confine_landlock(const struct confine_refused *refused, const struct confine_path *paths, size_t n);

#endif
