/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/posix/host.h"
#include "guest/posix/server.h"
#include "guest/posix/state.h"

#define CAPACITY_MIN 16

struct nb_posix_socket *nb_posix_peek(int fd) {
        const struct nb_posix_table *table = &nb_posix_state.table;

        return fd >= 0 && (size_t)fd < table->capacity ? table->entries[fd] : NULL;
}

/* Whether the host's word of a number fits what is remembered of it. */
static bool fits(const struct nb_posix_socket *socket, const struct nb_posix_description *description) {
        return description->type == socket->type && description->control == (socket->state != NB_POSIX_CONNECTED);
}

struct nb_posix_socket *nb_posix_find(int fd) {
        struct nb_posix_socket *socket = nb_posix_peek(fd);
        struct nb_posix_description description;

        if (!socket)
                return NULL;
        if (nb_posix_describe(fd, &description) == 0 && fits(socket, &description))
                return socket;
        nb_posix_forget(fd);
        return NULL;
}

static bool reserve(struct nb_posix_table *table, int fd) {
        size_t capacity = table->capacity ? table->capacity : CAPACITY_MIN;
        struct nb_posix_socket **entries;

        if ((size_t)fd < table->capacity)
                return true;
        while (capacity <= (size_t)fd)
                capacity *= 2;
        entries = realloc(table->entries, capacity * sizeof(struct nb_posix_socket *));
        if (!entries)
                return false;
        memset(entries + table->capacity, 0, (capacity - table->capacity) * sizeof(struct nb_posix_socket *));
        table->entries = entries;
        table->capacity = capacity;
        return true;
}

struct nb_posix_socket *nb_posix_enter(int fd) {
        struct nb_posix_table *table = &nb_posix_state.table;
        struct nb_posix_socket *socket;

        nb_posix_forget(fd);
        if (!reserve(table, fd))
                return NULL;
        socket = calloc(1, sizeof(*socket));
        table->entries[fd] = socket;
        return socket;
}

int nb_posix_obtain(int fd, struct nb_posix_socket **ret) {
        struct nb_posix_socket *socket = nb_posix_find(fd);
        struct nb_posix_description description;
        int error;

        if (!socket) {
                error = nb_posix_describe(fd, &description);
                if (error)
                        return error;
                if (!nb_posix_is_socket(&description))
                        return ENOTSOCK;
                socket = nb_posix_enter(fd);
                if (!socket)
                        return ENOMEM;
                /* A control that is not from socket() came from the host, which gives listeners. */
                socket->state = description.control ? NB_POSIX_LISTENING : NB_POSIX_CONNECTED;
                socket->type = description.type;
        }
        *ret = socket;
        return 0;
}

void nb_posix_forget(int fd) {
        struct nb_posix_socket *socket = nb_posix_peek(fd);

        if (!socket)
                return;
        nb_posix_server_free(socket->server);
        free(socket->target);
        free(socket);
        nb_posix_state.table.entries[fd] = NULL;
}

void nb_posix_move(int from, int to) {
        struct nb_posix_table *table = &nb_posix_state.table;
        struct nb_posix_socket *socket = nb_posix_peek(from);

        if (from == to)
                return;
        nb_posix_forget(to);
        if (!socket || !reserve(table, to))
                return;
        table->entries[from] = NULL;
        table->entries[to] = socket;
}

void nb_posix_set_state(struct nb_posix_socket *socket, enum nb_posix_socket_state state) {
        socket->state = state;
        socket->unreported = false;
        if (state != NB_POSIX_NEW)
                return;
        free(socket->target);
        socket->target = NULL;
        socket->placeholder = 0;
}
