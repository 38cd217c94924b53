/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/client/call.h"
#include "shim/client/control.h"

/* The request that an interrupted nb_open() left outstanding. */
struct opening {
        enum nb_socket_type type;
        uint64_t rights_base;
        uint64_t rights_inheriting;
        char address[]; /* NUL-terminated */
};

struct nb_protocol {
        unsigned n_references;
        struct nb_endpoint endpoint;
        uint64_t rights_base;
        uint64_t rights_inheriting;
        struct nb_spare *spare;  /* one reference */
        struct opening *opening; /* not NULL exactly while the endpoint's request is outstanding */
        bool busy;               /* an nb_open() waits */
        char name[];
};

int nb_protocol_new(struct nb_context *context, const Nb__Protocol *description, int fd, struct nb_protocol **ret) {
        size_t size = strlen(description->name) + 1;
        struct nb_protocol *protocol = calloc(1, sizeof(*protocol) + size);

        if (!protocol)
                return -ENOMEM;
        protocol->spare = nb_spare_new();
        if (!protocol->spare) {
                free(protocol);
                return -ENOMEM;
        }
        protocol->n_references = 1;
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

struct nb_protocol *nb_protocol_unref(struct nb_protocol *protocol) {
        if (!protocol || --protocol->n_references > 0)
                return NULL;
        nb_spare_close(protocol->spare);
        protocol->spare = nb_spare_unref(protocol->spare);
        nb_endpoint_deinit(&protocol->endpoint);
        free(protocol->opening);
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

static struct opening *opening_new(const char *address, size_t length, enum nb_socket_type type, uint64_t rights_base,
                                   uint64_t rights_inheriting) {
        struct opening *opening = malloc(sizeof(*opening) + length + 1);

        if (!opening)
                return NULL;
        opening->type = type;
        opening->rights_base = rights_base;
        opening->rights_inheriting = rights_inheriting;
        memcpy(opening->address, address, length);
        opening->address[length] = '\0';
        return opening;
}

static bool opening_equal(const struct opening *a, const struct opening *b) {
        return a->type == b->type && a->rights_base == b->rights_base && a->rights_inheriting == b->rights_inheriting &&
               strcmp(a->address, b->address) == 0;
}

/* Waits for the answer to the request that is outstanding. */
static int finish(struct nb_protocol *protocol, struct nb_answer *ret) {
        struct nb_endpoint *endpoint = &protocol->endpoint;
        struct opening *opening = protocol->opening;
        Nb__Open open = NB__OPEN__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        int r;

        open.address = opening->address;
        open.type = (Nb__SocketType)opening->type;
        open.rights_base = opening->rights_base;
        open.rights_inheriting = opening->rights_inheriting;
        request.body_case = NB__REQUEST__BODY_OPEN;
        request.open = &open;

        r = nb_exchange(endpoint, &request, true, ret);
        if (r == 0)
                r = nb_endpoint_settle(endpoint, ret, NB__REPLY__BODY_OPENED, 1);
        if (!endpoint->outstanding) {
                free(protocol->opening);
                protocol->opening = NULL;
        }
        return r;
}

/* Another nb_open() was interrupted and is not being repeated: its answer comes first, and is not wanted. */
static int abandon(struct nb_protocol *protocol) {
        struct nb_answer answer;
        int r = finish(protocol, &answer);

        if (r == 0)
                nb_channel_fds_close(&answer.fds);
        return protocol->opening ? r : protocol->endpoint.error;
}

static int ask(struct nb_protocol *protocol, struct opening *consumed, struct nb_answer *ret) {
        struct opening *opening NB_CLEANUP_FREE = consumed;
        int r;

        if (protocol->opening && !opening_equal(protocol->opening, opening)) {
                r = abandon(protocol);
                if (r < 0)
                        return r;
        }
        if (!protocol->opening) {
                protocol->opening = nb_steal_ptr(opening);
                nb_endpoint_begin(&protocol->endpoint);
        }
        return finish(protocol, ret);
}

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
        struct opening *opening;
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
        opening = opening_new(address, length, type, rights_base, rights_inheriting);
        if (!opening)
                return -ENOMEM;
        protocol->busy = true;
        r = ask(protocol, opening, &answer);
        protocol->busy = false;
        return r < 0 ? r : make_control(protocol, &answer, type, flags, ret);
}
