/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several processes say of themselves, put together as one process would say it.
 *
 *      numbers      their sum
 *      true, false  what all are; "starts_programs", what one is, and so "all", of draining: the front refuses for all shards, a shard for its own
 *      texts        the first's; "ready" only where all are
 *      arrays       the first's, and of the others what is not in it
 *      null         another's
 */
#ifndef NB_CTL_MERGE_H
#define NB_CTL_MERGE_H

#include <jansson.h>

/**
 * Adds what another says. Of the members of both, those that are objects are put together member by member.
 * @param into   changed
 * @param names  of the members that are, up to a NULL
 */
void merge_into(json_t *into, const json_t *other, const char *const *names);

#endif
