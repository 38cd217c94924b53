/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of all sections: their values, and what they set.
 */
#ifndef NB_POLICY_KEYS_H
#define NB_POLICY_KEYS_H

#include "policy/parser.h"

/**
 * Sets a key of the section that is being read, as the current line says.
 * @return 0; -EINVAL with the error filled in; -ENOMEM.
 */
int keys_assign(struct parser *p, const char *name, const char *value);

/** Parses a value of Family=. @return 0, or -EINVAL. */
int keys_parse_family(const char *text, enum policy_family *ret, struct policy_complaint *ret_complaint);

/** The family of the protocol that one address makes. */
enum policy_family keys_family_of(const struct nb_socket_address *address);

#endif
