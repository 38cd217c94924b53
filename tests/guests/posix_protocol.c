/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_protocol HOST PORT: which of several protocols a socket is opened on. `closed` grants nothing, `open` has everything; the
 * environment says which is first.
 */
#include <netbroker/posix.h>

#include "tests/guests/posix.h"

static void try(const char *host, const char *port) {
        struct sockaddr_storage address;
        socklen_t length = numeric_address(host, port, SOCK_STREAM, &address);
        int fd = socket(address.ss_family, SOCK_STREAM, 0);

        CHECK(fd >= 0);
        SHOW(connect(fd, (struct sockaddr *)&address, length));
        CHECK(close(fd) == 0);
}

int main(int argc, char **argv) {
        struct sockaddr_storage address;
        socklen_t length;

        CHECK(argc == 3);
        try(argv[1], argv[2]);
        SHOW(netbroker_use_protocol("closed"));
        try(argv[1], argv[2]);
        SHOW(netbroker_use_protocol("open"));
        try(argv[1], argv[2]);
        SHOW(netbroker_use_protocol("none"));
        SHOW(netbroker_use_protocol(NULL));
        try(argv[1], argv[2]);
        CHECK(netbroker_use_protocol("closed") == 0);
        CHECK(close(serve(argv[1], &address, &length)) == 0); /* bind() takes the first that grants the address */
        return 0;
}
