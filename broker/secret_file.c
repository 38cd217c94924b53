/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "proto/relay_frame.h"

#define CREDENTIAL "credential:"

static int refuse(const struct nb_log *log, const struct policy_position *at, const char *path, const char *why) {
        nb_log(log, NB_LOG_ERROR, "%s:%u:%u: error: cannot use %s: %s", at->file, at->line, at->column, path, why);
        return -EINVAL;
}

static const char *why_not(int error) {
        switch (error) {
        case ENOENT:
                return "there is no such file; make it, or write where it is";
        case EACCES:
                return "the broker may not read it; make its group the broker's and let that read it (chgrp, chmod "
                       "g+r), or pass it by LoadCredential= of the unit, as credential:NAME";
        case ELOOP:
                return "its links lead in a circle";
        default:
                return strerror(error);
        }
}

/* Whether the file is one to be passed on. @return why not; NULL: it is */
static const char *fault_of(int fd, bool is_secret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return strerror(errno);
        if (!S_ISREG(st.st_mode))
                return "it is no regular file";
        if (st.st_size == 0)
                return "it is empty";
        if (st.st_size > (off_t)NB_RELAY_FILE_SIZE_MAX)
                return "it is larger than 4 MiB, which no such file is";
        if (is_secret && (st.st_mode & (S_IROTH | S_IWOTH)))
                return "others than its owner and group may read or write it, and it holds a secret; write: chmod "
                       "o-rw";
        return NULL;
}

static int open_file(const struct nb_log *log, const struct policy_position *at, const char *name, const char *path,
                     bool is_secret) {
        /* A FIFO would be waited for. */
        NB_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        const char *fault;

        if (fd < 0)
                return refuse(log, at, name, why_not(errno));
        fault = fault_of(fd, is_secret);
        return fault ? refuse(log, at, name, fault) : nb_steal_fd(&fd);
}

int secret_file_open(const struct nb_log *log, const struct policy_path *path, bool is_secret) {
        const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
        char credential[PATH_MAX];

        if (strncmp(path->path, CREDENTIAL, strlen(CREDENTIAL)) != 0)
                return open_file(log, &path->at, path->path, path->path, is_secret);
        if (!folder)
                return refuse(log, &path->at, path->path,
                              "systemd has passed no credentials; write LoadCredential= in the broker's unit");
        if (snprintf(credential, sizeof(credential), "%s/%s", folder, path->path + strlen(CREDENTIAL)) >=
            (int)sizeof(credential))
                return refuse(log, &path->at, path->path, "the name is too long");
        return open_file(log, &path->at, path->path, credential, is_secret);
}

int secret_file_open_system_trust(const struct nb_log *log, const struct policy_position *at) {
        return open_file(log, at, SYSTEM_TRUST_PATH, SYSTEM_TRUST_PATH, false);
}

const char *secret_file_system_trust(void) {
        return SYSTEM_TRUST_PATH;
}
