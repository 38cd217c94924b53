/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a DNS message says, written here byte by byte: aliases, records of others, TTLs, and noise.
 */
#include <arpa/nameser.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/dns_answer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define NAME "a.example"
#define ROUNDS 20000

/* "a.example" in a question is at byte 12, and pointed to from there on. */
#define POINTER "\xc0\x0c"
#define NAME_WIRE "\001a\007example\000"
#define B_WIRE "\001b\007example\000"

struct message {
        uint8_t bytes[8192];
        size_t length;
};

static void put(struct message *message, const void *bytes, size_t length) {
        ck_assert_uint_le(message->length + length, sizeof(message->bytes));
        memcpy(message->bytes + message->length, bytes, length);
        message->length += length;
}

static void put16(struct message *message, unsigned value) {
        const uint8_t bytes[] = { (uint8_t)(value >> 8), (uint8_t)value };

        put(message, bytes, sizeof(bytes));
}

static void put32(struct message *message, uint32_t value) {
        put16(message, value >> 16);
        put16(message, value & 0xffff);
}

/* A header and a question for NAME. */
static void begin(struct message *message, unsigned code, unsigned n_answers, unsigned n_authority) {
        message->length = 0;
        put16(message, 1);
        put16(message, 0x8180 | code);
        put16(message, 1);
        put16(message, n_answers);
        put16(message, n_authority);
        put16(message, 0);
        put(message, NAME_WIRE, sizeof(NAME_WIRE) - 1);
        put16(message, ns_t_a);
        put16(message, ns_c_in);
}

static void put_record(struct message *message, const char *owner, size_t owner_length, unsigned type, uint32_t ttl,
                       const void *data, size_t length) {
        put(message, owner, owner_length);
        put16(message, type);
        put16(message, ns_c_in);
        put32(message, ttl);
        put16(message, (unsigned)length);
        put(message, data, length);
}

static void put_a(struct message *message, const char *owner, size_t owner_length, uint8_t number, uint32_t ttl) {
        const uint8_t bytes[] = { 192, 0, 2, number };

        put_record(message, owner, owner_length, ns_t_a, ttl, bytes, sizeof(bytes));
}

static void put_soa(struct message *message, uint32_t ttl, uint32_t minimum) {
        uint8_t data[22] = { 0 };

        for (size_t i = 0; i < 4; ++i)
                data[18 + i] = (uint8_t)(minimum >> (24 - 8 * i));
        put_record(message, POINTER, 2, ns_t_soa, ttl, data, sizeof(data));
}

#define PUT_A(message, owner, number, ttl) put_a((message), (owner), sizeof(owner) - 1, (number), (ttl))
#define PUT_ALIAS(message, owner, target, ttl)                                                                         \
        put_record((message), (owner), sizeof(owner) - 1, ns_t_cname, (ttl), (target), sizeof(target) - 1)

static struct dns_answer parse(const struct message *message) {
        struct dns_answer answer;

        dns_answer_parse(message->bytes, message->length, NAME, AF_INET, &answer);
        return answer;
}

START_TEST(addresses_in_their_order) {
        struct message message;
        struct dns_answer answer;

        begin(&message, ns_r_noerror, 4, 0);
        PUT_A(&message, POINTER, 7, 300);
        PUT_A(&message, "\001A\007eXample\000", 5, 200);
        PUT_A(&message, POINTER, 7, 400);
        PUT_A(&message, B_WIRE, 9, 1); /* another's */
        answer = parse(&message);
        ck_assert_int_eq(answer.error, 0);
        ck_assert_uint_eq(answer.n_addresses, 2);
        ck_assert_uint_eq(answer.addresses[0].bytes[3], 7);
        ck_assert_uint_eq(answer.addresses[1].bytes[3], 5);
        ck_assert_uint_eq(answer.ttl, 200);
}
END_TEST

START_TEST(more_than_are_kept) {
        struct message message;
        struct dns_answer answer;

        begin(&message, ns_r_noerror, 200, 0);
        for (unsigned i = 0; i < 200; ++i)
                PUT_A(&message, POINTER, (uint8_t)i, 300);
        answer = parse(&message);
        ck_assert_int_eq(answer.error, 0);
        ck_assert_uint_eq(answer.n_addresses, DNS_ADDRESSES_MAX);
        ck_assert_uint_eq(answer.addresses[DNS_ADDRESSES_MAX - 1].bytes[3], DNS_ADDRESSES_MAX - 1);
}
END_TEST

/* Also where the alias stands behind what it leads to. */
START_TEST(an_alias) {
        struct message message;
        struct dns_answer answer;

        begin(&message, ns_r_noerror, 3, 0);
        PUT_A(&message, POINTER, 1, 300); /* of the name itself, which has none: it is an alias */
        if (_i == 0)
                PUT_ALIAS(&message, POINTER, B_WIRE, 60);
        PUT_A(&message, B_WIRE, 2, 300);
        if (_i == 1)
                PUT_ALIAS(&message, POINTER, B_WIRE, 60);
        answer = parse(&message);
        ck_assert_int_eq(answer.error, 0);
        ck_assert_uint_eq(answer.n_addresses, 1);
        ck_assert_uint_eq(answer.addresses[0].bytes[3], 2);
        ck_assert_uint_eq(answer.ttl, 60);
}
END_TEST

