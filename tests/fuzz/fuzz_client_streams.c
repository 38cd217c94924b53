/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a relay says to the library of a guest's host on the channel of a connection: frames of any kind, with descriptors, while streams are created and accepted.
 *
 * The input begins with a byte for what the connection carries, and is a list of steps, a byte each, with what belongs to it behind (see run_step()). Whatever the relay says: what
 * the library sends is well-formed, one request at a time, no stream beyond the totals and no credit beyond the window; a stream is handed out with a
 * descriptor that is open; and no descriptor is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "proto/frame.h"
#include "shim/client/context.h"
#include "shim/client/multiplex.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "client_streams";

#define STEPS_MAX 128
#define FRAME_FDS_MAX 3

struct relay {
        struct nb_multiplex *multiplex;
        int channel;                    /* ours; -1: closed */
        uint64_t allowed[2];            /* totals that were told, at most */
        uint64_t n_asked[2], n_refused; /* StreamCreate; Refused that may have answered one */
        uint64_t serial;
        uint64_t n_taken;   /* streams that the peer made and that were accepted, or lost */
        uint64_t n_offered; /* frames that may have been one */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

/* Nothing comes while the library waits. */
static int never_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        (void)data;
        (void)fds;
        (void)n_fds;
        (void)timeout_ns;
        return -EINTR;
}

/* ---- what the library sends ---- */

static void take_create(struct relay *relay, const Nb__Request *request) {
        bool unidirectional = request->stream_create->unidirectional;

        FUZZ_CHECK(request->serial > relay->serial, "%ju after %ju", (uintmax_t)request->serial,
                   (uintmax_t)relay->serial);
        relay->serial = request->serial;
        relay->n_asked[unidirectional]++;
        FUZZ_CHECK(relay->n_asked[unidirectional] <= relay->allowed[unidirectional] + relay->n_refused,
                   "%ju of %ju, %ju refused", (uintmax_t)relay->n_asked[unidirectional],
                   (uintmax_t)relay->allowed[unidirectional], (uintmax_t)relay->n_refused);
}

static void take_request(struct relay *relay, size_t length) {
        Nb__Request *request;

        FUZZ_CHECK(nb_request_decode(&relay->arena, relay->frame, length, &request) == 0, "%zu bytes", length);
        switch (request->body_case) {
        case NB__REQUEST__BODY_STREAM_CREATE:
                take_create(relay, request);
                break;
        case NB__REQUEST__BODY_CREDIT:
                FUZZ_CHECK(request->credit->total <= relay->n_offered + NB_STREAM_WINDOW, "%ju for %ju",
                           (uintmax_t)request->credit->total, (uintmax_t)relay->n_offered);
                break;
        default:
                FUZZ_CHECK(false, "%d", request->body_case);
        }
}

static void hear(struct relay *relay) {
        int length;

        while (relay->channel >= 0 && (length = nb_channel_receive_bytes(relay->channel, relay->frame)) > 0)
                take_request(relay, (size_t)length);
}

/* ---- steps ---- */

static void note_frame(struct relay *relay, const uint8_t *frame, size_t length) {
        Nb__Reply *reply;

        if (nb_reply_decode(&relay->arena, frame, length, &reply) < 0)
                return;
        relay->n_offered += reply->body_case == NB__REPLY__BODY_STREAM_INCOMING;
        relay->n_refused += reply->body_case == NB__REPLY__BODY_REFUSED;
        if (reply->body_case != NB__REPLY__BODY_STREAMS)
                return;
        if (reply->streams->bidirectional > relay->allowed[0])
                relay->allowed[0] = reply->streams->bidirectional;
        if (reply->streams->unidirectional > relay->allowed[1])
                relay->allowed[1] = reply->streams->unidirectional;
}

static void say(struct relay *relay, const uint8_t **data, size_t *size) {
        size_t n_fds = fuzz_take_byte(data, size) % (FRAME_FDS_MAX + 1), length;
        const uint8_t *frame = fuzz_take_bytes(data, size, &length);
        int fds[FRAME_FDS_MAX];

        if (relay->channel < 0 || length > NB_CHANNEL_MESSAGE_MAX)
                return;
        for (size_t i = 0; i < n_fds; ++i) {
                fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                FUZZ_CHECK(fds[i] >= 0, "%s", strerror(errno));
        }
        note_frame(relay, frame, length);
        (void)nb_channel_send(relay->channel, frame, length, fds, n_fds);
        nb_fds_close(fds, n_fds);
}

static void take_stream(const struct nb_stream *stream, int r) {
        FUZZ_CHECK(r <= 0, "%d", r);
        if (r < 0)
                return;
        FUZZ_CHECK(stream->fd >= 0 && fcntl(stream->fd, F_GETFD) == FD_CLOEXEC, "descriptor %d", stream->fd);
        FUZZ_CHECK(stream->may_read || stream->may_write, "stream %ju is for nothing", (uintmax_t)stream->id);
        FUZZ_CHECK(stream->datagrams == (stream->message_max > 0), "%u", stream->message_max);
        (void)nb_fd_close(stream->fd);
}

static void run_step(struct relay *relay, const uint8_t **data, size_t *size) {
        uint8_t step = fuzz_take_byte(data, size);
        unsigned flags = step >> 3 & (NB_STREAM_UNIDIRECTIONAL | NB_STREAM_NONBLOCK);
        struct nb_stream stream = { .fd = -1 };
        short events;

        switch (step % 6) {
        case 0:
        case 1:
                say(relay, data, size);
                break;
        case 2:
                take_stream(&stream, nb_multiplex_create(relay->multiplex, flags, &stream));
                break;
        case 3:
                take_stream(&stream, nb_multiplex_accept(relay->multiplex, flags & ~NB_STREAM_UNIDIRECTIONAL, &stream));
                break;
        case 4:
                (void)nb_multiplex_poll_fd(relay->multiplex, &events);
                events = nb_multiplex_ready(relay->multiplex);
                FUZZ_CHECK(events == nb_multiplex_known(relay->multiplex), "%hd", events);
                FUZZ_CHECK(nb_multiplex_end_reason(relay->multiplex), "no reason");
                break;
        default:
                relay->channel = nb_fd_close(relay->channel);
                break;
        }
        hear(relay);
}

/* ---- its life ---- */

/* Descriptors are given out from the lowest on. */
static int lowest_free(void) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        FUZZ_CHECK(fd >= 0, "%s", strerror(errno));
        return nb_fd_close(fd), fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE struct relay *relay = calloc(1, sizeof(*relay));
        struct nb_context *context = nb_context_new(never_wait, NULL);
        int channel[2], lowest = lowest_free();

        FUZZ_CHECK(relay && context && nb_channel_pair(channel) == 0, "%s", strerror(errno));
        relay->channel = channel[1];
        FUZZ_CHECK(nb_multiplex_new(context, fuzz_take_byte(&data, &size) & 1, channel[0], &relay->multiplex) == 0,
                   "no memory");
        for (int i = 0; i < STEPS_MAX && size > 0; ++i)
                run_step(relay, &data, &size);
        (void)nb_multiplex_free(relay->multiplex);
        (void)nb_context_unref(context);
        (void)nb_fd_close(relay->channel);
        FUZZ_CHECK(lowest_free() == lowest, "descriptor %d is left", lowest);
        return 0;
}
