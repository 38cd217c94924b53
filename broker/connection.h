/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that were handed out, without a duplicate of their descriptors: that would hold back the FIN.
 *
 * A connection is registered, and charged to its tenant, before its descriptor leaves the broker; its cookie (SO_COOKIE) is its identity. That
 * it is gone, the kernel says: sock_diag's destroy events for TCP and UDP, a dump of all sockets after an overrun, and for Unix sockets a dump
 * from time to time and before a tenant is refused for too many. Nothing that the holder could fake ends an entry.
 *
 * A client's connection of QUIC has a socket of UDP at its relay, and is told of by that like others: a relay that was taken over cannot have it left out
 * of the account. A server's has none, since all share the server's socket; and a client that has moved to a server's preferred address has two,
 * neither of which is its end. The second, by which it goes on, is the one that is revoked; the first is closed by its relay. These are there until
 * their relay says that they have ended, or is gone itself. So a relay that was taken over can have them leave the account early, and go on talking by
 * a socket that it has anyway; what it has for sure goes with its process. A host can do nothing to an entry: closing the channel and its streams asks
 * the relay to end it, and that is reported.
 *
 * What a policy no longer grants, or an operator revokes, is shut down in the holder's hands by netbroker-helper(8) (SOCK_DESTROY), if the
 * broker has been given one. An entry outlives its session and control: they may end while the stream goes on.
 */
#ifndef NB_BROKER_CONNECTION_H
#define NB_BROKER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/socket_address.h"
#include "broker/relay.h"
#include "policy/policy.h"

struct broker;
struct connection_shelf;
struct grant;
struct narrowings;
struct nb_sock_diag_id;
struct quic_entry;
struct relayed_facts;
struct session;
struct session_token;
struct tenant;

/** One of them. Read only for others than broker/connection.c. */
struct connection {
        struct nb_list link;           /* in its tenant */
        struct tenant *tenant;         /* borrowed: it lives as long as it has connections */
        struct grant *grant;           /* borrowed from the tenant */
        struct narrowings *narrowings; /* of its control, a reference; NULL: none */
        struct session_token *token;   /* of its session, a reference; NULL: none */
        uint64_t id;                   /* counts from 1 over the broker's life */
        uint64_t cookie;               /* the kernel's, of the socket */
        uint64_t session_id;
        uint64_t since_ms;     /* of the wall clock, since 1970 */
        enum policy_verb verb; /* POLICY_CONNECT or POLICY_ACCEPT */
        enum policy_socket_type type;
        struct nb_socket_address local, peer;
        struct nb_socket_address
                via; /* whom the socket has, where that is not `peer`: a proxy, or who sent a PROXY header; otherwise
                                         family 0 */
        struct nb_socket_address
                bind; /* of its control, as it was judged; family 0 for an open one, of which nothing was */
        char *name;   /* that was asked for, `api.example.com:443`; NULL for an address */
        char *label;  /* of the session */

        bool is_sealed;              /* its socket was made behind the seal (broker/seal.h) */
        bool was_relayed;            /* that its link has ended does not make it one without a relay */
        bool has_tls;                /* as its policy wanted when it was made */
        bool has_proxy;              /* likewise */
        bool is_pair;                /* what is handed out is an end of a pair: its socket stays with the relay */
        struct relay_object relayed; /* at its tenant's relay, if it goes through one: relayed.relay is not NULL */
        struct relayed_facts *facts; /* of TLS and proxies, owned; NULL: none (broker/relayed_facts.h) */
        struct quic_entry *quic;     /* owned; NULL: it is none of QUIC (broker/quic_entry.h) */
        bool ends_by_report;         /* no socket tells of its end, but its relay */
        bool was_ended;              /* its relay was ordered to end it */

        /* For broker/connection*.c only. */
        uint32_t record;                   /* broker/connection_record.h: its slot; 0: none */
        uint32_t record_version;           /* how often it was written anew */
        size_t record_extra;               /* bytes that are charged for it */
        struct connection *next_in_bucket; /* broker/connection_table.h */
        bool in_table;                     /* by its cookie: it has a socket that can be revoked */
        struct nb_list on_shelf;
        struct connection_shelf *shelf; /* broker/connection_files.h */
        bool held;                      /* broker/connection_watch.h: its file was found by the sweep that goes on */
        bool revoked;                   /* is to stay dead */
        struct nb_list in_closing;
        uint64_t closed_in_dump;
        uint64_t seen_in_dump;
        struct nb_list in_revocation; /* broker/helper_client.h */
        uint64_t revocation_serial;
};

