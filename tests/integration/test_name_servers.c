/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as on a machine that is as it should be: a real name server (unbound), resolv.conf(5) and hosts(5), a daemon for several tenants, and
 * guests that know names only.
 *
 * Each test has a network and /etc/resolv.conf, /etc/hosts of its own (namespaces, which need root), so that the name server has its port.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/fake_dns.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define TEXT_MAX 512

/* Under sanitizers an engine takes long to start. */
#define RUN_TIMEOUT_MS 60000

#define UNBOUND                                                                                                        \
        "server:\n"                                                                                                    \
        " directory: \"%s\"\n"                                                                                         \
        " chroot: \"\"\n username: \"\"\n pidfile: \"\"\n logfile: \"\"\n"                                             \
        " use-syslog: no\n do-daemonize: no\n verbosity: 1\n num-threads: 1\n"                                         \
        " interface: 127.0.0.1\n do-not-query-localhost: no\n"                                                         \
        " access-control: 127.0.0.0/8 allow\n"                                                                         \
        " local-zone: \"example.com.\" static\n local-zone: \"intranet.\" static\n"                                    \
        " local-data: \"example.com. 60 IN SOA ns.example.com. root.example.com. 1 60 60 60 60\"\n"                    \
        " local-data: \"api.example.com. 60 IN A 127.0.0.1\"\n"                                                        \
        " local-data: \"six.example.com. 60 IN AAAA ::1\"\n"                                                           \
        " local-data: \"both.example.com. 60 IN A 127.0.0.1\"\n"                                                       \
        " local-data: \"both.example.com. 60 IN AAAA ::1\"\n"                                                          \
        " local-data: \"public.example.com. 60 IN A 192.0.2.1\"\n"                                                     \
        " local-data: \"intranet.example.com. 60 IN A 127.0.0.1\"\n"                                                   \
        " local-data: \"hosts.example.com. 60 IN A 127.0.0.9\"\n"

#define RESOLV_CONF "search example.com\nnameserver 127.0.0.1\n"

#define HOSTS                                                                                                          \
        "127.0.0.1 localhost\n"                                                                                        \
        "127.0.0.1 hosts.example.com\n"

#define RULES                                                                                                          \
        "Connect=*.example.com:*\n"                                                                                    \
        "Connect=intranet:*\n"                                                                                         \
        "Addresses=local\n"

struct machine {
        char folder[32];
        struct process unbound;
};

static void write_file(const struct machine *machine, const char *name, const char *text) {
        NB_CLEANUP_FD int fd = -1;
        char path[TEXT_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", machine->folder, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void put_over(const struct machine *machine, const char *name, const char *path) {
        char source[TEXT_MAX];

        (void)snprintf(source, sizeof(source), "%s/%s", machine->folder, name);
        ck_assert_msg(mount(source, path, NULL, MS_BIND, NULL) == 0, "%s: %s", path, strerror(errno));
}

static void enter_own_network(void) {
        struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
        NB_CLEANUP_FD int fd = -1;

        ck_assert_int_eq(unshare(CLONE_NEWNET | CLONE_NEWNS), 0);
        ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &loopback), 0);
}

