/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for everything a guest can wait for, in one call. */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/socket_pairs.h"
#include "tests/unit/wasi_world.h"

#define SUBSCRIPTIONS WORLD_SUBSCRIPTIONS
#define EVENTS WORLD_EVENTS
#define FD_READ WORLD_FD_READ
#define FD_WRITE WORLD_FD_WRITE
#define MS UINT64_C(1000000)
#define OK NB_WASI_SUCCESS

static void peer_writes_and_memory_moves(void *data) {
        world_move_memory(data);
        world_peer_writes(data, "late");
}

START_TEST(everything_in_one_call) {
        struct world world;
        uint32_t listener;
        uint32_t stream;

        world_init(&world, 0);
        listener = world_listener(&world, 0);
        scripted_broker_push(&world.broker);
        stream = world_stream(&world, 0);
        world_peer_writes(&world, "12345");
        ck_assert_int_eq(write(world.stdio[0], "abc", 3), 3);
        world_subscribe(&world, 0, FD_READ, listener);
        world_subscribe(&world, 1, FD_READ, stream);
        world_subscribe(&world, 2, FD_WRITE, stream);
        world_subscribe(&world, 3, FD_READ, 0);
        world_subscribe(&world, 4, FD_WRITE, 1);
        world_subscribe(&world, 5, FD_READ, WORLD_DIRECTORY);
        world_subscribe(&world, 6, FD_READ, 77);
        world_subscribe(&world, 7, FD_READ, WORLD_PROTOCOL);
        world_subscribe(&world, 8, 3, 0);
        world_subscribe_clock(&world, 9, 1, 3600 * 1000 * MS, 0);
        world_subscribe_clock(&world, 10, 2, 0, 0);
        world_subscribe_clock(&world, 11, 1, 0, 2);
        ck_assert_uint_eq(world_poll(&world, 12), 11);

        for (uint32_t i = 0; i < 9; ++i) {
                ck_assert_uint_eq(world_event(&world, i).userdata, 1000 + i);
                ck_assert_uint_eq(world_event(&world, i).type, i == 2 || i == 4 ? FD_WRITE : i == 8 ? 3 : FD_READ);
        }
        ck_assert_uint_eq(world_event(&world, 0).error, 0);
        ck_assert_uint_eq(world_event(&world, 1).nbytes, 5);
        ck_assert_uint_eq(world_event(&world, 1).flags, 0);
        ck_assert_uint_gt(world_event(&world, 2).nbytes, 1);
        ck_assert_uint_eq(world_event(&world, 3).nbytes, 3);
        ck_assert_uint_eq(world_event(&world, 6).error, NB_WASI_EBADF);
        ck_assert_uint_eq(world_event(&world, 7).error, NB_WASI_ENOTSUP);
        ck_assert_uint_eq(world_event(&world, 8).error, NB_WASI_EINVAL);
        ck_assert_uint_eq(world_event(&world, 9).userdata, 1010);
        ck_assert_uint_eq(world_event(&world, 9).error, NB_WASI_ENOTSUP);
        ck_assert_uint_eq(world_event(&world, 10).error, NB_WASI_EINVAL);
        world_deinit(&world);
}
END_TEST

START_TEST(a_hang_up_is_flagged) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, stream), 0);
        world_peer_writes(&world, "bye");
        world.broker.peer = nb_fd_close(world.broker.peer);
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, stream), 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 3);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, stream), 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 1);
        world_deinit(&world);
}
END_TEST

START_TEST(a_wait_in_poll_finds_the_memory_again) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        world_subscribe(&world, 0, FD_READ, stream);
        world_on_wait(&world, peer_writes_and_memory_moves);
        ck_assert_uint_eq(world_poll(&world, 1), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 4);
        world_deinit(&world);
}
END_TEST

