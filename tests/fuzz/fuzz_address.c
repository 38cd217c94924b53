/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: the input is a text, as a guest writes it, and the same bytes are taken for what the kernel reports.
 *
 * What is an IP address is what inet_pton(3) takes for one, no more and no less. What is parsed is printed as a text that means the same, and
 * survives its way through the kernel's form. A prefix holds what it says bit by bit.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/socket_address.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "address";

static bool system_takes(const char *text, size_t length) {
        uint8_t bytes[16];

        return strlen(text) == length &&
               (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1);
}

static void check_ip_text(const char *text, size_t length) {
        char printed[NB_ADDRESS_TEXT_MAX];
        struct nb_ip ip, again;
        int r = nb_ip_parse(text, length, &ip);

        FUZZ_CHECK(r == 0 || r == -EINVAL, "%d", r);
        FUZZ_CHECK((r == 0) == system_takes(text, length), "inet_pton does not agree about \"%s\"", text);
        if (r < 0)
                return;
        nb_ip_format(&ip, printed);
        FUZZ_CHECK(nb_ip_parse(printed, strlen(printed), &again) == 0 && nb_ip_equal(&ip, &again), "%s, %s", text,
                   printed);
}

static void check_port_text(const char *text, size_t length) {
        uint16_t port;

        if (nb_port_parse(text, length, &port) < 0)
                return;
        FUZZ_CHECK(strspn(text, "0123456789") == length && length >= 1 && length <= 5, "\"%s\" is port %u", text, port);
        FUZZ_CHECK(strtoul(text, NULL, 10) == port && (text[0] != '0' || length == 1), "\"%s\" is port %u", text, port);
}

/** Prints, parses, and goes through the kernel's form: the same each time. */
static void check_round_trip(const struct nb_socket_address *address) {
        char printed[NB_SOCKET_ADDRESS_TEXT_MAX], again_printed[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct nb_socket_address again;
        struct sockaddr_storage kernel;
        socklen_t length;

        nb_socket_address_format(address, printed);
        FUZZ_CHECK(nb_socket_address_parse(printed, strlen(printed), &again) == 0, "%s", printed);
        FUZZ_CHECK(strcmp(nb_socket_address_format(&again, again_printed), printed) == 0, "%s, %s", printed,
                   again_printed);
        length = nb_socket_address_to_sockaddr(address, &kernel);
        FUZZ_CHECK(nb_socket_address_from_sockaddr((const struct sockaddr *)&kernel, length, &again) == 0, "%s",
                   printed);
        FUZZ_CHECK(strcmp(nb_socket_address_format(&again, again_printed), printed) == 0, "%s, %s", printed,
                   again_printed);
}

static void check_socket_text(const char *text, size_t length) {
        struct nb_socket_address address;

        if (nb_socket_address_parse(text, length, &address) == 0)
                check_round_trip(&address);
}

/** What the kernel would never report is refused, and whatever it may report has a text. */
static void check_kernel_form(const uint8_t *data, size_t size) {
        struct nb_socket_address address;
        struct sockaddr_storage kernel = { 0 };

        if (size > sizeof(kernel))
                return;
        memcpy(&kernel, data, size);
        if (nb_socket_address_from_sockaddr((const struct sockaddr *)&kernel, (socklen_t)size, &address) == 0)
                check_round_trip(&address);
}

static bool same_bits(const struct nb_ip *a, const struct nb_ip *b, unsigned n) {
        for (unsigned i = 0; i < n; ++i)
                if (((a->bytes[i / 8] ^ b->bytes[i / 8]) >> (7 - i % 8)) & 1)
                        return false;
        return true;
}

/** Two addresses and a length, of 16 + 16 + 1 bytes. */
static void check_prefixes(const uint8_t *data, size_t size) {
        struct nb_prefix prefix = { .ip.family = AF_INET6 };
        struct nb_ip ip = { .family = AF_INET6 }, inside = { .family = AF_UNSPEC };

        if (size < 33)
                return;
        memcpy(prefix.ip.bytes, data, 16);
        memcpy(ip.bytes, data + 16, 16);
        prefix.length = data[32] % 129;
        for (unsigned i = prefix.length; i < 128; ++i)
                prefix.ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);

        FUZZ_CHECK(!nb_prefix_has_host_bits(&prefix), "/%u", prefix.length);
        FUZZ_CHECK(nb_prefix_contains(&prefix, &ip) == same_bits(&prefix.ip, &ip, prefix.length), "/%u", prefix.length);
        if (nb_ip_embedded_ipv4(&ip, &inside))
                FUZZ_CHECK(inside.family == AF_INET, "family %u", inside.family);
        else
                FUZZ_CHECK(!nb_prefix_embeds_ipv4(&prefix) || !nb_prefix_contains(&prefix, &ip), "/%u", prefix.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE char *text = fuzz_text(data, size);

        check_ip_text(text, size);
        check_port_text(text, size);
        check_socket_text(text, size);
        check_kernel_form(data, size);
        check_prefixes(data, size);
        return 0;
}
