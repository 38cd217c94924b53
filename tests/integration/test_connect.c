/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting: what a session gets, what it is refused, and what is left in the broker.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define BACKLOG_FDS 16

static const char *const loopbacks[] = { "127.0.0.1", "::1" };

static const char *any_of(const char *ip) {
        return strchr(ip, ':') ? "[::]:0" : "0.0.0.0:0";
}

/* The address that a socket is bound to, or connected to. */
static struct nb_address name_of(int fd, int (*get)(int, __SOCKADDR_ARG, socklen_t *)) {
        struct sockaddr_storage sa = { 0 };
        socklen_t length = sizeof(sa);
        struct nb_address address;

        ck_assert_int_eq(get(fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &address), 0);
        return address;
}

START_TEST(a_stream_works_and_the_broker_is_out_of_it) {
        struct peer peer = peer_listen(loopbacks[_i], 8);
        struct scene scene;
        struct wire control;
        struct nb_address to;
        int fd, other_fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, any_of(loopbacks[_i]));
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        other_fd = peer_accept(&peer);
        to = name_of(fd, getpeername);
        ck_assert(nb_address_equal(&to, &peer.address));
        ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        peer_exchange(fd, other_fd);
        /* The control is all that is left of it there, so the close is seen at once, with the control still open. */
        daemon_wait_fds(&scene.daemon, scene.baseline + 1);
        (void)nb_fd_close(fd);
        peer_expect_end(other_fd);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"allowed\"",
                            "\"rule\":\"Connect=", "\"protocol\":\"web\"", peer.text);
        (void)wire_close(&control);
        (void)nb_fd_close(other_fd);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(a_stream_outlives_control_session_and_broker) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd, other_fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        other_fd = peer_accept(&peer);
        (void)wire_close(&control);
        scene_end(&scene);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        peer_close(&peer);
}
END_TEST

/* Documentation addresses (RFC 5737), in a network namespace that has loopback and one route, which rejects. */
static const struct {
        const char *address;
        uint32_t error;
} nowhere[] = {
        { "192.0.2.1:80", NB_WASI_ENETUNREACH },
        { "198.51.100.1:80", NB_WASI_EHOSTUNREACH },
};

static struct sockaddr ipv4_of(const char *text) {
        struct sockaddr_in in = { .sin_family = AF_INET };
        struct sockaddr sa;

        ck_assert_int_eq(inet_pton(AF_INET, text, &in.sin_addr), 1);
        memcpy(&sa, &in, sizeof(sa));
        return sa;
}

/* Puts this test's process, and what it starts, into a network of its own. */
static void enter_lonely_network(void) {
        NB_CLEANUP_FD int fd = -1;
        struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
        struct rtentry reject = { .rt_flags = RTF_UP | RTF_REJECT };

        ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &loopback), 0);
        reject.rt_dst = ipv4_of("198.51.100.0");
        reject.rt_genmask = ipv4_of("255.255.255.0");
        ck_assert_int_eq(ioctl(fd, SIOCADDRT, &reject), 0);
}

START_TEST(there_is_no_way) {
        struct wire control;
        struct scene scene;
        int fd;

        enter_lonely_network();
        scene_start(&scene, NULL, "SocketTypes=stream dgram\nConnect=192.0.2.0/24:*\nConnect=198.51.100.0/24:*\n");
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, nowhere[_i].address, &fd), nowhere[_i].error);
        (void)wire_close(&control);
        scene_expect_baseline(&scene);
        scene_end(&scene);
}
END_TEST

