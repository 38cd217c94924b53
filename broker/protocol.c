/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/protocol.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "broker/open.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "policy/narrowing.h"

struct protocol {
        struct endpoint endpoint;
        struct grant *grant;           /* borrowed from the tenant */
        struct narrowings *narrowings; /* a reference; NULL: none */
        uint64_t rights_inheriting;
};

static int protocol_request(struct endpoint *endpoint, const Nb__Request *request) {
        struct protocol *protocol = nb_container_of(endpoint, struct protocol, endpoint);

        if (request->body_case != NB__REQUEST__BODY_OPEN)
                return -EPROTO;
        return open_control(endpoint, protocol->grant, protocol->narrowings, protocol->rights_inheriting,
                            request->open);
}

static struct protocol *protocol_free(struct protocol *protocol) {
        if (!protocol)
                return NULL;
        account_release(&protocol->grant->tenant->account, ACCOUNT_PROTOCOLS, 1);
        protocol->narrowings = narrowings_unref(protocol->narrowings);
        free(protocol);
        return NULL;
}

static void protocol_endpoint_free(struct endpoint *endpoint) {
        (void)protocol_free(nb_container_of(endpoint, struct protocol, endpoint));
}

/* A protocol does nothing by itself. */
static void protocol_endpoint_stop(struct endpoint *endpoint) {
        (void)endpoint;
}

static void cleanup_protocol(struct protocol **protocol) {
        (void)protocol_free(*protocol);
}

static void protocol_policy_changed(struct endpoint *endpoint) {
        struct protocol *protocol = nb_container_of(endpoint, struct protocol, endpoint);

        if (!protocol->grant->policy)
                endpoint_end(endpoint);
}

static const struct grant *protocol_grant(const struct endpoint *endpoint) {
        return nb_container_of(endpoint, struct protocol, endpoint)->grant;
}

static const struct endpoint_ops protocol_ops = {
        .kind = "protocol",
        .request = protocol_request,
        .stop = protocol_endpoint_stop,
        .free = protocol_endpoint_free,
        .policy_changed = protocol_policy_changed,
        .grant = protocol_grant,
};

/* A protocol that has no channel yet. */
static int new_unpublished(struct grant *grant, struct protocol **ret) {
        struct protocol *protocol;
        int r = quota_claim(grant->tenant, ACCOUNT_PROTOCOLS);

        if (r < 0)
                return r;
        protocol = calloc(1, sizeof(*protocol));
        if (!protocol) {
                account_release(&grant->tenant->account, ACCOUNT_PROTOCOLS, 1);
                return -ENOMEM;
        }
        protocol->grant = grant;
        protocol->rights_inheriting = NB_RIGHTS_NETWORK;
        *ret = protocol;
        return 0;
}

int protocol_new(struct session *session, const struct policy_protocol *policy, int *ret_fd) {
        NB_CLEANUP(cleanup_protocol) struct protocol *protocol = NULL;
        struct grant *grant = tenant_get_grant(session->tenant, policy);
        int r;

        if (!grant)
                return -ENOMEM;
        r = new_unpublished(grant, &protocol);
        if (r < 0)
                return r;
        protocol->narrowings = narrowings_ref(session->narrowings);
        r = endpoint_start_pair(&protocol->endpoint, session, &protocol_ops, ret_fd);
        if (r < 0)
                return r;
        protocol->endpoint.came_with_welcome = true;
        (void)nb_steal_ptr(protocol);
        return 0;
}
