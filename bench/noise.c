/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant that others should not notice.
 *
 *   noise SOCKET
 *
 * "1" on standard input starts the noise, "0" ends it; the answer comes when it has been on, or off, for as long as a bucket of tokens
 * takes to run dry or to fill a little, so that what is measured then is how it stays. The tenant is "noisy" of the policy that bench/run
 * writes. Three processes each do one thing as fast as the broker lets them:
 *
 *   denials   many controls ask at once for names with newlines and escapes in them, and for addresses that no rule grants
 *   holes     controls are opened, told to connect to a listener whose backlog is full, and closed after a while, again and again
 *   sessions  sessions are opened and closed
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/common.h"
#include "netbroker/client.h"

#define TENANT "noisy"
#define PROTOCOL "ip"
#define CLIENT_ADDRESS "0.0.0.0:0"

/* Requests under way at once, of each of the two that have controls. */
#define CONTROLS 256

/* How long until it stays as it is. */
#define SETTLE_MS 300

/* How many connections fill a backlog of 0 and more. */
#define FILL 8

struct noise {
        const char *socket_path;
        char hole[32];
        atomic_bool *on; /* shared by all processes */
};

static void check(const char *what, int result) {
        if (result < 0)
                bench_die(what, -result);
}

static void let_pass(unsigned ms) {
        const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

        (void)nanosleep(&time, NULL);
}

/* @return false: there is no session to be had at the moment */
static bool open_session(const struct noise *noise, struct nb_session **ret) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        options.socket_path = noise->socket_path;
        options.tenant = TENANT;
        return nb_session_open(&options, ret) == 0;
}

static struct nb_protocol *open_protocol(const struct noise *noise) {
        struct nb_session *session;
        struct nb_protocol *protocol;

        if (!open_session(noise, &session))
                bench_die("nb_session_open", errno);
        protocol = nb_session_find_protocol(session, PROTOCOL);
        if (!protocol)
                bench_die("the tenant lacks protocol " PROTOCOL, 0);
        return protocol;
}

static struct nb_control *open_control(struct nb_protocol *protocol) {
        struct nb_control *control;
        uint64_t base, inheriting;

        nb_protocol_rights(protocol, &base, &inheriting);
        check("nb_open", nb_open(protocol, CLIENT_ADDRESS, strlen(CLIENT_ADDRESS), NB_SOCKET_STREAM, inheriting,
                                 inheriting, NB_NONBLOCK, &control));
        return control;
}

/* Asks, or looks for the answer; there is never a connection. */
static void ask(struct nb_control *control, const char *address) {
        struct nb_connection *connection;

        if (nb_connect(control, address, strlen(address), &connection) == 0)
                bench_die("a connection to nowhere", 0);
}

static void make_denials(const struct noise *noise) {
        static const char *const addresses[] = {
                "evil\n\x1b[31mname.example:443",
                "not-granted.example:443",
                "192.0.2.1:443",
                "\\x0a\"quoted\".example:1",
        };
        struct nb_control *controls[CONTROLS];
        struct nb_protocol *protocol = open_protocol(noise);

        for (size_t i = 0; i < CONTROLS; ++i)
                controls[i] = open_control(protocol);
        for (;;) {
                for (size_t i = 0; i < CONTROLS; ++i)
                        ask(controls[i], addresses[i % 4]);
                while (!atomic_load(noise->on))
                        let_pass(1);
        }
}

/* Each control hangs until its place is needed. */
static void make_holes(const struct noise *noise) {
        struct nb_protocol *protocol = open_protocol(noise);
        struct nb_control *controls[CONTROLS] = { NULL };

        for (size_t i = 0;; i = (i + 1) % CONTROLS) {
                nb_control_free(controls[i]);
                controls[i] = open_control(protocol);
                ask(controls[i], noise->hole);
                while (!atomic_load(noise->on))
                        let_pass(1);
        }
}

static void make_sessions(const struct noise *noise) {
        for (;;) {
                struct nb_session *session;

                if (open_session(noise, &session))
                        nb_session_free(session);
                while (!atomic_load(noise->on))
                        let_pass(1);
        }
}

/* A listener that takes nobody any more. */
static void dig_hole(char *ret, size_t size) {
        struct sockaddr_in address;
        int fd = bench_listen(&address);

        if (listen(fd, 0) < 0)
                bench_die("listen", errno);
        for (int i = 0; i < FILL; ++i) {
                int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

                if (client < 0 ||
                    (connect(client, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS))
                        bench_die("connect", errno);
        }
        bench_address_format(&address, ret, size);
}

static void start(const struct noise *noise, void (*make)(const struct noise *noise)) {
        pid_t pid = fork();

        if (pid < 0)
                bench_die("fork", errno);
        if (pid > 0)
                return;
        /* Before anything else, so that it ends with who started it. */
        bench_init();
        while (!atomic_load(noise->on))
                let_pass(1);
        make(noise);
}

int main(int argc, char **argv) {
        struct noise noise = { .socket_path = argc == 2 ? argv[1] : NULL };
        char line[64];

        bench_init();
        if (argc != 2)
                bench_die("usage: noise SOCKET", 0);
        noise.on = mmap(NULL, sizeof(*noise.on), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (noise.on == MAP_FAILED)
                bench_die("mmap", errno);
        dig_hole(noise.hole, sizeof(noise.hole));
        start(&noise, make_denials);
        start(&noise, make_holes);
        start(&noise, make_sessions);
        bench_ready(NULL);
        while (fgets(line, sizeof(line), stdin)) {
                atomic_store(noise.on, line[0] == '1');
                let_pass(SETTLE_MS);
                printf("0\n");
                fflush(stdout);
        }
        return 0;
}
