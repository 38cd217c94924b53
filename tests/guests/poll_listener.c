/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_listener ADDRESS: one poll_oneoff() over a listening control and a clock. First nobody comes and the clock must fire; it
 * says so; then a peer comes and the control must be readable long before the clock.
 */
#include <stdint.h>

#include "tests/guests/guest.h"

enum { TAG_LISTENER = 7, TAG_CLOCK = 8 };

#define MILLISECOND UINT64_C(1000000)

/* Waits for the control or the time. @return the tag of the only event. */
static __wasi_userdata_t wait_for(__wasi_fd_t control, uint64_t timeout_ns) {
        __wasi_subscription_t subscriptions[2] = {
                { .userdata = TAG_LISTENER,
                  .u = { .tag = __WASI_EVENTTYPE_FD_READ, .u.fd_read.file_descriptor = control } },
                { .userdata = TAG_CLOCK,
                  .u = { .tag = __WASI_EVENTTYPE_CLOCK,
                         .u.clock = { .id = __WASI_CLOCKID_MONOTONIC, .timeout = timeout_ns } } },
        };
        __wasi_event_t events[2];
        __wasi_size_t n = 0;

        CHECK_OK(__wasi_poll_oneoff(subscriptions, events, 2, &n));
        CHECK(n == 1);
        CHECK_OK(events[0].error);
        return events[0].userdata;
}

int main(int argc, char **argv) {
        __wasi_fd_t control, connection;

        CHECK(argc == 2);
        control = guest_listener(argv[1], __WASI_FDFLAGS_NONBLOCK);
        CHECK_ERRNO(__wasi_networking_accept(control, &connection), __WASI_ERRNO_AGAIN);
        CHECK(wait_for(control, 20 * MILLISECOND) == TAG_CLOCK);
        puts("nobody");
        fflush(stdout);

        CHECK(wait_for(control, 30000 * MILLISECOND) == TAG_LISTENER);
        CHECK_OK(__wasi_networking_accept(control, &connection));
        CHECK_ERRNO(__wasi_networking_accept(control, &connection), __WASI_ERRNO_AGAIN);
        puts("somebody");
        return 0;
}
