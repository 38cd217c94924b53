/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX sockets for guests (netbroker-guest(7)): programs that know nothing of WASI, linked with libnetbroker-posix, under netbroker-run
 * and a real netbrokerd, with the peers of the conformance suite.
 *
 * Most of them are compiled twice, for Wasm and for the system itself, and must print the same both times (tests/guests/posix.h): what is
 * right, Linux knows. The others are about what no system has: names that stand for themselves, protocols, numbers.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/conformance/peers.h"
#include "tests/support/harness.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

#define ARGUMENTS_MAX 16
#define TEXT_MAX 256

static const char *environment(const char *name) {
        const char *value = getenv(name);

        ck_assert_msg(value && *value, "%s is not set", name);
        return value;
}

/* ---- what a program finds ---- */

struct world {
        struct daemon daemon;
        struct peers peers;
        struct peer refused6;
        struct wire_session session;      /* stays open: once it is answered, the daemon has done with its start */
        unsigned baseline;                /* the daemon's descriptors with this session and no other */
        char folder[HARNESS_PATH_MAX];    /* of Unix sockets */
        char directory[HARNESS_PATH_MAX]; /* the guest's /dir */
};

static void write_policy(const struct world *world) {
        daemon_write_policy(&world->daemon,
                            "[Tenant]\nName=posix\nUser=%u\n"
                            "[Protocol open]\n"
                            "Family=ip\nDataPath=direct\nSocketTypes=stream dgram\n"
                            "Connect=127.0.0.1:*\nConnect=[::1]:*\nListen=127.0.0.1:*\nListen=[::1]:*\n"
                            "[Protocol closed]\n"
                            "Family=ip\nDataPath=direct\nConnect=192.0.2.1:80\n"
                            "[Protocol local]\n"
                            "Family=unix\nDataPath=direct\n"
                            "Connect=%s/*.sock\nListen=%s/*.sock\nConnect=@posix-%u-*\nListen=@posix-%u-*\n"
                            "[Preopen door]\nDataPath=direct\nListen=@posix-%u-door\n",
                            (unsigned)getuid(), world->folder, world->folder, (unsigned)getpid(), (unsigned)getpid(),
                            (unsigned)getpid());
}

/* A listener that is shut down refuses, and keeps its port. */
static struct peer refuse6(void) {
        struct peer peer = peer_listen("::1", 1);

        ck_assert_int_eq(shutdown(peer.fd, SHUT_RD), 0);
        return peer;
}

static void world_init(struct world *world) {
        daemon_init(&world->daemon);
        snprintf(world->folder, sizeof(world->folder), "%s/unix", world->daemon.folder);
        snprintf(world->directory, sizeof(world->directory), "%s/dir", world->daemon.folder);
        ck_assert_int_eq(mkdir(world->folder, 0755), 0);
        ck_assert_int_eq(mkdir(world->directory, 0755), 0);
        peers_start(&world->peers, world->folder);
        world->refused6 = refuse6();
        write_policy(world);
        daemon_start(&world->daemon, NULL);
        wire_session_open(world->daemon.socket_path, "posix", &world->session);
        wire_settle(&world->session.protocols[0]);
        world->baseline = daemon_count_fds_at_rest(&world->daemon);
}

static void world_deinit(struct world *world) {
        daemon_wait_fds(&world->daemon, world->baseline);
        wire_session_close(&world->session);
        peers_end(&world->peers);
        peer_close(&world->refused6);
        ck_assert_msg(rmdir(world->folder) == 0, "a Unix socket is left in %s: %s", world->folder, strerror(errno));
        daemon_stop(&world->daemon);
        daemon_deinit(&world->daemon);
}

/* ---- running a program ---- */

struct command {
        const char *argv[ARGUMENTS_MAX + 1];
        size_t n;
        char program[TEXT_MAX];
        char directory[TEXT_MAX];
        char texts[ARGUMENTS_MAX][TEXT_MAX];
        char output_path[HARNESS_PATH_MAX + 16];
};

static void add(struct command *command, const char *argument) {
        ck_assert_uint_lt(command->n, ARGUMENTS_MAX);
        command->argv[command->n++] = argument;
}

