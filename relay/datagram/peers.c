/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/datagram/peers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define N_BUCKETS_FIRST 64

int peer_table_init(struct peer_table *table) {
        int r;

        *table = (struct peer_table){ .n_buckets = N_BUCKETS_FIRST };
        for (int i = 0; i < PEER_N_STATES; ++i)
                nb_list_init(&table->in[i]);
        r = route_key_init(&table->key);
        if (r < 0)
                return r;
        table->by_route = calloc(table->n_buckets, sizeof(struct peer *));
        table->by_link = calloc(table->n_buckets, sizeof(struct peer *));
        return table->by_route && table->by_link ? 0 : -ENOMEM;
}

void peer_table_deinit(struct peer_table *table) {
        assert(table->n == 0);
        free(table->by_route);
        free(table->by_link);
        explicit_bzero(&table->key, sizeof(table->key));
}

static struct peer **route_bucket(struct peer **buckets, size_t n_buckets, uint64_t hash) {
        return &buckets[hash & (n_buckets - 1)];
}

/* The broker counts links up; nobody else chooses them. */
static struct peer **link_bucket(struct peer **buckets, size_t n_buckets, uint64_t link) {
        return &buckets[link & (n_buckets - 1)];
}

static void insert_by_route(struct peer **buckets, size_t n_buckets, struct peer *peer) {
        struct peer **bucket = route_bucket(buckets, n_buckets, peer->hash);

        peer->next_by_route = *bucket;
        *bucket = peer;
}

static void insert_by_link(struct peer **buckets, size_t n_buckets, struct peer *peer) {
        struct peer **bucket = link_bucket(buckets, n_buckets, peer->link);

        peer->next_by_link = *bucket;
        *bucket = peer;
}

static void move_all(const struct peer_table *table, struct peer **by_route, struct peer **by_link, size_t n_buckets) {
        for (int i = 0; i < PEER_N_STATES; ++i) {
                nb_list_foreach_safe(link, &table->in[i]) {
                        struct peer *peer = nb_container_of(link, struct peer, in_state);

                        insert_by_route(by_route, n_buckets, peer);
                        if (peer->link != 0)
                                insert_by_link(by_link, n_buckets, peer);
                }
        }
}

/* Doubles it when there are as many peers as buckets. It does not shrink: its size is bounded by what a server may have at once. */
static int make_room(struct peer_table *table) {
        NB_CLEANUP_FREE struct peer **by_route = NULL;
        NB_CLEANUP_FREE struct peer **by_link = NULL;
        size_t n_buckets = 2 * table->n_buckets;

        if (table->n < table->n_buckets)
                return 0;
        by_route = calloc(n_buckets, sizeof(struct peer *));
        by_link = calloc(n_buckets, sizeof(struct peer *));
        if (!by_route || !by_link)
                return -ENOMEM;
        move_all(table, by_route, by_link, n_buckets);
        free(table->by_route);
        free(table->by_link);
        table->by_route = nb_steal_ptr(by_route);
        table->by_link = nb_steal_ptr(by_link);
        table->n_buckets = n_buckets;
        return 0;
}

struct peer *peer_new(struct peer_table *table, struct datagram_server *server, const struct route *route,
                      uint64_t now_ms) {
        struct peer *peer;

        if (make_room(table) < 0)
                return NULL;
        peer = calloc(1, sizeof(*peer));
        if (!peer)
                return NULL;
        peer->server = server;
        peer->route = *route;
        peer->hash = route_hash(route, &table->key);
        peer->state = PEER_WAITING;
        peer->since_ms = now_ms;
        peer->pair_fd = -1;
        nb_list_init(&peer->queue);
        nb_list_append(&table->in[PEER_WAITING], &peer->in_state);
        insert_by_route(table->by_route, table->n_buckets, peer);
        table->n_in[PEER_WAITING]++;
        table->n++;
        return peer;
}

void peer_drop_queue(struct peer *peer) {
        nb_list_foreach_safe(link, &peer->queue) {
                nb_list_remove(link);
                free(nb_container_of(link, struct peer_datagram, in_queue));
        }
        peer->n_queued = 0;
        peer->n_queued_bytes = 0;
}

static void remove_by_link(struct peer_table *table, struct peer *peer) {
        struct peer **place = link_bucket(table->by_link, table->n_buckets, peer->link);

        while (*place != peer)
                place = &(*place)->next_by_link;
        *place = peer->next_by_link;
}

void peer_free(struct peer_table *table, struct peer *peer) {
        struct peer **place = route_bucket(table->by_route, table->n_buckets, peer->hash);

        while (*place != peer)
                place = &(*place)->next_by_route;
        *place = peer->next_by_route;
        if (peer->link != 0)
                remove_by_link(table, peer);
        nb_list_remove(&peer->in_state);
        table->n_in[peer->state]--;
        table->n--;
        peer_drop_queue(peer);
        free(peer);
}

struct peer *peer_find(const struct peer_table *table, const struct route *route) {
        uint64_t hash = route_hash(route, &table->key);
        struct peer *peer = *route_bucket(table->by_route, table->n_buckets, hash);

        while (peer && (peer->hash != hash || !route_equal(&peer->route, route)))
                peer = peer->next_by_route;
        return peer;
}

struct peer *peer_find_waiting(const struct peer_table *table, uint64_t number) {
        nb_list_foreach_safe(link, &table->in[PEER_WAITING]) {
                struct peer *peer = nb_container_of(link, struct peer, in_state);

                if (peer->number == number)
                        return peer;
        }
        return NULL;
}

struct peer *peer_find_link(const struct peer_table *table, uint64_t link) {
        struct peer *peer = *link_bucket(table->by_link, table->n_buckets, link);

        while (peer && peer->link != link)
                peer = peer->next_by_link;
        return peer;
}

void peer_set_link(struct peer_table *table, struct peer *peer, uint64_t link) {
        peer->link = link;
        insert_by_link(table->by_link, table->n_buckets, peer);
}

void peer_set_state(struct peer_table *table, struct peer *peer, enum peer_state state, uint64_t now_ms) {
        nb_list_remove(&peer->in_state);
        nb_list_append(&table->in[state], &peer->in_state);
        table->n_in[peer->state]--;
        table->n_in[state]++;
        peer->state = state;
        peer->since_ms = now_ms;
}

struct peer *peer_first(const struct peer_table *table, enum peer_state state) {
        const struct nb_list *list = &table->in[state];

        return nb_list_is_empty(list) ? NULL : nb_container_of(list->next, struct peer, in_state);
}

int peer_keep(struct peer *peer, const void *bytes, size_t length) {
        struct peer_datagram *datagram;

        if (peer->n_queued >= PEER_QUEUE_MAX || length > PEER_QUEUE_BYTES_MAX - peer->n_queued_bytes)
                return -ENOBUFS;
        datagram = malloc(sizeof(*datagram) + length);
        if (!datagram)
                return -ENOMEM;
        datagram->length = length;
        memcpy(datagram->bytes, bytes, length);
        nb_list_append(&peer->queue, &datagram->in_queue);
        peer->n_queued++;
        peer->n_queued_bytes += length;
        return 0;
}
