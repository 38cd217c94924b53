/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/index.h"

#include <errno.h>
#include <stdlib.h>

struct policy_index {
        size_t n_rules;
};

int policy_index_build(struct policy_protocol *protocol) {
        struct policy_index *index = calloc(1, sizeof(*index));

        if (!index)
                return -ENOMEM;
        index->n_rules = protocol->n_rules;
        policy_index_free(protocol->index);
        protocol->index = index;
        return 0;
}

struct policy_index *policy_index_free(struct policy_index *index) {
        free(index);
        return NULL;
}
