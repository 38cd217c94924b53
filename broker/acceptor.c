/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <seccomp.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/socket_address.h"
#include "broker/accept_credit.h"
#include "broker/accepted.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/control.h"
#include "loop/deadline.h"
#include "broker/decision.h"
#include "broker/handshakes.h"
#include "broker/quota.h"
#include "broker/relay.h"
#include "broker/relayed.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "broker/unix_path.h"
#include "broker/calls.h"

/* How many are accepted before other descriptors have their turn. */
#define BATCH 16

/* How long to wait after a shortage that only others can end: twice as long each time, so that many listeners cost little. */
#define PAUSE_FIRST_MS 20
#define PAUSE_LAST_MS 640

struct acceptor {
        struct control *control;
        struct watch watch;
        int fd;
        struct accept_credit credit;
        int pending_fd; /* accepted, and waiting for a descriptor in flight; -1 if none */
        struct nb_socket_address pending_peer;
        struct handshakes handshakes;
        struct deadline *pause;
        uint64_t pause_ms; /* how long the next one is */
};

/* What became of one try. */
enum outcome {
        OUTCOME_TAKEN, /* there is a peer to push */
        OUTCOME_PUSHED,
        OUTCOME_STARTED,  /* a relay shakes hands with it */
        OUTCOME_SKIPPED,  /* the peer was gone or refused */
        OUTCOME_EMPTY,    /* nobody waits */
        OUTCOME_SHORTAGE, /* of descriptors or of the tenant's account */
        OUTCOME_LOST,     /* the session does not read, or is gone: the control must end */
};

static void accept_some(struct acceptor *acceptor);
static void handshake_over(void *data);
static void ready(struct watch *watch, uint32_t events);

struct acceptor *acceptor_new(struct control *control, int fd, uint64_t received) {
        NB_CLEANUP_FREE struct acceptor *acceptor = calloc(1, sizeof(*acceptor));
        int r;

        if (!acceptor)
                return NULL;
        acceptor->control = control;
        acceptor->pending_fd = -1;
        handshakes_init(&acceptor->handshakes, control, handshake_over, acceptor);
        acceptor->pause_ms = PAUSE_FIRST_MS;
        accept_credit_init(&acceptor->credit, received);
        r = watch_start(&acceptor->watch, &control->grant->tenant->throttle.sockets, fd, 0, ready);
        if (r < 0) {
                errno = -r;
                return NULL;
        }
        acceptor->fd = fd;
        return nb_steal_ptr(acceptor);
}

/* Of a socket that the keeper has too, closing it ends nothing; nor shall it end when the broker is to come back. */
static void end_socket(struct acceptor *acceptor) {
        const struct endpoint *endpoint = &acceptor->control->endpoint;

        if (endpoint->is_shared)
                watch_end(&acceptor->watch);
        watch_end_before_close(&acceptor->watch);
        if (endpoint->is_shared && !keep_is_detached(endpoint->session->broker->keep))
                (void)shutdown(acceptor->fd, SHUT_RDWR);
        acceptor->fd = nb_fd_close(acceptor->fd);
}

void acceptor_stop(struct acceptor *acceptor) {
        handshakes_deinit(&acceptor->handshakes);
        end_socket(acceptor);
        acceptor->pending_fd = nb_fd_close(acceptor->pending_fd);
        acceptor->pause = deadline_free(acceptor->pause);
}

struct acceptor *acceptor_free(struct acceptor *acceptor) {
        if (!acceptor)
                return NULL;
        accept_credit_release(&acceptor->credit, acceptor->control);
        acceptor_stop(acceptor);
        free(acceptor);
        return NULL;
}

static bool may_push(const struct acceptor *acceptor) {
        return accept_credit_is_left(&acceptor->credit);
}

/* Those that are ready, and not pushed yet, have credit in mind already. */
static bool may_accept(const struct acceptor *acceptor) {
        return !acceptor->control->grant->tenant->broker->ending &&
               acceptor->credit.sent + acceptor->handshakes.n_ready < acceptor->credit.total;
}

/* Watches for peers only while one may be pushed. */
static int update_watch(struct acceptor *acceptor) {
        bool wanted = may_accept(acceptor) && !acceptor->pause;

        return watch_change(&acceptor->watch, wanted ? EPOLLIN : 0);
}

