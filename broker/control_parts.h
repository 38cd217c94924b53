/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a control (broker/control.h) share; nobody else includes this.
 *
 *      control.c            the object: made, stopped, freed, judged anew; which request goes where
 *      control_connect.c    Connect: judged, paid for, dialled, by address, by name, through proxies
 *      control_connected.c  what is connected: through a relay where it must, then registered and handed out
 *      control_listen.c     Listen and Credit
 *      control_restore.c    a control that an earlier broker has left
 *      control_state.c      what the keeper is told of it
 *
 * A connect is under way while the state is CONTROL_CONNECTING, and exactly one of connector, naming, proxying and relaying is there:
 *
 *      Connect ──► connector ─┬──────────────► handed out
 *              ├─► naming ────┼─► relaying ──► handed out
 *              └─► proxying ──┘
 *                  (naming may lead to proxying, or relay by itself)
 *
 * Each of them ends in a function that sets the state, answers, and ends the control if that fails: what they call may free the control, and
 * nothing of it is touched afterwards.
 */
#ifndef NB_BROKER_CONTROL_PARTS_H
#define NB_BROKER_CONTROL_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/account.h"
#include "broker/control.h"

struct proxy_way;
struct relayed_result;
struct session_token;
struct tenant;

#define CONTROL_UNUSABLE_FILES "the certificates, keys or passwords that the policy names cannot be used"

/** Why nothing is begun by a control whose protocol is not what it was. */
#define CONTROL_OTHER_TRANSPORT "Family= of the protocol was changed to or from quic since the control was opened"

/** How its endpoint is served. */
extern const struct endpoint_ops control_ops;

/* ---- the object ---- */

/** Frees one without a channel, or whose endpoint has ended. Takes NULL. @return NULL */
struct control *control_free(struct control *control);

/** As NB_CLEANUP() has it, of control_free(). */
static inline void control_cleanup(struct control **control) {
        (void)control_free(*control);
}

/** The one setter of the state; a connect under way is charged for as long as it lasts, and so is listening. */
void control_set_state(struct control *control, enum control_state state);

/**
 * Takes one of the session's quota, if its token has one, and of the tenant's account.
 * @param token  borrowed; NULL: none
 * @return as quota_claim()
 */
int control_claim(struct session_token *token, struct tenant *tenant, enum account_kind kind);

/** Gives back what control_claim() has taken. */
void control_release(struct control *control, enum account_kind kind);

/** What the kernel's sockets of it are. */
enum policy_socket_type control_socket_type(const struct control *control);

/** Whether its protocol still speaks what the control was opened for: a reload with Existing=keep may have made another of it. */
bool control_has_its_transport(const struct control *control);

/** Whether what it connects goes through a relay, by the policy of now; where a reload has taken that away, by the one of before. */
bool control_needs_relay(const struct control *control);

/** Whether the policy of now allows it. @param address  borrowed */
bool control_is_granted(const struct control *control, enum policy_verb verb, const struct nb_socket_address *address);

/** Refuses, with a record. @param asked  as the session wrote it; may be NULL @return as endpoint_refuse() */
int control_refuse(struct control *control, const char *verb, const char *asked, enum nb_wasi_errno error,
                   const char *reason);

/** The same as refuse_errno(). @param r  -errno */
int control_refuse_errno(struct control *control, const char *verb, const struct nb_socket_address *address, int r);

/** For what the loop calls, where there is no request whose handler could return `r`: ends the control if that is negative. */
void control_end_if_failed(struct control *control, int r);

/* ---- requests; all @return as endpoint_ops.request ---- */

int control_request_connect(struct control *control, const Nb__Connect *connect);
int control_request_listen(struct control *control, const Nb__Listen *listen_request);
int control_request_credit(struct control *control, const Nb__Credit *credit);

/** As endpoint_ops.resume: behind connections that were pushed and are not read yet, Resumed has to be said all the same. */
int control_resume(struct endpoint *endpoint);

/* ---- what is connected; all @return 0; -errno for the control's end ---- */

/**
 * Goes on with what was dialled, still connecting.
 * @param fd    consumed
 * @param peer  borrowed; family 0 where a proxy resolves
 * @param way   through which proxies it went, borrowed; NULL: none
 * @param name  that was asked for, with its port, borrowed; NULL for an address
 */
int control_proceed(struct control *control, int fd, const struct nb_socket_address *peer, const struct proxy_way *way,
                    const char *name);

/** Answers what a relay's handshake came to. @param r  0 or -errno @param result  whose descriptors are consumed */
int control_answer_relayed(struct control *control, int r, struct relayed_result *result);

/** Answers that no relay has begun it. @param r  -errno */
int control_answer_not_relayed(struct control *control, const struct nb_socket_address *peer, const char *name, int r);

/** Answers that what was granted and charged has come to nothing. @param r  -errno */
int control_answer_failed(struct control *control, const struct nb_socket_address *peer, int r);

/** @return what is left of ConnectTimeout=, in ms, at least 1 */
uint64_t control_time_left(const struct control *control);

/** Whether no reload came since the connect was begun: otherwise what was dialled may not be what the policy of now would dial. */
bool control_is_of_this_policy(const struct control *control);

#endif
