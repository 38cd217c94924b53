/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/accepted.h"

#include "broker/control.h"
#include "broker/security.h"

int accepted_push(struct control *control, const struct accepted *accepted) {
        Nb__Accepted message = NB__ACCEPTED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        struct security_view security;
        char peer[NB_SOCKET_ADDRESS_TEXT_MAX];

        message.number = accepted->number;
        message.peer = (char *)nb_socket_address_format(accepted->peer, peer);
        message.local = (char *)accepted->local;
        message.security = security_view(&security, accepted->security);
        message.multiplexed = accepted->multiplexed;
        reply.body_case = NB__REPLY__BODY_ACCEPTED;
        reply.accepted = &message;
        return endpoint_push(&control->endpoint, &reply, accepted->fd);
}
