/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay's datagram servers with real sockets, and with the broker's part played here.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/socket_address.h"
#include "relay/inventory.h"
#include "relay/datagram/server.h"
#include "relay/relay.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"

#define SERVER 7
#define REPORTS_MAX 4096

/* What the broker was told last, and how often. */
struct told {
        unsigned n_new_peers, n_gone, n_ended;
        uint64_t peer;
        char address[NB_SOCKET_ADDRESS_TEXT_MAX];
        char local[NB_SOCKET_ADDRESS_TEXT_MAX];
        uint64_t gone_peer;
        uint64_t link;
        Nb__Relay__Cause cause;
};

struct world {
        struct relay relay; /* first: the reports find the rest by it */
        struct told told;
        struct sockaddr_in address; /* of the server */
        uint64_t last_link;
};

void inventory_add(struct inventory *inventory, uint64_t number, bool is_server, bool is_ready) {
        (void)inventory;
        (void)number;
        (void)is_server;
        (void)is_ready;
}

void relay_report(struct relay *relay, const Nb__Relay__Report *report) {
        struct told *told = &nb_container_of(relay, struct world, relay)->told;

        switch (report->body_case) {
        case NB__RELAY__REPORT__BODY_NEW_PEER:
                told->n_new_peers++;
                ck_assert_uint_eq(report->new_peer->server, SERVER);
                told->peer = report->new_peer->peer;
                (void)snprintf(told->address, sizeof(told->address), "%s", report->new_peer->address);
                (void)snprintf(told->local, sizeof(told->local), "%s", report->new_peer->local);
                return;
        case NB__RELAY__REPORT__BODY_PEER_GONE:
                told->n_gone++;
                told->gone_peer = report->peer_gone->peer;
                return;
        case NB__RELAY__REPORT__BODY_ENDED:
                told->n_ended++;
                told->link = report->ended->link;
                told->cause = report->ended->cause;
                return;
        default:
                ck_abort_msg("a report that no datagram server makes");
        }
}

static struct world world;

static void begin(void) {
        world = (struct world){ .last_link = 100, .relay.descriptors_max = UINT32_MAX };
        ck_assert_int_eq(uv_loop_init(&world.relay.loop), 0);
        ck_assert_int_eq(watch_set_start(&world.relay.watches, &world.relay.loop), 0);
        nb_list_init(&world.relay.servers);
}

static void end(void) {
        datagram_server_free_all(&world.relay);
        ck_assert_uint_eq(world.relay.n_descriptors, 0);
        watch_set_stop(&world.relay.watches);
        (void)uv_run(&world.relay.loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&world.relay.loop), 0);
}

/* Runs the loop until nothing is left that could be done at once. */
static void settle(void) {
        for (int i = 0; i < 50; ++i)
                watch_set_turn(&world.relay.watches, false);
}

static int bound_udp(uint32_t ip, struct sockaddr_in *ret) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(ip) };
        socklen_t length = sizeof(address);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
        if (ret)
                *ret = address;
        return fd;
}

static Nb__Relay__Serve serve_order(void) {
        Nb__Relay__Serve serve = NB__RELAY__SERVE__INIT;

        serve.server = SERVER;
        serve.waiting_max = 4;
        serve.peers_max = 20000;
        serve.idle_timeout_ms = 60000;
        return serve;
}

static void give_credit(uint64_t total) {
        Nb__Relay__Credit credit = NB__RELAY__CREDIT__INIT;

        credit.server = SERVER;
        credit.total = total;
        datagram_server_credit(&world.relay, &credit);
}

static void serve_with(Nb__Relay__Serve serve, int fd, uint64_t credit) {
        ck_assert_int_eq(datagram_server_start(&world.relay, &serve, fd), 0);
        give_credit(credit);
}

static void serve_udp(uint64_t credit) {
        serve_with(serve_order(), bound_udp(INADDR_LOOPBACK, &world.address), credit);
}

