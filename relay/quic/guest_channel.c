/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/guest_channel.h"

#include <errno.h>
#include <linux/sockios.h>
#include <ngtcp2/ngtcp2.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "loop/deadline.h"
#include "loop/watch.h"
#include "proto/frame.h"
#include "proto/wasi.h"
#include "relay/calls.h"
#include "relay/quic/connection.h"
#include "relay/quic/datagrams.h"
#include "relay/quic/quic.h"
#include "relay/quic/stream.h"
#include "relay/quic/streams.h"
#include "relay/relay.h"

#define CHANNEL_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* Requests that are read in one turn, and streams that are pushed. */
#define REQUESTS_MAX 16
#define PUSHES_MAX 64

/* Nobody tells that descriptors which were under way have arrived, so that is looked at again. In milliseconds. */
#define RETRY_MS 20

/* What a message that was not read takes of the kernel's memory, at least: its own bookkeeping (struct sk_buff and skb_shared_info). */
#define UNREAD_SIZE_MIN 512u

struct guest_channel {
        struct quic *quic; /* borrowed */
        struct quic_connection
                *connection;      /* borrowed; NULL: it is over, and what its host has not received is still counted */
        struct nb_list in_unread; /* of those */
        int fd;                   /* owned */
        struct watch watch;
        bool may_read;
        bool has_hung_up;    /* the host has closed its end: nobody waits for an answer */
        bool is_full;        /* the host has not read what it was sent: nothing more fits */
        bool awaits_reading; /* Streams is to be sent, once the host has received all descriptors */
        struct deadline *retry;
        uint64_t serial;    /* of the last request */
        bool wants_stream;  /* StreamCreate was not answered yet */
        bool wants_one_way; /* that one: a unidirectional one */
        int made_fd;        /* the answer's, which did not fit; owned; -1: none */
        uint64_t made_id;
        uint32_t made_message_max;
        uint64_t credit;      /* how many streams of the peer's may have been pushed in total */
        uint64_t n_pushed;    /* of them */
        uint64_t told[2];     /* totals of Streams: bidirectional, unidirectional */
        bool has_datagrams;   /* the channel of datagrams was created */
        bool has_told;        /* Streams was sent */
        uint32_t n_in_flight; /* descriptors that may not have been received yet */
};

static struct relay *relay_of(const struct guest_channel *channel) {
        return channel->quic->relay;
}

/* The kernel tells of room whenever the host has read something. */
static void watch_as_needed(struct guest_channel *channel) {
        bool waits = channel->is_full || channel->awaits_reading;

        (void)watch_change(&channel->watch, CHANNEL_EVENTS | (waits ? (uint32_t)EPOLLOUT : 0));
}

static void channel_changed(struct watch *watch, uint32_t events) {
        struct guest_channel *channel = nb_container_of(watch, struct guest_channel, watch);

        if (events & EPOLLHUP)
                channel->has_hung_up = true;
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                channel->may_read = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
                channel->is_full = false;
                watch_as_needed(channel);
        }
        quic_connection_run_later(channel->connection);
}

struct guest_channel *guest_channel_new(struct quic_connection *connection, int fd) {
        struct guest_channel *channel = calloc(1, sizeof(*channel));

        if (!channel ||
            watch_start(&channel->watch, &connection->quic->relay->watches, fd, CHANNEL_EVENTS, channel_changed) < 0) {
                free(channel);
                (void)nb_channel_fd_close(fd);
                return NULL;
        }
        nb_list_init(&channel->in_unread);
        channel->quic = connection->quic;
        channel->connection = connection;
        channel->fd = fd;
        channel->made_fd = -1;
        channel->may_read = true;
        channel->credit = NB_STREAM_WINDOW;
        connection->quic->relay->n_descriptors++;
        return channel;
}

/* ---- descriptors under way ---- */

static void arrived(struct guest_channel *channel, uint32_t n) {
        channel->n_in_flight -= n;
        channel->quic->n_in_flight -= n;
}

