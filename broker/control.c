/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "broker/acceptor.h"
#include "broker/broker.h"
#include "broker/connector.h"
#include "broker/decision.h"
#include "broker/session.h"
#include "broker/socket.h"
#include "broker/tenant.h"

/* The longest backlog that is asked of the kernel, which caps it by net.core.somaxconn itself. */
#define BACKLOG_MAX 65535

/* Why an operation is refused whose right is missing. */
#define NO_RIGHT "the right is missing"

static int control_request(struct endpoint *endpoint, const Nb__Request *request);
static void control_endpoint_stop(struct endpoint *endpoint);
static void control_endpoint_free(struct endpoint *endpoint);
static void control_policy_changed(struct endpoint *endpoint);

static const struct endpoint_ops control_ops = {
        .kind = "control",
        .request = control_request,
        .stop = control_endpoint_stop,
        .free = control_endpoint_free,
        .policy_changed = control_policy_changed,
};

static struct session *session_of(const struct control *control) {
        return control->endpoint.session;
}

static struct account *account_of(const struct control *control) {
        return &control->grant->tenant->account;
}

/* The one setter of the state; a connect under way is charged for as long as it lasts. */
static void set_state(struct control *control, enum control_state state) {
        if (control->state == CONTROL_CONNECTING && state != CONTROL_CONNECTING)
                account_release(account_of(control), ACCOUNT_CONNECTS, 1);
        control->state = state;
}

/* Refuses with an errno. A limit, and what this process may not do, are the operator's matter and leave a record. */
static int refuse_errno(struct endpoint *endpoint, const struct grant *grant, const char *verb, int r) {
        if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM || r == -EACCES || r == -EPERM)
                decision_record_refusal(endpoint->session, grant, verb, NULL, strerror(-r));
        return endpoint_refuse(endpoint, nb_wasi_errno_from_host(-r), NULL);
}

/* Refuses for a cause that is no rule's, with a record. */
static int refuse(struct endpoint *endpoint, const struct grant *grant, const char *verb, const char *asked,
                  enum nb_wasi_errno error, const char *reason) {
        decision_record_refusal(endpoint->session, grant, verb, asked, reason);
        return endpoint_refuse(endpoint, error, reason);
}

static int refuse_recorded(struct control *control, const char *verb, const char *asked, enum nb_wasi_errno error,
                           const char *reason) {
        return refuse(&control->endpoint, control->grant, verb, asked, error, reason);
}

/* A grant that the policy no longer has is denied by decide(), whatever the family. */
static bool family_fits(const struct grant *grant, sa_family_t family) {
        return !grant->policy || policy_family_includes(grant->policy->family, family);
}

/* An IPv6 wildcard serves IPv4 too only where the policy grants both wildcards. */
static bool wants_dual_stack(const struct control *control, const struct nb_address *bind) {
        const struct nb_address ipv4 = { .ip = { .family = AF_INET }, .port = bind->port };
        struct policy_verdict verdict;

        if (bind->ip.family != AF_INET6 || !nb_ip_is_unspecified(&bind->ip) || !family_fits(control->grant, AF_INET))
                return false;
        decide_again(control->grant, POLICY_LISTEN, &ipv4, &verdict);
        return verdict.allowed;
}

/* A socket bound to `bind`, which gets the port that the kernel chose; it is untouched on failure. */
static int new_bound_socket(const struct control *control, struct nb_address *bind) {
        NB_CLEANUP_FD int fd = socket_new_stream(bind->ip.family);
        struct nb_address bound = *bind;
        struct policy_verdict verdict;
        int r;

        if (fd < 0)
                return fd;
        r = socket_bind(fd, &bound, wants_dual_stack(control, bind));
        if (r < 0)
                return r;
        /* What was judged may have left the port open; what the kernel chose may be one that a Deny rule names. */
        decide_again(control->grant, POLICY_LISTEN, &bound, &verdict);
        if (!verdict.allowed)
                return -EACCES;
        *bind = bound;
        return nb_steal_fd(&fd);
}

/* Such an address binds nothing before the control is used. */
static bool is_open_address(const struct nb_address *address) {
        return nb_ip_is_unspecified(&address->ip) && address->port == 0;
}

/* Ends what the control does; what it has pushed stays charged. */
static void control_endpoint_stop(struct endpoint *endpoint) {
        struct control *control = nb_container_of(endpoint, struct control, endpoint);

        control->connector = connector_free(control->connector);
        control->socket_fd = nb_fd_close(control->socket_fd);
        if (control->acceptor)
                acceptor_stop(control->acceptor);
        set_state(control, CONTROL_IDLE);
}

