/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/load.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/tls/material.h"
#include "tls/strength.h"

/* A client learns by which authorities its certificate may be certified; the system's hundred would be longer than all else of a handshake. */
#define AUTHORITIES_NAMED_MAX 20

int tls_loader_refuse(struct tls_loader *loader, const Nb__Relay__File *file, const char *format, ...) {
        va_list arguments;

        loader->file = file ? file->name : NULL;
        va_start(arguments, format);
        (void)vsnprintf(loader->reason, loader->reason_size, format, arguments);
        va_end(arguments);
        return -EINVAL;
}

static int refuse_memory(struct tls_loader *loader) {
        return tls_loader_refuse(loader, NULL, "the relay has no memory left: RelayMemory= bounds it");
}

/* Reads the next file. @param material  wiped by the caller on success @param ret  its bytes, which stay the material's */
static int take_file(struct tls_loader *loader, struct tls_material *material, gnutls_datum_t *ret) {
        size_t index = loader->next++;
        const Nb__Relay__File *file = loader->order->files[index];
        int error = tls_material_read(material, loader->fds[index], NB_RELAY_FILE_SIZE_MAX);

        if (error == -ENOMEM)
                return refuse_memory(loader);
        if (error == -EFBIG)
                return tls_loader_refuse(loader, file,
                                         "it is larger than %u bytes, which is more than certificates are",
                                         NB_RELAY_FILE_SIZE_MAX);
        if (error < 0)
                return tls_loader_refuse(loader, file, "it cannot be read: %s", strerror(-error));
        *ret = (gnutls_datum_t){ material->bytes, (unsigned)material->length };
        return 0;
}

static bool next_is(const struct tls_loader *loader, Nb__Relay__FileKind kind) {
        return loader->next < loader->order->n_files && loader->order->files[loader->next]->kind == kind;
}

/* ---- who is trusted ---- */

static int add_trust(struct tls_loader *loader, gnutls_certificate_credentials_t to, const Nb__Relay__File *file,
                     const gnutls_datum_t *bytes) {
        int n;

        if (!to)
                return 0;
        n = gnutls_certificate_set_x509_trust_mem(to, bytes, GNUTLS_X509_FMT_PEM);
        if (n == GNUTLS_E_MEMORY_ERROR)
                return refuse_memory(loader);
        if (n == 0 || n == GNUTLS_E_NO_CERTIFICATE_FOUND || n == GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR)
                return tls_loader_refuse(loader, file, "it holds no certificate in PEM, so nobody would be trusted");
        if (n < 0)
                return tls_loader_refuse(loader, file, "it holds a certificate that cannot be read: %s",
                                         gnutls_strerror(n));
        return n;
}

static int read_trust(struct tls_loader *loader) {
        const Nb__Relay__File *file = loader->order->files[loader->next];
        struct tls_credentials *credentials = loader->credentials;
        TLS_MATERIAL material = { NULL, 0 };
        gnutls_datum_t bytes;
        int n = take_file(loader, &material, &bytes);

        if (n < 0)
                return n;
        n = add_trust(loader, credentials->as_client, file, &bytes);
        if (n < 0)
                return n;
        if (credentials->client_auth == NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_NONE)
                return 0;
        n = add_trust(loader, credentials->as_server, file, &bytes);
        credentials->names_authorities = n <= AUTHORITIES_NAMED_MAX;
        return n < 0 ? n : 0;
}

/* ---- who is not any more ---- */

static void note_next_update(struct tls_credentials *credentials, gnutls_x509_crl_t list) {
        time_t until = gnutls_x509_crl_get_next_update(list);

        /* A list need not say when the next will come. */
        if (until > 0 && (credentials->revoked_until == 0 || until < credentials->revoked_until))
                credentials->revoked_until = until;
}

static int add_revoked(struct tls_loader *loader, const Nb__Relay__File *file, const gnutls_datum_t *bytes) {
        struct tls_credentials *credentials = loader->credentials;
        gnutls_x509_crl_t *lists = NULL;
        unsigned n_lists = 0;
        int error = gnutls_x509_crl_list_import2(&lists, &n_lists, bytes, GNUTLS_X509_FMT_PEM, 0);

        if (error < 0 || n_lists == 0)
                return tls_loader_refuse(loader, file,
                                         "it holds no list of revoked certificates in PEM (BEGIN X509 CRL)");
        if (credentials->as_client)
                error = gnutls_certificate_set_x509_crl(credentials->as_client, lists, (int)n_lists);
        if (error >= 0 && credentials->as_server)
                error = gnutls_certificate_set_x509_crl(credentials->as_server, lists, (int)n_lists);
        for (unsigned i = 0; i < n_lists; ++i) {
                note_next_update(credentials, lists[i]);
                gnutls_x509_crl_deinit(lists[i]);
        }
        gnutls_free(lists);
        if (error < 0)
                return tls_loader_refuse(loader, file, "its list of revoked certificates is of no use: %s",
                                         gnutls_strerror(error));
        return 0;
}

