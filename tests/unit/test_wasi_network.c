/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest does with the network: connecting, accepting, moving bytes. */
#include <check.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/socket_pairs.h"
#include "tests/unit/wasi_world.h"

#define TEXT WORLD_TEXT
#define IOVEC WORLD_IOVEC
#define BUFFER WORLD_BUFFER
#define BIG 32768u

#define OK NB_WASI_SUCCESS
#define RIFLAGS_PEEK 1
#define RIFLAGS_WAITALL 2

static void peer_writes_and_memory_moves(void *data) {
        world_move_memory(data);
        world_peer_writes(data, "late");
}

static void peer_writes_more(void *data) {
        world_peer_writes(data, " and more");
}

static void peer_connects(void *data) {
        struct world *world = data;

        world_move_memory(world);
        scripted_broker_push(&world->broker);
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
        ck_assert_int_eq(world_connect(&world, control, "denied:1"), NB_WASI_EACCES);
        ck_assert_int_eq(world_connect(&world, control, "refused:1"), NB_WASI_ECONNREFUSED);
        ck_assert_int_eq(world_connect(&world, control, ""), NB_WASI_EINVAL);
        ck_assert_int_eq(world_connect(&world, control, "bad\xff:1"), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "connect", control, TEXT, 513, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(world_connect(&world, control, "good:1"), OK);
        ck_assert_int_eq(world_connect(&world, control, "good:1"), OK);
        world_deinit(&world);
}
END_TEST

START_TEST(connecting_without_waiting) {
        struct world world;
        uint32_t control;

        world_init(&world, 0);
        control = world_open(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_connect(&world, control, "held:1"), NB_WASI_EINPROGRESS);
        ck_assert_int_eq(world_connect(&world, control, "held:1"), NB_WASI_EALREADY);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_WRITE, control), 0);
        ck_assert_int_eq(world_connect(&world, control, "other:1"), NB_WASI_EALREADY);
        scripted_broker_release(&world.broker);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_WRITE, control), 1);
        ck_assert_int_eq(world_connect(&world, control, "held:1"), OK);
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
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, control), 0);
        scripted_broker_push(&world.broker);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, control), 1);
        /* A bad pointer takes nothing from the queue. */
        ck_assert_int_eq(world_call(&world, "accept", control, UINT32_MAX), NB_WASI_EFAULT);
        connection = world_call_ret(&world, "accept", control, WORLD_RET);
        ck_assert_int_eq(world_call(&world, "stream_accept", connection, WORLD_MEMORY_SIZE), NB_WASI_EFAULT);
        stream = world_call_ret(&world, "stream_accept", connection, WORLD_RET);
        world_peer_writes(&world, "hello");
        ck_assert_int_eq(world_read(&world, stream, 100), OK);
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
        world_on_wait(&world, peer_connects);
        stream = world_call_ret(&world, "sock_accept", control, NB_NONBLOCK, WORLD_RET);
        ck_assert_int_eq(world_read(&world, stream, 100), NB_WASI_EAGAIN);
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
        world_on_wait(&world, peer_writes_and_memory_moves);
        ck_assert_int_eq(world_read(&world, stream, 100), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 4);
        ck_assert_mem_eq(world.memory + BUFFER, "late", 4);
        ck_assert_int_eq(world_read(&world, stream, 100), NB_WASI_EINTR);
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
        world_peer_writes(&world, "hello");
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
        world_on_wait(world, peer_drains);
}

START_TEST(a_blocking_write_writes_all) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        memset(world.memory + BUFFER, 'x', BIG);
        for (uint32_t i = 0; i < 64; ++i)
                world_put_iovec(&world, 1024 + 8 * i, BUFFER, BIG);
        world_on_wait(&world, peer_drains);
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

/* TCP waits for all of it, as long as more comes. */
START_TEST(a_peek_that_wants_all) {
        const struct world_options options = { .make_stream = tcp_pair };
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, 0);
        world_peer_writes(&world, "some");
        world_on_wait(&world, peer_writes_more);
        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_PEEK | RIFLAGS_WAITALL), OK);
                ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 10);
                ck_assert_mem_eq(world.memory + BUFFER, "some and m", 10);
        }
        ck_assert_int_eq(world_receive(&world, stream, 10, 0), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 10);
        world.broker.peer = nb_fd_close(world.broker.peer);
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_PEEK | RIFLAGS_WAITALL), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 3);
        world_deinit(&world);
}
END_TEST

