/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/wall_clock.h"
#include "ctl/token.h"
#include "policy/pin.h"
#include "token/revocation.h"

#define SHOWN_MAX 512

static const char *time_text(uint64_t seconds, char buffer[static NB_WALL_CLOCK_TEXT_MAX]) {
        const char *text = seconds < UINT64_MAX / 1000 ? nb_wall_clock_format(seconds * 1000, buffer) : NULL;

        return text ? text : "a time that no calendar has";
}

static const char *issuer_text(const Nb__Token__Token *token, char buffer[static POLICY_TOKEN_KEY_TEXT_MAX]) {
        struct policy_token_key key;

        memcpy(key.bytes, token->issuer.data, sizeof(key.bytes));
        return policy_token_key_format(&key, buffer);
}

static const char *id_text(const Nb__Token__Block *block, char buffer[static TOKEN_ID_TEXT_MAX]) {
        return block->id.len == NARROWING_ID_SIZE ? token_id_format(block->id.data, buffer) : "";
}

/* ---- words ---- */

static void print_text(const char *text) {
        char shown[SHOWN_MAX];

        (void)fputs(nb_escape(text, strlen(text), shown, sizeof(shown)), stdout);
}

static void print_list(const char *name, const Nb__Token__Texts *texts) {
        if (!texts)
                return;
        printf("  %-11s", name);
        if (texts->n_items == 0)
                printf("nothing");
        for (size_t i = 0; i < texts->n_items; ++i) {
                printf("%s", i > 0 ? " " : "");
                print_text(texts->items[i]);
        }
        printf("\n");
}

static void print_block(size_t i, const Nb__Token__Block *block) {
        char time[NB_WALL_CLOCK_TEXT_MAX], id[TOKEN_ID_TEXT_MAX];

        printf("Block %zu  %s", i + 1, id_text(block, id));
        if (*block->label) {
                printf("  ");
                print_text(block->label);
        }
        printf("\n");
        print_list("tenants", block->tenants);
        print_list("protocols", block->protocols);
        print_list("verbs", block->verbs);
        print_list("connect", block->connect);
        print_list("listen", block->listen);
        print_list("deny", block->deny);
        for (size_t q = 0; q < block->n_quotas; ++q) {
                printf("  %-11s", "quota");
                print_text(block->quotas[q]->key);
                printf("=%" PRIu64 " a session\n", block->quotas[q]->value);
        }
        if (block->not_before > 0)
                printf("  %-11s%s\n", "not before", time_text(block->not_before, time));
        if (block->not_after > 0)
                printf("  %-11s%s\n", "until", time_text(block->not_after, time));
}

static void print_head(const Nb__Token__Token *token) {
        char issuer[POLICY_TOKEN_KEY_TEXT_MAX];

        printf("Issuer   %s (not verified)\n", issuer_text(token, issuer));
        printf("State    %s\n", token->end_case == NB__TOKEN__TOKEN__END_SECRET
                                        ? "open: whoever has it can narrow it further"
                                        : "closed");
}

/* ---- JSON ---- */

static void set_list(json_t *object, const char *name, const Nb__Token__Texts *texts) {
        json_t *array = texts ? json_array() : NULL;

        for (size_t i = 0; texts && i < texts->n_items; ++i)
                (void)json_array_append_new(array, json_string(texts->items[i]));
        if (array)
                (void)json_object_set_new(object, name, array);
}

static void set_time(json_t *object, const char *name, uint64_t seconds) {
        char time[NB_WALL_CLOCK_TEXT_MAX];

        if (seconds > 0)
                (void)json_object_set_new(object, name, json_string(time_text(seconds, time)));
}

static json_t *block_to_json(const Nb__Token__Block *block) {
        json_t *object = json_object(), *quotas = json_object();
        char id[TOKEN_ID_TEXT_MAX];

        (void)json_object_set_new(object, "id", json_string(id_text(block, id)));
        (void)json_object_set_new(object, "label", json_string(block->label));
        set_list(object, "tenants", block->tenants);
        set_list(object, "protocols", block->protocols);
        set_list(object, "verbs", block->verbs);
        set_list(object, "connect", block->connect);
        set_list(object, "listen", block->listen);
        set_list(object, "deny", block->deny);
        for (size_t i = 0; i < block->n_quotas; ++i)
                (void)json_object_set_new(quotas, block->quotas[i]->key,
                                          json_integer((json_int_t)block->quotas[i]->value));
        (void)json_object_set_new(object, "quotas", quotas);
        set_time(object, "not_before", block->not_before);
        set_time(object, "until", block->not_after);
        return object;
}

static json_t *head_to_json(const Nb__Token__Token *token) {
        char issuer[POLICY_TOKEN_KEY_TEXT_MAX];
        json_t *object = json_object();

        (void)json_object_set_new(object, "issuer", json_string(issuer_text(token, issuer)));
        (void)json_object_set_new(object, "closed", json_boolean(token->end_case == NB__TOKEN__TOKEN__END_CLOSING));
        (void)json_object_set_new(object, "blocks", json_array());
        return object;
}

static void print_json(json_t *object) {
        NB_CLEANUP_FREE char *text = json_dumps(object, JSON_INDENT(2) | JSON_ENSURE_ASCII);

        printf("%s\n", text ? text : "{}");
        json_decref(object);
}

/* ---- the whole ---- */

/* @param object  NULL: in words */
static int show_blocks(const Nb__Token__Token *token, struct nb_frame_arena *arena, json_t *object) {
        for (size_t i = 0; i < token->n_blocks; ++i) {
                const ProtobufCBinaryData *bytes = &token->blocks[i]->block;
                Nb__Token__Block *block;

                if (token_block_read(arena, bytes->data, bytes->len, &block) < 0) {
                        ctl_complain("block %zu cannot be read: it is of a later version, or no block", i + 1);
                        return CTL_BAD;
                }
                if (object)
                        (void)json_array_append_new(json_object_get(object, "blocks"), block_to_json(block));
                else
                        print_block(i, block);
        }
        return CTL_OK;
}

int ctl_token_show(const struct ctl *ctl, const struct token_bytes *token_bytes) {
        NB_CLEANUP_FREE struct nb_frame_arena *arena = malloc(sizeof(*arena)), *block_arena = malloc(sizeof(*arena));
        Nb__Token__Token *token;
        json_t *object;
        int r;

        if (!arena || !block_arena) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        if (token_read(arena, token_bytes->bytes, token_bytes->length, &token) < 0) {
                ctl_complain("this is not a token of version %d", TOKEN_VERSION);
                return CTL_BAD;
        }
        object = ctl->options->json ? head_to_json(token) : NULL;
        if (!object)
                print_head(token);
        r = show_blocks(token, block_arena, object);
        if (object)
                print_json(object);
        return r;
}
