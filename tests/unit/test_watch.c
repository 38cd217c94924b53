/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop whose set of watches has libuv's instance in it: what is libuv's comes all the same, and nobody's signal puts it off.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "loop/deadline.h"
#include "loop/nudge.h"
#include "loop/watch.h"
#include "tests/support/runner.h"

struct world {
        uv_loop_t loop;
        struct watch_set set;
        struct watch watch;
        struct watch_set nested;
        int pipe[2];
        unsigned n_called;
};

static void world_start(struct world *world) {
        *world = (struct world){ .nested.epoll_fd = -1 };
        ck_assert_int_eq(uv_loop_init(&world->loop), 0);
        ck_assert_int_eq(watch_set_start(&world->set, &world->loop), 0);
        ck_assert_int_eq(pipe2(world->pipe, O_CLOEXEC | O_NONBLOCK), 0);
}

static void world_end(struct world *world) {
        watch_end(&world->watch);
        watch_set_stop(&world->nested);
        watch_set_stop(&world->set);
        (void)nb_fd_close(world->pipe[0]);
        (void)nb_fd_close(world->pipe[1]);
        ck_assert_int_eq(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
        ck_assert_int_eq(uv_loop_close(&world->loop), 0);
}

static void say(const struct world *world) {
        ck_assert_int_eq(write(world->pipe[1], "x", 1), 1);
}

static void hear(struct world *world) {
        char byte;

        ck_assert_int_eq(read(world->pipe[0], &byte, 1), 1);
        world->n_called++;
}

static void ready(struct watch *watch, uint32_t events) {
        ck_assert_uint_eq(events, EPOLLIN);
        hear(nb_container_of(watch, struct world, watch));
}

/* libuv says that it has nothing to wait for: that is no reason not to wait. */
START_TEST(a_loop_without_handles_waits_for_descriptors) {
        struct world world;

        world_start(&world);
        ck_assert_int_eq(watch_start(&world.watch, &world.set, world.pipe[0], EPOLLIN, ready), 0);
        watch_set_turn(&world.set, false);
        ck_assert_uint_eq(world.n_called, 0);
        say(&world);
        watch_set_turn(&world.set, true);
        ck_assert_uint_eq(world.n_called, 1);
        world_end(&world);
}
END_TEST

static void polled(uv_poll_t *poll, int status, int events) {
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(events, UV_READABLE);
        hear(poll->data);
}

/* libuv tells the kernel of it in its own turn, which nothing else asks for. */
START_TEST(what_libuv_watches_is_served) {
        struct world world;
        uv_poll_t poll = { .data = &world };

        world_start(&world);
        ck_assert_int_eq(uv_poll_init(&world.loop, &poll, world.pipe[0]), 0);
        ck_assert_int_eq(uv_poll_start(&poll, UV_READABLE, polled), 0);
        watch_set_turn(&world.set, false);
        for (unsigned i = 1; i <= 3; ++i) {
                say(&world);
                while (world.n_called < i)
                        watch_set_turn(&world.set, true);
                watch_set_turn(&world.set, false);
                ck_assert_uint_eq(world.n_called, i);
        }
        uv_close((uv_handle_t *)&poll, NULL);
        world_end(&world);
}
END_TEST

static void signalled(uv_signal_t *handle, int number) {
        struct world *world = handle->data;

        ck_assert_int_eq(number, SIGUSR1);
        world->n_called++;
}

START_TEST(a_signal_comes) {
        struct world world;
        uv_signal_t handle = { .data = &world };

        world_start(&world);
        ck_assert_int_eq(uv_signal_init(&world.loop, &handle), 0);
        ck_assert_int_eq(uv_signal_start(&handle, signalled, SIGUSR1), 0);
        ck_assert_int_eq(raise(SIGUSR1), 0);
        while (world.n_called == 0)
                watch_set_turn(&world.set, true);
        uv_close((uv_handle_t *)&handle, NULL);
        world_end(&world);
}
END_TEST

static void is_due(void *data) {
        struct world *world = data;

        world->n_called++;
}

/* A nudge interrupts each wait long before its time is over; and its own timer, which ends it, is one of those that wait. */
START_TEST(nudges_put_no_timer_off) {
        struct deadline *deadline;
        struct nudge nudge = { 0 };
        struct world world;

        world_start(&world);
        ck_assert_int_eq(nudge_start(&nudge, &world.loop), 0);
        deadline = deadline_new(&world.loop, 50, is_due, &world);
        ck_assert_ptr_nonnull(deadline);
        nudge_on(&world.loop);
        while (world.n_called == 0)
                watch_set_turn(&world.set, true);
        deadline_move(deadline, uv_hrtime() + UINT64_C(3600) * 1000000000);
        ck_assert(nudge.armed);
        while (nudge.armed)
                watch_set_turn(&world.set, true);
        ck_assert_uint_eq(world.n_called, 1);
        deadline = deadline_free(deadline);
        uv_close((uv_handle_t *)&nudge.rest, NULL);
        world_end(&world);
        nudge_stop(&nudge);
}
END_TEST

static void nested_ready(struct watch *watch, uint32_t events) {
        struct world *world = nb_container_of(watch, struct world, nested.outer);

        (void)events;
        ck_assert_uint_eq(watch_set_collect(&world->nested, WATCH_BATCH), 1);
        ck_assert_int_eq(watch_set_dispatch(&world->nested), world->n_called < 2);
}

static void ready_once(struct watch *watch, uint32_t events) {
        struct world *world = nb_container_of(watch, struct world, watch);

        ready(watch, events);
        if (world->n_called < 2)
                return;
        watch_end(watch);
        watch_set_stop(&world->nested);
}

START_TEST(a_nested_set_may_be_stopped_by_its_own_function) {
        struct world world;

        world_start(&world);
        ck_assert_int_eq(watch_set_start_within(&world.nested, &world.set, nested_ready), 0);
        ck_assert_int_eq(watch_start(&world.watch, &world.nested, world.pipe[0], EPOLLIN, ready_once), 0);
        for (unsigned i = 1; i <= 2; ++i) {
                say(&world);
                watch_set_turn(&world.set, true);
                ck_assert_uint_eq(world.n_called, i);
        }
        say(&world);
        watch_set_turn(&world.set, false);
        ck_assert_uint_eq(world.n_called, 2);
        world_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("watch");
        TCase *tcase = tcase_create("watch");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, a_loop_without_handles_waits_for_descriptors);
        tcase_add_test(tcase, what_libuv_watches_is_served);
        tcase_add_test(tcase, a_signal_comes);
        tcase_add_test(tcase, nudges_put_no_timer_off);
        tcase_add_test(tcase, a_nested_set_may_be_stopped_by_its_own_function);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
