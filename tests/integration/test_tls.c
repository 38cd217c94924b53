/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as guests and peers see it: the real broker and its relay, with peers that nobody here wrote.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/certificates.h"
#include "tests/support/harness.h"
#include "tests/support/network.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/tls_peer.h"
#include "tests/support/wire.h"

#define MUCH ((size_t)4 * 1024 * 1024)

static struct certificates certificates;

static void make_certificates(void) {
        static const struct certificate local = {
                .name = "local",
                .issuer = "middle",
                .template = "dns_name = \"api.example.com\"\nip_address = \"127.0.0.1\"\nsigning_key\ntls_www_server\n",
        };

        certificates_init(&certificates);
        certificates_make_authority(&certificates, "root", NULL);
        certificates_make_authority(&certificates, "middle", "root");
        certificates_make(&certificates, &local);
        certificates_make_server(&certificates, "elsewhere", "middle", "www.example.org");
        certificates_make_client(&certificates, "worker", "middle", "worker-7.example.net");
        certificates_make_client(&certificates, "intruder", "middle", "intruder.example.org");
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

/* ---- a daemon with one tenant ---- */

struct world {
        struct daemon daemon;
        struct wire_session session;
        struct wire *web;
        unsigned baseline;
};

/* "@" in the rules is the folder of the certificates. */
static void write_policy(const struct world *world, const char *rules) {
        char text[2048];
        size_t n = 0;

        for (const char *c = rules; *c && n < sizeof(text) - sizeof(certificates.folder); ++c)
                if (*c == '@')
                        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", certificates.folder);
                else
                        text[n++] = *c;
        text[n] = '\0';
        daemon_write_policy(
                &world->daemon,
                "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\n[Protocol web]\nFamily=ip\nDataPath=relay\n"
                "Connect=127.0.0.1:*\nListen=127.0.0.1:*\n%s",
                (unsigned)getuid(), text);
}

static void world_start(struct world *world, const char *rules) {
        daemon_init(&world->daemon);
        write_policy(world, rules);
        daemon_start(&world->daemon, NULL);
        wire_session_open(world->daemon.socket_path, "acme", &world->session);
        world->web = &world->session.protocols[0];
        wire_settle(world->web);
}

static void world_end(struct world *world) {
        wire_session_close(&world->session);
        daemon_stop(&world->daemon);
        daemon_deinit(&world->daemon);
}

/* @return the guest's end, owned by the caller */
static int connect_guest(struct world *world, uint16_t port) {
        struct wire control = wire_open_control(world->web, "0.0.0.0:0");
        char address[32];
        int fd;

        snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), 0);
        (void)wire_close(&control);
        return fd;
}

static void expect_refused(struct world *world, uint16_t port, uint32_t error) {
        struct wire control = wire_open_control(world->web, "0.0.0.0:0");
        char address[32];
        int fd;

        snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), error);
        (void)wire_close(&control);
}

/* As read(2), when there is something. */
static ssize_t read_some(int fd, void *buffer, size_t size) {
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        return read(fd, buffer, size);
}

/* All up to the end, which must be a clean one. @return owned by the caller */
static char *read_all(int fd) {
        char *text = calloc(1, 65536);
        size_t length = 0;
        ssize_t n;

        ck_assert_ptr_nonnull(text);
        while ((n = read_some(fd, text + length, 65535 - length)) > 0)
                length += (size_t)n;
        ck_assert_msg(n == 0, "%s after %zu bytes", strerror(errno), length);
        return text;
}

static void expect_text(int fd, const char *text) {
        char buffer[128] = "";
        size_t n = 0;

        while (n < strlen(text)) {
                ssize_t r = read_some(fd, buffer + n, strlen(text) - n);

                ck_assert_msg(r > 0, "%s", r < 0 ? strerror(errno) : "an end");
                n += (size_t)r;
        }
        ck_assert_str_eq(buffer, text);
}

