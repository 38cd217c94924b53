/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard.h"

#include "policy/text.h"

#define V4(a, b, c, d, bits)                                                                                           \
        .range = { .ip = { .family = AF_INET, .bytes = { a, b, c, d } }, .length = bits }, .naming_length = bits
#define V6(bits, ...)                                                                                                  \
        .range = { .ip = { .family = AF_INET6, .bytes = { __VA_ARGS__ } }, .length = bits }, .naming_length = bits

/* Those of a family stand together, in ascending order of their first bytes: every connect asks several times. */
static const struct policy_guard guards[] = {
        { V4(0, 0, 0, 0, 32), .what = "the unspecified address, which Linux takes for loopback",
          .source = "RFC 1122 section 3.2.1.3" },
        { V4(0, 0, 0, 0, 8), .what = "\"this network\"", .source = "RFC 791 section 3.2" },
        { V4(100, 100, 100, 200, 32), .what = "a cloud's metadata service", .source = "Alibaba Cloud" },
        { V4(127, 0, 0, 0, 8), .what = "loopback", .source = "RFC 1122 section 3.2.1.3" },
        { V4(168, 63, 129, 16, 32), .what = "a cloud's platform service", .source = "Azure" },
        { V4(169, 254, 0, 0, 16), .what = "link-local", .source = "RFC 3927" },
        { V4(169, 254, 169, 254, 32), .what = "a cloud's metadata service", .source = "AWS, Azure, Google Cloud" },
        { V4(169, 254, 170, 2, 32), .what = "a cloud's credentials service", .source = "AWS" },
        { V4(169, 254, 170, 23, 32), .what = "a cloud's credentials service", .source = "AWS" },
        { V4(192, 0, 0, 0, 24), .what = "IETF protocol assignments", .source = "RFC 6890 section 2.1" },
        { V4(192, 0, 2, 0, 24), .what = "documentation", .source = "RFC 5737" },
        { V4(192, 88, 99, 0, 24), .what = "the former 6to4 relays", .source = "RFC 7526" },
        { V4(198, 18, 0, 0, 15), .what = "benchmarking", .source = "RFC 2544" },
        { V4(198, 51, 100, 0, 24), .what = "documentation", .source = "RFC 5737" },
        { V4(203, 0, 113, 0, 24), .what = "documentation", .source = "RFC 5737" },
        { V4(224, 0, 0, 0, 4), .no_grant = true, .what = "multicast", .source = "RFC 5771" },
        { V4(240, 0, 0, 0, 4), .what = "reserved", .source = "RFC 1112 section 4" },
        { V4(255, 255, 255, 255, 32), .no_grant = true, .what = "broadcast", .source = "RFC 919" },

        { V6(128, 0), .what = "the unspecified address, which Linux takes for loopback",
          .source = "RFC 4291 section 2.5.2" },
        { V6(128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), .what = "loopback",
          .source = "RFC 4291 section 2.5.3" },
        /* Where in such an address the IPv4 one lies is the translator's secret (RFC 6052 section 2.2), but inside one /96 only the
         * form that is judged can vary: so a rule names a /96 at the widest. */
        { .range = { .ip = { .family = AF_INET6, .bytes = { 0, 0x64, 0xff, 0x9b, 0, 1 } }, .length = 48 },
          .naming_length = 96,
          .what = "local-use NAT64",
          .source = "RFC 8215" },
        { V6(64, 0x01, 0x00), .what = "discard-only", .source = "RFC 6666" },
        { V6(64, 0x01, 0x00, 0, 0, 0, 0, 0, 1), .what = "a dummy prefix", .source = "RFC 9780" },
        /* What is reachable of it (anycast of PCP and TURN, AMT, AS112, identifiers) wants its rule, as in 192.0.0.0/24. */
        { V6(23, 0x20, 0x01),
          .except = { .ip = { .family = AF_INET6, .bytes = { 0x20, 0x01 } },
                      .length = 32 }, /* Teredo: judged as IPv4 */
          .what = "IETF protocol assignments", .source = "RFC 2928" },
        { V6(48, 0x20, 0x01, 0x00, 0x02), .what = "benchmarking", .source = "RFC 5180" },
        { V6(28, 0x20, 0x01, 0x00, 0x10), .what = "the former ORCHID", .source = "RFC 4843" },
        { V6(32, 0x20, 0x01, 0x0d, 0xb8), .what = "documentation", .source = "RFC 3849" },
        { V6(20, 0x3f, 0xff), .what = "documentation", .source = "RFC 9637" },
        { V6(16, 0x5f, 0x00), .what = "segment routing", .source = "RFC 9602" },
        { V6(128, 0xfd, 0x00, 0x00, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x42),
          .what = "a cloud's metadata service", .source = "Scaleway" },
        { V6(128, 0xfd, 0x00, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0xa9, 0xfe, 0xa9, 0xfe),
          .what = "a cloud's metadata service", .source = "Oracle Cloud" },
        { V6(128, 0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x23),
          .what = "a cloud's credentials service", .source = "AWS" },
        { V6(128, 0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54),
          .what = "a cloud's metadata service", .source = "AWS" },
        { V6(128, 0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54),
          .what = "a cloud's metadata service", .source = "Google Cloud" },
        { V6(10, 0xfe, 0x80), .what = "link-local", .source = "RFC 4291 section 2.5.6" },
        { V6(10, 0xfe, 0xc0), .what = "the former site-local", .source = "RFC 3879" },
        { V6(8, 0xff), .no_grant = true, .what = "multicast", .source = "RFC 4291 section 2.7" },
};

