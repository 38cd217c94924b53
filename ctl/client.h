/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's socket of one process from the other side: one request, and the lines of its answer (proto/ADMIN.md). That there may be several
 * processes is known in ctl/ask.h.
 *
 * What goes wrong is said on standard error here, so that callers only pass on the status.
 */
#ifndef NB_CTL_CLIENT_H
#define NB_CTL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** Longer lines are none of netbrokerd's. */
#define CLIENT_LINE_MAX (8 * 1024 * 1024)

/** Who answers, for words about it. */
#define CLIENT_WHO_MAX 24

/** The most bytes of an error that is kept and not said, with its NUL. */
#define CLIENT_ERROR_MAX 512

struct client {
        int fd;
        char *buffer;
        size_t length; /* bytes in the buffer */
        size_t allocated;
        size_t taken;    /* of these, how many were returned as lines */
        int status;      /* enum ctl_status of the error that ended the answer */
        unsigned number; /* which shard it is, from 1; 0: the process that was started */
        bool may_lack;   /* that there is no such thing is kept in `lacks`, for another may have it */
        char lacks[CLIENT_ERROR_MAX];
        bool is_missed;    /* that it has gone away has been said, and is not said again */
        unsigned n_shards; /* how many processes have the rest of the answer; 0: none */
        unsigned shard;    /* which of them has it; 0: each has a part */
};

/**
 * Connects.
 * @param path    of the operator's socket, without a number
 * @param number  which shard; 0: the process that was started
 * @param patience_s  after how many seconds in which it says nothing it is given up; 0: never
 * @return 0; -errno, not said
 */
int client_connect(struct client *client, const char *path, unsigned number, unsigned patience_s);

/** The same, and says what is wrong. @return 0; -errno, said */
int client_open(struct client *client, const char *path, unsigned number, unsigned patience_s);

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

/** Receives what is there, and waits for it if there is nothing. @return 0; -errno, said */
int client_receive(struct client *client);

/** Takes a line that was received as a whole. @return as client_next(); -EAGAIN: there is none yet */
int client_take(struct client *client, json_t **ret);

#define CLIENT __attribute__((cleanup(client_close))) struct client

#endif
