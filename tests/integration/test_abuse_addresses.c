/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Abuse cases of addresses, from end to end: what a session says is judged by the daemon, on the way out, for a bind, and for who comes in.
 * The network is the test's own, so that there is somebody at every address that must not be reached.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/network.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* All that can be written without a name for any of it. */
#define ALLOW_ALL "Connect=0.0.0.0/0:* [::]/0:*\n"

/* The metadata service of most clouds, and the spellings in which IPv6 carries it: cases 12 and 13. Whether it has an own address on loopback. */
static const struct {
        const char *ip;
        bool own;
} metadata[] = {
        { "169.254.169.254", true },
        { "::ffff:169.254.169.254", false }, /* the kernel takes it for IPv4 */
        { "::169.254.169.254", true },
        { "::ffff:0:169.254.169.254", true },
        { "64:ff9b::169.254.169.254", true },
        { "64:ff9b:1::169.254.169.254", true },
        { "2002:a9fe:a9fe::1", true },
        { "2001:0:1:2:3:4:5601:5601", true },
        { "2606:4700::5efe:169.254.169.254", true },
        { "2606:4700::200:5efe:169.254.169.254", true },
};

/* Somebody at every address of loopback, of both families. */
static struct peer listen_everywhere(void) {
        struct peer peer = { .fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        struct sockaddr_storage sa = { .ss_family = AF_INET6 };
        socklen_t length = sizeof(struct sockaddr_in6);
        const int off = 0;

