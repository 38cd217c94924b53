/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest and its host get when a call of libnetbroker's fails: each allocation, and each system call of each class, one after the other.
 *
 * A deed is done with its first call failing, then with the second, until nothing fails any more. Whatever came of it, the answer is one that is
 * documented, the same deed succeeds when it is repeated, or the object has ended; and no descriptor is left, nor, as sanitizers see it, memory.
 */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shim/wasi/call.h"
#include "tests/support/runner.h"
#include "tests/unit/failing.h"
#include "tests/unit/fds.h"
#include "tests/unit/wasi_world.h"

#define OK NB_WASI_SUCCESS

#define OPTION_KEEPALIVE 3

/* No deed makes as many calls of one kind. */
#define CALLS_MAX 200

/* ---- the broker is no part of it ---- */

int __real_scripted_broker_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns);
int __wrap_scripted_broker_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns);
int __wrap_scripted_broker_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        int r;

        failing_pause();
        r = __real_scripted_broker_wait(data, fds, n_fds, timeout_ns);
        failing_resume();
        return r;
}

/* ---- deeds of a guest ---- */

struct deed {
        const char *name;
        uint32_t (*prepare)(struct world *world);             /* NULL: nothing. @return what the deed is done with */
        int (*function)(struct world *world, uint32_t value); /* @return an errno of WASI */
};

static int do_open(struct world *world, uint32_t value) {
        uint32_t length = world_put_text(world, WORLD_TEXT, "any:0");

        (void)value;
        return world_call(world, "open", WORLD_PROTOCOL, WORLD_TEXT, length, NB_SOCKET_STREAM, UINT64_MAX, UINT64_MAX,
                          0, WORLD_RET);
}

static int do_restrict(struct world *world, uint32_t value) {
        uint32_t length = world_put_text(world, WORLD_TEXT, "Connect=127.0.0.1:*\n");

        (void)value;
        return world_call(world, "protocol_restrict", WORLD_PROTOCOL, WORLD_TEXT, length, UINT64_MAX, UINT64_MAX,
                          WORLD_RET);
}

static uint32_t have_control(struct world *world) {
        return world_open(world, 0);
}

static int do_listen(struct world *world, uint32_t control) {
        return world_call(world, "listen", control, 8);
}

static int do_connect(struct world *world, uint32_t control) {
        return world_connect(world, control, "peer:1");
}

static int do_refused(struct world *world, uint32_t control) {
        int r = world_connect(world, control, "denied:1");

        return r == NB_WASI_EACCES ? OK : r;
}

/* A connection waits to be accepted, and one more: the first may be lost. */
static uint32_t have_peers(struct world *world) {
        uint32_t control = world_listener(world, NB_NONBLOCK);

        scripted_broker_push(&world->broker);
        scripted_broker_push(&world->broker);
        return control;
}

static int do_accept(struct world *world, uint32_t control) {
        return world_call(world, "accept", control, WORLD_RET);
}

static int do_sock_accept(struct world *world, uint32_t control) {
        return world_call(world, "sock_accept", control, 0, WORLD_RET);
}

static uint32_t have_connection(struct world *world) {
        return world_connection(world);
}

static int do_stream_create(struct world *world, uint32_t connection) {
        return world_call(world, "stream_create", connection, UINT64_MAX, UINT64_MAX, 0, WORLD_RET);
}

static uint32_t have_stream(struct world *world) {
        uint32_t stream = world_stream(world, 0);

        world_peer_writes(world, "hello");
        return stream;
}

static int do_read(struct world *world, uint32_t stream) {
        return world_read(world, stream, 3);
}

static int do_write(struct world *world, uint32_t stream) {
        return world_write(world, stream, 3);
}

/* Two parts, which the kernel takes in one call. */
static void put_two_parts(struct world *world) {
        world_put_iovec(world, WORLD_IOVEC, WORLD_BUFFER, 1);
        world_put_iovec(world, WORLD_IOVEC + 8, WORLD_BUFFER + 1, 1);
}

static int do_read_parts(struct world *world, uint32_t stream) {
        put_two_parts(world);
        return world_call(world, "fd_read", stream, WORLD_IOVEC, 2, WORLD_RET);
}

static int do_write_parts(struct world *world, uint32_t stream) {
        put_two_parts(world);
        return world_call(world, "fd_write", stream, WORLD_IOVEC, 2, WORLD_RET);
}

static int do_receive(struct world *world, uint32_t stream) {
        return world_receive(world, stream, 2, 0);
}

static int do_send(struct world *world, uint32_t stream) {
        put_two_parts(world);
        return world_call(world, "sock_send", stream, WORLD_IOVEC, 2, 0, WORLD_RET);
}

