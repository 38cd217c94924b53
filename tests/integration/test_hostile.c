/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's process that was taken over: whatever it sends, its session is dropped, or it gets the one errno that PROTOCOL.md
 * names; the operator gets a record, the broker gets its descriptors back, and another session notices nothing.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

/* A channel in a state. */
enum kind {
        KIND_HALF_OPEN,
        KIND_SESSION,
        KIND_PROTOCOL,
        KIND_IDLE,
        KIND_LISTENING,
        KIND_DATAGRAM, /* an idle control of each */
        KIND_UNIX,
        KIND_PREOPEN,
        N_KINDS,
};

/* What else the victims' tenant has, behind rules for "web". */
#define MORE                                                                                                           \
        "SocketTypes=stream dgram\n"                                                                                   \
        "[Protocol local]\n"                                                                                           \
        "Family=unix\n"                                                                                                \
        "DataPath=direct\n"                                                                                            \
        "[Preopen it]\n"                                                                                               \
        "DataPath=direct\n"                                                                                            \
        "Listen=@nb-test-hostile\n"

#define RULES SCENE_LOOPBACK MORE

/* A whole session, of which one channel misbehaves. */
struct victim {
        struct wire_session session;
        struct wire idle;
        struct wire listening;
        struct wire datagram;
        struct wire local;
        struct wire *channel;
};

static void victim_open(struct victim *victim, const struct scene *scene, enum kind kind) {
        *victim = (struct victim){
                .idle = { .fd = -1 }, .listening = { .fd = -1 }, .datagram = { .fd = -1 }, .local = { .fd = -1 }
        };
        if (kind == KIND_HALF_OPEN) {
                victim->session.channel = wire_connect(scene->daemon.socket_path);
                victim->channel = &victim->session.channel;
                return;
        }
        wire_session_open(scene->daemon.socket_path, "", &victim->session);
        victim->idle = wire_open_control(&victim->session.protocols[0], "0.0.0.0:0");
        victim->listening = wire_open_control(&victim->session.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&victim->listening, 16, NULL), 0);
        ck_assert_uint_eq(wire_open_dgram(&victim->session.protocols[0], "0.0.0.0:0", &victim->datagram, NULL), 0);
        victim->local = wire_open_control(&victim->session.protocols[1], "");
        switch (kind) {
        case KIND_PROTOCOL:
                victim->channel = &victim->session.protocols[0];
                break;
        case KIND_IDLE:
                victim->channel = &victim->idle;
                break;
        case KIND_LISTENING:
                victim->channel = &victim->listening;
                break;
        case KIND_DATAGRAM:
                victim->channel = &victim->datagram;
                break;
        case KIND_UNIX:
                victim->channel = &victim->local;
                break;
        case KIND_PREOPEN:
                victim->channel = &victim->session.preopens[0].control;
                break;
        default:
                victim->channel = &victim->session.channel;
                break;
        }
}

static void victim_close(struct victim *victim) {
        (void)wire_close(&victim->idle);
        (void)wire_close(&victim->listening);
        (void)wire_close(&victim->datagram);
        (void)wire_close(&victim->local);
        wire_session_close(&victim->session);
}

/* The whole session is gone, not only the channel. */
static void victim_expect_dropped(struct victim *victim, const struct scene *scene) {
        wire_expect_end(&victim->session.channel);
        if (victim->session.n_protocols > 0) {
                wire_expect_end(&victim->session.protocols[0]);
                wire_expect_end(&victim->idle);
                wire_expect_end(&victim->listening);
                wire_expect_end(&victim->datagram);
                wire_expect_end(&victim->local);
                wire_expect_end(&victim->session.preopens[0].control);
        }
        daemon_expect_audit(&scene->daemon, "\"verb\":\"protocol-error\"", "\"verdict\":\"dropped\"", "\"reason\":\"");
}

