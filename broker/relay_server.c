/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "broker/broker.h"
#include "broker/control.h"
#include "broker/datagram.h"
#include "broker/decision.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"
#include "loop/deadline.h"

/* How long nobody new is taken after a shortage that only others can end, and how long a relay that is to come is waited for. */
#define PAUSE_FIRST_MS 20
#define PAUSE_LAST_MS 640

static int server_report(struct relay_object *object, const Nb__Relay__Report *report);
static int server_facts(struct relay_object *object, const Nb__Relay__QuicServerFacts *facts);
static void server_lost(struct relay_object *object, const char *why);
static void look_for_relay(struct relay_server *server);

static const struct relay_object_ops object_ops = {
        .report = server_report,
        .server_facts = server_facts,
        .lost = server_lost,
};

static struct tenant *tenant_of(const struct relay_server *server) {
        return server->control->grant->tenant;
}

struct asker relay_server_asker(const struct relay_server *server) {
        return control_asker(server->control);
}

static uint64_t doubled(uint64_t ms) {
        return ms < PAUSE_LAST_MS ? 2 * ms : ms;
}

/* ---- orders ---- */

/* Who was refused has used up what the session would have had for another. What cannot be said now is said in a moment. */
void relay_server_give_credit(struct relay_server *server) {
        Nb__Relay__Credit credit = NB__RELAY__CREDIT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        uint64_t total;

        if (server->pause || !server->object.relay)
                return;
        total = server->announced + server->ops->room(server);
        if (total <= server->granted)
                return;
        credit.server = server->object.number;
        credit.total = total;
        order.body_case = NB__RELAY__ORDER__BODY_CREDIT;
        order.credit = &credit;
        if (relay_order(&server->object, &order, NULL, 0) == 0)
                server->granted = total;
        else
                relay_server_pause(server);
}

static void refuse_peer(struct relay_server *server, uint64_t number) {
        Nb__Relay__TakePeer take = NB__RELAY__TAKE_PEER__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        take.server = server->object.number;
        take.peer = number;
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PEER;
        order.take_peer = &take;
        (void)relay_order(&server->object, &order, NULL, 0);
}

/* ---- a relay for it ---- */

/* Gives the socket to a relay. @return 0 or -errno */
static int serve(struct relay_server *server) {
        int r = relay_attach(&server->object, &object_ops, tenant_of(server));

        if (r < 0)
                return r;
        server->announced = 0;
        server->granted = 0;
        r = server->ops->serve(server);
        if (r < 0)
                relay_detach(&server->object);
        else
                relay_server_give_credit(server);
        return r;
}

static void retry(void *data) {
        struct relay_server *server = data;

        server->retry = deadline_free(server->retry);
        if (serve(server) < 0)
                look_for_relay(server);
        else
                control_keep(server->control);
}

/* Later, for the one before is just being ended, or none may be started yet. */
static void look_for_relay(struct relay_server *server) {
        struct broker *broker = tenant_of(server)->broker;

        server->retry = deadline_new(&broker->loop, server->retry_ms, retry, server);
        server->retry_ms = doubled(server->retry_ms);
        if (!server->retry)
                endpoint_end(&server->control->endpoint);
}

static void server_lost(struct relay_object *object, const char *why) {
        (void)why; /* it is logged */
        look_for_relay(nb_container_of(object, struct relay_server, object));
}

/* ---- peers ---- */

static void resume(void *data) {
        struct relay_server *server = data;

        server->pause = deadline_free(server->pause);
        relay_server_give_credit(server);
        if (server->ops->resumed)
                server->ops->resumed(server);
}

/* What a peer sends next announces it again. */
void relay_server_pause(struct relay_server *server) {
        if (server->pause)
                return;
        server->pause = deadline_new(&tenant_of(server)->broker->loop, server->pause_ms, resume, server);
        server->pause_ms = doubled(server->pause_ms);
}

/* Whether the session is not there any more, or does not read; of anything else there may be more in a moment. */
static bool is_lost(int error) {
        return error == -EPIPE || error == -ECONNRESET || error == -EAGAIN;
}