static void expect_page(struct world *world, uint16_t port, const char *const *texts) {
        NB_CLEANUP_FREE char *page = NULL;
        int fd = connect_guest(world, port);

        ck_assert_int_eq(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
        page = read_all(fd);
        for (; *texts; ++texts)
                ck_assert_msg(strstr(page, *texts), "no %s in:\n%s", *texts, page);
        (void)nb_fd_close(fd);
}

#define EXPECT_PAGE(world, port, ...) expect_page((world), (port), (const char *const[]){ __VA_ARGS__, NULL })

/* ---- clients ---- */

#define CLIENT "TLS=client\nTLSTrust=@/root.pem\n"

START_TEST(a_guest_without_tls_reads_a_page_of_openssls) {
        struct world world;
        PROCESS server;
        uint16_t port = tls_peer_openssl(&server, &certificates, "local", NULL);

        world_start(&world, CLIENT);
        EXPECT_PAGE(&world, port, "New, TLSv1.3", "TLS_AES_128_GCM_SHA256");
        /* Both sides say that it was resumed. */
        EXPECT_PAGE(&world, port, "Reused, TLSv1.3");
        (void)process_stop(&server);
        world_end(&world);
}
END_TEST

START_TEST(tls_1_2_and_its_resumption) {
        static const char *const tls12[] = { "-tls1_2", NULL };
        struct world world;
        PROCESS server;
        uint16_t port = tls_peer_openssl(&server, &certificates, "local", tls12);

        world_start(&world, CLIENT);
        EXPECT_PAGE(&world, port, "New, TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256");
        EXPECT_PAGE(&world, port, "Reused, TLSv1.2");
        (void)process_stop(&server);
        world_end(&world);
}
END_TEST

START_TEST(a_clients_certificate_is_shown_to_who_asks_for_it) {
        char root[CERTIFICATES_PATH_MAX];
        const char *const strict[] = {
                "-Verify", "4", "-verify_return_error", "-CAfile", certificates_path(&certificates, "root.pem", root),
                NULL
        };
        struct world world;
        PROCESS server;
        uint16_t port = tls_peer_openssl(&server, &certificates, "local", strict);

        world_start(&world, CLIENT "TLSClientCertificate=@/worker.chain @/worker.key\n");
        EXPECT_PAGE(&world, port, "DNS:worker-7.example.net");
        (void)process_stop(&server);
        world_end(&world);
}
END_TEST

START_TEST(abuse_41_a_certificate_for_another_is_refused_and_the_audit_says_why) {
        struct world world;
        PROCESS server;
        uint16_t port = tls_peer_openssl(&server, &certificates, "elsewhere", NULL);

        world_start(&world, CLIENT);
        expect_refused(&world, port, NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "is not for 127.0.0.1, but for www.example.org");
        (void)process_stop(&server);
        world_end(&world);
}
END_TEST

START_TEST(abuse_41_an_unknown_authority_is_refused) {
        struct world world;
        PROCESS server;
        uint16_t port = tls_peer_openssl(&server, &certificates, "local", NULL);

        world_start(&world, "TLS=client\n");
        expect_refused(&world, port, NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "leads to an authority that is not trusted");
        (void)process_stop(&server);
        world_end(&world);
}
END_TEST

START_TEST(abuse_41_tls_1_1_is_refused) {
        static const char *const old[] = { "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", NULL };
        struct world world;
        PROCESS server;
        uint16_t port = tls_peer_openssl(&server, &certificates, "local", old);

        world_start(&world, CLIENT);
        expect_refused(&world, port, NB_WASI_EPROTO);
        (void)process_stop(&server);
        world_end(&world);
}
END_TEST

START_TEST(abuse_42_a_peer_that_ends_without_close_notify) {
        static const char *const lines[] = { "-rev", NULL };
        struct world world;
        PROCESS server;
        uint16_t port = tls_peer_openssl(&server, &certificates, "local", lines);
        char byte;
        int fd;

        world_start(&world, CLIENT);
        fd = connect_guest(&world, port);
        ck_assert_int_eq(write(fd, "abc\n", 4), 4);
        expect_text(fd, "cba\n");
        ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
        (void)process_finish(&server, HARNESS_DEADLINE_MS);
        ck_assert_int_eq(read_some(fd, &byte, 1), -1);
        ck_assert_int_eq(errno, ECONNRESET);
        (void)nb_fd_close(fd);
        world_end(&world);
}
END_TEST

/* ---- bytes ---- */

static void fill(uint8_t *bytes, size_t size, uint32_t seed) {
        for (size_t i = 0; i < size; ++i)
                bytes[i] = (uint8_t)((i + seed) * 2654435761u >> 13);
}

/* What one end of an exchange has to say, and what it hears. */
struct end {
        int fd;
        uint8_t *said;
        uint8_t *heard;
        size_t n_said;
        size_t n_heard;
};

static void end_init(struct end *end, int fd, uint32_t seed) {
        *end = (struct end){ .fd = fd, .said = malloc(MUCH), .heard = calloc(1, MUCH) };
        ck_assert(end->said && end->heard);
        ck_assert_int_eq(nb_fd_prepare(fd), 0);
        fill(end->said, MUCH, seed);
}

static void end_deinit(struct end *end) {
        free(end->said);
        free(end->heard);
        (void)nb_fd_close(end->fd);
}

static void end_turn(struct end *end) {
        ssize_t n = end->n_said < MUCH ? send(end->fd, end->said + end->n_said, MUCH - end->n_said, MSG_NOSIGNAL) : 0;

        ck_assert_msg(n >= 0 || errno == EAGAIN, "writing: %s", strerror(errno));
        end->n_said += n > 0 ? (size_t)n : 0;
        n = end->n_heard < MUCH ? recv(end->fd, end->heard + end->n_heard, MUCH - end->n_heard, 0) : 0;
        ck_assert_msg(n >= 0 || errno == EAGAIN, "reading: %s", strerror(errno));
        end->n_heard += n > 0 ? (size_t)n : 0;
}

static bool end_is_done(const struct end *end) {
        return end->n_said == MUCH && end->n_heard == MUCH;
}

static short end_events(const struct end *end) {
        return (short)((end->n_said < MUCH ? POLLOUT : 0) | (end->n_heard < MUCH ? POLLIN : 0));
}

/* Much in both directions at once, each byte checked; then each direction ends by itself. */
static void exchange(int guest_fd, int peer_fd, bool half_close) {
        struct end guest;
        struct end peer;
        char byte;

        end_init(&guest, guest_fd, 1);
        end_init(&peer, peer_fd, 7);
        while (!end_is_done(&guest) || !end_is_done(&peer)) {
                struct pollfd fds[] = { { guest.fd, end_events(&guest), 0 }, { peer.fd, end_events(&peer), 0 } };

                ck_assert_int_gt(poll(fds, 2, HARNESS_DEADLINE_MS), 0);
                end_turn(&guest);
                end_turn(&peer);
        }
        ck_assert_mem_eq(guest.heard, peer.said, MUCH);
        ck_assert_mem_eq(peer.heard, guest.said, MUCH);
        if (half_close) {
                ck_assert_int_eq(shutdown(guest.fd, SHUT_WR), 0);
                ck_assert_int_eq(read_some(peer.fd, &byte, 1), 0);
                ck_assert_int_eq(write(peer.fd, "still here", 10), 10);
                expect_text(guest.fd, "still here");
                ck_assert_int_eq(shutdown(peer.fd, SHUT_WR), 0);
                ck_assert_int_eq(read_some(guest.fd, &byte, 1), 0);
        }
        end_deinit(&guest);
        end_deinit(&peer);
}

/* stunnel serves TLS to the relay, and is plain towards the test. */
START_TEST(much_to_and_from_stunnel_as_a_server) {
        struct world world;
        PROCESS stunnel;
        uint16_t tls_port;
        uint16_t plain_port;
        int tls_listener = tls_peer_listen(&tls_port);
        int plain_listener = tls_peer_listen(&plain_port);
        struct wire control;
        char options[512];
        char address[32];
        int fd;

        world_start(&world, CLIENT);
        control = wire_open_control(world.web, "0.0.0.0:0");
        snprintf(address, sizeof(address), "127.0.0.1:%u", tls_port);
        wire_send_connect(&control, address);
        snprintf(options, sizeof(options), "connect = 127.0.0.1:%u\ncert = %s/local.chain\nkey = %s/local.key\n",
                 plain_port, certificates.folder, certificates.folder);
        tls_peer_stunnel(&stunnel, &certificates, tls_peer_accept(tls_listener), options);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), 0);
        exchange(fd, tls_peer_accept(plain_listener), true);
        (void)process_finish(&stunnel, HARNESS_DEADLINE_MS);
        (void)wire_close(&control);
        (void)nb_fd_close(tls_listener);
        (void)nb_fd_close(plain_listener);
        world_end(&world);
}
END_TEST

