/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_proxy.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"

#define BACKLOG 16
#define REQUEST_MAX 1024

/* FAKE_PROXY_PASSWORD as the schemes send it. */
#define BASIC "Proxy-Authorization: Basic YWRhOmxvdmVsYWNl\r\n"
#define LOGIN                                                                                                          \
        "\x01\x03"                                                                                                     \
        "ada\x08lovelace"

#define TEXT(text) (text), sizeof(text) - 1

void fake_proxy_start(struct fake_proxy *proxy) {
        *proxy = (struct fake_proxy){ .peer = peer_listen("127.0.0.1", BACKLOG), .fd = -1 };
}

void fake_proxy_hang_up(struct fake_proxy *proxy) {
        proxy->fd = nb_fd_close(proxy->fd);
}

void fake_proxy_stop(struct fake_proxy *proxy) {
        fake_proxy_hang_up(proxy);
        peer_close(&proxy->peer);
}

const char *fake_proxy_url(const struct fake_proxy *proxy, enum fake_proxy_kind kind, char buffer[static 96]) {
        (void)snprintf(buffer, 96, "%s://%s", kind == FAKE_PROXY_SOCKS5 ? "socks5" : "http", proxy->peer.text);
        return buffer;
}

void fake_proxy_accept(struct fake_proxy *proxy) {
        ck_assert_int_eq(proxy->fd, -1);
        proxy->fd = peer_accept(&proxy->peer);
}

void fake_proxy_expect(const struct fake_proxy *proxy, const void *bytes, size_t length) {
        char buffer[REQUEST_MAX];

        ck_assert_uint_le(length, sizeof(buffer));
        for (size_t have = 0; have < length;) {
                ssize_t n;

                ck_assert_msg(harness_poll(proxy->fd, POLLIN, HARNESS_DEADLINE_MS) & POLLIN,
                              "waited in vain for a request");
                n = recv(proxy->fd, buffer + have, length - have, 0);
                ck_assert_msg(n > 0, "the connection ended after %zu bytes: %.*s", have, (int)have, buffer);
                have += (size_t)n;
        }
        ck_assert_msg(memcmp(buffer, bytes, length) == 0, "it sent: %.*s", (int)length, buffer);
}

void fake_proxy_send(const struct fake_proxy *proxy, const void *bytes, size_t length) {
        ck_assert_int_eq(send(proxy->fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

static void expect_connect(const struct fake_proxy *proxy, const char *target, bool with_password) {
        char request[REQUEST_MAX];
        int length = snprintf(request, sizeof(request), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, target,
                              with_password ? BASIC : "");

        ck_assert_int_lt(length, (int)sizeof(request));
        fake_proxy_expect(proxy, request, (size_t)length);
}

/* @return how many bytes the address, or the name, and the port take in `bytes` */
static size_t put_target(const char *target, char *bytes) {
        unsigned port = (unsigned)strtoul(strrchr(target, ':') + 1, NULL, 10);
        struct nb_address address;
        size_t length = 1;

        if (nb_address_parse(target, strlen(target), &address) == 0) {
                size_t size = address.ip.family == AF_INET ? 4 : 16;

                bytes[0] = address.ip.family == AF_INET ? 1 : 4;
                memcpy(bytes + length, address.ip.bytes, size);
                length += size;
        } else {
                size_t size = strcspn(target, ":");

                bytes[0] = 3;
                bytes[length++] = (char)size;
                memcpy(bytes + length, target, size);
                length += size;
        }
        bytes[length++] = (char)(port >> 8);
        bytes[length++] = (char)(port & 0xff);
        return length;
}

static void expect_socks5(const struct fake_proxy *proxy, const char *target, bool with_password) {
        char request[REQUEST_MAX] = { 5, 1, 0 };

        ck_assert_uint_lt(strlen(target), 256);
        if (with_password) {
                fake_proxy_expect(proxy, TEXT("\x05\x02\x00\x02"));
                fake_proxy_send(proxy, TEXT("\x05\x02"));
                fake_proxy_expect(proxy, TEXT(LOGIN));
                fake_proxy_send(proxy, TEXT("\x01\x00"));
        } else {
                fake_proxy_expect(proxy, TEXT("\x05\x01\x00"));
                fake_proxy_send(proxy, TEXT("\x05\x00"));
        }
        fake_proxy_expect(proxy, request, 3 + put_target(target, request + 3));
}

void fake_proxy_expect_request(const struct fake_proxy *proxy, enum fake_proxy_kind kind, const char *target,
                               bool with_password) {
        if (kind == FAKE_PROXY_SOCKS5)
                expect_socks5(proxy, target, with_password);
        else
                expect_connect(proxy, target, with_password);
}

void fake_proxy_agree(const struct fake_proxy *proxy, enum fake_proxy_kind kind) {
        if (kind == FAKE_PROXY_SOCKS5)
                fake_proxy_send(proxy, TEXT("\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"));
        else
                fake_proxy_send(proxy, TEXT("HTTP/1.1 200 Connection established\r\n\r\n"));
}

void fake_proxy_expect_nobody(const struct fake_proxy *proxy) {
        ck_assert_int_eq(proxy->fd, -1);
        ck_assert_int_eq(harness_poll(proxy->peer.fd, POLLIN, 0), 0);
}
