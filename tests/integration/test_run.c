/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-run from its command line to its exit code: with the real netbrokerd, private or running, and real guests under
 * Wasmtime (environment NETBROKER_RUN, NETBROKERD, GUESTS_DIR, EXAMPLES_DIR). What a guest checks, is in the guest.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

#define ARGUMENTS_MAX 24
#define PATH_TEXT_MAX 512
#define OUTPUT_MAX 65536
#define TRAP 134

/* All of a policy that a test on loopback needs; one address is left out, so that there is something to refuse. */
#define POLICY                                                                                                         \
        "[Tenant]\n"                                                                                                   \
        "Name=test\n"                                                                                                  \
        "[Protocol web]\n"                                                                                             \
        "Family=ip\n"                                                                                                  \
        "Connect=127.0.0.1:*\n"                                                                                        \
        "Connect=[::1]:*\n"                                                                                            \
        "Listen=127.0.0.1:*\n"                                                                                         \
        "Listen=[::1]:*\n"

/* ---- a folder for each test ---- */

struct fixture {
        char folder[32];
        char policy[64];
};

static void fixture_init(struct fixture *fixture) {
        strncpy(fixture->folder, "/tmp/nb-run-XXXXXX", sizeof(fixture->folder));
        ck_assert_ptr_nonnull(mkdtemp(fixture->folder));
        snprintf(fixture->policy, sizeof(fixture->policy), "%s/policy.conf", fixture->folder);
}

static void write_file(const char *path, const void *bytes, size_t length) {
        NB_CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
}

static void fixture_deinit(struct fixture *fixture) {
        static const char *const names[] = { "policy.conf", "module.wasm", "file", "x" };
        char path[64];

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
                snprintf(path, sizeof(path), "%s/%s", fixture->folder, names[i]);
                (void)unlink(path);
        }
        ck_assert_int_eq(rmdir(fixture->folder), 0);
}

#define FIXTURE __attribute__((cleanup(fixture_deinit))) struct fixture

static const char *environment(const char *name) {
        const char *value = getenv(name);

        ck_assert_msg(value && *value, "%s is not set", name);
        return value;
}

/* ---- running it ---- */

/* One netbroker-run, and what it wrote. */
struct run {
        pid_t pid;
        int out; /* the read ends of its standard streams; -1 once they were read to the end */
        int err;
        char out_text[OUTPUT_MAX];
        char err_text[OUTPUT_MAX];
        size_t out_length;
        size_t err_length;
        int status; /* exit status; -1 while it runs */
};

/* A guest's path, in `buffer`. */
static const char *guest(const char *name, char buffer[static PATH_TEXT_MAX]) {
        snprintf(buffer, PATH_TEXT_MAX, "%s/%s.wasm", environment("GUESTS_DIR"), name);
        return buffer;
}

static void exec_run(const char *const *arguments) {
        const char *argv[ARGUMENTS_MAX + 2] = { "netbroker-run" };
        size_t n;

        for (n = 0; arguments[n]; ++n) {
                if (n == ARGUMENTS_MAX)
                        _exit(99);
                argv[n + 1] = arguments[n];
        }
        process_expect_no_leak_check();
        execv(environment("NETBROKER_RUN"), (char *const *)argv);
        _exit(99);
}

static void child(const char *const *arguments, int in, int out, int err) {
        if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
                _exit(99);
        exec_run(arguments);
}

static void run_start(struct run *run, int in, const char *const *arguments) {
        NB_CLEANUP_FD int null = -1;
        int out[2], err[2];

        *run = (struct run){ .status = -1 };
        if (in < 0)
                in = null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);

        run->pid = fork();
        ck_assert_int_ge(run->pid, 0);
        if (run->pid == 0)
                child(arguments, in, out[1], err[1]);
        close(out[1]);
        close(err[1]);
        run->out = out[0];
        run->err = err[0];
}

/* Reads once from a stream into its text. */
static void collect(int *fd, char *text, size_t *length) {
        ssize_t n = read(*fd, text + *length, OUTPUT_MAX - 1 - *length);

        ck_assert_int_ge(n, 0);
        *length += (size_t)n;
        text[*length] = '\0';
        if (n == 0)
                *fd = nb_fd_close(*fd);
}

/* Waits until something was written, or a stream ended. */
static void run_pump(struct run *run) {
        struct pollfd fds[] = { { .fd = run->out, .events = POLLIN }, { .fd = run->err, .events = POLLIN } };

        ck_assert_int_gt(poll(fds, 2, HARNESS_DEADLINE_MS), 0);
        if (fds[0].revents)
                collect(&run->out, run->out_text, &run->out_length);
        if (fds[1].revents)
                collect(&run->err, run->err_text, &run->err_length);
}

