/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/waiting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shim/client/connection.h"

struct nb_waiting {
        unsigned n;
        struct nb_connection *connections[NB_WAITING_MAX]; /* owned; the one that has waited longest first */
};

struct nb_waiting *nb_waiting_free(struct nb_waiting *waiting) {
        if (!waiting)
                return NULL;
        for (unsigned i = 0; i < waiting->n; ++i)
                nb_connection_free(waiting->connections[i]);
        free(waiting);
        return NULL;
}

unsigned nb_waiting_n(const struct nb_waiting *waiting) {
        return waiting ? waiting->n : 0;
}

static struct nb_connection *take(struct nb_waiting *waiting, unsigned index) {
        struct nb_connection *connection = waiting->connections[index];
        struct nb_connection **place = &waiting->connections[index];

        memmove(place, place + 1, (waiting->n - index - 1) * sizeof(struct nb_connection *));
        waiting->n--;
        return connection;
}

int nb_waiting_add(struct nb_waiting **waiting, struct nb_connection *connection) {
        if (!*waiting)
                *waiting = calloc(1, sizeof(**waiting));
        if (!*waiting) {
                nb_connection_free(connection);
                return -ENOMEM;
        }
        if ((*waiting)->n == NB_WAITING_MAX)
                nb_connection_free(take(*waiting, 0));
        (*waiting)->connections[(*waiting)->n++] = connection;
        return 0;
}

struct nb_connection *nb_waiting_take_first(struct nb_waiting *waiting) {
        return nb_waiting_n(waiting) > 0 ? take(waiting, 0) : NULL;
}

bool nb_waiting_take_stream(struct nb_waiting *waiting, struct nb_connection **ret, struct nb_stream *ret_stream) {
        unsigned i = 0;

        while (i < nb_waiting_n(waiting)) {
                struct nb_connection *connection = waiting->connections[i];
                int r = nb_stream_accept(connection, NB_STREAM_NONBLOCK, ret_stream);

                if (r == 0) {
                        *ret = take(waiting, i);
                        return true;
                }
                if (r == -EAGAIN || r == -EMFILE)
                        ++i;
                else
                        nb_connection_free(take(waiting, i));
        }
        return false;
}

bool nb_waiting_has_stream(const struct nb_waiting *waiting) {
        for (unsigned i = 0; i < nb_waiting_n(waiting); ++i) {
                if (nb_connection_n_incoming(waiting->connections[i]) > 0)
                        return true;
        }
        return false;
}

static void stop_polling(const struct nb_connection *connection, struct pollfd *fds, size_t n) {
        short events;
        int fd = nb_connection_poll_fd(connection, &events);

        for (size_t i = 0; i < n; ++i) {
                if (fds[i].fd != fd)
                        continue;
                fds[i].fd = -1;
                return;
        }
}

bool nb_waiting_is_ready(struct nb_waiting *waiting, struct pollfd *fds, size_t n) {
        unsigned i = 0;

        while (i < nb_waiting_n(waiting)) {
                short ready = nb_connection_ready(waiting->connections[i]);

                if (nb_connection_n_incoming(waiting->connections[i]) > 0)
                        return true;
                if (!(ready & POLLHUP)) {
                        ++i;
                        continue;
                }
                stop_polling(waiting->connections[i], fds, n);
                nb_connection_free(take(waiting, i));
        }
        return false;
}

unsigned nb_waiting_poll_fds(const struct nb_waiting *waiting, struct pollfd *fds) {
        unsigned n = nb_waiting_n(waiting);

        for (unsigned i = 0; i < n; ++i) {
                fds[i].fd = nb_connection_poll_fd(waiting->connections[i], &fds[i].events);
                fds[i].revents = 0;
        }
        return n;
}
