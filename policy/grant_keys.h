/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setters of [Protocol NAME] and [Preopen NAME] that are not rules (policy/grants.h). They return 0, -ENOMEM, or -EINVAL with the
 * parser's complaint about the value.
 */
#ifndef NB_POLICY_GRANT_KEYS_H
#define NB_POLICY_GRANT_KEYS_H

#include "policy/parser.h"

int grant_set_family(struct parser *p, const char *value);
int grant_set_data_path(struct parser *p, const char *value);
int grant_set_socket_types(struct parser *p, const char *value);
int grant_set_socket_mode(struct parser *p, const char *value);
int grant_set_connect_timeout(struct parser *p, const char *value);
int grant_set_handshake_timeout(struct parser *p, const char *value);
int grant_set_idle_timeout(struct parser *p, const char *value);
int grant_set_nonblock(struct parser *p, const char *value);

#endif
