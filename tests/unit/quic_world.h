/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two relays inside the test that speak QUIC with each other, and the test as the broker of both, and as the guests' hosts.
 *
 * All functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_UNIT_QUIC_WORLD_H
#define NB_TESTS_UNIT_QUIC_WORLD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/channel.h"
#include "proto/frame.h"
#include "tests/support/certificates.h"
#include "tests/unit/relay_world.h"
#include "tests/unit/tls_side.h"

struct quic_world {
        struct relay_world *client;
        struct relay_world *server;
        struct sockaddr_in address; /* of the server */
        Nb__Relay__Quic quic;       /* what both are told */
        uint64_t n_peers;           /* that have come to the server */
        uint64_t n_links;           /* of either relay; all have the same number on both */
        uint64_t n_servers;         /* that were started; the last is the one that is connected to */
        uint32_t n_contexts;
        uint32_t client_context; /* of the next connection */
        const char *server_name; /* that it asks for; borrowed */
        bool is_wildcard;        /* the next server is bound to 0.0.0.0; it is still connected to by `address` */
        uint32_t timeout_ms;     /* of its handshake */
};

/** A guest's host at one end of a connection: the connection channel, and what came over it. */
struct quic_host {
        int fd;
        uint64_t serial;
        uint64_t allowed[2]; /* streams in total, bidirectional and unidirectional */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

struct quic_ends {
        uint64_t link;
        struct quic_host client;
        struct quic_host server;
        int socket; /* the client's, a duplicate */
};

/** Makes certificates for all worlds: an authority `root`, and `server` for api.example.com. */
void quic_world_make_certificates(struct certificates *certificates);

/**
 * Starts both relays, and a server in one of them.
 * @param quic  NULL: 100 streams, windows of 256 KiB and 1 MiB, 30 seconds
 */
void quic_world_init(struct quic_world *world, const struct certificates *certificates, const Nb__Relay__Quic *quic);
void quic_world_deinit(struct quic_world *world);

/** Both relays have a turn; if nothing happens they wait for a moment, for something to come or for a timer. */
void quic_world_turn(struct quic_world *world);

/** Waits for whatever a relay reports next. @return valid until the next of it */
const Nb__Relay__Report *quic_world_report(struct quic_world *world, struct relay_world *relay);

/** Waits for a report of one of the relays. @return valid until the next of it */
const Nb__Relay__Report *quic_world_expect(struct quic_world *world, struct relay_world *relay,
                                           Nb__Relay__Report__BodyCase kind);

/** Connects, up to Ready on both sides. `ends` is the caller's memory, whose descriptors quic_ends_close() closes. */
void quic_world_connect(struct quic_world *world, struct quic_ends *ends);
void quic_ends_close(struct quic_ends *ends);

/** The steps of that: the client begins; the server's broker takes it. */
void quic_world_begin(struct quic_world *world, struct quic_ends *ends);
void quic_world_take(struct quic_world *world, struct quic_ends *ends);

/** From now on another context is used by clients, or by a server of its own. */
void quic_world_use(struct quic_world *world, const struct certificates *certificates, const struct tls_setup *setup);

/** Waits for Ended, with that cause. @return valid until the relay's next report */
const Nb__Relay__Ended *quic_world_expect_end(struct quic_world *world, struct relay_world *relay, uint64_t link,
                                              Nb__Relay__Cause cause);

/** Waits for a reply or a push of that kind. @return valid until the next; descriptors are the caller's */
const Nb__Reply *quic_host_expect(struct quic_world *world, struct quic_host *host, Nb__Reply__BodyCase kind,
                                  struct nb_channel_fds *ret_fds);

/** Sends a request. */
void quic_host_ask(struct quic_host *host, Nb__Request *request);

/** Waits until the host knows that it may have more streams than `n` of a kind. */
void quic_host_wait_for_room(struct quic_world *world, struct quic_host *host, bool unidirectional, uint64_t n);

/** Creates a stream, when the host knows how many there may be. @return the guest's end, owned by the caller */
int quic_host_create(struct quic_world *world, struct quic_host *host, bool unidirectional, uint64_t *ret_id);

/** Raises the total of streams that may be pushed. */
void quic_host_credit(struct quic_host *host, uint64_t total);

/** Waits for a stream of the peer's. Its number must be `number`. @return as quic_host_create() */
int quic_host_accept(struct quic_world *world, struct quic_host *host, uint64_t number, uint64_t *ret_id);

/** Writes all, with turns of both relays meanwhile. */
void quic_world_send(struct quic_world *world, int fd, const void *bytes, size_t length);

/** Reads once, when there is something. @return bytes, 0 at the end, or -errno */
ssize_t quic_world_read(struct quic_world *world, int fd, void *buffer, size_t size);

/** Reads that many bytes and compares them. */
void quic_world_receive(struct quic_world *world, int fd, const void *bytes, size_t length);

#endif
