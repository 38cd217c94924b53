/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/outgoing.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "relay/quic/socket.h"

/* The longest message and the most packets in it that every kernel with UDP_SEGMENT takes. */
#define MESSAGE_MAX 65000
#define SEGMENTS_MAX 64

/* Bytes of one batch: little enough to stay in the processor's cache between what encrypts it and what sends it. */
#define BATCH_BYTES (2 * 65536)
#define BATCH_MESSAGES 64

#define CONTROL_SIZE (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t)))

struct message {
        struct quic_path path;
        uint8_t ecn;
        bool is_closed; /* nothing more goes with it */
        size_t segment; /* the size of its packets, but for the last */
        size_t n_segments;
        _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
};

struct quic_outgoing {
        unsigned n;    /* messages */
        unsigned sent; /* those of them that are gone */
        size_t used;   /* bytes */
        struct mmsghdr headers[BATCH_MESSAGES];
        struct iovec parts[BATCH_MESSAGES];
        struct message messages[BATCH_MESSAGES];
        uint8_t bytes[BATCH_BYTES];
};

struct quic_outgoing *quic_outgoing_new(void) {
        return calloc(1, sizeof(struct quic_outgoing));
}

bool quic_outgoing_is_empty(const struct quic_outgoing *out) {
        return out->n == 0;
}

uint8_t *quic_outgoing_room(struct quic_outgoing *out) {
        if (out->n == BATCH_MESSAGES || BATCH_BYTES - out->used < QUIC_PACKET_MAX)
                return NULL;
        return out->bytes + out->used;
}

void quic_outgoing_clear(struct quic_outgoing *out) {
        out->n = 0;
        out->sent = 0;
        out->used = 0;
}

/* ---- messages ---- */

static bool goes_with(const struct message *message, size_t message_length, size_t length, const struct quic_path *path,
                      uint8_t ecn) {
        return !message->is_closed && message->n_segments < SEGMENTS_MAX && length <= message->segment &&
               message_length + length <= MESSAGE_MAX && ecn == message->ecn &&
               quic_address_equal(&message->path.remote, &path->remote) &&
               quic_address_equal(&message->path.local, &path->local);
}

static void begin_message(struct quic_outgoing *out, size_t length, const struct quic_path *path, uint8_t ecn,
                          bool is_closed) {
        struct message *message = &out->messages[out->n];

        message->path = *path;
        message->ecn = ecn;
        message->is_closed = is_closed;
        message->segment = length;
        message->n_segments = 1;
        out->parts[out->n] = (struct iovec){ .iov_base = out->bytes + out->used, .iov_len = length };
        out->n++;
}

void quic_outgoing_add(struct quic_outgoing *out, const struct quic_way *way, size_t length,
                       const struct quic_path *path, uint8_t ecn, bool alone) {
        struct message *last = out->n > 0 ? &out->messages[out->n - 1] : NULL;
        struct iovec *part = out->n > 0 ? &out->parts[out->n - 1] : NULL;

        if (!last || alone || !goes_with(last, part->iov_len, length, path, ecn)) {
                begin_message(out, length, path, ecn, alone || !way->has_segments);
        } else {
                part->iov_len += length;
                last->n_segments++;
                last->is_closed = length < last->segment;
        }
        out->used += length;
}

/* ---- what the kernel is told with a message ---- */

static void put_control(struct msghdr *header, int level, int type, const void *data, size_t size) {
        struct cmsghdr *c = (void *)((uint8_t *)header->msg_control + header->msg_controllen); /* CMSG_SPACE() aligns */

        c->cmsg_level = level;
        c->cmsg_type = type;
        c->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(c), data, size);
        header->msg_controllen += CMSG_SPACE(size);
}

static void put_local(struct msghdr *header, const union quic_address *local) {
        struct in_pktinfo in = { .ipi_ifindex = 0 };
        struct in6_pktinfo in6 = { .ipi6_ifindex = 0 };

        if (local->any.sa_family == AF_INET) {
                in.ipi_spec_dst = local->in.sin_addr;
                put_control(header, IPPROTO_IP, IP_PKTINFO, &in, sizeof(in));
                return;
        }
        in6.ipi6_addr = local->in6.sin6_addr;
        in6.ipi6_ifindex = local->in6.sin6_scope_id;
        put_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &in6, sizeof(in6));
}

