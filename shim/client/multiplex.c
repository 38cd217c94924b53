/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/multiplex.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/frame.h"
#include "proto/wasi.h"
#include "shim/client/call.h"

/* Credit is raised when this many streams were accepted since, as a control does with connections. */
#define CREDIT_STEP (NB_STREAM_WINDOW / 4)

/* Frames that are taken in by one look, so that a relay which never stops keeps nobody. */
#define FRAMES_A_LOOK 64

/* The longest message of a channel of datagrams, in bytes: what a pair can carry of QUIC's, whose packets are those of UDP. */
#define MESSAGE_MAX 65535u

/* What a stream's number can be at most (RFC 9000, 2.1). */
#define STREAM_ID_MAX ((UINT64_C(1) << 62) - 1)

enum kind {
        KIND_BIDIRECTIONAL,
        KIND_UNIDIRECTIONAL,
        N_KINDS,
};

/*
 * What became of a StreamCreate. set_creation() is the only place that changes it.
 *
 *   NONE     nb_multiplex_create() → ASKED
 *   ASKED    StreamCreated → MADE, Refused → REFUSED; the end of the channel → NONE
 *   MADE, REFUSED    the caller is told → NONE
 */
enum creation {
        CREATION_NONE,
        CREATION_ASKED,
        CREATION_MADE,
        CREATION_REFUSED,
};

struct nb_multiplex {
        struct nb_endpoint endpoint;
        bool datagrams;
        uint64_t allowed[N_KINDS]; /* the totals that the relay has told */
        uint64_t created[N_KINDS]; /* that were asked for, and not refused */
        unsigned wanted;           /* the kinds for which there was no room when they were asked for last, a bit each */
        enum creation creation;
        enum kind creation_kind;                     /* unless NONE */
        struct nb_stream made;                       /* with MADE */
        int refusal;                                 /* with REFUSED: a negative errno */
        struct nb_stream incoming[NB_STREAM_WINDOW]; /* a ring: those that came and were not accepted */
        unsigned first;                              /* of the ring */
        unsigned n_incoming;
        bool lost_one;       /* a stream came for which there was no descriptor */
        uint64_t n_received; /* StreamIncoming */
        uint64_t n_accepted; /* of these, or lost */
        uint64_t credit;     /* the total that the relay was told */
        char *end_reason;    /* owned; NULL: none is known */
};

int nb_multiplex_new(struct nb_context *context, bool datagrams, int fd, struct nb_multiplex **ret) {
        struct nb_multiplex *multiplex = calloc(1, sizeof(*multiplex));

        if (!multiplex)
                return -ENOMEM;
        nb_endpoint_init(&multiplex->endpoint, context, fd);
        multiplex->datagrams = datagrams;
        multiplex->credit = NB_STREAM_WINDOW;
        *ret = multiplex;
        return 0;
}

static struct nb_stream *incoming_at(struct nb_multiplex *multiplex, unsigned index) {
        return &multiplex->incoming[(multiplex->first + index) % NB_STREAM_WINDOW];
}

/* A stream that was MADE is taken out before, or closed here. */
static void set_creation(struct nb_multiplex *multiplex, enum creation creation) {
        if (multiplex->creation == CREATION_MADE)
                multiplex->made.fd = nb_fd_close(multiplex->made.fd);
        multiplex->creation = creation;
}

struct nb_multiplex *nb_multiplex_free(struct nb_multiplex *multiplex) {
        if (!multiplex)
                return NULL;
        nb_endpoint_deinit(&multiplex->endpoint);
        set_creation(multiplex, CREATION_NONE);
        for (unsigned i = 0; i < multiplex->n_incoming; ++i)
                nb_fd_close(incoming_at(multiplex, i)->fd);
        free(multiplex->end_reason);
        free(multiplex);
        return NULL;
}

/* ---- what the relay says ---- */

static int violated(struct nb_multiplex *multiplex, struct nb_answer *answer) {
        nb_channel_fds_close(&answer->fds);
        return nb_endpoint_fail(&multiplex->endpoint, -EPROTO);
}

/* Totals only grow. */
static int note_totals(struct nb_multiplex *multiplex, struct nb_answer *answer) {
        const Nb__Streams *streams = answer->reply->streams;

        if (answer->fds.n > 0 || streams->bidirectional < multiplex->allowed[KIND_BIDIRECTIONAL] ||
            streams->unidirectional < multiplex->allowed[KIND_UNIDIRECTIONAL])
                return violated(multiplex, answer);
        multiplex->allowed[KIND_BIDIRECTIONAL] = streams->bidirectional;
        multiplex->allowed[KIND_UNIDIRECTIONAL] = streams->unidirectional;
        return 0;
}

