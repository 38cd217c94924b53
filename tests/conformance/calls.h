/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the matrix: call_NAME() makes one on the descriptor of a cell, and says in the table's words what a success did.
 */
#ifndef NB_TESTS_CONFORMANCE_CALLS_H
#define NB_TESTS_CONFORMANCE_CALLS_H

#include "tests/conformance/conformance.h"
#include "tests/conformance/kinds.h"

#define EFFECT_MAX 160

#define CALL(name)                                                                                                     \
        static __wasi_errno_t call_##name(struct world *world, const struct subject *subject, char effect[EFFECT_MAX])

#define SAY(...) snprintf(effect, EFFECT_MAX, __VA_ARGS__)

/* Where results go, so that an errno that writes one is seen. */
#define RESULT(type) ((type *)(void *)&world->result)

static inline const char *type_name(__wasi_filetype_t type) {
        static const char *const names[] = { "unknown",      "block_device", "character_device", "directory",
                                             "regular_file", "socket_dgram", "socket_stream",    "symbolic_link" };

        return type < sizeof(names) / sizeof(names[0]) ? names[type] : "no filetype";
}

static inline void say_fdstat(const char *before, __wasi_fd_t fd, char effect[EFFECT_MAX]) {
        __wasi_fdstat_t fdstat;

        CHECK_OK(__wasi_fd_fdstat_get(fd, &fdstat));
        SAY("%s%s%s", before, type_name(fdstat.fs_filetype),
            fdstat.fs_flags & __WASI_FDFLAGS_NONBLOCK ? " nonblock" : "");
}

/* Of a new descriptor, which must have got the lowest free number. */
static inline __wasi_errno_t say_new(const struct world *world, __wasi_errno_t error, __wasi_fd_t expected,
                                     char effect[EFFECT_MAX]) {
        if (!error)
                say_fdstat((__wasi_fd_t)world->result == expected ? "new " : "new, not the lowest number, ",
                           (__wasi_fd_t)world->result, effect);
        return error;
}

static inline __wasi_errno_t say_bytes(const struct world *world, __wasi_errno_t error, char effect[EFFECT_MAX]) {
        if (!error)
                SAY("%u bytes", (unsigned)world->result);
        return error;
}

static inline __wasi_errno_t say_done(__wasi_errno_t error, char effect[EFFECT_MAX]) {
        if (!error)
                SAY("done");
        return error;
}

/* ---- networking ---- */

CALL(open) {
        __wasi_fd_t expected = lowest_free();

        return say_new(world,
                       open_control(subject->fd, "0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, __WASI_FDFLAGS_NONBLOCK,
                                    RESULT(__wasi_fd_t)),
                       expected, effect);
}

CALL(listen) {
        __wasi_errno_t error = __wasi_networking_listen(subject->fd, 8), then;
        __wasi_fd_t connection;

        (void)world;
        if (error)
                return error;
        then = __wasi_networking_accept(subject->fd, &connection);
        if (!then || then == __WASI_ERRNO_AGAIN)
                SAY("listens");
        return error;
}

CALL(accept) {
        __wasi_fd_t expected = lowest_free();

        return say_new(world, __wasi_networking_accept(subject->fd, RESULT(__wasi_fd_t)), expected, effect);
}

CALL(connect) {
        const char *address = subject->address ? subject->address : setting(PEER_ECHO);
        __wasi_fd_t expected = lowest_free();

        return say_new(world, guest_connect(subject->fd, address, RESULT(__wasi_fd_t)), expected, effect);
}

CALL(stream_create) {
        __wasi_fd_t expected = lowest_free();

        return say_new(world,
                       __wasi_networking_stream_create(subject->fd, WASI_NETWORKING_RIGHTS_STREAM, 0,
                                                       __WASI_FDFLAGS_NONBLOCK, RESULT(__wasi_fd_t)),
                       expected, effect);
}