/* A request that would be right on a channel of that kind. */
static size_t good_request(enum kind kind, const struct wire *wire, uint8_t frame[static NB_CHANNEL_MESSAGE_MAX]) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Hello hello = NB__HELLO__INIT;
        Nb__Open open = NB__OPEN__INIT;
        Nb__Connect connect_request = NB__CONNECT__INIT;
        Nb__Listen listen_request = NB__LISTEN__INIT;
        Nb__Credit credit = NB__CREDIT__INIT;

        request.serial = wire->serial + 1;
        switch (kind) {
        case KIND_PROTOCOL:
                open.address = (char *)"127.0.0.1:0";
                open.type = NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
                open.rights_base = WIRE_RIGHTS_BASE;
                open.rights_inheriting = WIRE_RIGHTS_INHERITING;
                request.body_case = NB__REQUEST__BODY_OPEN;
                request.open = &open;
                break;
        case KIND_IDLE:
        case KIND_DATAGRAM:
        case KIND_UNIX:
                connect_request.address = (char *)(kind == KIND_UNIX ? "/tmp/nobody/here" : "192.0.2.1:80");
                request.body_case = NB__REQUEST__BODY_CONNECT;
                request.connect = &connect_request;
                break;
        case KIND_LISTENING:
                credit.total = 300;
                request.serial = 0;
                request.body_case = NB__REQUEST__BODY_CREDIT;
                request.credit = &credit;
                break;
        case KIND_PREOPEN:
                listen_request.backlog = 8;
                listen_request.credit = 16;
                request.body_case = NB__REQUEST__BODY_LISTEN;
                request.listen = &listen_request;
                break;
        default:
                hello.oldest_version = hello.newest_version = 1;
                hello.label = (char *)"hostile";
                request.body_case = NB__REQUEST__BODY_HELLO;
                request.hello = &hello;
                break;
        }
        return wire_pack(&request, frame);
}

/* ---- one frame that is wrong (abuse case 31) ---- */

/* Makes a good frame of `length` bytes a bad one; returns its length. */
typedef size_t (*spoil_function)(uint8_t *frame, size_t length);

static size_t truncated(uint8_t *frame, size_t length) {
        (void)frame;
        return length - 1;
}

static size_t oversized(uint8_t *frame, size_t length) {
        memset(frame + length, 0, NB_CHANNEL_MESSAGE_MAX + 1 - length);
        return NB_CHANNEL_MESSAGE_MAX + 1;
}

static size_t longest_of_zeros(uint8_t *frame, size_t length) {
        (void)length;
        memset(frame, 0, NB_CHANNEL_MESSAGE_MAX);
        return NB_CHANNEL_MESSAGE_MAX;
}

static size_t longest_of_ones(uint8_t *frame, size_t length) {
        (void)length;
        memset(frame, 0xff, NB_CHANNEL_MESSAGE_MAX);
        return NB_CHANNEL_MESSAGE_MAX;
}

static size_t one_byte(uint8_t *frame, size_t length) {
        (void)length;
        frame[0] = 0x80;
        return 1;
}

static size_t append(uint8_t *frame, size_t length, const char *bytes, size_t n) {
        memcpy(frame + length, bytes, n);
        return length + n;
}

/* Field 31, a varint. */
static size_t unknown_field(uint8_t *frame, size_t length) {
        return append(frame, length, "\xf8\x01\x01", 3);
}

/* Field 63, an empty group's start, which protobuf no longer has. */
static size_t unknown_wire_type(uint8_t *frame, size_t length) {
        return append(frame, length, "\xfb\x03", 2);
}

/* Field 15 is the serial: 9 wins over the first in a lenient reader. */
static size_t field_twice(uint8_t *frame, size_t length) {
        return append(frame, length, "\x78\x09\x78\x09", 4);
}

/* An empty Hello and an empty Open, behind what is there. */
static size_t several_bodies(uint8_t *frame, size_t length) {
        return append(frame, length, "\x0a\x00\x12\x00", 4);
}

static size_t no_body(uint8_t *frame, size_t length) {
        (void)length;
        return append(frame, 0, "\x78\x63", 2);
}

/* A number with a superfluous byte. */
static size_t long_varint(uint8_t *frame, size_t length) {
        (void)length;
        return append(frame, 0, "\x78\xe3\x00\x0a\x00", 5);
}

