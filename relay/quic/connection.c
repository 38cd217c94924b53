/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "loop/deadline.h"
#include "relay/pump.h"
#include "relay/quic/client.h"
#include "relay/quic/endpoint.h"
#include "relay/quic/facts.h"
#include "relay/quic/guest_channel.h"
#include "relay/quic/ids.h"
#include "relay/quic/library.h"
#include "relay/quic/quic.h"
#include "relay/quic/send.h"
#include "relay/quic/socket.h"
#include "relay/quic/tls.h"
#include "relay/relay.h"
#include "relay/reports.h"
#include "relay/tls/security.h"
#include "relay/tls/session.h"

#define NEVER UINT64_MAX

/* However long the peer's round trips are said to be: who goes on sending then is told by a stateless reset. */
#define CLOSING_MAX (3 * NGTCP2_SECONDS)

/* Of a handshake that came to nothing: strangers can make many of them. */
#define CLOSING_SHORT_MAX (500 * NGTCP2_MILLISECONDS)

static void run(struct quic_connection *connection);

/* ---- turns and the timer ---- */

static void run_turn(struct turn *turn) {
        run(nb_container_of(turn, struct quic_connection, turn));
}

void quic_connection_run_later(struct quic_connection *connection) {
        turn_ask(&connection->turn, &connection->quic->relay->queue);
}

void quic_connection_writable(struct quic_connection *connection) {
        quic_connection_run_later(connection);
}

/* It may come a little too early, or when there is nothing to do any more: it is only moved forwards, and looked at again when it has come. */
static void timer_came(void *data) {
        struct quic_connection *connection = data;

        connection->timer_at = NEVER;
        quic_connection_run_later(connection);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
        return a < b ? a : b;
}

static void arm(struct quic_connection *connection) {
        uint64_t next = connection->limit;

        if (connection->conn) {
                next = earlier(next, ngtcp2_conn_get_expiry(connection->conn));
                next = earlier(next, quic_paths_next(connection));
                next = earlier(next, quic_stopped_next(connection));
        }
        if (next >= connection->timer_at)
                return;
        connection->timer_at = next;
        deadline_move(connection->timer, next);
}

/* ---- making one ---- */

/* Until it is closing it can be named by orders. @return 0 or -ENOMEM */
static int enter_links(struct quic_connection *connection) {
        int error = quic_ids_add(&connection->quic->links, (const uint8_t *)&connection->link, sizeof(connection->link),
                                 (struct quic_id_owner){ .connection = connection }, &connection->in_links);

        if (error == 0)
                connection->quic->relay->n_links++;
        return error;
}

static void leave_links(struct quic_connection *connection) {
        quic_ids_remove_all(&connection->quic->links, &connection->in_links);
        connection->quic->relay->n_links--;
}

/* @param settings  consumed on success @return NULL without memory */
static struct quic_connection *new_connection(struct quic *quic, struct quic_settings *settings, uint64_t link,
                                              const union quic_address *peer) {
        struct quic_connection *connection = calloc(1, sizeof(*connection));

        if (!connection)
                return NULL;
        connection->quic = quic;
        connection->link = link;
        nb_list_init(&connection->in_links);
        nb_list_init(&connection->in_waiters);
        connection->timer = deadline_new_unset(&quic->relay->loop, timer_came, connection);
        if (!connection->timer || enter_links(connection) < 0) {
                connection->timer = deadline_free(connection->timer);
                free(connection);
                return NULL;
        }
        connection->timer_at = NEVER;
        connection->limit = quic_library_now() + settings->handshake_timeout_ms * NGTCP2_MILLISECONDS;
        if (settings->handshake_timeout_ms == 0)
                connection->limit = NEVER;
        connection->settings = *settings;
        *settings = (struct quic_settings){ 0 };
        turn_init(&connection->turn, run_turn);
        nb_list_init(&connection->in_news);
        nb_list_init(&connection->ids);
        quic_paths_init(&connection->paths, peer);
        quic_memory_init(&connection->memory, &quic->bytes_in_library);
        quic_streams_init(&connection->streams);
        nb_list_append(&quic->connections, &connection->in_quic);
        return connection;
}

