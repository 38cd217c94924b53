/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left when a call fails of those who outlive a broker, or start one: the keeper, the broker that is started beside it, and of several processes the front
 * and the spawner.
 *
 * As tests/integration/test_faults.c, each call of a deed fails once. A broker that is started may refuse to start: then it says why, has not crashed, and the next one
 * finds all that was there. If it starts, what was kept goes on, or has ended and was told so; new sessions are served in any case, and no descriptor is left.
 */
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "tests/faults/sweep.h"
#include "tests/support/runner.h"

/* How many times fewer kinds of failures a sample has than one of a deed within a broker: to start one takes longer. */
#define SPARSELY 4

#define PROCESSES_MAX 8

/* The memory of all that a start allocates is mostly of libraries. */
static const struct fault memory = { FAULTS_memory, ENOMEM, false };

/* An end that is none is a lie that no kernel tells: keeper, spawner and service manager would be left for it. */
static bool is_lie(const struct fault *fault) {
        return fault->broker_only || fault->error == EPIPE;
}

/* Allocations are in each sample. */
static const struct fault *next_fault(size_t i) {
        const struct fault *fault = i == 0 ? &memory : &sweep_faults[i - 1];

        if (i == 0 && !sweep_is_all())
                return fault;
        return sweep_has(fault, i, sweep_n_faults() + 1, SPARSELY) ? fault : NULL;
}

/*
 * Has `fail_one` do the deed with each of its calls failing.
 * @param n     how many there are
 * @param lies  whether an end that is none is told, too
 */
static void sweep_calls(struct sweep *sweep, const unsigned n[static FAULTS_N_CALLS], bool lies,
                        void (*fail_one)(void *data, struct sweep *sweep), void *data) {
        for (size_t i = 0; i <= sweep_n_faults(); ++i) {
                const struct fault *fault = next_fault(i);
                struct sweep_range range;

                if (!fault || (is_lie(fault) && !lies))
                        continue;
                range = sweep_range(n[fault->call]);
                sweep->call = fault->call;
                sweep->error = fault->error;
                for (sweep->n = range.first; sweep->n <= range.last; sweep->n += range.stride)
                        fail_one(data, sweep);
        }
}

/* How long logs were. */
struct logs {
        size_t daemon, keeper;
};

static char *read_keeper(const struct world *world) {
        char path[HARNESS_PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/keeper.stderr", world->daemon.folder);
        return daemon_read(path);
}

static struct logs log_lengths(const struct world *world) {
        NB_CLEANUP_FREE char *daemon = daemon_read(world->daemon.stderr_path), *keeper = read_keeper(world);

        return (struct logs){ strlen(daemon), strlen(keeper) };
}

/* What was written since they were so long. */
static bool daemon_says(const struct world *world, const struct logs *since, const char *text) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);

        return strlen(log) > since->daemon && strstr(log + since->daemon, text);
}

static bool keeper_says(const struct world *world, const struct logs *since) {
        NB_CLEANUP_FREE char *log = read_keeper(world);

        return strlen(log) > since->keeper;
}

static void remember_calls(const struct faults *faults, unsigned ret[static FAULTS_N_CALLS]) {
        for (int call = 0; call < FAULTS_N_CALLS; ++call)
                ret[call] = faults->seen[call];
}

/* @param before  of remember_calls() @param ret  what was called since */
static void count_since(const struct faults *faults, const unsigned before[static FAULTS_N_CALLS],
                        unsigned ret[static FAULTS_N_CALLS]) {
        for (int call = 0; call < FAULTS_N_CALLS; ++call)
                ret[call] = faults->seen[call] - before[call];
}

/* Of a broker that did not start. A library's own crash is that library's, and said as well. */
static void expect_clear_end(const struct world *world, const struct sweep *sweep, int status,
                             const struct logs *before) {
        bool is_excused = WIFSIGNALED(status) && sweep_is_excused(world->faults[BROKER]);

        sweep_expect(is_excused || WIFEXITED(status), world, sweep, "netbrokerd crashed, with wait status 0x%x",
                     (unsigned)status);
        sweep_expect(is_excused || WEXITSTATUS(status) != 0, world, sweep,
                     "netbrokerd ended, and says that all is well");
        sweep_expect(daemon_says(world, before, "netbrokerd: "), world, sweep, "netbrokerd does not say why it ended");
}

