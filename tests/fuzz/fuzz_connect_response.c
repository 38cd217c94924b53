/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy's answer to CONNECT: the first byte of the input says by how many bytes it comes in, the rest is what the proxy sends.
 *
 * The pieces make no difference. No more than the bound is taken, and what is taken for an answer has a final status, ends at its first blank
 * line behind that, and has no NUL, no CR without LF and no LF without CR in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "relay/proxy/http_response.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "connect_response";

/* @param ret_used  bytes of the answer, where that is whole */
static int feed(struct http_response *response, const uint8_t *bytes, size_t size, size_t piece, size_t *ret_used) {
        int r = -EAGAIN;

        *response = (struct http_response){ 0 };
        *ret_used = 0;
        for (size_t from = 0; from < size && r == -EAGAIN; from += piece) {
                size_t length = size - from < piece ? size - from : piece, used = 0;

                r = http_response_feed(response, bytes + from, length, &used);
                FUZZ_CHECK(used <= length, "%zu of %zu", used, length);
                FUZZ_CHECK(r != -EAGAIN || used == length, "%zu of %zu", used, length);
                *ret_used += used;
        }
        FUZZ_CHECK(r == 0 || r == -EAGAIN || r == -EBADMSG, "%d", r);
        FUZZ_CHECK((r == -EBADMSG) == (response->complaint != NULL), "%d", r);
        return r;
}

static void check_answer(const struct http_response *response, const char *text, size_t length) {
        const char *last = NULL;

        FUZZ_CHECK(response->status >= 200 && response->status <= 599, "status %u", response->status);
        FUZZ_CHECK(response->reason_length <= HTTP_REASON_MAX, "%zu", response->reason_length);
        FUZZ_CHECK(length <= HTTP_RESPONSE_MAX && length >= 16, "%zu bytes", length);
        FUZZ_CHECK(memcmp(text + length - 4, "\r\n\r\n", 4) == 0, "%zu bytes", length);
        for (size_t i = 0; i < length; ++i) {
                FUZZ_CHECK(text[i] != '\0', "at %zu", i);
                FUZZ_CHECK(text[i] != '\r' || (i + 1 < length && text[i + 1] == '\n'), "at %zu", i);
                FUZZ_CHECK(text[i] != '\n' || (i > 0 && text[i - 1] == '\r'), "at %zu", i);
                if (i + 4 < length && memcmp(text + i, "\r\n\r\n", 4) == 0)
                        last = text + i + 4;
        }
        /* What is in front of another blank line is interim. */
        FUZZ_CHECK(!last || strtol(last + 9, NULL, 10) == (long)response->status, "%s", last);
        FUZZ_CHECK(!last || text[9] == '1', "%s", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE char *text = NULL;
        struct http_response whole, pieces;
        size_t used, used_in_pieces;
        int r;

        if (size < 1)
                return 0;
        text = fuzz_text(data + 1, size - 1);
        r = feed(&whole, (const uint8_t *)text, size - 1, size, &used);
        FUZZ_CHECK(feed(&pieces, (const uint8_t *)text, size - 1, data[0] % 64 + 1u, &used_in_pieces) == r, "%d", r);
        if (r == 0) {
                FUZZ_CHECK(used == used_in_pieces && whole.status == pieces.status, "%zu and %zu", used,
                           used_in_pieces);
                check_answer(&whole, text, used);
        }
        FUZZ_CHECK(r != -EAGAIN || size - 1 <= HTTP_RESPONSE_MAX, "%zu bytes, and still no end", size - 1);
        return 0;
}
