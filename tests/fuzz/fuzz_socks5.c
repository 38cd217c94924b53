/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SOCKS5: the first line of the input is a target, the byte behind it says whether there is a password, and the rest is what the proxy sends.
 *
 * The request for a target that is one holds that target and nothing else. Of what the proxy sends no more is asked for than the longest
 * reply has, and nothing behind a reply is looked at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "relay/proxy/socks5.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "socks5";

/* What is left of the proxy's bytes. */
struct bytes {
        const uint8_t *data;
        size_t size;
};

/* A copy of exactly that size, so that a sanitizer sees what is read too far. NULL: there are not so many. */
static uint8_t *take(struct bytes *bytes, size_t size) {
        uint8_t *copy;

        if (bytes->size < size)
                return NULL;
        copy = (uint8_t *)fuzz_text(bytes->data, size);
        bytes->data += size;
        bytes->size -= size;
        return copy;
}

static void check_request(const char *text) {
        uint8_t request[SOCKS5_REQUEST_MAX];
        struct proxy_target target;
        size_t length, address;

        if (proxy_target_parse(text, strlen(text), &target) < 0)
                return;
        length = socks5_write_request(&target, request);
        FUZZ_CHECK(length >= 4 + 1 + 1 + 2 && length <= sizeof(request), "%zu bytes", length);
        FUZZ_CHECK(memcmp(request, "\x05\x01\x00", 3) == 0, "%s", text);
        FUZZ_CHECK(target.port > 0 && request[length - 2] << 8 == (target.port & 0xff00), "%s", text);
        address = length - 4 - 2;
        if (!target.is_name) {
                FUZZ_CHECK(address == (request[3] == 1 ? 4u : 16u), "%zu bytes", address);
                FUZZ_CHECK(memcmp(request + 4, target.address.ip.bytes, address) == 0, "%s", text);
                return;
        }
        FUZZ_CHECK(request[3] == 3 && request[4] == address - 1 && strlen(target.name) == address - 1, "%s", text);
        FUZZ_CHECK(memcmp(request + 5, text, address - 1) == 0 && text[address - 1] == ':', "%s", text);
}

/* @return what socks5_read_method() does; -EAGAIN without an answer */
static int read_method(struct bytes *bytes, bool has_password) {
        NB_CLEANUP_FREE uint8_t *answer = take(bytes, SOCKS5_METHOD_SIZE);
        int r = answer ? socks5_read_method(answer, has_password) : -EAGAIN;

        FUZZ_CHECK(r != 1 || has_password, "%d", r);
        return r;
}

static int read_login_answer(struct bytes *bytes) {
        NB_CLEANUP_FREE uint8_t *answer = take(bytes, SOCKS5_LOGIN_ANSWER_SIZE);

        return answer ? socks5_read_login_answer(answer) : -EAGAIN;
}

static void read_reply(const struct bytes *bytes) {
        size_t length = 0;
        uint8_t code = 0;

        for (;;) {
                struct bytes from_start = *bytes;
                NB_CLEANUP_FREE uint8_t *part = take(&from_start, length);
                const char *words = NULL;
                int r;

                if (!part)
                        return;
                r = socks5_read_reply(part, length, &code);
                FUZZ_CHECK(r >= 0 || r == -EBADMSG, "%d", r);
                FUZZ_CHECK(r <= 0 || (size_t)r > length, "%d after %zu", r, length);
                FUZZ_CHECK(r <= SOCKS5_REPLY_MAX, "%d", r);
                if (r == 0)
                        FUZZ_CHECK((socks5_code_cause(code, &words) == NB__RELAY__CAUSE__CAUSE_UNSPECIFIED) ==
                                           (code == 0),
                                   "%u: %s", code, words);
                if (r <= 0)
                        return;
                length = (size_t)r;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
        NB_CLEANUP_FREE char *target = NULL;
        struct bytes bytes;
        int r;

        if (!end || end + 1 == data + size)
                return 0;
        target = fuzz_text(data, (size_t)(end - data));
        check_request(target);
        bytes = (struct bytes){ .data = end + 2, .size = (size_t)(data + size - end) - 2 };
        r = read_method(&bytes, end[1] & 1);
        if (r > 0)
                r = read_login_answer(&bytes);
        if (r == 0)
                read_reply(&bytes);
        return 0;
}
