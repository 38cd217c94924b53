/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/ids.h"

#include <assert.h>
#include <errno.h>
#include <sodium/crypto_shorthash.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"

#define N_BUCKETS_FIRST 64

_Static_assert(sizeof(((struct quic_ids *)NULL)->key) == crypto_shorthash_KEYBYTES, "the key is SipHash's");

struct quic_id {
        struct quic_id *next;
        struct nb_list of_owner;
        struct quic_id_owner owner;
        uint64_t hash;
        uint8_t length;
        uint8_t bytes[NGTCP2_MAX_CIDLEN];
};

static int fill_randomly(void *bytes, size_t size) {
        ssize_t n = getrandom(bytes, size, 0);

        if (n < 0)
                return -errno;
        return (size_t)n == size ? 0 : -EIO;
}

int quic_ids_init(struct quic_ids *ids) {
        struct quic_ids made = { .n_buckets = N_BUCKETS_FIRST };
        int r = fill_randomly(made.key, sizeof(made.key));

        if (r < 0)
                return r;
        made.buckets = calloc(made.n_buckets, sizeof(struct quic_id *));
        if (!made.buckets)
                return -ENOMEM;
        *ids = made;
        return 0;
}

void quic_ids_deinit(struct quic_ids *ids) {
        assert(ids->n == 0);
        free(ids->buckets);
        explicit_bzero(ids, sizeof(*ids));
}

static uint64_t hash_of(const struct quic_ids *ids, const uint8_t *bytes, size_t length) {
        uint64_t hash;

        (void)crypto_shorthash((unsigned char *)&hash, bytes, length, ids->key);
        return hash;
}

/* @return where the pointer to it stands, or to what would follow it */
static struct quic_id **find_place(const struct quic_ids *ids, uint64_t hash, const uint8_t *bytes, size_t length) {
        struct quic_id **place = &ids->buckets[hash & (ids->n_buckets - 1)];

        while (*place &&
               ((*place)->hash != hash || (*place)->length != length || memcmp((*place)->bytes, bytes, length) != 0))
                place = &(*place)->next;
        return place;
}

static void insert(struct quic_id **buckets, size_t n_buckets, struct quic_id *id) {
        struct quic_id **place = &buckets[id->hash & (n_buckets - 1)];

        id->next = *place;
        *place = id;
}

/* Doubles it when there are as many as buckets. It does not shrink: its size is bounded by what a server may have at once. */
static int make_room(struct quic_ids *ids) {
        size_t n_buckets = 2 * ids->n_buckets;
        struct quic_id **buckets;

        if (ids->n < ids->n_buckets)
                return 0;
        buckets = calloc(n_buckets, sizeof(struct quic_id *));
        if (!buckets)
                return -ENOMEM;
        for (size_t i = 0; i < ids->n_buckets; ++i) {
                for (struct quic_id *id = ids->buckets[i], *next; id; id = next) {
                        next = id->next;
                        insert(buckets, n_buckets, id);
                }
        }
        free(ids->buckets);
        ids->buckets = buckets;
        ids->n_buckets = n_buckets;
        return 0;
}

int quic_ids_add(struct quic_ids *ids, const uint8_t *bytes, size_t length, struct quic_id_owner owner,
                 struct nb_list *of_owner) {
        uint64_t hash = hash_of(ids, bytes, length);
        struct quic_id *id;

        assert(length <= NGTCP2_MAX_CIDLEN);
        if (*find_place(ids, hash, bytes, length))
                return -EEXIST;
        if (make_room(ids) < 0)
                return -ENOMEM;
        id = calloc(1, sizeof(*id));
        if (!id)
                return -ENOMEM;
        id->owner = owner;
        id->hash = hash;
        id->length = (uint8_t)length;
        memcpy(id->bytes, bytes, length);
        nb_list_append(of_owner, &id->of_owner);
        insert(ids->buckets, ids->n_buckets, id);
        ids->n++;
        return 0;
}

static void remove_at(struct quic_ids *ids, struct quic_id **place) {
        struct quic_id *id = *place;

        *place = id->next;
        nb_list_remove(&id->of_owner);
        free(id);
        ids->n--;
}

void quic_ids_remove(struct quic_ids *ids, const uint8_t *bytes, size_t length) {
        struct quic_id **place = find_place(ids, hash_of(ids, bytes, length), bytes, length);

        if (*place)
                remove_at(ids, place);
}

void quic_ids_remove_all(struct quic_ids *ids, struct nb_list *of_owner) {
        nb_list_foreach_safe(element, of_owner) {
                struct quic_id *id = nb_container_of(element, struct quic_id, of_owner);

                remove_at(ids, find_place(ids, id->hash, id->bytes, id->length));
        }
}

struct quic_id_owner quic_ids_find(const struct quic_ids *ids, const uint8_t *bytes, size_t length) {
        const struct quic_id *id = *find_place(ids, hash_of(ids, bytes, length), bytes, length);

        return id ? id->owner : (struct quic_id_owner){ .connection = NULL };
}

int quic_id_choose(ngtcp2_cid *ret) {
        uint8_t bytes[QUIC_ID_LENGTH];
        int r = fill_randomly(bytes, sizeof(bytes));

        if (r == 0)
                ngtcp2_cid_init(ret, bytes, sizeof(bytes));
        return r;
}
