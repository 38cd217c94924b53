/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/log.h"

/* The text of one call, before escaping; longer ones are cut. */
#define LOG_TEXT_MAX 2048

/* The program's name, or a priority. */
#define LOG_PREFIX_MAX 80

/* What one call writes at most: PIPE_BUF, within which a write to a pipe is atomic. */
#define LOG_OUTPUT_MAX 4096

static const struct {
        const char *name;
        enum nb_log_level level;
} log_levels[] = {
        { "error", NB_LOG_ERROR }, { "warning", NB_LOG_WARNING }, { "notice", NB_LOG_NOTICE },
        { "info", NB_LOG_INFO },   { "debug", NB_LOG_DEBUG },
};

/** Whether standard error is the journal's stream: systemd names it as "device:inode" (systemd.exec(5)). */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        char own[64];
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;
        snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        return strcmp(stream, own) == 0;
}

void nb_log_init(struct nb_log *log, const char *program, enum nb_log_level level) {
        *log = (struct nb_log){
                .program = program,
                .level = level,
                .fd = STDERR_FILENO,
                .journal = stderr_is_journal(),
        };
}

int nb_log_level_parse(const char *text, enum nb_log_level *ret) {
        for (size_t i = 0; i < sizeof(log_levels) / sizeof(log_levels[0]); ++i) {
                if (strcmp(text, log_levels[i].name) != 0)
                        continue;
                *ret = log_levels[i].level;
                return 0;
        }
        return -EINVAL;
}

/** What every line starts with. @return its length, which is less than `size` */
static size_t format_prefix(const struct nb_log *log, enum nb_log_level level, char *buffer, size_t size) {
        int n;

        if (log->journal)
                n = snprintf(buffer, size, "<%d>", (int)level);
        else
                n = snprintf(buffer, size, "%.64s: ", log->program);
        return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

/** Appends one line with its prefix and newline. @return how much of `buffer` is used now. */
static size_t append_line(const struct nb_log *log, enum nb_log_level level, const char *line, size_t length,
                          char *buffer, size_t used) {
        char prefix[LOG_PREFIX_MAX];
        size_t n = format_prefix(log, level, prefix, sizeof(prefix));

        if (n + 8 > LOG_OUTPUT_MAX - used) /* no room for the shortest cut line: what is there is enough */
                return used;

        memcpy(buffer + used, prefix, n);
        used += n;
        nb_escape(line, length, buffer + used, LOG_OUTPUT_MAX - used - 1);
        used += strlen(buffer + used);
        buffer[used++] = '\n';
        return used;
}

static void copy_line(struct nb_log_copy *copy, const char *line, size_t length) {
        size_t left = sizeof(copy->text) - copy->length;

        if (left < 8) /* no room for the shortest cut line */
                return;
        if (copy->length > 0)
                copy->text[copy->length++] = '\n';
        nb_escape(line, length, copy->text + copy->length, sizeof(copy->text) - copy->length);
        copy->length += strlen(copy->text + copy->length);
}

void nb_log(const struct nb_log *log, enum nb_log_level level, const char *format, ...) {
        char text[LOG_TEXT_MAX], buffer[LOG_OUTPUT_MAX];
        int saved = errno;
        size_t used = 0;
        va_list arguments;
        ssize_t written;

        if (level > log->level)
                return;

        va_start(arguments, format);
        int n = vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        if (n < 0)
                text[0] = '\0';

        for (const char *line = text;;) {
                size_t length = strcspn(line, "\n");

                used = append_line(log, level, line, length, buffer, used);
                if (log->copy && level <= NB_LOG_WARNING)
                        copy_line(log->copy, line, length);
                if (line[length] == '\0')
                        break;
                line += length + 1;
        }

        do
                written = write(log->fd, buffer, used);
        while (written < 0 && errno == EINTR); /* other failures: there is nowhere to tell of them */
        errno = saved;
}

void nb_log_verbatim(const struct nb_log *log, enum nb_log_level level, const char *label, const char *text) {
        char prefix[LOG_PREFIX_MAX];
        struct iovec iov[] = {
                { .iov_base = prefix, .iov_len = format_prefix(log, level, prefix, sizeof(prefix)) },
                { .iov_base = (void *)label, .iov_len = strlen(label) },
                { .iov_base = (void *)text, .iov_len = strlen(text) },
                { .iov_base = (void *)"\n", .iov_len = 1 },
        };
        int saved = errno;
        ssize_t written;

        if (level > log->level)
                return;
        do
                written = writev(log->fd, iov, sizeof(iov) / sizeof(iov[0]));
        while (written < 0 && errno == EINTR);
        errno = saved;
}
