/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/wall_clock.h"
#include "broker/admin.h"
#include "broker/connection.h"
#include "broker/connection_watch.h"
#include "broker/exporter.h"
#include "broker/front.h"
#include "broker/helper_client.h"
#include "broker/keep.h"
#include "broker/ledger.h"
#include "broker/listener.h"
#include "broker/notify.h"
#include "broker/privilege.h"
#include "broker/relay.h"
#include "broker/relay_context.h"
#include "broker/relay_process.h"
#include "broker/seal.h"
#include "broker/revocations.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/tenant.h"
#include "broker/tenant_socket.h"
#include "broker/token_watch.h"
#include "config.h"
#include "loop/deadline.h"
#include "policy/shard.h"
#include "token/verify.h"

/* Sessions that have not said Hello: some in any case, and no more than a walk over them takes no time. */
#define HALF_OPEN_LEAST 16
#define HALF_OPEN_MOST 8192

/* How long an end waits for peers that were accepted and are not the guest's yet, and how often it looks. */
#define FINISH_MS 500
#define FINISH_TURN_MS 2

static bool orders_wait(const struct broker *broker) {
        nb_list_foreach_safe(link, &broker->tenants) {
                if (relay_pool_waits_to_send(nb_container_of(link, struct tenant, link)->relays))
                        return true;
        }
        return false;
}

/*
 * Peers that a relay shakes hands with cannot come back: no other broker has accepted them. It takes them no time, unless they say nothing. What
 * was ordered of a relay, and not sent yet, no other broker knows of.
 */
static bool has_to_finish(const struct broker *broker) {
        return broker->account.used[ACCOUNT_HANDSHAKES] > 0 || orders_wait(broker);
}

static void finish(void *data) {
        struct broker *broker = data;

        broker->finish = deadline_free(broker->finish);
        if (has_to_finish(broker) && uv_now(&broker->loop) < broker->finish_by_ms)
                broker->finish = deadline_new(&broker->loop, FINISH_TURN_MS, finish, broker);
        if (!broker->finish)
                broker_stop(broker);
}

void broker_terminate(struct broker *broker) {
        if (!broker->keep || broker->ending) {
                broker_stop(broker);
                return;
        }
        broker->ending = true;
        broker->finish_by_ms = uv_now(&broker->loop) + FINISH_MS;
        finish(broker);
}

/* Who tells the service as a whole tells the front, too, and with that shards end. */
static void on_terminate(uv_signal_t *handle, int number) {
        struct broker *broker = handle->data;

        if (broker->shard)
                return;
        nb_log(&broker->log, NB_LOG_INFO, "ending at signal %d", number);
        broker_terminate(broker);
}

/* All shards reload, or none: it is the front that is told. */
static void on_hangup(uv_signal_t *handle, int number) {
        struct broker *broker = handle->data;

        (void)number;
        if (!broker->shard)
                (void)broker_reload(broker);
}

static void on_rotated(uv_signal_t *handle, int number) {
        struct broker *broker = handle->data;

        (void)number;
        audit_reopen(&broker->audit);
        if (broker->front)
                front_rotated(broker->front);
}

static int start_signal(struct broker *broker, uv_signal_t *handle, int number, uv_signal_cb function) {
        int r = uv_signal_init(&broker->loop, handle);

        if (r < 0)
                return r;
        handle->data = broker;
        return uv_signal_start(handle, function, number);
}

static int start_handles(struct broker *broker) {
        int r = nudge_start(&broker->nudge, &broker->loop);

        if (r == 0)
                r = start_signal(broker, &broker->signal_term, SIGTERM, on_terminate);
        if (r == 0)
                r = start_signal(broker, &broker->signal_int, SIGINT, on_terminate);
        if (r == 0)
                r = start_signal(broker, &broker->signal_hup, SIGHUP, on_hangup);
        if (r == 0)
                r = start_signal(broker, &broker->signal_usr1, SIGUSR1, on_rotated);
        return r < 0 ? r : watch_set_start(&broker->watches, &broker->loop);
}