/* A daemon's own port, on which it listens at some time. */
static void wait_for(uint16_t port) {
        (void)nb_fd_close(tls_peer_connect_when_ready(port));
}

/* Between us and the program that is told of it, nobody else may take it: in a network of its own there is nobody. */
static uint16_t free_port(void) {
        if (geteuid() == 0)
                network_enter();
        return tls_peer_free_port();
}

START_TEST(gnutls_serv_echoes) {
        char chain[CERTIFICATES_PATH_MAX];
        char key[CERTIFICATES_PATH_MAX];
        char port_text[16];
        uint16_t port = free_port();
        struct world world;
        PROCESS server;
        int fd;

        snprintf(port_text, sizeof(port_text), "%u", port);
        PROCESS_START(&server, "gnutls-serv", "--echo", "--quiet", "--port", port_text, "--x509certfile",
                      certificates_path(&certificates, "local.chain", chain), "--x509keyfile",
                      certificates_path(&certificates, "local.key", key));
        wait_for(port);
        world_start(&world, CLIENT);
        fd = connect_guest(&world, port);
        ck_assert_int_eq(write(fd, "hello\n", 6), 6);
        expect_text(fd, "hello\n");
        ck_assert_int_eq(write(fd, "again\n", 6), 6);
        expect_text(fd, "again\n");
        (void)nb_fd_close(fd);
        world_end(&world);
        ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
        (void)process_finish(&server, HARNESS_DEADLINE_MS);
}
END_TEST

