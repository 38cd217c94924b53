/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of revoked blocks (`RevokedTokens=`): text, an identifier a line in 32 hexadecimal digits, `#` before a comment. `netbrokerctl token revoke` writes
 * such lines. A token is revoked when one of its blocks is: what was made of it goes with it.
 */
#ifndef NB_TOKEN_REVOCATION_H
#define NB_TOKEN_REVOCATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/narrowing.h"

/** The largest list, in bytes of its text: half a million entries. */
#define TOKEN_REVOCATIONS_MAX (16u * 1024 * 1024)

/** An identifier's text, with its NUL. */
#define TOKEN_ID_TEXT_MAX (2 * NARROWING_ID_SIZE + 1)

struct token_revocations;

/**
 * Reads a list.
 * @param ret       owned by the caller
 * @param ret_line  on -EINVAL the line that is none, from 1
 * @return 0, -EINVAL or -ENOMEM
 */
int token_revocations_parse(const char *text, size_t length, struct token_revocations **ret, unsigned *ret_line);

/** Takes NULL. @return NULL */
struct token_revocations *token_revocations_free(struct token_revocations *revocations);

/** How many there are; of NULL none. */
size_t token_revocations_count(const struct token_revocations *revocations);

/** @param revocations  NULL: none @return the block that is revoked, borrowed from the narrowings' identifiers; NULL: none */
const uint8_t *token_revocations_find(const struct token_revocations *revocations, const struct narrowings *narrowings);

/** Prints an identifier. @return `buffer` */
const char *token_id_format(const uint8_t id[static NARROWING_ID_SIZE], char buffer[static TOKEN_ID_TEXT_MAX]);

/** Parses what token_id_format() prints; capital digits too. @return 0 or -EINVAL */
int token_id_parse(const char *text, size_t length, uint8_t ret[static NARROWING_ID_SIZE]);

#endif
