/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that is killed and started again, in every state that a client's objects can be in (PROTOCOL.md, Resumed; shim/client/lost.h).
 *
 * The broker is inside the wait function (scripted_broker.h) and is started again when the test says so: between calls, or in the middle of one. It
 * carries out each request once and insists on their numbers, as the real one does. What is paused for passes at once, and is counted.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/wasi.h"
#include "shim/client/call.h"
#include "shim/client/lost.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/scripted_broker.h"

#define OPEN "0.0.0.0:0"
#define BOUND "192.0.2.1:80"
#define PEER "192.0.2.9:443"
#define MANY 200
#define NS_PER_MS INT64_C(1000000)

static struct scripted_broker broker;
static struct nb_session *session;
static struct nb_protocol *web;
static struct nb_control *control;
static struct nb_connection *connection;
static int fds_before;
static int64_t paused_ns;
static bool is_interrupted; /* the next wait */

static int wait_for(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        if (n_fds == 0) {
                paused_ns += timeout_ns;
                return 0;
        }
        if (is_interrupted) {
                is_interrupted = false;
                return -EINTR;
        }
        return scripted_broker_wait(data, fds, n_fds, timeout_ns);
}

static void setup(void) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        fds_before = count_fds();
        control = NULL;
        connection = NULL;
        paused_ns = 0;
        is_interrupted = false;
        options.session_fd = scripted_broker_init(&broker);
        options.wait = wait_for;
        options.wait_data = &broker;
        ck_assert_int_eq(nb_session_open(&options, &session), 0);
        web = nb_session_find_protocol(session, "web");
}

static void teardown(void) {
        nb_connection_free(connection);
        nb_control_free(control);
        nb_session_free(session);
        scripted_broker_deinit(&broker);
        ck_assert_int_eq(count_fds(), fds_before);
}

static void restart(void *data) {
        scripted_broker_restart(data);
}

/* In the next wait, before the broker reads anything. */
static void restart_in_wait(void) {
        broker.on_wait = restart;
        broker.on_wait_data = &broker;
}

static int open_at(const char *address, uint32_t flags, struct nb_control **ret) {
        return nb_open(web, address, strlen(address), NB_SOCKET_STREAM, NB_RIGHTS_CONTROL, NB_RIGHTS_STREAM, flags,
                       ret);
}

static void have_control(const char *address, uint32_t flags) {
        ck_assert_int_eq(open_at(address, flags, &control), 0);
}

static int connect_to(const char *address) {
        return nb_connect(control, address, strlen(address), &connection);
}

static void have_listener(uint32_t flags) {
        have_control(BOUND, flags);
        ck_assert_int_eq(nb_listen(control, 9), 0);
}

static void accept_one(void) {
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        connection = nb_connection_free(connection);
}

/* What a poll would say of the control now. */
static short poll_control(void) {
        struct pollfd pollfd = { .fd = -1 };

        pollfd.fd = nb_control_poll_fd(control, &pollfd.events);
        ck_assert_int_ge(poll(&pollfd, 1, 0), 0);
        return pollfd.revents ? nb_control_ready(control) : 0;
}

/* ---- connecting ---- */

START_TEST(connect_that_no_broker_has_read) {
        have_control(OPEN, 0);
        restart_in_wait();
        ck_assert_int_eq(connect_to(PEER), 0);
        ck_assert_uint_eq(broker.n_connects, 1);
        ck_assert_uint_eq(broker.n_opened, 2);
        ck_assert_int_eq(paused_ns, 0);
}
END_TEST

START_TEST(connect_that_was_under_way) {
        have_control(OPEN, 0);
        ck_assert_int_eq(connect_to("held:1"), -EINTR);
        ck_assert_uint_eq(broker.n_connects, 1);
        broker.holds_nothing = true;
        scripted_broker_restart(&broker);
        ck_assert_int_eq(connect_to("held:1"), 0);
        ck_assert_uint_eq(broker.n_connects, 2);
        ck_assert_str_eq(nb_control_address(control), OPEN);
}
END_TEST

