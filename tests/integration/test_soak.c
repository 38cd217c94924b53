/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A soak: traffic in all ways at once, by three tenants, while brokers, relays and hosts are killed, policies change and operators revoke. What there was before it must
 * be what there is after it.
 *
 * It goes in rounds. Each starts all parties (tests/soak/party.h), lets them get on between a few mishaps, kills them all where they are, and then compares
 * descriptors, accounts, relays and what the keeper has (tests/soak/state.h) with the beginning.
 *
 *      first half     any mishap
 *      second half    none that ends the broker: so that its memory has a course, whose end is compared with its beginning
 *
 * `./dev soak`: NETBROKER_SOAK_SECONDS says how long it is in all, NETBROKER_SOAK_SEED repeats the choices of another one: not what happens at the same time, which the
 * kernel decides. Rounds are counted by what is done, not by time.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sanitized.h"
#include "tests/soak/scene.h"
#include "tests/soak/state.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/traffic.h"

#define SECONDS 5

#define CLIENTS (2 * SOAK_TENANTS)
#define PEERS 2
#define PARTIES (2 + SOAK_TENANTS * SOAK_SERVERS + CLIENTS + PEERS)

/* Mishaps of a round, and words that must come back in each way before the next one: in a soak of minutes or hours there are more between. */
#define MISHAPS 5
#define WORDS 3
#define WORDS_LONG 100
#define LONG_MS 60000

/* How long that may take: a relay's third crash within a minute is a pause of its own. */
#define PROGRESS_MS 60000

/* The least number of rounds of the first half. */
#define ROUNDS_MIN 2

/*
 * How much more the broker and the keeper may have in the last eighth of the soak, at least, than they had in the fifth, at most, in KiB: what their allocators
 * keep in pieces. A broker that a mishap has just started takes a round to have what it works with, and now and then a round ends before the allocator
 * has given back what it took. A round has thousands of connections, so what is lost with each would be more.
 */
#define GROWTH_KIB 1024

/* Of netbrokerd's log, in bytes, where something is wrong. */
#define LOG_SHOWN 4096

struct member {
        struct soak_party party;
        void (*function)(void *data);
        pid_t pid; /* 0: not running */
};

struct soak {
        struct soak_scene scene;
        struct soak_shared *shared;
        struct member members[PARTIES];
        size_t n_members;
        struct soak_state start;
        uint64_t random;
        uint64_t started_ms, length_ms;
        unsigned rounds;
        unsigned n_mishaps[16]; /* by index of `mishaps` */
};

static uint64_t pick(struct soak *soak, uint64_t n) {
        return next_random(&soak->random) % n;
}

/* ---- parties ---- */

static struct member *add_member(struct soak *soak, void (*function)(void *data), size_t tenant) {
        struct member *member = &soak->members[soak->n_members++];

        ck_assert_uint_le(soak->n_members, PARTIES);
        *member = (struct member){ .function = function };
        member->party = (struct soak_party){
                .shared = soak->shared,
                .socket_path = soak->scene.restart.scene.daemon.socket_path,
                .tenant = soak_tenant(tenant),
                .tenant_index = tenant,
                .echo_name = SOAK_ECHO_NAME,
                .echo_port = peer_port(soak->scene.echo.text),
                .echo_udp_port = peer_port(soak->scene.echo_udp.text),
                .echo_fd = soak->scene.echo.fd,
                .echo_udp_fd = soak->scene.echo_udp.fd,
        };
        return member;
}

static void make_members(struct soak *soak) {
        (void)add_member(soak, soak_echo, 0);
        (void)add_member(soak, soak_echo_datagrams, 0);
        for (size_t i = 0; i < SOAK_TENANTS * SOAK_SERVERS; ++i)
                add_member(soak, soak_serve, i / SOAK_SERVERS)->party.server = (enum soak_server)(i % SOAK_SERVERS);
        /* One of each tenant's clients has a token. */
        for (size_t i = 0; i < CLIENTS; ++i)
                add_member(soak, soak_call, i % SOAK_TENANTS)->party.token =
                        i < SOAK_TENANTS ? soak->scene.token : NULL;
        for (size_t i = 0; i < PEERS; ++i)
                (void)add_member(soak, soak_knock, 0);
}

static void start_member(struct soak *soak, struct member *member) {
        member->party.seed = next_random(&soak->random) | 1;
        member->pid = traffic_fork(member->function, &member->party);
        ck_assert_int_gt(member->pid, 0);
        (void)atomic_fetch_add(&soak->shared->begun, 1);
}