/* The kernel says how much of what was sent is not read. */
static void look_what_arrived(struct guest_channel *channel) {
        uint32_t most;
        int unread;

        if (channel->n_in_flight == 0 || ioctl(channel->fd, SIOCOUTQ, &unread) < 0 || unread < 0)
                return;
        most = (uint32_t)unread / UNREAD_SIZE_MIN;
        if (most < channel->n_in_flight)
                arrived(channel, channel->n_in_flight - most);
}

static void look_what_arrived_everywhere(struct quic *quic) {
        for (struct nb_list *element = quic->connections.next; element != &quic->connections; element = element->next) {
                struct quic_connection *connection = nb_container_of(element, struct quic_connection, in_quic);

                if (connection->channel)
                        look_what_arrived(connection->channel);
        }
}

static void try_again(void *data) {
        struct guest_channel *channel = data;

        channel->retry = deadline_free(channel->retry);
        quic_connection_run_later(channel->connection);
}

/* Without memory for a timer the next packet, or the next request, is as good. */
static void try_later(struct guest_channel *channel) {
        if (!channel->retry)
                channel->retry = deadline_new(&relay_of(channel)->loop, RETRY_MS, try_again, channel);
}

static bool is_too_much(const struct quic *quic) {
        return quic->relay->in_flight_max > 0 && quic->n_in_flight >= quic->relay->in_flight_max;
}

/* Whether one more descriptor may be sent now; if not, it is seen to that the channel is run again. */
static bool may_send_descriptor(struct guest_channel *channel) {
        struct quic *quic = channel->quic;

        if (channel->retry || channel->is_full)
                return false;
        if (channel->n_in_flight >= NB_STREAM_WINDOW_MAX)
                look_what_arrived(channel);
        if (is_too_much(quic))
                look_what_arrived_everywhere(quic);
        if (channel->n_in_flight < NB_STREAM_WINDOW_MAX && !is_too_much(quic))
                return true;
        try_later(channel);
        return false;
}

/* ---- sending ---- */

/* @param fd  borrowed; -1: none @return 0; -EAGAIN: it is tried again; another -errno: the host is gone */
static int send_reply(struct guest_channel *channel, const Nb__Reply *reply, int fd) {
        int r = nb_reply_send(channel->fd, reply, &fd, fd >= 0);

        if (r == 0 && fd >= 0) {
                channel->n_in_flight++;
                channel->quic->n_in_flight++;
        }
        if (r == -EAGAIN) {
                channel->is_full = true;
                watch_as_needed(channel);
        }
        if (nb_channel_is_short(r)) {
                try_later(channel);
                return -EAGAIN;
        }
        return r;
}

/* @return as send_reply() */
static int refuse(struct guest_channel *channel, enum nb_wasi_errno error, const char *reason) {
        Nb__Refused refused = NB__REFUSED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int r;

        refused.error = error;
        refused.reason = (char *)reason;
        reply.body_case = NB__REPLY__BODY_REFUSED;
        reply.refused = &refused;
        r = send_reply(channel, &reply, -1);
        channel->wants_stream = r == -EAGAIN;
        return r;
}

/* Sends what was made; what does not fit is kept. @return as send_reply() */
static int send_created(struct guest_channel *channel) {
        Nb__StreamCreated created = NB__STREAM_CREATED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int r;

        created.id = channel->made_id;
        created.message_max = channel->made_message_max;
        reply.body_case = NB__REPLY__BODY_STREAM_CREATED;
        reply.stream_created = &created;
        r = send_reply(channel, &reply, channel->made_fd);
        if (r == -EAGAIN)
                return r;
        channel->made_fd = nb_fd_close(channel->made_fd);
        channel->wants_stream = false;
        return r;
}

/* ---- StreamCreate ---- */

/* @return 0, or -errno as quic_streams_create() */
static int make_datagrams(struct guest_channel *channel) {
        struct quic_connection *connection = channel->connection;
        int r = quic_datagrams_need(connection);

        if (r < 0)
                return r;
        channel->made_message_max = quic_datagrams_message_max(connection);
        if (channel->made_message_max == 0)
                return -EOPNOTSUPP;
        channel->made_fd = quic_datagrams_take_end(connection->streams.datagrams);
        channel->made_id = 0;
        channel->has_datagrams = true;
        return 0;
}

