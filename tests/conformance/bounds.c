/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds: each pointer, length, count and enumerated value of each function, at its last good value and beyond.
 *
 * A call that is good is made again and again, each time with one argument changed and a new descriptor. Everything it points to lies in
 * a page of memory at the very end, so that the edge is near, and nobody else's. Where an errno is returned, that page must be as it was
 * and no descriptor may have been made; where the call is good, its place at the edge was good. Nothing may trap.
 *
 * The last line says how much was tried and how many failed.
 */
#include "tests/conformance/conformance.h"
#include "tests/conformance/raw.h"

#define PAGE 65536u
#define PLACE 4096u /* of an argument in the page */

#define BEYOND UINT32_MAX

enum role {
        ROLE_NONE,
        ROLE_DESCRIPTOR,
        ROLE_VALUE,
        ROLE_FIXED,   /* a pointer to so many bytes */
        ROLE_BYTES,   /* a pointer; how many bytes, the next argument says */
        ROLE_VECTORS, /* a pointer; how many iovecs, the next argument says */
};

struct argument {
        enum role role;
        uint64_t value;      /* or the size, or the length, or the count */
        const void *content; /* NULL: the function writes there */
};

/* What the first argument is. */
enum subject {
        SUBJECT_NONE,
        SUBJECT_PROTOCOL,
        SUBJECT_CONTROL,
        SUBJECT_WAITING,
        SUBJECT_CONNECTION,
        SUBJECT_STREAM,
        SUBJECT_READABLE,
};

struct function {
        const char *name;
        raw_function *call;
        enum subject subject;
        struct argument arguments[RAW_ARGUMENTS_MAX];
};

struct world {
        struct listener listener;
        uint32_t end; /* of the memory */
        uint8_t *page;
        const char *what; /* is being tried */
        unsigned n_tried;
        unsigned n_failed;
};

static const __wasi_subscription_t clock_in_the_past = {
        .u = { .tag = __WASI_EVENTTYPE_CLOCK, .u.clock = { .id = __WASI_CLOCKID_MONOTONIC } },
};

#define D                                                                                                              \
        { .role = ROLE_DESCRIPTOR }
#define V(number)                                                                                                      \
        { .role = ROLE_VALUE, .value = (number) }
#define OUT(size)                                                                                                      \
        { .role = ROLE_FIXED, .value = (size) }
#define IN(object)                                                                                                     \
        { .role = ROLE_FIXED, .value = sizeof(object), .content = &(object) }
#define TEXT(text) { .role = ROLE_BYTES, .value = sizeof(text) - 1, .content = (text) }, V(sizeof(text) - 1)
#define BUFFER(size) { .role = ROLE_BYTES, .value = (size) }, V(size)
#define VECTOR { .role = ROLE_VECTORS, .value = 1 }, V(1)
#define RIGHTS_CONTROL V(WASI_NETWORKING_RIGHTS_SERVER | WASI_NETWORKING_RIGHTS_CLIENT)
#define RIGHTS_STREAM V(WASI_NETWORKING_RIGHTS_STREAM)
#define FUNCTION(name, subject, ...)                                                                                   \
        {                                                                                                              \
#name, raw_##name, SUBJECT_##subject, {                                                                \
                        __VA_ARGS__                                                                                    \
                }                                                                                                      \
        }

