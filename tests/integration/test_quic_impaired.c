/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC over a bad network (tests/support/impair.h).
 */
#include <check.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "tests/support/harness.h"
#include "tests/support/impair.h"
#include "tests/support/peer.h"
#include "tests/support/quic_host.h"
#include "tests/support/runner.h"

/* ---- the network itself ---- */

#define PROBES 1000
#define PROBES_AT_ONCE 100 /* no more than fit the receiver's queue */

/* Both ways, from an address of its own, and from another after a rebinding. */
START_TEST(a_good_network_changes_nothing) {
        const struct impair_settings settings = { 0 };
        struct impair_counts from_client, from_server;
        struct peer client = peer_udp("127.0.0.1"), server = peer_udp("127.0.0.1");
        char first[NB_ADDRESS_TEXT_MAX], second[NB_ADDRESS_TEXT_MAX];
        struct impair impair;

        impair_start(&impair, server.text, &settings);
        peer_udp_send(&client, impair.address, "question");
        peer_udp_expect(server.fd, "question", first);
        peer_udp_send(&server, first, "answer");
        peer_udp_expect(client.fd, "answer", NULL);
        impair_rebind(&impair, "127.0.0.77");
        peer_udp_send(&client, impair.address, "question");
        peer_udp_expect(server.fd, "question", second);
        ck_assert_ptr_nonnull(strstr(second, "127.0.0.77:"));
        ck_assert_uint_ne(peer_port(first), peer_port(second));
        impair_count(&impair, &from_client, &from_server);
        ck_assert_uint_eq(from_client.packets, 2);
        ck_assert_uint_eq(from_client.bytes, 16);
        ck_assert_uint_eq(from_server.packets, 1);
        ck_assert_uint_eq(from_server.bytes, 6);
        impair_stop(&impair);
        peer_close(&client);
        peer_close(&server);
}
END_TEST

struct probes {
        unsigned n_came;
        unsigned n_overtaken;
        unsigned n_damaged;
        uint32_t highest;
};

static void take_probes(int fd, struct probes *probes) {
        struct {
                uint32_t number, complement;
        } probe;

        while (recv(fd, &probe, sizeof(probe), MSG_DONTWAIT) == (ssize_t)sizeof(probe)) {
                probes->n_came++;
                if (probe.number != ~probe.complement) {
                        probes->n_damaged++;
                        continue;
                }
                probes->n_overtaken += probe.number < probes->highest;
                if (probe.number > probes->highest)
                        probes->highest = probe.number;
        }
}

static void send_probe(int fd, const struct sockaddr_storage *to, socklen_t length, uint32_t number) {
        const uint32_t probe[] = { number, ~number };

        ck_assert_int_eq(sendto(fd, probe, sizeof(probe), 0, (const struct sockaddr *)to, length), sizeof(probe));
}

/* Until all that were sent and not lost are there. */
static void wait_for_probes(const struct impair *impair, int fd, unsigned n_sent, struct probes *probes) {
        uint64_t start_ms = harness_now_ms();

        for (;;) {
                struct impair_counts from_client, from_server;

                impair_count(impair, &from_client, &from_server);
                take_probes(fd, probes);
                if (from_client.packets == n_sent &&
                    probes->n_came == n_sent - from_client.lost + from_client.duplicated)
                        return;
                harness_wait_a_moment(start_ms, "the last packet");
        }
}

START_TEST(a_bad_network_is_as_bad_as_was_said) {
        const struct impair_settings settings = {
                .loss_percent = 5, .duplicate_percent = 10, .corrupt_percent = 2, .delay_ms = 1, .jitter_ms = 5
        };
        struct impair_counts from_client, from_server;
        struct peer client = peer_udp("127.0.0.1"), server = peer_udp("127.0.0.1");
        struct probes probes = { 0 };
        struct sockaddr_storage to;
        struct nb_address address;
        struct impair impair;
        socklen_t length;

        impair_start(&impair, server.text, &settings);
        ck_assert_int_eq(nb_address_parse(impair.address, strlen(impair.address), &address), 0);
        length = nb_address_to_sockaddr(&address, &to);
        for (uint32_t i = 1; i <= PROBES; ++i) {
                send_probe(client.fd, &to, length, i);
                if (i % PROBES_AT_ONCE == 0)
                        wait_for_probes(&impair, server.fd, i, &probes);
        }
        impair_count(&impair, &from_client, &from_server);
        ck_assert_uint_gt(from_client.lost, PROBES / 40);
        ck_assert_uint_lt(from_client.lost, PROBES / 10);
        ck_assert_uint_gt(from_client.duplicated, PROBES / 20);
        ck_assert_uint_lt(from_client.duplicated, PROBES / 5);
        ck_assert_uint_gt(from_client.corrupted, 0);
        ck_assert_uint_eq(probes.n_damaged, from_client.corrupted);
        ck_assert_uint_gt(probes.n_overtaken, 0);
        impair_stop(&impair);
        peer_close(&client);
        peer_close(&server);
}
END_TEST

