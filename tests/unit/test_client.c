/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client against a broker that is played by the test.
 *
 * The client waits nowhere but in the wait function of its session, so that is where the fake broker lives:
 * each wait runs the next step of a script, which reads what was asked and answers, or interrupts. So there
 * are no threads, and whatever the client waits for without a step being left fails the test. Descriptors are
 * counted around every test.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/frame.h"
#include "proto/wasi.h"
#include "shim/client/call.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"

#define STEPS_MAX 16
#define FDS_MAX 80

typedef int (*step_function)(void);

/* The broker's ends of the channels, and what is left to do. */
static struct {
        int session;
        int protocol;
        int control;
        step_function steps[STEPS_MAX];
        size_t n_steps;
        size_t done;
        short events; /* of the last wait */
        size_t n_pauses;
        int64_t pauses[64];
        uint64_t serial; /* of the last request */
} broker;

static struct nb_frame_arena arena;
static uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
static int fds_before;

static struct nb_session *session;
static struct nb_control *control;
static struct nb_connection *connection;

/* ---- the script ---- */

static void script_(const step_function *steps) {
        ck_assert_uint_eq(broker.done, broker.n_steps);
        broker.done = 0;
        for (broker.n_steps = 0; steps[broker.n_steps]; ++broker.n_steps)
                broker.steps[broker.n_steps] = steps[broker.n_steps];
}

#define SCRIPT(...) script_((const step_function[]){ __VA_ARGS__, NULL })

static void script_is_done(void) {
        ck_assert_uint_eq(broker.done, broker.n_steps);
}

static int fake_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        ck_assert_ptr_eq(data, &broker);
        if (n_fds == 0) {
                ck_assert_uint_lt(broker.n_pauses, 64);
                broker.pauses[broker.n_pauses++] = timeout_ns;
        } else {
                ck_assert_uint_eq(n_fds, 1);
                ck_assert_int_lt(timeout_ns, 0);
                broker.events = fds[0].events;
        }
        if (broker.done == broker.n_steps)
                ck_abort_msg("waits for what will never come");
        return broker.steps[broker.done++]();
}

static int interrupt(void) {
        return -EINTR;
}

static int wake_for_nothing(void) {
        return 0;
}

/* ---- what the broker reads ---- */

static bool nothing_was_asked(int fd) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };

        return poll(&ready, 1, 0) == 0;
}

static const Nb__Request *asked(int fd, Nb__Request__BodyCase expected) {
        struct nb_channel_fds fds;
        Nb__Request *request;
        int n = nb_channel_receive(fd, frame, &fds);

        ck_assert_int_gt(n, 0);
        ck_assert_uint_eq(fds.n, 0);
        ck_assert_int_eq(nb_request_decode(&arena, frame, (size_t)n, &request), 0);
        ck_assert_int_eq(request->body_case, expected);
        broker.serial = request->serial;
        return request;
}

/* ---- what the broker says ---- */

/* The descriptors that are sent are copies of the channel's: any will do. */
static void say(int fd, Nb__Reply__BodyCase body_case, void *body, size_t n_fds) {
        Nb__Reply reply = NB__REPLY__INIT;
        int fds[FDS_MAX] = { 0 };

        for (size_t i = 0; i < n_fds; ++i)
                ck_assert_int_ge(fds[i] = dup(fd), 0);
        reply.body_case = body_case;
        reply.welcome = body; /* the members of the union are all pointers to messages */
        ck_assert_int_eq(nb_reply_send(fd, &reply, fds, n_fds), 0);
        nb_fds_close(fds, n_fds);
}

static void say_resumed(int fd) {
        Nb__Resumed resumed = NB__RESUMED__INIT;

        say(fd, NB__REPLY__BODY_RESUMED, &resumed, 0);
}

static void say_refused(int fd, uint32_t error, const char *reason, size_t n_fds) {
        Nb__Refused refused = NB__REFUSED__INIT;

        refused.error = error;
        refused.reason = (char *)reason;
        say(fd, NB__REPLY__BODY_REFUSED, &refused, n_fds);
}

static void say_listening(const char *address, size_t n_fds) {
        Nb__Listening listening = NB__LISTENING__INIT;

        listening.address = (char *)address;
        say(broker.control, NB__REPLY__BODY_LISTENING, &listening, n_fds);
}

static void say_accepted(uint64_t number, size_t n_fds) {
        Nb__Accepted accepted = NB__ACCEPTED__INIT;
        char peer[32];

        (void)snprintf(peer, sizeof(peer), "192.0.2.7:%u", (unsigned)number);
        accepted.number = number;
        accepted.peer = peer;
        say(broker.control, NB__REPLY__BODY_ACCEPTED, &accepted, n_fds);
}

static void say_connected(const char *peer, size_t n_fds) {
        Nb__Connected connected = NB__CONNECTED__INIT;

        connected.peer = (char *)peer;
        say(broker.control, NB__REPLY__BODY_CONNECTED, &connected, n_fds);
}

/* The client's end travels; the broker's end is kept in `ret`. */
static int channel_for_client(int *ret) {
        int pair[2];

        ck_assert_int_eq(nb_channel_pair(pair), 0);
        nb_fd_close(*ret);
        *ret = pair[0];
        return pair[1];
}

static void say_opened_with(const char *address, uint64_t rights_base, uint64_t rights_inheriting, size_t n_more_fds) {
        Nb__Opened opened = NB__OPENED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int fds[4] = { channel_for_client(&broker.control) };

        for (size_t i = 1; i <= n_more_fds; ++i)
                fds[i] = fds[0];
        opened.address = (char *)address;
        opened.rights_base = rights_base;
        opened.rights_inheriting = rights_inheriting;
        reply.body_case = NB__REPLY__BODY_OPENED;
        reply.opened = &opened;
        ck_assert_int_eq(nb_reply_send(broker.protocol, &reply, fds, 1 + n_more_fds), 0);
        close(fds[0]);
}

static void say_opened(const char *address, size_t n_more_fds) {
        say_opened_with(address, 5, 3, n_more_fds);
}

struct welcome {
        uint32_t version;
        const char *tenant;
        const char *name; /* of all protocols but the first, which is "web" */
        size_t n_protocols;
        size_t n_fds;
};

static struct welcome welcome;

static int say_welcome(void) {
        Nb__Protocol protocols[FDS_MAX], *list[FDS_MAX];
        Nb__Welcome message = NB__WELCOME__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int fds[FDS_MAX] = { 0 };

        for (size_t i = 0; i < welcome.n_protocols; ++i) {
                protocols[i] = (Nb__Protocol)NB__PROTOCOL__INIT;
                protocols[i].name = (char *)(i == 0 ? "web" : welcome.name);
                protocols[i].rights_base = 10 + i;
                protocols[i].rights_inheriting = 20 + i;
                list[i] = &protocols[i];
        }
        message.version = welcome.version;
        message.tenant = (char *)welcome.tenant;
        message.n_protocols = welcome.n_protocols;
        message.protocols = list;
        for (size_t i = 0; i < welcome.n_fds; ++i)
                fds[i] = i == 0 ? channel_for_client(&broker.protocol) : dup(broker.session);
        reply.body_case = NB__REPLY__BODY_WELCOME;
        reply.welcome = &message;
        ck_assert_int_eq(nb_reply_send(broker.session, &reply, fds, welcome.n_fds), 0);
        nb_fds_close(fds, welcome.n_fds);
        return 1;
}

static int on_hello(void) {
        (void)asked(broker.session, NB__REQUEST__BODY_HELLO);
        return 1;
}

