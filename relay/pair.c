/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/pair.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <linux/sockios.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "relay/socket_io.h"
#include "relay/calls.h"

/*
 * Messages, and bytes of them, that may be left in the queue although they were forwarded. All in the queue is charged to the guest's end, each message with the
 * kernel's bookkeeping; a guest whose end is charged a quarter of its SO_SNDBUF is told that it cannot write (unix_writable() in net/unix/af_unix.c).
 */
#define SEEN_MAX 4096
#define LOOKS_MAX 16

/* From here on a read is a part of a long transfer. */
#define LONG_READ 8192

struct pair {
        struct transport transport;
        size_t seen;      /* bytes at the head of the queue that were forwarded */
        unsigned n_looks; /* messages that were looked at and are still there */
        size_t n_kept;    /* bytes of those */
        bool is_long;     /* the last read was a long one */
        bool was_told;    /* the guest has been told a clean end */
        bool has_ended;   /* and so have we */
};

static struct pair *pair_of(struct transport *transport) {
        return nb_container_of(transport, struct pair, transport);
}

/* ---- bytes ---- */

/* @return how many bytes are there and were not forwarded */
static size_t count_new(const struct pair *pair) {
        int n;

        if (ioctl(pair->transport.fd, SIOCINQ, &n) < 0 || n < 0 || (size_t)n <= pair->seen)
                return 0;
        return (size_t)n - pair->seen;
}

/* Takes what was seen, but for the last byte. */
static void take_seen(struct pair *pair) {
        uint8_t gone[4096];

        while (pair->seen > 1) {
                size_t n = pair->seen - 1 < sizeof(gone) ? pair->seen - 1 : sizeof(gone);
                ssize_t r = socket_io_receive(pair->transport.fd, gone, n, 0);

                if (r <= 0)
                        break;
                pair->seen -= (size_t)r;
        }
}

static ssize_t look(struct pair *pair, void *buffer, size_t size) {
        ssize_t n = socket_io_receive(pair->transport.fd, buffer, size, MSG_PEEK);

        if (n <= 0) {
                pair->has_ended = n == 0;
                return n;
        }
        pair->transport.is_drained = (size_t)n < size;
        pair->seen += (size_t)n;
        /* A few bytes may be as many writes of the guest's, each charged as hundreds of bytes: what was seen goes at once. */
        take_seen(pair);
        return n;
}

/* Takes what was seen and what is new, but for the last byte. @return as `read`; 0: there is not enough for that */
static ssize_t take(struct pair *pair, void *buffer, size_t size) {
        uint8_t gone[SEEN_MAX + 1];
        struct iovec parts[] = {
                { .iov_base = gone, .iov_len = pair->seen },
                { .iov_base = buffer, .iov_len = size },
        };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
        size_t n_new = count_new(pair);
        ssize_t n;

        if (n_new < LONG_READ || pair->seen > sizeof(gone))
                return 0;
        if (n_new - 1 < size)
                parts[1].iov_len = n_new - 1;
        do
                n = recvmsg(pair->transport.fd, &message, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        if ((size_t)n <= pair->seen) {
                pair->seen -= (size_t)n;
                return 0;
        }
        n -= (ssize_t)pair->seen;
        pair->seen = 0;
        return n;
}

static ssize_t pair_read(struct transport *transport, void *buffer, size_t size) {
        struct pair *pair = pair_of(transport);
        ssize_t n;

        transport->is_drained = false;
        n = pair->is_long ? take(pair, buffer, size) : 0;

        if (n == 0)
                n = look(pair, buffer, size);
        pair->is_long = n >= LONG_READ;
        return n;
}

static ssize_t pair_splice(struct transport *transport, int pipe_fd, size_t size) {
        struct pair *pair = pair_of(transport);
        size_t n_new = count_new(pair);
        uint8_t gone;
        ssize_t n;

        if (n_new < LONG_READ)
                return TRANSPORT_SHORT;
        take_seen(pair);
        if (pair->seen == 1 && socket_io_receive(transport->fd, &gone, 1, 0) == 1)
                pair->seen = 0;
        if (pair->seen > 0)
                return TRANSPORT_SHORT;
        n = socket_io_splice(transport->fd, pipe_fd, n_new - 1 < size ? n_new - 1 : size);
        return n == 0 ? TRANSPORT_SHORT : n;
}

static ssize_t pair_write(struct transport *transport, const void *bytes, size_t size) {
        return socket_io_send(transport->fd, bytes, size);
}

ssize_t pair_write_parts(struct transport *transport, const struct iovec *parts, size_t n_parts) {
        const struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = n_parts };
        ssize_t n;

        if (n_parts == 1)
                return socket_io_send(transport->fd, parts->iov_base, parts->iov_len);
        do
                n = sendmsg(transport->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

void pair_refuse(struct transport *transport) {
        (void)shutdown(transport->fd, SHUT_RD);
}

static int pair_finish(struct transport *transport) {
        int r = socket_io_finish(transport->fd);

        pair_of(transport)->was_told = r == 0;
        return r;
}

void pair_settle(struct transport *transport) {
        (void)pair_finish(transport);
        pair_of(transport)->has_ended = true;
}

/* Where both directions have ended as they should, nothing is left in the queue that would make a reset of it. */
static void pair_free(struct transport *transport) {
        struct pair *pair = pair_of(transport);
        uint8_t gone[4096];
        ssize_t n = sizeof(gone);

        /* Less than was asked for is all that there was. */
        while (n == sizeof(gone) && pair->was_told && pair->has_ended)
                n = socket_io_receive(transport->fd, gone, sizeof(gone), 0);
        (void)nb_fd_close(transport->fd);
        free(pair);
}

static const struct transport_ops pair_ops = {
        .read = pair_read,
        .write = pair_write,
        .finish = pair_finish,
        .free = pair_free,
        .splice = pair_splice,
};

/* ---- messages ---- */

static ssize_t receive_message(int fd, void *buffer, size_t size, int flags, int *ret_flags) {
        struct iovec iov = { .iov_base = buffer, .iov_len = size };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        do
                n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC | flags);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        *ret_flags = message.msg_flags;
        return n;
}

static void set_option(int fd, int option, int value) {
        (void)setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value));
}

