/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "tls/strength.h"

/* How many certificates a file may hold: several times what systems trust. */
#define CERTIFICATES_MAX 4096u

/* How many names of one certificate are kept. */
#define NAMES_MAX 128u

/* How many of its purposes are looked at. */
#define PURPOSES_MAX 64u

/* The longest name that is kept whole, before it is escaped. */
#define TEXT_MAX 512

/* ---- texts ---- */

static char *escaped(const char *text, size_t length) {
        char buffer[4 * TEXT_MAX];

        return strdup(nb_escape(text, length, buffer, sizeof(buffer)));
}

/** @param get  gnutls_x509_crt_get_dn3() or that of the issuer @return owned, or NULL without memory */
static char *distinguished_name(gnutls_x509_crt_t crt,
                                int (*get)(gnutls_x509_crt_t crt, gnutls_datum_t *dn, unsigned flags)) {
        gnutls_datum_t dn = { NULL, 0 };
        char *text;

        if (get(crt, &dn, 0) < 0)
                return strdup("");
        text = escaped((const char *)dn.data, dn.size);
        gnutls_free(dn.data);
        return text;
}

/** A DNS name, or an address. @return owned; NULL without memory, or for a name of another kind */
static char *name_of(unsigned type, const char *value, size_t size) {
        char text[INET6_ADDRSTRLEN];
        int family = size == 4 ? AF_INET : AF_INET6;

        if (type == GNUTLS_SAN_DNSNAME)
                return escaped(value, size);
        if (type != GNUTLS_SAN_IPADDRESS || (size != 4 && size != 16))
                return NULL;
        return inet_ntop(family, value, text, sizeof(text)) ? strdup(text) : NULL;
}

static int read_names(struct certificate *certificate) {
        char value[TEXT_MAX];
        int type;

        certificate->names = calloc(NAMES_MAX, sizeof(*certificate->names));
        if (!certificate->names)
                return -ENOMEM;
        for (unsigned i = 0; i < NAMES_MAX; ++i) {
                size_t size = sizeof(value);
                char *name;

                type = gnutls_x509_crt_get_subject_alt_name(certificate->crt, i, value, &size, NULL);
                if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                        break;
                name = type >= 0 ? name_of((unsigned)type, value, size) : NULL;
                if (name)
                        certificate->names[certificate->n_names++] = name;
        }
        return 0;
}

/* ---- facts ---- */

static void read_algorithms(struct certificate *certificate) {
        int key = gnutls_x509_crt_get_pk_algorithm(certificate->crt, &certificate->key_bits);
        int signature = gnutls_x509_crt_get_signature_algorithm(certificate->crt);
        const char *key_name = key >= 0 ? gnutls_pk_get_name((gnutls_pk_algorithm_t)key) : NULL;
        const char *signature_name = signature >= 0 ? gnutls_sign_get_name((gnutls_sign_algorithm_t)signature) : NULL;

        certificate->key = key_name ? key_name : "unknown";
        certificate->key_is_weak = !tls_key_is_strong(key, certificate->key_bits);
        certificate->signature = signature_name ? signature_name : "unknown";
        certificate->signature_is_weak = signature < 0 || !gnutls_sign_is_secure2((gnutls_sign_algorithm_t)signature,
                                                                                  GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS);
}

/** A certificate without purposes is for all; one that lists some, for those. */
static void read_purposes(struct certificate *certificate) {
        char oid[128];
        unsigned i;

        for (i = 0; i < PURPOSES_MAX; ++i) {
                size_t size = sizeof(oid);

                if (gnutls_x509_crt_get_key_purpose_oid(certificate->crt, i, oid, &size, NULL) < 0)
                        break;
                if (strcmp(oid, GNUTLS_KP_ANY) == 0)
                        certificate->for_servers = certificate->for_clients = true;
                certificate->for_servers = certificate->for_servers || strcmp(oid, GNUTLS_KP_TLS_WWW_SERVER) == 0;
                certificate->for_clients = certificate->for_clients || strcmp(oid, GNUTLS_KP_TLS_WWW_CLIENT) == 0;
        }
        if (i == 0)
                certificate->for_servers = certificate->for_clients = true;
}

static int read_certificate(gnutls_x509_crt_t crt, struct certificate *certificate) {
        certificate->crt = crt;
        certificate->subject = distinguished_name(crt, gnutls_x509_crt_get_dn3);
        certificate->issuer = distinguished_name(crt, gnutls_x509_crt_get_issuer_dn3);
        if (!certificate->subject || !certificate->issuer)
                return -ENOMEM;
        certificate->not_before = gnutls_x509_crt_get_activation_time(crt);
        certificate->not_after = gnutls_x509_crt_get_expiration_time(crt);
        certificate->is_authority = gnutls_x509_crt_get_ca_status(crt, NULL) > 0;
        certificate->is_self_issued = gnutls_x509_crt_check_issuer(crt, crt) > 0;
        read_algorithms(certificate);
        read_purposes(certificate);
        return read_names(certificate);
}

/* ---- bundles ---- */

struct certificate_bundle *certificate_bundle_free(struct certificate_bundle *bundle) {
        if (!bundle)
                return NULL;
        for (size_t i = 0; i < bundle->n_certificates; ++i) {
                struct certificate *certificate = &bundle->certificates[i];

                for (size_t j = 0; j < certificate->n_names; ++j)
                        free(certificate->names[j]);
                free(certificate->names);
                free(certificate->subject);
                free(certificate->issuer);
                gnutls_x509_crt_deinit(certificate->crt);
        }
        free(bundle->certificates);
        free(bundle);
        return NULL;
}

