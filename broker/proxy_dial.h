/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connect through a policy's proxies: the first of them is dialled, and nobody else. What it and the next are asked for is the relay's to say
 * (broker/relayed.h), on the way that is found here.
 *
 *      looking up the second proxy, if it has a name ──► looking up the first ──► dialling the first ──► done
 *
 * The operator names proxies, so they need no grant; but the broker's own sockets are no proxies (broker/own.h). What a proxy is asked for is the
 * address that was judged, one only; or the granted name, where the policy has the last proxy resolve it.
 */
#ifndef NB_BROKER_PROXY_DIAL_H
#define NB_BROKER_PROXY_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/socket_address.h"
#include "policy/policy.h"

struct grant;
struct proxy_dial;

/** The longest target: a name with its port, or an address. */
#define PROXY_TARGET_MAX (POLICY_HOST_NAME_MAX + sizeof(":65535"))

/** The way, when it is known. */
struct proxy_way {
        struct nb_socket_address first;                  /* whom the socket is connected to */
        char targets[POLICY_HOPS_MAX][PROXY_TARGET_MAX]; /* what each proxy is to be asked for */
        size_t n;
};

struct proxy_result {
        int fd;                        /* connected to the first proxy, owned by whoever is told; -1 on failure */
        struct nb_socket_address peer; /* as in the options */
        char name[PROXY_TARGET_MAX];   /* likewise; empty: none */
        struct proxy_way way;
        char reason[512]; /* why not, printable; empty where an errno says it */
};

/**
 * Called once, from the loop: the proxy_dial is to be freed in it.
 * @param r       0 or -errno
 * @param result  borrowed
 */
typedef void (*proxy_dial_function)(void *data, int r, const struct proxy_result *result);

struct proxy_dial_options {
        struct grant *grant; /* whose policy has the proxies; borrowed */
        const struct nb_socket_address
                *peer;    /* where it leads in the end, judged; family 0: a proxy resolves `name`; copied */
        const char *name; /* that was granted, with its port; NULL for an address; copied */
        uint64_t timeout_ms;
        proxy_dial_function function;
        void *data;
};

/**
 * Dials.
 * @param ret_result  filled in when it is over already
 * @param ret_dial    otherwise, owned by the caller; NULL if it is over
 * @return 0; -EACCES for a proxy that is the broker itself; -EHOSTUNREACH for one whose name leads nowhere; -errno of connect(2)
 */
int proxy_dial_start(const struct proxy_dial_options *options, struct proxy_result *ret_result,
                     struct proxy_dial **ret_dial);

/** Whether the policy of this moment grants what it leads to. */
bool proxy_dial_is_granted(const struct proxy_dial *dial);

/** Gives up. Takes NULL. @return NULL */
struct proxy_dial *proxy_dial_free(struct proxy_dial *dial);

#endif
