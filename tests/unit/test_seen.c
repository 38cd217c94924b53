/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "broker/seen.h"
#include "tests/support/runner.h"

/* What seen_each() tells, as text. */
struct listing {
        char text[1024];
        size_t length;
        size_t n;
};

static void list(void *data, const struct seen_entry *entry) {
        struct listing *listing = data;

        listing->n++;
        if (listing->length < sizeof(listing->text))
                listing->length +=
                        (size_t)snprintf(listing->text + listing->length, sizeof(listing->text) - listing->length,
                                         "%s %d %s %llu %llu\n", entry->protocol, (int)entry->verb, entry->target,
                                         (unsigned long long)entry->n, (unsigned long long)entry->n_denied);
}

START_TEST(each_thing_is_kept_once_in_its_order) {
        struct seen *seen = seen_new();
        struct listing listing = { 0 };

        seen_note(seen, "web", POLICY_CONNECT, "api.example.com:443", false);
        seen_note(seen, "web", POLICY_CONNECT, "192.0.2.1:443", true);
        seen_note(seen, "web", POLICY_LISTEN, "192.0.2.1:443", false);
        seen_note(seen, "db", POLICY_CONNECT, "192.0.2.1:443", false);
        seen_note(seen, "web", POLICY_CONNECT, "192.0.2.1:443", false);
        ck_assert_uint_eq(seen_each(seen, list, &listing), 0);
        ck_assert_str_eq(listing.text, "web 0 api.example.com:443 1 0\n"
                                       "web 0 192.0.2.1:443 2 1\n"
                                       "web 1 192.0.2.1:443 1 0\n"
                                       "db 0 192.0.2.1:443 1 0\n");
        ck_assert_ptr_null(seen_free(seen));
}
END_TEST

/* Texts that would be one if they stood side by side without a border. */
START_TEST(texts_do_not_run_together) {
        struct seen *seen = seen_new();
        struct listing listing = { 0 };

        seen_note(seen, "a", POLICY_CONNECT, "bc:1", false);
        seen_note(seen, "ab", POLICY_CONNECT, "c:1", false);
        (void)seen_each(seen, list, &listing);
        ck_assert_uint_eq(listing.n, 2);
        (void)seen_free(seen);
}
END_TEST

START_TEST(what_does_not_fit_is_counted) {
        struct seen *seen = seen_new();
        struct listing listing = { 0 };
        char target[32], longest[SEEN_TARGET_MAX + 2];

        for (unsigned i = 0; i < SEEN_MAX + 10; ++i) {
                (void)snprintf(target, sizeof(target), "n%u.example:443", i);
                seen_note(seen, "web", POLICY_CONNECT, target, false);
        }
        seen_note(seen, "web", POLICY_CONNECT, "n7.example:443", true);
        ck_assert_uint_eq(seen_each(seen, list, &listing), 10);
        ck_assert_uint_eq(listing.n, SEEN_MAX);
        ck_assert_ptr_nonnull(strstr(listing.text, "web 0 n7.example:443 2 1\n"));
        (void)seen_free(seen);

        seen = seen_new();
        memset(longest, 'x', sizeof(longest));
        longest[sizeof(longest) - 1] = '\0';
        seen_note(seen, "web", POLICY_CONNECT, longest, false);
        longest[sizeof(longest) - 2] = '\0';
        seen_note(seen, "web", POLICY_CONNECT, longest, false);
        listing = (struct listing){ 0 };
        ck_assert_uint_eq(seen_each(seen, list, &listing), 1);
        ck_assert_uint_eq(listing.n, 1);
        (void)seen_free(seen);
}
END_TEST

/* A stranger chooses the ports that he comes from. */
START_TEST(accepted_peers_are_not_kept) {
        struct seen *seen = seen_new();
        struct listing listing = { 0 };

        seen_note(seen, "web", POLICY_ACCEPT, "192.0.2.1:50000", true);
        ck_assert_uint_eq(seen_each(seen, list, &listing), 0);
        ck_assert_uint_eq(listing.n, 0);
        (void)seen_free(seen);
}
END_TEST

START_TEST(nothing_is_seen_by_nobody) {
        struct listing listing = { 0 };

        seen_note(NULL, "web", POLICY_CONNECT, "192.0.2.1:443", true);
        ck_assert_uint_eq(seen_each(NULL, list, &listing), 0);
        ck_assert_ptr_null(seen_free(NULL));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("seen");
        TCase *tcase = tcase_create("seen");

        tcase_add_test(tcase, each_thing_is_kept_once_in_its_order);
        tcase_add_test(tcase, texts_do_not_run_together);
        tcase_add_test(tcase, what_does_not_fit_is_counted);
        tcase_add_test(tcase, accepted_peers_are_not_kept);
        tcase_add_test(tcase, nothing_is_seen_by_nobody);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
