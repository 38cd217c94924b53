/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/world.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/seen.h"
#include "policy/pin.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define POLICY                                                                                                         \
        "[Tenant]\nName=acme\nUser=%u\nShard=1\nResolvers=%s\nTokenKey=%s\n"                                           \
        "[Protocol direct]\nFamily=ip\nDataPath=direct\nSocketTypes=stream dgram\n"                                    \
        "Connect=127.0.0.0/8:*\nListen=127.0.0.1:*\nConnect=*.example.com:*\nAddresses=local\n"                        \
        "[Protocol relayed]\nFamily=ip\nDataPath=relay\nSocketTypes=stream dgram\n"                                    \
        "Connect=127.0.0.0/8:*\nListen=127.0.0.1:*\n"                                                                  \
        "[Protocol local]\nFamily=unix\nDataPath=direct\n"                                                             \
        "Connect=@nb-faults-*\nListen=@nb-faults-*\n"                                                                  \
        "[Protocol messages]\nFamily=unix\nDataPath=relay\nSocketTypes=dgram\nConnect=@nb-faults-*\n%s"

/* With trust, chain, key, and the three again. */
#define SECURE                                                                                                         \
        "[Protocol tls]\nFamily=ip\nTLS=client\nTLSTrust=%s\nConnect=127.0.0.0/8:*\n"                                  \
        "[Protocol served]\nFamily=ip\nTLS=server\nTLSCertificate=%s %s\nListen=127.0.0.1:*\n"                         \
        "[Protocol quic]\nFamily=quic\nTLSALPN=nb-test\nTLSTrust=%s\nTLSCertificate=%s %s\n"                           \
        "Connect=127.0.0.0/8:*\nListen=127.0.0.1:*\n"                                                                  \
        "[Protocol proxied]\nFamily=ip\nDataPath=direct\nProxy=socks5://%s\nConnect=192.0.2.0/24:*\n"

const char *program_name(enum program program) {
        static const char *const names[N_PROGRAMS] = { "broker", "relay", "keeper" };

        return names[program];
}

void lower(struct lowered *lowered, pid_t pid, rlim_t max) {
        struct rlimit new;

        ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, NULL, &lowered->old), 0);
        new = (struct rlimit){ .rlim_cur = max, .rlim_max = lowered->old.rlim_max };
        ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, &new, NULL), 0);
        lowered->pid = pid;
}

void lift(struct lowered *lowered) {
        if (lowered->pid != 0)
                ck_assert_int_eq(prlimit(lowered->pid, RLIMIT_NOFILE, &lowered->old, NULL), 0);
        lowered->pid = 0;
}

/* ---- a proxy ---- */

/* @return whether that many bytes came */
static bool receive_all(int fd, char *buffer, size_t size) {
        return recv(fd, buffer, size, MSG_WAITALL) == (ssize_t)size;
}

static bool send_all(int fd, const char *bytes, size_t size) {
        return send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* SOCKS5 without a password, to an IPv4 address, which it plays itself: an echo. */
static void serve_one(int fd) {
        static const char agreed[] = "\5\0\0\1\177\0\0\1\0\7";
        char buffer[64];
        ssize_t n;

        if (!receive_all(fd, buffer, 3) || !send_all(fd, "\5", 2) || !receive_all(fd, buffer, 10) ||
            !send_all(fd, agreed, sizeof(agreed) - 1))
                return;
        while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0 && send_all(fd, buffer, (size_t)n))
                ;
}

/* Whoever hangs is closed when the next one comes. */
_Noreturn static void serve_proxy(int listener) {
        for (;;) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0)
                        _exit(1);
                serve_one(fd);
                (void)close(fd);
        }
}

static void proxy_start(struct world *world) {
        struct peer peer = peer_listen("127.0.0.1", 16);

        memcpy(world->proxy_address, peer.text, sizeof(world->proxy_address));
        world->proxy = fork();
        ck_assert_int_ge(world->proxy, 0);
        if (world->proxy == 0) {
                (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L);
                serve_proxy(peer.fd);
        }
        peer_close(&peer);
}

static void proxy_stop(struct world *world) {
        ck_assert_int_eq(kill(world->proxy, SIGKILL), 0);
        ck_assert_int_eq(waitpid(world->proxy, NULL, 0), world->proxy);
}

/* ---- the policy ---- */

static const struct fake_dns_name zone[] = { { .name = "fresh.example.com", .ipv4 = "127.0.0.1", .ttl = 0 } };

static void make_issuer(struct world *world, char ret_key[static POLICY_TOKEN_KEY_TEXT_MAX]) {
        struct policy_token_key text;
        struct token_key key;

        ck_assert_int_eq(token_init(), 0);
        token_secret_generate(&world->issuer);
        token_secret_public(&world->issuer, &key);
        memcpy(text.bytes, key.bytes, sizeof(text.bytes));
        (void)policy_token_key_format(&text, ret_key);
}

static void make_certificates(struct certificates *certificates) {
        const struct certificate server = {
                .name = "server",
                .issuer = "root",
                .template = "ip_address = 127.0.0.1\ntls_www_server\nsigning_key\n",
        };

        certificates_init(certificates);
        certificates_make_authority(certificates, "root", NULL);
        certificates_make(certificates, &server);
}

