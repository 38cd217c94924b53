/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of version 2: where their hierarchy is mounted, which one is ours, and which programs of the seal are attached to one.
 *
 * Nothing is assumed of where it is mounted: a machine that still has version 1 beside it has it in another place.
 */
#ifndef NB_SEAL_CGROUP_H
#define NB_SEAL_CGROUP_H

#include <stddef.h>
#include <stdint.h>

#include "seal/objects.h"

/**
 * The folder under which control groups of version 2 are, by /proc/self/mountinfo.
 * @param ret_root  which group that folder is: "/" mostly
 * @return 0 or -ENOENT where none is mounted, -errno
 */
int seal_cgroup_mount(char ret_folder[static SEAL_PATH_MAX], char ret_root[static SEAL_PATH_MAX]);

/**
 * The folder of the caller's own control group.
 * @return 0; -EBUSY for the root group, whose programs would run for every socket of the machine; -ENOENT; another -errno
 */
int seal_cgroup_own(char ret[static SEAL_PATH_MAX]);

/**
 * Which program of the seal with this map of stamps is attached there for this purpose.
 * @param ret_fd  of that program, owned by the caller; -1 where there is none
 * @return 0 or -errno
 */
int seal_cgroup_find(int cgroup_fd, enum bpf_attach_type type, uint32_t stamps_id, int *ret_fd);

/** How many of the seal's programs are attached to a control group, a descriptor of its folder. */
size_t seal_cgroup_count(int cgroup_fd, uint32_t stamps_id);

#endif