static const struct function functions[] = {
        FUNCTION(open, PROTOCOL, D, TEXT("0.0.0.0:0"), V(__WASI_FILETYPE_SOCKET_STREAM), RIGHTS_CONTROL, RIGHTS_STREAM,
                 V(0), OUT(4)),
        FUNCTION(accept, WAITING, D, OUT(4)),
        FUNCTION(stream_create, CONNECTION, D, RIGHTS_STREAM, V(0), V(0), OUT(4)),
        FUNCTION(stream_accept, CONNECTION, D, OUT(4)),
        FUNCTION(protocol_restrict, PROTOCOL, D, TEXT("Connect=127.0.0.1:*"), RIGHTS_CONTROL, RIGHTS_STREAM, OUT(4)),
        FUNCTION(local_address, STREAM, D, BUFFER(64), OUT(4)),
        FUNCTION(remote_address, STREAM, D, BUFFER(64), OUT(4)),
        FUNCTION(last_denial, NONE, BUFFER(64), OUT(4)),
        FUNCTION(get_option, STREAM, D, V(__WASI_NETWORKING_OPTION_ERROR), OUT(4)),
        FUNCTION(sock_accept, WAITING, D, V(0), OUT(4)),
        FUNCTION(sock_recv, READABLE, D, VECTOR, V(0), OUT(4), OUT(2)),
        FUNCTION(sock_send, STREAM, D, VECTOR, V(0), OUT(4)),
        FUNCTION(fd_read, READABLE, D, VECTOR, OUT(4)),
        FUNCTION(fd_write, STREAM, D, VECTOR, OUT(4)),
        FUNCTION(fd_fdstat_get, STREAM, D, OUT(24)),
        FUNCTION(fd_filestat_get, STREAM, D, OUT(64)),
        FUNCTION(fd_prestat_get, PROTOCOL, D, OUT(8)),
        FUNCTION(fd_prestat_dir_name, PROTOCOL, D, BUFFER(16)),
        FUNCTION(poll_oneoff, NONE, IN(clock_in_the_past), OUT(32), V(1), OUT(4)),
};

#define N_FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

/* ---- one try ---- */

static __wasi_fd_t waiting(struct world *world) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");

        (void)world;
        (void)stream_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, 0);
        await_readable(listener.control);
        return listener.control;
}

static __wasi_fd_t readable(struct world *world) {
        struct ends ends = ends_open(&world->listener, __WASI_FDFLAGS_NONBLOCK);

        send_text(ends.theirs, "12345678");
        await_readable(ends.ours);
        return ends.ours;
}

static __wasi_fd_t make(struct world *world, enum subject subject) {
        switch (subject) {
        case SUBJECT_PROTOCOL:
                return protocol(PROTOCOL_IP);
        case SUBJECT_CONTROL:
                return client_open("0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, 0);
        case SUBJECT_WAITING:
                return waiting(world);
        case SUBJECT_CONNECTION:
                return connection_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM);
        case SUBJECT_STREAM:
                return stream_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, __WASI_FDFLAGS_NONBLOCK);
        case SUBJECT_READABLE:
                return readable(world);
        case SUBJECT_NONE:
                break;
        }
        return -1;
}

/* Puts all that is pointed to into the page, each argument at a place of its own, and fills in the arguments. */
static void set_up(const struct world *world, const struct function *function, uint64_t arguments[RAW_ARGUMENTS_MAX]) {
        memset(world->page, 0x5a, PAGE);
        for (size_t i = 0; i < RAW_ARGUMENTS_MAX; ++i) {
                const struct argument *argument = &function->arguments[i];
                uint8_t *place = world->page + i * PLACE;

                arguments[i] = argument->value;
                if (argument->role < ROLE_FIXED)
                        continue;
                arguments[i] = (uintptr_t)place;
                if (argument->role == ROLE_VECTORS)
                        memcpy(place, &(__wasi_iovec_t){ .buf = place + PLACE / 2, .buf_len = 8 }, 8);
                else if (argument->content)
                        memcpy(place, argument->content, argument->value);
        }
}

static bool is_expected(int32_t error, int expected) {
        return expected >= 0 ? error == expected : error != -expected;
}

/*
 * Makes the call and looks for traces. @param expected  an errno, or the negative of one: any but that
 */
