/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/option.h"
#include "tests/support/runner.h"

struct config {
        const char *policy;
        const char *level;
        bool check;
        int n_dirs;
        const char *last_dir;
};

static int set_dir(const struct nb_option *option, void *data, const char *value) {
        struct config *config = data;

        (void)option;
        if (!strstr(value, "::"))
                return -EINVAL;
        ++config->n_dirs;
        config->last_dir = value;
        return 0;
}

static int set_nothing(const struct nb_option *option, void *data, const char *value) {
        (void)option;
        (void)data;
        (void)value;
        return -ENOMEM;
}

static const struct nb_option options[] = {
        { .name = "policy",
          .argument = "FILE",
          .help = "Reads the policy from FILE.",
          .expects = "a file name",
          .set = nb_option_set_text,
          .offset = offsetof(struct config, policy) },
        { .name = "a-name-of-many-letters",
          .argument = "PLACEHOLDER",
          .help = "Has a description that is long enough to be broken into more than one line, at words only.",
          .set = nb_option_set_text,
          .offset = offsetof(struct config, level) },
        { .name = "check",
          .help = "Ends after it.",
          .set = nb_option_set_flag,
          .offset = offsetof(struct config, check) },
        { .name = "dir",
          .argument = "HOST::GUEST",
          .help = "Opens a directory.",
          .expects = "HOST::GUEST",
          .set = set_dir,
          .repeatable = true },
        { .name = "fail", .help = "Fails.", .set = set_nothing },
};

#define WORDS_MAX 9

/* What one command line did. The streams' texts are owned. */
struct outcome {
        struct config config;
        struct nb_operands operands;
        char *argv[WORDS_MAX + 1];
        char *out;
        char *err;
        int result;
};

#define TABLE(stops, takes)                                                                                            \
        {                                                                                                              \
                .program = "prog", .version = "1.2.3", .operands = (takes), .stop_at_operand = (stops),                \
                .summary = "Does what the test of the option table needs, and says so in more than one line of "       \
                           "text.",                                                                                    \
                .see = "prog(1)", .options = options, .n_options = sizeof(options) / sizeof(options[0]),               \
        }

static const struct nb_option_table permuting = TABLE(false, "[OPERAND...]");
static const struct nb_option_table stopping = TABLE(true, "GUEST [ARG...]");
static const struct nb_option_table no_operands = TABLE(false, NULL);

/* Parses `words`, which end in NULL. The operands point into outcome->argv, so that is filled in place. */
static void parse(struct outcome *outcome, const struct nb_option_table *t, const char *const *words) {
        size_t out_size, err_size;
        FILE *out = open_memstream(&outcome->out, &out_size);
        FILE *err = open_memstream(&outcome->err, &err_size);
        int argc = 0;

        ck_assert(out && err);
        outcome->argv[argc++] = (char *)"prog";
        for (; *words; ++words) {
                ck_assert_int_lt(argc, WORDS_MAX);
                outcome->argv[argc++] = (char *)*words; /* the parser moves the pointers and leaves the texts */
        }
        outcome->result = nb_options_parse(t, argc, outcome->argv, &outcome->config, out, err, &outcome->operands);
        fclose(out);
        fclose(err);
}

static void outcome_deinit(struct outcome *outcome) {
        free(outcome->out);
        free(outcome->err);
}

#define OUTCOME __attribute__((cleanup(outcome_deinit))) struct outcome
#define PARSE(outcome, t, ...) parse((outcome), (t), (const char *const[]){ __VA_ARGS__ })

START_TEST(both_forms_of_a_value) {
        OUTCOME a = { 0 };
        OUTCOME b = { 0 };

        PARSE(&a, &permuting, "--policy", "x", "--check", NULL);
        PARSE(&b, &permuting, "--policy=x=y", NULL);
        ck_assert_int_eq(a.result, 0);
        ck_assert_str_eq(a.config.policy, "x");
        ck_assert(a.config.check);
        ck_assert_uint_eq(a.operands.n, 0);
        ck_assert_int_eq(b.result, 0);
        ck_assert_str_eq(b.config.policy, "x=y");
        ck_assert(!b.config.check);
}
END_TEST

START_TEST(nothing_is_fine) {
        OUTCOME a = { 0 };

        PARSE(&a, &permuting, NULL);
        ck_assert_int_eq(a.result, 0);
        ck_assert_uint_eq(a.operands.n, 0);
        ck_assert_ptr_null(a.operands.v[0]);
        ck_assert_str_eq(a.err, "");
}
END_TEST

