/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/networking.h"

#include <errno.h>
#include <limits.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "shim/client/connection.h"
#include "shim/wasi/descriptor.h"
#include "shim/wasi/rights.h"
#include "shim/wasi/waiting.h"

/* The longest address that a guest may write, in bytes; what the wire takes. */
#define ADDRESS_LENGTH_MAX 512

/* All that can be derived from a control: connections, and streams from these. */
#define RIGHTS_BELOW_CONTROL (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM)

/* Rights and flags of a descriptor that is to be made. */
struct wish {
        uint64_t rights_base;
        uint64_t rights_inheriting;
        uint16_t flags;
};

static int read_address(const struct nb_call *call, size_t argument, char buffer[static ADDRESS_LENGTH_MAX],
                        size_t *ret_length) {
        uint32_t pointer = nb_call_u32(call, argument);
        uint32_t length = nb_call_u32(call, argument + 1);

        if (!nb_call_covers(call, pointer, length))
                return NB_WASI_EFAULT;
        if (length > ADDRESS_LENGTH_MAX)
                return NB_WASI_EINVAL;
        (void)nb_call_read(call, pointer, buffer, length); /* covered, as was just checked */
        *ret_length = length;
        return NB_WASI_SUCCESS;
}

/* The errno of a request to the broker that has failed. */
static int failed(struct nb_call *call, int error) {
        if (error == -EACCES)
                nb_guest_keep_denial(call->guest, call->n_denials);
        return nb_call_errno(error);
}

static int narrow_control(const struct nb_descriptor *protocol, struct wish *wish) {
        uint64_t available = protocol->rights_inheriting;
        uint64_t base = nb_rights_control_request(wish->rights_base, available);

        if (!nb_rights_narrow(base, NB_RIGHTS_CONTROL, available, &wish->rights_base))
                return NB_WASI_ENOTCAPABLE;
        if (!nb_rights_narrow(wish->rights_inheriting, RIGHTS_BELOW_CONTROL, available, &wish->rights_inheriting))
                return NB_WASI_ENOTCAPABLE;
        return NB_WASI_SUCCESS;
}

int nb_networking_open(struct nb_call *call, struct nb_descriptor *protocol) {
        struct wish wish = { nb_call_u64(call, 4), nb_call_u64(call, 5), 0 };
        struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_CONTROL };
        uint32_t type = nb_call_u32(call, 3);
        uint32_t ret_pointer = nb_call_u32(call, 7);
        char address[ADDRESS_LENGTH_MAX];
        struct nb_protocol *source = protocol->protocol;
        size_t length;
        int r;

        if (!(protocol->rights_base & NB_RIGHT_SOCK_BIND))
                return NB_WASI_ENOTCAPABLE;
        if (type != NB_SOCKET_STREAM && type != NB_SOCKET_DGRAM)
                return NB_WASI_EINVAL;
        r = nb_descriptor_check_flags(nb_call_u32(call, 6), &wish.flags);
        if (r)
                return r;
        r = narrow_control(protocol, &wish);
        if (r)
                return r;
        r = read_address(call, 1, address, &length);
        if (r)
                return r;
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;

        r = nb_open(source, address, length, (enum nb_socket_type)type, wish.rights_base, wish.rights_inheriting,
                    wish.flags, &descriptor.control);
        if (r < 0)
                return failed(call, r);
        descriptor.filetype = (uint8_t)type;
        descriptor.flags = wish.flags;
        nb_control_rights(descriptor.control, &descriptor.rights_base, &descriptor.rights_inheriting);
        return nb_call_publish(call, ret_pointer, &descriptor);
}

int nb_networking_listen(struct nb_call *call, struct nb_descriptor *control) {
        uint32_t backlog = nb_call_u32(call, 1);
        int r;

        if (!(control->rights_base & NB_RIGHT_SOCK_LISTEN))
                return NB_WASI_ENOTCAPABLE;
        r = nb_listen(control->control, backlog > INT_MAX ? INT_MAX : (int)backlog);
        return r < 0 ? failed(call, r) : NB_WASI_SUCCESS;
}

/* Gives a new connection its descriptor. The parent's filetype and inheriting rights are passed by value: the table may move. */
static int publish_connection(struct nb_call *call, uint32_t ret_pointer, struct nb_connection *connection,
                              uint8_t filetype, uint64_t inheriting) {
        struct nb_descriptor descriptor = {
                .kind = NB_DESCRIPTOR_CONNECTION,
                .filetype = filetype,
                .rights_base = inheriting & NB_RIGHTS_CONNECTION,
                .rights_inheriting = inheriting,
        };

        descriptor.connection = nb_shared_connection_new(connection);
        if (!descriptor.connection) {
                nb_connection_free(connection);
                return NB_WASI_ENOMEM;
        }
        return nb_call_publish(call, ret_pointer, &descriptor);
}

/* The next connection of a control: one that sock_accept has left waiting, or a new one. @return 0 or a negative errno */
static int take_connection(const struct nb_descriptor *control, struct nb_connection **ret) {
        struct nb_connection *first = nb_waiting_take_first(control->waiting);

        if (!first)
                return nb_accept(control->control, ret);
        *ret = first;
        return 0;
}

