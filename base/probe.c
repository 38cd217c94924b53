/* SPDX-License-Identifier: Apache-2.0 */
#include "base/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/probe_scene.h"

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the conversation ------------------------------------------------------------------------------------------ */

static int send_request(int fd, const struct nb_probe_scene *scene, uint32_t *ret_sockets) {
        struct nb_probe_request request = { .version = NB_PROBE_VERSION };
        int fds[NB_PROBE_SOCKETS];
        size_t n_fds = 0;

        for (size_t i = 0; i < NB_PROBE_SOCKETS; ++i) {
                if (scene->sockets[i] < 0)
                        continue;
                request.sockets |= 1U << i;
                fds[n_fds++] = scene->sockets[i];
        }
        for (size_t i = 0; i < NB_PROBE_FAMILIES; ++i) {
                request.tcp_ports[i] = scene->tcp_ports[i];
                request.udp_ports[i] = scene->udp_ports[i];
        }
        *ret_sockets = request.sockets;
        return nb_channel_send(fd, &request, sizeof(request), fds, n_fds);
}

/* @return 0 when a message of that size and of our version has come */
static int receive(int fd, void *ret, size_t size, int64_t deadline) {
        NB_CLEANUP_FREE uint8_t *buffer = malloc(NB_CHANNEL_MESSAGE_MAX);
        uint32_t version;
        int r = buffer ? nb_probe_wait(fd, POLLIN, deadline) : -ENOMEM;

        if (r == 0)
                r = nb_channel_receive_bytes(fd, buffer);
        if (r == 0 || r == -EBADMSG)
                return r == 0 ? -ECONNRESET : -EPROTO;
        if (r < 0)
                return r;
        memcpy(&version, buffer, sizeof(version));
        if ((size_t)r != size || version != NB_PROBE_VERSION)
                return -EPROTO;
        memcpy(ret, buffer, size);
        return 0;
}

static int knock(int fd, const struct nb_probe_scene *scene, const struct nb_probe_doors *doors, int64_t deadline) {
        struct nb_probe_knocked knocked = { .version = NB_PROBE_VERSION };
        int r = nb_probe_scene_knock(scene, doors->ports, deadline, &knocked.answered);

        return r < 0 ? r : nb_channel_send(fd, &knocked, sizeof(knocked), NULL, 0);
}

static int converse(int fd, struct nb_probe_scene *scene, int64_t deadline, struct nb_probe_report *report) {
        struct nb_probe_doors doors;
        uint32_t sockets = 0;
        int r = send_request(fd, scene, &sockets);

        nb_probe_scene_give_up(scene);
        if (r == 0)
                r = receive(fd, &doors, sizeof(doors), deadline);
        if (r == 0)
                r = knock(fd, scene, &doors, deadline);
        if (r == 0)
                r = receive(fd, report, sizeof(*report), deadline);
        if (r < 0)
                return r;
        return report->sockets == sockets && report->n_results <= N_ELEMENTS(report->results) ? 0 : -EPROTO;
}

int nb_probe_ask_connected(int fd, unsigned timeout_ms, struct nb_probe_report *ret) {
        int64_t deadline = nb_probe_now() + timeout_ms;
        struct nb_probe_scene scene;
        struct nb_probe_report report;
        int r = nb_probe_scene_init(&scene, deadline);

        if (r == 0)
                r = converse(fd, &scene, deadline, &report);
        nb_probe_scene_deinit(&scene);
        if (r == 0)
                *ret = report;
        return r;
}

int nb_probe_ask(const char *path, unsigned timeout_ms, struct nb_probe_report *ret) {
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return nb_probe_ask_connected(fd, timeout_ms, ret);
}

/* ---- the judgement --------------------------------------------------------------------------------------------- */

#define BIT(socket) (1U << (socket))

#define TCP4 (BIT(NB_PROBE_TCP4) | BIT(NB_PROBE_TCP4_ACCEPTED) | BIT(NB_PROBE_TCP4_BOUND))
#define TCP6 (BIT(NB_PROBE_TCP6) | BIT(NB_PROBE_TCP6_ACCEPTED) | BIT(NB_PROBE_TCP6_BOUND))
#define UDP4 (BIT(NB_PROBE_UDP4) | BIT(NB_PROBE_UDP4_BOUND))
#define UDP6 (BIT(NB_PROBE_UDP6) | BIT(NB_PROBE_UDP6_BOUND))
#define TCP (TCP4 | TCP6)
#define UDP (UDP4 | UDP6)

/* Without these there is no proof. */
#define NEEDED (TCP4 | UDP4)

