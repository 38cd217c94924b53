/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest does with the network and its standard streams: connecting, accepting, moving bytes, waiting for all of it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/wasi_world.h"

#define TEXT 512u
#define IOVEC 128u
#define BUFFER 4096u
#define BIG 32768u

#define OK NB_WASI_SUCCESS
#define RIFLAGS_PEEK 1
#define RIFLAGS_WAITALL 2

static int connect_to(struct world *world, uint32_t control, const char *address) {
        uint32_t length = world_put_text(world, TEXT, address);

        return world_call(world, "connect", control, TEXT, length, WORLD_RET);
}

static void peer_writes(struct world *world, const char *text) {
        ck_assert_int_eq(write(world->broker.peer, text, strlen(text)), (ssize_t)strlen(text));
}

static int read_stream(struct world *world, uint32_t fd, uint32_t length) {
        world_put_iovec(world, IOVEC, BUFFER, length);
        return world_call(world, "fd_read", fd, IOVEC, 1, WORLD_RET);
}

/* The one thing that a wait brings. */
static void moves_the_memory(struct world *world) {
        uint8_t *moved = malloc(2 * world->memory_size);

        ck_assert_ptr_nonnull(moved);
        memcpy(moved, world->memory, world->memory_size);
        memset(world->memory, 0xee, world->memory_size);
        free(world->memory);
        world->memory = moved;
        world->memory_size *= 2;
}

static void peer_writes_and_memory_moves(void *data) {
        moves_the_memory(data);
        peer_writes(data, "late");
}

static void peer_writes_more(void *data) {
        peer_writes(data, " and more");
}

static void peer_connects(void *data) {
        struct world *world = data;

        moves_the_memory(world);
        scripted_broker_push(&world->broker);
}

static void on_wait(struct world *world, void (*function)(void *data)) {
        world->broker.on_wait = function;
        world->broker.on_wait_data = world;
}

/* ---- connecting and accepting ---- */

START_TEST(refusals_come_through) {
        struct world world;
        uint32_t control;
        uint32_t length;

        world_init(&world, 0);
        length = world_put_text(&world, TEXT, "denied:1");
        ck_assert_int_eq(world_call(&world, "open", 5, TEXT, length, 6, 0, 0, 0, WORLD_RET), NB_WASI_EACCES);
        control = world_open(&world, 0);
        ck_assert_int_eq(connect_to(&world, control, "denied:1"), NB_WASI_EACCES);
        ck_assert_int_eq(connect_to(&world, control, "refused:1"), NB_WASI_ECONNREFUSED);
        ck_assert_int_eq(connect_to(&world, control, ""), NB_WASI_EINVAL);
        ck_assert_int_eq(connect_to(&world, control, "bad\xff:1"), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "connect", control, TEXT, 513, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(connect_to(&world, control, "good:1"), OK);
        ck_assert_int_eq(connect_to(&world, control, "good:1"), OK);
        world_deinit(&world);
}
END_TEST

static uint32_t poll_one(struct world *world, uint8_t type, uint32_t fd);

START_TEST(connecting_without_waiting) {
        struct world world;
        uint32_t control;

        world_init(&world, 0);
        control = world_open(&world, NB_NONBLOCK);
        ck_assert_int_eq(connect_to(&world, control, "held:1"), NB_WASI_EINPROGRESS);
        ck_assert_int_eq(connect_to(&world, control, "held:1"), NB_WASI_EALREADY);
        ck_assert_uint_eq(poll_one(&world, 2, control), 0);
        ck_assert_int_eq(connect_to(&world, control, "other:1"), NB_WASI_EALREADY);
        scripted_broker_release(&world.broker);
        ck_assert_uint_eq(poll_one(&world, 2, control), 1);
        ck_assert_int_eq(connect_to(&world, control, "held:1"), OK);
        world_deinit(&world);
}
END_TEST

START_TEST(accepting) {
        struct world world;
        uint32_t control;
        uint32_t connection;
        uint32_t stream;

        world_init(&world, 0);
        control = world_listener(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_call(&world, "accept", control, WORLD_RET), NB_WASI_EAGAIN);
        ck_assert_uint_eq(poll_one(&world, 1, control), 0);
        scripted_broker_push(&world.broker);
        ck_assert_uint_eq(poll_one(&world, 1, control), 1);
        /* A bad pointer takes nothing from the queue. */
        ck_assert_int_eq(world_call(&world, "accept", control, UINT32_MAX), NB_WASI_EFAULT);
        connection = world_call_ret(&world, "accept", control, WORLD_RET);
        ck_assert_int_eq(world_call(&world, "stream_accept", connection, WORLD_MEMORY_SIZE), NB_WASI_EFAULT);
        stream = world_call_ret(&world, "stream_accept", connection, WORLD_RET);
        peer_writes(&world, "hello");
        ck_assert_int_eq(read_stream(&world, stream, 100), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 5);
        ck_assert_mem_eq(world.memory + BUFFER, "hello", 5);
        world_deinit(&world);
}
END_TEST

START_TEST(sock_accept_gives_the_stream) {
        struct world world;
        uint32_t control;
        uint32_t stream;

        world_init(&world, 0);
        control = world_listener(&world, 0);
        ck_assert_int_eq(world_call(&world, "sock_accept", control, 0x20, WORLD_RET), NB_WASI_EINVAL);
        on_wait(&world, peer_connects);
        stream = world_call_ret(&world, "sock_accept", control, NB_NONBLOCK, WORLD_RET);
        ck_assert_int_eq(read_stream(&world, stream, 100), NB_WASI_EAGAIN);
        ck_assert_int_eq(world_call(&world, "sock_accept", control, 0, WORLD_RET), NB_WASI_EINTR);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", control, NB_NONBLOCK), OK);
        ck_assert_int_eq(world_call(&world, "sock_accept", control, 0, WORLD_RET), NB_WASI_EAGAIN);
        world_deinit(&world);
}
END_TEST

/* ---- streams ---- */

START_TEST(a_blocking_read_waits_and_finds_the_memory_again) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        on_wait(&world, peer_writes_and_memory_moves);
        ck_assert_int_eq(read_stream(&world, stream, 100), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 4);
        ck_assert_mem_eq(world.memory + BUFFER, "late", 4);
        ck_assert_int_eq(read_stream(&world, stream, 100), NB_WASI_EINTR);
        world_deinit(&world);
}
END_TEST