/* An answer that came is never asked for again. */
START_TEST(connect_that_was_answered) {
        have_control(OPEN, 0);
        ck_assert_int_eq(connect_to("held:1"), -EINTR);
        scripted_broker_release(&broker);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(connect_to("held:1"), 0);
        ck_assert_uint_eq(broker.n_connects, 1);
        ck_assert_uint_eq(broker.n_opened, 1);
}
END_TEST

START_TEST(refusal_that_was_sent) {
        have_control(OPEN, NB_NONBLOCK);
        ck_assert_int_eq(connect_to("refused:1"), -EINPROGRESS);
        scripted_broker_serve(&broker);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(connect_to("refused:1"), -ECONNREFUSED);
        ck_assert_uint_eq(broker.n_connects, 1);
}
END_TEST

START_TEST(connect_over_several_brokers) {
        have_control(OPEN, 0);
        for (int i = 0; i < NB_LOST_MAX; ++i) {
                ck_assert_int_eq(connect_to("held:1"), -EINTR);
                scripted_broker_restart(&broker);
        }
        broker.holds_nothing = true;
        ck_assert_int_eq(connect_to("held:1"), 0);
        /* And all over again. */
        connection = nb_connection_free(connection);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(connect_to("held:1"), 0);
}
END_TEST

START_TEST(nonblocking_connect_goes_on_unseen) {
        have_control(OPEN, NB_NONBLOCK);
        ck_assert_int_eq(connect_to("held:1"), -EINPROGRESS);
        scripted_broker_serve(&broker);
        scripted_broker_restart(&broker);
        broker.holds_nothing = true;
        ck_assert_int_eq(poll_control(), 0); /* asks for another control */
        scripted_broker_serve(&broker);
        ck_assert_int_eq(poll_control(), 0); /* has it, and connects */
        scripted_broker_serve(&broker);
        ck_assert_int_eq(poll_control(), POLLIN);
        ck_assert_int_eq(connect_to("held:1"), 0);
        ck_assert_uint_eq(broker.n_connects, 2);
}
END_TEST

/* Who does not ask what is ready sees what is true in any case: it lasts. */
START_TEST(nonblocking_connect_that_is_asked_again) {
        have_control(OPEN, NB_NONBLOCK);
        ck_assert_int_eq(connect_to("held:1"), -EINPROGRESS);
        scripted_broker_serve(&broker);
        scripted_broker_restart(&broker);
        broker.holds_nothing = true;
        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(connect_to("held:1"), -EALREADY);
                scripted_broker_serve(&broker);
        }
        ck_assert_int_eq(connect_to("held:1"), 0);
}
END_TEST

/* What was asked before Resumed was read is asked again. */
START_TEST(resumed_is_answered_when_polled) {
        have_control(BOUND, NB_NONBLOCK);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(connect_to(PEER), -EINPROGRESS);
        scripted_broker_serve(&broker);
        ck_assert_uint_eq(broker.n_connects, 0);
        ck_assert_int_eq(poll_control(), 0);
        scripted_broker_serve(&broker);
        ck_assert_int_eq(poll_control(), POLLIN);
        ck_assert_int_eq(connect_to(PEER), 0);
        ck_assert_uint_eq(broker.n_connects, 1);
}
END_TEST

/* One that is watched and never used hears of no broker that comes and goes. */
START_TEST(an_idle_control_outlives_any_number_of_brokers) {
        have_control(OPEN, 0);
        for (int i = 0; i < 2 * NB_LOST_MAX; ++i) {
                scripted_broker_restart(&broker);
                ck_assert_int_eq(poll_control(), 0); /* asks for another */
                scripted_broker_serve(&broker);
                ck_assert_int_eq(poll_control(), 0); /* has it */
        }
        ck_assert_int_eq(connect_to(PEER), 0);
}
END_TEST

START_TEST(nonblocking_connect_to_a_lost_control) {
        have_control(OPEN, NB_NONBLOCK);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(connect_to(PEER), -EINPROGRESS);
        while (poll_control() == 0)
                scripted_broker_serve(&broker);
        ck_assert_int_eq(connect_to(PEER), 0);
        ck_assert_uint_eq(broker.n_connects, 1);
}
END_TEST

