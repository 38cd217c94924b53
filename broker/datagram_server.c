/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/datagram_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/accept_credit.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/control.h"
#include "broker/datagram.h"
#include "broker/decision.h"
#include "broker/relay.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"
#include "loop/deadline.h"

/* Peers that wait at the relay for our word, which it gets within a turn of the loop. */
#define WAITING_MAX 256

/* How long nobody new is taken after a shortage that only others can end, and how long a relay that is to come is waited for. */
#define PAUSE_FIRST_MS 20
#define PAUSE_LAST_MS 640

/*
 * What one end of a pair may have under way to the other, by the kernel's count, which is double of what is asked for: a datagram of the largest
 * size fits, and what nobody reads stays small.
 */
#define PAIR_BUFFER 65536

struct datagram_server {
        struct relay_object object;
        struct control *control; /* borrowed */
        int fd;                  /* the bound socket; owned */
        struct accept_credit credit;
        uint64_t announced;     /* peers, by the relay of this moment */
        uint64_t granted;       /* how many it may announce in total */
        struct deadline *pause; /* nobody new meanwhile */
        struct deadline *retry; /* until a relay is looked for again */
        uint64_t pause_ms;      /* how long the next pause is */
        uint64_t retry_ms;
};

/* A peer that is to be taken. */
struct new_peer {
        uint64_t number;
        struct nb_socket_address address;
        struct nb_socket_address local; /* which of our addresses it has sent to */
};

static int server_report(struct relay_object *object, const Nb__Relay__Report *report);
static void server_lost(struct relay_object *object, const char *why);
static void look_for_relay(struct datagram_server *server);

static const struct relay_object_ops server_ops = {
        .report = server_report,
        .lost = server_lost,
};

static struct grant *grant_of(const struct datagram_server *server) {
        return server->control->grant;
}

static struct tenant *tenant_of(const struct datagram_server *server) {
        return server->control->grant->tenant;
}

static struct asker asker_of(const struct datagram_server *server) {
        const struct control *control = server->control;

        return (struct asker){ .session = control->endpoint.session, .grant = control->grant, .type = control->type };
}

static uint64_t doubled(uint64_t ms) {
        return ms < PAUSE_LAST_MS ? 2 * ms : ms;
}

/* ---- orders ---- */

static int order_serve(struct datagram_server *server) {
        const struct policy_protocol *policy = grant_of(server)->policy;
        uint64_t idle_ms = policy ? policy->idle_timeout_ms : POLICY_IDLE_TIMEOUT_DEFAULT_MS;
        uint64_t peers_max = tenant_of(server)->account.limit[ACCOUNT_CONNECTIONS];
        Nb__Relay__Serve serve = NB__RELAY__SERVE__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        serve.server = server->object.number;
        serve.idle_timeout_ms = idle_ms < UINT32_MAX ? (uint32_t)idle_ms : UINT32_MAX;
        serve.waiting_max = WAITING_MAX;
        serve.peers_max = peers_max < UINT32_MAX ? (uint32_t)peers_max : UINT32_MAX;
        order.body_case = NB__RELAY__ORDER__BODY_SERVE;
        order.serve = &serve;
        return relay_order(&server->object, &order, &server->fd, 1);
}

/* Who was refused has used up what the session would have had for another. */
static int order_credit(struct datagram_server *server) {
        uint64_t total = server->announced + (server->credit.total - server->credit.sent);
        Nb__Relay__Credit credit = NB__RELAY__CREDIT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        int r;

        if (server->pause || !server->object.relay || total <= server->granted)
                return 0;
        credit.server = server->object.number;
        credit.total = total;
        order.body_case = NB__RELAY__ORDER__BODY_CREDIT;
        order.credit = &credit;
        r = relay_order(&server->object, &order, NULL, 0);
        if (r == 0)
                server->granted = total;
        return r;
}

/* @param link  0: it is refused, and `pair_fd` is -1 */
static int order_take_peer(struct datagram_server *server, uint64_t number, uint64_t link, int pair_fd) {
        Nb__Relay__TakePeer take = NB__RELAY__TAKE_PEER__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        take.server = server->object.number;
        take.peer = number;
        take.allowed = link != 0;
        take.link = link;
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PEER;
        order.take_peer = &take;
        return relay_order(&server->object, &order, &pair_fd, link != 0 ? 1 : 0);
}

/* ---- a relay for it ---- */

