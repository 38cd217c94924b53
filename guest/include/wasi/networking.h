/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <wasi/networking.h>: sockets for WASI guests, as the networking proposal of 2020 has them.
 *
 * A guest cannot name a network: it is given protocol descriptors, and each is a factory of sockets with the sandbox around
 * them already decided by the host. From a protocol_fd one derives, with the functions below:
 *
 *     protocol_fd    given by the host before the guest starts; see wasi_networking_find_protocol()
 *     control_fd     made by __wasi_networking_open(): a socket bound to an address; it listens, or it connects
 *     connection_fd  made by __wasi_networking_accept() or __wasi_networking_connect(): neither readable nor writable itself
 *     stream_fd      made by __wasi_networking_stream_create() or __wasi_networking_stream_accept(): the bytes
 *
 * All of them are in the table of the guest's other descriptors: read(), write(), close(), poll() and fcntl() of wasi-libc work
 * where they make sense. A connection lives until its connection_fd and all its streams are closed. On a protocol that does
 * not multiplex (TCP, UDP, Unix sockets), a connection has one stream, which the first of stream_create and stream_accept yields.
 *
 * On one that does (QUIC), either side makes any number of streams, as far as the other allows: __wasi_networking_stream_create() makes one, and
 * __wasi_networking_stream_accept() takes those of the peer. They wait unless the connection_fd is nonblocking (fd_fdstat_set_flags). For poll, a connection_fd is
 * readable when the peer has made a stream, writable when one can be made, and both when the connection is over. A stream that is made without the right fd_read
 * has one direction only; the peer gets one without fd_write. When connection_fd is closed, its streams go on, and the peer can make no others. netbroker-guest(7)
 * has a table of what the ends of streams and connections look like from either side.
 *
 *     server: open, listen, then for each peer: accept, stream_accept, read and write
 *     client: open on port 0, connect, stream_create, read and write
 *
 * The stream of a control of the type __WASI_FILETYPE_SOCKET_DGRAM keeps message borders: each write is one datagram, and each read
 * takes one, whose rest is lost where the buffer is too short (sock_recv says so by __WASI_ROFLAGS_RECV_DATA_TRUNCATED). A
 * datagram may be empty, so that reading no bytes is not the end of anything: where the host has given a peer up, reading is `connreset`. On a protocol of QUIC,
 * the connection of such a control has one channel of datagrams (RFC 9221), and no streams of bytes.
 *
 * Such a control can listen. Whoever sends something to its address and was not heard of is the next peer that
 * __wasi_networking_accept() takes, as a connection whose stream begins with what was sent; what is written there goes to that peer.
 * A peer that is silent for long is forgotten by the host, which ends its stream, and is a new one when it sends again. Nobody waits
 * for a peer that is not accepted: some of what it sends meanwhile is lost. On a protocol of Unix sockets a listening control hears
 * and cannot answer: writing is `pipe`.
 *
 * A guest may also find sockets that are there already, by names of their own: a listener is a control_fd that listens, a connection
 * is its stream_fd. See wasi_networking_find_preopen() in <wasi/networking_ext.h>; a program that only accepts, reads and writes
 * needs neither header.
 *
 * Addresses are text, with their length in bytes and without a NUL:
 *
 *     192.0.2.1:80, [2001:db8::1]:80   on a protocol of IP addresses
 *     /run/app/db.sock                 a path from the root, on a protocol of Unix sockets
 *     @app                             an abstract name there; and the empty text is that of a socket without a name
 *
 * Every function returns an errno of wasi_snapshot_preview1 (__WASI_ERRNO_…), and leaves its result untouched unless that is
 * __WASI_ERRNO_SUCCESS. Beside what is said at each:
 *
 *     access      the policy does not grant it
 *     notcapable  the descriptor does not have the right
 *     badf        there is no such descriptor
 *     notsup      there is, and it is of another kind, or the protocol cannot do that
 *     notsock     there is, and it is no network descriptor at all
 *     fault       a pointer, or a pointer and its length, reach out of the guest's memory
 *     mfile, nfile, nobufs, nomem  a limit of the guest's or the host's
 *     pipe        the host gave the object up
 *
 * Compile with `clang --target=wasm32-wasi -I…/guest/include`; only wasi-libc's <wasi/api.h> is needed, and
 * <stdlib.h> and <string.h> for the helpers at the end.
 */
