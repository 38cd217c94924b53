/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/http_response.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Of HTTP/1.0 and HTTP/1.1: a minor version says nothing about how CONNECT is answered. */
#define VERSION "HTTP/1.x "
#define VERSION_MINOR 7

#define STATUS_DIGITS 3

static int complain(struct http_response *response, const char *complaint) {
        response->complaint = complaint;
        return -EBADMSG;
}

/* Bytes of a field's name (RFC 9110 section 5.6.2). */
static bool is_token(uint8_t byte) {
        if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))
                return true;
        return byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte);
}

/* Bytes of a reason and of a field's value: text in any encoding. */
static bool is_text(uint8_t byte) {
        return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

static int at_version(struct http_response *response, uint8_t byte) {
        bool fits = response->in_token == VERSION_MINOR ? byte == '0' || byte == '1'
                                                        : byte == (uint8_t)VERSION[response->in_token];

        if (!fits)
                return complain(response, "it does not begin with HTTP/1.0 or HTTP/1.1");
        if (++response->in_token == sizeof(VERSION) - 1) {
                response->in_token = 0;
                response->status = 0;
                response->reason_length = 0;
                response->place = HTTP_AT_STATUS;
        }
        return 0;
}

static int at_status(struct http_response *response, uint8_t byte) {
        if (byte < '0' || byte > '9')
                return complain(response, "its status is no number of three digits");
        response->status = response->status * 10 + (unsigned)(byte - '0');
        if (++response->in_token == STATUS_DIGITS) {
                response->in_token = 0;
                response->place = HTTP_AT_STATUS_END;
        }
        return 0;
}

/* Many leave out the space where they have no reason. */
static int at_status_end(struct http_response *response, uint8_t byte) {
        if (byte != ' ' && byte != '\r')
                return complain(response, "its status is no number of three digits");
        if (response->status < 100 || response->status > 599)
                return complain(response, "its status is not between 100 and 599");
        response->place = byte == ' ' ? HTTP_AT_REASON : HTTP_AT_STATUS_LF;
        return 0;
}

static int at_reason(struct http_response *response, uint8_t byte) {
        if (byte == '\r') {
                response->place = HTTP_AT_STATUS_LF;
                return 0;
        }
        if (!is_text(byte))
                return complain(response, "there is a control character in its status line");
        if (response->reason_length < sizeof(response->reason))
                response->reason[response->reason_length++] = (char)byte;
        return 0;
}

static int at_line_feed(struct http_response *response, uint8_t byte, enum http_response_place next) {
        if (byte != '\n')
                return complain(response, "there is a CR without a LF behind it");
        response->place = next;
        response->line_length = 0;
        if (++response->n_lines > HTTP_RESPONSE_LINES_MAX)
                return complain(response, "it has more than 100 lines");
        return 0;
}

static int at_field(struct http_response *response, uint8_t byte) {
        if (byte == ' ' || byte == '\t')
                return complain(response, "a field is continued on the next line");
        if (byte != '\r' && !is_token(byte))
                return complain(response, "a line is no field");
        response->place = byte == '\r' ? HTTP_AT_LAST_LF : HTTP_AT_NAME;
        return 0;
}

static int at_name(struct http_response *response, uint8_t byte) {
        if (byte != ':' && !is_token(byte))
                return complain(response, "a line is no field");
        if (byte == ':')
                response->place = HTTP_AT_VALUE;
        return 0;
}

static int at_value(struct http_response *response, uint8_t byte) {
        if (byte != '\r' && !is_text(byte))
                return complain(response, "there is a control character in a field");
        if (byte == '\r')
                response->place = HTTP_AT_VALUE_LF;
        return 0;
}

/* The end of a block: of an interim answer, or of the one that counts. */
static int at_last_line_feed(struct http_response *response, uint8_t byte) {
        bool interim = response->status < 200;
        int r = at_line_feed(response, byte, interim ? HTTP_AT_VERSION : HTTP_AT_END);

        if (r < 0 || !interim)
                return r;
        if (response->status == 101)
                return complain(response, "it changes to another protocol, which nobody asked for");
        if (++response->n_interim > HTTP_RESPONSE_INTERIM_MAX)
                return complain(response, "it has more than 5 interim answers in front");
        return 0;
}

static int step(struct http_response *response, uint8_t byte) {
        if (++response->n_bytes > HTTP_RESPONSE_MAX)
                return complain(response, "it has more than 16 KiB");
        if (++response->line_length > HTTP_RESPONSE_LINE_MAX)
                return complain(response, "it has a line of more than 8 KiB");
        switch (response->place) {
        case HTTP_AT_VERSION:
                return at_version(response, byte);
        case HTTP_AT_STATUS:
                return at_status(response, byte);
        case HTTP_AT_STATUS_END:
                return at_status_end(response, byte);
        case HTTP_AT_REASON:
                return at_reason(response, byte);
        case HTTP_AT_STATUS_LF:
        case HTTP_AT_VALUE_LF:
                return at_line_feed(response, byte, HTTP_AT_FIELD);
        case HTTP_AT_FIELD:
                return at_field(response, byte);
        case HTTP_AT_NAME:
                return at_name(response, byte);
        case HTTP_AT_VALUE:
                return at_value(response, byte);
        case HTTP_AT_LAST_LF:
                return at_last_line_feed(response, byte);
        case HTTP_AT_END:
                break;
        }
        return complain(response, "it has ended");
}

int http_response_feed(struct http_response *response, const uint8_t *bytes, size_t length, size_t *ret_used) {
        size_t used = 0;
        int r;

        while (used < length && response->place != HTTP_AT_END) {
                r = step(response, bytes[used++]);
                if (r < 0)
                        return r;
        }
        *ret_used = used;
        return response->place == HTTP_AT_END ? 0 : -EAGAIN;
}

Nb__Relay__Cause http_status_cause(unsigned status) {
        if (status >= 200 && status <= 299)
                return NB__RELAY__CAUSE__CAUSE_UNSPECIFIED;
        switch (status) {
        case 401: /* tinyproxy's for a wrong one */
        case 407:
                return NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD;
        case 500: /* tinyproxy's for "cannot connect" */
        case 502:
        case 503:
        case 504:
                return NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE;
        default:
                return NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED;
        }
}
