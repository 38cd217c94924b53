/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the seal's BPF programs (seal/seal.bpf.c), netbroker-seal(8), which loads them, and netbrokerd, which uses them, share.
 *
 * The programs belong to the broker's cgroup. Each IPv4 or IPv6 socket that is made in it gets a stamp, in storage that the kernel keeps
 * with the socket and copies to the connections that it accepts. Whoever holds the socket, wherever it went: only a caller of the cgroup that
 * the stamp names as the owner may connect it, bind it, send to an address or set an option that is not on a short list; and nothing arrives at it
 * while it listens or is unconnected, unless its owner made it so. A socket without a stamp is left alone.
 *
 * netbroker-seal pins all of it in a folder of the BPF file system. Whoever can write the map of stamps owns every socket: it is the broker's only.
 */
#ifndef NB_BASE_SEAL_LAYOUT_H
#define NB_BASE_SEAL_LAYOUT_H

#include <stdint.h>

/** Changes with the structs. Who finds another one in `info` does not use the seal. */
#define NB_SEAL_VERSION 1

/* The maps' names in the folder, and who may use them: of the group that netbroker-seal was given. */
#define NB_SEAL_STAMPS                                                                                                 \
        "stamps" /* BPF_MAP_TYPE_SK_STORAGE, key: int, a socket's descriptor; struct nb_seal_stamp; read and write */
#define NB_SEAL_RELEASED "released" /* BPF_MAP_TYPE_RINGBUF of struct nb_seal_event; one reader; read and write */
#define NB_SEAL_COUNTERS "counters" /* BPF_MAP_TYPE_ARRAY, key: uint32_t, 0; struct nb_seal_counters; read */
#define NB_SEAL_INFO "info"         /* BPF_MAP_TYPE_ARRAY, key: uint32_t, 0; struct nb_seal_info; read */

/** Size of the ring of events, in bytes: some 43,000 of them. */
#define NB_SEAL_RING_SIZE (1U << 20)

/** As an owner: none yet. The first who does with the socket what only its owner may becomes it. */
#define NB_SEAL_OWNER_FIRST UINT64_MAX

/** A socket's owner. Writing one by bpf(BPF_MAP_UPDATE_ELEM) replaces it as a whole. */
struct nb_seal_stamp {
        uint64_t owner;    /* id of a cgroup: what bpf_get_current_cgroup_id() says of its processes */
        uint64_t receiver; /* SO_COOKIE of the socket that its owner has bound, and not connected since; 0: none */
        uint32_t slot;     /* the broker's, comes back in the event; 0 from the kernel */
        uint32_t zero;
};

/** A stamped socket's last descriptor was closed. Accepted connections are told like others. */
struct nb_seal_event {
        uint64_t cookie; /* SO_COOKIE; 0 where nobody ever asked for it */
        uint64_t owner;  /* of its stamp */
        uint32_t slot;
        uint32_t zero;
};

/** How often, since the programs were loaded. */
struct nb_seal_counters {
        uint64_t connects; /* refused: not the owner */
        uint64_t sends;    /* refused: to an address, by someone who is not the owner */
        uint64_t binds;    /* refused: not the owner */
        uint64_t options;  /* refused: by someone who is not the owner */
        uint64_t arrivals; /* packets dropped at a socket that its owner has not bound */
        uint64_t lost;     /* events that found no room in the ring */
};

struct nb_seal_info {
        uint32_t version; /* NB_SEAL_VERSION */
        uint32_t zero;
};

_Static_assert(sizeof(struct nb_seal_stamp) == 24, "no padding");
_Static_assert(sizeof(struct nb_seal_event) == 24, "no padding");
_Static_assert(sizeof(struct nb_seal_counters) == 48, "no padding");
_Static_assert(sizeof(struct nb_seal_info) == 8, "no padding");

#endif
