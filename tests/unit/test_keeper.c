/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-keeper's server and store, in this process; the test is the broker, and may be a bad one.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/unix_listener.h"
#include "keeper/server.h"
#include "tests/support/harness.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"

struct world {
        struct nb_log log;
        struct server *server;
        char folder[32];
        struct sockaddr_un address;
        int broker;
        int file; /* one to be kept */
        int fds_before;
        uint8_t message[NB_CHANNEL_MESSAGE_MAX];
};

static int new_file(void) {
        int pair[2];

        ck_assert_int_eq(nb_channel_pair(pair), 0);
        (void)nb_fd_close(pair[1]);
        return pair[0];
}

static const struct store_limits plenty = { .entries = 1000, .bytes = 1 << 20, .fds = 1000 };

static void world_start_limited(struct world *world, const struct store_limits *limits) {
        int n;

        *world = (struct world){ .broker = -1, .folder = "/tmp/keeper-XXXXXX", .fds_before = count_fds() };
        ck_assert_ptr_nonnull(mkdtemp(world->folder));
        nb_log_init(&world->log, "test", NB_LOG_ERROR);
        world->server = calloc(1, sizeof(*world->server));
        ck_assert_ptr_nonnull(world->server);
        world->server->log = &world->log;
        world->server->user = geteuid();
        world->address.sun_family = AF_UNIX;
        n = snprintf(world->address.sun_path, sizeof(world->address.sun_path), "%s/sock", world->folder);
        ck_assert_int_lt(n, (int)sizeof(world->address.sun_path));
        ck_assert_int_eq(server_init(world->server, limits), 0);
        world->server->listen_fd = nb_unix_listen(world->address.sun_path, SOCK_SEQPACKET, 0666, 4);
        ck_assert_int_ge(world->server->listen_fd, 0);
        world->file = new_file();
}

static void world_start(struct world *world) {
        world_start_limited(world, &plenty);
}

static void world_end(struct world *world) {
        (void)nb_fd_close(world->file);
        (void)nb_fd_close(world->broker);
        (void)nb_fd_close(world->server->listen_fd);
        server_deinit(world->server);
        free(world->server);
        ck_assert_int_eq(unlink(world->address.sun_path), 0);
        ck_assert_int_eq(rmdir(world->folder), 0);
        ck_assert_int_eq(count_fds(), world->fds_before);
}

/* As long as there is something for the server. */
static void turns(struct world *world) {
        const struct server *server = world->server;

        for (;;) {
                struct pollfd event = {
                        .fd = server->client_fd >= 0 ? server->client_fd : server->listen_fd,
                        .events = server->sending ? POLLOUT : POLLIN,
                };

                if (poll(&event, 1, 0) <= 0)
                        return;
                ck_assert_int_eq(server_turn(world->server), 0);
        }
}

static int connect_broker(const struct world *world) {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(connect(fd, (const struct sockaddr *)&world->address, sizeof(world->address)), 0);
        return fd;
}

static void send_raw(int fd, const struct nb_keep_header *header, const void *bytes, size_t length, const int *fds,
                     size_t n_fds) {
        uint8_t message[NB_CHANNEL_MESSAGE_MAX];

        memcpy(message, header, sizeof(*header));
        if (length > 0)
                memcpy(message + sizeof(*header), bytes, length);
        ck_assert_int_eq(nb_channel_send(fd, message, sizeof(*header) + length, fds, n_fds), 0);
}

static void send_verb(int fd, enum nb_keep_verb verb, uint64_t id) {
        const struct nb_keep_header header = { .version = NB_KEEP_VERSION, .verb = verb, .id = id };

        send_raw(fd, &header, NULL, 0, NULL, 0);
}

static void put(int fd, uint64_t id, const char *text, const int *fds, size_t n_fds) {
        const struct nb_keep_header header = {
                .version = NB_KEEP_VERSION, .verb = NB_KEEP_PUT, .id = id, .length = (uint32_t)strlen(text)
        };

        send_raw(fd, &header, text, strlen(text), fds, n_fds);
}