        ck_assert_int_eq(setsockopt(peer.fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
        ck_assert_int_eq(bind(peer.fd, (struct sockaddr *)&sa, length), 0);
        ck_assert_int_eq(listen(peer.fd, 16), 0);
        ck_assert_int_eq(getsockname(peer.fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &peer.address), 0);
        return peer;
}

static const char *with_port(const char *ip, uint16_t port, char buffer[static NB_ADDRESS_TEXT_MAX]) {
        snprintf(buffer, NB_ADDRESS_TEXT_MAX, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, port);
        return buffer;
}

/* The way there is open to who need not ask. The kernel goes on with a new network's routes for a moment, and knows none meanwhile. */
static void expect_reachable(const struct peer *peer, const char *address) {
        uint64_t start_ms = harness_now_ms();
        int fd = peer_connect(address), other_fd;

        while (fd < 0 && errno == ENETUNREACH) {
                harness_wait_a_moment(start_ms, address);
                fd = peer_connect(address);
        }
        ck_assert_msg(fd >= 0, "%s cannot be reached at all: %s", address, strerror(errno));
        other_fd = peer_accept(peer);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
}

static void expect_not_reached(const struct peer *peer, struct wire *control, const char *address, uint32_t error) {
        uint32_t said;
        int fd;

        said = wire_connect_to(control, address, &fd);
        ck_assert_msg(said == error, "connect to %s: %u, not %u", address, said, error);
        ck_assert_msg(harness_poll(peer->fd, POLLIN, 0) == 0, "somebody came to %s", address);
}

/* Every spelling of the metadata service under a policy that allows every address, and with a Deny rule for the one spelling. */
START_TEST(abuse_12_13_no_spelling_leads_to_the_metadata_service) {
        static const char *const policies[] = {
                ALLOW_ALL,
                ALLOW_ALL "Connect=169.254.169.254:* [64:ff9b:1::]/96:*\nDeny=169.254.169.254:*\n",
                "Connect=any:* public:* private:* local:*\n",
        };
        char address[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        struct peer peer;

        network_enter();
        for (size_t i = 0; i < ELEMENTS(metadata); ++i)
                if (metadata[i].own)
                        network_add_address(metadata[i].ip);
        peer = listen_everywhere();
        scene_start(&scene, NULL, policies[_i]);
        control = wire_open_control(scene.web, "[::]:0");
        for (size_t i = 0; i < ELEMENTS(metadata); ++i) {
                with_port(metadata[i].ip, peer.address.port, address);
                expect_reachable(&peer, address);
                expect_not_reached(&peer, &control, address, NB_WASI_EACCES);
        }
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* What a rule names is dialled as what was judged: the IPv4 address, whose spelling is forgotten. */
START_TEST(abuse_12_what_was_judged_is_what_is_dialled) {
        char address[NB_ADDRESS_TEXT_MAX], said[NB_ADDRESS_LENGTH_MAX + 1], expected[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        struct peer peer;
        int fd, other_fd;

        network_enter();
        network_add_address("169.254.169.254");
        peer = listen_everywhere();
        scene_start(&scene, NULL, "Connect=169.254.169.254:*\n");
        control = wire_open_control(scene.web, "[::]:0");
        with_port("::ffff:169.254.169.254", peer.address.port, address);
        with_port("169.254.169.254", peer.address.port, expected);
        ck_assert_uint_eq(wire_connect_named(&control, address, &fd, said, NULL), 0);
        ck_assert_str_eq(said, expected);
        other_fd = peer_accept(&peer);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* Who comes from an address that is forbidden, in whatever spelling, is closed and never shown. */
START_TEST(abuse_12_13_no_spelling_of_a_denied_peer_gets_in) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], ipv4[NB_ADDRESS_TEXT_MAX], ipv6[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        int fd;

        network_enter();
        for (size_t i = 0; i < ELEMENTS(metadata); ++i)
                if (metadata[i].own)
                        network_add_address(metadata[i].ip);
        scene_start(&scene, NULL, "Listen=[::]:* 0.0.0.0:*\nDeny=169.254.169.254:*\n");
        ck_assert_uint_eq(wire_open(scene.web, "[::]:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        with_port("127.0.0.1", peer_port(address), ipv4);
        with_port("::1", peer_port(address), ipv6);
        for (size_t i = 0; i < ELEMENTS(metadata); ++i) {
                if (!metadata[i].own)
                        continue;
                fd = peer_connect_from(metadata[i].ip, strchr(metadata[i].ip, ':') ? ipv6 : ipv4);
                ck_assert_msg(fd >= 0, "%s cannot come at all", metadata[i].ip);
                peer_expect_end(fd);
                (void)nb_fd_close(fd);
        }
        wire_settle(scene.web);
        wire_expect_silence(&control);
        fd = peer_connect_from("127.0.0.1", ipv4);
        (void)nb_fd_close(wire_receive_accepted(&control, 1));
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* Linux takes it for loopback, and so does the guard; a Deny rule for loopback holds as well. */
START_TEST(abuse_14_the_unspecified_address_is_loopback) {
        static const char *const policies[] = {
                ALLOW_ALL,
                ALLOW_ALL "Connect=127.0.0.0/8:* [::1]:*\nDeny=127.0.0.1:* [::1]:*\n",
                ALLOW_ALL "Connect=local:*\nDeny=0.0.0.0:* [::]:*\n",
                "Connect=any:*\n",
        };
        static const char *const unspecified[] = { "0.0.0.0", "::", "::ffff:0.0.0.0" };
        char address[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        struct peer peer;

        network_enter();
        peer = listen_everywhere();
        scene_start(&scene, NULL, policies[_i]);
        control = wire_open_control(scene.web, "[::]:0");
        for (size_t i = 0; i < ELEMENTS(unspecified); ++i) {
                with_port(unspecified[i], peer.address.port, address);
                expect_reachable(&peer, address);
                expect_not_reached(&peer, &control, address, NB_WASI_EACCES);
        }
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* What other programs would take for an address or a name, and we do not. A "#" is a port at which somebody listens. */
static const char *const no_addresses[] = {
        /* 11: control characters and blanks; a NUL does not even get through a frame. */
        "localhost\t:#",
        "localhost\n:#",
        "localhost\r\nX:#",
        "local\x7fhost:#",
        "local\x1b[2Jhost:#",
        "localhost :#",
        " localhost:#",
        "127.0.0.1 :#",
        " 127.0.0.1:#",
        "127.0.0.1:# ",
        "127.0.0.1:#\n",
        /* 15: what inet_aton(3) reads. */
        "2130706433:#",
        "0x7f000001:#",
        "0x7f.0.0.1:#",
        "017700000001:#",
        "0177.0.0.1:#",
        "127.1:#",
        "127.0.1:#",
        "127.0.0.01:#",
        "127.0.0.1.:#",
        /* 18 */
        "[127.0.0.1]:#",
        "[localhost]:#",
        "[::1:#",
        "::1]:#",
        "::1:#",
        "[[::1]]:#",
        "[::1%lo]:#",
        "[::1%1]:#",
        /* 19 */
        "127.0.0.1 x:#",
        "127.0.0.1:+#",
        "127.0.0.1:0#",
        "127.0.0.1:#x",
        "127.0.0.1:0x1f90",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:4295032831",
        "127.0.0.1:",
        "127.0.0.1",
        ":#",
        "*:#",
        "*",
};

static void fill_in_port(const char *text, uint16_t port, char buffer[static NB_ADDRESS_TEXT_MAX]) {
        size_t before = strcspn(text, "#");

        snprintf(buffer, NB_ADDRESS_TEXT_MAX, "%.*s", (int)before, text);
        if (text[before] == '#')
                snprintf(buffer + before, NB_ADDRESS_TEXT_MAX - before, "%u%s", port, text + before + 1);
}

START_TEST(abuse_11_15_18_19_what_is_not_an_address_is_refused) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        char address[NB_ADDRESS_TEXT_MAX];
        struct wire control, none = { .fd = -1 };
        struct scene scene;
        uint32_t said;

        scene_start(&scene, NULL, ALLOW_ALL SCENE_LOOPBACK "Listen=0.0.0.0/0:* [::]/0:*\n");
        control = wire_open_control(scene.web, "[::]:0");
        for (size_t i = 0; i < ELEMENTS(no_addresses); ++i) {
                fill_in_port(no_addresses[i], peer.address.port, address);
                expect_not_reached(&peer, &control, address, NB_WASI_EINVAL);
                said = wire_open(scene.web, address, &none, NULL);
                ck_assert_msg(said == NB_WASI_EINVAL, "open \"%s\": %u", address, said);
        }
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* Nothing listens on port 0, and to bind it is to let the kernel choose: it is an address for one and not for the other. */
START_TEST(abuse_19_port_0_is_for_binding) {
        struct wire control, bound = { .fd = -1 };
        struct scene scene;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "127.0.0.1:0", &fd), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:0", &bound, NULL), 0);
        (void)wire_close(&bound);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* ---- names ---- */

/* A name server that is never asked. */
struct silence {
        struct peer server;
        struct scene scene;
        struct wire control;
};

static void silence_start(struct silence *silence, const char *rules) {
        struct scene *scene = &silence->scene;

        silence->server = peer_udp("127.0.0.1");
        daemon_init(&scene->daemon);
        daemon_write_policy(
                &scene->daemon,
                "[Tenant]\nName=acme\nUser=%u\nResolvers=%s\n[Protocol web]\nFamily=ip\nDataPath=direct\n%s",
                (unsigned)getuid(), silence->server.text, rules);
        daemon_start(&scene->daemon, NULL);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
        wire_settle(scene->web);
        scene->baseline = daemon_count_fds_at_rest(&scene->daemon);
        silence->control = wire_open_control(scene->web, "[::]:0");
}

static void silence_end(struct silence *silence) {
        (void)wire_close(&silence->control);
        scene_end(&silence->scene);
        peer_expect_nothing(silence->server.fd);
        peer_close(&silence->server);
}

static void expect_name_refused(struct silence *silence, const char *name, const char *audit) {
        uint32_t said;
        int fd;

        said = wire_connect_to(&silence->control, name, &fd);
        ck_assert_msg(said == NB_WASI_EACCES, "connect to %s: %u", name, said);
        daemon_expect_audit(&silence->scene.daemon, "\"verdict\":\"denied\"", name, audit);
}

/* A star stands for whole labels in front, one or more; and a rule for all addresses is for no name. */
START_TEST(abuse_16_27_what_a_star_does_not_match_is_not_even_asked) {
        static const char *const names[] = {
                "notexample.com:443",  "example.com.evil.com:443", "example.com:443",       "wwwexample.com:443",
                "example.com.:443",    "a.example.com:80",         "a.example.comm:443",    "com:443",
                "xexample.com.au:443", "a.example.com.evil:443",   "a.example-com.org:443",
        };
        struct silence silence;

        silence_start(&silence, "Connect=*.example.com:443 any:*\n");
        for (size_t i = 0; i < ELEMENTS(names); ++i)
                expect_name_refused(&silence, names[i], "\"reason\":\"");
        silence_end(&silence);
}
END_TEST

/* Denied in any spelling, under a rule that grants all around it. */
START_TEST(abuse_17_27_a_denied_name_is_denied_in_any_spelling) {
        static const char *const names[] = {
                "evil.com:443",  "EVIL.com:443",      "EVIL.com.:443",
                "evil.COM.:443", "www.evil.com.:443", "WWW.EVIL.COM:443",
        };
        struct silence silence;

        silence_start(&silence, "Deny=evil.com:* *.evil.com:*\nConnect=evil.com:443 *.com:443 EVIL.com:*\n");
        for (size_t i = 0; i < ELEMENTS(names); ++i)
                expect_name_refused(&silence, names[i], "\"rule\":\"Deny=");
        silence_end(&silence);
}
END_TEST

/* Rules that cannot mean what their author thinks: the daemon does not start with them, and says where. */
static const char *const bad_rules[] = {
        "10.0.0.0/8x:443", "10.0.0.0/33:443",  "10.0.0.0/:443",           "10.0.0.0/-1:443",        "10.0.0.0/08:443",
        "10.0.0.1/8:443",  "10.0.0.0/8",       "[2001:db8::1]/32:443",    "[2001:db8::]/129:443",   "2001:db8::/32:443",
        "10.0.0.0/8:",     "10.0.0.0/8:65536", "[::ffff:10.0.0.0]/104:*", "10.0.0.0/255.0.0.0:443", "10.0.0:443",
        "10.0.0.1:+443",   "10.0.0.1:443x",    "10.0.0.1:443-",           "10.0.0.1:90-80",         "127.1:80",
        "0x7f000001:80",   "2130706433:80",    "[127.0.0.1]:80",          "[example.com]:80",
};

START_TEST(abuse_20_a_rule_that_cannot_work_is_no_policy) {
        static const char *const keys[] = { "Connect", "Listen", "Deny" };
        NB_CLEANUP_FREE char *said = NULL;
        struct daemon daemon;
        const char *arguments[] = { "--check", "--policy", NULL, NULL };
        int status;

        daemon_init(&daemon);
        arguments[2] = daemon.policy_path;
        for (size_t i = 0; i < ELEMENTS(keys); ++i) {
                daemon_write_policy(&daemon, SCENE_TENANT "%s=%s\n", (unsigned)getuid(), keys[i], bad_rules[_i]);
                status = daemon_run_once(&daemon, arguments, &said);
                ck_assert_msg(status != 0, "%s=%s is taken", keys[i], bad_rules[_i]);
                ck_assert_msg(strstr(said, "acme.conf:8:"), "%s", said);
                free(said);
                said = NULL;
        }
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(abuse_21_deny_wins_in_both_orders) {
        static const char *const policies[] = {
                "Connect=10.16.0.0/12:*\nDeny=10.20.0.0/16:*\n",
                "Deny=10.20.0.0/16:*\nConnect=10.16.0.0/12:*\n",
        };
        char address[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        struct peer peer;
        int fd, other_fd;

        network_enter();
        network_add_address("10.20.0.1");
        network_add_address("10.21.0.1");
        peer = listen_everywhere();
        scene_start(&scene, NULL, policies[_i]);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        expect_not_reached(&peer, &control, with_port("10.20.0.1", peer.address.port, address), NB_WASI_EACCES);
        daemon_expect_audit(&scene.daemon, "\"verdict\":\"denied\"", "\"rule\":\"Deny=10.20.0.0/16:*\"");
        with_port("10.21.0.1", peer.address.port, address);
        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), 0);
        other_fd = peer_accept(&peer);
        (void)nb_fd_close(other_fd);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

static Suite *abuse_suite(void) {
        Suite *suite = suite_create("abuse of addresses");
        TCase *forms = tcase_create("forms of one address"), *texts = tcase_create("texts"),
              *rules = tcase_create("rules"), *names = tcase_create("names");

        tcase_add_loop_test(forms, abuse_12_13_no_spelling_leads_to_the_metadata_service, 0, 3);
        tcase_add_test(forms, abuse_12_what_was_judged_is_what_is_dialled);
        tcase_add_test(forms, abuse_12_13_no_spelling_of_a_denied_peer_gets_in);
        tcase_add_loop_test(forms, abuse_14_the_unspecified_address_is_loopback, 0, 4);
        tcase_add_test(texts, abuse_11_15_18_19_what_is_not_an_address_is_refused);
        tcase_add_test(texts, abuse_19_port_0_is_for_binding);
        tcase_add_test(names, abuse_16_27_what_a_star_does_not_match_is_not_even_asked);
        tcase_add_test(names, abuse_17_27_a_denied_name_is_denied_in_any_spelling);
        tcase_add_loop_test(rules, abuse_20_a_rule_that_cannot_work_is_no_policy, 0, ELEMENTS(bad_rules));
        tcase_add_loop_test(rules, abuse_21_deny_wins_in_both_orders, 0, 2);
        suite_add_tcase(suite, forms);
        suite_add_tcase(suite, texts);
        suite_add_tcase(suite, names);
        suite_add_tcase(suite, rules);
        return suite;
}

int main(void) {
        return run_suite(abuse_suite());
}
