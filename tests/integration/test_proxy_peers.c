/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proxies that others wrote: tinyproxy and squid by http:// and https://, dante by socks5://, chains of them; TLS to the destination inside; and
 * PROXY headers from haproxy and to nginx.
 *
 * Each test has a network of its own (a namespace, which needs root), so that these programs have their ports.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"
#include "tests/support/network.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

#define TEXT_MAX 4096
#define PROCESSES_MAX 4

#define TINYPROXY_PORT 8888
#define SQUID_PORT 3128
#define DANTE_PORT 1080
#define NGINX_PORT 8080
#define GUEST_PORT 7100
#define HAPROXY_V1_PORT 7101
#define HAPROXY_V2_PORT 7102
#define HAPROXY_PROXY_PORT 8443
#define HAPROXY_TO_TLS_PORT 7103
#define HAPROXY_TLS_PORT 9443
#define HAPROXY_HEADER_TLS_PORT 9444

#define TINYPROXY "http://127.0.0.1:8888"
#define SQUID "http://127.0.0.1:3128"
#define DANTE "socks5://127.0.0.1:1080"

/* Where nobody listens, and what the proxies' own rules forbid. */
#define NOBODY "127.0.0.1:9999"
#define FORBIDDEN "127.0.0.1:9"

/* Each test is done on both data paths. */
#define N_DATA_PATHS 2
#define DATA_PATH(i) ((i) % 2 == 0 ? "direct" : "relay")

struct world {
        char folder[32];
        struct process processes[PROCESSES_MAX];
        size_t n_processes;
        struct daemon daemon;
        struct wire_session session;
        struct wire control;
        struct peer destination;
};

/* ---- files and programs ---- */

static const char *path_of(const struct world *world, const char *name, char buffer[static HARNESS_PATH_MAX]) {
        (void)snprintf(buffer, HARNESS_PATH_MAX, "%s/%s", world->folder, name);
        return buffer;
}

/* A file of the test's folder, whole. */
__attribute__((format(printf, 3, 4))) static void write_file(const struct world *world, const char *name,
                                                             const char *format, ...) {
        char path[HARNESS_PATH_MAX];
        va_list arguments;
        FILE *file = fopen(path_of(world, name, path), "we");

        ck_assert_ptr_nonnull(file);
        va_start(arguments, format);
        ck_assert_int_ge(vfprintf(file, format, arguments), 0);
        va_end(arguments);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(path, 0644), 0);
}

/* A secret that others could read is none, and refused. */
static void hide(const struct world *world, const char *name) {
        char path[HARNESS_PATH_MAX];

        ck_assert_int_eq(chmod(path_of(world, name, path), 0600), 0);
}

/* A command that must work. */
static void run_command(const char *const *arguments) {
        PROCESS process;

        process_start(&process, arguments);
        ck_assert_msg(process_finish(&process, HARNESS_DEADLINE_MS) == 0, "%s: %s", arguments[0], process.text);
}

#define RUN(...) run_command((const char *const[]){ __VA_ARGS__, NULL })

static bool is_served(unsigned port) {
        NB_CLEANUP_FREE char *text = daemon_read("/proc/self/net/tcp");
        char part[64];

        /* As proc_net_tcp says it: the address, no peer, and LISTEN. */
        (void)snprintf(part, sizeof(part), "0100007F:%04X 00000000:0000 0A", port);
        return strstr(text, part) != NULL;
}

/* Starts a program that runs until the world ends, and waits until it listens on a port. */
static struct process *start_program(struct world *world, unsigned port, const char *const *arguments) {
        struct process *process = &world->processes[world->n_processes];
        uint64_t start = harness_now_ms();

        ck_assert_uint_lt(world->n_processes, PROCESSES_MAX);
        ++world->n_processes;
        process_start(process, arguments);
        while (!is_served(port))
                harness_wait_a_moment(start, arguments[0]);
        return process;
}

#define START(world, port, ...) start_program((world), (port), (const char *const[]){ __VA_ARGS__, NULL })

/* ---- the proxies ---- */

