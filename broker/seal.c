/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/seal.h"

#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/probe.h"
#include "broker/bpf_map.h"
#include "broker/bpf_ring.h"
#include "broker/broker.h"
#include "broker/connection_watch.h"

/* How long the probe may take for all of it; on an idle machine it takes some ten milliseconds. */
#define PROBE_MS 5000

/* How many events are taken before other descriptors have their turn. */
#define EVENTS_MOST 512

/* What `slot` says of a stamp: the socket was lent to a relay. */
#define SLOT_LENT 1

struct seal {
        struct broker *broker;
        int stamps_fd;   /* -1: there are none */
        int counters_fd; /* likewise */
        struct bpf_ring ring;
        struct watch released;
        uint64_t owner; /* the broker's control group; 0: its sockets get no stamps */
        uint64_t lost;  /* events, as counted last */
        bool is_proven;
        bool is_missed; /* which was logged */
        char why_not[NB_PROBE_WHY_MAX + 64];
};

__attribute__((format(printf, 3, 4))) static int fail(struct seal *seal, int r, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(seal->why_not, sizeof(seal->why_not), format, arguments);
        va_end(arguments);
        return r;
}

/* ---- what is pinned ---- */

static int fail_opening(struct seal *seal, const char *folder, const char *name, int r) {
        if (r == -ENOENT)
                return fail(seal, r, "nothing is pinned at %s/%s: start netbroker-seal.service", folder, name);
        if (r == -EACCES || r == -EPERM)
                return fail(seal, r, "%s/%s may not be opened: netbroker-seal's --group must be the broker's", folder,
                            name);
        return fail(seal, r, "cannot use %s/%s: %s", folder, name, strerror(-r));
}

/* @return a descriptor, or -errno with the reason kept */
static int open_map(struct seal *seal, const char *folder, const char *name, bool writes, enum bpf_map_type type,
                    uint32_t key_size, uint32_t value_size) {
        NB_CLEANUP_FD int fd = bpf_map_open(folder, name, writes);
        int r = fd < 0 ? fd : bpf_map_check(fd, type, key_size, value_size);

        if (r == -EINVAL)
                return fail(seal, r, "%s/%s is of another version: restart netbroker-seal.service", folder, name);
        return r < 0 ? fail_opening(seal, folder, name, r) : nb_steal_fd(&fd);
}

static int check_version(struct seal *seal, const char *folder) {
        NB_CLEANUP_FD int fd = open_map(seal, folder, NB_SEAL_INFO, false, BPF_MAP_TYPE_ARRAY, sizeof(uint32_t),
                                        sizeof(struct nb_seal_info));
        struct nb_seal_info info;
        int r;

        if (fd < 0)
                return fd;
        r = bpf_map_look_up(fd, &(uint32_t){ 0 }, &info);
        if (r < 0)
                return fail_opening(seal, folder, NB_SEAL_INFO, r);
        if (info.version != NB_SEAL_VERSION)
                return fail(seal, -EINVAL,
                            "%s is of version %u, and this is version %d: restart netbroker-seal.service", folder,
                            info.version, NB_SEAL_VERSION);
        return 0;
}

static int open_ring(struct seal *seal, const char *folder) {
        NB_CLEANUP_FD int fd = open_map(seal, folder, NB_SEAL_RELEASED, true, BPF_MAP_TYPE_RINGBUF, 0, 0);
        int r;

        if (fd < 0)
                return fd;
        r = bpf_ring_open(&seal->ring, fd, NB_SEAL_RING_SIZE);
        if (r < 0)
                return fail_opening(seal, folder, NB_SEAL_RELEASED, r);
        (void)nb_steal_fd(&fd);
        return 0;
}

/* The broker's own group is what the kernel stamps a socket with that it makes now. */
static int find_owner(struct seal *seal, const char *folder) {
        NB_CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct nb_seal_stamp stamp;
        int r = fd < 0 ? -errno : bpf_map_look_up(seal->stamps_fd, &fd, &stamp);

        if (r == -ENOENT)
                return fail(seal, r,
                            "the programs in %s are not attached to the broker's control group: run "
                            "netbroker-seal attach before it (ExecStartPre=+)",
                            folder);
        if (r < 0)
                return fail(seal, r, "cannot read the stamp of a socket: %s", strerror(-r));
        seal->owner = stamp.owner;
        return 0;
}

static int open_all(struct seal *seal, const char *folder) {
        int r = check_version(seal, folder);

        if (r < 0)
                return r;
        seal->stamps_fd = open_map(seal, folder, NB_SEAL_STAMPS, true, BPF_MAP_TYPE_SK_STORAGE, sizeof(int),
                                   sizeof(struct nb_seal_stamp));
        if (seal->stamps_fd < 0)
                return seal->stamps_fd;
        seal->counters_fd = open_map(seal, folder, NB_SEAL_COUNTERS, false, BPF_MAP_TYPE_ARRAY, sizeof(uint32_t),
                                     sizeof(struct nb_seal_counters));
        if (seal->counters_fd < 0)
                return seal->counters_fd;
        r = open_ring(seal, folder);
        return r < 0 ? r : find_owner(seal, folder);
}

