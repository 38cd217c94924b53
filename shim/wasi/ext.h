/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Module `networking_ext`: narrower protocols, the addresses of a descriptor, what TLS it has, why the policy last said no, and the options of a stream.
 *
 * Addresses are text. The broker knows those of controls and peers and has told them; the local end of a connection is asked of
 * the kernel when a guest wants it, since most never do, so it is known for as long as the socket is open. A text that
 * does not fit is not written, but its length is, so that the guest can come again with more room.
 */
#ifndef NB_SHIM_WASI_EXT_H
#define NB_SHIM_WASI_EXT_H

#include "shim/wasi/call.h"

/** Of a control, a connection or a stream. */
int nb_ext_local_address(struct nb_call *call, struct nb_descriptor *socket);
int nb_ext_remote_address(struct nb_call *call, struct nb_descriptor *socket);

/** Of a connection or a stream with TLS (netbroker/client.h, struct nb_security). */
int nb_ext_tls_version(struct nb_call *call, struct nb_descriptor *socket);
int nb_ext_tls_cipher(struct nb_call *call, struct nb_descriptor *socket);
int nb_ext_tls_alpn(struct nb_call *call, struct nb_descriptor *socket);
int nb_ext_tls_peer_name(struct nb_call *call, struct nb_descriptor *socket);
int nb_ext_tls_resumed(struct nb_call *call, struct nb_descriptor *socket);

/** Of a protocol (netbroker/client.h, nb_protocol_restrict()). */
int nb_ext_protocol_restrict(struct nb_call *call, struct nb_descriptor *protocol);

/** Of the guest. */
int nb_ext_last_denial(struct nb_call *call);

/** Of a stream. */
int nb_ext_get_option(struct nb_call *call, struct nb_descriptor *stream);
int nb_ext_set_option(struct nb_call *call, struct nb_descriptor *stream);

#endif
