/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's functions as a whole: each with every kind of descriptor, and each number beyond its bounds. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/wasi/guest.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/wasi_world.h"

/* Where a test puts things in the guest's memory. */
#define TEXT 512u
#define IOVEC 128u
#define BUFFER 2048u

START_TEST(a_guest_begins_with_its_descriptors_in_order) {
        struct world world;

        world_init(&world, 0);
        ck_assert_str_eq(nb_guest_protocols(world.guest), "web=5:db=6");
        ck_assert_int_eq(world_call(&world, "fd_prestat_get", 2, WORLD_RET), WORLD_ENGINE_RESULT);
        ck_assert_int_eq(world_call(&world, "fd_prestat_get", WORLD_DIRECTORY, WORLD_RET), WORLD_ENGINE_RESULT);
        ck_assert_uint_eq(world.engine_arguments[0], 3);
        ck_assert_int_eq(world_call(&world, "fd_prestat_get", WORLD_PROTOCOL_NARROW, WORLD_RET), NB_WASI_SUCCESS);
        ck_assert_uint_eq(world.memory[WORLD_RET], 1);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET + 4), strlen("db"));
        ck_assert_int_eq(world_call(&world, "fd_prestat_dir_name", WORLD_PROTOCOL, TEXT, 2), NB_WASI_ENAMETOOLONG);
        ck_assert_int_eq(world_call(&world, "fd_prestat_dir_name", WORLD_PROTOCOL, TEXT, 3), NB_WASI_SUCCESS);
        ck_assert_mem_eq(world.memory + TEXT, "web", 4);
        ck_assert_int_eq(world_call(&world, "fd_prestat_get", WORLD_FIRST_FREE, WORLD_RET), NB_WASI_EBADF);
        world_deinit(&world);
}
END_TEST

START_TEST(a_guest_without_a_session_has_no_protocol) {
        struct nb_guest_options options = NB_GUEST_OPTIONS_INIT;
        struct nb_guest *guest;

        ck_assert_int_eq(nb_guest_new(NULL, &guest), 0);
        ck_assert_str_eq(nb_guest_protocols(guest), "");
        ck_assert_ptr_null(nb_guest_free(guest));
        ck_assert_ptr_null(nb_guest_free(NULL));

        options.max_descriptors = 2;
        ck_assert_int_eq(nb_guest_new(&options, &guest), -EMFILE);
        options.max_descriptors = NB_GUEST_DESCRIPTORS_MAX + 1;
        ck_assert_int_eq(nb_guest_new(&options, &guest), -EINVAL);
        options.max_descriptors = 0;
        options.n_directories = UINT32_MAX;
        ck_assert_int_eq(nb_guest_new(&options, &guest), -EMFILE);
        options.n_directories = 0;
        options.size = sizeof(options) - 1;
        ck_assert_int_eq(nb_guest_new(&options, &guest), -EINVAL);
}
END_TEST

START_TEST(the_table_of_functions_is_sound) {
        ck_assert_ptr_null(nb_wasi_function(nb_wasi_n_functions()));
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                const struct nb_wasi_function *function = nb_wasi_function(i);
                size_t n = strlen(function->parameters);

                ck_assert_uint_ge(n, 1);
                ck_assert_uint_le(n, NB_WASI_PARAMETERS_MAX);
                ck_assert_uint_eq(strspn(function->parameters, "dilr"), n);
                ck_assert_uint_ne(function->use, 0);
                ck_assert(strncmp(function->module, "networking", strlen("networking")) != 0 ||
                          function->use == NB_WASI_IMPORT);
                for (size_t j = 0; j < i; ++j)
                        ck_assert(strcmp(function->name, nb_wasi_function(j)->name) != 0);
        }
}
END_TEST

