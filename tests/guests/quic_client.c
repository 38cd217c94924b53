/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_client ADDRESS MODE [N [BYTES [MODE N BYTES]...]]: connects to a server that echoes, such as quic_server, and does as the mode says; with each further mode it connects anew.
 * What comes back is compared, byte by byte.
 *
 *   connect     says what became of the connect, and of the connection's TLS
 *   echo        N streams at once on one connection, BYTES both ways on each
 *   one-way     N streams of ours to write only, BYTES on each, and as many of the server's that bring them back
 *   datagrams   sends datagrams of BYTES until N have come back
 *   half-close  shuts a stream down for writing, and reads what comes afterwards
 *   reset       closes a stream with unread bytes, and uses another
 *   stop        shuts a stream down for reading, and uses another
 *   blocking    N streams one after the other, blocking, BYTES both ways on each
 *   hold        a stream on which nothing happens: says how the connection ends
 *   leave       BYTES on a stream to write only, and exits
 */
#include "tests/guests/quic.h"

struct job {
        __wasi_fd_t out; /* -1: not created yet, or all is sent */
        __wasi_fd_t in;  /* -1: not there yet, or at its end */
        uint64_t sent;
        uint64_t received;
        uint32_t pattern; /* of what comes in */
        uint8_t head[4];  /* one-way: the number of the stream whose bytes these are */
        uint8_t n_head;
};

struct client {
        __wasi_fd_t connection;
        struct job *jobs;
        size_t n;         /* of the jobs */
        size_t n_created; /* streams of ours */
        size_t n_arrived; /* one-way: of the server's */
        size_t n_done;    /* that have come back as a whole */
        uint64_t total;   /* bytes on each */
        bool one_way;
        uint8_t buffer[QUIC_PIECE];
};

/* ---- many streams ---- */

enum { TAG_CONNECTION, TAG_JOB_OUT, TAG_JOB_IN, TAG_SHIFT = 2, TAG_MASK = 3 };

/* The number of a stream in front of its bytes, which then come back on one that has another. */
static void put_head(const struct client *client, uint8_t *buffer, uint32_t index) {
        if (!client->one_way)
                return;
        for (unsigned i = 0; i < 4; ++i)
                buffer[i] = (uint8_t)(index >> (8 * i));
}

static uint64_t head_size(const struct client *client) {
        return client->one_way ? 4 : 0;
}

static void create_streams(struct client *client) {
        __wasi_rights_t rights = client->one_way ? QUIC_RIGHTS_ONE_WAY : WASI_NETWORKING_RIGHTS_STREAM;

        while (client->n_created < client->n) {
                struct job *job = &client->jobs[client->n_created];
                __wasi_errno_t error;

                error = __wasi_networking_stream_create(client->connection, rights, 0, __WASI_FDFLAGS_NONBLOCK,
                                                        &job->out);
                if (error == __WASI_ERRNO_AGAIN)
                        return;
                CHECK_OK(error);
                if (!client->one_way)
                        job->in = job->out;
                ++client->n_created;
        }
}

static void accept_streams(struct client *client) {
        __wasi_errno_t error = 0;

        while (client->one_way && client->n_arrived < client->n && error == 0) {
                struct job *job = &client->jobs[client->n_arrived];

                error = __wasi_networking_stream_accept(client->connection, &job->in);
                if (error)
                        break;
                CHECK(!quic_has_right(job->in, __WASI_RIGHTS_FD_WRITE));
                quic_set_nonblock(job->in);
                ++client->n_arrived;
        }
        CHECK(error == 0 || error == __WASI_ERRNO_AGAIN);
}

static void finish_sending(struct client *client, struct job *job) {
        if (client->one_way)
                quic_close(job->out);
        else
                CHECK_OK(__wasi_sock_shutdown(job->out, __WASI_SDFLAGS_WR));
        job->out = -1;
}

static void send_some(struct client *client, struct job *job) {
        uint32_t index = (uint32_t)(job - client->jobs);
        uint64_t head = head_size(client), all = head + client->total;

        while (job->sent < all) {
                uint64_t left = all - job->sent;
                size_t length = left < QUIC_PIECE ? (size_t)left : QUIC_PIECE, skipped = 0, n;
                __wasi_errno_t error;

                if (job->sent < head) {
                        uint8_t bytes[4];

                        put_head(client, bytes, index);
                        skipped = (size_t)(head - job->sent);
                        memcpy(client->buffer, bytes + job->sent, skipped);
                }
                quic_fill(client->buffer + skipped, length - skipped, index, job->sent + skipped - head);
                error = quic_write(job->out, client->buffer, length, &n);
                if (error == __WASI_ERRNO_AGAIN)
                        return;
                CHECK_OK(error);
                job->sent += n;
        }
        finish_sending(client, job);
}

