/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front and its shards, and the front and their spawner, say to each other, over AF_UNIX SOCK_SEQPACKET pairs: one struct a message, with the
 * bytes that belong to it behind. Both ends are the same program (broker/shard_exec.h): there is no version.
 *
 *      front                                shard
 *      Own, Own, ... Begin           ►                       sockets of the broker's own, which no rule reaches; then it may start
 *                                    ◄      Ready            with the number over the policy that it has read
 *      Session + its channel         ►                       a Hello, and the tenant's own socket by which it came
 *      Prepare                       ►
 *                                    ◄      Prepared         with the number, or an error in words
 *      Apply, or Abandon             ►
 *                                    ◄      Applied
 *      Rotated                       ►                       the audit's file is to be opened again
 *      Ping                          ►                       every few seconds; who leaves several in a row unanswered is ended
 *                                    ◄      Pong
 *      (its end is closed)           ►                       the shard ends, as by SIGTERM
 *
 *      front                                spawner
 *      Start + the shard's channel   ►                       a process of that number
 */
#ifndef NB_BROKER_SHARD_MESSAGE_H
#define NB_BROKER_SHARD_MESSAGE_H

#include <stdint.h>
#include <sys/un.h>

#include "base/socket_address.h"

enum shard_verb {
        SHARD_START = 1,
        SHARD_OWN,
        SHARD_BEGIN,
        SHARD_READY,
        SHARD_SESSION,
        SHARD_PREPARE,
        SHARD_PREPARED,
        SHARD_APPLY,
        SHARD_ABANDON,
        SHARD_APPLIED,
        SHARD_ROTATED,
        SHARD_PING,
        SHARD_PONG,
};

struct shard_message {
        uint32_t verb;
        int32_t error;   /* of Prepared: 0 or -errno */
        uint64_t number; /* of Start: which shard; of Prepare to Applied: counts reloads */
        uint64_t digest; /* of Ready and Prepared (policy/shard.h) */
        uint32_t pid;    /* of Ready */
        uint32_t text;   /* bytes of a text behind this, without a NUL: the socket's path, or the error */
        uint32_t frame;  /* bytes of a frame behind that */
};

/** What is behind Own, in place of text and frame. */
struct shard_own {
        struct nb_socket_address address;
        char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1]; /* empty: it has none */
        char what[64];
};

#endif
