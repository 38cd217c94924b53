/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC in numbers: streams of one connection, connections of one endpoint, and connections in the course of time. Afterwards descriptors, sockets and the
 * broker's accounts are as they were before, and relays hold little more memory.
 */
#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sanitized.h"
#include "tests/support/harness.h"
#include "tests/support/quic_host.h"
#include "tests/support/runner.h"

#define CONNECTIONS 1000
#define BATCH 100

/* Under sanitizers each is some ten times as slow. */
#define IN_COURSE (NB_SANITIZED ? 1000u : 10000u)

/* Each takes a descriptor of every process that it goes through, and two of a relay at the most. */
#define STREAMS 10000
#define SPARE_DESCRIPTORS 500

/* What a relay's allocator keeps of what was freed; AddressSanitizer keeps 256 MiB. */
#define KEPT_KIB (NB_SANITIZED ? 524288 : 65536)

struct scale {
        struct quic_world world;
        struct quic_echo echo;
        struct quic_host host;
        struct nb_connection *connection; /* that stays */
        pid_t relays[2];
        unsigned fds[2];
        unsigned broker_fds;
        long memory[2];
};

static unsigned count_fds(pid_t pid) {
        char path[64];
        unsigned n = 0;
        DIR *folder;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        folder = opendir(path);
        ck_assert_ptr_nonnull(folder);
        while (readdir(folder))
                n++;
        (void)closedir(folder);
        return n - 2; /* . and .. */
}

static long resident_kib(pid_t pid) {
        NB_CLEANUP_FREE char *text = NULL;
        const char *line;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        text = daemon_read(path);
        line = strstr(text, "VmRSS:");
        ck_assert_ptr_nonnull(line);
        return strtol(line + strlen("VmRSS:"), NULL, 10);
}

/* As many descriptors as are allowed, for what is started as well. @return how many */
static rlim_t raise_limit(void) {
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        return limit.rlim_cur;
}

static void scale_start(struct scale *scale, const char *limits, const char *keys) {
        quic_world_start(&scale->world, limits, keys);
        quic_echo_start(&scale->echo, &scale->world, "other");
        quic_host_open(&scale->host, &scale->world, "acme");
        scale->connection = quic_host_connect(&scale->host, scale->echo.address);
        quic_host_echo(scale->connection, 10, 1000, 1);
        ck_assert_uint_eq(quic_world_relays(&scale->world, scale->relays, 2), 2);
        for (size_t i = 0; i < 2; ++i)
                scale->memory[i] = resident_kib(scale->relays[i]);
        scale->broker_fds = daemon_count_fds_at_rest(&scale->world.daemon);
        for (size_t i = 0; i < 2; ++i)
                scale->fds[i] = count_fds(scale->relays[i]);
}

static void wait_fds(pid_t pid, unsigned expected) {
        uint64_t start_ms = harness_now_ms();

        while (count_fds(pid) > expected)
                harness_wait_a_moment(start_ms, "a relay to close its descriptors");
}

/* The first of many is silent until the last has come, which takes minutes where two cores run all this under sanitizers. */
#define PATIENT "IdleTimeout=10min\n"

/* All that came is gone, and the first connection still works. */
static void expect_baseline(const struct scale *scale) {
        quic_host_echo(scale->connection, 10, 1000, 2);
        daemon_wait_fds(&scale->world.daemon, scale->broker_fds);
        for (size_t i = 0; i < 2; ++i) {
                wait_fds(scale->relays[i], scale->fds[i]);
                printf("summary: relay %zu has %ld KiB, %ld KiB more than before\n", i, resident_kib(scale->relays[i]),
                       resident_kib(scale->relays[i]) - scale->memory[i]);
                ck_assert_int_lt(resident_kib(scale->relays[i]) - scale->memory[i], KEPT_KIB);
        }
}

static void scale_end(struct scale *scale) {
        nb_connection_free(scale->connection);
        quic_host_close(&scale->host);
        quic_echo_stop(&scale->echo);
        quic_world_end(&scale->world);
}

/* A word goes there and back. */
static void exchange(int fd, unsigned number) {
        unsigned back = 0;

        ck_assert_int_eq(send(fd, &number, sizeof(number), MSG_NOSIGNAL), sizeof(number));
        ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "stream %u says nothing", number);
        ck_assert_int_eq(recv(fd, &back, sizeof(back), MSG_WAITALL), sizeof(back));
        ck_assert_uint_eq(back, number);
}

/* Open at once, each with something said on it. */
START_TEST(streams_of_one_connection) {
        NB_CLEANUP_FREE int *fds = calloc(STREAMS, sizeof(*fds));
        rlim_t limit = raise_limit();
        struct scale scale;
        unsigned n = limit < STREAMS + SPARE_DESCRIPTORS ? (unsigned)limit - SPARE_DESCRIPTORS : STREAMS;

        scale_start(&scale, "", PATIENT "MaxStreams=10000\n");
        for (unsigned i = 0; i < n; ++i)
                fds[i] = quic_host_stream(scale.connection);
        for (unsigned i = 0; i < n; ++i)
                exchange(fds[i], i);
        for (unsigned i = n; i > 0; --i)
                exchange(fds[i - 1], i);
        printf("summary: %u streams open on one connection, %ld and %ld KiB more in the relays\n", n,
               resident_kib(scale.relays[0]) - scale.memory[0], resident_kib(scale.relays[1]) - scale.memory[1]);
        for (unsigned i = 0; i < n; ++i)
                (void)nb_fd_close(fds[i]);
        ck_assert_uint_eq(n, STREAMS);
        expect_baseline(&scale);
        scale_end(&scale);
}
END_TEST

START_TEST(connections_of_one_endpoint) {
        struct nb_connection *connections[CONNECTIONS];
        struct scale scale;

        (void)raise_limit();
        scale_start(&scale, "", PATIENT);
        for (unsigned i = 0; i < CONNECTIONS; ++i)
                connections[i] = quic_host_connect(&scale.host, scale.echo.address);
        for (unsigned i = 0; i < CONNECTIONS; ++i) {
                int fd = quic_host_stream(connections[i]);

                exchange(fd, i);
                (void)nb_fd_close(fd);
        }
        printf("summary: %d connections, %ld and %ld KiB more in the relays\n", CONNECTIONS,
               resident_kib(scale.relays[0]) - scale.memory[0], resident_kib(scale.relays[1]) - scale.memory[1]);
        for (unsigned i = 0; i < CONNECTIONS; ++i)
                nb_connection_free(connections[i]);
        expect_baseline(&scale);
        scale_end(&scale);
}
END_TEST

/* Some at a time. */
START_TEST(connections_in_the_course_of_time) {
        struct nb_connection *connections[BATCH];
        struct scale scale;

        (void)raise_limit();
        scale_start(&scale, "", PATIENT);
        for (unsigned n = 0; n < IN_COURSE; n += BATCH) {
                for (unsigned i = 0; i < BATCH; ++i)
                        connections[i] = quic_host_connect(&scale.host, scale.echo.address);
                quic_host_echo(connections[n / BATCH % BATCH], 3, 100, n + 1);
                for (unsigned i = 0; i < BATCH; ++i)
                        nb_connection_free(connections[i]);
        }
        expect_baseline(&scale);
        scale_end(&scale);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("quic_scale");
        TCase *tcase = tcase_create("scale");

        tcase_set_timeout(tcase, 240);
        tcase_add_test(tcase, streams_of_one_connection);
        tcase_add_test(tcase, connections_of_one_endpoint);
        tcase_add_test(tcase, connections_in_the_course_of_time);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
