/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to proxies and what they say: targets, CONNECT, SOCKS5 and PROXY headers, byte by byte.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/context.h"
#include "relay/proxy/header.h"
#include "relay/proxy/http_request.h"
#include "relay/proxy/http_response.h"
#include "relay/proxy/socks5.h"
#include "relay/proxy/target.h"
#include "tests/support/runner.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- targets and credentials ---- */

static const char *const good_targets[] = {
        "192.0.2.1:443",       "[2001:db8::1]:1",     "[::ffff:192.0.2.1]:80",
        "api.example.com:443", "A_b-9.example:65535", "1.2.3.4.example:80",
};

START_TEST(a_target) {
        struct proxy_target target;
        const char *text = good_targets[_i];

        ck_assert_int_eq(proxy_target_parse(text, strlen(text), &target), 0);
        ck_assert_uint_ne(target.port, 0);
        ck_assert_int_eq(target.is_name, _i >= 3);
}
END_TEST

static const char *const bad_targets[] = {
        "",
        ":443",
        "a.example",
        "a.example:",
        "a.example:0",
        "a.example:+1",
        "a.example:65536",
        "192.0.2.1:0",
        "a.example :443",
        "a.example\r\nX: y:443",
        "a.example\n:443",
        "a b:443",
        "a\t:443",
        "a.example:443\r\nHost: b:443",
        "a.example:443 HTTP/1.1:443",
        "a..example:443",
        ".example:443",
        "a.example.:443",
        "127.1:80",
        "2130706433:80",
        "0x7f000001:80",
        "0x:80",
        "127.0.0.0x1:80",
        "[a.example]:80",
        "::1:80",
        "user@a.example:80",
        "a.example/:80",
        "\xc3\xa9.example:80",
        "a\x7f:80",
        "*.example:80",
};

START_TEST(abuse_36_a_target_that_is_none) {
        struct proxy_target target;
        const char *text = bad_targets[_i];

        ck_assert_int_eq(proxy_target_parse(text, strlen(text), &target), -EINVAL);
}
END_TEST

START_TEST(abuse_36_a_nul_in_a_target) {
        struct proxy_target target;

        ck_assert_int_eq(proxy_target_parse("a.example\0.b:443", 16, &target), -EINVAL);
        ck_assert_int_eq(proxy_target_parse("a.example:443\0", 14, &target), -EINVAL);
}
END_TEST

/* A name of that many bytes, with a port. */
static struct proxy_target long_name(size_t length, int expected) {
        struct proxy_target target = { 0 };
        char text[400];

        memset(text, 'a', length);
        memcpy(text + length, ":443", 5);
        ck_assert_int_eq(proxy_target_parse(text, length + 4, &target), expected);
        return target;
}

START_TEST(abuse_37_a_name_of_more_than_255_bytes) {
        uint8_t buffer[SOCKS5_REQUEST_MAX];
        struct proxy_target target = long_name(PROXY_NAME_MAX, 0);

        ck_assert_uint_eq(socks5_write_request(&target, buffer), sizeof(buffer));
        ck_assert_uint_eq(buffer[3], 3);
        ck_assert_uint_eq(buffer[4], 255);
        long_name(PROXY_NAME_MAX + 1, -EINVAL);
        long_name(3 * 128, -EINVAL);
}
END_TEST

static struct context_password password_of(const char *user, const char *text) {
        struct context_password password = { 0 };

        memcpy(password.user, user, strlen(user));
        memcpy(password.password, text, strlen(text));
        return password;
}

static const struct {
        const char *user;
        const char *password;
} bad_passwords[] = {
        { "", "b" },      { "a", "" },      { "a b", "c" },   { "a", "b c" }, { "a\r\nX: y", "b" },
        { "a", "b\r\n" }, { "a\x01", "b" }, { "a", "b\x7f" }, { "a", "\tb" },
};

START_TEST(abuse_36_a_user_or_a_password_that_cannot_be_sent) {
        struct context_password password = password_of(bad_passwords[_i].user, bad_passwords[_i].password);
        struct proxy_target target = long_name(9, 0);
        char request[HTTP_REQUEST_MAX];
        uint8_t login[SOCKS5_LOGIN_MAX];
        size_t length;

        ck_assert_int_eq(http_request_format(&target, &password, request, &length), -EINVAL);
        ck_assert_int_eq(socks5_write_login(&password, login), -EINVAL);
}
END_TEST