static int greet(void) {
        on_hello();
        return say_welcome();
}

static int on_open(void) {
        (void)asked(broker.protocol, NB__REQUEST__BODY_OPEN);
        return 1;
}

static int open_control(void) {
        on_open();
        say_opened("192.0.2.1:0", 0);
        return 1;
}

static int on_listen(void) {
        (void)asked(broker.control, NB__REQUEST__BODY_LISTEN);
        return 1;
}

static int start_listening(void) {
        const Nb__Request *request = asked(broker.control, NB__REQUEST__BODY_LISTEN);

        ck_assert_uint_eq(request->listen->backlog, 9);
        ck_assert_uint_eq(request->listen->credit, 16);
        ck_assert_uint_eq(request->listen->received, 0);
        say_listening("192.0.2.1:8080", 0);
        return 1;
}

static int on_connect(void) {
        (void)asked(broker.control, NB__REQUEST__BODY_CONNECT);
        return 1;
}

static int make_connection(void) {
        on_connect();
        say_connected("192.0.2.9:80", 1);
        return 1;
}

/* ---- fixtures ---- */

static void setup(void) {
        fds_before = count_fds();
        memset(&broker, 0, sizeof(broker));
        broker.session = broker.protocol = broker.control = -1;
        session = NULL;
        control = NULL;
        connection = NULL;
        welcome = (struct welcome){ .version = 1, .tenant = "acme", .name = "db", .n_protocols = 1, .n_fds = 1 };
}

static void teardown(void) {
        script_is_done();
        nb_connection_free(connection);
        nb_control_free(control);
        nb_session_free(session);
        nb_fd_close(broker.session);
        nb_fd_close(broker.protocol);
        nb_fd_close(broker.control);
        ck_assert_int_eq(count_fds(), fds_before);
}

static struct nb_session_options options(void) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        options.session_fd = channel_for_client(&broker.session);
        options.wait = fake_wait;
        options.wait_data = &broker;
        return options;
}

static int open_session(void) {
        struct nb_session_options ours = options();

        return nb_session_open(&ours, &session);
}

static int open_address(const char *address, size_t length) {
        return nb_open(nb_session_protocol(session, 0), address, length, NB_SOCKET_STREAM, 6, 7, 0, &control);
}

static int open_it(void) {
        return open_address("0.0.0.0:0", 9);
}

static void have_session(void) {
        SCRIPT(greet);
        ck_assert_int_eq(open_session(), 0);
}

static void have_control(void) {
        have_session();
        SCRIPT(open_control);
        ck_assert_int_eq(open_it(), 0);
}

static void have_listener(void) {
        have_control();
        SCRIPT(start_listening);
        ck_assert_int_eq(nb_listen(control, 9), 0);
}

static int connect_it(void) {
        return nb_connect(control, "192.0.2.9:80", 12, &connection);
}

/* A broken object says so again, without waiting, and the broker sees its end. */
static void is_broken(int fd) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };

        script_is_done();
        ck_assert_int_eq(poll(&ready, 1, 0), 1);
        ck_assert(ready.revents & POLLHUP);
}

/* ---- faults that every exchange must survive: the broker says something else than the answer ---- */

/* Which channel, and which request has been asked on it. */
static int *fault_fd;
static Nb__Request__BodyCase fault_request;

static void fault_asked(void) {
        (void)asked(*fault_fd, fault_request);
}

static int fault_garbage(void) {
        fault_asked();
        ck_assert_int_eq(nb_channel_send(*fault_fd, "garbage", 7, NULL, 0), 0);
        return 1;
}

static int fault_garbage_with_fds(void) {
        int fds[2] = { *fault_fd, *fault_fd };

        fault_asked();
        ck_assert_int_eq(nb_channel_send(*fault_fd, "garbage", 7, fds, 2), 0);
        return 1;
}

static int fault_too_long(void) {
        static const char zeros[NB_CHANNEL_MESSAGE_MAX + 1];

        fault_asked();
        ck_assert_int_eq(send(*fault_fd, zeros, sizeof(zeros), 0), (ssize_t)sizeof(zeros));
        return 1;
}

static int fault_cut(void) {
        /* Refused {error: 2}, without its last byte. */
        fault_asked();
        ck_assert_int_eq(nb_channel_send(*fault_fd, "\x32\x02\x08", 3, NULL, 0), 0);
        return 1;
}

static int fault_resumed_with_fd(void) {
        Nb__Resumed resumed = NB__RESUMED__INIT;

        fault_asked();
        say(*fault_fd, NB__REPLY__BODY_RESUMED, &resumed, 1);
        return 1;
}

static int fault_refused_with_fd(void) {
        fault_asked();
        say_refused(*fault_fd, NB_WASI_EACCES, "", 1);
        return 1;
}

static int fault_refused_0(void) {
        fault_asked();
        say_refused(*fault_fd, 0, "", 0);
        return 1;
}

static int fault_refused_77(void) {
        fault_asked();
        say_refused(*fault_fd, 77, "", 0);
        return 1;
}

