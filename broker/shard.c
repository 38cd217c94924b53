/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/shard.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/account.h"
#include "broker/broker.h"
#include "broker/identity.h"
#include "broker/listener.h"
#include "broker/own.h"
#include "broker/privilege.h"
#include "broker/session.h"
#include "broker/shard_message.h"
#include "broker/tenant.h"
#include "loop/watch.h"
#include "policy/shard.h"

/* Messages in a row, before other descriptors have their turn. */
#define BATCH 16

/* A socket that the front, or whom it knows, serves. */
struct foreign {
        struct nb_list link;
        struct own_socket *own;
        char what[sizeof(((struct shard_own *)NULL)->what)];
};

struct shard_paths {
        size_t n;
        struct own_socket *sockets[]; /* owned */
};

struct shard {
        struct broker *broker;
        unsigned number;
        int fd; /* owned: to the front */
        struct watch watch;
        struct nb_list foreign;
        struct loaded *prepared; /* a policy that is not in force yet; NULL: none */
        uint64_t prepared_number;
        uint8_t message[NB_CHANNEL_MESSAGE_MAX];
};

unsigned shard_number(const struct shard *shard) {
        return shard ? shard->number : 0;
}

/* ---- sockets that no rule reaches ---- */

static int take_own(struct shard *shard, const struct shard_own *own) {
        struct foreign *foreign = calloc(1, sizeof(*foreign));

        if (!foreign)
                return -ENOMEM;
        (void)snprintf(foreign->what, sizeof(foreign->what), "%.*s", (int)sizeof(own->what) - 1, own->what);
        if (own->path[0] != '\0')
                foreign->own = own_add_path(&shard->broker->own, foreign->what, own->path);
        else
                foreign->own = own_add_address(&shard->broker->own, foreign->what, &own->address);
        nb_list_append(&shard->foreign, &foreign->link);
        return foreign->own ? 0 : -ENOMEM;
}

int shard_path(const char *first, unsigned number, char ret[static SHARD_PATH_MAX]) {
        int n = snprintf(ret, SHARD_PATH_MAX, "%s.%u", first, number);

        return n < 0 || n >= SHARD_PATH_MAX ? -ENAMETOOLONG : 0;
}

int shard_note_sockets(struct shard *shard, const char *what, const char *first) {
        for (unsigned number = 1; number <= shard->broker->n_shards; ++number) {
                struct shard_own own = { .address.family = AF_UNSPEC };
                char path[SHARD_PATH_MAX];
                int r = shard_path(first, number, path);

                if (r < 0 || strlen(path) >= sizeof(own.path))
                        return -ENAMETOOLONG;
                (void)snprintf(own.path, sizeof(own.path), "%.*s", (int)sizeof(own.path) - 1, path);
                (void)snprintf(own.what, sizeof(own.what), "%s", what);
                r = take_own(shard, &own);
                if (r < 0)
                        return r;
        }
        return 0;
}

struct shard_paths *shard_paths_new(struct broker *broker, const struct policy *policy) {
        struct shard_paths *paths = calloc(1, sizeof(*paths) + policy->n_tenants * sizeof(paths->sockets[0]));

        for (size_t i = 0; paths && i < policy->n_tenants; ++i) {
                const char *path = policy->tenants[i].socket.path;

                if (!path)
                        continue;
                paths->sockets[paths->n] = own_add_path(&broker->own, "a socket of sessions", path);
                if (!paths->sockets[paths->n])
                        return shard_paths_free(paths);
                paths->n++;
        }
        return paths;
}

struct shard_paths *shard_paths_free(struct shard_paths *paths) {
        if (!paths)
                return NULL;
        for (size_t i = 0; i < paths->n; ++i)
                (void)own_free(paths->sockets[i]);
        free(paths);
        return NULL;
}