static struct process *start_tinyproxy(struct world *world, bool with_password) {
        char path[HARNESS_PATH_MAX];

        write_file(world, "tinyproxy.conf",
                   "Port %u\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\n%s", TINYPROXY_PORT,
                   with_password ? "BasicAuth ada lovelace\n" : "");
        return START(world, TINYPROXY_PORT, "tinyproxy", "-d", "-c", path_of(world, "tinyproxy.conf", path));
}

/* "lovelace", as openssl-passwd(1ssl) has it for both. */
#define SQUID_USERS "ada:$apr1$netbroke$eVuSMirWQrkcLMoghyxcx/\n"
#define SHADOW                                                                                                         \
        "root:*:19000:0:99999:7:::\n"                                                                                  \
        "nobody:*:19000:0:99999:7:::\n"                                                                                \
        "ada:$6$netbroker$7wAYqkbhLGDGkldx0pN9bY4Ou5uxHe6OYq7eU.8f8Rykpn7dMVwsN/PQ7G4w/buxm/PnxTLTNuFoNzMpsFJ4l1:"     \
        "19000:0:99999:7:::\n"

/* It becomes another user before it opens its logs. */
static void start_squid(struct world *world) {
        char folder[HARNESS_PATH_MAX], path[HARNESS_PATH_MAX];

        ck_assert_int_eq(mkdir(path_of(world, "squid", folder), 0777), 0);
        ck_assert_int_eq(chmod(folder, 0777), 0);
        write_file(world, "squid.users", SQUID_USERS);
        write_file(world, "squid.conf",
                   "http_port 127.0.0.1:%u\n"
                   "auth_param basic program /usr/lib/squid/basic_ncsa_auth %s/squid.users\n"
                   "auth_param basic children 1\n"
                   "acl forbidden port 9\n"
                   "acl known proxy_auth REQUIRED\n"
                   "http_access deny !known\n"
                   "http_access deny forbidden\n"
                   "http_access allow known\n"
                   "cache deny all\n"
                   "cache_mem 0 MB\n"
                   "access_log stdio:%s/access\n"
                   "cache_log %s/log\n"
                   "netdb_filename none\n"
                   "pid_filename none\n"
                   "coredump_dir %s\n"
                   "shutdown_lifetime 0 seconds\n"
                   "visible_hostname proxy.example.com\n",
                   SQUID_PORT, world->folder, folder, folder, folder);
        (void)START(world, SQUID_PORT, "squid", "-N", "-f", path_of(world, "squid.conf", path));
}

static void put_over(const struct world *world, const char *name, const char *path) {
        char source[HARNESS_PATH_MAX];

        ck_assert_msg(mount(path_of(world, name, source), path, NULL, MS_BIND, NULL) == 0, "%s: %s", path,
                      strerror(errno));
}

/* Dante asks the system about users: these are this test's own. */
static void add_users(struct world *world) {
        ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
        ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        write_file(world, "passwd",
                   "root:x:0:0:root:/root:/bin/sh\n"
                   "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
                   "ada:x:4321:65534::/:/usr/sbin/nologin\n");
        write_file(world, "shadow", "%s", SHADOW);
        put_over(world, "passwd", "/etc/passwd");
        put_over(world, "shadow", "/etc/shadow");
}

static struct process *start_dante(struct world *world, bool with_password) {
        char path[HARNESS_PATH_MAX];

        if (with_password)
                add_users(world);
        write_file(world, "danted.conf",
                   "logoutput: stdout\n"
                   "internal: 127.0.0.1 port = %u\n"
                   "external: lo\n"
                   "clientmethod: none\n"
                   "socksmethod: %s\n"
                   "user.privileged: root\n"
                   "user.unprivileged: nobody\n"
                   "client pass {\n from: 0.0.0.0/0 to: 0.0.0.0/0\n}\n"
                   "socks block {\n from: 0.0.0.0/0 to: 0.0.0.0/0 port = 9\n}\n"
                   "socks pass {\n from: 0.0.0.0/0 to: 0.0.0.0/0\n command: connect\n log: connect\n}\n",
                   DANTE_PORT, with_password ? "username" : "none");
        return START(world, DANTE_PORT, "danted", "-f", path_of(world, "danted.conf", path));
}

