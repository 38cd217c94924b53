/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session of a run: with a running broker, with one that is started for it, or of protocols that another process has handed over.
 */
#ifndef NB_RUN_SESSION_H
#define NB_RUN_SESSION_H

#include "base/log.h"
#include "netbroker/client.h"
#include "run/options.h"
#include "run/private_broker.h"

struct run_session {
        struct nb_session *session;
        struct private_broker broker; /* with --policy */
};

#define RUN_SESSION_INIT                                                                                               \
        { .broker = PRIVATE_BROKER_INIT }

/**
 * Opens the session that the options ask for, and says what is wrong if it cannot.
 * @param ret  to be given to run_session_close(), also on failure
 * @return 0, or a code of sysexits.h: EX_CONFIG for a refused policy, EX_UNAVAILABLE without a broker, EX_NOPERM when the
 *         broker refused the session, EX_PROTOCOL when it speaks another version, EX_OSERR
 */
int run_session_open(const struct run_options *options, const struct nb_log *log, struct run_session *ret);

/**
 * Starts the policy's preopened sockets, and says which of them cannot be started, why, and what can be done about it.
 * @return 0, or a code of sysexits.h: EX_NOPERM when it is refused, EX_UNAVAILABLE
 */
int run_session_start_preopens(const struct run_session *session, const struct nb_log *log);

/** Closes the session and waits for a broker that was started for it. All that came of the session must be closed. */
void run_session_close(struct run_session *session, const struct nb_log *log);

#endif
