/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that calls anything with anything (abuse case 28): random functions, descriptors, pointers and lengths, the same in every run.
 *
 * Its memory is an allocation of just its size, so that a sanitizer sees one byte too far. In each wait, and in each call of the
 * engine, it may have moved, grown or shrunk, and other bytes may stand in it, as another thread of a guest could have written them.
 * The engine succeeds, fails or traps, and names descriptors that it cannot have.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/client/control.h"
#include "shim/wasi/call.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/unit/socket_pairs.h"
#include "tests/unit/wasi_world.h"

#define N_SEEDS 4
#define N_CALLS 4000

#define TRAP (-ECANCELED)
#define MAX_DESCRIPTORS 24u
#define MEMORY_SIZE 32768u
#define N_PEERS 8u

/* Nothing of this test waits longer. */
#define PATIENCE_NS INT64_C(100000)

/* Where the arguments of calls are prepared; results may overwrite them. */
#define ADDRESSES 512u
#define IOVECS 1024u
#define SUBSCRIPTIONS 12288u

#define N_IOVECS 16u
#define N_SUBSCRIPTIONS 24u

struct play {
        struct world world;
        uint64_t random;
        bool trapped; /* in the call that is under way */
        int peers[N_PEERS];
};

static uint64_t below(struct play *play, uint64_t n) {
        return next_random(&play->random) % n;
}

static bool one_in(struct play *play, uint64_t n) {
        return below(play, n) == 0;
}

/* ---- the memory ---- */

static void put(struct play *play, uint32_t pointer, const void *bytes, size_t length) {
        if (pointer <= play->world.memory_size && length <= play->world.memory_size - pointer)
                memcpy(play->world.memory + pointer, bytes, length);
}

static void put_u32(struct play *play, uint32_t pointer, uint32_t value) {
        uint8_t bytes[4];

        nb_le_put_u32(bytes, value);
        put(play, pointer, bytes, sizeof(bytes));
}

static uint32_t random_pointer(struct play *play) {
        static const uint32_t edges[] = { 0, 1, 8, UINT32_MAX, UINT32_MAX - 3, UINT32_MAX - 47, INT32_MAX, 65536 };
        uint32_t size = (uint32_t)play->world.memory_size;

        switch (below(play, 8)) {
        case 0:
                return PICK(&play->random, edges);
        case 1:
                return size - (uint32_t)below(play, 80);
        case 2:
                return (uint32_t)next_random(&play->random);
        default:
                return (uint32_t)below(play, size);
        }
}

static uint32_t random_length(struct play *play) {
        static const uint32_t edges[] = { 0,     1,     48,    512,       513,      1024,      1025,
                                          65535, 65536, 65537, INT32_MAX, 1u << 31, UINT32_MAX };

        return one_in(play, 4) ? PICK(&play->random, edges) : (uint32_t)below(play, 300);
}

static uint32_t random_descriptor(struct play *play) {
        return one_in(play, 20) ? random_pointer(play) : (uint32_t)below(play, MAX_DESCRIPTORS + 1);
}

/* Iovecs, addresses and subscriptions that mostly make sense. */
static void prepare_memory(struct play *play) {
        static const char *const addresses[] = { "peer:1", "denied:1", "held:1", "refused:1", "any:0", "\xff\xfe" };
        const char *address = PICK(&play->random, addresses);

        put(play, ADDRESSES, address, strlen(address));
        for (uint32_t i = 0; i < N_IOVECS; ++i) {
                bool sound = !one_in(play, 32);

                put_u32(play, IOVECS + 8 * i, sound ? (uint32_t)below(play, MEMORY_SIZE / 2) : random_pointer(play));
                put_u32(play, IOVECS + 8 * i + 4, sound ? (uint32_t)below(play, MEMORY_SIZE / 4) : random_length(play));
        }
        for (uint32_t i = 0; i < N_SUBSCRIPTIONS; ++i) {
                uint32_t at = SUBSCRIPTIONS + 48 * i;
                uint8_t type = (uint8_t)below(play, 4);

                put(play, at + 8, &type, 1);
                put_u32(play, at + 16, type ? random_descriptor(play) : (uint32_t)below(play, 5));
                put_u32(play, at + 24, one_in(play, 2) ? 0 : (uint32_t)next_random(&play->random));
                put_u32(play, at + 28, one_in(play, 4) ? UINT32_MAX : 0);
                put_u32(play, at + 40, (uint32_t)below(play, 3));
        }
}

