/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <dirent.h>
#include <errno.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/relay_outbox.h"
#include "tests/support/runner.h"

/* More than the kernel takes. */
#define MANY 600

struct world {
        struct relay_outbox outbox;
        int ours, theirs, fd;
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

static size_t count_fds(void) {
        DIR *folder = opendir("/proc/self/fd");
        size_t n = 0;

        ck_assert_ptr_nonnull(folder);
        while (readdir(folder))
                n++;
        ck_assert_int_eq(closedir(folder), 0);
        return n;
}

static void world_init(struct world *world) {
        int ends[2];

        ck_assert_int_eq(nb_channel_pair(ends), 0);
        world->ours = ends[0];
        world->theirs = ends[1];
        world->fd = dup(ends[0]);
        ck_assert_int_ge(world->fd, 0);
        relay_outbox_init(&world->outbox);
}

static void world_deinit(struct world *world) {
        relay_outbox_deinit(&world->outbox);
        (void)nb_fd_close(world->ours);
        (void)nb_fd_close(world->theirs);
        (void)nb_fd_close(world->fd);
}

static int send_begin(struct world *world, uint64_t link) {
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        const int fds[] = { world->fd, world->fd };

        begin.link = link;
        order.body_case = NB__RELAY__ORDER__BODY_BEGIN;
        order.begin = &begin;
        return relay_outbox_send(&world->outbox, world->ours, &order, fds, 2);
}

/* @return the first link whose Begin waits */
static uint64_t fill(struct world *world, uint64_t last) {
        uint64_t first = 0;

        for (uint64_t link = 1; link <= last; ++link) {
                ck_assert_int_eq(send_begin(world, link), 0);
                if (first == 0 && !relay_outbox_is_empty(&world->outbox))
                        first = link;
        }
        ck_assert_uint_ne(first, 0);
        return first;
}

START_TEST(what_is_withdrawn_gives_its_descriptors_back) {
        struct world world;
        uint64_t first;
        size_t before;

        world_init(&world);
        before = count_fds();
        first = fill(&world, MANY);
        ck_assert_uint_eq(count_fds(), before + 2 * (MANY - first + 1));
        for (uint64_t link = MANY; link >= first; --link)
                ck_assert(relay_outbox_withdraw(&world.outbox, link));
        ck_assert_uint_eq(count_fds(), before);
        ck_assert(relay_outbox_is_empty(&world.outbox));
        world_deinit(&world);
}
END_TEST

START_TEST(what_was_sent_is_not_withdrawn) {
        struct world world;

        world_init(&world);
        ck_assert_int_eq(send_begin(&world, 1), 0);
        ck_assert(relay_outbox_is_empty(&world.outbox));
        ck_assert(!relay_outbox_withdraw(&world.outbox, 1));
        world_deinit(&world);
}
END_TEST

START_TEST(what_waits_goes_in_its_order_without_the_withdrawn) {
        struct world world;
        uint64_t first, next = 1;
        int r;

        world_init(&world);
        first = fill(&world, MANY);
        ck_assert(relay_outbox_withdraw(&world.outbox, first + 1));
        do {
                struct nb_channel_fds fds;
                Nb__Relay__Order *order;

                while ((r = nb_channel_receive(world.theirs, world.frame, &fds)) > 0) {
                        ck_assert_int_eq(nb_relay_order_decode(&world.arena, world.frame, (size_t)r, &order), 0);
                        next += next == first + 1;
                        ck_assert_uint_eq(order->begin->link, next++);
                        nb_channel_fds_close(&fds);
                }
                ck_assert_int_eq(r, -EAGAIN);
        } while (relay_outbox_flush(&world.outbox, world.ours) == -EAGAIN || next <= MANY);
        ck_assert_uint_eq(next, MANY + 1);
        world_deinit(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("relay_outbox");
        TCase *tcase = tcase_create("withdrawing");

        tcase_add_test(tcase, what_is_withdrawn_gives_its_descriptors_back);
        tcase_add_test(tcase, what_was_sent_is_not_withdrawn);
        tcase_add_test(tcase, what_waits_goes_in_its_order_without_the_withdrawn);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
