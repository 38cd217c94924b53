/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker with a protocol of QUIC, whose relay is the test (tests/support/fake_relay.h): what it is asked by a session, what it orders, and each
 * report by a function.
 */
#ifndef NB_TESTS_QUIC_SCENE_H
#define NB_TESTS_QUIC_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/certificates.h"
#include "tests/support/fake_relay.h"
#include "tests/support/harness.h"
#include "tests/support/wire.h"

#define QUIC_SCENE_ALPN "nb-test"
#define QUIC_SCENE_CLIENT "127.0.0.2:4000"
#define QUIC_SCENE_DENIED "127.0.0.66:4000"

/** A number that the broker has not given to anything. */
#define QUIC_SCENE_NOBODY (UINT64_C(1) << 60)

struct quic_scene {
        struct certificates certificates;
        struct daemon daemon;
        struct fake_relays relays;
        char admin_socket[HARNESS_PATH_MAX];
        struct wire_session session;
        struct wire *protocol;
        struct fake_relay *relay;
};

/* A server, and the relay's side of it. */
struct quic_scene_server {
        struct wire control;
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        uint64_t number;
        uint64_t peers;
        uint64_t granted; /* clients that may be announced, at the beginning */
};

/* ---- the world ---- */

/** Starts the broker, and a session of the tenant. @param helper  the path of netbroker-helper's socket, or NULL @param limits, keys  lines of the policy */
void quic_scene_start_with(struct quic_scene *world, const char *helper, const char *limits, const char *keys);

/** The same without a helper. */
void quic_scene_start(struct quic_scene *world, const char *limits, const char *keys);

/** Has the broker read other lines. */
void quic_scene_reload(struct quic_scene *world, const char *limits, const char *keys);

/** Ends all of it. */
void quic_scene_end(struct quic_scene *world);

/** Waits for an order of that kind. */
void quic_scene_expect_order(struct quic_scene *world, Nb__Relay__Order__BodyCase kind);

/** Waits for the broker's connect, and is its relay from then on. */
void quic_scene_start_relay(struct quic_scene *world);

/* ---- reports ---- */

void quic_scene_report(const struct quic_scene *world, const Nb__Relay__Report *message);

void quic_scene_report_ready_with(const struct quic_scene *world, uint64_t link, Nb__Relay__Security *security);

void quic_scene_report_ready(const struct quic_scene *world, uint64_t link);

void quic_scene_report_new_peer(const struct quic_scene *world, uint64_t server, uint64_t number, const char *address);

void quic_scene_report_new_path(const struct quic_scene *world, uint64_t link, uint32_t path, const char *address,
                                bool preferred);

void quic_scene_report_facts(const struct quic_scene *world, Nb__Relay__QuicFacts *facts,
                             Nb__Relay__QuicServerFacts *server);

void quic_scene_report_ended(const struct quic_scene *world, uint64_t link, Nb__Relay__Cause cause);

/* ---- servers ---- */

void quic_scene_expect_serve(struct quic_scene *world, struct quic_scene_server *server);

/** Listens on a port of the kernel's choice. @return the control, whose answer has not come yet */
struct wire quic_scene_send_listen(struct quic_scene *world, uint64_t credit);

void quic_scene_open_server(struct quic_scene *world, struct quic_scene_server *server, uint64_t credit);

void quic_scene_expect_take(struct quic_scene *world, const struct quic_scene_server *server);

/** A client, up to its link. @param ret_channel_fd  the relay's end of its channel, owned by the caller */
uint64_t quic_scene_take_client(struct quic_scene *world, struct quic_scene_server *server, const char *address,
                                int *ret_channel_fd);

/** Waits for Accepted. @return the guest's end of the channel, owned by the caller */
int quic_scene_expect_accepted(const struct quic_scene_server *server, uint64_t number, const char *peer);

int quic_scene_option_of(int fd, int option);

/** A byte goes from one end to the other. */
void quic_scene_expect_connected(int fd, int other_fd);

void quic_scene_expect_end_of_channel(int fd);

/** Connects, up to Begin. @return the link's number */
uint64_t quic_scene_begin(struct quic_scene *world, struct wire *control, const char *address);

/* What a relay has of a client's connection. */
struct quic_scene_client {
        int socket_fd;
        int channel_fd;
};

/** Takes them out of the last Begin. */
struct quic_scene_client quic_scene_keep_fds(struct quic_scene *world);

void quic_scene_close_fds(const struct quic_scene_client *fds);

int quic_scene_expect_multiplexed(const struct wire *control, const char *peer);

bool quic_scene_path_is_taken(struct quic_scene *world, uint64_t link, uint32_t path, size_t n_fds);

#endif
