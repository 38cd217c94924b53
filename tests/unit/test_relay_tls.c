/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of the relay with itself: both roles in one process.
 */
#include <check.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "relay/tls/credentials.h"
#include "relay/tls/name.h"
#include "relay/tls/security.h"
#include "relay/tls/transport.h"
#include "relay/tls/verified.h"
#include "tests/support/harness.h"
#include "tests/support/runner.h"
#include "tests/unit/socket_pairs.h"
#include "tests/unit/tls_side.h"
#include "tls/strength.h"

#define CAUSE(name) NB__RELAY__CAUSE__CAUSE_##name

static struct certificates certificates;

static const struct tls_setup plain_client = {
        .server_name = "api.example.com",
        .files = { TLS_FILE(TRUST, "root.pem") },
};
static const struct tls_setup plain_server = {
        .as_server = true,
        .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "server.key") },
};

/* Once for all tests, which do not change them. */
static void make_certificates(void) {
        certificates_init(&certificates);
        certificates_make_authority(&certificates, "root", NULL);
        certificates_make_authority(&certificates, "middle", "root");
        certificates_make_server(&certificates, "server", "middle", "api.example.com");
        certificates_make_server(&certificates, "other", "middle", "*.example.org");
        certificates_make_client(&certificates, "client", "middle", "worker-7.example.net");
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

/* ---- two sides ---- */

struct two {
        struct session_cache *cache;
        struct tls_side client;
        struct tls_side server;
};

static void two_init(struct two *two, const struct tls_setup *client, const struct tls_setup *server) {
        two->cache = session_cache_new();
        ck_assert_ptr_nonnull(two->cache);
        tls_side_init(&two->client, &certificates, client, two->cache);
        tls_side_init(&two->server, &certificates, server, NULL);
}

static void two_deinit(struct two *two) {
        tls_side_deinit(&two->client);
        tls_side_deinit(&two->server);
        session_cache_free(two->cache);
}

#define TWO __attribute__((cleanup(two_deinit))) struct two

static int shake(struct two *two) {
        int fds[2];

        /* Which has no address, so that one connection is to where the last was. */
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        tls_side_connect(&two->server, fds[0]);
        tls_side_connect(&two->client, fds[1]);
        return tls_sides_shake(&two->client, &two->server);
}

static void expect_bytes(struct tls_side *from, struct tls_side *to, const char *text) {
        char got[256];
        size_t length = strlen(text);

        tls_side_write(from, text, length);
        ck_assert_int_eq(tls_side_read(to, got, sizeof(got)), (ssize_t)length);
        ck_assert_mem_eq(got, text, length);
}

/* ---- what is agreed on ---- */

START_TEST(both_roles_and_what_they_agree_on) {
        TWO two;

        two_init(&two, &plain_client, &plain_server);
        ck_assert_int_eq(shake(&two), 0);
        expect_bytes(&two.client, &two.server, "there");
        expect_bytes(&two.server, &two.client, "and back");
        ck_assert_str_eq(two.client.link.security->version, "TLS1.3");
        ck_assert_str_eq(two.client.link.security->cipher, "TLS_AES_128_GCM_SHA256");
        ck_assert_str_eq(two.client.link.security->alpn, "");
        ck_assert(!two.client.link.security->resumed);
        ck_assert_uint_eq(two.client.link.security->peer_names.n, 1);
        ck_assert_str_eq(two.client.link.security->peer_names.texts[0], "api.example.com");
        ck_assert_uint_eq(two.server.link.security->peer_names.n, 0);
        ck_assert_str_eq(two.server.link.security->server_name, "api.example.com");
}
END_TEST

START_TEST(tls_1_2_too) {
        struct tls_setup client = plain_client;
        TWO two;

        client.no_tls13 = true;
        two_init(&two, &client, &plain_server);
        ck_assert_int_eq(shake(&two), 0);
        expect_bytes(&two.client, &two.server, "there");
        expect_bytes(&two.server, &two.client, "and back");
        ck_assert_str_eq(two.server.link.security->version, "TLS1.2");
        ck_assert_str_eq(two.server.link.security->cipher, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
}
END_TEST

START_TEST(no_version_in_common) {
        struct tls_setup client = plain_client;
        struct tls_setup server = plain_server;
        TWO two;

        client.no_tls13 = true;
        server.no_tls12 = true;
        two_init(&two, &client, &server);
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_msg(two.server.link.cause == CAUSE(TLS_VERSION), "%s", two.server.link.reason);
        ck_assert_msg(two.client.link.cause == CAUSE(TLS_VERSION) || two.client.link.cause == CAUSE(TLS_ALERT), "%s",
                      two.client.link.reason);
}
END_TEST

START_TEST(alpn_is_the_servers_choice) {
        struct tls_setup client = plain_client;
        struct tls_setup server = plain_server;
        TWO two;

        client.alpn[0] = "http/1.1";
        client.alpn[1] = "h2";
        server.alpn[0] = "h2";
        server.alpn[1] = "http/1.1";
        two_init(&two, &client, &server);
        ck_assert_int_eq(shake(&two), 0);
        ck_assert_str_eq(two.client.link.security->alpn, "h2");
        ck_assert_str_eq(two.server.link.security->alpn, "h2");
}
END_TEST

START_TEST(abuse_41_no_alpn_in_common) {
        struct tls_setup client = plain_client;
        struct tls_setup server = plain_server;
        TWO two;

        client.alpn[0] = "h2";
        server.alpn[0] = "imap";
        two_init(&two, &client, &server);
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(TLS_ALPN));
        ck_assert_int_eq(two.server.link.cause, CAUSE(TLS_ALPN));
}
END_TEST

START_TEST(abuse_41_a_server_that_chooses_no_alpn) {
        struct tls_setup client = plain_client;
        TWO two;

        client.alpn[0] = "h2";
        two_init(&two, &client, &plain_server);
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(TLS_ALPN));
}
END_TEST