START_TEST(aliases_without_an_end) {
        struct message message;

        begin(&message, ns_r_noerror, 2, 0);
        PUT_ALIAS(&message, POINTER, B_WIRE, 60);
        PUT_ALIAS(&message, B_WIRE, NAME_WIRE, 60);
        ck_assert_int_eq(parse(&message).error, -EBADMSG);
        begin(&message, ns_r_noerror, 1, 0);
        PUT_ALIAS(&message, POINTER, POINTER, 60);
        ck_assert_int_eq(parse(&message).error, -EBADMSG);
}
END_TEST

/* RFC 2308 section 5: the lesser of the SOA's TTL and its minimum. */
static const struct {
        unsigned code;
        bool has_soa;
        uint32_t ttl, minimum;
        int error;
        uint32_t expected;
} noes[] = {
        { ns_r_nxdomain, true, 60, 30, -ENOENT, 30 },
        { ns_r_nxdomain, true, 20, 30, -ENOENT, 20 },
        { ns_r_nxdomain, false, 0, 0, -ENOENT, 0 },
        { ns_r_noerror, true, 60, 30, -ENODATA, 30 },
        { ns_r_noerror, false, 0, 0, -ENODATA, 0 },
        { ns_r_noerror, true, UINT32_MAX, UINT32_MAX, -ENODATA, 0 }, /* RFC 2181 section 8 */
        { ns_r_servfail, true, 60, 30, -EAGAIN, 0 },
        { ns_r_refused, false, 0, 0, -EAGAIN, 0 },
        { ns_r_formerr, false, 0, 0, -EBADMSG, 0 },
};

START_TEST(no) {
        struct message message;
        struct dns_answer answer;

        begin(&message, noes[_i].code, 0, noes[_i].has_soa);
        if (noes[_i].has_soa)
                put_soa(&message, noes[_i].ttl, noes[_i].minimum);
        answer = parse(&message);
        ck_assert_int_eq(answer.error, noes[_i].error);
        ck_assert_uint_eq(answer.ttl, noes[_i].expected);
        ck_assert_uint_eq(answer.n_addresses, 0);
}
END_TEST

START_TEST(of_another_size_or_family) {
        struct message message;
        struct dns_answer answer;

        begin(&message, ns_r_noerror, 2, 0);
        put_record(&message, POINTER, 2, ns_t_a, 60, "\1\2\3\4\5", 5);
        put_record(&message, POINTER, 2, ns_t_aaaa, 60, "\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10", 16);
        ck_assert_int_eq(parse(&message).error, -ENODATA);
        dns_answer_parse(message.bytes, message.length, NAME, AF_INET6, &answer);
        ck_assert_int_eq(answer.error, 0);
        ck_assert_uint_eq(answer.addresses[0].bytes[15], 8);
}
END_TEST

/* Cut anywhere, an answer is none, or "no", or says less; changed anywhere, it is read within its bounds (sanitizers look on). */
START_TEST(noise) {
        struct message message, changed;
        uint64_t state = 4;

        begin(&message, ns_r_noerror, 3, 1);
        PUT_ALIAS(&message, POINTER, B_WIRE, 60);
        PUT_A(&message, B_WIRE, 2, 300);
        PUT_A(&message, B_WIRE, 3, 300);
        put_soa(&message, 60, 60);
        for (size_t length = 0; length < message.length; ++length) {
                uint8_t *exact = malloc(length + 1);
                struct dns_answer answer;

                ck_assert_ptr_nonnull(exact);
                memcpy(exact, message.bytes, length);
                dns_answer_parse(exact, length, NAME, AF_INET, &answer);
                ck_assert_int_ne(answer.error, 0);
                free(exact);
        }
        for (int i = 0; i < ROUNDS; ++i) {
                struct dns_answer answer;

                changed = message;
                for (int j = 0; j < 3; ++j)
                        changed.bytes[next_random(&state) % changed.length] = (uint8_t)next_random(&state);
                dns_answer_parse(changed.bytes, changed.length, NAME, AF_INET, &answer);
                ck_assert_uint_le(answer.n_addresses, DNS_ADDRESSES_MAX);
                ck_assert((answer.error == 0) == (answer.n_addresses > 0));
        }
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("dns_answer");
        TCase *tcase = tcase_create("dns_answer");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, addresses_in_their_order);
        tcase_add_test(tcase, more_than_are_kept);
        tcase_add_loop_test(tcase, an_alias, 0, 2);
        tcase_add_test(tcase, aliases_without_an_end);
        tcase_add_loop_test(tcase, no, 0, sizeof(noes) / sizeof(noes[0]));
        tcase_add_test(tcase, of_another_size_or_family);
        tcase_add_test(tcase, noise);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
