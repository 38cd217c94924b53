/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/group.h"

#include <errno.h>
#include <string.h>

#include "policy/guard.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define V4(bits, ...)                                                                                                  \
        { .ip = { .family = AF_INET, .bytes = { __VA_ARGS__ } }, .length = bits }
#define V6(bits, ...)                                                                                                  \
        { .ip = { .family = AF_INET6, .bytes = { __VA_ARGS__ } }, .length = bits }

static const struct nb_prefix any_prefixes[] = { V4(0, 0), V6(0, 0) };

static const struct nb_prefix private_prefixes[] = {
        V4(8, 10),       V4(12, 172, 16), V4(16, 192, 168), /* RFC 1918 */
        V4(10, 100, 64),                                    /* RFC 6598 */
        V6(7, 0xfc),                                        /* RFC 4193 */
};

static const struct nb_prefix local_prefixes[] = {
        V4(8, 127),                                             /* RFC 1122 section 3.2.1.3 */
        V6(128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) /* RFC 4291 section 2.5.3 */
};

static const struct nb_prefix global_unicast = V6(3, 0x20);

/** A group; without prefixes it is what the others leave (is_public()). */
struct group {
        const char *name;
        const struct nb_prefix *prefixes;
        size_t n_prefixes;
};

static const struct group groups[POLICY_N_GROUPS] = {
        [POLICY_GROUP_ANY] = { "any", any_prefixes, ELEMENTS(any_prefixes) },
        [POLICY_GROUP_PUBLIC] = { "public", NULL, 0 },
        [POLICY_GROUP_PRIVATE] = { "private", private_prefixes, ELEMENTS(private_prefixes) },
        [POLICY_GROUP_LOCAL] = { "local", local_prefixes, ELEMENTS(local_prefixes) },
};

const char *policy_group_name(enum policy_group group) {
        return groups[group].name;
}

int policy_group_parse(const char *text, size_t length, enum policy_group *ret) {
        for (size_t i = 0; i < POLICY_N_GROUPS; ++i) {
                if (strlen(groups[i].name) != length || memcmp(groups[i].name, text, length) != 0)
                        continue;
                *ret = (enum policy_group)i;
                return 0;
        }
        return -EINVAL;
}

size_t policy_group_prefixes(enum policy_group group, const struct nb_prefix **ret) {
        *ret = groups[group].prefixes;
        return groups[group].n_prefixes;
}

static bool is_listed(const struct group *group, const struct nb_ip *ip) {
        for (size_t i = 0; i < group->n_prefixes; ++i)
                if (nb_prefix_contains(&group->prefixes[i], ip))
                        return true;
        return false;
}

static bool is_reserved(const struct nb_ip *ip) {
        return policy_guard_next(ip, NULL) || is_listed(&groups[POLICY_GROUP_PRIVATE], ip);
}

static bool is_public(const struct nb_ip *ip) {
        struct nb_ip inside;

        if (is_reserved(ip))
                return false;
        if (nb_ip_embedded_ipv4(ip, &inside))
                return !is_reserved(&inside);
        return ip->family == AF_INET || nb_prefix_contains(&global_unicast, ip);
}

bool policy_group_contains(enum policy_group group, const struct nb_ip *ip) {
        return group == POLICY_GROUP_PUBLIC ? is_public(ip) : is_listed(&groups[group], ip);
}
