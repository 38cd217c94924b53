/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram servers, and datagrams through a relay, with the real broker, the real relay and real peers; and no library in between.
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
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define TENANT                                                                                                         \
        "[Tenant]\n"                                                                                                   \
        "Name=acme\n"                                                                                                  \
        "User=%u\n"                                                                                                    \
        "ExplainDenials=yes\n"                                                                                         \
        "%s"                                                                                                           \
        "[Protocol web]\n"                                                                                             \
        "Family=ip\n"                                                                                                  \
        "SocketTypes=stream dgram\n"
#define DGRAM "DataPath=direct\n"
#define RELAYED "DataPath=relay\n"
#define TENANT_UNIX                                                                                                    \
        "[Protocol local]\n"                                                                                           \
        "Family=unix\n"                                                                                                \
        "DataPath=relay\n"                                                                                             \
        "SocketTypes=dgram\n"

#define STRANGER 65534

/* Descriptors of the broker's for one relay. */
#define RELAY_FDS 1

/* More than a listener's window. */
#define MANY 1000

/* Of a test with a protocol of Unix sockets. */
#define RULES_MAX 512

static void write_policy(const struct scene *scene, const char *limits, const char *rules) {
        daemon_write_policy(&scene->daemon, TENANT "%s", (unsigned)getuid(), limits, rules);
}

/* As scene_start(). @param limits  keys of the tenant */
static void begin(struct scene *scene, const char *limits, const char *rules) {
        daemon_init(&scene->daemon);
        write_policy(scene, limits, rules);
        daemon_start(&scene->daemon, NULL);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
        wire_settle(scene->web);
        scene->baseline = daemon_count_fds_at_rest(&scene->daemon);
}

/* What is left is the channel of the tenant's relay, and the relay's process. */
static void end(struct scene *scene) {
        scene->baseline += RELAY_FDS;
        scene_end(scene);
}

/* A control that listens, as a session of good manners has it. */
struct server {
        struct wire control;
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        uint64_t accepted;
        uint64_t credit;
};

/* A peer's stream. */
struct stream {
        int fd;
        char peer[NB_ADDRESS_LENGTH_MAX + 1];
        char local[NB_ADDRESS_LENGTH_MAX + 1];
};

static struct server serve_on(struct wire *protocol, const char *address, uint64_t credit) {
        struct server server = { .credit = credit };

        ck_assert_uint_eq(wire_open_dgram(protocol, address, &server.control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&server.control, credit, server.address), 0);
        return server;
}

static struct stream accept_peer(struct server *server) {
        struct stream stream;

        stream.fd = wire_receive_accepted_named(&server->control, ++server->accepted, stream.peer, stream.local);
        return stream;
}

/* As the library does it. */
static void raise_credit(struct server *server, uint64_t window) {
        if (server->credit >= server->accepted + window)
                return;
        server->credit = server->accepted + window;
        wire_send_credit(&server->control, server->credit);
}

/* Waits for a message of at most 255 bytes. @return it, "(end)" or the errno's text; good until the next call */
static const char *hear(int fd) {
        static char text[256]; /* of a test that looks at one at a time */
        struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        ssize_t n;

        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        n = recvmsg(fd, &message, MSG_DONTWAIT);
        if (n < 0)
                return strerror(errno);
        if (n == 0 && !(message.msg_flags & MSG_CTRUNC))
                return "(end)";
        text[n] = '\0';
        return text;
}

static void say(int fd, const char *text) {
        ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static int option_of(int fd, int option) {
        socklen_t length = sizeof(int);
        int value = -1;

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, option, &value, &length), 0);
        return value;
}

/* ---- servers of UDP ---- */

