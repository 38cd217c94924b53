/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that does anything: sessions, requests in any order and with any numbers, many without reading an answer, frames cut and changed, descriptors with them,
 * protocols made of protocols, channels half closed and closed, also while no broker is there, and with the next one. Steps are chosen at random, and are the same
 * for a seed.
 *
 * Meanwhile another session of the same tenant gets its answers, whatever the broker does to this one. In the end nothing is left of it, at the broker or the keeper:
 * descriptors are counted, and the broker's accounts by the broker itself.
 *
 * NETBROKER_ABUSE_SEED chooses others, NETBROKER_ABUSE_STEPS how many steps each has.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/socket_address.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define CHANNELS_MAX 48
#define STREAMS_MAX 48
#define ADDRESSES_MAX 8

#define SEEDS 6
#define STEPS 1500

/* What the broker has of a relay that it has started: its channel. */
#define RELAY_FDS 1

/* So many steps from one look at the other session to the next, and from one restart to the next. */
#define STEPS_A_LOOK 25
#define STEPS_A_BROKER 400
#define STEPS_IN_OUTAGE 30

#define RULES                                                                                                          \
        SCENE_LOOPBACK "SocketTypes=stream dgram\n"                                                                    \
                       "[Protocol local]\nFamily=unix\nDataPath=direct\nListen=@nb-abuse-host-*\n"                     \
                       "Connect=@nb-abuse-host-*\n[Preopen it]\nDataPath=direct\nListen=@nb-abuse-host-it\n"

enum kind {
        KIND_SESSION,
        KIND_PROTOCOL,
        KIND_CONTROL,
};

struct channel {
        struct wire wire;
        enum kind kind;
        bool awaits; /* an answer; or it is a session's own, and has said all that it can */
        bool listens;
};

struct host {
        struct restart_scene broker;
        struct peer peer; /* takes nobody: what does not fit its backlog goes on connecting */
        struct channel channels[CHANNELS_MAX];
        size_t n_channels;
        int streams[STREAMS_MAX];
        size_t n_streams;
        char addresses[ADDRESSES_MAX][NB_ADDRESS_LENGTH_MAX + 1]; /* of its listeners */
        size_t n_addresses;
        uint64_t random;
        struct wire_reply *reply;
};

static uint64_t below(struct host *host, uint64_t n) {
        return next_random(&host->random) % n;
}

/* ---- what it has ---- */

static void drop_channel(struct host *host, struct channel *channel) {
        (void)wire_close(&channel->wire);
        *channel = host->channels[--host->n_channels];
}

/* Where there is no room another one goes, whatever it was doing. */
static void keep_channel(struct host *host, int fd, enum kind kind) {
        if (host->n_channels == CHANNELS_MAX)
                drop_channel(host, &host->channels[below(host, CHANNELS_MAX)]);
        host->channels[host->n_channels++] = (struct channel){ .wire = { .fd = fd }, .kind = kind };
}

static void drop_stream(struct host *host, int *stream) {
        (void)nb_fd_close(*stream);
        *stream = host->streams[--host->n_streams];
}

static void keep_stream(struct host *host, int fd) {
        if (host->n_streams == STREAMS_MAX)
                drop_stream(host, &host->streams[below(host, STREAMS_MAX)]);
        host->streams[host->n_streams++] = fd;
}

/* @return any; NULL: there is none */
static struct channel *any_channel(struct host *host) {
        return host->n_channels > 0 ? &host->channels[below(host, host->n_channels)] : NULL;
}

/* ---- requests ---- */

static const char *any_address(struct host *host) {
        const char *const addresses[] = {
                "127.0.0.1:0",      "0.0.0.0:0",        "[::1]:0", "[::]:0",      host->peer.text,
                "@nb-abuse-host-a", "@nb-abuse-host-b", "",        "no address!", "[::ffff:127.0.0.1]:1",
                "192.0.2.1:80",     "localhost:80",
        };

        if (host->n_addresses > 0 && below(host, 4) == 0)
                return host->addresses[below(host, host->n_addresses)];
        return PICK(&host->random, addresses);
}

