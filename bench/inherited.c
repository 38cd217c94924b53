/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest under Wasmtime whose calls on descriptors are the system's, and nothing else.
 *
 *   inherited GUEST.wasm ARGUMENT...
 *
 * Wasmtime's C API can give a guest no listener of its host's. This is what stands for it: the guest has this process's descriptors by
 * their numbers, nobody is asked whether it may use them, and each function of WASI is one system call. It is the least that a host
 * can do, and no host should do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <wasm.h>
#include <wasmtime.h>

#include "bench/common.h"

#define MODULE "wasi_snapshot_preview1"
#define IOVECS_MAX 16
#define SUBSCRIPTIONS_MAX 1024

/* Of WASI, preview 1. */
#define WASI_ESUCCESS 0
#define WASI_EAGAIN 6
#define WASI_EINVAL 28
#define WASI_EIO 29
#define WASI_EVENTTYPE_READ 1
#define WASI_EVENTTYPE_WRITE 2
#define WASI_FDFLAGS_NONBLOCK 4
#define WASI_FILETYPE_STREAM 6

struct wasi_iovec {
        uint32_t address;
        uint32_t length;
};

struct wasi_subscription {
        uint64_t userdata;
        uint8_t type;
        uint8_t padding[7];
        uint32_t fd;
        uint8_t clock[28];
};

struct wasi_event {
        uint64_t userdata;
        uint16_t error;
        uint8_t type;
        uint8_t padding[5];
        uint64_t n_bytes;
        uint16_t flags;
        uint8_t padding_2[6];
};

struct wasi_fdstat {
        uint8_t filetype;
        uint8_t padding;
        uint16_t flags;
        uint8_t padding_2[4];
        uint64_t rights;
        uint64_t rights_inheriting;
};

_Static_assert(sizeof(struct wasi_subscription) == 48, "the ABI's size");
_Static_assert(sizeof(struct wasi_event) == 32, "the ABI's size");

/* The guest's memory, looked up once a call, for it may move in between. */
struct memory {
        uint8_t *data;
        size_t size;
};

static struct memory memory_of(wasmtime_caller_t *caller) {
        wasmtime_context_t *context = wasmtime_caller_context(caller);
        wasmtime_extern_t item;

        if (!wasmtime_caller_export_get(caller, "memory", strlen("memory"), &item))
                bench_die("the guest exports no memory", 0);
        return (struct memory){ wasmtime_memory_data(context, &item.of.memory),
                                wasmtime_memory_data_size(context, &item.of.memory) };
}

/* @return `length` bytes at `address`, or NULL */
static void *at(const struct memory *memory, uint32_t address, size_t length) {
        if (address > memory->size || length > memory->size - address)
                return NULL;
        return memory->data + address;
}

static int wasi_error(int error) {
        return error == EAGAIN ? WASI_EAGAIN : WASI_EIO;
}

static int store(const struct memory *memory, uint32_t address, uint32_t value) {
        void *where = at(memory, address, sizeof(value));

        if (!where)
                return WASI_EINVAL;
        memcpy(where, &value, sizeof(value));
        return WASI_ESUCCESS;
}

/* @return how many, or -1 */
static int take_iovecs(const struct memory *memory, const wasmtime_val_raw_t *arguments,
                       struct iovec iovecs[IOVECS_MAX]) {
        uint32_t n = (uint32_t)arguments[2].i32;
        const struct wasi_iovec *from =
                n <= IOVECS_MAX ? at(memory, (uint32_t)arguments[1].i32, n * sizeof(*from)) : NULL;

        if (!from)
                return -1;
        for (uint32_t i = 0; i < n; ++i) {
                iovecs[i] = (struct iovec){ at(memory, from[i].address, from[i].length), from[i].length };
                if (!iovecs[i].iov_base)
                        return -1;
        }
        return (int)n;
}

