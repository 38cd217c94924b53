/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/failure.h"

#include <stdarg.h>
#include <stdio.h>

int tls_failure_note(struct tls_failure *failure, Nb__Relay__Cause cause, gnutls_alert_description_t alert,
                     const char *format, ...) {
        va_list arguments;

        if (failure->cause != NB__RELAY__CAUSE__CAUSE_UNSPECIFIED)
                return -1;
        failure->cause = cause;
        failure->alert = alert;
        va_start(arguments, format);
        (void)vsnprintf(failure->reason, sizeof(failure->reason), format, arguments);
        va_end(arguments);
        return -1;
}

/* Its alert says what the peer found wrong with us. */
void tls_failure_note_alert(struct tls_failure *failure, gnutls_alert_description_t alert) {
        const char *name = gnutls_alert_get_strname(alert);
        Nb__Relay__Cause cause = NB__RELAY__CAUSE__CAUSE_TLS_ALERT;

        if (alert == GNUTLS_A_PROTOCOL_VERSION)
                cause = NB__RELAY__CAUSE__CAUSE_TLS_VERSION;
        else if (alert == GNUTLS_A_NO_APPLICATION_PROTOCOL)
                cause = NB__RELAY__CAUSE__CAUSE_TLS_ALPN;
        if (name)
                (void)tls_failure_note(failure, cause, GNUTLS_A_CLOSE_NOTIFY, "the peer refused TLS by the alert %s",
                                       name);
        else
                (void)tls_failure_note(failure, cause, GNUTLS_A_CLOSE_NOTIFY,
                                       "the peer refused TLS by an alert that has no name, %d", (int)alert);
}

void tls_failure_note_error(struct tls_failure *failure, gnutls_session_t session, int error) {
        int level = GNUTLS_AL_FATAL;
        int known = gnutls_error_to_alert(error, &level);
        gnutls_alert_description_t alert = known >= 0 ? (gnutls_alert_description_t)known : GNUTLS_A_CLOSE_NOTIFY;

        switch (error) {
        case GNUTLS_E_FATAL_ALERT_RECEIVED:
                tls_failure_note_alert(failure, gnutls_alert_get(session));
                return;
        case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
        case GNUTLS_E_INSUFFICIENT_SECURITY:
        case GNUTLS_E_NO_CIPHER_SUITES:
                (void)tls_failure_note(
                        failure, NB__RELAY__CAUSE__CAUSE_TLS_VERSION, alert,
                        "the peer speaks no version of TLS that the policy allows, or with old algorithms only");
                return;
        case GNUTLS_E_NO_APPLICATION_PROTOCOL:
                (void)tls_failure_note(failure, NB__RELAY__CAUSE__CAUSE_TLS_ALPN, alert,
                                       "the peer offers no protocol that TLSALPN= names");
                return;
        case GNUTLS_E_NO_CERTIFICATE_FOUND:
        case GNUTLS_E_CERTIFICATE_REQUIRED:
                (void)tls_failure_note(failure, NB__RELAY__CAUSE__CAUSE_CERTIFICATE_MISSING, alert,
                                       "the peer shows no certificate, and one is required");
                return;
        case GNUTLS_E_KEY_USAGE_VIOLATION:
                (void)tls_failure_note(failure, NB__RELAY__CAUSE__CAUSE_CERTIFICATE_PURPOSE, alert,
                                       "the key usage of the peer's certificate does not allow signatures");
                return;
        case GNUTLS_E_CERTIFICATE_ERROR:
        case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
                (void)tls_failure_note(failure, NB__RELAY__CAUSE__CAUSE_CERTIFICATE_UNTRUSTED, alert,
                                       "the peer's certificate cannot be read");
                return;
        case GNUTLS_E_MEMORY_ERROR:
                (void)tls_failure_note(failure, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, alert, "no memory for TLS");
                return;
        default:
                (void)tls_failure_note(failure, NB__RELAY__CAUSE__CAUSE_TLS_PROTOCOL, alert,
                                       "the peer breaks the rules of TLS, or shares no algorithms with us: %s",
                                       gnutls_strerror(error));
        }
}
