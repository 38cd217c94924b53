/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <poll.h> for guests that are linked with libnetbroker-posix: wasi-libc's, and what that lacks. There is no out-of-band data, so POLLPRI
 * and the bands never come.
 */
#ifndef NETBROKER_POLL_H
#define NETBROKER_POLL_H

#pragma GCC system_header /* #include_next is an extension, of which strict compilers warn */

#include_next <poll.h>

#ifndef POLLPRI
#define POLLPRI 0x8
#define POLLRDBAND 0x10
#define POLLWRBAND 0x20
#endif

#endif
