/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for the operator, on standard error.
 *
 * Under systemd (JOURNAL_STREAM names standard error) a line starts with the priority prefix of sd-daemon(3), on a
 * terminal with the program's name. A line is one write, so that lines of several processes do not mix.
 */
#ifndef NB_BASE_LOG_H
#define NB_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

/** syslog's priorities, as far as they are used. */
enum nb_log_level {
        NB_LOG_ERROR = 3,
        NB_LOG_WARNING = 4,
        NB_LOG_NOTICE = 5,
        NB_LOG_INFO = 6,
        NB_LOG_DEBUG = 7,
};

/** How much of what is logged is kept by a copy. */
#define NB_LOG_COPY_MAX 2048

/** Warnings and errors as they were logged, without prefixes, for who asked for what is being done. All zeros to begin. */
struct nb_log_copy {
        char text[NB_LOG_COPY_MAX]; /* printable lines; NUL-terminated; what does not fit is left out */
        size_t length;
};

struct nb_log {
        const char *program; /* borrowed */
        enum nb_log_level level;
        int fd;
        bool journal;             /* prefix with the priority instead of the name */
        struct nb_log_copy *copy; /* borrowed; NULL: none is made */
};

/** Logs to standard error up to `level`; finds out whether that is the journal. `program` is borrowed. */
void nb_log_init(struct nb_log *log, const char *program, enum nb_log_level level);

/** @return 0 and the level for "error", "warning", "notice", "info" or "debug"; -EINVAL otherwise. */
int nb_log_level_parse(const char *text, enum nb_log_level *ret);

/**
 * Writes one line. Control characters in it are escaped, but for a newline, which starts a continuation line with
 * the same prefix. Keeps errno.
 */
void nb_log(const struct nb_log *log, enum nb_log_level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/**
 * Writes `label` and `text` as one line, as they are: for what is printable already, such as JSON in ASCII, and of any
 * length. Keeps errno.
 */
void nb_log_verbatim(const struct nb_log *log, enum nb_log_level level, const char *label, const char *text);

#endif
