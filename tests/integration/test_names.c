/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting to names: what is asked of DNS and what is not, what is dialled of what it says, and how long that takes.
 *
 * The name server is the test's own, and does what none should; one that does as it should is tests/integration/test_name_servers.c's.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/fake_dns.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Names that the tenant may connect to, on loopback, which is where the tests' servers are. */
#define LOCAL_NAMES                                                                                                    \
        "SocketTypes=stream dgram\n"                                                                                   \
        "Connect=*.example.com:*\n"                                                                                    \
        "Connect=intranet:*\n"                                                                                         \
        "Addresses=local\n"

/* Long enough for a busy machine, and shorter than c-ares takes to ask again (1.5 s). */
#define AT_ONCE_MS 1200

#define TEXT_MAX 320

struct names {
        struct scene scene;
        struct fake_dns *dns;
};

static void write_policy(const struct names *names, const char *tenant, const char *rules) {
        daemon_write_policy(&names->scene.daemon,
                            "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\nResolvers=%s\n%s"
                            "[Protocol web]\nFamily=ip\nDataPath=direct\n%s",
                            (unsigned)getuid(), fake_dns_address(names->dns), tenant, rules);
}

static void start(struct names *names, const struct fake_dns_name *zone, size_t n, const char *tenant,
                  const char *rules) {
        struct scene *scene = &names->scene;

        names->dns = fake_dns_start(zone, n);
        daemon_init(&scene->daemon);
        write_policy(names, tenant, rules);
        daemon_start(&scene->daemon, NULL);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
        wire_settle(scene->web);
        scene->baseline = daemon_count_fds_at_rest(&scene->daemon);
}

static void start_local(struct names *names, const struct fake_dns_name *zone, size_t n) {
        start(names, zone, n, "", LOCAL_NAMES);
}

static void end(struct names *names) {
        scene_end(&names->scene);
        names->dns = fake_dns_stop(names->dns);
}

static const char *with_port(const char *name, uint16_t port, char buffer[static TEXT_MAX]) {
        (void)snprintf(buffer, TEXT_MAX, "%.300s:%u", name, port);
        return buffer;
}

/* Connects to a name. As wire_connect_to(). */
static uint32_t connect_name(struct wire *control, const char *name, uint16_t port, int *ret_fd) {
        char text[TEXT_MAX];

        return wire_connect_to(control, with_port(name, port, text), ret_fd);
}

/* Connects with a control of its own, which must be refused with this errno. */
static void expect_refused(struct names *names, const char *name, uint32_t error, const char *reason) {
        struct wire control = wire_open_control(names->scene.web, "[::]:0");
        NB_CLEANUP_FREE char *said = NULL;
        char text[TEXT_MAX];

        ck_assert_uint_eq(wire_connect_refused(&control, with_port(name, 80, text), &said), error);
        ck_assert_msg(strstr(said, reason), "\"%s\" is not in: %s", reason, said);
        (void)wire_close(&control);
}

/* Connects with a control of its own, and must get to the listener. */
static void expect_connected(struct names *names, const char *name, const struct peer *peer) {
        struct wire control = wire_open_control(names->scene.web, "[::]:0");
        int fd = -1, other_fd;

        ck_assert_uint_eq(connect_name(&control, name, peer->address.port, &fd), 0);
        other_fd = peer_accept(peer);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
}

/* ---- what a name leads to ---- */