/* An authority, and a certificate of its for 127.0.0.1 and api.example.com, with its key in one file. */
static void make_certificates(struct world *world) {
        char ca[HARNESS_PATH_MAX], ca_key[HARNESS_PATH_MAX], both[HARNESS_PATH_MAX];

        (void)path_of(world, "ca.pem", ca);
        (void)path_of(world, "ca.key", ca_key);
        (void)path_of(world, "both.pem", both);
        RUN("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "30", "-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", ca_key,
            "-out", ca);
        RUN("openssl", "req", "-x509", "-CA", ca, "-CAkey", ca_key, "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=nobody", "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:api.example.com", "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "extendedKeyUsage=serverAuth", "-keyout", both, "-out", both);
        hide(world, "both.pem");
}

/* TLS in front of tinyproxy and of the destination, where a PROXY header may come before it, and behind one in front of the guest. */
static void write_haproxy_tls(const struct world *world, char *text, size_t size) {
        (void)snprintf(text, size,
                       "listen proxy\n bind 127.0.0.1:%u ssl crt %s/both.pem\n server one 127.0.0.1:%u\n"
                       "listen tls\n bind 127.0.0.1:%u ssl crt %s/both.pem\n server one %s\n"
                       "listen inside\n bind 127.0.0.1:%u accept-proxy ssl crt %s/both.pem\n server one %s send-proxy\n"
                       "listen outside\n bind 127.0.0.1:%u\n"
                       " server one 127.0.0.1:%u send-proxy-v2 ssl verify required ca-file %s/ca.pem sni "
                       "str(api.example.com)\n",
                       HAPROXY_PROXY_PORT, world->folder, TINYPROXY_PORT, HAPROXY_TLS_PORT, world->folder,
                       world->destination.text, HAPROXY_HEADER_TLS_PORT, world->folder, world->destination.text,
                       HAPROXY_TO_TLS_PORT, GUEST_PORT, world->folder);
}

/* PROXY headers in front of the guest, and TLS. */
static void start_haproxy(struct world *world, bool with_tls) {
        char path[HARNESS_PATH_MAX], tls[TEXT_MAX] = "";

        if (with_tls)
                write_haproxy_tls(world, tls, sizeof(tls));
        write_file(world, "haproxy.conf",
                   "defaults\n mode tcp\n timeout connect 20s\n timeout client 20s\n timeout server 20s\n"
                   "listen first\n bind 127.0.0.1:%u\n server one 127.0.0.1:%u send-proxy\n"
                   "%s"
                   "listen second\n bind 127.0.0.1:%u\n server one 127.0.0.1:%u send-proxy-v2\n",
                   HAPROXY_V1_PORT, GUEST_PORT, tls, HAPROXY_V2_PORT, GUEST_PORT);
        (void)START(world, HAPROXY_V2_PORT, "haproxy", "-db", "-f", path_of(world, "haproxy.conf", path));
}

/* Tells who the PROXY header says has connected. */
static void start_nginx(struct world *world) {
        static const char *const paths[] = { "client_body", "proxy", "fastcgi", "uwsgi", "scgi" };
        char path[HARNESS_PATH_MAX], temporary[TEXT_MAX] = "";

        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); ++i) {
                size_t length = strlen(temporary);

                (void)snprintf(temporary + length, sizeof(temporary) - length, "%s_temp_path %s/%s;\n", paths[i],
                               world->folder, paths[i]);
        }
        write_file(world, "nginx.conf",
                   "daemon off;\npid %s/nginx.pid;\nerror_log stderr;\nworker_processes 1;\n"
                   "events { worker_connections 64; }\n"
                   "http {\n access_log off;\n%s"
                   " server { listen 127.0.0.1:%u proxy_protocol;\n"
                   "  location / { return 200 \"from $proxy_protocol_addr:$proxy_protocol_port to "
                   "$proxy_protocol_server_addr:$proxy_protocol_server_port.\\n\"; } }\n}\n",
                   world->folder, temporary, NGINX_PORT);
        (void)START(world, NGINX_PORT, "nginx", "-e", "stderr", "-c", path_of(world, "nginx.conf", path));
}