START_TEST(connect_is_interrupted_while_it_comes_back) {
        have_control(OPEN, 0);
        scripted_broker_restart(&broker);
        is_interrupted = true; /* before the old channel's end is seen, or behind the Open */
        ck_assert_int_eq(connect_to(PEER), -EINTR);
        ck_assert_int_eq(connect_to("192.0.2.9:1"), -EALREADY);
        ck_assert_int_eq(connect_to(PEER), 0);
        ck_assert_uint_eq(broker.n_connects, 1);
}
END_TEST

/* ---- what a control can be besides ---- */

START_TEST(idle_control_is_used_after_a_restart) {
        have_control(OPEN, 0);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(poll_control(), 0);
        scripted_broker_serve(&broker);
        ck_assert_int_eq(poll_control(), 0);
        ck_assert_int_eq(connect_to(PEER), 0);
        connection = nb_connection_free(connection);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(connect_to(PEER), 0);
}
END_TEST

START_TEST(idle_control_listens_after_a_restart) {
        have_control(OPEN, 0);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(nb_listen(control, 9), 0);
        ck_assert_uint_eq(broker.n_listens, 1);
        scripted_broker_push(&broker);
        accept_one();
}
END_TEST

START_TEST(listen_that_no_broker_has_read) {
        have_control(OPEN, 0);
        restart_in_wait();
        ck_assert_int_eq(nb_listen(control, 9), 0);
        ck_assert_uint_eq(broker.n_listens, 1);
}
END_TEST

START_TEST(kept_control_is_connected) {
        have_control("denied:2", 0);
        scripted_broker_restart(&broker);
        restart_in_wait();
        ck_assert_int_eq(connect_to(PEER), 0);
        ck_assert_uint_eq(broker.n_opened, 1);
        ck_assert_uint_eq(broker.n_connects, 1);
}
END_TEST

/* It is bound: the socket was the broker's, and nobody can have another of that address unseen. */
START_TEST(bound_control_that_ends_is_at_its_end) {
        have_control(BOUND, 0);
        broker.kinds[3] = SCRIPTED_CONTROL;
        scripted_broker_restart(&broker);
        ck_assert_int_eq(poll_control(), POLLIN | POLLHUP);
        ck_assert_int_eq(connect_to(PEER), -EPIPE);
        ck_assert_uint_eq(broker.n_opened, 1);
}
END_TEST

START_TEST(spare_control_is_lost_and_found) {
        have_control(OPEN, 0);
        control = nb_control_free(control);
        scripted_broker_restart(&broker);
        have_control(OPEN, 0);
        ck_assert_uint_eq(broker.n_opened, 1);
        ck_assert_int_eq(connect_to(PEER), 0);
        ck_assert_uint_eq(broker.n_opened, 2);
}
END_TEST

START_TEST(lost_control_is_no_spare) {
        have_control(OPEN, NB_NONBLOCK);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(poll_control(), 0);
        control = nb_control_free(control);
        scripted_broker_serve(&broker);
        have_control(OPEN, 0);
        ck_assert_int_eq(connect_to(PEER), 0);
}
END_TEST

/* ---- listening ---- */

START_TEST(listener_goes_on) {
        have_listener(0);
        scripted_broker_push(&broker);
        accept_one();
        scripted_broker_restart(&broker);
        ck_assert_int_eq(nb_accept(control, &connection), -EINTR);
        ck_assert_uint_eq(broker.n_listens, 2);
        scripted_broker_push(&broker);
        accept_one();
}
END_TEST

/* Neither Resumed nor the answer to the repeated Listen is anything to accept. */
START_TEST(resumed_is_no_event) {
        have_listener(NB_NONBLOCK);
        for (unsigned i = 1; i <= MANY; ++i) {
                scripted_broker_restart(&broker);
                ck_assert_int_eq(poll_control(), 0);
                scripted_broker_serve(&broker);
                ck_assert_uint_eq(broker.n_listens, 1 + i);
                ck_assert_int_eq(poll_control(), 0);
        }
        scripted_broker_push(&broker);
        ck_assert_int_eq(poll_control(), POLLIN);
        accept_one();
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
}
END_TEST

