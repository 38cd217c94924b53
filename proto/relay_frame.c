/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/relay_frame.h"

#include <errno.h>

int nb_relay_order_decode(struct nb_frame_arena *arena, const uint8_t *frame, size_t length, Nb__Relay__Order **ret) {
        Nb__Relay__Order *order =
                (Nb__Relay__Order *)nb_frame_decode(&nb__relay__order__descriptor, arena, frame, length);

        if (!order || order->body_case == NB__RELAY__ORDER__BODY__NOT_SET)
                return -EBADMSG;
        *ret = order;
        return 0;
}

int nb_relay_report_decode(struct nb_frame_arena *arena, const uint8_t *frame, size_t length, Nb__Relay__Report **ret) {
        Nb__Relay__Report *report =
                (Nb__Relay__Report *)nb_frame_decode(&nb__relay__report__descriptor, arena, frame, length);

        if (!report || report->body_case == NB__RELAY__REPORT__BODY__NOT_SET)
                return -EBADMSG;
        *ret = report;
        return 0;
}

int nb_relay_order_send(int channel_fd, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        return nb_frame_send(channel_fd, &order->base, fds, n_fds);
}

int nb_relay_report_send(int channel_fd, const Nb__Relay__Report *report) {
        return nb_frame_send(channel_fd, &report->base, NULL, 0);
}
