/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_connect HOST PORT REFUSED: connect() that waits and that does not, to a peer that echoes and to a port where nobody is.
 */
#include <stdbool.h>

#include "tests/guests/posix.h"

struct peer {
        struct sockaddr_storage address;
        socklen_t length;
};

static int try_connect(int fd, const struct peer *peer) {
        return connect(fd, (const struct sockaddr *)&peer->address, peer->length);
}

static int pending_error(int fd) {
        socklen_t length = sizeof(int);
        int error = -1;

        CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
        CHECK(length == sizeof(error));
        return error;
}

/* What was written comes back, through libc's functions. */
static void exchange(int fd) {
        char text[8] = "";

        SHOW(write(fd, "hello", 5));
        wait_readable(fd);
        SHOW(read(fd, text, sizeof(text)));
        printf("%s\n", text);
        SHOW(shutdown(fd, SHUT_WR));
        wait_readable(fd);
        SHOW(read(fd, text, sizeof(text)));
        SHOW(write(fd, "x", 1));
}

static void blocking(const struct peer *peer, const struct peer *refused) {
        int fd = socket(peer->address.ss_family, SOCK_STREAM, 0);

        printf("blocking\n");
        CHECK(fd >= 0);
        show_poll("new", fd, POLLIN | POLLOUT, WAIT_MS);
        SHOW(try_connect(fd, refused));
        show_poll("refused", fd, POLLIN | POLLOUT, WAIT_MS);
        printf("error %s\n", error_name(pending_error(fd)));
        SHOW(try_connect(fd, peer));
        SHOW(try_connect(fd, peer));
        SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
        exchange(fd);
        SHOW(close(fd));
        SHOW(close(fd));
}

static void nonblocking(const struct peer *peer) {
        int fd = socket(peer->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        char byte;

        printf("nonblocking\n");
        CHECK(fd >= 0);
        CHECK(try_connect(fd, peer) == 0 || errno == EINPROGRESS);
        show_poll("connected", fd, POLLOUT, WAIT_MS);
        printf("error %s\n", error_name(pending_error(fd)));
        SHOW(read(fd, &byte, 1));
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
        exchange(fd);
        SHOW(close(fd));
}

static void nonblocking_by_fcntl(const struct peer *peer) {
        int fd = socket(peer->address.ss_family, SOCK_STREAM, 0);
        struct sockaddr_storage name;
        socklen_t length = sizeof(name);

        printf("nonblocking by fcntl, polled for reading\n");
        CHECK(fd >= 0);
        CHECK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
        CHECK(try_connect(fd, peer) == 0 || errno == EINPROGRESS);
        show_poll("nothing to read", fd, POLLIN, 300);
        CHECK(getpeername(fd, (struct sockaddr *)&name, &length) == 0);
        CHECK(memcmp(&name, &peer->address, sizeof(struct sockaddr_in)) == 0);
        exchange(fd);
        SHOW(close(fd));
}

static void refusal(const struct peer *refused) {
        int fd = socket(refused->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct sockaddr_storage name;
        socklen_t length = sizeof(name);
        bool later;

        printf("refused\n");
        CHECK(fd >= 0);
        CHECK(try_connect(fd, refused) < 0);
        later = errno == EINPROGRESS; /* Linux has the answer at once on some addresses */
        if (later)
                show_poll("refused", fd, POLLOUT, WAIT_MS);
        else
                printf("refused: 1 out err hup\n");
        SHOW(getpeername(fd, (struct sockaddr *)&name, &length));
        printf("error %s\n", error_name(pending_error(fd)));
        printf("error %s\n", error_name(pending_error(fd)));
        if (later)
                show_poll("told", fd, POLLIN | POLLOUT, WAIT_MS);
        else
                printf("told: 1 in out hup\n");
        SHOW(close(fd));
}

static void refusal_by_connect(const struct peer *refused) {
        int fd = socket(refused->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct pollfd entry = { .fd = fd, .events = POLLIN };

        printf("refused, told by connect\n");
        CHECK(fd >= 0);
        CHECK(try_connect(fd, refused) < 0);
        CHECK(poll(&entry, 1, WAIT_MS) == 1);
        SHOW(try_connect(fd, refused));
        SHOW(close(fd));
}

int main(int argc, char **argv) {
        struct peer peer, refused;

        CHECK(argc == 4);
        peer.length = numeric_address(argv[1], argv[2], SOCK_STREAM, &peer.address);
        refused.length = numeric_address(argv[1], argv[3], SOCK_STREAM, &refused.address);
        blocking(&peer, &refused);
        nonblocking(&peer);
        nonblocking_by_fcntl(&peer);
        refusal(&refused);
        refusal_by_connect(&refused);
        return 0;
}