struct seal *seal_new(struct broker *broker, const char *folder) {
        struct seal *seal = calloc(1, sizeof(*seal));

        if (!seal)
                return NULL;
        seal->broker = broker;
        seal->stamps_fd = seal->counters_fd = -1;
        if (!folder)
                (void)fail(seal, -ENOENT, "netbrokerd was not given --seal");
        else if (open_all(seal, folder) == 0)
                (void)fail(seal, -EPERM, "it was not tried yet");
        return seal;
}

struct seal *seal_free(struct seal *seal) {
        if (!seal)
                return NULL;
        watch_end_before_close(&seal->released);
        bpf_ring_close(&seal->ring);
        seal->stamps_fd = nb_fd_close(seal->stamps_fd);
        seal->counters_fd = nb_fd_close(seal->counters_fd);
        free(seal);
        return NULL;
}

/* ---- what is closed ---- */

static void on_event(void *data, const void *event, size_t size) {
        const struct nb_seal_event *released = event;
        struct seal *seal = data;

        if (size >= sizeof(*released))
                connection_watch_released(seal->broker->connection_watch, released->cookie);
}

/* The first time this is also what was lost while nobody read, between a broker before and this one. */
static void look_for_lost(struct seal *seal) {
        struct nb_seal_counters counters;

        if (seal_count(seal, &counters) < 0 || counters.lost == seal->lost)
                return;
        seal->lost = counters.lost;
        connection_watch_lost_some(seal->broker->connection_watch);
}

void seal_hear(struct seal *seal) {
        if (!seal_is_proven(seal))
                return;
        if (bpf_ring_read(&seal->ring, EVENTS_MOST, on_event, seal) < EVENTS_MOST)
                look_for_lost(seal);
}

static void events_ready(struct watch *watch, uint32_t events) {
        (void)events;
        seal_hear(nb_container_of(watch, struct seal, released));
}

static int watch_released(struct seal *seal) {
        int r = watch_start(&seal->released, &seal->broker->watches, seal->ring.fd, EPOLLIN, events_ready);

        if (r < 0)
                return fail(seal, r, "cannot be told what is closed: %s", strerror(-r));
        connection_watch_be_told(seal->broker->connection_watch);
        return 0;
}

/* ---- the proof ---- */

static int ask_probe(struct seal *seal, const char *path) {
        struct nb_probe_report report;
        int r;

        if (!path)
                return fail(seal, -ENOENT, "nobody can prove it: give --probe PATH");
        r = nb_probe_ask(path, PROBE_MS, &report);
        if (r < 0)
                return fail(seal, r, "netbroker-probe at %s does not prove it: %s", path, strerror(-r));
        return nb_probe_judge(&report, seal->why_not);
}

void seal_prove(struct seal *seal, const char *probe) {
        if (seal->owner == 0 || ask_probe(seal, probe) < 0 || watch_released(seal) < 0)
                return;
        seal->why_not[0] = '\0';
        seal->is_proven = true;
        nb_log(&seal->broker->log, NB_LOG_INFO, "the seal is proven: DataPath=auto hands out sockets");
}

bool seal_is_proven(const struct seal *seal) {
        return seal && seal->is_proven;
}

const char *seal_why_not(const struct seal *seal) {
        return seal ? seal->why_not : "there is none";
}

/* ---- what the policy asks for ---- */

static bool is_missed(const struct policy_protocol *protocol) {
        return policy_keeps_socket(protocol, false) && !policy_keeps_socket(protocol, true);
}

/* @return the first protocol whose connections go through relays for want of the seal, or NULL */
static const struct policy_protocol *find_missed(const struct policy *policy, const struct policy_tenant **ret_tenant) {
        for (size_t t = 0; t < policy->n_tenants; ++t) {
                const struct policy_tenant *tenant = &policy->tenants[t];

                *ret_tenant = tenant;
                for (size_t i = 0; i < tenant->n_protocols; ++i)
                        if (is_missed(&tenant->protocols[i]))
                                return &tenant->protocols[i];
                for (size_t i = 0; i < tenant->n_preopens; ++i)
                        if (is_missed(&tenant->preopens[i].protocol))
                                return &tenant->preopens[i].protocol;
        }
        return NULL;
}

bool seal_is_wanted(const struct policy *policy) {
        const struct policy_tenant *tenant = NULL;

        return find_missed(policy, &tenant) != NULL;
}

