/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/ledger.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

/* As the ledger has it: what a test writes over. */
#define SLOT_SIZE 256
#define STEP 1024

#define MANY 3000

static unsigned n_interruptions; /* of calls to come: a signal comes while the kernel looks for memory */

int fallocate(int fd, int mode, off_t offset, off_t length) {
        if (n_interruptions == 0)
                return (int)syscall(SYS_fallocate, fd, mode, offset, length);
        n_interruptions--;
        errno = EINTR;
        return -1;
}

/* What ledger_each() has told, in words. */
struct told {
        size_t n;
        uint64_t last_id;
        uint32_t slot;
        uint32_t flags;
        char name[512];
        char label[512];
        char proxies[5000];
        size_t security_length;
        struct ledger_numbers numbers;
        struct nb_socket_address peer, bind, earlier;
};

static struct nb_socket_address address_of(const char *text) {
        struct nb_socket_address address;

        ck_assert_int_eq(nb_socket_address_parse(text, strlen(text), &address), 0);
        return address;
}

static struct ledger_entry entry_of(uint64_t id) {
        return (struct ledger_entry){
                .numbers = { .id = id, .cookie = 7 * id, .verb = POLICY_CONNECT, .type = POLICY_SOCKET_STREAM },
                .tenant = "acme",
                .protocol = "web",
                .peer = address_of("192.0.2.1:443"),
        };
}

static void tell(void *data, uint32_t slot, const struct ledger_entry *entry) {
        struct told *told = data;

        ck_assert_uint_gt(entry->numbers.id, told->last_id);
        ck_assert_str_eq(entry->tenant, "acme");
        ck_assert_str_eq(entry->protocol, "web");
        told->n++;
        told->slot = slot;
        told->flags = entry->flags;
        told->last_id = entry->numbers.id;
        told->numbers = entry->numbers;
        told->security_length = entry->security_length;
        told->peer = entry->peer;
        told->bind = entry->bind;
        told->earlier = entry->earlier[QUIC_ENTRY_EARLIER_MAX - 1];
        (void)snprintf(told->name, sizeof(told->name), "%s", entry->name ? entry->name : "(none)");
        (void)snprintf(told->label, sizeof(told->label), "%s", entry->label ? entry->label : "(none)");
        (void)snprintf(told->proxies, sizeof(told->proxies), "%s", entry->proxies ? entry->proxies : "(none)");
}

static struct told read_all(struct ledger *ledger) {
        struct told told = { .n = 0 };

        ck_assert_int_eq(ledger_each(ledger, tell, &told), 0);
        return told;
}

static struct ledger *new_ledger(void) {
        struct ledger *ledger;

        ck_assert_int_eq(ledger_new(NULL, &ledger), 0);
        return ledger;
}

