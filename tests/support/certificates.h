/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates for tests, good ones and bad ones, made by certtool(1) and openssl(1) in a folder of the test's own.
 *
 * Files are called by the certificate's name: NAME.key, NAME.pem (the certificate), NAME.above (those of its authorities, the root left out),
 * NAME.chain (both).
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_CERTIFICATES_H
#define NB_TESTS_SUPPORT_CERTIFICATES_H

#include <stddef.h>
#include <stdint.h>

#define CERTIFICATES_PATH_MAX 160

struct certificates {
        char folder[64];
        unsigned n_made; /* serial numbers */
};

/** What a certificate is made of. What is NULL or zero is as it should be. */
struct certificate {
        const char *name;
        const char *issuer;   /* the name of another; NULL: signed by itself */
        const char *template; /* further lines for certtool */
        const char *key_type; /* "ecdsa" (of 256 bits, or as `bits` says), "rsa", "ed25519" */
        unsigned bits;
        const char *hash; /* of the signature: "SHA256", "SHA1" */
        int from_days;    /* when it begins to be valid, from now; 0: a day ago */
        int until_days;   /* when it ends; 0: in ten days */
};

/** Makes a folder. */
void certificates_init(struct certificates *certificates);

/** Removes it with all in it. */
void certificates_deinit(struct certificates *certificates);

void certificates_make(struct certificates *certificates, const struct certificate *certificate);

/** An authority; @param issuer NULL for a root */
void certificates_make_authority(struct certificates *certificates, const char *name, const char *issuer);

/** A server's, for one DNS name. */
void certificates_make_server(struct certificates *certificates, const char *name, const char *issuer,
                              const char *dns_name);

/** A client's, for one DNS name. */
void certificates_make_client(struct certificates *certificates, const char *name, const char *issuer,
                              const char *dns_name);

/** NAME.crl: a list of its authority's in which NAME is revoked, and which is good for so many days. */
void certificates_revoke(struct certificates *certificates, const char *name, const char *issuer, int days);

/** NAME.ocsp: a response of its authority's. @param revoked or good */
void certificates_staple(struct certificates *certificates, const char *name, const char *issuer, int revoked);

/** SHA-256 of the SubjectPublicKeyInfo. */
void certificates_pin(struct certificates *certificates, const char *name, uint8_t ret[static 32]);

/** @return `buffer`: the path of a file, as "server.chain" */
const char *certificates_path(const struct certificates *certificates, const char *file,
                              char buffer[static CERTIFICATES_PATH_MAX]);

/** @return a descriptor of it, open for reading, owned by the caller */
int certificates_open(const struct certificates *certificates, const char *file);

/** Writes a file. */
void certificates_write(const struct certificates *certificates, const char *file, const char *text);

#endif
