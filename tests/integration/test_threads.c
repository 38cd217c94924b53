/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host with threads: sessions, protocols and guests are one thread's each, an engine is all threads', and a guest's linker and store may end on two threads at once.
 *
 * These say little by themselves; under ThreadSanitizer (`./dev tsan`) they say whether what threads share is shared rightly. Threads start their turns together,
 * at a barrier, so that they meet.
 */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/wasmtime.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"
#include "tests/support/traffic.h"

#define THREADS 4
#define TURNS 8

/* Behind the standard streams and one directory: the guest's protocol; behind it, what it opens. */
#define DIRECTORY 5

#define MODULE_MAX (1u << 20)

struct hall;

struct worker {
        struct hall *hall;
        size_t index;
        pthread_t thread;
        wasmtime_linker_t *linker;
        wasmtime_store_t *store; /* ended by the next worker */
        const char *wrong;       /* what failed, for the main thread: check(3) knows none but that */
};

/* Where they work. */
struct hall {
        struct scene scene;
        struct peer echo;
        pid_t echo_pid;
        char folder[32];
        wasm_engine_t *engine;
        struct nb_wasmtime *wasmtime;
        wasmtime_module_t *modules[2]; /* of a memory of one thread, and of a shared one */
        pthread_barrier_t barrier;
        struct worker workers[THREADS];
};

#define NEED(worker, what)                                                                                             \
        do {                                                                                                           \
                if (!(what) && !(worker)->wrong)                                                                       \
                        (worker)->wrong = #what;                                                                       \
        } while (0)

/* Together, as well as threads can be. */
static void meet(const struct worker *worker) {
        (void)pthread_barrier_wait(&worker->hall->barrier);
}

static void run_workers(struct hall *hall, void *(*function)(void *data)) {
        ck_assert_int_eq(pthread_barrier_init(&hall->barrier, NULL, THREADS), 0);
        for (size_t i = 0; i < THREADS; ++i) {
                hall->workers[i] = (struct worker){ .hall = hall, .index = i };
                ck_assert_int_eq(pthread_create(&hall->workers[i].thread, NULL, function, &hall->workers[i]), 0);
        }
        for (size_t i = 0; i < THREADS; ++i)
                ck_assert_int_eq(pthread_join(hall->workers[i].thread, NULL), 0);
        (void)pthread_barrier_destroy(&hall->barrier);
        for (size_t i = 0; i < THREADS; ++i)
                ck_assert_msg(!hall->workers[i].wrong, "thread %zu: not so: %s", i, hall->workers[i].wrong);
}

static void serve_echo(void *data) {
        traffic_serve_echo(*(const int *)data);
}

static void hall_open(struct hall *hall) {
        *hall = (struct hall){ .echo = peer_listen("127.0.0.1", 64) };
        scene_start(&hall->scene, NULL, SCENE_LOOPBACK);
        hall->echo_pid = traffic_fork(serve_echo, &hall->echo.fd);
        ck_assert_int_gt(hall->echo_pid, 0);
}

static void hall_close(struct hall *hall) {
        ck_assert_int_eq(kill(hall->echo_pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(hall->echo_pid, NULL, 0), hall->echo_pid);
        peer_close(&hall->echo);
        scene_end(&hall->scene);
}

/* @return owned by the caller; NULL: none */
static struct nb_session *open_session(struct worker *worker) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        struct nb_session *session = NULL;

        options.socket_path = worker->hall->scene.daemon.socket_path;
        NEED(worker, nb_session_open(&options, &session) == 0);
        return session;
}

/* ---- sessions ---- */

/* A connect, and a listener that nobody calls. */
static void use_session(struct worker *worker, struct nb_session *session, uint64_t word) {
        struct nb_protocol *web = nb_session_protocol(session, 0), *narrow = NULL;
        static const char rules[] = "Connect=127.0.0.1:*\n";
        uint64_t base, inheriting;
        int fd = -1;

        nb_protocol_rights(web, &base, &inheriting);
        NEED(worker, nb_protocol_restrict(web, rules, strlen(rules), base, inheriting, &narrow) == 0);
        /* The session may be gone before its protocol is. */
        web = nb_protocol_ref(web);
        if (narrow)
                NEED(worker, traffic_call(narrow, worker->hall->echo.text, NB_SOCKET_STREAM, NULL, &fd) == 0);
        NEED(worker, fd >= 0 && traffic_exchange(fd, word, HARNESS_DEADLINE_MS) == 0);
        if (fd >= 0)
                (void)traffic_close_now(fd);
        (void)nb_protocol_unref(narrow);
        (void)nb_protocol_unref(web);
}

static void *work_with_sessions(void *data) {
        struct worker *worker = data;

        for (uint64_t i = 1; i <= TURNS; ++i) {
                struct nb_session *session;

                meet(worker);
                session = open_session(worker);
                if (session)
                        use_session(worker, session, i);
                (void)nb_session_free(session);
        }
        return NULL;
}

START_TEST(each_thread_has_its_sessions) {
        struct hall hall;

        hall_open(&hall);
        run_workers(&hall, work_with_sessions);
        hall_close(&hall);
}
END_TEST

/* ---- guests of one engine ---- */

static void expect_no_error(wasmtime_error_t *error) {
        wasm_name_t message;

        if (!error)
                return;
        wasmtime_error_message(error, &message);
        ck_abort_msg("%.*s", (int)message.size, message.data);
}

