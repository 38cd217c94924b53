/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/initial.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define KEY_SIZE 16
#define IV_SIZE 12
#define TAG_SIZE 16
#define SAMPLE_SIZE 16
#define HASH_SIZE 32
#define NUMBER_MAX 4

/* The longest header that is looked at, with its token and packet number, and the longest payload: more than any client sends whose first flight would be kept. */
#define HEADER_MAX 2048
#define PAYLOAD_MAX 8192

#define LABEL_MAX 32

/* What differs between the versions (RFC 9001, 5.2; RFC 9369, 3.3). */
static const struct version {
        uint32_t number;
        uint8_t salt[20];
        const char *key;
        const char *iv;
        const char *header;
} versions[] = {
        { NGTCP2_PROTO_VER_V1,
          { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
            0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a },
          "quic key",
          "quic iv",
          "quic hp" },
        { NGTCP2_PROTO_VER_V2,
          { 0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
            0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9 },
          "quicv2 key",
          "quicv2 iv",
          "quicv2 hp" },
};

struct keys {
        uint8_t key[KEY_SIZE], iv[IV_SIZE], header[KEY_SIZE];
};

/* An Initial in its parts. */
struct parts {
        uint8_t header[HEADER_MAX]; /* without its protection */
        size_t header_length;
        uint8_t number_length;
        uint32_t number;
        const uint8_t *payload; /* of the packet, with its tag */
        size_t payload_length;
};

static const struct version *find_version(uint32_t number) {
        for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); ++i) {
                if (versions[i].number == number)
                        return &versions[i];
        }
        return NULL;
}

/* ---- keys ---- */

/* HKDF-Expand-Label without a context (RFC 8446, 7.1). @return 0 or -EIO */
static int expand(const uint8_t secret[static HASH_SIZE], const char *label, uint8_t *ret, size_t length) {
        const gnutls_datum_t key = { (unsigned char *)secret, HASH_SIZE };
        const char prefix[] = "tls13 ";
        size_t label_length = strlen(prefix) + strlen(label), n = 0;
        uint8_t info[2 + 1 + LABEL_MAX + 1];
        gnutls_datum_t all = { info, 0 };

        info[n++] = 0;
        info[n++] = (uint8_t)length;
        info[n++] = (uint8_t)label_length;
        memcpy(info + n, prefix, strlen(prefix));
        memcpy(info + n + strlen(prefix), label, strlen(label));
        n += label_length;
        info[n++] = 0;
        all.size = (unsigned)n;
        return gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &all, ret, length) == 0 ? 0 : -EIO;
}

/* @return 0 or -EIO */
static int derive(const struct version *version, const ngtcp2_cid *dcid, struct keys *ret) {
        const gnutls_datum_t salt = { (unsigned char *)version->salt, sizeof(version->salt) };
        const gnutls_datum_t id = { (unsigned char *)dcid->data, (unsigned)dcid->datalen };
        uint8_t secret[HASH_SIZE], client[HASH_SIZE];

        if (gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &id, &salt, secret) != 0 ||
            expand(secret, "client in", client, sizeof(client)) < 0 ||
            expand(client, version->key, ret->key, sizeof(ret->key)) < 0 ||
            expand(client, version->iv, ret->iv, sizeof(ret->iv)) < 0)
                return -EIO;
        return expand(client, version->header, ret->header, sizeof(ret->header));
}

/* ---- protection ---- */

/* One block of AES alone is the first of CBC after zeros. @return 0 or -EIO */
static int make_mask(const struct keys *keys, const uint8_t *sample, uint8_t ret[static SAMPLE_SIZE]) {
        const gnutls_datum_t key = { (unsigned char *)keys->header, sizeof(keys->header) };
        uint8_t zeros[SAMPLE_SIZE] = { 0 };
        const gnutls_datum_t iv = { zeros, sizeof(zeros) };
        gnutls_cipher_hd_t cipher;
        int r = gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_CBC, &key, &iv);

        if (r < 0)
                return -EIO;
        r = gnutls_cipher_encrypt2(cipher, sample, SAMPLE_SIZE, ret, SAMPLE_SIZE);
        gnutls_cipher_deinit(cipher);
        return r < 0 ? -EIO : 0;
}

/* Takes the header's protection off. @param before  bytes in front of the packet number @return 0 or -EINVAL */
static int unmask(const struct quic_packet *packet, const ngtcp2_pkt_hd *header, size_t before, const struct keys *keys,
                  struct parts *ret) {
        uint8_t mask[SAMPLE_SIZE];

        if (before + NUMBER_MAX > HEADER_MAX || header->len > packet->length - before ||
            header->len < NUMBER_MAX + SAMPLE_SIZE || header->len > PAYLOAD_MAX ||
            make_mask(keys, packet->bytes + before + NUMBER_MAX, mask) < 0)
                return -EINVAL;
        memcpy(ret->header, packet->bytes, before + NUMBER_MAX);
        ret->header[0] ^= mask[0] & 0x0f;
        ret->number_length = (uint8_t)((ret->header[0] & 3) + 1);
        ret->number = 0;
        for (size_t i = 0; i < ret->number_length; ++i) {
                ret->header[before + i] ^= mask[1 + i];
                ret->number = ret->number << 8 | ret->header[before + i];
        }
        ret->header_length = before + ret->number_length;
        ret->payload = packet->bytes + ret->header_length;
        ret->payload_length = header->len - ret->number_length;
        return 0;
}

static bool can_decrypt(const struct keys *keys, const struct parts *parts) {
        const gnutls_datum_t key = { (unsigned char *)keys->key, sizeof(keys->key) };
        uint8_t nonce[IV_SIZE], plain[PAYLOAD_MAX];
        size_t length = sizeof(plain);
        gnutls_aead_cipher_hd_t cipher;
        int r = gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_GCM, &key);

        if (r < 0)
                return false;
        memcpy(nonce, keys->iv, sizeof(nonce));
        for (size_t i = 0; i < NUMBER_MAX; ++i)
                nonce[IV_SIZE - 1 - i] ^= (uint8_t)(parts->number >> 8 * i);
        r = gnutls_aead_cipher_decrypt(cipher, nonce, sizeof(nonce), parts->header, parts->header_length, TAG_SIZE,
                                       parts->payload, parts->payload_length, plain, &length);
        gnutls_aead_cipher_deinit(cipher);
        return r == 0;
}

bool quic_initial_is_whole(const struct quic_packet *packet) {
        const struct version *version;
        struct parts parts;
        struct keys keys;
        ngtcp2_pkt_hd header;
        ngtcp2_ssize before = ngtcp2_pkt_decode_hd_long(&header, packet->bytes, packet->length);

        if (before < 0)
                return false;
        version = find_version(header.version);
        return version && derive(version, &header.dcid, &keys) == 0 &&
               unmask(packet, &header, (size_t)before, &keys, &parts) == 0 && can_decrypt(&keys, &parts);
}