START_TEST(reading_scatters_and_ends) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, NB_NONBLOCK);
        world_put_iovec(&world, IOVEC, BUFFER, 2);
        world_put_iovec(&world, IOVEC + 8, 0, 0);
        world_put_iovec(&world, IOVEC + 16, BUFFER + 100, 10);
        ck_assert_int_eq(world_call(&world, "fd_read", stream, IOVEC, 3, WORLD_RET), NB_WASI_EAGAIN);
        ck_assert_int_eq(world_call(&world, "fd_read", stream, IOVEC, 0, WORLD_RET), OK);
        peer_writes(&world, "hello");
        ck_assert_int_eq(world_call(&world, "fd_read", stream, IOVEC, 3, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 5);
        ck_assert_mem_eq(world.memory + BUFFER, "he", 3);
        ck_assert_mem_eq(world.memory + BUFFER + 100, "llo", 4);
        world.broker.peer = nb_fd_close(world.broker.peer);
        ck_assert_int_eq(world_call(&world, "fd_read", stream, IOVEC, 3, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        ck_assert_int_eq(world_call(&world, "fd_write", stream, IOVEC, 3, WORLD_RET), NB_WASI_EPIPE);
        world_deinit(&world);
}
END_TEST

/* iovecs at and beyond what is allowed: parts, their number, their sum. */
START_TEST(iovecs_are_checked) {
        static const char *const functions[] = { "fd_read", "fd_write" };
        const char *function = functions[_i];
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, NB_NONBLOCK);
        world_put_iovec(&world, IOVEC, WORLD_MEMORY_SIZE - 1, 1);
        ck_assert_int_ne(world_call(&world, function, stream, IOVEC, 1, WORLD_RET), NB_WASI_EFAULT);
        world_put_iovec(&world, IOVEC, WORLD_MEMORY_SIZE, 0);
        ck_assert_int_ne(world_call(&world, function, stream, IOVEC, 1, WORLD_RET), NB_WASI_EFAULT);
        world_put_iovec(&world, IOVEC, WORLD_MEMORY_SIZE - 1, 2);
        ck_assert_int_eq(world_call(&world, function, stream, IOVEC, 1, WORLD_RET), NB_WASI_EFAULT);
        world_put_iovec(&world, IOVEC, 1, UINT32_MAX);
        ck_assert_int_eq(world_call(&world, function, stream, IOVEC, 1, WORLD_RET), NB_WASI_EFAULT);
        world_put_iovec(&world, IOVEC, UINT32_MAX, 1);
        ck_assert_int_eq(world_call(&world, function, stream, IOVEC, 1, WORLD_RET), NB_WASI_EFAULT);
        world_put_iovec(&world, IOVEC, UINT32_MAX, UINT32_MAX);
        ck_assert_int_eq(world_call(&world, function, stream, IOVEC, 1, WORLD_RET), NB_WASI_EFAULT);

        memset(world.memory, 0, world.memory_size);
        ck_assert_int_ne(world_call(&world, function, stream, BUFFER, 1024, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, function, stream, BUFFER, 1025, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, function, stream, BUFFER, 0x20000000, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, function, stream, BUFFER, UINT32_MAX, WORLD_RET), NB_WASI_EFAULT);
        world_deinit(&world);
}
END_TEST

/* What is written arrives as it was, also when it does not fit the socket at once. */
static void peer_drains(void *data) {
        struct world *world = data;
        char bytes[BIG];
        ssize_t n;

        while ((n = read(world->broker.peer, bytes, sizeof(bytes))) > 0)
                ck_assert_mem_eq(bytes, world->memory + BUFFER, (size_t)n);
        on_wait(world, peer_drains);
}

START_TEST(a_blocking_write_writes_all) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        memset(world.memory + BUFFER, 'x', BIG);
        for (uint32_t i = 0; i < 64; ++i)
                world_put_iovec(&world, 1024 + 8 * i, BUFFER, BIG);
        on_wait(&world, peer_drains);
        ck_assert_int_eq(world_call(&world, "fd_write", stream, 1024, 64, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 64 * BIG);

        peer_drains(&world);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", stream, NB_NONBLOCK), OK);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, 1024, 64, 0, WORLD_RET), OK);
        ck_assert_uint_lt(world_get_u32(&world, WORLD_RET), 64 * BIG);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, 1024, 64, 0, WORLD_RET), NB_WASI_EAGAIN);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, 1024, 64, 1, WORLD_RET), NB_WASI_EINVAL);
        world_deinit(&world);
}
END_TEST