/* ---- the world ---- */

static void world_prepare(struct world *world) {
        *world = (struct world){ .folder = "/tmp/netbroker-proxy-XXXXXX" };
        network_enter();
        ck_assert_ptr_nonnull(mkdtemp(world->folder));
        /* The proxies are other users. */
        ck_assert_int_eq(chmod(world->folder, 0755), 0);
        world->destination = peer_listen("127.0.0.1", 16);
        write_file(world, "password", "ada:lovelace\n");
        write_file(world, "wrong", "ada:byron\n");
        hide(world, "password");
        hide(world, "wrong");
}

static void world_start(struct world *world, const char *data_path, const char *rules) {
        daemon_init(&world->daemon);
        daemon_write_policy(&world->daemon,
                            "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\n"
                            "[Protocol web]\nFamily=ip\nDataPath=%s\nConnect=127.0.0.0/8:*\nListen=127.0.0.1:*\n%s",
                            (unsigned)getuid(), data_path, rules);
        daemon_start(&world->daemon, NULL);
        wire_session_open(world->daemon.socket_path, "acme", &world->session);
        world->control = wire_open_control(&world->session.protocols[0], "0.0.0.0:0");
}

/* One that asks proxies. @param password  a file of the test's folder; NULL: none */
static void world_start_by(struct world *world, int way, const char *proxies, const char *password) {
        char rules[TEXT_MAX];
        int length = snprintf(rules, sizeof(rules), "Proxy=%s\n", proxies);

        if (password)
                (void)snprintf(rules + length, sizeof(rules) - (size_t)length, "ProxyPassword=%s/%s\n", world->folder,
                               password);
        world_start(world, DATA_PATH(way), rules);
}

static void world_end(struct world *world) {
        peer_expect_nothing(world->destination.fd);
        (void)wire_close(&world->control);
        wire_session_close(&world->session);
        daemon_stop(&world->daemon);
        daemon_deinit(&world->daemon);
        for (size_t i = 0; i < world->n_processes; ++i) {
                (void)process_stop(&world->processes[i]);
                process_deinit(&world->processes[i]);
        }
        peer_close(&world->destination);
        (void)umount("/etc/passwd");
        (void)umount("/etc/shadow");
        RUN("rm", "-rf", world->folder);
}

/* Connects to an address, and has the destination say a word to the guest and back. */
static void expect_connected(struct world *world, const char *address) {
        NB_CLEANUP_FREE char *audit = NULL;
        int fd = -1, other_fd;
        uint32_t error = wire_connect_to(&world->control, address, &fd);

        ck_assert_msg(error == 0, "errno %u; the audit: %s", error, audit = daemon_read(world->daemon.audit_path));
        other_fd = peer_accept(&world->destination);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        peer_expect_end(other_fd);
        (void)nb_fd_close(other_fd);
}

static void expect_failed(struct world *world, const char *address, uint32_t error, const char *reason) {
        int fd = -1;
        uint32_t got = wire_connect_to(&world->control, address, &fd);

        ck_assert_msg(got == error, "errno %u instead of %u", got, error);
        daemon_expect_audit(&world->daemon, "\"verb\":\"connect\"", address, reason);
}

/* ---- proxies of HTTP ---- */

START_TEST(tinyproxy) {
        struct process *proxy;
        struct world world;
        char request[128];

        world_prepare(&world);
        proxy = start_tinyproxy(&world, false);
        world_start_by(&world, _i, TINYPROXY, NULL);
        expect_connected(&world, world.destination.text);
        (void)snprintf(request, sizeof(request), "CONNECT %s HTTP/1.1", world.destination.text);
        process_expect(proxy, request, HARNESS_DEADLINE_MS);
        expect_failed(&world, NOBODY, NB_WASI_EHOSTUNREACH, "500 Unable to connect");
        world_end(&world);
}
END_TEST

