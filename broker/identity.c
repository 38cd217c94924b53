/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Linux 6.5. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* Twelve hierarchies of version 1, each with a path; what is longer is cut, and then in no unit. */
#define CGROUP_TEXT_MAX 8192

/* ---- the unit ---- */

/* The path in the unified hierarchy; NULL: none. */
static const char *unified_path(const char *text) {
        for (const char *line = text; *line; ++line) {
                if (strncmp(line, "0::/", 4) == 0)
                        return line + 3;
                line = strchr(line, '\n');
                if (!line)
                        return NULL;
        }
        return NULL;
}

static bool ends_with(const char *text, size_t length, const char *end) {
        size_t n = strlen(end);

        return length > n && memcmp(text + length - n, end, n) == 0;
}

/* What systemd.unit(5) allows in a name, which leaves out what the kernel writes behind the path of a group that is gone. */
static bool is_name(const char *text, size_t length) {
        for (size_t i = 0; i < length; ++i) {
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@", text[i]))
                        return false;
        }
        return ends_with(text, length, ".service") || ends_with(text, length, ".scope");
}

bool identity_parse_unit(const char *text, char ret[static IDENTITY_UNIT_MAX]) {
        const char *path = unified_path(text);

        while (path && *path == '/') {
                const char *name = path + 1;
                size_t length = strcspn(name, "/\n");

                if (ends_with(name, length, ".slice")) {
                        path = name + length;
                        continue;
                }
                /* systemd puts this before a name that could be taken for a file of the kernel's. */
                if (*name == '_') {
                        name++;
                        length--;
                }
                /* A text that was cut ends anywhere. */
                if (length >= IDENTITY_UNIT_MAX || name[length] == '\0' || !is_name(name, length))
                        return false;
                memcpy(ret, name, length);
                ret[length] = '\0';
                return true;
        }
        return false;
}

static int open_pidfd(int fd) {
        socklen_t length = sizeof(int);
        int pidfd = -1;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0)
                return -errno;
        return pidfd;
}

static bool lives(int pidfd) {
        struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

        return poll(&pollfd, 1, 0) == 0;
}

static bool read_cgroup(pid_t pid, char text[static CGROUP_TEXT_MAX]) {
        char path[32];
        NB_CLEANUP_FD int fd = -1;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return false;
        n = read(fd, text, CGROUP_TEXT_MAX - 1);
        if (n < 0)
                return false;
        text[n] = '\0';
        return true;
}

/* Leaves out a unit that cannot be known: then no Unit= fits, which is the safe side. */
static int find_unit(int fd, struct identity *identity) {
        NB_CLEANUP_FD int pidfd = open_pidfd(fd);
        char text[CGROUP_TEXT_MAX], unit[IDENTITY_UNIT_MAX];

        if (pidfd < 0 || identity->pid <= 0 || !read_cgroup(identity->pid, text) || !lives(pidfd))
                return 0;
        if (!identity_parse_unit(text, unit))
                return 0;
        identity->unit = strdup(unit);
        return identity->unit ? 0 : -ENOMEM;
}

static bool has_unit(const struct policy_tenant *tenant) {
        for (size_t i = 0; i < tenant->n_principals; ++i) {
                if (tenant->principals[i].kind == POLICY_PRINCIPAL_UNIT)
                        return true;
        }
        return false;
}

const struct policy_tenant *identity_find_blind(const struct policy *policy) {
        char text[CGROUP_TEXT_MAX];

        if (read_cgroup(1, text))
                return NULL;
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                if (has_unit(&policy->tenants[i]))
                        return &policy->tenants[i];
        }
        return NULL;
}

/* ---- user and groups ---- */

static int find_credentials(int fd, struct identity *identity) {
        struct ucred peer;
        socklen_t length = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
                return -errno;
        identity->uid = peer.uid;
        identity->gid = peer.gid;
        identity->pid = peer.pid;
        return 0;
}

static int find_groups(int fd, struct identity *identity) {
        gid_t groups[IDENTITY_GROUPS_MAX];
        socklen_t length = sizeof(groups);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0)
                return errno == ERANGE ? 0 : -errno;
        if (length == 0)
                return 0;
        identity->groups = malloc(length);
        if (!identity->groups)
                return -ENOMEM;
        memcpy(identity->groups, groups, length);
        identity->n_groups = length / sizeof(groups[0]);
        return 0;
}

static int note_socket(const struct policy_tenant *tenant, struct identity *identity) {
        identity->tenant = strdup(tenant->name);
        identity->socket = strdup(tenant->socket.path);
        return identity->tenant && identity->socket ? 0 : -ENOMEM;
}

static void cleanup_identity(struct identity *identity) {
        identity_deinit(identity);
}

int identity_of_peer(int fd, const struct policy_tenant *tenant, struct identity *ret) {
        NB_CLEANUP(cleanup_identity) struct identity identity = { .inherited = false };
        int r = find_credentials(fd, &identity);

        if (r == 0)
                r = find_groups(fd, &identity);
        if (r == 0)
                r = find_unit(fd, &identity);
        if (r == 0 && tenant)
                r = note_socket(tenant, &identity);
        if (r < 0)
                return r;
        *ret = identity;
        identity = (struct identity){ .inherited = false };
        return 0;
}

void identity_deinit(struct identity *identity) {
        free(identity->groups);
        free(identity->unit);
        free(identity->tenant);
        free(identity->socket);
        *identity = (struct identity){ .inherited = false };
}

/* ---- who admits it ---- */

static bool has_group(const struct identity *identity, gid_t gid) {
        if (identity->gid == gid)
                return true;
        for (size_t i = 0; i < identity->n_groups; ++i) {
                if (identity->groups[i] == gid)
                        return true;
        }
        return false;
}

static bool is_principal(const struct identity *identity, const struct policy_principal *principal) {
        switch (principal->kind) {
        case POLICY_PRINCIPAL_USER:
                return identity->uid == principal->id;
        case POLICY_PRINCIPAL_GROUP:
                return has_group(identity, principal->id);
        case POLICY_PRINCIPAL_UNIT:
                return identity->unit && strcmp(identity->unit, principal->text) == 0;
        }
        return false;
}

/* A tenant whose own socket has moved meanwhile has not admitted who came by the one before. */
static bool came_by_socket_of(const struct identity *identity, const struct policy_tenant *tenant) {
        return strcmp(identity->tenant, tenant->name) == 0 && tenant->socket.path &&
               strcmp(identity->socket, tenant->socket.path) == 0;
}

bool identity_fits(const struct identity *identity, const struct policy_tenant *tenant) {
        if (identity->inherited)
                return true;
        if (identity->tenant)
                return came_by_socket_of(identity, tenant);
        for (size_t i = 0; i < tenant->n_principals; ++i) {
                if (is_principal(identity, &tenant->principals[i]))
                        return true;
        }
        return false;
}
