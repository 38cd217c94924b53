/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of TLS. Their setters return 0, -ENOMEM, or -EINVAL with the parser's complaint about the value; what they say of each other is
 * checked when the section is known as a whole, since drop-ins may add to it.
 */
#ifndef NB_POLICY_TLS_KEYS_H
#define NB_POLICY_TLS_KEYS_H

#include "policy/parser.h"

int tls_set_roles(struct parser *p, const char *value);
int tls_set_versions(struct parser *p, const char *value);
int tls_set_trust(struct parser *p, const char *value);
int tls_set_revoked(struct parser *p, const char *value);
int tls_add_certificate(struct parser *p, const char *value);
int tls_set_client_certificate(struct parser *p, const char *value);
int tls_set_client_auth(struct parser *p, const char *value);
int tls_add_client_names(struct parser *p, const char *value);
int tls_add_alpn(struct parser *p, const char *value);
int tls_add_pins(struct parser *p, const char *value);
int tls_set_must_staple(struct parser *p, const char *value);
int tls_set_tickets(struct parser *p, const char *value);

/** Checks the keys of the current section, whose rules are taken. @return 0; -EINVAL with the error filled in. */
int tls_keys_finish(struct parser *p);

#endif
