/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/channel.h"
#include "proto/scan.h"

/* Most frames are an address and a few numbers; only Welcome and Hello can be long. */
#define SMALL_FRAME 1024

static void *arena_alloc(void *data, size_t size) {
        struct nb_frame_arena *arena = data;
        size_t aligned = (size + 15) & ~(size_t)15;
        void *chunk;

        if (aligned < size || aligned > sizeof(arena->bytes) - arena->used)
                return NULL;
        chunk = arena->bytes + arena->used;
        arena->used += aligned;
        return chunk;
}

static void arena_free(void *data, void *chunk) {
        (void)data;
        (void)chunk;
}

ProtobufCMessage *nb_frame_decode(const ProtobufCMessageDescriptor *descriptor, struct nb_frame_arena *arena,
                                  const uint8_t *frame, size_t length) {
        ProtobufCAllocator allocator = { .alloc = arena_alloc, .free = arena_free, .allocator_data = arena };

        arena->used = 0;
        if (length == 0 || length > NB_CHANNEL_MESSAGE_MAX || !nb_frame_scan(descriptor, frame, length))
                return NULL;
        return protobuf_c_message_unpack(descriptor, &allocator, length, frame);
}

int nb_request_decode(struct nb_frame_arena *arena, const uint8_t *frame, size_t length, Nb__Request **ret) {
        Nb__Request *request = (Nb__Request *)nb_frame_decode(&nb__request__descriptor, arena, frame, length);

        if (!request || request->body_case == NB__REQUEST__BODY__NOT_SET)
                return -EBADMSG;
        *ret = request;
        return 0;
}

int nb_reply_decode(struct nb_frame_arena *arena, const uint8_t *frame, size_t length, Nb__Reply **ret) {
        Nb__Reply *reply = (Nb__Reply *)nb_frame_decode(&nb__reply__descriptor, arena, frame, length);

        if (!reply || reply->body_case == NB__REPLY__BODY__NOT_SET)
                return -EBADMSG;
        *ret = reply;
        return 0;
}

static int send_large(int channel_fd, const ProtobufCMessage *message, size_t length, const int *fds, size_t n_fds) {
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];

        if (length > sizeof(frame))
                return -EMSGSIZE;
        protobuf_c_message_pack(message, frame);
        return nb_channel_send(channel_fd, frame, length, fds, n_fds);
}

int nb_frame_send(int channel_fd, const ProtobufCMessage *message, const int *fds, size_t n_fds) {
        uint8_t frame[SMALL_FRAME];
        size_t length = protobuf_c_message_get_packed_size(message);

        if (length > sizeof(frame))
                return send_large(channel_fd, message, length, fds, n_fds);
        protobuf_c_message_pack(message, frame);
        return nb_channel_send(channel_fd, frame, length, fds, n_fds);
}

int nb_request_send(int channel_fd, const Nb__Request *request, const int *fds, size_t n_fds) {
        return nb_frame_send(channel_fd, &request->base, fds, n_fds);
}

int nb_reply_send(int channel_fd, const Nb__Reply *reply, const int *fds, size_t n_fds) {
        return nb_frame_send(channel_fd, &reply->base, fds, n_fds);
}
