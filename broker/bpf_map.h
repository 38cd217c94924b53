/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of BPF that somebody else has made and pinned, by bpf(2) alone: the broker loads no programs and needs no library for them.
 *
 * The kernel lets who has a map's descriptor use it, also without capabilities and with kernel.unprivileged_bpf_disabled set (Linux 5.19).
 */
#ifndef NB_BROKER_BPF_MAP_H
#define NB_BROKER_BPF_MAP_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Opens a map that is pinned in a folder.
 * @param writes  whether it is to be written, too
 * @return a descriptor owned by the caller; -errno: -ENOENT where there is none, -EACCES where its permissions forbid it
 */
int bpf_map_open(const char *folder, const char *name, bool writes);

/** Whether a map is of a type (enum bpf_map_type), with keys and values of these sizes. @return 0; -EINVAL; another -errno */
int bpf_map_check(int map_fd, uint32_t type, uint32_t key_size, uint32_t value_size);

/** Reads the value of a key; both have the map's sizes. @return 0; -ENOENT: it has none; another -errno */
int bpf_map_look_up(int map_fd, const void *key, void *ret_value);

/** Sets the value of a key. @return 0 or -errno */
int bpf_map_update(int map_fd, const void *key, const void *value);

#endif
