/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/functions.h"

#include <assert.h>
#include <string.h>

#include "proto/wasi.h"
#include "shim/wasi/descriptor.h"
#include "shim/wasi/ext.h"
#include "shim/wasi/networking.h"
#include "shim/wasi/poll.h"
#include "shim/wasi/stdio.h"
#include "shim/wasi/stream.h"

#define NETWORKING "networking"
#define EXT "networking_ext"
#define PREVIEW1 "wasi_snapshot_preview1"

#define FILETYPE_REGULAR_FILE 4

#define BOTH (NB_WASI_IMPORT | NB_WASI_ENGINE)

/* Sets of kinds. */
#define PROTOCOL (1u << NB_DESCRIPTOR_PROTOCOL)
#define CONTROL (1u << NB_DESCRIPTOR_CONTROL)
#define CONNECTION (1u << NB_DESCRIPTOR_CONNECTION)
#define STREAM (1u << NB_DESCRIPTOR_STREAM)
#define SOCKETS (CONTROL | CONNECTION | STREAM)
#define NETWORK (PROTOCOL | SOCKETS)

typedef int handler(struct nb_call *call, struct nb_descriptor *descriptor);

struct function {
        struct nb_wasi_function public;
        int (*whole)(struct nb_call *call); /* serves every kind itself; the rest is unused then */
        handler *network;                   /* for the kinds of the set */
        unsigned network_kinds;
        int network_error; /* for the other network kinds; 0 stands for `notsup` */
        handler *stdio;    /* NULL: stdio_error */
        int stdio_error;
};

enum {
        FUNCTION_FD_CLOSE,
        FUNCTION_CLOCK_TIME_GET,
        FUNCTION_FD_FILESTAT_GET,
        FUNCTION_FD_TELL,
        FUNCTION_REST,
};

#define FILE_ONLY(name, parameters, error)                                                                             \
        { .public = { PREVIEW1, name, parameters, BOTH }, .stdio_error = (error) }

#define SOCKET_CALL(name, parameters, serve, kinds)                                                                    \
        {                                                                                                              \
                .public = { PREVIEW1, name, parameters, BOTH }, .network = (serve), .network_kinds = (kinds),          \
                .stdio_error = NB_WASI_ENOTSOCK                                                                        \
        }

#define MODULE_CALL(module, name, parameters, serve, kinds)                                                            \
        {                                                                                                              \
                .public = { module, name, parameters, NB_WASI_IMPORT }, .network = (serve), .network_kinds = (kinds),  \
                .stdio_error = NB_WASI_ENOTSOCK                                                                        \
        }

#define NETWORKING_CALL(name, parameters, serve, kinds) MODULE_CALL(NETWORKING, name, parameters, serve, kinds)
#define EXT_CALL(name, parameters, serve, kinds) MODULE_CALL(EXT, name, parameters, serve, kinds)

