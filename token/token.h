/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capability tokens: a chain of blocks, each signed by the key that the block before names, and each only narrowing. docs/token-format.md specifies them, so that others
 * can make and verify them.
 *
 *      issuer's key ──signs──► block 1, key 1 ──signs──► block 2, key 2 ── … ──► key n: its secret (open), or its signature (closed)
 *
 * Whoever has an open token has the last secret key, and adds a block with it, without anybody's help: the key for the next link is made anew, and the old secret is
 * not in what is handed on. So nobody who has the longer token can take its last blocks off. A closed token cannot be narrowed further.
 *
 * A token is whatever its bytes are: what is signed is the bytes as they stand, and nothing is encoded again to be verified.
 */
#ifndef NB_TOKEN_TOKEN_H
#define NB_TOKEN_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/token.pb-c.h"
#include "token/block.h"
#include "token/key.h"

/** The version of the format. */
#define TOKEN_VERSION 1

/** The longest token, in bytes, and the most blocks of one. */
#define TOKEN_MAX NB_TOKEN_LENGTH_MAX
#define TOKEN_BLOCKS_MAX 16

/** In front of the base64url of a token. */
#define TOKEN_PREFIX NB_TOKEN_PREFIX

/** The longest text of a token, with its NUL. */
#define TOKEN_TEXT_MAX (sizeof(TOKEN_PREFIX) + (TOKEN_MAX + 2) / 3 * 4)

/**
 * Reads a token, and proves nothing.
 * @param arena  gets what is read
 * @param ret    valid until the next use of `arena`: one to TOKEN_BLOCKS_MAX blocks, and every key and signature of its size
 * @return 0 or -EBADMSG
 */
int token_read(struct nb_frame_arena *arena, const void *bytes, size_t length, Nb__Token__Token **ret);

/**
 * Makes an open token of one block.
 * @param block  as it is encoded; borrowed
 * @param ret    owned by the caller
 * @return 0; -E2BIG: it would be longer than TOKEN_MAX; -ENOMEM
 */
int token_new(const struct token_secret *issuer, const struct token_bytes *block, struct token_bytes *ret);

/**
 * Adds a block to an open token.
 * @param ret  the longer token, owned by the caller
 * @return 0; -EBADMSG: that is no token; -EACCES: it is closed, or its secret is not its last key's; -E2BIG: too long, or too many blocks; -ENOMEM
 */
int token_attenuate(const void *bytes, size_t length, const struct token_bytes *block, struct token_bytes *ret);

/** Closes an open token. @return as token_attenuate() */
int token_close(const void *bytes, size_t length, struct token_bytes *ret);

/** Prints a token. @param length  at most TOKEN_MAX @return `buffer` */
const char *token_format(const void *bytes, size_t length, char buffer[static TOKEN_TEXT_MAX]);

/** Parses what token_format() prints, with blanks and ends of line around it. @param ret  owned by the caller @return 0, -EINVAL or -ENOMEM */
int token_parse(const char *text, size_t length, struct token_bytes *ret);

/** Room for what is signed: of a block, and of a closing. */
#define TOKEN_SIGNED_MAX (TOKEN_MAX + 128)

/**
 * Writes what the signature of block `i` is about.
 * @return its length
 */
size_t token_signed_part(const Nb__Token__Token *token, size_t i, uint8_t buffer[static TOKEN_SIGNED_MAX]);

/** The same of the closing signature. */
size_t token_closed_part(const Nb__Token__Token *token, uint8_t buffer[static TOKEN_SIGNED_MAX]);

#endif
