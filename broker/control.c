/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/acceptor.h"
#include "broker/bound.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/connector.h"
#include "broker/control_state.h"
#include "broker/datagram.h"
#include "broker/datagram_server.h"
#include "broker/decision.h"
#include "broker/name_connect.h"
#include "broker/protocol.h"
#include "broker/proxy_dial.h"
#include "broker/quic_server.h"
#include "broker/refusal.h"
#include "broker/relayed.h"
#include "broker/restriction.h"
#include "broker/security.h"
#include "broker/seal.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/socket.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"
#include "policy/host_name.h"
#include "policy/narrowing.h"

/* The longest backlog that is asked of the kernel, which caps it by net.core.somaxconn itself. */
#define BACKLOG_MAX 65535

#define UNUSABLE_FILES "the certificates, keys or passwords that the policy names cannot be used"

/* Why nothing is begun by a control whose protocol is not what it was. */
#define OTHER_TRANSPORT "Family= of the protocol was changed to or from quic since the control was opened"

static int control_request(struct endpoint *endpoint, const Nb__Request *request);
static void control_endpoint_stop(struct endpoint *endpoint);
static void control_endpoint_free(struct endpoint *endpoint);
static void control_policy_changed(struct endpoint *endpoint);
static const struct grant *control_grant(const struct endpoint *endpoint);
static int control_resume(struct endpoint *endpoint);

static const struct endpoint_ops control_ops = {
        .kind = "control",
        .request = control_request,
        .stop = control_endpoint_stop,
        .free = control_endpoint_free,
        .policy_changed = control_policy_changed,
        .grant = control_grant,
        .resume = control_resume,
        .kept = { .describe = control_state_describe },
};

static struct session *session_of(const struct control *control) {
        return control->endpoint.session;
}

static struct account *account_of(const struct control *control) {
        return &control->grant->tenant->account;
}

/* Takes one of the session's quota, if its token has one, and of the tenant's account. @return as quota_claim() */
static int claim(struct session_token *token, struct tenant *tenant, enum account_kind kind) {
        int r = session_token_claim(token, kind);

        if (r < 0)
                return r;
        r = quota_claim(tenant, kind);
        if (r < 0)
                session_token_release(token, kind);
        return r;
}

static void release(struct control *control, enum account_kind kind) {
        account_release(account_of(control), kind, 1);
        session_token_release(control->token, kind);
}

static void stop_connecting(struct control *control) {
        release(control, ACCOUNT_CONNECTS);
        metrics_observe(&control->grant->tenant->metrics.connect, (uv_hrtime() - control->connecting_since_ns) / 1000);
}

bool control_is_sealed(const struct control *control) {
        return seal_is_proven(session_of(control)->broker->seal) && !control->is_unsealed;
}

/*
 * A reload with Existing=keep may have taken the protocol away meanwhile: what was dialled for a relay, to be TLS for one, does not get to a guest
 * without it. A Unix socket of datagrams never gets into a guest's hands, for it could send to other names (sendto(2)).
 */
static bool needs_relay(const struct control *control) {
        const struct policy_protocol *policy = control->grant->policy;

        if (control->is_quic || (control->type == POLICY_SOCKET_DGRAM && control->bind.family == AF_UNIX))
                return true;
        return policy ? policy_needs_relay(policy, POLICY_CONNECT, control_is_sealed(control)) : control->was_for_relay;
}

/* What the kernel's sockets of it are. */
static enum policy_socket_type socket_type(const struct control *control) {
        return control->is_quic ? POLICY_SOCKET_DGRAM : control->type;
}

/* A reload with Existing=keep may have made another protocol of it, with which an open control has nothing to do. */
static bool has_its_transport(const struct control *control) {
        const struct policy_protocol *policy = control->grant->policy;

        return !policy || policy_is_quic(policy) == control->is_quic;
}

/* The one setter of the state; a connect under way is charged for as long as it lasts, and so is listening. */
static void set_state(struct control *control, enum control_state state) {
        if (control->state == CONTROL_LISTENING && state != CONTROL_LISTENING)
                release(control, ACCOUNT_LISTENERS);
        if (control->state == CONTROL_CONNECTING && state != CONTROL_CONNECTING)
                stop_connecting(control);
        if (control->state != CONTROL_CONNECTING && state == CONTROL_CONNECTING) {
                control->connecting_since_ns = uv_hrtime();
                control->policy_generation = session_of(control)->broker->policy_generation;
                control->was_for_relay = needs_relay(control);
        }
        control->state = state;
}

