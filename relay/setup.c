/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/setup.h"

#include <errno.h>
#include <seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "relay/confine.h"
#include "relay/relay.h"
#include "relay/calls.h"

/* For the channel, epoll, pipes, what is on its way in one message, and a few to spare. */
#define DESCRIPTORS_RESERVED (2 * PIPES_MAX + NB_CHANNEL_FDS_MAX + 32)

/* Who has no connection cannot switch to TLS (ENOTCONN), but a kernel without it says so first (ENOENT). */
static bool kernel_has_tls(int probe_fd) {
        const char name[] = "tls";

        return probe_fd >= 0 && setsockopt(probe_fd, IPPROTO_TCP, TCP_ULP, name, sizeof(name)) < 0 && errno == ENOTCONN;
}

/* What is begun beyond that is refused, where a descriptor too many would end the relay. */
static uint32_t descriptors_within_limit(void) {
        struct rlimit limit;
        rlim_t most;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return UINT32_MAX;
        most = limit.rlim_cur > DESCRIPTORS_RESERVED ? limit.rlim_cur - DESCRIPTORS_RESERVED : 0;
        return most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
}

static void report_started(struct relay *relay, bool kernel_tls, struct confine_result *walls) {
        Nb__Relay__Started started = NB__RELAY__STARTED__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        started.version = NB_RELAY_VERSION;
        started.locked_memory = walls->locked_memory;
        started.kernel_tls = kernel_tls;
        started.n_missing_walls = walls->n_missing;
        started.missing_walls = (char **)walls->missing;
        report.body_case = NB__RELAY__REPORT__BODY_STARTED;
        report.started = &started;
        relay_report(relay, &report);
}

static int take_reset_secret(struct relay *relay, const ProtobufCBinaryData *secret) {
        if (secret->len == 0)
                return 0;
        if (secret->len != sizeof(relay->reset_secret))
                return -EPROTO;
        memcpy(relay->reset_secret, secret->data, secret->len);
        relay->has_reset_secret = true;
        return 0;
}

int setup_carry_out(struct relay *relay, const Nb__Relay__Setup *setup, int probe_fd) {
        struct confine_result walls = { 0 };
        int r = 0;

        if (setup->version != NB_RELAY_VERSION)
                return -EPROTONOSUPPORT;
        if (setup->log_level >= NB_LOG_ERROR && setup->log_level <= NB_LOG_DEBUG)
                relay->log.level = (enum nb_log_level)setup->log_level;
        relay->links_max = setup->links_max;
        relay->memory_max = setup->memory_max;
        relay->in_flight_max = setup->in_flight_max;
        relay->descriptors_max = descriptors_within_limit();
        if (relay->is_confined)
                r = confine_close(setup->memory_max, &walls);
        if (r < 0) {
                nb_log(&relay->log, NB_LOG_ERROR, "cannot confine itself: %s", strerror(-r));
                return r;
        }
        if (take_reset_secret(relay, &setup->reset_secret) < 0)
                return -EPROTO;
        relay->is_set_up = true;
        report_started(relay, kernel_has_tls(probe_fd), &walls);
        return 0;
}

static const struct confine_call calls[] = {
        CONFINE_OPTION(IPPROTO_TCP, TCP_ULP, "whether the kernel has TLS"),
};
const struct confine_list setup_calls = CONFINE_LIST(calls);