static void resume(void *data) {
        struct acceptor *acceptor = data;

        acceptor->pause = deadline_free(acceptor->pause);
        (void)update_watch(acceptor);
        accept_some(acceptor);
}

static void pause_for_a_moment(struct acceptor *acceptor) {
        struct broker *broker = acceptor->control->endpoint.session->broker;

        acceptor->pause = deadline_new(&broker->loop, acceptor->pause_ms, resume, acceptor);
        if (acceptor->pause_ms < PAUSE_LAST_MS)
                acceptor->pause_ms *= 2;
        /* Without memory for a timer the level-triggered watch tries again at once, which is wasteful and correct. */
        (void)update_watch(acceptor);
}

static bool peer_is_allowed(struct acceptor *acceptor, const struct nb_socket_address *peer) {
        const struct control *control = acceptor->control;
        struct asker asker = control_asker(control);
        struct policy_verdict verdict;

        decide(&asker, POLICY_ACCEPT, peer, NULL, &verdict);
        return verdict.allowed;
}

static int send_accepted(struct acceptor *acceptor, int fd, const struct nb_socket_address *peer) {
        char local[NB_SOCKET_ADDRESS_TEXT_MAX];
        const struct accepted accepted = {
                .number = acceptor->credit.sent + 1,
                .fd = fd,
                .peer = peer,
                .local = control_local_text(acceptor->control, local),
        };

        return accepted_push(acceptor->control, &accepted);
}

static bool is_shortage(int r) {
        return nb_is_shortage(r) || r == -ENOSPC;
}

/* Sends a peer to the session; it is in the account before it leaves. */
static int push(struct acceptor *acceptor, int fd, const struct nb_socket_address *peer) {
        struct connection_facts facts = {
                .session = acceptor->control->endpoint.session,
                .grant = acceptor->control->grant,
                .narrowings = acceptor->control->narrowings,
                .verb = POLICY_ACCEPT,
                .type = acceptor->control->type,
                .peer = peer,
                .bind = &acceptor->control->bind,
        };
        struct connection *connection;
        int r = connection_register(&facts, fd, &connection);

        if (r < 0)
                return r;
        r = send_accepted(acceptor, fd, peer);
        if (r < 0)
                connection_forget(connection, fd);
        return r;
}

/* The keeper is told, so that nobody who was accepted is lost with the broker, and nobody is handed out twice. */
static void set_pending(struct acceptor *acceptor, int fd, const struct nb_socket_address *peer) {
        acceptor->pending_fd = fd;
        acceptor->pending_peer = *peer;
        control_keep(acceptor->control);
}

static int take_pending(struct acceptor *acceptor) {
        int fd = nb_steal_fd(&acceptor->pending_fd);

        control_keep(acceptor->control);
        return fd;
}

/* Who a peer is, by what the kernel says of it. */
static int read_peer(const struct sockaddr_storage *sa, socklen_t length, struct nb_socket_address *ret) {
        struct nb_socket_address peer;
        int r = nb_socket_address_from_sockaddr((const struct sockaddr *)sa, length, &peer);

        if (r < 0)
                return r;
        nb_socket_address_unmap(&peer);
        if (peer.family == AF_UNIX && unix_path_is_by_proc(&peer.un))
                peer.un = (struct nb_unix_name){ .length = 0 };
        *ret = peer;
        return 0;
}

/* The next peer that is allowed: the one that is pending, or from the backlog. */
static enum outcome next_peer(struct acceptor *acceptor, int *ret_fd, struct nb_socket_address *ret_peer) {
        NB_CLEANUP_FD int fd = -1;
        struct sockaddr_storage sa;
        socklen_t length = sizeof(sa);

        if (acceptor->pending_fd >= 0) {
                *ret_peer = acceptor->pending_peer;
                *ret_fd = take_pending(acceptor);
                return OUTCOME_TAKEN;
        }
        fd = accept4(acceptor->fd, (struct sockaddr *)&sa, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR))
                return OUTCOME_EMPTY;
        if (fd < 0)
                /* accept(2): errors of the peer's network are reported here and concern that peer only. */
                return is_shortage(-errno) ? OUTCOME_SHORTAGE : OUTCOME_SKIPPED;
        if (read_peer(&sa, length, ret_peer) < 0 || !peer_is_allowed(acceptor, ret_peer))
                return OUTCOME_SKIPPED;
        *ret_fd = nb_steal_fd(&fd);
        return OUTCOME_TAKEN;
}

