/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay that has been taken over by one of its peers: whatever it reports, it costs its own tenant its relayed connections and nobody else anything.
 *
 * The relay is the test (tests/support/fake_relay.h). Each misbehaviour comes while a connect of its tenant is under way; afterwards the broker has
 * ended that relay, the guest has its error, another tenant's relay goes on, and in the end the broker has the descriptors that it began with.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/fake_relay.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

/* A header is something to do before bytes go: the broker waits for the relay's word. Datagrams have none. */
#define TENANT                                                                                                         \
        "[Tenant]\nName=%s\nUser=%u\n[Protocol web]\nFamily=ip\nDataPath=relay\nSendProxyHeader=v2\n" SCENE_LOOPBACK   \
        "[Protocol datagrams]\nFamily=ip\nDataPath=relay\nSocketTypes=dgram\n" SCENE_LOOPBACK

/* More than any text of a report may have. */
#define LONG_TEXT 40000

/* So few that one tenant could have them all, if it were let. */
#define FEW_FDS 256

/* A number that the broker has not given to anything. */
#define NOBODY (UINT64_C(1) << 60)

/* What the broker makes with the first sessions and connections, and keeps: epoll instances. */
#define LAZY_FDS 6u

struct scene_of_two {
        struct daemon daemon;
        struct fake_relays relays;
        struct peer peer;
        struct wire_session good_session;
        struct wire_session bad_session;
        struct wire good_control;
        struct wire bad_control;
        struct fake_relay *good;
        struct fake_relay *bad; /* NULL before its first Begin */
        uint64_t good_link;
        uint64_t bad_link;
        unsigned baseline; /* the daemon's descriptors before the first session */
};

/* Connects, up to the relay's Begin. @return the link's number */
static uint64_t begin(struct scene_of_two *two, struct wire *control, struct fake_relay **relay) {
        wire_send_connect(control, two->peer.text);
        if (!*relay)
                *relay = fake_relay_start(&two->relays);
        fake_relay_expect(*relay, NB__RELAY__ORDER__BODY_BEGIN);
        ck_assert_uint_eq((*relay)->fds.n, 2);
        return (*relay)->order->begin->link;
}

/* What the well-behaved tenant does all the time: connects, and its relay says that it is ready. */
static void good_connect(struct scene_of_two *two) {
        uint64_t link = begin(two, &two->good_control, &two->good);
        int fd;

        ck_assert_int_eq(fake_relay_ready(two->good, link), 0);
        ck_assert_uint_eq(wire_receive_connected(&two->good_control, &fd), 0);
        ck_assert_int_eq(fake_relay_ended(two->good, link, NB__RELAY__CAUSE__CAUSE_CLOSED, ""), 0);
        (void)nb_fd_close(fd);
        two->good_link = link;
}

static void two_start_with(struct scene_of_two *two, rlim_t max_fds) {
        const char *arguments[] = { "--relay-socket", two->relays.path, NULL };
        const struct daemon_options options = { .arguments = arguments, .max_fds = max_fds };

        *two = (struct scene_of_two){ .peer = peer_listen("127.0.0.1", SOMAXCONN) };
        daemon_init(&two->daemon);
        fake_relays_listen(&two->relays, &two->daemon);
        daemon_write_policy_file(&two->daemon, "good.conf", TENANT, "good", (unsigned)getuid());
        daemon_write_policy_file(&two->daemon, "bad.conf", TENANT, "bad", (unsigned)getuid());
        daemon_start(&two->daemon, &options);
        two->baseline = daemon_count_fds_at_rest(&two->daemon);
        wire_session_open(two->daemon.socket_path, "good", &two->good_session);
        wire_session_open(two->daemon.socket_path, "bad", &two->bad_session);
        two->good_control = wire_open_control(&two->good_session.protocols[0], "0.0.0.0:0");
        two->bad_control = wire_open_control(&two->bad_session.protocols[0], "0.0.0.0:0");
        good_connect(two);
}

static void two_start(struct scene_of_two *two) {
        two_start_with(two, 0);
}

static void expect_nothing_left(const struct scene_of_two *two) {
        uint64_t start_ms = harness_now_ms();

        while (daemon_count_fds(&two->daemon) > two->baseline + LAZY_FDS)
                harness_wait_a_moment(start_ms, "netbrokerd to close what was the relays'");
}

static void two_end(struct scene_of_two *two) {
        good_connect(two);
        two->good = fake_relay_free(two->good);
        two->bad = fake_relay_free(two->bad);
        (void)wire_close(&two->good_control);
        (void)wire_close(&two->bad_control);
        wire_session_close(&two->good_session);
        wire_session_close(&two->bad_session);
        expect_nothing_left(two);
        daemon_stop(&two->daemon);
        fake_relays_close(&two->relays);
        peer_close(&two->peer);
        daemon_deinit(&two->daemon);
}

