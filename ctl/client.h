/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerd's operator socket from the other side: one request, and the lines of its answer (proto/ADMIN.md).
 *
 * What goes wrong is said on standard error here, so that callers only pass on the status.
 */
#ifndef NB_CTL_CLIENT_H
#define NB_CTL_CLIENT_H

#include <jansson.h>
#include <stddef.h>

/** Longer lines are none of netbrokerd's. */
#define CLIENT_LINE_MAX (8 * 1024 * 1024)

struct client {
        int fd;
        char *buffer;
        size_t length; /* bytes in the buffer */
        size_t allocated;
        size_t taken; /* of these, how many were returned as lines */
        int status;   /* enum ctl_status of the error that ended the answer */
};

/** Connects. @return 0; -errno, said */
int client_open(struct client *client, const char *path);

/** Harmless on one that is not open, if it is zero but for its descriptor of -1. */
void client_close(struct client *client);

/** Sends a request. @param request  consumed; NULL for one that could not be made @return 0; -errno, said */
int client_send(struct client *client, json_t *request);

/**
 * Waits for the next line of the answer.
 * @param ret  owned by the caller
 * @return 1 with a line; 0 at the end; -errno, said, with client->status for the program's end
 */
int client_next(struct client *client, json_t **ret);

/** What each line of an answer is given to. @param line  borrowed @return 0, or a status of enum ctl_status that ends it */
typedef int (*client_line_function)(void *data, const json_t *line);

/**
 * Asks, and has a function take each line.
 * @param request  consumed; may be NULL, for want of memory
 * @return enum ctl_status
 */
int client_ask(const char *path, json_t *request, client_line_function function, void *data);

#define CLIENT __attribute__((cleanup(client_close))) struct client

#endif