START_TEST(tinyproxy_with_a_password) {
        struct world world;

        world_prepare(&world);
        (void)start_tinyproxy(&world, true);
        world_start_by(&world, _i, TINYPROXY, "password");
        expect_connected(&world, world.destination.text);
        world_end(&world);
}
END_TEST

START_TEST(a_wrong_password_or_none) {
        static const char *const proxies[] = { TINYPROXY, SQUID, DANTE };
        static const char *const passwords[] = { NULL, "wrong" };
        struct world world;

        world_prepare(&world);
        if (_i / 2 == 0)
                (void)start_tinyproxy(&world, true);
        else if (_i / 2 == 1)
                start_squid(&world);
        else
                (void)start_dante(&world, true);
        world_start_by(&world, _i, proxies[_i / 2], passwords[_i % 2]);
        expect_failed(&world, world.destination.text, NB_WASI_EACCES, "password");
        world_end(&world);
}
END_TEST

START_TEST(squid) {
        char path[HARNESS_PATH_MAX];
        struct world world;

        world_prepare(&world);
        start_squid(&world);
        world_start_by(&world, _i, SQUID, "password");
        expect_connected(&world, world.destination.text);
        expect_failed(&world, NOBODY, NB_WASI_EHOSTUNREACH, "503 Service Unavailable");
        expect_failed(&world, FORBIDDEN, NB_WASI_ECONNREFUSED, "403 Forbidden");
        NB_CLEANUP_FREE char *log = daemon_read(path_of(&world, "squid/access", path));

        ck_assert_msg(strstr(log, world.destination.text), "%s", log);
        world_end(&world);
}
END_TEST

START_TEST(a_proxy_in_tls) {
        char rules[TEXT_MAX];
        struct world world;

        world_prepare(&world);
        make_certificates(&world);
        (void)start_tinyproxy(&world, true);
        start_haproxy(&world, true);
        (void)snprintf(rules, sizeof(rules), "Proxy=https://127.0.0.1:%u\nProxyPassword=%s/password\n%s%s%s",
                       HAPROXY_PROXY_PORT, world.folder, _i / 2 == 0 ? "ProxyTrust=" : "",
                       _i / 2 == 0 ? world.folder : "", _i / 2 == 0 ? "/ca.pem\n" : "");
        world_start(&world, DATA_PATH(_i), rules);
        if (_i / 2 == 0)
                expect_connected(&world, world.destination.text);
        else /* The system's authorities have not signed it. */
                expect_failed(&world, world.destination.text, NB_WASI_EACCES, "certificate");
        world_end(&world);
}
END_TEST

START_TEST(tls_inside) {
        static const char *const proxies[] = { TINYPROXY, DANTE, "https://127.0.0.1:8443" };
        char rules[TEXT_MAX], address[64];
        struct world world;

        world_prepare(&world);
        make_certificates(&world);
        if (_i / 2 == 1)
                (void)start_dante(&world, false);
        else
                (void)start_tinyproxy(&world, false);
        start_haproxy(&world, true);
        (void)snprintf(rules, sizeof(rules), "Proxy=%s\nTLS=client\nTLSTrust=%s/ca.pem\n", proxies[_i / 2],
                       world.folder);
        if (_i / 2 == 2)
                (void)snprintf(rules + strlen(rules), sizeof(rules) - strlen(rules), "ProxyTrust=%s/ca.pem\n",
                               world.folder);
        world_start(&world, DATA_PATH(_i), rules);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", HAPROXY_TLS_PORT);
        expect_connected(&world, address);
        world_end(&world);
}
END_TEST

/* ---- SOCKS5 ---- */

START_TEST(dante) {
        struct process *proxy;
        struct world world;
        char request[128];

        world_prepare(&world);
        proxy = start_dante(&world, false);
        world_start_by(&world, _i, DANTE, NULL);
        expect_connected(&world, world.destination.text);
        (void)snprintf(request, sizeof(request), " 127.0.0.1.%u", world.destination.address.port);
        process_expect(proxy, "pass(2): tcp/connect", HARNESS_DEADLINE_MS);
        process_expect(proxy, request, HARNESS_DEADLINE_MS);
        expect_failed(&world, NOBODY, NB_WASI_ECONNREFUSED, "connection refused (5)");
        expect_failed(&world, FORBIDDEN, NB_WASI_ECONNREFUSED, "its rules do not allow it (2)");
        world_end(&world);
}
END_TEST

