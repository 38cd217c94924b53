/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What broker and relay do when calls of theirs fail: each allocation, each descriptor, each class of system calls, one after the other.
 *
 * A sweep does something once to count the calls, and then again with the first of them failing, the second, and so on. Whatever came of it, the daemon
 * is the same process; a session that was there before works; what was done is done again and must succeed; and descriptors and memory are as many as before.
 * What is done is in tests/faults/: deeds_plain.c, deeds_relayed.c, deeds_operator.c; where, in world.c.
 *
 * Keepers, restarts and shards are test_faults_processes.c's; which calls fail says tests/faults/sweep.h.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/faults/sweep.h"
#include "tests/faults/world.h"
#include "tests/support/runner.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* No deed takes as many descriptors. */
#define LIMIT_MAX 64

static const struct deed deeds[] = {
        { "session", do_session, SETTING_PLAIN, false, false, false, { 0 } },
        { "direct", do_direct, SETTING_PLAIN, false, false, false, { 0 } },
        { "unix", do_unix, SETTING_PLAIN, false, false, false, { 0 } },
        { "name", do_name, SETTING_PLAIN, false, true, false, { 0 } },
        { "relayed", do_relayed, SETTING_PLAIN, true, false, false, { 0 } },
        { "datagrams", do_datagrams, SETTING_PLAIN, true, false, false, { 0 } },
        { "Unix datagrams", do_unix_datagrams, SETTING_PLAIN, true, false, false, { 0 } },
        { "token", do_token, SETTING_PLAIN, false, true, false, { 0 } },
        /* GnuTLS says of a certificate that it cannot verify for want of memory that it is not trusted; a peer that cannot go on with a handshake
         * ends it, against the protocol; a listener that cannot take a peer of QUIC refuses it. */
        { "tls", do_tls, SETTING_SECURE, true, true, true, { EACCES, EPROTO, EIO } },
        { "quic", do_quic, SETTING_SECURE, true, true, true, { EACCES, EPROTO, ECONNREFUSED, EIO } },
        { "proxy", do_proxy, SETTING_SECURE, true, true, false, { 0 } },
        { "lists", do_lists, SETTING_SECURE, false, true, false, { 0 } },
        { "watch", do_watch, SETTING_PLAIN, false, true, false, { 0 } },
        { "revoke", do_revoke, SETTING_PLAIN, true, true, false, { 0 } },
        { "reload", do_reload, SETTING_PLAIN, false, true, false, { ECANCELED } },
        { "reload secure", do_reload, SETTING_SECURE, true, true, true, { ECANCELED } },
};

/* How the daemon was before: what it must be again. */
struct before {
        unsigned fds;
        long live;
};

static struct before look(const struct world *world) {
        return (struct before){ daemon_count_fds_at_rest(&world->daemon), world->faults[BROKER]->live };
}

/* The same when nothing changes any more: what ended before has been forgotten. */
static struct before settle(const struct world *world) {
        struct before last = look(world), now;

        for (int n_equal = 0; n_equal < 30;
             n_equal = now.fds == last.fds && now.live == last.live ? n_equal + 1 : 0, last = now) {
                (void)poll(NULL, 0, 1);
                now = look(world);
        }
        return last;
}

/* Does it without failures. The relay may have ended, which the daemon learns by and by: then it is done again. */
static void do_it_well(const struct world *world, const struct sweep *sweep) {
        uint64_t start = harness_now_ms();
        int r;

        while ((r = sweep->deed->function(world)) < 0 && sweep->deed->relayed &&
               harness_now_ms() - start < HARNESS_DEADLINE_MS)
                (void)poll(NULL, 0, 1);
        sweep_expect(r == 0, world, sweep, "afterwards it is refused with errno %d", -r);
        r = connect_stream(world, world->direct, world->peer.text);
        sweep_expect(r == 0, world, sweep, "another session is refused with errno %d", -r);
}

static void expect_before(const struct world *world, const struct sweep *sweep, const struct before *before,
                          bool lenient) {
        uint64_t start = harness_now_ms();
        struct before now = look(world);

        while ((now.fds != before->fds || (now.live > before->live && !lenient)) &&
               harness_now_ms() - start < HARNESS_DEADLINE_MS) {
                (void)poll(NULL, 0, 1);
                now = look(world);
        }
        sweep_expect(now.fds == before->fds, world, sweep, "%u descriptors, and %u before", now.fds, before->fds);
        sweep_expect(lenient || now.live <= before->live, world, sweep, "%ld blocks of memory, and %ld before",
                     now.live, before->live);
}

/* A relay that cannot go on ends; it does not crash. */
static bool has_crashed(const struct world *world, struct sweep *sweep) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);

        sweep->n_excused += sweep->program == RELAY && sweep_is_excused(world->faults[RELAY]);
        return harness_count_text(log, "was killed by SIG") > sweep->n_excused;
}

static void fail_one(const struct world *world, struct sweep *sweep, const struct before *before) {
        struct faults *faults = world->faults[sweep->program];
        int r;

        faults_arm(faults, sweep->call, sweep->n, sweep->error);
        r = sweep->deed->function(world);
        sweep_show(sweep, faults, r);
        if (!faults_disarm(faults))
                return;
        sweep_expect(world_is_alive(world), world, sweep, "the daemon ended");
        sweep_expect(sweep_is_answer(sweep, r), world, sweep, "it is refused with errno %d", -r);
        do_it_well(world, sweep);
        expect_before(world, sweep, before, sweep->deed->cached);
        sweep_expect(!has_crashed(world, sweep), world, sweep, "a relay crashed");
}

