/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite (docs/guest-interface.md): its guests under netbroker-run and a real netbrokerd, with the peers of
 * tests/conformance/peers.h. What is right, the guests know; this starts them, and sees to it that everything was tried.
 *
 * The last line says how much was tried and how much of it failed. What a test process found good, it writes to a descriptor that all
 * share: what is not there, has failed, whatever became of the process.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/matrix.h"
#include "tests/conformance/peers.h"
#include "tests/support/certificates.h"
#include "tests/support/harness.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

#define ARGUMENTS_MAX 256
#define VARIABLES_MAX 16
#define TEXT_MAX 512
#define FAILURES_MAX 65536
#define GUEST_DEADLINE_MS 50000
#define LINK_TEXT_MAX (HARNESS_PATH_MAX + 16)
#define RESULTS_VARIABLE "CONFORMANCE_RESULTS"

/* The suite's guests beside the matrix; each is tests/conformance/NAME.c. */
static const struct {
        const char *name;
        const char *limit; /* how it is started with fewer descriptors, as an argument of prlimit(1); NULL: it is not */
} behaviours[] = {
        { "bounds", NULL },
        { "behaviour_accept", NULL },
        { "behaviour_addresses", NULL },
        { "behaviour_blocking", NULL },
        { "behaviour_close", NULL },
        { "behaviour_connect", NULL },
        { "behaviour_datagrams", NULL },
        { "behaviour_denial", NULL },
        { "behaviour_restrict", NULL },
        { "behaviour_full_table", "--nofile=256" },
        { "behaviour_half_close", NULL },
        { "behaviour_many_streams", NULL },
        { "behaviour_numbers", NULL },
        { "behaviour_options", NULL },
        { "behaviour_poll", NULL },
        { "behaviour_preopens", NULL },
        { "behaviour_prestat", NULL },
        { "behaviour_quic_datagrams", NULL },
        { "behaviour_quic_ends", NULL },
        { "behaviour_quic_streams", NULL },
        { "behaviour_receive", NULL },
        { "behaviour_renumber", NULL },
        { "behaviour_reset", NULL },
        { "behaviour_rights", NULL },
        { "behaviour_rights_2020", NULL },
        { "behaviour_unix", NULL },
};

#define N_BEHAVIOURS (sizeof(behaviours) / sizeof(behaviours[0]))

static const char *environment(const char *name) {
        const char *value = getenv(name);

        ck_assert_msg(value && *value, "%s is not set", name);
        return value;
}

/* Of the server that guests of QUIC connect to, which are the same guests. */
static struct certificates certificates;