/* Waits for the end. Standard error ends with the last process that has it, so the private broker's end is waited for as well. */
static void run_finish(struct run *run) {
        int status;

        while (run->out >= 0 || run->err >= 0)
                run_pump(run);
        ck_assert_int_eq(waitpid(run->pid, &status, 0), run->pid);
        run->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Waits until standard output has `text`. */
static void run_expect_output(struct run *run, const char *text) {
        while (!strstr(run->out_text, text)) {
                ck_assert_msg(run->out >= 0, "it ended without saying \"%s\": %s%s", text, run->out_text,
                              run->err_text);
                run_pump(run);
        }
}

#define RUN_START(run, ...) run_start((run), -1, (const char *const[]){ __VA_ARGS__, NULL })
#define RUN(run, ...)                                                                                                  \
        do {                                                                                                           \
                RUN_START((run), __VA_ARGS__);                                                                         \
                run_finish(run);                                                                                       \
        } while (0)

/* The exit code, and a part of what was written to standard error ("" for nothing at all). */
static void expect(const struct run *run, int status, const char *message) {
        ck_assert_msg(run->status == status, "status %d, not %d: %s%s", run->status, status, run->out_text,
                      run->err_text);
        if (*message == '\0')
                ck_assert_str_eq(run->err_text, "");
        else
                ck_assert_msg(strstr(run->err_text, message) != NULL, "no \"%s\" in: %s", message, run->err_text);
}

/* ---- peers ---- */

static void cleanup_peer(struct peer *peer) {
        if (peer->text[0] != '\0')
                peer_close(peer);
}

#define PEER __attribute__((cleanup(cleanup_peer))) struct peer

/* Takes one peer and sends back what it sends. */
static void echo_once(const struct peer *peer) {
        NB_CLEANUP_FD int fd = peer_accept(peer);
        char buffer[65536];
        ssize_t n;

        while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
                for (ssize_t sent = 0; sent < n;) {
                        ssize_t m = send(fd, buffer + sent, (size_t)(n - sent), MSG_NOSIGNAL);

                        ck_assert_int_gt(m, 0);
                        sent += m;
                }
        }
        ck_assert_int_eq(n, 0);
}

/* ---- the command line ---- */

START_TEST(help_and_version) {
        struct run run;

        RUN(&run, "--help");
        expect(&run, EX_OK, "");
        ck_assert_ptr_nonnull(strstr(run.out_text, "Usage: netbroker-run [OPTION...] MODULE.wasm [ARG...]\n"));
        RUN(&run, "-V");
        expect(&run, EX_OK, "");
        ck_assert_int_eq(strncmp(run.out_text, "netbroker-run ", 14), 0);
}
END_TEST

static const struct {
        const char *arguments[6];
        const char *message;
} usage[] = {
        { { "--polcy", "x", "m.wasm" }, "netbroker-run: there is no option '--polcy'; did you mean '--policy'?\n" },
        { { NULL }, "netbroker-run: which module is to run?\n" },
        { { "--policy", "a", "--socket", "b", "m.wasm" }, "netbroker-run: --policy starts a broker and --socket uses" },
        { { "--dir", "/tmp", "m.wasm" }, "netbroker-run: --dir: '/tmp' is not HOST::GUEST" },
        { { "--dir", "::/tmp", "m.wasm" }, "netbroker-run: --dir: '::/tmp' is not HOST::GUEST" },
        { { "--dir", "/tmp::::ro", "m.wasm" }, "netbroker-run: --dir: '/tmp::::ro' is not HOST::GUEST" },
        { { "--env", "=x", "m.wasm" }, "netbroker-run: --env: '=x' is not NAME=VALUE" },
        { { "--env", "X", "m.wasm" }, "netbroker-run: --env: 'X' is not NAME=VALUE" },
        { { "--env", "NETWORKING_PREOPENS=web=3", "m.wasm" }, "netbroker-run: --env: NETWORKING_PREOPENS is what the" },
        { { "--env", "NETWORKING_PROTOCOLS=web=3", "m.wasm" },
          "netbroker-run: --env: NETWORKING_PROTOCOLS is what the" },
        { { "--log-level", "loud", "m.wasm" }, "netbroker-run: --log-level: 'loud' is not error, warning" },
};

START_TEST(wrong_command_lines) {
        struct run run;

        run_start(&run, -1, usage[_i].arguments);
        run_finish(&run);
        expect(&run, EX_USAGE, usage[_i].message);
        ck_assert_str_eq(run.out_text, "");
}
END_TEST

/* ---- what is to run ---- */

/* A module whose _start does nothing, and which exports no memory; and modules that differ from it in one way. */
#define HEADER "\0asm\1\0\0\0"
#define NOTHING                                                                                                        \
        HEADER "\1\4\1\140\0\0"      /* type 0: () -> () */                                                            \
               "\3\2\1\0"            /* function 0 of type 0 */                                                        \
               "\7\12\1\6_start\0\0" /* export it */                                                                   \
               "\12\4\1\2\0\13"      /* its code: end */
#define START_RESULT                                                                                                   \
        HEADER "\1\5\1\140\0\1\177" /* type 0: () -> i32 */                                                            \
               "\3\2\1\0"                                                                                              \
               "\7\12\1\6_start\0\0"                                                                                   \
               "\12\6\1\4\0\101\0\13" /* i32.const 0 */
