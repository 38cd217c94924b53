/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnetbroker's client: the networking proposal's verbs as C functions.
 *
 * Everything is an object around a descriptor that the broker handed over: a session gives protocols, a protocol opens
 * controls, a control listens and accepts, or connects, a connection yields its stream, or any number of them, each a plain
 * descriptor to read and write. Freeing an object closes its descriptor, which is how authority is given back
 * (but for an idle control, see nb_control_free()); there is nothing else to clean up. Objects made from an object live on when that one is freed.
 *
 * A call that waits and is interrupted (-EINTR from the wait function, or whatever else that fails with)
 * leaves its request outstanding: the same call, repeated, goes on waiting for it. Only nb_session_open()
 * starts anew.
 *
 * Errors are negative errnos; results are untouched then. Beside each function's own, every function that
 * asks the broker can return:
 *   -EACCES         the policy does not grant it (nb_session_last_denial() may know why)
 *   -NB_ENOTCAPABLE a right is missing
 *   -EPIPE          the broker has closed the object, or is gone
 *   -EPROTO         the broker sent something that it must not send; the object is unusable, and says so from then on
 *   -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM  a limit here or there
 *
 * Threads: objects of one session may not be used by two threads at once; different sessions are independent.
 * They share the memory into which frames are received, some 226 KiB of which a few pages are ever touched.
 * While a call is in the wait function, others of the same thread may use other objects of the session, so
 * that fibers can share one; the object itself must not be used or freed.
 */
#ifndef NETBROKER_CLIENT_H
#define NETBROKER_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NB_EXPORT __attribute__((visibility("default")))

/** Negated, the errno for a missing right; WASI's `notcapable`, which Linux has no number for. */
#ifndef NB_ENOTCAPABLE
#define NB_ENOTCAPABLE 4096
#endif

/** The socket of the system's broker. */
#define NB_SOCKET_PATH_DEFAULT "/run/netbroker/session.sock"

/** A broker's word for one process: the tenant that it is, and that tenant's protocols. nb_session_open(), nb_session_free(). */
struct nb_session;

/** What a tenant may do by one [Protocol] of its policy. Counted: nb_protocol_ref(), nb_protocol_unref(). */
struct nb_protocol;

/** A socket in the broker, which listens or connects. nb_open(), nb_control_free(). */
struct nb_control;

/** What came of a control: a peer, and its stream or streams. nb_accept(), nb_connect(), nb_connection_free(). */
struct nb_connection;

/** WASI's `filetype` of a socket. */
enum nb_socket_type {
        NB_SOCKET_DGRAM = 5,
        NB_SOCKET_STREAM = 6,
};

/** What a preopened socket is. */
enum nb_preopen_kind {
        NB_PREOPEN_LISTENER = 1,
        NB_PREOPEN_CONNECTION = 2,
};

/** A socket that the policy gives a guest at its start ([Preopen NAME]). */
struct nb_preopen {
        const char *name;          /**< in the policy */
        enum nb_preopen_kind kind; /**< which of nb_preopen_take_listener() and nb_preopen_take_connection() gives it */
        enum nb_socket_type type;  /**< NB_SOCKET_STREAM or NB_SOCKET_DGRAM */
        const char *address;       /**< what to listen on or to connect to, as the policy has it */
        uint32_t flags;            /**< 0 or NB_NONBLOCK: the descriptor's as the guest finds it */
        uint64_t rights_base;      /**< of the listener; WASI preview 1 bits */
        uint64_t rights_inheriting; /**< of what is accepted; of the connection and its stream */
};

/** Flags of nb_open(). */
#define NB_NONBLOCK 0x4u /**< WASI's fdflags.nonblock: nb_accept() and nb_connect() do not wait */

