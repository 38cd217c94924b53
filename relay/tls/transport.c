/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/transport.h"

#include <assert.h>
#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "relay/calls.h"
#include "relay/relay.h"
#include "relay/tls/resume.h"

/* What a record may hold (RFC 8446, 5.1). */
#define RECORD_MAX 16384u

/* Records that are made before they are written at once, in bytes of plaintext; with their headers and tags they take a little more. */
#define AHEAD_MAX ((size_t)4 * RECORD_MAX)

/* Room for those, or for a flight of a handshake. */
#define OUT_SIZE (AHEAD_MAX + 8192)

/* What is read from below at once. */
#define IN_SIZE 65536u

/* Messages of a peer's after the handshake that bring nothing: tickets, updates of keys, warnings. So many without any bytes between them. */
#define EXTRA_MAX 64u

/* Records of one read. A peer may put a byte into each, so that a buffer full of bytes would be the work of 20 ms, and other links wait. */
#define RECORDS_MAX 128u

/* ---- buffers ---- */

static size_t buffer_length(const struct tls_buffer *buffer) {
        return buffer->end - buffer->begin;
}

static void buffer_drop(struct tls_buffer *buffer) {
        free(buffer->bytes);
        *buffer = (struct tls_buffer){ NULL, 0, 0 };
}

static bool buffer_prepare(struct tls_buffer *buffer, size_t size) {
        if (!buffer->bytes)
                buffer->bytes = malloc(size);
        return buffer->bytes != NULL;
}

static void buffer_took(struct tls_buffer *buffer, size_t n) {
        buffer->begin += n;
        if (buffer->begin == buffer->end)
                buffer_drop(buffer);
}

/* ---- what GnuTLS calls ---- */

static struct tls_transport *of_session(gnutls_transport_ptr_t session) {
        return nb_container_of(session, struct tls_transport, session);
}

static ssize_t fail_with(struct tls_transport *tls, int error) {
        gnutls_transport_set_errno(tls->session.gnutls, error);
        return -1;
}

/* Takes a record. There is room, since nobody makes more before the last were written. */
static ssize_t push(gnutls_transport_ptr_t data, const void *bytes, size_t size) {
        struct tls_transport *tls = of_session(data);

        if (!buffer_prepare(&tls->out, OUT_SIZE))
                return fail_with(tls, ENOMEM);
        if (size > OUT_SIZE - tls->out.end)
                return fail_with(tls, EAGAIN);
        memcpy(tls->out.bytes + tls->out.end, bytes, size);
        tls->out.end += size;
        return (ssize_t)size;
}

/* @return how many bytes there are now; 0 at the end; -errno */
static ssize_t fill(struct tls_transport *tls) {
        struct transport *below = tls->transport.below;
        ssize_t n;

        if (buffer_length(&tls->in) > 0)
                return (ssize_t)buffer_length(&tls->in);
        if (tls->is_below_drained && tls->has_bytes)
                return -EAGAIN;
        if (!buffer_prepare(&tls->in, IN_SIZE))
                return -ENOMEM;
        n = below->ops->read(below, tls->in.bytes, IN_SIZE);
        tls->is_below_drained = below->is_drained;
        if (n > 0)
                tls->in.end = (size_t)n;
        else
                buffer_drop(&tls->in);
        return n;
}

static ssize_t pull(gnutls_transport_ptr_t data, void *bytes, size_t size) {
        struct tls_transport *tls = of_session(data);
        ssize_t n = fill(tls);

        if (n == -EAGAIN) {
                tls->is_dry = true;
                return fail_with(tls, EAGAIN);
        }
        if (n < 0) {
                tls->error = (int)n;
                return fail_with(tls, (int)-n);
        }
        if (n == 0)
                return 0;
        size = (size_t)n < size ? (size_t)n : size;
        memcpy(bytes, tls->in.bytes + tls->in.begin, size);
        buffer_took(&tls->in, size);
        return (ssize_t)size;
}

/* GnuTLS would ask the kernel about a descriptor that there is none of. Nobody waits here. */
static int pull_timeout(gnutls_transport_ptr_t data, unsigned ms) {
        const struct tls_transport *tls = of_session(data);

        (void)ms;
        return buffer_length(&tls->in) > 0;
}

/* ---- to what lies below ---- */

int tls_transport_flush(struct tls_transport *tls) {
        struct transport *below = tls->transport.below;

        while (buffer_length(&tls->out) > 0) {
                ssize_t n = below->ops->write(below, tls->out.bytes + tls->out.begin, buffer_length(&tls->out));

                if (n < 0)
                        return (int)n;
                buffer_took(&tls->out, (size_t)n);
        }
        return 0;
}

