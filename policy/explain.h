/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a question is answered as it is: the steps of the evaluator that decides, as it took them.
 *
 * There is one evaluator. It writes down its steps where somebody asks it to, and the verdict of an explanation is the verdict. Two layers
 * show: the rules for names, which say whether a name may be asked of DNS at all, and those for addresses with the guard, which judge
 * the one that is dialled. A question for an address has the second layer only; one for a name has the first, and the second for each
 * address that the name resolves to.
 */
#ifndef NB_POLICY_EXPLAIN_H
#define NB_POLICY_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/error.h"
#include "policy/guard.h"
#include "policy/policy.h"
#include "policy/way.h"

/** More steps than the evaluator takes. */
#define POLICY_STEPS_MAX 24

/** Enough for the text of any step or question, with its NUL. */
#define POLICY_STEP_TEXT_MAX 512

/** What is asked: may a guest of this protocol do that? */
struct policy_question {
        enum policy_verb verb;
        bool named;                       /* a host name, to connect to */
        struct policy_host_name name;     /* if it is one */
        struct nb_socket_address address; /* if it is none */
        enum policy_seal seal;            /* of the broker that is asked; for the way only */
};

enum policy_layer {
        POLICY_LAYER_NAME,
        POLICY_LAYER_ADDRESS,
};

/** What a step looked at, in the order in which the evaluator does. */
enum policy_check {
        POLICY_CHECK_POSSIBLE, /* port, family, and what no rule can allow */
        POLICY_CHECK_DENY,     /* Deny rules */
        POLICY_CHECK_GUARD,    /* a range that must be named, by `rule` or `range` */
        POLICY_CHECK_GRANT,    /* Connect and Listen rules; for an address of a name, `Addresses=` */
};

/** One step. What is not NULL lives as long as the policy. */
struct policy_step {
        enum policy_layer layer;
        enum policy_check check;
        bool passed;                      /* it does not refuse */
        sa_family_t form_family;          /* AF_UNSPEC: it is not about an IP address */
        struct nb_ip form;                /* the form of the address that it is about */
        const struct policy_rule *rule;   /* that denies, names or grants; NULL: none does */
        const struct policy_range *range; /* of `Addresses=`, that names or covers; NULL: none does */
        const struct policy_guard *guard; /* the range of the guard; NULL: none is concerned */
};

/** The steps of one decision. */
struct policy_trace {
        struct policy_step steps[POLICY_STEPS_MAX];
        size_t n_steps;
        struct nb_ip forms[2]; /* of an IP address: as it stands; as the IPv4 address in it */
        size_t n_forms;
};

struct policy_explanation {
        const struct policy_tenant *tenant;
        const struct policy_protocol *protocol;
        struct policy_question question;
        bool resolved; /* it is about one address that the question's name has, `address` */
        struct nb_address address;
        struct policy_trace trace;
        struct policy_verdict verdict;
        struct policy_way way; /* where it is allowed: what comes before the bytes */
        enum policy_mode mode; /* report: what is refused is recorded and done, unless it is impossible */
};

/** Reads "connect", "listen" or "accept". @return 0, or -EINVAL. */
int policy_verb_parse(const char *text, enum policy_verb *ret);

/** "connect", "listen" or "accept". */
const char *policy_verb_name(enum policy_verb verb);

/**
 * Reads what a guest would write: an address with its port, a path, an abstract name, or, to connect, a host name with its port.
 * @param ret_complaint  filled in on failure
 * @return 0, or -EINVAL: this is not a question.
 */
int policy_question_parse(enum policy_verb verb, const char *text, struct policy_question *ret,
                          struct policy_complaint *ret_complaint);

/**
 * Asks, and writes down why.
 * @param protocol  one of the tenant's; borrowed, as is the tenant
 * @param resolved  NULL; or one address that the question's name has: then it is judged as that, by the second layer
 * @param ret       always filled in
 */
void policy_explain(const struct policy_tenant *tenant, const struct policy_protocol *protocol,
                    const struct policy_question *question, const struct nb_ip *resolved,
                    struct policy_explanation *ret);

/** "name" or "address". */
const char *policy_layer_name(enum policy_layer layer);

/** "possible", "deny", "guard" or "grant". */
const char *policy_check_name(enum policy_check check);

/** One step as a sentence of printable ASCII, without a period. @return `buffer`, cut at `size`. */
const char *policy_step_format(const struct policy_explanation *explanation, const struct policy_step *step,
                               char *buffer, size_t size);

/** One leg of the way likewise. @return `buffer`, cut at `size`. */
const char *policy_explanation_leg(const struct policy_explanation *explanation, const struct policy_leg *leg,
                                   char *buffer, size_t size);

/** The question as it was understood, as a phrase of printable ASCII: "connect to 192.0.2.1:443". @return `buffer`, cut at `size`. */
const char *policy_explanation_question(const struct policy_explanation *explanation, char *buffer, size_t size);

/**
 * The whole as lines of printable ASCII: the question, a line a step, the verdict, and what would allow it, or a line for each leg of the way.
 * @return owned by the caller: free(); NULL without memory
 */
char *policy_explanation_format(const struct policy_explanation *explanation);

#endif
