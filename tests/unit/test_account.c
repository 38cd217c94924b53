/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>

#include "broker/account.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define FDS 8000 /* an eighth of it is 1000 */

START_TEST(a_tenant_has_half_of_what_there_is) {
        struct account all, tenant;

        account_init_broker(&all, FDS);
        account_init_tenant(&tenant, &all);
        ck_assert_uint_eq(tenant.limit[ACCOUNT_SESSIONS], 500);
        account_set_limit(&tenant, ACCOUNT_SESSIONS, 1000000);
        ck_assert_uint_eq(tenant.limit[ACCOUNT_SESSIONS], 500);
        account_set_limit(&tenant, ACCOUNT_SESSIONS, 3);
        ck_assert_uint_eq(tenant.limit[ACCOUNT_SESSIONS], 3);
        account_set_limit(&tenant, ACCOUNT_CONNECTIONS, ACCOUNT_UNLIMITED);
        ck_assert_uint_eq(tenant.limit[ACCOUNT_CONNECTIONS], ACCOUNT_UNLIMITED);
        account_deinit(&tenant);
        account_deinit(&all);
}
END_TEST

START_TEST(the_last_one_is_given_and_no_more) {
        struct account all, tenant;

        account_init_broker(&all, FDS);
        account_init_tenant(&tenant, &all);
        account_set_limit(&tenant, ACCOUNT_CONTROLS, 2);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_CONTROLS), 0);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_CONTROLS), 0);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_CONTROLS), -EMFILE);
        ck_assert_uint_eq(all.used[ACCOUNT_CONTROLS], 2);
        account_release(&tenant, ACCOUNT_CONTROLS, 1);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_CONTROLS), 0);
        account_release(&tenant, ACCOUNT_CONTROLS, 2);
        account_deinit(&tenant);
        account_deinit(&all);
}
END_TEST

/* Three tenants with a half each: the third finds what the two have left. */
START_TEST(the_brokers_limit_is_told_apart) {
        struct account all, tenants[3];
        uint64_t n = 0;

        account_init_broker(&all, FDS);
        for (int i = 0; i < 3; ++i)
                account_init_tenant(&tenants[i], &all);
        for (int i = 0; i < 2; ++i) {
                while (account_claim(&tenants[i], ACCOUNT_SESSIONS) == 0)
                        ++n;
        }
        ck_assert_uint_eq(n, 1000);
        ck_assert_int_eq(account_claim(&tenants[1], ACCOUNT_SESSIONS), -EMFILE);
        ck_assert_int_eq(account_claim(&tenants[2], ACCOUNT_SESSIONS), -ENFILE);
        account_release(&tenants[0], ACCOUNT_SESSIONS, 1);
        ck_assert_int_eq(account_claim(&tenants[2], ACCOUNT_SESSIONS), 0);
        account_release(&tenants[0], ACCOUNT_SESSIONS, 499);
        account_release(&tenants[1], ACCOUNT_SESSIONS, 500);
        account_release(&tenants[2], ACCOUNT_SESSIONS, 1);
        for (int i = 0; i < 3; ++i)
                account_deinit(&tenants[i]);
        account_deinit(&all);
}
END_TEST

START_TEST(what_is_held_beyond_a_lowered_limit_stays) {
        struct account all, tenant;

        account_init_broker(&all, FDS);
        account_init_tenant(&tenant, &all);
        for (int i = 0; i < 10; ++i)
                ck_assert_int_eq(account_claim(&tenant, ACCOUNT_SESSIONS), 0);
        account_set_limit(&tenant, ACCOUNT_SESSIONS, 4);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_SESSIONS), -EMFILE);
        account_release(&tenant, ACCOUNT_SESSIONS, 7);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_SESSIONS), 0);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_SESSIONS), -EMFILE);
        account_release(&tenant, ACCOUNT_SESSIONS, 4);
        account_deinit(&tenant);
        account_deinit(&all);
}
END_TEST

START_TEST(memory_is_charged_with_the_thing) {
        struct account all, tenant;
        uint64_t price;

        account_init_broker(&all, FDS);
        account_init_tenant(&tenant, &all);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_CONTROLS), 0);
        price = tenant.used[ACCOUNT_MEMORY];
        ck_assert_uint_gt(price, 0);
        ck_assert_uint_eq(all.used[ACCOUNT_MEMORY], price);
        account_set_limit(&tenant, ACCOUNT_MEMORY, 2 * price + 1);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_CONTROLS), 0);
        ck_assert_int_eq(account_claim(&tenant, ACCOUNT_CONTROLS), -ENOBUFS);
        ck_assert_uint_eq(tenant.used[ACCOUNT_CONTROLS], 2);
        ck_assert_int_eq(account_charge_bytes(&tenant, 2), -ENOBUFS);
        ck_assert_int_eq(account_charge_bytes(&tenant, 1), 0);
        ck_assert_int_eq(account_charge_bytes(&tenant, 1), -ENOBUFS);
        ck_assert_int_eq(account_charge_bytes(&tenant, UINT64_MAX), -ENOBUFS);
        account_release_bytes(&tenant, 1);
        account_release(&tenant, ACCOUNT_CONTROLS, 2);
        account_deinit(&tenant);
        account_deinit(&all);
}
END_TEST

/* Whatever is claimed and released in whatever order: the sum of the tenants is the broker's, and nobody is beyond a limit. */
START_TEST(the_sum_of_tenants_is_the_brokers) {
        struct account all, tenants[4];
        uint64_t held[4][N_ACCOUNT_KINDS] = { 0 };
        uint64_t random = 45;

        account_init_broker(&all, 800);
        for (int i = 0; i < 4; ++i)
                account_init_tenant(&tenants[i], &all);
        for (int i = 0; i < 100000; ++i) {
                unsigned tenant = (unsigned)(next_random(&random) % 4);
                enum account_kind kind = next_random(&random) % ACCOUNT_MEMORY;

                if (next_random(&random) % 5 < 3)
                        held[tenant][kind] += account_charge(&tenants[tenant], kind);
                else if (held[tenant][kind] > 0)
                        account_release(&tenants[tenant], kind, 1), --held[tenant][kind];
                ck_assert_uint_le(all.used[kind], all.limit[kind]);
                ck_assert_uint_le(tenants[tenant].used[kind], tenants[tenant].limit[kind]);
                ck_assert_uint_eq(tenants[tenant].used[kind], held[tenant][kind]);
                ck_assert_uint_eq(all.used[kind], held[0][kind] + held[1][kind] + held[2][kind] + held[3][kind]);
        }
        for (int i = 0; i < 4; ++i) {
                for (enum account_kind kind = 0; kind < ACCOUNT_MEMORY; ++kind)
                        account_release(&tenants[i], kind, held[i][kind]);
                account_deinit(&tenants[i]);
        }
        account_deinit(&all);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("account");
        TCase *tcase = tcase_create("account");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, a_tenant_has_half_of_what_there_is);
        tcase_add_test(tcase, the_last_one_is_given_and_no_more);
        tcase_add_test(tcase, the_brokers_limit_is_told_apart);
        tcase_add_test(tcase, what_is_held_beyond_a_lowered_limit_stays);
        tcase_add_test(tcase, memory_is_charged_with_the_thing);
        tcase_add_test(tcase, the_sum_of_tenants_is_the_brokers);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