static int fault_long_reason(void) {
        char reason[NB_REASON_LENGTH_MAX + 2];

        memset(reason, 'r', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = '\0';
        fault_asked();
        say_refused(*fault_fd, NB_WASI_EACCES, reason, 0);
        return 1;
}

/* An answer to another request than any. */
static int fault_other_answer(void) {
        Nb__Welcome message = NB__WELCOME__INIT;
        Nb__Connected connected = NB__CONNECTED__INIT;

        fault_asked();
        if (fault_request == NB__REQUEST__BODY_CONNECT)
                say(*fault_fd, NB__REPLY__BODY_WELCOME, &message, 1);
        else
                say(*fault_fd, NB__REPLY__BODY_CONNECTED, &connected, 1);
        return 1;
}

static int fault_end(void) {
        fault_asked();
        *fault_fd = nb_fd_close(*fault_fd);
        return 1;
}

static int fault_end_unread(void) {
        *fault_fd = nb_fd_close(*fault_fd);
        return 1;
}

static const struct {
        step_function step;
        int expected;
} faults[] = {
        { fault_garbage, -EPROTO },
        { fault_garbage_with_fds, -EPROTO },
        { fault_too_long, -EPROTO },
        { fault_cut, -EPROTO },
        { fault_resumed_with_fd, -EPROTO },
        { fault_refused_with_fd, -EPROTO },
        { fault_refused_0, -EPROTO },
        { fault_refused_77, -EPROTO },
        { fault_long_reason, -EPROTO },
        { fault_other_answer, -EPROTO },
        { fault_end, -EPIPE },
        { fault_end_unread, -EPIPE },
};

#define N_FAULTS ((int)(sizeof(faults) / sizeof(faults[0])))

/* Has `call` meet the fault number `i`, twice: what is broken stays so. */
static void meet_fault(int i, int *fd, Nb__Request__BodyCase request, int (*call)(void), bool stays) {
        fault_fd = fd;
        fault_request = request;
        SCRIPT(faults[i].step);
        ck_assert_int_eq(call(), faults[i].expected);
        if (*fd >= 0)
                is_broken(*fd);
        if (stays)
                ck_assert_int_eq(call(), faults[i].expected);
}

/* ---- session ---- */

static int check_hello(void) {
        const Nb__Request *request = asked(broker.session, NB__REQUEST__BODY_HELLO);

        ck_assert_uint_eq(request->serial, 1);
        ck_assert_uint_eq(request->hello->oldest_version, 1);
        ck_assert_uint_eq(request->hello->newest_version, 1);
        ck_assert_str_eq(request->hello->tenant, "acme");
        ck_assert_str_eq(request->hello->label, "host 7");
        ck_assert_uint_eq(request->hello->token.len, 0);
        return say_welcome();
}

START_TEST(session_opens) {
        struct nb_session_options ours = options();
        uint64_t base, inheriting;

        welcome.n_protocols = welcome.n_fds = 2;
        ours.tenant = "acme";
        ours.label = "host 7";
        SCRIPT(check_hello);
        ck_assert_int_eq(nb_session_open(&ours, &session), 0);
        ck_assert_str_eq(nb_session_tenant(session), "acme");
        ck_assert_uint_eq(nb_session_n_protocols(session), 2);
        ck_assert_str_eq(nb_protocol_name(nb_session_protocol(session, 0)), "web");
        ck_assert_ptr_null(nb_session_protocol(session, 2));
        ck_assert_ptr_eq(nb_session_find_protocol(session, "db"), nb_session_protocol(session, 1));
        ck_assert_ptr_null(nb_session_find_protocol(session, "nothing"));
        ck_assert_str_eq(nb_session_last_denial(session), "");
        nb_protocol_rights(nb_session_find_protocol(session, "db"), &base, &inheriting);
        ck_assert_uint_eq(base, 11);
        ck_assert_uint_eq(inheriting, 21);
}
END_TEST

START_TEST(session_has_no_protocol_or_as_many_as_fit) {
        welcome.n_protocols = welcome.n_fds = _i == 0 ? 0 : NB_CHANNEL_FDS_MAX;
        have_session();
        ck_assert_uint_eq(nb_session_n_protocols(session), welcome.n_protocols);
}
END_TEST

static char long_name[NB_NAME_LENGTH_MAX + 2];

static const struct welcome bad_welcomes[] = {
        { 1, "acme", "db", 2, 1 }, { 1, "acme", "db", 1, 2 },      { 1, "acme", "db", 0, 1 },
        { 1, "acme", "db", 1, 0 }, { 0, "acme", "db", 2, 2 },      { 2, "acme", "db", 2, 2 },
        { 1, "acme", "", 2, 2 },   { 1, "acme", long_name, 2, 2 }, { 1, long_name, "db", 2, 2 },
};

START_TEST(welcome_is_checked) {
        memset(long_name, 'n', sizeof(long_name) - 1);
        welcome = bad_welcomes[_i];
        SCRIPT(greet);
        ck_assert_int_eq(open_session(), -EPROTO);
        ck_assert_ptr_null(session);
}
END_TEST

static int refuse_hello(void) {
        on_hello();
        say_refused(broker.session, NB_WASI_EPROTONOSUPPORT, "", 0);
        return 1;
}

/* As a broker does that has no room: it never reads Hello. */
static int refuse_unread(void) {
        say_refused(broker.session, NB_WASI_EMFILE, "", 0);
        broker.session = nb_fd_close(broker.session);
        return 1;
}

static int refuse_and_close(void) {
        refuse_hello();
        broker.session = nb_fd_close(broker.session);
        return 1;
}

START_TEST(session_is_refused) {
        SCRIPT(refuse_hello);
        ck_assert_int_eq(open_session(), -EPROTONOSUPPORT);
        SCRIPT(refuse_and_close);
        ck_assert_int_eq(open_session(), -EPROTONOSUPPORT);
        SCRIPT(refuse_unread);
        ck_assert_int_eq(open_session(), -EMFILE);
}
END_TEST

/* Refused before Hello is even sent. */
START_TEST(session_is_refused_at_once) {
        struct nb_session_options ours = options();

        refuse_unread();
        SCRIPT(wake_for_nothing);
        ck_assert_int_eq(nb_session_open(&ours, &session), -EMFILE);
}
END_TEST

START_TEST(session_meets_faults) {
        meet_fault(_i, &broker.session, NB__REQUEST__BODY_HELLO, open_session, false);
}
END_TEST

static int resume_session(void) {
        on_hello();
        say_resumed(broker.session);
        return 1;
}

static int greet_again(void) {
        const Nb__Request *request = asked(broker.session, NB__REQUEST__BODY_HELLO);

        ck_assert_uint_eq(request->serial, 1);
        return say_welcome();
}

START_TEST(session_says_hello_again_after_resumed) {
        SCRIPT(resume_session, wake_for_nothing, resume_session, greet_again);
        ck_assert_int_eq(open_session(), 0);
}
END_TEST

START_TEST(session_open_is_interrupted) {
        SCRIPT(interrupt);
        ck_assert_int_eq(open_session(), -EINTR);
}
END_TEST

START_TEST(session_options_are_checked) {
        char text[NB_LABEL_LENGTH_MAX + 2] = { 0 };
        struct nb_session_options ours = NB_SESSION_OPTIONS_INIT;
        struct {
                struct nb_session_options options;
                uint64_t newer;
        } larger = { NB_SESSION_OPTIONS_INIT, 1 };
        int pair[2];

        ours.size--;
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);
        larger.options.size = sizeof(larger);
        ck_assert_int_eq(nb_session_open(&larger.options, &session), -EINVAL);

        ours = options();
        memset(text, 't', NB_NAME_LENGTH_MAX + 1);
        ours.tenant = text;
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);
        ours = options();
        memset(text, 't', NB_LABEL_LENGTH_MAX + 1);
        ours.label = text;
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);
        ours = options();
        ours.label = "\xff";
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        nb_fd_close(pair[1]);
        ours = options();
        nb_fd_close(ours.session_fd);
        ours.session_fd = pair[0];
        ck_assert_int_eq(nb_session_open(&ours, &session), -EINVAL);
        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        nb_fd_close(pair[1]);
        ours.session_fd = pair[0];
        ck_assert_int_eq(nb_session_open(&ours, &session), -ENOTSOCK);
        /* Empty texts are as good as none. */
        ours = options();
        ours.tenant = ours.label = "";
        SCRIPT(greet);
        ck_assert_int_eq(nb_session_open(&ours, &session), 0);
}
END_TEST

START_TEST(given_channel_becomes_close_on_exec) {
        struct nb_session_options ours = options();
        int fd = ours.session_fd;

        ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
        SCRIPT(greet);
        ck_assert_int_eq(nb_session_open(&ours, &session), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

/* ---- the socket's path ---- */

static char folder[] = "/tmp/test-client-XXXXXX";
static char path[64];
static int listener;

static void have_path(int backlog) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/socket", folder);
        memcpy(address.sun_path, path, strlen(path) + 1);
        listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(listener, 0);
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
        if (backlog >= 0)
                ck_assert_int_eq(listen(listener, backlog), 0);
}

static void forget_path(void) {
        nb_fd_close(listener);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(folder), 0);
}

static int open_path(const char *where) {
        struct nb_session_options ours = NB_SESSION_OPTIONS_INIT;

        ours.socket_path = where;
        ours.wait = fake_wait;
        ours.wait_data = &broker;
        return nb_session_open(&ours, &session);
}

static int accept_and_greet(void) {
        nb_fd_close(broker.session);
        broker.session = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(broker.session, 0);
        return greet();
}

START_TEST(session_opens_by_path) {
        have_path(1);
        SCRIPT(accept_and_greet);
        ck_assert_int_eq(open_path(path), 0);
        forget_path();
}
END_TEST

