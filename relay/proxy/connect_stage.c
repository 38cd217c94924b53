/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/connect_stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/list.h"
#include "relay/context.h"
#include "relay/link.h"
#include "relay/proxy/exchange.h"
#include "relay/proxy/http_request.h"
#include "relay/proxy/http_response.h"
#include "relay/stage.h"

#define NAME "CONNECT"

/* How much of an answer is read at once, and so the most that can be behind it. */
#define PIECE 4096

_Static_assert(PIECE <= TRANSPORT_REST_MAX, "what is behind an answer can be kept");

struct connect_stage {
        struct stage stage;
        struct proxy_target target;
        char text[PROXY_TARGET_TEXT_MAX]; /* of the target, for messages */
        struct context *password;         /* a reference; NULL: none */
        char *request;                    /* owned, wiped; NULL: not made yet, or sent */
        size_t request_length;
        size_t sent;
        struct http_response response;
};

static void drop_request(struct connect_stage *connect) {
        if (connect->request)
                explicit_bzero(connect->request, HTTP_REQUEST_MAX);
        free(connect->request);
        connect->request = NULL;
}

static int make_request(struct connect_stage *connect, struct link *link) {
        struct context *password = connect->password;
        int r;

        connect->request = malloc(HTTP_REQUEST_MAX);
        if (!connect->request)
                return link_fail_io(link, NAME, -ENOMEM);
        r = http_request_format(&connect->target, password ? password->password : NULL, connect->request,
                                &connect->request_length);
        if (r == -EINVAL)
                return link_fail(
                        link, NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD,
                        "nothing was sent to the proxy: the user or the password for it has a space, a control "
                        "character, or no byte at all");
        return r < 0 ? link_fail_io(link, NAME, r) : 0;
}

static int send_request(struct connect_stage *connect, struct link *link) {
        int r = connect->request ? 0 : make_request(connect, link);

        if (r < 0)
                return r;
        r = exchange_send(link, connect->request, connect->request_length, &connect->sent);
        if (r == -EAGAIN)
                return r;
        drop_request(connect);
        return r < 0 ? exchange_fail(link, NAME, connect->text, r) : 0;
}

/* What the answer comes to. */
static int judge(const struct connect_stage *connect, struct link *link) {
        const struct http_response *response = &connect->response;
        Nb__Relay__Cause cause = http_status_cause(response->status);
        char reason[HTTP_REASON_MAX * 4 + 4];

        if (cause == NB__RELAY__CAUSE__CAUSE_UNSPECIFIED)
                return 0;
        nb_escape(response->reason, response->reason_length, reason, sizeof(reason));
        if (cause != NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD)
                return link_fail(link, cause, "the proxy does not connect to %s: %u %s", connect->text,
                                 response->status, reason);
        return link_fail(link, cause, "the proxy wants %s user and password: %u %s",
                         connect->password ? "another" : "a", response->status, reason);
}

/* Puts what was read too far in front of what is to come. */
static int keep_rest(struct link *link, const uint8_t *bytes, size_t length) {
        struct transport *top;

        if (length == 0)
                return 0;
        top = transport_new_rest(link->peer, bytes, length);
        if (!top)
                return link_fail_io(link, NAME, -ENOMEM);
        link->peer = top;
        return 0;
}

static int receive_answer(struct connect_stage *connect, struct link *link) {
        struct http_response *response = &connect->response;
        uint8_t piece[PIECE];
        size_t used = 0;
        ssize_t n;
        int r;

        do {
                n = link->peer->ops->read(link->peer, piece, sizeof(piece));
                if (n == -EAGAIN)
                        return -EAGAIN;
                if (n <= 0)
                        return exchange_fail(link, NAME, connect->text, n < 0 ? (int)n : -ENODATA);
                r = http_response_feed(response, piece, (size_t)n, &used);
        } while (r == -EAGAIN);
        if (r < 0)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_PROXY_PROTOCOL,
                                 "the proxy's answer to CONNECT %s is none: %s", connect->text, response->complaint);
        r = judge(connect, link);
        return r < 0 ? r : keep_rest(link, piece + used, (size_t)n - used);
}

static int run(struct stage *stage, struct link *link) {
        struct connect_stage *connect = nb_container_of(stage, struct connect_stage, stage);
        bool is_sent = connect->request_length > 0 && connect->sent == connect->request_length;
        int r = is_sent ? 0 : send_request(connect, link);

        return r < 0 ? r : receive_answer(connect, link);
}

static void free_stage(struct stage *stage) {
        struct connect_stage *connect = nb_container_of(stage, struct connect_stage, stage);

        drop_request(connect);
        context_unref(connect->password);
        free(connect);
}

static const struct stage_ops ops = { .name = NAME, .run = run, .free = free_stage };

struct stage *connect_stage_new(const struct proxy_target *target, const char *text, struct context *password) {
        struct connect_stage *connect = calloc(1, sizeof(*connect));

        if (!connect)
                return NULL;
        connect->stage.ops = &ops;
        nb_list_init(&connect->stage.in_link);
        connect->target = *target;
        /* A target that was parsed fits. */
        memcpy(connect->text, text, strnlen(text, sizeof(connect->text) - 1));
        connect->password = password;
        return &connect->stage;
}
