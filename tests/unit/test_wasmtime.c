/* SPDX-License-Identifier: Apache-2.0 */
/* Guests under the real Wasmtime, with a broker of the test's own. */
#include "netbroker/wasmtime.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/scripted_broker.h"

#define PROTOCOL 4 /* behind one directory */

/* What all guests of a test share. */
struct host {
        char folder[32];
        wasm_engine_t *engine;
        struct nb_wasmtime *wasmtime;
        struct scripted_broker broker;
        struct nb_session *session;
        int n_fds_before;
};

/* One guest. */
struct instance {
        wasmtime_module_t *module;
        wasmtime_linker_t *linker;
        wasmtime_store_t *store;
        wasmtime_context_t *context;
        wasmtime_instance_t instance;
};

static void expect_no_error(wasmtime_error_t *error) {
        wasm_name_t message;

        if (!error)
                return;
        wasmtime_error_message(error, &message);
        ck_abort_msg("%.*s", (int)message.size, message.data);
}

static void expect_no_trap(wasm_trap_t *trap) {
        wasm_message_t message;

        if (!trap)
                return;
        wasm_trap_message(trap, &message);
        ck_abort_msg("%.*s", (int)message.size, message.data);
}

/* Consumes the error. What the host's functions make of a trap is an error to who called the guest. */
static void expect_error(wasmtime_error_t *error, const char *part) {
        wasm_name_t message;
        char text[512];

        ck_assert_ptr_nonnull(error);
        wasmtime_error_message(error, &message);
        (void)snprintf(text, sizeof(text), "%.*s", (int)message.size, message.data);
        ck_assert_msg(strstr(text, part) != NULL, "\"%s\" says nothing of \"%s\"", text, part);
        wasm_name_delete(&message);
        wasmtime_error_delete(error);
}

static void host_open(struct host *host) {
        wasm_config_t *config = wasm_config_new();
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        wasmtime_config_wasm_threads_set(config, true);
        wasmtime_config_shared_memory_set(config, true);
        host->engine = wasm_engine_new_with_config(config);
        expect_no_error(nb_wasmtime_new(host->engine, &host->wasmtime));
        options.session_fd = scripted_broker_init(&host->broker);
        options.wait = scripted_broker_wait;
        options.wait_data = &host->broker;
        ck_assert_int_eq(nb_session_open(&options, &host->session), 0);
}

static void host_close(struct host *host) {
        nb_wasmtime_free(host->wasmtime);
        wasm_engine_delete(host->engine);
        nb_session_free(host->session);
        scripted_broker_deinit(&host->broker);
}

static wasmtime_module_t *load(const struct host *host, const char *name) {
        const char *folder = getenv("GUESTS_DIR");
        wasmtime_module_t *module = NULL;
        char path[4096];
        uint8_t *bytes;
        size_t length;
        FILE *file;

        ck_assert_msg(folder != NULL, "GUESTS_DIR is not set");
        (void)snprintf(path, sizeof(path), "%s/%s.wasm", folder, name);
        file = fopen(path, "rbe");
        ck_assert_msg(file != NULL, "there is no %s", path);
        bytes = malloc(1 << 20);
        ck_assert_ptr_nonnull(bytes);
        length = fread(bytes, 1, 1 << 20, file);
        (void)fclose(file);
        expect_no_error(wasmtime_module_new(host->engine, bytes, length, &module));
        free(bytes);
        return module;
}

static struct nb_guest *new_guest(struct host *host) {
        struct nb_guest_options options = NB_GUEST_OPTIONS_INIT;
        struct nb_guest *guest;

        options.session = host->session;
        options.n_directories = 1;
        options.wait = scripted_broker_wait;
        options.wait_data = &host->broker;
        ck_assert_int_eq(nb_guest_new(&options, &guest), 0);
        return guest;
}

/* Everything but the instance. Consumes the module. */
static void prepare(struct host *host, wasmtime_module_t *module, struct instance *ret) {
        wasi_config_t *config = wasi_config_new();

        ck_assert(wasi_config_preopen_dir(config, host->folder, "/", true));
        ret->module = module;
        ret->linker = wasmtime_linker_new(host->engine);
        expect_no_error(wasmtime_linker_define_wasi(ret->linker));
        expect_no_error(nb_wasmtime_link(host->wasmtime, ret->linker, new_guest(host)));
        ret->store = wasmtime_store_new(host->engine, NULL, NULL);
        ret->context = wasmtime_store_context(ret->store);
        expect_no_error(wasmtime_context_set_wasi(ret->context, config));
}

