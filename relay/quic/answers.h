/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server says to those who have proved nothing: each answer is shorter than what it answers, and each kind has a number that there may be in a second.
 *
 * So a forged source gets fewer bytes than were sent in its name, and a flood costs us no more than the reading of it. Retry is what ends a flood of forged
 * sources, so there may be many of these; the others only help who has made a mistake.
 */
#ifndef NB_RELAY_QUIC_ANSWERS_H
#define NB_RELAY_QUIC_ANSWERS_H

#include <ngtcp2/ngtcp2.h>
#include <stdint.h>

#include "relay/quic/packet.h"
#include "relay/quic/token.h"

struct quic;
struct quic_socket;

enum quic_answer {
        QUIC_ANSWER_VERSION,
        QUIC_ANSWER_RETRY,
        QUIC_ANSWER_CLOSE,
        QUIC_ANSWER_RESET,
        QUIC_N_ANSWERS,
};

/** Of one server. */
struct quic_answers {
        const struct quic *quic;    /* borrowed */
        struct quic_socket *socket; /* borrowed */
        struct quic_token_key key;
        uint64_t second; /* that is counted */
        uint32_t in_second[QUIC_N_ANSWERS];
        uint64_t n[QUIC_N_ANSWERS]; /* that were given, in its life */
};

/** @param server  its number */
void quic_answers_init(struct quic_answers *answers, const struct quic *quic, struct quic_socket *socket,
                       uint64_t server);

/** Version Negotiation, for a packet of 1,200 bytes or more. @param header  of a version that is not spoken */
void quic_answer_version(struct quic_answers *answers, const struct quic_packet *packet,
                         const ngtcp2_version_cid *header);

/** Retry, for a client's first packet. */
void quic_answer_retry(struct quic_answers *answers, const struct quic_packet *packet, const ngtcp2_pkt_hd *first);

/** A close, for a client's first packet that has no connection. @param error  of QUIC's transport */
void quic_answer_close(struct quic_answers *answers, const struct quic_packet *packet, const ngtcp2_pkt_hd *first,
                       uint64_t error);

/** A stateless reset, shorter than the packet with a short header and an ID that is nobody's. */
void quic_answer_reset(struct quic_answers *answers, const struct quic_packet *packet, const ngtcp2_cid *id);

#endif
