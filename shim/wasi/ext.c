/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/ext.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/socket_address.h"
#include "proto/wasi.h"
#include "shim/client/connection.h"
#include "shim/wasi/option.h"

/* Where a function writes a text, and its length. */
struct place {
        uint32_t buffer;
        uint32_t size;
        uint32_t ret_length;
};

/* The three arguments from `argument` on. @return `fault` if they reach out of the memory */
static int find_place(const struct nb_call *call, size_t argument, struct place *ret) {
        struct place place = {
                .buffer = nb_call_u32(call, argument),
                .size = nb_call_u32(call, argument + 1),
                .ret_length = nb_call_u32(call, argument + 2),
        };

        if (!nb_call_covers(call, place.buffer, place.size) ||
            !nb_call_covers(call, place.ret_length, sizeof(uint32_t)))
                return NB_WASI_EFAULT;
        *ret = place;
        return NB_WASI_SUCCESS;
}

/* The length is written last, so that it is right also where the two places overlap. */
static int put_text(struct nb_call *call, const struct place *place, const char *text) {
        size_t length = strlen(text);
        bool fits = length <= place->size;

        if (fits)
                (void)nb_call_write(call, place->buffer, text, length); /* covered, as find_place() has seen */
        (void)nb_call_write_u32(call, place->ret_length, (uint32_t)length);
        return fits ? NB_WASI_SUCCESS : NB_WASI_ENAMETOOLONG;
}

/* The socket of a connection that has one stream, whether the guest has taken that or not; -1: it is closed. */
static int socket_of(const struct nb_shared_connection *connection) {
        if (connection->stream_fd >= 0)
                return connection->stream_fd;
        return nb_connection_stream_fd(connection->connection);
}

/* Prints what the kernel says of the socket's own end. */
static int ask_kernel(int fd, char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]) {
        struct nb_socket_address address;
        struct sockaddr_storage storage;
        socklen_t length = sizeof(storage);
        int r;

        if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0)
                return nb_call_errno(-errno);
        r = nb_socket_address_from_sockaddr((const struct sockaddr *)&storage, length, &address);
        if (r < 0)
                return nb_call_errno(r);
        nb_socket_address_unmap(&address); /* as the broker writes the peer's */
        nb_socket_address_format(&address, buffer);
        return NB_WASI_SUCCESS;
}

/* @param ret  borrowed from the connection or from `buffer` */
static int find_local_address(const struct nb_shared_connection *connection,
                              char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX], const char **ret) {
        const char *told = nb_connection_local(connection->connection);
        int fd = socket_of(connection);
        int r;

        if (told[0] == '\0') {
                if (fd < 0)
                        return NB_WASI_ENOTCONN;
                r = ask_kernel(fd, buffer);
                if (r)
                        return r;
                told = buffer;
        }
        *ret = told;
        return NB_WASI_SUCCESS;
}

int nb_ext_local_address(struct nb_call *call, struct nb_descriptor *socket) {
        char buffer[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct place place;
        const char *text;
        int r;

        r = find_place(call, 1, &place);
        if (r)
                return r;
        if (socket->kind == NB_DESCRIPTOR_CONTROL)
                return put_text(call, &place, nb_control_address(socket->control));
        r = find_local_address(socket->connection, buffer, &text);
        return r ? r : put_text(call, &place, text);
}

int nb_ext_remote_address(struct nb_call *call, struct nb_descriptor *socket) {
        struct place place;
        int r;

        r = find_place(call, 1, &place);
        if (r)
                return r;
        if (socket->kind == NB_DESCRIPTOR_CONTROL)
                return NB_WASI_ENOTCONN;
        return put_text(call, &place, nb_connection_peer(socket->connection->connection));
}

/* ---- protocol_restrict ---- */

/*
 * Reads the rules of the arguments. No text at a null pointer is no word about rules.
 * @param ret  `buffer`, or NULL
 */
static int read_rules(const struct nb_call *call, char buffer[static NB_RULES_LENGTH_MAX], const char **ret,
                      size_t *ret_length) {
        uint32_t pointer = nb_call_u32(call, 1);
        uint32_t length = nb_call_u32(call, 2);

        if (!nb_call_covers(call, pointer, length))
                return NB_WASI_EFAULT;
        if (length > NB_RULES_LENGTH_MAX)
                return NB_WASI_EINVAL;
        (void)nb_call_read(call, pointer, buffer, length); /* covered, as was just checked */
        *ret = pointer == 0 && length == 0 ? NULL : buffer;
        *ret_length = length;
        return NB_WASI_SUCCESS;
}

/* What is wrong with the rules is asked for as a denial is. */
static int restriction_failed(struct nb_call *call, int error) {
        if (error == -EACCES || error == -EINVAL)
                nb_guest_keep_denial(call->guest, call->n_denials);
        return nb_call_errno(error);
}

int nb_ext_protocol_restrict(struct nb_call *call, struct nb_descriptor *protocol) {
        struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_PROTOCOL };
        uint64_t base = nb_call_u64(call, 3) & protocol->rights_base;
        uint64_t inheriting = nb_call_u64(call, 4) & protocol->rights_inheriting;
        struct nb_protocol *source = protocol->protocol;
        uint32_t ret_pointer = nb_call_u32(call, 5);
        char buffer[NB_RULES_LENGTH_MAX];
        const char *rules;
        size_t length;
        int r;

        r = read_rules(call, buffer, &rules, &length);
        if (r)
                return r;
        r = nb_call_prepare(call, ret_pointer);
        if (r)
                return r;
        r = nb_protocol_restrict(source, rules, length, base, inheriting, &descriptor.protocol);
        if (r < 0)
                return restriction_failed(call, r);
        nb_protocol_rights(descriptor.protocol, &descriptor.rights_base, &descriptor.rights_inheriting);
        return nb_call_publish(call, ret_pointer, &descriptor);
}

