/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_context.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "broker/relay.h"

struct relay_contexts *relay_contexts_free(struct relay_contexts *contexts) {
        free(contexts);
        return NULL;
}

int relay_context_for(struct relay_object *object, const struct broker *broker, const struct policy_protocol *policy,
                      struct relay_context_ids *ret) {
        (void)object;
        (void)broker;
        *ret = (struct relay_context_ids){ .tls = 0 };
        return policy->tls ? -EKEYREJECTED : 0;
}

void relay_context_note_unusable(struct broker *broker, const Nb__Relay__Unusable *unusable) {
        (void)broker;
        (void)unusable;
}
