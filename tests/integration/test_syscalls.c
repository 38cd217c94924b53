/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one operation costs in system calls, exactly: for the broker, for a host with libnetbroker beside a program with sockets of its own, and for a relay.
 *
 * Each call has its reason in a table here. Whoever adds one adds it to the table, with a reason; whoever saves one takes it out.
 *
 * Operations come one at a time: together they cost the broker less, since a turn of its loop serves many. The network is the test's own, for the
 * kernel tells the broker of the end of each socket in it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/network.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"
#include "tests/support/syscalls.h"

/* As many are looked at. One before them warms up, and one behind them ends the last. */
#define OPERATIONS 8u
#define ROUNDS (OPERATIONS + 2)

/* A timer may fall into a series: then it is done again. What is wrong with the code is wrong each time. */
#define SERIES 5

/* One kind of operation. */
struct operation {
        const char *anchor;
        void (*prepare)(void *data);  /* what a series of them needs; NULL: nothing */
        void (*function)(void *data); /* does it once */
        const struct syscalls_expected *expected;
};

/* Does it again and again, each time when the process sleeps. @param folder  for the trace */
static char *measure(const struct operation *operation, pid_t pid, const char *folder, void *data) {
        struct syscalls syscalls;

        if (operation->prepare)
                operation->prepare(data);
        syscalls_watch(&syscalls, pid, folder);
        for (unsigned i = 0; i < ROUNDS; ++i) {
                operation->function(data);
                syscalls_settle(&syscalls, operation->anchor, i + 1);
        }
        return syscalls_compare(&syscalls, operation->anchor, OPERATIONS, operation->expected);
}

static void expect_calls(const struct operation *operation, pid_t pid, const char *folder, void *data) {
        for (unsigned i = 1;; ++i) {
                NB_CLEANUP_FREE char *differences = measure(operation, pid, folder, data);

                if (!differences)
                        return;
                ck_assert_msg(i < SERIES, "%s", differences);
        }
}

/* ---- the broker ---- */

struct world {
        struct scene scene;
        struct peer peer;
        struct wire control;
        char server[NB_ADDRESS_LENGTH_MAX + 1]; /* where the control listens */
        uint64_t n_accepted;
        int fds[2 * SERIES * ROUNDS]; /* what is kept open, for its end costs the broker something */
        size_t n;
};

static void world_start(struct world *world) {
        const struct daemon_options options = { .no_info = true };

        network_enter();
        *world = (struct world){ .control.fd = -1 };
        scene_start(&world->scene, &options, SCENE_LOOPBACK);
        world->peer = peer_listen("127.0.0.1", 2 * SERIES * ROUNDS);
}

static void world_end(struct world *world) {
        while (world->n > 0)
                (void)nb_fd_close(world->fds[--world->n]);
        (void)wire_close(&world->control);
        peer_close(&world->peer);
        scene_end(&world->scene);
}

static void keep(struct world *world, int fd) {
        ck_assert_uint_lt(world->n, sizeof(world->fds) / sizeof(world->fds[0]));
        world->fds[world->n++] = fd;
}

#define WAITS                                                                                                          \
        {                                                                                                              \
                "epoll_wait", 3,                                                                                       \
                        "the loop's; the broker's own descriptors', beside libuv; the tenant's, for tenants take "     \
                        "turns"                                                                                        \
        }

/* What is done with each socket that is handed out. */
#define HANDED_OUT                                                                                                     \
        { "getsockopt", 1, "SO_COOKIE: who it is when the kernel tells of its end" },                                  \
                { "getsockname", 1, "by which the kernel finds it when it is revoked" },                               \
                { "epoll_ctl", 1, "onto the shelf: it is held as long as it is there, connected or not" },             \
                { "setsockopt", 1, "SO_LINGER off: no holder makes the broker wait when its copy is closed" }, {       \
                "close", 1, "the copy"                                                                                 \
        }

#define LAST_ANSWER "SIOCOUTQ: whether the last answer was read, of which the kernel alone is believed"

static void expect_of_broker(const struct operation *operation, struct world *world) {
        expect_calls(operation, world->scene.daemon.pid, world->scene.daemon.folder, world);
}

static const struct syscalls_expected connect_calls[] = {
        WAITS,
        { "recvmsg", 1, "the request" },
        { "ioctl", 1, LAST_ANSWER },
        { "socket", 1, "the bare program's" },
        { "connect", 2,
          "the bare program's, and its outcome, which on loopback is there: a turn of the loop costs five" },
        { "sendmsg", 1, "the answer with the socket" },
        HANDED_OUT,
        { 0 },
};

