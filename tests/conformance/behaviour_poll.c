/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_oneoff
 *
 * Clocks in all four forms, files, standard streams and network descriptors of every kind wait in one call. It returns every event that
 * is there when it ends, in the order of the subscriptions, with their userdata; what it says of a descriptor is the same whether that is
 * subscribed to once or several times. A clock in the past is an event at once, and a call that only looks is one with such a clock.
 *
 * What is wrong with one subscription is in the `error` of its event, and the call succeeds: `badf` for a number that is no descriptor,
 * `notsup` for a protocol, for which there is nothing to wait, and for the clocks of processor time, `inval` for a type or a flag that
 * WASI does not define. The call itself fails with `inval` without subscriptions, as WASI says, and with more than 65536 of them; with
 * `fault` for its pointers.
 *
 * The array of events may lie upon that of subscriptions: these are read first.
 */
#include <fcntl.h>

#include "tests/conformance/conformance.h"

#define MILLISECOND UINT64_C(1000000)

static __wasi_timestamp_t now(__wasi_clockid_t clock) {
        __wasi_timestamp_t time;

        CHECK_OK(__wasi_clock_time_get(clock, 1, &time));
        return time;
}

static __wasi_subscription_t on_clock(__wasi_userdata_t userdata, __wasi_clockid_t clock, __wasi_timestamp_t timeout,
                                      __wasi_subclockflags_t flags) {
        return (__wasi_subscription_t){
                .userdata = userdata,
                .u = { .tag = __WASI_EVENTTYPE_CLOCK, .u.clock = { .id = clock, .timeout = timeout, .flags = flags } },
        };
}

static __wasi_subscription_t on_fd(__wasi_userdata_t userdata, __wasi_eventtype_t type, __wasi_fd_t fd) {
        return (__wasi_subscription_t){ .userdata = userdata, .u = { .tag = type, .u.fd_read.file_descriptor = fd } };
}

static __wasi_subscription_t on_read(__wasi_userdata_t userdata, __wasi_fd_t fd) {
        return on_fd(userdata, __WASI_EVENTTYPE_FD_READ, fd);
}

static __wasi_subscription_t on_write(__wasi_userdata_t userdata, __wasi_fd_t fd) {
        return on_fd(userdata, __WASI_EVENTTYPE_FD_WRITE, fd);
}

static __wasi_size_t wait_for(const __wasi_subscription_t *subscriptions, __wasi_event_t *events, __wasi_size_t n) {
        __wasi_size_t n_events = 0;

        CHECK_OK(__wasi_poll_oneoff(subscriptions, events, n, &n_events));
        CHECK(n_events > 0 && n_events <= n);
        return n_events;
}

/* The clock that is due ends the wait, not before its time; the other is far away. */
static void one_clock(__wasi_clockid_t clock, __wasi_subclockflags_t flags) {
        __wasi_timestamp_t base = flags ? now(clock) : 0, start = now(__WASI_CLOCKID_MONOTONIC);
        __wasi_subscription_t subscriptions[] = {
                on_clock(1, clock, base + 3600 * SECOND, flags),
                on_clock(2, clock, base + 20 * MILLISECOND, flags),
        };
        __wasi_event_t events[2];

        CHECK(wait_for(subscriptions, events, 2) == 1);
        CHECK(events[0].userdata == 2 && events[0].type == __WASI_EVENTTYPE_CLOCK && events[0].error == 0);
        CHECK(now(__WASI_CLOCKID_MONOTONIC) - start >= 20 * MILLISECOND - MILLISECOND);
        CHECK(now(__WASI_CLOCKID_MONOTONIC) - start < DEADLINE);
}

static void clocks(void) {
        const __wasi_subclockflags_t absolute = __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME;
        __wasi_subscription_t late[] = {
                on_clock(1, __WASI_CLOCKID_REALTIME, 0, absolute),
                on_clock(2, __WASI_CLOCKID_MONOTONIC, 0, absolute),
                on_clock(3, __WASI_CLOCKID_REALTIME, 0, 0),
                on_clock(4, __WASI_CLOCKID_MONOTONIC, UINT64_MAX, 0),
                on_clock(5, __WASI_CLOCKID_MONOTONIC, UINT64_MAX, absolute),
        };
        __wasi_event_t events[5];

        one_clock(__WASI_CLOCKID_MONOTONIC, 0);
        one_clock(__WASI_CLOCKID_MONOTONIC, absolute);
        one_clock(__WASI_CLOCKID_REALTIME, 0);
        one_clock(__WASI_CLOCKID_REALTIME, absolute);
        CHECK(wait_for(late, events, 5) == 3);
        CHECK(events[0].userdata == 1 && events[1].userdata == 2 && events[2].userdata == 3);
}

