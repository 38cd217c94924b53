/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of descriptor of the matrix: make_NAME() makes one, in the state that its name says.
 *
 * What the guest was given at its start cannot be made again. It is used for as long as it is there.
 */
#ifndef NB_TESTS_CONFORMANCE_KINDS_H
#define NB_TESTS_CONFORMANCE_KINDS_H

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/quic.h"

#define HELD_MAX 64

/* What goes on from cell to cell. */
struct world {
        struct listener listener; /* TCP */
        struct listener quic, quic_datagrams;
        struct ends connection; /* of QUIC: the streams of its kinds are made on it */
        bool held[HELD_MAX];    /* the numbers that are not closed behind a cell */
        bool spent[HELD_MAX];   /* of these, the ones that are no more what they were at the start */
        __wasi_fd_t web, local; /* protocols that kinds are made of */
        __wasi_fd_t directory;  /* that cells may look into but not use up */
        unsigned n_paths; /* that were bound: each has a name of its own, for they go a moment after their control */
        uint32_t result;  /* where calls have their result stored */
};

/* The descriptor of a cell, and what its call needs to know of it. */
struct subject {
        __wasi_fd_t fd;
        const char *address;    /* what it could connect to */
        __wasi_filetype_t type; /* of the sockets */
        bool given;             /* at the start: it is put back where it was moved from */
        bool channel;           /* of QUIC's datagrams */
};

#define FILE_CONTENT "hello"
#define UNTOUCHED UINT32_C(0xdecade)

static inline void world_init(struct world *world) {
        *world = (struct world){ .web = protocol(PROTOCOL_IP), .local = protocol(PROTOCOL_UNIX) };
        world->directory = open(DIRECTORY, O_RDONLY | O_DIRECTORY);
        CHECK(world->directory >= 0);
        world->listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        world->quic = quic_listener_open(__WASI_FILETYPE_SOCKET_STREAM);
        world->quic_datagrams = quic_listener_open(__WASI_FILETYPE_SOCKET_DGRAM);
        world->connection = quic_ends_open(&world->quic, __WASI_FILETYPE_SOCKET_STREAM);
        for (__wasi_fd_t fd = 0; fd < HELD_MAX; ++fd)
                world->held[fd] = is_open(fd);
}

/* The folder as every cell finds it. Through a descriptor of the world's own: the preopened one may be gone. */
static inline void world_tidy(const struct world *world) {
        int fd;

        (void)unlinkat(world->directory, "new", 0);
        (void)unlinkat(world->directory, "new", AT_REMOVEDIR);
        (void)mkdirat(world->directory, "empty", 0700);
        (void)symlinkat("file", world->directory, "link");
        fd = openat(world->directory, "file", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        CHECK(fd >= 0);
        guest_write_all(fd, FILE_CONTENT, strlen(FILE_CONTENT));
        CHECK(close(fd) == 0);
}

/* Closes what a cell has made. */
static inline void world_clean(struct world *world) {
        for (__wasi_fd_t fd = 0; fd < HELD_MAX; ++fd) {
                if (!world->held[fd])
                        (void)__wasi_fd_close(fd);
        }
}

/* What was given at the start, once more. @return false: it is used up */
static inline bool give(struct world *world, __wasi_fd_t fd, struct subject *ret) {
        if (!world->held[fd] || world->spent[fd])
                return false;
        ret->fd = fd;
        ret->given = true;
        (void)__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_NONBLOCK);
        return true;
}

/* O_CREAT, for without it wasi-libc asks for no more than the directory's rights, and Wasmtime's directories are not writable themselves. */
static inline __wasi_fd_t open_file(const struct world *world) {
        __wasi_fd_t fd = openat(world->directory, "file", O_RDWR | O_CREAT, 0600);

        CHECK(fd >= 0);
        return fd;
}

static inline void set_nonblock(__wasi_fd_t fd) {
        CHECK_OK(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_NONBLOCK));
}

/* ---- what is no socket ---- */

static bool make_closed(struct world *world, struct subject *ret) {
        (void)world;
        ret->fd = HELD_MAX - 1;
        return true;
}

static bool make_stdin(struct world *world, struct subject *ret) {
        return give(world, STDIN_FILENO, ret);
}

static bool make_stdout(struct world *world, struct subject *ret) {
        return give(world, STDOUT_FILENO, ret);
}

static bool make_directory(struct world *world, struct subject *ret) {
        return give(world, 3, ret);
}

