/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function that takes a descriptor or a pointer, as WebAssembly sees it: numbers, whatever C would take them for. raw_NAME() takes
 * its arguments as an array, so that a table can hold it.
 */
#ifndef NB_TESTS_CONFORMANCE_RAW_H
#define NB_TESTS_CONFORMANCE_RAW_H

#include <stdint.h>

#define RAW_ARGUMENTS_MAX 9

typedef int32_t raw_function(const uint64_t arguments[RAW_ARGUMENTS_MAX]);

#define PREVIEW1 "wasi_snapshot_preview1"

#define I uint32_t
#define L uint64_t
#define IMPORT(module, name) __attribute__((__import_module__(module), __import_name__(#name)))
#define A(n) arguments[n]

#define RAW(module, name, types, values)                                                                               \
        int32_t import_##name types IMPORT(module, name);                                                              \
        static int32_t raw_##name(const uint64_t arguments[RAW_ARGUMENTS_MAX]) {                                       \
                return import_##name values;                                                                           \
        }
#define RAW1(module, name) RAW(module, name, (I), (A(0)))
#define RAW2(module, name) RAW(module, name, (I, I), (A(0), A(1)))
#define RAW3(module, name) RAW(module, name, (I, I, I), (A(0), A(1), A(2)))
#define RAW4(module, name) RAW(module, name, (I, I, I, I), (A(0), A(1), A(2), A(3)))
#define RAW5(module, name) RAW(module, name, (I, I, I, I, I), (A(0), A(1), A(2), A(3), A(4)))
#define RAW6(module, name) RAW(module, name, (I, I, I, I, I, I), (A(0), A(1), A(2), A(3), A(4), A(5)))
#define RAW7(module, name) RAW(module, name, (I, I, I, I, I, I, I), (A(0), A(1), A(2), A(3), A(4), A(5), A(6)))

RAW("networking", open, (I, I, I, I, L, L, I, I), (A(0), A(1), A(2), A(3), A(4), A(5), A(6), A(7)))
RAW2("networking", listen)
RAW2("networking", accept)
RAW4("networking", connect)
RAW("networking", stream_create, (I, L, L, I, I), (A(0), A(1), A(2), A(3), A(4)))
RAW2("networking", stream_accept)
RAW("networking_ext", protocol_restrict, (I, I, I, L, L, I), (A(0), A(1), A(2), A(3), A(4), A(5)))
RAW4("networking_ext", local_address)
RAW4("networking_ext", remote_address)
RAW4("networking_ext", tls_version)
RAW4("networking_ext", tls_cipher)
RAW4("networking_ext", tls_alpn)
RAW5("networking_ext", tls_peer_name)
RAW2("networking_ext", tls_resumed)
RAW3("networking_ext", last_denial)
RAW3("networking_ext", get_option)
RAW3("networking_ext", set_option)
RAW3(PREVIEW1, sock_accept)
RAW6(PREVIEW1, sock_recv)
RAW5(PREVIEW1, sock_send)
RAW2(PREVIEW1, sock_shutdown)
RAW4(PREVIEW1, poll_oneoff)
RAW4(PREVIEW1, fd_read)
RAW4(PREVIEW1, fd_write)
RAW1(PREVIEW1, fd_close)
RAW2(PREVIEW1, fd_renumber)
RAW2(PREVIEW1, fd_fdstat_get)
RAW2(PREVIEW1, fd_fdstat_set_flags)
RAW(PREVIEW1, fd_fdstat_set_rights, (I, L, L), (A(0), A(1), A(2)))
RAW2(PREVIEW1, fd_filestat_get)
RAW2(PREVIEW1, fd_prestat_get)
RAW3(PREVIEW1, fd_prestat_dir_name)
RAW(PREVIEW1, fd_advise, (I, L, L, I), (A(0), A(1), A(2), A(3)))
RAW(PREVIEW1, fd_allocate, (I, L, L), (A(0), A(1), A(2)))
RAW1(PREVIEW1, fd_datasync)
RAW1(PREVIEW1, fd_sync)
RAW(PREVIEW1, fd_filestat_set_size, (I, L), (A(0), A(1)))
RAW(PREVIEW1, fd_filestat_set_times, (I, L, L, I), (A(0), A(1), A(2), A(3)))
RAW(PREVIEW1, fd_pread, (I, I, I, L, I), (A(0), A(1), A(2), A(3), A(4)))
RAW(PREVIEW1, fd_pwrite, (I, I, I, L, I), (A(0), A(1), A(2), A(3), A(4)))
RAW(PREVIEW1, fd_readdir, (I, I, I, L, I), (A(0), A(1), A(2), A(3), A(4)))
RAW(PREVIEW1, fd_seek, (I, L, I, I), (A(0), A(1), A(2), A(3)))
RAW2(PREVIEW1, fd_tell)
RAW3(PREVIEW1, path_create_directory)
RAW5(PREVIEW1, path_filestat_get)
RAW(PREVIEW1, path_filestat_set_times, (I, I, I, I, L, L, I), (A(0), A(1), A(2), A(3), A(4), A(5), A(6)))
RAW7(PREVIEW1, path_link)
RAW(PREVIEW1, path_open, (I, I, I, I, I, L, L, I, I), (A(0), A(1), A(2), A(3), A(4), A(5), A(6), A(7), A(8)))
RAW6(PREVIEW1, path_readlink)
RAW3(PREVIEW1, path_remove_directory)
RAW6(PREVIEW1, path_rename)
RAW5(PREVIEW1, path_symlink)
RAW3(PREVIEW1, path_unlink_file)

#undef I
#undef L
#undef A

#endif
