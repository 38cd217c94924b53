/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/stepped_broker.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "tests/unit/fds.h"

/* Between the serials of one Resumed and the next: more than is asked of one broker. */
#define SERIALS_A_BROKER 100000u

struct stepped_broker broker;
struct nb_session *session;
struct nb_control *control;
struct nb_connection *connection;
uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
struct welcome welcome;
uint32_t refusal;
const char *refusal_reason;

static struct nb_frame_arena arena;
static int fds_before;

/* ---- the script ---- */

void stepped_script(const step_function *steps) {
        ck_assert_uint_eq(broker.done, broker.n_steps);
        broker.done = 0;
        for (broker.n_steps = 0; steps[broker.n_steps]; ++broker.n_steps)
                broker.steps[broker.n_steps] = steps[broker.n_steps];
}

static void script_is_done(void) {
        ck_assert_uint_eq(broker.done, broker.n_steps);
}

int fake_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
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

int interrupt(void) {
        return -EINTR;
}

int wake_for_nothing(void) {
        return 0;
}

/* ---- what the broker reads ---- */

bool nothing_was_asked(int fd) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };

        return poll(&ready, 1, 0) == 0;
}

const Nb__Request *asked(int fd, Nb__Request__BodyCase expected) {
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
void say(int fd, Nb__Reply__BodyCase body_case, void *body, size_t n_fds) {
        Nb__Reply reply = NB__REPLY__INIT;
        int fds[FDS_MAX] = { 0 };

        for (size_t i = 0; i < n_fds; ++i)
                ck_assert_int_ge(fds[i] = dup(fd), 0);
        reply.body_case = body_case;
        reply.welcome = body; /* the members of the union are all pointers to messages */
        ck_assert_int_eq(nb_reply_send(fd, &reply, fds, n_fds), 0);
        nb_fds_close(fds, n_fds);
}

void say_resumed(int fd) {
        Nb__Resumed resumed = NB__RESUMED__INIT;

        resumed.serial = broker.resumed += SERIALS_A_BROKER;
        say(fd, NB__REPLY__BODY_RESUMED, &resumed, 0);
}

void say_refused(int fd, uint32_t error, const char *reason, size_t n_fds) {
        Nb__Refused refused = NB__REFUSED__INIT;

        refused.error = error;
        refused.reason = (char *)reason;
        say(fd, NB__REPLY__BODY_REFUSED, &refused, n_fds);
}

void say_listening(const char *address, size_t n_fds) {
        Nb__Listening listening = NB__LISTENING__INIT;

        listening.address = (char *)address;
        say(broker.control, NB__REPLY__BODY_LISTENING, &listening, n_fds);
}

void say_accepted(uint64_t number, size_t n_fds) {
        Nb__Accepted accepted = NB__ACCEPTED__INIT;
        char peer[32];

        (void)snprintf(peer, sizeof(peer), "192.0.2.7:%u", (unsigned)number);
        accepted.number = number;
        accepted.peer = peer;
        say(broker.control, NB__REPLY__BODY_ACCEPTED, &accepted, n_fds);
}

void say_connected(const char *peer, size_t n_fds) {
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

void say_opened_with(const char *address, uint64_t rights_base, uint64_t rights_inheriting, size_t n_more_fds) {
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

void say_opened(const char *address, size_t n_more_fds) {
        say_opened_with(address, 5, 3, n_more_fds);
}

int say_welcome(void) {
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

int on_hello(void) {
        (void)asked(broker.session, NB__REQUEST__BODY_HELLO);
        return 1;
}

int greet(void) {
        on_hello();
        return say_welcome();
}

int on_open(void) {
        (void)asked(broker.protocol, NB__REQUEST__BODY_OPEN);
        return 1;
}

int open_control(void) {
        on_open();
        say_opened("192.0.2.1:0", 0);
        return 1;
}

int on_listen(void) {
        (void)asked(broker.control, NB__REQUEST__BODY_LISTEN);
        return 1;
}

int start_listening(void) {
        const Nb__Request *request = asked(broker.control, NB__REQUEST__BODY_LISTEN);

        ck_assert_uint_eq(request->listen->backlog, 9);
        ck_assert_uint_eq(request->listen->credit, 16);
        ck_assert_uint_eq(request->listen->received, 0);
        say_listening("192.0.2.1:8080", 0);
        return 1;
}

int on_connect(void) {
        (void)asked(broker.control, NB__REQUEST__BODY_CONNECT);
        return 1;
}

int make_connection(void) {
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

struct nb_session_options options(void) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        options.session_fd = channel_for_client(&broker.session);
        options.wait = fake_wait;
        options.wait_data = &broker;
        return options;
}

int open_session(void) {
        struct nb_session_options ours = options();

        return nb_session_open(&ours, &session);
}

int open_address(const char *address, size_t length) {
        return nb_open(nb_session_protocol(session, 0), address, length, NB_SOCKET_STREAM, 6, 7, 0, &control);
}

int open_it(void) {
        return open_address("0.0.0.0:0", 9);
}

void have_session(void) {
        SCRIPT(greet);
        ck_assert_int_eq(open_session(), 0);
}

void have_control(void) {
        have_session();
        SCRIPT(open_control);
        ck_assert_int_eq(open_it(), 0);
}

void have_listener(void) {
        have_control();
        SCRIPT(start_listening);
        ck_assert_int_eq(nb_listen(control, 9), 0);
}

int connect_it(void) {
        return nb_connect(control, "192.0.2.9:80", 12, &connection);
}

int listen_it(void) {
        return nb_listen(control, 9);
}

int refuse_on_control(void) {
        struct nb_channel_fds fds;

        ck_assert_int_gt(nb_channel_receive(broker.control, frame, &fds), 0);
        say_refused(broker.control, refusal, refusal_reason, 0);
        return 1;
}

/* A broken object says so again, without waiting, and the broker sees its end. */
void is_broken(int fd) {
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

_Static_assert(sizeof(faults) / sizeof(faults[0]) == N_FAULTS, "each has its number");

/* Has `call` meet the fault number `i`, twice: what is broken stays so. */
void meet_fault(int i, int *fd, Nb__Request__BodyCase request, int (*call)(void), bool stays) {
        fault_fd = fd;
        fault_request = request;
        SCRIPT(faults[i].step);
        ck_assert_int_eq(call(), faults[i].expected);
        if (*fd >= 0)
                is_broken(*fd);
        if (stays)
                ck_assert_int_eq(call(), faults[i].expected);
}

TCase *stepped_case(const char *name, void (*add)(TCase *)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 30);
        add(tcase);
        return tcase;
}