static void take_peer(struct relay_server *server, const struct relay_peer *peer) {
        int r = server->ops->take(server, peer);

        if (r == 0) {
                server->pause_ms = PAUSE_FIRST_MS;
                return;
        }
        if (is_lost(r)) {
                endpoint_end(&server->control->endpoint);
                return;
        }
        relay_server_pause(server);
        refuse_peer(server, peer->number);
}

static bool is_allowed(const struct relay_server *server, const struct nb_socket_address *peer) {
        struct asker asker = relay_server_asker(server);
        struct policy_verdict verdict;

        decide(&asker, POLICY_ACCEPT, peer, NULL, &verdict);
        return verdict.allowed;
}

/* ---- reports ---- */

/* What the relay says is read as a stranger's word: an address of the family that the socket has. */
static int parse_peer(const struct relay_server *server, const Nb__Relay__NewPeer *new_peer, struct relay_peer *ret) {
        struct relay_peer peer = { .number = new_peer->peer, .local = server->control->bind };
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
                nb_socket_address_unmap(&peer.local);
        }
        *ret = peer;
        return 0;
}

static int report_new_peer(struct relay_server *server, const Nb__Relay__NewPeer *new_peer) {
        struct relay_peer peer;

        if (new_peer->peer != server->announced + 1 || server->announced == server->granted ||
            parse_peer(server, new_peer, &peer) < 0)
                return -EPROTO;
        server->announced++;
        server->retry_ms = PAUSE_FIRST_MS; /* it works */
        if (is_allowed(server, &peer.address)) {
                take_peer(server, &peer);
                return 0;
        }
        refuse_peer(server, peer.number);
        relay_server_give_credit(server);
        return 0;
}

static int server_report(struct relay_object *object, const Nb__Relay__Report *report) {
        struct relay_server *server = nb_container_of(object, struct relay_server, object);

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

static int server_facts(struct relay_object *object, const Nb__Relay__QuicServerFacts *facts) {
        struct relay_server *server = nb_container_of(object, struct relay_server, object);

        return server->ops->facts ? server->ops->facts(server, facts) : -EPROTO;
}

/* ---- beginning and end ---- */

/* Why a relay could not be started is in the log; to the guest it is something that there is not. */
static int why_not_served(const struct relay_server *server, int error) {
        const struct asker asker = relay_server_asker(server);
        char reason[96];

        if (error == -EAGAIN || error == -EKEYREJECTED)
                return error;
        (void)snprintf(reason, sizeof(reason), "%s need netbroker-relay, which could not be started",
                       server->ops->what);
        decision_record_failure(&asker, "listen", &server->control->bind, reason);
        return -EOPNOTSUPP;
}

int relay_server_start(struct relay_server *server, const struct relay_server_ops *ops, struct control *control,
                       int fd) {
        int r = datagram_let_in(fd, &control->bind);

        if (r < 0)
                return r;
        *server = (struct relay_server){
                .ops = ops, .control = control, .fd = fd, .pause_ms = PAUSE_FIRST_MS, .retry_ms = PAUSE_FIRST_MS
        };
        r = serve(server);
        if (r < 0) {
                server->fd = -1;
                return why_not_served(server, r);
        }
        return 0;
}

int relay_server_restore(struct relay_server *server, const struct relay_server_ops *ops, struct control *control,
                         int fd, uint64_t relay, uint64_t number) {
        int r;

        *server = (struct relay_server){
                .ops = ops, .control = control, .fd = -1, .pause_ms = PAUSE_FIRST_MS, .retry_ms = PAUSE_FIRST_MS
        };
        r = relay_reattach(&server->object, &object_ops, tenant_of(server), relay, number);
        if (r == 0)
                server->fd = fd;
        return r;
}

uint64_t relay_server_kept_number(const struct relay_server *server, uint64_t *ret_number) {
        uint64_t relay = relay_kept_number(&server->object);

        *ret_number = relay != 0 ? server->object.number : 0;
        return relay;
}

void relay_server_stop(struct relay_server *server) {
        (void)relay_order_end(&server->object);
        relay_detach(&server->object);
        server->pause = deadline_free(server->pause);
        server->retry = deadline_free(server->retry);
        server->fd = nb_channel_fd_close(server->fd);
}
