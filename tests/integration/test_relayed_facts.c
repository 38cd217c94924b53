/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told of relayed connections: to the guest, by functions of module networking_ext; to the operator, by netbrokerctl and by metrics. The
 * peers are openssl's.
 */
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/certificates.h"
#include "tests/support/fake_proxy.h"
#include "tests/support/operator.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"
#include "tests/support/tls_peer.h"

#define NAME_SERVER "api.example.com"

/* An authority, a server for a name and for this machine's address, and one for another name. */
static void make_certificates(struct certificates *certificates) {
        static const struct certificate server = {
                .name = "server",
                .issuer = "root",
                .template = "tls_www_server\ndns_name = \"" NAME_SERVER "\"\nip_address = \"127.0.0.1\"\n",
        };

        certificates_init(certificates);
        certificates_make_authority(certificates, "root", NULL);
        certificates_make(certificates, &server);
        certificates_make_server(certificates, "other", "root", "other.example.com");
}

static const char *text(const json_t *object, const char *key) {
        const char *value = json_string_value(json_object_get(object, key));

        ck_assert_msg(value != NULL, "there is no text \"%s\"", key);
        return value;
}

static long long number(const json_t *object, const char *key) {
        const json_t *value = json_object_get(object, key);

        ck_assert_msg(json_is_integer(value), "there is no number \"%s\"", key);
        return (long long)json_integer_value(value);
}

/* ---- the guest ---- */

/* Runs the guest tls_facts, to its end. @return what it wrote, owned by the caller */
static char *run_guest(const char *policy, const char *const *addresses) {
        const char *run = getenv("NETBROKER_RUN"), *guests = getenv("GUESTS_DIR");
        const char *arguments[8] = { run, "--policy", policy };
        char module[512];
        size_t n = 4;
        PROCESS process;

        ck_assert(run && guests);
        (void)snprintf(module, sizeof(module), "%s/tls_facts.wasm", guests);
        arguments[3] = module;
        for (size_t i = 0; addresses[i]; ++i)
                arguments[n++] = addresses[i];
        process_expect_no_leak_check();
        process_start(&process, arguments);
        ck_assert_msg(process_finish(&process, HARNESS_DEADLINE_MS) == 0, "%s", process.text);
        return strdup(process.text);
}

/* The second connection resumes the session of the first. */
START_TEST(a_guest_is_told) {
        static const char *const versions[] = { "1.3", "1.2" };
        static const char *const further[][4] = { { "-tls1_3", "-alpn", "h2", NULL },
                                                  { "-tls1_2", "-alpn", "h2", NULL } };
        NB_CLEANUP_FREE char *output = NULL;
        struct certificates certificates;
        char policy[1024], path[CERTIFICATES_PATH_MAX], trust[CERTIFICATES_PATH_MAX], address[32], cipher[64];
        char version[8];
        const char *at;
        unsigned resumed[2];
        PROCESS server;
        uint16_t port;

        make_certificates(&certificates);
        port = tls_peer_openssl(&server, &certificates, "server", further[_i]);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)port);
        (void)snprintf(
                policy, sizeof(policy),
                "[Tenant]\nName=test\n[Protocol web]\nFamily=ip\nConnect=%s\nTLS=client\nTLSTrust=%s\nTLSALPN=h2\n",
                address, certificates_path(&certificates, "root.pem", trust));
        certificates_write(&certificates, "policy.conf", policy);
        output = run_guest(certificates_path(&certificates, "policy.conf", path),
                           (const char *[]){ address, address, NULL });
        at = output;
        /* A relay that was built with LeakSanitizer cannot trace itself behind its walls, and the broker says so before. */
        for (int line = 0; line < 2; ++line) {
                at = strstr(at, "'TLS");
                ck_assert_msg(at != NULL, "%s", output);
                ck_assert_msg(sscanf(at, "'TLS%7[0-9.]' '%63[A-Z0-9_]' 'h2' %u", version, cipher, &resumed[line]) == 3,
                              "%s", output);
                ck_assert_str_eq(version, versions[_i]);
                ck_assert_msg(strncmp(cipher, "TLS_", 4) == 0, "%s", cipher);
                operator_expect(at, " " NAME_SERVER " 127.0.0.1\n");
                at = strchr(at, '\n');
        }
        ck_assert_uint_eq(resumed[0], 0);
        ck_assert_uint_eq(resumed[1], 1);
        (void)process_stop(&server);
        certificates_deinit(&certificates);
}
END_TEST

