/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC as an attacker sees it: from the network, where clients break the protocol, flood, and lend their addresses from others (tests/quic/hostile); from the guest's
 * host, which holds the connection's channel; and from a neighbour, whose relay aborts. The relay is the real one.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sanitized.h"
#include "tests/support/fake_dns.h"
#include "tests/support/hostile.h"
#include "tests/support/impair.h"
#include "tests/support/peer.h"
#include "tests/support/quic_host.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

#define HOSTILE_TIMEOUT_MS 120000
#define SLOW_STREAMS 50
#define COME_BACK_MS 10000

/* What a relay's process may grow by beside what is counted: its allocator keeps what was freed, AddressSanitizer 256 MiB of it. */
#define GROWTH_KIB (NB_SANITIZED ? 524288 : 32768)

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

/* ---- strangers and clients ---- */

struct attacked {
        struct quic_world world;
        struct quic_echo echo, other_echo;
        struct quic_host host; /* of "other", with a connection to its own server */
        struct nb_connection *connection;
        pid_t relay; /* of "acme" */
};

/* A server of "acme" is to be attacked, while "other" talks to itself. */
static void attacked_start(struct attacked *attacked, const char *keys) {
        pid_t relays[2];

        quic_world_start(&attacked->world, "", keys);
        quic_echo_start(&attacked->echo, &attacked->world, "acme");
        attacked->relay = quic_world_relay(&attacked->world);
        quic_echo_start(&attacked->other_echo, &attacked->world, "other");
        quic_host_open(&attacked->host, &attacked->world, "other");
        attacked->connection = quic_host_connect(&attacked->host, attacked->other_echo.address);
        quic_host_echo(attacked->connection, 1, 1000, 1);
        ck_assert_uint_eq(quic_world_relays(&attacked->world, relays, 2), 2);
}

/* Neither tenant has lost a relay, and both are served. */
static void attacked_end(struct attacked *attacked) {
        pid_t relays[3];

        hostile_expect(&attacked->world, attacked->echo.address, HARNESS_DEADLINE_MS, "benign", NULL);
        quic_host_echo(attacked->connection, 10, 10000, 2);
        ck_assert_uint_eq(quic_world_relays(&attacked->world, relays, 3), 2);
        ck_assert_int_eq(relays[0], attacked->relay);
        nb_connection_free(attacked->connection);
        quic_host_close(&attacked->host);
        quic_echo_stop(&attacked->echo);
        quic_echo_stop(&attacked->other_echo);
        quic_world_end(&attacked->world);
}

#define ATTACK(attacked, ...)                                                                                          \
        hostile_expect(&(attacked)->world, (attacked)->echo.address, HOSTILE_TIMEOUT_MS, __VA_ARGS__, NULL)

START_TEST(abuse_43_who_breaks_the_protocol_ends_alone) {
        struct attacked attacked;

        attacked_start(&attacked, "");
        ATTACK(&attacked, "violations");
        attacked_end(&attacked);
}
END_TEST

START_TEST(abuse_43_three_times_the_bytes_at_most) {
        struct attacked attacked;

        attacked_start(&attacked, "");
        ATTACK(&attacked, "first-packets", "--count", "300", "--expect-retry");
        attacked_end(&attacked);
}
END_TEST

START_TEST(abuse_43_three_times_the_bytes_at_most_with_retry) {
        struct attacked attacked;

        attacked_start(&attacked, "Retry=always\n");
        ATTACK(&attacked, "first-packets", "--count", "50", "--expect-retry", "--seconds", "1");
        attacked_end(&attacked);
}
END_TEST

START_TEST(abuse_43_tokens_of_others) {
        struct attacked attacked;

        attacked_start(&attacked, "Retry=always\n");
        ATTACK(&attacked, "tokens");
        attacked_end(&attacked);
}
END_TEST

/* What is no packet leaves nothing behind. */
START_TEST(abuse_43_malformed_first_packets) {
        struct attacked attacked;
        long before;

        attacked_start(&attacked, "");
        ATTACK(&attacked, "garbage", "--count", "1000");
        before = resident_kib(attacked.relay);
        ATTACK(&attacked, "garbage", "--count", "20000");
        ATTACK(&attacked, "versions");
        ATTACK(&attacked, "unknown-ids", "--count", "20000");
        ATTACK(&attacked, "replay");
        ck_assert_int_lt(resident_kib(attacked.relay) - before, GROWTH_KIB);
        attacked_end(&attacked);
}
END_TEST

