/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections: what begins with a header, and what can be said only when a section has been read.
 */
#ifndef NB_POLICY_SECTION_H
#define NB_POLICY_SECTION_H

#include "policy/parser.h"

/**
 * Begins the section whose header is the current line, or goes on with it where an earlier fragment began it.
 * @return 0; -EINVAL with the error filled in; -ENOMEM.
 */
int section_enter(struct parser *p);

/** Takes the section's rules and checks it as a whole, behind the last fragment. @return as section_enter(). */
int section_finish(struct parser *p, struct parser_section *section);

#endif