static void instantiate(struct instance *instance) {
        wasm_trap_t *trap = NULL;

        expect_no_error(wasmtime_linker_instantiate(instance->linker, instance->context, instance->module,
                                                    &instance->instance, &trap));
        expect_no_trap(trap);
}

static void start(struct host *host, const char *name, struct instance *ret) {
        prepare(host, load(host, name), ret);
        expect_no_error(nb_wasmtime_check_module(ret->module));
        instantiate(ret);
}

static void stop(struct instance *instance) {
        wasmtime_linker_delete(instance->linker);
        wasmtime_store_delete(instance->store);
        wasmtime_module_delete(instance->module);
}

/* Calls an export with at most one argument and one result. @return its result, or 0 */
static int32_t call(struct instance *instance, const char *name, size_t n_arguments, int32_t argument, size_t n_results,
                    wasm_trap_t **ret_trap, wasmtime_error_t **ret_error) {
        wasmtime_val_t value = { .kind = WASMTIME_I32, .of.i32 = argument };
        wasmtime_val_t result = { .kind = WASMTIME_I32 };
        wasmtime_extern_t item;

        ck_assert(wasmtime_instance_export_get(instance->context, &instance->instance, name, strlen(name), &item));
        *ret_trap = NULL;
        *ret_error =
                wasmtime_func_call(instance->context, &item.of.func, &value, n_arguments, &result, n_results, ret_trap);
        return result.of.i32;
}

/* The same where nothing goes wrong. */
static int32_t ask(struct instance *instance, const char *name, size_t n_arguments, int32_t argument) {
        wasmtime_error_t *error;
        wasm_trap_t *trap;
        int32_t r = call(instance, name, n_arguments, argument, 1, &trap, &error);

        expect_no_error(error);
        expect_no_trap(trap);
        return r;
}

