/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/wasi.h"
#include "shim/wasi/iovec.h"

#define RIFLAGS_PEEK 0x1u
#define RIFLAGS_WAITALL 0x2u
#define ROFLAGS_DATA_TRUNCATED 0x1u
#define SDFLAGS_RD 0x1u
#define SDFLAGS_WR 0x2u

/* The longest that UDP carries: over IPv6 (RFC 768, RFC 8200). Over IPv4 it is 20 bytes less, which the kernel knows of its own sockets. */
#define DATAGRAM_MAX 65527u

struct transfer;

/* Makes one system call for what is left of the buffers. @return a WASI errno; `success` if it moved something, or is `over` */
typedef int move_function(struct nb_call *call, struct transfer *transfer);

/* What one call has moved so far, and how it moves. */
struct transfer {
        struct nb_descriptor *stream;   /* borrowed */
        const struct nb_iovecs *iovecs; /* borrowed */
        move_function *move;
        short events; /* what to wait for when nothing moves */
        int flags;    /* for the system call */
        bool datagram;
        bool nonblock;
        bool all;       /* whether to receive until the buffers are full */
        uint32_t done;  /* bytes */
        bool truncated; /* a datagram did not fit */
        bool over;
};

static struct transfer begin(struct nb_descriptor *stream, const struct nb_iovecs *iovecs, move_function *move,
                             short events) {
        bool datagram = stream->filetype == NB_SOCKET_DGRAM;

        return (struct transfer){
                .stream = stream,
                .iovecs = iovecs,
                .move = move,
                .events = events,
                .flags = MSG_DONTWAIT | MSG_NOSIGNAL,
                .datagram = datagram,
                .nonblock = stream->flags & NB_NONBLOCK,
                .over = iovecs->total == 0 && !datagram, /* a datagram may be empty */
        };
}

/* Whether a read of no bytes was the end of a relay's pair, and no empty datagram. */
static bool is_end_of_pair(const struct transfer *transfer, const struct msghdr *message) {
        socklen_t length = sizeof(int);
        int type = 0;

        if (!transfer->datagram || message->msg_flags & MSG_CTRUNC || transfer->stream->shut_for_reading)
                return false;
        return getsockopt(transfer->stream->host_fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
               type == SOCK_SEQPACKET;
}

static int receive(struct nb_call *call, struct transfer *transfer) {
        struct iovec parts[NB_IOVECS_MAX];
        struct msghdr message = { .msg_iov = parts };
        ssize_t n;
        int r;

        r = nb_iovecs_map(call, transfer->iovecs, transfer->done, UINT32_MAX, parts, &message.msg_iovlen);
        if (r)
                return r;
        n = recvmsg(transfer->stream->host_fd, &message, transfer->flags);
        if (n < 0 && errno == EAGAIN && transfer->stream->shut_for_reading)
                n = 0; /* of datagrams the kernel tells this only who waits in it, while poll(2) says that there is something */
        if (n < 0)
                return nb_call_errno(-errno);
        if (n == 0 && is_end_of_pair(transfer, &message))
                return NB_WASI_ECONNRESET;
        transfer->done += (uint32_t)n;
        transfer->truncated = message.msg_flags & MSG_TRUNC;
        transfer->over = n == 0 || !transfer->all || transfer->done == transfer->iovecs->total;
        return NB_WASI_SUCCESS;
}

static bool is_tcp(int fd) {
        socklen_t length = sizeof(int);
        int protocol = 0;

        return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 && protocol == IPPROTO_TCP;
}

/* Waits until there are as many bytes as the buffers hold, or as the socket's buffer does, or there will be no more (socket(7), SO_RCVLOWAT). */
static int wait_for_all(struct nb_call *call, const struct transfer *transfer) {
        const int all = (int)transfer->iovecs->total; /* below INT32_MAX, as nb_iovecs_load() has seen */
        const int one = 1;
        int fd = transfer->stream->host_fd;
        int r;

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &all, sizeof(all));
        r = nb_call_wait(call, fd, POLLIN);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
        return r;
}

/*
 * A peek that wants all: what is there stays unread, so that poll(2) would not wait for more of it. TCP can be told to. Where waiting brought
 * nothing new, and for Unix sockets, which Linux does not let wait here either, what is there is all.
 */
static int peek_all(struct nb_call *call, struct transfer *transfer) {
        uint32_t seen = transfer->done;
        int r;

        transfer->done = 0; /* each peek begins with the first byte */
        r = receive(call, transfer);
        if (r) {
                transfer->done = seen;
                return r;
        }
        if (transfer->over)
                return NB_WASI_SUCCESS;
        if (transfer->nonblock || transfer->done <= seen || !is_tcp(transfer->stream->host_fd)) {
                transfer->over = true;
                return NB_WASI_SUCCESS;
        }
        return wait_for_all(call, transfer);
}

