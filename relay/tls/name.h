/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose certificate it is (RFC 9525): by its subjectAltName alone. The common name is never looked at, and an address is matched by the
 * iPAddress entries only, never by a DNS name that looks like one.
 */
#ifndef NB_RELAY_TLS_NAME_H
#define NB_RELAY_TLS_NAME_H

#include <gnutls/x509.h>
#include <gnutls/x509-ext.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/** The longest name that is looked at; longer ones match nothing. */
#define TLS_NAME_MAX 255

/** How many entries of a certificate are looked at. */
#define TLS_NAMES_MAX 1000u

/** What a certificate calls its owner. */
struct tls_name {
        bool is_address;
        char text
                [TLS_NAME_MAX +
                 1]; /* as the certificate says it, or an address as we print it; ends with a NUL, and holds no other */
};

/** The subjectAltName of a certificate; read once, since GnuTLS would decode it for each entry again. */
struct tls_names {
        gnutls_subject_alt_names_t list; /* NULL: the certificate has none */
};

/** @return 0; -EINVAL for what cannot be read; -ENOMEM. It is to be deinitialised in any case. */
int tls_names_init(struct tls_names *names, gnutls_x509_crt_t certificate);

void tls_names_deinit(struct tls_names *names);

/** @return 1 and a name; 0: the entry is of another kind, or too long; -ENOENT behind the last */
int tls_names_at(const struct tls_names *names, unsigned index, struct tls_name *ret);

/**
 * Whether a dNSName of a certificate covers a name. A wildcard is the whole left-most label, stands for exactly one, and has at least two labels
 * behind it.
 * @param name  lower-case A-labels without a dot at the end
 */
bool tls_name_covers(const char *pattern, const char *name);

/** Whether one of the names is `wanted`: a DNS name, or the text of an address. */
bool tls_names_include(const struct tls_names *names, const char *wanted);

/**
 * Whether one of the DNS names is one of those that the policy names: the name itself, or `*.` and a domain that it lies below. A wildcard
 * of the certificate's own matches nothing.
 */
bool tls_names_are_among(const struct tls_names *names, char *const *patterns, size_t n_patterns);

/** Prints the first names, escaped, with commas. @return `buffer`, always NUL-terminated: "nobody" where there is none */
const char *tls_names_format(const struct tls_names *names, char *buffer, size_t size);

#define TLS_NAMES __attribute__((cleanup(tls_names_deinit))) struct tls_names

#endif