static void resize_memory(struct play *play, size_t size) {
        struct world *world = &play->world;
        uint8_t *moved = calloc(1, size);

        ck_assert_ptr_nonnull(moved);
        memcpy(moved, world->memory, size < world->memory_size ? size : world->memory_size);
        free(world->memory);
        world->memory = moved;
        world->memory_size = size;
}

/* A new allocation, of the same size or of another, which may leave no room for any result. */
static void move_memory(struct play *play) {
        size_t size = play->world.memory_size;

        if (one_in(play, 4))
                size = 1 + below(play, WORLD_RET);
        else if (one_in(play, 2))
                size = 1 + below(play, 2 * MEMORY_SIZE);
        resize_memory(play, size);
}

/* What other threads of the guest can do at any time. */
static void scribble(struct play *play) {
        for (uint64_t n = below(play, 64); n > 0; --n)
                put_u32(play, random_pointer(play), one_in(play, 2) ? random_length(play) : random_pointer(play));
        if (one_in(play, 2))
                prepare_memory(play);
}

/* ---- the engine ---- */

static struct nb_guest_memory find_memory(void *data) {
        struct play *play = data;

        return (struct nb_guest_memory){ play->world.memory, play->world.memory_size };
}

/* Writes where a function of WASI's would, and only inside. */
static void answer(struct play *play, const struct nb_wasi_function *function, const uint64_t *arguments) {
        const char *yields = strchr(function->parameters, 'r');
        uint8_t filestat[64] = { 0 };

        if (yields)
                put_u32(play, (uint32_t)arguments[yields - function->parameters],
                        one_in(play, 8) ? random_pointer(play) : (uint32_t)below(play, 16));
        if (strcmp(function->name, "fd_filestat_get") == 0) {
                filestat[16] = one_in(play, 2) ? 4 : (uint8_t)below(play, 8);
                nb_le_put_u64(filestat + 32, next_random(&play->random));
                put(play, (uint32_t)arguments[1], filestat, sizeof(filestat));
        }
        if (strcmp(function->name, "fd_tell") == 0)
                put_u32(play, (uint32_t)arguments[1], (uint32_t)next_random(&play->random));
        if (strcmp(function->name, "clock_time_get") == 0)
                put_u32(play, (uint32_t)arguments[2], (uint32_t)next_random(&play->random));
}

static int call_engine(void *data, size_t index, const uint64_t *arguments) {
        struct play *play = data;
        const struct nb_wasi_function *function = nb_wasi_function(index);

        ck_assert(function->use & NB_WASI_ENGINE);
        ck_assert(!play->trapped); /* nothing is asked of it after a trap */
        if (one_in(play, 8))
                scribble(play);
        if (one_in(play, 8))
                move_memory(play);
        if (one_in(play, 40)) {
                play->trapped = true;
                return TRAP;
        }
        if (one_in(play, 4))
                return (int)below(play, NB_WASI_ENOTCAPABLE + 1);
        answer(play, function, arguments);
        return NB_WASI_SUCCESS;
}

static const struct nb_engine engine = { .memory = find_memory, .call = call_engine };

/* ---- peers ---- */

/* Keeps the far end of the last stream for later, in the place of an older one. */
static void keep_peer(struct play *play) {
        int *place = &PICK(&play->random, play->peers);

        nb_fd_close(*place);
        *place = nb_steal_fd(&play->world.broker.peer);
}

