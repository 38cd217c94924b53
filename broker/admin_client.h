/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the operator's socket: lines in, lines out, one request at a time.
 *
 *      reading ──a line──► answering ──the answer has been taken──► reading
 *         └──its end, or nothing for a while──► freed ◄──closed, or nothing taken for a while──┘
 *
 * Each turn of the loop reads once, or writes once and makes one slice of the answer: the loop is shared with the tenants. More requests may
 * be sent ahead; they stay in the socket until the one before is answered. A client that shuts down its end of writing still gets its answers.
 */
#ifndef NB_BROKER_ADMIN_CLIENT_H
#define NB_BROKER_ADMIN_CLIENT_H

#include <stdint.h>

struct admin;
struct admin_call;
struct admin_client;

/** Longest request, in bytes, without its newline. */
#define ADMIN_REQUEST_MAX 65536

/** Who has neither asked nor read for so long is closed; not who waits for a result. */
#define ADMIN_IDLE_MS 60000

/** Serves a connection; says that there are too many, where there are. @param fd  consumed */
void admin_client_new(struct admin *admin, int fd);

/** Ends all of them. */
void admin_client_free_all(struct admin *admin);

/**
 * Goes on with a call that waits. It may be over, and the client gone, when this returns.
 * @param progress  enum admin_progress, or -errno of an error that admin_fail() has put into words
 */
void admin_client_resume(struct admin_call *call, int progress);

/** Has lines sent that a call that goes on waiting has said. */
void admin_client_flush_soon(struct admin_call *call);

#endif