START_TEST(each_peer_is_a_connection) {
        static const char *const loopbacks[] = { "127.0.0.1", "::1" };
        struct peer peers[2] = { peer_udp(loopbacks[_i]), peer_udp(loopbacks[_i]) };
        struct stream streams[2];
        struct server server;
        struct scene scene;

        begin(&scene, "", DGRAM SCENE_LOOPBACK);
        server = serve_on(scene.web, _i ? "[::1]:0" : "127.0.0.1:0", 16);
        for (int i = 0; i < 2; ++i) {
                peer_udp_send(&peers[i], server.address, "first");
                streams[i] = accept_peer(&server);
                ck_assert_str_eq(streams[i].peer, peers[i].text);
                ck_assert_str_eq(streams[i].local, server.address);
                ck_assert_int_eq(option_of(streams[i].fd, SO_TYPE), SOCK_SEQPACKET);
                ck_assert_str_eq(hear(streams[i].fd), "first");
        }
        /* An answer never reaches another. */
        for (int i = 0; i < 2; ++i) {
                say(streams[i].fd, i ? "for one" : "for the other");
                peer_udp_expect(peers[i].fd, i ? "for one" : "for the other", NULL);
                peer_expect_nothing(peers[1 - i].fd);
        }
        peer_udp_send(&peers[1], server.address, "");
        peer_udp_send(&peers[1], server.address, "second");
        ck_assert_str_eq(hear(streams[1].fd), "");
        ck_assert_str_eq(hear(streams[1].fd), "second");
        daemon_expect_audit(&scene.daemon, "\"verb\":\"accept\"", "\"verdict\":\"allowed\"", peers[0].text);
        for (int i = 0; i < 2; ++i) {
                (void)nb_fd_close(streams[i].fd);
                peer_close(&peers[i]);
        }
        (void)wire_close(&server.control);
        end(&scene);
}
END_TEST

START_TEST(an_answer_leaves_from_the_address_that_was_asked) {
        struct peer peer = peer_udp("127.0.0.1");
        char asked[NB_ADDRESS_LENGTH_MAX + 1], from[NB_ADDRESS_TEXT_MAX];
        struct server server;
        struct scene scene;

        begin(&scene, "", DGRAM "Listen=0.0.0.0:*\n");
        server = serve_on(scene.web, "0.0.0.0:0", 16);
        for (int i = 2; i < 5; ++i) {
                struct stream stream;

                (void)snprintf(asked, sizeof(asked), "127.0.0.%d:%u", i, peer_port(server.address));
                peer_udp_send(&peer, asked, "hello");
                stream = accept_peer(&server);
                ck_assert_str_eq(stream.peer, peer.text);
                ck_assert_str_eq(stream.local, asked);
                say(stream.fd, "answer");
                peer_udp_expect(peer.fd, "answer", from);
                ck_assert_str_eq(from, asked);
                (void)nb_fd_close(stream.fd);
        }
        (void)wire_close(&server.control);
        peer_close(&peer);
        end(&scene);
}
END_TEST

START_TEST(a_thousand_peers) {
        struct peer *peers = calloc(MANY, sizeof(*peers));
        struct stream *streams = calloc(MANY, sizeof(*streams));
        struct server server;
        struct scene scene;
        char text[32];

        ck_assert(peers && streams);
        begin(&scene, "", DGRAM SCENE_LOOPBACK);
        server = serve_on(scene.web, "127.0.0.1:0", 16);
        for (int i = 0; i < MANY; ++i) {
                peers[i] = peer_udp("127.0.0.1");
                (void)snprintf(text, sizeof(text), "peer %d", i);
                peer_udp_send(&peers[i], server.address, text);
                streams[i] = accept_peer(&server);
                ck_assert_str_eq(streams[i].peer, peers[i].text);
                raise_credit(&server, 16);
        }
        /* In another order, and not more at once than the socket's buffer holds: each has its own, in order, with borders. */
        for (int i = MANY - 1; i >= 0; --i) {
                peer_udp_send(&peers[i], server.address, "more");
                (void)snprintf(text, sizeof(text), "peer %d", i);
                ck_assert_str_eq(hear(streams[i].fd), text);
                if (i % 100 == 0)
                        ck_assert_str_eq(hear(streams[i].fd), "more");
        }
        for (int i = 0; i < MANY; ++i) {
                (void)snprintf(text, sizeof(text), "peer %d", i);
                if (i % 100 != 0)
                        ck_assert_str_eq(hear(streams[i].fd), "more");
                say(streams[i].fd, text);
        }
        for (int i = 0; i < MANY; ++i) {
                (void)snprintf(text, sizeof(text), "peer %d", i);
                peer_udp_expect(peers[i].fd, text, NULL);
                (void)nb_fd_close(streams[i].fd);
                peer_close(&peers[i]);
        }
        (void)wire_close(&server.control);
        end(&scene);
        free(peers);
        free(streams);
}
END_TEST

