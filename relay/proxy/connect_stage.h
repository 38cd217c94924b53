/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_RELAY_PROXY_CONNECT_STAGE_H
#define NB_RELAY_PROXY_CONNECT_STAGE_H

struct context;
struct proxy_target;
struct stage;

/**
 * Asks by CONNECT. What the proxy has sent behind its answer is given to whoever reads next (transport_new_rest()).
 * @param password  consumed on success only; NULL: none
 * @return owned by the caller, or NULL without memory
 */
struct stage *connect_stage_new(const struct proxy_target *target, const char *text, struct context *password);

#endif
