/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS end of what is measured: the same one for all variants, by GnuTLS, with TLS 1.3, one cipher and the two groups that every server on the
 * Internet has: each variant takes the one that it prefers, and none needs a second hello.
 *
 *   tls discard CIPHER CERTIFICATE KEY     a server: answers each upload (bench_upload()) with one byte, a connection after the other
 *   tls echo CIPHER CERTIFICATE KEY        a server: gives back the one byte that comes on each connection
 *   tls pong CIPHER CERTIFICATE KEY        a server: gives back all that comes, a connection after the other
 *   tls stream CIPHER ADDRESS CHUNK        a client: a round sends that many bytes in writes of CHUNK
 *   tls full CIPHER ADDRESS                a client: a round makes a full handshake, has a byte echoed, and closes
 *   tls resume CIPHER ADDRESS              the same with the session of the round before, which must be resumed
 *   tls hold CIPHER ADDRESS                a client: a round makes that many connections, which stay
 *
 * CIPHER is as GnuTLS names it: AES-128-GCM, CHACHA20-POLY1305. The client looks at no certificate, for it is not what is measured.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"

#define READ_SIZE ((size_t)256 * 1024)
#define HELD_ECHOES 64

struct tls {
        gnutls_certificate_credentials_t credentials;
        gnutls_priority_t priority;
        gnutls_datum_t tickets_key; /* of a server */
        struct sockaddr_in address; /* of a client's server */
        size_t chunk;
        bool resumes;
        gnutls_datum_t session;     /* of the connection before; empty: none */
        gnutls_session_t streaming; /* NULL between rounds */
};

static void check(const char *what, int result) {
        char text[128];

        if (result >= 0)
                return;
        snprintf(text, sizeof(text), "%s: %s", what, gnutls_strerror(result));
        bench_die(text, 0);
}

static gnutls_session_t session_new(const struct tls *tls, unsigned flags, int fd) {
        gnutls_session_t session;

        check("gnutls_init", gnutls_init(&session, flags));
        check("gnutls_priority_set", gnutls_priority_set(session, tls->priority));
        check("gnutls_credentials_set", gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials));
        gnutls_transport_set_int(session, fd);
        return session;
}

static int handshake(gnutls_session_t session) {
        int r;

        do
                r = gnutls_handshake(session);
        while (r < 0 && !gnutls_error_is_fatal(r));
        return r;
}

/* By a reset, as all variants close (bench_reset()). */
static void session_reset(gnutls_session_t session) {
        int fd = gnutls_transport_get_int(session);

        gnutls_deinit(session);
        bench_reset(fd);
}

/* ---- bytes ---- */

static ssize_t receive(gnutls_session_t session, void *buffer, size_t size) {
        ssize_t n;

        do
                n = gnutls_record_recv(session, buffer, size);
        while (n < 0 && !gnutls_error_is_fatal((int)n));
        return n;
}

static bool receive_all(gnutls_session_t session, void *buffer, size_t size) {
        for (size_t used = 0; used < size;) {
                ssize_t n = receive(session, (uint8_t *)buffer + used, size - used);

                if (n <= 0)
                        return false;
                used += (size_t)n;
        }
        return true;
}

static void send_all(gnutls_session_t session, const void *bytes, size_t size) {
        for (size_t used = 0; used < size;) {
                ssize_t n = gnutls_record_send(session, (const uint8_t *)bytes + used, size - used);

                if (n < 0 && gnutls_error_is_fatal((int)n))
                        check("send", (int)n);
                if (n > 0)
                        used += (size_t)n;
        }
}

/* ---- servers ---- */

static gnutls_session_t accept_session(struct tls *tls, int listener) {
        gnutls_session_t session;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
                bench_die("accept4", errno);
        bench_no_delay(fd);
        session = session_new(tls, GNUTLS_SERVER, fd);
        check("tickets", gnutls_session_ticket_enable_server(session, &tls->tickets_key));
        if (handshake(session) == 0)
                return session;
        session_reset(session);
        return NULL;
}

static bool discard_bytes(gnutls_session_t session, uint8_t *buffer, uint64_t count) {
        while (count > 0) {
                ssize_t n = receive(session, buffer, count < READ_SIZE ? (size_t)count : READ_SIZE);

                if (n <= 0)
                        return false;
                count -= (uint64_t)n;
        }
        return true;
}

static void discard_all(gnutls_session_t session, uint8_t *buffer) {
        struct bench_upload_header header;

        while (receive_all(session, &header, sizeof(header))) {
                if (!discard_bytes(session, buffer, (uint64_t)ntohl(header.high) << 32 | ntohl(header.low)))
                        break;
                send_all(session, "", 1);
        }
        session_reset(session);
}

_Noreturn static void discard(struct tls *tls, int listener) {
        uint8_t *buffer = malloc(READ_SIZE);

        if (!buffer)
                bench_die("malloc", ENOMEM);
        for (;;) {
                gnutls_session_t session = accept_session(tls, listener);

                if (session)
                        discard_all(session, buffer);
        }
}

/* Connections are closed late, so that whoever is in between is not measured while its peer goes. */
_Noreturn static void echo(struct tls *tls, int listener) {
        gnutls_session_t held[HELD_ECHOES] = { 0 };

        for (size_t i = 0;; i = (i + 1) % HELD_ECHOES) {
                uint8_t byte;

                if (held[i])
                        session_reset(held[i]);
                held[i] = accept_session(tls, listener);
                if (held[i] && receive_all(held[i], &byte, 1))
                        send_all(held[i], &byte, 1);
        }
}

