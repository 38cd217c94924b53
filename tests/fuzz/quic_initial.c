/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/quic_initial.h"

#include <gnutls/crypto.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define HASH_SIZE 32
#define KEY_SIZE 16
#define IV_SIZE 12
#define TAG_SIZE 16
#define SAMPLE_SIZE 16
#define NUMBER_SIZE 4

/* Of a long header, an Initial, with a packet number of four bytes. */
#define FIRST_BYTE 0xc3

static const uint8_t salt[] = { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a };

struct keys {
        uint8_t key[KEY_SIZE], iv[IV_SIZE], header[KEY_SIZE];
};

/** A buffer that is written to. */
struct out {
        uint8_t *bytes;
        size_t length;
};

static void put(struct out *out, const void *bytes, size_t length) {
        if (length > 0)
                memcpy(out->bytes + out->length, bytes, length);
        out->length += length;
}

static void put_byte(struct out *out, size_t byte) {
        out->bytes[out->length++] = (uint8_t)byte;
}

/** A variable-length integer of two bytes (RFC 9000, 16). */
static void put_number(struct out *out, size_t number) {
        put_byte(out, 0x40 | number >> 8);
        put_byte(out, number & 0xff);
}

/* ---- keys ---- */

/** HKDF-Expand-Label without a context (RFC 8446, 7.1). */
static void expand(const uint8_t secret[static HASH_SIZE], const char *label, uint8_t *ret, size_t length) {
        const gnutls_datum_t key = { (uint8_t *)secret, HASH_SIZE };
        uint8_t bytes[64];
        struct out info = { .bytes = bytes };
        int r;

        put_byte(&info, 0);
        put_byte(&info, length);
        put_byte(&info, strlen("tls13 ") + strlen(label));
        put(&info, "tls13 ", strlen("tls13 "));
        put(&info, label, strlen(label));
        put_byte(&info, 0);
        r = gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &(gnutls_datum_t){ bytes, (unsigned)info.length }, ret, length);
        FUZZ_CHECK(r == 0, "%s", gnutls_strerror(r));
}

static void derive(const struct quic_initial *initial, struct keys *ret) {
        const gnutls_datum_t key = { (uint8_t *)initial->key_id, (unsigned)initial->key_id_length };
        uint8_t secret[HASH_SIZE], client[HASH_SIZE];
        int r = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &(gnutls_datum_t){ (uint8_t *)salt, sizeof(salt) },
                                    secret);

        FUZZ_CHECK(r == 0, "%s", gnutls_strerror(r));
        expand(secret, "client in", client, sizeof(client));
        expand(client, "quic key", ret->key, sizeof(ret->key));
        expand(client, "quic iv", ret->iv, sizeof(ret->iv));
        expand(client, "quic hp", ret->header, sizeof(ret->header));
}

/* ---- protection ---- */

static void encrypt(const struct keys *keys, uint32_t number, const struct out *header, uint8_t *payload,
                    size_t length) {
        const gnutls_datum_t key = { (uint8_t *)keys->key, sizeof(keys->key) };
        uint8_t plain[QUIC_INITIAL_SIZE], nonce[IV_SIZE];
        size_t written = length + TAG_SIZE;
        gnutls_aead_cipher_hd_t cipher;
        int r = gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_GCM, &key);

        FUZZ_CHECK(r == 0, "%s", gnutls_strerror(r));
        memcpy(plain, payload, length);
        memcpy(nonce, keys->iv, sizeof(nonce));
        for (size_t i = 0; i < NUMBER_SIZE; ++i)
                nonce[IV_SIZE - 1 - i] ^= (uint8_t)(number >> 8 * i);
        r = gnutls_aead_cipher_encrypt(cipher, nonce, sizeof(nonce), header->bytes, header->length, TAG_SIZE, plain,
                                       length, payload, &written);
        FUZZ_CHECK(r == 0 && written == length + TAG_SIZE, "%s", gnutls_strerror(r));
        gnutls_aead_cipher_deinit(cipher);
}

/** Hides the packet number and its length. One block of AES by itself is one of CBC behind zeros. */
static void hide(const struct keys *keys, struct out *header) {
        const gnutls_datum_t key = { (uint8_t *)keys->header, sizeof(keys->header) };
        uint8_t zeros[SAMPLE_SIZE] = { 0 }, mask[SAMPLE_SIZE];
        uint8_t *number = header->bytes + header->length - NUMBER_SIZE;
        gnutls_cipher_hd_t cipher;
        int r = gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_CBC, &key,
                                   &(gnutls_datum_t){ zeros, (unsigned)sizeof(zeros) });

        FUZZ_CHECK(r == 0, "%s", gnutls_strerror(r));
        r = gnutls_cipher_encrypt2(cipher, number + 4, SAMPLE_SIZE, mask, sizeof(mask));
        FUZZ_CHECK(r == 0, "%s", gnutls_strerror(r));
        gnutls_cipher_deinit(cipher);
        header->bytes[0] ^= mask[0] & 0x0f;
        for (size_t i = 0; i < NUMBER_SIZE; ++i)
                number[i] ^= mask[1 + i];
}

void quic_initial_write(const struct quic_initial *initial, uint8_t buffer[static QUIC_INITIAL_SIZE]) {
        static const uint8_t version[] = { 0, 0, 0, 1 };
        struct out header = { .bytes = buffer };
        struct keys keys;
        size_t rest;

        memset(buffer, 0, QUIC_INITIAL_SIZE);
        put_byte(&header, FIRST_BYTE);
        put(&header, version, sizeof(version));
        put_byte(&header, initial->dcid_length);
        put(&header, initial->dcid, initial->dcid_length);
        put_byte(&header, initial->scid_length);
        put(&header, initial->scid, initial->scid_length);
        put_number(&header, initial->token_length);
        put(&header, initial->token, initial->token_length);
        rest = QUIC_INITIAL_SIZE - header.length - 2;
        put_number(&header, rest);
        for (int shift = 24; shift >= 0; shift -= 8)
                put_byte(&header, initial->number >> shift & 0xff);
        rest -= NUMBER_SIZE + TAG_SIZE;
        FUZZ_CHECK(initial->payload_length <= rest, "%zu bytes", initial->payload_length);
        if (initial->payload_length > 0)
                memcpy(buffer + header.length, initial->payload, initial->payload_length);

        derive(initial, &keys);
        encrypt(&keys, initial->number, &header, buffer + header.length, rest);
        hide(&keys, &header);
}
