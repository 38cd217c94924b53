/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/datagram_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/accept_credit.h"
#include "broker/accepted.h"
#include "broker/connection.h"
#include "broker/control.h"
#include "broker/relay_server.h"
#include "broker/session.h"
#include "broker/tenant.h"

/*
 * What one end of a pair may have under way to the other, by the kernel's count, which is double of what is asked for: a datagram of the largest
 * size fits, and what nobody reads stays small.
 */
#define PAIR_BUFFER 65536

struct datagram_server {
        struct relay_server server;
        struct accept_credit credit;
};

static struct datagram_server *of(struct relay_server *server) {
        return nb_container_of(server, struct datagram_server, server);
}

static struct control *control_of(const struct datagram_server *server) {
        return server->server.control;
}

static struct grant *grant_of(const struct datagram_server *server) {
        return control_of(server)->grant;
}

static struct tenant *tenant_of(const struct datagram_server *server) {
        return grant_of(server)->tenant;
}

/* ---- orders ---- */

static int order_serve(struct relay_server *server) {
        const struct control *control = server->control;
        const struct policy_protocol *policy = control->grant->policy;
        uint64_t idle_ms = policy ? policy->idle_timeout_ms : POLICY_IDLE_TIMEOUT_DEFAULT_MS;
        uint64_t peers_max = control->grant->tenant->account.limit[ACCOUNT_CONNECTIONS];
        Nb__Relay__Serve serve = NB__RELAY__SERVE__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        serve.server = server->object.number;
        serve.idle_timeout_ms = idle_ms < UINT32_MAX ? (uint32_t)idle_ms : UINT32_MAX;
        serve.waiting_max = RELAY_SERVER_WAITING_MAX;
        serve.peers_max = peers_max < UINT32_MAX ? (uint32_t)peers_max : UINT32_MAX;
        order.body_case = NB__RELAY__ORDER__BODY_SERVE;
        order.serve = &serve;
        return relay_order(&server->object, &order, &server->fd, 1);
}

static uint64_t room(struct relay_server *server) {
        const struct accept_credit *credit = &of(server)->credit;

        return credit->total - credit->sent;
}

static int order_take_peer(const struct datagram_server *server, uint64_t number, struct relay_object *link,
                           int pair_fd) {
        Nb__Relay__TakePeer take = NB__RELAY__TAKE_PEER__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        take.server = server->server.object.number;
        take.peer = number;
        take.allowed = true;
        take.link = link->number;
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PEER;
        order.take_peer = &take;
        return relay_order(link, &order, &pair_fd, 1);
}

/* ---- peers ---- */

static int set_pair_options(int fd) {
        const int on = 1, size = PAIR_BUFFER;

        /* So that an empty datagram can be told from the end of the stream (relay/datagram/batch.h, shim/wasi/stream.c). */
        if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)) < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
                return -errno;
        nb_channel_refuse_fds(fd);
        return 0;
}

/*
 * Nothing goes from a Unix server to its peers (relay/datagram/server.h): the guest's writes are EPIPE, from the first one on, however late the relay is.
 * @param ret_fd  the guest's end @param ret_relay_fd  both are owned by the caller
 */
static int make_pair(bool is_unix, int *ret_fd, int *ret_relay_fd) {
        int ends[2];
        int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;

        if (r < 0)
                return r;
        *ret_fd = ends[0];
        *ret_relay_fd = ends[1];
        r = set_pair_options(ends[0]);
        if (r == 0)
                r = set_pair_options(ends[1]);
        return r == 0 && is_unix && shutdown(ends[1], SHUT_RD) < 0 ? -errno : r;
}

static int send_accepted(const struct datagram_server *server, int fd, const struct relay_peer *peer) {
        char local[NB_SOCKET_ADDRESS_TEXT_MAX];
        const struct accepted accepted = {
                .number = server->credit.sent + 1,
                .fd = fd,
                .peer = &peer->address,
                .local = nb_socket_address_format(&peer->local, local),
        };

        return accepted_push(control_of(server), &accepted);
}