/*
 * Finds the bytes of one send: a part as it is, where it is the only one or longer than what can be gathered, or parts put together.
 * @param ret  borrowed from the guest, good until the next wait
 */
static int gather(struct nb_guest *guest, const struct transfer *transfer, const struct iovec *parts, size_t n_parts,
                  struct iovec *ret) {
        size_t length = 0;
        uint8_t *buffer;

        if (n_parts <= 1 || (!transfer->datagram && parts[0].iov_len >= NB_GUEST_GATHER_SIZE)) {
                *ret = n_parts ? parts[0] : (struct iovec){ 0 };
                return NB_WASI_SUCCESS;
        }
        if (transfer->datagram && transfer->iovecs->total > NB_GUEST_GATHER_SIZE)
                return NB_WASI_EMSGSIZE;
        buffer = nb_guest_gather_buffer(guest);
        if (!buffer)
                return NB_WASI_ENOMEM;
        for (size_t i = 0; i < n_parts && length < NB_GUEST_GATHER_SIZE; ++i) {
                size_t room = NB_GUEST_GATHER_SIZE - length;
                size_t take = parts[i].iov_len < room ? parts[i].iov_len : room;

                memcpy(buffer + length, parts[i].iov_base, take);
                length += take;
        }
        *ret = (struct iovec){ .iov_base = buffer, .iov_len = length };
        return NB_WASI_SUCCESS;
}

static uint32_t message_max(const struct nb_descriptor *stream) {
        return stream->message_max ? stream->message_max : DATAGRAM_MAX;
}

/* sendto(2) names no peer where sendmsg(2) could, in memory, where nb_lockdown() cannot look; so it is all that is used. */
static int transmit(struct nb_call *call, struct transfer *transfer) {
        struct iovec parts[NB_IOVECS_MAX];
        struct iovec piece;
        size_t n_parts;
        ssize_t n;
        int r;

        r = nb_iovecs_map(call, transfer->iovecs, transfer->done, UINT32_MAX, parts, &n_parts);
        if (r)
                return r;
        r = gather(call->guest, transfer, parts, n_parts, &piece);
        if (r)
                return r;
        /* A pair takes longer ones, which its relay could only drop. */
        if (transfer->datagram && piece.iov_len > message_max(transfer->stream))
                return NB_WASI_EMSGSIZE;
        n = sendto(transfer->stream->host_fd, piece.iov_base, piece.iov_len, transfer->flags, NULL, 0);
        if (n < 0)
                return nb_call_errno(-errno);
        transfer->done += (uint32_t)n;
        transfer->over = transfer->datagram || transfer->done == transfer->iovecs->total ||
                         (transfer->nonblock && (size_t)n < piece.iov_len);
        return NB_WASI_SUCCESS;
}

/* Whether an errno of the socket's would not come again by itself. */
static bool is_told_once(int error) {
        switch (error) {
        case NB_WASI_SUCCESS:
        case NB_WASI_EAGAIN:
        case NB_WASI_EFAULT:
        case NB_WASI_ENOMEM:
        case NB_WASI_EPIPE:
                return false;
        default:
                return true;
        }
}

/*
 * Moves what can be moved. Once something has moved, an error ends the call with what there is; it is kept for the next call, as the kernel
 * does when it is the kernel that waits.
 */
static int transfer_all(struct nb_call *call, struct transfer *transfer) {
        struct nb_descriptor *stream = transfer->stream;
        int r = stream->pending_error;

        if (r && !transfer->over) {
                stream->pending_error = 0;
                return r;
        }
        while (!transfer->over) {
                r = transfer->move(call, transfer);
                if (r == NB_WASI_EAGAIN && !transfer->nonblock)
                        r = nb_call_wait(call, stream->host_fd, transfer->events);
                else if (transfer->done > 0 && is_told_once(r))
                        stream->pending_error = (uint16_t)r;
                if (r)
                        return transfer->done > 0 ? NB_WASI_SUCCESS : r;
        }
        return NB_WASI_SUCCESS;
}

