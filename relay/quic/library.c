/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/library.h"

#include <errno.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <sodium.h>
#include <uv.h>

#include "relay/quic/connection.h"
#include "relay/quic/endpoint.h"
#include "relay/quic/ids.h"
#include "relay/quic/paths.h"
#include "relay/quic/quic.h"
#include "relay/quic/settings.h"
#include "relay/quic/socket.h"
#include "relay/quic/streams.h"
#include "relay/quic/tls.h"
#include "relay/quic/token.h"

/* Of a client's first packet, which a server without state cannot guess (RFC 9000, 7.2: at least 8). */
#define FIRST_ID_LENGTH 16

/* IDs of the peer's that are kept to move to another path with; the most that the library takes is 8. */
#define PEER_IDS_MAX 7

/* The largest frame there can be: what fits is the path's matter. */
#define DATAGRAM_FRAME_MAX 65535

ngtcp2_tstamp quic_library_now(void) {
        return uv_hrtime();
}

/* ---- callbacks ---- */

static void on_random(uint8_t *bytes, size_t size, const ngtcp2_rand_ctx *context) {
        (void)context;
        randombytes_buf(bytes, size);
}

/* @return 0, or what the library is to be told */
static int make_id(struct quic_connection *connection, ngtcp2_cid *ret, uint8_t *token) {
        if (quic_id_choose(ret) < 0 ||
            quic_reset_token(connection->quic, quic_socket_local(connection->socket), ret, token) < 0)
                return NGTCP2_ERR_CALLBACK_FAILURE;
        if (connection->endpoint && quic_endpoint_add_id(connection->endpoint, ret, connection) < 0)
                return NGTCP2_ERR_CALLBACK_FAILURE;
        return 0;
}

static int on_new_id(ngtcp2_conn *conn, ngtcp2_cid *ret, uint8_t *token, size_t length, void *user_data) {
        (void)conn;
        (void)length; /* of the first, and they are all of one length */
        return make_id(user_data, ret, token);
}

static int on_old_id(ngtcp2_conn *conn, const ngtcp2_cid *id, void *user_data) {
        struct quic_connection *connection = user_data;

        (void)conn;
        if (connection->endpoint)
                quic_endpoint_remove_id(connection->endpoint, id);
        return 0;
}

/* A server's is confirmed with it, a client's is not. */
static int on_completed(ngtcp2_conn *conn, void *user_data) {
        struct quic_connection *connection = user_data;

        (void)conn;
        if (!connection->is_server)
                return 0;
        quic_tls_give_ticket(connection->tls);
        connection->is_confirmed = true;
        return 0;
}

static int on_confirmed(ngtcp2_conn *conn, void *user_data) {
        struct quic_connection *connection = user_data;

        (void)conn;
        connection->is_confirmed = true;
        return 0;
}

static int on_stateless_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *reset, void *user_data) {
        struct quic_connection *connection = user_data;

        (void)conn;
        (void)reset;
        connection->was_reset = true;
        return 0;
}

static int on_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data,
                          size_t length, void *user_data, void *stream_user_data) {
        struct quic_connection *connection = user_data;

        connection->counts.bytes_to_guest += length;
        return quic_streams_on_data(conn, flags, id, offset, data, length, user_data, stream_user_data);
}

static int on_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t error, void *user_data,
                           void *stream_user_data) {
        struct quic_connection *connection = user_data;

        /* Of a stream that is there no more the library does not know it. */
        connection->counts.lost += ngtcp2_conn_get_stream_loss_count(conn, id);
        return quic_streams_on_close(conn, flags, id, error, user_data, stream_user_data);
}

static int on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t length, void *user_data) {
        struct quic_connection *connection = user_data;

        connection->counts.bytes_to_guest += length;
        return quic_streams_on_datagram(conn, flags, data, length, user_data);
}

static int on_datagram_lost(ngtcp2_conn *conn, uint64_t id, void *user_data) {
        struct quic_connection *connection = user_data;

        (void)conn;
        (void)id;
        connection->counts.lost++;
        return 0;
}

static ngtcp2_callbacks callbacks_of(const struct quic_connection *connection) {
        bool datagrams = connection->settings.datagrams;

        return (ngtcp2_callbacks){
                .client_initial = ngtcp2_crypto_client_initial_cb,
                .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
                .recv_crypto_data = quic_tls_on_data,
                .recv_tx_key = quic_tls_on_key,
                .recv_retry = ngtcp2_crypto_recv_retry_cb,
                .encrypt = ngtcp2_crypto_encrypt_cb,
                .decrypt = ngtcp2_crypto_decrypt_cb,
                .hp_mask = ngtcp2_crypto_hp_mask_cb,
                .update_key = ngtcp2_crypto_update_key_cb,
                .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
                .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
                .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
                .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
                .rand = on_random,
                .get_new_connection_id = on_new_id,
                .remove_connection_id = on_old_id,
                .handshake_completed = on_completed,
                .handshake_confirmed = on_confirmed,
                .recv_stateless_reset = on_stateless_reset,
                .path_validation = quic_paths_on_validated,
                .select_preferred_addr = quic_paths_on_preferred,
                .stream_open = quic_streams_on_open,
                .recv_stream_data = on_stream_data,
                .acked_stream_data_offset = quic_streams_on_acked,
                .stream_close = on_stream_close,
                .stream_reset = quic_streams_on_reset,
                .extend_max_stream_data = quic_streams_on_more_stream_data,
                .extend_max_local_streams_bidi = quic_streams_on_more_bidirectional,
                .extend_max_local_streams_uni = quic_streams_on_more_unidirectional,
                .recv_datagram = datagrams ? on_datagram : NULL,
                .lost_datagram = datagrams ? on_datagram_lost : NULL,
        };
}

