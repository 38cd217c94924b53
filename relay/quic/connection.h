/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of QUIC: the library's state machine, its TLS, its timer, its paths; and what the guest has of it.
 *
 *      handshaking ──confirmed, Ready──► open ──guest gone, all delivered──► closing ──► Ended
 *           └──refused, timeout──► Ended  └──peer closed, idle, reset, error, End──► Ended
 *
 * A server's is confirmed when its handshake is complete, a client's when the server has said so (HANDSHAKE_DONE): before that the other side may
 * still refuse what was shown. While it closes, the library's closing and draining periods are kept (RFC 9000, 10.2), without anything of the guest's.
 *
 * Packets from an address that the broker has not judged are not given to the library (relay/quic/paths.h). How a connection ends, and what the peer and the
 * guest are told of it, is in relay/quic/ending.h.
 *
 * It is run in its turn (relay/turn.h) when anything of it has changed: packets came, a pair of the guest's, the timer, the socket takes packets again.
 */
#ifndef NB_RELAY_QUIC_CONNECTION_H
#define NB_RELAY_QUIC_CONNECTION_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "proto/relay_frame.h"
#include "relay/quic/ending.h"
#include "relay/quic/memory.h"
#include "relay/quic/packet.h"
#include "relay/quic/paths.h"
#include "relay/quic/settings.h"
#include "relay/quic/stopped.h"
#include "relay/quic/streams.h"
#include "relay/turn.h"

struct deadline;
struct guest_channel;
struct quic;
struct quic_endpoint;
struct quic_first;
struct quic_socket;
struct quic_tls;

enum quic_state {
        QUIC_HANDSHAKING,
        QUIC_OPEN,
        QUIC_CLOSING, /* the guest has nothing of it any more, and Ended was reported */
};

/** Totals of its life, for operators. */
struct quic_counts {
        uint64_t packets_sent;
        uint64_t packets_received;
        uint64_t bytes_sent;
        uint64_t bytes_received;
        uint64_t lost; /* packets, as far as the library tells: each stream's that a lost one had a part of */
        uint64_t bytes_to_guest;
        uint64_t bytes_to_peer;
};

/** Read only for others than who is named beside. */
struct quic_connection {
        struct nb_list in_quic;
        struct quic *quic; /* borrowed */
        uint64_t link;
        enum quic_state state;
        bool is_server;
        struct quic_endpoint *endpoint; /* of a server, borrowed; NULL: a client */
        struct nb_list ids;         /* the endpoint's (relay/quic/ids.h), as are the next two; to be initialised only */
        bool is_counted;            /* among its connections */
        bool is_under_way;          /* and among their handshakes */
        struct quic_socket *socket; /* that it sends by: the endpoint's, or its own */
        ngtcp2_conn *conn;          /* owned */
        struct quic_tls *tls;       /* owned */
        struct quic_streams streams;
        struct guest_channel *channel; /* owned; NULL: the guest has closed it */

        /* The rest is of relay/quic/connection.c, and of who is named. */
        struct nb_list in_waiters; /* of its socket (relay/quic/send.c) */
        struct nb_list in_links;   /* of `quic.links`, until it is closing */
        struct nb_list in_news;    /* relay/quic/facts.c */
        struct turn turn;
        struct deadline *timer; /* owned */
        uint64_t timer_at;      /* when it comes, by quic_library_now(); UINT64_MAX: it does not */
        uint64_t limit;         /* when the present state is over at the latest; UINT64_MAX: never */
        bool is_confirmed;      /* relay/quic/library.c: the handshake is, and Ready is to be reported */
        bool was_reset;         /* relay/quic/library.c: by the peer, which knows it no more */
        bool has_heard;         /* relay/quic/tls.c: the peer has answered, and not only ICMP */
        bool guest_is_gone;
        struct quic_settings settings; /* owned */
        struct quic_counts counts;
        struct quic_paths paths;
        struct quic_memory memory;
        struct quic_stopped stopped;
        struct quic_ending ending;
};

/**
 * Makes a server's of a client's first packet, which is then to be given to it.
 * @param channel_fd  our end of the connection channel, consumed
 * @return 0 with what the endpoint's table and `quic` have; -errno: nothing was reported
 */
int quic_connection_accept(struct quic *quic, struct quic_endpoint *endpoint, const struct quic_first *first,
                           uint64_t link, int channel_fd, struct quic_connection **ret);

/**
 * Makes a client's and begins its handshake. What fails is reported as the link's end.
 * @param settings    consumed: the reference is the connection's
 * @param socket_fd   of UDP, connected; consumed
 * @param channel_fd  our end of the connection channel, consumed
 */
void quic_connection_dial(struct quic *quic, const Nb__Relay__Begin *begin, const struct quic_settings *settings,
                          int socket_fd, int channel_fd);

/** Gives it a packet. It is on the list of those to be run afterwards, and nothing was freed. */
void quic_connection_receive(struct quic_connection *connection, const struct quic_packet *packet);

/** Has it run in this turn, or the next: something of it has changed. Harmless where it is on the list. */
void quic_connection_run_later(struct quic_connection *connection);

/** The same, once its socket takes packets again. */
void quic_connection_writable(struct quic_connection *connection);

/** The guest has closed its channel and all streams (relay/quic/guest_channel.h): what it wrote is still delivered, for LINGER_MS at most. */
void quic_connection_guest_gone(struct quic_connection *connection);

/** Notes that it is to end by an error of ours, at its next run: what a callback of the library finds. */
void quic_connection_fail(struct quic_connection *connection, Nb__Relay__Cause cause, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/** The broker's End: the peer is told by an application's close, the guest by ECONNRESET; Ended is reported. Harmless for one that is closing. */
void quic_connection_end(struct quic_connection *connection);

/** The relay ends: the peer is told by an application's close, in one packet, if the socket takes it now. It is to be freed then, and reports nothing. */
void quic_connection_say_goodbye(struct quic_connection *connection);

/** The answer to NewPath. @param fd  as quic_take_path() @return as quic_take_path() */
int quic_connection_take_path(struct quic_connection *connection, const Nb__Relay__TakePath *take, int fd);

/** The broker is another one: it is asked what the one before was asked, and told what operators are told. */
void quic_connection_ask_again(struct quic_connection *connection);

/**
 * Its socket is no use any more: it ends with its next run, and sends nothing. What is only said of the peer (ICMP), or of the way to it, ends none that has heard of its peer.
 * @param error  a positive errno: ECONNREFUSED of ICMP, or what ended a server's socket
 */
void quic_connection_socket_failed(struct quic_connection *connection, int error);

/** Frees it, of a server out of its endpoint too, and reports nothing. Takes NULL. @return NULL */
struct quic_connection *quic_connection_free(struct quic_connection *connection);

/** @return the connection of that link, or NULL; not one that is closing */
struct quic_connection *quic_connection_find(const struct quic *quic, uint64_t link);

#endif
