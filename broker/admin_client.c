/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/admin.h"
#include "broker/admin_call.h"
#include "broker/admin_front.h"
#include "broker/admin_verbs.h"
#include "broker/broker.h"
#include "loop/deadline.h"

struct admin_client {
        struct nb_list link;
        struct admin *admin;
        struct watch watch;
        int fd;
        struct deadline *deadline;
        uint64_t last_progress_ms; /* on the loop's clock */
        bool input_ended;
        bool busy;   /* a call is under way */
        bool broken; /* an answer has no end, for want of memory: the client waits for none, and is closed */
        int progress;
        struct admin_call call;
        size_t in_length;
        char in[ADMIN_REQUEST_MAX + 1];
};

static void end_call(struct admin_client *client) {
        struct admin_call *call = &client->call;

        client->busy = false;
        if (call->free_state)
                call->free_state(call->state);
        call->free_state = NULL;
        call->state = NULL;
        call->next = NULL;
}

static struct admin_client *client_free(struct admin_client *client) {
        if (!client)
                return NULL;
        end_call(client);
        nb_list_remove(&client->link);
        client->admin->n_clients--;
        watch_end_before_close(&client->watch);
        client->fd = nb_fd_close(client->fd);
        client->deadline = deadline_free(client->deadline);
        free(client->call.out);
        free(client);
        return NULL;
}

/* ---- waiting ---- */

static bool wants_input(const struct admin_client *client) {
        return !client->busy && !client->input_ended && client->call.out_length == 0;
}

static bool wants_output(const struct admin_client *client) {
        return client->call.out_length > 0 || client->broken || (client->busy && client->progress == ADMIN_MORE);
}

static bool has_request(const struct admin_client *client) {
        return memchr(client->in, '\n', client->in_length) != NULL;
}

/* A socket that takes output is ready at once, so EPOLLOUT also means: go on at the next turn. */
static void wait_for_events(struct admin_client *client) {
        uint32_t events = 0;

        if (wants_output(client) || (!client->busy && has_request(client)))
                events = EPOLLOUT;
        else if (wants_input(client))
                events = EPOLLIN;
        (void)watch_change(&client->watch, events);
}

static void note_progress(struct admin_client *client) {
        client->last_progress_ms = uv_now(&client->admin->broker->loop);
}

static void idle(void *data) {
        struct admin_client *client = data;
        uv_loop_t *loop = &client->admin->broker->loop;
        uint64_t since = uv_now(loop) - client->last_progress_ms;
        bool waits = client->busy && client->progress == ADMIN_WAIT;

        client->deadline = deadline_free(client->deadline);
        if (waits || since < ADMIN_IDLE_MS)
                client->deadline = deadline_new(loop, waits ? ADMIN_IDLE_MS : ADMIN_IDLE_MS - since, idle, client);
        if (!client->deadline)
                (void)client_free(client);
}

/* ---- answering ---- */

static void say_end(struct admin_client *client, int r) {
        struct admin_call *call = &client->call;
        const char *name = strerrorname_np(-r);

        if (r < 0 && call->error[0] == '\0')
                (void)admin_fail(call, r, "%s", strerror(-r));
        if (r < 0)
                r = admin_say(call, admin_front_tell(call, json_pack("{s:o, s:s}", "error", admin_text(call->error),
                                                                     "errno", name ? name : "EIO")));
        else
                r = admin_say(call, json_pack("{s:b}", "end", 1));
        client->broken = r < 0;
}

static void set_progress(struct admin_client *client, int progress) {
        client->progress = progress;
        if (progress == ADMIN_MORE || progress == ADMIN_WAIT)
                return;
        say_end(client, progress == ADMIN_END ? admin_front_finish(&client->call) : progress);
        end_call(client);
}

static void start_call(struct admin_client *client) {
        char *newline = memchr(client->in, '\n', client->in_length);
        size_t length = (size_t)(newline - client->in);

        client->call.error[0] = '\0';
        client->call.shards = client->call.shard = 0;
        client->busy = true;
        client->progress = ADMIN_WAIT; /* until the verb says otherwise */
        set_progress(client, admin_verbs_begin(&client->call, client->in, length));
        client->in_length -= length + 1;
        memmove(client->in, newline + 1, client->in_length);
}