/* @return 0, or -errno as quic_streams_create() */
static int make_stream(struct guest_channel *channel) {
        struct quic_stream *stream;
        int r = quic_streams_create(channel->connection, channel->wants_one_way, &stream, &channel->made_fd);

        if (r < 0)
                return r;
        channel->made_id = (uint64_t)stream->id;
        channel->made_message_max = 0;
        return 0;
}

/* @return as send_reply() */
static int refuse_for(struct guest_channel *channel, int error) {
        switch (error) {
        case -EMFILE:
                return refuse(channel, NB_WASI_ENFILE, "the relay may not have more descriptors");
        case -EOPNOTSUPP:
                return refuse(channel, NB_WASI_ENOTSUP, "the peer takes no datagrams");
        case -EAGAIN:
                return refuse(channel, NB_WASI_EAGAIN, "the peer lets no more streams be opened");
        default:
                return refuse(channel, NB_WASI_ENOBUFS, "there is no memory for another stream");
        }
}

/* @return as send_reply() */
static int answer(struct guest_channel *channel) {
        int r = 0;

        if (!may_send_descriptor(channel))
                return -EAGAIN;
        if (channel->made_fd < 0)
                r = quic_datagrams_are_spoken(channel->connection) ? make_datagrams(channel) : make_stream(channel);
        return r < 0 ? refuse_for(channel, r) : send_created(channel);
}

/* ---- requests ---- */

static uint64_t n_created(const struct guest_channel *channel, bool unidirectional) {
        const struct quic_streams *streams = &channel->connection->streams;

        if (quic_datagrams_are_spoken(channel->connection))
                return !unidirectional && channel->has_datagrams;
        return unidirectional ? streams->n_created_unidirectional
                              : streams->n_created - streams->n_created_unidirectional;
}

/* @return 0; -EPROTO for what the host could know not to be permitted */
static int take_create(struct guest_channel *channel, const Nb__Request *request) {
        bool unidirectional = request->stream_create->unidirectional;

        if (request->serial <= channel->serial || channel->wants_stream ||
            n_created(channel, unidirectional) >= channel->told[unidirectional])
                return -EPROTO;
        channel->serial = request->serial;
        channel->wants_stream = true;
        channel->wants_one_way = unidirectional;
        return 0;
}

static int take_credit(struct guest_channel *channel, const Nb__Request *request) {
        uint64_t total = request->credit->total;

        if (request->serial != 0)
                return -EPROTO;
        if (total > channel->n_pushed + NB_STREAM_WINDOW_MAX)
                total = channel->n_pushed + NB_STREAM_WINDOW_MAX;
        if (total > channel->credit)
                channel->credit = total;
        return 0;
}

static int take_request(struct guest_channel *channel, size_t length) {
        struct relay *relay = relay_of(channel);
        Nb__Request *request;
        int r = nb_request_decode(&relay->arena, relay->frame, length, &request);

        if (r < 0)
                return r;
        switch (request->body_case) {
        case NB__REQUEST__BODY_STREAM_CREATE:
                return take_create(channel, request);
        case NB__REQUEST__BODY_CREDIT:
                return take_credit(channel, request);
        default:
                return -EPROTO;
        }
}

/* @return 0; -EAGAIN: nothing is there; -EPIPE: the host has closed it; -EPROTO, -EBADMSG: it says what it may not */
static int read_request(struct guest_channel *channel) {
        int length = nb_channel_receive_bytes(channel->fd, relay_of(channel)->frame);

        if (length == 0 || length == -ECONNRESET)
                return -EPIPE;
        return length < 0 ? length : take_request(channel, (size_t)length);
}

