/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: what is counted, how it is served, and what Prometheus makes of it: a real one scrapes the broker, promtool checks the page and
 * the alerts of examples/monitoring, and what alerts and dashboard ask for must be there.
 */
#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define MONITORING "examples/monitoring"

/* No name of a metric is longer. */
#define NAME_MAX_HERE 96

/* A scene whose broker serves metrics. */
struct metered {
        struct scene scene;
        char address[NB_ADDRESS_TEXT_MAX];
};

/* Where the log says that metrics are. */
static void find_address(const struct daemon *daemon, char ret[static NB_ADDRESS_TEXT_MAX]) {
        static const char before[] = "metrics are at ";
        NB_CLEANUP_FREE char *log = NULL;
        const char *at;

        daemon_expect_log(daemon, before);
        log = daemon_read(daemon->stderr_path);
        at = strstr(log, before) + strlen(before);
        (void)snprintf(ret, NB_ADDRESS_TEXT_MAX, "%.*s", (int)strcspn(at, "\n"), at);
}

static void metered_start(struct metered *metered, const char *where, const char *user, const char *rules) {
        const char *arguments[] = { "--metrics", where, NULL };
        struct daemon_options options = { .arguments = arguments, .user = user };

        scene_start(&metered->scene, &options, rules);
        find_address(&metered->scene.daemon, metered->address);
}

/* ---- HTTP ---- */