START_TEST(an_index_that_is_no_import_is_nosys) {
        const struct nb_engine engine = { NULL, NULL };
        uint64_t arguments[NB_WASI_PARAMETERS_MAX] = { 0 };
        struct nb_guest *guest;

        ck_assert_int_eq(nb_guest_new(NULL, &guest), 0);
        ck_assert_int_eq(nb_guest_call(guest, &engine, NULL, nb_wasi_n_functions(), arguments), NB_WASI_ENOSYS);
        ck_assert_int_eq(nb_guest_call(guest, &engine, NULL, SIZE_MAX, arguments), NB_WASI_ENOSYS);
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                if (!(nb_wasi_function(i)->use & NB_WASI_IMPORT))
                        ck_assert_int_eq(nb_guest_call(guest, &engine, NULL, i, arguments), NB_WASI_ENOSYS);
        }
        nb_guest_free(guest);
}
END_TEST

/* ---- every function on every kind ---- */

#define OK NB_WASI_SUCCESS
#define FORWARDED WORLD_ENGINE_RESULT
#define NOTSUP NB_WASI_ENOTSUP
#define NOTSOCK NB_WASI_ENOTSOCK
#define NOTCAPABLE NB_WASI_ENOTCAPABLE
#define INVAL NB_WASI_EINVAL
#define BADF NB_WASI_EBADF
#define NO_TLS NB_WASI_ENOPROTOOPT