START_TEST(abuse_43_early_data_is_off) {
        struct attacked attacked;

        attacked_start(&attacked, "");
        ATTACK(&attacked, "early-data");
        attacked_end(&attacked);
}
END_TEST

START_TEST(abuse_44_half_open_handshakes_keep_nobody_out) {
        struct attacked attacked;

        attacked_start(&attacked, "HandshakeTimeout=10min\n");
        ATTACK(&attacked, "half-open", "--count", "500");
        attacked_end(&attacked);
}
END_TEST

START_TEST(abuse_45_floods_of_frames) {
        struct attacked attacked;
        long before;

        attacked_start(&attacked, "");
        before = resident_kib(attacked.relay);
        ATTACK(&attacked, "floods");
        ck_assert_int_lt(resident_kib(attacked.relay) - before, GROWTH_KIB);
        attacked_end(&attacked);
}
END_TEST

/* ---- paths ---- */

/* Waits until so many more packets have come from clients. */
static void wait_for_packets(const struct impair *impair, uint64_t more) {
        struct impair_counts before, now, from_server;
        uint64_t start_ms = harness_now_ms();

        impair_count(impair, &before, &from_server);
        do {
                harness_wait_a_moment(start_ms, "the client to repeat itself");
                impair_count(impair, &now, &from_server);
        } while (now.packets < before.packets + more);
}

/* A client that moves to where the policy lets nobody come from gets nothing there, and is served where it was before. */
START_TEST(abuse_12_43_a_path_that_the_policy_denies) {
        const struct impair_settings settings = { 0 };
        struct impair_counts before, after, from_clients;
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_host host;
        struct quic_echo echo;
        struct impair impair;
        int fd;

        quic_world_start(&world, "", "Deny=127.0.0.66/32:*\n");
        quic_echo_start(&echo, &world, "acme");
        impair_start(&impair, echo.address, &settings);
        quic_host_open(&host, &world, "other");
        connection = quic_host_connect(&host, impair.address);
        quic_host_echo(connection, 1, 1000, 1);
        impair_rebind(&impair, "127.0.0.66");
        impair_count(&impair, &from_clients, &before);
        fd = quic_host_stream(connection);
        ck_assert_int_eq(send(fd, "word", 4, MSG_NOSIGNAL), 4);
        wait_for_packets(&impair, 4);
        impair_count(&impair, &from_clients, &after);
        ck_assert_uint_eq(after.packets, before.packets);
        daemon_expect_audit(&world.daemon, "\"verdict\":\"denied\"", "127.0.0.66:");
        impair_rebind(&impair, "127.0.0.67");
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        (void)nb_fd_close(fd);
        quic_host_echo(connection, 1, 1000, 2);
        nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        impair_stop(&impair);
        quic_world_end(&world);
}
END_TEST

/* Nor does one get in that is there from the beginning. */
START_TEST(abuse_12_a_client_that_the_policy_denies) {
        const struct impair_settings settings = { 0 };
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_host host;
        struct quic_echo echo;
        struct impair impair;
        int r;

        quic_world_start(&world, "", "Deny=127.0.0.66/32:*\nConnectTimeout=3s\n");
        quic_echo_start(&echo, &world, "acme");
        impair_start(&impair, echo.address, &settings);
        impair_rebind(&impair, "127.0.0.66");
        quic_host_open(&host, &world, "other");
        r = nb_connect(host.control, impair.address, strlen(impair.address), &connection);
        ck_assert_msg(r == -ECONNREFUSED || r == -ETIMEDOUT, "%s", strerror(-r));
        daemon_expect_audit(&world.daemon, "\"verb\":\"accept\"", "\"verdict\":\"denied\"", "127.0.0.66:");
        impair_rebind(&impair, "127.0.0.67");
        connection = quic_host_connect(&host, impair.address);
        quic_host_echo(connection, 1, 1000, 2);
        nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        impair_stop(&impair);
        quic_world_end(&world);
}
END_TEST

/* ---- a stream's descriptor, and a server's port ---- */

