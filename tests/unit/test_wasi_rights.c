/* SPDX-License-Identifier: Apache-2.0 */
/* Rights: narrowed at each step, shrunk and never grown, and demanded by each call. */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/wasi_world.h"

#define TEXT WORLD_TEXT

#define OK NB_WASI_SUCCESS
#define NOTSUP NB_WASI_ENOTSUP
#define NOTCAPABLE NB_WASI_ENOTCAPABLE
#define INVAL NB_WASI_EINVAL

#define STREAM_RIGHTS NB_RIGHTS_STREAM
#define VERBS (NB_RIGHT_SOCK_ACCEPT | NB_RIGHT_SOCK_CONNECT | NB_RIGHT_SOCK_LISTEN)

static uint64_t base_rights(struct world *world, uint32_t fd) {
        ck_assert_int_eq(world_call(world, "fd_fdstat_get", fd, WORLD_RET), OK);
        return world_get_u64(world, WORLD_RET + 8);
}

static uint64_t inheriting_rights(struct world *world, uint32_t fd) {
        ck_assert_int_eq(world_call(world, "fd_fdstat_get", fd, WORLD_RET), OK);
        return world_get_u64(world, WORLD_RET + 16);
}

static int open_with(struct world *world, uint32_t protocol, uint64_t base, uint64_t inheriting) {
        uint32_t length = world_put_text(world, TEXT, "any:0");

        return world_call(world, "open", protocol, TEXT, length, 6, base, inheriting, 0, WORLD_RET);
}

START_TEST(rights_narrow_at_each_step) {
        const uint64_t inheriting = NB_RIGHT_FD_READ | NB_RIGHT_FD_FILESTAT_GET;
        struct world world;
        uint32_t control;
        uint32_t length;
        uint32_t connection;
        uint32_t stream;

        world_init(&world, 0);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL, NB_RIGHT_SOCK_CONNECT, inheriting), OK);
        control = world_get_u32(&world, WORLD_RET);
        ck_assert_uint_eq(base_rights(&world, control), NB_RIGHT_SOCK_CONNECT);
        ck_assert_uint_eq(inheriting_rights(&world, control), inheriting);
        ck_assert_int_eq(world_call(&world, "listen", control, 1), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "accept", control, WORLD_RET), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "sock_accept", control, 0, WORLD_RET), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", control, NB_NONBLOCK), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "fd_filestat_get", control, WORLD_RET), NOTCAPABLE);

        length = world_put_text(&world, TEXT, "peer:1");
        connection = world_call_ret(&world, "connect", control, TEXT, length, WORLD_RET);
        ck_assert_uint_eq(base_rights(&world, connection), NB_RIGHT_FD_FILESTAT_GET);
        ck_assert_uint_eq(inheriting_rights(&world, connection), inheriting);
        ck_assert_int_eq(world_call(&world, "stream_create", connection, NB_RIGHT_FD_WRITE, 0, 0, WORLD_RET),
                         NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "stream_create", connection, 0, NB_RIGHT_FD_WRITE, 0, WORLD_RET),
                         NOTCAPABLE);
        stream = world_call_ret(&world, "stream_create", connection, NB_RIGHT_FD_READ | NB_RIGHT_SOCK_SHUTDOWN, 0, 0,
                                WORLD_RET);
        ck_assert_uint_eq(base_rights(&world, stream), NB_RIGHT_FD_READ);
        ck_assert_int_eq(world_call(&world, "fd_write", stream, 0, 0, WORLD_RET), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, 0, 0, 0, WORLD_RET), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, 2), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "fd_read", stream, 0, 0, WORLD_RET), OK);
        world_deinit(&world);
}
END_TEST

START_TEST(set_rights_only_shrinks) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", stream, NB_RIGHT_FD_WRITE, 0), OK);
        ck_assert_int_eq(world_call(&world, "fd_read", stream, 0, 0, WORLD_RET), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, 1), OK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", stream, STREAM_RIGHTS, 0), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", stream, 0, NB_RIGHT_FD_WRITE), NOTCAPABLE);
        ck_assert_uint_eq(base_rights(&world, stream), NB_RIGHT_FD_WRITE);

        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", WORLD_PROTOCOL, 0, 0), OK);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL, 0, 0), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", 0, NB_RIGHT_FD_WRITE, 0), NOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", 0, 0, 0), OK);
        ck_assert_int_eq(world_call(&world, "fd_read", 0, 0, 0, WORLD_RET), NOTCAPABLE);
        world_deinit(&world);
}
END_TEST