/* Of those that the policy in force has no longer: one that it has the front does not let be moved. */
int shard_check_left(const struct broker *broker, const struct policy *policy) {
        nb_list_foreach_safe(link, &broker->tenants) {
                const struct tenant *tenant = nb_container_of(link, struct tenant, link);

                if (tenant->policy || !policy_is_elsewhere(policy, tenant->name))
                        continue;
                nb_log(&broker->log, NB_LOG_ERROR,
                       "connections of tenant %s live on here, and Shard= gives it to another shard; end them first, "
                       "or take "
                       "it back",
                       tenant->name);
                return -EBUSY;
        }
        return 0;
}

/* ---- saying ---- */

/* The front always reads; if it does not, or an answer is lost, it ends this one for not answering. @return 0 or -errno */
static int say(struct shard *shard, struct shard_message *message, const char *text) {
        struct {
                struct shard_message message;
                char text[NB_LOG_COPY_MAX];
        } answer;

        message->text = (uint32_t)strnlen(text, sizeof(answer.text));
        answer.message = *message;
        memcpy(answer.text, text, message->text);
        return nb_channel_send(shard->fd, &answer, sizeof(answer.message) + message->text, NULL, 0);
}

/* ---- what comes ---- */

/* Whoever came by a tenant's own socket is that tenant's or nobody's. */
static int identify(const struct broker *broker, int fd, const char *path, struct identity *ret) {
        const struct policy_tenant *tenant = NULL;

        if (*path) {
                tenant = listener_tenant_at(broker->policy, path);
                if (!tenant)
                        return -ENOENT;
        }
        return identity_of_peer(fd, tenant, ret);
}

static void take_session(struct shard *shard, const struct shard_message *message, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        struct broker *broker = shard->broker;
        const uint8_t *bytes = shard->message + sizeof(*message);
        struct identity identity;
        char path[sizeof(((struct shard_own *)NULL)->path)];

        if (message->text >= sizeof(path))
                return;
        memcpy(path, bytes, message->text);
        path[message->text] = '\0';
        if (identify(broker, fd, path, &identity) < 0)
                return;
        memcpy(broker->frame, bytes + message->text, message->frame);
        (void)session_new_with_hello(broker, nb_steal_fd(&fd), &identity, message->frame);
}

static void prepare(struct shard *shard, uint64_t number) {
        struct shard_message answer = { .verb = SHARD_PREPARED, .number = number };
        struct broker *broker = shard->broker;
        struct nb_log_copy copy = { .length = 0 };

        shard->prepared = broker_loaded_free(shard->prepared);
        broker->log.copy = &copy;
        answer.error = broker_load(broker, &shard->prepared);
        broker->log.copy = NULL;
        shard->prepared_number = number;
        if (answer.error == 0)
                answer.digest = broker_loaded_digest(shard->prepared);
        (void)say(shard, &answer, answer.error < 0 ? copy.text : "");
}

static void apply(struct shard *shard, uint64_t number) {
        struct shard_message answer = { .verb = SHARD_APPLIED, .number = number };

        if (!shard->prepared || shard->prepared_number != number)
                return;
        broker_apply(shard->broker, nb_steal_ptr(shard->prepared));
        (void)say(shard, &answer, "");
}

/* @param fds  one that is taken is set to -1 */
static int handle(struct shard *shard, const struct shard_message *message, size_t length, struct nb_channel_fds *fds) {
        bool has_fd = fds->n == 1;

        switch (message->verb) {
        case SHARD_SESSION:
                if (!has_fd || message->text > length || message->frame != length - message->text)
                        return -EPROTO;
                fds->n = 0;
                take_session(shard, message, fds->fds[0]);
                return 0;
        case SHARD_PREPARE:
                prepare(shard, message->number);
                return 0;
        case SHARD_APPLY:
                apply(shard, message->number);
                return 0;
        case SHARD_ABANDON:
                shard->prepared = broker_loaded_free(shard->prepared);
                return 0;
        case SHARD_ROTATED:
                audit_reopen(&shard->broker->audit);
                return 0;
        case SHARD_PING:
                (void)say(shard, &(struct shard_message){ .verb = SHARD_PONG }, "");
                return 0;
        default:
                return -EPROTO;
        }
}

