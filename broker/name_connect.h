/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connect to a host name: looked up, screened, dialled.
 *
 *      looking up ──answer──► screening (at once) ──addresses that pass──► dialling ──► done
 *          └──no such name, no answer──► failed         └──none──► refused
 *
 * The policy has granted the name before anything is asked of DNS. The name is looked up once; each address that comes out is judged, and
 * what was judged is what is dialled, nothing else and by no other look-up. What a reload changes meanwhile is asked again before an
 * address is dialled. ConnectTimeout= bounds the whole, and the look-up has half of it at the most.
 */
#ifndef NB_BROKER_NAME_CONNECT_H
#define NB_BROKER_NAME_CONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/decision.h"
#include "policy/policy.h"

struct name_connect;

/** What it came to. */
struct name_result {
        int fd; /* the connected socket, owned by whoever is told; -1 on failure, with `no_dial`, and with `relayed` */
        struct nb_socket_address
                peer; /* that is connected, or has failed last, or is to be asked of a proxy; family 0 if there is none */
        struct relayed_result
                *relayed; /* of QUIC: what its handshake came to; borrowed, but for its descriptors; NULL otherwise */
        bool recorded;    /* of QUIC: a handshake failed, which is in the audit already */
        bool limited; /* it is a limit of the tenant's or ours that stands in the way, or memory: for the operator */
        char name[POLICY_HOST_NAME_MAX + sizeof(":65535")]; /* that was asked for, with its port */
        char reason[512]; /* why not, printable; empty where an errno of connect(2) says it */
};

/** Makes the socket for an address. @return owned by the caller, or -errno */
typedef int (*name_socket_function)(void *data, sa_family_t family);

/**
 * Called once, from the loop: the name_connect is to be freed in it, when nothing of the result is needed any more.
 * @param r       0, or -errno as name_connect_start()
 * @param result  borrowed
 */
typedef void (*name_function)(void *data, int r, const struct name_result *result);

struct name_options {
        struct asker asker;                  /* the session, grant and type of socket; borrowed */
        const struct policy_host_name *name; /* granted by decide_name(); copied */
        enum policy_family family;           /* which addresses the socket could reach; an IP family */
        bool is_quic;                        /* sockets are those of UDP, and a relay's handshake decides */
        bool one_address;    /* only the first that passes is dialled, for the control has one port and so one socket */
        bool no_dial;        /* a proxy is to be asked: the first address that passes is all that is wanted */
        uint64_t timeout_ms; /* ConnectTimeout= */
        name_socket_function make_socket;
        name_function function;
        void *data; /* of both */
};

/**
 * Connects. Where name and connection are there at once, there is nothing to wait with.
 * @param ret_result   filled in when it is over already
 * @param ret_connect  otherwise, owned by the caller; NULL if it is over
 * @return 0; -EACCES where no address passed; -EHOSTUNREACH for no such name, or one without addresses of the family; -EAGAIN where
 *         the name servers fail; -ETIMEDOUT; the errno of the last connect(2), or of a limit
 */
int name_connect_start(const struct name_options *options, struct name_result *ret_result,
                       struct name_connect **ret_connect);

/** Whether the policy of this moment grants the name, and the addresses that are being dialled. */
bool name_connect_is_granted(const struct name_connect *connect);

/** Gives up. Takes NULL. @return NULL */
struct name_connect *name_connect_free(struct name_connect *connect);

#endif