static int read_revoked(struct tls_loader *loader) {
        const Nb__Relay__File *file = loader->order->files[loader->next];
        TLS_MATERIAL material = { NULL, 0 };
        gnutls_datum_t bytes;
        int error = take_file(loader, &material, &bytes);

        if (error < 0)
                return error;
        return add_revoked(loader, file, &bytes);
}

/* ---- what we show ---- */

/* A chain and its key, while they are put together. */
struct pair {
        const Nb__Relay__File *chain_file;
        const Nb__Relay__File *key_file;
        gnutls_x509_crt_t *chain;
        unsigned n_chain;
        gnutls_x509_privkey_t key;
};

static void pair_deinit(struct pair *pair) {
        for (unsigned i = 0; i < pair->n_chain; ++i)
                gnutls_x509_crt_deinit(pair->chain[i]);
        gnutls_free(pair->chain);
        gnutls_x509_privkey_deinit(pair->key);
}

static int import_chain(struct tls_loader *loader, struct pair *pair, const gnutls_datum_t *bytes) {
        int algorithm;
        unsigned bits = 0;
        int error = gnutls_x509_crt_list_import2(&pair->chain, &pair->n_chain, bytes, GNUTLS_X509_FMT_PEM,
                                                 GNUTLS_X509_CRT_LIST_SORT);

        if (error < 0 || pair->n_chain == 0) {
                pair->n_chain = 0;
                return tls_loader_refuse(loader, pair->chain_file,
                                         "it holds no chain of certificates in PEM (BEGIN CERTIFICATE): %s",
                                         gnutls_strerror(error));
        }
        algorithm = gnutls_x509_crt_get_pk_algorithm(pair->chain[0], &bits);
        if (!tls_key_is_strong(algorithm, bits))
                return tls_loader_refuse(loader, pair->chain_file,
                                         "its key, %s of %u bits, is too weak: take RSA of %u bits, or a curve of %u",
                                         gnutls_pk_get_name((gnutls_pk_algorithm_t)algorithm), bits, TLS_RSA_BITS_MIN,
                                         TLS_CURVE_BITS_MIN);
        return 0;
}

