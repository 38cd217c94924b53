/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerctl's tables, numbers and expectations, and how it makes one answer of several.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/expect.h"
#include "ctl/merge.h"
#include "ctl/number.h"
#include "ctl/page.h"
#include "ctl/table.h"
#include "tests/support/runner.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* ---- tables ---- */

static const struct table_column columns[] = {
        { .title = "NAME", .key = "name", .may_be_cut = true },
        { .title = "N", .key = "n", .right = true },
        { .title = "WHAT", .key = "what", .may_be_cut = true },
};

static char *print(const struct table *table, size_t width) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        ck_assert_ptr_nonnull(out);
        ck_assert_int_eq(table_print_within(table, out, width), 0);
        ck_assert_int_eq(fclose(out), 0);
        return text;
}

static void add(struct table *table, const char *json) {
        json_t *object = json_loads(json, 0, NULL);

        ck_assert_ptr_nonnull(object);
        ck_assert_int_eq(table_add(table, object), 0);
        json_decref(object);
}

START_TEST(columns_are_as_wide_as_what_is_in_them) {
        NB_CLEANUP_FREE char *text = NULL;
        TABLE table;

        table_init(&table, columns, ELEMENTS(columns));
        add(&table, "{\"name\": \"a long name\", \"n\": 7, \"what\": \"x\"}");
        add(&table, "{\"name\": \"b\", \"n\": 1234, \"what\": null}");
        add(&table, "{\"name\": \"\", \"n\": null, \"what\": true}");
        text = print(&table, 0);
        ck_assert_str_eq(text, "NAME            N  WHAT\n"
                               "a long name     7  x\n"
                               "b            1234  -\n"
                               "-               -  yes\n");
}
END_TEST

START_TEST(a_terminal_gets_lines_that_fit) {
        NB_CLEANUP_FREE char *whole = NULL, *cut = NULL, *narrow = NULL;
        TABLE table;

        table_init(&table, columns, ELEMENTS(columns));
        add(&table, "{\"name\": \"abcdefghijklmnopqrst\", \"n\": 7, \"what\": \"abcdefghijkl\"}");
        whole = print(&table, 37);
        ck_assert_ptr_nonnull(strstr(whole, "abcdefghijklmnopqrst  7  abcdefghijkl\n"));
        cut = print(&table, 29);
        ck_assert_ptr_nonnull(strstr(cut, "abcdefghi...  7  abcdefghijkl\n"));
        /* A little of each is left, however narrow it is. */
        narrow = print(&table, 5);
        ck_assert_ptr_nonnull(strstr(narrow, "abcde...  7  abcde...\n"));
}
END_TEST

START_TEST(cells_are_safe_for_a_terminal) {
        NB_CLEANUP_FREE char *text = NULL;
        TABLE table;

        table_init(&table, columns, ELEMENTS(columns));
        add(&table, "{\"name\": \"\\u001b[2Jx\\n\", \"n\": 1, \"what\": \"\\u009b\"}");
        text = print(&table, 0);
        ck_assert_ptr_nonnull(strstr(text, "\\x1b[2Jx\\x0a  1  \\xc2\\x9b\n"));
}
END_TEST

/* ---- numbers ---- */

static const char *const bad_numbers[] = { "", "0", "01", "-1", "+1", "1x", " 1", "0x1", "9223372036854775808" };

START_TEST(numbers) {
        uint64_t number = 77;

        ck_assert_int_eq(number_parse("1", &number), 0);
        ck_assert_uint_eq(number, 1);
        ck_assert_int_eq(number_parse("1234567890", &number), 0);
        ck_assert_uint_eq(number, 1234567890);
        for (size_t i = 0; i < ELEMENTS(bad_numbers); ++i)
                ck_assert_int_eq(number_parse(bad_numbers[i], &number), -EINVAL);
        ck_assert_uint_eq(number, 1234567890);
}
END_TEST

/* ---- expectations ---- */

static int parse(const char *line, struct expectation *ret) {
        const char *message = NULL;
        int r = expect_parse(line, strlen(line), ret, &message);

        ck_assert(r < 0 ? message != NULL : message == NULL);
        return r;
}

