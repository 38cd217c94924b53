/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/datagram/batch.h"

#include <errno.h>
#include <stdlib.h>

struct batch *batch_new(void) {
        return calloc(1, sizeof(struct batch));
}

static void expect(struct batch *batch, unsigned i) {
        batch->parts[i] = (struct iovec){ .iov_base = batch->bytes[i], .iov_len = BATCH_MESSAGE_MAX };
        batch->headers[i].msg_hdr = (struct msghdr){ .msg_iov = &batch->parts[i], .msg_iovlen = 1 };
}

/* @return as batch_receive() */
static int receive(struct batch *batch, int fd) {
        int n;

        do
                n = recvmmsg(fd, batch->headers, BATCH_SIZE, MSG_DONTWAIT, NULL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        batch->n = (unsigned)n;
        batch->sent = 0;
        return n > 0 ? n : -EAGAIN;
}

int batch_receive(struct batch *batch, int fd) {
        for (unsigned i = 0; i < BATCH_SIZE; ++i)
                expect(batch, i);
        return receive(batch, fd);
}

int batch_receive_routed(struct batch *batch, int fd, size_t control_size) {
        for (unsigned i = 0; i < BATCH_SIZE; ++i) {
                expect(batch, i);
                route_expect(&batch->routes[i], control_size, &batch->headers[i].msg_hdr);
        }
        return receive(batch, fd);
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