/* ---- bytes ---- */

static void fill(uint8_t *bytes, size_t size) {
        for (size_t i = 0; i < size; ++i)
                bytes[i] = (uint8_t)(i * 2654435761u >> 13);
}

/* As a pump does: the same bytes are offered again. @return how many more were written */
static size_t write_some(struct tls_side *side, const uint8_t *bytes, size_t size) {
        ssize_t n = side->link.peer->ops->write(side->link.peer, bytes, size < 100000 ? size : 100000);

        ck_assert(n > 0 || n == -EAGAIN);
        return n > 0 ? (size_t)n : 0;
}

static size_t read_some(struct tls_side *side, uint8_t *bytes, size_t size) {
        ssize_t n = side->link.peer->ops->read(side->link.peer, bytes, size < 70000 ? size : 70000);

        ck_assert(n > 0 || n == -EAGAIN);
        return n > 0 ? (size_t)n : 0;
}

#define MUCH ((size_t)8 * 1024 * 1024)

START_TEST(much_at_once_in_both_directions) {
        NB_CLEANUP_FREE uint8_t *sent = malloc(MUCH);
        NB_CLEANUP_FREE uint8_t *to_server = calloc(1, MUCH);
        NB_CLEANUP_FREE uint8_t *to_client = calloc(1, MUCH);
        size_t written[2] = { 0, 0 };
        size_t got[2] = { 0, 0 };
        TWO two;

        ck_assert(sent && to_server && to_client);
        fill(sent, MUCH);
        two_init(&two, &plain_client, &plain_server);
        ck_assert_int_eq(shake(&two), 0);
        while (got[0] < MUCH || got[1] < MUCH) {
                if (written[0] < MUCH)
                        written[0] += write_some(&two.client, sent + written[0], MUCH - written[0]);
                if (written[1] < MUCH)
                        written[1] += write_some(&two.server, sent + written[1], MUCH - written[1]);
                if (got[0] < MUCH)
                        got[0] += read_some(&two.server, to_server + got[0], MUCH - got[0]);
                if (got[1] < MUCH)
                        got[1] += read_some(&two.client, to_client + got[1], MUCH - got[1]);
        }
        ck_assert_mem_eq(to_server, sent, MUCH);
        ck_assert_mem_eq(to_client, sent, MUCH);
}
END_TEST

static void check_half_close(bool tls12) {
        struct tls_setup client = plain_client;
        char byte;
        TWO two;

        client.no_tls13 = tls12;
        two_init(&two, &client, &plain_server);
        ck_assert_int_eq(shake(&two), 0);
        expect_bytes(&two.client, &two.server, "all");
        tls_side_finish(&two.client);
        ck_assert_int_eq(tls_side_read(&two.server, &byte, 1), 0);
        ck_assert_int_eq(tls_side_read(&two.server, &byte, 1), 0);
        expect_bytes(&two.server, &two.client, "still here");
        tls_side_finish(&two.server);
        ck_assert_int_eq(tls_side_read(&two.client, &byte, 1), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(UNSPECIFIED));
}

START_TEST(half_closed_in_tls_1_3) {
        check_half_close(false);
}
END_TEST

START_TEST(half_closed_in_tls_1_2) {
        check_half_close(true);
}
END_TEST

