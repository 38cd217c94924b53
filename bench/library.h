/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of the benchmark do by libnetbroker. The tenant and its protocol are those of the policy that bench/run writes; what
 * the library refuses ends the program.
 */
#ifndef NB_BENCH_LIBRARY_H
#define NB_BENCH_LIBRARY_H

#include "netbroker/client.h"

/** Where a client and a server of the benchmark open their controls. */
#define BENCH_CLIENT_ADDRESS "0.0.0.0:0"
#define BENCH_SERVER_ADDRESS "127.0.0.1:0"

/** Dies where the library's `result` is negative. @param what  the function that gave it */
void bench_check(const char *what, int result);

/**
 * Opens a session of the tenant that BENCH_TENANT in the environment names, or else of the only one.
 * @param socket_path   of the broker
 * @param ret_protocol  its protocol, which lives as long as the session
 * @return owned by the caller
 */
struct nb_session *bench_session(const char *socket_path, struct nb_protocol **ret_protocol);

/** Opens a control that may do all that `protocol` passes on. @return owned by the caller */
struct nb_control *bench_control(struct nb_protocol *protocol, const char *address, enum nb_socket_type type);

/** The same, which listens for streams on a free port of 127.0.0.1. */
struct nb_control *bench_listener(struct nb_protocol *protocol);

/** Takes the stream out of a connection. @param connection  consumed @return the socket, not blocking, owned by the caller */
int bench_stream(struct nb_connection *connection);

/** Connects `control`, borrowed, to "127.0.0.1:PORT". @return the stream's socket, not blocking, owned by the caller */
int bench_connect_stream(struct nb_control *control, const char *address);

#endif
