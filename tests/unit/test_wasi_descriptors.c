/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of a guest's descriptors: given, moved, closed, of every kind. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/wasi_world.h"

#define TEXT WORLD_TEXT
#define IOVEC WORLD_IOVEC
#define BUFFER WORLD_BUFFER

#define OK NB_WASI_SUCCESS
#define BADF NB_WASI_EBADF
#define NOTSUP NB_WASI_ENOTSUP

/* ---- the engine's descriptors ---- */

START_TEST(files_get_the_lowest_free_number) {
        struct world world;

        world_init(&world, 0);
        world.engine_result = 0;
        world.engine_new_fd = 4711;
        ck_assert_uint_eq(world_call_ret(&world, "path_open", 3, 0, TEXT, 1, 0, 0, 0, 0, WORLD_RET), 7);
        ck_assert_uint_eq(world_stream(&world, 0), 8); /* where its control was; the connection had 9 */
        world.engine_new_fd = 12;
        ck_assert_uint_eq(world_call_ret(&world, "path_open", 4, 0, TEXT, 1, 0, 0, 0, 0, WORLD_RET), 9);
        ck_assert_uint_eq(world.engine_arguments[0], 4);

        ck_assert_int_eq(world_call(&world, "fd_sync", 7), OK);
        ck_assert_uint_eq(world.engine_arguments[0], 4711);
        ck_assert_int_eq(world_call(&world, "fd_close", 7), OK);
        ck_assert_str_eq(world.engine_last, "fd_close");
        ck_assert_uint_eq(world.engine_arguments[0], 4711);
        ck_assert_int_eq(world_call(&world, "fd_sync", 7), BADF);
        ck_assert_uint_eq(world_open(&world, 0), 7);
        world_deinit(&world);
}
END_TEST

START_TEST(a_bad_pointer_opens_no_file) {
        struct world world;

        world_init(&world, 0);
        world.engine_result = 0;
        ck_assert_int_eq(world_call(&world, "path_open", 3, 0, TEXT, 1, 0, 0, 0, 0, WORLD_MEMORY_SIZE - 3),
                         NB_WASI_EFAULT);
        ck_assert_uint_eq(world.n_engine_calls, 0);
        world_deinit(&world);
}
END_TEST

/* As another thread of the guest can have it, where the memory is shared. */
START_TEST(a_descriptor_that_is_not_new_is_refused) {
        const uint32_t taken[] = { 0, 1, WORLD_DIRECTORY, WORLD_DIRECTORY + 1, 40 };
        struct world world;

        world_init(&world, 0);
        world.engine_result = 0;
        world.engine_new_fd = 40;
        ck_assert_uint_eq(world_call_ret(&world, "path_open", 3, 0, TEXT, 1, 0, 0, 0, 0, WORLD_RET), WORLD_FIRST_FREE);
        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); ++i) {
                unsigned n = world.n_engine_calls;

                world.engine_new_fd = taken[i];
                ck_assert_int_eq(world_call(&world, "path_open", 3, 0, TEXT, 1, 0, 0, 0, 0, WORLD_RET), BADF);
                ck_assert_uint_eq(world.n_engine_calls, n + 1); /* nothing was closed */
        }
        /* A number that was given back comes again. */
        ck_assert_int_eq(world_call(&world, "fd_close", WORLD_DIRECTORY + 1), OK);
        world.engine_new_fd = WORLD_DIRECTORY + 1;
        ck_assert_uint_eq(world_call_ret(&world, "path_open", 3, 0, TEXT, 1, 0, 0, 0, 0, WORLD_RET),
                          WORLD_DIRECTORY + 1);
        world_deinit(&world);
}
END_TEST

START_TEST(a_trap_of_the_engine_comes_through) {
        struct world world;

        world_init(&world, 0);
        world.engine_result = -ECANCELED;
        ck_assert_int_eq(world_call(&world, "fd_sync", 3), -ECANCELED);
        ck_assert_int_eq(world_call(&world, "path_open", 3, 0, TEXT, 1, 0, 0, 0, 0, WORLD_RET), -ECANCELED);
        ck_assert_int_eq(world_call(&world, "fd_renumber", 0, 3), -ECANCELED);
        ck_assert_int_eq(world_call(&world, "fd_close", 4), -ECANCELED);
        world_deinit(&world);
}
END_TEST

START_TEST(a_full_table_is_mfile_and_asks_nobody) {
        struct world world;
        uint32_t connection;
        uint32_t length;
        unsigned n;

        world_init(&world, WORLD_FIRST_FREE + 1);
        connection = world_open(&world, 0);
        ck_assert_int_eq(world_call(&world, "fd_close", connection), OK);
        ck_assert_uint_eq(world_open(&world, 0), WORLD_FIRST_FREE);
        world.engine_result = 0;
        n = world.broker.n_requests;
        length = world_put_text(&world, TEXT, "any:0");
        ck_assert_int_eq(world_call(&world, "open", 5, TEXT, length, 6, 0, 0, 0, WORLD_RET), NB_WASI_EMFILE);
        ck_assert_int_eq(world_call(&world, "connect", 7, TEXT, length, WORLD_RET), NB_WASI_EMFILE);
        ck_assert_int_eq(world_call(&world, "path_open", 3, 0, TEXT, 1, 0, 0, 0, 0, WORLD_RET), NB_WASI_EMFILE);
        ck_assert_uint_eq(world.broker.n_requests, n);
        ck_assert_uint_eq(world.n_engine_calls, 0);
        world_deinit(&world);
}
END_TEST

