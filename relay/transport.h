/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A way for bytes, or datagrams, to one side of a link: a socket, or something that lies on another transport, as TLS does.
 *
 * A link has one stack of them towards the peer, and one transport towards the guest:
 *
 *      guest's pair ─ socket transport ─┐                ┌─ TLS ─ [TLS to the proxy] ─ [bytes read too far] ─ socket transport ─ peer
 *                                       └── the pump ────┘
 *
 * Nothing waits. Every descriptor is watched edge-triggered for everything, from the beginning to the end, so whoever gets -EAGAIN just returns:
 * the link is run again when anything has changed on either side. That is also why TLS needs no say in what is waited for.
 */
#ifndef NB_RELAY_TRANSPORT_H
#define NB_RELAY_TRANSPORT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct transport;

struct transport_ops {
        /**
         * Reads what there is.
         * @return how many bytes (> 0); 0 at a clean end of what the other side has to say; -EAGAIN; -ECONNRESET for an end that is not
         *         clean, a truncation included; another -errno
         */
        ssize_t (*read)(struct transport *transport, void *buffer, size_t size);
        /**
         * Writes what can be written; the rest is offered again, with the same bytes first. SIGPIPE is never raised.
         * @return how many bytes (> 0); -EAGAIN; another -errno
         */
        ssize_t (*write)(struct transport *transport, const void *bytes, size_t size);
        /**
         * Says that nothing more is written: shutdown(SHUT_WR), or close_notify and then that. May be called again after -EAGAIN.
         * @return 0; -EAGAIN; another -errno
         */
        int (*finish)(struct transport *transport);
        /** Frees itself and what it owns, not what it lies on. */
        void (*free)(struct transport *transport);
        /**
         * Moves what there is into a pipe, without a look at it. NULL: it cannot.
         * @return as `read`
         */
        ssize_t (*splice)(struct transport *transport, int pipe_fd, size_t size);
};

struct transport {
        const struct transport_ops *ops;
        struct transport *below; /* owned, freed with it; NULL for a socket */
        int fd; /* of a socket transport with nothing of its own in between, which may be written to by splice(2); otherwise -1 */
        bool is_drained; /* set by `read`: there was no more, but behind an urgent byte; of more we are told */
};

/** Frees a stack from the top. Takes NULL. @return NULL */
struct transport *transport_free(struct transport *top);

/** The descriptor at the bottom, borrowed. */
int transport_bottom_fd(const struct transport *top);

/** What `read` of a transport of datagrams says of a message without a byte, for 0 is the end; and of one that did not fit and is lost. */
#define TRANSPORT_EMPTY (-ENOMSG)
#define TRANSPORT_TOO_LONG (-EMSGSIZE)

/** What `splice` says where there is too little to be worth it, or it is not known: `read` is to be asked. */
#define TRANSPORT_SHORT (-ENODATA)

/**
 * Has the kernel tell the peer of a reset, and not of a regular end, when its socket is closed. A TCP socket's only; others cannot be told.
 */
void transport_reset(const struct transport *top);

/** As transport_reset(), of a socket that has no transport. @param fd  borrowed */
void transport_reset_socket(int fd);

/**
 * Of the peer's socket.
 * @param fd  consumed on success only; non-blocking
 * @return owned by the caller, or NULL without memory
 */
struct transport *transport_new_socket(int fd, bool datagrams);

/**
 * Has the kernel hold small segments of a TCP socket, borrowed, back for others, or not; of another socket it does nothing.
 * @return whether it is a TCP socket
 */
bool transport_hurry(int fd, bool on);

/**
 * Of our end of the guest's pair. Freeing it tells the guest how its stream has ended: after a `finish` by an end of file, and otherwise by
 * ECONNRESET (relay/pair.h).
 * @param fd  consumed on success only; non-blocking, of a fresh pair whose maker has the kernel refuse descriptors at both ends
 */
struct transport *transport_new_pair(int fd, bool datagrams);

/**
 * Gives `bytes` first, and then what is below: for a handshake that could not help reading too far.
 * @param below   consumed on success only
 * @param bytes   copied
 * @param length  at most TRANSPORT_REST_MAX
 */
struct transport *transport_new_rest(struct transport *below, const void *bytes, size_t length);

#define TRANSPORT_REST_MAX 16384

#endif
