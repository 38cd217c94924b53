/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant's relays, as the broker sees them: processes that carry bytes where these must be transformed or kept from the guest's host.
 *
 * A relay is started when the tenant first needs one, by a connect to systemd's socket (--relay-socket) or by fork and exec (--relay-program), and it
 * stays until the tenant is gone. With `Relays=` there are several, and each object goes to the one with the fewest. All that the broker says to a
 * relay is an order, all that comes back is a report (proto/RELAY.md), and reports are read as a stranger's are: a relay has spoken with hostile
 * peers. What does not fit the state of the object that it names ends the relay.
 *
 *      pool ─ relay ─ objects by number: links (broker/relayed.h), servers of datagrams and of QUIC (broker/relay_server.h)
 *                  └ contexts: what of the policy it has been sent (broker/relay_context.h)
 *
 * Streams of QUIC are descriptors that a relay sends to guests' hosts itself. The kernel counts those that were not received yet by user, for all processes of
 * his together, and refuses more than RLIMIT_NOFILE of them (unix(7)): a relay that the broker forks has the broker's user. So each gets a share of what all
 * relays may have under way (Setup.in_flight_max, ACCOUNT_STREAMS): a quarter of what is left for its tenant, so that some is left for the next. A relay that
 * was taken over does not keep to it; where that must not cost others, relays are systemd's, with a user each (--relay-socket).
 *
 * Relays of systemd's outlive the broker: the keeper has a duplicate of the channel (broker/keep.h), and the broker that comes next takes it over. It asks what the
 * relay has (broker/relay_stock.h), and what it may order meanwhile is behind that in the channel:
 *
 *      running ──broker gone──► its connections go on; who is new waits ──relay_restore(), Inventory──► Stock ──► running
 *                                                                                  └──no answer, or nonsense──► ended
 *
 * When a relay ends, for whatever reason, its objects are told (`lost`), the cause is logged, and the next object starts another: at once the
 * first time, and then after a pause that doubles from 100 ms to 10 s while relays keep ending within a minute. So a peer that can crash
 * one costs its own tenant only.
 *
 * Its files, and what they share, are told in broker/relay_parts.h.
 */
#ifndef NB_BROKER_RELAY_H
#define NB_BROKER_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "proto/relay_frame.h"

struct broker;
struct kept_item;
struct relay;
struct relay_object;
struct relay_pool;
struct tenant;

struct relay_object_ops {
        /**
         * Takes a report that names the object.
         * @return 0; -EPROTO for one that does not fit its state: the relay is ended
         */
        int (*report)(struct relay_object *object, const Nb__Relay__Report *report);
        /**
         * Takes what the relay tells of a connection of QUIC, or of a server, for operators. NULL: the object is none.
         * @return 0; -EPROTO as `report`
         */
        int (*facts)(struct relay_object *object, const Nb__Relay__QuicFacts *facts);
        int (*server_facts)(struct relay_object *object, const Nb__Relay__QuicServerFacts *facts);
        /** Its relay is gone; the object is detached already. @param why  a sentence's part, for the audit */
        void (*lost)(struct relay_object *object, const char *why);
};

/** Whatever has a number at a relay. Embedded in its owner. */
struct relay_object {
        const struct relay_object_ops *ops;
        struct relay *relay; /* borrowed; NULL: detached */
        uint64_t number;     /* unique over the life of the broker and of those after it that take its relays over */
        bool is_awaited;     /* it came back, and its relay has not said yet that it has it */
        struct relay_object *next_in_bucket;
        struct nb_list in_relay;
};

/**
 * Gives an object a number at one of the tenant's relays, and starts one where none is there.
 * @return 0; -EAGAIN while a relay that has crashed is not started again yet; another -errno of starting one, which is logged
 */
int relay_attach(struct relay_object *object, const struct relay_object_ops *ops, struct tenant *tenant);

/**
 * Gives an object a number at the relay of another one, which is attached. It has no ops: it is to be passed on, or detached, before the loop runs.
 * @return 0 or -ENOMEM; -ENOTCONN when the other one is detached
 */
int relay_attach_beside(struct relay_object *object, const struct relay_object *other);

/**
 * Whether relay_attach() can have a relay, for who is about to make something that needs one.
 * @return 0; -EAGAIN as relay_attach()
 */
int relay_check_there(const struct tenant *tenant);

