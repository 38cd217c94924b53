/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that each of our small programs makes, whatever it is for: it waits, says something to the operator, has memory, and ends.
 */
#ifndef NB_CONFINE_PROGRAM_CALLS_H
#define NB_CONFINE_PROGRAM_CALLS_H

#include "confine/calls.h"

extern const struct confine_list confine_program_calls;

#endif