/* A body whose length reaches behind the frame, as far as numbers go. */
static size_t body_beyond_the_end(uint8_t *frame, size_t length) {
        (void)length;
        return append(frame, 0, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
}

/* An address that is not UTF-8, and one with a NUL in it (abuse case 11). */
static size_t not_utf8(uint8_t *frame, size_t length) {
        (void)length;
        return append(frame, 0, "\x2a\x04\x0a\x02\xc0\x80\x78\x63", 8);
}

static size_t a_nul(uint8_t *frame, size_t length) {
        (void)length;
        return append(frame, 0,
                      "\x2a\x09\x0a\x07"
                      "a:1\0b:2"
                      "\x78\x63",
                      13);
}

/* A request out of order: the number of none (0), where one is needed, and one from the past. */
static size_t no_serial(uint8_t *frame, size_t length) {
        (void)length;
        return append(frame, 0, "\x2a\x02\x0a\x00", 4);
}

static const struct {
        const char *name;
        spoil_function spoil;
} spoils[] = {
        { "truncated", truncated },
        { "oversized", oversized },
        { "64 KiB of zeros", longest_of_zeros },
        { "64 KiB of ones", longest_of_ones },
        { "one byte", one_byte },
        { "unknown field", unknown_field },
        { "unknown wire type", unknown_wire_type },
        { "a field twice", field_twice },
        { "several bodies", several_bodies },
        { "no body", no_body },
        { "long varint", long_varint },
        { "a body beyond the end", body_beyond_the_end },
        { "not UTF-8", not_utf8 },
        { "a NUL", a_nul },
        { "no serial", no_serial },
};

#define N_SPOILS ((int)(sizeof(spoils) / sizeof(spoils[0])))

START_TEST(abuse_11_31_a_bad_frame_drops_the_session) {
        uint8_t *frame = malloc(2 * NB_CHANNEL_MESSAGE_MAX);
        enum kind kind = (enum kind)(_i / N_SPOILS);
        struct victim victim;
        struct scene scene;
        size_t length;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, kind);
        length = spoils[_i % N_SPOILS].spoil(frame, good_request(kind, victim.channel, frame));
        ck_assert_int_eq(wire_send_bytes(victim.channel, frame, length, NULL, 0), 0);
        victim_expect_dropped(&victim, &scene);
        scene_expect_baseline(&scene);
        victim_close(&victim);
        scene_end(&scene);
        free(frame);
}
END_TEST

/* The kernel does not tell an empty message from the end of the channel: it ends the object, and no other. */
START_TEST(an_empty_message_is_the_end) {
        enum kind kind = (enum kind)_i;
        struct victim victim;
        struct scene scene;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, kind);
        ck_assert_int_eq(wire_send_bytes(victim.channel, "", 0, NULL, 0), 0);
        wire_expect_end(victim.channel);
        if (kind != KIND_HALF_OPEN && kind != KIND_PROTOCOL)
                wire_settle(&victim.session.protocols[0]);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* ---- descriptors (abuse cases 5 and 7) ---- */

static const size_t fd_counts[] = { 1, 16, 64, 65, 253 };

#define N_FD_COUNTS ((int)(sizeof(fd_counts) / sizeof(fd_counts[0])))

/* To be dropped for them, a session must be able to send them. */
static void let_descriptors_in(struct scene *scene) {
        wire_settle(scene->web); /* the newest session has been accepted */
        daemon_let_descriptors_in(&scene->daemon);
}

/* Nobody has to close what never came, though it lingers, or waits behind a message for which the session is dropped. */
START_TEST(abuse_5_a_new_kernel_lets_no_descriptor_in) {
        struct victim victim;
        struct scene scene;
        struct wire early;

        if (!harness_refuses_descriptors())
                return;
        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, (enum kind)_i);
        ck_assert_int_eq(wire_send_bytes(victim.channel, "x", 1, &victim.channel->fd, 1), -EPERM);
        wire_expect_silence(victim.channel);
        /* Also before it has been accepted. */
        ck_assert_int_eq(kill(scene.daemon.pid, SIGSTOP), 0);
        early = wire_connect(scene.daemon.socket_path);
        ck_assert_int_eq(wire_send_bytes(&early, "x", 1, &early.fd, 1), -EPERM);
        ck_assert_int_eq(kill(scene.daemon.pid, SIGCONT), 0);
        (void)wire_close(&early);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

START_TEST(abuse_5_descriptors_drop_the_session_and_are_closed) {
        NB_CLEANUP_FREE uint8_t *frame = malloc(NB_CHANNEL_MESSAGE_MAX);
        enum kind kind = (enum kind)(_i / N_FD_COUNTS);
        size_t n = fd_counts[_i % N_FD_COUNTS], length;
        int fds[253], pipe_fds[2];
        struct victim victim;
        struct scene scene;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, kind);
        let_descriptors_in(&scene);
        ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
        for (size_t i = 0; i < n; ++i)
                fds[i] = pipe_fds[1];
        length = good_request(kind, victim.channel, frame);
        ck_assert_int_eq(wire_send_bytes(victim.channel, frame, length, fds, n), 0);
        (void)nb_fd_close(pipe_fds[1]);
        victim_expect_dropped(&victim, &scene);
        /* Nobody has the pipe's other end any more. */
        peer_expect_pipe_end(pipe_fds[0]);
        (void)nb_fd_close(pipe_fds[0]);
        scene_expect_baseline(&scene);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* ---- what lingers (abuse case 45) ---- */

