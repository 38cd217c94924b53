/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/restriction.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/quota.h"
#include "broker/tenant.h"
#include "token/block.h"

/*
 * What a block takes: about itself, and for each byte that it was read from, of which a pattern has five at the least. A pattern is a text, a rule for each
 * family, and its places in the trees.
 */
#define BLOCK_BYTES 4096
#define BYTES_A_BYTE 64

static void uncharge(void *data, uint64_t bytes) {
        struct tenant *tenant = data;

        account_release_bytes(&tenant->account, bytes);
}

static struct token_block_use charged_use(struct tenant *tenant, size_t length, bool is_signed) {
        return (struct token_block_use){
                .origin = is_signed ? "the token" : "protocol_restrict",
                .is_signed = is_signed,
                .charge = BLOCK_BYTES + length * BYTES_A_BYTE,
                .uncharge = uncharge,
                .charge_data = tenant,
        };
}

static void cleanup_bytes(struct token_bytes *bytes) {
        free(bytes->bytes);
}

int restriction_add(struct tenant *tenant, const struct narrowings *base, const char *rules, struct narrowings **ret,
                    struct narrowing_error *error) {
        NB_CLEANUP(cleanup_bytes) struct token_bytes block = { .bytes = NULL };
        struct token_block_use use;
        int r = token_block_of_rules(rules, strlen(rules), &block, error);

        if (r < 0)
                return r;
        use = charged_use(tenant, block.length, false);
        r = quota_claim_bytes(tenant, use.charge);
        if (r < 0)
                return r;
        r = token_block_narrow(base, block.bytes, block.length, &use, ret, error);
        if (r < 0)
                uncharge(tenant, use.charge);
        return r;
}

size_t restriction_count(const struct narrowings *narrowings) {
        size_t n = 0;

        for (size_t i = 0; i < narrowings_count(narrowings); ++i)
                n += narrowings_id(narrowings, i) == NULL;
        return n;
}

/* ---- over a restart ---- */

Nb__State__Narrowings *restriction_describe(const struct narrowings *narrowings, struct restriction_state *state) {
        size_t n = narrowings_count(narrowings);

        if (n == 0)
                return NULL;
        assert(n <= NARROWINGS_MAX);
        nb__state__narrowings__init(&state->message);
        state->message.n_blocks = n;
        state->message.blocks = state->blocks;
        for (size_t i = 0; i < n; ++i)
                state->blocks[i].data = (uint8_t *)narrowings_bytes(narrowings, i, &state->blocks[i].len);
        return &state->message;
}

bool restriction_is_same(const struct narrowings *narrowings, const Nb__State__Narrowings *state) {
        if (narrowings_count(narrowings) != state->n_blocks)
                return false;
        for (size_t i = 0; i < state->n_blocks; ++i) {
                size_t length;
                const void *bytes = narrowings_bytes(narrowings, i, &length);

                if (length != state->blocks[i].len || memcmp(bytes, state->blocks[i].data, length) != 0)
                        return false;
        }
        return true;
}

/* A block of a token has an identifier. @return 0 or -EBADMSG */
static int find_kind(const ProtobufCBinaryData *bytes, bool *ret_is_signed) {
        NB_CLEANUP_FREE struct nb_frame_arena *arena = malloc(sizeof(*arena));
        Nb__Token__Block *block;

        if (!arena)
                return -ENOMEM;
        if (token_block_read(arena, bytes->data, bytes->len, &block) < 0)
                return -EBADMSG;
        *ret_is_signed = block->id.len > 0;
        return 0;
}

/* @param narrowings  a list, which is replaced by a longer one */
static int restore_block(struct tenant *tenant, const ProtobufCBinaryData *bytes, struct narrowings **narrowings) {
        struct narrowing_error error;
        struct narrowings *longer;
        struct token_block_use use;
        bool is_signed;
        int r = find_kind(bytes, &is_signed);

        if (r < 0)
                return r;
        use = charged_use(tenant, bytes->len, is_signed);
        r = token_block_narrow(*narrowings, bytes->data, bytes->len, &use, &longer, &error);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        account_restore_bytes(&tenant->account, use.charge);
        (void)narrowings_unref(*narrowings);
        *narrowings = longer;
        return 0;
}

static void cleanup_narrowings(struct narrowings **narrowings) {
        *narrowings = narrowings_unref(*narrowings);
}

int restriction_restore(struct tenant *tenant, const Nb__State__Narrowings *state, const struct narrowings *shared,
                        struct narrowings **ret) {
        NB_CLEANUP(cleanup_narrowings) struct narrowings *narrowings = NULL;

        if (state && restriction_is_same(shared, state)) {
                *ret = narrowings_ref(shared);
                return 0;
        }
        for (size_t i = 0; state && i < state->n_blocks; ++i) {
                int r = restore_block(tenant, &state->blocks[i], &narrowings);

                if (r < 0)
                        return r;
        }
        *ret = nb_steal_ptr(narrowings);
        return 0;
}