/* ---- misbehaviour ---- */

/** Sends what a relay must not. */
typedef void (*misbehave_function)(const struct scene_of_two *two);

/* What was sent may have met a closed channel: an earlier part of it was enough. */
static void report(const struct scene_of_two *two, const Nb__Relay__Report *message) {
        (void)fake_relay_report(two->bad, message);
}

static void ready_of_nobody(const struct scene_of_two *two) {
        (void)fake_relay_ready(two->bad, NOBODY);
}

static void ended_of_nobody(const struct scene_of_two *two) {
        (void)fake_relay_ended(two->bad, NOBODY, NB__RELAY__CAUSE__CAUSE_CLOSED, "");
}

static void ready_of_another_tenant(const struct scene_of_two *two) {
        (void)fake_relay_ready(two->bad, two->good_link);
}

static void started_again(const struct scene_of_two *two) {
        Nb__Relay__Started started = NB__RELAY__STARTED__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        started.version = NB_RELAY_VERSION;
        message.body_case = NB__RELAY__REPORT__BODY_STARTED;
        message.started = &started;
        report(two, &message);
}

static void loaded_what_was_not_sent(const struct scene_of_two *two) {
        Nb__Relay__Loaded loaded = NB__RELAY__LOADED__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        loaded.context = 7;
        message.body_case = NB__RELAY__REPORT__BODY_LOADED;
        message.loaded = &loaded;
        report(two, &message);
}

static void unusable_what_was_not_sent(const struct scene_of_two *two) {
        Nb__Relay__Unusable unusable = NB__RELAY__UNUSABLE__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        unusable.context = 7;
        unusable.reason = (char *)"";
        message.body_case = NB__RELAY__REPORT__BODY_UNUSABLE;
        message.unusable = &unusable;
        report(two, &message);
}

static void announced_unasked(const struct scene_of_two *two) {
        Nb__Relay__Announced announced = NB__RELAY__ANNOUNCED__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        announced.link = two->bad_link;
        announced.source = (char *)"192.0.2.1:1";
        announced.destination = (char *)"192.0.2.2:2";
        message.body_case = NB__RELAY__REPORT__BODY_ANNOUNCED;
        message.announced = &announced;
        report(two, &message);
}

static void send_ready(const struct scene_of_two *two, Nb__Relay__Security *security, bool stepped_out) {
        Nb__Relay__Ready ready = NB__RELAY__READY__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        ready.link = two->bad_link;
        ready.security = security;
        ready.stepped_out = stepped_out;
        message.body_case = NB__RELAY__REPORT__BODY_READY;
        message.ready = &ready;
        report(two, &message);
}

/* With DataPath=relay the guest gets no socket, whatever its relay says. */
static void stepped_out_unasked(const struct scene_of_two *two) {
        send_ready(two, NULL, true);
}

static void security_without_tls(const struct scene_of_two *two) {
        Nb__Relay__Security security = NB__RELAY__SECURITY__INIT;

        security.version = (char *)"TLS1.3";
        security.cipher = (char *)"TLS_AES_128_GCM_SHA256";
        send_ready(two, &security, false);
}

static void security_of_long_texts(const struct scene_of_two *two) {
        Nb__Relay__Security security = NB__RELAY__SECURITY__INIT;
        char *text = malloc(LONG_TEXT + 1);

        ck_assert_ptr_nonnull(text);
        memset(text, 'x', LONG_TEXT);
        text[LONG_TEXT] = '\0';
        security.version = text;
        security.cipher = (char *)"";
        send_ready(two, &security, false);
        free(text);
}

static void send_new_peer(const struct scene_of_two *two, uint64_t server, uint64_t peer, const char *address) {
        Nb__Relay__NewPeer new_peer = NB__RELAY__NEW_PEER__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        new_peer.server = server;
        new_peer.peer = peer;
        new_peer.address = (char *)address;
        message.body_case = NB__RELAY__REPORT__BODY_NEW_PEER;
        message.new_peer = &new_peer;
        report(two, &message);
}

static void new_peer_of_a_link(const struct scene_of_two *two) {
        send_new_peer(two, two->bad_link, 1, "127.0.0.1:1");
}

static void flood_of_new_peers(const struct scene_of_two *two) {
        for (uint64_t i = 1; i <= 10000; ++i)
                send_new_peer(two, NOBODY, i, "127.0.0.1:1");
}

