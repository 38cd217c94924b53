/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/front.h"
#include "broker/ledger.h"
#include "broker/hello_token.h"
#include "broker/session_token.h"
#include "broker/token_watch.h"
#include "loop/deadline.h"
#include "broker/restriction.h"
#include "broker/session_state.h"
#include "broker/tenant.h"
#include "broker/welcome.h"
#include "policy/narrowing.h"

/* A host says Hello as soon as it is connected. */
#define HELLO_DEADLINE_MS 10000

/* What a session costs beside the event of its Hello: to be accepted, to be looked at, and its channels. */
#define SESSION_TOKENS 4

/* Half-open sessions have no tenant whose account could bear them, so each user has a share of what all may be. */
#define HALF_OPEN_USER_MAX 256

static int session_request(struct endpoint *endpoint, const Nb__Request *request);
static void session_endpoint_stop(struct endpoint *endpoint);
static void session_endpoint_free(struct endpoint *endpoint);
static void nothing_to_judge(struct endpoint *endpoint);
static const struct grant *no_grant(const struct endpoint *endpoint);
static void welcome_late(struct throttle_waiter *waiter);

static const struct endpoint_ops session_ops = {
        .kind = "session",
        .request = session_request,
        .stop = session_endpoint_stop,
        .free = session_endpoint_free,
        .policy_changed = nothing_to_judge,
        .grant = no_grant,
        .resume = endpoint_resume,
        .kept = { .describe = session_state_describe },
};

/* The session as a whole is judged by session_policy_changed(). */
static void nothing_to_judge(struct endpoint *endpoint) {
        (void)endpoint;
}

static const struct grant *no_grant(const struct endpoint *endpoint) {
        (void)endpoint;
        return NULL;
}

/* Takes the session from the half-open ones; does nothing the second time. */
static void leave_half_open(struct session *session) {
        if (!session->hello_deadline)
                return;
        session->hello_deadline = deadline_free(session->hello_deadline);
        session->broker->n_half_open--;
        nb_list_remove(&session->link);
}

/* Only a session that has been welcomed has sent descriptors, and then it does nothing by itself. */
static void session_endpoint_stop(struct endpoint *endpoint) {
        (void)endpoint;
}

static void session_endpoint_free(struct endpoint *endpoint) {
        struct session *session = nb_container_of(endpoint, struct session, endpoint);

        throttle_cancel(&session->welcome);
        session->parked = front_unpark(session->parked);
        leave_half_open(session);
}

static void session_free(struct session *session) {
        struct broker *broker = session->broker;

        keep_forget(&session->endpoint.kept);
        nb_list_remove(&session->link);
        if (session->tenant) {
                session->token = session_token_unref(session->token);
                account_release(&session->tenant->account, ACCOUNT_SESSIONS, 1);
                session->tenant->n_sessions--;
                tenant_release_if_unused(session->tenant);
        }
        free(session->label);
        identity_deinit(&session->identity);
        free(session);
        broker_stop_if_idle(broker);
}

void session_channel_closed(struct session *session) {
        if (session->endpoint.is_shared && !session->dropping && !nb_list_is_empty(&session->endpoints))
                endpoint_keep(&session->endpoint);
}

void session_free_if_unused(struct session *session) {
        if (!session->dropping && nb_list_is_empty(&session->endpoints) && nb_list_is_empty(&session->lingering))
                session_free(session);
}

void session_end(struct session *session) {
        session->dropping = true;
        while (!nb_list_is_empty(&session->endpoints))
                endpoint_end(nb_container_of(session->endpoints.next, struct endpoint, link));
        while (session->broker->stopping && !nb_list_is_empty(&session->lingering))
                endpoint_end_now(nb_container_of(session->lingering.next, struct endpoint, link));
        session->dropping = false;
        session_free_if_unused(session);
}

/* @param whose  ends in a blank, or is empty: who sent it, of the process that has opened the session */
static void record_violation(struct session *session, const char *where, const char *what, const char *whose) {
        struct broker *broker = session->broker;
        char reason[256];
        struct audit_record record = {
                .session = session, .verb = "protocol-error", .verdict = "dropped", .reason = reason
        };

        (void)snprintf(reason, sizeof(reason), "%s on a %s channel, from %spid %d of user %u", what, where, whose,
                       (int)session->identity.pid, (unsigned)session->identity.uid);
        audit_write(&broker->audit, uv_now(&broker->loop), &record);
        if (session->tenant)
                session->tenant->metrics.violations++;
}

