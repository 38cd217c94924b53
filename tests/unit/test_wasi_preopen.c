/* SPDX-License-Identifier: Apache-2.0 */
/* Preopened sockets in a guest's table: a listener and connections that are there before the guest begins. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/wasi_world.h"

#define OK NB_WASI_SUCCESS

/* In the policy's order, behind two protocols. */
#define LISTENER WORLD_FIRST_FREE
#define CONNECTION (WORLD_FIRST_FREE + 1)
#define BLOCKING (WORLD_FIRST_FREE + 2)
#define FIRST_FREE (WORLD_FIRST_FREE + 3)

#define LISTENER_RIGHTS (NB_RIGHTS_CONNECTION | NB_RIGHT_SOCK_ACCEPT)

/* Three sockets as a Welcome describes them. */
struct preopens {
        Nb__Preopen is[3];
        Nb__Preopen *pointers[3];
};

static void describe(struct preopens *preopens, unsigned index, const char *name, Nb__PreopenKind kind,
                     const char *address) {
        Nb__Preopen *preopen = &preopens->is[index];

        nb__preopen__init(preopen);
        preopen->name = (char *)name;
        preopen->kind = kind;
        preopen->type = NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
        preopen->address = (char *)address;
        preopen->rights_base = NB_RIGHTS_CONTROL;
        preopen->rights_inheriting = NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM;
        preopens->pointers[index] = preopen;
}

static void preopens_init(struct preopens *preopens, const char *first_connection) {
        describe(preopens, 0, "http", NB__PREOPEN_KIND__PREOPEN_KIND_LISTENER, "192.0.2.1:80");
        describe(preopens, 1, "db", NB__PREOPEN_KIND__PREOPEN_KIND_CONNECTION, first_connection);
        describe(preopens, 2, "log", NB__PREOPEN_KIND__PREOPEN_KIND_CONNECTION, "peer:2");
        preopens->is[0].nonblock = true;
        preopens->is[0].rights_base = LISTENER_RIGHTS;
        preopens->is[1].nonblock = true;
        preopens->is[1].rights_inheriting = NB_RIGHT_FD_READ | NB_RIGHT_SOCK_CONNECT;
}

static void init(struct world *world, struct preopens *preopens) {
        struct world_options options = { .preopens = preopens->pointers, .n_preopens = 3 };

        preopens_init(preopens, "peer:1");
        world_init_with(world, &options);
}

START_TEST(they_follow_the_protocols) {
        struct preopens preopens;
        struct world world;
        uint32_t control;

        init(&world, &preopens);
        ck_assert_str_eq(nb_guest_protocols(world.guest), "web=5:db=6");
        ck_assert_str_eq(nb_guest_preopens(world.guest), "http=7:db=8:log=9");
        for (uint32_t fd = LISTENER; fd < FIRST_FREE; ++fd) {
                ck_assert_int_eq(world_call(&world, "fd_prestat_get", fd, WORLD_RET), NB_WASI_EBADF);
                ck_assert_int_eq(world_call(&world, "fd_prestat_dir_name", fd, WORLD_TEXT, 64), NB_WASI_EBADF);
        }
        control = world_open(&world, 0);
        ck_assert_uint_eq(control, FIRST_FREE);
        world_deinit(&world);
}
END_TEST

/* Kind, type, flags and rights as the guest sees them. */
static const struct {
        uint32_t fd;
        uint16_t flags;
        uint64_t base;
        uint64_t inheriting;
} stats[] = {
        { LISTENER, NB_NONBLOCK, LISTENER_RIGHTS, NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM },
        { CONNECTION, NB_NONBLOCK, NB_RIGHT_FD_READ, NB_RIGHT_FD_READ },
        { BLOCKING, 0, NB_RIGHTS_STREAM, NB_RIGHTS_STREAM },
};

START_TEST(they_have_what_the_policy_gives) {
        struct preopens preopens;
        struct world world;

        init(&world, &preopens);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", stats[_i].fd, WORLD_RET), OK);
        ck_assert_uint_eq(world.memory[WORLD_RET], NB_SOCKET_STREAM);
        ck_assert_uint_eq(world.memory[WORLD_RET + 2], stats[_i].flags);
        ck_assert_uint_eq(world_get_u64(&world, WORLD_RET + 8), stats[_i].base);
        ck_assert_uint_eq(world_get_u64(&world, WORLD_RET + 16), stats[_i].inheriting);
        world_deinit(&world);
}
END_TEST