#define NGINX                                                                                                          \
        "daemon off;\nmaster_process off;\nuser root;\npid %1$s/nginx.pid;\nerror_log stderr;\nevents { }\n"           \
        "http {\n"                                                                                                     \
        "access_log off;\nclient_body_temp_path %1$s/t1;\nproxy_temp_path %1$s/t2;\n"                                  \
        "fastcgi_temp_path %1$s/t3;\nuwsgi_temp_path %1$s/t4;\nscgi_temp_path %1$s/t5;\n"                              \
        "server {\nlisten 127.0.0.1:%2$u ssl;\nroot %1$s;\n"                                                           \
        "ssl_certificate %1$s/local.chain;\nssl_certificate_key %1$s/local.key;\n}\n}\n"

START_TEST(a_file_of_nginx_comes_whole) {
        char text[2048];
        char path[CERTIFICATES_PATH_MAX];
        uint16_t port = free_port();
        NB_CLEANUP_FREE char *file = malloc(MUCH + 1);
        NB_CLEANUP_FREE char *got = calloc(1, MUCH + 4096);
        const char *body;
        struct world world;
        PROCESS nginx;
        size_t length = 0;
        ssize_t n;
        int fd;

        ck_assert(file && got);
        for (size_t i = 0; i < MUCH; ++i)
                file[i] = (char)('a' + i * 2654435761u % 26);
        file[MUCH] = '\0';
        certificates_write(&certificates, "file", file);
        snprintf(text, sizeof(text), NGINX, certificates.folder, port);
        certificates_write(&certificates, "nginx.conf", text);
        ck_assert_int_eq(chmod(certificates.folder, 0755), 0);
        PROCESS_START(&nginx, "/usr/sbin/nginx", "-c", certificates_path(&certificates, "nginx.conf", path), "-e",
                      "stderr");
        wait_for(port);
        world_start(&world, CLIENT "TLSALPN=http/1.1\n");
        fd = connect_guest(&world, port);
        ck_assert_int_eq(write(fd, "GET /file HTTP/1.0\r\n\r\n", 22), 22);
        while ((n = read_some(fd, got + length, MUCH + 4095 - length)) > 0)
                length += (size_t)n;
        ck_assert_int_eq(n, 0);
        body = strstr(got, "\r\n\r\n");
        ck_assert_msg(body && length - (size_t)(body + 4 - got) == MUCH, "%.300s", got);
        ck_assert_mem_eq(body + 4, file, MUCH);
        (void)nb_fd_close(fd);
        world_end(&world);
        (void)process_stop(&nginx);
}
END_TEST

