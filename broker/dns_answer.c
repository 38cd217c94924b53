/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dns_answer.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

/* The five numbers at the end of a SOA's data (RFC 1035 section 3.3.13); the last is the TTL of "no" (RFC 2308 section 4). */
#define SOA_NUMBERS_SIZE 20

/* A message, and the name whose records count: the one that was asked for, or the last of its aliases. */
struct reading {
        ns_msg message;
        char name[NS_MAXDNAME];
        ns_type type;
        unsigned n_aliases;
        struct dns_answer *answer;
};

static int n_records(const struct reading *reading, ns_sect section) {
        int n = ns_msg_count(reading->message, section);

        return n < DNS_RECORDS_MAX ? n : DNS_RECORDS_MAX;
}

static void keep_least_ttl(struct dns_answer *answer, uint32_t ttl) {
        /* RFC 2181 section 8: with the topmost bit it is none. */
        if (ttl > INT32_MAX)
                ttl = 0;
        if (ttl < answer->ttl)
                answer->ttl = ttl;
}

static int follow_alias(struct reading *reading, const ns_rr *record) {
        if (++reading->n_aliases > DNS_ALIASES_MAX)
                return -EBADMSG;
        if (ns_name_uncompress(ns_msg_base(reading->message), ns_msg_end(reading->message), ns_rr_rdata(*record),
                               reading->name, sizeof(reading->name)) < 0)
                return -EBADMSG;
        keep_least_ttl(reading->answer, ns_rr_ttl(*record));
        return 1;
}

/* Follows the aliases in the order of the message. @return 1 if there were any; 0; -EBADMSG */
static int follow_aliases_once(struct reading *reading) {
        int followed = 0;

        for (int i = 0; i < n_records(reading, ns_s_an); ++i) {
                ns_rr record;

                if (ns_parserr(&reading->message, ns_s_an, i, &record) < 0)
                        return -EBADMSG;
                if (ns_rr_class(record) != ns_c_in || ns_rr_type(record) != ns_t_cname ||
                    strcasecmp(ns_rr_name(record), reading->name) != 0)
                        continue;
                followed = follow_alias(reading, &record);
                if (followed < 0)
                        return followed;
        }
        return followed;
}

/* Servers write aliases in their order; where one did not, the next walk finds them. */
static int follow_aliases(struct reading *reading) {
        int r;

        do
                r = follow_aliases_once(reading);
        while (r > 0);
        return r;
}

static bool has_address(const struct dns_answer *answer, const struct nb_ip *ip) {
        for (size_t i = 0; i < answer->n_addresses; ++i) {
                if (nb_ip_equal(&answer->addresses[i], ip))
                        return true;
        }
        return false;
}

static void take_address(struct reading *reading, const ns_rr *record) {
        struct dns_answer *answer = reading->answer;
        struct nb_ip ip = { .family = reading->type == ns_t_a ? AF_INET : AF_INET6 };
        size_t size = reading->type == ns_t_a ? 4 : 16;

        if (ns_rr_rdlen(*record) != size || answer->n_addresses == DNS_ADDRESSES_MAX)
                return;
        memcpy(ip.bytes, ns_rr_rdata(*record), size);
        keep_least_ttl(answer, ns_rr_ttl(*record));
        if (!has_address(answer, &ip))
                answer->addresses[answer->n_addresses++] = ip;
}

static int take_addresses(struct reading *reading) {
        for (int i = 0; i < n_records(reading, ns_s_an); ++i) {
                ns_rr record;

                if (ns_parserr(&reading->message, ns_s_an, i, &record) < 0)
                        return -EBADMSG;
                if (ns_rr_class(record) == ns_c_in && ns_rr_type(record) == reading->type &&
                    strcasecmp(ns_rr_name(record), reading->name) == 0)
                        take_address(reading, &record);
        }
        return reading->answer->n_addresses > 0 ? 0 : -ENODATA;
}

/* How long "no" holds: what the zone's SOA says, and not at all without one. */
static uint32_t ttl_of_no(struct reading *reading) {
        for (int i = 0; i < n_records(reading, ns_s_ns); ++i) {
                uint32_t ttl, minimum;
                ns_rr record;

                if (ns_parserr(&reading->message, ns_s_ns, i, &record) < 0)
                        return 0;
                if (ns_rr_type(record) != ns_t_soa || ns_rr_rdlen(record) < SOA_NUMBERS_SIZE)
                        continue;
                ttl = ns_rr_ttl(record);
                minimum = (uint32_t)ns_get32(ns_rr_rdata(record) + ns_rr_rdlen(record) - sizeof(uint32_t));
                return ttl < minimum ? ttl : minimum;
        }
        return 0;
}

static int read_answer(struct reading *reading) {
        int r;

        switch (ns_msg_getflag(reading->message, ns_f_rcode)) {
        case ns_r_noerror:
                r = follow_aliases(reading);
                return r < 0 ? r : take_addresses(reading);
        case ns_r_nxdomain:
                return -ENOENT;
        case ns_r_servfail:
        case ns_r_refused:
        case ns_r_notimpl:
                return -EAGAIN;
        default:
                return -EBADMSG;
        }
}

void dns_answer_parse(const uint8_t *message, size_t length, const char *name, sa_family_t family,
                      struct dns_answer *ret) {
        struct reading reading = { .type = family == AF_INET ? ns_t_a : ns_t_aaaa, .answer = ret };

        *ret = (struct dns_answer){ .error = -EBADMSG, .ttl = UINT32_MAX };
        if (length <= INT_MAX && strlen(name) < sizeof(reading.name) &&
            ns_initparse(message, (int)length, &reading.message) == 0) {
                memcpy(reading.name, name, strlen(name) + 1);
                ret->error = read_answer(&reading);
        }
        if (ret->error == -ENOENT || ret->error == -ENODATA)
                keep_least_ttl(ret, ttl_of_no(&reading));
        if (ret->error != 0)
                ret->n_addresses = 0;
        if (ret->ttl == UINT32_MAX)
                ret->ttl = 0;
}
