/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/pin.h"

#include <errno.h>
#include <string.h>

#define PREFIX "sha256/"
#define KEY_PREFIX "ed25519/"

/* Bytes of both. */
#define SIZE 32

/* Of 32 bytes: 43 digits carry 258 bits, and the `=` says that the last two are none. */
#define DIGITS 43

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** @return the value of a digit, or -1 */
static int value_of(char digit) {
        const char *place = digit != '\0' ? strchr(alphabet, digit) : NULL;

        return place ? (int)(place - alphabet) : -1;
}

/** @return whether the digits are the one text of 32 bytes */
static bool decode(const char *digits, uint8_t ret[static SIZE]) {
        uint8_t bytes[SIZE];
        unsigned bits = 0, n_bits = 0;
        size_t used = 0;

        if (strlen(digits) != DIGITS + 1 || digits[DIGITS] != '=')
                return false;
        for (size_t i = 0; i < DIGITS; ++i) {
                int value = value_of(digits[i]);

                if (value < 0)
                        return false;
                bits = (bits << 6 | (unsigned)value) & 0x3fff;
                n_bits += 6;
                if (n_bits < 8)
                        continue;
                n_bits -= 8;
                bytes[used++] = (uint8_t)(bits >> n_bits);
        }
        if ((bits & 0x3) != 0)
                return false;
        memcpy(ret, bytes, sizeof(bytes));
        return true;
}

int policy_pin_parse(const char *text, struct policy_pin *ret, struct policy_complaint *ret_complaint) {
        size_t prefix = strlen(PREFIX);
        uint8_t ignored[SIZE];

        if (strncmp(text, PREFIX, prefix) == 0 && decode(text + prefix, ret->bytes))
                return 0;
        policy_complain(ret_complaint, 0,
                        "a pin is sha256/ and 44 characters of base64, the SHA-256 of a public key "
                        "(SubjectPublicKeyInfo)");
        if (strncmp(text, PREFIX "/", prefix + 1) == 0 && decode(text + prefix + 1, ignored)) /* as curl writes it */
                policy_complaint_splice(ret_complaint, text, strlen(text), prefix, prefix + 1, "");
        return -EINVAL;
}

int policy_token_key_parse(const char *text, struct policy_token_key *ret, struct policy_complaint *ret_complaint) {
        size_t prefix = strlen(KEY_PREFIX);

        if (strncmp(text, KEY_PREFIX, prefix) == 0 && decode(text + prefix, ret->bytes))
                return 0;
        return policy_complain(ret_complaint, 0,
                               "the key of an issuer is ed25519/ and 44 characters of base64, as netbrokerctl token "
                               "keygen prints it");
}

/** @param buffer  of the prefix, 44 characters, and a NUL */
static const char *encode(const char *prefix, const uint8_t bytes[static SIZE], char *buffer) {
        size_t used = strlen(prefix);
        unsigned bits = 0, n_bits = 0;

        memcpy(buffer, prefix, used);
        for (size_t i = 0; i < SIZE; ++i) {
                bits = (bits << 8 | bytes[i]) & 0x3fff;
                for (n_bits += 8; n_bits >= 6; n_bits -= 6)
                        buffer[used++] = alphabet[bits >> (n_bits - 6) & 0x3f];
        }
        buffer[used++] = alphabet[bits << (6 - n_bits) & 0x3f];
        buffer[used++] = '=';
        buffer[used] = '\0';
        return buffer;
}

const char *policy_pin_format(const struct policy_pin *pin, char buffer[static POLICY_PIN_TEXT_MAX]) {
        return encode(PREFIX, pin->bytes, buffer);
}

const char *policy_token_key_format(const struct policy_token_key *key, char buffer[static POLICY_TOKEN_KEY_TEXT_MAX]) {
        return encode(KEY_PREFIX, key->bytes, buffer);
}
