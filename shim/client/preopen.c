/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/preopen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "shim/client/control.h"

struct nb_preopen_socket {
        struct nb_preopen is;             /* its texts are below */
        struct nb_control *control;       /* owned; NULL when it was taken or has connected */
        struct nb_connection *connection; /* owned; NULL until it has connected, and when it was taken */
        char texts[];                     /* the name and the address, each with its NUL */
};

/* ---- what the broker says ---- */

static bool name_is_used(const Nb__Welcome *welcome, size_t n_before, const char *name) {
        for (size_t i = 0; i < n_before; ++i) {
                if (strcmp(welcome->preopens[i]->name, name) == 0)
                        return true;
        }
        return false;
}

/* Datagrams have no listener. */
static bool kind_is_valid(const Nb__Preopen *preopen) {
        if (preopen->kind == NB__PREOPEN_KIND__PREOPEN_KIND_LISTENER)
                return preopen->type == NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
        return preopen->kind == NB__PREOPEN_KIND__PREOPEN_KIND_CONNECTION &&
               (preopen->type == NB__SOCKET_TYPE__SOCKET_TYPE_STREAM ||
                preopen->type == NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM);
}

static bool length_is_valid(const char *text, size_t max) {
        return text[0] != '\0' && strnlen(text, max + 1) <= max;
}

bool nb_preopens_are_valid(const Nb__Welcome *welcome) {
        for (size_t i = 0; i < welcome->n_preopens; ++i) {
                const Nb__Preopen *preopen = welcome->preopens[i];

                if (!length_is_valid(preopen->name, NB_NAME_LENGTH_MAX) ||
                    !length_is_valid(preopen->address, NB_ADDRESS_LENGTH_MAX) || !kind_is_valid(preopen) ||
                    name_is_used(welcome, i, preopen->name))
                        return false;
        }
        return true;
}

/* ---- the sockets ---- */

static struct nb_preopen_socket *socket_free(struct nb_preopen_socket *socket) {
        if (!socket)
                return NULL;
        nb_control_free(socket->control);
        nb_connection_free(socket->connection);
        free(socket);
        return NULL;
}

static enum nb_preopen_kind kind_of(const Nb__Preopen *preopen) {
        return preopen->kind == NB__PREOPEN_KIND__PREOPEN_KIND_LISTENER ? NB_PREOPEN_LISTENER : NB_PREOPEN_CONNECTION;
}

static enum nb_socket_type type_of(const Nb__Preopen *preopen) {
        return preopen->type == NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM ? NB_SOCKET_DGRAM : NB_SOCKET_STREAM;
}

/* Copies what the Welcome says, which is gone with the next frame. */
static struct nb_preopen_socket *describe(const Nb__Preopen *preopen) {
        size_t name_size = strlen(preopen->name) + 1;
        size_t address_size = strlen(preopen->address) + 1;
        struct nb_preopen_socket *socket = calloc(1, sizeof(*socket) + name_size + address_size);

        if (!socket)
                return NULL;
        memcpy(socket->texts, preopen->name, name_size);
        memcpy(socket->texts + name_size, preopen->address, address_size);
        socket->is = (struct nb_preopen){
                .name = socket->texts,
                .kind = kind_of(preopen),
                .type = type_of(preopen),
                .address = socket->texts + name_size,
                .flags = preopen->nonblock ? NB_NONBLOCK : 0,
                .rights_base = preopen->rights_base,
                .rights_inheriting = preopen->rights_inheriting,
        };
        return socket;
}

/* The descriptor is consumed on success. */
static int socket_new(struct nb_context *context, const Nb__Preopen *preopen, int fd, struct nb_preopen_socket **ret) {
        struct nb_preopen_socket *socket = describe(preopen);
        struct nb_control_description control;
        int r;

        if (!socket)
                return -ENOMEM;
        control = (struct nb_control_description){
                .address = socket->is.address,
                .type = socket->is.type,
                .rights_base = socket->is.rights_base,
                .rights_inheriting = socket->is.rights_inheriting,
                /* A connection is always waited for: the flag is that of the stream which the guest gets. */
                .flags = socket->is.kind == NB_PREOPEN_LISTENER ? socket->is.flags : 0,
        };
        r = nb_control_new(context, &control, fd, NULL, &socket->control);
        if (r < 0) {
                socket_free(socket);
                return r;
        }
        *ret = socket;
        return 0;
}

int nb_preopens_init(struct nb_preopens *preopens, struct nb_context *context, const Nb__Welcome *welcome, int *fds) {
        for (size_t i = 0; i < welcome->n_preopens; ++i) {
                int r = socket_new(context, welcome->preopens[i], fds[i], &preopens->sockets[i]);

                if (r < 0)
                        return r;
                (void)nb_steal_fd(&fds[i]);
                preopens->n = i + 1;
        }
        return 0;
}

void nb_preopens_deinit(struct nb_preopens *preopens) {
        for (size_t i = 0; i < preopens->n; ++i)
                preopens->sockets[i] = socket_free(preopens->sockets[i]);
        preopens->n = 0;
}

const struct nb_preopen *nb_preopens_get(const struct nb_preopens *preopens, size_t index) {
        return index < preopens->n ? &preopens->sockets[index]->is : NULL;
}

/* ---- starting and taking ---- */

/* Does nothing on one that has started or was taken, as nb_listen() does nothing on a listener. */
static int start(struct nb_preopen_socket *socket) {
        int r;

        if (!socket->control)
                return 0;
        if (socket->is.kind == NB_PREOPEN_LISTENER)
                return nb_listen(socket->control, SOMAXCONN);
        r = nb_connect(socket->control, socket->is.address, strlen(socket->is.address), &socket->connection);
        if (r == 0)
                socket->control = nb_control_free(socket->control);
        return r;
}

int nb_preopens_start(struct nb_preopens *preopens, size_t *ret_failed) {
        for (size_t i = 0; i < preopens->n; ++i) {
                int r = start(preopens->sockets[i]);

                if (r < 0) {
                        if (ret_failed)
                                *ret_failed = i;
                        return r;
                }
        }
        return 0;
}

/* Finds one that can be taken, and starts it. */
static int prepare_to_take(struct nb_preopens *preopens, size_t index, enum nb_preopen_kind kind,
                           struct nb_preopen_socket **ret) {
        struct nb_preopen_socket *socket;
        int r;

        if (index >= preopens->n || preopens->sockets[index]->is.kind != kind)
                return -EINVAL;
        socket = preopens->sockets[index];
        if (!socket->control && !socket->connection)
                return -EBUSY;
        r = start(socket);
        if (r < 0)
                return r;
        *ret = socket;
        return 0;
}

int nb_preopens_take_listener(struct nb_preopens *preopens, size_t index, struct nb_control **ret) {
        struct nb_preopen_socket *socket;
        int r = prepare_to_take(preopens, index, NB_PREOPEN_LISTENER, &socket);

        if (r < 0)
                return r;
        *ret = nb_steal_ptr(socket->control);
        return 0;
}

int nb_preopens_take_connection(struct nb_preopens *preopens, size_t index, struct nb_connection **ret) {
        struct nb_preopen_socket *socket;
        int r = prepare_to_take(preopens, index, NB_PREOPEN_CONNECTION, &socket);

        if (r < 0)
                return r;
        *ret = nb_steal_ptr(socket->connection);
        return 0;
}