void session_drop(struct session *session, const char *where, const char *what) {
        record_violation(session, where, what, "");
        session_end(session);
}

void session_note_delegation(struct endpoint *endpoint, uint64_t delegation) {
        endpoint->delegation = delegation;
        if (endpoint->session->last_delegation < delegation)
                endpoint->session->last_delegation = delegation;
}

/* As judge_endpoints(). */
void session_drop_delegation(struct session *session, uint64_t delegation, const char *where, const char *what) {
        record_violation(session, where, what, "whoever has a protocol of ");
        session->dropping = true;
        nb_list_foreach_safe(link, &session->endpoints) {
                struct endpoint *endpoint = nb_container_of(link, struct endpoint, link);

                if (endpoint->delegation == delegation)
                        endpoint_end(endpoint);
        }
        session->dropping = false;
        session_free_if_unused(session);
}

static void hello_timed_out(void *data) {
        struct session *session = data;

        session_drop(session, "session",
                     session->parked ? "a Hello that its shard did not take in time" : "no Hello in time");
}

/* The user's oldest half-open session, if it has as many as one may have. */
static struct session *oldest_of_user(struct broker *broker, uid_t uid) {
        struct session *oldest = NULL;
        uint32_t n = 0;

        nb_list_foreach_safe(link, &broker->half_open) {
                struct session *session = nb_container_of(link, struct session, link);

                if (session->identity.uid != uid)
                        continue;
                if (!oldest)
                        oldest = session;
                n++;
        }
        return n >= HALF_OPEN_USER_MAX ? oldest : NULL;
}

/*
 * A host says Hello at once, so who has waited longest is the least likely to be one: newcomers push out the oldest of
 * their user, or of all. Few are half-open, but in an attack; then the walk is bounded by the limit.
 */
static void make_room_for_half_open(struct broker *broker, uid_t uid) {
        struct session *victim;

        if (broker->n_half_open < HALF_OPEN_USER_MAX && broker->n_half_open < broker->half_open_max)
                return;
        victim = oldest_of_user(broker, uid);
        if (!victim && broker->n_half_open >= broker->half_open_max)
                victim = nb_container_of(broker->half_open.next, struct session, link);
        if (victim)
                session_drop(victim, "session", "no Hello while too many wait");
}

static struct session *session_free_unstarted(struct session *session) {
        if (!session)
                return NULL;
        session->hello_deadline = deadline_free(session->hello_deadline);
        identity_deinit(&session->identity);
        free(session);
        return NULL;
}

static void cleanup_unstarted(struct session **session) {
        *session = session_free_unstarted(*session);
}

int session_new(struct broker *broker, int fd_consumed, struct identity *identity) {
        NB_CLEANUP_FD int fd = fd_consumed;
        NB_CLEANUP(cleanup_unstarted) struct session *session = calloc(1, sizeof(*session));
        int r;

        if (!session) {
                identity_deinit(identity);
                return -ENOMEM;
        }
        session->identity = *identity;
        *identity = (struct identity){ .inherited = false };
        nb_channel_expect_bytes(fd);
        make_room_for_half_open(broker, session->identity.uid);
        session->broker = broker;
        session->id = ledger_count(broker->ledger, LEDGER_LAST_SESSION, &broker->last_session_id);
        nb_list_init(&session->endpoints);
        nb_list_init(&session->lingering);
        throttle_waiter_init(&session->welcome, welcome_late);
        session->hello_deadline = deadline_new(&broker->loop, HELLO_DEADLINE_MS, hello_timed_out, session);
        if (!session->hello_deadline)
                return -ENOMEM;
        r = endpoint_start(&session->endpoint, session, &session_ops, fd);
        if (r < 0)
                return r;
        (void)nb_steal_fd(&fd);
        broker->n_half_open++;
        nb_list_append(&broker->half_open, &session->link);
        (void)nb_steal_ptr(session);
        return 0;
}

int session_new_with_hello(struct broker *broker, int fd, struct identity *identity, size_t length) {
        int r = session_new(broker, fd, identity);
        struct endpoint *endpoint;

        if (r < 0)
                return r;
        endpoint = &nb_container_of(broker->half_open.prev, struct session, link)->endpoint;
        /* The front may not have closed its own descriptor yet: until then the kernel knows the watch of one that is closed here. */
        endpoint->is_shared = true;
        endpoint_take_frame(endpoint, length);
        return 0;
}

