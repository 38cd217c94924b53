/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/socks5.h"

#include <errno.h>
#include <string.h>

#include "relay/context.h"

#define VERSION 5
#define LOGIN_VERSION 1

#define METHOD_NONE 0
#define METHOD_PASSWORD 2
#define METHOD_NO_ACCEPTABLE 0xff

#define COMMAND_CONNECT 1

#define TYPE_IPV4 1
#define TYPE_NAME 3
#define TYPE_IPV6 4

/* Where a reply's address begins; a name's has its length there. */
#define ADDRESS_OFFSET 4
#define PORT_SIZE 2

size_t socks5_write_greeting(bool has_password, uint8_t buffer[static SOCKS5_GREETING_MAX]) {
        buffer[0] = VERSION;
        buffer[1] = has_password ? 2 : 1;
        buffer[2] = METHOD_NONE;
        buffer[3] = METHOD_PASSWORD;
        return has_password ? 4 : 3;
}

int socks5_read_method(const uint8_t answer[static SOCKS5_METHOD_SIZE], bool has_password) {
        if (answer[0] != VERSION)
                return -EBADMSG;
        if (answer[1] == METHOD_NONE)
                return 0;
        if (answer[1] == METHOD_PASSWORD && has_password)
                return 1;
        return answer[1] == METHOD_NO_ACCEPTABLE ? -EACCES : -EBADMSG;
}

/* A length and the bytes. */
static size_t put_text(const char *text, uint8_t *buffer) {
        size_t length = strlen(text);

        buffer[0] = (uint8_t)length;
        memcpy(buffer + 1, text, length);
        return 1 + length;
}

int socks5_write_login(const struct context_password *password, uint8_t buffer[static SOCKS5_LOGIN_MAX]) {
        size_t length = 1;

        if (!proxy_credential_is_sound(password->user) || !proxy_credential_is_sound(password->password))
                return -EINVAL;
        buffer[0] = LOGIN_VERSION;
        length += put_text(password->user, buffer + length);
        length += put_text(password->password, buffer + length);
        return (int)length;
}

int socks5_read_login_answer(const uint8_t answer[static SOCKS5_LOGIN_ANSWER_SIZE]) {
        if (answer[0] != LOGIN_VERSION)
                return -EBADMSG;
        return answer[1] == 0 ? 0 : -EACCES;
}

static size_t put_ip(const struct nb_ip *ip, uint8_t *buffer) {
        bool ipv4 = ip->family == AF_INET;
        size_t size = ipv4 ? 4 : 16;

        buffer[0] = ipv4 ? TYPE_IPV4 : TYPE_IPV6;
        memcpy(buffer + 1, ip->bytes, size);
        return 1 + size;
}

size_t socks5_write_request(const struct proxy_target *target, uint8_t buffer[static SOCKS5_REQUEST_MAX]) {
        size_t length = 3;

        buffer[0] = VERSION;
        buffer[1] = COMMAND_CONNECT;
        buffer[2] = 0;
        if (target->is_name) {
                buffer[length++] = TYPE_NAME;
                length += put_text(target->name, buffer + length);
        } else {
                length += put_ip(&target->address.ip, buffer + length);
        }
        buffer[length++] = (uint8_t)(target->port >> 8);
        buffer[length++] = (uint8_t)target->port;
        return length;
}

/* The size of a reply whose first five bytes are there; 0 for a type that no address has. */
static size_t reply_size(const uint8_t *bytes) {
        switch (bytes[3]) {
        case TYPE_IPV4:
                return ADDRESS_OFFSET + 4 + PORT_SIZE;
        case TYPE_IPV6:
                return ADDRESS_OFFSET + 16 + PORT_SIZE;
        case TYPE_NAME:
                return ADDRESS_OFFSET + 1 + bytes[ADDRESS_OFFSET] + (size_t)PORT_SIZE;
        default:
                return 0;
        }
}

int socks5_read_reply(const uint8_t *bytes, size_t length, uint8_t *ret_code) {
        size_t size;

        if (length < 2)
                return 2;
        if (bytes[0] != VERSION)
                return -EBADMSG;
        if (bytes[1] != 0) {
                *ret_code = bytes[1];
                return 0;
        }
        if (length < ADDRESS_OFFSET + 1)
                return ADDRESS_OFFSET + 1;
        size = bytes[2] == 0 ? reply_size(bytes) : 0;
        if (size == 0 || length > size)
                return -EBADMSG;
        if (length < size)
                return (int)size;
        *ret_code = 0;
        return 0;
}

/* What the codes come to, and their words (RFC 1928 section 6). */
static const struct {
        Nb__Relay__Cause cause;
        const char *words;
} codes[] = {
        { NB__RELAY__CAUSE__CAUSE_UNSPECIFIED, "succeeded" },
        { NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE, "general failure" },
        { NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED, "its rules do not allow it" },
        { NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE, "network unreachable" },
        { NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE, "host unreachable" },
        { NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED, "connection refused" },
        { NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE, "time to live expired" },
        { NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED, "it knows no CONNECT" },
        { NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED, "it does not know this type of address" },
};

Nb__Relay__Cause socks5_code_cause(uint8_t code, const char **ret_words) {
        if (code >= sizeof(codes) / sizeof(codes[0])) {
                *ret_words = "a code that RFC 1928 does not have";
                return NB__RELAY__CAUSE__CAUSE_PROXY_PROTOCOL;
        }
        *ret_words = codes[code].words;
        return codes[code].cause;
}
