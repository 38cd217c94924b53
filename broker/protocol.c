/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/protocol.h"

#include <errno.h>
#include <stdlib.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/control.h"
#include "broker/session.h"
#include "broker/tenant.h"

struct protocol {
        struct endpoint endpoint;
        struct grant *grant; /* borrowed from the tenant */
        uint64_t rights_inheriting;
};

static int protocol_request(struct endpoint *endpoint, const Nb__Request *request) {
        struct protocol *protocol = nb_container_of(endpoint, struct protocol, endpoint);

        if (request->body_case != NB__REQUEST__BODY_OPEN)
                return -EPROTO;
        return control_open(endpoint, protocol->grant, protocol->rights_inheriting, request->open);
}

static void protocol_free(struct endpoint *endpoint) {
        free(nb_container_of(endpoint, struct protocol, endpoint));
}

static void protocol_policy_changed(struct endpoint *endpoint) {
        struct protocol *protocol = nb_container_of(endpoint, struct protocol, endpoint);

        if (!protocol->grant->policy)
                endpoint_end(endpoint);
}

static const struct endpoint_ops protocol_ops = {
        .kind = "protocol",
        .request = protocol_request,
        .free = protocol_free,
        .policy_changed = protocol_policy_changed,
};

int protocol_new(struct session *session, const struct policy_protocol *policy, int *ret_fd) {
        NB_CLEANUP_FREE struct protocol *protocol = calloc(1, sizeof(*protocol));
        NB_CLEANUP_FD int ours = -1, theirs = -1;
        int pair[2], r;

        if (!protocol)
                return -ENOMEM;
        protocol->grant = tenant_get_grant(session->tenant, policy);
        if (!protocol->grant)
                return -ENOMEM;
        protocol->rights_inheriting = NB_RIGHTS_NETWORK;
        r = nb_channel_pair(pair);
        if (r < 0)
                return r;
        ours = pair[0];
        theirs = pair[1];
        r = endpoint_start(&protocol->endpoint, session, &protocol_ops, ours);
        if (r < 0)
                return r;
        (void)nb_steal_fd(&ours);
        (void)nb_steal_ptr(protocol);
        *ret_fd = nb_steal_fd(&theirs);
        return 0;
}
