/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's socket: AF_UNIX SOCK_STREAM, a request a line and answers in lines, all of it JSON; proto/ADMIN.md specifies it.
 *
 * Who may ask is said by the permissions of the socket: a path that the broker makes is its user's alone, and that of systemd's socket is as
 * its unit says. Who has asked is told by the kernel (SO_PEERCRED) and stands in the audit, with every request.
 *
 *      admin ─ sockets
 *            └ clients (broker/admin_client.h) ─ a request at a time (broker/admin_call.h) ─ its verb (broker/admin_verbs.h)
 *
 * The operator is trusted, the operator's programs are not infallible: there are at most ADMIN_CLIENTS_MAX clients, a request has a greatest
 * length, one that neither asks nor reads is closed after a while, and an answer is made in slices, as its reader takes it, so that no
 * question about all that there is keeps tenants waiting.
 */
#ifndef NB_BROKER_ADMIN_H
#define NB_BROKER_ADMIN_H

#include <jansson.h>
#include <stdbool.h>

#include "base/list.h"

/** More clients at a time are told so, and closed. */
#define ADMIN_CLIENTS_MAX 16

struct broker;
struct kept_item;

/** Read only for others than broker/admin*.c. */
struct admin {
        struct broker *broker;
        struct nb_list sockets;
        struct nb_list clients;
        unsigned n_clients;
        struct nb_list watchers; /* clients that watch the audit (broker/admin_watch.h) */
};

/** @return owned by the caller, without a socket; NULL without memory */
struct admin *admin_new(struct broker *broker);

/** Ends all clients and sockets; removes the path. Takes NULL. @return NULL */
struct admin *admin_free(struct admin *admin);

/**
 * Makes a socket at `path`, mode 0600, and serves it. A socket there that nobody serves any more is replaced.
 * @return 0 or -errno; -EADDRINUSE when another process serves it, or another file is there
 */
int admin_listen_path(struct admin *admin, const char *path);

/**
 * Serves a socket again that an earlier broker has made; as listener_restore().
 * @param item  of kind Listener, the operator's
 * @return 0; -EBADMSG for an item that makes no sense; another -errno
 */
int admin_restore(struct admin *admin, struct kept_item *item);

/** Whether it serves a socket at `path` that a broker has made. */
bool admin_has_path(const struct admin *admin, const char *path);

/** Ends the sockets that a broker has made at another path than this, of an earlier command line. @param path  NULL: all */
void admin_end_other(struct admin *admin, const char *path);

/**
 * Serves a socket of systemd's.
 * @param fd  consumed, even on failure
 * @return 0 or -errno; -EINVAL when it is not a listening AF_UNIX SOCK_STREAM socket
 */
int admin_listen_fd(struct admin *admin, int fd);

#endif