/* A socket that is connected to the server. */
static int client(void) {
        int fd = bound_udp(INADDR_LOOPBACK, NULL);

        ck_assert_int_eq(connect(fd, (struct sockaddr *)&world.address, sizeof(world.address)), 0);
        return fd;
}

/* As the broker makes it. @return the guest's end */
static int take(uint64_t peer) {
        Nb__Relay__TakePeer order = NB__RELAY__TAKE_PEER__INIT;
        const int on = 1;
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(setsockopt(pair[i], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)), 0);
        order.server = SERVER;
        order.peer = peer;
        order.allowed = true;
        order.link = ++world.last_link;
        ck_assert_int_eq(datagram_server_take_peer(&world.relay, &order, pair[1]), 0);
        return pair[0];
}

static void refuse(uint64_t peer) {
        Nb__Relay__TakePeer order = NB__RELAY__TAKE_PEER__INIT;

        order.server = SERVER;
        order.peer = peer;
        ck_assert_int_eq(datagram_server_take_peer(&world.relay, &order, -1), 0);
}

static void say(int fd, const char *text) {
        ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
        settle();
}

/* The next message, or "(none)", "(end)". An empty one is told from the end by what the kernel has no room to tell. */
static const char *hear(int fd) {
        static char text[256]; /* of a test that looks at one at a time */
        struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN ? "(none)" : strerror(errno);
        if (n == 0 && !(message.msg_flags & MSG_CTRUNC))
                return "(end)";
        text[n] = '\0';
        return text;
}

START_TEST(the_first_datagram_announces_its_peer_and_begins_its_stream) {
        int fd, guest;

        begin();
        serve_udp(1);
        fd = client();
        say(fd, "one");
        say(fd, "two");
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        ck_assert_int_eq(strncmp(world.told.address, "127.0.0.1:", 10), 0);
        ck_assert_str_eq(world.told.local, "");
        guest = take(1);
        ck_assert_str_eq(hear(guest), "one");
        ck_assert_str_eq(hear(guest), "two");
        say(fd, "three");
        ck_assert_str_eq(hear(guest), "three");
        ck_assert_str_eq(hear(guest), "(none)");
        say(guest, "four");
        ck_assert_str_eq(hear(fd), "four");
        nb_fd_close(guest);
        settle();
        ck_assert_uint_eq(world.told.n_ended, 1);
        ck_assert_uint_eq(world.told.link, 101);
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(empty_datagrams_pass_both_ways) {
        struct sockaddr_storage from;
        socklen_t length = sizeof(from);
        char byte;
        int fd, guest;

        begin();
        serve_udp(1);
        fd = client();
        say(fd, "");
        guest = take(1);
        ck_assert_str_eq(hear(guest), "");
        ck_assert_str_eq(hear(guest), "(none)");
        say(guest, "");
        say(guest, "x");
        ck_assert_int_eq(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &length), 0);
        ck_assert_str_eq(hear(fd), "x");
        ck_assert_uint_eq(world.told.n_ended, 0);
        nb_fd_close(guest);
        nb_fd_close(fd);
        end();
}
END_TEST

/* What a guest said last arrives though it closes at once; and one that has said all may still read. */
START_TEST(the_guests_end_takes_nothing_back) {
        int fds[2], guests[2];

        begin();
        serve_udp(2);
        for (int i = 0; i < 2; ++i) {
                fds[i] = client();
                say(fds[i], "hello");
                guests[i] = take(world.told.peer);
        }
        ck_assert_int_eq(send(guests[0], "bye", 3, 0), 3);
        nb_fd_close(guests[0]); /* with "hello" unread */
        settle();
        ck_assert_str_eq(hear(fds[0]), "bye");
        ck_assert_uint_eq(world.told.n_ended, 1);

        ck_assert_int_eq(shutdown(guests[1], SHUT_WR), 0);
        settle();
        say(fds[1], "more");
        ck_assert_str_eq(hear(guests[1]), "hello");
        ck_assert_str_eq(hear(guests[1]), "more");
        ck_assert_uint_eq(world.told.n_ended, 1);
        nb_fd_close(guests[1]);
        settle();
        ck_assert_uint_eq(world.told.n_ended, 2);
        for (int i = 0; i < 2; ++i)
                nb_fd_close(fds[i]);
        end();
}
END_TEST