/* A guest that knows preview 1 only: it polls, accepts, sets flags, reads and writes. */
START_TEST(a_plain_guest_serves_on_a_listener) {
        struct preopens preopens;
        struct world world;
        uint32_t stream;

        init(&world, &preopens);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, LISTENER), 0);
        ck_assert_int_eq(world_call(&world, "sock_accept", LISTENER, 0, WORLD_RET), NB_WASI_EAGAIN);
        scripted_broker_push(&world.broker);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, LISTENER), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        stream = world_call_ret(&world, "sock_accept", LISTENER, 0, WORLD_RET);
        ck_assert_uint_eq(stream, FIRST_FREE);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", stream, NB_NONBLOCK), OK);
        ck_assert_int_eq(world_read(&world, stream, 10), NB_WASI_EAGAIN);
        world_peer_writes(&world, "hello");
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        world_expect_bytes(&world, "hello");
        ck_assert_int_eq(world_write(&world, stream, 5), OK);
        world_deinit(&world);
}
END_TEST

START_TEST(a_listener_has_the_rights_of_a_control_that_listens) {
        struct preopens preopens;
        struct world world;
        uint32_t connection;

        init(&world, &preopens);
        ck_assert_int_eq(world_connect(&world, LISTENER, "peer:1"), NB_WASI_ENOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "listen", LISTENER, 5), NB_WASI_ENOTCAPABLE);
        scripted_broker_push(&world.broker);
        connection = world_call_ret(&world, "accept", LISTENER, WORLD_RET);
        ck_assert_int_eq(world_call(&world, "stream_accept", connection, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "local_address", LISTENER, WORLD_TEXT, 64, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "remote_address", LISTENER, WORLD_TEXT, 64, WORLD_RET), NB_WASI_ENOTCONN);
        world_deinit(&world);
}
END_TEST

/* The last that was connected is the one whose far end the broker holds. */
START_TEST(a_connection_is_its_stream) {
        struct preopens preopens;
        struct world world;
        char bytes[4];

        init(&world, &preopens);
        world_put_text(&world, WORLD_BUFFER, "ping");
        ck_assert_int_eq(world_write(&world, BLOCKING, 4), OK);
        ck_assert_int_eq(read(world.broker.peer, bytes, sizeof(bytes)), 4);
        ck_assert_mem_eq(bytes, "ping", 4);
        ck_assert_int_eq(world_write(&world, CONNECTION, 4), NB_WASI_ENOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "remote_address", BLOCKING, WORLD_TEXT, 64, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "stream_create", BLOCKING, 0, 0, 0, WORLD_RET), NB_WASI_ENOTSUP);
        ck_assert_int_eq(world_call(&world, "sock_accept", BLOCKING, 0, WORLD_RET), NB_WASI_ENOTSUP);
        world_deinit(&world);
}
END_TEST