/* A socket that waits for an hour when it is closed, for a peer that does not read. @param ret_peer  owned by the caller */
static int lingering_socket(int *ret_peer) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 3600 };
        char bytes[4096] = { 0 };
        struct peer peer = peer_listen("127.0.0.1", 1);
        int fd = peer_connect(peer.text);

        *ret_peer = peer_accept(&peer);
        while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        peer_close(&peer);
        return fd;
}

/* Sends a descriptor and keeps none. */
static void give_away(const struct wire *wire, int fd_consumed) {
        ck_assert_int_eq(wire_send_bytes(wire, "x", 1, &fd_consumed, 1), 0);
        (void)nb_fd_close(fd_consumed);
}

/* Behind a message for which the session is dropped: what nobody receives goes with the channel. */
static void linger_in_the_queue(const struct wire *channel, int fd_consumed) {
        ck_assert_int_eq(wire_send_bytes(channel, "x", 1, NULL, 0), 0);
        give_away(channel, fd_consumed);
}

/* In the queue of another socket, which is what the broker receives. */
static void linger_in_another_queue(const struct wire *channel, int fd_consumed) {
        struct wire outer;
        int pair[2];

        ck_assert_int_eq(nb_channel_pair(pair), 0);
        outer.fd = pair[0];
        give_away(&outer, fd_consumed);
        give_away(channel, pair[1]);
        (void)nb_fd_close(pair[0]);
}

static void (*const lingering[])(const struct wire *channel, int fd_consumed) = {
        linger_in_the_queue,
        linger_in_another_queue,
};

/* Where the kernel cannot refuse descriptors; if the broker waited, the others would for an hour. */
START_TEST(abuse_45_what_lingers_holds_nobody_up) {
        struct victim victim;
        struct scene scene;
        int peer, fd;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, KIND_HALF_OPEN);
        let_descriptors_in(&scene);
        fd = lingering_socket(&peer);
        ck_assert_int_eq(kill(scene.daemon.pid, SIGSTOP), 0);
        lingering[_i](victim.channel, fd);
        ck_assert_int_eq(kill(scene.daemon.pid, SIGCONT), 0);
        victim_expect_dropped(&victim, &scene);
        wire_settle(scene.web);
        (void)nb_fd_close(peer);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* Credentials in front hide no descriptors. */
