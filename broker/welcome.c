/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/welcome.h"

#include <assert.h>

#include "base/channel.h"
#include "broker/open.h"
#include "broker/protocol.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "policy/narrowing.h"

/* What a Welcome is made of. */
struct welcome {
        Nb__Protocol protocols[POLICY_PROTOCOLS_MAX], *protocol_pointers[POLICY_PROTOCOLS_MAX];
        Nb__Preopen preopens[POLICY_PROTOCOLS_MAX], *preopen_pointers[POLICY_PROTOCOLS_MAX];
        char addresses[POLICY_PROTOCOLS_MAX][NB_SOCKET_ADDRESS_TEXT_MAX];
        size_t n_protocols, n_preopens;
        struct nb_channel_fds fds; /* the other ends of all channels, in this order */
};

static int add_protocol(struct session *session, const struct policy_protocol *policy, struct welcome *welcome) {
        Nb__Protocol *protocol = &welcome->protocols[welcome->n_protocols];
        int r = protocol_new(session, policy, &welcome->fds.fds[welcome->fds.n]);

        if (r < 0)
                return r;
        nb__protocol__init(protocol);
        protocol->name = policy->name;
        protocol->rights_base = NB_RIGHTS_PROTOCOL;
        protocol->rights_inheriting = NB_RIGHTS_NETWORK;
        welcome->protocol_pointers[welcome->n_protocols++] = protocol;
        welcome->fds.n++;
        return 0;
}

static int add_preopen(struct session *session, const struct policy_preopen *policy, struct welcome *welcome) {
        size_t i = welcome->n_preopens;
        int r = open_preopened(session, policy, &welcome->preopens[i], welcome->addresses[i],
                               &welcome->fds.fds[welcome->fds.n]);

        if (r < 0)
                return r;
        welcome->preopen_pointers[welcome->n_preopens++] = &welcome->preopens[i];
        welcome->fds.n++;
        return 0;
}

/* What the session's token leaves nothing of is as if the policy did not have it. */
static bool leaves_protocol(const struct session *session, const struct policy_protocol *policy) {
        return narrowings_allow_protocol(session->narrowings, policy->name);
}

static bool leaves_preopen(const struct session *session, const struct policy_preopen *policy) {
        return leaves_protocol(session, &policy->protocol) && narrowings_allow_verb(session->narrowings, policy->verb);
}

/* Makes the channels, in the order of the policy. */
static int add_channels(struct session *session, struct welcome *welcome) {
        const struct policy_tenant *policy = session->tenant->policy;
        int r = 0;

        assert(policy->n_protocols + policy->n_preopens <= NB_CHANNEL_FDS_MAX);
        for (size_t i = 0; i < policy->n_protocols && r == 0; ++i)
                if (leaves_protocol(session, &policy->protocols[i]))
                        r = add_protocol(session, &policy->protocols[i], welcome);
        for (size_t i = 0; i < policy->n_preopens && r == 0; ++i)
                if (leaves_preopen(session, &policy->preopens[i]))
                        r = add_preopen(session, &policy->preopens[i], welcome);
        return r;
}

static int send_channels(struct session *session, struct welcome *welcome) {
        Nb__Welcome message = NB__WELCOME__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int r;

        message.version = NB_PROTOCOL_VERSION;
        message.tenant = session->tenant->name;
        message.n_protocols = welcome->n_protocols;
        message.protocols = welcome->protocol_pointers;
        message.n_preopens = welcome->n_preopens;
        message.preopens = welcome->preopen_pointers;
        reply.body_case = NB__REPLY__BODY_WELCOME;
        reply.welcome = &message;
        r = nb_reply_send(session->endpoint.fd, &reply, welcome->fds.fds, welcome->fds.n);
        if (r == 0)
                endpoint_note_answer(&session->endpoint, welcome->fds.n > 0);
        return r;
}

int welcome_send(struct session *session) {
        struct welcome welcome = { .n_protocols = 0 };
        int r = add_channels(session, &welcome);

        if (r == 0)
                r = send_channels(session, &welcome);
        nb_channel_fds_close(&welcome.fds);
        return r;
}
