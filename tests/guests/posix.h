/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guests of POSIX sockets share. Each of these programs is also compiled for the system itself, and test_posix compares what
 * the two print: so they print what POSIX settles and nothing that differs from run to run, such as a port, and errnos and events by name.
 *
 * A program ends with 0 when it got to its end.
 */
#ifndef NB_TESTS_POSIX_H
#define NB_TESTS_POSIX_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#define WAIT_MS 10000

#define CHECK(condition)                                                                                               \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        fflush(stdout);                                                                                \
                        fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno));  \
                        exit(1);                                                                                       \
                }                                                                                                      \
        } while (0)

/** Prints a call and its result: a number, or -1 and the errno. */
#define SHOW(call)                                                                                                     \
        do {                                                                                                           \
                long result_ = (errno = 0, (long)(call));                                                              \
                if (result_ < 0)                                                                                       \
                        printf("%s: %s\n", #call, error_name(errno));                                                  \
                else                                                                                                   \
                        printf("%s: %ld\n", #call, result_);                                                           \
        } while (0)

/** The same where the number is a descriptor, and so says nothing. */
#define SHOW_ERROR(call) printf("%s: %s\n", #call, error_name((errno = 0, (call)) < 0 ? errno : 0))

static inline const char *error_name(int error) {
        static const struct {
                int error;
                const char *name;
        } names[] = {
                { 0, "ok" },
                { EACCES, "EACCES" },
                { EADDRINUSE, "EADDRINUSE" },
                { EADDRNOTAVAIL, "EADDRNOTAVAIL" },
                { EAFNOSUPPORT, "EAFNOSUPPORT" },
                { EAGAIN, "EAGAIN" },
                { EALREADY, "EALREADY" },
                { EBADF, "EBADF" },
                { ECONNREFUSED, "ECONNREFUSED" },
                { ECONNRESET, "ECONNRESET" },
                { EDESTADDRREQ, "EDESTADDRREQ" },
                { EDOM, "EDOM" },
                { EINPROGRESS, "EINPROGRESS" },
                { EINVAL, "EINVAL" },
                { EISCONN, "EISCONN" },
                { EMSGSIZE, "EMSGSIZE" },
                { ENOENT, "ENOENT" },
                { ENOPROTOOPT, "ENOPROTOOPT" },
                { ENOTCONN, "ENOTCONN" },
                { ENOTSOCK, "ENOTSOCK" },
                { EOPNOTSUPP, "EOPNOTSUPP" },
                { EPIPE, "EPIPE" },
                { EPROTONOSUPPORT, "EPROTONOSUPPORT" },
                { EPROTOTYPE, "EPROTOTYPE" },
        };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
                if (names[i].error == error)
                        return names[i].name;
        }
        return strerror(error);
}

/** Prints the events of an entry of poll(). */
static inline void show_events(const char *what, int result, short revents) {
        printf("%s: %d%s%s%s%s%s\n", what, result, revents & POLLIN ? " in" : "", revents & POLLOUT ? " out" : "",
               revents & POLLERR ? " err" : "", revents & POLLHUP ? " hup" : "", revents & POLLNVAL ? " nval" : "");
}

/** Polls one descriptor and prints what comes. @param timeout_ms  WAIT_MS where something must come */
static inline void show_poll(const char *what, int fd, short events, int timeout_ms) {
        struct pollfd entry = { .fd = fd, .events = events };
        int n = poll(&entry, 1, timeout_ms);

        show_events(what, n, entry.revents);
}

/** The socket address of a numeric host and port. */
static inline socklen_t numeric_address(const char *host, const char *port, int type, struct sockaddr_storage *ret) {
        struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = type };
        struct addrinfo *info;
        socklen_t length;

        CHECK(getaddrinfo(host, port, &hints, &info) == 0);
        length = info->ai_addrlen;
        memcpy(ret, info->ai_addr, length);
        freeaddrinfo(info);
        return length;
}

/** A new socket that is connected to a numeric host and port. */
static inline int dial(const char *host, const char *port, int type) {
        struct sockaddr_storage address;
        socklen_t length = numeric_address(host, port, type, &address);
        int fd = socket(address.ss_family, type, 0);

        CHECK(fd >= 0);
        CHECK(connect(fd, (struct sockaddr *)&address, length) == 0);
        return fd;
}

/** A socket that listens on a port of its own of a numeric host. @param ret  its address, as getsockname() has it */
static inline int serve(const char *host, struct sockaddr_storage *ret, socklen_t *ret_length) {
        int fd;

        *ret_length = numeric_address(host, "0", SOCK_STREAM, ret);
        fd = socket(ret->ss_family, SOCK_STREAM, 0);
        CHECK(fd >= 0);
        CHECK(bind(fd, (struct sockaddr *)ret, *ret_length) == 0);
        CHECK(listen(fd, 8) == 0);
        *ret_length = sizeof(*ret);
        CHECK(getsockname(fd, (struct sockaddr *)ret, ret_length) == 0);
        return fd;
}

/** Waits until there is something to read. */
static inline void wait_readable(int fd) {
        struct pollfd entry = { .fd = fd, .events = POLLIN };

        CHECK(poll(&entry, 1, WAIT_MS) == 1);
}

#endif
