/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files: the input is one.
 *
 * It becomes a policy, or an error that can be shown: printable, with its place in the file; and where a line is suggested instead, that line
 * does not have the same mistake.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "policy";

static int parse(const char *text, size_t length, struct policy_error *error) {
        const struct policy_defaults defaults = { 0 };
        struct policy *policy = policy_new();
        int r;

        FUZZ_CHECK(policy, "no memory");
        r = policy_add_file(policy, "acme.conf", text, length, &defaults, error);
        policy_free(policy);
        FUZZ_CHECK(r == 0 || r == -EINVAL, "%d", r);
        return r;
}

static unsigned count_lines(const char *text, size_t length) {
        unsigned n = 1;

        for (size_t i = 0; i < length; ++i)
                n += text[i] == '\n';
        return n;
}

static void check_can_be_shown(const struct policy_error *error, const char *text, size_t length) {
        char message[2048];

        policy_error_format(error, message, sizeof(message));
        FUZZ_CHECK(strstr(message, " error: "), "%s", message);
        for (const char *c = message; *c; ++c)
                FUZZ_CHECK(*c == '\n' || (*c >= ' ' && *c <= '~'), "byte %02x in: %s", (unsigned char)*c, message);
        FUZZ_CHECK(error->line > 0 || error->column == 0, "%s", message);
        FUZZ_CHECK(error->line <= count_lines(text, length), "%s", message);
}

/** Puts the suggested line in the place of the wrong one, and looks at what is said then. */
static void check_correction(const struct policy_error *error, const char *text, size_t length) {
        NB_CLEANUP_FREE char *corrected = malloc(length + sizeof(error->correct) + 1);
        const char *rest = text;
        size_t rest_length = length, used;
        struct fuzz_line line = { 0 };
        struct policy_error next;

        FUZZ_CHECK(corrected, "no memory");
        for (unsigned i = 0; i < error->line; ++i)
                FUZZ_CHECK(fuzz_next_line(&rest, &rest_length, &line), "there is no line %u", error->line);
        used = (size_t)(line.text - text);
        memcpy(corrected, text, used);
        used += (size_t)snprintf(corrected + used, sizeof(error->correct) + 1, "%s\n", error->correct);
        memcpy(corrected + used, rest, rest_length);
        if (parse(corrected, used + rest_length, &next) == 0)
                return;
        FUZZ_CHECK(next.line != error->line || strcmp(next.message, error->message) != 0,
                   "\"%s\" is suggested, and then: %s", error->correct, next.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE char *text = fuzz_text(data, size);
        struct policy_error error;

        if (parse(text, size, &error) == 0)
                return 0;
        check_can_be_shown(&error, text, size);
        if (error.column > 0 && error.correct[0] != '\0') /* otherwise it is a line to be added */
                check_correction(&error, text, size);
        return 0;
}