/* What a deed is made of, and how it leaves the daemon. */
struct count {
        struct before before;
        unsigned n[N_PROGRAMS][FAULTS_N_CALLS];
};

static void count_calls(const struct world *world, const struct deed *deed, struct count *ret) {
        const struct sweep sweep = { .deed = deed };

        for (int i = 0; i < 5; ++i)
                do_it_well(world, &sweep);
        ret->before = settle(world);
        for (int i = 0; i < N_PROGRAMS; ++i) {
                for (int call = 0; call < FAULTS_N_CALLS; ++call)
                        ret->n[i][call] = world->faults[i]->seen[call];
        }
        do_it_well(world, &sweep);
        expect_before(world, &sweep, &ret->before, deed->cached);
        for (int i = 0; i < N_PROGRAMS; ++i) {
                for (int call = 0; call < FAULTS_N_CALLS; ++call)
                        ret->n[i][call] = world->faults[i]->seen[call] - ret->n[i][call];
        }
}

static void sweep_call(const struct world *world, struct sweep *sweep, const struct count *count, enum program program,
                       const struct fault *fault) {
        const struct sweep_range range = sweep_range(count->n[program][fault->call]);

        /* What a library does then differs by the call, and which it is by chance: a sample of these would be a lottery. */
        if (program == RELAY && sweep->deed->by_libraries && fault->call == FAULTS_memory && !sweep_is_all())
                return;
        sweep->program = program;
        sweep->call = fault->call;
        sweep->error = fault->error;
        for (sweep->n = range.first; sweep->n <= range.last; sweep->n += range.stride)
                fail_one(world, sweep, &count->before);
}

static void sweep(const struct deed *deed, const struct fault *faults, size_t n_faults) {
        struct sweep all = { .deed = deed };
        struct lowered lowered;
        struct world world;
        struct count count;

        world_start(&world, deed->setting, &lowered);
        count_calls(&world, deed, &count);
        for (size_t i = 0; i < n_faults; ++i) {
                if (!sweep_has(&faults[i], (size_t)(deed - deeds) + i, n_faults, 1))
                        continue;
                sweep_call(&world, &all, &count, BROKER, &faults[i]);
                if (!faults[i].broker_only)
                        sweep_call(&world, &all, &count, RELAY, &faults[i]);
        }
        /* Whatever is kept for a time is forgotten by now, or soon. */
        expect_before(&world, &all, &count.before, false);
        world_end(&world);
}

START_TEST(test_memory) {
        const struct fault fault = { FAULTS_memory, ENOMEM, false };

        if (sweep_leaves_out(deeds[_i].name))
                return;
        sweep(&deeds[_i], &fault, 1);
}
END_TEST

START_TEST(test_calls) {
        if (sweep_leaves_out(deeds[_i].name))
                return;
        sweep(&deeds[_i], sweep_faults, sweep_n_faults());
}
END_TEST

/* ---- descriptors ---- */

/* Fewer descriptors than are open, then one more each time, until there are enough. */
static void sweep_limit(const struct world *world, const struct deed *deed) {
        struct sweep sweep = { .deed = deed, .call = FAULTS_socket, .error = EMFILE };
        struct before before;
        int r = -1;

        do_it_well(world, &sweep);
        before = settle(world);
        for (unsigned n = 0; r < 0 && n < LIMIT_MAX; ++n) {
                bool lifted;

                sweep.n = n;
                lower(world->lowered, world->daemon.pid, daemon_lowest_free_fd(&world->daemon) + n);
                r = deed->function(world);
                lifted = world->lowered->pid == 0;
                lift(world->lowered);
                sweep_expect(world_is_alive(world), world, &sweep, "the daemon ended");
                sweep_expect(sweep_is_answer(&sweep, r), world, &sweep, "it is refused with errno %d", -r);
                do_it_well(world, &sweep);
                expect_before(world, &sweep, &before, true);
                if (r == 0 && lifted)
                        r = -EMFILE;
        }
        ck_assert_int_eq(r, 0);
}

START_TEST(test_descriptors) {
        struct lowered lowered;
        struct world world;

        if (sweep_leaves_out(deeds[_i].name))
                return;
        world_start(&world, deeds[_i].setting, &lowered);
        sweep_limit(&world, &deeds[_i]);
        world_end(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("faults");
        TCase *memory = tcase_create("memory"), *calls = tcase_create("calls");
        TCase *descriptors = tcase_create("descriptors");

        tcase_set_timeout(memory, 600);
        tcase_add_loop_test(memory, test_memory, 0, (int)N(deeds));
        suite_add_tcase(suite, memory);
        tcase_set_timeout(descriptors, 600);
        tcase_add_loop_test(descriptors, test_descriptors, 0, (int)N(deeds));
        suite_add_tcase(suite, descriptors);
        tcase_set_timeout(calls, 3600);
        tcase_add_loop_test(calls, test_calls, 0, (int)N(deeds));
        suite_add_tcase(suite, calls);
        return run_suite(suite);
}
