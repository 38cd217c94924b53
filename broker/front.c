/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/front.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/front_link.h"
#include "broker/session.h"
#include "loop/deadline.h"
#include "policy/shard.h"

/* How long shards may take to end, and to answer about a policy: less than Hello's time, for nobody is accepted meanwhile. */
#define END_MS 5000
#define ANSWER_MS 8000

/* How often shards are asked whether they are alive: one that hangs is ended within four times that, as by a service manager's watchdog. */
#define LOOK_NS (3 * UINT64_C(1000000000))

/* ---- sessions ---- */

/* The message is whole: it is sent as it is, now or later. One that never could be would stand in front of all others. */
static struct front_parked *park(struct session *session, const Nb__Request *hello) {
        const char *path = session->identity.socket ? session->identity.socket : "";
        const struct shard_message message = {
                .verb = SHARD_SESSION,
                .text = (uint32_t)strlen(path),
                .frame = (uint32_t)nb__request__get_packed_size(hello),
        };
        size_t length = sizeof(message) + message.text + message.frame;
        struct front_parked *parked = length <= NB_CHANNEL_MESSAGE_MAX ? malloc(sizeof(*parked) + length) : NULL;

        if (!parked)
                return NULL;
        nb_list_init(&parked->link);
        parked->session = session;
        parked->length = length;
        memcpy(parked->bytes, &message, sizeof(message));
        memcpy(parked->bytes + sizeof(message), path, message.text);
        (void)nb__request__pack(hello, parked->bytes + sizeof(message) + message.text);
        return parked;
}

struct front_parked *front_unpark(struct front_parked *parked) {
        if (!parked)
                return NULL;
        nb_list_remove(&parked->link);
        free(parked);
        return NULL;
}

int front_hand_over(struct front *front, struct session *session, const Nb__Request *hello,
                    const struct policy_tenant *tenant) {
        struct front_link *link = &front->links[policy_shard_of(tenant, front->n_links) - 1];

        session->parked = park(session, hello);
        if (!session->parked)
                return -ENOMEM;
        nb_list_append(&link->parked, &session->parked->link);
        front_link_flush(link);
        return 1;
}

/* ---- the policy ---- */

/* What a tenant has is in its shard: it would end there, and not come back elsewhere. */
static int check_nobody_moves(const struct front *front, const struct policy *policy) {
        const struct policy *before = front->broker->policy;

        for (size_t i = 0; i < policy->n_tenants; ++i) {
                const struct policy_tenant *now = &policy->tenants[i];
                const struct policy_tenant *then = policy_find_tenant(before, now->name);

                if (!then || policy_shard_of(then, front->n_links) == policy_shard_of(now, front->n_links))
                        continue;
                nb_log(&front->broker->log, NB_LOG_ERROR,
                       "Shard= moves tenant %s from shard %u to shard %u, which a reload does not; restart netbrokerd "
                       "when the tenant has no sessions, or take it back",
                       now->name, policy_shard_of(then, front->n_links), policy_shard_of(now, front->n_links));
                return -EBUSY;
        }
        return 0;
}

static int check_all_ready(const struct front *front) {
        for (unsigned i = 0; i < front->n_links; ++i) {
                if (front->links[i].state == FRONT_LINK_READY)
                        continue;
                nb_log(&front->broker->log, NB_LOG_ERROR, "shard %u is being started; reload again", i + 1);
                return -EAGAIN;
        }
        return 0;
}

/* Asks all, and collects an answer of each that is there; those that are not by then are not waited for. */
static void ask_all(struct front *front, enum shard_verb verb) {
        const struct shard_message message = { .verb = verb, .number = front->n_reloads };

        for (unsigned i = 0; i < front->n_links; ++i) {
                struct front_link *link = &front->links[i];

                link->awaits = link->state == FRONT_LINK_READY && front_link_say(link, &message) == 0;
        }
        front_link_wait_all(front, ANSWER_MS);
}

static int check_answer(const struct front *front, const struct front_link *link, uint64_t digest) {
        const struct nb_log *log = &front->broker->log;

        if (link->state != FRONT_LINK_READY || !link->has_answered) {
                nb_log(log, NB_LOG_ERROR, "shard %u has not answered", link->number);
                return -ETIMEDOUT;
        }
        if (link->error < 0) {
                nb_log(log, NB_LOG_ERROR, "shard %u: %s", link->number, link->error_text);
                return link->error;
        }
        if (link->digest == digest)
                return 0;
        nb_log(log, NB_LOG_ERROR, "the policy has changed while it was being read; reload again");
        return -EAGAIN;
}

static int check_answers(const struct front *front, uint64_t digest) {
        for (unsigned i = 0; i < front->n_links; ++i) {
                int r = check_answer(front, &front->links[i], digest);

                if (r < 0)
                        return r;
        }
        return 0;
}

