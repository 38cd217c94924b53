/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd_renumber
 *
 * Any descriptor can be moved onto the number of any other: files, standard streams, protocols, controls, connections and streams. What
 * was there is closed, the number that it came from is free, and it goes on as before. Onto itself it stays. Both numbers must be those
 * of descriptors, or it is `badf` and nothing is closed; so wasi-libc's dup2() onto a free number fails, with every WASI host.
 */
#include <fcntl.h>

#include "tests/conformance/conformance.h"

enum kind { KIND_FILE, KIND_CONTROL, KIND_CONNECTION, KIND_STREAM, N_KINDS };

static __wasi_fd_t make(enum kind kind) {
        __wasi_fd_t fd;

        switch (kind) {
        case KIND_FILE:
                fd = open(DIRECTORY "/moved", O_RDWR | O_CREAT, 0600);
                CHECK(fd >= 0);
                return fd;
        case KIND_CONTROL:
                return client_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, 0);
        case KIND_CONNECTION:
                return connection_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM);
        default:
                return stream_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, 0);
        }
}

static void echo(__wasi_fd_t stream) {
        send_text(stream, "hello");
        expect_text(stream, "hello");
        close_fd(stream);
}

/* Does what only this kind can do, and closes it. */
static void use(enum kind kind, __wasi_fd_t fd) {
        __wasi_fd_t derived;

        switch (kind) {
        case KIND_FILE:
                guest_write_all(fd, "hello", 5);
                break;
        case KIND_CONTROL:
                CHECK_OK(guest_connect(fd, setting(PEER_ECHO), &derived));
                close_fd(derived);
                break;
        case KIND_CONNECTION:
                CHECK_OK(__wasi_networking_stream_accept(fd, &derived));
                echo(derived);
                break;
        default:
                echo(fd);
                return;
        }
        close_fd(fd);
}

static void move(enum kind from, enum kind to) {
        __wasi_fd_t source = make(from), target = make(to);

        CHECK_OK(__wasi_fd_renumber(source, target));
        CHECK(!is_open(source));
        use(from, target);
}

/* What is moved away from is closed for its peer as well. */
static void closes(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        struct ends ends = ends_open(&listener, 0);

        CHECK_OK(__wasi_fd_renumber(make(KIND_FILE), ends.ours));
        expect_end(ends.theirs);
        close_fd(ends.ours);
        close_fd(ends.theirs);
        close_fd(listener.control);
}

static void errors(void) {
        __wasi_fd_t stream = make(KIND_STREAM), free_number = lowest_free();

        CHECK_OK(__wasi_fd_renumber(stream, stream));
        CHECK_ERRNO(__wasi_fd_renumber(stream, free_number), __WASI_ERRNO_BADF);
        CHECK_ERRNO(__wasi_fd_renumber(free_number, stream), __WASI_ERRNO_BADF);
        CHECK_ERRNO(__wasi_fd_renumber(stream, -1), __WASI_ERRNO_BADF);
        CHECK_ERRNO(__wasi_fd_renumber(free_number, free_number), __WASI_ERRNO_BADF);
        echo(stream);
}

static void what_was_given(void) {
        __wasi_fd_t given = protocol(PROTOCOL_GIVEN), target = make(KIND_FILE), control;

        CHECK_OK(__wasi_fd_renumber(given, target));
        CHECK_OK(open_control(target, "0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, 0, &control));
        CHECK(control == given);
        use(KIND_CONTROL, control);
        CHECK_OK(__wasi_fd_renumber(make(KIND_STREAM), STDIN_FILENO));
        echo(STDIN_FILENO);
}

int main(void) {
        for (int from = 0; from < N_KINDS; ++from) {
                for (int to = 0; to < N_KINDS; ++to)
                        move((enum kind)from, (enum kind)to);
        }
        closes();
        errors();
        what_was_given();
        CHECK(unlink(DIRECTORY "/moved") == 0);
        return 0;
}