/* @return 0; -EAGAIN: the answer waits; or as read_request() */
static int read_requests(struct guest_channel *channel) {
        int r = channel->wants_stream ? answer(channel) : 0;

        for (int i = 0; r == 0 && i < REQUESTS_MAX && channel->may_read; ++i) {
                r = read_request(channel);
                if (r == -EAGAIN) {
                        channel->may_read = false;
                        return 0;
                }
                if (r == 0 && channel->wants_stream)
                        r = answer(channel);
        }
        if (r == 0 && channel->may_read)
                quic_connection_run_later(channel->connection);
        return r;
}

/* ---- what is pushed ---- */

/*
 * Of a message without a descriptor that lies unread behind one with it nobody could tell which of them it is: whoever reads its channels only when it wants another
 * stream would have one descriptor under way for each of them, and soon no stream on any. So what is pushed without one waits until all were received.
 */
static bool has_received_all(struct guest_channel *channel) {
        look_what_arrived(channel);
        channel->awaits_reading = channel->n_in_flight > 0;
        watch_as_needed(channel);
        return !channel->awaits_reading;
}

/* @return 0, or -errno of send_reply() */
static int tell_totals(struct guest_channel *channel) {
        ngtcp2_conn *conn = channel->connection->conn;
        bool datagrams = quic_datagrams_are_spoken(channel->connection);
        Nb__Streams streams = NB__STREAMS__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int r;

        streams.bidirectional = datagrams ? 1 : n_created(channel, false) + ngtcp2_conn_get_streams_bidi_left(conn);
        streams.unidirectional = datagrams ? 0 : n_created(channel, true) + ngtcp2_conn_get_streams_uni_left(conn);
        if (channel->is_full || (channel->has_told && streams.bidirectional == channel->told[0] &&
                                 streams.unidirectional == channel->told[1]))
                return 0;
        if (!has_received_all(channel))
                return 0;
        reply.body_case = NB__REPLY__BODY_STREAMS;
        reply.streams = &streams;
        r = send_reply(channel, &reply, -1);
        if (r < 0)
                return r;
        channel->has_told = true;
        channel->told[0] = streams.bidirectional;
        channel->told[1] = streams.unidirectional;
        return 0;
}

/* @return as send_reply() */
static int send_incoming(struct guest_channel *channel, const struct quic_stream *stream, int fd) {
        Nb__StreamIncoming incoming = NB__STREAM_INCOMING__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        incoming.number = channel->n_pushed + 1;
        incoming.id = (uint64_t)stream->id;
        incoming.unidirectional = stream->id & 2;
        reply.body_case = NB__REPLY__BODY_STREAM_INCOMING;
        reply.stream_incoming = &incoming;
        return send_reply(channel, &reply, fd);
}

/* A stream for which there is no descriptor is refused, and the connection goes on. @return 0, or as send_reply() */
static int push(struct guest_channel *channel, struct quic_stream *stream) {
        NB_CLEANUP_FD int fd = -1;
        int r;

        if (stream->in_state == QUIC_IN_RESET) {
                quic_stream_refuse(stream);
                return 0;
        }
        r = quic_stream_make_pair(stream, &fd);
        if (r < 0) {
                quic_stream_refuse(stream);
                return 0;
        }
        r = send_incoming(channel, stream, fd);
        if (r < 0) {
                quic_stream_unmake_pair(stream);
                return r;
        }
        channel->n_pushed++;
        nb_list_remove(&stream->in_incoming);
        return 0;
}

/* @return 0, or as send_reply() */
static int push_incoming(struct guest_channel *channel) {
        struct nb_list *incoming = &channel->connection->streams.incoming;
        int r = 0;

        for (int i = 0; r == 0 && i < PUSHES_MAX && !nb_list_is_empty(incoming); ++i) {
                if (channel->n_pushed >= channel->credit || channel->awaits_reading || !may_send_descriptor(channel))
                        return 0;
                r = push(channel, nb_container_of(incoming->next, struct quic_stream, in_incoming));
        }
        if (r == 0 && !nb_list_is_empty(incoming))
                quic_connection_run_later(channel->connection);
        return r;
}

/* ---- ends ---- */

