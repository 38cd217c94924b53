/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections: what begins with a header, and what can be said only when a section has been read.
 */
#ifndef NB_POLICY_SECTION_H
#define NB_POLICY_SECTION_H

#include "policy/parser.h"

/**
 * Ends the section before, and begins the one whose header is the current line.
 * @return 0; -EINVAL with the error filled in; -ENOMEM.
 */
int section_enter(struct parser *p);

/** Ends the last section. @return 0, or -EINVAL with the error filled in. */
int section_finish(struct parser *p);

#endif