START_TEST(connections_one_after_the_other) {
        struct peer peer = peer_listen("127.0.0.1", 64);
        struct scene scene;
        struct wire control;
        int fds[32], others[32];

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        for (int i = 0; i < 32; ++i) {
                ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fds[i]), 0);
                others[i] = peer_accept(&peer);
        }
        daemon_wait_fds(&scene.daemon, scene.baseline + 1);
        for (int i = 0; i < 32; ++i) {
                peer_exchange(fds[i], others[i]);
                (void)nb_fd_close(fds[i]);
                (void)nb_fd_close(others[i]);
        }
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(refused_by_the_peer_and_then_not) {
        struct peer peer = peer_listen(loopbacks[_i], 8), gone = peer_listen(loopbacks[_i], 8);
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        peer_close(&gone);
        control = wire_open_control(scene.web, any_of(loopbacks[_i]));
        ck_assert_uint_eq(wire_connect_to(&control, gone.text, &fd), NB_WASI_ECONNREFUSED);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* ---- refused by policy ---- */

#define RULES                                                                                                          \
        "Connect=127.0.0.1:80\n"                                                                                       \
        "Connect=127.0.0.8/29:*\n"                                                                                     \
        "Deny=127.0.0.9/32:*\n"                                                                                        \
        "Connect=10.0.0.0/8:*\n"                                                                                       \
        "Connect=0.0.0.0/0:443\n"                                                                                      \
        "Connect=[::]/0:443\n"

/* One row an address that must not be dialled, with what the guest and the operator learn. */
static const struct {
        const char *address;
        uint32_t error;
        const char *audit; /* a part of the record's line */
} refusals[] = {
        /* What no rule names. */
        { "127.0.0.2:80", NB_WASI_EACCES, "\"remedy\":\"Connect=127.0.0.2" },
        { "127.0.0.1:81", NB_WASI_EACCES, "\"remedy\":\"Connect=127.0.0.1" },
        { "192.0.2.1:80", NB_WASI_EACCES, "\"remedy\":\"Connect=192.0.2.1" },
        { "[::1]:80", NB_WASI_EACCES, "\"remedy\":\"Connect=[::1]" },
        /* A Deny rule. */
        { "127.0.0.9:80", NB_WASI_EACCES, "\"rule\":\"Deny=127.0.0.9/32:*\"" },
        /* What even a rule for everything does not name: cases 12 to 14. */
        { "127.0.0.1:443", NB_WASI_EACCES, "\"verdict\":\"denied\"" },
        { "169.254.169.254:443", NB_WASI_EACCES, "\"verdict\":\"denied\"" },
        { "0.0.0.0:443", NB_WASI_EACCES, "\"address\":\"127.0.0.1:443\"" },
        { "[::]:443", NB_WASI_EACCES, "\"address\":\"[::1]:443\"" },
        { "[::1]:443", NB_WASI_EACCES, "\"verdict\":\"denied\"" },
        { "[::ffff:169.254.169.254]:443", NB_WASI_EACCES, "\"address\":\"169.254.169.254:443\"" },
        { "[::ffff:127.0.0.9]:80", NB_WASI_EACCES, "\"rule\":\"Deny=127.0.0.9/32:*\"" },
        { "[64:ff9b::a9fe:a9fe]:443", NB_WASI_EACCES, "\"verdict\":\"denied\"" },
        { "[2002:7f00:1::]:443", NB_WASI_EACCES, "\"verdict\":\"denied\"" },
        { "[::169.254.169.254]:443", NB_WASI_EACCES, "\"verdict\":\"denied\"" },
        /* Not addresses: cases 11, 15, 18, 19. */
        { "", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "127.1:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "2130706433:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "0x7f000001:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "127.0.0.1", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "127.0.0.1:", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "127.0.0.1:+80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "127.0.0.1:080", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "127.0.0.1:65536", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "127.0.0.1:80x", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "127.0.0.1 x:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "[127.0.0.1]:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "[localhost]:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "[::1%lo]:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        /* Names, which nothing grants yet: the record says which one. */
        { "localhost:80", NB_WASI_EACCES, "\"asked\":\"localhost:80\"" },
        { "Redis.Example.:6379", NB_WASI_EACCES, "\"asked\":\"Redis.Example.:6379\"" },
        { "a.-b:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "a..b:80", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "a.example:0", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "a.example", NB_WASI_EINVAL, "neither an address nor a host name" },
        { "a\n{\"verdict\":\"allowed\"}:80", NB_WASI_EINVAL, "a\\\\x0a{" },
};

START_TEST(refused_with_a_record) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct scene scene;
        struct wire control;

        scene_start(&scene, NULL, RULES);
        control = wire_open_control(scene.web, "[::]:0");
        wire_send_connect(&control, refusals[_i].address);
        ck_assert(wire_receive(&control, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_REFUSED);
        ck_assert_uint_eq(reply->reply->refused->error, refusals[_i].error);
        /* ExplainDenials=yes. */
        ck_assert_str_ne(reply->reply->refused->reason, "");
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"denied\"", "\"reason\":\"",
                            "\"tenant\":\"acme\"", "\"protocol\":\"web\"", "\"label\":\"a test\"", refusals[_i].audit);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

START_TEST(reasons_are_hidden_unless_the_policy_shows_them) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct wire_session session;
        struct daemon daemon;
        struct wire control;

        daemon_init(&daemon);
        daemon_write_policy(&daemon, "[Tenant]\nName=acme\nUser=%u\n[Protocol web]\nFamily=ip\nDataPath=direct\n",
                            (unsigned)getuid());
        daemon_start(&daemon, NULL);
        wire_session_open(daemon.socket_path, "", &session);
        control = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        wire_send_connect(&control, "127.0.0.1:80");
        ck_assert(wire_receive(&control, reply));
        ck_assert_uint_eq(reply->reply->refused->error, NB_WASI_EACCES);
        ck_assert_str_eq(reply->reply->refused->reason, "");
        daemon_expect_audit(&daemon, "\"verdict\":\"denied\"", "\"remedy\":\"Connect=127.0.0.1");
        (void)wire_close(&control);
        wire_session_close(&session);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
}
END_TEST

/* A flood is cut and counted, and hides nothing of another tenant (abuse case 46). */
START_TEST(abuse_46_a_flood_of_refusals_is_counted) {
        const char *const denied[] = { "\"verdict\":\"denied\"", "192.0.2.1", NULL };
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        for (int i = 0; i < 2000; ++i)
                ck_assert_uint_eq(wire_connect_to(&control, "192.0.2.1:80", &fd), NB_WASI_EACCES);
        ck_assert_uint_lt(daemon_count_audit(&scene.daemon, denied), 1000);
        daemon_reload(&scene.daemon);
        /* Who has no tenant is counted apart. */
        ck_assert_uint_eq(wire_hello(&(struct wire){ .fd = wire_connect(scene.daemon.socket_path).fd }, "nobody",
                                     &(struct wire_session){ 0 }),
                          NB_WASI_EACCES);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"hello\"", "\"asked\":\"nobody\"");
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* Refusals are recorded at any level of the log. */
START_TEST(refusals_are_recorded_with_a_quiet_log) {
        const char *const quiet[] = { "--log-level", "error", NULL };
        struct daemon_options options = { .no_info = true, .arguments = quiet };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, &options, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        ck_assert_uint_eq(wire_connect_to(&control, "192.0.2.1:80", &fd), NB_WASI_EACCES);
        daemon_expect_audit(&scene.daemon, "\"verdict\":\"denied\"", "192.0.2.1");
        ck_assert_uint_eq(daemon_count_audit(&scene.daemon, (const char *[]){ "\"allowed\"", NULL }), 0);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* ---- what was judged is what is used ---- */

START_TEST(a_mapped_address_is_the_ipv4_that_it_is) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        char mapped[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        struct nb_address to;
        int fd;

        (void)snprintf(mapped, sizeof(mapped), "[::ffff:127.0.0.1]:%u", peer.address.port);
        scene_start(&scene, NULL, "Connect=127.0.0.1:*\n");
        control = wire_open_control(scene.web, "[::]:0");
        ck_assert_uint_eq(wire_connect_to(&control, mapped, &fd), 0);
        to = name_of(fd, getpeername);
        ck_assert(nb_address_equal(&to, &peer.address));
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(the_family_must_fit) {
        struct scene scene;
        struct wire control, none;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "[::1]:80", &fd), NB_WASI_EAFNOSUPPORT);
        (void)wire_close(&control);
        /* Bound to an address, IPv6 is IPv6 only. */
        control = wire_open_control(scene.web, "[::1]:0");
        ck_assert_uint_eq(wire_connect_to(&control, "127.0.0.1:80", &fd), NB_WASI_EAFNOSUPPORT);
        (void)wire_close(&control);
        scene_end(&scene);

        daemon_init(&scene.daemon);
        daemon_write_policy(&scene.daemon,
                            "[Tenant]\nName=acme\nUser=%u\n[Protocol web]\nFamily=ipv4\nDataPath=direct\n"
                            "Connect=127.0.0.1:*\n",
                            (unsigned)getuid());
        daemon_start(&scene.daemon, NULL);
        wire_session_open(scene.daemon.socket_path, "", &scene.session);
        ck_assert_uint_eq(wire_open(&scene.session.protocols[0], "[::]:0", &none, NULL), NB_WASI_EAFNOSUPPORT);
        wire_session_close(&scene.session);
        daemon_stop(&scene.daemon);
        daemon_deinit(&scene.daemon);
}
END_TEST

START_TEST(a_bound_source_address) {
        struct peer peer = peer_listen("127.0.0.1", 8), second = peer_listen("127.0.0.1", 8);
        char bound[NB_ADDRESS_LENGTH_MAX + 1];
        struct nb_address from;
        struct scene scene;
        struct wire control;
        int fd, second_fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:0", &control, bound), 0);
        ck_assert_uint_ne(peer_port(bound), 0);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        from = name_of(fd, getsockname);
        ck_assert_uint_eq(from.port, peer_port(bound));
        /* The second comes from there too. */
        ck_assert_uint_eq(wire_connect_to(&control, second.text, &second_fd), 0);
        from = name_of(second_fd, getsockname);
        ck_assert_uint_eq(from.port, peer_port(bound));
        (void)nb_fd_close(fd);
        (void)nb_fd_close(second_fd);
        (void)wire_close(&control);
        peer_close(&peer);
        peer_close(&second);
        scene_end(&scene);
}
END_TEST

START_TEST(binding_needs_a_listen_grant) {
        struct scene scene;
        struct wire none;

        scene_start(&scene, NULL, "Connect=127.0.0.1:*\nListen=127.0.0.1:1-1000\n");
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:0", &none, NULL), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:1001", &none, NULL), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.2:0", &none, NULL), NB_WASI_EACCES);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"listen\"", "\"verdict\":\"denied\"", "127.0.0.1:1001");
        scene_end(&scene);
}
END_TEST