static void try_call(struct world *world, const struct function *function, uint64_t arguments[RAW_ARGUMENTS_MAX],
                     int expected) {
        static uint8_t before[PAGE];
        __wasi_fd_t first = lowest_free(), free_before;
        int32_t error;
        bool traces;

        if (function->subject != SUBJECT_NONE && function->arguments[0].role == ROLE_DESCRIPTOR)
                arguments[0] = (uint32_t)make(world, function->subject);
        free_before = lowest_free();
        memcpy(before, world->page, PAGE);
        error = function->call(arguments);
        /* Of a text that does not fit, the length is told. */
        traces = error && error != __WASI_ERRNO_NAMETOOLONG &&
                 (memcmp(before, world->page, PAGE) != 0 || lowest_free() != free_before);
        ++world->n_tried;
        if (!is_expected(error, expected) || traces) {
                ++world->n_failed;
                fprintf(stderr, "FAILED %s, %s: %d%s\n", function->name, world->what, (int)error,
                        traces ? ", which left traces" : "");
        }
        for (__wasi_fd_t fd = first; fd < first + 16; ++fd)
                (void)__wasi_fd_close(fd);
}

/* A good call but for one argument. */
static void try_with(struct world *world, const struct function *function, size_t index, uint64_t value,
                     const char *what, int expected) {
        uint64_t arguments[RAW_ARGUMENTS_MAX];

        set_up(world, function, arguments);
        arguments[index] = value;
        world->what = what;
        try_call(world, function, arguments, expected);
}

/* ---- pointers ---- */

/* The argument at the last place that has room for it. */
static void try_last_place(struct world *world, const struct function *function, size_t index, uint32_t size) {
        uint64_t arguments[RAW_ARGUMENTS_MAX];
        uint32_t place = world->end - size;

        set_up(world, function, arguments);
        memcpy((void *)(uintptr_t)place, (const void *)(uintptr_t)arguments[index], size);
        arguments[index] = place;
        world->what = "a pointer to the last place";
        try_call(world, function, arguments, __WASI_ERRNO_SUCCESS);
}

static void try_pointer(struct world *world, const struct function *function, size_t index, uint32_t size) {
        try_last_place(world, function, index, size);
        try_with(world, function, index, world->end - size + 1, "a pointer one byte beyond", __WASI_ERRNO_FAULT);
        try_with(world, function, index, world->end, "a pointer to the end", __WASI_ERRNO_FAULT);
        try_with(world, function, index, BEYOND, "the last pointer", __WASI_ERRNO_FAULT);
        try_with(world, function, index, BEYOND - size + 1, "a pointer whose end is 2^32", __WASI_ERRNO_FAULT);
        try_with(world, function, index, UINT32_C(0x80000000), "a pointer with the sign bit", __WASI_ERRNO_FAULT);
}

/* A count of items of `size` bytes behind the pointer at `index`. */
static void try_count(struct world *world, const struct function *function, size_t index, uint32_t size) {
        uint32_t place = (uint32_t)(uintptr_t)world->page + (uint32_t)index * PLACE;
        uint64_t arguments[RAW_ARGUMENTS_MAX];

        try_with(world, function, index + 1, BEYOND, "the highest count", __WASI_ERRNO_FAULT);
        try_with(world, function, index + 1, UINT32_C(0x80000000), "a count with the sign bit", __WASI_ERRNO_FAULT);
        try_with(world, function, index + 1, (world->end - place) / size + 1, "a count one too high",
                 __WASI_ERRNO_FAULT);
        try_with(world, function, index + 1, BEYOND / size + 1 - place / size, "a count whose end is 2^32",
                 __WASI_ERRNO_FAULT);
        if (size > 1)
                try_with(world, function, index + 1, BEYOND / size + 1, "a count whose product is 2^32",
                         __WASI_ERRNO_FAULT);

        set_up(world, function, arguments);
        arguments[index] = world->end;
        arguments[index + 1] = 0;
        world->what = "nothing at the end";
        try_call(world, function, arguments, -__WASI_ERRNO_FAULT);
        set_up(world, function, arguments);
        arguments[index] = world->end + 1;
        arguments[index + 1] = 0;
        world->what = "nothing beyond the end";
        try_call(world, function, arguments, __WASI_ERRNO_FAULT);
}

