/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/strangers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int quic_strangers_init(struct quic_strangers *strangers, struct quic_ids *ids) {
        struct quic_strangers made = { .ids = ids };
        int r = quic_ids_init(&made.addresses);

        if (r < 0)
                return r;
        *strangers = made;
        for (int i = 0; i < QUIC_STRANGER_N_STATES; ++i)
                nb_list_init(&strangers->in[i]);
        return 0;
}

void quic_strangers_deinit(struct quic_strangers *strangers) {
        if (!strangers->ids)
                return;
        for (int i = 0; i < QUIC_STRANGER_N_STATES; ++i) {
                struct quic_stranger *stranger;

                while ((stranger = quic_strangers_first(strangers, (enum quic_stranger_state)i)))
                        quic_strangers_remove(strangers, stranger);
        }
        quic_ids_deinit(&strangers->addresses);
}

/* ---- their packets ---- */

static void drop_packets(struct quic_stranger *stranger) {
        nb_list_foreach_safe(element, &stranger->packets) {
                nb_list_remove(element);
                free(nb_container_of(element, struct quic_kept_packet, in_stranger));
        }
        stranger->n_packets = 0;
        stranger->n_bytes = 0;
}

static int keep(struct quic_stranger *stranger, const struct quic_packet *packet) {
        struct quic_kept_packet *kept;

        if (stranger->n_packets >= QUIC_STRANGER_PACKETS_MAX ||
            packet->length > QUIC_STRANGER_BYTES_MAX - stranger->n_bytes)
                return -ENOBUFS;
        kept = malloc(sizeof(*kept) + packet->length);
        if (!kept)
                return -ENOMEM;
        kept->packet = *packet;
        kept->packet.bytes = kept->bytes;
        memcpy(kept->bytes, packet->bytes, packet->length);
        nb_list_append(&stranger->packets, &kept->in_stranger);
        stranger->n_packets++;
        stranger->n_bytes += packet->length;
        return 0;
}

const struct quic_packet *quic_stranger_first_packet(const struct quic_stranger *stranger) {
        return &nb_container_of(stranger->packets.next, struct quic_kept_packet, in_stranger)->packet;
}

int quic_stranger_keep(struct quic_stranger *stranger, const struct quic_packet *packet) {
        const struct quic_path *path;

        if (stranger->state == QUIC_STRANGER_REFUSED)
                return -EACCES;
        path = &quic_stranger_first_packet(stranger)->path;
        if (!quic_address_equal(&path->remote, &packet->path.remote) ||
            !quic_address_equal(&path->local, &packet->path.local))
                return -EACCES;
        return keep(stranger, packet);
}

/* ---- states ---- */

static void enter(struct quic_strangers *strangers, struct quic_stranger *stranger, enum quic_stranger_state state) {
        stranger->state = state;
        nb_list_append(&strangers->in[state], &stranger->in_state);
        strangers->n_in[state]++;
}

static void leave(struct quic_strangers *strangers, struct quic_stranger *stranger) {
        nb_list_remove(&stranger->in_state);
        strangers->n_in[stranger->state]--;
}

static struct quic_ids *ids_of(struct quic_strangers *strangers, const struct quic_stranger *stranger) {
        return stranger->state == QUIC_STRANGER_REFUSED ? &strangers->addresses : strangers->ids;
}

int quic_strangers_add(struct quic_strangers *strangers, const struct quic_packet *packet, const ngtcp2_cid *dcid,
                       const ngtcp2_cid *original_dcid, uint64_t now_ms) {
        struct quic_stranger *stranger = calloc(1, sizeof(*stranger));
        int r;

        if (!stranger)
                return -ENOMEM;
        nb_list_init(&stranger->in_state);
        nb_list_init(&stranger->ids);
        nb_list_init(&stranger->packets);
        stranger->since_ms = now_ms;
        stranger->after_retry = original_dcid != NULL;
        stranger->original_dcid = original_dcid ? *original_dcid : *dcid;
        enter(strangers, stranger, QUIC_STRANGER_WAITING);
        r = keep(stranger, packet);
        if (r == 0)
                r = quic_ids_add(strangers->ids, dcid->data, dcid->datalen,
                                 (struct quic_id_owner){ .stranger = stranger }, &stranger->ids);
        if (r < 0)
                quic_strangers_remove(strangers, stranger);
        return r == -ENOBUFS ? -EMSGSIZE : r;
}

