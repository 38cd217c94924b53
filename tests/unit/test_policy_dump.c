/* SPDX-License-Identifier: Apache-2.0 */
/* policy_format_tenant(): what it prints is a policy again, and the same one. */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/limit.h"
#include "policy/pin.h"
#include "policy/rule.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_text.h"

/* How many random tenants are printed and read again. */
#define ROUNDS 2000

static char *format(const struct policy *policy) {
        char *text = policy_format_tenant(&policy->tenants[0]);

        ck_assert_ptr_nonnull(text);
        return text;
}

START_TEST(everything_is_written_out) {
        static const char text[] = "[Protocol web]\n"
                                   "Addresses=public 10.20.0.0/16\n"
                                   "Connect=API.Example.com.:443 *.example.com:80-90 10.0.0.0/8:*\n"
                                   "Deny=private:1-65535 127.0.0.0/8:443\n"
                                   "DataPath=direct\n"
                                   "Family=ip\n"
                                   "ConnectTimeout=60s\n"
                                   "[Preopen app]\n"
                                   "Listen=/run/app.sock\n"
                                   "DataPath=direct\n"
                                   "[Tenant]\n"
                                   "MaxMemory=65536K\n"
                                   "User=acme\n"
                                   "Resolvers=192.0.2.53:53 [2001:db8::53]:54\n"
                                   "Name=acme\n"
                                   "Group=7\n"
                                   "Socket=/run/acme.sock\n"
                                   "SocketGroup=acme\n"
                                   "[Protocol db]\n"
                                   "Family=unix\n"
                                   "DataPath=direct\n"
                                   "SocketTypes=stream\n"
                                   "Connect=/run/db/*.sock @x*\n";
        struct policy *policy = policy_of(text);
        NB_CLEANUP_FREE char *printed = format(policy);

        ck_assert_str_eq(printed, "[Tenant]\n"
                                  "Name=acme\n"
                                  "User=acme\n"
                                  "Group=7\n"
                                  "Socket=/run/acme.sock\n"
                                  "SocketGroup=acme\n"
                                  "SocketMode=0600\n"
                                  "Mode=enforce\n"
                                  "Existing=close\n"
                                  "ExplainDenials=no\n"
                                  "Resolvers=192.0.2.53 [2001:db8::53]:54\n"
                                  "Relays=1\n"
                                  "MaxSessions=4096\n"
                                  "MaxControls=65536\n"
                                  "MaxListeners=65536\n"
                                  "MaxConnections=65536\n"
                                  "MaxConnecting=4096\n"
                                  "MaxInFlight=4096\n"
                                  "MaxLookups=256\n"
                                  "RequestRate=10000/s\n"
                                  "ConnectRate=infinity\n"
                                  "MaxBytesInFlight=infinity\n"
                                  "MaxMemory=64M\n"
                                  "MaxHandshakes=1024\n"
                                  "RelayMemory=1G\n"
                                  "\n"
                                  "[Protocol web]\n"
                                  "Family=ip\n"
                                  "SocketTypes=stream\n"
                                  "DataPath=direct\n"
                                  "ConnectTimeout=1min\n"
                                  "Connect=api.example.com:443\n"
                                  "Connect=*.example.com:80-90\n"
                                  "Connect=10.0.0.0/8:*\n"
                                  "Deny=private:1-65535\n"
                                  "Deny=127.0.0.0/8:443\n"
                                  "Addresses=public\n"
                                  "Addresses=10.20.0.0/16\n"
                                  "\n"
                                  "[Protocol db]\n"
                                  "Family=unix\n"
                                  "SocketTypes=stream\n"
                                  "DataPath=direct\n"
                                  "ConnectTimeout=30s\n"
                                  "Connect=/run/db/*.sock\n"
                                  "Connect=@x*\n"
                                  "\n"
                                  "[Preopen app]\n"
                                  "Nonblock=yes\n"
                                  "SocketTypes=stream\n"
                                  "DataPath=direct\n"
                                  "SocketMode=0666\n"
                                  "Listen=/run/app.sock\n");
        policy_free(policy);
}
END_TEST

