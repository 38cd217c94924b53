/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lasts longer than the broker: descriptors, and what is to be known of each, are left with netbroker-keeper, from which the broker that comes next
 * takes them back. So a restart, an upgrade or a kill -9 closes no channel that a guest's host holds the other end of.
 *
 * Each object that is kept has a `struct kept` and says itself what it is (`describe`); so there is no second copy of its state here, and no queue whose
 * length others decide: what could not be sent at once is marked, and described when the keeper takes more.
 *
 *      not kept ──keep_put()──► kept ──keep_put() again: described anew──► kept ──keep_forget()──► not kept
 *
 * The order holds: what was put before an answer is sent to a host is with the keeper (in the queue of its socket, which the kernel keeps when
 * the broker is killed) before that host can know of it. Without a keeper all of this does nothing.
 *
 * When the keeper itself goes, the broker connects to the next one, again and again, and puts all that is kept once more.
 */
#ifndef NB_BROKER_KEEP_H
#define NB_BROKER_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "proto/state.pb-c.h"

/** Descriptors of one item. */
#define KEPT_FDS_MAX 4

/**
 * The version of proto/state.proto that is written, for `Item.needs`: rises when what is older would make something wrong of an item, and not for a field
 * that it may ignore.
 */
#define KEPT_STATE_VERSION 1

struct broker;
struct keep;
struct kept;
struct kept_sink;

struct kept_ops {
        /** Calls kept_sink_give() exactly once with what the object is now. */
        void (*describe)(const struct kept *kept, struct kept_sink *sink);
};

/** Embedded in its owner. All zero is: not kept. */
struct kept {
        struct nb_list link;        /* in what is kept */
        struct nb_list unsent_link; /* in what the keeper does not have as it is now */
        const struct kept_ops *ops;
        struct keep *keep; /* borrowed; NULL: not kept */
        uint64_t id;       /* of the item; never given out twice */
        bool unsent;
};

/**
 * Takes the description of an object; for `describe`.
 * @param item  without `needs`, which is filled in; borrowed until this returns, and all that it points to
 * @param fds   borrowed likewise
 */
void kept_sink_give(struct kept_sink *sink, Nb__State__Item *item, const int *fds, size_t n_fds);

/**
 * Leaves an object with the keeper, or says what has become of it. Where the keeper cannot take it at once it gets it as soon as it can.
 * @param keep  NULL: there is no keeper, and nothing is done
 */
void keep_put(struct keep *keep, struct kept *kept, const struct kept_ops *ops);

/** Takes an object back, which ends. Harmless where it is not kept. While the broker ends to be started again it stays with the keeper (keep_detach()). */
void keep_forget(struct kept *kept);

/** What an earlier broker has left, as it comes back. */
struct kept_item {
        uint64_t id;
        Nb__State__Item *item; /* owned by who gave it */
        int fds[KEPT_FDS_MAX]; /* owned likewise, but for those that are stolen (set to -1) */
        size_t n_fds;
};

/** Makes an object the owner of an item that came back: it is kept from now on under the same id, and is described again when it is put. */
void keep_adopt(struct keep *keep, struct kept *kept, const struct kept_ops *ops, uint64_t id);

/** @return whether a socket that came back was shut down: its other end is gone, or the broker before was ending it */
bool kept_socket_is_over(int fd);

/**
 * Reaches the keeper, and takes all that it has; waits for it, for some seconds at most. To be called before the loop runs. A keeper that is not there is
 * logged, and looked for again.
 * @param path  of its socket
 * @param ret_items  owned by the caller, for keep_items_free(); those that nobody adopts are forgotten by then
 * @return owned by the caller; NULL (errno is set): EBUSY when the keeper serves another broker, ENAMETOOLONG, ENOMEM
 */
struct keep *keep_new(struct broker *broker, const char *path, struct kept_item **ret_items, size_t *ret_n);

/** Frees items, closes what of their descriptors nobody stole, and has the keeper forget those that nobody has adopted. */
void keep_items_free(struct keep *keep, struct kept_item *items, size_t n);

/**
 * Leaves everything that is kept with the keeper as it is: from now on nothing is put or forgotten. For a broker that ends and is to be started again, before
 * it frees its objects. Waits until the keeper has all that is unsent, for a second at most.
 */
void keep_detach(struct keep *keep);

/** @return whether keep_detach() was called: objects that are freed now live on with the keeper, so nobody is to be told of their end */
bool keep_is_detached(const struct keep *keep);

/**
 * Waits, for some milliseconds at most, until the keeper has closed what it was told lately not to keep any more. For who is refused an address that a socket may
 * still have there: of TCP that does not hinder anybody, of UDP and of abstract names it does. Stops the loop, for a tenth of the time at most.
 * @return whether it makes sense to ask for the address again
 */
bool keep_settle(struct keep *keep);

/** For `netbrokerctl status`. */
struct keep_facts {
        bool is_connected;
        size_t n_kept;
        size_t n_unsent;    /* of these, that it does not have as they are now */
        uint64_t n_refused; /* over its bounds, since the start */
};

void keep_get_facts(const struct keep *keep, struct keep_facts *ret);

/** Takes NULL. @return NULL */
struct keep *keep_free(struct keep *keep);

#endif
