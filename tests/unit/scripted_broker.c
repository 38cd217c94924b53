/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/scripted_broker.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "proto/wasi.h"

#define NS_PER_S INT64_C(1000000000)
#define PEER_TEXT "192.0.2.1:80"

/* Between the serials of one Resumed and the next: more than is asked of one broker. */
#define SERIALS_A_BROKER 100000u

/* @return the guest's end of a new channel */
static int add_channel(struct scripted_broker *broker, enum scripted_kind kind) {
        int pair[2];

        ck_assert_uint_lt(broker->n_channels, SCRIPTED_CHANNELS_MAX);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        broker->kinds[broker->n_channels] = kind;
        broker->serials[broker->n_channels] = 0;
        broker->channels[broker->n_channels++] = pair[0];
        return pair[1];
}

/* @return the guest's end of a new stream */
static int add_stream(struct scripted_broker *broker) {
        int pair[2];

        if (broker->make_stream)
                broker->make_stream(pair);
        else
                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        nb_fd_close(broker->peer);
        broker->peer = pair[0];
        return pair[1];
}

int scripted_broker_init(struct scripted_broker *broker) {
        memset(broker, 0, sizeof(*broker));
        broker->peer = -1;
        broker->held = -1;
        broker->listener = -1;
        broker->peer_text = PEER_TEXT;
        broker->local_text = "";
        broker->reason = "";
        broker->inheriting = NB_RIGHTS_NETWORK;
        return add_channel(broker, SCRIPTED_SESSION);
}

void scripted_broker_deinit(struct scripted_broker *broker) {
        for (unsigned i = 0; i < broker->n_channels; ++i)
                broker->channels[i] = nb_fd_close(broker->channels[i]);
        broker->peer = nb_fd_close(broker->peer);
}

static void reply_with(int channel, Nb__Reply *reply, int *fds, size_t n_fds) {
        ck_assert_int_eq(nb_reply_send(channel, reply, fds, n_fds), 0);
        nb_fds_close(fds, n_fds);
}

static void welcome(struct scripted_broker *broker, int channel) {
        Nb__Protocol web = NB__PROTOCOL__INIT;
        Nb__Protocol db = NB__PROTOCOL__INIT;
        Nb__Protocol *protocols[] = { &web, &db };
        Nb__Welcome body = NB__WELCOME__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        struct nb_channel_fds fds;

        web.name = (char[]){ "web" };
        web.rights_base = NB_RIGHTS_PROTOCOL;
        web.rights_inheriting = NB_RIGHTS_NETWORK;
        db.name = (char[]){ "db" };
        db.rights_base = NB_RIGHTS_PROTOCOL;
        db.rights_inheriting = broker->inheriting;
        body.version = NB_PROTOCOL_VERSION;
        body.tenant = (char[]){ "test" };
        body.protocols = protocols;
        body.n_protocols = 2;
        body.preopens = broker->preopens;
        body.n_preopens = broker->n_preopens;
        reply.body_case = NB__REPLY__BODY_WELCOME;
        reply.welcome = &body;
        fds.n = (size_t)((int)(2 + broker->n_preopens) + broker->n_fds_too_many);
        for (size_t i = 0; i < fds.n; ++i)
                fds.fds[i] = add_channel(broker, i < 2 ? SCRIPTED_PROTOCOL : SCRIPTED_BOUND);
        reply_with(channel, &reply, fds.fds, fds.n);
}

static void refuse(const struct scripted_broker *broker, int channel, uint32_t error) {
        Nb__Refused body = NB__REFUSED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        body.error = error;
        body.reason = (char *)broker->reason;
        reply.body_case = NB__REPLY__BODY_REFUSED;
        reply.refused = &body;
        reply_with(channel, &reply, NULL, 0);
}

static bool is_open(const char *address) {
        return address[0] == '\0' || strcmp(address, "0.0.0.0:0") == 0 || strcmp(address, "[::]:0") == 0;
}

