/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/wire.h"

#include <check.h>
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"

/* The kernel's own limit of descriptors in one message (SCM_MAX_FD). */
#define KERNEL_FDS_MAX 253

/* More turns than a loop needs that accepts 16 connections a turn. */
#define SETTLE_ROUNDS 8

struct wire wire_connect(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        struct wire wire = { .fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) };

        ck_assert_int_ge(wire.fd, 0);
        ck_assert_uint_lt(strlen(path), sizeof(sa.sun_path));
        memcpy(sa.sun_path, path, strlen(path));
        ck_assert_msg(connect(wire.fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "connect to %s: %s", path,
                      strerror(errno));
        return wire;
}

struct wire wire_close(struct wire *wire) {
        wire->fd = nb_fd_close(wire->fd);
        return *wire;
}

int wire_send_bytes(const struct wire *wire, const void *bytes, size_t length, const int *fds, size_t n_fds) {
        struct iovec iov = { .iov_base = (void *)bytes, .iov_len = length };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
        union {
                char bytes[CMSG_SPACE(sizeof(int) * KERNEL_FDS_MAX)];
                struct cmsghdr alignment;
        } control;

        ck_assert_uint_le(n_fds, KERNEL_FDS_MAX);
        if (n_fds > 0) {
                struct cmsghdr *cmsg;

                memset(&control, 0, sizeof(control));
                header.msg_control = control.bytes;
                header.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                cmsg = CMSG_FIRSTHDR(&header);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
        }
        return sendmsg(wire->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

size_t wire_pack(const Nb__Request *request, uint8_t frame[static NB_CHANNEL_MESSAGE_MAX]) {
        ck_assert_uint_le(nb__request__get_packed_size(request), NB_CHANNEL_MESSAGE_MAX);
        return nb__request__pack(request, frame);
}

void wire_send(const struct wire *wire, const Nb__Request *request) {
        int r = nb_request_send(wire->fd, request, NULL, 0);

        ck_assert_msg(r == 0, "cannot send a request: %s", strerror(-r));
}

/* ---- receiving ---- */

struct wire_reply *wire_reply_new(void) {
        struct wire_reply *reply = calloc(1, sizeof(*reply));

        ck_assert_ptr_nonnull(reply);
        return reply;
}

/* As nb_channel_receive(), after waiting; the end of the channel is 0 however the kernel tells of it. */
static int receive_frame(const struct wire *wire, uint8_t *frame, struct nb_channel_fds *fds) {
        int n;

        ck_assert_msg(harness_poll(wire->fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "the broker does not answer");
        n = nb_channel_receive(wire->fd, frame, fds);
        /* What was sent before a close with something unread stands behind the ECONNRESET. */
        if (n == -ECONNRESET)
                n = nb_channel_receive(wire->fd, frame, fds);
        if (n == -ECONNRESET)
                return 0;
        ck_assert_msg(n >= 0, "receive: %s", strerror(-n));
        return n;
}

bool wire_receive(const struct wire *wire, struct wire_reply *ret) {
        int n = receive_frame(wire, ret->frame, &ret->fds);

        if (n == 0)
                return false;
        ck_assert_int_eq(nb_reply_decode(&ret->arena, ret->frame, (size_t)n, &ret->reply), 0);
        return true;
}

void wire_expect_end(const struct wire *wire) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        while (receive_frame(wire, reply->frame, &reply->fds) > 0)
                nb_channel_fds_close(&reply->fds);
}

void wire_wait_taken(const struct wire *wire) {
        uint64_t start = harness_now_ms();
        int unread = 0;

        /* For a socket of AF_UNIX: what the other end has not read (unix(7)). */
        while (ioctl(wire->fd, SIOCOUTQ, &unread) == 0 && unread > 0)
                harness_wait_a_moment(start, "the broker to read");
}

void wire_expect_silence(const struct wire *wire) {
        ck_assert_int_eq(harness_poll(wire->fd, POLLIN, 0), 0);
}

/* ---- a well-behaved session ---- */

/* The answer to a request: what it must be, or the errno of the refusal. */
static uint32_t receive_answer(const struct wire *wire, struct wire_reply *ret, Nb__Reply__BodyCase expected,
                               size_t n_fds) {
        ck_assert_msg(wire_receive(wire, ret), "the broker has closed the channel");
        if (ret->reply->body_case == NB__REPLY__BODY_REFUSED) {
                ck_assert_uint_eq(ret->fds.n, 0);
                ck_assert_uint_ne(ret->reply->refused->error, 0);
                return ret->reply->refused->error;
        }
        ck_assert_int_eq(ret->reply->body_case, expected);
        ck_assert_uint_eq(ret->fds.n, n_fds);
        return 0;
}

static void send_hello(struct wire *wire, const char *tenant, const void *token, size_t length) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Hello hello = NB__HELLO__INIT;

        hello.oldest_version = hello.newest_version = NB_PROTOCOL_VERSION;
        hello.token = (ProtobufCBinaryData){ length, (uint8_t *)token };
        hello.tenant = (char *)tenant;
        hello.label = (char *)"a test";
        request.body_case = NB__REQUEST__BODY_HELLO;
        request.hello = &hello;
        request.serial = ++wire->serial;
        wire_send(wire, &request);
}

void wire_send_hello(struct wire *wire, const char *tenant) {
        send_hello(wire, tenant, NULL, 0);
}

static void copy_address(char *to, const char *from) {
        if (to)
                (void)memccpy(to, from, '\0', NB_ADDRESS_LENGTH_MAX);
}

static void take_preopen(const Nb__Preopen *preopen, int fd, struct wire_preopen *ret) {
        *ret = (struct wire_preopen){
                .control = { .fd = fd },
                .kind = preopen->kind,
                .type = preopen->type,
                .nonblock = preopen->nonblock,
                .rights_base = preopen->rights_base,
                .rights_inheriting = preopen->rights_inheriting,
        };
        (void)memccpy(ret->name, preopen->name, '\0', NB_NAME_LENGTH_MAX);
        copy_address(ret->address, preopen->address);
}

static void take_welcome(const struct wire_reply *reply, struct wire_session *ret) {
        const Nb__Welcome *welcome = reply->reply->welcome;

        ck_assert_uint_eq(welcome->version, NB_PROTOCOL_VERSION);
        ck_assert_uint_eq(reply->fds.n, welcome->n_protocols + welcome->n_preopens);
        *ret = (struct wire_session){ .n_protocols = welcome->n_protocols, .n_preopens = welcome->n_preopens };
        for (size_t i = 0; i < ret->n_protocols; ++i)
                ret->protocols[i].fd = reply->fds.fds[i];
        if (ret->n_preopens == 0)
                return;
        ret->preopens = calloc(ret->n_preopens, sizeof(ret->preopens[0]));
        ck_assert_ptr_nonnull(ret->preopens);
        for (size_t i = 0; i < ret->n_preopens; ++i)
                take_preopen(welcome->preopens[i], reply->fds.fds[ret->n_protocols + i], &ret->preopens[i]);
}

uint32_t wire_hello_with(struct wire *wire, const char *tenant, const void *token, size_t length,
                         struct wire_session *ret) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        send_hello(wire, tenant, token, length);
        ck_assert_msg(wire_receive(wire, reply), "the broker has closed the session");
        if (reply->reply->body_case == NB__REPLY__BODY_REFUSED)
                return reply->reply->refused->error;
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_WELCOME);
        take_welcome(reply, ret);
        ret->channel = *wire;
        return 0;
}

