/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/sock_diag.h"
#include "base/wall_clock.h"
#include "broker/broker.h"
#include "broker/connection_files.h"
#include "broker/connection_record.h"
#include "broker/connection_watch.h"
#include "broker/decision.h"
#include "broker/helper_client.h"
#include "broker/ledger.h"
#include "broker/quic_entry.h"
#include "broker/quota.h"
#include "broker/relayed_facts.h"
#include "broker/seal.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/tenant.h"
#include "policy/narrowing.h"

static struct connection_table *table_of(const struct connection *connection) {
        return &connection->tenant->broker->connections;
}

static struct connection_watch *watch_of(const struct connection *connection) {
        return connection->tenant->broker->connection_watch;
}

/* ---- at a relay ---- */

static struct connection *of_object(struct relay_object *object) {
        return nb_container_of(object, struct connection, relayed);
}

/* How it ends is mostly the kernel's to tell (broker/connection_watch.h). */
static void relayed_ended(struct connection *connection) {
        if (connection->ends_by_report)
                connection_end(connection);
}

static int relayed_report(struct relay_object *object, const Nb__Relay__Report *report) {
        struct connection *connection = of_object(object);

        if (report->body_case == NB__RELAY__REPORT__BODY_NEW_PATH && connection->quic)
                return quic_entry_judge_path(connection, report->new_path);
        if (report->body_case != NB__RELAY__REPORT__BODY_ENDED)
                return -EPROTO;
        relay_detach(object);
        relayed_ended(connection);
        return 0;
}

static int relayed_facts(struct relay_object *object, const Nb__Relay__QuicFacts *facts) {
        struct connection *connection = of_object(object);

        return connection->quic ? quic_entry_take_facts(connection, facts) : -EPROTO;
}

static void relayed_lost(struct relay_object *object, const char *why) {
        (void)why;
        relayed_ended(of_object(object));
}

const struct relay_object_ops connection_relayed_ops = {
        .report = relayed_report,
        .facts = relayed_facts,
        .lost = relayed_lost,
};

/* ---- beginning and end ---- */

/* No socket of it is looked for any more. */
static void withdraw(struct connection *connection) {
        if (connection->shelf) {
                nb_list_remove(&connection->on_shelf);
                connection_files_remove(connection->shelf);
        }
        connection->shelf = NULL;
        if (connection->in_table)
                connection_table_remove(table_of(connection), connection);
        connection->in_table = false;
        nb_list_remove(&connection->in_closing);
}

static void free_quic(struct connection *connection) {
        if (!connection->quic)
                return;
        account_release_bytes(&connection->tenant->account, sizeof(*connection->quic));
        connection->tenant->metrics.quic.connections--;
        connection->quic = quic_entry_free(connection->quic);
}

/* What it has taken is given back. */
struct connection *connection_free(struct connection *connection) {
        if (!connection)
                return NULL;
        connection_record_remove(connection);
        withdraw(connection);
        if (connection->id != 0)
                connection_watch_remove(watch_of(connection), connection);
        relay_detach(&connection->relayed);
        nb_list_remove(&connection->in_revocation);
        nb_list_remove(&connection->link);
        account_release(&connection->tenant->account, ACCOUNT_CONNECTIONS, 1);
        free_quic(connection);
        account_release_bytes(&connection->tenant->account, relayed_facts_size(connection->facts));
        (void)relayed_facts_free(connection->facts);
        connection->narrowings = narrowings_unref(connection->narrowings);
        session_token_release(connection->token, ACCOUNT_CONNECTIONS);
        connection->token = session_token_unref(connection->token);
        free(connection->name);
        free(connection->label);
        free(connection);
        return NULL;
}

static void cleanup_connection(struct connection **connection) {
        (void)connection_free(*connection);
}

/* The name of a Unix socket is the control's; the kernel would name the way by which it was bound (broker/unix_path.h). */
static int ask_local(int fd, sa_family_t family, struct nb_socket_address *ret) {
        struct sockaddr_storage sa;
        socklen_t length = sizeof(sa);

        *ret = (struct nb_socket_address){ .family = family };
        if (family == AF_UNIX)
                return 0;
        if (getsockname(fd, (struct sockaddr *)&sa, &length) < 0)
                return -errno;
        return nb_socket_address_from_sockaddr((struct sockaddr *)&sa, length, ret);
}

static int ask_cookie(int fd, uint64_t *ret) {
        socklen_t length = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &length) < 0 ? -errno : 0;
}

