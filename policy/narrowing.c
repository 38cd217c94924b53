/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/narrowing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "policy/decide.h"
#include "policy/index.h"
#include "policy/limit.h"
#include "policy/lines.h"
#include "policy/rule.h"
#include "policy/text.h"
#include "policy/unix_pattern.h"
#include "policy/value.h"
#include "policy/verdict.h"

/* How much of a wrong pattern a message quotes. */
#define QUOTE_MAX 96

/* How much of a Unix socket's name a reason shows. */
#define NAME_SHOWN_MAX 160

/* Rules by the family of what they are about, which the policy has in sections of their own. */
enum { RULES_IP, RULES_UNIX, N_RULES };

/* One block. */
struct narrowing {
        unsigned n_refs;
        char *origin;
        char *label;
        bool has_id;
        uint8_t id[NARROWING_ID_SIZE];
        bool has_protocols, has_connect, has_listen;
        char **protocols;
        size_t n_protocols;
        unsigned verbs;
        uint64_t limits[POLICY_N_LIMITS];
        struct narrowings_time time;
        struct policy_protocol rules[N_RULES]; /* as sections of a policy, for its evaluator */
        size_t n_bytes;
        uint8_t *bytes;
        uint64_t charge;
        void (*uncharge)(void *data, uint64_t charge); /* NULL: nothing was charged, or the block was never made */
        void *charge_data;
};

struct narrowings {
        unsigned n_refs;
        size_t n;
        struct narrowing *blocks[];
};

/* ---- life ---- */

static struct narrowing *narrowing_unref(struct narrowing *block) {
        if (!block || --block->n_refs > 0)
                return NULL;
        for (size_t i = 0; i < N_RULES; ++i)
                policy_protocol_deinit(&block->rules[i]);
        for (size_t i = 0; i < block->n_protocols; ++i)
                free(block->protocols[i]);
        free(block->protocols);
        free(block->origin);
        free(block->label);
        free(block->bytes);
        if (block->uncharge)
                block->uncharge(block->charge_data, block->charge);
        free(block);
        return NULL;
}

static void cleanup_narrowing(struct narrowing **block) {
        *block = narrowing_unref(*block);
}

struct narrowings *narrowings_ref(const struct narrowings *narrowings) {
        struct narrowings *shared = (struct narrowings *)narrowings; /* only the count changes */

        if (shared)
                shared->n_refs++;
        return shared;
}

struct narrowings *narrowings_unref(struct narrowings *narrowings) {
        if (!narrowings || --narrowings->n_refs > 0)
                return NULL;
        for (size_t i = 0; i < narrowings->n; ++i)
                narrowing_unref(narrowings->blocks[i]);
        free(narrowings);
        return NULL;
}

/* ---- making a block ---- */

__attribute__((format(printf, 3, 4))) static int fail(struct narrowing_error *error, int result, const char *format,
                                                      ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(error->message, sizeof(error->message), format, arguments);
        va_end(arguments);
        return result;
}

/* What is wrong with a text, which stands in the list of that name, and how it should read. */
static int fail_complaint(struct narrowing_error *error, const char *list, const char *text,
                          const struct policy_complaint *complaint) {
        char quote[QUOTE_MAX];
        int r = fail(error, -EINVAL, "%s=%s: %s", list, nb_escape(text, strlen(text), quote, sizeof(quote)),
                     complaint->message);
        size_t used = strlen(error->message);

        if (complaint->correct[0])
                (void)snprintf(error->message + used, sizeof(error->message) - used, "; write %s=%s", list,
                               complaint->correct);
        return r;
}

/* @return the text, owned by the caller: free(); NULL without memory, or where it is none (errno) */
static char *copy_text(const struct narrowing_text *text) {
        errno = EINVAL;
        if (text->length > POLICY_LINE_MAX || memchr(text->text, '\0', text->length))
                return NULL;
        errno = ENOMEM;
        return strndup(text->text, text->length);
}

static int fail_copy(struct narrowing_error *error, const char *list) {
        return errno == ENOMEM ? -ENOMEM : fail(error, -EINVAL, "%s= has a text that no policy could hold", list);
}

