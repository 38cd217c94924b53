/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "shim/client/call.h"
#include "shim/client/control.h"
#include "shim/client/lost.h"

/* How long is waited for another fiber that uses the channel, and what of that is at once. */
#define BUSY_PAUSE_FIRST_NS INT64_C(1000000)
#define BUSY_PAUSE_MAX_NS INT64_C(64000000)

/* What was asked for and has no answer yet: by a call that waits or was interrupted, or for a control that was lost. */
struct asking {
        enum nb_socket_type type; /* of an Open */
        uint64_t rights_base;
        uint64_t rights_inheriting;
        bool restricts;       /* a Restrict, and no Open */
        bool has_rules;       /* of a Restrict */
        struct nb_lost *lost; /* for whom it is, borrowed; NULL: the caller's, or nobody's any more */
        char text[];          /* the address, or the rules; NUL-terminated */
};

struct nb_protocol {
        unsigned n_references;
        struct nb_endpoint endpoint;
        uint64_t rights_base;
        uint64_t rights_inheriting;
        struct nb_spare *spare; /* one reference */
        struct asking *asking;  /* not NULL exactly while the endpoint's request is outstanding */
        struct nb_list lost;    /* struct nb_lost of controls that are to be had again, the first in turn first */
        bool busy;              /* a call waits on the channel */
        char name[];
};

int nb_protocol_new(struct nb_context *context, const Nb__Protocol *description, int fd, struct nb_protocol **ret) {
        size_t size = strlen(description->name) + 1;
        struct nb_protocol *protocol = calloc(1, sizeof(*protocol) + size);

        if (!protocol)
                return -ENOMEM;
        protocol->spare = nb_spare_new(protocol);
        if (!protocol->spare) {
                free(protocol);
                return -ENOMEM;
        }
        protocol->n_references = 1;
        nb_list_init(&protocol->lost);
        nb_endpoint_init(&protocol->endpoint, context, fd);
        protocol->rights_base = description->rights_base;
        protocol->rights_inheriting = description->rights_inheriting;
        memcpy(protocol->name, description->name, size);
        *ret = protocol;
        return 0;
}

struct nb_protocol *nb_protocol_ref(struct nb_protocol *protocol) {
        protocol->n_references++;
        return protocol;
}

/* @param fd  the channel; -1 with an error */
static void settle_lost(struct nb_lost *lost, int error, int fd) {
        nb_list_remove(&lost->link);
        lost->error = error;
        lost->fd = fd;
}

struct nb_protocol *nb_protocol_unref(struct nb_protocol *protocol) {
        if (!protocol || --protocol->n_references > 0)
                return NULL;
        nb_list_foreach_safe(link, &protocol->lost)
                settle_lost(nb_container_of(link, struct nb_lost, link), -EPIPE, -1);
        nb_spare_close(protocol->spare);
        protocol->spare = nb_spare_unref(protocol->spare);
        nb_endpoint_deinit(&protocol->endpoint);
        free(protocol->asking);
        free(protocol);
        return NULL;
}

const char *nb_protocol_name(const struct nb_protocol *protocol) {
        return protocol->name;
}

void nb_protocol_rights(const struct nb_protocol *protocol, uint64_t *ret_base, uint64_t *ret_inheriting) {
        *ret_base = protocol->rights_base;
        *ret_inheriting = protocol->rights_inheriting;
}

struct nb_context *nb_protocol_context(const struct nb_protocol *protocol) {
        return protocol->endpoint.context;
}

/* ---- one request at a time ---- */

static struct asking *asking_new(const char *text, size_t length) {
        struct asking *asking = calloc(1, sizeof(*asking) + length + 1);

        if (asking && length > 0)
                memcpy(asking->text, text, length);
        return asking;
}

static bool asking_equal(const struct asking *a, const struct asking *b) {
        return a->restricts == b->restricts && a->has_rules == b->has_rules && a->type == b->type &&
               a->lost == b->lost && a->rights_base == b->rights_base && a->rights_inheriting == b->rights_inheriting &&
               strcmp(a->text, b->text) == 0;
}

/* A request with what it points to. */
struct message {
        Nb__Request request;
        Nb__Open open;
        Nb__Restrict restriction;
};

static void describe_restriction(struct asking *asking, struct message *message) {
        nb__restrict__init(&message->restriction);
        message->restriction.has_rules = asking->has_rules;
        message->restriction.rules = asking->text;
        message->restriction.rights_base = asking->rights_base;
        message->restriction.rights_inheriting = asking->rights_inheriting;
        message->request.body_case = NB__REQUEST__BODY_RESTRICT_PROTOCOL;
        message->request.restrict_protocol = &message->restriction;
}

