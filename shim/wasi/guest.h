/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest: its descriptor table and what its calls need of the host.
 */
#ifndef NB_SHIM_WASI_GUEST_H
#define NB_SHIM_WASI_GUEST_H

#include <stdbool.h>

#include "netbroker/wasi.h"
#include "proto/frame.h"
#include "shim/wasi/table.h"

/** Descriptors of a guest whose host names no limit, where RLIMIT_NOFILE does not lower it. */
#define NB_GUEST_DESCRIPTORS_DEFAULT 65536u

/**
 * Bytes that are gathered from a guest's parts for one send: a datagram must be sent whole, and the longest that IP can carry has 65,507.
 */
#define NB_GUEST_GATHER_SIZE 65536u

struct nb_guest {
        struct nb_table table;
        const struct nb_session *session; /* borrowed; NULL: none */
        nb_wait_function wait;
        void *wait_data; /* borrowed */
        bool stdio[3];   /* which of 0 to 2 are served here; the engine's own of these numbers are not the guest's */
        char *protocols; /* owned: the value of NETWORKING_PROTOCOLS; NULL: empty */
        char *preopens;  /* owned: the value of NETWORKING_PREOPENS; NULL: empty */
        uint8_t *gather; /* owned, NB_GUEST_GATHER_SIZE bytes; NULL until it is needed */
        char denial[NB_REASON_LENGTH_MAX + 1]; /* why the policy last refused this guest something */
};

/**
 * Waits for `events` on a host descriptor for as long as it takes.
 * @return 0, also when woken for nothing; or what the wait function failed with
 */
int nb_guest_wait(const struct nb_guest *guest, int fd, short events);

/** @return how often the policy has refused something to any guest of the session. */
uint64_t nb_guest_n_denials(const struct nb_guest *guest);

/**
 * Keeps the reason of a refusal for this guest, for the next may be another guest's.
 * @param n_before  nb_guest_n_denials() before the call that was refused: without a refusal since, nothing is kept
 */
void nb_guest_keep_denial(struct nb_guest *guest, uint64_t n_before);

/** @return where NB_GUEST_GATHER_SIZE bytes can be put together, borrowed; NULL without memory. What is there does not outlast a wait. */
uint8_t *nb_guest_gather_buffer(struct nb_guest *guest);

#endif
