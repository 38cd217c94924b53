/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the policy: to that of a running netbrokerd, or with --policy to one of files, by the same evaluator and with the same answer.
 */
#ifndef NB_CTL_QUESTION_H
#define NB_CTL_QUESTION_H

#include <jansson.h>

#include "ctl/command.h"
#include "policy/policy.h"

struct question {
        const char *tenant;
        const char *protocol;
        const char *operation; /* connect, listen, accept */
        const char *target;
        bool resolve;        /* look the name up, and judge each address */
        const char *address; /* judge the name as if it had this one; NULL: none */
};

/** Whom questions go to. */
struct asker {
        const struct options *options;
        struct policy *policy; /* owned; NULL: netbrokerd */
};

/** Loads the policy if there is --policy. @return enum ctl_status */
int asker_init(struct asker *asker, const struct options *options);

void asker_deinit(struct asker *asker);

/**
 * Asks.
 * @param ret  an array of explanations (policy/explain_json.h), owned by the caller: that of the question, and where names are resolved one of
 *             each address
 * @return enum ctl_status: CTL_OK whatever the answer is; CTL_BAD when it is no question, CTL_NO when a name cannot be looked up, both said
 */
int asker_ask(const struct asker *asker, const struct question *question, json_t **ret);

/** @return whether an answer says yes: the question is allowed, and of addresses, if there are, at least one. */
bool asker_says_yes(const json_t *explanations);

#define ASKER __attribute__((cleanup(asker_deinit))) struct asker

#endif
