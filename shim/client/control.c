/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/control.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "shim/client/call.h"
#include "shim/client/connection.h"
#include "shim/client/lost.h"
#include "shim/client/protocol.h"

/* Credit is raised when this many connections were accepted since: one message for four accepts, and the
 * broker always has three quarters of the window ahead. */
#define CREDIT_STEP (NB_ACCEPT_WINDOW / 4)

/* Before a control is asked for once more that was got back and lost again. */
#define LOST_PAUSE_FIRST_NS INT64_C(1000000)
#define LOST_PAUSE_MAX_NS INT64_C(128000000)

/*
 * What a control does. set_state() is the only place that changes it.
 *
 *   BOUND       nb_listen() → STARTING; nb_connect() → CONNECTING
 *   STARTING    the first Listen is outstanding: Listening → LISTENING, Refused → BOUND
 *   LISTENING   connections are pushed; Resumed has Listen sent again, whose answer says nothing new
 *   CONNECTING  Connect is outstanding: Connected or Refused → BOUND
 *
 * One that does not listen and is bound to nothing may be lost and found meanwhile (shim/client/lost.h).
 */
enum control_state {
        CONTROL_BOUND,
        CONTROL_STARTING,
        CONTROL_LISTENING,
        CONTROL_CONNECTING,
};

struct nb_control {
        struct nb_endpoint endpoint;
        struct nb_spare *home; /* one reference; NULL while the control is kept there, or has none */
        enum nb_socket_type type;
        enum control_state state;
        uint32_t flags;
        uint32_t backlog;
        bool has_connected; /* it will not listen any more */
        bool is_lost;       /* its channel has ended, and there is no other in its place yet */
        unsigned n_lost;    /* how often since the last answer, or the last broker that was another */
        uint64_t n_resumed; /* of its protocol, when it was found last */
        struct nb_lost lost;
        uint64_t rights_base;
        uint64_t rights_inheriting;
        uint64_t credit;   /* the total that the broker was told */
        uint64_t received; /* connections that the broker has pushed and the guest accepted */
        char *address;     /* the local one, owned */
        char *remote;      /* what CONNECTING connects to, owned; NULL otherwise */
};

int nb_control_new(struct nb_context *context, const struct nb_control_description *description, int fd,
                   struct nb_spare *home, struct nb_control **ret) {
        struct nb_control *control NB_CLEANUP_FREE = calloc(1, sizeof(*control));
        char *address = strdup(description->address);

        if (!control || !address) {
                free(address);
                return -ENOMEM;
        }
        nb_endpoint_init(&control->endpoint, context, fd);
        control->type = description->type;
        control->flags = description->flags;
        control->home = home ? nb_spare_ref(home) : NULL;
        control->rights_base = description->rights_base;
        control->rights_inheriting = description->rights_inheriting;
        control->address = address;
        control->lost.fd = -1;
        nb_list_init(&control->lost.link);
        *ret = nb_steal_ptr(control);
        return 0;
}

/* It need not come back any more. */
static void forget_lost(struct nb_control *control) {
        struct nb_protocol *protocol = nb_spare_protocol(control->home);

        if (protocol)
                nb_protocol_forget(protocol, &control->lost);
        control->lost.fd = nb_fd_close(control->lost.fd);
}

struct nb_control *nb_control_free(struct nb_control *control) {
        if (!control || (control->home && nb_spare_offer(control->home, control)))
                return NULL;
        forget_lost(control);
        control->home = nb_spare_unref(control->home);
        nb_endpoint_deinit(&control->endpoint);
        free(control->address);
        free(control->remote);
        free(control);
        return NULL;
}

static void set_state(struct nb_control *control, enum control_state state) {
        if (control->state == CONTROL_CONNECTING) {
                free(control->remote);
                control->remote = NULL;
        }
        control->state = state;
}

void nb_control_reuse(struct nb_control *control, uint32_t flags, struct nb_spare *home) {
        control->flags = flags;
        control->home = nb_spare_ref(home);
}

/* The broker binds nothing at one of these until it is asked to, and so the port is still 0, and the name empty. */
static bool address_is_open(const char *address) {
        return address[0] == '\0' || strcmp(address, "0.0.0.0:0") == 0 || strcmp(address, "[::]:0") == 0;
}