static void connect_once(void *data) {
        struct world *world = data;
        int fd;

        ck_assert_uint_eq(wire_connect_to(&world->control, world->peer.text, &fd), 0);
        keep(world, fd);
}

START_TEST(a_connect_costs_the_broker) {
        const struct operation operation = { "sendmsg", NULL, connect_once, connect_calls };
        struct world world;

        world_start(&world);
        world.control = wire_open_control(world.scene.web, "0.0.0.0:0");
        expect_of_broker(&operation, &world);
        world_end(&world);
}
END_TEST

static const struct syscalls_expected cycle_calls[] = {
        { "epoll_wait", 9, "as for a connect, for each of open, connect and close" },
        { "recvmsg", 3, "both requests, and the end of the control" },
        { "ioctl", 2,
          "at open: " LAST_ANSWER
          "; at the end: whether it leaves descriptors unread, for who shuts down both ways only seems gone" },
        { "socketpair", 1, "the control" },
        { "socket", 1, "the bare program's" },
        { "connect", 2, "as for a connect" },
        { "sendmsg", 2, "both answers" },
        { "getsockopt", 1, "as for a connect" },
        { "getsockname", 1, "as for a connect" },
        { "epoll_ctl", 2, "the control's, and as for a connect" },
        { "setsockopt", 2, "as for a connect, and SO_PASSRIGHTS off: nobody sends descriptors to the control" },
        { "close", 3, "both ends of the control, and as for a connect" },
        { 0 },
};

static void cycle_once(void *data) {
        struct world *world = data;
        struct wire control = wire_open_control(world->scene.web, "0.0.0.0:0");
        int fd;

        ck_assert_uint_eq(wire_connect_to(&control, world->peer.text, &fd), 0);
        (void)wire_close(&control);
        keep(world, fd);
}

START_TEST(open_connect_and_close_cost_the_broker) {
        const struct operation operation = { "socketpair", NULL, cycle_once, cycle_calls };
        struct world world;

        world_start(&world);
        expect_of_broker(&operation, &world);
        world_end(&world);
}
END_TEST

static const struct syscalls_expected accept_calls[] = {
        WAITS,
        { "accept4", 2, "the bare program's, and that nobody else waits: a turn of the loop costs three" },
        { "sendmsg", 1, "the push with the socket" },
        HANDED_OUT,
        { 0 },
};

static void accept_once(void *data) {
        struct world *world = data;
        int other_fd = peer_connect(world->server);

        ck_assert_int_ge(other_fd, 0);
        keep(world, wire_receive_accepted(&world->control, ++world->n_accepted));
        keep(world, other_fd);
}

START_TEST(an_accept_costs_the_broker) {
        const struct operation operation = { "sendmsg", NULL, accept_once, accept_calls };
        struct world world;

        world_start(&world);
        world.control = wire_open_control(world.scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&world.control, SERIES * ROUNDS, world.server), 0);
        expect_of_broker(&operation, &world);
        world_end(&world);
}
END_TEST

static const struct syscalls_expected close_calls[] = {
        { "epoll_wait", 2, "the loop's, and the broker's own descriptors': this one belongs to no tenant" },
        { "recvmmsg", 1, "the kernel's word that the socket is no more" },
        { 0 },
};

static void connect_many(void *data) {
        for (unsigned i = 0; i < ROUNDS; ++i)
                connect_once(data);
}

/* By a reset, so that the kernel forgets it at once; the other end waits in the backlog still. */
static void close_once(void *data) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 0 };
        struct world *world = data;
        int fd = world->fds[--world->n];

        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        ck_assert_int_eq(close(fd), 0);
}

START_TEST(a_close_by_the_holder_costs_the_broker) {
        const struct operation operation = { "recvmmsg", connect_many, close_once, close_calls };
        struct world world;

        world_start(&world);
        world.control = wire_open_control(world.scene.web, "0.0.0.0:0");
        expect_of_broker(&operation, &world);
        world_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("syscalls");
        TCase *tcase = tcase_create("broker");

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_connect_costs_the_broker);
        tcase_add_test(tcase, open_connect_and_close_cost_the_broker);
        tcase_add_test(tcase, an_accept_costs_the_broker);
        tcase_add_test(tcase, a_close_by_the_holder_costs_the_broker);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
