/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making one connection to a host that has several addresses: happy eyeballs (RFC 8305).
 *
 * Addresses are dialled in turn, the families alternating. The next one is dialled when the one before has failed, or after 250 ms without an
 * answer; the first that connects wins, and the others are closed, here in the broker: nobody else sees them.
 *
 * Of QUIC connect(2) of a socket of UDP says nothing: there the handshake is what is waited for (`shake`), and what fails with an answer of somebody
 * says more than what fails without any, whichever was last.
 *
 * Attempts at the same time are connections being made, and charged as such (ACCOUNT_CONNECTS), but for one, which whoever started the dialer is
 * charged for. Where there is no room, the next address waits until the one before has failed.
 */
#ifndef NB_BROKER_DIALER_H
#define NB_BROKER_DIALER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "broker/relayed.h"

/** No more addresses are dialled. */
#define DIALER_ADDRESSES_MAX 16

/** RFC 8305 section 5, "Connection Attempt Delay". */
#define DIALER_DELAY_MS 250

struct account;
struct broker;
struct dialer;
struct watch_set;

/** Makes the socket to dial an address with. @return owned by the dialer; -errno, which counts as this address's failure */
typedef int (*dialer_socket_function)(void *data, const struct nb_address *address);

/**
 * Begins a handshake over a socket that is connected, by relayed_start().
 * @param fd        consumed
 * @param function  is told of it, with `attempt`
 * @return 0 with what is owned by the dialer; -errno
 */
typedef int (*dialer_shake_function)(void *data, const struct nb_address *address, int fd, uint64_t timeout_ms,
                                     relayed_function function, void *attempt, struct relayed **ret);

struct dialer_result {
        int error; /* 0; or a positive errno, that of the last failure */
        int fd;    /* the connected socket, owned by who is told; -1 with an error, and with `relayed` */
        const struct nb_address *address; /* that is connected, or has failed; borrowed from the dialer */
        struct relayed_result *relayed;   /* of a handshake; borrowed, but for its descriptors; NULL without */
        const char *reason; /* of a handshake that failed and is recorded; borrowed; NULL: the errno says it */
};

/** Called once, from the loop: the dialer is to be freed in it, when nothing of the result is needed any more. */
typedef void (*dialer_function)(void *data, const struct dialer_result *result);

struct dialer_options {
        struct broker *broker;              /* borrowed */
        struct watch_set *watches;          /* borrowed: sockets are watched there */
        struct account *account;            /* borrowed */
        const struct nb_address *addresses; /* copied; at least one */
        size_t n_addresses;
        uint64_t timeout_ms; /* of the whole, until ETIMEDOUT */
        dialer_socket_function make_socket;
        dialer_shake_function shake; /* NULL: there is no handshake */
        dialer_function function;
        void *data; /* of all */
};

/**
 * Dials. When the kernel has a result at once, there is no dialer to wait with.
 * @param ret_fd      the connected socket, owned by the caller, if it is there already
 * @param ret_address  filled in with it, and on failure: the last that was dialled
 * @param ret_dialer  otherwise, owned by the caller
 * @return 0; -errno of the last failure
 */
int dialer_start(const struct dialer_options *options, int *ret_fd, struct nb_address *ret_address,
                 struct dialer **ret_dialer);

/** @return whether `function` says yes to all addresses that are being dialled at the moment. */
bool dialer_all(const struct dialer *dialer, bool (*function)(void *data, const struct nb_address *address),
                void *data);

/** Gives up. Takes NULL. @return NULL */
struct dialer *dialer_free(struct dialer *dialer);

#endif
