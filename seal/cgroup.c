/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/cgroup.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Programs on one hook of one control group; the kernel's own bound is 64. */
#define ATTACHED_MAX 64

/* A line of /proc/self/mountinfo, or as much as is looked at. */
#define LINE_MAX_LENGTH 16384

static void cleanup_file(FILE **file) {
        if (*file)
                (void)fclose(*file);
}

#define NB_CLEANUP_FILE NB_CLEANUP(cleanup_file)

/* proc_pid_mountinfo(5) writes spaces, tabs, newlines and backslashes of paths as three octal digits. */
static int unescape(char ret[static SEAL_PATH_MAX], const char *text) {
        size_t n = 0;

        for (; *text; ++n) {
                unsigned code;

                if (n + 1 >= SEAL_PATH_MAX)
                        return -ENAMETOOLONG;
                if (*text == '\\' && sscanf(text + 1, "%3o", &code) == 1 && strlen(text) >= 4) {
                        ret[n] = (char)code;
                        text += 4;
                } else {
                        ret[n] = *text++;
                }
        }
        ret[n] = '\0';
        return 0;
}

/* 31 23 0:28 ROOT FOLDER options [optional fields] - TYPE source options */
static int parse_mount(char *line, char ret_folder[static SEAL_PATH_MAX], char ret_root[static SEAL_PATH_MAX]) {
        const char *type = strstr(line, " - ");
        char *save = NULL, *fields[5];

        if (!type || strncmp(type, " - cgroup2 ", strlen(" - cgroup2 ")) != 0)
                return -ENOENT;
        for (size_t i = 0; i < 5; ++i) {
                fields[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
                if (!fields[i])
                        return -ENOENT;
        }
        if (unescape(ret_root, fields[3]) < 0)
                return -ENAMETOOLONG;
        return unescape(ret_folder, fields[4]);
}

int seal_cgroup_mount(char ret_folder[static SEAL_PATH_MAX], char ret_root[static SEAL_PATH_MAX]) {
        NB_CLEANUP_FILE FILE *file = fopen("/proc/self/mountinfo", "re");
        char line[LINE_MAX_LENGTH];

        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file)) {
                if (parse_mount(line, ret_folder, ret_root) == 0)
                        return 0;
        }
        return -ENOENT;
}

/* The line of version 2 in /proc/self/cgroup: "0::/system.slice/netbrokerd.service". */
static int read_own(char ret[static SEAL_PATH_MAX]) {
        NB_CLEANUP_FILE FILE *file = fopen("/proc/self/cgroup", "re");
        char line[SEAL_PATH_MAX + 8];

        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file)) {
                if (strncmp(line, "0::", 3) != 0)
                        continue;
                line[strcspn(line, "\n")] = '\0';
                return snprintf(ret, SEAL_PATH_MAX, "%s", line + 3) >= SEAL_PATH_MAX ? -ENAMETOOLONG : 0;
        }
        return -ENOENT;
}

int seal_cgroup_own(char ret[static SEAL_PATH_MAX]) {
        char folder[SEAL_PATH_MAX], root[SEAL_PATH_MAX], own[SEAL_PATH_MAX];
        size_t skipped;
        int r = read_own(own);

        if (r == 0)
                r = seal_cgroup_mount(folder, root);
        if (r < 0)
                return r;
        if (strcmp(own, "/") == 0)
                return -EBUSY;
        /* A part of the hierarchy may be mounted: then ours must be below that. */
        skipped = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(own, root, skipped) != 0 || own[skipped] != '/')
                return -ENOENT;
        return seal_path(ret, folder, own + skipped + 1);
}

int seal_cgroup_find(int cgroup_fd, enum bpf_attach_type type, uint32_t stamps_id, int *ret_fd) {
        uint32_t ids[ATTACHED_MAX], n = ATTACHED_MAX, flags;

        if (bpf_prog_query(cgroup_fd, type, 0, &flags, ids, &n) < 0)
                return -errno;
        for (uint32_t i = 0; i < n; ++i) {
                NB_CLEANUP_FD int fd = bpf_prog_get_fd_by_id(ids[i]);

                if (fd < 0 && errno == ENOENT)
                        continue;
                if (fd < 0)
                        return -errno;
                if (seal_program_uses(fd, stamps_id)) {
                        *ret_fd = nb_steal_fd(&fd);
                        return 0;
                }
        }
        *ret_fd = -1;
        return 0;
}

size_t seal_cgroup_count(int cgroup_fd, uint32_t stamps_id) {
        size_t n = 0;

        for (size_t i = 0; i < seal_programs_n; ++i) {
                NB_CLEANUP_FD int fd = -1;

                if (seal_cgroup_find(cgroup_fd, seal_programs[i].type, stamps_id, &fd) == 0 && fd >= 0)
                        n++;
        }
        return n;
}