/* ---- a keeper, and a broker that is started again beside it ---- */

/* What came of a deed. */
struct course {
        const struct sweep *sweep;
        size_t since;   /* how long the log was when the daemon was started that serves now */
        bool killed;    /* the broker is, instead of told to end */
        bool restarted; /* it got as far as that */
        bool failed;    /* by when the broker was ready again the call had failed */
        bool at_start;  /* the broker ended instead of starting */
};

static unsigned n_failed(const struct world *world) {
        return world->faults[BROKER]->n_failed + world->faults[KEEPER]->n_failed;
}

/* The next one finds what the one left that did not start. */
static void start_again(struct world *world, struct course *course) {
        const struct logs before = log_lengths(world);
        int status;

        course->restarted = true;
        course->since = before.daemon;
        if (!world_try_daemon(world, &status)) {
                course->at_start = true;
                (void)faults_disarm(world->faults[BROKER]);
                (void)faults_disarm(world->faults[KEEPER]);
                expect_clear_end(world, course->sweep, status, &before);
                course->since = log_lengths(world).daemon;
                sweep_expect(world_try_daemon(world, &status), world, course->sweep,
                             "nothing fails, and netbrokerd does not start");
        }
        course->failed = n_failed(world) > 0;
}

static void restart(struct world *world, struct course *course) {
        sweep_expect(world_is_alive(world), world, course->sweep, "netbrokerd has ended before it was told to");
        if (course->killed)
                daemon_kill(&world->daemon);
        else
                daemon_stop(&world->daemon);
        start_again(world, course);
}

/* A peer that is dropped may come again. */
static int accept_again(struct nb_control *listener, struct waiter *waiter) {
        int r = -ECONNABORTED;

        for (int i = 0; i < 2 && (r == -ECONNABORTED || r == -ECONNRESET); ++i) {
                NB_CLEANUP_FD int peer = peer_connect(nb_control_address(listener));

                r = peer < 0 ? -ECONNABORTED : accept_one(listener, waiter, peer);
        }
        return r;
}

/* A session, a listener and a connection, before a restart and behind it. */
static int go_on(struct world *world, struct course *course) {
        CLEANUP(session) struct nb_session *session = NULL;
        CLEANUP(control) struct nb_control *listener = NULL, *control = NULL;
        CLEANUP(connection) struct nb_connection *connection = NULL;
        struct waiter waiter = { -1, NULL };
        struct nb_protocol *protocol;
        int r = open_session(world, &waiter, NULL, &session);

        if (r < 0)
                return r;
        protocol = nb_session_find_protocol(session, "direct");
        r = open_control(protocol, "127.0.0.1:0", NB_SOCKET_STREAM, &listener);
        if (r == 0)
                r = nb_listen(listener, 8);
        if (r == 0)
                r = open_control(protocol, "0.0.0.0:0", NB_SOCKET_STREAM, &control);
        if (r == 0)
                r = nb_connect(control, world->peer.text, strlen(world->peer.text), &connection);
        if (r < 0)
                return r;
        restart(world, course);
        r = accept_again(listener, &waiter);
        if (r == 0)
                r = connect_stream(world, protocol, world->peer.text);
        return r;
}

struct left {
        unsigned broker_fds, keeper_fds;
        long keeper_live;
};

static struct left look(const struct world *world) {
        return (struct left){ daemon_count_fds_at_rest(&world->daemon), keeper_count_fds(&world->keeper),
                              world->faults[KEEPER]->live };
}

static bool is_same(const struct left *a, const struct left *b) {
        return a->broker_fds == b->broker_fds && a->keeper_fds == b->keeper_fds && a->keeper_live <= b->keeper_live;
}

