/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/control.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "broker/acceptor.h"
#include "broker/bound.h"
#include "broker/broker.h"
#include "broker/connector.h"
#include "broker/control_parts.h"
#include "broker/control_state.h"
#include "broker/datagram_server.h"
#include "broker/decision.h"
#include "broker/name_connect.h"
#include "broker/proxy_dial.h"
#include "broker/quic_server.h"
#include "broker/refusal.h"
#include "broker/relayed.h"
#include "broker/seal.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"
#include "policy/narrowing.h"

int control_claim(struct session_token *token, struct tenant *tenant, enum account_kind kind) {
        int r = session_token_claim(token, kind);

        if (r < 0)
                return r;
        r = quota_claim(tenant, kind);
        if (r < 0)
                session_token_release(token, kind);
        return r;
}

void control_release(struct control *control, enum account_kind kind) {
        account_release(&control->grant->tenant->account, kind, 1);
        session_token_release(control->token, kind);
}

static void stop_connecting(struct control *control) {
        control_release(control, ACCOUNT_CONNECTS);
        metrics_observe(&control->grant->tenant->metrics.connect, (uv_hrtime() - control->connecting_since_ns) / 1000);
}

bool control_is_sealed(const struct control *control) {
        return seal_is_proven(control->endpoint.session->broker->seal) && !control->is_unsealed;
}

/*
 * A reload with Existing=keep may have taken the protocol away meanwhile: what was dialled for a relay, to be TLS for one, does not get to a guest
 * without it. A Unix socket of datagrams never gets into a guest's hands, for it could send to other names (sendto(2)).
 */
bool control_needs_relay(const struct control *control) {
        const struct policy_protocol *policy = control->grant->policy;

        if (control->is_quic || (control->type == POLICY_SOCKET_DGRAM && control->bind.family == AF_UNIX))
                return true;
        return policy ? policy_needs_relay(policy, POLICY_CONNECT, control_is_sealed(control)) : control->was_for_relay;
}

enum policy_socket_type control_socket_type(const struct control *control) {
        return control->is_quic ? POLICY_SOCKET_DGRAM : control->type;
}

bool control_has_its_transport(const struct control *control) {
        const struct policy_protocol *policy = control->grant->policy;

        return !policy || policy_is_quic(policy) == control->is_quic;
}

void control_set_state(struct control *control, enum control_state state) {
        if (control->state == CONTROL_LISTENING && state != CONTROL_LISTENING)
                control_release(control, ACCOUNT_LISTENERS);
        if (control->state == CONTROL_CONNECTING && state != CONTROL_CONNECTING)
                stop_connecting(control);
        if (control->state != CONTROL_CONNECTING && state == CONTROL_CONNECTING) {
                control->connecting_since_ns = uv_hrtime();
                control->policy_generation = control->endpoint.session->broker->policy_generation;
                control->was_for_relay = control_needs_relay(control);
        }
        control->state = state;
}

struct asker control_asker(const struct control *control) {
        return (struct asker){
                .session = control->endpoint.session,
                .grant = control->grant,
                .narrowings = control->narrowings,
                .type = control->type,
        };
}

int control_refuse(struct control *control, const char *verb, const char *asked, enum nb_wasi_errno error,
                   const char *reason) {
        struct asker asker = control_asker(control);

        return refuse(&control->endpoint, &asker, verb, asked, error, reason);
}

int control_refuse_errno(struct control *control, const char *verb, const struct nb_socket_address *address, int r) {
        struct asker asker = control_asker(control);

        return refuse_errno(&control->endpoint, &asker, verb, address, r);
}

/* A file that was bound goes with its control, unless both are to come back. */
static void end_file(struct control *control) {
        const struct endpoint *endpoint = &control->endpoint;

        if (endpoint->is_shared && keep_is_detached(control->endpoint.session->broker->keep))
                control->file = unix_file_leave(control->file);
        control->file = unix_file_free(control->file);
}

/* Ends what the control does; what it has pushed stays charged. */
static void control_endpoint_stop(struct endpoint *endpoint) {
        struct control *control = nb_container_of(endpoint, struct control, endpoint);

        /* First, while nobody can take the socket for a stale one and put another in its place. */
        end_file(control);
        control->connector = connector_free(control->connector);
        control->naming = name_connect_free(control->naming);
        control->proxying = proxy_dial_free(control->proxying);
        control->relaying = relayed_free(control->relaying);
        control->socket_fd = nb_fd_close(control->socket_fd);
        if (control->acceptor)
                acceptor_stop(control->acceptor);
        if (control->server)
                datagram_server_stop(control->server);
        if (control->quic_server)
                quic_server_stop(control->quic_server);
        control_set_state(control, CONTROL_IDLE);
}

struct control *control_free(struct control *control) {
        if (!control)
                return NULL;
        control_endpoint_stop(&control->endpoint);
        control->acceptor = acceptor_free(control->acceptor);
        control->server = datagram_server_free(control->server);
        control->quic_server = quic_server_free(control->quic_server);
        control_release(control, ACCOUNT_CONTROLS);
        control->token = session_token_unref(control->token);
        control->narrowings = narrowings_unref(control->narrowings);
        free(control);
        return NULL;
}

