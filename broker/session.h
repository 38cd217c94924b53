/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: one host process that speaks for one tenant.
 *
 *      half-open ──Hello, and one tenant fits──► open, Welcome as soon as RequestRate= lets it ──its last endpoint ends──► freed
 *          └──deadline, or no tenant fits──► freed
 *
 * Which tenants fit is decided by how the session came in: by a tenant's own socket, by the credentials of the connecting process, or by the
 * word of whoever started the broker with the session's descriptor (broker/identity.h). The tenant named in Hello only selects among those.
 *
 * Protocols and controls are channels of their own and outlive the session's channel: holding a descriptor is the
 * authority, wherever it was passed on.
 */
#ifndef NB_BROKER_SESSION_H
#define NB_BROKER_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "broker/endpoint.h"
#include "broker/throttle.h"
#include "broker/identity.h"

struct broker;
struct deadline;
struct narrowings;
struct session_token;
struct front_parked;
struct tenant;

struct session {
        struct nb_list link; /* in its broker */
        struct broker *broker;
        struct tenant *tenant;               /* NULL while half-open */
        uint64_t id;                         /* counts from 1 over the broker's life */
        struct identity identity;            /* found at accept */
        char *label;                         /* NULL while half-open */
        struct session_token *token;         /* a reference; NULL: it has shown none */
        const struct narrowings *narrowings; /* of its token, borrowed; NULL: none */
        struct deadline *hello_deadline;
        struct nb_list endpoints;
        struct nb_list lingering;       /* endpoints that have ended with descriptors unread */
        struct endpoint endpoint;       /* of the session's own channel */
        uint64_t last_delegation;       /* counts the restricted protocols of it */
        struct front_parked *parked;    /* owned: what a shard is to get of it, in the front; NULL: nothing */
        struct throttle_waiter welcome; /* while it waits for its tenant's tokens */
        bool dropping;                  /* all endpoints are being ended */
};

/**
 * Serves a new session.
 * @param fd        a connected SEQPACKET socket; consumed even on failure
 * @param identity  consumed even on failure: what it owns is the session's
 * @return 0, or -errno
 */
int session_new(struct broker *broker, int fd, struct identity *identity);

/**
 * Serves a new session whose Hello another process has read (broker/shard.h).
 * @param length  of the frame, which is in the broker's memory for frames
 * @return as session_new(); the session may have ended by then
 */
int session_new_with_hello(struct broker *broker, int fd, struct identity *identity, size_t length);

/** Ends everything of a session at once, for a violation, with an audit record. `where` names the kind of channel. */
void session_drop(struct session *session, const char *where, const char *what);

/**
 * Makes a session of what an earlier broker has left, without judging it.
 * @param item  of kind Session, with its channel or without; what is taken of it is taken on success only
 * @param ret   borrowed from the broker; to be given to session_resume() when its protocols and controls are there
 * @return 0; -EBADMSG for an item that makes no sense; another -errno
 */
int session_restore(struct broker *broker, struct kept_item *item, struct session **ret);

/**
 * Says Resumed on all its channels; one that has none any more is freed. The session may be gone when this returns.
 * @return how many channels have ended since it could not be said there, although there is somebody
 */
unsigned session_resume(struct session *session);

/** To be called when the session's own channel was closed: what came of it lives on. */
void session_channel_closed(struct session *session);

/** Says of which delegation a channel is that an earlier broker has left: its number is not given out again. */
void session_note_delegation(struct endpoint *endpoint, uint64_t delegation);

/** Ends what came of one restricted protocol, for a violation, with an audit record. The session may be gone when this returns. */
void session_drop_delegation(struct session *session, uint64_t delegation, const char *where, const char *what);

/** Ends everything of a session quietly. */
void session_end(struct session *session);

/** Frees the session if its last endpoint has ended. */
void session_free_if_unused(struct session *session);

/** Judges the session by a new policy: ends it if its tenant is gone or no longer admits it. */
void session_policy_changed(struct session *session);

/** Ends all that the session has by a grant, whatever `Existing=` says. The session may be gone when this returns. */
void session_revoke(struct session *session, const struct grant *grant);

#endif