/* The memory by another descriptor, as the keeper has it. */
static int duplicate(const struct ledger *ledger) {
        int fd = fcntl(ledger_fd(ledger), F_DUPFD_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        return fd;
}

/* The broker is gone, and another one opens the memory. */
static struct ledger *reopen(struct ledger *ledger, uint32_t *ret_n_bad) {
        int fd = duplicate(ledger);

        (void)ledger_free(ledger);
        ck_assert_int_eq(ledger_open(NULL, 1, fd, ret_n_bad, &ledger), 0);
        return ledger;
}

static uint8_t *slot_at(const struct ledger *ledger, uint32_t slot) {
        uint8_t *memory =
                mmap(NULL, (size_t)STEP * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ledger_fd(ledger), 0);

        ck_assert_ptr_ne(memory, MAP_FAILED);
        return memory + (size_t)slot * SLOT_SIZE;
}

START_TEST(a_record_comes_back_as_it_was) {
        struct ledger *ledger = new_ledger();
        struct ledger_entry entry = entry_of(5);
        char proxies[3000], label[256];
        uint32_t slot, n_bad;
        struct told told;

        memset(proxies, 'p', sizeof(proxies) - 1);
        proxies[sizeof(proxies) - 1] = '\0';
        memset(label, 'l', sizeof(label) - 1);
        label[sizeof(label) - 1] = '\0';
        entry.name = "api.example.com:443";
        entry.label = label;
        entry.proxies = proxies;
        entry.security = (const uint8_t *)"security";
        entry.security_length = 8;
        entry.bind = address_of("/run/app/s");
        entry.numbers.is_quic = true;
        entry.numbers.relay = 3;
        entry.numbers.link = 4;
        entry.earlier[QUIC_ENTRY_EARLIER_MAX - 1] = address_of("[2001:db8::1]:1");
        ck_assert_int_eq(ledger_add(ledger, &entry, &slot), 0);
        ck_assert_uint_ge(ledger_extra(ledger, slot), sizeof(proxies) - SLOT_SIZE);
        ledger_set_flags(ledger, slot, LEDGER_ENDING);
        ledger = reopen(ledger, &n_bad);
        ck_assert_uint_eq(n_bad, 0);
        told = read_all(ledger);
        ck_assert_uint_eq(told.n, 1);
        ck_assert_uint_eq(told.slot, slot);
        ck_assert_uint_eq(told.flags, LEDGER_ENDING);
        ck_assert_mem_eq(&told.numbers, &entry.numbers, sizeof(told.numbers));
        ck_assert_str_eq(told.name, entry.name);
        ck_assert_str_eq(told.label, label);
        ck_assert_str_eq(told.proxies, proxies);
        ck_assert_uint_eq(told.security_length, 8);
        ck_assert(nb_socket_address_equal(&told.peer, &entry.peer));
        ck_assert(nb_socket_address_equal(&told.bind, &entry.bind));
        ck_assert(nb_socket_address_equal(&told.earlier, &entry.earlier[QUIC_ENTRY_EARLIER_MAX - 1]));
        (void)ledger_free(ledger);
}
END_TEST

START_TEST(what_is_not_there_is_none) {
        struct ledger *ledger = new_ledger();
        struct ledger_entry entry = entry_of(1);
        uint32_t slot, n_bad;
        struct told told;

        ck_assert_int_eq(ledger_add(ledger, &entry, &slot), 0);
        ck_assert_uint_eq(ledger_extra(ledger, slot), 0);
        ledger = reopen(ledger, &n_bad);
        told = read_all(ledger);
        ck_assert_str_eq(told.name, "(none)");
        ck_assert_str_eq(told.label, "(none)");
        ck_assert_uint_eq(told.bind.family, 0);
        (void)ledger_free(ledger);
}
END_TEST

START_TEST(slots_are_given_back_and_found_again) {
        struct ledger *ledger = new_ledger();
        uint32_t slots[MANY], used, all, n_bad;
        uint64_t random = (uint64_t)_i + 1;

        for (uint64_t i = 0; i < MANY; ++i) {
                char label[600];
                struct ledger_entry entry = entry_of(i + 1);
                size_t length = next_random(&random) % sizeof(label);

                memset(label, 'x', length);
                label[length == 0 ? 0 : length - 1] = '\0';
                entry.label = label;
                ck_assert_int_eq(ledger_add(ledger, &entry, &slots[i]), 0);
        }
        ledger_room(ledger, &used, &all);
        ck_assert_uint_ge(used, MANY);
        for (size_t i = 0; i < MANY; i += 2)
                ledger_remove(ledger, slots[i]);
        ledger = reopen(ledger, &n_bad);
        ck_assert_uint_eq(n_bad, 0);
        ck_assert_uint_eq(read_all(ledger).n, MANY / 2);
        for (size_t i = 1; i < MANY; i += 2)
                ledger_remove(ledger, slots[i]);
        ledger_room(ledger, &used, &all);
        ck_assert_uint_eq(used, 0);
        ck_assert_uint_eq(read_all(ledger).n, 0);
        (void)ledger_free(ledger);
}
END_TEST

/* The broker's own timer sends signals to it (loop/nudge.h). */
START_TEST(it_grows_whoever_interrupts) {
        struct ledger *ledger = new_ledger();
        uint32_t used, all, slot;

        n_interruptions = 3;
        for (uint64_t i = 0; i < STEP; ++i) {
                struct ledger_entry entry = entry_of(i + 1);

                ck_assert_int_eq(ledger_add(ledger, &entry, &slot), 0);
        }
        ck_assert_uint_eq(n_interruptions, 0);
        ledger_room(ledger, &used, &all);
        ck_assert_uint_eq(all, 2 * STEP - 1);
        (void)ledger_free(ledger);
}
END_TEST

/* The broker was killed between the new record and the end of the old one. */
START_TEST(of_two_records_the_newer_one_counts) {
        struct ledger *ledger = new_ledger();
        struct ledger_entry entry = entry_of(9);
        uint32_t old, new, n_bad, used, all;
        struct told told;

        entry.name = "old";
        ck_assert_int_eq(ledger_add(ledger, &entry, &old), 0);
        entry.name = "new";
        entry.numbers.version = 1;
        ck_assert_int_eq(ledger_add(ledger, &entry, &new), 0);
        ledger = reopen(ledger, &n_bad);
        ck_assert_uint_eq(n_bad, 0);
        told = read_all(ledger);
        ck_assert_uint_eq(told.n, 1);
        ck_assert_str_eq(told.name, "new");
        ledger_room(ledger, &used, &all);
        ck_assert_uint_eq(used, 1);
        entry.name = "newest";
        entry.numbers.version = 2;
        ck_assert_int_eq(ledger_replace(ledger, &entry, &new), 0);
        told = read_all(ledger);
        ck_assert_uint_eq(told.n, 1);
        ck_assert_str_eq(told.name, "newest");
        (void)ledger_free(ledger);
}
END_TEST

START_TEST(numbers_are_never_given_out_twice) {
        struct ledger *ledger = new_ledger();
        uint64_t last = 41;
        uint32_t n_bad;

        ck_assert_uint_eq(ledger_count(ledger, LEDGER_LAST_CONNECTION, &last), 42);
        ck_assert_uint_eq(ledger_count(NULL, LEDGER_LAST_CONNECTION, &last), 43);
        ck_assert_uint_eq(ledger_count(ledger, LEDGER_LAST_CONNECTION, &last), 44);
        ledger = reopen(ledger, &n_bad);
        ck_assert_uint_eq(ledger_last(ledger, LEDGER_LAST_CONNECTION), 44);
        ck_assert_uint_eq(ledger_last(ledger, LEDGER_LAST_RELAY), 0);
        (void)ledger_free(ledger);
}
END_TEST

START_TEST(it_cannot_shrink) {
        struct ledger *ledger = new_ledger();

        ck_assert_int_lt(ftruncate(ledger_fd(ledger), SLOT_SIZE), 0);
        ck_assert_int_eq(errno, EPERM);
        (void)ledger_free(ledger);
}
END_TEST

START_TEST(another_layout_is_not_understood) {
        static const size_t offsets[] = { 0, 8, 12, 16 };
        struct ledger *ledger = new_ledger(), *opened;
        int fd = duplicate(ledger);
        uint8_t *header = slot_at(ledger, 0);
        uint32_t n_bad;

        header[offsets[_i]]++;
        ck_assert_int_eq(ledger_open(NULL, 1, fd, &n_bad, &opened), -EPROTO);
        (void)nb_fd_close(fd);
        (void)munmap(header, (size_t)STEP * SLOT_SIZE);
        (void)ledger_free(ledger);
}
END_TEST

START_TEST(other_files_are_not_understood) {
        NB_CLEANUP_FD int empty = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        NB_CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        struct ledger *ledger;
        uint32_t n_bad;

        ck_assert_int_lt(ledger_open(NULL, 1, empty, &n_bad, &ledger), 0);
        ck_assert_int_lt(ledger_open(NULL, 1, null, &n_bad, &ledger), 0);
        ck_assert_int_eq(ftruncate(empty, 100), 0);
        ck_assert_int_lt(ledger_open(NULL, 1, empty, &n_bad, &ledger), 0);
}
END_TEST

/* Whatever stands there: what makes no sense is dropped, and nothing else happens. */
START_TEST(what_makes_no_sense_is_dropped) {
        uint64_t random = (uint64_t)_i + 1;
        struct ledger *ledger = new_ledger();
        uint8_t *memory = slot_at(ledger, 0);
        uint32_t slots[64], n_bad, used, all;

        for (uint64_t i = 0; i < 64; ++i) {
                struct ledger_entry entry = entry_of(i + 1);
                char label[400];

                memset(label, 'a', sizeof(label) - 1);
                label[sizeof(label) - 1] = '\0';
                entry.label = i % 2 == 0 ? label : NULL;
                ck_assert_int_eq(ledger_add(ledger, &entry, &slots[i]), 0);
        }
        for (int i = 0; i < 40; ++i)
                memory[SLOT_SIZE + next_random(&random) % (100 * SLOT_SIZE)] = (uint8_t)next_random(&random);
        ledger = reopen(ledger, &n_bad);
        ledger_room(ledger, &used, &all);
        ck_assert_uint_le(used, all);
        for (uint64_t i = 0; i < 1500; ++i) {
                struct ledger_entry entry = entry_of(1000 + i);
                uint32_t slot;

                ck_assert_int_eq(ledger_add(ledger, &entry, &slot), 0);
        }
        (void)munmap(memory, (size_t)STEP * SLOT_SIZE);
        (void)ledger_free(ledger);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("ledger");
        TCase *tcase = tcase_create("records");

        tcase_add_test(tcase, a_record_comes_back_as_it_was);
        tcase_add_test(tcase, what_is_not_there_is_none);
        tcase_add_loop_test(tcase, slots_are_given_back_and_found_again, 0, 5);
        tcase_add_test(tcase, it_grows_whoever_interrupts);
        tcase_add_test(tcase, of_two_records_the_newer_one_counts);
        tcase_add_test(tcase, numbers_are_never_given_out_twice);
        tcase_add_test(tcase, it_cannot_shrink);
        tcase_add_loop_test(tcase, another_layout_is_not_understood, 0, 4);
        tcase_add_test(tcase, other_files_are_not_understood);
        tcase_add_loop_test(tcase, what_makes_no_sense_is_dropped, 0, 50);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
