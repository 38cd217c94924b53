/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tenant_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/listener.h"
#include "broker/unix_path.h"

struct tenant_sockets {
        size_t n;
        struct listener *made[]; /* owned */
};

static void cleanup_sockets(struct tenant_sockets **sockets) {
        *sockets = tenant_sockets_abandon(*sockets);
}

static int refuse(const struct broker *broker, const struct policy_session_socket *socket, const char *why) {
        nb_log(&broker->log, NB_LOG_ERROR, "%s:%u: error: cannot make Socket=%s: %s", socket->file, socket->line,
               socket->path, why);
        return -EINVAL;
}

static struct listener_owner owner_of(const struct broker *broker, const struct policy_tenant *tenant) {
        const struct policy_session_socket *socket = &tenant->socket;

        return (struct listener_owner){
                .tenant = tenant->name,
                .uid = socket->uid == POLICY_NOBODY ? broker->uid : socket->uid,
                .gid = socket->gid == POLICY_NOBODY ? broker->gid : socket->gid,
                .mode = (mode_t)socket->mode,
        };
}

/* ---- making one ---- */

static const char *why_not(int r) {
        switch (-r) {
        case EADDRINUSE:
                return "another process serves it; choose another path, or end that process";
        case EEXIST:
                return "another file is there; choose another path, or remove it";
        case ENOENT:
                return "its folder is not there; make it (RuntimeDirectory=, or a line for systemd-tmpfiles)";
        case EACCES:
                return "the broker may not write in its folder; make it the broker's, or let systemd make the socket "
                       "(ListenSequentialPacket=)";
        case EPERM:
                return "only root gives a socket to another user or group; restart netbrokerd, or let systemd make "
                       "the socket (ListenSequentialPacket=)";
        case EROFS:
                return "its folder cannot be written to; in the unit, name it by ReadWritePaths=";
        case ELOOP:
                return "a component of the path is a symbolic link; write where it leads";
        case ENAMETOOLONG:
                return "the path is too long for a socket; write a shorter one";
        default:
                return strerror(-r);
        }
}

/* Of two tenants with one path, which the loader refuses, this would see the second only when the first is served. */
static bool is_taken_twice(const struct policy *policy, const struct policy_tenant *tenant) {
        for (const struct policy_tenant *other = policy->tenants; other < tenant; ++other) {
                if (other->socket.path && strcmp(other->socket.path, tenant->socket.path) == 0)
                        return true;
        }
        return false;
}

static int check_path(const struct broker *broker, const struct policy_session_socket *socket) {
        struct nb_unix_name name;
        int r;

        if (nb_unix_name_parse(socket->path, strlen(socket->path), &name) < 0 || name.abstract)
                return refuse(broker, socket, "that is no absolute path");
        r = unix_path_check_free(&name);
        return r < 0 ? refuse(broker, socket, why_not(r)) : 0;
}

static int make(struct broker *broker, const struct policy_session_socket *socket, const struct listener_owner *owner,
                struct listener **ret) {
        int r = listener_prepare(broker, socket->path, owner, ret);

        return r < 0 ? refuse(broker, socket, why_not(r)) : 0;
}

/* @param ret  NULL when it is served as the policy wants it */
static int prepare_one(struct broker *broker, const struct policy *policy, const struct policy_tenant *tenant,
                       struct listener **ret) {
        const struct policy_session_socket *socket = &tenant->socket;
        const struct listener *served = listener_find(broker, socket->path);
        struct listener_owner owner = owner_of(broker, tenant);
        int r;

        *ret = NULL;
        if (is_taken_twice(policy, tenant))
                return refuse(broker, socket, "another tenant has it; give each a path of its own");
        if (served && (!listener_is_ours(served) || listener_is_of(served, &owner)))
                return 0;
        if (served && listener_is_general(served))
                return refuse(broker, socket, "it is the general one (--socket); choose another path");
        r = served ? 0 : check_path(broker, socket);
        return r < 0 ? r : make(broker, socket, &owner, ret);
}

int tenant_sockets_prepare(struct broker *broker, const struct policy *policy, struct tenant_sockets **ret) {
        NB_CLEANUP(cleanup_sockets) struct tenant_sockets *sockets = NULL;

        sockets = calloc(1, sizeof(*sockets) + policy->n_tenants * sizeof(sockets->made[0]));
        if (!sockets)
                return -ENOMEM;
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                int r = 0;

                if (policy->tenants[i].socket.path)
                        r = prepare_one(broker, policy, &policy->tenants[i], &sockets->made[sockets->n]);
                if (r < 0)
                        return r;
                if (sockets->made[sockets->n])
                        sockets->n++;
        }
        *ret = nb_steal_ptr(sockets);
        return 0;
}

/* ---- putting them in force ---- */

/* The folder was there a moment ago, and the name is short enough: what fails is for who has moved it away. */
static void replace(struct broker *broker, struct listener *listener) {
        struct listener *before = listener_find(broker, listener_path(listener));
        int r = listener_start(listener);

        if (r == 0) {
                (void)listener_free(before);
                return;
        }
        nb_log(&broker->log, NB_LOG_ERROR, "cannot serve sessions at %s: %s; reload again", listener_path(listener),
               strerror(-r));
        (void)listener_free(listener);
}

void tenant_sockets_commit(struct broker *broker, const struct policy *policy, struct tenant_sockets *sockets) {
        for (size_t i = 0; i < sockets->n; ++i)
                replace(broker, sockets->made[i]);
        listener_end_unwanted(broker, policy);
        free(sockets);
}

struct tenant_sockets *tenant_sockets_abandon(struct tenant_sockets *sockets) {
        if (!sockets)
                return NULL;
        for (size_t i = 0; i < sockets->n; ++i)
                (void)listener_free(sockets->made[i]);
        free(sockets);
        return NULL;
}
