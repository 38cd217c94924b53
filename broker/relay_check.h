/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay that is asked and waited for: whether it could use what a policy names, before that is in force. It has no tenant, and lives as long as
 * the question. All that it may take is five seconds.
 */
#ifndef NB_BROKER_RELAY_CHECK_H
#define NB_BROKER_RELAY_CHECK_H

#include <stddef.h>

#include "proto/relay_frame.h"

struct broker;
struct relay_check;

/** Starts one and waits until it is there, or logs why it cannot be started. @return 0; -ETIMEDOUT; another -errno */
int relay_check_new(struct broker *broker, struct relay_check **ret);

/** Ends it. Takes NULL. @return NULL */
struct relay_check *relay_check_free(struct relay_check *check);

/**
 * Sends an order and waits for the next report.
 * @param fds  borrowed
 * @param ret  valid until the next call, and as long as the check
 * @return 0; -ETIMEDOUT; -ECONNRESET when the relay has ended; -EBADMSG for what is no report; another -errno
 */
int relay_check_ask(struct relay_check *check, const Nb__Relay__Order *order, const int *fds, size_t n_fds,
                    Nb__Relay__Report **ret);

#endif
