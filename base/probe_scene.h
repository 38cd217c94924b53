/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets of a proof (base/probe.h): what the probe gets, the other ends of it, and those that knock at what it opens.
 */
#ifndef NB_BASE_PROBE_SCENE_H
#define NB_BASE_PROBE_SCENE_H

#include <stdint.h>

#include "base/probe_message.h"

enum nb_probe_family { NB_PROBE_IPV4, NB_PROBE_IPV6, NB_PROBE_FAMILIES };

struct nb_probe_scene {
        int sockets[NB_PROBE_SOCKETS]; /* for the probe; connected; -1: none */
        int peers[NB_PROBE_SOCKETS];   /* the other ends, or -1 */
        int listeners[NB_PROBE_FAMILIES];
        int receivers[NB_PROBE_FAMILIES];
        uint16_t tcp_ports[NB_PROBE_FAMILIES]; /* of these; 0 where the machine has no such loopback */
        uint16_t udp_ports[NB_PROBE_FAMILIES];
};

/**
 * Makes all of it on loopback.
 * @param deadline  CLOCK_MONOTONIC, in milliseconds
 * @param ret       to be given to nb_probe_scene_deinit() in any case
 * @return 0, also where there is no IPv6; -errno
 */
int nb_probe_scene_init(struct nb_probe_scene *ret, int64_t deadline);

/** Closes all. */
void nb_probe_scene_deinit(struct nb_probe_scene *scene);

/** Closes those that are the probe's: its own are the last. */
void nb_probe_scene_give_up(struct nb_probe_scene *scene);

/**
 * Connects, or sends, to each of the ports that the probe has opened, and waits until what has reached one must have come.
 * @param ret_answered  a bit for each socket that took a connection
 * @return 0; -EIO: loopback does not carry our own connection either; -ETIMEDOUT; another -errno
 */
int nb_probe_scene_knock(const struct nb_probe_scene *scene, const uint16_t ports[static NB_PROBE_SOCKETS],
                         int64_t deadline, uint32_t *ret_answered);

/** Now, in milliseconds of CLOCK_MONOTONIC. */
int64_t nb_probe_now(void);

/** Waits for a descriptor to become ready. @param events  of poll(2) @return 0; -ETIMEDOUT; another -errno */
int nb_probe_wait(int fd, short events, int64_t deadline);

#endif