/* Gives the socket to a relay. @return 0 or -errno */
static int serve(struct datagram_server *server) {
        int r = relay_attach(&server->object, &server_ops, tenant_of(server));

        if (r < 0)
                return r;
        server->announced = 0;
        server->granted = 0;
        r = order_serve(server);
        if (r == 0) {
                r = order_credit(server);
                if (r == 0)
                        return 0;
                relay_order_end(&server->object);
        }
        relay_detach(&server->object);
        return r;
}

static void retry(void *data) {
        struct datagram_server *server = data;

        server->retry = deadline_free(server->retry);
        if (serve(server) < 0)
                look_for_relay(server);
}

/* Later, for the one before is just being ended, or none may be started yet. */
static void look_for_relay(struct datagram_server *server) {
        struct broker *broker = tenant_of(server)->broker;

        server->retry = deadline_new(&broker->loop, server->retry_ms, retry, server);
        server->retry_ms = doubled(server->retry_ms);
        if (!server->retry)
                endpoint_end(&server->control->endpoint);
}

static void server_lost(struct relay_object *object, const char *why) {
        (void)why; /* it is logged */
        look_for_relay(nb_container_of(object, struct datagram_server, object));
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

/* @param ret_fd  the guest's end @param ret_relay_fd  both are owned by the caller */
static int make_pair(int *ret_fd, int *ret_relay_fd) {
        int ends[2];
        int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;

        if (r < 0)
                return r;
        *ret_fd = ends[0];
        *ret_relay_fd = ends[1];
        r = set_pair_options(ends[0]);
        return r < 0 ? r : set_pair_options(ends[1]);
}

static int send_accepted(struct datagram_server *server, int fd, const struct new_peer *peer) {
        Nb__Accepted accepted = NB__ACCEPTED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX], local[NB_SOCKET_ADDRESS_TEXT_MAX];

        accepted.number = server->credit.sent + 1;
        accepted.peer = (char *)nb_socket_address_format(&peer->address, text);
        accepted.local = (char *)nb_socket_address_format(&peer->local, local);
        reply.body_case = NB__REPLY__BODY_ACCEPTED;
        reply.accepted = &accepted;
        return endpoint_push(&server->control->endpoint, &reply, fd);
}

/* The connection is registered, and the relay's object of it. */
static int hand_out(struct datagram_server *server, const struct new_peer *peer, struct connection *connection, int fd,
                    int relay_fd) {
        /* Too many orders wait: that will be over in a moment, unlike a session that does not read. */
        int r = order_take_peer(server, peer->number, connection->relayed.number, relay_fd) < 0 ? -ENOBUFS : 0;

        if (r == 0) {
                r = send_accepted(server, fd, peer);
                if (r == 0)
                        return 0;
                relay_order_end(&connection->relayed);
        }
        connection_forget(connection, fd);
        return r;
}

static int push(struct datagram_server *server, const struct new_peer *peer) {
        struct relay_object object = { 0 };
        struct connection_facts facts = {
                .session = server->control->endpoint.session,
                .grant = grant_of(server),
                .verb = POLICY_ACCEPT,
                .type = POLICY_SOCKET_DGRAM,
                .peer = &peer->address,
                .pair_local = &peer->local,
                .bind = &server->control->bind,
                .relayed = &object,
        };
        NB_CLEANUP_FD int fd = -1;
        NB_CLEANUP_FD int relay_fd = -1;
        struct connection *connection;
        int r = make_pair(&fd, &relay_fd);

        if (r == 0)
                r = relay_attach_beside(&object, &server->object);
        if (r < 0)
                return r;
        r = connection_register(&facts, fd, &connection);
        if (r < 0) {
                relay_detach(&object);
                return r;
        }
        return hand_out(server, peer, connection, fd, relay_fd);
}

