/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenant holds, and when it stops to count: connections whose descriptors are no longer the broker's.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/kernel.h"
#include "tests/support/network.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

/* The tenant with more keys: a limit, mostly. */
static void write_policy(const struct scene *scene, const char *keys, const char *rules) {
        daemon_write_policy(&scene->daemon,
                            "[Tenant]\nName=acme\nUser=%u\n%s[Protocol web]\nFamily=ip\nDataPath=direct\n"
                            "SocketTypes=stream dgram\n%s",
                            (unsigned)getuid(), keys, rules);
}

static void start(struct scene *scene, const struct daemon_options *options, const char *keys, const char *rules) {
        daemon_init(&scene->daemon);
        write_policy(scene, keys, rules);
        daemon_start(&scene->daemon, options);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
        wire_settle(scene->web);
        scene->baseline = daemon_count_fds_at_rest(&scene->daemon);
}

static int connect_must(struct wire *control, const char *address) {
        int fd = -1;

        ck_assert_uint_eq(wire_connect_to(control, address, &fd), 0);
        return fd;
}

static void connect_must_not(struct wire *control, const char *address, uint32_t error) {
        int fd;

        ck_assert_uint_eq(wire_connect_to(control, address, &fd), error);
}

/* Connects as soon as there is room: what the kernel says comes when it comes. */
static int connect_when_there_is_room(struct wire *control, const char *address) {
        uint64_t start_ms = harness_now_ms();
        uint32_t error;
        int fd = -1;

        while ((error = wire_connect_to(control, address, &fd)) != 0) {
                ck_assert_msg(error == NB_WASI_EMFILE || error == NB_WASI_ENOBUFS, "errno %u", (unsigned)error);
                harness_wait_a_moment(start_ms, "room in the account");
        }
        return fd;
}

/* ---- what is closed ---- */

