/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "shim/wasi/table.h"
#include "tests/support/runner.h"

#define MANY 70000u

static uint32_t add(struct nb_table *table) {
        const struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_ENGINE };
        uint32_t number;

        ck_assert_int_eq(nb_table_add(table, &descriptor, &number), 0);
        return number;
}

START_TEST(numbers_are_the_lowest_free) {
        struct nb_table table;

        nb_table_init(&table, 1000);
        for (uint32_t i = 0; i < 200; ++i)
                ck_assert_uint_eq(add(&table), i);
        nb_table_remove(&table, 130);
        nb_table_remove(&table, 7);
        nb_table_remove(&table, 64);
        ck_assert_uint_eq(add(&table), 7);
        ck_assert_uint_eq(add(&table), 64);
        ck_assert_uint_eq(add(&table), 130);
        ck_assert_uint_eq(add(&table), 200);
        nb_table_deinit(&table);
}
END_TEST

START_TEST(nothing_is_found_where_nothing_is) {
        struct nb_table table;

        nb_table_init(&table, 10);
        ck_assert_ptr_null(nb_table_get(&table, 0));
        ck_assert_ptr_null(nb_table_get(&table, UINT32_MAX));
        ck_assert_int_eq(nb_table_remove(&table, UINT32_MAX).kind, NB_DESCRIPTOR_FREE);
        add(&table);
        ck_assert_ptr_nonnull(nb_table_get(&table, 0));
        ck_assert_ptr_null(nb_table_get(&table, 1));
        ck_assert_ptr_null(nb_table_get(&table, 63));
        ck_assert_ptr_null(nb_table_get(&table, 64));
        ck_assert_int_eq(nb_table_remove(&table, 0).kind, NB_DESCRIPTOR_ENGINE);
        ck_assert_int_eq(nb_table_remove(&table, 0).kind, NB_DESCRIPTOR_FREE);
        nb_table_deinit(&table);
}
END_TEST

static const uint32_t limits[] = { 0, 1, 63, 64, 65, 128, 129, 4096, 4097, MANY, NB_TABLE_LIMIT_MAX };

START_TEST(the_limit_holds_at_its_edge) {
        const struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_ENGINE };
        uint32_t limit = limits[_i];
        struct nb_table table;
        uint32_t number = 17;

        nb_table_init(&table, limit);
        for (uint32_t i = 0; i < limit; ++i)
                ck_assert_uint_eq(add(&table), i);
        ck_assert_int_eq(nb_table_reserve(&table), -EMFILE);
        ck_assert_int_eq(nb_table_add(&table, &descriptor, &number), -EMFILE);
        ck_assert_uint_eq(number, 17);
        if (limit > 0) {
                nb_table_remove(&table, limit - 1);
                ck_assert_int_eq(nb_table_reserve(&table), 0);
                ck_assert_uint_eq(add(&table), limit - 1);
        }
        nb_table_deinit(&table);
}
END_TEST

/* Random additions and removals, compared with a list that is searched from the start. */
START_TEST(it_agrees_with_a_simple_model) {
        bool used[600] = { false };
        unsigned state = 1;
        struct nb_table table;

        nb_table_init(&table, 600);
        for (int step = 0; step < 20000; ++step) {
                uint32_t number;

                state = state * 1103515245u + 12345u;
                number = (state >> 8) % 600;
                if ((state >> 4) % 2 == 0) {
                        ck_assert_int_eq(nb_table_remove(&table, number).kind != NB_DESCRIPTOR_FREE, used[number]);
                        used[number] = false;
                        continue;
                }
                for (number = 0; number < 600 && used[number]; ++number)
                        ;
                if (number == 600) {
                        ck_assert_int_eq(nb_table_reserve(&table), -EMFILE);
                        continue;
                }
                ck_assert_uint_eq(add(&table), number);
                used[number] = true;
        }
        nb_table_deinit(&table);
}
END_TEST

/* ---- the engine's numbers ---- */

#define N_NUMBERS 40u

/* Numbers at random, several times the same, under any descriptors: each is held exactly while there is one. */
START_TEST(the_engines_numbers_agree_with_a_simple_model) {
        static const uint32_t spread[] = { 0, 1, 2, 3, 64, 4711, INT32_MAX, UINT32_MAX };
        unsigned held[N_NUMBERS] = { 0 };
        uint32_t under[200];
        unsigned state = 7;
        struct nb_table table;

        nb_table_init(&table, 200);
        memset(under, 0xff, sizeof(under));
        for (int step = 0; step < 20000; ++step) {
                struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_ENGINE };
                uint32_t number;
                uint32_t which;

                state = state * 1103515245u + 12345u;
                number = (state >> 8) % 200;
                which = (state >> 16) % N_NUMBERS;
                if (nb_table_get(&table, number)) {
                        ck_assert_int_eq(nb_table_remove(&table, number).kind, NB_DESCRIPTOR_ENGINE);
                        --held[under[number]];
                } else {
                        descriptor.engine_fd = which < 8 ? spread[which] : 100 * which;
                        if (nb_table_add(&table, &descriptor, &number) == 0) {
                                under[number] = which;
                                ++held[which];
                        }
                }
                for (uint32_t i = 0; i < N_NUMBERS; ++i) {
                        bool holds = nb_table_holds_engine_fd(&table, i < 8 ? spread[i] : 100 * i);

                        ck_assert_int_eq(holds, held[i] > 0);
                }
                ck_assert(!nb_table_holds_engine_fd(&table, 99));
        }
        nb_table_deinit(&table);
}
END_TEST

START_TEST(moving_keeps_the_engines_numbers_right) {
        struct nb_descriptor engine = { .kind = NB_DESCRIPTOR_ENGINE, .engine_fd = 10 };
        const struct nb_descriptor stdio = { .kind = NB_DESCRIPTOR_STDIO };
        struct nb_descriptor replaced;
        struct nb_table table;
        uint32_t number;

        nb_table_init(&table, 10);
        ck_assert_int_eq(nb_table_add(&table, &engine, &number), 0);
        engine.engine_fd = 11;
        ck_assert_int_eq(nb_table_add(&table, &engine, &number), 0);
        ck_assert_int_eq(nb_table_add(&table, &stdio, &number), 0);
        replaced = nb_table_move(&table, 0, 1);
        ck_assert_uint_eq(replaced.engine_fd, 11);
        ck_assert(nb_table_holds_engine_fd(&table, 10));
        ck_assert(!nb_table_holds_engine_fd(&table, 11));
        ck_assert_ptr_null(nb_table_get(&table, 0));
        replaced = nb_table_move(&table, 2, 1);
        ck_assert_uint_eq(replaced.engine_fd, 10);
        ck_assert(!nb_table_holds_engine_fd(&table, 10));
        ck_assert_int_eq(nb_table_get(&table, 1)->kind, NB_DESCRIPTOR_STDIO);
        ck_assert_uint_eq(add(&table), 0);
        ck_assert_uint_eq(add(&table), 2);
        nb_table_deinit(&table);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("table");
        TCase *tests = tcase_create("table");

        tcase_add_test(tests, numbers_are_the_lowest_free);
        tcase_add_test(tests, nothing_is_found_where_nothing_is);
        tcase_add_loop_test(tests, the_limit_holds_at_its_edge, 0, sizeof(limits) / sizeof(limits[0]));
        tcase_add_test(tests, it_agrees_with_a_simple_model);
        tcase_add_test(tests, the_engines_numbers_agree_with_a_simple_model);
        tcase_add_test(tests, moving_keeps_the_engines_numbers_right);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
