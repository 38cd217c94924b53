/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator can ask of the broker: one table, which proto/ADMIN.md is compared with by tests/integration/test_admin.c.
 *
 * A request is one flat object: nothing that is asked needs more, and a parser that never goes deeper cannot be driven to.
 */
#ifndef NB_BROKER_ADMIN_VERBS_H
#define NB_BROKER_ADMIN_VERBS_H

#include <stddef.h>

#include "broker/admin_call.h"

/**
 * Parses a request, records it in the audit, and begins to answer.
 * @param line  without its newline; borrowed
 * @return enum admin_progress, or -errno of an error that admin_fail() has put into words
 */
int admin_verbs_begin(struct admin_call *call, const char *line, size_t length);

/* Each takes the request's members and begins; as admin_step. broker/admin_show.c: */
int admin_status(struct admin_call *call, const json_t *request);
int admin_tenants(struct admin_call *call, const json_t *request);
int admin_sessions(struct admin_call *call, const json_t *request);
int admin_connections(struct admin_call *call, const json_t *request);

int admin_quota(struct admin_call *call, const json_t *request);
int admin_metrics(struct admin_call *call, const json_t *request);

/* broker/admin_relays.c: */
int admin_relays(struct admin_call *call, const json_t *request);
int admin_certificates(struct admin_call *call, const json_t *request);

/* broker/admin_explain.c: */
int admin_explain(struct admin_call *call, const json_t *request);

/* broker/admin_policy.c: */
int admin_reload(struct admin_call *call, const json_t *request);
int admin_dump(struct admin_call *call, const json_t *request);
int admin_suggest(struct admin_call *call, const json_t *request);

/* broker/admin_change.c: */
int admin_log_level(struct admin_call *call, const json_t *request);
int admin_revoke(struct admin_call *call, const json_t *request);

/* broker/admin_drain.c: */
int admin_drain(struct admin_call *call, const json_t *request);

/** What is drained, and what is left. @param tenant  whose; NULL: all of them */
json_t *admin_drain_status(const struct broker *broker, const char *tenant);

/* broker/admin_watch.c: */
int admin_watch(struct admin_call *call, const json_t *request);

#endif