/* Without credit nobody new is taken, and who is known is served. With credit those are taken that wait, of whom there is no more than a bound. */
START_TEST(a_flood_of_strangers_stops_no_known_peer) {
        struct peer known = peer_udp("127.0.0.1"), late = peer_udp("127.0.0.1");
        struct server server;
        struct stream stream, other = { .fd = -1 };
        struct scene scene;
        int n = 0;

        begin(&scene, "", DGRAM SCENE_LOOPBACK);
        server = serve_on(scene.web, "127.0.0.1:0", 1);
        peer_udp_send(&known, server.address, "known");
        stream = accept_peer(&server);
        for (int i = 0; i < 2000; ++i) {
                struct peer stranger = peer_udp("127.0.0.1");

                peer_udp_send(&stranger, server.address, "flood");
                peer_close(&stranger);
                if (i % 100 == 0) {
                        peer_udp_send(&known, server.address, "still here");
                        ck_assert_str_eq(hear(stream.fd), i == 0 ? "known" : "still here");
                }
        }
        ck_assert_str_eq(hear(stream.fd), "still here");
        wire_expect_silence(&server.control);
        peer_udp_send(&late, server.address, "late");
        do {
                (void)nb_fd_close(other.fd);
                raise_credit(&server, 1);
                other = accept_peer(&server);
                ck_assert_int_le(++n, 257);
        } while (strcmp(other.peer, late.text) != 0);
        ck_assert_str_eq(hear(other.fd), "late");
        (void)nb_fd_close(stream.fd);
        (void)nb_fd_close(other.fd);
        (void)wire_close(&server.control);
        peer_close(&known);
        peer_close(&late);
        end(&scene);
}
END_TEST

START_TEST(a_denied_peer_is_never_seen) {
        struct peer allowed = peer_udp("127.0.0.1"), denied = peer_udp("127.0.0.2");
        struct server server;
        struct stream stream;
        struct scene scene;

        begin(&scene, "", DGRAM SCENE_LOOPBACK "Deny=127.0.0.2:*\n");
        server = serve_on(scene.web, "127.0.0.1:0", 1);
        peer_udp_send(&denied, server.address, "let me in");
        daemon_expect_audit(&scene.daemon, "\"verb\":\"accept\"", "\"verdict\":\"denied\"", "127.0.0.2:");
        /* And has used up nobody's credit. */
        for (uint64_t start = harness_now_ms(); harness_poll(server.control.fd, POLLIN, 0) == 0;) {
                peer_udp_send(&allowed, server.address, "hello");
                harness_wait_a_moment(start, "the allowed peer");
        }
        stream = accept_peer(&server);
        ck_assert_str_eq(stream.peer, allowed.text);
        ck_assert_str_eq(hear(stream.fd), "hello");
        (void)nb_fd_close(stream.fd);
        (void)wire_close(&server.control);
        peer_close(&allowed);
        peer_close(&denied);
        end(&scene);
}
END_TEST

START_TEST(silent_peers_are_forgotten_and_come_back) {
        struct peer peer = peer_udp("127.0.0.1");
        struct server server;
        struct stream stream;
        struct scene scene;

        begin(&scene, "", DGRAM "IdleTimeout=200ms\n" SCENE_LOOPBACK);
        server = serve_on(scene.web, "127.0.0.1:0", 16);
        for (int i = 0; i < 2; ++i) {
                peer_udp_send(&peer, server.address, "hello");
                stream = accept_peer(&server);
                ck_assert_str_eq(stream.peer, peer.text);
                ck_assert_str_eq(hear(stream.fd), "hello");
                ck_assert_str_eq(hear(stream.fd), "(end)");
                (void)nb_fd_close(stream.fd);
        }
        (void)wire_close(&server.control);
        peer_close(&peer);
        end(&scene);
}
END_TEST