static void control_endpoint_free(struct endpoint *endpoint) {
        (void)control_free(nb_container_of(endpoint, struct control, endpoint));
}

/* A control that has no channel yet, bound if its address asks for that. */
static int new_unpublished(const struct session *session, const struct control_options *options, struct control **ret) {
        struct tenant *tenant = options->grant->tenant;
        NB_CLEANUP(control_cleanup) struct control *control = NULL;
        int r = control_claim(session->token, tenant, ACCOUNT_CONTROLS);

        if (r < 0)
                return r;
        control = calloc(1, sizeof(*control));
        if (!control) {
                account_release(&tenant->account, ACCOUNT_CONTROLS, 1);
                session_token_release(session->token, ACCOUNT_CONTROLS);
                return -ENOMEM;
        }
        control->token = session_token_ref(session->token);
        control->grant = options->grant;
        control->narrowings = narrowings_ref(options->narrowings);
        control->state = CONTROL_IDLE;
        control->type = options->type;
        control->is_quic = options->grant->policy && policy_is_quic(options->grant->policy);
        control->rights_base = options->rights_base;
        control->bind = options->bind;
        control->destination = options->destination;
        control->bind_is_open = nb_socket_address_is_open(&options->bind);
        control->socket_fd = -1;
        if (!control->bind_is_open && !options->bind_later) {
                const struct asker asker = control_asker(control);

                control->socket_fd = bound_new(&asker, control_socket_type(control), &control->bind, &control->file);
                if (control->socket_fd < 0)
                        return control->socket_fd;
        }
        *ret = nb_steal_ptr(control);
        return 0;
}

void control_keep(struct control *control) {
        if (control_state_is_kept(control))
                endpoint_keep(&control->endpoint);
}

int control_new(struct session *session, const struct control_options *options, struct control **ret, int *ret_fd) {
        NB_CLEANUP(control_cleanup) struct control *control = NULL;
        int r = new_unpublished(session, options, &control);

        if (r == 0)
                r = endpoint_start_pair(&control->endpoint, session, &control_ops, ret_fd);
        if (r < 0)
                return r;
        control->endpoint.delegation = options->delegation;
        control_keep(control);
        *ret = nb_steal_ptr(control);
        return 0;
}

const char *control_local_text(const struct control *control, char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]) {
        if (control->bind.family == AF_UNIX)
                return nb_socket_address_format(&control->bind, buffer);
        buffer[0] = '\0';
        return buffer;
}

const char *control_relayed_local_text(const struct control *control, const struct nb_socket_address *local,
                                       char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]) {
        return local->family == AF_UNIX ? control_local_text(control, buffer) : nb_socket_address_format(local, buffer);
}

bool control_is_granted(const struct control *control, enum policy_verb verb, const struct nb_socket_address *address) {
        const struct asker asker = control_asker(control);
        struct policy_verdict verdict;

        decide_again(&asker, verb, address, &verdict);
        return verdict.allowed;
}

/* ---- Endpoint ---- */

static int handle_request(struct endpoint *endpoint, const Nb__Request *request) {
        struct control *control = nb_container_of(endpoint, struct control, endpoint);

        switch (request->body_case) {
        case NB__REQUEST__BODY_CONNECT:
                return control_request_connect(control, request->connect);
        case NB__REQUEST__BODY_LISTEN:
                return control_request_listen(control, request->listen);
        case NB__REQUEST__BODY_CREDIT:
                return control_request_credit(control, request->credit);
        default:
                return -EPROTO;
        }
}

/* Whether what the control does at the moment, or is there for, is still granted. */
static bool is_still_granted(const struct control *control) {
        if (!control->grant->policy || !(control->grant->policy->socket_types & control->type) ||
            !control_has_its_transport(control))
                return false;
        if (control->connector && !control_is_granted(control, POLICY_CONNECT, connector_address(control->connector)))
                return false;
        if (control->naming && !name_connect_is_granted(control->naming))
                return false;
        if (control->proxying && !proxy_dial_is_granted(control->proxying))
                return false;
        if (control->relaying && !relayed_is_granted(control->relaying))
                return false;
        if (control->destination.family != 0 && !control_is_granted(control, POLICY_CONNECT, &control->destination))
                return false;
        /* Also without a socket at the moment: the next one is bound to the same address. */
        return control->bind_is_open || control_is_granted(control, POLICY_LISTEN, &control->bind);
}

static void control_policy_changed(struct endpoint *endpoint) {
        struct control *control = nb_container_of(endpoint, struct control, endpoint);

        if (is_still_granted(control)) {
                if (control->acceptor)
                        acceptor_policy_changed(control->acceptor);
                if (control->quic_server)
                        quic_server_policy_changed(control->quic_server);
                return;
        }
        endpoint_end(endpoint);
}

static const struct grant *control_grant(const struct endpoint *endpoint) {
        return nb_container_of(endpoint, struct control, endpoint)->grant;
}

const struct endpoint_ops control_ops = {
        .kind = "control",
        .request = handle_request,
        .stop = control_endpoint_stop,
        .free = control_endpoint_free,
        .policy_changed = control_policy_changed,
        .grant = control_grant,
        .resume = control_resume,
        .kept = { .describe = control_state_describe },
};
