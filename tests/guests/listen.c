/* SPDX-License-Identifier: Apache-2.0 */
/* listen ADDRESS: prints what WASI calls the result of a bind and a listen, and ends with its number. */
#include "tests/guests/guest.h"

int main(int argc, char **argv) {
        __wasi_fd_t control;
        __wasi_errno_t error;

        CHECK(argc == 2);
        error = guest_open(argv[1], WASI_NETWORKING_RIGHTS_SERVER, 0, &control);
        if (error == __WASI_ERRNO_SUCCESS)
                error = __wasi_networking_listen(control, 1);
        puts(wasi_networking_errno_name(error));
        return error;
}
