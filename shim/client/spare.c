/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/spare.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "shim/client/control.h"

#define N_TYPES 2

struct nb_spare {
        unsigned n_references;
        struct nb_protocol *protocol;         /* borrowed; NULL: it is gone */
        struct nb_control *controls[N_TYPES]; /* owned; they have no reference to this */
};

static struct nb_control **place_of(struct nb_spare *spare, enum nb_socket_type type) {
        return &spare->controls[type == NB_SOCKET_DGRAM];
}

static void free_controls(struct nb_spare *spare) {
        for (size_t i = 0; i < N_TYPES; ++i)
                spare->controls[i] = nb_control_free(spare->controls[i]);
}

struct nb_spare *nb_spare_new(struct nb_protocol *protocol) {
        struct nb_spare *spare = calloc(1, sizeof(*spare));

        if (!spare)
                return NULL;
        spare->n_references = 1;
        spare->protocol = protocol;
        return spare;
}

struct nb_protocol *nb_spare_protocol(const struct nb_spare *spare) {
        return spare ? spare->protocol : NULL;
}

struct nb_spare *nb_spare_ref(struct nb_spare *spare) {
        spare->n_references++;
        return spare;
}

struct nb_spare *nb_spare_unref(struct nb_spare *spare) {
        if (!spare || --spare->n_references > 0)
                return NULL;
        free_controls(spare);
        free(spare);
        return NULL;
}

void nb_spare_close(struct nb_spare *spare) {
        spare->protocol = NULL;
        free_controls(spare);
}

bool nb_spare_offer(struct nb_spare *spare, struct nb_control *control) {
        struct nb_control **place = place_of(spare, nb_control_type(control));

        if (!spare->protocol || *place || !nb_control_reset(control))
                return false;
        *place = control;
        return true;
}

struct nb_control *nb_spare_take(struct nb_spare *spare, const char *address, size_t length, enum nb_socket_type type,
                                 uint64_t rights_base, uint64_t rights_inheriting) {
        struct nb_control **place = place_of(spare, type);

        if (!*place || !nb_control_serves(*place, address, length, type, rights_base, rights_inheriting))
                return NULL;
        return nb_steal_ptr(*place);
}
