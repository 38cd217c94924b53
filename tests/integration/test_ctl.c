/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerctl, with a real daemon and without one.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/operator.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define RULES                                                                                                          \
        "Connect=127.0.0.1:*\n"                                                                                        \
        "Connect=*.example.com:443\n"                                                                                  \
        "Deny=127.0.0.9:*\n"                                                                                           \
        "Listen=127.0.0.1:*\n"

static json_int_t number(const json_t *object, const char *key) {
        return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key) {
        const char *value = json_string_value(json_object_get(object, key));

        ck_assert_msg(value != NULL, "no text '%s'", key);
        return value;
}

/* Runs it, and wants a status and a part of what it writes. */
static void expect(const struct operator_scene *world, int status, const char *part, const char *const *arguments) {
        NB_CLEANUP_FREE char *written = NULL;
        int r = operator_run(world ? world->admin_socket : NULL, arguments, &written);

        ck_assert_msg(r == status, "%s ended with status %d, and not %d, and wrote:\n%s", arguments[0], r, status,
                      written);
        operator_expect(written, part);
}
#define EXPECT(world, status, part, ...) expect((world), (status), (part), (const char *const[]){ __VA_ARGS__, NULL })

/* A file of a test. */
struct file {
        char path[48];
};

static struct file write_file(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct file write_file(const char *format, ...) {
        struct file file = { .path = "/tmp/netbroker-ctl-XXXXXX.conf" };
        int fd = mkstemps(file.path, 5);
        va_list arguments;

        ck_assert_int_ge(fd, 0);
        va_start(arguments, format);
        ck_assert_int_ge(vdprintf(fd, format, arguments), 0);
        va_end(arguments);
        ck_assert_int_eq(close(fd), 0);
        return file;
}

static void remove_file(struct file *file) {
        ck_assert_int_eq(unlink(file->path), 0);
}
#define FILE_OF_TEST __attribute__((cleanup(remove_file))) struct file

/* ---- what there is ---- */

START_TEST(status) {
        struct operator_scene world;
        json_t *json;

        operator_start(&world, RULES, false);
        EXPECT(&world, 0, "netbrokerd:  0.", "status");
        EXPECT(&world, 0, "sessions:    1\n", "status");
        EXPECT(&world, 0, world.scene.daemon.policy_path, "status");
        json = CTL_JSON(&world, "status");
        ck_assert_int_eq(number(json, "pid"), world.scene.daemon.pid);
        ck_assert_str_eq(text(json, "log_level"), "info");
        ck_assert(json_is_null(json_object_get(json_object_get(json, "policy"), "last_error")));
        ck_assert_int_eq(number(json_object_get(json, "counts"), "sessions"), 1);
        json_decref(json);
        operator_end(&world);
}
END_TEST

START_TEST(tenants_sessions_and_connections) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct operator_scene world;
        struct wire control;
        json_t *json, *row;
        int stream, ignored;

        operator_start(&world, RULES, false);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "192.0.2.1:1", &ignored), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &stream), 0);

        json = CTL_JSON(&world, "tenants");
        row = json_array_get(json, 0);
        ck_assert_uint_eq(json_array_size(json), 1);
        ck_assert_str_eq(text(row, "tenant"), "acme");
        ck_assert_str_eq(text(row, "mode"), "enforce");
        ck_assert_int_eq(number(row, "sessions"), 1);
        ck_assert_int_eq(number(row, "controls"), 1);
        ck_assert_int_eq(number(row, "connections"), 1);
        ck_assert_int_eq(number(row, "denied"), 1);
        json_decref(json);

        json = CTL_JSON(&world, "sessions", "--tenant", "acme");
        row = json_array_get(json, 0);
        ck_assert_int_eq(number(row, "uid"), getuid());
        ck_assert_int_eq(number(row, "controls"), 1);
        json_decref(json);

        json = CTL_JSON(&world, "connections", "--session", "1");
        row = json_array_get(json, 0);
        ck_assert_uint_eq(json_array_size(json), 1);
        ck_assert_str_eq(text(row, "peer"), peer.text);
        ck_assert_str_eq(text(row, "protocol"), "web");
        ck_assert_str_eq(text(row, "operation"), "connect");
        json_decref(json);
        EXPECT(&world, 0, peer.text, "connections");
        EXPECT(&world, 0, "[]\n", "connections", "--session", "7", "--json");

        (void)nb_fd_close(stream);
        (void)wire_close(&control);
        peer_close(&peer);
        operator_end(&world);
}
END_TEST

/* A session's label is its own choice, and a terminal obeys. */
START_TEST(what_strangers_chose_is_made_safe) {
        struct operator_scene world;
        Nb__Hello hello = NB__HELLO__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        struct wire wire;

        operator_start(&world, RULES, false);
        wire = wire_connect(world.scene.daemon.socket_path);
        hello.oldest_version = 1;
        hello.newest_version = 1;
        hello.tenant = (char *)"acme";
        hello.label = (char *)"\x1b[31mred\n2";
        request.serial = 1;
        request.body_case = NB__REQUEST__BODY_HELLO;
        request.hello = &hello;
        wire_send(&wire, &request);
        wire_wait_taken(&wire);
        EXPECT(&world, 0, "\\x1b[31mred\\x0a2", "sessions");
        EXPECT(&world, 0, "\\u001B[31mred\\n2", "sessions", "--json");
        (void)wire_close(&wire);
        operator_end(&world);
}
END_TEST

