/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bound socket of datagrams that the tenant's relay serves: what servers of datagrams (broker/datagram_server.h) and of QUIC
 * (broker/quic_server.h) have in common.
 *
 * The socket stays here, and the relay has a duplicate of it. The relay announces peers, as far as it has credit; each is judged as one that was
 * accepted, and taken or refused by its owner, at once. What the relay says of them is a stranger's word.
 *
 *      serving ──the relay is gone──► waiting ──another relay──► serving
 *
 * When the relay is gone so is all that its peers had of it; the next relay serves the same socket. When the broker was started again, the relay goes on with the
 * peers that it has, and announces who waits as soon as the session has said Listen again.
 */
#ifndef NB_BROKER_RELAY_SERVER_H
#define NB_BROKER_RELAY_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/socket_address.h"
#include "broker/relay.h"

struct asker;
struct control;
struct deadline;
struct relay_server;

/** A peer that is to be taken. */
struct relay_peer {
        uint64_t number; /* the relay's, of this server */
        struct nb_socket_address address;
        struct nb_socket_address local; /* which of our addresses it has sent to */
};

struct relay_server_ops {
        /** What there is not without a relay, for a record: "datagram servers". */
        const char *what;
        /** Orders Serve of a relay that the object is attached to. @return 0 or -errno */
        int (*serve)(struct relay_server *server);
        /** @return how many peers may be announced beside those that were */
        uint64_t (*room)(struct relay_server *server);
        /**
         * Takes a peer that the policy allows: it orders TakePeer.
         * @return 0; -errno: it was not, and the peer is refused by the caller
         */
        int (*take)(struct relay_server *server, const struct relay_peer *peer);
        /** A pause is over, for who has something to catch up on; it may end the control. NULL: nobody has */
        void (*resumed)(struct relay_server *server);
        /** What the relay tells of the server itself. As of struct relay_object_ops; NULL: nothing */
        int (*facts)(struct relay_server *server, const Nb__Relay__QuicServerFacts *facts);
};

/** Embedded in its owner. */
struct relay_server {
        struct relay_object object;
        const struct relay_server_ops *ops;
        struct control *control; /* borrowed */
        int fd;                  /* the bound socket; owned */
        uint64_t announced;      /* peers, by the relay of this moment */
        uint64_t granted;        /* how many it may announce in total */
        struct deadline *pause;  /* nobody new meanwhile */
        struct deadline *retry;  /* until a relay is looked for again */
        uint64_t pause_ms;       /* how long the next pause is */
        uint64_t retry_ms;
};

/** Peers that may wait at the relay for our word, which it gets within a turn of the loop. */
#define RELAY_SERVER_WAITING_MAX 256

/**
 * Lets everybody in at a bound socket, to which nobody is let before (broker/datagram.h), and has it served.
 * @param fd  consumed on success only
 * @return 0; -EOPNOTSUPP without a relay, which is recorded; -EAGAIN while one that has crashed is not started again yet; -EKEYREJECTED for
 *         certificates that cannot be used; another -errno
 */
int relay_server_start(struct relay_server *server, const struct relay_server_ops *ops, struct control *control,
                       int fd);

/**
 * Takes back a server that a relay goes on serving, which was taken over (relay_restore()). Nobody is announced before there is credit.
 * @param fd      consumed on success only
 * @param relay   as relay_kept_number() @param number  of the server there
 * @return 0; -ENOENT: that relay has not come back; another -errno
 */
int relay_server_restore(struct relay_server *server, const struct relay_server_ops *ops, struct control *control,
                         int fd, uint64_t relay, uint64_t number);

/** Where it is served, for relay_server_restore(). @param ret_number  0 with a result of 0 @return as relay_kept_number() */
uint64_t relay_server_kept_number(const struct relay_server *server, uint64_t *ret_number);

/** Stops serving; peers that were taken live on. Harmless where it has stopped. */
void relay_server_stop(struct relay_server *server);

/** Gives the relay what credit there is room for. */
void relay_server_give_credit(struct relay_server *server);

/** Gives no credit for a moment, for want of something that only others can give back. */
void relay_server_pause(struct relay_server *server);

/** Who asks when its peers are judged. */
struct asker relay_server_asker(const struct relay_server *server);

#endif