uint32_t wire_hello(struct wire *wire, const char *tenant, struct wire_session *ret) {
        return wire_hello_with(wire, tenant, NULL, 0, ret);
}

void wire_session_open(const char *path, const char *tenant, struct wire_session *ret) {
        struct wire wire = wire_connect(path);

        ck_assert_uint_eq(wire_hello(&wire, tenant, ret), 0);
}

void wire_session_close(struct wire_session *session) {
        (void)wire_close(&session->channel);
        for (size_t i = 0; i < session->n_protocols; ++i)
                (void)wire_close(&session->protocols[i]);
        for (size_t i = 0; i < session->n_preopens; ++i)
                (void)wire_close(&session->preopens[i].control);
        free(session->preopens);
        session->preopens = NULL;
        session->n_protocols = session->n_preopens = 0;
}

static void send_open(struct wire *protocol, const char *address, Nb__SocketType type, uint64_t rights_base,
                      uint64_t rights_inheriting) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Open open = NB__OPEN__INIT;

        open.address = (char *)address;
        open.type = type;
        open.rights_base = rights_base;
        open.rights_inheriting = rights_inheriting;
        request.body_case = NB__REQUEST__BODY_OPEN;
        request.open = &open;
        request.serial = ++protocol->serial;
        wire_send(protocol, &request);
}

void wire_send_open(struct wire *protocol, const char *address, uint64_t rights_base, uint64_t rights_inheriting) {
        send_open(protocol, address, NB__SOCKET_TYPE__SOCKET_TYPE_STREAM, rights_base, rights_inheriting);
}

static uint32_t open_type(struct wire *protocol, const char *address, Nb__SocketType type, struct wire *ret_control,
                          char ret_address[NB_ADDRESS_LENGTH_MAX + 1]) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        uint32_t error;

        send_open(protocol, address, type, WIRE_RIGHTS_BASE, WIRE_RIGHTS_INHERITING);
        error = receive_answer(protocol, reply, NB__REPLY__BODY_OPENED, 1);
        if (error != 0)
                return error;
        *ret_control = (struct wire){ .fd = reply->fds.fds[0] };
        copy_address(ret_address, reply->reply->opened->address);
        return 0;
}