START_TEST(quotas_and_metrics) {
        struct operator_scene world;
        json_t *json;

        operator_start(&world, RULES, false);
        json = CTL_JSON(&world, "quota", "acme");
        ck_assert_uint_ge(json_array_size(json), 11);
        ck_assert_str_eq(text(json_array_get(json, 0), "quota"), "MaxSessions");
        ck_assert_int_eq(number(json_array_get(json, 0), "used"), 1);
        json_decref(json);
        EXPECT(&world, 0, "MaxConnections", "quota");
        EXPECT(&world, 0, "# TYPE netbroker_build_info gauge\n", "metrics");
        operator_end(&world);
}
END_TEST

START_TEST(log_level) {
        struct operator_scene world;

        operator_start(&world, RULES, true);
        EXPECT(&world, 0, "notice\n", "log-level");
        EXPECT(&world, 0, "debug\n", "log-level", "debug");
        EXPECT(&world, 0, "\"debug\"", "log-level", "--json");
        operator_end(&world);
}
END_TEST

/* ---- the policy ---- */

static const struct {
        const char *operation, *target;
        int status;
        const char *part;
} questions[] = {
        { "connect", "127.0.0.1:80", 0, "allowed" },
        { "connect", "127.0.0.9:80", 1, "Deny=127.0.0.9:*" },
        { "connect", "192.0.2.1:80", 1, "Connect=192.0.2.1:80" },
        { "connect", "api.example.com:443", 0, "Connect=*.example.com:443" },
        { "connect", "example.com:443", 1, "denied" },
        { "listen", "127.0.0.1:8080", 0, "allowed" },
        { "listen", "0.0.0.0:8080", 1, "denied" },
        { "accept", "192.0.2.1:5000", 0, "allowed" },
        { "accept", "127.0.0.9:5000", 1, "Deny=" },
        { "connect", "127.0.0.1", 2, "has no port" },
        { "connect", "127.1:80", 2, "netbrokerctl: " },
        { "listen", "api.example.com:443", 2, "is a name" },
        { "send", "127.0.0.1:80", 2, "connect, listen or accept" },
};

/* The same answer, whoever gives it. */
START_TEST(explain) {
        struct operator_scene world;

        operator_start(&world, RULES, false);
        for (size_t i = 0; i < ELEMENTS(questions); ++i) {
                NB_CLEANUP_FREE char *by_daemon = NULL, *by_itself = NULL;

                ck_assert_int_eq(CTL(&world, &by_daemon, "explain", "acme", "web", questions[i].operation,
                                     questions[i].target),
                                 questions[i].status);
                ck_assert_int_eq(CTL_ALONE(&by_itself, "explain", "--policy", world.scene.daemon.policy_path, "acme",
                                           "web", questions[i].operation, questions[i].target),
                                 questions[i].status);
                operator_expect(by_daemon, questions[i].part);
                if (questions[i].status != 2)
                        ck_assert_str_eq(by_daemon, by_itself);
                operator_expect(by_itself, questions[i].part);
        }
        EXPECT(&world, 2, "no tenant 'x'", "explain", "x", "web", "connect", "127.0.0.1:1");
        EXPECT(&world, 2, "no protocol 'x'", "explain", "acme", "x", "connect", "127.0.0.1:1");
        EXPECT(NULL, 2, "no tenant 'x'", "explain", "x", "web", "connect", "127.0.0.1:1", "--policy",
               world.scene.daemon.policy_path);
        operator_end(&world);
}
END_TEST

/* The policy alone would say yes; the daemon knows that no rule reaches its own sockets, and says what it would do. */
START_TEST(explain_knows_the_sockets_of_the_daemon) {
        struct operator_scene world;

        operator_start(&world, RULES "[Protocol local]\nFamily=unix\nDataPath=direct\nConnect=/tmp/*/admin.sock\n",
                       false);
        EXPECT(&world, 1, "no rule reaches the admin socket", "explain", "acme", "local", "connect",
               world.admin_socket);
        operator_end_changed(&world);
}
END_TEST

