/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names, as guests and rules write them: `redis.example:6379`.
 *
 * One parser, as for addresses, so that what is matched, looked up and recorded is one text: labels of letters, digits, hyphens and
 * underscores (which names inside clusters have), 1 to 63 bytes each, no hyphen at either end (RFC 1123 section 2.1), 253 bytes in all; a
 * dot at the end, which says that the name is complete, is dropped, and letters are lower-case.
 *
 * A label of another script becomes the A-label that DNS has for it, by IDNA2008 without any mapping beyond ASCII's letters (RFC 5891): what
 * would have to be mapped first (capitals, full-width letters, what is not in normalization form C) can be read in two ways, and is refused.
 * A-labels are taken as they stand: DNS has some that no U-label makes.
 *
 * What inet_aton(3) would take for an address is no name: one whose last label is a number, decimal or `0x…`, for there are resolvers that
 * would connect to it without looking anything up.
 */
#ifndef NB_POLICY_HOST_NAME_H
#define NB_POLICY_HOST_NAME_H

#include <stddef.h>
#include <stdint.h>

struct policy_complaint;

/** The longest name, in bytes, without its NUL (RFC 1035 section 2.3.4, without the root's dot). */
#define POLICY_HOST_NAME_MAX 253

/** A name and a port in host order, never 0. */
struct policy_host_name {
        uint16_t port;
        char text[POLICY_HOST_NAME_MAX + 1]; /* lower-case A-labels, without a dot at the end; NUL-terminated */
};

/** Parses `name:port`; the port is decimal, 1 to 65535. @return 0, or -EINVAL. */
int policy_host_name_parse(const char *text, size_t length, struct policy_host_name *ret);

/**
 * Parses a name without a port.
 * @param ret            lower-case A-labels, NUL-terminated; untouched on failure
 * @param ret_complaint  filled in on failure; its correction, if there is one, is a name
 * @return 0, or -EINVAL.
 */
int policy_host_name_read(const char *text, size_t length, char ret[static POLICY_HOST_NAME_MAX + 1],
                          struct policy_complaint *ret_complaint);

#endif