/* A name of another script may become longer than a line; then it stays as it was written. */
START_TEST(a_name_that_grows) {
        char text[512] = POLICY_HEAD "Connect=";
        struct policy *policy, *again;

        for (int i = 0; i < 25; ++i)
                strncat(text, "\xc3\xbc.", sizeof(text) - strlen(text) - 1);
        strncat(text, "de:443\n", sizeof(text) - strlen(text) - 1);
        policy = policy_of(text);
        NB_CLEANUP_FREE char *printed = format(policy);

        again = policy_of(printed);
        ck_assert_uint_gt(strlen(policy->tenants[0].protocols[0].rules[0].name.text), 198);
        ck_assert_str_eq(again->tenants[0].protocols[0].rules[0].name.text,
                         policy->tenants[0].protocols[0].rules[0].name.text);
        policy_free(again);
        policy_free(policy);
}
END_TEST

/* ---- at random ---- */

static const char *const targets[] = {
        "10.0.0.0/8",      "10.1.2.3", "[2001:db8::]/32", "[::1]", "any",           "public",
        "private",         "local",    "api.example.com", "a",     "*.example.com", "B\303\274cher.example",
        "xn--bcher-kva.de"
};
static const char *const addresses[] = { "10.0.0.0/8", "10.1.2.3", "[2001:db8::]/32", "any", "public", "local" };
static const char *const local_addresses[] = { "10.0.0.0/8", "0.0.0.0", "[::1]", "any", "local" };
static const char *const ports[] = { "*", "443", "80-90", "1-65535" };
static const char *const patterns[] = { "/run/a", "/run/*/b*.sock", "@x", "@*", "/run/\xc3\xbc" };
static const char *const times[] = { "1ms", "999ms", "1000ms", "90s", "120s", "10min" };
static const char *const bytes[] = { "1", "1023", "1024", "1536K", "3G", "infinity" };
static const char *const words[] = { "acme", "1000", "a.b_c-d@e$", "DOM\\user" };

static bool coin(uint64_t *state) {
        return next_random(state) % 2;
}

static void write_rules(FILE *out, uint64_t *state, bool names) {
        static const char *const kinds[] = { "Connect", "Deny" };

        for (uint64_t i = next_random(state) % 6; i > 0; --i) {
                fprintf(out, "%s=%s:%s", PICK(state, kinds), PICK(state, targets), PICK(state, ports));
                fprintf(out, " %s:%s\n", PICK(state, targets), PICK(state, ports));
        }
        for (uint64_t i = next_random(state) % 3; i > 0; --i)
                fprintf(out, "Listen=%s:%s\n", PICK(state, local_addresses), PICK(state, ports));
        for (uint64_t i = next_random(state) % 3; i > 0 && names; --i)
                fprintf(out, "Addresses=%s %s\n", PICK(state, addresses), PICK(state, addresses));
}

/** What is said of certificates of peers, where some are asked for. */
static void write_verification(FILE *out, uint64_t *state) {
        if (coin(state))
                fputs("TLSRevoked=credential:crl\n", out);
        for (uint64_t i = next_random(state) % 3; i > 0; --i) {
                struct policy_pin pin;
                char text[POLICY_PIN_TEXT_MAX];

                for (size_t j = 0; j < sizeof(pin.bytes); ++j)
                        pin.bytes[j] = (uint8_t)next_random(state);
                fprintf(out, "TLSPins=%s\n", policy_pin_format(&pin, text));
        }
}

static void write_server(FILE *out, uint64_t *state) {
        static const char *const certificates[] = { "/etc/a.pem", "/etc/a.pem credential:a.key",
                                                    "/etc/\303\274.pem /a.key  /a.ocsp" };
        bool requires = coin(state);

        for (uint64_t i = next_random(state) % 3 + 1; i > 0; --i)
                fprintf(out, "TLSCertificate=%s\n", PICK(state, certificates));
        if (requires)
                fprintf(out, "TLSClientAuth=require\nTLSClientNames=*.Example.com b\303\274cher.example\n"
                             "TLSTrust=/etc/ca.pem\n");
        if (coin(state))
                fprintf(out, "HandshakeTimeout=%s\n", PICK(state, times));
}

