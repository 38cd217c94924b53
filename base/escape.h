/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_BASE_ESCAPE_H
#define NB_BASE_ESCAPE_H

#include <stddef.h>

/**
 * Makes hostile text safe for a terminal and a log: printable ASCII stays, a backslash and every other byte become
 * `\\` or `\xHH`; what does not fit is cut and ends in "...".
 * @param size  of `buffer`, at least 4
 * @return `buffer`, NUL-terminated
 */
const char *nb_escape(const char *text, size_t length, char *buffer, size_t size);

#endif
