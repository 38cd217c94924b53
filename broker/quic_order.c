/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/quic_order.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/channel.h"

void quic_order_fill(const struct policy_protocol *policy, enum policy_socket_type type, Nb__Relay__Quic *ret) {
        const struct policy_quic *quic = &policy->quic;

        nb__relay__quic__init(ret);
        ret->streams_max = quic->max_streams;
        ret->stream_window = quic->stream_window;
        ret->connection_window = quic->connection_window;
        ret->idle_timeout_ms = quic_order_cap(policy->idle_timeout_ms);
        ret->keep_alive_ms = quic_order_cap(quic->keep_alive_ms);
        ret->always_retry = quic->always_retry;
        ret->datagrams = type == POLICY_SOCKET_DGRAM;
}

int quic_order_make_channel(int *ret_guest_fd, int *ret_relay_fd) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        /* Streams' descriptors go to the guest's host; nothing comes to the relay by this way. */
        nb_channel_refuse_fds(ends[1]);
        *ret_guest_fd = ends[0];
        *ret_relay_fd = ends[1];
        return 0;
}
