/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of several processes that tenants are dealt to (--shards): a broker as every other, but for where sessions and operators come from, which is the
 * front (broker/front.h), and for tenants of others, of which it knows the names.
 *
 * It believes the front that a session came by a tenant's own socket; who is at the other end it asks the kernel, and whether that tenant admits it, its policy. A
 * session for a tenant that it does not serve is refused as one for a tenant that does not exist.
 *
 * It ends when the front does. What is with its keeper it finds again when it is started again.
 */
#ifndef NB_BROKER_SHARD_H
#define NB_BROKER_SHARD_H

#include <stdint.h>

#include "broker/shard_exec.h"
#include "policy/policy.h"

struct broker;
struct restore;
struct shard;
struct shard_paths;

/** What its numbers of sessions and connections have in their upper bits is its own, so that no other shard has them: JSON's readers know 53. */
#define SHARD_ID_SHIFT 40

/**
 * Makes a broker a shard, before there is anything in it: with a share of what all may have, and numbers of its own.
 * @param place  whose descriptor is consumed, even on failure
 * @return owned by the caller; NULL without memory
 */
struct shard *shard_new(struct broker *broker, struct shard_place *place);

/** Takes NULL. @return NULL */
struct shard *shard_free(struct shard *shard);

/**
 * Waits until the front has told what is to be known before anything is served. To be called before the loop runs.
 * @return 0; -EPIPE when the front has ended
 */
int shard_begin(struct shard *shard);

/** Serves what the front sends, and says that it does. Errors are logged. @return 0 or -errno */
int shard_serve(struct shard *shard);

/** The longest path that this is for, with its NUL; what is longer than an address is refused when it is used. */
#define SHARD_PATH_MAX 128

/** Writes the path of what each process has of its own: the first one's, a dot and a number behind it. @return 0 or -ENAMETOOLONG */
int shard_path(const char *first, unsigned number, char ret[static SHARD_PATH_MAX]);

/** Notes that all shards have such a socket, which no rule reaches. @param what  borrowed for the broker's life @return 0, -ENAMETOOLONG or -ENOMEM */
int shard_note_sockets(struct shard *shard, const char *what, const char *first);

/**
 * Whether a policy gives a tenant to another shard of which this one has something still: connections outlive their tenant where nobody can end them. Two shards would count for it,
 * and neither exactly. Errors are logged.
 * @return 0 or -EBUSY
 */
int shard_check_left(const struct broker *broker, const struct policy *policy);

/** Which it is, from 1; 0 for NULL. */
unsigned shard_number(const struct shard *shard);

/**
 * The sockets that tenants of any shard have of their own (`Socket=`): no rule reaches them.
 * @param policy  with all tenants
 * @return owned by the caller, for shard_paths_free(); NULL without memory
 */
struct shard_paths *shard_paths_new(struct broker *broker, const struct policy *policy);

/** Takes NULL. @return NULL */
struct shard_paths *shard_paths_free(struct shard_paths *paths);

#endif
