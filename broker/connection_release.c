/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connection_release.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>

#include "base/cleanup.h"
#include "base/sock_diag.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "loop/deadline.h"

/* From one look to the next it is four times as long. */
#define FIRST_MS 10
#define TIMES 4

/* How many are asked about again for a tenant that waits. */
#define AGAIN_MAX 16

/* ---- one socket ---- */

/* Whom the socket has, which may be a proxy. */
static const struct nb_socket_address *peer_of(const struct connection *connection) {
        return connection->via.family != 0 ? &connection->via : &connection->peer;
}

/* Where the kernel does not say, it is taken to be there. */
static bool is_there(const struct connection_release *release, const struct connection *connection) {
        const struct nb_sock_diag_id id = {
                .protocol = IPPROTO_TCP,
                .local = connection->local.ip,
                .peer = peer_of(connection)->ip,
                .cookie = connection->cookie,
        };
        struct nb_sock_diag_socket found;
        int r = release->fd >= 0 ? nb_sock_diag_find(release->fd, &id, &found) : -ENOTCONN;

        if (r < 0)
                return r != -ENOENT;
        return !found.time_wait;
}

/* ---- steps ---- */

static void look(void *data);

static void put(struct connection_release *release, struct connection *connection, unsigned number) {
        struct connection_release_step *step = &release->steps[number];
        uint64_t ms = FIRST_MS;

        for (unsigned i = 0; i < number; ++i)
                ms *= TIMES;
        if (!step->deadline)
                step->deadline = deadline_new(&release->broker->loop, ms, look, step);
        /* Without memory for it nobody would look: a dump does. */
        if (step->deadline)
                nb_list_append(&step->connections, &connection->in_closing);
        else
                release->left(release->data, connection);
}

static void look_at(struct connection_release *release, struct connection *connection, unsigned number) {
        if (!is_there(release, connection)) {
                connection_end(connection);
        } else if (number + 1 < CONNECTION_RELEASE_STEPS) {
                put(release, connection, number + 1);
        } else {
                release->left(release->data, connection);
        }
}

/* Those that are put into the list meanwhile wait for the next time. */
static void look(void *data) {
        struct connection_release_step *step = data;

        step->deadline = deadline_free(step->deadline);
        while (!nb_list_is_empty(&step->connections)) {
                struct connection *connection = nb_container_of(step->connections.next, struct connection, in_closing);

                nb_list_remove(&connection->in_closing);
                look_at(step->release, connection, step->number);
        }
}

void connection_release_take(struct connection_release *release, struct connection *connection) {
        if (!nb_list_is_empty(&connection->in_closing))
                return;
        if (is_there(release, connection))
                put(release, connection, 0);
        else
                connection_end(connection);
}

/* The kernel may have been asked while the close was still under way, so the last ones are the likeliest to be gone by now. */
void connection_release_look_again(struct connection_release *release, const struct tenant *tenant) {
        struct nb_list *fresh = &release->steps[0].connections, *link = fresh->prev;

        for (unsigned i = 0; i < AGAIN_MAX && link != fresh; ++i) {
                struct connection *connection = nb_container_of(link, struct connection, in_closing);

                link = link->prev;
                if (connection->tenant != tenant || is_there(release, connection))
                        continue;
                nb_list_remove(&connection->in_closing);
                connection_end(connection);
        }
}

/* ---- beginning and end ---- */

void connection_release_init(struct connection_release *release, struct broker *broker,
                             void (*left)(void *data, struct connection *connection), void *data) {
        release->broker = broker;
        release->fd = nb_sock_diag_open();
        release->left = left;
        release->data = data;
        for (unsigned i = 0; i < CONNECTION_RELEASE_STEPS; ++i) {
                release->steps[i] = (struct connection_release_step){ .release = release, .number = i };
                nb_list_init(&release->steps[i].connections);
        }
}

void connection_release_deinit(struct connection_release *release) {
        if (!release->broker)
                return;
        for (unsigned i = 0; i < CONNECTION_RELEASE_STEPS; ++i) {
                assert(nb_list_is_empty(&release->steps[i].connections));
                release->steps[i].deadline = deadline_free(release->steps[i].deadline);
        }
        release->fd = release->fd >= 0 ? nb_fd_close(release->fd) : -1;
}
