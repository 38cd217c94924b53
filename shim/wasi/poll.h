/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_oneoff over everything a guest can wait for, in one call of the wait function.
 *
 * Subscriptions are copied first. Each becomes an entry of the poll set, which descriptors share between their read and their write
 * subscription; a clock's deadline; or an event at once: files are always ready, and what cannot be polled says
 * so in its event's error, since a call that failed as a whole would end Go programs.
 *
 * Absolute times are the engine's clocks, whose monotonic epoch is the engine's own (Wasmtime's starts with the guest), so the
 * engine is asked what time it is, and deadlines are kept in the host's monotonic time.
 */
#ifndef NB_SHIM_WASI_POLL_H
#define NB_SHIM_WASI_POLL_H

#include "shim/wasi/call.h"

/** The most subscriptions of one call: it bounds what a guest can make the host allocate, at less than 6 MiB. */
#define NB_POLL_SUBSCRIPTIONS_MAX 65536u

int nb_poll_oneoff(struct nb_call *call);

#endif
