/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/rights.h"

#include "proto/wasi.h"

#define UNDEMANDED (NB_RIGHT_POLL_FD_READWRITE | NB_RIGHT_SOCK_SHUTDOWN)
#define VERBS (NB_RIGHT_SOCK_ACCEPT | NB_RIGHT_SOCK_CONNECT | NB_RIGHT_SOCK_LISTEN)

bool nb_rights_narrow(uint64_t requested, uint64_t applicable, uint64_t available, uint64_t *ret) {
        uint64_t wanted = requested & applicable;

        if (wanted & ~available & ~UNDEMANDED)
                return false;
        *ret = wanted & available;
        return true;
}

uint64_t nb_rights_control_request(uint64_t requested, uint64_t available) {
        if (!(requested & (NB_RIGHT_FD_READ | NB_RIGHT_FD_WRITE)))
                return requested;
        if (requested & (NB_RIGHT_SOCK_LISTEN | NB_RIGHT_SOCK_BIND))
                return requested;
        return (requested & ~VERBS) | (available & VERBS);
}