static void write_tls(FILE *out, uint64_t *state, bool client, bool server) {
        static const char *const versions[] = { "1.2", "1.3", "1.3 1.2", "1.2 1.3" };

        if (!client && !server)
                return;
        fprintf(out, "TLS=%s\nTLSVersions=%s\nTLSTickets=%s\n",
                client && server ? "both"
                : client         ? "client"
                                 : "server",
                PICK(state, versions), coin(state) ? "yes" : "no");
        if (coin(state))
                fprintf(out, "TLSALPN=h2 http/1.1\nTLSALPN=%%#x\n");
        if (server)
                write_server(out, state);
        if (!client)
                return;
        fprintf(out, "TLSMustStaple=%s\n%s", coin(state) ? "yes" : "no",
                coin(state) ? "TLSClientCertificate=/c.pem /c.key\n" : "");
        write_verification(out, state);
}

static void write_proxy(FILE *out, uint64_t *state, bool named) {
        static const char *const proxies[] = { "http://10.0.0.1:3128", "socks5://[2001:db8::1]:1080",
                                               "https://Proxy.Example.:3128" };
        static const char *const passwords[] = { "-", "/etc/pw", "credential:pw", "- /pw", "/pw -" };
        bool two = coin(state);

        if (coin(state))
                fprintf(out, "SendProxyHeader=%s\n", coin(state) ? "v1" : "v2");
        if (coin(state))
                return;
        fprintf(out, "Proxy=%s %s\n", PICK(state, proxies), two ? PICK(state, proxies) : "");
        if (coin(state))
                fprintf(out, "ProxyPassword=%s\n", passwords[next_random(state) % (two ? 5 : 3)]);
        if (named)
                fprintf(out, "ProxyResolve=%s\n", coin(state) ? "yes" : "no");
}

/** What stands before the bytes of streams by IP. */
static void write_handshakes(FILE *out, uint64_t *state) {
        bool server = coin(state), client = coin(state);

        write_tls(out, state, client, server);
        write_proxy(out, state, true);
        if (coin(state))
                fputs("Listen=127.0.0.1:1\nAcceptProxyHeader=10.0.0.0/8 [::1]\nAcceptProxyHeader=10.1.2.3\n", out);
}

static void write_protocol(FILE *out, uint64_t *state, unsigned number) {
        static const char *const types[] = { "stream", "dgram", "stream dgram" };
        bool is_unix = next_random(state) % 3 == 0, streams = coin(state);

        fprintf(out, "[Protocol p%u]\nDataPath=%s\nFamily=%s\n", number, is_unix || coin(state) ? "relay" : "direct",
                is_unix ? "unix" : "ip");
        if (coin(state))
                fprintf(out, "ConnectTimeout=%s\n", PICK(state, times));
        if (!streams)
                fprintf(out, "SocketTypes=%s\n", PICK(state, types));
        else if (!is_unix)
                write_handshakes(out, state);
        if (is_unix)
                fprintf(out, "Listen=/run/q\nSocketMode=0%03o\nConnect=%s %s\nDeny=%s\n",
                        (unsigned)(next_random(state) % 01000), PICK(state, patterns), PICK(state, patterns),
                        PICK(state, patterns));
        else
                write_rules(out, state, true);
}

