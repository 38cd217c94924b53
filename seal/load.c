/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/load.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "base/seal_layout.h"
#include "seal/objects.h"
#include "seal/seal.skel.h"

#define FOLDER_MODE 0750
#define PROGRAM_MODE 0600

/* The largest entry of a group that is read. */
#define GROUP_BUFFER_SIZE 65536

static void cleanup_seal(struct seal **seal) {
        seal__destroy(*seal);
}

#define NB_CLEANUP_SEAL NB_CLEANUP(cleanup_seal)

static int find_group(const struct nb_log *log, const char *name, gid_t *ret) {
        NB_CLEANUP_FREE char *buffer = malloc(GROUP_BUFFER_SIZE);
        struct group group, *found = NULL;

        if (!buffer)
                return EX_OSERR;
        if (!name) {
                *ret = 0;
                return EX_OK;
        }
        if (getgrnam_r(name, &group, buffer, GROUP_BUFFER_SIZE, &found) != 0 || !found) {
                nb_log(log, NB_LOG_ERROR, "there is no group '%s'; write a name that `getent group` knows", name);
                return EX_NOUSER;
        }
        *ret = group.gr_gid;
        return EX_OK;
}

/* ---- the folder ------------------------------------------------------------------------------------------------ */

static int complain_folder(const struct nb_log *log, const char *folder, int error) {
        if (error == EPERM || error == EACCES)
                nb_log(log, NB_LOG_ERROR,
                       "cannot make the folder %s: %s; run netbroker-seal as root, and write a folder of a BPF file "
                       "system, as "
                       "/sys/fs/bpf/netbroker",
                       folder, strerror(error));
        else if (error == ENOENT)
                nb_log(log, NB_LOG_ERROR, "cannot make the folder %s: the folder that it is to be in is not there",
                       folder);
        else
                nb_log(log, NB_LOG_ERROR, "cannot make the folder %s: %s", folder, strerror(error));
        return EX_CANTCREAT;
}

/* @return a status; with EX_OK the folder is there, and of the BPF file system */
static int make_folder(const struct nb_log *log, const char *folder, gid_t group) {
        NB_CLEANUP_FD int fd = -1;
        struct statfs about;

        if (mkdir(folder, FOLDER_MODE) < 0 && errno != EEXIST)
                return complain_folder(log, folder, errno);
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstatfs(fd, &about) < 0)
                return complain_folder(log, folder, errno);
        if (about.f_type != BPF_FS_MAGIC) {
                nb_log(log, NB_LOG_ERROR,
                       "%s is not in a BPF file system; mount one there with `mount -t bpf bpf /sys/fs/bpf`, and write "
                       "a folder "
                       "of it",
                       folder);
                (void)rmdir(folder);
                return EX_UNAVAILABLE;
        }
        /* The owner first: nobody is to have rights for a moment that the mode then takes away. */
        if (fchown(fd, 0, group) < 0 || fchmod(fd, FOLDER_MODE) < 0)
                return complain_folder(log, folder, errno);
        return EX_OK;
}

/* ---- maps and programs ----------------------------------------------------------------------------------------- */

static bool has_maps(const char *folder) {
        for (size_t i = 0; i < seal_maps_n; ++i) {
                NB_CLEANUP_FD int fd = seal_open(folder, seal_maps[i].name);

                if (fd >= 0)
                        return true;
        }
        return false;
}

static int complain_load(const struct nb_log *log, const char *folder, int error) {
        if (error == EPERM)
                nb_log(log, NB_LOG_ERROR,
                       "the kernel does not let us load BPF programs: run netbroker-seal as root, or with CAP_BPF and "
                       "CAP_NET_ADMIN; a container must be given these");
        else if (error == EINVAL && has_maps(folder))
                nb_log(log, NB_LOG_ERROR,
                       "the programs do not fit the maps in %s, which another version has made: stop netbrokerd, run "
                       "`netbroker-seal unload %s`, and load again",
                       folder, folder);
        else
                nb_log(log, NB_LOG_ERROR,
                       "cannot load the seal's programs: %s; --verbose says what the kernel's verifier objects to. "
                       "They need Linux "
                       "6.1 with CONFIG_CGROUP_BPF",
                       strerror(error));
        return EX_UNAVAILABLE;
}

