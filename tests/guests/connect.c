/* SPDX-License-Identifier: Apache-2.0 */
/* connect ADDRESS: prints what WASI calls the result of a connect, and ends with its number: 0, 2 for `access`… */
#include "tests/guests/guest.h"

int main(int argc, char **argv) {
        __wasi_fd_t connection;
        __wasi_errno_t error;

        CHECK(argc == 2);
        error = guest_connect(guest_client(argv[1], 0), argv[1], &connection);
        puts(wasi_networking_errno_name(error));
        return error;
}