int nb_networking_accept(struct nb_call *call, struct nb_descriptor *control) {
        uint32_t ret_pointer = nb_call_u32(call, 1);
        struct nb_descriptor parent;
        struct nb_connection *connection;
        int r;

        if (!(control->rights_base & NB_RIGHT_SOCK_ACCEPT))
                return NB_WASI_ENOTCAPABLE;
        parent = *control;
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = take_connection(&parent, &connection);
        if (r < 0)
                return failed(call, r);
        return publish_connection(call, ret_pointer, connection, parent.filetype, parent.rights_inheriting);
}

int nb_networking_connect(struct nb_call *call, struct nb_descriptor *control) {
        uint32_t ret_pointer = nb_call_u32(call, 3);
        char address[ADDRESS_LENGTH_MAX];
        struct nb_descriptor parent;
        struct nb_connection *connection;
        size_t length;
        int r;

        if (!(control->rights_base & NB_RIGHT_SOCK_CONNECT))
                return NB_WASI_ENOTCAPABLE;
        r = read_address(call, 1, address, &length);
        if (r)
                return r;
        parent = *control;
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = nb_connect(parent.control, address, length, &connection);
        if (r < 0)
                return failed(call, r);
        return publish_connection(call, ret_pointer, connection, parent.filetype, parent.rights_inheriting);
}

/* ---- streams ---- */

/* Takes away what a stream of one direction cannot do. */
static uint64_t rights_of(uint64_t rights, const struct nb_stream *stream) {
        if (!stream->may_read)
                rights &= ~NB_RIGHT_FD_READ;
        if (!stream->may_write)
                rights &= ~NB_RIGHT_FD_WRITE;
        return rights;
}

/* Gives a stream its descriptor. The stream and the reference are consumed, also on failure. */
static int publish_stream(struct nb_call *call, uint32_t ret_pointer, const struct nb_stream *stream,
                          struct nb_shared_connection *connection, uint8_t filetype, const struct wish *wish) {
        struct nb_descriptor descriptor = {
                .kind = NB_DESCRIPTOR_STREAM,
                .filetype = filetype,
                .reads_only = !stream->may_write,
                .writes_only = !stream->may_read,
                .flags = wish->flags,
                .message_max = stream->message_max,
                .rights_base = rights_of(wish->rights_base, stream),
                .rights_inheriting = rights_of(wish->rights_inheriting, stream),
                .host_fd = stream->fd,
                .connection = connection,
        };

        if (!nb_connection_is_multiplexed(connection->connection))
                connection->stream_fd = stream->fd;
        return nb_call_publish(call, ret_pointer, &descriptor);
}

/*
 * Which stream a guest wants that asks for these rights: without the right to read it is one to write only. That is said by the rights alone where connections multiplex; where
 * there is one stream, it has both directions whatever is asked for.
 */
static int stream_flags(const struct nb_descriptor *connection, uint64_t rights, unsigned *ret) {
        bool streams = nb_connection_is_multiplexed(connection->connection->connection) &&
                       connection->filetype == NB_SOCKET_STREAM;

        *ret = connection->flags & NB_NONBLOCK ? NB_STREAM_NONBLOCK : 0;
        if (!streams)
                return NB_WASI_SUCCESS;
        if (!(rights & NB_RIGHT_FD_WRITE))
                return NB_WASI_EINVAL;
        if (!(rights & NB_RIGHT_FD_READ))
                *ret |= NB_STREAM_UNIDIRECTIONAL;
        return NB_WASI_SUCCESS;
}

int nb_networking_stream_create(struct nb_call *call, struct nb_descriptor *connection) {
        struct wish wish = { nb_call_u64(call, 1), nb_call_u64(call, 2), 0 };
        uint64_t available = connection->rights_inheriting;
        uint32_t ret_pointer = nb_call_u32(call, 4);
        struct nb_descriptor parent;
        struct nb_stream stream;
        unsigned flags;
        int r;

        r = nb_descriptor_check_flags(nb_call_u32(call, 3), &wish.flags);
        if (r)
                return r;
        if (!nb_rights_narrow(wish.rights_base, NB_RIGHTS_STREAM, available, &wish.rights_base))
                return NB_WASI_ENOTCAPABLE;
        if (!nb_rights_narrow(wish.rights_inheriting, NB_RIGHTS_STREAM, available, &wish.rights_inheriting))
                return NB_WASI_ENOTCAPABLE;
        r = stream_flags(connection, wish.rights_base, &flags);
        if (r)
                return r;
        parent = *connection;
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = nb_stream_create(parent.connection->connection, flags, &stream);
        if (r < 0)
                return failed(call, r);
        return publish_stream(call, ret_pointer, &stream, nb_shared_connection_ref(parent.connection), parent.filetype,
                              &wish);
}