/* What it says of a path must be true of the file that is there, however netbrokerd was told of it. */
START_TEST(a_relative_path_is_one_of_a_folder) {
        const struct daemon_options options = { .arguments = (const char *const[]){ "--admin-socket", "./admin.sock",
                                                                                    NULL } };
        NB_CLEANUP_FREE char *served = NULL, *missed = NULL;
        char folder[] = "/tmp/netbroker-ctl-XXXXXX", path[sizeof(folder) + 16], where[sizeof(folder) + 64];
        struct scene scene;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        ck_assert_int_eq(chdir(folder), 0);
        (void)snprintf(path, sizeof(path), "%s/admin.sock", folder);
        (void)snprintf(where, sizeof(where), "cannot reach netbrokerd at admin.sock in %s: ", folder);
        scene_start(&scene, &options,
                    RULES "[Protocol local]\nFamily=unix\nDataPath=direct\nConnect=/tmp/*/admin.sock\n");
        ck_assert_int_eq(operator_run("admin.sock",
                                      (const char *const[]){ "explain", "acme", "local", "connect", path, NULL },
                                      &served),
                         1);
        operator_expect(served, "no rule reaches the admin socket");
        wire_session_close(&scene.session);
        daemon_stop(&scene.daemon);
        daemon_deinit(&scene.daemon);
        ck_assert_int_eq(operator_run("admin.sock", (const char *const[]){ "status", NULL }, &missed), 3);
        operator_expect(missed, where);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(explain_in_json) {
        struct operator_scene world;
        const json_t *explanation, *step;
        json_t *json;
        NB_CLEANUP_FREE char *written = NULL;

        operator_start(&world, RULES, false);
        ck_assert_int_eq(CTL(&world, &written, "explain", "acme", "web", "connect", "127.0.0.9:80", "--json"), 1);
        json = json_loads(written, JSON_REJECT_DUPLICATES, NULL);
        explanation = json_array_get(json, 0);
        step = json_array_get(json_object_get(explanation, "steps"), 0);
        ck_assert(json_is_false(json_object_get(explanation, "allowed")));
        ck_assert_str_eq(text(explanation, "rule"), "Deny=127.0.0.9:*");
        operator_expect(text(explanation, "at"), "acme.conf:");
        ck_assert_str_eq(text(step, "layer"), "address");
        ck_assert_str_eq(text(step, "check"), "deny");
        json_decref(json);
        operator_end(&world);
}
END_TEST

/* localhost is in every hosts file, also where there is no DNS. Its addresses are judged as any. */
START_TEST(explain_resolves) {
        FILE_OF_TEST policy = write_file("[Tenant]\nName=acme\n[Protocol web]\nFamily=ipv4\nDataPath=direct\n"
                                         "Connect=localhost:80\n[Protocol db]\nFamily=ipv4\nDataPath=direct\n"
                                         "Connect=localhost:80\nAddresses=local\n");

        EXPECT(NULL, 0, "allowed", "explain", "acme", "web", "connect", "localhost:80", "--policy", policy.path);
        EXPECT(NULL, 1, "127.0.0.1", "explain", "acme", "web", "connect", "localhost:80", "--policy", policy.path,
               "--resolve");
        EXPECT(NULL, 0, "127.0.0.1", "explain", "acme", "db", "connect", "localhost:80", "--policy", policy.path,
               "--resolve");
        /* A name that is not granted is not looked up. */
        EXPECT(NULL, 1, "denied", "explain", "acme", "db", "connect", "nothing.invalid:80", "--policy", policy.path,
               "--resolve");
}
END_TEST

/* The daemon asks as a connect of the tenant would, and says so of each address. */
START_TEST(explain_resolves_by_the_daemon) {
        struct operator_scene world;

        operator_start(&world,
                       "Connect=localhost:80\n[Protocol db]\nFamily=ipv4\nDataPath=direct\n"
                       "Connect=localhost:80\nConnect=nothing.invalid:80\nAddresses=local\n",
                       false);
        EXPECT(&world, 0, "allowed", "explain", "acme", "web", "connect", "localhost:80");
        EXPECT(&world, 1, "127.0.0.1", "explain", "acme", "web", "connect", "localhost:80", "--resolve");
        EXPECT(&world, 0, "127.0.0.1", "explain", "acme", "db", "connect", "localhost:80", "--resolve");
        EXPECT(&world, 1, "cannot look up nothing.invalid", "explain", "acme", "db", "connect", "nothing.invalid:80",
               "--resolve");
        operator_end_changed(&world);
}
END_TEST

START_TEST(test_passes_and_fails) {
        struct operator_scene world;
        FILE_OF_TEST good = write_file("# all of it\n\n"
                                       "allow acme web connect 127.0.0.1:80 rule acme.conf:8\n"
                                       "allow acme\tweb  connect api.example.com:443 => 93.184.216.34\n"
                                       "deny acme web connect api.example.com:443 => 169.254.169.254\n"
                                       "deny acme web connect 127.0.0.9:80 rule policy/acme.conf:10\n"
                                       "deny acme web connect 192.0.2.1:80 rule none");
        FILE_OF_TEST bad = write_file("allow acme web connect 192.0.2.1:80\n"
                                      "deny acme web connect 127.0.0.1:80\n"
                                      "deny acme web connect 127.0.0.9:80 rule acme.conf:9\n"
                                      "deny acme web connect 127.0.0.9:80 rule e.conf:10\n"
                                      "allow acme web connect 127.0.0.1:80\n");

        operator_start(&world, RULES, false);
        EXPECT(&world, 0, "expectations: 5, failed: 0\n", "test", good.path);
        EXPECT(NULL, 0, "expectations: 5, failed: 0\n", "test", good.path, "--policy", world.scene.daemon.policy_path);
        EXPECT(&world, 1, "expectations: 5, failed: 4\n", "test", bad.path);
        EXPECT(&world, 1, ":1: allow acme web connect 192.0.2.1:80: expected", "test", bad.path);
        EXPECT(&world, 1, "\"ok\": false", "test", bad.path, "--json");
        operator_end(&world);
}
END_TEST

static const struct {
        const char *line;
        const char *error;
} bad_expectations[] = {
        { "permit acme web connect 127.0.0.1:80", "begins with allow or deny" },
        { "allow acme web connect", "write: allow|deny" },
        { "allow acme web connect 127.0.0.1:80 by acme.conf:7", "behind the target" },
        { "allow acme web connect 127.0.0.1:80 rule", "behind the target" },
        { "allow acme web connect 127.0.0.1:80 rule a:1 rule b:2", "behind the target" },
        { "allow acme web connect 127.0.0.1:80 rule a:1 => 127.0.0.1", "behind the target" },
        { "allow acme web connect 127.0.0.1:80 => 127.0.0.1", "no valid question" },
        { "allow acme web connect a.example.com:443 => 127.0.0.1:443", "no valid question" },
        { "allow acme web connect 127.1:80", "no valid question" },
        { "allow acme web dial 127.0.0.1:80", "no valid question" },
        { "allow other web connect 127.0.0.1:80", "no valid question" },
        { "allow acme other connect 127.0.0.1:80", "no valid question" },
        { "allow acme web connect \x1b[31m:80", "not printable" },
};

START_TEST(test_refuses_a_bad_file) {
        FILE_OF_TEST policy = write_file("[Tenant]\nName=acme\n[Protocol web]\nFamily=ip\nDataPath=direct\n" RULES);
        FILE_OF_TEST expectations = write_file("# first\n%s\n", bad_expectations[_i].line);
        char place[64];

        (void)snprintf(place, sizeof(place), "%s:2: ", expectations.path);
        EXPECT(NULL, 2, bad_expectations[_i].error, "test", expectations.path, "--policy", policy.path);
        EXPECT(NULL, 2, place, "test", expectations.path, "--policy", policy.path);
}
END_TEST

START_TEST(check) {
        FILE_OF_TEST good = write_file("[Tenant]\nName=acme\n[Protocol web]\nFamily=ip\nDataPath=direct\n" RULES);
        FILE_OF_TEST bad = write_file("[Tenant]\nName=acme\n[Protocol web]\nFamily=ip\nConect=127.0.0.1:*\n");
        FILE_OF_TEST silent = write_file("[Tenant]\nName=acme\n[Protocol web]\nFamily=ip\nConnect=127.0.0.1:*\n");
        FILE_OF_TEST defaults = write_file("[Defaults]\nDataPath=direct\n");

        EXPECT(NULL, 0, ": valid, tenants: 1\n", "check", good.path);
        EXPECT(NULL, 2, ":5:1: error:", "check", bad.path);
        EXPECT(NULL, 2, "Connect", "check", good.path, bad.path);
        EXPECT(NULL, 2, ": valid, tenants: 1\n", "check", bad.path, good.path);
        EXPECT(NULL, 2, "\"valid\": false", "check", bad.path, "--json");
        EXPECT(NULL, 2, "cannot read", "check", "/nonexistent/policy");
        EXPECT(NULL, 0, "valid", "check", silent.path);
        EXPECT(NULL, 0, "valid", "check", silent.path, "--defaults", defaults.path);
}
END_TEST

/* What is dumped is a policy, and the same one. */
START_TEST(dump) {
        struct operator_scene world;
        NB_CLEANUP_FREE char *dumped = NULL, *again = NULL;

        operator_start(&world, RULES, false);
        ck_assert_int_eq(CTL(&world, &dumped, "dump", "acme"), 0);
        operator_expect(dumped, "Connect=*.example.com:443\n");
        {
                FILE_OF_TEST file = write_file("%s", dumped);

                EXPECT(NULL, 0, "valid", "check", file.path);
                ck_assert_int_eq(CTL_ALONE(&again, "dump", "acme", "--policy", file.path), 0);
        }
        ck_assert_str_eq(again, dumped);
        EXPECT(&world, 0, "# ---- acme ----\n", "dump");
        EXPECT(&world, 0, "\"text\": \"[Tenant]", "dump", "--json");
        EXPECT(NULL, 2, "no tenant 'x'", "dump", "x", "--policy", world.scene.daemon.policy_path);
        operator_end(&world);
}
END_TEST

START_TEST(keys) {
        EXPECT(NULL, 0, "\nMaxSessions=", "keys");
}
END_TEST

/* ---- what changes something ---- */

START_TEST(reload) {
        struct operator_scene world;

        operator_start(&world, RULES, false);
        scene_write_policy(&world.scene, "Connect=192.0.2.1:80\n");
        EXPECT(&world, 0, "reloaded ", "reload");
        EXPECT(&world, 0, "allowed", "explain", "acme", "web", "connect", "192.0.2.1:80");

        scene_write_policy(&world.scene, "Conect=192.0.2.1:80\n");
        EXPECT(&world, 1, "acme.conf:8:1: error:", "reload");
        EXPECT(&world, 1, "Connect=192.0.2.1:80", "reload");
        EXPECT(&world, 0, "acme.conf:8:1: error:", "status");
        EXPECT(&world, 0, "\"last_error\": {", "status", "--json");
        EXPECT(&world, 0, "allowed", "explain", "acme", "web", "connect", "192.0.2.1:80");

        /* By whomever it is loaded: the error is gone when it is. */
        scene_write_policy(&world.scene, RULES);
        daemon_reload(&world.scene.daemon);
        EXPECT(&world, 0, "\"last_error\": null", "status", "--json");
        operator_end(&world);
}
END_TEST

START_TEST(revoke_a_session) {
        struct operator_scene world;
        struct wire_session other;

        operator_start(&world, RULES, false);
        wire_session_open(world.scene.daemon.socket_path, "acme", &other);
        EXPECT(&world, 0, "revoked the session", "revoke", "session", "2");
        wire_expect_end(&other.channel);
        wire_expect_end(&other.protocols[0]);
        wire_session_close(&other);
        daemon_expect_log(&world.scene.daemon, "session 2 of tenant acme ends");
        EXPECT(&world, 1, "no session 2", "revoke", "session", "2");
        operator_end(&world);
}
END_TEST

START_TEST(revoke_a_protocol) {
        struct operator_scene world;
        struct wire_session session;

        operator_start(&world, RULES "[Protocol db]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:1\n", false);
        wire_session_open(world.scene.daemon.socket_path, "acme", &session);
        EXPECT(&world, 0, "sessions concerned: 2", "revoke", "protocol", "acme", "db");
        wire_expect_end(&session.protocols[1]);
        wire_settle(&session.protocols[0]);
        wire_session_close(&session);
        /* The policy still has it. */
        wire_session_open(world.scene.daemon.socket_path, "acme", &session);
        wire_settle(&session.protocols[1]);
        wire_session_close(&session);
        EXPECT(&world, 2, "no protocol 'x'", "revoke", "protocol", "acme", "x");
        operator_end_changed(&world);
}
END_TEST

/* Without a helper nothing can be shut down in a holder's hands, and that is said. */
/* Existing=keep is about reloads: what an operator takes away ends all the same, and nothing else does. */
START_TEST(revoke_a_protocol_of_who_keeps) {
        struct operator_scene world;
        struct wire_session session;
        struct wire control, other;

        operator_start(&world, RULES "[Protocol db]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:1\n", false);
        daemon_write_policy(&world.scene.daemon,
                            "[Tenant]\nName=acme\nUser=%u\nExisting=keep\n[Protocol web]\nFamily=ip\nDataPath=direct\n"
                            "[Protocol db]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:1\nListen=127.0.0.1:*\n",
                            (unsigned)getuid());
        EXPECT(&world, 0, "reloaded", "reload");
        wire_session_open(world.scene.daemon.socket_path, "acme", &session);
        control = wire_open_control(&session.protocols[1], "127.0.0.1:0");
        other = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        EXPECT(&world, 0, "sessions concerned: 2", "revoke", "protocol", "acme", "db");
        wire_expect_end(&session.protocols[1]);
        wire_expect_end(&control);
        wire_settle(&session.protocols[0]);
        wire_settle(world.scene.web);
        (void)wire_close(&other);
        wire_session_close(&session);
        operator_end_changed(&world);
}
END_TEST

/* A guest that writes to the same log could otherwise add lines to the policy, and speak to the terminal. */
START_TEST(no_record_adds_lines_to_what_is_suggested) {
        char path[] = "/tmp/nb-ctl-XXXXXX";
        NB_CLEANUP_FREE char *text = NULL;
        NB_CLEANUP_FD int fd = mkostemp(path, O_CLOEXEC);
        const char records[] = "{\"tenant\":\"acme\",\"protocol\":\"web\",\"verb\":\"connect\",\"verdict\":\"denied\","
                               "\"address\":\"192.0.2.1:1\"}\n"
                               "{\"tenant\":\"acme\",\"protocol\":\"x]\\nConnect=192.0.2.9:9\\n#\\u001b[31m\","
                               "\"verb\":\"connect\",\"verdict\":\"denied\",\"address\":\"192.0.2.2:2\"}\n"
                               "{\"tenant\":\"acme\",\"protocol\":\"web\",\"verb\":\"connect\",\"verdict\":\"denied\","
                               "\"name\":\"a\\nConnect=192.0.2.9:9\"}\n";

        ck_assert_int_eq(write(fd, records, strlen(records)), (ssize_t)strlen(records));
        ck_assert_int_eq(CTL_ALONE(&text, "suggest", "acme", "--audit", path), 0);
        operator_expect(text, "Connect=192.0.2.1:1\n");
        ck_assert_msg(!strstr(text, "192.0.2.9") && !strchr(text, '\033'), "%s", text);
        ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(revoke_a_connection_without_a_helper) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct operator_scene world;
        struct wire control;
        json_t *json;
        char id[32];
        int stream;

        operator_start(&world, RULES, false);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &stream), 0);
        json = CTL_JSON(&world, "connections");
        (void)snprintf(id, sizeof(id), "%lld", (long long)number(json_array_get(json, 0), "connection"));
        json_decref(json);
        EXPECT(&world, 1, "no helper", "revoke", "connection", id);
        EXPECT(&world, 1, "no connection 77", "revoke", "connection", "77");
        (void)nb_fd_close(stream);
        (void)wire_close(&control);
        peer_close(&peer);
        operator_end(&world);
}
END_TEST

