/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/wall_clock.h"
#include "ctl/number.h"
#include "ctl/token.h"
#include "policy/limit.h"
#include "policy/value.h"

/* What says that a list is there and has nothing. */
#define NONE "none"

/* ---- times ---- */

static int parse_unit(const char *unit, uint64_t *ret_seconds) {
        static const struct {
                const char *name;
                uint64_t seconds;
        } units[] = { { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };

        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); ++i) {
                if (strcmp(unit, units[i].name) != 0)
                        continue;
                *ret_seconds = units[i].seconds;
                return 0;
        }
        return -EINVAL;
}

/* A hundred years are more than a token lives. */
#define SPAN_MAX (UINT64_C(100) * 365 * 86400)

static int parse_span(const char *text, uint64_t *ret) {
        size_t digits = strspn(text, "0123456789");
        uint64_t number = 0, unit;

        if (digits == 0 || digits > 10 || parse_unit(text + digits, &unit) < 0)
                return -EINVAL;
        for (size_t i = 0; i < digits; ++i)
                number = number * 10 + (uint64_t)(text[i] - '0');
        if (number == 0 || number > SPAN_MAX / unit)
                return -EINVAL;
        *ret = number * unit;
        return 0;
}

/* `Z`, or `+02:00`. */
static int parse_offset(const char *text, int64_t *ret_seconds) {
        unsigned hours, minutes;
        char sign, end;

        if (strcmp(text, "Z") == 0) {
                *ret_seconds = 0;
                return 0;
        }
        if (strlen(text) != sizeof("+00:00") - 1 || sscanf(text, "%c%2u:%2u%c", &sign, &hours, &minutes, &end) != 3 ||
            !strchr("+-", sign) || hours > 23 || minutes > 59)
                return -EINVAL;
        *ret_seconds = ((int64_t)hours * 3600 + (int64_t)minutes * 60) * (sign == '-' ? -1 : 1);
        return 0;
}

static int parse_moment(const char *text, uint64_t *ret) {
        struct tm moment = { .tm_isdst = 0 };
        const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &moment);
        int64_t offset, seconds;

        if (!rest || parse_offset(rest, &offset) < 0)
                return -EINVAL;
        seconds = (int64_t)timegm(&moment) - offset;
        if (seconds <= 0)
                return -EINVAL;
        *ret = (uint64_t)seconds;
        return 0;
}

int ctl_token_parse_time(const char *text, uint64_t now_s, uint64_t *ret) {
        uint64_t span;

        if (parse_span(text, &span) < 0)
                return parse_moment(text, ret);
        *ret = now_s + span;
        return 0;
}

/* ---- the block ---- */

/* A block while it is made; what it points to is in here, or on the command line. */
struct making {
        Nb__Token__Block block;
        uint8_t id[NARROWING_ID_SIZE];
        Nb__Token__Texts tenants, protocols, verbs, connect, listen, deny;
        char *tenant_items[CTL_LIST_MAX], *protocol_items[CTL_LIST_MAX], *verb_items[CTL_LIST_MAX];
        char *connect_items[CTL_LIST_MAX], *listen_items[CTL_LIST_MAX], *deny_items[CTL_LIST_MAX];
        Nb__Token__Quota quotas[CTL_LIST_MAX], *quota_items[CTL_LIST_MAX];
        char *copies[3]; /* of lists that are taken apart */
};

static void making_deinit(struct making *making) {
        for (size_t i = 0; i < sizeof(making->copies) / sizeof(making->copies[0]); ++i)
                free(making->copies[i]);
}

/* @return the list; NULL: it is absent */
static Nb__Token__Texts *take_list(const struct ctl_list *list, Nb__Token__Texts *texts, char **items) {
        nb__token__texts__init(texts);
        texts->items = items;
        if (list->n == 0)
                return NULL;
        for (size_t i = 0; i < list->n; ++i)
                if (strcmp(list->items[i], NONE) != 0)
                        items[texts->n_items++] = (char *)list->items[i];
        return texts;
}

/* Words with commas between them. @param copy  what they are copied to, owned by the caller */
static int take_words(const struct ctl *ctl, const char *option, const char *words, Nb__Token__Texts *texts,
                      char **items, char **copy, Nb__Token__Texts **ret) {
        struct ctl_list list = { .n = 0 };
        char *rest;

        *ret = NULL;
        if (!words)
                return CTL_OK;
        *copy = strdup(words);
        if (!*copy) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        for (rest = *copy; rest;) {
                if (list.n == CTL_LIST_MAX)
                        return ctl_misused(ctl, "--%s takes at most %d words", option, CTL_LIST_MAX);
                list.items[list.n++] = strsep(&rest, ",");
        }
        *ret = take_list(&list, texts, items);
        return CTL_OK;
}

