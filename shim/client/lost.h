/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control that was lost with its broker, and how it comes back without its guest's seeing it.
 *
 * A broker that is started again has the channels of its sessions, their protocols and all that is bound (PROTOCOL.md, Resumed). A control
 * that is bound to nothing is not kept: it holds nothing, and another one is as good. So when the channel of one ends by itself while its
 * protocol's goes on, its protocol asks for another, and what the control was asked to do is asked of that one.
 *
 *      PRESENT ──its channel ends──► LOST ──Open on the protocol's channel──► Opened: PRESENT, and its request is sent
 *                                      ▲                                └──► Refused: the call's error; the next call asks again
 *                                      └── as often as NB_LOST_MAX says without an answer, or another broker, in between
 *
 * A protocol asks for one at a time, in the order in which they were lost. Whoever reads the answer gives it to whom it is for; so whoever
 * polls needs no more than the protocol's channel.
 */
#ifndef NB_SHIM_CLIENT_LOST_H
#define NB_SHIM_CLIENT_LOST_H

#include <stdint.h>

#include "base/list.h"
#include "netbroker/client.h"

/**
 * How often a control is asked for without an answer to what it was wanted for, of one and the same broker, which ends whatever it makes. Brokers that are started again
 * say so on the protocol's channel (Resumed), and may be as many as there are.
 */
#define NB_LOST_MAX 32

/** What a protocol is to ask for, and what came of it. In its control. */
struct nb_lost {
        struct nb_list link; /* in its protocol's queue, until fd or error says what came of it */
        const char *address; /* borrowed from the control */
        enum nb_socket_type type;
        uint64_t rights_base;
        uint64_t rights_inheriting;
        int fd;    /* the new channel, owned; -1: none */
        int error; /* a negative errno: it was refused; 0 */
};

#endif
