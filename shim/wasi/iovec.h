/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's scattered buffers.
 *
 * They are copied and checked once; the host's form is made anew for each system call, since the memory may have moved in
 * between, and can begin behind what is done already.
 */
#ifndef NB_SHIM_WASI_IOVEC_H
#define NB_SHIM_WASI_IOVEC_H

#include <sys/uio.h>

#include "shim/wasi/call.h"

/** IOV_MAX of Linux: what one system call takes. */
#define NB_IOVECS_MAX 1024u

struct nb_iovecs {
        uint32_t n;
        uint32_t total; /* bytes, at most INT32_MAX */
        struct {
                uint32_t pointer;
                uint32_t length;
        } parts[NB_IOVECS_MAX];
};

/**
 * Copies `n` ciovecs or iovecs from `pointer` and checks every one.
 * @return `success`; `fault` when the array or a part lies outside the memory; `inval` over NB_IOVECS_MAX parts or
 *         INT32_MAX bytes in all
 */
int nb_iovecs_load(const struct nb_call *call, uint32_t pointer, uint32_t n, struct nb_iovecs *ret);

/**
 * Makes the host's form of what follows the first `skip` bytes, up to `max` bytes.
 * @param ret_n  how many parts there are: 0 when nothing is left
 * @return `success`; `fault` when the memory is not what it was
 */
int nb_iovecs_map(const struct nb_call *call, const struct nb_iovecs *iovecs, uint32_t skip, uint32_t max,
                  struct iovec ret[static NB_IOVECS_MAX], size_t *ret_n);

#endif
