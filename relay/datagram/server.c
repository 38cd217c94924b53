/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/datagram/server.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "loop/expiry.h"
#include "relay/calls.h"
#include "relay/datagram/batch.h"
#include "relay/datagram/peers.h"
#include "relay/datagram/reports.h"
#include "relay/inventory.h"
#include "relay/relay.h"

/* How many pairs have their turn before other links of the relay have. */
#define PAIRS_A_TURN WATCH_BATCH

/* The socket, and its own set of watches. Each peer has one more. */
#define SERVER_DESCRIPTORS 2

/* How many silent peers go at once; the others go right after what else there is to do. */
#define EXPIRED_A_TURN 64

struct datagram_server {
        struct nb_list in_relay;
        struct relay *relay;
        uint64_t number;
        bool is_ended; /* nobody new; freed with its last peer */
        bool is_unix;
        size_t control_size; /* what each datagram has room for beside its bytes */
        int fd;              /* owned */
        struct watch watch;
        struct watch_set pairs; /* of the peers */
        struct peer_table table;
        uint32_t waiting_max;
        uint32_t peers_max;
        uint64_t idle_timeout_ms;
        uint64_t n_announced;
        uint64_t credit;      /* the total up to which they may be */
        struct expiry expiry; /* of those who wait */
        struct batch *in;     /* from the socket, empty between two turns */
        struct batch *out;    /* from a pair; what of it waits for room in the socket keeps all pairs waiting */
};

static void arm_expiry(struct datagram_server *server);

static uint64_t now_of(const struct datagram_server *server) {
        return uv_now(&server->relay->loop);
}

/* ---- who waits ---- */

static bool may_announce(const struct datagram_server *server) {
        return !server->is_ended && server->n_announced < server->credit &&
               server->table.n_in[PEER_CONNECTED] < server->peers_max;
}

/* In the order in which they came: those that were announced before stand in front. */
static void announce_waiting(struct datagram_server *server) {
        /* Without credit nobody walks past those, for each datagram of a flood. */
        if (!may_announce(server))
                return;
        nb_list_foreach_safe(link, &server->table.in[PEER_WAITING]) {
                struct peer *peer = nb_container_of(link, struct peer, in_state);

                if (peer->number != 0)
                        continue;
                if (!may_announce(server))
                        return;
                peer->number = ++server->n_announced;
                report_new_peer(server->relay, server->number, peer);
        }
}

/* ---- the end of peers and servers ---- */

/* The broker may still have a duplicate of the pair's end for a moment, so the kernel must be told that it is watched no more. */
static void free_peer(struct peer *peer) {
        watch_end(&peer->watch);
        peer->server->relay->n_descriptors -= peer->pair_fd >= 0;
        peer->pair_fd = nb_fd_close(peer->pair_fd);
        peer_free(&peer->server->table, peer);
}

static void free_peers(struct datagram_server *server, enum peer_state state) {
        struct peer *peer;

        while ((peer = peer_first(&server->table, state)))
                free_peer(peer);
}

static struct datagram_server *server_free(struct datagram_server *server) {
        if (!server)
                return NULL;
        for (int state = 0; state < PEER_N_STATES; ++state)
                free_peers(server, (enum peer_state)state);
        nb_list_remove(&server->in_relay);
        expiry_unset(&server->expiry);
        watch_set_stop(&server->pairs);
        watch_end(&server->watch);
        server->fd = nb_fd_close(server->fd);
        server->relay->n_descriptors -= SERVER_DESCRIPTORS;
        peer_table_deinit(&server->table);
        free(server->in);
        free(server->out);
        free(server);
        return NULL;
}

static void cleanup_server(struct datagram_server **server) {
        *server = server_free(*server);
}

/* Frees a server that was ended and has nobody left. @return whether it was freed */
static bool free_if_over(struct datagram_server *server) {
        if (!server->is_ended || server->table.n > 0)
                return false;
        (void)server_free(server);
        return true;
}

/* One that was announced is told to be gone. */
static void drop_waiting(struct peer *peer) {
        if (peer->number != 0)
                report_peer_gone(peer->server->relay, peer->server->number, peer);
        free_peer(peer);
}

static void end_peer(struct peer *peer, Nb__Relay__Cause cause, const char *why) {
        struct datagram_server *server = peer->server;

        report_peer_ended(server->relay, peer, cause, why);
        free_peer(peer);
        if (!free_if_over(server))
                announce_waiting(server);
}

/* ---- peers that are silent or wait for too long, and those that were refused a moment ago ---- */

/* How long the first of a state has left; UINT64_MAX: nobody is in it. */
static uint64_t time_left(const struct datagram_server *server, enum peer_state state, uint64_t lifetime_ms) {
        const struct peer *first = peer_first(&server->table, state);
        uint64_t silent_ms;

        if (!first || lifetime_ms == 0)
                return UINT64_MAX;
        silent_ms = now_of(server) - first->since_ms;
        return silent_ms < lifetime_ms ? lifetime_ms - silent_ms : 0;
}

