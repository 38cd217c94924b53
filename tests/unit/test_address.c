/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "tests/support/runner.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* What random addresses a run of the round trip tries. */
#define ROUND_TRIPS 20000

static struct nb_ip ip_of(const char *text) {
        struct nb_ip ip;

        ck_assert_msg(nb_ip_parse(text, strlen(text), &ip) == 0, "%s", text);
        return ip;
}

static struct nb_prefix prefix_of(const char *text, uint8_t length) {
        return (struct nb_prefix){ .ip = ip_of(text), .length = length };
}

/* What parses, and how it prints. */
static const struct {
        const char *text;
        const char *canonical;
} good_addresses[] = {
        { "127.0.0.1:80", "127.0.0.1:80" },
        { "0.0.0.0:0", "0.0.0.0:0" },
        { "255.255.255.255:65535", "255.255.255.255:65535" },
        { "[::1]:8080", "[::1]:8080" },
        { "[::]:0", "[::]:0" },
        { "[2001:DB8:0:0:0:0:0:1]:443", "[2001:db8::1]:443" },
        { "[2001:db8:0:1:1:1:1:1]:443", "[2001:db8:0:1:1:1:1:1]:443" }, /* RFC 5952 4.2.2: not one group */
        { "[2001:0:0:1:0:0:0:1]:443", "[2001:0:0:1::1]:443" },          /* 4.2.3: the longest run */
        { "[2001:db8:0:0:1:0:0:1]:443", "[2001:db8::1:0:0:1]:443" },    /* 4.2.3: the first of equal ones */
        { "[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1" },
        { "[::ffff:c000:201]:1", "[::ffff:192.0.2.1]:1" },
        { "[64:ff9b::192.0.2.1]:1", "[64:ff9b::c000:201]:1" },
        { "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
};

START_TEST(address_prints_canonically) {
        const char *text = good_addresses[_i].text;
        struct nb_address address, again;
        char buffer[NB_ADDRESS_TEXT_MAX];

        ck_assert_int_eq(nb_address_parse(text, strlen(text), &address), 0);
        ck_assert_str_eq(nb_address_format(&address, buffer), good_addresses[_i].canonical);
        ck_assert_int_eq(nb_address_parse(buffer, strlen(buffer), &again), 0);
        ck_assert(nb_address_equal(&address, &again));
}
END_TEST

/* Abuse cases 15, 18 and 19 are among these. */
static const char *const bad_addresses[] = {
        "",
        ":",
        ":80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.1:80",
        "127.0.1:80",
        "2130706433:80",
        "0x7f000001:80",
        "0x7f.0.0.1:80",
        "0177.0.0.1:80",
        "127.0.0.01:80",
        "00.0.0.0:80",
        "127.0.0.256:80",
        "127.0.0.1.:80",
        ".127.0.0.1:80",
        "127..0.1:80",
        "1.2.3.4.5:80",
        "1.2.3.:80",
        " 127.0.0.1:80",
        "127.0.0.1 :80",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        "127.0.0.1 x:80",
        "127.0.0.1:80\n",
        "127.0.0.1:+443",
        "127.0.0.1:443x",
        "127.0.0.1:0x50",
        "127.0.0.1:080",
        "127.0.0.1:00",
        "127.0.0.1:65536",
        "127.0.0.1:99999",
        "127.0.0.1:4294967376",
        "127.0.0.1:-1",
        "127.0.0.1:*",
        "127.0.0.1:80:80",
        "127.0.0.1/8:80",
        "[127.0.0.1]:80",
        "[evil.com]:80",
        "[]:80",
        "[:80",
        "]:80",
        "[::1]",
        "[::1]80",
        "[::1]]:80",
        "[[::1]]:80",
        "[::1:80",
        "::1]:80",
        "::1:80",
        "::1",
        "[::1%lo]:80",
        "[fe80::1%1]:80",
        "[::1 ]:80",
        "[ ::1]:80",
        "[:::1]:80",
        "[1::2::3]:80",
        "[12345::]:80",
        "[1:2:3:4:5:6:7]:80",
        "[1:2:3:4:5:6:7:8:9]:80",
        "[::ffff:127.1]:80",
        "[::ffff:0127.0.0.1]:80",
        "[::ffff:1.2.3.4.5]:80",
        "[1.2.3.4::]:80",
        "[::g]:80",
        "[::1/128]:80",
        "evil.com:80",
        "localhost:80",
        "face:80",
        "\xd9\xa1\xd9\xa2.0.0.1:80", /* Arabic digits */
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80",
};

START_TEST(abuse_15_18_19_what_is_not_an_address) {
        const char *text = bad_addresses[_i];
        struct nb_address address, before;

        memset(&address, 0x5a, sizeof(address));
        before = address;
        ck_assert_msg(nb_address_parse(text, strlen(text), &address) == -EINVAL, "\"%s\"", text);
        ck_assert_msg(memcmp(&address, &before, sizeof(address)) == 0, "\"%s\" touched the result", text);
}
END_TEST

START_TEST(nul_in_the_middle) {
        static const char inside[] = "127.0.0.1\0.evil.com:80";
        static const char behind[] = "127.0.0.1:80\0x";
        static const char in_brackets[] = "[::1\0]:80";
        struct nb_address address;
        uint16_t port;

        ck_assert_int_eq(nb_address_parse(inside, sizeof(inside) - 1, &address), -EINVAL);
        ck_assert_int_eq(nb_address_parse(behind, sizeof(behind) - 1, &address), -EINVAL);
        ck_assert_int_eq(nb_address_parse(in_brackets, sizeof(in_brackets) - 1, &address), -EINVAL);
        ck_assert_int_eq(nb_port_parse("8\0", 2, &port), -EINVAL);
}
END_TEST

START_TEST(length_is_respected) {
        struct nb_ip ip;
        char buffer[NB_ADDRESS_TEXT_MAX];

        ck_assert_int_eq(nb_ip_parse("192.0.2.123", 10, &ip), 0);
        ck_assert_str_eq(nb_ip_format(&ip, buffer), "192.0.2.12");
        ck_assert_int_eq(nb_ip_parse(NULL, 0, &ip), -EINVAL);
}
END_TEST

/** A xorshift generator: the same addresses in each run. */
static uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

START_TEST(round_trip) {
        uint64_t state = 0x9e3779b97f4a7c15;

        for (int i = 0; i < ROUND_TRIPS; ++i) {
                struct nb_address address = { .ip.family = i % 2 ? AF_INET : AF_INET6 }, again, from;
                struct sockaddr_storage storage;
                char buffer[NB_ADDRESS_TEXT_MAX];
                socklen_t length;

                for (int b = 0; b < (i % 2 ? 4 : 16); ++b)
                        if (next_random(&state) & 2) /* many zeros, for the sake of :: */
                                address.ip.bytes[b] = (uint8_t)(next_random(&state) >> 8);
                address.port = (uint16_t)next_random(&state);

                nb_address_format(&address, buffer);
                ck_assert_msg(nb_address_parse(buffer, strlen(buffer), &again) == 0, "%s", buffer);
                ck_assert_msg(memcmp(&address, &again, sizeof(address)) == 0, "%s", buffer);

                length = nb_address_to_sockaddr(&address, &storage);
                ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&storage, length, &from), 0);
                ck_assert(nb_address_equal(&address, &from));
        }
}
END_TEST

