/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is reported of whatever has a link's number: that it is ready, and how it has ended.
 */
#ifndef NB_RELAY_REPORTS_H
#define NB_RELAY_REPORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/relay_frame.h"

struct relay;
struct tls_security;

/** The longest reason of an end, in bytes with its NUL. */
#define RELAY_REASON_MAX 256

/**
 * Reports Ready.
 * @param security  borrowed; NULL: without TLS
 */
void report_ready(struct relay *relay, uint64_t link, const struct tls_security *security, bool stepped_out);

/**
 * Reports Ended.
 * @param reason  a sentence; what strangers wrote is escaped
 */
void report_ended(struct relay *relay, uint64_t link, Nb__Relay__Cause cause, const char *reason,
                  uint64_t bytes_to_guest, uint64_t bytes_to_peer);

#endif
