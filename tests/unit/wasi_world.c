/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/wasi_world.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/wasi/call.h"
#include "tests/unit/fds.h"

#define TEXT 1024u

static struct nb_guest_memory memory(void *data) {
        struct world *world = data;

        return (struct nb_guest_memory){ world->memory, world->memory_size };
}

/* What the engine says of a file. @return whether the function asks for it */
static bool tell_of_file(struct world *world, const char *name, const uint64_t *arguments) {
        bool tell = strcmp(name, "fd_tell") == 0;
        uint8_t *place;

        if (!tell && strcmp(name, "fd_filestat_get") != 0)
                return false;
        place = world->memory + arguments[1];
        if (tell) {
                nb_le_put_u64(place, world->engine_tell);
                return true;
        }
        memset(place, 0xee, 64);
        place[16] = world->engine_filetype;
        nb_le_put_u64(place + 32, world->engine_size);
        return true;
}

static int call(void *data, size_t index, const uint64_t *arguments) {
        struct world *world = data;
        const struct nb_wasi_function *function = nb_wasi_function(index);
        const char *yields = strchr(function->parameters, 'r');
        uint64_t pointer;

        ck_assert(function->use & NB_WASI_ENGINE);
        world->engine_last = function->name;
        ++world->n_engine_calls;
        memcpy(world->engine_arguments, arguments, strlen(function->parameters) * sizeof(arguments[0]));
        if (world->engine_result != 0 || tell_of_file(world, function->name, arguments) || !yields)
                return world->engine_result;
        pointer = arguments[yields - function->parameters];
        nb_le_put_u32(world->memory + pointer, world->engine_new_fd);
        return 0;
}

static const struct nb_engine engine = { .memory = memory, .call = call };

static void open_session(struct world *world, const struct world_options *with) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        options.session_fd = scripted_broker_init(&world->broker);
        options.wait = scripted_broker_wait;
        options.wait_data = &world->broker;
        world->broker.inheriting = NB_RIGHTS_NETWORK & ~(NB_RIGHT_SOCK_LISTEN | NB_RIGHT_FD_WRITE);
        world->broker.preopens = with->preopens;
        world->broker.n_preopens = with->n_preopens;
        world->broker.make_stream = with->make_stream;
        ck_assert_int_eq(nb_session_open(&options, &world->session), 0);
}

void world_init(struct world *world, uint32_t max_descriptors) {
        const struct world_options options = { .max_descriptors = max_descriptors };

        world_init_with(world, &options);
}