static void record_missing(struct broker *broker) {
        const struct audit_record record = { .verb = "seal",
                                             .verdict = "missing",
                                             .reason = seal_why_not(broker->seal) };

        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

bool seal_suffices(struct broker *broker, const struct policy *policy) {
        const struct policy_tenant *tenant = NULL;
        const struct policy_protocol *missed;

        if (seal_is_proven(broker->seal))
                return true;
        if (policy->require_seal) {
                nb_log(&broker->log, NB_LOG_ERROR,
                       "the seal is not proven: %s; RequireSeal=yes in [Defaults] lets nothing be served without it",
                       seal_why_not(broker->seal));
                return false;
        }
        missed = find_missed(policy, &tenant);
        if (!missed)
                return true;
        record_missing(broker);
        nb_log(&broker->log, NB_LOG_WARNING,
               "the seal is not proven: %s; connections with DataPath=auto, as those of [%s %s] of tenant %s, go "
               "through "
               "relays, which takes throughput and several times the latency",
               seal_why_not(broker->seal), missed->preopen ? "Preopen" : "Protocol", missed->name, tenant->name);
        return true;
}

/* ---- owners ---- */

static int ask_int(int fd, int option, int *ret) {
        socklen_t length = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, option, ret, &length) < 0 ? -errno : 0;
}

/* Unix sockets have no stamps. */
static bool is_inet(int fd) {
        int domain;

        return ask_int(fd, SO_DOMAIN, &domain) == 0 && (domain == AF_INET || domain == AF_INET6);
}

static bool is_udp(int fd) {
        int protocol;

        return ask_int(fd, SO_PROTOCOL, &protocol) == 0 && protocol == IPPROTO_UDP;
}

static bool is_connected(int fd) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof(peer);

        return getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

/* What a relay gets, and is not connected, receives. */
static int find_receiver(int fd, uint64_t *ret) {
        socklen_t length = sizeof(*ret);

        *ret = 0;
        if (is_connected(fd))
                return 0;
        return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &length) < 0 ? -errno : 0;
}

static bool has_stamps(const struct broker *broker) {
        return broker->seal && broker->seal->owner != 0;
}

/* Only the kernel gives a socket its stamp, when it is made: on one that it has not stamped no program looks at it, and it would lie of it for ever. */
static bool find_stamp(const struct broker *broker, int fd, struct nb_seal_stamp *ret) {
        return has_stamps(broker) && bpf_map_look_up(broker->seal->stamps_fd, &fd, ret) == 0;
}

bool seal_covers(const struct broker *broker, int fd) {
        struct nb_seal_stamp stamp;

        return seal_is_proven(broker->seal) && (find_stamp(broker, fd, &stamp) || !is_inet(fd));
}

void seal_miss(struct seal *seal) {
        if (!seal_is_proven(seal) || seal->is_missed)
                return;
        seal->is_missed = true;
        nb_log(&seal->broker->log, NB_LOG_ERROR,
               "connections are refused: their sockets are not sealed any more, though the seal was proven; netbrokerd "
               "was "
               "moved to another control group, or the seal's programs were detached from its own: restart netbrokerd");
}

/* As the one before has left it: whether it receives was noted when its owner bound it. Who has it may have disconnected it since. */
int seal_own(const struct broker *broker, int fd) {
        struct nb_seal_stamp stamp;

        if (!is_inet(fd) || !find_stamp(broker, fd, &stamp) || stamp.slot == SLOT_LENT)
                return 0;
        stamp.owner = broker->seal->owner;
        return bpf_map_update(broker->seal->stamps_fd, &fd, &stamp);
}

static int pass_on(const struct broker *broker, int fd, struct nb_seal_stamp *stamp, uint64_t owner, uint32_t slot) {
        int r = find_receiver(fd, &stamp->receiver);

        if (r < 0)
                return r;
        stamp->owner = owner;
        stamp->slot = slot;
        return bpf_map_update(broker->seal->stamps_fd, &fd, stamp);
}

int seal_lend(const struct broker *broker, int fd) {
        struct nb_seal_stamp stamp;

        if (!find_stamp(broker, fd, &stamp) || !is_udp(fd))
                return 0;
        return pass_on(broker, fd, &stamp, NB_SEAL_OWNER_FIRST, SLOT_LENT);
}

int seal_take_back(const struct broker *broker, int fd) {
        struct nb_seal_stamp stamp;

        if (!find_stamp(broker, fd, &stamp) || stamp.slot != SLOT_LENT || !is_udp(fd))
                return 0;
        return pass_on(broker, fd, &stamp, broker->seal->owner, 0);
}

int seal_count(const struct seal *seal, struct nb_seal_counters *ret) {
        if (!seal || seal->counters_fd < 0)
                return -ENOENT;
        return bpf_map_look_up(seal->counters_fd, &(uint32_t){ 0 }, ret);
}