static wasmtime_module_t *load(const struct hall *hall, const char *name) {
        NB_CLEANUP_FREE uint8_t *bytes = malloc(MODULE_MAX);
        const char *folder = getenv("GUESTS_DIR");
        wasmtime_module_t *module = NULL;
        char path[4096];
        size_t length;
        FILE *file;

        ck_assert_msg(folder && bytes, "GUESTS_DIR is not set");
        (void)snprintf(path, sizeof(path), "%s/%s.wasm", folder, name);
        file = fopen(path, "rbe");
        ck_assert_msg(file != NULL, "there is no %s", path);
        length = fread(bytes, 1, MODULE_MAX, file);
        (void)fclose(file);
        expect_no_error(wasmtime_module_new(hall->engine, bytes, length, &module));
        return module;
}

static void engine_open(struct hall *hall) {
        wasm_config_t *config = wasm_config_new();

        (void)snprintf(hall->folder, sizeof(hall->folder), "/tmp/netbroker-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(hall->folder));
        wasmtime_config_wasm_threads_set(config, true);
        wasmtime_config_shared_memory_set(config, true);
        hall->engine = wasm_engine_new_with_config(config);
        expect_no_error(nb_wasmtime_new(hall->engine, &hall->wasmtime));
        hall->modules[0] = load(hall, "unit_calls");
        hall->modules[1] = load(hall, "unit_shared");
}

static void engine_close(struct hall *hall) {
        for (size_t i = 0; i < 2; ++i)
                wasmtime_module_delete(hall->modules[i]);
        hall->wasmtime = nb_wasmtime_free(hall->wasmtime);
        wasm_engine_delete(hall->engine);
        ck_assert_int_eq(rmdir(hall->folder), 0);
}

/* @return a guest in a linker and a store of its own */
static bool make_guest(struct worker *worker, struct nb_session *session) {
        struct nb_guest_options options = NB_GUEST_OPTIONS_INIT;
        const struct hall *hall = worker->hall;
        wasi_config_t *config = wasi_config_new();
        struct nb_guest *guest = NULL;

        options.session = session;
        options.n_directories = 1;
        NEED(worker, nb_guest_new(&options, &guest) == 0);
        NEED(worker, wasi_config_preopen_dir(config, hall->folder, "/", true));
        worker->linker = wasmtime_linker_new(hall->engine);
        worker->store = wasmtime_store_new(hall->engine, NULL, NULL);
        NEED(worker, wasmtime_linker_define_wasi(worker->linker) == NULL);
        NEED(worker, guest && nb_wasmtime_link(hall->wasmtime, worker->linker, guest) == NULL);
        NEED(worker, wasmtime_context_set_wasi(wasmtime_store_context(worker->store), config) == NULL);
        return !worker->wrong;
}

/* A call that goes through the forwarder, which all guests of the engine have of one module. */
static void run_guest(struct worker *worker, const wasmtime_module_t *module) {
        wasmtime_context_t *context = wasmtime_store_context(worker->store);
        wasmtime_val_t result = { .kind = WASMTIME_I32 };
        wasmtime_instance_t instance;
        wasm_trap_t *trap = NULL;
        wasmtime_extern_t item;

        NEED(worker, wasmtime_linker_instantiate(worker->linker, context, module, &instance, &trap) == NULL && !trap);
        if (worker->wrong)
                return;
        NEED(worker,
             wasmtime_instance_export_get(context, &instance, "open_directory", strlen("open_directory"), &item));
        for (int i = 0; i < TURNS && !worker->wrong; ++i) {
                NEED(worker, wasmtime_func_call(context, &item.of.func, NULL, 0, &result, 1, &trap) == NULL && !trap);
                NEED(worker, result.of.i32 == DIRECTORY + i);
        }
}

/* All at once: each ends its own linker, and the store of another one's guest. So a guest's two last references are given back on two threads. */
static void end_guests(struct worker *worker) {
        struct worker *next = &worker->hall->workers[(worker->index + 1) % THREADS];

        meet(worker);
        if (worker->linker)
                wasmtime_linker_delete(worker->linker);
        if (next->store)
                wasmtime_store_delete(next->store);
        meet(worker);
        worker->linker = NULL;
        worker->store = NULL;
}

static void *work_with_guests(void *data) {
        struct worker *worker = data;
        struct nb_session *session = open_session(worker);

        for (size_t i = 0; i < TURNS; ++i) {
                meet(worker);
                if (session && make_guest(worker, session))
                        run_guest(worker, worker->hall->modules[i % 2]);
                end_guests(worker);
        }
        /* What the guests had of the session has ended with them, on whichever thread. */
        (void)nb_session_free(session);
        return NULL;
}

START_TEST(guests_of_one_engine_end_on_other_threads) {
        struct hall hall;

        hall_open(&hall);
        engine_open(&hall);
        run_workers(&hall, work_with_guests);
        engine_close(&hall);
        hall_close(&hall);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("threads");
        TCase *tests = tcase_create("threads");

        tcase_set_timeout(tests, 120);
        tcase_add_test(tests, each_thread_has_its_sessions);
        tcase_add_test(tests, guests_of_one_engine_end_on_other_threads);
        suite_add_tcase(suite, tests);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