int nb_ext_last_denial(struct nb_call *call) {
        struct place place;
        int r;

        r = find_place(call, 0, &place);
        return r ? r : put_text(call, &place, call->guest->denial);
}

/* @return `notconn` on a control, `noprotoopt` on what has no TLS */
static int find_security(const struct nb_descriptor *socket, const struct nb_security **ret) {
        const struct nb_security *security;

        if (socket->kind == NB_DESCRIPTOR_CONTROL)
                return NB_WASI_ENOTCONN;
        security = nb_connection_security(socket->connection->connection);
        if (!security)
                return NB_WASI_ENOPROTOOPT;
        *ret = security;
        return NB_WASI_SUCCESS;
}

/* Places first: a bad pointer is `fault` whatever the connection is. @param argument  of the text's place */
static int begin_security(const struct nb_call *call, const struct nb_descriptor *socket, size_t argument,
                          struct place *ret_place, const struct nb_security **ret) {
        int r = find_place(call, argument, ret_place);

        return r ? r : find_security(socket, ret);
}

int nb_ext_tls_version(struct nb_call *call, struct nb_descriptor *socket) {
        const struct nb_security *security;
        struct place place;
        int r;

        r = begin_security(call, socket, 1, &place, &security);
        return r ? r : put_text(call, &place, security->version);
}

int nb_ext_tls_cipher(struct nb_call *call, struct nb_descriptor *socket) {
        const struct nb_security *security;
        struct place place;
        int r;

        r = begin_security(call, socket, 1, &place, &security);
        return r ? r : put_text(call, &place, security->cipher);
}

int nb_ext_tls_alpn(struct nb_call *call, struct nb_descriptor *socket) {
        const struct nb_security *security;
        struct place place;
        int r;

        r = begin_security(call, socket, 1, &place, &security);
        return r ? r : put_text(call, &place, security->alpn);
}

int nb_ext_tls_peer_name(struct nb_call *call, struct nb_descriptor *socket) {
        const struct nb_security *security;
        uint32_t index = nb_call_u32(call, 1);
        struct place place;
        int r;

        r = begin_security(call, socket, 2, &place, &security);
        if (r)
                return r;
        if (index >= security->n_peer_names)
                return NB_WASI_ENOENT;
        return put_text(call, &place, security->peer_names[index]);
}

int nb_ext_tls_resumed(struct nb_call *call, struct nb_descriptor *socket) {
        const struct nb_security *security;
        uint32_t ret_pointer = nb_call_u32(call, 1);
        int r;

        if (!nb_call_covers(call, ret_pointer, sizeof(uint32_t)))
                return NB_WASI_EFAULT;
        r = find_security(socket, &security);
        if (r)
                return r;
        (void)nb_call_write_u32(call, ret_pointer, security->resumed ? 1 : 0); /* covered, as was just checked */
        return NB_WASI_SUCCESS;
}

int nb_ext_get_option(struct nb_call *call, struct nb_descriptor *stream) {
        uint32_t ret_pointer = nb_call_u32(call, 2);
        uint32_t value;
        int r;

        if (!nb_call_covers(call, ret_pointer, sizeof(value)))
                return NB_WASI_EFAULT;
        r = nb_option_get(stream, nb_call_u32(call, 1), &value);
        if (r)
                return r;
        (void)nb_call_write_u32(call, ret_pointer, value); /* covered, as was just checked */
        return NB_WASI_SUCCESS;
}

int nb_ext_set_option(struct nb_call *call, struct nb_descriptor *stream) {
        if (!(stream->rights_base & NB_RIGHT_FD_FDSTAT_SET_FLAGS))
                return NB_WASI_ENOTCAPABLE;
        return nb_option_set(stream, nb_call_u32(call, 1), nb_call_u32(call, 2));
}
