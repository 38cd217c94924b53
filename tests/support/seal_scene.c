/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/seal_scene.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"

#define CGROUP_PREFIX "netbroker-test-"
#define ARGUMENTS_MAX 16

static const char *const side_names[SEAL_SIDES] = { "broker", "stranger", "relay" };

/* ---- control groups -------------------------------------------------------------------------------------------- */

/* Where version 2 is mounted: no assumption is made. */
static void find_hierarchy(char *ret, size_t size) {
        FILE *file = fopen("/proc/self/mountinfo", "re");
        char line[4096], folder[SEAL_SCENE_PATH_MAX];
        bool found = false;

        ck_assert_ptr_nonnull(file);
        while (!found && fgets(line, sizeof(line), file))
                found = strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %511s", folder) == 1;
        (void)fclose(file);
        ck_assert_msg(found, "no hierarchy of control groups of version 2 is mounted; the seal cannot be tested");
        (void)snprintf(ret, size, "%s", folder);
}

static void find_home(char *ret, size_t size) {
        FILE *file = fopen("/proc/self/cgroup", "re");
        char line[1024], hierarchy[SEAL_SCENE_PATH_MAX];

        find_hierarchy(hierarchy, sizeof(hierarchy));
        ck_assert_ptr_nonnull(file);
        *ret = '\0';
        while (fgets(line, sizeof(line), file)) {
                line[strcspn(line, "\n")] = '\0';
                if (strncmp(line, "0::/", 4) == 0)
                        ck_assert_int_lt(snprintf(ret, size, "%s/%s", hierarchy, line + 4), (int)size);
        }
        (void)fclose(file);
        ck_assert_str_ne(ret, "");
}

/* Control groups of tests that were killed: their names tell the process. */
static void sweep(const char *home) {
        DIR *folder = opendir(home);
        const struct dirent *entry;

        ck_assert_ptr_nonnull(folder);
        while ((entry = readdir(folder))) {
                char path[SEAL_SCENE_PATH_MAX + 256];
                int pid;

                if (sscanf(entry->d_name, CGROUP_PREFIX "%d-", &pid) != 1 || kill(pid, 0) == 0)
                        continue;
                (void)snprintf(path, sizeof(path), "%s/%s", home, entry->d_name);
                (void)rmdir(path);
        }
        (void)closedir(folder);
}

static void make_cgroups(struct seal_scene *scene) {
        find_home(scene->home, sizeof(scene->home));
        sweep(scene->home);
        for (size_t i = 0; i < SEAL_SIDES; ++i) {
                int length = snprintf(scene->cgroups[i], sizeof(scene->cgroups[i]), "%s/" CGROUP_PREFIX "%d-%s",
                                      scene->home, (int)getpid(), side_names[i]);

                ck_assert_int_lt(length, (int)sizeof(scene->cgroups[i]));
                ck_assert_msg(mkdir(scene->cgroups[i], 0755) == 0, "cannot make the control group %s: %s",
                              scene->cgroups[i], strerror(errno));
        }
}

/* A process that was killed may be in its control group for a moment yet. */
static void remove_cgroup(const char *path) {
        uint64_t start_ms = harness_now_ms();

        while (rmdir(path) < 0 && errno == EBUSY)
                harness_wait_a_moment(start_ms, "a control group's last process");
}