enum nb_socket_type nb_control_type(const struct nb_control *control) {
        return control->type;
}

bool nb_control_reset(struct nb_control *control) {
        const struct nb_endpoint *endpoint = &control->endpoint;

        if (control->state != CONTROL_BOUND || endpoint->error < 0 || endpoint->outstanding || control->is_lost ||
            !address_is_open(control->address))
                return false;
        control->has_connected = false;
        control->home = nb_spare_unref(control->home);
        return true;
}

bool nb_control_serves(const struct nb_control *control, const char *address, size_t length, enum nb_socket_type type,
                       uint64_t rights_base, uint64_t rights_inheriting) {
        /* The broker drops the rights that mean nothing to a control or its streams, and refuses what it cannot give. */
        return control->type == type && strlen(control->address) == length &&
               memcmp(control->address, address, length) == 0 &&
               control->rights_base == (rights_base & NB_RIGHTS_CONTROL) &&
               control->rights_inheriting == (rights_inheriting & (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM));
}

void nb_control_set_flags(struct nb_control *control, uint32_t flags) {
        control->flags = flags & NB_NONBLOCK;
}

void nb_control_rights(const struct nb_control *control, uint64_t *ret_base, uint64_t *ret_inheriting) {
        *ret_base = control->rights_base;
        *ret_inheriting = control->rights_inheriting;
}

const char *nb_control_address(const struct nb_control *control) {
        return control->address;
}

/* Fills in the Listen that tells a broker all it needs to know of this listener. */
static void describe_listen(const struct nb_control *control, Nb__Listen *listen, Nb__Request *request) {
        nb__listen__init(listen);
        listen->backlog = control->backlog;
        listen->credit = control->credit;
        listen->received = control->received;
        request->body_case = NB__REQUEST__BODY_LISTEN;
        request->listen = listen;
}

static void describe_connect(const struct nb_control *control, Nb__Connect *connect, Nb__Request *request) {
        nb__connect__init(connect);
        connect->address = control->remote;
        request->body_case = NB__REQUEST__BODY_CONNECT;
        request->connect = connect;
}

/* ---- lost and found ---- */

bool nb_control_outlives_channel(const struct nb_control *control) {
        const struct nb_protocol *protocol = nb_spare_protocol(control->home);

        return protocol && !nb_protocol_has_ended(protocol) && control->state != CONTROL_LISTENING &&
               address_is_open(control->address);
}

/* The channel has ended. @return whether another is to take its place; what was asked is outstanding still, then */
static bool lose(struct nb_control *control) {
        struct nb_endpoint *endpoint = &control->endpoint;

        if (control->n_lost >= NB_LOST_MAX || !nb_control_outlives_channel(control))
                return false;
        control->n_lost++;
        control->is_lost = true;
        control->lost.address = control->address;
        control->lost.type = control->type;
        control->lost.rights_base = control->rights_base;
        control->lost.rights_inheriting = control->rights_inheriting;
        endpoint->error = 0;
        endpoint->outstanding = control->state != CONTROL_BOUND;
        return true;
}

/* A loss to another broker is the first one again: those may come and go for ever. */
static void note_broker(struct nb_control *control) {
        const struct nb_protocol *protocol = nb_spare_protocol(control->home);

        if (!protocol || nb_protocol_n_resumed(protocol) == control->n_resumed)
                return;
        control->n_resumed = nb_protocol_n_resumed(protocol);
        control->n_lost = 1;
}

/* Takes what came of asking. @return 0; a negative errno, and nothing is outstanding */
static int take_found(struct nb_control *control) {
        int error = control->lost.error;

        if (error < 0) {
                control->lost.error = 0;
                control->endpoint.outstanding = false;
                return error == -EPIPE ? nb_endpoint_fail(&control->endpoint, error) : error;
        }
        control->is_lost = false;
        note_broker(control);
        nb_endpoint_replace(&control->endpoint, nb_steal_fd(&control->lost.fd));
        return 0;
}

/* As nb_protocol_find(); the protocol may be gone. */
static int find(struct nb_control *control, bool wait) {
        struct nb_protocol *protocol = nb_spare_protocol(control->home);
        int r;

        if (control->lost.fd >= 0 || control->lost.error < 0)
                return 0;
        if (!protocol) {
                control->lost.error = -EPIPE;
                return 0;
        }
        nb_protocol_ref(protocol);
        r = nb_protocol_find(protocol, &control->lost, wait);
        nb_protocol_unref(protocol);
        return r;
}