/* The holder finds its connection ended; when it closes what is left of it, the entry goes. @param stream  consumed */
static void expect_shut_down(const struct operator_scene *world, int stream) {
        uint64_t start_ms = harness_now_ms();
        char byte;

        ck_assert_int_ne(harness_poll(stream, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(stream, &byte, 1, 0), -1);
        ck_assert_int_eq(errno, ECONNABORTED);
        (void)nb_fd_close(stream);
        for (;;) {
                json_t *json = CTL_JSON(world, "connections");
                size_t n = json_array_size(json);

                json_decref(json);
                if (n == 0)
                        return;
                harness_wait_a_moment(start_ms, "the connection to go");
        }
}

START_TEST(revoke_connections_by_the_helper) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct operator_scene world;
        struct wire_session other;
        struct wire control;
        int stream;

        operator_start_with_helper(&world, RULES);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &stream), 0);
        EXPECT(&world, 0, "connections shut down: 1", "revoke", "connection", "1");
        expect_shut_down(&world, stream);
        (void)wire_close(&control);

        /* With its session, or its protocol. */
        wire_session_open(world.scene.daemon.socket_path, "acme", &other);
        control = wire_open_control(&other.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &stream), 0);
        EXPECT(&world, 0, "connections shut down: 1", "revoke", "session", "2");
        expect_shut_down(&world, stream);
        (void)wire_close(&control);
        wire_session_close(&other);

        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &stream), 0);
        EXPECT(&world, 0, "connections shut down: 1", "revoke", "protocol", "acme", "web");
        expect_shut_down(&world, stream);
        (void)wire_close(&control);
        EXPECT(&world, 0, "helper:      ready", "status");
        peer_close(&peer);
        operator_end_changed(&world);
}
END_TEST