/* ---- the operator ---- */

struct world {
        struct operator_scene operator;
        struct certificates certificates;
        struct process server;
        char address[32];
};

/* @param rules  in addition to those that connect by TLS to `name`'s server */
static void world_start(struct world *world, const char *name, const char *rules) {
        char trust[CERTIFICATES_PATH_MAX], text[1024];
        uint16_t port;

        make_certificates(&world->certificates);
        port = tls_peer_openssl(&world->server, &world->certificates, name, (const char *[]){ "-tls1_3", NULL });
        (void)snprintf(world->address, sizeof(world->address), "127.0.0.1:%u", (unsigned)port);
        (void)snprintf(text, sizeof(text), "Connect=%s\nTLS=client\nTLSTrust=%s\n%s", world->address,
                       certificates_path(&world->certificates, "root.pem", trust), rules);
        operator_start(&world->operator, text, false);
}

static void world_end(struct world *world) {
        operator_end_changed(&world->operator);
        (void)process_stop(&world->server);
        process_deinit(&world->server);
        certificates_deinit(&world->certificates);
}

/* Fails unless the page has this line; waits for it, since what ends is told a moment later. */
static void expect_metric(const struct world *world, const char *line) {
        uint64_t start = harness_now_ms();
        bool found = false;

        while (!found) {
                NB_CLEANUP_FREE char *page = NULL;

                ck_assert_int_eq(CTL(&world->operator, & page, "metrics"), 0);
                found = strstr(page, line) != NULL;
                if (!found)
                        harness_wait_a_moment(start, line);
        }
}

static void expect_connection(const struct world *world) {
        json_t *json = CTL_JSON(&world->operator, "connections"), *row = json_array_get(json, 0);
        const json_t *tls = json_object_get(row, "tls"), *names = json_object_get(tls, "peer_names");

        ck_assert_str_eq(text(row, "path"), "relay");
        ck_assert_int_gt(number(row, "relay"), 1);
        ck_assert(json_is_null(json_object_get(row, "proxy")));
        ck_assert(json_is_null(json_object_get(row, "via")));
        ck_assert_str_eq(text(tls, "version"), "TLS1.3");
        ck_assert_msg(strncmp(text(tls, "cipher"), "TLS_", 4) == 0, "%s", text(tls, "cipher"));
        ck_assert_str_eq(text(tls, "alpn"), "");
        ck_assert(json_is_false(json_object_get(tls, "resumed")));
        ck_assert_uint_eq(json_array_size(names), 2);
        ck_assert_str_eq(json_string_value(json_array_get(names, 0)), NAME_SERVER);
        json_decref(json);
}

static void expect_relay(const struct world *world) {
        json_t *json = CTL_JSON(&world->operator, "relays", "--tenant", "acme"), *row = json_array_get(json, 0);

        ck_assert_uint_eq(json_array_size(json), 1);
        ck_assert_str_eq(text(row, "tenant"), "acme");
        ck_assert_str_eq(text(row, "state"), "ready");
        ck_assert_int_eq(number(row, "links"), 1);
        ck_assert_int_eq(number(row, "crashes"), 0);
        ck_assert_int_gt(number(row, "memory"), 100000);
        ck_assert(json_is_boolean(json_object_get(row, "locked_memory")));
        ck_assert(json_is_boolean(json_object_get(row, "kernel_tls")));
        ck_assert_int_eq(kill((pid_t)number(row, "pid"), 0), 0);
        json_decref(json);
}

