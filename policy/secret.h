/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords that somebody has written into a policy, where none belongs. Errors show the line that they are about, and go to logs; so what may
 * be one is hidden there.
 *
 * What hides it is as long as it, for the caret finds its place by columns. It rather hides too much: a line whose key is none, and sounds like
 * passwords, says nothing but its key.
 */
#ifndef NB_POLICY_SECRET_H
#define NB_POLICY_SECRET_H

#include <stdbool.h>

/**
 * Puts stars in the place of what may be a password in a line of a policy.
 * @return whether all behind its key is hidden, so that a corrected line must not show it either
 */
bool policy_secret_hide(char *line);

#endif