START_TEST(sockaddr_of_a_wrong_shape) {
        struct sockaddr_storage storage = { .ss_family = AF_INET };
        struct sockaddr *sa = (struct sockaddr *)&storage;
        struct nb_address address;

        ck_assert_int_eq(nb_address_from_sockaddr(sa, sizeof(struct sockaddr_in) - 1, &address), -EINVAL);
        ck_assert_int_eq(nb_address_from_sockaddr(sa, sizeof(struct sockaddr_in6), &address), -EINVAL);
        ck_assert_int_eq(nb_address_from_sockaddr(sa, 0, &address), -EINVAL);
        storage.ss_family = AF_INET6;
        ck_assert_int_eq(nb_address_from_sockaddr(sa, sizeof(struct sockaddr_in), &address), -EINVAL);
        storage.ss_family = AF_UNIX;
        ck_assert_int_eq(nb_address_from_sockaddr(sa, sizeof(storage), &address), -EAFNOSUPPORT);
        storage.ss_family = AF_UNSPEC;
        ck_assert_int_eq(nb_address_from_sockaddr(sa, sizeof(struct sockaddr_in), &address), -EAFNOSUPPORT);
}
END_TEST

/* An IPv6 address and the IPv4 one in it; NULL where there is none. */
static const struct {
        const char *ipv6;
        const char *ipv4;
} embedded[] = {
        { "::ffff:169.254.169.254", "169.254.169.254" },
        { "::7f00:1", "127.0.0.1" },
        { "::2", "0.0.0.2" },
        { "::1", NULL },
        { "::", NULL },
        { "64:ff9b::a9fe:a9fe", "169.254.169.254" },
        { "64:ff9b::", "0.0.0.0" },
        { "64:ff9b:0:0:0:1::", NULL },
        { "64:ff9b:1::7f00:1", "127.0.0.1" },
        { "64:ff9b:1:2:3:4:7f00:1", "127.0.0.1" },
        { "64:ff9b:2::7f00:1", NULL },
        { "2002:7f00:1::", "127.0.0.1" },
        { "2002:a9fe:a9fe:1::1", "169.254.169.254" },
        { "2003:7f00:1::", NULL },
        { "2001:0:4136:e378:8000:63bf:80ff:fffe", "127.0.0.1" },
        { "2001:1::80ff:fffe", NULL },
        { "2001:db8::7f00:1", NULL },
        { "::fffe:7f00:1", NULL },
        { "::ffff:0:127.0.0.1", "127.0.0.1" }, /* IPv4-translated */
        { "::ffff:0:0:0", "0.0.0.0" },
        { "::ffff:1:7f00:1", NULL },
        { "0:0:0:1:ffff:0:7f00:1", NULL },
        { "2606:4700::5efe:127.0.0.1", "127.0.0.1" }, /* ISATAP */
        { "2606:4700:1:2:200:5efe:a9fe:a9fe", "169.254.169.254" },
        { "fe80::5efe:10.0.0.1", "10.0.0.1" },
        { "::5efe:10.0.0.1", "10.0.0.1" },
        { "2606:4700::100:5efe:7f00:1", NULL },
        { "2606:4700::5eff:7f00:1", NULL },
        { "2606:4700::5efe:7f00:1:0", NULL },
        { "2002:808:808::5efe:7f00:1", "8.8.8.8" }, /* the prefix decides the route */
        { "64:ff9b:1::5efe:7f00:1", "127.0.0.1" },
        { "127.0.0.1", NULL },
};