struct asker control_asker(const struct control *control) {
        return (struct asker){
                .session = session_of(control),
                .grant = control->grant,
                .narrowings = control->narrowings,
                .type = control->type,
        };
}

static struct tenant *tenant_of(const struct control *control) {
        return control->grant->tenant;
}

static int refuse_recorded(struct control *control, const char *verb, const char *asked, enum nb_wasi_errno error,
                           const char *reason) {
        struct asker asker = control_asker(control);

        return refuse(&control->endpoint, &asker, verb, asked, error, reason);
}

static int refuse_errno_of(struct control *control, const char *verb, const struct nb_socket_address *address, int r) {
        struct asker asker = control_asker(control);

        return refuse_errno(&control->endpoint, &asker, verb, address, r);
}

/* A file that was bound goes with its control, unless both are to come back. */
static void end_file(struct control *control) {
        const struct endpoint *endpoint = &control->endpoint;

        if (endpoint->is_shared && keep_is_detached(session_of(control)->broker->keep))
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
        set_state(control, CONTROL_IDLE);
}

static struct control *control_free(struct control *control) {
        if (!control)
                return NULL;
        control_endpoint_stop(&control->endpoint);
        control->acceptor = acceptor_free(control->acceptor);
        control->server = datagram_server_free(control->server);
        control->quic_server = quic_server_free(control->quic_server);
        release(control, ACCOUNT_CONTROLS);
        control->token = session_token_unref(control->token);
        control->narrowings = narrowings_unref(control->narrowings);
        free(control);
        return NULL;
}

static void control_endpoint_free(struct endpoint *endpoint) {
        (void)control_free(nb_container_of(endpoint, struct control, endpoint));
}

static void cleanup_control(struct control **control) {
        (void)control_free(*control);
}

/* A control that has no channel yet, bound if its address asks for that. */
static int new_unpublished(const struct session *session, const struct control_options *options, struct control **ret) {
        struct tenant *tenant = options->grant->tenant;
        NB_CLEANUP(cleanup_control) struct control *control = NULL;
        int r = claim(session->token, tenant, ACCOUNT_CONTROLS);

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

                control->socket_fd = bound_new(&asker, socket_type(control), &control->bind, &control->file);
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
        NB_CLEANUP(cleanup_control) struct control *control = NULL;
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

/* ---- Connect ---- */

static void note_connected(struct control *control) {
        bool is_first = !control->has_connected;

        control->has_connected = true;
        if (is_first)
                control_keep(control);
        tenant_of(control)->metrics.connects_done++;
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
                .session = session_of(control),
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

        return r < 0 ? refuse_errno_of(control, "connect", outcome->peer, r)
                     : answer_connected(control, outcome, connection);
}

/* From the loop there is no request whose handler could return this. */
static void end_if_failed(struct control *control, int r) {
        if (r < 0)
                endpoint_end(&control->endpoint);
}

/* What was granted and charged has come to nothing. */
static int answer_failed(struct control *control, const struct nb_socket_address *peer, int r) {
        tenant_of(control)->metrics.connects_failed++;
        return refuse_errno_of(control, "connect", peer, r);
}

/* ---- through a relay ---- */

static int answer_relayed(struct control *control, int r, struct relayed_result *result) {
        NB_CLEANUP_CHANNEL_FD int socket_fd = result->socket_fd;
        NB_CLEANUP_CHANNEL_FD int fd = result->fd;
        const struct outcome outcome = {
                .fd = fd,
                .socket_fd = socket_fd >= 0 ? socket_fd : fd,
                .peer = result->peer,
                .via = result->via,
                .name = result->name,
                .relayed = result->object,
                .security = result->security,
                .proxy = result->proxy,
        };

        if (r == 0)
                return register_and_answer(control, &outcome);
        tenant_of(control)->metrics.connects_failed++;
        return endpoint_refuse(&control->endpoint, nb_wasi_errno_from_host(-r), result->reason);
}

static void relayed(void *data, int error, struct relayed_result *result) {
        struct control *control = data;
        struct relayed *relayed = control->relaying;
        int r;

        control->relaying = NULL;
        set_state(control, CONTROL_IDLE);
        r = answer_relayed(control, error, result);
        /* Only now: the result's texts are its own. */
        (void)relayed_free(relayed);
        end_if_failed(control, r);
}

/* What is left of ConnectTimeout=; nothing where a reload has taken the protocol away. */
static uint64_t time_left(const struct control *control) {
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
                .timeout_ms = time_left(control),
                .function = relayed,
                .data = control,
        };

        return relayed_start(&options, fd, &control->relaying);
}

