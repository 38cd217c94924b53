/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guests of the conformance suite share. They find everything in their environment, so that any host that gives them the same
 * can run them: who starts them is tests/integration/test_conformance.c, and the other ends are tests/conformance/peers.h.
 *
 * A stream's other end is mostly in the guest itself: it listens, connects to itself and so can act for the peer.
 */
#ifndef NB_TESTS_CONFORMANCE_H
#define NB_TESTS_CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>

#include <wasi/networking_ext.h>

#include "tests/guests/guest.h"

/* Peers of the runner: addresses. */
#define PEER_ECHO "CONFORMANCE_ECHO"                           /* TCP over IPv4: sends back what it gets */
#define PEER_ECHO6 "CONFORMANCE_ECHO6"                         /* over IPv6 */
#define PEER_CROWD "CONFORMANCE_CROWD"                         /* as PEER_ECHO, for as many as come */
#define PEER_DATAGRAMS "CONFORMANCE_DATAGRAMS"                 /* the same for UDP, a datagram for a datagram */
#define PEER_DATAGRAMS6 "CONFORMANCE_DATAGRAMS6"               /* over IPv6 */
#define PEER_REFUSED "CONFORMANCE_REFUSED"                     /* nobody listens */
#define PEER_REFUSED_DATAGRAMS "CONFORMANCE_REFUSED_DATAGRAMS" /* the same for UDP */
#define PEER_BLACK_HOLE "CONFORMANCE_BLACK_HOLE"               /* TCP: never answers */
#define PEER_UNIX "CONFORMANCE_UNIX"                           /* the path of a Unix socket that echoes */
#define FOLDER                                                                                                         \
        "CONFORMANCE_FOLDER" /* where Unix sockets may be bound: any name, as *.sock; link.sock is a link to PEER_UNIX */
#define ABSTRACT "CONFORMANCE_ABSTRACT" /* an abstract name that may be bound */
#define DENIED "CONFORMANCE_DENIED"     /* an address that the policy does not grant */

/* Names in the policy. */
#define PROTOCOL_IP "web"
#define PROTOCOL_HASTY "hasty" /* as PROTOCOL_IP; a connect ends after a moment */
#define PROTOCOL_UNIX "local"
#define PROTOCOL_GIVEN "given"      /* as PROTOCOL_IP; to be used up */
#define PROTOCOL_QUIC "quic"        /* on 127.0.0.1, in both roles */
#define PREOPENED_LISTENER "door"   /* on FOLDER/door.sock */
#define PREOPENED_CONNECTION "line" /* to PEER_ECHO */

#define DIRECTORY "/dir" /* the one preopened directory */

#define ADDRESS_MAX WASI_NETWORKING_ADDRESS_MAX

#define SECOND UINT64_C(1000000000)
#define DEADLINE (30 * SECOND)

/** A value of the environment; the guest fails without it. */
static inline const char *setting(const char *name) {
        const char *value = getenv(name);

        if (!value)
                FAIL("%s is not set", name);
        return value;
}

/* ---- waiting ---- */

/** What one poll says of one descriptor. */
struct readiness {
        bool ready;
        bool hangup;
        __wasi_errno_t error;
        __wasi_filesize_t nbytes;
};

/** Polls a descriptor and a clock. @param type  __WASI_EVENTTYPE_FD_READ or __WASI_EVENTTYPE_FD_WRITE */
static inline struct readiness poll_descriptor(__wasi_fd_t fd, __wasi_eventtype_t type, uint64_t timeout_ns) {
        __wasi_subscription_t subscriptions[2] = {
                { .userdata = 1, .u = { .tag = type, .u.fd_read.file_descriptor = fd } },
                { .userdata = 2,
                  .u = { .tag = __WASI_EVENTTYPE_CLOCK,
                         .u.clock = { .id = __WASI_CLOCKID_MONOTONIC, .timeout = timeout_ns } } },
        };
        struct readiness readiness = { 0 };
        __wasi_event_t events[2];
        __wasi_size_t n = 0;

        CHECK_OK(__wasi_poll_oneoff(subscriptions, events, 2, &n));
        for (__wasi_size_t i = 0; i < n; ++i) {
                if (events[i].userdata != 1)
                        continue;
                CHECK(events[i].type == type);
                readiness.ready = true;
                readiness.error = events[i].error;
                readiness.nbytes = events[i].fd_readwrite.nbytes;
                readiness.hangup = events[i].fd_readwrite.flags & __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP;
        }
        return readiness;
}

