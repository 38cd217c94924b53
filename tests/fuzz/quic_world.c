/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/quic_world.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

#define DAY (24 * 3600)
#define LINKS_MAX 64
#define IDLE_MS 5000

#define CHECK_GNUTLS(call)                                                                                             \
        do {                                                                                                           \
                int r_ = (call);                                                                                       \
                FUZZ_CHECK(r_ >= 0, "%s", gnutls_strerror(r_));                                                        \
        } while (0)

/* ---- a certificate ---- */

static gnutls_x509_privkey_t make_key(void) {
        gnutls_x509_privkey_t key;

        CHECK_GNUTLS(gnutls_x509_privkey_init(&key));
        CHECK_GNUTLS(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                                  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
        return key;
}

static gnutls_x509_crt_t make_certificate(gnutls_x509_privkey_t key) {
        gnutls_x509_crt_t certificate;

        CHECK_GNUTLS(gnutls_x509_crt_init(&certificate));
        CHECK_GNUTLS(gnutls_x509_crt_set_version(certificate, 3));
        CHECK_GNUTLS(gnutls_x509_crt_set_serial(certificate, "\1", 1));
        CHECK_GNUTLS(gnutls_x509_crt_set_dn(certificate, "CN=" QUIC_WORLD_NAME, NULL));
        CHECK_GNUTLS(gnutls_x509_crt_set_activation_time(certificate, time(NULL) - DAY));
        CHECK_GNUTLS(gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + DAY));
        CHECK_GNUTLS(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, QUIC_WORLD_NAME,
                                                          strlen(QUIC_WORLD_NAME), GNUTLS_FSAN_SET));
        CHECK_GNUTLS(gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE));
        CHECK_GNUTLS(gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0));
        CHECK_GNUTLS(gnutls_x509_crt_set_key(certificate, key));
        CHECK_GNUTLS(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0));
        return certificate;
}

/** @param pem  freed */
static void append(int fd, gnutls_datum_t *pem) {
        FUZZ_CHECK(write(fd, pem->data, pem->size) == (ssize_t)pem->size, "%s", strerror(errno));
        gnutls_free(pem->data);
}

int quic_world_certificate(void) {
        gnutls_x509_privkey_t key = make_key();
        gnutls_x509_crt_t certificate = make_certificate(key);
        int fd = memfd_create("pem", MFD_CLOEXEC);
        gnutls_datum_t pem;

        FUZZ_CHECK(fd >= 0, "%s", strerror(errno));
        CHECK_GNUTLS(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem));
        append(fd, &pem);
        CHECK_GNUTLS(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, 0, &pem));
        append(fd, &pem);
        gnutls_x509_crt_deinit(certificate);
        gnutls_x509_privkey_deinit(key);
        return fd;
}

/* ---- orders ---- */

static void give(struct quic_world *world, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        FUZZ_CHECK(nb_relay_order_send(world->channel, order, fds, n_fds) == 0, "%s", strerror(errno));
        quic_world_turn(world);
}

static void set_up(struct quic_world *world) {
        Nb__Relay__Setup setup = NB__RELAY__SETUP__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        setup.version = NB_RELAY_VERSION;
        setup.tenant = (char *)"fuzz";
        setup.links_max = LINKS_MAX;
        setup.log_level = NB_LOG_ERROR;
        setup.in_flight_max = LINKS_MAX;
        order.body_case = NB__RELAY__ORDER__BODY_SETUP;
        order.setup = &setup;
        give(world, &order, NULL, 0);
        FUZZ_CHECK(quic_world_report(world)->body_case == NB__RELAY__REPORT__BODY_STARTED, "no Started");
}

static void load_context(struct quic_world *world, uint32_t id, Nb__Relay__FileKind kind, int fd) {
        char *alpn[] = { (char *)"fuzz" };
        Nb__Relay__Context context = NB__RELAY__CONTEXT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        Nb__Relay__File file = NB__RELAY__FILE__INIT, *files[] = { &file };
        const Nb__Relay__Report *report;

        file.kind = kind;
        file.name = (char *)"certificate";
        context.id = id;
        context.client = id == QUIC_WORLD_CLIENT_CONTEXT;
        context.server = !context.client;
        context.tls13 = true;
        context.n_alpn = 1;
        context.alpn = alpn;
        context.n_files = 1;
        context.files = files;
        order.body_case = NB__RELAY__ORDER__BODY_CONTEXT;
        order.context = &context;
        give(world, &order, &fd, 1);
        report = quic_world_report(world);
        FUZZ_CHECK(report && report->body_case == NB__RELAY__REPORT__BODY_LOADED, "context %u: %s", id,
                   report && report->body_case == NB__RELAY__REPORT__BODY_UNUSABLE ? report->unusable->reason : "");
}

static void load_contexts(struct quic_world *world) {
        NB_CLEANUP_FD int fd = quic_world_certificate();

        load_context(world, QUIC_WORLD_SERVER_CONTEXT, NB__RELAY__FILE_KIND__FILE_KIND_CERTIFICATE, fd);
        load_context(world, QUIC_WORLD_CLIENT_CONTEXT, NB__RELAY__FILE_KIND__FILE_KIND_TRUST, fd);
}

struct quic_world *quic_world_new(void) {
        struct quic_world *world = calloc(1, sizeof(*world));
        int channel[2];