/* ---- what is connected ---- */

/* By what a reload has changed since: then what was dialled may not be what the policy of now would dial. */
static bool is_of_this_policy(const struct control *control) {
        return control->policy_generation == session_of(control)->broker->policy_generation;
}

/* No relay has begun it. */
static int answer_not_relayed(struct control *control, const struct nb_socket_address *peer, const char *name, int r) {
        if (r != -EKEYREJECTED)
                return answer_failed(control, peer, r);
        tenant_of(control)->metrics.connects_failed++;
        return refuse_recorded(control, "connect", name, NB_WASI_EACCES, UNUSABLE_FILES);
}

/*
 * Goes on with what was dialled, still connecting.
 * @return 0; -errno for the session's end
 */
static int proceed(struct control *control, int fd_consumed, const struct nb_socket_address *peer,
                   const struct proxy_way *way, const char *name) {
        NB_CLEANUP_CHANNEL_FD int fd = fd_consumed;
        const struct outcome outcome = { .fd = fd, .socket_fd = fd, .peer = peer, .name = name };
        int r;

        if (!way && !needs_relay(control)) {
                set_state(control, CONTROL_IDLE);
                return register_and_answer(control, &outcome);
        }
        r = is_of_this_policy(control) ? start_relaying(control, nb_steal_fd(&fd), peer, way, name) : -EAGAIN;
        if (r == 0)
                return 0;
        set_state(control, CONTROL_IDLE);
        return answer_not_relayed(control, peer, name, r);
}

/* ---- through proxies ---- */

static bool is_proxied(const struct control *control) {
        return control->grant->policy && control->grant->policy->proxy.n_hops > 0;
}

static int answer_proxied(struct control *control, int r, const struct proxy_result *result) {
        const char *name = result->name[0] != '\0' ? result->name : NULL;
        struct asker asker = control_asker(control);

        if (r == 0)
                return proceed(control, result->fd, &result->peer, &result->way, name);
        set_state(control, CONTROL_IDLE);
        tenant_of(control)->metrics.connects_failed++;
        decision_record_relay_failure(&asker, POLICY_CONNECT, name, result->peer.family != 0 ? &result->peer : NULL,
                                      NULL, result->reason[0] != '\0' ? result->reason : strerror(-r));
        return endpoint_refuse(&control->endpoint, nb_wasi_errno_from_host(-r), result->reason);
}

static void proxied(void *data, int r, const struct proxy_result *dial_result) {
        struct control *control = data;
        const struct proxy_result result = *dial_result;

        control->proxying = proxy_dial_free(control->proxying);
        end_if_failed(control, answer_proxied(control, r, &result));
}

/* @param peer  what was judged; family 0: the proxy resolves the name @param name  with its port; NULL for an address */
static int start_proxying(struct control *control, const struct nb_socket_address *peer, const char *name) {
        const struct proxy_dial_options options = {
                .grant = control->grant,
                .peer = peer,
                .name = name,
                .timeout_ms = time_left(control),
                .function = proxied,
                .data = control,
        };
        struct proxy_result result = { .fd = -1, .peer = *peer };
        int r = is_of_this_policy(control) && is_proxied(control)
                        ? proxy_dial_start(&options, &result, &control->proxying)
                        : -EAGAIN;

        return control->proxying ? 0 : answer_proxied(control, r, &result);
}

static int answer_dialled(struct control *control, int r, int fd, const struct nb_socket_address *peer) {
        if (r == 0)
                return proceed(control, fd, peer, NULL, NULL);
        set_state(control, CONTROL_IDLE);
        return answer_failed(control, peer, r);
}

static void dialled(void *data, int error, int fd) {
        struct control *control = data;
        struct nb_socket_address peer = *connector_address(control->connector);

        control->connector = connector_free(control->connector);
        end_if_failed(control, answer_dialled(control, -error, fd, &peer));
}

static bool is_granted(const struct control *control, enum policy_verb verb, const struct nb_socket_address *address) {
        const struct asker asker = control_asker(control);
        struct policy_verdict verdict;

        decide_again(&asker, verb, address, &verdict);
        return verdict.allowed;
}

/* What becomes a connection is not with the keeper any more: a duplicate there would hold back its end. */
static int take_socket(struct control *control) {
        int fd = nb_steal_fd(&control->socket_fd);

        control_keep(control);
        return fd;
}

