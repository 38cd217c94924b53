/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Module `networking`: the proposal's functions over libnetbroker's client, and `sock_accept` on a control.
 *
 * Each checks the descriptor's rights, then the pointers and the table, and only then asks the broker, so that a call which
 * fails for what the guest passed has had no effect.
 */
#ifndef NB_SHIM_WASI_NETWORKING_H
#define NB_SHIM_WASI_NETWORKING_H

#include "shim/wasi/call.h"

int nb_networking_open(struct nb_call *call, struct nb_descriptor *protocol);
int nb_networking_listen(struct nb_call *call, struct nb_descriptor *control);
int nb_networking_accept(struct nb_call *call, struct nb_descriptor *control);
int nb_networking_connect(struct nb_call *call, struct nb_descriptor *control);
int nb_networking_stream_create(struct nb_call *call, struct nb_descriptor *connection);
int nb_networking_stream_accept(struct nb_call *call, struct nb_descriptor *connection);

/** WASI's sock_accept: accept and stream_accept in one. */
int nb_networking_sock_accept(struct nb_call *call, struct nb_descriptor *control);

#endif