/* Takes the messages that were looked at before the last one, which stays. */
static void take_messages(struct pair *pair, size_t last) {
        uint8_t gone;
        int flags;

        for (; pair->n_looks > 0; --pair->n_looks) {
                if (receive_message(pair->transport.fd, &gone, sizeof(gone), 0, &flags) < 0)
                        break;
        }
        pair->n_looks = 0;
        pair->n_kept = 0;
        pair->seen = last;
        /* It counts bytes, and of a message that was cut it has counted too few. */
        set_option(pair->transport.fd, SO_PEEK_OFF, (int)last);
}

/* @return as `read`; what is larger than the buffer is lost */
static ssize_t message_read(struct transport *transport, void *buffer, size_t size) {
        struct pair *pair = pair_of(transport);
        size_t length;
        ssize_t n;
        int flags;

        n = receive_message(transport->fd, buffer, size, MSG_PEEK, &flags);
        if (n < 0)
                return n;
        if (n == 0 && !(flags & MSG_CTRUNC)) {
                pair->has_ended = true;
                return 0;
        }
        length = (size_t)n;
        pair->n_looks++;
        pair->n_kept += length;
        if (pair->n_looks >= LOOKS_MAX || pair->n_kept > SEEN_MAX)
                take_messages(pair, length);
        if (length > size)
                return TRANSPORT_TOO_LONG;
        return length == 0 ? TRANSPORT_EMPTY : n;
}

/* As pair_free(); an empty message is not the last. */
static void message_free(struct transport *transport) {
        const struct pair *pair = pair_of(transport);
        bool is_over = pair->was_told && pair->has_ended;
        int flags = MSG_CTRUNC;
        uint8_t gone;

        for (ssize_t n = 0; is_over && n >= 0 && (n > 0 || flags & MSG_CTRUNC);)
                n = receive_message(transport->fd, &gone, sizeof(gone), 0, &flags);
        pair_free(transport);
}

static const struct transport_ops message_ops = {
        .read = message_read,
        .write = pair_write,
        .finish = pair_finish,
        .free = message_free,
};

struct transport *transport_new_pair(int fd, bool datagrams) {
        struct pair *pair = malloc(sizeof(*pair));

        if (!pair)
                return NULL;
        /* Urgent bytes would stand aside of the queue. */
        set_option(fd, SO_OOBINLINE, 1);
        set_option(fd, SO_PEEK_OFF, 1);
        if (datagrams)
                set_option(fd, SO_TIMESTAMP, 1);
        *pair = (struct pair){
                .transport = { .ops = datagrams ? &message_ops : &pair_ops, .fd = fd },
                .seen = 1,
        };
        return &pair->transport;
}

/* The guest's end is treated as the broker treats those that it makes. */
static int prepare_guests(int fd, bool datagrams) {
        nb_channel_refuse_fds(fd);
        if (datagrams)
                set_option(fd, SO_TIMESTAMP, 1);
        return socket_io_send(fd, "", 1) == 1 ? 0 : -EIO;
}

int pair_new(bool datagrams, struct transport **ret, int *ret_guest_fd) {
        NB_CLEANUP_FD int guest_fd = -1, our_fd = -1;
        struct transport *ours;
        int ends[2], r;

        if (socketpair(AF_UNIX, (datagrams ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        our_fd = ends[0];
        guest_fd = ends[1];
        nb_channel_refuse_fds(our_fd);
        r = prepare_guests(guest_fd, datagrams);
        if (r < 0)
                return r;
        ours = transport_new_pair(our_fd, datagrams);
        if (!ours)
                return -ENOMEM;
        (void)nb_steal_fd(&our_fd);
        *ret = ours;
        *ret_guest_fd = nb_steal_fd(&guest_fd);
        return 0;
}

/* Of these kinds alone: an end of SOCK_DGRAM sends to any socket that it names, whomever it is connected to. */
#define CALL_PAIR(type)                                                                                                \
        {                                                                                                              \
                .number = SCMP_SYS(socketpair),                                                                        \
                .why = "streams of a connection that has many: a pair leads nowhere but to who gets its ends",         \
                .n_where = 2, .where = {                                                                               \
                        { 0, AF_UNIX },                                                                                \
                        { 1, (type) | SOCK_NONBLOCK | SOCK_CLOEXEC }                                                   \
                }                                                                                                      \
        }

static const struct confine_call calls[] = {
        CALL_PAIR(SOCK_STREAM),
        CALL_PAIR(SOCK_SEQPACKET),
        CONFINE_CALL(sendmsg, "what the peer has sent, in parts; and a pair's end to the guest's host, over a channel "
                              "that the broker has made"),
        CONFINE_CALL(recvmsg, "what the guest has written"),
        CONFINE_CALL_WHERE(ioctl, 1, SIOCINQ, "how much that is"),
        CONFINE_OPTION(SOL_SOCKET, SO_PEEK_OFF, "how far it was looked at"),
        CONFINE_OPTION(SOL_SOCKET, SO_OOBINLINE, "its order"),
        CONFINE_OPTION(SOL_SOCKET, SO_TIMESTAMP, "empty messages"),
        CONFINE_OPTION(SOL_SOCKET, 83, "no descriptors"),
};
const struct confine_list pair_calls = CONFINE_LIST(calls);