static void peer_gone_of_a_link(const struct scene_of_two *two) {
        Nb__Relay__PeerGone gone = NB__RELAY__PEER_GONE__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        gone.server = two->bad_link;
        gone.peer = 1;
        message.body_case = NB__RELAY__REPORT__BODY_PEER_GONE;
        message.peer_gone = &gone;
        report(two, &message);
}

static void garbage(const struct scene_of_two *two) {
        (void)fake_relay_send(two->bad, "\xff\xff\xff\xff", 4, NULL, 0);
}

static void an_empty_message(const struct scene_of_two *two) {
        (void)fake_relay_send(two->bad, "", 0, NULL, 0);
}

static void an_oversized_message(const struct scene_of_two *two) {
        uint8_t *bytes = calloc(1, NB_CHANNEL_MESSAGE_MAX + 1);

        ck_assert_ptr_nonnull(bytes);
        (void)fake_relay_send(two->bad, bytes, NB_CHANNEL_MESSAGE_MAX + 1, NULL, 0);
        free(bytes);
}

/* A kernel that refuses descriptors says so to who sends them: then the relay closes by itself. */
static void a_descriptor(const struct scene_of_two *two) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        if (fake_relay_send(two->bad, "\x0a\x00", 2, &fd, 1) < 0)
                ck_assert_int_eq(shutdown(two->bad->fd, SHUT_WR), 0);
        (void)nb_fd_close(fd);
}

static void its_end(const struct scene_of_two *two) {
        ck_assert_int_eq(shutdown(two->bad->fd, SHUT_RDWR), 0);
}

static const struct {
        const char *name;
        misbehave_function misbehave;
} misbehaviours[] = {
        { "Ready of a number that was never given", ready_of_nobody },
        { "Ended of a number that was never given", ended_of_nobody },
        { "Started again", started_again },
        { "Announced where no header is expected", announced_unasked },
        { "stepped out where it may not", stepped_out_unasked },
        { "TLS where none was asked for", security_without_tls },
        { "TLS with texts that are too long", security_of_long_texts },
        { "NewPeer of a link", new_peer_of_a_link },
        { "a flood of peers of nobody", flood_of_new_peers },
        { "PeerGone of a link", peer_gone_of_a_link },
        { "bytes that are no frame", garbage },
        { "an empty message", an_empty_message },
        { "an oversized message", an_oversized_message },
        { "a descriptor", a_descriptor },
        { "its end", its_end },
};

/* What may be true of something that has been there: it is dropped. */
static const misbehave_function idle_talk[] = {
        ready_of_another_tenant,
        loaded_what_was_not_sent,
        unusable_what_was_not_sent,
};

#define N_MISBEHAVIOURS (sizeof(misbehaviours) / sizeof(misbehaviours[0]))
#define N_IDLE_TALK (sizeof(idle_talk) / sizeof(idle_talk[0]))

START_TEST(a_relay_that_misbehaves_costs_its_tenant_only) {
        struct scene_of_two two;
        int fd;

        two_start(&two);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        misbehaviours[_i].misbehave(&two);
        fake_relay_expect_end(two.bad);
        two.bad = fake_relay_free(two.bad);
        ck_assert_msg(wire_receive_connected(&two.bad_control, &fd) == NB_WASI_ECONNRESET, "%s",
                      misbehaviours[_i].name);
        good_connect(&two);

        /* And the next relay of that tenant is another. */
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        ck_assert_int_eq(fake_relay_ready(two.bad, two.bad_link), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &fd), 0);
        (void)nb_fd_close(fd);
        two_end(&two);
}
END_TEST

START_TEST(a_relay_cannot_speak_of_what_is_not_its_own) {
        struct scene_of_two two;
        uint64_t others_link;
        int fd;

        two_start(&two);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        others_link = two.good_link = begin(&two, &two.good_control, &two.good);
        idle_talk[_i](&two);
        ck_assert_int_eq(fake_relay_ready(two.bad, two.bad_link), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &fd), 0);
        (void)nb_fd_close(fd);
        /* The broker has read both by now, and the other tenant's connect is where it was. */
        wire_expect_silence(&two.good_control);
        ck_assert_int_eq(fake_relay_ready(two.good, others_link), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.good_control, &fd), 0);
        (void)nb_fd_close(fd);
        two_end(&two);
}
END_TEST

/* ---- what comes at other times ---- */

