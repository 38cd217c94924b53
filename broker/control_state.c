/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/control_state.h"

#include <errno.h>
#include <string.h>

#include "broker/acceptor.h"
#include "broker/control.h"
#include "broker/datagram_server.h"
#include "broker/quic_server.h"
#include "broker/restriction.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"
#include "proto/frame.h"

bool control_state_is_kept(const struct control *control) {
        return control->grant->preopen || !control->bind_is_open;
}

/* ---- describing ---- */

static int socket_of(const struct control *control) {
        if (control->acceptor)
                return acceptor_fd(control->acceptor);
        if (control->server)
                return datagram_server_fd(control->server);
        if (control->quic_server)
                return quic_server_fd(control->quic_server);
        return control->socket_fd;
}

/* The channel; the socket; a peer that waits. @return how many */
static size_t list_fds(const struct control *control, Nb__State__Control *body, int fds[static KEPT_FDS_MAX]) {
        int socket_fd = socket_of(control);
        int pending_fd = control->acceptor ? acceptor_pending_fd(control->acceptor) : -1;
        size_t n = 0;

        fds[n++] = control->endpoint.fd;
        if (socket_fd >= 0)
                fds[n++] = socket_fd;
        if (pending_fd >= 0)
                fds[n++] = pending_fd;
        body->has_socket = socket_fd >= 0;
        body->has_pending = pending_fd >= 0;
        return n;
}

/* @param buffer  what `file` points to from then on */
static void describe_file(const struct unix_file *file, Nb__State__Control *body) {
        if (!file)
                return;
        body->file = (char *)unix_file_name(file)->text;
        unix_file_identify(file, &body->file_device, &body->file_inode);
}

void control_state_describe(const struct kept *kept, struct kept_sink *sink) {
        const struct endpoint *endpoint = nb_container_of(kept, const struct endpoint, kept);
        const struct control *control = nb_container_of(endpoint, const struct control, endpoint);
        char bind[NB_SOCKET_ADDRESS_TEXT_MAX], destination[NB_SOCKET_ADDRESS_TEXT_MAX];
        Nb__State__Control body = NB__STATE__CONTROL__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;
        struct restriction_state narrowings;
        int fds[KEPT_FDS_MAX];

        body.session = endpoint->session->id;
        body.delegation = endpoint->delegation;
        body.narrowings = restriction_describe(control->narrowings, &narrowings);
        body.protocol = control->grant->name;
        body.preopen = control->grant->preopen;
        body.type = control->type == POLICY_SOCKET_DGRAM ? NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM
                                                         : NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
        body.is_quic = control->is_quic;
        body.rights_base = control->rights_base;
        body.bind = (char *)nb_socket_address_format(&control->bind, bind);
        body.bind_is_open = control->bind_is_open;
        body.listening = control->state == CONTROL_LISTENING || control->awaits_listen;
        body.has_connected = control->has_connected;
        body.resumed = control->n_resumed;
        if (control->destination.family != 0)
                body.destination = (char *)nb_socket_address_format(&control->destination, destination);
        if (control->server)
                body.relay = datagram_server_kept_number(control->server, &body.relay_object);
        if (control->quic_server)
                body.relay = quic_server_kept_number(control->quic_server, &body.relay_object);
        describe_file(control->file, &body);
        item.body_case = NB__STATE__ITEM__BODY_CONTROL;
        item.control = &body;
        kept_sink_give(sink, &item, fds, list_fds(control, &body, fds));
}

/* ---- reading ---- */

static int read_type(uint32_t type, enum policy_socket_type *ret) {
        switch (type) {
        case NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM:
                *ret = POLICY_SOCKET_DGRAM;
                return 0;
        case NB__SOCKET_TYPE__SOCKET_TYPE_STREAM:
                *ret = POLICY_SOCKET_STREAM;
                return 0;
        default:
                return -EBADMSG;
        }
}

static int read_address(const char *text, struct nb_socket_address *ret) {
        return nb_socket_address_parse(text, strlen(text), ret) < 0 ? -EBADMSG : 0;
}

int control_state_read(const Nb__State__Control *state, struct control *control) {
        int r = read_type(state->type, &control->type);

        if (r == 0)
                r = read_address(state->bind, &control->bind);
        if (r == 0 && *state->destination)
                r = read_address(state->destination, &control->destination);
        if (r < 0)
                return r;
        control->is_quic = state->is_quic;
        control->rights_base = state->rights_base;
        control->bind_is_open = state->bind_is_open;
        control->has_connected = state->has_connected;
        control->awaits_listen = state->listening;
        control->n_resumed = state->resumed;
        return 0;
}
