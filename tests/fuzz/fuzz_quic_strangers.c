/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of QUIC and clients that nobody knows: packets of any kind, and Initials whose protection is right, whatever is behind it.
 *
 * The input begins with a byte for the server's settings, and is a list of steps, a byte each, with what belongs to it behind (see run_step()). The relay goes on. Nobody is
 * announced beyond the credit. To who has not proved its address goes at most three times what has come from there (RFC 9000, 8.1), and who has proved it can
 * only have done so by a token of a Retry.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quic_initial.h"
#include "tests/fuzz/quic_world.h"

const char fuzz_target[] = "quic_strangers";

#define SERVER 1
#define FIRST_LINK 100
#define STEPS_MAX 32
#define CLIENTS_MAX 3
#define LINKS_MAX 16
#define WAITING_MAX 8
#define AMPLIFICATION_MAX 3

/* The settings' byte. */
#define ALWAYS_RETRY 0x1
#define DATAGRAMS 0x2
#define NO_CREDIT 0x4

/** A socket that packets come from. */
struct client {
        int fd;
        size_t sent, received; /* bytes of packets */
        bool has_proved;       /* it has shown the token of a Retry */
        uint8_t retry_id[QUIC_INITIAL_ID_MAX];
        size_t retry_id_length;
        uint8_t token[QUIC_INITIAL_TOKEN_MAX];
        size_t token_length; /* 0: it got no Retry */
};

struct strangers {
        struct quic_world *world;
        struct sockaddr_in address;
        struct client clients[CLIENTS_MAX];
        uint64_t credit;
        uint64_t n_announced, n_judged;
        int guests[LINKS_MAX]; /* channels' ends */
        size_t n_guests;
};

/* ---- what comes back ---- */

/** A Retry's token is behind its IDs, and in front of 16 bytes that prove it (RFC 9000, 17.2.5). */
static void take_retry(struct client *client, const uint8_t *packet, size_t length) {
        size_t at = 5, dcid_length = packet[at], scid_at = at + 1 + dcid_length + 1, token_at;

        FUZZ_CHECK(scid_at < length && packet[scid_at - 1] <= sizeof(client->retry_id), "a Retry of %zu bytes", length);
        client->retry_id_length = packet[scid_at - 1];
        token_at = scid_at + client->retry_id_length;
        FUZZ_CHECK(token_at + 16 < length && length - 16 - token_at <= sizeof(client->token), "a Retry of %zu bytes",
                   length);
        memcpy(client->retry_id, packet + scid_at, client->retry_id_length);
        client->token_length = length - 16 - token_at;
        memcpy(client->token, packet + token_at, client->token_length);
}

