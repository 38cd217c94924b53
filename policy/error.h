/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the parser's parts tell what is wrong: each knows its own piece of text only, so it says where in that piece and how the piece
 * should read; the parser makes of it a `struct policy_error` about the file.
 */
#ifndef NB_POLICY_ERROR_H
#define NB_POLICY_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/** What is wrong with a piece of text. */
struct policy_complaint {
        size_t offset;     /* bytes into the text */
        char message[384]; /* printable */
        char correct[256]; /* the whole text as it should be; empty where there is no telling */
};

/**
 * Fills in a complaint without a correction.
 * @return -EINVAL, for the caller to return.
 */
int policy_complain(struct policy_complaint *ret, size_t offset, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/** The same for a function that was given the arguments itself. */
int policy_complain_v(struct policy_complaint *ret, size_t offset, const char *format, va_list arguments)
        __attribute__((format(printf, 3, 0)));

/** The text with the bytes from `from` to `to` replaced becomes the correction; none, if it does not fit. */
void policy_complaint_splice(struct policy_complaint *complaint, const char *text, size_t length, size_t from,
                             size_t to, const char *replacement);

/** A complaint about the bytes from `from` to `to` of a text becomes one about the whole text. */
void policy_complaint_widen(struct policy_complaint *complaint, const char *text, size_t length, size_t from,
                            size_t to);

/**
 * Copies text for a terminal, one column a byte so that a caret finds its place: a tab becomes a blank, whatever else is
 * not printable ASCII a question mark. Cut at `size`.
 */
void policy_printable(const char *text, size_t length, char *buffer, size_t size);

#endif