START_TEST(the_operator_is_told) {
        static const char request[] = "GET / HTTP/1.0\r\n\r\n";
        NB_CLEANUP_FREE char *table = NULL, *status = NULL;
        char buffer[4096];
        struct wire control;
        struct world world;
        int stream;

        world_start(&world, "server", "");
        control = wire_open_control(world.operator.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, world.address, &stream), 0);
        expect_connection(&world);
        expect_relay(&world);
        ck_assert_int_eq(CTL(&world.operator, & table, "connections"), 0);
        operator_expect(table, "  relay  TLS1.3  -\n");
        ck_assert_int_eq(CTL(&world.operator, & status, "status"), 0);
        operator_expect(status, "relays:      running: 1, links: 1, crashes: 0\n");
        expect_metric(&world, "netbroker_tls_handshakes_total{tenant=\"acme\",role=\"client\",result=\"done\"} 1\n");
        expect_metric(&world, "netbroker_tls_handshake_duration_seconds_count{tenant=\"acme\"} 1\n");
        expect_metric(&world, "netbroker_relays{tenant=\"acme\"} 1\n");
        expect_metric(&world, "netbroker_relayed_links{tenant=\"acme\"} 1\n");

        ck_assert_int_eq(write(stream, request, strlen(request)), (ssize_t)strlen(request));
        while (harness_poll(stream, POLLIN, HARNESS_DEADLINE_MS) && read(stream, buffer, sizeof(buffer)) > 0)
                ;
        (void)nb_fd_close(stream);
        expect_metric(&world, "netbroker_relayed_bytes_total{tenant=\"acme\",direction=\"to_peer\"} 18\n");
        expect_metric(&world, "netbroker_relayed_links_ended_total{tenant=\"acme\",reason=\"closed\"} 1\n");
        expect_metric(&world, "netbroker_relayed_links{tenant=\"acme\"} 0\n");
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

START_TEST(failures_are_counted_by_their_reason) {
        struct wire control;
        struct world world;
        int ignored;

        world_start(&world, "other", "");
        control = wire_open_control(world.operator.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, world.address, &ignored), NB_WASI_EACCES);
        expect_metric(&world, "netbroker_tls_handshakes_total{tenant=\"acme\",role=\"client\",result=\"failed\"} 1\n");
        expect_metric(&world,
                      "netbroker_tls_handshake_failures_total{tenant=\"acme\",reason=\"certificate_name\"} 1\n");
        expect_metric(&world, "netbroker_tls_handshake_duration_seconds_count{tenant=\"acme\"} 0\n");
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