#ifndef WASI_NETWORKING_H
#define WASI_NETWORKING_H

#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Rights that preview 1 has no number for; the numbers are WASIX's. A descriptor carries two sets: `rights` is what may
 * be done with it, `rights_inheriting` the most that a descriptor derived from it may carry in either set.
 *
 *     fd_read, fd_write           on a stream; fd_write implies sock_shutdown
 *     fd_fdstat_set_flags         switching __WASI_FDFLAGS_NONBLOCK
 *     sock_accept, sock_connect, sock_listen   on a control
 *     sock_bind                   on a protocol: __wasi_networking_open()
 *
 * poll_fd_readwrite is not required to poll network descriptors.
 */
#ifndef __WASI_RIGHTS_SOCK_CONNECT
#define __WASI_RIGHTS_SOCK_CONNECT ((__wasi_rights_t)1 << 30)
#endif
#ifndef __WASI_RIGHTS_SOCK_LISTEN
#define __WASI_RIGHTS_SOCK_LISTEN ((__wasi_rights_t)1 << 31)
#endif
#ifndef __WASI_RIGHTS_SOCK_BIND
#define __WASI_RIGHTS_SOCK_BIND ((__wasi_rights_t)1 << 32)
#endif

/** The rights that a stream has a use for. */
#define WASI_NETWORKING_RIGHTS_STREAM                                                                                  \
        (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_FDSTAT_SET_FLAGS |                          \
         __WASI_RIGHTS_FD_FILESTAT_GET | __WASI_RIGHTS_POLL_FD_READWRITE | __WASI_RIGHTS_SOCK_SHUTDOWN)

/** The rights that a connection has a use for. */
#define WASI_NETWORKING_RIGHTS_CONNECTION                                                                              \
        (__WASI_RIGHTS_FD_FDSTAT_SET_FLAGS | __WASI_RIGHTS_FD_FILESTAT_GET | __WASI_RIGHTS_POLL_FD_READWRITE)

/** The rights of a control that serves, and of one that connects. */
#define WASI_NETWORKING_RIGHTS_SERVER                                                                                  \
        (WASI_NETWORKING_RIGHTS_CONNECTION | __WASI_RIGHTS_SOCK_LISTEN | __WASI_RIGHTS_SOCK_ACCEPT)
#define WASI_NETWORKING_RIGHTS_CLIENT (WASI_NETWORKING_RIGHTS_CONNECTION | __WASI_RIGHTS_SOCK_CONNECT)

/** What fd_prestat_get() reports as the type of a protocol_fd, beside preview 1's __WASI_PREOPENTYPE_DIR (0). */
#define WASI_NETWORKING_PREOPENTYPE_PROTOCOL 1

/** The environment variable that names the protocols: `name=fd` pairs, joined by colons, as in `web=3:db=4`. */
#define WASI_NETWORKING_PROTOCOLS_VARIABLE "NETWORKING_PROTOCOLS"

#define WASI_NETWORKING_IMPORT_(name)                                                                                  \
        __attribute__((__import_module__("networking"), __import_name__(name), __warn_unused_result__))

/**
 * Makes a control: a socket bound to `bind_address`.
 * @param protocol_fd         where
 * @param bind_address        what to listen on; for a client the unspecified address of the family and port 0, "0.0.0.0:0" or "[::]:0", or
 *                            on a protocol of Unix sockets the empty text
 * @param bind_address_len    in bytes
 * @param type                __WASI_FILETYPE_SOCKET_STREAM or __WASI_FILETYPE_SOCKET_DGRAM
 * @param rights_base         what the control may do
 * @param rights_inheriting   what its connections and streams may do
 * @param fdflags             0 or __WASI_FDFLAGS_NONBLOCK, with which no call on the control waits
 * @param ret_control_fd      the descriptor
 * @return inval: the text is no address, or a flag is unknown; afnosupport: the protocol has no such addresses; addrinuse,
 *         addrnotavail: as POSIX bind(); notsup: the protocol has no sockets of that type
 */
