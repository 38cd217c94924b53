/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One shard in this process, and the test as its front: what it believes of what the front says. And the front's link, with the test as its shard.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/front_link.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/shard_message.h"
#include "policy/shard.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

/* The shard is the first of two, and has the tenant ours. */
struct world {
        struct nb_log log;
        struct policy_source source;
        struct broker *broker;
        int front; /* the test's end */
};

static void add_tenant(struct policy *policy, const char *name, unsigned shard, const char *socket) {
        const struct policy_defaults defaults = { .data_path = POLICY_DATA_PATH_DIRECT };
        struct policy_error error;
        char file[32], text[256];

        (void)snprintf(file, sizeof(file), "%s.conf", name);
        (void)snprintf(text, sizeof(text), "[Tenant]\nName=%s\nUser=%u\nShard=%u\nSocket=%s\n", name,
                       (unsigned)getuid(), shard, socket);
        ck_assert_int_eq(policy_add_file(policy, file, text, strlen(text), &defaults, &error), 0);
        /* As policy/source.c finds it. */
        policy->tenants[policy->n_tenants - 1].principals[0].id = getuid();
}

static struct policy *new_policy(void) {
        struct policy *policy = policy_new();

        ck_assert_ptr_nonnull(policy);
        add_tenant(policy, "theirs", 2, "/run/theirs.sock");
        add_tenant(policy, "ours", 1, "/run/ours.sock");
        return policy;
}

static void say(const struct world *world, struct shard_message message) {
        ck_assert_int_eq(nb_channel_send(world->front, &message, sizeof(message), NULL, 0), 0);
}

static void turn(const struct world *world) {
        for (int i = 0; i < 4; ++i)
                broker_turn(world->broker, false);
}

static void world_start(struct world *world) {
        struct shard_place place = { .n_shards = 2, .number = 1 };
        int pair[2];

        nb_log_init(&world->log, "test", NB_LOG_NOTICE);
        world->source = (struct policy_source){ .path = "none" };
        world->broker = broker_new(&world->log, &world->source, new_policy(),
                                   audit_sink_new_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)));
        ck_assert_ptr_nonnull(world->broker);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        world->front = pair[0];
        place.fd = pair[1];
        world->broker->shard = shard_new(world->broker, &place);
        ck_assert_ptr_nonnull(world->broker->shard);
        ck_assert_int_eq(broker_divide(world->broker, 2, 1), 0);
        say(world, (struct shard_message){ .verb = SHARD_BEGIN });
        ck_assert_int_eq(shard_begin(world->broker->shard), 0);
        ck_assert_int_eq(shard_serve(world->broker->shard), 0);
}

static void world_end(struct world *world) {
        (void)broker_free(world->broker);
        (void)nb_fd_close(world->front);
}

static size_t pack_hello(const char *tenant, uint8_t *ret) {
        Nb__Hello hello = NB__HELLO__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        hello.oldest_version = hello.newest_version = NB_PROTOCOL_VERSION;
        hello.tenant = (char *)tenant;
        request.serial = 1;
        request.body_case = NB__REQUEST__BODY_HELLO;
        request.hello = &hello;
        return nb__request__pack(&request, ret);
}

/* Hands a session over, as the front does before it closes its own descriptor. @return the host's end */
static struct wire hand_over_and_keep(const struct world *world, const char *tenant, const char *path, int *ret_fd) {
        uint8_t bytes[1024];
        struct shard_message message = { .verb = SHARD_SESSION, .text = (uint32_t)strlen(path) };
        size_t length = sizeof(message) + message.text;
        int pair[2];

        ck_assert_int_eq(nb_channel_pair(pair), 0);
        message.frame = (uint32_t)pack_hello(tenant, bytes + length);
        memcpy(bytes, &message, sizeof(message));
        memcpy(bytes + sizeof(message), path, message.text);
        ck_assert_int_eq(nb_channel_send(world->front, bytes, length + message.frame, &pair[0], 1), 0);
        turn(world);
        *ret_fd = pair[0];
        return (struct wire){ .fd = pair[1], .serial = 1 };
}

/* @return the host's end */
static struct wire hand_over(const struct world *world, const char *tenant, const char *path) {
        NB_CLEANUP_FD int fd = -1;

        return hand_over_and_keep(world, tenant, path, &fd);
}

static void expect_refused(const struct wire *wire) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        ck_assert(wire_receive(wire, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_REFUSED);
        ck_assert_uint_eq(reply->reply->refused->error, NB_WASI_EACCES);
        wire_expect_end(wire);
}

