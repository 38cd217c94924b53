/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rights of network descriptors: what a derived descriptor gets of what was asked for.
 *
 * The base set applies to the descriptor, the inheriting set caps what is derived from it. Asking for what the parent
 * cannot give is refused; what does not apply to the new kind is dropped.
 *
 * The networking proposal was written against another numbering, in which bits 29 and 30 are polling and shutting down, and in
 * which nothing governs accept, connect and listen. So:
 *  - polling and shutting down are never demanded: they are given where the parent has them and refuse nothing where it has not;
 *  - whoever asks to read or write a control, which no control can, and names neither `listen` nor `bind`, speaks the proposal's
 *    numbers: the control gets every verb that the protocol can give.
 */
#ifndef NB_SHIM_WASI_RIGHTS_H
#define NB_SHIM_WASI_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * What a new descriptor gets.
 * @param requested   by the guest
 * @param applicable  to the new kind, or to what can be derived from it
 * @param available   the parent's inheriting set
 * @return whether nothing is asked for that cannot be given; `ret` is untouched if not
 */
bool nb_rights_narrow(uint64_t requested, uint64_t applicable, uint64_t available, uint64_t *ret);

/** The base rights of a new control, in this project's numbers, from what a guest asked for in either numbering. */
uint64_t nb_rights_control_request(uint64_t requested, uint64_t available);

#endif
