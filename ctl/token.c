/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/wall_clock.h"
#include "policy/pin.h"
#include "token/verify.h"

static void cleanup_secret(struct token_secret *secret) {
        token_secret_wipe(secret);
}

static const char *why_not(int error) {
        switch (error) {
        case -EACCES:
                return "it is closed, or its end is not its own: nobody can add to it";
        case -E2BIG:
                return "it would be longer than a token may be (8 KiB, 16 blocks)";
        case -EBADMSG:
                return "this is not a token of this version";
        default:
                return strerror(-error);
        }
}

static int write_token(const struct ctl *ctl, const struct token_bytes *token) {
        NB_CLEANUP_FREE char *text = malloc(TOKEN_TEXT_MAX);

        if (!text) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        return ctl_token_write(ctl, token_format(token->bytes, token->length, text));
}

/* Writes what a step came to, or says why not. */
static int finish(const struct ctl *ctl, int r, const struct token_bytes *token) {
        if (r == 0)
                return write_token(ctl, token);
        ctl_complain("%s", why_not(r));
        return CTL_NO;
}

/* ---- the verbs ---- */

static int run_keygen(const struct ctl *ctl) {
        NB_CLEANUP(cleanup_secret) struct token_secret secret;
        char text[TOKEN_SECRET_TEXT_MAX], public_text[POLICY_TOKEN_KEY_TEXT_MAX];
        struct policy_token_key public;
        struct token_key key;
        int r;

        token_secret_generate(&secret);
        if (!ctl->options->token.output)
                return ctl_misused(ctl, "say where the secret key goes: --output FILE");
        r = ctl_token_write(ctl, token_secret_format(&secret, text));
        if (r != CTL_OK)
                return r;
        token_secret_public(&secret, &key);
        memcpy(public.bytes, key.bytes, sizeof(public.bytes));
        printf("TokenKey=%s\n", policy_token_key_format(&public, public_text));
        return CTL_OK;
}

static int run_new(const struct ctl *ctl) {
        NB_CLEANUP(cleanup_secret) struct token_secret secret = { { 0 } };
        NB_CLEANUP(ctl_token_wipe) struct token_bytes block = { .bytes = NULL }, token = { .bytes = NULL };
        int r = ctl_token_read_key(ctl, &secret);

        if (r == CTL_OK)
                r = ctl_token_make_block(ctl, &block);
        return r == CTL_OK ? finish(ctl, token_new(&secret, &block, &token), &token) : r;
}

static int run_attenuate(const struct ctl *ctl) {
        NB_CLEANUP(ctl_token_wipe)
        struct token_bytes block = { .bytes = NULL }, token = { .bytes = NULL }, longer = { .bytes = NULL };
        int r = ctl_token_make_block(ctl, &block);

        if (r == CTL_OK)
                r = ctl_token_read(ctl, 1, &token);
        return r == CTL_OK ? finish(ctl, token_attenuate(token.bytes, token.length, &block, &longer), &longer) : r;
}

static int run_close(const struct ctl *ctl) {
        NB_CLEANUP(ctl_token_wipe) struct token_bytes token = { .bytes = NULL }, closed = { .bytes = NULL };
        int r = ctl_token_read(ctl, 1, &token);

        return r == CTL_OK ? finish(ctl, token_close(token.bytes, token.length, &closed), &closed) : r;
}

static int run_show(const struct ctl *ctl) {
        NB_CLEANUP(ctl_token_wipe) struct token_bytes token = { .bytes = NULL };
        int r = ctl_token_read(ctl, 1, &token);

        return r == CTL_OK ? ctl_token_show(ctl, &token) : r;
}

