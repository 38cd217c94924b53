/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit: one JSON line a decision, for the operator. netbroker-audit(5) has the table of its members, verbs and verdicts.
 *
 * Names and addresses in it come from strangers: they are escaped, and so is all that is not printable ASCII. What is not allowed is
 * rate-limited for each tenant, so that a flood of one's fills no disk and hides no other's. What was left out is counted in
 * the tenant's next record, or, when the flood is over, in one that a timer writes:
 *
 *      quiet ──a record is left out──► counting ──a record is written, with the count──► quiet
 *                                          └──a second──► the count is written, if the rate allows; otherwise it waits another
 *
 * What the sink cannot take at once is lost, never waited for, and counted as well (broker/audit_sink.h).
 */
#ifndef NB_BROKER_AUDIT_H
#define NB_BROKER_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/log.h"
#include "broker/audit_sink.h"
#include "broker/rate.h"
#include "policy/policy.h"

struct deadline;
struct session;

/** How many records of one tenant may still be written. Dropped sessions count apart: a flood of denials must not hide them. */
struct audit_rate {
        struct audit *audit; /* borrowed; NULL: not started */
        const char *tenant;  /* borrowed; NULL: of those who have none yet */
        struct rate denied;
        struct rate dropped;
        uint64_t suppressed;   /* records left out since the last one written */
        struct deadline *tail; /* while there are some */
};

struct audit_record;

/** Gets every record, of what was allowed too, whether it is written or left out. All borrowed. */
typedef void (*audit_tap)(void *data, const struct audit_record *record);

struct audit {
        audit_tap tap; /* NULL: nobody watches */
        void *tap_data;
        uv_loop_t *loop;          /* borrowed */
        const struct nb_log *log; /* borrowed: its level, and for what becomes of the sink */
        struct audit_sink *sink;  /* owned */
        bool allowed;             /* records of what was allowed are wanted */
        struct audit_rate rate;   /* of those who have no tenant yet */
        struct audit_rate admin;  /* of operators' requests, which no flood of others' may hide */
        uint64_t n_written;       /* records */
        uint64_t n_suppressed;    /* left out by a rate */
        uint64_t n_lost;          /* that the sink did not take */
        uint64_t n_lost_told;     /* of these, how many a record or the log has told of */
        uint64_t complain_ms;     /* of the loop's clock: the log says nothing of the sink before */
};

/** One record. Text pointers may be NULL: the member is left out. */
struct audit_record {
        const struct session *session; /* NULL: before there is one */
        const char *tenant;            /* whom it is about, where there is no session */
        size_t n_restrictions;         /* blocks of protocol_restrict beside the policy */
        const char *verb;              /* "hello", "open", "listen", "accept", "connect", "protocol-error", "relay" */
        const char *verdict;           /* "allowed", "denied", "reported", "dropped", "crashed" */
        const char *protocol;
        const char *type;      /* "stream" or "dgram" */
        const char *transport; /* "quic"; left out where the type says it */
        const char *asked;     /* as the session wrote it; any bytes of `asked_length` */
        size_t asked_length;
        const char *name;     /* what was judged: a name with its port */
        const char *address;  /* or an address */
        const char *resolved; /* an address that the name led to */
        const char
                *via; /* whom the socket is connected to, where that is another: a proxy, or who sent a PROXY header */
        const struct policy_rule *rule;
        const char *reason;
        const char *remedy; /* the line that would allow it */
};

/**
 * @param sink  consumed
 * @param loop  borrowed; the clock, and for timers
 */
void audit_init(struct audit *audit, const struct nb_log *log, struct audit_sink *sink, uv_loop_t *loop);

/** Writes what is still to be told; before the loop is closed. */
void audit_deinit(struct audit *audit);

/** Opens the file again by its name, for who rotates it, or logs why not and goes on with the one before. */
void audit_reopen(struct audit *audit);

/** Full buckets. @param tenant  its name; borrowed, NULL for those who have none */
void audit_rate_init(struct audit_rate *rate, struct audit *audit, const char *tenant);

/** Writes what is still to be told. Takes one that was not started. */
void audit_rate_deinit(struct audit_rate *rate);

/** @return a record as it is written, owned by the caller; NULL without memory */
json_t *audit_record_to_json(const struct audit_record *record, uint64_t suppressed);

/** Whether anybody wants records of what was allowed. */
bool audit_wants_allowed(const struct audit *audit);

/** Writes a record, or counts it as left out. @param now_ms  the loop's time */
void audit_write(struct audit *audit, uint64_t now_ms, const struct audit_record *record);

#endif