static bool make_file(struct world *world, struct subject *ret) {
        ret->fd = open_file(world);
        return true;
}

static bool make_protocol(struct world *world, struct subject *ret) {
        return give(world, protocol(PROTOCOL_GIVEN), ret);
}

/* ---- controls ---- */

static inline __wasi_fd_t bind_control(const struct world *world, struct subject *ret, const char *address) {
        ret->address = setting(PEER_ECHO);
        ret->type = __WASI_FILETYPE_SOCKET_STREAM;
        CHECK_OK(open_control(world->web, address, ret->type, __WASI_FDFLAGS_NONBLOCK, &ret->fd));
        return ret->fd;
}

static bool make_control(struct world *world, struct subject *ret) {
        (void)bind_control(world, ret, "0.0.0.0:0");
        return true;
}

static bool make_control_bound(struct world *world, struct subject *ret) {
        (void)bind_control(world, ret, "127.0.0.1:0");
        return true;
}

static bool make_control_listening(struct world *world, struct subject *ret) {
        CHECK_OK(__wasi_networking_listen(bind_control(world, ret, "127.0.0.1:0"), 8));
        return true;
}

/* Connects to a listening control, and waits until that knows. */
static inline void send_peer(__wasi_fd_t control, const char *address) {
        (void)connection_open(address, __WASI_FILETYPE_SOCKET_STREAM);
        await_readable(control);
}

static bool make_control_waiting(struct world *world, struct subject *ret) {
        char address[ADDRESS_MAX + 1];

        (void)make_control_listening(world, ret);
        send_peer(ret->fd, local_address(ret->fd, address));
        return true;
}

static bool make_control_connecting(struct world *world, struct subject *ret) {
        __wasi_fd_t connection;

        (void)make_control(world, ret);
        CHECK_ERRNO(guest_connect(ret->fd, setting(PEER_BLACK_HOLE), &connection), __WASI_ERRNO_INPROGRESS);
        return true;
}

static bool make_control_connected(struct world *world, struct subject *ret) {
        __wasi_fd_t connection;

        (void)make_control(world, ret);
        CHECK_ERRNO(guest_connect(ret->fd, ret->address, &connection), __WASI_ERRNO_INPROGRESS);
        await_readable(ret->fd);
        CHECK_OK(guest_connect(ret->fd, ret->address, &connection));
        close_fd(connection);
        return true;
}

static bool make_datagram_control(struct world *world, struct subject *ret) {
        ret->address = setting(PEER_DATAGRAMS);
        ret->type = __WASI_FILETYPE_SOCKET_DGRAM;
        CHECK_OK(open_control(world->web, "0.0.0.0:0", ret->type, __WASI_FDFLAGS_NONBLOCK, &ret->fd));
        return true;
}

/* ---- connections ---- */

static bool make_connection(struct world *world, struct subject *ret) {
        (void)world;
        ret->fd = connection_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM);
        return true;
}

static bool make_connection_taken(struct world *world, struct subject *ret) {
        __wasi_fd_t stream;

        (void)make_connection(world, ret);
        CHECK_OK(__wasi_networking_stream_accept(ret->fd, &stream));
        return true;
}

static bool make_connection_closed(struct world *world, struct subject *ret) {
        __wasi_fd_t stream;

        (void)make_connection(world, ret);
        CHECK_OK(__wasi_networking_stream_accept(ret->fd, &stream));
        close_fd(stream);
        return true;
}

static bool make_datagram_connection(struct world *world, struct subject *ret) {
        (void)world;
        ret->fd = connection_open(setting(PEER_DATAGRAMS), __WASI_FILETYPE_SOCKET_DGRAM);
        return true;
}

/* ---- streams ---- */

static inline struct ends make_ends(const struct world *world, struct subject *ret) {
        struct ends ends = ends_open(&world->listener, __WASI_FDFLAGS_NONBLOCK);

        ret->fd = ends.ours;
        return ends;
}

static bool make_stream(struct world *world, struct subject *ret) {
        (void)make_ends(world, ret);
        return true;
}

static bool make_stream_readable(struct world *world, struct subject *ret) {
        struct ends ends = make_ends(world, ret);

        send_text(ends.theirs, "hello");
        await_readable(ends.ours);
        return true;
}

static bool make_stream_shut(struct world *world, struct subject *ret) {
        CHECK_OK(__wasi_sock_shutdown(make_ends(world, ret).ours, __WASI_SDFLAGS_WR));
        return true;
}

