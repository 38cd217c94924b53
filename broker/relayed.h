/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection that goes through a relay: from its socket, connected or accepted, to the guest's end of a pair.
 *
 *      attached ──Begin, without_ready──────────► told, at once
 *          └──────Begin──► handshaking ──Ready──► told ──its number goes on to the connection's entry (broker/connection.h)
 *                              ├──Announced──► the peer is judged again, by the address of the PROXY header ──Judgement──► handshaking
 *                              └──Ended, lost──► told of the failure, which is recorded
 *
 * The broker makes the pair, sends the socket and one end with Begin, and keeps the other end, and a duplicate of the socket, until it is Ready:
 * then the socket is registered as the connection (its cookie is what the kernel tells the end of), the guest gets its end, and the
 * broker has neither. An entry of a relayed connection can be ended without netbroker-helper: the relay is told to.
 *
 * Where the relay has nothing to do before bytes go, nobody waits for its word: a turn of the relay's and another of ours would be most of what such a connect
 * costs. That it has no room, or has just ended, the guest learns by ECONNRESET then. One that is not known to take orders yet is waited for.
 *
 * Of QUIC (`Family=quic`) the pair is the connection's channel, over which its streams travel: what the guest gets is that. A client's socket is one of
 * UDP, connected to what was judged. A server's client has none of its own, for all share the server's: it begins with TakePeer instead of Begin.
 *
 * Of others, one byte is written into the guest's end before the relay gets the other, and the relay leaves it there for as long as the connection has not
 * ended well. So the kernel tells the guest ECONNRESET when the relay is gone, and not the end of a file (relay/pair.h).
 */
#ifndef NB_BROKER_RELAYED_H
#define NB_BROKER_RELAYED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/socket_address.h"
#include "broker/decision.h"
#include "broker/relay.h"
#include "policy/policy.h"
#include "proto/relay_frame.h"

struct proxy_way;
struct relay_server;
struct relayed;

/** What came of it. */
struct relayed_result {
        int fd; /* the guest's end, or the socket itself where the relay stepped out; owned by who is told; -1 */
        int socket_fd; /* the peer's socket, for connection_register(); owned by who is told; -1 where `fd` is that, or there is none */
        struct relay_object
                *object; /* the link's number, for connection_register(); NULL where the relay stepped out */
        const Nb__Relay__Security *security;  /* NULL: none; borrowed until the return */
        const struct nb_socket_address *peer; /* who the peer is: of the socket, or as a PROXY header said */
        const struct nb_socket_address *via;  /* whom the socket has, where that is not `peer`; NULL otherwise */
        const char *name;                     /* as in the options; NULL for an address */
        const struct policy_proxy *proxy;     /* through which it goes; borrowed until the return; NULL: none */
        const char *
                reason; /* of a failure that is recorded, for the guest where the policy lets it; borrowed; NULL: none */
};

/**
 * Called once, from the loop. The relayed is to be freed in it, or later.
 * @param error  0; or -errno: -EACCES for a peer that is not who the policy granted, -EPROTO, -ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, ...
 */
typedef void (*relayed_function)(void *data, int error, struct relayed_result *result);

/** Gives a relay the end of a channel for a peer that it has announced (broker/quic_server.h). @return 0 or -errno */
typedef int (*relayed_take_function)(struct relay_server *server, uint64_t number, struct relay_object *link,
                                     int channel_fd);

struct relayed_options {
        struct asker asker;
        enum policy_verb verb;                /* POLICY_CONNECT or POLICY_ACCEPT */
        const struct nb_socket_address *peer; /* of the socket; of a connect through a proxy: where it leads in the end,
                                                 family 0 where the proxy resolves; copied */
        const struct proxy_way *way;          /* NULL: there is no proxy; copied */
        const char *name;                     /* that was granted, with its port; NULL for an address; copied */
        uint64_t timeout_ms;
        relayed_function function;
        void *data;
        struct relay_server *server; /* of QUIC, that has announced the peer: there is no socket; NULL otherwise */
        uint64_t number;             /* of the peer at it */
        relayed_take_function take;  /* orders it */
};

/** Whether one that was accepted goes through a relay: as policy_needs_relay(), but a header is expected of some peers only. */
bool relayed_is_needed_for(const struct policy_protocol *policy, const struct nb_socket_address *peer, bool is_sealed);

/**
 * Starts one.
 * @param fd  the connected socket; consumed; -1 with `server`
 * @return 0 with an object owned by the caller, who asks relayed_take() next, unless it is of QUIC, which always has a handshake; -errno: nothing will be told
 */
int relayed_start(const struct relayed_options *options, int fd, struct relayed **ret);

/**
 * Takes the result of one that was just started and has nothing to wait for; it is to be freed when nothing of the result is needed any more.
 * @param ret  as the function would get it
 * @return whether there is one; if not, the function will be called
 */
bool relayed_take(struct relayed *relayed, struct relayed_result *ret);

/** Whether the policy of this moment grants it. */
bool relayed_is_granted(const struct relayed *relayed);

/** Ends it if it is not Ready; the function is not called any more. Takes NULL. @return NULL */
struct relayed *relayed_free(struct relayed *relayed);

#endif
