/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that speak QUIC and that nobody here wrote: the programs of tests/quic, by quic-go, quinn and aioquic (tests/quic/README.md).
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_QUIC_PEER_H
#define NB_TESTS_SUPPORT_QUIC_PEER_H

#include <jansson.h>
#include <stdint.h>

#include "tests/support/process.h"

enum quic_peer {
        QUIC_GO,
        QUINN,
        AIOQUIC,
        N_QUIC_PEERS,
};

/** @return its name, as tools/get-quic-peers has it */
const char *quic_peer_name(enum quic_peer peer);

/** Builds those that were not built yet, which takes minutes where none is in the cache. To be called where no time runs out. */
void quic_peers_build(void);

/**
 * Starts a server on 127.0.0.1.
 * @param address    to listen on, "127.0.0.1:0"
 * @param arguments  behind `serve --listen ADDRESS`, up to a NULL
 * @return its port
 */
uint16_t quic_peer_serve(enum quic_peer peer, struct process *process, const char *address,
                         const char *const *arguments);

/** Starts a client. @param arguments  behind `dial --to ADDRESS`, the scenario last, up to a NULL */
void quic_peer_dial(enum quic_peer peer, struct process *process, const char *address, const char *const *arguments);

/** Waits until a client has written `"event":"NAME"`, whose writer may put a space before the name. */
void quic_peer_expect_event(struct process *process, const char *name);

/** Waits for a client's end. @return its result, owned by the caller */
json_t *quic_peer_result(struct process *process, int timeout_ms);

#endif
