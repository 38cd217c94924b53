/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of wasi-libc's header of this name: the same size and alignment, with the bytes that programs know of. The guard is
 * wasi-libc's, for its other headers.
 */
#ifndef __wasilibc___struct_sockaddr_h
#define __wasilibc___struct_sockaddr_h

#include <__typedef_sa_family_t.h>

struct sockaddr {
        __attribute__((__aligned__(16))) sa_family_t sa_family;
        char sa_data[14];
};

#endif