/* ---- what it is told ---- */

static ngtcp2_settings settings_of(const uint16_t *probes, size_t n_probes) {
        ngtcp2_settings settings;

        ngtcp2_settings_default(&settings);
        settings.cc_algo = NGTCP2_CC_ALGO_CUBIC;
        settings.initial_ts = quic_library_now();
        settings.max_tx_udp_payload_size = QUIC_PACKET_MAX;
        settings.pmtud_probes = probes;
        settings.pmtud_probeslen = n_probes;
        /* That it is confirmed in time, and not only complete, is looked after by ourselves. */
        settings.handshake_timeout = UINT64_MAX;
        return settings;
}

static ngtcp2_transport_params parameters_of(const struct quic_connection *connection) {
        const struct quic_settings *settings = &connection->settings;
        ngtcp2_transport_params parameters;

        ngtcp2_transport_params_default(&parameters);
        parameters.initial_max_data = settings->connection_window;
        parameters.initial_max_stream_data_bidi_local = settings->stream_window;
        parameters.initial_max_stream_data_bidi_remote = settings->stream_window;
        parameters.initial_max_stream_data_uni = settings->stream_window;
        parameters.initial_max_streams_bidi = settings->datagrams ? 0 : settings->streams_max;
        parameters.initial_max_streams_uni = settings->datagrams ? 0 : settings->streams_max;
        parameters.max_datagram_frame_size = settings->datagrams ? DATAGRAM_FRAME_MAX : 0;
        parameters.max_idle_timeout = settings->idle_timeout_ms * NGTCP2_MILLISECONDS;
        parameters.active_connection_id_limit = PEER_IDS_MAX;
        return parameters;
}

static void finish(struct quic_connection *connection) {
        const struct quic_settings *settings = &connection->settings;

        quic_tls_attach(connection->tls, connection->conn);
        if (settings->keep_alive_ms > 0)
                ngtcp2_conn_set_keep_alive_timeout(connection->conn, settings->keep_alive_ms * NGTCP2_MILLISECONDS);
}

/* What PMTUD tries, the most likely first: an Ethernet, with a tunnel, with PPPoE and a tunnel. */
#define PROBES                                                                                                         \
        { QUIC_PACKET_MAX, 1406, 1342 }

/* The library leaves in its result what it has freed. */
static int fail(struct quic_connection *connection) {
        connection->conn = NULL;
        return -ENOMEM;
}

int quic_library_serve(struct quic_connection *connection, const struct quic_first *first) {
        const uint16_t probes[] = PROBES;
        ngtcp2_settings settings = settings_of(probes, sizeof(probes) / sizeof(probes[0]));
        ngtcp2_transport_params parameters = parameters_of(connection);
        ngtcp2_callbacks callbacks = callbacks_of(connection);
        ngtcp2_path path = quic_path_for_library(&first->path);
        ngtcp2_cid id;

        parameters.original_dcid = *first->original_dcid;
        parameters.original_dcid_present = 1;
        parameters.stateless_reset_token_present = 1;
        if (first->after_retry) {
                parameters.retry_scid = *first->dcid;
                parameters.retry_scid_present = 1;
                settings.token = first->token;
                settings.tokenlen = first->token_length;
                settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
        }
        if (make_id(connection, &id, parameters.stateless_reset_token) != 0)
                return -ENOMEM;
        if (ngtcp2_conn_server_new(&connection->conn, first->scid, &id, &path, first->version, &callbacks, &settings,
                                   &parameters, &connection->memory.mem, connection) != 0)
                return fail(connection);
        finish(connection);
        return 0;
}

int quic_library_dial(struct quic_connection *connection, const struct quic_path *path) {
        const uint16_t probes[] = PROBES;
        ngtcp2_settings settings = settings_of(probes, sizeof(probes) / sizeof(probes[0]));
        ngtcp2_transport_params parameters = parameters_of(connection);
        ngtcp2_callbacks callbacks = callbacks_of(connection);
        ngtcp2_path for_library = quic_path_for_library(path);
        ngtcp2_cid first = { .datalen = FIRST_ID_LENGTH };
        ngtcp2_cid id;

        randombytes_buf(first.data, first.datalen);
        if (quic_id_choose(&id) < 0)
                return -ENOMEM;
        if (ngtcp2_conn_client_new(&connection->conn, &first, &id, &for_library, NGTCP2_PROTO_VER_V1, &callbacks,
                                   &settings, &parameters, &connection->memory.mem, connection) != 0)
                return fail(connection);
        finish(connection);
        return 0;
}
