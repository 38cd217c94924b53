/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name server that does what it is told, also what none should: on loopback, UDP and TCP on one port that the kernel chose.
 *
 * It serves from a thread of the test until it is stopped, and counts what it is asked. A name that it does not have does not exist.
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_FAKE_DNS_H
#define NB_TESTS_SUPPORT_FAKE_DNS_H

#include <stddef.h>
#include <stdint.h>

/** How a name is answered. */
enum fake_dns_way {
        FAKE_DNS_SILENT_IPV4 = 0x1, /* no answer to what is asked for IPv4 */
        FAKE_DNS_SILENT_IPV6 = 0x2,
        FAKE_DNS_SILENT = 0x3,
        FAKE_DNS_NONE = 0x4,       /* NXDOMAIN */
        FAKE_DNS_FAILS = 0x8,      /* SERVFAIL */
        FAKE_DNS_SOA = 0x10,       /* "no" comes with a SOA, whose minimum is the TTL */
        FAKE_DNS_TRUNCATED = 0x20, /* over UDP there is no room */
        FAKE_DNS_FORGED =
                0x40, /* before the answer comes one with a wrong id, and one from another port, with `forged` */
        FAKE_DNS_REBOUND = 0x80,  /* from the second question on the answer is `forged` */
        FAKE_DNS_MANY = 0x100,    /* behind the addresses come 1,000 more, 127.1.0.0 and following */
        FAKE_DNS_GARBAGE = 0x200, /* the right header, and noise */
        FAKE_DNS_STRAY = 0x400,   /* the addresses stand under another name */
        FAKE_DNS_HELD = 0x800,    /* answered when the test says so */
};

/** A name and what is said of it. */
struct fake_dns_name {
        const char *name;
        const char *ipv4;   /* addresses with spaces between, or NULL */
        const char *ipv6;   /* the same */
        const char *alias;  /* CNAMEs in a row, with spaces between; or NULL. The addresses are the last one's. */
        const char *forged; /* an IPv4 address */
        uint32_t ttl;
        unsigned ways;
};

struct fake_dns;

/** Starts it. @param names  borrowed until it is stopped @return owned by the caller */
struct fake_dns *fake_dns_start(const struct fake_dns_name *names, size_t n);

/** Stops it. @return NULL */
struct fake_dns *fake_dns_stop(struct fake_dns *dns);

/** Where it is, as `Resolvers=` has it. Borrowed. */
const char *fake_dns_address(const struct fake_dns *dns);

/** How often a name was asked, over both families. @param name  NULL: any */
unsigned fake_dns_count(struct fake_dns *dns, const char *name);

/** Waits until it was asked that often. */
void fake_dns_wait(struct fake_dns *dns, const char *name, unsigned n);

/** Answers what is held, and what comes from now on at once. */
void fake_dns_release(struct fake_dns *dns);

/** How many different ids and source ports the questions had. */
unsigned fake_dns_count_ids(struct fake_dns *dns);
unsigned fake_dns_count_ports(struct fake_dns *dns);

#endif
