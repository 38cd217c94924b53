/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes part in a soak: processes that have traffic until they are killed, and tell of themselves in memory that all share.
 *
 *      echo      a peer that nobody here serves: TCP and UDP
 *      server    a host that listens by the broker, in one of the ways of enum soak_server, and echoes whatever comes
 *      client    a host that calls in all ways of enum soak_route, in random order, and keeps some of what it gets for later words
 *      peer      calls what the servers have, without the broker
 *
 * A party ends where it meets what a host cannot mend: its session has been revoked, its relay has died under a listener. Whoever has started it starts it
 * again. So nobody's life is part of what the soak expects; that words go on to come back in every way is.
 */
#ifndef NB_TESTS_SOAK_PARTY_H
#define NB_TESTS_SOAK_PARTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOAK_TENANTS 3

/** In which ways there is traffic. */
enum soak_route {
        SOAK_DIRECT,           /* to the echo, the socket itself */
        SOAK_RELAYED,          /* to the echo, by a relay */
        SOAK_NAMED,            /* to the echo, by its name */
        SOAK_DATAGRAM,         /* to the echo, UDP */
        SOAK_DATAGRAM_RELAYED, /* the same by a relay */
        SOAK_GUESTS,           /* to a server of any tenant */
        SOAK_GUESTS_RELAYED,   /* both by relays */
        SOAK_TLS,              /* the same with TLS */
        SOAK_QUIC,             /* a stream of a connection */
        SOAK_PEER,             /* from outside to a server */
        SOAK_PEER_RELAYED,     /* to one behind a relay */
        SOAK_PEER_DATAGRAM,    /* to one of datagrams, behind a relay */
        SOAK_ROUTES,
};

/** The first that is not a client's. */
#define SOAK_CLIENT_ROUTES SOAK_PEER

/** How a server listens. */
enum soak_server {
        SOAK_SERVER_DIRECT,
        SOAK_SERVER_RELAYED,
        SOAK_SERVER_DATAGRAM,
        SOAK_SERVER_TLS,
        SOAK_SERVER_QUIC,
        SOAK_SERVERS,
};

/** What was done on a route. */
struct soak_tally {
        _Atomic uint64_t done;   /* words that came back */
        _Atomic uint64_t failed; /* calls and words that did not succeed: there are kills */
        _Atomic int error;       /* of the last that failed: an errno */
};

/** What all parties share; zero at the beginning. */
struct soak_shared {
        struct soak_tally routes[SOAK_ROUTES];
        _Atomic uint64_t wrong;                             /* words that came back as others, which must never be */
        _Atomic uint16_t ports[SOAK_TENANTS][SOAK_SERVERS]; /* 0: nobody listens yet */
        _Atomic uint64_t begun;                             /* parties that ever were */
};

/** What a party is made of. */
struct soak_party {
        struct soak_shared *shared;
        const char *socket_path; /* of the broker */
        const char *tenant;      /* of a server or a client */
        const char *token;       /* of a client; NULL: none */
        const char *echo_name;   /* the echo's host, as a name */
        uint16_t echo_port;      /* of TCP */
        uint16_t echo_udp_port;
        int echo_fd; /* for the echo: its sockets, borrowed */
        int echo_udp_fd;
        size_t tenant_index;
        enum soak_server server; /* for a server */
        uint64_t seed;           /* not 0 */
};

/** Each runs until it is killed, or returns where it cannot go on. @param data  a struct soak_party, borrowed */
void soak_echo(void *data);
void soak_echo_datagrams(void *data);
void soak_serve(void *data);
void soak_call(void *data);
void soak_knock(void *data);

/** @return what a route is called in reports */
const char *soak_route_name(enum soak_route route);

#endif