CALL(stream_accept) {
        __wasi_fd_t expected = lowest_free();

        return say_new(world, __wasi_networking_stream_accept(subject->fd, RESULT(__wasi_fd_t)), expected, effect);
}

/* ---- networking_ext ---- */

CALL(protocol_restrict) {
        static const char rules[] = "Connect=127.0.0.1:*";
        __wasi_fd_t expected = lowest_free();

        return say_new(world,
                       __wasi_networking_protocol_restrict(subject->fd, rules, sizeof(rules) - 1, UINT64_MAX,
                                                           UINT64_MAX, RESULT(__wasi_fd_t)),
                       expected, effect);
}

/* An address without what differs from run to run: the folder, the number of a path, and ports that the kernel chose. */
static inline void say_address(const char *address, char effect[EFFECT_MAX]) {
        const char *folder = setting(FOLDER);
        const char *colon = strrchr(address, ':');
        const char *dash = strrchr(address, '-');

        if (strncmp(address, folder, strlen(folder)) == 0) {
                const char *name = address + strlen(folder);

                if (dash && dash > name)
                        SAY("\"DIR%.*s.sock\"", (int)(dash - name), name);
                else
                        SAY("\"DIR%s\"", name);
        } else if (colon && strcmp(colon, ":0") != 0) {
                SAY("\"%.*s*\"", (int)(colon + 1 - address), address);
        } else {
                SAY("\"%s\"", address);
        }
}

CALL(local_address) {
        char address[ADDRESS_MAX + 1];
        __wasi_errno_t error =
                __wasi_networking_local_address(subject->fd, address, ADDRESS_MAX, RESULT(__wasi_size_t));

        if (error)
                return error;
        address[world->result] = '\0';
        say_address(address, effect);
        return error;
}

CALL(remote_address) {
        char address[ADDRESS_MAX + 1];
        __wasi_errno_t error =
                __wasi_networking_remote_address(subject->fd, address, ADDRESS_MAX, RESULT(__wasi_size_t));

        if (error)
                return error;
        address[world->result] = '\0';
        say_address(address, effect);
        return error;
}

CALL(tls_version) {
        char text[WASI_NETWORKING_TLS_TEXT_MAX + 1];
        __wasi_errno_t error = __wasi_networking_tls_version(subject->fd, text, sizeof(text), RESULT(__wasi_size_t));

        return say_bytes(world, error, effect);
}

CALL(tls_cipher) {
        char text[WASI_NETWORKING_TLS_TEXT_MAX + 1];
        __wasi_errno_t error = __wasi_networking_tls_cipher(subject->fd, text, sizeof(text), RESULT(__wasi_size_t));

        return say_bytes(world, error, effect);
}

CALL(tls_alpn) {
        char text[WASI_NETWORKING_TLS_TEXT_MAX + 1];
        __wasi_errno_t error = __wasi_networking_tls_alpn(subject->fd, text, sizeof(text), RESULT(__wasi_size_t));

        return say_bytes(world, error, effect);
}

CALL(tls_peer_name) {
        char text[WASI_NETWORKING_TLS_TEXT_MAX + 1];
        __wasi_errno_t error =
                __wasi_networking_tls_peer_name(subject->fd, 0, text, sizeof(text), RESULT(__wasi_size_t));

        return say_bytes(world, error, effect);
}

/* Whether an earlier session could be resumed depends on what was tried before. */
CALL(tls_resumed) {
        __wasi_errno_t error = __wasi_networking_tls_resumed(subject->fd, &world->result);

        if (!error)
                SAY("%s", world->result <= 1 ? "0 or 1" : "neither 0 nor 1");
        return error;
}

CALL(get_option) {
        __wasi_errno_t error =
                __wasi_networking_get_option(subject->fd, __WASI_NETWORKING_OPTION_ERROR, &world->result);

        if (!error)
                SAY("value %u", (unsigned)world->result);
        return error;
}