/* What stands for itself in the table of programs. A word in braces is one of the peers. */
static const char *resolve(const struct world *world, const char *word, char buffer[static TEXT_MAX]) {
        const struct peers *peers = &world->peers;
        const struct {
                const char *word;
                const struct peer *peer;
        } ports[] = {
                { "{echo}", &peers->echo },
                { "{echo6}", &peers->echo6 },
                { "{refused}", &peers->refused },
                { "{refused6}", &world->refused6 },
                { "{silent}", &peers->silent },
                { "{hole}", &peers->black_hole },
                { "{datagrams}", &peers->datagrams },
                { "{datagrams6}", &peers->datagrams6 },
                { "{none}", &peers->refused_datagrams },
        };

        if (strcmp(word, "{unix}") == 0)
                return peers->unix_path;
        if (strcmp(word, "{own}") == 0)
                snprintf(buffer, TEXT_MAX, "%s/own.sock", world->folder);
        else if (strcmp(word, "{abstract}") == 0)
                snprintf(buffer, TEXT_MAX, "@posix-%u-own", (unsigned)getpid());
        else if (strcmp(word, "{door}") == 0)
                snprintf(buffer, TEXT_MAX, "@posix-%u-door", (unsigned)getpid());
        else
                snprintf(buffer, TEXT_MAX, "%s", word);
        for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); ++i) {
                if (strcmp(ports[i].word, word) == 0)
                        snprintf(buffer, TEXT_MAX, "%u", (unsigned)ports[i].peer->address.port);
        }
        return buffer;
}

static void add_words(struct command *command, const struct world *world, const char *const *words) {
        for (size_t i = 0; words[i]; ++i)
                add(command, resolve(world, words[i], command->texts[i]));
}

/* The program as the system runs it. */
static void describe_native(struct command *command, const struct world *world, const char *name,
                            const char *const *words) {
        *command = (struct command){ 0 };
        snprintf(command->program, TEXT_MAX, "%s/tests/guests/%s", environment("BUILDDIR"), name);
        snprintf(command->output_path, sizeof(command->output_path), "%s/native", world->daemon.folder);
        add(command, name);
        add_words(command, world, words);
}

/* @param variable  of the guest's environment; NULL: it is empty */
static void describe_guest(struct command *command, const struct world *world, const char *name, const char *variable,
                           const char *const *words) {
        *command = (struct command){ 0 };
        snprintf(command->program, TEXT_MAX, "%s", environment("NETBROKER_RUN"));
        snprintf(command->output_path, sizeof(command->output_path), "%s/guest", world->daemon.folder);
        snprintf(command->directory, TEXT_MAX, "%s::/dir", world->directory);
        snprintf(command->texts[ARGUMENTS_MAX - 1], TEXT_MAX, "%s/%s.wasm", environment("GUESTS_DIR"), name);
        add(command, "netbroker-run");
        add(command, "--socket");
        add(command, world->daemon.socket_path);
        add(command, "--dir");
        add(command, command->directory);
        if (variable) {
                add(command, "--env");
                add(command, variable);
        }
        add(command, command->texts[ARGUMENTS_MAX - 1]);
        add_words(command, world, words);
}

/* In the child. Linux would end with SIGPIPE what writes to nobody, where WASI has no signals. */
static void exec_command(const struct command *command) {
        int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int out = open(command->output_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
                _exit(99);
        process_expect_no_leak_check();
        (void)signal(SIGPIPE, SIG_IGN);
        execv(command->program, (char *const *)command->argv);
        _exit(99);
}

static pid_t start(const struct command *command) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                exec_command(command);
        return pid;
}