START_TEST(dante_with_a_password) {
        struct process *proxy;
        struct world world;

        world_prepare(&world);
        proxy = start_dante(&world, true);
        world_start_by(&world, _i, DANTE, "password");
        expect_connected(&world, world.destination.text);
        process_expect(proxy, "username%ada@", HARNESS_DEADLINE_MS);
        world_end(&world);
}
END_TEST

/* ---- chains ---- */

START_TEST(two_in_a_row) {
        static const char *const chains[] = { DANTE " " TINYPROXY, TINYPROXY " " DANTE };
        struct process *tinyproxy_process, *dante_process;
        struct world world;
        char text[128];

        world_prepare(&world);
        tinyproxy_process = start_tinyproxy(&world, false);
        dante_process = start_dante(&world, false);
        world_start_by(&world, _i, chains[_i / 2], NULL);
        expect_connected(&world, world.destination.text);
        (void)snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1",
                       _i / 2 == 0 ? world.destination.text : "127.0.0.1:1080");
        process_expect(tinyproxy_process, text, HARNESS_DEADLINE_MS);
        (void)snprintf(text, sizeof(text), " 127.0.0.1.%u",
                       _i / 2 == 0 ? TINYPROXY_PORT : (unsigned)world.destination.address.port);
        process_expect(dante_process, text, HARNESS_DEADLINE_MS);
        world_end(&world);
}
END_TEST

/* ---- PROXY headers ---- */

