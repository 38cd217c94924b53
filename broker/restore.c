/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/restore.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/admin.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/connection_files.h"
#include "broker/connection_record.h"
#include "broker/control.h"
#include "broker/keep.h"
#include "broker/listener.h"
#include "broker/protocol.h"
#include "broker/relay.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/tenant.h"
#include "broker/token_watch.h"
#include "policy/shard.h"

struct restore {
        struct broker *broker;
        struct kept_item *items; /* owned */
        size_t n;
        bool *taken;               /* of each item, whether it was handled */
        struct session **sessions; /* those that came back, by their number */
        size_t n_sessions;
        uint64_t n_newer; /* items of a newer version */
        bool finished;
};

/* ---- dropping ---- */

/* Closing ours is not enough: the keeper has a duplicate until it has heard. What is no socket minds nothing. */
static void end_holders(const struct kept_item *item) {
        for (size_t i = 0; i < item->n_fds; ++i) {
                if (item->fds[i] >= 0)
                        (void)shutdown(item->fds[i], SHUT_RDWR);
        }
}

static void drop(struct restore *restore, const struct kept_item *item, int r) {
        struct restore_facts *facts = &restore->broker->restored;

        end_holders(item);
        if (r == -EPIPE) {
                facts->n_over++;
                return;
        }
        facts->n_dropped++;
        nb_log(&restore->broker->log, NB_LOG_DEBUG, "entry %" PRIu64 " of netbroker-keeper cannot be used: %s",
               item->id, strerror(-r));
}

/* ---- kinds ---- */

static int by_number(const void *left, const void *right) {
        const struct session *a = *(struct session *const *)left, *b = *(struct session *const *)right;

        return a->id < b->id ? -1 : a->id > b->id;
}

static int restore_session(struct restore *restore, struct kept_item *item) {
        struct session *session = NULL;
        int r = session_restore(restore->broker, item, &session);

        if (r < 0)
                return r;
        restore->sessions[restore->n_sessions++] = session;
        restore->broker->restored.n_sessions++;
        return 0;
}

/* The order of the keeper's is that of their numbers, or nearly so. */
static void sort_sessions(struct restore *restore) {
        if (restore->n_sessions > 0)
                qsort(restore->sessions, restore->n_sessions, sizeof(restore->sessions[0]), by_number);
}

static struct session *find_session(const struct restore *restore, uint64_t id) {
        const struct session key = { .id = id }, *const pointer = &key;
        struct session **found = restore->n_sessions == 0 ? NULL
                                                          : bsearch(&pointer, restore->sessions, restore->n_sessions,
                                                                    sizeof(restore->sessions[0]), by_number);

        return found ? *found : NULL;
}

/* They came before their sessions, and count in the quotas of these. */
static void share_tokens(struct restore *restore, struct tenant *tenant) {
        nb_list_foreach_safe(link, &tenant->connections) {
                struct connection *connection = nb_container_of(link, struct connection, link);
                const struct session *session = find_session(restore, connection->session_id);

                if (session && session->tenant == tenant && session->token)
                        connection_share_token(connection, session->token);
        }
}

static void sessions_are_there(struct restore *restore) {
        sort_sessions(restore);
        nb_list_foreach_safe(link, &restore->broker->tenants)
                share_tokens(restore, nb_container_of(link, struct tenant, link));
}

static int restore_protocol(struct restore *restore, struct kept_item *item) {
        struct session *session = find_session(restore, item->item->protocol->session);
        int r = session ? protocol_restore(session, item) : -ENOENT;

        restore->broker->restored.n_protocols += r == 0;
        return r;
}

static int restore_control(struct restore *restore, struct kept_item *item) {
        struct session *session = find_session(restore, item->item->control->session);
        int r = session ? control_restore(session, item) : -ENOENT;

        restore->broker->restored.n_controls += r == 0;
        return r;
}

static int restore_listener(struct restore *restore, struct kept_item *item) {
        struct broker *broker = restore->broker;
        int r = item->item->listener->admin ? admin_restore(broker->admin, item) : listener_restore(broker, item);

        broker->restored.n_listeners += r == 0;
        return r;
}

