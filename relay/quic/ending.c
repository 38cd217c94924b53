/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/ending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "proto/wasi.h"
#include "relay/quic/connection.h"
#include "relay/quic/library.h"
#include "relay/quic/socket.h"
#include "relay/quic/tls.h"
#include "relay/tls/failure.h"

/* Of what a peer says, before it is escaped. */
#define WORDS_MAX 60u

#define CAUSE(name) NB__RELAY__CAUSE__CAUSE_##name

/* ---- notes ---- */

void quic_ending_note_list(struct quic_connection *connection, Nb__Relay__Cause cause, enum quic_farewell farewell,
                           const char *format, va_list arguments) {
        struct quic_ending *ending = &connection->ending;

        if (ending->cause != CAUSE(UNSPECIFIED))
                return;
        ending->cause = cause;
        ending->farewell = farewell;
        ending->code = farewell == QUIC_FAREWELL_TRANSPORT ? NGTCP2_INTERNAL_ERROR : 0;
        (void)vsnprintf(ending->reason, sizeof(ending->reason), format, arguments);
        quic_connection_run_later(connection);
}

void quic_ending_note(struct quic_connection *connection, Nb__Relay__Cause cause, enum quic_farewell farewell,
                      const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        quic_ending_note_list(connection, cause, farewell, format, arguments);
        va_end(arguments);
}

/* With the code that the peer is told, unless something was noted before. */
static void note_with_code(struct quic_connection *connection, Nb__Relay__Cause cause, uint64_t code,
                           const char *reason) {
        if (connection->ending.cause != CAUSE(UNSPECIFIED))
                return;
        quic_ending_note(connection, cause, QUIC_FAREWELL_TRANSPORT, "%s", reason);
        connection->ending.code = code;
}

static void note_tls(struct quic_connection *connection) {
        const struct tls_failure *failure = quic_tls_failure(connection->tls);
        uint8_t alert = ngtcp2_conn_get_tls_alert(connection->conn);

        if (failure->cause != CAUSE(UNSPECIFIED))
                note_with_code(connection, failure->cause, NGTCP2_CRYPTO_ERROR | alert, failure->reason);
        else
                note_with_code(connection, CAUSE(TLS_PROTOCOL), NGTCP2_CRYPTO_ERROR | alert,
                               "TLS could not be begun, or goes on without an end");
}

/* ---- what the peer has said ---- */

/* An alert of TLS, as QUIC carries it. */
static void note_alert(struct quic_connection *connection, uint64_t code) {
        struct tls_failure failure = { 0 };

        tls_failure_note_alert(&failure, (gnutls_alert_description_t)(code & 0xff));
        quic_ending_note(connection, failure.cause, QUIC_FAREWELL_NONE, "%s", failure.reason);
}

static void note_transport_close(struct quic_connection *connection, uint64_t code, const char *words) {
        if ((code & ~UINT64_C(0xff)) == NGTCP2_CRYPTO_ERROR)
                note_alert(connection, code);
        else if (code == NGTCP2_CONNECTION_REFUSED)
                quic_ending_note(connection, CAUSE(QUIC_REFUSED), QUIC_FAREWELL_NONE,
                                 "the peer refuses connections (CONNECTION_REFUSED, \"%s\")", words);
        else if (code == NGTCP2_NO_ERROR || code == NGTCP2_APPLICATION_ERROR)
                quic_ending_note(connection, connection->state == QUIC_OPEN ? CAUSE(CLOSED) : CAUSE(RESET),
                                 QUIC_FAREWELL_NONE, "the peer closed the connection, \"%s\"", words);
        else
                quic_ending_note(connection, CAUSE(QUIC_PROTOCOL), QUIC_FAREWELL_NONE,
                                 "the peer closed the connection by the error 0x%llx of QUIC, \"%s\"",
                                 (unsigned long long)code, words);
}

static void note_peers_close(struct quic_connection *connection) {
        const ngtcp2_ccerr *said = ngtcp2_conn_get_ccerr(connection->conn);
        char words[RELAY_REASON_MAX / 2];
        size_t length = said->reasonlen < WORDS_MAX ? said->reasonlen : WORDS_MAX;

        (void)nb_escape((const char *)said->reason, length, words, sizeof(words));
        if (connection->was_reset)
                quic_ending_note(connection, CAUSE(QUIC_STATELESS_RESET), QUIC_FAREWELL_NONE,
                                 "the peer does not know the connection any more (stateless reset)");
        else if (said->type == NGTCP2_CCERR_TYPE_TRANSPORT)
                note_transport_close(connection, said->error_code, words);
        else if (said->error_code == 0)
                quic_ending_note(connection, CAUSE(CLOSED), QUIC_FAREWELL_NONE,
                                 "the peer closed the connection, \"%s\"", words);
        else
                quic_ending_note(connection, CAUSE(QUIC_APPLICATION), QUIC_FAREWELL_NONE,
                                 "the peer's application closed the connection by its error %llu, \"%s\"",
                                 (unsigned long long)said->error_code, words);
}

/* ---- what the library has found ---- */