/* ---- watch and suggest ---- */

START_TEST(watch) {
        const char *argv[] = { getenv("NETBROKERCTL"), "--admin-socket", NULL, "watch", "--json", NULL };
        struct operator_scene world;
        struct wire control;
        PROCESS all;
        PROCESS denied;
        int stream;

        /* At this log level nothing that is allowed is written, but it is watched. */
        operator_start(&world, RULES, true);
        argv[2] = world.admin_socket;
        process_start(&all, argv);
        process_expect(&all, "{\"watching\":true}", HARNESS_DEADLINE_MS);
        process_start(&denied, (const char *const[]){ argv[0], "--admin-socket", argv[2], "watch", "--json",
                                                      "--verdict", "denied", "--tenant", "acme", "--verb", "connect",
                                                      "--protocol", "web", NULL });
        process_expect(&denied, "{\"watching\":true}", HARNESS_DEADLINE_MS);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        ck_assert_uint_ne(wire_connect_to(&control, "127.0.0.1:1", &stream), 0);
        ck_assert_uint_eq(wire_connect_to(&control, "192.0.2.1:1", &stream), NB_WASI_EACCES);
        process_expect(&all, "\"address\":\"127.0.0.1:1\",\"verdict\":\"allowed\"", HARNESS_DEADLINE_MS);
        process_expect(&all, "\"address\":\"192.0.2.1:1\",\"verdict\":\"denied\"", HARNESS_DEADLINE_MS);
        process_expect(&denied, "\"address\":\"192.0.2.1:1\",\"verdict\":\"denied\"", HARNESS_DEADLINE_MS);
        ck_assert_ptr_null(strstr(denied.text, "allowed"));
        (void)process_stop(&all);
        (void)process_stop(&denied);
        (void)wire_close(&control);
        operator_end(&world);
}
END_TEST