uint32_t wire_open(struct wire *protocol, const char *address, struct wire *ret_control,
                   char ret_address[NB_ADDRESS_LENGTH_MAX + 1]) {
        return open_type(protocol, address, NB__SOCKET_TYPE__SOCKET_TYPE_STREAM, ret_control, ret_address);
}

uint32_t wire_open_dgram(struct wire *protocol, const char *address, struct wire *ret_control,
                         char ret_address[NB_ADDRESS_LENGTH_MAX + 1]) {
        return open_type(protocol, address, NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM, ret_control, ret_address);
}

struct wire wire_open_control(struct wire *protocol, const char *address) {
        struct wire control = { .fd = -1 };
        uint32_t error = wire_open(protocol, address, &control, NULL);

        ck_assert_msg(error == 0, "open %s: errno %u", address, error);
        return control;
}

void wire_send_connect(struct wire *control, const char *address) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Connect connect_request = NB__CONNECT__INIT;

        connect_request.address = (char *)address;
        request.body_case = NB__REQUEST__BODY_CONNECT;
        request.connect = &connect_request;
        request.serial = ++control->serial;
        wire_send(control, &request);
}

static uint32_t receive_connected(const struct wire *control, int *ret_fd, char *ret_peer, char *ret_local) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        uint32_t error = receive_answer(control, reply, NB__REPLY__BODY_CONNECTED, 1);

        if (error != 0)
                return error;
        *ret_fd = reply->fds.fds[0];
        copy_address(ret_peer, reply->reply->connected->peer);
        copy_address(ret_local, reply->reply->connected->local);
        return 0;
}

uint32_t wire_receive_connected(const struct wire *control, int *ret_fd) {
        return receive_connected(control, ret_fd, NULL, NULL);
}

uint32_t wire_connect_named(struct wire *control, const char *address, int *ret_fd,
                            char ret_peer[NB_ADDRESS_LENGTH_MAX + 1], char ret_local[NB_ADDRESS_LENGTH_MAX + 1]) {
        wire_send_connect(control, address);
        return receive_connected(control, ret_fd, ret_peer, ret_local);
}

uint32_t wire_connect_refused(struct wire *control, const char *address, char **ret_reason) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        wire_send_connect(control, address);
        ck_assert_uint_ne(receive_answer(control, reply, NB__REPLY__BODY_REFUSED, 0), 0);
        *ret_reason = strdup(reply->reply->refused->reason);
        ck_assert_ptr_nonnull(*ret_reason);
        return reply->reply->refused->error;
}

uint32_t wire_connect_to(struct wire *control, const char *address, int *ret_fd) {
        wire_send_connect(control, address);
        return wire_receive_connected(control, ret_fd);
}

void wire_send_listen(struct wire *control, uint32_t backlog, uint64_t credit, uint64_t received) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Listen listen_request = NB__LISTEN__INIT;

        listen_request.backlog = backlog;
        listen_request.credit = credit;
        listen_request.received = received;
        request.body_case = NB__REQUEST__BODY_LISTEN;
        request.listen = &listen_request;
        request.serial = ++control->serial;
        wire_send(control, &request);
}

uint32_t wire_listen(struct wire *control, uint64_t credit, char ret_address[NB_ADDRESS_LENGTH_MAX + 1]) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        uint32_t error;

        wire_send_listen(control, 128, credit, 0);
        error = receive_answer(control, reply, NB__REPLY__BODY_LISTENING, 0);
        if (error == 0)
                copy_address(ret_address, reply->reply->listening->address);
        return error;
}

void wire_send_credit(const struct wire *control, uint64_t total) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Credit credit = NB__CREDIT__INIT;

        credit.total = total;
        request.body_case = NB__REQUEST__BODY_CREDIT;
        request.credit = &credit;
        wire_send(control, &request);
}

static int receive_accepted(const struct wire *control, uint64_t number, char *ret_peer, char *ret_local) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        ck_assert_uint_eq(receive_answer(control, reply, NB__REPLY__BODY_ACCEPTED, 1), 0);
        ck_assert_uint_eq(reply->reply->accepted->number, number);
        copy_address(ret_peer, reply->reply->accepted->peer);
        copy_address(ret_local, reply->reply->accepted->local);
        return reply->fds.fds[0];
}

int wire_receive_accepted(const struct wire *control, uint64_t number) {
        return receive_accepted(control, number, NULL, NULL);
}

int wire_receive_accepted_named(const struct wire *control, uint64_t number, char ret_peer[NB_ADDRESS_LENGTH_MAX + 1],
                                char ret_local[NB_ADDRESS_LENGTH_MAX + 1]) {
        return receive_accepted(control, number, ret_peer, ret_local);
}

/* An address that is none is refused without making anything. */
void wire_settle(struct wire *protocol) {
        struct wire none;

        for (int i = 0; i < SETTLE_ROUNDS; ++i)
                ck_assert_uint_eq(wire_open(protocol, "x", &none, NULL), NB_WASI_EINVAL);
}
