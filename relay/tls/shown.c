/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/shown.h"

#include <errno.h>
#include <gnutls/ocsp.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"

/* What it is called: its first name, or the subject of one that has none. */
static char *name_of(const struct tls_names *names, gnutls_x509_crt_t certificate) {
        char text[512];
        char subject[256];
        size_t size = sizeof(subject);
        struct tls_name name;

        if (tls_names_at(names, 0, &name) > 0)
                return strdup(nb_escape(name.text, strlen(name.text), text, sizeof(text)));
        if (gnutls_x509_crt_get_dn(certificate, subject, &size) < 0)
                size = 0;
        return strdup(nb_escape(subject, strnlen(subject, size), text, sizeof(text)));
}

static int copy_chain(struct tls_shown *shown, const gnutls_x509_crt_t *chain, unsigned n_chain) {
        shown->chain = calloc(n_chain, sizeof(*shown->chain));
        if (!shown->chain)
                return -ENOMEM;
        while (shown->n_chain < n_chain) {
                if (gnutls_pcert_import_x509(&shown->chain[shown->n_chain], chain[shown->n_chain], 0) < 0)
                        return -EINVAL;
                ++shown->n_chain;
        }
        return 0;
}

static int copy_key(struct tls_shown *shown, gnutls_x509_privkey_t key) {
        if (gnutls_privkey_init(&shown->key) < 0)
                return -ENOMEM;
        return gnutls_privkey_import_x509(shown->key, key, GNUTLS_PRIVKEY_IMPORT_COPY) < 0 ? -ENOMEM : 0;
}

int tls_shown_init(struct tls_shown *shown, const char *file, const gnutls_x509_crt_t *chain, unsigned n_chain,
                   gnutls_x509_privkey_t key) {
        int error = tls_names_init(&shown->names, chain[0]);

        if (error < 0)
                return error;
        shown->file = strdup(file);
        shown->name = name_of(&shown->names, chain[0]);
        if (!shown->file || !shown->name)
                return -ENOMEM;
        shown->not_before = gnutls_x509_crt_get_activation_time(chain[0]);
        shown->not_after = gnutls_x509_crt_get_expiration_time(chain[0]);
        shown->algorithm = (gnutls_pk_algorithm_t)gnutls_x509_crt_get_pk_algorithm(chain[0], NULL);
        error = copy_chain(shown, chain, n_chain);
        return error < 0 ? error : copy_key(shown, key);
}

void tls_shown_deinit(struct tls_shown *shown) {
        for (unsigned i = 0; i < shown->n_chain; ++i)
                gnutls_pcert_deinit(&shown->chain[i]);
        if (shown->key)
                gnutls_privkey_deinit(shown->key);
        tls_names_deinit(&shown->names);
        free(shown->chain);
        free(shown->file);
        free(shown->name);
        free(shown->staple.response.data);
}

/* @return until when a response is good, which is how long it is sent; -EINVAL; -ENOKEY */
static time_t examine_staple(gnutls_x509_crt_t certificate, const gnutls_datum_t *bytes) {
        gnutls_ocsp_resp_t response;
        time_t until = -EINVAL;

        if (gnutls_ocsp_resp_init(&response) < 0)
                return -ENOMEM;
        if (gnutls_ocsp_resp_import(response, bytes) == 0 &&
            gnutls_ocsp_resp_get_status(response) == GNUTLS_OCSP_RESP_SUCCESSFUL) {
                until = -ENOKEY;
                if (gnutls_ocsp_resp_check_crt(response, 0, certificate) == 0)
                        (void)gnutls_ocsp_resp_get_single(response, 0, NULL, NULL, NULL, NULL, NULL, NULL, &until, NULL,
                                                          NULL);
        }
        gnutls_ocsp_resp_deinit(response);
        return until;
}

int tls_shown_set_staple(struct tls_shown *shown, gnutls_x509_crt_t certificate, const gnutls_datum_t *response) {
        time_t until = examine_staple(certificate, response);
        uint8_t *copy;

        if (until == -EINVAL || until == -ENOKEY || until == -ENOMEM)
                return (int)until;
        copy = malloc(response->size);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, response->data, response->size);
        shown->staple.response = (gnutls_datum_t){ copy, response->size };
        /* One that does not say when the next will come is always sent. */
        shown->staple.exptime = until;
        return 0;
}

bool tls_shown_staple_is_good(const struct tls_shown *shown) {
        return shown->staple.response.data && (shown->staple.exptime <= 0 || time(NULL) < shown->staple.exptime);
}

/* ---- which of them ---- */

static bool can_verify(const struct tls_shown *shown, gnutls_session_t session) {
        gnutls_sign_algorithm_t algorithm;
        size_t i = 0;

        while (gnutls_sign_algorithm_get_requested(session, i, &algorithm) == 0) {
                if (gnutls_sign_supports_pk_algorithm(algorithm, shown->algorithm) != 0)
                        return true;
                ++i;
        }
        return i == 0;
}

struct tls_shown *tls_shown_choose(struct tls_shown *all, size_t n, gnutls_session_t session) {
        char wanted[TLS_NAME_MAX + 1] = { 0 };
        size_t size = sizeof(wanted) - 1;
        struct tls_shown *first = NULL;
        unsigned type;

        if (gnutls_server_name_get(session, wanted, &size, &type, 0) < 0 || type != GNUTLS_NAME_DNS)
                wanted[0] = '\0';
        for (size_t i = 0; i < n; ++i) {
                if (!can_verify(&all[i], session))
                        continue;
                if (wanted[0] != '\0' && tls_names_include(&all[i].names, wanted))
                        return &all[i];
                first = first ? first : &all[i];
        }
        return first;
}
