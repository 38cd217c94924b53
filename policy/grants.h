/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a section: collected while the tenant's files are read, and taken when the section is known as a whole. What a rule can
 * be depends on the family, which may stand below it or in another file; a preopened socket's family is its address's.
 */
#ifndef NB_POLICY_GRANTS_H
#define NB_POLICY_GRANTS_H

#include "policy/parser.h"

/** Keeps the current line, which sets `parser.key`, for grants_take(). @return 0, or -ENOMEM. */
int grants_defer(struct parser *p, const char *value);

/** The same for the one address of a preopened socket. @return 0; -EINVAL with the parser's complaint; -ENOMEM. */
int grants_defer_address(struct parser *p, const char *value);

/** Takes the rules of the current section, in their order. @return 0; -EINVAL with the error filled in; -ENOMEM. */
int grants_take(struct parser *p);

#endif