__wasi_errno_t __wasi_networking_open(__wasi_fd_t protocol_fd, const char *bind_address, __wasi_size_t bind_address_len,
                                      __wasi_filetype_t type, __wasi_rights_t rights_base,
                                      __wasi_rights_t rights_inheriting, __wasi_fdflags_t fdflags,
                                      __wasi_fd_t *ret_control_fd) WASI_NETWORKING_IMPORT_("open");

/**
 * Makes a control listen. The control is then readable, for poll, whenever an accept will not wait.
 * @param backlog  how many peers may wait for the host
 * @return addrinuse: another socket listens there; isconn: the control connects; notsup: its type is socket_dgram, and the
 *         host has nothing that could serve it
 */
__wasi_errno_t __wasi_networking_listen(__wasi_fd_t control_fd, __wasi_size_t backlog)
        WASI_NETWORKING_IMPORT_("listen");

/**
 * Takes the next peer of a listening control; waits for one unless the control is nonblocking.
 * @return again: it is, and there is none; inval: the control does not listen
 */
__wasi_errno_t __wasi_networking_accept(__wasi_fd_t control_fd, __wasi_fd_t *ret_connection_fd)
        WASI_NETWORKING_IMPORT_("accept");

/**
 * Connects to `address`; waits for the answer unless the control is nonblocking. Then the first call returns inprogress, the control
 * is readable and writable, for poll, once there is a result, and the same call made again yields it.
 * @return inprogress; already: it still lasts; connrefused, timedout, hostunreach, netunreach: as POSIX connect(); inval: the
 *         text is no address, or the control listens
 */
__wasi_errno_t __wasi_networking_connect(__wasi_fd_t control_fd, const char *address, __wasi_size_t address_len,
                                         __wasi_fd_t *ret_connection_fd) WASI_NETWORKING_IMPORT_("connect");

/**
 * Makes a stream on a connection. On one that multiplexes it waits until the peer allows another, unless the connection is nonblocking.
 * @param rights             what may be done with it, of what the connection passes on. Where connections multiplex, a stream without fd_read has
 *                           one direction, and one without fd_write is `inval`
 * @param rights_inheriting  nothing is derived from a stream: 0
 * @param fdflags            of the stream: 0 or __WASI_FDFLAGS_NONBLOCK
 * @return notsup: the connection's one stream has been taken; again: the connection is nonblocking, and the peer allows no more streams of this kind at present;
 *         notconn: the peer has closed the connection; timedout: it was silent for too long; connreset: the connection was cut
 */
__wasi_errno_t __wasi_networking_stream_create(__wasi_fd_t connection_fd, __wasi_rights_t rights,
                                               __wasi_rights_t rights_inheriting, __wasi_fdflags_t fdflags,
                                               __wasi_fd_t *ret_stream_fd) WASI_NETWORKING_IMPORT_("stream_create");

/**
 * Takes the next stream that the peer made on a connection; on one that does not multiplex, its one stream. It carries what the
 * connection passes on, and it is blocking. One that the peer only writes to lacks fd_write. It waits for one unless the connection is nonblocking.
 * @return as __wasi_networking_stream_create(); again: the connection is nonblocking, and there is none
 */
__wasi_errno_t __wasi_networking_stream_accept(__wasi_fd_t connection_fd, __wasi_fd_t *ret_stream_fd)
        WASI_NETWORKING_IMPORT_("stream_accept");

#undef WASI_NETWORKING_IMPORT_

/* Reads the digits at `text` up to a colon or the end. Returns -1 if there is anything else. */
static inline __wasi_fd_t wasi_networking_parse_fd_(const char *text) {
        __wasi_fd_t fd = 0;
        size_t n = 0;

        for (; text[n] >= '0' && text[n] <= '9'; ++n) {
                if (n == 9)
                        return -1;
                fd = fd * 10 + (text[n] - '0');
        }
        return n > 0 && (text[n] == ':' || text[n] == '\0') ? fd : -1;
}