/* @return 0; -ENOENT: its context is no good for QUIC; -ENOMEM */
static int set_up_tls(struct quic_connection *connection, const char *server_name, const char *address) {
        const struct tls_session_setup setup = {
                .context = connection->settings.context,
                .as_server = connection->is_server,
                .is_quic = true,
                .server_name = server_name,
                .address = address,
                .cache = connection->quic->relay->sessions,
        };

        if (!quic_tls_is_possible(setup.context, setup.as_server))
                return -ENOENT;
        connection->tls = quic_tls_new(connection, &setup);
        return connection->tls ? 0 : -ENOMEM;
}

/* @param fd  consumed */
static int set_up_channel(struct quic_connection *connection, int fd) {
        connection->channel = guest_channel_new(connection, fd);
        return connection->channel ? 0 : -ENOMEM;
}

/* ---- the end ---- */

/* What a connection needs while it goes on: all but its IDs, its timer, and the packet that says that it is over. */
static void drop_insides(struct quic_connection *connection) {
        nb_list_remove(&connection->in_news);
        connection->channel = guest_channel_free(connection->channel);
        quic_streams_deinit(connection);
        quic_paths_deinit(connection);
        if (connection->conn)
                ngtcp2_conn_del(connection->conn);
        connection->conn = NULL;
        connection->tls = quic_tls_free(connection->tls);
        quic_settings_deinit(&connection->settings);
}

struct quic_connection *quic_connection_free(struct quic_connection *connection) {
        if (!connection)
                return NULL;
        if (connection->state != QUIC_CLOSING) {
                drop_insides(connection);
                leave_links(connection);
        }
        turn_cancel(&connection->turn);
        nb_list_remove(&connection->in_waiters);
        nb_list_remove(&connection->in_quic);
        connection->timer = deadline_free(connection->timer);
        quic_ending_deinit(&connection->ending);
        if (connection->endpoint)
                quic_endpoint_release(connection->endpoint, connection);
        else
                connection->socket = quic_socket_free(connection->socket);
        free(connection);
        return NULL;
}

/* Whether there is anybody who may go on sending, and is not to be told that we know nothing of it. */
static bool has_closing_period(const struct quic_connection *connection) {
        switch (connection->ending.cause) {
        case NB__RELAY__CAUSE__CAUSE_IDLE:
        case NB__RELAY__CAUSE__CAUSE_QUIC_REFUSED:
        case NB__RELAY__CAUSE__CAUSE_QUIC_UNREACHABLE:
        case NB__RELAY__CAUSE__CAUSE_QUIC_VERSION:
                return false;
        default:
                return connection->has_heard;
        }
}

/* What a client has when it is closing is a socket, which others need more. */
static void forget_closing_clients(struct quic *quic) {
        nb_list_foreach_safe(element, &quic->connections) {
                struct quic_connection *connection = nb_container_of(element, struct quic_connection, in_quic);

                if (connection->state == QUIC_CLOSING && !connection->endpoint)
                        (void)quic_connection_free(connection);
        }
}

/* @return 0 or -ENFILE */
static int make_room(struct quic *quic, uint32_t n_descriptors) {
        const struct relay *relay = quic->relay;

        if (relay->n_links >= relay->links_max)
                return -ENFILE;
        if (!relay_has_room(relay, n_descriptors))
                forget_closing_clients(quic);
        return relay_has_room(relay, n_descriptors) ? 0 : -ENFILE;
}

