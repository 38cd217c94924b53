/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a DNS message says of one name and one family of addresses.
 *
 * Messages come from whoever answers, so everything in them is bounded: the records that are looked at, the aliases that are followed, the
 * addresses that are kept. Only what stands under the name that was asked for, or under the one that its aliases (CNAME) end at, counts;
 * other records of a message say nothing. The message itself is taken apart by the C library (ns_initparse(3)).
 *
 * Pure: bytes in, an answer out.
 */
#ifndef NB_BROKER_DNS_ANSWER_H
#define NB_BROKER_DNS_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/** More addresses of one name and family than this are not used. */
#define DNS_ADDRESSES_MAX 16

/** The most aliases in a row; more are taken for a loop. */
#define DNS_ALIASES_MAX 8

/** More records of one section than this are not looked at. */
#define DNS_RECORDS_MAX 1024

struct dns_answer {
        int error;                                 /* 0; or a negative errno of the list at dns_answer_parse() */
        struct nb_ip addresses[DNS_ADDRESSES_MAX]; /* in the order of the message, without duplicates */
        size_t n_addresses;
        uint32_t ttl; /* in seconds, as the message says; of "no", that of its SOA (RFC 2308 section 5), or 0 */
};

/**
 * Reads an answer.
 *
 * Its error is -ENOENT where there is no such name, -ENODATA where it has no address of the family, -EAGAIN where the server says that it fails,
 * and -EBADMSG for what is no answer, or aliases without an end.
 * @param name    lower-case A-labels, borrowed
 * @param family  AF_INET or AF_INET6
 * @param ret     always filled in
 */
void dns_answer_parse(const uint8_t *message, size_t length, const char *name, sa_family_t family,
                      struct dns_answer *ret);

#endif