/* There may be none, and what it does may fail. */
static void peer_acts(struct play *play) {
        static const char bytes[4096] = "peer";
        char sink[4096];
        int peer = one_in(play, 2) ? play->world.broker.peer : PICK(&play->random, play->peers);

        switch (below(play, 4)) {
        case 0:
                (void)send(peer, bytes, below(play, sizeof(bytes)), MSG_NOSIGNAL | MSG_DONTWAIT);
                break;
        case 1:
                (void)recv(peer, sink, sizeof(sink), MSG_DONTWAIT);
                break;
        case 2:
                (void)shutdown(peer, (int)below(play, 3));
                break;
        default:
                keep_peer(play);
        }
}

/* Something to read, and room to write, for the guest's standard streams. */
static void pipes_flow(const struct world *world) {
        char sink[4096];

        if (write(world->stdio[0], "in", 2) < 0)
                ck_assert_int_eq(errno, EAGAIN);
        if (read(world->stdio[1], sink, sizeof(sink)) < 0)
                ck_assert_int_eq(errno, EAGAIN);
}

/* Whether it is a channel whose other end the guest has not closed. */
static bool is_open(const struct scripted_broker *broker, int channel) {
        struct pollfd hangup = { .fd = channel };

        for (unsigned i = 0; i < broker->n_channels && channel >= 0; ++i) {
                if (broker->channels[i] == channel)
                        return poll(&hangup, 1, 0) == 0;
        }
        return false;
}

static void broker_acts(struct play *play) {
        static void (*const pairs[])(int ret[static 2]) = { NULL, tcp_pair, udp_pair };
        struct scripted_broker *broker = &play->world.broker;

        broker->make_stream = PICK(&play->random, pairs);
        if (is_open(broker, broker->held))
                scripted_broker_release(broker);
        else if (is_open(broker, broker->listener) && broker->n_pushed < NB_ACCEPT_WINDOW)
                scripted_broker_push(broker);
}

/* Whatever can come between two calls, or in a wait. */
static void world_turns(struct play *play) {
        switch (below(play, 6)) {
        case 0:
                move_memory(play);
                break;
        case 1:
                scribble(play);
                break;
        case 2:
                broker_acts(play);
                break;
        case 3:
                pipes_flow(&play->world);
                break;
        default:
                peer_acts(play);
        }
}

static void turn(void *data) {
        struct play *play = data;

        for (uint64_t n = below(play, 8); n > 0; --n)
                world_turns(play);
}

static int wait_impatiently(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        struct play *play = data;
        int r;

        turn(play);
        if (timeout_ns >= 0 && timeout_ns <= PATIENCE_NS)
                return scripted_broker_wait(&play->world.broker, fds, n_fds, timeout_ns);
        r = scripted_broker_wait(&play->world.broker, fds, n_fds, 0);
        return r == 0 ? -EINTR : r;
}

/* ---- calls ---- */

/* What an argument of this function is for; mostly. */
static uint64_t random_argument(struct play *play, char parameter) {
        static const uint32_t places[] = { ADDRESSES, IOVECS, SUBSCRIPTIONS, WORLD_BUFFER, WORLD_EVENTS };

        switch (parameter) {
        case 'd':
                return random_descriptor(play);
        case 'l':
                return one_in(play, 2) ? UINT64_MAX : next_random(&play->random);
        case 'r':
                return one_in(play, 8) ? random_pointer(play) : 4 * below(play, 16);
        default:
                break;
        }
        switch (below(play, 4)) {
        case 0:
                return random_pointer(play);
        case 1:
                return random_length(play);
        case 2:
                return below(play, 9);
        default:
                return PICK(&play->random, places);
        }
}

static bool starts_with(const char *name, const char *start) {
        return strncmp(name, start, strlen(start)) == 0;
}

/* The kind of descriptor that a function does something with; FREE: any. */
static enum nb_descriptor_kind kind_for(const char *name) {
        if (strcmp(name, "open") == 0)
                return NB_DESCRIPTOR_PROTOCOL;
        if (strcmp(name, "listen") == 0 || strcmp(name, "connect") == 0 || strstr(name, "accept"))
                return strcmp(name, "stream_accept") == 0 ? NB_DESCRIPTOR_CONNECTION : NB_DESCRIPTOR_CONTROL;
        if (strcmp(name, "stream_create") == 0)
                return NB_DESCRIPTOR_CONNECTION;
        if (starts_with(name, "sock_") || strstr(name, "_option") || strcmp(name, "fd_read") == 0 ||
            strcmp(name, "fd_write") == 0)
                return NB_DESCRIPTOR_STREAM;
        return NB_DESCRIPTOR_FREE;
}