/* Each in every order; the numbers come again. */
START_TEST(they_close_like_others) {
        static const uint32_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                              { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
        struct preopens preopens;
        struct world world;
        int n_fds;

        init(&world, &preopens);
        world.broker.peer = nb_fd_close(world.broker.peer);
        (void)scripted_broker_wait(&world.broker, NULL, 0, 0); /* sees the ends of controls that connected */
        n_fds = count_fds();
        for (size_t i = 0; i < 3; ++i) {
                ck_assert_int_eq(world_call(&world, "fd_close", LISTENER + orders[_i][i]), OK);
                ck_assert_int_eq(world_call(&world, "fd_close", LISTENER + orders[_i][i]), NB_WASI_EBADF);
        }
        (void)scripted_broker_wait(&world.broker, NULL, 0, 0);
        ck_assert_int_eq(count_fds(), n_fds - 4); /* the listener has two ends here */
        ck_assert_uint_eq(world_open(&world, 0), LISTENER);
        ck_assert_uint_eq(world_open(&world, 0), CONNECTION);
        world_deinit(&world);
}
END_TEST

/* ---- a guest that cannot have them ---- */

/* The same session, for a guest of its own. */
static int second_guest(struct world *world, bool no_preopens, uint32_t max_descriptors, struct nb_guest **ret) {
        struct nb_guest_options options = NB_GUEST_OPTIONS_INIT;

        options.session = world->session;
        options.no_preopens = no_preopens;
        options.max_descriptors = max_descriptors;
        options.wait = scripted_broker_wait;
        options.wait_data = &world->broker;
        return nb_guest_new(&options, ret);
}

START_TEST(there_is_one_of_each) {
        struct preopens preopens;
        struct nb_guest *guest;
        struct world world;

        init(&world, &preopens);
        ck_assert_int_eq(second_guest(&world, false, 0, &guest), -EBUSY);
        ck_assert_int_eq(second_guest(&world, true, 0, &guest), 0);
        ck_assert_str_eq(nb_guest_protocols(guest), "web=3:db=4");
        ck_assert_str_eq(nb_guest_preopens(guest), "");
        nb_guest_free(guest);
        world_deinit(&world);
}
END_TEST

/* A session whose sockets nobody has taken. */
static void open_session(struct world *world, struct preopens *preopens, const char *first_connection) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        memset(world, 0, sizeof(*world));
        preopens_init(preopens, first_connection);
        options.session_fd = scripted_broker_init(&world->broker);
        world->broker.preopens = preopens->pointers;
        world->broker.n_preopens = 3;
        options.wait = scripted_broker_wait;
        options.wait_data = &world->broker;
        ck_assert_int_eq(nb_session_open(&options, &world->session), 0);
}

static void close_session(struct world *world) {
        nb_session_free(world->session);
        scripted_broker_deinit(&world->broker);
}

/* What cannot hold all of them takes none: 0 to 2, two protocols, three sockets. */
START_TEST(too_few_descriptors_take_none) {
        int n_fds = count_fds();
        struct preopens preopens;
        struct nb_guest *guest;
        struct world world;

        open_session(&world, &preopens, "peer:1");
        for (uint32_t limit = 1; limit < 8; ++limit)
                ck_assert_int_eq(second_guest(&world, false, limit, &guest), -EMFILE);
        ck_assert_uint_eq(world.broker.n_requests, 1); /* the greeting */
        ck_assert_int_eq(second_guest(&world, false, 8, &guest), 0);
        ck_assert_str_eq(nb_guest_preopens(guest), "http=5:db=6:log=7");
        nb_guest_free(guest);
        close_session(&world);
        ck_assert_int_eq(count_fds(), n_fds);
}
END_TEST

/* The error is the socket's, and those that can be had are not lost by it. */
START_TEST(one_that_fails_fails_the_guest) {
        static const struct {
                const char *address;
                int error;
        } failures[] = { { "refused:1", -ECONNREFUSED }, { "denied:1", -EACCES }, { "held:1", -EINTR } };
        int n_fds = count_fds();
        struct preopens preopens;
        struct nb_guest *guest;
        struct world world;
        int r;

        open_session(&world, &preopens, failures[_i].address);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(second_guest(&world, false, 0, &guest), failures[_i].error);
        r = second_guest(&world, true, 0, &guest);
        ck_assert_int_eq(r, 0);
        nb_guest_free(guest);
        if (failures[_i].error == -EINTR) {
                scripted_broker_release(&world.broker);
                ck_assert_int_eq(second_guest(&world, false, 0, &guest), 0);
                nb_guest_free(guest);
        }
        close_session(&world);
        ck_assert_int_eq(count_fds(), n_fds);
}
END_TEST

/* ---- */

static TCase *preopen_tests(void) {
        TCase *tests = tcase_create("preopen");

        tcase_add_test(tests, they_follow_the_protocols);
        tcase_add_loop_test(tests, they_have_what_the_policy_gives, 0, 3);
        tcase_add_test(tests, a_plain_guest_serves_on_a_listener);
        tcase_add_test(tests, a_listener_has_the_rights_of_a_control_that_listens);
        tcase_add_test(tests, a_connection_is_its_stream);
        tcase_add_loop_test(tests, they_close_like_others, 0, 6);
        tcase_add_test(tests, there_is_one_of_each);
        tcase_add_test(tests, too_few_descriptors_take_none);
        tcase_add_loop_test(tests, one_that_fails_fails_the_guest, 0, 3);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi_preopen");

        suite_add_tcase(suite, preopen_tests());
        return run_suite(suite);
}
