/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/spare.h"

#include <stdlib.h>

#include "shim/client/control.h"

struct nb_spare {
        unsigned n_references;
        bool closed;                /* the protocol is gone */
        struct nb_control *control; /* owned; it has no reference to this */
};

struct nb_spare *nb_spare_new(void) {
        struct nb_spare *spare = calloc(1, sizeof(*spare));

        if (spare)
                spare->n_references = 1;
        return spare;
}

struct nb_spare *nb_spare_ref(struct nb_spare *spare) {
        spare->n_references++;
        return spare;
}

struct nb_spare *nb_spare_unref(struct nb_spare *spare) {
        if (!spare || --spare->n_references > 0)
                return NULL;
        spare->control = nb_control_free(spare->control);
        free(spare);
        return NULL;
}

void nb_spare_close(struct nb_spare *spare) {
        spare->closed = true;
        spare->control = nb_control_free(spare->control);
}

bool nb_spare_offer(struct nb_spare *spare, struct nb_control *control) {
        if (spare->closed || spare->control || !nb_control_reset(control))
                return false;
        spare->control = control;
        return true;
}

struct nb_control *nb_spare_take(struct nb_spare *spare, const char *address, size_t length, enum nb_socket_type type,
                                 uint64_t rights_base, uint64_t rights_inheriting) {
        struct nb_control *control = spare->control;

        if (!control || type != NB_SOCKET_STREAM ||
            !nb_control_serves(control, address, length, rights_base, rights_inheriting))
                return NULL;
        spare->control = NULL;
        return control;
}