START_TEST(ready_twice) {
        struct scene_of_two two;
        int fd;

        two_start(&two);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        ck_assert_int_eq(fake_relay_ready(two.bad, two.bad_link), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &fd), 0);
        (void)fake_relay_ready(two.bad, two.bad_link);
        fake_relay_expect_end(two.bad);
        (void)nb_fd_close(fd);
        two_end(&two);
}
END_TEST

/* Of a connection that the guest has had from the beginning: nobody has asked for it. */
START_TEST(ready_where_there_is_none) {
        struct scene_of_two two;
        struct wire control;
        int fd;

        two_start(&two);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        ck_assert(!two.bad->order->begin->without_ready);
        ck_assert_uint_eq(wire_open_dgram(&two.bad_session.protocols[1], "0.0.0.0:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_connect_to(&control, two.peer.text, &fd), 0);
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_BEGIN);
        ck_assert(two.bad->order->begin->without_ready);
        (void)fake_relay_ready(two.bad, two.bad->order->begin->link);
        fake_relay_expect_end(two.bad);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        two.bad = fake_relay_free(two.bad);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &fd), NB_WASI_ECONNRESET);
        two_end(&two);
}
END_TEST

/* Two ends: a second one is of nobody. */
START_TEST(ended_twice) {
        struct scene_of_two two;
        int fd;

        two_start(&two);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        ck_assert_int_eq(fake_relay_ended(two.bad, two.bad_link, NB__RELAY__CAUSE__CAUSE_TLS_ALERT, "no"), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &fd), NB_WASI_EPROTO);
        (void)fake_relay_ended(two.bad, two.bad_link, NB__RELAY__CAUSE__CAUSE_CLOSED, "");
        two_end(&two);
}
END_TEST

/* Its words go into records and to the guest: escaped, and no longer than they may be. */
START_TEST(abuse_46_a_reason_is_escaped_and_cut) {
        char *reason = malloc(LONG_TEXT + 1);
        struct scene_of_two two;
        int fd;

        ck_assert_ptr_nonnull(reason);
        memset(reason, '\n', LONG_TEXT);
        reason[LONG_TEXT] = '\0';
        two_start(&two);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        ck_assert_int_eq(fake_relay_ended(two.bad, two.bad_link, (Nb__Relay__Cause)9999, reason), 0);
        ck_assert_uint_ne(wire_receive_connected(&two.bad_control, &fd), 0);
        free(reason);
        two_end(&two);
}
END_TEST

START_TEST(another_version) {
        Nb__Relay__Started started = NB__RELAY__STARTED__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;
        struct scene_of_two two;
        int fd;

        two_start(&two);
        wire_send_connect(&two.bad_control, two.peer.text);
        two.bad = fake_relay_accept(&two.relays);
        started.version = NB_RELAY_VERSION + 1;
        message.body_case = NB__RELAY__REPORT__BODY_STARTED;
        message.started = &started;
        report(&two, &message);
        fake_relay_expect_end(two.bad);
        ck_assert_uint_ne(wire_receive_connected(&two.bad_control, &fd), 0);
        two_end(&two);
}
END_TEST

START_TEST(ready_before_started) {
        struct scene_of_two two;
        int fd;

        two_start(&two);
        wire_send_connect(&two.bad_control, two.peer.text);
        two.bad = fake_relay_accept(&two.relays);
        (void)fake_relay_ready(two.bad, two.good_link + 1);
        fake_relay_expect_end(two.bad);
        ck_assert_uint_ne(wire_receive_connected(&two.bad_control, &fd), 0);
        two_end(&two);
}
END_TEST

START_TEST(silence_instead_of_started) {
        struct scene_of_two two;
        int fd;

        two_start(&two);
        wire_send_connect(&two.bad_control, two.peer.text);
        two.bad = fake_relay_accept(&two.relays);
        good_connect(&two);
        fake_relay_expect_end(two.bad);
        ck_assert_uint_ne(wire_receive_connected(&two.bad_control, &fd), 0);
        two_end(&two);
}
END_TEST

/* Peers of a server that is there, as none would announce them: the next relay serves it. */
static const struct {
        uint64_t number;
        const char *address;
} impossible_peers[] = {
        { 0, "127.0.0.1:1" },   { 2, "127.0.0.1:1" }, { UINT64_MAX, "127.0.0.1:1" }, { 1, "" },
        { 1, "127.0.0.1:1\n" }, { 1, "/run/a" },      { 1, "198.51.100.7" },
};

#define N_IMPOSSIBLE_PEERS (sizeof(impossible_peers) / sizeof(impossible_peers[0]))

