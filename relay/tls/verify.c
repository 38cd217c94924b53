/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/verify.h"

#include <errno.h>
#include <gnutls/ocsp.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "relay/tls/name.h"
#include "relay/tls/peer_chain.h"
#include "relay/tls/peer_names.h"
#include "relay/tls/verified.h"
#include "tls/strength.h"

#define CAUSE(name) NB__RELAY__CAUSE__CAUSE_CERTIFICATE_##name

/** "2026-11-23 01:02:03 UTC" */
#define TIME_TEXT_MAX 32

static const char *format_time(time_t when, char text[static TIME_TEXT_MAX]) {
        struct tm tm;

        if (!gmtime_r(&when, &tm) || strftime(text, TIME_TEXT_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
                (void)snprintf(text, TIME_TEXT_MAX, "a time that is none");
        return text;
}

static gnutls_certificate_credentials_t role_of(const struct tls_verification *what) {
        return what->as_server ? what->credentials->as_server : what->credentials->as_client;
}

static const char *peer_of(const struct tls_verification *what) {
        return what->as_server ? "client" : "server";
}

/* A client that shows none, where it may. */
static bool may_be_missing(const struct tls_verification *what) {
        return what->as_server && what->credentials->client_auth != NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUIRE;
}

/* ---- reading ---- */

static int refuse_unread(const struct tls_verification *what, int error, struct tls_failure *failure) {
        switch (error) {
        case -ENOENT:
                return tls_failure_note(failure, CAUSE(MISSING), GNUTLS_A_CERTIFICATE_REQUIRED,
                                        "the %s shows no certificate", peer_of(what));
        case -E2BIG:
                return tls_failure_note(failure, CAUSE(UNTRUSTED), GNUTLS_A_BAD_CERTIFICATE,
                                        "the %s's chain of certificates is longer than %u", peer_of(what),
                                        TLS_CHAIN_MAX);
        case -ENOMEM:
                return tls_failure_note(failure, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, GNUTLS_A_INTERNAL_ERROR,
                                        "no memory for the %s's certificates", peer_of(what));
        default:
                return tls_failure_note(failure, CAUSE(UNTRUSTED), GNUTLS_A_BAD_CERTIFICATE,
                                        "the %s's certificate cannot be read", peer_of(what));
        }
}

/* ---- the chain ---- */

/* The first certificate that a sentence about times is true of. */
static int refuse_expired(const struct tls_verification *what, const struct peer_chain *chain,
                          struct tls_failure *failure) {
        char text[TIME_TEXT_MAX];
        time_t now = time(NULL);

        for (unsigned i = 0; i < chain->n_certificates; ++i) {
                time_t until = gnutls_x509_crt_get_expiration_time(chain->certificates[i]);

                if (until < now)
                        return tls_failure_note(failure, CAUSE(EXPIRED), GNUTLS_A_CERTIFICATE_EXPIRED,
                                                "the %s's certificate%s expired at %s", peer_of(what),
                                                i > 0 ? ", or rather an authority's in its chain," : "",
                                                format_time(until, text));
        }
        return tls_failure_note(failure, CAUSE(EXPIRED), GNUTLS_A_CERTIFICATE_EXPIRED,
                                "the authority that the %s's certificate leads to has expired", peer_of(what));
}

static int refuse_not_yet_valid(const struct tls_verification *what, const struct peer_chain *chain,
                                struct tls_failure *failure) {
        char text[TIME_TEXT_MAX];
        time_t now = time(NULL);

        for (unsigned i = 0; i < chain->n_certificates; ++i) {
                time_t from = gnutls_x509_crt_get_activation_time(chain->certificates[i]);

                if (from > now)
                        return tls_failure_note(failure, CAUSE(NOT_YET_VALID), GNUTLS_A_BAD_CERTIFICATE,
                                                "the %s's certificate%s is not valid before %s", peer_of(what),
                                                i > 0 ? ", or rather an authority's in its chain," : "",
                                                format_time(from, text));
        }
        return tls_failure_note(failure, CAUSE(NOT_YET_VALID), GNUTLS_A_BAD_CERTIFICATE,
                                "the authority that the %s's certificate leads to is not valid yet", peer_of(what));
}

static int refuse_unknown(const struct tls_verification *what, const struct peer_chain *chain,
                          struct tls_failure *failure) {
        gnutls_x509_crt_t last = chain->certificates[chain->n_certificates - 1];
        char issuer[256];
        char text[160];
        size_t size = sizeof(issuer);

        if (chain->n_certificates == 1 && gnutls_x509_crt_check_issuer(last, last) != 0)
                return tls_failure_note(failure, CAUSE(UNTRUSTED), GNUTLS_A_UNKNOWN_CA,
                                        "the %s's certificate is signed by itself, and not trusted", peer_of(what));
        if (gnutls_x509_crt_get_issuer_dn(last, issuer, &size) < 0)
                size = 0;
        return tls_failure_note(failure, CAUSE(UNTRUSTED), GNUTLS_A_UNKNOWN_CA,
                                "the %s's certificate leads to an authority that is not trusted: %s", peer_of(what),
                                nb_escape(issuer, strnlen(issuer, size), text, sizeof(text)));
}

/* What GnuTLS found, as one cause: the most telling first. */
static const struct verdict {
        unsigned bits;
        Nb__Relay__Cause cause;
        gnutls_alert_description_t alert;
        const char *reason; /* behind "the server's certificate " */
} verdicts[] = {
        { GNUTLS_CERT_REVOKED, CAUSE(REVOKED), GNUTLS_A_CERTIFICATE_REVOKED,
          "or an authority's of its chain was revoked" },
        { GNUTLS_CERT_INSECURE_ALGORITHM, CAUSE(WEAK), GNUTLS_A_BAD_CERTIFICATE,
          "or one of its chain has a weak key or signature" },
        { GNUTLS_CERT_SIGNER_NOT_CA, CAUSE(UNTRUSTED), GNUTLS_A_UNKNOWN_CA, "is signed by who is no authority" },
        { GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, CAUSE(UNTRUSTED), GNUTLS_A_UNKNOWN_CA,
          "is outside what an authority of its chain may certify" },
        { GNUTLS_CERT_PURPOSE_MISMATCH, CAUSE(PURPOSE), GNUTLS_A_UNSUPPORTED_CERTIFICATE,
          "or an authority's of its chain is for another purpose" },
        { GNUTLS_CERT_SIGNATURE_FAILURE, CAUSE(UNTRUSTED), GNUTLS_A_BAD_CERTIFICATE, "has a signature that is wrong" },
        { GNUTLS_CERT_MISSING_OCSP_STATUS, CAUSE(STAPLE), GNUTLS_A_BAD_CERTIFICATE,
          "says that an OCSP response comes with it, and none did" },
        { GNUTLS_CERT_INVALID_OCSP_STATUS | GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE |
                  GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED,
          CAUSE(STAPLE), GNUTLS_A_BAD_CERTIFICATE, "came with an OCSP response that is invalid or too old" },
        { GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS, CAUSE(UNTRUSTED), GNUTLS_A_UNSUPPORTED_CERTIFICATE,
          "has a critical extension that is not known" },
};

static int refuse_status(const struct tls_verification *what, const struct peer_chain *chain, unsigned status,
                         struct tls_failure *failure) {
        if (status & GNUTLS_CERT_EXPIRED && !(status & GNUTLS_CERT_REVOKED))
                return refuse_expired(what, chain, failure);
        if (status & GNUTLS_CERT_NOT_ACTIVATED && !(status & GNUTLS_CERT_REVOKED))
                return refuse_not_yet_valid(what, chain, failure);
        for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); ++i)
                if (status & verdicts[i].bits)
                        return tls_failure_note(failure, verdicts[i].cause, verdicts[i].alert,
                                                "the %s's certificate %s", peer_of(what), verdicts[i].reason);
        if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
                return refuse_unknown(what, chain, failure);
        return tls_failure_note(failure, CAUSE(UNTRUSTED), GNUTLS_A_BAD_CERTIFICATE,
                                "the %s's certificate is not valid", peer_of(what));
}

