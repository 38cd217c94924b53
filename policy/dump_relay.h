/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a section about TLS, proxies and PROXY headers, as policy_format_tenant() prints them: those that the parser would take, and
 * nothing that it would refuse as being about something that the section has not.
 */
#ifndef NB_POLICY_DUMP_RELAY_H
#define NB_POLICY_DUMP_RELAY_H

#include <stdio.h>

#include "policy/policy.h"

/** Takes NULL, which is no TLS. */
void dump_tls(FILE *out, const struct policy_tls *tls);

void dump_proxy(FILE *out, const struct policy_protocol *protocol);

#endif