static uint64_t any_number(struct host *host) {
        const uint64_t numbers[] = { 0, 1, 2, 16, 64, 255, 1000, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX };

        return PICK(&host->random, numbers);
}

static const char *any_rules(struct host *host) {
        static const char *const rules[] = {
                "",
                "Connect=127.0.0.1:*\n",
                "Listen=127.0.0.1:*\n",
                "Connect=127.0.0.0/8:*\nDeny=127.0.0.1:*\n",
                "Deny=",
                "Connect=[::1]:*\n",
                "no rules",
                "[Tenant]\nName=other\n",
        };

        return PICK(&host->random, rules);
}

/* What is all of a request, in one place. */
struct draft {
        Nb__Request request;
        Nb__Hello hello;
        Nb__Open open;
        Nb__Restrict narrower;
        Nb__Describe describe;
        Nb__Connect connect;
        Nb__Listen listen;
        Nb__Credit credit;
};

static void draft_of_protocol(struct host *host, struct draft *draft) {
        switch (below(host, 5)) {
        case 0:
                draft->narrower.has_rules = below(host, 2) == 0;
                draft->narrower.rules = (char *)any_rules(host);
                draft->narrower.rights_base = below(host, 4) == 0 ? any_number(host) : UINT64_MAX;
                draft->narrower.rights_inheriting = below(host, 4) == 0 ? any_number(host) : UINT64_MAX;
                draft->request.body_case = NB__REQUEST__BODY_RESTRICT_PROTOCOL;
                draft->request.restrict_protocol = &draft->narrower;
                return;
        case 1:
                draft->describe.oldest_version = draft->describe.newest_version = below(host, 8) == 0 ? 7 : 1;
                draft->request.body_case = NB__REQUEST__BODY_DESCRIBE;
                draft->request.describe = &draft->describe;
                return;
        default:
                draft->open.address = (char *)any_address(host);
                draft->open.type =
                        below(host, 3) == 0 ? NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM : NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
                draft->open.rights_base = below(host, 8) == 0 ? any_number(host) : WIRE_RIGHTS_BASE;
                draft->open.rights_inheriting = WIRE_RIGHTS_INHERITING;
                draft->request.body_case = NB__REQUEST__BODY_OPEN;
                draft->request.open = &draft->open;
        }
}

static void draft_of_control(struct host *host, struct draft *draft) {
        if (below(host, 3) == 0) {
                draft->listen.backlog = (uint32_t)any_number(host);
                draft->listen.credit = any_number(host);
                draft->listen.received = below(host, 4) == 0 ? any_number(host) : 0;
                draft->request.body_case = NB__REQUEST__BODY_LISTEN;
                draft->request.listen = &draft->listen;
                return;
        }
        draft->connect.address = (char *)any_address(host);
        draft->request.body_case = NB__REQUEST__BODY_CONNECT;
        draft->request.connect = &draft->connect;
}

static void draft_of_credit(struct host *host, struct draft *draft) {
        draft->credit.total = any_number(host);
        draft->request.body_case = NB__REQUEST__BODY_CREDIT;
        draft->request.credit = &draft->credit;
}

static void draft_of_session(struct host *host, struct draft *draft) {
        draft->hello.oldest_version = 1;
        draft->hello.newest_version = 1 + (uint32_t)below(host, 2);
        draft->hello.label = (char *)"anything";
        draft->hello.tenant = (char *)(below(host, 8) == 0 ? "other" : "");
        draft->request.body_case = NB__REQUEST__BODY_HELLO;
        draft->request.hello = &draft->hello;
}