/* As with accepted connections, which live on without their listener; the port is taken for as long. */
START_TEST(peers_outlive_their_control) {
        struct peer peer = peer_udp("127.0.0.1"), stranger = peer_udp("127.0.0.1");
        struct server server;
        struct stream stream;
        struct wire other;
        struct scene scene;

        begin(&scene, "", DGRAM SCENE_LOOPBACK);
        server = serve_on(scene.web, "127.0.0.1:0", 16);
        peer_udp_send(&peer, server.address, "hello");
        stream = accept_peer(&server);
        (void)wire_close(&server.control);
        wire_settle(scene.web);
        peer_udp_send(&stranger, server.address, "anybody?");
        peer_udp_send(&peer, server.address, "still there?");
        ck_assert_str_eq(hear(stream.fd), "hello");
        ck_assert_str_eq(hear(stream.fd), "still there?");
        say(stream.fd, "yes");
        peer_udp_expect(peer.fd, "yes", NULL);
        ck_assert_uint_eq(wire_open_dgram(scene.web, server.address, &other, NULL), NB_WASI_EADDRINUSE);
        (void)nb_fd_close(stream.fd);
        for (uint64_t start = harness_now_ms(); wire_open_dgram(scene.web, server.address, &other, NULL) != 0;)
                harness_wait_a_moment(start, "the port to be free again");
        (void)wire_close(&other);
        peer_close(&peer);
        peer_close(&stranger);
        end(&scene);
}
END_TEST

START_TEST(a_tenant_has_no_more_peers_than_connections) {
        struct peer peers[3];
        struct server server;
        struct stream streams[3];
        struct scene scene;

        begin(&scene, "MaxConnections=2\n", DGRAM SCENE_LOOPBACK);
        server = serve_on(scene.web, "127.0.0.1:0", 16);
        for (int i = 0; i < 3; ++i)
                peers[i] = peer_udp("127.0.0.1");
        for (int i = 0; i < 2; ++i) {
                peer_udp_send(&peers[i], server.address, "hello");
                streams[i] = accept_peer(&server);
        }
        for (int i = 0; i < 10; ++i)
                peer_udp_send(&peers[2], server.address, "me too");
        peer_udp_send(&peers[0], server.address, "and I");
        ck_assert_str_eq(hear(streams[0].fd), "hello");
        ck_assert_str_eq(hear(streams[0].fd), "and I");
        wire_expect_silence(&server.control);
        (void)nb_fd_close(streams[1].fd);
        for (uint64_t start = harness_now_ms(); harness_poll(server.control.fd, POLLIN, 0) == 0;) {
                peer_udp_send(&peers[2], server.address, "me now");
                harness_wait_a_moment(start, "room for the third peer");
        }
        streams[2] = accept_peer(&server);
        ck_assert_str_eq(streams[2].peer, peers[2].text);
        (void)nb_fd_close(streams[0].fd);
        (void)nb_fd_close(streams[2].fd);
        (void)wire_close(&server.control);
        for (int i = 0; i < 3; ++i)
                peer_close(&peers[i]);
        end(&scene);
}
END_TEST

START_TEST(a_reload_ends_peers_that_are_denied) {
        struct peer kept = peer_udp("127.0.0.1"), lost = peer_udp("127.0.0.2");
        struct server server;
        struct stream streams[2];
        struct scene scene;

        begin(&scene, "", DGRAM SCENE_LOOPBACK);
        server = serve_on(scene.web, "127.0.0.1:0", 16);
        peer_udp_send(&kept, server.address, "hello");
        streams[0] = accept_peer(&server);
        peer_udp_send(&lost, server.address, "hello");
        streams[1] = accept_peer(&server);
        write_policy(&scene, "", DGRAM SCENE_LOOPBACK "Deny=127.0.0.2:*\n");
        daemon_reload(&scene.daemon);
        ck_assert_str_eq(hear(streams[1].fd), "hello");
        ck_assert_str_eq(hear(streams[1].fd), "(end)");
        say(streams[0].fd, "still here");
        peer_udp_expect(kept.fd, "still here", NULL);
        for (int i = 0; i < 2; ++i)
                (void)nb_fd_close(streams[i].fd);
        (void)wire_close(&server.control);
        peer_close(&kept);
        peer_close(&lost);
        end(&scene);
}
END_TEST