/* @param transfer  readv(2) or writev(2) */
static int move_bytes(const struct memory *memory, const wasmtime_val_raw_t *arguments,
                      ssize_t (*transfer)(int fd, const struct iovec *iovecs, int n)) {
        struct iovec iovecs[IOVECS_MAX];
        int n = take_iovecs(memory, arguments, iovecs);
        ssize_t length;

        if (n < 0)
                return WASI_EINVAL;
        length = transfer(arguments[0].i32, iovecs, n);
        return length < 0 ? wasi_error(errno) : store(memory, (uint32_t)arguments[3].i32, (uint32_t)length);
}

static int fd_read(const struct memory *memory, const wasmtime_val_raw_t *arguments) {
        return move_bytes(memory, arguments, readv);
}

static int fd_write(const struct memory *memory, const wasmtime_val_raw_t *arguments) {
        return move_bytes(memory, arguments, writev);
}

static int fd_close(const struct memory *memory, const wasmtime_val_raw_t *arguments) {
        (void)memory;
        return close(arguments[0].i32) < 0 ? wasi_error(errno) : WASI_ESUCCESS;
}

static int fd_fdstat_get(const struct memory *memory, const wasmtime_val_raw_t *arguments) {
        const struct wasi_fdstat stat = { .filetype = WASI_FILETYPE_STREAM, .rights = UINT64_MAX };
        void *where = at(memory, (uint32_t)arguments[1].i32, sizeof(stat));

        if (!where)
                return WASI_EINVAL;
        memcpy(where, &stat, sizeof(stat));
        return WASI_ESUCCESS;
}

static int fd_fdstat_set_flags(const struct memory *memory, const wasmtime_val_raw_t *arguments) {
        int flags = (arguments[1].i32 & WASI_FDFLAGS_NONBLOCK) != 0 ? O_NONBLOCK : 0;

        (void)memory;
        return fcntl(arguments[0].i32, F_SETFL, flags) < 0 ? wasi_error(errno) : WASI_ESUCCESS;
}

static int sock_accept(const struct memory *memory, const wasmtime_val_raw_t *arguments) {
        int fd = accept4(arguments[0].i32, NULL, NULL, SOCK_CLOEXEC);

        return fd < 0 ? wasi_error(errno) : store(memory, (uint32_t)arguments[2].i32, (uint32_t)fd);
}

static struct wasi_event event_of(const struct wasi_subscription *subscription) {
        return (struct wasi_event){ .userdata = subscription->userdata, .type = subscription->type, .n_bytes = 1 };
}

/* No clocks: the guest waits for its sockets alone. */
static int poll_oneoff(const struct memory *memory, const wasmtime_val_raw_t *arguments) {
        uint32_t n = (uint32_t)arguments[2].i32, n_events = 0;
        struct pollfd fds[SUBSCRIPTIONS_MAX];
        const struct wasi_subscription *subscriptions;
        struct wasi_event *events;

        if (n == 0 || n > SUBSCRIPTIONS_MAX)
                return WASI_EINVAL;
        subscriptions = at(memory, (uint32_t)arguments[0].i32, n * sizeof(*subscriptions));
        events = at(memory, (uint32_t)arguments[1].i32, n * sizeof(*events));
        if (!subscriptions || !events)
                return WASI_EINVAL;
        for (uint32_t i = 0; i < n; ++i) {
                if (subscriptions[i].type != WASI_EVENTTYPE_READ && subscriptions[i].type != WASI_EVENTTYPE_WRITE)
                        return WASI_EINVAL;
                fds[i] = (struct pollfd){ .fd = (int)subscriptions[i].fd,
                                          .events = subscriptions[i].type == WASI_EVENTTYPE_READ ? POLLIN : POLLOUT };
        }
        if (poll(fds, n, -1) < 0)
                return wasi_error(errno);
        for (uint32_t i = 0; i < n; ++i) {
                if (fds[i].revents != 0)
                        events[n_events++] = event_of(&subscriptions[i]);
        }
        return store(memory, (uint32_t)arguments[3].i32, n_events);
}

/* What takes the place of Wasmtime's own; all have i32 only. */
struct function {
        const char *name;
        size_t n_parameters;
        int (*call)(const struct memory *memory, const wasmtime_val_raw_t *arguments);
};