static void end_channel(struct scripted_broker *broker, unsigned index) {
        broker->channels[index] = nb_fd_close(broker->channels[index]);
}

static void opened(struct scripted_broker *broker, int channel, const Nb__Open *open) {
        Nb__Opened body = NB__OPENED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int fd;

        broker->opened_type = (int)open->type;
        (void)snprintf(broker->opened_address, sizeof(broker->opened_address), "%s", open->address);
        if (strcmp(open->address, "denied:1") == 0 || broker->open_error) {
                refuse(broker, channel, broker->open_error ? broker->open_error : NB_WASI_EACCES);
                return;
        }
        broker->n_opened++;
        body.address = open->address;
        body.rights_base = open->rights_base;
        body.rights_inheriting = open->rights_inheriting;
        reply.body_case = NB__REPLY__BODY_OPENED;
        reply.opened = &body;
        fd = add_channel(broker, is_open(open->address) ? SCRIPTED_CONTROL : SCRIPTED_BOUND);
        reply_with(channel, &reply, &fd, 1);
        if (broker->ends_controls)
                end_channel(broker, broker->n_channels - 1);
}

static void restricted(struct scripted_broker *broker, int channel, const Nb__Restrict *wish) {
        Nb__Restricted body = NB__RESTRICTED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int fd;

        if (strcmp(wish->rules, "bad") == 0) {
                refuse(broker, channel, NB_WASI_EINVAL);
                return;
        }
        body.rights_base = wish->rights_base & NB_RIGHTS_PROTOCOL;
        body.rights_inheriting = wish->rights_inheriting & NB_RIGHTS_NETWORK;
        reply.body_case = NB__REPLY__BODY_RESTRICTED;
        reply.restricted = &body;
        fd = add_channel(broker, SCRIPTED_PROTOCOL);
        reply_with(channel, &reply, &fd, 1);
}

static void described(const struct scripted_broker *broker, int channel) {
        Nb__Described body = NB__DESCRIBED__INIT;
        Nb__Protocol protocol = NB__PROTOCOL__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        protocol.name = (char[]){ "db" };
        protocol.rights_base = NB_RIGHTS_PROTOCOL;
        protocol.rights_inheriting = broker->inheriting;
        body.version = NB_PROTOCOL_VERSION;
        body.tenant = (char[]){ "test" };
        body.protocol = &protocol;
        reply.body_case = NB__REPLY__BODY_DESCRIBED;
        reply.described = &body;
        reply_with(channel, &reply, NULL, 0);
}

static void listening(struct scripted_broker *broker, unsigned index, const Nb__Listen *listen) {
        int channel = broker->channels[index];
        Nb__Listening body = NB__LISTENING__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        broker->listener = channel;
        broker->kinds[index] = SCRIPTED_BOUND;
        broker->n_listens++;
        broker->n_pushed = listen->received;
        body.address = (char[]){ PEER_TEXT };
        reply.body_case = NB__REPLY__BODY_LISTENING;
        reply.listening = &body;
        reply_with(channel, &reply, NULL, 0);
}

/* @return the guest's end of what a connection is: its stream, or its channel */
static int add_connection(struct scripted_broker *broker) {
        int fd;

        if (!broker->multiplexed)
                return add_stream(broker);
        fd = add_channel(broker, SCRIPTED_RELAY);
        broker->relay = broker->n_channels - 1;
        broker->n_streams_pushed[broker->relay] = 0;
        broker->credit[broker->relay] = 0;
        return fd;
}

/* What a relay says first. */
static void begin_connection(struct scripted_broker *broker) {
        if (broker->multiplexed)
                scripted_broker_allow(broker, broker->allowed[0], broker->allowed[1]);
}

static void connected(struct scripted_broker *broker, int channel) {
        Nb__Connected body = NB__CONNECTED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int fd = add_connection(broker);

        body.peer = (char *)broker->peer_text;
        body.local = (char *)broker->local_text;
        body.security = broker->security;
        body.multiplexed = broker->multiplexed;
        reply.body_case = NB__REPLY__BODY_CONNECTED;
        reply.connected = &body;
        begin_connection(broker);
        reply_with(channel, &reply, &fd, 1);
}

