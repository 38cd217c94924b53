/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of proxies and of the PROXY header. Their setters return 0, -ENOMEM, or -EINVAL with the parser's complaint about the value;
 * what they say of each other is checked when the section is known as a whole. AcceptProxyHeader= is taken with the rules, for its
 * prefixes must be of the family (policy/grants.h).
 */
#ifndef NB_POLICY_PROXY_KEYS_H
#define NB_POLICY_PROXY_KEYS_H

#include "policy/parser.h"

int proxy_set_hops(struct parser *p, const char *value);
int proxy_set_passwords(struct parser *p, const char *value);
int proxy_set_resolve(struct parser *p, const char *value);
int proxy_set_trust(struct parser *p, const char *value);
int proxy_set_send_header(struct parser *p, const char *value);

/** Checks the keys of the current section, whose rules are taken. @return 0; -EINVAL with the error filled in. */
int proxy_keys_finish(struct parser *p);

#endif