static const struct function functions[] = {
        { "fd_read", 4, fd_read },
        { "fd_write", 4, fd_write },
        { "fd_close", 1, fd_close },
        { "fd_fdstat_get", 2, fd_fdstat_get },
        { "fd_fdstat_set_flags", 2, fd_fdstat_set_flags },
        { "sock_accept", 3, sock_accept },
        { "poll_oneoff", 4, poll_oneoff },
};

static wasm_trap_t *call(void *data, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n_values) {
        const struct function *function = data;
        struct memory memory = memory_of(caller);

        (void)n_values;
        values[0].i32 = function->call(&memory, values);
        return NULL;
}

static void check(wasmtime_error_t *error, const char *what) {
        wasm_name_t message;

        if (!error)
                return;
        wasmtime_error_message(error, &message);
        fprintf(stderr, "%.*s\n", (int)message.size, message.data);
        bench_die(what, 0);
}

static wasm_functype_t *type_of(const struct function *function) {
        wasm_valtype_vec_t parameters, results;

        wasm_valtype_vec_new_uninitialized(&parameters, function->n_parameters);
        for (size_t i = 0; i < function->n_parameters; ++i)
                parameters.data[i] = wasm_valtype_new_i32();
        wasm_valtype_vec_new_uninitialized(&results, 1);
        results.data[0] = wasm_valtype_new_i32();
        return wasm_functype_new(&parameters, &results);
}

static void link_functions(wasmtime_linker_t *linker) {
        check(wasmtime_linker_define_wasi(linker), "WASI");
        wasmtime_linker_allow_shadowing(linker, true);
        for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); ++i) {
                const struct function *function = &functions[i];
                wasm_functype_t *type = type_of(function);

                /* It is not written to: see call(). */
                check(wasmtime_linker_define_func_unchecked(linker, MODULE, strlen(MODULE), function->name,
                                                            strlen(function->name), type, call, (void *)function, NULL),
                      function->name);
                wasm_functype_delete(type);
        }
}

static uint8_t *read_module(const char *path, size_t *ret_length) {
        FILE *file = fopen(path, "rbe");
        uint8_t *bytes;
        long length;

        if (!file || fseek(file, 0, SEEK_END) < 0 || (length = ftell(file)) <= 0)
                bench_die(path, errno);
        rewind(file);
        bytes = malloc((size_t)length);
        if (!bytes || fread(bytes, 1, (size_t)length, file) != (size_t)length)
                bench_die(path, errno);
        (void)fclose(file);
        *ret_length = (size_t)length;
        return bytes;
}

static void run(wasmtime_context_t *context, wasmtime_linker_t *linker, const wasmtime_module_t *module) {
        wasm_trap_t *trap = NULL;
        wasmtime_func_t start;

        check(wasmtime_linker_module(linker, context, "", 0, module), "the module");
        check(wasmtime_linker_get_default(linker, context, "", 0, &start), "_start");
        check(wasmtime_func_call(context, &start, NULL, 0, NULL, 0, &trap), "the guest");
        if (trap)
                bench_die("the guest trapped", 0);
}

int main(int argc, char **argv) {
        wasm_engine_t *engine = wasm_engine_new();
        wasmtime_store_t *store = wasmtime_store_new(engine, NULL, NULL);
        wasmtime_linker_t *linker = wasmtime_linker_new(engine);
        wasi_config_t *wasi = wasi_config_new();
        wasmtime_module_t *module;
        uint8_t *bytes;
        size_t length;

        bench_init();
        if (argc < 2)
                bench_die("usage: inherited GUEST.wasm ARGUMENT...", 0);
        bytes = read_module(argv[1], &length);
        check(wasmtime_module_new(engine, bytes, length, &module), argv[1]);
        free(bytes);
        wasi_config_inherit_stderr(wasi);
        if (!wasi_config_set_argv(wasi, (size_t)argc - 1, (const char **)argv + 1))
                bench_die("arguments", EINVAL);
        link_functions(linker);
        check(wasmtime_context_set_wasi(wasmtime_store_context(store), wasi), "WASI");
        run(wasmtime_store_context(store), linker, module);

        wasmtime_module_delete(module);
        wasmtime_linker_delete(linker);
        wasmtime_store_delete(store);
        wasm_engine_delete(engine);
        return 0;
}
