/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question to netbrokerd, whether it is one process or several (--shards).
 *
 * The process that was started is asked first. If it is one of several it gives its own part of the answer, and says how many shards there are, and
 * which one of them has the rest where that is one: by an id, or by a tenant's name. The same question then goes there, or to all, one after the
 * other, at the sockets whose paths have their numbers behind that of the first. To the caller it is one answer; a line that comes from a shard has its number as
 * the member "shard".
 *
 *      one that cannot be reached, or does not answer       is said; the others' parts are told, and the status is CTL_UNREACHABLE
 *      one that has no such tenant, session, connection     is none of it, unless no other has it either
 *
 * What goes wrong is said on standard error here, so that callers only pass on the status.
 */
#ifndef NB_CTL_ASK_H
#define NB_CTL_ASK_H

#include <jansson.h>

#include "ctl/client.h"

/** How long a shard may say nothing. More than netbrokerd takes for anything that it does not wait for, a look-up included. */
#define ASK_PATIENCE_S 15

/** What each line of an answer is given to. @param line  borrowed @return 0, or a status of enum ctl_status that ends it */
typedef int (*ask_line_function)(void *data, const json_t *line);

/**
 * Asks, and has a function take each line. It may have had some also where this fails.
 * @param path     of the operator's socket
 * @param request  consumed; may be NULL, for want of memory. With a "wait" that is true, shards are waited for without an end
 * @return enum ctl_status
 */
int ask_broker(const char *path, json_t *request, ask_line_function function, void *data);

#endif