/* The bound socket if it has not been used yet, or another one that is bound to the same address. */
static int socket_for(struct control *control, sa_family_t family) {
        const struct asker asker = control_asker(control);
        struct nb_socket_address bind = control->bind;

        if (control->bind_is_open)
                return socket_new(family, socket_type(control));
        if (control->socket_fd >= 0)
                return take_socket(control);
        /* A reload with Existing=keep leaves the control alone, but binds nothing new. */
        if (!is_granted(control, POLICY_LISTEN, &bind))
                return -EACCES;
        /* The path of the one before is in the way, though its socket is used up. */
        control->file = unix_file_free(control->file);
        return bound_new(&asker, socket_type(control), &bind, &control->file);
}

/* An open IPv6 wildcard can connect to IPv4 as well, as an IPv6 socket of POSIX can by mapped addresses. */
static bool bind_reaches(const struct control *control, sa_family_t family) {
        if (control->bind.family == family)
                return true;
        return control->bind_is_open && control->bind.family == AF_INET6 && family == AF_INET;
}

/* Dials with a new socket, or the bound one. As connector_start(). */
static int dial(struct control *control, const struct nb_socket_address *address, int *ret_fd) {
        const struct connector_options options = {
                .broker = session_of(control)->broker,
                .watches = &control->grant->tenant->throttle.sockets,
                .address = address,
                .timeout_ms = control->grant->policy->connect_timeout_ms,
                .function = dialled,
                .data = control,
        };
        NB_CLEANUP_FD int connected_fd = -1;
        int fd = socket_for(control, address->family);
        int r;

        if (fd < 0)
                return fd;
        r = connector_start(&options, fd, &connected_fd, &control->connector);
        /* There is no handshake: such a socket is connected at once. */
        if (r == 0 && socket_type(control) == POLICY_SOCKET_DGRAM)
                r = address->family == AF_UNIX ? datagram_take_from_unix(connected_fd)
                                               : datagram_take_from(connected_fd, &address->ip);
        if (r < 0)
                return r;
        *ret_fd = nb_steal_fd(&connected_fd);
        return 0;
}

/* Takes what a connect costs, or says why it cannot be had: the errno for the guest is in the answer. */
static int claim_connect(struct control *control, const char **ret_reason) {
        int r = needs_relay(control) ? relay_check_there(tenant_of(control)) : 0;

        if (r < 0) {
                *ret_reason = "the tenant's relay has ended, and another one is started in a moment";
                return r;
        }
        r = connection_demand_room(tenant_of(control));
        if (r < 0) {
                *ret_reason = r == -ENOBUFS ? "the tenant's connections have as many bytes in flight as they may have"
                                            : "the tenant has as many connections as it may have";
                return r;
        }
        r = quota_take_connect(tenant_of(control));
        if (r < 0) {
                *ret_reason = "ConnectRate= allows no more connects at the moment";
                return r;
        }
        r = claim(control->token, tenant_of(control), ACCOUNT_CONNECTS);
        if (r < 0)
                *ret_reason = r == -ENOBUFS ? "the tenant has as much memory as it may have"
                                            : "as many connections are being made as may be";
        return r;
}

/* Begins to connect, if there is room for it. @param ret_answer  what the request came to, if not */
static bool begin_connecting(struct control *control, int *ret_answer) {
        const char *reason = NULL;
        int r = claim_connect(control, &reason);

        if (r < 0) {
                *ret_answer = refuse_recorded(control, "connect", NULL, nb_wasi_errno_from_host(-r), reason);
                return false;
        }
        set_state(control, CONTROL_CONNECTING);
        return true;
}

static int start_connecting(struct control *control, const struct nb_socket_address *address) {
        int fd = -1, r;

        if (!begin_connecting(control, &r))
                return r;
        if (is_proxied(control))
                return start_proxying(control, address, NULL);
        r = dial(control, address, &fd);
        if (r == 0 && fd < 0)
                return 0;
        return answer_dialled(control, r, fd, address);
}

/* Reads an address to connect to: one spelling for IPv4, and no unnamed socket, which nobody can connect to. */
static int parse_peer(const char *text, struct nb_socket_address *ret) {
        struct nb_socket_address address;

        if (*text == '\0' || nb_socket_address_parse(text, strlen(text), &address) < 0)
                return -EINVAL;
        nb_socket_address_unmap(&address);
        *ret = address;
        return 0;
}

/* ---- Connect to a name ---- */