START_TEST(the_next_relay_serves_the_same_socket) {
        struct peer peer = peer_udp("127.0.0.1");
        struct server server;
        struct stream stream;
        struct scene scene;
        pid_t relay;

        begin(&scene, "", DGRAM SCENE_LOOPBACK);
        server = serve_on(scene.web, "127.0.0.1:0", 16);
        peer_udp_send(&peer, server.address, "hello");
        stream = accept_peer(&server);
        ck_assert_str_eq(hear(stream.fd), "hello");
        relay = harness_only_child(scene.daemon.pid);
        ck_assert_int_eq(kill(relay, SIGKILL), 0);
        ck_assert_str_eq(hear(stream.fd), "(end)");
        (void)nb_fd_close(stream.fd);
        for (uint64_t start = harness_now_ms(); harness_poll(server.control.fd, POLLIN, 0) == 0;) {
                peer_udp_send(&peer, server.address, "again");
                harness_wait_a_moment(start, "another relay to serve");
        }
        stream = accept_peer(&server);
        ck_assert_str_eq(stream.peer, peer.text);
        ck_assert_str_eq(hear(stream.fd), "again");
        say(stream.fd, "answer");
        peer_udp_expect(peer.fd, "answer", NULL);
        (void)nb_fd_close(stream.fd);
        (void)wire_close(&server.control);
        peer_close(&peer);
        end(&scene);
}
END_TEST

/* What is received is an end of a pair, from which there is no way to anybody else. */
START_TEST(abuse_2_a_relayed_stream_names_nobody_else) {
        struct peer peer = peer_udp("127.0.0.1"), other = peer_udp("127.0.0.1");
        struct sockaddr_storage sa;
        struct nb_address address;
        struct iovec part = { .iov_base = (char[]){ "astray" }, .iov_len = 6 };
        struct msghdr message = { .msg_name = &sa, .msg_iov = &part, .msg_iovlen = 1 };
        struct server server;
        struct stream stream;
        struct scene scene;

        begin(&scene, "", DGRAM SCENE_LOOPBACK);
        server = serve_on(scene.web, "127.0.0.1:0", 16);
        peer_udp_send(&peer, server.address, "hello");
        stream = accept_peer(&server);
        ck_assert_int_eq(nb_address_parse(other.text, strlen(other.text), &address), 0);
        message.msg_namelen = nb_address_to_sockaddr(&address, &sa);
        (void)sendmsg(stream.fd, &message, MSG_NOSIGNAL);
        (void)sendto(stream.fd, "astray", 6, MSG_NOSIGNAL, (struct sockaddr *)&sa, message.msg_namelen);
        ck_assert_int_lt(connect(stream.fd, (struct sockaddr *)&sa, message.msg_namelen), 0);
        say(stream.fd, "answer");
        for (int i = 0; i < 3; ++i) { /* the kernel may take those for the one peer that there is */
                char text[16] = "";

                ck_assert_int_ne(harness_poll(peer.fd, POLLIN, HARNESS_DEADLINE_MS), 0);
                ck_assert_int_ge(recv(peer.fd, text, sizeof(text) - 1, 0), 0);
                if (strcmp(text, "answer") == 0)
                        break;
        }
        peer_expect_nothing(other.fd);
        (void)nb_fd_close(stream.fd);
        (void)wire_close(&server.control);
        peer_close(&peer);
        peer_close(&other);
        end(&scene);
}
END_TEST

/* ---- clients through the relay ---- */