static int verify_chain(const struct tls_verification *what, const struct peer_chain *chain,
                        struct tls_failure *failure) {
        const char *purpose = what->as_server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;
        gnutls_typed_vdata_st data = { .type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (uint8_t *)(uintptr_t)purpose };
        unsigned status = 0;
        int error = gnutls_certificate_verify_peers(what->session, &data, 1, &status);

        if (error == GNUTLS_E_MEMORY_ERROR)
                return refuse_unread(what, -ENOMEM, failure);
        if (error < 0)
                return tls_failure_note(failure, CAUSE(UNTRUSTED), GNUTLS_A_BAD_CERTIFICATE,
                                        "the %s's certificate cannot be verified: %s", peer_of(what),
                                        gnutls_strerror(error));
        return status == 0 ? 0 : refuse_status(what, chain, status, failure);
}

/* ---- the peer's own certificate ---- */

/*
 * A certificate that the operator trusts by itself ends GnuTLS's chain before it begins, so what must be true of any is asked for here again.
 */
static int verify_purpose(const struct tls_verification *what, gnutls_x509_crt_t certificate,
                          struct tls_failure *failure) {
        const char *purpose = what->as_server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;

        if (gnutls_x509_crt_check_key_purpose(certificate, purpose, 0) != 0)
                return 0;
        return tls_failure_note(failure, CAUSE(PURPOSE), GNUTLS_A_UNSUPPORTED_CERTIFICATE,
                                "the %s's certificate is for another purpose than to be a %s of TLS", peer_of(what),
                                peer_of(what));
}