static void everything(const struct listener *listener, const struct ends *ends) {
        __wasi_fd_t file = open(DIRECTORY "/polled", O_RDWR | O_CREAT | O_TRUNC, 0600);
        __wasi_subscription_t subscriptions[] = {
                on_clock(10, __WASI_CLOCKID_MONOTONIC, DEADLINE, 0),
                on_write(11, STDOUT_FILENO),
                on_read(12, file),
                on_read(13, ends->ours),
                on_read(14, ends->ours),
                on_write(15, ends->ours),
                on_read(16, ends->theirs),
                on_read(17, listener->control),
                on_read(18, 4096),
                on_read(19, STDIN_FILENO),
        };
        static const __wasi_userdata_t expected[] = { 11, 12, 13, 14, 15, 17, 18, 19 };
        __wasi_event_t events[10];

        CHECK(file >= 0);
        send_text(ends->theirs, "abc");
        await_readable(ends->ours);
        (void)stream_open(listener->address, __WASI_FILETYPE_SOCKET_STREAM, 0);
        await_readable(listener->control);
        CHECK(wait_for(subscriptions, events, 10) == 8);
        for (size_t i = 0; i < 8; ++i) {
                CHECK(events[i].userdata == expected[i]);
                CHECK(events[i].error == (expected[i] == 18 ? __WASI_ERRNO_BADF : __WASI_ERRNO_SUCCESS));
        }
        CHECK(events[2].fd_readwrite.nbytes == 3 && events[3].fd_readwrite.nbytes == 3);
        CHECK(events[4].fd_readwrite.nbytes > 0);
        CHECK(unlink(DIRECTORY "/polled") == 0);
}

static __wasi_errno_t error_of(__wasi_subscription_t subscription) {
        __wasi_event_t event;

        CHECK(wait_for(&subscription, &event, 1) == 1);
        CHECK(event.userdata == subscription.userdata && event.type == subscription.u.tag);
        return event.error;
}

static void errors(void) {
        __wasi_subscription_t subscription = on_read(7, STDIN_FILENO);
        __wasi_event_t event;
        __wasi_size_t n;

        CHECK(error_of(on_read(1, -1)) == __WASI_ERRNO_BADF);
        CHECK(error_of(on_write(2, 1000)) == __WASI_ERRNO_BADF);
        CHECK(error_of(on_read(3, protocol(PROTOCOL_IP))) == __WASI_ERRNO_NOTSUP);
        CHECK(error_of(on_clock(4, __WASI_CLOCKID_PROCESS_CPUTIME_ID, 0, 0)) == __WASI_ERRNO_NOTSUP);
        CHECK(error_of(on_clock(5, __WASI_CLOCKID_THREAD_CPUTIME_ID, 0, 0)) == __WASI_ERRNO_NOTSUP);
        CHECK(error_of(on_clock(6, __WASI_CLOCKID_MONOTONIC, 0, 2)) == __WASI_ERRNO_INVAL);
        CHECK(error_of(on_fd(7, 3, STDIN_FILENO)) == __WASI_ERRNO_INVAL);
        CHECK(error_of(on_fd(8, 255, STDIN_FILENO)) == __WASI_ERRNO_INVAL);
        CHECK_ERRNO(__wasi_poll_oneoff(&subscription, &event, 0, &n), __WASI_ERRNO_INVAL);
}

static void overlap(const struct ends *ends) {
        union {
                __wasi_subscription_t subscriptions[3];
                __wasi_event_t events[3];
        } both = { .subscriptions = { on_write(1, ends->ours), on_write(2, ends->theirs), on_write(3, 1) } };
        __wasi_size_t n;

        CHECK_OK(__wasi_poll_oneoff(both.subscriptions, both.events, 3, &n));
        CHECK(n == 3 && both.events[0].userdata == 1 && both.events[1].userdata == 2 && both.events[2].userdata == 3);
}

int main(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        struct ends ends = ends_open(&listener, 0);

        clocks();
        everything(&listener, &ends);
        errors();
        overlap(&ends);
        return 0;
}
