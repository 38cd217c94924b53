/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wasi.h"

#include <errno.h>
#include <stddef.h>

/* Each pair once; the order is WASI's, so that an index is a WASI errno. On Linux EOPNOTSUPP is ENOTSUP and
 * EWOULDBLOCK is EAGAIN. */
static const int host_errnos[] = {
        [NB_WASI_E2BIG] = E2BIG,
        [NB_WASI_EACCES] = EACCES,
        [NB_WASI_EADDRINUSE] = EADDRINUSE,
        [NB_WASI_EADDRNOTAVAIL] = EADDRNOTAVAIL,
        [NB_WASI_EAFNOSUPPORT] = EAFNOSUPPORT,
        [NB_WASI_EAGAIN] = EAGAIN,
        [NB_WASI_EALREADY] = EALREADY,
        [NB_WASI_EBADF] = EBADF,
        [NB_WASI_EBADMSG] = EBADMSG,
        [NB_WASI_EBUSY] = EBUSY,
        [NB_WASI_ECANCELED] = ECANCELED,
        [NB_WASI_ECHILD] = ECHILD,
        [NB_WASI_ECONNABORTED] = ECONNABORTED,
        [NB_WASI_ECONNREFUSED] = ECONNREFUSED,
        [NB_WASI_ECONNRESET] = ECONNRESET,
        [NB_WASI_EDEADLK] = EDEADLK,
        [NB_WASI_EDESTADDRREQ] = EDESTADDRREQ,
        [NB_WASI_EDOM] = EDOM,
        [NB_WASI_EDQUOT] = EDQUOT,
        [NB_WASI_EEXIST] = EEXIST,
        [NB_WASI_EFAULT] = EFAULT,
        [NB_WASI_EFBIG] = EFBIG,
        [NB_WASI_EHOSTUNREACH] = EHOSTUNREACH,
        [NB_WASI_EIDRM] = EIDRM,
        [NB_WASI_EILSEQ] = EILSEQ,
        [NB_WASI_EINPROGRESS] = EINPROGRESS,
        [NB_WASI_EINTR] = EINTR,
        [NB_WASI_EINVAL] = EINVAL,
        [NB_WASI_EIO] = EIO,
        [NB_WASI_EISCONN] = EISCONN,
        [NB_WASI_EISDIR] = EISDIR,
        [NB_WASI_ELOOP] = ELOOP,
        [NB_WASI_EMFILE] = EMFILE,
        [NB_WASI_EMLINK] = EMLINK,
        [NB_WASI_EMSGSIZE] = EMSGSIZE,
        [NB_WASI_EMULTIHOP] = EMULTIHOP,
        [NB_WASI_ENAMETOOLONG] = ENAMETOOLONG,
        [NB_WASI_ENETDOWN] = ENETDOWN,
        [NB_WASI_ENETRESET] = ENETRESET,
        [NB_WASI_ENETUNREACH] = ENETUNREACH,
        [NB_WASI_ENFILE] = ENFILE,
        [NB_WASI_ENOBUFS] = ENOBUFS,
        [NB_WASI_ENODEV] = ENODEV,
        [NB_WASI_ENOENT] = ENOENT,
        [NB_WASI_ENOEXEC] = ENOEXEC,
        [NB_WASI_ENOLCK] = ENOLCK,
        [NB_WASI_ENOLINK] = ENOLINK,
        [NB_WASI_ENOMEM] = ENOMEM,
        [NB_WASI_ENOMSG] = ENOMSG,
        [NB_WASI_ENOPROTOOPT] = ENOPROTOOPT,
        [NB_WASI_ENOSPC] = ENOSPC,
        [NB_WASI_ENOSYS] = ENOSYS,
        [NB_WASI_ENOTCONN] = ENOTCONN,
        [NB_WASI_ENOTDIR] = ENOTDIR,
        [NB_WASI_ENOTEMPTY] = ENOTEMPTY,
        [NB_WASI_ENOTRECOVERABLE] = ENOTRECOVERABLE,
        [NB_WASI_ENOTSOCK] = ENOTSOCK,
        [NB_WASI_ENOTSUP] = ENOTSUP,
        [NB_WASI_ENOTTY] = ENOTTY,
        [NB_WASI_ENXIO] = ENXIO,
        [NB_WASI_EOVERFLOW] = EOVERFLOW,
        [NB_WASI_EOWNERDEAD] = EOWNERDEAD,
        [NB_WASI_EPERM] = EPERM,
        [NB_WASI_EPIPE] = EPIPE,
        [NB_WASI_EPROTO] = EPROTO,
        [NB_WASI_EPROTONOSUPPORT] = EPROTONOSUPPORT,
        [NB_WASI_EPROTOTYPE] = EPROTOTYPE,
        [NB_WASI_ERANGE] = ERANGE,
        [NB_WASI_EROFS] = EROFS,
        [NB_WASI_ESPIPE] = ESPIPE,
        [NB_WASI_ESRCH] = ESRCH,
        [NB_WASI_ESTALE] = ESTALE,
        [NB_WASI_ETIMEDOUT] = ETIMEDOUT,
        [NB_WASI_ETXTBSY] = ETXTBSY,
        [NB_WASI_EXDEV] = EXDEV,
        [NB_WASI_ENOTCAPABLE] = NB_ENOTCAPABLE,
};

#define N_ERRNOS (sizeof(host_errnos) / sizeof(host_errnos[0]))

/* Errnos of Linux's sockets that WASI has no number of its own for, but one that says nearly the same. */
static int nearest(int error) {
        switch (error) {
        case EHOSTDOWN:
        case ENONET:
                return EHOSTUNREACH;
        case EPFNOSUPPORT:
                return EAFNOSUPPORT;
        case ESHUTDOWN:
                return EPIPE;
        case ESOCKTNOSUPPORT:
                return EPROTONOSUPPORT;
        case ETOOMANYREFS:
                return ENOBUFS;
        default:
                return error;
        }
}

enum nb_wasi_errno nb_wasi_errno_from_host(int error) {
        if (error == 0)
                return NB_WASI_SUCCESS;
        error = nearest(error);
        for (size_t i = 1; i < N_ERRNOS; ++i) {
                if (host_errnos[i] == error)
                        return (enum nb_wasi_errno)i;
        }
        return NB_WASI_EIO;
}

int nb_wasi_errno_to_host(uint32_t error) {
        return error < N_ERRNOS ? host_errnos[error] : EPROTO;
}
