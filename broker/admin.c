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
};

static struct admin_socket *socket_free(struct admin_socket *s) {
        if (!s)
                return NULL;
        nb_list_remove(&s->link);
        /* First, while nobody can take the socket for a stale one and put another in its place. */
        if (s->path)
                (void)unlink(s->path);
        s->own = own_free(s->own);
        watch_end_before_close(&s->watch);
        s->fd = nb_fd_close(s->fd);
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

/* @param path  consumed, may be NULL */
static int serve(struct admin *admin, int fd_consumed, char *path) {
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
        nb_list_append(&admin->sockets, &s->link);
        (void)nb_steal_ptr(s);
        return 0;
}

int admin_listen_path(struct admin *admin, const char *path) {
        NB_CLEANUP_FREE char *copy = strdup(path);
        int fd;

        if (!copy)
                return -ENOMEM;
        fd = nb_unix_listen(path, SOCK_STREAM, 0600, BACKLOG);
        return fd < 0 ? fd : serve(admin, fd, nb_steal_ptr(copy));
}

static bool has_option(int fd, int option, int expected) {
        socklen_t length = sizeof(int);
        int value = 0;

        return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value == expected;
}

int admin_listen_fd(struct admin *admin, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        int r;

        if (!has_option(fd, SO_DOMAIN, AF_UNIX) || !has_option(fd, SO_TYPE, SOCK_STREAM) ||
            !has_option(fd, SO_ACCEPTCONN, 1))
                return -EINVAL;
        r = nb_fd_prepare(fd);
        if (r < 0)
                return r;
        return serve(admin, nb_steal_fd(&fd), NULL);
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
