/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker: one loop and all that lives on it.
 *
 * There are no mutable globals: every object reaches its `struct broker`, and a tenant lives on one of them, so that
 * several loops later need no locks.
 *
 *      broker ─ tenants ─ grants (a protocol by name, with what the policy says of it now)
 *             └ listeners (where sessions arrive)
 *             └ sessions, half-open ones apart ─ endpoints: the session's channel, protocols, controls (each with an acceptor or a connector)
 *
 * A broker that nothing can bring a session to any more, for the one that it was started with is over, ends; but what the guest has written and left behind lies in
 * relays then, which would end with it. So it waits for these, for BROKER_LINGER_MS at most, as the kernel goes on sending when a process has ended.
 *
 * Who owns what: an endpoint owns its channel's descriptor and is freed when that ends; a session is freed with its last
 * endpoint; a tenant that the policy no longer has is freed with its last session. The policy is replaced as a whole by
 * broker_reload().
 */
#ifndef NB_BROKER_BROKER_H
#define NB_BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/channel.h"
#include "base/list.h"
#include "base/log.h"
#include "broker/account.h"
#include "broker/audit.h"
#include "broker/confine.h"
#include "broker/connection_table.h"
#include "broker/drain.h"
#include "broker/keep.h"
#include "broker/loop_lag.h"
#include "broker/token_clock.h"
#include "loop/nudge.h"
#include "broker/own.h"
#include "broker/restore.h"
#include "loop/watch.h"
#include "policy/policy.h"
#include "policy/source.h"
#include "proto/frame.h"

struct admin;
struct connection_watch;
struct deadline;
struct exporter;
struct front;
struct helper_client;
struct keep;
struct ledger;
struct loaded;
struct notify;
struct relay_contexts;
struct revocations;
struct relay_launcher;
struct seal;
struct shard;
struct shard_paths;
struct token_cache;
struct token_watch;

/** How long what guests have left behind may take, in ms; who started the broker waits for its end. */
#define BROKER_LINGER_MS 10000

/** The policy in force, and why there is no newer one. Times are of the wall clock, in ms since 1970. */
struct policy_state {
        uint64_t loaded_ms;
        uint64_t failed_ms;       /* when the last reload failed; 0: it did not */
        uint64_t n_failed;        /* reloads */
        struct nb_log_copy error; /* as it was logged then */
};

/* What several processes have of these is in ARCHITECTURE.md, "Several loops"; so the parts are kept apart here. */
struct broker {
        /* ---- one of a loop, whatever lives on it ---- */
        uv_loop_t loop;
        struct nudge nudge;
        struct watch_set watches;
        struct loop_lag loop_lag;
        struct audit audit;
        struct deadline *finish; /* owned; while it ends, and finishes what it has accepted */
        uint64_t finish_by_ms;   /* of the loop's clock: it waits no longer */
        bool ending;             /* nobody is accepted any more */
        bool stopping;
        /* One request is handled at a time, so all share the memory it is received and decoded in. */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];

        /* ---- tenants, and what is theirs ---- */
        struct account account;
        struct nb_list tenants;
        struct nb_list sessions;
        struct connection_table connections; /* in all tenants' hands */
        struct connection_watch *connection_watch;
        struct ledger *ledger; /* of connections, where there is a keeper; NULL: there is none */
        struct keep *keep;     /* what lasts longer than the broker; NULL: there is no keeper */
        uint64_t last_session_id;
        uint64_t last_connection_id;
        struct helper_client *helper;          /* NULL: there is none */
        struct relay_launcher *relay_launcher; /* NULL: no relay can be started */
        struct relay_contexts *relay_contexts; /* of the policy in force; NULL: none are needed */
        uint64_t last_relay;                   /* process of one */
        uint64_t last_relay_number;
        uint32_t last_relay_context;
        struct token_cache *token_cache; /* of tokens that were verified */
        struct token_watch *token_watch; /* ends what has expired */

        /* ---- who comes, who operates, and when to end ---- */
        uv_signal_t signal_term;
        uv_signal_t signal_int;
        uv_signal_t signal_hup;
        uv_signal_t signal_usr1;
        struct nb_list listeners;
        struct nb_list half_open; /* sessions that have not said Hello */
        uint32_t n_half_open;
        uint32_t half_open_max;
        struct admin *admin;       /* the operator's socket */
        struct exporter *exporter; /* of metrics; NULL: none */
        struct policy_source source;
        struct policy_state policy_state;
        struct kept kept; /* what is to be known of the broker itself */
        struct restore_facts restored;
        struct front *front;     /* of several processes (--shards); NULL: this is the only one, or a shard */
        struct notify *notify;   /* the service manager; NULL: there is none */
        struct deadline *linger; /* owned; NULL: it does not wait for what was left behind */

        /* ---- the same for all, until a reload or an order of the operator's ---- */
        struct nb_log log;
        uint64_t started_ms; /* of the wall clock, since 1970 */
        uid_t uid;           /* who the broker is when it serves, and whose sockets of its own are */
        gid_t gid;
        struct broker_walls walls; /* around this process */
        struct seal *seal;         /* NULL: there is none */
        struct own own;            /* sockets that no tenant reaches */
        struct policy *policy;
        uint64_t policy_digest; /* over all that it says of all tenants (policy/shard.h); only of several processes */
        struct shard *shard;    /* NULL: this is the only process, or the front */
        unsigned n_shards;      /* 0: this is the only process */
        struct shard_paths
                *shard_paths; /* tenants' own sockets, of which other processes serve some; NULL: it is no shard */
        uint64_t policy_generation;      /* counts reloads: what one has begun, another policy may not go on with */
        struct revocations *revocations; /* of tokens, by the policy in force; NULL: there are none yet */
        struct token_clock token_clock;
        struct drain drain; /* whose sessions are refused */
};

