/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front's end of one shard: its channel, its life, and what waits for it. For broker/front.c; see there.
 */
#ifndef NB_BROKER_FRONT_LINK_H
#define NB_BROKER_FRONT_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "broker/front.h"
#include "broker/shard_message.h"
#include "loop/watch.h"

struct deadline;

enum front_link_state {
        FRONT_LINK_DOWN,     /* a deadline starts it again */
        FRONT_LINK_STARTING, /* what is sent waits in its channel until it reads */
        FRONT_LINK_READY,
};

/** A session that a shard is to get. */
struct front_parked {
        struct nb_list link; /* in its link's */
        struct session *session;
        size_t length;
        uint8_t bytes[]; /* the message */
};

struct front_link {
        struct front *front;
        unsigned number; /* from 1 */
        enum front_link_state state;
        struct watch watch;
        int fd;                /* owned; -1 while it is down */
        struct nb_list parked; /* struct front_parked */
        struct deadline *again;
        pid_t pid;
        uint64_t n_starts;
        uint64_t ready_ms; /* since when it is, on the loop's clock */
        unsigned n_failed; /* in a row */
        unsigned n_pings;  /* since it has said anything */
        bool owes_ping;    /* the last one waits for room in the channel */
        bool awaits;       /* front_link_wait_all() waits for it */
        bool has_answered; /* the last Prepare or Apply */
        int error;
        uint64_t digest;
        char error_text[2048];
};

struct front {
        struct broker *broker;
        int spawner_fd; /* owned */
        struct watch spawner_watch;
        uint64_t n_reloads;
        bool serves; /* all were ready once: from now on a shard that ends is started again */
        bool ending;
        bool has_failed;
        struct deadline *reload; /* a shard has read another policy than the others */
        struct deadline *look;   /* asks whether shards are alive; NULL before they serve */
        unsigned n_links;
        struct front_link links[];
};

/** Makes one that is down. */
void front_link_init(struct front_link *link, struct front *front, unsigned number);

/** Closes its channel, and drops what waits. */
void front_link_deinit(struct front_link *link);

/** Has the spawner start it, and tells it what it has to know first. @return 0 or -errno */
int front_link_start(struct front_link *link);

/** Ends its channel, and has it started again after a while. @param why  for the log; NULL: its channel has ended */
void front_link_lose(struct front_link *link, const char *why);

/** Sends a message without descriptors that must not be lost: waits for room, for some seconds at most. @return 0; -errno, and the link is lost */
int front_link_say(struct front_link *link, const struct shard_message *message);

/** Asks a shard that serves whether it is alive. One that has left several such questions in a row unanswered is lost, and started again. */
void front_link_ping(struct front_link *link);

/** Sends a question that waits, and what is parked, as far as there is room. */
void front_link_flush(struct front_link *link);

/** Waits until each link that `awaits` has answered, has become ready or has ended. @param timeout_ms  -1: for ever */
void front_link_wait_all(struct front *front, int timeout_ms);

#endif
