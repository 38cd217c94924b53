/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64url (RFC 4648): the vectors of its section 10 without padding, and what is no canonical text.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/base64url.h"
#include "tests/support/runner.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
        const char *text;
        const char *bytes; /* NULL: refused */
        size_t length;
} texts[] = {
        { "", "", 0 },
        { "Zg", "f", 1 },
        { "Zm8", "fo", 2 },
        { "Zm9v", "foo", 3 },
        { "Zm9vYg", "foob", 4 },
        { "Zm9vYmE", "fooba", 5 },
        { "Zm9vYmFy", "foobar", 6 },
        { "-_8", "\xfb\xff", 2 },
        { "AAAA", "\0\0\0", 3 },
        { "____", "\xff\xff\xff", 3 },
        /* The letters of plain base64, padding, blanks. */
        { "+/8", NULL, 0 },
        { "Zg==", NULL, 0 },
        { "Zm9v\n", NULL, 0 },
        { "Zm 9v", NULL, 0 },
        { "Zm9\xc3", NULL, 0 },
        /* A group of one letter has no byte. */
        { "Z", NULL, 0 },
        { "Zm9vY", NULL, 0 },
        /* Bits that no byte has: each would be a second text of the same bytes. */
        { "Zh", NULL, 0 },
        { "Zv", NULL, 0 },
        { "Zm9", NULL, 0 },
        { "Zm-", NULL, 0 },
};

START_TEST(decode) {
        size_t length = strlen(texts[_i].text), n = 77;
        uint8_t buffer[16];
        int r = nb_base64url_decode(texts[_i].text, length, buffer, &n);

        if (!texts[_i].bytes) {
                ck_assert_int_eq(r, -EINVAL);
                ck_assert_uint_eq(n, 77);
                return;
        }
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(n, texts[_i].length);
        ck_assert_mem_eq(buffer, texts[_i].bytes, n);
}
END_TEST

/* A NUL is a byte like others, not the end. */
START_TEST(a_nul_is_no_letter) {
        uint8_t buffer[16];
        size_t n;

        ck_assert_int_eq(nb_base64url_decode("Zg\0\0", 4, buffer, &n), -EINVAL);
}
END_TEST

/* Of all texts of two letters, exactly one stands for each byte. */
START_TEST(each_byte_has_one_text) {
        unsigned found[256] = { 0 };

        for (unsigned i = 0; i < 65536; ++i) {
                const char text[2] = { (char)(i >> 8), (char)i };
                uint8_t buffer[4];
                size_t n;

                if (nb_base64url_decode(text, sizeof(text), buffer, &n) < 0)
                        continue;
                ck_assert_uint_eq(n, 1);
                found[buffer[0]]++;
        }
        for (size_t i = 0; i < ELEMENTS(found); ++i)
                ck_assert_uint_eq(found[i], 1);
}
END_TEST

static Suite *base64url_suite(void) {
        Suite *suite = suite_create("base64url");
        TCase *tcase = tcase_create("decode");

        tcase_add_loop_test(tcase, decode, 0, ELEMENTS(texts));
        tcase_add_test(tcase, a_nul_is_no_letter);
        tcase_add_test(tcase, each_byte_has_one_text);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(base64url_suite());
}
