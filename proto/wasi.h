/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of WASI preview 1 that broker, shim and guests share: errnos and rights.
 *
 * They are the wire's numbers too: they are fixed by a specification, while Linux's errnos differ between
 * architectures. Source: the witx of wasi_snapshot_preview1; for rights 30 to 32, WASIX.
 */
#ifndef NB_PROTO_WASI_H
#define NB_PROTO_WASI_H

#include <stdint.h>

/**
 * A right is missing (WASI `notcapable`), which Linux has no errno for. It lies behind Linux's last errno
 * (4095 is the kernel's MAX_ERRNO), so that it is never mistaken for one.
 */
#define NB_ENOTCAPABLE 4096

enum nb_wasi_errno {
        NB_WASI_SUCCESS = 0,
        NB_WASI_E2BIG = 1,
        NB_WASI_EACCES = 2,
        NB_WASI_EADDRINUSE = 3,
        NB_WASI_EADDRNOTAVAIL = 4,
        NB_WASI_EAFNOSUPPORT = 5,
        NB_WASI_EAGAIN = 6,
        NB_WASI_EALREADY = 7,
        NB_WASI_EBADF = 8,
        NB_WASI_EBADMSG = 9,
        NB_WASI_EBUSY = 10,
        NB_WASI_ECANCELED = 11,
        NB_WASI_ECHILD = 12,
        NB_WASI_ECONNABORTED = 13,
        NB_WASI_ECONNREFUSED = 14,
        NB_WASI_ECONNRESET = 15,
        NB_WASI_EDEADLK = 16,
        NB_WASI_EDESTADDRREQ = 17,
        NB_WASI_EDOM = 18,
        NB_WASI_EDQUOT = 19,
        NB_WASI_EEXIST = 20,
        NB_WASI_EFAULT = 21,
        NB_WASI_EFBIG = 22,
        NB_WASI_EHOSTUNREACH = 23,
        NB_WASI_EIDRM = 24,
        NB_WASI_EILSEQ = 25,
        NB_WASI_EINPROGRESS = 26,
        NB_WASI_EINTR = 27,
        NB_WASI_EINVAL = 28,
        NB_WASI_EIO = 29,
        NB_WASI_EISCONN = 30,
        NB_WASI_EISDIR = 31,
        NB_WASI_ELOOP = 32,
        NB_WASI_EMFILE = 33,
        NB_WASI_EMLINK = 34,
        NB_WASI_EMSGSIZE = 35,
        NB_WASI_EMULTIHOP = 36,
        NB_WASI_ENAMETOOLONG = 37,
        NB_WASI_ENETDOWN = 38,
        NB_WASI_ENETRESET = 39,
        NB_WASI_ENETUNREACH = 40,
        NB_WASI_ENFILE = 41,
        NB_WASI_ENOBUFS = 42,
        NB_WASI_ENODEV = 43,
        NB_WASI_ENOENT = 44,
        NB_WASI_ENOEXEC = 45,
        NB_WASI_ENOLCK = 46,
        NB_WASI_ENOLINK = 47,
        NB_WASI_ENOMEM = 48,
        NB_WASI_ENOMSG = 49,
        NB_WASI_ENOPROTOOPT = 50,
        NB_WASI_ENOSPC = 51,
        NB_WASI_ENOSYS = 52,
        NB_WASI_ENOTCONN = 53,
        NB_WASI_ENOTDIR = 54,
        NB_WASI_ENOTEMPTY = 55,
        NB_WASI_ENOTRECOVERABLE = 56,
        NB_WASI_ENOTSOCK = 57,
        NB_WASI_ENOTSUP = 58,
        NB_WASI_ENOTTY = 59,
        NB_WASI_ENXIO = 60,
        NB_WASI_EOVERFLOW = 61,
        NB_WASI_EOWNERDEAD = 62,
        NB_WASI_EPERM = 63,
        NB_WASI_EPIPE = 64,
        NB_WASI_EPROTO = 65,
        NB_WASI_EPROTONOSUPPORT = 66,
        NB_WASI_EPROTOTYPE = 67,
        NB_WASI_ERANGE = 68,
        NB_WASI_EROFS = 69,
        NB_WASI_ESPIPE = 70,
        NB_WASI_ESRCH = 71,
        NB_WASI_ESTALE = 72,
        NB_WASI_ETIMEDOUT = 73,
        NB_WASI_ETXTBSY = 74,
        NB_WASI_EXDEV = 75,
        NB_WASI_ENOTCAPABLE = 76,
};

/** The preview 1 errno for an errno of this host (NB_ENOTCAPABLE included); `io` for one that WASI does not know. */
enum nb_wasi_errno nb_wasi_errno_from_host(int error);

/** This host's errno, positive, for a preview 1 errno; EPROTO for a number that is none. */
int nb_wasi_errno_to_host(uint32_t error);

/* Rights that say something about network descriptors. */
#define NB_RIGHT_FD_READ (UINT64_C(1) << 1)
#define NB_RIGHT_FD_FDSTAT_SET_FLAGS (UINT64_C(1) << 3)
#define NB_RIGHT_FD_WRITE (UINT64_C(1) << 6)
#define NB_RIGHT_FD_FILESTAT_GET (UINT64_C(1) << 21)
#define NB_RIGHT_POLL_FD_READWRITE (UINT64_C(1) << 27)
#define NB_RIGHT_SOCK_SHUTDOWN (UINT64_C(1) << 28)
#define NB_RIGHT_SOCK_ACCEPT (UINT64_C(1) << 29)
#define NB_RIGHT_SOCK_CONNECT (UINT64_C(1) << 30)
#define NB_RIGHT_SOCK_LISTEN (UINT64_C(1) << 31)
#define NB_RIGHT_SOCK_BIND (UINT64_C(1) << 32)

/** Every bit that preview 1 or this project gives a meaning: 0 to 32. */
#define NB_RIGHTS_KNOWN ((UINT64_C(1) << 33) - 1)

/** What a stream can use. */
#define NB_RIGHTS_STREAM                                                                                               \
        (NB_RIGHT_FD_READ | NB_RIGHT_FD_WRITE | NB_RIGHT_FD_FDSTAT_SET_FLAGS | NB_RIGHT_FD_FILESTAT_GET |              \
         NB_RIGHT_POLL_FD_READWRITE | NB_RIGHT_SOCK_SHUTDOWN)

/** What a connection can use itself. */
#define NB_RIGHTS_CONNECTION (NB_RIGHT_FD_FDSTAT_SET_FLAGS | NB_RIGHT_FD_FILESTAT_GET | NB_RIGHT_POLL_FD_READWRITE)

/** What a control can use itself. */
#define NB_RIGHTS_CONTROL (NB_RIGHTS_CONNECTION | NB_RIGHT_SOCK_ACCEPT | NB_RIGHT_SOCK_CONNECT | NB_RIGHT_SOCK_LISTEN)

/** What a protocol can use itself. */
#define NB_RIGHTS_PROTOCOL (NB_RIGHT_FD_FILESTAT_GET | NB_RIGHT_SOCK_BIND)

/** All that can be derived from a protocol. */
#define NB_RIGHTS_NETWORK (NB_RIGHTS_CONTROL | NB_RIGHTS_STREAM)

#endif