void admin_client_resume(struct admin_call *call, int progress) {
        set_progress(call->client, progress);
        note_progress(call->client);
        wait_for_events(call->client);
}

void admin_client_flush_soon(struct admin_call *call) {
        wait_for_events(call->client);
}

/* ---- reading and writing ---- */

/* @return 0; -EPIPE when the client is gone */
static int write_some(struct admin_client *client) {
        struct admin_call *call = &client->call;
        ssize_t n;

        if (call->out_length == 0)
                return 0;
        n = send(client->fd, call->out, call->out_length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
        call->out_length -= (size_t)n;
        memmove(call->out, call->out + n, call->out_length);
        note_progress(client);
        return 0;
}

/* @return 0; -EPIPE when the client is gone; -EMSGSIZE for a line that is too long */
static int read_some(struct admin_client *client) {
        ssize_t n =
                recv(client->fd, client->in + client->in_length, sizeof(client->in) - client->in_length, MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
        client->input_ended = n == 0;
        client->in_length += (size_t)n;
        note_progress(client);
        if (client->in_length == sizeof(client->in) && !has_request(client))
                return -EMSGSIZE;
        return 0;
}

static void refuse_long_line(struct admin_client *client) {
        (void)admin_fail(&client->call, -EMSGSIZE, "a request has at most %d bytes", ADMIN_REQUEST_MAX);
        say_end(client, -EMSGSIZE);
        (void)write_some(client);
}

/* One turn. @return whether the client lives on */
static bool serve(struct admin_client *client, uint32_t events) {
        int r = 0;

        if (events & EPOLLIN)
                r = read_some(client);
        if (r == -EMSGSIZE)
                refuse_long_line(client);
        if (r < 0 || write_some(client) < 0)
                return false;
        if (client->call.out_length > 0)
                return true;
        if (client->broken)
                return false;
        if (client->busy && client->progress == ADMIN_MORE)
                set_progress(client, client->call.next(&client->call));
        else if (!client->busy && has_request(client))
                start_call(client);
        /* What is no line at the end of input is no request. */
        return client->busy || client->call.out_length > 0 || has_request(client) || !client->input_ended;
}

static void ready(struct watch *watch, uint32_t events) {
        struct admin_client *client = nb_container_of(watch, struct admin_client, watch);

        if ((events & (EPOLLERR | EPOLLHUP)) || !serve(client, events))
                (void)client_free(client);
        else
                wait_for_events(client);
}

/* ---- coming and going ---- */

static void turn_away(int fd, const char *why) {
        (void)send(fd, why, strlen(why), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int start(struct admin_client *client) {
        struct broker *broker = client->admin->broker;
        struct ucred peer;
        socklen_t length = sizeof(peer);

        if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
                return -errno;
        nb_channel_expect_bytes(client->fd);
        client->call.broker = broker;
        client->call.client = client;
        client->call.uid = peer.uid;
        client->call.pid = peer.pid;
        note_progress(client);
        client->deadline = deadline_new(&broker->loop, ADMIN_IDLE_MS, idle, client);
        if (!client->deadline)
                return -ENOMEM;
        return watch_start(&client->watch, &broker->watches, client->fd, EPOLLIN, ready);
}

void admin_client_new(struct admin *admin, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        struct admin_client *client;

        if (admin->n_clients >= ADMIN_CLIENTS_MAX) {
                turn_away(fd, "{\"error\":\"too many clients; end one, or try again later\",\"errno\":\"EUSERS\"}\n");
                return;
        }
        client = calloc(1, sizeof(*client));
        if (!client)
                return;
        client->admin = admin;
        client->fd = nb_steal_fd(&fd);
        admin->n_clients++;
        nb_list_append(&admin->clients, &client->link);
        if (start(client) < 0)
                (void)client_free(client);
}

void admin_client_free_all(struct admin *admin) {
        nb_list_foreach_safe(link, &admin->clients)(void) client_free(nb_container_of(link, struct admin_client, link));
}
