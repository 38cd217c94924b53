/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/helper_client.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/destroy_message.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "loop/deadline.h"

#define RETRY_MS 1000

struct helper_client {
        struct broker *broker;
        struct sockaddr_un address;
        struct own_socket *own; /* no tenant reaches it */
        struct watch watch;
        int fd;                 /* -1: not connected */
        struct nb_list waiting; /* connections that the helper is to be asked for */
        struct nb_list asked;   /* and those that it was asked for, oldest first; some may have ended meanwhile */
        uint32_t n_asked;       /* requests without an answer */
        uint64_t last_serial;
        struct deadline *retry;
        bool is_ill;
        bool has_refused; /* said once */
};

static void ask_some(struct helper_client *client);

/* Its unit's socket starts it when it is asked, so it is not connected to only to see. */
static bool is_served(const struct helper_client *client) {
        return access(client->address.sun_path, W_OK) == 0;
}

bool helper_client_is_well(const struct helper_client *client) {
        return !client->is_ill || (client->last_serial == 0 && nb_list_is_empty(&client->waiting) && is_served(client));
}

/* ---- being without one ---- */

static void retry(void *data) {
        struct helper_client *client = data;

        client->retry = deadline_free(client->retry);
        ask_some(client);
}

/* Said once, until it is there again. */
static void note_ill(struct helper_client *client, const char *why) {
        if (!client->is_ill)
                nb_log(&client->broker->log, NB_LOG_WARNING,
                       "netbroker-helper at %s cannot be asked (%s): what was revoked lives on until it can",
                       client->address.sun_path, why);
        client->is_ill = true;
}

void helper_client_look(struct helper_client *client) {
        if (!is_served(client))
                note_ill(client, strerror(errno));
}

static void note_well(struct helper_client *client) {
        if (client->is_ill)
                nb_log(&client->broker->log, NB_LOG_NOTICE, "netbroker-helper at %s is there again",
                       client->address.sun_path);
        client->is_ill = false;
}

/* Whoever was asked for is asked for again, first of all. */
static void disconnect(struct helper_client *client) {
        watch_end_before_close(&client->watch);
        client->fd = nb_fd_close(client->fd);
        client->n_asked = 0;
        while (!nb_list_is_empty(&client->asked)) {
                struct nb_list *last = client->asked.prev;

                nb_list_remove(last);
                /* In front of the first: behind the head. */
                nb_list_append(client->waiting.next, last);
        }
}

static void lost(struct helper_client *client, const char *why) {
        disconnect(client);
        note_ill(client, why);
        if (!client->retry && !nb_list_is_empty(&client->waiting))
                client->retry = deadline_new(&client->broker->loop, RETRY_MS, retry, client);
}

/* ---- answers ---- */

/* The connection that a request was for; NULL if it has ended meanwhile. */
static struct connection *take_asked(struct helper_client *client, uint64_t serial) {
        struct connection *connection;

        if (nb_list_is_empty(&client->asked))
                return NULL;
        connection = nb_container_of(client->asked.next, struct connection, in_revocation);
        if (connection->revocation_serial != serial)
                return NULL;
        nb_list_remove(&connection->in_revocation);
        return connection;
}

/* What is gone, or was moved by its holder, the kernel tells (broker/connection_watch.h); only a refusal is a matter for the operator. */
static void handle_answer(struct helper_client *client, const struct nb_destroy_answer *answer) {
        const struct connection *connection = take_asked(client, answer->serial);

        if (!connection || answer->error == 0 || answer->error == -ENOENT || client->has_refused)
                return;
        client->has_refused = true;
        nb_log(&client->broker->log, NB_LOG_WARNING,
               "netbroker-helper cannot shut connection %llu down: %s; is it started with CAP_NET_ADMIN and in the "
               "broker's "
               "network namespace?",
               (unsigned long long)connection->id, strerror(-answer->error));
}

/* @return 0; -EAGAIN; another -errno: the helper is gone, or is none */
static int receive_answer(struct helper_client *client) {
        struct nb_destroy_answer answer;
        ssize_t n = recv(client->fd, &answer, sizeof(answer), MSG_TRUNC);

        if (n < 0)
                return -errno;
        if (n == 0)
                return -ECONNRESET;
        if (n != sizeof(answer) || answer.version != NB_DESTROY_VERSION || client->n_asked == 0)
                return -EPROTO;
        client->n_asked--;
        handle_answer(client, &answer);
        return 0;
}

