/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/channel.h"

#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/channel.h"
#include "proto/relay_frame.h"
#include "relay/orders.h"
#include "relay/relay.h"
#include "relay/calls.h"

/* Orders that are carried out before links get their turn. */
#define ORDERS_BATCH 32

struct frame {
        struct nb_list in_outbox;
        size_t length;
        uint8_t bytes[];
};

/* The broker is gone; that is read from the channel as its end, too, and all ends with it. */
static bool is_gone(int error) {
        return error == -EPIPE || error == -ECONNRESET;
}

static void keep(struct relay *relay, const Nb__Relay__Report *report) {
        size_t length = protobuf_c_message_get_packed_size(&report->base);
        struct frame *frame;

        if (relay->outbox.size + length > OUTBOX_SIZE_MAX)
                relay_give_up(relay, "the broker does not read what it is told");
        frame = malloc(sizeof(*frame) + length);
        if (!frame)
                relay_give_up(relay, "there is no memory for what the broker must be told");
        frame->length = protobuf_c_message_pack(&report->base, frame->bytes);
        nb_list_append(&relay->outbox.frames, &frame->in_outbox);
        relay->outbox.size += length;
        (void)watch_change(&relay->channel_watch, EPOLLIN | EPOLLOUT);
}

void relay_report(struct relay *relay, const Nb__Relay__Report *report) {
        int r;

        if (relay->has_ended)
                return;
        r = nb_list_is_empty(&relay->outbox.frames) ? nb_relay_report_send(relay->channel_fd, report) : -EAGAIN;
        if (r == -EAGAIN)
                keep(relay, report);
        else if (r < 0 && !is_gone(r))
                relay_give_up(relay, "a report cannot be sent to the broker");
}

bool channel_is_clear(const struct relay *relay) {
        return nb_list_is_empty(&relay->outbox.frames);
}

static void forget(struct relay *relay, struct frame *frame) {
        relay->outbox.size -= frame->length;
        nb_list_remove(&frame->in_outbox);
        free(frame);
}

static void send_kept(struct relay *relay) {
        while (!nb_list_is_empty(&relay->outbox.frames)) {
                struct frame *frame = nb_container_of(relay->outbox.frames.next, struct frame, in_outbox);
                int r = nb_channel_send(relay->channel_fd, frame->bytes, frame->length, NULL, 0);

                if (r == -EAGAIN)
                        return;
                if (r < 0 && !is_gone(r))
                        relay_give_up(relay, "a report cannot be sent to the broker");
                forget(relay, frame);
        }
        (void)watch_change(&relay->channel_watch, EPOLLIN);
}

/* @return whether there may be more */
static bool take_one(struct relay *relay) {
        struct nb_channel_fds fds;
        int length = nb_channel_receive(relay->channel_fd, relay->frame, &fds);

        if (length == -EAGAIN)
                return false;
        if (length == 0 || is_gone(length)) {
                relay->has_ended = true;
                return false;
        }
        if (length == -EMFILE)
                relay_give_up(relay,
                              "it may not have more descriptors: raise LimitNOFILE=, or lower the tenant's limits");
        if (length < 0)
                relay_give_up(relay, "an order from the broker could not be received whole");
        orders_carry_out(relay, relay->frame, (size_t)length, &fds);
        nb_channel_fds_close(&fds);
        return true;
}

/* An order mostly comes alone, and to look for a second one costs a call. Who is heard in two turns on end has more to say. */
static void channel_ready(struct watch *watch, uint32_t events) {
        struct relay *relay = nb_container_of(watch, struct relay, channel_watch);
        int most = relay->turn - relay->turn_of_orders > 1 ? 1 : ORDERS_BATCH;

        relay->turn_of_orders = relay->turn;
        if (events & EPOLLOUT)
                send_kept(relay);
        for (int i = 0; i < most && take_one(relay); ++i)
                ;
}

int channel_start(struct relay *relay) {
        nb_list_init(&relay->outbox.frames);
        return watch_start(&relay->channel_watch, &relay->watches, relay->channel_fd, EPOLLIN, channel_ready);
}

void channel_stop(struct relay *relay) {
        nb_list_foreach_safe(element, &relay->outbox.frames)
                forget(relay, nb_container_of(element, struct frame, in_outbox));
        watch_end_before_close(&relay->channel_watch);
}

static const struct confine_call calls[] = {
        CONFINE_CALL(recvmsg, "orders"),
        CONFINE_CALL(sendto, "reports"),
        CONFINE_OPTION(SOL_SOCKET, SO_LINGER, "lingering of what is closed"),
};
const struct confine_list channel_calls = CONFINE_LIST(calls);