/**
 * Waits until a descriptor is ready or the time is over: ppoll() with a relative timeout. The library waits
 * nowhere else, so that a host with fibers or an event loop can put its own in here. Several fibers can wait for one descriptor: all are to be
 * woken.
 * @param data        `wait_data` of the options
 * @param fds         as for poll(); `revents` are to be filled in. NULL with `n_fds` 0 only lets the time pass.
 * @param timeout_ns  nanoseconds; negative: for ever; 0: only look
 * @return the number of ready descriptors, 0 when the time is over, or -errno (-EINTR makes the caller return it)
 */
typedef int (*nb_wait_function)(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns);

/**
 * What a session is opened with. NB_SESSION_OPTIONS_INIT sets the defaults, which are 0 and NULL but for session_fd; texts are borrowed for the call.
 *
 * The last 32 descriptors below RLIMIT_NOFILE (its soft limit when the session is opened; of a limit below 128, the last quarter) stay
 * the host's: a network object that would get one of them is closed, and the call fails with -EMFILE.
 */
struct nb_session_options {
        size_t size;             /**< sizeof(struct nb_session_options), so that fields can be added */
        const char *socket_path; /**< the broker's socket; NULL: NB_SOCKET_PATH_DEFAULT. Ignored with session_fd. */
        int session_fd; /**< a connected SEQPACKET socket; consumed also on failure, but for a wrong size; -1: none */
        const char *tenant;    /**< NULL: the only one that fits */
        const char *label;     /**< for the audit log; NULL: none */
        nb_wait_function wait; /**< NULL: ppoll() */
        void *wait_data;       /**< passed to `wait` */
        /**
         * How many milliseconds nb_session_open() pauses in all while the broker is being started again. 0: 5,000 where the broker was there and has gone
         * before it answered, as when it is restarted behind a socket that systemd holds, and none where nobody listens at the path. More than 0 is
         * for both. Less than 0: none at all.
         */
        int outage_ms;
        const char *token; /**< a capability token, as netbrokerctl(1) prints it; NULL: none */
};

/** Defaults for all fields. */
#define NB_SESSION_OPTIONS_INIT                                                                                        \
        { .size = sizeof(struct nb_session_options), .session_fd = -1 }

/**
 * Connects to the broker, agrees on a version, and receives the tenant's protocols. What the broker has answered is the result; only where it goes
 * without an answer it is asked again (outage_ms), which takes a socket_path.
 * @param options  borrowed; NULL for the defaults
 * @param ret      owned by the caller: nb_session_free()
 * @return 0, or a negative errno: -ENOENT or -ECONNREFUSED when there is no broker at the path; -ENAMETOOLONG
 *         for a path that does not fit a socket's address; -ETIMEDOUT when its backlog stayed full for ten
 *         seconds; -EPROTONOSUPPORT when no version fits; -EACCES when no tenant fits; -EMFILE at the
 *         tenant's limit; -EINVAL for options that are too long or no UTF-8, of a newer library that says
 *         what this one does not know, a token that is none, or a session_fd of another kind; -EINTR, with session_fd closed.
 */
NB_EXPORT int nb_session_open(const struct nb_session_options *options, struct nb_session **ret);

/**
 * Makes a session that no broker knows of, for protocols that other processes hand over (nb_protocol_import()). It has no tenant until it has one of these.
 * @param options  only `wait` and `wait_data` mean something; NULL for the defaults
 * @param ret      owned by the caller: nb_session_free()
 * @return 0; -EINVAL as nb_session_open(); -ENOMEM
 */
NB_EXPORT int nb_session_new(const struct nb_session_options *options, struct nb_session **ret);

/** Closes the session's own channel, and the protocols and preopened sockets that were not taken. Takes NULL. @return NULL. */
NB_EXPORT struct nb_session *nb_session_free(struct nb_session *session);

/** @return the tenant's name, borrowed from the session. */
NB_EXPORT const char *nb_session_tenant(const struct nb_session *session);

/** @return how many protocols the policy gives. */
NB_EXPORT size_t nb_session_n_protocols(const struct nb_session *session);

/** @return the protocol at `index` in the policy's order, borrowed from the session; NULL behind the last. */
NB_EXPORT struct nb_protocol *nb_session_protocol(struct nb_session *session, size_t index);