static int answer_named(struct control *control, int r, const struct name_result *result) {
        enum nb_wasi_errno error = nb_wasi_errno_from_host(-r);

        if (r == 0 && result->relayed) {
                set_state(control, CONTROL_IDLE);
                return answer_relayed(control, 0, result->relayed);
        }
        if (r == 0 && result->fd < 0)
                return start_proxying(control, &result->peer, result->name);
        if (r == 0)
                return proceed(control, result->fd, &result->peer, NULL, result->name);
        set_state(control, CONTROL_IDLE);
        if (result->peer.family != 0 && !result->recorded)
                return answer_not_relayed(control, &result->peer, result->name, r);
        tenant_of(control)->metrics.connects_failed++;
        if (result->limited)
                return refuse_recorded(control, "connect", result->name, error, result->reason);
        return endpoint_refuse(&control->endpoint, error, result->reason);
}

static void named(void *data, int r, const struct name_result *result) {
        struct control *control = data;
        struct name_connect *naming = control->naming;
        int answer;

        control->naming = NULL;
        answer = answer_named(control, r, result);
        /* Only now: what a handshake came to is its own. */
        (void)name_connect_free(naming);
        end_if_failed(control, answer);
}

static int make_socket(void *data, sa_family_t family) {
        return socket_for(data, family);
}

/* Which addresses of a name the control's socket can reach; as bind_reaches(). @return whether there can be any */
static bool find_family(const struct control *control, enum policy_family *ret) {
        bool ipv4 = family_fits(control->grant, AF_INET) && bind_reaches(control, AF_INET);
        bool ipv6 = family_fits(control->grant, AF_INET6) && bind_reaches(control, AF_INET6);

        *ret = ipv4 && ipv6 ? POLICY_FAMILY_IP : ipv4 ? POLICY_FAMILY_IPV4 : POLICY_FAMILY_IPV6;
        return ipv4 || ipv6;
}

static int start_naming(struct control *control, const struct policy_host_name *name, enum policy_family family) {
        const struct name_options options = {
                .asker = control_asker(control),
                .name = name,
                .family = family,
                .is_quic = control->is_quic,
                .one_address = control->is_quic && !control->bind_is_open,
                .no_dial = is_proxied(control),
                .timeout_ms = control->grant->policy->connect_timeout_ms,
                .make_socket = make_socket,
                .function = named,
                .data = control,
        };
        struct name_result result;
        int r;

        if (!begin_connecting(control, &r))
                return r;
        r = name_connect_start(&options, &result, &control->naming);
        if (control->naming)
                return 0;
        return answer_named(control, r, &result);
}

/* The name is the proxy's to resolve: there is no address to be judged. */
static int start_resolving_proxy(struct control *control, const struct policy_host_name *name) {
        const struct nb_socket_address unknown = { .family = 0 };
        char text[PROXY_TARGET_MAX];
        int r;

        (void)snprintf(text, sizeof(text), "%s:%u", name->text, (unsigned)name->port);
        return begin_connecting(control, &r) ? start_proxying(control, &unknown, text) : r;
}

/* What is no address may be a name. */
static int request_connect_name(struct control *control, const char *text) {
        struct asker asker = control_asker(control);
        struct policy_host_name name;
        struct policy_verdict verdict;
        enum policy_family family;

        if (policy_host_name_parse(text, strlen(text), &name) < 0)
                return refuse_recorded(control, "connect", text, NB_WASI_EINVAL, "neither an address nor a host name");
        if (!find_family(control, &family))
                return refuse_recorded(control, "connect", text, NB_WASI_EAFNOSUPPORT,
                                       "the control has no family that names lead to");
        decide_name(&asker, &name, text, &verdict);
        if (!verdict.allowed)
                return endpoint_refuse(&control->endpoint, NB_WASI_EACCES, verdict.reason);
        return is_proxied(control) && control->grant->policy->proxy.resolves ? start_resolving_proxy(control, &name)
                                                                             : start_naming(control, &name, family);
}