/* ---- rights and kinds ---- */

static uint32_t open_with(struct wire *protocol, uint64_t base, uint64_t inheriting, struct wire_reply *reply) {
        wire_send_open(protocol, "0.0.0.0:0", base, inheriting);
        ck_assert(wire_receive(protocol, reply));
        if (reply->reply->body_case == NB__REPLY__BODY_REFUSED)
                return reply->reply->refused->error;
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_OPENED);
        return 0;
}

START_TEST(rights_bound_what_a_control_does) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        ck_assert_uint_eq(open_with(scene.web, 0, 0, reply), 0);
        control = (struct wire){ .fd = reply->fds.fds[0] };
        ck_assert_uint_eq(wire_connect_to(&control, "127.0.0.1:80", &fd), NB_WASI_ENOTCAPABLE);
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), NB_WASI_ENOTCAPABLE);
        (void)wire_close(&control);

        /* What no control or stream can use is dropped in silence, and what is confirmed is what there is. */
        ck_assert_uint_eq(open_with(scene.web, UINT64_MAX, UINT64_MAX, reply), 0);
        ck_assert_uint_eq(reply->reply->opened->rights_base, NB_RIGHTS_CONTROL);
        ck_assert_uint_eq(reply->reply->opened->rights_inheriting, NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM);
        nb_channel_fds_close(&reply->fds);
        scene_end(&scene);
}
END_TEST