START_TEST(a_colon_in_the_user_is_for_socks_only) {
        struct context_password password = password_of("a:b", "c");
        struct proxy_target target = long_name(9, 0);
        char request[HTTP_REQUEST_MAX];
        uint8_t login[SOCKS5_LOGIN_MAX];
        size_t length;

        ck_assert_int_eq(http_request_format(&target, &password, request, &length), -EINVAL);
        ck_assert_int_eq(socks5_write_login(&password, login), 7);
        ck_assert_mem_eq(login, "\001\003a:b\001c", 7);
}
END_TEST

/* ---- CONNECT ---- */

START_TEST(a_request) {
        struct context_password password = password_of("Aladdin", "open-sesame");
        struct proxy_target target;
        char request[HTTP_REQUEST_MAX];
        size_t length;

        ck_assert_int_eq(proxy_target_parse("[2001:DB8::1]:443", 17, &target), 0);
        ck_assert_int_eq(http_request_format(&target, NULL, request, &length), 0);
        ck_assert_str_eq(request, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n");
        ck_assert_uint_eq(length, strlen(request));
        ck_assert_int_eq(http_request_format(&target, &password, request, &length), 0);
        ck_assert_str_eq(request, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
                                  "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuLXNlc2FtZQ==\r\n\r\n");
        ck_assert_uint_eq(length, strlen(request));
}
END_TEST

START_TEST(the_longest_request) {
        struct context_password password = { 0 };
        struct proxy_target target = long_name(PROXY_NAME_MAX, 0);
        char request[HTTP_REQUEST_MAX];
        size_t length;

        memset(password.user, 'u', sizeof(password.user) - 1);
        memset(password.password, 'p', sizeof(password.password) - 1);
        ck_assert_int_eq(http_request_format(&target, &password, request, &length), 0);
        ck_assert_uint_eq(length, strlen(request));
        ck_assert_mem_eq(request + length - 4, "\r\n\r\n", 4);
}
END_TEST

/* Whatever the pieces are that it comes in. @param ret_used  all bytes of the answer */
static int feed(struct http_response *response, const char *bytes, size_t length, size_t piece, size_t *ret_used) {
        int r = -EAGAIN;

        *response = (struct http_response){ 0 };
        *ret_used = 0;
        for (size_t from = 0; from < length && r == -EAGAIN; from += piece) {
                size_t used = 0;

                r = http_response_feed(response, (const uint8_t *)bytes + from,
                                       length - from < piece ? length - from : piece, &used);
                *ret_used += used;
        }
        return r;
}

static const struct {
        const char *bytes;
        unsigned status;
        const char *reason;
} good_answers[] = {
        { "HTTP/1.1 200 Connection established\r\n\r\n", 200, "Connection established" },
        { "HTTP/1.0 200\r\n\r\n", 200, "" },
        { "HTTP/1.1 200 \r\nContent-Length: 99999999999999999999\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "" },
        { "HTTP/1.1 299 \xc3\xa9\r\nX-Empty:\r\nX:\t \xff\r\n\r\n", 299, "\xc3\xa9" },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200, "OK" },
        { "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\n\r\n", 302, "Found" },
        { "HTTP/1.0 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", 407,
          "Proxy Authentication Required" },
        { "HTTP/1.1 599 x\r\n\r\n", 599, "x" },
};

START_TEST(abuse_39_bytes_behind_the_blank_line_are_not_the_answers) {
        static const size_t pieces[] = { 1, 2, 3, 7, 16384 };
        size_t length = strlen(good_answers[_i].bytes), used;
        struct http_response response;
        char bytes[256];

        memcpy(bytes, good_answers[_i].bytes, length);
        memcpy(bytes + length, "HTTP/1.1 500 no\r\n\r\n", 19);
        for (size_t i = 0; i < COUNT(pieces); ++i) {
                ck_assert_int_eq(feed(&response, bytes, length + 19, pieces[i], &used), 0);
                ck_assert_uint_eq(used, length);
                ck_assert_uint_eq(response.status, good_answers[_i].status);
                ck_assert_uint_eq(response.reason_length, strlen(good_answers[_i].reason));
                ck_assert_mem_eq(response.reason, good_answers[_i].reason, response.reason_length);
        }
        for (size_t i = 0; i < length; ++i)
                ck_assert_int_eq(feed(&response, bytes, i, 5, &used), -EAGAIN);
}
END_TEST

#define INTERIM "HTTP/1.1 100 Continue\r\n\r\n"

static const char *const bad_answers[] = {
        "SSH-2.0-x\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.11 200 OK\r\n\r\n",
        "HTTP/0.9 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\r\r\n",
        "HTTP/1.1 200 a\x01z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \x7f\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\rx",
        "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        INTERIM INTERIM INTERIM INTERIM INTERIM INTERIM "HTTP/1.1 200 OK\r\n\r\n",
};

START_TEST(abuse_39_an_answer_that_is_none) {
        struct http_response response;
        size_t used;

        for (size_t piece = 1; piece < 64; piece += 21) {
                ck_assert_int_eq(feed(&response, bad_answers[_i], strlen(bad_answers[_i]), piece, &used), -EBADMSG);
                ck_assert_ptr_nonnull(response.complaint);
        }
}
END_TEST

START_TEST(abuse_39_a_nul_in_an_answer) {
        struct http_response response;
        size_t used;

        ck_assert_int_eq(feed(&response, "HTTP/1.1 200 a\0b\r\n\r\n", 20, 1, &used), -EBADMSG);
        ck_assert_int_eq(feed(&response, "HTTP/1.1 200 a\r\nA: \0\r\n\r\n", 24, 1, &used), -EBADMSG);
        ck_assert_int_eq(feed(&response, "HTTP/1.1 200 a\r\n\0: b\r\n\r\n", 24, 1, &used), -EBADMSG);
}
END_TEST

/* Feeds one line again and again. @return how many bytes were taken before it was refused */
static size_t flood(const char *start, const char *line, const char **ret_complaint) {
        struct http_response response = { 0 };
        size_t used = 0, total = 0;

        ck_assert_int_eq(http_response_feed(&response, (const uint8_t *)start, strlen(start), &used), -EAGAIN);
        total = used;
        while (http_response_feed(&response, (const uint8_t *)line, strlen(line), &used) == -EAGAIN) {
                total += used;
                ck_assert_uint_le(total, HTTP_RESPONSE_MAX);
        }
        *ret_complaint = response.complaint;
        return total;
}

START_TEST(abuse_39_an_answer_without_an_end) {
        const char *complaint;

        ck_assert_uint_eq(flood("HTTP/1.1 200 OK\r\n", "a: b\r\n", &complaint), 17 + 99 * 6);
        ck_assert_str_eq(complaint, "it has more than 100 lines");
        flood("HTTP/1.1 200 OK\r\nA: ", "b", &complaint);
        ck_assert_str_eq(complaint, "it has a line of more than 8 KiB");
        flood("HTTP/1.1 200 ", "b", &complaint);
        ck_assert_str_eq(complaint, "it has a line of more than 8 KiB");
        flood("HTTP/1.1 200 OK\r\nA", "b", &complaint);
        ck_assert_str_eq(complaint, "it has a line of more than 8 KiB");
        flood("HTTP/1.1 200 OK\r\n",
              "a: 0123456789012345678901234567890123456789012345678901234567890123456789"
              "0123456789012345678901234567890123456789012345678901234567890123456789"
              "0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
              &complaint);
        ck_assert_str_eq(complaint, "it has more than 16 KiB");
        flood(INTERIM, INTERIM, &complaint);
        ck_assert_str_eq(complaint, "it has more than 5 interim answers in front");
}
END_TEST

START_TEST(what_a_status_comes_to) {
        ck_assert_int_eq(http_status_cause(200), NB__RELAY__CAUSE__CAUSE_UNSPECIFIED);
        ck_assert_int_eq(http_status_cause(299), NB__RELAY__CAUSE__CAUSE_UNSPECIFIED);
        ck_assert_int_eq(http_status_cause(301), NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED);
        ck_assert_int_eq(http_status_cause(403), NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED);
        ck_assert_int_eq(http_status_cause(401), NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD);
        ck_assert_int_eq(http_status_cause(407), NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD);
        ck_assert_int_eq(http_status_cause(503), NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE);
}
END_TEST

/* ---- SOCKS5 ---- */

START_TEST(methods) {
        uint8_t buffer[SOCKS5_GREETING_MAX];

        ck_assert_uint_eq(socks5_write_greeting(false, buffer), 3);
        ck_assert_mem_eq(buffer, "\x05\x01\x00", 3);
        ck_assert_uint_eq(socks5_write_greeting(true, buffer), 4);
        ck_assert_mem_eq(buffer, "\x05\x02\x00\x02", 4);
        ck_assert_int_eq(socks5_read_method((const uint8_t *)"\x05\x00", false), 0);
        ck_assert_int_eq(socks5_read_method((const uint8_t *)"\x05\x02", true), 1);
        ck_assert_int_eq(socks5_read_method((const uint8_t *)"\x05\xff", false), -EACCES);
        ck_assert_int_eq(socks5_read_method((const uint8_t *)"\x05\xff", true), -EACCES);
}
END_TEST

START_TEST(abuse_39_methods_and_logins_that_are_none) {
        ck_assert_int_eq(socks5_read_method((const uint8_t *)"\x05\x02", false), -EBADMSG);
        ck_assert_int_eq(socks5_read_method((const uint8_t *)"\x05\x01", true), -EBADMSG);
        ck_assert_int_eq(socks5_read_method((const uint8_t *)"\x04\x00", true), -EBADMSG);
        ck_assert_int_eq(socks5_read_method((const uint8_t *)"HT", true), -EBADMSG);
        ck_assert_int_eq(socks5_read_login_answer((const uint8_t *)"\x01\x00"), 0);
        ck_assert_int_eq(socks5_read_login_answer((const uint8_t *)"\x01\x01"), -EACCES);
        ck_assert_int_eq(socks5_read_login_answer((const uint8_t *)"\x05\x00"), -EBADMSG);
}
END_TEST

static const struct {
        const char *target;
        const char *bytes;
        size_t length;
} requests[] = {
        { "192.0.2.1:443", "\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb", 10 },
        { "[2001:db8::1]:80",
          "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50", 22 },
        { "a.example:65535", "\x05\x01\x00\x03\x09\x61.example\xff\xff", 16 },
};

START_TEST(a_request_by_socks) {
        uint8_t buffer[SOCKS5_REQUEST_MAX];
        struct proxy_target target;

        ck_assert_int_eq(proxy_target_parse(requests[_i].target, strlen(requests[_i].target), &target), 0);
        ck_assert_uint_eq(socks5_write_request(&target, buffer), requests[_i].length);
        ck_assert_mem_eq(buffer, requests[_i].bytes, requests[_i].length);
}
END_TEST

static const struct {
        const char *bytes;
        size_t length;
} replies[] = {
        { "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", 10 },
        { "\x05\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50", 22 },
        { "\x05\x00\x00\x03\x00\x00\x50", 7 },
        { "\x05\x00\x00\x03\x03"
          "abc\x00\x50",
          10 },
};

/* What is asked for is never more than the reply has. */
START_TEST(a_reply_is_read_to_its_end_and_no_further) {
        const uint8_t *bytes = (const uint8_t *)replies[_i].bytes;
        uint8_t code = 1;
        size_t length = 0;
        int r;

        while ((r = socks5_read_reply(bytes, length, &code)) > 0) {
                ck_assert_uint_gt((size_t)r, length);
                length = (size_t)r;
                ck_assert_uint_le(length, replies[_i].length);
        }
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(code, 0);
        ck_assert_uint_eq(length, replies[_i].length);
}
END_TEST

START_TEST(abuse_39_replies_that_are_none) {
        uint8_t longest[5] = { 5, 0, 0, 3, 255 }, code = 0;

        ck_assert_int_eq(socks5_read_reply((const uint8_t *)"\x04\x5a", 2, &code), -EBADMSG);
        ck_assert_int_eq(socks5_read_reply((const uint8_t *)"HT", 2, &code), -EBADMSG);
        ck_assert_int_eq(socks5_read_reply((const uint8_t *)"\x05\x00\x01\x01\x7f", 5, &code), -EBADMSG);
        ck_assert_int_eq(socks5_read_reply((const uint8_t *)"\x05\x00\x00\x02\x7f", 5, &code), -EBADMSG);
        ck_assert_int_eq(socks5_read_reply((const uint8_t *)"\x05\x00\x00\x00\x7f", 5, &code), -EBADMSG);
        ck_assert_int_eq(socks5_read_reply(longest, sizeof(longest), &code), SOCKS5_REPLY_MAX);
        ck_assert_int_eq(socks5_read_reply((const uint8_t *)"\x05\x02", 2, &code), 0);
        ck_assert_uint_eq(code, 2);
}
END_TEST

START_TEST(what_a_code_comes_to) {
        static const Nb__Relay__Cause causes[] = {
                NB__RELAY__CAUSE__CAUSE_UNSPECIFIED,       NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE,
                NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED,     NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE,
                NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE, NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED,
                NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE, NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED,
                NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED,     NB__RELAY__CAUSE__CAUSE_PROXY_PROTOCOL,
        };
        const char *words = NULL;

        for (uint8_t i = 0; i < COUNT(causes); ++i)
                ck_assert_int_eq(socks5_code_cause(i, &words), causes[i]);
        ck_assert_int_eq(socks5_code_cause(255, &words), NB__RELAY__CAUSE__CAUSE_PROXY_PROTOCOL);
        ck_assert_ptr_nonnull(words);
}
END_TEST

/* ---- PROXY headers ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4_ADDRESSES "\xc0\x00\x02\x01\xc6\x33\x64\x02\x10\x00\x01\xbb"
#define TCP6_SOURCE "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define MAPPED_SOURCE "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
#define TEXT(text) (text), sizeof(text) - 1

static const struct {
        const char *bytes;
        size_t length;
        const char *source; /* NULL: none */
        const char *destination;
} headers[] = {
        { TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 4096 443\r\n"), "192.0.2.1:4096", "198.51.100.2:443" },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 0 1\r\n"), "1.1.1.1:0", "2.2.2.2:1" },
        { TEXT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535",
          "255.255.255.255:65535" },
        { TEXT("PROXY TCP6 2001:db8::1 ::1 4096 443\r\n"), "[2001:db8::1]:4096", "[::1]:443" },
        { TEXT("PROXY TCP6 :: :: 1 1\r\n"), "[::]:1", "[::]:1" },
        { TEXT("PROXY TCP6 ::ffff:192.0.2.1 ::1 4096 443\r\n"), "[::ffff:192.0.2.1]:4096", "[::1]:443" },
        { TEXT("PROXY UNKNOWN\r\n"), NULL, NULL },
        { TEXT("PROXY UNKNOWN ffff:f...f:ffff whatever 1 2 3 4 5 6\r\n"), NULL, NULL },
        { TEXT(SIGNATURE "\x21\x11\x00\x0c" TCP4_ADDRESSES), "192.0.2.1:4096", "198.51.100.2:443" },
        { TEXT(SIGNATURE "\x21\x11\x00\x14" TCP4_ADDRESSES "\x04\x00\x01\x00\x02\x00\x01x"), "192.0.2.1:4096",
          "198.51.100.2:443" },
        { TEXT(SIGNATURE "\x21\x21\x00\x24" TCP6_SOURCE TCP6_SOURCE "\x10\x00\x01\xbb"), "[2001:db8::1]:4096",
          "[2001:db8::1]:443" },
        { TEXT(SIGNATURE "\x21\x21\x00\x24" MAPPED_SOURCE TCP6_SOURCE "\x10\x00\x01\xbb"), "[::ffff:192.0.2.1]:4096",
          "[2001:db8::1]:443" },
        { TEXT(SIGNATURE "\x20\x00\x00\x00"), NULL, NULL },
        { TEXT(SIGNATURE "\x20\x11\x00\x0c" TCP4_ADDRESSES), NULL, NULL },
        { TEXT(SIGNATURE "\x20\xff\x00\x01x"), NULL, NULL },
        { TEXT(SIGNATURE "\x21\x00\x00\x03xyz"), NULL, NULL },
};