/** Takes its number back; reports that still come for it are dropped. Harmless where it is detached. The last one of a broker that waits for it ends the broker. */
void relay_detach(struct relay_object *object);

/** Gives an attached object's number to another one, which is detached; the first is detached then. */
void relay_pass_on(struct relay_object *object, struct relay_object *successor, const struct relay_object_ops *ops);

/**
 * Whether its relay takes orders: it has started, what it has is known, and none waits for it. Then nobody need wait for its word where nothing else is
 * to be waited for. @return false for a detached object
 */
bool relay_takes_orders(const struct relay_object *object);

/**
 * Sends an order of an attached object; what the channel cannot take at once waits in a queue.
 * @param fds  borrowed
 * @return 0; -ENOTCONN for a detached one; -EAGAIN when too much waits already, or too many descriptors are in flight: nothing was sent
 */
int relay_order(struct relay_object *object, const Nb__Relay__Order *order, const int *fds, size_t n_fds);

/**
 * Sends End, for an object that its relay was told of and is to drop. It may always wait in the queue, so it is to be said once.
 * @return 0; -ENOTCONN for a detached object, which is harmless; another -errno: there was no memory to have it wait
 */
int relay_order_end(struct relay_object *object);

/** By which number its relay is known to a broker that takes it over. @return 0 for a detached object, and for a relay that ends with the broker */
uint64_t relay_kept_number(const struct relay_object *object);

/**
 * Attaches an object that came back with its number, to the relay that had it.
 * @param relay   as relay_kept_number() was @param number  of the object
 * @return 0; -ENOENT: that relay has not come back; -EEXIST for a number that another object has; -ENOMEM
 */
int relay_reattach(struct relay_object *object, const struct relay_object_ops *ops, const struct tenant *tenant,
                   uint64_t relay, uint64_t number);

/**
 * Takes a relay back that an earlier broker has left, and asks what it has.
 * @param item  whose descriptor is taken
 * @return 0; -EPROTO for one that is none; another -errno
 */
int relay_restore(struct broker *broker, struct kept_item *item);

/** Takes back what all relays of a tenant have in common. @param item  of kind Tenant @return 0; -EPROTO; -EEXIST for a second one; -ENOMEM */
int relay_pool_restore(struct broker *broker, struct kept_item *item);

/** What a relay has said of itself, for `netbrokerctl status`. */
struct relay_facts {
        pid_t pid;         /* 0: systemd has started it */
        uint64_t since_ms; /* of the wall clock */
        bool is_started;
        bool is_kept; /* it outlives the broker */
        bool locked_memory;
        bool kernel_tls;
        uint64_t n_objects;
        const char *missing_walls; /* what its kernel lacks, escaped, joined by commas; "" for nothing. Borrowed */
};

/** Tells of the relay that an attached object is at. */
void relay_facts_of(const struct relay_object *object, struct relay_facts *ret);

/** Calls the function for each of a tenant's relays. @param pool  NULL: there are none */
void relay_pool_each(const struct relay_pool *pool, void (*function)(void *data, const struct relay_facts *facts),
                     void *data);

/** How many objects the tenant's relays have, together. @param pool  NULL: none */
size_t relay_pool_objects(const struct relay_pool *pool);

/** Whether orders wait until the tenant's relays read: they are lost with the broker. @param pool  NULL: none */
bool relay_pool_waits_to_send(const struct relay_pool *pool);

/** How many relays of the tenant have ended by themselves. @param pool  may be NULL */
uint64_t relay_pool_crashes(const struct relay_pool *pool);

/** Whether they keep ending, so that the next is started after a pause only. @param pool  may be NULL */
bool relay_pool_is_crashing(const struct relay_pool *pool);

/**
 * Sends a context, unless the object's relay has it; for broker/relay_context.c.
 * @param order  a Context
 * @param fds    borrowed
 * @return as relay_order()
 */
int relay_order_context(struct relay_object *object, const Nb__Relay__Order *order, const int *fds, size_t n_fds);

/** Has a tenant's relays forget all contexts with lower ids: their policy was replaced. @param pool  may be NULL */
void relay_pool_drop_contexts(struct relay_pool *pool, uint32_t first_id);

/** Frees a tenant's relays and ends them; its objects must be detached. Takes NULL. @return NULL */
struct relay_pool *relay_pool_free(struct relay_pool *pool);

#endif
