/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/scan.h"

#include "base/utf8.h"

/* Request → body → nothing deeper today; Reply → Welcome → Protocol is the deepest. */
#define DEPTH_MAX 4

/* Fields of one message are tracked in the bits of a word: field numbers in the .proto files stay below it. */
#define FIELD_NUMBER_MAX 63

#define VARINT_BYTES_MAX 10

struct cursor {
        const uint8_t *at;
        const uint8_t *end;
};

static bool scan_message(const ProtobufCMessageDescriptor *descriptor, struct cursor in, unsigned depth);

/* A varint with superfluous zero groups, or with bits over 64, would be a second spelling of the same number. */
static bool read_varint(struct cursor *in, uint64_t *ret) {
        uint64_t value = 0;

        for (unsigned i = 0; i < VARINT_BYTES_MAX && in->at < in->end; ++i) {
                uint8_t byte = *in->at++;

                if (i == VARINT_BYTES_MAX - 1 && byte > 1)
                        return false;
                value |= (uint64_t)(byte & 0x7f) << (7 * i);
                if (!(byte & 0x80)) {
                        *ret = value;
                        return byte != 0 || i == 0;
                }
        }
        return false;
}

static bool read_bytes(struct cursor *in, struct cursor *ret) {
        uint64_t length;

        if (!read_varint(in, &length) || length > (uint64_t)(in->end - in->at))
                return false;
        *ret = (struct cursor){ .at = in->at, .end = in->at + length };
        in->at += length;
        return true;
}

static bool scan_value(const ProtobufCFieldDescriptor *field, uint64_t wire_type, struct cursor *in, unsigned depth) {
        struct cursor bytes;
        uint64_t number;

        switch (field->type) {
        case PROTOBUF_C_TYPE_UINT32:
                return wire_type == PROTOBUF_C_WIRE_TYPE_VARINT && read_varint(in, &number) && number <= UINT32_MAX;
        case PROTOBUF_C_TYPE_ENUM:
                /* What is negative has ten bytes, and five that would be read as the same; none of our values is. */
                return wire_type == PROTOBUF_C_WIRE_TYPE_VARINT && read_varint(in, &number) && number <= INT32_MAX;
        case PROTOBUF_C_TYPE_BOOL:
                return wire_type == PROTOBUF_C_WIRE_TYPE_VARINT && read_varint(in, &number) && number <= 1;
        case PROTOBUF_C_TYPE_UINT64:
                return wire_type == PROTOBUF_C_WIRE_TYPE_VARINT && read_varint(in, &number);
        case PROTOBUF_C_TYPE_STRING:
                return wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && read_bytes(in, &bytes) &&
                       nb_utf8_is_text(bytes.at, (size_t)(bytes.end - bytes.at));
        case PROTOBUF_C_TYPE_BYTES:
                return wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && read_bytes(in, &bytes);
        case PROTOBUF_C_TYPE_MESSAGE:
                return wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && read_bytes(in, &bytes) &&
                       scan_message(field->descriptor, bytes, depth + 1);
        default:
                /* No other type is used by our messages. */
                return false;
        }
}

/* Marks a singular field as seen; the members of a oneof share the bit of the first of them. */
static bool first_time(const ProtobufCMessageDescriptor *descriptor, const ProtobufCFieldDescriptor *field,
                       uint64_t *seen) {
        const ProtobufCFieldDescriptor *bit = field;

        if (field->label == PROTOBUF_C_LABEL_REPEATED)
                return true;
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
                for (unsigned i = 0; i < descriptor->n_fields; ++i) {
                        bit = &descriptor->fields[i];
                        if ((bit->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
                            bit->quantifier_offset == field->quantifier_offset)
                                break;
                }
        }
        if (bit->id > FIELD_NUMBER_MAX || (*seen & (UINT64_C(1) << bit->id)))
                return false;
        *seen |= UINT64_C(1) << bit->id;
        return true;
}

static bool scan_message(const ProtobufCMessageDescriptor *descriptor, struct cursor in, unsigned depth) {
        uint64_t seen = 0;

        if (depth >= DEPTH_MAX)
                return false;

        while (in.at < in.end) {
                const ProtobufCFieldDescriptor *field;
                uint64_t key;

                if (!read_varint(&in, &key) || (key >> 3) > FIELD_NUMBER_MAX)
                        return false;
                field = protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(key >> 3));
                if (!field || !first_time(descriptor, field, &seen) || !scan_value(field, key & 7, &in, depth))
                        return false;
        }
        return true;
}

bool nb_frame_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t length) {
        return scan_message(descriptor, (struct cursor){ .at = bytes, .end = bytes + length }, 0);
}