static void expect_header(const uint8_t *bytes, size_t whole, const char *source, const char *destination) {
        struct proxy_header header = { 0 };
        const char *complaint = NULL;
        char text[NB_ADDRESS_TEXT_MAX];
        size_t length = 0;
        int r;

        while ((r = proxy_header_read(bytes, length, &header, &complaint)) > 0) {
                ck_assert_uint_gt((size_t)r, length);
                length = (size_t)r;
                ck_assert_uint_le(length, whole);
        }
        ck_assert_msg(r == 0, "%s", complaint);
        ck_assert_uint_eq(length, whole);
        ck_assert_int_eq(header.has_addresses, source != NULL);
        if (!source)
                return;
        ck_assert_str_eq(nb_address_format(&header.source, text), source);
        ck_assert_str_eq(nb_address_format(&header.destination, text), destination);
}

START_TEST(a_header_is_read_to_its_end_and_no_further) {
        expect_header((const uint8_t *)headers[_i].bytes, headers[_i].length, headers[_i].source,
                      headers[_i].destination);
}
END_TEST

START_TEST(a_header_with_unix_addresses_says_nothing) {
        uint8_t bytes[16 + 216 + 3] = { 0 };

        memcpy(bytes, SIGNATURE "\x21\x31\x00\xdb", 16);
        expect_header(bytes, sizeof(bytes), NULL, NULL);
}
END_TEST

