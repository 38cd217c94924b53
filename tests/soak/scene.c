/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/soak/scene.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/operator.h"

#define LOOPBACK "Connect=127.0.0.0/8:*\nListen=127.0.0.1:*\n"

#define POLICY                                                                                                         \
        "[Tenant]\nName=%s\nUser=%u\nResolvers=%s\n%s%s"                                                               \
        "[Protocol direct]\nFamily=ip\nDataPath=direct\nSocketTypes=stream dgram\n"                                    \
        "Connect=*.example.com:*\nAddresses=local\n" LOOPBACK                                                          \
        "[Protocol relay]\nFamily=ip\nDataPath=relay\nSocketTypes=stream dgram\n" LOOPBACK                             \
        "[Protocol tls]\nFamily=ip\nTLS=both\nTLSTrust=%s\nTLSCertificate=%s %s\n" LOOPBACK

/* A peer that was killed has not said so: what was sent to it last is tried for as long as this. */
#define POLICY_QUIC                                                                                                    \
        "[Protocol quic]\nFamily=quic\nIdleTimeout=5s\nTLSALPN=soak\nTLSTrust=%s\nTLSCertificate=%s %s\n" LOOPBACK

/* A policy needs a tenant while the others are away. */
#define RESTING "[Tenant]\nName=resting\nUser=%u\n[Protocol direct]\nFamily=ip\nDataPath=direct\n"

static const struct fake_dns_name zone[] = { { .name = SOAK_ECHO_NAME, .ipv4 = "127.0.0.1", .ttl = 1 } };

const char *soak_tenant(size_t i) {
        static const char *const names[SOAK_TENANTS] = { "acme", "globex", "initech" };

        return names[i];
}

/* ---- policies ---- */

static void write_policy(const struct soak_scene *scene, size_t tenant, enum soak_policy policy) {
        char trust[CERTIFICATES_PATH_MAX], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];
        char file[64], quic[sizeof(POLICY_QUIC) + 3 * CERTIFICATES_PATH_MAX] = "";

        (void)certificates_path(&scene->certificates, "root.pem", trust);
        (void)certificates_path(&scene->certificates, "server.chain", chain);
        (void)certificates_path(&scene->certificates, "server.key", key);
        if (policy != SOAK_POLICY_WITHOUT_QUIC)
                (void)snprintf(quic, sizeof(quic), POLICY_QUIC, trust, chain, key);
        (void)snprintf(file, sizeof(file), "%s.conf", soak_tenant(tenant));
        daemon_write_policy_file(&scene->restart.scene.daemon, file, POLICY "%s", soak_tenant(tenant),
                                 (unsigned)getuid(), fake_dns_address(scene->dns), scene->token_key,
                                 policy == SOAK_POLICY_NARROW ? "MaxConnections=4\n" : "", trust, chain, key, quic);
}

void soak_scene_reload_tenants(struct soak_scene *scene) {
        struct daemon *daemon = &scene->restart.scene.daemon;
        char file[64];

        for (size_t i = 0; i < SOAK_TENANTS; ++i) {
                (void)snprintf(file, sizeof(file), "%s.conf", soak_tenant(i));
                daemon_remove_policy(daemon, file);
        }
        daemon_reload(daemon);
        /* Their relays end with them. */
        relay_units_wait(&scene->units, 0);
        for (size_t i = 0; i < SOAK_TENANTS; ++i)
                write_policy(scene, i, SOAK_POLICY_FULL);
        daemon_reload(daemon);
}

void soak_scene_load(struct soak_scene *scene, size_t tenant, enum soak_policy policy) {
        char file[64];

        (void)snprintf(file, sizeof(file), "%s.conf", soak_tenant(tenant));
        if (policy == SOAK_POLICY_ABSENT)
                daemon_remove_policy(&scene->restart.scene.daemon, file);
        else
                write_policy(scene, tenant, policy);
        daemon_reload(&scene->restart.scene.daemon);
}

/* ---- beginning ---- */

static void make_certificates(struct certificates *certificates) {
        static const struct certificate server = {
                .name = "server",
                .issuer = "root",
                .template = "ip_address = 127.0.0.1\ntls_www_server\nsigning_key\n",
        };

        certificates_init(certificates);
        certificates_make_authority(certificates, "root", NULL);
        certificates_make(certificates, &server);
}