START_TEST(an_option_may_stand_behind_an_operand) {
        OUTCOME a = { 0 };

        PARSE(&a, &permuting, "one", "--policy", "p", "two", "--", "--check", NULL);

        ck_assert_int_eq(a.result, 0);
        ck_assert_str_eq(a.config.policy, "p");
        ck_assert(!a.config.check);
        ck_assert_uint_eq(a.operands.n, 3);
        ck_assert_str_eq(a.operands.v[0], "one");
        ck_assert_str_eq(a.operands.v[1], "two");
        ck_assert_str_eq(a.operands.v[2], "--check");
        ck_assert_ptr_null(a.operands.v[3]);
}
END_TEST

START_TEST(the_rest_belongs_to_the_first_operand) {
        OUTCOME a = { 0 };

        PARSE(&a, &stopping, "--check", "guest", "--policy", "p", "--", "-x", NULL);

        ck_assert_int_eq(a.result, 0);
        ck_assert(a.config.check);
        ck_assert_ptr_null(a.config.policy);
        ck_assert_uint_eq(a.operands.n, 5);
        ck_assert_str_eq(a.operands.v[0], "guest");
        ck_assert_str_eq(a.operands.v[3], "--");
        ck_assert_str_eq(a.operands.v[4], "-x");
        ck_assert_ptr_null(a.operands.v[5]);
}
END_TEST

START_TEST(a_dash_and_an_empty_word_are_operands) {
        OUTCOME a = { 0 };

        PARSE(&a, &permuting, "-", "", NULL);

        ck_assert_int_eq(a.result, 0);
        ck_assert_uint_eq(a.operands.n, 2);
        ck_assert_str_eq(a.operands.v[0], "-");
        ck_assert_str_eq(a.operands.v[1], "");
}
END_TEST

START_TEST(repeating) {
        OUTCOME a = { 0 };
        OUTCOME b = { 0 };

        PARSE(&a, &permuting, "--dir", "a::b", "--dir=c::d", NULL);
        PARSE(&b, &permuting, "--policy", "a", "--policy=b", NULL);
        ck_assert_int_eq(a.result, 0);
        ck_assert_int_eq(a.config.n_dirs, 2);
        ck_assert_str_eq(a.config.last_dir, "c::d");
        ck_assert_int_eq(b.result, -EINVAL);
        ck_assert_str_eq(b.err, "prog: --policy is given twice\n'prog --help' lists the options.\n");
}
END_TEST

/* Command lines with one wrong option, and the first line of the message. */
static const struct {
        const char *words[3];
        const char *message;
} wrong[] = {
        { { "--polcy", "x" }, "prog: there is no option '--polcy'; did you mean '--policy'?\n" },
        { { "--policyy=x" }, "prog: there is no option '--policyy=x'; did you mean '--policy'?\n" },
        { { "--chek" }, "prog: there is no option '--chek'; did you mean '--check'?\n" },
        { { "--ch" }, "prog: there is no option '--ch'; did you mean '--check'?\n" },
        { { "--letters" }, "prog: there is no option '--letters'; did you mean '--a-name-of-many-letters'?\n" },
        { { "--hlep" }, "prog: there is no option '--hlep'; did you mean '--help'?\n" },
        { { "-policy" }, "prog: there is no option '-policy'; did you mean '--policy'?\n" },
        { { "-x" }, "prog: there is no option '-x'\n" },
        { { "-hV" }, "prog: there is no option '-hV'\n" },
        { { "--completely-else" }, "prog: there is no option '--completely-else'\n" },
        { { "--=x" }, "prog: there is no option '--=x'\n" },
        { { "--an-option-that-is-longer-than-any-name-of-an-option-may-be" },
          "prog: there is no option '--an-option-that-is-longer-than-any-name-of-an-option-may-be'\n" },
        { { "--\x1b[2J" }, "prog: there is no option '--\\x1b[2J'\n" },
        { { "--policy" }, "prog: --policy needs its argument: --policy FILE\n" },
        { { "--policy=" }, "prog: --policy is given an empty value: write --policy FILE\n" },
        { { "--check=yes" }, "prog: --check takes no value\n" },
        { { "--help=yes" }, "prog: --help takes no value\n" },
        { { "--dir", "x" }, "prog: --dir: 'x' is not HOST::GUEST\n" },
        { { "--a-name-of-many-letters", "" },
          "prog: --a-name-of-many-letters is given an empty value: write --a-name-of-many-letters PLACEHOLDER\n" },
};

