/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: the input is one, from a session, from a broker, from a relay, and from a broker to its relay.
 *
 * It is refused in one way, or there is one way to read it: what was read, written again, is read as the same, and says no less than the
 * frame did. All of it lies in the arena.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "proto/frame.h"
#include "proto/relay_frame.h"
#include "proto/scan.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "frame";

/** Reads a frame of either kind into the arena. @return the message in it, or NULL for a refusal */
typedef const ProtobufCMessage *(*decode_function)(struct nb_frame_arena *arena, const uint8_t *frame, size_t length);

static const ProtobufCMessage *decode_request(struct nb_frame_arena *arena, const uint8_t *frame, size_t length) {
        Nb__Request *request = NULL;
        int r = nb_request_decode(arena, frame, length, &request);

        FUZZ_CHECK(r == 0 || (r == -EBADMSG && !request), "%d", r);
        FUZZ_CHECK(r < 0 || request->body_case != NB__REQUEST__BODY__NOT_SET, "a request without a body");
        return r == 0 ? &request->base : NULL;
}

static const ProtobufCMessage *decode_reply(struct nb_frame_arena *arena, const uint8_t *frame, size_t length) {
        Nb__Reply *reply = NULL;
        int r = nb_reply_decode(arena, frame, length, &reply);

        FUZZ_CHECK(r == 0 || (r == -EBADMSG && !reply), "%d", r);
        FUZZ_CHECK(r < 0 || reply->body_case != NB__REPLY__BODY__NOT_SET, "a reply without a body");
        return r == 0 ? &reply->base : NULL;
}

static const ProtobufCMessage *decode_order(struct nb_frame_arena *arena, const uint8_t *frame, size_t length) {
        Nb__Relay__Order *order = NULL;
        int r = nb_relay_order_decode(arena, frame, length, &order);

        FUZZ_CHECK(r == 0 || (r == -EBADMSG && !order), "%d", r);
        FUZZ_CHECK(r < 0 || order->body_case != NB__RELAY__ORDER__BODY__NOT_SET, "an order without a body");
        return r == 0 ? &order->base : NULL;
}

static const ProtobufCMessage *decode_report(struct nb_frame_arena *arena, const uint8_t *frame, size_t length) {
        Nb__Relay__Report *report = NULL;
        int r = nb_relay_report_decode(arena, frame, length, &report);

        FUZZ_CHECK(r == 0 || (r == -EBADMSG && !report), "%d", r);
        FUZZ_CHECK(r < 0 || report->body_case != NB__RELAY__REPORT__BODY__NOT_SET, "a report without a body");
        return r == 0 ? &report->base : NULL;
}

/** Writes a message into a block of exactly its size, owned by the caller. */
static uint8_t *pack(const ProtobufCMessage *message, size_t *ret_length) {
        uint8_t *frame;

        *ret_length = protobuf_c_message_get_packed_size(message);
        frame = malloc(*ret_length ? *ret_length : 1);
        FUZZ_CHECK(frame, "no memory for %zu bytes", *ret_length);
        FUZZ_CHECK(protobuf_c_message_pack(message, frame) == *ret_length, "%zu", *ret_length);
        return frame;
}

static void check(struct nb_frame_arena *arena, decode_function decode, const uint8_t *frame, size_t length) {
        const ProtobufCMessage *message = decode(arena, frame, length);
        NB_CLEANUP_FREE uint8_t *written = NULL, *again = NULL;
        size_t written_length, again_length;

        if (!message)
                return;
        FUZZ_CHECK(arena->used <= sizeof(arena->bytes), "%zu", arena->used);
        FUZZ_CHECK(nb_frame_scan(message->descriptor, frame, length), "decoded, and yet ambiguous");
        written = pack(message, &written_length);
        FUZZ_CHECK(written_length <= length, "%zu bytes became %zu", length, written_length);

        message = decode(arena, written, written_length);
        FUZZ_CHECK(message, "what was written is refused");
        again = pack(message, &again_length);
        FUZZ_CHECK(again_length == written_length && memcmp(again, written, again_length) == 0, "%zu, %zu",
                   written_length, again_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE struct nb_frame_arena *arena = NULL;

        if (size > NB_CHANNEL_MESSAGE_MAX)
                return 0;
        arena = malloc(sizeof(*arena));
        FUZZ_CHECK(arena, "no memory for an arena");
        check(arena, decode_request, data, size);
        check(arena, decode_reply, data, size);
        check(arena, decode_order, data, size);
        check(arena, decode_report, data, size);
        return 0;
}
