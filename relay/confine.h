/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walls around a relay, which talks to hostile peers and holds keys.
 *
 * First, before anything is read (confine_begin): every descriptor but the standard streams and the channel is closed, all capabilities and the way to new
 * privileges are given up, no core is written, nobody may look into the process, no files can be named (Landlock without a single right) and none written,
 * no process started. Then, with Setup, which is the broker's and says how much memory there may be (confine_close): the memory's limit, memory that is not
 * swapped out, and a filter of system calls. What is not on a list ends the process.
 *
 * The lists stand beside the code that makes the calls, each call with its reason, and are gathered in relay/calls.c. There is none by which a socket, a file
 * or a process comes into being: what a relay works with the broker has sent.
 */
#ifndef NB_RELAY_CONFINE_H
#define NB_RELAY_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "confine/calls.h"

/** All lists; `n_confine_lists` of them (relay/calls.c). */
extern const struct confine_list *const confine_lists[];
extern const size_t n_confine_lists;

#define CONFINE_MISSING_MAX 4

struct confine_result {
        bool locked_memory;
        size_t n_missing;
        const char *missing[CONFINE_MISSING_MAX]; /* what this kernel lacks, for the operator */
};

/**
 * The first half.
 * @param keep_fd  the highest descriptor that stays open
 * @return 0 or -errno; Landlock is not needed to go on, see confine_close()
 */
int confine_begin(int keep_fd);

/**
 * The second half; nothing can be undone.
 * @param memory_max  RLIMIT_AS in bytes; 0: none
 * @return 0 or -errno
 */
int confine_close(uint64_t memory_max, struct confine_result *ret);

#endif
