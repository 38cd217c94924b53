/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/control_parts.h"

#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/decision.h"
#include "broker/refusal.h"
#include "broker/relayed.h"
#include "broker/security.h"
#include "broker/session.h"
#include "broker/tenant.h"

/* Connect, of control_connect.c: what was dialled, and maybe taken through proxies, goes through a relay where it must, and to the guest. */

static void note_connected(struct control *control) {
        bool is_first = !control->has_connected;

        control->has_connected = true;
        if (is_first)
                control_keep(control);
        control->grant->tenant->metrics.connects_done++;
}

/* What the guest gets, and what it is registered by. All borrowed. */
struct outcome {
        int fd;        /* the guest's */
        int socket_fd; /* the peer's socket; the same where that is the guest's */
        const struct nb_socket_address *peer;
        const struct nb_socket_address *via; /* as of struct connection_facts */
        const char *name;                    /* that was asked for, with its port; NULL for an address */
        struct relay_object *relayed;        /* NULL: it is in no relay */
        const Nb__Relay__Security *security; /* NULL: none */
        const struct policy_proxy *proxy;    /* NULL: none */
};

/* Sends the socket; the entry that it has in the account goes again if it could not be sent. */
static int hand_out(struct control *control, const Nb__Reply *reply, const struct outcome *outcome,
                    struct connection *connection) {
        int r = endpoint_reply(&control->endpoint, reply, outcome->fd);

        if (r == 0)
                note_connected(control);
        else
                connection_forget(connection, outcome->socket_fd);
        return r == -ETOOMANYREFS ? endpoint_refuse(&control->endpoint, NB_WASI_ENFILE, NULL) : r;
}

static int answer_connected(struct control *control, const struct outcome *outcome, struct connection *connection) {
        char text[NB_SOCKET_ADDRESS_TEXT_MAX], local[NB_SOCKET_ADDRESS_TEXT_MAX];
        Nb__Connected connected = NB__CONNECTED__INIT;
        struct security_view security;
        Nb__Reply reply = NB__REPLY__INIT;

        /* Where the proxy resolves, nobody here knows the address. */
        connected.peer =
                (char *)(outcome->peer->family != 0 ? nb_socket_address_format(outcome->peer, text) : outcome->name);
        connected.local = (char *)(outcome->relayed ? control_relayed_local_text(control, &connection->local, local)
                                                    : control_local_text(control, local));
        connected.security = security_view(&security, outcome->security);
        connected.multiplexed = control->is_quic;
        reply.body_case = NB__REPLY__BODY_CONNECTED;
        reply.connected = &connected;
        return hand_out(control, &reply, outcome, connection);
}

static int register_and_answer(struct control *control, const struct outcome *outcome) {
        struct connection_facts facts = {
                .session = control->endpoint.session,
                .grant = control->grant,
                .narrowings = control->narrowings,
                .verb = POLICY_CONNECT,
                .type = control->type,
                .peer = outcome->peer,
                .via = outcome->via,
                .bind = control->bind_is_open ? NULL : &control->bind,
                .name = outcome->name,
                .relayed = outcome->relayed,
                .security = outcome->security,
                .proxy = outcome->proxy,
                .is_quic = control->is_quic,
        };
        struct connection *connection;
        int r = connection_register(&facts, outcome->socket_fd, &connection);

        return r < 0 ? control_refuse_errno(control, "connect", outcome->peer, r)
                     : answer_connected(control, outcome, connection);
}

void control_end_if_failed(struct control *control, int r) {
        if (r < 0)
                endpoint_end(&control->endpoint);
}

int control_answer_failed(struct control *control, const struct nb_socket_address *peer, int r) {
        control->grant->tenant->metrics.connects_failed++;
        return control_refuse_errno(control, "connect", peer, r);
}

/* ---- through a relay ---- */

int control_answer_relayed(struct control *control, int r, struct relayed_result *result) {
        /* Where the relay has stepped out, the socket is the guest's; the end of a pair never lingers. */
        NB_CLEANUP_CHANNEL_FD int socket_fd = result->object ? result->socket_fd : result->fd;
        NB_CLEANUP_FD int pair_fd = result->object ? result->fd : -1;
        const struct outcome outcome = {
                .fd = result->object ? pair_fd : socket_fd,
                .socket_fd = socket_fd,
                .peer = result->peer,
                .via = result->via,
                .name = result->name,
                .relayed = result->object,
                .security = result->security,
                .proxy = result->proxy,
        };

        if (r == 0)
                return register_and_answer(control, &outcome);
        control->grant->tenant->metrics.connects_failed++;
        return endpoint_refuse(&control->endpoint, nb_wasi_errno_from_host(-r), result->reason);
}

static int finish_relaying(struct control *control, int error, struct relayed_result *result) {
        struct relayed *relayed = control->relaying;
        int r;

        control->relaying = NULL;
        control_set_state(control, CONTROL_IDLE);
        r = control_answer_relayed(control, error, result);
        /* Only now: the result's texts are its own. */
        (void)relayed_free(relayed);
        return r;
}

static void relayed(void *data, int error, struct relayed_result *result) {
        struct control *control = data;

        control_end_if_failed(control, finish_relaying(control, error, result));
}

uint64_t control_time_left(const struct control *control) {
        uint64_t gone_ms = (uv_hrtime() - control->connecting_since_ns) / 1000000;
        uint64_t timeout_ms = control->grant->policy ? control->grant->policy->connect_timeout_ms : 0;

        return gone_ms < timeout_ms ? timeout_ms - gone_ms : 1;
}

/* Gives what is connected to a relay. @return 0: it is waited for; -errno */
static int start_relaying(struct control *control, int fd, const struct nb_socket_address *peer,
                          const struct proxy_way *way, const char *name) {
        const struct relayed_options options = {
                .asker = control_asker(control),
                .verb = POLICY_CONNECT,
                .peer = peer,
                .way = way,
                .name = name,
                .timeout_ms = control_time_left(control),
                .function = relayed,
                .data = control,
        };

        return relayed_start(&options, fd, &control->relaying);
}

/* ---- what is connected ---- */

bool control_is_of_this_policy(const struct control *control) {
        return control->policy_generation == control->endpoint.session->broker->policy_generation;
}

int control_answer_not_relayed(struct control *control, const struct nb_socket_address *peer, const char *name, int r) {
        if (r != -EKEYREJECTED)
                return control_answer_failed(control, peer, r);
        control->grant->tenant->metrics.connects_failed++;
        return control_refuse(control, "connect", name, NB_WASI_EACCES, CONTROL_UNUSABLE_FILES);
}

int control_proceed(struct control *control, int fd_consumed, const struct nb_socket_address *peer,
                    const struct proxy_way *way, const char *name) {
        NB_CLEANUP_CHANNEL_FD int fd = fd_consumed;
        const struct outcome outcome = { .fd = fd, .socket_fd = fd, .peer = peer, .name = name };
        struct relayed_result result;
        int r;

        if (!way && !control_needs_relay(control)) {
                control_set_state(control, CONTROL_IDLE);
                return register_and_answer(control, &outcome);
        }
        r = control_is_of_this_policy(control) ? start_relaying(control, nb_steal_fd(&fd), peer, way, name) : -EAGAIN;
        if (r == 0)
                return relayed_take(control->relaying, &result) ? finish_relaying(control, 0, &result) : 0;
        control_set_state(control, CONTROL_IDLE);
        return control_answer_not_relayed(control, peer, name, r);
}
