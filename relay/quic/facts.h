/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators are told of connections and servers (QuicState): of each of which something has changed, every FACTS_MS while anything does.
 *
 * Nothing is sent, and no timer runs, while nothing changes. The last of a connection is told just before it has ended.
 */
#ifndef NB_RELAY_QUIC_FACTS_H
#define NB_RELAY_QUIC_FACTS_H

#include <stdbool.h>

#include "base/list.h"

struct deadline;
struct quic;
struct quic_connection;

/** How old what operators see may be, in milliseconds. */
#define QUIC_FACTS_MS 2000

/** A member of `struct quic`. */
struct quic_facts {
        struct nb_list news;    /* connections of which something has changed */
        struct deadline *timer; /* owned; NULL: not made yet, or no memory for it: then nothing is told */
        bool is_waiting;        /* it runs */
};

void quic_facts_init(struct quic *quic);

void quic_facts_deinit(struct quic *quic);

/** Something of a connection has changed. Cheap. */
void quic_facts_changed(struct quic_connection *connection);

/** Something of a server has changed. Cheap. */
void quic_facts_server_changed(struct quic *quic);

/** Tells the last of it, and nothing more. */
void quic_facts_tell_last(struct quic_connection *connection);

#endif