/* A broker that has not heard Listen again knows of no connection that there is room for. */
START_TEST(nothing_is_pushed_before_listen_was_said_again) {
        have_listener(NB_NONBLOCK);
        scripted_broker_restart(&broker);
        scripted_broker_push(&broker);
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
}
END_TEST

/* The broker has taken it back; what it had handed over before can still be accepted. */
START_TEST(a_listener_that_was_taken_back_listens_no_more) {
        have_listener(NB_NONBLOCK);
        ck_assert_int_eq(nb_listen(control, 9), 0);
        scripted_broker_push(&broker);
        ck_assert_int_eq(shutdown(broker.listener, SHUT_RDWR), 0);
        ck_assert_int_eq(nb_listen(control, 9), 0);
        accept_one();
        ck_assert_int_eq(nb_listen(control, 9), -EPIPE);
        ck_assert_int_eq(nb_accept(control, &connection), -EPIPE);
}
END_TEST

START_TEST(pushed_connections_come_before_resumed) {
        have_listener(NB_NONBLOCK);
        for (int i = 0; i < 8; ++i)
                scripted_broker_push(&broker);
        scripted_broker_restart(&broker);
        for (int i = 0; i < 8; ++i) {
                ck_assert_int_eq(poll_control(), POLLIN);
                accept_one();
        }
        ck_assert_int_eq(poll_control(), 0);
        scripted_broker_serve(&broker);
        ck_assert_uint_eq(broker.n_pushed, 8);
        scripted_broker_push(&broker);
        accept_one();
}
END_TEST

/* As many as the kernel has room for, and nobody looks meanwhile. */
START_TEST(nobody_looks_for_long) {
        have_listener(NB_NONBLOCK);
        for (int i = 0; i < MANY; ++i)
                scripted_broker_restart(&broker);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        scripted_broker_serve(&broker);
        ck_assert_uint_eq(broker.n_listens, 2);
        scripted_broker_push(&broker);
        accept_one();
        control = nb_control_free(control);
        have_control(OPEN, 0); /* the protocol has as many */
        ck_assert_uint_eq(broker.n_opened, 2);
}
END_TEST

/* ---- the protocol's own ---- */

START_TEST(open_over_a_restart) {
        restart_in_wait();
        have_control(BOUND, 0);
        ck_assert_uint_eq(broker.n_opened, 1);
        restart_in_wait();
        ck_assert_int_eq(connect_to(PEER), 0);
        ck_assert_uint_eq(broker.n_connects, 1);
}
END_TEST

START_TEST(protocol_that_ended_gives_nothing_back) {
        have_control(OPEN, 0);
        scripted_broker_restart(&broker);
        broker.channels[1] = nb_fd_close(broker.channels[1]);
        ck_assert_int_eq(connect_to(PEER), -EPIPE);
        ck_assert_int_eq(connect_to(PEER), -EPIPE);
        ck_assert_int_eq(poll_control(), POLLIN | POLLHUP);
}
END_TEST

START_TEST(session_that_was_freed_gives_nothing_back) {
        have_control(OPEN, NB_NONBLOCK);
        scripted_broker_restart(&broker);
        ck_assert_int_eq(poll_control(), 0);
        session = nb_session_free(session);
        ck_assert_int_ne(poll_control() & POLLIN, 0);
        ck_assert_int_eq(connect_to(PEER), -EPIPE);
}
END_TEST

/* The operator has no more room for it: that is the call's error, and the next call asks again. */
START_TEST(refused_control_is_asked_for_again) {
        have_control(OPEN, 0);
        scripted_broker_restart(&broker);
        broker.open_error = NB_WASI_EMFILE;
        ck_assert_int_eq(connect_to(PEER), -EMFILE);
        ck_assert_int_eq(connect_to(PEER), -EMFILE);
        broker.open_error = 0;
        ck_assert_int_eq(connect_to(PEER), 0);
}
END_TEST

