/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network addresses as policy, protocol and guests write them: one parser, one printer.
 *
 * Most bypasses of address policies are a difference between what was checked and what was used. So
 * an address is parsed once, strictly, into `struct nb_address`, and that value is what is matched,
 * dialled, logged and printed. Nothing but the textual forms of RFC 4291 section 2.2 and dotted quads of
 * four decimal parts is an address here: no `127.1`, no `0x7f000001`, no zone identifiers, no white space.
 */
#ifndef NB_BASE_ADDRESS_H
#define NB_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/** Enough for any address that nb_address_format() prints, with its NUL. */
#define NB_ADDRESS_TEXT_MAX 64

/** An IP address without a port. Only the first 4 bytes count when `family` is AF_INET; the others are zero. */
struct nb_ip {
        sa_family_t family; /* AF_INET or AF_INET6 */
        uint8_t bytes[16];  /* network order */
};

/** An IP address and a port in host order. */
struct nb_address {
        struct nb_ip ip;
        uint16_t port;
};

/** An IP prefix (RFC 4632, RFC 4291): host bits of `ip` are zero. */
struct nb_prefix {
        struct nb_ip ip;
        uint8_t length; /* bits: 0..32 or 0..128 */
};

/** An inclusive range of ports in host order. `any` is 0..65535, so that it covers a bind to port 0. */
struct nb_port_range {
        uint16_t first;
        uint16_t last;
};

/** Parses an address without port, `192.0.2.1` or `2001:db8::1` (no brackets). @return 0, or -EINVAL. */
int nb_ip_parse(const char *text, size_t length, struct nb_ip *ret);

/** Parses `192.0.2.1:80` or `[2001:db8::1]:80`; port 0 is valid here (bind). @return 0, or -EINVAL. */
int nb_address_parse(const char *text, size_t length, struct nb_address *ret);

/** Parses decimal digits as a port, 0..65535, no sign, no leading zero. @return 0, or -EINVAL. */
int nb_port_parse(const char *text, size_t length, uint16_t *ret);

/** Prints `address` canonically (RFC 5952, with brackets and port for IPv6). @return `buffer`. */
const char *nb_address_format(const struct nb_address *address, char buffer[static NB_ADDRESS_TEXT_MAX]);

/** Prints `ip` canonically, without brackets. @return `buffer`. */
const char *nb_ip_format(const struct nb_ip *ip, char buffer[static NB_ADDRESS_TEXT_MAX]);

/** From the kernel's form. @return 0, or -EAFNOSUPPORT for other families, -EINVAL for a length that does not fit. */
int nb_address_from_sockaddr(const struct sockaddr *sa, socklen_t length, struct nb_address *ret);

/** Into the kernel's form. @return the length to pass to bind() or connect(). */
socklen_t nb_address_to_sockaddr(const struct nb_address *address, struct sockaddr_storage *ret);

/** An IPv4-mapped IPv6 address (::ffff:0:0/96, RFC 4291 2.5.5.2) becomes the IPv4 address that the kernel would use. */
void nb_ip_unmap(struct nb_ip *ip);

/**
 * The IPv4 address that a transition mechanism carries inside an IPv6 one: mapped and compatible (RFC 4291
 * 2.5.5), IPv4-translated ::ffff:0:0:0/96 (RFC 2765), NAT64 64:ff9b::/96 and 64:ff9b:1::/48 (RFC 6052, RFC 8215),
 * 6to4 2002::/16 (RFC 3056), Teredo 2001::/32 (RFC 4380, the client's obfuscated address), and under any other prefix
 * ISATAP's interface identifiers ::5efe:a.b.c.d and ::200:5efe:a.b.c.d (RFC 5214 section 6.1). :: and ::1 are
 * themselves, not compatible forms.
 * @return whether there is one; `ret` is untouched if not.
 */
bool nb_ip_embedded_ipv4(const struct nb_ip *ip, struct nb_ip *ret);

/** Whether all bits are zero: 0.0.0.0 or ::, "any" for bind. */
bool nb_ip_is_unspecified(const struct nb_ip *ip);

/** Makes it the loopback address of its family: 127.0.0.1 or ::1. */
void nb_ip_set_loopback(struct nb_ip *ip);

bool nb_ip_equal(const struct nb_ip *a, const struct nb_ip *b);
bool nb_address_equal(const struct nb_address *a, const struct nb_address *b);

/** Whether `prefix` covers `ip`; never across families. */
bool nb_prefix_contains(const struct nb_prefix *prefix, const struct nb_ip *ip);

/** Whether every address of `inner` is one of `outer`. */
bool nb_prefix_covers(const struct nb_prefix *outer, const struct nb_prefix *inner);

/** Whether every address of `prefix` carries an IPv4 one, as nb_ip_embedded_ipv4() finds it; host bits must be zero. */
bool nb_prefix_embeds_ipv4(const struct nb_prefix *prefix);

/** Whether a bit behind the prefix length is set, which strict CIDR forbids. */
bool nb_prefix_has_host_bits(const struct nb_prefix *prefix);

static inline bool nb_port_range_contains(const struct nb_port_range *range, uint16_t port) {
        return port >= range->first && port <= range->last;
}

#endif
