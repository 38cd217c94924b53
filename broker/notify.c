/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/drain.h"
#include "broker/front.h"
#include "broker/keep.h"
#include "loop/deadline.h"

#define STATUS_NS (UINT64_C(1000) * 1000 * 1000)
#define STATUS_MAX 256

/* How often what the manager waits for is said, where the kernel does not take it. */
#define ATTEMPTS 50
#define ATTEMPT_MS 10

struct notify {
        struct broker *broker;
        int fd; /* -1: what is not waited for is not said */
        struct sockaddr_un address;
        socklen_t address_length;
        uint64_t watchdog_ns; /* between two words; 0: none are expected */
        struct deadline *watchdog;
        struct deadline *status;
        char told[STATUS_MAX];
};

/* ---- the manager's socket ---- */

/*
 * A path, or behind "@" a name without a file. Other kinds the library may know; to these nothing is said that is not waited for.
 * @return whether it is one of those
 */
static bool parse_address(const char *name, struct notify *notify) {
        size_t length = strlen(name);

        if ((name[0] != '/' && name[0] != '@') || length >= sizeof(notify->address.sun_path))
                return false;
        notify->address.sun_family = AF_UNIX;
        memcpy(notify->address.sun_path, name, length);
        if (name[0] == '@')
                notify->address.sun_path[0] = '\0';
        notify->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
        return true;
}

static void tell(const struct notify *notify, const char *text) {
        if (notify->fd >= 0)
                (void)sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                             (const struct sockaddr *)&notify->address, notify->address_length);
}

/* ---- alive ---- */

void notify_alive(const struct notify *notify) {
        if (notify && notify->watchdog_ns > 0)
                tell(notify, "WATCHDOG=1");
}

static void say_alive(void *data) {
        struct notify *notify = data;

        tell(notify, "WATCHDOG=1");
        deadline_move(notify->watchdog, uv_hrtime() + notify->watchdog_ns);
}

/* ---- how much there is ---- */

static const char *trouble(const struct broker *broker) {
        struct keep_facts keeper = { .is_connected = true };

        if (broker->keep)
                keep_get_facts(broker->keep, &keeper);
        if (!keeper.is_connected)
                return "; netbroker-keeper cannot be reached";
        return broker->policy_state.failed_ms > 0 ? "; the last reload failed" : "";
}

static void describe(const struct broker *broker, char text[static STATUS_MAX]) {
        struct drain_left left;

        if (broker->front) {
                (void)snprintf(text, STATUS_MAX, "STATUS=%zu tenants in %u shards%s", broker->policy->n_tenants,
                               front_n_shards(broker->front), trouble(broker));
                return;
        }
        drain_count(broker, NULL, &left);
        (void)snprintf(text, STATUS_MAX,
                       "STATUS=%zu tenants; %" PRIu64 " sessions, %" PRIu64 " listeners, %" PRIu64 " connections%s%s",
                       broker->policy->n_tenants, left.sessions, left.listeners, left.connections,
                       broker->drain.all ? "; draining" : "", trouble(broker));
}

static void tell_status(struct notify *notify) {
        char text[STATUS_MAX];

        describe(notify->broker, text);
        if (strcmp(text, notify->told) == 0)
                return;
        memcpy(notify->told, text, sizeof(notify->told));
        tell(notify, text);
}

static void look(void *data) {
        struct notify *notify = data;

        tell_status(notify);
        deadline_move(notify->status, uv_hrtime() + STATUS_NS);
}

/* ---- what the manager waits for ---- */

/* Room in its queue, memory in the kernel, a descriptor: what is wanting now, and not for ever. */
static bool is_passing(int r) {
        return r == -EINTR || r == -EAGAIN || nb_is_shortage(r);
}

/* A manager that never hears this ends us. */
static void insist(const struct notify *notify, const char *text) {
        int r = sd_notify(0, text);

        for (int i = 0; i < ATTEMPTS && is_passing(r); ++i) {
                (void)poll(NULL, 0, ATTEMPT_MS);
                r = sd_notify(0, text);
        }
        if (r < 0)
                nb_log(&notify->broker->log, NB_LOG_ERROR, "cannot tell the service manager what it waits for: %s",
                       strerror(-r));
}

void notify_ready(struct notify *notify) {
        if (!notify)
                return;
        insist(notify, "READY=1");
        if (notify->watchdog_ns > 0)
                say_alive(notify);
        look(notify);
}

void notify_reloading(struct notify *notify) {
        struct timespec now = { 0 };
        char text[STATUS_MAX];

        if (!notify)
                return;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                       (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
        insist(notify, text);
}

void notify_stopping(struct notify *notify) {
        if (notify)
                tell(notify, "STOPPING=1\nSTATUS=Ending");
}

/* ---- beginning and end ---- */

static uint64_t watchdog_ns(void) {
        uint64_t us = 0;

        return sd_watchdog_enabled(0, &us) > 0 ? us * 1000 / 2 : 0;
}

static void cleanup_notify(struct notify **notify) {
        *notify = notify_free(*notify);
}

int notify_new(struct broker *broker, struct notify **ret) {
        const char *name = secure_getenv("NOTIFY_SOCKET");
        NB_CLEANUP(cleanup_notify) struct notify *notify = name ? calloc(1, sizeof(*notify)) : NULL;

        if (!notify)
                return name ? -ENOMEM : 0;
        notify->broker = broker;
        notify->fd = -1;
        if (parse_address(name, notify)) {
                notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (notify->fd < 0)
                        return -errno;
        }
        notify->watchdog_ns = watchdog_ns();
        notify->watchdog = deadline_new_unset(&broker->loop, say_alive, notify);
        notify->status = deadline_new_unset(&broker->loop, look, notify);
        if (!notify->watchdog || !notify->status)
                return -ENOMEM;
        *ret = nb_steal_ptr(notify);
        return 0;
}

struct notify *notify_free(struct notify *notify) {
        if (!notify)
                return NULL;
        notify->watchdog = deadline_free(notify->watchdog);
        notify->status = deadline_free(notify->status);
        notify->fd = nb_fd_close(notify->fd);
        free(notify);
        return NULL;
}
