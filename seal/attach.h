/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching: the pinned programs to a control group, so that what is made in it from then on is sealed.
 *
 * Attached programs belong to the control group, and no process that is not allowed to load such programs can take them away: they are attached with
 * BPF_F_ALLOW_MULTI, and to detach one takes its descriptor. What an older version attached is replaced in one step.
 */
#ifndef NB_SEAL_ATTACH_H
#define NB_SEAL_ATTACH_H

#include "base/log.h"
#include "seal/options.h"

/** Attaches all programs that are pinned in `folder`. May be repeated. @return a status of sysexits(3) */
int seal_attach(const struct nb_log *log, const struct options *options, const char *folder);

#endif