static struct control *control_free(struct control *control) {
        if (!control)
                return NULL;
        control_endpoint_stop(&control->endpoint);
        control->acceptor = acceptor_free(control->acceptor);
        account_release(account_of(control), ACCOUNT_CONTROLS, 1);
        free(control);
        return NULL;
}

static void control_endpoint_free(struct endpoint *endpoint) {
        (void)control_free(nb_container_of(endpoint, struct control, endpoint));
}

static void cleanup_control(struct control **control) {
        (void)control_free(*control);
}

/* ---- Open ---- */

/* A missing right is refused, one that no control or stream can use is dropped silently. */
static bool narrow_rights(const Nb__Open *open, uint64_t cap, uint64_t *ret_base, uint64_t *ret_inheriting) {
        uint64_t base = open->rights_base & NB_RIGHTS_CONTROL;
        uint64_t inheriting = open->rights_inheriting & (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM);

        if ((base | inheriting) & ~cap)
                return false;
        *ret_base = base;
        *ret_inheriting = inheriting;
        return true;
}

/* A control that has no channel yet, bound if its address asks for that. */
static int control_new(struct grant *grant, const struct nb_address *bind, uint64_t rights_base, struct control **ret) {
        NB_CLEANUP(cleanup_control) struct control *control = NULL;

        if (!account_charge(&grant->tenant->account, ACCOUNT_CONTROLS))
                return -EMFILE;
        control = calloc(1, sizeof(*control));
        if (!control) {
                account_release(&grant->tenant->account, ACCOUNT_CONTROLS, 1);
                return -ENOMEM;
        }
        control->grant = grant;
        control->state = CONTROL_IDLE;
        control->rights_base = rights_base;
        control->bind = *bind;
        control->bind_is_open = is_open_address(bind);
        control->socket_fd = -1;
        if (!control->bind_is_open) {
                control->socket_fd = new_bound_socket(control, &control->bind);
                if (control->socket_fd < 0)
                        return control->socket_fd;
        }
        *ret = nb_steal_ptr(control);
        return 0;
}

/* Gives the control its channel; it is the session's from then on. `consumed` is freed on failure. */
static int publish(struct control *consumed, struct session *session, int *ret_their_fd) {
        NB_CLEANUP(cleanup_control) struct control *control = consumed;
        int r = endpoint_start_pair(&control->endpoint, session, &control_ops, ret_their_fd);

        if (r < 0)
                return r;
        (void)nb_steal_ptr(control);
        return 0;
}

static int answer_opened(struct endpoint *protocol, const struct control *control, uint64_t rights_inheriting,
                         int their_fd) {
        Nb__Opened opened = NB__OPENED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        char text[NB_ADDRESS_TEXT_MAX];

        (void)nb_address_format(&control->bind, text);
        opened.address = text;
        opened.rights_base = control->rights_base;
        opened.rights_inheriting = rights_inheriting;
        reply.body_case = NB__REPLY__BODY_OPENED;
        reply.opened = &opened;
        return endpoint_reply(protocol, &reply, their_fd);
}

/* Whether the policy lets the session bind there; an open address binds nothing, and is judged when it is used. */
static bool bind_is_granted(const struct endpoint *protocol, const struct grant *grant, const struct nb_address *bind,
                            const char *asked, struct policy_verdict *ret) {
        if (is_open_address(bind))
                return true;
        decide(protocol->session, grant, POLICY_LISTEN, bind, asked, ret);
        return ret->allowed;
}

static int refuse_open(struct endpoint *protocol, const struct grant *grant, const Nb__Open *open,
                       enum nb_wasi_errno error, const char *reason) {
        return refuse(protocol, grant, "open", open->address, error, reason);
}

int control_open(struct endpoint *protocol, struct grant *grant, uint64_t rights_cap, const Nb__Open *open) {
        NB_CLEANUP_FD int their_fd = -1;
        uint64_t rights_base, rights_inheriting;
        struct policy_verdict verdict = { 0 };
        struct control *control = NULL;
        struct nb_address bind;
        int r;

        if (open->type != NB__SOCKET_TYPE__SOCKET_TYPE_STREAM)
                return refuse_open(protocol, grant, open, NB_WASI_ENOTSUP, "this protocol has stream sockets only");
        if (nb_address_parse(open->address, strlen(open->address), &bind) < 0)
                return refuse_open(protocol, grant, open, NB_WASI_EINVAL, "not an address");
        nb_ip_unmap(&bind.ip);
        if (!family_fits(grant, bind.ip.family))
                return refuse_open(protocol, grant, open, NB_WASI_EAFNOSUPPORT,
                                   "Family= does not include this address");
        if (!narrow_rights(open, rights_cap, &rights_base, &rights_inheriting))
                return refuse_open(protocol, grant, open, NB_WASI_ENOTCAPABLE, NO_RIGHT);
        if (!bind_is_granted(protocol, grant, &bind, open->address, &verdict))
                return endpoint_refuse(protocol, NB_WASI_EACCES, verdict.reason);

        r = control_new(grant, &bind, rights_base, &control);
        if (r == 0)
                r = publish(control, protocol->session, &their_fd);
        if (r < 0)
                return refuse_errno(protocol, grant, "open", r);
        r = answer_opened(protocol, control, rights_inheriting, their_fd);
        if (r == 0)
                return 0;
        endpoint_end(&control->endpoint);
        return r == -ETOOMANYREFS ? endpoint_refuse(protocol, NB_WASI_ENFILE, NULL) : r;
}