/* Takes the number of the stream off the front. @return how many bytes that were */
static size_t take_head(const struct client *client, struct job *job, const uint8_t *bytes, size_t length) {
        size_t n = 0;

        while (n < length && job->n_head < head_size(client))
                job->head[job->n_head++] = bytes[n++];
        if (n > 0 && job->n_head == 4)
                job->pattern = (uint32_t)job->head[0] | (uint32_t)job->head[1] << 8 | (uint32_t)job->head[2] << 16 |
                               (uint32_t)job->head[3] << 24;
        return n;
}

static void receive_some(struct client *client, struct job *job) {
        __wasi_errno_t error;
        size_t n, head;

        error = quic_read(job->in, client->buffer, sizeof(client->buffer), &n);
        if (error == __WASI_ERRNO_AGAIN)
                return;
        CHECK_OK(error);
        if (n == 0) {
                CHECK(job->received == client->total);
                quic_close(job->in);
                job->in = -1;
                ++client->n_done;
                return;
        }
        head = take_head(client, job, client->buffer, n);
        quic_compare(client->buffer + head, n - head, job->pattern, job->received);
        job->received += n - head;
}

static void wait_for_some(struct client *client, struct waits *waits) {
        waits->n = 0;
        if (client->n_created < client->n)
                waits_add(waits, __WASI_EVENTTYPE_FD_WRITE, client->connection, TAG_CONNECTION);
        if (client->one_way && client->n_arrived < client->n)
                waits_add(waits, __WASI_EVENTTYPE_FD_READ, client->connection, TAG_CONNECTION);
        for (size_t i = 0; i < client->n; ++i) {
                const struct job *job = &client->jobs[i];

                if (job->out >= 0)
                        waits_add(waits, __WASI_EVENTTYPE_FD_WRITE, job->out, i << TAG_SHIFT | TAG_JOB_OUT);
                if (job->in >= 0)
                        waits_add(waits, __WASI_EVENTTYPE_FD_READ, job->in, i << TAG_SHIFT | TAG_JOB_IN);
        }
        waits_poll(waits);
}

static void do_event(struct client *client, const __wasi_event_t *event) {
        struct job *job = &client->jobs[event->userdata >> TAG_SHIFT];

        CHECK_OK(event->error);
        switch (event->userdata & TAG_MASK) {
        case TAG_CONNECTION:
                create_streams(client);
                accept_streams(client);
                break;
        case TAG_JOB_OUT:
                send_some(client, job);
                break;
        case TAG_JOB_IN:
                receive_some(client, job);
                break;
        }
}

static void do_many(struct client *client, bool one_way) {
        struct waits waits = { 0 };

        client->one_way = one_way;
        client->jobs = calloc(client->n, sizeof(*client->jobs));
        CHECK(client->jobs);
        for (size_t i = 0; i < client->n; ++i)
                client->jobs[i] = (struct job){ .out = -1, .in = -1, .pattern = (uint32_t)i };
        quic_set_nonblock(client->connection);
        while (client->n_done < client->n) {
                wait_for_some(client, &waits);
                for (size_t i = 0; i < waits.n_events; ++i)
                        do_event(client, &waits.events[i]);
        }
        printf("%zu streams of %llu bytes\n", client->n_done, (unsigned long long)client->total);
}

static void do_echo(struct client *client) {
        do_many(client, false);
}

static void do_one_way(struct client *client) {
        do_many(client, true);
}

/* ---- one stream ---- */

static __wasi_fd_t create(const struct client *client) {
        __wasi_fd_t stream;

        CHECK_OK(__wasi_networking_stream_create(client->connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream));
        return stream;
}

static void send_text(__wasi_fd_t stream, const char *text) {
        guest_write_all(stream, text, strlen(text));
}

/* Reads just this. */
static void expect_text(__wasi_fd_t stream, const char *text) {
        char buffer[256];
        size_t length = strlen(text), done = 0, n;

        CHECK(length <= sizeof(buffer));
        while (done < length) {
                CHECK_OK(quic_read(stream, buffer + done, length - done, &n));
                CHECK(n > 0);
                done += n;
        }
        CHECK(memcmp(buffer, text, length) == 0);
}