static int parse_rule(struct policy_rule *rule, const char *word, struct policy_complaint *complaint) {
        int r;

        if (!policy_unix_pattern_is_meant(word))
                return policy_rule_parse(rule->kind, word, strlen(word), rule, complaint);
        r = policy_unix_pattern_check(word, strlen(word), complaint);
        if (r < 0)
                return r;
        rule->target = POLICY_TARGET_UNIX;
        rule->pattern = policy_unix_pattern_of(strchr(rule->text, '=') + 1);
        return 0;
}

static int add_rule(struct narrowing *block, enum policy_rule_kind kind, const struct narrowing_text *text,
                    struct narrowing_error *error) {
        const char *list = policy_rule_kind_name(kind);
        NB_CLEANUP_FREE char *word = copy_text(text);
        struct policy_complaint complaint = { 0 };
        struct policy_protocol *rules;
        struct policy_rule *rule;
        int r;

        if (!word)
                return fail_copy(error, list);
        rules = &block->rules[policy_unix_pattern_is_meant(word) ? RULES_UNIX : RULES_IP];
        rule = &rules->rules[rules->n_rules];
        *rule = (struct policy_rule){ .kind = kind, .target = POLICY_TARGET_PREFIX, .file = block->origin };
        if (asprintf(&rule->text, "%s=%s", list, word) < 0) {
                rule->text = NULL;
                return -ENOMEM;
        }
        rules->n_rules++; /* and goes with the block, also if it is wrong */
        r = parse_rule(rule, word, &complaint);
        return r == -EINVAL ? fail_complaint(error, list, word, &complaint) : r;
}

static int add_rules(struct narrowing *block, enum policy_rule_kind kind, const struct narrowing_list *list,
                     struct narrowing_error *error) {
        int r = 0;

        for (size_t i = 0; i < list->n_items && r == 0; ++i)
                r = add_rule(block, kind, &list->items[i], error);
        return r;
}

static int add_all_rules(struct narrowing *block, const struct narrowing_source *source,
                         struct narrowing_error *error) {
        size_t n = source->connect.n_items + source->listen.n_items + source->deny.n_items;
        int r = 0;

        if (n > NARROWING_PATTERNS_MAX)
                return fail(error, -E2BIG, "%s has %zu patterns, and may have %d", source->origin, n,
                            NARROWING_PATTERNS_MAX);
        for (size_t i = 0; i < N_RULES; ++i) {
                block->rules[i] = (struct policy_protocol){
                        .name = strdup(source->origin),
                        .family = i == RULES_UNIX ? POLICY_FAMILY_UNIX : POLICY_FAMILY_IP,
                        .rules = calloc(n + 1, sizeof(struct policy_rule)),
                        .file = block->origin,
                };
                if (!block->rules[i].name || !block->rules[i].rules)
                        return -ENOMEM;
        }
        r = add_rules(block, POLICY_RULE_CONNECT, &source->connect, error);
        if (r == 0)
                r = add_rules(block, POLICY_RULE_LISTEN, &source->listen, error);
        if (r == 0)
                r = add_rules(block, POLICY_RULE_DENY, &source->deny, error);
        return r < 0 ? r : policy_index_build(&block->rules[RULES_IP]); /* patterns of Unix sockets are walked */
}

static int add_protocols(struct narrowing *block, const struct narrowing_list *list, struct narrowing_error *error) {
        struct policy_complaint complaint = { 0 };

        if (list->n_items > NARROWING_NAMES_MAX)
                return fail(error, -E2BIG, "%s names %zu protocols, and may name %d", block->origin, list->n_items,
                            NARROWING_NAMES_MAX);
        block->protocols = calloc(list->n_items + 1, sizeof(*block->protocols));
        if (!block->protocols)
                return -ENOMEM;
        for (size_t i = 0; i < list->n_items; ++i) {
                char *name = copy_text(&list->items[i]);

                if (!name)
                        return fail_copy(error, "Protocols");
                block->protocols[block->n_protocols++] = name;
                if (policy_name_check(name, &complaint) < 0)
                        return fail_complaint(error, "Protocols", name, &complaint);
        }
        return 0;
}

