/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/unix_listener.h"
#include "broker/broker.h"
#include "loop/deadline.h"
#include "broker/identity.h"
#include "broker/session.h"
#include "broker/unix_path.h"

/* Sessions that may wait to be accepted; the kernel caps it by net.core.somaxconn. */
#define BACKLOG 1024

/* How many are accepted before other descriptors have their turn. */
#define BATCH 16

/* How long to wait when there are no descriptors left. */
#define PAUSE_MS 100

struct listener {
        struct nb_list link; /* in its broker */
        struct broker *broker;
        struct watch watch;
        int fd;
        char *path;                  /* NULL: it has none */
        bool is_made;                /* by us, so that we remove it */
        struct listener_owner owner; /* `tenant` is ours */
        struct unix_file *file;      /* of a tenant's own */
        struct own_socket *own;
        struct deadline *pause;
        struct kept kept;
};

static void cleanup_listener(struct listener **listener) {
        *listener = listener_free(*listener);
}

static void resume(void *data) {
        struct listener *listener = data;

        listener->pause = deadline_free(listener->pause);
        (void)watch_change(&listener->watch, EPOLLIN);
}

static void pause_for_a_moment(struct listener *listener) {
        struct broker *broker = listener->broker;

        nb_log(&broker->log, NB_LOG_WARNING, "cannot accept a session: %s; trying again in %d ms", strerror(errno),
               PAUSE_MS);
        listener->pause = deadline_new(&broker->loop, PAUSE_MS, resume, listener);
        if (listener->pause)
                (void)watch_change(&listener->watch, 0);
}

/* A stranger can bring this about at will, so it goes to the audit, whose rate is limited. */
static void record_turned_away(struct broker *broker, uid_t uid, pid_t pid, int error) {
        char reason[128];
        struct audit_record record = { .verb = "hello", .verdict = "denied", .reason = reason };

        (void)snprintf(reason, sizeof(reason), "pid %d of user %u turned away: %s", (int)pid, (unsigned)uid,
                       strerror(-error));
        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

const struct policy_tenant *listener_tenant_at(const struct policy *policy, const char *path) {
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                const char *own = policy->tenants[i].socket.path;

                if (own && strcmp(own, path) == 0)
                        return &policy->tenants[i];
        }
        return NULL;
}

/* Whose own socket it is by the policy of this moment; NULL: a general one. */
static const struct policy_tenant *tenant_of(const struct listener *listener) {
        return listener->path ? listener_tenant_at(listener->broker->policy, listener->path) : NULL;
}

static int accept_one(struct listener *listener) {
        struct broker *broker = listener->broker;
        NB_CLEANUP_FD int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct identity identity;
        uid_t uid;
        pid_t pid;
        int r;

        if (fd < 0)
                return -errno;
        r = identity_of_peer(fd, tenant_of(listener), &identity);
        if (r < 0)
                return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : 0;
        uid = identity.uid;
        pid = identity.pid;
        r = session_new(broker, nb_steal_fd(&fd), &identity);
        if (r < 0)
                record_turned_away(broker, uid, pid, r);
        return 0;
}

static void ready(struct watch *watch, uint32_t events) {
        struct listener *listener = nb_container_of(watch, struct listener, watch);

        (void)events;
        for (int i = 0; i < BATCH; ++i) {
                int r = accept_one(listener);

                if (r == -EAGAIN || r == -EINTR)
                        return;
                if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM) {
                        errno = -r;
                        pause_for_a_moment(listener);
                        return;
                }
        }
}

/*
 * A listener that accepts nobody yet.
 * @param fd    consumed
 * @param path  borrowed, may be NULL
 * @param at    where it is at the moment, borrowed; NULL: the kernel tells
 */
static int new_listener(struct broker *broker, int fd_consumed, const char *path, const char *at,
                        struct listener **ret) {
        NB_CLEANUP_FD int fd = fd_consumed;
        NB_CLEANUP(cleanup_listener) struct listener *listener = calloc(1, sizeof(*listener));
        int r;

        if (!listener)
                return -ENOMEM;
        nb_channel_refuse_fds(fd);
        nb_list_init(&listener->link);
        listener->broker = broker;
        listener->fd = nb_steal_fd(&fd);
        listener->path = path ? strdup(path) : NULL;
        listener->own = own_add(&broker->own, "a socket of sessions", listener->fd, at);
        if (!listener->own || (path && !listener->path))
                return -ENOMEM;
        r = watch_start(&listener->watch, &broker->watches, listener->fd, 0, ready);
        if (r < 0)
                return r;
        *ret = nb_steal_ptr(listener);
        return 0;
}

