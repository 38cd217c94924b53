/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer ADDRESS BYTES [leave]: sends a pattern to a peer that echoes, reads it back at the same time, and compares every byte. Both
 * directions share one thread by poll(), so a peer with small buffers does not lock it. With `leave` it reads nothing back: it sends, says "left", and ends.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/guests/guest.h"

#define PIECE 32768

struct transfer {
        int fd;
        uint64_t total;
        uint64_t sent;
        uint64_t received;
};

/* A byte that depends on all of its position, so that a piece that is lost, doubled or moved shows. */
static uint8_t pattern(uint64_t position) {
        return (uint8_t)((position * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static void send_piece(struct transfer *transfer) {
        static uint8_t buffer[PIECE];
        uint64_t left = transfer->total - transfer->sent;
        size_t length = left < PIECE ? (size_t)left : PIECE;
        ssize_t n;

        for (size_t i = 0; i < length; ++i)
                buffer[i] = pattern(transfer->sent + i);
        n = write(transfer->fd, buffer, length);
        if (n < 0 && errno == EAGAIN)
                return;
        CHECK(n > 0);
        transfer->sent += (uint64_t)n;
        if (transfer->sent == transfer->total)
                CHECK(shutdown(transfer->fd, SHUT_WR) == 0);
}

/* @return false at the end of the stream. */
static bool receive_piece(struct transfer *transfer) {
        static uint8_t buffer[PIECE];
        ssize_t n = read(transfer->fd, buffer, sizeof(buffer));

        if (n < 0 && errno == EAGAIN)
                return true;
        CHECK(n >= 0);
        for (ssize_t i = 0; i < n; ++i)
                CHECK(buffer[i] == pattern(transfer->received + (uint64_t)i));
        transfer->received += (uint64_t)n;
        return n > 0;
}

static void leave(struct transfer *transfer) {
        while (transfer->sent < transfer->total) {
                struct pollfd pollfd = { .fd = transfer->fd, .events = POLLOUT };

                CHECK(poll(&pollfd, 1, -1) == 1);
                send_piece(transfer);
        }
        puts("left");
}

int main(int argc, char **argv) {
        struct transfer transfer = { 0 };
        bool open = true;

        CHECK(argc == 3 || (argc == 4 && strcmp(argv[3], "leave") == 0));
        transfer.total = strtoull(argv[2], NULL, 10);
        transfer.fd = guest_dial(argv[1]);
        CHECK(fcntl(transfer.fd, F_SETFL, O_NONBLOCK) == 0);
        if (argc == 4) {
                leave(&transfer);
                return 0;
        }

        while (open) {
                bool sending = transfer.sent < transfer.total;
                struct pollfd pollfd = { .fd = transfer.fd, .events = sending ? POLLIN | POLLOUT : POLLIN };

                CHECK(poll(&pollfd, 1, -1) == 1);
                if (sending && (pollfd.revents & POLLOUT))
                        send_piece(&transfer);
                if (pollfd.revents & (POLLIN | POLLHUP))
                        open = receive_piece(&transfer);
        }
        CHECK(transfer.sent == transfer.total);
        CHECK(transfer.received == transfer.total);
        CHECK(close(transfer.fd) == 0);
        printf("%llu bytes\n", (unsigned long long)transfer.received);
        return 0;
}
