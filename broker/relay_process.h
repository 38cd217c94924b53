/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting relays: by fork and exec (--relay-program), or by a connect to a socket of systemd's whose instances they are (--relay-socket).
 *
 * Either way the relay gets a channel as descriptor 3, and nothing else of the broker's: every descriptor here is close-on-exec. What we have started
 * is ours to wait for:
 *
 *      running ──exits──► its end is logged with the cause, freed
 *         └──released──► its channel is closed, it ends by itself ──exits──► freed
 *                                    └──it does not in 5 s──► SIGKILL
 */
#ifndef NB_BROKER_RELAY_PROCESS_H
#define NB_BROKER_RELAY_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct broker;
struct relay_launcher;
struct relay_process;

/**
 * Makes what starts a broker's relays.
 * @param program      borrowed, lives as long as the launcher; NULL with a socket
 * @param socket_path  NULL: by `program`; borrowed likewise
 * @return owned by the caller, or NULL (errno is set; ENAMETOOLONG for a path that is too long for a socket)
 */
struct relay_launcher *relay_launcher_new(struct broker *broker, const char *program, const char *socket_path);

/** All relays must have been released; those that have not exited yet are left to themselves. Takes NULL. @return NULL */
struct relay_launcher *relay_launcher_free(struct relay_launcher *launcher);

/**
 * Starts a relay, or logs why not.
 * @param owner        for messages: "tenant acme"; copied
 * @param ret_process  NULL for one of systemd's; released by the caller
 * @param ret_fd       its channel, non-blocking, owned by the caller
 * @return 0 or -errno
 */
int relay_launcher_start(const struct broker *broker, const char *owner, struct relay_process **ret_process,
                         int *ret_fd);

/** @return its number; 0 without one */
pid_t relay_process_pid(const struct relay_process *process);

/**
 * Lets go of one whose channel the caller has closed, or closes now.
 * @param kill_now  it has done what it may not, or does not answer
 * @return NULL
 */
struct relay_process *relay_process_release(struct relay_process *process, bool kill_now);

#endif
