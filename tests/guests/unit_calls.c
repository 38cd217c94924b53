/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit_calls: single calls for a host to make (build: freestanding), so that it sees each result, or each trap. The same source is
 * built with a shared memory as unit_shared.wasm.
 */
#include <stdint.h>

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define PREVIEW1(name) IMPORT("wasi_snapshot_preview1", name)
#define NETWORKING(name) IMPORT("networking", name)
#define EXT(name) IMPORT("networking_ext", name)
#define EXPORT(name) __attribute__((export_name(name)))

#define RIGHTS INT64_C(0x1ffffffff)
#define DIRECTORY 3
#define OFLAGS_DIRECTORY 2
#define SOCKET_STREAM 6
#define FAULT_POINTER 0xffffff00u
#define FAULT 21
#define OPTION_KEEPALIVE 3

struct vector {
        char *bytes;
        uint32_t length;
};

int32_t path_open(int32_t fd, int32_t dirflags, const char *path, uint32_t length, int32_t oflags, int64_t base,
                  int64_t inheriting, int32_t fdflags, int32_t *ret) PREVIEW1("path_open");
int32_t fd_filestat_get(int32_t fd, void *filestat) PREVIEW1("fd_filestat_get");
int32_t fd_close(int32_t fd) PREVIEW1("fd_close");
int32_t fd_read(int32_t fd, const struct vector *iovecs, int32_t n, uint32_t *ret) PREVIEW1("fd_read");
int32_t fd_write(int32_t fd, const struct vector *iovecs, int32_t n, uint32_t *ret) PREVIEW1("fd_write");
int32_t net_open(int32_t protocol_fd, const char *address, uint32_t length, int32_t type, int64_t base,
                 int64_t inheriting, int32_t fdflags, int32_t *ret) NETWORKING("open");
int32_t net_connect(int32_t control_fd, const char *address, uint32_t length, int32_t *ret) NETWORKING("connect");
int32_t net_stream_create(int32_t connection_fd, int64_t base, int64_t inheriting, int32_t fdflags, int32_t *ret)
        NETWORKING("stream_create");

int32_t ext_local_address(int32_t fd, char *buffer, uint32_t size, uint32_t *ret_length) EXT("local_address");
int32_t ext_remote_address(int32_t fd, char *buffer, uint32_t size, uint32_t *ret_length) EXT("remote_address");
int32_t ext_last_denial(char *buffer, uint32_t size, uint32_t *ret_length) EXT("last_denial");
int32_t ext_get_option(int32_t stream_fd, uint32_t option, uint32_t *ret) EXT("get_option");
int32_t ext_set_option(int32_t stream_fd, uint32_t option, uint32_t value) EXT("set_option");

EXPORT("open_directory") int32_t open_directory(void);
EXPORT("stat") int32_t stat(int32_t fd);
EXPORT("close") int32_t close(int32_t fd);
EXPORT("bad_forwarded_path") int32_t bad_forwarded_path(void);
EXPORT("bad_forwarded_result") int32_t bad_forwarded_result(void);
EXPORT("bad_address") int32_t bad_address(int32_t protocol);
EXPORT("talk") int32_t talk(int32_t protocol);
EXPORT("take_all") int32_t take_all(int32_t protocol);
EXPORT("ask") int32_t ask(int32_t stream);
EXPORT("bad_questions") int32_t bad_questions(int32_t stream);

/* @return the number of a new descriptor, or a negated errno */
int32_t open_directory(void) {
        int32_t fd = 0;
        int32_t r = path_open(DIRECTORY, 0, ".", 1, OFLAGS_DIRECTORY, 0, 0, 0, &fd);

        return r ? -r : fd;
}

int32_t stat(int32_t fd) {
        _Alignas(8) char filestat[64];

        return fd_filestat_get(fd, filestat);
}

int32_t close(int32_t fd) {
        return fd_close(fd);
}

/* The path is looked at by the engine. */
int32_t bad_forwarded_path(void) {
        int32_t fd;

        return path_open(DIRECTORY, 0, (const char *)FAULT_POINTER, 5, OFLAGS_DIRECTORY, 0, 0, 0, &fd);
}

/* The place of the result is looked at by netbroker. */
int32_t bad_forwarded_result(void) {
        return path_open(DIRECTORY, 0, ".", 1, OFLAGS_DIRECTORY, 0, 0, 0, (int32_t *)FAULT_POINTER);
}

int32_t bad_address(int32_t protocol) {
        int32_t fd;

        return net_open(protocol, (const char *)FAULT_POINTER, 5, SOCKET_STREAM, RIGHTS, RIGHTS, 0, &fd);
}

/* Opens controls for as long as it gets any, and keeps them. @return the errno that ended it */
int32_t take_all(int32_t protocol) {
        int32_t control, r;

        do
                r = net_open(protocol, "any:0", 5, SOCKET_STREAM, RIGHTS, RIGHTS, 0, &control);
        while (!r);
        return r;
}

/* Connects, says "ping" and reads the answer. @return its first byte, or a negated errno */
int32_t talk(int32_t protocol) {
        char bytes[16] = "ping";
        struct vector vector = { bytes, 4 };
        int32_t control, connection, stream;
        uint32_t n;
        int32_t r;

        r = net_open(protocol, "any:0", 5, SOCKET_STREAM, RIGHTS, RIGHTS, 0, &control);
        if (!r)
                r = net_connect(control, "peer:1", 6, &connection);
        if (!r)
                r = net_stream_create(connection, RIGHTS, 0, 0, &stream);
        if (!r)
                r = fd_write(stream, &vector, 1, &n);
        vector.length = sizeof(bytes);
        if (!r)
                r = fd_read(stream, &vector, 1, &n);
        return r ? -r : bytes[0];
}

/* Asks all there is to ask of a stream without a name. @return 0, or the number of the question that failed */
int32_t ask(int32_t stream) {
        char text[64];
        uint32_t length, value;

        if (ext_local_address(stream, text, sizeof(text), &length) || length != 0)
                return 1;
        if (ext_remote_address(stream, text, sizeof(text), &length) || length == 0)
                return 2;
        if (ext_last_denial(text, sizeof(text), &length) || length != 0)
                return 3;
        if (ext_set_option(stream, OPTION_KEEPALIVE, 1) || ext_get_option(stream, OPTION_KEEPALIVE, &value) ||
            value != 1)
                return 4;
        return 0;
}

/* Pointers and lengths that reach out of the memory. @return how many were not `fault` */
int32_t bad_questions(int32_t stream) {
        char *outside = (char *)FAULT_POINTER, text[64];
        uint32_t *nowhere = (uint32_t *)FAULT_POINTER, length;
        int32_t n = 0;

        n += ext_local_address(stream, outside, 64, &length) != FAULT;
        n += ext_local_address(stream, text, UINT32_MAX, &length) != FAULT;
        n += ext_local_address(stream, text, sizeof(text), nowhere) != FAULT;
        n += ext_remote_address(stream, outside, 64, &length) != FAULT;
        n += ext_remote_address(stream, text, UINT32_MAX, &length) != FAULT;
        n += ext_remote_address(stream, text, sizeof(text), nowhere) != FAULT;
        n += ext_last_denial(outside, 64, &length) != FAULT;
        n += ext_last_denial(text, UINT32_MAX, &length) != FAULT;
        n += ext_last_denial(text, sizeof(text), nowhere) != FAULT;
        n += ext_get_option(stream, OPTION_KEEPALIVE, nowhere) != FAULT;
        return n;
}
