/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/bpf_map.h"

#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "broker/calls.h"

/* The kernel wants what it does not know of to be zero, the padding included. */
static int call(enum bpf_cmd command, union bpf_attr *attributes) {
        long r = syscall(SYS_bpf, command, attributes, sizeof(*attributes));

        return r < 0 ? -errno : (int)r;
}

static uint64_t address_of(const void *pointer) {
        return (uint64_t)(uintptr_t)pointer;
}

int bpf_map_open(const char *folder, const char *name, bool writes) {
        union bpf_attr attributes;
        char path[PATH_MAX];
        int n = snprintf(path, sizeof(path), "%s/%s", folder, name);

        if (n < 0 || (size_t)n >= sizeof(path))
                return -ENAMETOOLONG;
        memset(&attributes, 0, sizeof(attributes));
        attributes.pathname = address_of(path);
        attributes.file_flags = writes ? 0 : BPF_F_RDONLY;
        /* The kernel makes it CLOEXEC. */
        return call(BPF_OBJ_GET, &attributes);
}

int bpf_map_check(int map_fd, uint32_t type, uint32_t key_size, uint32_t value_size) {
        struct bpf_map_info info;
        union bpf_attr attributes;
        int r;

        memset(&info, 0, sizeof(info));
        memset(&attributes, 0, sizeof(attributes));
        attributes.info.bpf_fd = (uint32_t)map_fd;
        attributes.info.info_len = sizeof(info);
        attributes.info.info = address_of(&info);
        r = call(BPF_OBJ_GET_INFO_BY_FD, &attributes);
        if (r < 0)
                return r;
        return info.type == type && info.key_size == key_size && info.value_size == value_size ? 0 : -EINVAL;
}

int bpf_map_look_up(int map_fd, const void *key, void *ret_value) {
        union bpf_attr attributes;

        memset(&attributes, 0, sizeof(attributes));
        attributes.map_fd = (uint32_t)map_fd;
        attributes.key = address_of(key);
        attributes.value = address_of(ret_value);
        return call(BPF_MAP_LOOKUP_ELEM, &attributes);
}

int bpf_map_update(int map_fd, const void *key, const void *value) {
        union bpf_attr attributes;

        memset(&attributes, 0, sizeof(attributes));
        attributes.map_fd = (uint32_t)map_fd;
        attributes.key = address_of(key);
        attributes.value = address_of(value);
        attributes.flags = BPF_ANY;
        return call(BPF_MAP_UPDATE_ELEM, &attributes);
}

static const struct confine_call calls[] = {
        CONFINE_CALL_WHERE(bpf, 0, BPF_MAP_LOOKUP_ELEM, "whose a socket is"),
        CONFINE_CALL_WHERE(bpf, 0, BPF_MAP_UPDATE_ELEM, "whose it is to be"),
};
const struct confine_list bpf_map_calls = CONFINE_LIST(calls);