START_TEST(path_errors) {
        char long_path[128];

        memset(long_path, 'p', sizeof(long_path) - 1);
        long_path[sizeof(long_path) - 1] = '\0';
        ck_assert_int_eq(open_path(long_path), -ENAMETOOLONG);
        long_path[108] = '\0';
        ck_assert_int_eq(open_path(long_path), -ENAMETOOLONG);
        long_path[107] = '\0';
        ck_assert_int_eq(open_path(long_path), -ENOENT);
        have_path(-1);
        ck_assert_int_eq(open_path(path), -ECONNREFUSED);
        forget_path();
}
END_TEST

/* A backlog of 0 has room for one. */
static int fill_backlog(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        memcpy(address.sun_path, path, strlen(path) + 1);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

static int make_room(void) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        nb_fd_close(fd);
        return 0;
}

START_TEST(full_backlog_is_waited_for) {
        int other;

        have_path(0);
        other = fill_backlog();
        SCRIPT(wake_for_nothing, wake_for_nothing, make_room, accept_and_greet);
        ck_assert_int_eq(open_path(path), 0);
        ck_assert_uint_eq(broker.n_pauses, 3);
        ck_assert_int_eq(broker.pauses[0], 1000000);
        ck_assert_int_eq(broker.pauses[2], 4000000);
        nb_fd_close(other);
        forget_path();
}
END_TEST

static int fake_pause(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        (void)fds;
        ck_assert_uint_eq(n_fds, 0);
        *(int64_t *)data += timeout_ns;
        return 0;
}

START_TEST(full_backlog_is_given_up) {
        struct nb_session_options ours = NB_SESSION_OPTIONS_INIT;
        int64_t waited = 0;
        int other;

        have_path(0);
        other = fill_backlog();
        ours.socket_path = path;
        ours.wait = fake_pause;
        ours.wait_data = &waited;
        ck_assert_int_eq(nb_session_open(&ours, &session), -ETIMEDOUT);
        ck_assert_int_ge(waited, INT64_C(10000000000));
        ck_assert_int_lt(waited, INT64_C(10200000000));
        SCRIPT(wake_for_nothing, interrupt);
        ck_assert_int_eq(open_path(path), -EINTR);
        nb_fd_close(other);
        forget_path();
}
END_TEST

/* ---- open ---- */

static int check_open(void) {
        const Nb__Request *request = asked(broker.protocol, NB__REQUEST__BODY_OPEN);

        ck_assert_uint_eq(request->serial, 1);
        ck_assert_str_eq(request->open->address, "0.0.0.0:0");
        ck_assert_int_eq(request->open->type, NB__SOCKET_TYPE__SOCKET_TYPE_STREAM);
        ck_assert_uint_eq(request->open->rights_base, 6);
        ck_assert_uint_eq(request->open->rights_inheriting, 7);
        say_opened("192.0.2.1:0", 0);
        return 1;
}

START_TEST(control_opens) {
        uint64_t base, inheriting;
        short events;

        have_session();
        SCRIPT(check_open);
        ck_assert_int_eq(open_it(), 0);
        ck_assert_str_eq(nb_control_address(control), "192.0.2.1:0");
        nb_control_rights(control, &base, &inheriting);
        ck_assert_uint_eq(base, 5);
        ck_assert_uint_eq(inheriting, 3);
        ck_assert_int_ge(nb_control_poll_fd(control, &events), 0);
        ck_assert_int_eq(events, POLLIN);
}
END_TEST

START_TEST(open_checks_its_arguments) {
        char text[NB_ADDRESS_LENGTH_MAX + 2];
        struct nb_protocol *protocol;

        have_session();
        protocol = nb_session_protocol(session, 0);
        memset(text, '1', sizeof(text));
        ck_assert_int_eq(open_address(text, NB_ADDRESS_LENGTH_MAX + 1), -EINVAL);
        ck_assert_int_eq(open_address("evil.com\0.example.com", 21), -EINVAL);
        ck_assert_int_eq(open_address("\xff", 1), -EINVAL);
        ck_assert_int_eq(nb_open(protocol, "1", 1, (enum nb_socket_type)4, 0, 0, 0, &control), -EINVAL);
        ck_assert_int_eq(nb_open(protocol, "1", 1, NB_SOCKET_STREAM, 0, 0, 1, &control), -EINVAL);
        ck_assert(nothing_was_asked(broker.protocol));
        /* The longest is the broker's to judge. */
        SCRIPT(open_control);
        ck_assert_int_eq(open_address(text, NB_ADDRESS_LENGTH_MAX), 0);
}
END_TEST

static uint32_t refusal;
static const char *refusal_reason;

static int refuse_open(void) {
        on_open();
        say_refused(broker.protocol, refusal, refusal_reason, 0);
        return 1;
}

START_TEST(open_is_refused_with_every_errno) {
        have_session();
        for (refusal = 1; refusal <= NB_WASI_ENOTCAPABLE; ++refusal) {
                refusal_reason = refusal == NB_WASI_EACCES ? "no rule matched" : "not kept";
                SCRIPT(refuse_open);
                ck_assert_int_eq(open_it(), -nb_wasi_errno_to_host(refusal));
                ck_assert_str_eq(nb_session_last_denial(session), refusal < NB_WASI_EACCES ? "" : "no rule matched");
        }
        refusal = NB_WASI_EACCES;
        refusal_reason = "";
        SCRIPT(refuse_open);
        ck_assert_int_eq(open_it(), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), "");
}
END_TEST

START_TEST(longest_reason_is_kept) {
        char reason[NB_REASON_LENGTH_MAX + 1] = { 0 };

        have_session();
        memset(reason, 'r', NB_REASON_LENGTH_MAX);
        refusal = NB_WASI_EACCES;
        refusal_reason = reason;
        SCRIPT(refuse_open);
        ck_assert_int_eq(open_it(), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), reason);
}
END_TEST

START_TEST(open_meets_faults) {
        have_session();
        meet_fault(_i, &broker.protocol, NB__REQUEST__BODY_OPEN, open_it, true);
}
END_TEST

static int open_without_fd(void) {
        Nb__Opened opened = NB__OPENED__INIT;

        on_open();
        say(broker.protocol, NB__REPLY__BODY_OPENED, &opened, 0);
        return 1;
}

static int open_with_two_fds(void) {
        on_open();
        say_opened("192.0.2.1:0", 1);
        return 1;
}

static int open_with_long_address(void) {
        char text[NB_ADDRESS_LENGTH_MAX + 2] = { 0 };

        memset(text, '1', sizeof(text) - 1);
        on_open();
        say_opened(text, 0);
        return 1;
}

START_TEST(opened_is_checked) {
        static const step_function steps[] = { open_without_fd, open_with_two_fds, open_with_long_address };

        have_session();
        SCRIPT(steps[_i]);
        ck_assert_int_eq(open_it(), -EPROTO);
        is_broken(broker.protocol);
        ck_assert_int_eq(open_it(), -EPROTO);
}
END_TEST

static int resume_protocol(void) {
        on_open();
        say_resumed(broker.protocol);
        return 1;
}

/* The copy has the number of the first, which a broker has answered by then. */
static int open_again_answered_once(void) {
        uint64_t first = broker.serial;

        on_open();
        ck_assert_uint_eq(broker.serial, first);
        say_opened("192.0.2.1:0", 0);
        return 1;
}

START_TEST(open_is_repeated_after_resumed) {
        have_session();
        SCRIPT(resume_protocol, resume_protocol, check_open);
        ck_assert_int_eq(open_it(), 0);
        /* One that came while nothing was asked has the next request sent twice, under one number. */
        control = nb_control_free(control);
        say_resumed(broker.protocol);
        SCRIPT(on_open, open_again_answered_once);
        ck_assert_int_eq(open_it(), 0);
}
END_TEST