static inline struct readiness poll_read(__wasi_fd_t fd, uint64_t timeout_ns) {
        return poll_descriptor(fd, __WASI_EVENTTYPE_FD_READ, timeout_ns);
}

static inline struct readiness poll_write(__wasi_fd_t fd, uint64_t timeout_ns) {
        return poll_descriptor(fd, __WASI_EVENTTYPE_FD_WRITE, timeout_ns);
}

static inline void await_readable(__wasi_fd_t fd) {
        CHECK(poll_read(fd, DEADLINE).ready);
}

/** Waits until the peer has ended its direction, also while there are bytes to read. */
static inline void await_hangup(__wasi_fd_t fd) {
        __wasi_timestamp_t start, now;

        CHECK_OK(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &start));
        do
                CHECK_OK(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now));
        while (!poll_read(fd, DEADLINE).hangup && now - start < DEADLINE);
        CHECK(now - start < DEADLINE);
}

/* ---- sending and receiving ---- */

static inline __wasi_errno_t send_bytes(__wasi_fd_t fd, const void *bytes, size_t length, __wasi_size_t *ret) {
        return __wasi_sock_send(fd, &(__wasi_ciovec_t){ .buf = bytes, .buf_len = length }, 1, 0, ret);
}

static inline __wasi_errno_t receive_bytes(__wasi_fd_t fd, void *buffer, size_t length, __wasi_riflags_t flags,
                                           __wasi_size_t *ret, __wasi_roflags_t *ret_flags) {
        return __wasi_sock_recv(fd, &(__wasi_iovec_t){ .buf = buffer, .buf_len = length }, 1, flags, ret, ret_flags);
}

/** Sends a text, all of it. */
static inline void send_text(__wasi_fd_t fd, const char *text) {
        __wasi_size_t n = 0;

        CHECK_OK(send_bytes(fd, text, strlen(text), &n));
        CHECK(n == strlen(text));
}

/** Waits for a text and reads it. It must come in one piece, as what is short does on loopback. */
static inline void expect_text(__wasi_fd_t fd, const char *text) {
        __wasi_roflags_t flags;
        __wasi_size_t n = 0;
        char buffer[256];

        await_readable(fd);
        CHECK_OK(receive_bytes(fd, buffer, sizeof(buffer), 0, &n, &flags));
        CHECK(n == strlen(text) && memcmp(buffer, text, n) == 0);
}

/** Reads the end of a stream. */
static inline void expect_end(__wasi_fd_t fd) {
        __wasi_roflags_t flags;
        __wasi_size_t n = 1;
        char byte;

        await_readable(fd);
        CHECK_OK(receive_bytes(fd, &byte, 1, 0, &n, &flags));
        CHECK(n == 0);
}

static inline void close_fd(__wasi_fd_t fd) {
        CHECK_OK(__wasi_fd_close(fd));
}

static inline bool is_open(__wasi_fd_t fd) {
        __wasi_fdstat_t fdstat;

        return __wasi_fd_fdstat_get(fd, &fdstat) != __WASI_ERRNO_BADF;
}

/** The number that the next descriptor must get. */
static inline __wasi_fd_t lowest_free(void) {
        __wasi_fd_t fd = 0;

        while (is_open(fd))
                ++fd;
        return fd;
}

/* ---- making descriptors ---- */

static inline __wasi_fd_t protocol(const char *name) {
        __wasi_fd_t fd = wasi_networking_find_protocol(name);

        if (fd < 0)
                FAIL("there is no protocol %s", name);
        return fd;
}

/** A preopened socket of the policy. */
static inline __wasi_fd_t preopened(const char *name) {
        const char *pair = setting(WASI_NETWORKING_PREOPENS_VARIABLE);
        size_t length = strlen(name);

        while (strncmp(pair, name, length) != 0 || pair[length] != '=') {
                pair = strchr(pair, ':');
                if (!pair)
                        FAIL("there is no preopened socket %s", name);
                ++pair;
        }
        return (__wasi_fd_t)strtol(pair + length + 1, NULL, 10);
}

