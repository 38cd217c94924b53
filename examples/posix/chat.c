/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat HOST PORT: whatever line one peer sends, all others get.
 *
 * Plain POSIX, one thread, poll() and non-blocking sockets: nothing in here knows that it may be a guest.
 *
 *     cc -o chat chat.c && ./chat 127.0.0.1 7000
 *
 *     clang --target=wasm32-wasi -I SHARE/guest/include -o chat.wasm chat.c -L SHARE/guest/lib -lnetbroker-posix
 *     netbroker-run --policy chat.conf chat.wasm 127.0.0.1 7000
 *
 * SHARE is where netbroker is installed, as in /usr/share/netbroker.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS_MAX 100
#define LINE_MAX_BYTES 1024
#define BACKLOG 16

struct peer {
        char line[LINE_MAX_BYTES]; /* what came of the line that is not whole yet */
        size_t length;
};

/* polled[0] is the listener; polled[i + 1] is the socket of peers[i]. */
struct chat {
        struct pollfd polled[PEERS_MAX + 1];
        struct peer peers[PEERS_MAX];
        size_t n;
};

static int set_nonblocking(int fd) {
        int flags = fcntl(fd, F_GETFL);

        return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* @return a listener; -1: `errno` says why not */
static int listen_on(const struct addrinfo *address) {
        const int on = 1;
        int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);

        if (fd < 0)
                return -1;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
            bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0 &&
            set_nonblocking(fd) == 0)
                return fd;
        (void)close(fd);
        return -1;
}

static int find_listener(const char *host, const char *port) {
        const struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
        struct addrinfo *addresses;
        int error = getaddrinfo(host, port, &hints, &addresses);
        int fd = -1;

        if (error) {
                fprintf(stderr, "chat: %s, port %s: %s\n", host, port, gai_strerror(error));
                return -1;
        }
        for (const struct addrinfo *address = addresses; address && fd < 0; address = address->ai_next)
                fd = listen_on(address);
        freeaddrinfo(addresses);
        if (fd < 0)
                fprintf(stderr, "chat: %s, port %s: %s\n", host, port, strerror(errno));
        return fd;
}

/* Whoever cannot take a whole line at once is too slow to chat; what comes of this is seen at the next poll(). */
static void tell(int fd, const char *line, size_t length) {
        if (send(fd, line, length, MSG_NOSIGNAL) != (ssize_t)length)
                (void)shutdown(fd, SHUT_RDWR);
}

static void tell_others(const struct chat *chat, size_t from, const char *line, size_t length) {
        for (size_t i = 0; i < chat->n; ++i) {
                if (i != from)
                        tell(chat->polled[i + 1].fd, line, length);
        }
}

static void welcome(struct chat *chat) {
        int fd = accept(chat->polled[0].fd, NULL, NULL);

        if (fd < 0)
                return;
        if (chat->n == PEERS_MAX || set_nonblocking(fd) < 0) {
                (void)close(fd);
                return;
        }
        chat->peers[chat->n].length = 0;
        chat->polled[++chat->n] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* The last peer takes the place. */
static void dismiss(struct chat *chat, size_t i) {
        (void)close(chat->polled[i + 1].fd);
        --chat->n;
        chat->polled[i + 1] = chat->polled[chat->n + 1];
        chat->peers[i] = chat->peers[chat->n];
}

/* Passes on the lines that are whole. A line that does not fit is passed on in pieces. */
static void pass_on(struct chat *chat, size_t i) {
        struct peer *peer = &chat->peers[i];
        char *end;

        while ((end = memchr(peer->line, '\n', peer->length)) || peer->length == sizeof(peer->line)) {
                size_t length = end ? (size_t)(end - peer->line) + 1 : peer->length;

                tell_others(chat, i, peer->line, length);
                peer->length -= length;
                memmove(peer->line, peer->line + length, peer->length);
        }
}

/* @return whether the peer is still there */
static bool hear(struct chat *chat, size_t i) {
        struct peer *peer = &chat->peers[i];
        ssize_t n = recv(chat->polled[i + 1].fd, peer->line + peer->length, sizeof(peer->line) - peer->length, 0);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        if (n == 0)
                return false;
        peer->length += (size_t)n;
        pass_on(chat, i);
        return true;
}

static int serve(struct chat *chat) {
        for (;;) {
                if (poll(chat->polled, (nfds_t)chat->n + 1, -1) < 0) {
                        perror("chat: poll");
                        return 1;
                }
                /* From the last one on, for a peer that leaves gives its place to the last. */
                for (size_t i = chat->n; i-- > 0;) {
                        if (chat->polled[i + 1].revents && !hear(chat, i))
                                dismiss(chat, i);
                }
                if (chat->polled[0].revents)
                        welcome(chat);
        }
}

int main(int argc, char **argv) {
        struct chat *chat;
        int fd, status;

        if (argc != 3) {
                fputs("usage: chat HOST PORT\n", stderr);
                return 2;
        }
        fd = find_listener(argv[1], argv[2]);
        if (fd < 0)
                return 1;
        /* Too much for the stack of 64 KB that guests have. */
        chat = calloc(1, sizeof(*chat));
        if (!chat) {
                perror("chat");
                return 1;
        }
        chat->polled[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
        puts("listening");
        fflush(stdout);
        status = serve(chat);
        free(chat);
        return status;
}