START_TEST(impossible_peers_of_a_server) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene_of_two two;
        struct wire server;
        uint64_t number;

        two_start(&two);
        ck_assert_uint_eq(wire_open_dgram(&two.bad_session.protocols[1], "127.0.0.1:0", &server, NULL), 0);
        ck_assert_uint_eq(wire_listen(&server, 4, address), 0);
        two.bad = fake_relay_start(&two.relays);
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_SERVE);
        number = two.bad->order->serve->server;
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_CREDIT);
        send_new_peer(&two, number, impossible_peers[_i].number, impossible_peers[_i].address);
        fake_relay_expect_end(two.bad);
        two.bad = fake_relay_free(two.bad);
        good_connect(&two);
        two.bad = fake_relay_start(&two.relays);
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_SERVE);
        wire_expect_silence(&server);
        (void)wire_close(&server);
        two_end(&two);
}
END_TEST

/* A server of Unix sockets hears and does not answer, also before its relay has had the time to see to it. */
START_TEST(a_guest_is_faster_than_its_relay) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], peer[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire_session session;
        struct scene_of_two two;
        struct wire server;
        int fd;

        two_start(&two);
        daemon_write_policy_file(&two.daemon, "bad.conf",
                                 TENANT "[Protocol names]\nFamily=unix\nSocketTypes=dgram\nListen=@nb-test-*\n", "bad",
                                 (unsigned)getuid());
        daemon_reload(&two.daemon);
        wire_session_open(two.daemon.socket_path, "bad", &session);
        (void)snprintf(address, sizeof(address), "@nb-test-faster-%d", (int)getpid());
        ck_assert_uint_eq(wire_open_dgram(&session.protocols[session.n_protocols - 1], address, &server, NULL), 0);
        ck_assert_uint_eq(wire_listen(&server, 4, address), 0);
        two.bad = fake_relay_start(&two.relays);
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_SERVE);
        send_new_peer(&two, two.bad->order->serve->server, 1, "@nb-test-client");
        fd = wire_receive_accepted_named(&server, 1, peer, local);
        ck_assert_str_eq(peer, "@nb-test-client");
        ck_assert_int_eq(send(fd, "answer", 6, MSG_NOSIGNAL), -1);
        ck_assert_int_eq(errno, EPIPE);
        (void)nb_fd_close(fd);
        (void)wire_close(&server);
        wire_session_close(&session);
        two_end(&two);
}
END_TEST

/* It takes no orders: what waits for it is its tenant's, and leaves descriptors for others. */
START_TEST(abuse_45_a_relay_that_does_not_read) {
        struct wire controls[FEW_FDS];
        struct scene_of_two two;
        unsigned n = 0;

        two_start_with(&two, FEW_FDS);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        while (n < FEW_FDS && wire_open(&two.bad_session.protocols[0], "0.0.0.0:0", &controls[n], NULL) == 0)
                wire_send_connect(&controls[n++], two.peer.text);
        wire_settle(&two.bad_session.protocols[0]);
        good_connect(&two);
        for (unsigned i = 0; i < n; ++i)
                (void)wire_close(&controls[i]);
        two.bad = fake_relay_free(two.bad);
        two_end(&two);
}
END_TEST

/* ---- PROXY headers, and who has a listener ---- */

#define LISTENER                                                                                                       \
        "[Tenant]\nName=bad\nUser=%u\n[Protocol "                                                                      \
        "web]\nFamily=ip\nDataPath=%s\nAcceptProxyHeader=127.0.0.2/32\n%s" SCENE_LOOPBACK

/* So many Begins fill the channel, and others wait in the broker. */
#define HANDSHAKES 700

static void write_listener(struct scene_of_two *two, const char *data_path, const char *keys) {
        daemon_write_policy_file(&two->daemon, "bad.conf", LISTENER, (unsigned)getuid(), data_path, keys);
        daemon_reload(&two->daemon);
}

/* The bad tenant listens, with DataPath=direct; 127.0.0.2 sends headers. */
static void listen_for_headers(struct scene_of_two *two, char address[static NB_ADDRESS_LENGTH_MAX + 1]) {
        two_start(two);
        write_listener(two, "direct", "");
        (void)wire_close(&two->bad_control);
        two->bad_control = wire_open_control(&two->bad_session.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&two->bad_control, NB_CREDIT_WINDOW_MAX, address), 0);
}

/* The end of listen_for_headers(). */
static void stop_listening(struct scene_of_two *two) {
        two->bad = fake_relay_free(two->bad);
        (void)wire_close(&two->bad_control);
        two->bad_control = wire_open_control(&two->bad_session.protocols[0], "127.0.0.1:0");
        two_end(two);
}

