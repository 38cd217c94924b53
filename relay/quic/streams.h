/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams of a connection, each with a pair whose other end the guest has; or its one channel of datagrams.
 *
 *      guest ─ pair ──read──► `out`, until it is acknowledged ──► packets         `out` is bounded: then the pair is not read
 *      guest ◄─ pair ◄──written after the batch── `in` ◄── packets                what the guest does not read is not credited
 *
 * Credit of a connection is given back when its bytes arrive, that of a stream when its guest has taken them: so a guest that does not read stops its stream
 * and no other. What that costs is bounded by streams times window, and by the relay as a whole: beyond a budget the connection's credit waits too.
 *
 * Ends (a table for users is in netbroker-guest(7)): shutdown for writing and close are FIN, a close with unread bytes is RESET_STREAM and STOP_SENDING; the
 * peer's FIN is an end of file, its RESET_STREAM is ECONNRESET, its STOP_SENDING is EPIPE. The unread byte of a pair (relay/pair.h) makes a stream whose
 * connection or relay is gone ECONNRESET, too; but what had come whole by then the guest still gets (relay/quic/leftover.h).
 *
 * A stream that the library has closed is kept until its guest has everything. Turns are by stream: one that has much to send goes to the end of the list
 * after a share.
 */
#ifndef NB_RELAY_QUIC_STREAMS_H
#define NB_RELAY_QUIC_STREAMS_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct quic_connection;
struct quic_datagrams;
struct quic_stream;

/** Parts of what a stream offers to be written. */
#define QUIC_OFFER_PARTS 8

struct quic_streams {
        struct nb_list all;      /* owned */
        struct nb_list sending;  /* those with something to send that may be sent, in the order of their turns */
        struct nb_list changed;  /* those to be looked at in the next run: something came, or the pair has changed */
        struct nb_list incoming; /* of the peer, and not pushed to the guest yet, in the order in which they came */
        size_t n;                /* of all */
        size_t n_pairs;          /* whose guests' ends are open */
        bool guest_is_gone;      /* it has closed them, and the channel */
        uint64_t data_left;      /* that the peer takes on the connection as a whole, in bytes */
        size_t share;            /* of a turn, in bytes */
        uint64_t n_created;      /* of both kinds */
        uint64_t n_created_unidirectional;
        uint64_t n_accepted;
        uint64_t n_datagrams_dropped;
        size_t bytes_buffered;
        struct quic_datagrams *datagrams; /* NULL: none yet, or it carries streams. Owned */
};

/** What is to be written next. It stands until the next call of one of these functions, but quic_streams_took() for a part of it. */
struct quic_offer {
        struct quic_stream *stream; /* NULL: a datagram */
        int64_t id;
        ngtcp2_vec parts[QUIC_OFFER_PARTS];
        size_t n_parts;
        size_t length; /* of all parts */
        bool fin;      /* behind them */
};

void quic_streams_init(struct quic_streams *streams);

/** Frees all streams. Those whose ends were not told to their guests are ECONNRESET there. */
void quic_streams_deinit(struct quic_connection *connection);

/**
 * Opens a stream of ours, with its pair.
 * @param ret           the connection's
 * @param ret_guest_fd  the guest's end, owned by the caller
 * @return 0; -EAGAIN: the peer lets no more be opened; -EMFILE: there may be no more descriptors; another -errno
 */
int quic_streams_create(struct quic_connection *connection, bool unidirectional, struct quic_stream **ret,
                        int *ret_guest_fd);

/** Nobody takes the streams that wait for the guest: they are ended with an error. */
void quic_streams_refuse_incoming(struct quic_connection *connection);

/** Moves bytes between pairs and rings, both ways, as far as one turn lets, and gives credit. @return whether there is more to do */
bool quic_streams_run(struct quic_connection *connection);

/** @return whether there is something to write, in `ret`; it needs no other call of the library, so it may be asked while a packet is being filled */
bool quic_streams_offer(struct quic_connection *connection, struct quic_offer *ret);

/** So many bytes of an offer, its FIN with the last of them, have become a packet. */
void quic_streams_took(struct quic_connection *connection, const struct quic_offer *offer, size_t n);

/** The library would not: NGTCP2_ERR_STREAM_DATA_BLOCKED, _STREAM_SHUT_WR, _STREAM_NOT_FOUND, or a datagram that fits no packet (_INVALID_ARGUMENT). */
void quic_streams_refused(struct quic_connection *connection, const struct quic_offer *offer, int error);

/** Whether nothing of the guest's is left to be sent, or not acknowledged yet. */
bool quic_streams_are_drained(const struct quic_connection *connection);

/* ---- callbacks of the library; user_data is the connection ---- */

int quic_streams_on_open(ngtcp2_conn *conn, int64_t id, void *user_data);
int quic_streams_on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data,
                         size_t length, void *user_data, void *stream_user_data);
int quic_streams_on_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t length, void *user_data,
                          void *stream_user_data);
int quic_streams_on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t error, void *user_data,
                          void *stream_user_data);
int quic_streams_on_reset(ngtcp2_conn *conn, int64_t id, uint64_t final_size, uint64_t error, void *user_data,
                          void *stream_user_data);
int quic_streams_on_more_stream_data(ngtcp2_conn *conn, int64_t id, uint64_t max, void *user_data,
                                     void *stream_user_data);
int quic_streams_on_more_bidirectional(ngtcp2_conn *conn, uint64_t max, void *user_data);
int quic_streams_on_more_unidirectional(ngtcp2_conn *conn, uint64_t max, void *user_data);
int quic_streams_on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t length, void *user_data);

#endif
