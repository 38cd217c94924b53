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

int parser_fail_whole(struct parser *p, unsigned number, const char *correct, const char *format, ...) {
        struct policy_complaint complaint = { 0 };
        struct policy_line line = { 0 };
        va_list arguments;

        va_start(arguments, format);
        if (vsnprintf(complaint.message, sizeof(complaint.message), format, arguments) < 0)
                complaint.message[0] = '\0';
        va_end(arguments);
        snprintf(complaint.correct, sizeof(complaint.correct), "%s", correct);

        while (line.number < number && policy_line_next(p->text, p->length, &line))
                ;
        parser_fail(p, number > 0 ? &line : NULL, &complaint);
        p->error->column = 0;
        return -EINVAL;
}

int parser_fail_at(struct parser *p, size_t offset, const char *format, ...) {
        struct policy_complaint complaint = { .offset = offset };
        va_list arguments;

        va_start(arguments, format);
        if (vsnprintf(complaint.message, sizeof(complaint.message), format, arguments) < 0)
                complaint.message[0] = '\0';
        va_end(arguments);
        return parser_fail(p, &p->line, &complaint);
}

int parser_fail_part(struct parser *p, struct policy_complaint *complaint, size_t from, size_t to) {
        policy_complaint_widen(complaint, p->line.text, p->line.length, from, to);
        return parser_fail(p, &p->line, complaint);
}

int parser_fail_value(struct parser *p, unsigned number, const char *format, ...) {
        struct policy_complaint complaint = { 0 };
        struct policy_line line = { 0 };
        va_list arguments;

        va_start(arguments, format);
        if (vsnprintf(complaint.message, sizeof(complaint.message), format, arguments) < 0)
                complaint.message[0] = '\0';
        va_end(arguments);

        while (line.number < number && policy_line_next(p->text, p->length, &line))
                ;
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