START_TEST(its_own_tenant_is_served) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct world world;
        struct wire wire;

        world_start(&world);
        wire = hand_over(&world, "ours", _i == 0 ? "" : "/run/ours.sock");
        ck_assert(wire_receive(&wire, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_WELCOME);
        ck_assert_uint_eq(world.broker->last_session_id, (UINT64_C(1) << SHARD_ID_SHIFT) + 1);
        (void)wire_close(&wire);
        turn(&world);
        world_end(&world);
}
END_TEST

/* The front may have taken one for the other: nobody is served but by his own. */
START_TEST(a_tenant_of_another_shard_is_refused) {
        struct world world;
        struct wire wire;

        world_start(&world);
        wire = hand_over(&world, "theirs", "");
        expect_refused(&wire);
        (void)wire_close(&wire);
        world_end(&world);
}
END_TEST

/*
 * Both processes run at once: the shard may be done with a session before the front has closed its own descriptor. The kernel must not go on to tell
 * the shard of it by then, and the host must hear of the end.
 */
START_TEST(one_that_the_front_still_has_ends_all_the_same) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        NB_CLEANUP_FD int fronts = -1;
        struct world world;
        struct wire wire;

        world_start(&world);
        wire = hand_over_and_keep(&world, _i == 0 ? "theirs" : "ours", "", &fronts);
        if (_i == 0) {
                expect_refused(&wire);
        } else {
                ck_assert(wire_receive(&wire, reply));
                ck_assert_int_eq(wire_send_bytes(&wire, "nonsense", 8, NULL, 0), 0);
                turn(&world);
                wire_expect_end(&wire);
        }
        ck_assert(nb_list_is_empty(&world.broker->sessions));
        ck_assert_uint_eq(world.broker->n_half_open, 0);
        (void)wire_close(&wire);
        turn(&world);
        world_end(&world);
}
END_TEST

/* Another tenant's socket, whoever's that is, makes nobody general. */
START_TEST(a_socket_of_another_shards_tenant_leads_nowhere) {
        struct world world;
        struct wire wire;

        world_start(&world);
        wire = hand_over(&world, "ours", "/run/theirs.sock");
        wire_expect_end(&wire);
        (void)wire_close(&wire);
        ck_assert_uint_eq(world.broker->n_half_open, 0);
        world_end(&world);
}
END_TEST

/* What makes no sense ends the shard, and nothing else. */
START_TEST(nonsense_ends_it) {
        static const struct shard_message nonsense[] = {
                { .verb = 0 },
                { .verb = SHARD_READY },
                { .verb = SHARD_SESSION, .text = UINT32_MAX, .frame = 1 },
                { .verb = SHARD_SESSION },
                { .verb = SHARD_PONG },
        };
        struct world world;

        world_start(&world);
        say(&world, nonsense[_i]);
        turn(&world);
        ck_assert(world.broker->stopping);
        world_end(&world);
}
END_TEST

START_TEST(it_says_that_it_is_alive) {
        uint8_t bytes[NB_CHANNEL_MESSAGE_MAX];
        struct shard_message message;
        struct world world;

        world_start(&world);
        ck_assert_int_gt(nb_channel_receive_bytes(world.front, bytes), 0); /* that it is ready */
        say(&world, (struct shard_message){ .verb = SHARD_PING });
        turn(&world);
        ck_assert_int_eq(nb_channel_receive_bytes(world.front, bytes), sizeof(message));
        memcpy(&message, bytes, sizeof(message));
        ck_assert_uint_eq(message.verb, SHARD_PONG);
        world_end(&world);
}
END_TEST

/* ---- the front's end ---- */

struct link_world {
        struct world world;
        struct front *front;
        int spawner, shard; /* the test's ends */
};

static enum shard_verb receive_verb(int fd) {
        uint8_t bytes[NB_CHANNEL_MESSAGE_MAX];
        struct shard_message message;

        ck_assert_int_ge(nb_channel_receive_bytes(fd, bytes), sizeof(message));
        memcpy(&message, bytes, sizeof(message));
        return message.verb;
}

static void say_to_front(const struct link_world *world, struct shard_message message) {
        ck_assert_int_eq(nb_channel_send(world->shard, &message, sizeof(message), NULL, 0), 0);
        turn(&world->world);
}

static void link_start(struct link_world *world) {
        uint8_t bytes[NB_CHANNEL_MESSAGE_MAX];
        struct nb_channel_fds fds;
        int pair[2];

        world_start(&world->world);
        world->front = calloc(1, sizeof(*world->front) + sizeof(world->front->links[0]));
        ck_assert_ptr_nonnull(world->front);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        world->spawner = pair[1];
        world->front->broker = world->world.broker;
        world->front->spawner_fd = pair[0];
        world->front->n_links = 1;
        front_link_init(&world->front->links[0], world->front, 1);
        ck_assert_int_eq(front_link_start(&world->front->links[0]), 0);
        ck_assert_int_gt(nb_channel_receive(world->spawner, bytes, &fds), 0);
        ck_assert_uint_eq(fds.n, 1);
        world->shard = fds.fds[0];
        while (receive_verb(world->shard) != SHARD_BEGIN)
                ;
        say_to_front(world,
                     (struct shard_message){ .verb = SHARD_READY, .digest = world->front->broker->policy_digest });
        ck_assert_int_eq(world->front->links[0].state, FRONT_LINK_READY);
}

