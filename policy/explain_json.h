/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explanations as JSON: one form, whether a running netbrokerd explains or netbrokerctl by itself.
 *
 *     {"tenant": "acme", "protocol": "web", "operation": "connect", "question": "connect to 192.0.2.1:443", "resolved": null,
 *      "allowed": false, "impossible": false, "mode": "enforce", "rule": null, "at": null, "reason": "…", "remedy": "…",
 *      "steps": [{"layer": "address", "check": "deny", "passed": true, "text": "…", "rule": null, "at": null}],
 *      "text": "…the whole for people…"}
 */
#ifndef NB_POLICY_EXPLAIN_JSON_H
#define NB_POLICY_EXPLAIN_JSON_H

#include <jansson.h>

#include "policy/explain.h"

/** @return owned by the caller, or NULL without memory. */
json_t *policy_explanation_to_json(const struct policy_explanation *explanation);

#endif
