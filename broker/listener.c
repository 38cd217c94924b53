/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "broker/broker.h"
#include "broker/deadline.h"
#include "broker/session.h"

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
        char *path; /* to be removed; NULL if it is not ours */
        struct deadline *pause;
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
static void record_turned_away(struct broker *broker, const struct session_identity *identity, int error) {
        char reason[128];
        struct audit_record record = { .verb = "hello", .verdict = "denied", .reason = reason };

        (void)snprintf(reason, sizeof(reason), "pid %d of user %u turned away: %s", (int)identity->pid,
                       (unsigned)identity->uid, strerror(-error));
        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

static int accept_one(struct listener *listener) {
        struct broker *broker = listener->broker;
        NB_CLEANUP_FD int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct session_identity identity = { .inherited = false };
        socklen_t length;
        struct ucred peer;
        int r;

        if (fd < 0)
                return -errno;
        length = sizeof(peer);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
                return 0;
        identity.uid = peer.uid;
        identity.pid = peer.pid;
        r = session_new(broker, nb_steal_fd(&fd), &identity);
        if (r < 0)
                record_turned_away(broker, &identity, r);
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

/* @param path  consumed, may be NULL */
static int serve(struct broker *broker, int fd_consumed, char *path) {
        NB_CLEANUP_FD int fd = fd_consumed;
        NB_CLEANUP(cleanup_listener) struct listener *listener = calloc(1, sizeof(*listener));
        int r;

        if (!listener) {
                free(path);
                return -ENOMEM;
        }
        nb_channel_refuse_fds(fd);
        nb_list_init(&listener->link);
        listener->broker = broker;
        listener->path = path;
        listener->fd = nb_steal_fd(&fd);
        r = watch_start(&listener->watch, &broker->watches, listener->fd, EPOLLIN, ready);
        if (r < 0)
                return r;
        nb_list_append(&broker->listeners, &listener->link);
        (void)nb_steal_ptr(listener);
        return 0;
}

static int new_seqpacket_socket(void) {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd < 0 ? -errno : fd;
}

/* Removes a socket that nobody serves. Any other file in its place is left alone, and bind() will say so. */
static int remove_stale(const struct sockaddr_un *sa) {
        NB_CLEANUP_FD int fd = -1;
        struct stat st;

        if (lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return 0;
        fd = new_seqpacket_socket();
        if (fd < 0)
                return fd;
        if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno != ECONNREFUSED)
                return -EADDRINUSE;
        return unlink(sa->sun_path) < 0 ? -errno : 0;
}

/*
 * Everyone may knock: the tenants' users are the policy's matter. By the umask, for a chmod() of the path might meet something else
 * there by then.
 */
static int bind_for_all(int fd, const struct sockaddr_un *sa) {
        mode_t before = umask(0111);
        int r = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;

        (void)umask(before);
        return r;
}

int listener_new_path(struct broker *broker, const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        NB_CLEANUP_FREE char *copy = NULL;
        NB_CLEANUP_FD int fd = -1;
        int r;

        if (strlen(path) >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        memcpy(sa.sun_path, path, strlen(path));
        r = remove_stale(&sa);
        if (r < 0)
                return r;
        fd = new_seqpacket_socket();
        if (fd < 0)
                return fd;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        r = bind_for_all(fd, &sa);
        if (r < 0)
                return r;
        if (listen(fd, BACKLOG) < 0) {
                r = -errno;
                (void)unlink(path);
                return r;
        }
        return serve(broker, nb_steal_fd(&fd), nb_steal_ptr(copy));
}

static bool is_listening(int fd) {
        socklen_t length = sizeof(int);
        int listening = 0;

        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

int listener_new_fd(struct broker *broker, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        int r;

        if (nb_channel_check(fd) < 0 || !is_listening(fd))
                return -EINVAL;
        r = nb_fd_prepare(fd);
        if (r < 0)
                return r;
        return serve(broker, nb_steal_fd(&fd), NULL);
}

struct listener *listener_free(struct listener *listener) {
        if (!listener)
                return NULL;
        nb_list_remove(&listener->link);
        /* First, while nobody can take the socket for a stale one and put another in its place. */
        if (listener->path)
                (void)unlink(listener->path);
        watch_end_before_close(&listener->watch);
        listener->fd = nb_fd_close(listener->fd);
        listener->pause = deadline_free(listener->pause);
        free(listener->path);
        free(listener);
        return NULL;
}

void listener_free_all(struct broker *broker) {
        nb_list_foreach_safe(link, &broker->listeners)(void)
                listener_free(nb_container_of(link, struct listener, link));
}