/* The same when nothing changes any more: what ended before has been forgotten. */
static struct left settle(const struct world *world) {
        struct left last = look(world), now;

        for (int n_equal = 0; n_equal < 30; last = now) {
                (void)poll(NULL, 0, 1);
                now = look(world);
                n_equal = memcmp(&now, &last, sizeof(now)) == 0 ? n_equal + 1 : 0;
        }
        return last;
}

static void expect_left(const struct world *world, const struct sweep *sweep, const struct left *before) {
        uint64_t start = harness_now_ms();
        struct left now = look(world);

        while (!is_same(&now, before) && harness_now_ms() - start < HARNESS_DEADLINE_MS) {
                (void)poll(NULL, 0, 1);
                now = look(world);
        }
        sweep_expect(is_same(&now, before), world, sweep,
                     "%u descriptors, %u of the keeper's and %ld blocks of its memory, and %u, %u, %ld before",
                     now.broker_fds, now.keeper_fds, now.keeper_live, before->broker_fds, before->keeper_fds,
                     before->keeper_live);
}

static void go_on_well(struct world *world, const struct sweep *sweep, bool killed) {
        struct course course = { .sweep = sweep, .killed = killed };
        int r = go_on(world, &course);

        sweep_expect(r == 0, world, sweep, "afterwards it is refused with errno %d", -r);
}

/* What was kept ends only with a word about it; and what a broker left that did not start was all there. */
static void judge(const struct world *world, const struct course *course, const struct logs *before, int r) {
        const struct sweep *sweep = course->sweep;

        sweep_expect(world_is_alive(world), world, sweep, "netbrokerd has ended");
        sweep_expect(harness_poll(world->keeper.pidfd, POLLIN, 0) == 0, world, sweep, "the keeper has ended");
        sweep_expect(sweep_is_answer(sweep, r), world, sweep, "it is refused with errno %d", -r);
        if (r == 0 || !course->restarted || !course->failed)
                return;
        sweep_expect(daemon_says(world, before, "netbroker-keeper") || keeper_says(world, before), world, sweep,
                     "what was kept has ended (errno %d), and nobody says so", -r);
}

/* A broker beside its keeper, and how both are when nothing fails. */
struct beside_keeper {
        struct world world;
        struct lowered lowered;
        struct left left;
};

/* Whether the daemon that serves now has said that it has lost its keeper, and not that it has it again. */
static bool lacks_keeper(const struct world *world, const struct course *course) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);
        const char *lost = strstr(log + course->since, "cannot be reached");

        return lost && !strstr(lost, "is there again");
}

/* Who is killed before that ends its sessions, as it has said. */
static void wait_for_keeper(const struct world *world, const struct course *course) {
        uint64_t start = harness_now_ms();

        while (lacks_keeper(world, course))
                harness_wait_a_moment(start, "the keeper to be found again");
}

/* Who has found no room for descriptors in flight to the keeper waits some milliseconds; killed meanwhile, it could say nothing of what is not there. */
static bool may_be_killed(const struct sweep *sweep) {
        return sweep->call != FAULTS_sendmsg || !nb_channel_is_short(-sweep->error);
}

static void fail_restart(void *data, struct sweep *sweep) {
        struct beside_keeper *beside = data;
        struct world *world = &beside->world;
        const struct logs logs = log_lengths(world);
        struct course course = { .sweep = sweep,
                                 .since = logs.daemon,
                                 .killed = sweep->n % 2 == 1 && may_be_killed(sweep) };
        struct faults *faults = world->faults[sweep->program];
        bool failed;
        int r;

        faults_arm(faults, sweep->call, sweep->n, sweep->error);
        r = go_on(world, &course);
        sweep_show(sweep, faults, r);
        failed = faults_disarm(faults);
        sweep_expect(failed || r == 0, world, sweep, "nothing failed, and it is refused with errno %d", -r);
        judge(world, &course, &logs, r);
        if (!failed)
                return;
        wait_for_keeper(world, &course);
        go_on_well(world, sweep, !course.killed && may_be_killed(sweep));
        expect_left(world, sweep, &beside->left);
}