START_TEST(the_longest_headers) {
        uint8_t bytes[PROXY_HEADER_V2_MAX] = { 0 };
        char line[PROXY_HEADER_V1_MAX];

        memset(line, 'x', sizeof(line));
        memcpy(line, "PROXY UNKNOWN ", 14);
        memcpy(line + sizeof(line) - 2, "\r\n", 2);
        expect_header((const uint8_t *)line, sizeof(line), NULL, NULL);
        memcpy(bytes, SIGNATURE "\x21\x11\x0f\xf0" TCP4_ADDRESSES "\x04\x0f\xe1", 31);
        expect_header(bytes, sizeof(bytes), "192.0.2.1:4096", "198.51.100.2:443");
}
END_TEST

static const struct {
        const char *bytes;
        size_t length;
} bad_headers[] = {
        { TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n") },
        { TEXT("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n") },
        { TEXT("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n") },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n") },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n\r\n") },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n") },
        { TEXT("PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n") },
        { TEXT("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n\r\n") },
        { TEXT("PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n") },
        { TEXT("PROXY TCP4 0x1.1.1.1 2.2.2.2 1 2\r\n") },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n") },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n") },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n") },
        { TEXT("PROXY TCP4 ::1 ::1 1111111 2222222\r\n") },
        { TEXT("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n") },
        { TEXT("PROXY TCP6 ::1%lo ::1 11111 22222\r\n") },
        { TEXT("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n") },
        { TEXT("PROXY TCP4\t1.1.1.1 2.2.2.2 1 2\r\n") },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\n\n") },
        { TEXT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX") },
        { TEXT("PROXY UNKNOWN \0 \r\n") },
        { TEXT("PROXY UNKNOWNX\r\n") },
        { TEXT("PROXY UNKNOWN\rX") },
        { TEXT(SIGNATURE "\x11\x11\x00\x0c" TCP4_ADDRESSES) },
        { TEXT(SIGNATURE "\x22\x11\x00\x0c" TCP4_ADDRESSES) },
        { TEXT(SIGNATURE "\x21\x11\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") },
        { TEXT(SIGNATURE "\x21\x11\x00\x00") },
        { TEXT(SIGNATURE "\x21\x12\x00\x0c" TCP4_ADDRESSES) },
        { TEXT(SIGNATURE "\x21\x10\x00\x0c" TCP4_ADDRESSES) },
        { TEXT(SIGNATURE "\x21\x41\x00\x0c" TCP4_ADDRESSES) },
        { TEXT(SIGNATURE "\x21\x11\x00\x0e" TCP4_ADDRESSES "\x04\x00") },
        { TEXT(SIGNATURE "\x21\x11\x00\x0f" TCP4_ADDRESSES "\x04\x00\x01") },
        { TEXT(SIGNATURE "\x21\x11\x0f\xf1") },
        { TEXT(SIGNATURE "\x20\x11\xff\xff") },
};