/* ---- Connect ---- */

static int answer_connected(struct control *control, int fd, const struct nb_address *peer) {
        Nb__Connected connected = NB__CONNECTED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        char text[NB_ADDRESS_TEXT_MAX];
        int r;

        connected.peer = (char *)nb_address_format(peer, text);
        reply.body_case = NB__REPLY__BODY_CONNECTED;
        reply.connected = &connected;
        r = endpoint_reply(&control->endpoint, &reply, fd);
        if (r == 0)
                control->has_connected = true;
        return r == -ETOOMANYREFS ? endpoint_refuse(&control->endpoint, NB_WASI_ENFILE, NULL) : r;
}

/* From the connector there is no request whose handler could return this. */
static void end_if_failed(struct control *control, int r) {
        if (r < 0)
                endpoint_end(&control->endpoint);
}

void control_connected(struct control *control, int fd_consumed, const struct nb_address *peer) {
        NB_CLEANUP_FD int fd = fd_consumed;

        set_state(control, CONTROL_IDLE);
        end_if_failed(control, answer_connected(control, fd, peer));
}

void control_connect_failed(struct control *control, int error) {
        set_state(control, CONTROL_IDLE);
        end_if_failed(control, refuse_errno(&control->endpoint, control->grant, "connect", -error));
}

/* The bound socket if it has not been used yet, or another one that is bound to the same address. */
static int socket_for(struct control *control, sa_family_t family) {
        struct nb_address bind = control->bind;

        if (control->bind_is_open)
                return socket_new_stream(family);
        if (control->socket_fd >= 0)
                return nb_steal_fd(&control->socket_fd);
        return new_bound_socket(control, &bind);
}

/* An open IPv6 wildcard can connect to IPv4 as well, as an IPv6 socket of POSIX can by mapped addresses. */
static bool bind_reaches(const struct control *control, sa_family_t family) {
        if (control->bind.ip.family == family)
                return true;
        return control->bind_is_open && control->bind.ip.family == AF_INET6;
}

static int start_connecting(struct control *control, const struct nb_address *address) {
        NB_CLEANUP_FD int connected_fd = -1;
        int fd, r;

        if (!account_charge(account_of(control), ACCOUNT_CONNECTS))
                return refuse_recorded(control, "connect", NULL, NB_WASI_EAGAIN,
                                       "as many connections are being made as may be");
        set_state(control, CONTROL_CONNECTING);
        fd = socket_for(control, address->ip.family);
        r = fd < 0 ? fd
                   : connector_start(control, fd, address, control->grant->policy->connect_timeout_ms, &connected_fd,
                                     &control->connector);
        if (r == 0 && connected_fd < 0)
                return 0;
        set_state(control, CONTROL_IDLE);
        return r < 0 ? refuse_errno(&control->endpoint, control->grant, "connect", r)
                     : answer_connected(control, connected_fd, address);
}

static int request_connect(struct control *control, const Nb__Connect *connect) {
        struct policy_verdict verdict;
        struct nb_address address;

        if (control->state == CONTROL_CONNECTING)
                return -EPROTO;
        if (nb_address_parse(connect->address, strlen(connect->address), &address) < 0)
                return refuse_recorded(control, "connect", connect->address, NB_WASI_EINVAL,
                                       "not an address (names are not resolved by this version)");
        nb_ip_unmap(&address.ip);
        /* Linux would take it for the socket's own address, or loopback: then what is judged must be that. */
        if (nb_ip_is_unspecified(&address.ip))
                nb_ip_set_loopback(&address.ip);
        if (control->state == CONTROL_LISTENING)
                return refuse_recorded(control, "connect", connect->address, NB_WASI_EINVAL, "the control listens");
        if (!(control->rights_base & NB_RIGHT_SOCK_CONNECT))
                return refuse_recorded(control, "connect", connect->address, NB_WASI_ENOTCAPABLE, NO_RIGHT);
        if (!family_fits(control->grant, address.ip.family) || !bind_reaches(control, address.ip.family))
                return refuse_recorded(control, "connect", connect->address, NB_WASI_EAFNOSUPPORT,
                                       "the family of the address is not the control's");
        decide(session_of(control), control->grant, POLICY_CONNECT, &address, connect->address, &verdict);
        if (!verdict.allowed)
                return endpoint_refuse(&control->endpoint, NB_WASI_EACCES, verdict.reason);
        return start_connecting(control, &address);
}