/* What an iovec says. */
static void try_vector(struct world *world, const struct function *function, size_t index, uint32_t pointer,
                       uint32_t length, const char *what, int expected) {
        uint64_t arguments[RAW_ARGUMENTS_MAX];
        uint32_t values[] = { pointer, length };

        set_up(world, function, arguments);
        memcpy((void *)(uintptr_t)arguments[index], values, sizeof(values));
        world->what = what;
        try_call(world, function, arguments, expected);
}

static void try_vectors(struct world *world, const struct function *function, size_t index) {
        uint32_t place = (uint32_t)(uintptr_t)world->page;

        try_vector(world, function, index, world->end - 8, 8, "a buffer at the last place", __WASI_ERRNO_SUCCESS);
        try_vector(world, function, index, world->end - 7, 8, "a buffer one byte beyond", __WASI_ERRNO_FAULT);
        try_vector(world, function, index, world->end, 1, "a buffer at the end", __WASI_ERRNO_FAULT);
        try_vector(world, function, index, BEYOND, 1, "a buffer whose end is 2^32", __WASI_ERRNO_FAULT);
        try_vector(world, function, index, place, BEYOND, "a buffer of the highest length", __WASI_ERRNO_FAULT);
        try_vector(world, function, index, place, BEYOND - place + 1, "a buffer that ends at 2^32", __WASI_ERRNO_FAULT);
        try_vector(world, function, index, world->end, 0, "an empty buffer at the end", __WASI_ERRNO_SUCCESS);
}

static void try_pointers(struct world *world, const struct function *function) {
        for (size_t i = 0; i < RAW_ARGUMENTS_MAX; ++i) {
                const struct argument *argument = &function->arguments[i];

                switch (argument->role) {
                case ROLE_FIXED:
                        try_pointer(world, function, i, (uint32_t)argument->value);
                        break;
                case ROLE_BYTES:
                        try_pointer(world, function, i, (uint32_t)argument->value);
                        try_count(world, function, i, 1);
                        break;
                case ROLE_VECTORS:
                        try_pointer(world, function, i, 8);
                        try_count(world, function, i, 8);
                        try_vectors(world, function, i);
                        break;
                case ROLE_NONE:
                case ROLE_DESCRIPTOR:
                case ROLE_VALUE:
                        break;
                }
        }
}

/* ---- numbers ---- */

static const struct function numbers[] = {
        FUNCTION(open, PROTOCOL, D, TEXT("0.0.0.0:0"), V(__WASI_FILETYPE_SOCKET_STREAM), RIGHTS_CONTROL, RIGHTS_STREAM,
                 V(0), OUT(4)),
        FUNCTION(listen, WAITING, D, V(1)),
        FUNCTION(stream_create, CONNECTION, D, RIGHTS_STREAM, V(0), V(0), OUT(4)),
        FUNCTION(sock_accept, WAITING, D, V(0), OUT(4)),
        FUNCTION(sock_recv, READABLE, D, VECTOR, V(0), OUT(4), OUT(2)),
        FUNCTION(sock_send, STREAM, D, VECTOR, V(0), OUT(4)),
        FUNCTION(sock_shutdown, STREAM, D, V(__WASI_SDFLAGS_WR)),
        FUNCTION(fd_fdstat_set_flags, STREAM, D, V(0)),
        FUNCTION(fd_fdstat_set_rights, STREAM, D, V(0), V(0)),
        FUNCTION(poll_oneoff, NONE, IN(clock_in_the_past), OUT(32), V(1), OUT(4)),
        FUNCTION(connect, CONTROL, D, TEXT("127.0.0.1:1x"), OUT(4)),
        FUNCTION(get_option, STREAM, D, V(__WASI_NETWORKING_OPTION_ERROR), OUT(4)),
        FUNCTION(set_option, STREAM, D, V(__WASI_NETWORKING_OPTION_TCP_NODELAY), V(1)),
};