START_TEST(a_header_that_is_none) {
        struct proxy_header header;
        const char *complaint = NULL;
        size_t length = 0;
        int r;

        while ((r = proxy_header_read((const uint8_t *)bad_headers[_i].bytes, length, &header, &complaint)) > 0) {
                length = (size_t)r;
                ck_assert_uint_le(length, bad_headers[_i].length);
        }
        ck_assert_int_eq(r, -EBADMSG);
        ck_assert_ptr_nonnull(complaint);
}
END_TEST

START_TEST(a_line_without_an_end) {
        struct proxy_header header;
        const char *complaint = NULL;
        char line[PROXY_HEADER_V1_MAX + 1];
        size_t length = 0;
        int r;

        memset(line, ' ', sizeof(line));
        memcpy(line, "PROXY TCP4 ", 11);
        while ((r = proxy_header_read((const uint8_t *)line, length, &header, &complaint)) > 0) {
                length = (size_t)r;
                ck_assert_uint_le(length, PROXY_HEADER_V1_MAX);
        }
        ck_assert_int_eq(r, -EBADMSG);
        ck_assert_str_eq(complaint, "it is longer than version 1 permits, 107 bytes");
}
END_TEST

/* What is written is read as the same. */
START_TEST(a_written_header) {
        static const char *const pairs[][2] = {
                { "192.0.2.1:4096", "198.51.100.2:443" },
                { "[2001:db8::1]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
        };
        struct proxy_header header = { .has_addresses = true };
        uint8_t buffer[PROXY_HEADER_WRITTEN_MAX];
        unsigned version = (unsigned)_i + 1;
        int r;

        for (size_t i = 0; i < COUNT(pairs); ++i) {
                ck_assert_int_eq(nb_address_parse(pairs[i][0], strlen(pairs[i][0]), &header.source), 0);
                ck_assert_int_eq(nb_address_parse(pairs[i][1], strlen(pairs[i][1]), &header.destination), 0);
                r = proxy_header_write(version, &header, buffer);
                ck_assert_int_gt(r, 0);
                expect_header(buffer, (size_t)r, pairs[i][0], pairs[i][1]);
        }
        ck_assert_int_eq(nb_address_parse("192.0.2.1:1", 11, &header.source), 0);
        ck_assert_int_eq(proxy_header_write(version, &header, buffer), -EINVAL);
        header.has_addresses = false;
        r = proxy_header_write(version, &header, buffer);
        expect_header(buffer, (size_t)r, NULL, NULL);
        ck_assert_int_eq(proxy_header_write(3, &header, buffer), -EINVAL);
}
END_TEST

static void add_headers(TCase *tcase) {
        tcase_add_loop_test(tcase, a_header_is_read_to_its_end_and_no_further, 0, COUNT(headers));
        tcase_add_test(tcase, a_header_with_unix_addresses_says_nothing);
        tcase_add_test(tcase, the_longest_headers);
        tcase_add_loop_test(tcase, a_header_that_is_none, 0, COUNT(bad_headers));
        tcase_add_test(tcase, a_line_without_an_end);
        tcase_add_loop_test(tcase, a_written_header, 0, 2);
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("relay_proxy_messages");
        TCase *tcase = tcase_create("relay_proxy_messages");

        suite_add_tcase(suite, tcase);
        tcase_add_loop_test(tcase, a_target, 0, COUNT(good_targets));
        tcase_add_loop_test(tcase, abuse_36_a_target_that_is_none, 0, COUNT(bad_targets));
        tcase_add_test(tcase, abuse_36_a_nul_in_a_target);
        tcase_add_test(tcase, abuse_37_a_name_of_more_than_255_bytes);
        tcase_add_loop_test(tcase, abuse_36_a_user_or_a_password_that_cannot_be_sent, 0, COUNT(bad_passwords));
        tcase_add_test(tcase, a_colon_in_the_user_is_for_socks_only);
        tcase_add_test(tcase, a_request);
        tcase_add_test(tcase, the_longest_request);
        tcase_add_loop_test(tcase, abuse_39_bytes_behind_the_blank_line_are_not_the_answers, 0, COUNT(good_answers));
        tcase_add_loop_test(tcase, abuse_39_an_answer_that_is_none, 0, COUNT(bad_answers));
        tcase_add_test(tcase, abuse_39_a_nul_in_an_answer);
        tcase_add_test(tcase, abuse_39_an_answer_without_an_end);
        tcase_add_test(tcase, what_a_status_comes_to);
        tcase_add_test(tcase, methods);
        tcase_add_test(tcase, abuse_39_methods_and_logins_that_are_none);
        tcase_add_loop_test(tcase, a_request_by_socks, 0, COUNT(requests));
        tcase_add_loop_test(tcase, a_reply_is_read_to_its_end_and_no_further, 0, COUNT(replies));
        tcase_add_test(tcase, abuse_39_replies_that_are_none);
        tcase_add_test(tcase, what_a_code_comes_to);
        add_headers(tcase);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
