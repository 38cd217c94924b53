/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is while nobody has traffic: figures of all processes and of netbrokerd's accounts, to be compared with those of another time.
 *
 *      descriptors        of netbrokerd and netbroker-keeper
 *      relays             processes
 *      accounts           what each tenant holds and uses, by `netbrokerctl tenants` and `quota`; what is counted up for ever is none
 *      connections, kept  the lengths of netbrokerd's list and of the keeper's
 *
 * A relay stays until its tenant is gone. So there are two times to compare at: when the traffic has gone, for what is traffic's, and when the tenants have been
 * away as well, for all.
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SOAK_STATE_H
#define NB_TESTS_SOAK_STATE_H

#include <stdbool.h>

#include "tests/soak/scene.h"

#define SOAK_FIGURES_MAX 192

struct soak_figure {
        char name[64];
        bool is_traffic; /* what goes with traffic; the rest goes with tenants */
        uint64_t value;
};

struct soak_state {
        struct soak_figure figures[SOAK_FIGURES_MAX];
        size_t n;
};

/** Memory that is nobody else's, in KiB. */
struct soak_memory {
        uint64_t broker;
        uint64_t keeper;
};

/** Looks at everything. */
void soak_state_take(const struct soak_scene *scene, struct soak_state *ret);

/**
 * Compares.
 * @param all  also what goes with tenants
 * @param ret_text  gets a line for each figure that is another one; owned by the caller
 * @return how many these are
 */
size_t soak_state_compare(const struct soak_state *before, const struct soak_state *now, bool all, char **ret_text);

/** What descriptors a process has, a line each, owned by the caller: for who has to find the one too many. */
char *soak_describe_fds(pid_t pid);

struct soak_memory soak_memory_take(const struct soak_scene *scene);

#endif
