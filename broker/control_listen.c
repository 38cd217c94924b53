/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/control_parts.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "broker/acceptor.h"
#include "broker/bound.h"
#include "broker/datagram_server.h"
#include "broker/decision.h"
#include "broker/quic_server.h"
#include "broker/refusal.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"

/* Listen and Credit. */

/* The longest backlog that is asked of the kernel, which caps it by net.core.somaxconn itself. */
#define BACKLOG_MAX 65535

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
        control->socket_fd = bound_new(&asker, control_socket_type(control), &control->bind, &control->file);
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
        if (control_socket_type(control) == POLICY_SOCKET_DGRAM)
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
        int r = control_claim(control->token, control->grant->tenant, ACCOUNT_LISTENERS);

        if (r < 0)
                return r;
        control_set_state(control, CONTROL_LISTENING);
        r = make_acceptor(control, listen_request);
        if (r < 0)
                control_set_state(control, CONTROL_IDLE);
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
        return r < 0 ? control_refuse_errno(control, "listen", &control->bind, r)
                     : answer_and_accept(control, listen_request);
}

int control_request_listen(struct control *control, const Nb__Listen *listen_request) {
        struct asker asker = control_asker(control);
        struct policy_verdict verdict;
        int r;

        if (control->state == CONTROL_CONNECTING)
                return -EPROTO;
        if (control->state == CONTROL_LISTENING)
                return listen_again(control, listen_request);
        if (control->has_connected && !control->bind_is_open)
                return control_refuse(control, "listen", NULL, NB_WASI_EISCONN, "the control has connected");
        if (!(control->rights_base & NB_RIGHT_SOCK_LISTEN))
                return control_refuse(control, "listen", NULL, NB_WASI_ENOTCAPABLE, REFUSAL_NO_RIGHT);
        if (!control_has_its_transport(control))
                return control_refuse(control, "listen", NULL, NB_WASI_EACCES, CONTROL_OTHER_TRANSPORT);
        decide(&asker, POLICY_LISTEN, &control->bind, NULL, &verdict);
        if (!verdict.allowed)
                return endpoint_refuse(&control->endpoint, NB_WASI_EACCES, verdict.reason);
        r = start_listening(control, listen_request);
        if (r == -EKEYREJECTED)
                return control_refuse(control, "listen", NULL, NB_WASI_EACCES, CONTROL_UNUSABLE_FILES);
        return r < 0 ? control_refuse_errno(control, "listen", &control->bind, r)
                     : answer_and_accept(control, listen_request);
}

int control_request_credit(struct control *control, const Nb__Credit *credit) {
        if (control->awaits_listen)
                return 0;
        return control->state == CONTROL_LISTENING ? set_credit(control, credit->total) : -EPROTO;
}