START_TEST(expectations) {
        struct expectation e;

        ck_assert_int_eq(parse("", &e), 0);
        ck_assert_int_eq(parse(" \t ", &e), 0);
        ck_assert_int_eq(parse("  # allow a b", &e), 0);
        ck_assert_int_eq(parse("deny a b connect c:1 => 1.2.3.4 rule x.conf:3", &e), 1);
        ck_assert(!e.allow);
        ck_assert_str_eq(e.tenant, "a");
        ck_assert_str_eq(e.protocol, "b");
        ck_assert_str_eq(e.operation, "connect");
        ck_assert_str_eq(e.target, "c:1");
        ck_assert_str_eq(e.address, "1.2.3.4");
        ck_assert_str_eq(e.rule, "x.conf:3");
        ck_assert_int_eq(parse("allow a b listen /run/x", &e), 1);
        ck_assert(e.allow);
        ck_assert_ptr_null(e.address);
        ck_assert_ptr_null(e.rule);
}
END_TEST

static const char *const bad_lines[] = {
        "allow",
        "allows a b connect c:1",
        "allow a b connect",
        "allow a b connect c:1 =>",
        "allow a b connect c:1 => d e",
        "allow a b connect c:1 rule",
        "allow a b connect c:1 rule d => e",
        "allow a b connect c:1 => d rule e f",
        "allow a b connect c:1 => d rule e f g h",
        "allow a b connect c\x01:1",
        "allow a b connect \xc3\xa4:1",
};

START_TEST(bad_expectations) {
        char line[EXPECT_LINE_MAX + 2];
        struct expectation e;

        for (size_t i = 0; i < ELEMENTS(bad_lines); ++i)
                ck_assert_msg(parse(bad_lines[i], &e) == -EINVAL, "%s", bad_lines[i]);
        memset(line, ' ', sizeof(line));
        line[sizeof(line) - 1] = '\0';
        ck_assert_int_eq(parse(line, &e), -EINVAL);
        line[sizeof(line) - 2] = '\0';
        ck_assert_int_eq(parse(line, &e), 0);
}
END_TEST

START_TEST(places) {
        ck_assert(expect_place("acme.conf:7", "acme.conf:7"));
        ck_assert(expect_place("acme.conf:7", "/etc/netbroker/tenants/acme.conf:7"));
        ck_assert(expect_place("tenants/acme.conf:7", "/etc/netbroker/tenants/acme.conf:7"));
        ck_assert(expect_place("/acme.conf:7", "/etc/acme.conf:7"));
        ck_assert(!expect_place("me.conf:7", "/etc/acme.conf:7"));
        ck_assert(!expect_place("acme.conf:7", "/etc/acme.conf:77"));
        ck_assert(!expect_place("acme.conf:77", "acme.conf:7"));
        ck_assert(expect_place("none", NULL));
        ck_assert(!expect_place("acme.conf:7", NULL));
        ck_assert(!expect_place("none", "acme.conf:7"));
}
END_TEST

/* ---- what several processes say ---- */

static const char first_page[] = "# HELP a_total How often.\n# TYPE a_total counter\na_total{process=\"front\"} 1\n"
                                 "# HELP b B.\n# TYPE b gauge\n";
static const char second_page[] = "# HELP a_total Never.\n# TYPE a_total counter\na_total{process=\"shard-1\"} 2\n"
                                  "# HELP b B.\n# TYPE b gauge\nb{tenant=\"x\"} 3\n"
                                  "# HELP c C.\n# TYPE c gauge\nc 4\n";
static const char both_pages[] = "# HELP a_total How often.\n# TYPE a_total counter\n"
                                 "a_total{process=\"front\"} 1\na_total{process=\"shard-1\"} 2\n"
                                 "# HELP b B.\n# TYPE b gauge\nb{tenant=\"x\"} 3\n"
                                 "# HELP c C.\n# TYPE c gauge\nc 4\n";

