/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/token_clock.h"

#include <time.h>

#include "base/wall_clock.h"

static uint64_t boot_ms(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_BOOTTIME, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void token_clock_init(struct token_clock *clock) {
        *clock = (struct token_clock){
                .wall_ms = nb_wall_clock_ms,
                .boot_ms = boot_ms,
                .latest_boot_ms = boot_ms(),
        };
        (void)token_clock_ms(clock); /* for who is killed before somebody asks */
}

void token_clock_restore(struct token_clock *clock, uint64_t latest_ms, uint64_t latest_boot_ms) {
        uint64_t boot = clock->boot_ms();

        clock->latest_ms = latest_ms;
        /* What was kept before this said when is of now; and nothing is of later. */
        clock->latest_boot_ms = latest_boot_ms == 0 || latest_boot_ms > boot ? boot : latest_boot_ms;
}

uint64_t token_clock_ms(struct token_clock *clock) {
        uint64_t wall = clock->wall_ms(), boot = clock->boot_ms();
        uint64_t counted = clock->latest_ms + (boot - clock->latest_boot_ms);

        clock->latest_ms = wall > counted ? wall : counted;
        clock->latest_boot_ms = boot;
        return clock->latest_ms;
}