static void put_ecn(struct msghdr *header, const union quic_address *to, uint8_t ecn) {
        const int value = ecn;

        if (to->any.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&to->in6.sin6_addr))
                put_control(header, IPPROTO_IP, IP_TOS, &value, sizeof(value));
        else
                put_control(header, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof(value));
}

/* @param segment  0: it is not to be cut */
static void address_header(struct msghdr *header, struct message *message, struct iovec *part,
                           const struct quic_way *way, uint16_t segment) {
        memset(message->control, 0, sizeof(message->control));
        *header = (struct msghdr){
                .msg_name = way->is_connected ? NULL : &message->path.remote,
                .msg_namelen = way->is_connected ? 0 : quic_address_size(&message->path.remote),
                .msg_iov = part,
                .msg_iovlen = 1,
                .msg_control = message->control,
        };
        if (way->names_local)
                put_local(header, &message->path.local);
        if (message->ecn != 0)
                put_ecn(header, &message->path.remote, message->ecn);
        if (segment != 0)
                put_control(header, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
        if (header->msg_controllen == 0)
                header->msg_control = NULL;
}

static void address_all(struct quic_outgoing *out, const struct quic_way *way) {
        for (unsigned i = out->sent; i < out->n; ++i) {
                struct message *message = &out->messages[i];

                address_header(&out->headers[i].msg_hdr, message, &out->parts[i], way,
                               message->n_segments > 1 ? (uint16_t)message->segment : 0);
        }
}

/* ---- sending ---- */

/* @return how many are gone (> 0), or -errno of the first */
static int send_some(const struct quic_way *way, struct mmsghdr *headers, unsigned n) {
        int sent;

        do
                sent = sendmmsg(way->fd, headers, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        return sent < 0 ? -errno : sent;
}

/* Whether an error says something of the socket, or of whom it is connected to, and not of this one message. */
static bool is_of_socket(int error) {
        return error != EMSGSIZE && error != ENOBUFS && error != ENOMEM && error != EPERM && error != EINVAL &&
               error != EIO;
}

/* That the socket was ended is told once, and what came of that for the messages behind is no news. */
static void note_error(struct quic_way *way, int error) {
        if (is_of_socket(error) && way->error != ECONNABORTED)
                way->error = error;
}

/* Sends a message packet by packet. What is gone of it is taken from its part. @return 0, or -EAGAIN */
static int send_cut(struct quic_outgoing *out, unsigned i, struct quic_way *way) {
        struct message *message = &out->messages[i];
        struct iovec *left = &out->parts[i];

        while (left->iov_len > 0) {
                size_t length = left->iov_len < message->segment ? left->iov_len : message->segment;
                struct iovec part = { .iov_base = left->iov_base, .iov_len = length };
                struct mmsghdr header = { .msg_len = 0 };
                int r;

                address_header(&header.msg_hdr, message, &part, way, 0);
                r = send_some(way, &header, 1);
                if (r == -EAGAIN)
                        return r;
                if (r < 0)
                        note_error(way, -r);
                left->iov_base = (uint8_t *)left->iov_base + length;
                left->iov_len -= length;
        }
        return 0;
}

/* One that the kernel refuses: a cut one may go in parts, another is lost. @return 0: it is gone; -EAGAIN */
static int send_refused(struct quic_outgoing *out, unsigned i, struct quic_way *way, int error) {
        if (out->messages[i].n_segments > 1 && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
                way->has_segments = way->has_segments && error == EMSGSIZE;
                return send_cut(out, i, way);
        }
        note_error(way, error);
        return 0;
}

int quic_outgoing_send(struct quic_outgoing *out, struct quic_way *way) {
        address_all(out, way);
        while (out->sent < out->n) {
                int r = send_some(way, out->headers + out->sent, out->n - out->sent);

                if (r < 0 && r != -EAGAIN) {
                        r = send_refused(out, out->sent, way, -r);
                        if (r == 0)
                                r = 1;
                }
                if (r < 0)
                        return -EAGAIN;
                out->sent += (unsigned)r;
        }
        quic_outgoing_clear(out);
        return 0;
}
