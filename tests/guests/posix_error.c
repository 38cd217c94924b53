/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_error HOST PORT: what calls say that cannot be carried out, by the state of the socket. PORT echoes.
 */
#include <sys/un.h>

#include "tests/guests/posix.h"

#define ADDRESS (struct sockaddr *)&address, length

static void kinds(void) {
        SHOW_ERROR(socket(99, SOCK_STREAM, 0));
        SHOW_ERROR(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
        SHOW_ERROR(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
        SHOW_ERROR(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
        SHOW_ERROR(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
}

static void unconnected(const char *host, const char *port) {
        struct sockaddr_storage address;
        struct sockaddr_un other = { .sun_family = AF_UNIX, .sun_path = "/x" };
        struct sockaddr_storage name;
        socklen_t name_length = sizeof(name);
        char byte;
        int fd;

        printf("unconnected\n");
        (void)numeric_address(host, port, SOCK_STREAM, &address);
        fd = socket(address.ss_family, SOCK_STREAM, 0);
        CHECK(fd >= 0);
        SHOW(recv(fd, &byte, 1, 0));
        SHOW(read(fd, &byte, 1));
        show_poll("poll", fd, POLLIN | POLLOUT, WAIT_MS);
        SHOW(shutdown(fd, SHUT_RDWR));
        SHOW(getpeername(fd, (struct sockaddr *)&name, &name_length));
        SHOW(connect(fd, (struct sockaddr *)&address, sizeof(sa_family_t)));
        SHOW(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)));
        SHOW(connect(fd, (struct sockaddr *)&other, sizeof(other)));
        name_length = sizeof(name);
        SHOW(getsockname(fd, (struct sockaddr *)&name, &name_length));
        CHECK(name.ss_family == address.ss_family);
        SHOW(close(fd));
}

static void bound(const char *host) {
        struct sockaddr_storage address;
        socklen_t length = numeric_address(host, "0", SOCK_STREAM, &address);
        int fd = socket(address.ss_family, SOCK_STREAM, 0);

        printf("bound\n");
        CHECK(fd >= 0);
        SHOW(bind(fd, ADDRESS));
        SHOW(bind(fd, ADDRESS));
        SHOW(close(fd));
}

static void connected(const char *host, const char *port) {
        struct sockaddr_storage address;
        socklen_t length = numeric_address(host, port, SOCK_STREAM, &address);
        int fd = dial(host, port, SOCK_STREAM);
        char byte = 'x';

        printf("connected\n");
        SHOW(connect(fd, ADDRESS));
        SHOW(listen(fd, 1));
        SHOW(bind(fd, ADDRESS));
        SHOW_ERROR(accept(fd, NULL, NULL));
        SHOW(recv(fd, &byte, 1, MSG_DONTWAIT));
        SHOW(sendto(fd, &byte, 1, 0, ADDRESS)); /* the address is ignored */
        SHOW(recv(fd, &byte, 1, MSG_WAITALL));  /* what came later than shutdown() would be a reset */
        SHOW(shutdown(fd, 77));
        SHOW(shutdown(fd, SHUT_RDWR));
        SHOW(send(fd, &byte, 1, MSG_NOSIGNAL));
        SHOW(close(fd));
}

static void no_socket(int fd) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        socklen_t length = sizeof(address);
        int value = 0;
        char byte = 0;

        SHOW(listen(fd, 1));
        SHOW(connect(fd, ADDRESS));
        SHOW(bind(fd, ADDRESS));
        SHOW(send(fd, &byte, 1, 0));
        SHOW(recv(fd, &byte, 1, 0));
        SHOW(recv(fd, &byte, 1, MSG_DONTWAIT));
        SHOW(shutdown(fd, SHUT_RD));
        SHOW_ERROR(accept(fd, NULL, NULL));
        SHOW(getsockname(fd, (struct sockaddr *)&address, &length));
        SHOW(getpeername(fd, (struct sockaddr *)&address, &length));
        SHOW(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)));
        length = sizeof(value);
        SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
}

int main(int argc, char **argv) {
        CHECK(argc == 3);
        kinds();
        unconnected(argv[1], argv[2]);
        bound(argv[1]);
        connected(argv[1], argv[2]);
        printf("no socket\n");
        no_socket(STDIN_FILENO);
        printf("no descriptor\n");
        no_socket(999);
        no_socket(-1);
        return 0;
}
