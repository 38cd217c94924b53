/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking everything from netbroker-keeper at the start, which is the one time that the broker waits for it.
 *
 * What comes is decoded here, within bounds; an entry that cannot be read is dropped, and the log says so. Which of them an object of ours has become the
 * owner of is noted, so that the rest can be forgotten.
 */
#ifndef NB_BROKER_KEEP_FETCH_H
#define NB_BROKER_KEEP_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "broker/keep.h"

/** What was there. All zero is: nothing. */
struct keep_fetched {
        struct keep_fetched_entry {
                uint64_t id;
                bool adopted;
        } * entries; /* owned; by rising id, also those that could not be read */
        size_t n;
        uint64_t last_id; /* the highest that was ever put */
};

/**
 * Receives until End.
 * @param fd  of the channel, on which Fetch was sent; borrowed
 * @param ret_items  owned by the caller, for keep_items_free(); in the order in which they came
 * @return 0; -ETIMEDOUT when nothing came for some seconds; another -errno
 */
int keep_fetch(const struct nb_log *log, int fd, struct keep_fetched *ret, struct kept_item **ret_items, size_t *ret_n);

/** Notes that an entry has an owner. */
void keep_fetched_adopt(struct keep_fetched *fetched, uint64_t id);

void keep_fetched_deinit(struct keep_fetched *fetched);

/**
 * Decodes the bytes of an entry, within memory that is bounded by their number.
 * @return owned by the caller, for nb__state__item__free_unpacked() without an allocator; NULL for what is no item
 */
Nb__State__Item *keep_decode(const uint8_t *bytes, size_t length);

#endif