/* Why no tenant fits, in words for the operator: what others have is not told. */
static const char *why_none(const struct session *session, const char *name) {
        if (session->identity.tenant)
                return *name ? "it came by the own socket (Socket=) of another tenant than Hello names, or of one that "
                               "has none any more"
                             : "it came by a tenant's own socket (Socket=) that the policy has no more";
        return *name ? "no tenant of that name admits this process (User=, Group=, Unit=)"
                     : "no tenant admits this process (User=, Group=, Unit=)";
}

/* The one tenant that fits and, if a name is given, has it. `ret_reason` says why there is none. */
static const struct policy_tenant *select_tenant(const struct session *session, const char *name,
                                                 const char **ret_reason) {
        const struct policy *policy = session->broker->policy;
        const struct policy_tenant *found = NULL;

        for (size_t i = 0; i < policy->n_tenants; ++i) {
                const struct policy_tenant *tenant = &policy->tenants[i];

                if (!identity_fits(&session->identity, tenant) || (*name && strcmp(name, tenant->name) != 0))
                        continue;
                if (found) {
                        *ret_reason = "several tenants fit; name one in Hello (--tenant)";
                        return NULL;
                }
                found = tenant;
        }
        if (!found)
                *ret_reason = why_none(session, name);
        return found;
}