START_TEST(receiving_with_flags) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        world_peer_writes(&world, "some");
        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(world_receive(&world, stream, 100, RIFLAGS_PEEK | (i ? RIFLAGS_WAITALL : 0)), OK);
                ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 4);
        }
        world_on_wait(&world, peer_writes_more);
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 10);
        ck_assert_mem_eq(world.memory + BUFFER, "some and m", 10);
        ck_assert_int_eq(world_receive(&world, stream, 10, 4), NB_WASI_EINVAL);
        /* What is there when nothing more comes is not lost. */
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 3);
        world_peer_writes(&world, "end");
        world.broker.peer = nb_fd_close(world.broker.peer);
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 3);
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
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
        world_peer_writes(&world, "still");
        ck_assert_int_eq(world_read(&world, stream, 100), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 5);
        world_deinit(&world);
}
END_TEST

/* ---- what is sent ---- */

/* Reads all that is there, and compares it with the parts in the guest's memory, of which there are `n`. */
static void expect_parts(const struct world *world, uint32_t n) {
        for (uint32_t i = 0; i < n; ++i) {
                uint32_t pointer = world_get_u32(world, IOVEC + 8 * i);
                uint32_t length = world_get_u32(world, IOVEC + 8 * i + 4);
                char bytes[BIG];

                for (uint32_t done = 0; done < length;) {
                        ssize_t got = read(world->broker.peer, bytes, length - done);

                        ck_assert_int_gt(got, 0);
                        ck_assert_mem_eq(bytes, world->memory + pointer + done, (size_t)got);
                        done += (uint32_t)got;
                }
        }
}

/* Lengths of parts: about the 64 KiB that are gathered at once. */
static const uint32_t gathers[][5] = {
        { 1, 2, 3, 0, 0 },         { 0, 5, 0, 0, 7 },     { BIG, BIG, 0, 0, 0 },
        { BIG, BIG - 1, 0, 0, 0 }, { BIG, BIG, 1, 0, 0 }, { 1, BIG, BIG, 3, BIG },
};

START_TEST(parts_arrive_in_order) {
        struct world world;
        uint32_t total = 0;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, _i % 2 ? NB_NONBLOCK : 0);
        for (uint32_t i = 0; i < BIG; ++i)
                world.memory[BUFFER + i] = (uint8_t)(i % 251);
        for (uint32_t i = 0; i < 5; ++i) {
                world_put_iovec(&world, IOVEC + 8 * i, BUFFER, gathers[_i / 2][i]);
                total += gathers[_i / 2][i];
        }
        ck_assert_uint_eq(world_call_ret(&world, "fd_write", stream, IOVEC, 5, WORLD_RET), total);
        expect_parts(&world, 5);
        world_deinit(&world);
}
END_TEST

/* It says how much it was, and nothing is lost or sent twice. */
START_TEST(a_write_that_does_not_wait_fills_the_socket) {
        uint64_t sent = 0, received = 0;
        struct world world;
        char bytes[BIG];
        uint32_t stream;
        ssize_t n;
        int r;

        world_init(&world, 0);
        stream = world_stream(&world, NB_NONBLOCK);
        for (uint32_t i = 0; i < 4; ++i)
                world_put_iovec(&world, IOVEC + 8 * i, BUFFER, BIG);
        while ((r = world_call(&world, "fd_write", stream, IOVEC, 4, WORLD_RET)) == OK) {
                ck_assert_uint_gt(world_get_u32(&world, WORLD_RET), 0);
                sent += world_get_u32(&world, WORLD_RET);
        }
        ck_assert_int_eq(r, NB_WASI_EAGAIN);
        while ((n = read(world.broker.peer, bytes, sizeof(bytes))) > 0)
                received += (uint64_t)n;
        ck_assert_uint_eq(sent, received);
        ck_assert_uint_gt(sent, 4 * BIG / 2);
        world_deinit(&world);
}
END_TEST

/* ---- a TCP stream in every state ---- */