static int request_connect(struct control *control, const Nb__Connect *connect) {
        struct asker asker = control_asker(control);
        struct nb_socket_address address;
        struct policy_verdict verdict;

        if (control->state == CONTROL_CONNECTING)
                return -EPROTO;
        if (control->state == CONTROL_LISTENING)
                return refuse_recorded(control, "connect", connect->address, NB_WASI_EINVAL, "the control listens");
        if (!(control->rights_base & NB_RIGHT_SOCK_CONNECT))
                return refuse_recorded(control, "connect", connect->address, NB_WASI_ENOTCAPABLE, REFUSAL_NO_RIGHT);
        if (!has_its_transport(control))
                return refuse_recorded(control, "connect", connect->address, NB_WASI_EACCES, OTHER_TRANSPORT);
        if (is_proxied(control) && !control->bind_is_open)
                return refuse_recorded(control, "connect", connect->address, NB_WASI_ENOTSUP,
                                       "the control is bound, and what goes through a proxy cannot be");
        if (parse_peer(connect->address, &address) < 0)
                return request_connect_name(control, connect->address);
        if (!family_fits(control->grant, address.family) || !bind_reaches(control, address.family))
                return refuse_recorded(control, "connect", connect->address, NB_WASI_EAFNOSUPPORT,
                                       "the family of the address is not the control's");
        decide(&asker, POLICY_CONNECT, &address, connect->address, &verdict);
        if (!verdict.allowed)
                return endpoint_refuse(&control->endpoint, NB_WASI_EACCES, verdict.reason);
        address = decision_reached(&address);
        return start_connecting(control, &address);
}

/* ---- Listen and Credit ---- */

static int answer_listening(struct control *control) {
        Nb__Listening listening = NB__LISTENING__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];

        listening.address = (char *)nb_socket_address_format(&control->bind, text);
        reply.body_case = NB__REPLY__BODY_LISTENING;
        reply.listening = &listening;
        return endpoint_reply(&control->endpoint, &reply, -1);
}

static int backlog_of(const Nb__Listen *listen_request) {
        return (int)(listen_request->backlog < BACKLOG_MAX ? listen_request->backlog : BACKLOG_MAX);
}

/* Binds what was left for later. */
static int bind_now(struct control *control) {
        const struct asker asker = control_asker(control);

        if (control->socket_fd >= 0)
                return 0;
        control->file = unix_file_free(control->file);
        control->socket_fd = bound_new(&asker, socket_type(control), &control->bind, &control->file);
        if (control->socket_fd < 0)
                return control->socket_fd;
        control->bind_is_open = false;
        return 0;
}

static int make_server(struct control *control, const Nb__Listen *listen_request) {
        NB_CLEANUP_FD int fd = nb_steal_fd(&control->socket_fd);
        int r = control->is_quic ? quic_server_new(control, fd, listen_request->received, &control->quic_server)
                                 : datagram_server_new(control, fd, listen_request->received, &control->server);

        if (r == 0)
                (void)nb_steal_fd(&fd);
        return r;
}

/* The listener is charged. */
static int make_acceptor(struct control *control, const Nb__Listen *listen_request) {
        NB_CLEANUP_FD int fd = -1;
        int r = bind_now(control);

        if (r < 0)
                return r;
        if (socket_type(control) == POLICY_SOCKET_DGRAM)
                return make_server(control, listen_request);
        fd = nb_steal_fd(&control->socket_fd);
        if (listen(fd, backlog_of(listen_request)) < 0)
                return -errno;
        control->acceptor = acceptor_new(control, fd, listen_request->received);
        if (!control->acceptor)
                return -errno;
        (void)nb_steal_fd(&fd);
        return 0;
}

/* What the keeper knows of the control has changed, before the session is told. */
static void note_listen(struct control *control) {
        control->awaits_listen = false;
        control->n_resumed = 0;
        control_keep(control);
}

static int start_listening(struct control *control, const Nb__Listen *listen_request) {
        int r = claim(control->token, tenant_of(control), ACCOUNT_LISTENERS);

        if (r < 0)
                return r;
        set_state(control, CONTROL_LISTENING);
        r = make_acceptor(control, listen_request);
        if (r < 0)
                set_state(control, CONTROL_IDLE);
        note_listen(control);
        return r;
}

static int set_credit(struct control *control, uint64_t total) {
        if (control->quic_server)
                return quic_server_set_credit(control->quic_server, total);
        if (control->acceptor)
                return acceptor_set_credit(control->acceptor, total);
        datagram_server_set_credit(control->server, total);
        return 0;
}

/* The answer goes out before any connection does. */
static int answer_and_accept(struct control *control, const Nb__Listen *listen_request) {
        int r = answer_listening(control);

        return r < 0 ? r : set_credit(control, listen_request->credit);
}

/* Only the session knows how many it has. */
static void resume_listening(struct control *control, uint64_t received) {
        if (control->acceptor)
                acceptor_resume(control->acceptor, received);
        if (control->server)
                datagram_server_resume(control->server, received);
        if (control->quic_server)
                quic_server_resume(control->quic_server, received);
}

