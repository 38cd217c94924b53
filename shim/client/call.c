/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/call.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "proto/wasi.h"

void nb_endpoint_init(struct nb_endpoint *endpoint, struct nb_context *context, int fd) {
        *endpoint = (struct nb_endpoint){ .context = nb_context_ref(context), .fd = fd };
}

void nb_endpoint_deinit(struct nb_endpoint *endpoint) {
        endpoint->fd = nb_fd_close(endpoint->fd);
        endpoint->context = nb_context_unref(endpoint->context);
}

int nb_endpoint_fail(struct nb_endpoint *endpoint, int error) {
        endpoint->error = error;
        endpoint->outstanding = false;
        endpoint->unsent = false;
        (void)shutdown(endpoint->fd, SHUT_RDWR);
        return error;
}

void nb_endpoint_begin(struct nb_endpoint *endpoint) {
        endpoint->serial++;
        endpoint->n_sent = 0;
        endpoint->outstanding = true;
        endpoint->unsent = true;
        endpoint->is_repeated = false;
}

void nb_endpoint_repeat(struct nb_endpoint *endpoint, const Nb__Resumed *resumed) {
        if (endpoint->serial < resumed->serial)
                endpoint->serial = resumed->serial;
        endpoint->serial++;
        endpoint->unsent = true;
        endpoint->is_repeated = true;
        endpoint->n_resumed++;
}

void nb_endpoint_replace(struct nb_endpoint *endpoint, int fd) {
        nb_fd_close(endpoint->fd);
        endpoint->fd = fd;
        endpoint->error = 0;
        endpoint->serial = endpoint->outstanding ? 1 : 0;
        endpoint->n_sent = 0;
        endpoint->unsent = endpoint->outstanding;
        endpoint->is_repeated = false;
}