/* Nothing makes anything else of it, and a port has one tenant. */
START_TEST(abuse_1_2_3_4_a_stream_stays_with_its_peer) {
        struct peer elsewhere = peer_udp("127.0.0.1");
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
        struct quic_host host;
        struct nb_control *stolen;
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_echo echo;
        uint64_t base, inheriting;
        int fd, r;

        quic_world_start(&world, "", "");
        quic_echo_start(&echo, &world, "acme");
        quic_host_open(&host, &world, "other");
        connection = quic_host_connect(&host, echo.address);
        fd = quic_host_stream(connection);
        address.sin_port = htons(peer_port(elsewhere.text));
        ck_assert_int_eq(connect(fd, &nowhere, sizeof(nowhere)), -1);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), -1);
        ck_assert_int_eq(listen(fd, 1), -1);
        ck_assert_int_eq(sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address)), -1);
        (void)nb_fd_close(fd);
        quic_host_echo(connection, 1, 1000, 1);
        peer_expect_nothing(elsewhere.fd);

        nb_protocol_rights(host.protocol, &base, &inheriting);
        r = nb_open(host.protocol, echo.address, strlen(echo.address), NB_SOCKET_STREAM, inheriting, inheriting, 0,
                    &stolen);
        ck_assert_int_eq(r, -EADDRINUSE);
        nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        peer_close(&elsewhere);
        quic_world_end(&world);
}
END_TEST

/* ---- the guest's host ---- */

/* A connection whose channel is spoken on by hand. */
struct channel {
        struct wire_session session; /* of "acme" */
        struct wire control;
        struct wire wire; /* the connection channel */
        struct wire_reply *reply;
};

static void channel_open(struct channel *channel, const struct quic_world *world, const char *address) {
        wire_session_open(world->daemon.socket_path, "acme", &channel->session);
        channel->control = wire_open_control(&channel->session.protocols[0], "0.0.0.0:0");
        channel->wire = (struct wire){ .fd = -1 };
        ck_assert_uint_eq(wire_connect_to(&channel->control, address, &channel->wire.fd), 0);
        channel->reply = wire_reply_new();
        ck_assert(wire_receive(&channel->wire, channel->reply));
        ck_assert_int_eq(channel->reply->reply->body_case, NB__REPLY__BODY_STREAMS);
        ck_assert_uint_eq(channel->reply->reply->streams->bidirectional, 100);
}

static void channel_close(struct channel *channel) {
        nb_channel_fds_close(&channel->reply->fds);
        free(channel->reply);
        (void)wire_close(&channel->wire);
        (void)wire_close(&channel->control);
        wire_session_close(&channel->session);
}

/* A request for a stream. @return its length */
static size_t stream_create(uint64_t serial, uint8_t frame[static NB_CHANNEL_MESSAGE_MAX]) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__StreamCreate create = NB__STREAM_CREATE__INIT;

        request.serial = serial;
        request.body_case = NB__REQUEST__BODY_STREAM_CREATE;
        request.stream_create = &create;
        return wire_pack(&request, frame);
}

static void ask_for_stream(struct wire *wire) {
        NB_CLEANUP_FREE uint8_t *frame = malloc(NB_CHANNEL_MESSAGE_MAX);
        size_t length = stream_create(++wire->serial, frame);

        ck_assert_int_eq(wire_send_bytes(wire, frame, length, NULL, 0), 0);
}

/* Waits for a stream; totals may come in between. */
static void receive_created(struct channel *channel) {
        do
                ck_assert(wire_receive(&channel->wire, channel->reply));
        while (channel->reply->reply->body_case == NB__REPLY__BODY_STREAMS);
        ck_assert_int_eq(channel->reply->reply->body_case, NB__REPLY__BODY_STREAM_CREATED);
        ck_assert_uint_eq(channel->reply->fds.n, 1);
}

struct hosts {
        struct quic_world world;
        struct quic_echo echo;
        struct quic_host host; /* another of "acme", by the same relay */
        struct nb_connection *connection;
        struct channel channel;
};

static void hosts_start(struct hosts *hosts) {
        quic_world_start(&hosts->world, "", "");
        quic_echo_start(&hosts->echo, &hosts->world, "other");
        quic_host_open(&hosts->host, &hosts->world, "acme");
        hosts->connection = quic_host_connect(&hosts->host, hosts->echo.address);
        channel_open(&hosts->channel, &hosts->world, hosts->echo.address);
}

