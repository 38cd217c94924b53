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

/* Credit is raised when this many connections were accepted since: one message for four accepts, and the
 * broker always has three quarters of the window ahead. */
#define CREDIT_STEP (NB_ACCEPT_WINDOW / 4)

/*
 * What a control does. set_state() is the only place that changes it.
 *
 *   BOUND       nb_listen() → STARTING; nb_connect() → CONNECTING
 *   STARTING    the first Listen is outstanding: Listening → LISTENING, Refused → BOUND
 *   LISTENING   connections are pushed; Resumed has Listen sent again, whose answer says nothing new
 *   CONNECTING  Connect is outstanding: Connected or Refused → BOUND
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
        *ret = nb_steal_ptr(control);
        return 0;
}

struct nb_control *nb_control_free(struct nb_control *control) {
        if (!control || (control->home && nb_spare_offer(control->home, control)))
                return NULL;
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

        if (control->state != CONTROL_BOUND || endpoint->error < 0 || endpoint->outstanding ||
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

int nb_control_poll_fd(const struct nb_control *control, short *ret_events) {
        *ret_events = (short)(POLLIN | (control->endpoint.unsent ? POLLOUT : 0));
        return control->endpoint.fd;
}

/* Fills in the Listen that tells a broker all it needs to know of this listener. */
static void describe_listen(const struct nb_control *control, Nb__Listen *listen, Nb__Request *request) {
        listen->backlog = control->backlog;
        listen->credit = control->credit;
        listen->received = control->received;
        request->body_case = NB__REQUEST__BODY_LISTEN;
        request->listen = listen;
}

static int finish_listen(struct nb_control *control) {
        struct nb_endpoint *endpoint = &control->endpoint;
        Nb__Listen listen = NB__LISTEN__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        struct nb_answer answer;
        char *address;
        int r;

        describe_listen(control, &listen, &request);
        r = nb_exchange(endpoint, &request, true, &answer);
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

int nb_listen(struct nb_control *control, int backlog) {
        if (control->endpoint.error < 0)
                return control->endpoint.error;
        if (control->has_connected || control->state == CONTROL_CONNECTING)
                return -EISCONN;
        if (control->state == CONTROL_LISTENING)
                return 0;
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

/* Whether an answer is that to a Listen, of which there are no more than were sent. */
static bool is_listening(struct nb_endpoint *endpoint, const struct nb_answer *answer) {
        if (answer->reply->body_case != NB__REPLY__BODY_LISTENING || answer->fds.n > 0 || endpoint->n_sent == 0)
                return false;
        endpoint->n_sent--;
        return true;
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
                Nb__Listen listen = NB__LISTEN__INIT;
                Nb__Request request = NB__REQUEST__INIT;

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
        Nb__Connect connect = NB__CONNECT__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        struct nb_connection_facts facts;
        const Nb__Connected *connected;
        struct nb_answer answer;
        int r;

        connect.address = control->remote;
        request.body_case = NB__REQUEST__BODY_CONNECT;
        request.connect = &connect;
        r = nb_exchange(endpoint, &request, !(control->flags & NB_NONBLOCK), &answer);
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
