/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/quic_server.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "broker/accept_credit.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/control.h"
#include "broker/handshakes.h"
#include "broker/quic_order.h"
#include "broker/quota.h"
#include "broker/relay_context.h"
#include "broker/relay_server.h"
#include "broker/session.h"
#include "broker/tenant.h"

/* Clients that a relay may announce ahead: each is answered within a turn of the loop. */
#define AHEAD 64

/* What was told of the server and is counted, as struct QuicServerFacts of relay.proto. */
struct totals {
        uint64_t retries;
        uint64_t bad_tokens;
        uint64_t version_negotiations;
        uint64_t stateless_resets;
        uint64_t packets_dropped;
        uint64_t refused;
};

struct quic_server {
        struct relay_server server;
        struct handshakes handshakes;
        struct accept_credit credit;
        uint64_t policy_generation; /* that Serve has told the relay of */
        struct totals told;         /* by the relay of this moment */
        bool was_restored;          /* so what it tells first was counted by the broker before */
};

static struct quic_server *of(struct relay_server *server) {
        return nb_container_of(server, struct quic_server, server);
}

static const struct grant *grant_of(const struct quic_server *server) {
        return server->server.control->grant;
}

static struct tenant *tenant_of(const struct quic_server *server) {
        return grant_of(server)->tenant;
}

/* ---- orders ---- */

/* What connections of the server may, by the policy of this moment. */
struct draft {
        Nb__Relay__Quic quic;
        struct relay_context_ids contexts;
        uint32_t handshake_timeout_ms;
};

static int draft_by_policy(struct quic_server *server, struct draft *ret) {
        const struct policy_protocol *policy = grant_of(server)->policy;
        struct broker *broker = tenant_of(server)->broker;
        int r;

        /* With Existing=keep the listener is still there; there is nothing to serve by. */
        if (!policy || !policy_is_quic(policy))
                return -EACCES;
        r = relay_context_for(&server->server.object, broker, policy, &ret->contexts);
        if (r < 0)
                return r;
        quic_order_fill(policy, server->server.control->type, &ret->quic);
        ret->handshake_timeout_ms = quic_order_cap(policy->handshake_timeout_ms);
        return 0;
}

static int order_serve(struct relay_server *relay_server) {
        struct quic_server *server = of(relay_server);
        Nb__Relay__Serve serve = NB__RELAY__SERVE__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        struct draft draft;
        int r = draft_by_policy(server, &draft);

        if (r < 0)
                return r;
        serve.server = relay_server->object.number;
        serve.idle_timeout_ms = draft.quic.idle_timeout_ms;
        serve.waiting_max = RELAY_SERVER_WAITING_MAX;
        serve.peers_max = quic_order_cap(tenant_of(server)->account.limit[ACCOUNT_CONNECTIONS]);
        serve.quic = &draft.quic;
        serve.tls_context = draft.contexts.tls;
        serve.handshake_timeout_ms = draft.handshake_timeout_ms;
        order.body_case = NB__RELAY__ORDER__BODY_SERVE;
        order.serve = &serve;
        server->told = (struct totals){ 0 };
        server->was_restored = false;
        server->policy_generation = tenant_of(server)->broker->policy_generation;
        return relay_order(&relay_server->object, &order, &relay_server->fd, 1);
}

/*
 * Too many orders wait: that will be over in a moment, unlike a session that does not read.
 *
 * After a reload each says what holds, like the Begin of others. Told once, it would not hold if that order could not be sent, or if the relay could
 * not use its files: then those behind it would be taken by the policy before.
 */
static int order_take(struct relay_server *relay_server, uint64_t number, struct relay_object *link, int channel_fd) {
        struct quic_server *server = of(relay_server);
        Nb__Relay__TakePeer take = NB__RELAY__TAKE_PEER__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        struct draft draft;

        take.server = relay_server->object.number;
        take.peer = number;
        take.allowed = true;
        take.link = link->number;
        if (server->policy_generation != tenant_of(server)->broker->policy_generation) {
                if (draft_by_policy(server, &draft) < 0)
                        return -EACCES;
                take.quic = &draft.quic;
                take.tls_context = draft.contexts.tls;
                take.handshake_timeout_ms = draft.handshake_timeout_ms;
        }
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PEER;
        order.take_peer = &take;
        return relay_order(link, &order, &channel_fd, 1) < 0 ? -ENOBUFS : 0;
}

/* ---- clients ---- */

/* Those that are ready, and not pushed yet, have credit in mind already. */
static bool may_accept(const struct quic_server *server) {
        return server->credit.sent + server->handshakes.n_ready < server->credit.total;
}

/* Where the tenant has no place or no room, others must give some back: that is looked for in a moment. */
static uint64_t room(struct relay_server *relay_server) {
        const struct quic_server *server = of(relay_server);
        uint64_t places = account_room(&tenant_of(server)->account, ACCOUNT_HANDSHAKES);

        if (!may_accept(server))
                return 0;
        if (places == 0 || connection_check_room(tenant_of(server)) < 0) {
                relay_server_pause(relay_server);
                return 0;
        }
        return places < AHEAD ? places : AHEAD;
}

