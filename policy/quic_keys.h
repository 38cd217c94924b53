/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of `Family=quic`. Their setters return 0, -ENOMEM, or -EINVAL with the parser's complaint about the value.
 *
 * QUIC has TLS 1.3 inside, always, and is done by the tenant's relay, always. So what other families have to say follows here from the rules:
 * which role TLS has, which version, and which way the bytes go. What says otherwise is an error.
 */
#ifndef NB_POLICY_QUIC_KEYS_H
#define NB_POLICY_QUIC_KEYS_H

#include "policy/parser.h"

/* What a connection has where the section is silent. */
#define POLICY_QUIC_STREAMS_DEFAULT 100
#define POLICY_QUIC_STREAM_WINDOW_DEFAULT ((uint64_t)256 * 1024)
#define POLICY_QUIC_CONNECTION_WINDOW_DEFAULT ((uint64_t)1024 * 1024)

int quic_set_max_streams(struct parser *p, const char *value);
int quic_set_stream_window(struct parser *p, const char *value);
int quic_set_connection_window(struct parser *p, const char *value);
int quic_set_keep_alive(struct parser *p, const char *value);
int quic_set_retry(struct parser *p, const char *value);

/**
 * Checks the keys of the current section, whose rules are taken, and fills in what follows from them. To be called before the checks of what
 * all families have.
 * @return 0; -EINVAL with the error filled in; -ENOMEM.
 */
int quic_keys_finish(struct parser *p);

#endif
