/* SPDX-License-Identifier: Apache-2.0 */
#include "token/token.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* In front of what is signed, with its NUL: a signature of the one kind is none of the other, and none of another program's. */
#define DOMAIN_BLOCK "netbroker token block v1"
#define DOMAIN_CLOSE "netbroker token close v1"

#define BASE64_VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

/* ---- reading ---- */

static bool has_sizes(const Nb__Token__SignedBlock *block) {
        return block->next_key.len == TOKEN_KEY_SIZE && block->signature.len == TOKEN_SIGNATURE_SIZE;
}

static bool has_end(const Nb__Token__Token *token) {
        switch (token->end_case) {
        case NB__TOKEN__TOKEN__END_SECRET:
                return token->secret.len == TOKEN_SEED_SIZE;
        case NB__TOKEN__TOKEN__END_CLOSING:
                return token->closing.len == TOKEN_SIGNATURE_SIZE;
        default:
                return false;
        }
}

int token_read(struct nb_frame_arena *arena, const void *bytes, size_t length, Nb__Token__Token **ret) {
        Nb__Token__Token *token;

        if (length > TOKEN_MAX)
                return -EBADMSG;
        token = (Nb__Token__Token *)nb_frame_decode(&nb__token__token__descriptor, arena, bytes, length);
        if (!token || token->version != TOKEN_VERSION || token->issuer.len != TOKEN_KEY_SIZE || !has_end(token))
                return -EBADMSG;
        if (token->n_blocks == 0 || token->n_blocks > TOKEN_BLOCKS_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < token->n_blocks; ++i)
                if (!has_sizes(token->blocks[i]))
                        return -EBADMSG;
        *ret = token;
        return 0;
}

/* ---- what is signed ---- */

/* A message of parts whose lengths are fixed, but for the last one's: so it can be taken apart in one way only. */
struct message {
        uint8_t *bytes;
        size_t length;
};

static void add(struct message *message, const void *part, size_t length) {
        if (length == 0) /* then it may be NULL */
                return;
        memcpy(message->bytes + message->length, part, length);
        message->length += length;
}

static void add_number(struct message *message, size_t number) {
        const uint8_t bytes[4] = { (uint8_t)number, (uint8_t)(number >> 8), 0, 0 };

        add(message, bytes, sizeof(bytes));
}

size_t token_signed_part(const Nb__Token__Token *token, size_t i, uint8_t buffer[static TOKEN_SIGNED_MAX]) {
        static const uint8_t none[TOKEN_SIGNATURE_SIZE];
        const Nb__Token__SignedBlock *block = token->blocks[i];
        struct message message = { .bytes = buffer };

        add(&message, DOMAIN_BLOCK, sizeof(DOMAIN_BLOCK));
        add_number(&message, i);
        add(&message, i > 0 ? token->blocks[i - 1]->signature.data : none, TOKEN_SIGNATURE_SIZE);
        add(&message, block->next_key.data, TOKEN_KEY_SIZE);
        add(&message, block->block.data, block->block.len);
        return message.length;
}

size_t token_closed_part(const Nb__Token__Token *token, uint8_t buffer[static TOKEN_SIGNED_MAX]) {
        struct message message = { .bytes = buffer };

        add(&message, DOMAIN_CLOSE, sizeof(DOMAIN_CLOSE));
        add_number(&message, token->n_blocks);
        add(&message, token->blocks[token->n_blocks - 1]->signature.data, TOKEN_SIGNATURE_SIZE);
        return message.length;
}

/* ---- making ---- */

static int encode(const Nb__Token__Token *token, struct token_bytes *ret) {
        size_t length = nb__token__token__get_packed_size(token);
        uint8_t *bytes;

        if (length > TOKEN_MAX)
                return -E2BIG;
        bytes = malloc(length);
        if (!bytes)
                return -ENOMEM;
        *ret = (struct token_bytes){ .bytes = bytes, .length = nb__token__token__pack(token, bytes) };
        return 0;
}

/* A block that is added to a token: its key and signature, and the secret that the token then ends with. */
struct link {
        Nb__Token__SignedBlock block;
        struct token_secret next;
        struct token_key next_key;
        uint8_t signature[TOKEN_SIGNATURE_SIZE];
};

/* The token ends with `link` from now on, which must live as long as it. */
static void append(Nb__Token__Token *token, Nb__Token__SignedBlock **blocks, struct link *link,
                   const struct token_secret *signer, const struct token_bytes *block) {
        uint8_t message[TOKEN_SIGNED_MAX];
        size_t length, last = token->n_blocks;

        token_secret_generate(&link->next);
        token_secret_public(&link->next, &link->next_key);
        nb__token__signed_block__init(&link->block);
        link->block.block = (ProtobufCBinaryData){ block->length, block->bytes };
        link->block.next_key = (ProtobufCBinaryData){ sizeof(link->next_key.bytes), link->next_key.bytes };
        for (size_t i = 0; i < last; ++i)
                blocks[i] = token->blocks[i];
        blocks[last] = &link->block;
        token->blocks = blocks;
        token->n_blocks++;
        length = token_signed_part(token, last, message);
        token_sign(signer, message, length, link->signature);
        link->block.signature = (ProtobufCBinaryData){ sizeof(link->signature), link->signature };
        token->end_case = NB__TOKEN__TOKEN__END_SECRET;
        token->secret = (ProtobufCBinaryData){ sizeof(link->next.seed), link->next.seed };
}