_Noreturn static void pong(struct tls *tls, int listener) {
        for (;;) {
                gnutls_session_t session = accept_session(tls, listener);
                uint8_t buffer[BENCH_PING_MAX];
                ssize_t n;

                if (!session)
                        continue;
                while ((n = receive(session, buffer, sizeof(buffer))) > 0)
                        send_all(session, buffer, (size_t)n);
                session_reset(session);
        }
}

static void main_server(struct tls *tls, const char *mode, const char *certificate, const char *key) {
        struct sockaddr_in address;
        char text[32];
        int listener = bench_listen(&address);

        check("certificate",
              gnutls_certificate_set_x509_key_file(tls->credentials, certificate, key, GNUTLS_X509_FMT_PEM));
        check("tickets", gnutls_session_ticket_key_generate(&tls->tickets_key));
        bench_address_format(&address, text, sizeof(text));
        bench_ready(text);
        if (strcmp(mode, "discard") == 0)
                discard(tls, listener);
        if (strcmp(mode, "pong") == 0)
                pong(tls, listener);
        echo(tls, listener);
}

/* ---- clients ---- */

static gnutls_session_t connect_session(const struct tls *tls, unsigned flags) {
        int fd = bench_connect(&tls->address);
        gnutls_session_t session;

        bench_no_delay(fd);
        session = session_new(tls, GNUTLS_CLIENT | flags, fd);
        if (tls->session.size > 0)
                check("resume", gnutls_session_set_data(session, tls->session.data, tls->session.size));
        check("handshake", handshake(session));
        return session;
}

/* A ticket is used once: each connection brings the next one's. */
static void keep_session(struct tls *tls, gnutls_session_t session) {
        if (tls->session.size > 0 && !gnutls_session_is_resumed(session))
                bench_die("the server did not resume", 0);
        gnutls_free(tls->session.data);
        tls->session = (gnutls_datum_t){ 0 };
        check("session", gnutls_session_get_data2(session, &tls->session));
}

static void touch(gnutls_session_t session) {
        uint8_t byte = 0;

        send_all(session, &byte, 1);
        if (!receive_all(session, &byte, 1))
                bench_die("the echo ended", 0);
}

static void round_touch(void *data, uint64_t count) {
        struct tls *tls = data;

        while (count-- > 0) {
                gnutls_session_t session = connect_session(tls, 0);

                touch(session);
                if (tls->resumes)
                        keep_session(tls, session);
                session_reset(session);
        }
}

static void round_hold(void *data, uint64_t count) {
        const struct tls *tls = data;

        while (count-- > 0)
                touch(connect_session(tls, GNUTLS_NO_TICKETS));
}

/* As bench_upload(). */
static void upload(gnutls_session_t session, uint64_t total, size_t chunk) {
        struct bench_upload_header header = { .high = htonl((uint32_t)(total >> 32)), .low = htonl((uint32_t)total) };
        uint8_t *buffer = calloc(1, chunk);
        uint8_t byte;

        if (!buffer)
                bench_die("calloc", ENOMEM);
        send_all(session, &header, sizeof(header));
        for (uint64_t left = total; left > 0; left -= left < chunk ? left : chunk)
                send_all(session, buffer, left < chunk ? (size_t)left : chunk);
        free(buffer);
        if (!receive_all(session, &byte, 1))
                bench_die("the sink closed early", 0);
}

/* Of the two calls that make a round, the first connects and the second closes, so that neither is timed. */
static void round_stream(void *data, uint64_t count) {
        struct tls *tls = data;
        bool first = !tls->streaming;

        if (first)
                tls->streaming = connect_session(tls, 0);
        upload(tls->streaming, count, tls->chunk);
        if (first)
                return;
        session_reset(tls->streaming);
        tls->streaming = NULL;
}

static void main_client(struct tls *tls, const char *address, bench_round_function round) {
        bench_address(address, &tls->address);
        bench_ready(NULL);
        bench_rounds(round, tls);
}

static bool is_server(const char *mode) {
        return strcmp(mode, "discard") == 0 || strcmp(mode, "echo") == 0 || strcmp(mode, "pong") == 0;
}

int main(int argc, char **argv) {
        struct tls tls = { 0 };
        char priority[256];

        bench_init();
        if (argc < 4)
                bench_die("usage: tls discard|echo|pong CIPHER CERTIFICATE KEY | stream CIPHER ADDRESS CHUNK | "
                          "full|resume|hold CIPHER ADDRESS",
                          0);
        snprintf(priority, sizeof(priority),
                 "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+%.32s:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1", argv[2]);
        check(argv[2], gnutls_priority_init(&tls.priority, priority, NULL));
        check("credentials", gnutls_certificate_allocate_credentials(&tls.credentials));
        tls.resumes = strcmp(argv[1], "resume") == 0;
        if (argc == 5 && is_server(argv[1]))
                main_server(&tls, argv[1], argv[3], argv[4]);
        else if (argc == 5 && strcmp(argv[1], "stream") == 0)
                tls.chunk = bench_number(argv[4], BENCH_CHUNK_MAX);
        if (tls.chunk > 0)
                main_client(&tls, argv[3], round_stream);
        else if (argc == 4 && (strcmp(argv[1], "full") == 0 || tls.resumes))
                main_client(&tls, argv[3], round_touch);
        else if (argc == 4 && strcmp(argv[1], "hold") == 0)
                main_client(&tls, argv[3], round_hold);
        else
                bench_die(argv[1], EINVAL);
        return 0;
}
