/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy that is the test itself: a listener on loopback, and one connection at a time, on which the test says what a good proxy says, and what
 * none would. What would be connected to the destination is the test's to play as well.
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_FAKE_PROXY_H
#define NB_TESTS_SUPPORT_FAKE_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/support/peer.h"

enum fake_proxy_kind {
        FAKE_PROXY_CONNECT,
        FAKE_PROXY_SOCKS5,
};

/** Whom a fake proxy expects where it wants a password, as in a file of ProxyPassword=. */
#define FAKE_PROXY_PASSWORD "ada:lovelace"

struct fake_proxy {
        struct peer peer;
        int fd; /* who is connected; -1: nobody */
};

/** Listens on 127.0.0.1. */
void fake_proxy_start(struct fake_proxy *proxy);

/** Hangs up, and listens no more. */
void fake_proxy_stop(struct fake_proxy *proxy);

/** What `Proxy=` has for it. @return `buffer` */
const char *fake_proxy_url(const struct fake_proxy *proxy, enum fake_proxy_kind kind, char buffer[static 96]);

/** Waits for a connection. */
void fake_proxy_accept(struct fake_proxy *proxy);

/** Ends the connection, which may be there or not. */
void fake_proxy_hang_up(struct fake_proxy *proxy);

/** Waits for these bytes, and no others. */
void fake_proxy_expect(const struct fake_proxy *proxy, const void *bytes, size_t length);

void fake_proxy_send(const struct fake_proxy *proxy, const void *bytes, size_t length);

/**
 * Waits for a request for a target, an address or a name with its port; with SOCKS5 it answers what comes before.
 * @param with_password  FAKE_PROXY_PASSWORD is wanted and must come
 */
void fake_proxy_expect_request(const struct fake_proxy *proxy, enum fake_proxy_kind kind, const char *target,
                               bool with_password);

/** Answers that it has connected. */
void fake_proxy_agree(const struct fake_proxy *proxy, enum fake_proxy_kind kind);

/** Fails if somebody is connected, or waits to be. */
void fake_proxy_expect_nobody(const struct fake_proxy *proxy);

#endif