/* Listens where haproxy connects to, and has somebody connect to haproxy, whom the guest must see. */
static void expect_accepted_behind(struct world *world, unsigned port) {
        char address[64], peer[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        int fd, other_fd;

        (void)wire_close(&world->control);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", GUEST_PORT);
        world->control = wire_open_control(&world->session.protocols[0], address);
        ck_assert_uint_eq(wire_listen(&world->control, 4, NULL), 0);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        other_fd = peer_connect_from("127.0.0.5", address);
        ck_assert_int_ge(other_fd, 0);
        fd = wire_receive_accepted_named(&world->control, 1, peer, local);
        ck_assert_msg(strncmp(peer, "127.0.0.5:", 10) == 0, "%s", peer);
        peer_exchange(fd, other_fd);
        daemon_expect_audit(&world->daemon, "\"verb\":\"accept\"", peer, "\"via\":\"127.0.0.1:");
        (void)nb_fd_close(fd);
        peer_expect_end(other_fd);
        (void)nb_fd_close(other_fd);
}

START_TEST(haproxy_in_front_of_a_guest) {
        static const unsigned ports[] = { HAPROXY_V1_PORT, HAPROXY_V2_PORT };
        struct world world;

        world_prepare(&world);
        start_haproxy(&world, false);
        world_start(&world, DATA_PATH(_i), "AcceptProxyHeader=127.0.0.1/32\n");
        expect_accepted_behind(&world, ports[_i / 2]);
        world_end(&world);
}
END_TEST

/* The header comes in front of the client's first TLS record. */
START_TEST(haproxy_in_front_of_a_guest_with_tls) {
        char rules[TEXT_MAX];
        struct world world;

        world_prepare(&world);
        make_certificates(&world);
        start_haproxy(&world, true);
        (void)snprintf(rules, sizeof(rules), "AcceptProxyHeader=127.0.0.1/32\nTLS=server\nTLSCertificate=%s/both.pem\n",
                       world.folder);
        world_start(&world, DATA_PATH(_i), rules);
        expect_accepted_behind(&world, HAPROXY_TO_TLS_PORT);
        world_end(&world);
}
END_TEST

/* And ours comes in front of our own; haproxy tells the destination what it said. */
START_TEST(haproxy_behind_a_guest_with_tls) {
        char rules[TEXT_MAX], address[64], header[128] = "";
        struct world world;
        int fd = -1, other_fd;

        world_prepare(&world);
        make_certificates(&world);
        start_haproxy(&world, true);
        (void)snprintf(rules, sizeof(rules), "SendProxyHeader=v%d\nTLS=client\nTLSTrust=%s/ca.pem\n", _i / 2 + 1,
                       world.folder);
        world_start(&world, DATA_PATH(_i), rules);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", HAPROXY_HEADER_TLS_PORT);
        ck_assert_uint_eq(wire_connect_to(&world.control, address, &fd), 0);
        other_fd = peer_accept(&world.destination);
        for (size_t length = 0; !strchr(header, '\n'); ++length) {
                ck_assert_uint_lt(length + 1, sizeof(header));
                ck_assert_int_eq(recv(other_fd, header + length, 1, 0), 1);
        }
        (void)snprintf(rules, sizeof(rules), " %u\r\n", HAPROXY_HEADER_TLS_PORT);
        ck_assert_msg(strncmp(header, "PROXY TCP4 127.0.0.1 127.0.0.1 ", 31) == 0 && strstr(header, rules), "%s",
                      header);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        world_end(&world);
}
END_TEST

START_TEST(nginx_behind_a_guest) {
        static const char request[] = "GET / HTTP/1.0\r\n\r\n";
        char rules[64], address[64], answer[TEXT_MAX] = "";
        struct world world;
        int fd = -1;

        world_prepare(&world);
        start_nginx(&world);
        (void)snprintf(rules, sizeof(rules), "SendProxyHeader=v%d\n", _i / 2 + 1);
        world_start(&world, DATA_PATH(_i), rules);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", NGINX_PORT);
        ck_assert_uint_eq(wire_connect_to(&world.control, address, &fd), 0);
        ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
        for (size_t length = 0; !strstr(answer, ".\n"); length = strlen(answer)) {
                ssize_t n;

                ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
                n = recv(fd, answer + length, sizeof(answer) - 1 - length, 0);
                ck_assert_msg(n > 0, "%s", answer);
                answer[length + (size_t)n] = '\0';
        }
        (void)snprintf(rules, sizeof(rules), " to 127.0.0.1:%u.", NGINX_PORT);
        ck_assert_msg(strstr(answer, "200 OK") && strstr(answer, "from 127.0.0.1:") && strstr(answer, rules), "%s",
                      answer);
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("proxy_peers");
        TCase *tcase = tcase_create("proxy_peers");

        suite_add_tcase(suite, tcase);
        if (geteuid() != 0) {
                fprintf(stderr, "not tested: proxies that others wrote: that needs root\n");
                return suite;
        }
        tcase_add_loop_test(tcase, tinyproxy, 0, N_DATA_PATHS);
        tcase_add_loop_test(tcase, tinyproxy_with_a_password, 0, N_DATA_PATHS);
        tcase_add_loop_test(tcase, a_wrong_password_or_none, 0, 3 * 2);
        tcase_add_loop_test(tcase, squid, 0, N_DATA_PATHS);
        tcase_add_loop_test(tcase, a_proxy_in_tls, 0, N_DATA_PATHS * 2);
        tcase_add_loop_test(tcase, tls_inside, 0, N_DATA_PATHS * 3);
        tcase_add_loop_test(tcase, dante, 0, N_DATA_PATHS);
        tcase_add_loop_test(tcase, dante_with_a_password, 0, N_DATA_PATHS);
        tcase_add_loop_test(tcase, two_in_a_row, 0, N_DATA_PATHS * 2);
        tcase_add_loop_test(tcase, haproxy_in_front_of_a_guest, 0, N_DATA_PATHS * 2);
        tcase_add_loop_test(tcase, haproxy_in_front_of_a_guest_with_tls, 0, N_DATA_PATHS);
        tcase_add_loop_test(tcase, haproxy_behind_a_guest_with_tls, 0, N_DATA_PATHS * 2);
        tcase_add_loop_test(tcase, nginx_behind_a_guest, 0, N_DATA_PATHS * 2);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
