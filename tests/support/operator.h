/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scene with an operator: a daemon with an admin socket, one tenant with a session, netbrokerctl, and clients of the socket that write by hand.
 */
#ifndef NB_TESTS_SUPPORT_OPERATOR_H
#define NB_TESTS_SUPPORT_OPERATOR_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/support/process.h"
#include "tests/support/scene.h"

struct operator_scene {
        struct scene scene;
        char folder[40]; /* of the admin socket, and of the helper's */
        char admin_socket[64];
        struct process helper; /* pid -1: none */
};

/** Starts a scene. @param rules  as scene_start()'s @param no_info  do not log what is allowed */
void operator_start(struct operator_scene *world, const char *rules, bool no_info);

/** The same with a netbroker-helper (environment NETBROKER_HELPER), which needs root. */
void operator_start_with_helper(struct operator_scene *world, const char *rules);

/** Ends it; the daemon must not have more descriptors open than at the beginning. */
void operator_end(struct operator_scene *world);

/** Ends one whose daemon has other descriptors than at the beginning: other protocols, a connection to the helper. */
void operator_end_changed(struct operator_scene *world);

/**
 * Runs netbrokerctl to its end.
 * @param socket     --admin-socket; NULL: none is given
 * @param arguments  up to a NULL
 * @param ret_text   what it wrote, owned by the caller; may be NULL
 * @return its exit status
 */
int operator_run(const char *socket, const char *const *arguments, char **ret_text);

/** Asks this daemon. */
#define CTL(world, ret_text, ...)                                                                                      \
        operator_run((world)->admin_socket, (const char *const[]){ __VA_ARGS__, NULL }, (ret_text))

/** Without a daemon. */
#define CTL_ALONE(ret_text, ...) operator_run(NULL, (const char *const[]){ __VA_ARGS__, NULL }, (ret_text))

/** Runs it, must end with status 0 and write JSON. @return owned by the caller */
json_t *operator_json(const struct operator_scene *world, const char *const *arguments);
#define CTL_JSON(world, ...) operator_json((world), (const char *const[]){ __VA_ARGS__, "--json", NULL })

/** Fails unless the text has this in it; shows it. */
void operator_expect(const char *text, const char *part);

/** Connects to the admin socket. @return owned by the caller, blocking */
int operator_connect(const struct operator_scene *world);

/** Sends bytes as they are. */
void operator_send(int fd, const char *bytes, size_t length);

/** Waits for a line. @return owned by the caller, without its newline; NULL at the end */
char *operator_receive(int fd);

/** Sends a request, and waits for the last line of its answer. @return owned by the caller */
char *operator_ask(int fd, const char *request);

#endif
