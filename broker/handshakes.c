/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handshakes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/accept_credit.h"
#include "broker/accepted.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/control.h"
#include "broker/decision.h"
#include "broker/quota.h"
#include "broker/relay_server.h"
#include "broker/relayed.h"
#include "broker/security.h"
#include "broker/session.h"
#include "broker/tenant.h"

static void handshake_free(struct handshake *handshake) {
        nb_list_remove(&handshake->link);
        handshake->relayed = relayed_free(handshake->relayed);
        /* The end of a pair never lingers. */
        handshake->fd = handshake->is_relayed ? nb_fd_close(handshake->fd) : nb_channel_fd_close(handshake->fd);
        handshake->security = security_free(handshake->security);
        account_release(&handshake->owner->control->grant->tenant->account, ACCOUNT_HANDSHAKES, 1);
        free(handshake);
}

void handshakes_init(struct handshakes *handshakes, struct control *control, handshakes_function function, void *data) {
        *handshakes = (struct handshakes){ .control = control, .function = function, .data = data };
        nb_list_init(&handshakes->underway);
        nb_list_init(&handshakes->ready);
}

/* Takes one that is ready from the list and frees it. */
static void drop(struct handshake *handshake) {
        handshake->owner->n_ready--;
        handshake_free(handshake);
}

void handshakes_deinit(struct handshakes *handshakes) {
        nb_list_foreach_safe(link, &handshakes->underway) handshake_free(nb_container_of(link, struct handshake, link));
        nb_list_foreach_safe(other, &handshakes->ready) drop(nb_container_of(other, struct handshake, link));
}

/* ---- ready ---- */

static int register_connection(struct handshake *handshake, const struct relayed_result *result, int socket_fd) {
        const struct control *control = handshake->owner->control;
        struct connection_facts facts = {
                .session = control->endpoint.session,
                .grant = control->grant,
                .narrowings = control->narrowings,
                .verb = POLICY_ACCEPT,
                .type = control->type,
                .peer = result->peer,
                .via = result->via,
                .bind = &control->bind,
                .relayed = result->object,
                .security = result->security,
                .is_quic = handshake->is_quic,
                .pair_local = handshake->is_quic ? &handshake->local : NULL,
        };
        struct connection *connection;
        int r = connection_register(&facts, socket_fd, &connection);

        if (r < 0)
                return r;
        handshake->local = connection->local;
        /* A descriptor of the socket itself knows it. */
        if (!result->object)
                handshake->local = (struct nb_socket_address){ .family = AF_UNIX };
        return 0;
}

static int become_ready(struct handshake *handshake, struct relayed_result *result) {
        NB_CLEANUP_CHANNEL_FD int socket_fd = result->socket_fd;
        NB_CLEANUP_CHANNEL_FD int fd = result->fd;
        int r;

        handshake->peer = *result->peer;
        handshake->is_relayed = result->object != NULL;
        if (result->via)
                handshake->via = *result->via;
        handshake->security = security_copy(result->security);
        if (result->security && !handshake->security)
                return -ENOMEM;
        /* Clients of QUIC have no socket of their own. */
        r = register_connection(handshake, result, socket_fd >= 0 || handshake->is_quic ? socket_fd : fd);
        if (r < 0)
                return r;
        handshake->fd = nb_steal_fd(&fd);
        return 0;
}

static void record_failure(const struct handshake *handshake, int r) {
        struct asker asker = control_asker(handshake->owner->control);

        decision_record_failure(&asker, "accept", &handshake->peer, strerror(-r));
}

static void move_to_ready(struct handshake *handshake) {
        struct handshakes *owner = handshake->owner;

        handshake->relayed = relayed_free(handshake->relayed);
        nb_list_remove(&handshake->link);
        nb_list_append(&owner->ready, &handshake->link);
        owner->n_ready++;
}

/* What failed before is recorded by broker/relayed.c. */
static void done(void *data, int error, struct relayed_result *result) {
        struct handshake *handshake = data;
        struct handshakes *owner = handshake->owner;
        int r = error;

        if (error == 0) {
                r = become_ready(handshake, result);
                if (r < 0)
                        record_failure(handshake, r);
        }
        if (r < 0)
                handshake_free(handshake);
        else
                move_to_ready(handshake);
        owner->function(owner->data);
}

/* ---- for others ---- */

static struct handshake *handshake_new(struct handshakes *handshakes, const struct nb_socket_address *peer) {
        struct handshake *handshake = calloc(1, sizeof(*handshake));