static const struct function functions[] = {
        [FUNCTION_FD_CLOSE] = { .public = { PREVIEW1, "fd_close", "d", BOTH }, .whole = nb_descriptor_close },
        [FUNCTION_CLOCK_TIME_GET] = { .public = { PREVIEW1, "clock_time_get", "ili", NB_WASI_ENGINE } },
        [FUNCTION_FD_FILESTAT_GET] = { .public = { PREVIEW1, "fd_filestat_get", "di", BOTH },
                                       .network = nb_descriptor_filestat_get,
                                       .network_kinds = NETWORK,
                                       .stdio = nb_descriptor_filestat_get },
        [FUNCTION_FD_TELL] = FILE_ONLY("fd_tell", "di", NB_WASI_ESPIPE),
        [FUNCTION_REST] = NETWORKING_CALL("open", "diiillir", nb_networking_open, PROTOCOL),
        NETWORKING_CALL("listen", "di", nb_networking_listen, CONTROL),
        NETWORKING_CALL("accept", "dr", nb_networking_accept, CONTROL),
        NETWORKING_CALL("connect", "diir", nb_networking_connect, CONTROL),
        NETWORKING_CALL("stream_create", "dllir", nb_networking_stream_create, CONNECTION),
        NETWORKING_CALL("stream_accept", "dr", nb_networking_stream_accept, CONNECTION),

        EXT_CALL("protocol_restrict", "diillr", nb_ext_protocol_restrict, PROTOCOL),
        EXT_CALL("local_address", "diii", nb_ext_local_address, SOCKETS),
        EXT_CALL("remote_address", "diii", nb_ext_remote_address, SOCKETS),
        EXT_CALL("tls_version", "diii", nb_ext_tls_version, SOCKETS),
        EXT_CALL("tls_cipher", "diii", nb_ext_tls_cipher, SOCKETS),
        EXT_CALL("tls_alpn", "diii", nb_ext_tls_alpn, SOCKETS),
        EXT_CALL("tls_peer_name", "diiii", nb_ext_tls_peer_name, SOCKETS),
        EXT_CALL("tls_resumed", "di", nb_ext_tls_resumed, SOCKETS),
        { .public = { EXT, "last_denial", "iii", NB_WASI_IMPORT }, .whole = nb_ext_last_denial },
        EXT_CALL("get_option", "dii", nb_ext_get_option, STREAM),
        EXT_CALL("set_option", "dii", nb_ext_set_option, STREAM),

        SOCKET_CALL("sock_accept", "dir", nb_networking_sock_accept, CONTROL),
        SOCKET_CALL("sock_recv", "diiiii", nb_stream_sock_recv, STREAM),
        SOCKET_CALL("sock_send", "diiii", nb_stream_sock_send, STREAM),
        SOCKET_CALL("sock_shutdown", "di", nb_stream_sock_shutdown, STREAM),

        { .public = { PREVIEW1, "poll_oneoff", "iiii", NB_WASI_IMPORT }, .whole = nb_poll_oneoff },
        { .public = { PREVIEW1, "fd_renumber", "dd", NB_WASI_IMPORT }, .whole = nb_descriptor_renumber },
        { .public = { PREVIEW1, "fd_read", "diii", BOTH },
          .network = nb_stream_read,
          .network_kinds = STREAM,
          .stdio = nb_stdio_read },
        { .public = { PREVIEW1, "fd_write", "diii", BOTH },
          .network = nb_stream_write,
          .network_kinds = STREAM,
          .stdio = nb_stdio_write },
        { .public = { PREVIEW1, "fd_fdstat_get", "di", BOTH },
          .network = nb_descriptor_fdstat_get,
          .network_kinds = NETWORK,
          .stdio = nb_descriptor_fdstat_get },
        { .public = { PREVIEW1, "fd_fdstat_set_flags", "di", BOTH },
          .network = nb_descriptor_fdstat_set_flags,
          .network_kinds = SOCKETS,
          .stdio = nb_descriptor_fdstat_set_flags },
        { .public = { PREVIEW1, "fd_fdstat_set_rights", "dll", BOTH },
          .network = nb_descriptor_fdstat_set_rights,
          .network_kinds = NETWORK,
          .stdio = nb_descriptor_fdstat_set_rights },
        /* wasi-libc exits, and Go panics, on any errno but `badf` here. */
        { .public = { PREVIEW1, "fd_prestat_get", "di", BOTH },
          .network = nb_descriptor_prestat_get,
          .network_kinds = PROTOCOL,
          .network_error = NB_WASI_EBADF,
          .stdio_error = NB_WASI_EBADF },
        { .public = { PREVIEW1, "fd_prestat_dir_name", "dii", BOTH },
          .network = nb_descriptor_prestat_dir_name,
          .network_kinds = PROTOCOL,
          .network_error = NB_WASI_EBADF,
          .stdio_error = NB_WASI_EBADF },

        FILE_ONLY("fd_advise", "dlli", NB_WASI_ESPIPE),
        FILE_ONLY("fd_allocate", "dll", NB_WASI_ESPIPE),
        FILE_ONLY("fd_datasync", "d", NB_WASI_EINVAL),
        FILE_ONLY("fd_filestat_set_size", "dl", NB_WASI_EINVAL),
        FILE_ONLY("fd_filestat_set_times", "dlli", NB_WASI_ENOTSUP),
        FILE_ONLY("fd_pread", "diili", NB_WASI_ESPIPE),
        FILE_ONLY("fd_pwrite", "diili", NB_WASI_ESPIPE),
        FILE_ONLY("fd_readdir", "diili", NB_WASI_ENOTDIR),
        FILE_ONLY("fd_seek", "dlii", NB_WASI_ESPIPE),
        FILE_ONLY("fd_sync", "d", NB_WASI_EINVAL),
        FILE_ONLY("path_create_directory", "dii", NB_WASI_ENOTDIR),
        FILE_ONLY("path_filestat_get", "diiii", NB_WASI_ENOTDIR),
        FILE_ONLY("path_filestat_set_times", "diiilli", NB_WASI_ENOTDIR),
        FILE_ONLY("path_link", "diiidii", NB_WASI_ENOTDIR),
        FILE_ONLY("path_open", "diiiillir", NB_WASI_ENOTDIR),
        FILE_ONLY("path_readlink", "diiiii", NB_WASI_ENOTDIR),
        FILE_ONLY("path_remove_directory", "dii", NB_WASI_ENOTDIR),
        FILE_ONLY("path_rename", "diidii", NB_WASI_ENOTDIR),
        FILE_ONLY("path_symlink", "iidii", NB_WASI_ENOTDIR),
        FILE_ONLY("path_unlink_file", "dii", NB_WASI_ENOTDIR),
};