static int restore_broker(struct restore *restore, struct kept_item *item) {
        return broker_restore(restore->broker, item);
}

struct kind {
        Nb__State__Item__BodyCase body;
        int (*restore)(struct restore *restore, struct kept_item *item);
        void (*done)(struct restore *restore); /* NULL: nothing is to be done when all of them are there */
};

static const struct kind first_kinds[] = {
        { .body = NB__STATE__ITEM__BODY_BROKER, .restore = restore_broker },
        { .body = NB__STATE__ITEM__BODY_LISTENER, .restore = restore_listener },
};

static int restore_tenant(struct restore *restore, struct kept_item *item) {
        return relay_pool_restore(restore->broker, item);
}

static int restore_ledger(struct restore *restore, struct kept_item *item) {
        return ledger_restore(restore->broker, item);
}

static int restore_shelf(struct restore *restore, struct kept_item *item) {
        struct tenant *tenant = tenant_get_named(restore->broker, item->item->shelf->tenant);

        return tenant ? shelf_restore(tenant, item) : -ENOMEM;
}

static int restore_relay(struct restore *restore, struct kept_item *item) {
        int r = relay_restore(restore->broker, item);

        restore->broker->restored.n_relays += r == 0;
        return r;
}

/* Relays are asked meanwhile; none of what they say is read before the loop runs. */
static void restore_connections(struct restore *restore) {
        restore->broker->restored.n_connections = connection_restore_all(restore->broker);
}

static const struct kind kinds[] = {
        { .body = NB__STATE__ITEM__BODY_TENANT, .restore = restore_tenant },
        { .body = NB__STATE__ITEM__BODY_LEDGER, .restore = restore_ledger },
        { .body = NB__STATE__ITEM__BODY_SHELF, .restore = restore_shelf },
        { .body = NB__STATE__ITEM__BODY_RELAY, .restore = restore_relay, .done = restore_connections },
        { .body = NB__STATE__ITEM__BODY_SESSION, .restore = restore_session, .done = sessions_are_there },
        { .body = NB__STATE__ITEM__BODY_PROTOCOL, .restore = restore_protocol },
        { .body = NB__STATE__ITEM__BODY_CONTROL, .restore = restore_control },
};

#define N_KINDS(table) (sizeof(table) / sizeof((table)[0]))

/* What a newer broker says must not be read in another sense. It is dropped in its turn, and by no broker that does not start. */
static int restore_item(struct restore *restore, const struct kind *kind, struct kept_item *item) {
        if (item->item->needs <= KEPT_STATE_VERSION)
                return kind->restore(restore, item);
        restore->n_newer++;
        return -EPROTONOSUPPORT;
}

static void restore_kind(struct restore *restore, const struct kind *kind) {
        for (size_t i = 0; i < restore->n; ++i) {
                struct kept_item *item = &restore->items[i];
                int r;

                if (restore->taken[i] || item->item->body_case != kind->body)
                        continue;
                restore->taken[i] = true;
                r = restore_item(restore, kind, item);
                if (r < 0)
                        drop(restore, item, r);
        }
        if (kind->done)
                kind->done(restore);
}

/* ---- the whole ---- */

static void drop_rest(struct restore *restore) {
        for (size_t i = 0; i < restore->n; ++i) {
                if (!restore->taken[i])
                        drop(restore, &restore->items[i], -EPROTONOSUPPORT);
        }
}

static void tell(const struct restore *restore) {
        const struct restore_facts *facts = &restore->broker->restored;
        const struct nb_log *log = &restore->broker->log;

        if (restore->n == 0)
                return;
        nb_log(log, NB_LOG_NOTICE,
               "took back %" PRIu64 " sessions with %" PRIu64 " protocols and %" PRIu64 " bound controls, %" PRIu64
               " sockets of the broker's own, %" PRIu64 " relays, and the account of %" PRIu64 " connections; %" PRIu64
               " channels were closed by their holders meanwhile",
               facts->n_sessions, facts->n_protocols, facts->n_controls, facts->n_listeners, facts->n_relays,
               facts->n_connections, facts->n_over);
        if (restore->n_newer > 0)
                nb_log(log, NB_LOG_WARNING,
                       "%" PRIu64 " entries of netbroker-keeper are of a newer netbrokerd, which this one does not "
                       "understand: what they are of has ended",
                       restore->n_newer);
        if (facts->n_dropped > restore->n_newer)
                nb_log(log, NB_LOG_WARNING,
                       "%" PRIu64 " entries of netbroker-keeper could not be taken back: what they are of has ended; "
                       "--log-level debug says why",
                       facts->n_dropped - restore->n_newer);
}

