/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which control group of the unified hierarchy a process is in, by the number that the kernel calls it by.
 *
 * Its name is in /proc/PID/cgroup, and its number is its folder's inode. Where the hierarchy is mounted differs (cgroups(7)): /proc/self/mountinfo tells.
 */
#ifndef NB_BROKER_CGROUP_H
#define NB_BROKER_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * @param pid  of a process that is there for as long as the call lasts, which is the caller's to see to
 * @return 0; -ENOENT where no unified hierarchy is mounted, or the process is not in it; another -errno
 */
int cgroup_of_process(pid_t pid, uint64_t *ret_id);

/**
 * Makes the folder's path of a line of mountinfo (proc(5)) and a path within the hierarchy.
 * @param line  borrowed
 * @return whether the line is about the unified hierarchy, and shows that path
 */
bool cgroup_place(const char *line, const char *path, char ret[static PATH_MAX]);

#endif