/* Those that have come to their end begin again. */
static void start_missing(struct soak *soak) {
        for (size_t i = 0; i < soak->n_members; ++i) {
                struct member *member = &soak->members[i];
                int status;

                if (member->pid > 0 && waitpid(member->pid, &status, WNOHANG) == member->pid) {
                        ck_assert_msg(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0,
                                      "a party has ended with wait status 0x%x", (unsigned)status);
                        member->pid = 0;
                }
                if (member->pid == 0)
                        start_member(soak, member);
        }
}

static void kill_members(struct soak *soak) {
        for (size_t i = 0; i < soak->n_members; ++i) {
                if (soak->members[i].pid > 0)
                        ck_assert_int_eq(kill(soak->members[i].pid, SIGKILL), 0);
        }
        for (size_t i = 0; i < soak->n_members; ++i) {
                if (soak->members[i].pid > 0)
                        ck_assert_int_eq(waitpid(soak->members[i].pid, NULL, 0), soak->members[i].pid);
                soak->members[i].pid = 0;
        }
        (void)memset(soak->shared->ports, 0, sizeof(soak->shared->ports));
}

/* ---- getting on ---- */

/* @return a way in which less was done than is wanted; SOAK_ROUTES: none */
static enum soak_route find_slow(const struct soak *soak, const uint64_t wanted[static SOAK_ROUTES]) {
        for (enum soak_route route = 0; route < SOAK_ROUTES; ++route) {
                if (atomic_load(&soak->shared->routes[route].done) < wanted[route])
                        return route;
        }
        return SOAK_ROUTES;
}

/* Words come back in every way, whatever has been killed. */
static void let_all_get_on(struct soak *soak, const char *after) {
        uint64_t wanted[SOAK_ROUTES], start_ms = harness_now_ms();
        unsigned words = soak->length_ms < LONG_MS ? WORDS : WORDS_LONG;
        enum soak_route slow;

        for (size_t i = 0; i < SOAK_ROUTES; ++i)
                wanted[i] = atomic_load(&soak->shared->routes[i].done) + words;
        while ((slow = find_slow(soak, wanted)) != SOAK_ROUTES) {
                ck_assert_msg(harness_now_ms() - start_ms < PROGRESS_MS, "after %s no words come back: %s (last: %s)",
                              after, soak_route_name(slow), strerror(atomic_load(&soak->shared->routes[slow].error)));
                start_missing(soak);
                (void)harness_poll(-1, 0, 1);
        }
        ck_assert_msg(atomic_load(&soak->shared->wrong) == 0, "after %s a word came back as another", after);
}

/* ---- mishaps ---- */

static void kill_broker(struct soak *soak) {
        restart_one(&soak->scene.restart, true);
}

static void restart_broker(struct soak *soak) {
        restart_one(&soak->scene.restart, false);
}

static void kill_relay(struct soak *soak) {
        pid_t relays[16];
        size_t n = relay_units_list(&soak->scene.units, relays, 16);

        /* It may have come to its end meanwhile. */
        if (n > 0)
                (void)kill(relays[pick(soak, n)], SIGKILL);
}

static void kill_hosts(struct soak *soak) {
        for (int i = 0; i < 3; ++i) {
                const struct member *member = &soak->members[2 + pick(soak, soak->n_members - 2)];

                if (member->pid > 0)
                        (void)kill(member->pid, SIGKILL);
        }
}

static void change_policy(struct soak *soak) {
        size_t tenant = pick(soak, SOAK_TENANTS);

        soak_scene_load(&soak->scene, tenant, (enum soak_policy)pick(soak, SOAK_POLICIES));
        soak_scene_load(&soak->scene, tenant, SOAK_POLICY_FULL);
}

/* One of a list, which may be gone when it is revoked. */
static void revoke_one(struct soak *soak, const char *list, const char *kind) {
        json_t *all = SOAK_ASK(&soak->scene, list);
        char id[32];

        if (json_array_size(all) > 0) {
                const json_t *one = json_array_get(all, pick(soak, json_array_size(all)));
                json_t *answer;

                (void)snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(json_object_get(one, kind)));
                answer = SOAK_ASK(&soak->scene, "revoke", kind, id);
                json_decref(answer);
        }
        json_decref(all);
}

static void revoke_session(struct soak *soak) {
        revoke_one(soak, "sessions", "session");
}

static void revoke_connections(struct soak *soak) {
        for (int i = 0; i < 3; ++i)
                revoke_one(soak, "connections", "connection");
}

