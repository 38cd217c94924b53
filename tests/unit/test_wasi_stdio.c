/* SPDX-License-Identifier: Apache-2.0 */
/* The standard streams of a guest. */
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/wasi_world.h"

#define IOVEC WORLD_IOVEC
#define BUFFER WORLD_BUFFER
#define BIG 32768u
#define OK NB_WASI_SUCCESS

START_TEST(standard_input) {
        struct world world;

        world_init(&world, 0);
        ck_assert_int_eq(world_read(&world, 0, 10), NB_WASI_EINTR); /* it would wait for ever */
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", 0, NB_NONBLOCK), OK);
        ck_assert_int_eq(world_read(&world, 0, 10), NB_WASI_EAGAIN);
        ck_assert_int_eq(fcntl(world.guest_stdio[0], F_GETFL) & O_NONBLOCK, 0);
        ck_assert_int_eq(write(world.stdio[0], "abc", 3), 3);
        ck_assert_int_eq(world_read(&world, 0, 2), OK);
        ck_assert_mem_eq(world.memory + BUFFER, "ab", 2);
        ck_assert_int_eq(world_read(&world, 0, 10), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 1);
        world.stdio[0] = nb_fd_close(world.stdio[0]);
        ck_assert_int_eq(world_read(&world, 0, 10), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        world_deinit(&world);
}
END_TEST

static void reader_drains(void *data) {
        struct world *world = data;
        char bytes[BIG];

        (void)!read(world->stdio[1], bytes, sizeof(bytes)); /* each piece is waited for, also when there is room */
        world_on_wait(world, reader_drains);
}

/* A pipe that is full never blocks the host: it is waited for. */
START_TEST(standard_output_never_blocks_the_host) {
        struct world world;
        int size;

        world_init(&world, 0);
        size = fcntl(world.guest_stdio[1], F_SETPIPE_SZ, 4096);
        ck_assert_int_ge(size, PIPE_BUF);
        ck_assert_int_eq(fcntl(world.stdio[1], F_SETFL, O_NONBLOCK), 0);
        world_put_iovec(&world, IOVEC, BUFFER, BIG);
        world_on_wait(&world, NULL);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), (uint32_t)size); /* and then a wait that would not end */
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", 1, NB_NONBLOCK), OK);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), NB_WASI_EAGAIN);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", 1, 0), OK);
        world_on_wait(&world, reader_drains);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), BIG);
        world_deinit(&world);
}
END_TEST

START_TEST(a_reader_that_is_gone_raises_no_signal) {
        sigset_t pending;
        struct world world;

        world_init(&world, 0);
        world.stdio[1] = nb_fd_close(world.stdio[1]);
        world_put_iovec(&world, IOVEC, BUFFER, 1);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), NB_WASI_EPIPE);
        ck_assert_int_eq(sigpending(&pending), 0);
        ck_assert(!sigismember(&pending, SIGPIPE));
        world_deinit(&world);
}
END_TEST

START_TEST(a_file_at_its_limit_raises_no_signal) {
        const off_t size = 1 << 20; /* more than what Check writes meanwhile */
        struct rlimit before, limit;
        FILE *file = tmpfile();
        sigset_t pending;
        struct world world;

        ck_assert_ptr_nonnull(file);
        world_init(&world, 0);
        ck_assert_int_ge(dup2(fileno(file), world.guest_stdio[1]), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = before;
        limit.rlim_cur = (rlim_t)size;
        ck_assert_int_eq(lseek(fileno(file), size, SEEK_SET), size);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        world_put_iovec(&world, IOVEC, BUFFER, 1);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), NB_WASI_EFBIG);
        ck_assert_int_eq(sigpending(&pending), 0);
        ck_assert(!sigismember(&pending, SIGXFSZ));
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        world_deinit(&world);
        (void)fclose(file);
}
END_TEST

static TCase *stdio_tests(void) {
        TCase *tests = tcase_create("stdio");

        tcase_add_test(tests, standard_input);
        tcase_add_test(tests, standard_output_never_blocks_the_host);
        tcase_add_test(tests, a_reader_that_is_gone_raises_no_signal);
        tcase_add_test(tests, a_file_at_its_limit_raises_no_signal);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi_stdio");

        suite_add_tcase(suite, stdio_tests());
        return run_suite(suite);
}
