/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/unix_listener.h"
#include "broker/admin_client.h"
#include "broker/broker.h"
#include "loop/deadline.h"
#include "broker/own.h"

#define BACKLOG 16

/* How long to wait when there are no descriptors left. */
#define PAUSE_MS 100

struct admin_socket {
        struct nb_list link;
        struct admin *admin;
        struct watch watch;
        int fd;
        char *path; /* to be removed; NULL if it is not ours */
        struct own_socket *own;
        struct deadline *pause;
        struct kept kept;
};

/* As that of a listener (broker/listener.c). */
static void end_socket(struct admin_socket *s) {
        bool is_kept = s->kept.keep;
        bool comes_back = is_kept && keep_is_detached(s->kept.keep);

        /* First, while nobody can take the socket for a stale one and put another in its place. */
        if (s->path && !comes_back)
                (void)unlink(s->path);
        if (is_kept)
                watch_end(&s->watch);
        watch_end_before_close(&s->watch);
        if (is_kept && !comes_back)
                (void)shutdown(s->fd, SHUT_RDWR);
        keep_forget(&s->kept);
        s->fd = nb_fd_close(s->fd);
}

static struct admin_socket *socket_free(struct admin_socket *s) {
        if (!s)
                return NULL;
        nb_list_remove(&s->link);
        end_socket(s);
        s->own = own_free(s->own);
        s->pause = deadline_free(s->pause);
        free(s->path);
        free(s);
        return NULL;
}

static void cleanup_socket(struct admin_socket **s) {
        *s = socket_free(*s);
}

static void resume(void *data) {
        struct admin_socket *s = data;

        s->pause = deadline_free(s->pause);
        (void)watch_change(&s->watch, EPOLLIN);
}

/* The broker is short of descriptors: a loop that asks again at once would leave the tenants no time to give any back. */
static void pause_for_a_moment(struct admin_socket *s) {
        s->pause = deadline_new(&s->admin->broker->loop, PAUSE_MS, resume, s);
        if (s->pause)
                (void)watch_change(&s->watch, 0);
}

static void ready(struct watch *watch, uint32_t events) {
        struct admin_socket *s = nb_container_of(watch, struct admin_socket, watch);
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        (void)events;
        if (fd >= 0)
                admin_client_new(s->admin, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_for_a_moment(s);
}

static void describe(const struct kept *kept, struct kept_sink *sink) {
        const struct admin_socket *s = nb_container_of(kept, const struct admin_socket, kept);
        Nb__State__Listener body = NB__STATE__LISTENER__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        body.path = s->path;
        body.admin = true;
        item.body_case = NB__STATE__ITEM__BODY_LISTENER;
        item.listener = &body;
        kept_sink_give(sink, &item, &s->fd, 1);
}

static const struct kept_ops kept_ops = { .describe = describe };

/* What the broker has made is left with the keeper. */
static void begin(struct admin_socket *s) {
        nb_list_append(&s->admin->sockets, &s->link);
        if (s->path)
                keep_put(s->admin->broker->keep, &s->kept, &kept_ops);
}

/* @param path  consumed, may be NULL @param item_id  of the keeper's; 0: it does not know of it */
static int serve(struct admin *admin, int fd_consumed, char *path, uint64_t item_id) {
        NB_CLEANUP_FD int fd = fd_consumed;
        NB_CLEANUP(cleanup_socket) struct admin_socket *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                free(path);
                return -ENOMEM;
        }
        nb_channel_refuse_fds(fd);
        nb_list_init(&s->link);
        s->admin = admin;
        s->path = path;
        s->fd = nb_steal_fd(&fd);
        s->own = own_add(&admin->broker->own, "the admin socket", s->fd, path);
        if (!s->own)
                return -ENOMEM;
        r = watch_start(&s->watch, &admin->broker->watches, s->fd, EPOLLIN, ready);
        if (r < 0)
                return r;
        if (item_id != 0)
                keep_adopt(admin->broker->keep, &s->kept, &kept_ops, item_id);
        begin(s);
        (void)nb_steal_ptr(s);
        return 0;
}

int admin_listen_path(struct admin *admin, const char *path) {
        NB_CLEANUP_FREE char *copy = strdup(path);
        int fd;

        if (!copy)
                return -ENOMEM;
        fd = nb_unix_listen(path, SOCK_STREAM, 0600, BACKLOG);
        return fd < 0 ? fd : serve(admin, fd, nb_steal_ptr(copy), 0);
}

static bool has_option(int fd, int option, int expected) {
        socklen_t length = sizeof(int);
        int value = 0;

        return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value == expected;
}

static bool is_listening_stream(int fd) {
        return has_option(fd, SO_DOMAIN, AF_UNIX) && has_option(fd, SO_TYPE, SOCK_STREAM) &&
               has_option(fd, SO_ACCEPTCONN, 1);
}

int admin_listen_fd(struct admin *admin, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        int r;

        if (!is_listening_stream(fd))
                return -EINVAL;
        r = nb_fd_prepare(fd);
        if (r < 0)
                return r;
        return serve(admin, nb_steal_fd(&fd), NULL, 0);
}

int admin_restore(struct admin *admin, struct kept_item *item) {
        const Nb__State__Listener *state = item->item->listener;
        NB_CLEANUP_FREE char *path = strdup(state->path);

        if (!path)
                return -ENOMEM;
        if (item->n_fds != 1 || !*path || !is_listening_stream(item->fds[0]))
                return -EBADMSG;
        if (kept_socket_is_over(item->fds[0]))
                return -ESHUTDOWN;
        return serve(admin, nb_steal_fd(&item->fds[0]), nb_steal_ptr(path), item->id);
}

static bool is_at(const struct admin_socket *s, const char *path) {
        return s->path && path && strcmp(s->path, path) == 0;
}

bool admin_has_path(const struct admin *admin, const char *path) {
        nb_list_foreach_safe(link, &admin->sockets) {
                if (is_at(nb_container_of(link, struct admin_socket, link), path))
                        return true;
        }
        return false;
}

void admin_end_other(struct admin *admin, const char *path) {
        nb_list_foreach_safe(link, &admin->sockets) {
                struct admin_socket *s = nb_container_of(link, struct admin_socket, link);

                if (s->path && !is_at(s, path))
                        (void)socket_free(s);
        }
}

struct admin *admin_new(struct broker *broker) {
        struct admin *admin = calloc(1, sizeof(*admin));

        if (!admin)
                return NULL;
        admin->broker = broker;
        nb_list_init(&admin->sockets);
        nb_list_init(&admin->clients);
        nb_list_init(&admin->watchers);
        return admin;
}

struct admin *admin_free(struct admin *admin) {
        if (!admin)
                return NULL;
        admin_client_free_all(admin);
        nb_list_foreach_safe(link, &admin->sockets)(void) socket_free(nb_container_of(link, struct admin_socket, link));
        free(admin);
        return NULL;
}