static void sweep_kept(enum program program, struct sweep *sweep) {
        unsigned before[FAULTS_N_CALLS], n[FAULTS_N_CALLS];
        struct beside_keeper beside;
        struct world *world = &beside.world;

        world_start(world, SETTING_KEPT, &beside.lowered);
        world->session = nb_session_free(world->session);
        for (int i = 0; i < 3; ++i)
                go_on_well(world, sweep, false);
        beside.left = settle(world);
        remember_calls(world->faults[program], before);
        go_on_well(world, sweep, false);
        count_since(world->faults[program], before, n);
        expect_left(world, sweep, &beside.left);
        sweep->program = program;
        sweep_calls(sweep, n, false, fail_restart, &beside);
        world_end(world);
}

START_TEST(a_restart_beside_a_keeper) {
        static const struct deed deeds[] = {
                [BROKER] = { .name = "restart", .relayed = true },
                [KEEPER] = { .name = "restart, keeper", .relayed = true },
        };
        enum program program = _i == 0 ? BROKER : KEEPER;
        struct sweep sweep = { .deed = &deeds[program] };

        if (!sweep_leaves_out(sweep.deed->name))
                sweep_kept(program, &sweep);
}
END_TEST

/* ---- several processes ---- */

/* @return how many there are */
static unsigned children(pid_t pid, pid_t ret[static PROCESSES_MAX]) {
        NB_CLEANUP_FREE char *text = NULL;
        char path[64], *rest = NULL;
        unsigned n = 0;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
        text = daemon_read(path);
        for (char *word = strtok_r(text, " \n", &rest); word && n < PROCESSES_MAX; word = strtok_r(NULL, " \n", &rest))
                ret[n++] = (pid_t)strtol(word, NULL, 10);
        return n;
}

static pid_t spawner_of(const struct world *world) {
        pid_t pids[PROCESSES_MAX];

        ck_assert_uint_eq(children(world->daemon.pid, pids), 1);
        return pids[0];
}

static unsigned count_fds_of(pid_t pid) {
        const struct daemon as_daemon = { .pid = pid };

        return daemon_count_fds(&as_daemon);
}

static void kill_and_wait(pid_t pid) {
        NB_CLEANUP_FD int pidfd = pidfd_open(pid, 0);

        if (pidfd < 0 || kill(pid, SIGKILL) < 0)
                return; /* it has ended by itself */
        ck_assert_int_ne(harness_poll(pidfd, POLLIN, HARNESS_DEADLINE_MS), 0);
}

/* All shards end, and whoever comes waits until they are there again. */
static int lose_shards(const struct world *world) {
        pid_t pids[PROCESSES_MAX];
        unsigned n = children(spawner_of(world), pids);

        for (unsigned i = 0; i < n; ++i)
                kill_and_wait(pids[i]);
        return do_direct(world);
}

static unsigned count_reloads(const struct world *world) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);
        unsigned n = 0;

        for (const char *next = log; (next = strstr(next, " reloaded")); ++next)
                ++n;
        return n;
}

