/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing in any order
 *
 * Control, connection and stream can be closed in all six orders. Each works for as long as it is open, whatever became of the others.
 * The peer sees the end when the stream is closed, for that is all that a connection of one stream carries; one whose stream nobody took
 * ends with itself.
 *
 * What was made from a protocol or from a control outlives it.
 */
#include "tests/conformance/conformance.h"

enum part { PART_CONTROL, PART_CONNECTION, PART_STREAM, N_PARTS };

static void in_order(const struct listener *listener, const enum part order[N_PARTS]) {
        __wasi_fd_t fds[N_PARTS], theirs;
        bool open[N_PARTS] = { true, true, true };

        fds[PART_CONTROL] = client_open(listener->address, __WASI_FILETYPE_SOCKET_STREAM, 0);
        CHECK_OK(guest_connect(fds[PART_CONTROL], listener->address, &fds[PART_CONNECTION]));
        CHECK_OK(__wasi_networking_stream_accept(fds[PART_CONNECTION], &fds[PART_STREAM]));
        CHECK_OK(__wasi_sock_accept(listener->control, 0, &theirs));

        for (int i = 0; i < N_PARTS; ++i) {
                close_fd(fds[order[i]]);
                CHECK_ERRNO(__wasi_fd_close(fds[order[i]]), __WASI_ERRNO_BADF);
                open[order[i]] = false;
                if (open[PART_STREAM]) {
                        send_text(fds[PART_STREAM], "to");
                        expect_text(theirs, "to");
                        send_text(theirs, "from");
                        expect_text(fds[PART_STREAM], "from");
                }
                if (open[PART_CONTROL]) {
                        __wasi_fd_t another;

                        CHECK_OK(guest_connect(fds[PART_CONTROL], setting(PEER_ECHO), &another));
                        close_fd(another);
                }
                if (order[i] == PART_STREAM)
                        expect_end(theirs);
        }
        close_fd(theirs);
}

/* On the other side as well: the control that accepted, what it accepted, and the stream of that. */
static void what_was_accepted(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        __wasi_fd_t ours = stream_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, 0), connection, stream;

        CHECK_OK(__wasi_networking_accept(listener.control, &connection));
        close_fd(listener.control);
        CHECK_OK(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream));
        close_fd(connection);
        send_text(stream, "hello");
        expect_text(ours, "hello");
        close_fd(stream);
        expect_end(ours);
        close_fd(ours);
}

static void not_taken(const struct listener *listener) {
        __wasi_fd_t connection = connection_open(listener->address, __WASI_FILETYPE_SOCKET_STREAM), theirs;

        CHECK_OK(__wasi_sock_accept(listener->control, 0, &theirs));
        close_fd(connection);
        expect_end(theirs);
        close_fd(theirs);
}

/* A protocol that is closed makes nothing more; what it has made goes on. */
static void of_a_protocol(void) {
        __wasi_fd_t given = protocol(PROTOCOL_GIVEN), control, connection;

        CHECK_OK(open_control(given, "0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, 0, &control));
        close_fd(given);
        CHECK_ERRNO(open_control(given, "0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, 0, &given), __WASI_ERRNO_BADF);
        CHECK_OK(guest_connect(control, setting(PEER_ECHO), &connection));
        close_fd(connection);
        close_fd(control);
}

int main(void) {
        static const enum part orders[][N_PARTS] = {
                { PART_CONTROL, PART_CONNECTION, PART_STREAM }, { PART_CONTROL, PART_STREAM, PART_CONNECTION },
                { PART_CONNECTION, PART_CONTROL, PART_STREAM }, { PART_CONNECTION, PART_STREAM, PART_CONTROL },
                { PART_STREAM, PART_CONTROL, PART_CONNECTION }, { PART_STREAM, PART_CONNECTION, PART_CONTROL },
        };
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");

        for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); ++i)
                in_order(&listener, orders[i]);
        what_was_accepted();
        not_taken(&listener);
        of_a_protocol();
        return 0;
}