static void link_end(struct link_world *world) {
        front_link_deinit(&world->front->links[0]);
        (void)nb_fd_close(world->front->spawner_fd);
        (void)nb_fd_close(world->spawner);
        (void)nb_fd_close(world->shard);
        free(world->front);
        world_end(&world->world);
}

/* As sessions do that come faster than the shard takes them. @return how many messages there are */
static unsigned fill(const struct front_link *link) {
        const struct shard_message message = { .verb = SHARD_ROTATED };
        unsigned n = 0;
        int r;

        while ((r = nb_channel_send(link->fd, &message, sizeof(message), NULL, 0)) == 0)
                n++;
        ck_assert_int_eq(r, -EAGAIN);
        return n;
}

/* It reads, and has much to read: each time that it is to be asked there is no room for that. */
START_TEST(a_shard_that_has_much_to_read_is_alive) {
        struct link_world world;
        struct front_link *link;

        link_start(&world);
        link = &world.front->links[0];
        for (unsigned i = 0; i < 8; ++i) {
                unsigned n = fill(link);

                front_link_ping(link);
                while (n-- > 0)
                        ck_assert_int_eq(receive_verb(world.shard), SHARD_ROTATED);
                turn(&world.world);
                ck_assert_int_eq(receive_verb(world.shard), SHARD_PING);
                say_to_front(&world, (struct shard_message){ .verb = SHARD_PONG });
                ck_assert_int_eq(link->state, FRONT_LINK_READY);
        }
        link_end(&world);
}
END_TEST

/* With room in its channel, and without. */
START_TEST(a_shard_that_says_nothing_is_given_up) {
        struct link_world world;
        struct front_link *link;

        link_start(&world);
        link = &world.front->links[0];
        if (_i == 1)
                (void)fill(link);
        for (unsigned i = 0; i < 3; ++i) {
                front_link_ping(link);
                turn(&world.world);
                ck_assert_int_eq(link->state, FRONT_LINK_READY);
        }
        front_link_ping(link);
        ck_assert_int_eq(link->state, FRONT_LINK_DOWN);
        link_end(&world);
}
END_TEST

/* ---- dealing ---- */

START_TEST(tenants_are_dealt) {
        struct policy *policy = new_policy();
        uint64_t whole, again;

        ck_assert_uint_eq(policy_shard_of(&policy->tenants[0], 2), 2);
        ck_assert_uint_eq(policy_shard_of(&policy->tenants[0], 1), 1);
        for (unsigned n = 1; n <= POLICY_SHARDS_MAX; ++n) {
                unsigned shard = policy_shard_of_name("acme", n);

                ck_assert(shard >= 1 && shard <= n);
        }
        ck_assert_int_eq(policy_digest(policy, &whole), 0);
        ck_assert_int_eq(policy_keep_shard(policy, 1, 2), 0);
        ck_assert_int_eq(policy_digest(policy, &again), 0);
        ck_assert_uint_ne(whole, again);
        ck_assert_uint_eq(policy->n_tenants, 1);
        ck_assert_ptr_eq(policy_find_tenant(policy, "ours"), &policy->tenants[0]);
        ck_assert_ptr_null(policy_find_tenant(policy, "theirs"));
        ck_assert(policy_is_elsewhere(policy, "theirs") && !policy_is_elsewhere(policy, "ours"));
        (void)policy_free(policy);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("shard");
        TCase *tcase = tcase_create("shard");

        tcase_add_loop_test(tcase, its_own_tenant_is_served, 0, 2);
        tcase_add_test(tcase, a_tenant_of_another_shard_is_refused);
        tcase_add_loop_test(tcase, one_that_the_front_still_has_ends_all_the_same, 0, 2);
        tcase_add_test(tcase, a_socket_of_another_shards_tenant_leads_nowhere);
        tcase_add_loop_test(tcase, nonsense_ends_it, 0, 5);
        tcase_add_test(tcase, it_says_that_it_is_alive);
        tcase_add_test(tcase, a_shard_that_has_much_to_read_is_alive);
        tcase_add_loop_test(tcase, a_shard_that_says_nothing_is_given_up, 0, 2);
        tcase_add_test(tcase, tenants_are_dealt);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