/* Also where the reload is refused; of log and notification one may be what failed. */
static int reload_shards(const struct world *world) {
        unsigned before = count_reloads(world);
        uint64_t start = harness_now_ms();
        char text[256] = "";

        while (recv(world->daemon.notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0)
                ;
        memset(text, 0, sizeof(text));
        ck_assert_int_eq(kill(world->daemon.pid, SIGHUP), 0);
        while (count_reloads(world) == before && !strstr(text, "READY=1")) {
                harness_wait_a_moment(start, "a reload to be over");
                if (recv(world->daemon.notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT) < 0)
                        text[0] = '\0';
        }
        return do_direct(world);
}

/* The processes whose calls fail. */
enum who {
        FRONT,
        SPAWNER,
        N_WHO,
};

static const struct shard_deed {
        struct deed deed;
        enum who who;
        unsigned rounds; /* that one daemon is good for: it waits longer each time before a shard is started again */
} shard_deeds[] = {
        { { .name = "shards, front", .function = do_direct, .relayed = true }, FRONT, 100 },
        { { .name = "shards end, front", .function = lose_shards, .relayed = true }, FRONT, 2 },
        { { .name = "shards end, spawner", .function = lose_shards, .relayed = true }, SPAWNER, 2 },
        { { .name = "shards reload, front", .function = reload_shards, .relayed = true }, FRONT, 100 },
};

struct processes {
        const struct shard_deed *deed;
        struct world world;
        struct lowered lowered;
        pid_t spawner;
        unsigned fds[N_WHO];
        long live;
        unsigned n_rounds;
};

static bool are_as_before(const struct processes *p) {
        pid_t shards[PROCESSES_MAX];

        return children(p->spawner, shards) == 2 && count_fds_of(p->world.daemon.pid) == p->fds[FRONT] &&
               count_fds_of(p->spawner) == p->fds[SPAWNER] && p->world.faults[BROKER]->live <= p->live;
}

static void expect_processes(const struct processes *p, const struct sweep *sweep) {
        uint64_t start = harness_now_ms();
        pid_t shards[PROCESSES_MAX];

        while (!are_as_before(p) && harness_now_ms() - start < HARNESS_DEADLINE_MS)
                (void)poll(NULL, 0, 1);
        sweep_expect(
                are_as_before(p), &p->world, sweep,
                "%u shards, descriptors %u and %u of the spawner's, %ld blocks of memory; and 2, %u, %u, %ld before",
                children(p->spawner, shards), count_fds_of(p->world.daemon.pid), count_fds_of(p->spawner),
                (long)p->world.faults[BROKER]->live, p->fds[FRONT], p->fds[SPAWNER], p->live);
}

static void do_well(const struct processes *p, const struct sweep *sweep) {
        uint64_t start = harness_now_ms();
        int r;

        while ((r = do_direct(&p->world)) < 0 && harness_now_ms() - start < HARNESS_DEADLINE_MS)
                (void)poll(NULL, 0, 1);
        sweep_expect(r == 0, &p->world, sweep, "afterwards it is refused with errno %d", -r);
}

/* @param deed  done once, and refused once, for what is allocated the first time */
static void processes_start(struct processes *p, const struct shard_deed *deed, const struct sweep *sweep) {
        struct faults *faults;

        *p = (struct processes){ .deed = deed };
        world_start(&p->world, SETTING_SHARDS, &p->lowered);
        p->world.session = nb_session_free(p->world.session);
        p->spawner = spawner_of(&p->world);
        p->fds[FRONT] = daemon_count_fds_at_rest(&p->world.daemon);
        p->fds[SPAWNER] = count_fds_of(p->spawner);
        faults = p->world.faults[BROKER];
        faults->only = deed->who == FRONT ? p->world.daemon.pid : p->spawner;
        sweep_expect(deed->deed.function(&p->world) == 0, &p->world, sweep, "it is refused before anything fails");
        faults_arm(faults, FAULTS_memory, 1, ENOMEM);
        (void)do_direct(&p->world);
        (void)faults_disarm(faults);
        do_well(p, sweep);
        p->live = LONG_MAX;
        expect_processes(p, sweep);
        p->live = faults->live;
}

/* What the test ends it kills. */
static bool has_crashed(const struct processes *p) {
        static const char end[] = "was killed by SIG";
        NB_CLEANUP_FREE char *log = daemon_read(p->world.daemon.stderr_path);
        const char *next = log;

        while ((next = strstr(next, end)) && strncmp(next + strlen(end), "KILL", 4) == 0)
                ++next;
        return next;
}

static void fail_deed(void *data, struct sweep *sweep) {
        struct processes *p = data;
        const struct shard_deed *deed = p->deed;
        struct faults *faults = p->world.faults[BROKER];
        int r;

        if (p->n_rounds++ == deed->rounds) {
                world_end(&p->world);
                processes_start(p, deed, sweep);
                faults = p->world.faults[BROKER];
        }
        faults_arm(faults, sweep->call, sweep->n, sweep->error);
        r = deed->deed.function(&p->world);
        sweep_show(sweep, faults, r);
        if (!faults_disarm(faults)) {
                sweep_expect(r == 0, &p->world, sweep, "nothing failed, and it is refused with errno %d", -r);
                return;
        }
        sweep_expect(world_is_alive(&p->world), &p->world, sweep, "netbrokerd has ended");
        sweep_expect(spawner_of(&p->world) == p->spawner, &p->world, sweep, "the spawner has ended");
        sweep_expect(sweep_is_answer(sweep, r), &p->world, sweep, "it is refused with errno %d", -r);
        do_well(p, sweep);
        sweep_expect(!has_crashed(p), &p->world, sweep, "a shard has crashed");
        expect_processes(p, sweep);
}

START_TEST(front_and_spawner) {
        const struct shard_deed *deed = &shard_deeds[_i];
        struct sweep sweep = { .deed = &deed->deed, .program = BROKER };
        unsigned before[FAULTS_N_CALLS], n[FAULTS_N_CALLS];
        struct processes p;

        if (sweep_leaves_out(deed->deed.name))
                return;
        processes_start(&p, deed, &sweep);
        remember_calls(p.world.faults[BROKER], before);
        ck_assert_int_eq(deed->deed.function(&p.world), 0);
        count_since(p.world.faults[BROKER], before, n);
        sweep_calls(&sweep, n, deed->who == FRONT, fail_deed, &p);
        world_end(&p.world);
}
END_TEST

/* ---- the start of several processes ---- */

/* Whichever of them it is whose call fails: all start, or none is left. */
static void fail_start(void *data, struct sweep *sweep) {
        struct world *world = data;
        struct faults *faults = world->faults[BROKER];
        const struct logs before = log_lengths(world);
        bool is_ready;
        int status, r;

        daemon_stop(&world->daemon);
        faults_arm(faults, sweep->call, sweep->n, sweep->error);
        is_ready = world_try_daemon(world, &status);
        (void)faults_disarm(faults);
        sweep_show(sweep, faults, is_ready ? 0 : -status);
        if (!is_ready) {
                expect_clear_end(world, sweep, status, &before);
                sweep_expect(world_try_daemon(world, &status), world, sweep, "nothing fails, and it does not start");
        }
        r = do_direct(world);
        sweep_expect(r == 0, world, sweep, "it is refused with errno %d", -r);
}

START_TEST(the_start_of_shards) {
        static const struct deed deed = { .name = "shards start" };
        struct sweep sweep = { .deed = &deed, .program = BROKER };
        unsigned before[FAULTS_N_CALLS], n[FAULTS_N_CALLS];
        struct lowered lowered;
        struct world world;
        int status;

        if (sweep_leaves_out(deed.name))
                return;
        world_start(&world, SETTING_SHARDS, &lowered);
        world.session = nb_session_free(world.session);
        daemon_stop(&world.daemon);
        remember_calls(world.faults[BROKER], before);
        ck_assert(world_try_daemon(&world, &status));
        count_since(world.faults[BROKER], before, n);
        sweep_calls(&sweep, n, false, fail_start, &world);
        world_end(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("faults of processes");
        TCase *keeper = tcase_create("keeper"), *shards = tcase_create("shards");

        tcase_set_timeout(keeper, 3600);
        tcase_add_loop_test(keeper, a_restart_beside_a_keeper, 0, 2);
        suite_add_tcase(suite, keeper);
        tcase_set_timeout(shards, 3600);
        tcase_add_loop_test(shards, front_and_spawner, 0, (int)(sizeof(shard_deeds) / sizeof(shard_deeds[0])));
        tcase_add_test(shards, the_start_of_shards);
        suite_add_tcase(suite, shards);
        return run_suite(suite);
}
