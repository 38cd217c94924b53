/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/paths.h"

#include <errno.h>
#include <string.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "relay/quic/client.h"
#include "relay/quic/connection.h"
#include "relay/quic/library.h"
#include "relay/quic/quic.h"
#include "relay/quic/socket.h"
#include "relay/relay.h"

/* Half of what the broker bears with. */
#define ASKED_IN_MINUTE_MAX (NB_RELAY_PATHS_A_MINUTE / 2)

#define MINUTE (60 * NGTCP2_SECONDS)

/* What is shorter holds no packet of an open connection: a byte, our ID, a packet number, and the sample of header protection with its tag. */
#define PACKET_MIN (1 + 8 + 4 + 16)

void quic_paths_init(struct quic_paths *paths, const union quic_address *peer) {
        *paths = (struct quic_paths){ .n_allowed = 1 };
        paths->allowed[0] = *peer;
}

static void drop_other(struct quic_connection *connection) {
        struct quic_paths *paths = &connection->paths;

        if (!paths->other)
                return;
        paths->other = quic_socket_free(paths->other);
}

void quic_paths_deinit(struct quic_connection *connection) {
        drop_other(connection);
}

/* ---- asking the broker ---- */

static bool may_ask(struct quic_paths *paths, uint64_t now) {
        if (paths->asked.remote.any.sa_family != 0)
                return false;
        if (now - paths->minute >= MINUTE) {
                paths->minute = now;
                paths->n_in_minute = 0;
        }
        return paths->n_in_minute < ASKED_IN_MINUTE_MAX;
}

static void ask(struct quic_connection *connection, const struct quic_path *path, bool preferred) {
        struct quic_paths *paths = &connection->paths;
        Nb__Relay__NewPath new_path = NB__RELAY__NEW_PATH__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;
        char address[QUIC_ADDRESS_TEXT_MAX];
        char local[QUIC_ADDRESS_TEXT_MAX];

        paths->asked = *path;
        paths->is_preferred = preferred;
        paths->n_in_minute++;
        new_path.link = connection->link;
        new_path.path = ++paths->n_asked;
        new_path.address = (char *)quic_address_format(&path->remote, address);
        new_path.local = (char *)quic_address_format(&path->local, local);
        new_path.preferred = preferred;
        report.body_case = NB__RELAY__REPORT__BODY_NEW_PATH;
        report.new_path = &new_path;
        relay_report(connection->quic->relay, &report);
}

/* Whether anybody could be there. What is not so the broker takes for a lie of ours, though it is a stranger who has written it. */
static bool is_an_address(const union quic_address *address) {
        struct nb_address parsed;

        return nb_address_from_sockaddr(&address->any, quic_address_size(address), &parsed) == 0 && parsed.port != 0 &&
               !nb_ip_is_unspecified(&parsed.ip);
}

/* ---- a server's client that turns up elsewhere ---- */

static void put_first(struct quic_paths *paths, unsigned from, const union quic_address *address) {
        union quic_address copy = *address;

        memmove(&paths->allowed[1], &paths->allowed[0], from * sizeof(paths->allowed[0]));
        paths->allowed[0] = copy;
}

static bool is_allowed(struct quic_paths *paths, const union quic_address *address) {
        for (unsigned i = 0; i < paths->n_allowed; ++i) {
                if (!quic_address_equal(&paths->allowed[i], address))
                        continue;
                if (i > 0)
                        put_first(paths, i, address);
                return true;
        }
        return false;
}

static void allow(struct quic_paths *paths, const union quic_address *address) {
        if (paths->n_allowed < QUIC_PATHS_ALLOWED_MAX)
                paths->n_allowed++;
        put_first(paths, paths->n_allowed - 1, address);
        paths->n_taken++;
}

/* Nobody moves before the handshake is confirmed (RFC 9000, 9); and then what counts has a short header. */
static bool is_worth_asking(const struct quic_connection *connection, const struct quic_packet *packet) {
        const struct quic_paths *paths = &connection->paths;

        return connection->is_server && connection->state == QUIC_OPEN && packet->length >= PACKET_MIN &&
               !(packet->bytes[0] & 0x80) && is_an_address(&packet->path.remote) &&
               !quic_address_equal(&paths->refused, &packet->path.remote);
}

bool quic_paths_admit(struct quic_connection *connection, const struct quic_packet *packet) {
        struct quic_paths *paths = &connection->paths;

        /* A client's sockets are connected. */
        if (!connection->is_server || is_allowed(paths, &packet->path.remote)) {
                paths->refused_last = false;
                return true;
        }
        paths->refused_last = quic_address_equal(&paths->refused, &packet->path.remote);
        if (is_worth_asking(connection, packet) && may_ask(paths, quic_library_now()))
                ask(connection, &packet->path, false);
        return false;
}

/* ---- a client whose server asks to be reached elsewhere ---- */

/* In the family that the connection has, as it is written and as the kernel would read it: an IPv4-mapped address is of the other one. */
static bool can_be_preferred(const union quic_address *address, const union quic_address *before) {
        return address->any.sa_family == before->any.sa_family && is_an_address(address) &&
               !(address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr)) &&
               !quic_address_equal(address, before);
}