#define UNKNOWN_IMPORT                                                                                                 \
        HEADER "\1\4\1\140\0\0"                                                                                        \
               "\2\7\1\1a\1b\0\0" /* import a.b */                                                                     \
               "\3\2\1\0"                                                                                              \
               "\7\12\1\6_start\0\1"                                                                                   \
               "\12\4\1\2\0\13"
#define NO_MEMORY                                                                                                      \
        HEADER "\1\11\2\140\0\0\140\1\177\1\177"                                                                       \
               "\2\43\1\26wasi_snapshot_preview1\10fd_close\0\1" /* a function of descriptors */                       \
               "\3\2\1\0"                                                                                              \
               "\7\12\1\6_start\0\1"                                                                                   \
               "\12\4\1\2\0\13"

#define BYTES(text) (text), sizeof(text) - 1

static const struct {
        const char *bytes;
        size_t length;
        int status;
        const char *message;
} modules[] = {
        { BYTES(NOTHING), EX_OK, "" },
        { BYTES(""), EX_DATAERR, "not a WebAssembly module" },
        { BYTES("#!/bin/sh\n"), EX_DATAERR, "not a WebAssembly module" },
        { BYTES("\0asm\15\0\1\0"), EX_DATAERR, "a component; what runs here is a module" },
        { BYTES("\0asm\77\0\0\0"), EX_DATAERR, "not a valid WebAssembly module" },
        { BYTES(HEADER "\1\4\1\140"), EX_DATAERR, "not a valid WebAssembly module" },
        { BYTES(START_RESULT), EX_DATAERR, "no function _start" },
        { BYTES(UNKNOWN_IMPORT), EX_DATAERR, "imports what is not there" },
        { BYTES(NO_MEMORY), EX_DATAERR, "cannot be a guest" },
};

START_TEST(modules_by_hand) {
        FIXTURE fixture;
        struct run run;
        char path[64];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        snprintf(path, sizeof(path), "%s/module.wasm", fixture.folder);
        write_file(path, modules[_i].bytes, modules[_i].length);
        RUN(&run, "--policy", fixture.policy, path);
        expect(&run, modules[_i].status, modules[_i].message);
}
END_TEST

START_TEST(no_module) {
        FIXTURE fixture;
        struct run run;

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        RUN(&run, "--policy", fixture.policy, "/nowhere/at/all.wasm");
        expect(&run, EX_NOINPUT, "cannot read the module /nowhere/at/all.wasm: No such file or directory");
        RUN(&run, "--policy", fixture.policy, fixture.folder);
        expect(&run, EX_NOINPUT, "Is a directory");
        RUN(&run, "--policy", fixture.policy, "/dev/zero");
        expect(&run, EX_NOINPUT, "not a regular file");
}
END_TEST

START_TEST(a_library) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        RUN(&run, "--policy", fixture.policy, guest("no_start", path));
        expect(&run, EX_DATAERR, "no function _start: it is a library, and not a program");
}
END_TEST

/* ---- the broker ---- */

START_TEST(a_policy_that_is_refused) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES("[Tenant]\nName=test\nColour=red\n"));
        RUN(&run, "--policy", fixture.policy, guest("exit_code", path), "0");
        expect(&run, EX_CONFIG, "policy.conf was refused: nothing was run\n");
        expect(&run, EX_CONFIG, "policy.conf:3:"); /* what the broker says of it */
        RUN(&run, "--policy", "/nowhere/at/all.conf", guest("exit_code", path), "0");
        expect(&run, EX_CONFIG, "all.conf was refused: nothing was run\n");
}
END_TEST

START_TEST(no_broker) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        RUN(&run, "--socket", "/nowhere/at/all.sock", guest("exit_code", path), "0");
        expect(&run, EX_UNAVAILABLE, "no broker listens on /nowhere/at/all.sock; start netbrokerd, name its socket");

        ck_assert_int_eq(setenv("NETBROKERD", "/nowhere/netbrokerd", 1), 0);
        RUN(&run, "--policy", fixture.policy, guest("exit_code", path), "0");
        expect(&run, EX_UNAVAILABLE, "cannot start the broker /nowhere/netbrokerd: No such file or directory");
        /* A path from here, and nothing that PATH would find. */
        ck_assert_int_eq(setenv("NETBROKERD", "false", 1), 0);
        RUN(&run, "--policy", fixture.policy, guest("exit_code", path), "0");
        expect(&run, EX_UNAVAILABLE, "cannot start the broker false: No such file or directory");
        ck_assert_int_eq(setenv("NETBROKERD", "/bin/false", 1), 0);
        RUN(&run, "--policy", fixture.policy, guest("exit_code", path), "0");
        expect(&run, EX_UNAVAILABLE, "the broker /bin/false ended with status 1");
}
END_TEST

START_TEST(a_session_that_is_refused) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        RUN(&run, "--policy", fixture.policy, "--tenant", "other", guest("exit_code", path), "0");
        expect(&run, EX_NOPERM, "the broker refused the session: the tenant is unknown");
}
END_TEST

