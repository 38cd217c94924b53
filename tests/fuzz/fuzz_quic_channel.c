/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two connections of QUIC, one the client's and one the server's, each with a guest's host that says and does what the input wants: frames of any kind on the connection's
 * channel, and bytes, shutdowns and closes on streams.
 *
 * The input begins with a byte for what connections may, and is a list of steps, a byte each, with what belongs to it behind (see run_step()). The relay goes on. What a host is
 * pushed is well-formed, in order, and within its credit; a stream comes with its descriptor. On a stream arrives what was written on its other end, from the
 * beginning and without gaps.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quic_world.h"

const char fuzz_target[] = "quic_channel";

#define SERVER 1
#define CLIENT_LINK 10
#define SERVER_LINK 11
#define STEPS_MAX 48
#define STREAMS_MAX 32
#define PIECE_MAX 65536

/* Turns for a handshake: far more than it takes where packets are not lost. */
#define HANDSHAKE_TURNS 200000

/* The settings' byte. */
#define DATAGRAMS 0x1
#define SMALL_WINDOWS 0x2

/** One end of a stream, in a host's hands. */
struct end {
        int fd; /* -1: closed */
        uint64_t id;
        uint64_t n_written, n_read; /* bytes; of each, what it is follows from its place */
        bool is_messages;
};

/** A guest's host. */
struct host {
        int channel; /* -1: closed, or the relay has closed it */
        uint64_t serial;
        uint64_t credit, n_incoming;
        uint64_t bidirectional, unidirectional; /* totals */
        bool is_over;                           /* ConnectionClosed came */
        bool is_wrong; /* it has sent what is no request: what the relay does then is its own affair */
        struct end ends[STREAMS_MAX];
        size_t n_ends;
};

struct channels {
        struct quic_world *world;
        struct host hosts[2];
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        uint8_t piece[PIECE_MAX];
        bool are_datagrams;
};

/* ---- bytes that say where they belong ---- */

static uint8_t byte_at(uint64_t id, bool from_client, uint64_t offset) {
        return (uint8_t)(offset * 31 + offset / 251 + id * 7 + from_client);
}

static bool is_client(const struct channels *channels, const struct host *host) {
        return host == &channels->hosts[0];
}

/* ---- what a host is told ---- */

static void add_end(struct host *host, uint64_t id, bool is_messages, struct nb_channel_fds *fds) {
        FUZZ_CHECK(fds->n == 1, "%zu descriptors with a stream", fds->n);
        if (host->n_ends < STREAMS_MAX)
                host->ends[host->n_ends++] =
                        (struct end){ .fd = nb_steal_fd(&fds->fds[0]), .id = id, .is_messages = is_messages };
        nb_channel_fds_close(fds);
}

static void take_totals(struct host *host, const Nb__Streams *streams) {
        FUZZ_CHECK(streams->bidirectional >= host->bidirectional && streams->unidirectional >= host->unidirectional,
                   "%ju and %ju after more", (uintmax_t)streams->bidirectional, (uintmax_t)streams->unidirectional);
        host->bidirectional = streams->bidirectional;
        host->unidirectional = streams->unidirectional;
}

static void take_incoming(struct host *host, const Nb__StreamIncoming *incoming, struct nb_channel_fds *fds) {
        FUZZ_CHECK(incoming->number == ++host->n_incoming, "%ju", (uintmax_t)incoming->number);
        FUZZ_CHECK(host->n_incoming <= host->credit, "%ju of %ju", (uintmax_t)host->n_incoming,
                   (uintmax_t)host->credit);
        add_end(host, incoming->id, false, fds);
}