static void draft_fitting(struct host *host, const struct channel *channel, struct draft *draft) {
        switch (channel->kind) {
        case KIND_SESSION:
                draft_of_session(host, draft);
                break;
        case KIND_PROTOCOL:
                draft_of_protocol(host, draft);
                break;
        case KIND_CONTROL:
                if (channel->listens && below(host, 4) == 0)
                        draft_of_credit(host, draft);
                else
                        draft_of_control(host, draft);
        }
}

static struct draft new_draft(void) {
        return (struct draft){
                NB__REQUEST__INIT,  NB__HELLO__INIT,   NB__OPEN__INIT,   NB__RESTRICT__INIT,
                NB__DESCRIBE__INIT, NB__CONNECT__INIT, NB__LISTEN__INIT, NB__CREDIT__INIT,
        };
}

static bool is_credit(const struct draft *draft) {
        return draft->request.body_case == NB__REQUEST__BODY_CREDIT;
}

/* A request that may be made there. @return its length */
static size_t draft_good(struct host *host, struct channel *channel, uint8_t frame[static NB_CHANNEL_MESSAGE_MAX]) {
        struct draft draft = new_draft();

        draft_fitting(host, channel, &draft);
        if (!is_credit(&draft)) {
                draft.request.serial = ++channel->wire.serial;
                channel->awaits = true;
        }
        return wire_pack(&draft.request, frame);
}

static uint64_t any_serial(struct host *host, struct wire *wire) {
        switch (below(host, 4)) {
        case 0:
                return wire->serial;
        case 1:
                return wire->serial > 0 ? wire->serial - 1 : 0;
        case 2:
                return any_number(host);
        default:
                return ++wire->serial;
        }
}

/* One of any kind, with any number. @return as draft_good() */
static size_t draft_any(struct host *host, struct channel *channel, uint8_t frame[static NB_CHANNEL_MESSAGE_MAX]) {
        static void (*const drafts[])(struct host * host, struct draft * draft) = {
                draft_of_session,
                draft_of_protocol,
                draft_of_control,
                draft_of_credit,
        };
        struct draft draft = new_draft();

        PICK(&host->random, drafts)(host, &draft);
        draft.request.serial = any_serial(host, &channel->wire);
        return wire_pack(&draft.request, frame);
}

/* ---- steps ---- */

static void ask_well(struct channel *channel, struct host *host) {
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        size_t length = draft_good(host, channel, frame);

        (void)wire_send_bytes(&channel->wire, frame, length, NULL, 0);
}

/* As a host does that was not taken over: who of it has nothing to wait for. */
static void ask(struct host *host) {
        size_t first = host->n_channels > 0 ? below(host, host->n_channels) : 0;

        for (size_t i = 0; i < host->n_channels; ++i) {
                struct channel *channel = &host->channels[(first + i) % host->n_channels];

                if (channel->awaits)
                        continue;
                ask_well(channel, host);
                return;
        }
}

static void ask_wrongly_on(struct host *host, struct channel *channel, const int *fds, size_t n_fds) {
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        size_t length = draft_any(host, channel, frame);

        (void)wire_send_bytes(&channel->wire, frame, length, fds, n_fds);
}

static void ask_wrongly(struct host *host) {
        struct channel *channel = any_channel(host);

        if (channel)
                ask_wrongly_on(host, channel, NULL, 0);
}

/* Each may be made, if the answer to the one before were read. */
static void ask_without_end(struct host *host) {
        struct channel *channel = any_channel(host);

        for (int i = 0; channel && i < 40; ++i)
                ask_well(channel, host);
}

static void ask_with_descriptors(struct host *host) {
        struct channel *channel = any_channel(host);
        int fds[16];
        size_t n = 1 + below(host, 16);

        if (!channel)
                return;
        for (size_t i = 0; i < n; ++i)
                fds[i] = host->channels[below(host, host->n_channels)].wire.fd;
        ask_wrongly_on(host, channel, fds, n);
}

