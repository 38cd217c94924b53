/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <sys/socket.h> for guests that are linked with libnetbroker-posix: wasi-libc's, and what that lacks. wasi-libc's numbers are kept, so
 * that objects which were compiled with its header alone agree; what it has no number for, has musl's, or another where that is taken.
 *
 * Not here, so that `configure` scripts and #ifdef find out: socketpair(), control messages (CMSG_…), recvmmsg() and sendmmsg() (which
 * wasi-libc declares), and options that no program could set.
 */
#ifndef NETBROKER_SYS_SOCKET_H
#define NETBROKER_SYS_SOCKET_H

#pragma GCC system_header /* #include_next is an extension, of which strict compilers warn */

#include_next <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef AF_LOCAL
#define AF_LOCAL AF_UNIX
#endif
#ifndef PF_UNSPEC
#define PF_UNSPEC AF_UNSPEC
#define PF_INET AF_INET
#define PF_INET6 AF_INET6
#define PF_UNIX AF_UNIX
#define PF_LOCAL AF_LOCAL
#endif

/* Of these, socket() makes none. */
#ifndef SOCK_RAW
#define SOCK_RAW 3
#define SOCK_RDM 4
#define SOCK_SEQPACKET 7
#endif

#ifndef SOMAXCONN
#define SOMAXCONN 128
#endif

/* wasi-libc has SOL_SOCKET and SO_TYPE. */
#ifndef SO_ERROR
#define SO_REUSEADDR 2
#define SO_ERROR 4
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_OOBINLINE 10
#define SO_LINGER 13
#define SO_REUSEPORT 15
#define SO_RCVLOWAT 18
#define SO_SNDLOWAT 19
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL 38
#define SO_DOMAIN 39
#define SO_RCVTIMEO 66
#define SO_SNDTIMEO 67
#endif

/*
 * wasi-libc has MSG_PEEK 1 and MSG_WAITALL 2. Its MSG_TRUNC names a macro that its <wasi/api.h> does not have.
 */
#undef MSG_TRUNC
#define MSG_TRUNC 0x0020
#ifndef MSG_DONTWAIT
#define MSG_DONTROUTE 0x0004
#define MSG_CTRUNC 0x0008
#define MSG_DONTWAIT 0x0040
#define MSG_EOR 0x0080
#define MSG_OOB 0x0100
#define MSG_NOSIGNAL 0x4000
#define MSG_MORE 0x8000
#define MSG_CMSG_CLOEXEC 0x40000000
#endif

int socket(int, int, int);
int bind(int, const struct sockaddr *, socklen_t);
int connect(int, const struct sockaddr *, socklen_t);
int listen(int, int);
int getsockname(int, struct sockaddr *__restrict, socklen_t *__restrict);
int getpeername(int, struct sockaddr *__restrict, socklen_t *__restrict);
ssize_t sendto(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
ssize_t recvfrom(int, void *__restrict, size_t, int, struct sockaddr *__restrict, socklen_t *__restrict);
ssize_t sendmsg(int, const struct msghdr *, int);
ssize_t recvmsg(int, struct msghdr *, int);
int setsockopt(int, int, int, const void *, socklen_t);

#ifdef __cplusplus
}
#endif

#endif