/* A broker that ends whatever it makes is asked ever less often. */
static int pause_before(const struct nb_control *control) {
        unsigned shift = control->n_lost - 2;

        return nb_context_pause(control->endpoint.context,
                                shift < 7 ? LOST_PAUSE_FIRST_NS << shift : LOST_PAUSE_MAX_NS);
}

static int find_again(struct nb_control *control, bool wait) {
        bool is_asked_for = !nb_list_is_empty(&control->lost.link);
        int r;

        if (wait && !is_asked_for && control->n_lost > 1) {
                r = pause_before(control);
                if (r < 0)
                        return r;
        }
        r = find(control, wait);
        return r < 0 ? r : take_found(control);
}

/* As nb_exchange(), on whatever channel the control has. */
static int exchange(struct nb_control *control, Nb__Request *request, bool wait, struct nb_answer *ret) {
        int r;

        do {
                r = control->is_lost ? find_again(control, wait) : 0;
                if (r == 0)
                        r = nb_exchange(&control->endpoint, request, wait, ret);
        } while (r == -EPIPE && control->endpoint.error < 0 && lose(control));
        if (r == 0)
                control->n_lost = 0;
        return r;
}

/* ---- polling ---- */

int nb_control_poll_fd(const struct nb_control *control, short *ret_events) {
        const struct nb_protocol *protocol = nb_spare_protocol(control->home);

        if (control->is_lost && control->lost.fd >= 0) {
                *ret_events = POLLOUT; /* at once: it is new */
                return control->lost.fd;
        }
        if (control->is_lost && control->lost.error == 0 && protocol)
                return nb_protocol_poll_fd(protocol, ret_events);
        *ret_events = (short)(POLLIN | (control->endpoint.unsent ? POLLOUT : 0));
        return control->endpoint.fd;
}

/* Sends what is still to be sent, or again: without waiting, and what cannot be sent now is sent later. */
static void flush(struct nb_control *control) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Connect connect;
        Nb__Listen listen;

        if (control->state == CONTROL_BOUND) {
                control->endpoint.unsent = false;
                return;
        }
        if (control->state == CONTROL_CONNECTING)
                describe_connect(control, &connect, &request);
        else
                describe_listen(control, &listen, &request);
        (void)nb_endpoint_flush(&control->endpoint, &request);
}

/* Whether an answer is that to a Listen, of which there are no more than were sent. */
static bool is_listening(struct nb_endpoint *endpoint, const struct nb_answer *answer) {
        if (answer->reply->body_case != NB__REPLY__BODY_LISTENING || answer->fds.n > 0 || endpoint->n_sent == 0)
                return false;
        endpoint->n_sent--;
        return true;
}

/* Takes a frame that says nothing to the guest. @return 0; a negative errno: the channel is broken */
static int take_quiet(struct nb_control *control) {
        struct nb_endpoint *endpoint = &control->endpoint;
        struct nb_answer answer;
        int r = nb_endpoint_receive(endpoint, &answer);

        if (r < 0)
                return r;
        if (answer.reply->body_case == NB__REPLY__BODY_RESUMED && answer.fds.n == 0) {
                nb_endpoint_repeat(endpoint, answer.reply->resumed);
                return 0;
        }
        if (is_listening(endpoint, &answer))
                return 0;
        nb_channel_fds_close(&answer.fds);
        return nb_endpoint_fail(endpoint, -EPROTO);
}

static bool is_quiet(const struct nb_control *control, Nb__Reply__BodyCase kind) {
        return kind == NB__REPLY__BODY_RESUMED ||
               (kind == NB__REPLY__BODY_LISTENING && control->state == CONTROL_LISTENING);
}