#define N_FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

size_t nb_wasi_n_functions(void) {
        return N_FUNCTIONS;
}

const struct nb_wasi_function *nb_wasi_function(size_t index) {
        return index < N_FUNCTIONS ? &functions[index].public : NULL;
}

/* Calls the engine, which may move the memory. */
static int call_engine(struct nb_call *call, size_t index, const uint64_t *arguments) {
        int r;

        r = call->engine->call(call->data, index, arguments);
        nb_call_refresh(call);
        return r;
}

int nb_functions_close_engine_fd(struct nb_call *call, uint32_t engine_fd) {
        const uint64_t arguments[] = { engine_fd };

        return call_engine(call, FUNCTION_FD_CLOSE, arguments);
}

int nb_functions_clock_time(struct nb_call *call, uint32_t clock, uint32_t scratch, uint64_t *ret) {
        const uint64_t arguments[] = { clock, 1, scratch };
        uint8_t bytes[8];
        int r;

        if (!nb_call_covers(call, scratch, sizeof(bytes)))
                return NB_WASI_EFAULT;
        r = call_engine(call, FUNCTION_CLOCK_TIME_GET, arguments);
        if (r)
                return r;
        if (!nb_call_read(call, scratch, bytes, sizeof(bytes)))
                return NB_WASI_EFAULT;
        *ret = nb_le_u64(bytes);
        return NB_WASI_SUCCESS;
}

/* struct filestat: filetype u8 at 16, size u64 at 32. */
int nb_functions_file_left(struct nb_call *call, uint32_t engine_fd, uint32_t scratch, uint64_t *ret) {
        const uint64_t arguments[] = { engine_fd, scratch };
        uint8_t filestat[NB_FUNCTIONS_FILE_SCRATCH];
        uint8_t position[8];
        uint64_t size;
        int r;

        if (!nb_call_covers(call, scratch, sizeof(filestat)))
                return NB_WASI_EFAULT;
        r = call_engine(call, FUNCTION_FD_FILESTAT_GET, arguments);
        if (r)
                return r;
        if (!nb_call_read(call, scratch, filestat, sizeof(filestat)))
                return NB_WASI_EFAULT;
        if (filestat[16] != FILETYPE_REGULAR_FILE)
                return NB_WASI_ENOTSUP;
        r = call_engine(call, FUNCTION_FD_TELL, arguments);
        if (r)
                return r;
        if (!nb_call_read(call, scratch, position, sizeof(position)))
                return NB_WASI_EFAULT;
        size = nb_le_u64(filestat + 32);
        *ret = size > nb_le_u64(position) ? size - nb_le_u64(position) : 0;
        return NB_WASI_SUCCESS;
}

/* The errno of a function that does not serve a descriptor which is not the engine's. */
static int unserved(const struct function *function, const struct nb_descriptor *descriptor) {
        if (descriptor->kind == NB_DESCRIPTOR_STDIO)
                return function->stdio_error;
        return function->network_error ? function->network_error : NB_WASI_ENOTSUP;
}

