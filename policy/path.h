/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a policy names, for TLS and proxies: a path from the root, or `credential:NAME`, which is a file in systemd's
 * $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=). Nothing is opened here: that is the broker's business.
 */
#ifndef NB_POLICY_PATH_H
#define NB_POLICY_PATH_H

#include "policy/parser.h"

/** What a credential's name stands behind. */
#define POLICY_CREDENTIAL_PREFIX "credential:"

/** Checks the text of a path. @return 0, or -EINVAL. */
int policy_path_check(const char *text, struct policy_complaint *ret_complaint);

/**
 * Sets a path to a word of the current line, in the place of what it is.
 * @return 0; -EINVAL with the parser's complaint; -ENOMEM.
 */
int policy_path_set(struct parser *p, struct policy_path *path, const char *word);

/** Makes it no path. */
void policy_path_clear(struct policy_path *path);

#endif
