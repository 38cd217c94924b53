/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/token_watch.h"

#include <stdint.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/tenant.h"
#include "loop/deadline.h"

#define NS_PER_MS UINT64_C(1000000)

struct token_watch {
        struct broker *broker;
        struct deadline *deadline;
        uint64_t next_ms; /* when something ends, by the tokens' clock; UINT64_MAX: nothing does */
};

static uint64_t end_of(const struct session_token *token) {
        uint64_t end_s = token ? narrowings_time(token->narrowings).not_after : 0;

        return end_s == 0 || end_s > UINT64_MAX / 1000 ? UINT64_MAX : end_s * 1000;
}

/* What is over by now is ended already, or stays. */
static void take_into_account(struct token_watch *watch, const struct session_token *token, uint64_t now_ms) {
        uint64_t end_ms = end_of(token);

        if (end_ms > now_ms && end_ms < watch->next_ms)
                watch->next_ms = end_ms;
}

static void set_deadline(struct token_watch *watch, uint64_t now_ms) {
        uint64_t wait_ms;

        if (watch->next_ms == UINT64_MAX) {
                deadline_unset(watch->deadline);
                return;
        }
        wait_ms = watch->next_ms > now_ms ? watch->next_ms - now_ms : 0;
        if (wait_ms > TOKEN_CLOCK_LOOK_MS)
                wait_ms = TOKEN_CLOCK_LOOK_MS;
        deadline_move(watch->deadline, uv_hrtime() + wait_ms * NS_PER_MS);
}

static bool is_to_end(const struct tenant *tenant, const struct session_token *token, uint64_t now_ms) {
        if (!session_token_has_expired(token, now_ms))
                return false;
        return !tenant->policy || tenant->policy->tokens.expiry == POLICY_EXISTING_CLOSE;
}

static void look_at_session(struct token_watch *watch, struct session *session, uint64_t now_ms) {
        take_into_account(watch, session->token, now_ms);
        if (nb_list_is_empty(&session->endpoints) || !is_to_end(session->tenant, session->token, now_ms))
                return;
        nb_log(&watch->broker->log, NB_LOG_NOTICE, "session %llu of tenant %s ends: the time of its token is over",
               (unsigned long long)session->id, session->tenant->name);
        session->tenant->metrics.tokens_ended++;
        session_end(session);
}

static void look_at_connections(struct token_watch *watch, struct tenant *tenant, uint64_t now_ms) {
        unsigned n_left = 0;

        nb_list_foreach_safe(link, &tenant->connections) {
                struct connection *connection = nb_container_of(link, struct connection, link);

                take_into_account(watch, connection->token, now_ms);
                if (!connection->revoked && is_to_end(tenant, connection->token, now_ms) &&
                    connection_revoke(connection) < 0)
                        n_left++;
        }
        if (n_left > 0)
                nb_log(&watch->broker->log, NB_LOG_WARNING,
                       "tenant %s: %u connections live on though the time of their tokens is over, for nobody can shut "
                       "them down: there is no netbroker-helper (--helper PATH), they are Unix sockets, or there is no "
                       "memory",
                       tenant->name, n_left);
}

void token_watch_look(struct token_watch *watch) {
        uint64_t now_ms = token_clock_ms(&watch->broker->token_clock);

        watch->next_ms = UINT64_MAX;
        nb_list_foreach_safe(session_link, &watch->broker->sessions)
                look_at_session(watch, nb_container_of(session_link, struct session, link), now_ms);
        nb_list_foreach_safe(tenant_link, &watch->broker->tenants)
                look_at_connections(watch, nb_container_of(tenant_link, struct tenant, link), now_ms);
        set_deadline(watch, now_ms);
}

static void due(void *data) {
        token_watch_look(data);
}

struct token_watch *token_watch_new(struct broker *broker) {
        struct token_watch *watch = calloc(1, sizeof(*watch));

        if (!watch)
                return NULL;
        watch->broker = broker;
        watch->next_ms = UINT64_MAX;
        watch->deadline = deadline_new_unset(&broker->loop, due, watch);
        if (!watch->deadline) {
                free(watch);
                return NULL;
        }
        return watch;
}

void token_watch_note(struct token_watch *watch, const struct session_token *token) {
        uint64_t now_ms = token_clock_ms(&watch->broker->token_clock), before = watch->next_ms;

        take_into_account(watch, token, now_ms);
        if (watch->next_ms < before)
                set_deadline(watch, now_ms);
}

struct token_watch *token_watch_free(struct token_watch *watch) {
        if (!watch)
                return NULL;
        watch->deadline = deadline_free(watch->deadline);
        free(watch);
        return NULL;
}
