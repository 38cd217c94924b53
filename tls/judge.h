/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be said of the files that TLS is done with: when certificates expire, and what is wrong with them, a sentence each. An error is
 * what makes every handshake fail; a warning is what will, or what some peers mind.
 */
#ifndef NB_TLS_JUDGE_H
#define NB_TLS_JUDGE_H

#include "tls/certificate.h"

enum judge_level {
        JUDGE_NOTE,
        JUDGE_WARNING,
        JUDGE_ERROR,
};

/** "note", "warning" or "error". */
const char *judge_level_name(enum judge_level level);

/** Who shows a certificate. */
enum judge_role {
        JUDGE_SERVER,
        JUDGE_CLIENT,
};

/**
 * Takes a sentence.
 * @param about  the certificate that it is about; NULL: the file as a whole
 * @param text   printable ASCII, without a period; borrowed for the call
 */
typedef void (*judge_function)(void *data, enum judge_level level, const struct certificate *about, const char *text);

struct judge {
        int64_t now;       /* seconds since 1970 */
        int64_t warning_s; /* what expires within is warned of */
        judge_function say;
        void *data;
};

/** A certificate and the chain behind it, which we show. @param system  authorities that peers are likely to have; NULL: not known */
void judge_chain(const struct judge *judge, enum judge_role role, const struct certificate_bundle *bundle,
                 const struct certificate_bundle *system);

/** Authorities that peers are verified by. */
void judge_authorities(const struct judge *judge, const struct certificate_bundle *bundle);

/** A file of lists of revoked certificates, PEM. @param bytes  borrowed */
void judge_revoked(const struct judge *judge, const uint8_t *bytes, size_t length);

/** An OCSP response in DER for the first certificate of a bundle. @param bytes  borrowed */
void judge_staple(const struct judge *judge, const struct certificate_bundle *bundle, const uint8_t *bytes,
                  size_t length);

/** A proxy's `user:password` in one line. @param bytes  borrowed; the caller wipes them */
void judge_password(const struct judge *judge, const uint8_t *bytes, size_t length);

#endif
