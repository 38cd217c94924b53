/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of system calls of each module (relay/confine.h). Who needs another call adds it to the list beside the code, with its reason.
 */
#ifndef NB_RELAY_CALLS_H
#define NB_RELAY_CALLS_H

#include "relay/confine.h"

extern const struct confine_list loop_calls;          /* relay/calls.c: of libuv and loop/ */
extern const struct confine_list process_calls;       /* relay/calls.c: memory, the end, and the C library */
extern const struct confine_list channel_calls;       /* relay/channel.c */
extern const struct confine_list order_calls;         /* relay/orders.c */
extern const struct confine_list setup_calls;         /* relay/setup.c */
extern const struct confine_list context_calls;       /* relay/context.c */
extern const struct confine_list transport_calls;     /* relay/transport.c */
extern const struct confine_list pair_calls;          /* relay/pair.c */
extern const struct confine_list socket_io_calls;     /* relay/socket_io.c */
extern const struct confine_list splice_calls;        /* relay/splice.c */
extern const struct confine_list datagram_calls;      /* relay/datagram/server.c */
extern const struct confine_list quic_calls;          /* relay/quic/socket.c */
extern const struct confine_list tls_calls;           /* relay/tls/transport.c */
extern const struct confine_list guest_channel_calls; /* relay/quic/guest_channel.c */

#endif