START_TEST(a_wrong_option_has_a_message) {
        OUTCOME a = { 0 };

        PARSE(&a, &permuting, wrong[_i].words[0], wrong[_i].words[1], NULL);

        ck_assert_int_eq(a.result, -EINVAL);
        ck_assert_str_eq(a.out, "");
        ck_assert_msg(strncmp(a.err, wrong[_i].message, strlen(wrong[_i].message)) == 0, "got: %s", a.err);
        ck_assert_ptr_nonnull(strstr(a.err, "\n'prog --help' lists the options.\n"));
        ck_assert_ptr_null(a.operands.v);
}
END_TEST

START_TEST(a_setter_may_fail) {
        OUTCOME a = { 0 };

        PARSE(&a, &permuting, "--fail", NULL);
        ck_assert_int_eq(a.result, -ENOMEM);
        ck_assert_ptr_nonnull(strstr(a.err, "prog: --fail: "));
}
END_TEST

START_TEST(operands_where_none_are_allowed) {
        OUTCOME a = { 0 };

        PARSE(&a, &no_operands, "one", NULL);

        ck_assert_int_eq(a.result, -EINVAL);
        ck_assert_ptr_nonnull(strstr(a.err, "prog: 'one' is one argument too many\n"));
}
END_TEST

START_TEST(version) {
        OUTCOME a = { 0 };
        OUTCOME b = { 0 };

        PARSE(&a, &permuting, "--version", "--nonsense", NULL);
        PARSE(&b, &permuting, "-V", NULL);
        ck_assert_int_eq(a.result, 1);
        ck_assert_str_eq(a.out, "prog 1.2.3\n");
        ck_assert_str_eq(a.err, "");
        ck_assert_int_eq(b.result, 1);
        ck_assert_str_eq(b.out, "prog 1.2.3\n");
}
END_TEST

START_TEST(help_lists_every_option) {
        OUTCOME a = { 0 };

        PARSE(&a, &permuting, "--check", "-h", NULL);
        ck_assert_int_eq(a.result, 1);
        ck_assert_str_eq(a.out, "Usage: prog [OPTION...] [OPERAND...]\n"
                                "\n"
                                "Does what the test of the option table needs, and says so in more than one line\n"
                                "of text.\n"
                                "\n"
                                "      --policy FILE      Reads the policy from FILE.\n"
                                "      --a-name-of-many-letters PLACEHOLDER\n"
                                "                         Has a description that is long enough to be broken into\n"
                                "                         more than one line, at words only.\n"
                                "      --check            Ends after it.\n"
                                "      --dir HOST::GUEST  Opens a directory.\n"
                                "      --fail             Fails.\n"
                                "  -h, --help             Print this help and end.\n"
                                "  -V, --version          Print the version and end.\n"
                                "\n"
                                "See prog(1).\n");
}
END_TEST

START_TEST(an_answer_that_cannot_be_written) {
        char *argv[] = { (char *)"prog", (char *)"--help", NULL };
        struct config config = { 0 };
        struct nb_operands operands;
        FILE *full = fopen("/dev/full", "we");

        ck_assert_ptr_nonnull(full);
        ck_assert_int_eq(nb_options_parse(&permuting, 2, argv, &config, full, stderr, &operands), -EIO);
        fclose(full);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("option");
        TCase *tcase = tcase_create("option");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, both_forms_of_a_value);
        tcase_add_test(tcase, nothing_is_fine);
        tcase_add_test(tcase, an_option_may_stand_behind_an_operand);
        tcase_add_test(tcase, the_rest_belongs_to_the_first_operand);
        tcase_add_test(tcase, a_dash_and_an_empty_word_are_operands);
        tcase_add_test(tcase, repeating);
        tcase_add_loop_test(tcase, a_wrong_option_has_a_message, 0, sizeof(wrong) / sizeof(wrong[0]));
        tcase_add_test(tcase, a_setter_may_fail);
        tcase_add_test(tcase, operands_where_none_are_allowed);
        tcase_add_test(tcase, version);
        tcase_add_test(tcase, help_lists_every_option);
        tcase_add_test(tcase, an_answer_that_cannot_be_written);

        return run_suite(suite);
}
