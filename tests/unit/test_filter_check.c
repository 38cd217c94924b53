/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter that is not what the lists say is found out, whatever is wrong with it: of one that is, each instruction is changed in turn.
 */
#include <check.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>

#include "confine/filter_check.h"
#include "tests/support/runner.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define LOAD(member)                                                                                                   \
        { BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, member) }
#define EQUAL(value, yes, no)                                                                                          \
        { BPF_JMP | BPF_JEQ | BPF_K, yes, no, value }
#define OVER(value, yes, no)                                                                                           \
        { BPF_JMP | BPF_JGE | BPF_K, yes, no, value }
#define RETURN(action)                                                                                                 \
        { BPF_RET | BPF_K, 0, 0, action }

#define REFUSES (SECCOMP_RET_ERRNO | EPERM)

/* The numbers mean nothing: 3 may be called, and 7 with a 5 and a 9; 12 may be called, also with what the last list says of it. */
static const struct confine_call first[] = {
        { .number = 3 },
        { .number = 7, .n_where = 2, .where = { { 1, 5 }, { 2, 9 } } },
};
static const struct confine_call second[] = {
        { .number = 12 },
        { .number = 12, .n_where = 1, .where = { { 0, 1 } } },
        { .number = -103 }, /* one that this machine does not have */
};
static const struct confine_list of_first = CONFINE_LIST(first), of_second = CONFINE_LIST(second);
static const struct confine_list *const lists[] = { &of_first, &of_second };

static const struct confine_rules rules = { lists, N(lists), AUDIT_ARCH_X86_64, REFUSES };

/* On machines of either order of bytes the lower half is where the kernel looks for it. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW 0
#else
#define LOW 4
#endif
#define LOAD_ARGUMENT(i)                                                                                               \
        { BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args) + 8 * (i) + LOW }

static const struct sock_filter good[] = {
        LOAD(arch),
        EQUAL(AUDIT_ARCH_X86_64, 0, 10),
        LOAD(nr),
        EQUAL(3, 7, 0),
        EQUAL(12, 6, 0),
        EQUAL(7, 0, 6),
        LOAD_ARGUMENT(1),
        EQUAL(5, 0, 4),
        LOAD_ARGUMENT(2),
        EQUAL(9, 1, 2),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(REFUSES),
};

/* What is behind a return that nothing leads to means nothing. */
#define IDLE 10

static int check(const struct sock_filter *filter, size_t n) {
        return confine_filter_check(filter, n, &rules);
}

START_TEST(what_the_lists_say_is_right) {
        const struct confine_rules others[] = {
                { lists, N(lists), AUDIT_ARCH_X86_64, SECCOMP_RET_KILL_PROCESS },
                { lists, N(lists), AUDIT_ARCH_AARCH64, REFUSES },
                { lists, 1, AUDIT_ARCH_X86_64, REFUSES },
        };

        ck_assert_int_eq(check(good, N(good)), 0);
        for (size_t i = 0; i < N(others); ++i)
                ck_assert_int_eq(confine_filter_check(good, N(good), &others[i]), -EBADMSG);
}
END_TEST

START_TEST(whatever_is_changed_is_found) {
        for (size_t i = 0; i < N(good); ++i) {
                struct sock_filter bad[N(good)], *step = &bad[i];

                if (i == IDLE)
                        continue;
                memcpy(bad, good, sizeof(good));
                step->k ^= 1;
                ck_assert_msg(check(bad, N(bad)) == -EBADMSG, "instruction %zu with another value", i);
                memcpy(bad, good, sizeof(good));
                *step = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
                ck_assert_msg(check(bad, N(bad)) == (good[i].k == SECCOMP_RET_ALLOW ? 0 : -EBADMSG),
                              "instruction %zu that lets all through", i);
                memcpy(bad, good, sizeof(good));
                step->code = BPF_ALU | BPF_XOR | BPF_X;
                ck_assert_msg(check(bad, N(bad)) == -EBADMSG, "instruction %zu that is not known", i);
                if (BPF_CLASS(good[i].code) != BPF_JMP)
                        continue;
                memcpy(bad, good, sizeof(good));
                step->jt ^= 1;
                ck_assert_msg(check(bad, N(bad)) == -EBADMSG, "instruction %zu that leads elsewhere if", i);
                memcpy(bad, good, sizeof(good));
                step->jf ^= 1;
                ck_assert_msg(check(bad, N(bad)) == -EBADMSG, "instruction %zu that leads elsewhere if not", i);
        }
}
END_TEST

START_TEST(one_that_is_cut_off_is_found) {
        for (size_t n = 0; n < N(good); ++n)
                ck_assert_int_eq(check(good, n), -EBADMSG);
}
END_TEST

START_TEST(no_instruction_leaves_its_bounds) {
        const struct sock_filter far_jump[] = { { BPF_JMP | BPF_JA, 0, 0, UINT32_MAX }, RETURN(REFUSES) };
        const struct sock_filter far_load[] = {
                { BPF_LD | BPF_W | BPF_ABS, 0, 0, sizeof(struct seccomp_data) },
                RETURN(REFUSES),
        };
        const struct sock_filter odd_load[] = { { BPF_LD | BPF_W | BPF_ABS, 0, 0, 2 }, RETURN(REFUSES) };

        ck_assert_int_eq(check(far_jump, N(far_jump)), -EBADMSG);
        ck_assert_int_eq(check(far_load, N(far_load)), -EBADMSG);
        ck_assert_int_eq(check(odd_load, N(odd_load)), -EBADMSG);
}
END_TEST

/* The calls of another table of the same machine have its numbers and one bit more (x32). */
START_TEST(the_other_table_is_refused) {
        struct sock_filter bad[N(good)];

        memcpy(bad, good, sizeof(good));
        bad[3] = (struct sock_filter){ BPF_JMP | BPF_JSET | BPF_K, 7, 0, 0x40000000 };
        ck_assert_int_eq(check(bad, N(bad)), -EBADMSG);
        bad[3] = (struct sock_filter)OVER(1024, 7, 0);
        ck_assert_int_eq(check(bad, N(bad)), -EBADMSG);
}
END_TEST

START_TEST(arguments_count_by_their_lower_halves) {
        const uint64_t wide[6] = { 0, UINT64_C(1) << 32 | 5, UINT64_C(7) << 32 | 9 };
        const uint64_t narrow[6] = { 0, 5, 8 };

        ck_assert(confine_rules_allow(&rules, 7, wide));
        ck_assert(!confine_rules_allow(&rules, 7, narrow));
        ck_assert(confine_rules_allow(&rules, 12, narrow));
        ck_assert(!confine_rules_allow(&rules, 4, wide));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("filter_check");
        TCase *tcase = tcase_create("filter_check");

        tcase_add_test(tcase, what_the_lists_say_is_right);
        tcase_add_test(tcase, whatever_is_changed_is_found);
        tcase_add_test(tcase, one_that_is_cut_off_is_found);
        tcase_add_test(tcase, no_instruction_leaves_its_bounds);
        tcase_add_test(tcase, the_other_table_is_refused);
        tcase_add_test(tcase, arguments_count_by_their_lower_halves);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