static int do_address(struct world *world, uint32_t stream) {
        return world_call(world, "remote_address", stream, WORLD_BUFFER, 100, WORLD_RET);
}

static int do_get_option(struct world *world, uint32_t stream) {
        return world_call(world, "get_option", stream, OPTION_KEEPALIVE, WORLD_RET);
}

static int do_poll(struct world *world, uint32_t stream) {
        world_subscribe(world, 0, WORLD_FD_READ, stream);
        world_subscribe(world, 1, WORLD_FD_WRITE, stream);
        world_subscribe_clock(world, 2, 1, 0, 0);
        return world_call(world, "poll_oneoff", WORLD_SUBSCRIPTIONS, WORLD_EVENTS, 3, WORLD_RET);
}

static int do_close(struct world *world, uint32_t stream) {
        int r = world_call(world, "fd_close", stream);

        return r == NB_WASI_EBADF ? OK : r; /* closed the first time */
}

static const struct deed deeds[] = {
        { "open", NULL, do_open },
        { "protocol_restrict", NULL, do_restrict },
        { "listen", have_control, do_listen },
        { "connect", have_control, do_connect },
        { "connect that is refused", have_control, do_refused },
        { "accept", have_peers, do_accept },
        { "sock_accept", have_peers, do_sock_accept },
        { "stream_create", have_connection, do_stream_create },
        { "fd_read", have_stream, do_read },
        { "fd_write", have_stream, do_write },
        { "fd_read of parts", have_stream, do_read_parts },
        { "fd_write of parts", have_stream, do_write_parts },
        { "sock_recv", have_stream, do_receive },
        { "sock_send", have_stream, do_send },
        { "remote_address", have_stream, do_address },
        { "get_option", have_stream, do_get_option },
        { "poll_oneoff", have_stream, do_poll },
        { "fd_close", have_stream, do_close },
};

#define N_DEEDS (sizeof(deeds) / sizeof(deeds[0]))

/* ---- what fails ---- */

static const struct fault {
        enum failing_call call;
        int error;
        bool ends; /* the object that it happens to may be at its end */
} faults[] = {
        { FAILING_memory, ENOMEM, false },     { FAILING_fcntl, EMFILE, false },
        { FAILING_getsockopt, ENOBUFS, true }, { FAILING_ioctl, ENOMEM, true },
        { FAILING_read, EINTR, false },        { FAILING_read, ENOMEM, false },
        { FAILING_readv, EINTR, false },       { FAILING_readv, ENOMEM, false },
        { FAILING_recv, EINTR, false },        { FAILING_recv, ENOMEM, false },
        { FAILING_recv, ECONNRESET, true },    { FAILING_recvmsg, EINTR, false },
        { FAILING_recvmsg, ENOMEM, false },    { FAILING_recvmsg, ECONNRESET, true },
        { FAILING_send, EINTR, false },        { FAILING_send, ENOBUFS, false },
        { FAILING_sendmsg, EINTR, false },     { FAILING_sendmsg, EAGAIN, false },
        { FAILING_sendmsg, ENOBUFS, false },   { FAILING_sendmsg, ETOOMANYREFS, false },
        { FAILING_sendmsg, EPIPE, true },      { FAILING_sendto, EINTR, false },
        { FAILING_sendto, ENOBUFS, false },    { FAILING_setsockopt, ENOBUFS, false },
        { FAILING_socket, EMFILE, false },     { FAILING_socketpair, EMFILE, false },
        { FAILING_writev, EINTR, false },      { FAILING_writev, ENOBUFS, false },
};

#define N_FAULTS (sizeof(faults) / sizeof(faults[0]))

/* The failure itself, want of memory or buffers, or the end of what could not go on. */
static bool is_answer(const struct fault *fault, int r) {
        switch (r) {
        case NB_WASI_SUCCESS:
        case NB_WASI_ENOMEM:
        case NB_WASI_ENOBUFS:
                return true;
        case NB_WASI_EPIPE:
        case NB_WASI_EPROTO:
                return fault->ends;
        default:
                return r == nb_call_errno(-fault->error);
        }
}

/* @return whether the call number `n` was made, and failed */
static bool fail_one(const struct deed *deed, const struct fault *fault, unsigned n) {
        uint32_t value = 0;
        struct world world;
        bool failed;
        int r, again;

        world_init(&world, 0);
        if (deed->prepare)
                value = deed->prepare(&world);
        failing_arm(fault->call, n, fault->error);
        r = deed->function(&world, value);
        failed = failing_disarm();
        again = r == OK ? OK : deed->function(&world, value);
        world_deinit(&world);
        ck_assert_msg(failed ? is_answer(fault, r) : r == OK, "%s, with %s number %u failing with %s: %d", deed->name,
                      failing_name(fault->call), n, strerrorname_np(fault->error), r);
        ck_assert_msg(again == OK || fault->ends, "%s, repeated after %s number %u failed with %s: %d", deed->name,
                      failing_name(fault->call), n, strerrorname_np(fault->error), again);
        return failed;
}

