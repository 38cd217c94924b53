/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that starts shards, with the test as its front. A shard is this program again, which says who it is and what it has, and waits.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/shard_exec.h"
#include "broker/shard_message.h"
#include "broker/spawner.h"
#include "tests/support/harness.h"
#include "tests/support/runner.h"

#define N_SHARDS 2

struct world {
        struct nb_log log;
        int fd; /* the front's, to the spawner */
};

static char *const arguments[] = { (char *)"test_spawner", (char *)"--of", (char *)"the front", NULL };

/* What a shard of this test says of itself. */
struct shard {
        unsigned number;
        pid_t pid;
        int error;
        uint64_t fds;        /* which it has, a bit each */
        uintptr_t places[3]; /* of the program, of a library, of the stack */
};

static void tell_places(uintptr_t ret[static 3]) {
        const char here = 0;

        ret[0] = (uintptr_t)arguments;
        ret[1] = (uintptr_t)stderr;
        ret[2] = (uintptr_t)&here;
}

static void add_fd(uint64_t *fds, int fd) {
        if (fcntl(fd, F_GETFD) >= 0)
                *fds |= UINT64_C(1) << fd;
}

/* In a shard; it is the front that fails the test. */
static void be_shard(const struct shard_place *place, int argc, char **argv) {
        struct shard message = { .number = place->number, .pid = getpid() };
        sigset_t set;

        for (int fd = 0; fd < 64; ++fd)
                add_fd(&message.fds, fd);
        if (argc != 3 || strcmp(argv[1], arguments[1]) != 0 || strcmp(argv[2], arguments[2]) != 0 || argv[3])
                message.error = -EINVAL;
        if (sigprocmask(SIG_BLOCK, NULL, &set) < 0 || sigismember(&set, SIGCHLD))
                message.error = -EBUSY;
        tell_places(message.places);
        (void)nb_channel_send(place->fd, &message, sizeof(message), NULL, 0);
        (void)raise(SIGSTOP);
}

/* @param audit_fd  borrowed */
static void world_start_with_audit(struct world *world, int audit_fd) {
        const struct spawner_plan plan = { .argv = arguments, .n_shards = N_SHARDS, .audit_fd = audit_fd };
        int r;

        nb_log_init(&world->log, "test", NB_LOG_NOTICE);
        r = spawner_fork(&world->log, &plan, &world->fd);
        if (r == 1)
                _exit(0);
        ck_assert_int_eq(r, 0);
}

static void world_start(struct world *world) {
        world_start_with_audit(world, -1);
}

static void world_end(struct world *world) {
        world->fd = nb_fd_close(world->fd);
}