        FUZZ_CHECK(world && nb_channel_pair(channel) == 0, "%s", strerror(errno));
        FUZZ_CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR, "%s", strerror(errno));
        FUZZ_CHECK(relay_init(&world->relay, channel[0]) == 0, "%s", strerror(errno));
        world->relay.log.fd = -1;
        world->channel = channel[1];
        set_up(world);
        load_contexts(world);
        return world;
}

void quic_world_free(struct quic_world *world) {
        relay_deinit(&world->relay);
        (void)nb_fd_close(world->channel);
        free(world);
}

void quic_world_turn(struct quic_world *world) {
        relay_turn(&world->relay, false);
        FUZZ_CHECK(!world->relay.has_ended, "the relay takes its channel for closed");
}

const Nb__Relay__Report *quic_world_report(struct quic_world *world) {
        int length = nb_channel_receive_bytes(world->channel, world->frame);
        Nb__Relay__Report *report;

        if (length == -EAGAIN)
                return NULL;
        FUZZ_CHECK(length > 0 && nb_relay_report_decode(&world->arena, world->frame, (size_t)length, &report) == 0,
                   "a report of %d bytes", length);
        return report;
}

Nb__Relay__Quic quic_world_limits(void) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;

        quic.streams_max = 4;
        quic.stream_window = 16384;
        quic.connection_window = 32768;
        quic.idle_timeout_ms = IDLE_MS;
        return quic;
}

int quic_world_socket(const struct sockaddr_in *remote) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        FUZZ_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "%s", strerror(errno));
        FUZZ_CHECK(!remote || connect(fd, (const struct sockaddr *)remote, sizeof(*remote)) == 0, "%s",
                   strerror(errno));
        return fd;
}

struct sockaddr_in quic_world_serve(struct quic_world *world, uint64_t server, const Nb__Relay__Quic *quic,
                                    uint32_t waiting_max) {
        Nb__Relay__Serve serve = NB__RELAY__SERVE__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        Nb__Relay__Quic limits = *quic;
        struct sockaddr_in address;
        socklen_t length = sizeof(address);
        int fd = quic_world_socket(NULL);

        FUZZ_CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "%s", strerror(errno));
        serve.server = server;
        serve.idle_timeout_ms = IDLE_MS;
        serve.waiting_max = waiting_max;
        serve.peers_max = waiting_max;
        serve.quic = &limits;
        serve.tls_context = QUIC_WORLD_SERVER_CONTEXT;
        serve.handshake_timeout_ms = IDLE_MS;
        order.body_case = NB__RELAY__ORDER__BODY_SERVE;
        order.serve = &serve;
        give(world, &order, &fd, 1);
        (void)nb_fd_close(fd);
        return address;
}

void quic_world_credit(struct quic_world *world, uint64_t server, uint64_t total) {
        Nb__Relay__Credit credit = NB__RELAY__CREDIT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        credit.server = server;
        credit.total = total;
        order.body_case = NB__RELAY__ORDER__BODY_CREDIT;
        order.credit = &credit;
        give(world, &order, NULL, 0);
}

int quic_world_take_peer(struct quic_world *world, uint64_t server, uint64_t peer, uint64_t link) {
        Nb__Relay__TakePeer take = NB__RELAY__TAKE_PEER__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        int pair[2] = { -1, -1 };

        take.server = server;
        take.peer = peer;
        take.link = link;
        take.allowed = link > 0;
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PEER;
        order.take_peer = &take;
        FUZZ_CHECK(link == 0 || nb_channel_pair(pair) == 0, "%s", strerror(errno));
        give(world, &order, pair, link > 0);
        (void)nb_fd_close(pair[0]);
        return pair[1];
}

int quic_world_begin(struct quic_world *world, uint64_t link, const Nb__Relay__Quic *quic,
                     const struct sockaddr_in *address) {
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        Nb__Relay__Quic limits = *quic;
        int fds[2] = { quic_world_socket(address) }, pair[2];

        FUZZ_CHECK(nb_channel_pair(pair) == 0, "%s", strerror(errno));
        fds[1] = pair[0];
        begin.link = link;
        begin.role = NB__RELAY__ROLE__ROLE_CLIENT;
        begin.tls_context = QUIC_WORLD_CLIENT_CONTEXT;
        begin.server_name = (char *)QUIC_WORLD_NAME;
        begin.timeout_ms = IDLE_MS;
        begin.quic = &limits;
        order.body_case = NB__RELAY__ORDER__BODY_BEGIN;
        order.begin = &begin;
        give(world, &order, fds, 2);
        nb_fds_close(fds, 2);
        return pair[1];
}

void quic_world_take_path(struct quic_world *world, uint64_t link, uint32_t path, bool allowed) {
        Nb__Relay__TakePath take = NB__RELAY__TAKE_PATH__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        take.link = link;
        take.path = path;
        take.allowed = allowed;
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PATH;
        order.take_path = &take;
        give(world, &order, NULL, 0);
}

void quic_world_end(struct quic_world *world, uint64_t number) {
        Nb__Relay__End end = NB__RELAY__END__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        end.link = number;
        order.body_case = NB__RELAY__ORDER__BODY_END;
        order.end = &end;
        give(world, &order, NULL, 0);
}
