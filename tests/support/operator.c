/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/operator.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ARGUMENTS_MAX 24

void operator_start(struct operator_scene *operator, const char * rules, bool no_info) {
        const char *arguments[] = { "--admin-socket", operator->admin_socket, NULL };
        const struct daemon_options options = { .arguments = arguments, .no_info = no_info };

        (void)snprintf(operator->folder, sizeof(operator->folder), "/tmp/netbroker-operator-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(operator->folder));
        ck_assert_int_eq(chmod(operator->folder, 0755), 0);
        (void)snprintf(operator->admin_socket, sizeof(operator->admin_socket), "%s/admin.sock", operator->folder);
        scene_start(&operator->scene, &options, rules);
}

void operator_end(struct operator_scene *operator) {
        scene_end(&operator->scene);
        /* The broker has removed its socket. */
        ck_assert_int_eq(rmdir(operator->folder), 0);
}

int operator_run(const char *socket, const char *const *arguments, char **ret_text) {
        const char *argv[ARGUMENTS_MAX + 1] = { getenv("NETBROKERCTL") };
        PROCESS process;
        size_t n = 1;
        int status;

        ck_assert_msg(argv[0] != NULL, "NETBROKERCTL is not set: it names the program to test");
        if (socket) {
                argv[n++] = "--admin-socket";
                argv[n++] = socket;
        }
        for (size_t i = 0; arguments[i]; ++i) {
                ck_assert_uint_lt(n, ARGUMENTS_MAX);
                argv[n++] = arguments[i];
        }
        process_start(&process, argv);
        status = process_finish(&process, HARNESS_DEADLINE_MS);
        if (ret_text) {
                *ret_text = strdup(process.text);
                ck_assert_ptr_nonnull(*ret_text);
        }
        return status;
}

json_t *operator_json(const struct operator_scene *operator, const char * const * arguments) {
        NB_CLEANUP_FREE char *text = NULL;
        int status = operator_run(operator->admin_socket, arguments, &text);
        json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

        ck_assert_msg(status == 0 && json, "%s ended with status %d and wrote:\n%s", arguments[0], status, text);
        return json;
}

void operator_expect(const char *text, const char *part) {
        ck_assert_msg(strstr(text, part) != NULL, "this is missing:\n%s\nin:\n%s", part, text);
}

int operator_connect(const struct operator_scene *operator) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        memcpy(sa.sun_path, operator->admin_socket, strlen(operator->admin_socket));
        ck_assert_int_eq(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
        return fd;
}

void operator_send(int fd, const char *bytes, size_t length) {
        ck_assert_int_eq(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Byte by byte: what is behind the line stays in the socket. */
char *operator_receive(int fd) {
        size_t length = 0, allocated = 0;
        char *line = NULL, byte;
        ssize_t n;

        for (;;) {
                if (length + 1 >= allocated) {
                        allocated = allocated == 0 ? 256 : allocated * 2;
                        line = realloc(line, allocated);
                        ck_assert_ptr_nonnull(line);
                }
                ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "no answer");
                n = recv(fd, &byte, 1, 0);
                if (n <= 0) {
                        free(line);
                        return NULL;
                }
                if (byte == '\n') {
                        line[length] = '\0';
                        return line;
                }
                line[length++] = byte;
        }
}

static bool is_last(const char *line) {
        return strncmp(line, "{\"end\":", 7) == 0 || strncmp(line, "{\"error\":", 9) == 0;
}

char *operator_ask(int fd, const char *request) {
        char *line = NULL;

        operator_send(fd, request, strlen(request));
        operator_send(fd, "\n", 1);
        do {
                free(line);
                line = operator_receive(fd);
        } while (line && !is_last(line));
        return line;
}
