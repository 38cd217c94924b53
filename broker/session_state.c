/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/session_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/restriction.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/tenant.h"

static char *text(char *value) {
        return value ? value : (char *)"";
}

void session_state_describe(const struct kept *kept, struct kept_sink *sink) {
        const struct endpoint *endpoint = nb_container_of(kept, const struct endpoint, kept);
        const struct session *session = endpoint->session;
        const struct identity *identity = &session->identity;
        struct restriction_state narrowings;
        Nb__State__Session body = NB__STATE__SESSION__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are not as the message has them");
        body.id = session->id;
        body.tenant = session->tenant->name;
        body.label = session->label;
        body.uid = identity->uid;
        body.gid = identity->gid;
        body.pid = identity->pid;
        body.groups = identity->groups;
        body.n_groups = identity->n_groups;
        body.unit = text(identity->unit);
        body.socket_tenant = text(identity->tenant);
        body.socket_path = text(identity->socket);
        body.narrowings = session_token_describe(session->token, session->narrowings, &narrowings);
        item.body_case = NB__STATE__ITEM__BODY_SESSION;
        item.session = &body;
        kept_sink_give(sink, &item, &endpoint->fd, endpoint->fd >= 0 ? 1 : 0);
}

/* @param ret  NULL for an empty text */
static int copy_text(const char *value, char **ret) {
        *ret = *value ? strdup(value) : NULL;
        return *value && !*ret ? -ENOMEM : 0;
}

static int copy_groups(const Nb__State__Session *state, struct identity *identity) {
        if (state->n_groups > IDENTITY_GROUPS_MAX)
                return -EBADMSG;
        if (state->n_groups == 0)
                return 0;
        identity->groups = malloc(state->n_groups * sizeof(identity->groups[0]));
        if (!identity->groups)
                return -ENOMEM;
        memcpy(identity->groups, state->groups, state->n_groups * sizeof(identity->groups[0]));
        identity->n_groups = state->n_groups;
        return 0;
}

static void cleanup_identity(struct identity *identity) {
        identity_deinit(identity);
}

int session_state_identity(const Nb__State__Session *state, struct identity *ret) {
        NB_CLEANUP(cleanup_identity)
        struct identity identity = { .uid = state->uid, .gid = state->gid, .pid = state->pid };
        int r;

        /* A session that came by a tenant's own socket is judged by both. */
        if (!*state->socket_tenant != !*state->socket_path)
                return -EBADMSG;
        r = copy_groups(state, &identity);
        if (r == 0)
                r = copy_text(state->unit, &identity.unit);
        if (r == 0)
                r = copy_text(state->socket_tenant, &identity.tenant);
        if (r == 0)
                r = copy_text(state->socket_path, &identity.socket);
        if (r < 0)
                return r;
        *ret = identity;
        identity = (struct identity){ .inherited = false };
        return 0;
}
