/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay: one loop, one channel to the broker, and what lives between them.
 *
 *      relay ─ channel (relay/orders.h: which order is permitted when)
 *            ├ contexts (relay/context.h: certificates, keys, passwords)
 *            ├ links (relay/link.h)
 *            ├ datagram servers (relay/datagram/server.h), whose peers have a pair each
 *            └ QUIC (relay/quic/quic.h): servers and connections, whose streams have a pair each
 *
 * It has no mutable globals, no files, and makes no sockets. When the channel ends so does the process, and with it everything.
 */
#ifndef NB_RELAY_RELAY_H
#define NB_RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/channel.h"
#include "base/list.h"
#include "base/log.h"
#include "loop/watch.h"
#include "proto/relay_frame.h"
#include "relay/channel.h"
#include "relay/link_table.h"
#include "relay/splice.h"

struct quic;
struct session_cache;

/** What a link reads in one go, before it is written to the other side. */
#define RELAY_SCRATCH_SIZE 65536

struct relay {
        uv_loop_t loop;
        struct watch_set watches;
        struct watch channel_watch;
        int channel_fd;          /* owned */
        uint64_t turn;           /* counts */
        uint64_t turn_of_orders; /* when some were taken last */
        struct nb_log log;
        bool is_set_up;
        bool is_confined;    /* Setup closes the walls around this process; false in tests */
        bool has_ended;      /* the broker has closed the channel, */
        bool is_terminated;  /* or an operator has said so (relay/termination.h) */
        uint64_t memory_max; /* of the process, in bytes; 0: none */
        uint32_t links_max;
        uint32_t n_links;
        uint32_t n_descriptors; /* of links, servers and their peers, QUIC's sockets, channels and streams */
        uint32_t descriptors_max;
        bool has_reset_secret;
        uint32_t in_flight_max;                           /* descriptors that may be under way to guests */
        uint8_t reset_secret[NB_RELAY_RESET_SECRET_SIZE]; /* relay/quic/token.h */
        struct link_table table;
        struct outbox outbox;
        struct pipe_pool pipes;
        struct nb_list links;
        struct nb_list queue;           /* of who has more to do (relay/turn.h) */
        struct nb_list contexts;        /* relay/context.h */
        struct nb_list servers;         /* relay/datagram/server.h */
        struct quic *quic;              /* owned; NULL until it is needed (relay/quic/quic.h) */
        struct session_cache *sessions; /* TLS sessions of clients, to resume (relay/tls/session_cache.h) */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        uint8_t scratch[RELAY_SCRATCH_SIZE]; /* of whoever runs: nothing is left in it */
};

/**
 * Starts one on a channel, without confining the process (relay/confine.h).
 * @param relay  the caller's memory, zero or not
 * @param fd     consumed on success only
 * @return 0 or -errno
 */
int relay_init(struct relay *relay, int fd);

/** Ends all that it has, and reports nothing. */
void relay_deinit(struct relay *relay);

/**
 * Waits until there is something to do, and does it: one batch of events, one turn of each who has more to do, and timers that are due.
 * @param wait  false: does not wait
 */
void relay_turn(struct relay *relay, bool wait);

/** Sends a report, or keeps it until the broker reads (relay/channel.h). */
void relay_report(struct relay *relay, const Nb__Relay__Report *report);

/** Whether there may be so many descriptors more (RLIMIT_NOFILE): one too many, on its way from the broker, would end the relay. */
static inline bool relay_has_room(const struct relay *relay, uint32_t n) {
        return n <= relay->descriptors_max && relay->n_descriptors <= relay->descriptors_max - n;
}

/** Ends the process: nothing that it holds can be trusted to go on. `why` is a sentence for the log. */
void relay_give_up(struct relay *relay, const char *why) __attribute__((noreturn));

#endif