START_TEST(abuse_42_an_end_without_close_notify_is_no_end) {
        char bytes[16];
        TWO two;

        two_init(&two, &plain_client, &plain_server);
        ck_assert_int_eq(shake(&two), 0);
        tls_side_write(&two.server, "half of", 7);
        ck_assert_int_eq(shutdown(transport_bottom_fd(two.server.link.peer), SHUT_WR), 0);
        ck_assert_int_eq(tls_side_read(&two.client, bytes, sizeof(bytes)), 7);
        ck_assert_int_eq(tls_side_read(&two.client, bytes, sizeof(bytes)), -ECONNRESET);
        ck_assert_int_eq(tls_side_read(&two.client, bytes, sizeof(bytes)), -ECONNRESET);
        ck_assert_int_eq(two.client.link.cause, CAUSE(TRUNCATED));
}
END_TEST

/* However many there are, a read is a bounded amount of work, and leaves none lying. */
START_TEST(records_of_a_byte_each) {
        char bytes[65536];
        size_t got;
        ssize_t n;
        TWO two;

        two_init(&two, &plain_client, &plain_server);
        ck_assert_int_eq(shake(&two), 0);
        for (int i = 0; i < 200; ++i)
                tls_side_write(&two.client, "x", 1);
        n = tls_side_read(&two.server, bytes, sizeof(bytes));
        ck_assert_int_gt(n, 1);
        ck_assert_int_lt(n, 200);
        ck_assert(!two.server.link.peer->is_drained);
        for (got = (size_t)n; got < 200; got += (size_t)n) {
                n = tls_side_read(&two.server, bytes, sizeof(bytes));
                ck_assert_int_gt(n, 0);
        }
        ck_assert(two.server.link.peer->is_drained);
}
END_TEST

START_TEST(a_record_that_was_changed) {
        char bytes[16];
        TWO two;

        two_init(&two, &plain_client, &plain_server);
        ck_assert_int_eq(shake(&two), 0);
        /* Application data of 32 bytes, which no key has sealed. */
        ck_assert_int_eq(send(transport_bottom_fd(two.server.link.peer),
                              "\x17\x03\x03\x00\x20"
                              "01234567890123456789012345678901",
                              37, MSG_NOSIGNAL),
                         37);
        ck_assert_int_eq(tls_side_read(&two.client, bytes, sizeof(bytes)), -ECONNRESET);
        ck_assert_int_eq(two.client.link.cause, CAUSE(TLS_PROTOCOL));
        ck_assert_int_eq(tls_side_read(&two.server, bytes, sizeof(bytes)), -ECONNRESET);
        ck_assert_int_eq(two.server.link.cause, CAUSE(TLS_ALERT));
        ck_assert_ptr_nonnull(strstr(two.server.link.reason, "BAD_RECORD_MAC"));
}
END_TEST

START_TEST(a_peer_that_speaks_no_tls) {
        struct tls_side side;
        int fds[2];

        tcp_pair(fds);
        tls_side_init(&side, &certificates, &plain_server, NULL);
        tls_side_connect(&side, fds[0]);
        ck_assert_int_eq(send(fds[1], "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
        ck_assert_int_lt(tls_side_shake(&side), 0);
        ck_assert_msg(side.link.cause == CAUSE(TLS_PROTOCOL) || side.link.cause == CAUSE(TLS_VERSION), "%s",
                      side.link.reason);
        tls_side_deinit(&side);
        close(fds[1]);
}
END_TEST

/* ---- what a peer may do to TLS itself ---- */

/* A client of GnuTLS's own, which does what ours never would. Blocking, in a process of its own. */
static gnutls_session_t odd_client(int fd, const char *versions) {
        gnutls_certificate_credentials_t credentials;
        gnutls_session_t session;

        if (gnutls_certificate_allocate_credentials(&credentials) < 0 ||
            gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL) < 0 ||
            gnutls_priority_set_direct(session, versions, NULL) < 0 ||
            gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials) < 0)
                _exit(1);
        gnutls_transport_set_int(session, fd);
        if (gnutls_handshake(session) < 0)
                _exit(2);
        return session;
}

/* Ends the client's process, with nothing lost that memcheck would tell of. */
static __attribute__((noreturn)) void leave(gnutls_session_t session, int status) {
        void *credentials = NULL;

        (void)gnutls_credentials_get(session, GNUTLS_CRD_CERTIFICATE, &credentials);
        gnutls_deinit(session);
        gnutls_certificate_free_credentials(credentials);
        _exit(status);
}