static const struct escape {
        const char *name;
        uint32_t sockets;      /* on which it is tried */
        bool may_lead_nowhere; /* the kernel asks nobody, but nothing arrives */
        int lacking;           /* the errno of a kernel that has it not, or is told not to; 0: each has */
} escapes[NB_PROBE_ESCAPES] = {
        [NB_PROBE_CONNECT] = { "connect", TCP | UDP, false, 0 },
        [NB_PROBE_CONNECT_OTHER] = { "connect to the other family", TCP6 | UDP6, false, 0 },
        [NB_PROBE_FAST_OPEN] = { "MSG_FASTOPEN", TCP, false, EOPNOTSUPP },
        [NB_PROBE_IO_URING] = { "connect by io_uring", TCP | UDP, false, ENOSYS },
        [NB_PROBE_BIND] = { "bind", TCP | UDP, false, 0 },
        [NB_PROBE_LISTEN] = { "listen", TCP, true, 0 },
        [NB_PROBE_SENDTO] = { "sendto", UDP, false, 0 },
        [NB_PROBE_SENDMSG] = { "sendmsg", UDP, false, 0 },
        [NB_PROBE_SENDMMSG] = { "sendmmsg", UDP, false, 0 },
        [NB_PROBE_RECEIVE] = { "receive from anybody", UDP, true, 0 },
        [NB_PROBE_DEVICE] = { "SO_BINDTODEVICE", TCP | UDP, false, 0 },
        [NB_PROBE_FREEBIND] = { "IP_FREEBIND", TCP | UDP, false, 0 },
        [NB_PROBE_REUSEPORT] = { "SO_REUSEPORT", TCP | UDP, false, 0 },
        [NB_PROBE_MEMBERSHIP] = { "joining a group", UDP, false, 0 },
        [NB_PROBE_ROUTING] = { "choosing a route", TCP | UDP, false, 0 },
        [NB_PROBE_PACKET_INFO] = { "choosing a source address", UDP, false, 0 },
};

static const char *const outcomes[] = {
        [NB_PROBE_UNTRIED] = "untried", [NB_PROBE_REFUSED] = "refused", [NB_PROBE_UNREACHED] = "unreached",
        [NB_PROBE_ESCAPED] = "escaped", [NB_PROBE_UNCLEAR] = "unclear",
};

static const char *const sockets[] = {
        [NB_PROBE_TCP4] = "a TCP socket of IPv4",
        [NB_PROBE_TCP4_ACCEPTED] = "an accepted TCP socket of IPv4",
        [NB_PROBE_TCP4_BOUND] = "a bound TCP socket of IPv4",
        [NB_PROBE_UDP4] = "a UDP socket of IPv4",
        [NB_PROBE_UDP4_BOUND] = "a bound UDP socket of IPv4",
        [NB_PROBE_TCP6] = "a TCP socket of IPv6",
        [NB_PROBE_TCP6_ACCEPTED] = "an accepted TCP socket of IPv6",
        [NB_PROBE_TCP6_BOUND] = "a bound TCP socket of IPv6",
        [NB_PROBE_UDP6] = "a UDP socket of IPv6",
        [NB_PROBE_UDP6_BOUND] = "a bound UDP socket of IPv6",
};

const char *nb_probe_escape_name(unsigned escape) {
        return escape < N_ELEMENTS(escapes) ? escapes[escape].name : "unknown";
}

const char *nb_probe_outcome_name(unsigned outcome) {
        return outcome < N_ELEMENTS(outcomes) ? outcomes[outcome] : "unknown";
}

const char *nb_probe_socket_name(unsigned socket) {
        return socket < N_ELEMENTS(sockets) ? sockets[socket] : "unknown";
}

static bool is_good(const struct escape *escape, const struct nb_probe_result *result) {
        switch (result->outcome) {
        case NB_PROBE_REFUSED:
                return true;
        case NB_PROBE_UNREACHED:
                return escape->may_lead_nowhere;
        case NB_PROBE_UNTRIED:
                return escape->lacking != 0 && result->error == escape->lacking;
        default:
                return false;
        }
}

/* The first result that is not good, or else any; a report that says two things about one attempt is as bad as the worse. NULL: none */
static const struct nb_probe_result *find_result(const struct nb_probe_report *report, unsigned escape,
                                                 unsigned socket) {
        const struct nb_probe_result *found = NULL;

        for (size_t i = 0; i < report->n_results && i < N_ELEMENTS(report->results); ++i) {
                const struct nb_probe_result *result = &report->results[i];

                if (result->escape != escape || result->socket != socket)
                        continue;
                if (!is_good(&escapes[escape], result))
                        return result;
                found = result;
        }
        return found;
}

static void explain(char ret[static NB_PROBE_WHY_MAX], unsigned escape, unsigned socket,
                    const struct nb_probe_result *result) {
        const char *outcome = !result                               ? "was not tried"
                              : result->outcome == NB_PROBE_ESCAPED ? "was possible"
                                                                    : "failed for another reason than the seal";

        (void)snprintf(ret, NB_PROBE_WHY_MAX, "on %s, %s %s%s%s", nb_probe_socket_name(socket),
                       nb_probe_escape_name(escape), outcome, result && result->error ? ": " : "",
                       result && result->error ? strerror(result->error) : "");
}

int nb_probe_judge(const struct nb_probe_report *report, char ret_why[static NB_PROBE_WHY_MAX]) {
        ret_why[0] = '\0';
        if ((report->sockets & NEEDED) != NEEDED) {
                (void)snprintf(ret_why, NB_PROBE_WHY_MAX, "the probe was not given all kinds of sockets");
                return -EPERM;
        }
        for (unsigned escape = 0; escape < NB_PROBE_ESCAPES; ++escape) {
                for (unsigned socket = 0; socket < NB_PROBE_SOCKETS; ++socket) {
                        const struct nb_probe_result *result;

                        if (!(escapes[escape].sockets & report->sockets & BIT(socket)))
                                continue;
                        result = find_result(report, escape, socket);
                        if (result && is_good(&escapes[escape], result))
                                continue;
                        explain(ret_why, escape, socket, result);
                        return -EPERM;
                }
        }
        return 0;
}