START_TEST(a_running_broker) {
        struct daemon daemon;
        struct run run;
        char path[PATH_TEXT_MAX];
        PEER peer = { 0 };

        daemon_init(&daemon);
        daemon_write_policy(
                &daemon,
                "[Tenant]\nName=test\nUser=%u\n[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:*\n",
                (unsigned)getuid());
        daemon_start(&daemon, NULL);
        peer = peer_listen("127.0.0.1", 8);

        RUN(&run, "--socket", daemon.socket_path, "--label", "a run", guest("connect", path), peer.text);
        expect(&run, 0, "");
        RUN(&run, "--socket", daemon.socket_path, "--label", "a run", guest("connect", path), "192.0.2.1:80");
        expect(&run, 2, "");
        ck_assert_str_eq(run.out_text, "access\n");
        daemon_expect_audit(&daemon, "\"label\":\"a run\"", "192.0.2.1:80", "\"verdict\":\"denied\"");
        RUN(&run, "--socket", daemon.socket_path, "--tenant", "other", guest("connect", path), peer.text);
        expect(&run, EX_NOPERM, "the broker refused the session");

        daemon_stop(&daemon);
        daemon_deinit(&daemon);
}
END_TEST

/* The run is killed, and cannot clean up: its broker must notice. Who adopts it, is told of its end. */
START_TEST(the_broker_does_not_outlive_the_run) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];
        int status;

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        RUN_START(&run, "--policy", fixture.policy, guest("poll_listener", path), "127.0.0.1:0");
        run_expect_output(&run, "nobody\n");
        ck_assert_int_eq(kill(run.pid, SIGKILL), 0);
        run_finish(&run);
        ck_assert_int_eq(run.status, 128 + SIGKILL);
        ck_assert_int_gt(waitpid(-1, &status, 0), 0);
        ck_assert_int_eq(waitpid(-1, &status, 0), -1);
}
END_TEST

/*
 * A broker that never ends by itself is ended when the run is killed, also when the run has locked itself down. Its standard
 * error is ours: when that is at its end, nobody is left.
 */
START_TEST(a_broker_that_hangs_does_not_outlive_the_run) {
        static const char script[] = "#!/bin/sh\n\"$REAL\" \"$@\" &\nexec tail -f /dev/null\n";
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX], broker[64];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        snprintf(broker, sizeof(broker), "%s/x", fixture.folder);
        write_file(broker, BYTES(script));
        ck_assert_int_eq(chmod(broker, 0700), 0);
        ck_assert_int_eq(setenv("REAL", environment("NETBROKERD"), 1), 0);
        ck_assert_int_eq(setenv("NETBROKERD", broker, 1), 0);

        RUN_START(&run, "--policy", fixture.policy, guest("poll_listener", path), "127.0.0.1:0");
        run_expect_output(&run, "nobody\n");
        ck_assert_int_eq(kill(run.pid, SIGKILL), 0);
        run_finish(&run);
        ck_assert_int_eq(run.status, 128 + SIGKILL);
}
END_TEST

/* ---- what a guest gets ---- */

START_TEST(exit_codes) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        RUN(&run, "--policy", fixture.policy, guest("exit_code", path), "0");
        expect(&run, 0, "");
        RUN(&run, "--policy", fixture.policy, guest("exit_code", path), "42");
        expect(&run, 42, "");
        RUN(&run, "--policy", fixture.policy, guest("trap", path));
        expect(&run, TRAP, "the guest trapped: ");
        expect(&run, TRAP, "unreachable");
        ck_assert_str_eq(run.out_text, "before\n");
}
END_TEST

START_TEST(arguments_environment_and_streams) {
        FIXTURE fixture;
        NB_CLEANUP_FD int in = -1;
        struct run run;
        char path[PATH_TEXT_MAX], input[64], expected[2 * PATH_TEXT_MAX];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        snprintf(input, sizeof(input), "%s/file", fixture.folder);
        write_file(input, BYTES("input\n"));
        in = open(input, O_RDONLY | O_CLOEXEC);
        run_start(&run, in,
                  (const char *const[]){ "--policy", fixture.policy, "--env", "A=b=c", "--env",
                                         "E=", guest("process", path), "--policy", "", NULL });
        run_finish(&run);
        expect(&run, 0, "complaint\n");
        snprintf(expected, sizeof(expected),
                 "arg %s\narg --policy\narg \nenv A=b=c\nenv E=\nenv NETWORKING_PROTOCOLS=web=3\ninput\n", path);
        ck_assert_str_eq(run.out_text, expected);
}
END_TEST