static int copy_text(const char *text, char **ret) {
        if (!text)
                return 0;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

/* They have no fixed size, so they are charged by the byte. */
static int keep_facts(struct connection *connection, const struct connection_facts *facts) {
        struct relayed_facts *kept;
        int r = relayed_facts_new(facts->security, facts->proxy, &kept);

        if (r < 0)
                return r;
        r = account_charge_bytes(&connection->tenant->account, relayed_facts_size(kept));
        if (r < 0)
                (void)relayed_facts_free(kept);
        else
                connection->facts = kept;
        return r;
}

static int make_quic(struct connection *connection) {
        int r = account_charge_bytes(&connection->tenant->account, sizeof(*connection->quic));

        if (r < 0)
                return r;
        connection->quic = quic_entry_new();
        if (!connection->quic) {
                account_release_bytes(&connection->tenant->account, sizeof(*connection->quic));
                return -ENOMEM;
        }
        connection->tenant->metrics.quic.connections++;
        return 0;
}

/* Those that may fail; the tenant is charged already. */
static int fill_in(struct connection *connection, const struct connection_facts *facts, int fd) {
        int r = 0;

        if (!connection->ends_by_report)
                r = ask_cookie(fd, &connection->cookie);
        if (r == 0 && !facts->pair_local)
                r = ask_local(fd, facts->peer->family, &connection->local);
        if (r == 0 && facts->is_quic)
                r = make_quic(connection);
        if (r == 0)
                r = copy_text(facts->name, &connection->name);
        if (r == 0)
                r = copy_text(facts->session->label, &connection->label);
        if (r == 0)
                r = keep_facts(connection, facts);
        return r;
}

/* Has the kernel tell of the socket's end. */
static int watch_socket(struct connection *connection, int fd) {
        struct tenant *tenant = connection->tenant;
        int r = connection_table_add(table_of(connection), connection);

        if (r < 0)
                return r;
        connection->in_table = true;
        r = connection_files_add(tenant, fd, connection->cookie, &connection->shelf);
        if (r == 0)
                nb_list_append(&connection->shelf->connections, &connection->on_shelf);
        return r;
}

static int publish(struct connection *connection, int fd) {
        int r = connection->ends_by_report ? 0 : watch_socket(connection, fd);

        if (r == 0)
                nb_list_append(&connection->tenant->connections, &connection->link);
        return r;
}

static bool is_full(const struct tenant *tenant) {
        return tenant->account.used[ACCOUNT_CONNECTIONS] >= tenant->account.limit[ACCOUNT_CONNECTIONS];
}

int connection_check_room(struct tenant *tenant) {
        if (is_full(tenant))
                connection_watch_make_room(tenant->broker->connection_watch, tenant, NULL);
        if (is_full(tenant))
                return -EMFILE;
        if (tenant->policy && tenant->holding.bytes > tenant->policy->limits[POLICY_LIMIT_BYTES_IN_FLIGHT])
                return -ENOBUFS;
        return 0;
}

int connection_demand_room(struct tenant *tenant) {
        int r = connection_check_room(tenant);

        if (r < 0)
                quota_deny(tenant, r == -ENOBUFS ? POLICY_LIMIT_BYTES_IN_FLIGHT : POLICY_LIMIT_CONNECTIONS);
        return r;
}

static void init(struct connection *connection, const struct connection_facts *facts, int fd) {
        nb_list_init(&connection->link);
        nb_list_init(&connection->on_shelf);
        nb_list_init(&connection->in_closing);
        nb_list_init(&connection->in_revocation);
        connection->tenant = facts->grant->tenant;
        connection->grant = facts->grant;
        connection->narrowings = narrowings_ref(facts->narrowings);
        connection->token = session_token_ref(facts->session->token);
        connection->session_id = facts->session->id;
        connection->since_ms = nb_wall_clock_ms();
        connection->verb = facts->verb;
        connection->type = facts->type;
        connection->is_sealed = fd >= 0 && seal_covers(connection->tenant->broker, fd);
        connection->was_relayed = facts->relayed != NULL;
        connection->has_tls = facts->security != NULL;
        connection->has_proxy = facts->proxy != NULL;
        connection->peer = *facts->peer;
        if (facts->via)
                connection->via = *facts->via;
        if (facts->bind)
                connection->bind = *facts->bind;
        connection->ends_by_report = fd < 0;
        connection->is_pair = facts->pair_local && fd >= 0;
        if (facts->pair_local)
                connection->local = *facts->pair_local;
}

/* The session's quota, if its token has one, and the tenant's. */
static int claim(const struct connection_facts *facts) {
        struct session_token *token = facts->session->token;
        int r;

        if (!session_token_has_room(token, ACCOUNT_CONNECTIONS))
                connection_watch_make_room(facts->grant->tenant->broker->connection_watch, facts->grant->tenant, token);
        r = session_token_claim(token, ACCOUNT_CONNECTIONS);
        if (r < 0)
                return r;
        r = quota_claim(facts->grant->tenant, ACCOUNT_CONNECTIONS);
        if (r < 0)
                session_token_release(token, ACCOUNT_CONNECTIONS);
        return r;
}

/* Charged, and not registered yet. */
static int new_charged(const struct connection_facts *facts, int fd, struct connection **ret) {
        struct tenant *tenant = facts->grant->tenant;
        struct connection *connection;
        int r = connection_demand_room(tenant);

        if (r == 0)
                r = claim(facts);
        if (r < 0)
                return r;
        connection = calloc(1, sizeof(*connection));
        if (!connection) {
                account_release(&tenant->account, ACCOUNT_CONNECTIONS, 1);
                session_token_release(facts->session->token, ACCOUNT_CONNECTIONS);
                return -ENOMEM;
        }
        init(connection, facts, fd);
        *ret = connection;
        return 0;
}

/* Its record is the last thing that can fail. On failure the object at the relay is as it was. */
static int give_number(struct connection *connection, struct relay_object *relayed) {
        struct broker *broker = connection->tenant->broker;
        const struct relay_object_ops *ops = relayed ? relayed->ops : NULL;
        int r;

        if (relayed)
                relay_pass_on(relayed, &connection->relayed, &connection_relayed_ops);
        connection->id = ledger_count(broker->ledger, LEDGER_LAST_CONNECTION, &broker->last_connection_id);
        r = connection_record_add(connection);
        if (r == 0)
                return 0;
        connection->id = 0;
        if (relayed)
                relay_pass_on(&connection->relayed, relayed, ops);
        return r;
}

/*
 * The proof was of the control group in which the broker was then. Should it be in another one now, or the programs be taken away, nothing guards what it
 * makes: that goes to nobody.
 */
static int check_seal(const struct connection *connection) {
        const struct policy_protocol *policy = connection->grant->policy;

        if (connection->was_relayed || !policy || !policy_keeps_socket(policy, connection->is_sealed))
                return 0;
        seal_miss(connection->tenant->broker->seal);
        return -EPERM;
}

int connection_register(const struct connection_facts *facts, int fd, struct connection **ret) {
        NB_CLEANUP(cleanup_connection) struct connection *connection = NULL;
        int r = new_charged(facts, fd, &connection);

        if (r == 0)
                r = check_seal(connection);
        if (r == 0)
                r = fill_in(connection, facts, fd);
        if (r == 0)
                r = publish(connection, fd);
        if (r < 0)
                return r;
        r = give_number(connection, facts->relayed);
        if (r < 0)
                return r;
        connection_watch_add(watch_of(connection), connection);
        *ret = nb_steal_ptr(connection);
        return 0;
}

void connection_forget(struct connection *connection, int fd) {
        nb_list_remove(&connection->on_shelf);
        if (connection->shelf)
                connection_files_withdraw(connection->shelf, fd);
        connection->shelf = NULL;
        connection_end(connection);
}

/* Only to be found, and revoked. Without memory for that it is left to its relay, as a server's. */
static void watch_second_socket(struct connection *connection, int fd) {
        if (ask_cookie(fd, &connection->cookie) == 0 && connection_table_add(table_of(connection), connection) == 0)
                connection->in_table = true;
}

void connection_moved(struct connection *connection, const struct nb_socket_address *peer, int fd) {
        connection->peer = *peer;
        if (fd < 0) {
                connection_record_change(connection);
                return;
        }
        (void)ask_local(fd, peer->family, &connection->local);
        withdraw(connection);
        connection->ends_by_report = true;
        watch_second_socket(connection, fd);
        connection_record_change(connection);
}

void connection_end(struct connection *connection) {
        struct tenant *tenant = connection->tenant;

        (void)connection_free(connection);
        tenant_release_if_unused(tenant);
}

void connection_forget_all(struct tenant *tenant) {
        nb_list_foreach_safe(link, &tenant->connections)(void)
                connection_free(nb_container_of(link, struct connection, link));
}

static struct connection *find_of_tenant(const struct tenant *tenant, uint64_t id) {
        nb_list_foreach_safe(link, &tenant->connections) {
                struct connection *connection = nb_container_of(link, struct connection, link);

                if (connection->id == id)
                        return connection;
        }
        return NULL;
}

struct connection *connection_find(struct broker *broker, uint64_t id) {
        nb_list_foreach_safe(link, &broker->tenants) {
                struct connection *found = find_of_tenant(nb_container_of(link, struct tenant, link), id);

                if (found)
                        return found;
        }
        return NULL;
}

/* ---- a new policy ---- */

/* Whether it goes the way that the policy wants now. */
static bool goes_as_wanted(const struct connection *connection, const struct policy_protocol *policy) {
        const struct policy_made made = {
                .verb = connection->verb,
                .is_relayed = connection->was_relayed,
                .is_sealed = connection->is_sealed,
                .has_tls = connection->has_tls,
                .has_proxy = connection->has_proxy,
                .is_quic = connection->quic != NULL,
        };

        return policy_bears(policy, &made);
}

static bool is_granted(const struct connection *connection) {
        const struct policy_protocol *policy = connection->grant->policy;
        const char *ignored;

        if (connection->token && !session_token_holds(connection->token, connection->tenant, &ignored))
                return false;
        if (!policy || !(policy->socket_types & connection->type) || !goes_as_wanted(connection, policy))
                return false;
        if (connection->bind.family != 0 &&
            !decision_still_grants(connection->grant, POLICY_LISTEN, NULL, &connection->bind))
                return false;
        /* Who sent a PROXY header was judged as well as whom it named; a proxy on the way is the operator's. */
        if (connection->verb == POLICY_ACCEPT && connection->via.family != 0 &&
            !decision_still_grants(connection->grant, POLICY_ACCEPT, NULL, &connection->via))
                return false;
        if (connection->quic && !quic_entry_is_granted(connection))
                return false;
        return decision_still_grants(connection->grant, connection->verb, connection->name, &connection->peer);
}

static void revoke_and_count(struct connection *connection, unsigned *n_revoked, unsigned *n_left) {
        if (connection_revoke(connection) == 0)
                ++*n_revoked;
        else
                ++*n_left;
}

static void report_revoked(const struct tenant *tenant, unsigned n_revoked, unsigned n_left) {
        const struct nb_log *log = &tenant->broker->log;

        if (n_revoked > 0)
                nb_log(log, NB_LOG_NOTICE, "tenant %s: %u connections that the policy no longer grants are shut down",
                       tenant->name, n_revoked);
        if (n_left > 0)
                nb_log(log, NB_LOG_WARNING,
                       "tenant %s: %u connections that the policy no longer grants live on, for %s", tenant->name,
                       n_left,
                       tenant->broker->helper
                               ? "they are Unix sockets, which cannot be shut down from outside, or there is no memory"
                               : "there is no netbroker-helper to shut them down (give --helper PATH), or no memory");
}

void connection_judge_all(struct tenant *tenant) {
        unsigned n_revoked = 0, n_left = 0;

        if (tenant_keeps_existing(tenant))
                return;
        nb_list_foreach_safe(link, &tenant->connections) {
                struct connection *connection = nb_container_of(link, struct connection, link);

                if (!connection->revoked && !is_granted(connection))
                        revoke_and_count(connection, &n_revoked, &n_left);
        }
        report_revoked(tenant, n_revoked, n_left);
}

/* ---- revocation ---- */

/* @return as connection_revoke() */
static int end_at_relay(struct connection *connection) {
        int r;

        /* Once, however often it is revoked: what a relay does not read waits, and is bounded by what there is to end. */
        if (connection->was_ended)
                return 0;
        connection_record_set_flags(connection, LEDGER_ENDING);
        r = relay_order_end(&connection->relayed);
        connection->was_ended = r == 0;
        /* With a relay that is gone all of it ends. */
        return r == -EAGAIN ? -ENOMEM : 0;
}

int connection_revoke(struct connection *connection) {
        struct helper_client *helper = connection->tenant->broker->helper;
        int r = connection->relayed.relay ? end_at_relay(connection) : -EOPNOTSUPP;

        if (!helper || connection_is_unix(connection) || !connection->in_table)
                return r;
        connection_record_set_flags(connection, LEDGER_REVOKED);
        connection_watch_revoked(watch_of(connection), connection);
        helper_client_destroy(helper, connection);
        return 0;
}

void connection_found_alive(struct connection *connection, const struct nb_sock_diag_id *id) {
        connection->local = nb_socket_address_of_ip(&id->local);
        *(connection->via.family != 0 ? &connection->via : &connection->peer) = nb_socket_address_of_ip(&id->peer);
        helper_client_destroy(connection->tenant->broker->helper, connection);
}