static void flood_with_keys(int fd) {
        gnutls_session_t session = odd_client(fd, "NORMAL:-VERS-ALL:+VERS-TLS1.3");

        for (int i = 0; i < 1000; ++i)
                if (gnutls_session_key_update(session, 0) < 0)
                        leave(session, 0);
        (void)gnutls_record_send(session, "x", 1);
        leave(session, 0);
}

static void renegotiate(int fd) {
        gnutls_session_t session = odd_client(fd, "NORMAL:-VERS-ALL:+VERS-TLS1.2");

        (void)gnutls_handshake(session);
        leave(session, 0);
}

static void say_nothing_in_1_3(int fd) {
        gnutls_session_t session = odd_client(fd, "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_SAFE_RENEGOTIATION");

        leave(session, gnutls_bye(session, GNUTLS_SHUT_WR) < 0);
}

static void renegotiate_unsafely(int fd) {
        gnutls_session_t session = odd_client(fd, "NORMAL:-VERS-ALL:+VERS-TLS1.2:%DISABLE_SAFE_RENEGOTIATION");

        (void)gnutls_handshake(session);
        leave(session, 0);
}

static void change_keys_once(int fd) {
        gnutls_session_t session = odd_client(fd, "NORMAL:-VERS-ALL:+VERS-TLS1.3");
        char bytes[8];
        ssize_t n;

        if (gnutls_session_key_update(session, GNUTLS_KU_PEER) < 0 || gnutls_record_send(session, "new", 3) != 3)
                _exit(3);
        do
                n = gnutls_record_recv(session, bytes, sizeof(bytes));
        while (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
        if (n != 5)
                _exit(4);
        (void)gnutls_bye(session, GNUTLS_SHUT_WR);
        leave(session, 0);
}

/* Runs a client against a side, whose handshake goes well. */
static pid_t start_odd(struct tls_side *side, void (*client)(int fd)) {
        int fds[2];
        pid_t pid;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                (void)close(fds[0]);
                client(fds[1]);
        }
        (void)close(fds[1]);
        tls_side_init(side, &certificates, &plain_server, NULL);
        tls_side_connect(side, fds[0]);
        ck_assert_int_eq(tls_side_shake(side), 0);
        return pid;
}

START_TEST(keys_are_changed_in_between) {
        struct tls_side side;
        char bytes[8];
        pid_t pid = start_odd(&side, change_keys_once);

        ck_assert_int_eq(tls_side_read(&side, bytes, sizeof(bytes)), 3);
        ck_assert_mem_eq(bytes, "new", 3);
        tls_side_write(&side, "newer", 5);
        ck_assert_int_eq(tls_side_read(&side, bytes, sizeof(bytes)), 0);
        tls_side_deinit(&side);
        ck_assert_int_eq(harness_wait_exit(pid), 0);
}
END_TEST

START_TEST(a_flood_of_new_keys_ends_the_connection) {
        struct tls_side side;
        char bytes[8];
        pid_t pid = start_odd(&side, flood_with_keys);

        ck_assert_int_eq(tls_side_read(&side, bytes, sizeof(bytes)), -ECONNRESET);
        ck_assert_int_eq(side.link.cause, CAUSE(TLS_PROTOCOL));
        tls_side_deinit(&side);
        ck_assert_int_eq(harness_wait_exit(pid), 0);
}
END_TEST

START_TEST(nothing_is_renegotiated) {
        struct tls_side side;
        char bytes[8];
        pid_t pid = start_odd(&side, renegotiate);

        ck_assert_int_eq(tls_side_read(&side, bytes, sizeof(bytes)), -ECONNRESET);
        ck_assert_int_eq(side.link.cause, CAUSE(TLS_PROTOCOL));
        ck_assert_msg(strstr(side.link.reason, "renegotiate"), "%s", side.link.reason);
        tls_side_deinit(&side);
        ck_assert_int_eq(harness_wait_exit(pid), 0);
}
END_TEST

/* As those do that know TLS 1.3 only. */
START_TEST(a_client_that_knows_no_renegotiation_is_served) {
        struct tls_side side;
        char bytes[8];
        pid_t pid = start_odd(&side, say_nothing_in_1_3);

        ck_assert_int_eq(tls_side_read(&side, bytes, sizeof(bytes)), 0);
        tls_side_deinit(&side);
        ck_assert_int_eq(harness_wait_exit(pid), 0);
}
END_TEST

START_TEST(nothing_is_renegotiated_unsafely) {
        struct tls_side side;
        char bytes[8];
        pid_t pid = start_odd(&side, renegotiate_unsafely);

        ck_assert_int_eq(tls_side_read(&side, bytes, sizeof(bytes)), -ECONNRESET);
        tls_side_deinit(&side);
        ck_assert_int_eq(harness_wait_exit(pid), 0);
}
END_TEST