/* Wasmtime keeps some descriptors for good once a guest has used a file, so one does that before they are counted. */
static void host_init(struct host *host) {
        struct instance guest;

        memset(host, 0, sizeof(*host));
        (void)snprintf(host->folder, sizeof(host->folder), "/tmp/netbroker-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(host->folder));
        host_open(host);
        start(host, "unit_calls", &guest);
        (void)ask(&guest, "open_directory", 0, 0);
        stop(&guest);
        host_close(host);
        host->n_fds_before = count_fds();
        host_open(host);
}

static void host_deinit(struct host *host) {
        host_close(host);
        ck_assert_int_eq(rmdir(host->folder), 0);
        ck_assert_int_eq(count_fds(), host->n_fds_before);
}

START_TEST(files_are_still_wasmtimes) {
        struct host host;
        struct instance guest;
        wasmtime_error_t *error;
        wasm_trap_t *trap;

        host_init(&host);
        start(&host, "unit_files", &guest);
        (void)call(&guest, "_start", 0, 0, 0, &trap, &error);
        expect_no_error(error);
        expect_no_trap(trap);
        stop(&guest);
        host_deinit(&host);
}
END_TEST

START_TEST(constructors_may_use_files) {
        struct host host;
        struct instance guest;
        wasmtime_error_t *error;
        wasm_trap_t *trap;

        host_init(&host);
        start(&host, "unit_constructor", &guest);
        (void)call(&guest, "_initialize", 0, 0, 0, &trap, &error);
        expect_no_error(error);
        expect_no_trap(trap);
        ck_assert_int_eq(ask(&guest, "result", 0, 0), PROTOCOL + 2);
        stop(&guest);
        host_deinit(&host);
}
END_TEST

/* Both kinds of memory. */
static const char *const calls[] = { "unit_calls", "unit_shared" };

START_TEST(one_space_of_descriptors) {
        struct host host;
        struct instance guest;

        host_init(&host);
        start(&host, calls[_i], &guest);
        ck_assert_int_eq(ask(&guest, "open_directory", 0, 0), PROTOCOL + 2);
        ck_assert_int_eq(ask(&guest, "open_directory", 0, 0), PROTOCOL + 3);
        ck_assert_int_eq(ask(&guest, "close", 1, PROTOCOL + 2), NB_WASI_SUCCESS);
        ck_assert_int_eq(ask(&guest, "stat", 1, PROTOCOL + 2), NB_WASI_EBADF);
        ck_assert_int_eq(ask(&guest, "stat", 1, PROTOCOL + 3), NB_WASI_SUCCESS);
        ck_assert_int_eq(ask(&guest, "open_directory", 0, 0), PROTOCOL + 2);
        ck_assert_int_eq(ask(&guest, "close", 1, PROTOCOL), NB_WASI_SUCCESS);
        ck_assert_int_eq(ask(&guest, "open_directory", 0, 0), PROTOCOL);
        ck_assert_int_eq(ask(&guest, "close", 1, 99), NB_WASI_EBADF);
        stop(&guest);
        host_deinit(&host);
}
END_TEST

static void peer_answers(void *data) {
        struct scripted_broker *broker = data;
        char bytes[8];

        if (broker->peer < 0) { /* the connection comes later */
                broker->on_wait = peer_answers;
                return;
        }
        ck_assert_int_eq(read(broker->peer, bytes, sizeof(bytes)), 4);
        ck_assert_int_eq(write(broker->peer, "pong", 4), 4);
}

START_TEST(a_guest_talks_to_a_peer) {
        struct host host;
        struct instance guest;

        host_init(&host);
        host.broker.on_wait = peer_answers;
        host.broker.on_wait_data = &host.broker;
        start(&host, calls[_i], &guest);
        ck_assert_int_eq(ask(&guest, "talk", 1, PROTOCOL), 'p');
        stop(&guest);
        host_deinit(&host);
}
END_TEST

START_TEST(a_guest_asks_about_its_stream) {
        struct host host;
        struct instance guest;

        host_init(&host);
        host.broker.on_wait = peer_answers;
        host.broker.on_wait_data = &host.broker;
        start(&host, calls[_i], &guest);
        ck_assert_int_eq(ask(&guest, "talk", 1, PROTOCOL), 'p');
        ck_assert_int_eq(ask(&guest, "ask", 1, PROTOCOL + 4), 0); /* behind another protocol, control and connection */
        ck_assert_int_eq(ask(&guest, "bad_questions", 1, PROTOCOL + 4), 0);
        stop(&guest);
        host_deinit(&host);
}
END_TEST

START_TEST(a_bad_pointer_ends_the_guest_at_most) {
        struct host host;
        struct instance guest;
        wasmtime_error_t *error;
        wasm_trap_t *trap;

        host_init(&host);
        start(&host, calls[_i], &guest);
        ck_assert_int_eq(ask(&guest, "bad_address", 1, PROTOCOL), NB_WASI_EFAULT);
        ck_assert_int_eq(ask(&guest, "bad_forwarded_result", 0, 0), NB_WASI_EFAULT);
        (void)call(&guest, "bad_forwarded_path", 0, 0, 1, &trap, &error);
        expect_no_trap(trap);
        expect_error(error, "netbroker: path_open: Pointer out of bounds");
        ck_assert_int_eq(ask(&guest, "open_directory", 0, 0), PROTOCOL + 2);
        stop(&guest);
        host_deinit(&host);
}
END_TEST

START_TEST(two_guests_know_nothing_of_each_other) {
        struct host host;
        struct instance one;
        struct instance two;

        host_init(&host);
        start(&host, "unit_calls", &one);
        start(&host, "unit_shared", &two);
        host.wasmtime = nb_wasmtime_free(host.wasmtime); /* they keep what they need */
        ck_assert_int_eq(ask(&one, "open_directory", 0, 0), PROTOCOL + 2);
        ck_assert_int_eq(ask(&one, "open_directory", 0, 0), PROTOCOL + 3);
        ck_assert_int_eq(ask(&two, "open_directory", 0, 0), PROTOCOL + 2);
        ck_assert_int_eq(ask(&two, "stat", 1, PROTOCOL + 3), NB_WASI_EBADF);
        stop(&one);
        ck_assert_int_eq(ask(&two, "stat", 1, PROTOCOL + 2), NB_WASI_SUCCESS);
        stop(&two);
        host_deinit(&host);
}
END_TEST

/* Calls that go to the engine, and such that end before it. */
static const struct {
        const char *name;
        size_t n_arguments;
} others[] = { { "open_directory", 0 }, { "stat", 1 }, { "close", 1 }, { "talk", 1 }, { "bad_address", 1 } };

START_TEST(a_linker_is_one_guests) {
        struct host host;
        struct instance first;
        struct instance second;
        wasmtime_error_t *error;
        wasm_trap_t *trap;

        host_init(&host);
        start(&host, "unit_calls", &first);
        ck_assert_int_eq(ask(&first, "open_directory", 0, 0), PROTOCOL + 2);
        second = first;
        instantiate(&second);
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); ++i) {
                (void)call(&second, others[i].name, others[i].n_arguments, PROTOCOL, 1, &trap, &error);
                expect_no_trap(trap);
                expect_error(error, "a linker belongs to one guest");
        }
        ck_assert_int_eq(ask(&first, "open_directory", 0, 0), PROTOCOL + 3);
        stop(&first);
        host_deinit(&host);
}
END_TEST

