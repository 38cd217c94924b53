/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/wall_clock.h"

#define PIECE_MAX 16384

static int reserve(struct admin_call *call, size_t more) {
        size_t needed = call->out_length + more, allocated = call->out_allocated;
        char *out;

        if (needed <= allocated)
                return 0;
        while (allocated < needed)
                allocated = allocated == 0 ? 4096 : allocated * 2;
        out = realloc(call->out, allocated);
        if (!out)
                return -ENOMEM;
        call->out = out;
        call->out_allocated = allocated;
        return 0;
}

int admin_say(struct admin_call *call, json_t *line) {
        NB_CLEANUP_FREE char *text = line ? json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
        size_t length = text ? strlen(text) : 0;

        json_decref(line);
        if (!text || reserve(call, length + 1) < 0)
                return -ENOMEM;
        memcpy(call->out + call->out_length, text, length);
        call->out[call->out_length + length] = '\n';
        call->out_length += length + 1;
        return 0;
}

int admin_fail(struct admin_call *call, int r, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(call->error, sizeof(call->error), format, arguments);
        va_end(arguments);
        return r;
}

int admin_take(struct admin_call *call, const json_t *request, const char *format, ...) {
        json_error_t error;
        va_list arguments;
        int r;

        errno = 0;
        va_start(arguments, format);
        r = json_vunpack_ex((json_t *)request, &error, JSON_STRICT, format, arguments);
        va_end(arguments);
        if (r < 0 && errno == ENOMEM)
                return -ENOMEM;
        return r == 0 ? 0 : admin_fail(call, -EINVAL, "not a request of this verb: %s", error.text);
}

/* Cut behind a line, so that no character is cut in two. */
size_t admin_piece_length(const char *text) {
        size_t length = strnlen(text, PIECE_MAX);
        const char *newline = length == PIECE_MAX ? memrchr(text, '\n', length) : NULL;

        return newline ? (size_t)(newline - text) + 1 : length;
}

json_t *admin_text(const char *text) {
        char escaped[1024];
        json_t *string;

        if (!text)
                return json_null();
        string = json_string(text);
        return string ? string : json_string(nb_escape(text, strlen(text), escaped, sizeof(escaped)));
}

json_t *admin_time(uint64_t ms) {
        char text[NB_WALL_CLOCK_TEXT_MAX];

        if (ms == 0 || !nb_wall_clock_format(ms, text))
                return json_null();
        return json_string(text);
}

json_t *admin_time_of_seconds(uint64_t seconds) {
        return seconds <= UINT64_MAX / 1000 ? admin_time(seconds * 1000) : json_null();
}
