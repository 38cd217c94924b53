/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

/* In a line of mountinfo: the folder of the hierarchy that is mounted, and where. Behind " - " stands the file system. */
#define FIELD_ROOT 3
#define FIELD_PLACE 4

static void cleanup_file(FILE **file) {
        if (*file)
                (void)fclose(*file);
}

/* @param ret_length  of the field, which is not ended by NUL @return NULL: there are not as many */
static const char *find_field(const char *line, int number, size_t *ret_length) {
        for (; number > 0 && *line; --number) {
                line += strcspn(line, " ");
                line += strspn(line, " ");
        }
        *ret_length = strcspn(line, " \n");
        return *ret_length > 0 ? line : NULL;
}

static bool is_unified(const char *line) {
        const char *type = strstr(line, " - ");

        return type && strncmp(type + 3, "cgroup2 ", 8) == 0;
}

/* What is below the folder that is mounted; NULL: the path is not. */
static const char *path_below(const char *path, const char *root, size_t length) {
        if (length == 1)
                return path;
        if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
                return NULL;
        return path + length;
}

bool cgroup_place(const char *line, const char *path, char ret[static PATH_MAX]) {
        size_t root_length, place_length;
        const char *root = find_field(line, FIELD_ROOT, &root_length);
        const char *place = find_field(line, FIELD_PLACE, &place_length);
        const char *below;
        int n;

        if (!is_unified(line) || !root || !place)
                return false;
        below = path_below(path, root, root_length);
        if (!below)
                return false;
        n = snprintf(ret, PATH_MAX, "%.*s%s", (int)place_length, place, below);
        return n > 0 && n < PATH_MAX;
}

/* @return 0 with the path, of which the caller owns `line`; -ENOENT; another -errno */
static int read_path(pid_t pid, char **line, const char **ret_path) {
        NB_CLEANUP(cleanup_file) FILE *file = NULL;
        char name[32];
        size_t size = 0;
        ssize_t n;

        (void)snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
        file = fopen(name, "re");
        if (!file)
                return -errno;
        while ((n = getline(line, &size, file)) > 0) {
                if (strncmp(*line, "0::/", 4) != 0)
                        continue;
                (*line)[strcspn(*line, "\n")] = '\0';
                *ret_path = *line + 3;
                return 0;
        }
        return -ENOENT;
}

static int find_place(const char *path, char ret[static PATH_MAX]) {
        NB_CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
        NB_CLEANUP_FREE char *line = NULL;
        size_t size = 0;

        if (!file)
                return -errno;
        while (getline(&line, &size, file) > 0) {
                if (cgroup_place(line, path, ret))
                        return 0;
        }
        return -ENOENT;
}

int cgroup_of_process(pid_t pid, uint64_t *ret_id) {
        NB_CLEANUP_FREE char *line = NULL;
        char place[PATH_MAX];
        const char *path = NULL;
        struct stat st;
        int r = read_path(pid, &line, &path);

        if (r == 0)
                r = find_place(path, place);
        if (r < 0)
                return r;
        if (stat(place, &st) < 0)
                return -errno;
        *ret_id = st.st_ino;
        return 0;
}
