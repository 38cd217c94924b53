/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs and maps of the seal, by the names under which they are pinned in a folder of the BPF file system.
 *
 * Sockets keep their stamps in the map of stamps, so the map outlives its programs: who loads another version of the programs keeps the maps, and what
 * was stamped before stays stamped. A program takes its name from another one by rename(2), so there is no moment without one.
 */
#ifndef NB_SEAL_OBJECTS_H
#define NB_SEAL_OBJECTS_H

#include <bpf/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Room for the path of a pinned object. */
#define SEAL_PATH_MAX 4096

struct seal_program {
        const char *name;     /* in the folder; in the kernel and in seal.bpf.c it is the same */
        const char *new_name; /* while it takes the place of another one */
        enum bpf_attach_type type;
};

struct seal_map {
        const char *name;
        mode_t mode; /* of the pinned file, which is root's and the group's */
};

extern const struct seal_program seal_programs[];
extern const size_t seal_programs_n;
extern const struct seal_map seal_maps[];
extern const size_t seal_maps_n;

/** Puts "folder/name" together. @return 0 or -ENAMETOOLONG */
int seal_path(char ret[static SEAL_PATH_MAX], const char *folder, const char *name);

/** @return a descriptor of a pinned program or map, owned by the caller, or -errno */
int seal_open(const char *folder, const char *name);

/** @return the id of the pinned map of stamps, by which programs of the seal are known, or 0 */
uint32_t seal_stamps_id(const char *folder);

/** Whether a program, a descriptor, works on the map of that id. */
bool seal_program_uses(int program_fd, uint32_t map_id);

#endif