START_TEST(a_client_by_the_relay) {
        struct peer peer = peer_udp("127.0.0.1");
        char to[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1], from[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        int fd;

        begin(&scene, "", RELAYED SCENE_LOOPBACK);
        ck_assert_uint_eq(wire_open_dgram(scene.web, "0.0.0.0:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_connect_named(&control, peer.text, &fd, to, local), 0);
        ck_assert_str_eq(to, peer.text);
        ck_assert_int_eq(option_of(fd, SO_TYPE), SOCK_SEQPACKET);
        say(fd, "one");
        say(fd, "");
        say(fd, "two");
        peer_udp_expect(peer.fd, "one", from);
        ck_assert_str_eq(from, local);
        peer_udp_expect(peer.fd, "", NULL);
        peer_udp_expect(peer.fd, "two", NULL);
        peer_udp_send(&peer, from, "");
        peer_udp_send(&peer, from, "answer");
        ck_assert_str_eq(hear(fd), "");
        ck_assert_str_eq(hear(fd), "answer");
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        end(&scene);
}
END_TEST

/* ---- Unix sockets ---- */

static int unix_dgram(const char *path, struct sockaddr_un *ret) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_lt(snprintf(address.sun_path, sizeof(address.sun_path), "%s", path),
                         (int)sizeof(address.sun_path));
        if (ret)
                *ret = address;
        else
                ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

/* A folder, a name in it, and the rules for all below. */
static void unix_scene(struct scene *scene, char path[static 64], char rules[static RULES_MAX]) {
        char folder[] = "/tmp/nb-dgram-XXXXXX";

        ck_assert_ptr_nonnull(mkdtemp(folder));
        ck_assert_int_eq(chmod(folder, S_IRWXU | S_IRWXG | S_IRWXO), 0);
        (void)snprintf(path, 64, "%s/s.sock", folder);
        (void)snprintf(rules, RULES_MAX,
                       DGRAM SCENE_LOOPBACK TENANT_UNIX "SocketMode=0666\nConnect=%s/*\nListen=%s/*\n", folder, folder);
        begin(scene, "", rules);
}

static void unix_scene_end(struct scene *scene, char *path) {
        end(scene);
        (void)unlink(path);
        *strrchr(path, '/') = '\0';
        ck_assert_int_eq(rmdir(path), 0);
}

START_TEST(a_unix_client_never_has_the_socket) {
        char path[64], rules[RULES_MAX], text[16] = "", to[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct sockaddr_un from;
        socklen_t length = sizeof(from);
        struct scene scene;
        struct wire control;
        int server, fd;

        unix_scene(&scene, path, rules);
        server = unix_dgram(path, NULL);
        ck_assert_uint_eq(wire_open_dgram(&scene.session.protocols[1], "", &control, NULL), 0);
        ck_assert_uint_eq(wire_connect_named(&control, path, &fd, to, local), 0);
        ck_assert_str_eq(to, path);
        ck_assert_int_eq(option_of(fd, SO_TYPE), SOCK_SEQPACKET);
        say(fd, "hello");
        ck_assert_int_ne(harness_poll(server, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from, &length), 5);
        /* It has a name, so that it can be answered. */
        ck_assert_int_eq(sendto(server, "answer", 6, 0, (struct sockaddr *)&from, length), 6);
        ck_assert_str_eq(hear(fd), "answer");
        (void)nb_fd_close(server);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        unix_scene_end(&scene, path);
}
END_TEST

/* Of what it has written the relay leaves the last unread, and that is not to be in the way of the next. */
START_TEST(a_client_can_write_behind_the_longest) {
        static const uint8_t longest[65507];
        static uint8_t buffer[sizeof(longest) + 1];
        char path[64], rules[RULES_MAX], to[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;
        int server, fd;

        unix_scene(&scene, path, rules);
        server = unix_dgram(path, NULL);
        ck_assert_uint_eq(wire_open_dgram(&scene.session.protocols[1], "", &control, NULL), 0);
        ck_assert_uint_eq(wire_connect_named(&control, path, &fd, to, local), 0);
        for (int i = 0; i < 3; ++i) {
                ck_assert_int_ne(harness_poll(fd, POLLOUT, HARNESS_DEADLINE_MS) & POLLOUT, 0);
                ck_assert_int_eq(send(fd, longest, sizeof(longest), MSG_NOSIGNAL), sizeof(longest));
                ck_assert_int_ne(harness_poll(server, POLLIN, HARNESS_DEADLINE_MS), 0);
                ck_assert_int_eq(recv(server, buffer, sizeof(buffer), 0), sizeof(longest));
        }
        (void)nb_fd_close(server);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        unix_scene_end(&scene, path);
}
END_TEST

START_TEST(a_unix_server_hears_and_does_not_answer) {
        char path[64], rules[RULES_MAX];
        struct sockaddr_un to;
        struct server server;
        struct stream stream;
        struct scene scene;
        int client;

        unix_scene(&scene, path, rules);
        server = serve_on(&scene.session.protocols[1], path, 16);
        client = unix_dgram(path, &to);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(sendto(client, i ? "two" : "one", 3, 0, (struct sockaddr *)&to, sizeof(to)), 3);
        stream = accept_peer(&server);
        ck_assert_str_eq(stream.peer, "");
        ck_assert_str_eq(stream.local, path);
        ck_assert_str_eq(hear(stream.fd), "one");
        ck_assert_str_eq(hear(stream.fd), "two");
        ck_assert_int_eq(send(stream.fd, "answer", 6, MSG_NOSIGNAL), -1);
        ck_assert_int_eq(errno, EPIPE);
        (void)nb_fd_close(client);
        (void)nb_fd_close(stream.fd);
        (void)wire_close(&server.control);
        unix_scene_end(&scene, path);
}
END_TEST

/* By who has this user. */
static void send_as(uid_t user, int fd, const char *text, const struct sockaddr_un *to) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (setresuid(user, user, user) < 0)
                        _exit(126);
                _exit(sendto(fd, text, strlen(text), 0, (const struct sockaddr *)to, sizeof(*to)) < 0);
        }
        ck_assert_int_eq(harness_wait_exit(pid), 0);
}

/* Whoever binds a name anew has it: the same user is taken for the one before, for the kernel tells no more, and another is not. */
START_TEST(a_unix_name_is_a_peer_of_one_user) {
        char path[64], from[80], rules[RULES_MAX], byte;
        struct stream streams[2];
        struct sockaddr_un to;
        struct server server;
        struct scene scene;

        if (geteuid() != 0) {
                (void)fprintf(stderr, "skipped: needs root, to be another user\n");
                return;
        }
        unix_scene(&scene, path, rules);
        (void)snprintf(from, sizeof(from), "%.*s/c.sock", (int)(strrchr(path, '/') - path), path);
        server = serve_on(&scene.session.protocols[1], path, 16);
        (void)nb_fd_close(unix_dgram(path, &to));
        for (int i = 0; i < 3; ++i) {
                int client = unix_dgram(from, NULL);

                send_as(i < 2 ? 0 : STRANGER, client, i == 0 ? "one" : i == 1 ? "same user" : "another", &to);
                if (i != 1)
                        streams[i / 2] = accept_peer(&server);
                ck_assert_str_eq(streams[i / 2].peer, from);
                ck_assert_str_eq(hear(streams[i / 2].fd), i == 0 ? "one" : i == 1 ? "same user" : "another");
                (void)nb_fd_close(client);
                ck_assert_int_eq(unlink(from), 0);
        }
        ck_assert_int_eq(recv(streams[0].fd, &byte, 1, MSG_DONTWAIT), -1);
        ck_assert_int_eq(errno, EAGAIN);
        for (int i = 0; i < 2; ++i)
                (void)nb_fd_close(streams[i].fd);
        (void)wire_close(&server.control);
        unix_scene_end(&scene, path);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("datagram_server");
        TCase *tcase = tcase_create("datagram_server");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, each_peer_is_a_connection, 0, 2);
        tcase_add_test(tcase, an_answer_leaves_from_the_address_that_was_asked);
        tcase_add_test(tcase, a_thousand_peers);
        tcase_add_test(tcase, a_flood_of_strangers_stops_no_known_peer);
        tcase_add_test(tcase, a_denied_peer_is_never_seen);
        tcase_add_test(tcase, silent_peers_are_forgotten_and_come_back);
        tcase_add_test(tcase, peers_outlive_their_control);
        tcase_add_test(tcase, a_tenant_has_no_more_peers_than_connections);
        tcase_add_test(tcase, a_reload_ends_peers_that_are_denied);
        tcase_add_test(tcase, the_next_relay_serves_the_same_socket);
        tcase_add_test(tcase, abuse_2_a_relayed_stream_names_nobody_else);
        tcase_add_test(tcase, a_client_by_the_relay);
        tcase_add_test(tcase, a_unix_client_never_has_the_socket);
        tcase_add_test(tcase, a_client_can_write_behind_the_longest);
        tcase_add_test(tcase, a_unix_server_hears_and_does_not_answer);
        tcase_add_test(tcase, a_unix_name_is_a_peer_of_one_user);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
