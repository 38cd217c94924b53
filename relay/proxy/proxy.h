/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages that have to do with proxies: asking one on the way, and PROXY headers.
 */
#ifndef NB_RELAY_PROXY_PROXY_H
#define NB_RELAY_PROXY_PROXY_H

#include "proto/relay_frame.h"

struct context;
struct stage;

/**
 * Asks a proxy for `hop->target`: by CONNECT (RFC 9110 section 9.3.6) or SOCKS5 (RFC 1928, RFC 1929).
 * @param hop       borrowed until the return
 * @param password  one reference is taken; NULL: none
 * @return owned by the caller, or NULL (errno: EINVAL for a target that cannot be asked for, ENOMEM)
 */
struct stage *proxy_stage_new(const Nb__Relay__Hop *hop, struct context *password);

/** Reads a PROXY header, version 1 or 2, and has the broker judge its source (link_announce()). @return owned by the caller, or NULL */
struct stage *header_stage_new_reader(void);

/** Writes one. @return owned by the caller, or NULL (errno: EINVAL, ENOMEM) */
struct stage *header_stage_new_writer(Nb__Relay__ProxyHeader version, const char *source, const char *destination);

#endif