START_TEST(abuse_12_13_ipv4_inside_ipv6) {
        struct nb_ip ip = ip_of(embedded[_i].ipv6), found = { .family = AF_UNIX }, wanted;
        bool has = nb_ip_embedded_ipv4(&ip, &found);

        ck_assert_msg(has == (embedded[_i].ipv4 != NULL), "%s", embedded[_i].ipv6);
        if (!has) {
                ck_assert_int_eq(found.family, AF_UNIX);
                return;
        }
        wanted = ip_of(embedded[_i].ipv4);
        ck_assert_msg(nb_ip_equal(&found, &wanted), "%s", embedded[_i].ipv6);
}
END_TEST

/* Whether all of a prefix carries IPv4 addresses. */
static const struct {
        const char *network;
        uint8_t length;
        bool embeds;
} embedding_prefixes[] = {
        { "2002::", 16, true },
        { "2002::", 15, false },
        { "2002:7f00:1::", 48, true },
        { "64:ff9b::", 96, true },
        { "64:ff9b::", 95, false },
        { "64:ff9b::", 47, false }, /* both its ends carry one, and what is between does not */
        { "64:ff9b:1::", 48, true },
        { "::ffff:0:0:0", 96, true },
        { "::ffff:0:0:0", 95, false },
        { "::", 96, false }, /* :: and ::1 are their own */
        { "::2", 127, true },
        { "::1", 128, false },
        { "2606:4700::5efe:0:0", 96, true },
        { "2606:4700::5efe:0:0", 95, false },
        { "2606:4700::200:5efe:a00:1", 128, true },
        { "2606:4700::", 64, false },
        { "::", 0, false },
        { "10.0.0.0", 8, false },
};

START_TEST(abuse_12_13_prefixes_of_ipv4_inside_ipv6) {
        struct nb_prefix prefix = prefix_of(embedding_prefixes[_i].network, embedding_prefixes[_i].length);

        ck_assert_msg(nb_prefix_embeds_ipv4(&prefix) == embedding_prefixes[_i].embeds, "%s/%u",
                      embedding_prefixes[_i].network, embedding_prefixes[_i].length);
}
END_TEST

START_TEST(unmap_is_for_mapped_ones_only) {
        struct nb_ip mapped = ip_of("::ffff:192.0.2.1"), nat64 = ip_of("64:ff9b::c000:201"), ipv4 = ip_of("192.0.2.1");
        struct nb_ip before = nat64;

        nb_ip_unmap(&mapped);
        nb_ip_unmap(&nat64);
        ck_assert(memcmp(&mapped, &ipv4, sizeof(mapped)) == 0); /* and the bytes behind are zeros */
        ck_assert(nb_ip_equal(&nat64, &before));
        nb_ip_unmap(&ipv4);
        ck_assert(nb_ip_equal(&ipv4, &mapped));
}
END_TEST