/* ---- resumption ---- */

static void check_resumed(struct two *two, bool resumed) {
        ck_assert_int_eq(shake(two), 0);
        ck_assert_int_eq(two->client.link.security->resumed, resumed);
        ck_assert_int_eq(two->server.link.security->resumed, resumed);
        ck_assert_str_eq(two->client.link.security->peer_names.texts[0], "api.example.com");
        /* With the first bytes comes the ticket. */
        expect_bytes(&two->server, &two->client, "ticket");
}

START_TEST(a_session_is_resumed) {
        TWO two;

        two_init(&two, &plain_client, &plain_server);
        check_resumed(&two, false);
        check_resumed(&two, true);
        check_resumed(&two, true);
}
END_TEST

START_TEST(a_session_of_tls_1_2_is_resumed) {
        struct tls_setup client = plain_client;
        TWO two;

        client.no_tls13 = true;
        two_init(&two, &client, &plain_server);
        check_resumed(&two, false);
        check_resumed(&two, true);
        check_resumed(&two, true);
}
END_TEST

START_TEST(no_tickets_no_resumption) {
        struct tls_setup server = plain_server;
        TWO two;

        server.no_tickets = true;
        two_init(&two, &plain_client, &server);
        check_resumed(&two, false);
        check_resumed(&two, false);
}
END_TEST

/* What was verified under one context says nothing about another. */
START_TEST(a_session_of_another_context_is_not_resumed) {
        TWO two;

        two_init(&two, &plain_client, &plain_server);
        check_resumed(&two, false);
        two.client.context.id = 2;
        check_resumed(&two, false);
        two.client.context.id = 1;
        two.client.setup.server_name = "other.example.org";
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(CERTIFICATE_NAME));
}
END_TEST

/* A ticket of a server whose policy was reloaded is a stranger's. */
START_TEST(a_ticket_is_good_for_the_credentials_that_made_it) {
        struct tls_side reloaded;
        TWO two;
        int fds[2];

        two_init(&two, &plain_client, &plain_server);
        check_resumed(&two, false);
        tls_side_init(&reloaded, &certificates, &plain_server, NULL);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        tls_side_connect(&reloaded, fds[0]);
        tls_side_connect(&two.client, fds[1]);
        ck_assert_int_eq(tls_sides_shake(&two.client, &reloaded), 0);
        ck_assert(!two.client.link.security->resumed);
        tls_side_deinit(&reloaded);
}
END_TEST

/* ---- chains that were verified ---- */

static const struct tls_setup server_without_tickets = {
        .as_server = true,
        .no_tickets = true,
        .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "server.key") },
};

/* What would refuse the chain is asked for once only: it is put in the way after the first handshake. */
START_TEST(a_chain_is_verified_once) {
        struct tls_credentials *credentials;
        TWO two;

        two_init(&two, &plain_client, &server_without_tickets);
        credentials = two.client.context.tls;
        check_resumed(&two, false);
        credentials->revoked_until = 1;
        check_resumed(&two, false);
        credentials->verified = tls_verified_free(credentials->verified);
        credentials->verified = tls_verified_new();
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(CERTIFICATE_REVOKED));
        /* Nothing is kept of what was refused. */
        ck_assert_int_lt(shake(&two), 0);
        credentials->revoked_until = 0;
        check_resumed(&two, false);
}
END_TEST

/* What is kept is another name than the certificate's, so that it is known where it came from. */
START_TEST(the_names_of_a_chain_that_was_verified_are_read_once) {
        const struct tls_peer_names kept = { .n = 1, .texts = { "kept.example.com" } };
        const struct tls_session *session;
        struct tls_credentials *credentials;
        TWO two;

        two_init(&two, &plain_client, &server_without_tickets);
        check_resumed(&two, false);
        credentials = two.client.context.tls;
        session = &nb_container_of(two.client.link.peer, struct tls_transport, transport)->session;
        tls_verified_keep(credentials->verified, session->peer_key, time(NULL), time(NULL) + VERIFIED_FOR_MAX, &kept);
        ck_assert_int_eq(shake(&two), 0);
        ck_assert_str_eq(two.client.link.security->peer_names.texts[0], "kept.example.com");
        credentials->verified = tls_verified_free(credentials->verified);
        credentials->verified = tls_verified_new();
        check_resumed(&two, false);
}
END_TEST