START_TEST(without_credit_strangers_wait_and_known_peers_are_served) {
        int known, stranger, guest;

        begin();
        serve_udp(1);
        known = client();
        stranger = client();
        say(known, "a");
        guest = take(1);
        for (int i = 0; i < 100; ++i)
                say(stranger, "let me in");
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        say(known, "b");
        ck_assert_str_eq(hear(guest), "a");
        ck_assert_str_eq(hear(guest), "b");
        give_credit(2);
        ck_assert_uint_eq(world.told.n_new_peers, 2);
        nb_fd_close(guest);
        guest = take(2);
        ck_assert_str_eq(hear(guest), "let me in");
        nb_fd_close(guest);
        nb_fd_close(known);
        nb_fd_close(stranger);
        end();
}
END_TEST

/* waiting_max is 4: the oldest goes, which is told, and who is taken too late is told to be gone. */
START_TEST(of_more_than_may_wait_the_oldest_goes) {
        int fds[6], guest;

        begin();
        serve_udp(100);
        for (int i = 0; i < 6; ++i) {
                fds[i] = client();
                say(fds[i], "hello");
        }
        ck_assert_uint_eq(world.told.n_new_peers, 6);
        ck_assert_uint_eq(world.told.n_gone, 2);
        ck_assert_uint_eq(world.told.gone_peer, 2);
        guest = take(1);
        ck_assert_uint_eq(world.told.n_ended, 1);
        ck_assert_str_eq(hear(guest), "(end)");
        nb_fd_close(guest);
        guest = take(6);
        ck_assert_str_eq(hear(guest), "hello");
        ck_assert_uint_eq(world.told.n_ended, 1);
        nb_fd_close(guest);
        for (int i = 0; i < 6; ++i)
                nb_fd_close(fds[i]);
        end();
}
END_TEST

