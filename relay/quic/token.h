/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is derived from a secret of the process: tokens that prove an address (RFC 9000, 8.1); and from one of the tenant, which outlives the process: those of
 * stateless resets (10.3), so that a relay which comes after another resets its connections.
 *
 * Each use has a key of its own, and those of addresses are each server's own: a token that another server has given, or another process, proves nothing here.
 * Those of resets are of the address that a socket is bound to: otherwise a packet to one server would have it tell the token of another's connection (21.11).
 */
#ifndef NB_RELAY_QUIC_TOKEN_H
#define NB_RELAY_QUIC_TOKEN_H

#include <ngtcp2/ngtcp2.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/quic/packet.h"

struct quic;

#define QUIC_KEY_SIZE 32

/** How long a Retry's token is good, in milliseconds: as long as the slowest client may take to come back. */
#define QUIC_RETRY_LIFETIME_MS 10000

/** Of one server. */
struct quic_token_key {
        uint8_t bytes[QUIC_KEY_SIZE];
};

/** Derives the key of the server of that number. */
void quic_token_key_init(const struct quic *quic, uint64_t server, struct quic_token_key *ret);

enum quic_token_verdict {
        QUIC_TOKEN_GOOD, /* the address is validated */
        QUIC_TOKEN_BAD,  /* it looks like one of a Retry of ours, and is not, or not any more, or another address's */
        QUIC_TOKEN_NONE, /* there is none, or one that we know nothing of: as if there was none (RFC 9000, 8.1.3) */
};

/**
 * Judges the token of a client's first packet.
 * @param dcid               that the packet has
 * @param now_ns             of the clock that quic_retry_write() was given
 * @param ret_original_dcid  that the client chose before the Retry, if it is good
 */
enum quic_token_verdict quic_token_judge(const struct quic_token_key *key, const uint8_t *token, size_t length,
                                         uint32_t version, const union quic_address *client, const ngtcp2_cid *dcid,
                                         uint64_t now_ns, ngtcp2_cid *ret_original_dcid);

/**
 * Writes a Retry, with an ID that is chosen here and a token.
 * @param first  the header of the packet that is answered
 * @return its length, or 0 where it cannot be made
 */
size_t quic_retry_write(const struct quic_token_key *key, const ngtcp2_pkt_hd *first, const union quic_address *client,
                        uint64_t now_ns, uint8_t *buffer, size_t size);

/**
 * The token of the stateless reset of an ID of ours, which any of our connections tells its peer.
 * @param bound  what its socket is bound to
 * @return 0, or -EIO
 */
int quic_reset_token(const struct quic *quic, const union quic_address *bound, const ngtcp2_cid *id,
                     uint8_t ret[NGTCP2_STATELESS_RESET_TOKENLEN]);

#endif