static int append_and_encode(Nb__Token__Token *token, const struct token_secret *signer,
                             const struct token_bytes *block, struct token_bytes *ret) {
        Nb__Token__SignedBlock *blocks[TOKEN_BLOCKS_MAX];
        struct link link;
        int r;

        if (token->n_blocks == TOKEN_BLOCKS_MAX || block->length > TOKEN_MAX)
                return -E2BIG;
        append(token, blocks, &link, signer, block);
        r = encode(token, ret);
        token_secret_wipe(&link.next);
        return r;
}

int token_new(const struct token_secret *issuer, const struct token_bytes *block, struct token_bytes *ret) {
        Nb__Token__Token token;
        struct token_key key;

        nb__token__token__init(&token);
        token_secret_public(issuer, &key);
        token.version = TOKEN_VERSION;
        token.issuer = (ProtobufCBinaryData){ sizeof(key.bytes), key.bytes };
        return append_and_encode(&token, issuer, block, ret);
}

/* Takes the secret of an open token, which must be the one of its last key: otherwise nobody could verify what is added. */
static int take_secret(const Nb__Token__Token *token, struct token_secret *ret) {
        struct token_key key;

        if (token->end_case != NB__TOKEN__TOKEN__END_SECRET)
                return -EACCES;
        memcpy(ret->seed, token->secret.data, sizeof(ret->seed));
        token_secret_public(ret, &key);
        if (memcmp(key.bytes, token->blocks[token->n_blocks - 1]->next_key.data, sizeof(key.bytes)) == 0)
                return 0;
        token_secret_wipe(ret);
        return -EACCES;
}

/* A token that is read to be changed. */
struct opened {
        struct nb_frame_arena *arena; /* owned; it holds the secret */
        Nb__Token__Token *token;
        struct token_secret secret;
};

static void opened_deinit(struct opened *opened) {
        token_secret_wipe(&opened->secret);
        if (opened->arena)
                sodium_memzero(opened->arena, sizeof(*opened->arena));
        free(opened->arena);
}

static int open_token(const void *bytes, size_t length, struct opened *ret) {
        int r;

        ret->arena = malloc(sizeof(*ret->arena));
        if (!ret->arena)
                return -ENOMEM;
        r = token_read(ret->arena, bytes, length, &ret->token);
        return r < 0 ? r : take_secret(ret->token, &ret->secret);
}

int token_attenuate(const void *bytes, size_t length, const struct token_bytes *block, struct token_bytes *ret) {
        NB_CLEANUP(opened_deinit) struct opened opened = { 0 };
        int r = open_token(bytes, length, &opened);

        return r < 0 ? r : append_and_encode(opened.token, &opened.secret, block, ret);
}

int token_close(const void *bytes, size_t length, struct token_bytes *ret) {
        NB_CLEANUP(opened_deinit) struct opened opened = { 0 };
        uint8_t message[TOKEN_SIGNED_MAX], closing[TOKEN_SIGNATURE_SIZE];
        int r = open_token(bytes, length, &opened);

        if (r < 0)
                return r;
        token_sign(&opened.secret, message, token_closed_part(opened.token, message), closing);
        opened.token->end_case = NB__TOKEN__TOKEN__END_CLOSING;
        opened.token->closing = (ProtobufCBinaryData){ sizeof(closing), closing };
        return encode(opened.token, ret);
}

/* ---- text ---- */

const char *token_format(const void *bytes, size_t length, char buffer[static TOKEN_TEXT_MAX]) {
        size_t prefix = strlen(TOKEN_PREFIX);

        memcpy(buffer, TOKEN_PREFIX, prefix);
        (void)sodium_bin2base64(buffer + prefix, TOKEN_TEXT_MAX - prefix, bytes, length, BASE64_VARIANT);
        return buffer;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int token_parse(const char *text, size_t length, struct token_bytes *ret) {
        size_t prefix = strlen(TOKEN_PREFIX), n;
        NB_CLEANUP_FREE uint8_t *bytes = NULL;

        for (; length > 0 && is_blank(text[0]); ++text)
                --length;
        while (length > 0 && is_blank(text[length - 1]))
                --length;
        if (length <= prefix || length >= TOKEN_TEXT_MAX || memcmp(text, TOKEN_PREFIX, prefix) != 0)
                return -EINVAL;
        bytes = malloc(TOKEN_MAX);
        if (!bytes)
                return -ENOMEM;
        if (sodium_base642bin(bytes, TOKEN_MAX, text + prefix, length - prefix, NULL, &n, NULL, BASE64_VARIANT) != 0)
                return -EINVAL;
        *ret = (struct token_bytes){ .bytes = nb_steal_ptr(bytes), .length = n };
        return 0;
}
