/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handshake has agreed on, for the broker, the audit and the guest (Security in proto/relay.proto). All texts are in one allocation of fixed size.
 */
#ifndef NB_RELAY_TLS_SECURITY_H
#define NB_RELAY_TLS_SECURITY_H

#include <stdbool.h>

#include "proto/relay_frame.h"
#include "relay/tls/peer_names.h"

struct tls_session;

struct tls_security {
        char version[16];
        char cipher[64];
        char alpn[NB_SECURITY_TEXT_MAX + 1];
        char server_name[NB_SECURITY_TEXT_MAX + 1];
        bool resumed;
        struct tls_peer_names peer_names;
};

/** @return owned by the caller: free(); NULL without memory */
struct tls_security *tls_security_new(const struct tls_session *session);

#endif
