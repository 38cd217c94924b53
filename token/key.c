/* SPDX-License-Identifier: Apache-2.0 */
#include "token/key.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

_Static_assert(TOKEN_KEY_SIZE == crypto_sign_PUBLICKEYBYTES, "libsodium's public keys");
_Static_assert(TOKEN_SEED_SIZE == crypto_sign_SEEDBYTES, "libsodium's seeds");
_Static_assert(TOKEN_SIGNATURE_SIZE == crypto_sign_BYTES, "libsodium's signatures");

#define BASE64_VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

int token_init(void) {
        return sodium_init() < 0 ? -EIO : 0;
}

void token_secret_generate(struct token_secret *ret) {
        randombytes_buf(ret->seed, sizeof(ret->seed));
}

void token_secret_wipe(struct token_secret *secret) {
        sodium_memzero(secret->seed, sizeof(secret->seed));
}

void token_secret_public(const struct token_secret *secret, struct token_key *ret) {
        uint8_t pair[crypto_sign_SECRETKEYBYTES];

        (void)crypto_sign_seed_keypair(ret->bytes, pair, secret->seed);
        sodium_memzero(pair, sizeof(pair));
}

void token_sign(const struct token_secret *secret, const void *message, size_t length,
                uint8_t ret[static TOKEN_SIGNATURE_SIZE]) {
        uint8_t pair[crypto_sign_SECRETKEYBYTES], public[crypto_sign_PUBLICKEYBYTES];

        (void)crypto_sign_seed_keypair(public, pair, secret->seed);
        (void)crypto_sign_detached(ret, NULL, message, length, pair);
        sodium_memzero(pair, sizeof(pair));
}

bool token_signature_holds(const struct token_key *key, const void *message, size_t length,
                           const uint8_t signature[static TOKEN_SIGNATURE_SIZE]) {
        return crypto_sign_verify_detached(signature, message, length, key->bytes) == 0;
}

const char *token_secret_format(const struct token_secret *secret, char buffer[static TOKEN_SECRET_TEXT_MAX]) {
        size_t prefix = strlen(TOKEN_SECRET_PREFIX);

        memcpy(buffer, TOKEN_SECRET_PREFIX, prefix);
        (void)sodium_bin2base64(buffer + prefix, TOKEN_SECRET_TEXT_MAX - prefix, secret->seed, sizeof(secret->seed),
                                BASE64_VARIANT);
        return buffer;
}

int token_secret_parse(const char *text, size_t length, struct token_secret *ret) {
        size_t prefix = strlen(TOKEN_SECRET_PREFIX), n;
        struct token_secret secret;
        int r;

        while (length > 0 && memchr(" \t\r\n", text[length - 1], 4))
                --length;
        if (length < prefix || memcmp(text, TOKEN_SECRET_PREFIX, prefix) != 0)
                return -EINVAL;
        r = sodium_base642bin(secret.seed, sizeof(secret.seed), text + prefix, length - prefix, NULL, &n, NULL,
                              BASE64_VARIANT);
        if (r == 0 && n == sizeof(secret.seed))
                *ret = secret;
        else
                r = -EINVAL;
        token_secret_wipe(&secret);
        return r;
}