/* The narrow protocol can neither listen nor give a stream that writes. */
START_TEST(asking_for_more_is_notcapable) {
        const uint64_t no_such_right = ~NB_RIGHTS_KNOWN;
        struct world world;

        world_init(&world, 0);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL_NARROW, NB_RIGHT_SOCK_LISTEN, 0), NOTCAPABLE);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL_NARROW, UINT64_MAX, 0), NOTCAPABLE);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL_NARROW, 0, NB_RIGHT_FD_WRITE), NOTCAPABLE);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL_NARROW, no_such_right, no_such_right), OK);
        ck_assert_uint_eq(base_rights(&world, world_get_u32(&world, WORLD_RET)), 0);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL, UINT64_MAX, UINT64_MAX), OK);
        world_deinit(&world);
}
END_TEST

/* The proposal's numbers: reading and writing as ever, 29 polls, 30 shuts down, and nothing speaks of verbs. */
START_TEST(the_proposals_numbers_work) {
        const uint64_t rights = NB_RIGHT_FD_READ | NB_RIGHT_FD_WRITE | (UINT64_C(1) << 29) | (UINT64_C(1) << 30);
        struct world world;

        world_init(&world, 0);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL, rights, rights), OK);
        ck_assert_uint_eq(base_rights(&world, world_get_u32(&world, WORLD_RET)), VERBS);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL, rights, rights), OK);
        ck_assert_int_eq(world_call(&world, "listen", world_get_u32(&world, WORLD_RET), 5), OK);
        ck_assert_int_eq(open_with(&world, WORLD_PROTOCOL_NARROW, rights, NB_RIGHT_FD_READ), OK);
        ck_assert_uint_eq(base_rights(&world, world_get_u32(&world, WORLD_RET)), VERBS & ~NB_RIGHT_SOCK_LISTEN);
        world_deinit(&world);
}
END_TEST

START_TEST(flags_and_types_are_judged) {
        struct world world;
        uint32_t length;
        uint32_t control;

        world_init(&world, 0);
        length = world_put_text(&world, TEXT, "any:0");
        for (uint64_t type = 0; type < 300; ++type) {
                int r = world_call(&world, "open", 5, TEXT, length, type, 0, 0, 0, WORLD_RET);

                ck_assert_int_eq(r, type == 5 || type == 6 ? OK : INVAL);
        }
        for (uint32_t bit = 0; bit < 32; ++bit) {
                int r = world_call(&world, "open", 5, TEXT, length, 6, 0, 0, UINT32_C(1) << bit, WORLD_RET);

                ck_assert_int_eq(r, bit == 2 ? OK : bit < 5 ? NOTSUP : INVAL);
        }
        control = world_open(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", control, WORLD_RET), OK);
        ck_assert_uint_eq(world.memory[WORLD_RET], 6);
        ck_assert_uint_eq(world.memory[WORLD_RET + 2], NB_NONBLOCK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", control, 0x20), INVAL);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", control, 1), NOTSUP);
        ck_assert_int_eq(world_call(&world, "fd_filestat_get", control, WORLD_RET), OK);
        ck_assert_uint_eq(world.memory[WORLD_RET + 16], 6);
        world_deinit(&world);
}
END_TEST

/* ---- every call and its right ---- */