START_TEST(unspecified) {
        struct nb_ip zeros[] = { ip_of("0.0.0.0"), ip_of("::") };
        struct nb_ip others[] = { ip_of("0.0.0.1"), ip_of("::1"), ip_of("::ffff:0.0.0.0") };

        for (size_t i = 0; i < ELEMENTS(zeros); ++i)
                ck_assert(nb_ip_is_unspecified(&zeros[i]));
        for (size_t i = 0; i < ELEMENTS(others); ++i)
                ck_assert(!nb_ip_is_unspecified(&others[i]));
        ck_assert(!nb_ip_equal(&zeros[0], &zeros[1]));
}
END_TEST

static const struct {
        const char *network;
        uint8_t length;
        const char *ip;
        bool contains;
} prefixes[] = {
        { "10.0.0.0", 8, "10.255.255.255", true },
        { "10.0.0.0", 8, "11.0.0.0", false },
        { "0.0.0.0", 0, "255.1.2.3", true },
        { "0.0.0.0", 0, "::1", false },
        { "::", 0, "::ffff:1.2.3.4", true },
        { "::", 0, "1.2.3.4", false },
        { "192.0.2.128", 25, "192.0.2.128", true },
        { "192.0.2.128", 25, "192.0.2.127", false },
        { "192.0.2.1", 32, "192.0.2.1", true },
        { "192.0.2.1", 32, "192.0.2.0", false },
        { "2001:db8::", 33, "2001:db8:7fff::", true },
        { "2001:db8::", 33, "2001:db8:8000::", false },
        { "::1", 128, "::1", true },
        { "::1", 128, "::", false },
};

START_TEST(prefix_contains) {
        struct nb_prefix prefix = prefix_of(prefixes[_i].network, prefixes[_i].length);
        struct nb_ip ip = ip_of(prefixes[_i].ip);

        ck_assert_msg(nb_prefix_contains(&prefix, &ip) == prefixes[_i].contains, "%s in %s/%u", prefixes[_i].ip,
                      prefixes[_i].network, prefixes[_i].length);
}
END_TEST

START_TEST(prefix_covers_and_host_bits) {
        struct nb_prefix eight = prefix_of("10.0.0.0", 8), sixteen = prefix_of("10.1.0.0", 16);
        struct nb_prefix dirty = prefix_of("10.1.0.0", 8), ipv6 = prefix_of("::", 0), all = prefix_of("0.0.0.0", 0);
        struct nb_prefix last = prefix_of("::1", 127);

        ck_assert(nb_prefix_covers(&eight, &sixteen));
        ck_assert(nb_prefix_covers(&eight, &eight));
        ck_assert(!nb_prefix_covers(&sixteen, &eight));
        ck_assert(!nb_prefix_covers(&ipv6, &eight));
        ck_assert(!nb_prefix_covers(&all, &last));
        ck_assert(!nb_prefix_has_host_bits(&sixteen));
        ck_assert(nb_prefix_has_host_bits(&dirty));
        ck_assert(nb_prefix_has_host_bits(&last));
        ck_assert(!nb_prefix_has_host_bits(&all));
}
END_TEST

static Suite *address_suite(void) {
        Suite *suite = suite_create("address");
        TCase *text = tcase_create("text"), *values = tcase_create("values");

        tcase_add_loop_test(text, address_prints_canonically, 0, ELEMENTS(good_addresses));
        tcase_add_loop_test(text, abuse_15_18_19_what_is_not_an_address, 0, ELEMENTS(bad_addresses));
        tcase_add_test(text, nul_in_the_middle);
        tcase_add_test(text, length_is_respected);
        tcase_add_test(text, round_trip);
        tcase_add_test(values, sockaddr_of_a_wrong_shape);
        tcase_add_loop_test(values, abuse_12_13_ipv4_inside_ipv6, 0, ELEMENTS(embedded));
        tcase_add_loop_test(values, abuse_12_13_prefixes_of_ipv4_inside_ipv6, 0, ELEMENTS(embedding_prefixes));
        tcase_add_test(values, unmap_is_for_mapped_ones_only);
        tcase_add_test(values, unspecified);
        tcase_add_loop_test(values, prefix_contains, 0, ELEMENTS(prefixes));
        tcase_add_test(values, prefix_covers_and_host_bits);
        suite_add_tcase(suite, text);
        suite_add_tcase(suite, values);
        return suite;
}

int main(void) {
        return run_suite(address_suite());
}