static void audit_hello(struct session *session, const char *asked, const char *verdict, const char *reason) {
        const struct identity *identity = &session->identity;
        struct broker *broker = session->broker;
        char text[256 + IDENTITY_UNIT_MAX];
        struct audit_record record = {
                .session = session,
                .verb = "hello",
                .verdict = verdict,
                .asked = asked,
                .asked_length = strlen(asked),
                .reason = text,
        };

        (void)snprintf(text, sizeof(text), "%s; pid %d of user %u%s%s", reason, (int)identity->pid,
                       (unsigned)identity->uid, identity->unit ? " in " : "", identity->unit ? identity->unit : "");
        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

/* Answers and ends the session: without a tenant there is nothing that it could ask. */
static int refuse_hello(struct session *session, const char *asked, enum nb_wasi_errno error, const char *reason) {
        audit_hello(session, asked, "denied", reason);
        (void)endpoint_refuse(&session->endpoint, error, NULL);
        session_end(session);
        return 1;
}

/* Why there can be no session more. */
static const char *why_no_session(int error) {
        switch (error) {
        case EMFILE:
                return "the tenant has as many sessions as it may have";
        case ENFILE:
                return "all tenants together have as many sessions as they may have";
        case ENOBUFS:
                return "the tenant has as much memory as it may have";
        default:
                return strerror(error);
        }
}

/* The session has its tenant's turns from now on. */
static int join_tenant(struct session *session, struct tenant *tenant) {
        int r = quota_claim(tenant, ACCOUNT_SESSIONS);

        if (r < 0)
                return r;
        r = watch_move(&session->endpoint.watch, &tenant->throttle.channels);
        if (r < 0) {
                account_release(&tenant->account, ACCOUNT_SESSIONS, 1);
                return r;
        }
        tenant->n_sessions++;
        session->tenant = tenant;
        return 0;
}

/* @param asked  the tenant that Hello named */
static int welcome(struct session *session, const char *asked) {
        int r;

        endpoint_keep(&session->endpoint);
        r = welcome_send(session);
        if (r < 0)
                return refuse_hello(session, asked, nb_wasi_errno_from_host(-r), why_no_session(-r));
        audit_hello(session, asked, "allowed", "session opened");
        return 0;
}

/* Whether the policy of now would let it in. @param reason  why not, if it is the token */
static bool is_admitted(const struct session *session, const char **reason) {
        const struct policy_tenant *policy = session->tenant->policy;

        if (!policy || !identity_fits(&session->identity, policy))
                return false;
        return session_token_holds(session->token, session->tenant, reason);
}

/* The Hello is gone by now: it named this tenant, or nobody. */
static void welcome_late(struct throttle_waiter *waiter) {
        struct session *session = nb_container_of(waiter, struct session, welcome);
        const struct tenant *tenant = session->tenant;
        const char *reason = why_none(session, tenant->name);

        /* A reload with Existing=keep has let it wait on, and nothing new is granted. */
        if (is_admitted(session, &reason))
                (void)welcome(session, tenant->name);
        else
                (void)refuse_hello(session, tenant->name, NB_WASI_EACCES, reason);
}

static void cleanup_token(struct session_token **token) {
        *token = session_token_unref(*token);
}

/* @param token  a reference, consumed; NULL: none */
static void take_token(struct session *session, struct session_token *token) {
        session->token = token;
        session->narrowings = session_token_narrowings(token);
        token_watch_note(session->broker->token_watch, token);
}

static int open_session(struct session *session, const Nb__Hello *hello, const struct policy_tenant *policy) {
        struct tenant *tenant = tenant_get(session->broker, policy);
        NB_CLEANUP(cleanup_token) struct session_token *token = NULL;
        char reason[HELLO_TOKEN_REASON_MAX] = "";
        int r;

        session->label = tenant ? strdup(hello->label) : NULL;
        if (!session->label)
                return refuse_hello(session, hello->tenant, NB_WASI_ENOMEM, "out of memory");
        r = hello_token_take(tenant, hello, &token, reason);
        if (r < 0)
                return refuse_hello(session, hello->tenant, nb_wasi_errno_from_host(-r), reason);
        r = join_tenant(session, tenant);
        if (r < 0)
                return refuse_hello(session, hello->tenant, nb_wasi_errno_from_host(-r), why_no_session(-r));
        take_token(session, nb_steal_ptr(token));
        leave_half_open(session);
        nb_list_append(&session->broker->sessions, &session->link);

        return throttle_take(&tenant->throttle, SESSION_TOKENS, &session->welcome) ? welcome(session, hello->tenant)
                                                                                   : 0;
}

/* What is longer than any token the shard would refuse, too; but with what goes along it may be longer than a message. */
static int hand_over(struct session *session, const Nb__Request *request, const struct policy_tenant *tenant) {
        const Nb__Hello *hello = request->hello;

        if (hello->token.len > NB_TOKEN_LENGTH_MAX)
                return refuse_hello(session, hello->tenant, NB_WASI_EACCES, "what was shown is too long for a token");
        return front_hand_over(session->broker->front, session, request, tenant);
}

static int session_request(struct endpoint *endpoint, const Nb__Request *request) {
        struct session *session = nb_container_of(endpoint, struct session, endpoint);
        const struct policy_tenant *tenant;
        const Nb__Hello *hello = request->hello;
        const char *reason = NULL;

        if (request->body_case != NB__REQUEST__BODY_HELLO || session->tenant || session->parked)
                return -EPROTO;
        if (strlen(hello->tenant) > NB_NAME_LENGTH_MAX || strlen(hello->label) > NB_LABEL_LENGTH_MAX)
                return -EPROTO;
        if (hello->oldest_version > NB_PROTOCOL_VERSION || hello->newest_version < NB_PROTOCOL_VERSION)
                return refuse_hello(session, hello->tenant, NB_WASI_EPROTONOSUPPORT, "no version of the protocol fits");
        tenant = select_tenant(session, hello->tenant, &reason);
        if (!tenant)
                return refuse_hello(session, hello->tenant, NB_WASI_EACCES, reason);
        /* As if no broker were there: its host goes to another one. A shard that is started again has not heard of it, so the front refuses, too. */
        if (drain_refuses(&session->broker->drain, tenant->name))
                return refuse_hello(session, hello->tenant, NB_WASI_ECONNREFUSED,
                                    "new sessions are refused: an operator drains this broker (netbrokerctl drain)");
        if (session->broker->front)
                return hand_over(session, request, tenant);
        return open_session(session, hello, tenant);
}

/* Only endpoints that stand in the list when it begins are judged; one that ends removes itself and no other. */
static void judge_endpoints(struct session *session) {
        session->dropping = true;
        nb_list_foreach_safe(link, &session->endpoints) {
                struct endpoint *endpoint = nb_container_of(link, struct endpoint, link);

                endpoint->ops->policy_changed(endpoint);
        }
        session->dropping = false;
        session_free_if_unused(session);
}

void session_policy_changed(struct session *session) {
        const char *reason = NULL;

        if (!session->tenant || nb_list_is_empty(&session->endpoints))
                return;
        if (tenant_keeps_existing(session->tenant))
                return;
        if (is_admitted(session, &reason)) {
                judge_endpoints(session);
                return;
        }
        nb_log(&session->broker->log, NB_LOG_NOTICE,
               "session %llu ends: the new policy does not admit pid %d of user %u as tenant %s%s%s",
               (unsigned long long)session->id, (int)session->identity.pid, (unsigned)session->identity.uid,
               session->tenant->name, reason ? ": " : "", reason ? reason : "");
        session_end(session);
}

/* As judge_endpoints(). */
void session_revoke(struct session *session, const struct grant *grant) {
        session->dropping = true;
        nb_list_foreach_safe(link, &session->endpoints) {
                struct endpoint *endpoint = nb_container_of(link, struct endpoint, link);

                if (endpoint->ops->grant(endpoint) == grant)
                        endpoint_end(endpoint);
        }
        session->dropping = false;
        session_free_if_unused(session);
}

/* ---- after a restart ---- */

static struct session *session_free_unrestored(struct session *session) {
        if (!session)
                return NULL;
        session->token = session_token_unref(session->token);
        identity_deinit(&session->identity);
        free(session->label);
        free(session);
        return NULL;
}

static void cleanup_narrowings(struct narrowings **narrowings) {
        *narrowings = narrowings_unref(*narrowings);
}

static void cleanup_unrestored(struct session **session) {
        *session = session_free_unrestored(*session);
}

/* Without its channel, and of no tenant yet. */
static int new_unrestored(struct broker *broker, const Nb__State__Session *state, struct session **ret) {
        NB_CLEANUP(cleanup_unrestored) struct session *session = calloc(1, sizeof(*session));
        int r;

        if (!session)
                return -ENOMEM;
        if (strlen(state->tenant) > NB_NAME_LENGTH_MAX || strlen(state->label) > NB_LABEL_LENGTH_MAX)
                return -EBADMSG;
        r = session_state_identity(state, &session->identity);
        if (r < 0)
                return r;
        session->label = strdup(state->label);
        if (!session->label)
                return -ENOMEM;
        session->broker = broker;
        session->id = state->id;
        session->endpoint = (struct endpoint){ .session = session, .ops = &session_ops, .fd = -1 };
        nb_list_init(&session->endpoints);
        nb_list_init(&session->lingering);
        nb_list_init(&session->link);
        throttle_waiter_init(&session->welcome, welcome_late);
        *ret = nb_steal_ptr(session);
        return 0;
}

/* Its channel, if there is one that somebody still holds the other end of. Its item is the session's in any case. */
static int restore_channel(struct session *session, struct kept_item *item) {
        int r = item->n_fds > 0 ? endpoint_restore(&session->endpoint, session, &session_ops, item) : -EPIPE;

        if (r != -EPIPE)
                return r;
        session->endpoint.is_shared = true;
        keep_adopt(session->broker->keep, &session->endpoint.kept, &session_ops.kept, item->id);
        endpoint_keep(&session->endpoint);
        return 0;
}

/* What narrowed it narrows it still; a session whose token cannot be read does not come back. */
static int restore_token(struct session *session, const Nb__State__Session *state) {
        NB_CLEANUP(cleanup_narrowings) struct narrowings *narrowings = NULL;
        struct session_token *token;
        int r = restriction_restore(session->tenant, state->narrowings, NULL, &narrowings);

        if (r < 0 || !narrowings)
                return r;
        r = session_token_restored(session->tenant, state->narrowings, narrowings, &token);
        if (r == 0 && !token)
                r = -EBADMSG; /* nothing but a token narrows a session */
        if (r == 0)
                take_token(session, token);
        return r;
}

int session_restore(struct broker *broker, struct kept_item *item, struct session **ret) {
        const Nb__State__Session *state = item->item->session;
        NB_CLEANUP(cleanup_unrestored) struct session *session = NULL;
        int r = new_unrestored(broker, state, &session);

        if (r < 0)
                return r;
        session->tenant = tenant_get_named(broker, state->tenant);
        if (!session->tenant)
                return -ENOMEM;
        r = restore_token(session, state);
        if (r == 0)
                r = restore_channel(session, item);
        if (r < 0)
                return r;
        if (session->id > broker->last_session_id)
                broker->last_session_id = session->id;
        account_restore(&session->tenant->account, ACCOUNT_SESSIONS, 1);
        session->tenant->n_sessions++;
        nb_list_append(&broker->sessions, &session->link);
        *ret = nb_steal_ptr(session);
        return 0;
}

/* As judge_endpoints(). */
unsigned session_resume(struct session *session) {
        unsigned n_untold = 0;

        session->dropping = true;
        nb_list_foreach_safe(link, &session->endpoints) {
                struct endpoint *endpoint = nb_container_of(link, struct endpoint, link);
                int r = endpoint->ops->resume(endpoint);

                n_untold += r < 0 && r != -EPIPE && r != -ECONNRESET;
                if (r < 0)
                        endpoint_end(endpoint);
        }
        session->dropping = false;
        session_free_if_unused(session);
        return n_untold;
}