/* ---- Listen and Credit ---- */

static int answer_listening(struct control *control) {
        Nb__Listening listening = NB__LISTENING__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        char text[NB_ADDRESS_TEXT_MAX];

        listening.address = (char *)nb_address_format(&control->bind, text);
        reply.body_case = NB__REPLY__BODY_LISTENING;
        reply.listening = &listening;
        return endpoint_reply(&control->endpoint, &reply, -1);
}

static int backlog_of(const Nb__Listen *listen_request) {
        return (int)(listen_request->backlog < BACKLOG_MAX ? listen_request->backlog : BACKLOG_MAX);
}

/* Binds now what was left open, and listens. */
static int start_listening(struct control *control, const Nb__Listen *listen_request) {
        NB_CLEANUP_FD int fd = -1;

        if (control->socket_fd < 0) {
                control->socket_fd = new_bound_socket(control, &control->bind);
                if (control->socket_fd < 0)
                        return control->socket_fd;
                control->bind_is_open = false;
        }
        fd = nb_steal_fd(&control->socket_fd);
        if (listen(fd, backlog_of(listen_request)) < 0)
                return -errno;
        control->acceptor = acceptor_new(control, fd, listen_request->received);
        if (!control->acceptor)
                return -errno;
        (void)nb_steal_fd(&fd);
        set_state(control, CONTROL_LISTENING);
        return 0;
}

/* The answer goes out before any connection does. */
static int answer_and_accept(struct control *control, const Nb__Listen *listen_request) {
        int r = answer_listening(control);

        return r < 0 ? r : acceptor_set_credit(control->acceptor, listen_request->credit);
}

static int listen_again(struct control *control, const Nb__Listen *listen_request) {
        int r = acceptor_set_backlog(control->acceptor, backlog_of(listen_request));

        return r < 0 ? refuse_errno(&control->endpoint, control->grant, "listen", r)
                     : answer_and_accept(control, listen_request);
}

static int request_listen(struct control *control, const Nb__Listen *listen_request) {
        struct policy_verdict verdict;
        int r;

        if (control->state == CONTROL_CONNECTING)
                return -EPROTO;
        if (control->state == CONTROL_LISTENING)
                return listen_again(control, listen_request);
        if (control->has_connected && !control->bind_is_open)
                return refuse_recorded(control, "listen", NULL, NB_WASI_EISCONN, "the control has connected");
        if (!(control->rights_base & NB_RIGHT_SOCK_LISTEN))
                return refuse_recorded(control, "listen", NULL, NB_WASI_ENOTCAPABLE, NO_RIGHT);
        decide(session_of(control), control->grant, POLICY_LISTEN, &control->bind, NULL, &verdict);
        if (!verdict.allowed)
                return endpoint_refuse(&control->endpoint, NB_WASI_EACCES, verdict.reason);
        r = start_listening(control, listen_request);
        return r < 0 ? refuse_errno(&control->endpoint, control->grant, "listen", r)
                     : answer_and_accept(control, listen_request);
}

static int request_credit(struct control *control, const Nb__Credit *credit) {
        return control->state == CONTROL_LISTENING ? acceptor_set_credit(control->acceptor, credit->total) : -EPROTO;
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

/* Whether what the control does at the moment is still granted. */
static bool is_still_granted(const struct control *control) {
        struct policy_verdict verdict;

        if (!control->grant->policy)
                return false;
        if (control->connector) {
                decide_again(control->grant, POLICY_CONNECT, connector_address(control->connector), &verdict);
                if (!verdict.allowed)
                        return false;
        }
        if (control->bind_is_open)
                return true;
        /* Also without a socket at the moment: the next one is bound to the same address. */
        decide_again(control->grant, POLICY_LISTEN, &control->bind, &verdict);
        return verdict.allowed;
}

static void control_policy_changed(struct endpoint *endpoint) {
        struct control *control = nb_container_of(endpoint, struct control, endpoint);

        if (!is_still_granted(control))
                endpoint_end(endpoint);
}
