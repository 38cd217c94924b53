/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/control_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "broker/bound.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/connector.h"
#include "broker/datagram.h"
#include "broker/decision.h"
#include "broker/name_connect.h"
#include "broker/proxy_dial.h"
#include "broker/refusal.h"
#include "broker/relayed.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/socket.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"
#include "policy/host_name.h"

/* Connect: judging, paying, dialling. What is connected is control_connected.c's. */

/* ---- through proxies ---- */

static bool is_proxied(const struct control *control) {
        return control->grant->policy && control->grant->policy->proxy.n_hops > 0;
}

static int answer_proxied(struct control *control, int r, const struct proxy_result *result) {
        const char *name = result->name[0] != '\0' ? result->name : NULL;
        struct asker asker = control_asker(control);

        if (r == 0)
                return control_proceed(control, result->fd, &result->peer, &result->way, name);
        control_set_state(control, CONTROL_IDLE);
        control->grant->tenant->metrics.connects_failed++;
        decision_record_relay_failure(&asker, POLICY_CONNECT, name, result->peer.family != 0 ? &result->peer : NULL,
                                      NULL, result->reason[0] != '\0' ? result->reason : strerror(-r));
        return endpoint_refuse(&control->endpoint, nb_wasi_errno_from_host(-r), result->reason);
}

static void proxied(void *data, int r, const struct proxy_result *dial_result) {
        struct control *control = data;
        const struct proxy_result result = *dial_result;

        control->proxying = proxy_dial_free(control->proxying);
        control_end_if_failed(control, answer_proxied(control, r, &result));
}

/* @param peer  what was judged; family 0: the proxy resolves the name @param name  with its port; NULL for an address */
static int start_proxying(struct control *control, const struct nb_socket_address *peer, const char *name) {
        const struct proxy_dial_options options = {
                .grant = control->grant,
                .peer = peer,
                .name = name,
                .timeout_ms = control_time_left(control),
                .function = proxied,
                .data = control,
        };
        struct proxy_result result = { .fd = -1, .peer = *peer };
        int r = control_is_of_this_policy(control) && is_proxied(control)
                        ? proxy_dial_start(&options, &result, &control->proxying)
                        : -EAGAIN;

        return control->proxying ? 0 : answer_proxied(control, r, &result);
}

static int answer_dialled(struct control *control, int r, int fd, const struct nb_socket_address *peer) {
        if (r == 0)
                return control_proceed(control, fd, peer, NULL, NULL);
        control_set_state(control, CONTROL_IDLE);
        return control_answer_failed(control, peer, r);
}

static void dialled(void *data, int error, int fd) {
        struct control *control = data;
        struct nb_socket_address peer = *connector_address(control->connector);

        control->connector = connector_free(control->connector);
        control_end_if_failed(control, answer_dialled(control, -error, fd, &peer));
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
                return socket_new(family, control_socket_type(control));
        if (control->socket_fd >= 0)
                return take_socket(control);
        /* A reload with Existing=keep leaves the control alone, but binds nothing new. */
        if (!control_is_granted(control, POLICY_LISTEN, &bind))
                return -EACCES;
        /* The path of the one before is in the way, though its socket is used up. */
        control->file = unix_file_free(control->file);
        return bound_new(&asker, control_socket_type(control), &bind, &control->file);
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
                .broker = control->endpoint.session->broker,
                .watches = &control->grant->tenant->throttle.sockets,
                .address = address,
                .timeout_ms = control->grant->policy->connect_timeout_ms,
                .function = dialled,
                .data = control,
        };
        bool is_datagram = control_socket_type(control) == POLICY_SOCKET_DGRAM;
        NB_CLEANUP_FD int connected_fd = -1;
        int fd = socket_for(control, address->family);
        int r;

        if (fd < 0)
                return fd;
        r = connector_start(&options, fd, &connected_fd, &control->connector);
        /* There is no handshake: such a socket is connected at once, or not at all. */
        if (is_datagram && control->connector) {
                control->connector = connector_free(control->connector);
                return -EAGAIN;
        }
        if (r == 0 && is_datagram)
                r = address->family == AF_UNIX ? datagram_take_from_unix(connected_fd)
                                               : datagram_take_from(connected_fd, &address->ip);
        if (r < 0)
                return r;
        *ret_fd = nb_steal_fd(&connected_fd);
        return 0;
}

