/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a relay says to the broker: the input is a list of steps, of which some begin connections and others are a relay's messages (see run_step()).
 *
 * The broker's relay is the target itself, at a socket of its own. Whatever it says: orders are well-formed, and of each connection its owner is
 * told once at most, with descriptors if it is ready and without them if it is not. No step makes the broker wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/unix_listener.h"
#include "broker/broker.h"
#include "broker/relay_process.h"
#include "broker/relayed.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "relay_report";

#define POLICY                                                                                                         \
        "[Tenant]\nName=acme\nRelays=2\n[Protocol "                                                                    \
        "web]\nFamily=ip\nDataPath=relay\nConnect=127.0.0.0/8:*\nListen=127.0.0.1:*\n"                                 \
        "AcceptProxyHeader=127.0.0.0/8\nDeny=192.0.2.0/24:*\n"                                                         \
        "[Protocol quic]\nFamily=quic\nTLSALPN=h3\nTLSTrust=/dev/null\nConnect=127.0.0.0/8:*\n"

#define STEPS_MAX 64
#define CONNECTIONS_MAX 16
#define RELAYS_MAX 8
#define TURNS 3
#define TIMEOUT_MS 60000

/** A connection through the relay. */
struct connection {
        struct relayed *relayed; /* NULL: it never began, or is over */
        unsigned n_told;
        int other_fd; /* the peer's end */
};

struct world {
        struct broker *broker;
        struct session session;
        struct grant *grant;
        struct grant *quic;
        int listener;
        char path[64];
        int relays[RELAYS_MAX]; /* channels; the last one is spoken on */
        size_t n_relays;
        struct connection connections[CONNECTIONS_MAX];
        size_t n_connections;
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

/* ---- a broker ---- */

static struct broker *new_broker(int log_fd) {
        const struct policy_source source = { .path = "/dev/null/none" };
        const struct policy_defaults defaults = { 0 };
        struct nb_log log = { .program = "fuzz", .level = NB_LOG_ERROR, .fd = log_fd };
        struct policy *policy = policy_new();
        struct policy_error error;
        struct broker *broker;

        FUZZ_CHECK(policy && log_fd >= 0, "%s", strerror(errno));
        FUZZ_CHECK(policy_add_file(policy, "acme.conf", POLICY, strlen(POLICY), &defaults, &error) == 0, "%s",
                   error.message);
        broker = broker_new(&log, &source, policy, audit_sink_new_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)));
        FUZZ_CHECK(broker, "%s", strerror(errno));
        return broker;
}

static void world_open(struct world *world, int log_fd) {
        const struct policy_tenant *policy;
        struct tenant *tenant;

        world->broker = new_broker(log_fd);
        (void)snprintf(world->path, sizeof(world->path), "/tmp/netbroker-fuzz-%d", (int)getpid());
        world->listener = nb_unix_listen(world->path, SOCK_SEQPACKET, S_IRUSR | S_IWUSR, RELAYS_MAX);
        FUZZ_CHECK(world->listener >= 0, "%s", strerror(-world->listener));
        world->broker->relay_launcher = relay_launcher_new(world->broker, NULL, world->path);
        policy = &world->broker->policy->tenants[0];
        tenant = tenant_get(world->broker, policy);
        world->grant = tenant ? tenant_get_grant(tenant, &policy->protocols[0]) : NULL;
        world->quic = tenant ? tenant_get_grant(tenant, &policy->protocols[1]) : NULL;
        FUZZ_CHECK(world->broker->relay_launcher && world->grant && world->quic, "%s", strerror(errno));
        world->session.broker = world->broker;
        world->session.tenant = tenant;
        world->session.label = (char *)"fuzz";
        /* A broker without one would stop. */
        nb_list_append(&world->broker->sessions, &world->session.link);
}

static void world_close(struct world *world) {
        for (size_t i = 0; i < world->n_connections; ++i) {
                world->connections[i].relayed = relayed_free(world->connections[i].relayed);
                (void)nb_fd_close(world->connections[i].other_fd);
        }
        nb_list_remove(&world->session.link);
        (void)broker_free(world->broker);
        for (size_t i = 0; i < world->n_relays; ++i)
                (void)nb_fd_close(world->relays[i]);
        (void)nb_fd_close(world->listener);
        (void)unlink(world->path);
}

/* ---- connections ---- */

