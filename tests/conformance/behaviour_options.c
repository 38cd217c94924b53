/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options
 *
 * get_option and set_option know nine options of a stream, numbered from 1; what a set has stored, a get reads. Any other number is
 * `inval`, and so are a value that the option cannot have, and setting `error`, which is read only. An option of TCP is `noprotoopt` on a
 * stream that has no TCP. The size of a buffer is taken as a wish, for the host has a least and a most.
 */
#include "tests/conformance/conformance.h"

static const struct {
        __wasi_networking_option_t option;
        uint32_t good[3];
        uint32_t bad; /* 0: none */
        bool of_tcp;
} options[] = {
        { __WASI_NETWORKING_OPTION_TCP_NODELAY, { 1, 0, 1 }, 2, true },
        { __WASI_NETWORKING_OPTION_KEEPALIVE, { 1, 0, 1 }, 2, false },
        { __WASI_NETWORKING_OPTION_TCP_KEEPIDLE, { 1, 60, 32767 }, 32768, true },
        { __WASI_NETWORKING_OPTION_TCP_KEEPINTVL, { 1, 60, 32767 }, 32768, true },
        { __WASI_NETWORKING_OPTION_TCP_KEEPCNT, { 1, 9, 127 }, 128, true },
        { __WASI_NETWORKING_OPTION_TCP_USER_TIMEOUT, { 0, 1000, 2147483647 }, UINT32_MAX, true },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static void stores(__wasi_fd_t stream) {
        for (size_t i = 0; i < N_OPTIONS; ++i) {
                uint32_t value = 0;

                for (size_t j = 0; j < 3; ++j) {
                        CHECK_OK(__wasi_networking_set_option(stream, options[i].option, options[i].good[j]));
                        CHECK_OK(__wasi_networking_get_option(stream, options[i].option, &value));
                        CHECK(value == options[i].good[j]);
                }
                CHECK_ERRNO(__wasi_networking_set_option(stream, options[i].option, options[i].bad),
                            __WASI_ERRNO_INVAL);
                CHECK_ERRNO(__wasi_networking_set_option(stream, options[i].option, UINT32_MAX), __WASI_ERRNO_INVAL);
                CHECK_OK(__wasi_networking_get_option(stream, options[i].option, &value));
                CHECK(value == options[i].good[2]);
        }
}

static void without_tcp(__wasi_fd_t stream) {
        for (size_t i = 0; i < N_OPTIONS; ++i) {
                __wasi_errno_t expected = options[i].of_tcp ? __WASI_ERRNO_NOPROTOOPT : __WASI_ERRNO_SUCCESS;
                uint32_t value;

                CHECK_ERRNO(__wasi_networking_set_option(stream, options[i].option, options[i].good[0]), expected);
                CHECK_ERRNO(__wasi_networking_get_option(stream, options[i].option, &value), expected);
        }
}

static void buffer(__wasi_fd_t stream, __wasi_networking_option_t option) {
        uint32_t small, large;

        CHECK_OK(__wasi_networking_set_option(stream, option, 0));
        CHECK_OK(__wasi_networking_get_option(stream, option, &small));
        CHECK(small > 0);
        CHECK_OK(__wasi_networking_set_option(stream, option, 65536));
        CHECK_OK(__wasi_networking_get_option(stream, option, &large));
        CHECK(large > small);
        CHECK_OK(__wasi_networking_set_option(stream, option, 2147483647));
        CHECK_OK(__wasi_networking_get_option(stream, option, &large));
        CHECK(large > small && large < 2147483647);
}

int main(void) {
        __wasi_fd_t stream = stream_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, 0);
        static const uint32_t none[] = { 0, 10, 255, UINT32_MAX };
        uint32_t value;

        stores(stream);
        without_tcp(stream_open(setting(PEER_UNIX), __WASI_FILETYPE_SOCKET_STREAM, 0));
        without_tcp(stream_open(setting(PEER_DATAGRAMS), __WASI_FILETYPE_SOCKET_DGRAM, 0));
        buffer(stream, __WASI_NETWORKING_OPTION_RCVBUF);
        buffer(stream, __WASI_NETWORKING_OPTION_SNDBUF);

        CHECK_OK(__wasi_networking_get_option(stream, __WASI_NETWORKING_OPTION_ERROR, &value));
        CHECK(value == 0);
        CHECK_ERRNO(__wasi_networking_set_option(stream, __WASI_NETWORKING_OPTION_ERROR, 0), __WASI_ERRNO_INVAL);
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); ++i) {
                CHECK_ERRNO(__wasi_networking_get_option(stream, none[i], &value), __WASI_ERRNO_INVAL);
                CHECK_ERRNO(__wasi_networking_set_option(stream, none[i], 0), __WASI_ERRNO_INVAL);
        }
        return 0;
}
