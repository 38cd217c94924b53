/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setters of [Tenant], and of what [Defaults] says for all tenants. They return 0, -ENOMEM, or -EINVAL with the parser's
 * complaint about the value.
 */
#ifndef NB_POLICY_TENANT_KEYS_H
#define NB_POLICY_TENANT_KEYS_H

#include "policy/parser.h"

int tenant_set_name(struct parser *p, const char *value);
int tenant_set_principal(struct parser *p, const char *value);
int tenant_set_socket(struct parser *p, const char *value);
int tenant_set_socket_owner(struct parser *p, const char *value);
int tenant_set_socket_mode(struct parser *p, const char *value);
int tenant_set_mode(struct parser *p, const char *value);
int tenant_set_existing(struct parser *p, const char *value);
int tenant_set_explain_denials(struct parser *p, const char *value);
int tenant_set_resolvers(struct parser *p, const char *value);
int tenant_set_relays(struct parser *p, const char *value);
int tenant_set_shard(struct parser *p, const char *value);
int tenant_set_token_keys(struct parser *p, const char *value);
int tenant_set_require_token(struct parser *p, const char *value);
int tenant_set_revoked_tokens(struct parser *p, const char *value);
int tenant_set_token_expiry(struct parser *p, const char *value);
int tenant_set_limit(struct parser *p, const char *value);

/** RequireSeal= of [Defaults], which is about the broker as a whole. */
int tenant_set_require_seal(struct parser *p, const char *value);

/** Checks what the keys of tokens say together, behind the last fragment. @return 0 or -EINVAL with the error filled in */
int tenant_check_tokens(struct parser *p);

#endif
