/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seal of a test's own: a BPF file system that is gone with the test, control groups, and netbroker-seal, which is run as an operator would.
 *
 * The test process goes from one control group to another. So it makes sockets as the broker, and is then the stranger who holds them. Needs root.
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_SEAL_SCENE_H
#define NB_TESTS_SUPPORT_SEAL_SCENE_H

#include <stdint.h>
#include <sys/types.h>

#include "tests/support/process.h"

#define SEAL_SCENE_PATH_MAX 512

enum seal_side {
        SEAL_BROKER,   /* to whose control group the seal is attached */
        SEAL_STRANGER, /* a tenant's process */
        SEAL_RELAY,    /* a process of ours in another control group */
        SEAL_SIDES,
};

struct seal_scene {
        char folder[32];
        char bpf[64];        /* where the BPF file system is mounted */
        char pins[80];       /* the folder in it that netbroker-seal is given */
        char probe_path[64]; /* where a probe serves */
        char home[SEAL_SCENE_PATH_MAX];
        char cgroups[SEAL_SIDES][SEAL_SCENE_PATH_MAX];
        struct process probe; /* pid -1: none */
};

/** Makes the file system and the control groups. Nothing is loaded, and the process is where it was. */
void seal_scene_init(struct seal_scene *scene);

/** Ends the probe, if one was started, leaves the control groups and removes them. */
void seal_scene_deinit(struct seal_scene *scene);

/** As the end of a block. */
#define SEAL_SCENE __attribute__((cleanup(seal_scene_deinit))) struct seal_scene

/** Loads the seal, for the group nogroup. */
void seal_scene_load(const struct seal_scene *scene);

/** Attaches it to the control group of a side. */
void seal_scene_attach(const struct seal_scene *scene, enum seal_side side);

/** Loads it, and attaches it to the broker's side. */
void seal_scene_seal(const struct seal_scene *scene);

/** Goes into the control group of a side, with what is started from now on. */
void seal_scene_enter(const struct seal_scene *scene, enum seal_side side);

/** The id of a side's control group, as stamps have it. */
uint64_t seal_scene_cgroup_id(const struct seal_scene *scene, enum seal_side side);

/** Starts a probe in the control group of a side, and waits until it serves. */
void seal_scene_start_probe(struct seal_scene *scene, enum seal_side side);

/** Runs netbroker-seal to its end. @param ret_output  what it wrote, owned by the caller; may be NULL @return its exit status */
int seal_scene_run(const char *const *arguments, char **ret_output);

/** The same with the arguments themselves. */
#define SEAL_RUN(ret_output, ...) seal_scene_run((const char *const[]){ __VA_ARGS__, NULL }, (ret_output))

#endif