START_TEST(refused_control_of_a_nonblocking_connect) {
        have_control(OPEN, NB_NONBLOCK);
        ck_assert_int_eq(connect_to("held:1"), -EINPROGRESS);
        scripted_broker_restart(&broker);
        broker.open_error = NB_WASI_EACCES;
        broker.reason = "no longer granted";
        ck_assert_int_eq(poll_control(), 0);
        scripted_broker_serve(&broker);
        ck_assert_int_eq(poll_control(), POLLIN);
        ck_assert_int_eq(connect_to("held:1"), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), "no longer granted");
}
END_TEST

/* Whatever it gets ends: that is no restart. */
START_TEST(broker_that_ends_all_controls) {
        have_control(OPEN, 0);
        broker.ends_controls = true;
        scripted_broker_restart(&broker);
        ck_assert_int_eq(connect_to(PEER), -EPIPE);
        ck_assert_uint_eq(broker.n_opened, 1 + NB_LOST_MAX);
        ck_assert_int_gt(paused_ns, 100 * NS_PER_MS);
        ck_assert_int_lt(paused_ns, 4000 * NS_PER_MS);
        ck_assert_int_eq(connect_to(PEER), -EPIPE);
        ck_assert_uint_eq(broker.n_opened, 1 + NB_LOST_MAX);
}
END_TEST

/* ---- several on one protocol ---- */

#define N_LOST 5

/* One after the other asks on the protocol's channel; one of them is freed while it is asked for, and an open comes between. */
START_TEST(many_are_found_one_after_the_other) {
        struct nb_control *controls[N_LOST], *other;

        for (int i = 0; i < N_LOST; ++i) {
                ck_assert_int_eq(open_at(OPEN, NB_NONBLOCK, &controls[i]), 0);
                ck_assert_int_eq(nb_connect(controls[i], "held:1", 6, &connection), -EINPROGRESS);
        }
        scripted_broker_serve(&broker);
        scripted_broker_restart(&broker);
        broker.holds_nothing = true;
        for (int i = 0; i < N_LOST; ++i)
                ck_assert_int_eq(nb_control_ready(controls[i]), 0);
        (void)nb_control_free(controls[0]);
        ck_assert_int_eq(open_at(BOUND, 0, &other), 0);
        for (int i = 1; i < N_LOST; ++i) {
                while (nb_control_ready(controls[i]) == 0)
                        scripted_broker_serve(&broker);
                ck_assert_int_eq(nb_connect(controls[i], "held:1", 6, &connection), 0);
                connection = nb_connection_free(connection);
                (void)nb_control_free(controls[i]);
        }
        (void)nb_control_free(other);
        ck_assert_uint_eq(broker.n_connects, N_LOST + N_LOST - 1);
}
END_TEST

/* An open that was interrupted, and is not repeated, is in the way of who was lost. */
START_TEST(lost_behind_an_interrupted_open) {
        struct nb_control *other;

        have_control(OPEN, 0);
        scripted_broker_restart(&broker);
        is_interrupted = true;
        ck_assert_int_eq(open_at(BOUND, 0, &other), -EINTR);
        ck_assert_int_eq(connect_to(PEER), 0);
        ck_assert_uint_eq(broker.n_opened, 3);
}
END_TEST

/* ---- channels that are none of the broker's ---- */

/* The other end of a connection of QUIC is a relay, which a restart does not touch. */
START_TEST(connection_channels_do_not_notice) {
        struct nb_stream stream;

        broker.multiplexed = true;
        broker.allowed[0] = 8;
        have_control(OPEN, 0);
        ck_assert_int_eq(connect_to(PEER), 0);
        for (int i = 0; i < 3; ++i) {
                scripted_broker_restart(&broker);
                ck_assert_int_eq(nb_stream_create(connection, 0, &stream), 0);
                nb_fd_close(stream.fd);
        }
}
END_TEST

/* ---- opening a session ---- */