/* What a call demands: all rights but that one are not enough, and that one alone is. Arguments are zero where nothing is said. */
static const struct {
        const char *function;
        enum world_kind kind;
        uint64_t right;
        uint64_t arguments[NB_WASI_PARAMETERS_MAX];
} demands[] = {
        { "open", WORLD_KIND_PROTOCOL, NB_RIGHT_SOCK_BIND, { 0, TEXT, 5, NB_SOCKET_STREAM, 0, 0, 0, WORLD_RET } },
        { "listen", WORLD_KIND_CONTROL, NB_RIGHT_SOCK_LISTEN, { 0 } },
        { "accept", WORLD_KIND_CONTROL, NB_RIGHT_SOCK_ACCEPT, { 0 } },
        { "sock_accept", WORLD_KIND_CONTROL, NB_RIGHT_SOCK_ACCEPT, { 0 } },
        { "connect", WORLD_KIND_CONTROL, NB_RIGHT_SOCK_CONNECT, { 0 } },
        { "fd_read", WORLD_KIND_STREAM, NB_RIGHT_FD_READ, { 0 } },
        { "sock_recv", WORLD_KIND_STREAM, NB_RIGHT_FD_READ, { 0 } },
        { "fd_write", WORLD_KIND_STREAM, NB_RIGHT_FD_WRITE, { 0 } },
        { "sock_send", WORLD_KIND_STREAM, NB_RIGHT_FD_WRITE, { 0 } },
        { "fd_read", WORLD_KIND_STDIN, NB_RIGHT_FD_READ, { 0 } },
        { "set_option", WORLD_KIND_STREAM, NB_RIGHT_FD_FDSTAT_SET_FLAGS, { 0 } },
        { "fd_fdstat_set_flags", WORLD_KIND_STDIN, NB_RIGHT_FD_FDSTAT_SET_FLAGS, { 0 } },
        { "fd_fdstat_set_flags", WORLD_KIND_CONTROL, NB_RIGHT_FD_FDSTAT_SET_FLAGS, { 0 } },
        { "fd_fdstat_set_flags", WORLD_KIND_CONNECTION, NB_RIGHT_FD_FDSTAT_SET_FLAGS, { 0 } },
        { "fd_fdstat_set_flags", WORLD_KIND_STREAM, NB_RIGHT_FD_FDSTAT_SET_FLAGS, { 0 } },
        { "fd_filestat_get", WORLD_KIND_STDIN, NB_RIGHT_FD_FILESTAT_GET, { 0 } },
        { "fd_filestat_get", WORLD_KIND_PROTOCOL, NB_RIGHT_FD_FILESTAT_GET, { 0 } },
        { "fd_filestat_get", WORLD_KIND_CONTROL, NB_RIGHT_FD_FILESTAT_GET, { 0 } },
        { "fd_filestat_get", WORLD_KIND_CONNECTION, NB_RIGHT_FD_FILESTAT_GET, { 0 } },
        { "fd_filestat_get", WORLD_KIND_STREAM, NB_RIGHT_FD_FILESTAT_GET, { 0 } },
};

static int call_with(size_t row, bool others) {
        uint64_t arguments[NB_WASI_PARAMETERS_MAX];
        struct world world;
        uint64_t rights;
        int r;

        world_init(&world, 0);
        memcpy(arguments, demands[row].arguments, sizeof(arguments));
        arguments[0] = world_make(&world, demands[row].kind);
        rights = base_rights(&world, (uint32_t)arguments[0]);
        ck_assert_uint_ne(rights & demands[row].right, 0);
        rights = others ? rights & ~demands[row].right : demands[row].right;
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", arguments[0], rights, 0), OK);
        world_put_text(&world, TEXT, "any:0");
        r = world_call_array(&world, demands[row].function, arguments);
        world_deinit(&world);
        return r;
}

START_TEST(a_call_demands_its_right_and_no_other) {
        ck_assert_int_eq(call_with((size_t)_i, true), NOTCAPABLE);
        ck_assert_int_ne(call_with((size_t)_i, false), NOTCAPABLE);
}
END_TEST

/* Calls that no right governs. */
static const struct {
        const char *function;
        enum world_kind kind;
        int expected;
} free_calls[] = {
        { "fd_fdstat_get", WORLD_KIND_PROTOCOL, OK },
        { "fd_fdstat_get", WORLD_KIND_STREAM, OK },
        { "fd_fdstat_set_rights", WORLD_KIND_CONTROL, OK },
        { "fd_prestat_get", WORLD_KIND_PROTOCOL, OK },
        { "stream_create", WORLD_KIND_CONNECTION, OK },
        { "local_address", WORLD_KIND_CONTROL, NB_WASI_ENAMETOOLONG },
        { "remote_address", WORLD_KIND_STREAM, NB_WASI_ENAMETOOLONG },
        { "get_option", WORLD_KIND_STREAM, INVAL },
        { "fd_renumber", WORLD_KIND_STREAM, OK },
        { "fd_close", WORLD_KIND_PROTOCOL, OK },
        { "fd_close", WORLD_KIND_CONTROL, OK },
        { "fd_close", WORLD_KIND_STREAM, OK },
};

