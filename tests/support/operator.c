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

static void make_folder(struct operator_scene *world) {
        world->helper = (struct process){ .pid = -1, .out = -1 };
        (void)snprintf(world->folder, sizeof(world->folder), "/tmp/netbroker-operator-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(world->folder));
        ck_assert_int_eq(chmod(world->folder, 0755), 0);
        (void)snprintf(world->admin_socket, sizeof(world->admin_socket), "%s/admin.sock", world->folder);
}

void operator_start(struct operator_scene *world, const char *rules, bool no_info) {
        const char *arguments[] = { "--admin-socket", world->admin_socket, NULL };
        const struct daemon_options options = { .arguments = arguments, .no_info = no_info };

        make_folder(world);
        scene_start(&world->scene, &options, rules);
}

void operator_start_with_helper(struct operator_scene *world, const char *rules) {
        const char *program = getenv("NETBROKER_HELPER");
        char path[64];
        const char *arguments[] = { "--admin-socket", world->admin_socket, "--helper", path, NULL };
        const struct daemon_options options = { .arguments = arguments };
        uint64_t start_ms = harness_now_ms();

        ck_assert_msg(program != NULL, "NETBROKER_HELPER is not set: it names the program to test");
        make_folder(world);
        (void)snprintf(path, sizeof(path), "%s/helper.sock", world->folder);
        PROCESS_START(&world->helper, program, "--socket", path);
        while (access(path, F_OK) < 0)
                harness_wait_a_moment(start_ms, "netbroker-helper");
        scene_start(&world->scene, &options, rules);
}

static void end_helper(struct operator_scene *world) {
        char path[64];

        if (world->helper.pid < 0)
                return;
        (void)process_stop(&world->helper);
        process_deinit(&world->helper);
        (void)snprintf(path, sizeof(path), "%s/helper.sock", world->folder);
        (void)unlink(path);
}

static void remove_own_folder(struct operator_scene *world) {
        end_helper(world);
        /* The broker has removed its socket. */
        ck_assert_int_eq(rmdir(world->folder), 0);
}

void operator_end(struct operator_scene *world) {
        scene_end(&world->scene);
        remove_own_folder(world);
}

void operator_end_changed(struct operator_scene *world) {
        wire_session_close(&world->scene.session);
        daemon_stop(&world->scene.daemon);
        daemon_deinit(&world->scene.daemon);
        remove_own_folder(world);
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

json_t *operator_json(const struct operator_scene *world, const char *const *arguments) {
        NB_CLEANUP_FREE char *text = NULL;
        int status = operator_run(world->admin_socket, arguments, &text);
        json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

        ck_assert_msg(status == 0 && json, "%s ended with status %d and wrote:\n%s", arguments[0], status, text);
        return json;
}

void operator_expect(const char *text, const char *part) {
        ck_assert_msg(strstr(text, part) != NULL, "this is missing:\n%s\nin:\n%s", part, text);
}

int operator_connect(const struct operator_scene *world) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        memcpy(sa.sun_path, world->admin_socket, strlen(world->admin_socket));
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
