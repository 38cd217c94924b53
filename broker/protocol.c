/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/decision.h"
#include "broker/open.h"
#include "broker/refusal.h"
#include "broker/restriction.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/tenant.h"
#include "policy/narrowing.h"

struct protocol {
        struct endpoint endpoint;
        struct grant *grant;           /* borrowed from the tenant */
        struct narrowings *narrowings; /* a reference; NULL: none */
        struct session_token
                *token; /* of its session, a reference, for the quotas of one that is restricted; NULL: none */
        uint64_t rights_base;
        uint64_t rights_inheriting;
        bool is_restricted; /* made by a host (broker/restriction.h), and not by the policy; counts as a control, too */
};

static int protocol_request(struct endpoint *endpoint, const Nb__Request *request);

static struct protocol *protocol_free(struct protocol *protocol) {
        if (!protocol)
                return NULL;
        if (protocol->is_restricted) {
                account_release(&protocol->grant->tenant->account, ACCOUNT_CONTROLS, 1);
                session_token_release(protocol->token, ACCOUNT_CONTROLS);
        }
        protocol->token = session_token_unref(protocol->token);
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
        struct restriction_state narrowings;

        body.session = endpoint->session->id;
        body.name = protocol->grant->name;
        body.narrowings = restriction_describe(protocol->narrowings, &narrowings);
        body.rights_base = protocol->rights_base;
        body.rights_inheriting = protocol->rights_inheriting;
        body.restricted = protocol->is_restricted;
        body.delegation = endpoint->delegation;
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
        protocol->rights_base = NB_RIGHTS_PROTOCOL;
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
        if (state->restricted) {
                account_restore(&grant->tenant->account, ACCOUNT_CONTROLS, 1);
                protocol->token = session_token_ref(session->token);
                session_token_restore(protocol->token, ACCOUNT_CONTROLS);
        }
        protocol->grant = grant;
        protocol->is_restricted = state->restricted;
        protocol->rights_base = state->rights_base;
        protocol->rights_inheriting = state->rights_inheriting;
        r = restriction_restore(session->tenant, state->narrowings, session->narrowings, &protocol->narrowings);
        if (r < 0)
                return r;
        r = endpoint_restore(&protocol->endpoint, session, &protocol_ops, item);
        if (r < 0)
                return r;
        protocol->endpoint.came_with_welcome = !state->restricted;
        session_note_delegation(&protocol->endpoint, state->delegation);
        (void)nb_steal_ptr(protocol);
        return 0;
}

const struct narrowings *protocol_narrowings(const struct session *session, uint64_t delegation) {
        if (delegation == 0)
                return session->narrowings;
        nb_list_foreach_safe(link, &session->endpoints) {
                const struct endpoint *endpoint = nb_container_of(link, const struct endpoint, link);

                if (endpoint->ops == &protocol_ops && endpoint->delegation == delegation)
                        return nb_container_of(endpoint, const struct protocol, endpoint)->narrowings;
        }
        return NULL;
}

/* ---- Restrict ---- */

/* Charged as a control. */
static int new_charged(struct grant *grant, struct protocol **ret) {
        int r = quota_claim(grant->tenant, ACCOUNT_CONTROLS);

        if (r < 0)
                return r;
        r = new_unpublished(grant, ret);
        if (r < 0)
                account_release(&grant->tenant->account, ACCOUNT_CONTROLS, 1);
        return r;
}

/*
 * A protocol without a channel yet, as narrow as its parent.
 * @return 0; -EMFILE: the tenant has as many controls as it may have, or the session by its token; another -errno
 */
static int new_restricted(const struct protocol *parent, struct protocol **ret) {
        struct session_token *token = parent->endpoint.session->token;
        int r = session_token_claim(token, ACCOUNT_CONTROLS);

        if (r < 0)
                return r;
        r = new_charged(parent->grant, ret);
        if (r < 0) {
                session_token_release(token, ACCOUNT_CONTROLS);
                return r;
        }
        (*ret)->token = session_token_ref(token);
        (*ret)->is_restricted = true;
        return 0;
}

/* @param error  filled in on -EINVAL and -E2BIG */
static int narrow(struct protocol *protocol, const struct protocol *parent, const Nb__Restrict *wish,
                  struct narrowing_error *error) {
        protocol->rights_base = parent->rights_base & wish->rights_base;
        protocol->rights_inheriting = parent->rights_inheriting & wish->rights_inheriting;
        if (wish->has_rules)
                return restriction_add(parent->grant->tenant, parent->narrowings, wish->rules, &protocol->narrowings,
                                       error);
        protocol->narrowings = narrowings_ref(parent->narrowings);
        return 0;
}