/* A broker behind a socket that lasts longer than it. */
static struct {
        char folder[64];
        struct sockaddr_un address;
        int listener; /* -1: nobody listens */
        int channel;  /* of who has connected */
        int n_deaths; /* still to come, each when somebody has connected */
        int n_accepted;
        bool refuses;
} door;

static void door_listen(void) {
        door.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(door.listener, (struct sockaddr *)&door.address, sizeof(door.address)), 0);
        ck_assert_int_eq(listen(door.listener, 8), 0);
}

static void door_setup(void) {
        setup();
        memset(&door, 0, sizeof(door));
        door.channel = door.listener = -1;
        door.address.sun_family = AF_UNIX;
        snprintf(door.folder, sizeof(door.folder), "/tmp/nb-outage-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(door.folder));
        snprintf(door.address.sun_path, sizeof(door.address.sun_path), "%s/session", door.folder);
}

static void door_teardown(void) {
        door.listener = nb_fd_close(door.listener);
        door.channel = nb_fd_close(door.channel);
        (void)unlink(door.address.sun_path);
        ck_assert_int_eq(rmdir(door.folder), 0);
        teardown();
}

static void say_welcome(void) {
        Nb__Welcome welcome = NB__WELCOME__INIT;
        Nb__Refused refused = NB__REFUSED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        welcome.version = NB_PROTOCOL_VERSION;
        welcome.tenant = (char[]){ "test" };
        refused.error = NB_WASI_EACCES;
        reply.body_case = door.refuses ? NB__REPLY__BODY_REFUSED : NB__REPLY__BODY_WELCOME;
        if (door.refuses)
                reply.refused = &refused;
        else
                reply.welcome = &welcome;
        ck_assert_int_eq(nb_reply_send(door.channel, &reply, NULL, 0), 0);
}

/* Whoever waits for the broker's answer, or lets time pass for it. */
static int door_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        (void)data;
        (void)fds;
        if (n_fds == 0) {
                paused_ns += timeout_ns;
                if (door.listener < 0 && door.n_deaths-- == 0)
                        door_listen();
                return 0;
        }
        door.channel = nb_fd_close(door.channel);
        door.channel = accept4(door.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        ck_assert_int_ge(door.channel, 0);
        door.n_accepted++;
        if (door.n_deaths-- > 0)
                door.channel = nb_fd_close(door.channel);
        else
                say_welcome();
        return 1;
}

static int open_by_door(int outage_ms) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        struct nb_session *other;
        int r;

        options.socket_path = door.address.sun_path;
        options.wait = door_wait;
        options.outage_ms = outage_ms;
        r = nb_session_open(&options, &other);
        if (r == 0)
                nb_session_free(other);
        return r;
}

START_TEST(session_over_brokers_that_go) {
        door_listen();
        door.n_deaths = 3;
        ck_assert_int_eq(open_by_door(0), 0);
        ck_assert_int_eq(door.n_accepted, 4);
        ck_assert_int_gt(paused_ns, 0);
        ck_assert_int_lt(paused_ns, 200 * NS_PER_MS);
}
END_TEST

START_TEST(session_of_a_broker_that_always_goes) {
        door_listen();
        door.n_deaths = 1000;
        ck_assert_int_eq(open_by_door(0), -EPIPE);
        ck_assert_int_eq(paused_ns, 5000 * NS_PER_MS);
        ck_assert_int_lt(door.n_accepted, 40);
}
END_TEST

START_TEST(session_is_not_asked_for_again_where_that_is_said) {
        door_listen();
        door.n_deaths = 1;
        ck_assert_int_eq(open_by_door(-1), -EPIPE);
        ck_assert_int_eq(paused_ns, 0);
}
END_TEST

/* A refusal is an answer. */
START_TEST(session_that_is_refused) {
        door_listen();
        door.refuses = true;
        ck_assert_int_eq(open_by_door(0), -EACCES);
        ck_assert_int_eq(door.n_accepted, 1);
}
END_TEST

