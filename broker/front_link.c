/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/front_link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/notify.h"
#include "broker/session.h"
#include "loop/deadline.h"

/* Until one that has ended is started again: first, and at most, for each time in a row doubles it. */
#define AGAIN_LEAST_MS 20
#define AGAIN_MOST_MS 5000

/* One that has served for so long has not failed in a row. */
#define STEADY_MS 30000

/* The kernel has no event for that descriptors on their way have arrived. */
#define CROWDED_MS 10

/* How long it is waited for room for what must not be lost. */
#define SAY_MS 2000

/* How many questions in a row a shard may leave unanswered. They are counted, and not the time: this process may have been stopped, too. */
#define PINGS_MOST 3

/* How often the service manager is told meanwhile that it is one shard that does not answer, and not all. */
#define ALIVE_MS 1000

static void ready(struct watch *watch, uint32_t events);

/* ---- sending ---- */

int front_link_say(struct front_link *link, const struct shard_message *message) {
        uint64_t end = uv_hrtime() + (uint64_t)SAY_MS * 1000000;
        int r = nb_channel_send(link->fd, message, sizeof(*message), NULL, 0);

        link->has_answered = false;
        while (r == -EAGAIN && uv_hrtime() < end) {
                struct pollfd event = { .fd = link->fd, .events = POLLOUT };

                (void)poll(&event, 1, CROWDED_MS);
                notify_alive(link->front->broker->notify);
                r = nb_channel_send(link->fd, message, sizeof(*message), NULL, 0);
        }
        if (r < 0)
                front_link_lose(link, strerror(-r));
        return r;
}

/* It lives on in the shard, so the kernel must forget here that it is watched. */
static void give_away(struct session *session) {
        session->parked = front_unpark(session->parked);
        watch_end(&session->endpoint.watch);
        session_end(session);
}

static int send_parked(struct front_link *link) {
        while (!nb_list_is_empty(&link->parked)) {
                struct front_parked *parked = nb_container_of(link->parked.next, struct front_parked, link);
                int r = nb_channel_send(link->fd, parked->bytes, parked->length, &parked->session->endpoint.fd, 1);

                if (r < 0)
                        return r;
                give_away(parked->session);
        }
        return 0;
}

static void try_again(void *data) {
        struct front_link *link = data;

        link->again = deadline_free(link->again);
        front_link_flush(link);
}

/* In front of what is parked: where sessions take all room that there is, one that reads them is alive. */
static int send_ping(struct front_link *link) {
        const struct shard_message message = { .verb = SHARD_PING };
        int r = link->owes_ping ? nb_channel_send(link->fd, &message, sizeof(message), NULL, 0) : 0;

        if (r == 0)
                link->owes_ping = false;
        return r;
}