/* @return what came, its bytes behind it in `world->message` */
static struct nb_keep_header receive(struct world *world, struct nb_channel_fds *ret_fds) {
        struct nb_keep_header header;
        int n = nb_channel_receive(world->broker, world->message, ret_fds);

        ck_assert_int_ge(n, (int)sizeof(header));
        memcpy(&header, world->message, sizeof(header));
        ck_assert_uint_eq(header.version, NB_KEEP_VERSION);
        ck_assert_uint_eq(header.length, (size_t)n - sizeof(header));
        return header;
}

static void expect_entry(struct world *world, uint64_t id, const char *text, size_t n_fds) {
        struct nb_channel_fds fds;
        struct nb_keep_header header = receive(world, &fds);

        ck_assert_uint_eq(header.verb, NB_KEEP_ENTRY);
        ck_assert_uint_eq(header.id, id);
        ck_assert_uint_eq(header.length, strlen(text));
        ck_assert_mem_eq(world->message + sizeof(header), text, strlen(text));
        ck_assert_uint_eq(fds.n, n_fds);
        nb_channel_fds_close(&fds);
}

static void expect_end(struct world *world, uint64_t last_id) {
        struct nb_channel_fds fds;
        struct nb_keep_header header = receive(world, &fds);

        ck_assert_uint_eq(header.verb, NB_KEEP_END);
        ck_assert_uint_eq(header.id, last_id);
        ck_assert_uint_eq(fds.n, 0);
}

static void expect_refused(struct world *world, uint64_t id, int error) {
        struct nb_channel_fds fds;
        struct nb_keep_header header = receive(world, &fds);

        ck_assert_uint_eq(header.verb, NB_KEEP_REFUSED);
        ck_assert_uint_eq(header.id, id);
        ck_assert_int_eq(header.error, error);
}

static void expect_closed(struct world *world) {
        uint8_t byte;

        turns(world);
        /* A peer that closes with something unread says so first. */
        if (recv(world->broker, &byte, 1, 0) < 0)
                ck_assert_int_eq(errno, ECONNRESET);
        ck_assert_int_eq(recv(world->broker, &byte, 1, 0), 0);
        world->broker = nb_fd_close(world->broker);
}

/* Another broker comes, and asks for what is there. */
static void restart(struct world *world) {
        (void)nb_fd_close(world->broker);
        world->broker = connect_broker(world);
        send_verb(world->broker, NB_KEEP_FETCH, 0);
        turns(world);
}

static void fill(int *fds, size_t n, int fd) {
        for (size_t i = 0; i < n; ++i)
                fds[i] = fd;
}

START_TEST(what_is_put_comes_back_with_its_descriptors) {
        struct world world;
        int two[2];

        world_start(&world);
        fill(two, 2, world.file);
        restart(&world);
        expect_end(&world, 0);
        put(world.broker, 7, "seven", &world.file, 1);
        put(world.broker, 3, "three", two, 2);
        put(world.broker, 4, "", NULL, 0);
        put(world.broker, 9, "nine", NULL, 0);
        send_verb(world.broker, NB_KEEP_FORGET, 9);
        send_verb(world.broker, NB_KEEP_FORGET, 12345);
        turns(&world);
        ck_assert_uint_eq(world.server->store.n_fds, 3);
        restart(&world);
        expect_entry(&world, 7, "seven", 1);
        expect_entry(&world, 3, "three", 2);
        expect_entry(&world, 4, "", 0);
        expect_end(&world, 9);
        world_end(&world);
}
END_TEST

START_TEST(what_is_put_again_replaces) {
        struct world world;
        int two[2];
        int fds;

        world_start(&world);
        fill(two, 2, world.file);
        restart(&world);
        expect_end(&world, 0);
        put(world.broker, 1, "before", two, 2);
        turns(&world);
        fds = count_fds();
        put(world.broker, 1, "after", &world.file, 1);
        turns(&world);
        ck_assert_int_eq(count_fds(), fds - 1);
        ck_assert_uint_eq(world.server->store.n_bytes, strlen("after"));
        restart(&world);
        expect_entry(&world, 1, "after", 1);
        expect_end(&world, 1);
        world_end(&world);
}
END_TEST

