/* SPDX-License-Identifier: Apache-2.0 */
#include "token/block.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "policy/limit.h"

/* How much of a stranger's text a message quotes. */
#define QUOTE_MAX 64

/* What stands in front of the name of a limit that is a number of things. */
#define LIMIT_PREFIX "Max"

/* What a session can be held to by itself: what it has is charged to its tenant as well. */
static const enum policy_limit quota_limits[] = { POLICY_LIMIT_CONTROLS, POLICY_LIMIT_LISTENERS,
                                                  POLICY_LIMIT_CONNECTIONS, POLICY_LIMIT_CONNECTING };

#define N_QUOTA_LIMITS (sizeof(quota_limits) / sizeof(quota_limits[0]))

__attribute__((format(printf, 3, 4))) static int fail(struct narrowing_error *error, int result, const char *format,
                                                      ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(error->message, sizeof(error->message), format, arguments);
        va_end(arguments);
        return result;
}

/* ---- quotas ---- */

enum policy_limit token_quota_limit(size_t i) {
        return i < N_QUOTA_LIMITS ? quota_limits[i] : POLICY_N_LIMITS;
}

int token_quota_find(const char *key, enum policy_limit *ret) {
        for (size_t i = 0; i < N_QUOTA_LIMITS; ++i) {
                const char *name = policy_limit_kind(quota_limits[i])->key;

                if (strcmp(key, name) != 0 && strcasecmp(key, name + strlen(LIMIT_PREFIX)) != 0)
                        continue;
                *ret = quota_limits[i];
                return 0;
        }
        return -EINVAL;
}

/* On the wire each has one spelling. */
static int find_on_wire(const char *key, enum policy_limit *ret) {
        int r = token_quota_find(key, ret);

        return r == 0 && strcmp(key, policy_limit_kind(*ret)->key) != 0 ? -EINVAL : r;
}

static int take_quotas(const Nb__Token__Block *block, const char *origin, struct narrowing_source *source,
                       struct narrowing_error *error) {
        for (size_t i = 0; i < block->n_quotas; ++i) {
                const Nb__Token__Quota *quota = block->quotas[i];
                enum policy_limit limit;
                char quote[QUOTE_MAX];

                if (find_on_wire(quota->key, &limit) < 0)
                        return fail(error, -EINVAL, "%s has a quota that there is not: %s", origin,
                                    nb_escape(quota->key, strlen(quota->key), quote, sizeof(quote)));
                if (quota->value == 0 || quota->value == POLICY_UNLIMITED || source->limits[limit] != 0)
                        return fail(error, -EINVAL, "%s says %s= twice, or of nothing", origin, quota->key);
                source->limits[limit] = quota->value;
        }
        return 0;
}

/* ---- reading ---- */

int token_block_read(struct nb_frame_arena *arena, const void *bytes, size_t length, Nb__Token__Block **ret) {
        Nb__Token__Block *block;

        arena->used = 0;
        if (length == 0) { /* which narrows nothing */
                block = (Nb__Token__Block *)(void *)arena->bytes;
                nb__token__block__init(block);
                *ret = block;
                return 0;
        }
        block = (Nb__Token__Block *)nb_frame_decode(&nb__token__block__descriptor, arena, bytes, length);
        if (!block)
                return -EBADMSG;
        *ret = block;
        return 0;
}

/* What the lists of one block are pointed at. */
struct items {
        struct narrowing_text *texts;
        size_t used;
};

static struct narrowing_list list_of(const Nb__Token__Texts *texts, struct items *items) {
        struct narrowing_list list = { .is_present = texts != NULL, .items = items->texts + items->used };

        for (size_t i = 0; texts && i < texts->n_items; ++i)
                items->texts[items->used++] =
                        (struct narrowing_text){ .text = texts->items[i], .length = strlen(texts->items[i]) };
        list.n_items = texts ? texts->n_items : 0;
        return list;
}

static size_t count(const Nb__Token__Texts *texts) {
        return texts ? texts->n_items : 0;
}

static int take_verbs(const Nb__Token__Block *block, const char *origin, struct narrowing_source *source,
                      struct narrowing_error *error) {
        source->has_verbs = block->verbs != NULL;
        for (size_t i = 0; i < count(block->verbs); ++i) {
                const char *verb = block->verbs->items[i];
                char quote[QUOTE_MAX];

                if (strcmp(verb, "connect") == 0)
                        source->verbs |= NARROWING_CONNECT;
                else if (strcmp(verb, "listen") == 0)
                        source->verbs |= NARROWING_LISTEN;
                else
                        return fail(error, -EINVAL, "%s has a verb that there is not: %s", origin,
                                    nb_escape(verb, strlen(verb), quote, sizeof(quote)));
        }
        return 0;
}

static int check_identity(const Nb__Token__Block *block, const struct token_block_use *use,
                          struct narrowing_error *error) {
        if (use->is_signed && block->id.len != NARROWING_ID_SIZE)
                return fail(error, -EINVAL, "%s has no identifier of %d bytes", use->origin, NARROWING_ID_SIZE);
        if (use->is_signed)
                return 0;
        if (block->id.len > 0 || block->tenants || block->n_quotas > 0 || block->not_before || block->not_after)
                return fail(error, -EINVAL, "%s is no token's block, and has an identifier, tenants, quotas or times",
                            use->origin);
        return 0;
}

