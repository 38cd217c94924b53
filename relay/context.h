/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A context: what the broker sends once and many links use. Credentials for TLS (relay/tls/credentials.h), or a proxy's password.
 *
 * Its files are read once, when it is made, by descriptors of the broker's, with pread(2): the broker keeps them open for the next relay. What is
 * secret is wiped after use. A context that is dropped lives until its last link has ended.
 */
#ifndef NB_RELAY_CONTEXT_H
#define NB_RELAY_CONTEXT_H

#include <stdint.h>

#include "base/list.h"
#include "proto/relay_frame.h"

struct relay;
struct tls_credentials;

/** `user:password`: both 1 to 255 bytes, as SOCKS5 bounds them (RFC 1929). */
struct context_password {
        char user[256];
        char password[256];
};

struct context {
        struct nb_list in_relay;
        uint32_t id;
        unsigned n_refs;
        struct tls_credentials *tls;       /* owned; NULL: none */
        struct context_password *password; /* owned, in locked memory; NULL: none */
};

/**
 * Makes a context of an order, and reports Loaded or Unusable.
 * @param fds  borrowed
 */
void context_load(struct relay *relay, const Nb__Relay__Context *order, const int *fds);

/** @return the context of that id, borrowed, or NULL */
struct context *context_find(const struct relay *relay, uint32_t id);

struct context *context_ref(struct context *context);

/** Takes NULL. @return NULL */
struct context *context_unref(struct context *context);

/** An order to forget it. Harmless where there is none. */
void context_drop(struct relay *relay, uint32_t id);

/** Forgets all. */
void context_drop_all(struct relay *relay);

#endif