static uint32_t open_type(struct wire *protocol, int type) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Open open = NB__OPEN__INIT;

        open.address = (char *)"0.0.0.0:0";
        open.type = (Nb__SocketType)type;
        request.body_case = NB__REQUEST__BODY_OPEN;
        request.open = &open;
        request.serial = ++protocol->serial;
        wire_send(protocol, &request);
        ck_assert(wire_receive(protocol, reply));
        return reply->reply->body_case == NB__REPLY__BODY_REFUSED ? reply->reply->refused->error : 0;
}

START_TEST(streams_only) {
        struct scene scene;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        ck_assert_uint_eq(open_type(scene.web, 5), NB_WASI_ENOTSUP);
        ck_assert_uint_eq(open_type(scene.web, 0), NB_WASI_ENOTSUP);
        ck_assert_uint_eq(open_type(scene.web, 7), NB_WASI_ENOTSUP);
        ck_assert_uint_eq(open_type(scene.web, INT32_MAX), NB_WASI_ENOTSUP);
        scene_end(&scene);
}
END_TEST

/* ---- waiting ---- */

struct full {
        struct peer peer;
        int fds[BACKLOG_FDS];
        size_t n;
};

/* A listener that answers no SYN: a connect to it lasts until its deadline. */
static struct full new_full(void) {
        struct full full = { .peer = peer_listen("127.0.0.1", 1) };

        full.n = peer_fill_backlog(&full.peer, full.fds, BACKLOG_FDS);
        return full;
}