static int check_tenant(const Nb__Token__Block *block, const struct token_block_use *use,
                        struct narrowing_error *error) {
        if (!use->tenant || !block->tenants)
                return 0;
        for (size_t i = 0; i < block->tenants->n_items; ++i)
                if (strcmp(block->tenants->items[i], use->tenant) == 0)
                        return 0;
        return fail(error, -EPERM, "%s is not for tenant %s", use->origin, use->tenant);
}

static int narrow(const struct narrowings *base, const Nb__Token__Block *block, struct narrowing_source *source,
                  struct narrowings **ret, struct narrowing_error *error) {
        size_t n = count(block->protocols) + count(block->connect) + count(block->listen) + count(block->deny);
        NB_CLEANUP_FREE struct narrowing_text *texts = calloc(n + 1, sizeof(*texts));
        struct items items = { .texts = texts };

        if (!texts)
                return -ENOMEM;
        source->protocols = list_of(block->protocols, &items);
        source->connect = list_of(block->connect, &items);
        source->listen = list_of(block->listen, &items);
        source->deny = list_of(block->deny, &items);
        return narrowings_add(base, source, ret, error);
}

int token_block_narrow(const struct narrowings *base, const void *bytes, size_t length,
                       const struct token_block_use *use, struct narrowings **ret, struct narrowing_error *error) {
        NB_CLEANUP_FREE struct nb_frame_arena *arena = malloc(sizeof(*arena));
        struct narrowing_source source = {
                .origin = use->origin,
                .bytes = bytes,
                .n_bytes = length,
                .charge = use->charge,
                .uncharge = use->uncharge,
                .charge_data = use->charge_data,
        };
        Nb__Token__Block *block;
        int r;

        if (!arena)
                return -ENOMEM;
        if (token_block_read(arena, bytes, length, &block) < 0)
                return fail(error, -EBADMSG, "%s cannot be read, or says what this version does not know", use->origin);
        r = check_identity(block, use, error);
        if (r == 0)
                r = check_tenant(block, use, error);
        if (r == 0)
                r = take_verbs(block, use->origin, &source, error);
        if (r == 0)
                r = take_quotas(block, use->origin, &source, error);
        if (r < 0)
                return r;
        source.label = block->label;
        source.id = use->is_signed ? block->id.data : NULL;
        source.not_before = block->not_before;
        source.not_after = block->not_after;
        return narrow(base, block, &source, ret, error);
}

/* ---- making ---- */

int token_block_encode(const Nb__Token__Block *block, struct token_bytes *ret) {
        size_t length = nb__token__block__get_packed_size(block);
        uint8_t *bytes = malloc(length + 1);

        if (!bytes)
                return -ENOMEM;
        *ret = (struct token_bytes){ .bytes = bytes, .length = nb__token__block__pack(block, bytes) };
        return 0;
}

/* A block while its text is read. The texts of the lists are in `copy`. */
struct rules {
        Nb__Token__Block block;
        struct {
                const char *key;
                Nb__Token__Texts texts;
                char *items[NARROWING_PATTERNS_MAX];
        } lists[3];
};

static int add_patterns(struct rules *rules, size_t list, char *patterns, struct narrowing_error *error) {
        char *rest = NULL;

        for (char *word = strtok_r(patterns, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
                Nb__Token__Texts *texts = &rules->lists[list].texts;

                if (texts->n_items == NARROWING_PATTERNS_MAX)
                        return fail(error, -E2BIG, "there are more than %d patterns of %s=", NARROWING_PATTERNS_MAX,
                                    rules->lists[list].key);
                texts->items[texts->n_items++] = word;
        }
        return 0;
}

static int add_line(struct rules *rules, char *line, size_t number, struct narrowing_error *error) {
        char *start = line + strspn(line, " \t\r"), *equals = strchr(start, '=');
        char quote[QUOTE_MAX];

        if (*start == '\0' || *start == '#' || *start == ';')
                return 0;
        for (size_t i = 0; equals && i < sizeof(rules->lists) / sizeof(rules->lists[0]); ++i) {
                size_t length = strlen(rules->lists[i].key);

                if ((size_t)(equals - start) == length && memcmp(start, rules->lists[i].key, length) == 0)
                        return add_patterns(rules, i, equals + 1, error);
        }
        return fail(error, -EINVAL, "line %zu of the rules, \"%s\": a line is Connect=, Listen= or Deny= with patterns",
                    number, nb_escape(start, strlen(start), quote, sizeof(quote)));
}

static void init_rules(struct rules *rules) {
        static const char *const keys[] = { "Connect", "Listen", "Deny" };

        nb__token__block__init(&rules->block);
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); ++i) {
                rules->lists[i].key = keys[i];
                nb__token__texts__init(&rules->lists[i].texts);
                rules->lists[i].texts.items = rules->lists[i].items;
        }
}

int token_block_of_rules(const char *text, size_t length, struct token_bytes *ret, struct narrowing_error *error) {
        NB_CLEANUP_FREE struct rules *rules = calloc(1, sizeof(*rules));
        NB_CLEANUP_FREE char *copy = strndup(text, length);
        char *rest = copy;
        int r = 0;

        if (!rules || !copy)
                return -ENOMEM;
        if (strlen(copy) != length)
                return fail(error, -EINVAL, "the rules hold a NUL");
        init_rules(rules);
        for (size_t number = 1; r == 0 && rest; ++number)
                r = add_line(rules, strsep(&rest, "\n"), number, error);
        if (r < 0)
                return r;
        rules->block.connect = &rules->lists[0].texts;
        rules->block.listen = &rules->lists[1].texts;
        rules->block.deny = rules->lists[2].texts.n_items > 0 ? &rules->lists[2].texts : NULL;
        return token_block_encode(&rules->block, ret);
}
