/* SPDX-License-Identifier: Apache-2.0 */
/* <net/if.h> for guests that are linked with libnetbroker-posix; wasi-libc has none. A guest sees no interfaces: there is no name and no number. */
#ifndef _NET_IF_H
#define _NET_IF_H

#ifdef __cplusplus
extern "C" {
#endif

#define IF_NAMESIZE 16
#define IFNAMSIZ IF_NAMESIZE

struct if_nameindex {
        unsigned int if_index;
        char *if_name;
};

unsigned int if_nametoindex(const char *);
char *if_indextoname(unsigned int, char *);
struct if_nameindex *if_nameindex(void);
void if_freenameindex(struct if_nameindex *);

#ifdef __cplusplus
}
#endif

#endif
