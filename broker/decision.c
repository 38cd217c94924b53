/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/decision.h"

#include <stdio.h>
#include <string.h>

#include "base/wall_clock.h"
#include "broker/broker.h"
#include "broker/restriction.h"
#include "broker/seen.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/tenant.h"
#include "policy/explain.h"
#include "policy/narrowing.h"
#include "policy/words.h"

/* A name with its port. */
#define NAME_TEXT_MAX (POLICY_HOST_NAME_MAX + 8)

bool family_fits(const struct grant *grant, sa_family_t family) {
        return !grant->policy || policy_family_includes(grant->policy->family, family);
}

/* ---- the policy's word, and report mode ---- */

/* There is nothing left by which it could be done, so report mode does not let it pass either. */
static void refuse_without_policy(const struct grant *grant, struct policy_verdict *ret) {
        *ret = (struct policy_verdict){ .allowed = false, .impossible = true };
        (void)snprintf(ret->reason, sizeof(ret->reason), "the policy no longer has [%s %s]",
                       grant->preopen ? "Preopen" : "Protocol", grant->name);
}

/* What the tenant's mode makes of a verdict. @return what is recorded */
static enum metrics_verdict apply_mode(const struct grant *grant, struct policy_verdict *verdict) {
        const struct policy_tenant *tenant = grant->tenant->policy;

        if (verdict->allowed)
                return METRICS_ALLOWED;
        if (verdict->impossible || !tenant || tenant->mode != POLICY_MODE_REPORT)
                return METRICS_DENIED;
        verdict->allowed = true;
        return METRICS_REPORTED;
}

/* ---- what narrows it ---- */

/* @return false */
static bool refuse_time(struct policy_verdict *verdict, const char *what, uint64_t seconds) {
        char text[NB_WALL_CLOCK_TEXT_MAX];
        const char *when = seconds < UINT64_MAX / 1000 ? nb_wall_clock_format(seconds * 1000, text) : NULL;

        *verdict = (struct policy_verdict){ .allowed = false, .impossible = true };
        (void)snprintf(verdict->reason, sizeof(verdict->reason), "the token of this session %s %s", what,
                       when ? when : "at a time that no calendar has");
        return false;
}

static bool time_allows(const struct asker *asker, struct policy_verdict *verdict) {
        struct narrowings_time time = narrowings_time(asker->narrowings);
        uint64_t now_s = token_clock_ms(&asker->grant->tenant->broker->token_clock) / 1000;

        if (now_s < time.not_before)
                return refuse_time(verdict, "does not hold before", time.not_before);
        return time.not_after == 0 || now_s < time.not_after || refuse_time(verdict, "has expired at", time.not_after);
}

/* Existing=keep leaves a session alone whose token was revoked, or whose issuer is trusted no more; what it asks for is judged all the same. */
static bool token_allows(const struct asker *asker, struct policy_verdict *verdict) {
        const struct session_token *token = asker->session ? asker->session->token : NULL;
        const char *reason;

        if (!token || session_token_holds(token, asker->grant->tenant, &reason))
                return true;
        *verdict = (struct policy_verdict){ .allowed = false, .impossible = true };
        (void)snprintf(verdict->reason, sizeof(verdict->reason), "nothing new for this session: %s", reason);
        return false;
}

/* Before the blocks are asked. */
static bool still_holds(const struct asker *asker, struct policy_verdict *verdict) {
        return token_allows(asker, verdict) && time_allows(asker, verdict);
}

/* ---- all of them ---- */

static enum metrics_verdict judge(const struct asker *asker, enum policy_verb verb,
                                  const struct nb_socket_address *address, struct policy_verdict *ret) {
        const struct grant *grant = asker->grant;

        if (grant->policy)
                policy_decide(grant->policy, verb, address, ret);
        else
                refuse_without_policy(grant, ret);
        own_refuse(&grant->tenant->broker->own, verb, address, ret);
        if (asker->narrowings && still_holds(asker, ret))
                (void)narrowings_allow(asker->narrowings, grant->name, verb, address, ret);
        return apply_mode(grant, ret);
}

static enum metrics_verdict judge_name(const struct asker *asker, const struct policy_host_name *name,
                                       struct policy_verdict *ret) {
        const struct grant *grant = asker->grant;

        if (grant->policy)
                policy_decide_name(grant->policy, name, ret);
        else
                refuse_without_policy(grant, ret);
        if (asker->narrowings && still_holds(asker, ret))
                (void)narrowings_allow_name(asker->narrowings, grant->name, name, ret);
        return apply_mode(grant, ret);
}

