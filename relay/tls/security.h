/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handshake has agreed on, for the broker, the audit and the guest.
 */
#ifndef NB_RELAY_TLS_SECURITY_H
#define NB_RELAY_TLS_SECURITY_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "relay/link.h"

/** @return owned by the caller: free(); NULL without memory */
struct link_security *tls_security_new(gnutls_session_t session, bool as_server);

#endif