/* Finds a name in an environment variable of `name=fd` pairs. @param name  NULL: the first */
static inline __wasi_fd_t wasi_networking_find_(const char *variable, const char *name) {
        const char *pair = getenv(variable);

        while (pair && *pair != '\0') {
                size_t length = strcspn(pair, "=:");

                if (pair[length] == '=' && (!name || (strlen(name) == length && memcmp(name, pair, length) == 0)))
                        return wasi_networking_parse_fd_(pair + length + 1);
                pair = strchr(pair, ':');
                if (pair)
                        ++pair;
        }
        return -1;
}

/**
 * Finds a protocol that the host gave to this guest.
 * @param name  as the policy calls it; NULL: the first
 * @return its descriptor, which is not to be closed while it is needed; -1 if there is none of that name
 */
static inline __wasi_fd_t wasi_networking_find_protocol(const char *name) {
        return wasi_networking_find_(WASI_NETWORKING_PROTOCOLS_VARIABLE, name);
}

/** @return how the WASI specification calls an errno that a network function can return; "errno" for any other. */
static inline const char *wasi_networking_errno_name(__wasi_errno_t error) {
        switch (error) {
        case __WASI_ERRNO_SUCCESS:
                return "success";
        case __WASI_ERRNO_ACCES:
                return "access";
        case __WASI_ERRNO_ADDRINUSE:
                return "addrinuse";
        case __WASI_ERRNO_ADDRNOTAVAIL:
                return "addrnotavail";
        case __WASI_ERRNO_AFNOSUPPORT:
                return "afnosupport";
        case __WASI_ERRNO_AGAIN:
                return "again";
        case __WASI_ERRNO_ALREADY:
                return "already";
        case __WASI_ERRNO_BADF:
                return "badf";
        case __WASI_ERRNO_CANCELED:
                return "canceled";
        case __WASI_ERRNO_CONNABORTED:
                return "connaborted";
        case __WASI_ERRNO_CONNREFUSED:
                return "connrefused";
        case __WASI_ERRNO_CONNRESET:
                return "connreset";
        case __WASI_ERRNO_FAULT:
                return "fault";
        case __WASI_ERRNO_HOSTUNREACH:
                return "hostunreach";
        case __WASI_ERRNO_INPROGRESS:
                return "inprogress";
        case __WASI_ERRNO_INTR:
                return "intr";
        case __WASI_ERRNO_INVAL:
                return "inval";
        case __WASI_ERRNO_IO:
                return "io";
        case __WASI_ERRNO_ISCONN:
                return "isconn";
        case __WASI_ERRNO_MFILE:
                return "mfile";
        case __WASI_ERRNO_MSGSIZE:
                return "msgsize";
        case __WASI_ERRNO_NAMETOOLONG:
                return "nametoolong";
        case __WASI_ERRNO_NETDOWN:
                return "netdown";
        case __WASI_ERRNO_NETRESET:
                return "netreset";
        case __WASI_ERRNO_NETUNREACH:
                return "netunreach";
        case __WASI_ERRNO_NFILE:
                return "nfile";
        case __WASI_ERRNO_NOBUFS:
                return "nobufs";
        case __WASI_ERRNO_NOENT:
                return "noent";
        case __WASI_ERRNO_NOMEM:
                return "nomem";
        case __WASI_ERRNO_NOPROTOOPT:
                return "noprotoopt";
        case __WASI_ERRNO_NOSYS:
                return "nosys";
        case __WASI_ERRNO_NOTCONN:
                return "notconn";
        case __WASI_ERRNO_NOTSOCK:
                return "notsock";
        case __WASI_ERRNO_NOTSUP:
                return "notsup";
        case __WASI_ERRNO_PERM:
                return "perm";
        case __WASI_ERRNO_PIPE:
                return "pipe";
        case __WASI_ERRNO_PROTO:
                return "proto";
        case __WASI_ERRNO_TIMEDOUT:
                return "timedout";
        case __WASI_ERRNO_NOTCAPABLE:
                return "notcapable";
        default:
                return "errno";
        }
}

#ifdef __cplusplus
}
#endif

#endif