/* Somebody connects who is to send a header. @return the socket; the link is the bad one */
static int begin_header(struct scene_of_two *two, const char *address) {
        int fd = peer_connect_from("127.0.0.2", address);

        ck_assert_int_ge(fd, 0);
        two->bad = fake_relay_start(&two->relays);
        fake_relay_expect(two->bad, NB__RELAY__ORDER__BODY_BEGIN);
        ck_assert(two->bad->order->begin->expects_header);
        two->bad_link = two->bad->order->begin->link;
        return fd;
}

static void announce(const struct scene_of_two *two, const char *source) {
        Nb__Relay__Announced announced = NB__RELAY__ANNOUNCED__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        announced.link = two->bad_link;
        announced.source = (char *)source;
        announced.destination = (char *)source;
        message.body_case = NB__RELAY__REPORT__BODY_ANNOUNCED;
        message.announced = &announced;
        report(two, &message);
}

/* Keeps the peer's socket, as a relay does: the broker has none of its own when the link is ready. @return owned by the caller */
static int keep_socket(const struct scene_of_two *two) {
        int fd = fcntl(two->bad->fds.fds[0], F_DUPFD_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static void step_out(const struct scene_of_two *two) {
        Nb__Relay__Ready ready = NB__RELAY__READY__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        ready.link = two->bad_link;
        ready.stepped_out = true;
        message.body_case = NB__RELAY__REPORT__BODY_READY;
        message.ready = &ready;
        report(two, &message);
}

/* Nobody is shown to the guest whose header was not judged. */
START_TEST(ready_before_the_header) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene_of_two two;
        int fd;

        listen_for_headers(&two, address);
        fd = begin_header(&two, address);
        step_out(&two);
        fake_relay_expect_end(two.bad);
        wire_expect_silence(&two.bad_control);
        (void)nb_fd_close(fd);
        stop_listening(&two);
}
END_TEST

/* What a reload has meant for a relay that stays does not come out of a handshake that began before. */
START_TEST(a_socket_that_is_no_longer_direct) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene_of_two two;
        int fd;

        listen_for_headers(&two, address);
        fd = begin_header(&two, address);
        ck_assert(two.bad->order->begin->may_step_out);
        write_listener(&two, "relay", "");
        announce(&two, "");
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_JUDGEMENT);
        step_out(&two);
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_END);
        wire_expect_silence(&two.bad_control);
        (void)nb_fd_close(fd);
        stop_listening(&two);
}
END_TEST

/* Another peer that sends a header. */
static int next_header(struct scene_of_two *two, const char *address) {
        int fd = peer_connect_from("127.0.0.2", address);

        ck_assert_int_ge(fd, 0);
        fake_relay_expect(two->bad, NB__RELAY__ORDER__BODY_BEGIN);
        two->bad_link = two->bad->order->begin->link;
        return fd;
}

static void judge_header(struct scene_of_two *two, uint64_t link) {
        two->bad_link = link;
        announce(two, "");
        fake_relay_expect(two->bad, NB__RELAY__ORDER__BODY_JUDGEMENT);
}

/* It is ready, and waits for the guest; what it waits for is no way any more. */
START_TEST(a_socket_that_waits_is_no_longer_direct) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene_of_two two;
        uint64_t links[3];
        int fds[3], accepted;

        two_start(&two);
        write_listener(&two, "direct", "");
        (void)wire_close(&two.bad_control);
        two.bad_control = wire_open_control(&two.bad_session.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&two.bad_control, 1, address), 0);
        for (int i = 0; i < 3; ++i) {
                fds[i] = i == 0 ? begin_header(&two, address) : next_header(&two, address);
                links[i] = two.bad_link;
        }
        judge_header(&two, links[0]);
        step_out(&two);
        accepted = wire_receive_accepted(&two.bad_control, 1);
        judge_header(&two, links[1]);
        step_out(&two);
        judge_header(&two, links[2]); /* reports come in order: the one before is ready now */
        write_listener(&two, "relay", "");
        wire_send_credit(&two.bad_control, 3);
        wire_settle(&two.bad_session.protocols[0]);
        wire_expect_silence(&two.bad_control);
        for (int i = 0; i < 3; ++i)
                (void)nb_fd_close(fds[i]);
        (void)nb_fd_close(accepted);
        stop_listening(&two);
}
END_TEST