/* One step of nb_control_ready(). @return 1: another is to follow; 0: there is nothing yet; or the negative of what is ready */
static int look(struct nb_control *control) {
        Nb__Reply__BodyCase kind;
        int r;

        if (control->is_lost) {
                if (find(control, false) == -EAGAIN)
                        return 0;
                /* A refusal is for the call. */
                return control->lost.fd >= 0 && take_found(control) == 0 ? 1 : -POLLIN;
        }
        r = nb_endpoint_peek(&control->endpoint, &kind);
        if (r == -EAGAIN) {
                flush(control);
                return 0;
        }
        if (r == -EPIPE)
                return lose(control) ? 1 : -(POLLIN | POLLHUP);
        if (r < 0 || !is_quiet(control, kind))
                return -POLLIN;
        return take_quiet(control) < 0 ? -(POLLIN | POLLHUP) : 1;
}

short nb_control_ready(struct nb_control *control) {
        for (unsigned i = 0; i <= NB_RESUMED_MAX; ++i) {
                int r;

                if (control->endpoint.error < 0)
                        return POLLIN | POLLHUP;
                r = look(control);
                if (r <= 0)
                        return (short)-r;
        }
        return POLLIN;
}

/* ---- Listen ---- */

static int finish_listen(struct nb_control *control) {
        struct nb_endpoint *endpoint = &control->endpoint;
        Nb__Request request = NB__REQUEST__INIT;
        struct nb_answer answer;
        Nb__Listen listen;
        char *address;
        int r;

        describe_listen(control, &listen, &request);
        r = exchange(control, &request, true, &answer);
        if (r == 0)
                r = nb_endpoint_settle(endpoint, &answer, NB__REPLY__BODY_LISTENING, 0);
        if (r == 0 && endpoint->n_sent-- == 0)
                r = nb_endpoint_fail(endpoint, -EPROTO);
        if (r == 0 && strlen(answer.reply->listening->address) > NB_ADDRESS_LENGTH_MAX)
                r = nb_endpoint_fail(endpoint, -EPROTO);
        if (r < 0) {
                if (!endpoint->outstanding)
                        set_state(control, CONTROL_BOUND);
                return r;
        }

        /* Without memory for the new text the old one stays: it lacks only the port. */
        address = strdup(answer.reply->listening->address);
        if (address) {
                free(control->address);
                control->address = address;
        }
        set_state(control, CONTROL_LISTENING);
        return 0;
}

/* It does so already, unless the broker has taken it back meanwhile. */
static int check_listening(struct nb_control *control) {
        short ready = nb_control_ready(control);

        if (control->endpoint.error == 0 && ready & POLLHUP)
                return nb_endpoint_fail(&control->endpoint, -EPIPE);
        return control->endpoint.error;
}

int nb_listen(struct nb_control *control, int backlog) {
        if (control->endpoint.error < 0)
                return control->endpoint.error;
        if (control->has_connected || control->state == CONTROL_CONNECTING)
                return -EISCONN;
        if (control->state == CONTROL_LISTENING)
                return check_listening(control);
        if (control->state == CONTROL_BOUND) {
                control->backlog = backlog < 0 ? 0 : (uint32_t)backlog;
                control->credit = NB_ACCEPT_WINDOW;
                control->received = 0;
                set_state(control, CONTROL_STARTING);
                nb_endpoint_begin(&control->endpoint);
        }
        return finish_listen(control);
}

/*
 * Tells the broker how many more it may push, once that is worth a message. The channel cannot be full of
 * these: a broker that does not read them stops pushing after a window, and without pushed connections there
 * are none. What fails for want of memory is tried again with the next nb_accept().
 */
static void raise_credit(struct nb_control *control) {
        Nb__Credit credit = NB__CREDIT__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        credit.total = control->received + NB_ACCEPT_WINDOW;
        if (credit.total < control->credit + CREDIT_STEP)
                return;
        request.body_case = NB__REQUEST__BODY_CREDIT;
        request.credit = &credit;
        if (nb_endpoint_send(&control->endpoint, &request) == 0)
                control->credit = credit.total;
}

/* Makes a connection of what came with a descriptor, which is closed if it fails. */
static int take_stream(struct nb_control *control, const struct nb_connection_facts *facts, struct nb_channel_fds *fds,
                       struct nb_connection **ret) {
        int r = nb_connection_new(control->endpoint.context, facts, fds->fds[0], ret);

        if (r < 0)
                nb_channel_fds_close(fds);
        return r == -EPROTO ? nb_endpoint_fail(&control->endpoint, r) : r;
}

