/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block: what a link of a token takes away, or protocol_restrict does. Bytes of proto/token.proto on one side, a narrowing of policy/narrowing.h on
 * the other.
 *
 * Bytes are read strictly (proto/scan.h), and whatever is unknown in them, a field, a verb, a quota, refuses the whole: a caveat that is not understood is
 * not one that holds.
 */
#ifndef NB_TOKEN_BLOCK_H
#define NB_TOKEN_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/narrowing.h"
#include "proto/frame.h"
#include "proto/token.pb-c.h"

/** What bytes are owned by the caller: free(). */
struct token_bytes {
        uint8_t *bytes;
        size_t length;
};

/**
 * Reads a block.
 * @param ret  valid until the next use of `arena`; its lists are not looked at
 * @return 0 or -EBADMSG
 */
int token_block_read(struct nb_frame_arena *arena, const void *bytes, size_t length, Nb__Token__Block **ret);

/** How a block is taken. */
struct token_block_use {
        const char *origin; /* for reasons; borrowed, copied by the narrowing */
        bool is_signed; /* a token's: it has an identifier. Otherwise it has none, and no tenants, quotas and times: nobody would see to these */
        const char *tenant; /* that it must leave; NULL: this is not asked */
        uint64_t charge;    /* as of struct narrowing_source, and so what follows */
        void (*uncharge)(void *data, uint64_t charge);
        void *charge_data;
};

/**
 * Adds a block to a list of narrowings.
 * @param base   borrowed; NULL: none
 * @param ret    a reference, owned by the caller
 * @param error  filled in on -EBADMSG, -EINVAL, -E2BIG and -EPERM
 * @return 0; -EBADMSG where the bytes are no block; -EPERM where it does not leave the tenant; otherwise as narrowings_add()
 */
int token_block_narrow(const struct narrowings *base, const void *bytes, size_t length,
                       const struct token_block_use *use, struct narrowings **ret, struct narrowing_error *error);

/**
 * Makes a block of text, as protocol_restrict takes it: lines `Connect=PATTERN...`, `Listen=PATTERN...` and `Deny=PATTERN...` as in a [Protocol] section of a
 * policy; empty lines, and those that begin with `#` or `;`, say nothing. As there, what is not granted is not granted: a text without Listen= leaves nothing to
 * listen on, and the empty text nothing at all. What the patterns are is not looked at.
 * @param ret    owned by the caller
 * @param error  filled in on -EINVAL and -E2BIG, with the number of the line
 * @return 0; -EINVAL; -E2BIG: too many patterns; -ENOMEM
 */
int token_block_of_rules(const char *text, size_t length, struct token_bytes *ret, struct narrowing_error *error);

/** Encodes a block. @param ret  owned by the caller @return 0 or -ENOMEM */
int token_block_encode(const Nb__Token__Block *block, struct token_bytes *ret);

/** Finds the limit that a quota is of, by its key, "MaxConnections", or as people say it, "connections". @return 0, or -EINVAL for one that a token cannot bound */
int token_quota_find(const char *key, enum policy_limit *ret);

/** @return the limits that a quota can be of, one after the other by `i`; POLICY_N_LIMITS behind the last */
enum policy_limit token_quota_limit(size_t i);

#endif