/* The channel's is the only connection that may have gone. */
static void hosts_end(struct hosts *hosts) {
        pid_t relays[3];

        quic_host_echo(hosts->connection, 10, 1000, 1);
        channel_close(&hosts->channel);
        ck_assert_uint_eq(quic_world_relays(&hosts->world, relays, 3), 2);
        nb_connection_free(hosts->connection);
        quic_host_close(&hosts->host);
        quic_echo_stop(&hosts->echo);
        quic_world_end(&hosts->world);
}

/* Makes a good request of `length` bytes a bad one; returns its length. */
typedef size_t (*spoil_function)(uint8_t *frame, size_t length);

static size_t truncated(uint8_t *frame, size_t length) {
        (void)frame;
        return length - 1;
}

static size_t one_byte(uint8_t *frame, size_t length) {
        (void)length;
        frame[0] = 0x80;
        return 1;
}

static size_t longest(uint8_t *frame, size_t length) {
        (void)length;
        memset(frame, 0xff, NB_CHANNEL_MESSAGE_MAX);
        return NB_CHANNEL_MESSAGE_MAX;
}

static size_t append(uint8_t *frame, size_t length, const char *bytes, size_t n) {
        memcpy(frame + length, bytes, n);
        return length + n;
}

static size_t unknown_field(uint8_t *frame, size_t length) {
        return append(frame, length, "\xf8\x01\x01", 3);
}

/* Field 15 is the serial. */
static size_t field_twice(uint8_t *frame, size_t length) {
        return append(frame, length, "\x78\x09", 2);
}

/* Hello, which belongs elsewhere. */
static size_t another_channels(uint8_t *frame, size_t length) {
        (void)length;
        return append(frame, 0, "\x0a\x00\x78\x01", 4);
}

static size_t no_body(uint8_t *frame, size_t length) {
        (void)length;
        return append(frame, 0, "\x78\x01", 2);
}

static size_t no_serial(uint8_t *frame, size_t length) {
        (void)length;
        return stream_create(0, frame);
}

static const struct {
        const char *name;
        spoil_function spoil;
} spoils[] = {
        { "truncated", truncated },
        { "one byte", one_byte },
        { "as long as there are", longest },
        { "an unknown field", unknown_field },
        { "a field twice", field_twice },
        { "a request of another channel", another_channels },
        { "no body", no_body },
        { "no serial", no_serial },
};

START_TEST(abuse_31_a_bad_frame_ends_the_connection) {
        NB_CLEANUP_FREE uint8_t *frame = malloc(2 * NB_CHANNEL_MESSAGE_MAX);
        struct hosts hosts;

        hosts_start(&hosts);
        for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); ++i) {
                size_t length = spoils[i].spoil(frame, stream_create(1, frame));

                ck_assert_int_eq(wire_send_bytes(&hosts.channel.wire, frame, length, NULL, 0), 0);
                wire_expect_end(&hosts.channel.wire);
                channel_close(&hosts.channel);
                channel_open(&hosts.channel, &hosts.world, hosts.echo.address);
        }
        hosts_end(&hosts);
}
END_TEST

/* The host was told how many there may be. */
START_TEST(abuse_31_32_more_streams_than_were_told) {
        struct hosts hosts;

        hosts_start(&hosts);
        for (int i = 0; i < 100; ++i) {
                ask_for_stream(&hosts.channel.wire);
                receive_created(&hosts.channel);
                /* Kept open: an end would let the peer allow more. */
                hosts.channel.reply->fds.n = 0;
        }
        ask_for_stream(&hosts.channel.wire);
        wire_expect_end(&hosts.channel.wire);
        hosts_end(&hosts);
}
END_TEST

