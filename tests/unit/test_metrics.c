/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms, the text for Prometheus, and where it may be served.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "broker/exporter.h"
#include "broker/exposition.h"
#include "broker/metrics.h"
#include "tests/support/runner.h"

START_TEST(bounds_ascend) {
        ck_assert_uint_eq(metrics_bucket_bound(0), 100);
        ck_assert_uint_eq(metrics_bucket_bound(METRICS_N_BUCKETS - 2), 30000000);
        ck_assert_uint_eq(metrics_bucket_bound(METRICS_N_BUCKETS - 1), UINT64_MAX);
        for (unsigned i = 1; i < METRICS_N_BUCKETS; ++i)
                ck_assert_uint_gt(metrics_bucket_bound(i), metrics_bucket_bound(i - 1));
}
END_TEST

/* A bound belongs to its bucket, as "le" says. */
START_TEST(a_time_is_in_the_first_bucket_that_holds_it) {
        for (unsigned i = 0; i < METRICS_N_BUCKETS; ++i) {
                struct metrics_histogram histogram = { .n = 0 };
                uint64_t bound = metrics_bucket_bound(i);

                metrics_observe(&histogram, bound);
                ck_assert_uint_eq(histogram.counts[i], 1);
                ck_assert_uint_eq(histogram.sum_us, bound);
                if (i + 1 < METRICS_N_BUCKETS) {
                        metrics_observe(&histogram, bound + 1);
                        ck_assert_uint_eq(histogram.counts[i + 1], 1);
                        ck_assert_uint_eq(histogram.n, 2);
                }
        }
}
END_TEST

START_TEST(zero_is_a_time) {
        struct metrics_histogram histogram = { .n = 0 };

        metrics_observe(&histogram, 0);
        ck_assert_uint_eq(histogram.counts[0], 1);
}
END_TEST

