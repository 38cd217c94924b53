/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of wasi-libc's header of this name: the same size and alignment, with sin_zero, which programs clear. The guard is
 * wasi-libc's, for its other headers.
 */
#ifndef __wasilibc___struct_sockaddr_in_h
#define __wasilibc___struct_sockaddr_in_h

#include <__struct_in_addr.h>
#include <__typedef_in_port_t.h>
#include <__typedef_sa_family_t.h>

struct sockaddr_in {
        __attribute__((__aligned__(16))) sa_family_t sin_family;
        in_port_t sin_port;
        struct in_addr sin_addr;
        unsigned char sin_zero[8];
};

#endif