/** What follows from the rules may be written or not. */
static void write_quic(FILE *out, uint64_t *state, unsigned number) {
        static const char *const windows[] = { "16K", "20000", "1M", "1G" }, *const alive[] = { "1s", "1500ms" };
        bool client = coin(state), server = coin(state);

        fprintf(out, "[Protocol p%u]\nFamily=quic\nTLSALPN=h3\nIdleTimeout=2s\n", number);
        if (client)
                fputs("Connect=*.example.com:443 10.0.0.0/8:443\nTLSMustStaple=yes\n", out);
        if (server)
                fputs("Listen=127.0.0.1:443\n", out);
        if (server)
                write_server(out, state);
        if (coin(state))
                fprintf(out, "MaxStreams=%u\nStreamWindow=%s\nConnectionWindow=%s\n",
                        (unsigned)(next_random(state) % 65536 + 1), PICK(state, windows), PICK(state, windows));
        if (coin(state))
                fprintf(out, "KeepAlive=%s\nSocketTypes=stream dgram\nDataPath=relay\n", PICK(state, alive));
        if (coin(state))
                fprintf(out, "Retry=%s\nTLSTickets=no\nTLSVersions=1.3 1.2\n", coin(state) ? "always" : "auto");
        if ((client || server) && coin(state))
                fprintf(out, "TLS=%s\n", client && server ? "both" : client ? "client" : "server");
}

static void write_preopen(FILE *out, uint64_t *state, unsigned number) {
        bool listens = coin(state), streams = listens || coin(state);

        fprintf(out, "[Preopen s%u]\nDataPath=direct\n", number);
        if (coin(state))
                fprintf(out, "Nonblock=%s\n", coin(state) ? "yes" : "no");
        if (listens)
                fprintf(out, "Listen=127.0.0.1:%u\nDeny=10.0.0.0/8:*\n", 1000 + number);
        else
                fprintf(out, "Connect=8.8.8.8:53\nSocketTypes=%s\nConnectTimeout=%s\n", streams ? "stream" : "dgram",
                        PICK(state, times));
        if (!streams)
                return;
        write_tls(out, state, !listens && coin(state), listens && coin(state));
        if (!listens)
                write_proxy(out, state, false);
}

static void write_tenant(FILE *out, uint64_t *state) {
        fputs("[Tenant]\nName=acme\n", out);
        for (uint64_t i = next_random(state) % 3; i > 0; --i)
                fprintf(out, "User=%s\nGroup=%s\nUnit=a%u.service\n", PICK(state, words), PICK(state, words),
                        (unsigned)i);
        if (coin(state))
                fprintf(out, "Socket=/run/acme.sock\nSocketUser=%s\nSocketMode=0640\n", PICK(state, words));
        fprintf(out, "Mode=%s\nExisting=%s\nExplainDenials=%s\n", coin(state) ? "report" : "enforce",
                coin(state) ? "keep" : "close", coin(state) ? "yes" : "no");
        if (coin(state))
                fprintf(out, "Resolvers=192.0.2.%u [2001:db8::%u]:%u\n", (unsigned)(next_random(state) % 256),
                        (unsigned)(next_random(state) % 100), (unsigned)(next_random(state) % 65535 + 1));
        if (coin(state))
                fprintf(out,
                        "TokenKey=ed25519/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= "
                        "ed25519///////////////////////////////////////////8= "
                        "ed25519/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" /* as many as may be */
                        "RequireToken=%s\nRevokedTokens=/etc/revoked\nTokenExpiry=%s\n",
                        coin(state) ? "yes" : "no", coin(state) ? "keep" : "close");
        fprintf(out, "Relays=%u\n", (unsigned)(next_random(state) % POLICY_RELAYS_MAX + 1));
        if (coin(state))
                fprintf(out, "Shard=%u\n", (unsigned)(next_random(state) % POLICY_SHARDS_MAX + 1));
        fprintf(out, "MaxSessions=%u\nConnectRate=%u/s\nMaxMemory=%s\n", (unsigned)(next_random(state) % 1000 + 1),
                (unsigned)(next_random(state) % 1000 + 1), PICK(state, bytes));
}

static char *random_tenant(uint64_t *state) {
        char *text;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        uint64_t n;

        ck_assert_ptr_nonnull(out);
        write_tenant(out, state);
        n = next_random(state) % 4;
        for (unsigned i = 0; i < n; ++i)
                if (coin(state))
                        write_protocol(out, state, i);
                else if (coin(state))
                        write_quic(out, state, i);
                else
                        write_preopen(out, state, i);
        ck_assert_int_eq(fclose(out), 0);
        return text;
}