/* Who sends headers was judged when it was accepted, and is when the policy changes: before the header's end, and after it. */
START_TEST(a_sender_of_headers_is_denied_by_a_reload) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene_of_two two;
        int fd, socket_fd, stream_fd = -1;

        listen_for_headers(&two, address);
        fd = begin_header(&two, address);
        socket_fd = keep_socket(&two);
        announce(&two, "127.0.0.9:1");
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_JUDGEMENT);
        ck_assert(two.bad->order->judgement->allowed);
        if (_i == 1) {
                ck_assert_int_eq(fake_relay_ready(two.bad, two.bad_link), 0);
                stream_fd = wire_receive_accepted(&two.bad_control, 1);
        }
        write_listener(&two, "direct", "Deny=127.0.0.2:*\n");
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(two.bad->order->end->link, two.bad_link);
        (void)nb_fd_close(stream_fd);
        (void)nb_fd_close(socket_fd);
        (void)nb_fd_close(fd);
        stop_listening(&two);
}
END_TEST

/* With orders waiting for it, and handshakes; and what its end leads to ends the listener, and those handshakes that have not heard of it yet. */
START_TEST(a_relay_that_ends_with_its_listener) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene_of_two two;
        int fds[HANDSHAKES], fd;

        listen_for_headers(&two, address);
        fds[0] = begin_header(&two, address);
        for (size_t i = 1; i < HANDSHAKES; ++i)
                fds[i] = peer_connect_from("127.0.0.2", address);
        /* All of them have been given to the relay when one that sends no header is accepted. */
        fd = peer_connect_from("127.0.0.1", address);
        (void)nb_fd_close(wire_receive_accepted(&two.bad_control, 1));
        (void)nb_fd_close(fd);
        ck_assert_int_eq(kill(two.daemon.pid, SIGSTOP), 0);
        two.bad = fake_relay_free(two.bad);
        fd = peer_connect_from("127.0.0.1", address);
        (void)wire_close(&two.bad_control);
        ck_assert_int_eq(kill(two.daemon.pid, SIGCONT), 0);
        good_connect(&two);
        (void)nb_fd_close(fd);
        for (size_t i = 0; i < HANDSHAKES; ++i)
                (void)nb_fd_close(fds[i]);
        two.bad_control = wire_open_control(&two.bad_session.protocols[0], "127.0.0.1:0");
        two_end(&two);
}
END_TEST

/* What its relay is done with, and the kernel not, is what it was: a reload of the same policy does not take it for one without a relay. */
START_TEST(a_link_that_has_ended_was_relayed) {
        NB_CLEANUP_FREE char *log = NULL;
        struct scene_of_two two;
        int fd, other_fd, socket_fd;

        two_start(&two);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        socket_fd = keep_socket(&two);
        ck_assert_int_eq(fake_relay_ready(two.bad, two.bad_link), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &fd), 0);
        ck_assert_int_eq(fake_relay_ended(two.bad, two.bad_link, NB__RELAY__CAUSE__CAUSE_CLOSED, ""), 0);
        /* The end is taken when the report that comes after it is. */
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        ck_assert_int_eq(fake_relay_ended(two.bad, two.bad_link, NB__RELAY__CAUSE__CAUSE_TLS_ALERT, ""), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &other_fd), NB_WASI_EPROTO);
        daemon_reload(&two.daemon);
        log = daemon_read(two.daemon.stderr_path);
        ck_assert_ptr_null(strstr(log, "no longer grants"));
        (void)nb_fd_close(socket_fd);
        (void)nb_fd_close(fd);
        two_end(&two);
}
END_TEST

/* ---- orders that wait ---- */

/* Two orders each: almost as many as wait for a relay that does not read; and more connects than there is room for then. */
#define REFUSED_PEERS 2048
#define CONNECTS 600

#define REFUSER                                                                                                        \
        "[Tenant]\nName=bad\nUser=%u\n[Protocol "                                                                      \
        "web]\nFamily=ip\nDataPath=relay\nSendProxyHeader=v2\n%s" SCENE_LOOPBACK                                       \
        "[Protocol datagrams]\nFamily=ip\nDataPath=relay\nSocketTypes=dgram\n"                                         \
        "Deny=198.51.100.0/24:*\n" SCENE_LOOPBACK

/* Fills what waits for the bad relay. */
static void fill_orders(struct scene_of_two *two, uint64_t server) {
        struct wire controls[CONNECTS];
        size_t n = 0;

        for (uint64_t i = 1; i <= REFUSED_PEERS; ++i) {
                ck_assert(harness_poll(two->bad->fd, POLLOUT, HARNESS_DEADLINE_MS) & POLLOUT);
                send_new_peer(two, server, i, "198.51.100.7:1");
        }
        do {
                ck_assert_uint_lt(n, CONNECTS);
                controls[n] = wire_open_control(&two->bad_session.protocols[0], "0.0.0.0:0");
                wire_send_connect(&controls[n], two->peer.text);
        } while (harness_poll(controls[n++].fd, POLLIN, 20) == 0);
        while (n > 0)
                (void)wire_close(&controls[--n]);
}