/* Tells the relay how many more it may push, once that is worth a message. What fails for want of memory is tried again with the next stream. */
static void raise_credit(struct nb_multiplex *multiplex) {
        Nb__Credit credit = NB__CREDIT__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        credit.total = multiplex->n_accepted + NB_STREAM_WINDOW;
        if (credit.total < multiplex->credit + CREDIT_STEP || multiplex->endpoint.error < 0)
                return;
        request.body_case = NB__REQUEST__BODY_CREDIT;
        request.credit = &credit;
        if (nb_endpoint_send(&multiplex->endpoint, &request) == 0)
                multiplex->credit = credit.total;
}

/* @param lost  the descriptor could not be received */
static int note_incoming(struct nb_multiplex *multiplex, struct nb_answer *answer, bool lost) {
        const Nb__StreamIncoming *incoming = answer->reply->stream_incoming;

        if (multiplex->datagrams || answer->fds.n != (lost ? 0 : 1) || incoming->id > STREAM_ID_MAX ||
            incoming->number != multiplex->n_received + 1 || incoming->number > multiplex->credit)
                return violated(multiplex, answer);
        multiplex->n_received++;
        if (lost) {
                multiplex->lost_one = true;
                multiplex->n_accepted++;
                raise_credit(multiplex);
                return 0;
        }
        /* There is room: what was received and not accepted is within the credit. */
        *incoming_at(multiplex, multiplex->n_incoming++) = (struct nb_stream){
                .fd = answer->fds.fds[0],
                .id = incoming->id,
                .may_read = true,
                .may_write = !incoming->unidirectional,
        };
        return 0;
}

static void note_refusal(struct nb_multiplex *multiplex, int error) {
        multiplex->created[multiplex->creation_kind]--;
        multiplex->refusal = error;
        set_creation(multiplex, CREATION_REFUSED);
}

/* The answer to StreamCreate. */
static int note_answer(struct nb_multiplex *multiplex, struct nb_answer *answer, bool lost) {
        const Nb__StreamCreated *created;
        int r;

        if (multiplex->creation != CREATION_ASKED || multiplex->endpoint.unsent)
                return violated(multiplex, answer);
        if (lost) {
                multiplex->endpoint.outstanding = false;
                note_refusal(multiplex, -EMFILE);
                multiplex->created[multiplex->creation_kind]++; /* for the peer there was one */
                return 0;
        }
        r = nb_endpoint_settle(&multiplex->endpoint, answer, NB__REPLY__BODY_STREAM_CREATED, 1);
        if (multiplex->endpoint.error < 0)
                return r;
        if (r < 0) {
                note_refusal(multiplex, r);
                return 0;
        }
        created = answer->reply->stream_created;
        if (created->id > STREAM_ID_MAX || created->message_max > MESSAGE_MAX ||
            multiplex->datagrams != (created->message_max > 0))
                return violated(multiplex, answer);
        multiplex->made = (struct nb_stream){
                .fd = answer->fds.fds[0],
                .id = created->id,
                .may_read = multiplex->creation_kind == KIND_BIDIRECTIONAL,
                .may_write = true,
                .datagrams = multiplex->datagrams,
                .message_max = created->message_max,
        };
        set_creation(multiplex, CREATION_MADE);
        return 0;
}

/*
 * What PROTOCOL.md has for the end of a connection, and no other: callers tell EAGAIN and EMFILE from an end, and would try again for ever.
 * @return the errno of the host, or 0: none of them
 */
static int errno_of_end(uint32_t error) {
        switch (error) {
        case 0:
                return ENOTCONN;
        case NB_WASI_ETIMEDOUT:
                return ETIMEDOUT;
        case NB_WASI_ECONNRESET:
                return ECONNRESET;
        default:
                return 0;
        }
}

/* @return the negative errno that the end gives to whoever asks from now on */
static int note_end(struct nb_multiplex *multiplex, struct nb_answer *answer) {
        const Nb__ConnectionClosed *closed = answer->reply->connection_closed;
        int error = errno_of_end(closed->error);

        if (answer->fds.n > 0 || error == 0 || strlen(closed->reason) > NB_REASON_LENGTH_MAX)
                return violated(multiplex, answer);
        multiplex->end_reason = strdup(closed->reason);
        return nb_endpoint_fail(&multiplex->endpoint, -error);
}