/* They are in no account, so they have a share of the eighth of all descriptors that accounts leave. */
static uint32_t half_open_max(unsigned long max_fds) {
        unsigned long share = max_fds / 16;

        if (share < HALF_OPEN_LEAST)
                return HALF_OPEN_LEAST;
        return share < HALF_OPEN_MOST ? (uint32_t)share : HALF_OPEN_MOST;
}

struct broker *broker_new(const struct nb_log *log, const struct policy_source *source, struct policy *policy,
                          struct audit_sink *sink) {
        struct broker *broker = calloc(1, sizeof(*broker));
        unsigned long max_fds;
        int r;

        if (broker && !sink)
                sink = audit_sink_new_log(&broker->log);
        if (!sink || !broker) {
                (void)audit_sink_free(sink);
                (void)policy_free(policy);
                free(broker);
                errno = ENOMEM;
                return NULL;
        }
        broker->log = *log;
        broker->source = *source;
        broker->policy = policy;
        broker->watches.epoll_fd = -1;
        nb_list_init(&broker->tenants);
        nb_list_init(&broker->sessions);
        nb_list_init(&broker->half_open);
        nb_list_init(&broker->listeners);
        own_init(&broker->own);
        broker->uid = geteuid();
        broker->gid = getegid();
        audit_init(&broker->audit, &broker->log, sink, &broker->loop);
        max_fds = privilege_raise_fd_limit();
        account_init_broker(&broker->account, max_fds);
        broker->started_ms = nb_wall_clock_ms();
        token_clock_init(&broker->token_clock);
        broker->policy_state.loaded_ms = broker->started_ms;
        broker->half_open_max = half_open_max(max_fds);

        r = uv_loop_init(&broker->loop);
        if (r < 0) {
                audit_deinit(&broker->audit);
                (void)policy_free(policy);
                free(broker);
                errno = -r;
                return NULL;
        }
        r = notify_new(broker, &broker->notify);
        broker->admin = r == 0 ? admin_new(broker) : NULL;
        if (r == 0)
                r = broker->admin ? start_handles(broker) : -ENOMEM;
        if (r == 0)
                r = token_init();
        if (r == 0) {
                broker->connection_watch = connection_watch_new(broker);
                broker->token_watch = token_watch_new(broker);
                broker->token_cache = token_cache_new();
                r = broker->connection_watch && broker->token_watch && broker->token_cache ? 0 : -ENOMEM;
        }
        if (r < 0) {
                (void)broker_free(broker);
                errno = -r;
                return NULL;
        }
        return broker;
}

static void end_sessions(struct nb_list *sessions) {
        while (!nb_list_is_empty(sessions))
                session_end(nb_container_of(sessions->next, struct session, link));
}

static void free_tenants(struct broker *broker) {
        nb_list_foreach_safe(link, &broker->tenants)(void) tenant_free(nb_container_of(link, struct tenant, link));
}

static void close_handle(uv_handle_t *handle, void *data) {
        (void)data;
        if (!uv_is_closing(handle))
                uv_close(handle, NULL);
}

struct broker *broker_free(struct broker *broker) {
        int r;