static uint64_t used_ns(void) {
        struct timespec used;

        ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
        return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* What a connect pays: two looks at the clock, a few numbers, and a histogram. A connect takes tens of microseconds. */
START_TEST(counting_costs_next_to_nothing) {
        enum { ROUNDS = 100000, MOST_NS = 5000 };
        struct metrics metrics = { .requests = 0 };
        uint64_t begin = used_ns(), took;

        for (int i = 0; i < ROUNDS; ++i) {
                uint64_t since = uv_hrtime();

                metrics.requests++;
                metrics.decisions[POLICY_CONNECT][METRICS_ALLOWED]++;
                metrics.connects_done++;
                metrics_observe(&metrics.connect, (uv_hrtime() - since) / 1000);
        }
        took = (used_ns() - begin) / ROUNDS;
        ck_assert_uint_eq(metrics.connect.n, ROUNDS);
        ck_assert_msg(took < MOST_NS, "%llu ns a connect", (unsigned long long)took);
}
END_TEST

/* ---- the text ---- */

static void expect_text(struct exposition *exposition, const char *expected) {
        ck_assert(!exposition->failed);
        ck_assert_str_eq(exposition->text, expected);
        ck_assert_uint_eq(exposition->length, strlen(expected));
        exposition_deinit(exposition);
        ck_assert_ptr_null(exposition->text);
}

START_TEST(a_family_and_its_samples) {
        const struct exposition_label labels[] = { { "tenant", "acme" }, { "verb", "connect" }, { NULL, NULL } };
        struct exposition exposition = { .family = NULL };

        exposition_family(&exposition, "nb_x_total", "counter", "What it is.");
        exposition_number(&exposition, NULL, 0);
        exposition_number(&exposition, labels, UINT64_MAX);
        exposition_seconds(&exposition, NULL, 1.5);
        exposition_seconds(&exposition, NULL, -1);
        exposition_infinity(&exposition, labels);
        expect_text(&exposition, "# HELP nb_x_total What it is.\n# TYPE nb_x_total counter\n"
                                 "nb_x_total 0\n"
                                 "nb_x_total{tenant=\"acme\",verb=\"connect\"} 18446744073709551615\n"
                                 "nb_x_total 1.500000\n"
                                 "nb_x_total 0.000000\n"
                                 "nb_x_total{tenant=\"acme\",verb=\"connect\"} +Inf\n");
}
END_TEST

/* Nobody but the operator writes labels, but what a label holds cannot end it all the same. */
START_TEST(values_of_labels_are_escaped) {
        const struct exposition_label labels[] = { { "tenant", "a\"} 1\n\\b\\" }, { NULL, NULL } };
        struct exposition exposition = { .family = NULL };

        exposition_family(&exposition, "x", "gauge", "X.");
        exposition_number(&exposition, labels, 1);
        expect_text(&exposition, "# HELP x X.\n# TYPE x gauge\nx{tenant=\"a\\\"} 1\\n\\\\b\\\\\"} 1\n");
}
END_TEST

START_TEST(a_histogram_is_cumulative) {
        const struct exposition_label labels[] = { { "tenant", "acme" }, { NULL, NULL } };
        struct exposition exposition = { .family = NULL };
        struct metrics_histogram histogram = { .n = 0 };

        metrics_observe(&histogram, 100);
        metrics_observe(&histogram, 2400);
        metrics_observe(&histogram, 3600000000);
        exposition_family(&exposition, "t_seconds", "histogram", "T.");
        exposition_histogram(&exposition, labels, &histogram);
        ck_assert_ptr_nonnull(strstr(exposition.text, "\nt_seconds_bucket{tenant=\"acme\",le=\"0.0001\"} 1\n"));
        ck_assert_ptr_nonnull(strstr(exposition.text, "\nt_seconds_bucket{tenant=\"acme\",le=\"0.001\"} 1\n"));
        ck_assert_ptr_nonnull(strstr(exposition.text, "\nt_seconds_bucket{tenant=\"acme\",le=\"0.0025\"} 2\n"));
        ck_assert_ptr_nonnull(strstr(exposition.text, "\nt_seconds_bucket{tenant=\"acme\",le=\"1\"} 2\n"));
        ck_assert_ptr_nonnull(strstr(exposition.text, "\nt_seconds_bucket{tenant=\"acme\",le=\"30\"} 2\n"));
        ck_assert_ptr_nonnull(strstr(exposition.text, "\nt_seconds_bucket{tenant=\"acme\",le=\"+Inf\"} 3\n"));
        ck_assert_ptr_nonnull(strstr(exposition.text, "\nt_seconds_sum{tenant=\"acme\"} 3600.002500\n"));
        ck_assert_ptr_nonnull(strstr(exposition.text, "\nt_seconds_count{tenant=\"acme\"} 3\n"));
        exposition_deinit(&exposition);
}
END_TEST

START_TEST(a_text_of_any_length) {
        struct exposition exposition = { .family = NULL };

        exposition_family(&exposition, "x", "gauge", "X.");
        for (unsigned i = 0; i < 100000; ++i)
                exposition_number(&exposition, NULL, 7);
        ck_assert(!exposition.failed);
        ck_assert_uint_eq(exposition.length, strlen("# HELP x X.\n# TYPE x gauge\n") + 100000 * strlen("x 7\n"));
        ck_assert_uint_eq(strlen(exposition.text), exposition.length);
        exposition_deinit(&exposition);
}
END_TEST

/* ---- where ---- */

struct place {
        const char *text;
        int expected;
};

static const struct place places[] = {
        { "127.0.0.1:9000", 0 },
        { "127.0.0.1:0", 0 },
        { "[::1]:9000", 0 },
        { "unix:/run/netbroker/metrics.sock", 0 },
        { "127.0.0.2:9000", -EADDRNOTAVAIL },
        { "0.0.0.0:9000", -EADDRNOTAVAIL },
        { "[::]:9000", -EADDRNOTAVAIL },
        { "192.0.2.1:9000", -EADDRNOTAVAIL },
        { "[::ffff:127.0.0.1]:9000", -EADDRNOTAVAIL },
        { "127.0.0.1", -EINVAL },
        { ":9000", -EINVAL },
        { "9000", -EINVAL },
        { "localhost:9000", -EINVAL },
        { "127.0.0.1:65536", -EINVAL },
        { "unix:", -EINVAL },
        { "unix:metrics.sock", -EINVAL },
        { "unix:@metrics", -EINVAL },
        { "/run/netbroker/metrics.sock", -EINVAL },
        { "", -EINVAL },
};

START_TEST(where_metrics_may_be_served) {
        struct nb_socket_address address = { .family = AF_UNSPEC };

        ck_assert_msg(exporter_parse(places[_i].text, &address) == places[_i].expected, "%s", places[_i].text);
        ck_assert_int_eq(address.family != AF_UNSPEC, places[_i].expected == 0);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("metrics");
        TCase *tcase = tcase_create("metrics");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, bounds_ascend);
        tcase_add_test(tcase, a_time_is_in_the_first_bucket_that_holds_it);
        tcase_add_test(tcase, zero_is_a_time);
        tcase_add_test(tcase, counting_costs_next_to_nothing);
        tcase_add_test(tcase, a_family_and_its_samples);
        tcase_add_test(tcase, values_of_labels_are_escaped);
        tcase_add_test(tcase, a_histogram_is_cumulative);
        tcase_add_test(tcase, a_text_of_any_length);
        tcase_add_loop_test(tcase, where_metrics_may_be_served, 0, sizeof(places) / sizeof(places[0]));
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