/* A run without standard streams: their numbers must not become those of its channels, which the guest could then read and write. */
START_TEST(no_standard_streams) {
        FIXTURE fixture;
        char path[PATH_TEXT_MAX];
        int status;
        pid_t pid;

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                for (int fd = 0; fd < 3; ++fd)
                        close(fd);
                exec_run((const char *const[]){ "--policy", fixture.policy, guest("process", path), NULL });
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(directories) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX], file[64], writable[128], readable[128];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        snprintf(file, sizeof(file), "%s/file", fixture.folder);
        snprintf(writable, sizeof(writable), "%s::/data", fixture.folder);
        snprintf(readable, sizeof(readable), "%s::/data::ro", fixture.folder);
        write_file(file, BYTES("content\n"));

        RUN(&run, "--policy", fixture.policy, "--dir", readable, guest("files", path), "read", "/data/file");
        expect(&run, 0, "");
        ck_assert_str_eq(run.out_text, "content\n");
        RUN(&run, "--policy", fixture.policy, "--dir", readable, guest("files", path), "write", "/data/x");
        ck_assert_int_ne(run.status, 0);
        RUN(&run, "--policy", fixture.policy, "--dir", writable, guest("files", path), "write", "/data/x");
        expect(&run, 0, "");
        RUN(&run, "--policy", fixture.policy, "--dir", writable, guest("files", path), "read", "/data/../policy.conf");
        ck_assert_int_ne(run.status, 0);
        RUN(&run, "--policy", fixture.policy, guest("files", path), "read", file);
        ck_assert_int_ne(run.status, 0);
        RUN(&run, "--policy", fixture.policy, "--dir", "/nowhere/at/all::/data", guest("files", path), "read",
            "/data/x");
        expect(&run, EX_NOINPUT, "--dir: cannot open the directory /nowhere/at/all");
}
END_TEST

/* ---- the network ---- */

static const char *const loopbacks[] = { "127.0.0.1", "::1" };

/* Guests that connect to a peer that echoes, and check for themselves. */
static const struct {
        const char *name;
        const char *argument;
        const char *output;
} echoing[] = {
        { "transfer", "4194304", "4194304 bytes\n" },
        { "transfer", "1", "1 bytes\n" },
        { "raw_imports", NULL, "raw\n" },
};

START_TEST(guests_that_send) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        for (size_t i = 0; i < sizeof(loopbacks) / sizeof(loopbacks[0]); ++i) {
                PEER peer = peer_listen(loopbacks[i], 8);

                RUN_START(&run, "--policy", fixture.policy, guest(echoing[_i].name, path), peer.text,
                          echoing[_i].argument);
                echo_once(&peer);
                run_finish(&run);
                expect(&run, 0, "");
                ck_assert_str_eq(run.out_text, echoing[_i].output);
        }
}
END_TEST

#define LEFT 1000000

/* What a guest leaves behind when it ends is sent, though the relay that has it is the run's own. */
START_TEST(a_guest_that_leaves) {
        FIXTURE fixture;
        PEER peer = { 0 };
        NB_CLEANUP_FD int fd = -1;
        struct run run;
        char path[PATH_TEXT_MAX], buffer[65536];
        size_t received = 0;
        ssize_t n;

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY "DataPath=relay\n"));
        peer = peer_listen("127.0.0.1", 8);
        RUN_START(&run, "--policy", fixture.policy, guest("transfer", path), peer.text, "1000000", "leave");
        fd = peer_accept(&peer);
        while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
                received += (size_t)n;
        ck_assert_int_eq(n, 0);
        ck_assert_uint_eq(received, LEFT);
        run_finish(&run);
        expect(&run, 0, "");
        ck_assert_str_eq(run.out_text, "left\n");
}
END_TEST

/* A broker that takes as long as it is let: its end waits for a writer of a pipe. */
START_TEST(a_run_says_what_it_waits_for) {
        static const char script[] = "#!/bin/sh\n\"$REAL\" \"$@\"\n: < \"$PIPE\"\n";
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX], broker[64], pipe_path[64];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        snprintf(broker, sizeof(broker), "%s/x", fixture.folder);
        write_file(broker, BYTES(script));
        ck_assert_int_eq(chmod(broker, 0700), 0);
        snprintf(pipe_path, sizeof(pipe_path), "%s/file", fixture.folder);
        ck_assert_int_eq(mkfifo(pipe_path, 0600), 0);
        ck_assert_int_eq(setenv("REAL", environment("NETBROKERD"), 1), 0);
        ck_assert_int_eq(setenv("PIPE", pipe_path, 1), 0);
        ck_assert_int_eq(setenv("NETBROKERD", broker, 1), 0);

        RUN_START(&run, "--policy", fixture.policy, guest("exit_code", path), "42");
        while (!strstr(run.err_text, "what it wrote is still being delivered"))
                run_pump(&run);
        (void)nb_fd_close(open(pipe_path, O_WRONLY | O_CLOEXEC));
        run_finish(&run);
        expect(&run, 42, "netbroker-run: the guest has ended, and what it wrote is still being delivered; a signal");
}
END_TEST

/* Guests that only need somebody to be there; the kernel accepts for us. */
static const char *const connecting[] = { "connect", "connect_nonblock" };

START_TEST(guests_that_connect) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];
        PEER peer = { 0 };

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        peer = peer_listen("127.0.0.1", 8);
        RUN(&run, "--policy", fixture.policy, guest(connecting[_i], path), peer.text);
        expect(&run, 0, "");
}
END_TEST