static void ready(struct watch *watch, uint32_t events) {
        struct helper_client *client = nb_container_of(watch, struct helper_client, watch);
        int r = 0;

        (void)events;
        for (int i = 0; i < NB_DESTROY_WINDOW && r == 0; ++i)
                r = receive_answer(client);
        if (r < 0 && r != -EAGAIN && r != -EINTR)
                lost(client, strerror(-r));
        else
                ask_some(client);
}

/* ---- requests ---- */

static int connect_to_helper(struct helper_client *client) {
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int r;

        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *)&client->address, sizeof(client->address)) < 0)
                return -errno;
        r = watch_start(&client->watch, &client->broker->watches, fd, EPOLLIN, ready);
        if (r < 0)
                return r;
        client->fd = nb_steal_fd(&fd);
        return 0;
}

static struct nb_destroy_request request_for(const struct connection *connection, uint64_t serial) {
        const struct nb_address *local = &connection->local.ip;
        const struct nb_address *peer = connection->via.family != 0 ? &connection->via.ip : &connection->peer.ip;
        struct nb_destroy_request request = {
                .version = NB_DESTROY_VERSION,
                .family = local->ip.family,
                .protocol = connection->type == POLICY_SOCKET_DGRAM || connection->quic ? IPPROTO_UDP : IPPROTO_TCP,
                .serial = serial,
                .cookie = connection->cookie,
                .local_port = local->port,
                .peer_port = peer->port,
        };

        memcpy(request.local, local->ip.bytes, sizeof(request.local));
        memcpy(request.peer, peer->ip.bytes, sizeof(request.peer));
        return request;
}

static int ask(struct helper_client *client, struct connection *connection) {
        struct nb_destroy_request request = request_for(connection, client->last_serial + 1);

        if (send(client->fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
                return -errno;
        client->last_serial++;
        client->n_asked++;
        connection->revocation_serial = client->last_serial;
        nb_list_remove(&connection->in_revocation);
        nb_list_append(&client->asked, &connection->in_revocation);
        return 0;
}

/* As many as the window lets; the next ones when answers come. */
static void ask_some(struct helper_client *client) {
        int r = 0;

        if (nb_list_is_empty(&client->waiting) || client->retry)
                return;
        if (client->fd < 0)
                r = connect_to_helper(client);
        while (r == 0 && client->n_asked < NB_DESTROY_WINDOW && !nb_list_is_empty(&client->waiting))
                r = ask(client, nb_container_of(client->waiting.next, struct connection, in_revocation));
        /* A queue that is full empties itself, and then there are answers. */
        if (r < 0 && !(r == -EAGAIN && client->n_asked > 0))
                lost(client, strerror(-r));
        else
                note_well(client);
}

void helper_client_destroy(struct helper_client *client, struct connection *connection) {
        if (!nb_list_is_empty(&connection->in_revocation))
                return;
        nb_list_append(&client->waiting, &connection->in_revocation);
        ask_some(client);
}

/* ---- beginning and end ---- */

struct helper_client *helper_client_new(struct broker *broker, const char *path) {
        struct helper_client *client;
        size_t length = strlen(path);

        if (length >= sizeof(client->address.sun_path)) {
                errno = ENAMETOOLONG;
                return NULL;
        }
        client = calloc(1, sizeof(*client));
        if (!client)
                return NULL;
        client->broker = broker;
        client->fd = -1;
        client->address.sun_family = AF_UNIX;
        memcpy(client->address.sun_path, path, length);
        client->own = own_add_path(&broker->own, "the socket of netbroker-helper", path);
        if (!client->own) {
                free(client);
                errno = ENOMEM;
                return NULL;
        }
        nb_list_init(&client->waiting);
        nb_list_init(&client->asked);
        return client;
}

struct helper_client *helper_client_free(struct helper_client *client) {
        if (!client)
                return NULL;
        assert(nb_list_is_empty(&client->waiting) && nb_list_is_empty(&client->asked));
        watch_end_before_close(&client->watch);
        client->fd = nb_fd_close(client->fd);
        client->retry = deadline_free(client->retry);
        client->own = own_free(client->own);
        free(client);
        return NULL;
}
