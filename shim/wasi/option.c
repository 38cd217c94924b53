/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/option.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "proto/wasi.h"

/* What Linux takes for the probes of TCP (tcp(7)): MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT. */
#define SECONDS_MAX 32767
#define PROBES_MAX 127

/* The kernel keeps double of a buffer's size. */
#define BUFFER_FACTOR 2

enum unit {
        UNIT_PLAIN,
        UNIT_ERROR,  /* an errno */
        UNIT_BUFFER, /* bytes of a buffer */
};

struct option {
        int level;
        int name;
        enum unit unit;
        bool read_only;
        uint32_t minimum;
        uint32_t maximum;
};

/* By the numbers of <wasi/networking_ext.h>, which begin with 1. */
static const struct option options[] = {
        [1] = { .level = SOL_SOCKET, .name = SO_ERROR, .unit = UNIT_ERROR, .read_only = true },
        [2] = { .level = IPPROTO_TCP, .name = TCP_NODELAY, .maximum = 1 },
        [3] = { .level = SOL_SOCKET, .name = SO_KEEPALIVE, .maximum = 1 },
        [4] = { .level = IPPROTO_TCP, .name = TCP_KEEPIDLE, .minimum = 1, .maximum = SECONDS_MAX },
        [5] = { .level = IPPROTO_TCP, .name = TCP_KEEPINTVL, .minimum = 1, .maximum = SECONDS_MAX },
        [6] = { .level = IPPROTO_TCP, .name = TCP_KEEPCNT, .minimum = 1, .maximum = PROBES_MAX },
        [7] = { .level = IPPROTO_TCP, .name = TCP_USER_TIMEOUT, .maximum = INT_MAX },
        [8] = { .level = SOL_SOCKET, .name = SO_RCVBUF, .unit = UNIT_BUFFER, .maximum = INT_MAX },
        [9] = { .level = SOL_SOCKET, .name = SO_SNDBUF, .unit = UNIT_BUFFER, .maximum = INT_MAX },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* @return the option of that number, or NULL */
static const struct option *find(uint32_t option) {
        return option > 0 && option < N_OPTIONS ? &options[option] : NULL;
}

/* A Unix socket, asked for an option of TCP, says that it supports no such operation. */
static int option_errno(int error) {
        return error == EOPNOTSUPP ? NB_WASI_ENOPROTOOPT : (int)nb_wasi_errno_from_host(error);
}

static uint32_t to_guest(enum unit unit, int value) {
        if (unit == UNIT_ERROR)
                return nb_wasi_errno_from_host(value);
        if (unit == UNIT_BUFFER)
                value /= BUFFER_FACTOR;
        return value < 0 ? 0 : (uint32_t)value;
}

int nb_option_get(struct nb_descriptor *stream, uint32_t option, uint32_t *ret) {
        const struct option *found = find(option);
        socklen_t length = sizeof(int);
        int value = 0;

        if (!found)
                return NB_WASI_EINVAL;
        if (found->unit == UNIT_ERROR && stream->pending_error) {
                *ret = stream->pending_error;
                stream->pending_error = 0;
                return NB_WASI_SUCCESS;
        }
        if (getsockopt(stream->host_fd, found->level, found->name, &value, &length) < 0)
                return option_errno(errno);
        *ret = to_guest(found->unit, value);
        return NB_WASI_SUCCESS;
}

static bool is_unix(int fd) {
        socklen_t length = sizeof(int);
        int domain;

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

/* A wish beyond a bound is taken for the bound. */
static uint32_t buffer_within_bounds(const struct nb_descriptor *stream, const struct option *option, uint32_t value) {
        if (value > NB_OPTION_BUFFER_MAX)
                return NB_OPTION_BUFFER_MAX;
        if (option->name == SO_SNDBUF && value < NB_OPTION_UNIX_SEND_MIN && is_unix(stream->host_fd))
                return NB_OPTION_UNIX_SEND_MIN;
        return value;
}

int nb_option_set(const struct nb_descriptor *stream, uint32_t option, uint32_t value) {
        const struct option *found = find(option);
        int wanted;

        if (!found || found->read_only || value < found->minimum || value > found->maximum)
                return NB_WASI_EINVAL;
        if (found->unit == UNIT_BUFFER)
                value = buffer_within_bounds(stream, found, value);
        wanted = (int)value;
        if (setsockopt(stream->host_fd, found->level, found->name, &wanted, sizeof(wanted)) < 0)
                return option_errno(errno);
        return NB_WASI_SUCCESS;
}