static void take_answers(struct client *client) {
        uint8_t packet[2048];
        ssize_t length;

        while ((length = recv(client->fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
                client->received += (size_t)length;
                if (length > 7 && (packet[0] & 0xf0) == 0xf0 && packet[4] == 1)
                        take_retry(client, packet, (size_t)length);
        }
        FUZZ_CHECK(client->has_proved || client->received <= AMPLIFICATION_MAX * client->sent, "%zu bytes for %zu",
                   client->received, client->sent);
}

static void take_reports(struct strangers *strangers) {
        const Nb__Relay__Report *report;

        while ((report = quic_world_report(strangers->world))) {
                if (report->body_case != NB__RELAY__REPORT__BODY_NEW_PEER)
                        continue;
                FUZZ_CHECK(report->new_peer->server == SERVER && report->new_peer->peer == ++strangers->n_announced,
                           "peer %ju", (uintmax_t)report->new_peer->peer);
                FUZZ_CHECK(strangers->n_announced <= strangers->credit, "%ju of %ju", (uintmax_t)strangers->n_announced,
                           (uintmax_t)strangers->credit);
        }
}

static void look(struct strangers *strangers) {
        quic_world_turn(strangers->world);
        take_reports(strangers);
        for (size_t i = 0; i < CLIENTS_MAX; ++i)
                take_answers(&strangers->clients[i]);
}

/* ---- steps ---- */

static void send_packet(struct client *client, const uint8_t *bytes, size_t length) {
        if (send(client->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length)
                client->sent += length;
}

static struct client *pick_client(struct strangers *strangers, const uint8_t **data, size_t *size) {
        return &strangers->clients[fuzz_take_byte(data, size) % CLIENTS_MAX];
}

/** Any bytes. */
static void send_raw(struct strangers *strangers, const uint8_t **data, size_t *size) {
        struct client *client = pick_client(strangers, data, size);
        size_t length;
        const uint8_t *bytes = fuzz_take_bytes(data, size, &length);

        send_packet(client, bytes, length < QUIC_INITIAL_SIZE ? length : QUIC_INITIAL_SIZE);
}

/** Any bytes, with zeros behind: as long as a first packet. */
static void send_padded(struct strangers *strangers, const uint8_t **data, size_t *size) {
        struct client *client = pick_client(strangers, data, size);
        uint8_t packet[QUIC_INITIAL_SIZE] = { 0 };
        size_t length;
        const uint8_t *bytes = fuzz_take_bytes(data, size, &length);

        if (length > 0)
                memcpy(packet, bytes, length < sizeof(packet) ? length : sizeof(packet));
        send_packet(client, packet, sizeof(packet));
}

/** An Initial: of the first flight, or behind a Retry, with its token or with one of the input's. */
static void send_initial(struct strangers *strangers, const uint8_t **data, size_t *size) {
        struct client *client = pick_client(strangers, data, size);
        uint8_t how = fuzz_take_byte(data, size), id = fuzz_take_byte(data, size);
        uint8_t dcid[QUIC_INITIAL_ID_MAX], packet[QUIC_INITIAL_SIZE];
        bool answers_retry = (how & 1) && client->token_length > 0;
        struct quic_initial initial = { .dcid = dcid, .dcid_length = id % (sizeof(dcid) + 1), .scid = dcid };

        memset(dcid, id, sizeof(dcid));
        initial.scid_length = how >> 4;
        initial.number = how >> 2 & 3;
        if (how & 2)
                initial.token = fuzz_take_bytes(data, size, &initial.token_length);
        if (initial.token_length > QUIC_INITIAL_TOKEN_MAX)
                initial.token_length = QUIC_INITIAL_TOKEN_MAX;
        if (answers_retry) {
                initial.dcid = client->retry_id;
                initial.dcid_length = client->retry_id_length;
        }
        if (answers_retry && !(how & 2)) {
                initial.token = client->token;
                initial.token_length = client->token_length;
                client->has_proved = true;
        }
        initial.key_id = initial.dcid;
        initial.key_id_length = initial.dcid_length;
        initial.payload = fuzz_take_bytes(data, size, &initial.payload_length);
        if (initial.payload_length > QUIC_INITIAL_PAYLOAD_MAX)
                initial.payload_length = QUIC_INITIAL_PAYLOAD_MAX;
        quic_initial_write(&initial, packet);
        send_packet(client, packet, sizeof(packet));
}

/** The broker's word about the next who waits for it. */
static void judge(struct strangers *strangers, uint8_t allowed) {
        uint64_t link = 0;
        int guest;

        if (strangers->n_judged == strangers->n_announced)
                return;
        if ((allowed & 1) && strangers->n_guests < LINKS_MAX)
                link = FIRST_LINK + strangers->n_guests;
        guest = quic_world_take_peer(strangers->world, SERVER, ++strangers->n_judged, link);
        if (guest >= 0)
                strangers->guests[strangers->n_guests++] = guest;
}

static void run_step(struct strangers *strangers, const uint8_t **data, size_t *size) {
        switch (fuzz_take_byte(data, size) % 6) {
        case 0:
                send_raw(strangers, data, size);
                break;
        case 1:
                send_padded(strangers, data, size);
                break;
        case 2:
                send_initial(strangers, data, size);
                break;
        case 3:
                judge(strangers, fuzz_take_byte(data, size));
                break;
        case 4:
                strangers->credit += fuzz_take_byte(data, size);
                quic_world_credit(strangers->world, SERVER, strangers->credit);
                break;
        default:
                quic_world_end(strangers->world, fuzz_take_byte(data, size) % 4 == 0 ? SERVER : FIRST_LINK);
                break;
        }
        look(strangers);
}

/* ---- its life ---- */

static void begin(struct strangers *strangers, uint8_t settings) {
        Nb__Relay__Quic quic = quic_world_limits();

        quic.always_retry = settings & ALWAYS_RETRY;
        quic.datagrams = settings & DATAGRAMS;
        strangers->world = quic_world_new();
        strangers->address = quic_world_serve(strangers->world, SERVER, &quic, WAITING_MAX);
        for (size_t i = 0; i < CLIENTS_MAX; ++i)
                strangers->clients[i].fd = quic_world_socket(&strangers->address);
        strangers->credit = settings & NO_CREDIT ? 0 : 2 * WAITING_MAX;
        quic_world_credit(strangers->world, SERVER, strangers->credit);
}

static void end(struct strangers *strangers) {
        for (size_t i = 0; i < strangers->n_guests; ++i)
                (void)nb_fd_close(strangers->guests[i]);
        look(strangers);
        for (size_t i = 0; i < CLIENTS_MAX; ++i)
                (void)nb_fd_close(strangers->clients[i].fd);
        quic_world_free(strangers->world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct strangers strangers = { .n_guests = 0 };

        begin(&strangers, fuzz_take_byte(&data, &size));
        for (int i = 0; i < STEPS_MAX && size > 0; ++i)
                run_step(&strangers, &data, &size);
        end(&strangers);
        return 0;
}