START_TEST(a_waiting_peer_keeps_eight_datagrams) {
        int fd, guest;

        begin();
        serve_udp(1);
        fd = client();
        for (int i = 0; i < 20; ++i)
                say(fd, (char[]){ (char)('a' + i), '\0' });
        guest = take(1);
        for (int i = 0; i < 8; ++i)
                ck_assert_str_eq(hear(guest), ((char[]){ (char)('a' + i), '\0' }));
        ck_assert_str_eq(hear(guest), "(none)");
        nb_fd_close(guest);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(a_refused_peer_is_not_announced_again_at_once) {
        int fd;

        begin();
        serve_udp(100);
        fd = client();
        say(fd, "hello");
        refuse(1);
        for (int i = 0; i < 100; ++i)
                say(fd, "hello");
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        while (world.told.n_new_peers == 1) { /* until the moment is over */
                watch_set_turn(&world.relay.watches, true);
                ck_assert_int_eq(send(fd, "again", 5, 0), 5);
        }
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(silent_peers_go_and_others_stay) {
        Nb__Relay__Serve serve = serve_order();
        int silent, talking, silent_guest, talking_guest;

        begin();
        serve.idle_timeout_ms = 300;
        serve_with(serve, bound_udp(INADDR_LOOPBACK, &world.address), 2);
        silent = client();
        talking = client();
        say(silent, "hello");
        silent_guest = take(1);
        say(talking, "hello");
        talking_guest = take(2);
        while (world.told.n_ended == 0) {
                ck_assert_int_eq(send(talking, "x", 1, 0), 1);
                watch_set_turn(&world.relay.watches, true);
                (void)hear(talking_guest);
        }
        ck_assert_uint_eq(world.told.link, 101);
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_IDLE);
        ck_assert_str_eq(hear(silent_guest), "hello");
        ck_assert_str_eq(hear(silent_guest), "(end)");
        say(talking_guest, "still here");
        ck_assert_str_eq(hear(talking), "still here");
        nb_fd_close(silent);
        nb_fd_close(talking);
        nb_fd_close(silent_guest);
        nb_fd_close(talking_guest);
        end();
}
END_TEST

START_TEST(an_answer_leaves_from_the_address_that_was_asked) {
        static const uint32_t asked[] = { 0x7f000001, 0x7f000002, 0x7f010203 };
        const int on = 1;
        int server, fd;

        begin();
        server = bound_udp(INADDR_ANY, &world.address);
        ck_assert_int_eq(setsockopt(server, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
        serve_with(serve_order(), server, 100);
        for (size_t i = 0; i < 3; ++i) {
                char text[NB_ADDRESS_TEXT_MAX];
                int guest;

                world.address.sin_addr.s_addr = htonl(asked[i]);
                fd = client(); /* connected, so it takes answers from that address only */
                say(fd, "hello");
                ck_assert_ptr_nonnull(inet_ntop(AF_INET, &world.address.sin_addr, text, sizeof(text)));
                ck_assert_str_eq(world.told.local, text);
                guest = take(world.told.peer);
                say(guest, "answer");
                ck_assert_str_eq(hear(fd), "answer");
                nb_fd_close(guest);
                nb_fd_close(fd);
        }
        end();
}
END_TEST

/* One socket of a peer's that asks two of our addresses is two peers: each is answered from the address that it asked. */
START_TEST(two_addresses_of_ours_are_two_peers) {
        const int on = 1;
        int server, fd;

        begin();
        server = bound_udp(INADDR_ANY, &world.address);
        ck_assert_int_eq(setsockopt(server, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
        serve_with(serve_order(), server, 100);
        fd = bound_udp(INADDR_LOOPBACK, NULL);
        for (uint32_t i = 1; i <= 2; ++i) {
                world.address.sin_addr.s_addr = htonl(0x7f000000 + i);
                ck_assert_int_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&world.address, sizeof(world.address)), 1);
                settle();
        }
        ck_assert_uint_eq(world.told.n_new_peers, 2);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(ipv6_sockets_serve_both_families) {
        struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
        struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000005) };
        struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
        socklen_t length = sizeof(any);
        const int on = 1, off = 0;
        int server = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int fd, guest;

        begin();
        ck_assert_int_ge(server, 0);
        ck_assert_int_eq(setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
        ck_assert_int_eq(setsockopt(server, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)), 0);
        ck_assert_int_eq(bind(server, (struct sockaddr *)&any, length), 0);
        ck_assert_int_eq(getsockname(server, (struct sockaddr *)&any, &length), 0);
        serve_with(serve_order(), server, 100);

        ipv4.sin_port = any.sin6_port;
        world.address = ipv4;
        fd = client();
        say(fd, "four");
        ck_assert_int_eq(strncmp(world.told.address, "127.0.0.1:", 10), 0);
        ck_assert_str_eq(world.told.local, "127.0.0.5");
        guest = take(1);
        say(guest, "answer");
        ck_assert_str_eq(hear(fd), "answer");
        nb_fd_close(guest);
        nb_fd_close(fd);

        ipv6.sin6_port = any.sin6_port;
        fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&ipv6, sizeof(ipv6)), 0);
        say(fd, "six");
        ck_assert_int_eq(strncmp(world.told.address, "[::1]:", 6), 0);
        ck_assert_str_eq(world.told.local, "::1");
        guest = take(2);
        say(guest, "answer");
        ck_assert_str_eq(hear(fd), "answer");
        nb_fd_close(guest);
        nb_fd_close(fd);
        end();
}
END_TEST

/* A stranger's flood from many ports takes no memory beyond that of those who may wait. */
START_TEST(a_flood_from_many_ports_leaves_known_peers_served) {
        int known, guest;

        begin();
        serve_udp(3);
        known = client();
        say(known, "a");
        guest = take(1);
        for (int i = 0; i < 2000; ++i) {
                int stranger = client();

                ck_assert_int_eq(send(stranger, "flood", 5, 0), 5);
                watch_set_turn(&world.relay.watches, false);
                nb_fd_close(stranger);
        }
        ck_assert_uint_eq(world.told.n_new_peers, 3);
        say(known, "b");
        ck_assert_str_eq(hear(guest), "a");
        ck_assert_str_eq(hear(guest), "b");
        nb_fd_close(guest);
        nb_fd_close(known);
        end();
}
END_TEST