/* ---- renumber and close ---- */

/* A call whose answer tells a kind from all others. */
static const struct {
        const char *function;
        uint64_t argument;
        int answer;
} probes[WORLD_N_KINDS] = {
        [WORLD_KIND_STDIN] = { "fd_datasync", 0, NB_WASI_EINVAL },
        [WORLD_KIND_ENGINE] = { "fd_datasync", 0, WORLD_ENGINE_RESULT },
        [WORLD_KIND_PROTOCOL] = { "fd_prestat_get", WORLD_RET, OK },
        [WORLD_KIND_CONTROL] = { "remote_address", 0, NB_WASI_ENOTCONN },
        [WORLD_KIND_CONNECTION] = { "stream_accept", UINT32_MAX, NB_WASI_EFAULT },
        [WORLD_KIND_STREAM] = { "sock_shutdown", 0, NB_WASI_EINVAL },
};

static void expect_kind(struct world *world, uint32_t fd, enum world_kind kind) {
        int r = world_call(world, probes[kind].function, fd, probes[kind].argument);

        ck_assert_msg(r == probes[kind].answer, "%s of a %d: %d", probes[kind].function, (int)kind, r);
}

/* Any kind onto any: the number is the new one's, the old one's is free, and what was there is closed. */
START_TEST(renumber_in_every_combination) {
        enum world_kind from = (enum world_kind)(_i / WORLD_N_KINDS);
        enum world_kind to = (enum world_kind)(_i % WORLD_N_KINDS);
        struct world world;
        uint32_t source;
        uint32_t target;

        world_init(&world, 0);
        source = world_make(&world, from);
        target = world_make(&world, to);
        (void)world_open(&world, 0); /* takes the number that a connection's control has left */
        if (source == target)        /* another one of the kind */
                target = from == WORLD_KIND_ENGINE ? WORLD_DIRECTORY + 1 : source + 1;
        world.engine_result = 0;
        ck_assert_int_eq(world_call(&world, "fd_renumber", source, target), OK);
        ck_assert_uint_eq(world.n_engine_calls, to == WORLD_KIND_ENGINE);
        world.engine_result = WORLD_ENGINE_RESULT;
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", source, WORLD_RET), BADF);
        expect_kind(&world, target, from);
        ck_assert_int_eq(world_call(&world, "fd_renumber", source, target), BADF);
        ck_assert_int_eq(world_call(&world, "fd_renumber", target, source), BADF);
        ck_assert_int_eq(world_call(&world, "fd_renumber", target, target), OK);
        world.engine_result = 0;
        world.engine_new_fd = 99;
        ck_assert_uint_eq(world_call_ret(&world, "path_open", WORLD_DIRECTORY, 0, TEXT, 1, 0, 0, 0, 0, WORLD_RET),
                          source);
        world_deinit(&world);
}
END_TEST

/* Of a stream that is moved over its own control, as a socket of POSIX's that connects. */
START_TEST(a_stream_takes_the_place_of_its_control) {
        struct world world;
        uint32_t connection;
        uint32_t control;
        uint32_t stream;

        world_init(&world, 0);
        control = world_open(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_connect(&world, control, "held:1"), NB_WASI_EINPROGRESS);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_WRITE, control), 0);
        scripted_broker_release(&world.broker);
        ck_assert_int_eq(world_connect(&world, control, "held:1"), OK);
        connection = world_get_u32(&world, WORLD_RET);
        stream = world_call_ret(&world, "stream_create", connection, UINT64_MAX, 0, 0, WORLD_RET);
        ck_assert_int_eq(world_call(&world, "fd_renumber", stream, control), OK);
        ck_assert_int_eq(world_call(&world, "fd_close", connection), OK);
        world_peer_writes(&world, "hello");
        ck_assert_int_eq(world_read(&world, control, 10), OK);
        world_expect_bytes(&world, "hello");
        ck_assert_uint_eq(world_open(&world, 0), control + 1);
        world_deinit(&world);
}
END_TEST

/* Whatever is closed first, the next descriptor gets the lowest number that is free. */
START_TEST(closed_numbers_come_again) {
        struct world world;
        uint32_t first;

        world_init(&world, 0);
        first = world_stream(&world, 0);
        for (uint32_t i = 1; i < 200; ++i)
                ck_assert_uint_eq(world_stream(&world, 0), first + i);
        for (uint32_t i = 0; i < 200; i += 7)
                ck_assert_int_eq(world_call(&world, "fd_close", first + 199 - i), OK);
        for (uint32_t fd = first; fd < first + 200; ++fd) {
                if ((first + 199 - fd) % 7 == 0)
                        ck_assert_uint_eq(world_stream(&world, 0), fd);
        }
        ck_assert_uint_eq(world_open(&world, 0), first + 200);
        world_deinit(&world);
}
END_TEST

