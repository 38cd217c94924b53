/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/token.h"

#include <errno.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <sodium/crypto_generichash.h>

#include "relay/quic/ids.h"
#include "relay/quic/quic.h"

/* What the keys are for, so that no two are the same. */
struct purpose {
        char name[24];
        uint64_t server;
        char bound[QUIC_ADDRESS_TEXT_MAX];
};

static void derive(const uint8_t secret[static QUIC_KEY_SIZE], const struct purpose *purpose,
                   uint8_t ret[static QUIC_KEY_SIZE]) {
        (void)crypto_generichash(ret, QUIC_KEY_SIZE, (const unsigned char *)purpose, sizeof(*purpose), secret,
                                 QUIC_KEY_SIZE);
}

void quic_token_key_init(const struct quic *quic, uint64_t server, struct quic_token_key *ret) {
        const struct purpose purpose = { .name = "address", .server = server };

        derive(quic->secret, &purpose, ret->bytes);
}

enum quic_token_verdict quic_token_judge(const struct quic_token_key *key, const uint8_t *token, size_t length,
                                         uint32_t version, const union quic_address *client, const ngtcp2_cid *dcid,
                                         uint64_t now_ns, ngtcp2_cid *ret_original_dcid) {
        ngtcp2_cid original_dcid;
        int r;

        if (length == 0 || token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2)
                return QUIC_TOKEN_NONE;
        r = ngtcp2_crypto_verify_retry_token2(&original_dcid, token, length, key->bytes, sizeof(key->bytes), version,
                                              &client->any, quic_address_size(client), dcid,
                                              QUIC_RETRY_LIFETIME_MS * NGTCP2_MILLISECONDS, now_ns);
        if (r != 0)
                return QUIC_TOKEN_BAD;
        *ret_original_dcid = original_dcid;
        return QUIC_TOKEN_GOOD;
}

size_t quic_retry_write(const struct quic_token_key *key, const ngtcp2_pkt_hd *first, const union quic_address *client,
                        uint64_t now_ns, uint8_t *buffer, size_t size) {
        uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2];
        ngtcp2_ssize token_length, n;
        ngtcp2_cid scid;

        if (quic_id_choose(&scid) < 0)
                return 0;
        token_length =
                ngtcp2_crypto_generate_retry_token2(token, key->bytes, sizeof(key->bytes), first->version, &client->any,
                                                    quic_address_size(client), &scid, &first->dcid, now_ns);
        if (token_length < 0)
                return 0;
        n = ngtcp2_crypto_write_retry(buffer, size, first->version, &first->scid, &scid, &first->dcid, token,
                                      (size_t)token_length);
        return n > 0 ? (size_t)n : 0;
}

int quic_reset_token(const struct quic *quic, const union quic_address *bound, const ngtcp2_cid *id,
                     uint8_t ret[NGTCP2_STATELESS_RESET_TOKENLEN]) {
        struct purpose purpose = { .name = "stateless reset" };
        uint8_t key[QUIC_KEY_SIZE];

        (void)quic_address_format(bound, purpose.bound);
        derive(quic->reset_secret, &purpose, key);
        return ngtcp2_crypto_generate_stateless_reset_token(ret, key, sizeof(key), id) == 0 ? 0 : -EIO;
}
