/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker for one run: netbrokerd as a child, on the other end of a socket pair.
 *
 * The child serves the one session of that pair and ends when the session and everything that came of it are closed, and what the guest has left behind
 * in relays is delivered. Two walls keep it from outliving the run. It sees the end of its channel. And the kernel sends it SIGTERM when the last writer of
 * a pipe, the lifeline, is gone, which is when this process ends in whatever way. (PR_SET_PDEATHSIG would not do: the
 * kernel sends that one in the name of the dying parent, whom nb_lockdown() has forbidden to signal anyone, and drops it.)
 *
 * The child gets no descriptor but the channel, the lifeline and standard error, which is its standard output as well: standard
 * input and output belong to the guest.
 */
#ifndef NB_RUN_PRIVATE_BROKER_H
#define NB_RUN_PRIVATE_BROKER_H

#include <sys/types.h>

#include "base/log.h"

/** The environment variable that names another netbrokerd than the installed one: a path, and never looked for in PATH. */
#define PRIVATE_BROKER_VARIABLE "NETBROKERD"

/** The same for the netbroker-relay that the broker starts. */
#define PRIVATE_BROKER_RELAY_VARIABLE "NETBROKER_RELAY"

struct private_broker {
        pid_t pid;    /* -1: none, or reaped */
        int pid_fd;   /* owned; readable when the child has ended */
        int lifeline; /* owned; closing it ends the child */
};

#define PRIVATE_BROKER_INIT                                                                                            \
        { .pid = -1, .pid_fd = -1, .lifeline = -1 }

/** The program that is started: $NETBROKERD, or the installed one. */
const char *private_broker_program(void);

/**
 * Starts a broker.
 * @param policy       the policy's file, borrowed
 * @param log_level    borrowed
 * @param ret          to be given to private_broker_wait()
 * @param ret_session  the session's channel, owned by the caller; CLOEXEC
 * @return 0; -errno, that of execve() when the program cannot be run; -ENOSYS on a kernel without pidfd_open() (before Linux 5.3)
 */
int private_broker_start(const char *policy, const char *log_level, struct private_broker *ret, int *ret_session);

/**
 * Waits for the broker's end and reaps it. The caller has closed the session and all that came of it. A broker that does not
 * end by itself in time is told to. Harmless where there is none.
 * @param log  where it is said when what the guest wrote takes long to be delivered; NULL: nowhere, for there was no guest
 * @return its exit status; 128 and the number of the signal that ended it; 0 where there was none; -ETIMEDOUT when it is still there;
 *         another -errno
 */
int private_broker_wait(struct private_broker *broker, const struct nb_log *log);

#endif
