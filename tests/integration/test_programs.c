/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that were never written for us, as guests: each is built by tests/programs/build, unchanged, and meets a real client or
 * server over a real netbrokerd.
 *
 *   httpd     plain Go, which knows nothing of module `networking`: it serves on a preopened listener
 *   hiredis   the client library's own tests, against a real redis-server
 *   lighttpd  a web server, for curl
 *
 * And examples/posix, which knows POSIX only.
 *
 * What was built, is in PROGRAMS_DIR. What is not there could not be built, which is a failure of these tests.
 */
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sanitized.h"
#include "tests/support/harness.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/wire.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define PATH_TEXT_MAX 512
#define URL_TEXT_MAX 128
#define CURL_ARGUMENTS_MAX 16
#define BLOB_LENGTH 1000000

/* An engine that was built without optimisation compiles 8 MB of Go for a minute and more. */
#define COMPILE_TIMEOUT_MS 600000

static const char *environment(const char *name) {
        const char *value = getenv(name);

        ck_assert_msg(value && *value, "%s is not set", name);
        return value;
}

/* ---- what all of them need ---- */

struct stage {
        struct daemon daemon;
        struct wire_session session; /* so that the daemon has the tenant */
        unsigned baseline;           /* its descriptors with that and no guest */
        char folder[HARNESS_PATH_MAX];
        int reserved_fd;
        uint16_t port; /* on 127.0.0.1, of whoever serves */
};

/*
 * A port that nobody else gets: bound by us and never listened on, so that a listener with SO_REUSEADDR may have it as well
 * (socket(7)), which the broker's are, and redis-server's.
 */