/* A stream that the guest names no rights for gets all that the connection can give. */
static struct wish inherited(const struct nb_descriptor *parent, uint16_t flags) {
        uint64_t rights = parent->rights_inheriting & NB_RIGHTS_STREAM;

        return (struct wish){ .rights_base = rights, .rights_inheriting = rights, .flags = flags };
}

int nb_networking_stream_accept(struct nb_call *call, struct nb_descriptor *connection) {
        uint32_t ret_pointer = nb_call_u32(call, 1);
        struct nb_descriptor parent = *connection;
        unsigned flags = parent.flags & NB_NONBLOCK ? NB_STREAM_NONBLOCK : 0;
        struct wish wish = inherited(&parent, 0);
        struct nb_stream stream;
        int r;

        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = nb_stream_accept(parent.connection->connection, flags, &stream);
        if (r < 0)
                return failed(call, r);
        return publish_stream(call, ret_pointer, &stream, nb_shared_connection_ref(parent.connection), parent.filetype,
                              &wish);
}

/* ---- accept and stream_accept in one ---- */

/* Waits for another connection, or for the first stream of one that waits. */
static int wait_for_either(struct nb_call *call, const struct nb_descriptor *control) {
        struct pollfd fds[1 + NB_WAITING_MAX] = { 0 };
        unsigned n;
        int r;

        fds[0].fd = nb_control_poll_fd(control->control, &fds[0].events);
        n = 1 + nb_waiting_poll_fds(control->waiting, &fds[1]);
        r = call->guest->wait(call->guest->wait_data, fds, n, -1);
        nb_call_refresh(call);
        return r < 0 ? r : 0;
}

/* As nb_accept(), but it never waits. */
static int try_accept(const struct nb_descriptor *control, struct nb_connection **ret) {
        int r;

        nb_control_set_flags(control->control, NB_NONBLOCK);
        r = nb_accept(control->control, ret);
        nb_control_set_flags(control->control, control->flags);
        return r;
}

/*
 * Takes the next connection if it has a stream, and else leaves it waiting. One that is over already is as if it had never come.
 * @return 0; 1: look for another; a negative errno: -EAGAIN when there is no connection
 */
static int accept_stream(struct nb_descriptor *control, struct nb_connection **ret, struct nb_stream *ret_stream) {
        struct nb_connection *connection;
        int added;
        int r;

        r = try_accept(control, &connection);
        if (r < 0)
                return r;
        r = nb_stream_accept(connection, NB_STREAM_NONBLOCK, ret_stream);
        if (r == 0) {
                *ret = connection;
                return 0;
        }
        if (r != -EAGAIN && r != -EMFILE) {
                nb_connection_free(connection);
                return 1;
        }
        added = nb_waiting_add(&control->waiting, connection);
        if (added < 0)
                return added;
        return r == -EAGAIN ? 1 : r;
}

/* Takes the first stream of a connection that has one, without waiting. New connections are looked at as far as there is room for them to wait. */
static int find_stream(struct nb_descriptor *control, struct nb_connection **ret, struct nb_stream *ret_stream) {
        if (nb_waiting_take_stream(control->waiting, ret, ret_stream))
                return 0;
        for (unsigned i = 0; i < NB_WAITING_MAX; ++i) {
                int r = accept_stream(control, ret, ret_stream);

                if (r <= 0)
                        return r;
        }
        return -EAGAIN;
}

/* @return 0 or a WASI errno */
static int wait_for_stream(struct nb_call *call, struct nb_descriptor *control, struct nb_connection **ret,
                           struct nb_stream *ret_stream) {
        for (;;) {
                int r = find_stream(control, ret, ret_stream);

                if (r == -EAGAIN && !(control->flags & NB_NONBLOCK))
                        r = wait_for_either(call, control);
                else
                        return r < 0 ? failed(call, r) : NB_WASI_SUCCESS;
                if (r < 0)
                        return nb_call_errno(r);
        }
}

int nb_networking_sock_accept(struct nb_call *call, struct nb_descriptor *control) {
        uint32_t ret_pointer = nb_call_u32(call, 2);
        struct nb_shared_connection *shared;
        struct nb_connection *connection;
        struct nb_descriptor parent;
        struct nb_stream stream;
        struct wish wish;
        uint16_t flags;
        int r;

        if (!(control->rights_base & NB_RIGHT_SOCK_ACCEPT))
                return NB_WASI_ENOTCAPABLE;
        r = nb_descriptor_check_flags(nb_call_u32(call, 1), &flags);
        if (r)
                return r;
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        control = nb_table_get(&call->guest->table, nb_call_u32(call, 0)); /* the table may have moved */
        parent = *control;
        wish = inherited(&parent, flags);
        r = wait_for_stream(call, control, &connection, &stream);
        if (r)
                return r;
        nb_connection_retire(connection); /* the guest has no descriptor to ask for other streams */
        shared = nb_shared_connection_new(connection);
        if (!shared) {
                nb_fd_close(stream.fd);
                nb_connection_free(connection);
                return NB_WASI_ENOMEM;
        }
        return publish_stream(call, ret_pointer, &stream, shared, parent.filetype, &wish);
}
