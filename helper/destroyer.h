/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one thing that the helper does: destroying a socket, if the user who asks has made it.
 *
 * A socket is named by its cookie, which the kernel gives to no other, and by its addresses, by which the kernel finds it. First the
 * kernel is asked whose it is. Between that and the destroying nothing can take its place: another socket has another cookie.
 */
#ifndef NB_HELPER_DESTROYER_H
#define NB_HELPER_DESTROYER_H

#include <sys/types.h>

#include "base/destroy_message.h"

/**
 * @param diag_fd  of nb_sock_diag_open(), borrowed
 * @param uid      who asks, as the kernel says
 * @return 0; -EINVAL for a request that makes no sense; -EPERM when the socket is another user's; -ENOENT when there is none; another -errno
 */
int destroyer_run(int diag_fd, uid_t uid, const struct nb_destroy_request *request);

#endif