static int receive(struct world *world, uint32_t stream, uint32_t length, uint32_t flags) {
        world_put_iovec(world, IOVEC, BUFFER, length);
        return world_call(world, "sock_recv", stream, IOVEC, 1, flags, WORLD_RET, WORLD_RET + 8);
}

START_TEST(receiving_with_flags) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        peer_writes(&world, "some");
        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(receive(&world, stream, 100, RIFLAGS_PEEK | (i ? RIFLAGS_WAITALL : 0)), OK);
                ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 4);
        }
        on_wait(&world, peer_writes_more);
        ck_assert_int_eq(receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 10);
        ck_assert_mem_eq(world.memory + BUFFER, "some and m", 10);
        ck_assert_int_eq(receive(&world, stream, 10, 4), NB_WASI_EINVAL);
        /* What is there when nothing more comes is not lost. */
        ck_assert_int_eq(receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 3);
        peer_writes(&world, "end");
        world.broker.peer = nb_fd_close(world.broker.peer);
        ck_assert_int_eq(receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 3);
        ck_assert_int_eq(receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        world_deinit(&world);
}
END_TEST

START_TEST(shutting_down_one_direction) {
        struct world world;
        uint32_t stream;
        char byte;

        world_init(&world, 0);
        stream = world_stream(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, 0), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, 4), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, 2), OK);
        ck_assert_int_eq(read(world.broker.peer, &byte, 1), 0);
        world_put_iovec(&world, IOVEC, BUFFER, 1);
        ck_assert_int_eq(world_call(&world, "fd_write", stream, IOVEC, 1, WORLD_RET), NB_WASI_EPIPE);
        peer_writes(&world, "still");
        ck_assert_int_eq(read_stream(&world, stream, 100), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 5);
        world_deinit(&world);
}
END_TEST

/* ---- standard streams ---- */