/* @return our end of the channel of a shard that is started, owned by the caller */
static int start(const struct world *world, unsigned number, struct shard *ret) {
        const struct shard_message start = { .verb = SHARD_START, .number = number };
        uint8_t bytes[NB_CHANNEL_MESSAGE_MAX];
        int ends[2];

        ck_assert_int_eq(nb_channel_pair(ends), 0);
        ck_assert_int_eq(nb_channel_send(world->fd, &start, sizeof(start), &ends[1], 1), 0);
        (void)nb_fd_close(ends[1]);
        ck_assert_int_ne(harness_poll(ends[0], POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(nb_channel_receive_bytes(ends[0], bytes), sizeof(*ret));
        memcpy(ret, bytes, sizeof(*ret));
        ck_assert_uint_eq(ret->number, number);
        ck_assert_int_eq(ret->error, 0);
        return ends[0];
}

static void end(const struct shard *shard) {
        ck_assert_int_eq(kill(shard->pid, SIGKILL), 0);
}

/* A front that has given one up, for it is stopped, gets another in its place and not beside it. */
START_TEST(there_is_one_of_each_number) {
        NB_CLEANUP_FD int first = -1, second = -1, other = -1;
        struct shard first_shard, second_shard, other_shard;
        struct world world;

        world_start(&world);
        other = start(&world, 2, &other_shard);
        first = start(&world, 1, &first_shard);
        second = start(&world, 1, &second_shard);
        ck_assert_int_ne(first_shard.pid, second_shard.pid);
        ck_assert_int_ne(harness_poll(first, POLLIN, 0), 0);
        ck_assert_int_eq(kill(first_shard.pid, 0), -1);
        ck_assert_int_eq(errno, ESRCH);
        ck_assert_int_eq(harness_poll(other, POLLIN, 0), 0);
        ck_assert_int_eq(harness_poll(second, POLLIN, 0), 0);
        end(&other_shard);
        end(&second_shard);
        world_end(&world);
}
END_TEST

/* Whatever the front's parent has left open, and whatever front and spawner have. */
START_TEST(it_has_the_descriptors_that_it_is_given) {
        NB_CLEANUP_FD int stray = open("/dev/null", O_RDONLY), audit = open("/dev/null", O_WRONLY | O_CLOEXEC);
        NB_CLEANUP_FD int with = -1, without = -1;
        struct shard shard;
        struct world world;

        ck_assert_int_ge(stray, 0);
        world_start(&world);
        without = start(&world, 1, &shard);
        ck_assert_uint_eq(shard.fds, 0xf);
        end(&shard);
        world_end(&world);
        world_start_with_audit(&world, audit);
        with = start(&world, 2, &shard);
        ck_assert_uint_eq(shard.fds, 0x1f);
        end(&shard);
        world_end(&world);
}
END_TEST

static void expect_elsewhere(const uintptr_t a[static 3], const uintptr_t b[static 3]) {
        for (size_t i = 0; i < 3; ++i)
                ck_assert_uint_ne(a[i], b[i]);
}

/* What is known of one says nothing of another, nor of the front, nor of the next of the same number. */
START_TEST(it_has_a_layout_of_its_own) {
        NB_CLEANUP_FD int first = -1, second = -1, other = -1;
        struct shard first_shard, second_shard, other_shard;
        struct world world;
        uintptr_t ours[3];

        if (personality(0xffffffff) & ADDR_NO_RANDOMIZE) {
                fputs("skipped: this test was started without ASLR\n", stderr);
                return;
        }
        tell_places(ours);
        world_start(&world);
        first = start(&world, 1, &first_shard);
        other = start(&world, 2, &other_shard);
        end(&first_shard);
        second = start(&world, 1, &second_shard);
        expect_elsewhere(ours, first_shard.places);
        expect_elsewhere(first_shard.places, other_shard.places);
        expect_elsewhere(first_shard.places, second_shard.places);
        end(&second_shard);
        end(&other_shard);
        world_end(&world);
}
END_TEST

/* Of what a shard is told, each way to say it wrongly; the descriptor is no channel. */
START_TEST(nobody_else_starts_one) {
        static const char *const wrong[] = { "--as-shard=",   "--as-shard=0",  "--as-shard=65",
                                             "--as-shard=-1", "--as-shard=1x", "--as-shard=1" };
        char *argv[] = { (char *)"netbrokerd", NULL, (char *)"--shards", (char *)"2", NULL };
        NB_CLEANUP_FD int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        struct shard_place place = { .number = 7, .fd = -1, .audit_fd = -1 };
        int argc = 4;

        ck_assert_int_eq(dup2(fd, STDERR_FILENO + 1), STDERR_FILENO + 1);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
                argv[1] = (char *)wrong[i];
                ck_assert_int_eq(shard_exec_take(&argc, argv, &place), -EINVAL);
                ck_assert_uint_eq(place.number, 7);
                ck_assert_int_eq(argc, 4);
        }
        argv[1] = (char *)"--check";
        ck_assert_int_eq(shard_exec_take(&argc, argv, &place), 0);
        ck_assert_uint_eq(place.number, 0);
        ck_assert_int_eq(argc, 4);
}
END_TEST

int main(int argc, char **argv) {
        Suite *suite = suite_create("spawner");
        TCase *tcase = tcase_create("spawner");
        struct shard_place place;

        if (shard_exec_take(&argc, argv, &place) < 0)
                return EXIT_FAILURE;
        if (place.number > 0) {
                be_shard(&place, argc, argv);
                shard_place_deinit(&place);
                return EXIT_SUCCESS;
        }
        tcase_add_test(tcase, there_is_one_of_each_number);
        tcase_add_test(tcase, it_has_the_descriptors_that_it_is_given);
        tcase_add_test(tcase, it_has_a_layout_of_its_own);
        tcase_add_test(tcase, nobody_else_starts_one);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