static const struct policy_protocol *policy_of(const struct acceptor *acceptor) {
        return acceptor->control->grant->policy;
}

static bool is_sealed(const struct acceptor *acceptor) {
        return control_is_sealed(acceptor->control);
}

/* A place for a handshake is claimed before anyone is accepted, where there may be one. */
static bool may_shake_hands(const struct acceptor *acceptor) {
        return acceptor->pending_fd < 0 && policy_of(acceptor) &&
               policy_needs_relay(policy_of(acceptor), POLICY_ACCEPT, is_sealed(acceptor));
}

/* Gives a peer to a relay, with the place. Where that cannot be had the peer is dropped: it would wait for others' mistakes. */
static enum outcome shake_hands(struct acceptor *acceptor, int fd, const struct nb_socket_address *peer) {
        const struct control *control = acceptor->control;
        struct asker asker = control_asker(control);
        int r = handshakes_start(&acceptor->handshakes, fd, peer);

        if (r == 0)
                return OUTCOME_STARTED;
        decision_record_failure(&asker, "accept", peer, strerror(-r));
        return OUTCOME_SKIPPED;
}

/* The account is charged already. @param place  whether it is for a handshake too; taken by it */
static enum outcome accept_charged(struct acceptor *acceptor, bool *place) {
        NB_CLEANUP_CHANNEL_FD int fd = -1;
        struct nb_socket_address peer;
        enum outcome outcome;
        int r;

        outcome = next_peer(acceptor, &fd, &peer);
        if (outcome != OUTCOME_TAKEN)
                return outcome;
        if (*place && relayed_is_needed_for(policy_of(acceptor), &peer, is_sealed(acceptor))) {
                *place = false;
                return shake_hands(acceptor, nb_steal_fd(&fd), &peer);
        }
        r = push(acceptor, fd, &peer);
        if (is_shortage(r)) {
                set_pending(acceptor, nb_steal_fd(&fd), &peer);
                return OUTCOME_SHORTAGE;
        }
        return r < 0 ? OUTCOME_LOST : OUTCOME_PUSHED;
}

/* As accept_charged(), with a place for a handshake where there may be one. */
static enum outcome accept_placed(struct acceptor *acceptor) {
        struct tenant *tenant = acceptor->control->grant->tenant;
        bool place = may_shake_hands(acceptor);
        enum outcome outcome;

        if (place && (relay_check_there(tenant) < 0 || quota_claim(tenant, ACCOUNT_HANDSHAKES) < 0))
                return OUTCOME_SHORTAGE;
        outcome = accept_charged(acceptor, &place);
        if (place)
                account_release(&tenant->account, ACCOUNT_HANDSHAKES, 1);
        return outcome;
}

static void note_pushed(struct acceptor *acceptor) {
        acceptor->credit.sent++;
        acceptor->pause_ms = PAUSE_FIRST_MS;
}

static enum outcome push_ready(struct acceptor *acceptor) {
        int r = handshakes_push(&acceptor->handshakes, &acceptor->credit);

        if (r < 0)
                return r == -ENOBUFS ? OUTCOME_SHORTAGE : OUTCOME_LOST;
        acceptor->pause_ms = PAUSE_FIRST_MS;
        return OUTCOME_PUSHED;
}

static enum outcome accept_one(struct acceptor *acceptor) {
        struct tenant *tenant = acceptor->control->grant->tenant;
        enum outcome outcome;

        if (may_push(acceptor) && acceptor->handshakes.n_ready > 0)
                return push_ready(acceptor);
        /* Who comes now waits for the next broker. */
        if (tenant->broker->ending)
                return OUTCOME_EMPTY;

        /* Who comes when the tenant has as many connections as it may have waits in the kernel's backlog. */
        if (connection_check_room(tenant) < 0)
                return OUTCOME_SHORTAGE;
        if (quota_claim(tenant, ACCOUNT_IN_FLIGHT) < 0)
                return OUTCOME_SHORTAGE;
        outcome = accept_placed(acceptor);
        if (outcome != OUTCOME_PUSHED) {
                account_release(&tenant->account, ACCOUNT_IN_FLIGHT, 1);
                /* There was credit for whom nothing is to be done with. */
                return outcome == OUTCOME_STARTED && acceptor->handshakes.n_ready > 0 ? push_ready(acceptor) : outcome;
        }
        note_pushed(acceptor);
        return outcome;
}

