/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <net/if.h>: a guest sees no interfaces.
 */
#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdlib.h>

unsigned int if_nametoindex(const char *name) {
        (void)name;
        errno = ENODEV;
        return 0;
}

char *if_indextoname(unsigned int index, char *name) {
        (void)index;
        (void)name;
        errno = ENXIO;
        return NULL;
}

struct if_nameindex *if_nameindex(void) {
        return calloc(1, sizeof(struct if_nameindex)); /* the end of the list */
}

void if_freenameindex(struct if_nameindex *list) {
        free(list);
}
