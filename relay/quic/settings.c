/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/settings.h"

#include <errno.h>

#include "relay/context.h"

int quic_settings_init(const struct relay *relay, const Nb__Relay__Quic *quic, uint32_t tls_context,
                       uint32_t handshake_timeout_ms, struct quic_settings *ret) {
        struct context *context = context_find(relay, tls_context);

        if (!context || !context->tls)
                return -ENOENT;
        *ret = (struct quic_settings){
                .context = context_ref(context),
                .streams_max = quic->streams_max,
                .stream_window = quic->stream_window,
                .connection_window = quic->connection_window,
                .idle_timeout_ms = quic->idle_timeout_ms,
                .keep_alive_ms = quic->keep_alive_ms,
                .handshake_timeout_ms = handshake_timeout_ms,
                .always_retry = quic->always_retry,
                .datagrams = quic->datagrams,
        };
        return 0;
}

struct quic_settings quic_settings_copy(const struct quic_settings *settings) {
        struct quic_settings copy = *settings;

        (void)context_ref(copy.context);
        return copy;
}

void quic_settings_deinit(struct quic_settings *settings) {
        settings->context = context_unref(settings->context);
}