static int check_numbers(const struct narrowing_source *source, struct narrowing_error *error) {
        if (source->has_verbs && (source->verbs & ~(unsigned)(NARROWING_CONNECT | NARROWING_LISTEN)))
                return fail(error, -EINVAL, "%s has a verb that there is not", source->origin);
        if (source->not_after && source->not_before >= source->not_after)
                return fail(error, -EINVAL, "%s ends before it begins", source->origin);
        if (source->label && strlen(source->label) > NARROWING_LABEL_MAX)
                return fail(error, -E2BIG, "the label of %s is longer than %d bytes", source->origin,
                            NARROWING_LABEL_MAX);
        return source->n_bytes <= NARROWINGS_BYTES_MAX ? 0 : fail(error, -E2BIG, "%s is too long", source->origin);
}

static int fill_block(struct narrowing *block, const struct narrowing_source *source, struct narrowing_error *error) {
        int r;

        block->origin = strdup(source->origin);
        block->label = strdup(source->label ? source->label : "");
        block->bytes = malloc(source->n_bytes + 1);
        if (!block->origin || !block->label || !block->bytes)
                return -ENOMEM;
        if (source->n_bytes > 0)
                memcpy(block->bytes, source->bytes, source->n_bytes);
        block->n_bytes = source->n_bytes;
        block->has_id = source->id != NULL;
        if (source->id)
                memcpy(block->id, source->id, sizeof(block->id));
        block->verbs = source->has_verbs ? source->verbs : NARROWING_CONNECT | NARROWING_LISTEN;
        block->has_protocols = source->protocols.is_present;
        block->has_connect = source->connect.is_present;
        block->has_listen = source->listen.is_present;
        block->time = (struct narrowings_time){ source->not_before, source->not_after };
        memcpy(block->limits, source->limits, sizeof(block->limits));
        r = add_protocols(block, &source->protocols, error);
        return r < 0 ? r : add_all_rules(block, source, error);
}

static size_t total_bytes(const struct narrowings *narrowings) {
        size_t total = 0;

        for (size_t i = 0; i < narrowings_count(narrowings); ++i)
                total += narrowings->blocks[i]->n_bytes;
        return total;
}

int narrowings_add(const struct narrowings *base, const struct narrowing_source *source, struct narrowings **ret,
                   struct narrowing_error *error) {
        NB_CLEANUP(cleanup_narrowing) struct narrowing *block = NULL;
        size_t n = narrowings_count(base);
        struct narrowings *list;
        int r = check_numbers(source, error);

        if (r < 0)
                return r;
        if (n == NARROWINGS_MAX)
                return fail(error, -E2BIG, "it is narrowed %d times already, and cannot be once more", NARROWINGS_MAX);
        if (total_bytes(base) + source->n_bytes > NARROWINGS_BYTES_MAX)
                return fail(error, -E2BIG, "what it is narrowed by is longer than %d bytes", NARROWINGS_BYTES_MAX);
        block = calloc(1, sizeof(*block));
        if (!block)
                return -ENOMEM;
        block->n_refs = 1;
        r = fill_block(block, source, error);
        if (r < 0)
                return r;
        list = calloc(1, sizeof(*list) + (n + 1) * sizeof(list->blocks[0]));
        if (!list)
                return -ENOMEM;
        list->n_refs = 1;
        for (; list->n < n; ++list->n) {
                list->blocks[list->n] = base->blocks[list->n];
                list->blocks[list->n]->n_refs++;
        }
        block->charge = source->charge;
        block->uncharge = source->uncharge;
        block->charge_data = source->charge_data;
        list->blocks[list->n++] = nb_steal_ptr(block);
        *ret = list;
        return 0;
}

/* ---- what a list has ---- */

size_t narrowings_count(const struct narrowings *narrowings) {
        return narrowings ? narrowings->n : 0;
}

const void *narrowings_bytes(const struct narrowings *narrowings, size_t i, size_t *ret_length) {
        *ret_length = narrowings->blocks[i]->n_bytes;
        return narrowings->blocks[i]->bytes;
}

bool narrowings_are_same(const struct narrowings *a, const struct narrowings *b) {
        if (narrowings_count(a) != narrowings_count(b))
                return false;
        for (size_t i = 0; i < narrowings_count(a); ++i) {
                const struct narrowing *one = a->blocks[i], *other = b->blocks[i];

                if (one->n_bytes != other->n_bytes || memcmp(one->bytes, other->bytes, one->n_bytes) != 0)
                        return false;
        }
        return true;
}

