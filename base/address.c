/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/address.h"

#define IPV4_BYTES 4
#define IPV6_BYTES 16

/* Twelve bytes in front of a mapped IPv4 address (RFC 4291 2.5.5.2). */
static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static const uint8_t zeros[IPV6_BYTES];

/** A form of IPv6 address with an IPv4 one inside: what it is known by, where that lies, and what it is xor'ed with. */
struct embedding {
        uint8_t from; /* where `marker` stands */
        uint8_t marker[12];
        uint8_t length; /* bytes of `marker` */
        uint8_t offset;
        uint8_t mask;
};

/*
 * The first that fits counts. Those known by their prefix come before those known by their interface identifier: the
 * prefix decides the route, so a 6to4 address goes to its 6to4 router whatever its last bytes look like.
 */
static const struct embedding embeddings[] = {
        { 0, { 0 }, 12, 12, 0 },                                        /* compatible */
        { 0, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12, 12, 0 }, /* mapped */
        { 0, { 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12, 12, 0 },       /* translated: ::ffff:0:0:0/96 */
        { 0, { 0x00, 0x64, 0xff, 0x9b }, 12, 12, 0 },                   /* NAT64: 64:ff9b::/96, the rest is zeros */
        { 0, { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 6, 12, 0 },        /* NAT64, local use: as with a /96 */
        { 0, { 0x20, 0x02 }, 2, 2, 0 },                                 /* 6to4 */
        { 0, { 0x20, 0x01, 0x00, 0x00 }, 4, 12, 0xff },                 /* Teredo: the client, obfuscated */
        { 8, { 0x00, 0x00, 0x5e, 0xfe }, 4, 12, 0 },                    /* ISATAP */
        { 8, { 0x02, 0x00, 0x5e, 0xfe }, 4, 12, 0 }, /* ISATAP, where the IPv4 address is globally unique */
};

static unsigned ip_bits(const struct nb_ip *ip) {
        return ip->family == AF_INET ? 32 : 128;
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
        return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/**
 * Tells the family by the characters alone, so that inet_pton() never sees a form that a libc might take more
 * generously than the RFCs: signs, blanks, zones, hexadecimal, a NUL in the middle.
 * @return AF_INET, AF_INET6, or AF_UNSPEC where a character belongs to neither.
 */
static sa_family_t family_of_text(const char *text, size_t length) {
        bool colon = false, letter = false;

        for (size_t i = 0; i < length; ++i) {
                if (text[i] == ':')
                        colon = true;
                else if (!is_digit(text[i]) && is_hex(text[i]))
                        letter = true;
                else if (!is_digit(text[i]) && text[i] != '.')
                        return AF_UNSPEC;
        }
        if (colon)
                return AF_INET6;
        return letter ? AF_UNSPEC : AF_INET;
}

/** Four decimal parts, each without leading zeros: what some parsers read as octal, or fill up, is no address. */
static bool is_dotted_quad(const char *text, size_t length) {
        size_t parts = 1, digits = 0;

        for (size_t i = 0; i < length; ++i) {
                if (text[i] == '.') {
                        if (digits == 0)
                                return false;
                        ++parts;
                        digits = 0;
                        continue;
                }
                if (digits == 1 && text[i - 1] == '0')
                        return false;
                if (!is_digit(text[i]) || ++digits > 3)
                        return false;
        }
        return parts == 4 && digits > 0;
}

/** The part behind the last colon when it holds a dot, as in ::ffff:192.0.2.1, must be a dotted quad as well. */
static bool has_strict_tail(const char *text, size_t length) {
        const char *colon = memrchr(text, ':', length);
        size_t tail = length - (size_t)(colon + 1 - text);

        return memchr(text, '.', length) == NULL || is_dotted_quad(colon + 1, tail);
}

int nb_ip_parse(const char *text, size_t length, struct nb_ip *ret) {
        char copy[INET6_ADDRSTRLEN];
        struct nb_ip ip = { 0 };

        if (length == 0 || length >= sizeof(copy))
                return -EINVAL;

        memcpy(copy, text, length);
        copy[length] = '\0';

        ip.family = family_of_text(copy, length);
        if (ip.family == AF_UNSPEC)
                return -EINVAL;
        if (ip.family == AF_INET && !is_dotted_quad(copy, length))
                return -EINVAL;
        if (ip.family == AF_INET6 && !has_strict_tail(copy, length))
                return -EINVAL;
        if (inet_pton(ip.family, copy, ip.bytes) != 1)
                return -EINVAL;

        *ret = ip;
        return 0;
}

int nb_port_parse(const char *text, size_t length, uint16_t *ret) {
        uint32_t port = 0;

        if (length == 0 || length > 5)
                return -EINVAL;
        if (length > 1 && text[0] == '0')
                return -EINVAL;
        for (size_t i = 0; i < length; ++i) {
                if (!is_digit(text[i]))
                        return -EINVAL;
                port = port * 10 + (uint32_t)(text[i] - '0');
        }
        if (port > UINT16_MAX)
                return -EINVAL;

        *ret = (uint16_t)port;
        return 0;
}

int nb_address_parse(const char *text, size_t length, struct nb_address *ret) {
        const char *colon = length > 0 ? memrchr(text, ':', length) : NULL;
        const char *host = text;
        size_t host_length;
        sa_family_t wanted = AF_INET;
        struct nb_address address;

        if (!colon)
                return -EINVAL;
        host_length = (size_t)(colon - text);
        if (host_length >= 2 && host[0] == '[' && host[host_length - 1] == ']') {
                wanted = AF_INET6;
                ++host;
                host_length -= 2;
        }
        if (nb_ip_parse(host, host_length, &address.ip) < 0)
                return -EINVAL;
        if (address.ip.family != wanted) /* [127.0.0.1]:80, or ::1:80, where the port is a guess */
                return -EINVAL;
        if (nb_port_parse(colon + 1, length - (size_t)(colon + 1 - text), &address.port) < 0)
                return -EINVAL;

        *ret = address;
        return 0;
}

/** Writes a number in decimal digits. @return what follows them, where a NUL stands. */
static char *write_number(char *at, unsigned number) {
        char digits[5];
        size_t n = 0;

        do {
                digits[n++] = (char)('0' + number % 10);
                number /= 10;
        } while (number > 0);

        while (n > 0)
                *at++ = digits[--n];
        *at = '\0';
        return at;
}

const char *nb_ip_format(const struct nb_ip *ip, char buffer[static NB_ADDRESS_TEXT_MAX]) {
        char *end = buffer;

        if (ip->family == AF_INET) { /* by hand, for the C library does it by printf(3), and every denial is told */
                for (size_t i = 0; i < IPV4_BYTES; ++i) {
                        if (i > 0)
                                *end++ = '.';
                        end = write_number(end, ip->bytes[i]);
                }
        } else if (!inet_ntop(ip->family, ip->bytes, buffer, NB_ADDRESS_TEXT_MAX)) {
                memcpy(buffer, "?", sizeof("?")); /* no family: a bug of ours, but nothing to crash for in a message */
        }
        return buffer;
}

const char *nb_address_format(const struct nb_address *address, char buffer[static NB_ADDRESS_TEXT_MAX]) {
        char text[NB_ADDRESS_TEXT_MAX];
        char *end = buffer;
        size_t length;

        nb_ip_format(&address->ip, text);
        length = strlen(text);
        if (address->ip.family == AF_INET6)
                *end++ = '[';
        memcpy(end, text, length);
        end += length;
        if (address->ip.family == AF_INET6)
                *end++ = ']';
        *end++ = ':';
        write_number(end, address->port);
        return buffer;
}

int nb_address_from_sockaddr(const struct sockaddr *sa, socklen_t length, struct nb_address *ret) {
        struct nb_address address = { 0 };
        sa_family_t family;

        if (length < sizeof(family))
                return -EINVAL;
        memcpy(&family, &sa->sa_family, sizeof(family));

        if (family == AF_INET) {
                struct sockaddr_in in;

                if (length != sizeof(in))
                        return -EINVAL;
                memcpy(&in, sa, sizeof(in));
                memcpy(address.ip.bytes, &in.sin_addr, IPV4_BYTES);
                address.port = ntohs(in.sin_port);
        } else if (family == AF_INET6) {
                struct sockaddr_in6 in6;

                if (length != sizeof(in6))
                        return -EINVAL;
                memcpy(&in6, sa, sizeof(in6));
                memcpy(address.ip.bytes, &in6.sin6_addr, IPV6_BYTES);
                address.port = ntohs(in6.sin6_port);
        } else {
                return -EAFNOSUPPORT;
        }

        address.ip.family = family;
        *ret = address;
        return 0;
}

socklen_t nb_address_to_sockaddr(const struct nb_address *address, struct sockaddr_storage *ret) {
        memset(ret, 0, sizeof(*ret));
        if (address->ip.family == AF_INET) {
                struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(address->port) };

                memcpy(&in.sin_addr, address->ip.bytes, IPV4_BYTES);
                memcpy(ret, &in, sizeof(in));
                return sizeof(in);
        }

        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(address->port) };

        memcpy(&in6.sin6_addr, address->ip.bytes, IPV6_BYTES);
        memcpy(ret, &in6, sizeof(in6));
        return sizeof(in6);
}

/** An IPv4 address of the 4 bytes at `bytes`, each xor'ed with `mask`. */
static struct nb_ip ipv4_from(const uint8_t *bytes, uint8_t mask) {
        struct nb_ip ip = { .family = AF_INET };

        for (size_t i = 0; i < IPV4_BYTES; ++i)
                ip.bytes[i] = bytes[i] ^ mask;
        return ip;
}

void nb_ip_unmap(struct nb_ip *ip) {
        if (ip->family == AF_INET6 && memcmp(ip->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
                *ip = ipv4_from(ip->bytes + 12, 0);
}

/** @return the form that an address has; NULL for IPv4, and where none is inside. */
static const struct embedding *find_embedding(const struct nb_ip *ip) {
        if (ip->family != AF_INET6)
                return NULL;
        if (memcmp(ip->bytes, zeros, 15) == 0 && ip->bytes[15] <= 1) /* :: and ::1 have a meaning of their own */
                return NULL;

        for (size_t i = 0; i < sizeof(embeddings) / sizeof(embeddings[0]); ++i)
                if (memcmp(ip->bytes + embeddings[i].from, embeddings[i].marker, embeddings[i].length) == 0)
                        return &embeddings[i];
        return NULL;
}

bool nb_ip_embedded_ipv4(const struct nb_ip *ip, struct nb_ip *ret) {
        const struct embedding *embedding = find_embedding(ip);

        if (!embedding)
                return false;

        *ret = ipv4_from(ip->bytes + embedding->offset, embedding->mask);
        return true;
}

bool nb_ip_is_unspecified(const struct nb_ip *ip) {
        return memcmp(ip->bytes, zeros, ip_bits(ip) / 8) == 0;
}

void nb_ip_set_loopback(struct nb_ip *ip) {
        memset(ip->bytes, 0, sizeof(ip->bytes));
        if (ip->family == AF_INET)
                ip->bytes[0] = 127;
        ip->bytes[ip->family == AF_INET ? IPV4_BYTES - 1 : IPV6_BYTES - 1] = 1;
}

bool nb_ip_equal(const struct nb_ip *a, const struct nb_ip *b) {
        return a->family == b->family && memcmp(a->bytes, b->bytes, ip_bits(a) / 8) == 0;
}

bool nb_address_equal(const struct nb_address *a, const struct nb_address *b) {
        return a->port == b->port && nb_ip_equal(&a->ip, &b->ip);
}

/** Whether the first `bits` bits of both are the same. */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits) {
        unsigned rest = bits % 8;
        uint8_t mask = (uint8_t)(0xff00u >> rest);

        if (memcmp(a, b, bits / 8) != 0)
                return false;
        return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}

bool nb_prefix_contains(const struct nb_prefix *prefix, const struct nb_ip *ip) {
        return prefix->ip.family == ip->family && same_bits(prefix->ip.bytes, ip->bytes, prefix->length);
}

bool nb_prefix_covers(const struct nb_prefix *outer, const struct nb_prefix *inner) {
        return outer->length <= inner->length && nb_prefix_contains(outer, &inner->ip);
}

/* What marks the first address must be fixed for the others. :: and ::1, which are no compatible forms, only ever come first. */
bool nb_prefix_embeds_ipv4(const struct nb_prefix *prefix) {
        const struct embedding *embedding = find_embedding(&prefix->ip);

        return embedding && prefix->length >= (embedding->from + embedding->length) * 8;
}

bool nb_prefix_has_host_bits(const struct nb_prefix *prefix) {
        unsigned bits = ip_bits(&prefix->ip);

        for (unsigned i = prefix->length; i < bits; ++i)
                if (prefix->ip.bytes[i / 8] & (0x80u >> (i % 8)))
                        return true;
        return false;
}
