/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the policy, and telling the operator what it said: one funnel, by which every decision is counted, recorded, and noted as seen.
 *
 * Report mode (`Mode=report` of the tenant) is here and nowhere else: a denial comes out as allowed, with `reason`, `rule` and `remedy` as
 * they were, and is recorded as "reported". What no rule could allow is refused in it too, and so are the broker's own sockets, which are
 * the same thing: impossible.
 *
 * What a session's token or protocol_restrict has narrowed (policy/narrowing.h) is judged beside the policy, here too, with the time of both. Its word is
 * impossible likewise, and is not noted as seen: no rule that `suggest` could write would change it.
 */
#ifndef NB_BROKER_DECISION_H
#define NB_BROKER_DECISION_H

#include "policy/policy.h"

struct grant;
struct narrowings;
struct session;

/** Who asks, and for what kind of socket. All borrowed. */
struct asker {
        const struct session *session;
        const struct grant *grant;
        const struct narrowings *narrowings; /* NULL: none */
        enum policy_socket_type type;        /* 0: no type that there is */
};

/**
 * Decides by the policy of this moment; a grant that the policy no longer has is denied.
 * @param asked  what the session wrote, for the record; borrowed, NULL where the address came from the kernel
 * @param ret    always filled in
 */
void decide(const struct asker *asker, enum policy_verb verb, const struct nb_socket_address *address,
            const char *asked, struct policy_verdict *ret);

/** Decides whether a name may be looked up and connected to; as decide(). What it leads to is judged by decide_resolved(). */
void decide_name(const struct asker *asker, const struct policy_host_name *name, const char *asked,
                 struct policy_verdict *ret);

/**
 * Where a connect to an address leads: the unspecified one is judged as loopback, and Linux would take it for that, or for the socket's own
 * address. So loopback is what is dialled and recorded.
 */
struct nb_socket_address decision_reached(const struct nb_socket_address *address);

/** Decides whether one address of a name may be dialled, for which decide_name() has said yes; as decide(). */
void decide_resolved(const struct asker *asker, const struct policy_host_name *name, const struct nb_address *address,
                     struct policy_verdict *ret);

/**
 * Decides whether the peer that a PROXY header announces is accepted; as decide().
 * @param via  who has sent the header, for the record
 */
void decide_announced(const struct asker *asker, const struct nb_socket_address *address,
                      const struct nb_socket_address *via, struct policy_verdict *ret);

/** As decide() without a record, for what was recorded already; report mode holds for it too. */
void decide_again(const struct asker *asker, enum policy_verb verb, const struct nb_socket_address *address,
                  struct policy_verdict *ret);

/** As decide_name() without a record. */
void decide_name_again(const struct asker *asker, const struct policy_host_name *name, struct policy_verdict *ret);

/** As decide_resolved() without a record. */
void decide_resolved_again(const struct asker *asker, const struct policy_host_name *name,
                           const struct nb_address *address, struct policy_verdict *ret);

/**
 * Whether what was granted before, to connect to or to accept, is granted at this moment, without a record. What narrows it does not change, and its end is
 * broker/session_token.h's to see to.
 * @param name     that was asked for, with its port; NULL for an address
 * @param address  of family 0 where a proxy has resolved the name
 */
bool decision_still_grants(const struct grant *grant, enum policy_verb verb, const char *name,
                           const struct nb_socket_address *address);

/** Whether the grant is for addresses of that family; one that the policy no longer has is denied by decide(), whatever the family. */
bool family_fits(const struct grant *grant, sa_family_t family);

/** Records a refusal that is not a rule's: a text that is no address, a quota. @param asked  as the session wrote it, may be NULL */
void decision_record_refusal(const struct asker *asker, const char *verb, const char *asked, const char *reason);

/**
 * Records that what was granted did not come about, by what a relay has said.
 * @param name     that was asked for, with its port; NULL for an address
 * @param address  of the other side; NULL: it is not known
 * @param via      whom the socket has, where that is another; or NULL
 */
void decision_record_relay_failure(const struct asker *asker, enum policy_verb verb, const char *name,
                                   const struct nb_socket_address *address, const struct nb_socket_address *via,
                                   const char *reason);

/** Records that what was granted cannot be done. */
void decision_record_failure(const struct asker *asker, const char *verb, const struct nb_socket_address *address,
                             const char *reason);

#endif