/* Ended is reported. It may be freed afterwards. */
static void carry_out_end(struct quic_connection *connection) {
        struct quic_ending *ending = &connection->ending;
        uint64_t period = earlier(3 * ngtcp2_conn_get_pto(connection->conn),
                                  connection->state == QUIC_OPEN ? CLOSING_MAX : CLOSING_SHORT_MAX);
        bool stays = has_closing_period(connection);

        quic_ending_say(connection);
        if (connection->channel && connection->state == QUIC_OPEN)
                guest_channel_tell_end(connection->channel, quic_ending_errno(ending->cause), ending->reason);
        quic_facts_tell_last(connection);
        drop_insides(connection);
        connection->state = QUIC_CLOSING;
        leave_links(connection);
        report_ended(connection->quic->relay, connection->link, ending->cause, ending->reason,
                     connection->counts.bytes_to_guest, connection->counts.bytes_to_peer);
        if (!stays) {
                (void)quic_connection_free(connection);
                return;
        }
        connection->limit = quic_library_now() + period;
        arm(connection);
}

void quic_connection_fail(struct quic_connection *connection, Nb__Relay__Cause cause, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        quic_ending_note_list(connection, cause, QUIC_FAREWELL_TRANSPORT, format, arguments);
        va_end(arguments);
}

void quic_connection_end(struct quic_connection *connection) {
        if (connection->state == QUIC_CLOSING)
                return;
        quic_ending_note(connection, NB__RELAY__CAUSE__CAUSE_ENDED, QUIC_FAREWELL_APPLICATION, "ended by the broker");
        carry_out_end(connection);
}

void quic_connection_say_goodbye(struct quic_connection *connection) {
        if (connection->state == QUIC_CLOSING)
                return;
        quic_ending_note(connection, NB__RELAY__CAUSE__CAUSE_ENDED, QUIC_FAREWELL_APPLICATION, "the relay ends");
        quic_ending_say(connection);
}

void quic_connection_guest_gone(struct quic_connection *connection) {
        connection->guest_is_gone = true;
        quic_connection_run_later(connection);
}

void quic_connection_socket_failed(struct quic_connection *connection, int error) {
        /* Who has answered by something authentic is there; when that is not so any more it is silent, and the connection idle. */
        if (connection->state == QUIC_CLOSING || (connection->has_heard && quic_paths_is_hearsay(error)))
                return;
        if (error == ECONNREFUSED)
                quic_ending_note(connection, NB__RELAY__CAUSE__CAUSE_QUIC_REFUSED, QUIC_FAREWELL_NONE,
                                 "nobody listens at the peer's port, its host says");
        else if (error == EHOSTUNREACH || error == ENETUNREACH)
                quic_ending_note(connection, NB__RELAY__CAUSE__CAUSE_QUIC_UNREACHABLE, QUIC_FAREWELL_NONE,
                                 "there is no way to the peer: %s", strerror(error));
        else
                quic_ending_note(connection, NB__RELAY__CAUSE__CAUSE_RESET, QUIC_FAREWELL_NONE,
                                 "its socket is no use any more: %s", strerror(error));
}

/* ---- packets ---- */

/* @return whether the library has taken it as one of the peer's, or it told us nothing */
static void give_to_library(struct quic_connection *connection, const struct quic_packet *packet) {
        ngtcp2_path path = quic_path_for_library(&packet->path);
        const ngtcp2_pkt_info info = { .ecn = packet->ecn };
        int error =
                ngtcp2_conn_read_pkt(connection->conn, &path, &info, packet->bytes, packet->length, quic_library_now());

        if (error != 0)
                quic_ending_note_library(connection, error);
}

void quic_connection_receive(struct quic_connection *connection, const struct quic_packet *packet) {
        if (connection->state == QUIC_CLOSING) {
                quic_ending_repeat(connection, &packet->path);
                return;
        }
        if (connection->ending.cause != NB__RELAY__CAUSE__CAUSE_UNSPECIFIED || !quic_paths_admit(connection, packet))
                return;
        connection->counts.packets_received++;
        connection->counts.bytes_received += packet->length;
        give_to_library(connection, packet);
        if (quic_memory_is_excessive(connection))
                quic_connection_fail(connection, NB__RELAY__CAUSE__CAUSE_QUIC_PROTOCOL,
                                     "the peer leaves more gaps in its streams than its windows justify");
        quic_connection_run_later(connection);
}

