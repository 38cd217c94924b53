/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of all sections, in one table: what sets them, how their values are written, their defaults and what they are for. The
 * parser, `netbrokerctl keys` and the check of netbroker.conf(5) by `./dev lint` follow from it.
 */
#ifndef NB_POLICY_KEYS_H
#define NB_POLICY_KEYS_H

#include <stdio.h>

#include "policy/parser.h"

/**
 * Sets a key of the section that is being read, as the current line says.
 * @return 0; -EINVAL with the error filled in; -ENOMEM.
 */
int keys_assign(struct parser *p, const char *name, const char *value);

/** Whether some section has a key of that name. @param length  of `name`, which need not end there */
bool keys_is_one(const char *name, size_t length);

/** The name of a key. */
const char *keys_name(enum parser_key key);

/**
 * Prints the reference of all keys, a section after the other: a header, and for each key a line `Key=VALUE` in the first column and
 * indented lines below it, at most 80 columns wide.
 */
void policy_keys_print(FILE *out);

#endif