static uint64_t refused_left(const struct datagram_server *server) {
        return time_left(server, PEER_REFUSED, DATAGRAM_REFUSED_MS);
}

static uint64_t waiting_left(const struct datagram_server *server) {
        return time_left(server, PEER_WAITING, DATAGRAM_WAITING_MS);
}

static uint64_t idle_left(const struct datagram_server *server) {
        return time_left(server, PEER_CONNECTED, server->idle_timeout_ms);
}

static void expire(void *data) {
        struct datagram_server *server = data;

        expiry_unset(&server->expiry);
        while (refused_left(server) == 0)
                free_peer(peer_first(&server->table, PEER_REFUSED));
        while (waiting_left(server) == 0)
                drop_waiting(peer_first(&server->table, PEER_WAITING));
        for (int i = 0; i < EXPIRED_A_TURN && idle_left(server) == 0; ++i) {
                struct peer *peer = peer_first(&server->table, PEER_CONNECTED);

                report_peer_ended(server->relay, peer, NB__RELAY__CAUSE__CAUSE_IDLE,
                                  "nothing was sent for IdleTimeout=");
                free_peer(peer);
        }
        if (free_if_over(server))
                return;
        announce_waiting(server);
        arm_expiry(server);
}

static void arm_expiry(struct datagram_server *server) {
        const uint64_t left[] = { refused_left(server), waiting_left(server), idle_left(server) };

        expiry_set(&server->expiry, &server->relay->loop, expiry_first(left, sizeof(left) / sizeof(left[0])), expire,
                   server);
}

/* ---- from peers to the guest ---- */

static void note_use(struct peer *peer) {
        peer_set_state(&peer->server->table, peer, PEER_CONNECTED, now_of(peer->server));
}

