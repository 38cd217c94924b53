/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of the benchmark share.
 *
 * Every program is started once by bench/run and then asked for rounds: it says "ready", with an address if it
 * listens, and reads two numbers from each line of standard input. It does the thing as often as the first says to get
 * going, then as often as the second says, and answers with the nanoseconds that the latter took. So start-up is never
 * measured, and the variants take turns within one run.
 *
 * They measure and are not a product: whatever goes wrong ends the program with a message and status 1.
 */
#ifndef NB_BENCH_COMMON_H
#define NB_BENCH_COMMON_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/** Writes "program: what: error" and exits. @param error  an errno, or 0 for none */
_Noreturn void bench_die(const char *what, int error);

/** Ends this process when bench/run ends, and raises the limit of descriptors to what is allowed. */
void bench_init(void);

/** @return the monotonic clock, in nanoseconds. */
uint64_t bench_now(void);

/** Parses a decimal number up to `max`, or dies. */
uint64_t bench_number(const char *text, uint64_t max);

/** Parses "192.0.2.1:80", or dies. */
void bench_address(const char *text, struct sockaddr_in *ret);

/** One round: does it `count` times. */
typedef void (*bench_round_function)(void *data, uint64_t count);

/** Tells bench/run that rounds may come. @param address  where this program listens; NULL: nowhere */
void bench_ready(const char *address);

/** Does rounds until standard input ends. @param data  borrowed, handed to `round` */
void bench_rounds(bench_round_function round, void *data);

/** @return a TCP socket connected to `address` by plain calls, owned by the caller. */
int bench_connect(const struct sockaddr_in *address);

/**
 * Listens on a free port of 127.0.0.1, with the largest backlog.
 * @param ret  where it listens
 * @return the socket, blocking, owned by the caller
 */
int bench_listen(struct sockaddr_in *ret);

/** Writes `address` as text. @param buffer  of at least 22 bytes */
void bench_address_format(const struct sockaddr_in *address, char *buffer, size_t size);

/**
 * Closes a TCP socket by a reset: all variants close like this, so that no port is left in TIME_WAIT and none runs out.
 * @param fd  consumed
 */
void bench_reset(int fd);

/**
 * Tells the sink how many bytes will come, sends them in writes of `chunk`, and waits until the sink has read them all.
 * @param fd  borrowed; blocking or not
 */
void bench_upload(int fd, uint64_t total, size_t chunk);

/**
 * The other side of bench_upload(): reads uploads and answers each with one byte, until the connection ends.
 * @param fd  consumed; blocking
 */
void bench_discard(int fd);

/**
 * Sends `size` bytes and waits until as many have come back, `count` times.
 * @param fd    borrowed; blocking
 * @param size  at most BENCH_PING_MAX
 */
void bench_ping(int fd, uint64_t count, size_t size);

/** Has a TCP socket, borrowed, send small pieces at once. */
void bench_no_delay(int fd);

/** Makes reads and writes of a descriptor wait, borrowed. */
void bench_block(int fd);

/** The largest `size` of bench_ping(), in bytes. */
#define BENCH_PING_MAX 4096u

/** The largest `chunk`, in bytes. */
#define BENCH_CHUNK_MAX ((size_t)1024 * 1024)

/** What the sink is told in front of the bytes: how many, in network order. */
struct bench_upload_header {
        uint32_t high;
        uint32_t low;
};

#endif
