/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/option.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <wasi/networking_ext.h>

#include "guest/posix/connect.h"
#include "guest/posix/host.h"
#include "guest/posix/peer.h"

/* Options that the host has for a stream, and what Linux starts with where a socket has no stream yet. */
struct host_option {
        int level;
        int name;
        __wasi_networking_option_t option;
        uint32_t initial;
        int min, max; /* of what can be set; a boolean may be anything */
        bool boolean;
};

static const struct host_option host_options[] = {
        { SOL_SOCKET, SO_KEEPALIVE, __WASI_NETWORKING_OPTION_KEEPALIVE, 0, INT_MIN, INT_MAX, true },
        { SOL_SOCKET, SO_RCVBUF, __WASI_NETWORKING_OPTION_RCVBUF, 131072, 0, INT_MAX, false },
        { SOL_SOCKET, SO_SNDBUF, __WASI_NETWORKING_OPTION_SNDBUF, 16384, 0, INT_MAX, false },
        { IPPROTO_TCP, TCP_NODELAY, __WASI_NETWORKING_OPTION_TCP_NODELAY, 0, INT_MIN, INT_MAX, true },
        { IPPROTO_TCP, TCP_KEEPIDLE, __WASI_NETWORKING_OPTION_TCP_KEEPIDLE, 7200, 1, 32767, false },
        { IPPROTO_TCP, TCP_KEEPINTVL, __WASI_NETWORKING_OPTION_TCP_KEEPINTVL, 75, 1, 32767, false },
        { IPPROTO_TCP, TCP_KEEPCNT, __WASI_NETWORKING_OPTION_TCP_KEEPCNT, 9, 1, 127, false },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, __WASI_NETWORKING_OPTION_TCP_USER_TIMEOUT, 0, 0, INT_MAX, false },
};

#define N_HOST_OPTIONS (sizeof(host_options) / sizeof(host_options[0]))

_Static_assert(__WASI_NETWORKING_OPTION_SNDBUF < NB_POSIX_N_OPTIONS, "every option has a place");

static const struct host_option *find_host_option(int level, int name) {
        for (size_t i = 0; i < N_HOST_OPTIONS; ++i) {
                if (host_options[i].level == level && host_options[i].name == name)
                        return &host_options[i];
        }
        return NULL;
}

void nb_posix_option_apply(int fd, const struct nb_posix_socket *socket) {
        for (uint32_t option = 0; option < NB_POSIX_N_OPTIONS; ++option) {
                __wasi_errno_t ignored;

                if (!(socket->options_set & (1u << option)))
                        continue;
                ignored = __wasi_networking_set_option((__wasi_fd_t)fd, option, socket->options[option]);
                (void)ignored;
        }
}

void nb_posix_option_inherit(int fd, const struct nb_posix_socket *listener) {
        struct nb_posix_socket *accepted;

        if (!listener->options_set && !listener->receive_timeout_ms && !listener->send_timeout_ms)
                return;
        nb_posix_option_apply(fd, listener);
        accepted = nb_posix_enter(fd);
        if (!accepted)
                return;
        accepted->state = NB_POSIX_CONNECTED;
        accepted->family = listener->family;
        accepted->type = listener->type;
        accepted->receive_timeout_ms = listener->receive_timeout_ms;
        accepted->send_timeout_ms = listener->send_timeout_ms;
}

static int get_family(int fd, struct nb_posix_socket *socket) {
        struct sockaddr_storage address;
        socklen_t length;

        if (socket->family == AF_UNSPEC && nb_posix_local_address(fd, &address, &length) == 0)
                socket->family = (uint8_t)address.ss_family;
        return socket->family;
}

/* Whether a socket can have an option: only a stream of IP has those of TCP. */
static bool applies(const struct host_option *option, int fd, struct nb_posix_socket *socket) {
        return option->level != IPPROTO_TCP || (socket->type == SOCK_STREAM && get_family(fd, socket) != AF_UNIX);
}

static int set_host_option(int fd, struct nb_posix_socket *socket, const struct host_option *option, int value) {
        uint32_t wanted = option->boolean ? value != 0 : (uint32_t)value;
        int error;

        if (!applies(option, fd, socket))
                return ENOPROTOOPT;
        if (value < option->min || value > option->max)
                return EINVAL;
        if (socket->state == NB_POSIX_CONNECTED) {
                error = __wasi_networking_set_option((__wasi_fd_t)fd, option->option, wanted);
                if (error)
                        return error;
        }
        /* For the stream that there will be, also where a datagram socket is connected again. */
        socket->options[option->option] = wanted;
        socket->options_set |= (uint16_t)(1u << option->option);
        return 0;
}

static int get_host_option(int fd, struct nb_posix_socket *socket, const struct host_option *option, int *ret) {
        uint32_t value = option->initial;
        int error;

        if (!applies(option, fd, socket))
                return ENOPROTOOPT;
        if (socket->state == NB_POSIX_CONNECTED) {
                error = __wasi_networking_get_option((__wasi_fd_t)fd, option->option, &value);
                if (error)
                        return error;
        } else if (socket->options_set & (1u << option->option)) {
                value = socket->options[option->option];
        }
        *ret = value > INT_MAX ? INT_MAX : (int)value;
        return 0;
}