/* In pieces of any length: those of one page begin anywhere but at a head's name. */
START_TEST(pages_become_one) {
        static struct page page;
        NB_CLEANUP_FREE char *text = NULL;

        ck_assert_int_eq(page_add(&page, first_page), 0);
        for (const char *line = second_page; *line;) {
                size_t length = strcspn(line, "\n") + 1, first = length > 20 ? 20 : length;
                char piece[128];

                (void)snprintf(piece, sizeof(piece), "%.*s", (int)first, line);
                ck_assert_int_eq(page_add(&page, piece), 0);
                (void)snprintf(piece, sizeof(piece), "%.*s", (int)(length - first), line + first);
                ck_assert_int_eq(page_add(&page, piece), 0);
                line += length;
        }
        text = page_format(&page);
        ck_assert_str_eq(text, both_pages);
        page_deinit(&page);
}
END_TEST

START_TEST(what_is_no_page) {
        static struct page page;
        char head[64];

        ck_assert_int_eq(page_add(&page, "a_total 1\n"), -EBADMSG);
        ck_assert_int_eq(page_add(&page, "\n"), -EBADMSG);
        page_deinit(&page);
        for (unsigned i = 0; i < PAGE_FAMILIES_MAX; ++i) {
                (void)snprintf(head, sizeof(head), "# HELP a%u A.\n", i);
                ck_assert_int_eq(page_add(&page, head), 0);
        }
        ck_assert_int_eq(page_add(&page, "# HELP b B.\n"), -E2BIG);
        ck_assert_int_eq(page_add(&page, "# HELP a0 A.\n"), 0);
        page_deinit(&page);
}
END_TEST

START_TEST(what_several_say_is_put_together) {
        static const char *const names[] = { "n", "o", "drain", "list", "state", "none", "object", "missing", NULL };
        json_t *into = json_loads(
                "{\"n\": 1, \"o\": {\"all\": true, \"calls\": true, \"starts_programs\": false, \"n\": 2},"
                " \"drain\": {\"all\": false}, \"list\": [\"a\", \"b\"], \"state\": \"ready\", \"none\": null,"
                " \"object\": null, \"pid\": 7}",
                0, NULL);
        json_t *other = json_loads(
                "{\"n\": 5, \"o\": {\"all\": false, \"calls\": false, \"starts_programs\": true, \"n\": 3},"
                " \"drain\": {\"all\": true}, \"list\": [\"b\", \"c\"], \"state\": \"does not answer\", \"none\": 4,"
                " \"object\": {\"n\": 1}, \"pid\": 8, \"missing\": 1}",
                0, NULL);
        json_t *expected = json_loads(
                "{\"n\": 6, \"o\": {\"all\": true, \"calls\": false, \"starts_programs\": true, \"n\": 5},"
                " \"drain\": {\"all\": true}, \"list\": [\"a\", \"b\", \"c\"], \"state\": \"does not answer\","
                " \"none\": 4, \"object\": {\"n\": 1}, \"pid\": 7}",
                0, NULL);
        json_t *said = json_deep_copy(other);

        ck_assert_ptr_nonnull(into);
        ck_assert_ptr_nonnull(other);
        ck_assert_ptr_nonnull(expected);
        merge_into(into, other, names);
        ck_assert(json_equal(into, expected));
        /* What is put together is nobody's own any more. */
        merge_into(into, other, names);
        ck_assert(json_equal(other, said));
        json_decref(said);
        json_decref(into);
        json_decref(other);
        json_decref(expected);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ctl_parts");
        TCase *tcase = tcase_create("ctl_parts");

        tcase_add_test(tcase, columns_are_as_wide_as_what_is_in_them);
        tcase_add_test(tcase, a_terminal_gets_lines_that_fit);
        tcase_add_test(tcase, cells_are_safe_for_a_terminal);
        tcase_add_test(tcase, numbers);
        tcase_add_test(tcase, expectations);
        tcase_add_test(tcase, bad_expectations);
        tcase_add_test(tcase, places);
        tcase_add_test(tcase, pages_become_one);
        tcase_add_test(tcase, what_is_no_page);
        tcase_add_test(tcase, what_several_say_is_put_together);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