START_TEST(open_goes_on_after_an_interruption) {
        have_session();
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
        SCRIPT(check_open);
        ck_assert_int_eq(open_it(), 0);
        ck_assert(nothing_was_asked(broker.protocol));
}
END_TEST

static int check_second_open(void) {
        const Nb__Request *request = asked(broker.protocol, NB__REQUEST__BODY_OPEN);

        ck_assert_uint_eq(request->serial, 2);
        ck_assert_str_eq(request->open->address, "[::]:0");
        say_opened("[::]:0", 0);
        return 1;
}

START_TEST(open_of_something_else_closes_what_was_interrupted) {
        have_session();
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
        SCRIPT(interrupt);
        ck_assert_int_eq(open_address("[::]:0", 6), -EINTR);
        SCRIPT(open_control, check_second_open);
        ck_assert_int_eq(open_address("[::]:0", 6), 0);
        ck_assert_str_eq(nb_control_address(control), "[::]:0");

        /* Also when the first is refused. */
        control = nb_control_free(control);
        refusal = NB_WASI_EACCES;
        refusal_reason = "first";
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
        SCRIPT(refuse_open, open_control);
        ck_assert_int_eq(open_address("[::]:0", 6), 0);
}
END_TEST

START_TEST(interrupted_open_is_freed) {
        have_session();
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
}
END_TEST

START_TEST(objects_outlive_what_they_were_made_from) {
        struct nb_protocol *protocol;

        have_session();
        protocol = nb_protocol_ref(nb_session_protocol(session, 0));
        session = nb_session_free(session);
        SCRIPT(open_control);
        ck_assert_int_eq(nb_open(protocol, "0.0.0.0:0", 9, NB_SOCKET_STREAM, 0, 0, 0, &control), 0);
        ck_assert_ptr_null(nb_protocol_unref(protocol));
        SCRIPT(make_connection);
        ck_assert_int_eq(connect_it(), 0);
        control = nb_control_free(control);
        ck_assert_str_eq(nb_connection_peer(connection), "192.0.2.9:80");
}
END_TEST

START_TEST(destructors_take_null) {
        ck_assert_ptr_null(nb_session_free(NULL));
        ck_assert_ptr_null(nb_protocol_unref(NULL));
        ck_assert_ptr_null(nb_control_free(NULL));
        ck_assert_ptr_null(nb_connection_free(NULL));
}
END_TEST

/* ---- listen ---- */

static int listen_it(void) {
        return nb_listen(control, 9);
}

START_TEST(control_listens) {
        have_control();
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
        ck_assert_str_eq(nb_control_address(control), "192.0.2.1:8080");
        /* Again, and with another backlog: nothing is asked. */
        ck_assert_int_eq(listen_it(), 0);
        ck_assert_int_eq(nb_listen(control, 10), 0);
        ck_assert(nothing_was_asked(broker.control));
        ck_assert_int_eq(connect_it(), -EINVAL);
}
END_TEST

static int refuse_on_control(void) {
        struct nb_channel_fds fds;

        ck_assert_int_gt(nb_channel_receive(broker.control, frame, &fds), 0);
        say_refused(broker.control, refusal, refusal_reason, 0);
        return 1;
}

START_TEST(listen_is_refused_and_tried_again) {
        have_control();
        refusal = NB_WASI_EADDRINUSE;
        refusal_reason = "";
        SCRIPT(refuse_on_control);
        ck_assert_int_eq(listen_it(), -EADDRINUSE);
        ck_assert_int_eq(nb_accept(control, &connection), -EINVAL);
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
}
END_TEST

START_TEST(listen_adjusts_a_negative_backlog) {
        have_control();
        refusal = NB_WASI_EACCES;
        refusal_reason = "not granted";
        SCRIPT(refuse_on_control);
        ck_assert_int_eq(nb_listen(control, -1), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), "not granted");
}
END_TEST

START_TEST(listen_meets_faults) {
        have_control();
        meet_fault(_i, &broker.control, NB__REQUEST__BODY_LISTEN, listen_it, true);
}
END_TEST

static int listening_with_fd(void) {
        on_listen();
        say_listening("192.0.2.1:8080", 1);
        return 1;
}

static int listening_with_long_address(void) {
        char text[NB_ADDRESS_LENGTH_MAX + 2] = { 0 };

        memset(text, '1', sizeof(text) - 1);
        on_listen();
        say_listening(text, 0);
        return 1;
}

static int accepted_before_listening(void) {
        on_listen();
        say_accepted(1, 1);
        return 1;
}

START_TEST(listening_is_checked) {
        static const step_function steps[] = { listening_with_fd, listening_with_long_address,
                                               accepted_before_listening };

        have_control();
        SCRIPT(steps[_i]);
        ck_assert_int_eq(listen_it(), -EPROTO);
        is_broken(broker.control);
        ck_assert_int_eq(connect_it(), -EPROTO);
}
END_TEST

static int resume_listen(void) {
        on_listen();
        say_resumed(broker.control);
        return 1;
}

START_TEST(listen_is_repeated_after_resumed) {
        have_control();
        SCRIPT(resume_listen, start_listening);
        ck_assert_int_eq(listen_it(), 0);
        ck_assert_uint_eq(broker.serial, 1);
}
END_TEST

START_TEST(listen_goes_on_after_an_interruption) {
        have_control();
        SCRIPT(interrupt);
        ck_assert_int_eq(listen_it(), -EINTR);
        ck_assert_int_eq(connect_it(), -EINVAL);
        ck_assert_int_eq(nb_accept(control, &connection), -EINVAL);
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
        ck_assert(nothing_was_asked(broker.control));
}
END_TEST

/* ---- accept ---- */

static int push_one(void) {
        say_accepted(1, 1);
        return 1;
}

START_TEST(accept_waits) {
        struct nb_stream stream;

        have_listener();
        SCRIPT(wake_for_nothing, push_one);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert_int_eq(broker.events, POLLIN);
        ck_assert_str_eq(nb_connection_peer(connection), "192.0.2.7:1");
        ck_assert_int_eq(nb_stream_accept(connection, 0, &stream), 0);
        ck_assert_int_eq(fcntl(stream.fd, F_GETFD), FD_CLOEXEC);
        ck_assert(stream.may_read && stream.may_write && !stream.datagrams);
        nb_fd_close(stream.fd);
        ck_assert_int_eq(nb_stream_accept(connection, 0, &stream), -ENOTSUP);
        ck_assert_int_eq(nb_stream_create(connection, 0, &stream), -ENOTSUP);
}
END_TEST

START_TEST(accept_does_not_wait) {
        have_listener();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        say_accepted(1, 1);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
}
END_TEST

START_TEST(accept_wants_a_listener) {
        have_control();
        ck_assert_int_eq(nb_accept(control, &connection), -EINVAL);
}
END_TEST

/* Credit is raised by what was accepted, whenever that is a quarter of the window: never early, never late. */
START_TEST(credit_is_exact) {
        uint64_t pushed = 0, credit = 16;

        have_listener();
        nb_control_set_flags(control, NB_NONBLOCK);
        for (uint64_t accepted = 0; accepted < 1000; ++accepted) {
                /* The broker pushes all it may; what arrives raises nothing. */
                for (; pushed < credit; ++pushed)
                        say_accepted(pushed + 1, 1);
                ck_assert(nothing_was_asked(broker.control));

                ck_assert_int_eq(nb_accept(control, &connection), 0);
                connection = nb_connection_free(connection);
                if ((accepted + 1) % 4 != 0)
                        continue;
                credit = asked(broker.control, NB__REQUEST__BODY_CREDIT)->credit->total;
                ck_assert_uint_eq(credit, accepted + 1 + 16);
                ck_assert_uint_eq(broker.serial, 0);
        }
}
END_TEST

