/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/control_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/acceptor.h"
#include "broker/broker.h"
#include "broker/control_state.h"
#include "broker/datagram_server.h"
#include "broker/protocol.h"
#include "broker/quic_server.h"
#include "broker/restriction.h"
#include "broker/seal.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"

/* A control that comes back after a restart of the broker (broker/restore.h). */

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
        account_restore(&control->grant->tenant->account, ACCOUNT_CONTROLS, 1);
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
        account_restore(&control->grant->tenant->account, ACCOUNT_LISTENERS, 1);
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
        if (state->listening && control_socket_type(control) == POLICY_SOCKET_DGRAM) {
                r = restore_server(control, state);
                /* That one is its relay's. */
                if (r < 0 || control->socket_fd < 0)
                        return r;
        }
        r = seal_own(control->endpoint.session->broker, control->socket_fd);
        control->is_unsealed = !seal_covers(control->endpoint.session->broker, control->socket_fd);
        if (r < 0 || !state->listening || control_socket_type(control) == POLICY_SOCKET_DGRAM)
                return r;
        pending_fd = state->has_pending ? nb_steal_fd(&item->fds[2]) : -1;
        return restore_acceptor(control, pending_fd);
}

int control_restore(struct session *session, struct kept_item *item) {
        const Nb__State__Control *state = item->item->control;
        NB_CLEANUP(control_cleanup) struct control *control = NULL;
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
 * there need not be another: Listen is said again when they are read, with too low a number, and then there is one.
 */
#define RESUMED_MAX 16

/* Behind connections that were pushed and are not read yet, Resumed has to be said all the same. */
int control_resume(struct endpoint *endpoint) {
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
