/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel to the broker: orders come in, reports go out.
 *
 * Orders are read strictly (proto/relay_frame.h) and carried out by relay/orders.h. A report that does not fit the channel, because the broker is
 * busy, is kept in the outbox and sent later, in order. The outbox is bounded by what the broker itself has asked for: an object has few reports.
 */
#ifndef NB_RELAY_CHANNEL_H
#define NB_RELAY_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

struct relay;

/** What may wait for the broker, in bytes: three reports of the usual size for each of 20,000 links. */
#define OUTBOX_SIZE_MAX (8u * 1024 * 1024)

/** Reports that wait for room in the channel. */
struct outbox {
        struct nb_list frames;
        size_t size; /* of all, in bytes */
};

/** Watches `relay->channel_fd`. @return 0 or -errno */
int channel_start(struct relay *relay);

/** Whether nothing waits for the broker to read. */
bool channel_is_clear(const struct relay *relay);

/** Forgets what was not sent; the descriptor is the relay's to close. */
void channel_stop(struct relay *relay);

#endif
