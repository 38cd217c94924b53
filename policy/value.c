/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/suggest.h"
#include "policy/value.h"

/* How much of a wrong value a message quotes. */
#define QUOTE_MAX 64

#define TIMEOUT_MAX_MS (10u * 60 * 1000)

#define DIGITS "0123456789"
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "-_."

static const struct {
        const char *text;
        uint64_t ms;
} time_units[] = {
        { "ms", 1 },
        { "s", 1000 },
        { "min", 60 * 1000 },
};

/** Appends to a list of words for a message: "ip, ipv4 or ipv6". */
static void append_word(char *list, size_t size, const char *word, bool first, bool last) {
        size_t used = strlen(list);

        snprintf(list + used, size - used, "%s%s", first ? "" : last ? " or " : ", ", word);
}

static void list_words(const struct policy_word *words, char *list, size_t size) {
        const struct policy_word *previous = NULL;
        bool first = true;

        list[0] = '\0';
        for (const struct policy_word *word = words;; ++word) {
                if (word->text && word->not_yet)
                        continue;
                if (previous) {
                        append_word(list, size, previous->text, first, !word->text);
                        first = false;
                }
                if (!word->text)
                        return;
                previous = word;
        }
}

int policy_word_parse(const char *text, const struct policy_word *words, int *ret,
                      struct policy_complaint *ret_complaint) {
        char quote[QUOTE_MAX], list[QUOTE_MAX];
        const char *best = NULL;
        size_t distance = 0;

        for (const struct policy_word *word = words; word->text; ++word) {
                if (strcmp(text, word->text) != 0)
                        continue;
                if (word->not_yet)
                        return policy_complain(ret_complaint, 0, "\"%s\" %s", word->text, word->not_yet);
                *ret = word->value;
                return 0;
        }

        for (const struct policy_word *word = words; word->text; ++word)
                if (!word->not_yet)
                        best = policy_suggest(text, strlen(text), word->text, best, &distance);
        policy_printable(text, strlen(text), quote, sizeof(quote));
        list_words(words, list, sizeof(list));
        policy_complain(ret_complaint, 0, "\"%s\" is not %s", quote, list);
        if (best)
                policy_complaint_splice(ret_complaint, text, strlen(text), 0, strlen(text), best);
        return -EINVAL;
}

int policy_timeout_parse(const char *text, uint64_t *ret, struct policy_complaint *ret_complaint) {
        size_t digits = strspn(text, DIGITS);
        uint64_t number = 0;

        for (size_t i = 0; i < digits && i < 9; ++i)
                number = number * 10 + (uint64_t)(text[i] - '0');

        for (size_t i = 0; i < sizeof(time_units) / sizeof(time_units[0]); ++i) {
                if (digits == 0 || digits > 8 || text[0] == '0' || strcmp(text + digits, time_units[i].text) != 0)
                        continue;
                if (number * time_units[i].ms > TIMEOUT_MAX_MS)
                        break;
                *ret = number * time_units[i].ms;
                return 0;
        }

        policy_complain(ret_complaint, 0, "a time is a whole number with its unit, ms, s or min: from 1ms to 10min");
        if (digits > 0 && digits <= 3 && text[0] != '0' && text[digits] == '\0' && number <= TIMEOUT_MAX_MS / 1000)
                policy_complaint_splice(ret_complaint, text, digits, digits, digits, "s");
        return -EINVAL;
}

int policy_mode_parse(const char *text, uint32_t *ret, struct policy_complaint *ret_complaint) {
        size_t digits = strspn(text, "01234567");
        uint32_t mode = 0;

        if (text[digits] != '\0' || digits < 3 || digits > 4)
                return policy_complain(ret_complaint, 0, "a mode is three or four octal digits, such as 0660");
        for (size_t i = 0; i < digits; ++i)
                mode = mode * 8 + (uint32_t)(text[i] - '0');
        if (mode > 0777)
                return policy_complain(ret_complaint, 0, "a socket's mode is at most 0777: user, group and others");
        *ret = mode;
        return 0;
}

int policy_name_check(const char *text, struct policy_complaint *ret_complaint) {
        size_t good = strspn(text, NAME_CHARACTERS);

        if (text[0] == '\0')
                return policy_complain(ret_complaint, 0, "the name is missing");
        if (text[good] != '\0')
                return policy_complain(ret_complaint, good,
                                       "a name is made of letters, digits, \"-\", \"_\" and \".\" of ASCII");
        if (good > POLICY_NAME_MAX)
                return policy_complain(ret_complaint, POLICY_NAME_MAX, "the name is longer than %d bytes",
                                       POLICY_NAME_MAX);
        return 0;
}

/** A number as the kernel counts users: 4294967295 is no user but (uid_t) -1. */
static int check_uid(const char *text, size_t digits, struct policy_complaint *ret_complaint) {
        uint64_t number = 0;

        for (size_t i = 0; i < digits && i < 11; ++i)
                number = number * 10 + (uint64_t)(text[i] - '0');
        if (number >= UINT32_MAX || (text[0] == '0' && digits > 1))
                return policy_complain(ret_complaint, 0,
                                       "a user's number is from 0 to 4294967294, without leading zeros");
        return 0;
}

int policy_user_check(const char *text, struct policy_complaint *ret_complaint) {
        size_t digits = strspn(text, DIGITS);
        size_t good = strspn(text, NAME_CHARACTERS "@$+\\");

        if (text[0] == '\0')
                return policy_complain(ret_complaint, 0, "the user is missing");
        if (text[digits] == '\0')
                return check_uid(text, digits, ret_complaint);
        if (text[good] == ' ' || text[good] == '\t' || text[good] == ',')
                return policy_complain(ret_complaint, good, "one user a line; write User= again for the next");
        if (text[good] != '\0' || text[0] == '-')
                return policy_complain(ret_complaint, text[0] == '-' ? 0 : good, "this is not in a user's name");
        if (good > POLICY_USER_MAX)
                return policy_complain(ret_complaint, POLICY_USER_MAX, "the name is longer than %d bytes",
                                       POLICY_USER_MAX);
        return 0;
}