static uint64_t now(clockid_t clock) {
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

/* The fake engine has no clock, so the host's is meant. */
START_TEST(clocks) {
        struct world world;
        uint64_t before;

        world_init(&world, 0);
        before = now(CLOCK_MONOTONIC);
        world_subscribe_clock(&world, 0, 1, 5 * MS, 0);
        world_subscribe_clock(&world, 1, 0, 3600 * 1000 * MS, 0);
        ck_assert_uint_eq(world_poll(&world, 2), 1);
        ck_assert_uint_eq(world_event(&world, 0).userdata, 1000);
        ck_assert_uint_ge(now(CLOCK_MONOTONIC), before + 5 * MS);

        before = now(CLOCK_MONOTONIC);
        world_subscribe_clock(&world, 0, 1, before + 5 * MS, 1);
        world_subscribe_clock(&world, 1, 0, UINT64_MAX, 1);
        ck_assert_uint_eq(world_poll(&world, 2), 1);
        ck_assert_uint_ge(now(CLOCK_MONOTONIC), before + 5 * MS);

        world_subscribe_clock(&world, 0, 0, now(CLOCK_REALTIME) + 1, 1);
        world_subscribe_clock(&world, 1, 1, 0, 1);
        ck_assert_uint_ge(world_poll(&world, 2), 1);
        world_subscribe_clock(&world, 0, 1, UINT64_MAX, 0);
        world_subscribe_clock(&world, 1, 1, 0, 0);
        ck_assert_uint_eq(world_poll(&world, 2), 1);
        world_deinit(&world);
}
END_TEST

START_TEST(the_bounds_of_poll) {
        const uint32_t size = WORLD_MEMORY_SIZE;
        struct world world;

        world_init(&world, 0);
        world_subscribe_clock(&world, 0, 1, 0, 0);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 0, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 65537, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, UINT32_MAX, WORLD_RET),
                         NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 65536, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", size - 47, EVENTS, 1, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", size - 48, EVENTS, 1, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, size - 31, 1, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, size - 32, 1, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 1, size - 3), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 1, size - 4), OK);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", UINT32_MAX, UINT32_MAX, 1, UINT32_MAX), NB_WASI_EFAULT);
        /* Arrays may overlap: what was subscribed to is read first. */
        world_subscribe_clock(&world, 0, 1, 0, 0);
        world_subscribe_clock(&world, 1, 1, 0, 0);
        ck_assert_uint_eq(world_call_ret(&world, "poll_oneoff", SUBSCRIPTIONS, SUBSCRIPTIONS + 8, 2, WORLD_RET), 2);
        world_deinit(&world);
}
END_TEST

/* A hundred of them, each for both directions. */
START_TEST(many_descriptors) {
        struct world world;
        uint32_t first;

        world_init(&world, 0);
        first = world_stream(&world, 0);
        for (uint32_t i = 1; i < 100; ++i)
                world_stream(&world, 0);
        for (uint32_t i = 0; i < 100; ++i) {
                world_subscribe(&world, 2 * i, FD_READ, first + i);
                world_subscribe(&world, 2 * i + 1, FD_WRITE, first + i);
        }
        /* Every stream but the last has lost its peer: readable and writable; the last is writable. */
        ck_assert_uint_eq(world_poll(&world, 200), 199);
        world_deinit(&world);
}
END_TEST

/* ---- what an event says ---- */

START_TEST(a_control_tells_of_one_connection) {
        struct world world;
        uint32_t listener;
        uint32_t client;

        world_init(&world, 0);
        listener = world_listener(&world, NB_NONBLOCK);
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, listener), 0);
        scripted_broker_push(&world.broker);
        scripted_broker_push(&world.broker);
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, listener), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 0);

        client = world_open(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_connect(&world, client, "held:1"), NB_WASI_EINPROGRESS);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, client), 0);
        scripted_broker_release(&world.broker);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, client), 1);
        ck_assert_uint_eq(world_event(&world, 0).type, FD_WRITE);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        world_deinit(&world);
}
END_TEST

/* Neither for a listener nor for a connect that lasts, whose control is another one then. */
START_TEST(a_broker_that_is_started_again_is_no_event) {
        struct world world;
        uint32_t listener, client;

        world_init(&world, 0);
        listener = world_listener(&world, NB_NONBLOCK);
        client = world_call_ret(&world, "open", WORLD_PROTOCOL, WORLD_TEXT,
                                world_put_text(&world, WORLD_TEXT, "0.0.0.0:0"), NB_SOCKET_STREAM, NB_RIGHTS_CONTROL,
                                NB_RIGHTS_STREAM, NB_NONBLOCK, WORLD_RET);
        ck_assert_int_eq(world_connect(&world, client, "held:1"), NB_WASI_EINPROGRESS);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, client), 0);
        for (int i = 0; i < 5; ++i) {
                scripted_broker_restart(&world.broker);
                for (int j = 0; j < 3; ++j) {
                        ck_assert_uint_eq(world_poll_one(&world, FD_READ, listener), 0);
                        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, client), 0);
                }
        }
        ck_assert_uint_eq(world.broker.n_connects, 6);
        scripted_broker_release(&world.broker);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, client), 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 0);
        ck_assert_int_eq(world_connect(&world, client, "held:1"), OK);
        scripted_broker_push(&world.broker);
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, listener), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        world_deinit(&world);
}
END_TEST

