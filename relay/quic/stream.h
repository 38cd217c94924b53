/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream: its pair, its two rings, and its ends.
 *
 *      peer ──► in ──► pair ──► guest      OPEN ──FIN──► FINISHED ──guest told──► OVER
 *                                           ├──RESET_STREAM──► RESET ──the guest has what came──► OVER: the pair is closed, ECONNRESET
 *                                           └──nobody takes it: STOP_SENDING──► OVER
 *      guest ──► pair ──► out ──► peer     OPEN ──the guest's end──► FINISHED ──taken with its last byte──► SENT
 *                                           └──reset by us, or STOP_SENDING came──► OVER
 *
 * Our end of the pair is closed when nothing can move either way any more: the guest has closed its end, or ended its direction and knows of the other's end. What
 * was written is kept without it until it is acknowledged. The stream is freed when the pair is closed and the library has closed it, too, and then
 * the peer may open another: so a guest that keeps streams that are over keeps its peer from making new ones.
 *
 * A stream of the peer's has no pair before the guest's host gives credit for it (relay/quic/guest_channel.h); what comes is kept in `in`.
 */
#ifndef NB_RELAY_QUIC_STREAM_H
#define NB_RELAY_QUIC_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/watch.h"
#include "relay/quic/ring.h"

struct quic_connection;
struct transport;

enum quic_in_state {
        QUIC_IN_OPEN,
        QUIC_IN_FINISHED,
        QUIC_IN_RESET,
        QUIC_IN_OVER,
};

enum quic_out_state {
        QUIC_OUT_OPEN,
        QUIC_OUT_FINISHED,
        QUIC_OUT_SENT,
        QUIC_OUT_OVER,
};

/** Who writes to it. */
enum quic_stream_kind {
        QUIC_STREAM_BIDIRECTIONAL,
        QUIC_STREAM_OURS,
        QUIC_STREAM_PEERS,
};

struct quic_stream {
        struct nb_list in_all;
        struct nb_list in_sending;
        struct nb_list in_changed;
        struct nb_list in_incoming;
        struct quic_connection *connection; /* borrowed */
        int64_t id;                         /* as the protocol numbers it; -1: the library has not opened it yet */

        struct transport *pair; /* our end; owned; NULL: not made yet, or closed */
        struct watch watch;
        bool may_read; /* there may be something: events are told once */
        bool may_write;
        bool end_is_near; /* the guest has ended its direction, which is told once; the end is behind what is in the queue */
        bool hung_up;        /* nothing can be moved but what is in the queue */
        bool is_cut;         /* bytes were lost, of either direction, and the guest is told no clean end */
        bool guest_is_done;  /* its direction has come to its end */
        bool reads_are_long; /* the last one was */

        struct quic_ring in;
        enum quic_in_state in_state;
        bool in_is_complete; /* everything of the peer's has come, and its FIN */
        uint64_t owed;       /* bytes that came and were not credited to the connection yet */

        struct quic_ring out;
        enum quic_out_state out_state;
        bool is_blocked;    /* by the peer's window for this stream */
        bool fin_was_alone; /* in a frame of its own */
        bool fin_is_acked;
        bool is_limited;  /* all was sent, and more could have been but for `out_max` */
        size_t out_max;   /* how much `out` may hold; grows with what a round trip carries */
        uint64_t n_taken; /* bytes that were, and that were acknowledged, in its life */
        uint64_t n_acked;
        uint64_t round_end; /* of `n_taken`: once that is acknowledged a round trip is over */
        size_t share_left;  /* of its turn, in bytes */

        bool is_closed; /* by the library */
        size_t charged; /* memory of the rings, as it was counted last */
};

/**
 * Makes one that has no pair and no ID yet, and puts it among those of the connection.
 * @return owned by the connection; NULL without memory
 */
struct quic_stream *quic_stream_new(struct quic_connection *connection, enum quic_stream_kind kind);

/** Frees it. A guest that was not told an end gets ECONNRESET. */
void quic_stream_free(struct quic_stream *stream);

/**
 * The connection is over, but not by a word of the broker's: what came whole the guest still gets, and is told a clean end if nothing of its own was lost.
 * To be called before quic_stream_free().
 */
void quic_stream_outlive(struct quic_stream *stream);

/**
 * Makes its pair.
 * @param ret_guest_fd  owned by the caller
 * @return 0; -EMFILE: there may be no more descriptors; another -errno
 */
int quic_stream_make_pair(struct quic_stream *stream, int *ret_guest_fd);

/** Takes that back: the guest's end did not get to its host. */
void quic_stream_unmake_pair(struct quic_stream *stream);

/** Nobody takes it: both directions that there are are ended with an error. Harmless where they have ended. */
void quic_stream_refuse(struct quic_stream *stream);

/** Moves bytes and ends both ways, as far as one turn lets. @return whether there is more to do */
bool quic_stream_run(struct quic_stream *stream);

/** Whether nothing is left of it. */
bool quic_stream_is_over(const struct quic_stream *stream);

/** Whether everything of the guest's has been delivered, or will never be. */
bool quic_stream_is_drained(const struct quic_stream *stream);

/** Puts it among those that are looked at in the next run. */
void quic_stream_changed(struct quic_stream *stream);

/** Takes bytes of the peer's, and its FIN. @return 0 or -ENOMEM */
int quic_stream_receive(struct quic_stream *stream, const uint8_t *bytes, size_t length, bool fin);

/** So many bytes, and the FIN, have become a packet. */
void quic_stream_took(struct quic_stream *stream, size_t length, bool fin);

/** So many bytes more, of the first, have been acknowledged; none: the FIN. */
void quic_stream_acknowledged(struct quic_stream *stream, size_t length);

/** The peer has reset its direction. */
void quic_stream_was_reset(struct quic_stream *stream);

/** The peer does not read any more (STOP_SENDING): the guest's writes fail, and what it wrote is dropped. */
void quic_stream_was_stopped(struct quic_stream *stream);

/** The library has closed it, and will not name it again. */
void quic_stream_was_closed(struct quic_stream *stream);

/** Whether there is something to be sent: bytes, or the FIN. */
bool quic_stream_has_unsent(const struct quic_stream *stream);

#endif