/* What is not granted, and what is granted and not there. */
START_TEST(guests_that_are_refused) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX];
        PEER peer = { 0 };
        PEER listening = { 0 };

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        /* Linux: a listener that is shut down refuses, and keeps its port. */
        peer = peer_listen("127.0.0.1", 8);
        ck_assert_int_eq(shutdown(peer.fd, SHUT_RD), 0);
        listening = peer_listen("127.0.0.1", 8);

        RUN(&run, "--policy", fixture.policy, guest("connect", path), "127.0.0.2:80");
        expect(&run, 2, "\"verdict\":\"denied\"");
        expect(&run, 2, "Connect=127.0.0.2:80");
        ck_assert_str_eq(run.out_text, "access\n");
        RUN(&run, "--policy", fixture.policy, guest("connect", path), peer.text);
        expect(&run, 14, "");
        ck_assert_str_eq(run.out_text, "connrefused\n");
        RUN(&run, "--policy", fixture.policy, guest("connect_nonblock", path), peer.text);
        expect(&run, 14, "");
        RUN(&run, "--policy", fixture.policy, guest("connect", path), "127.1:80");
        expect(&run, 28, "neither an address nor a host name");
        RUN(&run, "--policy", fixture.policy, guest("listen", path), "127.0.0.2:0");
        expect(&run, 2, "Listen=127.0.0.2:");
        RUN(&run, "--policy", fixture.policy, guest("listen", path), listening.text);
        expect(&run, 3, "");
        ck_assert_str_eq(run.out_text, "addrinuse\n");
}
END_TEST

/* The address of the first record of a listener whose port is known. @return whether there is one yet */
static bool parse_listener(const char *log, char ret[static NB_ADDRESS_TEXT_MAX]) {
        static const char verb[] = "\"verb\":\"listen\"", key[] = "\"address\":\"";

        while ((log = strstr(log, verb))) {
                const char *text = strstr(log, key);
                const char *end = text ? strchr(text + strlen(key), '"') : NULL;

                if (!end)
                        return false;
                text += strlen(key);
                ck_assert_int_lt(end - text, NB_ADDRESS_TEXT_MAX);
                memcpy(ret, text, (size_t)(end - text));
                ret[end - text] = '\0';
                if (peer_port(ret) != 0)
                        return true;
                log = end;
        }
        return false;
}

/* Where a guest listens that asked for port 0, the audit says, at the level "info". It says so before the guest can be dialled. */
static void find_listener(struct run *run, char ret[static NB_ADDRESS_TEXT_MAX]) {
        while (!parse_listener(run->err_text, ret)) {
                ck_assert_msg(run->err >= 0, "it never listened: %s", run->err_text);
                run_pump(run);
        }
}

static const char *const any_ports[] = { "127.0.0.1:0", "[::1]:0" };

START_TEST(a_guest_that_serves) {
        FIXTURE fixture;
        struct run run;
        char path[PATH_TEXT_MAX], address[NB_ADDRESS_TEXT_MAX], answer[5];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        RUN_START(&run, "--policy", fixture.policy, "--log-level", "info", guest("echo_server", path), any_ports[_i],
                  "2");
        run_expect_output(&run, "listening\n");
        find_listener(&run, address);
        for (int i = 0; i < 2; ++i) {
                NB_CLEANUP_FD int fd = peer_connect(address);

                ck_assert_int_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
                ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
                ck_assert_int_eq(recv(fd, answer, sizeof(answer), MSG_WAITALL), 5);
                ck_assert_int_eq(memcmp(answer, "hello", 5), 0);
                ck_assert_int_eq(recv(fd, answer, 1, 0), 0);
        }
        run_finish(&run);
        ck_assert_int_eq(run.status, 0);
}
END_TEST

START_TEST(a_guest_that_waits_for_a_peer_and_a_clock) {
        FIXTURE fixture;
        NB_CLEANUP_FD int fd = -1;
        struct run run;
        char path[PATH_TEXT_MAX], address[NB_ADDRESS_TEXT_MAX];

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        RUN_START(&run, "--policy", fixture.policy, "--log-level", "info", guest("poll_listener", path), any_ports[_i]);
        run_expect_output(&run, "nobody\n");
        find_listener(&run, address);
        fd = peer_connect(address);
        run_expect_output(&run, "somebody\n");
        run_finish(&run);
        ck_assert_int_eq(run.status, 0);
}
END_TEST

/* ---- preopened sockets ---- */

#define PREOPEN "[Tenant]\nName=test\n[Preopen web]\n"

static void write_preopen(const struct fixture *fixture, const char *verb, const char *address) {
        char text[256];
        int n = snprintf(text, sizeof(text), PREOPEN "%s=%s\n", verb, address);

        write_file(fixture->policy, text, (size_t)n);
}

static void exchange_and_close(int fd) {
        char answer[5];

        ck_assert_int_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        ck_assert_int_eq(recv(fd, answer, sizeof(answer), MSG_WAITALL), 5);
        ck_assert_int_eq(memcmp(answer, "hello", 5), 0);
        ck_assert_int_eq(recv(fd, answer, 1, 0), 0);
}