START_TEST(renumber_moves_across_kinds) {
        struct world world;
        uint32_t stream;
        uint32_t control;

        world_init(&world, 0);
        world.engine_result = 0;
        control = world_open(&world, 0);
        stream = world_stream(&world, 0);

        ck_assert_int_eq(world_call(&world, "fd_renumber", stream, control), OK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", stream, WORLD_RET), BADF);
        ck_assert_int_eq(world_call(&world, "listen", control, 1), NOTSUP);
        world_put_iovec(&world, IOVEC, BUFFER, 1);
        ck_assert_uint_eq(world_call_ret(&world, "fd_write", control, IOVEC, 1, WORLD_RET), 1);

        ck_assert_int_eq(world_call(&world, "fd_renumber", control, 3), OK);
        ck_assert_str_eq(world.engine_last, "fd_close");
        ck_assert_uint_eq(world.engine_arguments[0], 3);
        ck_assert_uint_eq(world_call_ret(&world, "fd_write", 3, IOVEC, 1, WORLD_RET), 1);

        ck_assert_int_eq(world_call(&world, "fd_renumber", 4, 3), OK);
        ck_assert_int_eq(world_call(&world, "fd_sync", 3), OK);
        ck_assert_uint_eq(world.engine_arguments[0], 4);

        ck_assert_int_eq(world_call(&world, "fd_renumber", WORLD_PROTOCOL_NARROW, 0), OK);
        ck_assert_int_eq(world_call(&world, "fd_prestat_get", 0, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "fd_renumber", 0, 0), OK);
        ck_assert_int_eq(world_call(&world, "fd_renumber", 0, 40), BADF);
        ck_assert_int_eq(world_call(&world, "fd_renumber", 40, 0), BADF);
        world_deinit(&world);
}
END_TEST

/* A connection lives until its descriptor and its stream are closed, in any order. */
START_TEST(closing_in_any_order) {
        static const size_t orders[][3] = {
                { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 }
        };
        uint32_t fds[3];
        struct world world;
        uint32_t length;
        int n_fds;

        world_init(&world, 0);
        n_fds = count_fds();
        fds[0] = world_open(&world, 0);
        length = world_put_text(&world, TEXT, "peer:1");
        fds[1] = world_call_ret(&world, "connect", fds[0], TEXT, length, WORLD_RET);
        fds[2] = world_call_ret(&world, "stream_create", fds[1], UINT64_MAX, 0, 0, WORLD_RET);
        ck_assert_int_eq(world_call(&world, "stream_accept", fds[1], WORLD_RET), NOTSUP);
        ck_assert_int_eq(world_call(&world, "stream_create", fds[1], 0, 0, 0, WORLD_RET), NOTSUP);
        for (size_t i = 0; i < 3; ++i)
                ck_assert_int_eq(world_call(&world, "fd_close", fds[orders[_i][i]]), OK);
        ck_assert_int_eq(world_call(&world, "fd_close", fds[0]), BADF);
        world.broker.peer = nb_fd_close(world.broker.peer);
        (void)scripted_broker_wait(&world.broker, NULL, 0, 0); /* sees the control's end */
        ck_assert_int_eq(count_fds(), n_fds);
        world_deinit(&world);
}
END_TEST

START_TEST(closing_a_standard_stream_leaves_the_hosts) {
        struct world world;
        int n_fds;

        world_init(&world, 0);
        n_fds = count_fds();
        for (uint32_t fd = 0; fd < 2; ++fd)
                ck_assert_int_eq(world_call(&world, "fd_close", fd), OK);
        ck_assert_int_eq(world_call(&world, "fd_read", 0, 0, 0, WORLD_RET), BADF);
        ck_assert_int_eq(count_fds(), n_fds);
        ck_assert_uint_eq(world_open(&world, 0), 0);
        world_deinit(&world);
}
END_TEST

/* ---- */

static TCase *engine_tests(void) {
        TCase *tests = tcase_create("engine");

        tcase_add_test(tests, files_get_the_lowest_free_number);
        tcase_add_test(tests, a_bad_pointer_opens_no_file);
        tcase_add_test(tests, a_descriptor_that_is_not_new_is_refused);
        tcase_add_test(tests, a_trap_of_the_engine_comes_through);
        tcase_add_test(tests, a_full_table_is_mfile_and_asks_nobody);
        return tests;
}

static TCase *number_tests(void) {
        TCase *tests = tcase_create("number");

        tcase_add_test(tests, renumber_moves_across_kinds);
        tcase_add_loop_test(tests, renumber_in_every_combination, 0, WORLD_N_KINDS * WORLD_N_KINDS);
        tcase_add_test(tests, a_stream_takes_the_place_of_its_control);
        tcase_add_test(tests, closed_numbers_come_again);
        tcase_add_loop_test(tests, closing_in_any_order, 0, 6);
        tcase_add_test(tests, closing_a_standard_stream_leaves_the_hosts);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi_descriptors");

        suite_add_tcase(suite, engine_tests());
        suite_add_tcase(suite, number_tests());
        return run_suite(suite);
}