/* What was pushed before the broker went is still to be had. */
START_TEST(a_control_whose_broker_is_gone_hangs_up) {
        struct world world;
        uint32_t listener;

        world_init(&world, 0);
        listener = world_listener(&world, NB_NONBLOCK);
        scripted_broker_push(&world.broker);
        scripted_broker_deinit(&world.broker);
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, listener), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 1);
        (void)world_call_ret(&world, "sock_accept", listener, 0, WORLD_RET);
        for (uint8_t type = FD_READ; type <= FD_WRITE; ++type) {
                ck_assert_uint_eq(world_poll_one(&world, type, listener), 1);
                ck_assert_uint_eq(world_event(&world, 0).nbytes, 0);
                ck_assert_uint_eq(world_event(&world, 0).flags, 1);
                ck_assert_uint_eq(world_event(&world, 0).error, 0);
        }
        ck_assert_int_eq(world_call(&world, "sock_accept", listener, 0, WORLD_RET), NB_WASI_EPIPE);
        world_deinit(&world);
}
END_TEST

/* Sizes and positions of an engine's file, and what is left; what is no file can be read, and that is all. */
static const struct {
        uint8_t filetype;
        uint64_t size;
        uint64_t tell;
        uint64_t nbytes;
} files[] = {
        { 4, 100, 0, 100 },
        { 4, 100, 40, 60 },
        { 4, 100, 100, 0 },
        { 4, 100, 101, 0 },
        { 4, 0, 0, 0 },
        { 4, UINT64_MAX, 1, UINT64_MAX - 1 },
        { 3 /* a directory */, 100, 40, 1 },
};

START_TEST(a_file_tells_what_is_left) {
        struct world world;

        world_init(&world, 0);
        world.engine_result = 0;
        world.engine_filetype = files[_i].filetype;
        world.engine_size = files[_i].size;
        world.engine_tell = files[_i].tell;
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, WORLD_DIRECTORY), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, files[_i].nbytes);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, WORLD_DIRECTORY), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        world_deinit(&world);
}
END_TEST

/* The engine writes only where the events will be: one event has no room for what it says of a file. */
START_TEST(asking_for_a_file_stays_inside_the_events) {
        const uint32_t last = EVENTS + 2 * 32;
        struct world world;

        world_init(&world, 0);
        world.engine_result = 0;
        world.engine_filetype = 4;
        world.engine_size = 100;
        memset(world.memory + EVENTS, 0x55, 4096);
        world_subscribe(&world, 0, FD_READ, WORLD_DIRECTORY);
        ck_assert_uint_eq(world_poll(&world, 1), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        ck_assert_uint_eq(world.n_engine_calls, 0);
        ck_assert_uint_eq(world.memory[EVENTS + 32], 0x55);

        world_subscribe(&world, 1, FD_READ, WORLD_DIRECTORY + 1);
        ck_assert_uint_eq(world_poll(&world, 2), 2);
        ck_assert_uint_eq(world_event(&world, 1).nbytes, 100);
        ck_assert_uint_eq(world.memory[last], 0x55);
        /* At an odd address there is no room for two aligned words more. */
        ck_assert_uint_eq(world_call_ret(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS + 1, 2, WORLD_RET), 2);
        ck_assert_uint_eq(world_get_u64(&world, EVENTS + 1 + 32 + 16), 1);
        ck_assert_uint_eq(world.memory[last + 1], 0x55);
        world_deinit(&world);
}
END_TEST

/* A call of a guest's must not keep the host busy for seconds. */
START_TEST(few_files_are_asked_for) {
        enum { N = 1100, ASKED = 1024 };
        const uint32_t events = WORLD_SUBSCRIPTIONS; /* over the subscriptions, which are read before */
        struct world world;

        world_init(&world, 0);
        world.engine_result = 0;
        world.engine_filetype = 4;
        world.engine_size = 100;
        for (uint32_t i = 0; i < N; ++i)
                world_subscribe(&world, i, FD_READ, WORLD_DIRECTORY);
        ck_assert_uint_eq(world_call_ret(&world, "poll_oneoff", SUBSCRIPTIONS, events, N, WORLD_RET), N);
        ck_assert_uint_eq(world.n_engine_calls, 2 * ASKED);
        for (uint32_t i = 0; i < N; ++i)
                ck_assert_uint_eq(world_get_u64(&world, events + 32 * i + 16), i < ASKED ? 100 : 1);
        world_deinit(&world);
}
END_TEST

START_TEST(a_trap_while_asking_comes_through) {
        struct world world;

        world_init(&world, 0);
        world.engine_result = -ECANCELED;
        world_subscribe(&world, 0, FD_READ, WORLD_DIRECTORY);
        world_subscribe(&world, 1, FD_READ, WORLD_DIRECTORY);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 2, WORLD_RET), -ECANCELED);
        world_deinit(&world);
}
END_TEST