/* @return the request, in `message`, which borrows */
static Nb__Request *describe(struct asking *asking, struct message *message) {
        nb__request__init(&message->request);
        if (asking->restricts) {
                describe_restriction(asking, message);
                return &message->request;
        }
        nb__open__init(&message->open);
        message->open.address = asking->text;
        message->open.type = (Nb__SocketType)asking->type;
        message->open.rights_base = asking->rights_base;
        message->open.rights_inheriting = asking->rights_inheriting;
        message->request.body_case = NB__REQUEST__BODY_OPEN;
        message->request.open = &message->open;
        return &message->request;
}

/* What is wrong with rules that a guest has written is told as a denial is. */
static void keep_complaint(struct nb_context *context, const Nb__Reply *reply) {
        if (reply->body_case == NB__REPLY__BODY_REFUSED && reply->refused->error == NB_WASI_EINVAL &&
            strlen(reply->refused->reason) <= NB_REASON_LENGTH_MAX)
                nb_context_set_denial(context, reply->refused->reason);
}

/*
 * Takes in the answer to the request that is outstanding. It is so no more when `asking` is NULL.
 * @param ret_lost  for whom it was, as of then
 */
static int finish(struct nb_protocol *protocol, bool wait, struct nb_answer *ret, struct nb_lost **ret_lost) {
        struct nb_endpoint *endpoint = &protocol->endpoint;
        Nb__Reply__BodyCase expected =
                protocol->asking->restricts ? NB__REPLY__BODY_RESTRICTED : NB__REPLY__BODY_OPENED;
        struct message message;
        int r;

        r = nb_exchange(endpoint, describe(protocol->asking, &message), wait, ret);
        if (r == 0 && protocol->asking->restricts)
                keep_complaint(endpoint->context, ret->reply);
        if (r == 0)
                r = nb_endpoint_settle(endpoint, ret, expected, 1);
        *ret_lost = protocol->asking->lost;
        if (!endpoint->outstanding) {
                free(protocol->asking);
                protocol->asking = NULL;
        }
        return r;
}

static void begin(struct nb_protocol *protocol, struct asking *asking) {
        protocol->asking = asking;
        nb_endpoint_begin(&protocol->endpoint);
}

/*
 * Takes in an answer that is not the caller's: a lost control's, or nobody's, where a call was interrupted and is not being repeated.
 * @return 0 when nothing is outstanding any more; -errno
 */
static int conclude(struct nb_protocol *protocol, bool wait) {
        struct nb_answer answer;
        struct nb_lost *lost;
        int r = finish(protocol, wait, &answer, &lost);

        if (protocol->asking)
                return r;
        if (lost)
                settle_lost(lost, r, r < 0 ? -1 : answer.fds.fds[0]);
        else if (r == 0)
                nb_channel_fds_close(&answer.fds);
        return protocol->endpoint.error;
}

static int ask(struct nb_protocol *protocol, struct asking *consumed, struct nb_answer *ret) {
        struct asking *asking NB_CLEANUP_FREE = consumed;
        struct nb_lost *nobody;

        while (protocol->asking && !asking_equal(protocol->asking, asking)) {
                int r = conclude(protocol, true);

                if (r < 0)
                        return r;
        }
        if (!protocol->asking)
                begin(protocol, nb_steal_ptr(asking));
        return finish(protocol, true, ret, &nobody);
}

/* ---- controls that were lost ---- */

/* Asks for the first that waits, if the channel is free. @return 0 or -ENOMEM */
static int begin_next(struct nb_protocol *protocol) {
        struct nb_lost *lost = nb_container_of(protocol->lost.next, struct nb_lost, link);
        struct asking *asking;
        struct message message;

        if (protocol->asking || protocol->endpoint.error < 0 || nb_list_is_empty(&protocol->lost))
                return 0;
        asking = asking_new(lost->address, strlen(lost->address));
        if (!asking)
                return -ENOMEM;
        asking->type = lost->type;
        asking->rights_base = lost->rights_base;
        asking->rights_inheriting = lost->rights_inheriting;
        asking->lost = lost;
        begin(protocol, asking);
        /* What cannot be sent now is sent by whoever comes for the answer. */
        (void)nb_endpoint_flush(&protocol->endpoint, describe(asking, &message));
        return 0;
}

/* Asks, and gives the channel back to others. @return as ask() */
static int ask_in_turn(struct nb_protocol *protocol, struct asking *consumed, struct nb_answer *ret) {
        int r;

        protocol->busy = true;
        r = ask(protocol, consumed, ret);
        protocol->busy = false;
        (void)begin_next(protocol);
        return r;
}

