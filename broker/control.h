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
 * The bind address is "open" when it is the unspecified one with port 0: then no socket exists before it is needed, and each
 * connection has a socket of its own. Otherwise the socket is bound at once, so that the errors are those of `open`.
 */
#ifndef NB_BROKER_CONTROL_H
#define NB_BROKER_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "broker/endpoint.h"

struct acceptor;
struct connector;
struct grant;

enum control_state {
        CONTROL_IDLE,
        CONTROL_CONNECTING,
        CONTROL_LISTENING,
};

struct control {
        struct endpoint endpoint;
        struct grant *grant; /* borrowed from the tenant */
        enum control_state state;
        uint64_t rights_base;
        struct nb_address bind; /* as asked; with the port that the kernel chose once there is a socket */
        bool bind_is_open;
        bool has_connected;          /* so it cannot listen any more */
        int socket_fd;               /* bound and not yet used; -1 if none */
        struct acceptor *acceptor;   /* while listening */
        struct connector *connector; /* while connecting */
};

/**
 * Handles Open on a protocol's channel: judges, binds, makes the control and answers there.
 * @return as endpoint_ops.request
 */
int control_open(struct endpoint *protocol, struct grant *grant, uint64_t rights_cap, const Nb__Open *open);

/** For the connector: it has a connection. @param fd consumed */
void control_connected(struct control *control, int fd, const struct nb_address *peer);

/** For the connector: it has failed. @param error a positive errno */
void control_connect_failed(struct control *control, int error);

#endif
