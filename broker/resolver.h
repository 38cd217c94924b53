/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names into addresses: a resolver of each tenant's own, by c-ares, with a cache.
 *
 * One a tenant, so that no tenant learns from another's cache what that one has asked, and so that each may have name servers of its own
 * (`Resolvers=`). A name is complete as it stands: there is no search list. Positive answers live for their TTL, negative ones for that of
 * the SOA (RFC 2308), both within bounds; a look-up has a deadline, an answer a greatest number of addresses, and a tenant a greatest number
 * of look-ups under way (ACCOUNT_LOOKUPS). Equal questions at the same time are one.
 *
 * Where `Resolvers=` is silent, hosts(5) is asked first and then the system's name servers, as resolv.conf(5) has them at that moment.
 * `localhost` and what is below it is loopback and never asked (RFC 6761 section 6.3).
 *
 * Both families are asked at the same time. When one has addresses and the other is silent, what is there is given out after a moment (RFC 8305
 * section 3), and the rest goes into the cache when it comes.
 *
 * Nothing is judged here: what comes out is what DNS says, and every address is still to be screened.
 */
#ifndef NB_BROKER_RESOLVER_H
#define NB_BROKER_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "policy/policy.h"

/** More addresses of one name than this are not used. */
#define RESOLVER_ADDRESSES_MAX 16

struct lookup;
struct resolver;
struct tenant;

/** What a look-up came to. */
struct resolver_answer {
        int error; /* 0; or a negative errno of the list at resolver_lookup() */
        struct nb_ip addresses
                [RESOLVER_ADDRESSES_MAX]; /* without duplicates; families in turn, IPv6 first, each in the order of DNS */
        size_t n_addresses;
        uint32_t ttl; /* of what is left of it, in seconds */
};

/** Called once, never from inside resolver_lookup(). The look-up is over: do not free it. */
typedef void (*lookup_function)(void *data, const struct resolver_answer *answer);

/** @return the resolver of a tenant, with the name servers of its policy; NULL without memory (errno is set). Owned by the caller. */
struct resolver *resolver_new(struct tenant *tenant);

/** @return the tenant's resolver, made on first use; NULL without memory. Borrowed from the tenant. */
struct resolver *resolver_of(struct tenant *tenant);

/** Ends all look-ups with -ECANCELED; the functions that are called may begin none. Takes NULL. @return NULL */
struct resolver *resolver_free(struct resolver *resolver);

/** Takes the tenant's new policy: with other name servers the cache is emptied, and what is under way is asked of the new ones. */
void resolver_policy_changed(struct resolver *resolver);

/**
 * Resolves a name to the addresses of the families that a protocol has.
 *
 * The answer's error is -ENOENT where there is no such name, -ENODATA where it has no address of these families, -EAGAIN where the name
 * servers do not answer or say that they fail, -ETIMEDOUT at the deadline, -EBADMSG for an answer that is none.
 * @param name        lower-case A-labels; borrowed
 * @param timeout_ms  the deadline
 * @param ret_answer  filled in if the answer is in the cache
 * @param ret_lookup  otherwise; owned by the caller until the function was called
 * @return 1 with an answer; 0 with a look-up; -EAGAIN when as many are under way as may be; -ENOBUFS or -ENOMEM for want of memory
 */
int resolver_lookup(struct resolver *resolver, const char *name, enum policy_family family, uint64_t timeout_ms,
                    lookup_function function, void *data, struct resolver_answer *ret_answer,
                    struct lookup **ret_lookup);

/** Gives up. Takes NULL. @return NULL */
struct lookup *lookup_free(struct lookup *lookup);

#endif