START_TEST(abuse_41_a_chain_that_was_verified_is_good_for_its_name_only) {
        TWO two;

        two_init(&two, &plain_client, &server_without_tickets);
        check_resumed(&two, false);
        two.client.setup.server_name = "other.example.org";
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(CERTIFICATE_NAME));
}
END_TEST

START_TEST(abuse_41_another_chain_is_verified) {
        struct tls_setup other = server_without_tickets;
        struct tls_side second;
        TWO two;
        int fds[2];

        other.files[0].name = "other.chain";
        other.files[1].name = "other.key";
        two_init(&two, &plain_client, &server_without_tickets);
        check_resumed(&two, false);
        tls_side_init(&second, &certificates, &other, NULL);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        tls_side_connect(&second, fds[0]);
        tls_side_connect(&two.client, fds[1]);
        ck_assert_int_lt(tls_sides_shake(&two.client, &second), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(CERTIFICATE_NAME));
        tls_side_deinit(&second);
}
END_TEST

START_TEST(a_chain_that_was_verified_is_so_for_a_time) {
        static const uint8_t key[VERIFIED_KEY_SIZE] = { 7, 1 };
        static const uint8_t other[VERIFIED_KEY_SIZE] = { 7, 2 };
        const time_t now = 1000000, until = now + 2 * VERIFIED_FOR_MAX;
        static const uint8_t none[VERIFIED_KEY_SIZE] = { 0 };
        const struct tls_peer_names names = { .n = 1, .texts = { "api.example.com" } };
        struct tls_verified *verified = tls_verified_new();
        time_t found = 0;

        ck_assert_ptr_nonnull(verified);
        ck_assert(!tls_verified_find(verified, key, now, &found));
        ck_assert_ptr_null(tls_verified_names(verified, key));
        ck_assert_ptr_null(tls_verified_names(verified, none));
        tls_verified_keep(verified, key, now, until, &names);
        ck_assert(tls_verified_find(verified, key, now, &found));
        ck_assert_int_eq(found, until);
        ck_assert(!tls_verified_find(verified, other, now, &found));
        ck_assert(tls_verified_find(verified, key, now + VERIFIED_FOR_MAX - 1, &found));
        ck_assert(!tls_verified_find(verified, key, now + VERIFIED_FOR_MAX, &found));
        ck_assert(!tls_verified_find(verified, key, now - 1, &found));
        tls_verified_keep(verified, key, now, now + 5, &names);
        ck_assert(tls_verified_find(verified, key, now + 4, &found));
        ck_assert(!tls_verified_find(verified, key, now + 5, &found));
        /* The place is one for both. */
        tls_verified_keep(verified, other, now, until, &names);
        ck_assert(!tls_verified_find(verified, key, now, &found));
        ck_assert_ptr_null(tls_verified_names(verified, key));
        ck_assert_str_eq(tls_verified_names(verified, other)->texts[0], "api.example.com");
        ck_assert_ptr_null(tls_verified_free(verified));
}
END_TEST

/* ---- several certificates ---- */

static void check_shown(const char *server_name, const char *shown) {
        struct tls_setup client = plain_client;
        struct tls_setup server = plain_server;
        TWO two;

        client.server_name = server_name;
        server.files[2].kind = NB__RELAY__FILE_KIND__FILE_KIND_CERTIFICATE;
        server.files[2].name = "other.chain";
        server.files[3].kind = NB__RELAY__FILE_KIND__FILE_KIND_KEY;
        server.files[3].name = "other.key";
        two_init(&two, &client, &server);
        if (shown) {
                ck_assert_msg(shake(&two) == 0, "%s; %s", two.client.link.reason, two.server.link.reason);
                ck_assert_str_eq(two.client.link.security->peer_names.texts[0], shown);
                return;
        }
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(CERTIFICATE_NAME));
        /* The first is shown to whom none fits. */
        ck_assert_ptr_nonnull(strstr(two.client.link.reason, "but for api.example.com"));
}

START_TEST(a_certificate_is_chosen_by_the_name_that_is_asked_for) {
        check_shown("api.example.com", "api.example.com");
        check_shown("www.example.org", "*.example.org");
        check_shown("www.example.com", NULL);
        check_shown("192.0.2.1", NULL);
}
END_TEST

/* ---- clients' certificates ---- */

static const struct tls_setup strict_server = {
        .as_server = true,
        .client_auth = NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUIRE,
        .files = { TLS_FILE(TRUST, "root.pem"), TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "server.key") },
};
static const struct tls_setup client_with_certificate = {
        .server_name = "api.example.com",
        .files = { TLS_FILE(TRUST, "root.pem"), TLS_FILE(CLIENT_CERTIFICATE, "client.chain"),
                   TLS_FILE(KEY, "client.key") },
};

