/* SPDX-License-Identifier: Apache-2.0 */
/* Abuse case 31: frames that are truncated, oversized, nested, ambiguous. Every one is refused in one way. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "proto/frame.h"
#include "proto/scan.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"

static struct nb_frame_arena arena;

/* Decodes from a block of exactly that size, so that a sanitizer sees every byte that is read too far. */
static int decode_request(const void *frame, size_t length, Nb__Request **ret) {
        uint8_t *exact = malloc(length ? length : 1);
        int r;

        memcpy(exact, frame, length);
        r = nb_request_decode(&arena, exact, length, ret);
        free(exact);
        return r;
}

static int decode_reply(const void *frame, size_t length, Nb__Reply **ret) {
        uint8_t *exact = malloc(length ? length : 1);
        int r;

        memcpy(exact, frame, length);
        r = nb_reply_decode(&arena, exact, length, ret);
        free(exact);
        return r;
}

struct frame {
        const char *name;
        const char *bytes;
        size_t length;
};

#define FRAME(name, bytes)                                                                                             \
        { name, bytes, sizeof(bytes) - 1 }

/* Request: hello 1, open 2, listen 3, credit 4, connect 5, serial 15. As keys of the wire: 0a, 12, 1a, 22, 2a, 78. */
static const struct frame bad_requests[] = {
        FRAME("empty", ""),
        FRAME("no body", "\x78\x01"),
        FRAME("the same member twice", "\x2a\x03\x0a\x01"
                                       "a"
                                       "\x2a\x03\x0a\x01"
                                       "b"),
        FRAME("two members of the oneof", "\x22\x00\x2a\x00"),
        FRAME("two members, the later first", "\x2a\x00\x0a\x00"),
        FRAME("a singular field twice", "\x2a\x06\x0a\x01"
                                        "a"
                                        "\x0a\x01"
                                        "b"),
        FRAME("a number twice", "\x22\x04\x08\x01\x08\x01"),
        FRAME("serial twice", "\x22\x00\x78\x01\x78\x02"),
        FRAME("unknown field beside the body", "\x22\x00\x32\x00"),
        FRAME("unknown field inside", "\x22\x02\x10\x01"),
        FRAME("field 0", "\x02\x00"),
        FRAME("field 64", "\x22\x00\x80\x04\x00"),
        FRAME("field 2^29", "\x22\x00\x80\x80\x80\x80\x10\x00"),
        FRAME("key over 64 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        FRAME("varint for a message", "\x20\x00"),
        FRAME("fixed32 for a number", "\x22\x05\x0d\x01\x02\x03\x04"),
        FRAME("fixed64 for a number", "\x22\x09\x09\x01\x02\x03\x04\x05\x06\x07\x08"),
        FRAME("a group", "\x23\x24"),
        FRAME("wire type 6", "\x26\x00"),
        FRAME("wire type 7", "\x27\x00"),
        FRAME("bytes for a number", "\x22\x03\x0a\x01\x01"),
        FRAME("varint for a string", "\x2a\x02\x08\x01"),
        FRAME("overlong number", "\x22\x03\x08\x81\x00"),
        FRAME("overlong zero", "\x22\x03\x08\x80\x00"),
        FRAME("overlong key", "\xa2\x00\x00"),
        FRAME("overlong length", "\x22\x80\x00"),
        FRAME("uint32 over 32 bits", "\x1a\x06\x08\x80\x80\x80\x80\x10"),
        FRAME("number over 64 bits", "\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        FRAME("number of 11 bytes", "\x22\x0c\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        FRAME("number without an end", "\x22\x02\x08\x80"),
        FRAME("length behind the frame", "\x2a\x05\x0a\x03"
                                         "ab"),
        FRAME("length behind its message", "\x2a\x03\x0a\x02"
                                           "a"
                                           "\x78\x01"),
        FRAME("length of 2^63", "\x2a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        FRAME("length of 2^64-1", "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        FRAME("NUL in a string", "\x2a\x05\x0a\x03"
                                 "a\0b"),
        FRAME("only NUL", "\x2a\x03\x0a\x01"
                          "\0"),
        FRAME("lone continuation byte", "\x2a\x03\x0a\x01\x80"),
        FRAME("cut sequence", "\x2a\x04\x0a\x02\xe2\x82"),
        FRAME("sequence cut by the end of its string", "\x2a\x05\x0a\x01\xc3\x0a\x00"),
        FRAME("overlong two bytes", "\x2a\x04\x0a\x02\xc0\xaf"),
        FRAME("overlong three bytes", "\x2a\x05\x0a\x03\xe0\x9f\xbf"),
        FRAME("overlong four bytes", "\x2a\x06\x0a\x04\xf0\x8f\xbf\xbf"),
        FRAME("surrogate", "\x2a\x05\x0a\x03\xed\xa0\x80"),
        FRAME("above U+10FFFF", "\x2a\x06\x0a\x04\xf4\x90\x80\x80"),
        FRAME("byte f5", "\x2a\x06\x0a\x04\xf5\x80\x80\x80"),
        FRAME("byte ff", "\x2a\x03\x0a\x01\xff"),
};

START_TEST(abuse_31_ambiguous_requests_are_refused) {
        const struct frame *frame = &bad_requests[_i];
        Nb__Request *request = NULL;

        ck_assert_msg(decode_request(frame->bytes, frame->length, &request) == -EBADMSG, "%s: decoded", frame->name);
        ck_assert_ptr_null(request);
}
END_TEST

static const struct frame good_requests[] = {
        FRAME("empty hello", "\x0a\x00"),
        FRAME("empty credit", "\x22\x00"),
        FRAME("zero written out", "\x22\x02\x08\x00"),
        FRAME("largest number", "\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        FRAME("largest uint32", "\x1a\x06\x08\xff\xff\xff\xff\x0f"),
        FRAME("serial first", "\x78\x01\x22\x00"),
        FRAME("empty string", "\x2a\x02\x0a\x00"),
        FRAME("two bytes", "\x2a\x04\x0a\x02\xc3\xa4"),
        FRAME("three bytes", "\x2a\x05\x0a\x03\xe2\x82\xac"),
        FRAME("highest before the surrogates", "\x2a\x05\x0a\x03\xed\x9f\xbf"),
        FRAME("U+10FFFF", "\x2a\x06\x0a\x04\xf4\x8f\xbf\xbf"),
        FRAME("bytes may hold anything", "\x0a\x04\x22\x02\x00\xff"),
        FRAME("a type that no one knows", "\x12\x02\x10\x63"),
};

START_TEST(well_formed_requests_are_decoded) {
        const struct frame *frame = &good_requests[_i];
        Nb__Request *request = NULL;

        ck_assert_msg(decode_request(frame->bytes, frame->length, &request) == 0, "%s: refused", frame->name);
        ck_assert_int_ne(request->body_case, NB__REQUEST__BODY__NOT_SET);
}
END_TEST

static size_t pack(const ProtobufCMessage *message, uint8_t *frame, size_t size) {
        ck_assert_uint_le(protobuf_c_message_get_packed_size(message), size);
        return protobuf_c_message_pack(message, frame);
}

static size_t pack_open(uint8_t *frame, size_t size) {
        Nb__Open open = NB__OPEN__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        open.address = (char *)"[2001:db8::1]:443";
        open.type = NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
        open.rights_base = UINT64_MAX;
        open.rights_inheriting = 1;
        request.body_case = NB__REQUEST__BODY_OPEN;
        request.open = &open;
        request.serial = 7;
        return pack(&request.base, frame, size);
}

static size_t pack_welcome(size_t n_protocols, const char *name, uint8_t *frame, size_t size) {
        static Nb__Protocol protocols[32768];
        static Nb__Protocol *list[32768];
        Nb__Welcome welcome = NB__WELCOME__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        for (size_t i = 0; i < n_protocols; ++i) {
                protocols[i] = (Nb__Protocol)NB__PROTOCOL__INIT;
                protocols[i].name = (char *)name;
                list[i] = &protocols[i];
        }
        welcome.version = 1;
        welcome.n_protocols = n_protocols;
        welcome.protocols = list;
        reply.body_case = NB__REPLY__BODY_WELCOME;
        reply.welcome = &welcome;
        return pack(&reply.base, frame, size);
}

START_TEST(what_was_packed_comes_out) {
        uint8_t frame[256];
        size_t length = pack_open(frame, sizeof(frame));
        Nb__Request *request;

        ck_assert_int_eq(decode_request(frame, length, &request), 0);
        ck_assert_int_eq(request->body_case, NB__REQUEST__BODY_OPEN);
        ck_assert_str_eq(request->open->address, "[2001:db8::1]:443");
        ck_assert_int_eq(request->open->type, NB__SOCKET_TYPE__SOCKET_TYPE_STREAM);
        ck_assert(request->open->rights_base == UINT64_MAX);
        ck_assert_uint_eq(request->open->rights_inheriting, 1);
        ck_assert_uint_eq(request->serial, 7);
}
END_TEST

START_TEST(abuse_31_truncation_at_every_byte_is_refused) {
        uint8_t frame[4096];
        size_t length = pack_open(frame, sizeof(frame));
        Nb__Request *request;
        Nb__Reply *reply;

        /* The serial is the last field, of two bytes: cut before it, it is a request without one. */
        for (size_t n = 0; n < length; ++n)
                ck_assert_int_eq(decode_request(frame, n, &request), n == length - 2 ? 0 : -EBADMSG);

        length = pack_welcome(3, "web", frame, sizeof(frame));
        for (size_t n = 0; n < length; ++n)
                ck_assert_int_eq(decode_reply(frame, n, &reply), -EBADMSG);
        ck_assert_int_eq(decode_reply(frame, length, &reply), 0);
        ck_assert_uint_eq(reply->welcome->n_protocols, 3);
}
END_TEST

START_TEST(largest_welcome_fits_the_arena) {
        static uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        char name[NB_NAME_LENGTH_MAX + 1];
        Nb__Reply *reply;
        size_t length;

        memset(name, 'n', NB_NAME_LENGTH_MAX);
        name[NB_NAME_LENGTH_MAX] = '\0';
        length = pack_welcome(NB_CHANNEL_FDS_MAX, name, frame, sizeof(frame));
        ck_assert_int_eq(decode_reply(frame, length, &reply), 0);
        ck_assert_uint_eq(reply->welcome->n_protocols, NB_CHANNEL_FDS_MAX);
        ck_assert_str_eq(reply->welcome->protocols[NB_CHANNEL_FDS_MAX - 1]->name, name);
}
END_TEST

/* 32,000 empty messages in one frame would be megabytes when decoded. */
START_TEST(what_would_outgrow_the_arena_is_refused) {
        static uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        Nb__Reply *reply;
        bool refused = false;

        for (size_t n = 1; n <= 32000; n *= 2) {
                size_t length = pack_welcome(n, "", frame, sizeof(frame));
                int r = decode_reply(frame, length, &reply);

                ck_assert(r == 0 || r == -EBADMSG);
                ck_assert(!refused || r == -EBADMSG);
                refused = r == -EBADMSG;
                ck_assert_uint_le(arena.used, sizeof(arena.bytes));
        }
        ck_assert(refused);
        /* The arena is as good as new. */
        ck_assert_int_eq(decode_reply("\x3a\x00", 2, &reply), 0);
}
END_TEST

START_TEST(longest_string_is_decoded_and_a_longer_frame_is_not) {
        static uint8_t frame[NB_CHANNEL_MESSAGE_MAX + 1];
        static char text[NB_CHANNEL_MESSAGE_MAX];
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Connect connect = NB__CONNECT__INIT;
        Nb__Request *decoded;

        request.body_case = NB__REQUEST__BODY_CONNECT;
        request.connect = &connect;
        connect.address = text;
        memset(text, 'a', sizeof(text) - 1);
        text[NB_CHANNEL_MESSAGE_MAX - 8] = '\0';
        ck_assert_uint_eq(pack(&request.base, frame, sizeof(frame)), NB_CHANNEL_MESSAGE_MAX);
        ck_assert_int_eq(decode_request(frame, NB_CHANNEL_MESSAGE_MAX, &decoded), 0);
        ck_assert_str_eq(decoded->connect->address, text);

        text[NB_CHANNEL_MESSAGE_MAX - 8] = 'a';
        text[NB_CHANNEL_MESSAGE_MAX - 7] = '\0';
        ck_assert_uint_eq(pack(&request.base, frame, sizeof(frame)), NB_CHANNEL_MESSAGE_MAX + 1);
        ck_assert_int_eq(decode_request(frame, NB_CHANNEL_MESSAGE_MAX + 1, &decoded), -EBADMSG);
}
END_TEST

/* google.protobuf's messages nest; ours do not, so a descriptor that contains itself is made up. */
static ProtobufCFieldDescriptor self_field;
static const ProtobufCIntRange self_range[] = { { 1, 0 }, { 0, 1 } };
static const ProtobufCMessageDescriptor self_descriptor = {
        .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
        .n_fields = 1,
        .fields = &self_field,
        .n_field_ranges = 1,
        .field_ranges = self_range,
};

START_TEST(abuse_31_nesting_ends_at_four) {
        uint8_t frame[32];

        self_field = (ProtobufCFieldDescriptor){
                .id = 1,
                .label = PROTOBUF_C_LABEL_NONE,
                .type = PROTOBUF_C_TYPE_MESSAGE,
                .descriptor = &self_descriptor,
        };
        for (unsigned depth = 0; depth < 16; ++depth) {
                for (unsigned i = 0; i < depth; ++i) {
                        frame[2 * i] = 0x0a;
                        frame[2 * i + 1] = (uint8_t)(2 * (depth - i - 1));
                }
                ck_assert_int_eq(nb_frame_scan(&self_descriptor, frame, (size_t)depth * 2), depth < 4);
        }
}
END_TEST

/* Every frame that differs from a good one in a byte or two is read or refused, never more than its own length. */
START_TEST(flipped_bits_do_no_harm) {
        uint8_t good[256], frame[256];
        size_t length = pack_welcome(2, "name", good, sizeof(good));
        uint32_t random = 1;

        for (unsigned i = 0; i < 200000; ++i) {
                Nb__Reply *reply;
                Nb__Request *request;

                memcpy(frame, good, length);
                for (unsigned k = 0; k < 2; ++k) {
                        random = random * 1664525 + 1013904223;
                        frame[(random >> 8) % length] ^= (uint8_t)(1u << (random >> 29));
                }
                (void)decode_reply(frame, length, &reply);
                (void)decode_request(frame, length, &request);
        }
}
END_TEST

START_TEST(frames_travel_with_descriptors) {
        static uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
        Nb__Reply reply = NB__REPLY__INIT;
        Nb__Refused refused = NB__REFUSED__INIT;
        struct nb_channel_fds fds;
        Nb__Reply *decoded;
        char reason[2000];
        int pair[2], n;

        /* Longer than a small frame. */
        memset(reason, 'r', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = '\0';
        refused.reason = reason;
        refused.error = 2;
        reply.body_case = NB__REPLY__BODY_REFUSED;
        reply.refused = &refused;
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        ck_assert_int_eq(nb_reply_send(pair[0], &reply, pair, 2), 0);
        n = nb_channel_receive(pair[1], buffer, &fds);
        ck_assert_int_gt(n, 2000);
        ck_assert_uint_eq(fds.n, 2);
        nb_channel_fds_close(&fds);
        ck_assert_int_eq(decode_reply(buffer, (size_t)n, &decoded), 0);
        ck_assert_str_eq(decoded->refused->reason, reason);

        /* Nothing to say is no frame. */
        reply.body_case = NB__REPLY__BODY__NOT_SET;
        ck_assert_int_eq(nb_reply_send(pair[0], &reply, NULL, 0), -EMSGSIZE);
        nb_fd_close(pair[0]);
        nb_fd_close(pair[1]);
}
END_TEST

START_TEST(errnos_are_mapped_both_ways) {
        for (uint32_t error = 1; error <= NB_WASI_ENOTCAPABLE; ++error) {
                int host = nb_wasi_errno_to_host(error);

                ck_assert_int_gt(host, 0);
                ck_assert_int_eq(nb_wasi_errno_from_host(host), error);
        }
        ck_assert_int_eq(nb_wasi_errno_to_host(0), 0);
        ck_assert_int_eq(nb_wasi_errno_from_host(0), NB_WASI_SUCCESS);
        ck_assert_int_eq(nb_wasi_errno_to_host(NB_WASI_ENOTCAPABLE + 1), EPROTO);
        ck_assert_int_eq(nb_wasi_errno_to_host(UINT32_MAX), EPROTO);
        ck_assert_int_eq(nb_wasi_errno_from_host(-EACCES), NB_WASI_EIO);
        ck_assert_int_eq(nb_wasi_errno_from_host(ENOTBLK), NB_WASI_EIO);
        ck_assert_int_eq(nb_wasi_errno_from_host(EOPNOTSUPP), NB_WASI_ENOTSUP);
        /* Those that WASI has no number for. */
        ck_assert_int_eq(nb_wasi_errno_from_host(EHOSTDOWN), NB_WASI_EHOSTUNREACH);
        ck_assert_int_eq(nb_wasi_errno_from_host(ENONET), NB_WASI_EHOSTUNREACH);
        ck_assert_int_eq(nb_wasi_errno_from_host(EPFNOSUPPORT), NB_WASI_EAFNOSUPPORT);
        ck_assert_int_eq(nb_wasi_errno_from_host(ESHUTDOWN), NB_WASI_EPIPE);
        ck_assert_int_eq(nb_wasi_errno_from_host(ESOCKTNOSUPPORT), NB_WASI_EPROTONOSUPPORT);
        ck_assert_int_eq(nb_wasi_errno_from_host(ETOOMANYREFS), NB_WASI_ENOBUFS);
        ck_assert_int_eq(nb_wasi_errno_from_host(NB_ENOTCAPABLE), NB_WASI_ENOTCAPABLE);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("frame");
        TCase *tcase = tcase_create("frame");

        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, abuse_31_ambiguous_requests_are_refused, 0,
                            (int)(sizeof(bad_requests) / sizeof(bad_requests[0])));
        tcase_add_loop_test(tcase, well_formed_requests_are_decoded, 0,
                            (int)(sizeof(good_requests) / sizeof(good_requests[0])));
        tcase_add_test(tcase, what_was_packed_comes_out);
        tcase_add_test(tcase, abuse_31_truncation_at_every_byte_is_refused);
        tcase_add_test(tcase, largest_welcome_fits_the_arena);
        tcase_add_test(tcase, what_would_outgrow_the_arena_is_refused);
        tcase_add_test(tcase, longest_string_is_decoded_and_a_longer_frame_is_not);
        tcase_add_test(tcase, abuse_31_nesting_ends_at_four);
        tcase_add_test(tcase, flipped_bits_do_no_harm);
        tcase_add_test(tcase, frames_travel_with_descriptors);
        tcase_add_test(tcase, errnos_are_mapped_both_ways);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
