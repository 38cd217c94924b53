/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a context's files into credentials: what is wrong with one of them is said in a sentence here, at load, and not by handshakes that fail.
 */
#ifndef NB_RELAY_TLS_LOAD_H
#define NB_RELAY_TLS_LOAD_H

#include "relay/tls/credentials.h"

/** Files of a context while they are read. */
struct tls_loader {
        struct tls_credentials *credentials;
        const Nb__Relay__Context *order; /* borrowed */
        const int *fds;                  /* borrowed */
        size_t next;                     /* of the files */
        const char *file;                /* at fault; NULL: none is */
        char *reason;
        size_t reason_size;
};

/** Says what is wrong with the file, or with the context as a whole if that is NULL. @return -EINVAL */
int tls_loader_refuse(struct tls_loader *loader, const Nb__Relay__File *file, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/** Reads all files. @return 0, or negative after tls_loader_refuse() */
int tls_loader_read(struct tls_loader *loader);

#endif