/* What is wrong with the rules is the guest's business, whatever the policy hides of itself. */
static int refuse_rules(struct protocol *parent, const struct narrowing_error *error) {
        const struct asker asker = { .session = parent->endpoint.session, .grant = parent->grant };
        Nb__Refused refused = NB__REFUSED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        decision_record_refusal(&asker, "restrict", NULL, error->message);
        refused.error = NB_WASI_EINVAL;
        refused.reason = (char *)error->message;
        reply.body_case = NB__REPLY__BODY_REFUSED;
        reply.refused = &refused;
        return endpoint_reply(&parent->endpoint, &reply, -1);
}

static int refuse_restriction(struct protocol *parent, int r, const struct narrowing_error *error) {
        const struct asker asker = { .session = parent->endpoint.session, .grant = parent->grant };

        if (error && (r == -EINVAL || r == -E2BIG))
                return refuse_rules(parent, error);
        return refuse(&parent->endpoint, &asker, "restrict", NULL, nb_wasi_errno_from_host(-r), strerror(-r));
}

static int answer_restricted(struct protocol *parent, const struct protocol *protocol, int their_fd) {
        Nb__Restricted restricted = NB__RESTRICTED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        restricted.rights_base = protocol->rights_base;
        restricted.rights_inheriting = protocol->rights_inheriting;
        reply.body_case = NB__REPLY__BODY_RESTRICTED;
        reply.restricted = &restricted;
        return endpoint_reply(&parent->endpoint, &reply, their_fd);
}

/* Gives the new protocol its channel, of which the other end goes to the host. The protocol is consumed. */
static int publish_restricted(struct protocol *parent, struct protocol *consumed) {
        NB_CLEANUP(cleanup_protocol) struct protocol *unpublished = consumed;
        struct session *session = parent->endpoint.session;
        struct protocol *protocol = consumed;
        NB_CLEANUP_FD int their_fd = -1;
        int r = endpoint_start_pair(&protocol->endpoint, session, &protocol_ops, &their_fd);

        if (r < 0)
                return refuse_restriction(parent, r, NULL);
        (void)nb_steal_ptr(unpublished);
        protocol->endpoint.delegation = ++session->last_delegation;
        endpoint_keep(&protocol->endpoint);
        r = answer_restricted(parent, protocol, their_fd);
        if (r == 0)
                return 0;
        endpoint_end(&protocol->endpoint);
        return r == -ETOOMANYREFS ? endpoint_refuse(&parent->endpoint, NB_WASI_ENFILE, NULL) : r;
}

static int request_restrict(struct protocol *parent, const Nb__Restrict *wish) {
        NB_CLEANUP(cleanup_protocol) struct protocol *protocol = NULL;
        struct narrowing_error error = { .message = "" };
        int r;

        if (strlen(wish->rules) > NB_RULES_LENGTH_MAX)
                return -EPROTO;
        r = new_restricted(parent, &protocol);
        if (r == 0)
                r = narrow(protocol, parent, wish, &error);
        if (r < 0)
                return refuse_restriction(parent, r, &error);
        return publish_restricted(parent, nb_steal_ptr(protocol));
}

/* ---- Describe ---- */

static int request_describe(struct protocol *protocol, const Nb__Describe *wish) {
        Nb__Described described = NB__DESCRIBED__INIT;
        Nb__Protocol message = NB__PROTOCOL__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        if (wish->oldest_version > NB_PROTOCOL_VERSION || wish->newest_version < NB_PROTOCOL_VERSION)
                return endpoint_refuse(&protocol->endpoint, NB_WASI_EPROTONOSUPPORT, NULL);
        message.name = protocol->grant->name;
        message.rights_base = protocol->rights_base;
        message.rights_inheriting = protocol->rights_inheriting;
        described.version = NB_PROTOCOL_VERSION;
        described.tenant = protocol->grant->tenant->name;
        described.protocol = &message;
        reply.body_case = NB__REPLY__BODY_DESCRIBED;
        reply.described = &described;
        return endpoint_reply(&protocol->endpoint, &reply, -1);
}

static int request_open(struct protocol *protocol, const Nb__Open *open) {
        const struct asker asker = { .session = protocol->endpoint.session, .grant = protocol->grant };

        if (!(protocol->rights_base & NB_RIGHT_SOCK_BIND))
                return refuse(&protocol->endpoint, &asker, "open", open->address, NB_WASI_ENOTCAPABLE,
                              REFUSAL_NO_RIGHT);
        return open_control(&protocol->endpoint, protocol->grant, protocol->narrowings, protocol->rights_inheriting,
                            open);
}

static int protocol_request(struct endpoint *endpoint, const Nb__Request *request) {
        struct protocol *protocol = nb_container_of(endpoint, struct protocol, endpoint);

        switch (request->body_case) {
        case NB__REQUEST__BODY_OPEN:
                return request_open(protocol, request->open);
        case NB__REQUEST__BODY_RESTRICT_PROTOCOL:
                return request_restrict(protocol, request->restrict_protocol);
        case NB__REQUEST__BODY_DESCRIBE:
                return request_describe(protocol, request->describe);
        default:
                return -EPROTO;
        }
}