/* What the host asked for and was not read would make its kernel drop what it was told (ECONNRESET comes before messages). */
static void drain(int fd, uint8_t *buffer) {
        (void)shutdown(fd, SHUT_RDWR);
        while (nb_channel_receive_bytes(fd, buffer) > 0)
                ;
}

static void free_channel(struct guest_channel *channel) {
        arrived(channel, channel->n_in_flight);
        nb_list_remove(&channel->in_unread);
        watch_end(&channel->watch);
        (void)nb_channel_fd_close(channel->fd);
        channel->quic->relay->n_descriptors--;
        free(channel);
}

static void unread_changed(struct watch *watch, uint32_t events) {
        struct guest_channel *channel = nb_container_of(watch, struct guest_channel, watch);

        (void)events;
        look_what_arrived(channel);
        if (channel->n_in_flight > 0)
                return;
        free_channel(channel);
}

/*
 * Closing our end takes nothing back from the host's queue: whoever has connections end again and again, and receives nothing, would have ever more descriptors under
 * way. So the channel is kept until they are received, or the host closes its end.
 * @return whether it is kept
 */
static bool keep_unread(struct guest_channel *channel) {
        look_what_arrived(channel);
        if (channel->n_in_flight == 0)
                return false;
        watch_end(&channel->watch);
        if (watch_start(&channel->watch, &relay_of(channel)->watches, channel->fd, EPOLLOUT | EPOLLET, unread_changed) <
            0)
                return false;
        channel->connection = NULL;
        nb_list_append(&channel->quic->unread, &channel->in_unread);
        return true;
}

struct guest_channel *guest_channel_free(struct guest_channel *channel) {
        if (!channel)
                return NULL;
        channel->made_fd = nb_fd_close(channel->made_fd);
        channel->retry = deadline_free(channel->retry);
        drain(channel->fd, relay_of(channel)->frame);
        if (!keep_unread(channel))
                free_channel(channel);
        return NULL;
}

void guest_channel_free_unread(struct quic *quic) {
        nb_list_foreach_safe(element, &quic->unread)
                free_channel(nb_container_of(element, struct guest_channel, in_unread));
}

void guest_channel_tell_end(struct guest_channel *channel, uint32_t error, const char *reason) {
        Nb__ConnectionClosed closed = NB__CONNECTION_CLOSED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        /* Behind it nobody could tell whether it is what is not read. */
        look_what_arrived(channel);
        closed.error = error;
        closed.reason = (char *)reason;
        reply.body_case = NB__REPLY__BODY_CONNECTION_CLOSED;
        reply.connection_closed = &closed;
        (void)send_reply(channel, &reply, -1);
}

/* The streams that it has live on. */
static void host_has_closed(struct guest_channel *channel) {
        struct quic_connection *connection = channel->connection;

        connection->channel = guest_channel_free(channel);
        quic_streams_refuse_incoming(connection);
        quic_connection_run_later(connection);
}

void guest_channel_run(struct guest_channel *channel) {
        int r = channel->has_hung_up ? -EPIPE : tell_totals(channel);

        if (r == 0 || r == -EAGAIN)
                r = read_requests(channel);
        if (r == 0 || r == -EAGAIN)
                r = push_incoming(channel);
        if (r == -EPROTO || r == -EBADMSG)
                quic_connection_fail(channel->connection, NB__RELAY__CAUSE__CAUSE_GUEST_GONE,
                                     "the guest's host has broken the protocol of its connection's channel");
        else if (r < 0 && r != -EAGAIN)
                host_has_closed(channel);
}

static const struct confine_call calls[] = {
        CONFINE_CALL(recvmsg, "what the guest's host asks for"),
        CONFINE_CALL(sendto, "what it is told"),
        CONFINE_CALL(sendmsg, "streams for it, over a channel that the broker has made"),
        CONFINE_CALL(shutdown, "the end of it"),
        CONFINE_CALL_WHERE(ioctl, 1, SIOCOUTQ, "which descriptors have arrived"),
        CONFINE_OPTION(SOL_SOCKET, SO_LINGER, "lingering of what is closed"),
};
const struct confine_list guest_channel_calls = CONFINE_LIST(calls);