static void take_reply(struct channels *channels, struct host *host, size_t length, struct nb_channel_fds *fds) {
        Nb__Reply *reply;

        FUZZ_CHECK(nb_reply_decode(&channels->arena, channels->frame, length, &reply) == 0, "%zu bytes", length);
        FUZZ_CHECK(!host->is_over, "%d behind ConnectionClosed", reply->body_case);
        switch (reply->body_case) {
        case NB__REPLY__BODY_STREAMS:
                take_totals(host, reply->streams);
                break;
        case NB__REPLY__BODY_STREAM_INCOMING:
                take_incoming(host, reply->stream_incoming, fds);
                return;
        case NB__REPLY__BODY_STREAM_CREATED:
                add_end(host, reply->stream_created->id, reply->stream_created->message_max > 0, fds);
                return;
        case NB__REPLY__BODY_REFUSED:
                FUZZ_CHECK(reply->refused->error > 0, "refused for no reason");
                break;
        case NB__REPLY__BODY_CONNECTION_CLOSED:
                host->is_over = true;
                break;
        default:
                FUZZ_CHECK(false, "%d", reply->body_case);
        }
        FUZZ_CHECK(fds->n == 0, "%zu descriptors with %d", fds->n, reply->body_case);
}

static void hear(struct channels *channels, struct host *host) {
        struct nb_channel_fds fds;
        int length;

        while (host->channel >= 0) {
                length = nb_channel_receive(host->channel, channels->frame, &fds);
                if (length == -EAGAIN)
                        return;
                if (length <= 0)
                        host->channel = nb_channel_fd_close(host->channel);
                else
                        take_reply(channels, host, (size_t)length, &fds);
        }
}

static void look(struct channels *channels) {
        for (int i = 0; i < 3; ++i)
                quic_world_turn(channels->world);
        while (quic_world_report(channels->world))
                ;
        for (int i = 0; i < 2; ++i)
                hear(channels, &channels->hosts[i]);
}

/* ---- steps ---- */

