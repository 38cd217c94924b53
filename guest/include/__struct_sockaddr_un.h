/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of wasi-libc's header of this name, whose structure has no name. The guard is wasi-libc's, for its other headers.
 */
#ifndef __wasilibc___struct_sockaddr_un_h
#define __wasilibc___struct_sockaddr_un_h

#include <__typedef_sa_family_t.h>

struct sockaddr_un {
        __attribute__((__aligned__(16))) sa_family_t sun_family;
        char sun_path[108];
};

#endif
