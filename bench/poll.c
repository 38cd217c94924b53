/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at many sockets at once: a guest's poll_oneoff beside poll(2).
 *
 *   poll direct N READY         a round polls N sockets for reading, without waiting; READY of them have a byte
 *   poll guest SOCKET N READY   the same by a guest's poll_oneoff, whose timeout is one more subscription
 *
 * SOCKET is the path of the broker's socket. No engine is in between: the guest is an array for a memory, and its calls are made
 * directly, so that what is measured is the shim.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "netbroker/wasi.h"

#define TENANT "bench"
#define SERVER_ADDRESS "127.0.0.1:0"
#define SOCKETS_MAX 10000

/* Numbers of WASI preview 1. */
#define SOCKET_STREAM 6
#define EVENTTYPE_CLOCK 0
#define EVENTTYPE_FD_READ 1
#define CLOCK_MONOTONIC_ID 1
#define ERRNO_NOTSUP 58
#define SUBSCRIPTION_SIZE 48u
#define EVENT_SIZE 32u

/* What lies where in the guest's memory. */
#define RET 0u
#define TEXT 64u
#define TEXT_SIZE 64u
#define SUBSCRIPTIONS 128u

struct world {
        uint32_t n;
        uint32_t n_ready;
        struct pollfd *fds; /* of `direct` */
        struct nb_session *session;
        struct nb_guest *guest;
        uint8_t *memory;
        size_t memory_size;
        size_t poll_index; /* poll_oneoff in the table of functions */
};

static void *allocate(size_t n, size_t size) {
        void *memory = calloc(n, size);

        if (!memory)
                bench_die("calloc", ENOMEM);
        return memory;
}

/* Connects from outside, and leaves a byte where one is wanted. The far end stays open for as long as the process lives. */
static void add_peer(const struct sockaddr_in *address, bool ready) {
        int fd = bench_connect(address);

        if (ready && write(fd, "x", 1) != 1)
                bench_die("write", errno);
}

/* ---- poll(2) ---- */

static void open_direct(struct world *world) {
        struct sockaddr_in address;
        int listener = bench_listen(&address);

        world->fds = allocate(world->n, sizeof(*world->fds));
        for (uint32_t i = 0; i < world->n; ++i) {
                add_peer(&address, i < world->n_ready);
                world->fds[i] = (struct pollfd){ .fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), .events = POLLIN };
                if (world->fds[i].fd < 0)
                        bench_die("accept4", errno);
        }
        (void)close(listener);
}

static void round_direct(void *data, uint64_t count) {
        struct world *world = data;

        while (count-- > 0) {
                if (poll(world->fds, world->n, 0) != (int)world->n_ready)
                        bench_die("poll: another number is ready", 0);
        }
}

/* ---- poll_oneoff ---- */

static struct nb_guest_memory find_memory(void *data) {
        const struct world *world = data;

        return (struct nb_guest_memory){ .base = world->memory, .size = world->memory_size };
}

static int refuse_call(void *data, size_t index, const uint64_t *arguments) {
        (void)data;
        (void)index;
        (void)arguments;
        return ERRNO_NOTSUP;
}

static const struct nb_engine engine = { .memory = find_memory, .call = refuse_call };

static size_t find_function(const char *name) {
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                if (strcmp(nb_wasi_function(i)->name, name) == 0)
                        return i;
        }
        bench_die(name, ENOSYS);
}