static void expect_end(__wasi_fd_t stream) {
        char byte;
        size_t n;

        CHECK_OK(quic_read(stream, &byte, 1, &n));
        CHECK(n == 0);
}

static void echo_once(const struct client *client) {
        __wasi_fd_t stream = create(client);

        send_text(stream, "another");
        CHECK_OK(__wasi_sock_shutdown(stream, __WASI_SDFLAGS_WR));
        expect_text(stream, "another");
        expect_end(stream);
        quic_close(stream);
}

static void do_half_close(struct client *client) {
        __wasi_fd_t stream = create(client);
        size_t n;

        send_text(stream, "half");
        expect_text(stream, "half");
        send_text(stream, "closed");
        CHECK_OK(__wasi_sock_shutdown(stream, __WASI_SDFLAGS_WR));
        CHECK_ERRNO(quic_write(stream, "x", 1, &n), __WASI_ERRNO_PIPE);
        expect_text(stream, "closed");
        expect_end(stream);
        quic_close(stream);
        puts("half-closed");
}

/* Waits until there is something to be read. */
static void wait_for_bytes(__wasi_fd_t stream) {
        struct waits waits = { 0 };

        waits_add(&waits, __WASI_EVENTTYPE_FD_READ, stream, 0);
        waits_poll(&waits);
        free(waits.subscriptions);
        free(waits.events);
}

static void do_reset(struct client *client) {
        __wasi_fd_t stream = create(client);

        send_text(stream, "not read back");
        wait_for_bytes(stream);
        quic_close(stream);
        echo_once(client);
        puts("reset");
}

static void do_stop(struct client *client) {
        __wasi_fd_t stream = create(client);

        send_text(stream, "stop");
        expect_text(stream, "stop");
        CHECK_OK(__wasi_sock_shutdown(stream, __WASI_SDFLAGS_RD));
        expect_end(stream);
        echo_once(client);
        quic_close(stream);
        puts("stopped");
}

static void do_blocking(struct client *client) {
        for (uint32_t i = 0; i < client->n; ++i) {
                __wasi_fd_t stream = create(client);
                uint64_t done = 0;

                while (done < client->total) {
                        uint64_t left = client->total - done;
                        size_t length = left < QUIC_PIECE / 4 ? (size_t)left : QUIC_PIECE / 4, received = 0, n;

                        quic_fill(client->buffer, length, i, done);
                        guest_write_all(stream, client->buffer, length);
                        while (received < length) {
                                CHECK_OK(quic_read(stream, client->buffer, length - received, &n));
                                CHECK(n > 0);
                                quic_compare(client->buffer, n, i, done + received);
                                received += n;
                        }
                        done += length;
                }
                CHECK_OK(__wasi_sock_shutdown(stream, __WASI_SDFLAGS_WR));
                expect_end(stream);
                quic_close(stream);
        }
        printf("%zu streams of %llu bytes\n", client->n, (unsigned long long)client->total);
}

/* Says how a stream and its connection end when the guest does nothing. */
static void do_hold(struct client *client) {
        __wasi_fd_t stream = create(client), other;
        __wasi_errno_t error;
        size_t n;

        send_text(stream, "hold");
        expect_text(stream, "hold");
        puts("held");
        fflush(stdout);
        error = quic_read(stream, client->buffer, 1, &n);
        quic_say("stream", error);
        quic_say("accept", __wasi_networking_stream_accept(client->connection, &other));
        quic_say("create",
                 __wasi_networking_stream_create(client->connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &other));
}

static void do_leave(struct client *client) {
        __wasi_fd_t stream;
        uint64_t done = 0;

        CHECK_OK(__wasi_networking_stream_create(client->connection, QUIC_RIGHTS_ONE_WAY, 0, 0, &stream));
        while (done < client->total) {
                uint64_t left = client->total - done;
                size_t length = left < QUIC_PIECE ? (size_t)left : QUIC_PIECE;

                quic_fill(client->buffer, length, 0, done);
                guest_write_all(stream, client->buffer, length);
                done += length;
        }
        puts("left");
}

/* ---- datagrams ---- */