static enum metrics_verdict judge_resolved(const struct asker *asker, const struct policy_host_name *name,
                                           const struct nb_address *address, struct policy_verdict *ret) {
        const struct nb_socket_address socket_address = { .family = address->ip.family, .ip = *address };
        const struct grant *grant = asker->grant;

        if (grant->policy)
                policy_decide_resolved(grant->policy, name, address, ret);
        else
                refuse_without_policy(grant, ret);
        own_refuse(&grant->tenant->broker->own, POLICY_CONNECT, &socket_address, ret);
        if (asker->narrowings && still_holds(asker, ret))
                (void)narrowings_allow_resolved(asker->narrowings, grant->name, name, address, ret);
        return apply_mode(grant, ret);
}

void decide_again(const struct asker *asker, enum policy_verb verb, const struct nb_socket_address *address,
                  struct policy_verdict *ret) {
        (void)judge(asker, verb, address, ret);
}

void decide_name_again(const struct asker *asker, const struct policy_host_name *name, struct policy_verdict *ret) {
        (void)judge_name(asker, name, ret);
}

void decide_resolved_again(const struct asker *asker, const struct policy_host_name *name,
                           const struct nb_address *address, struct policy_verdict *ret) {
        (void)judge_resolved(asker, name, address, ret);
}

static bool name_still_granted(const struct asker *asker, const char *text, const struct nb_socket_address *address) {
        struct policy_host_name name;
        struct policy_verdict verdict;

        if (policy_host_name_parse(text, strlen(text), &name) < 0)
                return false;
        /* One of QUIC may have moved to another port. */
        if (address->family != 0)
                name.port = address->ip.port;
        decide_name_again(asker, &name, &verdict);
        if (verdict.allowed && address->family != 0)
                decide_resolved_again(asker, &name, &address->ip, &verdict);
        return verdict.allowed;
}

bool decision_still_grants(const struct grant *grant, enum policy_verb verb, const char *name,
                           const struct nb_socket_address *address) {
        const struct asker asker = { .grant = grant };
        struct policy_verdict verdict;

        if (name)
                return name_still_granted(&asker, name, address);
        decide_again(&asker, verb, address, &verdict);
        return verdict.allowed;
}

/* ---- the funnel ---- */

/* What every record of an asker has. */
static struct audit_record record_of(const struct asker *asker, const char *verb, const char *asked) {
        return (struct audit_record){
                .session = asker->session,
                .protocol = asker->grant->name,
                .type = policy_word(policy_words_socket_type, (int)asker->type),
                .transport = asker->grant->policy && policy_is_quic(asker->grant->policy) ? "quic" : NULL,
                .n_restrictions = restriction_count(asker->narrowings),
                .verb = verb,
                .asked = asked,
                .asked_length = asked ? strlen(asked) : 0,
        };
}

static void write_record(const struct asker *asker, const struct audit_record *record) {
        struct broker *broker = asker->session->broker;

        audit_write(&broker->audit, uv_now(&broker->loop), record);
}

static void count(const struct asker *asker, enum policy_verb verb, enum metrics_verdict verdict) {
        asker->grant->tenant->metrics.decisions[verb][verdict]++;
}

/* What a rule could be written for; a peer that was accepted needs none, and what is narrowed beside the policy is not for its rules. */
static void note_seen(const struct asker *asker, enum policy_verb verb, enum metrics_verdict verdict,
                      const struct policy_verdict *why, const char *target) {
        if (verb != POLICY_ACCEPT && !(asker->narrowings && why->impossible))
                seen_note(asker->grant->tenant->seen, asker->grant->name, verb, target, verdict != METRICS_ALLOWED);
}

/* Most decisions are grants that nobody wants to read: then no text is made of the address. */
static bool is_read(const struct asker *asker, enum policy_verb verb, enum metrics_verdict verdict) {
        return verdict != METRICS_ALLOWED || (verb != POLICY_ACCEPT && asker->grant->tenant->seen) ||
               audit_wants_allowed(&asker->session->broker->audit);
}

static void record_verdict(const struct asker *asker, struct audit_record *record, enum metrics_verdict verdict,
                           const struct policy_verdict *why) {
        record->verdict = metrics_verdict_name(verdict);
        record->rule = why->rule;
        record->reason = why->reason;
        record->remedy = why->remedy;
        write_record(asker, record);
}

struct nb_socket_address decision_reached(const struct nb_socket_address *address) {
        struct nb_socket_address reached = *address;

        if (address->family != AF_UNIX && nb_ip_is_unspecified(&address->ip.ip))
                nb_ip_set_loopback(&reached.ip.ip);
        return reached;
}

static const char *format_via(const struct nb_socket_address *via, char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]) {
        return via ? nb_socket_address_format(via, buffer) : NULL;
}