static bool make_stream_deaf(struct world *world, struct subject *ret) {
        CHECK_OK(__wasi_sock_shutdown(make_ends(world, ret).ours, __WASI_SDFLAGS_RD));
        return true;
}

static bool make_stream_last(struct world *world, struct subject *ret) {
        struct ends ends = make_ends(world, ret);

        send_text(ends.theirs, "hello");
        CHECK_OK(__wasi_sock_shutdown(ends.theirs, __WASI_SDFLAGS_WR));
        await_hangup(ends.ours);
        return true;
}

static bool make_stream_ended(struct world *world, struct subject *ret) {
        struct ends ends = make_ends(world, ret);

        CHECK_OK(__wasi_sock_shutdown(ends.theirs, __WASI_SDFLAGS_WR));
        await_hangup(ends.ours);
        return true;
}

static bool make_stream_reset(struct world *world, struct subject *ret) {
        struct ends ends = make_ends(world, ret);

        ends_reset(&ends);
        return true;
}

static bool make_datagram(struct world *world, struct subject *ret) {
        (void)world;
        ret->fd = stream_open(setting(PEER_DATAGRAMS), __WASI_FILETYPE_SOCKET_DGRAM, __WASI_FDFLAGS_NONBLOCK);
        return true;
}

/* The peer sends back what it gets. */
static inline void make_readable(__wasi_fd_t stream) {
        send_text(stream, "hello");
        await_readable(stream);
}

static bool make_datagram_readable(struct world *world, struct subject *ret) {
        (void)make_datagram(world, ret);
        make_readable(ret->fd);
        return true;
}

/* ---- Unix sockets ---- */

static inline __wasi_fd_t bind_unix(const struct world *world, struct subject *ret, const char *address) {
        ret->address = setting(PEER_UNIX);
        ret->type = __WASI_FILETYPE_SOCKET_STREAM;
        CHECK_OK(open_control(world->local, address, ret->type, __WASI_FDFLAGS_NONBLOCK, &ret->fd));
        return ret->fd;
}

/* A path that nobody has had yet. */
static inline const char *next_path(struct world *world, const char *name, char buffer[ADDRESS_MAX + 1]) {
        snprintf(buffer, ADDRESS_MAX + 1, "%s/%s-%u.sock", setting(FOLDER), name, ++world->n_paths);
        return buffer;
}

static bool make_unix_control(struct world *world, struct subject *ret) {
        (void)bind_unix(world, ret, "");
        return true;
}

static bool make_unix_bound(struct world *world, struct subject *ret) {
        char path[ADDRESS_MAX + 1];

        (void)bind_unix(world, ret, next_path(world, "bound", path));
        return true;
}

static bool make_unix_waiting(struct world *world, struct subject *ret) {
        char path[ADDRESS_MAX + 1];

        (void)bind_unix(world, ret, next_path(world, "waiting", path));
        CHECK_OK(__wasi_networking_listen(ret->fd, 8));
        send_peer(ret->fd, path);
        return true;
}

static bool make_unix_connection(struct world *world, struct subject *ret) {
        (void)world;
        ret->fd = connection_open(setting(PEER_UNIX), __WASI_FILETYPE_SOCKET_STREAM);
        return true;
}

static bool make_unix_stream(struct world *world, struct subject *ret) {
        (void)world;
        ret->fd = stream_open(setting(PEER_UNIX), __WASI_FILETYPE_SOCKET_STREAM, __WASI_FDFLAGS_NONBLOCK);
        return true;
}

static bool make_unix_readable(struct world *world, struct subject *ret) {
        (void)make_unix_stream(world, ret);
        make_readable(ret->fd);
        return true;
}

/* ---- QUIC ---- */

static inline struct ends make_quic(const struct listener *listener, __wasi_filetype_t type, struct subject *ret) {
        struct ends ends = quic_ends_open(listener, type);

        ret->fd = ends.ours;
        return ends;
}

static bool make_quic_connection(struct world *world, struct subject *ret) {
        (void)make_quic(&world->quic, __WASI_FILETYPE_SOCKET_STREAM, ret);
        return true;
}

static bool make_quic_waiting(struct world *world, struct subject *ret) {
        struct ends ends = make_quic(&world->quic, __WASI_FILETYPE_SOCKET_STREAM, ret);

        send_text(quic_create(ends.theirs, WASI_NETWORKING_RIGHTS_STREAM), "hello");
        await_readable(ends.ours);
        return true;
}