static void peer_resets(struct world *world) {
        const struct linger linger = { .l_onoff = 1 };

        ck_assert_int_eq(setsockopt(world->broker.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        world->broker.peer = nb_fd_close(world->broker.peer);
        loopback_settle();
}

static void peer_resets_and_is_noticed(struct world *world, uint32_t stream) {
        peer_resets(world);
        ck_assert_int_eq(world_read(world, stream, 1), NB_WASI_ECONNRESET);
}

static void peer_resets_a_writer(struct world *world, uint32_t stream) {
        peer_resets(world);
        ck_assert_int_eq(world_write(world, stream, 1), NB_WASI_ECONNRESET);
}

static void shuts_down(struct world *world, uint32_t stream, uint64_t how) {
        ck_assert_int_eq(world_call(world, "sock_shutdown", stream, how), OK);
}

static void shuts_reading(struct world *world, uint32_t stream) {
        shuts_down(world, stream, 1);
}

static void shuts_writing(struct world *world, uint32_t stream) {
        shuts_down(world, stream, 2);
}

static void shuts_both(struct world *world, uint32_t stream) {
        shuts_down(world, stream, 3);
}

static void peer_shuts_writing(struct world *world, uint32_t stream) {
        (void)stream;
        ck_assert_int_eq(shutdown(world->broker.peer, SHUT_WR), 0);
        loopback_settle();
}

/* What is written to it comes back as a reset. */
static void peer_closes_and_is_written_to(struct world *world, uint32_t stream) {
        world->broker.peer = nb_fd_close(world->broker.peer);
        ck_assert_int_eq(world_write(world, stream, 1), OK);
        loopback_settle();
}

static void nothing(struct world *world, uint32_t stream) {
        (void)world;
        (void)stream;
}

/* What one call says in each state: of a stream that does not wait, and of one that does, for which `intr` means that it would. */
static const struct {
        void (*enter)(struct world *world, uint32_t stream);
        int read[2];
        int write;
        int shutdown;
} states[] = {
        { nothing, { NB_WASI_EAGAIN, NB_WASI_EINTR }, OK, OK },
        { shuts_reading, { OK, OK }, OK, OK },
        { shuts_writing, { NB_WASI_EAGAIN, NB_WASI_EINTR }, NB_WASI_EPIPE, OK },
        { shuts_both, { OK, OK }, NB_WASI_EPIPE, OK },
        { peer_shuts_writing, { OK, OK }, OK, OK },
        { peer_closes_and_is_written_to, { OK, OK }, NB_WASI_EPIPE, NB_WASI_ENOTCONN },
        { peer_resets_and_is_noticed, { OK, OK }, NB_WASI_EPIPE, NB_WASI_ENOTCONN },
        { peer_resets_a_writer, { OK, OK }, NB_WASI_EPIPE, NB_WASI_ENOTCONN },
};

#define N_STATES ((int)(sizeof(states) / sizeof(states[0])))

START_TEST(a_stream_in_every_state) {
        const struct world_options options = { .make_stream = tcp_pair };
        bool waits = _i % 2;
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, waits ? 0 : NB_NONBLOCK);
        states[_i / 2].enter(&world, stream);
        /* A stream that has ended reads as ended, again and again. */
        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(world_read(&world, stream, 10), states[_i / 2].read[waits]);
                ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_PEEK), states[_i / 2].read[waits]);
                ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), states[_i / 2].read[waits]);
                if (states[_i / 2].read[waits] == OK)
                        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        }
        ck_assert_int_eq(world_write(&world, stream, 1), states[_i / 2].write);
        world_put_iovec(&world, IOVEC, BUFFER, 1);
        world_put_iovec(&world, IOVEC + 8, BUFFER, 1);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, IOVEC, 2, 0, WORLD_RET), states[_i / 2].write);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, 3), states[_i / 2].shutdown);
        world_deinit(&world);
}
END_TEST

static void peer_resets_late(void *data) {
        peer_resets(data);
}

/* As when the kernel waits: what was moved is reported, and then, once, what ended it. */
START_TEST(an_error_behind_bytes_is_told_by_the_next_call) {
        const struct world_options options = { .make_stream = tcp_pair };
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, 0);
        world_peer_writes(&world, "abc");
        loopback_settle();
        world_on_wait(&world, peer_resets_late);
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        world_expect_bytes(&world, "abc");
        ck_assert_int_eq(world_read(&world, stream, 0), OK); /* nothing is asked for, and nothing said */
        ck_assert_int_eq(_i ? world_write(&world, stream, 1) : world_read(&world, stream, 10), NB_WASI_ECONNRESET);
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        ck_assert_int_eq(world_write(&world, stream, 1), NB_WASI_EPIPE);
        world_deinit(&world);
}
END_TEST

START_TEST(a_write_that_is_cut_short_says_how_far_it_came) {
        const struct world_options options = { .make_stream = tcp_pair };
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, 0);
        for (uint32_t i = 0; i < 1024; ++i)
                world_put_iovec(&world, 1024 + 8 * i, BUFFER, BIG);
        world_on_wait(&world, peer_resets_late);
        ck_assert_int_eq(world_call(&world, "fd_write", stream, 1024, 1024, WORLD_RET), OK);
        ck_assert_uint_gt(world_get_u32(&world, WORLD_RET), 0);
        ck_assert_uint_lt(world_get_u32(&world, WORLD_RET), 1024 * BIG);
        ck_assert_int_eq(world_write(&world, stream, 1), NB_WASI_ECONNRESET);
        ck_assert_int_eq(world_write(&world, stream, 1), NB_WASI_EPIPE);
        world_deinit(&world);
}
END_TEST

/* ---- two guests of one session ---- */

struct two_guests {
        struct world world; /* first: on_wait gets it */
        struct nb_guest *second;
        int result; /* of what the second did while the first waited */
};

static void two_guests_init(struct two_guests *two) {
        struct nb_guest_options options = NB_GUEST_OPTIONS_INIT;

        world_init(&two->world, 0);
        options.session = two->world.session;
        options.n_directories = 2;
        options.wait = scripted_broker_wait;
        options.wait_data = &two->world.broker;
        ck_assert_int_eq(nb_guest_new(&options, &two->second), 0);
}

