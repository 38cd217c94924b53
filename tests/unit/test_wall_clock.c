/* SPDX-License-Identifier: Apache-2.0 */
/* The wall clock's moments as text, at the ends of what a calendar has. */
#include <check.h>
#include <time.h>

#include "base/wall_clock.h"
#include "tests/support/runner.h"

#define YEAR_10000_MS (UINT64_C(253402300800) * 1000)

START_TEST(a_moment_is_written) {
        char text[NB_WALL_CLOCK_TEXT_MAX];

        ck_assert_str_eq(nb_wall_clock_format(0, text), "1970-01-01T00:00:00.000Z");
        ck_assert_str_eq(nb_wall_clock_format(UINT64_C(951782399007), text), "2000-02-28T23:59:59.007Z");
        ck_assert_str_eq(nb_wall_clock_format(UINT64_C(951782400000), text), "2000-02-29T00:00:00.000Z");
        ck_assert_str_eq(nb_wall_clock_format(YEAR_10000_MS - 1, text), "9999-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(a_moment_that_no_calendar_has_is_none) {
        char text[NB_WALL_CLOCK_TEXT_MAX];

        ck_assert_ptr_null(nb_wall_clock_format(YEAR_10000_MS, text));
        ck_assert_ptr_null(nb_wall_clock_format(UINT64_MAX, text));
}
END_TEST

START_TEST(it_is_now) {
        uint64_t before = (uint64_t)time(NULL) * 1000;
        uint64_t now = nb_wall_clock_ms();

        ck_assert_uint_ge(now + 1000, before);
        ck_assert_uint_le(now, (uint64_t)time(NULL) * 1000 + 1000);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("wall_clock");
        TCase *tests = tcase_create("wall_clock");

        tcase_add_test(tests, a_moment_is_written);
        tcase_add_test(tests, a_moment_that_no_calendar_has_is_none);
        tcase_add_test(tests, it_is_now);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