/* Puts the engine's numbers in the place of the guest's. */
static int translate(const struct nb_call *call, uint64_t arguments[static NB_WASI_PARAMETERS_MAX]) {
        const struct function *function = &functions[call->index];
        const char *parameters = function->public.parameters;

        for (size_t i = 0; parameters[i]; ++i) {
                const struct nb_descriptor *descriptor;

                arguments[i] = parameters[i] == 'l' ? nb_call_u64(call, i) : nb_call_u32(call, i);
                if (parameters[i] != 'd')
                        continue;
                descriptor = nb_table_get(&call->guest->table, nb_call_u32(call, i));
                if (!descriptor)
                        return NB_WASI_EBADF;
                if (descriptor->kind != NB_DESCRIPTOR_ENGINE)
                        return unserved(function, descriptor);
                arguments[i] = descriptor->engine_fd;
        }
        return NB_WASI_SUCCESS;
}

/*
 * Whether a number can be that of a descriptor which the engine has just made. One that the guest has already cannot, nor the engine's
 * own standard streams where the guest has others; those of closed files and directories come again.
 */
static bool is_new(const struct nb_guest *guest, uint32_t engine_fd) {
        if (engine_fd < 3 && guest->stdio[engine_fd])
                return false;
        return !nb_table_holds_engine_fd(&guest->table, engine_fd);
}

/*
 * Gives a descriptor that the engine has just made, and stored for the guest, a number of the guest's. In a shared memory another thread
 * may have put another number there meanwhile: it gets the guest a descriptor that the engine holds for it and that it had lost, or
 * none. What cannot be new is not closed: it is in use.
 */
static int adopt(struct nb_call *call, uint32_t ret_pointer) {
        struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_ENGINE };
        uint32_t engine_fd;
        int close_error;
        int r;

        if (!nb_call_read_u32(call, ret_pointer, &engine_fd))
                return NB_WASI_EFAULT;
        if (!is_new(call->guest, engine_fd))
                return NB_WASI_EBADF;
        descriptor.engine_fd = engine_fd;
        r = nb_call_publish(call, ret_pointer, &descriptor);
        if (!r)
                return NB_WASI_SUCCESS;
        close_error = nb_functions_close_engine_fd(call, engine_fd);
        return close_error < 0 ? close_error : r;
}

static int pass_on(struct nb_call *call) {
        const char *parameters = functions[call->index].public.parameters;
        const char *ret_parameter = strchr(parameters, 'r');
        uint64_t arguments[NB_WASI_PARAMETERS_MAX];
        uint32_t ret_pointer = 0;
        int r;

        r = translate(call, arguments);
        if (r)
                return r;
        if (!ret_parameter)
                return call_engine(call, call->index, arguments);

        ret_pointer = nb_call_u32(call, (size_t)(ret_parameter - parameters));
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = call_engine(call, call->index, arguments);
        if (r)
                return r;
        return adopt(call, ret_pointer);
}

static int by_kind(struct nb_call *call, const struct function *function) {
        const char *parameters = function->public.parameters;
        size_t first = (size_t)(strchr(parameters, 'd') - parameters);
        struct nb_descriptor *descriptor = nb_table_get(&call->guest->table, nb_call_u32(call, first));

        if (!descriptor)
                return NB_WASI_EBADF;
        if (descriptor->kind == NB_DESCRIPTOR_ENGINE)
                return function->public.use & NB_WASI_ENGINE ? pass_on(call) : NB_WASI_ENOTSOCK;
        if (descriptor->kind == NB_DESCRIPTOR_STDIO && function->stdio)
                return function->stdio(call, descriptor);
        if (function->network_kinds & (1u << descriptor->kind))
                return function->network(call, descriptor);
        return unserved(function, descriptor);
}

int nb_guest_call(struct nb_guest *guest, const struct nb_engine *engine, void *data, size_t index,
                  const uint64_t *arguments) {
        struct nb_call call = {
                .guest = guest,
                .engine = engine,
                .data = data,
                .index = index,
                .arguments = arguments,
                .n_denials = nb_guest_n_denials(guest),
        };

        if (index >= N_FUNCTIONS || !(functions[index].public.use & NB_WASI_IMPORT))
                return NB_WASI_ENOSYS;
        nb_call_refresh(&call);
        if (functions[index].whole)
                return functions[index].whole(&call);
        return by_kind(&call, &functions[index]);
}
