/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/quic_peer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"

#define ARGUMENTS_MAX 40
#define COMMAND_MAX 1024

/* From nothing, on a slow machine. */
#define BUILD_DEADLINE_MS (30 * 60 * 1000)

static const char *const names[] = { "quic-go", "quinn", "aioquic" };

const char *quic_peer_name(enum quic_peer peer) {
        return names[peer];
}

static void run_tool(struct process *process, const char *argument) {
        const char *source = getenv("SRCDIR");
        char path[COMMAND_MAX];

        ck_assert_msg(source != NULL, "SRCDIR is not set: it names the folder of the sources");
        (void)snprintf(path, sizeof(path), "%s/tools/get-quic-peers", source);
        PROCESS_START(process, path, argument);
        ck_assert_msg(process_finish(process, BUILD_DEADLINE_MS) == 0, "get-quic-peers %s: %s", argument,
                      process->text);
}

void quic_peers_build(void) {
        PROCESS process;

        run_tool(&process, "--all");
}

/* Starts the peer's command, which may be of several words. */
static void start(enum quic_peer peer, struct process *process, const char *const *words,
                  const char *const *arguments) {
        const char *all[ARGUMENTS_MAX + 1] = { NULL };
        char command[COMMAND_MAX];
        char *rest = command;
        PROCESS tool;
        size_t n = 0;

        run_tool(&tool, names[peer]);
        (void)snprintf(command, sizeof(command), "%s", tool.text);
        for (char *word; (word = strsep(&rest, " \n")) && n < ARGUMENTS_MAX;)
                if (*word != '\0')
                        all[n++] = word;
        for (; *words && n < ARGUMENTS_MAX; ++words)
                all[n++] = *words;
        for (; *arguments && n < ARGUMENTS_MAX; ++arguments)
                all[n++] = *arguments;
        process_start(process, all);
        process->name = names[peer];
}

uint16_t quic_peer_serve(enum quic_peer peer, struct process *process, const char *address,
                         const char *const *arguments) {
        start(peer, process, (const char *[]){ "serve", "--listen", address, NULL }, arguments);
        process_expect(process, "port ", HARNESS_DEADLINE_MS);
        process_expect(process, "\n", HARNESS_DEADLINE_MS);
        return (uint16_t)strtoul(strstr(process->text, "port ") + strlen("port "), NULL, 10);
}

void quic_peer_dial(enum quic_peer peer, struct process *process, const char *address, const char *const *arguments) {
        start(peer, process, (const char *[]){ "dial", "--to", address, NULL }, arguments);
}

void quic_peer_expect_event(struct process *process, const char *name) {
        char text[64];

        process_expect(process, "\"event\":", HARNESS_DEADLINE_MS);
        (void)snprintf(text, sizeof(text), "\"%s\"", name);
        process_expect(process, text, HARNESS_DEADLINE_MS);
}

/* The last line that is an object with "ok". */
json_t *quic_peer_result(struct process *process, int timeout_ms) {
        NB_CLEANUP_FREE char *text = NULL;
        json_t *result = NULL;
        char *rest;

        (void)process_finish(process, timeout_ms);
        text = strdup(process->text);
        ck_assert_ptr_nonnull(text);
        rest = text;
        for (char *line; (line = strsep(&rest, "\n"));) {
                json_t *object = json_loads(line, 0, NULL);

                if (json_object_get(object, "ok")) {
                        json_decref(result);
                        result = json_incref(object);
                }
                json_decref(object);
        }
        ck_assert_msg(result != NULL, "%s has no result; it wrote:\n%s", process->name, process->text);
        return result;
}