static int verify_times(const struct tls_verification *what, const struct peer_chain *chain,
                        struct tls_failure *failure) {
        time_t now = time(NULL);

        if (gnutls_x509_crt_get_activation_time(chain->certificates[0]) > now)
                return refuse_not_yet_valid(what, chain, failure);
        return gnutls_x509_crt_get_expiration_time(chain->certificates[0]) < now ? refuse_expired(what, chain, failure)
                                                                                 : 0;
}

/* Those of the chain that were sent: an authority of the policy's own is the operator's choice. */
static int verify_strength(const struct tls_verification *what, const struct peer_chain *chain,
                           struct tls_failure *failure) {
        unsigned bits = 0;
        int algorithm = gnutls_x509_crt_get_pk_algorithm(chain->certificates[0], &bits);

        if (tls_key_is_strong(algorithm, bits))
                return 0;
        return tls_failure_note(failure, CAUSE(WEAK), GNUTLS_A_BAD_CERTIFICATE,
                                "the %s's key, %s of %u bits, is too weak: RSA must have %u, a curve %u", peer_of(what),
                                gnutls_pk_get_name((gnutls_pk_algorithm_t)algorithm), bits, TLS_RSA_BITS_MIN,
                                TLS_CURVE_BITS_MIN);
}

static int verify_server_name(const struct tls_verification *what, const struct tls_names *names,
                              struct tls_failure *failure) {
        char found[128];
        char wanted[96];

        if (tls_names_include(names, what->server_name))
                return 0;
        return tls_failure_note(failure, CAUSE(NAME), GNUTLS_A_BAD_CERTIFICATE,
                                "the server's certificate is not for %s, but for %s",
                                nb_escape(what->server_name, strlen(what->server_name), wanted, sizeof(wanted)),
                                tls_names_format(names, found, sizeof(found)));
}

static int verify_client_name(const struct tls_verification *what, const struct tls_names *names,
                              struct tls_failure *failure) {
        const struct tls_credentials *credentials = what->credentials;
        char found[128];

        if (credentials->n_client_names == 0 ||
            tls_names_are_among(names, credentials->client_names, credentials->n_client_names))
                return 0;
        return tls_failure_note(failure, CAUSE(NAME), GNUTLS_A_ACCESS_DENIED,
                                "the client's certificate is for %s, and TLSClientNames= names none of that",
                                tls_names_format(names, found, sizeof(found)));
}

static int verify_name(const struct tls_verification *what, const struct peer_chain *chain,
                       struct tls_failure *failure) {
        TLS_NAMES names;
        int error = tls_names_init(&names, chain->certificates[0]);

        if (error < 0)
                return refuse_unread(what, error, failure);
        return what->as_server ? verify_client_name(what, &names, failure) : verify_server_name(what, &names, failure);
}

/* ---- what the policy asks for beyond that ---- */

static int verify_revocation_is_known(const struct tls_verification *what, struct tls_failure *failure) {
        time_t until = what->credentials->revoked_until;
        char text[TIME_TEXT_MAX];

        if (until == 0 || time(NULL) < until)
                return 0;
        return tls_failure_note(failure, CAUSE(REVOKED), GNUTLS_A_CERTIFICATE_UNKNOWN,
                                "the list of revoked certificates in TLSRevoked= was to be renewed by %s",
                                format_time(until, text));
}