static int take_quota(const struct ctl *ctl, const char *text, Nb__Token__Quota *quota) {
        const char *equals = strchr(text, '=');
        enum policy_limit limit;
        char key[32];

        nb__token__quota__init(quota);
        if (!equals || (size_t)(equals - text) >= sizeof(key))
                return ctl_misused(ctl, "--quota is KEY=NUMBER, such as connections=10");
        memcpy(key, text, (size_t)(equals - text));
        key[equals - text] = '\0';
        if (token_quota_find(key, &limit) < 0)
                return ctl_misused(ctl,
                                   "there is no quota '%s': a session can be held to controls, listeners, connections "
                                   "and connecting",
                                   key);
        if (policy_number_parse(equals + 1, POLICY_UNIT_COUNT, &quota->value) < 0 || quota->value == POLICY_UNLIMITED)
                return ctl_misused(ctl, "--quota %s: it is a number from 1 on", text);
        quota->key = (char *)policy_limit_kind(limit)->key;
        return CTL_OK;
}

static int take_quotas(const struct ctl *ctl, struct making *making) {
        const struct ctl_list *list = &ctl->options->token.quotas;

        for (size_t i = 0; i < list->n; ++i) {
                int r = take_quota(ctl, list->items[i], &making->quotas[i]);

                if (r != CTL_OK)
                        return r;
                making->quota_items[i] = &making->quotas[i];
        }
        making->block.quotas = making->quota_items;
        making->block.n_quotas = list->n;
        return CTL_OK;
}

static int take_time(const struct ctl *ctl, const char *option, const char *text, uint64_t *ret) {
        if (!text || ctl_token_parse_time(text, nb_wall_clock_ms() / 1000, ret) == 0)
                return CTL_OK;
        return ctl_misused(ctl, "--%s is a time from now, such as 2h or 30d, or a moment, such as 2027-01-31T12:00:00Z",
                           option);
}

static int take_options(const struct ctl *ctl, struct making *making) {
        const struct options *options = ctl->options;
        Nb__Token__Block *block = &making->block;
        int r;

        nb__token__block__init(block);
        randombytes_buf(making->id, sizeof(making->id));
        block->id = (ProtobufCBinaryData){ sizeof(making->id), making->id };
        block->label = (char *)(options->token.label ? options->token.label : "");
        block->connect = take_list(&options->token.connect, &making->connect, making->connect_items);
        block->listen = take_list(&options->token.listen, &making->listen, making->listen_items);
        block->deny = take_list(&options->token.deny, &making->deny, making->deny_items);
        r = take_words(ctl, "tenant", options->tenant, &making->tenants, making->tenant_items, &making->copies[0],
                       &block->tenants);
        if (r == CTL_OK)
                r = take_words(ctl, "protocol", options->protocol, &making->protocols, making->protocol_items,
                               &making->copies[1], &block->protocols);
        if (r == CTL_OK)
                r = take_words(ctl, "verb", options->verb, &making->verbs, making->verb_items, &making->copies[2],
                               &block->verbs);
        if (r == CTL_OK)
                r = take_quotas(ctl, making);
        if (r == CTL_OK)
                r = take_time(ctl, "not-before", options->token.not_before, &block->not_before);
        return r == CTL_OK ? take_time(ctl, "expires", options->token.expires, &block->not_after) : r;
}

/* What a broker would refuse is not made. */
static int judge(const struct token_bytes *block) {
        const struct token_block_use use = { .origin = "the block", .is_signed = true };
        struct narrowings *narrowings = NULL;
        struct narrowing_error error;
        int r = token_block_narrow(NULL, block->bytes, block->length, &use, &narrowings, &error);

        narrowings_unref(narrowings);
        if (r == 0)
                return CTL_OK;
        ctl_complain("%s", r == -ENOMEM ? "out of memory" : error.message);
        return CTL_BAD;
}

int ctl_token_make_block(const struct ctl *ctl, struct token_bytes *ret) {
        NB_CLEANUP(making_deinit) struct making making = { .copies = { NULL } };
        int r = take_options(ctl, &making);

        if (r != CTL_OK)
                return r;
        if (token_block_encode(&making.block, ret) < 0) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        r = judge(ret);
        if (r != CTL_OK)
                ctl_token_wipe(ret);
        return r;
}
