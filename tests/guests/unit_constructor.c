/* SPDX-License-Identifier: Apache-2.0 */
/* unit_constructor: a reactor (build: -mexec-model=reactor) that uses files before anything else of it has run. */
#include <fcntl.h>
#include <unistd.h>

__attribute__((export_name("result"))) int result(void);

static int opened = -1;

__attribute__((constructor)) static void construct(void) {
        opened = open("/", O_RDONLY | O_DIRECTORY);
}

/* The number of the descriptor that the constructor opened. */
int result(void) {
        return opened;
}