int tls_transport_fail(struct tls_transport *tls) {
        const struct tls_failure *failure = &tls->session.failure;

        if (failure->alert != GNUTLS_A_CLOSE_NOTIFY) {
                (void)gnutls_alert_send(tls->session.gnutls, GNUTLS_AL_FATAL, failure->alert);
                (void)tls_transport_flush(tls);
        }
        return link_fail(tls->link, failure->cause, "%s", failure->reason);
}

static struct tls_transport *tls_of(struct transport *transport) {
        return nb_container_of(transport, struct tls_transport, transport);
}

/* ---- reading ---- */

/* GnuTLS has given up. @return -errno */
static int read_failed(struct tls_transport *tls, int error) {
        if (error == GNUTLS_E_PREMATURE_TERMINATION) {
                (void)link_fail(
                        tls->link, NB__RELAY__CAUSE__CAUSE_TRUNCATED,
                        "the peer closed the connection without ending TLS (close_notify): what it said may be cut");
                return -ECONNRESET;
        }
        if (tls->error < 0 && (error == GNUTLS_E_PULL_ERROR || error == GNUTLS_E_PUSH_ERROR))
                return tls->error;
        if (error == GNUTLS_E_REHANDSHAKE)
                (void)tls_failure_note(&tls->session.failure, NB__RELAY__CAUSE__CAUSE_TLS_PROTOCOL,
                                       GNUTLS_A_NO_RENEGOTIATION,
                                       "the peer asks to renegotiate TLS, which is never done");
        tls_failure_note_error(&tls->session.failure, tls->session.gnutls, error);
        (void)tls_transport_fail(tls);
        return -ECONNRESET;
}

/* A message of TLS's own. @return 0; -ECONNRESET when there were too many */
static int count_extra(struct tls_transport *tls) {
        if (++tls->n_extra <= EXTRA_MAX)
                return 0;
        (void)tls_failure_note(&tls->session.failure, NB__RELAY__CAUSE__CAUSE_TLS_PROTOCOL, GNUTLS_A_UNEXPECTED_MESSAGE,
                               "the peer floods TLS with messages that bring no bytes");
        (void)tls_transport_fail(tls);
        return tls->broken = -ECONNRESET;
}

/* One record's worth. @return as transport_ops.read */
static ssize_t read_record(struct tls_transport *tls, void *buffer, size_t size) {
        while (tls->broken == 0) {
                ssize_t n;
                int error;

                tls->is_dry = false;
                n = gnutls_record_recv(tls->session.gnutls, buffer, size);
                tls_resume_keep(&tls->session);
                if (n > 0)
                        tls->n_extra = 0;
                if (n >= 0)
                        return n;
                if (gnutls_error_is_fatal((int)n) || n == GNUTLS_E_REHANDSHAKE)
                        return tls->broken = read_failed(tls, (int)n);
                if (tls->is_dry)
                        return -EAGAIN;
                error = count_extra(tls);
                if (error < 0)
                        return error;
        }
        return tls->broken;
}

/* An answer of GnuTLS's own, to an update of keys. What cannot be written now is so with the next bytes, or with the end. */
static void answer(struct tls_transport *tls) {
        if (tls->ahead == 0)
                (void)tls_transport_flush(tls);
}

static ssize_t tls_read(struct transport *transport, void *buffer, size_t size) {
        struct tls_transport *tls = tls_of(transport);
        size_t have = 0;

        /* Something may have come since. */
        tls->is_below_drained = false;
        for (unsigned i = 0; i < RECORDS_MAX && !tls->has_ended && (have == 0 || size - have >= RECORD_MAX); ++i) {
                ssize_t n;

                tls->has_bytes = have > 0;
                n = read_record(tls, (uint8_t *)buffer + have, size - have);

                if (n < 0 && have == 0) {
                        answer(tls);
                        return n;
                }
                /* It comes again when what was read before has gone. */
                if (n < 0)
                        break;
                if (n == 0)
                        tls->has_ended = true;
                have += (size_t)n;
        }
        answer(tls);
        transport->is_drained = tls->is_dry;
        return (ssize_t)have;
}

/* ---- writing ---- */

static ssize_t write_failed(struct tls_transport *tls, int error) {
        if (tls->error < 0)
                return tls->error;
        tls_failure_note_error(&tls->session.failure, tls->session.gnutls, error);
        (void)tls_transport_fail(tls);
        return -ECONNRESET;
}