START_TEST(standard_input) {
        struct world world;

        world_init(&world, 0);
        ck_assert_int_eq(read_stream(&world, 0, 10), NB_WASI_EINTR); /* it would wait for ever */
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", 0, NB_NONBLOCK), OK);
        ck_assert_int_eq(read_stream(&world, 0, 10), NB_WASI_EAGAIN);
        ck_assert_int_eq(fcntl(world.guest_stdio[0], F_GETFL) & O_NONBLOCK, 0);
        ck_assert_int_eq(write(world.stdio[0], "abc", 3), 3);
        ck_assert_int_eq(read_stream(&world, 0, 2), OK);
        ck_assert_mem_eq(world.memory + BUFFER, "ab", 2);
        ck_assert_int_eq(read_stream(&world, 0, 10), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 1);
        world.stdio[0] = nb_fd_close(world.stdio[0]);
        ck_assert_int_eq(read_stream(&world, 0, 10), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        world_deinit(&world);
}
END_TEST

static void reader_drains(void *data) {
        struct world *world = data;
        char bytes[BIG];

        (void)!read(world->stdio[1], bytes, sizeof(bytes)); /* each piece is waited for, also when there is room */
        on_wait(world, reader_drains);
}

/* A pipe that is full never blocks the host: it is waited for. */
START_TEST(standard_output_never_blocks_the_host) {
        struct world world;
        int size;

        world_init(&world, 0);
        size = fcntl(world.guest_stdio[1], F_SETPIPE_SZ, 4096);
        ck_assert_int_ge(size, PIPE_BUF);
        ck_assert_int_eq(fcntl(world.stdio[1], F_SETFL, O_NONBLOCK), 0);
        world_put_iovec(&world, IOVEC, BUFFER, BIG);
        on_wait(&world, NULL);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), (uint32_t)size); /* and then a wait that would not end */
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", 1, NB_NONBLOCK), OK);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), NB_WASI_EAGAIN);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", 1, 0), OK);
        on_wait(&world, reader_drains);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), BIG);
        world_deinit(&world);
}
END_TEST

START_TEST(a_reader_that_is_gone_raises_no_signal) {
        sigset_t pending;
        struct world world;

        world_init(&world, 0);
        world.stdio[1] = nb_fd_close(world.stdio[1]);
        world_put_iovec(&world, IOVEC, BUFFER, 1);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), NB_WASI_EPIPE);
        ck_assert_int_eq(sigpending(&pending), 0);
        ck_assert(!sigismember(&pending, SIGPIPE));
        world_deinit(&world);
}
END_TEST