/* Who does not read loses datagrams, and costs the others nothing. */
START_TEST(a_guest_that_does_not_read_one_peer_hears_the_other) {
        int fds[2], guests[2];
        char large[8192] = { 0 };

        begin();
        serve_udp(2);
        for (int i = 0; i < 2; ++i) {
                fds[i] = client();
                say(fds[i], "hello");
                guests[i] = take(world.told.peer);
        }
        for (int i = 0; i < 200; ++i) {
                ck_assert_int_eq(send(fds[0], large, sizeof(large), 0), (ssize_t)sizeof(large));
                settle();
        }
        say(fds[1], "me too");
        ck_assert_str_eq(hear(guests[1]), "hello");
        ck_assert_str_eq(hear(guests[1]), "me too");
        ck_assert_str_eq(hear(guests[0]), "hello");
        ck_assert_uint_eq(world.told.n_ended, 0);
        for (int i = 0; i < 2; ++i) {
                nb_fd_close(fds[i]);
                nb_fd_close(guests[i]);
        }
        end();
}
END_TEST

START_TEST(borders_and_order_are_kept_and_what_is_too_long_is_dropped) {
        char large[65536] = { 0 };
        char buffer[65536];
        int fd, guest;

        begin();
        serve_udp(1);
        fd = client();
        say(fd, "hello");
        guest = take(1);
        (void)hear(guest);
        ck_assert_int_eq(send(fd, large, 65507, 0), 65507);
        settle();
        ck_assert_int_eq(recv(guest, buffer, sizeof(buffer), 0), 65507);
        ck_assert_int_eq(send(guest, large, 65507, 0), 65507);
        settle();
        ck_assert_int_eq(recv(fd, buffer, sizeof(buffer), 0), 65507);
        ck_assert_int_eq(send(guest, large, sizeof(large), 0), (ssize_t)sizeof(large)); /* longer than UDP carries */
        say(guest, "after");
        ck_assert_str_eq(hear(fd), "after");
        for (int i = 0; i < 50; ++i)
                ck_assert_int_eq(send(guest, (char[]){ (char)i }, 1, 0), 1);
        settle();
        for (int i = 0; i < 50; ++i) {
                ck_assert_int_eq(recv(fd, buffer, sizeof(buffer), 0), 1);
                ck_assert_int_eq(buffer[0], i);
        }
        nb_fd_close(fd);
        nb_fd_close(guest);
        end();
}
END_TEST

static void unix_address(const char *name, struct sockaddr_un *ret, socklen_t *ret_length) {
        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        (void)snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "nb-test-%d-%s", (int)getpid(), name);
        *ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(ret->sun_path + 1));
}

static int unix_socket(const char *name) {
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address;
        socklen_t length;

        ck_assert_int_ge(fd, 0);
        if (!name)
                return fd;
        unix_address(name, &address, &length);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
        return fd;
}

