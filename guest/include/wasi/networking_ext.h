/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <wasi/networking_ext.h>: what the networking proposal of 2020 leaves out and programs need.
 *
 * Module `networking_ext` is netbroker's own. It makes a protocol narrower, tells the addresses of a descriptor, what TLS the host does for it, why the policy last
 * said no, and gets and sets the options of a stream's socket that programs have a use for. Errors are those of <wasi/networking.h>. A text that does not fit its
 * buffer is not written, but its length is: `nametoolong` says how much room to come again with.
 *
 * Here is also how to find the preopened sockets, which takes no import.
 */
#ifndef WASI_NETWORKING_EXT_H
#define WASI_NETWORKING_EXT_H

#include <wasi/networking.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The environment variable that names the preopened sockets: `name=fd` pairs, joined by colons, as in `http=4:db=5`. */
#define WASI_NETWORKING_PREOPENS_VARIABLE "NETWORKING_PREOPENS"

/** Enough for the text of any address. */
#define WASI_NETWORKING_ADDRESS_MAX 512

/** Enough for any text about TLS. */
#define WASI_NETWORKING_TLS_TEXT_MAX 255

/** Enough for any reason of a denial. */
#define WASI_NETWORKING_REASON_MAX 1024

/**
 * The options of a stream. Their values are non-negative integers. Getting one takes no right, setting one takes fd_fdstat_set_flags.
 */
typedef uint32_t __wasi_networking_option_t;

/** Read only: what went wrong with the socket since it was last asked, an errno of WASI; 0: nothing. POSIX SO_ERROR. */
#define __WASI_NETWORKING_OPTION_ERROR ((__wasi_networking_option_t)1)
/** 0 or 1: small writes are sent at once. RFC 9293 section 3.7.4, TCP_NODELAY. */
#define __WASI_NETWORKING_OPTION_TCP_NODELAY ((__wasi_networking_option_t)2)
/** 0 or 1: a silent peer is probed, where the protocol can do that. POSIX SO_KEEPALIVE. */
#define __WASI_NETWORKING_OPTION_KEEPALIVE ((__wasi_networking_option_t)3)
/** Seconds of silence before the first probe, 1 to 32767. TCP_KEEPIDLE. */
#define __WASI_NETWORKING_OPTION_TCP_KEEPIDLE ((__wasi_networking_option_t)4)
/** Seconds between probes, 1 to 32767. TCP_KEEPINTVL. */
#define __WASI_NETWORKING_OPTION_TCP_KEEPINTVL ((__wasi_networking_option_t)5)
/** Probes before the connection is given up, 1 to 127. TCP_KEEPCNT. */
#define __WASI_NETWORKING_OPTION_TCP_KEEPCNT ((__wasi_networking_option_t)6)
/** Milliseconds that data may stay unacknowledged before the connection is given up, 0: the system's choice. RFC 5482, TCP_USER_TIMEOUT. */
#define __WASI_NETWORKING_OPTION_TCP_USER_TIMEOUT ((__wasi_networking_option_t)7)
/**
 * Bytes of the receive buffer. POSIX SO_RCVBUF. The host has a least and a most, and takes a wish beyond them for these; getting the
 * option tells what it came to. Unlike Linux's getsockopt(), that is no multiple of what was set.
 */
#define __WASI_NETWORKING_OPTION_RCVBUF ((__wasi_networking_option_t)8)
/** The same of the send buffer. POSIX SO_SNDBUF. */
#define __WASI_NETWORKING_OPTION_SNDBUF ((__wasi_networking_option_t)9)

/** The longest text of rules. */
#define WASI_NETWORKING_RULES_MAX 4096

#define WASI_NETWORKING_EXT_IMPORT_(name)                                                                              \
        __attribute__((__import_module__("networking_ext"), __import_name__(name), __warn_unused_result__))

/**
 * Makes a narrower protocol of one, to be given to code that is trusted less: whoever has it can do what the first can, as far as the rules grant it. It can be
 * narrowed again and never widened, and what is opened on it stays as narrow. Closing the first leaves it.
 *
 * Rules are lines as in the host's policy, of which all that is said counts, and what is not said is not granted:
 *
 *     Connect=api.example.com:443 10.20.0.0/16:5432
 *     Deny=10.20.99.0/24:*
 *     Listen=[::1]:8080
 *
 * @param rules       text, at most WASI_NETWORKING_RULES_MAX bytes; the empty text grants nothing; NULL with a length of 0: the rules stay as they are
 * @param rights_base, rights_inheriting  what is left of the first one's rights; others are ignored. Without sock_bind nothing can be opened.
 * @param ret_fd      the narrower protocol
 * @return inval: these are no rules, and __wasi_networking_last_denial() says which line and why, or it has been narrowed too often
 */
__wasi_errno_t __wasi_networking_protocol_restrict(__wasi_fd_t protocol_fd, const char *rules, __wasi_size_t rules_len,
                                                   __wasi_rights_t rights_base, __wasi_rights_t rights_inheriting,
                                                   __wasi_fd_t *ret_fd)
        WASI_NETWORKING_EXT_IMPORT_("protocol_restrict");