static int push_charged(struct datagram_server *server, const struct new_peer *peer) {
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

static void resume(void *data) {
        struct datagram_server *server = data;

        server->pause = deadline_free(server->pause);
        (void)order_credit(server);
}

/* Its next datagram announces a peer again. */
static void pause_for_a_moment(struct datagram_server *server) {
        if (!server->pause)
                server->pause = deadline_new(&tenant_of(server)->broker->loop, server->pause_ms, resume, server);
        server->pause_ms = doubled(server->pause_ms);
}

/* Whether the session is not there any more, or does not read; of anything else there may be more in a moment. */
static bool is_lost(int error) {
        return error == -EPIPE || error == -ECONNRESET || error == -EAGAIN;
}

static int take_peer(struct datagram_server *server, const struct new_peer *peer) {
        int r = push_charged(server, peer);

        if (r == 0) {
                server->pause_ms = PAUSE_FIRST_MS;
                return 0;
        }
        if (is_lost(r)) {
                endpoint_end(&server->control->endpoint);
                return 0;
        }
        pause_for_a_moment(server);
        (void)order_take_peer(server, peer->number, 0, -1);
        return 0;
}

static bool is_allowed(const struct datagram_server *server, const struct nb_socket_address *peer) {
        struct asker asker = asker_of(server);
        struct policy_verdict verdict;

        decide(&asker, POLICY_ACCEPT, peer, NULL, &verdict);
        return verdict.allowed;
}

/* ---- reports ---- */

/* What the relay says is read as a stranger's word: an address of the family that the socket has. */
static int parse_peer(const struct datagram_server *server, const Nb__Relay__NewPeer *new_peer, struct new_peer *ret) {
        struct new_peer peer = { .number = new_peer->peer, .local = server->control->bind };
        bool is_unix = peer.local.family == AF_UNIX;

        if (nb_socket_address_parse(new_peer->address, strlen(new_peer->address), &peer.address) < 0 ||
            (peer.address.family == AF_UNIX) != is_unix)
                return -EPROTO;
        nb_socket_address_unmap(&peer.address);
        if (is_unix && unix_path_is_by_proc(&peer.address.un))
                peer.address.un = (struct nb_unix_name){ .length = 0 };
        if (new_peer->local[0] != '\0') {
                if (is_unix || nb_ip_parse(new_peer->local, strlen(new_peer->local), &peer.local.ip.ip) < 0)
                        return -EPROTO;
                peer.local.family = peer.local.ip.ip.family;
        }
        *ret = peer;
        return 0;
}

static int report_new_peer(struct datagram_server *server, const Nb__Relay__NewPeer *new_peer) {
        struct new_peer peer;

        if (new_peer->peer != server->announced + 1 || server->announced == server->granted ||
            parse_peer(server, new_peer, &peer) < 0)
                return -EPROTO;
        server->announced++;
        server->retry_ms = PAUSE_FIRST_MS; /* it works */
        if (is_allowed(server, &peer.address))
                return take_peer(server, &peer);
        (void)order_take_peer(server, peer.number, 0, -1);
        (void)order_credit(server);
        return 0;
}

static int server_report(struct relay_object *object, const Nb__Relay__Report *report) {
        struct datagram_server *server = nb_container_of(object, struct datagram_server, object);

        switch (report->body_case) {
        case NB__RELAY__REPORT__BODY_NEW_PEER:
                return report_new_peer(server, report->new_peer);
        case NB__RELAY__REPORT__BODY_PEER_GONE:
                return 0; /* it was taken meanwhile, and its link's end comes too */
        case NB__RELAY__REPORT__BODY_ENDED:
                relay_detach(object);
                look_for_relay(server);
                return 0;
        default:
                return -EPROTO;
        }
}

/* ---- beginning and end ---- */

/* Why a relay could not be started is in the log; to the guest it is something that there is not. */
static int why_not_served(const struct datagram_server *server, int error) {
        const struct asker asker = asker_of(server);

        if (error == -EAGAIN)
                return error;
        decision_record_failure(&asker, "listen", &server->control->bind,
                                "datagram servers need netbroker-relay, which could not be started");
        return -EOPNOTSUPP;
}

int datagram_server_new(struct control *control, int fd, uint64_t received, struct datagram_server **ret) {
        NB_CLEANUP_FREE struct datagram_server *server = calloc(1, sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        server->control = control;
        server->fd = fd;
        server->pause_ms = PAUSE_FIRST_MS;
        server->retry_ms = PAUSE_FIRST_MS;
        accept_credit_init(&server->credit, received);
        r = datagram_let_in(fd, &control->bind);
        if (r < 0)
                return r;
        r = serve(server);
        if (r < 0)
                return why_not_served(server, r);
        *ret = nb_steal_ptr(server);
        return 0;
}

void datagram_server_stop(struct datagram_server *server) {
        relay_order_end(&server->object);
        relay_detach(&server->object);
        server->pause = deadline_free(server->pause);
        server->retry = deadline_free(server->retry);
        server->fd = nb_channel_fd_close(server->fd);
}

struct datagram_server *datagram_server_free(struct datagram_server *server) {
        if (!server)
                return NULL;
        datagram_server_stop(server);
        accept_credit_release(&server->credit, server->control);
        free(server);
        return NULL;
}

int datagram_server_set_credit(struct datagram_server *server, uint64_t total) {
        accept_credit_raise(&server->credit, server->control, total);
        /* What cannot be said now is said with the next credit. */
        (void)order_credit(server);
        return 0;
}