void certificate_bundle_cleanup(struct certificate_bundle **bundle) {
        *bundle = certificate_bundle_free(*bundle);
}

/** @return a negative error of GnuTLS as a reason, and -EINVAL */
static int complain(char reason[static CERTIFICATE_REASON_MAX], int error) {
        if (error == GNUTLS_E_MEMORY_ERROR)
                return -ENOMEM;
        if (error >= 0 || error == GNUTLS_E_NO_CERTIFICATE_FOUND || error == GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR)
                snprintf(reason, CERTIFICATE_REASON_MAX, "it holds no certificate in PEM (BEGIN CERTIFICATE)");
        else if (error == GNUTLS_E_SHORT_MEMORY_BUFFER)
                snprintf(reason, CERTIFICATE_REASON_MAX, "it holds more than %u certificates", CERTIFICATES_MAX);
        else
                snprintf(reason, CERTIFICATE_REASON_MAX, "it holds a certificate that cannot be read: %s",
                         gnutls_strerror(error));
        return -EINVAL;
}

/** Takes over the certificates of a list, and frees those that are left when memory is short. */
static int take_all(struct certificate_bundle *bundle, gnutls_x509_crt_t *list, unsigned n) {
        int r = 0;

        bundle->certificates = calloc(n, sizeof(*bundle->certificates));
        if (!bundle->certificates)
                r = -ENOMEM;
        for (unsigned i = 0; i < n; ++i) {
                if (r < 0) {
                        gnutls_x509_crt_deinit(list[i]);
                        continue;
                }
                r = read_certificate(list[i], &bundle->certificates[bundle->n_certificates]);
                ++bundle->n_certificates;
        }
        return r;
}

int certificate_bundle_read(const uint8_t *bytes, size_t length, struct certificate_bundle **ret,
                            char ret_reason[static CERTIFICATE_REASON_MAX]) {
        NB_CLEANUP(certificate_bundle_cleanup) struct certificate_bundle *bundle = calloc(1, sizeof(*bundle));
        const gnutls_datum_t datum = { .data = (unsigned char *)bytes, .size = (unsigned)length };
        gnutls_x509_crt_t *list = NULL;
        unsigned n = 0;
        int r;

        if (!bundle)
                return -ENOMEM;
        r = length <= UINT32_MAX ? gnutls_x509_crt_list_import2(&list, &n, &datum, GNUTLS_X509_FMT_PEM, 0)
                                 : GNUTLS_E_SHORT_MEMORY_BUFFER;
        if (r < 0 || n == 0)
                return complain(ret_reason, r);
        r = take_all(bundle, list, n);
        gnutls_free(list);
        if (r < 0)
                return r;
        if (n > CERTIFICATES_MAX)
                return complain(ret_reason, GNUTLS_E_SHORT_MEMORY_BUFFER);
        *ret = nb_steal_ptr(bundle);
        return 0;
}

const char *certificate_name(const struct certificate *certificate) {
        if (certificate->n_names > 0)
                return certificate->names[0];
        return certificate->subject[0] != '\0' ? certificate->subject : "a certificate without a name";
}

/* ---- keys ---- */

static int import_key(gnutls_x509_privkey_t key, const gnutls_datum_t *bytes,
                      char reason[static CERTIFICATE_REASON_MAX]) {
        int r = gnutls_x509_privkey_import2(key, bytes, GNUTLS_X509_FMT_PEM, NULL, 0);

        if (r >= 0)
                return 0;
        if (r == GNUTLS_E_MEMORY_ERROR)
                return -ENOMEM;
        if (r == GNUTLS_E_DECRYPTION_FAILED || r == GNUTLS_E_PKCS11_PIN_ERROR)
                snprintf(reason, CERTIFICATE_REASON_MAX,
                         "its key is encrypted, and nobody is asked for a password: write it without one");
        else
                snprintf(reason, CERTIFICATE_REASON_MAX, "it holds no private key in PEM (BEGIN PRIVATE KEY): %s",
                         gnutls_strerror(r));
        return -EINVAL;
}

/** By the SHA-256 of the public keys. */
static bool is_same_key(gnutls_x509_privkey_t key, gnutls_x509_crt_t crt) {
        unsigned char of_key[64], of_crt[64];
        size_t key_size = sizeof(of_key), crt_size = sizeof(of_crt);

        return gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size) >= 0 &&
               gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, of_crt, &crt_size) >= 0 &&
               key_size == crt_size && memcmp(of_key, of_crt, key_size) == 0;
}

int certificate_check_key(const struct certificate *certificate, const uint8_t *bytes, size_t length,
                          char ret_reason[static CERTIFICATE_REASON_MAX]) {
        const gnutls_datum_t datum = { .data = (unsigned char *)bytes, .size = (unsigned)length };
        gnutls_x509_privkey_t key;
        int r;

        if (gnutls_x509_privkey_init(&key) < 0)
                return -ENOMEM;
        r = import_key(key, &datum, ret_reason);
        if (r == 0 && !is_same_key(key, certificate->crt)) {
                snprintf(ret_reason, CERTIFICATE_REASON_MAX, "its key is not that of the certificate");
                r = -EKEYREJECTED;
        }
        gnutls_x509_privkey_deinit(key);
        return r;
}