static void write_secure(const struct world *world, char *buffer, size_t size) {
        char trust[CERTIFICATES_PATH_MAX], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];

        (void)certificates_path(&world->certificates, "root.pem", trust);
        (void)certificates_path(&world->certificates, "server.chain", chain);
        (void)certificates_path(&world->certificates, "server.key", key);
        ck_assert_int_lt(snprintf(buffer, size, SECURE, trust, chain, key, trust, chain, key, world->proxy_address),
                         (int)size);
}

static void write_policy(struct world *world) {
        char key[POLICY_TOKEN_KEY_TEXT_MAX], secure[2048] = "";

        make_issuer(world, key);
        if (world->setting == SETTING_SECURE) {
                make_certificates(&world->certificates);
                proxy_start(world);
                write_secure(world, secure, sizeof(secure));
        }
        daemon_write_policy(&world->daemon, POLICY, (unsigned)getuid(), fake_dns_address(world->dns), key, secure);
}

/* ---- all of it ---- */

/* The daemon notes what a tenant asks for, up to a bound (broker/seen.h): once it is reached, nothing adds to its memory. */
static void fill_notes(struct nb_protocol *protocol) {
        CLEANUP(control) struct nb_control *control = NULL;
        CLEANUP(connection) struct nb_connection *connection = NULL;
        char address[32];

        ck_assert_int_eq(open_control(protocol, "0.0.0.0:0", NB_SOCKET_STREAM, &control), 0);
        for (unsigned i = 1; i <= SEEN_MAX; ++i) {
                int n = snprintf(address, sizeof(address), "192.0.2.1:%u", i);

                ck_assert_int_lt(nb_connect(control, address, (size_t)n, &connection), 0);
        }
}

bool world_try_daemon(struct world *world, int *ret_status) {
        const char *arguments[] = { "--admin-socket", world->admin_socket, NULL, NULL, NULL };
        const struct daemon_options options = { .arguments = arguments };
        bool is_ready;

        if (world->setting == SETTING_KEPT) {
                arguments[2] = "--keeper";
                arguments[3] = world->keeper.path;
        } else if (world->setting == SETTING_SHARDS) {
                arguments[2] = "--shards";
                arguments[3] = "2";
        }
        faults_preload(world->daemon.folder, program_name(BROKER));
        is_ready = daemon_try_start(&world->daemon, &options, ret_status);
        faults_preload(NULL, NULL);
        return is_ready;
}

static void start_keeper(struct world *world) {
        faults_preload(world->daemon.folder, program_name(KEEPER));
        keeper_start(&world->keeper, world->daemon.folder);
        faults_preload(NULL, NULL);
}

void world_start(struct world *world, enum setting setting, struct lowered *lowered) {
        int status;

        *world = (struct world){ .setting = setting, .waiter = { .peer = -1 }, .lowered = lowered };
        lowered->pid = 0;
        world->dns = fake_dns_start(zone, N(zone));
        world->peer = peer_listen("127.0.0.1", 16);
        daemon_init(&world->daemon);
        (void)snprintf(world->admin_socket, sizeof(world->admin_socket), "%s/admin.sock", world->daemon.folder);
        for (int i = 0; i < N_PROGRAMS; ++i)
                world->faults[i] = faults_new(world->daemon.folder, program_name(i));
        faults_preload_children(world->faults[BROKER], world->daemon.folder, program_name(RELAY));
        write_policy(world);
        if (setting == SETTING_KEPT)
                start_keeper(world);
        if (!world_try_daemon(world, &status))
                world_hangs(world, "netbrokerd has ended before it was ready");
        ck_assert_int_eq(open_session(world, &world->waiter, NULL, &world->session), 0);
        world->direct = nb_session_find_protocol(world->session, "direct");
        fill_notes(world->direct);
}

void world_end(struct world *world) {
        world->session = nb_session_free(world->session);
        daemon_stop(&world->daemon);
        if (world->setting == SETTING_KEPT)
                keeper_kill(&world->keeper);
        for (int i = 0; i < N_PROGRAMS; ++i)
                world->faults[i] = faults_free(world->faults[i], world->daemon.folder, program_name(i));
        daemon_deinit(&world->daemon);
        if (world->setting == SETTING_SECURE) {
                proxy_stop(world);
                certificates_deinit(&world->certificates);
        }
        peer_close(&world->peer);
        world->dns = fake_dns_stop(world->dns);
}

_Noreturn void world_hangs(const struct world *world, const char *what) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);
        size_t length = strlen(log);

        for (int i = 0; i < N_PROGRAMS; ++i) {
                fprintf(stderr, "---- %s\n", program_name(i));
                faults_show(world->faults[i]);
        }
        fprintf(stderr, "---- netbrokerd said last:\n%s\n", log + (length > 3000 ? length - 3000 : 0));
        ck_abort_msg("%s", what);
        abort(); /* which the compiler does not know of ck_abort_msg() */
}

bool world_is_alive(const struct world *world) {
        return harness_poll(world->daemon.pidfd, POLLIN, 0) == 0;
}