        if (!broker)
                return NULL;
        broker->stopping = true;
        nudge_on(&broker->loop);
        if (broker->kept.keep)
                broker_keep(broker);
        /* From here on the objects that go are ours alone: their other lives are with the keeper. */
        keep_detach(broker->keep);
        broker->ledger = ledger_free(broker->ledger);
        broker->admin = admin_free(broker->admin);
        broker->notify = notify_free(broker->notify);
        broker->exporter = exporter_free(broker->exporter);
        listener_free_all(broker);
        broker->front = front_free(broker->front);
        end_sessions(&broker->half_open);
        end_sessions(&broker->sessions);
        broker->linger = deadline_free(broker->linger);
        broker->finish = deadline_free(broker->finish);
        free_tenants(broker);
        broker->relay_launcher = relay_launcher_free(broker->relay_launcher);
        broker->relay_contexts = relay_contexts_free(broker->relay_contexts);
        audit_deinit(&broker->audit);
        broker->seal = seal_free(broker->seal);
        broker->connection_watch = connection_watch_free(broker->connection_watch);
        broker->helper = helper_client_free(broker->helper);
        broker->token_watch = token_watch_free(broker->token_watch);
        broker->token_cache = token_cache_free(broker->token_cache);
        broker->revocations = revocations_free(broker->revocations);
        broker->keep = keep_free(broker->keep);
        broker->shard_paths = shard_paths_free(broker->shard_paths);
        broker->shard = shard_free(broker->shard);
        connection_table_deinit(&broker->connections);
        account_deinit(&broker->account);
        drain_deinit(&broker->drain);
        watch_set_stop(&broker->watches);
        uv_walk(&broker->loop, close_handle, NULL);
        /* Runs the close callbacks, which free what handles need until then. */
        (void)uv_run(&broker->loop, UV_RUN_DEFAULT);
        nudge_stop(&broker->nudge);
        r = uv_loop_close(&broker->loop);
        assert(r == 0);
        (void)r;
        (void)policy_free(broker->policy);
        free(broker);
        return NULL;
}

void broker_turn(struct broker *broker, bool wait) {
        loop_lag_note(&broker->loop_lag, &broker->loop);
        watch_set_turn(&broker->watches, wait);
}

void broker_run(struct broker *broker) {
        broker_stop_if_idle(broker);
        while (!broker->stopping)
                broker_turn(broker, true);
        notify_stopping(broker->notify);
}

void broker_stop(struct broker *broker) {
        broker->stopping = true;
}

/* What relays have is connections then, whose guests are gone: all else of theirs ended with the session. */
static size_t left_behind(const struct broker *broker) {
        size_t n = 0;

        nb_list_foreach_safe(link, &broker->tenants) n +=
                relay_pool_objects(nb_container_of(link, struct tenant, link)->relays);
        return n;
}

static void lingered(void *data) {
        struct broker *broker = data;
        size_t n = left_behind(broker);

        nb_log(&broker->log, NB_LOG_WARNING,
               "ends though %zu connection%s left behind %s not delivered in %d s: what the guest wrote may be lost", n,
               n == 1 ? "" : "s", n == 1 ? "was" : "were", BROKER_LINGER_MS / 1000);
        broker_stop(broker);
}

/* @return whether it waits */
static bool linger(struct broker *broker) {
        if (left_behind(broker) == 0)
                return false;
        if (!broker->linger)
                broker->linger = deadline_new(&broker->loop, BROKER_LINGER_MS, lingered, broker);
        return broker->linger != NULL;
}

void broker_stop_if_idle(struct broker *broker) {
        if (broker->stopping || broker->shard || !nb_list_is_empty(&broker->listeners) ||
            !nb_list_is_empty(&broker->half_open) || !nb_list_is_empty(&broker->sessions))
                return;
        if (!linger(broker))
                broker_stop(broker);
}

/* Relays forget the contexts of the policy before: what is connected goes on with them. */
static void apply_contexts(struct broker *broker, struct relay_contexts *contexts) {
        (void)relay_contexts_free(broker->relay_contexts);
        broker->relay_contexts = contexts;
        nb_list_foreach_safe(link, &broker->tenants) {
                const struct tenant *tenant = nb_container_of(link, struct tenant, link);

                relay_pool_drop_contexts(tenant->relays, relay_contexts_first_id(contexts));
        }
}

/* ---- what is kept of the broker itself ---- */

static void describe(const struct kept *kept, struct kept_sink *sink) {
        const struct broker *broker = nb_container_of(kept, const struct broker, kept);
        Nb__State__Broker body = NB__STATE__BROKER__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        body.version = (char *)PACKAGE_VERSION;
        body.last_session_id = broker->last_session_id;
        body.last_connection_id = broker->last_connection_id;
        body.last_relay_number = broker->last_relay_number;
        body.last_relay_context = broker->last_relay_context;
        drain_describe(&broker->drain, &body);
        body.token_time_ms = broker->token_clock.latest_ms;
        body.token_boot_ms = broker->token_clock.latest_boot_ms;
        body.shard = shard_number(broker->shard);
        body.shards = broker->n_shards;
        item.body_case = NB__STATE__ITEM__BODY_BROKER;
        item.broker = &body;
        kept_sink_give(sink, &item, NULL, 0);
}

