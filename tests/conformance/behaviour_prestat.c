/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding what was given
 *
 * fd_prestat_get from 3 on walks what the host gave: first the directories, of type 0, then the protocols, of type 1, each with its name
 * by fd_prestat_dir_name; then `badf`, on preopened sockets, on whatever the guest has opened, and on numbers that are free. So wasi-libc
 * and Go, which end a program on any other errno, find their directories whenever they look.
 *
 * NETWORKING_PROTOCOLS holds the same protocols, and NETWORKING_PREOPENS the preopened sockets, as name=number joined by colons. A buffer
 * that is too small for a name is `nametoolong`.
 */
#include "tests/conformance/conformance.h"

static void expect_name(__wasi_fd_t fd, uint8_t tag, const char *expected) {
        __wasi_prestat_t prestat;
        uint8_t name[64];

        CHECK_OK(__wasi_fd_prestat_get(fd, &prestat));
        CHECK(prestat.tag == tag);
        CHECK(prestat.u.dir.pr_name_len == strlen(expected));
        CHECK_OK(__wasi_fd_prestat_dir_name(fd, name, prestat.u.dir.pr_name_len));
        CHECK(memcmp(name, expected, strlen(expected)) == 0);
        CHECK_ERRNO(__wasi_fd_prestat_dir_name(fd, name, prestat.u.dir.pr_name_len - 1), __WASI_ERRNO_NAMETOOLONG);
}

static void scan(void) {
        static const char *const names[] = { PROTOCOL_IP, PROTOCOL_GIVEN, PROTOCOL_HASTY, PROTOCOL_UNIX,
                                             PROTOCOL_QUIC };
        __wasi_prestat_t prestat;
        __wasi_fd_t fd = 3;

        expect_name(fd++, __WASI_PREOPENTYPE_DIR, DIRECTORY);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i, ++fd) {
                expect_name(fd, WASI_NETWORKING_PREOPENTYPE_PROTOCOL, names[i]);
                CHECK(protocol(names[i]) == fd);
        }
        CHECK(preopened(PREOPENED_LISTENER) == fd);
        for (; fd < 64; ++fd)
                CHECK_ERRNO(__wasi_fd_prestat_get(fd, &prestat), __WASI_ERRNO_BADF);
}

int main(void) {
        struct listener listener;

        scan();
        listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        (void)ends_open(&listener, 0);
        (void)connection_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM);
        scan();
        return 0;
}