static void close_full(struct full *full) {
        for (size_t i = 0; i < full->n; ++i)
                (void)nb_fd_close(full->fds[i]);
        peer_close(&full->peer);
}

START_TEST(a_connect_has_a_deadline) {
        struct full full = new_full();
        struct scene scene;
        struct wire control;
        uint64_t start;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK "ConnectTimeout=200ms\n");
        control = wire_open_control(scene.web, "0.0.0.0:0");
        start = harness_now_ms();
        ck_assert_uint_eq(wire_connect_to(&control, full.peer.text, &fd), NB_WASI_ETIMEDOUT);
        ck_assert_uint_ge(harness_now_ms() - start, 190);
        daemon_wait_fds(&scene.daemon, scene.baseline + 1);
        (void)wire_close(&control);
        close_full(&full);
        scene_end(&scene);
}
END_TEST

START_TEST(closing_the_control_gives_a_connect_up) {
        struct full full = new_full();
        struct scene scene;
        struct wire control;

        scene_start(&scene, NULL, SCENE_LOOPBACK "ConnectTimeout=10min\n");
        control = wire_open_control(scene.web, "0.0.0.0:0");
        wire_send_connect(&control, full.peer.text);
        wire_settle(scene.web);
        daemon_wait_fds(&scene.daemon, scene.baseline + 2);
        wire_expect_silence(&control);
        (void)wire_close(&control);
        scene_expect_baseline(&scene);
        close_full(&full);
        scene_end(&scene);
}
END_TEST

/* One hangs, the others do not wait for it (abuse case 45). */
START_TEST(abuse_45_others_do_not_wait_for_a_connect) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct full full = new_full();
        struct wire waiting[32], control;
        struct scene scene;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK "ConnectTimeout=10min\n");
        for (int i = 0; i < 32; ++i) {
                waiting[i] = wire_open_control(scene.web, "0.0.0.0:0");
                wire_send_connect(&waiting[i], full.peer.text);
        }
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        for (int i = 0; i < 32; ++i)
                (void)wire_close(&waiting[i]);
        scene_expect_baseline(&scene);
        close_full(&full);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* A listener that has room again answers the SYN that the kernel repeats. */
START_TEST(a_connect_succeeds_late) {
        struct full full = new_full();
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        wire_send_connect(&control, full.peer.text);
        wire_settle(scene.web);
        for (size_t i = 0; i + 1 < full.n; ++i)
                (void)nb_fd_close(peer_accept(&full.peer));
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), 0);
        daemon_wait_fds(&scene.daemon, scene.baseline + 1);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        close_full(&full);
        scene_end(&scene);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("connect");
        TCase *tcase = tcase_create("connect");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, a_stream_works_and_the_broker_is_out_of_it, 0, 2);
        tcase_add_test(tcase, a_stream_outlives_control_session_and_broker);
        tcase_add_test(tcase, connections_one_after_the_other);
        if (getuid() == 0)
                tcase_add_loop_test(tcase, there_is_no_way, 0, sizeof(nowhere) / sizeof(nowhere[0]));
        else
                fprintf(stderr, "not tested: no route: that needs a network namespace, and so root\n");
        tcase_add_loop_test(tcase, refused_by_the_peer_and_then_not, 0, 2);
        tcase_add_loop_test(tcase, refused_with_a_record, 0, sizeof(refusals) / sizeof(refusals[0]));
        tcase_add_test(tcase, reasons_are_hidden_unless_the_policy_shows_them);
        tcase_add_test(tcase, abuse_46_a_flood_of_refusals_is_counted);
        tcase_add_test(tcase, refusals_are_recorded_with_a_quiet_log);
        tcase_add_test(tcase, a_mapped_address_is_the_ipv4_that_it_is);
        tcase_add_test(tcase, the_family_must_fit);
        tcase_add_test(tcase, a_bound_source_address);
        tcase_add_test(tcase, binding_needs_a_listen_grant);
        tcase_add_test(tcase, rights_bound_what_a_control_does);
        tcase_add_test(tcase, streams_only);
        tcase_add_test(tcase, a_connect_has_a_deadline);
        tcase_add_test(tcase, closing_the_control_gives_a_connect_up);
        tcase_add_test(tcase, abuse_45_others_do_not_wait_for_a_connect);
        tcase_add_test(tcase, a_connect_succeeds_late);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