/* However many other orders wait, what was revoked is to end. */
START_TEST(abuse_45_what_is_revoked_ends_however_many_orders_wait) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene_of_two two;
        struct wire server;
        int fd, socket_fd;

        two_start(&two);
        daemon_write_policy_file(&two.daemon, "bad.conf", REFUSER, (unsigned)getuid(), "");
        daemon_reload(&two.daemon);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        socket_fd = keep_socket(&two);
        ck_assert_int_eq(fake_relay_ready(two.bad, two.bad_link), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &fd), 0);
        ck_assert_uint_eq(wire_open_dgram(&two.bad_session.protocols[1], "127.0.0.1:0", &server, NULL), 0);
        ck_assert_uint_eq(wire_listen(&server, 4, address), 0);
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_SERVE);
        fill_orders(&two, two.bad->order->serve->server);
        good_connect(&two);
        daemon_write_policy_file(&two.daemon, "bad.conf", REFUSER, (unsigned)getuid(), "Deny=127.0.0.0/8:*\n");
        daemon_reload(&two.daemon);
        do
                ck_assert(fake_relay_receive(two.bad));
        while (two.bad->order->body_case != NB__RELAY__ORDER__BODY_END || two.bad->order->end->link != two.bad_link);
        (void)nb_fd_close(socket_fd);
        (void)nb_fd_close(fd);
        (void)wire_close(&server);
        two_end(&two);
}
END_TEST

/* Who reloads again and again, or revokes, has no orders pile up: there is one End for each connection. */
START_TEST(abuse_45_what_is_revoked_again_is_ordered_once) {
        struct scene_of_two two;
        int fd, socket_fd;

        two_start(&two);
        two.bad_link = begin(&two, &two.bad_control, &two.bad);
        socket_fd = keep_socket(&two);
        ck_assert_int_eq(fake_relay_ready(two.bad, two.bad_link), 0);
        ck_assert_uint_eq(wire_receive_connected(&two.bad_control, &fd), 0);
        daemon_write_policy_file(&two.daemon, "bad.conf", REFUSER, (unsigned)getuid(), "Deny=127.0.0.0/8:*\n");
        for (int i = 0; i < 3; ++i)
                daemon_reload(&two.daemon);
        fake_relay_expect(two.bad, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(two.bad->order->end->link, two.bad_link);
        /* What comes next is of another link. */
        daemon_write_policy_file(&two.daemon, "bad.conf", REFUSER, (unsigned)getuid(), "");
        daemon_reload(&two.daemon);
        ck_assert_uint_ne(begin(&two, &two.bad_control, &two.bad), two.bad_link);
        (void)nb_fd_close(socket_fd);
        (void)nb_fd_close(fd);
        two_end(&two);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("abuse_relay");
        TCase *any = tcase_create("a relay that was taken over");

        tcase_add_loop_test(any, a_relay_that_misbehaves_costs_its_tenant_only, 0, N_MISBEHAVIOURS);
        tcase_add_loop_test(any, a_relay_cannot_speak_of_what_is_not_its_own, 0, N_IDLE_TALK);
        tcase_add_loop_test(any, impossible_peers_of_a_server, 0, N_IMPOSSIBLE_PEERS);
        tcase_add_test(any, a_guest_is_faster_than_its_relay);
        tcase_add_test(any, ready_twice);
        tcase_add_test(any, ready_where_there_is_none);
        tcase_add_test(any, ended_twice);
        tcase_add_test(any, abuse_46_a_reason_is_escaped_and_cut);
        tcase_add_test(any, another_version);
        tcase_add_test(any, ready_before_started);
        tcase_add_test(any, silence_instead_of_started);
        tcase_add_test(any, abuse_45_a_relay_that_does_not_read);
        tcase_add_test(any, abuse_45_what_is_revoked_ends_however_many_orders_wait);
        tcase_add_test(any, abuse_45_what_is_revoked_again_is_ordered_once);
        tcase_add_test(any, a_link_that_has_ended_was_relayed);
        tcase_add_test(any, ready_before_the_header);
        tcase_add_test(any, a_socket_that_is_no_longer_direct);
        tcase_add_test(any, a_socket_that_waits_is_no_longer_direct);
        tcase_add_loop_test(any, a_sender_of_headers_is_denied_by_a_reload, 0, 2);
        tcase_add_test(any, a_relay_that_ends_with_its_listener);
        suite_add_tcase(suite, any);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
