/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay that speaks QUIC on loopback, and its broker, for fuzz targets: orders that are right, so that whatever comes of an input is the doing of peers and guests.
 *
 * All functions fail the target instead of returning errors.
 */
#ifndef NB_TESTS_FUZZ_QUIC_WORLD_H
#define NB_TESTS_FUZZ_QUIC_WORLD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/relay_frame.h"
#include "relay/relay.h"

/** The contexts that it has, both with the same certificate. */
enum { QUIC_WORLD_SERVER_CONTEXT = 1, QUIC_WORLD_CLIENT_CONTEXT };

/** Whom that certificate is for. */
#define QUIC_WORLD_NAME "quic.example"

struct quic_world {
        struct relay relay;
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        int channel; /* the broker's end */
};

/** @return a file with a certificate and its key, PEM, owned by the caller */
int quic_world_certificate(void);

/** @return owned by the caller: quic_world_free() */
struct quic_world *quic_world_new(void);
void quic_world_free(struct quic_world *world);

/** A turn of the relay's, which does not wait. */
void quic_world_turn(struct quic_world *world);

/** @return the next report, valid until the next call; NULL: there is none */
const Nb__Relay__Report *quic_world_report(struct quic_world *world);

/** What connections may, for orders. */
Nb__Relay__Quic quic_world_limits(void);

/**
 * Starts a server.
 * @param waiting_max  clients that may wait, and connections that there may be
 * @return where it is
 */
struct sockaddr_in quic_world_serve(struct quic_world *world, uint64_t server, const Nb__Relay__Quic *quic,
                                    uint32_t waiting_max);

void quic_world_credit(struct quic_world *world, uint64_t server, uint64_t total);

/** @param link  0: the client is refused @return the other end of the connection's channel, owned by the caller; -1 without a link */
int quic_world_take_peer(struct quic_world *world, uint64_t server, uint64_t peer, uint64_t link);

/** Dials. @return as quic_world_take_peer() */
int quic_world_begin(struct quic_world *world, uint64_t link, const Nb__Relay__Quic *quic,
                     const struct sockaddr_in *address);

/** Allows or refuses a path. */
void quic_world_take_path(struct quic_world *world, uint64_t link, uint32_t path, bool allowed);

/** Ends a link, or a server. */
void quic_world_end(struct quic_world *world, uint64_t number);

/** @return a socket of UDP, bound to loopback and, where an address is given, connected to that; owned by the caller */
int quic_world_socket(const struct sockaddr_in *remote);

#endif
