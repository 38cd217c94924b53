/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connector.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "loop/deadline.h"
#include "broker/socket.h"

/*
 * How long until a full backlog is asked again: twice as long each time, so that a tenant with as many such connects as it may have
 * costs a few hundredths of a processor.
 */
#define RETRY_FIRST_MS 10
#define RETRY_LAST_MS 640

struct connector {
        struct broker *broker;
        struct watch_set *watches;
        connector_function function;
        void *data;
        struct watch watch; /* not of a Unix socket, of which there is nothing to watch */
        int fd;
        struct nb_socket_address address;
        struct deadline *deadline;
        struct deadline *retry; /* of a Unix socket */
        uint64_t retry_ms;      /* until the next one */
};

static void cleanup_connector(struct connector **connector) {
        (void)connector_free(*connector);
}

static int pending_error(int fd) {
        socklen_t length = sizeof(int);
        int error = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                return errno;
        return error;
}

/* The connector is gone afterwards. */
static void finish(struct connector *connector, int error) {
        int fd = -1;

        if (error == 0) {
                watch_end(&connector->watch);
                fd = nb_steal_fd(&connector->fd);
        }
        connector->function(connector->data, error, fd);
}

static void ready(struct watch *watch, uint32_t events) {
        struct connector *connector = nb_container_of(watch, struct connector, watch);

        (void)events;
        finish(connector, pending_error(connector->fd));
}

static void timed_out(void *data) {
        finish(data, ETIMEDOUT);
}

static struct deadline *start_timer(const struct connector *connector, uint64_t ms, deadline_function function) {
        return deadline_new(&connector->broker->loop, ms, function, (void *)connector);
}

/* Whether a connect is to be asked for again: only Unix sockets say this of a full backlog. */
static bool is_full(const struct nb_socket_address *address, int r) {
        return address->family == AF_UNIX && r == -EAGAIN;
}

static void retry(void *data);

static int retry_later(struct connector *connector) {
        connector->retry = start_timer(connector, connector->retry_ms, retry);
        if (!connector->retry)
                return -ENOMEM;
        if (connector->retry_ms < RETRY_LAST_MS)
                connector->retry_ms *= 2;
        return 0;
}

static void retry(void *data) {
        struct connector *connector = data;
        int r = socket_connect(connector->fd, &connector->address, &connector->broker->own);

        connector->retry = deadline_free(connector->retry);
        if (is_full(&connector->address, r)) {
                r = retry_later(connector);
                if (r == 0)
                        return;
        }
        finish(connector, -r);
}

/* Waits for the kernel's answer, or for the time to ask again. */
static int wait_for_answer(struct connector *connector) {
        if (connector->address.family == AF_UNIX)
                return retry_later(connector);
        return watch_start(&connector->watch, connector->watches, connector->fd, EPOLLOUT, ready);
}

static int dial(int fd, const struct nb_socket_address *address, const struct own *own) {
        int r = socket_connect(fd, address, own);

        if (r == -EINPROGRESS)
                /* On loopback the handshake is over when connect() returns, but connect() does not say so yet. Asking a
                 * second time costs less than a turn of the loop, and gives the same answer otherwise (EALREADY). */
                r = socket_connect(fd, address, own);
        return r == -EISCONN ? 0 : r;
}

int connector_start(const struct connector_options *options, int fd_consumed, int *ret_fd,
                    struct connector **ret_connector) {
        NB_CLEANUP(cleanup_connector) struct connector *connector = NULL;
        NB_CLEANUP_FD int fd = fd_consumed;
        int r = dial(fd, options->address, &options->broker->own);

        if (r == 0) {
                *ret_fd = nb_steal_fd(&fd);
                return 0;
        }
        if (r != -EALREADY && !is_full(options->address, r))
                return r;

        connector = calloc(1, sizeof(*connector));
        if (!connector)
                return -ENOMEM;
        connector->broker = options->broker;
        connector->watches = options->watches;
        connector->function = options->function;
        connector->data = options->data;
        connector->address = *options->address;
        connector->fd = nb_steal_fd(&fd);
        connector->retry_ms = RETRY_FIRST_MS;
        if (options->timeout_ms > 0) {
                connector->deadline = start_timer(connector, options->timeout_ms, timed_out);
                if (!connector->deadline)
                        return -ENOMEM;
        }
        r = wait_for_answer(connector);
        if (r < 0)
                return r;
        *ret_connector = nb_steal_ptr(connector);
        return 0;
}

const struct nb_socket_address *connector_address(const struct connector *connector) {
        return &connector->address;
}

struct connector *connector_free(struct connector *connector) {
        if (!connector)
                return NULL;
        /* The keeper may have a duplicate of a socket that was bound. */
        watch_end(&connector->watch);
        connector->fd = nb_fd_close(connector->fd);
        connector->deadline = deadline_free(connector->deadline);
        connector->retry = deadline_free(connector->retry);
        free(connector);
        return NULL;
}