/* Senders by their names, and those without one together; nothing goes back to a name that is the sender's own word. */
START_TEST(a_unix_server_hears_and_does_not_answer) {
        struct sockaddr_un address;
        socklen_t length;
        int named, unnamed[2], guests[2];

        begin();
        serve_with(serve_order(), unix_socket("server"), 100);
        unix_address("server", &address, &length);
        named = unix_socket("client");
        ck_assert_int_eq(sendto(named, "from a name", 11, 0, (struct sockaddr *)&address, length), 11);
        settle();
        ck_assert_int_eq(strncmp(world.told.address, "@nb-test-", 9), 0);
        guests[0] = take(1);
        for (int i = 0; i < 2; ++i) {
                unnamed[i] = unix_socket(NULL);
                ck_assert_int_eq(sendto(unnamed[i], "from nobody", 11, 0, (struct sockaddr *)&address, length), 11);
                settle();
        }
        ck_assert_uint_eq(world.told.n_new_peers, 2);
        ck_assert_str_eq(world.told.address, "");
        guests[1] = take(2);
        ck_assert_str_eq(hear(guests[0]), "from a name");
        for (int i = 0; i < 2; ++i) {
                ck_assert_str_eq(hear(guests[1]), "from nobody");
                ck_assert_int_eq(send(guests[i], "answer", 6, MSG_NOSIGNAL), 6); /* the broker's pairs take none */
        }
        settle();
        ck_assert_str_eq(hear(named), "(none)");
        for (int i = 0; i < 2; ++i) {
                nb_fd_close(guests[i]);
                nb_fd_close(unnamed[i]);
        }
        settle();
        ck_assert_uint_eq(world.told.n_ended, 2);
        nb_fd_close(named);
        end();
}
END_TEST

/* A message with a descriptor, which the kernel would refuse only if it is new and was asked to (broker/socket.h). */
static void send_with_descriptor(int fd, const struct sockaddr_un *address, socklen_t length) {
        _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = { 0 };
        struct iovec part = { .iov_base = (char *)"with it", .iov_len = 7 };
        struct msghdr message = {
                .msg_name = (struct sockaddr_un *)address,
                .msg_namelen = length,
                .msg_iov = &part,
                .msg_iovlen = 1,
                .msg_control = control,
                .msg_controllen = sizeof(control),
        };
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);

        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(int));
        ck_assert_int_eq(sendmsg(fd, &message, 0), 7);
}

/* Also where there is room for who sends it. */
START_TEST(abuse_5_descriptors_for_a_unix_server) {
        struct sockaddr_un address;
        int server = unix_socket("server"), tells_users = _i;
        int n_fds, sender, guest;
        socklen_t length;

        begin();
        ck_assert_int_eq(setsockopt(server, SOL_SOCKET, SO_PASSCRED, &tells_users, sizeof(tells_users)), 0);
        serve_with(serve_order(), server, 100);
        unix_address("server", &address, &length);
        sender = unix_socket("client");
        n_fds = count_fds();
        send_with_descriptor(sender, &address, length);
        settle();
        ck_assert_int_eq(count_fds(), n_fds);
        guest = take(1);
        ck_assert_str_eq(hear(guest), "with it");
        nb_fd_close(guest);
        nb_fd_close(sender);
        settle();
        end();
}
END_TEST

/* As with accepted connections, which outlive their listener. */
/* A descriptor too many would end the relay, with all its connections, and strangers decide how many peers there are. */
START_TEST(no_more_peers_than_descriptors) {
        int clients[3], guests[3];

        begin();
        world.relay.descriptors_max = 4; /* the server has two */
        serve_udp(10);
        for (int i = 0; i < 3; ++i) {
                clients[i] = client();
                say(clients[i], "hello");
                guests[i] = take(world.told.peer);
                ck_assert_str_eq(hear(guests[i]), i < 2 ? "hello" : "(end)");
        }
        ck_assert_uint_eq(world.told.n_ended, 1);
        ck_assert_uint_eq(world.told.link, world.last_link);
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_NO_MEMORY);
        /* When one goes, there is room again. */
        ck_assert_int_eq(close(guests[0]), 0);
        settle();
        say(clients[2], "again");
        guests[0] = take(world.told.peer);
        ck_assert_str_eq(hear(guests[0]), "again");
        nb_fds_close(clients, 3);
        nb_fds_close(guests, 3);
        end();
}
END_TEST