static void reserve_port(struct stage *stage) {
        const struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_in bound;
        socklen_t length = sizeof(bound);
        const int on = 1;

        stage->reserved_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(stage->reserved_fd, 0);
        ck_assert_int_eq(setsockopt(stage->reserved_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
        ck_assert_int_eq(bind(stage->reserved_fd, (const struct sockaddr *)&any, sizeof(any)), 0);
        ck_assert_int_eq(getsockname(stage->reserved_fd, (struct sockaddr *)&bound, &length), 0);
        stage->port = ntohs(bound.sin_port);
}

static void stage_init(struct stage *stage) {
        process_expect_no_leak_check();
        daemon_init(&stage->daemon);
        snprintf(stage->folder, sizeof(stage->folder), "%s/programs", stage->daemon.folder);
        ck_assert_int_eq(mkdir(stage->folder, 0755), 0);
        reserve_port(stage);
}

static void start_daemon(struct stage *stage) {
        daemon_start(&stage->daemon, NULL);
        wire_session_open(stage->daemon.socket_path, "", &stage->session);
        if (stage->session.n_protocols > 0)
                wire_settle(&stage->session.protocols[0]);
        stage->baseline = daemon_count_fds_at_rest(&stage->daemon);
}

/* Nothing is left of a guest that has ended. */
static void stage_end(struct stage *stage) {
        uint64_t start = harness_now_ms();

        while (daemon_count_fds(&stage->daemon) > stage->baseline)
                harness_wait_a_moment(start, "the daemon to close what the guest had");
        wire_session_close(&stage->session);
        daemon_stop(&stage->daemon);
        ck_assert_int_eq(rmdir(stage->folder), 0);
        daemon_deinit(&stage->daemon);
        stage->reserved_fd = nb_fd_close(stage->reserved_fd);
}

/* A program's path, in `buffer`. */
static const char *module(const char *name, char buffer[static PATH_TEXT_MAX]) {
        snprintf(buffer, PATH_TEXT_MAX, "%s/%s.wasm", environment("PROGRAMS_DIR"), name);
        ck_assert_msg(access(buffer, R_OK) == 0,
                      "%s is not there: make could not build it, and said why; tests/programs/build does it again",
                      buffer);
        return buffer;
}

static const char *url(const struct stage *stage, const char *path, char buffer[static URL_TEXT_MAX]) {
        snprintf(buffer, URL_TEXT_MAX, "http://127.0.0.1:%u%s", (unsigned)stage->port, path);
        return buffer;
}

/* Starts netbroker-run with a session of the stage's daemon; its arguments follow. */
#define START_GUEST(process, stage, ...)                                                                               \
        PROCESS_START((process), environment("NETBROKER_RUN"), "--socket", (stage)->daemon.socket_path, __VA_ARGS__)

static void write_file(const char *path, const void *bytes, size_t length) {
        NB_CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
}

static void *new_blob(void) {
        uint64_t state = 20200701;
        unsigned char *blob = malloc(BLOB_LENGTH);

        ck_assert_ptr_nonnull(blob);
        for (size_t i = 0; i < BLOB_LENGTH; ++i)
                blob[i] = (unsigned char)next_random(&state);
        return blob;
}

static unsigned count(const char *text, const char *part) {
        unsigned n = 0;

        for (text = strstr(text, part); text; text = strstr(text + strlen(part), part))
                ++n;
        return n;
}

/* ---- curl ---- */

/* Runs curl to its end. @param arguments  up to a NULL @return what it wrote, owned by the caller */
static char *curl(const char *const *arguments, size_t *ret_length) {
        const char *argv[CURL_ARGUMENTS_MAX + 9] = { "curl",         "--noproxy", "*",          "--silent",
                                                     "--show-error", "--fail",    "--max-time", "60" };
        PROCESS process;
        size_t n = 8;
        char *text;

        for (size_t i = 0; arguments[i]; ++i) {
                ck_assert_uint_lt(i, CURL_ARGUMENTS_MAX);
                argv[n++] = arguments[i];
        }
        process_start(&process, argv);
        ck_assert_msg(process_finish(&process, 90000) == 0, "curl %s: %.2000s", argv[n - 1], process.text);
        text = nb_steal_ptr(process.text);
        if (ret_length)
                *ret_length = process.length;
        return text;
}

/* Fails unless curl, with these arguments, writes `expected`. */
static void expect_curl(const char *expected, const char *const *arguments) {
        NB_CLEANUP_FREE char *text = curl(arguments, NULL);

        ck_assert_str_eq(text, expected);
}

/* Fails unless curl, with these arguments, writes the blob. */
static void expect_blob(const void *blob, const char *const *arguments) {
        size_t length;
        NB_CLEANUP_FREE char *text = curl(arguments, &length);

        ck_assert_uint_eq(length, BLOB_LENGTH);
        ck_assert_int_eq(memcmp(text, blob, length), 0);
}

#define ARGUMENTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- plain Go ---- */

#define MEETING 10

/* Requests that wait for each other, which takes a goroutine each: every one has another place. */
static void meet(const struct stage *stage) {
        NB_CLEANUP_FREE char *text = NULL;
        char address[URL_TEXT_MAX], line[32];

        text = curl(ARGUMENTS("--parallel", "--parallel-immediate", url(stage, "/meet?n=10&i=[1-10]", address)), NULL);
        for (int i = 1; i <= MEETING; ++i) {
                snprintf(line, sizeof(line), "%d of %d\n", i, MEETING);
                ck_assert_msg(strstr(text, line), "nobody was %s in %.1000s", line, text);
        }
}

/* A clock goes on beside the requests. */
static void watch_the_clock(const struct stage *stage) {
        NB_CLEANUP_FREE char *text = NULL;
        char address[URL_TEXT_MAX];
        unsigned long first, second;
        char *end;

        text = curl(ARGUMENTS(url(stage, "/ticks?[1-2]", address)), NULL);
        first = strtoul(text, &end, 10);
        second = strtoul(end, NULL, 10);
        ck_assert_msg(second > first, "%s", text);
}

static void send_and_receive(const struct stage *stage) {
        NB_CLEANUP_FREE void *blob = new_blob();
        char address[URL_TEXT_MAX], path[PATH_TEXT_MAX], argument[PATH_TEXT_MAX + 1];

        snprintf(path, sizeof(path), "%s/blob", stage->folder);
        snprintf(argument, sizeof(argument), "@%s", path);
        write_file(path, blob, BLOB_LENGTH);
        expect_blob(blob, ARGUMENTS("--data-binary", argument, url(stage, "/echo", address)));
        ck_assert_int_eq(unlink(path), 0);
}

START_TEST(plain_go_serves_on_a_preopened_listener) {
        NB_CLEANUP_FREE char *text = NULL;
        struct stage stage;
        char path[PATH_TEXT_MAX], address[URL_TEXT_MAX];
        PROCESS guest;

        stage_init(&stage);
        daemon_write_policy(&stage.daemon,
                            "[Tenant]\nName=acme\nUser=%u\n"
                            "[Preopen http]\nDataPath=direct\nListen=127.0.0.1:%u\n",
                            (unsigned)getuid(), (unsigned)stage.port);
        start_daemon(&stage);
        START_GUEST(&guest, &stage, module("httpd", path));
        process_expect(&guest, "serving\n", COMPILE_TIMEOUT_MS);

        /* Three requests on one connection. */
        expect_curl("plain Go\n1 plain Go\n0 plain Go\n0 ",
                    ARGUMENTS("--write-out", "%{num_connects} ", url(&stage, "/?[1-3]", address)));
        meet(&stage);
        watch_the_clock(&stage);
        send_and_receive(&stage);
        text = curl(ARGUMENTS("--parallel", "--parallel-max", "25", url(&stage, "/?[1-300]", address)), NULL);
        ck_assert_uint_eq(count(text, "plain Go\n"), 300);
        expect_curl("goodbye\n", ARGUMENTS(url(&stage, "/quit", address)));

        ck_assert_int_eq(process_finish(&guest, HARNESS_DEADLINE_MS), 0);
        daemon_expect_audit(&stage.daemon, "\"protocol\":\"http\"", "\"verb\":\"accept\"", "\"verdict\":\"allowed\"");
        stage_end(&stage);
}
END_TEST

/* ---- hiredis ---- */

/*
 * Of the tests in hiredis's test.c, those that cannot pass here. None of its tests forks; those over TCP, over Unix sockets and on an
 * inherited descriptor all run.
 */
static const struct {
        const char *name;
        const char *reason;
} left_out[] = {
        { "Returns error when host cannot be resolved", "it wants getaddrinfo() to fail; a guest's host name is the "
                                                        "broker's to resolve, when it connects" },
};

#define N_LEFT_OUT (sizeof(left_out) / sizeof(left_out[0]))
/* How many tests its test.c has, so that none goes missing. */
#define HIREDIS_TESTS 88

struct tally {
        unsigned n;
        unsigned passed;
        unsigned measured; /* of throughput: they end or not */
        unsigned left_out;
};

/* @return the entry of left_out that a line is about, or N_LEFT_OUT */
static size_t find_left_out(const char *line) {
        size_t i;

        for (i = 0; i < N_LEFT_OUT; ++i) {
                if (strstr(line, left_out[i].name))
                        break;
        }
        return i;
}

/* One line of what test.c writes: "#07 Does this: PASSED", with colours. */
static void judge(const char *line, struct tally *tally) {
        size_t i = find_left_out(line);
        bool failed = strstr(line, "FAILED") != NULL;

        if (line[0] != '#')
                return;
        ++tally->n;
        if (strstr(line, "Throughput:")) {
                ++tally->measured;
        } else if (failed && i < N_LEFT_OUT) {
                ++tally->left_out;
                printf("summary: hiredis: left out: \"%s\": %s\n", left_out[i].name, left_out[i].reason);
        } else {
                ck_assert_msg(!failed && strstr(line, "PASSED"), "hiredis: %s", line);
                ck_assert_msg(i == N_LEFT_OUT, "hiredis: this passes, and is in the list of what cannot: %s", line);
                ++tally->passed;
        }
}

static void judge_all(char *text) {
        struct tally tally = { 0 };
        char *rest = NULL;

        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                judge(line, &tally);
        printf("summary: hiredis: %u tests of its own: %u passed, %u measured throughput to the end, %u left out\n",
               tally.n, tally.passed, tally.measured, tally.left_out);
        fflush(stdout);
        ck_assert_uint_eq(tally.n, HIREDIS_TESTS);
        ck_assert_uint_eq(tally.left_out, N_LEFT_OUT);
}

static void start_redis(const struct stage *stage, const char *socket_path, struct process *redis) {
        char port[8];

        snprintf(port, sizeof(port), "%u", (unsigned)stage->port);
        /* test.c has the server sleep, which this version of Redis allows only by its last option. */
        PROCESS_START(redis, "redis-server", "--bind", "127.0.0.1", "--port", port, "--unixsocket", socket_path,
                      "--dir", stage->folder, "--save", "", "--appendonly", "no", "--enable-debug-command", "yes");
        process_expect(redis, "eady to accept connections", HARNESS_DEADLINE_MS);
}

START_TEST(hiredis_passes_its_own_tests) {
        struct stage stage;
        char path[PATH_TEXT_MAX], socket_path[PATH_TEXT_MAX], port[8];
        PROCESS redis;
        PROCESS guest;
        int status;

        stage_init(&stage);
        snprintf(port, sizeof(port), "%u", (unsigned)stage.port);
        snprintf(socket_path, sizeof(socket_path), "%s/redis.sock", stage.folder);
        daemon_write_policy(&stage.daemon,
                            "[Tenant]\nName=acme\nUser=%u\n"
                            "[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:%s\nConnect=127.0.0.1:1\n"
                            "[Protocol local]\nFamily=unix\nDataPath=direct\nConnect=%s\n",
                            (unsigned)getuid(), port, socket_path);
        start_daemon(&stage);
        start_redis(&stage, socket_path, &redis);

        START_GUEST(&guest, &stage, module("hiredis", path), "-h", "127.0.0.1", "-p", port, "-s", socket_path);
        status = process_finish(&guest, 100000);
        ck_assert_msg(status == (N_LEFT_OUT > 0), "status %d: %.3000s", status, guest.text);
        judge_all(guest.text);
        daemon_expect_audit(&stage.daemon, "\"asked\":\"idontexist.test:6379\"", "\"verdict\":\"denied\"");
        daemon_expect_audit(&stage.daemon, "\"protocol\":\"local\"", "\"verb\":\"connect\"", "\"verdict\":\"allowed\"");

        ck_assert_int_eq(process_stop(&redis), 0);
        stage_end(&stage);
}
END_TEST

/* ---- lighttpd ---- */

/* The folders that lighttpd gets, with its configuration; all of it is in the stage's folder. */
static const char lighttpd_conf[] = "server.document-root = \"/site/www\"\n"
                                    "server.bind = \"127.0.0.1\"\n"
                                    "server.port = %u\n"
                                    "server.event-handler = \"select\"\n"
                                    "server.network-backend = \"writev\"\n"
                                    "server.modules = ( \"mod_setenv\", \"mod_indexfile\", \"mod_staticfile\" )\n"
                                    "index-file.names = ( \"index.html\" )\n"
                                    "mimetype.assign = ( \".html\" => \"text/html\" )\n"
                                    "setenv.add-response-header = ( \"X-Guest\" => \"yes\" )\n";

static const char *const site_folders[] = { "www", "dev" };
static const char *const site_files[] = { "lighttpd.conf", "www/index.html", "www/blob", "dev/null" };

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void write_site_file(const struct stage *stage, const char *name, const void *bytes, size_t length) {
        char path[PATH_TEXT_MAX];

        snprintf(path, sizeof(path), "%s/%s", stage->folder, name);
        write_file(path, bytes, length);
}

static void make_site(const struct stage *stage, const void *blob) {
        char text[PATH_TEXT_MAX * 2];
        int length;

        for (size_t i = 0; i < N_OF(site_folders); ++i) {
                snprintf(text, sizeof(text), "%s/%s", stage->folder, site_folders[i]);
                ck_assert_int_eq(mkdir(text, 0755), 0);
        }
        length = snprintf(text, sizeof(text), lighttpd_conf, (unsigned)stage->port);
        write_site_file(stage, "lighttpd.conf", text, (size_t)length);
        write_site_file(stage, "www/index.html", "hello\n", 6);
        write_site_file(stage, "www/blob", blob, BLOB_LENGTH);
        /* What it opens in the place of its standard input and output. */
        write_site_file(stage, "dev/null", "", 0);
}

static void remove_site(const struct stage *stage) {
        char path[PATH_TEXT_MAX];

        for (size_t i = 0; i < N_OF(site_files); ++i) {
                snprintf(path, sizeof(path), "%s/%s", stage->folder, site_files[i]);
                ck_assert_int_eq(unlink(path), 0);
        }
        for (size_t i = 0; i < N_OF(site_folders); ++i) {
                snprintf(path, sizeof(path), "%s/%s", stage->folder, site_folders[i]);
                ck_assert_int_eq(rmdir(path), 0);
        }
}

static void start_lighttpd(const struct stage *stage, struct process *guest) {
        char path[PATH_TEXT_MAX], site[PATH_TEXT_MAX], dev[PATH_TEXT_MAX];

        snprintf(site, sizeof(site), "%s::/site::ro", stage->folder);
        snprintf(dev, sizeof(dev), "%s/dev::/dev", stage->folder);
        START_GUEST(guest, stage, "--dir", site, "--dir", dev, module("lighttpd", path), "-D", "-f",
                    "/site/lighttpd.conf");
}

static void ask_lighttpd(const struct stage *stage, const void *blob) {
        NB_CLEANUP_FREE char *head = NULL;
        NB_CLEANUP_FREE char *many = NULL;
        char address[URL_TEXT_MAX];

        head = curl(ARGUMENTS("--head", url(stage, "/", address)), NULL);
        ck_assert_msg(strstr(head, "Server: lighttpd/") && strstr(head, "X-Guest: yes"), "%s", head);
        expect_curl("hello\n", ARGUMENTS(url(stage, "/", address)));
        expect_curl("ell", ARGUMENTS("--range", "1-3", url(stage, "/index.html", address)));
        expect_blob(blob, ARGUMENTS(url(stage, "/blob", address)));
        /* Several requests on one connection, and on many at once. */
        expect_curl("hello\n1 hello\n0 hello\n0 ",
                    ARGUMENTS("--write-out", "%{num_connects} ", url(stage, "/?[1-3]", address)));
        many = curl(ARGUMENTS("--parallel", "--parallel-max", "50", "--parallel-immediate", "--header",
                              "Connection: close", url(stage, "/?[1-200]", address)),
                    NULL);
        ck_assert_uint_eq(count(many, "hello\n"), 200);
        expect_curl("hello\n2",
                    ARGUMENTS("--http2-prior-knowledge", "--write-out", "%{http_version}", url(stage, "/", address)));
        expect_curl("404", ARGUMENTS("--no-fail", "--output", "/dev/null", "--write-out", "%{http_code}",
                                     url(stage, "/../lighttpd.conf", address), "--path-as-is"));
}

START_TEST(lighttpd_serves_files) {
        NB_CLEANUP_FREE void *blob = new_blob();
        struct stage stage;
        PROCESS guest;

        stage_init(&stage);
        make_site(&stage, blob);
        daemon_write_policy(&stage.daemon,
                            "[Tenant]\nName=acme\nUser=%u\n"
                            "[Protocol web]\nFamily=ip\nDataPath=direct\nListen=127.0.0.1:%u\n",
                            (unsigned)getuid(), (unsigned)stage.port);
        start_daemon(&stage);
        start_lighttpd(&stage, &guest);
        process_expect(&guest, "server started", COMPILE_TIMEOUT_MS);

        ask_lighttpd(&stage, blob);

        ck_assert_int_eq(process_stop(&guest), 128 + SIGTERM);
        remove_site(&stage);
        stage_end(&stage);
}
END_TEST

START_TEST(lighttpd_is_told_that_it_may_not_listen) {
        NB_CLEANUP_FREE void *blob = new_blob();
        struct stage stage;
        PROCESS guest;

        stage_init(&stage);
        make_site(&stage, blob);
        daemon_write_policy(&stage.daemon,
                            "[Tenant]\nName=acme\nUser=%u\n"
                            "[Protocol web]\nFamily=ip\nDataPath=direct\nListen=127.0.0.2:*\n",
                            (unsigned)getuid());
        start_daemon(&stage);
        start_lighttpd(&stage, &guest);

        ck_assert_int_ne(process_finish(&guest, COMPILE_TIMEOUT_MS), 0);
        ck_assert_msg(strstr(guest.text, "Permission denied"), "%.3000s", guest.text);
        daemon_expect_audit(&stage.daemon, "\"verdict\":\"denied\"");
        remove_site(&stage);
        stage_end(&stage);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test, double timeout_s) {
        TCase *tcase = tcase_create(name);

        tcase_set_timeout(tcase, timeout_s);
        tcase_add_test(tcase, test);
        suite_add_tcase(suite, tcase);
}

/* ---- an example ---- */

static void expect_line(int fd, const char *line) {
        char text[64];

        ck_assert_uint_lt(strlen(line), sizeof(text));
        ck_assert_int_eq(recv(fd, text, strlen(line), MSG_WAITALL), (ssize_t)strlen(line));
        ck_assert_int_eq(memcmp(text, line, strlen(line)), 0);
}

static void send_text(int fd, const char *text) {
        ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void chat(const struct stage *stage) {
        NB_CLEANUP_FD int alice = -1;
        NB_CLEANUP_FD int bob = -1;
        char address[32];

        snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)stage->port);
        alice = peer_connect(address);
        ck_assert_int_ge(alice, 0);
        bob = peer_connect(address);
        ck_assert_int_ge(bob, 0);
        /* Who came first is there when the second is heard; what is half a line waits for the rest. */
        send_text(bob, "hello\nhow ");
        expect_line(alice, "hello\n");
        send_text(alice, "fine\n");
        expect_line(bob, "fine\n");
        send_text(bob, "are you?\n");
        expect_line(alice, "how are you?\n");
}

START_TEST(the_chat_of_the_examples) {
        struct stage stage;
        char path[PATH_TEXT_MAX], port[8];
        PROCESS guest;

        stage_init(&stage);
        snprintf(port, sizeof(port), "%u", (unsigned)stage.port);
        snprintf(path, sizeof(path), "%s/posix/chat.wasm", environment("EXAMPLES_DIR"));
        daemon_write_policy(&stage.daemon,
                            "[Tenant]\nName=acme\nUser=%u\n"
                            "[Protocol chat]\nFamily=ip\nDataPath=direct\nListen=127.0.0.1:%s\n",
                            (unsigned)getuid(), port);
        start_daemon(&stage);
        START_GUEST(&guest, &stage, path, "127.0.0.1", port);
        process_expect(&guest, "listening\n", COMPILE_TIMEOUT_MS);

        chat(&stage);

        ck_assert_int_eq(process_stop(&guest), 128 + SIGTERM);
        stage_end(&stage);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("programs");

        add(suite, "chat", the_chat_of_the_examples, 60);
        add(suite, "hiredis", hiredis_passes_its_own_tests, 120);
        add(suite, "lighttpd", lighttpd_serves_files, 120);
        add(suite, "lighttpd refused", lighttpd_is_told_that_it_may_not_listen, 60);
        /* Nearly all of its time is the engine's, which has no sanitizers; the shim does for it what it does for the others. */
        if (!NB_SANITIZED)
                add(suite, "httpd", plain_go_serves_on_a_preopened_listener, 720);
        return run_suite(suite);
}
