/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict reading of a protobuf frame: checks bytes against a descriptor before anything is unpacked.
 */
#ifndef NB_PROTO_SCAN_H
#define NB_PROTO_SCAN_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Whether `bytes` hold a message of `descriptor` that can be read in one way only: known fields with their own wire
 * types, singular ones and members of one oneof at most once, varints that fit their type in the fewest
 * bytes, strings of UTF-8 without NUL, lengths inside the message, nesting at most four deep. It allocates nothing.
 */
bool nb_frame_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t length);

#endif