const uint8_t *narrowings_id(const struct narrowings *narrowings, size_t i) {
        return narrowings->blocks[i]->has_id ? narrowings->blocks[i]->id : NULL;
}

const char *narrowings_label(const struct narrowings *narrowings, size_t i) {
        return narrowings->blocks[i]->label;
}

uint64_t narrowings_limit(const struct narrowings *narrowings, enum policy_limit limit) {
        uint64_t least = POLICY_UNLIMITED;

        for (size_t i = 0; i < narrowings_count(narrowings); ++i) {
                uint64_t value = narrowings->blocks[i]->limits[limit];

                if (value > 0 && value < least)
                        least = value;
        }
        return least;
}

struct narrowings_time narrowings_time(const struct narrowings *narrowings) {
        struct narrowings_time all = { 0, 0 };

        for (size_t i = 0; i < narrowings_count(narrowings); ++i) {
                const struct narrowings_time *one = &narrowings->blocks[i]->time;

                if (one->not_before > all.not_before)
                        all.not_before = one->not_before;
                if (one->not_after > 0 && (all.not_after == 0 || one->not_after < all.not_after))
                        all.not_after = one->not_after;
        }
        return all;
}

/* ---- judging ---- */

static bool has_protocol(const struct narrowing *block, const char *protocol) {
        if (!block->has_protocols)
                return true;
        for (size_t i = 0; i < block->n_protocols; ++i)
                if (strcmp(block->protocols[i], protocol) == 0)
                        return true;
        return false;
}

static bool has_verb(const struct narrowing *block, enum policy_verb verb) {
        return block->verbs & (verb == POLICY_CONNECT ? NARROWING_CONNECT : NARROWING_LISTEN);
}

bool narrowings_allow_protocol(const struct narrowings *narrowings, const char *protocol) {
        for (size_t i = 0; i < narrowings_count(narrowings); ++i)
                if (!has_protocol(narrowings->blocks[i], protocol))
                        return false;
        return true;
}

bool narrowings_allow_verb(const struct narrowings *narrowings, enum policy_verb verb) {
        for (size_t i = 0; i < narrowings_count(narrowings); ++i)
                if (!has_verb(narrowings->blocks[i], verb))
                        return false;
        return true;
}

/* What is asked for, to be judged by one block after the other. */
struct question {
        const char *protocol;
        enum policy_verb verb;
        const struct nb_socket_address *address; /* NULL: a name */
        const struct policy_host_name *name;     /* that is asked for, or that has the address; or NULL */
        struct policy_verdict *verdict;
};

static void format_asked(const struct question *q, char *buffer, size_t size) {
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];

        if (q->address && q->address->family != AF_UNIX) {
                (void)snprintf(buffer, size, "%s", policy_asked_address(q->name, &q->address->ip).text);
                return;
        }
        if (!q->address) {
                (void)snprintf(buffer, size, "%s", policy_asked_name(q->name).text);
                return;
        }
        (void)nb_socket_address_format(q->address, text);
        (void)nb_escape(text, strlen(text), buffer, size);
}

/* @return false */
__attribute__((format(printf, 3, 4))) static bool refuse(const struct question *q, const struct narrowing *block,
                                                         const char *format, ...) {
        char asked[NAME_SHOWN_MAX + NB_ADDRESS_TEXT_MAX + 16], why[POLICY_RULE_SHOWN_MAX + 64];
        struct policy_text text = policy_text_begin(q->verdict->reason, sizeof(q->verdict->reason));
        va_list arguments;

        format_asked(q, asked, sizeof(asked));
        va_start(arguments, format);
        (void)vsnprintf(why, sizeof(why), format, arguments);
        va_end(arguments);
        q->verdict->allowed = false;
        q->verdict->impossible = true;
        q->verdict->rule = NULL; /* that lives as long as the block, and not as the policy */
        q->verdict->remedy[0] = '\0';
        policy_text_add(&text, policy_verb_phrase(q->verb));
        policy_text_add(&text, " ");
        policy_text_add(&text, asked);
        policy_text_add(&text, ": narrowed by ");
        policy_text_add(&text, block->origin);
        policy_text_add(&text, ": ");
        policy_text_add(&text, why);
        return false;
}

