/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY headers: the input is what a peer sends first.
 *
 * The reader asks for more bytes each time, and for no more than the longest header has, nor for any behind the header's own end; and the
 * addresses that it finds, written again in either version, are read as the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "relay/proxy/header.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "proxy_header";

/* A header that is there as a whole. @return as proxy_header_read() */
static int read_exactly(const uint8_t *data, size_t length, struct proxy_header *ret) {
        NB_CLEANUP_FREE char *copy = fuzz_text(data, length);
        const char *complaint = NULL;
        int r = proxy_header_read((const uint8_t *)copy, length, ret, &complaint);

        FUZZ_CHECK((r == -EBADMSG) == (complaint != NULL), "%d", r);
        return r;
}

static void check_version(const struct proxy_header *header, unsigned version) {
        uint8_t bytes[PROXY_HEADER_WRITTEN_MAX];
        struct proxy_header again = { 0 };
        int length = proxy_header_write(version, header, bytes);

        FUZZ_CHECK(length > 0, "version %u: %d", version, length);
        FUZZ_CHECK(version != 1 || length <= PROXY_HEADER_V1_MAX, "%d bytes", length);
        FUZZ_CHECK(read_exactly(bytes, (size_t)length, &again) == 0, "version %u", version);
        FUZZ_CHECK(again.has_addresses == header->has_addresses, "version %u", version);
        if (!header->has_addresses)
                return;
        FUZZ_CHECK(nb_address_equal(&again.source, &header->source), "version %u", version);
        FUZZ_CHECK(nb_address_equal(&again.destination, &header->destination), "version %u", version);
}

/* A line ends at its first LF; a binary header where its length says. */
static void check_end(const uint8_t *data, size_t length) {
        if (data[0] == 'P')
                FUZZ_CHECK(memchr(data, '\n', length) == data + length - 1 && data[length - 2] == '\r', "%zu", length);
        else
                FUZZ_CHECK(length == 16u + (size_t)(data[14] << 8 | data[15]), "%zu", length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct proxy_header header = { 0 };
        size_t length = 0;
        int r;

        while ((r = read_exactly(data, length, &header)) > 0) {
                FUZZ_CHECK((size_t)r > length && r <= PROXY_HEADER_V2_MAX, "%d after %zu", r, length);
                length = (size_t)r;
                if (length > size)
                        return 0;
        }
        FUZZ_CHECK(r == 0 || r == -EBADMSG, "%d", r);
        if (r < 0)
                return 0;
        check_end(data, length);
        check_version(&header, 1);
        check_version(&header, 2);
        return 0;
}