static int get_protocol(int fd, struct nb_posix_socket *socket) {
        if (get_family(fd, socket) == AF_UNIX)
                return 0;
        return socket->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

/* SO_ERROR: that of a connection that failed, or the stream's. It is told once. */
static int get_error(int fd, struct nb_posix_socket *socket, int *ret) {
        uint32_t value = 0;
        int error = 0;

        if (socket->state == NB_POSIX_CONNECTING)
                (void)nb_posix_connect_take(fd, socket);
        if (socket->error)
                value = (uint32_t)socket->error;
        else if (socket->state == NB_POSIX_CONNECTED)
                error = __wasi_networking_get_option((__wasi_fd_t)fd, __WASI_NETWORKING_OPTION_ERROR, &value);
        socket->error = 0;
        *ret = (int)value;
        return error;
}

static int get_socket_option(int fd, struct nb_posix_socket *socket, int name, int *ret) {
        switch (name) {
        case SO_ERROR:
                return get_error(fd, socket, ret);
        case SO_TYPE:
                *ret = socket->type;
                return 0;
        case SO_DOMAIN:
                *ret = get_family(fd, socket);
                return 0;
        case SO_PROTOCOL:
                *ret = get_protocol(fd, socket);
                return 0;
        case SO_ACCEPTCONN:
                *ret = socket->state == NB_POSIX_LISTENING && !socket->server;
                return 0;
        case SO_REUSEADDR:
                *ret = socket->reuse_address;
                return 0;
        case SO_RCVLOWAT:
                *ret = 1;
                return 0;
        case SO_REUSEPORT:
        case SO_BROADCAST:
        case SO_OOBINLINE:
                *ret = 0;
                return 0;
        default:
                return ENOPROTOOPT;
        }
}

static int get_option(int fd, struct nb_posix_socket *socket, int level, int name, int *ret) {
        const struct host_option *option = find_host_option(level, name);

        if (option)
                return get_host_option(fd, socket, option, ret);
        if (level == SOL_SOCKET)
                return get_socket_option(fd, socket, name, ret);
        if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && get_family(fd, socket) == AF_INET6) {
                *ret = 1; /* unless the policy grants both families, which a guest is not told */
                return 0;
        }
        return ENOPROTOOPT;
}

/*
 * Options that change nothing, where a program gets what it wants anyway: the broker always lets a server come back to its port, and
 * whether a socket of IPv6 serves IPv4 as well is the policy's decision.
 */
static int set_other_option(int fd, struct nb_posix_socket *socket, int level, int name, int value) {
        if (level == SOL_SOCKET && name == SO_REUSEADDR) {
                socket->reuse_address = value != 0;
                return 0;
        }
        if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && get_family(fd, socket) == AF_INET6)
                return 0;
        if (level == SOL_SOCKET && (name == SO_REUSEPORT || name == SO_BROADCAST || name == SO_OOBINLINE) && value == 0)
                return 0;
        return ENOPROTOOPT;
}

/* A timeout is kept in milliseconds, at least one where it is not 0, which means none. */
static int set_timeout(uint32_t *timeout_ms, const void *value, socklen_t length) {
        struct timeval time;

        if (length < sizeof(time))
                return EINVAL;
        memcpy(&time, value, sizeof(time));
        if (time.tv_usec < 0 || time.tv_usec >= 1000000)
                return EDOM;
        if (time.tv_sec < 0 || time.tv_sec > UINT32_MAX / 1000 - 1)
                *timeout_ms = time.tv_sec < 0
                                      ? 1
                                      : 0; /* as Linux: what is over at once, and what is longer than anyone waits */
        else
                *timeout_ms = (uint32_t)(time.tv_sec * 1000 + (time.tv_usec + 999) / 1000);
        return 0;
}

/* Gives a program a value, cut to its room. */
static void store(const void *value, size_t size, void *buffer, socklen_t *length) {
        if (*length > size)
                *length = (socklen_t)size;
        memcpy(buffer, value, *length);
}

static void get_timeout(uint32_t timeout_ms, void *buffer, socklen_t *length) {
        struct timeval time = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

        store(&time, sizeof(time), buffer, length);
}

/* Lingering is the kernel's default: what was sent goes out after close(), which does not wait. */
static int set_linger(const void *value, socklen_t length) {
        struct linger linger;

        if (length < sizeof(linger))
                return EINVAL;
        memcpy(&linger, value, sizeof(linger));
        return linger.l_onoff ? ENOPROTOOPT : 0;
}

static int set_option(int fd, int level, int name, const void *value, socklen_t length) {
        const struct host_option *option = find_host_option(level, name);
        struct nb_posix_socket *socket;
        int number;
        int error;

        error = nb_posix_obtain(fd, &socket);
        if (error)
                return error;
        if (level == SOL_SOCKET && name == SO_RCVTIMEO)
                return set_timeout(&socket->receive_timeout_ms, value, length);
        if (level == SOL_SOCKET && name == SO_SNDTIMEO)
                return set_timeout(&socket->send_timeout_ms, value, length);
        if (level == SOL_SOCKET && name == SO_LINGER)
                return set_linger(value, length);
        if (length < sizeof(number))
                return EINVAL;
        memcpy(&number, value, sizeof(number));
        return option ? set_host_option(fd, socket, option, number) : set_other_option(fd, socket, level, name, number);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
        return nb_posix_result(set_option(fd, level, name, value, length));
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length) {
        static const struct linger no_linger;
        struct nb_posix_socket *socket;
        int number;
        int error;

        error = nb_posix_obtain(fd, &socket);
        if (error)
                return nb_posix_fail(error);
        if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
                get_timeout(name == SO_RCVTIMEO ? socket->receive_timeout_ms : socket->send_timeout_ms, value, length);
                return 0;
        }
        if (level == SOL_SOCKET && name == SO_LINGER) {
                store(&no_linger, sizeof(no_linger), value, length);
                return 0;
        }
        error = get_option(fd, socket, level, name, &number);
        if (error)
                return nb_posix_fail(error);
        store(&number, sizeof(number), value, length);
        return 0;
}