static int import_key(struct tls_loader *loader, struct pair *pair, const gnutls_datum_t *bytes) {
        int error = gnutls_x509_privkey_init(&pair->key);

        if (error < 0)
                return refuse_memory(loader);
        error = gnutls_x509_privkey_import2(pair->key, bytes, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (error == GNUTLS_E_DECRYPTION_FAILED || error == GNUTLS_E_PKCS11_PIN_ERROR)
                return tls_loader_refuse(
                        loader, pair->key_file,
                        "its key is encrypted, and nobody is asked for a password: write it without one, "
                        "or as a credential of systemd's");
        if (error < 0)
                return tls_loader_refuse(loader, pair->key_file,
                                         "it holds no private key in PEM (BEGIN PRIVATE KEY): %s",
                                         gnutls_strerror(error));
        return 0;
}

static int check_match(struct tls_loader *loader, const struct pair *pair) {
        uint8_t of_chain[64];
        uint8_t of_key[64];
        size_t n_chain = sizeof(of_chain);
        size_t n_key = sizeof(of_key);

        if (gnutls_x509_crt_get_key_id(pair->chain[0], GNUTLS_KEYID_USE_SHA256, of_chain, &n_chain) == 0 &&
            gnutls_x509_privkey_get_key_id(pair->key, GNUTLS_KEYID_USE_SHA256, of_key, &n_key) == 0 &&
            n_chain == n_key && memcmp(of_chain, of_key, n_key) == 0)
                return 0;
        return tls_loader_refuse(loader, pair->key_file, "its key is not that of the first certificate in %s",
                                 pair->chain_file->name);
}

/* The key is the next file, or stands in the same. */
static int read_key(struct tls_loader *loader, struct pair *pair, const gnutls_datum_t *chain) {
        TLS_MATERIAL material = { NULL, 0 };
        gnutls_datum_t bytes;
        int error;

        if (!next_is(loader, NB__RELAY__FILE_KIND__FILE_KIND_KEY))
                return import_key(loader, pair, chain);
        pair->key_file = loader->order->files[loader->next];
        error = take_file(loader, &material, &bytes);
        if (error < 0)
                return error;
        return import_key(loader, pair, &bytes);
}

static int read_pair(struct tls_loader *loader, struct pair *pair) {
        TLS_MATERIAL material = { NULL, 0 };
        gnutls_datum_t bytes;
        int error;

        pair->chain_file = pair->key_file = loader->order->files[loader->next];
        error = take_file(loader, &material, &bytes);
        if (error < 0)
                return error;
        error = import_chain(loader, pair, &bytes);
        if (error == 0)
                error = read_key(loader, pair, &bytes);
        return error == 0 ? check_match(loader, pair) : error;
}

/* @param shown  where the pair goes; it counts when all is well */
static int show(struct tls_loader *loader, const struct pair *pair, struct tls_shown *shown) {
        int error = tls_shown_init(shown, pair->chain_file->name, pair->chain, pair->n_chain, pair->key);

        if (error == -ENOMEM)
                return refuse_memory(loader);
        if (error < 0)
                return tls_loader_refuse(loader, pair->chain_file, "its certificate cannot be read");
        return 0;
}

static int read_staple(struct tls_loader *loader, const struct pair *pair, struct tls_shown *shown) {
        const Nb__Relay__File *file = loader->order->files[loader->next];
        TLS_MATERIAL material = { NULL, 0 };
        gnutls_datum_t bytes;
        int error = take_file(loader, &material, &bytes);

        if (error < 0)
                return error;
        error = tls_shown_set_staple(shown, pair->chain[0], &bytes);
        if (error == -ENOMEM)
                return refuse_memory(loader);
        if (error == -ENOKEY)
                return tls_loader_refuse(loader, file, "its OCSP response is for another certificate");
        return error < 0 ? tls_loader_refuse(loader, file, "it holds no OCSP response in DER") : 0;
}

static int read_certificate(struct tls_loader *loader) {
        struct tls_credentials *credentials = loader->credentials;
        __attribute__((cleanup(pair_deinit))) struct pair pair = { .n_chain = 0 };
        struct tls_shown *shown = &credentials->shown[credentials->n_shown];
        int error = read_pair(loader, &pair);

        if (error < 0)
                return error;
        ++credentials->n_shown;
        error = show(loader, &pair, shown);
        if (error < 0 || !next_is(loader, NB__RELAY__FILE_KIND__FILE_KIND_STAPLE))
                return error;
        return read_staple(loader, &pair, shown);
}

/* GnuTLS shows it where the server asks for one of its authorities'. */
static int read_client_certificate(struct tls_loader *loader) {
        struct tls_credentials *credentials = loader->credentials;
        __attribute__((cleanup(pair_deinit))) struct pair pair = { .n_chain = 0 };
        int error;

        if (credentials->shown_as_client.n_chain > 0)
                return tls_loader_refuse(loader, loader->order->files[loader->next],
                                         "a client has one certificate, and it is the second");
        error = read_pair(loader, &pair);
        if (error < 0)
                return error;
        error = gnutls_certificate_set_x509_key(credentials->as_client, pair.chain, (int)pair.n_chain, pair.key);
        if (error < 0)
                return tls_loader_refuse(loader, pair.chain_file, "its certificate cannot be used: %s",
                                         gnutls_strerror(error));
        return show(loader, &pair, &credentials->shown_as_client);
}

/* ---- all of them ---- */

static int read_next(struct tls_loader *loader) {
        const Nb__Relay__File *file = loader->order->files[loader->next];

        switch (file->kind) {
        case NB__RELAY__FILE_KIND__FILE_KIND_TRUST:
                return read_trust(loader);
        case NB__RELAY__FILE_KIND__FILE_KIND_REVOKED:
                return read_revoked(loader);
        case NB__RELAY__FILE_KIND__FILE_KIND_CERTIFICATE:
                if (loader->credentials->as_server)
                        return read_certificate(loader);
                break;
        case NB__RELAY__FILE_KIND__FILE_KIND_CLIENT_CERTIFICATE:
                if (loader->credentials->as_client)
                        return read_client_certificate(loader);
                break;
        default:
                break;
        }
        return tls_loader_refuse(loader, file, "a file of its kind has no place here");
}

/* One of a role that would fail every handshake. */
static int check_complete(struct tls_loader *loader) {
        const struct tls_credentials *credentials = loader->credentials;
        const Nb__Relay__Context *order = loader->order;
        bool has_trust = false;
        bool has_certificate = false;

        for (size_t i = 0; i < order->n_files; ++i) {
                has_trust |= order->files[i]->kind == NB__RELAY__FILE_KIND__FILE_KIND_TRUST;
                has_certificate |= order->files[i]->kind == NB__RELAY__FILE_KIND__FILE_KIND_CERTIFICATE;
        }
        if (!has_trust &&
            (credentials->as_client || credentials->client_auth != NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_NONE))
                return tls_loader_refuse(loader, NULL, "peers are to be verified, and no authority is trusted");
        if (!has_certificate && credentials->as_server)
                return tls_loader_refuse(loader, NULL, "a server of TLS needs a certificate: TLSCertificate=");
        return 0;
}

int tls_loader_read(struct tls_loader *loader) {
        while (loader->next < loader->order->n_files) {
                int error = read_next(loader);

                if (error < 0)
                        return error;
        }
        return check_complete(loader);
}