/** @return the protocol of that name, borrowed from the session, or NULL. */
NB_EXPORT struct nb_protocol *nb_session_find_protocol(struct nb_session *session, const char *name);

/** @return how many preopened sockets the policy gives. */
NB_EXPORT size_t nb_session_n_preopens(const struct nb_session *session);

/** @return what the preopened socket at `index`, in the policy's order, is; borrowed from the session; NULL behind the last. */
NB_EXPORT const struct nb_preopen *nb_session_preopen(const struct nb_session *session, size_t index);

/**
 * Lets each preopened socket listen or connect that does not yet, so that a guest finds it ready: one round trip each. The
 * first that fails ends it; what was started before stays so, and a repeated call goes on there.
 * @param ret_failed  the index of the one that failed; untouched on success; may be NULL
 * @return 0, or a negative errno of nb_listen() or nb_connect()
 */
NB_EXPORT int nb_session_start_preopens(struct nb_session *session, size_t *ret_failed);

/**
 * Takes a preopened listener, which is started if it was not. There is one.
 * @param ret  owned by the caller: nb_control_free()
 * @return 0; -EINVAL when there is no listener at `index`; -EBUSY when it has been taken; a negative errno of nb_listen()
 */
NB_EXPORT int nb_preopen_take_listener(struct nb_session *session, size_t index, struct nb_control **ret);

/**
 * Takes a preopened connection, which is started if it was not. There is one.
 * @param ret  owned by the caller: nb_connection_free()
 * @return 0; -EINVAL when there is no connection at `index`; -EBUSY when it has been taken; a negative errno of nb_connect()
 */
NB_EXPORT int nb_preopen_take_connection(struct nb_session *session, size_t index, struct nb_connection **ret);

/** @return why the policy last said no, borrowed until the next call on the session; "" where it hides it. */
NB_EXPORT const char *nb_session_last_denial(const struct nb_session *session);

/** Adds a reference, so that a protocol outlives its session. @return `protocol`. */
NB_EXPORT struct nb_protocol *nb_protocol_ref(struct nb_protocol *protocol);

/** Gives a reference back; the last closes the descriptor. Takes NULL. @return NULL. */
NB_EXPORT struct nb_protocol *nb_protocol_unref(struct nb_protocol *protocol);

/** @return the protocol's name in the policy, borrowed. */
NB_EXPORT const char *nb_protocol_name(const struct nb_protocol *protocol);

/** Reads the rights that the policy lets a protocol_fd carry, as WASI preview 1 bits. */
NB_EXPORT void nb_protocol_rights(const struct nb_protocol *protocol, uint64_t *ret_base, uint64_t *ret_inheriting);

/**
 * Makes a narrower protocol of one, for less trusted code: it can do what this one can, as far as the rules grant it and the rights are left. It can be
 * narrowed again, never widened. One round trip, which is waited for; interrupted, it goes on as nb_open() does.
 *
 * It is a channel of its own. It ends with what it came of only where the broker or the operator ends that: closing one leaves the other.
 * @param rules   lines of Connect=, Listen= and Deny= as in a policy, which are all that is granted; the empty text grants nothing. NULL: the rules stay as they
 *                are. At most 4,096 bytes.
 * @param length  of `rules` in bytes
 * @param rights_base        what is left of this protocol's rights; bits that it has not are ignored
 * @param rights_inheriting  the same of what its controls may have
 * @param ret     owned by the caller: nb_protocol_unref()
 * @return 0, or a negative errno: -EINVAL for what are no rules (nb_session_last_denial() tells the line and what is wrong with it), or has been narrowed too
 *         often; -EMFILE, -ENOBUFS at the tenant's limits: it counts as a control; -EBUSY as nb_open()
 */
NB_EXPORT int nb_protocol_restrict(struct nb_protocol *protocol, const char *rules, size_t length, uint64_t rights_base,
                                   uint64_t rights_inheriting, struct nb_protocol **ret);

