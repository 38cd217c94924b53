/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real broker behind a seal, with its relays and its tenant's host each in a control group of their own, on a network of the test's own.
 *
 *      broker's group    netbrokerd, as nobody; the seal is attached here
 *      relay's group     netbroker-relay, an instance for each connection, as systemd starts them
 *      stranger's group  netbroker-probe, and the test itself: the host of the guests, by libnetbroker, and everybody's peers
 *
 * Needs root. Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_SEALED_WORLD_H
#define NB_TESTS_SUPPORT_SEALED_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"
#include "netbroker/client.h"
#include "tests/support/harness.h"
#include "tests/support/seal_scene.h"

#define SEALED_ARGUMENTS_MAX 16

struct sealed_world {
        struct seal_scene seal;
        struct daemon daemon;
        char relay_path[HARNESS_PATH_MAX];
        const char *arguments[SEALED_ARGUMENTS_MAX + 1];
        size_t n_arguments;
        pid_t activator; /* of relays; -1: none */
        struct nb_session *session;
};

/** Makes network, control groups and folders. Nothing is sealed, and nothing runs. */
void sealed_world_init(struct sealed_world *world);

/** Ends the session, the broker and what is beside it. */
void sealed_world_deinit(struct sealed_world *world);

/** As the end of a block. */
#define SEALED_WORLD __attribute__((cleanup(sealed_world_deinit))) struct sealed_world

/** Gives the broker, and each that comes after it, one more argument; borrowed. */
void sealed_world_argument(struct sealed_world *world, const char *argument);

/** Attaches the seal, starts a probe, and has the broker use them. */
void sealed_world_seal(struct sealed_world *world);

/** Has relays started as systemd does, in a group of their own, and the broker use them. */
void sealed_world_start_relays(struct sealed_world *world);

/** Writes the tenant "acme", whose protocol "web" reaches and serves all of loopback by streams and datagrams. @param lines  more of that protocol */
void sealed_world_write_policy(const struct sealed_world *world, const char *lines);

/** Starts the broker in the control group of a side. */
void sealed_world_start_broker(struct sealed_world *world, enum seal_side side);

/** Opens the test's session, and goes into the stranger's group for good. */
void sealed_world_open(struct sealed_world *world);

/** All of it: sealed or not, relays, a policy with these lines, the broker and the session. */
void sealed_world_start(struct sealed_world *world, bool sealed, const char *lines);

/* ---- the host ---- */

/** Makes a control of the protocol "web". @return owned by the caller */
struct nb_control *sealed_world_control(const struct sealed_world *world, const char *address,
                                        enum nb_socket_type type);

/** Takes the one stream of a connection and frees that. @return its descriptor, owned by the caller */
int sealed_world_stream(struct nb_connection *connection);

/** Connects a control. @return the stream's descriptor, owned by the caller */
int sealed_world_connect(struct nb_control *control, const char *address);

/** @return whether what the host has got is a socket of the network, and not one end of a pair */
bool sealed_world_is_socket(int fd);

/** Sends a few bytes each way, which must arrive. @param fd, peer_fd  both ends, non-blocking */
void sealed_world_expect_bytes(int fd, int peer_fd);

/* ---- its peers ---- */

/** A peer that listens, or receives, on loopback, and where. @param family  AF_INET or AF_INET6 @return owned by the caller */
int sealed_world_peer(int family, int type, char ret_address[static NB_ADDRESS_TEXT_MAX]);

/** A socket that is connected to there, from the stranger. @param address  as the host has it @return owned by the caller, non-blocking */
int sealed_world_call(int type, const char *address);

/** Takes the connection that must come. @return owned by the caller, non-blocking */
int sealed_world_accept(int listen_fd);

#endif
