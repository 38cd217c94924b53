/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates out of a file, X.509 in PEM, for who looks after them: what each says of itself, and whether a key belongs to the first.
 * Nothing is verified here as a peer is: that is the relay's business (relay/tls/verify.h).
 *
 * All texts are printable ASCII, escaped where a certificate holds anything else.
 */
#ifndef NB_TLS_CERTIFICATE_H
#define NB_TLS_CERTIFICATE_H

#include <gnutls/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Enough for any reason, with its NUL. */
#define CERTIFICATE_REASON_MAX 256

/** What a certificate says. The texts are owned by the bundle. */
struct certificate {
        gnutls_x509_crt_t crt; /* owned by the bundle */
        char *subject;         /* its distinguished name; may be empty */
        char *issuer;          /* that of who signed it */
        char **names;          /* DNS names and addresses of subjectAltName */
        size_t n_names;
        int64_t not_before; /* seconds since 1970 */
        int64_t not_after;
        bool is_authority; /* it may sign others */
        bool is_self_issued;
        bool for_servers; /* by its purposes; without any, all */
        bool for_clients;
        const char *key; /* "RSA", "EC/ECDSA", ...; constant */
        unsigned key_bits;
        bool key_is_weak;
        const char *signature; /* "RSA-SHA256", ...; constant */
        bool signature_is_weak;
};

/** The certificates of a file, in its order. */
struct certificate_bundle {
        struct certificate *certificates;
        size_t n_certificates; /* at least one */
};

/**
 * Reads all certificates of a file.
 * @param bytes       borrowed; what is not a certificate, such as a key, is left out
 * @param ret         owned by the caller
 * @param ret_reason  why not, a sentence without a period, on -EINVAL
 * @return 0; -EINVAL where there is none, or one that cannot be read; -ENOMEM
 */
int certificate_bundle_read(const uint8_t *bytes, size_t length, struct certificate_bundle **ret,
                            char ret_reason[static CERTIFICATE_REASON_MAX]);

/** Takes NULL. @return NULL */
struct certificate_bundle *certificate_bundle_free(struct certificate_bundle *bundle);

/** For a local that owns a bundle. */
void certificate_bundle_cleanup(struct certificate_bundle **bundle);

/** What a certificate is called: its first name, or without any its subject. Borrowed from it. */
const char *certificate_name(const struct certificate *certificate);

/**
 * Whether the key of a file is that of a certificate.
 * @param bytes       borrowed; the caller wipes them
 * @param ret_reason  why not, on -EINVAL and -EKEYREJECTED
 * @return 0; -EKEYREJECTED: it is another's; -EINVAL where there is no key that can be read; -ENOMEM
 */
int certificate_check_key(const struct certificate *certificate, const uint8_t *bytes, size_t length,
                          char ret_reason[static CERTIFICATE_REASON_MAX]);

#endif