/* A random one of the kind; any, if there is none. */
static uint32_t descriptor_of(struct play *play, enum nb_descriptor_kind kind) {
        uint32_t first = (uint32_t)below(play, MAX_DESCRIPTORS);

        for (uint32_t i = 0; i < MAX_DESCRIPTORS && kind != NB_DESCRIPTOR_FREE; ++i) {
                uint32_t number = (first + i) % MAX_DESCRIPTORS;
                const struct nb_descriptor *descriptor = nb_table_get(&play->world.guest->table, number);

                if (descriptor && descriptor->kind == kind)
                        return number;
        }
        return random_descriptor(play);
}

/* What takes away, some of it for good. */
static bool is_destructive(const char *name) {
        return strcmp(name, "fd_close") == 0 || strcmp(name, "fd_renumber") == 0 ||
               strcmp(name, "fd_fdstat_set_rights") == 0;
}

static void poll_something(struct play *play, uint64_t *arguments) {
        arguments[0] = SUBSCRIPTIONS;
        arguments[1] = one_in(play, 2) ? SUBSCRIPTIONS : WORLD_EVENTS;
        arguments[2] = below(play, N_SUBSCRIPTIONS);
        arguments[3] = WORLD_RET;
}

static void open_something(struct play *play, uint64_t *arguments) {
        arguments[1] = ADDRESSES;
        arguments[2] = 6;
        arguments[3] = one_in(play, 3) ? NB_SOCKET_DGRAM : NB_SOCKET_STREAM;
        arguments[4] = arguments[5] = one_in(play, 2) ? UINT64_MAX : NB_RIGHT_FD_READ | NB_RIGHT_FD_WRITE;
        arguments[6] = below(play, 2) * NB_NONBLOCK;
}

/* @param flags  whether they come before the places of the results, as in sock_recv */
static void transfer_something(struct play *play, bool flags, uint64_t *arguments) {
        arguments[1] = IOVECS;
        arguments[2] = one_in(play, 8) ? random_length(play) : below(play, N_IOVECS);
        arguments[3] = WORLD_RET;
        if (flags)
                arguments[3] = one_in(play, 2) ? 0 : below(play, 4);
        arguments[4] = WORLD_RET;
        arguments[5] = WORLD_RET + 8;
}

/* Arguments that are not wrong in all places at once. */
static void make_sense(struct play *play, const char *name, uint64_t *arguments) {
        if (strcmp(name, "poll_oneoff") == 0) {
                poll_something(play, arguments);
                return;
        }
        arguments[0] = descriptor_of(play, kind_for(name));
        if (strcmp(name, "open") == 0) {
                open_something(play, arguments);
        } else if (strcmp(name, "connect") == 0) {
                arguments[1] = ADDRESSES;
                arguments[2] = 6 + below(play, 4);
        } else if (strcmp(name, "stream_create") == 0) {
                arguments[1] = arguments[2] = one_in(play, 2) ? NB_RIGHTS_STREAM : NB_RIGHT_FD_READ;
                arguments[3] = below(play, 2) * NB_NONBLOCK;
        } else if (strcmp(name, "sock_accept") == 0) {
                arguments[1] = below(play, 2) * NB_NONBLOCK;
        } else if (starts_with(name, "sock_") || starts_with(name, "fd_read") || starts_with(name, "fd_write")) {
                transfer_something(play, starts_with(name, "sock_"), arguments);
        } else if (strstr(name, "_option")) {
                arguments[1] = below(play, 11);
        }
}