START_TEST(many_entries_are_found_again) {
        struct world world;
        char text[16];

        world_start(&world);
        restart(&world);
        expect_end(&world, 0);
        for (unsigned i = 1; i <= 900; ++i) {
                (void)snprintf(text, sizeof(text), "%u", i);
                put(world.broker, (uint64_t)i << 6, text, NULL, 0);
                turns(&world);
        }
        for (unsigned i = 1; i <= 900; i += 2) {
                send_verb(world.broker, NB_KEEP_FORGET, (uint64_t)i << 6);
                turns(&world);
        }
        restart(&world);
        for (unsigned i = 2; i <= 900; i += 2) {
                (void)snprintf(text, sizeof(text), "%u", i);
                expect_entry(&world, (uint64_t)i << 6, text, 0);
                turns(&world);
        }
        expect_end(&world, 900 << 6);
        world_end(&world);
}
END_TEST

/* What was sent counts, also where the broker has left answers unread: then the kernel says ECONNRESET before what it had sent. */
START_TEST(what_was_sent_before_the_end_is_kept) {
        static const struct store_limits one = { .entries = 1, .bytes = 100, .fds = 1 };
        struct world world;

        world_start_limited(&world, &one);
        restart(&world);
        expect_end(&world, 0);
        put(world.broker, 1, "one", NULL, 0);
        put(world.broker, 2, "is too many", NULL, 0);
        turns(&world);
        send_verb(world.broker, NB_KEEP_FORGET, 1);
        put(world.broker, 3, "the last", &world.file, 1);
        world.broker = nb_fd_close(world.broker);
        restart(&world);
        expect_entry(&world, 3, "the last", 1);
        expect_end(&world, 3);
        world_end(&world);
}
END_TEST

START_TEST(bounds_are_told) {
        static const struct store_limits few = { .entries = 3, .bytes = 10, .fds = 2 };
        struct world world;
        int three[3];
        int fds;

        world_start_limited(&world, &few);
        fill(three, 3, world.file);
        restart(&world);
        expect_end(&world, 0);
        fds = count_fds();
        put(world.broker, 1, "12345678901", NULL, 0);
        put(world.broker, 2, "1", three, 3);
        turns(&world);
        expect_refused(&world, 1, -ENOSPC);
        expect_refused(&world, 2, -EMFILE);
        ck_assert_int_eq(count_fds(), fds);
        put(world.broker, 1, "1234567890", three, 2);
        put(world.broker, 2, "", NULL, 0);
        put(world.broker, 3, "", NULL, 0);
        put(world.broker, 4, "", NULL, 0);
        turns(&world);
        expect_refused(&world, 4, -ENOSPC);
        /* Replaced within the bound, since the old one counts no more; over it, it is gone. */
        put(world.broker, 1, "12345", three, 1);
        turns(&world);
        put(world.broker, 1, "12345678901", NULL, 0);
        turns(&world);
        expect_refused(&world, 1, -ENOSPC);
        restart(&world);
        expect_entry(&world, 2, "", 0);
        expect_entry(&world, 3, "", 0);
        expect_end(&world, 3);
        world_end(&world);
}
END_TEST

START_TEST(a_full_table_of_descriptors_is_told) {
        struct world world;
        struct rlimit before, limit;
        int two[2];

        world_start(&world);
        fill(two, 2, world.file);
        restart(&world);
        expect_end(&world, 0);
        put(world.broker, 1, "before", &world.file, 1);
        turns(&world);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        limit.rlim_cur = (rlim_t)dup(world.file);
        (void)nb_fd_close((int)limit.rlim_cur);
        put(world.broker, 1, "too many", two, 2);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        turns(&world);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        expect_refused(&world, 1, -EMFILE);
        ck_assert_uint_eq(world.server->store.n_entries, 0);
        world_end(&world);
}
END_TEST

START_TEST(reset_forgets) {
        struct world world;

        world_start(&world);
        restart(&world);
        expect_end(&world, 0);
        put(world.broker, 1, "old", &world.file, 1);
        (void)nb_fd_close(world.broker);
        world.broker = connect_broker(&world);
        send_verb(world.broker, NB_KEEP_RESET, 0);
        turns(&world);
        expect_end(&world, 1);
        put(world.broker, 2, "new", &world.file, 1);
        restart(&world);
        expect_entry(&world, 2, "new", 1);
        expect_end(&world, 2);
        world_end(&world);
}
END_TEST

