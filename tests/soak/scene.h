/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a soak takes place: the real netbrokerd with keeper, relays that outlive it, a helper where the test is root's, an operator, a name server, and tenants that have every data path.
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SOAK_SCENE_H
#define NB_TESTS_SOAK_SCENE_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/soak/party.h"
#include "tests/support/certificates.h"
#include "tests/support/fake_dns.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/relay_units.h"

#define SOAK_ECHO_NAME "echo.example.com"

/** What a tenant's policy is at the moment. */
enum soak_policy {
        SOAK_POLICY_FULL,
        SOAK_POLICY_WITHOUT_QUIC, /* a protocol less */
        SOAK_POLICY_NARROW,       /* hardly any connections */
        SOAK_POLICY_ABSENT,       /* no tenant */
        SOAK_POLICIES,
};

struct soak_scene {
        struct restart_scene restart;
        struct relay_units units;
        struct certificates certificates;
        struct fake_dns *dns;
        struct process helper; /* pid -1: none */
        struct peer echo, echo_udp;
        char admin_socket[HARNESS_PATH_MAX];
        char helper_socket[HARNESS_PATH_MAX];
        char *token_key; /* owned: the line of the policies */
        char *token;     /* owned: what some clients show */
};

/** @return a tenant's name */
const char *soak_tenant(size_t i);

/** Starts everything but the parties. */
void soak_scene_start(struct soak_scene *scene);

/** Ends what soak_scene_start() has started; netbrokerd must end with status 0. */
void soak_scene_end(struct soak_scene *scene);

/** Writes a tenant's policy and has it loaded. */
void soak_scene_load(struct soak_scene *scene, size_t tenant, enum soak_policy policy);

/** Takes all tenants away, waits until their relays have gone, and has them back. */
void soak_scene_reload_tenants(struct soak_scene *scene);

/** @return how many connections netbroker-helper has at the moment: netbrokerd makes one when it first needs it, and keeps it */
unsigned soak_scene_helper_connections(const struct soak_scene *scene);

/** Asks netbrokerd; up to a NULL. @return owned by the caller; NULL: it refuses, as for what is no more */
json_t *soak_scene_ask(const struct soak_scene *scene, const char *const *arguments);
#define SOAK_ASK(scene, ...) soak_scene_ask((scene), (const char *const[]){ __VA_ARGS__, "--json", NULL })

#endif
