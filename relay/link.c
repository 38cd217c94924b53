/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "relay/context.h"
#include "relay/proxy/proxy.h"
#include "relay/pump.h"
#include "relay/relay.h"
#include "relay/reports.h"
#include "relay/stage.h"
#include "relay/tls/tls.h"

#define PEER_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET)

/* Nobody but a stage knows what it waits for. Others ask for room where it lacks: who has room from the beginning would wake us for nothing, */
#define PEER_EVENTS_STAGES (PEER_EVENTS | EPOLLOUT)

/* and of datagrams each message that has left. */
#define PEER_EVENTS_DATAGRAMS (EPOLLIN | EPOLLET)
#define GUEST_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* The peer's and the guest's. */
#define LINK_DESCRIPTORS 2

/* ---- the end ---- */

static void free_stages(struct link *link) {
        nb_list_foreach_safe(element, &link->stages) {
                struct stage *stage = nb_container_of(element, struct stage, in_link);

                nb_list_remove(element);
                stage->ops->free(stage);
        }
}

/* The watches are ended and not just forgotten: the broker, or the guest, may hold duplicates of what is closed here. */
static void link_free(struct link *link) {
        watch_end(&link->peer_watch);
        watch_end(&link->guest_watch);
        link->deadline = deadline_free(link->deadline);
        link->pump = pump_free(link->pump, link->relay);
        free_stages(link);
        link->peer = transport_free(link->peer);
        link->guest = transport_free(link->guest);
        free(link->security);
        turn_cancel(&link->turn);
        nb_list_remove(&link->in_relay);
        link_table_remove(&link->relay->table, link);
        link->relay->n_links--;
        link->relay->n_descriptors -= LINK_DESCRIPTORS;
        free(link);
}

/* A peer would take an end of ours for the guest's, who may have written more. */
static void cut(const struct link *link) {
        if (link->pump ? !link->pump->to_peer.is_told : link->without_ready)
                transport_reset(link->peer);
}

void link_end(struct link *link, Nb__Relay__Cause cause, const char *reason) {
        uint64_t id = link->id, to_guest = link->bytes_to_guest, to_peer = link->bytes_to_peer;
        struct relay *relay = link->relay;
        char text[RELAY_REASON_MAX];

        (void)snprintf(text, sizeof(text), "%s", reason);
        if (cause == NB__RELAY__CAUSE__CAUSE_NO_MEMORY || cause == NB__RELAY__CAUSE__CAUSE_TIMED_OUT)
                cut(link);
        link_free(link);
        report_ended(relay, id, cause, text, to_guest, to_peer);
}

static void end_as_noted(struct link *link) {
        link_end(link, link->cause, link->reason);
}

void link_free_all(struct relay *relay) {
        while (!nb_list_is_empty(&relay->links)) {
                struct link *link = nb_container_of(relay->links.next, struct link, in_relay);

                if (relay->is_terminated)
                        cut(link);
                link_free(link);
        }
}

int link_fail(struct link *link, Nb__Relay__Cause cause, const char *format, ...) {
        va_list arguments;

        if (link->cause != NB__RELAY__CAUSE__CAUSE_UNSPECIFIED)
                return -ECONNABORTED;
        link->cause = cause;
        va_start(arguments, format);
        (void)vsnprintf(link->reason, sizeof(link->reason), format, arguments);
        va_end(arguments);
        return -ECONNABORTED;
}

int link_fail_io(struct link *link, const char *stage, int error) {
        if (error == 0)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_RESET,
                                 "%s: the peer closed the connection in the middle of it", stage);
        if (error == -ENOMEM)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "%s: the relay has no memory left", stage);
        return link_fail(link, NB__RELAY__CAUSE__CAUSE_RESET, "%s: the connection to the peer broke: %s", stage,
                         strerror(-error));
}

/* ---- the handshake ---- */

int link_announce(struct link *link, const char *source, const char *destination) {
        Nb__Relay__Announced announced = NB__RELAY__ANNOUNCED__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        link->state = LINK_ANNOUNCED;
        announced.link = link->id;
        announced.source = (char *)source;
        announced.destination = (char *)destination;
        report.body_case = NB__RELAY__REPORT__BODY_ANNOUNCED;
        report.announced = &announced;
        relay_report(link->relay, &report);
        return -EAGAIN;
}

int link_judge(struct link *link, bool allowed) {
        if (link->state != LINK_ANNOUNCED)
                return -EPROTO;
        link->state = LINK_HANDSHAKING;
        if (allowed)
                link_run_again(link);
        else
                link_end(link, NB__RELAY__CAUSE__CAUSE_ENDED, "the source that the PROXY header tells is not allowed");
        return 0;
}

/* @return 0 when all are done; -EAGAIN; another -errno after link_fail() */
static int run_stages(struct link *link) {
        while (!nb_list_is_empty(&link->stages)) {
                struct stage *stage = nb_container_of(link->stages.next, struct stage, in_link);
                int r = stage->ops->run(stage, link);

                if (r < 0)
                        return r;
                nb_list_remove(&stage->in_link);
                stage->ops->free(stage);
        }
        return 0;
}