static int send_with_credentials(const struct wire *wire, const void *bytes, size_t length, int fd) {
        struct iovec iov = { .iov_base = (void *)bytes, .iov_len = length };
        struct ucred credentials = { .pid = getpid(), .uid = getuid(), .gid = getgid() };
        union {
                char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
                struct cmsghdr alignment;
        } control = { .bytes = { 0 } };
        struct msghdr header = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = CMSG_SPACE(sizeof(struct ucred)) + (fd >= 0 ? CMSG_SPACE(sizeof(int)) : 0),
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);

        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_CREDENTIALS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(credentials));
        memcpy(CMSG_DATA(cmsg), &credentials, sizeof(credentials));
        if (fd >= 0) {
                cmsg = CMSG_NXTHDR(&header, cmsg);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
                memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
        }
        return sendmsg(wire->fd, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

START_TEST(abuse_7_credentials_before_a_descriptor) {
        NB_CLEANUP_FREE uint8_t *frame = malloc(NB_CHANNEL_MESSAGE_MAX);
        struct victim victim;
        struct scene scene;
        size_t length;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, (enum kind)_i);
        let_descriptors_in(&scene);
        length = good_request((enum kind)_i, victim.channel, frame);
        ck_assert_int_eq(send_with_credentials(victim.channel, frame, length, victim.channel->fd), 0);
        victim_expect_dropped(&victim, &scene);
        scene_expect_baseline(&scene);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* A session that passes its own channel's other ends around keeps none of the broker's objects alive. */
START_TEST(channels_in_flight_to_the_broker) {
        struct victim victim;
        struct scene scene;
        int fds[3];

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, KIND_IDLE);
        let_descriptors_in(&scene);
        fds[0] = victim.session.channel.fd;
        fds[1] = victim.idle.fd;
        fds[2] = victim.listening.fd;
        ck_assert_int_eq(wire_send_bytes(victim.channel, "x", 1, fds, 3), 0);
        victim_expect_dropped(&victim, &scene);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* ---- what does not belong there ---- */

static const struct {
        enum kind kind;
        Nb__Request__BodyCase body;
} misplaced[] = {
        { KIND_HALF_OPEN, NB__REQUEST__BODY_OPEN },   { KIND_HALF_OPEN, NB__REQUEST__BODY_LISTEN },
        { KIND_HALF_OPEN, NB__REQUEST__BODY_CREDIT }, { KIND_HALF_OPEN, NB__REQUEST__BODY_CONNECT },
        { KIND_SESSION, NB__REQUEST__BODY_HELLO },    { KIND_SESSION, NB__REQUEST__BODY_OPEN },
        { KIND_SESSION, NB__REQUEST__BODY_LISTEN },   { KIND_SESSION, NB__REQUEST__BODY_CREDIT },
        { KIND_SESSION, NB__REQUEST__BODY_CONNECT },  { KIND_PROTOCOL, NB__REQUEST__BODY_HELLO },
        { KIND_PROTOCOL, NB__REQUEST__BODY_LISTEN },  { KIND_PROTOCOL, NB__REQUEST__BODY_CREDIT },
        { KIND_PROTOCOL, NB__REQUEST__BODY_CONNECT }, { KIND_IDLE, NB__REQUEST__BODY_HELLO },
        { KIND_IDLE, NB__REQUEST__BODY_OPEN },        { KIND_IDLE, NB__REQUEST__BODY_CREDIT },
        { KIND_PREOPEN, NB__REQUEST__BODY_HELLO },    { KIND_PREOPEN, NB__REQUEST__BODY_OPEN },
        { KIND_PREOPEN, NB__REQUEST__BODY_CREDIT },   { KIND_DATAGRAM, NB__REQUEST__BODY_HELLO },
        { KIND_DATAGRAM, NB__REQUEST__BODY_OPEN },    { KIND_DATAGRAM, NB__REQUEST__BODY_CREDIT },
        { KIND_UNIX, NB__REQUEST__BODY_CREDIT },      { KIND_LISTENING, NB__REQUEST__BODY_HELLO },
        { KIND_LISTENING, NB__REQUEST__BODY_OPEN },
};

static void send_empty_body(struct wire *wire, Nb__Request__BodyCase body) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Hello hello = NB__HELLO__INIT;
        Nb__Open open = NB__OPEN__INIT;
        Nb__Listen listen_request = NB__LISTEN__INIT;
        Nb__Credit credit = NB__CREDIT__INIT;
        Nb__Connect connect_request = NB__CONNECT__INIT;

        request.body_case = body;
        request.serial = body == NB__REQUEST__BODY_CREDIT ? 0 : ++wire->serial;
        if (body == NB__REQUEST__BODY_HELLO)
                request.hello = &hello;
        else if (body == NB__REQUEST__BODY_OPEN)
                request.open = &open;
        else if (body == NB__REQUEST__BODY_LISTEN)
                request.listen = &listen_request;
        else if (body == NB__REQUEST__BODY_CREDIT)
                request.credit = &credit;
        else
                request.connect = &connect_request;
        wire_send(wire, &request);
}

START_TEST(a_request_in_the_wrong_place) {
        struct victim victim;
        struct scene scene;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, misplaced[_i].kind);
        send_empty_body(victim.channel, misplaced[_i].body);
        victim_expect_dropped(&victim, &scene);
        daemon_expect_audit(&scene.daemon, "does not belong on this channel");
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* That of the last request, too: nobody asks the same broker twice. */
START_TEST(a_number_from_the_past) {
        struct victim victim;
        struct scene scene;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, KIND_PROTOCOL);
        victim.channel->serial = _i == 0 ? 0 : victim.channel->serial - 1;
        wire_send_open(victim.channel, "0.0.0.0:0", 0, 0);
        victim_expect_dropped(&victim, &scene);
        daemon_expect_audit(&scene.daemon, "a request out of order");
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* The largest number leaves none for a later request; it is no harm. */
START_TEST(the_last_number) {
        struct victim victim;
        struct scene scene;
        struct wire none;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, KIND_PROTOCOL);
        victim.channel->serial = UINT64_MAX - 1;
        ck_assert_uint_eq(wire_open(victim.channel, "x", &none, NULL), NB_WASI_EINVAL);
        wire_send_open(victim.channel, "x", 0, 0);
        victim_expect_dropped(&victim, &scene);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