static void stream_created(struct scripted_broker *broker, int channel, const Nb__StreamCreate *create) {
        Nb__StreamCreated body = NB__STREAM_CREATED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int fd;

        broker->n_created++;
        broker->unidirectional = create->unidirectional;
        if (broker->stream_error) {
                refuse(broker, channel, broker->stream_error);
                return;
        }
        body.id = (broker->n_created - 1) * 4 + (create->unidirectional ? 2 : 0);
        body.message_max = broker->message_max;
        reply.body_case = NB__REPLY__BODY_STREAM_CREATED;
        reply.stream_created = &body;
        fd = add_stream(broker);
        reply_with(channel, &reply, &fd, 1);
}

static void connect_to(struct scripted_broker *broker, int channel, const char *address) {
        broker->n_connects++;
        if (strcmp(address, "denied:1") == 0)
                refuse(broker, channel, NB_WASI_EACCES);
        else if (strcmp(address, "refused:1") == 0)
                refuse(broker, channel, NB_WASI_ECONNREFUSED);
        else if (strcmp(address, "held:1") == 0 && !broker->holds_nothing)
                broker->held = channel;
        else
                connected(broker, channel);
}

static void answer(struct scripted_broker *broker, unsigned index, const Nb__Request *request) {
        int channel = broker->channels[index];

        switch (request->body_case) {
        case NB__REQUEST__BODY_HELLO:
                welcome(broker, channel);
                break;
        case NB__REQUEST__BODY_OPEN:
                opened(broker, channel, request->open);
                break;
        case NB__REQUEST__BODY_LISTEN:
                listening(broker, index, request->listen);
                break;
        case NB__REQUEST__BODY_RESTRICT_PROTOCOL:
                restricted(broker, channel, request->restrict_protocol);
                break;
        case NB__REQUEST__BODY_DESCRIBE:
                described(broker, channel);
                break;
        case NB__REQUEST__BODY_CONNECT:
                connect_to(broker, channel, request->connect->address);
                break;
        case NB__REQUEST__BODY_STREAM_CREATE:
                stream_created(broker, channel, request->stream_create);
                break;
        case NB__REQUEST__BODY_CREDIT:
                broker->credit[index] = request->credit->total;
                return;
        default:
                return;
        }
        ++broker->n_requests;
}

/* Whether a request is for this broker, and not for one before. */
static bool is_new(struct scripted_broker *broker, unsigned index, const Nb__Request *request) {
        if (request->body_case == NB__REQUEST__BODY_CREDIT) {
                ck_assert_uint_eq(request->serial, 0);
                return true;
        }
        ck_assert_uint_gt(request->serial, 0);
        if (request->serial <= broker->serials[index]) {
                /* The library sends nothing twice to one broker. */
                ck_assert_uint_eq(broker->serials[index], broker->resumed_serial);
                return false;
        }
        broker->serials[index] = request->serial;
        return true;
}

/* @return whether there was a request on the channel */
static bool serve_channel(struct scripted_broker *broker, unsigned index) {
        int channel = broker->channels[index];
        struct nb_channel_fds fds;
        Nb__Request *request;
        int n;

        if (channel < 0)
                return false;
        n = nb_channel_receive(channel, broker->frame, &fds);
        if (n <= 0) {
                if (n != -EAGAIN) /* the guest has closed its end */
                        broker->channels[index] = nb_fd_close(channel);
                return false;
        }
        nb_channel_fds_close(&fds);
        ck_assert_int_eq(nb_request_decode(&broker->arena, broker->frame, (size_t)n, &request), 0);
        if (is_new(broker, index, request))
                answer(broker, index, request);
        return true;
}

/* @return whether anything happened */
static bool act(struct scripted_broker *broker) {
        bool acted = false;

        for (unsigned i = 0; i < broker->n_channels; ++i)
                acted |= serve_channel(broker, i);
        return acted;
}

