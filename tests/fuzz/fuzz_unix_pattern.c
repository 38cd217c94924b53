/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of Unix sockets: the first line is the pattern of a rule, the second the name that is asked for.
 *
 * Whoever writes a pattern means what the naive matcher below does. A correction of a bad pattern is a good one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/unix_pattern.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "unix_pattern";

/* The naive matcher tries all there is to try. */
#define STARS_MAX 4

/** @param start  whether `name` is at the beginning of a component, or of the whole of an abstract name */
static bool naive_match(const char *pattern, const char *name, bool path, bool dots, bool start) {
        if (*pattern == '\0')
                return *name == '\0';
        if (*pattern != '*')
                return *pattern == *name && naive_match(pattern + 1, name + 1, path, dots, path && *name == '/');
        if (path && start && *name == '.' && !dots)
                return false;
        if (naive_match(pattern + 1, name, path, dots, start))
                return true;
        if (*name == '\0' || (path && *name == '/'))
                return false;
        return naive_match(pattern, name + 1, path, dots, false);
}

static void check_match(const char *text, const struct nb_unix_name *name) {
        struct policy_unix_pattern pattern = policy_unix_pattern_of(text);

        for (int dots = 0; dots < 2; ++dots) {
                bool matches = pattern.abstract == name->abstract &&
                               naive_match(pattern.text, name->text, !pattern.abstract, dots, true);

                FUZZ_CHECK(policy_unix_pattern_matches(&pattern, name, dots) == matches, "%s %s %s%s", text,
                           matches ? "does not match" : "matches", name->text, dots ? ", dots as well" : "");
        }
}

static size_t count_stars(const char *text) {
        size_t n = 0;

        for (; *text; ++text)
                n += *text == '*';
        return n;
}

static void check_correction(const struct policy_complaint *complaint) {
        struct policy_complaint ignored;
        const char *correct = complaint->correct;

        if (correct[0] != '\0')
                FUZZ_CHECK(policy_unix_pattern_check(correct, strlen(correct), &ignored) == 0, "\"%s\" is none either",
                           correct);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
        size_t pattern_size = end ? (size_t)(end - data) : size;
        size_t name_size = end ? size - pattern_size - 1 : 0;
        NB_CLEANUP_FREE char *pattern = fuzz_text(data, pattern_size);
        NB_CLEANUP_FREE char *text = fuzz_text(end ? end + 1 : data, name_size);
        struct policy_complaint complaint;
        struct nb_unix_name name;
        int r;

        if (strlen(pattern) != pattern_size) /* the parser of files refuses a NUL before */
                return 0;
        r = policy_unix_pattern_check(pattern, pattern_size, &complaint);
        FUZZ_CHECK(r == 0 || r == -EINVAL, "%d", r);
        if (r < 0)
                check_correction(&complaint);
        else if (nb_unix_name_parse(text, name_size, &name) == 0 && count_stars(pattern) <= STARS_MAX)
                check_match(pattern, &name);
        return 0;
}
