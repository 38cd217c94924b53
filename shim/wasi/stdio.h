/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's standard streams, served from the host's.
 *
 * The shim serves them itself, because an engine may read ahead, and then polling would not see what it holds. They are
 * shared with other processes, so they are never set non-blocking: the shim polls, and then reads or writes no more than cannot
 * block. A pipe takes PIPE_BUF bytes at once when it is writable. Closing a guest's number leaves the host's open.
 */
#ifndef NB_SHIM_WASI_STDIO_H
#define NB_SHIM_WASI_STDIO_H

#include <stdbool.h>

#include "shim/wasi/call.h"

/** A descriptor around the host's, which is borrowed: to read from, or to write to. */
struct nb_descriptor nb_stdio_descriptor(int host_fd, bool input);

/** @return the size of a regular file in bytes, 0 for anything else. */
uint64_t nb_stdio_size(const struct nb_descriptor *stdio);

int nb_stdio_read(struct nb_call *call, struct nb_descriptor *stdio);
int nb_stdio_write(struct nb_call *call, struct nb_descriptor *stdio);

#endif
