/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser of a rule's text knows while it reads, shared by its parts: policy/rule.c has the whole, policy/rule_target.c what stands
 * in front of the ports.
 */
#ifndef NB_POLICY_RULE_PARSER_H
#define NB_POLICY_RULE_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/error.h"
#include "policy/policy.h"

/** How much of a wrong word a message quotes. */
#define RULE_QUOTE_MAX 64

/** A rule's text while it is taken apart. Offsets are into `text`, which ends in NUL. */
struct rule_parser {
        enum policy_rule_kind kind;
        bool range; /* a word of `Addresses=`: judged as a Connect rule, without a port */
        const char *text;
        size_t length;
        bool brackets;
        size_t host_from, host_to; /* without the brackets */
        size_t bits_from, bits_to; /* behind the slash; 0 where there is none */
        size_t ports_from;         /* behind the colon; 0 where there is none */
        struct policy_complaint *complaint;
};

/** What a rule is about, before it is kept. */
struct rule_target {
        enum policy_target target;
        struct nb_prefix prefix;
        enum policy_group group;
        bool below;                          /* of a name: `*.` stands in front */
        char name[POLICY_HOST_NAME_MAX + 1]; /* behind that */
};

/** A piece of the rule's text for a message. */
struct rule_quote {
        char text[RULE_QUOTE_MAX];
};

struct rule_quote rule_quote(const struct rule_parser *p, size_t from, size_t to);

/** The correction is the text with `replacement` for the bytes from `from` to `to`. @return -EINVAL. */
int rule_correct(struct rule_parser *p, size_t from, size_t to, const char *replacement);

/** Finds the pieces of the text, and reads the one in front of the ports. @return 0, or -EINVAL. */
int rule_target_parse(struct rule_parser *p, struct rule_target *ret);

/** Where the target ends. */
size_t rule_target_end(const struct rule_parser *p);

#endif
