/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of wasi-libc's header of this name, whose structure holds no sockaddr_un: POSIX wants room for every address. Functions
 * are told the size of what they get, so objects that were compiled without this header go on to work. The guard is wasi-libc's, for
 * its other headers.
 */
#ifndef __wasilibc___struct_sockaddr_storage_h
#define __wasilibc___struct_sockaddr_storage_h

#include <__typedef_sa_family_t.h>

struct sockaddr_storage {
        __attribute__((__aligned__(16))) sa_family_t ss_family;
        char __ss_data[126];
};

#endif
