/* SPDX-License-Identifier: Apache-2.0 */
/* echo_server ADDRESS N: says that it listens, and sends back what N peers send, one peer after the other. */
#include "tests/guests/guest.h"

static void echo(int stream) {
        static char buffer[65536];
        ssize_t n;

        while ((n = read(stream, buffer, sizeof(buffer))) > 0)
                guest_write_all(stream, buffer, (size_t)n);
        CHECK(n == 0);
}

int main(int argc, char **argv) {
        __wasi_fd_t control;

        CHECK(argc == 3);
        control = guest_listener(argv[1], 0);
        puts("listening");
        fflush(stdout);
        for (long n = strtol(argv[2], NULL, 10); n > 0; --n) {
                int stream = guest_accept(control);

                echo(stream);
                CHECK(close(stream) == 0);
        }
        return 0;
}
