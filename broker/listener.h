/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket on which sessions arrive: made by the broker at a path, or given by systemd.
 *
 * Anyone may connect; who it is decides the kernel's record of the peer (SO_PEERCRED), and what it may do the policy.
 */
#ifndef NB_BROKER_LISTENER_H
#define NB_BROKER_LISTENER_H

struct broker;
struct listener;

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

/** Stops serving, and removes the path if the broker made it. Takes NULL. @return NULL */
struct listener *listener_free(struct listener *listener);

/** Frees all listeners of a broker. */
void listener_free_all(struct broker *broker);

#endif
