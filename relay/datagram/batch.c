/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/datagram/batch.h"

#include <errno.h>
#include <stdlib.h>

struct batch *batch_new(void) {
        return calloc(1, sizeof(struct batch));
}

int batch_receive(struct batch *batch, int fd, bool with_routes) {
        int n;

        for (unsigned i = 0; i < BATCH_SIZE; ++i) {
                struct msghdr *message = &batch->headers[i].msg_hdr;

                batch->parts[i] = (struct iovec){ .iov_base = batch->bytes[i], .iov_len = BATCH_MESSAGE_MAX };
                *message = (struct msghdr){ .msg_iov = &batch->parts[i], .msg_iovlen = 1 };
                if (with_routes)
                        route_expect(&batch->routes[i], message);
        }
        do
                n = recvmmsg(fd, batch->headers, BATCH_SIZE, MSG_DONTWAIT, NULL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        batch->n = (unsigned)n;
        batch->sent = 0;
        return n > 0 ? n : -EAGAIN;
}

bool batch_is_end(const struct batch *batch, unsigned i) {
        return batch->headers[i].msg_len == 0 && !(batch->headers[i].msg_hdr.msg_flags & MSG_CTRUNC);
}

bool batch_is_cut(const struct batch *batch, unsigned i) {
        return batch->headers[i].msg_hdr.msg_flags & MSG_TRUNC;
}

void batch_address(struct batch *batch, unsigned n, const struct route *route) {
        for (unsigned i = 0; i < n; ++i) {
                batch->parts[i].iov_len = batch->headers[i].msg_len;
                route_back(route, &batch->routes[i], &batch->headers[i].msg_hdr);
        }
        batch->n = n;
        batch->sent = 0;
}

int batch_send(struct batch *batch, int fd, uint64_t *n_skipped) {
        while (batch->sent < batch->n) {
                int n = sendmmsg(fd, batch->headers + batch->sent, batch->n - batch->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return -EAGAIN;
                if (n < 0) {
                        ++*n_skipped;
                        n = 1;
                }
                batch->sent += (unsigned)n;
        }
        batch->n = 0;
        batch->sent = 0;
        return 0;
}