static void ask_for_things(struct operator_scene *world) {
        struct wire control = wire_open_control(world->scene.web, "0.0.0.0:0"), bound;
        int stream;

        (void)wire_connect_to(&control, "127.0.0.1:1", &stream);
        (void)wire_connect_to(&control, "127.0.0.1:1", &stream);
        (void)wire_connect_to(&control, "192.0.2.1:443", &stream);
        (void)wire_connect_to(&control, "api.other.example:443", &stream);
        (void)wire_close(&control);
        bound = wire_open_control(world->scene.web, "127.0.0.1:0");
        (void)wire_close(&bound);
}

/* It is a policy, which grants what was seen and nothing else. */
static void check_suggestion(const char *suggestion) {
        FILE_OF_TEST file = write_file("%s", suggestion);
        FILE_OF_TEST expectations = write_file("allow acme web connect 127.0.0.1:1\n"
                                               "allow acme web connect 192.0.2.1:443\n"
                                               "allow acme web connect api.other.example:443\n"
                                               "allow acme web listen 127.0.0.1:0\n"
                                               "deny acme web connect 127.0.0.1:2\n"
                                               "deny acme web connect 192.0.2.2:443\n"
                                               "deny acme web connect x.api.other.example:443\n"
                                               "deny acme web connect a.example.com:443\n");

        EXPECT(NULL, 0, "valid", "check", file.path);
        EXPECT(NULL, 0, "expectations: 8, failed: 0\n", "test", expectations.path, "--policy", file.path);
}

START_TEST(suggest) {
        NB_CLEANUP_FREE char *suggestion = NULL, *from_audit = NULL;
        struct operator_scene world;

        operator_start(&world, RULES, false);
        ask_for_things(&world);
        ck_assert_int_eq(CTL(&world, &suggestion, "suggest", "acme"), 0);
        operator_expect(suggestion, "# asked for 2 times\n");
        operator_expect(suggestion, "loopback");
        operator_expect(suggestion, "# asked for 1 time, denied or reported 1\n");
        check_suggestion(suggestion);
        daemon_expect_audit(&world.scene.daemon, "api.other.example");
        ck_assert_int_eq(CTL_ALONE(&from_audit, "suggest", "acme", "--audit", world.scene.daemon.audit_path), 0);
        check_suggestion(from_audit);
        EXPECT(&world, 0, "\"entries\": [", "suggest", "acme", "--json");
        EXPECT(&world, 0, "\"left_out\": 0", "suggest", "acme", "--json");
        EXPECT(NULL, 2, "cannot read", "suggest", "acme", "--audit", "/nonexistent");
        EXPECT(NULL, 2, "no audit record", "suggest", "acme", "--audit", "/dev/null");
        operator_end(&world);
}
END_TEST