/* @param via  NULL: it is the address itself */
static void decide_by(const struct asker *asker, enum policy_verb verb, const struct nb_socket_address *address,
                      const struct nb_socket_address *via, const char *asked, struct policy_verdict *ret) {
        struct audit_record record = record_of(asker, policy_verb_name(verb), asked);
        enum metrics_verdict verdict = judge(asker, verb, address, ret);
        char text[NB_SOCKET_ADDRESS_TEXT_MAX], via_text[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct nb_socket_address reached;

        count(asker, verb, verdict);
        if (!is_read(asker, verb, verdict))
                return;
        reached = verb == POLICY_CONNECT ? decision_reached(address) : *address;
        record.address = nb_socket_address_format(&reached, text);
        record.via = format_via(via, via_text);
        note_seen(asker, verb, verdict, ret, text);
        record_verdict(asker, &record, verdict, ret);
}

void decide(const struct asker *asker, enum policy_verb verb, const struct nb_socket_address *address,
            const char *asked, struct policy_verdict *ret) {
        decide_by(asker, verb, address, NULL, asked, ret);
}

void decide_announced(const struct asker *asker, const struct nb_socket_address *address,
                      const struct nb_socket_address *via, struct policy_verdict *ret) {
        decide_by(asker, POLICY_ACCEPT, address, via, NULL, ret);
}

static const char *format_name(const struct policy_host_name *name, char buffer[static NAME_TEXT_MAX]) {
        (void)snprintf(buffer, NAME_TEXT_MAX, "%s:%u", name->text, name->port);
        return buffer;
}

void decide_name(const struct asker *asker, const struct policy_host_name *name, const char *asked,
                 struct policy_verdict *ret) {
        struct audit_record record = record_of(asker, policy_verb_name(POLICY_CONNECT), asked);
        enum metrics_verdict verdict = judge_name(asker, name, ret);
        char text[NAME_TEXT_MAX];

        count(asker, POLICY_CONNECT, verdict);
        if (!is_read(asker, POLICY_CONNECT, verdict))
                return;
        record.name = format_name(name, text);
        note_seen(asker, POLICY_CONNECT, verdict, ret, text);
        record_verdict(asker, &record, verdict, ret);
}

/* Where a name led to, for `Addresses=`: of interest where it is refused. */
static void note_led_to(const struct asker *asker, enum metrics_verdict verdict, const struct policy_verdict *why,
                        const char *name, const char *address) {
        char text[NAME_TEXT_MAX + NB_ADDRESS_TEXT_MAX + 8];

        if (verdict == METRICS_ALLOWED)
                return;
        (void)snprintf(text, sizeof(text), "%s => %s", name, address);
        note_seen(asker, POLICY_CONNECT, verdict, why, text);
}

void decide_resolved(const struct asker *asker, const struct policy_host_name *name, const struct nb_address *address,
                     struct policy_verdict *ret) {
        struct audit_record record = record_of(asker, policy_verb_name(POLICY_CONNECT), NULL);
        enum metrics_verdict verdict = judge_resolved(asker, name, address, ret);
        char name_text[NAME_TEXT_MAX], text[NB_ADDRESS_TEXT_MAX];

        count(asker, POLICY_CONNECT, verdict);
        if (!is_read(asker, POLICY_CONNECT, verdict))
                return;
        record.name = format_name(name, name_text);
        record.resolved = nb_address_format(address, text);
        note_led_to(asker, verdict, ret, name_text, text);
        record_verdict(asker, &record, verdict, ret);
}

void decision_record_refusal(const struct asker *asker, const char *verb, const char *asked, const char *reason) {
        struct audit_record record = record_of(asker, verb, asked);

        record.verdict = "denied";
        record.reason = reason;
        write_record(asker, &record);
}

void decision_record_relay_failure(const struct asker *asker, enum policy_verb verb, const char *name,
                                   const struct nb_socket_address *address, const struct nb_socket_address *via,
                                   const char *reason) {
        struct audit_record record = record_of(asker, policy_verb_name(verb), NULL);
        char text[NB_SOCKET_ADDRESS_TEXT_MAX], via_text[NB_SOCKET_ADDRESS_TEXT_MAX];
        const char *address_text = address ? nb_socket_address_format(address, text) : NULL;

        record.verdict = "denied";
        record.name = name;
        record.address = name ? NULL : address_text;
        record.resolved = name ? address_text : NULL;
        record.via = format_via(via, via_text);
        record.reason = reason;
        write_record(asker, &record);
}

void decision_record_failure(const struct asker *asker, const char *verb, const struct nb_socket_address *address,
                             const char *reason) {
        struct audit_record record = record_of(asker, verb, NULL);
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];

        record.verdict = "denied";
        record.address = nb_socket_address_format(address, text);
        record.reason = reason;
        write_record(asker, &record);
}