static const struct kept_ops kept_ops = { .describe = describe };

void broker_keep(struct broker *broker) {
        keep_put(broker->keep, &broker->kept, &kept_ops);
}

int broker_restore(struct broker *broker, struct kept_item *item) {
        const Nb__State__Broker *body = item->item->broker;

        if (broker->kept.keep)
                return -EEXIST;
        broker->last_session_id = body->last_session_id;
        broker->last_connection_id = body->last_connection_id;
        broker->last_relay_number = body->last_relay_number;
        broker->last_relay_context = body->last_relay_context;
        drain_restore(&broker->drain, body);
        token_clock_restore(&broker->token_clock, body->token_time_ms, body->token_boot_ms);
        keep_adopt(broker->keep, &broker->kept, &kept_ops, item->id);
        return 0;
}

/* ---- another policy ---- */

void broker_judge_all(struct broker *broker) {
        nb_list_foreach_safe(session_link, &broker->sessions)
                session_policy_changed(nb_container_of(session_link, struct session, link));
        nb_list_foreach_safe(holder_link, &broker->tenants)
                connection_judge_all(nb_container_of(holder_link, struct tenant, link));
        connection_watch_policy_changed(broker->connection_watch);
        nb_list_foreach_safe(tenant_link, &broker->tenants)
                tenant_release_if_unused(nb_container_of(tenant_link, struct tenant, link));
}

/* All at once: every tenant points at the new policy before anything is judged by it. */
static void apply_policy(struct broker *broker, struct policy *policy, struct relay_contexts *contexts,
                         struct revocations *revocations) {
        struct policy *old = broker->policy;

        struct revocations *old_revocations = broker->revocations;

        broker->policy = policy;
        broker->policy_generation++;
        broker->revocations = revocations;
        apply_contexts(broker, contexts);
        nb_list_foreach_safe(link, &broker->tenants)
                tenant_apply_policy(nb_container_of(link, struct tenant, link), policy);
        broker_judge_all(broker);
        token_watch_look(broker->token_watch);
        (void)revocations_free(old_revocations);
        (void)policy_free(old);
}

/* All that a policy is put in force with. */
struct loaded {
        struct policy *policy;
        uint64_t digest;
        struct shard_paths *paths;
        struct relay_contexts *contexts;
        struct revocations *revocations;
        struct tenant_sockets *sockets;
};

struct loaded *broker_loaded_free(struct loaded *loaded) {
        if (!loaded)
                return NULL;
        loaded->sockets = tenant_sockets_abandon(loaded->sockets);
        loaded->revocations = revocations_free(loaded->revocations);
        loaded->contexts = relay_contexts_free(loaded->contexts);
        loaded->paths = shard_paths_free(loaded->paths);
        loaded->policy = policy_free(loaded->policy);
        free(loaded);
        return NULL;
}

uint64_t broker_loaded_digest(const struct loaded *loaded) {
        return loaded->digest;
}

static int open_contexts(struct broker *broker, const struct policy *policy, struct relay_contexts **ret) {
        struct relay_contexts *contexts = NULL;
        int r = relay_contexts_new(broker, policy, &contexts);

        if (r == 0)
                r = relay_contexts_check(broker, contexts);
        if (r < 0) {
                (void)relay_contexts_free(contexts);
                return r;
        }
        *ret = contexts;
        return 0;
}

int broker_open_contexts(struct broker *broker) {
        int r = open_contexts(broker, broker->policy, &broker->relay_contexts);

        return r < 0 ? r : revocations_load(&broker->log, broker->policy, &broker->revocations);
}