void quic_strangers_release_id(struct quic_strangers *strangers, struct quic_stranger *stranger) {
        quic_ids_remove_all(ids_of(strangers, stranger), &stranger->ids);
}

void quic_strangers_remove(struct quic_strangers *strangers, struct quic_stranger *stranger) {
        quic_strangers_release_id(strangers, stranger);
        leave(strangers, stranger);
        drop_packets(stranger);
        free(stranger);
}

struct quic_stranger *quic_strangers_first(const struct quic_strangers *strangers, enum quic_stranger_state state) {
        const struct nb_list *list = &strangers->in[state];

        return nb_list_is_empty(list) ? NULL : nb_container_of(list->next, struct quic_stranger, in_state);
}

void quic_strangers_ask(struct quic_strangers *strangers, struct quic_stranger *stranger, uint64_t number) {
        stranger->number = number;
        leave(strangers, stranger);
        enter(strangers, stranger, QUIC_STRANGER_ASKED);
}

/* The list stays in the order in which they came, which is that in which they go. */
void quic_strangers_unask(struct quic_strangers *strangers) {
        size_t n_waiting = strangers->n_in[QUIC_STRANGER_WAITING];
        struct quic_stranger *stranger;

        while ((stranger = quic_strangers_first(strangers, QUIC_STRANGER_ASKED))) {
                leave(strangers, stranger);
                stranger->number = 0;
                enter(strangers, stranger, QUIC_STRANGER_WAITING);
        }
        for (size_t i = 0; i < n_waiting; ++i) {
                stranger = quic_strangers_first(strangers, QUIC_STRANGER_WAITING);
                leave(strangers, stranger);
                enter(strangers, stranger, QUIC_STRANGER_WAITING);
        }
}

struct quic_stranger *quic_strangers_find(const struct quic_strangers *strangers, uint64_t number) {
        const struct nb_list *list = &strangers->in[QUIC_STRANGER_ASKED];

        for (struct nb_list *element = list->next; element != list; element = element->next) {
                struct quic_stranger *stranger = nb_container_of(element, struct quic_stranger, in_state);

                if (stranger->number == number)
                        return stranger;
        }
        return NULL;
}

/* ---- addresses that were refused ---- */

/* @return how many bytes of the address there are, without the port */
static size_t bytes_of(const union quic_address *address, const uint8_t **ret) {
        if (address->any.sa_family == AF_INET) {
                *ret = (const uint8_t *)&address->in.sin_addr;
                return sizeof(address->in.sin_addr);
        }
        *ret = (const uint8_t *)&address->in6.sin6_addr;
        return sizeof(address->in6.sin6_addr);
}

void quic_strangers_refuse(struct quic_strangers *strangers, struct quic_stranger *stranger, uint64_t now_ms) {
        const union quic_address address = quic_stranger_first_packet(stranger)->path.remote;
        const uint8_t *bytes;
        size_t length = bytes_of(&address, &bytes);

        quic_strangers_release_id(strangers, stranger);
        drop_packets(stranger);
        leave(strangers, stranger);
        enter(strangers, stranger, QUIC_STRANGER_REFUSED);
        stranger->since_ms = now_ms;
        if (quic_ids_add(&strangers->addresses, bytes, length, (struct quic_id_owner){ .stranger = stranger },
                         &stranger->ids) < 0)
                quic_strangers_remove(strangers, stranger);
}

bool quic_strangers_is_refused(const struct quic_strangers *strangers, const union quic_address *address) {
        const uint8_t *bytes;
        size_t length = bytes_of(address, &bytes);

        return quic_ids_find(&strangers->addresses, bytes, length).stranger != NULL;
}
