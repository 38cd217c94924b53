/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/log.h"
#include "tests/support/runner.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
        const char *text;
        size_t length;
        size_t size; /* of the buffer */
        const char *escaped;
} texts[] = {
        { "", 0, 4, "" },
        { "plain text ~!", 13, 64, "plain text ~!" },
        { "a\\b", 3, 64, "a\\\\b" },
        { "a\nb\r\t", 5, 64, "a\\x0ab\\x0d\\x09" },
        { "\x1b[31m", 5, 64, "\\x1b[31m" },
        { "nul\0in", 6, 64, "nul\\x00in" },
        { "\xc2\x9b\x7f\xff", 4, 64, "\\xc2\\x9b\\x7f\\xff" },
        { "abcdefg", 7, 8, "abcdefg" },
        { "abcdefgh", 8, 8, "abcd..." },
        { "abcdef\n", 7, 8, "abcd..." },
        { "ab\nd\n", 5, 11, "ab\\x0ad..." },
        { "\n\n", 2, 8, "\\x0a..." },
        { "\n\n", 2, 7, "..." }, /* never half an escape */
        { "abcd", 4, 4, "..." },
        { "abc", 3, 4, "abc" },
};

START_TEST(escape) {
        char buffer[80];

        memset(buffer, 'X', sizeof(buffer));
        ck_assert_ptr_eq(nb_escape(texts[_i].text, texts[_i].length, buffer, texts[_i].size), buffer);
        ck_assert_str_eq(buffer, texts[_i].escaped);
        ck_assert_int_eq(buffer[texts[_i].size], 'X');
}
END_TEST

START_TEST(every_byte_at_every_size_is_printable) {
        char text[256], buffer[1200];

        for (size_t i = 0; i < sizeof(text); ++i)
                text[i] = (char)i;
        for (size_t size = 4; size < sizeof(buffer); ++size) {
                nb_escape(text, sizeof(text), buffer, size);
                ck_assert_uint_lt(strlen(buffer), size);
                for (const char *c = buffer; *c; ++c)
                        ck_assert(*c >= ' ' && *c <= '~');
        }
}
END_TEST

/** What nb_log() writes of one text, read back from a pipe. */
static void log_text(bool journal, const char *text, char *buffer, size_t size) {
        int fds[2];

        ck_assert_int_eq(pipe(fds), 0);
        struct nb_log log = { .program = "prog", .level = NB_LOG_INFO, .fd = fds[1], .journal = journal };

        errno = EBUSY;
        nb_log(&log, NB_LOG_WARNING, "%s", text);
        ck_assert_int_eq(errno, EBUSY);
        nb_log(&log, NB_LOG_DEBUG, "not at this level");
        nb_fd_close(fds[1]);

        ssize_t n = read(fds[0], buffer, size - 1);

        ck_assert_int_ge(n, 0);
        buffer[n] = '\0';
        nb_fd_close(fds[0]);
}

START_TEST(log_lines) {
        char buffer[8192], *longest = malloc(100001);

        log_text(false, "one\ntwo \x1b[0m", buffer, sizeof(buffer));
        ck_assert_str_eq(buffer, "prog: one\nprog: two \\x1b[0m\n");
        log_text(true, "one\ntwo", buffer, sizeof(buffer));
        ck_assert_str_eq(buffer, "<4>one\n<4>two\n");

        ck_assert_ptr_nonnull(longest);
        memset(longest, '\n', 100000); /* each byte becomes a line with its prefix */
        longest[100000] = '\0';
        log_text(false, longest, buffer, sizeof(buffer));
        ck_assert_uint_le(strlen(buffer), 4096);
        ck_assert_int_eq(buffer[strlen(buffer) - 1], '\n');
        memset(longest, '\1', 100000);
        log_text(false, longest, buffer, sizeof(buffer));
        ck_assert_uint_le(strlen(buffer), 4096);
        ck_assert_int_eq(buffer[strlen(buffer) - 1], '\n');
        free(longest);
}
END_TEST

