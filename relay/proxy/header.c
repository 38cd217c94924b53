/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/header.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How version 2 begins: bytes that no protocol of text begins with. */
static const uint8_t signature[] = { '\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };

#define V1_START "PROXY "
#define V1_START_SIZE 6

/* "PROXY UNKNOWN" and CR LF: no header is shorter. */
#define V1_MIN 15

/* The signature, version and command, family and type, length. */
#define V2_FIXED 16

#define V2_LOCAL 0x20
#define V2_PROXY 0x21

#define V2_UNSPECIFIED 0x00
#define V2_TCP4 0x11
#define V2_TCP6 0x21
#define V2_UNIX_STREAM 0x31

#define V2_TCP4_SIZE (2 * 4 + 2 * 2)
#define V2_TCP6_SIZE (2 * 16 + 2 * 2)
#define V2_UNIX_SIZE (2 * 108)

/* A type and a length of two bytes. */
#define TLV_FIXED 3

static int complain(const char **ret_complaint, const char *complaint) {
        *ret_complaint = complaint;
        return -EBADMSG;
}

/* ---- version 1 ---- */

/* What is behind "PROXY ", in fields that end at a space; the last one at the CR. */
struct v1_fields {
        size_t n;
        const char *text[5];
        size_t length[5];
};

#define V1_ADDRESS_FIELDS 5

static bool starts_with(const uint8_t *bytes, size_t length, const char *text) {
        size_t text_length = strlen(text);

        return length >= text_length && memcmp(bytes, text, text_length) == 0;
}

/* @return whether there are no more fields than addresses have */
static bool v1_split(const char *line, size_t length, struct v1_fields *ret) {
        const char *end = line + length, *space;

        *ret = (struct v1_fields){ 0 };
        for (const char *field = line;; field = space + 1) {
                if (ret->n == V1_ADDRESS_FIELDS)
                        return false;
                space = memchr(field, ' ', (size_t)(end - field));
                ret->text[ret->n] = field;
                ret->length[ret->n++] = (size_t)((space ? space : end) - field);
                if (!space)
                        return true;
        }
}

static bool v1_field_is(const struct v1_fields *fields, size_t i, const char *text) {
        return fields->length[i] == strlen(text) && memcmp(fields->text[i], text, fields->length[i]) == 0;
}

static int v1_read_address(const struct v1_fields *fields, size_t ip, size_t port, sa_family_t family,
                           struct nb_address *ret) {
        if (nb_ip_parse(fields->text[ip], fields->length[ip], &ret->ip) < 0 || ret->ip.family != family)
                return -EBADMSG;
        return nb_port_parse(fields->text[port], fields->length[port], &ret->port) < 0 ? -EBADMSG : 0;
}

/* A line of which all but the CR LF is there. */
static int v1_read_line(const char *line, size_t length, struct proxy_header *ret, const char **ret_complaint) {
        struct proxy_header header = { .has_addresses = true };
        struct v1_fields fields;
        sa_family_t family;

        if (!v1_split(line, length, &fields) || fields.n != V1_ADDRESS_FIELDS)
                return complain(ret_complaint, "it has not the fields of version 1");
        if (!v1_field_is(&fields, 0, "TCP4") && !v1_field_is(&fields, 0, "TCP6"))
                return complain(ret_complaint, "it tells of another protocol than TCP4, TCP6 and UNKNOWN");
        family = v1_field_is(&fields, 0, "TCP4") ? AF_INET : AF_INET6;
        if (v1_read_address(&fields, 1, 3, family, &header.source) < 0 ||
            v1_read_address(&fields, 2, 4, family, &header.destination) < 0)
                return complain(ret_complaint, "it has an address or a port that is none");
        *ret = header;
        return 0;
}

/* "UNKNOWN", and whatever a sender adds. */
static bool v1_is_unknown(const char *line, size_t length) {
        size_t word = strlen("UNKNOWN");

        return starts_with((const uint8_t *)line, length, "UNKNOWN") && (length == word || line[word] == ' ');
}

/* How many bytes are missing at least: CR LF, and of addresses a space and a byte for each field that is not there. */
static size_t v1_missing(const char *line, size_t length) {
        size_t n_spaces = 0, missing = 2;

        if (line[length - 1] == '\r')
                return 1;
        if (!starts_with((const uint8_t *)line, length, "TCP"))
                return missing;
        for (size_t i = 0; i < length; ++i)
                n_spaces += line[i] == ' ';
        if (n_spaces < V1_ADDRESS_FIELDS)
                missing += 2 * (V1_ADDRESS_FIELDS - 1 - n_spaces);
        return line[length - 1] == ' ' ? missing + 1 : missing;
}

/* Where the line ends; NULL: nowhere yet. What is no text must not be in it. */
static int v1_find_end(const char *line, size_t length, const char **ret, const char **ret_complaint) {
        *ret = NULL;
        for (size_t i = 0; i < length; ++i) {
                if (line[i] == '\r' && i + 1 == length)
                        return 0;
                if (line[i] == '\r' && line[i + 1] == '\n' && i + 2 == length) {
                        *ret = line + i;
                        return 0;
                }
                if (line[i] < ' ' || line[i] > '~')
                        return complain(ret_complaint, "it has a byte that is no text");
        }
        return 0;
}

static int v1_read(const uint8_t *bytes, size_t length, struct proxy_header *ret, const char **ret_complaint) {
        const char *line = (const char *)bytes + V1_START_SIZE, *end;
        size_t line_length = length - V1_START_SIZE, wanted;
        int r;

        r = v1_find_end(line, line_length, &end, ret_complaint);
        if (r < 0)
                return r;
        if (end && v1_is_unknown(line, (size_t)(end - line))) {
                *ret = (struct proxy_header){ 0 };
                return 0;
        }
        if (end)
                return v1_read_line(line, (size_t)(end - line), ret, ret_complaint);
        wanted = length + v1_missing(line, line_length);
        if (wanted > PROXY_HEADER_V1_MAX)
                return complain(ret_complaint, "it is longer than version 1 permits, 107 bytes");
        return (int)wanted;
}

/* ---- version 2 ---- */

static uint16_t read16(const uint8_t *bytes) {
        return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* How many bytes the addresses take; -EBADMSG for a family that we do not take. */
static int v2_addresses_size(uint8_t family) {
        switch (family) {
        case V2_UNSPECIFIED:
                return 0;
        case V2_TCP4:
                return V2_TCP4_SIZE;
        case V2_TCP6:
                return V2_TCP6_SIZE;
        case V2_UNIX_STREAM:
                return V2_UNIX_SIZE;
        default:
                return -EBADMSG;
        }
}

static bool v2_tlvs_fit(const uint8_t *bytes, size_t length) {
        while (length > 0) {
                size_t size = length < TLV_FIXED ? SIZE_MAX : TLV_FIXED + (size_t)read16(bytes + 1);

                if (size > length)
                        return false;
                bytes += size;
                length -= size;
        }
        return true;
}

static void v2_read_addresses(const uint8_t *bytes, sa_family_t family, struct proxy_header *ret) {
        size_t size = family == AF_INET ? 4 : 16;

        *ret = (struct proxy_header){ .has_addresses = true };
        ret->source.ip.family = family;
        ret->destination.ip.family = family;
        memcpy(ret->source.ip.bytes, bytes, size);
        memcpy(ret->destination.ip.bytes, bytes + size, size);
        ret->source.port = read16(bytes + 2 * size);
        ret->destination.port = read16(bytes + 2 * size + 2);
}

/* What is in a whole header behind the fixed part. */
static int v2_read_rest(const uint8_t *bytes, size_t length, uint8_t family, struct proxy_header *ret,
                        const char **ret_complaint) {
        int size = v2_addresses_size(family);

        if (size < 0)
                return complain(ret_complaint,
                                "it tells of another family than TCP over IPv4 or IPv6, and Unix streams");
        if (length < (size_t)size)
                return complain(ret_complaint, "it is too short for its addresses");
        /* What is behind no address is of no known form. */
        if (family != V2_UNSPECIFIED && !v2_tlvs_fit(bytes + size, length - (size_t)size))
                return complain(ret_complaint, "it has a TLV that is longer than what is left");
        if (family == V2_TCP4 || family == V2_TCP6)
                v2_read_addresses(bytes, family == V2_TCP4 ? AF_INET : AF_INET6, ret);
        else
                *ret = (struct proxy_header){ 0 };
        return 0;
}

static int v2_read(const uint8_t *bytes, size_t length, struct proxy_header *ret, const char **ret_complaint) {
        size_t wanted;

        if (length < V2_FIXED)
                return V2_FIXED;
        if (bytes[12] != V2_LOCAL && bytes[12] != V2_PROXY)
                return complain(ret_complaint, "it is of no version or command that there is");
        wanted = V2_FIXED + (size_t)read16(bytes + 14);
        if (wanted > PROXY_HEADER_V2_MAX)
                return complain(ret_complaint, "it is longer than 4 KiB");
        if (length > wanted)
                return complain(ret_complaint, "there is more than it has");
        if (length < wanted)
                return (int)wanted;
        if (bytes[12] == V2_LOCAL) {
                *ret = (struct proxy_header){ 0 };
                return 0;
        }
        return v2_read_rest(bytes + V2_FIXED, length - V2_FIXED, bytes[13], ret, ret_complaint);
}

/* ---- either version ---- */

int proxy_header_read(const uint8_t *bytes, size_t length, struct proxy_header *ret, const char **ret_complaint) {
        size_t known = length < sizeof(signature) ? length : sizeof(signature);

        if (length > 0 && memcmp(bytes, signature, known) == 0)
                return length < sizeof(signature) ? V1_MIN : v2_read(bytes, length, ret, ret_complaint);
        known = length < V1_START_SIZE ? length : V1_START_SIZE;
        if (memcmp(bytes, V1_START, known) != 0)
                return complain(ret_complaint, "it begins as neither version does");
        return length < V1_MIN ? V1_MIN : v1_read(bytes, length, ret, ret_complaint);
}

static int write_v1(const struct proxy_header *header, uint8_t *buffer) {
        char source[NB_ADDRESS_TEXT_MAX], destination[NB_ADDRESS_TEXT_MAX];

        if (!header->has_addresses)
                return snprintf((char *)buffer, PROXY_HEADER_WRITTEN_MAX, "PROXY UNKNOWN\r\n");
        return snprintf((char *)buffer, PROXY_HEADER_WRITTEN_MAX, "PROXY %s %s %s %u %u\r\n",
                        header->source.ip.family == AF_INET ? "TCP4" : "TCP6", nb_ip_format(&header->source.ip, source),
                        nb_ip_format(&header->destination.ip, destination), header->source.port,
                        header->destination.port);
}

static void write16(uint8_t *buffer, uint16_t value) {
        buffer[0] = (uint8_t)(value >> 8);
        buffer[1] = (uint8_t)value;
}

static int write_v2(const struct proxy_header *header, uint8_t *buffer) {
        size_t size = header->source.ip.family == AF_INET ? 4 : 16, length = 0;
        uint8_t *addresses = buffer + V2_FIXED;

        memcpy(buffer, signature, sizeof(signature));
        buffer[12] = V2_PROXY;
        buffer[13] = V2_UNSPECIFIED;
        if (header->has_addresses) {
                buffer[13] = size == 4 ? V2_TCP4 : V2_TCP6;
                length = 2 * size + 4;
                memcpy(addresses, header->source.ip.bytes, size);
                memcpy(addresses + size, header->destination.ip.bytes, size);
                write16(addresses + 2 * size, header->source.port);
                write16(addresses + 2 * size + 2, header->destination.port);
        }
        write16(buffer + 14, (uint16_t)length);
        return (int)(V2_FIXED + length);
}

int proxy_header_write(unsigned version, const struct proxy_header *header,
                       uint8_t buffer[static PROXY_HEADER_WRITTEN_MAX]) {
        if (header->has_addresses && header->source.ip.family != header->destination.ip.family)
                return -EINVAL;
        switch (version) {
        case 1:
                return write_v1(header, buffer);
        case 2:
                return write_v2(header, buffer);
        default:
                return -EINVAL;
        }
}
