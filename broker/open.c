/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/open.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/control.h"
#include "broker/decision.h"
#include "broker/refusal.h"
#include "broker/session.h"
#include "broker/tenant.h"

/* What every control can use. */
#define RIGHTS_COMMON NB_RIGHTS_CONNECTION

/* What can be derived from a control. */
#define RIGHTS_DERIVED (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM)

/* A missing right is refused, one that no control or stream can use is dropped silently. */
static bool narrow_rights(const Nb__Open *open, uint64_t cap, uint64_t *ret_base, uint64_t *ret_inheriting) {
        uint64_t base = open->rights_base & NB_RIGHTS_CONTROL;
        uint64_t inheriting = open->rights_inheriting & RIGHTS_DERIVED;

        if ((base | inheriting) & ~cap)
                return false;
        *ret_base = base;
        *ret_inheriting = inheriting;
        return true;
}

/* @return the type that is asked for, 0 for one that there is not. */
static enum policy_socket_type type_of(const Nb__Open *open) {
        switch (open->type) {
        case NB__SOCKET_TYPE__SOCKET_TYPE_STREAM:
                return POLICY_SOCKET_STREAM;
        case NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM:
                return POLICY_SOCKET_DGRAM;
        default:
                return 0;
        }
}

/* Why there are no sockets of that type; NULL if there are. */
static const char *why_not_type(const struct grant *grant, enum policy_socket_type type) {
        if (!grant->policy || grant->policy->socket_types & type)
                return NULL;
        return "SocketTypes= does not include this type of socket";
}

/* As the session wrote it, with one spelling for IPv4. The unnamed Unix socket is an address on a protocol of Unix sockets only. */
static int parse_address(const struct grant *grant, const char *text, struct nb_socket_address *ret) {
        struct nb_socket_address address;

        if (nb_socket_address_parse(text, strlen(text), &address) < 0)
                return -EINVAL;
        if (*text == '\0' && !family_fits(grant, AF_UNIX))
                return -EINVAL;
        nb_socket_address_unmap(&address);
        *ret = address;
        return 0;
}

/* Whether the policy lets the session bind there; an open address binds nothing, and is judged when it is used. */
static bool bind_is_granted(const struct asker *asker, const struct nb_socket_address *bind, const char *asked,
                            struct policy_verdict *ret) {
        if (nb_socket_address_is_open(bind))
                return true;
        decide(asker, POLICY_LISTEN, bind, asked, ret);
        return ret->allowed;
}

static int refuse_open(struct endpoint *protocol, const struct asker *asker, const Nb__Open *open,
                       enum nb_wasi_errno error, const char *reason) {
        return refuse(protocol, asker, "open", open->address, error, reason);
}

static int answer_opened(struct endpoint *protocol, const struct control *control, uint64_t rights_inheriting,
                         int their_fd) {
        Nb__Opened opened = NB__OPENED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];

        opened.address = (char *)nb_socket_address_format(&control->bind, text);
        opened.rights_base = control->rights_base;
        opened.rights_inheriting = rights_inheriting;
        reply.body_case = NB__REPLY__BODY_OPENED;
        reply.opened = &opened;
        return endpoint_reply(protocol, &reply, their_fd);
}

/* All is judged. */
static int open_granted(struct endpoint *protocol, const struct asker *asker, const struct control_options *options,
                        uint64_t rights_inheriting) {
        NB_CLEANUP_FD int their_fd = -1;
        struct control *control = NULL;
        int r = control_new(protocol->session, options, &control, &their_fd);

        if (r < 0)
                return refuse_errno(protocol, asker, "open", &options->bind, r);
        r = answer_opened(protocol, control, rights_inheriting, their_fd);
        if (r == 0)
                return 0;
        endpoint_end(&control->endpoint);
        return r == -ETOOMANYREFS ? endpoint_refuse(protocol, NB_WASI_ENFILE, NULL) : r;
}

int open_control(struct endpoint *protocol, struct grant *grant, const struct narrowings *narrowings,
                 uint64_t rights_cap, const Nb__Open *open) {
        struct control_options options = {
                .grant = grant, .narrowings = narrowings, .type = type_of(open), .delegation = protocol->delegation
        };
        struct asker asker = {
                .session = protocol->session, .grant = grant, .narrowings = narrowings, .type = options.type
        };
        struct policy_verdict verdict = { 0 };
        uint64_t rights_inheriting;
        const char *reason;

        reason = options.type == 0 ? "not a type of socket" : why_not_type(grant, options.type);
        if (reason)
                return refuse_open(protocol, &asker, open, NB_WASI_ENOTSUP, reason);
        if (parse_address(grant, open->address, &options.bind) < 0)
                return refuse_open(protocol, &asker, open, NB_WASI_EINVAL, "not an address");
        if (!family_fits(grant, options.bind.family))
                return refuse_open(protocol, &asker, open, NB_WASI_EAFNOSUPPORT,
                                   "Family= does not include this address");
        if (!narrow_rights(open, rights_cap, &options.rights_base, &rights_inheriting))
                return refuse_open(protocol, &asker, open, NB_WASI_ENOTCAPABLE, REFUSAL_NO_RIGHT);
        if (!bind_is_granted(&asker, &options.bind, open->address, &verdict))
                return endpoint_refuse(protocol, NB_WASI_EACCES, verdict.reason);
        return open_granted(protocol, &asker, &options, rights_inheriting);
}

/* ---- preopened sockets ---- */

/* Of the same family, and bound to nothing. */
static struct nb_socket_address open_address_for(const struct nb_socket_address *address) {
        struct nb_socket_address open = { .family = address->family };

        if (address->family != AF_UNIX)
                open.ip.ip.family = address->family;
        return open;
}

static void describe(const struct policy_preopen *preopen, uint64_t rights_base, Nb__Preopen *ret) {
        nb__preopen__init(ret);
        ret->name = preopen->protocol.name;
        ret->kind = preopen->verb == POLICY_LISTEN ? NB__PREOPEN_KIND__PREOPEN_KIND_LISTENER
                                                   : NB__PREOPEN_KIND__PREOPEN_KIND_CONNECTION;
        ret->type = preopen->type == POLICY_SOCKET_DGRAM ? NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM
                                                         : NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
        ret->nonblock = preopen->nonblock;
        ret->rights_base = rights_base;
        ret->rights_inheriting = RIGHTS_DERIVED;
}

int open_preopened(struct session *session, const struct policy_preopen *preopen, Nb__Preopen *message,
                   char address[static NB_SOCKET_ADDRESS_TEXT_MAX], int *ret_fd) {
        bool listens = preopen->verb == POLICY_LISTEN;
        struct control_options options = {
                .grant = tenant_get_grant(session->tenant, &preopen->protocol),
                .narrowings = session->narrowings,
                .type = preopen->type,
                .bind = listens ? preopen->address : open_address_for(&preopen->address),
                .bind_later = true,
                .rights_base =
                        RIGHTS_COMMON | (listens ? NB_RIGHT_SOCK_ACCEPT | NB_RIGHT_SOCK_LISTEN : NB_RIGHT_SOCK_CONNECT),
        };
        struct control *control;
        int r;

        if (!options.grant)
                return -ENOMEM;
        if (!listens)
                options.destination = preopen->address;
        r = control_new(session, &options, &control, ret_fd);
        if (r < 0)
                return r;
        control->endpoint.came_with_welcome = true;
        describe(preopen, options.rights_base, message);
        message->address = (char *)nb_socket_address_format(&preopen->address, address);
        return 0;
}
