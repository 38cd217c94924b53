/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A netbrokerd of several processes (--shards), with three tenants on two shards: red and green are shard 1's, blue is shard 2's.
 */
#ifndef NB_TESTS_SUPPORT_SHARDED_H
#define NB_TESTS_SUPPORT_SHARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/harness.h"
#include "tests/support/keeper.h"
#include "tests/support/wire.h"

#define SHARDED_TENANTS 3
#define SHARDED_SHARDS 2
#define SHARDED_KEEPERS (SHARDED_SHARDS + 1)
#define SHARDED_ARGUMENTS_MAX 12

#define SHARDED_LOOPBACK "Connect=127.0.0.0/8:*\nListen=127.0.0.1:*\n"

struct sharded_tenant {
        const char *name;
        const char *file;
        unsigned shard;
};

extern const struct sharded_tenant sharded_tenants[SHARDED_TENANTS];

struct sharded {
        struct daemon daemon;
        struct keeper keepers[SHARDED_KEEPERS]; /* of the front, and of each shard */
        bool has_keepers;
        char admin_socket[HARNESS_PATH_MAX]; /* the front's, and what the shards' begin with */
        const char *arguments[SHARDED_ARGUMENTS_MAX];
        size_t n_arguments;
        struct daemon_options options;
};

/** Writes a tenant's policy: one protocol with these rules, of at most three sessions. @param i  of sharded_tenants */
void sharded_write_tenant(const struct sharded *world, size_t i, unsigned shard, const char *rules);

/** Makes the folder and policies of one that is not started. What it gets besides is said before sharded_start(). */
void sharded_prepare(struct sharded *world);

/** Starts a keeper for each process. */
void sharded_give_keepers(struct sharded *world);

void sharded_give_admin_socket(struct sharded *world);

void sharded_start(struct sharded *world);

void sharded_end(struct sharded *world);

/** @return the process that the log names last for a shard */
pid_t sharded_pid(const struct sharded *world, unsigned shard);

/** Kills a shard, and waits until it serves again. */
void sharded_kill(const struct sharded *world, unsigned shard);

/** A session of each tenant. */
void sharded_open_all(const struct sharded *world, struct wire_session sessions[static SHARDED_TENANTS]);
void sharded_close_all(struct wire_session sessions[static SHARDED_TENANTS]);

/** A connect of the session's, to a listener of the test's. @return 0, or the WASI errno */
uint32_t sharded_connect(struct wire_session *session);

/** As that. @param ret_fd  the connection, -1 before; owned by the caller, and open also where the listener is gone */
uint32_t sharded_connect_and_hold(struct wire_session *session, int *ret_fd);

#endif