/* A relay that ends is counted, and named with its tenant where it keeps ending. */
START_TEST(crashes_are_counted) {
        struct wire control;
        NB_CLEANUP_FREE char *status = NULL;
        struct world world;
        json_t *relays;
        int stream;

        world_start(&world, "server", "");
        control = wire_open_control(world.operator.scene.web, "0.0.0.0:0");
        for (int i = 1; i <= 2; ++i) {
                char line[96];

                ck_assert_uint_eq(wire_connect_to(&control, world.address, &stream), 0);
                relays = CTL_JSON(&world.operator, "relays");
                ck_assert_int_eq(kill((pid_t)number(json_array_get(relays, 0), "pid"), SIGKILL), 0);
                json_decref(relays);
                (void)snprintf(line, sizeof(line), "netbroker_relay_crashes_total{tenant=\"acme\"} %d\n", i);
                expect_metric(&world, line);
                (void)nb_fd_close(stream);
        }
        ck_assert_int_eq(CTL(&world.operator, & status, "status"), 0);
        operator_expect(status, "relays:      running: 0, links: 0, crashes: 2\n");
        operator_expect(status, "the tenant acme: its relays keep ending, 2 so far");
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

/* ---- proxies ---- */

static void expect_way(const struct operator_scene *operator, const struct fake_proxy * proxy, const char *peer) {
        json_t *json = CTL_JSON(operator, "connections"), *row = json_array_get(json, 0);
        char url[96];

        ck_assert_str_eq(text(row, "path"), "direct"); /* nothing is left to do for the relay */
        ck_assert_str_eq(text(row, "proxy"), fake_proxy_url(proxy, FAKE_PROXY_CONNECT, url));
        ck_assert_str_eq(text(row, "via"), proxy->peer.text);
        ck_assert_str_eq(text(row, "peer"), peer);
        ck_assert(json_is_null(json_object_get(row, "tls")));
        json_decref(json);
}

START_TEST(the_way_through_a_proxy_is_told) {
        static const char refusal[] = "HTTP/1.1 403 Forbidden\r\n\r\n";
        struct fake_proxy proxy;
        struct world world;
        struct wire control;
        char rules[256], url[96];
        int stream;

        fake_proxy_start(&proxy);
        (void)snprintf(rules, sizeof(rules), "Connect=192.0.2.7:80\nProxy=%s\n",
                       fake_proxy_url(&proxy, FAKE_PROXY_CONNECT, url));
        operator_start(&world.operator, rules, false);
        control = wire_open_control(world.operator.scene.web, "0.0.0.0:0");
        wire_send_connect(&control, "192.0.2.7:80");
        fake_proxy_accept(&proxy);
        fake_proxy_expect_request(&proxy, FAKE_PROXY_CONNECT, "192.0.2.7:80", false);
        fake_proxy_agree(&proxy, FAKE_PROXY_CONNECT);
        ck_assert_uint_eq(wire_receive_connected(&control, &stream), 0);
        expect_way(&world.operator, & proxy, "192.0.2.7:80");
        (void)nb_fd_close(stream);
        fake_proxy_hang_up(&proxy);

        wire_send_connect(&control, "192.0.2.7:80");
        fake_proxy_accept(&proxy);
        fake_proxy_expect_request(&proxy, FAKE_PROXY_CONNECT, "192.0.2.7:80", false);
        fake_proxy_send(&proxy, refusal, strlen(refusal));
        ck_assert_uint_eq(wire_receive_connected(&control, &stream), NB_WASI_ECONNREFUSED);
        expect_metric(&world, "netbroker_proxy_failures_total{tenant=\"acme\",reason=\"proxy_refused\"} 1\n");
        expect_metric(&world, "netbroker_tls_handshakes_total{tenant=\"acme\",role=\"client\",result=\"failed\"} 0\n");
        (void)wire_close(&control);
        fake_proxy_stop(&proxy);
        operator_end_changed(&world.operator);
}
END_TEST

/* ---- certificates ---- */

START_TEST(certificates_that_expire_are_named) {
        NB_CLEANUP_FREE char *status = NULL, *table = NULL;
        struct operator_scene operator;
        struct certificates certificates;
        char rules[1024], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX], line[512];
        json_t *json, *row;

        make_certificates(&certificates);
        (void)snprintf(rules, sizeof(rules), "Listen=127.0.0.1:*\nTLS=server\nTLSCertificate=%s %s\n",
                       certificates_path(&certificates, "server.chain", chain),
                       certificates_path(&certificates, "server.key", key));
        operator_start(&operator, rules, false);
        json = CTL_JSON(&operator, "certificates");
        row = json_array_get(json, 0);
        ck_assert_uint_eq(json_array_size(json), 1);
        ck_assert_str_eq(text(row, "tenant"), "acme");
        ck_assert_str_eq(text(row, "protocol"), "web");
        ck_assert_str_eq(text(row, "name"), NAME_SERVER);
        ck_assert_str_eq(text(row, "file"), chain);
        ck_assert_uint_eq(strlen(text(row, "expires")), strlen("2026-12-03T01:00:00.000Z"));
        json_decref(json);
        ck_assert_int_eq(CTL(&operator, & table, "certificates", "--tenant", "acme"), 0);
        operator_expect(table, NAME_SERVER);
        ck_assert_int_eq(CTL(&operator, & status, "status"), 0);
        (void)snprintf(line, sizeof(line), "the certificate for %s of web expires in ", NAME_SERVER);
        operator_expect(status, line);
        free(status);
        ck_assert_int_eq(CTL(&operator, & status, "metrics"), 0);
        (void)snprintf(
                line, sizeof(line),
                "netbroker_certificate_expiry_timestamp_seconds{tenant=\"acme\",protocol=\"web\",name=\"" NAME_SERVER
                "\",file=\"%s\"} 1",
                chain);
        operator_expect(status, line);
        operator_end_changed(&operator);
        certificates_deinit(&certificates);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("relayed_facts");
        TCase *guest = tcase_create("guest"), *operator= tcase_create("operator");

        tcase_add_loop_test(guest, a_guest_is_told, 0, 2);
        tcase_add_test(operator, the_operator_is_told);
        tcase_add_test(operator, failures_are_counted_by_their_reason);
        tcase_add_test(operator, crashes_are_counted);
        tcase_add_test(operator, the_way_through_a_proxy_is_told);
        tcase_add_test(operator, certificates_that_expire_are_named);
        suite_add_tcase(suite, guest);
        suite_add_tcase(suite, operator);
        return run_suite(suite);
}