        if (!handshake) {
                account_release(&handshakes->control->grant->tenant->account, ACCOUNT_HANDSHAKES, 1);
                return NULL;
        }
        nb_list_init(&handshake->link);
        handshake->owner = handshakes;
        handshake->fd = -1;
        handshake->peer = *peer;
        return handshake;
}

static struct relayed_options options_of(struct handshake *handshake) {
        const struct control *control = handshake->owner->control;

        return (struct relayed_options){
                .asker = control_asker(control),
                .verb = POLICY_ACCEPT,
                .peer = &handshake->peer,
                .timeout_ms = control->grant->policy ? control->grant->policy->handshake_timeout_ms : 0,
                .function = done,
                .data = handshake,
        };
}

/* @param fd  as relayed_start() */
static int start(struct handshake *handshake, const struct relayed_options *options, int fd) {
        struct relayed_result result;
        bool is_there = false;
        int r = relayed_start(options, fd, &handshake->relayed);

        if (r == 0)
                is_there = relayed_take(handshake->relayed, &result);
        if (is_there)
                r = become_ready(handshake, &result);
        if (r < 0)
                handshake_free(handshake);
        else if (is_there)
                move_to_ready(handshake);
        else
                nb_list_append(&handshake->owner->underway, &handshake->link);
        return r;
}

int handshakes_start(struct handshakes *handshakes, int fd, const struct nb_socket_address *peer) {
        struct handshake *handshake = handshake_new(handshakes, peer);
        struct relayed_options options;

        if (!handshake) {
                (void)nb_channel_fd_close(fd);
                return -ENOMEM;
        }
        options = options_of(handshake);
        return start(handshake, &options, fd);
}

int handshakes_start_peer(struct handshakes *handshakes, struct relay_server *server, const struct relay_peer *peer,
                          relayed_take_function take) {
        struct handshake *handshake = handshake_new(handshakes, &peer->address);
        struct relayed_options options;

        if (!handshake)
                return -ENOMEM;
        handshake->is_quic = true;
        handshake->local = peer->local;
        options = options_of(handshake);
        options.server = server;
        options.number = peer->number;
        options.take = take;
        return start(handshake, &options, -1);
}

/* ---- pushing ---- */

static int send_accepted(const struct handshake *handshake, uint64_t number) {
        struct control *control = handshake->owner->control;
        char local[NB_SOCKET_ADDRESS_TEXT_MAX];
        const struct accepted accepted = {
                .number = number,
                .fd = handshake->fd,
                .peer = &handshake->peer,
                .local = control_relayed_local_text(control, &handshake->local, local),
                .security = handshake->security,
                .multiplexed = handshake->is_quic,
        };

        return accepted_push(control, &accepted);
}

int handshakes_push(struct handshakes *handshakes, struct accept_credit *credit) {
        struct handshake *handshake = nb_container_of(handshakes->ready.next, struct handshake, link);
        struct tenant *tenant = handshakes->control->grant->tenant;
        int r = quota_claim(tenant, ACCOUNT_IN_FLIGHT);

        if (r < 0)
                return -ENOBUFS;
        r = send_accepted(handshake, credit->sent + 1);
        if (r < 0) {
                account_release(&tenant->account, ACCOUNT_IN_FLIGHT, 1);
                return nb_is_shortage(r) ? -ENOBUFS : -EPIPE;
        }
        drop(handshake);
        credit->sent++;
        return 0;
}

/* ---- a new policy ---- */

/* It is judged as a connection is that was handed out: who it is, who says so, and the way that it goes. */
static bool ready_is_granted(const struct handshake *handshake) {
        const struct grant *grant = handshake->owner->control->grant;
        const struct policy_made made = {
                .verb = POLICY_ACCEPT,
                .is_relayed = handshake->is_relayed,
                .is_sealed = control_is_sealed(handshake->owner->control),
                .has_tls = handshake->security != NULL,
                .is_quic = handshake->is_quic,
        };

        if (!grant->policy || !policy_bears(grant->policy, &made))
                return false;
        if (handshake->via.family != 0 && !decision_still_grants(grant, POLICY_ACCEPT, NULL, &handshake->via))
                return false;
        return decision_still_grants(grant, POLICY_ACCEPT, NULL, &handshake->peer);
}

void handshakes_judge(struct handshakes *handshakes) {
        nb_list_foreach_safe(link, &handshakes->underway) {
                struct handshake *handshake = nb_container_of(link, struct handshake, link);

                if (!relayed_is_granted(handshake->relayed))
                        handshake_free(handshake);
        }
        nb_list_foreach_safe(other, &handshakes->ready) {
                struct handshake *handshake = nb_container_of(other, struct handshake, link);

                if (!ready_is_granted(handshake))
                        drop(handshake);
        }
}
