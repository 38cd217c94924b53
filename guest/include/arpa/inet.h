/* SPDX-License-Identifier: Apache-2.0 */
/* <arpa/inet.h> for guests that are linked with libnetbroker-posix: wasi-libc's, and what that lacks. */
#ifndef NETBROKER_ARPA_INET_H
#define NETBROKER_ARPA_INET_H

#pragma GCC system_header /* #include_next is an extension, of which strict compilers warn */

#include_next <arpa/inet.h>

#ifdef __cplusplus
extern "C" {
#endif

in_addr_t inet_addr(const char *);
in_addr_t inet_network(const char *);
char *inet_ntoa(struct in_addr);
struct in_addr inet_makeaddr(in_addr_t, in_addr_t);
in_addr_t inet_lnaof(struct in_addr);
in_addr_t inet_netof(struct in_addr);

#ifdef __cplusplus
}
#endif

#endif
