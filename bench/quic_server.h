/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's stand-in that serves streams of QUIC: any number of connections, each with any number of streams, in one thread.
 */
#ifndef NB_BENCH_QUIC_SERVER_H
#define NB_BENCH_QUIC_SERVER_H

#include <stdint.h>

#include "netbroker/client.h"

/** What becomes of a stream. */
enum quic_service {
        QUIC_ECHO, /* what comes goes back, in small pieces */
        QUIC_SUPPLY, /* its first eight bytes say, in network order, how many are wanted back behind the end of what else comes */
};

/** How long the header of QUIC_SUPPLY is, in bytes. */
#define QUIC_HEADER_SIZE 8u

/** Serves for ever. @param control  listens; borrowed */
_Noreturn void quic_server_run(struct nb_control *control, enum quic_service service);

#endif