static void resume_sessions(struct broker *broker) {
        unsigned n_untold = 0;

        nb_list_foreach_safe(link, &broker->sessions) n_untold +=
                session_resume(nb_container_of(link, struct session, link));
        if (n_untold > 0)
                nb_log(&broker->log, NB_LOG_WARNING,
                       "%u channels that were taken back from netbroker-keeper have ended: their holders could not be "
                       "told, for want of room or memory",
                       n_untold);
}

/* ---- which process's it is ---- */

static int check_broker(const struct restore *restore, const Nb__State__Broker *body) {
        const struct broker *broker = restore->broker;

        if (body->shards == broker->n_shards && body->shard == shard_number(broker->shard))
                return 0;
        nb_log(&broker->log, NB_LOG_ERROR,
               "netbroker-keeper has what shard %u of %u has left, and this is shard %u of %u; start netbrokerd with "
               "as "
               "many --shards as before, or end what is kept by restarting netbroker-keeper",
               body->shard, body->shards, shard_number(broker->shard), broker->n_shards);
        return -EXDEV;
}

static int check_session(const struct restore *restore, const Nb__State__Session *body) {
        if (!policy_is_elsewhere(restore->broker->policy, body->tenant))
                return 0;
        nb_log(&restore->broker->log, NB_LOG_ERROR,
               "netbroker-keeper has sessions of tenant %s, which another shard serves now; take its Shard= back, or "
               "end them first",
               body->tenant);
        return -EXDEV;
}

int restore_check_place(const struct restore *restore) {
        int r = 0;

        for (size_t i = 0; i < restore->n && r == 0; ++i) {
                const Nb__State__Item *item = restore->items[i].item;

                if (item->body_case == NB__STATE__ITEM__BODY_BROKER)
                        r = check_broker(restore, item->broker);
                if (item->body_case == NB__STATE__ITEM__BODY_SESSION)
                        r = check_session(restore, item->session);
        }
        return r;
}

void restore_begin(struct restore *restore) {
        for (size_t i = 0; i < N_KINDS(first_kinds); ++i)
                restore_kind(restore, &first_kinds[i]);
}

void restore_finish(struct restore *restore) {
        for (size_t i = 0; i < N_KINDS(kinds); ++i)
                restore_kind(restore, &kinds[i]);
        drop_rest(restore);
        /* Told before anything of it is ended by the policy, which is told by itself. */
        tell(restore);
        broker_judge_all(restore->broker);
        /* Of what was over when it came back nobody tells later. */
        token_watch_look(restore->broker->token_watch);
        resume_sessions(restore->broker);
        broker_keep(restore->broker);
        restore->finished = true;
}

struct restore *restore_new(struct broker *broker, struct kept_item *items, size_t n) {
        struct restore *restore = calloc(1, sizeof(*restore));

        if (restore && n > 0) {
                restore->taken = calloc(n, sizeof(restore->taken[0]));
                restore->sessions = calloc(n, sizeof(restore->sessions[0]));
        }
        if (!restore || (n > 0 && (!restore->taken || !restore->sessions))) {
                /* It does not start, and the next one finds all. */
                keep_detach(broker->keep);
                keep_items_free(broker->keep, items, n);
                if (restore) {
                        free(restore->taken);
                        free(restore->sessions);
                }
                free(restore);
                return NULL;
        }
        restore->broker = broker;
        restore->items = items;
        restore->n = n;
        return restore;
}

struct restore *restore_free(struct restore *restore) {
        if (!restore)
                return NULL;
        if (!restore->finished)
                keep_detach(restore->broker->keep);
        keep_items_free(restore->broker->keep, restore->items, restore->n);
        free(restore->taken);
        free(restore->sessions);
        free(restore);
        return NULL;
}
