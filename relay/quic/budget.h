/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the streams of all connections of a relay may hold together: their rings, and what the library keeps for them (relay/quic/memory.h).
 *
 * Each stream is bounded by its windows, but their product may be more than the relay has. Beyond the budget nothing fails: connections are credited when their
 * guests drain, and not at receipt; guests are read in small portions; and nobody new is taken.
 */
#ifndef NB_RELAY_QUIC_BUDGET_H
#define NB_RELAY_QUIC_BUDGET_H

#include <stdbool.h>

struct quic;

/** Of the relay's memory (Setup.memory_max) a quarter; where that is not bounded, so many bytes. */
#define QUIC_BUDGET_UNBOUNDED (64u * 1024 * 1024)

/** Whether it is spent at the moment: a new connection is refused then. */
bool quic_budget_is_spent(const struct quic *quic);

#endif
