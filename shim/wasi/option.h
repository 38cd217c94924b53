/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a stream's socket: module `networking_ext` has numbers of its own for the few that programs have a use for, so that a
 * guest names neither levels nor options of the kernel's.
 *
 * Values are the ones that POSIX and the RFCs speak of. Linux counts a buffer's own overhead and says double of what was asked for
 * (socket(7)); here a program is told what it asked for, or what it got of that. Buffers are the host's memory: a guest gets no more of it
 * by asking than NB_OPTION_BUFFER_MAX, nor than the host's net.core.rmem_max and wmem_max.
 */
#ifndef NB_SHIM_WASI_OPTION_H
#define NB_SHIM_WASI_OPTION_H

#include <stdint.h>

#include "shim/wasi/table.h"

/**
 * The largest buffer that a guest can ask for, in bytes. A larger wish is taken for this one, as the kernel does with its own limit. It is
 * little more than Linux's default, for a guest may have ten thousand streams, and nothing but a cgroup bounds the sum where they are Unix
 * sockets. TCP's buffers grow by themselves as long as nobody sets them.
 */
#define NB_OPTION_BUFFER_MAX (UINT32_C(256) * 1024)

/**
 * The smallest send buffer of a Unix socket, in bytes: Linux's default. A relay leaves the last byte of what it has read in the pair (relay/pair.h), which the kernel
 * charges as the whole write that it is of, up to 40 KiB; in a smaller buffer that alone would be too much for poll() to say that it can be written.
 */
#define NB_OPTION_UNIX_SEND_MIN (UINT32_C(104) * 1024)

/**
 * Reads an option of a stream. Reading the error clears it.
 * @param option  as <wasi/networking_ext.h> numbers them
 * @return a WASI errno: `inval` there is no such option, `noprotoopt` sockets of this kind have it not
 */
int nb_option_get(struct nb_descriptor *stream, uint32_t option, uint32_t *ret);

/** Sets an option. @return as nb_option_get(); `inval` also for one that is only read, and for a value that it cannot have */
int nb_option_set(const struct nb_descriptor *stream, uint32_t option, uint32_t value);

#endif