static bool make_quic_full(struct world *world, struct subject *ret) {
        struct ends ends = make_quic(&world->quic, __WASI_FILETYPE_SOCKET_STREAM, ret);

        quic_fill(ends.ours, WASI_NETWORKING_RIGHTS_STREAM);
        return true;
}

static bool make_quic_over(struct world *world, struct subject *ret) {
        struct ends ends = make_quic(&world->quic, __WASI_FILETYPE_SOCKET_STREAM, ret);

        close_fd(ends.theirs);
        await_hangup(ends.ours);
        return true;
}

static bool make_quic_datagram_connection(struct world *world, struct subject *ret) {
        (void)make_quic(&world->quic_datagrams, __WASI_FILETYPE_SOCKET_DGRAM, ret);
        return true;
}

static inline struct ends make_quic_ends(const struct world *world, struct subject *ret) {
        struct ends ends = quic_streams_open(&world->connection, WASI_NETWORKING_RIGHTS_STREAM);

        ret->fd = ends.ours;
        return ends;
}

static bool make_quic_stream(struct world *world, struct subject *ret) {
        (void)make_quic_ends(world, ret);
        return true;
}

static bool make_quic_readable(struct world *world, struct subject *ret) {
        struct ends ends = make_quic_ends(world, ret);

        send_text(ends.theirs, "hello");
        await_readable(ends.ours);
        return true;
}

static bool make_quic_ended(struct world *world, struct subject *ret) {
        struct ends ends = make_quic_ends(world, ret);

        CHECK_OK(__wasi_sock_shutdown(ends.theirs, __WASI_SDFLAGS_WR));
        await_hangup(ends.ours);
        return true;
}

static bool make_quic_stopped(struct world *world, struct subject *ret) {
        struct ends ends = make_quic_ends(world, ret);

        CHECK_OK(__wasi_sock_shutdown(ends.theirs, __WASI_SDFLAGS_RD));
        quic_await_stop(ends.ours);
        return true;
}

static bool make_quic_reset(struct world *world, struct subject *ret) {
        struct ends ends = make_quic_ends(world, ret);

        ends_reset(&ends);
        return true;
}

static bool make_quic_write_only(struct world *world, struct subject *ret) {
        ret->fd = quic_streams_open(&world->connection, QUIC_RIGHTS_ONE_WAY).ours;
        return true;
}

static bool make_quic_read_only(struct world *world, struct subject *ret) {
        struct ends turned = { .ours = world->connection.theirs, .theirs = world->connection.ours };

        ret->fd = quic_streams_open(&turned, QUIC_RIGHTS_ONE_WAY).theirs;
        return true;
}

static inline struct ends make_quic_channels(const struct world *world, struct subject *ret) {
        struct ends ends = make_quic(&world->quic_datagrams, __WASI_FILETYPE_SOCKET_DGRAM, ret);
        struct ends channels = quic_channels_open(&ends);

        ret->fd = channels.ours;
        ret->channel = true;
        return channels;
}

static bool make_quic_datagram(struct world *world, struct subject *ret) {
        (void)make_quic_channels(world, ret);
        return true;
}

static bool make_quic_datagram_readable(struct world *world, struct subject *ret) {
        struct ends channels = make_quic_channels(world, ret);

        send_text(channels.theirs, "hello");
        await_readable(channels.ours);
        return true;
}

/* ---- preopened sockets ---- */

static bool make_preopened_listener(struct world *world, struct subject *ret) {
        __wasi_fd_t stream;

        ret->address = setting(PEER_UNIX);
        ret->type = __WASI_FILETYPE_SOCKET_STREAM;
        if (!give(world, preopened(PREOPENED_LISTENER), ret))
                return false;
        while (__wasi_sock_accept(ret->fd, 0, &stream) == __WASI_ERRNO_SUCCESS)
                close_fd(stream);
        return true;
}

static bool make_preopened_waiting(struct world *world, struct subject *ret) {
        char address[ADDRESS_MAX + 1];

        if (!make_preopened_listener(world, ret))
                return false;
        send_peer(ret->fd, local_address(ret->fd, address));
        return true;
}

static bool make_preopened_connection(struct world *world, struct subject *ret) {
        char buffer[64];
        __wasi_roflags_t flags;
        __wasi_size_t n;

        if (!give(world, preopened(PREOPENED_CONNECTION), ret))
                return false;
        while (receive_bytes(ret->fd, buffer, sizeof(buffer), 0, &n, &flags) == __WASI_ERRNO_SUCCESS && n > 0)
                continue;
        return true;
}

#endif
