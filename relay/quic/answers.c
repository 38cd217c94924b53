/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/answers.h"

#include <ngtcp2/ngtcp2_crypto.h>
#include <stdbool.h>
#include <sys/random.h>
#include <uv.h>

#include "relay/quic/quic.h"
#include "relay/quic/socket.h"
#include "relay/relay.h"

/* The shortest packet that a reset can be shorter than: a reset has 5 bytes that look like any and 16 of the token (RFC 9000, 10.3). */
#define RESET_MIN (NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)

/* As long as it is hard to tell from a packet, and no longer. */
#define RESET_MAX 42

static const uint32_t a_second[QUIC_N_ANSWERS] = {
        [QUIC_ANSWER_VERSION] = 256,
        [QUIC_ANSWER_RETRY] = 16384,
        [QUIC_ANSWER_CLOSE] = 256,
        [QUIC_ANSWER_RESET] = 32,
};

void quic_answers_init(struct quic_answers *answers, const struct quic *quic, struct quic_socket *socket,
                       uint64_t server) {
        *answers = (struct quic_answers){ .quic = quic, .socket = socket };
        quic_token_key_init(quic, server, &answers->key);
}

static bool may_answer(struct quic_answers *answers, enum quic_answer kind) {
        uint64_t second = uv_now(&answers->quic->relay->loop) / 1000;

        if (second != answers->second) {
                answers->second = second;
                for (int i = 0; i < QUIC_N_ANSWERS; ++i)
                        answers->in_second[i] = 0;
        }
        if (answers->in_second[kind] >= a_second[kind])
                return false;
        answers->in_second[kind]++;
        return true;
}

/* @return where it is to be written, QUIC_PACKET_MAX bytes; NULL: it may not be given, or cannot at the moment */
static uint8_t *begin(struct quic_answers *answers, enum quic_answer kind) {
        return may_answer(answers, kind) ? quic_socket_room(answers->socket) : NULL;
}

/* One that could not be made, or that is no shorter than what it answers, is not given. */
static void finish(struct quic_answers *answers, enum quic_answer kind, const struct quic_packet *packet,
                   ngtcp2_ssize length) {
        if (length <= 0 || (size_t)length >= packet->length)
                return;
        quic_socket_add(answers->socket, (size_t)length, &packet->path, 0, false);
        answers->n[kind]++;
}

void quic_answer_version(struct quic_answers *answers, const struct quic_packet *packet,
                         const ngtcp2_version_cid *header) {
        /* The last is one that nobody speaks, so that clients learn to bear such ones (RFC 9000, 15). */
        const uint32_t versions[] = { NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2, 0x1a2a3a4au };
        uint8_t random = 0;
        uint8_t *room;

        if (packet->length < NGTCP2_MAX_UDP_PAYLOAD_SIZE)
                return;
        room = begin(answers, QUIC_ANSWER_VERSION);
        if (!room)
                return;
        (void)!getrandom(&random, sizeof(random), 0);
        finish(answers, QUIC_ANSWER_VERSION, packet,
               ngtcp2_pkt_write_version_negotiation(room, QUIC_PACKET_MAX, random, header->scid, header->scidlen,
                                                    header->dcid, header->dcidlen, versions,
                                                    sizeof(versions) / sizeof(versions[0])));
}

void quic_answer_retry(struct quic_answers *answers, const struct quic_packet *packet, const ngtcp2_pkt_hd *first) {
        uint8_t *room = begin(answers, QUIC_ANSWER_RETRY);

        if (room)
                finish(answers, QUIC_ANSWER_RETRY, packet,
                       (ngtcp2_ssize)quic_retry_write(&answers->key, first, &packet->path.remote, uv_hrtime(), room,
                                                      QUIC_PACKET_MAX));
}

void quic_answer_close(struct quic_answers *answers, const struct quic_packet *packet, const ngtcp2_pkt_hd *first,
                       uint64_t error) {
        uint8_t *room = begin(answers, QUIC_ANSWER_CLOSE);

        if (room)
                finish(answers, QUIC_ANSWER_CLOSE, packet,
                       ngtcp2_crypto_write_connection_close(room, QUIC_PACKET_MAX, first->version, &first->scid,
                                                            &first->dcid, error, NULL, 0));
}

void quic_answer_reset(struct quic_answers *answers, const struct quic_packet *packet, const ngtcp2_cid *id) {
        size_t length = packet->length > RESET_MAX ? RESET_MAX : packet->length - 1;
        uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN], random[RESET_MAX];
        uint8_t *room;

        if (packet->length <= RESET_MIN)
                return;
        room = begin(answers, QUIC_ANSWER_RESET);
        if (!room || quic_reset_token(answers->quic, quic_socket_local(answers->socket), id, token) < 0 ||
            getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
                return;
        finish(answers, QUIC_ANSWER_RESET, packet,
               ngtcp2_pkt_write_stateless_reset(room, length, token, random, length - NGTCP2_STATELESS_RESET_TOKENLEN));
}