static void machine_start(struct machine *machine) {
        char text[4096], path[TEXT_MAX];

        enter_own_network();
        (void)snprintf(machine->folder, sizeof(machine->folder), "/tmp/nb-names-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(machine->folder));
        (void)snprintf(text, sizeof(text), UNBOUND, machine->folder);
        write_file(machine, "unbound.conf", text);
        write_file(machine, "resolv.conf", RESOLV_CONF);
        write_file(machine, "hosts", HOSTS);
        put_over(machine, "resolv.conf", "/etc/resolv.conf");
        put_over(machine, "hosts", "/etc/hosts");
        (void)snprintf(path, sizeof(path), "%s/unbound.conf", machine->folder);
        PROCESS_START(&machine->unbound, "unbound", "-d", "-c", path);
        process_expect(&machine->unbound, "start of service", HARNESS_DEADLINE_MS);
}

static void machine_end(struct machine *machine) {
        static const char *const names[] = { "unbound.conf", "resolv.conf", "hosts", "policy.conf" };
        char path[TEXT_MAX];

        ck_assert_int_eq(process_stop(&machine->unbound), 0);
        process_deinit(&machine->unbound);
        ck_assert_int_eq(umount("/etc/resolv.conf"), 0);
        ck_assert_int_eq(umount("/etc/hosts"), 0);
        for (size_t i = 0; i < N(names); ++i) {
                (void)snprintf(path, sizeof(path), "%s/%s", machine->folder, names[i]);
                (void)unlink(path);
        }
        (void)rmdir(machine->folder);
}

static const char *with_port(const char *name, uint16_t port, char buffer[static TEXT_MAX]) {
        (void)snprintf(buffer, TEXT_MAX, "%.300s:%u", name, port);
        return buffer;
}

/* @return 0, or the WASI errno of the refusal */
static uint32_t connect_name(struct scene *scene, const char *name, uint16_t port) {
        struct wire control = wire_open_control(scene->web, "[::]:0");
        char text[TEXT_MAX];
        uint32_t error;
        int fd = -1;

        error = wire_connect_to(&control, with_port(name, port, text), &fd);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        return error;
}

/* ---- the system's name servers ---- */

static const struct {
        const char *name;
        const char *ip; /* where the server listens */
        uint32_t error;
} names[] = {
        { "api.example.com", "127.0.0.1", 0 },
        { "six.example.com", "::1", 0 },
        { "both.example.com", "127.0.0.1", 0 },
        { "both.example.com", "::1", 0 },
        { "BOTH.Example.com.", "::1", 0 },
        { "hosts.example.com", "127.0.0.1", 0 },               /* hosts(5) comes first */
        { "public.example.com", "127.0.0.1", NB_WASI_EACCES }, /* Addresses=local */
        { "none.example.com", "127.0.0.1", NB_WASI_EHOSTUNREACH },
        { "intranet", "127.0.0.1", NB_WASI_EHOSTUNREACH },  /* no search list */
        { "api.example.net", "127.0.0.1", NB_WASI_EACCES }, /* not granted */
};

START_TEST(as_the_system_resolves) {
        struct machine machine;
        struct scene scene;
        struct peer peer;

        machine_start(&machine);
        peer = peer_listen(names[_i].ip, 8);
        scene_start(&scene, NULL, RULES);
        /* The second time by what is known. */
        for (int i = 0; i < 2; ++i)
                ck_assert_uint_eq(connect_name(&scene, names[_i].name, peer.address.port), names[_i].error);
        peer_close(&peer);
        scene_end(&scene);
        machine_end(&machine);
}
END_TEST

/* resolv.conf(5) is read when something is asked: a daemon lives longer than the networks that it is in. */
START_TEST(other_name_servers_meanwhile) {
        struct machine machine;
        struct scene scene;
        struct peer peer;

        machine_start(&machine);
        peer = peer_listen("127.0.0.1", 8);
        write_file(&machine, "resolv.conf", "nameserver 127.0.0.2\n");
        scene_start(&scene, NULL, RULES);
        ck_assert_uint_eq(connect_name(&scene, "api.example.com", peer.address.port), NB_WASI_EAGAIN);
        write_file(&machine, "resolv.conf", RESOLV_CONF);
        ck_assert_uint_eq(connect_name(&scene, "both.example.com", peer.address.port), 0);
        peer_close(&peer);
        scene_end(&scene);
        machine_end(&machine);
}
END_TEST

/* Each tenant asks its own servers, and learns nothing from what another has asked. */
START_TEST(each_tenant_has_its_own) {
        static const struct fake_dns_name zone[] = {
                { .name = "api.example.com", .ipv4 = "127.0.0.5", .ttl = 60 },
        };
        struct wire_session other;
        struct machine machine;
        struct fake_dns *dns;
        struct scene scene;
        struct wire control;
        struct peer peer;
        char text[TEXT_MAX], peer_text[NB_ADDRESS_LENGTH_MAX + 1];
        int fd = -1;

        machine_start(&machine);
        dns = fake_dns_start(zone, N(zone));
        peer = peer_listen("127.0.0.5", 8);
        scene_start(&scene, NULL, RULES);
        daemon_write_policy_file(&scene.daemon, "other.conf",
                                 "[Tenant]\nName=other\nUser=%u\nResolvers=%s\n[Protocol web]\nFamily=ip\n"
                                 "DataPath=direct\n" RULES,
                                 (unsigned)getuid(), fake_dns_address(dns));
        daemon_reload(&scene.daemon);
        ck_assert_uint_eq(connect_name(&scene, "api.example.com", peer.address.port), NB_WASI_ECONNREFUSED);
        wire_session_open(scene.daemon.socket_path, "other", &other);
        control = wire_open_control(&other.protocols[0], "[::]:0");
        ck_assert_uint_eq(wire_connect_named(&control, with_port("api.example.com", peer.address.port, text), &fd,
                                             peer_text, NULL),
                          0);
        ck_assert_str_eq(peer_text, peer.text);
        ck_assert_uint_eq(fake_dns_count(dns, NULL), 2);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        wire_session_close(&other);
        daemon_remove_policy(&scene.daemon, "other.conf");
        daemon_reload(&scene.daemon);
        peer_close(&peer);
        scene_end(&scene);
        dns = fake_dns_stop(dns);
        machine_end(&machine);
}
END_TEST

/* ---- guests, by netbroker-run and its private broker ---- */

static const char *environment(const char *name) {
        const char *value = getenv(name);

        ck_assert_msg(value && *value, "%s is not set", name);
        return value;
}

static void write_guest_policy(const struct machine *machine) {
        write_file(machine, "policy.conf", "[Tenant]\nName=guest\n[Protocol web]\nFamily=ip\n" RULES);
}

/* A page for whoever asks. */
static void serve_page(const struct peer *peer) {
        static const char page[] = "HTTP/1.0 200 OK\r\n\r\nhello by name\n";
        NB_CLEANUP_FD int fd = peer_accept(peer);
        char request[1024];

        ck_assert_int_gt(recv(fd, request, sizeof(request), 0), 0);
        ck_assert_int_eq(send(fd, page, sizeof(page) - 1, 0), (ssize_t)sizeof(page) - 1);
}

START_TEST(a_guest_fetches_by_name) {
        char policy[TEXT_MAX], module[TEXT_MAX], url[TEXT_MAX];
        struct machine machine;
        struct peer peer;
        PROCESS run;

        machine_start(&machine);
        write_guest_policy(&machine);
        peer = peer_listen("127.0.0.1", 8);
        (void)snprintf(policy, sizeof(policy), "%s/policy.conf", machine.folder);
        (void)snprintf(module, sizeof(module), "%s/fetch.wasm", environment("EXAMPLES_DIR"));
        (void)snprintf(url, sizeof(url), "http://api.example.com:%u/", peer.address.port);
        PROCESS_START(&run, environment("NETBROKER_RUN"), "--policy", policy, module, "web", url);
        serve_page(&peer);
        ck_assert_msg(process_finish(&run, RUN_TIMEOUT_MS) == 0, "%s", run.text);
        ck_assert_ptr_nonnull(strstr(run.text, "hello by name"));
        peer_close(&peer);
        machine_end(&machine);
}
END_TEST

/* A program for POSIX sockets: what connect() says of names that there are, that there are not, and that are not granted. */
static const struct {
        const char *name;
        const char *line;
} posix_names[] = {
        { "both.example.com", "connect(fd, info->ai_addr, info->ai_addrlen): 0" },
        { "none.example.com", "Host is unreachable" },
        { "public.example.com", "EACCES" },
        { "api.example.net", "EACCES" },
};

START_TEST(a_posix_guest_connects_by_name) {
        char policy[TEXT_MAX], module[TEXT_MAX], port[8];
        struct machine machine;
        struct peer peer;
        PROCESS run;

        machine_start(&machine);
        write_guest_policy(&machine);
        peer = peer_listen("127.0.0.1", 8);
        (void)snprintf(policy, sizeof(policy), "%s/policy.conf", machine.folder);
        (void)snprintf(module, sizeof(module), "%s/posix_name.wasm", environment("GUESTS_DIR"));
        (void)snprintf(port, sizeof(port), "%u", peer.address.port);
        PROCESS_START(&run, environment("NETBROKER_RUN"), "--policy", policy, module, posix_names[_i].name, port);
        ck_assert_msg(process_finish(&run, RUN_TIMEOUT_MS) == 0, "%s", run.text);
        ck_assert_msg(strstr(run.text, posix_names[_i].line), "\"%s\" is not in: %s", posix_names[_i].line, run.text);
        peer_close(&peer);
        machine_end(&machine);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("name_servers");
        TCase *tcase = tcase_create("name_servers"), *guests = tcase_create("guests");

        suite_add_tcase(suite, tcase);
        tcase_add_loop_test(tcase, as_the_system_resolves, 0, N(names));
        tcase_add_test(tcase, other_name_servers_meanwhile);
        tcase_add_test(tcase, each_tenant_has_its_own);
        suite_add_tcase(suite, guests);
        tcase_set_timeout(guests, RUN_TIMEOUT_MS / 1000);
        tcase_add_test(guests, a_guest_fetches_by_name);
        tcase_add_loop_test(guests, a_posix_guest_connects_by_name, 0, N(posix_names));
        return suite;
}

int main(void) {
        process_expect_no_leak_check();
        return run_suite(new_suite());
}