/* It is said, and no section is made up. */
START_TEST(suggest_after_a_section_is_gone) {
        struct operator_scene world;

        operator_start(&world, RULES "[Protocol db]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:1\n", false);
        {
                struct wire control = wire_open_control(&world.scene.session.protocols[1], "0.0.0.0:0");
                int stream;

                (void)wire_connect_to(&control, "127.0.0.1:1", &stream);
                (void)wire_close(&control);
        }
        scene_write_policy(&world.scene, RULES);
        EXPECT(&world, 0, "reloaded", "reload");
        EXPECT(&world, 0, "# asked for by [Protocol db], which the policy no longer has: connect 127.0.0.1:1\n",
               "suggest", "acme");
        operator_end_changed(&world);
}
END_TEST

/* A name that is granted and leads to where Addresses= does not: the suggestion has the address. */
START_TEST(suggest_addresses) {
        NB_CLEANUP_FREE char *suggestion = NULL, *from_audit = NULL;
        struct operator_scene world;
        struct wire control;
        int stream;

        operator_start(&world, "Connect=localhost:80\n", false);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "localhost:80", &stream), NB_WASI_EACCES);
        (void)wire_close(&control);
        ck_assert_int_eq(CTL(&world, &suggestion, "suggest", "acme"), 0);
        operator_expect(suggestion, "# localhost:80 led there\n");
        operator_expect(suggestion, "127.0.0.1/32\n");
        daemon_expect_audit(&world.scene.daemon, "\"resolved\":\"127.0.0.1:80\"");
        ck_assert_int_eq(CTL_ALONE(&from_audit, "suggest", "acme", "--audit", world.scene.daemon.audit_path), 0);
        operator_expect(from_audit, "127.0.0.1/32\n");
        for (int i = 0; i < 2; ++i) {
                FILE_OF_TEST file = write_file("%s", i == 0 ? suggestion : from_audit);
                FILE_OF_TEST expectations = write_file("allow acme web connect localhost:80 => 127.0.0.1\n"
                                                       "deny acme web connect localhost:80 => 127.0.0.2\n"
                                                       "deny acme web connect 127.0.0.1:80\n");

                EXPECT(NULL, 0, "expectations: 3, failed: 0\n", "test", expectations.path, "--policy", file.path);
        }
        operator_end_changed(&world);
}
END_TEST

/* ---- the command line ---- */

static const struct {
        const char *arguments[8];
        const char *error;
} misuses[] = {
        { { "" }, "no command" },
        { { "stauts" }, "did you mean 'status'" },
        { { "status", "x" }, "usage: netbrokerctl status" },
        { { "status", "--tenant", "x" }, "no option --tenant" },
        { { "tenants", "--policy", "x" }, "no option --policy" },
        { { "sessions", "--session", "1" }, "no option --session" },
        { { "connections", "--session", "x" }, "the number of a session" },
        { { "connections", "--session", "0" }, "the number of a session" },
        { { "connections", "--session", "99999999999999999999" }, "the number of a session" },
        { { "quota", "a", "b" }, "usage:" },
        { { "check" }, "usage:" },
        { { "dump", "--defaults", "x" }, "goes with --policy" },
        { { "keys", "x" }, "usage:" },
        { { "explain", "a", "b", "connect" }, "usage:" },
        { { "explain", "a", "b", "connect", "127.0.0.1:1", "x" }, "usage:" },
        { { "explain", "a", "b", "connect", "127.0.0.1:1", "--policy", "/nonexistent" }, "cannot read" },
        { { "test" }, "usage:" },
        { { "test", "/nonexistent", "--policy", "/dev/null" }, "netbrokerctl: " },
        { { "reload", "x" }, "usage:" },
        { { "revoke" }, "usage:" },
        { { "revoke", "session" }, "usage:" },
        { { "revoke", "session", "x" }, "no number of a session" },
        { { "revoke", "session", "1", "2" }, "usage:" },
        { { "revoke", "protocol", "acme" }, "usage:" },
        { { "revoke", "tenant", "acme" }, "cannot be revoked" },
        { { "watch", "x" }, "usage:" },
        { { "suggest" }, "usage:" },
        { { "log-level", "a", "b" }, "usage:" },
        { { "metrics", "x" }, "usage:" },
        { { "help", "x" }, "no command 'x'" },
        { { "--nothing" }, "--nothing" },
        { { NULL }, "say what to do" },
};

START_TEST(misused) {
        NB_CLEANUP_FREE char *written = NULL;

        ck_assert_int_eq(operator_run(NULL, misuses[_i].arguments, &written), 2);
        operator_expect(written, misuses[_i].error);
}
END_TEST

static const char *const asking[][4] = {
        { "status" },          { "tenants" },
        { "sessions" },        { "connections" },
        { "relays" },          { "certificates" },
        { "quota" },           { "dump" },
        { "reload" },          { "revoke", "session", "1" },
        { "watch" },           { "metrics" },
        { "suggest", "acme" }, { "log-level", "info" },
};