START_TEST(a_file_at_its_limit_raises_no_signal) {
        const off_t size = 1 << 20; /* more than what Check writes meanwhile */
        struct rlimit before, limit;
        FILE *file = tmpfile();
        sigset_t pending;
        struct world world;

        ck_assert_ptr_nonnull(file);
        world_init(&world, 0);
        ck_assert_int_ge(dup2(fileno(file), world.guest_stdio[1]), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = before;
        limit.rlim_cur = (rlim_t)size;
        ck_assert_int_eq(lseek(fileno(file), size, SEEK_SET), size);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        world_put_iovec(&world, IOVEC, BUFFER, 1);
        ck_assert_int_eq(world_call(&world, "fd_write", 1, IOVEC, 1, WORLD_RET), NB_WASI_EFBIG);
        ck_assert_int_eq(sigpending(&pending), 0);
        ck_assert(!sigismember(&pending, SIGXFSZ));
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        world_deinit(&world);
        (void)fclose(file);
}
END_TEST

/* ---- poll_oneoff ---- */

#define SUBSCRIPTIONS 8192u
#define EVENTS 24576u
#define CLOCK 0
#define FD_READ 1
#define FD_WRITE 2
#define MS UINT64_C(1000000)

static void subscribe(struct world *world, uint32_t index, uint8_t type, uint32_t fd) {
        uint32_t at = SUBSCRIPTIONS + 48 * index;

        memset(world->memory + at, 0, 48);
        world_put_u64(world, at, 1000 + index);
        world->memory[at + 8] = type;
        world_put_u32(world, at + 16, fd);
}

static void subscribe_clock(struct world *world, uint32_t index, uint32_t clock, uint64_t timeout, uint8_t flags) {
        subscribe(world, index, CLOCK, clock);
        world_put_u64(world, SUBSCRIPTIONS + 48 * index + 24, timeout);
        world->memory[SUBSCRIPTIONS + 48 * index + 40] = flags;
}

static uint32_t poll_all(struct world *world, uint32_t n) {
        return world_call_ret(world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, n, WORLD_RET);
}

struct event {
        uint64_t userdata;
        uint16_t error;
        uint8_t type;
        uint64_t nbytes;
        uint16_t flags;
};

static struct event event(const struct world *world, uint32_t index) {
        uint32_t at = EVENTS + 32 * index;

        return (struct event){
                .userdata = world_get_u64(world, at),
                .error = (uint16_t)(world_get_u32(world, at + 8) & UINT16_MAX),
                .type = world->memory[at + 10],
                .nbytes = world_get_u64(world, at + 16),
                .flags = (uint16_t)(world_get_u32(world, at + 24) & UINT16_MAX),
        };
}

/* Whether one descriptor is ready now: 1 or 0. */
static uint32_t poll_one(struct world *world, uint8_t type, uint32_t fd) {
        subscribe(world, 0, type, fd);
        subscribe_clock(world, 1, 1, 0, 0);
        return poll_all(world, 2) - 1; /* the clock is always ready */
}

START_TEST(everything_in_one_call) {
        struct world world;
        uint32_t listener;
        uint32_t stream;

        world_init(&world, 0);
        listener = world_listener(&world, 0);
        scripted_broker_push(&world.broker);
        stream = world_stream(&world, 0);
        peer_writes(&world, "12345");
        ck_assert_int_eq(write(world.stdio[0], "abc", 3), 3);
        subscribe(&world, 0, FD_READ, listener);
        subscribe(&world, 1, FD_READ, stream);
        subscribe(&world, 2, FD_WRITE, stream);
        subscribe(&world, 3, FD_READ, 0);
        subscribe(&world, 4, FD_WRITE, 1);
        subscribe(&world, 5, FD_READ, WORLD_DIRECTORY);
        subscribe(&world, 6, FD_READ, 77);
        subscribe(&world, 7, FD_READ, WORLD_PROTOCOL);
        subscribe(&world, 8, 3, 0);
        subscribe_clock(&world, 9, 1, 3600 * 1000 * MS, 0);
        subscribe_clock(&world, 10, 2, 0, 0);
        subscribe_clock(&world, 11, 1, 0, 2);
        ck_assert_uint_eq(poll_all(&world, 12), 11);

        for (uint32_t i = 0; i < 9; ++i) {
                ck_assert_uint_eq(event(&world, i).userdata, 1000 + i);
                ck_assert_uint_eq(event(&world, i).type, i == 2 || i == 4 ? FD_WRITE : i == 8 ? 3 : FD_READ);
        }
        ck_assert_uint_eq(event(&world, 0).error, 0);
        ck_assert_uint_eq(event(&world, 1).nbytes, 5);
        ck_assert_uint_eq(event(&world, 1).flags, 0);
        ck_assert_uint_gt(event(&world, 2).nbytes, 1);
        ck_assert_uint_eq(event(&world, 3).nbytes, 3);
        ck_assert_uint_eq(event(&world, 6).error, NB_WASI_EBADF);
        ck_assert_uint_eq(event(&world, 7).error, NB_WASI_ENOTSUP);
        ck_assert_uint_eq(event(&world, 8).error, NB_WASI_EINVAL);
        ck_assert_uint_eq(event(&world, 9).userdata, 1010);
        ck_assert_uint_eq(event(&world, 9).error, NB_WASI_ENOTSUP);
        ck_assert_uint_eq(event(&world, 10).error, NB_WASI_EINVAL);
        world_deinit(&world);
}
END_TEST

START_TEST(a_hang_up_is_flagged) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        ck_assert_uint_eq(poll_one(&world, FD_READ, stream), 0);
        peer_writes(&world, "bye");
        world.broker.peer = nb_fd_close(world.broker.peer);
        ck_assert_uint_eq(poll_one(&world, FD_READ, stream), 1);
        ck_assert_uint_eq(event(&world, 0).flags, 1);
        ck_assert_uint_eq(event(&world, 0).nbytes, 3);
        ck_assert_uint_eq(poll_one(&world, FD_WRITE, stream), 1);
        ck_assert_uint_eq(event(&world, 0).flags, 1);
        world_deinit(&world);
}
END_TEST

START_TEST(a_wait_in_poll_finds_the_memory_again) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        subscribe(&world, 0, FD_READ, stream);
        on_wait(&world, peer_writes_and_memory_moves);
        ck_assert_uint_eq(poll_all(&world, 1), 1);
        ck_assert_uint_eq(event(&world, 0).nbytes, 4);
        world_deinit(&world);
}
END_TEST

