/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: protobuf messages, one in each SEQPACKET message.
 *
 * protobuf-c accepts more than this protocol means: a singular field twice (the last wins), two members of
 * one oneof, unknown fields, nesting that allocates. So a frame is first scanned against its descriptor,
 * without allocating, and refused unless there is exactly one way to read it; only then is it unpacked, into an
 * arena of fixed size.
 */
#ifndef NB_PROTO_FRAME_H
#define NB_PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/netbroker.pb-c.h"

/** The version of the protocol that this tree speaks; see PROTOCOL.md. */
#define NB_PROTOCOL_VERSION 1

/** Longest texts on the wire, in bytes, without a NUL. */
#define NB_ADDRESS_LENGTH_MAX 512
#define NB_NAME_LENGTH_MAX 64
#define NB_LABEL_LENGTH_MAX 256
#define NB_REASON_LENGTH_MAX 1024

/** The longest capability token, in bytes, and what its text begins with (docs/token-format.md). */
#define NB_TOKEN_LENGTH_MAX 8192
#define NB_TOKEN_PREFIX "nbtoken1_"
#define NB_RULES_LENGTH_MAX 4096

/** What is told of TLS: names of the peer's certificate, and the longest of the texts. */
#define NB_SECURITY_NAMES_MAX 8
#define NB_SECURITY_TEXT_MAX 255

/** Streams that a relay may push on a connection channel before the first Credit. */
#define NB_STREAM_WINDOW 16

/** Streams that may be under way on one connection channel, whatever credit it asks for. */
#define NB_STREAM_WINDOW_MAX 64

/** Connections that may be under way to one listener, whatever credit it asks for. */
#define NB_CREDIT_WINDOW_MAX 64

/** Decoded requests live here until the next decode into the same arena: no free, no fragmentation, no growth. */
#define NB_FRAME_ARENA_SIZE (160 * 1024)

struct nb_frame_arena {
        size_t used;
        _Alignas(16) uint8_t bytes[NB_FRAME_ARENA_SIZE];
};

/**
 * Decodes one frame of any message of ours; for those who wrap it by type.
 * @return valid until the next use of `arena`; NULL for anything but a well-formed frame of known fields, each at most once
 */
ProtobufCMessage *nb_frame_decode(const ProtobufCMessageDescriptor *descriptor, struct nb_frame_arena *arena,
                                  const uint8_t *frame, size_t length);

/** Encodes and sends one. `fds` are borrowed. @return as nb_request_send() */
int nb_frame_send(int channel_fd, const ProtobufCMessage *message, const int *fds, size_t n_fds);

/**
 * Decodes one frame from a session.
 * @param ret  valid until the next use of `arena`; `body_case` is always one that is defined
 * @return 0, or -EBADMSG for anything but a well-formed frame of known fields, each at most once.
 */
int nb_request_decode(struct nb_frame_arena *arena, const uint8_t *frame, size_t length, Nb__Request **ret);

/** The same for frames from the broker. */
int nb_reply_decode(struct nb_frame_arena *arena, const uint8_t *frame, size_t length, Nb__Reply **ret);

/**
 * Encodes and sends one frame, without waiting. `fds` are borrowed.
 * @return as nb_channel_send(); -EMSGSIZE when it does not fit a frame.
 */
int nb_request_send(int channel_fd, const Nb__Request *request, const int *fds, size_t n_fds);
int nb_reply_send(int channel_fd, const Nb__Reply *reply, const int *fds, size_t n_fds);

#endif