static void make_certificates(void) {
        static const struct certificate local = {
                .name = "local",
                .issuer = "root",
                .template = "ip_address = \"127.0.0.1\"\nsigning_key\ntls_www_server\n",
        };

        process_expect_no_leak_check();
        certificates_init(&certificates);
        certificates_make_authority(&certificates, "root", NULL);
        certificates_make(&certificates, &local);
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

/* ---- what all guests find ---- */

struct suite {
        struct daemon daemon;
        struct peers peers;
        struct wire_session session;      /* that does nothing: what the tenant has for itself is there already */
        unsigned baseline;                /* the daemon's descriptors with it and nobody else */
        char folder[HARNESS_PATH_MAX];    /* of Unix sockets */
        char directory[HARNESS_PATH_MAX]; /* the guest's /dir */
};

/* All families; loopback only, and of that 127.0.0.1 and ::1 only, so that there is something to refuse. */
#define LOOPBACK                                                                                                       \
        "Family=ip\n"                                                                                                  \
        "DataPath=direct\n"                                                                                            \
        "SocketTypes=stream dgram\n"                                                                                   \
        "Connect=127.0.0.1:*\n"                                                                                        \
        "Connect=[::1]:*\n"                                                                                            \
        "Listen=127.0.0.1:*\n"                                                                                         \
        "Listen=[::1]:*\n"

/* MaxStreams= is QUIC_MAX_STREAMS of the guests. */
#define QUIC                                                                                                           \
        "[Protocol quic]\n"                                                                                            \
        "Family=quic\n"                                                                                                \
        "SocketTypes=stream dgram\n"                                                                                   \
        "Connect=127.0.0.1:*\n"                                                                                        \
        "Listen=127.0.0.1:*\n"                                                                                         \
        "MaxStreams=4\n"                                                                                               \
        "TLSALPN=conformance\n"                                                                                        \
        "TLSTrust=%s/root.pem\n"                                                                                       \
        "TLSCertificate=%s/local.chain %s/local.key\n"

#define QUIC_INDEX 4 /* of the protocols */

static void write_policy(const struct suite *suite) {
        const char *folder = suite->folder;

        daemon_write_policy(&suite->daemon,
                            "[Tenant]\nName=conformance\nUser=%u\nExplainDenials=yes\n"
                            "[Protocol web]\n" LOOPBACK "[Protocol given]\n" LOOPBACK "[Protocol hasty]\n" LOOPBACK
                            "ConnectTimeout=100ms\n"
                            "[Protocol local]\nFamily=unix\nDataPath=direct\n"
                            "Connect=%s/*.sock\nListen=%s/*.sock\n"
                            "Connect=@conformance-%u-*\nListen=@conformance-%u-*\n" QUIC
                            "[Preopen door]\nDataPath=direct\nListen=%s/door.sock\n"
                            "[Preopen line]\nDataPath=direct\nConnect=%s\n",
                            (unsigned)getuid(), folder, folder, (unsigned)getpid(), (unsigned)getpid(),
                            certificates.folder, certificates.folder, certificates.folder, folder,
                            suite->peers.silent.text);
}

/* What the tenant gets once and keeps: a relay, with what it must know of the policy. */
static void warm_up(struct wire *quic) {
        struct wire control = wire_open_control(quic, "127.0.0.1:0");

        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        (void)wire_close(&control);
        wire_settle(quic);
}

static void link_path(const struct suite *suite, char path[static LINK_TEXT_MAX]) {
        snprintf(path, LINK_TEXT_MAX, "%s/link.sock", suite->folder);
}

static void suite_init(struct suite *suite) {
        char path[LINK_TEXT_MAX];

        daemon_init(&suite->daemon);
        snprintf(suite->folder, sizeof(suite->folder), "%s/unix", suite->daemon.folder);
        snprintf(suite->directory, sizeof(suite->directory), "%s/dir", suite->daemon.folder);
        ck_assert_int_eq(mkdir(suite->folder, 0755), 0);
        ck_assert_int_eq(mkdir(suite->directory, 0755), 0);
        peers_start(&suite->peers, suite->folder);
        link_path(suite, path);
        ck_assert_int_eq(symlink(suite->peers.unix_path, path), 0);
        write_policy(suite);
        daemon_start(&suite->daemon, NULL);
        wire_session_open(suite->daemon.socket_path, "", &suite->session);
        warm_up(&suite->session.protocols[QUIC_INDEX]);
        suite->baseline = daemon_count_fds_at_rest(&suite->daemon);
}

/* Nothing is left of the guests: neither in the daemon nor in the file system. */
static void suite_deinit(struct suite *suite) {
        uint64_t start = harness_now_ms();
        char path[LINK_TEXT_MAX];

        while (daemon_count_fds(&suite->daemon) > suite->baseline)
                harness_wait_a_moment(start, "the daemon to close what guests had");
        wire_session_close(&suite->session);
        peers_end(&suite->peers);
        link_path(suite, path);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_msg(rmdir(suite->folder) == 0, "a Unix socket is left in %s: %s", suite->folder, strerror(errno));
        daemon_stop(&suite->daemon);
        daemon_deinit(&suite->daemon);
}

/* ---- running a guest ---- */

struct command {
        const char *argv[ARGUMENTS_MAX + 1];
        size_t n;
        char variables[VARIABLES_MAX][TEXT_MAX]; /* NAME=VALUE */
        size_t n_variables;
        char directory[TEXT_MAX];
        char module[TEXT_MAX];
};

static void add(struct command *command, const char *argument) {
        ck_assert_uint_lt(command->n, ARGUMENTS_MAX);
        command->argv[command->n++] = argument;
}

static void add_variable(struct command *command, const char *name, const char *value) {
        char *text = command->variables[command->n_variables++];

        ck_assert_uint_le(command->n_variables, VARIABLES_MAX);
        ck_assert_int_lt(snprintf(text, TEXT_MAX, "CONFORMANCE_%s=%s", name, value), TEXT_MAX);
        add(command, "--env");
        add(command, text);
}

/* @param limit  NULL, or an argument of prlimit(1) */
static void describe(struct command *command, const struct suite *suite, const char *guest, const char *limit) {
        const struct peers *peers = &suite->peers;
        char abstract[TEXT_MAX];

        *command = (struct command){ 0 };
        if (limit) {
                add(command, "prlimit");
                add(command, limit);
        }
        add(command, environment("NETBROKER_RUN"));
        add(command, "--socket");
        add(command, suite->daemon.socket_path);
        add(command, "--dir");
        snprintf(command->directory, TEXT_MAX, "%s::/dir", suite->directory);
        add(command, command->directory);
        snprintf(abstract, sizeof(abstract), "@conformance-%u-name", (unsigned)getpid());
        add_variable(command, "ECHO", peers->echo.text);
        add_variable(command, "ECHO6", peers->echo6.text);
        add_variable(command, "CROWD", peers->crowd.text);
        add_variable(command, "DATAGRAMS", peers->datagrams.text);
        add_variable(command, "DATAGRAMS6", peers->datagrams6.text);
        add_variable(command, "REFUSED", peers->refused.text);
        add_variable(command, "REFUSED_DATAGRAMS", peers->refused_datagrams.text);
        add_variable(command, "BLACK_HOLE", peers->black_hole.text);
        add_variable(command, "UNIX", peers->unix_path);
        add_variable(command, "FOLDER", suite->folder);
        add_variable(command, "ABSTRACT", abstract);
        add_variable(command, "DENIED", "127.0.0.2:80");
        snprintf(command->module, TEXT_MAX, "%s/tests/conformance/%s.wasm", environment("BUILDDIR"), guest);
        add(command, command->module);
}

/* Runs it to its end. @return the exit status. @param process  gets what it wrote */
static int run_command(const struct command *command, struct process *process) {
        process_expect_no_leak_check();
        process_start(process, command->argv);
        return process_finish(process, GUEST_DEADLINE_MS);
}

/* ---- what was good ---- */

static void report_good(const char *what, size_t n) {
        ck_assert_int_gt(dprintf((int)strtol(environment(RESULTS_VARIABLE), NULL, 10), "%s %zu\n", what, n), 0);
}

/* ---- the matrix ---- */

/* What came of all runs so far. */
struct tally {
        size_t left[MATRIX_N_CELLS]; /* cells that the last run had to leave out */
        size_t n_left;
        size_t n_tried;
        size_t n_failed;
        char failures[FAILURES_MAX]; /* lines of the guest */
        size_t length;
};

static void take_line(struct tally *tally, const char *line, size_t length) {
        static const char left[] = "left ";

        if (strncmp(line, left, strlen(left)) == 0) {
                ck_assert_uint_lt(tally->n_left, MATRIX_N_CELLS);
                tally->left[tally->n_left++] = strtoul(line + strlen(left), NULL, 10);
        } else if (strncmp(line, "FAILED ", 7) == 0 && length < sizeof(tally->failures) - tally->length) {
                memcpy(tally->failures + tally->length, line, length);
                tally->length += length;
        }
}

/* Reads a run's output, whose last line is "matrix: N cells, N failed". @return whether something was tried and nothing failed */
static bool take_output(struct tally *tally, const char *output) {
        const char *summary = strstr(output, "matrix: ");
        size_t n_tried, n_failed, length;

        ck_assert_msg(summary != NULL, "it did not come to its end: %s", output);
        ck_assert_int_eq(sscanf(summary, "matrix: %zu cells, %zu failed", &n_tried, &n_failed), 2);
        ck_assert_msg(n_tried > 0, "nothing of what is left can be tried: %s", output);
        tally->n_tried += n_tried;
        tally->n_failed += n_failed;
        tally->n_left = 0;
        for (const char *line = output; line < summary; line += length) {
                length = strcspn(line, "\n") + 1;
                take_line(tally, line, length);
        }
        return n_failed == 0;
}

/* Runs what is left, or everything. */
static void run_cells(const struct suite *suite, struct tally *tally) {
        char numbers[ARGUMENTS_MAX][24];
        struct command command;
        PROCESS process;
        int status;

        describe(&command, suite, "matrix", NULL);
        for (size_t i = 0; i < tally->n_left; ++i) {
                ck_assert_uint_lt(i, ARGUMENTS_MAX);
                snprintf(numbers[i], sizeof(numbers[i]), "%zu", tally->left[i]);
                add(&command, numbers[i]);
        }
        status = run_command(&command, &process);
        ck_assert_int_eq(status, take_output(tally, process.text) ? 0 : 1);
}

START_TEST(matrix) {
        struct tally tally = { 0 };
        struct suite suite;

        suite_init(&suite);
        do
                run_cells(&suite, &tally);
        while (tally.n_left > 0);
        report_good("cells", tally.n_tried - tally.n_failed);
        ck_assert_msg(tally.n_failed == 0, "%zu of %zu cells failed:\n%s", tally.n_failed, tally.n_tried,
                      tally.failures);
        ck_assert_uint_eq(tally.n_tried, MATRIX_N_CELLS);
        suite_deinit(&suite);
}
END_TEST

/* ---- behaviours ---- */

START_TEST(behaviour) {
        struct command command;
        struct suite suite;
        PROCESS process;
        int status;

        suite_init(&suite);
        describe(&command, &suite, behaviours[_i].name, behaviours[_i].limit);
        status = run_command(&command, &process);
        ck_assert_msg(status == 0, "%s: status %d\n%s", behaviours[_i].name, status, process.text);
        suite_deinit(&suite);
        report_good("behaviours", 1);
}
END_TEST

/* ---- the sum ---- */

static void print_summary(int results_fd) {
        size_t n_cells = 0, n_behaviours = 0, n;
        FILE *results = fdopen(results_fd, "r");
        char what[16];

        rewind(results);
        while (fscanf(results, "%15s %zu", what, &n) == 2) {
                if (strcmp(what, "cells") == 0)
                        n_cells += n;
                else
                        n_behaviours += n;
        }
        printf("conformance: %d cells and %zu behaviours, %zu failed\n", MATRIX_N_CELLS, N_BEHAVIOURS,
               MATRIX_N_CELLS - n_cells + N_BEHAVIOURS - n_behaviours);
        (void)fclose(results);
}

int main(void) {
        Suite *suite = suite_create("conformance");
        TCase *tcase = tcase_create("conformance");
        int results_fd = memfd_create("conformance", MFD_CLOEXEC);
        char number[16];
        int r;

        snprintf(number, sizeof(number), "%d", results_fd);
        if (results_fd < 0 || setenv(RESULTS_VARIABLE, number, 1) < 0)
                return EXIT_FAILURE;
        suite_add_tcase(suite, tcase);
        tcase_add_unchecked_fixture(tcase, make_certificates, remove_certificates);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, matrix);
        tcase_add_loop_test(tcase, behaviour, 0, N_BEHAVIOURS);
        r = run_suite(suite);
        print_summary(results_fd);
        return r;
}