void world_init_with(struct world *world, const struct world_options *with) {
        struct nb_guest_options options = NB_GUEST_OPTIONS_INIT;
        int input[2];
        int output[2];

        memset(world, 0, sizeof(*world));
        world->n_fds_before = count_fds();
        world->engine_result = WORLD_ENGINE_RESULT;
        world->memory_size = WORLD_MEMORY_SIZE;
        world->memory = calloc(1, world->memory_size);
        ck_assert_ptr_nonnull(world->memory);
        ck_assert_int_eq(pipe2(input, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
        world->stdio[0] = input[1];
        world->stdio[1] = output[0];
        world->guest_stdio[0] = input[0];
        world->guest_stdio[1] = output[1];
        open_session(world, with);
        options.session = world->session;
        options.n_directories = 2;
        options.max_descriptors = with->max_descriptors;
        options.stdio[0] = input[0];
        options.stdio[1] = output[1];
        options.stdio[2] = -1;
        options.wait = scripted_broker_wait;
        options.wait_data = &world->broker;
        ck_assert_int_eq(nb_guest_new(&options, &world->guest), 0);
}

void world_deinit(struct world *world) {
        nb_guest_free(world->guest);
        nb_session_free(world->session);
        scripted_broker_deinit(&world->broker);
        nb_fds_close(world->guest_stdio, 2);
        nb_fds_close(world->stdio, 2);
        free(world->memory);
        ck_assert_int_eq(count_fds(), world->n_fds_before);
}

int world_call_array(struct world *world, const char *name, const uint64_t *arguments) {
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                if (strcmp(nb_wasi_function(i)->name, name) == 0)
                        return nb_guest_call(world->guest, &engine, world, i, arguments);
        }
        ck_abort_msg("there is no function %s", name);
        return -1;
}

uint32_t world_call_ret_array(struct world *world, const char *name, const uint64_t *arguments) {
        int r = world_call_array(world, name, arguments);

        ck_assert_msg(r == NB_WASI_SUCCESS, "%s returned %d", name, r);
        return world_get_u32(world, WORLD_RET);
}

uint32_t world_get_u32(const struct world *world, uint32_t pointer) {
        return nb_le_u32(world->memory + pointer);
}

uint64_t world_get_u64(const struct world *world, uint32_t pointer) {
        return nb_le_u64(world->memory + pointer);
}

void world_put_u32(struct world *world, uint32_t pointer, uint32_t value) {
        nb_le_put_u32(world->memory + pointer, value);
}

void world_put_u64(struct world *world, uint32_t pointer, uint64_t value) {
        nb_le_put_u64(world->memory + pointer, value);
}

uint32_t world_put_text(struct world *world, uint32_t pointer, const char *text) {
        memcpy(world->memory + pointer, text, strlen(text));
        return (uint32_t)strlen(text);
}

void world_put_iovec(struct world *world, uint32_t pointer, uint32_t buffer, uint32_t length) {
        world_put_u32(world, pointer, buffer);
        world_put_u32(world, pointer + 4, length);
}

static uint32_t open_control(struct world *world, enum nb_socket_type type, uint32_t flags) {
        uint32_t length = world_put_text(world, TEXT, "any:0");

        return world_call_ret(world, "open", WORLD_PROTOCOL, TEXT, length, type, UINT64_MAX, UINT64_MAX, flags,
                              WORLD_RET);
}

uint32_t world_open(struct world *world, uint32_t flags) {
        return open_control(world, NB_SOCKET_STREAM, flags);
}

uint32_t world_listener(struct world *world, uint32_t flags) {
        uint32_t control = world_open(world, flags);

        ck_assert_int_eq(world_call(world, "listen", control, 8), NB_WASI_SUCCESS);
        return control;
}

static uint32_t connect_control(struct world *world, enum nb_socket_type type) {
        uint32_t control = open_control(world, type, 0);
        uint32_t length = world_put_text(world, TEXT, "peer:1");
        uint32_t connection = world_call_ret(world, "connect", control, TEXT, length, WORLD_RET);

        ck_assert_int_eq(world_call(world, "fd_close", control), NB_WASI_SUCCESS);
        return connection;
}

uint32_t world_connection(struct world *world) {
        return connect_control(world, NB_SOCKET_STREAM);
}

static uint32_t make_stream(struct world *world, enum nb_socket_type type, uint32_t flags) {
        uint32_t connection = connect_control(world, type);
        uint32_t stream = world_call_ret(world, "stream_create", connection, UINT64_MAX, UINT64_MAX, flags, WORLD_RET);

        ck_assert_int_eq(world_call(world, "fd_close", connection), NB_WASI_SUCCESS);
        return stream;
}

uint32_t world_stream(struct world *world, uint32_t flags) {
        return make_stream(world, NB_SOCKET_STREAM, flags);
}

uint32_t world_datagrams(struct world *world, uint32_t flags) {
        return make_stream(world, NB_SOCKET_DGRAM, flags);
}

uint32_t world_make(struct world *world, enum world_kind kind) {
        switch (kind) {
        case WORLD_KIND_STDIN:
                return 0;
        case WORLD_KIND_ENGINE:
                return 2;
        case WORLD_KIND_PROTOCOL:
                return WORLD_PROTOCOL;
        case WORLD_KIND_CONTROL:
                return world_open(world, NB_NONBLOCK);
        case WORLD_KIND_CONNECTION:
                return world_connection(world);
        case WORLD_KIND_STREAM:
                return world_stream(world, NB_NONBLOCK);
        case WORLD_N_KINDS:
                break;
        }
        ck_abort();
        return 0;
}

void world_on_wait(struct world *world, void (*function)(void *world)) {
        world->broker.on_wait = function;
        world->broker.on_wait_data = world;
}

void world_move_memory(struct world *world) {
        uint8_t *moved = malloc(2 * world->memory_size);

        ck_assert_ptr_nonnull(moved);
        memcpy(moved, world->memory, world->memory_size);
        memset(world->memory, 0xee, world->memory_size);
        free(world->memory);
        world->memory = moved;
        world->memory_size *= 2;
}

void world_peer_writes(struct world *world, const char *text) {
        ck_assert_int_eq(write(world->broker.peer, text, strlen(text)), (ssize_t)strlen(text));
}

int world_connect(struct world *world, uint32_t control, const char *address) {
        uint32_t length = world_put_text(world, WORLD_TEXT, address);

        return world_call(world, "connect", control, WORLD_TEXT, length, WORLD_RET);
}

int world_read(struct world *world, uint32_t fd, uint32_t length) {
        world_put_iovec(world, WORLD_IOVEC, WORLD_BUFFER, length);
        return world_call(world, "fd_read", fd, WORLD_IOVEC, 1, WORLD_RET);
}

int world_write(struct world *world, uint32_t fd, uint32_t length) {
        world_put_iovec(world, WORLD_IOVEC, WORLD_BUFFER, length);
        return world_call(world, "fd_write", fd, WORLD_IOVEC, 1, WORLD_RET);
}

int world_receive(struct world *world, uint32_t stream, uint32_t length, uint32_t riflags) {
        world_put_iovec(world, WORLD_IOVEC, WORLD_BUFFER, length);
        return world_call(world, "sock_recv", stream, WORLD_IOVEC, 1, riflags, WORLD_RET, WORLD_RET + 8);
}

uint16_t world_received_flags(const struct world *world) {
        return nb_le_u16(world->memory + WORLD_RET + 8);
}

void world_expect_bytes(const struct world *world, const char *text) {
        ck_assert_uint_eq(world_get_u32(world, WORLD_RET), strlen(text));
        ck_assert_mem_eq(world->memory + WORLD_BUFFER, text, strlen(text));
}

void world_subscribe(struct world *world, uint32_t index, uint8_t type, uint32_t fd) {
        uint32_t at = WORLD_SUBSCRIPTIONS + 48 * index;

        memset(world->memory + at, 0, 48);
        world_put_u64(world, at, 1000 + index);
        world->memory[at + 8] = type;
        world_put_u32(world, at + 16, fd);
}

void world_subscribe_clock(struct world *world, uint32_t index, uint32_t clock, uint64_t timeout, uint16_t flags) {
        uint32_t at = WORLD_SUBSCRIPTIONS + 48 * index;

        world_subscribe(world, index, WORLD_CLOCK, clock);
        world_put_u64(world, at + 24, timeout);
        nb_le_put_u16(world->memory + at + 40, flags);
}

uint32_t world_poll(struct world *world, uint32_t n) {
        return world_call_ret(world, "poll_oneoff", WORLD_SUBSCRIPTIONS, WORLD_EVENTS, n, WORLD_RET);
}

uint32_t world_poll_one(struct world *world, uint8_t type, uint32_t fd) {
        world_subscribe(world, 0, type, fd);
        world_subscribe_clock(world, 1, 1, 0, 0);
        return world_poll(world, 2) - 1; /* the clock is always ready */
}

struct world_event world_event(const struct world *world, uint32_t index) {
        uint32_t at = WORLD_EVENTS + 32 * index;

        return (struct world_event){
                .userdata = world_get_u64(world, at),
                .error = nb_le_u16(world->memory + at + 8),
                .type = world->memory[at + 10],
                .nbytes = world_get_u64(world, at + 16),
                .flags = nb_le_u16(world->memory + at + 24),
        };
}
