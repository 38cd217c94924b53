/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WASI calls that ask or change a descriptor itself, for those that the shim serves: standard streams and network
 * descriptors; and those that work across all kinds.
 */
#ifndef NB_SHIM_WASI_DESCRIPTOR_H
#define NB_SHIM_WASI_DESCRIPTOR_H

#include "shim/wasi/call.h"

/**
 * Judges fdflags for a descriptor that has none but nonblock.
 * @return `inval` for a bit that WASI does not define, `notsup` for one that means something for files only
 */
int nb_descriptor_check_flags(uint32_t flags, uint16_t *ret);

int nb_descriptor_fdstat_get(struct nb_call *call, struct nb_descriptor *descriptor);
int nb_descriptor_fdstat_set_flags(struct nb_call *call, struct nb_descriptor *descriptor);
int nb_descriptor_fdstat_set_rights(struct nb_call *call, struct nb_descriptor *descriptor);
int nb_descriptor_filestat_get(struct nb_call *call, struct nb_descriptor *descriptor);

/** For a protocol, which is a preopen of type 1 with a name. */
int nb_descriptor_prestat_get(struct nb_call *call, struct nb_descriptor *protocol);
int nb_descriptor_prestat_dir_name(struct nb_call *call, struct nb_descriptor *protocol);

/** Of any kind. */
int nb_descriptor_close(struct nb_call *call);
int nb_descriptor_renumber(struct nb_call *call);

#endif