/* Also when the first has called nothing but the network. */
START_TEST(a_network_call_binds_the_guest) {
        struct host host;
        struct instance first;
        struct instance second;
        wasmtime_error_t *error;
        wasm_trap_t *trap;

        host_init(&host);
        start(&host, calls[_i], &first);
        ck_assert_int_eq(ask(&first, "bad_address", 1, PROTOCOL), NB_WASI_EFAULT);
        second = first;
        instantiate(&second);
        (void)call(&second, "bad_address", 1, PROTOCOL, 1, &trap, &error);
        expect_no_trap(trap);
        expect_error(error, "a linker belongs to one guest");
        (void)call(&second, "open_directory", 0, 0, 1, &trap, &error);
        expect_no_trap(trap);
        expect_error(error, "a linker belongs to one guest");
        ck_assert_int_eq(ask(&first, "open_directory", 0, 0), PROTOCOL + 2);
        stop(&first);
        host_deinit(&host);
}
END_TEST

/* Lets this process have `n` descriptors more than it has. @return the soft limit before */
static rlim_t limit_fds(int n) {
        struct rlimit limit;
        rlim_t before;
        int lowest = dup(0);

        ck_assert_int_ge(lowest, 0);
        ck_assert_int_eq(close(lowest), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        before = limit.rlim_cur;
        limit.rlim_cur = (rlim_t)(lowest + n);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        return before;
}

static void restore_fds(rlim_t before) {
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = before;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void make_folder(struct host *host) {
        memset(host, 0, sizeof(*host));
        (void)snprintf(host->folder, sizeof(host->folder), "/tmp/netbroker-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(host->folder));
}

/* The first call of a file function in this process finds not one descriptor left: Wasmtime has what it needs by then. */
START_TEST(no_descriptor_left_is_an_errno) {
        struct instance guest;
        struct host host;
        rlim_t before;

        make_folder(&host);
        host_open(&host);
        start(&host, calls[_i], &guest);
        before = limit_fds(0);
        ck_assert_int_eq(ask(&guest, "stat", 1, 3), NB_WASI_SUCCESS);
        ck_assert_int_lt(ask(&guest, "open_directory", 0, 0), 0);
        restore_fds(before);
        ck_assert_int_eq(ask(&guest, "open_directory", 0, 0), PROTOCOL + 2);
        stop(&guest);
        host_close(&host);
        ck_assert_int_eq(rmdir(host.folder), 0);
}
END_TEST

/* A guest with no limit but the process's takes all controls that it gets. The host keeps some, and the guest's files go on. */
START_TEST(a_guest_that_takes_all) {
        struct instance guest;
        struct host host;
        rlim_t before;

        make_folder(&host);
        before = limit_fds(200);
        host_open(&host);
        start(&host, calls[_i], &guest);
        ck_assert_int_eq(ask(&guest, "take_all", 1, PROTOCOL), NB_WASI_EMFILE);
        ck_assert_int_eq(ask(&guest, "close", 1, PROTOCOL + 2), NB_WASI_SUCCESS);
        ck_assert_int_eq(ask(&guest, "open_directory", 0, 0), PROTOCOL + 2);
        stop(&guest);
        host_close(&host);
        restore_fds(before);
        ck_assert_int_eq(rmdir(host.folder), 0);
}
END_TEST

/* The guest is freed with the last of linker and store, also when nothing was ever instantiated. */
START_TEST(the_guest_ends_with_linker_and_store) {
        struct host host;
        struct instance guest;

        host_init(&host);
        prepare(&host, load(&host, "unit_calls"), &guest);
        if (_i == 0)
                instantiate(&guest);
        wasmtime_store_delete(guest.store);
        wasmtime_linker_delete(guest.linker);
        wasmtime_module_delete(guest.module);
        host_deinit(&host);
}
END_TEST

/*
 * A module that calls in its start function, without which it would be text:
 *
 *     (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $f (param i32 i32) (result i32)))
 *     (memory (export "memory") 1)
 *     (func $s (i32.store (i32.const 64) (call $f (i32.const 3) (i32.const 0))))
 *     (start $s)
 */
#define MODULE_BEGIN                                                                                                   \
        0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0a, 0x02, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, 0x60,    \
                0x00, 0x00, 0x02, 0x28, 0x01, 0x16, 'w', 'a', 's', 'i', '_', 's', 'n', 'a', 'p', 's', 'h', 'o', 't',   \
                '_', 'p', 'r', 'e', 'v', 'i', 'e', 'w', '1', 0x0d, 'f', 'd', '_', 'f', 'd', 's', 't', 'a', 't', '_',   \
                'g', 'e', 't', 0x00, 0x00, 0x03, 0x02, 0x01, 0x01, 0x05, 0x03, 0x01, 0x00, 0x01
#define MODULE_EXPORT 0x07, 0x0a, 0x01, 0x06, 'm', 'e', 'm', 'o', 'r', 'y', 0x02, 0x00
#define MODULE_END                                                                                                     \
        0x08, 0x01, 0x01, 0x0a, 0x10, 0x01, 0x0e, 0x00, 0x41, 0xc0, 0x00, 0x41, 0x03, 0x41, 0x00, 0x10, 0x00, 0x36,    \
                0x02, 0x00, 0x0b

static const uint8_t starting[] = { MODULE_BEGIN, MODULE_EXPORT, MODULE_END };
static const uint8_t without_memory[] = { MODULE_BEGIN, MODULE_END };

START_TEST(a_start_function_may_use_files) {
        wasmtime_module_t *module = NULL;
        wasmtime_extern_t memory;
        struct instance guest;
        struct host host;

        host_init(&host);
        expect_no_error(wasmtime_module_new(host.engine, starting, sizeof(starting), &module));
        prepare(&host, module, &guest);
        expect_no_error(nb_wasmtime_check_module(module));
        instantiate(&guest);
        ck_assert(wasmtime_instance_export_get(guest.context, &guest.instance, "memory", 6, &memory));
        ck_assert_uint_eq(wasmtime_memory_data(guest.context, &memory.of.memory)[64], NB_WASI_SUCCESS);
        ck_assert_uint_eq(wasmtime_memory_data(guest.context, &memory.of.memory)[0], 3); /* the type: a directory */
        stop(&guest);
        host_deinit(&host);
}
END_TEST

START_TEST(a_guest_needs_a_memory) {
        wasmtime_module_t *module = NULL;
        wasm_trap_t *trap = NULL;
        struct instance guest;
        struct host host;

        host_init(&host);
        expect_no_error(wasmtime_module_new(host.engine, without_memory, sizeof(without_memory), &module));
        expect_error(nb_wasmtime_check_module(module), "exports no memory");
        /* Who does not check is told by a trap. */
        prepare(&host, module, &guest);
        expect_error(wasmtime_linker_instantiate(guest.linker, guest.context, module, &guest.instance, &trap),
                     "exports no memory");
        stop(&guest);
        host_deinit(&host);
}
END_TEST

/* (import "networking_ext" "last_denial" (func (param i32 i32 i32) (result i32))), and nothing else */
static const uint8_t extension_without_memory[] = {
        0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x01, 0x60, 0x03, 0x7f, 0x7f, 0x7f, 0x01,
        0x7f, 0x02, 0x1e, 0x01, 0x0e, 'n',  'e',  't',  'w',  'o',  'r',  'k',  'i',  'n',  'g',  '_',  'e',
        'x',  't',  0x0b, 'l',  'a',  's',  't',  '_',  'd',  'e',  'n',  'i',  'a',  'l',  0x00, 0x00,
};

START_TEST(every_module_of_ours_needs_a_memory) {
        wasmtime_module_t *module = NULL;
        struct host host;

        host_init(&host);
        expect_no_error(
                wasmtime_module_new(host.engine, extension_without_memory, sizeof(extension_without_memory), &module));
        expect_error(nb_wasmtime_check_module(module), "imports last_denial from networking_ext");
        wasmtime_module_delete(module);
        host_deinit(&host);
}
END_TEST

START_TEST(an_older_wasi_is_refused) {
        wasmtime_module_t *module;
        struct instance guest;
        wasmtime_error_t *error;
        wasm_trap_t *trap;
        struct host host;

        host_init(&host);
        module = load(&host, "unit_old_wasi");
        expect_error(nb_wasmtime_check_module(module), "wasi_unstable");
        /* Who does not check gets no second space of descriptors either. */
        prepare(&host, module, &guest);
        instantiate(&guest);
        (void)call(&guest, "close", 1, 3, 1, &trap, &error);
        expect_no_trap(trap);
        expect_error(error, "an older WASI");
        stop(&guest);
        host_deinit(&host);
}
END_TEST

START_TEST(an_engine_without_threads_will_do) {
        wasm_config_t *config = wasm_config_new();
        struct nb_wasmtime *wasmtime;
        wasm_engine_t *engine;

        wasmtime_config_wasm_threads_set(config, false);
        wasmtime_config_shared_memory_set(config, false);
        engine = wasm_engine_new_with_config(config);
        expect_no_error(nb_wasmtime_new(engine, &wasmtime));
        ck_assert_ptr_null(nb_wasmtime_free(wasmtime));
        ck_assert_ptr_null(nb_wasmtime_free(NULL));
        wasm_engine_delete(engine);
}
END_TEST

/* What starts Wasmtime's runtime must not run out of the fuel and time that nobody gave it. */
START_TEST(an_engine_that_counts_will_do) {
        wasm_config_t *config = wasm_config_new();
        struct nb_wasmtime *wasmtime;
        wasm_engine_t *engine;
        int n_fds;

        wasmtime_config_consume_fuel_set(config, true);
        wasmtime_config_epoch_interruption_set(config, true);
        engine = wasm_engine_new_with_config(config);
        n_fds = count_fds();
        expect_no_error(nb_wasmtime_new(engine, &wasmtime));
        ck_assert_int_gt(count_fds(), n_fds); /* the runtime's */
        nb_wasmtime_free(wasmtime);
        wasm_engine_delete(engine);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("wasmtime");
        TCase *tests = tcase_create("wasmtime");

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, files_are_still_wasmtimes);
        tcase_add_test(tests, constructors_may_use_files);
        tcase_add_loop_test(tests, one_space_of_descriptors, 0, 2);
        tcase_add_loop_test(tests, a_guest_talks_to_a_peer, 0, 2);
        tcase_add_loop_test(tests, a_guest_asks_about_its_stream, 0, 2);
        tcase_add_loop_test(tests, a_bad_pointer_ends_the_guest_at_most, 0, 2);
        tcase_add_test(tests, two_guests_know_nothing_of_each_other);
        tcase_add_test(tests, a_linker_is_one_guests);
        tcase_add_loop_test(tests, a_network_call_binds_the_guest, 0, 2);
        tcase_add_loop_test(tests, no_descriptor_left_is_an_errno, 0, 2);
        tcase_add_loop_test(tests, a_guest_that_takes_all, 0, 2);
        tcase_add_loop_test(tests, the_guest_ends_with_linker_and_store, 0, 2);
        tcase_add_test(tests, a_start_function_may_use_files);
        tcase_add_test(tests, a_guest_needs_a_memory);
        tcase_add_test(tests, every_module_of_ours_needs_a_memory);
        tcase_add_test(tests, an_older_wasi_is_refused);
        tcase_add_test(tests, an_engine_without_threads_will_do);
        tcase_add_test(tests, an_engine_that_counts_will_do);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