START_TEST(a_guest) {
        for (size_t i = 0; i < N_FAULTS; ++i) {
                unsigned n = 1;

                while (fail_one(&deeds[_i], &faults[i], n))
                        ck_assert_uint_lt(n++, CALLS_MAX);
        }
}
END_TEST

/* ---- deeds of a host ---- */

/* Fails each call in turn of what a host does with a session. */
struct host {
        struct scripted_broker broker;
        struct nb_session *session;
        int fd; /* of the session, until it is opened; or of an exported protocol */
        int n_fds_before;
};

static struct nb_session_options host_options(struct host *host) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        options.wait = scripted_broker_wait;
        options.wait_data = &host->broker;
        return options;
}

/* The descriptor is consumed, also on failure. */
static int host_open(struct host *host) {
        struct nb_session_options options = host_options(host);

        options.session_fd = nb_steal_fd(&host->fd);
        options.label = "a sweep";
        return nb_session_open(&options, &host->session);
}

static int host_export(struct host *host) {
        return nb_protocol_export(nb_session_find_protocol(host->session, "web"), &host->fd);
}

static int host_import(struct host *host) {
        struct nb_session_options options = host_options(host);
        struct nb_protocol *protocol;
        struct nb_session *other;
        int r = nb_session_new(&options, &other);

        if (r < 0)
                return r;
        r = nb_protocol_import(other, host->fd, "given", &protocol);
        if (r == 0)
                host->fd = -1;
        (void)nb_session_free(other);
        return r;
}

static int host_guest(struct host *host) {
        struct nb_guest_options options = NB_GUEST_OPTIONS_INIT;
        struct nb_guest *guest;
        int r;

        options.session = host->session;
        r = nb_guest_new(&options, &guest);
        if (r == 0)
                (void)nb_guest_free(guest);
        return r;
}

static const struct host_deed {
        const char *name;
        int (*before)(struct host *host); /* NULL: nothing */
        bool with_session;
        int (*function)(struct host *host);
} host_deeds[] = {
        { "nb_session_open()", NULL, false, host_open },
        { "nb_protocol_export()", NULL, true, host_export },
        { "nb_protocol_import()", host_export, true, host_import },
        { "nb_guest_new()", NULL, true, host_guest },
};

#define N_HOST_DEEDS (sizeof(host_deeds) / sizeof(host_deeds[0]))

static bool is_host_answer(const struct fault *fault, int r) {
        return r == 0 || r == -ENOMEM || r == -ENOBUFS || r == -fault->error ||
               (fault->ends && (r == -EPIPE || r == -EPROTO));
}

static bool fail_one_of_host(const struct host_deed *deed, const struct fault *fault, unsigned n) {
        struct host host = { .n_fds_before = count_fds() };
        bool failed;
        int r;

        host.fd = scripted_broker_init(&host.broker);
        if (deed->with_session)
                ck_assert_int_eq(host_open(&host), 0);
        if (deed->before)
                ck_assert_int_eq(deed->before(&host), 0);
        failing_arm(fault->call, n, fault->error);
        r = deed->function(&host);
        failed = failing_disarm();
        ck_assert_msg(failed ? is_host_answer(fault, r) : r == 0, "%s, with %s number %u failing with %s: %d",
                      deed->name, failing_name(fault->call), n, strerrorname_np(fault->error), r);
        (void)nb_fd_close(host.fd);
        (void)nb_session_free(host.session);
        scripted_broker_deinit(&host.broker);
        ck_assert_int_eq(count_fds(), host.n_fds_before);
        return failed;
}

START_TEST(a_host) {
        for (size_t i = 0; i < N_FAULTS; ++i) {
                unsigned n = 1;

                while (fail_one_of_host(&host_deeds[_i], &faults[i], n))
                        ck_assert_uint_lt(n++, CALLS_MAX);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("failing shim");
        TCase *guest = tcase_create("guest"), *host = tcase_create("host");

        tcase_set_timeout(guest, 120);
        tcase_add_loop_test(guest, a_guest, 0, (int)N_DEEDS);
        suite_add_tcase(suite, guest);
        tcase_set_timeout(host, 120);
        tcase_add_loop_test(host, a_host, 0, (int)N_HOST_DEEDS);
        suite_add_tcase(suite, host);
        return run_suite(suite);
}