START_TEST(room_to_write_shrinks_and_is_there) {
        static void (*const pairs[])(int ret[static 2]) = { NULL, tcp_pair };
        const struct world_options options = { .make_stream = pairs[_i] };
        struct world world;
        uint64_t before;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, NB_NONBLOCK);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, stream), 1);
        before = world_event(&world, 0).nbytes;
        ck_assert_uint_ge(before, 4096);
        ck_assert_int_eq(world_write(&world, stream, 4096), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 4096);
        if (!pairs[_i]) { /* TCP's peer takes it at once */
                ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, stream), 1);
                ck_assert_uint_le(world_event(&world, 0).nbytes, before - 4096);
        }
        while (world_write(&world, stream, 32768) == OK)
                ;
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, stream), 0);
        world_deinit(&world);
}
END_TEST

/* Numbers of clocks: 2 and 3 measure what a process and a thread have used, which does not grow while they wait. */
START_TEST(clocks_that_do_not_wait) {
        static const struct {
                uint32_t clock;
                uint16_t flags;
                uint16_t error;
        } clock_errors[] = {
                { 0, 0, OK },
                { 1, 0, OK },
                { 0, 1, OK },
                { 1, 1, OK },
                { 2, 0, NB_WASI_ENOTSUP },
                { 3, 1, NB_WASI_ENOTSUP },
                { 4, 0, NB_WASI_EINVAL },
                { UINT32_MAX, 0, NB_WASI_EINVAL },
                { 1, 2, NB_WASI_EINVAL },
                { 2, 0x8000, NB_WASI_EINVAL },
        };
        struct world world;

        world_init(&world, 0);
        for (uint32_t i = 0; i < sizeof(clock_errors) / sizeof(clock_errors[0]); ++i) {
                world_subscribe_clock(&world, 0, clock_errors[i].clock, 0, clock_errors[i].flags);
                ck_assert_uint_eq(world_poll(&world, 1), 1);
                ck_assert_uint_eq(world_event(&world, 0).error, clock_errors[i].error);
                ck_assert_uint_eq(world_event(&world, 0).type, WORLD_CLOCK);
                ck_assert_uint_eq(world_event(&world, 0).nbytes, 0);
        }
        world_deinit(&world);
}
END_TEST

/* Polling takes no right, and asks for none of another. */
START_TEST(polling_needs_no_right) {
        struct world world;
        uint32_t listener;
        uint32_t stream;

        world_init(&world, 0);
        listener = world_listener(&world, NB_NONBLOCK);
        scripted_broker_push(&world.broker);
        stream = world_stream(&world, NB_NONBLOCK);
        world_peer_writes(&world, "x");
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", listener, 0, 0), OK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", stream, 0, 0), OK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", 1, 0, 0), OK);
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, listener), 1);
        ck_assert_uint_eq(world_poll_one(&world, FD_READ, stream), 1);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, stream), 1);
        ck_assert_uint_eq(world_poll_one(&world, FD_WRITE, 1), 1);
        world_deinit(&world);
}
END_TEST

static TCase *poll_tests(void) {
        TCase *tests = tcase_create("poll");

        tcase_add_test(tests, everything_in_one_call);
        tcase_add_test(tests, a_hang_up_is_flagged);
        tcase_add_test(tests, a_wait_in_poll_finds_the_memory_again);
        tcase_add_test(tests, clocks);
        tcase_add_test(tests, the_bounds_of_poll);
        tcase_add_test(tests, many_descriptors);
        tcase_add_test(tests, a_control_tells_of_one_connection);
        tcase_add_test(tests, a_control_whose_broker_is_gone_hangs_up);
        tcase_add_test(tests, a_broker_that_is_started_again_is_no_event);
        tcase_add_loop_test(tests, a_file_tells_what_is_left, 0, (int)(sizeof(files) / sizeof(files[0])));
        tcase_add_test(tests, asking_for_a_file_stays_inside_the_events);
        tcase_add_test(tests, few_files_are_asked_for);
        tcase_add_test(tests, a_trap_while_asking_comes_through);
        tcase_add_loop_test(tests, room_to_write_shrinks_and_is_there, 0, 2);
        tcase_add_test(tests, clocks_that_do_not_wait);
        tcase_add_test(tests, polling_needs_no_right);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi_poll");

        suite_add_tcase(suite, poll_tests());
        return run_suite(suite);
}