/* @return the length behind the message; -EAGAIN; another -errno: the front is gone */
static int receive(struct shard *shard, struct shard_message *ret, struct nb_channel_fds *fds) {
        int n = nb_channel_receive(shard->fd, shard->message, fds);

        if (n <= 0)
                return n < 0 ? n : -EPIPE;
        if ((size_t)n < sizeof(*ret)) {
                nb_channel_fds_close(fds);
                return -EPROTO;
        }
        memcpy(ret, shard->message, sizeof(*ret));
        return n - (int)sizeof(*ret);
}

static int receive_one(struct shard *shard) {
        struct shard_message message;
        struct nb_channel_fds fds;
        int r = receive(shard, &message, &fds);

        if (r < 0)
                return r == -EMFILE ? 0 : r;
        r = handle(shard, &message, (size_t)r, &fds);
        nb_channel_fds_close(&fds);
        return r;
}

static void ready(struct watch *watch, uint32_t events) {
        struct shard *shard = nb_container_of(watch, struct shard, watch);
        int r = 0;

        (void)events;
        for (int i = 0; i < BATCH && r == 0; ++i)
                r = receive_one(shard);
        if (r == 0 || r == -EAGAIN)
                return;
        watch_end(&shard->watch);
        broker_terminate(shard->broker);
}

/* ---- beginning and end ---- */

static int wait_for_one(struct shard *shard, struct shard_message *ret) {
        struct pollfd event = { .fd = shard->fd, .events = POLLIN };
        struct nb_channel_fds fds;
        int r;

        do {
                (void)poll(&event, 1, -1);
                r = receive(shard, ret, &fds);
        } while (r == -EAGAIN);
        if (r >= 0)
                nb_channel_fds_close(&fds);
        return r;
}

int shard_begin(struct shard *shard) {
        for (;;) {
                struct shard_message message;
                struct shard_own own;
                int r = wait_for_one(shard, &message);

                if (r < 0)
                        return r;
                if (message.verb == SHARD_BEGIN)
                        return 0;
                if (message.verb != SHARD_OWN || (size_t)r != sizeof(own))
                        return -EPROTO;
                memcpy(&own, shard->message + sizeof(message), sizeof(own));
                own.path[sizeof(own.path) - 1] = '\0';
                r = take_own(shard, &own);
                if (r < 0)
                        return r;
        }
}

int shard_serve(struct shard *shard) {
        struct broker *broker = shard->broker;
        struct shard_message message = { .verb = SHARD_READY,
                                         .digest = broker->policy_digest,
                                         .pid = (uint32_t)getpid() };
        int r = watch_start(&shard->watch, &broker->watches, shard->fd, EPOLLIN, ready);

        /* This the front waits for as long as the channel stands. */
        if (r == 0)
                r = say(shard, &message, "");
        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "shard %u cannot tell that it serves: %s", shard->number,
                       strerror(-r));
        return r;
}

struct shard *shard_new(struct broker *broker, struct shard_place *place) {
        struct shard *shard = calloc(1, sizeof(*shard));
        NB_CLEANUP_FD int fd = nb_steal_fd(&place->fd);

        if (!shard)
                return NULL;
        shard->broker = broker;
        shard->number = place->number;
        shard->fd = nb_steal_fd(&fd);
        nb_list_init(&shard->foreign);
        broker->last_session_id = broker->last_connection_id = (uint64_t)place->number << SHARD_ID_SHIFT;
        account_init_broker(&broker->account, privilege_raise_fd_limit() / place->n_shards);
        return shard;
}

struct shard *shard_free(struct shard *shard) {
        if (!shard)
                return NULL;
        shard->prepared = broker_loaded_free(shard->prepared);
        nb_list_foreach_safe(link, &shard->foreign) {
                struct foreign *foreign = nb_container_of(link, struct foreign, link);

                nb_list_remove(&foreign->link);
                foreign->own = own_free(foreign->own);
                free(foreign);
        }
        watch_end_before_close(&shard->watch);
        shard->fd = nb_fd_close(shard->fd);
        free(shard);
        return NULL;
}
