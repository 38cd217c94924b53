/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of wasi-libc's header of this name: the same size and alignment, with the bytes that programs know of. The guard is
 * wasi-libc's, for its other headers.
 */
#ifndef __wasilibc___struct_sockaddr_h
#define __wasilibc___struct_sockaddr_h

#define __need_STDDEF_H_misc
#include <stddef.h>

#include <__typedef_sa_family_t.h>

struct sockaddr {
        _Alignas(max_align_t) sa_family_t sa_family;
        char sa_data[14];
};

#endif