/* ---- a turn ---- */

static void handle_expiry(struct quic_connection *connection, uint64_t now) {
        int error;

        if (ngtcp2_conn_get_expiry(connection->conn) > now)
                return;
        error = ngtcp2_conn_handle_expiry(connection->conn, now);
        if (error != 0)
                quic_ending_note_library(connection, error);
}

static void limit_came(struct quic_connection *connection) {
        if (connection->state == QUIC_HANDSHAKING)
                quic_ending_note(connection, NB__RELAY__CAUSE__CAUSE_TIMED_OUT, QUIC_FAREWELL_TRANSPORT,
                                 "timed out while it waited for QUIC");
        else
                quic_ending_note(connection, NB__RELAY__CAUSE__CAUSE_TIMED_OUT, QUIC_FAREWELL_TRANSPORT,
                                 "timed out while it waited for the peer, which did not read what the guest had left");
}

static void become_open(struct quic_connection *connection) {
        struct tls_security *security = quic_tls_security(connection->tls);

        if (!security) {
                quic_connection_fail(connection, NB__RELAY__CAUSE__CAUSE_NO_MEMORY,
                                     "no memory for what TLS has agreed on");
                return;
        }
        connection->state = QUIC_OPEN;
        connection->limit = NEVER;
        if (connection->endpoint)
                quic_endpoint_confirmed(connection->endpoint, connection);
        report_ready(connection->quic->relay, connection->link, security, false);
        free(security);
}

/* The guest is gone; what it has left is sent, but not for ever. */
static void look_after_rest(struct quic_connection *connection, uint64_t now) {
        if (!connection->guest_is_gone)
                return;
        if (connection->limit == NEVER)
                connection->limit = now + LINGER_MS * NGTCP2_MILLISECONDS;
        if (quic_streams_are_drained(connection))
                quic_ending_note(connection, NB__RELAY__CAUSE__CAUSE_GUEST_GONE, QUIC_FAREWELL_APPLICATION,
                                 "the guest closed the connection");
}

static bool has_ended(const struct quic_connection *connection) {
        return connection->ending.cause != NB__RELAY__CAUSE__CAUSE_UNSPECIFIED;
}

/* What the guest has to do with it. @return whether there is more to do */
static bool run_open(struct quic_connection *connection, uint64_t now) {
        bool has_more;

        if (connection->channel)
                guest_channel_run(connection->channel);
        has_more = !has_ended(connection) && quic_stopped_run(connection, now);
        if (!has_ended(connection) && quic_streams_run(connection))
                has_more = true;
        quic_paths_run(connection, now);
        quic_facts_changed(connection);
        return has_more;
}

/* @return whether it is to be run again at once */
static bool run_once(struct quic_connection *connection, uint64_t now) {
        bool has_more = false;

        handle_expiry(connection, now);
        if (now >= connection->limit)
                limit_came(connection);
        if (connection->is_confirmed && connection->state == QUIC_HANDSHAKING && !has_ended(connection))
                become_open(connection);
        if (connection->state == QUIC_OPEN && !has_ended(connection))
                has_more = run_open(connection, now);
        if (!has_ended(connection) && quic_send(connection, now))
                has_more = true;
        if (!has_ended(connection))
                look_after_rest(connection, now);
        quic_memory_note(connection);
        return has_more;
}

static void run(struct quic_connection *connection) {
        uint64_t now = quic_library_now();
        bool has_more;

        if (connection->state == QUIC_CLOSING) {
                if (now >= connection->limit)
                        (void)quic_connection_free(connection);
                else
                        arm(connection);
                return;
        }
        has_more = !has_ended(connection) && run_once(connection, now);
        if (has_ended(connection)) {
                carry_out_end(connection);
                return;
        }
        arm(connection);
        if (has_more)
                quic_connection_run_later(connection);
}

/* ---- the doors ---- */

