/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/library.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/common.h"

#define TENANT "bench"
#define PROTOCOL "ip"

void bench_check(const char *what, int result) {
        if (result < 0)
                bench_die(what, -result);
}

struct nb_session *bench_session(const char *socket_path, struct nb_protocol **ret_protocol) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        const char *tenant = getenv("BENCH_TENANT");
        struct nb_session *session;

        options.socket_path = socket_path;
        options.tenant = tenant ? tenant : TENANT;
        bench_check("nb_session_open", nb_session_open(&options, &session));
        *ret_protocol = nb_session_find_protocol(session, PROTOCOL);
        if (!*ret_protocol)
                bench_die("the tenant lacks protocol " PROTOCOL, 0);
        return session;
}

struct nb_control *bench_control(struct nb_protocol *protocol, const char *address, enum nb_socket_type type) {
        struct nb_control *control;
        uint64_t base, inheriting;

        nb_protocol_rights(protocol, &base, &inheriting);
        bench_check("nb_open", nb_open(protocol, address, strlen(address), type, inheriting, inheriting, 0, &control));
        return control;
}

struct nb_control *bench_listener(struct nb_protocol *protocol) {
        struct nb_control *control = bench_control(protocol, BENCH_SERVER_ADDRESS, NB_SOCKET_STREAM);

        bench_check("nb_listen", nb_listen(control, SOMAXCONN));
        return control;
}

int bench_stream(struct nb_connection *connection) {
        struct nb_stream stream;

        bench_check("nb_stream_create", nb_stream_create(connection, 0, &stream));
        nb_connection_free(connection);
        return stream.fd;
}

int bench_connect_stream(struct nb_control *control, const char *address) {
        struct nb_connection *connection;

        bench_check("nb_connect", nb_connect(control, address, strlen(address), &connection));
        return bench_stream(connection);
}
