/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's verbs that change something: log-level, revoke.
 */
#include <errno.h>
#include <string.h>

#include "base/escape.h"
#include "broker/admin_find.h"
#include "broker/admin_verbs.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/session.h"
#include "broker/tenant.h"

int admin_log_level(struct admin_call *call, const json_t *request) {
        struct nb_log *log = &call->broker->log;
        const char *verb, *level = NULL;
        int r = admin_take(call, request, "{s:s, s?s}", "verb", &verb, "level", &level);

        if (r < 0)
                return r;
        if (level && nb_log_level_parse(level, &log->level) < 0)
                return admin_fail(call, -EINVAL, "a level is error, warning, notice, info or debug");
        return admin_say(call, json_pack("{s:s}", "level", admin_level_name(log->level)));
}

/* ---- revoke ---- */

/* What came of revoking connections. */
struct revoked {
        unsigned sessions;    /* that were ended, or had something ended */
        unsigned connections; /* that are being shut down */
        unsigned kept;        /* that cannot be: there is no helper, it is a Unix socket, or there is no memory */
};

static void revoke_connection(struct connection *connection, struct revoked *revoked) {
        if (connection_revoke(connection) == 0)
                revoked->connections++;
        else
                revoked->kept++;
}

/* Those of one session, or of one grant. Either may be none. */
static void revoke_connections(struct tenant *tenant, uint64_t session, const struct grant *grant,
                               struct revoked *revoked) {
        nb_list_foreach_safe(link, &tenant->connections) {
                struct connection *connection = nb_container_of(link, struct connection, link);

                if ((session != 0 && connection->session_id == session) || (grant && connection->grant == grant))
                        revoke_connection(connection, revoked);
        }
}

static int say_revoked(struct admin_call *call, const struct revoked *revoked) {
        return admin_say(call, json_pack("{s:i, s:i, s:i}", "sessions", (int)revoked->sessions, "connections",
                                         (int)revoked->connections, "kept", (int)revoked->kept));
}

static int revoke_session(struct admin_call *call, uint64_t id) {
        struct session *session = admin_find_session(call->broker, id);
        struct revoked revoked = { .sessions = 1 };

        if (!session)
                return admin_fail(call, -ESRCH, "there is no session %llu any more, or none yet",
                                  (unsigned long long)id);
        nb_log(&call->broker->log, NB_LOG_NOTICE, "session %llu of tenant %s ends: user %u revoked it",
               (unsigned long long)id, session->tenant->name, (unsigned)call->uid);
        revoke_connections(session->tenant, id, NULL, &revoked);
        session_end(session);
        return say_revoked(call, &revoked);
}

static int revoke_one_connection(struct admin_call *call, uint64_t id) {
        struct connection *connection = connection_find(call->broker, id);
        struct revoked revoked = { .connections = 1 };
        int r;

        if (!connection)
                return admin_fail(call, -ESRCH, "there is no connection %llu any more, or none yet",
                                  (unsigned long long)id);
        r = connection_revoke(connection);
        if (r == -EOPNOTSUPP)
                return admin_fail(call, r,
                                  "connection %llu cannot be shut down in its holder's hands: %s; "
                                  "netbrokerctl revoke session %llu ends what it came from",
                                  (unsigned long long)id,
                                  connection->peer.family == AF_UNIX ? "it is a Unix socket"
                                                                     : "netbrokerd has no helper (--helper)",
                                  (unsigned long long)connection->session_id);
        return r < 0 ? r : say_revoked(call, &revoked);
}

static struct grant *find_grant(const struct tenant *tenant, const char *name) {
        nb_list_foreach_safe(link, &tenant->grants) {
                struct grant *grant = nb_container_of(link, struct grant, link);

                if (strcmp(grant->name, name) == 0 && grant->policy)
                        return grant;
        }
        return NULL;
}

/* All that sessions have by it ends, with Existing=keep too, which is about reloads. The policy stays as it is, for new sessions. */
static void revoke_grant(const struct grant *grant, struct revoked *revoked) {
        struct broker *broker = grant->tenant->broker;

        revoke_connections(grant->tenant, 0, grant, revoked);
        nb_list_foreach_safe(link, &broker->sessions) {
                struct session *session = nb_container_of(link, struct session, link);

                if (session->tenant != grant->tenant)
                        continue;
                revoked->sessions++;
                session_revoke(session, grant);
        }
}

static int revoke_protocol(struct admin_call *call, const char *tenant_name, const char *name) {
        struct tenant *tenant = admin_find_tenant(call->broker, tenant_name);
        const struct policy_tenant *policy = admin_find_policy(call->broker, tenant_name);
        struct grant *grant = tenant ? find_grant(tenant, name) : NULL;
        struct revoked revoked = { .sessions = 0 };
        char shown[128];

        if (!tenant && !policy)
                return admin_fail_no_tenant(call, tenant_name);
        if (!grant && !(policy && policy_find_protocol(policy, name)))
                return admin_fail(call, -ENOENT, "the tenant %s has no protocol '%s'", tenant_name,
                                  nb_escape(name, strlen(name), shown, sizeof(shown)));
        if (grant) {
                nb_log(&call->broker->log, NB_LOG_NOTICE,
                       "protocol %s of tenant %s ends in all sessions: user %u revoked it", grant->name, tenant->name,
                       (unsigned)call->uid);
                revoke_grant(grant, &revoked);
        }
        return say_revoked(call, &revoked);
}

int admin_revoke(struct admin_call *call, const json_t *request) {
        const char *verb, *kind, *tenant = NULL, *protocol = NULL;
        json_int_t id = 0;
        int r = admin_take(call, request, "{s:s, s:s, s?I, s?s, s?s}", "verb", &verb, "kind", &kind, "id", &id,
                           "tenant", &tenant, "protocol", &protocol);

        if (r < 0)
                return r;
        if (strcmp(kind, "session") == 0 && id > 0)
                return revoke_session(call, (uint64_t)id);
        if (strcmp(kind, "connection") == 0 && id > 0)
                return revoke_one_connection(call, (uint64_t)id);
        if (strcmp(kind, "protocol") == 0 && tenant && protocol)
                return revoke_protocol(call, tenant, protocol);
        return admin_fail(call, -EINVAL,
                          "what is revoked is a session or connection with an \"id\" from 1 up, or a "
                          "protocol with its \"tenant\" and \"protocol\"");
}