static bool refuse_by(const struct question *q, const struct narrowing *block, const struct policy_verdict *verdict,
                      const char *list) {
        if (verdict->rule && verdict->rule->kind == POLICY_RULE_DENY)
                return refuse(q, block, "forbidden by its %s", policy_rule_shown(verdict->rule).text);
        return refuse(q, block, "no %s= of it allows this", list);
}

static bool denies(const struct policy_protocol *rules, const struct nb_socket_address *address,
                   struct policy_verdict *verdict) {
        policy_decide(rules, POLICY_ACCEPT, address, verdict);
        return !verdict->allowed;
}

/* Deny rules alone, which are all that is asked of a peer; to connect to the unspecified address is to connect to loopback. */
static bool pass_deny(const struct question *q, const struct narrowing *block, const struct policy_protocol *rules) {
        struct nb_socket_address loopback = *q->address;
        struct policy_verdict verdict;

        if (denies(rules, q->address, &verdict))
                return refuse_by(q, block, &verdict, "Deny");
        if (q->verb != POLICY_CONNECT || loopback.family == AF_UNIX || !nb_ip_is_unspecified(&loopback.ip.ip))
                return true;
        nb_ip_set_loopback(&loopback.ip.ip);
        return !denies(rules, &loopback, &verdict) || refuse_by(q, block, &verdict, "Deny");
}

static bool pass_address(const struct question *q, const struct narrowing *block) {
        const struct policy_protocol *rules = &block->rules[q->address->family == AF_UNIX ? RULES_UNIX : RULES_IP];
        bool is_listed = q->verb == POLICY_CONNECT ? block->has_connect : block->has_listen;
        struct policy_verdict verdict;

        if (!is_listed || q->name || q->verb == POLICY_ACCEPT)
                return pass_deny(q, block, rules);
        policy_decide(rules, q->verb, q->address, &verdict);
        return verdict.allowed || refuse_by(q, block, &verdict, policy_rule_kind_name(policy_grant_kind(q->verb)));
}

static bool pass_name(const struct question *q, const struct narrowing *block) {
        struct policy_verdict verdict;

        policy_decide_name(&block->rules[RULES_IP], q->name, &verdict);
        if (verdict.allowed || (!verdict.rule && !block->has_connect))
                return true;
        return refuse_by(q, block, &verdict, "Connect");
}

static bool pass(const struct question *q, const struct narrowing *block) {
        if (!has_protocol(block, q->protocol))
                return refuse(q, block, "this protocol is not among its protocols");
        if (!has_verb(block, q->verb))
                return refuse(q, block, "\"%s\" is not among its verbs",
                              q->verb == POLICY_CONNECT ? "connect" : "listen");
        return q->address ? pass_address(q, block) : pass_name(q, block);
}

static bool allow(const struct narrowings *narrowings, const struct question *q) {
        for (size_t i = 0; i < narrowings_count(narrowings); ++i)
                if (!pass(q, narrowings->blocks[i]))
                        return false;
        return true;
}

bool narrowings_allow(const struct narrowings *narrowings, const char *protocol, enum policy_verb verb,
                      const struct nb_socket_address *address, struct policy_verdict *ret) {
        const struct question q = { .protocol = protocol, .verb = verb, .address = address, .verdict = ret };

        return allow(narrowings, &q);
}

bool narrowings_allow_name(const struct narrowings *narrowings, const char *protocol,
                           const struct policy_host_name *name, struct policy_verdict *ret) {
        const struct question q = { .protocol = protocol, .verb = POLICY_CONNECT, .name = name, .verdict = ret };

        return allow(narrowings, &q);
}

bool narrowings_allow_resolved(const struct narrowings *narrowings, const char *protocol,
                               const struct policy_host_name *name, const struct nb_address *address,
                               struct policy_verdict *ret) {
        const struct nb_socket_address socket_address = { .family = address->ip.family, .ip = *address };
        const struct question q = {
                .protocol = protocol,
                .verb = POLICY_CONNECT,
                .address = &socket_address,
                .name = name,
                .verdict = ret,
        };

        return allow(narrowings, &q);
}
