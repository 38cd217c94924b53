/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker says of connections (Quic in proto/relay.proto): of one, or of all of a server.
 */
#ifndef NB_RELAY_QUIC_SETTINGS_H
#define NB_RELAY_QUIC_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/relay_frame.h"

struct context;
struct relay;

struct quic_settings {
        struct context *context; /* a reference */
        uint32_t streams_max;
        uint64_t stream_window;     /* bytes */
        uint64_t connection_window; /* bytes */
        uint64_t idle_timeout_ms;
        uint64_t keep_alive_ms; /* 0: none */
        uint64_t handshake_timeout_ms;
        bool always_retry;
        bool datagrams;
};

/**
 * Reads an order.
 * @param tls_context  its number
 * @param ret          owned by the caller: quic_settings_deinit()
 * @return 0; -ENOENT: there is no such context, or it is none of TLS
 */
int quic_settings_init(const struct relay *relay, const Nb__Relay__Quic *quic, uint32_t tls_context,
                       uint32_t handshake_timeout_ms, struct quic_settings *ret);

/** Takes what was copied for another connection. @return a copy with a reference of its own */
struct quic_settings quic_settings_copy(const struct quic_settings *settings);

/** Gives the reference back. Takes one that is all zeros. */
void quic_settings_deinit(struct quic_settings *settings);

#endif
