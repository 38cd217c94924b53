/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deeds of the operator, at the admin socket (proto/ADMIN.md).
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/faults/world.h"

/* More than any answer here is long. */
#define ANSWER_MAX (1024 * 1024)

#define ERRNOS 134

/* What is asked for where nothing changes. */
static const char *const questions[] = {
        "{\"verb\":\"status\"}",
        "{\"verb\":\"tenants\"}",
        "{\"verb\":\"sessions\"}",
        "{\"verb\":\"connections\"}",
        "{\"verb\":\"quota\"}",
        "{\"verb\":\"relays\"}",
        "{\"verb\":\"certificates\"}",
        "{\"verb\":\"metrics\"}",
        "{\"verb\":\"log-level\"}",
        "{\"verb\":\"dump\"}",
        "{\"verb\":\"suggest\",\"tenant\":\"acme\"}",
        ("{\"verb\":\"explain\",\"tenant\":\"acme\",\"protocol\":\"direct\",\"operation\":\"connect\","
         "\"target\":\"192.0.2.1:1\"}"),
};

/* @return owned by the caller; -ECONNRESET where there is no room for one more */
static int connect_operator(const struct world *world) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        memcpy(sa.sun_path, world->admin_socket, strlen(world->admin_socket));
        ck_assert_int_eq(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
        return fd;
}

/* @return the negative errno that an answer's last line names; 0 if it names none */
static int error_of(const char *line) {
        const char *name = strstr(line, "\"errno\":\"");

        for (int i = 1; name && i < ERRNOS; ++i) {
                const char *known = strerrorname_np(i);
                size_t length = known ? strlen(known) : 0;

                if (length > 0 && strncmp(name + 9, known, length) == 0 && name[9 + length] == '"')
                        return -i;
        }
        ck_assert_msg(!name, "it answers: %s", line);
        return 0;
}

/* Reads lines up to the one that begins with `end`, or is an error. @param ret  of ANSWER_MAX bytes @return 0, or what it says; -ECONNRESET at the end */
static int receive_answer(const struct world *world, int fd, const char *end, char *ret) {
        size_t length = 0, line = 0;

        for (;;) {
                ssize_t n;

                wait_readable(world, fd);
                n = recv(fd, ret + length, ANSWER_MAX - 1 - length, 0);
                if (n <= 0)
                        return -ECONNRESET;
                length += (size_t)n;
                ck_assert_uint_lt(length, ANSWER_MAX - 1);
                ret[length] = '\0';
                for (const char *next; (next = strchr(ret + line, '\n')); line = (size_t)(next - ret) + 1) {
                        if (strncmp(ret + line, "{\"error\":", 9) == 0)
                                return error_of(ret + line);
                        if (strncmp(ret + line, end, strlen(end)) == 0)
                                return 0;
                }
        }
}

static int ask(const struct world *world, int fd, const char *request, const char *end, char *ret) {
        if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0)
                return -ECONNRESET;
        return receive_answer(world, fd, end, ret);
}

int do_lists(const struct world *world) {
        NB_CLEANUP_FREE char *answer = malloc(ANSWER_MAX);
        NB_CLEANUP_FD int fd = connect_operator(world);
        int r = 0;

        ck_assert_ptr_nonnull(answer);
        for (size_t i = 0; r == 0 && i < sizeof(questions) / sizeof(questions[0]); ++i)
                r = ask(world, fd, questions[i], "{\"end\":", answer);
        return r;
}

/* What is done is told, or with the next record that it was lost. */
int do_watch(const struct world *world) {
        NB_CLEANUP_FREE char *answer = malloc(ANSWER_MAX);
        NB_CLEANUP_FD int fd = connect_operator(world);
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        int r = open_session(world, &waiter, NULL, &session);

        ck_assert_ptr_nonnull(answer);
        if (r < 0)
                return r;
        r = ask(world, fd, "{\"verb\":\"watch\",\"operation\":\"connect\"}", "{\"watching\":", answer);
        for (int i = 0; r == 0 && i < 2; ++i)
                r = connect_stream(world, nb_session_find_protocol(session, "direct"), world->peer.text);
        return r < 0 ? r : receive_answer(world, fd, "{", answer);
}

/* The number of the newest session. */
static unsigned long long last_session(const char *answer) {
        const char *next = answer, *last = NULL;

        while ((next = strstr(next, "{\"session\":"))) {
                next += strlen("{\"session\":");
                last = next;
        }
        ck_assert_ptr_nonnull(last);
        return strtoull(last, NULL, 10);
}

/* A session with a connection, which the operator ends. */
int do_revoke(const struct world *world) {
        NB_CLEANUP_FREE char *answer = malloc(ANSWER_MAX);
        NB_CLEANUP_FD int fd = connect_operator(world);
        CLEANUP(session) struct nb_session *session = NULL;
        CLEANUP(control) struct nb_control *control = NULL;
        CLEANUP(connection) struct nb_connection *connection = NULL;
        struct waiter waiter = { -1, NULL };
        char request[128];
        int r = open_session(world, &waiter, NULL, &session);

        ck_assert_ptr_nonnull(answer);
        if (r < 0)
                return r;
        r = open_control(nb_session_find_protocol(session, "relayed"), "0.0.0.0:0", NB_SOCKET_STREAM, &control);
        if (r < 0)
                return r;
        forget_strangers(world);
        r = nb_connect(control, world->peer.text, strlen(world->peer.text), &connection);
        if (r < 0)
                return r;
        r = ask(world, fd, "{\"verb\":\"sessions\"}", "{\"end\":", answer);
        if (r < 0)
                return r;
        (void)snprintf(request, sizeof(request), "{\"verb\":\"revoke\",\"kind\":\"session\",\"id\":%llu}",
                       last_session(answer));
        r = ask(world, fd, request, "{\"end\":", answer);
        if (r < 0)
                return r;
        /* What is revoked can open nothing any more. */
        control = nb_control_free(control);
        r = open_control(nb_session_find_protocol(session, "direct"), "127.0.0.1:0", NB_SOCKET_STREAM, &control);
        ck_assert_int_lt(r, 0);
        return 0;
}

/* What the daemon tells its manager of a reload, which waits for room. */
static void forget_notifications(const struct world *world) {
        char text[256];

        while (recv(world->daemon.notify_fd, text, sizeof(text), MSG_DONTWAIT) >= 0)
                ;
}

int do_reload(const struct world *world) {
        NB_CLEANUP_FREE char *answer = malloc(ANSWER_MAX);
        NB_CLEANUP_FD int fd = connect_operator(world);

        ck_assert_ptr_nonnull(answer);
        forget_notifications(world);
        return ask(world, fd, "{\"verb\":\"reload\"}", "{\"end\":", answer);
}
