/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket on which sessions arrive: made by the broker at a path, given by systemd, or a tenant's own (`Socket=`).
 *
 * To a general one anyone may connect; who it is decides the kernel's record of the peer, and what it may do the policy
 * (broker/identity.h). Who connects to one whose path is a tenant's `Socket=` at that moment is that tenant's.
 *
 * What the broker has made is left with the keeper (broker/keep.h), so that who connects while it is started again waits in the backlog, and is not
 * refused. systemd keeps its own.
 */
#ifndef NB_BROKER_LISTENER_H
#define NB_BROKER_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "policy/policy.h"

struct broker;
struct kept_item;
struct listener;

/** Whose a socket is that the broker makes for a tenant. */
struct listener_owner {
        const char *tenant; /* borrowed; NULL: a general socket */
        uid_t uid;
        gid_t gid;
        mode_t mode;
};

/**
 * Makes a socket at `path` and serves it. A socket there that nobody serves any more is replaced; one that is served, or another
 * kind of file, is not.
 * @return 0 or -errno; -EADDRINUSE when another process serves it
 */
int listener_new_path(struct broker *broker, const char *path);

/**
 * Serves a socket that is listening already.
 * @param fd  consumed, even on failure
 * @return 0 or -errno; -EINVAL when it is not a listening AF_UNIX SOCK_SEQPACKET socket
 */
int listener_new_fd(struct broker *broker, int fd);

/**
 * Makes a tenant's own socket, with owner and mode, under a name beside `path`. Nobody is accepted before listener_start().
 * @param path  absolute, and free (unix_path_check_free()) or one of ours
 * @param ret   owned by the caller
 * @return 0 or -errno, as unix_path_bind() and unix_file_give()
 */
int listener_prepare(struct broker *broker, const char *path, const struct listener_owner *owner,
                     struct listener **ret);

/** Gives a prepared socket its path, in place of what is there, and serves it: it is the broker's now. @return 0; -errno, and it stays the caller's */
int listener_start(struct listener *listener);

/** @return the listener of a path, or NULL. */
struct listener *listener_find(const struct broker *broker, const char *path);

/** Whether the broker made it; systemd's it did not. */
bool listener_is_ours(const struct listener *listener);

/** Whether the broker made it at --socket. */
bool listener_is_general(const struct listener *listener);

/** @return its path, borrowed; NULL: it has none. */
const char *listener_path(const struct listener *listener);

/** Whether it was made for that owner. */
bool listener_is_of(const struct listener *listener, const struct listener_owner *owner);

/** Ends those that the broker made for tenants who have no such `Socket=` in the policy any more. */
void listener_end_unwanted(struct broker *broker, const struct policy *policy);

/**
 * Serves a socket again that an earlier broker has made. Who has connected meanwhile waits in its backlog.
 * @param item  of kind Listener; its descriptor is taken on success only
 * @return 0; -EBADMSG for an item that makes no sense; another -errno
 */
int listener_restore(struct broker *broker, struct kept_item *item);

/** Ends the general ones that the broker made at another path than this, of an earlier command line. @param path  NULL: all */
void listener_end_other_general(struct broker *broker, const char *path);

/** Stops serving, and removes the path if the broker made it. Takes NULL. @return NULL */
struct listener *listener_free(struct listener *listener);

/** @return whose own socket a path is by a policy, borrowed; NULL: nobody's */
const struct policy_tenant *listener_tenant_at(const struct policy *policy, const char *path);

/** Frees all listeners of a broker. */
void listener_free_all(struct broker *broker);

#endif
