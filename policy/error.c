/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "policy/error.h"
#include "policy/policy.h"

/* How much of a file's name is shown. */
#define FILE_TEXT_MAX 256

int policy_complain_v(struct policy_complaint *ret, size_t offset, const char *format, va_list arguments) {
        ret->offset = offset;
        ret->correct[0] = '\0';
        if (vsnprintf(ret->message, sizeof(ret->message), format, arguments) < 0)
                ret->message[0] = '\0';
        return -EINVAL;
}

int policy_complain(struct policy_complaint *ret, size_t offset, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)policy_complain_v(ret, offset, format, arguments);
        va_end(arguments);
        return -EINVAL;
}

void policy_complaint_splice(struct policy_complaint *complaint, const char *text, size_t length, size_t from,
                             size_t to, const char *replacement) {
        int n = snprintf(complaint->correct, sizeof(complaint->correct), "%.*s%s%.*s", (int)from, text, replacement,
                         (int)(length - to), text + to);

        if (n < 0 || (size_t)n >= sizeof(complaint->correct)) /* half a correction is worse than none */
                complaint->correct[0] = '\0';
}

void policy_complaint_widen(struct policy_complaint *complaint, const char *text, size_t length, size_t from,
                            size_t to) {
        char part[sizeof(complaint->correct)];

        complaint->offset += from;
        if (complaint->correct[0] == '\0')
                return;
        memcpy(part, complaint->correct, sizeof(part));
        policy_complaint_splice(complaint, text, length, from, to, part);
}

void policy_printable(const char *text, size_t length, char *buffer, size_t size) {
        size_t n = length < size - 1 ? length : size - 1;

        for (size_t i = 0; i < n; ++i) {
                if (text[i] == '\t')
                        buffer[i] = ' ';
                else
                        buffer[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
        }
        buffer[n] = '\0';
}

/** Appends, and cuts silently: what is shown first matters most. */
__attribute__((format(printf, 4, 5))) static void append(char *buffer, size_t size, size_t *used, const char *format,
                                                         ...) {
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(buffer + *used, size - *used, format, arguments);
        va_end(arguments);
        if (n < 0)
                return;
        *used = (size_t)n < size - *used ? *used + (size_t)n : size - 1;
}

const char *policy_error_format(const struct policy_error *error, char *buffer, size_t size) {
        char file[FILE_TEXT_MAX];
        size_t used = 0;

        buffer[0] = '\0';
        nb_escape(error->file, strlen(error->file), file, sizeof(file));
        append(buffer, size, &used, "%s:", file);
        if (error->line > 0)
                append(buffer, size, &used, "%u:", error->line);
        if (error->line > 0 && error->column > 0)
                append(buffer, size, &used, "%u:", error->column);
        append(buffer, size, &used, " error: %s", error->message);

        if (error->source[0] != '\0')
                append(buffer, size, &used, "\n    %s", error->source);
        if (error->column > 0 && error->column <= strlen(error->source) + 1)
                append(buffer, size, &used, "\n    %*s", (int)error->column, "^");
        if (error->correct[0] != '\0')
                append(buffer, size, &used, "\nwrite: %s", error->correct);
        return buffer;
}
