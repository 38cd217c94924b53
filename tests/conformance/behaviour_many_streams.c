/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ten thousand streams
 *
 * A guest can have 10,000 streams open at once, each with the lowest free number, and wait for all of them in one poll_oneoff. How many
 * descriptors it has, its host decides: netbroker-run gives three quarters of what the process may open.
 */
#include "tests/conformance/conformance.h"

#define N_STREAMS 10000
#define STEP 97 /* every so many is written to */

static void poll_all(const __wasi_fd_t *streams) {
        static __wasi_subscription_t subscriptions[N_STREAMS];
        static __wasi_event_t events[N_STREAMS];
        size_t answered = 0, expected = 0;
        __wasi_size_t n = 0;

        for (size_t i = 0; i < N_STREAMS; ++i) {
                subscriptions[i] = (__wasi_subscription_t){
                        .userdata = i,
                        .u = { .tag = __WASI_EVENTTYPE_FD_READ, .u.fd_read.file_descriptor = streams[i] },
                };
                if (i % STEP == 0) {
                        send_text(streams[i], "hello");
                        ++expected;
                }
        }
        while (answered < expected) {
                CHECK_OK(__wasi_poll_oneoff(subscriptions, events, N_STREAMS, &n));
                for (__wasi_size_t i = 0; i < n; ++i) {
                        CHECK(events[i].error == 0 && events[i].userdata % STEP == 0);
                        expect_text(streams[events[i].userdata], "hello");
                }
                answered += n;
        }
}

int main(void) {
        static __wasi_fd_t streams[N_STREAMS];
        const char *address = setting(PEER_CROWD);
        __wasi_fd_t first = lowest_free();

        for (size_t i = 0; i < N_STREAMS; ++i) {
                streams[i] = stream_open(address, __WASI_FILETYPE_SOCKET_STREAM, 0);
                CHECK(streams[i] >= first && streams[i] <= first + (__wasi_fd_t)i + 1);
        }
        CHECK(lowest_free() <= first + N_STREAMS);
        poll_all(streams);

        /* From both ends to the middle, and a few anew. */
        for (size_t i = 0; i < N_STREAMS / 2; ++i) {
                close_fd(streams[i]);
                close_fd(streams[N_STREAMS - 1 - i]);
        }
        CHECK(lowest_free() == first);
        CHECK(client_open(address, __WASI_FILETYPE_SOCKET_STREAM, 0) == first);
        return 0;
}