/* What an argument that is no pointer may be, and may not. */
static const struct {
        raw_function *call;
        uint8_t index;
        uint64_t value;
        __wasi_errno_t expected;
} values[] = {
        { raw_open, 3, 0, __WASI_ERRNO_INVAL },
        { raw_open, 3, __WASI_FILETYPE_REGULAR_FILE, __WASI_ERRNO_INVAL },
        { raw_open, 3, 7, __WASI_ERRNO_INVAL },
        { raw_open, 3, 256 + __WASI_FILETYPE_SOCKET_STREAM, __WASI_ERRNO_INVAL },
        { raw_open, 3, BEYOND, __WASI_ERRNO_INVAL },
        { raw_open, 4, UINT64_MAX, __WASI_ERRNO_SUCCESS },
        { raw_open, 5, UINT64_MAX, __WASI_ERRNO_SUCCESS },
        { raw_open, 4, 0, __WASI_ERRNO_SUCCESS },
        { raw_open, 6, __WASI_FDFLAGS_NONBLOCK, __WASI_ERRNO_SUCCESS },
        { raw_open, 6, __WASI_FDFLAGS_APPEND, __WASI_ERRNO_NOTSUP },
        { raw_open, 6, 0x20, __WASI_ERRNO_INVAL },
        { raw_open, 6, 0x10000, __WASI_ERRNO_INVAL },
        { raw_open, 6, BEYOND, __WASI_ERRNO_INVAL },
        { raw_open, 2, 513, __WASI_ERRNO_INVAL },
        { raw_open, 2, 512, __WASI_ERRNO_INVAL },
        { raw_listen, 1, 0, __WASI_ERRNO_SUCCESS },
        { raw_listen, 1, BEYOND, __WASI_ERRNO_SUCCESS },
        { raw_stream_create, 1, UINT64_MAX, __WASI_ERRNO_SUCCESS },
        { raw_stream_create, 2, UINT64_MAX, __WASI_ERRNO_SUCCESS },
        { raw_stream_create, 3, __WASI_FDFLAGS_NONBLOCK, __WASI_ERRNO_SUCCESS },
        { raw_stream_create, 3, __WASI_FDFLAGS_SYNC, __WASI_ERRNO_NOTSUP },
        { raw_stream_create, 3, 0x20, __WASI_ERRNO_INVAL },
        { raw_stream_create, 3, BEYOND, __WASI_ERRNO_INVAL },
        { raw_sock_accept, 1, 0x20, __WASI_ERRNO_INVAL },
        { raw_sock_accept, 1, BEYOND, __WASI_ERRNO_INVAL },
        { raw_sock_recv, 3, 3, __WASI_ERRNO_SUCCESS },
        { raw_sock_recv, 3, 4, __WASI_ERRNO_INVAL },
        { raw_sock_recv, 3, BEYOND, __WASI_ERRNO_INVAL },
        { raw_sock_send, 3, 1, __WASI_ERRNO_INVAL },
        { raw_sock_send, 3, BEYOND, __WASI_ERRNO_INVAL },
        { raw_sock_shutdown, 1, 3, __WASI_ERRNO_SUCCESS },
        { raw_sock_shutdown, 1, 0, __WASI_ERRNO_INVAL },
        { raw_sock_shutdown, 1, 4, __WASI_ERRNO_INVAL },
        { raw_sock_shutdown, 1, 0x102, __WASI_ERRNO_INVAL },
        { raw_sock_shutdown, 1, BEYOND, __WASI_ERRNO_INVAL },
        { raw_fd_fdstat_set_flags, 1, 0x20, __WASI_ERRNO_INVAL },
        { raw_fd_fdstat_set_flags, 1, BEYOND, __WASI_ERRNO_INVAL },
        { raw_fd_fdstat_set_rights, 1, UINT64_MAX, __WASI_ERRNO_NOTCAPABLE },
        { raw_fd_fdstat_set_rights, 2, UINT64_MAX, __WASI_ERRNO_NOTCAPABLE },
        { raw_poll_oneoff, 2, 0, __WASI_ERRNO_INVAL },
        { raw_poll_oneoff, 2, 65537, __WASI_ERRNO_INVAL },
        { raw_poll_oneoff, 2, UINT32_C(0x05555556), __WASI_ERRNO_INVAL },
        { raw_poll_oneoff, 2, BEYOND, __WASI_ERRNO_INVAL },
        { raw_poll_oneoff, 2, 65536, __WASI_ERRNO_FAULT },
        { raw_connect, 2, 0, __WASI_ERRNO_INVAL },
        { raw_connect, 2, 512, __WASI_ERRNO_INVAL },
        { raw_connect, 2, 513, __WASI_ERRNO_INVAL },
        { raw_connect, 2, BEYOND, __WASI_ERRNO_FAULT },
        { raw_connect, 1, BEYOND, __WASI_ERRNO_FAULT },
        { raw_get_option, 1, 0, __WASI_ERRNO_INVAL },
        { raw_get_option, 1, 10, __WASI_ERRNO_INVAL },
        { raw_get_option, 1, UINT32_C(0x80000001), __WASI_ERRNO_INVAL },
        { raw_set_option, 1, BEYOND, __WASI_ERRNO_INVAL },
        { raw_set_option, 2, 2, __WASI_ERRNO_INVAL },
        { raw_set_option, 2, BEYOND, __WASI_ERRNO_INVAL },
};

