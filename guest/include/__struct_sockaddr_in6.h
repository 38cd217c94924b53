/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of wasi-libc's header of this name: the same structure, which older standards than C11 understand too. The guard is
 * wasi-libc's, for its other headers.
 */
#ifndef __wasilibc___struct_sockaddr_in6_h
#define __wasilibc___struct_sockaddr_in6_h

#include <__struct_in6_addr.h>
#include <__typedef_in_port_t.h>
#include <__typedef_sa_family_t.h>

struct sockaddr_in6 {
        __attribute__((__aligned__(16))) sa_family_t sin6_family;
        in_port_t sin6_port;
        unsigned sin6_flowinfo;
        struct in6_addr sin6_addr;
        unsigned sin6_scope_id;
};

#endif