/* Arguments but for the descriptor are zero, and so is the memory, unless the test that follows says so. */
static const struct {
        const char *name;
        int expected[WORLD_N_KINDS];
} matrix[] = {
        { "open", { NOTSOCK, NOTSOCK, INVAL, NOTSUP, NOTSUP, NOTSUP } },
        { "listen", { NOTSOCK, NOTSOCK, NOTSUP, OK, NOTSUP, NOTSUP } },
        { "accept", { NOTSOCK, NOTSOCK, NOTSUP, INVAL, NOTSUP, NOTSUP } },
        { "connect", { NOTSOCK, NOTSOCK, NOTSUP, INVAL, NOTSUP, NOTSUP } },
        { "stream_create", { NOTSOCK, NOTSOCK, NOTSUP, NOTSUP, OK, NOTSUP } },
        { "stream_accept", { NOTSOCK, NOTSOCK, NOTSUP, NOTSUP, OK, NOTSUP } },
        { "local_address", { NOTSOCK, NOTSOCK, NOTSUP, NB_WASI_ENAMETOOLONG, OK, OK } }, /* of a Unix pair: empty */
        { "remote_address",
          { NOTSOCK, NOTSOCK, NOTSUP, NB_WASI_ENOTCONN, NB_WASI_ENAMETOOLONG, NB_WASI_ENAMETOOLONG } },
        { "get_option", { NOTSOCK, NOTSOCK, NOTSUP, NOTSUP, NOTSUP, INVAL } },
        { "set_option", { NOTSOCK, NOTSOCK, NOTSUP, NOTSUP, NOTSUP, INVAL } },
        { "protocol_restrict", { NOTSOCK, NOTSOCK, OK, NOTSUP, NOTSUP, NOTSUP } },
        { "tls_version", { NOTSOCK, NOTSOCK, NOTSUP, NB_WASI_ENOTCONN, NO_TLS, NO_TLS } },
        { "tls_cipher", { NOTSOCK, NOTSOCK, NOTSUP, NB_WASI_ENOTCONN, NO_TLS, NO_TLS } },
        { "tls_alpn", { NOTSOCK, NOTSOCK, NOTSUP, NB_WASI_ENOTCONN, NO_TLS, NO_TLS } },
        { "tls_peer_name", { NOTSOCK, NOTSOCK, NOTSUP, NB_WASI_ENOTCONN, NO_TLS, NO_TLS } },
        { "tls_resumed", { NOTSOCK, NOTSOCK, NOTSUP, NB_WASI_ENOTCONN, NO_TLS, NO_TLS } },
        { "sock_accept", { NOTSOCK, FORWARDED, NOTSUP, INVAL, NOTSUP, NOTSUP } },
        { "sock_recv", { NOTSOCK, FORWARDED, NOTSUP, NOTSUP, NOTSUP, OK } },
        { "sock_send", { NOTSOCK, FORWARDED, NOTSUP, NOTSUP, NOTSUP, OK } },
        { "sock_shutdown", { NOTSOCK, FORWARDED, NOTSUP, NOTSUP, NOTSUP, INVAL } },
        { "fd_read", { OK, FORWARDED, NOTSUP, NOTSUP, NOTSUP, OK } },
        { "fd_write", { NOTCAPABLE, FORWARDED, NOTSUP, NOTSUP, NOTSUP, OK } },
        { "fd_close", { OK, FORWARDED, OK, OK, OK, OK } },
        { "fd_renumber", { OK, FORWARDED, OK, OK, OK, OK } },
        { "fd_fdstat_get", { OK, FORWARDED, OK, OK, OK, OK } },
        { "fd_fdstat_set_flags", { OK, FORWARDED, NOTSUP, OK, OK, OK } },
        { "fd_fdstat_set_rights", { OK, FORWARDED, OK, OK, OK, OK } },
        { "fd_filestat_get", { OK, FORWARDED, OK, OK, OK, OK } },
        { "fd_prestat_get", { BADF, FORWARDED, OK, BADF, BADF, BADF } },
        { "fd_prestat_dir_name", { BADF, FORWARDED, NB_WASI_ENAMETOOLONG, BADF, BADF, BADF } },
        { "fd_advise", { NB_WASI_ESPIPE, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_allocate", { NB_WASI_ESPIPE, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_datasync", { INVAL, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_filestat_set_size", { INVAL, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_filestat_set_times", { NOTSUP, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_pread", { NB_WASI_ESPIPE, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_pwrite", { NB_WASI_ESPIPE, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_readdir", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_seek", { NB_WASI_ESPIPE, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_sync", { INVAL, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "fd_tell", { NB_WASI_ESPIPE, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_create_directory", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_filestat_get", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_filestat_set_times", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_link", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_open", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_readlink", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_remove_directory", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_rename", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_symlink", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
        { "path_unlink_file", { NB_WASI_ENOTDIR, FORWARDED, NOTSUP, NOTSUP, NOTSUP, NOTSUP } },
};

#define N_ROWS (sizeof(matrix) / sizeof(matrix[0]))

static const char *parameters_of(const char *name) {
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                if (strcmp(nb_wasi_function(i)->name, name) == 0)
                        return nb_wasi_function(i)->parameters;
        }
        return NULL;
}

/* Puts `fd` wherever the function takes a descriptor. */
static void put_descriptor(const char *parameters, uint32_t fd, uint64_t *arguments) {
        for (size_t i = 0; parameters[i]; ++i) {
                if (parameters[i] == 'd')
                        arguments[i] = fd;
        }
}

START_TEST(every_function_knows_every_kind) {
        const char *name = matrix[_i].name;
        const char *parameters = parameters_of(name);

        for (enum world_kind kind = 0; kind < WORLD_N_KINDS; ++kind) {
                uint64_t arguments[NB_WASI_PARAMETERS_MAX] = { 0 };
                int expected = matrix[_i].expected[kind];
                struct world world;
                uint32_t fd;
                int r;

                world_init(&world, 0);
                fd = world_make(&world, kind);
                put_descriptor(parameters, fd, arguments);
                if (strcmp(name, "fd_renumber") == 0)
                        arguments[1] = 2; /* onto one of the engine's, whose closing may fail unheard */
                if (expected == FORWARDED && strcmp(name, "fd_renumber") == 0)
                        expected = OK;
                r = world_call_array(&world, name, arguments);
                ck_assert_msg(r == expected, "%s on kind %d: %d, not %d", name, (int)kind, r, expected);
                if (expected == FORWARDED)
                        ck_assert_str_eq(world.engine_last, name);
                world_deinit(&world);
        }
}
END_TEST

START_TEST(no_descriptor_is_badf) {
        static const uint32_t numbers[] = { WORLD_FIRST_FREE, 63, 64, 65535, 65536, INT32_MAX, UINT32_MAX };
        struct world world;

        world_init(&world, 0);
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i) {
                uint64_t arguments[NB_WASI_PARAMETERS_MAX] = { 0 };

                put_descriptor(parameters_of(matrix[_i].name), numbers[i], arguments);
                ck_assert_int_eq(world_call_array(&world, matrix[_i].name, arguments), BADF);
        }
        ck_assert_uint_eq(world.n_engine_calls, 0);
        world_deinit(&world);
}
END_TEST

START_TEST(the_matrix_has_every_function) {
        size_t n = 0;

        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                if ((nb_wasi_function(i)->use & NB_WASI_IMPORT) && strchr(nb_wasi_function(i)->parameters, 'd'))
                        ++n;
        }
        ck_assert_uint_eq(n, N_ROWS);
}
END_TEST

START_TEST(the_second_descriptor_counts_too) {
        struct world world;

        world_init(&world, 0);
        ck_assert_int_eq(world_call(&world, "path_rename", 3, TEXT, 1, WORLD_PROTOCOL, TEXT, 1), NOTSUP);
        ck_assert_int_eq(world_call(&world, "path_rename", 3, TEXT, 1, 0, TEXT, 1), NB_WASI_ENOTDIR);
        ck_assert_int_eq(world_call(&world, "path_link", 3, 0, TEXT, 1, 99, TEXT, 1), BADF);
        ck_assert_uint_eq(world.n_engine_calls, 0);
        world_deinit(&world);
}
END_TEST

/* ---- pointers, lengths and other numbers ---- */

static const uint32_t hostile[] = { 0,
                                    1,
                                    WORLD_MEMORY_SIZE - 8,
                                    WORLD_MEMORY_SIZE - 4,
                                    WORLD_MEMORY_SIZE - 3,
                                    WORLD_MEMORY_SIZE - 1,
                                    WORLD_MEMORY_SIZE,
                                    WORLD_MEMORY_SIZE + 1,
                                    INT32_MAX,
                                    UINT32_C(1) << 31,
                                    UINT32_MAX - 7,
                                    UINT32_MAX };

#define N_HOSTILE (sizeof(hostile) / sizeof(hostile[0]))

/* The engine that these tests stand in for would look at the arguments itself; here it must not be believed to have stored anything. */
static void sweep_pair(struct world *world, size_t row, uint32_t fd, size_t first, size_t second) {
        const char *parameters = parameters_of(matrix[row].name);

        for (size_t i = 0; i < N_HOSTILE * N_HOSTILE; ++i) {
                uint64_t arguments[NB_WASI_PARAMETERS_MAX] = { 0 };
                int r;

                arguments[first] = hostile[i / N_HOSTILE];
                arguments[second] = hostile[i % N_HOSTILE];
                put_descriptor(parameters, fd, arguments);
                r = world_call_array(world, matrix[row].name, arguments);
                ck_assert_int_ge(r, 0);
                ck_assert_int_le(r, NB_WASI_ENOTCAPABLE);
        }
}

/* Every pair of arguments at and beyond every bound, for each kind. What it does is unknown; it must do it to nobody else. */
START_TEST(no_number_does_harm) {
        const char *name = matrix[_i].name;
        size_t n = strlen(parameters_of(name));

        if (strcmp(name, "fd_close") == 0 || strcmp(name, "fd_renumber") == 0)
                return;
        for (enum world_kind kind = 0; kind < WORLD_N_KINDS; ++kind) {
                struct world world;
                uint32_t fd;

                world_init(&world, 64);
                fd = world_make(&world, kind);
                ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", 0, NB_NONBLOCK), OK);
                for (size_t first = 0; first < n; ++first) {
                        for (size_t second = first + 1; second < n; ++second)
                                sweep_pair(&world, (size_t)_i, fd, first, second);
                }
                if (n <= 2)
                        sweep_pair(&world, (size_t)_i, fd, 0, 1);
                world_deinit(&world);
        }
}
END_TEST

/* A function, the argument that is a pointer, and how many bytes are to be there. The other arguments are sound. */
static const struct {
        const char *name;
        enum world_kind kind;
        size_t argument;
        uint32_t size;
        uint64_t arguments[NB_WASI_PARAMETERS_MAX];
} pointers[] = {
        { "open", WORLD_KIND_PROTOCOL, 1, 5, { 0, 0, 5, 6, 0, 0, 0, WORLD_RET } },
        { "open", WORLD_KIND_PROTOCOL, 7, 4, { 0, TEXT, 5, 6, 0, 0, 0, 0 } },
        { "connect", WORLD_KIND_CONTROL, 1, 5, { 0, 0, 5, WORLD_RET } },
        { "connect", WORLD_KIND_CONTROL, 3, 4, { 0, TEXT, 5, 0 } },
        { "stream_create", WORLD_KIND_CONNECTION, 4, 4, { 0 } },
        { "stream_accept", WORLD_KIND_CONNECTION, 1, 4, { 0 } },
        { "local_address", WORLD_KIND_CONTROL, 1, 5, { 0, 0, 5, WORLD_RET } },
        { "local_address", WORLD_KIND_STREAM, 3, 4, { 0, TEXT, 64, 0 } },
        { "remote_address", WORLD_KIND_STREAM, 1, 64, { 0, 0, 64, WORLD_RET } },
        { "remote_address", WORLD_KIND_STREAM, 3, 4, { 0, TEXT, 64, 0 } },
        { "get_option", WORLD_KIND_STREAM, 2, 4, { 0, 1, 0 } },
        { "fd_read", WORLD_KIND_STDIN, 1, 8, { 0, 0, 1, WORLD_RET } },
        { "fd_read", WORLD_KIND_STDIN, 3, 4, { 0, IOVEC, 1, 0 } },
        { "fd_read", WORLD_KIND_STREAM, 1, 8, { 0, 0, 1, WORLD_RET } },
        { "fd_read", WORLD_KIND_STREAM, 3, 4, { 0, IOVEC, 1, 0 } },
        { "fd_write", WORLD_KIND_STREAM, 1, 8, { 0, 0, 1, WORLD_RET } },
        { "fd_write", WORLD_KIND_STREAM, 3, 4, { 0, IOVEC, 1, 0 } },
        { "sock_recv", WORLD_KIND_STREAM, 1, 8, { 0, 0, 1, 0, WORLD_RET, WORLD_RET } },
        { "sock_recv", WORLD_KIND_STREAM, 4, 4, { 0, IOVEC, 1, 0, 0, WORLD_RET } },
        { "sock_recv", WORLD_KIND_STREAM, 5, 2, { 0, IOVEC, 1, 0, WORLD_RET, 0 } },
        { "sock_send", WORLD_KIND_STREAM, 1, 8, { 0, 0, 1, 0, WORLD_RET } },
        { "sock_send", WORLD_KIND_STREAM, 4, 4, { 0, IOVEC, 1, 0, 0 } },
        { "fd_fdstat_get", WORLD_KIND_STDIN, 1, 24, { 0 } },
        { "fd_fdstat_get", WORLD_KIND_STREAM, 1, 24, { 0 } },
        { "fd_filestat_get", WORLD_KIND_STDIN, 1, 64, { 0 } },
        { "fd_filestat_get", WORLD_KIND_CONTROL, 1, 64, { 0 } },
        { "fd_prestat_get", WORLD_KIND_PROTOCOL, 1, 8, { 0 } },
        { "fd_prestat_dir_name", WORLD_KIND_PROTOCOL, 1, 10, { 0, 0, 10 } },
};

static int try_pointer(size_t row, uint64_t pointer) {
        uint64_t arguments[NB_WASI_PARAMETERS_MAX];
        struct world world;
        unsigned n_requests;
        uint32_t fd;
        int r;

        world_init(&world, 0);
        fd = world_make(&world, pointers[row].kind);
        world_put_text(&world, TEXT, "any:0");
        memcpy(arguments, pointers[row].arguments, sizeof(arguments));
        arguments[0] = fd;
        arguments[pointers[row].argument] = pointer;
        n_requests = world.broker.n_requests;
        r = world_call_array(&world, pointers[row].name, arguments);
        if (r == NB_WASI_EFAULT) /* without an effect: the broker was not asked, and there is no new descriptor */
                ck_assert_uint_eq(world.broker.n_requests, n_requests);
        if (r == NB_WASI_EFAULT && fd >= WORLD_FIRST_FREE)
                ck_assert_int_eq(world_call(&world, "fd_fdstat_get", fd + 1, WORLD_RET), BADF);
        world_deinit(&world);
        return r;
}

START_TEST(a_pointer_out_of_bounds_is_fault) {
        uint32_t last = WORLD_MEMORY_SIZE - pointers[_i].size;

        ck_assert_int_ne(try_pointer((size_t)_i, last), NB_WASI_EFAULT);
        ck_assert_int_eq(try_pointer((size_t)_i, last + 1), NB_WASI_EFAULT);
        ck_assert_int_eq(try_pointer((size_t)_i, WORLD_MEMORY_SIZE), NB_WASI_EFAULT);
        ck_assert_int_eq(try_pointer((size_t)_i, UINT32_MAX), NB_WASI_EFAULT);
        ck_assert_int_eq(try_pointer((size_t)_i, UINT32_MAX - pointers[_i].size + 1), NB_WASI_EFAULT);
}
END_TEST

/* Bits above the lowest 32 of an i32 are not the guest's. */
START_TEST(the_upper_half_of_an_i32_does_not_count) {
        uint64_t junk = UINT64_C(0xdeadbeef) << 32;
        struct world world;

        world_init(&world, 0);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", junk | WORLD_PROTOCOL, junk | WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "fd_sync", junk | 3), FORWARDED);
        ck_assert_uint_eq(world.engine_arguments[0], 3);
        world_deinit(&world);
}
END_TEST

START_TEST(an_empty_memory_is_no_memory) {
        static const char *const names[] = { "fd_read", "fd_write", "fd_fdstat_get", "stream_accept", "poll_oneoff" };
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, NB_NONBLOCK);
        world.memory_size = 0;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
                int r = world_call(&world, names[i], stream, 0, 1, 0);

                ck_assert(r == NB_WASI_EFAULT || r == NOTSUP);
        }
        world_deinit(&world);
}
END_TEST

/* ---- */

static TCase *kind_tests(void) {
        TCase *tests = tcase_create("kind");

        tcase_add_test(tests, a_guest_begins_with_its_descriptors_in_order);
        tcase_add_test(tests, a_guest_without_a_session_has_no_protocol);
        tcase_add_test(tests, the_table_of_functions_is_sound);
        tcase_add_test(tests, an_index_that_is_no_import_is_nosys);
        tcase_add_test(tests, the_matrix_has_every_function);
        tcase_add_loop_test(tests, every_function_knows_every_kind, 0, N_ROWS);
        tcase_add_loop_test(tests, no_descriptor_is_badf, 0, N_ROWS);
        tcase_add_test(tests, the_second_descriptor_counts_too);
        return tests;
}

static TCase *pointer_tests(void) {
        TCase *tests = tcase_create("pointer");

        tcase_add_loop_test(tests, no_number_does_harm, 0, N_ROWS);
        tcase_add_loop_test(tests, a_pointer_out_of_bounds_is_fault, 0, sizeof(pointers) / sizeof(pointers[0]));
        tcase_add_test(tests, the_upper_half_of_an_i32_does_not_count);
        tcase_add_test(tests, an_empty_memory_is_no_memory);
        tcase_set_timeout(tests, 60);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi");

        suite_add_tcase(suite, kind_tests());
        suite_add_tcase(suite, pointer_tests());
        return run_suite(suite);
}