static int verify_staple(const struct tls_verification *what, struct tls_failure *failure) {
        if (what->as_server || !what->credentials->must_staple ||
            gnutls_ocsp_status_request_is_checked(what->session, 0))
                return 0;
        return tls_failure_note(failure, CAUSE(STAPLE), GNUTLS_A_BAD_CERTIFICATE,
                                "the server sends no valid OCSP response, and TLSMustStaple=yes asks for one");
}

static int verify_pins(const struct tls_verification *what, const struct peer_chain *chain,
                       struct tls_failure *failure) {
        if (what->credentials->n_pins == 0 || peer_chain_is_pinned(chain, role_of(what), what->credentials))
                return 0;
        return tls_failure_note(failure, CAUSE(PIN), GNUTLS_A_BAD_CERTIFICATE,
                                "no key in the chain of the %s's certificate is one of TLSPins=", peer_of(what));
}

/* ---- all of it, once ---- */

static time_t good_until(const struct tls_verification *what, const struct peer_chain *chain) {
        time_t revoked_until = what->credentials->revoked_until;
        time_t until = peer_chain_expires(chain);

        return revoked_until > 0 && revoked_until < until ? revoked_until : until;
}

/* @return 0, or negative */
static int verify_shown(const struct tls_verification *what, const struct peer_chain *chain,
                        struct tls_failure *failure) {
        if (verify_chain(what, chain, failure) < 0 || verify_times(what, chain, failure) < 0 ||
            verify_purpose(what, chain->certificates[0], failure) < 0 || verify_strength(what, chain, failure) < 0)
                return -1;
        if (verify_name(what, chain, failure) < 0)
                return -1;
        if (verify_revocation_is_known(what, failure) < 0 || verify_staple(what, failure) < 0)
                return -1;
        return verify_pins(what, chain, failure);
}

static void keep(const struct tls_verification *what, const struct peer_chain *chain, time_t until) {
        struct tls_peer_names names;

        tls_peer_names_read(&names, chain->certificates[0]);
        tls_verified_keep(what->credentials->verified, what->key, time(NULL), until, &names);
}

/* @param has_key  whether it may be kept @return 0, or negative */
static int verify_anew(const struct tls_verification *what, bool has_key, struct tls_failure *failure,
                       time_t *ret_until) {
        PEER_CHAIN chain;
        int error = peer_chain_init(&chain, what->session);

        if (error == -ENOENT && may_be_missing(what)) {
                *ret_until = 0;
                return 0;
        }
        if (error < 0)
                return refuse_unread(what, error, failure);
        if (verify_shown(what, &chain, failure) < 0)
                return -1;
        *ret_until = good_until(what, &chain);
        if (has_key)
                keep(what, &chain, *ret_until);
        return 0;
}

static bool find_key(const struct tls_verification *what) {
        return tls_verified_key(what->session, what->as_server, what->server_name, what->key) == 0;
}

int tls_verify(const struct tls_verification *what, struct tls_failure *failure, time_t *ret_until) {
        bool has_key = find_key(what);

        if (has_key && tls_verified_find(what->credentials->verified, what->key, time(NULL), ret_until))
                return 0;
        /* Without a key it is verified each time. */
        return verify_anew(what, has_key, failure, ret_until);
}

/* Whether the same was verified as a whole a moment ago. */
static bool is_verified(const struct tls_verification *what) {
        time_t until;

        return find_key(what) && tls_verified_find(what->credentials->verified, what->key, time(NULL), &until);
}

static int verify_resumed_anew(const struct tls_verification *what, struct tls_failure *failure) {
        PEER_CHAIN chain;
        int error = peer_chain_init(&chain, what->session);

        if (error == -ENOENT && may_be_missing(what))
                return 0;
        if (error < 0)
                return refuse_unread(what, error, failure);
        if (peer_chain_expires(&chain) < time(NULL))
                return refuse_expired(what, &chain, failure);
        if (verify_revocation_is_known(what, failure) < 0)
                return -1;
        return verify_name(what, &chain, failure);
}

int tls_verify_resumed(const struct tls_verification *what, struct tls_failure *failure) {
        return is_verified(what) ? 0 : verify_resumed_anew(what, failure);
}