/* Runs it to its end, which must be a good one. @return what it wrote to standard output, owned by the caller */
static char *run(const struct command *command) {
        int status = harness_wait_exit(start(command));
        char *output = daemon_read(command->output_path);

        ck_assert_msg(status == 0, "%s: status %d\n%s", command->program, status, output);
        return output;
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- as POSIX sockets do ---- */

static const struct {
        const char *name;
        const char *words[ARGUMENTS_MAX];
} programs[] = {
        { "posix_accept", { "127.0.0.1" } },
        { "posix_accept", { "::1" } },
        { "posix_address", { NULL } },
        { "posix_connect", { "127.0.0.1", "{echo}", "{refused}" } },
        { "posix_connect", { "::1", "{echo6}", "{refused6}" } },
        { "posix_datagram", { "127.0.0.1", "{datagrams}", "{none}" } },
        { "posix_datagram", { "::1", "{datagrams6}", "{refused6}" } },
        { "posix_error", { "127.0.0.1", "{echo}" } },
        { "posix_error", { "::1", "{echo6}" } },
        { "posix_option", { "127.0.0.1", "{echo}" } },
        { "posix_option", { "::1", "{echo6}" } },
        { "posix_poll", { "127.0.0.1", "{echo}" } },
        { "posix_poll", { "::1", "{echo6}" } },
        { "posix_receive", { "127.0.0.1", "{echo}" } },
        { "posix_select", { "127.0.0.1", "{echo}" } },
        { "posix_timeout", { "127.0.0.1", "{silent}", "{hole}" } },
        { "posix_unix", { "{unix}", "{own}" } },
        { "posix_unix", { "{unix}", "{abstract}" } },
};

#define N_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

/* Bytes of a line that are shown: check(3) gives up at a message that is too long. */
#define SHOWN_MAX 200

/* @return how much of the line at `text` is shown, for "%.*s" */
static int shown(const char *text) {
        size_t length = strcspn(text, "\n");

        return (int)(length < SHOWN_MAX ? length : SHOWN_MAX);
}

/* Fails with the first line that is not the same. @param word  the program's first; NULL: none */
static void expect_same_lines(const char *name, const char *word, const char *native, const char *guest) {
        unsigned line = 1;
        size_t begin = 0;

        ck_assert_msg(*native, "%s wrote nothing", name);
        if (strcmp(native, guest) == 0)
                return;
        for (size_t i = 0; native[i] && native[i] == guest[i]; ++i) {
                if (native[i] != '\n')
                        continue;
                begin = i + 1;
                ++line;
        }
        ck_abort_msg("%s %s, line %u: as the system\n%.*s\nas a guest\n%.*s", name, word ? word : "", line,
                     shown(native + begin), native + begin, shown(guest + begin), guest + begin);
}

static void expect_same(const struct world *world, const char *name, const char *const *words) {
        NB_CLEANUP_FREE char *native = NULL, *guest = NULL;
        struct command command;

        describe_native(&command, world, name, words);
        native = run(&command);
        describe_guest(&command, world, name, NULL, words);
        guest = run(&command);
        expect_same_lines(name, words[0], native, guest);
}

START_TEST(as_the_system) {
        struct world world;

        world_init(&world);
        expect_same(&world, programs[_i].name, programs[_i].words);
        world_deinit(&world);
}
END_TEST

/* One socket for many peers, over the relay's connections. */
START_TEST(a_datagram_server_as_the_system) {
        struct world world;

        world_init(&world);
        expect_same(&world, "posix_datagram_server", WORDS(_i ? "::1" : "127.0.0.1"));
        world.baseline++; /* the relay's channel */
        world_deinit(&world);
}
END_TEST

/* ---- what no system has ---- */

/* A name is not resolved in the guest: what the broker judges and records is the name. */
START_TEST(a_name_reaches_the_broker) {
        NB_CLEANUP_FREE char *output = NULL;
        struct command command;
        struct world world;

        world_init(&world);
        describe_guest(&command, &world, "posix_name", NULL, WORDS("Redis.example", "6379"));
        output = run(&command);
        ck_assert_str_eq(output, "198.18.0.1 Redis.example redis\n"
                                 "connect(fd, info->ai_addr, info->ai_addrlen): EACCES\n"
                                 "100::1 Redis.example redis\n"
                                 "connect(fd, info->ai_addr, info->ai_addrlen): EACCES\n");
        daemon_expect_audit(&world.daemon, "\"asked\":\"Redis.example:6379\"", "\"verdict\":\"denied\"");
        world_deinit(&world);
}
END_TEST

#define PROTOCOL_REST                                                                                                  \
        "netbroker_use_protocol(\"closed\"): 0\n"                                                                      \
        "connect(fd, (struct sockaddr *)&address, length): EACCES\n"                                                   \
        "netbroker_use_protocol(\"open\"): 0\n"                                                                        \
        "connect(fd, (struct sockaddr *)&address, length): 0\n"                                                        \
        "netbroker_use_protocol(\"none\"): ENOENT\n"                                                                   \
        "netbroker_use_protocol(NULL): 0\n"

static void expect_protocol(const char *variable, const char *connect_result) {
        NB_CLEANUP_FREE char *output = NULL;
        char expected[1024];
        struct command command;
        struct world world;

        world_init(&world);
        describe_guest(&command, &world, "posix_protocol", variable, WORDS("127.0.0.1", "{echo}"));
        output = run(&command);
        snprintf(expected, sizeof(expected),
                 "connect(fd, (struct sockaddr *)&address, length): %s\n" PROTOCOL_REST
                 "connect(fd, (struct sockaddr *)&address, length): %s\n",
                 connect_result, connect_result);
        ck_assert_str_eq(output, expected);
        world_deinit(&world);
}

START_TEST(the_first_protocol_serves) {
        expect_protocol(NULL, "0");
}
END_TEST

START_TEST(the_environment_chooses_a_protocol) {
        expect_protocol("NETWORKING_DEFAULT=closed", "EACCES");
}
END_TEST

START_TEST(numbers_are_free_when_closed) {
        NB_CLEANUP_FREE char *output = NULL;
        struct command command;
        struct world world;
        char path[HARNESS_PATH_MAX + 16];

        world_init(&world);
        describe_guest(&command, &world, "posix_number", NULL, WORDS("127.0.0.1", "{echo}"));
        output = run(&command);
        ck_assert_str_eq(output, "not a socket: ENOTSOCK\n"
                                 "not a socket: ENOTSOCK\n"
                                 "not a socket: ENOTSOCK\n"
                                 "close(fd): EBADF\n"
                                 "renumbered: 1 out\n");
        snprintf(path, sizeof(path), "%s/file", world.directory);
        ck_assert_int_eq(unlink(path), 0);
        world_deinit(&world);
}
END_TEST

START_TEST(a_preopened_listener_is_a_socket) {
        NB_CLEANUP_FREE char *output = NULL;
        struct command command;
        struct world world;

        world_init(&world);
        describe_guest(&command, &world, "posix_preopen", NULL, WORDS("{door}"));
        output = run(&command);
        ck_assert_str_eq(output, "accept(door, NULL, NULL): EAGAIN\n"
                                 "nobody: 0\n"
                                 "someone: 1 in\n"
                                 "recv(fd, text, 3, MSG_WAITALL): 3\n"
                                 "listen(door, 5): 0\n"
                                 "listens 1\n"
                                 "domain 3\n"
                                 "listens 0\n"
                                 "close(door): 0\n");
        world_deinit(&world);
}
END_TEST

/* ---- a server ---- */

/* Waits until the program has said its port. @return its address, in `buffer` */
static const char *wait_for_port(const char *path, const char *host, char buffer[static TEXT_MAX]) {
        uint64_t begin = harness_now_ms();

        for (;;) {
                NB_CLEANUP_FREE char *output = access(path, R_OK) == 0 ? daemon_read(path) : NULL;
                unsigned port;

                if (output && strchr(output, '\n') && sscanf(output, "port %u", &port) == 1) {
                        snprintf(buffer, TEXT_MAX, "%s:%u", host, port);
                        return buffer;
                }
                harness_wait_a_moment(begin, "the port of a server");
        }
}

#define CLIENTS 40

static void serve(const char *host, const char *host_in_address) {
        int fds[CLIENTS];
        struct command command;
        struct world world;
        char address[TEXT_MAX], text[8];
        pid_t pid;

        world_init(&world);
        describe_guest(&command, &world, "posix_echo", NULL, WORDS(host, "40"));
        pid = start(&command);
        (void)wait_for_port(command.output_path, host_in_address, address);
        for (size_t i = 0; i < CLIENTS; ++i) {
                fds[i] = peer_connect(address);
                ck_assert_int_ge(fds[i], 0);
                ck_assert_int_eq(send(fds[i], "hello", 5, 0), 5);
        }
        for (size_t i = 0; i < CLIENTS; ++i) {
                ck_assert_int_eq(recv(fds[i], text, 5, MSG_WAITALL), 5);
                ck_assert_int_eq(close(fds[i]), 0);
        }
        ck_assert_int_eq(harness_wait_exit(pid), 0);
        world_deinit(&world);
}

START_TEST(a_server_with_one_poll) {
        serve("127.0.0.1", "127.0.0.1");
        serve("::1", "[::1]");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("posix");
        TCase *tcase = tcase_create("posix");

        tcase_add_loop_test(tcase, as_the_system, 0, N_PROGRAMS);
        tcase_add_loop_test(tcase, a_datagram_server_as_the_system, 0, 2);
        tcase_add_test(tcase, a_name_reaches_the_broker);
        tcase_add_test(tcase, the_first_protocol_serves);
        tcase_add_test(tcase, the_environment_chooses_a_protocol);
        tcase_add_test(tcase, numbers_are_free_when_closed);
        tcase_add_test(tcase, a_preopened_listener_is_a_socket);
        tcase_add_test(tcase, a_server_with_one_poll);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
