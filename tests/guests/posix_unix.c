/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_unix PEER OWN: Unix sockets. PEER echoes; OWN is a name to listen at. A name that begins with `@` is abstract.
 */
#include <stddef.h>
#include <sys/un.h>

#include "tests/guests/posix.h"

static socklen_t unix_address(const char *name, struct sockaddr_un *ret) {
        size_t length = strlen(name);

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        CHECK(length < sizeof(ret->sun_path));
        memcpy(ret->sun_path, name, length);
        if (name[0] != '@')
                return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
        ret->sun_path[0] = '\0';
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void show_name(const char *what, const struct sockaddr_un *address, socklen_t length, const char *expected) {
        struct sockaddr_un wanted;
        socklen_t wanted_length = unix_address(expected, &wanted);

        CHECK(address->sun_family == AF_UNIX);
        if (length == offsetof(struct sockaddr_un, sun_path))
                printf("%s: no name\n", what);
        else
                printf("%s: %s\n", what,
                       length == wanted_length && memcmp(address->sun_path, wanted.sun_path, length - 2) == 0
                               ? "as bound"
                               : "another");
}

static int unix_dial(const char *name) {
        struct sockaddr_un address;
        socklen_t length = unix_address(name, &address);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        CHECK(fd >= 0);
        CHECK(connect(fd, (struct sockaddr *)&address, length) == 0);
        return fd;
}

static void client(const char *peer) {
        int fd = unix_dial(peer);
        struct sockaddr_un name;
        socklen_t length = sizeof(name);
        char text[8] = "";

        SHOW(write(fd, "hello", 5));
        wait_readable(fd);
        SHOW(recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&name, &length));
        printf("%s\n", text);
        show_name("from", &name, length, peer);
        length = sizeof(name);
        CHECK(getsockname(fd, (struct sockaddr *)&name, &length) == 0);
        show_name("own", &name, length, peer);
        length = sizeof(name);
        CHECK(getpeername(fd, (struct sockaddr *)&name, &length) == 0);
        show_name("peer", &name, length, peer);
        SHOW(close(fd));
}

static void server(const char *own) {
        struct sockaddr_un address, name;
        socklen_t length = unix_address(own, &address);
        socklen_t name_length = sizeof(name);
        int listener = socket(AF_UNIX, SOCK_STREAM, 0);
        char text[8] = "";
        int client_fd, fd;

        CHECK(listener >= 0);
        CHECK(bind(listener, (struct sockaddr *)&address, length) == 0);
        SHOW(listen(listener, 4));
        CHECK(getsockname(listener, (struct sockaddr *)&name, &name_length) == 0);
        show_name("listener", &name, name_length, own);
        client_fd = unix_dial(own);
        name_length = sizeof(name);
        fd = accept(listener, (struct sockaddr *)&name, &name_length);
        CHECK(fd >= 0);
        show_name("accepted", &name, name_length, own);
        SHOW(send(client_fd, "abc", 3, 0));
        name_length = sizeof(name);
        SHOW(recvfrom(fd, text, 3, MSG_WAITALL, (struct sockaddr *)&name, &name_length));
        printf("%u bytes of address\n", (unsigned)name_length);
        SHOW(close(client_fd));
        SHOW(read(fd, text, 1));
        CHECK(close(fd) == 0);
        CHECK(close(listener) == 0);
        (void)unlink(own); /* where the broker has not done it */
}

static void errors(const char *own) {
        struct sockaddr_un address;
        socklen_t length = unix_address(own, &address);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        CHECK(fd >= 0);
        SHOW_ERROR(connect(fd, (struct sockaddr *)&address, length));
        SHOW_ERROR(connect(fd, (struct sockaddr *)&address, sizeof(address) + 1));
        SHOW_ERROR(socket(AF_UNIX, SOCK_STREAM, IPPROTO_TCP));
        SHOW(close(fd));
        fd = socket(AF_UNIX, SOCK_STREAM, PF_UNIX);
        CHECK(fd >= 0);
        SHOW(close(fd));
}

int main(int argc, char **argv) {
        CHECK(argc == 3);
        client(argv[1]);
        server(argv[2]);
        errors(argv[2]);
        return 0;
}
