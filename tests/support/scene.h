/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What most tests of the broker start with: a daemon with one tenant, and a session of it that goes on working whatever
 * others do.
 */
#ifndef NB_TESTS_SUPPORT_SCENE_H
#define NB_TESTS_SUPPORT_SCENE_H

#include "tests/support/harness.h"
#include "tests/support/wire.h"

/** The tenant "acme" with a protocol "web"; rules for it come behind. The argument is a user's number. */
#define SCENE_TENANT                                                                                                   \
        "[Tenant]\n"                                                                                                   \
        "Name=acme\n"                                                                                                  \
        "User=%u\n"                                                                                                    \
        "ExplainDenials=yes\n"                                                                                         \
        "[Protocol web]\n"                                                                                             \
        "Family=ip\n"                                                                                                  \
        "DataPath=direct\n"

/** Everything on loopback. */
#define SCENE_LOOPBACK                                                                                                 \
        "Connect=127.0.0.0/8:*\n"                                                                                      \
        "Connect=[::1]:*\n"                                                                                            \
        "Listen=127.0.0.1:*\n"                                                                                         \
        "Listen=[::1]:*\n"

struct scene {
        struct daemon daemon;
        struct wire_session session;
        struct wire *web;  /* the session's first protocol */
        unsigned baseline; /* the daemon's descriptors with this session and nothing else */
};

/** Starts the daemon and the session. @param rules  of the protocol "web", and what else stands behind it */
void scene_start(struct scene *scene, const struct daemon_options *options, const char *rules);

/** The same where the daemon is initialised and its policy written; the tenant is "acme". */
void scene_open(struct scene *scene, const struct daemon_options *options);

/** Writes the tenant's policy with other rules. It is not read before a reload. */
void scene_write_policy(const struct scene *scene, const char *rules);

/** Waits until nothing is left of others, and checks that the session still works. */
void scene_expect_baseline(struct scene *scene);

/** Ends the session and the daemon. */
void scene_end(struct scene *scene);

#endif