static void abandon(struct front *front) {
        const struct shard_message message = { .verb = SHARD_ABANDON, .number = front->n_reloads };

        for (unsigned i = 0; i < front->n_links; ++i) {
                if (front->links[i].state == FRONT_LINK_READY)
                        (void)front_link_say(&front->links[i], &message);
        }
}

int front_prepare(struct front *front, const struct policy *policy, uint64_t digest) {
        int r = check_all_ready(front);

        if (r == 0)
                r = check_nobody_moves(front, policy);
        if (r < 0)
                return r;
        front->n_reloads++;
        ask_all(front, SHARD_PREPARE);
        r = check_answers(front, digest);
        if (r < 0)
                abandon(front);
        return r;
}

/* One that has ended by now is started again, and reads the same policy. */
void front_apply(struct front *front) {
        ask_all(front, SHARD_APPLY);
        for (unsigned i = 0; i < front->n_links; ++i) {
                struct front_link *link = &front->links[i];

                if (link->state == FRONT_LINK_READY && !link->has_answered)
                        front_link_lose(link, "it does not put the policy in force");
        }
}

/* One that is being started may have opened it before: it hears this when it serves. */
void front_rotated(struct front *front) {
        const struct shard_message message = { .verb = SHARD_ROTATED };

        for (unsigned i = 0; i < front->n_links; ++i) {
                if (front->links[i].state != FRONT_LINK_DOWN)
                        (void)front_link_say(&front->links[i], &message);
        }
}

unsigned front_n_shards(const struct front *front) {
        return front ? front->n_links : 0;
}

/* ---- beginning and end ---- */

/* It says nothing: an event is its end. */
static void spawner_ended(struct watch *watch, uint32_t events) {
        struct front *front = nb_container_of(watch, struct front, spawner_watch);

        (void)events;
        nb_log(&front->broker->log, NB_LOG_ERROR,
               "the process that starts shards has ended; netbrokerd ends, to be started again");
        front->has_failed = true;
        broker_stop(front->broker);
}

static void look(void *data) {
        struct front *front = data;

        for (unsigned i = 0; i < front->n_links; ++i)
                front_link_ping(&front->links[i]);
        deadline_move(front->look, uv_hrtime() + LOOK_NS);
}

/* @return 0 or -ENOMEM */
static int start_looking(struct front *front) {
        front->look = deadline_new_unset(&front->broker->loop, look, front);
        if (!front->look)
                return -ENOMEM;
        deadline_move(front->look, uv_hrtime() + LOOK_NS);
        return 0;
}

bool front_has_failed(const struct front *front) {
        return front && front->has_failed;
}

int front_start(struct front *front) {
        for (unsigned i = 0; i < front->n_links; ++i) {
                int r = front_link_start(&front->links[i]);

                if (r < 0) {
                        nb_log(&front->broker->log, NB_LOG_ERROR, "cannot start shard %u: %s", i + 1, strerror(-r));
                        return r;
                }
                front->links[i].awaits = true;
        }
        front_link_wait_all(front, -1);
        for (unsigned i = 0; i < front->n_links; ++i) {
                if (front->links[i].state == FRONT_LINK_READY)
                        continue;
                nb_log(&front->broker->log, NB_LOG_ERROR, "shard %u has not started: netbrokerd does not start", i + 1);
                return -ECHILD;
        }
        front->serves = true;
        if (start_looking(front) < 0)
                return -ENOMEM;
        return watch_start(&front->spawner_watch, &front->broker->watches, front->spawner_fd, EPOLLIN, spawner_ended);
}

struct front *front_new(struct broker *broker, unsigned n_shards, int spawner_fd) {
        struct front *front = calloc(1, sizeof(*front) + n_shards * sizeof(front->links[0]));

        if (!front) {
                (void)nb_fd_close(spawner_fd);
                return NULL;
        }
        front->broker = broker;
        front->spawner_fd = spawner_fd;
        front->n_links = n_shards;
        for (unsigned i = 0; i < n_shards; ++i)
                front_link_init(&front->links[i], front, i + 1);
        return front;
}

/* A shard ends when its channel does, and closes its own end last. */
struct front *front_free(struct front *front) {
        if (!front)
                return NULL;
        front->ending = true;
        for (unsigned i = 0; i < front->n_links; ++i) {
                struct front_link *link = &front->links[i];

                link->awaits = link->fd >= 0 && shutdown(link->fd, SHUT_WR) == 0;
        }
        front_link_wait_all(front, END_MS);
        for (unsigned i = 0; i < front->n_links; ++i)
                front_link_deinit(&front->links[i]);
        front->reload = deadline_free(front->reload);
        front->look = deadline_free(front->look);
        watch_end_before_close(&front->spawner_watch);
        front->spawner_fd = nb_fd_close(front->spawner_fd);
        free(front);
        return NULL;
}
