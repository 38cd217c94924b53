/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relayed_cause.h"

#include <errno.h>

#define CAUSE(which, error_, name_)                                                                                    \
        { .cause = NB__RELAY__CAUSE__CAUSE_##which, .error = (error_), .name = (name_) }

const struct relayed_cause relayed_causes[RELAYED_N_CAUSES] = {
        CAUSE(INTERNAL, -EIO, "internal"),
        CAUSE(UNSPECIFIED, -EIO, "unspecified"),
        CAUSE(CLOSED, -ECONNRESET, "closed"),
        CAUSE(GUEST_GONE, -ECANCELED, "guest_gone"),
        CAUSE(RESET, -ECONNRESET, "reset"),
        CAUSE(TRUNCATED, -ECONNRESET, "truncated"),
        CAUSE(TIMED_OUT, -ETIMEDOUT, "timed_out"),
        CAUSE(ENDED, -ECONNABORTED, "ended"),
        CAUSE(IDLE, -ETIMEDOUT, "idle"),
        CAUSE(NO_MEMORY, -ENOBUFS, "no_memory"),
        CAUSE(CERTIFICATE_UNTRUSTED, -EACCES, "certificate_untrusted"),
        CAUSE(CERTIFICATE_EXPIRED, -EACCES, "certificate_expired"),
        CAUSE(CERTIFICATE_NOT_YET_VALID, -EACCES, "certificate_not_yet_valid"),
        CAUSE(CERTIFICATE_NAME, -EACCES, "certificate_name"),
        CAUSE(CERTIFICATE_PURPOSE, -EACCES, "certificate_purpose"),
        CAUSE(CERTIFICATE_REVOKED, -EACCES, "certificate_revoked"),
        CAUSE(CERTIFICATE_WEAK, -EACCES, "certificate_weak"),
        CAUSE(CERTIFICATE_MISSING, -EACCES, "certificate_missing"),
        CAUSE(CERTIFICATE_PIN, -EACCES, "certificate_pin"),
        CAUSE(CERTIFICATE_STAPLE, -EACCES, "certificate_staple"),
        CAUSE(TLS_VERSION, -EPROTO, "tls_version"),
        CAUSE(TLS_ALPN, -EPROTO, "tls_alpn"),
        CAUSE(TLS_ALERT, -EPROTO, "tls_alert"),
        CAUSE(TLS_PROTOCOL, -EPROTO, "tls_protocol"),
        CAUSE(TLS_CONTEXT, -EACCES, "tls_context"),
        CAUSE(PROXY_REFUSED, -ECONNREFUSED, "proxy_refused"),
        CAUSE(PROXY_PASSWORD, -EACCES, "proxy_password"),
        CAUSE(PROXY_UNREACHABLE, -EHOSTUNREACH, "proxy_unreachable"),
        CAUSE(PROXY_PROTOCOL, -EPROTO, "proxy_protocol"),
        CAUSE(PROXY_CLOSED, -ECONNRESET, "proxy_closed"),
        CAUSE(HEADER, -EPROTO, "header"),
        CAUSE(QUIC_PROTOCOL, -EPROTO, "quic_protocol"),
        CAUSE(QUIC_VERSION, -EPROTO, "quic_version"),
        CAUSE(QUIC_STATELESS_RESET, -ECONNRESET, "quic_stateless_reset"),
        CAUSE(QUIC_APPLICATION, -ECONNRESET, "quic_application"),
        CAUSE(QUIC_PATH, -EACCES, "quic_path"),
        CAUSE(QUIC_REFUSED, -ECONNREFUSED, "quic_refused"),
        CAUSE(QUIC_UNREACHABLE, -EHOSTUNREACH, "quic_unreachable"),
};

size_t relayed_cause_index(Nb__Relay__Cause cause) {
        for (size_t i = 0; i < RELAYED_N_CAUSES; ++i) {
                if (relayed_causes[i].cause == cause)
                        return i;
        }
        return 0;
}