int quic_connection_accept(struct quic *quic, struct quic_endpoint *endpoint, const struct quic_first *first,
                           uint64_t link, int channel_fd, struct quic_connection **ret) {
        struct quic_settings settings = quic_settings_copy(quic_endpoint_settings(endpoint));
        int error = make_room(quic, 1);
        struct quic_connection *connection =
                error == 0 ? new_connection(quic, &settings, link, &first->path.remote) : NULL;

        if (!connection) {
                quic_settings_deinit(&settings);
                (void)nb_fd_close(channel_fd);
                return error < 0 ? error : -ENOMEM;
        }
        connection->is_server = true;
        connection->socket = quic_endpoint_socket(endpoint);
        connection->endpoint = endpoint;
        error = set_up_channel(connection, channel_fd);
        if (error == 0)
                error = set_up_tls(connection, "", "");
        if (error == 0)
                error = quic_library_serve(connection, first);
        if (error < 0) {
                (void)quic_connection_free(connection);
                return error;
        }
        arm(connection);
        *ret = connection;
        return 0;
}

/* Sessions over UDP are resumed over UDP: the context may be shared with TCP. @param size  of NB_ADDRESS_TEXT_MAX */
static void format_address(const union quic_address *peer, char *text, size_t size) {
        char address[QUIC_ADDRESS_TEXT_MAX];

        (void)snprintf(text, size, "udp %s", quic_address_format(peer, address));
}

/* @param fds  both consumed @return 0 or -errno */
static int start_client(struct quic_connection *connection, const char *server_name, int socket_fd, int channel_fd) {
        char address[NB_ADDRESS_TEXT_MAX];
        struct quic_path path;
        int error = quic_client_socket_new(connection, socket_fd, &connection->socket);

        if (error < 0) {
                (void)nb_fd_close(socket_fd);
                (void)nb_fd_close(channel_fd);
                return error;
        }
        error = set_up_channel(connection, channel_fd);
        if (error < 0)
                return error;
        path.local = *quic_socket_local(connection->socket);
        path.remote = *quic_socket_remote(connection->socket);
        quic_paths_init(&connection->paths, &path.remote);
        format_address(&path.remote, address, sizeof(address));
        error = set_up_tls(connection, server_name, address);
        return error < 0 ? error : quic_library_dial(connection, &path);
}

static void report_not_begun(struct quic *quic, uint64_t link, int error) {
        if (error == -ENOENT)
                report_ended(quic->relay, link, NB__RELAY__CAUSE__CAUSE_TLS_CONTEXT,
                             "the certificates of this connection could not be loaded, or TLSALPN= names no protocol",
                             0, 0);
        else
                report_ended(quic->relay, link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY,
                             "the relay has no room for another connection", 0, 0);
}

void quic_connection_dial(struct quic *quic, const Nb__Relay__Begin *begin, const struct quic_settings *settings,
                          int socket_fd, int channel_fd) {
        const union quic_address nowhere = { 0 };
        struct quic_settings own = *settings;
        int error = make_room(quic, 2);
        struct quic_connection *connection = error == 0 ? new_connection(quic, &own, begin->link, &nowhere) : NULL;

        if (!connection) {
                quic_settings_deinit(&own);
                (void)nb_fd_close(socket_fd);
                (void)nb_fd_close(channel_fd);
                report_not_begun(quic, begin->link, error < 0 ? error : -ENOMEM);
                return;
        }
        error = start_client(connection, begin->server_name, socket_fd, channel_fd);
        if (error < 0) {
                (void)quic_connection_free(connection);
                report_not_begun(quic, begin->link, error);
                return;
        }
        run(connection);
}

int quic_connection_take_path(struct quic_connection *connection, const Nb__Relay__TakePath *take, int fd) {
        return quic_paths_take(connection, take, fd);
}

void quic_connection_ask_again(struct quic_connection *connection) {
        quic_paths_ask_again(connection);
        quic_facts_changed(connection);
}

struct quic_connection *quic_connection_find(const struct quic *quic, uint64_t link) {
        return quic_ids_find(&quic->links, (const uint8_t *)&link, sizeof(link)).connection;
}