/*
 * A socket that keeps a port from everybody but a listener: bound and not listening, with SO_REUSEADDR, as the broker's are. A policy
 * has no port 0 for a preopened listener.
 */
static int reserve_port(const char *ip, char ret[static NB_ADDRESS_TEXT_MAX]) {
        struct nb_address address;
        struct sockaddr_storage sa;
        socklen_t length;
        char text[NB_ADDRESS_TEXT_MAX];
        int fd;

        snprintf(text, sizeof(text), strchr(ip, ':') ? "[%s]:0" : "%s:0", ip);
        ck_assert_int_eq(nb_address_parse(text, strlen(text), &address), 0);
        length = nb_address_to_sockaddr(&address, &sa);
        fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, length), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &address), 0);
        nb_address_format(&address, ret);
        return fd;
}

/* A guest without an import of ours: what it knows is accept(), read() and write(). */
START_TEST(a_plain_guest_that_serves) {
        FIXTURE fixture;
        NB_CLEANUP_FD int reserved = -1;
        struct run run;
        char path[PATH_TEXT_MAX], address[NB_ADDRESS_TEXT_MAX];

        fixture_init(&fixture);
        reserved = reserve_port(loopbacks[_i], address);
        write_preopen(&fixture, "Listen", address);
        RUN_START(&run, "--policy", fixture.policy, guest("preopened", path), "serve", "web", "2");
        run_expect_output(&run, "serving\n");
        for (int i = 0; i < 2; ++i) {
                NB_CLEANUP_FD int fd = peer_connect(address);

                exchange_and_close(fd);
        }
        run_finish(&run);
        expect(&run, 0, "");
}
END_TEST

static int unix_socket(const char *path, struct sockaddr_un *ret_address) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        ck_assert_int_lt(snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s", path),
                         (int)sizeof(ret_address->sun_path));
        return fd;
}

/* The private broker has what it needs for paths, and removes what it has bound. */
START_TEST(a_plain_guest_that_serves_a_path) {
        FIXTURE fixture;
        NB_CLEANUP_FD int fd = -1;
        struct sockaddr_un address;
        struct run run;
        char path[PATH_TEXT_MAX], name[64];

        fixture_init(&fixture);
        snprintf(name, sizeof(name), "%s/socket", fixture.folder);
        write_preopen(&fixture, "Listen", name);
        RUN_START(&run, "--policy", fixture.policy, guest("preopened", path), "serve", "web", "1");
        run_expect_output(&run, "serving\n");
        fd = unix_socket(name, &address);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        exchange_and_close(fd);
        run_finish(&run);
        expect(&run, 0, "");
        ck_assert_int_ne(access(name, F_OK), 0);
}
END_TEST

START_TEST(a_plain_guest_that_talks) {
        FIXTURE fixture;
        NB_CLEANUP_FD int fd = -1;
        PEER peer = { 0 };
        struct run run;
        char path[PATH_TEXT_MAX], hello[5];

        fixture_init(&fixture);
        peer = peer_listen(loopbacks[_i], 8);
        write_preopen(&fixture, "Connect", peer.text);
        RUN_START(&run, "--policy", fixture.policy, guest("preopened", path), "talk", "web");
        fd = peer_accept(&peer);
        ck_assert_int_eq(recv(fd, hello, sizeof(hello), MSG_WAITALL), 5);
        ck_assert_int_eq(send(fd, "world", 5, MSG_NOSIGNAL), 5);
        fd = nb_fd_close(fd);
        run_finish(&run);
        expect(&run, 0, "");
        ck_assert_str_eq(run.out_text, "world");
}
END_TEST

/* The guest's protocols come first, then its preopened sockets. */
START_TEST(preopened_sockets_are_in_the_environment) {
        FIXTURE fixture;
        PEER peer = { 0 };
        struct run run;
        char path[PATH_TEXT_MAX], policy[512];
        int n;

        fixture_init(&fixture);
        peer = peer_listen("127.0.0.1", 8);
        n = snprintf(policy, sizeof(policy), POLICY "[Preopen http]\nListen=%s/x\n[Preopen db]\nConnect=%s\n",
                     fixture.folder, peer.text);
        write_file(fixture.policy, policy, (size_t)n);
        RUN(&run, "--policy", fixture.policy, guest("process", path), "0");
        ck_assert_ptr_nonnull(
                strstr(run.out_text, "env NETWORKING_PROTOCOLS=web=3\nenv NETWORKING_PREOPENS=http=4:db=5\n"));
}
END_TEST

/* @param expected  what the message goes on with behind the address */
static void expect_no_start(struct fixture *fixture, const char *verb, const char *address, const char *expected) {
        bool listens = strcmp(verb, "Listen") == 0;
        struct run run;
        char path[PATH_TEXT_MAX], message[256];

        write_preopen(fixture, verb, address);
        RUN(&run, "--policy", fixture->policy, guest("exit_code", path), "0");
        snprintf(message, sizeof(message), "netbroker-run: [Preopen web]: cannot %s %s: %s",
                 listens ? "listen on" : "connect to", address, expected);
        expect(&run, EX_UNAVAILABLE, message);
}