/**
 * Makes a broker with a policy.
 * @param policy  consumed
 * @param sink    where the audit goes; consumed, NULL: to the log
 * @return owned by the caller, or NULL without memory or descriptors (errno is set)
 */
struct broker *broker_new(const struct nb_log *log, const struct policy_source *source, struct policy *policy,
                          struct audit_sink *sink);

/** Ends every object and frees the broker. Takes NULL. @return NULL */
struct broker *broker_free(struct broker *broker);

/** Serves until broker_stop(), or until nothing is left that could bring a request. */
void broker_run(struct broker *broker);

/** Serves what is there. @param wait  for something, if there is nothing */
void broker_turn(struct broker *broker, bool wait);

/** Ends everything that is open; broker_run() returns. */
void broker_stop(struct broker *broker);

/**
 * Loads the policy again and applies it, or logs why not, keeps that in `policy_state`, and changes nothing.
 * @return 0, or -errno of why not
 */
int broker_reload(struct broker *broker);

/** Ends as by SIGTERM: at once, or with a keeper as soon as what it has accepted is the guests'. */
void broker_terminate(struct broker *broker);

/**
 * Loads the policy again and all that it needs, and changes nothing. Errors are logged.
 * @param ret  owned by the caller, for broker_apply() or broker_loaded_free()
 * @return 0 or -errno
 */
int broker_load(struct broker *broker, struct loaded **ret);

/** Takes NULL. @return NULL */
struct loaded *broker_loaded_free(struct loaded *loaded);

/** @return the number over it, of one of several processes (policy/shard.h) */
uint64_t broker_loaded_digest(const struct loaded *loaded);

/** Puts in force what was loaded; nothing of this can fail. @param loaded  consumed */
void broker_apply(struct broker *broker, struct loaded *loaded);

/**
 * Says which of several processes this broker is: what the policy has for others is taken from it. To be called once, before anything is served.
 * @param shard  from 1; 0: the front, which has all
 * @return 0 or -ENOMEM
 */
int broker_divide(struct broker *broker, unsigned n_shards, unsigned shard);

/** Judges all that there is by the policy in force, as after a reload: what is no longer granted ends, or not, as `Existing=` says. */
void broker_judge_all(struct broker *broker);

/** Leaves with the keeper what is to be known of the broker itself; to be called when that has changed. */
void broker_keep(struct broker *broker);

/** Goes on with the numbers of the broker before. @param item  of kind Broker @return 0 */
int broker_restore(struct broker *broker, struct kept_item *item);

/**
 * Opens and tries the files that the first policy names, as who the broker is when it serves; or logs why they cannot be used.
 * @return 0 or -errno
 */
int broker_open_contexts(struct broker *broker);

/**
 * Stops the loop when there is no listener, no session and nothing in relays left; called by whoever ends one. Where only relays have something, it is
 * stopped in BROKER_LINGER_MS at the latest.
 */
void broker_stop_if_idle(struct broker *broker);

#endif