START_TEST(peers_outlive_their_server) {
        int fd, stranger, guest;

        begin();
        serve_udp(100);
        fd = client();
        stranger = client();
        say(fd, "hello");
        guest = take(1);
        ck_assert(datagram_server_end(&world.relay, SERVER));
        say(stranger, "hello");
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        say(fd, "still there?");
        ck_assert_str_eq(hear(guest), "hello");
        ck_assert_str_eq(hear(guest), "still there?");
        say(guest, "yes");
        ck_assert_str_eq(hear(fd), "yes");
        ck_assert(datagram_server_end(&world.relay, 101));
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_ENDED);
        ck_assert_str_eq(hear(guest), "(end)");
        ck_assert(nb_list_is_empty(&world.relay.servers));
        ck_assert(!datagram_server_end(&world.relay, SERVER));
        nb_fd_close(fd);
        nb_fd_close(stranger);
        nb_fd_close(guest);
        end();
}
END_TEST

START_TEST(orders_that_make_no_sense_are_violations) {
        Nb__Relay__Serve serve = serve_order();
        Nb__Relay__TakePeer take_peer = NB__RELAY__TAKE_PEER__INIT;

        begin();
        serve_udp(1);
        ck_assert_int_eq(datagram_server_start(&world.relay, &serve, bound_udp(INADDR_LOOPBACK, NULL)), -EPROTO);
        serve.server++;
        ck_assert_int_eq(datagram_server_start(&world.relay, &serve,
                                               socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                         -EPROTO);
        take_peer.server = SERVER;
        take_peer.peer = 1;
        take_peer.allowed = true;
        take_peer.link = 1;
        ck_assert_int_eq(datagram_server_take_peer(&world.relay, &take_peer, -1), -EPROTO);
        take_peer.allowed = false;
        ck_assert_int_eq(datagram_server_take_peer(&world.relay, &take_peer, bound_udp(INADDR_LOOPBACK, NULL)),
                         -EPROTO);
        end();
}
END_TEST

START_TEST(nothing_is_left_behind) {
        int fds[10], guests[10];
        int before;

        begin();
        end(); /* what libuv keeps for all loops is there now */
        before = count_fds();
        begin();
        serve_udp(100);
        for (int i = 0; i < 10; ++i) {
                fds[i] = client();
                say(fds[i], "hello");
                guests[i] = take(world.told.peer);
        }
        end();
        for (int i = 0; i < 10; ++i) {
                nb_fd_close(fds[i]);
                nb_fd_close(guests[i]);
        }
        ck_assert_int_eq(count_fds(), before);
}
END_TEST

static Suite *suite(void) {
        Suite *suite = suite_create("relay_datagram");
        TCase *tcase = tcase_create("datagram servers");

        tcase_add_test(tcase, the_first_datagram_announces_its_peer_and_begins_its_stream);
        tcase_add_test(tcase, empty_datagrams_pass_both_ways);
        tcase_add_test(tcase, the_guests_end_takes_nothing_back);
        tcase_add_test(tcase, without_credit_strangers_wait_and_known_peers_are_served);
        tcase_add_test(tcase, of_more_than_may_wait_the_oldest_goes);
        tcase_add_test(tcase, a_waiting_peer_keeps_eight_datagrams);
        tcase_add_test(tcase, a_refused_peer_is_not_announced_again_at_once);
        tcase_add_test(tcase, silent_peers_go_and_others_stay);
        tcase_add_test(tcase, an_answer_leaves_from_the_address_that_was_asked);
        tcase_add_test(tcase, two_addresses_of_ours_are_two_peers);
        tcase_add_test(tcase, ipv6_sockets_serve_both_families);
        tcase_add_test(tcase, a_flood_from_many_ports_leaves_known_peers_served);
        tcase_add_test(tcase, a_guest_that_does_not_read_one_peer_hears_the_other);
        tcase_add_test(tcase, borders_and_order_are_kept_and_what_is_too_long_is_dropped);
        tcase_add_test(tcase, a_unix_server_hears_and_does_not_answer);
        tcase_add_loop_test(tcase, abuse_5_descriptors_for_a_unix_server, 0, 2);
        tcase_add_test(tcase, no_more_peers_than_descriptors);
        tcase_add_test(tcase, peers_outlive_their_server);
        tcase_add_test(tcase, orders_that_make_no_sense_are_violations);
        tcase_add_test(tcase, nothing_is_left_behind);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(suite());
}