static const struct function *find(raw_function *call) {
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i) {
                if (numbers[i].call == call)
                        return &numbers[i];
        }
        FAIL("a value of a function that is not in the table");
}

static void try_values(struct world *world) {
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); ++i) {
                char what[64];

                snprintf(what, sizeof(what), "argument %u is 0x%llx", values[i].index,
                         (unsigned long long)values[i].value);
                try_with(world, find(values[i].call), values[i].index, values[i].value, what, values[i].expected);
        }
}

/* ---- descriptors ---- */

#define NUMBERED(name)                                                                                                 \
        { #name, raw_##name }

/* Every function whose first argument is a descriptor; path_symlink's is its third. */
static const struct {
        const char *name;
        raw_function *call;
} descriptor_functions[] = {
        NUMBERED(open),
        NUMBERED(listen),
        NUMBERED(accept),
        NUMBERED(connect),
        NUMBERED(stream_create),
        NUMBERED(stream_accept),
        NUMBERED(local_address),
        NUMBERED(remote_address),
        NUMBERED(tls_version),
        NUMBERED(tls_cipher),
        NUMBERED(tls_alpn),
        NUMBERED(tls_peer_name),
        NUMBERED(tls_resumed),
        NUMBERED(get_option),
        NUMBERED(set_option),
        NUMBERED(sock_accept),
        NUMBERED(sock_recv),
        NUMBERED(sock_send),
        NUMBERED(sock_shutdown),
        NUMBERED(fd_read),
        NUMBERED(fd_write),
        NUMBERED(fd_close),
        NUMBERED(fd_renumber),
        NUMBERED(fd_fdstat_get),
        NUMBERED(fd_fdstat_set_flags),
        NUMBERED(fd_fdstat_set_rights),
        NUMBERED(fd_filestat_get),
        NUMBERED(fd_prestat_get),
        NUMBERED(fd_prestat_dir_name),
        NUMBERED(fd_advise),
        NUMBERED(fd_allocate),
        NUMBERED(fd_datasync),
        NUMBERED(fd_sync),
        NUMBERED(fd_filestat_set_size),
        NUMBERED(fd_filestat_set_times),
        NUMBERED(fd_pread),
        NUMBERED(fd_pwrite),
        NUMBERED(fd_readdir),
        NUMBERED(fd_seek),
        NUMBERED(fd_tell),
        NUMBERED(path_create_directory),
        NUMBERED(path_filestat_get),
        NUMBERED(path_filestat_set_times),
        NUMBERED(path_link),
        NUMBERED(path_open),
        NUMBERED(path_readlink),
        NUMBERED(path_remove_directory),
        NUMBERED(path_rename),
        NUMBERED(path_symlink),
        NUMBERED(path_unlink_file),
};

#define N_DESCRIPTOR_FUNCTIONS (sizeof(descriptor_functions) / sizeof(descriptor_functions[0]))

/* Numbers that no descriptor has, with every pointer beyond the memory: nothing looks at those then. */
static void try_descriptors(struct world *world) {
        static const uint32_t none[] = { 1000, 262143, 262144, 0x7fffffff, UINT32_C(0x80000000), UINT32_MAX };

        for (size_t i = 0; i < N_DESCRIPTOR_FUNCTIONS; ++i) {
                struct function function = { .name = descriptor_functions[i].name,
                                             .call = descriptor_functions[i].call };

                for (size_t j = 0; j < sizeof(none) / sizeof(none[0]); ++j) {
                        uint64_t arguments[RAW_ARGUMENTS_MAX];

                        for (size_t k = 0; k < RAW_ARGUMENTS_MAX; ++k)
                                arguments[k] = BEYOND;
                        arguments[function.call == raw_path_symlink ? 2 : 0] = none[j];
                        world->what = "a number that is no descriptor";
                        try_call(world, &function, arguments, __WASI_ERRNO_BADF);
                }
        }
}

/* The functions of files begin with fd_advise. */
static size_t first_file_function(void) {
        size_t i = 0;

        while (descriptor_functions[i].call != raw_fd_advise)
                ++i;
        return i;
}

/* Functions of files on a stream, with every pointer beyond the memory: nothing looks at those either. */
static void try_file_functions(struct world *world) {
        for (size_t i = first_file_function(); i < N_DESCRIPTOR_FUNCTIONS; ++i) {
                struct function function = { .name = descriptor_functions[i].name,
                                             .call = descriptor_functions[i].call };
                uint64_t arguments[RAW_ARGUMENTS_MAX];

                for (size_t k = 0; k < RAW_ARGUMENTS_MAX; ++k)
                        arguments[k] = BEYOND;
                arguments[function.call == raw_path_symlink ? 2 : 0] = (uint32_t)make(world, SUBJECT_STREAM);
                world->what = "a function of files on a stream";
                try_call(world, &function, arguments, __WASI_ERRNO_NOTSUP);
        }
}

/* ---- a memory that grows ---- */

/* What was beyond the end is inside once the memory has grown. */
static void try_growth(struct world *world) {
        for (size_t i = 0; i < N_FUNCTIONS; ++i) {
                uint32_t end = world->end;

                for (size_t j = 0; j < RAW_ARGUMENTS_MAX; ++j) {
                        if (functions[i].arguments[j].role == ROLE_FIXED && !functions[i].arguments[j].content)
                                try_with(world, &functions[i], j, end, "a result at the end", __WASI_ERRNO_FAULT);
                }
                CHECK(__builtin_wasm_memory_grow(0, 1) != SIZE_MAX);
                world->end += PAGE;
                for (size_t j = 0; j < RAW_ARGUMENTS_MAX; ++j) {
                        if (functions[i].arguments[j].role == ROLE_FIXED && !functions[i].arguments[j].content)
                                try_with(world, &functions[i], j, end, "a result where memory has grown",
                                         __WASI_ERRNO_SUCCESS);
                }
        }
}

int main(void) {
        struct world world = { .listener = listener_open(PROTOCOL_IP, "127.0.0.1:0") };
        size_t pages;

        (void)getenv(FOLDER); /* what libc allocates for the environment is below our page */
        pages = __builtin_wasm_memory_grow(0, 1);
        CHECK(pages != SIZE_MAX);
        world.page = (uint8_t *)(uintptr_t)(pages * PAGE);
        world.end = (uint32_t)(pages + 1) * PAGE;

        for (size_t i = 0; i < N_FUNCTIONS; ++i)
                try_pointers(&world, &functions[i]);
        try_values(&world);
        try_descriptors(&world);
        try_file_functions(&world);
        try_growth(&world);
        fprintf(stderr, "bounds: %u calls, %u failed\n", world.n_tried, world.n_failed);
        return world.n_failed > 0;
}
