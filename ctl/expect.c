/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/expect.h"

#include <errno.h>
#include <string.h>

/* The word, five of the question, and two each for an address and a rule; one more is too many. */
#define WORDS_MAX 10

/* Puts a NUL behind each word. @return how many there are, WORDS_MAX for more than fit */
static size_t split(char *line, char **words) {
        char *rest = NULL;
        size_t n = 0;

        for (char *word = strtok_r(line, " \t", &rest); word && n < WORDS_MAX; word = strtok_r(NULL, " \t", &rest))
                words[n++] = word;
        return n;
}

static bool is_printable(const char *text, size_t length) {
        for (size_t i = 0; i < length; ++i) {
                if (text[i] != '\t' && (text[i] < ' ' || text[i] > '~'))
                        return false;
        }
        return true;
}

static int complain(const char **message, const char *text) {
        *message = text;
        return -EINVAL;
}

static int parse_rest(struct expectation *expectation, char *const *words, size_t n, const char **message) {
        if (n >= 2 && strcmp(words[0], "=>") == 0) {
                expectation->address = words[1];
                words += 2;
                n -= 2;
        }
        if (n >= 2 && strcmp(words[0], "rule") == 0) {
                expectation->rule = words[1];
                n -= 2;
        }
        return n == 0 ? 1 : complain(message, "behind the target there may be '=> ADDRESS' and 'rule FILE:LINE'");
}

static int parse_words(struct expectation *expectation, char *const *words, size_t n, const char **message) {
        if (strcmp(words[0], "allow") != 0 && strcmp(words[0], "deny") != 0)
                return complain(message, "a line begins with allow or deny");
        if (n < 5)
                return complain(message, "write: allow|deny TENANT PROTOCOL connect|listen|accept TARGET");
        expectation->allow = words[0][0] == 'a';
        expectation->tenant = words[1];
        expectation->protocol = words[2];
        expectation->operation = words[3];
        expectation->target = words[4];
        return parse_rest(expectation, words + 5, n - 5, message);
}

int expect_parse(const char *text, size_t length, struct expectation *ret, const char **message) {
        struct expectation *expectation = ret;
        char *words[WORDS_MAX];
        size_t n;

        if (length > EXPECT_LINE_MAX)
                return complain(message, "the line is too long");
        if (!is_printable(text, length))
                return complain(message, "the line has characters that are not printable ASCII");
        *expectation = (struct expectation){ .address = NULL };
        memcpy(expectation->line, text, length);
        n = split(expectation->line, words);
        if (n == 0 || words[0][0] == '#')
                return 0;
        return parse_words(expectation, words, n, message);
}

bool expect_place(const char *expected, const char *place) {
        size_t length = strlen(expected), place_length = place ? strlen(place) : 0;

        if (!place)
                return strcmp(expected, "none") == 0;
        if (length > place_length || strcmp(place + place_length - length, expected) != 0)
                return false;
        return length == place_length || expected[0] == '/' || place[place_length - length - 1] == '/';
}
