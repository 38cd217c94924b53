/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames between the broker and its relays (RELAY.md), read as strictly as those of sessions: neither side believes the other.
 */
#ifndef NB_PROTO_RELAY_FRAME_H
#define NB_PROTO_RELAY_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/relay.pb-c.h"

/** The version of relay.proto that this tree speaks. Broker and relay are of one release; another version is refused. */
#define NB_RELAY_VERSION 1

/** Of Setup.reset_secret, in bytes. */
#define NB_RELAY_RESET_SECRET_SIZE 32

/** Proxies of one connection. */
#define NB_RELAY_HOPS_MAX 2

/** Files of one context. */
#define NB_RELAY_FILES_MAX 60

/** The largest file: what a bundle of all the world's authorities takes, several times. */
#define NB_RELAY_FILE_SIZE_MAX (4u * 1024 * 1024)

/** Server certificates of one context. */
#define NB_RELAY_CERTIFICATES_MAX 16

/** Connections, and servers, of one QuicState. */
#define NB_RELAY_QUIC_FACTS_MAX 64

/** Links and servers of one Stock. */
#define NB_RELAY_STOCK_MAX 512

/** Of all that a relay tells in Stocks, what is to be ended: each takes an order that may wait, and a relay that has more of it than that is ended as a whole. */
#define NB_RELAY_STOCK_ENDS_MAX 65536u

/** Paths of one connection of QUIC that its relay may ask for in a minute. One that asks for more is ended; it keeps to half of that, for minutes are counted apart. */
#define NB_RELAY_PATHS_A_MINUTE 16

/** Decodes one frame from the broker. @return as nb_request_decode() */
int nb_relay_order_decode(struct nb_frame_arena *arena, const uint8_t *frame, size_t length, Nb__Relay__Order **ret);

/** The same for frames from a relay. */
int nb_relay_report_decode(struct nb_frame_arena *arena, const uint8_t *frame, size_t length, Nb__Relay__Report **ret);

/** Encodes and sends one frame, without waiting. `fds` are borrowed. @return as nb_request_send() */
int nb_relay_order_send(int channel_fd, const Nb__Relay__Order *order, const int *fds, size_t n_fds);
int nb_relay_report_send(int channel_fd, const Nb__Relay__Report *report);

#endif
