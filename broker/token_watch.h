/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends what tokens have opened when their time is over, where the policy says so (`TokenExpiry=close`): sessions with all their channels, and connections in
 * their holders' hands as a revocation does. With `keep` these stay, and nothing new is granted (broker/decision.h).
 *
 * One timer for all. It looks again after TOKEN_CLOCK_LOOK_MS at the latest, since the wall clock may be set forward; what there is to look at is walked then. Without
 * tokens that end it does not run.
 */
#ifndef NB_BROKER_TOKEN_WATCH_H
#define NB_BROKER_TOKEN_WATCH_H

struct broker;
struct session_token;
struct token_watch;

/** @return owned by the caller, or NULL without memory */
struct token_watch *token_watch_new(struct broker *broker);

/** Says that a session has a token. @param token  borrowed for the call; NULL: none */
void token_watch_note(struct token_watch *watch, const struct session_token *token);

/** Looks now; for a reload, by which another TokenExpiry= may hold. */
void token_watch_look(struct token_watch *watch);

/** Takes NULL. @return NULL */
struct token_watch *token_watch_free(struct token_watch *watch);

#endif