static void ask_in_pieces(struct host *host) {
        struct channel *channel = any_channel(host);
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        size_t length;

        if (!channel)
                return;
        length = draft_good(host, channel, frame);
        if (below(host, 2) == 0)
                frame[below(host, length)] ^= (uint8_t)(1u << below(host, 8));
        else
                length = 1 + below(host, length);
        (void)wire_send_bytes(&channel->wire, frame, length, NULL, 0);
}

/* As a host begins: Hello and no more. Nobody may be there. */
static void enter(struct host *host) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", host->broker.scene.daemon.socket_path);
        if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
                (void)nb_fd_close(fd);
                return;
        }
        keep_channel(host, fd, KIND_SESSION);
        ask_well(&host->channels[host->n_channels - 1], host);
}

/* Somebody comes to one of its listeners, if that is still there. */
static void visit(struct host *host) {
        struct nb_socket_address address;
        struct sockaddr_storage sa;
        const char *text;
        socklen_t length;
        int fd;

        if (host->n_addresses == 0)
                return;
        text = host->addresses[below(host, host->n_addresses)];
        ck_assert_int_eq(nb_socket_address_parse(text, strlen(text), &address), 0);
        length = nb_socket_address_to_sockaddr(&address, &sa);
        fd = socket(address.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(fd, 0);
        (void)connect(fd, (struct sockaddr *)&sa, length);
        keep_stream(host, fd);
}

static enum kind kind_of(const Nb__Reply *reply, size_t i) {
        if (reply->body_case == NB__REPLY__BODY_WELCOME)
                return i < reply->welcome->n_protocols ? KIND_PROTOCOL : KIND_CONTROL;
        return reply->body_case == NB__REPLY__BODY_RESTRICTED ? KIND_PROTOCOL : KIND_CONTROL;
}

static bool has_stream(const Nb__Reply *reply) {
        return reply->body_case == NB__REPLY__BODY_CONNECTED || reply->body_case == NB__REPLY__BODY_ACCEPTED;
}

/* A connection that is pushed answers nothing; and behind Resumed Listen is said again, and everything else. */
static void note_answer(struct channel *channel, const Nb__Reply *reply) {
        if (reply->body_case != NB__REPLY__BODY_ACCEPTED)
                channel->awaits = channel->kind == KIND_SESSION;
        if (reply->body_case == NB__REPLY__BODY_LISTENING)
                channel->listens = true;
        if (reply->body_case == NB__REPLY__BODY_RESUMED)
                channel->wire.serial = reply->resumed->serial;
}

static void note_reply(struct host *host) {
        const Nb__Reply *reply = host->reply->reply;

        if (reply->body_case == NB__REPLY__BODY_LISTENING)
                (void)snprintf(host->addresses[host->n_addresses++ % ADDRESSES_MAX], sizeof(host->addresses[0]), "%s",
                               reply->listening->address);
        if (host->n_addresses > ADDRESSES_MAX)
                host->n_addresses = ADDRESSES_MAX;
        for (size_t i = 0; i < host->reply->fds.n; ++i) {
                if (has_stream(reply))
                        keep_stream(host, host->reply->fds.fds[i]);
                else
                        keep_channel(host, host->reply->fds.fds[i], kind_of(reply, i));
        }
        host->reply->fds.n = 0;
}

/* Whatever has come on one channel. */
static void take(struct host *host) {
        struct channel *channel = any_channel(host);

        while (channel && harness_poll(channel->wire.fd, POLLIN, 0) != 0) {
                if (!wire_receive(&channel->wire, host->reply)) {
                        drop_channel(host, channel);
                        return;
                }
                note_answer(channel, host->reply->reply);
                note_reply(host);
        }
}

/* On all of them. */
static void take_all(struct host *host) {
        for (size_t i = 0; i < host->n_channels; ++i)
                take(host);
}

static void leave(struct host *host) {
        struct channel *channel = any_channel(host);

        if (channel)
                drop_channel(host, channel);
}

static void close_half(struct host *host) {
        const int ways[] = { SHUT_RD, SHUT_WR, SHUT_RDWR };
        struct channel *channel = any_channel(host);

        if (channel)
                (void)shutdown(channel->wire.fd, PICK(&host->random, ways));
}

/* What no guest can do, and a host with a socket in its hands may try. */
static void misuse_stream(struct host *host) {
        const struct sockaddr unspecified = { .sa_family = AF_UNSPEC };
        int *stream;

        if (host->n_streams == 0)
                return;
        stream = &host->streams[below(host, host->n_streams)];
        if (below(host, 2) == 0)
                (void)connect(*stream, &unspecified, sizeof(unspecified));
        else
                (void)send(*stream, "anything", 8, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (below(host, 2) == 0)
                return;
        drop_stream(host, stream);
}

/* What a host does that was not taken over, mostly: what it does otherwise mostly ends a session with all that it has. */
static void (*const good_steps[])(struct host *host) = {
        ask, ask, ask, ask, ask, ask, ask, ask, take, take, take, take, take_all, take_all, visit, visit, enter,
};

static void (*const bad_steps[])(struct host *host) = {
        ask_wrongly, ask_without_end, ask_with_descriptors, ask_in_pieces, close_half, leave, leave, misuse_stream,
};

static void step(struct host *host) {
        if (below(host, 12) == 0)
                PICK(&host->random, bad_steps)(host);
        else
                PICK(&host->random, good_steps)(host);
}

/* ---- the whole ---- */

static unsigned number_in(const char *variable, unsigned otherwise) {
        const char *text = getenv(variable);

        return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void host_start(struct host *host, uint64_t seed) {
        *host = (struct host){ .random = UINT64_C(0x9e3779b97f4a7c15) ^ (seed << 20 | (seed + 1)) };
        host->reply = wire_reply_new();
        host->peer = peer_listen("127.0.0.1", 1);
        restart_start(&host->broker, RULES);
}

/* The tenant's relay stays when it has nothing to do; whoever is first to serve datagrams has it started. */
static void expect_relay(struct host *host) {
        struct wire server;

        ck_assert_uint_eq(wire_open_dgram(host->broker.scene.web, "127.0.0.1:0", &server, NULL), 0);
        ck_assert_uint_eq(wire_listen(&server, 4, NULL), 0);
        (void)wire_close(&server);
        host->broker.scene.baseline += RELAY_FDS;
}

static void host_end(struct host *host) {
        while (host->n_channels > 0)
                drop_channel(host, &host->channels[0]);
        while (host->n_streams > 0)
                (void)nb_fd_close(host->streams[--host->n_streams]);
        peer_close(&host->peer);
        expect_relay(host);
        restart_end(&host->broker);
        free(host->reply);
}

static void restart(struct host *host) {
        restart_take_down(&host->broker, below(host, 2) == 0);
        for (int i = 0; i < STEPS_IN_OUTAGE; ++i)
                step(host);
        restart_again(&host->broker);
        restart_expect_session_resumed(&host->broker);
}

START_TEST(abuse_5_8_9_31_32_a_host_that_does_anything) {
        unsigned seed = number_in("NETBROKER_ABUSE_SEED", 0) + (unsigned)_i,
                 n = number_in("NETBROKER_ABUSE_STEPS", STEPS);
        struct host host;

        host_start(&host, seed);
        for (unsigned i = 1; i <= n; ++i) {
                step(&host);
                if (i % STEPS_A_LOOK == 0)
                        wire_settle(host.broker.scene.web);
                if (i % STEPS_A_BROKER == 0)
                        restart(&host);
        }
        host_end(&host);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("abuse_host");
        TCase *tcase = tcase_create("anything");

        tcase_set_timeout(tcase, 600);
        tcase_add_loop_test(tcase, abuse_5_8_9_31_32_a_host_that_does_anything, 0, SEEDS);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
