/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/objects.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/seal_layout.h"

/* Of one program; ours have three at most. */
#define MAPS_OF_PROGRAM_MAX 16

/* What refuses is attached before what stamps: nothing is stamped that is not guarded. */
const struct seal_program seal_programs[] = {
        { "nb_connect4", "nb_connect4_new", BPF_CGROUP_INET4_CONNECT },
        { "nb_connect6", "nb_connect6_new", BPF_CGROUP_INET6_CONNECT },
        { "nb_bind4", "nb_bind4_new", BPF_CGROUP_INET4_BIND },
        { "nb_bind6", "nb_bind6_new", BPF_CGROUP_INET6_BIND },
        { "nb_sendmsg4", "nb_sendmsg4_new", BPF_CGROUP_UDP4_SENDMSG },
        { "nb_sendmsg6", "nb_sendmsg6_new", BPF_CGROUP_UDP6_SENDMSG },
        { "nb_setsockopt", "nb_setsockopt_new", BPF_CGROUP_SETSOCKOPT },
        { "nb_ingress", "nb_ingress_new", BPF_CGROUP_INET_INGRESS },
        { "nb_release", "nb_release_new", BPF_CGROUP_INET_SOCK_RELEASE },
        { "nb_create", "nb_create_new", BPF_CGROUP_INET_SOCK_CREATE },
};
const size_t seal_programs_n = sizeof(seal_programs) / sizeof(seal_programs[0]);

const struct seal_map seal_maps[] = {
        { NB_SEAL_STAMPS, 0660 },
        { NB_SEAL_RELEASED, 0660 },
        { NB_SEAL_COUNTERS, 0640 },
        { NB_SEAL_INFO, 0640 },
};
const size_t seal_maps_n = sizeof(seal_maps) / sizeof(seal_maps[0]);

int seal_path(char ret[static SEAL_PATH_MAX], const char *folder, const char *name) {
        int length = snprintf(ret, SEAL_PATH_MAX, "%s/%s", folder, name);

        return length < 0 || length >= SEAL_PATH_MAX ? -ENAMETOOLONG : 0;
}

int seal_open(const char *folder, const char *name) {
        char path[SEAL_PATH_MAX];
        int r = seal_path(path, folder, name);

        if (r < 0)
                return r;
        r = bpf_obj_get(path);
        return r < 0 ? -errno : r;
}

uint32_t seal_stamps_id(const char *folder) {
        NB_CLEANUP_FD int fd = seal_open(folder, NB_SEAL_STAMPS);
        struct bpf_map_info info = { 0 };
        uint32_t length = sizeof(info);

        if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
                return 0;
        return info.id;
}

bool seal_program_uses(int program_fd, uint32_t map_id) {
        uint32_t ids[MAPS_OF_PROGRAM_MAX] = { 0 };
        struct bpf_prog_info info = { .nr_map_ids = MAPS_OF_PROGRAM_MAX, .map_ids = (uintptr_t)ids };
        uint32_t length = sizeof(info);

        if (bpf_obj_get_info_by_fd(program_fd, &info, &length) < 0)
                return false;
        for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_OF_PROGRAM_MAX; ++i) {
                if (ids[i] == map_id)
                        return true;
        }
        return false;
}
