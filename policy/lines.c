/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "policy/lines.h"

/* UTF-8's encoding of the byte order mark. */
#define BOM "\xef\xbb\xbf"
#define BOM_LENGTH (sizeof(BOM) - 1)

bool policy_line_next(const char *text, size_t length, struct policy_line *line) {
        const char *start = line->text ? line->text + line->length + 1 : text;
        const char *end = text + length, *newline;

        if (start >= end)
                return false;
        newline = memchr(start, '\n', (size_t)(end - start));
        line->text = start;
        line->length = (size_t)((newline ? newline : end) - start);
        ++line->number;
        return true;
}

static bool is_letter(char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/** The line without the bytes from `from` to `to`, as the correction. */
static void correct(struct policy_complaint *complaint, const struct policy_line *line, size_t from, size_t to,
                    const char *replacement) {
        policy_complaint_splice(complaint, line->text, line->length, from, to, replacement);
}

/** The length of the UTF-8 character there; 0 where the bytes are none. */
static size_t character_length(const char *text, size_t left) {
        for (size_t n = 1; n <= 4 && n <= left; ++n)
                if (nb_utf8_is_text((const uint8_t *)text, n))
                        return n;
        return 0;
}

/** C0, DEL, and C1 as UTF-8 writes it: what a terminal would obey. */
static bool is_control(const char *text, size_t n) {
        unsigned char c = (unsigned char)text[0];

        if (n == 1)
                return (c < ' ' && c != '\t') || c == 0x7f;
        return n == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0;
}

static int check_characters(const struct policy_line *line, struct policy_complaint *complaint) {
        const char *text = line->text;

        for (size_t i = 0, n; i < line->length; i += n) {
                if (text[i] == '\0')
                        return policy_complain(complaint, i, "a NUL byte");
                n = character_length(text + i, line->length - i);
                if (n == 0)
                        return policy_complain(complaint, i, "byte 0x%02x is not UTF-8", (unsigned char)text[i]);
                if (text[i] == '\r' && i + 1 == line->length) {
                        policy_complain(complaint, i, "the line ends in CR LF; save the file with LF alone");
                        correct(complaint, line, i, i + 1, "");
                        return -EINVAL;
                }
                if (is_control(text + i, n))
                        return policy_complain(complaint, i, "control character 0x%02x",
                                               (unsigned char)text[i + n - 1]);
        }
        return 0;
}

static int check_begin(const struct policy_line *line, struct policy_complaint *complaint) {
        size_t blanks = 0;

        if (line->number == 1 && line->length >= BOM_LENGTH && memcmp(line->text, BOM, BOM_LENGTH) == 0) {
                policy_complain(complaint, 0, "the file begins with a byte order mark; save it without");
                correct(complaint, line, 0, BOM_LENGTH, "");
                return -EINVAL;
        }
        while (blanks < line->length && policy_is_blank(line->text[blanks]))
                ++blanks;
        if (blanks == 0)
                return 0;
        policy_complain(complaint, 0, "the line is indented; there are no continuation lines");
        correct(complaint, line, 0, blanks, "");
        return -EINVAL;
}

/** A `#` or `;` behind a blank in a value: meant as a comment, and half of it would be taken for one. */
static int check_comment(const struct policy_line *line, struct policy_complaint *complaint) {
        const char *text = line->text;

        for (size_t i = 1; i < line->length; ++i) {
                if ((text[i] != '#' && text[i] != ';') || !policy_is_blank(text[i - 1]))
                        continue;
                policy_complain(complaint, i, "a comment stands on a line of its own");
                while (i > 0 && policy_is_blank(text[i - 1]))
                        --i;
                correct(complaint, line, i, line->length, "");
                return -EINVAL;
        }
        return 0;
}

/** Letters, and `=`. */
static int check_assignment(const struct policy_line *line, struct policy_complaint *complaint) {
        size_t i = 0;

        while (i < line->length && is_letter(line->text[i]))
                ++i;
        while (i < line->length && policy_is_blank(line->text[i]))
                ++i;
        if (i > 0 && i < line->length && line->text[i] == '=')
                return check_comment(line, complaint);
        if (i > 0 && i < line->length && line->text[i] == ':') {
                policy_complain(complaint, i, "key and value are separated by \"=\"");
                correct(complaint, line, i, i + 1, "=");
                return -EINVAL;
        }
        return policy_complain(complaint, 0, "neither [Section] nor Key=value nor a # comment");
}

int policy_line_classify(const struct policy_line *line, enum policy_line_kind *ret_kind,
                         struct policy_complaint *ret_complaint) {
        size_t first = 0;
        int r = check_characters(line, ret_complaint);

        if (r < 0)
                return r;
        while (first < line->length && policy_is_blank(line->text[first]))
                ++first;
        if (first == line->length || line->text[first] == '#' || line->text[first] == ';') {
                *ret_kind = POLICY_LINE_NOTHING;
                return 0;
        }
        r = check_begin(line, ret_complaint);
        if (r < 0)
                return r;
        if (line->length > POLICY_LINE_MAX)
                return policy_complain(ret_complaint, POLICY_LINE_MAX,
                                       "the line is longer than %d bytes; write several", POLICY_LINE_MAX);
        if (line->text[0] == '[') {
                *ret_kind = POLICY_LINE_SECTION;
                return 0;
        }
        r = check_assignment(line, ret_complaint);
        if (r == 0)
                *ret_kind = POLICY_LINE_ASSIGNMENT;
        return r;
}

size_t policy_line_value_offset(const struct policy_line *line) {
        const char *equals = memchr(line->text, '=', line->length);
        size_t offset = equals ? (size_t)(equals + 1 - line->text) : line->length;

        while (offset < line->length && policy_is_blank(line->text[offset]))
                ++offset;
        return offset;
}