CALL(set_option) {
        __wasi_errno_t error = __wasi_networking_set_option(subject->fd, __WASI_NETWORKING_OPTION_TCP_NODELAY, 1);

        if (error)
                return error;
        CHECK_OK(__wasi_networking_get_option(subject->fd, __WASI_NETWORKING_OPTION_TCP_NODELAY, &world->result));
        SAY("value %u", (unsigned)world->result);
        return error;
}

/* ---- sockets of preview 1 ---- */

CALL(sock_accept) {
        __wasi_fd_t expected = lowest_free();

        return say_new(world, __wasi_sock_accept(subject->fd, __WASI_FDFLAGS_NONBLOCK, RESULT(__wasi_fd_t)), expected,
                       effect);
}

CALL(sock_recv) {
        __wasi_roflags_t flags;
        char buffer[16];

        return say_bytes(world, receive_bytes(subject->fd, buffer, sizeof(buffer), 0, RESULT(__wasi_size_t), &flags),
                         effect);
}

CALL(sock_send) {
        return say_bytes(world, send_bytes(subject->fd, "hello", 5, RESULT(__wasi_size_t)), effect);
}

/* A channel of datagrams ends as a whole, and is reset by its host a moment later. */
CALL(sock_shutdown) {
        __wasi_errno_t error = __wasi_sock_shutdown(subject->fd, __WASI_SDFLAGS_WR), then;

        if (error)
                return error;
        then = send_bytes(subject->fd, "hello", 5, RESULT(__wasi_size_t));
        if (then == __WASI_ERRNO_PIPE || (subject->channel && then == __WASI_ERRNO_CONNRESET))
                SAY("cannot write");
        return error;
}

/* ---- waiting ---- */

CALL(poll_oneoff_read) {
        struct readiness readiness = poll_read(subject->fd, 0);

        (void)world;
        if (!readiness.ready)
                SAY("not ready");
        else if (readiness.error)
                SAY("event %s", wasi_networking_errno_name(readiness.error));
        else
                SAY("ready %u%s", (unsigned)readiness.nbytes, readiness.hangup ? " hangup" : "");
        return __WASI_ERRNO_SUCCESS;
}

CALL(poll_oneoff_write) {
        struct readiness readiness = poll_write(subject->fd, 0);

        (void)world;
        if (!readiness.ready)
                SAY("not ready");
        else if (readiness.error)
                SAY("event %s", wasi_networking_errno_name(readiness.error));
        else
                SAY("ready%s", readiness.hangup ? " hangup" : "");
        return __WASI_ERRNO_SUCCESS;
}

/* ---- descriptors ---- */

CALL(fd_read) {
        uint8_t buffer[16];
        __wasi_iovec_t iovec = { .buf = buffer, .buf_len = sizeof(buffer) };

        return say_bytes(world, __wasi_fd_read(subject->fd, &iovec, 1, RESULT(__wasi_size_t)), effect);
}

/* A line, for standard output is read together with what this says of failures. */
CALL(fd_write) {
        __wasi_ciovec_t iovec = { .buf = (const uint8_t *)"line\n", .buf_len = 5 };

        return say_bytes(world, __wasi_fd_write(subject->fd, &iovec, 1, RESULT(__wasi_size_t)), effect);
}

CALL(fd_fdstat_get) {
        __wasi_fdstat_t fdstat;
        __wasi_errno_t error = __wasi_fd_fdstat_get(subject->fd, &fdstat);

        (void)world;
        if (!error)
                say_fdstat("", subject->fd, effect);
        return error;
}

CALL(fd_fdstat_set_flags) {
        __wasi_errno_t error = __wasi_fd_fdstat_set_flags(subject->fd, 0);
        __wasi_fdstat_t fdstat;

        (void)world;
        if (error)
                return error;
        CHECK_OK(__wasi_fd_fdstat_get(subject->fd, &fdstat));
        SAY("%s", fdstat.fs_flags == 0 ? "blocking" : "still nonblocking");
        return error;
}

