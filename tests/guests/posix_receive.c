/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_receive HOST PORT: every way to send and to receive, and their flags. PORT echoes.
 */
#include <sys/uio.h>

#include "tests/guests/posix.h"

#define LARGE 300000
#define PARTS_MAX 1024 /* IOV_MAX, on Linux too */

static char buffer[LARGE];

/* Sends a text and waits until all of it has come back. */
static void bounce(int fd, const char *text) {
        size_t length = strlen(text);

        CHECK(send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length);
        while (recv(fd, buffer, length, MSG_PEEK) < (ssize_t)length)
                wait_readable(fd);
}

static void flags(int fd) {
        char text[8] = "";

        SHOW(recv(fd, text, sizeof(text), MSG_DONTWAIT));
        bounce(fd, "abcdef");
        SHOW(recv(fd, text, 3, MSG_PEEK));
        SHOW(recv(fd, text, 3, 0));
        SHOW(recv(fd, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT));
        SHOW(recv(fd, text, 3, MSG_WAITALL));
        printf("%s\n", text);
        SHOW(recv(fd, text, 1, MSG_DONTWAIT));
        CHECK(fcntl(fd, F_GETFL) >= 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK));
}

/* The second half comes while it waits, as a rule. */
static void peek_all(int fd) {
        char text[8] = "";

        CHECK(send(fd, "ghi", 3, MSG_NOSIGNAL) == 3);
        CHECK(send(fd, "jkl", 3, MSG_NOSIGNAL) == 3);
        SHOW(recv(fd, text, 6, MSG_PEEK | MSG_WAITALL));
        printf("%s\n", text);
        SHOW(recv(fd, text, 6, MSG_WAITALL));
}

static void vectors(int fd) {
        char first[3] = "", second[5] = "", ab[] = "ab", cdef[] = "cdef";
        struct iovec out[] = { { .iov_base = ab, .iov_len = 2 },
                               { .iov_base = NULL, .iov_len = 0 },
                               { .iov_base = cdef, .iov_len = 4 } };
        struct iovec in[] = { { .iov_base = first, .iov_len = 2 }, { .iov_base = second, .iov_len = 4 } };
        struct msghdr message = { .msg_iov = out, .msg_iovlen = 3 };

        SHOW(writev(fd, out, 3));
        while (recv(fd, buffer, 6, MSG_PEEK) < 6)
                wait_readable(fd);
        SHOW(readv(fd, in, 2));
        printf("%s %s\n", first, second);

        SHOW(sendmsg(fd, &message, MSG_NOSIGNAL));
        memset(first, 0, sizeof(first));
        memset(second, 0, sizeof(second));
        message = (struct msghdr){ .msg_iov = in, .msg_iovlen = 2, .msg_flags = 77 };
        SHOW(recvmsg(fd, &message, MSG_WAITALL));
        printf("%s %s %d\n", first, second, message.msg_flags);
}

/* A stream does not say whom its bytes are from, as its peer is known. */
static void sources(int fd) {
        struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
        socklen_t length = sizeof(address);
        char text[2];
        struct iovec part = { .iov_base = text, .iov_len = 1 };
        struct msghdr message = {
                .msg_name = &address,
                .msg_namelen = sizeof(address),
                .msg_iov = &part,
                .msg_iovlen = 1,
        };

        bounce(fd, "ab");
        SHOW(recvfrom(fd, text, 1, 0, (struct sockaddr *)&address, &length));
        SHOW(recvmsg(fd, &message, 0));
        CHECK(address.ss_family == AF_UNSPEC);
        printf("%u and %u bytes of address\n", (unsigned)length, (unsigned)message.msg_namelen);
}

static void too_many_parts(int fd) {
        static struct iovec parts[PARTS_MAX + 1];
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = PARTS_MAX + 1 };

        SHOW(sendmsg(fd, &message, MSG_NOSIGNAL));
        SHOW(recvmsg(fd, &message, 0));
        SHOW(writev(fd, parts, PARTS_MAX + 1));
        SHOW(readv(fd, parts, PARTS_MAX + 1));
        message.msg_iovlen = PARTS_MAX;
        SHOW(sendmsg(fd, &message, MSG_NOSIGNAL));
}

/* A blocking send takes all, while the peer sends it back: it must be read meanwhile, or both would wait. */
static void large(int fd) {
        size_t sent = 0, received = 0;

        memset(buffer, 'x', sizeof(buffer));
        while (received < LARGE) {
                struct pollfd entry = { .fd = fd, .events = sent < LARGE ? POLLIN | POLLOUT : POLLIN };

                CHECK(poll(&entry, 1, WAIT_MS) == 1);
                if (entry.revents & POLLOUT) {
                        ssize_t n = send(fd, buffer, LARGE - sent, MSG_DONTWAIT);

                        CHECK(n > 0);
                        sent += (size_t)n;
                }
                if (entry.revents & POLLIN) {
                        ssize_t n = recv(fd, buffer, LARGE, MSG_DONTWAIT);

                        CHECK(n > 0);
                        received += (size_t)n;
                }
        }
        CHECK(sent == LARGE);
        printf("%zu bytes\n", received);
}

static void streams(int fd) {
        FILE *file = fdopen(fd, "r+");
        char line[16] = "";

        CHECK(file);
        CHECK(fprintf(file, "a line\n") == 7);
        CHECK(fflush(file) == 0);
        CHECK(fgets(line, sizeof(line), file));
        printf("%s", line);
        SHOW(fclose(file));
        SHOW(close(fd));
}

int main(int argc, char **argv) {
        int fd;

        CHECK(argc == 3);
        fd = dial(argv[1], argv[2], SOCK_STREAM);
        flags(fd);
        peek_all(fd);
        vectors(fd);
        sources(fd);
        too_many_parts(fd);
        large(fd);
        streams(fd);
        return 0;
}