static void expect_same_rule(const struct policy_rule *a, const struct policy_rule *b, const char *text) {
        char a_text[POLICY_RULE_TEXT_MAX], b_text[POLICY_RULE_TEXT_MAX];

        ck_assert_msg(a->kind == b->kind && a->target == b->target, "%s", text);
        if (a->target == POLICY_TARGET_UNIX)
                ck_assert_msg(strcmp(a->text, b->text) == 0, "%s", text);
        else
                ck_assert_str_eq(policy_rule_format(a, a_text), policy_rule_format(b, b_text));
}

static void expect_same_certificate(const struct policy_certificate *a, const struct policy_certificate *b) {
        ck_assert_pstr_eq(a->chain.path, b->chain.path);
        ck_assert_pstr_eq(a->key.path, b->key.path);
        ck_assert_pstr_eq(a->staple.path, b->staple.path);
}

static void expect_same_tls(const struct policy_tls *a, const struct policy_tls *b, const char *text) {
        ck_assert_msg(!a == !b, "%s", text);
        if (!a)
                return;
        ck_assert_msg(a->roles == b->roles && a->versions == b->versions && a->client_auth == b->client_auth &&
                              a->must_staple == b->must_staple && a->tickets == b->tickets &&
                              a->n_certificates == b->n_certificates && a->n_client_names == b->n_client_names &&
                              a->n_alpn == b->n_alpn && a->n_pins == b->n_pins,
                      "%s", text);
        ck_assert_pstr_eq(a->trust.path, b->trust.path);
        ck_assert_pstr_eq(a->revoked.path, b->revoked.path);
        expect_same_certificate(&a->client_certificate, &b->client_certificate);
        for (size_t i = 0; i < a->n_certificates; ++i)
                expect_same_certificate(&a->certificates[i], &b->certificates[i]);
        for (size_t i = 0; i < a->n_client_names; ++i) {
                ck_assert_str_eq(a->client_names[i].text, b->client_names[i].text);
                ck_assert(a->client_names[i].below == b->client_names[i].below);
        }
        for (size_t i = 0; i < a->n_alpn; ++i)
                ck_assert_str_eq(a->alpn[i], b->alpn[i]);
        if (a->n_pins > 0)
                ck_assert_mem_eq(a->pins, b->pins, a->n_pins * sizeof(*a->pins));
}

static void expect_same_proxy(const struct policy_protocol *a, const struct policy_protocol *b, const char *text) {
        ck_assert_msg(a->proxy.n_hops == b->proxy.n_hops && a->proxy.resolves == b->proxy.resolves &&
                              a->send_header == b->send_header && a->n_header_sources == b->n_header_sources,
                      "%s", text);
        for (size_t i = 0; i < a->proxy.n_hops; ++i) {
                const struct policy_hop *hop = &a->proxy.hops[i], *other = &b->proxy.hops[i];

                ck_assert_msg(hop->kind == other->kind && hop->is_name == other->is_name &&
                                      hop->name.port == other->name.port &&
                                      nb_address_equal(&hop->address, &other->address),
                              "%s", text);
                ck_assert_str_eq(hop->name.text, other->name.text);
                ck_assert_pstr_eq(hop->password.path, other->password.path);
        }
        for (size_t i = 0; i < a->n_header_sources; ++i)
                ck_assert(nb_prefix_covers(&a->header_sources[i], &b->header_sources[i]) &&
                          nb_prefix_covers(&b->header_sources[i], &a->header_sources[i]));
}