START_TEST(session_where_nobody_listens) {
        ck_assert_int_eq(open_by_door(0), -ENOENT);
        ck_assert_int_eq(paused_ns, 0);
        door.n_deaths = 3;
        ck_assert_int_eq(open_by_door(2000), 0);
        ck_assert_int_eq(door.n_accepted, 1);
}
END_TEST

START_TEST(session_where_nobody_ever_listens) {
        door.n_deaths = 1000;
        ck_assert_int_eq(open_by_door(700), -ENOENT);
        ck_assert_int_eq(paused_ns, 700 * NS_PER_MS);
}
END_TEST

static Suite *suite(void) {
        Suite *suite = suite_create("client_outage");
        TCase *controls = tcase_create("controls");
        TCase *listening = tcase_create("listening");
        TCase *protocols = tcase_create("protocols");
        TCase *sessions = tcase_create("sessions");

        tcase_add_checked_fixture(controls, setup, teardown);
        tcase_add_test(controls, connect_that_no_broker_has_read);
        tcase_add_test(controls, connect_that_was_under_way);
        tcase_add_test(controls, connect_that_was_answered);
        tcase_add_test(controls, refusal_that_was_sent);
        tcase_add_test(controls, connect_over_several_brokers);
        tcase_add_test(controls, nonblocking_connect_goes_on_unseen);
        tcase_add_test(controls, nonblocking_connect_that_is_asked_again);
        tcase_add_test(controls, resumed_is_answered_when_polled);
        tcase_add_test(controls, an_idle_control_outlives_any_number_of_brokers);
        tcase_add_test(controls, nonblocking_connect_to_a_lost_control);
        tcase_add_test(controls, connect_is_interrupted_while_it_comes_back);
        tcase_add_test(controls, idle_control_is_used_after_a_restart);
        tcase_add_test(controls, idle_control_listens_after_a_restart);
        tcase_add_test(controls, listen_that_no_broker_has_read);
        tcase_add_test(controls, kept_control_is_connected);
        tcase_add_test(controls, bound_control_that_ends_is_at_its_end);
        tcase_add_test(controls, spare_control_is_lost_and_found);
        tcase_add_test(controls, lost_control_is_no_spare);
        suite_add_tcase(suite, controls);

        tcase_add_checked_fixture(listening, setup, teardown);
        tcase_add_test(listening, listener_goes_on);
        tcase_add_test(listening, resumed_is_no_event);
        tcase_add_test(listening, nothing_is_pushed_before_listen_was_said_again);
        tcase_add_test(listening, a_listener_that_was_taken_back_listens_no_more);
        tcase_add_test(listening, pushed_connections_come_before_resumed);
        tcase_add_test(listening, nobody_looks_for_long);
        tcase_add_test(listening, connection_channels_do_not_notice);
        suite_add_tcase(suite, listening);

        tcase_add_checked_fixture(protocols, setup, teardown);
        tcase_add_test(protocols, open_over_a_restart);
        tcase_add_test(protocols, protocol_that_ended_gives_nothing_back);
        tcase_add_test(protocols, session_that_was_freed_gives_nothing_back);
        tcase_add_test(protocols, refused_control_is_asked_for_again);
        tcase_add_test(protocols, refused_control_of_a_nonblocking_connect);
        tcase_add_test(protocols, broker_that_ends_all_controls);
        tcase_add_test(protocols, many_are_found_one_after_the_other);
        tcase_add_test(protocols, lost_behind_an_interrupted_open);
        suite_add_tcase(suite, protocols);

        tcase_add_checked_fixture(sessions, door_setup, door_teardown);
        tcase_add_test(sessions, session_over_brokers_that_go);
        tcase_add_test(sessions, session_of_a_broker_that_always_goes);
        tcase_add_test(sessions, session_is_not_asked_for_again_where_that_is_said);
        tcase_add_test(sessions, session_that_is_refused);
        tcase_add_test(sessions, session_where_nobody_listens);
        tcase_add_test(sessions, session_where_nobody_ever_listens);
        suite_add_tcase(suite, sessions);
        return suite;
}

int main(void) {
        return run_suite(suite());
}