/* Takes what a connect costs, or says why it cannot be had: the errno for the guest is in the answer. */
static int claim_connect(struct control *control, const char **ret_reason) {
        int r = control_needs_relay(control) ? relay_check_there(control->grant->tenant) : 0;

        if (r < 0) {
                *ret_reason = "the tenant's relay has ended, and another one is started in a moment";
                return r;
        }
        r = connection_demand_room(control->grant->tenant);
        if (r < 0) {
                *ret_reason = r == -ENOBUFS ? "the tenant's connections have as many bytes in flight as they may have"
                                            : "the tenant has as many connections as it may have";
                return r;
        }
        r = quota_take_connect(control->grant->tenant);
        if (r < 0) {
                *ret_reason = "ConnectRate= allows no more connects at the moment";
                return r;
        }
        r = control_claim(control->token, control->grant->tenant, ACCOUNT_CONNECTS);
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
                *ret_answer = control_refuse(control, "connect", NULL, nb_wasi_errno_from_host(-r), reason);
                return false;
        }
        control_set_state(control, CONTROL_CONNECTING);
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
                control_set_state(control, CONTROL_IDLE);
                return control_answer_relayed(control, 0, result->relayed);
        }
        if (r == 0 && result->fd < 0)
                return start_proxying(control, &result->peer, result->name);
        if (r == 0)
                return control_proceed(control, result->fd, &result->peer, NULL, result->name);
        control_set_state(control, CONTROL_IDLE);
        if (result->peer.family != 0 && !result->recorded)
                return control_answer_not_relayed(control, &result->peer, result->name, r);
        control->grant->tenant->metrics.connects_failed++;
        if (result->limited)
                return control_refuse(control, "connect", result->name, error, result->reason);
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
        control_end_if_failed(control, answer);
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
                return control_refuse(control, "connect", text, NB_WASI_EINVAL, "neither an address nor a host name");
        if (!find_family(control, &family))
                return control_refuse(control, "connect", text, NB_WASI_EAFNOSUPPORT,
                                      "the control has no family that names lead to");
        decide_name(&asker, &name, text, &verdict);
        if (!verdict.allowed)
                return endpoint_refuse(&control->endpoint, NB_WASI_EACCES, verdict.reason);
        return is_proxied(control) && control->grant->policy->proxy.resolves ? start_resolving_proxy(control, &name)
                                                                             : start_naming(control, &name, family);
}

int control_request_connect(struct control *control, const Nb__Connect *connect) {
        struct asker asker = control_asker(control);
        struct nb_socket_address address;
        struct policy_verdict verdict;

        if (control->state == CONTROL_CONNECTING)
                return -EPROTO;
        if (control->state == CONTROL_LISTENING)
                return control_refuse(control, "connect", connect->address, NB_WASI_EINVAL, "the control listens");
        if (!(control->rights_base & NB_RIGHT_SOCK_CONNECT))
                return control_refuse(control, "connect", connect->address, NB_WASI_ENOTCAPABLE, REFUSAL_NO_RIGHT);
        if (!control_has_its_transport(control))
                return control_refuse(control, "connect", connect->address, NB_WASI_EACCES, CONTROL_OTHER_TRANSPORT);
        if (is_proxied(control) && !control->bind_is_open)
                return control_refuse(control, "connect", connect->address, NB_WASI_ENOTSUP,
                                      "the control is bound, and what goes through a proxy cannot be");
        if (parse_peer(connect->address, &address) < 0)
                return request_connect_name(control, connect->address);
        if (!family_fits(control->grant, address.family) || !bind_reaches(control, address.family))
                return control_refuse(control, "connect", connect->address, NB_WASI_EAFNOSUPPORT,
                                      "the family of the address is not the control's");
        decide(&asker, POLICY_CONNECT, &address, connect->address, &verdict);
        if (!verdict.allowed)
                return endpoint_refuse(&control->endpoint, NB_WASI_EACCES, verdict.reason);
        address = decision_reached(&address);
        return start_connecting(control, &address);
}