static void expect_same_protocol(const struct policy_protocol *a, const struct policy_protocol *b, const char *text) {
        ck_assert_str_eq(a->name, b->name);
        ck_assert_msg(a->family == b->family && a->data_path == b->data_path && a->socket_types == b->socket_types &&
                              a->preopen == b->preopen && a->n_rules == b->n_rules && a->n_addresses == b->n_addresses,
                      "%s", text);
        ck_assert_uint_eq(a->connect_timeout_ms, b->connect_timeout_ms);
        ck_assert_uint_eq(a->socket_mode, b->socket_mode);
        ck_assert_uint_eq(a->handshake_timeout_ms, b->handshake_timeout_ms);
        ck_assert_uint_eq(a->idle_timeout_ms, b->idle_timeout_ms);
        ck_assert_uint_eq(a->quic.max_streams, b->quic.max_streams);
        ck_assert_uint_eq(a->quic.stream_window, b->quic.stream_window);
        ck_assert_uint_eq(a->quic.connection_window, b->quic.connection_window);
        ck_assert_uint_eq(a->quic.keep_alive_ms, b->quic.keep_alive_ms);
        ck_assert(a->quic.always_retry == b->quic.always_retry);
        expect_same_tls(a->tls, b->tls, text);
        expect_same_proxy(a, b, text);
        for (size_t i = 0; i < a->n_rules; ++i)
                expect_same_rule(&a->rules[i], &b->rules[i], text);
        for (size_t i = 0; i < a->n_addresses; ++i)
                ck_assert_msg(a->addresses[i].target == b->addresses[i].target, "%s", text);
}

static void expect_same_tenant(const struct policy_tenant *a, const struct policy_tenant *b, const char *text) {
        ck_assert_str_eq(a->name, b->name);
        ck_assert_msg(a->mode == b->mode && a->existing == b->existing && a->explain_denials == b->explain_denials,
                      "%s", text);
        ck_assert_mem_eq(a->limits, b->limits, sizeof(a->limits));
        ck_assert_uint_eq(a->n_relays, b->n_relays);
        ck_assert_uint_eq(a->shard, b->shard);
        ck_assert_uint_eq(a->n_resolvers, b->n_resolvers);
        for (size_t i = 0; i < a->n_resolvers; ++i)
                ck_assert(nb_address_equal(&a->resolvers[i], &b->resolvers[i]));
        ck_assert_uint_eq(a->n_principals, b->n_principals);
        for (size_t i = 0; i < a->n_principals; ++i)
                ck_assert_str_eq(a->principals[i].text, b->principals[i].text);
        ck_assert_pstr_eq(a->socket.path, b->socket.path);
        ck_assert_pstr_eq(a->socket.user, b->socket.user);
        ck_assert_uint_eq(a->socket.mode, b->socket.mode);
        ck_assert_uint_eq(a->n_protocols, b->n_protocols);
        for (size_t i = 0; i < a->n_protocols; ++i)
                expect_same_protocol(&a->protocols[i], &b->protocols[i], text);
        ck_assert_uint_eq(a->n_preopens, b->n_preopens);
        for (size_t i = 0; i < a->n_preopens; ++i) {
                expect_same_protocol(&a->preopens[i].protocol, &b->preopens[i].protocol, text);
                ck_assert_msg(a->preopens[i].verb == b->preopens[i].verb &&
                                      a->preopens[i].nonblock == b->preopens[i].nonblock &&
                                      a->preopens[i].type == b->preopens[i].type &&
                                      nb_socket_address_equal(&a->preopens[i].address, &b->preopens[i].address),
                              "%s", text);
        }
}

START_TEST(what_is_printed_is_the_same_policy) {
        uint64_t state = 0xd0b;

        for (int i = 0; i < ROUNDS; ++i) {
                NB_CLEANUP_FREE char *text = random_tenant(&state);
                struct policy *policy = policy_of(text);
                NB_CLEANUP_FREE char *printed = format(policy);
                struct policy *again = policy_of(printed);
                NB_CLEANUP_FREE char *twice = format(again);

                expect_same_tenant(&policy->tenants[0], &again->tenants[0], printed);
                ck_assert_str_eq(printed, twice);
                policy_free(policy);
                policy_free(again);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("policy, dump");
        TCase *tcase = tcase_create("dump");

        tcase_add_test(tcase, everything_is_written_out);
        tcase_add_test(tcase, a_name_that_grows);
        tcase_add_test(tcase, what_is_printed_is_the_same_policy);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