static int read_issuer(const struct ctl *ctl, struct token_key *ret) {
        struct policy_complaint complaint;
        struct policy_token_key key;

        if (!ctl->options->token.issuer)
                return ctl_misused(ctl, "say who is to have issued it: --issuer ed25519/BASE64");
        if (policy_token_key_parse(ctl->options->token.issuer, &key, &complaint) < 0)
                return ctl_misused(ctl, "--issuer: %s", complaint.message);
        memcpy(ret->bytes, key.bytes, sizeof(ret->bytes));
        return CTL_OK;
}

static int judge(const struct ctl *ctl, const struct token_bytes *token, const struct token_key *issuer) {
        const struct token_trust trust = {
                .keys = issuer,
                .n_keys = 1,
                .tenant = ctl->options->tenant,
                .now_s = nb_wall_clock_ms() / 1000,
        };
        struct token_verdict verdict;
        size_t n;

        if (token_verify(token->bytes, token->length, &trust, &verdict) < 0) {
                ctl_complain("%s (%s)", verdict.reason, token_problem_name(verdict.problem));
                return CTL_NO;
        }
        n = narrowings_count(verdict.narrowings);
        narrowings_unref(verdict.narrowings);
        printf("valid, %zu block%s\n", n, n == 1 ? "" : "s");
        return CTL_OK;
}

static int run_verify(const struct ctl *ctl) {
        NB_CLEANUP(ctl_token_wipe) struct token_bytes token = { .bytes = NULL };
        struct token_key issuer;
        int r = read_issuer(ctl, &issuer);

        if (r == CTL_OK)
                r = ctl_token_read(ctl, 1, &token);
        return r == CTL_OK ? judge(ctl, &token, &issuer) : r;
}

/* The last block: what it was made of stays good, and what is made of it does not. */
static int print_last_id(const struct token_bytes *bytes) {
        NB_CLEANUP_FREE struct nb_frame_arena *arena = malloc(sizeof(*arena)), *block_arena = malloc(sizeof(*arena));
        const ProtobufCBinaryData *last;
        Nb__Token__Token *token;
        Nb__Token__Block *block;
        char id[TOKEN_ID_TEXT_MAX];

        if (!arena || !block_arena) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        if (token_read(arena, bytes->bytes, bytes->length, &token) < 0) {
                ctl_complain("this is not a token of version %d", TOKEN_VERSION);
                return CTL_BAD;
        }
        last = &token->blocks[token->n_blocks - 1]->block;
        if (token_block_read(block_arena, last->data, last->len, &block) < 0 || block->id.len != NARROWING_ID_SIZE) {
                ctl_complain("its last block cannot be read: it is of a later version, or no block");
                return CTL_BAD;
        }
        printf("%s\n", token_id_format(block->id.data, id));
        return CTL_OK;
}

static int run_revoke(const struct ctl *ctl) {
        NB_CLEANUP(ctl_token_wipe) struct token_bytes token = { .bytes = NULL };
        int r = ctl_token_read(ctl, 1, &token);

        return r == CTL_OK ? print_last_id(&token) : r;
}

int ctl_token(const struct ctl *ctl) {
        static const struct {
                const char *name;
                size_t max_operands;
                int (*run)(const struct ctl *ctl);
        } verbs[] = {
                { "keygen", 1, run_keygen }, { "new", 1, run_new },   { "attenuate", 2, run_attenuate },
                { "close", 2, run_close },   { "show", 2, run_show }, { "verify", 2, run_verify },
                { "revoke", 2, run_revoke },
        };

        if (token_init() < 0) {
                ctl_complain("libsodium cannot be used here");
                return CTL_NO;
        }
        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); ++i) {
                if (strcmp(ctl->operands[0], verbs[i].name) != 0)
                        continue;
                if (ctl->n_operands > verbs[i].max_operands)
                        return ctl_misused(ctl, "'%s' is one word too many for token %s",
                                           ctl->operands[verbs[i].max_operands], verbs[i].name);
                return verbs[i].run(ctl);
        }
        return ctl_misused(ctl, "token does not know '%s': it is keygen, new, attenuate, close, show, verify or revoke",
                           ctl->operands[0]);
}
