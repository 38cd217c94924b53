/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_CTL_NUMBER_H
#define NB_CTL_NUMBER_H

#include <stdint.h>

/** Parses decimal digits as a number from 1 up that JSON can carry as an integer; no sign, no leading zero. @return 0, or -EINVAL. */
int number_parse(const char *text, uint64_t *ret);

#endif
