/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay: one loop, one channel to the broker, and what lives between them.
 *
 *      relay ─ channel (relay/orders.h: which order is permitted when)
 *            ├ contexts (relay/context.h: certificates, keys, passwords)
 *            ├ links (relay/link.h)
 *            └ datagram servers (relay/datagram/server.h), whose peers have a pair each
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

/** Links are found by their id. */
struct link_table;
struct session_cache;

struct relay {
        uv_loop_t loop;
        struct watch_set watches;
        struct watch channel_watch;
        int channel_fd; /* owned */
        struct nb_log log;
        bool is_set_up;
        uint32_t links_max;
        uint32_t n_links;
        struct link_table *table;
        struct nb_list links;
        struct nb_list queue;           /* links with more to do */
        struct nb_list contexts;        /* relay/context.h */
        struct nb_list servers;         /* relay/datagram/server.h */
        struct session_cache *sessions; /* TLS sessions of clients, to resume (relay/tls/session_cache.h) */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

/**
 * Sends a report. The channel has room for what the broker may be told: each link has few reports, and the broker does not give orders
 * without reading. What cannot be sent all the same ends the relay, for what a broker does not know would be wrong for ever.
 */
void relay_report(struct relay *relay, const Nb__Relay__Report *report);

/** Ends the relay: nothing that it holds can be trusted to go on. */
void relay_give_up(struct relay *relay, const char *why) __attribute__((noreturn));

#endif
