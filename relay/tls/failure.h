/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why TLS came to nothing: for the peer an alert, for metrics a cause, for the audit a sentence.
 *
 * What judges a certificate notes it here, deep inside a handshake of GnuTLS, which knows one error for it all. The first note stays.
 */
#ifndef NB_RELAY_TLS_FAILURE_H
#define NB_RELAY_TLS_FAILURE_H

#include <gnutls/gnutls.h>

#include "proto/relay_frame.h"
#include "relay/reports.h"

struct tls_failure {
        Nb__Relay__Cause cause;           /* UNSPECIFIED: nothing has failed */
        gnutls_alert_description_t alert; /* CLOSE_NOTIFY, which is none: the peer is told nothing */
        char reason[RELAY_REASON_MAX];
};

/** Notes a failure. What strangers wrote is escaped by the caller. @return -1, for callbacks of GnuTLS */
int tls_failure_note(struct tls_failure *failure, Nb__Relay__Cause cause, gnutls_alert_description_t alert,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/** Notes that the peer has refused us, by the alert that it sent; does nothing where something is noted. */
void tls_failure_note_alert(struct tls_failure *failure, gnutls_alert_description_t alert);

/**
 * Notes what an error of GnuTLS is about; does nothing where something is noted.
 * @param error  of gnutls_handshake() or gnutls_record_recv(): negative, and fatal
 */
void tls_failure_note_error(struct tls_failure *failure, gnutls_session_t session, int error);

#endif