void front_link_flush(struct front_link *link) {
        bool is_short;
        int r;

        if (link->state != FRONT_LINK_READY || link->again)
                return;
        r = send_ping(link);
        if (r == 0)
                r = send_parked(link);
        is_short = nb_channel_is_short(r);
        if (is_short)
                link->again = deadline_new(&link->front->broker->loop, CROWDED_MS, try_again, link);
        /* Its end is told by an event, too, and then it is started again. Without memory for a timer it is tried at once. */
        (void)watch_change(&link->watch, r == -EAGAIN || (is_short && !link->again) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* ---- being without ---- */

static void start_again(void *data) {
        struct front_link *link = data;
        int r;

        link->again = deadline_free(link->again);
        r = front_link_start(link);
        if (r < 0)
                front_link_lose(link, strerror(-r));
}

static uint64_t delay_ms(const struct front_link *link) {
        uint64_t delay = (uint64_t)AGAIN_LEAST_MS << (link->n_failed < 16 ? link->n_failed : 16);

        return delay < AGAIN_MOST_MS ? delay : AGAIN_MOST_MS;
}

static void disconnect(struct front_link *link) {
        watch_end_before_close(&link->watch);
        link->fd = nb_fd_close(link->fd);
        link->again = deadline_free(link->again);
        link->state = FRONT_LINK_DOWN;
        link->pid = 0;
        link->awaits = false;
}

void front_link_lose(struct front_link *link, const char *why) {
        struct front *front = link->front;
        struct broker *broker = front->broker;
        bool was_steady = link->state == FRONT_LINK_READY && uv_now(&broker->loop) - link->ready_ms >= STEADY_MS;

        disconnect(link);
        if (!front->serves || front->ending || broker->ending || broker->stopping)
                return;
        link->n_failed = was_steady ? 0 : link->n_failed;
        nb_log(&broker->log, NB_LOG_WARNING,
               "shard %u has ended%s%s: it is started again in %d ms; others do not notice", link->number,
               why ? ": " : "", why ? why : "", (int)delay_ms(link));
        link->again = deadline_new(&broker->loop, delay_ms(link), start_again, link);
        link->n_failed++;
        /* Without memory for a timer it is started at once; all tenants end only where that fails, too. */
        if (!link->again && front_link_start(link) < 0) {
                front->has_failed = true;
                broker_stop(broker);
        }
}

/* ---- starting ---- */

struct telling {
        struct front_link *link;
        int r;
};

/* To be told in front of all else: what no rule of a tenant's may reach. */
static void tell_own(void *data, const char *what, const struct nb_socket_address *address, const char *path) {
        struct {
                struct shard_message message;
                struct shard_own own;
        } own;
        struct telling *telling = data;

        memset(&own, 0, sizeof(own));
        own.message.verb = SHARD_OWN;
        own.own.address = *address;
        (void)snprintf(own.own.path, sizeof(own.own.path), "%s", path);
        (void)snprintf(own.own.what, sizeof(own.own.what), "%s", what);
        if (telling->r == 0)
                telling->r = nb_channel_send(telling->link->fd, &own, sizeof(own.message) + sizeof(own.own), NULL, 0);
}

static int tell_first(struct front_link *link) {
        const struct shard_message begin = { .verb = SHARD_BEGIN };
        struct telling telling = { .link = link };

        own_each_lasting(&link->front->broker->own, tell_own, &telling);
        return telling.r < 0 ? telling.r : nb_channel_send(link->fd, &begin, sizeof(begin), NULL, 0);
}

int front_link_start(struct front_link *link) {
        const struct shard_message start = { .verb = SHARD_START, .number = link->number };
        NB_CLEANUP_FD int theirs = -1;
        int ends[2], r = nb_channel_pair(ends);

        if (r < 0)
                return r;
        link->fd = ends[0];
        theirs = ends[1];
        r = watch_start(&link->watch, &link->front->broker->watches, link->fd, EPOLLIN, ready);
        if (r == 0)
                r = tell_first(link);
        if (r == 0)
                r = nb_channel_send(link->front->spawner_fd, &start, sizeof(start), &theirs, 1);
        if (r < 0) {
                disconnect(link);
                return r;
        }
        link->state = FRONT_LINK_STARTING;
        link->n_starts++;
        return 0;
}

/* ---- being alive ---- */

/* It counts from now on, also where there is no room for the question yet: a channel that stays full nobody reads. */
void front_link_ping(struct front_link *link) {
        if (link->state != FRONT_LINK_READY)
                return;
        if (link->n_pings == PINGS_MOST) {
                front_link_lose(link, "it does not answer");
                return;
        }
        link->n_pings++;
        link->owes_ping = true;
        front_link_flush(link);
}

/* ---- receiving ---- */

static void reload(void *data) {
        struct front *front = data;

        front->reload = deadline_free(front->reload);
        (void)broker_reload(front->broker);
}

/* A shard that was started again has read what stands in the files by now. All are to have the same. */
static void take_ready(struct front_link *link, const struct shard_message *message) {
        struct front *front = link->front;
        struct broker *broker = front->broker;

        link->state = FRONT_LINK_READY;
        link->n_pings = 0;
        link->owes_ping = false;
        link->awaits = false;
        link->pid = (pid_t)message->pid;
        link->ready_ms = uv_now(&broker->loop);
        if (message->digest != broker->policy_digest && !front->reload) {
                nb_log(&broker->log, NB_LOG_WARNING,
                       "shard %u has found a newer policy than is in force: all shards reload", link->number);
                front->reload = deadline_new(&broker->loop, 0, reload, front);
        }
        nb_log(&broker->log, link->n_starts > 1 ? NB_LOG_NOTICE : NB_LOG_INFO, "shard %u serves, as process %d",
               link->number, (int)link->pid);
        front_link_flush(link);
}

static void take_answer(struct front_link *link, const struct shard_message *message, const char *text) {
        if (message->number != link->front->n_reloads)
                return;
        link->awaits = false;
        link->has_answered = true;
        link->error = message->error;
        link->digest = message->digest;
        (void)snprintf(link->error_text, sizeof(link->error_text), "%.*s", (int)message->text, text);
}

/* @return 0; -EAGAIN; another -errno: it is gone */
static int receive_one(struct front_link *link) {
        uint8_t *frame = link->front->broker->frame;
        struct shard_message message;
        int n = nb_channel_receive_bytes(link->fd, frame);

        if (n <= 0)
                return n < 0 ? n : -EPIPE;
        if ((size_t)n < sizeof(message))
                return -EPROTO;
        memcpy(&message, frame, sizeof(message));
        if (message.text != (size_t)n - sizeof(message))
                return -EPROTO;
        link->n_pings = 0;
        if (message.verb == SHARD_READY)
                take_ready(link, &message);
        else if (message.verb == SHARD_PREPARED || message.verb == SHARD_APPLIED)
                take_answer(link, &message, (const char *)frame + sizeof(message));
        else if (message.verb != SHARD_PONG)
                return -EPROTO;
        return 0;
}

static void receive(struct front_link *link) {
        int r = receive_one(link);

        if (r < 0 && r != -EAGAIN)
                front_link_lose(link, r == -EPROTO ? "what it says makes no sense" : NULL);
}

static void ready(struct watch *watch, uint32_t events) {
        struct front_link *link = nb_container_of(watch, struct front_link, watch);

        if (events & EPOLLOUT)
                front_link_flush(link);
        if (link->fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
                receive(link);
}

/* ---- waiting ---- */

static nfds_t awaited(struct front *front, struct pollfd *events, struct front_link **links) {
        nfds_t n = 0;

        for (unsigned i = 0; i < front->n_links; ++i) {
                if (!front->links[i].awaits)
                        continue;
                links[n] = &front->links[i];
                events[n++] = (struct pollfd){ .fd = front->links[i].fd, .events = POLLIN };
        }
        return n;
}

/* @param timeout_ms  -1: for ever */
static int next_turn_ms(int timeout_ms, uint64_t passed) {
        if (timeout_ms < 0 || (uint64_t)timeout_ms - passed > ALIVE_MS)
                return ALIVE_MS;
        return timeout_ms - (int)passed;
}

void front_link_wait_all(struct front *front, int timeout_ms) {
        uint64_t begin = uv_hrtime() / 1000000;
        struct front_link *links[POLICY_SHARDS_MAX];
        struct pollfd events[POLICY_SHARDS_MAX];
        nfds_t n = awaited(front, events, links);
        int r;

        while (n > 0) {
                uint64_t passed = uv_hrtime() / 1000000 - begin;

                if (timeout_ms >= 0 && passed >= (uint64_t)timeout_ms)
                        return;
                r = poll(events, n, next_turn_ms(timeout_ms, passed));
                notify_alive(front->broker->notify);
                for (nfds_t i = 0; r > 0 && i < n; ++i) {
                        if (events[i].revents)
                                receive(links[i]);
                }
                n = awaited(front, events, links);
        }
}

/* ---- beginning and end ---- */

void front_link_init(struct front_link *link, struct front *front, unsigned number) {
        *link = (struct front_link){ .front = front, .number = number, .fd = -1 };
        nb_list_init(&link->parked);
}

void front_link_deinit(struct front_link *link) {
        disconnect(link);
        nb_list_foreach_safe(element, &link->parked) {
                struct front_parked *parked = nb_container_of(element, struct front_parked, link);

                parked->session->parked = front_unpark(parked);
        }
}
