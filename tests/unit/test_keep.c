/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker leaves with the keeper: broker/keep.c in this process, with the real netbroker-keeper (environment NETBROKER_KEEPER), which is killed and
 * stopped as it happens.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/channel.h"
#include "broker/broker.h"
#include "broker/keep.h"
#include "broker/keep_fetch.h"
#include "tests/support/harness.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"

/* ---- the keeper ---- */

struct keeper {
        char folder[32];
        char path[64];
        struct process process;
};

static void keeper_start(struct keeper *keeper, const char *option, const char *value) {
        uint64_t start = harness_now_ms();
        const char *program = getenv("NETBROKER_KEEPER");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        ck_assert_ptr_nonnull(program);
        memcpy(address.sun_path, keeper->path, strlen(keeper->path));
        process_start(&keeper->process,
                      (const char *const[]){ program, "--socket", keeper->path, option, value, NULL });
        while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                harness_wait_a_moment(start, "the keeper's socket");
        (void)nb_fd_close(fd);
}

static void keeper_init(struct keeper *keeper) {
        *keeper = (struct keeper){ .folder = "/tmp/keep-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(keeper->folder));
        ck_assert_int_gt(snprintf(keeper->path, sizeof(keeper->path), "%s/sock", keeper->folder), 0);
}

static void keeper_kill(struct keeper *keeper) {
        ck_assert_int_eq(kill(keeper->process.pid, SIGKILL), 0);
        ck_assert_int_eq(process_finish(&keeper->process, HARNESS_DEADLINE_MS), 128 + SIGKILL);
        process_deinit(&keeper->process);
        ck_assert_int_eq(unlink(keeper->path), 0);
}

static void keeper_end(struct keeper *keeper) {
        keeper_kill(keeper);
        ck_assert_int_eq(rmdir(keeper->folder), 0);
}

/* ---- the broker ---- */

/* More than a channel holds. */
#define OBJECTS_MAX 20000

struct object {
        struct kept kept;
        uint64_t number;
        int fd; /* -1: it has none */
};

struct world {
        struct nb_log log;
        struct policy_source source;
        struct broker *broker;
        struct kept_item *items;
        size_t n_items;
        struct object objects[OBJECTS_MAX];
};

static void describe(const struct kept *kept, struct kept_sink *sink) {
        const struct object *object = nb_container_of(kept, struct object, kept);
        char name[] = "web";
        Nb__State__Protocol protocol = NB__STATE__PROTOCOL__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        protocol.session = object->number;
        protocol.name = name;
        item.body_case = NB__STATE__ITEM__BODY_PROTOCOL;
        item.protocol = &protocol;
        kept_sink_give(sink, &item, &object->fd, object->fd >= 0);
}

static const struct kept_ops ops = { .describe = describe };

static struct world *world_new(const struct keeper *keeper) {
        static const char policy_text[] = "[Tenant]\nName=acme\nUser=0\n";
        const struct policy_defaults defaults = { .data_path = POLICY_DATA_PATH_DIRECT };
        struct world *world = calloc(1, sizeof(*world));
        struct policy *policy = policy_new();
        struct policy_error error;

        ck_assert_ptr_nonnull(world);
        ck_assert_int_eq(policy_add_file(policy, "acme.conf", policy_text, strlen(policy_text), &defaults, &error), 0);
        nb_log_init(&world->log, "test", NB_LOG_ERROR);
        world->source = (struct policy_source){ .path = "none" };
        world->broker = broker_new(&world->log, &world->source, policy, NULL);
        ck_assert_ptr_nonnull(world->broker);
        world->broker->keep = keep_new(world->broker, keeper->path, &world->items, &world->n_items);
        ck_assert_ptr_nonnull(world->broker->keep);
        return world;
}

static void world_forget_items(struct world *world) {
        keep_items_free(world->broker->keep, world->items, world->n_items);
        world->items = NULL;
        world->n_items = 0;
}

static void world_free(struct world *world) {
        world_forget_items(world);
        (void)broker_free(world->broker);
        free(world);
}

static void put(struct world *world, uint64_t number, int fd) {
        struct object *object = &world->objects[number];

        object->number = number;
        object->fd = fd;
        keep_put(world->broker->keep, &object->kept, &ops);
}

static struct keep_facts facts_of(const struct world *world) {
        struct keep_facts facts;

        keep_get_facts(world->broker->keep, &facts);
        return facts;
}

static void end_turn(uv_timer_t *timer) {
        *(bool *)timer->data = true;
}

/* Lets the loop do what there is to do within a moment. */
static void turn(const struct world *world) {
        uv_timer_t timer;
        bool is_over = false;

        ck_assert_int_eq(uv_timer_init(&world->broker->loop, &timer), 0);
        timer.data = &is_over;
        ck_assert_int_eq(uv_timer_start(&timer, end_turn, 5, 0), 0);
        while (!is_over)
                broker_turn(world->broker, true);
        uv_close((uv_handle_t *)&timer, NULL);
        broker_turn(world->broker, false);
}

static void wait_until_sent(const struct world *world) {
        uint64_t start = harness_now_ms();

        for (struct keep_facts facts = facts_of(world); facts.n_unsent > 0 || !facts.is_connected;
             facts = facts_of(world)) {
                harness_wait_a_moment(start, "the keeper to have everything");
                turn(world);
        }
}

static const struct kept_item *find(const struct world *world, uint64_t number) {
        for (size_t i = 0; i < world->n_items; ++i) {
                ck_assert_int_eq(world->items[i].item->body_case, NB__STATE__ITEM__BODY_PROTOCOL);
                ck_assert_uint_eq(world->items[i].item->needs, KEPT_STATE_VERSION);
                ck_assert_str_eq(world->items[i].item->protocol->name, "web");
                if (world->items[i].item->protocol->session == number)
                        return &world->items[i];
        }
        return NULL;
}

/* ---- tests ---- */

START_TEST(what_is_left_comes_back) {
        struct keeper keeper;
        struct world *world;
        int pair[2], before;
        uint8_t byte = 1;
        uint64_t id;

        keeper_init(&keeper);
        keeper_start(&keeper, NULL, NULL);
        /* libuv has descriptors that stay, from the first loop on. */
        world_free(world_new(&keeper));
        before = count_fds();
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        world = world_new(&keeper);
        ck_assert_uint_eq(world->n_items, 0);
        world_forget_items(world);
        put(world, 1, pair[0]);
        put(world, 2, -1);
        put(world, 3, pair[0]);
        keep_forget(&world->objects[2].kept);
        keep_forget(&world->objects[2].kept);
        keep_detach(world->broker->keep);
        ck_assert(keep_is_detached(world->broker->keep));
        /* It ends, and the keeper does not hear of that. */
        keep_forget(&world->objects[1].kept);
        put(world, 4, -1);
        world_free(world);
        (void)nb_fd_close(pair[0]);

        world = world_new(&keeper);
        ck_assert_uint_eq(world->n_items, 2);
        ck_assert_ptr_nonnull(find(world, 3));
        ck_assert_uint_eq(find(world, 1)->n_fds, 1);
        id = find(world, 1)->id;
        keep_adopt(world->broker->keep, &world->objects[1].kept, &ops, id);
        world->objects[1].number = 1;
        world->objects[1].fd = find(world, 1)->fds[0];
        ck_assert_int_eq(nb_channel_send(pair[1], &byte, 1, NULL, 0), 0);
        ck_assert_int_eq(recv(world->objects[1].fd, &byte, 1, 0), 1);
        world_forget_items(world);
        put(world, 5, -1);
        ck_assert_uint_gt(world->objects[5].kept.id, id);
        ck_assert_uint_eq(facts_of(world).n_kept, 2);
        keep_detach(world->broker->keep);
        world_free(world);

        world = world_new(&keeper);
        ck_assert_uint_eq(world->n_items, 2);
        ck_assert_uint_eq(find(world, 1)->id, id);
        ck_assert_ptr_nonnull(find(world, 5));
        ck_assert_int_eq(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
        /* Nobody has adopted them. */
        world_free(world);
        world = world_new(&keeper);
        ck_assert_uint_eq(world->n_items, 0);
        ck_assert_int_eq(recv(pair[1], &byte, 1, 0), 0);
        world_free(world);
        (void)nb_fd_close(pair[1]);
        ck_assert_int_eq(count_fds(), before);
        keeper_end(&keeper);
}
END_TEST

START_TEST(without_a_keeper_nothing_is_done) {
        struct object object = { .fd = -1 };

        keep_put(NULL, &object.kept, &ops);
        ck_assert_ptr_null(object.kept.keep);
        keep_forget(&object.kept);
        keep_detach(NULL);
        ck_assert(!keep_is_detached(NULL));
        keep_items_free(NULL, NULL, 0);
        ck_assert_ptr_null(keep_free(NULL));
}
END_TEST

START_TEST(another_keeper_is_given_everything) {
        struct keeper keeper;
        struct world *world;

        keeper_init(&keeper);
        world = world_new(&keeper);
        ck_assert(!facts_of(world).is_connected);
        put(world, 1, -1);
        ck_assert_uint_eq(facts_of(world).n_unsent, 1);
        keeper_start(&keeper, NULL, NULL);
        wait_until_sent(world);
        put(world, 2, -1);
        keeper_kill(&keeper);
        turn(world);
        ck_assert(!facts_of(world).is_connected);
        put(world, 3, -1);
        keep_forget(&world->objects[1].kept);
        keeper_start(&keeper, NULL, NULL);
        wait_until_sent(world);
        keep_detach(world->broker->keep);
        world_free(world);
        world = world_new(&keeper);
        ck_assert_uint_eq(world->n_items, 2);
        ck_assert_ptr_nonnull(find(world, 2));
        ck_assert_ptr_nonnull(find(world, 3));
        world_free(world);
        keeper_end(&keeper);
}
END_TEST

/* A keeper that does not get the processor: nothing waits for it, and nothing is lost. */
START_TEST(a_slow_keeper_gets_everything) {
        struct keeper keeper;
        struct world *world;

        keeper_init(&keeper);
        keeper_start(&keeper, NULL, NULL);
        world = world_new(&keeper);
        ck_assert_int_eq(kill(keeper.process.pid, SIGSTOP), 0);
        for (unsigned i = 0; i < OBJECTS_MAX; ++i)
                put(world, i, i % 4 == 0 ? STDERR_FILENO : -1);
        ck_assert_uint_gt(facts_of(world).n_unsent, 0);
        ck_assert_uint_lt(facts_of(world).n_unsent, OBJECTS_MAX);
        /* Described once, as it is when it is sent. */
        put(world, OBJECTS_MAX - 4, -1);
        ck_assert_int_eq(kill(keeper.process.pid, SIGCONT), 0);
        wait_until_sent(world);
        keep_detach(world->broker->keep);
        world_free(world);
        world = world_new(&keeper);
        ck_assert_uint_eq(world->n_items, OBJECTS_MAX);
        ck_assert_uint_eq(find(world, OBJECTS_MAX - 8)->n_fds, 1);
        ck_assert_uint_eq(find(world, OBJECTS_MAX - 4)->n_fds, 0);
        world_free(world);
        keeper_end(&keeper);
}
END_TEST

START_TEST(much_is_forgotten_while_the_keeper_is_slow) {
        struct keeper keeper;
        struct world *world;

        keeper_init(&keeper);
        keeper_start(&keeper, NULL, NULL);
        world = world_new(&keeper);
        for (unsigned i = 0; i < OBJECTS_MAX; ++i) {
                put(world, i, -1);
                if (i % 100 == 0)
                        wait_until_sent(world);
        }
        wait_until_sent(world);
        ck_assert_int_eq(kill(keeper.process.pid, SIGSTOP), 0);
        for (unsigned i = 1; i < OBJECTS_MAX; ++i)
                keep_forget(&world->objects[i].kept);
        ck_assert_int_eq(kill(keeper.process.pid, SIGCONT), 0);
        wait_until_sent(world);
        keep_detach(world->broker->keep);
        world_free(world);
        world = world_new(&keeper);
        ck_assert_uint_eq(world->n_items, 1);
        ck_assert_ptr_nonnull(find(world, 0));
        world_free(world);
        keeper_end(&keeper);
}
END_TEST

START_TEST(what_is_over_a_bound_is_counted) {
        uint64_t start = harness_now_ms();
        struct keeper keeper;
        struct world *world;

        keeper_init(&keeper);
        keeper_start(&keeper, "--max-entries", "2");
        world = world_new(&keeper);
        for (unsigned i = 0; i < 4; ++i)
                put(world, i, -1);
        while (facts_of(world).n_refused < 2) {
                harness_wait_a_moment(start, "refusals");
                turn(world);
        }
        keep_detach(world->broker->keep);
        world_free(world);
        world = world_new(&keeper);
        ck_assert_uint_eq(world->n_items, 2);
        world_free(world);
        keeper_end(&keeper);
}
END_TEST

/* A broker that puts, replaces and forgets without end, in a process of its own. */
static void put_for_ever(const struct keeper *keeper, int started) {
        struct world *world = world_new(keeper);

        for (uint64_t i = 1;; ++i) {
                put(world, i % 1000, STDERR_FILENO);
                if (i == 1000)
                        (void)nb_fd_close(started);
                if (i > 500)
                        keep_forget(&world->objects[(i - 500) % 1000].kept);
        }
}

START_TEST(kill_9_in_the_middle) {
        struct keeper keeper;

        keeper_init(&keeper);
        keeper_start(&keeper, NULL, NULL);
        for (int i = 0; i < 10; ++i) {
                struct world *world;
                int started[2], status;
                pid_t pid;

                ck_assert_int_eq(pipe(started), 0);
                pid = fork();
                ck_assert_int_ge(pid, 0);
                if (pid == 0) {
                        (void)nb_fd_close(started[0]);
                        put_for_ever(&keeper, started[1]);
                }
                (void)nb_fd_close(started[1]);
                ck_assert_int_eq(read(started[0], &status, sizeof(status)), 0);
                (void)nb_fd_close(started[0]);
                ck_assert_int_eq(kill(pid, SIGKILL), 0);
                ck_assert_int_eq(waitpid(pid, &status, 0), pid);

                world = world_new(&keeper);
                /* At least what it keeps when the queue is empty; more when it could not forget as fast. */
                ck_assert_uint_ge(world->n_items, 1);
                for (size_t j = 0; j < world->n_items; ++j) {
                        ck_assert_uint_eq(world->items[j].n_fds, 1);
                        ck_assert_str_eq(world->items[j].item->protocol->name, "web");
                }
                world_free(world);
        }
        keeper_end(&keeper);
}
END_TEST

START_TEST(what_is_no_item_is_dropped) {
        /* Item.body: a Protocol that is longer than the message; one with an end of its own. */
        static const uint8_t cut[] = { 0x08, 0x01, 0x4a, 0x7f };
        static const uint8_t empty[] = { 0x08, 0x01 };
        uint8_t blocks[8 + 2 * 100];
        Nb__State__Item *item;

        ck_assert_ptr_null(keep_decode(cut, sizeof(cut)));
        ck_assert_ptr_null(keep_decode(empty, sizeof(empty)));
        ck_assert_ptr_null(keep_decode(NULL, 0));
        /* Many empty fields, which take more memory than bytes. */
        blocks[0] = 0x4a;
        blocks[1] = 0xcb;
        blocks[2] = 0x01;
        blocks[3] = 0x1a;
        blocks[4] = 0xc8;
        blocks[5] = 0x01;
        for (size_t i = 6; i < 206; i += 2) {
                blocks[i] = 0x0a;
                blocks[i + 1] = 0;
        }
        item = keep_decode(blocks, 206);
        ck_assert_ptr_nonnull(item);
        ck_assert_uint_eq(item->protocol->narrowings->n_blocks, 100);
        nb__state__item__free_unpacked(item, NULL);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("keep");
        TCase *tcase = tcase_create("keep");

        (void)signal(SIGPIPE, SIG_IGN);
        tcase_add_test(tcase, what_is_left_comes_back);
        tcase_add_test(tcase, without_a_keeper_nothing_is_done);
        tcase_add_test(tcase, another_keeper_is_given_everything);
        tcase_add_test(tcase, a_slow_keeper_gets_everything);
        tcase_add_test(tcase, much_is_forgotten_while_the_keeper_is_slow);
        tcase_add_test(tcase, what_is_over_a_bound_is_counted);
        tcase_add_test(tcase, kill_9_in_the_middle);
        tcase_add_test(tcase, what_is_no_item_is_dropped);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