int scripted_broker_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        struct scripted_broker *broker = data;
        void (*on_wait)(void *data) = broker->on_wait;
        struct timespec timeout = { 0 };
        int r;

        broker->on_wait = NULL;
        if (on_wait)
                on_wait(broker->on_wait_data);
        scripted_broker_serve(broker);
        if (timeout_ns > 0)
                timeout = (struct timespec){ timeout_ns / NS_PER_S, timeout_ns % NS_PER_S };
        r = ppoll(fds, n_fds, &timeout, NULL);
        if (r < 0)
                return -errno;
        on_wait = broker->on_waited;
        broker->on_waited = NULL;
        if (on_wait)
                on_wait(broker->on_wait_data);
        return r == 0 && timeout_ns < 0 ? -EINTR : r;
}

static void resume(int channel, uint64_t serial) {
        Nb__Resumed body = NB__RESUMED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        body.serial = serial;
        reply.body_case = NB__REPLY__BODY_RESUMED;
        reply.resumed = &body;
        reply_with(channel, &reply, NULL, 0);
}

void scripted_broker_restart(struct scripted_broker *broker) {
        broker->held = -1;
        broker->resumed_serial += SERIALS_A_BROKER;
        for (unsigned i = 0; i < broker->n_channels; ++i) {
                if (broker->channels[i] < 0 || broker->kinds[i] == SCRIPTED_RELAY)
                        continue;
                broker->serials[i] = broker->resumed_serial;
                if (broker->kinds[i] == SCRIPTED_CONTROL)
                        end_channel(broker, i);
                else
                        resume(broker->channels[i], broker->resumed_serial);
        }
}

void scripted_broker_serve(struct scripted_broker *broker) {
        while (act(broker))
                ;
}

void scripted_broker_push(struct scripted_broker *broker) {
        Nb__Accepted body = NB__ACCEPTED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int fd = add_connection(broker);

        ck_assert_int_ge(broker->listener, 0);
        body.number = ++broker->n_pushed;
        body.peer = (char *)broker->peer_text;
        body.local = (char *)broker->local_text;
        body.security = broker->security;
        body.multiplexed = broker->multiplexed;
        reply.body_case = NB__REPLY__BODY_ACCEPTED;
        reply.accepted = &body;
        begin_connection(broker);
        reply_with(broker->listener, &reply, &fd, 1);
}

void scripted_broker_release(struct scripted_broker *broker) {
        ck_assert_int_ge(broker->held, 0);
        connected(broker, broker->held);
        broker->held = -1;
}

void scripted_broker_push_stream(struct scripted_broker *broker, unsigned relay, bool unidirectional) {
        Nb__StreamIncoming body = NB__STREAM_INCOMING__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int fd = add_stream(broker);

        body.number = ++broker->n_streams_pushed[relay];
        body.id = (body.number - 1) * 4 + (unidirectional ? 3 : 1);
        body.unidirectional = unidirectional;
        reply.body_case = NB__REPLY__BODY_STREAM_INCOMING;
        reply.stream_incoming = &body;
        reply_with(broker->channels[relay], &reply, &fd, 1);
}

void scripted_broker_allow(struct scripted_broker *broker, uint64_t bidirectional, uint64_t unidirectional) {
        Nb__Streams body = NB__STREAMS__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        body.bidirectional = bidirectional;
        body.unidirectional = unidirectional;
        reply.body_case = NB__REPLY__BODY_STREAMS;
        reply.streams = &body;
        reply_with(broker->channels[broker->relay], &reply, NULL, 0);
}

void scripted_broker_end_connection(struct scripted_broker *broker, unsigned relay, uint32_t error,
                                    const char *reason) {
        Nb__ConnectionClosed body = NB__CONNECTION_CLOSED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        body.error = error;
        body.reason = (char *)reason;
        reply.body_case = NB__REPLY__BODY_CONNECTION_CLOSED;
        reply.connection_closed = &body;
        reply_with(broker->channels[relay], &reply, NULL, 0);
}
