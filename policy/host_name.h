/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names with a port, as guests write them: `redis.example:6379`.
 *
 * One parser, as for addresses, so that what is matched, looked up and recorded is one text: labels of letters, digits, hyphens and
 * underscores (which names inside clusters have), 1 to 63 bytes each, no hyphen at either end (RFC 1123 section 2.1), 253 bytes in all; a
 * dot at the end, which says that the name is complete, is dropped, and letters are lower-case. Names of other scripts are written as
 * A-labels (RFC 5891), which are such labels.
 *
 * What inet_aton(3) would take for an address is no name: one whose last label is a number, decimal or `0x…`, for there are resolvers that
 * would connect to it without looking anything up.
 */
#ifndef NB_POLICY_HOST_NAME_H
#define NB_POLICY_HOST_NAME_H

#include <stddef.h>
#include <stdint.h>

/** The longest name, in bytes, without its NUL (RFC 1035 section 2.3.4, without the root's dot). */
#define POLICY_HOST_NAME_MAX 253

/** A name and a port in host order, never 0. */
struct policy_host_name {
        uint16_t port;
        char text[POLICY_HOST_NAME_MAX + 1]; /* lower-case, without a dot at the end; NUL-terminated */
};

/** Parses `name:port`; the port is decimal, 1 to 65535. @return 0, or -EINVAL. */
int policy_host_name_parse(const char *text, size_t length, struct policy_host_name *ret);

#endif
