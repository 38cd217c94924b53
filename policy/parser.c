/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/parser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int parser_fail(struct parser *p, const struct policy_line *line, const struct policy_complaint *complaint) {
        struct policy_error *error = p->error;

        *error = (struct policy_error){ .file = p->caller_file };
        snprintf(error->message, sizeof(error->message), "%s", complaint->message);
        policy_printable(complaint->correct, strlen(complaint->correct), error->correct, sizeof(error->correct));
        if (line) {
                error->line = line->number;
                error->column = (unsigned)complaint->offset + 1;
                policy_printable(line->text, line->length, error->source, sizeof(error->source));
        }
        p->result = -EINVAL;
        return -EINVAL;
}

/* The line of that number; 0 is none. */
static struct policy_line line_at(const struct parser *p, unsigned number) {
        struct policy_line line = { 0 };

        while (line.number < number && policy_line_next(p->text, p->length, &line))
                ;
        return line;
}

int parser_fail_whole(struct parser *p, unsigned number, const char *correct, const char *format, ...) {
        struct policy_line line = line_at(p, number);
        struct policy_complaint complaint;
        va_list arguments;

        va_start(arguments, format);
        (void)policy_complain_v(&complaint, 0, format, arguments);
        va_end(arguments);
        snprintf(complaint.correct, sizeof(complaint.correct), "%s", correct);
        parser_fail(p, number > 0 ? &line : NULL, &complaint);
        p->error->column = 0;
        return -EINVAL;
}

int parser_fail_at(struct parser *p, size_t offset, const char *format, ...) {
        struct policy_complaint complaint;
        va_list arguments;

        va_start(arguments, format);
        (void)policy_complain_v(&complaint, offset, format, arguments);
        va_end(arguments);
        return parser_fail(p, &p->line, &complaint);
}

int parser_fail_part(struct parser *p, struct policy_complaint *complaint, size_t from, size_t to) {
        policy_complaint_widen(complaint, p->line.text, p->line.length, from, to);
        return parser_fail(p, &p->line, complaint);
}

int parser_fail_value(struct parser *p, unsigned number, const char *format, ...) {
        struct policy_line line = line_at(p, number);
        struct policy_complaint complaint;
        va_list arguments;

        va_start(arguments, format);
        (void)policy_complain_v(&complaint, 0, format, arguments);
        va_end(arguments);
        complaint.offset = policy_line_value_offset(&line);
        return parser_fail(p, &line, &complaint);
}

int parser_fail_memory(struct parser *p) {
        p->result = -ENOMEM;
        return -ENOMEM;
}

void *parser_grow(void *array, size_t n, size_t size) {
        if ((n & (n - 1)) != 0)
                return array;
        return reallocarray(array, n > 0 ? n * 2 : 1, size);
}
