/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wall_clock.h"

#include <stdio.h>
#include <time.h>

/* Years have four digits in RFC 3339: the first moment of the year 10000. */
#define SECONDS_MAX UINT64_C(253402300800)

uint64_t nb_wall_clock_ms(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *nb_wall_clock_format(uint64_t ms, char buffer[static NB_WALL_CLOCK_TEXT_MAX]) {
        time_t seconds = (time_t)(ms / 1000);
        char date[32];
        struct tm tm;

        if (ms / 1000 >= SECONDS_MAX || !gmtime_r(&seconds, &tm))
                return NULL;
        (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(buffer, NB_WALL_CLOCK_TEXT_MAX, "%s.%03uZ", date, (unsigned)(ms % 1000));
        return buffer;
}