int nb_endpoint_send(struct nb_endpoint *endpoint, Nb__Request *request) {
        int r = nb_request_send(endpoint->fd, request, NULL, 0);

        return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

int nb_endpoint_flush(struct nb_endpoint *endpoint, Nb__Request *request) {
        int r;

        if (!endpoint->unsent)
                return 0;
        request->serial = endpoint->serial;
        r = nb_endpoint_send(endpoint, request);
        if (r < 0)
                return r;
        endpoint->unsent = false;
        endpoint->n_sent++;
        return 0;
}

/* A Reply has one field, whose number is in the first byte. What a socket was told of its peer's end stands in front of what that had sent before. */
int nb_endpoint_peek(const struct nb_endpoint *endpoint, Nb__Reply__BodyCase *ret) {
        uint8_t key;
        ssize_t n = recv(endpoint->fd, &key, sizeof(key), MSG_PEEK | MSG_DONTWAIT);

        if (n < 0 && errno == ECONNRESET)
                n = recv(endpoint->fd, &key, sizeof(key), MSG_PEEK | MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
                return -EPIPE;
        if (n < 0)
                return -errno;
        *ret = (Nb__Reply__BodyCase)(key >> 3);
        return 0;
}

/* Whether what came would leave the host without descriptors of its own. */
static bool takes_reserve(const struct nb_context *context, const struct nb_channel_fds *fds) {
        for (size_t i = 0; i < fds->n; ++i) {
                if (fds->fds[i] >= context->fd_limit)
                        return true;
        }
        return false;
}

/* A peer that closes with something unread leaves ECONNRESET once, in front of what it had sent before. */
static int receive(struct nb_endpoint *endpoint, struct nb_channel_fds *fds) {
        int r = nb_channel_receive(endpoint->fd, endpoint->context->frame, fds);

        if (r == -ECONNRESET)
                r = nb_channel_receive(endpoint->fd, endpoint->context->frame, fds);
        if (r == 0 || r == -ECONNRESET)
                return nb_endpoint_fail(endpoint, -EPIPE);
        if (r == -EBADMSG)
                return nb_endpoint_fail(endpoint, -EPROTO);
        if (r > 0 && takes_reserve(endpoint->context, fds)) {
                nb_channel_fds_close(fds);
                fds->n_bytes_lost = (size_t)r;
                r = -EMFILE;
        }
        return r;
}

/* A broker that has said Resumed was asked nothing before the repetition. */
static bool is_due(const struct nb_endpoint *endpoint, const Nb__Reply *reply) {
        return reply->body_case == NB__REPLY__BODY_RESUMED || !endpoint->unsent || !endpoint->is_repeated;
}

int nb_endpoint_receive(struct nb_endpoint *endpoint, struct nb_answer *ret) {
        struct nb_context *context = endpoint->context;
        Nb__Reply *reply;
        size_t length;
        int received;

        received = receive(endpoint, &ret->fds);
        if (received < 0 && received != -EMFILE)
                return received;
        length = received < 0 ? ret->fds.n_bytes_lost : (size_t)received;
        if (nb_reply_decode(&context->arena, context->frame, length, &reply) < 0 || !is_due(endpoint, reply)) {
                nb_channel_fds_close(&ret->fds);
                return nb_endpoint_fail(endpoint, -EPROTO);
        }
        ret->reply = reply;
        return received < 0 ? received : 0;
}

/* Receives the next frame that says something to the caller. Returns 1 when the request must be sent again first. */
static int next_answer(struct nb_endpoint *endpoint, struct nb_answer *ret) {
        for (unsigned n_resumed = 0; n_resumed <= NB_RESUMED_MAX; ++n_resumed) {
                int r = nb_endpoint_receive(endpoint, ret);

                if (r == -EAGAIN && n_resumed > 0)
                        return 1;
                if (r == -EMFILE)
                        endpoint->outstanding = false;
                if (r < 0 || ret->reply->body_case != NB__REPLY__BODY_RESUMED)
                        return r;
                if (ret->fds.n > 0) {
                        nb_channel_fds_close(&ret->fds);
                        break;
                }
                nb_endpoint_repeat(endpoint, ret->reply->resumed);
        }
        return nb_endpoint_fail(endpoint, -EPROTO);
}

int nb_exchange(struct nb_endpoint *endpoint, Nb__Request *request, bool wait, struct nb_answer *ret) {
        bool asked = false;
        int r;

        while (endpoint->error == 0) {
                if (endpoint->unsent) {
                        r = nb_endpoint_flush(endpoint, request);
                        if (r < 0 && r != -EAGAIN)
                                return r;
                        asked = r == 0;
                }

                /* An answer takes a while: looking for it at once would be a system call for nothing. */
                r = asked ? -EAGAIN : next_answer(endpoint, ret);
                asked = false;
                if (r == 1)
                        continue;
                if (r != -EAGAIN || !wait)
                        return r;
                r = nb_context_wait(endpoint->context, endpoint->fd, POLLIN | (endpoint->unsent ? POLLOUT : 0));
                if (r < 0)
                        return r;
        }
        return endpoint->error;
}

static int refused(struct nb_endpoint *endpoint, const Nb__Refused *refusal) {
        int error = nb_wasi_errno_to_host(refusal->error);

        if (error <= 0 || refusal->error > NB_WASI_ENOTCAPABLE || strlen(refusal->reason) > NB_REASON_LENGTH_MAX)
                return nb_endpoint_fail(endpoint, -EPROTO);
        if (error == EACCES)
                nb_context_set_denial(endpoint->context, refusal->reason);
        return -error;
}

int nb_endpoint_settle(struct nb_endpoint *endpoint, struct nb_answer *answer, Nb__Reply__BodyCase expected,
                       size_t n_fds) {
        const Nb__Reply *reply = answer->reply;

        endpoint->outstanding = false;
        endpoint->unsent = false;
        if (reply->body_case == expected && answer->fds.n == n_fds)
                return 0;
        if (reply->body_case == NB__REPLY__BODY_REFUSED && answer->fds.n == 0)
                return refused(endpoint, reply->refused);
        nb_channel_fds_close(&answer->fds);
        return nb_endpoint_fail(endpoint, -EPROTO);
}

bool nb_text_is_valid(const char *text, size_t length, size_t max) {
        return length > 0 && length <= max && nb_utf8_is_text((const uint8_t *)text, length);
}
