/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall clock, for what people read: when something was, and until when a certificate is good. What is waited for goes by the monotonic one.
 */
#ifndef NB_BASE_WALL_CLOCK_H
#define NB_BASE_WALL_CLOCK_H

#include <stdint.h>

/** Room for a moment's text, with its NUL. */
#define NB_WALL_CLOCK_TEXT_MAX 48

/** @return now, in milliseconds since 1970 */
uint64_t nb_wall_clock_ms(void);

/**
 * Writes a moment in RFC 3339's form, in UTC, with milliseconds: `2026-11-23T01:20:00.000Z`.
 * @param ms  since 1970
 * @return buffer; NULL for a moment that no calendar has, as a stranger may tell one
 */
const char *nb_wall_clock_format(uint64_t ms, char buffer[static NB_WALL_CLOCK_TEXT_MAX]);

#endif
