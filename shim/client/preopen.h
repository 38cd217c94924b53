/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The preopened sockets of a session: what the policy has ready for a guest at its start.
 *
 * Each came with the Welcome as a control channel on which nothing was asked yet. Started, a listener listens on its control, and
 * a connection has left its control behind, which is closed: it can do no more than this once. Either can be taken once; what is not
 * taken goes with the session. The control of neither is ever kept for an nb_open(): it may do one thing, and not what its protocol's do.
 */
#ifndef NB_SHIM_CLIENT_PREOPEN_H
#define NB_SHIM_CLIENT_PREOPEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/channel.h"
#include "proto/frame.h"
#include "shim/client/context.h"

struct nb_preopen_socket;

struct nb_preopens {
        size_t n;
        struct nb_preopen_socket *sockets[NB_CHANNEL_FDS_MAX]; /* owned */
};

/** Whether all that a Welcome says of its preopened sockets can be: names, each once, kinds, types, addresses. */
bool nb_preopens_are_valid(const Nb__Welcome *welcome);

/**
 * Makes the preopened sockets of a Welcome that was found valid.
 * @param preopens  empty, all zero; to be given to nb_preopens_deinit(), also on failure
 * @param fds       one descriptor for each; those of which a socket was made are consumed, and -1 then
 * @return 0, or -ENOMEM.
 */
int nb_preopens_init(struct nb_preopens *preopens, struct nb_context *context, const Nb__Welcome *welcome, int *fds);

/** Closes what was not taken. Takes what is all zero. */
void nb_preopens_deinit(struct nb_preopens *preopens);

/** These are the functions of client.h, of a session's preopened sockets. */
const struct nb_preopen *nb_preopens_get(const struct nb_preopens *preopens, size_t index);
int nb_preopens_start(struct nb_preopens *preopens, size_t *ret_failed);
int nb_preopens_take_listener(struct nb_preopens *preopens, size_t index, struct nb_control **ret);
int nb_preopens_take_connection(struct nb_preopens *preopens, size_t index, struct nb_connection **ret);

#endif