/* Leaves the protocols as they are, and limits what sessions have that show it. */
static void make_token(struct soak_scene *scene) {
        char path[HARNESS_PATH_MAX + 16];

        (void)snprintf(path, sizeof(path), "%s/issuer", scene->restart.scene.daemon.folder);
        ck_assert_int_eq(CTL_ALONE(&scene->token_key, "token", "keygen", "--output", path), 0);
        ck_assert_int_eq(CTL_ALONE(&scene->token, "token", "new", "--key", path, "--quota", "MaxConnections=1000"), 0);
        scene->token[strcspn(scene->token, "\n")] = '\0';
}

static void set_path(const struct soak_scene *scene, char path[static HARNESS_PATH_MAX], const char *name) {
        const char *folder = scene->restart.scene.daemon.folder;

        ck_assert_int_lt(snprintf(path, HARNESS_PATH_MAX, "%s/%s", folder, name), HARNESS_PATH_MAX);
}

/* It can shut sockets down only where it is root's. */
static void start_helper(struct soak_scene *scene) {
        const char *program = getenv("NETBROKER_HELPER");
        uint64_t start_ms = harness_now_ms();

        scene->helper = (struct process){ .pid = -1, .out = -1 };
        if (geteuid() != 0)
                return;
        ck_assert_msg(program != NULL, "NETBROKER_HELPER is not set: it names the program to test");
        set_path(scene, scene->helper_socket, "helper.sock");
        PROCESS_START(&scene->helper, program, "--socket", scene->helper_socket);
        while (access(scene->helper_socket, F_OK) < 0)
                harness_wait_a_moment(start_ms, "netbroker-helper");
        restart_argument(&scene->restart, "--helper");
        restart_argument(&scene->restart, scene->helper_socket);
}

void soak_scene_start(struct soak_scene *scene) {
        *scene = (struct soak_scene){ .dns = fake_dns_start(zone, 1) };
        make_certificates(&scene->certificates);
        restart_prepare(&scene->restart);
        /* An hour's records would fill a folder; the operator asks for warnings only. */
        scene->restart.options.no_info = true;
        scene->restart.options.audit = "/dev/null";
        make_token(scene);
        relay_units_start(&scene->units, scene->restart.scene.daemon.folder);
        restart_argument(&scene->restart, "--relay-socket");
        restart_argument(&scene->restart, scene->units.path);
        set_path(scene, scene->admin_socket, "admin.sock");
        restart_argument(&scene->restart, "--admin-socket");
        restart_argument(&scene->restart, scene->admin_socket);
        start_helper(scene);
        for (size_t i = 0; i < SOAK_TENANTS; ++i)
                write_policy(scene, i, SOAK_POLICY_FULL);
        daemon_write_policy_file(&scene->restart.scene.daemon, "resting.conf", RESTING, (unsigned)getuid());
        scene->echo = peer_listen("127.0.0.1", 1024);
        scene->echo_udp = peer_udp("127.0.0.1");
        restart_again(&scene->restart);
        relay_units_wait(&scene->units, 0);
}

/* ---- asking ---- */

json_t *soak_scene_ask(const struct soak_scene *scene, const char *const *arguments) {
        NB_CLEANUP_FREE char *text = NULL;

        if (operator_run(scene->admin_socket, arguments, &text) != 0)
                return NULL;
        return json_loads(text, JSON_REJECT_DUPLICATES, NULL);
}

/* unix(7) does not say it, but the kernel does: a line's sixth word is 03 where a socket is connected, and the last is the path. */
unsigned soak_scene_helper_connections(const struct soak_scene *scene) {
        NB_CLEANUP_FREE char *text = daemon_read("/proc/net/unix");
        unsigned n = 0;
        char *rest = NULL;

        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char path[HARNESS_PATH_MAX + 1];
                unsigned state;

                if (sscanf(line, "%*s %*s %*s %*s %*s %x %*s %96s", &state, path) == 2 && state == 3)
                        n += strcmp(path, scene->helper_socket) == 0;
        }
        return n;
}

/* ---- end ---- */

void soak_scene_end(struct soak_scene *scene) {
        daemon_stop(&scene->restart.scene.daemon);
        keeper_kill(&scene->restart.keeper);
        relay_units_wait(&scene->units, 0);
        relay_units_stop(&scene->units);
        if (scene->helper.pid >= 0) {
                (void)process_stop(&scene->helper);
                process_deinit(&scene->helper);
        }
        daemon_deinit(&scene->restart.scene.daemon);
        certificates_deinit(&scene->certificates);
        scene->dns = fake_dns_stop(scene->dns);
        peer_close(&scene->echo);
        peer_close(&scene->echo_udp);
        free(scene->token_key);
        free(scene->token);
}