/* Goes one answer further. @return 0; -EAGAIN; -errno */
static int find_next(struct nb_protocol *protocol, bool wait) {
        int r = begin_next(protocol);

        if (r < 0)
                return r;
        protocol->busy = true;
        r = conclude(protocol, wait);
        protocol->busy = false;
        (void)begin_next(protocol);
        return r;
}

int nb_protocol_find(struct nb_protocol *protocol, struct nb_lost *lost, bool wait) {
        int64_t pause = BUSY_PAUSE_FIRST_NS;

        if (lost->fd < 0 && lost->error == 0 && nb_list_is_empty(&lost->link))
                nb_list_append(&protocol->lost, &lost->link);
        while (lost->fd < 0 && lost->error == 0) {
                int r;

                if (protocol->endpoint.error < 0) {
                        settle_lost(lost, -EPIPE, -1);
                        break;
                }
                if (!protocol->busy) {
                        r = find_next(protocol, wait);
                } else {
                        /* Whose fiber that is, is woken by the channel; we are not. */
                        r = wait ? nb_context_pause(protocol->endpoint.context, pause) : -EAGAIN;
                        pause = pause < BUSY_PAUSE_MAX_NS ? 2 * pause : pause;
                }
                if (r < 0 && protocol->endpoint.error == 0)
                        return r;
        }
        return 0;
}

void nb_protocol_forget(struct nb_protocol *protocol, struct nb_lost *lost) {
        if (protocol->asking && protocol->asking->lost == lost)
                protocol->asking->lost = NULL;
        nb_list_remove(&lost->link);
}

int nb_protocol_poll_fd(const struct nb_protocol *protocol, short *ret_events) {
        *ret_events = (short)(POLLIN | (protocol->endpoint.unsent ? POLLOUT : 0));
        return protocol->endpoint.fd;
}

uint64_t nb_protocol_n_resumed(const struct nb_protocol *protocol) {
        return protocol->endpoint.n_resumed;
}

bool nb_protocol_has_ended(const struct nb_protocol *protocol) {
        return protocol->endpoint.error < 0;
}

/* ---- Open ---- */

/* The empty text is the open address of a Unix socket. */
static bool bind_address_is_valid(const char *address, size_t length) {
        return length == 0 || nb_text_is_valid(address, length, NB_ADDRESS_LENGTH_MAX);
}

/* Consumes the descriptor of the answer. */
static int make_control(struct nb_protocol *protocol, struct nb_answer *answer, enum nb_socket_type type,
                        uint32_t flags, struct nb_control **ret) {
        const Nb__Opened *opened = answer->reply->opened;
        struct nb_control_description description = {
                .address = opened->address,
                .type = type,
                .rights_base = opened->rights_base,
                .rights_inheriting = opened->rights_inheriting,
                .flags = flags,
        };
        int r;

        if (strlen(opened->address) > NB_ADDRESS_LENGTH_MAX)
                r = nb_endpoint_fail(&protocol->endpoint, -EPROTO);
        else
                r = nb_control_new(protocol->endpoint.context, &description, answer->fds.fds[0], protocol->spare, ret);
        if (r < 0)
                nb_channel_fds_close(&answer->fds);
        return r;
}

int nb_open(struct nb_protocol *protocol, const char *address, size_t length, enum nb_socket_type type,
            uint64_t rights_base, uint64_t rights_inheriting, uint32_t flags, struct nb_control **ret) {
        struct asking *asking;
        struct nb_control *spare;
        struct nb_answer answer;
        int r;

        if (type != NB_SOCKET_DGRAM && type != NB_SOCKET_STREAM)
                return -EINVAL;
        if ((flags & ~NB_NONBLOCK) || !bind_address_is_valid(address, length))
                return -EINVAL;
        if (length == 0)
                address = ""; /* the caller's may be NULL */
        if (protocol->endpoint.error < 0)
                return protocol->endpoint.error;
        if (protocol->busy)
                return -EBUSY;
        spare = nb_spare_take(protocol->spare, address, length, type, rights_base, rights_inheriting);
        if (spare) {
                nb_control_reuse(spare, flags, protocol->spare);
                *ret = spare;
                return 0;
        }
        asking = asking_new(address, length);
        if (!asking)
                return -ENOMEM;
        asking->type = type;
        asking->rights_base = rights_base;
        asking->rights_inheriting = rights_inheriting;
        r = ask_in_turn(protocol, asking, &answer);
        return r < 0 ? r : make_control(protocol, &answer, type, flags, ret);
}

/* ---- Restrict ---- */