static void revoke_protocol(struct soak *soak) {
        static const char *const protocols[] = { "direct", "relay", "tls", "quic" };
        json_t *answer = SOAK_ASK(&soak->scene, "revoke", "protocol", soak_tenant(pick(soak, SOAK_TENANTS)),
                                  PICK(&soak->random, protocols));

        ck_assert_ptr_nonnull(answer);
        json_decref(answer);
}

static void drain_tenant(struct soak *soak) {
        const char *tenant = soak_tenant(pick(soak, SOAK_TENANTS));

        json_decref(SOAK_ASK(&soak->scene, "drain", "--tenant", tenant));
        let_all_get_on(soak, "a tenant is drained");
        json_decref(SOAK_ASK(&soak->scene, "undrain", "--tenant", tenant));
}

static const struct {
        const char *name;
        void (*function)(struct soak *soak);
        bool ends_broker;
} mishaps[] = {
        { "the broker is killed", kill_broker, true },
        { "the broker is restarted", restart_broker, true },
        { "a relay is killed", kill_relay, false },
        { "hosts are killed", kill_hosts, false },
        { "a policy changes", change_policy, false },
        { "a session is revoked", revoke_session, false },
        { "connections are revoked", revoke_connections, false },
        { "a protocol is revoked", revoke_protocol, false },
        { "a tenant is drained", drain_tenant, false },
};
#define N_MISHAPS (sizeof(mishaps) / sizeof(mishaps[0]))

static void have_mishap(struct soak *soak, bool may_end_broker) {
        size_t i;

        do
                i = pick(soak, N_MISHAPS);
        while (mishaps[i].ends_broker && !may_end_broker);
        soak->n_mishaps[i]++;
        mishaps[i].function(soak);
        let_all_get_on(soak, mishaps[i].name);
}

/* ---- rounds ---- */

static void show(const struct soak *soak, const char *verb) {
        json_t *answer = SOAK_ASK(&soak->scene, verb);
        NB_CLEANUP_FREE char *text = json_dumps(answer, JSON_INDENT(1) | JSON_ENCODE_ANY);

        fprintf(stderr, "netbrokerctl %s:\n%s\n", verb, text ? text : "no answer");
        json_decref(answer);
}

static void explain_difference(const struct soak *soak, const char *differences) {
        NB_CLEANUP_FREE char *broker = soak_describe_fds(soak->scene.restart.scene.daemon.pid);
        NB_CLEANUP_FREE char *keeper = soak_describe_fds(soak->scene.restart.keeper.pid);
        NB_CLEANUP_FREE char *log = daemon_read(soak->scene.restart.scene.daemon.stderr_path);
        size_t length = strlen(log);

        fprintf(stderr,
                "netbrokerd's descriptors:\n%snetbroker-keeper's descriptors:\n%snetbrokerd's last words:\n%s\n",
                broker, keeper, length > LOG_SHOWN ? log + length - LOG_SHOWN : log);
        show(soak, "connections");
        show(soak, "relays");
        ck_abort_msg("after round %u these did not return:\n%s", soak->rounds, differences);
}

/* Those whom the echo did not come to: the test has its socket, too. A relay waits for the end of what it has ended (relay/pump.h). */
static void refuse_waiting(const struct soak *soak) {
        while (harness_poll(soak->scene.echo.fd, POLLIN, 0) != 0)
                (void)traffic_close_now(peer_accept(&soak->scene.echo));
}

/* Ends are noticed in their own time: relays report, the kernel tells of sockets. */
static void expect_start(const struct soak *soak, bool all) {
        uint64_t start_ms = harness_now_ms();

        for (;;) {
                NB_CLEANUP_FREE char *differences = NULL;
                struct soak_state now;

                refuse_waiting(soak);
                soak_state_take(&soak->scene, &now);
                if (soak_state_compare(&soak->start, &now, all, &differences) == 0)
                        return;
                if (harness_now_ms() - start_ms > PROGRESS_MS)
                        explain_difference(soak, differences);
        }
}

static void run_round(struct soak *soak, bool may_end_broker) {
        let_all_get_on(soak, "the beginning");
        for (unsigned i = 0; i < MISHAPS; ++i)
                have_mishap(soak, may_end_broker);
        kill_members(soak);
        soak->rounds++;
        expect_start(soak, false);
        soak_scene_reload_tenants(&soak->scene);
        expect_start(soak, true);
}

static bool has_time(const struct soak *soak, unsigned eighths) {
        return harness_now_ms() - soak->started_ms < soak->length_ms * eighths / 8;
}

/* The least and the most that one of the two had at the end of some rounds. */
struct course {
        struct soak_memory least, most;
};