static int listen_again(struct control *control, const Nb__Listen *listen_request) {
        /* Of datagrams nobody waits in a backlog. */
        int r = control->acceptor ? acceptor_set_backlog(control->acceptor, backlog_of(listen_request)) : 0;

        if (control->awaits_listen) {
                resume_listening(control, listen_request->received);
                note_listen(control);
        }
        return r < 0 ? refuse_errno_of(control, "listen", &control->bind, r)
                     : answer_and_accept(control, listen_request);
}

static int request_listen(struct control *control, const Nb__Listen *listen_request) {
        struct asker asker = control_asker(control);
        struct policy_verdict verdict;
        int r;

        if (control->state == CONTROL_CONNECTING)
                return -EPROTO;
        if (control->state == CONTROL_LISTENING)
                return listen_again(control, listen_request);
        if (control->has_connected && !control->bind_is_open)
                return refuse_recorded(control, "listen", NULL, NB_WASI_EISCONN, "the control has connected");
        if (!(control->rights_base & NB_RIGHT_SOCK_LISTEN))
                return refuse_recorded(control, "listen", NULL, NB_WASI_ENOTCAPABLE, REFUSAL_NO_RIGHT);
        if (!has_its_transport(control))
                return refuse_recorded(control, "listen", NULL, NB_WASI_EACCES, OTHER_TRANSPORT);
        decide(&asker, POLICY_LISTEN, &control->bind, NULL, &verdict);
        if (!verdict.allowed)
                return endpoint_refuse(&control->endpoint, NB_WASI_EACCES, verdict.reason);
        r = start_listening(control, listen_request);
        if (r == -EKEYREJECTED)
                return refuse_recorded(control, "listen", NULL, NB_WASI_EACCES, UNUSABLE_FILES);
        return r < 0 ? refuse_errno_of(control, "listen", &control->bind, r)
                     : answer_and_accept(control, listen_request);
}

static int request_credit(struct control *control, const Nb__Credit *credit) {
        if (control->awaits_listen)
                return 0;
        return control->state == CONTROL_LISTENING ? set_credit(control, credit->total) : -EPROTO;
}

/* ---- Endpoint ---- */

static int control_request(struct endpoint *endpoint, const Nb__Request *request) {
        struct control *control = nb_container_of(endpoint, struct control, endpoint);

        switch (request->body_case) {
        case NB__REQUEST__BODY_CONNECT:
                return request_connect(control, request->connect);
        case NB__REQUEST__BODY_LISTEN:
                return request_listen(control, request->listen);
        case NB__REQUEST__BODY_CREDIT:
                return request_credit(control, request->credit);
        default:
                return -EPROTO;
        }
}