static void told(void *data, int error, struct relayed_result *result) {
        struct connection *connection = data;

        FUZZ_CHECK(connection->n_told == 0, "told twice");
        FUZZ_CHECK((error == 0) == (result->fd >= 0), "error %d with descriptor %d", error, result->fd);
        FUZZ_CHECK(error == 0 || result->socket_fd < 0, "error %d with the socket", error);
        connection->n_told++;
        result->fd = nb_fd_close(result->fd);
        result->socket_fd = nb_fd_close(result->socket_fd);
}

static void begin(struct world *world, struct grant *grant, enum policy_verb verb) {
        struct connection *connection = &world->connections[world->n_connections];
        struct nb_socket_address peer;
        const struct relayed_options options = {
                .asker = { .session = &world->session, .grant = grant, .type = POLICY_SOCKET_STREAM },
                .verb = verb,
                .peer = &peer,
                .timeout_ms = TIMEOUT_MS,
                .function = told,
                .data = connection,
        };
        struct relayed_result result;
        int ends[2];

        if (world->n_connections == CONNECTIONS_MAX)
                return;
        FUZZ_CHECK(nb_socket_address_parse("127.0.0.1:443", strlen("127.0.0.1:443"), &peer) == 0, "no address");
        FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "%s",
                   strerror(errno));
        world->n_connections++;
        connection->other_fd = ends[1];
        if (relayed_start(&options, ends[0], &connection->relayed) < 0)
                connection->relayed = NULL;
        else if (relayed_take(connection->relayed, &result))
                told(connection, 0, &result);
}

static void free_told(struct world *world) {
        for (size_t i = 0; i < world->n_connections; ++i) {
                if (world->connections[i].n_told > 0)
                        world->connections[i].relayed = relayed_free(world->connections[i].relayed);
        }
}

/* ---- the relay ---- */

static void accept_relay(struct world *world) {
        int fd = accept4(world->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
                return;
        if (world->n_relays == RELAYS_MAX)
                (void)nb_fd_close(fd);
        else
                world->relays[world->n_relays++] = fd;
}

/* Orders are as they should be, whatever was said before. */
static void take_orders(struct world *world, int fd) {
        struct nb_channel_fds fds;
        Nb__Relay__Order *order;
        int length;

        while ((length = nb_channel_receive(fd, world->frame, &fds)) > 0) {
                FUZZ_CHECK(nb_relay_order_decode(&world->arena, world->frame, (size_t)length, &order) == 0,
                           "an order of %d bytes", length);
                FUZZ_CHECK(order->body_case != NB__RELAY__ORDER__BODY_BEGIN || fds.n == 2, "%zu descriptors", fds.n);
                nb_channel_fds_close(&fds);
        }
}

static void settle(struct world *world) {
        for (int i = 0; i < TURNS; ++i)
                broker_turn(world->broker, false);
        free_told(world);
        accept_relay(world);
        for (size_t i = 0; i < world->n_relays; ++i)
                take_orders(world, world->relays[i]);
}

static void say(const struct world *world, const void *bytes, size_t length) {
        if (world->n_relays > 0)
                (void)send(world->relays[world->n_relays - 1], bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_started(const struct world *world) {
        Nb__Relay__Started started = NB__RELAY__STARTED__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        started.version = NB_RELAY_VERSION;
        report.body_case = NB__RELAY__REPORT__BODY_STARTED;
        report.started = &started;
        if (world->n_relays > 0)
                (void)nb_relay_report_send(world->relays[world->n_relays - 1], &report);
}

/* ---- steps ---- */

static void run_step(struct world *world, const uint8_t **data, size_t *size) {
        const uint8_t *bytes;
        size_t length;

        switch (fuzz_take_byte(data, size) % 7) {
        case 0:
                begin(world, world->grant, POLICY_CONNECT);
                break;
        case 1:
                begin(world, world->grant, POLICY_ACCEPT);
                break;
        case 2:
                bytes = fuzz_take_bytes(data, size, &length);
                say(world, bytes, length);
                break;
        case 3:
                say_started(world);
                break;
        case 4:
                length = fuzz_take_byte(data, size) % CONNECTIONS_MAX;
                world->connections[length].relayed = relayed_free(world->connections[length].relayed);
                break;
        case 6:
                begin(world, world->quic, POLICY_CONNECT);
                break;
        default:
                if (world->n_relays > 0)
                        (void)shutdown(world->relays[world->n_relays - 1], SHUT_RDWR);
                break;
        }
        settle(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FD int log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        NB_CLEANUP_FREE struct world *world = calloc(1, sizeof(*world));

        FUZZ_CHECK(world, "no memory");
        world_open(world, log_fd);
        for (int i = 0; i < STEPS_MAX && size > 0; ++i)
                run_step(world, &data, &size);
        world_close(world);
        return 0;
}