/* Reads into the buffers of arguments 1 and 2, or writes them, and stores how much it was where `ret_pointer` says. */
static int move_buffers(struct nb_call *call, struct nb_descriptor *stream, bool reads, uint32_t ret_pointer) {
        struct transfer transfer;
        struct nb_iovecs iovecs;
        int r;

        if (!(stream->rights_base & (reads ? NB_RIGHT_FD_READ : NB_RIGHT_FD_WRITE)))
                return NB_WASI_ENOTCAPABLE;
        if (!nb_call_covers(call, ret_pointer, sizeof(uint32_t)))
                return NB_WASI_EFAULT;
        r = nb_iovecs_load(call, nb_call_u32(call, 1), nb_call_u32(call, 2), &iovecs);
        if (r)
                return r;
        transfer = reads ? begin(stream, &iovecs, receive, POLLIN) : begin(stream, &iovecs, transmit, POLLOUT);
        if (reads && iovecs.total == 0)
                transfer.over = true; /* unlike recv(2), read(2) of nothing takes no datagram */
        r = transfer_all(call, &transfer);
        if (r)
                return r;
        return nb_call_write_u32(call, ret_pointer, transfer.done) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}

int nb_stream_read(struct nb_call *call, struct nb_descriptor *stream) {
        return move_buffers(call, stream, true, nb_call_u32(call, 3));
}

int nb_stream_write(struct nb_call *call, struct nb_descriptor *stream) {
        return move_buffers(call, stream, false, nb_call_u32(call, 3));
}

int nb_stream_sock_send(struct nb_call *call, struct nb_descriptor *stream) {
        if (nb_call_u32(call, 3) != 0) /* WASI defines no flag */
                return NB_WASI_EINVAL;
        return move_buffers(call, stream, false, nb_call_u32(call, 4));
}

int nb_stream_sock_recv(struct nb_call *call, struct nb_descriptor *stream) {
        uint32_t flags = nb_call_u32(call, 3);
        uint32_t length_pointer = nb_call_u32(call, 4);
        uint32_t flags_pointer = nb_call_u32(call, 5);
        struct transfer transfer;
        struct nb_iovecs iovecs;
        int r;

        if (!(stream->rights_base & NB_RIGHT_FD_READ))
                return NB_WASI_ENOTCAPABLE;
        if (flags & ~(RIFLAGS_PEEK | RIFLAGS_WAITALL))
                return NB_WASI_EINVAL;
        if (!nb_call_covers(call, length_pointer, sizeof(uint32_t)) ||
            !nb_call_covers(call, flags_pointer, sizeof(uint16_t)))
                return NB_WASI_EFAULT;
        r = nb_iovecs_load(call, nb_call_u32(call, 1), nb_call_u32(call, 2), &iovecs);
        if (r)
                return r;
        transfer = begin(stream, &iovecs, receive, POLLIN);
        transfer.all = (flags & RIFLAGS_WAITALL) && !transfer.datagram;
        if (flags & RIFLAGS_PEEK) {
                transfer.flags |= MSG_PEEK;
                transfer.move = transfer.all ? peek_all : receive;
        }
        r = transfer_all(call, &transfer);
        if (r)
                return r;
        if (!nb_call_write_u32(call, length_pointer, transfer.done) ||
            !nb_call_write_u16(call, flags_pointer, transfer.truncated ? ROFLAGS_DATA_TRUNCATED : 0))
                return NB_WASI_EFAULT;
        return NB_WASI_SUCCESS;
}

/* Which direction to shut down: of a stream that has one, no other. @return `inval` for bits that mean nothing */
static int find_direction(const struct nb_descriptor *stream, uint32_t how, int *ret) {
        bool reading = how & SDFLAGS_RD && !stream->writes_only;
        bool writing = how & SDFLAGS_WR && !stream->reads_only;

        if (how == 0 || how & ~(SDFLAGS_RD | SDFLAGS_WR))
                return NB_WASI_EINVAL;
        if (!reading && !writing)
                return NB_WASI_ENOTCAPABLE;
        *ret = !writing ? SHUT_RD : !reading ? SHUT_WR : SHUT_RDWR;
        return NB_WASI_SUCCESS;
}

int nb_stream_sock_shutdown(struct nb_call *call, struct nb_descriptor *stream) {
        /* fd_write implies it: the proposal's number for this right is another. */
        uint64_t rights = NB_RIGHT_SOCK_SHUTDOWN | NB_RIGHT_FD_WRITE;
        uint32_t how = nb_call_u32(call, 1);
        int direction;
        int r;

        if (!(stream->rights_base & rights))
                return NB_WASI_ENOTCAPABLE;
        r = find_direction(stream, how, &direction);
        if (r)
                return r;
        if (shutdown(stream->host_fd, direction) < 0)
                return nb_call_errno(-errno);
        stream->shut_for_reading |= direction != SHUT_WR;
        stream->shut_for_writing |= direction != SHUT_RD;
        return NB_WASI_SUCCESS;
}
