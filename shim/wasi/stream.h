/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: plain sockets that the broker handed over.
 *
 * The host's descriptor never blocks; a guest that wants to block is made to by waiting for it. Reading returns what
 * there is; a blocking write, like POSIX's, returns when all is written; one that does not block writes what there is room for.
 *
 * A datagram is one message a call: it is sent whole or not at all, and what of it does not fit the buffers is gone, which sock_recv()
 * flags and fd_read(), like read(2), does not. An empty one can be sent by both calls that send, but received by sock_recv() or into a
 * buffer only.
 *
 * A stream of datagrams that goes through a relay is one end of a SEQPACKET pair, and that has an end: when the relay or the broker has given the peer
 * up, reading it is `connreset`, and not an empty datagram for ever. Whoever made the pair has set SO_TIMESTAMP on it, so that the kernel has something
 * to tell with each message, for which there is no room here (MSG_CTRUNC); with the end it has not.
 */
#ifndef NB_SHIM_WASI_STREAM_H
#define NB_SHIM_WASI_STREAM_H

#include "shim/wasi/call.h"

int nb_stream_read(struct nb_call *call, struct nb_descriptor *stream);
int nb_stream_write(struct nb_call *call, struct nb_descriptor *stream);
int nb_stream_sock_recv(struct nb_call *call, struct nb_descriptor *stream);
int nb_stream_sock_send(struct nb_call *call, struct nb_descriptor *stream);
int nb_stream_sock_shutdown(struct nb_call *call, struct nb_descriptor *stream);

#endif