static void send_text(int fd, const char *text) {
        size_t length = strlen(text);

        ck_assert_int_eq(send(fd, text, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Reads to the end. @return owned by the caller */
static char *receive_all(int fd) {
        char *text = NULL;
        size_t length = 0, size = 0;
        ssize_t n;

        do {
                if (size - length < 65536) {
                        size += 1024 * 1024;
                        text = realloc(text, size);
                        ck_assert_ptr_nonnull(text);
                }
                ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
                n = recv(fd, text + length, size - length - 1, 0);
                ck_assert(n >= 0 || errno == ECONNRESET);
                length += n > 0 ? (size_t)n : 0;
        } while (n > 0);
        text[length] = '\0';
        return text;
}

/* Asks, and reads the answer with its head. @param fd  consumed */
static char *ask_on(int fd_consumed, const char *request) {
        NB_CLEANUP_FD int fd = fd_consumed;

        ck_assert_int_ge(fd, 0);
        send_text(fd, request);
        return receive_all(fd);
}

static char *ask(const char *address, const char *request) {
        return ask_on(peer_connect(address), request);
}

static const char *body_of(const char *answer) {
        const char *end = strstr(answer, "\r\n\r\n");

        ck_assert_msg(end != NULL, "no answer: %s", answer);
        return end + 4;
}

/* The page alone. @return owned by the caller */
static char *get_page(const char *address) {
        NB_CLEANUP_FREE char *answer = ask(address, "GET /metrics HTTP/1.0\r\n\r\n");

        ck_assert_msg(strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200 ", 5) == 0, "%s", answer);
        ck_assert_ptr_nonnull(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
        return strdup(body_of(answer));
}

/* ---- samples ---- */

/* The value of a sample, by its name with its labels; fails if it is not there. */
static double value_in(const char *page, const char *sample) {
        size_t length = strlen(sample);

        for (const char *line = page; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, sample, length) == 0 && line[length] == ' ')
                        return strtod(line + length + 1, NULL);
        }
        ck_abort_msg("no sample %s in:\n%s", sample, page);
        return 0;
}

static double value_of(const struct metered *metered, const char *sample) {
        NB_CLEANUP_FREE char *page = get_page(metered->address);

        return value_in(page, sample);
}

static void expect_value(const struct metered *metered, const char *sample, double expected) {
        double value = value_of(metered, sample);

        ck_assert_msg(value == expected, "%s is %g, not %g", sample, value, expected);
}

#define DECISIONS(verb, verdict) "netbroker_decisions_total{tenant=\"acme\",verb=\"" verb "\",verdict=\"" verdict "\"}"
#define CONNECTS(result) "netbroker_connects_total{tenant=\"acme\",result=\"" result "\"}"
#define OBJECTS(kind) "netbroker_objects{tenant=\"acme\",kind=\"" kind "\"}"
#define OBJECTS_LIMIT(kind) "netbroker_objects_limit{tenant=\"acme\",kind=\"" kind "\"}"

/* ---- what is counted ---- */

START_TEST(decisions_and_connects) {
        struct peer peer = peer_listen("127.0.0.1", 8), gone = peer_listen("127.0.0.1", 1);
        struct metered metered;
        struct wire control;
        int fd;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        peer_close(&gone);
        control = wire_open_control(metered.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "192.0.2.1:80", &fd), NB_WASI_EACCES);
        expect_value(&metered, DECISIONS("connect", "denied"), 1);
        expect_value(&metered, "netbroker_connect_duration_seconds_count{tenant=\"acme\"}", 0);
        ck_assert_uint_eq(wire_connect_to(&control, gone.text, &fd), NB_WASI_ECONNREFUSED);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        expect_value(&metered, DECISIONS("connect", "allowed"), 2);
        expect_value(&metered, DECISIONS("connect", "reported"), 0);
        expect_value(&metered, CONNECTS("done"), 1);
        expect_value(&metered, CONNECTS("failed"), 1);
        expect_value(&metered, "netbroker_connect_duration_seconds_count{tenant=\"acme\"}", 2);
        expect_value(&metered, "netbroker_connect_duration_seconds_bucket{tenant=\"acme\",le=\"+Inf\"}", 2);
        ck_assert(value_of(&metered, "netbroker_connect_duration_seconds_sum{tenant=\"acme\"}") > 0);
        ck_assert(value_of(&metered, "netbroker_requests_total{tenant=\"acme\"}") >= 4);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&metered.scene);
}
END_TEST

START_TEST(objects_and_their_limits) {
        struct metered metered;
        struct wire control;

        metered_start(&metered, "[::1]:0", NULL, SCENE_LOOPBACK);
        expect_value(&metered, OBJECTS("sessions"), 1);
        expect_value(&metered, OBJECTS("protocols"), 1);
        expect_value(&metered, OBJECTS("listeners"), 0);
        control = wire_open_control(metered.scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        expect_value(&metered, OBJECTS("controls"), 1);
        expect_value(&metered, OBJECTS("listeners"), 1);
        ck_assert(value_of(&metered, OBJECTS_LIMIT("controls")) > 1);
        ck_assert(value_of(&metered, "netbroker_tenant_memory_bytes{tenant=\"acme\"}") > 0);
        (void)wire_close(&control);
        wire_settle(metered.scene.web);
        expect_value(&metered, OBJECTS("controls"), 0);
        scene_end(&metered.scene);
}
END_TEST

START_TEST(quotas_that_are_met) {
        struct wire_session session;
        struct metered metered;
        struct wire wire;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        daemon_write_policy(&metered.scene.daemon, "[Tenant]\nName=acme\nUser=%u\nMaxSessions=1\n", (unsigned)getuid());
        daemon_reload(&metered.scene.daemon);
        expect_value(&metered, OBJECTS_LIMIT("sessions"), 1);
        wire = wire_connect(metered.scene.daemon.socket_path);
        ck_assert_uint_eq(wire_hello(&wire, "", &session), NB_WASI_EMFILE);
        (void)wire_close(&wire);
        expect_value(&metered, "netbroker_quota_denials_total{tenant=\"acme\",limit=\"MaxSessions\"}", 1);
        wire_session_close(&metered.scene.session);
        daemon_stop(&metered.scene.daemon);
        daemon_deinit(&metered.scene.daemon);
}
END_TEST

START_TEST(sessions_that_break_the_rules) {
        struct wire_session session;
        struct metered metered;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        wire_session_open(metered.scene.daemon.socket_path, "", &session);
        ck_assert_int_eq(wire_send_bytes(&session.channel, "nonsense", 8, NULL, 0), 0);
        wire_expect_end(&session.channel);
        wire_session_close(&session);
        expect_value(&metered, "netbroker_violations_total{tenant=\"acme\"}", 1);
        scene_end(&metered.scene);
}
END_TEST

START_TEST(reloads) {
        struct metered metered;
        double loaded;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        loaded = value_of(&metered, "netbroker_policy_loaded_time_seconds");
        ck_assert(loaded > 1e9);
        expect_value(&metered, "netbroker_policy_tenants", 1);
        scene_write_policy(&metered.scene, "Connect=nonsense\n");
        daemon_reload(&metered.scene.daemon);
        expect_value(&metered, "netbroker_policy_reload_failures_total", 1);
        expect_value(&metered, "netbroker_policy_reload_failing", 1);
        expect_value(&metered, "netbroker_policy_loaded_time_seconds", loaded);
        scene_write_policy(&metered.scene, SCENE_LOOPBACK);
        daemon_reload(&metered.scene.daemon);
        expect_value(&metered, "netbroker_policy_reload_failures_total", 1);
        expect_value(&metered, "netbroker_policy_reload_failing", 0);
        ck_assert(value_of(&metered, "netbroker_policy_loaded_time_seconds") > loaded);
        scene_end(&metered.scene);
}
END_TEST

START_TEST(the_broker_itself) {
        struct metered metered;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        ck_assert(value_of(&metered, "netbroker_descriptors") >= metered.scene.baseline);
        ck_assert(value_of(&metered, "netbroker_descriptors_limit") > metered.scene.baseline);
        ck_assert(value_of(&metered, "netbroker_memory_bytes") > 1e6);
        ck_assert(value_of(&metered, "netbroker_cpu_seconds_total") > 0);
        ck_assert(value_of(&metered, "netbroker_loop_turn_seconds_count") > 0);
        expect_value(&metered, "netbroker_half_open_sessions", 0);
        expect_value(&metered, "netbroker_audit_dropped_total", 0);
        scene_end(&metered.scene);
}
END_TEST

/* A tenant that is gone takes its series with it. */
START_TEST(series_go_with_their_tenants) {
        NB_CLEANUP_FREE char *before = NULL, *after = NULL;
        struct metered metered;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        before = get_page(metered.address);
        ck_assert_ptr_nonnull(strstr(before, "tenant=\"acme\""));
        daemon_remove_policy(&metered.scene.daemon, "acme.conf");
        daemon_write_policy_file(&metered.scene.daemon, "zeta.conf", "[Tenant]\nName=zeta\nUser=%u\n",
                                 (unsigned)getuid());
        daemon_reload(&metered.scene.daemon);
        wire_expect_end(&metered.scene.session.channel);
        after = get_page(metered.address);
        ck_assert_ptr_null(strstr(after, "tenant=\"acme\""));
        wire_session_close(&metered.scene.session);
        daemon_stop(&metered.scene.daemon);
        daemon_deinit(&metered.scene.daemon);
}
END_TEST

/* ---- how it is served ---- */

struct request_case {
        const char *request;
        const char *status; /* NULL: closed without an answer is well, too */
};

static const struct request_case requests[] = {
        { "GET / HTTP/1.0\r\n\r\n", " 404 " },
        { "GET /metrics/ HTTP/1.0\r\n\r\n", " 404 " },
        { "GET /../etc/passwd HTTP/1.0\r\n\r\n", " 404 " },
        { "POST /metrics HTTP/1.0\r\nContent-Length: 3\r\n\r\nx=1", " 405 " },
        { "PUT /metrics HTTP/1.0\r\nContent-Length: 999999999\r\n\r\n", " 405 " },
        { "DELETE /metrics HTTP/1.0\r\n\r\n", " 405 " },
        { "\r\n\r\n\r\nnonsense\r\n\r\n", NULL },
        { "GET /metrics?x=%00 HTTP/1.0\r\n\r\n", NULL },
};

START_TEST(what_else_is_asked) {
        NB_CLEANUP_FREE char *answer = NULL, *page = NULL;
        struct metered metered;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        answer = ask(metered.address, requests[_i].request);
        if (requests[_i].status)
                ck_assert_msg(strstr(answer, requests[_i].status) != NULL, "%s", answer);
        page = get_page(metered.address);
        scene_end(&metered.scene);
}
END_TEST

START_TEST(a_head_has_no_body) {
        NB_CLEANUP_FREE char *answer = NULL;
        struct metered metered;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        answer = ask(metered.address, "HEAD /metrics HTTP/1.0\r\n\r\n");
        ck_assert_ptr_nonnull(strstr(answer, " 200 "));
        ck_assert_str_eq(body_of(answer), "");
        scene_end(&metered.scene);
}
END_TEST

/* A head without end is not kept. */
START_TEST(a_head_that_is_too_long) {
        NB_CLEANUP_FREE char *head = malloc(1024 * 1024), *page = NULL;
        struct metered metered;
        int fd;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        ck_assert_ptr_nonnull(head);
        memset(head, 'x', 1024 * 1024);
        fd = peer_connect(metered.address);
        send_text(fd, "GET /metrics HTTP/1.0\r\nX: ");
        while (send(fd, head, 1024 * 1024, MSG_NOSIGNAL) > 0)
                ;
        (void)nb_fd_close(fd);
        page = get_page(metered.address);
        scene_expect_baseline(&metered.scene);
        scene_end(&metered.scene);
}
END_TEST

/* Clients that say nothing take a bounded number of descriptors, and no tenant's time. */
START_TEST(clients_that_say_nothing) {
        enum { CLIENTS = 64, MOST = 16 };
        NB_CLEANUP_FREE char *page = NULL;
        struct metered metered;
        int fds[CLIENTS];

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        for (int i = 0; i < CLIENTS; ++i)
                fds[i] = i < MOST * 2 ? peer_connect(metered.address) : -1;
        wire_settle(metered.scene.web);
        ck_assert_uint_le(daemon_count_fds(&metered.scene.daemon), metered.scene.baseline + MOST + 1);
        nb_fds_close(fds, CLIENTS);
        page = get_page(metered.address);
        scene_expect_baseline(&metered.scene);
        scene_end(&metered.scene);
}
END_TEST

START_TEST(a_unix_socket) {
        NB_CLEANUP_FREE char *answer = NULL;
        char path[HARNESS_PATH_MAX], where[HARNESS_PATH_MAX + 8];
        const char *arguments[] = { "--metrics", where, NULL };
        struct daemon_options options = { .arguments = arguments };
        struct daemon daemon;
        struct stat st;

        daemon_init(&daemon);
        (void)snprintf(path, sizeof(path), "%s/metrics.sock", daemon.folder);
        (void)snprintf(where, sizeof(where), "unix:%s", path);
        daemon_write_policy(&daemon, SCENE_TENANT SCENE_LOOPBACK, (unsigned)getuid());
        /* One that nobody serves is in the way. */
        (void)nb_fd_close(peer_unix_listen(path, 1));
        daemon_start(&daemon, &options);
        ck_assert_int_eq(lstat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0660);
        answer = ask_on(peer_unix_connect(NULL, path), "GET /metrics HTTP/1.0\r\n\r\n");
        ck_assert_ptr_nonnull(strstr(answer, "netbroker_build_info{"));
        daemon_stop(&daemon);
        ck_assert_int_lt(access(path, F_OK), 0);
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(metrics_after_privileges_are_gone) {
        struct metered metered;

        metered_start(&metered, "127.0.0.1:0", "nobody", SCENE_LOOPBACK);
        ck_assert(value_of(&metered, "netbroker_memory_bytes") > 1e6);
        scene_end(&metered.scene);
}
END_TEST

static void expect_refused(const char *where, const char *why) {
        NB_CLEANUP_FREE char *output = NULL;
        struct daemon daemon;
        int status;

        daemon_init(&daemon);
        daemon_write_policy(&daemon, SCENE_TENANT SCENE_LOOPBACK, (unsigned)getuid());
        status = daemon_run_once(&daemon,
                                 (const char *[]){ "--policy", daemon.policy_path, "--socket", daemon.socket_path,
                                                   "--metrics", where, NULL },
                                 &output);
        ck_assert_int_eq(status, EX_UNAVAILABLE);
        ck_assert_msg(strstr(output, why) != NULL, "expected \"%s\" in: %s", why, output);
        daemon_deinit(&daemon);
}

START_TEST(where_metrics_are_not_served) {
        struct peer peer = peer_listen("127.0.0.1", 8);

        expect_refused("0.0.0.0:9464", "others could reach that address");
        expect_refused("[::]:9464", "others could reach that address");
        expect_refused("metrics", "that is no address");
        expect_refused("unix:metrics.sock", "that is no address");
        expect_refused("unix:/dev/null", "another file is there");
        expect_refused("unix:/nonexistent/metrics.sock", "No such file");
        expect_refused(peer.text, "another process serves it");
        peer_close(&peer);
}
END_TEST

/* ---- Prometheus ---- */

/* A file of examples/monitoring. */
static const char *example(const char *name, char path[static 512]) {
        const char *source = getenv("SRCDIR");

        ck_assert_msg(source != NULL, "SRCDIR is not set");
        (void)snprintf(path, 512, "%s/" MONITORING "/%s", source, name);
        return path;
}

static void expect_success(const char *const *arguments) {
        PROCESS process;
        int status;

        process_start(&process, arguments);
        status = process_finish(&process, HARNESS_DEADLINE_MS);
        ck_assert_msg(status == 0, "%s %s: %d\n%s", arguments[0], arguments[1], status, process.text);
}

START_TEST(promtool_likes_the_alerts) {
        char path[512];

        expect_success((const char *[]){ "promtool", "check", "config", example("prometheus.yml", path), NULL });
        expect_success((const char *[]){ "promtool", "check", "rules", example("netbroker.rules.yml", path), NULL });
        expect_success(
                (const char *[]){ "promtool", "test", "rules", example("netbroker.rules.test.yml", path), NULL });
}
END_TEST

static void write_file(const char *path, const char *text) {
        FILE *file = fopen(path, "we");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

/* promtool reads the page from its standard input, and complains of names, types, help and doubled samples. */
static void expect_promtool_likes(const struct metered *metered) {
        NB_CLEANUP_FREE char *page = get_page(metered->address);
        char path[HARNESS_PATH_MAX];
        PROCESS process;
        int status;

        (void)snprintf(path, sizeof(path), "%s/page", metered->scene.daemon.folder);
        write_file(path, page);
        PROCESS_START(&process, "sh", "-c", "exec promtool check metrics <\"$1\"", "sh", path);
        status = process_finish(&process, HARNESS_DEADLINE_MS);
        ck_assert_msg(status == 0 && process.length == 0, "%d: %s", status, process.text);
}

START_TEST(promtool_likes_the_page) {
        struct metered metered;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        expect_promtool_likes(&metered);
        scene_end(&metered.scene);
}
END_TEST

/* A page of many tenants is written in pieces, and is one all the same. */
START_TEST(promtool_likes_a_long_page) {
        enum { TENANTS = 60 };
        struct wire_session sessions[TENANTS];
        struct metered metered;
        char name[32], file[40];

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        for (unsigned i = 0; i < TENANTS; ++i) {
                (void)snprintf(file, sizeof(file), "tenant-%u.conf", i);
                daemon_write_policy_file(&metered.scene.daemon, file, "[Tenant]\nName=tenant-%u\nUser=%u\n", i,
                                         (unsigned)getuid());
        }
        daemon_reload(&metered.scene.daemon);
        for (unsigned i = 0; i < TENANTS; ++i) {
                (void)snprintf(name, sizeof(name), "tenant-%u", i);
                wire_session_open(metered.scene.daemon.socket_path, name, &sessions[i]);
        }
        expect_promtool_likes(&metered);
        expect_value(&metered, "netbroker_objects{tenant=\"tenant-59\",kind=\"sessions\"}", 1);
        for (unsigned i = 0; i < TENANTS; ++i)
                wire_session_close(&sessions[i]);
        daemon_stop(&metered.scene.daemon);
        wire_session_close(&metered.scene.session);
        daemon_deinit(&metered.scene.daemon);
}
END_TEST

/* The name of a family that a sample of a histogram is of. */
static void cut_suffix(char *name) {
        static const char *const suffixes[] = { "_bucket", "_sum", "_count" };

        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); ++i) {
                size_t length = strlen(name), n = strlen(suffixes[i]);

                if (length > n && strcmp(name + length - n, suffixes[i]) == 0)
                        name[length - n] = '\0';
        }
}

static void expect_family(const char *page, const char *name, const char *where) {
        char head[NAME_MAX_HERE + 16];

        (void)snprintf(head, sizeof(head), "# TYPE %s ", name);
        ck_assert_msg(strstr(page, head) != NULL, "%s asks for %s, which does not exist", where, name);
}

/* Every word that begins as our metrics do must be one. @return how many there are */
static unsigned expect_families_of(const char *page, const char *text, const char *where) {
        static const char prefix[] = "netbroker_";
        unsigned n = 0;

        for (const char *at = strstr(text, prefix); at; at = strstr(at + 1, prefix)) {
                char name[NAME_MAX_HERE];
                size_t length = 0;

                while (isalnum((unsigned char)at[length]) || at[length] == '_')
                        length++;
                ck_assert_uint_lt(length, sizeof(name));
                memcpy(name, at, length);
                name[length] = '\0';
                cut_suffix(name);
                expect_family(page, name, where);
                n++;
        }
        return n;
}

static char *read_example(const char *name) {
        char path[512];
        char *text = daemon_read(example(name, path));

        ck_assert_msg(*text != '\0', "cannot read %s", path);
        return text;
}

static char *read_manual(void) {
        const char *source = getenv("SRCDIR");
        char path[512];

        ck_assert_msg(source != NULL, "SRCDIR is not set");
        (void)snprintf(path, sizeof(path), "%s/man/netbrokerd.8", source);
        return daemon_read(path);
}

START_TEST(alerts_and_dashboard_ask_for_what_there_is) {
        NB_CLEANUP_FREE char *page = NULL, *rules = read_example("netbroker.rules.yml"),
                             *tests = read_example("netbroker.rules.test.yml"),
                             *dashboard = read_example("netbroker-dashboard.json"), *manual = read_manual();
        struct metered metered;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        page = get_page(metered.address);
        ck_assert_uint_gt(expect_families_of(page, rules, "an alert"), 10);
        ck_assert_uint_gt(expect_families_of(page, tests, "a test of an alert"), 10);
        ck_assert_uint_gt(expect_families_of(page, dashboard, "the dashboard"), 20);
        ck_assert_uint_gt(expect_families_of(page, manual, "netbrokerd(8)"), 20);
        scene_end(&metered.scene);
}
END_TEST

/* And the other way round: what is exported is on the dashboard, and in the manual. */
START_TEST(dashboard_and_manual_have_all) {
        NB_CLEANUP_FREE char *page = NULL, *dashboard = read_example("netbroker-dashboard.json"),
                             *manual = read_manual();
        struct metered metered;
        static const char type[] = "# TYPE ";

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        page = get_page(metered.address);
        for (const char *at = strstr(page, type); at; at = strstr(at + 1, type)) {
                char name[NAME_MAX_HERE];

                (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(at + strlen(type), " "), at + strlen(type));
                ck_assert_msg(strstr(dashboard, name) != NULL, "%s is not on the dashboard", name);
                ck_assert_msg(strstr(manual, name) != NULL, "%s is not in netbrokerd(8)", name);
        }
        scene_end(&metered.scene);
}
END_TEST

/* ---- a real one ---- */

struct prometheus {
        struct process process;
        char config[HARNESS_PATH_MAX];
        char data[HARNESS_PATH_MAX];
        char address[NB_ADDRESS_TEXT_MAX];
};

/* It says which port it has got. */
static void find_prometheus(struct prometheus *prometheus) {
        static const char before[] = "msg=\"Listening on\" address=";
        const char *at;

        process_expect(&prometheus->process, before, HARNESS_DEADLINE_MS);
        process_expect(&prometheus->process, "Server is ready", HARNESS_DEADLINE_MS);
        at = strstr(prometheus->process.text, before) + strlen(before);
        (void)snprintf(prometheus->address, sizeof(prometheus->address), "%.*s", (int)strcspn(at, "\n"), at);
}

static void prometheus_start(struct prometheus *prometheus, const struct metered *metered) {
        const char *folder = metered->scene.daemon.folder;
        char text[512], rules[512];

        (void)snprintf(prometheus->config, sizeof(prometheus->config), "%s/prometheus.yml", folder);
        (void)snprintf(prometheus->data, sizeof(prometheus->data), "%s/prometheus", folder);
        (void)snprintf(text, sizeof(text),
                       "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  evaluation_interval: 200ms\n"
                       "rule_files: ['%.200s']\n"
                       "scrape_configs:\n  - job_name: netbroker\n    static_configs:\n      - targets: ['%s']\n",
                       example("netbroker.rules.yml", rules), metered->address);
        write_file(prometheus->config, text);
        (void)snprintf(text, sizeof(text), "--config.file=%s", prometheus->config);
        (void)snprintf(rules, sizeof(rules), "--storage.tsdb.path=%s", prometheus->data);
        PROCESS_START(&prometheus->process, "prometheus", text, rules, "--web.listen-address=127.0.0.1:0");
        find_prometheus(prometheus);
}

static void prometheus_stop(struct prometheus *prometheus) {
        ck_assert_int_eq(process_stop(&prometheus->process), 0);
        process_deinit(&prometheus->process);
        PROCESS_START(&prometheus->process, "rm", "-rf", prometheus->data);
        ck_assert_int_eq(process_finish(&prometheus->process, HARNESS_DEADLINE_MS), 0);
        process_deinit(&prometheus->process);
}

static void encode(const char *text, char *ret, size_t size) {
        size_t n = 0;

        for (; *text; ++text) {
                ck_assert_uint_lt(n + 4, size);
                n += (size_t)snprintf(ret + n, size - n, "%%%02x", (unsigned)(unsigned char)*text);
        }
        ret[n] = '\0';
}

/* Asks for an expression; what Prometheus cannot read fails the test. @return its result, to be given back */
static json_t *query(const struct prometheus *prometheus, const char *expression) {
        NB_CLEANUP_FREE char *answer = NULL;
        char encoded[4096], request[4352];
        json_t *object, *result;

        encode(expression, encoded, sizeof(encoded));
        (void)snprintf(request, sizeof(request), "GET /api/v1/query?query=%s HTTP/1.0\r\n\r\n", encoded);
        answer = ask(prometheus->address, request);
        object = json_loads(body_of(answer), 0, NULL);
        ck_assert_msg(object && strcmp(json_string_value(json_object_get(object, "status")), "success") == 0, "%s: %s",
                      expression, answer);
        result = json_incref(json_object_get(json_object_get(object, "data"), "result"));
        json_decref(object);
        return result;
}

/* The value of the first sample, or a NAN when there is none. */
static double query_value(const struct prometheus *prometheus, const char *expression) {
        json_t *result = query(prometheus, expression);
        const char *text = json_string_value(json_array_get(json_object_get(json_array_get(result, 0), "value"), 1));
        double value = text ? strtod(text, NULL) : -1;

        json_decref(result);
        return value;
}

static void wait_for_value(const struct prometheus *prometheus, const char *expression, double expected) {
        uint64_t start = harness_now_ms();

        while (query_value(prometheus, expression) != expected)
                harness_wait_a_moment(start, expression);
}

START_TEST(prometheus_scrapes_it) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct prometheus prometheus;
        struct metered metered;
        struct wire control;
        int fd;

        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        prometheus_start(&prometheus, &metered);
        wait_for_value(&prometheus, "up{job=\"netbroker\"}", 1);
        wait_for_value(&prometheus, "netbroker_policy_tenants", 1);
        control = wire_open_control(metered.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        wait_for_value(&prometheus, "netbroker_connects_total{tenant=\"acme\",result=\"done\"}", 1);
        wait_for_value(&prometheus, "netbroker_connect_duration_seconds_count{tenant=\"acme\"}", 1);
        wait_for_value(&prometheus, "count(netbroker_objects{tenant=\"acme\"}) > bool 5", 1);
        /* A healthy broker raises no alarm. */
        wait_for_value(&prometheus, "count(ALERTS) or vector(0)", 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        prometheus_stop(&prometheus);
        peer_close(&peer);
        scene_end(&metered.scene);
}
END_TEST

static void replace_all(char *text, const char *what, const char *with) {
        size_t n = strlen(what), m = strlen(with);

        ck_assert_uint_le(m, n);
        for (char *at = strstr(text, what); at; at = strstr(at + m, what)) {
                memcpy(at, with, m);
                memmove(at + m, at + n, strlen(at + n) + 1);
        }
}

/* What Grafana puts in for its variables. */
static void fill_in(const char *expression, char ret[static 1024]) {
        (void)snprintf(ret, 1024, "%s", expression);
        replace_all(ret, "$instance", ".*");
        replace_all(ret, "$tenant", ".*");
        replace_all(ret, "$__rate_interval", "1m");
        replace_all(ret, "$__range", "1h");
}

static unsigned query_panel(const struct prometheus *prometheus, const json_t *panel) {
        const json_t *targets = json_object_get(panel, "targets"), *target;
        unsigned n = 0;
        size_t i;

        json_array_foreach(targets, i, target) {
                char expression[1024];

                fill_in(json_string_value(json_object_get(target, "expr")), expression);
                json_decref(query(prometheus, expression));
                n++;
        }
        return n;
}

START_TEST(prometheus_understands_the_dashboard) {
        NB_CLEANUP_FREE char *text = read_example("netbroker-dashboard.json");
        json_t *dashboard = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        struct prometheus prometheus;
        struct metered metered;
        const json_t *panel;
        unsigned n = 0;
        size_t i;

        ck_assert_ptr_nonnull(dashboard);
        metered_start(&metered, "127.0.0.1:0", NULL, SCENE_LOOPBACK);
        prometheus_start(&prometheus, &metered);
        json_array_foreach(json_object_get(dashboard, "panels"), i, panel) n += query_panel(&prometheus, panel);
        ck_assert_uint_gt(n, 20);
        prometheus_stop(&prometheus);
        json_decref(dashboard);
        scene_end(&metered.scene);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("metrics");
        TCase *counted = tcase_create("counted"), *served = tcase_create("served"), *seen = tcase_create("prometheus");

        suite_add_tcase(suite, counted);
        suite_add_tcase(suite, served);
        suite_add_tcase(suite, seen);
        tcase_set_timeout(counted, 60);
        tcase_set_timeout(served, 60);
        tcase_set_timeout(seen, 120);
        tcase_add_test(counted, decisions_and_connects);
        tcase_add_test(counted, objects_and_their_limits);
        tcase_add_test(counted, quotas_that_are_met);
        tcase_add_test(counted, sessions_that_break_the_rules);
        tcase_add_test(counted, reloads);
        tcase_add_test(counted, the_broker_itself);
        tcase_add_test(counted, series_go_with_their_tenants);
        tcase_add_loop_test(served, what_else_is_asked, 0, sizeof(requests) / sizeof(requests[0]));
        tcase_add_test(served, a_head_has_no_body);
        tcase_add_test(served, a_head_that_is_too_long);
        tcase_add_test(served, clients_that_say_nothing);
        tcase_add_test(served, a_unix_socket);
        tcase_add_test(served, where_metrics_are_not_served);
        if (getuid() == 0)
                tcase_add_test(served, metrics_after_privileges_are_gone);
        else
                fprintf(stderr, "not tested: metrics with --user: that needs root\n");
        tcase_add_test(seen, promtool_likes_the_alerts);
        tcase_add_test(seen, promtool_likes_the_page);
        tcase_add_test(seen, promtool_likes_a_long_page);
        tcase_add_test(seen, alerts_and_dashboard_ask_for_what_there_is);
        tcase_add_test(seen, dashboard_and_manual_have_all);
        tcase_add_test(seen, prometheus_scrapes_it);
        tcase_add_test(seen, prometheus_understands_the_dashboard);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
