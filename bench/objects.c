/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of one kind that are opened and kept, so that what one of them takes can be seen from outside.
 *
 *   objects SOCKET ADDRESS session     sessions
 *   objects SOCKET ADDRESS control     controls of one session
 *   objects SOCKET ADDRESS listener    controls that listen
 *   objects SOCKET ADDRESS connection  connections to ADDRESS whose stream nobody has taken
 *   objects SOCKET ADDRESS stream      streams to ADDRESS whose connection is given back
 *   objects SOCKET ADDRESS accepted    the same of what a listener has accepted; the peer is here too, by plain calls
 *
 * A round opens that many more. The pointers are dropped on purpose: what they stand for ends with the process.
 */
#include <errno.h>
#include <string.h>

#include "bench/common.h"
#include "bench/library.h"

struct objects {
        const char *socket_path;
        const char *address;
        struct nb_protocol *protocol;
        struct nb_control *control;
        struct nb_control *listener; /* NULL but for what is accepted */
        struct sockaddr_in listens;
};

static void round_session(void *data, uint64_t count) {
        const struct objects *objects = data;
        struct nb_protocol *protocol;

        while (count-- > 0)
                (void)bench_session(objects->socket_path, &protocol);
}

static void round_control(void *data, uint64_t count) {
        const struct objects *objects = data;

        while (count-- > 0)
                (void)bench_control(objects->protocol, BENCH_CLIENT_ADDRESS, NB_SOCKET_STREAM);
}

static void round_listener(void *data, uint64_t count) {
        const struct objects *objects = data;

        while (count-- > 0)
                (void)bench_listener(objects->protocol);
}

static void round_connection(void *data, uint64_t count) {
        const struct objects *objects = data;
        struct nb_connection *connection;

        while (count-- > 0)
                bench_check("nb_connect",
                            nb_connect(objects->control, objects->address, strlen(objects->address), &connection));
}

static void round_stream(void *data, uint64_t count) {
        const struct objects *objects = data;

        while (count-- > 0)
                (void)bench_connect_stream(objects->control, objects->address);
}

static void round_accepted(void *data, uint64_t count) {
        const struct objects *objects = data;
        struct nb_connection *connection;

        while (count-- > 0) {
                (void)bench_connect(&objects->listens);
                bench_check("nb_accept", nb_accept(objects->listener, &connection));
                (void)bench_stream(connection);
        }
}

/* What each kind is made by. */
static const struct kind {
        const char *name;
        bench_round_function round;
} kinds[] = {
        { "session", round_session },       { "control", round_control }, { "listener", round_listener },
        { "connection", round_connection }, { "stream", round_stream },   { "accepted", round_accepted },
};

static bench_round_function find_kind(const char *name) {
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
                if (strcmp(kinds[i].name, name) == 0)
                        return kinds[i].round;
        }
        bench_die(name, EINVAL);
}

int main(int argc, char **argv) {
        struct objects objects = { 0 };
        bench_round_function round;

        bench_init();
        if (argc != 4)
                bench_die("usage: objects SOCKET ADDRESS session|control|listener|connection|stream|accepted", 0);
        objects.socket_path = argv[1];
        objects.address = argv[2];
        round = find_kind(argv[3]);
        (void)bench_session(objects.socket_path, &objects.protocol);
        objects.control = bench_control(objects.protocol, BENCH_CLIENT_ADDRESS, NB_SOCKET_STREAM);
        if (round == round_accepted) {
                objects.listener = bench_listener(objects.protocol);
                bench_address(nb_control_address(objects.listener), &objects.listens);
        }
        bench_ready(NULL);
        bench_rounds(round, &objects);
        return 0;
}
