/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/iovec.h"

#include "proto/wasi.h"

#define IOVEC_SIZE 8u /* pointer u32, length u32 */

int nb_iovecs_load(const struct nb_call *call, uint32_t pointer, uint32_t n, struct nb_iovecs *ret) {
        uint64_t total = 0;

        if (!nb_call_covers(call, pointer, (uint64_t)n * IOVEC_SIZE))
                return NB_WASI_EFAULT;
        if (n > NB_IOVECS_MAX)
                return NB_WASI_EINVAL;
        for (uint32_t i = 0; i < n; ++i) {
                const uint8_t *iovec = call->memory.base + pointer + (size_t)i * IOVEC_SIZE;

                ret->parts[i].pointer = nb_le_u32(iovec);
                ret->parts[i].length = nb_le_u32(iovec + 4);
                if (!nb_call_covers(call, ret->parts[i].pointer, ret->parts[i].length))
                        return NB_WASI_EFAULT;
                total += ret->parts[i].length;
        }
        if (total > INT32_MAX)
                return NB_WASI_EINVAL;
        ret->n = n;
        ret->total = (uint32_t)total;
        return NB_WASI_SUCCESS;
}

int nb_iovecs_map(const struct nb_call *call, const struct nb_iovecs *iovecs, uint32_t skip, uint32_t max,
                  struct iovec ret[static NB_IOVECS_MAX], size_t *ret_n) {
        size_t n = 0;

        for (uint32_t i = 0; i < iovecs->n && max > 0; ++i) {
                uint32_t pointer = iovecs->parts[i].pointer;
                uint32_t length = iovecs->parts[i].length;
                uint32_t take;

                if (!nb_call_covers(call, pointer, length))
                        return NB_WASI_EFAULT;
                if (skip >= length) {
                        skip -= length;
                        continue;
                }
                take = length - skip < max ? length - skip : max;
                ret[n++] = (struct iovec){ .iov_base = call->memory.base + pointer + skip, .iov_len = take };
                skip = 0;
                max -= take;
        }
        *ret_n = n;
        return NB_WASI_SUCCESS;
}
