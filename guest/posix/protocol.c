/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wasi/networking.h>

#include <netbroker/posix.h>

#include "guest/posix/host.h"
#include "guest/posix/state.h"

#define RIGHTS_OF_CONTROLS (WASI_NETWORKING_RIGHTS_CLIENT | WASI_NETWORKING_RIGHTS_SERVER)
#define RIGHTS_BELOW (WASI_NETWORKING_RIGHTS_CONNECTION | WASI_NETWORKING_RIGHTS_STREAM)

static const char *open_address(int family) {
        switch (family) {
        case AF_INET:
                return "0.0.0.0:0";
        case AF_INET6:
                return "[::]:0";
        default:
                return "";
        }
}

static void add(struct nb_posix_protocols *protocols, __wasi_fd_t fd) {
        struct nb_posix_description description;

        if (protocols->n == NB_POSIX_PROTOCOLS_MAX || nb_posix_describe(fd, &description))
                return;
        for (size_t i = 0; i < protocols->n; ++i) {
                if (protocols->list[i].fd == fd)
                        return;
        }
        protocols->list[protocols->n++] = (struct nb_posix_protocol){ fd, description.inheriting };
}

/* Makes the list anew. @param chosen  a protocol that is to be tried first, or NULL @return whether there is that one */
static bool load(struct nb_posix_protocols *protocols, const char *chosen) {
        const char *pair = getenv(WASI_NETWORKING_PROTOCOLS_VARIABLE);
        __wasi_fd_t fd = chosen ? wasi_networking_find_protocol(chosen) : (__wasi_fd_t)-1;
        bool found = fd != (__wasi_fd_t)-1;

        *protocols = (struct nb_posix_protocols){ .loaded = true };
        if (found)
                add(protocols, fd);
        while (pair && *pair != '\0') {
                const char *number = pair + strcspn(pair, "=:");

                if (*number == '=')
                        add(protocols, wasi_networking_parse_fd_(number + 1));
                pair = strchr(number, ':');
                if (pair)
                        ++pair;
        }
        return found;
}

static struct nb_posix_protocols *loaded(void) {
        struct nb_posix_protocols *protocols = &nb_posix_state.protocols;

        if (!protocols->loaded)
                (void)load(protocols, getenv(NETWORKING_DEFAULT_VARIABLE));
        return protocols;
}

int netbroker_use_protocol(const char *name) {
        if (!name) {
                nb_posix_state.protocols.loaded = false;
                return 0;
        }
        return load(&nb_posix_state.protocols, name) ? 0 : nb_posix_fail(ENOENT);
}

static int open_on(const struct nb_posix_protocol *protocol, int type, bool nonblock, const char *address,
                   size_t length, int *ret_fd) {
        __wasi_fd_t fd;
        __wasi_errno_t error;

        error = __wasi_networking_open(protocol->fd, address, length, (__wasi_filetype_t)type,
                                       protocol->inheriting & RIGHTS_OF_CONTROLS, protocol->inheriting & RIGHTS_BELOW,
                                       nonblock ? __WASI_FDFLAGS_NONBLOCK : 0, &fd);
        if (!error)
                *ret_fd = (int)fd;
        return error;
}

/* How much an error says about what went wrong, beside the others that were met. */
static int weight(int error) {
        switch (error) {
        case EAFNOSUPPORT:
        case EINVAL:
                return 0;
        case ENOTSUP:
                return 1;
        case EACCES:
                return 2;
        default:
                return 3;
        }
}

/* Tries the protocols from `first` on. @return the error that says most */
static int open_first(int type, bool nonblock, const char *address, size_t length, size_t first, size_t *ret_index,
                      int *ret_fd) {
        const struct nb_posix_protocols *protocols = loaded();
        int error = 0;

        for (size_t i = first; i < protocols->n; ++i) {
                int e = open_on(&protocols->list[i], type, nonblock, address, length, ret_fd);

                if (!e) {
                        *ret_index = i;
                        return 0;
                }
                if (!error || weight(e) > weight(error))
                        error = e;
                if (weight(e) > weight(EACCES))
                        break;
        }
        return error ? error : EAFNOSUPPORT;
}

static size_t service(int family, int type) {
        size_t base = family == AF_INET ? 0 : family == AF_INET6 ? 2 : 4;

        return base + (type == SOCK_DGRAM);
}

int nb_posix_open(int family, int type, bool nonblock, int *ret_fd) {
        unsigned char *first = &loaded()->first[service(family, type)];
        const char *address = open_address(family);
        size_t index;
        int error;

        error = open_first(type, nonblock, address, strlen(address), *first, &index, ret_fd);
        switch (error) {
        case 0:
                *first = (unsigned char)index;
                return 0;
        case ENOTSUP:
                return EPROTONOSUPPORT;
        case EINVAL: /* it is a good address, so the protocol does not know the family */
                return EAFNOSUPPORT;
        default:
                return error;
        }
}

int nb_posix_open_bound(int family, int type, bool nonblock, const char *address, size_t length, int *ret_fd) {
        size_t index;

        return open_first(type, nonblock, address, length, loaded()->first[service(family, type)], &index, ret_fd);
}
