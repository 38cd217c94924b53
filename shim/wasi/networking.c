/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/networking.h"

#include <errno.h>
#include <limits.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "shim/wasi/descriptor.h"
#include "shim/wasi/rights.h"

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
        r = nb_accept(parent.control, &connection);
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

/* Gives a stream its descriptor. `fd` and the reference are consumed, also on failure. */
static int publish_stream(struct nb_call *call, uint32_t ret_pointer, int fd, struct nb_shared_connection *connection,
                          uint8_t filetype, const struct wish *wish) {
        struct nb_descriptor descriptor = {
                .kind = NB_DESCRIPTOR_STREAM,
                .filetype = filetype,
                .flags = wish->flags,
                .rights_base = wish->rights_base,
                .rights_inheriting = wish->rights_inheriting,
                .host_fd = fd,
                .connection = connection,
        };

        connection->stream_fd = fd;
        return nb_call_publish(call, ret_pointer, &descriptor);
}

int nb_networking_stream_create(struct nb_call *call, struct nb_descriptor *connection) {
        struct wish wish = { nb_call_u64(call, 1), nb_call_u64(call, 2), 0 };
        uint64_t available = connection->rights_inheriting;
        uint32_t ret_pointer = nb_call_u32(call, 4);
        struct nb_descriptor parent;
        int fd;
        int r;

        r = nb_descriptor_check_flags(nb_call_u32(call, 3), &wish.flags);
        if (r)
                return r;
        if (!nb_rights_narrow(wish.rights_base, NB_RIGHTS_STREAM, available, &wish.rights_base))
                return NB_WASI_ENOTCAPABLE;
        if (!nb_rights_narrow(wish.rights_inheriting, NB_RIGHTS_STREAM, available, &wish.rights_inheriting))
                return NB_WASI_ENOTCAPABLE;
        parent = *connection;
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = nb_stream_create(parent.connection->connection, &fd);
        if (r < 0)
                return nb_call_errno(r);
        return publish_stream(call, ret_pointer, fd, nb_shared_connection_ref(parent.connection), parent.filetype,
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
        struct wish wish = inherited(&parent, 0);
        int fd;
        int r;

        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = nb_stream_accept(parent.connection->connection, &fd);
        if (r < 0)
                return nb_call_errno(r);
        return publish_stream(call, ret_pointer, fd, nb_shared_connection_ref(parent.connection), parent.filetype,
                              &wish);
}

int nb_networking_sock_accept(struct nb_call *call, struct nb_descriptor *control) {
        uint32_t ret_pointer = nb_call_u32(call, 2);
        struct nb_shared_connection *shared;
        struct nb_connection *connection;
        struct nb_descriptor parent;
        struct wish wish;
        uint16_t flags;
        int fd;
        int r;

        if (!(control->rights_base & NB_RIGHT_SOCK_ACCEPT))
                return NB_WASI_ENOTCAPABLE;
        r = nb_descriptor_check_flags(nb_call_u32(call, 1), &flags);
        if (r)
                return r;
        parent = *control;
        wish = inherited(&parent, flags);
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = nb_accept(parent.control, &connection);
        if (r < 0)
                return failed(call, r);
        shared = nb_shared_connection_new(connection);
        if (!shared) {
                nb_connection_free(connection);
                return NB_WASI_ENOMEM;
        }
        r = nb_stream_accept(connection, &fd);
        if (r < 0) {
                nb_shared_connection_unref(shared);
                return nb_call_errno(r);
        }
        return publish_stream(call, ret_pointer, fd, shared, parent.filetype, &wish);
}
