/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front of a broker that has several processes (--shards): it owns what all have in common, and serves no tenant.
 *
 *      front ─ listeners, half-open sessions, the admin socket, signals, the service manager     as in a broker of one process, by the same code
 *            └ links, one a shard (broker/shard.h): a channel, on which sessions go over
 *            └ its spawner (broker/spawner.h): starts shards
 *
 * A session is accepted here, who it is is found out, and its Hello is read and decoded, within the limits of every broker. Which tenant that
 * means decides the shard: only its own shard has that tenant, finds out anew who is at the other end, and judges. So the front routes and does not decide, with
 * one exception: by which of the tenants' own sockets (Socket=) a session came the shard is told. Nothing of a later request passes the front.
 *
 *      a link    down ──Start──► starting ──Ready──► ready
 *                 ▲ after a while    │ its channel ends  │
 *                 └──────────────────┴───────────────────┘
 *
 * One that is ready is asked every few seconds whether it is alive. One that does not answer several times in a row is given up, and its spawner kills it
 * before it starts the next.
 *
 * What a shard cannot take at once is parked, with its session, until it can, or until Hello's time is over: who comes while a shard is started again waits. A shard that ends takes
 * only its tenants' sessions with it, and with a keeper none. If the front ends, all end.
 */
#ifndef NB_BROKER_FRONT_H
#define NB_BROKER_FRONT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/policy.h"
#include "proto/netbroker.pb-c.h"

struct broker;
struct front;
struct front_parked;
struct session;

/**
 * Makes the front of a broker, without shards.
 * @param spawner_fd  the spawner's channel; consumed, even on failure
 * @return owned by the caller; NULL without memory
 */
struct front *front_new(struct broker *broker, unsigned n_shards, int spawner_fd);

/**
 * Starts all shards and waits until they are ready. To be called before the loop runs, when all sockets of the broker's own are there. Errors are logged.
 * @return 0; -ECHILD when one has ended before it was ready; another -errno
 */
int front_start(struct front *front);

/** Ends the shards, and waits for that, for some seconds at most. Takes NULL. @return NULL */
struct front *front_free(struct front *front);

/** Whether it serves no longer, for the spawner has ended: a status for main(). @param front  may be NULL */
bool front_has_failed(const struct front *front);

/**
 * Gives a session to the shard of a tenant, with its Hello. It is gone from here when this returns, or parked.
 * @return as a request's function of an endpoint
 */
int front_hand_over(struct front *front, struct session *session, const Nb__Request *hello,
                    const struct policy_tenant *tenant);

/** Forgets what is parked of a session that ends. Takes NULL. @return NULL */
struct front_parked *front_unpark(struct front_parked *parked);

/**
 * Has all shards prepare the policy that stands in the files now, and waits for them. Errors are logged.
 * @param policy  what the front has read of it
 * @param digest  of that
 * @return 0, and front_apply() is to be called; -errno, and no shard has changed anything
 */
int front_prepare(struct front *front, const struct policy *policy, uint64_t digest);

/** Has all shards put in force what they have prepared, and waits for that. One that cannot ends, and is started again with it. */
void front_apply(struct front *front);

/** Has all shards open the audit's file again. */
void front_rotated(struct front *front);

/** @return how many shards there are; 0 for NULL */
unsigned front_n_shards(const struct front *front);

#endif
