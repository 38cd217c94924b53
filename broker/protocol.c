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

static void protocol_describe(const struct kept *kept, struct kept_sink *sink) {
        const struct endpoint *endpoint = nb_container_of(kept, const struct endpoint, kept);
        const struct protocol *protocol = nb_container_of(endpoint, const struct protocol, endpoint);
        Nb__State__Protocol body = NB__STATE__PROTOCOL__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        body.session = endpoint->session->id;
        body.name = protocol->grant->name;
        body.rights_inheriting = protocol->rights_inheriting;
        item.body_case = NB__STATE__ITEM__BODY_PROTOCOL;
        item.protocol = &body;
        kept_sink_give(sink, &item, &endpoint->fd, 1);
}

static const struct endpoint_ops protocol_ops = {
        .kind = "protocol",
        .request = protocol_request,
        .stop = protocol_endpoint_stop,
        .free = protocol_endpoint_free,
        .policy_changed = protocol_policy_changed,
        .grant = protocol_grant,
        .resume = endpoint_resume,
        .kept = { .describe = protocol_describe },
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
        endpoint_keep(&protocol->endpoint);
        (void)nb_steal_ptr(protocol);
        return 0;
}

int protocol_restore(struct session *session, struct kept_item *item) {
        const Nb__State__Protocol *state = item->item->protocol;
        NB_CLEANUP(cleanup_protocol) struct protocol *protocol = NULL;
        struct grant *grant = tenant_get_grant_named(session->tenant, state->name, false);
        int r;

        if (!grant)
                return -ENOMEM;
        protocol = calloc(1, sizeof(*protocol));
        if (!protocol)
                return -ENOMEM;
        account_restore(&grant->tenant->account, ACCOUNT_PROTOCOLS, 1);
        protocol->grant = grant;
        protocol->rights_inheriting = state->rights_inheriting;
        r = endpoint_restore(&protocol->endpoint, session, &protocol_ops, item);
        if (r < 0)
                return r;
        protocol->endpoint.came_with_welcome = true;
        (void)nb_steal_ptr(protocol);
        return 0;
}