static void timed_out(void *data) {
        struct link *link = data;
        const char *waiting = "the broker";

        if (link->state == LINK_PUMPING)
                waiting = "the peer, which did not read what the guest had left";
        else if (link->state == LINK_HANDSHAKING && !nb_list_is_empty(&link->stages))
                waiting = nb_container_of(link->stages.next, struct stage, in_link)->ops->name;
        (void)link_fail(link, NB__RELAY__CAUSE__CAUSE_TIMED_OUT, "timed out while it waited for %s", waiting);
        end_as_noted(link);
}

/* ---- bytes ---- */

/* Nothing is left to be done to the bytes, and none of them is here. */
static bool can_step_out(const struct link *link) {
        return link->may_step_out && !link->datagrams && !link->peer->below;
}

static void step_out(struct link *link) {
        struct relay *relay = link->relay;
        uint64_t id = link->id;

        /* The guest gets the socket as it would be without us. */
        (void)transport_hurry(transport_bottom_fd(link->peer), false);
        link_free(link);
        report_ready(relay, id, NULL, true);
}

static void guest_changed(struct watch *watch, uint32_t events) {
        struct link *link = nb_container_of(watch, struct link, guest_watch);

        /* It was full, and is not any more. */
        if ((events & EPOLLOUT) && !link->pump->to_guest.kept && !link->pump->to_guest.pipe)
                (void)watch_change(watch, GUEST_EVENTS);
        pump_side_changed(&link->pump->guest, events, true);
        link_run(link);
}

static void peer_changed(struct watch *watch, uint32_t events) {
        struct link *link = nb_container_of(watch, struct link, peer_watch);

        if (link->pump)
                pump_side_changed(&link->pump->peer, events, link->peer->fd >= 0);
        else
                link->peer_events |= events;
        link_run(link);
}

/* @return 0; -errno after link_fail() */
static int start_pumping(struct link *link) {
        int r;

        link->deadline = deadline_free(link->deadline);
        link->pump = pump_new(link->had_stages);
        r = link->pump ? watch_start(&link->guest_watch, &link->relay->watches, transport_bottom_fd(link->guest),
                                     GUEST_EVENTS, guest_changed)
                       : -ENOMEM;
        if (r < 0)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "the guest's end cannot be watched: %s",
                                 strerror(-r));
        /* A peer that has ended already is not said to have ended again. */
        pump_side_changed(&link->pump->peer, link->peer_events, link->peer->fd >= 0);
        link->state = LINK_PUMPING;
        if (!link->without_ready)
                report_ready(link->relay, link->id, link->security, false);
        /* Nobody asks for it again, and it is the largest thing that a link has. */
        free(link->security);
        link->security = NULL;
        return 0;
}

/* The guest is gone; what it has left is sent, but not for ever. */
static void limit_rest(struct link *link) {
        if (!link->pump->guest.is_gone || link->deadline)
                return;
        link->deadline = deadline_new(&link->relay->loop, LINGER_MS, timed_out, link);
        if (!link->deadline)
                link_end(link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "the relay has no memory left");
}

static void pump_once(struct link *link) {
        switch (link->datagrams ? pump_run_messages(link) : pump_run(link)) {
        case PUMP_HAS_ENDED:
                end_as_noted(link);
                break;
        case PUMP_HAS_MORE:
                link_run_again(link);
                /* Nor does a peer that never stops sending keep what its guest has left for ever. */
                limit_rest(link);
                break;
        case PUMP_WAITS:
                limit_rest(link);
                break;
        }
}

void link_run(struct link *link) {
        int r = 0;

        if (link->state == LINK_ANNOUNCED)
                return;
        if (link->state == LINK_HANDSHAKING) {
                r = run_stages(link);
                if (r == -EAGAIN)
                        return;
                if (r == 0 && can_step_out(link)) {
                        step_out(link);
                        return;
                }
                if (r == 0)
                        r = start_pumping(link);
        }
        if (r < 0)
                end_as_noted(link);
        else
                pump_once(link);
}

void link_run_again(struct link *link) {
        turn_ask(&link->turn, &link->relay->queue);
}

/* ---- the beginning ---- */

/* @param stage  consumed; NULL with errno */
static int add_stage(struct link *link, struct stage *stage, const char *name) {
        if (!stage)
                return link_fail(link,
                                 errno == EINVAL ? NB__RELAY__CAUSE__CAUSE_INTERNAL : NB__RELAY__CAUSE__CAUSE_NO_MEMORY,
                                 "%s cannot be begun: %s", name, strerror(errno));
        nb_list_append(&link->stages, &stage->in_link);
        return 0;
}

/* @return the context, or NULL after link_fail() */
static struct context *need_context(struct link *link, uint32_t id, bool is_password) {
        struct context *context = context_find(link->relay, id);