static void course_add(struct course *course, const struct soak_memory *memory) {
        course->least.broker = memory->broker < course->least.broker ? memory->broker : course->least.broker;
        course->least.keeper = memory->keeper < course->least.keeper ? memory->keeper : course->least.keeper;
        course->most.broker = memory->broker > course->most.broker ? memory->broker : course->most.broker;
        course->most.keeper = memory->keeper > course->most.keeper ? memory->keeper : course->most.keeper;
}

/* Rounds that leave the broker where it is, one at least, until so much of the soak is over. */
static struct course run_quiet_rounds(struct soak *soak, unsigned eighths) {
        struct course course = { .least = { .broker = UINT64_MAX, .keeper = UINT64_MAX } };

        do {
                struct soak_memory memory;

                run_round(soak, false);
                memory = soak_memory_take(&soak->scene);
                course_add(&course, &memory);
                fprintf(stderr, "round %u: netbrokerd has %llu KiB, netbroker-keeper %llu KiB\n", soak->rounds,
                        (unsigned long long)memory.broker, (unsigned long long)memory.keeper);
        } while (has_time(soak, eighths));
        return course;
}

static void expect_memory(const char *who, uint64_t early, uint64_t late) {
        ck_assert_msg(NB_SANITIZED || late <= early + GROWTH_KIB,
                      "%s has grown from %llu to %llu KiB in the second half", who, (unsigned long long)early,
                      (unsigned long long)late);
}

static void run_halves(struct soak *soak) {
        struct course early, late;

        for (unsigned i = 0; i < ROUNDS_MIN || has_time(soak, 4); ++i)
                run_round(soak, true);
        run_round(soak, false); /* of a broker that was started a moment ago, perhaps */
        early = run_quiet_rounds(soak, 5);
        if (has_time(soak, 7))
                (void)run_quiet_rounds(soak, 7);
        late = run_quiet_rounds(soak, 8);
        expect_memory("netbrokerd", early.most.broker, late.least.broker);
        expect_memory("netbroker-keeper", early.most.keeper, late.least.keeper);
}

/* ---- what is told ---- */

static void tell(const struct soak *soak) {
        fprintf(stderr, "%u rounds in %llu s, %llu parties\n", soak->rounds,
                (unsigned long long)(harness_now_ms() - soak->started_ms) / 1000,
                (unsigned long long)atomic_load(&soak->shared->begun));
        for (size_t i = 0; i < N_MISHAPS; ++i)
                fprintf(stderr, "    %u times %s\n", soak->n_mishaps[i], mishaps[i].name);
        for (enum soak_route route = 0; route < SOAK_ROUTES; ++route)
                fprintf(stderr, "    %s: %llu words came back, %llu did not or had no way\n", soak_route_name(route),
                        (unsigned long long)atomic_load(&soak->shared->routes[route].done),
                        (unsigned long long)atomic_load(&soak->shared->routes[route].failed));
}

static uint64_t number_in_environment(const char *name, uint64_t otherwise) {
        const char *text = getenv(name);

        return text && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void choose_seed(struct soak *soak) {
        uint64_t seed = number_in_environment("NETBROKER_SOAK_SEED", 0);

        while (seed == 0)
                ck_assert_int_eq(getrandom(&seed, sizeof(uint32_t), 0), sizeof(uint32_t));
        soak->random = seed;
        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
}

START_TEST(what_there_was_is_what_there_is) {
        NB_CLEANUP_FREE struct soak *soak = calloc(1, sizeof(*soak));

        ck_assert_ptr_nonnull(soak);
        choose_seed(soak);
        soak->shared = mmap(NULL, sizeof(*soak->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(soak->shared, MAP_FAILED);
        soak_scene_start(&soak->scene);
        soak_state_take(&soak->scene, &soak->start);
        soak->started_ms = harness_now_ms();
        soak->length_ms = number_in_environment("NETBROKER_SOAK_SECONDS", SECONDS) * 1000;
        make_members(soak);
        run_halves(soak);
        tell(soak);
        soak_scene_end(&soak->scene);
        (void)munmap(soak->shared, sizeof(*soak->shared));
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("soak");
        TCase *tests = tcase_create("soak");

        /* A process that hangs is found by what does not get on; this is for the one that is the test. */
        tcase_set_timeout(tests, 600.0 + (double)number_in_environment("NETBROKER_SOAK_SECONDS", SECONDS));
        tcase_add_test(tests, what_there_was_is_what_there_is);
        suite_add_tcase(suite, tests);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