static int note(struct nb_multiplex *multiplex, struct nb_answer *answer, bool lost) {
        switch (answer->reply->body_case) {
        case NB__REPLY__BODY_STREAM_INCOMING:
                return note_incoming(multiplex, answer, lost);
        case NB__REPLY__BODY_STREAM_CREATED:
        case NB__REPLY__BODY_REFUSED:
                return note_answer(multiplex, answer, lost);
        case NB__REPLY__BODY_STREAMS:
                return lost ? violated(multiplex, answer) : note_totals(multiplex, answer);
        case NB__REPLY__BODY_CONNECTION_CLOSED:
                return lost ? violated(multiplex, answer) : note_end(multiplex, answer);
        default:
                return violated(multiplex, answer);
        }
}

/*
 * Takes in what has come, without waiting.
 * @return 0; or a negative errno, with the connection over if it is that of the endpoint
 */
static int look(struct nb_multiplex *multiplex) {
        struct nb_endpoint *endpoint = &multiplex->endpoint;
        struct nb_answer answer;

        for (unsigned i = 0; i < FRAMES_A_LOOK && endpoint->error == 0; ++i) {
                int r = nb_endpoint_receive(endpoint, &answer);

                if (r == -EAGAIN)
                        return 0;
                if (r == -EPIPE)
                        return endpoint->error = -ECONNRESET; /* the relay went without a word */
                if (r < 0 && r != -EMFILE)
                        return r;
                r = note(multiplex, &answer, r == -EMFILE);
                if (r < 0)
                        return r;
        }
        return endpoint->error;
}

/* Waits until something has come, and takes it in. */
static int wait_and_look(struct nb_multiplex *multiplex) {
        struct nb_endpoint *endpoint = &multiplex->endpoint;
        int r = nb_context_wait(endpoint->context, endpoint->fd, (short)(POLLIN | (endpoint->unsent ? POLLOUT : 0)));

        return r < 0 ? r : look(multiplex);
}

/* ---- creating ---- */

static bool is_allowed(const struct nb_multiplex *multiplex, enum kind kind) {
        return multiplex->created[kind] < multiplex->allowed[kind];
}

/* Waits until the peer allows one more of a kind. */
static int wait_for_room(struct nb_multiplex *multiplex, enum kind kind, bool nonblock) {
        int r = 0;

        if (multiplex->datagrams && multiplex->created[kind] > 0)
                return -ENOTSUP;
        if (!is_allowed(multiplex, kind))
                r = look(multiplex);
        while (r == 0 && multiplex->endpoint.error == 0 && !is_allowed(multiplex, kind)) {
                multiplex->wanted |= 1u << kind;
                r = nonblock ? -EAGAIN : wait_and_look(multiplex);
        }
        return r < 0 ? r : multiplex->endpoint.error;
}

static void begin_creation(struct nb_multiplex *multiplex, enum kind kind) {
        multiplex->wanted &= ~(1u << kind);
        multiplex->created[kind]++;
        multiplex->creation_kind = kind;
        set_creation(multiplex, CREATION_ASKED);
        nb_endpoint_begin(&multiplex->endpoint);
}

static int send_creation(struct nb_multiplex *multiplex) {
        struct nb_endpoint *endpoint = &multiplex->endpoint;
        Nb__StreamCreate create = NB__STREAM_CREATE__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        int r;

        create.unidirectional = multiplex->creation_kind == KIND_UNIDIRECTIONAL;
        request.body_case = NB__REQUEST__BODY_STREAM_CREATE;
        request.stream_create = &create;
        request.serial = endpoint->serial;
        r = nb_endpoint_send(endpoint, &request);
        endpoint->unsent = r < 0;
        return r == -EAGAIN ? 0 : r;
}

/* Waits for the answer to StreamCreate. */
static int wait_for_answer(struct nb_multiplex *multiplex) {
        int r = 0;

        while (r == 0 && multiplex->creation == CREATION_ASKED) {
                if (multiplex->endpoint.unsent)
                        r = send_creation(multiplex);
                if (r == 0)
                        r = wait_and_look(multiplex);
                if (multiplex->endpoint.error < 0 && multiplex->creation == CREATION_ASKED)
                        set_creation(multiplex, CREATION_NONE);
        }
        /* What ended the connection behind the answer is for the next call. */
        return multiplex->creation == CREATION_NONE || multiplex->creation == CREATION_ASKED ? r : 0;
}

/* A creation of the other kind was interrupted and is not being repeated: its answer comes first, and is not wanted. */
static int abandon(struct nb_multiplex *multiplex, enum kind kind) {
        int r;

        if (multiplex->creation == CREATION_NONE || multiplex->creation_kind == kind)
                return 0;
        r = wait_for_answer(multiplex);
        if (r == 0)
                set_creation(multiplex, CREATION_NONE);
        return r;
}