/* What the guest has no room for is dropped. That it is gone, its pair's watch tells. */
static void deliver(struct peer *peer, const void *bytes, size_t length) {
        if (send(peer->pair_fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                peer->n_dropped++;
        else
                peer->bytes_to_guest += length;
        note_use(peer);
}

static void make_room_to_wait(struct datagram_server *server) {
        struct peer *oldest = peer_first(&server->table, PEER_WAITING);

        if (server->table.n_in[PEER_WAITING] < server->waiting_max)
                return;
        drop_waiting(oldest);
}

/* A stranger waits, with what it has sent, until there is credit for it, or others have come. */
static void take_stranger(struct datagram_server *server, const struct route *route, const void *bytes, size_t length) {
        struct peer *peer;

        if (server->is_ended)
                return;
        make_room_to_wait(server);
        peer = peer_new(&server->table, server, route, now_of(server));
        if (!peer)
                return;
        if (peer_keep(peer, bytes, length) < 0) {
                free_peer(peer);
                return;
        }
        announce_waiting(server);
        arm_expiry(server);
}

static void take_datagram(struct datagram_server *server, unsigned i) {
        const struct mmsghdr *header = &server->in->headers[i];
        const void *bytes = server->in->bytes[i];
        struct route route;
        struct peer *peer;

        /* A longer one than there is room for can only be a Unix socket's: it is dropped whole. */
        if (batch_is_cut(server->in, i) || route_of(&header->msg_hdr, &route) < 0)
                return;
        peer = peer_find(&server->table, &route);
        if (!peer)
                take_stranger(server, &route, bytes, header->msg_len);
        else if (peer->state == PEER_CONNECTED)
                deliver(peer, bytes, header->msg_len);
        else if (peer->state == PEER_WAITING)
                (void)peer_keep(peer, bytes, header->msg_len);
}

/* ---- from the guest to peers ---- */

/* Goes on with what could not be sent; all pairs wait until it is gone. */
static void flush(struct datagram_server *server) {
        uint64_t n_skipped = 0;
        bool is_blocked = batch_send(server->out, server->fd, &n_skipped) < 0;

        /* One that the kernel refuses, for its size or its way, is lost as on any other part of its way. */
        (void)watch_change(&server->watch, is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
        (void)watch_change(&server->pairs.outer, is_blocked ? 0 : EPOLLIN);
}

static void socket_ready(struct watch *watch, uint32_t events) {
        struct datagram_server *server = nb_container_of(watch, struct datagram_server, watch);
        int n;

        if (events & EPOLLOUT)
                flush(server);
        n = batch_receive_routed(server->in, server->fd, server->control_size);
        for (int i = 0; i < n; ++i)
                take_datagram(server, (unsigned)i);
}

/* How many messages stand in front of the end of the stream, if that is there. */
static unsigned count_messages(const struct batch *batch, bool *ret_end) {
        for (unsigned i = 0; i < batch->n; ++i) {
                if (batch_is_end(batch, i)) {
                        *ret_end = true;
                        return i;
                }
        }
        *ret_end = false;
        return batch->n;
}

static void send_to_peer(struct peer *peer, unsigned n) {
        struct datagram_server *server = peer->server;

        if (n == 0) {
                server->out->n = 0;
                return;
        }
        for (unsigned i = 0; i < n; ++i)
                peer->bytes_to_peer += server->out->headers[i].msg_len;
        batch_address(server->out, n, &peer->route);
        note_use(peer);
        flush(server);
}

static void pair_ready(struct watch *watch, uint32_t events) {
        struct peer *peer = nb_container_of(watch, struct peer, watch);
        struct batch *out = peer->server->out;
        bool is_end;
        int r;

        /* Full already by one before in this turn. */
        if (out->n > 0)
                return;
        r = batch_receive(out, peer->pair_fd);
        /* The guest has closed and left something unread; what it wrote before is still there. */
        if (r == -ECONNRESET || r == -EAGAIN)
                return;
        if (r < 0) {
                end_peer(peer, NB__RELAY__CAUSE__CAUSE_INTERNAL, "the guest's pair cannot be read");
                return;
        }
        send_to_peer(peer, count_messages(out, &is_end));
        if (!is_end)
                return;
        if (events & EPOLLHUP)
                end_peer(peer, NB__RELAY__CAUSE__CAUSE_GUEST_GONE, "the guest closed its stream");
        else /* It has said all, and may still read. */
                (void)watch_change(&peer->watch, 0);
}

static void pairs_ready(struct watch *watch, uint32_t events) {
        struct datagram_server *server =
                nb_container_of(nb_container_of(watch, struct watch_set, outer), struct datagram_server, pairs);

        (void)events;
        (void)watch_set_collect(&server->pairs, PAIRS_A_TURN);
        (void)watch_set_dispatch(&server->pairs);
}

/* ---- orders ---- */

static struct datagram_server *find_server(const struct relay *relay, uint64_t number) {
        nb_list_foreach_safe(link, &relay->servers) {
                struct datagram_server *server = nb_container_of(link, struct datagram_server, in_relay);

                if (server->number == number)
                        return server;
        }
        return NULL;
}

static int socket_option(int fd, int name) {
        socklen_t length = sizeof(int);
        int value = 0;

        return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -errno : value;
}

/* All that may fail of a server that owns its socket. */
static int prepare(struct datagram_server *server) {
        struct watch_set *watches = &server->relay->watches;
        int r = peer_table_init(&server->table);

        server->in = batch_new();
        server->out = batch_new();
        if (r < 0 || !server->in || !server->out)
                return r < 0 ? r : -ENOMEM;
        r = watch_set_start_within(&server->pairs, watches, pairs_ready);
        if (r < 0)
                return r;
        return watch_start(&server->watch, watches, server->fd, EPOLLIN, socket_ready);
}

static int new_server(struct relay *relay, const Nb__Relay__Serve *serve, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        NB_CLEANUP(cleanup_server) struct datagram_server *server = calloc(1, sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        nb_list_init(&server->in_relay);
        server->relay = relay;
        relay->n_descriptors += SERVER_DESCRIPTORS;
        server->number = serve->server;
        server->is_unix = socket_option(fd, SO_DOMAIN) == AF_UNIX;
        server->control_size = route_control_size(server->is_unix, socket_option(fd, SO_PASSCRED) > 0);
        server->idle_timeout_ms = serve->idle_timeout_ms;
        server->peers_max = serve->peers_max;
        server->waiting_max = serve->waiting_max < DATAGRAM_WAITING_MAX ? serve->waiting_max : DATAGRAM_WAITING_MAX;
        if (server->waiting_max == 0)
                server->waiting_max = 1;
        server->pairs.epoll_fd = -1;
        server->fd = nb_steal_fd(&fd);
        r = prepare(server);
        if (r < 0)
                return r;
        nb_list_append(&relay->servers, &server->in_relay);
        (void)nb_steal_ptr(server);
        return 0;
}

int datagram_server_start(struct relay *relay, const Nb__Relay__Serve *serve, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;

        if (serve->server == 0 || find_server(relay, serve->server) || socket_option(fd, SO_TYPE) != SOCK_DGRAM)
                return -EPROTO;
        if (!relay_has_room(relay, SERVER_DESCRIPTORS) || new_server(relay, serve, nb_steal_fd(&fd)) < 0)
                report_failure(relay, serve->server, NB__RELAY__CAUSE__CAUSE_NO_MEMORY,
                               "the relay has no room for the server");
        return 0;
}

void datagram_server_credit(struct relay *relay, const Nb__Relay__Credit *credit) {
        struct datagram_server *server = find_server(relay, credit->server);

        if (!server || credit->total <= server->credit)
                return;
        server->credit = credit->total;
        announce_waiting(server);
}

/* What came while it waited is the beginning of its stream. */
static void deliver_queue(struct peer *peer) {
        nb_list_foreach_safe(link, &peer->queue) {
                const struct peer_datagram *datagram = nb_container_of(link, struct peer_datagram, in_queue);

                deliver(peer, datagram->bytes, datagram->length);
        }
        peer_drop_queue(peer);
}

static void refuse_peer(struct datagram_server *server, struct peer *peer) {
        peer_set_state(&server->table, peer, PEER_REFUSED, now_of(server));
        peer_drop_queue(peer);
        if (server->table.n_in[PEER_REFUSED] > server->waiting_max)
                free_peer(peer_first(&server->table, PEER_REFUSED));
        arm_expiry(server);
}

/* Of a Unix server's pair only the end is looked for: nothing goes to its peers (relay/datagram/server.h). */
static int watch_pair(struct peer *peer) {
        uint32_t events = peer->server->is_unix ? 0 : EPOLLIN;

        return watch_start(&peer->watch, &peer->server->pairs, peer->pair_fd, events, pair_ready);
}

static void connect_peer(struct datagram_server *server, struct peer *peer, uint64_t link, int fd_consumed) {
        bool has_room = relay_has_room(server->relay, 1);

        peer->pair_fd = fd_consumed;
        server->relay->n_descriptors++;
        peer_set_link(&server->table, peer, link);
        if (!has_room || watch_pair(peer) < 0) {
                end_peer(peer, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "the relay has no room for the peer");
                return;
        }
        note_use(peer);
        deliver_queue(peer);
        arm_expiry(server);
}

int datagram_server_take_peer(struct relay *relay, const Nb__Relay__TakePeer *take, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        struct datagram_server *server = find_server(relay, take->server);
        struct peer *peer = server ? peer_find_waiting(&server->table, take->peer) : NULL;

        if (take->peer == 0 || take->allowed != (fd >= 0) || (take->allowed && take->link == 0))
                return -EPROTO;
        if (!peer && take->allowed)
                report_failure(relay, take->link, NB__RELAY__CAUSE__CAUSE_ENDED, "the peer did not wait any more");
        else if (peer && take->allowed)
                connect_peer(server, peer, take->link, nb_steal_fd(&fd));
        else if (peer)
                refuse_peer(server, peer);
        return 0;
}

static void end_server(struct datagram_server *server) {
        server->is_ended = true;
        free_peers(server, PEER_WAITING);
        free_peers(server, PEER_REFUSED);
        (void)free_if_over(server);
}

bool datagram_server_end(struct relay *relay, uint64_t number) {
        struct datagram_server *named = find_server(relay, number);

        if (named) {
                end_server(named);
                return true;
        }
        nb_list_foreach_safe(link, &relay->servers) {
                struct datagram_server *server = nb_container_of(link, struct datagram_server, in_relay);
                struct peer *peer = peer_find_link(&server->table, number);

                if (peer) {
                        end_peer(peer, NB__RELAY__CAUSE__CAUSE_ENDED, "the broker ended it");
                        return true;
                }
        }
        return false;
}

/* ---- for another broker ---- */

static void add_peers(const struct datagram_server *server, struct inventory *inventory) {
        nb_list_foreach_safe(link, &server->table.in[PEER_CONNECTED])
                inventory_add(inventory, nb_container_of(link, struct peer, in_state)->link, false, true);
}

static void forget_announced(struct datagram_server *server) {
        server->n_announced = 0;
        server->credit = 0;
        nb_list_foreach_safe(link, &server->table.in[PEER_WAITING]) nb_container_of(link, struct peer, in_state)
                ->number = 0;
}

void datagram_server_take_stock(struct relay *relay, struct inventory *inventory) {
        nb_list_foreach_safe(link, &relay->servers) {
                struct datagram_server *server = nb_container_of(link, struct datagram_server, in_relay);

                if (!server->is_ended)
                        inventory_add(inventory, server->number, true, false);
                add_peers(server, inventory);
                forget_announced(server);
        }
}

void datagram_server_free_all(struct relay *relay) {
        nb_list_foreach_safe(link, &relay->servers)(void)
                server_free(nb_container_of(link, struct datagram_server, in_relay));
}

static const struct confine_call calls[] = {
        CONFINE_CALL(recvmmsg, "datagrams and messages, many at once (batch.c)"),
        CONFINE_CALL(sendmmsg, "datagrams, many at once (batch.c)"),
        CONFINE_CALL(sendto, "a message for a guest"),
        CONFINE_CALL(getsockopt, "what the bound socket is"),
};
const struct confine_list datagram_calls = CONFINE_LIST(calls);