START_TEST(a_call_without_a_right_needs_none) {
        struct world world;
        uint32_t fd;

        world_init(&world, 0);
        fd = world_make(&world, free_calls[_i].kind);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", fd, 0, 0), OK);
        ck_assert_int_eq(world_call(&world, free_calls[_i].function, fd), free_calls[_i].expected);
        world_deinit(&world);
}
END_TEST

/* Each kind shows both sets; the inheriting one bounds what is made from it, and shrinks with it. */
START_TEST(every_kind_shows_what_it_has) {
        const uint64_t below = NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM;
        static const struct {
                enum world_kind kind;
                uint64_t base;
        } kinds[] = { { WORLD_KIND_PROTOCOL, NB_RIGHTS_PROTOCOL },
                      { WORLD_KIND_CONTROL, NB_RIGHTS_CONTROL },
                      { WORLD_KIND_CONNECTION, NB_RIGHTS_CONNECTION },
                      { WORLD_KIND_STREAM, NB_RIGHTS_STREAM } };
        struct world world;

        world_init(&world, 0);
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
                uint32_t fd = world_make(&world, kinds[i].kind);
                uint64_t inheriting = kinds[i].kind == WORLD_KIND_PROTOCOL ? NB_RIGHTS_NETWORK : below;

                if (kinds[i].kind == WORLD_KIND_STREAM)
                        inheriting = NB_RIGHTS_STREAM;
                ck_assert_uint_eq(base_rights(&world, fd), kinds[i].base);
                ck_assert_uint_eq(inheriting_rights(&world, fd), inheriting);
        }
        world_deinit(&world);
}
END_TEST

/* What a parent lost, its children lack, and those that were there before keep. */
START_TEST(a_parents_loss_is_not_its_childrens) {
        struct world world;
        uint32_t listener;
        uint32_t before;
        uint32_t after;

        world_init(&world, 0);
        listener = world_listener(&world, NB_NONBLOCK);
        scripted_broker_push(&world.broker);
        before = world_call_ret(&world, "sock_accept", listener, 0, WORLD_RET);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", listener, NB_RIGHT_SOCK_ACCEPT, NB_RIGHT_FD_READ),
                         OK);
        scripted_broker_push(&world.broker);
        after = world_call_ret(&world, "sock_accept", listener, 0, WORLD_RET);
        ck_assert_uint_eq(base_rights(&world, before), NB_RIGHTS_STREAM);
        ck_assert_uint_eq(base_rights(&world, after), NB_RIGHT_FD_READ);
        ck_assert_uint_eq(inheriting_rights(&world, after), NB_RIGHT_FD_READ);
        world_deinit(&world);
}
END_TEST

/* ---- */

static TCase *rights_tests(void) {
        TCase *tests = tcase_create("rights");

        tcase_add_test(tests, rights_narrow_at_each_step);
        tcase_add_test(tests, set_rights_only_shrinks);
        tcase_add_test(tests, asking_for_more_is_notcapable);
        tcase_add_test(tests, the_proposals_numbers_work);
        tcase_add_test(tests, flags_and_types_are_judged);
        tcase_add_loop_test(tests, a_call_demands_its_right_and_no_other, 0,
                            (int)(sizeof(demands) / sizeof(demands[0])));
        tcase_add_loop_test(tests, a_call_without_a_right_needs_none, 0,
                            (int)(sizeof(free_calls) / sizeof(free_calls[0])));
        tcase_add_test(tests, every_kind_shows_what_it_has);
        tcase_add_test(tests, a_parents_loss_is_not_its_childrens);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi_rights");

        suite_add_tcase(suite, rights_tests());
        return run_suite(suite);
}
