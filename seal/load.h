/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading: the programs of this build, and maps where there are none yet, into a folder of the BPF file system.
 */
#ifndef NB_SEAL_LOAD_H
#define NB_SEAL_LOAD_H

#include "base/log.h"
#include "seal/options.h"

/** Loads and pins everything. May be repeated, also by another version: maps and what they hold stay. @return a status of sysexits(3) */
int seal_load(const struct nb_log *log, const struct options *options, const char *folder);

/** Removes what is pinned, and the folder. What is attached stays attached. @return a status of sysexits(3) */
int seal_unload(const struct nb_log *log, const char *folder);

#endif