/* The audit's lines: of any length, in one write, and as they are. */
START_TEST(log_verbatim) {
        const size_t length = 60000;
        char *text = malloc(length + 1), *buffer = malloc(length + 64);
        struct nb_log log = { .program = "prog", .level = NB_LOG_NOTICE };
        int fds[2];

        ck_assert(text && buffer);
        memset(text, 'j', length);
        text[length] = '\0';
        ck_assert_int_eq(pipe(fds), 0);
        log.fd = fds[1];
        errno = EBUSY;
        nb_log_verbatim(&log, NB_LOG_INFO, "audit ", "not at this level");
        nb_log_verbatim(&log, NB_LOG_NOTICE, "audit ", text);
        ck_assert_int_eq(errno, EBUSY);
        nb_fd_close(fds[1]);
        ck_assert_int_eq(read(fds[0], buffer, length + 64), strlen("prog: audit ") + length + 1);
        ck_assert_mem_eq(buffer, "prog: audit jjjj", 16);
        ck_assert_int_eq(buffer[strlen("prog: audit ") + length], '\n');
        nb_fd_close(fds[0]);
        free(text);
        free(buffer);
}
END_TEST

/* systemd names the stream by device and inode; who inherited the variable and writes elsewhere is not meant. */
START_TEST(log_finds_the_journal) {
        struct nb_log log;
        char stream[64];
        struct stat st;

        ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
        ck_assert_int_gt(snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino), 0);
        ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
        nb_log_init(&log, "prog", NB_LOG_INFO);
        ck_assert(log.journal);
        ck_assert_int_eq(setenv("JOURNAL_STREAM", "1:1", 1), 0);
        nb_log_init(&log, "prog", NB_LOG_INFO);
        ck_assert(!log.journal);
        ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
        nb_log_init(&log, "prog", NB_LOG_INFO);
        ck_assert(!log.journal);
}
END_TEST

/* What is kept beside for who asked: warnings, as far as there is room. */
START_TEST(log_keeps_a_copy) {
        struct nb_log_copy copy = { .length = 0 };
        struct nb_log log = { .program = "prog", .level = NB_LOG_INFO, .fd = -1, .copy = &copy };
        char longest[1500];

        nb_log(&log, NB_LOG_WARNING, "one\ntwo \x1b");
        nb_log(&log, NB_LOG_NOTICE, "not kept");
        ck_assert_str_eq(copy.text, "one\ntwo \\x1b");
        memset(longest, 'x', sizeof(longest));
        for (unsigned i = 0; i < 4; ++i)
                nb_log(&log, NB_LOG_ERROR, "%.*s", (int)sizeof(longest), longest);
        ck_assert_uint_eq(copy.length, strlen(copy.text));
        ck_assert_uint_lt(copy.length, sizeof(copy.text));
        ck_assert_mem_eq(copy.text, "one\ntwo \\x1b\nxxx", 16);
        ck_assert_str_eq(copy.text + copy.length - 3, "...");
}
END_TEST

START_TEST(log_levels) {
        enum nb_log_level level;

        ck_assert_int_eq(nb_log_level_parse("notice", &level), 0);
        ck_assert_int_eq(level, NB_LOG_NOTICE);
        ck_assert_int_eq(nb_log_level_parse("Notice", &level), -EINVAL);
        ck_assert_int_eq(nb_log_level_parse("", &level), -EINVAL);
}
END_TEST

static Suite *escape_suite(void) {
        Suite *suite = suite_create("escape");
        TCase *escapes = tcase_create("escape"), *log = tcase_create("log");

        tcase_add_loop_test(escapes, escape, 0, ELEMENTS(texts));
        tcase_add_test(escapes, every_byte_at_every_size_is_printable);
        tcase_add_test(log, log_lines);
        tcase_add_test(log, log_verbatim);
        tcase_add_test(log, log_finds_the_journal);
        tcase_add_test(log, log_keeps_a_copy);
        tcase_add_test(log, log_levels);
        suite_add_tcase(suite, escapes);
        suite_add_tcase(suite, log);
        return suite;
}

int main(void) {
        return run_suite(escape_suite());
}