/**
 * Makes a descriptor that can be passed to another process, where nb_protocol_import() makes a protocol of it that can do just what this one can, without
 * a session: SCM_RIGHTS, or inherited by a child once its FD_CLOEXEC is cleared. Whoever holds it has the authority, and goes on to have it when this process
 * and its session have ended; the operator, and the policy, end it as they end the session's. What it does is charged to the session's tenant.
 *
 * It is a channel of its own, since two processes on one would take each other's answers. One round trip. To be called before nb_lockdown(), behind which
 * no descriptor can be passed on.
 * @param ret_fd  owned by the caller; FD_CLOEXEC is set
 * @return as nb_protocol_restrict()
 */
NB_EXPORT int nb_protocol_export(struct nb_protocol *protocol, int *ret_fd);

/**
 * Takes a protocol that another process has handed over. One round trip.
 * @param session  one of nb_session_new(), or any other; it has the protocol from now on
 * @param fd       of nb_protocol_export(), never used before; consumed on success only
 * @param name     what it is to be called here, other than the session's others; NULL: as the policy calls it
 * @param ret      borrowed from the session
 * @return 0, or a negative errno: -EINVAL for a name that cannot be, or a descriptor of another kind; -EMFILE when the session has 64; -EPROTONOSUPPORT
 *         when no version fits; -EINTR: the same call goes on
 */
NB_EXPORT int nb_protocol_import(struct nb_session *session, int fd, const char *name, struct nb_protocol **ret);

/**
 * Makes a control: a socket in the broker, bound to `address`. One round trip, which is waited for whatever
 * the flags are. When it was interrupted and something else is asked for next, the first control is closed as
 * it comes.
 * @param address            "192.0.2.1:80", "[2001:db8::1]:80"; port 0 leaves the choice to the broker. On a protocol of Unix
 *                           sockets a path, "/run/app/s", an abstract name, "@app", or for a client the empty text.
 * @param length             of `address` in bytes
 * @param rights_base        what the control may do (WASI preview 1 bits); -NB_ENOTCAPABLE beyond the policy's
 * @param rights_inheriting  what can be derived from it
 * @param flags              0 or NB_NONBLOCK
 * @param ret                owned by the caller: nb_control_free()
 * @return 0, or a negative errno: -EINVAL for a text that is no address, -EAFNOSUPPORT for one that the
 *         protocol has not, -EADDRINUSE, -EADDRNOTAVAIL, -ENOTSUP for a type that the protocol has not, -EBUSY
 *         while another fiber waits in nb_open() on the same protocol.
 */
NB_EXPORT int nb_open(struct nb_protocol *protocol, const char *address, size_t length, enum nb_socket_type type,
                      uint64_t rights_base, uint64_t rights_inheriting, uint32_t flags, struct nb_control **ret);

/**
 * Closes the control: what was connecting is given up, who waits to be accepted is reset. One that is idle and bound to
 * nothing (0.0.0.0:0, [::]:0, or the empty text) is kept by its protocol instead, one of each type of socket, where the next nb_open()
 * finds it and asks nobody.
 * Takes NULL. @return NULL.
 */
NB_EXPORT struct nb_control *nb_control_free(struct nb_control *control);

/** Switches NB_NONBLOCK on or off. */
NB_EXPORT void nb_control_set_flags(struct nb_control *control, uint32_t flags);

/** Reads the rights that the broker confirmed, as WASI preview 1 bits. */
NB_EXPORT void nb_control_rights(const struct nb_control *control, uint64_t *ret_base, uint64_t *ret_inheriting);

/** @return the local address as text, borrowed; after nb_listen() with the port that was chosen. */
NB_EXPORT const char *nb_control_address(const struct nb_control *control);

/**
 * The descriptor to poll, and the events to poll it for, until nb_accept() or nb_connect() might not wait. It is not to be read: when it is
 * ready, nb_control_ready() says whether that means anything.
 *
 * Both can be others after a call on the control: of one that was lost with its broker it is its protocol's descriptor, until it is found again.
 * @param ret_events  POLLIN, whatever is waited for, and POLLOUT while a request could not be sent yet
 * @return the descriptor, borrowed
 */