/* Maps that are pinned are taken as they are; others are pinned when they are made. */
static int place_maps(struct seal *seal, const char *folder) {
        for (size_t i = 0; i < seal_maps_n; ++i) {
                struct bpf_map *map = bpf_object__find_map_by_name(seal->obj, seal_maps[i].name);
                char path[SEAL_PATH_MAX];
                int r = map ? seal_path(path, folder, seal_maps[i].name) : -ENOENT;

                if (r == 0)
                        r = bpf_map__set_pin_path(map, path);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int open_maps(const char *folder, gid_t group) {
        for (size_t i = 0; i < seal_maps_n; ++i) {
                char path[SEAL_PATH_MAX];
                int r = seal_path(path, folder, seal_maps[i].name);

                if (r < 0)
                        return r;
                if (lchown(path, 0, group) < 0 || chmod(path, seal_maps[i].mode) < 0)
                        return -errno;
        }
        return 0;
}

/* Pins it beside the one that is there, if any, and puts it in its place. */
static int pin_program(struct seal *seal, const char *folder, const struct seal_program *program) {
        struct bpf_program *found = bpf_object__find_program_by_name(seal->obj, program->name);
        char path[SEAL_PATH_MAX], new_path[SEAL_PATH_MAX];
        int r = found ? seal_path(path, folder, program->name) : -ENOENT;

        if (r == 0)
                r = seal_path(new_path, folder, program->new_name);
        if (r < 0)
                return r;
        /* Left by one that was killed. */
        if (unlink(new_path) < 0 && errno != ENOENT)
                return -errno;
        if (bpf_obj_pin(bpf_program__fd(found), new_path) < 0 || chmod(new_path, PROGRAM_MODE) < 0 ||
            rename(new_path, path) < 0)
                return -errno;
        return 0;
}

static int pin_programs(struct seal *seal, const char *folder) {
        for (size_t i = 0; i < seal_programs_n; ++i) {
                int r = pin_program(seal, folder, &seal_programs[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int write_info(struct seal *seal) {
        struct nb_seal_info info = { .version = NB_SEAL_VERSION };
        uint32_t key = 0;

        return bpf_map_update_elem(bpf_map__fd(seal->maps.info), &key, &info, BPF_ANY) < 0 ? -errno : 0;
}

int seal_load(const struct nb_log *log, const struct options *options, const char *folder) {
        NB_CLEANUP_SEAL struct seal *seal = NULL;
        gid_t group;
        int r = find_group(log, options->group, &group);

        if (r == EX_OK)
                r = make_folder(log, folder, group);
        if (r != EX_OK)
                return r;
        seal = seal__open();
        r = seal ? place_maps(seal, folder) : -errno;
        if (r == 0)
                r = seal__load(seal);
        if (r < 0)
                return complain_load(log, folder, -r);
        r = pin_programs(seal, folder);
        if (r == 0)
                r = write_info(seal);
        /* At last: who may open the maps finds all of it. */
        if (r == 0)
                r = open_maps(folder, group);
        if (r < 0) {
                nb_log(log, NB_LOG_ERROR, "cannot pin the seal in %s: %s", folder, strerror(-r));
                return EX_CANTCREAT;
        }
        return EX_OK;
}

/* ---- the way back ---------------------------------------------------------------------------------------------- */

static int remove_pin(const char *folder, const char *name) {
        char path[SEAL_PATH_MAX];
        int r = seal_path(path, folder, name);

        if (r < 0)
                return r;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int seal_unload(const struct nb_log *log, const char *folder) {
        int r = 0;

        for (size_t i = 0; i < seal_programs_n && r == 0; ++i) {
                r = remove_pin(folder, seal_programs[i].name);
                if (r == 0)
                        r = remove_pin(folder, seal_programs[i].new_name);
        }
        for (size_t i = 0; i < seal_maps_n && r == 0; ++i)
                r = remove_pin(folder, seal_maps[i].name);
        if (r == 0 && rmdir(folder) < 0 && errno != ENOENT)
                r = -errno;
        if (r == 0)
                return EX_OK;
        nb_log(log, NB_LOG_ERROR, "cannot remove what is in %s: %s", folder, strerror(-r));
        return EX_OSERR;
}
