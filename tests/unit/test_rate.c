/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>

#include "broker/rate.h"
#include "tests/support/runner.h"

START_TEST(a_new_bucket_is_full) {
        struct rate rate;

        rate_init(&rate, 10, 3, 1000);
        for (int i = 0; i < 3; ++i)
                ck_assert(rate_take(&rate, 1000));
        ck_assert(!rate_take(&rate, 1000));
}
END_TEST

START_TEST(it_fills_at_its_rate_and_not_beyond_its_burst) {
        struct rate rate;

        rate_init(&rate, 10, 3, 0);
        rate_spend(&rate, rate_available(&rate, 0));
        ck_assert_uint_eq(rate_available(&rate, 99), 0);
        ck_assert_uint_eq(rate_available(&rate, 100), 1);
        ck_assert_uint_eq(rate_available(&rate, 250), 2);
        ck_assert_uint_eq(rate_available(&rate, 1000000000), 3);
}
END_TEST

/* However often one looks: no fraction of a token is lost, and none is made. */
START_TEST(parts_of_tokens_add_up) {
        struct rate rate;
        uint64_t taken = 0;

        rate_init(&rate, 7, 1, 0);
        rate_spend(&rate, 1);
        for (uint64_t now = 1; now <= 100000; ++now)
                taken += rate_take(&rate, now);
        ck_assert_uint_ge(taken, 699);
        ck_assert_uint_le(taken, 700);
}
END_TEST

START_TEST(time_that_goes_back_gives_nothing) {
        struct rate rate;

        rate_init(&rate, 1000, 1000, 5000);
        rate_spend(&rate, 1000);
        ck_assert_uint_eq(rate_available(&rate, 4000), 0);
        ck_assert_uint_eq(rate_available(&rate, 4001), 1);
}
END_TEST

START_TEST(the_wait_is_what_it_takes) {
        struct rate rate;

        rate_init(&rate, 3, 10, 0);
        ck_assert_uint_eq(rate_wait_ms(&rate, 5), 1);
        rate_spend(&rate, 10);
        ck_assert_uint_eq(rate_wait_ms(&rate, 1), 334);
        ck_assert_uint_eq(rate_available(&rate, 333), 0);
        ck_assert_uint_eq(rate_available(&rate, 334), 1);
        rate_spend(&rate, 1);
        /* There will never be more than the burst. */
        ck_assert_uint_le(rate_wait_ms(&rate, 1000), 3334);
}
END_TEST

START_TEST(without_a_limit_there_is_always_one) {
        struct rate rate;

        rate_init(&rate, RATE_UNLIMITED, RATE_UNLIMITED, 0);
        for (int i = 0; i < 1000; ++i)
                ck_assert(rate_take(&rate, 0));
        rate_spend(&rate, UINT64_MAX);
        ck_assert_uint_eq(rate_available(&rate, 0), RATE_UNLIMITED);
        ck_assert_uint_eq(rate_wait_ms(&rate, 1), 1);
}
END_TEST

START_TEST(the_greatest_rate_and_time_overflow_nothing) {
        struct rate rate;

        rate_init(&rate, RATE_MOST, RATE_MOST, 0);
        rate_spend(&rate, RATE_MOST);
        ck_assert_uint_eq(rate_available(&rate, 1), RATE_MOST / 1000);
        ck_assert_uint_eq(rate_available(&rate, UINT64_MAX), RATE_MOST);
        rate_init(&rate, 1, RATE_MOST, 0);
        rate_spend(&rate, RATE_MOST);
        ck_assert_uint_eq(rate_available(&rate, UINT64_MAX), RATE_MOST);
        rate_spend(&rate, RATE_MOST);
        ck_assert_uint_eq(rate_wait_ms(&rate, UINT64_MAX), RATE_MOST * 1000);
}
END_TEST

/* A reload must not give a tenant a new bucket each time. */
START_TEST(a_change_keeps_what_is_there) {
        struct rate rate;

        rate_init(&rate, 10, 10, 0);
        rate_spend(&rate, 8);
        rate_change(&rate, 100, 100, 0);
        ck_assert_uint_eq(rate_available(&rate, 0), 2);
        rate_change(&rate, 100, 1, 0);
        ck_assert_uint_eq(rate_available(&rate, 0), 1);
        rate_change(&rate, RATE_UNLIMITED, RATE_UNLIMITED, 0);
        ck_assert_uint_eq(rate_available(&rate, 0), RATE_UNLIMITED);
        rate_change(&rate, 10, 5, 100);
        ck_assert_uint_le(rate_available(&rate, 100), 5);
}
END_TEST

/* What was taken before it could be asked for is paid first, and never more than a burst of it. */
START_TEST(a_debt_is_filled_first) {
        struct rate rate;

        rate_init(&rate, 10, 10, 0);
        rate_owe(&rate, 15, 0);
        ck_assert_uint_eq(rate_available(&rate, 500), 0);
        ck_assert_uint_eq(rate_wait_ms(&rate, 1), 100);
        ck_assert_uint_eq(rate_available(&rate, 600), 1);
        rate_owe(&rate, UINT64_MAX, 600);
        ck_assert_uint_eq(rate_available(&rate, 1600), 0);
        ck_assert_uint_eq(rate_available(&rate, 2600), 10);
}
END_TEST

/* The operator who lowers the rate of one that asks for too much does not shut it out for hours. */
START_TEST(a_debt_is_of_the_rate_of_now) {
        struct rate rate;

        rate_init(&rate, 10000, 10000, 0);
        rate_owe(&rate, 20000, 0);
        ck_assert_uint_eq(rate_wait_ms(&rate, 10), 1001);
        rate_change(&rate, 1, 1, 0);
        ck_assert_uint_eq(rate_wait_ms(&rate, 1), 2000);
        ck_assert_uint_eq(rate_available(&rate, 2000), 1);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("rate");
        TCase *tcase = tcase_create("rate");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, a_new_bucket_is_full);
        tcase_add_test(tcase, it_fills_at_its_rate_and_not_beyond_its_burst);
        tcase_add_test(tcase, parts_of_tokens_add_up);
        tcase_add_test(tcase, time_that_goes_back_gives_nothing);
        tcase_add_test(tcase, the_wait_is_what_it_takes);
        tcase_add_test(tcase, without_a_limit_there_is_always_one);
        tcase_add_test(tcase, the_greatest_rate_and_time_overflow_nothing);
        tcase_add_test(tcase, a_change_keeps_what_is_there);
        tcase_add_test(tcase, a_debt_is_filled_first);
        tcase_add_test(tcase, a_debt_is_of_the_rate_of_now);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