/** Opens a control with every right that one can have. */
static inline __wasi_errno_t open_control(__wasi_fd_t protocol_fd, const char *address, __wasi_filetype_t type,
                                          __wasi_fdflags_t flags, __wasi_fd_t *ret) {
        return __wasi_networking_open(protocol_fd, address, strlen(address), type,
                                      WASI_NETWORKING_RIGHTS_SERVER | WASI_NETWORKING_RIGHTS_CLIENT,
                                      GUEST_RIGHTS_INHERITING, flags, ret);
}

/** The local address of a descriptor, as text. */
static inline const char *local_address(__wasi_fd_t fd, char buffer[ADDRESS_MAX + 1]) {
        __wasi_size_t length;

        CHECK_OK(__wasi_networking_local_address(fd, buffer, ADDRESS_MAX, &length));
        CHECK(length <= ADDRESS_MAX);
        buffer[length] = '\0';
        return buffer;
}

/** The peer's. */
static inline const char *remote_address(__wasi_fd_t fd, char buffer[ADDRESS_MAX + 1]) {
        __wasi_size_t length;

        CHECK_OK(__wasi_networking_remote_address(fd, buffer, ADDRESS_MAX, &length));
        CHECK(length <= ADDRESS_MAX);
        buffer[length] = '\0';
        return buffer;
}

/** A control that listens on `address`, and where that is. */
struct listener {
        __wasi_fd_t control;
        char address[ADDRESS_MAX + 1];
};

static inline struct listener listener_open(const char *protocol_name, const char *address) {
        struct listener listener;

        CHECK_OK(open_control(protocol(protocol_name), address, __WASI_FILETYPE_SOCKET_STREAM, 0, &listener.control));
        CHECK_OK(__wasi_networking_listen(listener.control, 128));
        (void)local_address(listener.control, listener.address);
        return listener;
}

static inline bool is_ip(const char *address) {
        return address[0] != '/' && address[0] != '@' && address[0] != '\0';
}

/** A control that can connect to `address`. */
static inline __wasi_fd_t client_open(const char *address, __wasi_filetype_t type, __wasi_fdflags_t flags) {
        const char *any = !is_ip(address) ? "" : address[0] == '[' ? "[::]:0" : "0.0.0.0:0";
        __wasi_fd_t control;

        CHECK_OK(open_control(protocol(is_ip(address) ? PROTOCOL_IP : PROTOCOL_UNIX), any, type, flags, &control));
        return control;
}

/** A connection to `address`, made by a control that is closed again. */
static inline __wasi_fd_t connection_open(const char *address, __wasi_filetype_t type) {
        __wasi_fd_t control = client_open(address, type, 0), connection;

        CHECK_OK(guest_connect(control, address, &connection));
        close_fd(control);
        return connection;
}

/** A stream to `address`; control and connection are closed again. */
static inline __wasi_fd_t stream_open(const char *address, __wasi_filetype_t type, __wasi_fdflags_t flags) {
        __wasi_fd_t connection = connection_open(address, type), stream;

        CHECK_OK(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, flags, &stream));
        close_fd(connection);
        return stream;
}

/** Both ends of a connection. */
struct ends {
        __wasi_fd_t ours;   /* who connected */
        __wasi_fd_t theirs; /* who accepted */
};

/** Connects to a listener of this guest. @param flags  of both streams */
static inline struct ends ends_open(const struct listener *listener, __wasi_fdflags_t flags) {
        struct ends ends;

        ends.ours = stream_open(listener->address, __WASI_FILETYPE_SOCKET_STREAM, flags);
        CHECK_OK(__wasi_sock_accept(listener->control, flags, &ends.theirs));
        return ends;
}

/** Resets a connection from their side: a socket that is closed with bytes unread answers so. Waits until we know. */
static inline void ends_reset(struct ends *ends) {
        send_text(ends->ours, "unread");
        await_readable(ends->theirs);
        close_fd(ends->theirs);
        await_hangup(ends->ours);
}

#endif