/* May end the control, and the acceptor with it. */
static void accept_some(struct acceptor *acceptor) {
        for (int i = 0; i < BATCH && may_push(acceptor); ++i) {
                switch (accept_one(acceptor)) {
                case OUTCOME_TAKEN:
                case OUTCOME_PUSHED:
                case OUTCOME_STARTED:
                case OUTCOME_SKIPPED:
                        continue;
                case OUTCOME_EMPTY:
                        return;
                case OUTCOME_SHORTAGE:
                        pause_for_a_moment(acceptor);
                        return;
                case OUTCOME_LOST:
                        endpoint_end(&acceptor->control->endpoint);
                        return;
                }
        }
        (void)update_watch(acceptor);
}

/* There is somebody to be pushed, or a place for the next one. */
static void handshake_over(void *data) {
        struct acceptor *acceptor = data;

        acceptor->pause = deadline_free(acceptor->pause);
        (void)update_watch(acceptor);
        accept_some(acceptor);
}

static void ready(struct watch *watch, uint32_t events) {
        struct acceptor *acceptor = nb_container_of(watch, struct acceptor, watch);

        (void)events;
        if (acceptor->control->grant->tenant->broker->ending)
                (void)update_watch(acceptor);
        else
                accept_some(acceptor);
}

int acceptor_set_credit(struct acceptor *acceptor, uint64_t total) {
        accept_credit_raise(&acceptor->credit, acceptor->control, total);
        while (may_push(acceptor) && acceptor->handshakes.n_ready > 0 && !acceptor->pause) {
                enum outcome outcome = push_ready(acceptor);

                if (outcome == OUTCOME_LOST)
                        return -EPIPE;
                if (outcome == OUTCOME_SHORTAGE) {
                        pause_for_a_moment(acceptor);
                        break;
                }
        }
        /* One that came back with the listener waits for credit, and for nobody else to come. */
        if (acceptor->pending_fd >= 0 && may_push(acceptor) && !acceptor->pause)
                pause_for_a_moment(acceptor);
        return update_watch(acceptor);
}

void acceptor_resume(struct acceptor *acceptor, uint64_t received) {
        accept_credit_resume(&acceptor->credit, acceptor->control, received);
}

int acceptor_fd(const struct acceptor *acceptor) {
        return acceptor->fd;
}

int acceptor_pending_fd(const struct acceptor *acceptor) {
        return acceptor->pending_fd;
}

int acceptor_take_pending(struct acceptor *acceptor, int fd_consumed) {
        NB_CLEANUP_CHANNEL_FD int fd = fd_consumed;
        struct sockaddr_storage sa;
        socklen_t length = sizeof(sa);
        int r = getpeername(fd, (struct sockaddr *)&sa, &length) < 0 ? -errno : 0;

        if (r == 0)
                r = read_peer(&sa, length, &acceptor->pending_peer);
        if (r < 0)
                return r;
        acceptor->pending_fd = nb_steal_fd(&fd);
        return 0;
}

/* It was accepted to be pushed as it is, which the policy of now may not want: then a relay would shake hands with it first. */
static bool pending_is_granted(struct acceptor *acceptor) {
        const struct nb_socket_address *peer = &acceptor->pending_peer;

        return peer_is_allowed(acceptor, peer) &&
               !(policy_of(acceptor) && relayed_is_needed_for(policy_of(acceptor), peer, is_sealed(acceptor)));
}

void acceptor_policy_changed(struct acceptor *acceptor) {
        if (acceptor->pending_fd >= 0 && !pending_is_granted(acceptor))
                (void)nb_channel_fd_close(take_pending(acceptor));
        handshakes_judge(&acceptor->handshakes);
}

int acceptor_set_backlog(struct acceptor *acceptor, int backlog) {
        return listen(acceptor->fd, backlog) < 0 ? -errno : 0;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(accept4, "peers, sessions, operators"),
};
const struct confine_list acceptor_calls = CONFINE_LIST(calls);
