/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of all functions: what each takes, and who serves it for which kind of descriptor.
 *
 * A function that takes a descriptor goes by the kind of its first one: the engine's are passed on, with every descriptor
 * translated and a new one given a number of the guest's; the others have a handler, or an errno that says why there is none.
 */
#ifndef NB_SHIM_WASI_FUNCTIONS_H
#define NB_SHIM_WASI_FUNCTIONS_H

#include "shim/wasi/call.h"

/** Closes a descriptor of the engine's. @return what the engine returned. */
int nb_functions_close_engine_fd(struct nb_call *call, uint32_t engine_fd);

/**
 * Reads a clock of the engine's, whose epoch is the engine's own. Overwrites 8 bytes of the guest's memory.
 * @param scratch  a multiple of 8, where the guest expects results anyway
 * @return a WASI errno, or the negative number of a trap
 */
int nb_functions_clock_time(struct nb_call *call, uint32_t clock, uint32_t scratch, uint64_t *ret);

/** What nb_functions_file_left() overwrites, in bytes. */
#define NB_FUNCTIONS_FILE_SCRATCH 64u

/**
 * Asks the engine how much of one of its regular files is behind the position. Overwrites NB_FUNCTIONS_FILE_SCRATCH bytes of the guest's
 * memory.
 * @param scratch  as above
 * @return a WASI errno, `notsup` for what is no regular file, or the negative number of a trap
 */
int nb_functions_file_left(struct nb_call *call, uint32_t engine_fd, uint32_t scratch, uint64_t *ret);

#endif