START_TEST(a_client_shows_its_certificate) {
        struct tls_setup server = strict_server;
        TWO two;

        server.client_names[0] = "*.example.net";
        two_init(&two, &client_with_certificate, &server);
        ck_assert_int_eq(shake(&two), 0);
        ck_assert_str_eq(two.server.link.security->peer_names.texts[0], "worker-7.example.net");
        expect_bytes(&two.server, &two.client, "ticket");
        ck_assert_int_eq(shake(&two), 0);
        ck_assert(two.server.link.security->resumed);
        ck_assert_str_eq(two.server.link.security->peer_names.texts[0], "worker-7.example.net");
}
END_TEST

START_TEST(abuse_41_a_client_without_a_certificate) {
        TWO two;

        two_init(&two, &plain_client, &strict_server);
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.server.link.cause, CAUSE(CERTIFICATE_MISSING));
}
END_TEST

START_TEST(abuse_41_a_client_of_another_name) {
        struct tls_setup server = strict_server;
        TWO two;

        server.client_names[0] = "*.example.org";
        server.client_names[1] = "worker-7.example.com";
        two_init(&two, &client_with_certificate, &server);
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.server.link.cause, CAUSE(CERTIFICATE_NAME));
        ck_assert_ptr_nonnull(strstr(two.server.link.reason, "worker-7.example.net"));
}
END_TEST

START_TEST(abuse_41_a_servers_certificate_is_none_for_a_client) {
        struct tls_setup client = client_with_certificate;
        TWO two;

        client.files[1].name = "server.chain";
        client.files[2].name = "server.key";
        two_init(&two, &client, &strict_server);
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.server.link.cause, CAUSE(CERTIFICATE_PURPOSE));
}
END_TEST

START_TEST(a_client_may_do_without_where_it_is_merely_asked) {
        struct tls_setup server = strict_server;
        TWO two;

        server.client_auth = NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUEST;
        two_init(&two, &plain_client, &server);
        ck_assert_msg(shake(&two) == 0, "%s; %s", two.client.link.reason, two.server.link.reason);
        ck_assert_uint_eq(two.server.link.security->peer_names.n, 0);
        expect_bytes(&two.server, &two.client, "ticket");
        ck_assert_int_eq(shake(&two), 0);
        ck_assert(two.server.link.security->resumed);
}
END_TEST

/* ---- pins ---- */

START_TEST(a_pin_is_of_any_key_in_the_path) {
        static const char *const names[] = { "server", "middle", "root" };
        struct tls_setup client = plain_client;
        uint8_t pin[32];

        client.pin = pin;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
                TWO two;

                certificates_pin(&certificates, names[i], pin);
                two_init(&two, &client, &plain_server);
                ck_assert_msg(shake(&two) == 0, "%s: %s", names[i], two.client.link.reason);
        }
}
END_TEST

START_TEST(abuse_41_no_key_is_pinned) {
        struct tls_setup client = plain_client;
        uint8_t pin[32];
        TWO two;

        certificates_pin(&certificates, "other", pin);
        client.pin = pin;
        two_init(&two, &client, &plain_server);
        ck_assert_int_lt(shake(&two), 0);
        ck_assert_int_eq(two.client.link.cause, CAUSE(CERTIFICATE_PIN));
        ck_assert_int_eq(two.server.link.cause, CAUSE(TLS_ALERT));
}
END_TEST

/* ---- names ---- */

START_TEST(names_and_wildcards) {
        ck_assert(tls_name_covers("api.example.com", "api.example.com"));
        ck_assert(tls_name_covers("API.Example.COM", "api.example.com"));
        ck_assert(tls_name_covers("*.example.com", "api.example.com"));
        ck_assert(!tls_name_covers("*.example.com", "example.com"));
        ck_assert(!tls_name_covers("*.example.com", "a.api.example.com"));
        ck_assert(!tls_name_covers("*.example.com", ".example.com"));
        ck_assert(!tls_name_covers("*.com", "example.com"));
        ck_assert(!tls_name_covers("*", "com"));
        ck_assert(!tls_name_covers("*.", "com."));
        ck_assert(!tls_name_covers("a*.example.com", "api.example.com"));
        ck_assert(!tls_name_covers("*a.example.com", "a.example.com"));
        ck_assert(!tls_name_covers("api.*.com", "api.example.com"));
        ck_assert(!tls_name_covers("*.*.com", "api.example.com"));
        ck_assert(!tls_name_covers("api.example.com.", "api.example.com"));
        ck_assert(!tls_name_covers("", "api.example.com"));
}
END_TEST