static void note_idle(struct quic_connection *connection) {
        if (connection->paths.refused_last)
                quic_ending_note(connection, CAUSE(QUIC_PATH), QUIC_FAREWELL_NONE,
                                 "the peer has moved to an address that the policy does not allow");
        else if (connection->state == QUIC_OPEN)
                quic_ending_note(connection, CAUSE(IDLE), QUIC_FAREWELL_NONE,
                                 "nothing came for as long as IdleTimeout= allows, or the peer");
        else
                quic_ending_note(connection, CAUSE(TIMED_OUT), QUIC_FAREWELL_NONE,
                                 "timed out while it waited for QUIC");
}

void quic_ending_note_library(struct quic_connection *connection, int error) {
        char reason[RELAY_REASON_MAX];

        switch (error) {
        case NGTCP2_ERR_DRAINING:
                note_peers_close(connection);
                return;
        case NGTCP2_ERR_IDLE_CLOSE:
                note_idle(connection);
                return;
        case NGTCP2_ERR_CRYPTO:
                note_tls(connection);
                return;
        case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
        case NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE:
                quic_ending_note(connection, CAUSE(QUIC_VERSION), QUIC_FAREWELL_NONE,
                                 "the peer speaks no version of QUIC that is spoken here");
                return;
        case NGTCP2_ERR_RETRY:
        case NGTCP2_ERR_DROP_CONN:
                quic_ending_note(connection, CAUSE(QUIC_PROTOCOL), QUIC_FAREWELL_NONE,
                                 "what came first is not what a connection begins with");
                return;
        case NGTCP2_ERR_NOMEM:
                quic_ending_note(connection, CAUSE(NO_MEMORY), QUIC_FAREWELL_TRANSPORT,
                                 "the relay has no memory left: RelayMemory= bounds it");
                return;
        case NGTCP2_ERR_INTERNAL:
                /* Of a peer that leaves too many gaps it says this too, and nothing more. */
                quic_ending_note(connection, CAUSE(QUIC_PROTOCOL), QUIC_FAREWELL_TRANSPORT,
                                 "QUIC could not go on: the peer leaves too many gaps, or the library has failed");
                return;
        case NGTCP2_ERR_CALLBACK_FAILURE:
                quic_ending_note(connection, CAUSE(INTERNAL), QUIC_FAREWELL_TRANSPORT,
                                 "the relay could not go on with QUIC: %s", ngtcp2_strerror(error));
                return;
        default:
                (void)snprintf(reason, sizeof(reason), "the peer breaks the rules of QUIC: %s", ngtcp2_strerror(error));
                note_with_code(connection, CAUSE(QUIC_PROTOCOL), ngtcp2_err_infer_quic_transport_error_code(error),
                               reason);
        }
}

uint32_t quic_ending_errno(Nb__Relay__Cause cause) {
        switch (cause) {
        case CAUSE(CLOSED):
        case CAUSE(GUEST_GONE):
                return 0;
        case CAUSE(IDLE):
        case CAUSE(TIMED_OUT):
        case CAUSE(QUIC_PATH):
                return NB_WASI_ETIMEDOUT;
        default:
                return NB_WASI_ECONNRESET;
        }
}

/* ---- telling the peer ---- */

static void keep(struct quic_ending *ending, const uint8_t *packet, size_t size, const struct quic_path *path) {
        ending->packet = malloc(size);
        if (!ending->packet)
                return;
        memcpy(ending->packet, packet, size);
        ending->packet_size = size;
        ending->path = *path;
}

void quic_ending_say(struct quic_connection *connection) {
        struct quic_ending *ending = &connection->ending;
        struct quic_path path = { 0 };
        ngtcp2_path for_library = quic_path_for_library(&path);
        ngtcp2_pkt_info info = { 0 };
        struct quic_socket *socket = connection->socket;
        ngtcp2_ssize n;
        ngtcp2_ccerr error;
        uint8_t *room;

        if (ending->farewell == QUIC_FAREWELL_NONE)
                return;
        room = quic_socket_room(socket);
        if (!room)
                return;
        if (ending->farewell == QUIC_FAREWELL_APPLICATION)
                ngtcp2_ccerr_set_application_error(&error, 0, NULL, 0);
        else
                ngtcp2_ccerr_set_transport_error(&error, ending->code, NULL, 0);
        n = ngtcp2_conn_write_connection_close(connection->conn, &for_library, &info, room, QUIC_PACKET_MAX, &error,
                                               quic_library_now());
        if (n <= 0)
                return;
        keep(ending, room, (size_t)n, &path);
        quic_socket_add(socket, (size_t)n, &path, (uint8_t)info.ecn, false);
        quic_socket_flush(socket);
}

void quic_ending_repeat(struct quic_connection *connection, const struct quic_path *path) {
        struct quic_ending *ending = &connection->ending;
        uint32_t n = ++ending->n_answered;
        uint8_t *room;

        if (!ending->packet || (n & (n - 1)) != 0 || !quic_address_equal(&path->remote, &ending->path.remote))
                return;
        room = quic_socket_room(connection->socket);
        if (!room)
                return;
        memcpy(room, ending->packet, ending->packet_size);
        quic_socket_add(connection->socket, ending->packet_size, &ending->path, 0, false);
        quic_socket_flush(connection->socket);
}

void quic_ending_deinit(struct quic_ending *ending) {
        free(ending->packet);
        ending->packet = NULL;
}
