/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initial packets of a client, protected as they must be (RFC 9001, 5.2): whatever is to be read behind their protection, no input would find by itself.
 */
#ifndef NB_TESTS_FUZZ_QUIC_INITIAL_H
#define NB_TESTS_FUZZ_QUIC_INITIAL_H

#include <stddef.h>
#include <stdint.h>

#define QUIC_INITIAL_ID_MAX 20
#define QUIC_INITIAL_TOKEN_MAX 256
#define QUIC_INITIAL_PAYLOAD_MAX 800

/** The least that a client sends in one (RFC 9000, 14.1), and what is written here. */
#define QUIC_INITIAL_SIZE 1200

/** What one is made of; all borrowed, and within the bounds above. */
struct quic_initial {
        const uint8_t *dcid;
        size_t dcid_length;
        const uint8_t *key_id; /* that the keys are derived from: the first dcid, or that of a Retry */
        size_t key_id_length;
        const uint8_t *scid;
        size_t scid_length;
        const uint8_t *token;
        size_t token_length;
        uint32_t number;
        const uint8_t *payload; /* frames; PADDING follows */
        size_t payload_length;
};

/** Writes a packet of version 1, QUIC_INITIAL_SIZE bytes. */
void quic_initial_write(const struct quic_initial *initial, uint8_t buffer[static QUIC_INITIAL_SIZE]);

#endif
