/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/destroy_message.h"
#include "helper/destroyer.h"

void server_init(struct server *server) {
        for (int i = 0; i < SERVER_CLIENTS_MAX; ++i)
                server->clients[i] = (struct server_client){ .fd = -1 };
}

/* ---- clients ---- */

static struct server_client *free_slot(struct server *server) {
        for (int i = 0; i < SERVER_CLIENTS_MAX; ++i) {
                if (server->clients[i].fd < 0)
                        return &server->clients[i];
        }
        return NULL;
}

static void accept_one(struct server *server) {
        struct server_client *slot = free_slot(server);
        struct ucred peer;
        socklen_t length = sizeof(peer);
        NB_CLEANUP_FD int fd = -1;

        if (!slot)
                return;
        fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
                return;
        if (server->has_user && peer.uid != server->user) {
                nb_log(server->log, NB_LOG_WARNING, "user %u may not ask", (unsigned)peer.uid);
                return;
        }
        *slot = (struct server_client){ .fd = nb_steal_fd(&fd), .uid = peer.uid };
}

static void note_refusal(const struct server *server, struct server_client *client) {
        if (!client->was_refused)
                nb_log(server->log, NB_LOG_WARNING, "user %u has asked for another user's socket",
                       (unsigned)client->uid);
        client->was_refused = true;
}

/* @return 0, or -errno: the client is to be dropped */
static int serve_one(const struct server *server, struct server_client *client) {
        struct nb_destroy_request request;
        struct nb_destroy_answer answer = { .version = NB_DESTROY_VERSION };
        ssize_t n = recv(client->fd, &request, sizeof(request), MSG_TRUNC);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n != sizeof(request) || request.version != NB_DESTROY_VERSION)
                return -EPROTO;
        answer.serial = request.serial;
        answer.error = destroyer_run(server->diag_fd, client->uid, &request);
        if (answer.error == -EPERM)
                note_refusal(server, client);
        return send(client->fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ---- the loop ---- */

int server_turn(struct server *server) {
        struct pollfd fds[SERVER_CLIENTS_MAX + 1];

        for (int i = 0; i < SERVER_CLIENTS_MAX; ++i)
                fds[i] = (struct pollfd){ .fd = server->clients[i].fd, .events = POLLIN };
        fds[SERVER_CLIENTS_MAX] = (struct pollfd){ .fd = free_slot(server) ? server->listen_fd : -1, .events = POLLIN };
        if (poll(fds, SERVER_CLIENTS_MAX + 1, -1) < 0)
                return errno == EINTR ? 0 : -errno;
        for (int i = 0; i < SERVER_CLIENTS_MAX; ++i) {
                struct server_client *client = &server->clients[i];

                if (fds[i].revents != 0 && serve_one(server, client) < 0)
                        client->fd = nb_fd_close(client->fd);
        }
        if (fds[SERVER_CLIENTS_MAX].revents != 0)
                accept_one(server);
        return 0;
}
