/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad network for UDP: a proxy between clients and one server that loses, delays, reorders, duplicates and damages packets, by numbers that are the
 * same in every run. It counts what comes from either side, so that a test can tell how much a server answers to how little; and it can send from
 * another address from now on, as a NAT does that has forgotten a client.
 *
 *      client ── address ──► [ impair ] ──a socket for each client──► server
 *
 * It is a child process of the test. Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_IMPAIR_H
#define NB_TESTS_SUPPORT_IMPAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/socket_address.h"

/** What happens to packets, the same both ways. All zero: nothing. */
struct impair_settings {
        unsigned loss_percent;
        unsigned duplicate_percent;
        unsigned corrupt_percent; /* one bit of a packet is turned */
        unsigned delay_ms;
        unsigned jitter_ms; /* up to so much more, each packet for itself: so they overtake each other */
        uint64_t seed;      /* 0: one is chosen, the same in every run */
};

/** Of one direction. */
struct impair_counts {
        uint64_t packets; /* that came */
        uint64_t bytes;
        uint64_t lost;
        uint64_t duplicated;
        uint64_t corrupted;
};

struct impair {
        char address[NB_ADDRESS_TEXT_MAX]; /* where clients find the server */
        pid_t pid;
        struct impair_shared *shared; /* with the child */
};

/** Starts it on 127.0.0.1. @param server  an IPv4 address with port */
void impair_start(struct impair *impair, const char *server, const struct impair_settings *settings);

/** What came so far from clients and from the server. */
void impair_count(const struct impair *impair, struct impair_counts *ret_from_clients,
                  struct impair_counts *ret_from_server);

/** From now on clients reach the server from other ports, and from this IPv4 address. It has come to be when this returns. */
void impair_rebind(struct impair *impair, const char *ip);

/** From now on nothing gets through, or all does again. */
void impair_cut(struct impair *impair, bool cut);

/** Ends it. */
void impair_stop(struct impair *impair);

#endif
