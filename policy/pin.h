/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pinned key: `sha256/` and, in base64 (RFC 4648 section 4), the SHA-256 of a certificate's SubjectPublicKeyInfo, as RFC 7469 has it.
 */
#ifndef NB_POLICY_PIN_H
#define NB_POLICY_PIN_H

#include "policy/error.h"
#include "policy/policy.h"

/** Enough for any pin, with its NUL. */
#define POLICY_PIN_TEXT_MAX (sizeof("sha256/") + 44)

/** Parses a pin; only the one canonical text of each is taken. @return 0, or -EINVAL. */
int policy_pin_parse(const char *text, struct policy_pin *ret, struct policy_complaint *ret_complaint);

/** Prints what policy_pin_parse() reads. @return `buffer`. */
const char *policy_pin_format(const struct policy_pin *pin, char buffer[static POLICY_PIN_TEXT_MAX]);

/** Enough for the public key of an issuer of tokens, with its NUL. */
#define POLICY_TOKEN_KEY_TEXT_MAX (sizeof("ed25519/") + 44)

/** Parses such a key, `ed25519/BASE64`; only the one canonical text of each is taken. @return 0, or -EINVAL. */
int policy_token_key_parse(const char *text, struct policy_token_key *ret, struct policy_complaint *ret_complaint);

/** Prints what policy_token_key_parse() reads. @return `buffer`. */
const char *policy_token_key_format(const struct policy_token_key *key, char buffer[static POLICY_TOKEN_KEY_TEXT_MAX]);

#endif