START_TEST(abuse_5_descriptors_for_the_relay) {
        NB_CLEANUP_FREE uint8_t *frame = malloc(NB_CHANNEL_MESSAGE_MAX);
        int fds[16], pipe_fds[2], r;
        struct hosts hosts;
        size_t length;

        hosts_start(&hosts);
        ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
        for (size_t i = 0; i < 16; ++i)
                fds[i] = pipe_fds[1];
        length = stream_create(++hosts.channel.wire.serial, frame);
        r = wire_send_bytes(&hosts.channel.wire, frame, length, fds, 16);
        (void)nb_fd_close(pipe_fds[1]);
        if (harness_refuses_descriptors())
                ck_assert_int_eq(r, -EPERM);
        else
                wire_expect_end(&hosts.channel.wire);
        /* Nobody has the pipe's other end. */
        peer_expect_pipe_end(pipe_fds[0]);
        (void)nb_fd_close(pipe_fds[0]);
        hosts_end(&hosts);
}
END_TEST

/* Streams are asked for and never taken: what is under way is bounded, and others get theirs. */
START_TEST(abuse_8_streams_that_are_never_taken) {
        struct hosts hosts;
        uint64_t start_ms = harness_now_ms();

        hosts_start(&hosts);
        for (int i = 0; i < 100; ++i)
                ask_for_stream(&hosts.channel.wire);
        quic_host_echo(hosts.connection, 10, 1000, 3);
        /* It has stopped reading requests at its bound, and goes on when its streams are taken. */
        for (int i = 0; i < 100; ++i) {
                receive_created(&hosts.channel);
                nb_channel_fds_close(&hosts.channel.reply->fds);
        }
        ck_assert_uint_lt(harness_now_ms() - start_ms, HARNESS_DEADLINE_MS);
        hosts_end(&hosts);
}
END_TEST

START_TEST(abuse_9_closing_in_the_middle) {
        struct hosts hosts;

        hosts_start(&hosts);
        for (int i = 0; i < 20; ++i) {
                for (int n = 0; n <= i; ++n)
                        ask_for_stream(&hosts.channel.wire);
                channel_close(&hosts.channel);
                channel_open(&hosts.channel, &hosts.world, hosts.echo.address);
        }
        hosts_end(&hosts);
}
END_TEST

/* Both directions of each stream are full and nobody reads: that costs what the windows say, and stops no other stream. */
START_TEST(abuse_45_who_does_not_read_costs_little) {
        const char zeros[16384] = { 0 };
        struct hosts hosts;
        int fds[SLOW_STREAMS];
        pid_t relays[2];
        long before[2];

        hosts_start(&hosts);
        quic_host_echo(hosts.connection, 1, 1000, 1);
        ck_assert_uint_eq(quic_world_relays(&hosts.world, relays, 2), 2);
        for (size_t i = 0; i < 2; ++i)
                before[i] = resident_kib(relays[i]);
        for (size_t i = 0; i < SLOW_STREAMS; ++i) {
                fds[i] = quic_host_stream(hosts.connection);
                while (harness_poll(fds[i], POLLOUT, 50) & POLLOUT)
                        ck_assert(send(fds[i], zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL) > 0 ||
                                  errno == EAGAIN);
        }
        /* Of each stream a window each way, and as much again that was sent and is not acknowledged. */
        for (size_t i = 0; i < 2; ++i)
                ck_assert_int_lt(resident_kib(relays[i]) - before[i], SLOW_STREAMS * 4 * 256 + GROWTH_KIB);
        quic_host_echo(hosts.connection, 1, 100000, 2);
        for (size_t i = 0; i < SLOW_STREAMS; ++i)
                (void)nb_fd_close(fds[i]);
        quic_host_echo(hosts.connection, 1, 100000, 3);
        hosts_end(&hosts);
}
END_TEST

/* ---- a neighbour ---- */

/* What a tenant's relay was carrying is cut, which is no end (abuse case 42); what another's carries goes on; and the listener is back soon. */
START_TEST(abuse_42_45_a_relay_that_aborts) {
        struct nb_connection *connection;
        struct attacked attacked;
        struct quic_host host;
        uint64_t start_ms;
        pid_t relays[2];
        char byte;
        int fd, r;

        attacked_start(&attacked, "ConnectTimeout=1s\n");
        quic_host_open(&host, &attacked.world, "acme");
        connection = quic_host_connect(&host, attacked.echo.address);
        fd = quic_host_stream(connection);
        ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
        ck_assert_int_eq(kill(attacked.relay, SIGABRT), 0);
        start_ms = harness_now_ms();
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
        ck_assert_int_eq(errno, ECONNRESET);
        (void)nb_fd_close(fd);
        nb_connection_free(connection);
        quic_host_echo(attacked.connection, 10, 10000, 4);
        do {
                ck_assert_uint_lt(harness_now_ms() - start_ms, COME_BACK_MS);
                r = nb_connect(host.control, attacked.echo.address, strlen(attacked.echo.address), &connection);
        } while (r < 0);
        printf("summary: after an abort the relay's listener is back within %u ms\n",
               (unsigned)(harness_now_ms() - start_ms));
        quic_host_echo(connection, 10, 10000, 5);
        nb_connection_free(connection);
        quic_host_close(&host);
        ck_assert_uint_eq(quic_world_relays(&attacked.world, relays, 2), 2);
        attacked.relay = relays[0];
        attacked_end(&attacked);
}
END_TEST