START_TEST(one_broker_at_a_time) {
        struct world world;
        struct nb_channel_fds fds;
        int first;

        world_start(&world);
        restart(&world);
        expect_end(&world, 0);
        put(world.broker, 1, "one", NULL, 0);
        first = world.broker;
        world.broker = connect_broker(&world);
        send_verb(world.broker, NB_KEEP_FETCH, 0);
        turns(&world);
        ck_assert_int_eq(nb_channel_receive(world.broker, world.message, &fds), -EAGAIN);
        put(first, 1, "two", NULL, 0);
        (void)nb_fd_close(first);
        turns(&world);
        expect_entry(&world, 1, "two", 0);
        expect_end(&world, 1);
        world_end(&world);
}
END_TEST

/* More than the channel holds, to a broker that reads late; and one that never reads does not keep the next one out when it is gone. */
START_TEST(a_slow_broker_gets_everything) {
        enum { ENTRIES = 900 };
        struct world world;
        uint8_t bytes[1000] = { 0 };
        const struct nb_keep_header header = { .version = NB_KEEP_VERSION,
                                               .verb = NB_KEEP_PUT,
                                               .length = sizeof(bytes) };

        world_start(&world);
        restart(&world);
        expect_end(&world, 0);
        for (unsigned i = 1; i <= ENTRIES; ++i) {
                struct nb_keep_header numbered = header;

                numbered.id = i;
                send_raw(world.broker, &numbered, bytes, sizeof(bytes), &world.file, 1);
                turns(&world);
        }
        restart(&world);
        ck_assert(world.server->sending);
        restart(&world);
        for (unsigned i = 1; i <= ENTRIES; ++i) {
                struct nb_channel_fds fds;

                ck_assert_uint_eq(receive(&world, &fds).id, i);
                ck_assert_uint_eq(fds.n, 1);
                nb_channel_fds_close(&fds);
                turns(&world);
        }
        expect_end(&world, ENTRIES);
        world_end(&world);
}
END_TEST

static void expect_violation(struct world *world, const struct nb_keep_header *header, size_t length, const int *fds,
                             size_t n_fds) {
        restart(world);
        expect_entry(world, 1, "stays", 0);
        expect_end(world, 1);
        send_raw(world->broker, header, "abcdefgh", length, fds, n_fds);
        expect_closed(world);
}

START_TEST(what_makes_no_sense_ends_the_connection) {
        const struct nb_keep_header good = { .version = NB_KEEP_VERSION, .verb = NB_KEEP_PUT, .id = 2, .length = 8 };
        struct nb_keep_header bad;
        struct world world;
        int five[5];

        world_start(&world);
        fill(five, 5, world.file);
        restart(&world);
        expect_end(&world, 0);
        put(world.broker, 1, "stays", NULL, 0);
        turns(&world);

        bad = good;
        bad.version++;
        expect_violation(&world, &bad, 8, NULL, 0);
        bad = good;
        bad.id = 0;
        expect_violation(&world, &bad, 8, NULL, 0);
        bad = good;
        bad.verb = NB_KEEP_ENTRY;
        expect_violation(&world, &bad, 8, NULL, 0);
        bad = good;
        bad.verb = 77;
        expect_violation(&world, &bad, 8, &world.file, 1);
        bad = good;
        bad.verb = NB_KEEP_FETCH;
        expect_violation(&world, &bad, 8, NULL, 0);
        expect_violation(&world, &good, 7, NULL, 0);
        bad = good;
        bad.length = UINT32_MAX;
        expect_violation(&world, &bad, 8, &world.file, 1);
        expect_violation(&world, &good, 8, five, 5);

        restart(&world);
        expect_entry(&world, 1, "stays", 0);
        expect_end(&world, 1);
        ck_assert_int_eq(nb_channel_send(world.broker, "x", 1, NULL, 0), 0);
        expect_closed(&world);
        world_end(&world);
}
END_TEST

