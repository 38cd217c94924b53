/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that stand for names.
 *
 * Names are resolved by the broker, which judges them, and never by the guest: an address that was looked up here would hide from the
 * policy, and from TLS, what the program wanted. So getaddrinfo() gives each name an address out of ranges that no network routes,
 * and connect() to it tells the host the name. One number stands for one name as long as the program lives, in both families:
 *
 *     198.18.0.0/15 (RFC 2544, benchmarks), from 198.18.0.1
 *     100::/64 (RFC 6666, discard only), from 100::1
 *
 * When the smaller range is used up there are no more: a number that were given to another name while the program still holds it would
 * lead to the wrong peer.
 */
#ifndef NB_GUEST_POSIX_PLACEHOLDER_H
#define NB_GUEST_POSIX_PLACEHOLDER_H

#include <netinet/in.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>

/** How many numbers 198.18.0.0/15 has, without its first and its last. */
#define NB_POSIX_PLACEHOLDERS_MAX 131070

struct nb_posix_placeholders {
        char **names; /* by number - 1; owned */
        uint32_t n;
        uint32_t capacity;
        struct hsearch_data index; /* from a name to its number, as the pointer's value */
        bool indexed;
};

/** The number of a name. @param name  a host name, as it is to be told the host @return at least 1; 0: no memory, or no number is left */
uint32_t nb_posix_placeholder(const char *name);

/** The name of a number. @return borrowed for good; NULL: none has it */
const char *nb_posix_placeholder_name(uint32_t number);

struct in_addr nb_posix_placeholder_in(uint32_t number);
struct in6_addr nb_posix_placeholder_in6(uint32_t number);

/** The number that an address is, from 1; 0: it is an ordinary address, or nobody has the number. */
uint32_t nb_posix_placeholder_of_in(struct in_addr address);
uint32_t nb_posix_placeholder_of_in6(const struct in6_addr *address);

#endif