CALL(fd_filestat_get) {
        __wasi_filestat_t filestat;
        __wasi_errno_t error = __wasi_fd_filestat_get(subject->fd, &filestat);

        (void)world;
        if (!error)
                SAY("%s", type_name(filestat.filetype));
        return error;
}

CALL(fd_prestat_get) {
        __wasi_prestat_t prestat;
        __wasi_errno_t error = __wasi_fd_prestat_get(subject->fd, &prestat);

        (void)world;
        if (!error)
                SAY("%s", prestat.tag == __WASI_PREOPENTYPE_DIR                 ? "directory"
                          : prestat.tag == WASI_NETWORKING_PREOPENTYPE_PROTOCOL ? "protocol"
                                                                                : "no type");
        return error;
}

CALL(fd_prestat_dir_name) {
        uint8_t name[64] = { 0 };
        __wasi_prestat_t prestat;
        __wasi_size_t length = sizeof(name) - 1;
        __wasi_errno_t error;

        (void)world;
        if (__wasi_fd_prestat_get(subject->fd, &prestat) == __WASI_ERRNO_SUCCESS)
                length = prestat.u.dir.pr_name_len;
        CHECK(length < sizeof(name));
        error = __wasi_fd_prestat_dir_name(subject->fd, name, length);
        if (!error)
                SAY("\"%s\"", (const char *)name);
        return error;
}

/* ---- files ---- */

CALL(fd_advise) {
        (void)world;
        return say_done(__wasi_fd_advise(subject->fd, 0, 1, __WASI_ADVICE_NORMAL), effect);
}

CALL(fd_allocate) {
        (void)world;
        return say_done(__wasi_fd_allocate(subject->fd, 0, 1), effect);
}

CALL(fd_datasync) {
        (void)world;
        return say_done(__wasi_fd_datasync(subject->fd), effect);
}

CALL(fd_sync) {
        (void)world;
        return say_done(__wasi_fd_sync(subject->fd), effect);
}

CALL(fd_filestat_set_size) {
        (void)world;
        return say_done(__wasi_fd_filestat_set_size(subject->fd, 5), effect);
}

CALL(fd_filestat_set_times) {
        (void)world;
        return say_done(__wasi_fd_filestat_set_times(subject->fd, 0, 0, __WASI_FSTFLAGS_MTIM_NOW), effect);
}

CALL(fd_pread) {
        uint8_t buffer[16];
        __wasi_iovec_t iovec = { .buf = buffer, .buf_len = sizeof(buffer) };

        return say_bytes(world, __wasi_fd_pread(subject->fd, &iovec, 1, 0, RESULT(__wasi_size_t)), effect);
}

CALL(fd_pwrite) {
        __wasi_ciovec_t iovec = { .buf = (const uint8_t *)"hello", .buf_len = 5 };

        return say_bytes(world, __wasi_fd_pwrite(subject->fd, &iovec, 1, 0, RESULT(__wasi_size_t)), effect);
}

CALL(fd_readdir) {
        uint8_t buffer[256];

        return say_done(__wasi_fd_readdir(subject->fd, buffer, sizeof(buffer), 0, RESULT(__wasi_size_t)), effect);
}

CALL(fd_seek) {
        __wasi_filesize_t offset;

        (void)world;
        return say_done(__wasi_fd_seek(subject->fd, 0, __WASI_WHENCE_SET, &offset), effect);
}

CALL(fd_tell) {
        __wasi_filesize_t offset;

        (void)world;
        return say_done(__wasi_fd_tell(subject->fd, &offset), effect);
}

CALL(path_create_directory) {
        (void)world;
        return say_done(__wasi_path_create_directory(subject->fd, "new"), effect);
}

CALL(path_filestat_get) {
        __wasi_filestat_t filestat;

        (void)world;
        return say_done(__wasi_path_filestat_get(subject->fd, 0, "file", &filestat), effect);
}

CALL(path_filestat_set_times) {
        (void)world;
        return say_done(__wasi_path_filestat_set_times(subject->fd, 0, "file", 0, 0, __WASI_FSTFLAGS_MTIM_NOW), effect);
}