int quic_paths_on_preferred(ngtcp2_conn *conn, ngtcp2_path *ret, const ngtcp2_preferred_addr *preferred,
                            void *user_data) {
        struct quic_connection *connection = user_data;
        struct quic_paths *paths = &connection->paths;
        bool has_6 = paths->allowed[0].any.sa_family == AF_INET6;

        (void)conn;
        (void)ret; /* it stays where it is, for now */
        if (has_6 ? !preferred->ipv6_present : !preferred->ipv4_present)
                return 0;
        if (has_6)
                memcpy(&paths->preferred.in6, &preferred->ipv6, sizeof(paths->preferred.in6));
        else
                memcpy(&paths->preferred.in, &preferred->ipv4, sizeof(paths->preferred.in));
        paths->is_announced = can_be_preferred(&paths->preferred, &paths->allowed[0]);
        return 0;
}

static void ask_about_preferred(struct quic_connection *connection) {
        struct quic_paths *paths = &connection->paths;
        struct quic_path path = { .local = *quic_socket_local(connection->socket), .remote = paths->preferred };

        paths->is_announced = false;
        ask(connection, &path, true);
}

/* @param fd  consumed */
static void move_to_preferred(struct quic_connection *connection, int fd) {
        struct quic_paths *paths = &connection->paths;
        struct relay *relay = connection->quic->relay;
        struct quic_path path;
        ngtcp2_path for_library;

        if (paths->other || !relay_has_room(relay, 1) || quic_client_socket_new(connection, fd, &paths->other) < 0) {
                (void)nb_fd_close(fd);
                return;
        }
        /* Of the new path the library knows no round trip when it moves. */
        paths->other_period = 3 * ngtcp2_conn_get_pto(connection->conn);
        path.local = *quic_socket_local(paths->other);
        path.remote = *quic_socket_remote(paths->other);
        for_library = quic_path_for_library(&path);
        /* It refuses where the server allows no moving at all, or has given no ID for it: then the connection stays where it is. */
        if (!quic_address_equal(&path.remote, &paths->asked.remote) ||
            ngtcp2_conn_initiate_migration(connection->conn, &for_library, quic_library_now()) != 0)
                drop_other(connection);
        else
                quic_connection_run_later(connection);
}

static void swap_sockets(struct quic_connection *connection) {
        struct quic_paths *paths = &connection->paths;
        struct quic_socket *old = connection->socket;

        connection->socket = paths->other;
        paths->other = old;
        paths->has_moved = true;
        paths->n_taken++;
        paths->other_until = quic_library_now() + paths->other_period;
}

int quic_paths_on_validated(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path, const ngtcp2_path *old_path,
                            ngtcp2_path_validation_result result, void *user_data) {
        struct quic_connection *connection = user_data;
        struct quic_paths *paths = &connection->paths;
        union quic_address to = { 0 };

        (void)conn;
        (void)flags;
        (void)old_path;
        memcpy(&to, path->remote.addr, path->remote.addrlen < sizeof(to) ? path->remote.addrlen : sizeof(to));
        if (!paths->other || paths->has_moved || !quic_address_equal(quic_socket_remote(paths->other), &to))
                return 0;
        if (result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS)
                swap_sockets(connection);
        else
                paths->has_failed = true;
        return 0;
}

struct quic_socket *quic_paths_socket(const struct quic_connection *connection, const struct quic_path *path) {
        const struct quic_paths *paths = &connection->paths;

        if (paths->other && quic_address_equal(quic_socket_remote(paths->other), &path->remote))
                return paths->other;
        return connection->socket;
}

bool quic_paths_is_hearsay(int error) {
        switch (error) {
        case EACCES:
        case ECONNREFUSED:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENETDOWN:
        case ENETUNREACH:
        case ENONET:
        case ENOPROTOOPT:
        case EOPNOTSUPP:
        case EPROTO:
                return true;
        default:
                return false;
        }
}

bool quic_paths_socket_failed(struct quic_connection *connection, const struct quic_socket *socket, int error) {
        if (socket != connection->paths.other)
                return false;
        /* Whether anybody is there the library finds out itself. */
        if (!quic_paths_is_hearsay(error))
                connection->paths.has_failed = true;
        return true;
}

/* ---- for the connection ---- */

void quic_paths_run(struct quic_connection *connection, uint64_t now) {
        struct quic_paths *paths = &connection->paths;

        if (paths->is_announced && may_ask(paths, now))
                ask_about_preferred(connection);
        if (paths->other && (paths->has_failed || (paths->has_moved && now >= paths->other_until)))
                drop_other(connection);
}

uint64_t quic_paths_next(const struct quic_connection *connection) {
        const struct quic_paths *paths = &connection->paths;

        return paths->other && paths->has_moved ? paths->other_until : UINT64_MAX;
}

void quic_paths_ask_again(struct quic_connection *connection) {
        struct quic_paths *paths = &connection->paths;
        const struct quic_path path = paths->asked;

        paths->n_asked = 0;
        if (path.remote.any.sa_family != 0)
                ask(connection, &path, paths->is_preferred);
}

int quic_paths_take(struct quic_connection *connection, const Nb__Relay__TakePath *take, int fd) {
        struct quic_paths *paths = &connection->paths;
        struct quic_path path = paths->asked;

        if (path.remote.any.sa_family == 0 || take->path != paths->n_asked) {
                (void)nb_fd_close(fd);
                return 0;
        }
        if ((fd >= 0) != (take->allowed && paths->is_preferred)) {
                (void)nb_fd_close(fd);
                return -EPROTO;
        }
        if (!take->allowed)
                paths->refused = path.remote;
        else if (paths->is_preferred)
                move_to_preferred(connection, fd);
        else
                allow(paths, &path.remote);
        paths->asked.remote.any.sa_family = 0;
        return 0;
}