START_TEST(what_is_closed_makes_room) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int first, second;

        start(&scene, NULL, "MaxConnections=2\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        first = connect_must(&control, peer.text);
        second = connect_must(&control, peer.text);
        connect_must_not(&control, peer.text, NB_WASI_EMFILE);
        ck_assert_uint_eq(kernel_count_sockets(IPPROTO_TCP, peer.address.port), 2);
        (void)nb_fd_close(first);
        first = connect_when_there_is_room(&control, peer.text);
        connect_must_not(&control, peer.text, NB_WASI_EMFILE);
        (void)nb_fd_close(first);
        (void)nb_fd_close(second);
        /* The broker has kept no duplicate: nobody's are left. */
        for (int i = 0; i < 3; ++i)
                (void)nb_fd_close(peer_accept(&peer));
        kernel_wait_sockets(IPPROTO_TCP, peer.address.port, 0);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* Without privileges the queue of events is shorter, and /proc is still the process's own. */
START_TEST(also_for_another_user) {
        const struct daemon_options options = { .user = "nobody" };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd;

        start(&scene, &options, "MaxConnections=1\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        fd = connect_must(&control, peer.text);
        kernel_disconnect(fd);
        connect_must_not(&control, peer.text, NB_WASI_EMFILE);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(connect_when_there_is_room(&control, peer.text));
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* A connected datagram socket holds a port, so it counts: a tenant cannot have them all. */
START_TEST(abuse_45_datagram_sockets_count) {
        struct peer peer = peer_udp("127.0.0.1");
        struct scene scene;
        struct wire control;
        int fds[5];

        start(&scene, NULL, "MaxConnections=5\n", SCENE_LOOPBACK);
        ck_assert_uint_eq(wire_open_dgram(scene.web, "0.0.0.0:0", &control, NULL), 0);
        for (int i = 0; i < 5; ++i)
                fds[i] = connect_must(&control, peer.text);
        connect_must_not(&control, peer.text, NB_WASI_EMFILE);
        ck_assert_uint_eq(kernel_count_sockets(IPPROTO_UDP, peer.address.port), 5);
        (void)nb_fd_close(fds[0]);
        fds[0] = connect_when_there_is_room(&control, peer.text);
        for (int i = 0; i < 5; ++i)
                (void)nb_fd_close(fds[i]);
        kernel_wait_sockets(IPPROTO_UDP, peer.address.port, 0);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* There are no events of Unix sockets: that they are closed is seen when there is no room. */
START_TEST(unix_sockets_count) {
        char address[64], policy[512];
        struct wire_session session;
        struct daemon daemon;
        struct wire control;
        int listen_fd, fd;

        (void)snprintf(address, sizeof(address), "@netbroker-test-holding-%d", (int)getpid());
        (void)snprintf(
                policy, sizeof(policy),
                "[Tenant]\nName=acme\nUser=%u\nMaxConnections=1\n[Protocol local]\nFamily=unix\nDataPath=direct\n"
                "Connect=%s\n",
                (unsigned)getuid(), address);
        listen_fd = peer_unix_listen(address, 64);
        daemon_init(&daemon);
        daemon_write_policy(&daemon, "%s", policy);
        daemon_start(&daemon, NULL);
        wire_session_open(daemon.socket_path, "acme", &session);
        control = wire_open_control(&session.protocols[0], "");
        for (int i = 0; i < 10; ++i) {
                fd = connect_when_there_is_room(&control, address);
                connect_must_not(&control, address, NB_WASI_EMFILE);
                (void)nb_fd_close(fd);
        }
        (void)wire_close(&control);
        wire_session_close(&session);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
        (void)nb_fd_close(listen_fd);
}
END_TEST

/* ---- what is not ---- */

/* Who was passed a duplicate holds the connection as well. */
START_TEST(a_duplicate_of_an_accomplice_counts) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int pipe_fds[2], fd;
        pid_t accomplice;
        char byte;

        start(&scene, NULL, "MaxConnections=1\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        fd = connect_must(&control, peer.text);
        ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
        accomplice = fork();
        ck_assert_int_ge(accomplice, 0);
        if (accomplice == 0) {
                (void)nb_fd_close(pipe_fds[1]);
                _exit(read(pipe_fds[0], &byte, 1) == 0 ? 0 : 1);
        }
        (void)nb_fd_close(pipe_fds[0]);
        (void)nb_fd_close(fd);
        connect_must_not(&control, peer.text, NB_WASI_EMFILE);
        (void)nb_fd_close(pipe_fds[1]);
        ck_assert_int_eq(harness_wait_exit(accomplice), 0);
        (void)nb_fd_close(connect_when_there_is_room(&control, peer.text));
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

static void make_and_close(const struct peer *peer, int n) {
        struct sockaddr_storage sa;
        socklen_t length = nb_address_to_sockaddr(&peer->address, &sa);

        for (int i = 0; i < n; ++i) {
                int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

                ck_assert_int_ge(fd, 0);
                ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, length), 0);
                (void)nb_fd_close(fd);
        }
}

/* Stops the daemon while the kernel tells it of sockets. When strangers' were too many before, that is not always. */
static void stop_while_told(const struct daemon *daemon) {
        uint64_t start_ms = harness_now_ms();
        siginfo_t stopped;

        for (;;) {
                kernel_wait_tells_of_sockets(daemon->pid, true);
                ck_assert_int_eq(kill(daemon->pid, SIGSTOP), 0);
                ck_assert_int_eq(waitid(P_PID, (id_t)daemon->pid, &stopped, WSTOPPED), 0);
                if (kernel_tells_of_sockets(daemon->pid))
                        return;
                ck_assert_int_eq(kill(daemon->pid, SIGCONT), 0);
                harness_wait_a_moment(start_ms, "the daemon to stop in time");
        }
}

/* Stops the daemon until the kernel has dropped events that it should have got; what is done in between is among those. */
static void stop_and_overrun(const struct daemon *daemon) {
        struct peer peer = peer_udp("127.0.0.1");
        uint64_t start_ms = harness_now_ms();
        unsigned before;

        stop_while_told(daemon);
        before = kernel_count_dropped_events(daemon->pid);
        do {
                make_and_close(&peer, 5000);
                harness_wait_a_moment(start_ms, "the kernel to drop events");
        } while (kernel_count_dropped_events(daemon->pid) == before);
        peer_close(&peer);
}

static void go_on(const struct daemon *daemon) {
        ck_assert_int_eq(kill(daemon->pid, SIGCONT), 0);
        daemon_expect_log(daemon, "overran");
}

static const char *const debugging[] = { "--log-level", "debug", NULL };

/* What was closed while nobody looked is found, and what lives stays. */
START_TEST(an_overrun_is_made_good) {
        const struct daemon_options options = { .no_info = true, .arguments = debugging };
        struct peer peer = peer_listen("127.0.0.1", 8);
        int disconnected, closed, living, again;
        struct scene scene;
        struct wire control;

        start(&scene, &options, "MaxConnections=3\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        living = connect_must(&control, peer.text);
        disconnected = connect_must(&control, peer.text);
        closed = connect_must(&control, peer.text);
        kernel_disconnect(disconnected);
        stop_and_overrun(&scene.daemon);
        (void)nb_fd_close(closed);
        go_on(&scene.daemon);
        again = connect_when_there_is_room(&control, peer.text);
        /* The disconnected one is in no list of the kernel's sockets; it counts all the same. */
        connect_must_not(&control, peer.text, NB_WASI_EMFILE);
        (void)nb_fd_close(again);
        (void)nb_fd_close(living);
        (void)nb_fd_close(disconnected);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

static void fill(int fd) {
        static const char zeros[65536];

        while (send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
                continue;
        ck_assert_int_eq(errno, EAGAIN);
}

/* Writes more than is read and closes; it counts until the peer has ended. @param from  where it was connected @param to  where it is now */
static void expect_counts_until_read(struct wire *control, int fd, const struct peer *from, const struct peer *to) {
        int peer_fd = peer_accept(to);

        fill(fd);
        (void)nb_fd_close(fd);
        ck_assert_uint_eq(kernel_count_sockets(IPPROTO_TCP, to->address.port), 1);
        for (int i = 0; i < 20; ++i)
                connect_must_not(control, from->text, NB_WASI_EMFILE);
        (void)nb_fd_close(peer_fd);
        (void)nb_fd_close(connect_when_there_is_room(control, from->text));
}

static const struct { const char *peer, *open; } families[] = { { "127.0.0.1", "0.0.0.0:0" }, { "::1", "[::]:0" } };

/* What was written and not acknowledged is the kernel's memory still, so a tenant cannot leave any number of such connections behind. */
START_TEST(what_is_not_yet_delivered_counts) {
        struct peer peer = peer_listen(families[_i].peer, 8);
        struct scene scene;
        struct wire control;

        start(&scene, NULL, "MaxConnections=1\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, families[_i].open);
        expect_counts_until_read(&control, connect_must(&control, peer.text), &peer, &peer);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* Nor where its holder has connected it to somebody else before. */
START_TEST(what_is_not_yet_delivered_elsewhere_counts) {
        struct peer peer = peer_listen("127.0.0.1", 8), elsewhere = peer_listen("127.0.0.1", 8);
        struct sockaddr_storage sa;
        socklen_t length = nb_address_to_sockaddr(&elsewhere.address, &sa);
        struct scene scene;
        struct wire control;
        int fd;

        start(&scene, NULL, "MaxConnections=1\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        fd = connect_must(&control, peer.text);
        kernel_disconnect(fd);
        ck_assert(connect(fd, (struct sockaddr *)&sa, length) == 0 || errno == EINPROGRESS);
        expect_counts_until_read(&control, fd, &peer, &elsewhere);
        (void)wire_close(&control);
        peer_close(&peer);
        peer_close(&elsewhere);
        scene_end(&scene);
}
END_TEST

/* The same when the kernel's events of it were lost. */
START_TEST(what_is_not_yet_delivered_is_found_gone) {
        const struct daemon_options options = { .no_info = true, .arguments = debugging };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd, peer_fd;

        start(&scene, &options, "MaxConnections=1\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        fd = connect_must(&control, peer.text);
        peer_fd = peer_accept(&peer);
        fill(fd);
        (void)nb_fd_close(fd);
        /* The sweep finds its file closed, and its socket not. */
        stop_and_overrun(&scene.daemon);
        go_on(&scene.daemon);
        wire_settle(scene.web);
        connect_must_not(&control, peer.text, NB_WASI_EMFILE);
        stop_and_overrun(&scene.daemon);
        (void)nb_fd_close(peer_fd);
        go_on(&scene.daemon);
        (void)nb_fd_close(connect_when_there_is_room(&control, peer.text));
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* ---- strangers' sockets ---- */

/* Until the broker does not want to hear of them; how many of them it hears of at once is not ours to say. */
static void make_noise(const struct daemon *daemon) {
        struct peer peer = peer_udp("127.0.0.1");
        uint64_t start_ms = harness_now_ms();

        do {
                make_and_close(&peer, 100);
                harness_wait_a_moment(start_ms, "the broker to leave the events");
        } while (kernel_tells_of_sockets(daemon->pid));
        peer_close(&peer);
}

static void make_and_close_some(void) {
        struct peer peer = peer_udp("127.0.0.1");

        make_and_close(&peer, 100);
        peer_close(&peer);
}

/* A broker without connections pays nothing for others' sockets, and one that has some not much. */
START_TEST(strangers_sockets_cost_little) {
        struct scene scene;
        struct wire control;
        struct peer peer;
        int fd;

        network_enter();
        peer = peer_listen("127.0.0.1", 8);
        start(&scene, NULL, "", SCENE_LOOPBACK);
        ck_assert(!kernel_tells_of_sockets(scene.daemon.pid));
        control = wire_open_control(scene.web, "0.0.0.0:0");
        fd = connect_must(&control, peer.text);
        ck_assert(kernel_tells_of_sockets(scene.daemon.pid));
        make_noise(&scene.daemon);
        /* It is tried again, as long as there is a connection. */
        kernel_wait_tells_of_sockets(scene.daemon.pid, true);
        make_noise(&scene.daemon);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* Who is refused has to hear at once of what he closes, whatever noise others make. */
START_TEST(who_is_refused_is_told_beside_noise) {
        struct scene scene;
        struct wire control;
        struct peer peer;
        int fd;

        network_enter();
        peer = peer_listen("127.0.0.1", 8);
        start(&scene, NULL, "MaxConnections=1\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        fd = connect_must(&control, peer.text);
        make_noise(&scene.daemon);
        for (int i = 0; i < 10; ++i) {
                connect_must_not(&control, peer.text, NB_WASI_EMFILE);
                ck_assert(kernel_tells_of_sockets(scene.daemon.pid));
                make_and_close_some();
        }
        (void)nb_fd_close(fd);
        (void)nb_fd_close(connect_when_there_is_room(&control, peer.text));
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* What is closed meanwhile makes room at once, for whoever is at his limit. */
START_TEST(what_is_closed_makes_room_beside_noise) {
        struct scene scene;
        struct wire control;
        struct peer peer;
        int living, living_peer;

        network_enter();
        peer = peer_listen("127.0.0.1", 8);
        start(&scene, NULL, "MaxConnections=3\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        living = connect_must(&control, peer.text);
        living_peer = peer_accept(&peer);
        make_noise(&scene.daemon);
        for (int i = 0; i < 100; ++i) {
                int fd = connect_when_there_is_room(&control, peer.text);
                int other_fd = peer_accept(&peer);

                (void)nb_fd_close(other_fd);
                (void)nb_fd_close(fd);
                kernel_wait_sockets(IPPROTO_TCP, peer.address.port, 1);
        }
        (void)nb_fd_close(living);
        (void)nb_fd_close(living_peer);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* ---- accepted peers ---- */

/* Who is too many waits in the kernel's backlog, and the broker does not spin (abuse case 45). */
START_TEST(abuse_45_a_peer_waits_for_room) {
        struct wire listening;
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        int accepted, first, second, again;
        struct scene scene;
        uint64_t cpu_ms;

        start(&scene, NULL, "MaxConnections=1\n", SCENE_LOOPBACK);
        listening = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, address), 0);
        first = peer_connect(address);
        accepted = wire_receive_accepted(&listening, 1);
        second = peer_connect(address);
        cpu_ms = daemon_cpu_ms(&scene.daemon);
        ck_assert_int_eq(harness_poll(listening.fd, POLLIN, 500), 0);
        ck_assert_uint_lt(daemon_cpu_ms(&scene.daemon) - cpu_ms, 100);
        (void)nb_fd_close(accepted);
        (void)nb_fd_close(first);
        again = wire_receive_accepted(&listening, 2);
        peer_exchange(again, second);
        (void)nb_fd_close(again);
        (void)nb_fd_close(second);
        (void)wire_close(&listening);
        scene_end(&scene);
}
END_TEST

/* ---- limits that change ---- */

START_TEST(a_lower_limit_closes_nothing) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fds[3], peers[3];

        start(&scene, NULL, "MaxConnections=3\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        for (int i = 0; i < 3; ++i) {
                fds[i] = connect_must(&control, peer.text);
                peers[i] = peer_accept(&peer);
        }
        write_policy(&scene, "MaxConnections=1\n", SCENE_LOOPBACK);
        daemon_reload(&scene.daemon);
        for (int i = 0; i < 3; ++i)
                peer_exchange(fds[i], peers[i]);
        for (int i = 0; i < 3; ++i) {
                connect_must_not(&control, peer.text, NB_WASI_EMFILE);
                (void)nb_fd_close(fds[i]);
                (void)nb_fd_close(peers[i]);
        }
        (void)nb_fd_close(connect_when_there_is_room(&control, peer.text));
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* A tenant that is taken away and comes back has what it still holds. */
START_TEST(a_tenant_comes_back_with_what_it_holds) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct wire_session session;
        struct daemon daemon;
        struct wire control;
        int fd;

        daemon_init(&daemon);
        for (int i = 0; i < 2; ++i) {
                daemon_write_policy_file(&daemon, i == 0 ? "acme.conf" : "other.conf",
                                         "[Tenant]\nName=%s\nUser=%u\nMaxConnections=1\n"
                                         "[Protocol web]\nFamily=ip\nDataPath=direct\n" SCENE_LOOPBACK,
                                         i == 0 ? "acme" : "other", (unsigned)getuid());
        }
        daemon_start(&daemon, NULL);
        wire_session_open(daemon.socket_path, "acme", &session);
        control = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        fd = connect_must(&control, peer.text);
        daemon_remove_policy(&daemon, "acme.conf");
        daemon_reload(&daemon);
        wire_expect_end(&session.channel);
        wire_session_close(&session);
        (void)wire_close(&control);
        daemon_expect_log(&daemon, "no netbroker-helper");

        daemon_write_policy(&daemon,
                            "[Tenant]\nName=acme\nUser=%u\nMaxConnections=1\n"
                            "[Protocol web]\nFamily=ip\nDataPath=direct\n" SCENE_LOOPBACK,
                            (unsigned)getuid());
        daemon_reload(&daemon);
        wire_session_open(daemon.socket_path, "acme", &session);
        control = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        connect_must_not(&control, peer.text, NB_WASI_EMFILE);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(connect_when_there_is_room(&control, peer.text));
        (void)wire_close(&control);
        wire_session_close(&session);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
        peer_close(&peer);
}
END_TEST

/* ---- bytes in flight ---- */

static void refused_soon(struct wire *control, const char *address, uint32_t expected) {
        uint64_t start_ms = harness_now_ms();
        int fd = -1;

        while (wire_connect_to(control, address, &fd) != expected) {
                fd = nb_fd_close(fd);
                harness_wait_a_moment(start_ms, "the measurement of buffers");
        }
}

START_TEST(full_buffers_refuse_more) {
        struct peer peer = peer_listen("127.0.0.1", 4096);
        struct scene scene;
        struct wire control;
        int fd, peer_fd;

        start(&scene, NULL, "MaxBytesInFlight=256K\n", SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        fd = connect_must(&control, peer.text);
        peer_fd = peer_accept(&peer);
        fill(fd);
        refused_soon(&control, peer.text, NB_WASI_ENOBUFS);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"denied\"");
        (void)nb_fd_close(peer_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(connect_when_there_is_room(&control, peer.text));
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("holding");
        TCase *tcase = tcase_create("holding");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, what_is_closed_makes_room);
        if (getuid() == 0)
                tcase_add_test(tcase, also_for_another_user);
        else
                fprintf(stderr, "not tested: a broker of another user: that needs root\n");
        tcase_add_test(tcase, abuse_45_datagram_sockets_count);
        tcase_add_test(tcase, unix_sockets_count);
        tcase_add_test(tcase, a_duplicate_of_an_accomplice_counts);
        tcase_add_test(tcase, an_overrun_is_made_good);
        tcase_add_loop_test(tcase, what_is_not_yet_delivered_counts, 0, 2);
        tcase_add_test(tcase, what_is_not_yet_delivered_elsewhere_counts);
        tcase_add_test(tcase, what_is_not_yet_delivered_is_found_gone);
        if (getuid() == 0) {
                tcase_add_test(tcase, strangers_sockets_cost_little);
                tcase_add_test(tcase, what_is_closed_makes_room_beside_noise);
                tcase_add_test(tcase, who_is_refused_is_told_beside_noise);
        } else {
                fprintf(stderr, "not tested: strangers' sockets: a network of the test's own needs root\n");
        }
        tcase_add_test(tcase, abuse_45_a_peer_waits_for_room);
        tcase_add_test(tcase, a_lower_limit_closes_nothing);
        tcase_add_test(tcase, a_tenant_comes_back_with_what_it_holds);
        tcase_add_test(tcase, full_buffers_refuse_more);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