/* The connection is registered, and the relay's object of it. */
static int hand_out(struct datagram_server *server, const struct relay_peer *peer, struct connection *connection,
                    int fd, int relay_fd) {
        /* Too many orders wait: that will be over in a moment, unlike a session that does not read. */
        int r = order_take_peer(server, peer->number, &connection->relayed, relay_fd) < 0 ? -ENOBUFS : 0;

        if (r == 0) {
                r = send_accepted(server, fd, peer);
                if (r == 0)
                        return 0;
                (void)relay_order_end(&connection->relayed);
        }
        connection_forget(connection, fd);
        return r;
}

static int push(struct datagram_server *server, const struct relay_peer *peer) {
        struct relay_object object = { 0 };
        struct connection_facts facts = {
                .session = control_of(server)->endpoint.session,
                .grant = grant_of(server),
                .narrowings = control_of(server)->narrowings,
                .verb = POLICY_ACCEPT,
                .type = POLICY_SOCKET_DGRAM,
                .peer = &peer->address,
                .pair_local = &peer->local,
                .bind = &control_of(server)->bind,
                .relayed = &object,
        };
        NB_CLEANUP_FD int fd = -1;
        NB_CLEANUP_FD int relay_fd = -1;
        struct connection *connection;
        int r = make_pair(control_of(server)->bind.family == AF_UNIX, &fd, &relay_fd);

        if (r == 0)
                r = relay_attach_beside(&object, &server->server.object);
        if (r < 0)
                return r;
        r = connection_register(&facts, fd, &connection);
        if (r < 0) {
                relay_detach(&object);
                return r;
        }
        return hand_out(server, peer, connection, fd, relay_fd);
}

static int take(struct relay_server *relay_server, const struct relay_peer *peer) {
        struct datagram_server *server = of(relay_server);
        struct tenant *tenant = tenant_of(server);
        int r = connection_check_room(tenant);

        if (r == 0)
                r = quota_claim(tenant, ACCOUNT_IN_FLIGHT);
        if (r < 0)
                return r;
        r = push(server, peer);
        if (r < 0)
                account_release(&tenant->account, ACCOUNT_IN_FLIGHT, 1);
        else
                server->credit.sent++;
        return r;
}

/* ---- beginning and end ---- */

static const struct relay_server_ops ops = {
        .what = "datagram servers",
        .serve = order_serve,
        .room = room,
        .take = take,
};

int datagram_server_new(struct control *control, int fd, uint64_t received, struct datagram_server **ret) {
        NB_CLEANUP_FREE struct datagram_server *server = calloc(1, sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        accept_credit_init(&server->credit, received);
        r = relay_server_start(&server->server, &ops, control, fd);
        if (r < 0)
                return r;
        *ret = nb_steal_ptr(server);
        return 0;
}

int datagram_server_restore(struct control *control, int fd, uint64_t relay, uint64_t number,
                            struct datagram_server **ret) {
        NB_CLEANUP_FREE struct datagram_server *server = calloc(1, sizeof(*server));
        int r = server ? relay_server_restore(&server->server, &ops, control, fd, relay, number) : -ENOMEM;

        if (r == 0)
                *ret = nb_steal_ptr(server);
        return r;
}

void datagram_server_resume(struct datagram_server *server, uint64_t received) {
        accept_credit_resume(&server->credit, control_of(server), received);
}

uint64_t datagram_server_kept_number(const struct datagram_server *server, uint64_t *ret_number) {
        return relay_server_kept_number(&server->server, ret_number);
}

int datagram_server_fd(const struct datagram_server *server) {
        return server->server.fd;
}

void datagram_server_stop(struct datagram_server *server) {
        relay_server_stop(&server->server);
}

struct datagram_server *datagram_server_free(struct datagram_server *server) {
        if (!server)
                return NULL;
        datagram_server_stop(server);
        accept_credit_release(&server->credit, control_of(server));
        free(server);
        return NULL;
}

void datagram_server_set_credit(struct datagram_server *server, uint64_t total) {
        accept_credit_raise(&server->credit, control_of(server), total);
        relay_server_give_credit(&server->server);
}
