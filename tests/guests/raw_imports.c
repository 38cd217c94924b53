/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw_imports ADDRESS: written against the imports of the proposal and of preview 1 alone (build: freestanding), without our header
 * and without wasi-libc, as any toolchain could. It finds the protocol by walking the preopens, passes the rights as
 * the snapshot of 2020 numbers them (all bits), asks what module `networking_ext` knows of the stream, sends a line and prints
 * what comes back until the end.
 * It ends with 0, or with the number of the step that failed.
 */
#include <stddef.h>
#include <stdint.h>

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define PREVIEW1(name) IMPORT("wasi_snapshot_preview1", name)
#define NETWORKING(name) IMPORT("networking", name)
#define EXT(name) IMPORT("networking_ext", name)

struct vector {
        void *bytes;
        uint32_t length;
};

struct prestat {
        uint32_t type;
        uint32_t name_length;
};

int32_t args_sizes_get(uint32_t *n, uint32_t *size) PREVIEW1("args_sizes_get");
int32_t args_get(char **argv, char *bytes) PREVIEW1("args_get");
int32_t fd_prestat_get(int32_t fd, struct prestat *prestat) PREVIEW1("fd_prestat_get");
int32_t fd_read(int32_t fd, const struct vector *iovecs, int32_t n, uint32_t *ret) PREVIEW1("fd_read");
int32_t fd_write(int32_t fd, const struct vector *iovecs, int32_t n, uint32_t *ret) PREVIEW1("fd_write");
int32_t fd_close(int32_t fd) PREVIEW1("fd_close");
int32_t sock_shutdown(int32_t fd, int32_t how) PREVIEW1("sock_shutdown");
_Noreturn void proc_exit(int32_t code) PREVIEW1("proc_exit");

int32_t net_open(int32_t protocol_fd, const char *address, uint32_t length, int32_t type, int64_t rights_base,
                 int64_t rights_inheriting, int32_t fdflags, int32_t *ret) NETWORKING("open");
int32_t net_connect(int32_t control_fd, const char *address, uint32_t length, int32_t *ret) NETWORKING("connect");
int32_t net_stream_create(int32_t connection_fd, int64_t rights, int64_t rights_inheriting, int32_t fdflags,
                          int32_t *ret) NETWORKING("stream_create");

int32_t ext_local_address(int32_t fd, char *buffer, uint32_t size, uint32_t *ret_length) EXT("local_address");
int32_t ext_remote_address(int32_t fd, char *buffer, uint32_t size, uint32_t *ret_length) EXT("remote_address");
int32_t ext_last_denial(char *buffer, uint32_t size, uint32_t *ret_length) EXT("last_denial");
int32_t ext_get_option(int32_t stream_fd, uint32_t option, uint32_t *ret) EXT("get_option");
int32_t ext_set_option(int32_t stream_fd, uint32_t option, uint32_t value) EXT("set_option");

void _start(void);

/* Numbers of the snapshot of 2020: fd_read 1, fd_write 6, poll_fd_readwrite 29, sock_shutdown 30. */
#define RIGHTS_2020 ((INT64_C(1) << 1) | (INT64_C(1) << 6) | (INT64_C(1) << 29) | (INT64_C(1) << 30))

#define SOCKET_STREAM 6
#define SHUT_WR 2
#define OPTION_NODELAY 2
#define NOTCAPABLE 76
#define LINE "raw\n"

static void check(int condition, int32_t step) {
        if (!condition)
                proc_exit(step);
}

/* The first preopen that is not a directory. */
static int32_t find_protocol(void) {
        struct prestat prestat;

        for (int32_t fd = 3; fd_prestat_get(fd, &prestat) == 0; ++fd) {
                if (prestat.type == 1)
                        return fd;
        }
        proc_exit(3);
}

static uint32_t length_of(const char *text) {
        uint32_t length = 0;

        while (text[length] != '\0')
                ++length;
        return length;
}

static int equal(const char *a, const char *b, uint32_t length) {
        for (uint32_t i = 0; i < length; ++i) {
                if (a[i] != b[i])
                        return 0;
        }
        return 1;
}

/* The rights of 2020 hold no flags: options can be read and not set. */
static void ask_about(int32_t stream, const char *address) {
        static char text[64];
        uint32_t length, value;

        check(ext_remote_address(stream, text, sizeof(text), &length) == 0, 12);
        check(length == length_of(address) && equal(text, address, length), 13);
        check(ext_local_address(stream, text, sizeof(text), &length) == 0 && length > 0, 14);
        check(equal(text, address, address[0] == '[' ? 2 : 4), 15); /* the same host: the port is another */
        check(ext_last_denial(text, sizeof(text), &length) == 0 && length == 0, 16);
        check(ext_get_option(stream, OPTION_NODELAY, &value) == 0 && value <= 1, 17);
        check(ext_set_option(stream, OPTION_NODELAY, 1) == NOTCAPABLE, 18);
}

static void copy_to_stdout(int32_t stream) {
        static char buffer[4096];
        struct vector iovec = { buffer, sizeof(buffer) };
        uint32_t n, written;

        for (;;) {
                check(fd_read(stream, &iovec, 1, &n) == 0, 9);
                if (n == 0)
                        return;
                struct vector out = { buffer, n };
                check(fd_write(1, &out, 1, &written) == 0 && written == n, 10);
        }
}

__attribute__((export_name("_start"))) void _start(void) {
        static char *argv[2], bytes[256], line[] = LINE;
        struct vector iovec = { line, sizeof(line) - 1 };
        int32_t control, connection, stream;
        uint32_t argc, size, written;

        check(args_sizes_get(&argc, &size) == 0 && argc == 2 && size <= sizeof(bytes), 1);
        check(args_get(argv, bytes) == 0, 2);

        check(net_open(find_protocol(), argv[1][0] == '[' ? "[::]:0" : "0.0.0.0:0", argv[1][0] == '[' ? 6 : 9,
                       SOCKET_STREAM, RIGHTS_2020, RIGHTS_2020, 0, &control) == 0,
              4);
        check(net_connect(control, argv[1], length_of(argv[1]), &connection) == 0, 5);
        check(net_stream_create(connection, RIGHTS_2020, 0, 0, &stream) == 0, 6);
        ask_about(stream, argv[1]);
        check(fd_write(stream, &iovec, 1, &written) == 0 && written == iovec.length, 7);
        check(sock_shutdown(stream, SHUT_WR) == 0, 8);
        copy_to_stdout(stream);
        check(fd_close(stream) == 0 && fd_close(connection) == 0 && fd_close(control) == 0, 11);
        proc_exit(0);
}