START_TEST(another_request_while_connecting) {
        struct peer peer = peer_listen("127.0.0.1", 1);
        struct victim victim;
        struct scene scene;
        int fds[16];
        size_t n = peer_fill_backlog(&peer, fds, 16);

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, KIND_IDLE);
        wire_send_connect(&victim.idle, peer.text);
        if (_i == 0)
                wire_send_connect(&victim.idle, "127.0.0.1:1");
        else if (_i == 1)
                wire_send_listen(&victim.idle, 1, 1, 0);
        else
                wire_send_credit(&victim.idle, 1);
        victim_expect_dropped(&victim, &scene);
        for (size_t i = 0; i < n; ++i)
                (void)nb_fd_close(fds[i]);
        peer_close(&peer);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* ---- who does not read (abuse case 8) ---- */

START_TEST(a_request_before_the_last_answer_was_read) {
        struct victim victim;
        struct scene scene;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, KIND_PROTOCOL);
        wire_send_open(victim.channel, "0.0.0.0:0", 0, 0);
        wire_send_open(victim.channel, "0.0.0.0:0", 0, 0);
        victim_expect_dropped(&victim, &scene);
        daemon_expect_audit(&scene.daemon, "before the last answer was read");
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* Sends until the broker has had enough. */
static void send_for_ever(struct wire *wire, void (*send_one)(struct wire *wire, uint8_t *frame, size_t *length)) {
        NB_CLEANUP_FREE uint8_t *frame = malloc(NB_CHANNEL_MESSAGE_MAX);
        uint64_t start = harness_now_ms();

        for (;;) {
                size_t length;
                int r;

                send_one(wire, frame, &length);
                do {
                        r = wire_send_bytes(wire, frame, length, NULL, 0);
                        ck_assert_uint_lt(harness_now_ms() - start, HARNESS_DEADLINE_MS);
                        if (r == -EAGAIN)
                                (void)harness_poll(wire->fd, POLLOUT, 100);
                } while (r == -EAGAIN);
                if (r == -EPIPE || r == -ECONNRESET)
                        return;
                ck_assert_int_eq(r, 0);
        }
}

static void one_open(struct wire *wire, uint8_t *frame, size_t *length) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Open open = NB__OPEN__INIT;

        open.address = (char *)"x";
        open.type = NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
        request.body_case = NB__REQUEST__BODY_OPEN;
        request.open = &open;
        request.serial = ++wire->serial;
        *length = wire_pack(&request, frame);
}

static void one_listen(struct wire *wire, uint8_t *frame, size_t *length) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Listen listen_request = NB__LISTEN__INIT;

        request.body_case = NB__REQUEST__BODY_LISTEN;
        request.listen = &listen_request;
        request.serial = ++wire->serial;
        *length = wire_pack(&request, frame);
}

/* Refusals carry no descriptor, but they too are our memory while they are unread. */
START_TEST(abuse_8_refusals_that_are_never_read) {
        struct victim victim;
        struct scene scene;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, KIND_IDLE);
        wire_send_connect(victim.channel, "192.0.2.1:80");
        wire_send_connect(victim.channel, "192.0.2.1:80");
        victim_expect_dropped(&victim, &scene);
        daemon_expect_audit(&scene.daemon, "a request before the last answer was read");
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