static void enter(const char *cgroup) {
        char path[SEAL_SCENE_PATH_MAX + 32];
        NB_CLEANUP_FD int fd = -1;

        (void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        ck_assert_msg(fd >= 0 && write(fd, "0", 1) == 1, "cannot go into the control group %s: %s", cgroup,
                      strerror(errno));
}

void seal_scene_enter(const struct seal_scene *scene, enum seal_side side) {
        enter(scene->cgroups[side]);
}

uint64_t seal_scene_cgroup_id(const struct seal_scene *scene, enum seal_side side) {
        union {
                struct file_handle handle;
                char bytes[sizeof(struct file_handle) + sizeof(uint64_t)];
        } name = { .handle.handle_bytes = sizeof(uint64_t) };
        uint64_t id;
        int mount_id;

        ck_assert_int_eq(name_to_handle_at(AT_FDCWD, scene->cgroups[side], &name.handle, &mount_id, 0), 0);
        memcpy(&id, name.handle.f_handle, sizeof(id));
        return id;
}

/* ---- the scene ------------------------------------------------------------------------------------------------- */

void seal_scene_init(struct seal_scene *scene) {
        memset(scene, 0, sizeof(*scene));
        scene->probe = (struct process){ .pid = -1, .out = -1 };
        (void)snprintf(scene->folder, sizeof(scene->folder), "/tmp/netbroker-seal-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(scene->folder));
        ck_assert_int_eq(chmod(scene->folder, 0755), 0);
        (void)snprintf(scene->bpf, sizeof(scene->bpf), "%s/bpf", scene->folder);
        (void)snprintf(scene->pins, sizeof(scene->pins), "%s/seal", scene->bpf);
        (void)snprintf(scene->probe_path, sizeof(scene->probe_path), "%s/probe.sock", scene->folder);
        ck_assert_int_eq(mkdir(scene->bpf, 0755), 0);
        /* In a namespace of mounts of our own, so that what is left ends with the test. */
        ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
        ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        ck_assert_msg(mount("bpf", scene->bpf, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711") == 0,
                      "cannot mount a BPF file system: %s", strerror(errno));
        make_cgroups(scene);
}

void seal_scene_deinit(struct seal_scene *scene) {
        if (scene->probe.pid >= 0)
                (void)process_stop(&scene->probe);
        process_deinit(&scene->probe);
        enter(scene->home);
        for (size_t i = 0; i < SEAL_SIDES; ++i)
                remove_cgroup(scene->cgroups[i]);
        (void)umount2(scene->bpf, MNT_DETACH);
        (void)unlink(scene->probe_path);
        (void)rmdir(scene->bpf);
        (void)rmdir(scene->folder);
}

static const char *program(const char *variable) {
        const char *found = getenv(variable);

        ck_assert_msg(found != NULL, "%s is not set: it names the program to test", variable);
        return found;
}

int seal_scene_run(const char *const *arguments, char **ret_output) {
        const char *all[ARGUMENTS_MAX + 2] = { program("NETBROKER_SEAL") };
        PROCESS process;
        int status;

        for (size_t i = 0; arguments[i]; ++i) {
                ck_assert_uint_lt(i, ARGUMENTS_MAX);
                all[i + 1] = arguments[i];
        }
        process_start(&process, all);
        status = process_finish(&process, HARNESS_DEADLINE_MS);
        if (ret_output) {
                *ret_output = strdup(process.text ? process.text : "");
                ck_assert_ptr_nonnull(*ret_output);
        }
        return status;
}

static void expect_success(int status, char *output) {
        ck_assert_msg(status == 0, "netbroker-seal ended with %d: %s", status, output);
        free(output);
}

void seal_scene_load(const struct seal_scene *scene) {
        char *output;
        int status = SEAL_RUN(&output, "--verbose", "--group", "nogroup", "load", scene->pins);

        expect_success(status, output);
}

void seal_scene_attach(const struct seal_scene *scene, enum seal_side side) {
        char *output;
        int status = SEAL_RUN(&output, "--cgroup", scene->cgroups[side], "attach", scene->pins);

        expect_success(status, output);
}

void seal_scene_seal(const struct seal_scene *scene) {
        seal_scene_load(scene);
        seal_scene_attach(scene, SEAL_BROKER);
}

/* ---- the probe ------------------------------------------------------------------------------------------------- */

static int try_probe(const char *path) {
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        ck_assert_int_ge(fd, 0);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

void seal_scene_start_probe(struct seal_scene *scene, enum seal_side side) {
        uint64_t start_ms = harness_now_ms();
        char home[SEAL_SCENE_PATH_MAX];

        find_home(home, sizeof(home));
        seal_scene_enter(scene, side);
        /* It gives up what LeakSanitizer needs. */
        process_expect_no_leak_check();
        PROCESS_START(&scene->probe, program("NETBROKER_PROBE"), "--socket", scene->probe_path);
        enter(home);
        while (try_probe(scene->probe_path) < 0)
                harness_wait_a_moment(start_ms, "netbroker-probe");
}