NB_EXPORT int nb_control_poll_fd(const struct nb_control *control, short *ret_events);

/**
 * Says, without waiting, whether nb_accept(), or nb_connect() of what is being connected to, would not wait, also because it fails. Takes in what means
 * nothing, as when a broker has been started again, so that the next poll waits again.
 * @return POLLIN: it would not wait; POLLHUP with it: the control is at its end; 0: it would wait
 */
NB_EXPORT short nb_control_ready(struct nb_control *control);

/**
 * Starts listening. One round trip, which is waited for whatever the flags are. On a control that listens it
 * does nothing: the first backlog stays.
 * @param backlog  how many peers may wait in the kernel, which adjusts it as listen() does
 * @return 0, or a negative errno: -EISCONN on a control that has connected or is connecting; -EADDRINUSE; -ENOTSUP on one of
 *         datagrams where the host has no relay to serve it.
 */
NB_EXPORT int nb_listen(struct nb_control *control, int backlog);

/**
 * Takes the next connection. No round trip: the broker has pushed it already, or this waits. On a control of datagrams it is a peer that
 * has sent something, and its stream, which keeps message borders, begins with that.
 * @param ret  owned by the caller: nb_connection_free()
 * @return 0, or a negative errno: -EAGAIN with NB_NONBLOCK when there is none; -EINVAL on a control that does
 *         not listen; -EMFILE when this process had no room for the descriptor: that connection is lost,
 *         the next may be had.
 */
NB_EXPORT int nb_accept(struct nb_control *control, struct nb_connection **ret);

/**
 * Connects to `address`. One round trip. A control whose bind address left the port open connects any number
 * of times, one after the other; each makes a connection of its own.
 *
 * With NB_NONBLOCK the first call returns -EINPROGRESS, and the same call, repeated when the control is
 * readable, yields the result.
 * @param ret  owned by the caller: nb_connection_free()
 * @return 0, or a negative errno: -EINPROGRESS; -EALREADY while it lasts, or when another address is being
 *         connected to; -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH as connect(2); -EAGAIN when the
 *         broker has too many under way for this tenant; -EINVAL for a text that is no address or a control
 *         that listens.
 */
NB_EXPORT int nb_connect(struct nb_control *control, const char *address, size_t length, struct nb_connection **ret);

/** Closes the connection, and its stream if nobody has taken it. Takes NULL. @return NULL. */
NB_EXPORT struct nb_connection *nb_connection_free(struct nb_connection *connection);

/** @return the peer's address as text, borrowed; "" where the peer's Unix socket has no name. */
NB_EXPORT const char *nb_connection_peer(const struct nb_connection *connection);

/** @return the local address as the broker told it, borrowed; "" where getsockname() of the stream tells it, or it has none. */
NB_EXPORT const char *nb_connection_local(const struct nb_connection *connection);

/** What TLS has agreed on with the peer. TLS is done where the policy says so, outside of this process: the stream carries what it protects. */
struct nb_security {
        const char *version;           /**< "TLS1.3" */
        const char *cipher;            /**< as IANA names suites: "TLS_AES_128_GCM_SHA256" */
        const char *alpn;              /**< RFC 7301; "" where none was agreed on */
        int resumed;                   /**< 1: by a session ticket, without showing certificates again */
        size_t n_peer_names;           /**< 8 at most; 0 without a certificate */
        const char *const *peer_names; /**< DNS names and addresses of the peer's certificate, which was verified */
};

/**
 * Tells what TLS the connection has.
 * @return borrowed from the connection; NULL where it has none: what the peer sends is then neither secret nor known to be its own
 */
NB_EXPORT const struct nb_security *nb_connection_security(const struct nb_connection *connection);

