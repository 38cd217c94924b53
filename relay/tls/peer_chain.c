/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/peer_chain.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <string.h>

static int add(struct peer_chain *chain, const gnutls_datum_t *bytes) {
        gnutls_x509_crt_t certificate;
        int error;

        if (gnutls_x509_crt_init(&certificate) < 0)
                return -ENOMEM;
        error = gnutls_x509_crt_import(certificate, bytes, GNUTLS_X509_FMT_DER);
        if (error < 0) {
                gnutls_x509_crt_deinit(certificate);
                return error == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
        }
        chain->certificates[chain->n_certificates++] = certificate;
        return 0;
}

static int init(struct peer_chain *chain, gnutls_session_t session, unsigned most) {
        unsigned n = 0;
        const gnutls_datum_t *bytes = gnutls_certificate_get_peers(session, &n);

        chain->n_certificates = 0;
        if (!bytes || n == 0)
                return -ENOENT;
        if (n > TLS_CHAIN_MAX)
                return -E2BIG;
        for (unsigned i = 0; i < n && i < most; ++i) {
                int error = add(chain, &bytes[i]);

                if (error < 0)
                        return error;
        }
        return 0;
}

int peer_chain_init(struct peer_chain *chain, gnutls_session_t session) {
        return init(chain, session, TLS_CHAIN_MAX);
}

int peer_chain_init_first(struct peer_chain *chain, gnutls_session_t session) {
        return init(chain, session, 1);
}

void peer_chain_deinit(struct peer_chain *chain) {
        for (unsigned i = 0; i < chain->n_certificates; ++i)
                gnutls_x509_crt_deinit(chain->certificates[i]);
        chain->n_certificates = 0;
}

time_t peer_chain_expires(const struct peer_chain *chain) {
        time_t first = 0;

        for (unsigned i = 0; i < chain->n_certificates; ++i) {
                time_t until = gnutls_x509_crt_get_expiration_time(chain->certificates[i]);

                if (i == 0 || until < first)
                        first = until;
        }
        return first;
}

static bool has_pinned_key(gnutls_x509_crt_t certificate, const struct tls_credentials *credentials) {
        uint8_t pin[TLS_PIN_SIZE];
        size_t size = sizeof(pin);

        if (gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, pin, &size) < 0 || size != sizeof(pin))
                return false;
        for (size_t i = 0; i < credentials->n_pins; ++i)
                if (memcmp(credentials->pins[i], pin, sizeof(pin)) == 0)
                        return true;
        return false;
}

/* Times, names and the like were judged with the whole chain; this is about who has signed it. */
static bool has_signed(gnutls_x509_crt_t issuer, gnutls_x509_crt_t certificate) {
        unsigned status = 0;

        return gnutls_x509_crt_check_issuer(certificate, issuer) != 0 &&
               gnutls_x509_crt_verify(certificate, &issuer, 1,
                                      GNUTLS_VERIFY_DISABLE_TIME_CHECKS | GNUTLS_VERIFY_DO_NOT_ALLOW_SAME,
                                      &status) == 0 &&
               status == 0;
}

/* @return the place of the issuer in the chain, or -ENOENT */
static int find_issuer(const struct peer_chain *chain, unsigned of) {
        for (unsigned i = 1; i < chain->n_certificates; ++i)
                if (i != of && has_signed(chain->certificates[i], chain->certificates[of]))
                        return (int)i;
        return -ENOENT;
}

static bool anchor_is_pinned(gnutls_x509_crt_t certificate, gnutls_certificate_credentials_t trust,
                             const struct tls_credentials *credentials) {
        gnutls_x509_trust_list_t list = NULL;
        gnutls_x509_crt_t anchor = NULL;
        bool pinned;

        gnutls_certificate_get_trust_list(trust, &list);
        if (!list || gnutls_x509_trust_list_get_issuer(list, certificate, &anchor, GNUTLS_TL_GET_COPY) < 0)
                return false;
        pinned = has_signed(anchor, certificate) && has_pinned_key(anchor, credentials);
        gnutls_x509_crt_deinit(anchor);
        return pinned;
}

bool peer_chain_is_pinned(const struct peer_chain *chain, gnutls_certificate_credentials_t trust,
                          const struct tls_credentials *credentials) {
        int at = chain->n_certificates > 0 ? 0 : -ENOENT;

        /* No longer than the chain, should two have signed each other. */
        for (unsigned n = 0; at >= 0 && n < chain->n_certificates; ++n) {
                gnutls_x509_crt_t certificate = chain->certificates[at];

                if (has_pinned_key(certificate, credentials) || anchor_is_pinned(certificate, trust, credentials))
                        return true;
                at = find_issuer(chain, (unsigned)at);
        }
        return false;
}