#define N_GUARDS (sizeof(guards) / sizeof(guards[0]))

size_t policy_guard_count(void) {
        return N_GUARDS;
}

const struct policy_guard *policy_guard_at(size_t index) {
        return &guards[index];
}

static bool holds(const struct policy_guard *guard, const struct nb_ip *ip) {
        if (!nb_prefix_contains(&guard->range, ip))
                return false;
        return guard->except.length == 0 || !nb_prefix_contains(&guard->except, ip);
}

const struct policy_guard *policy_guard_next(const struct nb_ip *ip, const struct policy_guard *after) {
        for (size_t i = after ? (size_t)(after - guards) + 1 : 0; i < N_GUARDS; ++i) {
                const struct nb_ip *first = &guards[i].range.ip;

                if (first->family != ip->family)
                        continue;
                if (first->bytes[0] > ip->bytes[0]) /* as are all that follow */
                        return NULL;
                if (holds(&guards[i], ip))
                        return &guards[i];
        }
        return NULL;
}

struct nb_prefix policy_guard_scope(const struct policy_guard *guard, const struct nb_ip *ip) {
        struct nb_prefix scope = { .ip = *ip, .length = guard->naming_length };

        for (unsigned i = scope.length; i < 128; ++i)
                scope.ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
        return scope;
}

const struct policy_guard *policy_guard_no_grant(const struct nb_prefix *prefix) {
        for (size_t i = 0; i < N_GUARDS; ++i)
                if (guards[i].no_grant && nb_prefix_covers(&guards[i].range, prefix))
                        return &guards[i];
        return NULL;
}

const char *policy_guard_range_format(const struct policy_guard *guard, char buffer[static POLICY_GUARD_TEXT_MAX]) {
        struct policy_text text = policy_text_begin(buffer, POLICY_GUARD_TEXT_MAX);
        const struct nb_prefix *range = &guard->range;
        char ip[NB_ADDRESS_TEXT_MAX];

        policy_text_add(&text, nb_ip_format(&range->ip, ip));
        if (range->length == (range->ip.family == AF_INET ? 32 : 128))
                return buffer;
        policy_text_add(&text, "/");
        policy_text_add_number(&text, range->length);
        return buffer;
}