/* Makes records. @return of how many bytes, or -errno */
static ssize_t encrypt(struct tls_transport *tls, const uint8_t *bytes, size_t size) {
        size_t done = 0;

        size = size < AHEAD_MAX ? size : AHEAD_MAX;
        while (done < size) {
                size_t part = size - done < RECORD_MAX ? size - done : RECORD_MAX;
                ssize_t n = gnutls_record_send(tls->session.gnutls, bytes + done, part);

                if (n < 0)
                        return write_failed(tls, (int)n);
                done += (size_t)n;
        }
        return (ssize_t)done;
}

/*
 * Bytes are written when their records are. What was made records of, and is stuck in `out`, is offered by the caller again: then only its
 * number counts.
 */
static ssize_t tls_write(struct transport *transport, const void *bytes, size_t size) {
        struct tls_transport *tls = tls_of(transport);
        int error = tls_transport_flush(tls);
        size_t done = tls->ahead;
        ssize_t more;

        if (error < 0)
                return error;
        if (tls->has_said)
                return -EPIPE;
        assert(done <= size);
        tls->ahead = 0;
        if (done == size)
                return (ssize_t)done;
        more = encrypt(tls, (const uint8_t *)bytes + done, size - done);
        if (more < 0)
                return more;
        error = tls_transport_flush(tls);
        if (error == 0)
                return (ssize_t)done + more;
        tls->ahead = (size_t)more;
        return done > 0 ? (ssize_t)done : error;
}

static int tls_finish(struct transport *transport) {
        struct tls_transport *tls = tls_of(transport);
        struct transport *below = transport->below;
        int error;

        if (!tls->has_said) {
                error = tls_transport_flush(tls);
                if (error < 0)
                        return error;
                error = gnutls_bye(tls->session.gnutls, GNUTLS_SHUT_WR);
                if (error < 0)
                        return (int)write_failed(tls, error);
                tls->has_said = true;
        }
        error = tls_transport_flush(tls);
        return error < 0 ? error : below->ops->finish(below);
}

static void tls_free(struct transport *transport) {
        struct tls_transport *tls = tls_of(transport);

        tls_session_deinit(&tls->session);
        buffer_drop(&tls->in);
        buffer_drop(&tls->out);
        free(tls);
}

static const struct transport_ops tls_ops = {
        .read = tls_read,
        .write = tls_write,
        .finish = tls_finish,
        .free = tls_free,
};

/* ---- making one ---- */

/* Of the socket at the bottom; empty where it has none, as in tests. */
static void find_address(const struct transport *below, char text[static NB_ADDRESS_TEXT_MAX]) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof(peer);
        struct nb_address address;

        text[0] = '\0';
        if (getpeername(transport_bottom_fd(below), (struct sockaddr *)&peer, &length) == 0 &&
            nb_address_from_sockaddr((const struct sockaddr *)&peer, length, &address) == 0)
                (void)nb_address_format(&address, text);
}

static int set_up_session(struct tls_transport *tls, struct context *context, bool as_server, const char *server_name) {
        char address[NB_ADDRESS_TEXT_MAX] = "";
        const struct tls_session_setup setup = {
                .context = context,
                .as_server = as_server,
                .server_name = server_name,
                .address = address,
                .cache = tls->link->relay->sessions,
        };

        if (!as_server)
                find_address(tls->transport.below, address);
        if (tls_session_init(&tls->session, &setup) < 0)
                return -ENOMEM;
        gnutls_transport_set_push_function(tls->session.gnutls, push);
        gnutls_transport_set_pull_function(tls->session.gnutls, pull);
        gnutls_transport_set_pull_timeout_function(tls->session.gnutls, pull_timeout);
        return 0;
}

struct tls_transport *tls_transport_new(struct link *link, struct context *context, bool as_server,
                                        const char *server_name, struct transport *below) {
        struct tls_transport *tls = calloc(1, sizeof(*tls));

        if (!tls)
                return NULL;
        tls->transport.ops = &tls_ops;
        tls->transport.fd = -1;
        tls->link = link;
        tls->transport.below = below;
        if (set_up_session(tls, context, as_server, server_name) < 0) {
                tls_free(&tls->transport);
                return NULL;
        }
        return tls;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(getpeername, "sessions are resumed at the address they were made with only"),
};
const struct confine_list tls_calls = CONFINE_LIST(calls);
