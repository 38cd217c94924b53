/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of capability tokens: Ed25519 (RFC 8032), by libsodium.
 *
 * An issuer's public key stands in policies (`TokenKey=ed25519/BASE64`), its secret key in a file of its own, as text that begins with TOKEN_SECRET_PREFIX.
 */
#ifndef NB_TOKEN_KEY_H
#define NB_TOKEN_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes of a public key, of a secret one (its seed), and of a signature. */
#define TOKEN_KEY_SIZE 32
#define TOKEN_SEED_SIZE 32
#define TOKEN_SIGNATURE_SIZE 64

/** In front of the base64url of a secret key. */
#define TOKEN_SECRET_PREFIX "nbkey1_"

/** Enough for the text of a secret key, with its NUL. */
#define TOKEN_SECRET_TEXT_MAX 64

struct token_key {
        uint8_t bytes[TOKEN_KEY_SIZE];
};

/** A secret. Whoever has one on the stack wipes it (token_secret_wipe()). */
struct token_secret {
        uint8_t seed[TOKEN_SEED_SIZE];
};

/** Makes the library ready; before anything else here, once a process. @return 0 or -EIO */
int token_init(void);

void token_secret_generate(struct token_secret *ret);

void token_secret_wipe(struct token_secret *secret);

/** The public half. */
void token_secret_public(const struct token_secret *secret, struct token_key *ret);

/** Signs a message. */
void token_sign(const struct token_secret *secret, const void *message, size_t length,
                uint8_t ret[static TOKEN_SIGNATURE_SIZE]);

/** @return whether the signature is the key's, of that message */
bool token_signature_holds(const struct token_key *key, const void *message, size_t length,
                           const uint8_t signature[static TOKEN_SIGNATURE_SIZE]);

/** Prints what token_secret_parse() reads. @return `buffer` */
const char *token_secret_format(const struct token_secret *secret, char buffer[static TOKEN_SECRET_TEXT_MAX]);

/** Parses a secret key's text, with blanks and an end of line behind it. @return 0 or -EINVAL */
int token_secret_parse(const char *text, size_t length, struct token_secret *ret);

#endif
