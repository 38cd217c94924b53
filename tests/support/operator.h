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
        char folder[40]; /* of the admin socket */
        char admin_socket[64];
};

/** Starts a scene. @param rules  as scene_start()'s @param no_info  do not log what is allowed */
void operator_start(struct operator_scene *operator, const char * rules, bool no_info);

/** Ends it; the daemon must not have more descriptors open than at the beginning. */
void operator_end(struct operator_scene *operator);

/**
 * Runs netbrokerctl to its end.
 * @param socket     --admin-socket; NULL: none is given
 * @param arguments  up to a NULL
 * @param ret_text   what it wrote, owned by the caller; may be NULL
 * @return its exit status
 */
int operator_run(const char *socket, const char *const *arguments, char **ret_text);

/** Asks this daemon. */
#define CTL(operator, ret_text, ...)                                                                                   \
        operator_run((operator)->admin_socket, (const char *const[]){ __VA_ARGS__, NULL }, (ret_text))

/** Without a daemon. */
#define CTL_ALONE(ret_text, ...) operator_run(NULL, (const char *const[]){ __VA_ARGS__, NULL }, (ret_text))

/** Runs it, must end with status 0 and write JSON. @return owned by the caller */
json_t *operator_json(const struct operator_scene *operator, const char * const * arguments);
#define CTL_JSON(operator, ...) operator_json((operator), (const char *const[]){ __VA_ARGS__, "--json", NULL })

/** Fails unless the text has this in it; shows it. */
void operator_expect(const char *text, const char *part);

/** Connects to the admin socket. @return owned by the caller, blocking */
int operator_connect(const struct operator_scene *operator);

/** Sends bytes as they are. */
void operator_send(int fd, const char *bytes, size_t length);

/** Waits for a line. @return owned by the caller, without its newline; NULL at the end */
char *operator_receive(int fd);

/** Sends a request, and waits for the last line of its answer. @return owned by the caller */
char *operator_ask(int fd, const char *request);

#endif
