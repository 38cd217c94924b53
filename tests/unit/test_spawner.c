/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that starts shards, with the test as its front. What a shard does here is to say who it is, and to wait.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/shard_message.h"
#include "broker/spawner.h"
#include "tests/support/harness.h"
#include "tests/support/runner.h"

#define N_SHARDS 2

struct world {
        struct nb_log log;
        struct shard_place place; /* of the front */
};

/* In a shard; it is the front that fails the test. */
static void be_shard(const struct shard_place *place) {
        const struct shard_message message = { .verb = SHARD_READY,
                                               .number = place->number,
                                               .pid = (uint32_t)getpid() };

        (void)nb_channel_send(place->fd, &message, sizeof(message), NULL, 0);
        (void)raise(SIGSTOP);
        _exit(0);
}

static void world_start(struct world *world) {
        int r;

        nb_log_init(&world->log, "test", NB_LOG_NOTICE);
        r = spawner_fork(&world->log, N_SHARDS, NULL, &world->place);
        if (r == 1)
                _exit(0);
        ck_assert_int_eq(r, 0);
        if (world->place.number > 0)
                be_shard(&world->place);
}

static void world_end(struct world *world) {
        world->place.fd = nb_fd_close(world->place.fd);
}

/* @return our end of the channel of a shard that is started, owned by the caller */
static int start(const struct world *world, unsigned number, pid_t *ret) {
        const struct shard_message start = { .verb = SHARD_START, .number = number };
        uint8_t bytes[NB_CHANNEL_MESSAGE_MAX];
        struct shard_message message;
        int ends[2];

        ck_assert_int_eq(nb_channel_pair(ends), 0);
        ck_assert_int_eq(nb_channel_send(world->place.fd, &start, sizeof(start), &ends[1], 1), 0);
        (void)nb_fd_close(ends[1]);
        ck_assert_int_ne(harness_poll(ends[0], POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(nb_channel_receive_bytes(ends[0], bytes), sizeof(message));
        memcpy(&message, bytes, sizeof(message));
        ck_assert_uint_eq(message.number, number);
        *ret = (pid_t)message.pid;
        return ends[0];
}

/* A front that has given one up, for it is stopped, gets another in its place and not beside it. */
START_TEST(there_is_one_of_each_number) {
        NB_CLEANUP_FD int first = -1, second = -1, other = -1;
        pid_t first_pid, second_pid, other_pid;
        struct world world;

        world_start(&world);
        other = start(&world, 2, &other_pid);
        first = start(&world, 1, &first_pid);
        second = start(&world, 1, &second_pid);
        ck_assert_int_ne(first_pid, second_pid);
        ck_assert_int_ne(harness_poll(first, POLLIN, 0), 0);
        ck_assert_int_eq(kill(first_pid, 0), -1);
        ck_assert_int_eq(errno, ESRCH);
        ck_assert_int_eq(harness_poll(other, POLLIN, 0), 0);
        ck_assert_int_eq(harness_poll(second, POLLIN, 0), 0);
        ck_assert_int_eq(kill(other_pid, SIGKILL), 0);
        ck_assert_int_eq(kill(second_pid, SIGKILL), 0);
        world_end(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("spawner");
        TCase *tcase = tcase_create("spawner");

        tcase_add_test(tcase, there_is_one_of_each_number);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