START_TEST(keys_that_are_strong) {
        ck_assert(tls_key_is_strong(GNUTLS_PK_RSA, 2048));
        ck_assert(!tls_key_is_strong(GNUTLS_PK_RSA, 2047));
        ck_assert(tls_key_is_strong(GNUTLS_PK_ECDSA, 256));
        ck_assert(!tls_key_is_strong(GNUTLS_PK_ECDSA, 255));
        ck_assert(!tls_key_is_strong(GNUTLS_PK_DSA, 4096));
}
END_TEST

static TCase *verified_case(void) {
        TCase *verified = tcase_create("verified");

        tcase_add_unchecked_fixture(verified, make_certificates, remove_certificates);
        tcase_add_test(verified, a_chain_is_verified_once);
        tcase_add_test(verified, the_names_of_a_chain_that_was_verified_are_read_once);
        tcase_add_test(verified, abuse_41_a_chain_that_was_verified_is_good_for_its_name_only);
        tcase_add_test(verified, abuse_41_another_chain_is_verified);
        tcase_add_test(verified, a_chain_that_was_verified_is_so_for_a_time);
        return verified;
}

static Suite *make_suite(void) {
        Suite *suite = suite_create("relay_tls");
        TCase *agreed = tcase_create("agreed");
        TCase *bytes = tcase_create("bytes");
        TCase *resumed = tcase_create("resumed");
        TCase *shown = tcase_create("shown");

        tcase_add_unchecked_fixture(agreed, make_certificates, remove_certificates);
        tcase_add_test(agreed, both_roles_and_what_they_agree_on);
        tcase_add_test(agreed, tls_1_2_too);
        tcase_add_test(agreed, no_version_in_common);
        tcase_add_test(agreed, alpn_is_the_servers_choice);
        tcase_add_test(agreed, abuse_41_no_alpn_in_common);
        tcase_add_test(agreed, abuse_41_a_server_that_chooses_no_alpn);
        tcase_add_test(agreed, names_and_wildcards);
        tcase_add_test(agreed, keys_that_are_strong);
        suite_add_tcase(suite, agreed);

        tcase_add_unchecked_fixture(bytes, make_certificates, remove_certificates);
        tcase_add_test(bytes, much_at_once_in_both_directions);
        tcase_add_test(bytes, half_closed_in_tls_1_3);
        tcase_add_test(bytes, half_closed_in_tls_1_2);
        tcase_add_test(bytes, abuse_42_an_end_without_close_notify_is_no_end);
        tcase_add_test(bytes, records_of_a_byte_each);
        tcase_add_test(bytes, a_record_that_was_changed);
        tcase_add_test(bytes, a_peer_that_speaks_no_tls);
        tcase_add_test(bytes, keys_are_changed_in_between);
        tcase_add_test(bytes, a_flood_of_new_keys_ends_the_connection);
        tcase_add_test(bytes, nothing_is_renegotiated);
        tcase_add_test(bytes, nothing_is_renegotiated_unsafely);
        tcase_add_test(bytes, a_client_that_knows_no_renegotiation_is_served);
        suite_add_tcase(suite, bytes);

        tcase_add_unchecked_fixture(resumed, make_certificates, remove_certificates);
        tcase_add_test(resumed, a_session_is_resumed);
        tcase_add_test(resumed, a_session_of_tls_1_2_is_resumed);
        tcase_add_test(resumed, no_tickets_no_resumption);
        tcase_add_test(resumed, a_session_of_another_context_is_not_resumed);
        tcase_add_test(resumed, a_ticket_is_good_for_the_credentials_that_made_it);
        suite_add_tcase(suite, resumed);

        suite_add_tcase(suite, verified_case());

        tcase_add_unchecked_fixture(shown, make_certificates, remove_certificates);
        tcase_add_test(shown, a_certificate_is_chosen_by_the_name_that_is_asked_for);
        tcase_add_test(shown, a_client_shows_its_certificate);
        tcase_add_test(shown, abuse_41_a_client_without_a_certificate);
        tcase_add_test(shown, abuse_41_a_client_of_another_name);
        tcase_add_test(shown, abuse_41_a_servers_certificate_is_none_for_a_client);
        tcase_add_test(shown, a_client_may_do_without_where_it_is_merely_asked);
        tcase_add_test(shown, a_pin_is_of_any_key_in_the_path);
        tcase_add_test(shown, abuse_41_no_key_is_pinned);
        suite_add_tcase(suite, shown);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
