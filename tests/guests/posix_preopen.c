/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_preopen NAME: a listener `door` that the host has opened at the Unix name NAME, in the hands of a program that knows POSIX. It is
 * a socket like any other, though no socket() made it.
 */
#include <stddef.h>
#include <sys/un.h>
#include <wasi/networking_ext.h>

#include "tests/guests/posix.h"

static int knock(const char *name) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t length = strlen(name);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        CHECK(fd >= 0 && name[0] == '@' && length < sizeof(address.sun_path));
        memcpy(address.sun_path + 1, name + 1, length - 1);
        length += offsetof(struct sockaddr_un, sun_path);
        CHECK(connect(fd, (struct sockaddr *)&address, (socklen_t)length) == 0);
        return fd;
}

static void show_number(const char *what, int fd, int name) {
        socklen_t length = sizeof(int);
        int value = -1;

        CHECK(getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0);
        printf("%s %d\n", what, value);
}

int main(int argc, char **argv) {
        struct sockaddr_un name;
        socklen_t length = sizeof(name);
        char text[4] = "";
        int door, client, fd;

        CHECK(argc == 2);
        door = (int)wasi_networking_find_preopen("door");
        SHOW_ERROR(accept(door, NULL, NULL)); /* a listener that is given does not wait */
        show_poll("nobody", door, POLLIN | POLLOUT, 0);
        client = knock(argv[1]);
        show_poll("someone", door, POLLIN, WAIT_MS);
        fd = accept(door, (struct sockaddr *)&name, &length);
        CHECK(fd >= 0 && name.sun_family == AF_UNIX);
        CHECK(send(client, "abc", 3, 0) == 3);
        SHOW(recv(fd, text, 3, MSG_WAITALL));
        SHOW(listen(door, 5));
        show_number("listens", door, SO_ACCEPTCONN);
        length = sizeof(name);
        CHECK(getsockname(door, (struct sockaddr *)&name, &length) == 0);
        CHECK(name.sun_path[0] == '\0' && strncmp(name.sun_path + 1, argv[1] + 1, strlen(argv[1]) - 1) == 0);
        show_number("domain", fd, SO_DOMAIN);
        show_number("listens", fd, SO_ACCEPTCONN);
        CHECK(close(fd) == 0);
        CHECK(close(client) == 0);
        SHOW(close(door));
        return 0;
}