START_TEST(a_name_leads_to_its_address) {
        static const struct fake_dns_name zone[] = {
                { .name = "api.example.com", .ipv4 = "127.0.0.1", .ipv6 = "::1", .ttl = 60 },
        };
        char text[TEXT_MAX], peer_text[NB_ADDRESS_LENGTH_MAX + 1];
        static const char *const ips[] = { "127.0.0.1", "::1" };
        struct peer peer = peer_listen(ips[_i], 8);
        struct names names;
        struct wire control;
        int fd = -1, other_fd;

        start_local(&names, zone, N(zone));
        /* Where both families are asked, IPv6 is refused at once and IPv4 is next, or the other way round. */
        control = wire_open_control(names.scene.web, "[::]:0");
        ck_assert_uint_eq(wire_connect_named(&control, with_port("API.Example.COM.", peer.address.port, text), &fd,
                                             peer_text, NULL),
                          0);
        ck_assert_str_eq(peer_text, peer.text);
        other_fd = peer_accept(&peer);
        peer_exchange(fd, other_fd);
        ck_assert_uint_eq(fake_dns_count(names.dns, "api.example.com"), 2);
        daemon_expect_audit(&names.scene.daemon, "\"asked\":\"API.Example.COM.:", "\"verdict\":\"allowed\"",
                            "\"rule\":\"Connect=*.example.com:*\"");
        daemon_expect_audit(&names.scene.daemon, with_port("\"name\":\"api.example.com", peer.address.port, text),
                            peer.text, "\"verdict\":\"allowed\"");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* A control that is bound to, or open for, one family asks for nothing else. */
START_TEST(only_the_family_that_fits) {
        static const struct fake_dns_name zone[] = {
                { .name = "api.example.com", .ipv4 = "127.0.0.1", .ipv6 = "::1", .ttl = 60 },
                { .name = "six.example.com", .ipv6 = "::1", .ttl = 60 },
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct names names;
        struct wire control;
        char text[TEXT_MAX];
        NB_CLEANUP_FREE char *reason = NULL;
        int fd = -1;

        start(&names, zone, N(zone), "", LOCAL_NAMES "Listen=127.0.0.1:*\n");
        control = wire_open_control(names.scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(connect_name(&control, "api.example.com", peer.address.port, &fd), 0);
        ck_assert_uint_eq(fake_dns_count(names.dns, NULL), 1);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);

        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_refused(&control, with_port("six.example.com", 80, text), &reason),
                          NB_WASI_EHOSTUNREACH);
        ck_assert_ptr_nonnull(strstr(reason, "no address of a family"));
        ck_assert_uint_eq(fake_dns_count(names.dns, NULL), 2);
        (void)wire_close(&control);
        peer_close(&peer);
        end(&names);
}
END_TEST

START_TEST(a_datagram_socket) {
        static const struct fake_dns_name zone[] = {
                { .name = "api.example.com", .ipv4 = "169.254.169.254 127.0.0.1", .ttl = 60 },
        };
        struct peer peer = peer_udp("127.0.0.1"), stranger = peer_udp("127.0.0.1");
        char from[NB_ADDRESS_TEXT_MAX];
        struct names names;
        struct wire control;
        int fd = -1;

        start_local(&names, zone, N(zone));
        ck_assert_uint_eq(wire_open_dgram(names.scene.web, "0.0.0.0:0", &control, NULL), 0);
        ck_assert_uint_eq(connect_name(&control, "api.example.com", peer.address.port, &fd), 0);
        ck_assert_int_eq(send(fd, "hello", 5, 0), 5);
        peer_udp_expect(peer.fd, "hello", from);
        peer_udp_send(&stranger, from, "no");
        peer_udp_send(&peer, from, "yes");
        peer_udp_expect(fd, "yes", NULL);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        peer_close(&stranger);
        end(&names);
}
END_TEST

/* ---- the abuse cases on DNS ---- */

/* Case 22: the second answer is another, and is never asked for. */
START_TEST(abuse_22_rebound) {
        static const struct fake_dns_name zone[] = {
                { .name = "good.example.com",
                  .ipv4 = "127.0.0.1",
                  .forged = "169.254.169.254",
                  .ways = FAKE_DNS_REBOUND },
                { .name = "evil.example.com",
                  .ipv4 = "169.254.169.254",
                  .forged = "127.0.0.1",
                  .ways = FAKE_DNS_REBOUND },
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct names names;
        struct wire control;
        int fd = -1;

        start_local(&names, zone, N(zone));
        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(connect_name(&control, "good.example.com", peer.address.port, &fd), 0);
        ck_assert_uint_eq(fake_dns_count(names.dns, "good.example.com"), 1);
        (void)nb_fd_close(fd);
        fd = peer_accept(&peer);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);

        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(connect_name(&control, "evil.example.com", peer.address.port, &fd), NB_WASI_EACCES);
        ck_assert_uint_eq(fake_dns_count(names.dns, "evil.example.com"), 1);
        daemon_expect_audit(&names.scene.daemon, "\"name\":\"evil.example.com:", "169.254.169.254",
                            "\"verdict\":\"denied\"");
        (void)wire_close(&control);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* Case 23: over TCP and UDP; other ways to connect there are none in this version. */
START_TEST(abuse_23_refused_addresses) {
        static const struct fake_dns_name zone[] = {
                { .name = "meta.example.com", .ipv4 = "169.254.169.254", .ipv6 = "fe80::1", .ttl = 60 },
                { .name = "mapped.example.com", .ipv6 = "::ffff:169.254.169.254 64:ff9b::a9fe:a9fe", .ttl = 60 },
                { .name = "any.example.com", .ipv4 = "0.0.0.0 255.255.255.255 224.0.0.1", .ipv6 = "::", .ttl = 60 },
                { .name = "private.example.com", .ipv4 = "10.0.0.1 192.168.1.1", .ttl = 60 },
                { .name = "loop.example.com", .ipv4 = "127.0.0.1", .ipv6 = "::1", .ttl = 60 },
        };
        struct names names;
        struct wire control;
        int fd = -1;

        /* The default: Addresses=public. */
        start(&names, zone, N(zone), "", "SocketTypes=stream dgram\nConnect=*.example.com:*\nConnect=any:*\n");
        for (size_t i = 0; i < N(zone); ++i) {
                expect_refused(&names, zone[i].name, NB_WASI_EACCES, "resolves to");
                ck_assert_uint_eq(wire_open_dgram(names.scene.web, "[::]:0", &control, NULL), 0);
                ck_assert_uint_eq(connect_name(&control, zone[i].name, 53, &fd), NB_WASI_EACCES);
                (void)wire_close(&control);
        }
        end(&names);
}
END_TEST

/* Case 24: the refused one has a listener, too, and nothing comes to it, also when the other fails. */
START_TEST(abuse_24_mixed_answers) {
        static const struct fake_dns_name zone[] = {
                { .name = "mixed.example.com", .ipv4 = "127.0.0.2 127.0.0.1 169.254.169.254", .ttl = 60 },
        };
        struct peer refused = peer_listen("127.0.0.2", 8), other = peer_listen("127.0.0.1", 8);
        struct peer peer = { .fd = -1 };
        struct names names;
        struct wire control;
        int fd = -1;

        start(&names, zone, N(zone), "", LOCAL_NAMES "Deny=127.0.0.2/32:*\n");
        expect_connected(&names, "mixed.example.com", &other);
        /* Nobody listens at that port of the one that is granted. */
        peer = refused;
        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(connect_name(&control, "mixed.example.com", peer.address.port, &fd), NB_WASI_ECONNREFUSED);
        (void)wire_close(&control);
        peer_expect_nothing(refused.fd);
        daemon_expect_audit(&names.scene.daemon, "\"name\":\"mixed.example.com:", "127.0.0.2", "\"verdict\":\"denied\"",
                            "\"rule\":\"Deny=127.0.0.2/32:*\"");
        peer_close(&refused);
        peer_close(&other);
        end(&names);
}
END_TEST

/* Case 25: what a name has granted, its address has not. */
START_TEST(abuse_25_the_bare_address) {
        static const struct fake_dns_name zone[] = {
                { .name = "api.example.com", .ipv4 = "127.0.0.1", .ttl = 60 },
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct names names;
        struct wire control;
        int fd = -1;

        start_local(&names, zone, N(zone));
        expect_connected(&names, "api.example.com", &peer);
        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), NB_WASI_EACCES);
        ck_assert_uint_eq(connect_name(&control, "other.example.net", peer.address.port, &fd), NB_WASI_EACCES);
        (void)wire_close(&control);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* Case 26: a name is complete as it stands, and localhost is loopback, which is judged. */
START_TEST(abuse_26_no_search_list) {
        static const struct fake_dns_name zone[] = {
                { .name = "intranet.example.com", .ipv4 = "127.0.0.1", .ttl = 60 },
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct names names;

        ck_assert_int_eq(setenv("LOCALDOMAIN", "example.com", 1), 0);
        ck_assert_int_eq(setenv("RES_OPTIONS", "ndots:9", 1), 0);
        start(&names, zone, N(zone), "", LOCAL_NAMES "Connect=localhost:*\nConnect=*.localhost:*\n");
        expect_refused(&names, "intranet", NB_WASI_EHOSTUNREACH, "there is no host intranet");
        ck_assert_uint_eq(fake_dns_count(names.dns, "intranet"), fake_dns_count(names.dns, NULL));

        expect_connected(&names, "localhost", &peer);
        expect_connected(&names, "x.localhost", &peer);
        write_policy(&names, "", "Connect=localhost:*\nConnect=*.localhost:*\n");
        daemon_reload(&names.scene.daemon);
        expect_refused(&names, "x.localhost", NB_WASI_EACCES, "resolves to");
        ck_assert_uint_eq(fake_dns_count(names.dns, "localhost"), 0);
        ck_assert_uint_eq(fake_dns_count(names.dns, "x.localhost"), 0);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* Case 27. */
START_TEST(abuse_27_not_granted_is_not_asked) {
        static const char *const not_granted[] = {
                "example.com", "notexample.com", "example.com.evil.com", "secret.evil.com", "sub.denied.example.com",
        };
        struct names names;

        start(&names, NULL, 0, "", LOCAL_NAMES "Deny=*.denied.example.com:*\n");
        for (size_t i = 0; i < N(not_granted); ++i)
                expect_refused(&names, not_granted[i], NB_WASI_EACCES, not_granted[i]);
        ck_assert_uint_eq(fake_dns_count(names.dns, NULL), 0);
        end(&names);
}
END_TEST

/* ---- answers that are none, or come late ---- */

static const struct fake_dns_name odd_zone[] = {
        { .name = "one.example.com",
          .alias = "a.example.com b.example.com c.example.com",
          .ipv4 = "127.0.0.1",
          .ttl = 60 },
        { .name = "many.example.com", .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_MANY },
        { .name = "tcp.example.com", .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_TRUNCATED },
        { .name = "forged.example.com",
          .ipv4 = "127.0.0.1",
          .forged = "127.0.0.3",
          .ttl = 60,
          .ways = FAKE_DNS_FORGED },
        { .name = "silent6.example.com", .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_SILENT_IPV6 },
        { .name = "twice.example.com", .ipv4 = "127.0.0.1 127.0.0.1 127.0.0.1", .ttl = 60 },
};

START_TEST(odd_but_an_answer) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        uint64_t start_ms;
        struct names names;

        start_local(&names, odd_zone, N(odd_zone));
        start_ms = harness_now_ms();
        expect_connected(&names, odd_zone[_i].name, &peer);
        /* Nothing was waited for but the other family, for a moment. */
        ck_assert_uint_lt(harness_now_ms() - start_ms, AT_ONCE_MS);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* One family is known, and the other is silent: it is waited for no longer than if both were asked. */
START_TEST(one_family_is_known) {
        static const struct fake_dns_name zone[] = {
                { .name = "silent6.example.com", .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_SILENT_IPV6 },
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        uint64_t start_ms;
        struct names names;
        struct wire control;
        int fd = -1;

        start_local(&names, zone, N(zone));
        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(connect_name(&control, zone[0].name, peer.address.port, &fd), 0);
        (void)nb_fd_close(fd);
        fd = peer_accept(&peer);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        ck_assert_uint_eq(fake_dns_count(names.dns, NULL), 1);
        start_ms = harness_now_ms();
        for (int i = 0; i < 3; ++i)
                expect_connected(&names, zone[0].name, &peer);
        ck_assert_uint_lt(harness_now_ms() - start_ms, AT_ONCE_MS);
        ck_assert_uint_eq(fake_dns_count(names.dns, NULL), 2);
        peer_close(&peer);
        end(&names);
}
END_TEST

static const struct {
        struct fake_dns_name name;
        uint32_t error;
        const char *reason;
} bad_answers[] = {
        { { .name = "none.example.com", .ways = FAKE_DNS_NONE }, NB_WASI_EHOSTUNREACH, "there is no host" },
        { { .name = "empty.example.com", .ttl = 60 }, NB_WASI_EHOSTUNREACH, "no address of a family" },
        { { .name = "fails.example.com", .ways = FAKE_DNS_FAILS }, NB_WASI_EAGAIN, "try again" },
        { { .name = "loop.example.com", .alias = "a.example.com loop.example.com a.example.com loop.example.com" },
          NB_WASI_EHOSTUNREACH,
          "no answer" },
        { { .name = "long.example.com",
            .alias = "a.example.com b.example.com c.example.com d.example.com e.example.com f.example.com "
                     "g.example.com h.example.com i.example.com",
            .ipv4 = "127.0.0.1" },
          NB_WASI_EHOSTUNREACH,
          "no answer" },
        { { .name = "garbage.example.com", .ipv4 = "127.0.0.1", .ways = FAKE_DNS_GARBAGE },
          NB_WASI_EHOSTUNREACH,
          "no answer" },
        { { .name = "other.example.com", .ipv4 = "127.0.0.1", .ways = FAKE_DNS_STRAY },
          NB_WASI_EHOSTUNREACH,
          "no address of a family" },
        { { .name = "silent.example.com", .ways = FAKE_DNS_SILENT }, NB_WASI_ETIMEDOUT, "in time" },
};

START_TEST(no_answer) {
        uint64_t start_ms;
        struct names names;

        start(&names, &bad_answers[_i].name, 1, "", LOCAL_NAMES "ConnectTimeout=1s\n");
        start_ms = harness_now_ms();
        expect_refused(&names, bad_answers[_i].name.name, bad_answers[_i].error, bad_answers[_i].reason);
        ck_assert_uint_lt(harness_now_ms() - start_ms, AT_ONCE_MS);
        end(&names);
}
END_TEST

/* "No" is kept as well, and a failure for a second: whoever tries again at once does not ask again. */
START_TEST(answers_are_kept) {
        static const struct fake_dns_name zone[] = {
                { .name = "yes.example.com", .ipv4 = "127.0.0.1", .ttl = 60 },
                { .name = "none.example.com", .ttl = 60, .ways = FAKE_DNS_NONE | FAKE_DNS_SOA },
                { .name = "empty.example.com", .ttl = 60, .ways = FAKE_DNS_SOA },
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct names names;

        start_local(&names, zone, N(zone));
        for (int i = 0; i < 3; ++i) {
                expect_connected(&names, "yes.example.com", &peer);
                expect_refused(&names, "none.example.com", NB_WASI_EHOSTUNREACH, "there is no host");
                expect_refused(&names, "empty.example.com", NB_WASI_EHOSTUNREACH, "no address");
        }
        ck_assert_uint_eq(fake_dns_count(names.dns, NULL), 6);
        /* Other name servers, and nothing is known any more. */
        names.dns = fake_dns_stop(names.dns);
        names.dns = fake_dns_start(zone, N(zone));
        write_policy(&names, "", LOCAL_NAMES);
        daemon_reload(&names.scene.daemon);
        expect_connected(&names, "yes.example.com", &peer);
        ck_assert_uint_eq(fake_dns_count(names.dns, "yes.example.com"), 2);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* ---- many, and limits ---- */

#define MANY 1000

/* All are asked before the first is answered: each has sockets of its own, and so an id and a port that nobody can guess. */
START_TEST(a_thousand_at_once) {
        static struct fake_dns_name zone[MANY];
        static char texts[MANY][32];
        static struct wire controls[MANY];
        struct peer peer = peer_listen("127.0.0.1", MANY);
        struct names names;
        char text[TEXT_MAX];

        for (int i = 0; i < MANY; ++i) {
                (void)snprintf(texts[i], sizeof(texts[i]), "n%d.example.com", i);
                zone[i] = (struct fake_dns_name){
                        .name = texts[i], .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_HELD
                };
        }
        start(&names, zone, MANY, "MaxLookups=1000\nRequestRate=infinity\n", LOCAL_NAMES);
        for (int i = 0; i < MANY; ++i) {
                controls[i] = wire_open_control(names.scene.web, "0.0.0.0:0");
                wire_send_connect(&controls[i], with_port(texts[i], peer.address.port, text));
        }
        fake_dns_wait(names.dns, NULL, MANY);
        ck_assert_uint_gt(fake_dns_count_ids(names.dns), MANY * 95 / 100);
        ck_assert_uint_gt(fake_dns_count_ports(names.dns), MANY * 95 / 100);
        fake_dns_release(names.dns);
        for (int i = 0; i < MANY; ++i) {
                int fd = -1;

                ck_assert_uint_eq(wire_receive_connected(&controls[i], &fd), 0);
                (void)nb_fd_close(fd);
                (void)wire_close(&controls[i]);
        }
        peer_close(&peer);
        end(&names);
}
END_TEST

START_TEST(equal_questions_are_one) {
        static const struct fake_dns_name zone[] = {
                { .name = "api.example.com", .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_HELD },
        };
        struct peer peer = peer_listen("127.0.0.1", 16);
        struct wire controls[10];
        struct names names;
        char text[TEXT_MAX];

        start(&names, zone, N(zone), "MaxLookups=1\n", LOCAL_NAMES);
        for (size_t i = 0; i < N(controls); ++i) {
                controls[i] = wire_open_control(names.scene.web, "[::]:0");
                wire_send_connect(&controls[i], with_port("api.example.com", peer.address.port, text));
                wire_wait_taken(&controls[i]);
        }
        fake_dns_wait(names.dns, NULL, 2);
        fake_dns_release(names.dns);
        for (size_t i = 0; i < N(controls); ++i) {
                int fd = -1;

                ck_assert_uint_eq(wire_receive_connected(&controls[i], &fd), 0);
                (void)nb_fd_close(fd);
                (void)wire_close(&controls[i]);
        }
        ck_assert_uint_eq(fake_dns_count(names.dns, NULL), 2);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* One that reaches fewer families than who asked first is told of no others. */
START_TEST(an_equal_question_for_fewer_families) {
        static const struct fake_dns_name zone[] = {
                { .name = "api.example.com", .ipv4 = "127.0.0.1", .ipv6 = "::1", .ttl = 60, .ways = FAKE_DNS_HELD },
        };
        struct peer peer = peer_listen("::1", 8);
        struct wire both, ipv4;
        struct names names;
        char text[TEXT_MAX];
        int fd = -1;

        start_local(&names, zone, N(zone));
        both = wire_open_control(names.scene.web, "[::]:0");
        ipv4 = wire_open_control(names.scene.web, "0.0.0.0:0");
        (void)with_port("api.example.com", peer.address.port, text);
        wire_send_connect(&both, text);
        wire_wait_taken(&both);
        wire_send_connect(&ipv4, text);
        wire_wait_taken(&ipv4);
        fake_dns_wait(names.dns, NULL, 2);
        fake_dns_release(names.dns);
        ck_assert_uint_eq(wire_receive_connected(&both, &fd), 0);
        (void)nb_fd_close(fd);
        ck_assert_uint_eq(wire_receive_connected(&ipv4, &fd), NB_WASI_ECONNREFUSED);
        ck_assert_uint_eq(fake_dns_count(names.dns, NULL), 2);
        (void)wire_close(&both);
        (void)wire_close(&ipv4);
        peer_close(&peer);
        end(&names);
}
END_TEST

static const struct fake_dns_name held_zone[] = {
        { .name = "one.example.com", .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_HELD },
        { .name = "two.example.com", .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_HELD },
        { .name = "three.example.com", .ipv4 = "127.0.0.1", .ttl = 60, .ways = FAKE_DNS_HELD },
};

/* Also that closing the control ends the look-up, with its sockets, and makes room. */
START_TEST(too_many_look_ups) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct wire first, second;
        struct names names;
        char text[TEXT_MAX];

        start(&names, held_zone, N(held_zone), "MaxLookups=2\n", LOCAL_NAMES);
        first = wire_open_control(names.scene.web, "0.0.0.0:0");
        second = wire_open_control(names.scene.web, "0.0.0.0:0");
        wire_send_connect(&first, with_port("one.example.com", peer.address.port, text));
        wire_send_connect(&second, with_port("two.example.com", peer.address.port, text));
        fake_dns_wait(names.dns, NULL, 2);
        expect_refused(&names, "three.example.com", NB_WASI_EAGAIN, "MaxLookups=");
        daemon_expect_audit(&names.scene.daemon, "three.example.com:80", "MaxLookups=", "\"verdict\":\"denied\"");
        (void)wire_close(&first);
        (void)wire_close(&second);
        daemon_wait_fds(&names.scene.daemon, names.scene.baseline);
        fake_dns_release(names.dns);
        expect_connected(&names, "three.example.com", &peer);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* ---- reload ---- */

/* A connect whose name, or whose address, is no longer granted ends; another goes on. */
START_TEST(judged_again_by_name) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct wire kept, ended;
        struct names names;
        char text[TEXT_MAX];
        int fd = -1;

        start_local(&names, held_zone, N(held_zone));
        kept = wire_open_control(names.scene.web, "0.0.0.0:0");
        ended = wire_open_control(names.scene.web, "0.0.0.0:0");
        wire_send_connect(&kept, with_port("one.example.com", peer.address.port, text));
        wire_send_connect(&ended, with_port("two.example.com", peer.address.port, text));
        fake_dns_wait(names.dns, NULL, 2);
        write_policy(&names, "", LOCAL_NAMES "Deny=two.example.com:*\n");
        daemon_reload(&names.scene.daemon);
        wire_expect_end(&ended);
        (void)wire_close(&ended);
        fake_dns_release(names.dns);
        ck_assert_uint_eq(wire_receive_connected(&kept, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&kept);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* The name stays granted while it is looked up, and its address does not. */
START_TEST(judged_by_the_policy_of_the_answer) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct wire control;
        struct names names;

        start_local(&names, held_zone, N(held_zone));
        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        wire_send_connect(&control, "one.example.com:80");
        fake_dns_wait(names.dns, NULL, 1);
        write_policy(&names, "", "Connect=*.example.com:*\n");
        daemon_reload(&names.scene.daemon);
        fake_dns_release(names.dns);
        ck_assert(wire_receive(&control, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_REFUSED);
        ck_assert_uint_eq(reply->reply->refused->error, NB_WASI_EACCES);
        (void)wire_close(&control);
        end(&names);
}
END_TEST

/* With Existing=keep the control stays, and what the new policy does not grant is not connected to. */
START_TEST(a_name_that_is_taken_away_meanwhile) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct wire control;
        struct names names;
        char text[TEXT_MAX];

        start(&names, held_zone, N(held_zone), "Existing=keep\n", LOCAL_NAMES);
        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        wire_send_connect(&control, with_port("one.example.com", peer.address.port, text));
        fake_dns_wait(names.dns, NULL, 1);
        write_policy(&names, "Existing=keep\n", LOCAL_NAMES "Deny=one.example.com:*\n");
        daemon_reload(&names.scene.daemon);
        fake_dns_release(names.dns);
        ck_assert(wire_receive(&control, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_REFUSED);
        ck_assert_uint_eq(reply->reply->refused->error, NB_WASI_EACCES);
        daemon_expect_audit(&names.scene.daemon, text, "Deny=one.example.com:*", "\"verdict\":\"denied\"");
        (void)wire_close(&control);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* Other name servers: what is under way is asked of them. */
START_TEST(asked_again_of_other_servers) {
        static const struct fake_dns_name zone[] = {
                { .name = "one.example.com", .ipv4 = "127.0.0.1", .ttl = 60 },
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct fake_dns *silent;
        struct wire control;
        struct names names;
        char text[TEXT_MAX];
        int fd = -1;

        start_local(&names, held_zone, N(held_zone));
        control = wire_open_control(names.scene.web, "0.0.0.0:0");
        wire_send_connect(&control, with_port("one.example.com", peer.address.port, text));
        fake_dns_wait(names.dns, NULL, 1);
        silent = names.dns;
        names.dns = fake_dns_start(zone, N(zone));
        write_policy(&names, "", LOCAL_NAMES);
        daemon_reload(&names.scene.daemon);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), 0);
        silent = fake_dns_stop(silent);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* ---- happy eyeballs ---- */

static const struct fake_dns_name both_zone[] = {
        { .name = "both.example.com", .ipv4 = "127.0.0.1", .ipv6 = "::1", .ttl = 60 },
        { .name = "four.example.com", .ipv4 = "127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.1", .ttl = 60 },
};

/* A listener on another address at the port of the first. @return whether nobody else had it */
static bool listen_beside(const char *ip, int backlog, uint16_t port, struct peer *ret) {
        struct nb_address address = { .port = port };
        struct sockaddr_storage sa;
        socklen_t length;
        int fd;

        ck_assert_int_eq(nb_ip_parse(ip, strlen(ip), &address.ip), 0);
        length = nb_address_to_sockaddr(&address, &sa);
        fd = socket(address.ip.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        if (bind(fd, (struct sockaddr *)&sa, length) < 0 || listen(fd, backlog) < 0) {
                (void)nb_fd_close(fd);
                return false;
        }
        *ret = (struct peer){ .fd = fd, .address = address };
        (void)nb_address_format(&address, ret->text);
        return true;
}

/* Two listeners on one port. */
static void listen_on_both(const char *ip, const char *other_ip, struct peer *ret, struct peer *ret_other) {
        for (int i = 0; i < 100; ++i) {
                *ret = peer_listen(ip, 1);
                if (listen_beside(other_ip, 8, ret->address.port, ret_other))
                        return;
                peer_close(ret);
        }
        ck_abort_msg("no port is free on both addresses");
}

/* The first drops who comes, as a firewall does: the second is dialled a quarter of a second later. The loser is closed in the broker. */
START_TEST(a_black_hole_is_not_waited_for) {
        struct peer hole, good;
        int fds[16];
        uint64_t start_ms, took_ms;
        struct names names;
        size_t n;

        listen_on_both("::1", "127.0.0.1", &hole, &good);
        n = peer_fill_backlog(&hole, fds, N(fds));
        start_local(&names, both_zone, N(both_zone));
        start_ms = harness_now_ms();
        expect_connected(&names, "both.example.com", &good);
        took_ms = harness_now_ms() - start_ms;
        (void)fprintf(stderr, "fell back after %u ms\n", (unsigned)took_ms);
        ck_assert_uint_ge(took_ms, 250);
        ck_assert_uint_lt(took_ms, AT_ONCE_MS);
        daemon_wait_fds(&names.scene.daemon, names.scene.baseline);
        nb_fds_close(fds, n);
        peer_close(&hole);
        peer_close(&good);
        end(&names);
}
END_TEST

/* Three that refuse cost no time. */
START_TEST(a_failure_is_followed_at_once) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        uint64_t start_ms;
        struct names names;

        start_local(&names, both_zone, N(both_zone));
        expect_connected(&names, "both.example.com", &peer); /* so that the name is known */
        start_ms = harness_now_ms();
        expect_connected(&names, "four.example.com", &peer);
        ck_assert_uint_lt(harness_now_ms() - start_ms, 250);
        peer_close(&peer);
        end(&names);
}
END_TEST

/* With room for one connect at a time the second waits for the end of the first, and the whole ends in time. */
START_TEST(one_connect_at_a_time) {
        struct peer hole, good;
        struct wire control;
        int fds[16], fd = -1;
        struct names names;
        size_t n;

        listen_on_both("::1", "127.0.0.1", &hole, &good);
        n = peer_fill_backlog(&hole, fds, N(fds));
        start(&names, both_zone, N(both_zone), "MaxConnecting=1\n", LOCAL_NAMES "ConnectTimeout=1s\n");
        control = wire_open_control(names.scene.web, "[::]:0");
        ck_assert_uint_eq(connect_name(&control, "both.example.com", hole.address.port, &fd), NB_WASI_ETIMEDOUT);
        peer_expect_nothing(good.fd);
        (void)wire_close(&control);
        nb_fds_close(fds, n);
        peer_close(&hole);
        peer_close(&good);
        end(&names);
}
END_TEST

/* Closing the control, and a reload, end all attempts. */
START_TEST(attempts_end_with_the_control) {
        struct peer hole, other_hole;
        int fds[16], other_fds[16];
        struct wire control;
        struct names names;
        char text[TEXT_MAX];
        size_t n, other_n;

        listen_on_both("::1", "127.0.0.1", &hole, &other_hole);
        n = peer_fill_backlog(&hole, fds, N(fds));
        other_n = peer_fill_backlog(&other_hole, other_fds, N(other_fds));
        start_local(&names, both_zone, N(both_zone));
        control = wire_open_control(names.scene.web, "[::]:0");
        wire_send_connect(&control, with_port("both.example.com", hole.address.port, text));
        /* The control's channel, and two that are dialled. */
        daemon_wait_fds(&names.scene.daemon, names.scene.baseline + 3);
        if (_i == 0) {
                (void)wire_close(&control);
        } else {
                write_policy(&names, "", LOCAL_NAMES "Deny=[::1]/128:*\n");
                daemon_reload(&names.scene.daemon);
                wire_expect_end(&control);
                (void)wire_close(&control);
        }
        daemon_wait_fds(&names.scene.daemon, names.scene.baseline);
        nb_fds_close(fds, n);
        nb_fds_close(other_fds, other_n);
        peer_close(&hole);
        peer_close(&other_hole);
        end(&names);
}
END_TEST

/* In report mode what is not granted is let pass, with a record, and so it is looked up. */
START_TEST(report_mode) {
        static const struct fake_dns_name zone[] = {
                { .name = "api.example.net", .ipv4 = "127.0.0.1", .ttl = 60 },
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct names names;

        start(&names, zone, N(zone), "Mode=report\n", "Connect=*.example.com:*\n");
        expect_connected(&names, "api.example.net", &peer);
        daemon_expect_audit(&names.scene.daemon, "\"name\":\"api.example.net:", "\"verdict\":\"reported\"");
        peer_close(&peer);
        end(&names);
}
END_TEST

static void add_abuse_cases(Suite *suite) {
        TCase *tcase = tcase_create("abuse");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, abuse_22_rebound);
        tcase_add_test(tcase, abuse_23_refused_addresses);
        tcase_add_test(tcase, abuse_24_mixed_answers);
        tcase_add_test(tcase, abuse_25_the_bare_address);
        tcase_add_test(tcase, abuse_26_no_search_list);
        tcase_add_test(tcase, abuse_27_not_granted_is_not_asked);
}

static void add_answers(Suite *suite) {
        TCase *tcase = tcase_create("answers");

        suite_add_tcase(suite, tcase);
        tcase_add_loop_test(tcase, a_name_leads_to_its_address, 0, 2);
        tcase_add_test(tcase, only_the_family_that_fits);
        tcase_add_test(tcase, a_datagram_socket);
        tcase_add_loop_test(tcase, odd_but_an_answer, 0, N(odd_zone));
        tcase_add_test(tcase, one_family_is_known);
        tcase_add_loop_test(tcase, no_answer, 0, N(bad_answers));
        tcase_add_test(tcase, answers_are_kept);
        tcase_add_test(tcase, report_mode);
}

static void add_limits(Suite *suite) {
        TCase *tcase = tcase_create("limits");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, a_thousand_at_once);
        tcase_add_test(tcase, equal_questions_are_one);
        tcase_add_test(tcase, an_equal_question_for_fewer_families);
        tcase_add_test(tcase, too_many_look_ups);
}

static void add_reload(Suite *suite) {
        TCase *tcase = tcase_create("reload");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, judged_again_by_name);
        tcase_add_test(tcase, judged_by_the_policy_of_the_answer);
        tcase_add_test(tcase, a_name_that_is_taken_away_meanwhile);
        tcase_add_test(tcase, asked_again_of_other_servers);
}

static void add_dialling(Suite *suite) {
        TCase *tcase = tcase_create("dialling");

        suite_add_tcase(suite, tcase);
        tcase_add_test(tcase, a_black_hole_is_not_waited_for);
        tcase_add_test(tcase, a_failure_is_followed_at_once);
        tcase_add_test(tcase, one_connect_at_a_time);
        tcase_add_loop_test(tcase, attempts_end_with_the_control, 0, 2);
}

int main(void) {
        Suite *suite = suite_create("names");

        add_abuse_cases(suite);
        add_answers(suite);
        add_limits(suite);
        add_reload(suite);
        add_dialling(suite);
        return run_suite(suite);
}
