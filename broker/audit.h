/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit: one JSON line a decision, for the operator.
 *
 * Names and addresses in it come from strangers: they are escaped, and so is all that is not printable ASCII. Refusals are
 * rate-limited for each tenant, so that a flood of one's fills no disk and hides no other's; what was left out is counted in
 * the next record. Allowed decisions are written at log level "info" only; refusals have no level in a file of their own.
 */
#ifndef NB_BROKER_AUDIT_H
#define NB_BROKER_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "policy/policy.h"

struct session;

struct audit_bucket {
        double tokens;
        uint64_t refilled_ms; /* when they were last counted, on the loop's clock */
};

/** How many records of one tenant may still be written. Dropped sessions count apart: a flood of denials must not hide them. */
struct audit_rate {
        struct audit_bucket denied;
        struct audit_bucket dropped;
        uint64_t suppressed; /* records left out since the last one written */
};

struct audit_record;

/** Gets every record, of what was allowed too, whether it is written or left out. All borrowed. */
typedef void (*audit_tap)(void *data, const struct audit_record *record);

struct audit {
        audit_tap tap; /* NULL: nobody watches */
        void *tap_data;
        const struct nb_log *log; /* borrowed: where records go without a file, and the level */
        int fd;                   /* owned; -1: to the log */
        struct audit_rate rate;   /* of those who have no tenant yet */
        uint64_t n_dropped;       /* records left out, of all tenants */
};

/** One record. Text pointers may be NULL: the member is left out. */
struct audit_record {
        const struct session *session; /* NULL: before there is one */
        const char *verb;              /* "hello", "open", "listen", "accept", "connect", "protocol-error" */
        const char *verdict;           /* "allowed", "denied", "reported", "dropped" */
        const char *protocol;
        const char *type;  /* "stream" or "dgram" */
        const char *asked; /* as the session wrote it; any bytes of `asked_length` */
        size_t asked_length;
        const char *name;     /* what was judged: a name with its port */
        const char *address;  /* or an address */
        const char *resolved; /* an address that the name led to */
        const struct policy_rule *rule;
        const char *reason;
        const char *remedy; /* the line that would allow it */
};

/** @param fd  consumed; -1: records go to the log */
void audit_init(struct audit *audit, const struct nb_log *log, int fd);
void audit_deinit(struct audit *audit);

/** Full buckets. */
void audit_rate_init(struct audit_rate *rate);

/** @return a record as it is written, owned by the caller; NULL without memory */
json_t *audit_record_to_json(const struct audit_record *record, uint64_t suppressed);

/** Whether anybody wants records of what was allowed. */
bool audit_wants_allowed(const struct audit *audit);

/** Writes a record, or counts it as left out. @param now_ms  the loop's time */
void audit_write(struct audit *audit, uint64_t now_ms, const struct audit_record *record);

#endif
