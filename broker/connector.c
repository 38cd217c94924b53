/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connector.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/control.h"
#include "broker/deadline.h"
#include "broker/session.h"

struct connector {
        struct control *control;
        struct watch watch;
        int fd;
        struct nb_address address;
        struct deadline *deadline;
};

static int dial(int fd, const struct nb_address *address) {
        struct sockaddr_storage sa = { 0 };
        socklen_t length = nb_address_to_sockaddr(address, &sa);

        return connect(fd, (struct sockaddr *)&sa, length) < 0 ? -errno : 0;
}

static int pending_error(int fd) {
        socklen_t length = sizeof(int);
        int error = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                return errno;
        return error;
}

/* Ends the connector before the control is told, for the control may start another or end itself. */
static void finish(struct connector *connector, int error) {
        struct control *control = connector->control;
        struct nb_address address = connector->address;
        NB_CLEANUP_FD int fd = -1;

        if (error == 0) {
                watch_end(&connector->watch);
                fd = nb_steal_fd(&connector->fd);
        }
        control->connector = connector_free(connector);
        if (error == 0)
                control_connected(control, nb_steal_fd(&fd), &address);
        else
                control_connect_failed(control, error);
}

static void ready(struct watch *watch, uint32_t events) {
        struct connector *connector = nb_container_of(watch, struct connector, watch);

        (void)events;
        finish(connector, pending_error(connector->fd));
}

static void timed_out(void *data) {
        finish(data, ETIMEDOUT);
}

int connector_start(struct control *control, int fd_consumed, const struct nb_address *address, uint64_t timeout_ms,
                    int *ret_fd, struct connector **ret_connector) {
        struct broker *broker = control->endpoint.session->broker;
        NB_CLEANUP_FD int fd = fd_consumed;
        struct connector *connector;
        int r;

        r = dial(fd, address);
        if (r == -EINPROGRESS)
                /* On loopback the handshake is over when connect() returns, but connect() does not say so yet. Asking a
                 * second time costs less than a turn of the loop, and gives the same answer otherwise (EALREADY). */
                r = dial(fd, address);
        if (r == 0 || r == -EISCONN) {
                *ret_fd = nb_steal_fd(&fd);
                return 0;
        }
        if (r != -EALREADY)
                return r;

        connector = calloc(1, sizeof(*connector));
        if (!connector)
                return -ENOMEM;
        connector->control = control;
        connector->address = *address;
        connector->fd = -1;
        connector->deadline = deadline_new(&broker->loop, timeout_ms, timed_out, connector);
        if (!connector->deadline) {
                (void)connector_free(connector);
                return -ENOMEM;
        }
        r = watch_start(&connector->watch, &broker->watches, fd, EPOLLOUT, ready);
        if (r < 0) {
                (void)connector_free(connector);
                return r;
        }
        connector->fd = nb_steal_fd(&fd);
        *ret_connector = connector;
        return 0;
}

const struct nb_address *connector_address(const struct connector *connector) {
        return &connector->address;
}

struct connector *connector_free(struct connector *connector) {
        if (!connector)
                return NULL;
        watch_end_before_close(&connector->watch);
        connector->fd = nb_fd_close(connector->fd);
        connector->deadline = deadline_free(connector->deadline);
        free(connector);
        return NULL;
}