static void describe(const struct kept *kept, struct kept_sink *sink) {
        const struct listener *listener = nb_container_of(kept, const struct listener, kept);
        Nb__State__Listener body = NB__STATE__LISTENER__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        body.path = listener->path;
        if (listener->owner.tenant)
                body.tenant = (char *)listener->owner.tenant;
        body.uid = listener->owner.uid;
        body.gid = listener->owner.gid;
        body.mode = listener->owner.mode;
        if (listener->file)
                unix_file_identify(listener->file, &body.file_device, &body.file_inode);
        item.body_case = NB__STATE__ITEM__BODY_LISTENER;
        item.listener = &body;
        kept_sink_give(sink, &item, &listener->fd, 1);
}

static const struct kept_ops kept_ops = { .describe = describe };

static int begin(struct listener *listener) {
        int r = watch_change(&listener->watch, EPOLLIN);

        if (r < 0)
                return r;
        nb_list_append(&listener->broker->listeners, &listener->link);
        if (listener->is_made)
                keep_put(listener->broker->keep, &listener->kept, &kept_ops);
        return 0;
}

static int serve(struct listener *listener_consumed) {
        NB_CLEANUP(cleanup_listener) struct listener *listener = listener_consumed;
        int r = begin(listener);

        if (r < 0)
                return r;
        (void)nb_steal_ptr(listener);
        return 0;
}

int listener_new_path(struct broker *broker, const char *path) {
        struct listener *listener = NULL;
        /* Everyone may knock: the tenants' users are the policy's matter. */
        int fd = nb_unix_listen(path, SOCK_SEQPACKET, 0666, BACKLOG);
        int r;

        if (fd < 0)
                return fd;
        r = new_listener(broker, fd, path, path, &listener);
        if (r < 0) {
                (void)unlink(path);
                return r;
        }
        listener->is_made = true;
        return serve(listener);
}

