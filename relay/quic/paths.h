/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths of a connection, which the broker judges one by one.
 *
 * Of a server: its client may turn up at another address, moved on purpose or by a NAT. What comes from there is dropped, and the broker is asked (NewPath): the
 * library sees a packet of an address, and answers there, only after that was allowed. The client repeats itself meanwhile. Anybody who has seen an ID of the
 * connection can send from any address, so little is asked: about one path at a time, so many in a minute, and not again about the one that was refused last.
 *
 * Of a client: its server may ask to be reached at another address (preferred_address). The handshake is not kept waiting for that: the broker is asked afterwards,
 * and what it allows comes with a socket of its own. The old one stays until the new path is validated, and what is still under way there has come.
 */
#ifndef NB_RELAY_QUIC_PATHS_H
#define NB_RELAY_QUIC_PATHS_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/relay_frame.h"
#include "relay/quic/packet.h"

struct quic_connection;
struct quic_socket;

/** Addresses of a client's that it may be at without being judged again. */
#define QUIC_PATHS_ALLOWED_MAX 4

/** All zeros but for what quic_paths_init() sets. */
struct quic_paths {
        union quic_address allowed[QUIC_PATHS_ALLOWED_MAX]; /* the one that was used last is the first */
        unsigned n_allowed;
        union quic_address refused; /* the last; family 0: none */
        struct quic_path asked;     /* about which the broker was asked; family 0: it was not */
        uint32_t n_asked;           /* also the number of the last */
        uint32_t n_taken;
        unsigned n_in_minute;
        uint64_t minute;   /* when it began, by quic_library_now() */
        bool refused_last; /* what came last was from where it may not */
        bool is_preferred; /* what was asked about */
        bool is_announced; /* `preferred` came, and the broker was not asked yet */
        union quic_address preferred;
        struct quic_socket *other; /* of a client: to where it moves, or is not any more; owned; NULL: none */
        bool has_moved;            /* and it is the old one */
        bool has_failed;           /* and it is no use */
        uint64_t other_period;     /* how long what was sent to the old one may be on its way */
        uint64_t other_until;      /* when the old one is not needed any more */
};

/** Begins with the path that was judged before there was a connection. */
void quic_paths_init(struct quic_paths *paths, const union quic_address *peer);

void quic_paths_deinit(struct quic_connection *connection);

/** Whether the library may have a packet that came by that path. If not, the broker may have been asked. */
bool quic_paths_admit(struct quic_connection *connection, const struct quic_packet *packet);

/** What is to be done outside of the library's callbacks. Only when the connection is open. */
void quic_paths_run(struct quic_connection *connection, uint64_t now);

/** When quic_paths_run() has something to do by itself; UINT64_MAX: never. */
uint64_t quic_paths_next(const struct quic_connection *connection);

/** The broker is another one, which counts anew: what the one before was asked about, it is asked about. */
void quic_paths_ask_again(struct quic_connection *connection);

/** The answer to NewPath. @param fd  as quic_take_path() @return as quic_take_path() */
int quic_paths_take(struct quic_connection *connection, const Nb__Relay__TakePath *take, int fd);

/** Which socket a path's packets are to be sent by. Borrowed. */
struct quic_socket *quic_paths_socket(const struct quic_connection *connection, const struct quic_path *path);

/** Whether an error is what ICMP can say, which anybody can send who guesses a port; or of a route that is gone, and may come back. @param error  a positive errno */
bool quic_paths_is_hearsay(int error);

/** The client's socket is no use, or so the kernel has heard. @param error  a positive errno @return whether it was only the other one */
bool quic_paths_socket_failed(struct quic_connection *connection, const struct quic_socket *socket, int error);

/* ---- callbacks of the library ---- */

int quic_paths_on_validated(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path, const ngtcp2_path *old_path,
                            ngtcp2_path_validation_result result, void *user_data);
int quic_paths_on_preferred(ngtcp2_conn *conn, ngtcp2_path *ret, const ngtcp2_preferred_addr *preferred,
                            void *user_data);

#endif
