/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness of the broker's many short-lived descriptors.
 *
 * libuv's uv_poll_t costs four system calls to start and one to stop, and its memory must wait for a close callback. The
 * broker makes and drops a channel for each control, so it keeps its descriptors in an epoll instance of its own: one system
 * call to start, none to stop (closing the last descriptor of a socket ends its registration), and memory that is free at
 * once. Timers, signals and children are libuv's, whose own instance is one watch of the set: so a turn in which nothing of
 * libuv's has happened does not ask for it, which would be a system call more, and a level more for the kernel to wake.
 *
 *      the loop's set ─ descriptors
 *                     ├ libuv's instance ─ its signals' pipe
 *                     └ a nested set's   ─ descriptors of one owner
 *
 * Sets can be nested: what many of one owner's descriptors do is then one watch among those of others (broker/throttle.h).
 *
 * Events are level-triggered, unless EPOLLET is asked for. A watch may be ended from any callback, its own included; so may a nested set.
 */
#ifndef NB_LOOP_WATCH_H
#define NB_LOOP_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <uv.h>

struct watch;
struct watch_set;

/** @param events  EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll_wait() reported them */
typedef void (*watch_function)(struct watch *watch, uint32_t events);

struct watch {
        struct watch_set *set; /* NULL: not watching */
        watch_function function;
        int fd; /* borrowed */
        uint32_t events;
};

/** How many events are taken from the kernel at once. */
#define WATCH_BATCH 16

/** All the watches of one loop, or of one owner on it. */
struct watch_set {
        int epoll_fd; /* owned; -1 when not started */
        struct epoll_event batch[WATCH_BATCH];
        unsigned n_batch;          /* events of the current batch; those of ended watches are cleared */
        struct watch_set *serving; /* the nested one whose functions are called; NULL: none, or it was stopped */
        uv_loop_t *loop;           /* borrowed; NULL: it is a nested one */
        struct watch libuv;        /* of the loop's: libuv's instance */
        struct watch outer;        /* of a nested one */
};

/**
 * Starts the set of `loop`, which is run by watch_set_turn() from now on, and not by uv_run(). To be called when those handles of libuv's have been started that have
 * descriptors: it ends the process if the kernel has no memory to watch one (base/last_words.h), and that shall not be while others are served.
 * @return 0 or -errno
 */
int watch_set_start(struct watch_set *set, uv_loop_t *loop);

/**
 * Starts a set within another.
 * @param ready  called with `set->outer` when there is something to collect
 * @return 0 or -errno
 */
int watch_set_start_within(struct watch_set *set, struct watch_set *parent, watch_function ready);

/** Stops the set, whose memory may go at once. All watches must have ended. */
void watch_set_stop(struct watch_set *set);

/** Takes up to `most` events from the kernel, for watch_set_dispatch(). @return how many there are */
unsigned watch_set_collect(struct watch_set *set, unsigned most);

/** Calls the functions of what was collected. They may stop a nested set. @return whether it is still there */
bool watch_set_dispatch(struct watch_set *set);

/**
 * One turn of the loop whose set it is: collects, calls the functions, and those of libuv that are due.
 * @param wait  for something to happen, a timer's time, or a signal; false: what is there is all
 */
void watch_set_turn(struct watch_set *set, bool wait);

/**
 * Starts watching.
 * @param fd      borrowed: end the watch before closing it, and pass on no duplicate of it to others before
 * @param events  EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET or 0; errors and hang-ups are always reported
 * @return 0 or -errno
 */
int watch_start(struct watch *watch, struct watch_set *set, int fd, uint32_t events, watch_function function);

/** Changes what is watched for. A failure (no memory) is returned as -errno, with the old events in force. */
int watch_change(struct watch *watch, uint32_t events);

/** Has another set watch it, for the same. @return 0, or -errno: it is watched as before */
int watch_move(struct watch *watch, struct watch_set *set);

/** Ends a watch whose descriptor the caller closes right away, so that the kernel forgets it. Harmless when not watching. */
void watch_end_before_close(struct watch *watch);

/** Ends a watch whose descriptor lives on. Harmless when not watching. */
void watch_end(struct watch *watch);

#endif