static bool is_listening(int fd) {
        socklen_t length = sizeof(int);
        int listening = 0;

        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

/* The path that a socket was bound to; not an abstract name. @return `buffer`, or NULL */
static const char *path_of(int fd, struct sockaddr_un *buffer) {
        socklen_t length = sizeof(*buffer) - 1;

        *buffer = (struct sockaddr_un){ .sun_family = AF_UNSPEC };
        if (getsockname(fd, (struct sockaddr *)buffer, &length) < 0 || buffer->sun_path[0] != '/')
                return NULL;
        return buffer->sun_path;
}

int listener_new_fd(struct broker *broker, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        struct listener *listener = NULL;
        struct sockaddr_un sa;
        const char *path;
        int r;

        if (nb_channel_check(fd) < 0 || !is_listening(fd))
                return -EINVAL;
        r = nb_fd_prepare(fd);
        if (r < 0)
                return r;
        path = path_of(fd, &sa);
        r = new_listener(broker, nb_steal_fd(&fd), path, NULL, &listener);
        return r < 0 ? r : serve(listener);
}

/* ---- tenants' own ---- */

/* The name under which it is made: `/run/acme/.nb.sock.new`, which is gone when it serves. */
static int name_beside(const char *path, struct nb_unix_name *ret) {
        const char *last = strrchr(path, '/') + 1;
        char text[NB_UNIX_NAME_MAX + 1];
        int n = snprintf(text, sizeof(text), "%.*s.%s.new", (int)(last - path), path, last);

        if (n < 0 || (size_t)n >= sizeof(text))
                return -ENAMETOOLONG;
        return nb_unix_name_parse(text, (size_t)n, ret);
}

static void cleanup_file(struct unix_file **file) {
        *file = unix_file_free(*file);
}

/* An earlier broker that was killed between prepare and start may have left its own there. */
static int make_tenants(const struct nb_unix_name *name, const struct listener_owner *owner, struct unix_file **ret,
                        int *ret_fd) {
        NB_CLEANUP(cleanup_file) struct unix_file *file = NULL;
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r = fd < 0 ? -errno : unix_path_remove_stale(name);

        if (r == 0)
                r = unix_path_bind(fd, name, owner->mode, &file);
        if (r == 0)
                r = unix_file_give(file, owner->uid, owner->gid);
        if (r == 0 && listen(fd, BACKLOG) < 0)
                r = -errno;
        if (r < 0)
                return r;
        *ret = nb_steal_ptr(file);
        *ret_fd = nb_steal_fd(&fd);
        return 0;
}

int listener_prepare(struct broker *broker, const char *path, const struct listener_owner *owner,
                     struct listener **ret) {
        NB_CLEANUP(cleanup_listener) struct listener *listener = NULL;
        NB_CLEANUP(cleanup_file) struct unix_file *file = NULL;
        struct nb_unix_name name;
        int fd = -1;
        int r = name_beside(path, &name);

        if (r == 0)
                r = make_tenants(&name, owner, &file, &fd);
        if (r == 0)
                r = new_listener(broker, fd, path, name.text, &listener);
        if (r < 0)
                return r;
        listener->file = nb_steal_ptr(file);
        own_set_tenants(listener->own);
        listener->is_made = true;
        listener->owner = *owner;
        listener->owner.tenant = strdup(owner->tenant);
        if (!listener->owner.tenant)
                return -ENOMEM;
        *ret = nb_steal_ptr(listener);
        return 0;
}

int listener_start(struct listener *listener) {
        int r = unix_file_rename(listener->file, strrchr(listener->path, '/') + 1);

        if (r < 0)
                return r;
        own_set_path(listener->own, listener->path);
        return begin(listener);
}

struct listener *listener_find(const struct broker *broker, const char *path) {
        nb_list_foreach_safe(link, &broker->listeners) {
                struct listener *listener = nb_container_of(link, struct listener, link);

                if (listener->path && strcmp(listener->path, path) == 0)
                        return listener;
        }
        return NULL;
}

bool listener_is_ours(const struct listener *listener) {
        return listener->is_made;
}

bool listener_is_general(const struct listener *listener) {
        return listener->is_made && !listener->owner.tenant;
}

const char *listener_path(const struct listener *listener) {
        return listener->path;
}

bool listener_is_of(const struct listener *listener, const struct listener_owner *owner) {
        const struct listener_owner *mine = &listener->owner;

        return mine->tenant && strcmp(mine->tenant, owner->tenant) == 0 && mine->uid == owner->uid &&
               mine->gid == owner->gid && mine->mode == owner->mode;
}

static bool is_wanted(const struct listener *listener, const struct policy *policy) {
        const struct policy_tenant *tenant = policy_find_tenant(policy, listener->owner.tenant);

        return tenant && tenant->socket.path && strcmp(tenant->socket.path, listener->path) == 0;
}

void listener_end_other_general(struct broker *broker, const char *path) {
        nb_list_foreach_safe(link, &broker->listeners) {
                struct listener *listener = nb_container_of(link, struct listener, link);

                if (listener_is_general(listener) && (!path || strcmp(path, listener->path) != 0))
                        (void)listener_free(listener);
        }
}

void listener_end_unwanted(struct broker *broker, const struct policy *policy) {
        nb_list_foreach_safe(link, &broker->listeners) {
                struct listener *listener = nb_container_of(link, struct listener, link);

                if (listener->owner.tenant && !is_wanted(listener, policy))
                        (void)listener_free(listener);
        }
}

/* First, while nobody can take the socket for a stale one and put another in its place. */
static void remove_path(struct listener *listener) {
        if (listener->file)
                listener->file = unix_file_free(listener->file);
        else if (listener->is_made)
                (void)unlink(listener->path);
}

/* The keeper has a duplicate of what the broker has made: closing ours ends nothing then. */
static void end_socket(struct listener *listener) {
        bool is_kept = listener->kept.keep;
        bool comes_back = is_kept && keep_is_detached(listener->kept.keep);

        if (comes_back)
                listener->file = unix_file_leave(listener->file);
        else
                remove_path(listener);
        if (is_kept)
                watch_end(&listener->watch);
        watch_end_before_close(&listener->watch);
        if (is_kept && !comes_back)
                (void)shutdown(listener->fd, SHUT_RDWR);
        keep_forget(&listener->kept);
        listener->fd = nb_fd_close(listener->fd);
}

struct listener *listener_free(struct listener *listener) {
        if (!listener)
                return NULL;
        nb_list_remove(&listener->link);
        end_socket(listener);
        listener->own = own_free(listener->own);
        listener->pause = deadline_free(listener->pause);
        free((char *)listener->owner.tenant);
        free(listener->path);
        free(listener);
        return NULL;
}

void listener_free_all(struct broker *broker) {
        nb_list_foreach_safe(link, &broker->listeners)(void)
                listener_free(nb_container_of(link, struct listener, link));
}

/* ---- after a restart ---- */

static int restore_owner(struct listener *listener, const Nb__State__Listener *state) {
        listener->is_made = true;
        if (!*state->tenant)
                return 0;
        listener->owner = (struct listener_owner){ .uid = state->uid, .gid = state->gid, .mode = (mode_t)state->mode };
        listener->owner.tenant = strdup(state->tenant);
        if (!listener->owner.tenant)
                return -ENOMEM;
        own_set_tenants(listener->own);
        return unix_file_take_over(state->path, state->file_device, state->file_inode, &listener->file);
}

int listener_restore(struct broker *broker, struct kept_item *item) {
        const Nb__State__Listener *state = item->item->listener;
        NB_CLEANUP(cleanup_listener) struct listener *listener = NULL;
        int r;

        if (item->n_fds != 1 || !*state->path || nb_channel_check(item->fds[0]) < 0 || !is_listening(item->fds[0]))
                return -EBADMSG;
        /* Nobody reaches it; it is made anew where it is wanted. */
        if (kept_socket_is_over(item->fds[0]))
                return -ESHUTDOWN;
        r = new_listener(broker, nb_steal_fd(&item->fds[0]), state->path, state->path, &listener);
        if (r == 0)
                r = restore_owner(listener, state);
        if (r < 0)
                return r;
        keep_adopt(broker->keep, &listener->kept, &kept_ops, item->id);
        return serve(nb_steal_ptr(listener));
}