/* ---- names ---- */

/* An allowed name that leads to a refused address is not dialled, and one that leads to both only where it may. */
START_TEST(abuse_23_24_a_name_that_leads_elsewhere) {
        static const struct fake_dns_name zone[] = {
                { .name = "refused.example.com", .ipv4 = "169.254.169.254", .ttl = 60 },
                { .name = "mixed.example.com", .ipv4 = "169.254.169.254 127.0.0.1", .ttl = 60 },
        };
        struct fake_dns *dns = fake_dns_start(zone, sizeof(zone) / sizeof(zone[0]));
        char limits[128], text[128];
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_echo echo;
        struct quic_host host;
        int r;

        (void)snprintf(limits, sizeof(limits), "Resolvers=%s\n", fake_dns_address(dns));
        quic_world_start(&world, limits, "Connect=*.example.com:*\nAddresses=local\n");
        quic_echo_start(&echo, &world, "other");
        quic_host_open(&host, &world, "acme");
        r = nb_connect(host.control, "refused.example.com:443", strlen("refused.example.com:443"), &connection);
        ck_assert_int_eq(r, -EACCES);
        /* The certificate is of 127.0.0.1 and another name: so it was dialled, and refused for that. */
        (void)snprintf(text, sizeof(text), "mixed.example.com:%u", peer_port(echo.address));
        r = nb_connect(host.control, text, strlen(text), &connection);
        ck_assert_int_eq(r, -EACCES);
        ck_assert_ptr_nonnull(strstr(nb_session_last_denial(host.session), "certificate"));
        quic_host_close(&host);
        quic_echo_stop(&echo);
        quic_world_end(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *const *tests, size_t n) {
        TCase *tcase = tcase_create(name);

        /* Python, and some hundred handshakes, under sanitizers. */
        tcase_set_timeout(tcase, 180);
        for (size_t i = 0; i < n; ++i)
                tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
}

#define ADD(suite, name, tests) add((suite), (name), (tests), sizeof(tests) / sizeof((tests)[0]))

static Suite *make_suite(void) {
        Suite *suite = suite_create("abuse_quic");
        const TTest *const network[] = {
                abuse_43_who_breaks_the_protocol_ends_alone,
                abuse_43_three_times_the_bytes_at_most,
                abuse_43_three_times_the_bytes_at_most_with_retry,
                abuse_43_tokens_of_others,
                abuse_43_malformed_first_packets,
                abuse_43_early_data_is_off,
                abuse_44_half_open_handshakes_keep_nobody_out,
                abuse_45_floods_of_frames,
        };
        const TTest *const policy[] = {
                abuse_12_43_a_path_that_the_policy_denies,
                abuse_12_a_client_that_the_policy_denies,
                abuse_23_24_a_name_that_leads_elsewhere,
                abuse_1_2_3_4_a_stream_stays_with_its_peer,
        };
        const TTest *const hosts[] = {
                abuse_31_a_bad_frame_ends_the_connection,
                abuse_31_32_more_streams_than_were_told,
                abuse_5_descriptors_for_the_relay,
                abuse_8_streams_that_are_never_taken,
                abuse_9_closing_in_the_middle,
                abuse_45_who_does_not_read_costs_little,
        };
        const TTest *const neighbours[] = { abuse_42_45_a_relay_that_aborts };

        ADD(suite, "network", network);
        ADD(suite, "policy", policy);
        ADD(suite, "hosts", hosts);
        ADD(suite, "neighbours", neighbours);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