static uint64_t resumed_credit, resumed_received;

static int check_resumed_listen(void) {
        const Nb__Request *request = asked(broker.control, NB__REQUEST__BODY_LISTEN);

        ck_assert_uint_eq(request->listen->backlog, 9);
        ck_assert_uint_eq(request->listen->credit, resumed_credit);
        ck_assert_uint_eq(request->listen->received, resumed_received);
        say_listening("192.0.2.1:8080", 0);
        say_accepted(resumed_received + 1, 1);
        return 1;
}

START_TEST(listener_tells_a_new_broker_where_it_stands) {
        have_listener();
        for (uint64_t i = 1; i <= 6; ++i) {
                say_accepted(i, 1);
                ck_assert_int_eq(nb_accept(control, &connection), 0);
                connection = nb_connection_free(connection);
        }
        ck_assert_uint_eq(asked(broker.control, NB__REQUEST__BODY_CREDIT)->credit->total, 20);
        say_resumed(broker.control);
        resumed_credit = 20;
        resumed_received = 6;
        SCRIPT(check_resumed_listen);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert_str_eq(nb_connection_peer(connection), "192.0.2.7:7");
}
END_TEST

START_TEST(listener_tells_a_new_broker_without_waiting) {
        have_listener();
        nb_control_set_flags(control, NB_NONBLOCK);
        say_resumed(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        resumed_credit = 16;
        resumed_received = 0;
        check_resumed_listen();
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        ck_assert(nothing_was_asked(broker.control));
}
END_TEST

/* The kernel's default has no room for so many. */
static void make_room_for_resumed(void) {
        int size = 1 << 20;

        if (setsockopt(broker.control, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                ck_assert_int_eq(setsockopt(broker.control, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

/* More than a broker can have sent by being started again and again: this one keeps its client busy. */
START_TEST(resumed_has_a_bound) {
        have_listener();
        make_room_for_resumed();
        nb_control_set_flags(control, NB_NONBLOCK);
        for (int i = 0; i < NB_RESUMED_MAX; ++i)
                say_resumed(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        (void)asked(broker.control, NB__REQUEST__BODY_LISTEN);
        ck_assert(nothing_was_asked(broker.control));
        for (int i = 0; i <= NB_RESUMED_MAX; ++i)
                say_resumed(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
        is_broken(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
}
END_TEST

/* With an end between them there may be any number. */
START_TEST(listener_outlives_many_brokers) {
        have_listener();
        nb_control_set_flags(control, NB_NONBLOCK);
        resumed_credit = 16;
        resumed_received = 0;
        for (int i = 0; i < 2 * NB_RESUMED_MAX; ++i) {
                say_resumed(broker.control);
                ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
                (void)asked(broker.control, NB__REQUEST__BODY_LISTEN);
                say_listening("192.0.2.1:8080", 0);
                ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        }
}
END_TEST

START_TEST(listener_that_a_new_broker_refuses_ends) {
        have_listener();
        say_resumed(broker.control);
        refusal = NB_WASI_EACCES;
        refusal_reason = "no longer granted";
        SCRIPT(refuse_on_control);
        ck_assert_int_eq(nb_accept(control, &connection), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), "no longer granted");
        is_broken(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EACCES);
}
END_TEST

START_TEST(accept_is_interrupted) {
        have_listener();
        SCRIPT(interrupt);
        ck_assert_int_eq(nb_accept(control, &connection), -EINTR);
        SCRIPT(push_one);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
}
END_TEST

START_TEST(pushed_connections_are_had_before_the_end) {
        have_listener();
        say_accepted(1, 1);
        broker.control = nb_fd_close(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        connection = nb_connection_free(connection);
        ck_assert_int_eq(nb_accept(control, &connection), -EPIPE);
        ck_assert_int_eq(nb_accept(control, &connection), -EPIPE);
}
END_TEST

static void push_without_fd(void) {
        say_accepted(1, 0);
}

static void push_with_two_fds(void) {
        say_accepted(1, 2);
}

static void push_number_0(void) {
        say_accepted(0, 1);
}

static void push_number_2(void) {
        say_accepted(2, 1);
}

static void push_long_peer(void) {
        char text[NB_ADDRESS_LENGTH_MAX + 2] = { 0 };
        Nb__Accepted accepted = NB__ACCEPTED__INIT;

        memset(text, '1', sizeof(text) - 1);
        accepted.number = 1;
        accepted.peer = text;
        say(broker.control, NB__REPLY__BODY_ACCEPTED, &accepted, 1);
}

static void push_connected(void) {
        say_connected("192.0.2.9:80", 1);
}

static void push_listening_with_fd(void) {
        say_listening("192.0.2.1:8080", 1);
}

static void push_listening(void) {
        say_listening("192.0.2.1:8080", 0);
}

static void push_garbage(void) {
        ck_assert_int_eq(nb_channel_send(broker.control, "garbage", 7, &broker.control, 1), 0);
}

static void (*const bad_pushes[])(void) = {
        push_without_fd, push_with_two_fds,      push_number_0, push_number_2,  push_long_peer,
        push_connected,  push_listening_with_fd, push_garbage,  push_listening,
};

START_TEST(what_is_pushed_is_checked) {
        have_listener();
        bad_pushes[_i]();
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
        is_broken(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
        ck_assert_int_eq(listen_it(), -EPROTO);
}
END_TEST

START_TEST(full_table_loses_one_connection_and_no_more) {
        struct rlimit limit, full;
        int lowest = dup(0);

        have_listener();
        ck_assert_int_ge(lowest, 0);
        for (uint64_t i = 1; i <= 4; ++i)
                say_accepted(i, 1);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        full = limit;
        /* No number below the limit is free: the next one would be the lowest that is. */
        full.rlim_cur = (rlim_t)dup(0);
        nb_fd_close((int)full.rlim_cur);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &full), 0);
        ck_assert_int_eq(nb_accept(control, &connection), -EMFILE);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        for (unsigned i = 2; i <= 4; ++i) {
                ck_assert_int_eq(nb_accept(control, &connection), 0);
                connection = nb_connection_free(connection);
        }
        /* The lost one counts. */
        ck_assert_uint_eq(asked(broker.control, NB__REQUEST__BODY_CREDIT)->credit->total, 20);
        nb_fd_close(lowest);
}
END_TEST

/* ---- connect ---- */

static int check_connect(void) {
        const Nb__Request *request = asked(broker.control, NB__REQUEST__BODY_CONNECT);

        ck_assert_str_eq(request->connect->address, "192.0.2.9:80");
        say_connected("192.0.2.9:80", 1);
        return 1;
}

START_TEST(control_connects_any_number_of_times) {
        have_control();
        for (uint64_t i = 1; i <= 3; ++i) {
                struct nb_stream stream;

                SCRIPT(check_connect);
                ck_assert_int_eq(connect_it(), 0);
                ck_assert_uint_eq(broker.serial, i);
                ck_assert_str_eq(nb_connection_peer(connection), "192.0.2.9:80");
                ck_assert_int_eq(nb_stream_create(connection, 0, &stream), 0);
                connection = nb_connection_free(connection);
                ck_assert_int_eq(fcntl(stream.fd, F_GETFD), FD_CLOEXEC);
                nb_fd_close(stream.fd);
        }
        ck_assert_int_eq(listen_it(), -EISCONN);
}
END_TEST

START_TEST(connect_checks_its_arguments) {
        char text[NB_ADDRESS_LENGTH_MAX + 1];

        have_control();
        memset(text, '1', sizeof(text));
        ck_assert_int_eq(nb_connect(control, "", 0, &connection), -EINVAL);
        ck_assert_int_eq(nb_connect(control, text, sizeof(text), &connection), -EINVAL);
        ck_assert_int_eq(nb_connect(control, "1.2.3.4:5\0", 10, &connection), -EINVAL);
        ck_assert(nothing_was_asked(broker.control));
}
END_TEST

START_TEST(connect_is_refused_with_every_errno) {
        have_control();
        refusal_reason = "because";
        for (refusal = 1; refusal <= NB_WASI_ENOTCAPABLE; ++refusal) {
                SCRIPT(refuse_on_control);
                ck_assert_int_eq(connect_it(), -nb_wasi_errno_to_host(refusal));
        }
        ck_assert_str_eq(nb_session_last_denial(session), "because");
        /* Without a connection it can still listen. */
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
}
END_TEST

START_TEST(connect_meets_faults) {
        have_control();
        meet_fault(_i, &broker.control, NB__REQUEST__BODY_CONNECT, connect_it, true);
}
END_TEST

static int connected_without_fd(void) {
        on_connect();
        say_connected("192.0.2.9:80", 0);
        return 1;
}

static int connected_with_two_fds(void) {
        on_connect();
        say_connected("192.0.2.9:80", 2);
        return 1;
}

static int connected_with_long_peer(void) {
        char text[NB_ADDRESS_LENGTH_MAX + 2] = { 0 };

        memset(text, '1', sizeof(text) - 1);
        on_connect();
        say_connected(text, 1);
        return 1;
}

static int accepted_while_connecting(void) {
        on_connect();
        say_accepted(1, 1);
        return 1;
}

static int listening_while_connecting(void) {
        on_connect();
        say_listening("192.0.2.1:8080", 0);
        return 1;
}

START_TEST(connected_is_checked) {
        static const step_function steps[] = { connected_without_fd, connected_with_two_fds, connected_with_long_peer,
                                               accepted_while_connecting, listening_while_connecting };

        have_control();
        SCRIPT(steps[_i]);
        ck_assert_int_eq(connect_it(), -EPROTO);
        is_broken(broker.control);
        ck_assert_int_eq(connect_it(), -EPROTO);
}
END_TEST

START_TEST(connect_does_not_wait) {
        struct nb_connection *other = NULL;

        have_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        ck_assert_int_eq(connect_it(), -EALREADY);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:81", 12, &other), -EALREADY);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:8", 11, &other), -EALREADY);
        ck_assert_int_eq(listen_it(), -EISCONN);
        make_connection();
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:81", 12, &other), -EALREADY);
        ck_assert_int_eq(connect_it(), 0);

        /* And refused, then in progress again. */
        connection = nb_connection_free(connection);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        refusal = NB_WASI_ECONNREFUSED;
        refusal_reason = "";
        refuse_on_control();
        ck_assert_int_eq(connect_it(), -ECONNREFUSED);
        refusal = NB_WASI_EAGAIN;
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        refuse_on_control();
        ck_assert_int_eq(connect_it(), -EAGAIN);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:81", 12, &other), -EINPROGRESS);
}
END_TEST

START_TEST(connect_that_began_without_waiting_can_be_waited_for) {
        have_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        nb_control_set_flags(control, 0);
        SCRIPT(make_connection);
        ck_assert_int_eq(connect_it(), 0);
}
END_TEST

static int resume_connect(void) {
        on_connect();
        say_resumed(broker.control);
        return 1;
}

START_TEST(connect_is_repeated_after_resumed) {
        have_control();
        SCRIPT(resume_connect, check_connect);
        ck_assert_int_eq(connect_it(), 0);
        ck_assert_uint_eq(broker.serial, 1);

        connection = nb_connection_free(connection);
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        resume_connect();
        ck_assert_int_eq(connect_it(), -EALREADY);
        check_connect();
        ck_assert_uint_eq(broker.serial, 2);
        ck_assert_int_eq(connect_it(), 0);
}
END_TEST

START_TEST(connect_goes_on_after_an_interruption) {
        have_control();
        SCRIPT(interrupt);
        ck_assert_int_eq(connect_it(), -EINTR);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:81", 12, &connection), -EALREADY);
        SCRIPT(check_connect);
        ck_assert_int_eq(connect_it(), 0);
        ck_assert(nothing_was_asked(broker.control));
}
END_TEST

START_TEST(connecting_control_is_freed) {
        have_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        make_connection();
}
END_TEST

/* ---- a channel that takes nothing ---- */

/* Fills the client's way to the broker, as a broker does that does not read. Returns how many frames are in front. */
static size_t fill_channel(int fd) {
        size_t n = 0;

        while (nb_channel_send(fd, frame, 4096, NULL, 0) == 0)
                n++;
        ck_assert_uint_gt(n, 0);
        return n;
}

static size_t n_in_front;

static int drain_channel(void) {
        struct nb_channel_fds fds;

        ck_assert_int_eq(broker.events, POLLIN | POLLOUT);
        for (; n_in_front > 0; --n_in_front)
                ck_assert_int_eq(nb_channel_receive(broker.control, frame, &fds), 4096);
        return 1;
}

START_TEST(full_channel_is_waited_for) {
        short events;

        have_control();
        n_in_front = fill_channel(nb_control_poll_fd(control, &events));
        SCRIPT(drain_channel, check_connect);
        ck_assert_int_eq(connect_it(), 0);
        ck_assert_int_eq(broker.events, POLLIN);
}
END_TEST

START_TEST(full_channel_is_told_to_who_polls) {
        short events;

        have_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        n_in_front = fill_channel(nb_control_poll_fd(control, &events));
        ck_assert_int_eq(events, POLLIN);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        ck_assert_int_ge(nb_control_poll_fd(control, &events), 0);
        ck_assert_int_eq(events, POLLIN | POLLOUT);
        broker.events = events;
        drain_channel();
        ck_assert_int_eq(connect_it(), -EALREADY);
        ck_assert_int_ge(nb_control_poll_fd(control, &events), 0);
        ck_assert_int_eq(events, POLLIN);
        check_connect();
        ck_assert_int_eq(connect_it(), 0);
}
END_TEST

/* ---- the wait function that comes with the library ---- */

static void *greet_from_a_thread(void *data) {
        struct pollfd ready = { .fd = broker.session, .events = POLLIN };

        (void)data;
        ck_assert_int_eq(poll(&ready, 1, -1), 1);
        (void)greet();
        return NULL;
}

START_TEST(library_waits_by_itself) {
        struct nb_session_options ours = options();
        pthread_t thread;

        ours.wait = NULL;
        ck_assert_int_eq(pthread_create(&thread, NULL, greet_from_a_thread, NULL), 0);
        ck_assert_int_eq(nb_session_open(&ours, &session), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void add_session_tests(TCase *tcase) {
        tcase_add_test(tcase, session_opens);
        tcase_add_loop_test(tcase, session_has_no_protocol_or_as_many_as_fit, 0, 2);
        tcase_add_loop_test(tcase, welcome_is_checked, 0, COUNT(bad_welcomes));
        tcase_add_test(tcase, session_is_refused);
        tcase_add_test(tcase, session_is_refused_at_once);
        tcase_add_loop_test(tcase, session_meets_faults, 0, N_FAULTS);
        tcase_add_test(tcase, session_says_hello_again_after_resumed);
        tcase_add_test(tcase, session_open_is_interrupted);
        tcase_add_test(tcase, session_options_are_checked);
        tcase_add_test(tcase, given_channel_becomes_close_on_exec);
        tcase_add_test(tcase, session_opens_by_path);
        tcase_add_test(tcase, path_errors);
        tcase_add_test(tcase, full_backlog_is_waited_for);
        tcase_add_test(tcase, full_backlog_is_given_up);
        tcase_add_test(tcase, library_waits_by_itself);
}

static void add_open_tests(TCase *tcase) {
        tcase_add_test(tcase, control_opens);
        tcase_add_test(tcase, open_checks_its_arguments);
        tcase_add_test(tcase, open_is_refused_with_every_errno);
        tcase_add_test(tcase, longest_reason_is_kept);
        tcase_add_loop_test(tcase, open_meets_faults, 0, N_FAULTS);
        tcase_add_loop_test(tcase, opened_is_checked, 0, 3);
        tcase_add_test(tcase, open_is_repeated_after_resumed);
        tcase_add_test(tcase, open_goes_on_after_an_interruption);
        tcase_add_test(tcase, open_of_something_else_closes_what_was_interrupted);
        tcase_add_test(tcase, interrupted_open_is_freed);
        tcase_add_test(tcase, objects_outlive_what_they_were_made_from);
        tcase_add_test(tcase, destructors_take_null);
}

static void add_listen_tests(TCase *tcase) {
        tcase_add_test(tcase, control_listens);
        tcase_add_test(tcase, listen_is_refused_and_tried_again);
        tcase_add_test(tcase, listen_adjusts_a_negative_backlog);
        tcase_add_loop_test(tcase, listen_meets_faults, 0, N_FAULTS);
        tcase_add_loop_test(tcase, listening_is_checked, 0, 3);
        tcase_add_test(tcase, listen_is_repeated_after_resumed);
        tcase_add_test(tcase, listen_goes_on_after_an_interruption);
        tcase_add_test(tcase, accept_waits);
        tcase_add_test(tcase, accept_does_not_wait);
        tcase_add_test(tcase, accept_wants_a_listener);
        tcase_add_test(tcase, credit_is_exact);
        tcase_add_test(tcase, listener_tells_a_new_broker_where_it_stands);
        tcase_add_test(tcase, listener_tells_a_new_broker_without_waiting);
        tcase_add_test(tcase, resumed_has_a_bound);
        tcase_add_test(tcase, listener_outlives_many_brokers);
        tcase_add_test(tcase, listener_that_a_new_broker_refuses_ends);
        tcase_add_test(tcase, accept_is_interrupted);
        tcase_add_test(tcase, pushed_connections_are_had_before_the_end);
        tcase_add_loop_test(tcase, what_is_pushed_is_checked, 0, COUNT(bad_pushes));
        tcase_add_test(tcase, full_table_loses_one_connection_and_no_more);
}

/* ---- a control that is kept for the next open ---- */

/* As the broker does: what means nothing to a control or its streams is dropped. */
static int open_unbound(void) {
        const Nb__Request *request = asked(broker.protocol, NB__REQUEST__BODY_OPEN);
        uint64_t base = request->open->rights_base & NB_RIGHTS_CONTROL;
        uint64_t inheriting = request->open->rights_inheriting & (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM);

        say_opened_with("[::]:0", base, inheriting, 0);
        return 1;
}

static int open_with(const char *address, uint64_t base, uint64_t inheriting, uint32_t flags) {
        return nb_open(nb_session_protocol(session, 0), address, strlen(address), NB_SOCKET_STREAM, base, inheriting,
                       flags, &control);
}

static void have_unbound_control(void) {
        have_session();
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
}

START_TEST(idle_control_is_kept_for_the_next_open) {
        have_unbound_control();
        SCRIPT(make_connection);
        ck_assert_int_eq(connect_it(), 0);
        control = nb_control_free(control);

        SCRIPT(NULL);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, NB_NONBLOCK), 0);
        ck_assert(nothing_was_asked(broker.protocol));
        ck_assert_str_eq(nb_control_address(control), "[::]:0");
        /* Nothing of its earlier life shows: the flags are the new ones, and it may listen. */
        connection = nb_connection_free(connection);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        (void)asked(broker.control, NB__REQUEST__BODY_CONNECT);
}
END_TEST

START_TEST(kept_control_may_listen) {
        have_unbound_control();
        SCRIPT(make_connection);
        ck_assert_int_eq(connect_it(), 0);
        control = nb_control_free(control);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
}
END_TEST

/* What is asked for, and whether the kept control serves it. */
START_TEST(kept_control_is_for_the_same_parameters) {
        have_unbound_control();
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("0.0.0.0:0", UINT64_MAX, UINT64_MAX, 0), 0);
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", NB_RIGHT_SOCK_CONNECT, UINT64_MAX, 0), 0);
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, NB_RIGHT_FD_READ, 0), 0);
}
END_TEST

START_TEST(busy_control_is_not_kept) {
        have_unbound_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
}
END_TEST

/* The descriptors are counted at the end: none may be left when the protocol goes first. */
START_TEST(kept_control_goes_with_its_protocol) {
        struct nb_control *other = NULL;

        have_unbound_control();
        other = control;
        control = NULL;
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
        control = nb_control_free(control);
        session = nb_session_free(session);
        ck_assert_int_eq(nb_channel_receive(broker.control, frame, &(struct nb_channel_fds){ 0 }), 0);
        (void)nb_control_free(other);
}
END_TEST

static void add_spare_tests(TCase *tcase) {
        tcase_add_test(tcase, idle_control_is_kept_for_the_next_open);
        tcase_add_test(tcase, kept_control_may_listen);
        tcase_add_test(tcase, kept_control_is_for_the_same_parameters);
        tcase_add_test(tcase, busy_control_is_not_kept);
        tcase_add_test(tcase, kept_control_goes_with_its_protocol);
}

static void add_connect_tests(TCase *tcase) {
        tcase_add_test(tcase, control_connects_any_number_of_times);
        tcase_add_test(tcase, connect_checks_its_arguments);
        tcase_add_test(tcase, connect_is_refused_with_every_errno);
        tcase_add_loop_test(tcase, connect_meets_faults, 0, N_FAULTS);
        tcase_add_loop_test(tcase, connected_is_checked, 0, 5);
        tcase_add_test(tcase, connect_does_not_wait);
        tcase_add_test(tcase, connect_that_began_without_waiting_can_be_waited_for);
        tcase_add_test(tcase, connect_is_repeated_after_resumed);
        tcase_add_test(tcase, connect_goes_on_after_an_interruption);
        tcase_add_test(tcase, connecting_control_is_freed);
        tcase_add_test(tcase, full_channel_is_waited_for);
        tcase_add_test(tcase, full_channel_is_told_to_who_polls);
}

int main(void) {
        static const struct {
                const char *name;
                void (*add)(TCase *);
        } groups[] = {
                { "session", add_session_tests }, { "open", add_open_tests },   { "listen", add_listen_tests },
                { "connect", add_connect_tests }, { "spare", add_spare_tests },
        };
        Suite *suite = suite_create("client");

        for (int i = 0; i < COUNT(groups); ++i) {
                TCase *tcase = tcase_create(groups[i].name);

                tcase_add_checked_fixture(tcase, setup, teardown);
                tcase_set_timeout(tcase, 30);
                groups[i].add(tcase);
                suite_add_tcase(suite, tcase);
        }
        return run_suite(suite);
}
