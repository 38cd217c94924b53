/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain that we show, with its key, and which of several a client is shown.
 *
 * GnuTLS would choose too, but compares names byte by byte, so that a certificate with a wildcard is never found by the names that it is for.
 */
#ifndef NB_RELAY_TLS_SHOWN_H
#define NB_RELAY_TLS_SHOWN_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stddef.h>
#include <time.h>

#include "relay/tls/name.h"

/** All owned. Made of zeros. */
struct tls_shown {
        char *file;
        char *name; /* its first, escaped */
        time_t not_before;
        time_t not_after;
        struct tls_names names;
        gnutls_pk_algorithm_t algorithm;
        gnutls_pcert_st *chain;
        unsigned n_chain;
        gnutls_privkey_t key;
        gnutls_ocsp_data_st staple; /* no data: none */
};

/**
 * @param file   copied
 * @param chain  its own certificate first; copied
 * @param key    copied
 * @return 0; -EINVAL where the certificate cannot be read; -ENOMEM. It is to be deinitialised in any case.
 */
int tls_shown_init(struct tls_shown *shown, const char *file, const gnutls_x509_crt_t *chain, unsigned n_chain,
                   gnutls_x509_privkey_t key);

/**
 * Has it sent with an OCSP response.
 * @param response  DER; copied
 * @return 0; -EINVAL where it is none; -ENOKEY where it is for another certificate; -ENOMEM
 */
int tls_shown_set_staple(struct tls_shown *shown, gnutls_x509_crt_t certificate, const gnutls_datum_t *response);

/** Whether there is a response, and it is not too old to be sent. */
bool tls_shown_staple_is_good(const struct tls_shown *shown);

void tls_shown_deinit(struct tls_shown *shown);

/**
 * The one for a client: of those with a key that it can verify signatures of, the first that has the name which it asks for, or else the first.
 * @return NULL where it can verify none
 */
struct tls_shown *tls_shown_choose(struct tls_shown *all, size_t n, gnutls_session_t session);

#endif
