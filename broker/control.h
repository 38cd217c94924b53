/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control: a socket that listens, or makes connections.
 *
 *      idle ──Connect──► connecting ──Connected or Refused──► idle
 *        └──Listen──► listening (until its channel ends)
 *
 * | state      | Connect                        | Listen                       | Credit           |
 * |------------|--------------------------------|------------------------------|------------------|
 * | idle       | starts                         | starts; refused (isconn) if  | violation        |
 * |            |                                | the bound socket is in use   |                  |
 * | connecting | violation                      | violation                    | violation        |
 * | listening  | refused (inval)                | changes the backlog, raises  | raises the total |
 * |            |                                | the total, is answered again |                  |
 *
 * The bind address is "open" when it is the unspecified one with port 0, or the empty one of a Unix socket: then no socket exists before it is
 * needed, and each connection has a socket of its own. Otherwise the socket is bound at once, so that the errors are those of `open`
 * (broker/open.h); only that of a preopened listener waits for Listen.
 *
 * One of datagrams that listens is served by the tenant's relay (broker/datagram_server.h), one of QUIC likewise (broker/quic_server.h), others here
 * (broker/acceptor.h). The sockets of QUIC are those of UDP, whatever the control's type; a control stays what its protocol was when it was opened.
 *
 * A path that was bound is removed when the control ends, whatever became of its socket.
 *
 * After a restart of the broker (broker/restore.h) a control that listened is there again with its socket, and its peers wait in the kernel's backlog, until
 * the session has said Listen again: only that tells how many connections it has. Credit that comes before is ignored, for Listen says it too.
 *
 * Its files, and what they share, are told in broker/control_parts.h.
 */
#ifndef NB_BROKER_CONTROL_H
#define NB_BROKER_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/socket_address.h"
#include "broker/decision.h"
#include "broker/endpoint.h"
#include "policy/policy.h"

struct acceptor;
struct connector;
struct datagram_server;
struct grant;
struct name_connect;
struct narrowings;
struct proxy_dial;
struct quic_server;
struct relayed;
struct session_token;
struct unix_file;

enum control_state {
        CONTROL_IDLE,
        CONTROL_CONNECTING,
        CONTROL_LISTENING,
};

struct control {
        struct endpoint endpoint;
        struct grant *grant;           /* borrowed from the tenant */
        struct narrowings *narrowings; /* of its session's token and of its protocol, a reference; NULL: none */
        struct session_token *token;   /* of its session, a reference, for its quotas; NULL: none */
        enum control_state state;
        uint64_t connecting_since_ns; /* of uv_hrtime(), while connecting */
        enum policy_socket_type type;
        bool is_quic; /* `Family=quic` of its protocol */
        uint64_t rights_base;
        struct nb_socket_address bind; /* as asked; with the port that the kernel chose once there is a socket */
        bool bind_is_open;
        struct nb_socket_address destination; /* of a preopened connection; of others the family is 0 */
        bool has_connected;                   /* so it cannot listen any more */
        int socket_fd;                        /* bound and not yet used; -1 if none */
        struct unix_file *file;               /* that a bind has made */
        struct acceptor *acceptor;            /* while listening, of streams */
        struct datagram_server *server;       /* while listening, of datagrams */
        struct quic_server *quic_server;      /* while listening, of QUIC */
        struct connector *connector;          /* while connecting to an address */
        struct name_connect *naming;          /* while connecting to a name */
        struct proxy_dial *proxying;          /* while connecting to a proxy */
        uint64_t policy_generation;           /* by which the connect was begun */
        bool is_unsealed;         /* a broker before has made its socket, without the seal (broker/seal.h) */
        bool was_for_relay;       /* by that policy */
        struct relayed *relaying; /* while a relay shakes hands on what is connected */
        bool awaits_listen;       /* it listened when the broker before has ended, and Listen has not come again */
        uint32_t n_resumed;       /* sent since the last Listen */
};

/** What a control is to be. */
struct control_options {
        struct grant *grant;                 /* borrowed, outlives the control */
        const struct narrowings *narrowings; /* borrowed; NULL: none */
        enum policy_socket_type type;
        struct nb_socket_address bind;        /* judged already, but for an open one */
        bool bind_later;                      /* at Listen, and not now */
        uint64_t delegation;                  /* of the protocol that it comes of */
        struct nb_socket_address destination; /* the one that it is made for; family 0 for any */
        uint64_t rights_base;
};

/**
 * Makes a control of a session, bound if its address asks for that.
 * @param ret_fd  the other end of its channel, owned by the caller
 * @return 0; -EMFILE when the tenant has as many as it may have; another -errno
 */
int control_new(struct session *session, const struct control_options *options, struct control **ret, int *ret_fd);

/** Whether the seal is proven, and holds for the control's socket and for what is accepted of it. */
bool control_is_sealed(const struct control *control);

/** Who asks where the control asks, for decisions and records. Borrowed from the control. */
struct asker control_asker(const struct control *control);

/**
 * Makes a control of what an earlier broker has left, without judging it.
 * @param item  of kind Control; what is taken of it is taken on success only
 * @return 0; -EPIPE: nobody holds it any more; -EBADMSG for an item that makes no sense; another -errno
 */
int control_restore(struct session *session, struct kept_item *item);

/** Leaves the control with the keeper as it is now, if it is one that is kept; to be called when its sockets have changed. */
void control_keep(struct control *control);

/**
 * What a socket of the control is bound to, where getsockname(2) would tell something else: for a Unix socket.
 * @return `buffer`, which is empty where the socket tells it, or has no name
 */
const char *control_local_text(const struct control *control, char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]);

/**
 * The same of a connection that goes through a relay: the pair's end that the guest has does not know what the socket is bound to.
 * @param local  what that is
 */
const char *control_relayed_local_text(const struct control *control, const struct nb_socket_address *local,
                                       char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]);

#endif