/* Datagrams get lost: they are sent until enough have come back. */
static void do_datagrams(struct client *client) {
        static uint8_t sent[QUIC_PIECE];
        __wasi_fd_t channel = create(client), other;
        struct waits waits = { 0 };
        size_t n_back = 0;
        uint32_t index = 0;

        CHECK(client->total > 0 && client->total <= sizeof(sent));
        CHECK_ERRNO(__wasi_networking_stream_create(client->connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &other),
                    __WASI_ERRNO_NOTSUP);
        quic_set_nonblock(channel);
        while (n_back < client->n) {
                __wasi_errno_t error;
                size_t n;

                quic_fill(sent, client->total, index, 0);
                error = quic_write(channel, sent, client->total, &n);
                CHECK(error == 0 || error == __WASI_ERRNO_AGAIN);
                waits.n = 0;
                waits_add(&waits, __WASI_EVENTTYPE_FD_READ, channel, 0);
                waits.subscriptions[waits.n++] = (__wasi_subscription_t){
                        .u = { .tag = __WASI_EVENTTYPE_CLOCK,
                               .u.clock = { .id = __WASI_CLOCKID_MONOTONIC, .timeout = 50000000 } },
                };
                waits_poll(&waits);
                while (quic_read(channel, client->buffer, sizeof(client->buffer), &n) == 0) {
                        CHECK(n == client->total);
                        ++n_back;
                }
        }
        printf("%zu datagrams of %llu bytes\n", n_back, (unsigned long long)client->total);
}

/* Says which lengths a channel of datagrams takes. */
static void do_too_long(struct client *client) {
        __wasi_fd_t channel = create(client);
        __wasi_errno_t error;
        size_t n;

        CHECK_OK(quic_write(channel, client->buffer, 1, &n));
        error = quic_write(channel, client->buffer, 60000, &n);
        quic_say("too long", error);
}

/* ---- connecting ---- */

static void say_text(const char *what,
                     __wasi_errno_t (*function)(__wasi_fd_t fd, char *buffer, __wasi_size_t size, __wasi_size_t *ret),
                     __wasi_fd_t fd) {
        char text[WASI_NETWORKING_ADDRESS_MAX];
        __wasi_size_t length;

        CHECK_OK(function(fd, text, sizeof(text), &length));
        printf("%s: %.*s\n", what, (int)length, text);
}

static void do_connect(struct client *client) {
        uint32_t resumed = 2;

        say_text("remote", __wasi_networking_remote_address, client->connection);
        say_text("version", __wasi_networking_tls_version, client->connection);
        say_text("alpn", __wasi_networking_tls_alpn, client->connection);
        CHECK_OK(__wasi_networking_tls_resumed(client->connection, &resumed));
        printf("resumed: %u\n", (unsigned)resumed);
}

static const struct mode {
        const char *name;
        void (*run)(struct client *client);
        bool datagrams;
} modes[] = {
        { "blocking", do_blocking, false }, { "connect", do_connect, false },       { "datagrams", do_datagrams, true },
        { "echo", do_echo, false },         { "half-close", do_half_close, false }, { "hold", do_hold, false },
        { "leave", do_leave, false },       { "one-way", do_one_way, false },       { "reset", do_reset, false },
        { "stop", do_stop, false },         { "too-long", do_too_long, true },
};

static const struct mode *find_mode(const char *name) {
        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); ++i) {
                if (strcmp(modes[i].name, name) == 0)
                        return &modes[i];
        }
        FAIL("there is no mode %s", name);
}

static void forget(struct client *client) {
        quic_close(client->connection);
        free(client->jobs);
        memset(client, 0, sizeof(*client));
}

/* @return whether there was a connection */
static bool connect_and_do(struct client *client, const char *address, const struct mode *mode) {
        __wasi_errno_t error;
        __wasi_fd_t control;

        CHECK_OK(quic_open(address[0] == '[' ? "[::]:0" : "0.0.0.0:0",
                           mode->datagrams ? __WASI_FILETYPE_SOCKET_DGRAM : __WASI_FILETYPE_SOCKET_STREAM,
                           WASI_NETWORKING_RIGHTS_CLIENT, &control));
        error = guest_connect(control, address, &client->connection);
        if (error) {
                quic_say("connect", error);
                quic_say_denial();
                return false;
        }
        mode->run(client);
        fflush(stdout);
        return true;
}

int main(int argc, char **argv) {
        static struct client client;

        CHECK(argc >= 3 && (argc <= 5 || argc % 3 == 2));
        for (int i = 2; i < argc; i += 3) {
                if (i > 2)
                        forget(&client);
                client.n = argc > i + 1 ? strtoul(argv[i + 1], NULL, 10) : 1;
                client.total = argc > i + 2 ? strtoull(argv[i + 2], NULL, 10) : 1;
                if (!connect_and_do(&client, argv[1], find_mode(argv[i])))
                        return 1;
        }
        return 0;
}
