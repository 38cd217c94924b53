/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a connection of QUIC beside its entry (broker/connection.h): what its relay tells of it, and which paths it has asked for.
 *
 * A path is an address of the peer's that it had not before. A server's client that has moved is judged as one that was accepted; where a server
 * asks to be reached (its preferred address) as its destination was: by the name that was granted, with the port of that address, `Addresses=` and
 * the guard, or by the rules for addresses. What is allowed there gets a socket of its own, connected to it, like the first one. A control that
 * is bound to a port has the one socket there that there can be, so no preferred address is taken for it.
 *
 * A relay keeps addresses that were allowed before: its peer may be there again, and a server that asks to be reached elsewhere may never answer there. So
 * a new policy must grant the last of them as well as the one that was judged last.
 *
 * A relay that asks for more of one connection than it may is ended (NB_RELAY_PATHS_A_MINUTE). Its own bound is half of that, since minutes are counted apart.
 */
#ifndef NB_BROKER_QUIC_ENTRY_H
#define NB_BROKER_QUIC_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/socket_address.h"
#include "proto/relay_frame.h"

struct connection;

/** As struct QuicFacts of relay.proto. */
struct quic_facts {
        bool known; /* something was told */
        uint64_t rtt_us;
        uint64_t rtt_min_us;
        uint64_t congestion_window; /* bytes */
        uint64_t bytes_in_flight;
        uint64_t packets_sent;
        uint64_t packets_received;
        uint64_t packets_lost;
        uint64_t bytes_sent;
        uint64_t bytes_received;
        uint32_t streams; /* open */
        uint64_t streams_created;
        uint64_t streams_accepted;
        uint64_t bytes_buffered;
        uint64_t datagrams_dropped;
        uint32_t paths;
};

/** Peer's addresses before the last one that are judged again: twice what a relay keeps (relay/quic/paths.h). */
#define QUIC_ENTRY_EARLIER_MAX 8

struct quic_entry {
        struct quic_facts facts;
        bool was_restored; /* so what is told first was counted by the broker before */
        struct nb_socket_address earlier[QUIC_ENTRY_EARLIER_MAX]; /* a ring, in which the oldest goes; family 0: none */
        unsigned n_earlier;                                       /* that ever came into it */
        uint32_t last_path;                                       /* that was asked for */
        uint32_t n_paths;                                         /* since then */
        uint64_t paths_since_ms;                                  /* of the loop's clock */
};

/** @return an empty one, owned by the caller; NULL without memory */
struct quic_entry *quic_entry_new(void);

/** Takes NULL. @return NULL */
struct quic_entry *quic_entry_free(struct quic_entry *entry);

/** Takes what is told of a connection, and counts what is new for its tenant. Totals that become less count for nothing. @return 0 */
int quic_entry_take_facts(struct connection *connection, const Nb__Relay__QuicFacts *facts);

/** Judges a path and orders TakePath. @return 0; -EPROTO for one that its relay should not have asked for */
int quic_entry_judge_path(struct connection *connection, const Nb__Relay__NewPath *path);

/** Whether the policy of this moment grants where the peer was before. */
bool quic_entry_is_granted(const struct connection *connection);

#endif
