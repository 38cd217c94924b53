/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/shard_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/channel.h"
#include "base/cleanup.h"
#include "policy/policy.h"

#define OPTION "--as-shard="

#define CHANNEL_FD (STDERR_FILENO + 1)
#define AUDIT_FD (CHANNEL_FD + 1)

_Static_assert(AUDIT_FD + 1 == SHARD_EXEC_FD_END, "what a shard is given is told in the header");

/* ---- in the spawner ---- */

char **shard_exec_copy_arguments(int argc, char *const *argv) {
        char **copy = calloc((size_t)argc + 1, sizeof(*copy));

        if (copy)
                memcpy(copy, argv, (size_t)argc * sizeof(*copy));
        return copy;
}

static size_t count(char *const *argv) {
        size_t n = 0;

        while (argv[n])
                n++;
        return n;
}

/* In front of all others, where nothing turns it into an operand. @return owned by the caller, its words are not; NULL without memory */
static char **arguments_new(char *const *argv, char *option) {
        size_t n = count(argv);
        char **arguments = calloc(n + 2, sizeof(*arguments));

        if (!arguments)
                return NULL;
        arguments[0] = argv[0];
        arguments[1] = option;
        memcpy(arguments + 2, argv + 1, (n - 1) * sizeof(*arguments));
        return arguments;
}

/* A channel that already has its number is kept open over the execution just so. */
static int place_fds(posix_spawn_file_actions_t *actions, const struct shard_place *place) {
        int r = posix_spawn_file_actions_adddup2(actions, place->fd, CHANNEL_FD);

        if (r == 0 && place->audit_fd >= 0)
                r = posix_spawn_file_actions_adddup2(actions, place->audit_fd, AUDIT_FD);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(actions,
                                                             place->audit_fd >= 0 ? SHARD_EXEC_FD_END : AUDIT_FD);
        return -r;
}

/* The spawner hears of its children by a descriptor, for which it has blocked a signal. */
static int block_nothing(posix_spawnattr_t *attributes) {
        sigset_t none;
        int r;

        (void)sigemptyset(&none);
        r = posix_spawnattr_setsigmask(attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK);
        return -r;
}

static int start(const posix_spawn_file_actions_t *actions, char *const *arguments, pid_t *ret) {
        posix_spawnattr_t attributes;
        int r = -posix_spawnattr_init(&attributes);
        pid_t pid;

        if (r < 0)
                return r;
        r = block_nothing(&attributes);
        if (r == 0)
                r = -posix_spawn(&pid, "/proc/self/exe", actions, &attributes, arguments, environ);
        if (r == 0)
                *ret = pid;
        (void)posix_spawnattr_destroy(&attributes);
        return r;
}

int shard_exec(char *const *argv, const struct shard_place *place, pid_t *ret) {
        NB_CLEANUP_FREE char **arguments = NULL;
        char option[sizeof(OPTION) + 10];
        posix_spawn_file_actions_t actions;
        int r;

        (void)snprintf(option, sizeof(option), OPTION "%u", place->number);
        arguments = arguments_new(argv, option);
        if (!arguments)
                return -ENOMEM;
        r = -posix_spawn_file_actions_init(&actions);
        if (r < 0)
                return r;
        r = place_fds(&actions, place);
        if (r == 0)
                r = start(&actions, arguments, ret);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

/* ---- in the shard ---- */

static int take_fds(struct shard_place *place) {
        if (nb_channel_check(CHANNEL_FD) < 0 || nb_fd_prepare(CHANNEL_FD) < 0)
                return -EINVAL;
        place->fd = CHANNEL_FD;
        /* How it is opened is whoever's who opened it, and of others as well. */
        if (fcntl(AUDIT_FD, F_SETFD, FD_CLOEXEC) == 0)
                place->audit_fd = AUDIT_FD;
        return 0;
}

int shard_exec_take(int *argc, char **argv, struct shard_place *ret) {
        struct shard_place place = { .fd = -1, .audit_fd = -1 };
        const char *text = *argc > 1 ? argv[1] : "";
        uint16_t number;

        if (strncmp(text, OPTION, strlen(OPTION)) != 0) {
                *ret = place;
                return 0;
        }
        text += strlen(OPTION);
        if (nb_port_parse(text, strlen(text), &number) < 0 || number == 0 || number > POLICY_SHARDS_MAX ||
            take_fds(&place) < 0)
                return -EINVAL;
        place.number = number;
        memmove(argv + 1, argv + 2, (size_t)(*argc - 1) * sizeof(*argv));
        --*argc;
        *ret = place;
        return 0;
}

void shard_place_deinit(struct shard_place *place) {
        place->fd = nb_fd_close(place->fd);
        place->audit_fd = nb_fd_close(place->audit_fd);
}