START_TEST(preopened_sockets_that_cannot_be_started) {
        FIXTURE fixture;
        PEER peer = { 0 };
        char name[64];

        fixture_init(&fixture);
        snprintf(name, sizeof(name), "%s/none/socket", fixture.folder);
        peer = peer_listen("127.0.0.1", 8);
        expect_no_start(&fixture, "Listen", peer.text, "Address already in use; end the program that has it");
        peer_close(&peer);
        expect_no_start(&fixture, "Connect", peer.text, "Connection refused; start the server first");
        expect_no_start(&fixture, "Listen", "192.0.2.1:80",
                        "Cannot assign requested address; this machine has no such address");
        expect_no_start(&fixture, "Listen", fixture.policy, "Address already in use; remove the file");
        expect_no_start(&fixture, "Listen", name, "No such file or directory; make the directory first");
        expect_no_start(&fixture, "Connect", name, "No such file or directory; start the server first");
}
END_TEST

/* ---- limits ---- */

#define STREAMS 10000

static void set_soft_limit(rlim_t soft) {
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Accepts `n` peers, and then sends back a byte to each, in their order. */
static void echo_many(const struct peer *peer, int n) {
        NB_CLEANUP_FREE int *fds = calloc((size_t)n, sizeof(*fds));
        char byte;

        ck_assert_ptr_nonnull(fds);
        for (int i = 0; i < n; ++i)
                fds[i] = peer_accept(peer);
        for (int i = 0; i < n; ++i) {
                ck_assert_int_eq(recv(fds[i], &byte, 1, 0), 1);
                ck_assert_int_eq(send(fds[i], &byte, 1, MSG_NOSIGNAL), 1);
        }
        for (int i = 0; i < n; ++i)
                nb_fd_close(fds[i]);
}

/* The soft limit with which it is started does not matter. Where the hard one is low, there are as many as that lets through. */
START_TEST(a_guest_with_ten_thousand_streams) {
        FIXTURE fixture;
        PEER peer = { 0 };
        struct rlimit limit;
        struct run run;
        char path[PATH_TEXT_MAX], number[16], expected[32];
        int n;

        fixture_init(&fixture);
        write_file(fixture.policy, BYTES(POLICY));
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        n = limit.rlim_max < STREAMS + 200 ? (int)limit.rlim_max - 200 : STREAMS;
        peer = peer_listen("127.0.0.1", SOMAXCONN);
        snprintf(number, sizeof(number), "%d", n);
        set_soft_limit(256);
        RUN_START(&run, "--policy", fixture.policy, guest("many", path), peer.text, number);
        set_soft_limit(RLIM_INFINITY);
        echo_many(&peer, n);
        run_finish(&run);
        expect(&run, 0, "");
        snprintf(expected, sizeof(expected), "%d streams\n", n);
        ck_assert_str_eq(run.out_text, expected);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("run");
        TCase *tcase = tcase_create("run");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, help_and_version);
        tcase_add_loop_test(tcase, wrong_command_lines, 0, sizeof(usage) / sizeof(usage[0]));
        tcase_add_loop_test(tcase, modules_by_hand, 0, sizeof(modules) / sizeof(modules[0]));
        tcase_add_test(tcase, no_module);
        tcase_add_test(tcase, a_library);
        tcase_add_test(tcase, a_policy_that_is_refused);
        tcase_add_test(tcase, no_broker);
        tcase_add_test(tcase, a_session_that_is_refused);
        tcase_add_test(tcase, a_running_broker);
        tcase_add_test(tcase, the_broker_does_not_outlive_the_run);
        tcase_add_test(tcase, a_broker_that_hangs_does_not_outlive_the_run);
        tcase_add_test(tcase, exit_codes);
        tcase_add_test(tcase, arguments_environment_and_streams);
        tcase_add_test(tcase, no_standard_streams);
        tcase_add_test(tcase, directories);
        tcase_add_loop_test(tcase, guests_that_send, 0, sizeof(echoing) / sizeof(echoing[0]));
        tcase_add_test(tcase, a_guest_that_leaves);
        tcase_add_test(tcase, a_run_says_what_it_waits_for);
        tcase_add_loop_test(tcase, guests_that_connect, 0, sizeof(connecting) / sizeof(connecting[0]));
        tcase_add_test(tcase, guests_that_are_refused);
        tcase_add_loop_test(tcase, a_guest_that_serves, 0, 2);
        tcase_add_loop_test(tcase, a_guest_that_waits_for_a_peer_and_a_clock, 0, 2);
        tcase_add_loop_test(tcase, a_plain_guest_that_serves, 0, 2);
        tcase_add_test(tcase, a_plain_guest_that_serves_a_path);
        tcase_add_loop_test(tcase, a_plain_guest_that_talks, 0, 2);
        tcase_add_test(tcase, preopened_sockets_are_in_the_environment);
        tcase_add_test(tcase, preopened_sockets_that_cannot_be_started);
        tcase_add_test(tcase, a_guest_with_ten_thousand_streams);
        return run_suite(suite);
}
