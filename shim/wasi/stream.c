/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/stream.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "proto/wasi.h"
#include "shim/wasi/iovec.h"

#define RIFLAGS_PEEK 0x1u
#define RIFLAGS_WAITALL 0x2u
#define ROFLAGS_DATA_TRUNCATED 0x1u
#define SDFLAGS_RD 0x1u
#define SDFLAGS_WR 0x2u

/* What one call has moved so far, and how it moves. */
struct transfer {
        int fd; /* borrowed */
        bool datagram;
        bool nonblock;
        int flags;      /* for recvmsg() and sendmsg() */
        bool all;       /* whether to go on until nothing is left */
        uint32_t done;  /* bytes */
        bool truncated; /* a datagram did not fit */
};

static struct transfer begin(const struct nb_descriptor *stream) {
        return (struct transfer){
                .fd = stream->host_fd,
                .datagram = stream->filetype == NB_SOCKET_DGRAM,
                .nonblock = stream->flags & NB_NONBLOCK,
                .flags = MSG_DONTWAIT | MSG_NOSIGNAL,
        };
}

typedef ssize_t move_function(struct transfer *transfer, struct msghdr *message);

static ssize_t receive(struct transfer *transfer, struct msghdr *message) {
        ssize_t n = recvmsg(transfer->fd, message, transfer->flags);

        if (n >= 0 && (message->msg_flags & MSG_TRUNC))
                transfer->truncated = true;
        return n;
}

static ssize_t transmit(struct transfer *transfer, struct msghdr *message) {
        return sendmsg(transfer->fd, message, transfer->flags);
}

/* One system call for what is left of the buffers. @return `success`, also at the end of the stream, which sets *ret_end. */
static int move_once(struct nb_call *call, struct transfer *transfer, const struct nb_iovecs *iovecs,
                     move_function *move, bool *ret_end) {
        struct iovec parts[NB_IOVECS_MAX];
        struct msghdr message = { .msg_iov = parts };
        ssize_t n;
        int r;

        r = nb_iovecs_map(call, iovecs, transfer->done, UINT32_MAX, parts, &message.msg_iovlen);
        if (r)
                return r;
        n = move(transfer, &message);
        if (n < 0)
                return nb_call_errno(-errno);
        transfer->done += (uint32_t)n;
        *ret_end = n == 0;
        return NB_WASI_SUCCESS;
}

/*
 * Moves what can be moved. Once something has moved, an error ends the call with what there is: it comes again at the next call. So
 * does the end of the stream.
 */
static int transfer_all(struct nb_call *call, struct transfer *transfer, const struct nb_iovecs *iovecs,
                        move_function *move, short events) {
        bool end = false;
        int r;

        if (iovecs->total == 0 && !transfer->datagram)
                return NB_WASI_SUCCESS;
        for (;;) {
                r = move_once(call, transfer, iovecs, move, &end);
                if (r == NB_WASI_EAGAIN && !transfer->nonblock) {
                        r = nb_call_wait(call, transfer->fd, events);
                        if (r)
                                break;
                        continue;
                }
                if (r || end || !transfer->all || transfer->done == iovecs->total)
                        break;
        }
        return transfer->done > 0 ? NB_WASI_SUCCESS : r;
}

static int receive_into(struct nb_call *call, struct transfer *transfer, const struct nb_iovecs *iovecs) {
        return transfer_all(call, transfer, iovecs, receive, POLLIN);
}

/* Writes the buffers of arguments 1 and 2, and how much it was to where `ret_pointer` says. */
static int send_from(struct nb_call *call, struct nb_descriptor *stream, uint32_t ret_pointer) {
        struct transfer transfer = begin(stream);
        struct nb_iovecs iovecs;
        int r;

        if (!(stream->rights_base & NB_RIGHT_FD_WRITE))
                return NB_WASI_ENOTCAPABLE;
        if (!nb_call_covers(call, ret_pointer, sizeof(uint32_t)))
                return NB_WASI_EFAULT;
        r = nb_iovecs_load(call, nb_call_u32(call, 1), nb_call_u32(call, 2), &iovecs);
        if (r)
                return r;
        transfer.all = !transfer.datagram && !transfer.nonblock;
        r = transfer_all(call, &transfer, &iovecs, transmit, POLLOUT);
        if (r)
                return r;
        return nb_call_write_u32(call, ret_pointer, transfer.done) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}

int nb_stream_read(struct nb_call *call, struct nb_descriptor *stream) {
        struct transfer transfer = begin(stream);
        uint32_t ret_pointer = nb_call_u32(call, 3);
        struct nb_iovecs iovecs;
        int r;

        if (!(stream->rights_base & NB_RIGHT_FD_READ))
                return NB_WASI_ENOTCAPABLE;
        if (!nb_call_covers(call, ret_pointer, sizeof(uint32_t)))
                return NB_WASI_EFAULT;
        r = nb_iovecs_load(call, nb_call_u32(call, 1), nb_call_u32(call, 2), &iovecs);
        if (r)
                return r;
        r = receive_into(call, &transfer, &iovecs);
        if (r)
                return r;
        return nb_call_write_u32(call, ret_pointer, transfer.done) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}

int nb_stream_write(struct nb_call *call, struct nb_descriptor *stream) {
        return send_from(call, stream, nb_call_u32(call, 3));
}

int nb_stream_sock_send(struct nb_call *call, struct nb_descriptor *stream) {
        if (nb_call_u32(call, 3) != 0) /* WASI defines no flag */
                return NB_WASI_EINVAL;
        return send_from(call, stream, nb_call_u32(call, 4));
}

int nb_stream_sock_recv(struct nb_call *call, struct nb_descriptor *stream) {
        struct transfer transfer = begin(stream);
        uint32_t flags = nb_call_u32(call, 3);
        uint32_t length_pointer = nb_call_u32(call, 4);
        uint32_t flags_pointer = nb_call_u32(call, 5);
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
        /* POSIX lets a peek return less than all; waiting for more while what there is stays unread would spin. */
        transfer.all = (flags & RIFLAGS_WAITALL) && !(flags & RIFLAGS_PEEK) && !transfer.datagram;
        if (flags & RIFLAGS_PEEK)
                transfer.flags |= MSG_PEEK;
        r = receive_into(call, &transfer, &iovecs);
        if (r)
                return r;
        if (!nb_call_write_u32(call, length_pointer, transfer.done) ||
            !nb_call_write_u16(call, flags_pointer, transfer.truncated ? ROFLAGS_DATA_TRUNCATED : 0))
                return NB_WASI_EFAULT;
        return NB_WASI_SUCCESS;
}

int nb_stream_sock_shutdown(struct nb_call *call, struct nb_descriptor *stream) {
        /* fd_write implies it: the proposal's number for this right is another. */
        uint64_t rights = NB_RIGHT_SOCK_SHUTDOWN | NB_RIGHT_FD_WRITE;
        uint32_t how = nb_call_u32(call, 1);
        int direction;

        if (!(stream->rights_base & rights))
                return NB_WASI_ENOTCAPABLE;
        if (how == SDFLAGS_RD)
                direction = SHUT_RD;
        else if (how == SDFLAGS_WR)
                direction = SHUT_WR;
        else if (how == (SDFLAGS_RD | SDFLAGS_WR))
                direction = SHUT_RDWR;
        else
                return NB_WASI_EINVAL;
        return shutdown(stream->host_fd, direction) < 0 ? nb_call_errno(-errno) : NB_WASI_SUCCESS;
}
