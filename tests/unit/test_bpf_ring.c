/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of a ring that the kernel fills; here the test does, in memory of the same layout: the reader's page, the writer's page, and the events.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/bpf_ring.h"
#include "tests/support/runner.h"

#define SIZE 4096U

struct world {
        struct bpf_ring ring;
        uint64_t *produced;
        uint8_t *events;
        size_t page;
        uint64_t sum; /* of what was read */
        size_t n;
};

static void world_init(struct world *world) {
        int fd = memfd_create("ring", MFD_CLOEXEC);

        memset(world, 0, sizeof(*world));
        world->page = (size_t)sysconf(_SC_PAGESIZE);
        ck_assert_int_eq(ftruncate(fd, (off_t)(2 * world->page + 2 * SIZE)), 0);
        world->produced =
                mmap(NULL, world->page + 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)world->page);
        ck_assert_ptr_ne(world->produced, MAP_FAILED);
        world->events = (uint8_t *)world->produced + world->page;
        ck_assert_int_eq(bpf_ring_open(&world->ring, fd, SIZE), 0);
}

static void world_deinit(struct world *world) {
        bpf_ring_close(&world->ring);
        bpf_ring_close(&world->ring); /* harmless */
        ck_assert_int_eq(munmap(world->produced, world->page + 2 * SIZE), 0);
}

/* As the kernel does: eight bytes in front, and the next one at a multiple of eight. @param state  bits of its state */
static void write_event(struct world *world, const void *event, uint32_t size, uint32_t state) {
        uint8_t *place = world->events + *world->produced % SIZE;
        uint32_t head = size | state;

        memcpy(place, &head, sizeof(head));
        memcpy(place + BPF_RINGBUF_HDR_SZ, event, size);
        *world->produced += (size + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
}

static void write_number(struct world *world, uint64_t number, uint32_t state) {
        write_event(world, &number, sizeof(number), state);
}

static void add(void *data, const void *event, size_t size) {
        struct world *world = data;
        uint64_t number = 0;

        ck_assert_uint_le(size, sizeof(number));
        memcpy(&number, event, size);
        world->sum += number;
        world->n++;
}

START_TEST(an_empty_one_has_nothing) {
        struct world world;

        world_init(&world);
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 8, add, &world), 0);
        world_deinit(&world);
}
END_TEST

/* Round it goes, many times. */
START_TEST(all_are_read_once) {
        struct world world;
        uint64_t sum = 0;

        world_init(&world);
        for (uint64_t i = 1; i <= 10 * SIZE; ++i) {
                write_number(&world, i, 0);
                sum += i;
                if (i % 100 == 0)
                        ck_assert_uint_eq(bpf_ring_read(&world.ring, SIZE, add, &world), 100);
        }
        (void)bpf_ring_read(&world.ring, SIZE, add, &world);
        ck_assert_uint_eq(world.sum, sum);
        ck_assert_uint_eq(world.n, 10 * SIZE);
        world_deinit(&world);
}
END_TEST

START_TEST(no_more_than_was_asked_for) {
        struct world world;

        world_init(&world);
        for (uint64_t i = 0; i < 10; ++i)
                write_number(&world, i, 0);
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 3, add, &world), 3);
        ck_assert_uint_eq(world.sum, 0 + 1 + 2);
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 100, add, &world), 7);
        ck_assert_uint_eq(world.n, 10);
        world_deinit(&world);
}
END_TEST

/* What is behind one that is being written waits for it. */
START_TEST(one_that_is_being_written_is_waited_for) {
        struct world world;
        uint32_t length = sizeof(uint64_t);

        world_init(&world);
        write_number(&world, 1, 0);
        write_number(&world, 2, BPF_RINGBUF_BUSY_BIT);
        write_number(&world, 4, 0);
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 100, add, &world), 1);
        ck_assert_uint_eq(world.sum, 1);
        memcpy(world.events + BPF_RINGBUF_HDR_SZ + length, &length, sizeof(length));
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 100, add, &world), 2);
        ck_assert_uint_eq(world.sum, 1 + 2 + 4);
        world_deinit(&world);
}
END_TEST

START_TEST(one_that_was_given_up_is_passed_over) {
        struct world world;

        world_init(&world);
        write_number(&world, 1, BPF_RINGBUF_DISCARD_BIT);
        write_number(&world, 2, 0);
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 100, add, &world), 2);
        ck_assert_uint_eq(world.n, 1);
        ck_assert_uint_eq(world.sum, 2);
        world_deinit(&world);
}
END_TEST

START_TEST(events_have_any_length) {
        struct world world;

        world_init(&world);
        write_event(&world, "\1", 1, 0);
        write_event(&world, "\2\0\0", 3, 0);
        write_event(&world, "", 0, 0);
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 100, add, &world), 3);
        ck_assert_uint_eq(world.sum, 1 + 2);
        world_deinit(&world);
}
END_TEST

/* What the one before has left is there for the next. */
START_TEST(another_reader_goes_on) {
        struct world world;
        int fd;

        world_init(&world);
        write_number(&world, 1, 0);
        write_number(&world, 2, 0);
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 1, add, &world), 1);
        fd = fcntl(world.ring.fd, F_DUPFD_CLOEXEC, 0);
        bpf_ring_close(&world.ring);
        ck_assert_int_eq(bpf_ring_open(&world.ring, fd, SIZE), 0);
        ck_assert_uint_eq(bpf_ring_read(&world.ring, 100, add, &world), 1);
        ck_assert_uint_eq(world.sum, 1 + 2);
        world_deinit(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ring of BPF");
        TCase *reading = tcase_create("reading");

        tcase_add_test(reading, an_empty_one_has_nothing);
        tcase_add_test(reading, all_are_read_once);
        tcase_add_test(reading, no_more_than_was_asked_for);
        tcase_add_test(reading, one_that_is_being_written_is_waited_for);
        tcase_add_test(reading, one_that_was_given_up_is_passed_over);
        tcase_add_test(reading, events_have_any_length);
        tcase_add_test(reading, another_reader_goes_on);
        suite_add_tcase(suite, reading);
        return run_suite(suite);
}