static void make_arguments(struct play *play, const struct nb_wasi_function *function, uint64_t *arguments) {
        for (size_t i = 0; function->parameters[i]; ++i)
                arguments[i] = random_argument(play, function->parameters[i]);
        if (is_destructive(function->name)) { /* what there is at the start stays: all else is made of it */
                for (size_t i = 0; i < 2; ++i)
                        arguments[i] = WORLD_FIRST_FREE + below(play, MAX_DESCRIPTORS);
        } else if (!one_in(play, 4)) {
                make_sense(play, function->name, arguments);
        }
        arguments[0] |= UINT64_C(0xdead) << 32; /* counts only in an i64, which no first one is */
}

static void call_anything(struct play *play) {
        uint64_t arguments[NB_WASI_PARAMETERS_MAX] = { 0 };
        size_t n = nb_wasi_n_functions() + 1;                    /* behind the last there is none */
        size_t index = below(play, one_in(play, 2) ? n : n / 2); /* those that only go on to the engine come last */
        const struct nb_wasi_function *function = nb_wasi_function(index);
        int r;

        if (function)
                make_arguments(play, function, arguments);
        if (play->world.memory_size < MEMORY_SIZE && !one_in(play, 8))
                resize_memory(play, MEMORY_SIZE);
        prepare_memory(play);
        play->trapped = false;
        play->world.broker.on_wait = turn; /* when the session waits; the guest's waits turn the world themselves */
        play->world.broker.on_wait_data = play;
        r = nb_guest_call(play->world.guest, &engine, play, index, arguments);
        if (play->trapped)
                ck_assert_int_eq(r, TRAP);
        else
                ck_assert(r >= NB_WASI_SUCCESS && r <= NB_WASI_ENOTCAPABLE);
}

/* Each of the engine's numbers is in the table once. */
static void expect_one_of_each(const struct nb_table *table) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < table->capacity; ++i)
                n += table->slots[i].kind == NB_DESCRIPTOR_ENGINE;
        ck_assert_uint_eq(table->n_engine_fds, n);
        for (uint32_t i = 1; i < n; ++i)
                ck_assert_uint_lt(table->engine_fds[i - 1], table->engine_fds[i]);
}

/* Whoever has only the second protocol never gets what that cannot give. */
static void expect_rights(const struct play *play) {
        const struct nb_table *table = &play->world.guest->table;
        uint64_t missing = ~play->world.broker.inheriting;

        for (uint32_t i = 0; i < table->capacity; ++i) {
                const struct nb_descriptor *descriptor = &table->slots[i];

                if (descriptor->kind >= NB_DESCRIPTOR_CONTROL)
                        ck_assert_uint_eq((descriptor->rights_base | descriptor->rights_inheriting) & missing, 0);
        }
}

static void play_init(struct play *play, uint64_t seed) {
        *play = (struct play){ .random = seed };
        world_init(&play->world, MAX_DESCRIPTORS);
        play->world.guest->wait = wait_impatiently;
        play->world.guest->wait_data = play;
        for (size_t i = 0; i < N_PEERS; ++i)
                play->peers[i] = -1;
        for (size_t i = 0; i < 2; ++i)
                ck_assert_int_eq(fcntl(play->world.stdio[i], F_SETFL, O_NONBLOCK), 0);
}

START_TEST(abuse_28_anything_can_be_called) {
        bool narrow = _i % 2;
        struct play play;

        play_init(&play, (uint64_t)_i + 1);
        if (narrow)
                ck_assert_int_eq(world_call(&play.world, "fd_close", WORLD_PROTOCOL), NB_WASI_SUCCESS);
        for (int i = 0; i < N_CALLS; ++i) {
                call_anything(&play);
                (void)scripted_broker_wait(&play.world.broker, NULL, 0, 0); /* it answers before what asked is closed */
                if (one_in(&play, 4))
                        world_turns(&play);
                expect_one_of_each(&play.world.guest->table);
                if (narrow)
                        expect_rights(&play);
        }
        nb_fds_close(play.peers, N_PEERS);
        world_deinit(&play.world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("wasi random");
        TCase *tests = tcase_create("wasi random");

        tcase_add_loop_test(tests, abuse_28_anything_can_be_called, 0, N_SEEDS);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