/* Of several processes: what the whole says is compared, and a shard keeps its own. */
static int divide(struct broker *broker, struct policy *policy, unsigned shard, uint64_t *ret_digest,
                  struct shard_paths **ret_paths) {
        int r = policy_digest(policy, ret_digest);

        if (r < 0 || shard == 0)
                return r;
        *ret_paths = shard_paths_new(broker, policy);
        return *ret_paths ? policy_keep_shard(policy, shard, broker->n_shards) : -ENOMEM;
}

int broker_divide(struct broker *broker, unsigned n_shards, unsigned shard) {
        broker->n_shards = n_shards;
        return divide(broker, broker->policy, shard, &broker->policy_digest, &broker->shard_paths);
}

/* The front has said already what there is to warn of. */
static int read_policy(struct broker *broker, struct loaded *loaded) {
        struct nb_log log = broker->log;
        int r;

        if (broker->shard)
                log.level = NB_LOG_ERROR;
        r = policy_source_load(&broker->source, &log, &loaded->policy);
        if (r == 0 && broker->n_shards > 0)
                r = divide(broker, loaded->policy, shard_number(broker->shard), &loaded->digest, &loaded->paths);
        return r;
}

/* What a policy names is opened by whoever serves its tenants, and their own sockets are made by whoever accepts. */
static int open_all(struct broker *broker, struct loaded *loaded) {
        int r = broker->shard ? shard_check_left(broker, loaded->policy) : 0;

        if (r == 0 && !broker->front && !seal_suffices(broker, loaded->policy))
                r = -EPERM;
        if (r == 0 && !broker->front)
                r = open_contexts(broker, loaded->policy, &loaded->contexts);
        if (r == 0 && !broker->front)
                r = revocations_load(&broker->log, loaded->policy, &loaded->revocations);
        if (r == 0 && !broker->shard)
                r = tenant_sockets_prepare(broker, loaded->policy, &loaded->sockets);
        if (r == 0 && broker->front)
                r = front_prepare(broker->front, loaded->policy, loaded->digest);
        return r;
}

/* A policy, the sockets that it asks for, and the files that it names; if any cannot be had, nothing has changed. */
int broker_load(struct broker *broker, struct loaded **ret) {
        struct loaded *loaded = calloc(1, sizeof(*loaded));
        int r = loaded ? read_policy(broker, loaded) : -ENOMEM;

        if (r == 0)
                r = open_all(broker, loaded);
        if (r < 0) {
                (void)broker_loaded_free(loaded);
                return r;
        }
        *ret = loaded;
        return 0;
}

static void note_loading(struct policy_state *state, int r) {
        uint64_t now = nb_wall_clock_ms();

        state->failed_ms = r < 0 ? now : 0;
        state->loaded_ms = r < 0 ? state->loaded_ms : now;
        state->n_failed += r < 0;
}

/* Of several processes the shards come first: what they serve is to be allowed before anybody new comes. */
void broker_apply(struct broker *broker, struct loaded *loaded) {
        nudge_on(&broker->loop);
        note_loading(&broker->policy_state, 0);
        broker->policy_digest = loaded->digest;
        if (broker->front)
                front_apply(broker->front);
        (void)shard_paths_free(broker->shard_paths);
        broker->shard_paths = loaded->paths;
        apply_policy(broker, loaded->policy, loaded->contexts, loaded->revocations);
        if (loaded->sockets)
                tenant_sockets_commit(broker, loaded->policy, loaded->sockets);
        free(loaded);
        broker_keep(broker);
}

int broker_reload(struct broker *broker) {
        struct loaded *loaded = NULL;
        int r;

        notify_reloading(broker->notify);
        broker->policy_state.error = (struct nb_log_copy){ .length = 0 };
        broker->log.copy = &broker->policy_state.error;
        r = broker_load(broker, &loaded);
        broker->log.copy = NULL;
        if (r == 0) {
                broker_apply(broker, loaded);
                nb_log(&broker->log, NB_LOG_NOTICE, "policy %s reloaded", broker->source.path);
        } else {
                note_loading(&broker->policy_state, r);
                nb_log(&broker->log, NB_LOG_ERROR, "policy %s not reloaded: the one before stays in force",
                       broker->source.path);
        }
        notify_ready(broker->notify);
        return r;
}
