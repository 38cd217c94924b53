/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenant was seen to ask for, each thing once, so that `netbrokerctl suggest` can write the least policy that allows it.
 *
 * A tenant chooses what it asks for, so what is kept is bounded: when it is full, new things are counted and not kept.
 */
#ifndef NB_BROKER_SEEN_H
#define NB_BROKER_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"

/** More different things of one tenant are not kept. */
#define SEEN_MAX 1024

/** Longer targets are not kept, in bytes: the longest name with its port, an arrow and an address is shorter. */
#define SEEN_TARGET_MAX 340

struct seen;

/** One thing that was asked for. */
struct seen_entry {
        const char *protocol;
        enum policy_verb verb;
        const char *target; /* an address or name with its port, as rules write it; or "NAME => ADDRESS" where it led */
        uint64_t n;         /* how often */
        uint64_t n_denied;  /* of these, how often it was denied, or reported */
};

typedef void (*seen_function)(void *data, const struct seen_entry *entry);

/** @return owned by the caller, or NULL without memory. */
struct seen *seen_new(void);

/** Takes NULL. @return NULL */
struct seen *seen_free(struct seen *seen);

/**
 * Notes a decision. Takes NULL, and does nothing; nor does it for POLICY_ACCEPT, which needs no grant, and by which strangers could fill what
 * is kept.
 * @param target  printable, borrowed
 */
void seen_note(struct seen *seen, const char *protocol, enum policy_verb verb, const char *target, bool denied);

/**
 * Calls the function for each entry, in the order in which they were first seen. Takes NULL, which has none.
 * @return how many decisions were about what could not be kept
 */
uint64_t seen_each(const struct seen *seen, seen_function function, void *data);

#endif