/* Whether what the control does at the moment, or is there for, is still granted. */
static bool is_still_granted(const struct control *control) {
        if (!control->grant->policy || !(control->grant->policy->socket_types & control->type) ||
            !has_its_transport(control))
                return false;
        if (control->connector && !is_granted(control, POLICY_CONNECT, connector_address(control->connector)))
                return false;
        if (control->naming && !name_connect_is_granted(control->naming))
                return false;
        if (control->proxying && !proxy_dial_is_granted(control->proxying))
                return false;
        if (control->relaying && !relayed_is_granted(control->relaying))
                return false;
        if (control->destination.family != 0 && !is_granted(control, POLICY_CONNECT, &control->destination))
                return false;
        /* Also without a socket at the moment: the next one is bound to the same address. */
        return control->bind_is_open || is_granted(control, POLICY_LISTEN, &control->bind);
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

/* ---- after a restart ---- */

/* A control without its channel, and charged. */
static int new_unrestored(struct session *session, const Nb__State__Control *state, struct control **ret) {
        NB_CLEANUP_FREE struct control *control = calloc(1, sizeof(*control));
        int r = control ? control_state_read(state, control) : -ENOMEM;

        if (r < 0)
                return r;
        control->grant = tenant_get_grant_named(session->tenant, state->protocol, state->preopen);
        if (!control->grant)
                return -ENOMEM;
        r = restriction_restore(session->tenant, state->narrowings, protocol_narrowings(session, state->delegation),
                                &control->narrowings);
        if (r < 0)
                return r;
        control->socket_fd = -1;
        /* Until the endpoint has begun, for who ends its sockets. */
        control->endpoint = (struct endpoint){ .session = session, .fd = -1, .is_shared = true };
        control->token = session_token_ref(session->token);
        session_token_restore(control->token, ACCOUNT_CONTROLS);
        account_restore(account_of(control), ACCOUNT_CONTROLS, 1);
        *ret = nb_steal_ptr(control);
        return 0;
}

static int restore_file(struct control *control, const Nb__State__Control *state) {
        if (!*state->file)
                return 0;
        return unix_file_take_over(state->file, state->file_device, state->file_inode, &control->file);
}

/* Whoever leaves the state gives both back: the tenant's, and the one of the session's quota. */
static void restore_listening(struct control *control) {
        account_restore(account_of(control), ACCOUNT_LISTENERS, 1);
        session_token_restore(control->token, ACCOUNT_LISTENERS);
        control->state = CONTROL_LISTENING;
}

static int restore_acceptor(struct control *control, int pending_fd) {
        int r;

        restore_listening(control);
        control->acceptor = acceptor_new(control, control->socket_fd, 0);
        if (!control->acceptor) {
                (void)nb_channel_fd_close(pending_fd);
                return -errno;
        }
        (void)nb_steal_fd(&control->socket_fd);
        if (pending_fd < 0)
                return 0;
        r = acceptor_take_pending(control->acceptor, pending_fd);
        /* It has gone meanwhile. */
        return r == -ENOTCONN ? 0 : r;
}

/* By the relay that goes on with it. Where there is none, it is served when Listen comes again, by whatever relay there is then. */
static int restore_server(struct control *control, const Nb__State__Control *state) {
        int r = control->is_quic ? quic_server_restore(control, control->socket_fd, state->relay, state->relay_object,
                                                       &control->quic_server)
                                 : datagram_server_restore(control, control->socket_fd, state->relay,
                                                           state->relay_object, &control->server);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        (void)nb_steal_fd(&control->socket_fd);
        restore_listening(control);
        return 0;
}

static int restore_socket(struct control *control, const Nb__State__Control *state, struct kept_item *item) {
        int pending_fd, r;

        if (!state->has_socket)
                return 0;
        control->socket_fd = nb_steal_fd(&item->fds[1]);
        if (state->listening && socket_type(control) == POLICY_SOCKET_DGRAM) {
                r = restore_server(control, state);
                /* That one is its relay's. */
                if (r < 0 || control->socket_fd < 0)
                        return r;
        }
        r = seal_own(session_of(control)->broker, control->socket_fd);
        control->is_unsealed = !seal_covers(session_of(control)->broker, control->socket_fd);
        if (r < 0 || !state->listening || socket_type(control) == POLICY_SOCKET_DGRAM)
                return r;
        pending_fd = state->has_pending ? nb_steal_fd(&item->fds[2]) : -1;
        return restore_acceptor(control, pending_fd);
}

int control_restore(struct session *session, struct kept_item *item) {
        const Nb__State__Control *state = item->item->control;
        NB_CLEANUP(cleanup_control) struct control *control = NULL;
        int r;

        if (item->n_fds != 1u + state->has_socket + state->has_pending || (state->has_pending && !state->has_socket))
                return -EBADMSG;
        r = new_unrestored(session, state, &control);
        if (r == 0)
                r = restore_file(control, state);
        if (r == 0)
                r = restore_socket(control, state, item);
        if (r == 0)
                r = endpoint_restore(&control->endpoint, session, &control_ops, item);
        if (r < 0)
                return r;
        control->endpoint.came_with_welcome = state->preopen;
        session_note_delegation(&control->endpoint, state->delegation);
        control->endpoint.has_pushed = state->listening;
        (void)nb_steal_ptr(control);
        return 0;
}

/*
 * How many Resumed a session may leave unread that listens and does not look; its queue bears them, and libnetbroker does not take it for a flood. Behind these
 * there need not be another, for Listen is said again when they are read.
 */
#define RESUMED_MAX 16

/* Behind connections that were pushed and are not read yet, Resumed has to be said all the same. */
static int control_resume(struct endpoint *endpoint) {
        struct control *control = nb_container_of(endpoint, struct control, endpoint);
        int r;

        if (!control->awaits_listen)
                return endpoint_resume(endpoint);
        if (control->n_resumed >= RESUMED_MAX && endpoint_has_unread(endpoint))
                return 0;
        r = endpoint_send_resumed(endpoint);
        if (r < 0)
                return r;
        control->n_resumed++;
        control_keep(control);
        return 0;
}