/**
 * Whether there are any number of streams on the connection, which either side makes (QUIC).
 * @return 1; 0 where there is one stream, which is there from the beginning
 */
NB_EXPORT int nb_connection_is_multiplexed(const struct nb_connection *connection);

/** A stream, as nb_stream_create() and nb_stream_accept() fill it in. Nothing in it is freed but the descriptor. */
struct nb_stream {
        int fd;         /**< owned by the caller: a non-blocking, close-on-exec socket to read and write */
        uint64_t id;    /**< as the protocol numbers it (RFC 9000, 2.1); 0 where it does not */
        bool may_read;  /**< whether bytes can come from the peer: not on a unidirectional stream of ours */
        bool may_write; /**< and go to it: not on one of the peer's */
        bool datagrams; /**< one message is one datagram; the socket keeps their borders */
        /**
         * Of a multiplexed connection's datagrams: what is longer, in bytes, is dropped; 0: no such bound.
         */
        uint32_t message_max;
};

/** Flags of nb_stream_create() and nb_stream_accept(). Both mean nothing where a connection has one stream. */
#define NB_STREAM_UNIDIRECTIONAL 0x1u /**< to write only; of nb_stream_create() */
#define NB_STREAM_NONBLOCK 0x2u       /**< do not wait for the peer */

/**
 * Makes a stream. On a connection that does not multiplex it takes the only one, without a request.
 *
 * On one that does, the peer limits how many there may be of each kind: within that it is one round trip to the relay, which is on this host and
 * is waited for whatever the flags are; beyond, the call waits until the peer allows more. A connection of datagrams has one channel of
 * them and no other streams, and whichever of the two functions is called first gets it.
 * @param flags  NB_STREAM_...
 * @param ret    its descriptor is owned by the caller
 * @return 0, or a negative errno: -ENOTSUP when the only stream has been taken; -EINVAL for unknown flags, or a unidirectional channel of
 *         datagrams; -EAGAIN with NB_STREAM_NONBLOCK at the peer's limit. When the connection is over: -ENOTCONN when the peer has closed it as one
 *         does, -ETIMEDOUT when nothing was heard of it for too long, -ECONNRESET when it was cut or the relay is gone, or what else
 *         ended it (nb_connection_end_reason() may know more).
 */
NB_EXPORT int nb_stream_create(struct nb_connection *connection, unsigned flags, struct nb_stream *ret);

/**
 * Takes a stream that the peer has made, in the order in which they came. Where a connection has one stream, or one channel of datagrams, it is
 * the same as nb_stream_create(). Streams that came before the connection was over can still be taken.
 * @return as nb_stream_create(): -EAGAIN with NB_STREAM_NONBLOCK when there is none; -EMFILE when this process had no room for the descriptor:
 *         that stream is lost, and reset for the peer; the next may be had
 */
NB_EXPORT int nb_stream_accept(struct nb_connection *connection, unsigned flags, struct nb_stream *ret);

/**
 * The descriptor to poll until nb_stream_accept() or nb_stream_create() might not wait. It is not to be read: when it is ready,
 * nb_connection_ready() says what that means, and takes in what came, so that the next poll waits again.
 * @param ret_events  the events to poll it for
 * @return the descriptor, borrowed; -1 where the connection does not multiplex, and nothing ever waits
 */
NB_EXPORT int nb_connection_poll_fd(const struct nb_connection *connection, short *ret_events);

/**
 * Says, without waiting, which of the two would not wait, also because they fail.
 * @return POLLIN: nb_stream_accept(); POLLOUT: nb_stream_create() of a kind for which -EAGAIN was its last answer, or bidirectional if there is
 *         no such kind; POLLHUP: the connection is over
 */
NB_EXPORT short nb_connection_ready(struct nb_connection *connection);

/** @return why a multiplexed connection is over, as far as the relay says, borrowed; "" where it does not, or the connection is not over. */
NB_EXPORT const char *nb_connection_end_reason(const struct nb_connection *connection);

#ifdef __cplusplus
}
#endif

#endif