static int accept_pushed(struct nb_control *control, struct nb_answer *answer, struct nb_connection **ret) {
        struct nb_endpoint *endpoint = &control->endpoint;
        int r = nb_endpoint_settle(endpoint, answer, NB__REPLY__BODY_ACCEPTED, 1);
        struct nb_connection_facts facts;
        const Nb__Accepted *accepted;

        /* A Listen that was sent again and is refused now ends the listener. */
        if (r < 0)
                return nb_endpoint_fail(endpoint, r);
        accepted = answer->reply->accepted;
        if (accepted->number != control->received + 1 || accepted->number > control->credit) {
                nb_channel_fds_close(&answer->fds);
                return nb_endpoint_fail(endpoint, -EPROTO);
        }
        control->received++;
        facts = (struct nb_connection_facts){
                .peer = accepted->peer,
                .local = accepted->local,
                .security = accepted->security,
                .multiplexed = accepted->multiplexed,
                .datagrams = control->type == NB_SOCKET_DGRAM,
        };
        r = take_stream(control, &facts, &answer->fds, ret);
        if (endpoint->error == 0)
                raise_credit(control);
        return r;
}

int nb_accept(struct nb_control *control, struct nb_connection **ret) {
        struct nb_endpoint *endpoint = &control->endpoint;
        struct nb_answer answer;
        int r;

        if (endpoint->error < 0)
                return endpoint->error;
        if (control->state != CONTROL_LISTENING)
                return -EINVAL;

        raise_credit(control);
        do {
                Nb__Request request = NB__REQUEST__INIT;
                Nb__Listen listen;

                describe_listen(control, &listen, &request);
                r = nb_exchange(endpoint, &request, !(control->flags & NB_NONBLOCK), &answer);
        } while (r == 0 && is_listening(endpoint, &answer));

        if (r == -EMFILE) {
                /* Only an Accepted carries a descriptor: this connection is lost, and makes room for another. */
                control->received++;
                raise_credit(control);
        }
        return r < 0 ? r : accept_pushed(control, &answer, ret);
}

static int finish_connect(struct nb_control *control, struct nb_connection **ret) {
        struct nb_endpoint *endpoint = &control->endpoint;
        Nb__Request request = NB__REQUEST__INIT;
        struct nb_connection_facts facts;
        const Nb__Connected *connected;
        struct nb_answer answer;
        Nb__Connect connect;
        int r;

        describe_connect(control, &connect, &request);
        r = exchange(control, &request, !(control->flags & NB_NONBLOCK), &answer);
        if (r == 0)
                r = nb_endpoint_settle(endpoint, &answer, NB__REPLY__BODY_CONNECTED, 1);
        if (!endpoint->outstanding)
                set_state(control, CONTROL_BOUND);
        if (r < 0)
                return r;

        connected = answer.reply->connected;
        facts = (struct nb_connection_facts){
                .peer = connected->peer,
                .local = connected->local,
                .security = connected->security,
                .multiplexed = connected->multiplexed,
                .datagrams = control->type == NB_SOCKET_DGRAM,
        };
        r = take_stream(control, &facts, &answer.fds, ret);
        if (r == 0)
                control->has_connected = true;
        return r;
}

static int begin_connect(struct nb_control *control, const char *address, size_t length) {
        char *remote = strndup(address, length);

        if (!remote)
                return -ENOMEM;
        set_state(control, CONTROL_CONNECTING);
        control->remote = remote;
        nb_endpoint_begin(&control->endpoint);
        return 0;
}

int nb_connect(struct nb_control *control, const char *address, size_t length, struct nb_connection **ret) {
        bool first = control->state == CONTROL_BOUND;
        int r;

        if (!nb_text_is_valid(address, length, NB_ADDRESS_LENGTH_MAX))
                return -EINVAL;
        if (control->endpoint.error < 0)
                return control->endpoint.error;
        if (control->state == CONTROL_STARTING || control->state == CONTROL_LISTENING)
                return -EINVAL;
        if (first) {
                r = begin_connect(control, address, length);
                if (r < 0)
                        return r;
        } else if (strlen(control->remote) != length || memcmp(control->remote, address, length) != 0) {
                return -EALREADY;
        }

        r = finish_connect(control, ret);
        if (r == -EAGAIN && control->state == CONTROL_CONNECTING)
                return first ? -EINPROGRESS : -EALREADY;
        return r;
}
