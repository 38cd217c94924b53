/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that comes after another one: what that has left with the keeper (broker/keep.h) becomes objects again.
 *
 *      restore_new    the keeper's items
 *      restore_begin  what the broker is, and the sockets where sessions arrive: they are not made anew then, and nobody is refused
 *      restore_finish all else, once the broker is who it will be; judged by the policy of now as after a reload; then Resumed on each channel
 *
 * Kinds come back in the order in which they need each other, and each makes its objects itself, unjudged and charged whatever the limits say: they are there
 * already. An item that is of a newer version than this broker understands, or that nobody needs any more, is dropped: its channels are shut down, so that their
 * holders see an end, and the keeper forgets it.
 */
#ifndef NB_BROKER_RESTORE_H
#define NB_BROKER_RESTORE_H

#include <stddef.h>
#include <stdint.h>

struct broker;
struct kept_item;
struct restore;

/** What has come back at the start of this broker. */
struct restore_facts {
        uint64_t n_sessions;
        uint64_t n_protocols;
        uint64_t n_controls;
        uint64_t n_listeners; /* where sessions arrive, and the operator's */
        uint64_t n_relays;
        uint64_t n_connections; /* in holders' hands */
        uint64_t n_over;        /* channels whose holder was gone by then */
        uint64_t n_dropped;     /* items that could not be used, whose holders see an end */
};

/**
 * Takes the items.
 * @param items  of keep_new(); consumed, even on failure
 * @return owned by the caller; NULL without memory: then nothing comes back
 */
struct restore *restore_new(struct broker *broker, struct kept_item *items, size_t n);

/**
 * Whether what is there is of this one of several processes, or of a broker that is the only one. Errors are logged. To be called first.
 * @return 0; -EXDEV: it is not, and all stays with the keeper
 */
int restore_check_place(const struct restore *restore);

/** The first half; to be called before the broker makes sockets of its own. */
void restore_begin(struct restore *restore);

/** The second half; to be called when all is there that a reload needs, and before anybody is told that the broker serves. */
void restore_finish(struct restore *restore);

/**
 * Has the keeper forget what did not come back. Without restore_finish() the broker does not start, and all stays with the keeper for the next one
 * (keep_detach()). Takes NULL. @return NULL
 */
struct restore *restore_free(struct restore *restore);

#endif
