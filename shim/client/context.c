/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/context.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "shim/client/wait.h"

int nb_fd_limit(void) {
        struct rlimit limit;
        int n;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
                return INT_MAX;
        n = (int)limit.rlim_cur;
        return n - (n < 4 * NB_FD_RESERVE ? n / 4 : NB_FD_RESERVE);
}

struct nb_context *nb_context_new(nb_wait_function wait, void *wait_data) {
        struct nb_context *context = malloc(sizeof(*context));

        if (!context)
                return NULL;
        /* Field by field: clearing all of it would touch every page. */
        context->n_references = 1;
        context->wait = wait ? wait : nb_wait_ppoll;
        context->wait_data = wait_data;
        context->fd_limit = nb_fd_limit();
        context->denial[0] = '\0';
        context->n_denials = 0;
        context->arena.used = 0;
        return context;
}

struct nb_context *nb_context_ref(struct nb_context *context) {
        context->n_references++;
        return context;
}

struct nb_context *nb_context_unref(struct nb_context *context) {
        if (context && --context->n_references == 0)
                free(context);
        return NULL;
}

void nb_context_set_denial(struct nb_context *context, const char *reason) {
        size_t length = strnlen(reason, NB_REASON_LENGTH_MAX);

        memcpy(context->denial, reason, length);
        context->denial[length] = '\0';
        context->n_denials++;
}

int nb_context_wait(const struct nb_context *context, int fd, short events) {
        struct pollfd poll_fd = { .fd = fd, .events = events };
        int r = context->wait(context->wait_data, &poll_fd, 1, -1);

        return r < 0 ? r : 0;
}

int nb_context_pause(const struct nb_context *context, int64_t time_ns) {
        int r = context->wait(context->wait_data, NULL, 0, time_ns);

        return r < 0 ? r : 0;
}
