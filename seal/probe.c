/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/probe_message.h"
#include "seal/escape.h"

struct probe {
        int fd; /* borrowed */
        struct nb_probe_request request;
        struct nb_channel_fds fds; /* owned, in the order of the request's bits */
        struct escape_target targets[NB_PROBE_SOCKETS];
        struct nb_probe_doors doors;
        struct nb_probe_report report;
        uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
};

static bool is_there(const struct probe *probe, unsigned socket) {
        return probe->request.sockets & 1U << socket;
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

static int wait_for_message(int fd) {
        struct pollfd one = { .fd = fd, .events = POLLIN };
        int n = poll(&one, 1, PROBE_TIMEOUT_MS);

        if (n < 0)
                return -errno;
        return n == 0 ? -ETIMEDOUT : 0;
}

/* @return 0 when a message of that size and of our version has come, with `probe->fds` */
static int receive(struct probe *probe, void *ret, size_t size) {
        uint32_t version;
        int r = wait_for_message(probe->fd);

        if (r == 0)
                r = nb_channel_receive(probe->fd, probe->buffer, &probe->fds);
        if (r <= 0)
                return r == 0 ? -ECONNRESET : r;
        memcpy(&version, probe->buffer, sizeof(version));
        if ((size_t)r != size || version != NB_PROBE_VERSION)
                return -EPROTO;
        memcpy(ret, probe->buffer, size);
        return 0;
}

static int take_request(struct probe *probe) {
        size_t next = 0;
        int r = receive(probe, &probe->request, sizeof(probe->request));

        if (r < 0)
                return r;
        if (probe->request.sockets >> NB_PROBE_SOCKETS ||
            (size_t)__builtin_popcount(probe->request.sockets) != probe->fds.n)
                return -EPROTO;
        for (unsigned socket = 0; socket < NB_PROBE_SOCKETS && r == 0; ++socket) {
                bool is_tcp = socket != NB_PROBE_UDP4 && socket != NB_PROBE_UDP4_BOUND && socket != NB_PROBE_UDP6 &&
                              socket != NB_PROBE_UDP6_BOUND;

                if (is_there(probe, socket))
                        r = escape_target_init(&probe->targets[socket], probe->fds.fds[next++],
                                               is_tcp ? probe->request.tcp_ports : probe->request.udp_ports);
        }
        return r;
}

/* ---- what came of it ------------------------------------------------------------------------------------------- */

static enum nb_probe_outcome outcome_of(enum nb_probe_escape escape, int r) {
        switch (-r) {
        case 0:
        case EINPROGRESS:
        case ECONNREFUSED: /* also by way of an earlier datagram that has left */
                return NB_PROBE_ESCAPED;
        case EPERM:
                return NB_PROBE_REFUSED;
        case ENOSYS:
                return escape == NB_PROBE_IO_URING ? NB_PROBE_UNTRIED : NB_PROBE_UNCLEAR;
        case EOPNOTSUPP:
                return escape == NB_PROBE_FAST_OPEN ? NB_PROBE_UNTRIED : NB_PROBE_UNCLEAR;
        default:
                return NB_PROBE_UNCLEAR;
        }
}

static void note(struct probe *probe, unsigned socket, enum nb_probe_escape escape, enum nb_probe_outcome outcome,
                 int error) {
        struct nb_probe_report *report = &probe->report;

        if (report->n_results >= sizeof(report->results) / sizeof(report->results[0]))
                return;
        report->results[report->n_results++] = (struct nb_probe_result){
                .escape = (uint8_t)escape,
                .socket = (uint8_t)socket,
                .outcome = (uint8_t)outcome,
                .error = error,
        };
}

/* ---- trying ---------------------------------------------------------------------------------------------------- */

/* In this order on each socket: what needs its connection, then what dissolves it. */
static const enum nb_probe_escape connected_escapes[] = {
        NB_PROBE_DEVICE, NB_PROBE_FREEBIND, NB_PROBE_REUSEPORT, NB_PROBE_MEMBERSHIP,  NB_PROBE_ROUTING,
        NB_PROBE_SENDTO, NB_PROBE_SENDMSG,  NB_PROBE_SENDMMSG,  NB_PROBE_PACKET_INFO,
};
static const enum nb_probe_escape disconnected_escapes[] = {
        NB_PROBE_CONNECT, NB_PROBE_CONNECT_OTHER, NB_PROBE_FAST_OPEN, NB_PROBE_IO_URING, NB_PROBE_BIND,
};

static void try_connected(struct probe *probe, unsigned socket) {
        const struct escape_target *target = &probe->targets[socket];

        for (size_t i = 0; i < sizeof(connected_escapes) / sizeof(connected_escapes[0]); ++i) {
                enum nb_probe_escape escape = connected_escapes[i];
                int r;

                if (!escape_applies(escape, target))
                        continue;
                r = escape_try(escape, target);
                note(probe, socket, escape, outcome_of(escape, r), -r);
        }
}

static void try_disconnected(struct probe *probe, unsigned socket) {
        const struct escape_target *target = &probe->targets[socket];

        for (size_t i = 0; i < sizeof(disconnected_escapes) / sizeof(disconnected_escapes[0]); ++i) {
                enum nb_probe_escape escape = disconnected_escapes[i];
                int r;

                if (!escape_applies(escape, target))
                        continue;
                /* Each from the same beginning. Where a kernel refuses even this, it is refused. */
                r = escape_disconnect(target);
                if (r == 0)
                        r = escape_try(escape, target);
                note(probe, socket, escape, outcome_of(escape, r), -r);
        }
}

/* Opens what can be opened; what comes there is seen later. */
static void open_door(struct probe *probe, unsigned socket) {
        const struct escape_target *target = &probe->targets[socket];
        enum nb_probe_escape escape = target->is_stream ? NB_PROBE_LISTEN : NB_PROBE_RECEIVE;
        int r = escape_disconnect(target);

        if (r == 0)
                r = escape_try(escape, target);
        if (r < 0)
                note(probe, socket, escape, outcome_of(escape, r), -r);
        else
                probe->doors.ports[socket] = escape_port(target);
        /* A datagram socket that nobody has bound has no port now, and may take none. */
        if (r == 0 && probe->doors.ports[socket] == 0)
                note(probe, socket, escape, NB_PROBE_UNREACHED, 0);
}

static void look_behind_door(struct probe *probe, unsigned socket, bool answered) {
        const struct escape_target *target = &probe->targets[socket];
        enum nb_probe_escape escape = target->is_stream ? NB_PROBE_LISTEN : NB_PROBE_RECEIVE;

        if (probe->doors.ports[socket] == 0)
                return;
        note(probe, socket, escape, answered || escape_was_reached(target) ? NB_PROBE_ESCAPED : NB_PROBE_UNREACHED, 0);
}

static int try_all(struct probe *probe) {
        struct nb_probe_knocked knocked;
        int r;

        for (unsigned socket = 0; socket < NB_PROBE_SOCKETS; ++socket) {
                if (!is_there(probe, socket))
                        continue;
                try_connected(probe, socket);
                try_disconnected(probe, socket);
                open_door(probe, socket);
        }
        probe->doors.version = NB_PROBE_VERSION;
        r = nb_channel_send(probe->fd, &probe->doors, sizeof(probe->doors), NULL, 0);
        if (r == 0) {
                struct nb_channel_fds given = probe->fds;

                r = receive(probe, &knocked, sizeof(knocked));
                nb_channel_fds_close(&probe->fds);
                probe->fds = given;
        }
        if (r < 0)
                return r;
        for (unsigned socket = 0; socket < NB_PROBE_SOCKETS; ++socket) {
                if (is_there(probe, socket))
                        look_behind_door(probe, socket, knocked.answered & 1U << socket);
        }
        return 0;
}

int probe_serve(int fd) {
        NB_CLEANUP_FREE struct probe *probe = calloc(1, sizeof(*probe));
        int r;

        if (!probe)
                return -ENOMEM;
        probe->fd = fd;
        r = take_request(probe);
        if (r == 0)
                r = try_all(probe);
        nb_channel_fds_close(&probe->fds);
        if (r < 0)
                return r;
        probe->report.version = NB_PROBE_VERSION;
        probe->report.sockets = probe->request.sockets;
        return nb_channel_send(fd, &probe->report, sizeof(probe->report), NULL, 0);
}
