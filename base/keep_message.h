/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What netbrokerd and netbroker-keeper(8) say to each other, over an AF_UNIX SOCK_SEQPACKET socket: one struct a message, behind it the bytes that
 * are kept, and with it their descriptors. The keeper does not look into the bytes. Both ends are of this machine.
 *
 *      broker                          keeper
 *      Fetch                   ►
 *                              ◄       Entry, Entry, ... End       all that is kept, oldest first; the descriptors are duplicates
 *      Put, Forget, ...        ►
 *                              ◄       Refused                     of a Put, where it is over a bound
 *
 * A connection begins with Fetch, or with Reset by a broker whose keeper has gone: what this one has is forgotten, which End answers, and everything is put
 * again. There is one broker at a time: who comes while another is there waits for its turn. Put of what is there replaces it. What a broker has
 * sent counts, also when it is gone before it was read.
 */
#ifndef NB_BASE_KEEP_MESSAGE_H
#define NB_BASE_KEEP_MESSAGE_H

#include <assert.h>
#include <stdint.h>

/** Changes with the struct and its verbs. A message of another version ends the connection. */
#define NB_KEEP_VERSION 1

/** The most bytes of one entry. */
#define NB_KEEP_BYTES_MAX 32768

/** The most descriptors of one entry. */
#define NB_KEEP_FDS_MAX 4

enum nb_keep_verb {
        NB_KEEP_FETCH = 1,
        NB_KEEP_RESET = 2,
        NB_KEEP_PUT = 3,    /* id, bytes, descriptors */
        NB_KEEP_FORGET = 4, /* id; harmless for one that is not there */
        NB_KEEP_ENTRY = 5,  /* id, bytes, descriptors */
        NB_KEEP_END = 6,    /* id: the highest that was ever put */
        NB_KEEP_REFUSED = 7 /* id, error; an entry of that id is forgotten */
};

struct nb_keep_header {
        uint32_t version;
        uint32_t verb;
        uint64_t id;     /* the broker's choice, and never 0 */
        uint32_t length; /* of the bytes behind this */
        int32_t error;   /* of Refused: -ENOSPC for a bound, -EMFILE for that of descriptors, -ENOMEM; else 0 */
};

static_assert(sizeof(struct nb_keep_header) == 24, "no padding");

#endif