static int take(struct relay_server *relay_server, const struct relay_peer *peer) {
        struct quic_server *server = of(relay_server);
        int r = connection_check_room(tenant_of(server));

        if (r == 0)
                r = quota_claim(tenant_of(server), ACCOUNT_HANDSHAKES);
        if (r < 0)
                return r;
        r = handshakes_start_peer(&server->handshakes, relay_server, peer, order_take);
        if (r == 0)
                relay_server_give_credit(relay_server);
        return r;
}

/* Those that are ready have their places already, so they do not wait for who lacks one. @return 0; -EPIPE */
static int push_ready(struct quic_server *server) {
        int r = 0;

        while (r == 0 && server->handshakes.n_ready > 0 && accept_credit_is_left(&server->credit))
                r = handshakes_push(&server->handshakes, &server->credit);
        if (r != -ENOBUFS)
                return r;
        relay_server_pause(&server->server);
        return 0;
}

/* May end the control, and the server with it. */
static void go_on(struct quic_server *server) {
        relay_server_give_credit(&server->server);
        if (push_ready(server) < 0)
                endpoint_end(&server->server.control->endpoint);
}

static void resumed(struct relay_server *relay_server) {
        go_on(of(relay_server));
}

static void handshake_over(void *data) {
        go_on(data);
}

/* ---- facts ---- */

/* Totals that become less count for nothing. */
static void add_grown(uint64_t *counter, uint64_t *told, uint64_t now) {
        if (now > *told)
                *counter += now - *told;
        *told = now;
}

static int take_facts(struct relay_server *relay_server, const Nb__Relay__QuicServerFacts *facts) {
        struct totals *told = &of(relay_server)->told;
        struct quic_metrics *metrics = &tenant_of(of(relay_server))->metrics.quic, unused = { 0 };

        if (of(relay_server)->was_restored) {
                of(relay_server)->was_restored = false;
                metrics = &unused;
        }
        add_grown(&metrics->retries, &told->retries, facts->retries);
        add_grown(&metrics->bad_tokens, &told->bad_tokens, facts->bad_tokens);
        add_grown(&metrics->version_negotiations, &told->version_negotiations, facts->version_negotiations);
        add_grown(&metrics->stateless_resets, &told->stateless_resets, facts->stateless_resets);
        add_grown(&metrics->packets_dropped, &told->packets_dropped, facts->packets_dropped);
        add_grown(&metrics->clients_refused, &told->refused, facts->refused);
        return 0;
}

/* ---- beginning and end ---- */

static const struct relay_server_ops ops = {
        .what = "servers of QUIC",
        .serve = order_serve,
        .room = room,
        .take = take,
        .resumed = resumed,
        .facts = take_facts,
};

int quic_server_new(struct control *control, int fd, uint64_t received, struct quic_server **ret) {
        NB_CLEANUP_FREE struct quic_server *server = calloc(1, sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        accept_credit_init(&server->credit, received);
        handshakes_init(&server->handshakes, control, handshake_over, server);
        r = relay_server_start(&server->server, &ops, control, fd);
        if (r < 0)
                return r;
        *ret = nb_steal_ptr(server);
        return 0;
}

int quic_server_restore(struct control *control, int fd, uint64_t relay, uint64_t number, struct quic_server **ret) {
        NB_CLEANUP_FREE struct quic_server *server = calloc(1, sizeof(*server));
        int r = server ? relay_server_restore(&server->server, &ops, control, fd, relay, number) : -ENOMEM;

        if (r < 0)
                return r;
        handshakes_init(&server->handshakes, control, handshake_over, server);
        /* What Serve has said was the policy of another broker. */
        server->policy_generation = UINT64_MAX;
        server->was_restored = true;
        *ret = nb_steal_ptr(server);
        return 0;
}

void quic_server_resume(struct quic_server *server, uint64_t received) {
        accept_credit_resume(&server->credit, server->server.control, received);
}

uint64_t quic_server_kept_number(const struct quic_server *server, uint64_t *ret_number) {
        return relay_server_kept_number(&server->server, ret_number);
}

int quic_server_fd(const struct quic_server *server) {
        return server->server.fd;
}

void quic_server_stop(struct quic_server *server) {
        handshakes_deinit(&server->handshakes);
        relay_server_stop(&server->server);
}

struct quic_server *quic_server_free(struct quic_server *server) {
        if (!server)
                return NULL;
        quic_server_stop(server);
        accept_credit_release(&server->credit, server->server.control);
        free(server);
        return NULL;
}

int quic_server_set_credit(struct quic_server *server, uint64_t total) {
        accept_credit_raise(&server->credit, server->server.control, total);
        relay_server_give_credit(&server->server);
        return push_ready(server);
}

void quic_server_policy_changed(struct quic_server *server) {
        handshakes_judge(&server->handshakes);
}