START_TEST(nobody_answers) {
        NB_CLEANUP_FREE char *written = NULL;

        ck_assert_int_eq(operator_run("/nonexistent/admin.sock", asking[_i], &written), 3);
        operator_expect(written, "cannot reach netbrokerd at /nonexistent/admin.sock");
}
END_TEST

/* ---- help, man page and completion ---- */

static char *read_source(const char *name) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", getenv("SRCDIR"), name);
        return daemon_read(path);
}

/* Every command has its help, its place in the man page, and is completed. */
START_TEST(commands_are_documented) {
        NB_CLEANUP_FREE char *list = NULL, *page = read_source("man/netbrokerctl.1"),
                             *completion = read_source("ctl/netbrokerctl.bash");
        char *rest = NULL;
        int n = 0;

        ck_assert_int_eq(CTL_ALONE(&list, "help"), 0);
        for (char *line = strtok_r(list, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char name[32], item[64], word[64];

                if (strncmp(line, "  ", 2) != 0 || sscanf(line, "%31s", name) != 1)
                        continue;
                (void)snprintf(item, sizeof(item), "\n.It Cm %s", name);
                (void)snprintf(word, sizeof(word), "Usage: netbrokerctl %s", name);
                operator_expect(page, item);
                operator_expect(completion, name);
                EXPECT(NULL, 0, word, "help", name);
                n++;
        }
        ck_assert_int_eq(n, 22);
}
END_TEST

/* The text between a line of the page and the end of the literal block behind it, as it is shown. */
static char *example_behind(const char *page, const char *before) {
        const char *start = strstr(page, before), *end;

        ck_assert_msg(start != NULL, "the page has no '%s'", before);
        start = strstr(start, ".Bd -literal");
        ck_assert_ptr_nonnull(start);
        start = strchr(start, '\n') + 1;
        end = strstr(start, ".Ed\n");
        ck_assert_ptr_nonnull(end);
        return strndup(start, (size_t)(end - start));
}

static void write_named(const char *folder, const char *name, const char *contents) {
        char path[128];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(contents, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

/* In a folder with the page's files, its commands say what it says. */
START_TEST(examples_of_the_page_are_true) {
        NB_CLEANUP_FREE char *page = read_source("man/netbrokerctl.1");
        NB_CLEANUP_FREE char *policy = example_behind(page, ".Pa acme.conf :"),
                             *explained = example_behind(page, "Why is this denied?"),
                             *expected = example_behind(page, ".Pa expected :"), *written = NULL;
        char folder[] = "/tmp/netbroker-page-XXXXXX";

        ck_assert_ptr_nonnull(mkdtemp(folder));
        write_named(folder, "acme.conf", policy);
        write_named(folder, "expected", expected);
        ck_assert_int_eq(chdir(folder), 0);
        ck_assert_int_eq(CTL_ALONE(&written, "explain", "acme", "web", "connect", "10.20.99.1:5432", "--policy",
                                   "acme.conf"),
                         1);
        ck_assert_str_eq(strchr(explained, '\n') + 1, written);
        EXPECT(NULL, 0, "expectations: 5, failed: 0\n", "test", "expected", "--policy", "acme.conf");
        operator_expect(page, "$ netbrokerctl test expected --policy acme.conf\nexpectations: 5, failed: 0\n");
        ck_assert_int_eq(unlink("acme.conf"), 0);
        ck_assert_int_eq(unlink("expected"), 0);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ctl");
        TCase *tcase = tcase_create("ctl");

        tcase_add_test(tcase, status);
        tcase_add_test(tcase, tenants_sessions_and_connections);
        tcase_add_test(tcase, what_strangers_chose_is_made_safe);
        tcase_add_test(tcase, quotas_and_metrics);
        tcase_add_test(tcase, log_level);
        tcase_add_test(tcase, explain);
        tcase_add_test(tcase, explain_knows_the_sockets_of_the_daemon);
        tcase_add_test(tcase, a_relative_path_is_one_of_a_folder);
        tcase_add_test(tcase, explain_in_json);
        tcase_add_test(tcase, explain_resolves);
        tcase_add_test(tcase, explain_resolves_by_the_daemon);
        tcase_add_test(tcase, test_passes_and_fails);
        tcase_add_loop_test(tcase, test_refuses_a_bad_file, 0, ELEMENTS(bad_expectations));
        tcase_add_test(tcase, check);
        tcase_add_test(tcase, dump);
        tcase_add_test(tcase, keys);
        tcase_add_test(tcase, reload);
        tcase_add_test(tcase, revoke_a_session);
        tcase_add_test(tcase, revoke_a_protocol);
        tcase_add_test(tcase, revoke_a_protocol_of_who_keeps);
        tcase_add_test(tcase, revoke_a_connection_without_a_helper);
        tcase_add_test(tcase, revoke_connections_by_the_helper);
        tcase_add_test(tcase, watch);
        tcase_add_test(tcase, suggest);
        tcase_add_test(tcase, suggest_after_a_section_is_gone);
        tcase_add_test(tcase, suggest_addresses);
        tcase_add_test(tcase, no_record_adds_lines_to_what_is_suggested);
        tcase_add_loop_test(tcase, misused, 0, ELEMENTS(misuses));
        tcase_add_loop_test(tcase, nobody_answers, 0, ELEMENTS(asking));
        tcase_add_test(tcase, commands_are_documented);
        tcase_add_test(tcase, examples_of_the_page_are_true);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
