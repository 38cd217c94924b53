/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for links, by GnuTLS: the two doors that the rest of the relay uses.
 */
#ifndef NB_RELAY_TLS_TLS_H
#define NB_RELAY_TLS_TLS_H

#include <stdbool.h>

#include "proto/relay_frame.h"

struct context;
struct link;
struct stage;
struct tls_credentials;

/**
 * Reads the files of a context.
 * @param fds       borrowed, in the order of `order->files`
 * @param ret_file  the name of the file that is at fault, borrowed from the order; NULL: none is
 * @param reason    why not, a sentence, on failure
 * @return owned by the caller; NULL
 */
struct tls_credentials *tls_credentials_new(const Nb__Relay__Context *order, const int *fds, const char **ret_file,
                                            char *reason, size_t reason_size);

/** Takes NULL. @return NULL */
struct tls_credentials *tls_credentials_free(struct tls_credentials *credentials);

/** Fills in `loaded->certificates`, owned by the caller with all in them. @return 0 or -ENOMEM */
int tls_credentials_describe(const struct tls_credentials *credentials, Nb__Relay__Loaded *loaded);

/**
 * A stage that makes TLS, and puts it on `link->peer`.
 * @param context      one reference is taken
 * @param server_name  of a client: whom the certificate must be for, a DNS name or an address; copied
 * @param is_guests    what is agreed on is the guest's to know (`link->security`): not that with a proxy
 * @return owned by the caller, or NULL without memory
 */
struct stage *tls_stage_new(struct context *context, bool as_server, const char *server_name, bool is_guests);

#endif
