/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a session may be silent: the broker's own loop in this process, by a clock that the test sets forward.
 *
 * libuv asks clock_gettime() for the time of its timers. A program's own function of that name goes before the C library's, for
 * libraries too.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/session.h"
#include "tests/support/harness.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

/* PROTOCOL.md: Hello comes within 10 seconds. */
#define DEADLINE_MS 10000

/* How far the clock is ahead. Nothing else can be given to a function that others call. */
static time_t ahead_s;
static long ahead_ms;

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret) {
        long r = syscall(SYS_clock_gettime, clock, ret);

        if (r < 0)
                return -1;
        ret->tv_sec += ahead_s;
        ret->tv_nsec += ahead_ms * 1000000;
        if (ret->tv_nsec >= 1000000000) {
                ret->tv_nsec -= 1000000000;
                ret->tv_sec++;
        }
        return 0;
}

static void set_ahead(unsigned ms) {
        ahead_s = ms / 1000;
        ahead_ms = ms % 1000;
}

struct world {
        struct nb_log log;
        struct policy_source source;
        struct broker *broker;
        int audit_pipe[2];
};

static void world_start(struct world *world) {
        static const char policy_text[] = "[Tenant]\nName=acme\nUser=0\n";
        const struct policy_defaults defaults = { .data_path = POLICY_DATA_PATH_DIRECT };
        struct policy *policy = policy_new();
        struct policy_error error;

        ck_assert_ptr_nonnull(policy);
        ck_assert_int_eq(policy_add_file(policy, "acme.conf", policy_text, strlen(policy_text), &defaults, &error), 0);
        nb_log_init(&world->log, "test", NB_LOG_NOTICE);
        world->source = (struct policy_source){ .path = "none" };
        ck_assert_int_eq(pipe2(world->audit_pipe, O_CLOEXEC | O_NONBLOCK), 0);
        world->broker = broker_new(&world->log, &world->source, policy, audit_sink_new_fd(world->audit_pipe[1]));
        ck_assert_ptr_nonnull(world->broker);
}

static void world_end(struct world *world) {
        (void)broker_free(world->broker);
        (void)nb_fd_close(world->audit_pipe[0]);
}

/* Lets the broker do what there is to do at this time. */
static void turn(const struct world *world) {
        for (int i = 0; i < 4; ++i)
                broker_turn(world->broker, false);
}

/* A session whose other end is the test's. */
static struct wire new_session(struct world *world) {
        struct identity identity = { .inherited = true, .uid = getuid(), .pid = getpid() };
        int pair[2];

        ck_assert_int_eq(nb_channel_pair(pair), 0);
        ck_assert_int_eq(session_new(world->broker, pair[0], &identity), 0);
        turn(world);
        return (struct wire){ .fd = pair[1] };
}

static void expect_audit(const struct world *world, const char *text) {
        char record[4096];
        ssize_t n = read(world->audit_pipe[0], record, sizeof(record) - 1);

        ck_assert_int_gt(n, 0);
        record[n] = '\0';
        ck_assert_ptr_nonnull(strstr(record, text));
}

START_TEST(abuse_44_a_silent_session_is_dropped_in_time) {
        struct world world;
        struct wire first, second;

        world_start(&world);
        first = new_session(&world);
        set_ahead(DEADLINE_MS / 2);
        second = new_session(&world);
        /* A moment may have passed by itself. */
        set_ahead(DEADLINE_MS - 1000);
        turn(&world);
        wire_expect_silence(&first);
        ck_assert_uint_eq(world.broker->n_half_open, 2);
        set_ahead(DEADLINE_MS);
        turn(&world);
        wire_expect_end(&first);
        expect_audit(&world, "no Hello in time");
        wire_expect_silence(&second);
        ck_assert_uint_eq(world.broker->n_half_open, 1);
        set_ahead(DEADLINE_MS + DEADLINE_MS / 2);
        turn(&world);
        wire_expect_end(&second);
        ck_assert_uint_eq(world.broker->n_half_open, 0);
        (void)wire_close(&first);
        (void)wire_close(&second);
        world_end(&world);
}
END_TEST

START_TEST(whoever_has_said_hello_has_all_the_time) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct world world;
        struct wire wire;

        world_start(&world);
        wire = new_session(&world);
        set_ahead(DEADLINE_MS - 1000);
        wire_send_hello(&wire, "acme");
        turn(&world);
        ck_assert(wire_receive(&wire, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_WELCOME);
        set_ahead(100 * DEADLINE_MS);
        turn(&world);
        wire_expect_silence(&wire);
        (void)wire_close(&wire);
        turn(&world);
        world_end(&world);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("half_open");
        TCase *tcase = tcase_create("half_open");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, abuse_44_a_silent_session_is_dropped_in_time);
        tcase_add_test(tcase, whoever_has_said_hello_has_all_the_time);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
