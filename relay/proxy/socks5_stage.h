/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_RELAY_PROXY_SOCKS5_STAGE_H
#define NB_RELAY_PROXY_SOCKS5_STAGE_H

struct context;
struct proxy_target;
struct stage;

/**
 * Asks by SOCKS5. Nothing behind the proxy's reply is read.
 * @param password  consumed on success only; NULL: none
 * @return owned by the caller, or NULL without memory
 */
struct stage *socks5_stage_new(const struct proxy_target *target, const char *text, struct context *password);

#endif