static void send_frame(struct host *host, const uint8_t *bytes, size_t length) {
        if (host->channel >= 0)
                (void)send(host->channel, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_raw(struct host *host, const uint8_t **data, size_t *size) {
        size_t length;
        const uint8_t *bytes = fuzz_take_bytes(data, size, &length);

        send_frame(host, bytes, length);
        host->credit = UINT64_MAX; /* it may have been a credit */
}

static void create(struct host *host, uint8_t unidirectional) {
        Nb__StreamCreate stream_create = NB__STREAM_CREATE__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        stream_create.unidirectional = unidirectional & 1;
        request.body_case = NB__REQUEST__BODY_STREAM_CREATE;
        request.stream_create = &stream_create;
        request.serial = ++host->serial;
        if (host->channel >= 0)
                (void)nb_request_send(host->channel, &request, NULL, 0);
}

static void give_credit(struct host *host, uint8_t more) {
        Nb__Credit credit = NB__CREDIT__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        credit.total = host->n_incoming + more;
        request.body_case = NB__REQUEST__BODY_CREDIT;
        request.credit = &credit;
        if (credit.total > host->credit)
                host->credit = credit.total;
        if (host->channel >= 0)
                (void)nb_request_send(host->channel, &request, NULL, 0);
}

static struct end *pick_end(struct host *host, uint8_t which) {
        return host->n_ends > 0 ? &host->ends[which % host->n_ends] : NULL;
}

static void write_to(struct channels *channels, struct host *host, struct end *end, size_t length) {
        ssize_t n;

        length = length < PIECE_MAX ? length : PIECE_MAX;
        for (size_t i = 0; i < length; ++i)
                channels->piece[i] = byte_at(end->id, is_client(channels, host), end->n_written + i);
        n = send(end->fd, channels->piece, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
                end->n_written += (uint64_t)n;
}

static void read_from(struct channels *channels, struct host *host, struct end *end) {
        ssize_t n = recv(end->fd, channels->piece, PIECE_MAX, MSG_DONTWAIT);

        for (ssize_t i = 0; i < n && !end->is_messages; ++i)
                FUZZ_CHECK(channels->piece[i] ==
                                   byte_at(end->id, !is_client(channels, host), end->n_read + (uint64_t)i),
                           "stream %ju, at %ju", (uintmax_t)end->id, (uintmax_t)(end->n_read + (uint64_t)i));
        if (n > 0)
                end->n_read += (uint64_t)n;
}

static void use_end(struct channels *channels, struct host *host, const uint8_t **data, size_t *size) {
        struct end *end = pick_end(host, fuzz_take_byte(data, size));
        uint8_t how = fuzz_take_byte(data, size);

        if (!end || end->fd < 0)
                return;
        switch (how % 8) {
        case 0:
        case 1:
                write_to(channels, host, end, how / 8u);
                break;
        case 2:
                write_to(channels, host, end, (size_t)how * 256);
                break;
        case 3:
        case 4:
                read_from(channels, host, end);
                break;
        case 5:
                (void)shutdown(end->fd, SHUT_WR);
                break;
        case 6:
                (void)shutdown(end->fd, SHUT_RD);
                break;
        default:
                end->fd = nb_fd_close(end->fd);
                break;
        }
}

static void run_step(struct channels *channels, const uint8_t **data, size_t *size) {
        uint8_t step = fuzz_take_byte(data, size);
        struct host *host = &channels->hosts[step >> 7];

        switch (step % 8) {
        case 0:
                send_raw(host, data, size);
                break;
        case 1:
                create(host, fuzz_take_byte(data, size));
                break;
        case 2:
                give_credit(host, fuzz_take_byte(data, size));
                break;
        case 3:
                host->channel = nb_fd_close(host->channel);
                break;
        case 4:
                quic_world_end(channels->world, step & 0x10 ? SERVER_LINK : CLIENT_LINK);
                break;
        default:
                use_end(channels, host, data, size);
                break;
        }
        look(channels);
}

/* ---- its life ---- */

/** What comes of reports until both sides are through. @return whether this was the server's, or the client's, Ready */
static unsigned take_report(struct channels *channels, const Nb__Relay__Report *report) {
        FUZZ_CHECK(report->body_case != NB__RELAY__REPORT__BODY_ENDED, "%s", report->ended->reason);
        if (report->body_case == NB__RELAY__REPORT__BODY_NEW_PEER)
                channels->hosts[1].channel =
                        quic_world_take_peer(channels->world, SERVER, report->new_peer->peer, SERVER_LINK);
        return report->body_case == NB__RELAY__REPORT__BODY_READY;
}

static void shake_hands(struct channels *channels) {
        unsigned n_ready = 0;

        for (int i = 0; i < HANDSHAKE_TURNS && n_ready < 2; ++i) {
                const Nb__Relay__Report *report;

                quic_world_turn(channels->world);
                while ((report = quic_world_report(channels->world)))
                        n_ready += take_report(channels, report);
        }
        FUZZ_CHECK(n_ready == 2, "%u are ready", n_ready);
}

static void begin(struct channels *channels, uint8_t settings) {
        Nb__Relay__Quic quic = quic_world_limits();
        struct sockaddr_in address;

        quic.datagrams = channels->are_datagrams = settings & DATAGRAMS;
        if (settings & SMALL_WINDOWS)
                quic.stream_window = quic.connection_window = 4096;
        channels->world = quic_world_new();
        address = quic_world_serve(channels->world, SERVER, &quic, 4);
        quic_world_credit(channels->world, SERVER, 4);
        channels->hosts[1].channel = -1;
        channels->hosts[0].channel = quic_world_begin(channels->world, CLIENT_LINK, &quic, &address);
        for (int i = 0; i < 2; ++i)
                channels->hosts[i].credit = NB_STREAM_WINDOW;
        shake_hands(channels);
        look(channels);
}

static void end_host(struct host *host) {
        for (size_t i = 0; i < host->n_ends; ++i)
                host->ends[i].fd = nb_fd_close(host->ends[i].fd);
        host->channel = nb_fd_close(host->channel);
}

static void end(struct channels *channels) {
        for (int i = 0; i < 2; ++i)
                end_host(&channels->hosts[i]);
        for (int i = 0; i < 8; ++i)
                quic_world_turn(channels->world);
        quic_world_free(channels->world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE struct channels *channels = calloc(1, sizeof(*channels));

        FUZZ_CHECK(channels, "no memory");
        begin(channels, fuzz_take_byte(&data, &size));
        for (int i = 0; i < STEPS_MAX && size > 0; ++i)
                run_step(channels, &data, &size);
        end(channels);
        return 0;
}