START_TEST(abuse_8_answers_that_are_never_read) {
        struct victim victim;
        struct scene scene;

        scene_start(&scene, NULL, RULES);
        victim_open(&victim, &scene, _i ? KIND_LISTENING : KIND_PROTOCOL);
        send_for_ever(victim.channel, _i ? one_listen : one_open);
        victim_expect_dropped(&victim, &scene);
        daemon_expect_audit(&scene.daemon, "a request before the last answer was read");
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

/* ---- who goes in the middle (abuse case 9) ---- */

START_TEST(abuse_9_closing_in_the_middle_of_a_request) {
        struct peer peer = peer_listen("127.0.0.1", 64);
        struct scene scene;

        scene_start(&scene, NULL, RULES);
        for (int i = 0; i < 50; ++i) {
                struct victim victim;

                victim_open(&victim, &scene, KIND_IDLE);
                wire_send_open(&victim.session.protocols[0], "127.0.0.1:0", WIRE_RIGHTS_BASE, WIRE_RIGHTS_INHERITING);
                wire_send_connect(&victim.idle, peer.text);
                /* With the answers under way or not yet. */
                if (i % 2)
                        wire_settle(scene.web);
                victim_close(&victim);
        }
        scene_expect_baseline(&scene);
        for (int i = 0; i < 50; ++i) {
                struct wire wire = wire_connect(scene.daemon.socket_path);

                wire_send_hello(&wire, "");
                if (i % 2)
                        wire_settle(scene.web);
                (void)wire_close(&wire);
        }
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

static void hold_many_objects(const struct scene *scene, const char *address, int ready_fd) {
        struct victim victim;
        char listening[NB_ADDRESS_LENGTH_MAX + 1];
        int fd;

        for (int i = 0; i < 20; ++i) {
                victim_open(&victim, scene, KIND_SESSION);
                ck_assert_uint_eq(wire_connect_to(&victim.idle, address, &fd), 0);
                for (int j = 0; j < 20; ++j) {
                        struct wire control = wire_open_control(&victim.session.protocols[0], "127.0.0.1:0");

                        ck_assert_uint_eq(wire_listen(&control, 16, listening), 0);
                        ck_assert_int_ge(peer_connect(listening), 0);
                }
        }
        ck_assert_int_eq(write(ready_fd, "x", 1), 1);
        (void)pause();
}

START_TEST(abuse_9_a_killed_session_leaves_nothing) {
        struct peer peer = peer_listen("127.0.0.1", 64);
        int ready_pipe[2], status;
        struct scene scene;
        char byte;
        pid_t pid;

        scene_start(&scene, NULL, RULES);
        ck_assert_int_eq(pipe2(ready_pipe, O_CLOEXEC), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                hold_many_objects(&scene, peer.text, ready_pipe[1]);
                _exit(0);
        }
        ck_assert_int_ne(harness_poll(ready_pipe[0], POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(read(ready_pipe[0], &byte, 1), 1);
        ck_assert_uint_gt(daemon_count_fds(&scene.daemon), scene.baseline + 800);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        (void)nb_fd_close(ready_pipe[0]);
        (void)nb_fd_close(ready_pipe[1]);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* ---- who says nothing (abuse case 44) ---- */

#define FLOOD 600

struct flood {
        const struct scene *scene;
        int done_pipe[2];
        int go_pipe[2];
};

/* Holds connections without a word until told to go. */
static void flood_in_silence(void *data) {
        const struct flood *flood = data;
        char byte;

        for (int i = 0; i < FLOOD; ++i)
                (void)wire_connect(flood->scene->daemon.socket_path);
        ck_assert_int_eq(write(flood->done_pipe[1], "x", 1), 1);
        ck_assert_int_eq(read(flood->go_pipe[0], &byte, 1), 0);
}

START_TEST(abuse_44_silent_sessions_lock_nobody_else_out) {
        const struct passwd *nobody = getpwnam("nobody");
        struct wire_session session;
        struct scene scene;
        struct flood flood = { .scene = &scene };
        char byte;
        pid_t pid;

        ck_assert_ptr_nonnull(nobody);
        scene_start(&scene, NULL, RULES);
        ck_assert_int_eq(pipe2(flood.done_pipe, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(flood.go_pipe, O_CLOEXEC), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                (void)nb_fd_close(flood.go_pipe[1]);
                harness_run_as(nobody->pw_uid, flood_in_silence, &flood);
                _exit(0);
        }
        (void)nb_fd_close(flood.done_pipe[1]);
        ck_assert_int_eq(read(flood.done_pipe[0], &byte, 1), 1);
        /* Another user comes in, and the one who is in goes on. */
        wire_session_open(scene.daemon.socket_path, "", &session);
        wire_settle(&session.protocols[0]);
        wire_settle(scene.web);
        wire_session_close(&session);
        ck_assert_uint_lt(daemon_count_fds(&scene.daemon), scene.baseline + FLOOD / 2);
        daemon_expect_audit(&scene.daemon, "\"verdict\":\"dropped\"", "no Hello while too many wait");
        (void)nb_fd_close(flood.go_pipe[1]);
        ck_assert_int_eq(harness_wait_exit(pid), 0);
        (void)nb_fd_close(flood.go_pipe[0]);
        (void)nb_fd_close(flood.done_pipe[0]);
        scene_end(&scene);
}
END_TEST

/* ---- anything at all ---- */

#define FUZZ_FRAMES 3000

/* xorshift64 (G. Marsaglia, 2003): the same frames in every run. */
static uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* Flips, cuts, lengthens or invents. */
static size_t mutate(uint8_t *frame, size_t length, uint64_t *random) {
        size_t flips = 1 + next_random(random) % 4;

        switch (next_random(random) % 8) {
        case 0:
                length = 1 + next_random(random) % 256;
                for (size_t i = 0; i < length; ++i)
                        frame[i] = (uint8_t)next_random(random);
                return length;
        case 1:
                return 1 + next_random(random) % length;
        case 2:
                for (size_t n = next_random(random) % 16; n > 0; --n)
                        frame[length++] = (uint8_t)next_random(random);
                return length;
        case 3:
                frame[next_random(random) % length] = (uint8_t)next_random(random);
                return length;
        default:
                while (flips-- > 0)
                        frame[next_random(random) % length] ^= (uint8_t)(1u << next_random(random) % 8);
                return length;
        }
}

/* Takes what the broker sends. Returns whether the channel is still there. */
static bool drain(const struct wire *wire, struct wire_reply *reply) {
        while (harness_poll(wire->fd, POLLIN, 0) != 0) {
                if (!wire_receive(wire, reply))
                        return false;
                nb_channel_fds_close(&reply->fds);
        }
        return true;
}

START_TEST(random_frames) {
        NB_CLEANUP_FREE uint8_t *frame = malloc(NB_CHANNEL_MESSAGE_MAX);
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        uint64_t random = UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)_i;
        enum kind kind = (enum kind)_i;
        struct victim victim;
        struct wire none;
        struct scene scene;
        unsigned n_drops = 0;

        /* No request of a mutated frame may reach anyone: nothing is granted to connect to. */
        scene_start(&scene, NULL, "Listen=127.0.0.1:*\n" MORE);
        victim_open(&victim, &scene, kind);
        for (int i = 0; i < FUZZ_FRAMES; ++i) {
                size_t length = mutate(frame, good_request(kind, victim.channel, frame), &random);
                int r = wire_send_bytes(victim.channel, frame, length, NULL, 0);

                victim.channel->serial++;
                ck_assert_msg(r == 0 || r == -EPIPE || r == -ECONNRESET, "send: %s", strerror(-r));
                ck_assert_uint_eq(wire_open(scene.web, "x", &none, NULL), NB_WASI_EINVAL);
                if (r == 0 && drain(victim.channel, reply))
                        continue;
                n_drops++;
                victim_close(&victim);
                victim_open(&victim, &scene, kind);
        }
        ck_assert_uint_gt(n_drops, FUZZ_FRAMES / 2);
        victim_close(&victim);
        scene_end(&scene);
}
END_TEST

static void add_frame_tests(TCase *tcase) {
        tcase_add_loop_test(tcase, abuse_11_31_a_bad_frame_drops_the_session, 0, N_KINDS * N_SPOILS);
        tcase_add_loop_test(tcase, an_empty_message_is_the_end, 0, N_KINDS);
        tcase_add_loop_test(tcase, abuse_5_descriptors_drop_the_session_and_are_closed, 0, N_KINDS * N_FD_COUNTS);
        tcase_add_loop_test(tcase, abuse_5_a_new_kernel_lets_no_descriptor_in, 0, N_KINDS);
        tcase_add_loop_test(tcase, abuse_45_what_lingers_holds_nobody_up, 0, sizeof(lingering) / sizeof(lingering[0]));
        tcase_add_loop_test(tcase, abuse_7_credentials_before_a_descriptor, 0, N_KINDS);
        tcase_add_test(tcase, channels_in_flight_to_the_broker);
        tcase_add_loop_test(tcase, a_request_in_the_wrong_place, 0, sizeof(misplaced) / sizeof(misplaced[0]));
        tcase_add_loop_test(tcase, a_number_from_the_past, 0, 2);
        tcase_add_test(tcase, the_last_number);
        tcase_add_loop_test(tcase, another_request_while_connecting, 0, 3);
        tcase_add_loop_test(tcase, random_frames, 0, N_KINDS);
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("hostile");
        TCase *tcase = tcase_create("hostile");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 120);
        add_frame_tests(tcase);
        tcase_add_test(tcase, a_request_before_the_last_answer_was_read);
        tcase_add_loop_test(tcase, abuse_8_answers_that_are_never_read, 0, 2);
        tcase_add_test(tcase, abuse_8_refusals_that_are_never_read);
        tcase_add_test(tcase, abuse_9_closing_in_the_middle_of_a_request);
        tcase_add_test(tcase, abuse_9_a_killed_session_leaves_nothing);
        if (getuid() == 0)
                tcase_add_test(tcase, abuse_44_silent_sessions_lock_nobody_else_out);
        else
                fprintf(stderr, "not tested: a flood of another user's silent sessions: that needs root\n");
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