static uint64_t now(clockid_t clock) {
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

/* The fake engine has no clock, so the host's is meant. */
START_TEST(clocks) {
        struct world world;
        uint64_t before;

        world_init(&world, 0);
        before = now(CLOCK_MONOTONIC);
        subscribe_clock(&world, 0, 1, 5 * MS, 0);
        subscribe_clock(&world, 1, 0, 3600 * 1000 * MS, 0);
        ck_assert_uint_eq(poll_all(&world, 2), 1);
        ck_assert_uint_eq(event(&world, 0).userdata, 1000);
        ck_assert_uint_ge(now(CLOCK_MONOTONIC), before + 5 * MS);

        before = now(CLOCK_MONOTONIC);
        subscribe_clock(&world, 0, 1, before + 5 * MS, 1);
        subscribe_clock(&world, 1, 0, UINT64_MAX, 1);
        ck_assert_uint_eq(poll_all(&world, 2), 1);
        ck_assert_uint_ge(now(CLOCK_MONOTONIC), before + 5 * MS);

        subscribe_clock(&world, 0, 0, now(CLOCK_REALTIME) + 1, 1);
        subscribe_clock(&world, 1, 1, 0, 1);
        ck_assert_uint_ge(poll_all(&world, 2), 1);
        subscribe_clock(&world, 0, 1, UINT64_MAX, 0);
        subscribe_clock(&world, 1, 1, 0, 0);
        ck_assert_uint_eq(poll_all(&world, 2), 1);
        world_deinit(&world);
}
END_TEST

START_TEST(the_bounds_of_poll) {
        const uint32_t size = WORLD_MEMORY_SIZE;
        struct world world;

        world_init(&world, 0);
        subscribe_clock(&world, 0, 1, 0, 0);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 0, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 65537, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, UINT32_MAX, WORLD_RET),
                         NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 65536, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", size - 47, EVENTS, 1, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", size - 48, EVENTS, 1, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, size - 31, 1, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, size - 32, 1, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 1, size - 3), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", SUBSCRIPTIONS, EVENTS, 1, size - 4), OK);
        ck_assert_int_eq(world_call(&world, "poll_oneoff", UINT32_MAX, UINT32_MAX, 1, UINT32_MAX), NB_WASI_EFAULT);
        /* Arrays may overlap: what was subscribed to is read first. */
        subscribe_clock(&world, 0, 1, 0, 0);
        subscribe_clock(&world, 1, 1, 0, 0);
        ck_assert_uint_eq(world_call_ret(&world, "poll_oneoff", SUBSCRIPTIONS, SUBSCRIPTIONS + 8, 2, WORLD_RET), 2);
        world_deinit(&world);
}
END_TEST

/* A hundred of them, each for both directions. */
START_TEST(many_descriptors) {
        struct world world;
        uint32_t first;

        world_init(&world, 0);
        first = world_stream(&world, 0);
        for (uint32_t i = 1; i < 100; ++i)
                world_stream(&world, 0);
        for (uint32_t i = 0; i < 100; ++i) {
                subscribe(&world, 2 * i, FD_READ, first + i);
                subscribe(&world, 2 * i + 1, FD_WRITE, first + i);
        }
        /* Every stream but the last has lost its peer: readable and writable; the last is writable. */
        ck_assert_uint_eq(poll_all(&world, 200), 199);
        world_deinit(&world);
}
END_TEST

/* ---- */

static void add_tests(TCase *streams, TCase *polling) {
        tcase_add_test(streams, refusals_come_through);
        tcase_add_test(streams, connecting_without_waiting);
        tcase_add_test(streams, accepting);
        tcase_add_test(streams, sock_accept_gives_the_stream);
        tcase_add_test(streams, a_blocking_read_waits_and_finds_the_memory_again);
        tcase_add_test(streams, reading_scatters_and_ends);
        tcase_add_loop_test(streams, iovecs_are_checked, 0, 2);
        tcase_add_test(streams, a_blocking_write_writes_all);
        tcase_add_test(streams, receiving_with_flags);
        tcase_add_test(streams, shutting_down_one_direction);
        tcase_add_test(streams, standard_input);
        tcase_add_test(streams, standard_output_never_blocks_the_host);
        tcase_add_test(streams, a_reader_that_is_gone_raises_no_signal);
        tcase_add_test(streams, a_file_at_its_limit_raises_no_signal);
        tcase_add_test(polling, everything_in_one_call);
        tcase_add_test(polling, a_hang_up_is_flagged);
        tcase_add_test(polling, a_wait_in_poll_finds_the_memory_again);
        tcase_add_test(polling, clocks);
        tcase_add_test(polling, the_bounds_of_poll);
        tcase_add_test(polling, many_descriptors);
}

int main(void) {
        Suite *suite = suite_create("wasi_network");
        TCase *streams = tcase_create("streams");
        TCase *polling = tcase_create("polling");
        SRunner *runner = srunner_create(suite);
        int failed;

        add_tests(streams, polling);
        suite_add_tcase(suite, streams);
        suite_add_tcase(suite, polling);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