START_TEST(a_connection_begins_with_fetch_or_reset) {
        struct world world;

        world_start(&world);
        world.broker = connect_broker(&world);
        put(world.broker, 1, "one", NULL, 0);
        expect_closed(&world);
        ck_assert_uint_eq(world.server->store.n_entries, 0);
        world_end(&world);
}
END_TEST

/* Waits in poll(2) itself, for a time that is set short. */
START_TEST(when_no_broker_comes_all_is_closed) {
        struct world world;
        int pair[2];
        uint8_t byte;

        world_start(&world);
        world.server->timeout_ms = 20;
        restart(&world);
        expect_end(&world, 0);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        put(world.broker, 1, "one", &pair[0], 1);
        (void)nb_fd_close(pair[0]);
        turns(&world);
        world.broker = nb_fd_close(world.broker);
        while (world.server->store.n_entries > 0)
                ck_assert_int_eq(server_turn(world.server), 0);
        ck_assert_int_eq(recv(pair[1], &byte, 1, 0), 0);
        (void)nb_fd_close(pair[1]);
        world_end(&world);
}
END_TEST

static void try_as_stranger(void *data) {
        const struct nb_keep_header header = { .version = NB_KEEP_VERSION, .verb = NB_KEEP_FETCH };
        struct world *world = data;
        struct pollfd event;

        world->broker = connect_broker(world);
        /* It may be closed already. */
        (void)send(world->broker, &header, sizeof(header), MSG_NOSIGNAL);
        event = (struct pollfd){ .fd = world->broker, .events = POLLIN };
        ck_assert_int_eq(poll(&event, 1, HARNESS_DEADLINE_MS), 1);
        /* The end, and nothing else. */
        ck_assert_int_le(recv(world->broker, world->message, sizeof(world->message), 0), 0);
}

START_TEST(foreign_users_are_refused) {
        struct world world;
        int alive[2];
        pid_t pid;

        if (geteuid() != 0) {
                (void)fprintf(stderr, "skipped: needs root, to be another user\n");
                return;
        }
        world_start(&world);
        ck_assert_int_eq(chmod(world.folder, 0755), 0);
        restart(&world);
        expect_end(&world, 0);
        put(world.broker, 1, "secret", NULL, 0);
        turns(&world);
        world.broker = nb_fd_close(world.broker);
        turns(&world);
        ck_assert_int_eq(pipe(alive), 0);
        pid = fork();
        if (pid == 0) {
                (void)close(alive[0]);
                harness_run_as(65534, try_as_stranger, &world);
                _exit(0);
        }
        (void)close(alive[1]);
        for (;;) {
                struct pollfd events[] = { { .fd = world.server->listen_fd, .events = POLLIN },
                                           { .fd = alive[0], .events = POLLIN } };

                ck_assert_int_gt(poll(events, 2, HARNESS_DEADLINE_MS), 0);
                turns(&world);
                ck_assert_int_eq(world.server->client_fd, -1);
                if (events[1].revents != 0)
                        break;
        }
        (void)close(alive[0]);
        ck_assert_int_eq(harness_wait_exit(pid), 0);
        world_end(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("keeper");
        TCase *tcase = tcase_create("keeper");

        tcase_add_test(tcase, what_is_put_comes_back_with_its_descriptors);
        tcase_add_test(tcase, what_is_put_again_replaces);
        tcase_add_test(tcase, many_entries_are_found_again);
        tcase_add_test(tcase, what_was_sent_before_the_end_is_kept);
        tcase_add_test(tcase, bounds_are_told);
        tcase_add_test(tcase, a_full_table_of_descriptors_is_told);
        tcase_add_test(tcase, reset_forgets);
        tcase_add_test(tcase, one_broker_at_a_time);
        tcase_add_test(tcase, a_slow_broker_gets_everything);
        tcase_add_test(tcase, what_makes_no_sense_ends_the_connection);
        tcase_add_test(tcase, a_connection_begins_with_fetch_or_reset);
        tcase_add_test(tcase, when_no_broker_comes_all_is_closed);
        tcase_add_test(tcase, foreign_users_are_refused);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
