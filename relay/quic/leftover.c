/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/leftover.h"

#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "loop/deadline.h"
#include "loop/watch.h"
#include "relay/pair.h"
#include "relay/pump.h"
#include "relay/quic/quic.h"
#include "relay/relay.h"

#define PARTS_MAX 16

struct leftover {
        struct nb_list in_quic;
        struct quic *quic;      /* borrowed */
        struct transport *pair; /* owned */
        struct watch watch;
        struct quic_ring ring;
        size_t charged;
        bool is_clean;
        struct deadline *deadline; /* owned */
};

static void count_memory(struct leftover *leftover) {
        leftover->quic->bytes_buffered += leftover->ring.held - leftover->charged;
        leftover->charged = leftover->ring.held;
}

/* The watch is ended and not just forgotten: the guest may hold a duplicate. */
static void leftover_free(struct leftover *leftover) {
        quic_ring_clear(&leftover->ring);
        count_memory(leftover);
        leftover->deadline = deadline_free(leftover->deadline);
        watch_end(&leftover->watch);
        leftover->pair = transport_free(leftover->pair);
        leftover->quic->relay->n_descriptors--;
        nb_list_remove(&leftover->in_quic);
        free(leftover);
}

static void timed_out(void *data) {
        leftover_free(data);
}

/* @return 0: all is delivered; -EAGAIN; another -errno: the guest is gone */
static int deliver(struct leftover *leftover) {
        struct iovec parts[PARTS_MAX];

        while (leftover->ring.length > 0) {
                size_t n_parts = quic_ring_parts(&leftover->ring, parts, PARTS_MAX);
                ssize_t n = pair_write_parts(leftover->pair, parts, n_parts);

                if (n < 0)
                        return (int)n;
                quic_ring_release(&leftover->ring, (size_t)n);
        }
        return 0;
}

static void pair_changed(struct watch *watch, uint32_t events) {
        struct leftover *leftover = nb_container_of(watch, struct leftover, watch);
        int r = deliver(leftover);

        (void)events;
        count_memory(leftover);
        if (r == -EAGAIN)
                return;
        if (r == 0 && leftover->is_clean)
                pair_settle(leftover->pair);
        leftover_free(leftover);
}

static struct leftover *new_leftover(struct quic *quic) {
        struct leftover *leftover = calloc(1, sizeof(*leftover));

        if (!leftover)
                return NULL;
        leftover->deadline = deadline_new(&quic->relay->loop, LINGER_MS, timed_out, leftover);
        if (!leftover->deadline) {
                free(leftover);
                return NULL;
        }
        leftover->quic = quic;
        return leftover;
}

int quic_leftover_new(struct quic *quic, struct transport *pair, struct quic_ring *ring, bool is_clean) {
        struct leftover *leftover = new_leftover(quic);
        int r;

        if (!leftover)
                return -ENOMEM;
        r = watch_start(&leftover->watch, &quic->relay->watches, transport_bottom_fd(pair), EPOLLOUT | EPOLLET,
                        pair_changed);
        if (r < 0) {
                leftover->deadline = deadline_free(leftover->deadline);
                free(leftover);
                return r;
        }
        leftover->pair = pair;
        leftover->ring = *ring;
        leftover->is_clean = is_clean;
        *ring = (struct quic_ring){ 0 };
        nb_list_append(&quic->leftovers, &leftover->in_quic);
        count_memory(leftover);
        return 0;
}

void quic_leftover_free_all(struct quic *quic) {
        while (!nb_list_is_empty(&quic->leftovers))
                leftover_free(nb_container_of(quic->leftovers.next, struct leftover, in_quic));
}
