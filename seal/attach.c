/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/attach.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "seal/cgroup.h"
#include "seal/objects.h"

static int complain_cgroup(const struct nb_log *log, int error) {
        if (error == EBUSY)
                nb_log(log, NB_LOG_ERROR,
                       "this is the root control group, whose programs would run for every socket of the machine; "
                       "start "
                       "netbroker-seal by ExecStartPre=+ of netbrokerd's unit, or name another one with --cgroup");
        else if (error == ENOENT)
                nb_log(log, NB_LOG_ERROR,
                       "cannot find our own control group: no hierarchy of version 2 is mounted that we are in; name "
                       "its folder "
                       "with --cgroup, or mount it with `mount -t cgroup2 cgroup2 FOLDER`");
        else
                nb_log(log, NB_LOG_ERROR, "cannot find our own control group: %s", strerror(error));
        return EX_UNAVAILABLE;
}

/* @return a descriptor owned by the caller, or a negated status */
static int open_cgroup(const struct nb_log *log, const char *name, char ret_path[static SEAL_PATH_MAX]) {
        int fd, r = 0;

        if (!name)
                r = seal_cgroup_own(ret_path);
        else if (snprintf(ret_path, SEAL_PATH_MAX, "%s", name) >= SEAL_PATH_MAX)
                r = -ENAMETOOLONG;
        if (r < 0)
                return -complain_cgroup(log, -r);
        fd = open(ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                return fd;
        nb_log(log, NB_LOG_ERROR, "cannot open the control group %s: %s", ret_path, strerror(errno));
        return -EX_NOINPUT;
}

static bool is_same_program(int one, int other) {
        struct bpf_prog_info about_one = { 0 }, about_other = { 0 };
        uint32_t length_one = sizeof(about_one), length_other = sizeof(about_other);

        return bpf_obj_get_info_by_fd(one, &about_one, &length_one) == 0 &&
               bpf_obj_get_info_by_fd(other, &about_other, &length_other) == 0 && about_one.id == about_other.id;
}

/* @return 0 or -errno */
static int attach_program(int cgroup_fd, int program_fd, enum bpf_attach_type type, uint32_t stamps_id) {
        struct bpf_prog_attach_opts options = { .sz = sizeof(options), .flags = BPF_F_ALLOW_MULTI };
        NB_CLEANUP_FD int former = -1;
        int r = seal_cgroup_find(cgroup_fd, type, stamps_id, &former);

        if (r < 0)
                return r;
        if (former >= 0 && is_same_program(former, program_fd))
                return 0;
        if (former >= 0) {
                options.flags |= BPF_F_REPLACE;
                options.replace_prog_fd = former;
        }
        return bpf_prog_attach_opts(program_fd, cgroup_fd, type, &options) < 0 ? -errno : 0;
}

static int complain_program(const struct nb_log *log, const char *folder, const char *name, int error) {
        if (error == ENOENT)
                nb_log(log, NB_LOG_ERROR,
                       "there is no program %s in %s; start netbroker-seal.service, or run `netbroker-seal load %s`",
                       name, folder, folder);
        else if (error == EPERM || error == EACCES)
                nb_log(log, NB_LOG_ERROR,
                       "may not use the program %s in %s: run netbroker-seal as root, in a unit by ExecStartPre=+",
                       name, folder);
        else
                nb_log(log, NB_LOG_ERROR, "cannot use the program %s in %s: %s", name, folder, strerror(error));
        return EX_UNAVAILABLE;
}

static int complain_attach(const struct nb_log *log, const char *cgroup, const char *name, int error) {
        if (error == EPERM)
                nb_log(log, NB_LOG_ERROR,
                       "may not attach %s to the control group %s: run netbroker-seal as root, or with CAP_NET_ADMIN; "
                       "or a "
                       "program that allows no others is attached there or above, by another tool",
                       name, cgroup);
        else if (error == EBADF || error == ENOTDIR)
                nb_log(log, NB_LOG_ERROR, "cannot attach %s: %s is no control group of version 2", name, cgroup);
        else
                nb_log(log, NB_LOG_ERROR, "cannot attach %s to the control group %s: %s", name, cgroup,
                       strerror(error));
        return EX_UNAVAILABLE;
}

int seal_attach(const struct nb_log *log, const struct options *options, const char *folder) {
        char cgroup[SEAL_PATH_MAX];
        NB_CLEANUP_FD int cgroup_fd = open_cgroup(log, options->cgroup, cgroup);
        uint32_t stamps_id = seal_stamps_id(folder);

        if (cgroup_fd < 0)
                return -cgroup_fd;
        for (size_t i = 0; i < seal_programs_n; ++i) {
                const struct seal_program *program = &seal_programs[i];
                NB_CLEANUP_FD int program_fd = seal_open(folder, program->name);
                int r;

                if (program_fd < 0)
                        return complain_program(log, folder, program->name, -program_fd);
                r = attach_program(cgroup_fd, program_fd, program->type, stamps_id);
                if (r < 0)
                        return complain_attach(log, cgroup, program->name, -r);
        }
        return EX_OK;
}