static void two_guests_deinit(struct two_guests *two) {
        nb_guest_free(two->second);
        world_deinit(&two->world);
}

/* The world's functions go on with the other guest. */
static void swap_guests(struct two_guests *two) {
        struct nb_guest *guest = two->world.guest;

        two->world.guest = two->second;
        two->second = guest;
}

static int ask_denial(struct world *world) {
        memset(world->memory + BUFFER, 0, 64);
        return world_call(world, "last_denial", BUFFER, 63, WORLD_RET);
}

/* What one guest tried is not for another to read. */
START_TEST(a_denial_is_told_to_the_guest_that_was_denied) {
        struct two_guests two;
        uint32_t controls[2];

        two_guests_init(&two);
        for (int i = 0; i < 2; ++i, swap_guests(&two))
                controls[i] = world_open(&two.world, 0);
        two.world.broker.reason = "the first's";
        ck_assert_int_eq(world_connect(&two.world, controls[0], "denied:1"), NB_WASI_EACCES);
        swap_guests(&two);
        ck_assert_int_eq(ask_denial(&two.world), OK);
        ck_assert_uint_eq(world_get_u32(&two.world, WORLD_RET), 0);
        two.world.broker.reason = "the second's";
        ck_assert_int_eq(world_connect(&two.world, controls[1], "denied:1"), NB_WASI_EACCES);
        for (int i = 1; i >= 0; --i, swap_guests(&two)) {
                ck_assert_int_eq(ask_denial(&two.world), OK);
                world_expect_bytes(&two.world, i ? "the second's" : "the first's");
        }
        two_guests_deinit(&two);
}
END_TEST

static void second_opens(void *data) {
        struct two_guests *two = data;

        swap_guests(two);
        two->result =
                world_call(&two->world, "open", WORLD_PROTOCOL, BUFFER,
                           world_put_text(&two->world, BUFFER, "another:1"), NB_SOCKET_STREAM, 0, 0, 0, WORLD_RET);
        swap_guests(two);
}

/* They share the protocol: the second must not take the answer to the first. */
START_TEST(a_protocol_in_which_another_guest_waits_is_busy) {
        struct two_guests two = { .result = -1 };
        uint32_t control;

        two_guests_init(&two);
        world_on_wait(&two.world, second_opens);
        control = world_open(&two.world, 0);
        ck_assert_int_eq(two.result, NB_WASI_EBUSY);
        ck_assert_str_eq(two.world.broker.opened_address, "any:0");
        ck_assert_int_eq(world_connect(&two.world, control, "peer:1"), OK);
        second_opens(&two);
        ck_assert_int_eq(two.result, OK);
        two_guests_deinit(&two);
}
END_TEST

/* ---- */

static TCase *connecting_tests(void) {
        TCase *tests = tcase_create("connecting");

        tcase_add_test(tests, refusals_come_through);
        tcase_add_test(tests, connecting_without_waiting);
        tcase_add_test(tests, accepting);
        tcase_add_test(tests, sock_accept_gives_the_stream);
        return tests;
}

static TCase *two_guests_tests(void) {
        TCase *tests = tcase_create("two guests");

        tcase_add_test(tests, a_denial_is_told_to_the_guest_that_was_denied);
        tcase_add_test(tests, a_protocol_in_which_another_guest_waits_is_busy);
        return tests;
}

static TCase *stream_tests(void) {
        TCase *tests = tcase_create("stream");

        tcase_add_test(tests, a_blocking_read_waits_and_finds_the_memory_again);
        tcase_add_test(tests, reading_scatters_and_ends);
        tcase_add_loop_test(tests, iovecs_are_checked, 0, 2);
        tcase_add_test(tests, a_blocking_write_writes_all);
        tcase_add_test(tests, a_peek_that_wants_all);
        tcase_add_test(tests, receiving_with_flags);
        tcase_add_test(tests, shutting_down_one_direction);
        tcase_add_loop_test(tests, parts_arrive_in_order, 0, 2 * (int)(sizeof(gathers) / sizeof(gathers[0])));
        tcase_add_test(tests, a_write_that_does_not_wait_fills_the_socket);
        tcase_add_loop_test(tests, a_stream_in_every_state, 0, 2 * N_STATES);
        tcase_add_loop_test(tests, an_error_behind_bytes_is_told_by_the_next_call, 0, 2);
        tcase_add_test(tests, a_write_that_is_cut_short_says_how_far_it_came);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi_network");

        suite_add_tcase(suite, connecting_tests());
        suite_add_tcase(suite, two_guests_tests());
        suite_add_tcase(suite, stream_tests());
        return run_suite(suite);
}
