/* SPDX-License-Identifier: Apache-2.0 */
/* Ten thousand open streams in one guest: numbers, polling, and files beside them. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/wasi_world.h"

#define N_STREAMS 10000u
#define OK NB_WASI_SUCCESS

/* For subscriptions and events of both directions. */
#define SUBSCRIPTIONS 4096u
#define N_SUBSCRIPTIONS (2 * N_STREAMS)
#define EVENTS (SUBSCRIPTIONS + 48 * N_SUBSCRIPTIONS)
#define MEMORY_SIZE (EVENTS + 32 * N_SUBSCRIPTIONS)

/* What this process has besides. */
#define OTHER_FDS 200u

static void raise_limit(void) {
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_assert_msg(limit.rlim_max >= N_STREAMS + OTHER_FDS, "RLIMIT_NOFILE is %lu", (unsigned long)limit.rlim_max);
}

/* One control connects for all of them. @return the first, behind which the others follow */
static uint32_t open_streams(struct world *world) {
        uint32_t control = world_open(world, 0);
        uint32_t first = control + 1;

        for (uint32_t i = 0; i < N_STREAMS; ++i) {
                uint32_t connection;

                ck_assert_int_eq(world_connect(world, control, "peer:1"), OK);
                connection = world_get_u32(world, WORLD_RET);
                ck_assert_uint_eq(connection, first + i);
                ck_assert_uint_eq(world_call_ret(world, "stream_create", connection, UINT64_MAX, 0, NB_NONBLOCK,
                                                 WORLD_RET),
                                  connection + 1);
                ck_assert_int_eq(world_call(world, "fd_renumber", connection + 1, connection), OK);
        }
        return first;
}

static void grow_memory(struct world *world) {
        world->memory = realloc(world->memory, MEMORY_SIZE);
        ck_assert_ptr_nonnull(world->memory);
        memset(world->memory, 0, MEMORY_SIZE);
        world->memory_size = MEMORY_SIZE;
}

static void subscribe(struct world *world, uint32_t index, uint8_t type, uint32_t fd) {
        uint32_t at = SUBSCRIPTIONS + 48 * index;

        world_put_u64(world, at, index);
        world->memory[at + 8] = type;
        world_put_u32(world, at + 16, fd);
}

/* All but the last have lost their peer: they can be read and written, and hang up. The last can be written. */
static void poll_all(struct world *world, uint32_t first) {
        for (uint32_t i = 0; i < N_STREAMS; ++i) {
                subscribe(world, 2 * i, WORLD_FD_READ, first + i);
                subscribe(world, 2 * i + 1, WORLD_FD_WRITE, first + i);
        }
        ck_assert_uint_eq(world_call_ret(world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, N_SUBSCRIPTIONS, WORLD_RET),
                          N_SUBSCRIPTIONS - 1);
        for (uint32_t i = 0; i < N_SUBSCRIPTIONS - 2; ++i)
                ck_assert_uint_eq(world_get_u64(world, EVENTS + 32 * i), i);
        ck_assert_uint_eq(world_get_u64(world, EVENTS + 32 * (N_SUBSCRIPTIONS - 2)), N_SUBSCRIPTIONS - 1);
}

START_TEST(ten_thousand_streams) {
        struct world world;
        uint32_t first;

        raise_limit();
        world_init(&world, N_STREAMS + 100);
        grow_memory(&world);
        first = open_streams(&world);
        poll_all(&world, first);

        /* The last one still has its peer. */
        world_peer_writes(&world, "hello");
        ck_assert_int_eq(world_read(&world, first + N_STREAMS - 1, 10), OK);
        world_expect_bytes(&world, "hello");

        world.engine_result = 0;
        world.engine_new_fd = 4711;
        ck_assert_uint_eq(world_call_ret(&world, "path_open", WORLD_DIRECTORY, 0, 0, 0, 0, 0, 0, 0, WORLD_RET),
                          first + N_STREAMS);
        for (uint32_t i = 0; i < N_STREAMS; i += 2)
                ck_assert_int_eq(world_call(&world, "fd_close", first + i), OK);
        world.engine_new_fd = 4712;
        for (uint32_t i = 0; i < 10; i += 2, ++world.engine_new_fd)
                ck_assert_uint_eq(world_call_ret(&world, "path_open", WORLD_DIRECTORY, 0, 0, 0, 0, 0, 0, 0, WORLD_RET),
                                  first + i);
        world_deinit(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("wasi_many");
        TCase *tests = tcase_create("many");

        tcase_add_test(tests, ten_thousand_streams);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
