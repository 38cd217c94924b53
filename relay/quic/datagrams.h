/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one channel of datagrams of a connection that carries them (RFC 9221), and no streams.
 *
 * It is a pair with message borders, made when it is first needed, so that what comes before the guest asks for it waits in the pair. What the guest does not read
 * in time is dropped and counted, as the network does. The other way a few messages wait for the congestion window; while they do, the guest's are not read, and
 * its writes wait as those to a UDP socket do. What has become too long for the path meanwhile is dropped.
 */
#ifndef NB_RELAY_QUIC_DATAGRAMS_H
#define NB_RELAY_QUIC_DATAGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quic_connection;
struct quic_datagrams;
struct quic_offer;

/** Whether the connection is one of datagrams: that is the broker's word. */
bool quic_datagrams_are_spoken(const struct quic_connection *connection);

/** Makes sure that a connection has its channel. @return 0; -EMFILE: there may be no more descriptors; another -errno */
int quic_datagrams_need(struct quic_connection *connection);

/** Takes NULL. @return NULL */
struct quic_datagrams *quic_datagrams_free(struct quic_datagrams *datagrams);

/** The guest's end. @return owned by the caller; -1 when it was taken already */
int quic_datagrams_take_end(struct quic_datagrams *datagrams);

/** The longest message that the peer and the path take at the moment, in bytes; 0: the peer takes none. */
uint32_t quic_datagrams_message_max(const struct quic_connection *connection);

/** Reads what the guest has written, as far as there is room. */
void quic_datagrams_run(struct quic_datagrams *datagrams);

/** Passes one on to the guest, or drops it. */
void quic_datagrams_receive(struct quic_datagrams *datagrams, const uint8_t *bytes, size_t length);

/** As those of streams.h. */
bool quic_datagrams_offer(struct quic_datagrams *datagrams, struct quic_offer *ret);
void quic_datagrams_took(struct quic_datagrams *datagrams);
void quic_datagrams_refused(struct quic_datagrams *datagrams);
bool quic_datagrams_are_drained(const struct quic_datagrams *datagrams);

#endif