/* ---- servers ---- */

#define SERVER "TLS=server\nTLSCertificate=@/local.chain @/local.key\n"

static struct wire listen_guest(struct world *world, uint16_t *ret_port) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire control;

        ck_assert_uint_eq(wire_open(world->web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        *ret_port = peer_port(address);
        return control;
}

START_TEST(much_to_and_from_stunnel_as_a_client) {
        struct world world;
        struct wire control;
        PROCESS stunnel;
        uint16_t port;
        char options[512];
        int fds[2];

        world_start(&world, SERVER);
        control = listen_guest(&world, &port);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        snprintf(options, sizeof(options),
                 "client = yes\nconnect = 127.0.0.1:%u\nCAfile = %s/root.pem\nverifyChain = yes\ncheckHost = "
                 "api.example.com\n",
                 port, certificates.folder);
        tls_peer_stunnel(&stunnel, &certificates, fds[0], options);
        exchange(wire_receive_accepted(&control, 1), fds[1], true);
        (void)process_finish(&stunnel, HARNESS_DEADLINE_MS);
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

/* Runs a client to its end, with further arguments. @return its exit status */
static int run_client(struct process *client, uint16_t port, const char *const *further) {
        char root[CERTIFICATES_PATH_MAX];
        char address[32];
        const char *arguments[32] = { "openssl",
                                      "s_client",
                                      "-connect",
                                      address,
                                      "-verify_return_error",
                                      "-CAfile",
                                      certificates_path(&certificates, "root.pem", root) };
        size_t n = 7;

        snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        for (size_t i = 0; further && further[i] && n < 31; ++i)
                arguments[n++] = further[i];
        process_start(client, arguments);
        return process_finish(client, HARNESS_DEADLINE_MS);
}

#define RUN_CLIENT(client, port, ...) run_client((client), (port), (const char *const[]){ __VA_ARGS__, NULL })

static void expect_shown(uint16_t port, const char *server_name, const char *dns_name) {
        PROCESS client;

        ck_assert_msg(RUN_CLIENT(&client, port, "-servername", server_name, "-verify_hostname", dns_name) == 0, "%s",
                      client.text);
        ck_assert_ptr_nonnull(strstr(client.text, "Verification: OK"));
}

START_TEST(openssl_verifies_what_it_is_shown) {
        struct world world;
        struct wire control;
        uint16_t port;

        world_start(&world, SERVER "TLSCertificate=@/elsewhere.chain @/elsewhere.key\n");
        control = listen_guest(&world, &port);
        expect_shown(port, "api.example.com", "api.example.com");
        expect_shown(port, "www.example.org", "www.example.org");
        expect_shown(port, "unheard.of.example", "api.example.com");
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

/* A new certificate is there with the next handshake, and no process was started again. */
START_TEST(a_certificate_is_renewed_by_a_reload) {
        struct world world;
        struct wire control;
        uint16_t port;

        world_start(&world, SERVER);
        control = listen_guest(&world, &port);
        expect_shown(port, "api.example.com", "api.example.com");
        write_policy(&world, "TLS=server\nTLSCertificate=@/elsewhere.chain @/elsewhere.key\n");
        daemon_reload(&world.daemon);
        expect_shown(port, "api.example.com", "www.example.org");
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

START_TEST(a_server_is_resumed_by_openssl) {
        char ticket[CERTIFICATES_PATH_MAX];
        struct world world;
        struct wire control;
        PROCESS first;
        PROCESS second;
        uint16_t port;

        world_start(&world, SERVER);
        control = listen_guest(&world, &port);
        certificates_path(&certificates, "ticket", ticket);
        ck_assert_int_eq(RUN_CLIENT(&first, port, "-tls1_2", "-sess_out", ticket), 0);
        ck_assert_ptr_nonnull(strstr(first.text, "New, TLSv1.2"));
        ck_assert_int_eq(RUN_CLIENT(&second, port, "-tls1_2", "-sess_in", ticket), 0);
        ck_assert_ptr_nonnull(strstr(second.text, "Reused, TLSv1.2"));
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

#define STRICT SERVER "TLSTrust=@/root.pem\nTLSClientAuth=require\nTLSClientNames=*.example.net\n"

START_TEST(abuse_41_clients_show_who_they_are_or_never_get_to_the_guest) {
        char chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];
        struct world world;
        struct wire control;
        PROCESS none;
        PROCESS wrong;
        PROCESS good;
        uint16_t port;
        int fd;

        world_start(&world, STRICT);
        control = listen_guest(&world, &port);
        (void)RUN_CLIENT(&none, port, "-tls1_2");
        daemon_expect_audit(&world.daemon, "shows no certificate");
        (void)RUN_CLIENT(&wrong, port, "-tls1_2", "-cert", certificates_path(&certificates, "intruder.chain", chain),
                         "-key", certificates_path(&certificates, "intruder.key", key), "-cert_chain", chain);
        daemon_expect_audit(&world.daemon, "certificate is for intruder.example.org");
        wire_expect_silence(&control);
        ck_assert_int_eq(RUN_CLIENT(&good, port, "-tls1_2", "-cert",
                                    certificates_path(&certificates, "worker.chain", chain), "-key",
                                    certificates_path(&certificates, "worker.key", key), "-cert_chain", chain),
                         0);
        fd = wire_receive_accepted(&control, 1);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

START_TEST(abuse_41_an_alpn_that_is_not_the_policys) {
        struct world world;
        struct wire control;
        PROCESS other;
        PROCESS same;
        uint16_t port;

        world_start(&world, SERVER "TLSALPN=h2 http/1.1\n");
        control = listen_guest(&world, &port);
        ck_assert_int_ne(RUN_CLIENT(&other, port, "-alpn", "imap"), 0);
        ck_assert_ptr_nonnull(strstr(other.text, "no application protocol"));
        ck_assert_int_eq(RUN_CLIENT(&same, port, "-alpn", "http/1.1,h2"), 0);
        ck_assert_ptr_nonnull(strstr(same.text, "ALPN protocol: h2"));
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

START_TEST(abuse_41_old_clients_are_refused) {
        struct world world;
        struct wire control;
        PROCESS old;
        uint16_t port;

        world_start(&world, SERVER);
        control = listen_guest(&world, &port);
        ck_assert_int_ne(RUN_CLIENT(&old, port, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), 0);
        ck_assert_ptr_nonnull(strstr(old.text, "alert protocol version"));
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("tls");
        TCase *clients = tcase_create("clients");
        TCase *bytes = tcase_create("bytes");
        TCase *servers = tcase_create("servers");

        tcase_add_unchecked_fixture(clients, make_certificates, remove_certificates);
        tcase_add_test(clients, a_guest_without_tls_reads_a_page_of_openssls);
        tcase_add_test(clients, tls_1_2_and_its_resumption);
        tcase_add_test(clients, a_clients_certificate_is_shown_to_who_asks_for_it);
        tcase_add_test(clients, abuse_41_a_certificate_for_another_is_refused_and_the_audit_says_why);
        tcase_add_test(clients, abuse_41_an_unknown_authority_is_refused);
        tcase_add_test(clients, abuse_41_tls_1_1_is_refused);
        tcase_add_test(clients, abuse_42_a_peer_that_ends_without_close_notify);
        suite_add_tcase(suite, clients);

        tcase_add_unchecked_fixture(bytes, make_certificates, remove_certificates);
        tcase_add_test(bytes, much_to_and_from_stunnel_as_a_server);
        tcase_add_test(bytes, much_to_and_from_stunnel_as_a_client);
        tcase_add_test(bytes, gnutls_serv_echoes);
        tcase_add_test(bytes, a_file_of_nginx_comes_whole);
        suite_add_tcase(suite, bytes);

        tcase_add_unchecked_fixture(servers, make_certificates, remove_certificates);
        tcase_add_test(servers, openssl_verifies_what_it_is_shown);
        tcase_add_test(servers, a_certificate_is_renewed_by_a_reload);
        tcase_add_test(servers, a_server_is_resumed_by_openssl);
        tcase_add_test(servers, abuse_41_clients_show_who_they_are_or_never_get_to_the_guest);
        tcase_add_test(servers, abuse_41_an_alpn_that_is_not_the_policys);
        tcase_add_test(servers, abuse_41_old_clients_are_refused);
        suite_add_tcase(suite, servers);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