        if (context && (is_password ? (void *)context->password : (void *)context->tls))
                return context;
        (void)link_fail(link, NB__RELAY__CAUSE__CAUSE_TLS_CONTEXT, "%s of this connection could not be loaded",
                        is_password ? "the proxy's password" : "the certificates");
        return NULL;
}

static int add_tls(struct link *link, uint32_t context_id, const char *server_name, bool as_server, bool is_guests) {
        struct context *context;

        if (context_id == 0)
                return 0;
        context = need_context(link, context_id, false);
        if (!context)
                return -ECONNABORTED;
        errno = ENOMEM;
        return add_stage(link, tls_stage_new(context, as_server, server_name, is_guests), "TLS");
}

static int add_hop(struct link *link, const Nb__Relay__Hop *hop) {
        struct context *password = NULL;
        int r = add_tls(link, hop->tls_context, hop->server_name, false, false);

        if (r < 0)
                return r;
        if (hop->password_context != 0) {
                password = need_context(link, hop->password_context, true);
                if (!password)
                        return -ECONNABORTED;
        }
        return add_stage(link, proxy_stage_new(hop, password), "a proxy");
}

static int add_client_stages(struct link *link, const Nb__Relay__Begin *begin) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < begin->n_hops; ++i)
                r = add_hop(link, begin->hops[i]);
        if (r == 0 && begin->header != NB__RELAY__PROXY_HEADER__PROXY_HEADER_NONE)
                r = add_stage(link,
                              header_stage_new_writer(begin->header, begin->header_source, begin->header_destination),
                              "a PROXY header");
        return r < 0 ? r : add_tls(link, begin->tls_context, begin->server_name, false, true);
}

static int add_server_stages(struct link *link, const Nb__Relay__Begin *begin) {
        int r = 0;

        if (begin->expects_header)
                r = add_stage(link, header_stage_new_reader(), "a PROXY header");
        return r < 0 ? r : add_tls(link, begin->tls_context, "", true, true);
}

static uint32_t peer_events(const struct link *link) {
        if (link->datagrams)
                return PEER_EVENTS_DATAGRAMS;
        return link->had_stages ? PEER_EVENTS_STAGES : PEER_EVENTS;
}

static int start(struct link *link, const Nb__Relay__Begin *begin) {
        int r = link->is_server ? add_server_stages(link, begin) : add_client_stages(link, begin);

        if (r < 0)
                return r;
        link->had_stages = !nb_list_is_empty(&link->stages);
        r = watch_start(&link->peer_watch, &link->relay->watches, transport_bottom_fd(link->peer), peer_events(link),
                        peer_changed);
        if (r == 0 && link->had_stages && begin->timeout_ms > 0) {
                link->deadline = deadline_new(&link->relay->loop, begin->timeout_ms, timed_out, link);
                r = link->deadline ? 0 : -ENOMEM;
        }
        return r < 0 ? link_fail(link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "it cannot be watched: %s", strerror(-r)) : 0;
}

static void run_turn(struct turn *turn) {
        link_run(nb_container_of(turn, struct link, turn));
}

/* @param peer_fd, guest_fd  consumed on success */
static struct link *link_new(struct relay *relay, const Nb__Relay__Begin *begin, int peer_fd, int guest_fd) {
        struct link *link = calloc(1, sizeof(*link));

        if (!link)
                return NULL;
        link->relay = relay;
        link->id = begin->link;
        link->is_server = begin->role == NB__RELAY__ROLE__ROLE_SERVER;
        link->datagrams = begin->datagrams;
        link->may_step_out = begin->may_step_out;
        link->without_ready = begin->without_ready;
        nb_list_init(&link->stages);
        turn_init(&link->turn, run_turn);
        link->peer = transport_new_socket(peer_fd, begin->datagrams);
        link->guest = link->peer ? transport_new_pair(guest_fd, begin->datagrams) : NULL;
        if (!link->guest || link_table_add(&relay->table, link) < 0) {
                free(link->peer);
                free(link->guest);
                free(link);
                return NULL;
        }
        nb_list_append(&relay->links, &link->in_relay);
        relay->n_links++;
        relay->n_descriptors += LINK_DESCRIPTORS;
        return link;
}

int link_begin(struct relay *relay, const Nb__Relay__Begin *begin, int peer_fd, int guest_fd) {
        bool has_room = relay->n_links < relay->links_max && relay_has_room(relay, LINK_DESCRIPTORS);
        struct link *link = has_room ? link_new(relay, begin, peer_fd, guest_fd) : NULL;

        if (!link) {
                /* As cut(). */
                if (begin->without_ready)
                        transport_reset_socket(peer_fd);
                (void)nb_fd_close(peer_fd);
                (void)nb_fd_close(guest_fd);
                report_ended(relay, begin->link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY,
                             "the relay has no room for another connection", 0, 0);
                return -ENOMEM;
        }
        if (start(link, begin) < 0) {
                end_as_noted(link);
                return -ECONNABORTED;
        }
        link_run(link);
        return 0;
}
