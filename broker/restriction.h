/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol_restrict: a protocol that can do no more than another, made by whoever holds that one, to be given to less trusted code.
 *
 * It is a channel of its own, so its holder can be another process. What it may do is its parent's narrowings and one block more (token/block.h), and its
 * parent's rights as far as they were left. It is its session's: charged to the session's tenant, ended by what ends the session, and living on when the
 * session's own channel is closed. But its holder is not trusted with the session's other channels: each restricted protocol, with the controls that come of
 * it, is a delegation, and a violation of the protocol ends that and no more (broker/endpoint.h).
 *
 * What narrows sessions, protocols and controls is kept over a restart as its blocks.
 */
#ifndef NB_BROKER_RESTRICTION_H
#define NB_BROKER_RESTRICTION_H

#include <stddef.h>

#include "policy/narrowing.h"
#include "proto/state.pb-c.h"

struct tenant;

/**
 * Narrows by rules that a host has written.
 * @param base   borrowed; NULL: nothing is narrowed yet
 * @param rules  UTF-8 without NUL
 * @param ret    a reference, owned by the caller; the tenant is charged for its memory until the last one is gone
 * @param error  filled in on -EINVAL and -E2BIG
 * @return 0; -EINVAL: not rules; -E2BIG: too many, or narrowed too often; -ENOBUFS: the tenant has as much memory as it may have; -ENOMEM
 */
int restriction_add(struct tenant *tenant, const struct narrowings *base, const char *rules, struct narrowings **ret,
                    struct narrowing_error *error);

/** @return how many of the blocks are protocol_restrict's, and not a token's */
size_t restriction_count(const struct narrowings *narrowings);

/** What is kept of narrowings. */
struct restriction_state {
        Nb__State__Narrowings message;
        ProtobufCBinaryData blocks[NARROWINGS_MAX];
};

/**
 * Describes narrowings for the keeper.
 * @param narrowings  borrowed for as long as the result is
 * @return the message in `state`; NULL where there are none
 */
Nb__State__Narrowings *restriction_describe(const struct narrowings *narrowings, struct restriction_state *state);

/** Whether what was kept is that list. @param state  not NULL */
bool restriction_is_same(const struct narrowings *narrowings, const Nb__State__Narrowings *state);

/**
 * Makes narrowings of what was kept; the tenant is charged as by restriction_add(), whatever its limits say now.
 * @param state   NULL: none
 * @param shared  of the session or the protocol, which often are the same; borrowed; NULL: none
 * @param ret     a reference, owned by the caller; NULL: nothing is narrowed
 * @return 0; -EBADMSG where they cannot be understood: then nothing may be done with what they narrow; -ENOMEM
 */
int restriction_restore(struct tenant *tenant, const Nb__State__Narrowings *state, const struct narrowings *shared,
                        struct narrowings **ret);

#endif