/* Little-endian, as the guest's memory is. */
static void put(struct world *world, uint32_t at, uint64_t value, size_t size) {
        for (size_t i = 0; i < size; ++i)
                world->memory[at + i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(const struct world *world, uint32_t at) {
        uint32_t value = 0;

        for (size_t i = 0; i < sizeof(value); ++i)
                value |= (uint32_t)world->memory[at + i] << (8 * i);
        return value;
}

/* Calls a function that succeeds. @return what it stored at RET */
static uint32_t call(struct world *world, const char *name, const uint64_t *arguments) {
        int r = nb_guest_call(world->guest, &engine, world, find_function(name), arguments);

        if (r)
                bench_die(name, 0);
        return get_u32(world, RET);
}

static uint32_t listen_in_guest(struct world *world, struct sockaddr_in *ret) {
        const uint64_t protocol = 3; /* behind the standard streams */
        char text[TEXT_SIZE];
        uint32_t control;
        uint32_t length;

        memcpy(world->memory + TEXT, SERVER_ADDRESS, strlen(SERVER_ADDRESS));
        control = call(world, "open",
                       (const uint64_t[NB_WASI_PARAMETERS_MAX]){ protocol, TEXT, strlen(SERVER_ADDRESS), SOCKET_STREAM,
                                                                 UINT64_MAX, UINT64_MAX, 0, RET });
        (void)call(world, "listen", (const uint64_t[NB_WASI_PARAMETERS_MAX]){ control, SOMAXCONN });
        length = call(world, "local_address",
                      (const uint64_t[NB_WASI_PARAMETERS_MAX]){ control, TEXT, TEXT_SIZE - 1, RET });
        memcpy(text, world->memory + TEXT, length);
        text[length] = '\0';
        bench_address(text, ret);
        return control;
}

static void subscribe(struct world *world, uint32_t index, uint8_t type, uint32_t id) {
        uint32_t at = SUBSCRIPTIONS + index * SUBSCRIPTION_SIZE;

        put(world, at, index, 8);
        put(world, at + 8, type, 1);
        put(world, at + 16, id, 4);
}

static void open_guest(struct world *world, const char *socket_path) {
        struct nb_session_options session_options = NB_SESSION_OPTIONS_INIT;
        struct nb_guest_options options = NB_GUEST_OPTIONS_INIT;
        struct sockaddr_in address;
        uint32_t control;
        int r;

        session_options.socket_path = socket_path;
        session_options.tenant = TENANT;
        r = nb_session_open(&session_options, &world->session);
        if (r < 0)
                bench_die("nb_session_open", -r);
        options.session = world->session;
        options.max_descriptors = SOCKETS_MAX + 16;
        r = nb_guest_new(&options, &world->guest);
        if (r < 0)
                bench_die("nb_guest_new", -r);
        world->memory_size = SUBSCRIPTIONS + (world->n + 1) * (SUBSCRIPTION_SIZE + EVENT_SIZE);
        world->memory = allocate(1, world->memory_size);
        world->poll_index = find_function("poll_oneoff");

        control = listen_in_guest(world, &address);
        for (uint32_t i = 0; i < world->n; ++i) {
                add_peer(&address, i < world->n_ready);
                subscribe(world, i, EVENTTYPE_FD_READ,
                          call(world, "sock_accept",
                               (const uint64_t[NB_WASI_PARAMETERS_MAX]){ control, NB_NONBLOCK, RET }));
        }
        subscribe(world, world->n, EVENTTYPE_CLOCK, CLOCK_MONOTONIC_ID);
}

static void round_guest(void *data, uint64_t count) {
        struct world *world = data;
        uint32_t n = world->n + 1;
        const uint64_t arguments[NB_WASI_PARAMETERS_MAX] = { SUBSCRIPTIONS, SUBSCRIPTIONS + n * SUBSCRIPTION_SIZE, n,
                                                             RET };

        while (count-- > 0) {
                if (nb_guest_call(world->guest, &engine, world, world->poll_index, arguments) != 0 ||
                    get_u32(world, RET) != world->n_ready + 1)
                        bench_die("poll_oneoff: another number is ready", 0);
        }
}

static void close_all(struct world *world) {
        for (uint32_t i = 0; world->fds && i < world->n; ++i)
                (void)close(world->fds[i].fd);
        free(world->fds);
        nb_guest_free(world->guest);
        nb_session_free(world->session);
        free(world->memory);
}

int main(int argc, char **argv) {
        struct world world = { 0 };
        bool direct = argc == 4 && strcmp(argv[1], "direct") == 0;

        bench_init();
        if (!direct && (argc != 5 || strcmp(argv[1], "guest") != 0))
                bench_die("usage: poll direct N READY, or poll guest SOCKET N READY", 0);
        world.n = (uint32_t)bench_number(argv[argc - 2], SOCKETS_MAX);
        world.n_ready = (uint32_t)bench_number(argv[argc - 1], world.n);
        if (direct)
                open_direct(&world);
        else
                open_guest(&world, argv[2]);
        bench_ready(NULL);
        bench_rounds(direct ? round_direct : round_guest, &world);
        close_all(&world);
        return 0;
}