/** What is known of a connection at its beginning. All borrowed; what is named last is kept for operators. */
struct connection_facts {
        struct session *session;
        struct grant *grant;
        const struct narrowings *narrowings; /* NULL: none */
        const Nb__Relay__Security *security; /* for operators; NULL: no TLS */
        const struct policy_proxy *proxy;    /* likewise; NULL: none */
        enum policy_verb verb;
        enum policy_socket_type type;
        const struct nb_socket_address *peer;
        const struct nb_socket_address *bind; /* of its control; NULL for an open one */
        const struct nb_socket_address
                *pair_local; /* of the peer of a datagram server, whose pair does not know it; NULL: the socket knows */
        const char *name;    /* NULL for an address */
        const struct nb_socket_address *via; /* as of struct connection; NULL: `peer` */
        struct relay_object *relayed;        /* its number at a relay, which the connection takes over; NULL: none */
        bool is_quic;
};

/**
 * Registers a connection that is about to be handed out, and charges ACCOUNT_CONNECTIONS.
 * @param fd  borrowed; -1 for one that has no socket of its own: then its relay tells of its end, and `pair_local` is known
 * @return 0; -EMFILE when the tenant has as many as it may have (MaxConnections=); -ENOBUFS when the buffers of those that it has take more than
 *         they may (MaxBytesInFlight=); -ENOMEM or another -errno of the system
 */
int connection_register(const struct connection_facts *facts, int fd, struct connection **ret);

/**
 * Whether the tenant may have one more, for who is about to make one: so a connection is refused before it is dialled, and a peer waits before
 * it is accepted. connection_register() asks again.
 * @return 0, or -EMFILE or -ENOBUFS as connection_register()
 */
int connection_check_room(struct tenant *tenant);

/** The same, and what is refused counts as a denial (broker/quota.h). */
int connection_demand_room(struct tenant *tenant);

/** Whether what the guest has is a Unix socket, of which the kernel tells no events, and which nothing can shut down from outside. */
static inline bool connection_is_unix(const struct connection *connection) {
        return connection->is_pair || connection->local.family == AF_UNIX || connection->peer.family == AF_UNIX;
}

/** Whether its socket is one of IPv4, for certain: of what was revoked the address may be that by which a socket of IPv6 was found alive. */
static inline bool connection_is_ipv4(const struct connection *connection) {
        return connection->local.family == AF_INET && !connection->revoked;
}

/**
 * Notes that one of QUIC has another peer's address from now on.
 * @param fd  the socket for it, beside the one that the relay had, which is what a revocation shuts down from now on; borrowed; -1: it is a server's
 */
void connection_moved(struct connection *connection, const struct nb_socket_address *peer, int fd);

/** Takes one back that was not handed out after all. @param fd  as it was registered with; borrowed */
void connection_forget(struct connection *connection, int fd);

/** Ends the entry of a connection that is gone, and its tenant with it if that needs nothing any more. */
void connection_end(struct connection *connection);

/** Judges a tenant's connections by its new policy, after a reload; what is no longer granted is closed or kept, as `Existing=` says. */
void connection_judge_all(struct tenant *tenant);

/**
 * Shuts a connection down: in the holder's hands, or at its relay.
 * @return 0 when the relay or the helper was asked, or will be when it is there; for one that is in no relay, -EOPNOTSUPP without a helper, or
 *         for a Unix socket, which nothing can shut down from outside; -ENOMEM when its relay could not be told, and it lives on
 */
int connection_revoke(struct connection *connection);

/** Revokes one that was revoked, and that its holder has brought back to life. @param id  where it is now */
void connection_found_alive(struct connection *connection, const struct nb_sock_diag_id *id);

/** @return the connection of that id, or NULL. */
struct connection *connection_find(struct broker *broker, uint64_t id);

/** Frees one that is registered, or half made. For broker/connection_record.c. Takes NULL. @return NULL */
struct connection *connection_free(struct connection *connection);

/** What its relay tells of a connection is for. For broker/connection_record.c. */
extern const struct relay_object_ops connection_relayed_ops;

/** Forgets all of a tenant's, which is being freed. */
void connection_forget_all(struct tenant *tenant);

#endif