CALL(path_link_old) {
        return say_done(__wasi_path_link(subject->fd, 0, "file", world->directory, "new"), effect);
}

CALL(path_link_new) {
        return say_done(__wasi_path_link(world->directory, 0, "file", subject->fd, "new"), effect);
}

CALL(path_open) {
        __wasi_fd_t expected = lowest_free();

        return say_new(world,
                       __wasi_path_open(subject->fd, 0, "file", 0, __WASI_RIGHTS_FD_READ, 0, 0, RESULT(__wasi_fd_t)),
                       expected, effect);
}

CALL(path_readlink) {
        uint8_t buffer[64];

        return say_bytes(world,
                         __wasi_path_readlink(subject->fd, "link", buffer, sizeof(buffer), RESULT(__wasi_size_t)),
                         effect);
}

CALL(path_remove_directory) {
        (void)world;
        return say_done(__wasi_path_remove_directory(subject->fd, "empty"), effect);
}

CALL(path_rename_old) {
        return say_done(__wasi_path_rename(subject->fd, "file", world->directory, "new"), effect);
}

CALL(path_rename_new) {
        return say_done(__wasi_path_rename(world->directory, "file", subject->fd, "new"), effect);
}

CALL(path_symlink) {
        (void)world;
        return say_done(__wasi_path_symlink("file", subject->fd, "new"), effect);
}

CALL(path_unlink_file) {
        (void)world;
        return say_done(__wasi_path_unlink_file(subject->fd, "file"), effect);
}

/* ---- ends of descriptors ---- */

/* Moves what was given at the start back to where it was. */
static inline void move_back(const struct world *world, __wasi_fd_t from, __wasi_fd_t to) {
        while (!is_open(to))
                (void)open_file(world);
        CHECK_OK(__wasi_fd_renumber(from, to));
}

CALL(fd_renumber_from) {
        __wasi_fd_t file = open_file(world);
        __wasi_fdstat_t before = { 0 }, after = { 0 };
        __wasi_errno_t error;

        if (is_open(subject->fd))
                CHECK_OK(__wasi_fd_fdstat_get(subject->fd, &before));
        error = __wasi_fd_renumber(subject->fd, file);
        if (error) {
                close_fd(file);
                return error;
        }
        CHECK_OK(__wasi_fd_fdstat_get(file, &after));
        if (!is_open(subject->fd) && memcmp(&before, &after, sizeof(before)) == 0)
                SAY("moved");
        if (subject->given)
                move_back(world, file, subject->fd);
        return error;
}

CALL(fd_renumber_to) {
        __wasi_fd_t file = open_file(world);
        __wasi_errno_t error = __wasi_fd_renumber(file, subject->fd);
        __wasi_fdstat_t fdstat;

        if (error) {
                close_fd(file);
                return error;
        }
        if (subject->given)
                world->spent[subject->fd] = true;
        CHECK_OK(__wasi_fd_fdstat_get(subject->fd, &fdstat));
        if (!is_open(file) && fdstat.fs_filetype == __WASI_FILETYPE_REGULAR_FILE)
                SAY("replaced");
        return error;
}

CALL(fd_fdstat_set_rights) {
        __wasi_errno_t error = __wasi_fd_fdstat_set_rights(subject->fd, 0, 0);
        __wasi_fdstat_t fdstat;

        (void)world;
        if (error)
                return error;
        CHECK_OK(__wasi_fd_fdstat_get(subject->fd, &fdstat));
        if (fdstat.fs_rights_base == 0 && fdstat.fs_rights_inheriting == 0)
                SAY("no rights");
        return error;
}

CALL(fd_close) {
        __wasi_errno_t error = __wasi_fd_close(subject->fd);

        if (error)
                return error;
        world->held[subject->fd] = false;
        if (!is_open(subject->fd))
                SAY("closed");
        return error;
}

#endif