/**
 * The local address of a control, a connection or a stream as text, without a NUL.
 * @param buffer      gets the text, if it fits
 * @param ret_length  the text's length in bytes; also when it does not fit
 * @return nametoolong: it does not fit; notconn: the stream of this connection is closed, and its address with it
 */
__wasi_errno_t __wasi_networking_local_address(__wasi_fd_t fd, char *buffer, __wasi_size_t buffer_len,
                                               __wasi_size_t *ret_length) WASI_NETWORKING_EXT_IMPORT_("local_address");

/**
 * The remote address of a connection or a stream as text; the empty one for a Unix socket without a name.
 * @return nametoolong: it does not fit; notconn: the descriptor is a control
 */
__wasi_errno_t __wasi_networking_remote_address(__wasi_fd_t fd, char *buffer, __wasi_size_t buffer_len,
                                                __wasi_size_t *ret_length)
        WASI_NETWORKING_EXT_IMPORT_("remote_address");

/*
 * What TLS has been agreed on with the peer. Where the policy says TLS, the host does it: a stream carries what TLS protects, and the guest
 * needs no library and no key. These functions are for guests that want to know. They are served by a connection and its stream, and answer
 *   noprotoopt   there is no TLS on this connection: the peer is not known to be who it says
 *   notconn      the descriptor is a control
 *   nametoolong  the text does not fit
 */

/** The version, "TLS1.2" or "TLS1.3". */
__wasi_errno_t __wasi_networking_tls_version(__wasi_fd_t fd, char *buffer, __wasi_size_t buffer_len,
                                             __wasi_size_t *ret_length) WASI_NETWORKING_EXT_IMPORT_("tls_version");

/** The cipher suite by its name with IANA: "TLS_AES_128_GCM_SHA256". */
__wasi_errno_t __wasi_networking_tls_cipher(__wasi_fd_t fd, char *buffer, __wasi_size_t buffer_len,
                                            __wasi_size_t *ret_length) WASI_NETWORKING_EXT_IMPORT_("tls_cipher");

/** The application's protocol, RFC 7301: "h2"; the empty text where none was agreed on. The policy says what is offered. */
__wasi_errno_t __wasi_networking_tls_alpn(__wasi_fd_t fd, char *buffer, __wasi_size_t buffer_len,
                                          __wasi_size_t *ret_length) WASI_NETWORKING_EXT_IMPORT_("tls_alpn");

/**
 * A name of the peer's certificate, which the host has verified: a DNS name or an address of its subjectAltName.
 * @param index  from 0; there are eight at most, and none without a certificate
 * @return noent: there are not so many
 */
__wasi_errno_t __wasi_networking_tls_peer_name(__wasi_fd_t fd, uint32_t index, char *buffer, __wasi_size_t buffer_len,
                                               __wasi_size_t *ret_length) WASI_NETWORKING_EXT_IMPORT_("tls_peer_name");

/** Whether an earlier session was resumed, so that no certificate was shown again: 1 or 0. */
__wasi_errno_t __wasi_networking_tls_resumed(__wasi_fd_t fd, uint32_t *ret_resumed)
        WASI_NETWORKING_EXT_IMPORT_("tls_resumed");

/**
 * Why the policy last refused this guest something; the empty text where nothing was refused, or the policy hides it.
 * @return nametoolong: it does not fit
 */
__wasi_errno_t __wasi_networking_last_denial(char *buffer, __wasi_size_t buffer_len, __wasi_size_t *ret_length)
        WASI_NETWORKING_EXT_IMPORT_("last_denial");

/**
 * Gets an option of a stream.
 * @return inval: there is no such option; noprotoopt: this stream has not
 */
__wasi_errno_t __wasi_networking_get_option(__wasi_fd_t stream_fd, __wasi_networking_option_t option,
                                            uint32_t *ret_value) WASI_NETWORKING_EXT_IMPORT_("get_option");

/**
 * Sets an option of a stream.
 * @return inval: there is no such option, it is read only, or it cannot have that value; noprotoopt: this stream has it not;
 *         notcapable: the right fd_fdstat_set_flags is missing
 */
__wasi_errno_t __wasi_networking_set_option(__wasi_fd_t stream_fd, __wasi_networking_option_t option, uint32_t value)
        WASI_NETWORKING_EXT_IMPORT_("set_option");

#undef WASI_NETWORKING_EXT_IMPORT_

/**
 * Finds a preopened socket that the host gave to this guest.
 * @param name  as the policy calls it; NULL: the first
 * @return its descriptor: a control_fd that listens, or a stream_fd; -1 if there is none of that name
 */
static inline __wasi_fd_t wasi_networking_find_preopen(const char *name) {
        return wasi_networking_find_(WASI_NETWORKING_PREOPENS_VARIABLE, name);
}

#ifdef __cplusplus
}
#endif

#endif
