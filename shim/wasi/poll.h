/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_oneoff over everything a guest can wait for, in one call of the wait function.
 *
 * Subscriptions are copied first. Each becomes an entry of the poll set, which descriptors share between their read and their write
 * subscription; a clock's deadline; or an event at once: files are always ready, and what cannot be polled says
 * so in its event's error, since a call that failed as a whole would end Go programs.
 *
 * Then the engine is asked what only it knows: the time, for absolute times are of its clocks, whose monotonic epoch is its own
 * (Wasmtime's starts with the guest), while deadlines are kept in the host's monotonic time; and what is left to read of a file. It
 * answers into the guest's memory, so it is asked to write where the events will stand.
 *
 * A multiplexed connection is readable when it has an incoming stream and writable when one can be created, which only its channel's frames say: so whatever wakes the
 * wait is taken in, and the wait goes on if it was something else. A control is polled together with the connections that sock_accept has left waiting in it
 * (shim/wasi/waiting.h).
 *
 * nbytes, of what is ready: on a stream what can be read or written now, of datagrams the length of the next; on a control 1 where an
 * accept or a connect has its result; on a connection how many streams can be accepted, or 1 where one can be created, and 0 when it is over; on a regular file what is left, or 1 where that cannot be asked for, and from the 1025th file of a
 * call on. Clocks that measure a processor's time are `notsup`: they do not run while a guest waits.
 */
#ifndef NB_SHIM_WASI_POLL_H
#define NB_SHIM_WASI_POLL_H

#include "shim/wasi/call.h"

/** The most subscriptions of one call: it bounds what a guest can make the host allocate, at less than 3 MiB and what its waiting connections take. */
#define NB_POLL_SUBSCRIPTIONS_MAX 65536u

int nb_poll_oneoff(struct nb_call *call);

#endif