/* ---- guest to guest ---- */

#define STREAMS 100
#define STREAM_LENGTH 100000

struct through {
        struct quic_world world;
        struct quic_echo echo;
        struct impair impair;
        struct quic_host host;
        struct nb_connection *connection;
};

/* From a guest of "acme" through its relay and a network to that of a guest of "other". */
static void through_start(struct through *through, const struct impair_settings *settings, const char *keys) {
        quic_world_start(&through->world, "", keys);
        quic_echo_start(&through->echo, &through->world, "other");
        impair_start(&through->impair, through->echo.address, settings);
        quic_host_open(&through->host, &through->world, "acme");
        through->connection = quic_host_connect(&through->host, through->impair.address);
}

static void through_end(struct through *through) {
        nb_connection_free(through->connection);
        quic_host_close(&through->host);
        quic_echo_stop(&through->echo);
        impair_stop(&through->impair);
        quic_world_end(&through->world);
}

static const struct {
        const char *name;
        struct impair_settings settings;
} networks[] = {
        { "a good one", { 0 } },
        { "5 % lost", { .loss_percent = 5 } },
        { "20 ms on the way", { .delay_ms = 20 } },
        { "out of order", { .delay_ms = 1, .jitter_ms = 10 } },
        { "twice", { .duplicate_percent = 20 } },
        { "damaged", { .corrupt_percent = 2 } },
        { "all of it",
          { .loss_percent = 5, .duplicate_percent = 5, .corrupt_percent = 1, .delay_ms = 20, .jitter_ms = 10 } },
};

START_TEST(streams_arrive_whole) {
        struct impair_counts from_clients, from_server;
        struct through through;

        through_start(&through, &networks[_i].settings, "");
        quic_host_echo(through.connection, STREAMS, STREAM_LENGTH, (uint64_t)_i + 1);
        impair_count(&through.impair, &from_clients, &from_server);
        ck_assert_msg(from_clients.bytes > STREAMS * STREAM_LENGTH && from_server.bytes > STREAMS * STREAM_LENGTH,
                      "they did not go by the network \"%s\"", networks[_i].name);
        through_end(&through);
}
END_TEST

/* Nothing gets through for a while, and then all does again. */
START_TEST(a_network_that_comes_back) {
        const struct impair_settings settings = { 0 };
        struct impair_counts before, now, from_server;
        uint64_t start_ms;
        struct through through;
        int fd;

        through_start(&through, &settings, "");
        quic_host_echo(through.connection, 1, STREAM_LENGTH, 1);
        impair_cut(&through.impair, true);
        impair_count(&through.impair, &before, &from_server);
        fd = quic_host_stream(through.connection);
        ck_assert_int_eq(send(fd, "word", 4, MSG_NOSIGNAL), 4);
        start_ms = harness_now_ms();
        do {
                impair_count(&through.impair, &now, &from_server);
                harness_wait_a_moment(start_ms, "packets that are lost");
        } while (now.lost < before.lost + 3);
        impair_cut(&through.impair, false);
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        (void)nb_fd_close(fd);
        quic_host_echo(through.connection, STREAMS, 1000, 2);
        through_end(&through);
}
END_TEST

/* A NAT forgets the client, in the middle of everything: it has another port, and another address. */
START_TEST(a_client_that_moves) {
        const struct impair_settings settings = { .delay_ms = 1 };
        struct through through;

        through_start(&through, &settings, "");
        quic_host_echo(through.connection, 1, STREAM_LENGTH, 1);
        impair_rebind(&through.impair, "127.0.0.1");
        quic_host_echo(through.connection, 10, STREAM_LENGTH, 2);
        impair_rebind(&through.impair, "127.0.0.5");
        quic_host_echo(through.connection, 10, STREAM_LENGTH, 3);
        through_end(&through);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("quic_impaired");
        TCase *network = tcase_create("network"), *guests = tcase_create("guests");

        tcase_add_test(network, a_good_network_changes_nothing);
        tcase_add_test(network, a_bad_network_is_as_bad_as_was_said);
        suite_add_tcase(suite, network);
        tcase_set_timeout(guests, 120);
        tcase_add_loop_test(guests, streams_arrive_whole, 0, sizeof(networks) / sizeof(networks[0]));
        tcase_add_test(guests, a_network_that_comes_back);
        tcase_add_test(guests, a_client_that_moves);
        suite_add_tcase(suite, guests);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