/* Asks for a narrower one. @param ret_fd  its channel, owned by the caller */
static int ask_restricted(struct nb_protocol *protocol, struct asking *consumed, Nb__Restricted *ret, int *ret_fd) {
        struct nb_answer answer;
        int r;

        if (!consumed)
                return -ENOMEM;
        consumed->restricts = true;
        r = ask_in_turn(protocol, consumed, &answer);
        if (r < 0)
                return r;
        *ret = *answer.reply->restricted;
        *ret_fd = answer.fds.fds[0];
        return 0;
}

/* @return 0, or why nothing can be asked now */
static int check_free(const struct nb_protocol *protocol) {
        if (protocol->endpoint.error < 0)
                return protocol->endpoint.error;
        return protocol->busy ? -EBUSY : 0;
}

int nb_protocol_restrict(struct nb_protocol *protocol, const char *rules, size_t length, uint64_t rights_base,
                         uint64_t rights_inheriting, struct nb_protocol **ret) {
        Nb__Protocol description = NB__PROTOCOL__INIT;
        int fd NB_CLEANUP_FD = -1;
        Nb__Restricted restricted;
        struct asking *asking;
        int r;

        if (rules && length > 0 && !nb_text_is_valid(rules, length, NB_RULES_LENGTH_MAX))
                return -EINVAL;
        r = check_free(protocol);
        if (r < 0)
                return r;
        asking = asking_new(rules, rules ? length : 0);
        if (asking) {
                asking->has_rules = rules != NULL;
                asking->rights_base = rights_base;
                asking->rights_inheriting = rights_inheriting;
        }
        r = ask_restricted(protocol, asking, &restricted, &fd);
        if (r < 0)
                return r;
        description.name = protocol->name;
        description.rights_base = restricted.rights_base;
        description.rights_inheriting = restricted.rights_inheriting;
        r = nb_protocol_new(protocol->endpoint.context, &description, fd, ret);
        if (r == 0)
                (void)nb_steal_fd(&fd);
        return r;
}

int nb_protocol_export(struct nb_protocol *protocol, int *ret_fd) {
        Nb__Restricted restricted;
        struct asking *asking;
        int r = check_free(protocol);

        if (r < 0)
                return r;
        asking = asking_new(NULL, 0);
        if (asking) {
                asking->rights_base = UINT64_MAX;
                asking->rights_inheriting = UINT64_MAX;
        }
        return ask_restricted(protocol, asking, &restricted, ret_fd);
}

/* ---- Describe ---- */

static bool description_is_valid(const Nb__Described *described) {
        const Nb__Protocol *protocol = described->protocol;

        return described->version == NB_PROTOCOL_VERSION && strlen(described->tenant) <= NB_NAME_LENGTH_MAX &&
               protocol && protocol->name[0] != '\0' && strlen(protocol->name) <= NB_NAME_LENGTH_MAX;
}

/* @param ret  borrowed from the context */
static int ask_described(struct nb_endpoint *endpoint, const Nb__Described **ret) {
        Nb__Describe describe = NB__DESCRIBE__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        struct nb_answer answer;
        int r;

        describe.oldest_version = NB_PROTOCOL_VERSION;
        describe.newest_version = NB_PROTOCOL_VERSION;
        request.body_case = NB__REQUEST__BODY_DESCRIBE;
        request.describe = &describe;
        nb_endpoint_begin(endpoint);
        r = nb_exchange(endpoint, &request, true, &answer);
        if (r == 0)
                r = nb_endpoint_settle(endpoint, &answer, NB__REPLY__BODY_DESCRIBED, 0);
        if (r < 0)
                return r;
        if (!description_is_valid(answer.reply->described))
                return nb_endpoint_fail(endpoint, -EPROTO);
        *ret = answer.reply->described;
        return 0;
}

int nb_protocol_new_described(struct nb_context *context, int fd, const char *name, struct nb_protocol **ret,
                              char ret_tenant[static NB_NAME_LENGTH_MAX + 1]) {
        struct nb_endpoint endpoint;
        const Nb__Described *described = NULL;
        int r;

        nb_endpoint_init(&endpoint, context, fd);
        r = ask_described(&endpoint, &described);
        (void)nb_steal_fd(&endpoint.fd); /* the caller's, or the protocol's */
        if (r == 0) {
                Nb__Protocol description = *described->protocol;

                if (name)
                        description.name = (char *)name;
                r = nb_protocol_new(context, &description, fd, ret);
        }
        if (r == 0) {
                (*ret)->endpoint.serial = endpoint.serial;
                memcpy(ret_tenant, described->tenant, strlen(described->tenant) + 1);
        }
        nb_endpoint_deinit(&endpoint);
        return r;
}
