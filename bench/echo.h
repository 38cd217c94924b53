/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving back what comes, on any number of connections: what stands behind all that is measured by round trips.
 */
#ifndef NB_BENCH_ECHO_H
#define NB_BENCH_ECHO_H

/** @return the next connection, whose ownership passes; -1 when there is none now */
typedef int (*bench_accept_function)(void *data);

/**
 * Takes connections and echoes what comes on them, until the process ends.
 * @param fd      borrowed: readable when there is a connection to take
 * @param accept  takes one without waiting
 */
_Noreturn void bench_echo(int fd, bench_accept_function accept, void *data);

#endif