static int finish_creation(struct nb_multiplex *multiplex, struct nb_stream *ret) {
        int r = wait_for_answer(multiplex);

        if (r < 0)
                return r;
        if (multiplex->creation == CREATION_REFUSED) {
                set_creation(multiplex, CREATION_NONE);
                return multiplex->refusal;
        }
        *ret = multiplex->made;
        multiplex->made.fd = -1;
        set_creation(multiplex, CREATION_NONE);
        return 0;
}

int nb_multiplex_create(struct nb_multiplex *multiplex, unsigned flags, struct nb_stream *ret) {
        enum kind kind = flags & NB_STREAM_UNIDIRECTIONAL ? KIND_UNIDIRECTIONAL : KIND_BIDIRECTIONAL;
        int r;

        if (multiplex->datagrams && kind == KIND_UNIDIRECTIONAL)
                return -EINVAL;
        r = abandon(multiplex, kind);
        if (r < 0)
                return r;
        if (multiplex->creation == CREATION_NONE) {
                r = wait_for_room(multiplex, kind, flags & NB_STREAM_NONBLOCK);
                if (r < 0)
                        return r;
                begin_creation(multiplex, kind);
        }
        return finish_creation(multiplex, ret);
}

/* ---- accepting ---- */

static void take_incoming(struct nb_multiplex *multiplex, struct nb_stream *ret) {
        *ret = multiplex->incoming[multiplex->first];
        multiplex->first = (multiplex->first + 1) % NB_STREAM_WINDOW;
        multiplex->n_incoming--;
        multiplex->n_accepted++;
        raise_credit(multiplex);
}

/* What is to be told when no stream is there. @return 0: nothing */
static int nothing_came(struct nb_multiplex *multiplex) {
        if (!multiplex->lost_one)
                return multiplex->endpoint.error;
        multiplex->lost_one = false;
        return -EMFILE;
}

int nb_multiplex_accept(struct nb_multiplex *multiplex, unsigned flags, struct nb_stream *ret) {
        int r = 0;

        if (multiplex->datagrams)
                return nb_multiplex_create(multiplex, flags, ret);
        if (multiplex->n_incoming == 0)
                r = look(multiplex);
        while (multiplex->n_incoming == 0) {
                int told = nothing_came(multiplex);

                if (told < 0)
                        return told;
                if (r < 0)
                        return r;
                if (flags & NB_STREAM_NONBLOCK)
                        return -EAGAIN;
                r = wait_and_look(multiplex);
        }
        take_incoming(multiplex, ret);
        return 0;
}

/* ---- polling ---- */

int nb_multiplex_poll_fd(const struct nb_multiplex *multiplex, short *ret_events) {
        *ret_events = POLLIN;
        return multiplex->endpoint.fd;
}

static bool may_create(const struct nb_multiplex *multiplex) {
        unsigned kinds = multiplex->wanted ? multiplex->wanted : 1u << KIND_BIDIRECTIONAL;

        if (multiplex->creation != CREATION_NONE)
                return multiplex->creation != CREATION_ASKED || multiplex->endpoint.unsent;
        if (multiplex->datagrams && multiplex->created[KIND_BIDIRECTIONAL] > 0)
                return true; /* to be told that there is no other */
        for (unsigned kind = 0; kind < N_KINDS; ++kind) {
                if (kinds & (1u << kind) && is_allowed(multiplex, (enum kind)kind))
                        return true;
        }
        return false;
}

short nb_multiplex_known(const struct nb_multiplex *multiplex) {
        short ready = 0;

        if (multiplex->endpoint.error < 0)
                return POLLIN | POLLOUT | POLLHUP;
        if (may_create(multiplex))
                ready |= multiplex->datagrams ? POLLIN | POLLOUT : POLLOUT;
        if (multiplex->n_incoming > 0 || multiplex->lost_one)
                ready |= POLLIN;
        return ready;
}

short nb_multiplex_ready(struct nb_multiplex *multiplex) {
        if (multiplex->endpoint.error == 0)
                (void)look(multiplex); /* what fails comes again with the call that is waited for */
        return nb_multiplex_known(multiplex);
}

unsigned nb_multiplex_n_incoming(const struct nb_multiplex *multiplex) {
        if (!multiplex->datagrams)
                return multiplex->n_incoming;
        return multiplex->endpoint.error == 0 && is_allowed(multiplex, KIND_BIDIRECTIONAL);
}

const char *nb_multiplex_end_reason(const struct nb_multiplex *multiplex) {
        return multiplex->end_reason ? multiplex->end_reason : "";
}
